"""What can be said of code systems on their way into their database, and of that database."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "code-repeated": (
        "error", "duplicate", 400,
        "Code '{code}' stands already at {first}, with {texts}.",
        "Koden '{code}' står allerede på {first}, med {texts}.",
        "Keep the one that holds in this edition.", "Behold den som gjelder i denne utgaven.",
    ),
    "code-parent-unknown": (
        "error", "not-found", 400,
        "Code '{code}' stands below '{parent}', which the file does not have.",
        "Koden '{code}' står under '{parent}', som filen ikke har.",
        "Add the parent, or leave the column empty.", "Legg til den overordnede koden, eller la kolonnen stå tom.",
    ),
    "code-above-itself": (
        "error", "business-rule", 400,
        "Code '{code}' is above itself: {circle}.", "Koden '{code}' er overordnet seg selv: {circle}.",
        "Correct one of these parents.", "Rett en av disse overordnede kodene.",
    ),
    "code-missing": (
        "error", "required", 400,
        "There is no code here.", "Her er det ingen kode.",
        "Give it one, or remove it.", "Gi den en kode, eller fjern den.",
    ),
    "code-without-display": (
        "error", "required", 400,
        "Code '{code}' has no text.", "Koden '{code}' har ingen tekst.",
        "Give it its text.", "Gi den teksten sin.",
    ),
    "code-as-display": (
        "warning", "incomplete", 200,
        "Code '{code}' has no display; the code itself stands in for it.",
        "Koden '{code}' har ingen visningstekst; koden selv brukes.",
        "", "",
    ),
    "code-letters": (
        "error", "value", 400,
        "The {field} of code '{code}' has what is no letter: {letter}.",
        "{field} for koden '{code}' har noe som ikke er et tegn: {letter}.",
        "Write the file again from its source; this is often a wrong encoding.",
        "Skriv filen på nytt fra kilden; dette er ofte feil tegnsett.",
    ),
    "code-value": (
        "error", "value", 400,
        "'{value}' is no {field}.", "'{value}' er ingen {field}.",
        "Expected: {allowed}.", "Ventet: {allowed}.",
    ),
    "code-columns": (
        "error", "structure", 400,
        "There are {found} columns, and {expected} have a name.", "Her er {found} kolonner, og {expected} har navn.",
        "Quote text that has the separator in it.", "Sett anførselstegn om tekst som har skilletegnet i seg.",
    ),
    "code-withdrawn": (
        "information", "informational", 200,
        "Code '{code}' is withdrawn; it is kept, and marked.", "Koden '{code}' er utgått; den beholdes og merkes.",
        "", "",
    ),
    "line-too-long": (
        "error", "too-long", 400,
        "What begins here is longer than {most} bytes.", "Det som begynner her er lengre enn {most} byte.",
        "Find out what became of the line ends.", "Finn ut hva som er skjedd med linjeskiftene.",
    ),
    "encoding-wrong": (
        "fatal", "value", 400,
        "This is not {encoding}: {reason}.", "Dette er ikke {encoding}: {reason}.",
        "Name the encoding with --encoding (utf-8 or cp1252), or write the file again as UTF-8.",
        "Oppgi tegnsettet med --encoding (utf-8 eller cp1252), eller skriv filen på nytt som UTF-8.",
    ),
    "file-truncated": (
        "fatal", "incomplete", 400,
        "The file ends here, in the middle: {reason}.", "Filen slutter her, midt i: {reason}.",
        "Fetch it again, whole.", "Hent den på nytt, hel.",
    ),
    "file-malformed": (
        "fatal", "structure", 400,
        "This cannot be read: {reason}.", "Dette kan ikke leses: {reason}.",
        "Correct it here.", "Rett det her.",
    ),
    "file-without-codes": (
        "error", "incomplete", 400,
        "There is no code in it: {found}.", "Det er ingen kode i den: {found}.",
        "Give a CodeSystem, a Bundle or package of them, or a table of codes.",
        "Gi en CodeSystem, en Bundle eller pakke av dem, eller en tabell med koder.",
    ),
    "code-header-unknown": (
        "fatal", "structure", 400,
        "The first line names no columns of code and text.", "Første linje navngir ikke kolonner for kode og tekst.",
        "Name them: {allowed}.", "Navngi dem: {allowed}.",
    ),
    "code-system-not-named": (
        "fatal", "required", 400,
        "The file does not say its {what}.", "Filen sier ikke hva som er dens {what}.",
        "Say it: {option}.", "Oppgi det: {option}.",
    ),
    "code-system-repeated": (
        "error", "duplicate", 400,
        "{url} {version} comes a second time.", "{url} {version} kommer en gang til.",
        "Import each edition once.", "Importer hver utgave én gang.",
    ),
    "code-system-differs": (
        "error", "conflict", 409,
        "{url} {version} is imported already, with other content.",
        "{url} {version} er importert fra før, med annet innhold.",
        "Give the edition its own version, or say --replace.", "Gi utgaven sin egen versjon, eller bruk --replace.",
    ),
    "code-system-gone": (
        "error", "not-found", 404,
        "{url} {version} is no longer imported.", "{url} {version} er ikke lenger importert.",
        "Import it again.", "Importer den på nytt.",
    ),
    "code-system-not-imported": (
        "error", "not-found", 404,
        "There is no {url} here.", "Det er ingen {url} her.",
        "Imported: {allowed}.", "Importert: {allowed}.",
    ),
    "code-systems-other-file": (
        "fatal", "exception", 500,
        "The file is no database of code systems, or one of another release.",
        "Filen er ingen database for kodeverk, eller fra en annen utgave av programmet.",
        "Import the code systems into a new file.", "Importer kodeverkene i en ny fil.",
    ),
}  # fmt: skip
