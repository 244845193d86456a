"""What the validator can say of a resource: structure, values, codes, references, extensions, profiles, Bundles.

The codes are also the keys of rules: a deployment turns one off, or changes its severity, by its code. A constraint
(`constraint-failed`, `constraint-warned`) is known by its own key instead: per-1, dom-3, npr-ended.
"""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    # ---- JSON
    "json-not-json": (
        "fatal", "structure", 400,
        "The text is not JSON: {reason}.", "Teksten er ikke JSON: {grunn}.",
        "Send one JSON object in UTF-8.", "Send ett JSON-objekt i UTF-8.",
    ),
    "json-duplicate-key": (
        "error", "structure", 422,
        "The key '{name}' stands more than once in one object.",
        "Nøkkelen '{name}' står mer enn én gang i samme objekt.",
        "Keep one of them; repeated elements are items of an array.",
        "Behold én av dem; elementer som gjentas, er punkter i en liste.",
    ),
    "json-too-deep": (
        "fatal", "too-costly", 422,
        "The JSON is nested deeper than {limit} levels.", "JSON-en er nøstet dypere enn {limit} nivåer.",
        "Send a flatter resource.", "Send en flatere ressurs.",
    ),
    "json-too-wide": (
        "fatal", "too-costly", 413,
        "An object or a list of the JSON has more than {limit} members.",
        "Et objekt eller en liste i JSON-en har flere enn {limit} medlemmer.",
        "Send less, or split it.", "Send mindre, eller del den opp.",
    ),
    "json-too-many-values": (
        "fatal", "too-costly", 413,
        "The JSON has more than {limit} values.", "JSON-en har flere enn {limit} verdier.",
        "Send less, or split it.", "Send mindre, eller del den opp.",
    ),
    "json-string-too-long": (
        "fatal", "too-long", 413,
        "A string or a key of the JSON has more than {limit} characters.",
        "En streng eller en nøkkel i JSON-en har flere enn {limit} tegn.",
        "Shorten it.", "Kort den ned.",
    ),
    "json-too-large": (
        "fatal", "too-long", 413,
        "The JSON is larger than {limit} bytes.", "JSON-en er større enn {limit} byte.",
        "Send less, or split it.", "Send mindre, eller del den opp.",
    ),
    "resource-too-large": (
        "fatal", "too-costly", 422,
        "The resource has more than {limit} values.", "Ressursen har flere enn {limit} verdier.",
        "Split it.", "Del den opp.",
    ),
    # ---- structure
    "resource-type-unknown": (
        "fatal", "structure", 422,
        "'{found}' is no resource type of R4.", "'{found}' er ingen ressurstype i R4.",
        "Give resourceType the name of a type{nearest}.", "Gi resourceType navnet på en type{likest}.",
    ),
    "resource-type-not-allowed": (
        "error", "structure", 422,
        "A {found} may not stand here.", "En {found} kan ikke stå her.",
        "Allowed here: {allowed}.", "Tillatt her: {allowed}.",
    ),
    # element-unknown and element-missing: as in loading.py; a choice of words that fits any tree
    "element-too-few": (
        "error", "required", 422,
        "'{parent}' holds {count} of '{element}', and at least {min} are needed.",
        "'{parent}' har {count} av '{element}', og minst {min} trengs.",
        "Add what is missing.", "Legg til det som mangler.",
    ),
    "element-too-many": (
        "error", "structure", 422,
        "{name} stands {count} times{slice}: at most {max} allowed.",
        "{name} står {count} ganger{utsnitt}: høyst {max} er tillatt.",
        "Remove what is too many.", "Fjern det som er for mye.",
    ),
    "element-forbidden": (
        "error", "structure", 422,
        "{name} may not be used here{slice}.", "{name} kan ikke brukes her{utsnitt}.",
        "Remove it.", "Fjern det.",
    ),
    "array-expected": (
        "error", "structure", 422,
        "{name} must be a JSON array, and is {found}.", "{name} må være en JSON-liste, og er {funnet}.",
        "Write it as [ ... ].", "Skriv det som [ ... ].",
    ),
    "array-not-expected": (
        "error", "structure", 422,
        "{name} is a JSON array, and may have one value only.", "{name} er en JSON-liste, og kan bare ha én verdi.",
        "Write the one value without [ ].", "Skriv den ene verdien uten [ ].",
    ),
    "type-wrong": (
        "error", "structure", 422,
        "{name} must be {expected}, and is {found}.", "{name} må være {ventet}, og er {funnet}.",
        "Write a value of the type {type}.", "Skriv en verdi av typen {type}.",
    ),
    "format-wrong": (
        "error", "value", 422,
        "'{found}' is not a valid {type}.", "'{found}' er ikke gyldig {type}.",
        "{remedy}", "{råd}",
    ),
    "control-character": (
        "error", "value", 422,
        "The text holds the control character {found}.", "Teksten inneholder kontrolltegnet {found}.",
        "Remove it; only tab, new line and carriage return are allowed.",
        "Fjern det; bare tabulator, linjeskift og vognretur er tillatt.",
    ),
    "value-empty": (
        "error", "structure", 422,
        "{name} is empty.", "{name} er tomt.",
        "Give it a value, or leave it out.", "Gi det en verdi, eller utelat det.",
    ),
    "null-not-allowed": (
        "error", "structure", 422,
        "{name} is null.", "{name} er null.",
        "Leave it out; null may only hold the place of an item that has extensions.",
        "Utelat det; null kan bare holde plassen til et punkt som har utvidelser.",
    ),
    "primitive-arrays-differ": (
        "error", "structure", 422,
        "{name} has {count} items and _{name} has {twins}.", "{name} har {count} punkter og _{name} har {twins}.",
        "Make them equally long; null holds the place of what is not there.",
        "Gjør dem like lange; null holder plassen til det som ikke finnes.",
    ),
    "choice-repeated": (
        "error", "structure", 422,
        "{name} is given as more than one type: {found}.", "{name} er gitt som mer enn én type: {found}.",
        "Keep one of them.", "Behold én av dem.",
    ),
    "choice-type-not-allowed": (
        "error", "structure", 422,
        "{name} may not be of the type {found}.", "{name} kan ikke ha typen {found}.",
        "Allowed types: {allowed}.", "Tillatte typer: {allowed}.",
    ),
    "string-too-long": (
        "error", "too-long", 422,
        "The text has {count} characters, and {limit} are allowed.",
        "Teksten har {count} tegn, og {limit} er tillatt.",
        "Shorten it.", "Kort den ned.",
    ),
    "value-out-of-range": (
        "error", "value", 422,
        "'{found}' is outside what is allowed: {bound}.", "'{found}' er utenfor det tillatte: {grense}.",
        "Give a value inside the range.", "Gi en verdi innenfor området.",
    ),
    "id-repeated": (
        "error", "duplicate", 422,
        "Two contained resources have the id '{found}'.", "To innebygde ressurser har id-en '{found}'.",
        "Give each its own id.", "Gi hver sin egen id.",
    ),
    # ---- narrative
    "narrative-not-xml": (
        "error", "structure", 422,
        "The narrative is not well-formed XHTML: {reason}.", "Fortellingsteksten er ikke velformet XHTML: {grunn}.",
        "Send one <div xmlns=\"http://www.w3.org/1999/xhtml\"> that is closed.",
        "Send én <div xmlns=\"http://www.w3.org/1999/xhtml\"> som er lukket.",
    ),
    "narrative-not-allowed": (
        "error", "invalid", 422,
        "The narrative holds {found}, which is not allowed.", "Fortellingsteksten har {found}, som ikke er tillatt.",
        "Use basic formatting, tables, links and images only.",
        "Bruk bare enkel formatering, tabeller, lenker og bilder.",
    ),
    "narrative-empty": (
        "error", "required", 422,
        "The narrative has no text and no image.", "Fortellingsteksten har verken tekst eller bilde.",
        "Write something, or leave the narrative out.", "Skriv noe, eller utelat fortellingsteksten.",
    ),
    # ---- codes
    "code-not-in-binding": (
        "error", "code-invalid", 422,
        "{found} is not in the value set {value_set}, which is required here.",
        "{found} er ikke i verdisettet {value_set}, som er påkrevd her.",
        "Use one of: {allowed}{nearest}.", "Bruk en av: {allowed}{likest}.",
    ),
    "code-outside-binding": (
        "warning", "code-invalid", 200,
        "{found} is not in the value set {value_set}, which is to be used where one of its codes fits.",
        "{found} er ikke i verdisettet {value_set}, som skal brukes når en av kodene passer.",
        "Use one of these if it fits: {allowed}{nearest}.", "Bruk en av disse om den passer: {allowed}{likest}.",
    ),
    "code-missing-for-binding": (
        "error", "code-invalid", 422,
        "There is no code, and one from the value set {value_set} is required here.",
        "Det er ingen kode, og en fra verdisettet {value_set} er påkrevd her.",
        "Add a coding; a text alone is not enough. Codes: {allowed}.",
        "Legg til en koding; tekst alene er ikke nok. Koder: {allowed}.",
    ),
    "code-out-of-use": (
        "warning", "code-invalid", 200,
        "{found} is out of use, or holds for another time.", "{found} er ute av bruk, eller gjelder for en annen tid.",
        "Use a code that is in use.", "Bruk en kode som er i bruk.",
    ),
    "binding-unknown": (
        "information", "incomplete", 200,
        "Whether {found} is in the value set {value_set} cannot be known here.",
        "Om {found} er i verdisettet {value_set}, kan ikke avgjøres her.",
        "Import its code system, or load the package that has it.",
        "Importer kodeverket, eller last pakken som har det.",
    ),
    "display-differs": (
        "warning", "invalid", 200,
        "The display '{found}' does not belong to the code '{code}' of {system}: that is '{expected}'.",
        "Teksten '{found}' hører ikke til koden '{code}' i {system}: den er '{expected}'.",
        "Send the display of the code, or none.", "Send kodens tekst, eller ingen.",
    ),
    # ---- references
    "reference-type-differs": (
        "error", "value", 422,
        "The type of the reference is '{named}', and it points at {found}.",
        "Typen til referansen er '{named}', og den peker på {funnet}.",
        "Write the type that it points at, or leave the type out.",
        "Skriv typen den peker på, eller utelat typen.",
    ),
    "reference-target-profile": (
        "error", "structure", 422,
        "What the reference points at keeps to none of the profiles that are allowed here.",
        "Det referansen peker på, følger ingen av profilene som er tillatt her.",
        "Allowed: {allowed}. Validate the target by one of them to see why it does not.",
        "Tillatt: {allowed}. Valider målet mot en av dem for å se hvorfor det ikke følger den.",
    ),
    "reference-target": (
        "error", "structure", 422,
        "The reference points at {found}.", "Referansen peker på {funnet}.",
        "Allowed here: {allowed}.", "Tillatt her: {allowed}.",
    ),
    "reference-format": (
        "error", "value", 422,
        "'{found}' is no form of a reference.", "'{found}' er ingen form for referanse.",
        "Write Type/id, an absolute URL, urn:uuid:, urn:oid: or #id.",
        "Skriv Type/id, en absolutt URL, urn:uuid:, urn:oid: eller #id.",
    ),
    "reference-contained-missing": (
        "error", "not-found", 422,
        "No contained resource has the id '{found}'.", "Ingen innebygd ressurs har id-en '{found}'.",
        "Contained here: {allowed}{nearest}.", "Innebygd her: {allowed}{likest}.",
    ),
    # ---- extensions
    "extension-unknown": (
        "information", "extension", 200,
        "The extension '{found}' is not known here, and its value was not judged.",
        "Utvidelsen '{found}' er ikke kjent her, og verdien er ikke vurdert.",
        "Load the package that defines it{nearest}.", "Last pakken som definerer den{likest}.",
    ),
    "extension-url-relative": (
        "error", "value", 422,
        "The URL of the extension, '{found}', is not absolute.", "URL-en til utvidelsen, '{found}', er ikke absolutt.",
        "Write the whole canonical; only a part of an extension has a short name.",
        "Skriv hele den kanoniske adressen; bare en del av en utvidelse har et kort navn.",
    ),
    "modifier-extension-unknown": (
        "error", "extension", 422,
        "The modifier extension '{found}' is not known here, and changes the meaning of what it stands in.",
        "Modifikatorutvidelsen '{found}' er ikke kjent her, og endrer meningen av det den står i.",
        "Load the package that defines it{nearest}, or remove it.",
        "Last pakken som definerer den{likest}, eller fjern den.",
    ),
    "extension-context": (
        "error", "extension", 422,
        "The extension '{found}' may not stand in {parent}.", "Utvidelsen '{found}' kan ikke stå i {parent}.",
        "It belongs in: {allowed}.", "Den hører hjemme i: {allowed}.",
    ),
    "extension-not-modifier": (
        "error", "extension", 422,
        "The extension '{found}' is no modifier.", "Utvidelsen '{found}' er ingen modifikator.",
        "Move it from modifierExtension to extension.", "Flytt den fra modifierExtension til extension.",
    ),
    "extension-is-modifier": (
        "error", "extension", 422,
        "The extension '{found}' is a modifier.", "Utvidelsen '{found}' er en modifikator.",
        "Move it from extension to modifierExtension.", "Flytt den fra extension til modifierExtension.",
    ),
    # ---- profiles
    "fixed-differs": (
        "error", "value", 422,
        "{place} must be {expected}, and is {found}.", "{place} må være {ventet}, og er {funnet}.",
        "Write the value exactly as the profile fixes it.", "Skriv verdien nøyaktig slik profilen fastsetter den.",
    ),
    "pattern-differs": (
        "error", "value", 422,
        "{place} must have {expected}, and has {found}.", "{place} må ha {ventet}, og har {funnet}.",
        "Write what the pattern of the profile asks for.", "Skriv det som profilens mønster krever.",
    ),
    "slice-missing": (
        "error", "required", 422,
        "{name} has {count} items of the slice '{slice}', and at least {min} needed.{nearest}",
        "{name} har {count} punkter av utsnittet '{slice}', og minst {min} trengs.{likest}",
        "Add an item with {wanted}.", "Legg til et punkt med {wanted}.",
    ),
    "slice-too-many": (
        "error", "structure", 422,
        "{name} has {count} items of the slice '{slice}', and at most {max} allowed.",
        "{name} har {count} punkter av utsnittet '{slice}', og høyst {max} er tillatt.",
        "Remove what is too many.", "Fjern det som er for mye.",
    ),
    "slice-closed": (
        "error", "structure", 422,
        "This item is of none of the slices: {allowed}.{nearest}",
        "Punktet hører til ingen av utsnittene: {allowed}.{likest}",
        "The profile allows no others; correct it or remove it.",
        "Profilen tillater ingen andre; rett det eller fjern det.",
    ),
    "slice-order": (
        "error", "structure", 422,
        "This item of the slice '{slice}' stands after {after}.",
        "Punktet av utsnittet '{slice}' står etter {etter}.",
        "Order of the profile: {allowed}.", "Profilens rekkefølge: {allowed}.",
    ),
    "slice-unknown": (
        "warning", "incomplete", 200,
        "Whether this item is of the slice '{slice}' cannot be known here: {reason}.",
        "Om punktet hører til utsnittet '{slice}', kan ikke avgjøres her: {grunn}.",
        "Load the package or the code system that it rests on.",
        "Last pakken eller kodeverket som det hviler på.",
    ),
    "profile-unknown": (
        "warning", "not-found", 200,
        "The profile '{found}' is not known here, and was not judged.",
        "Profilen '{found}' er ikke kjent her, og er ikke vurdert.",
        "Load the package that has it, or remove the claim{nearest}.",
        "Last pakken som har den, eller fjern påstanden{likest}.",
    ),
    "profile-wrong-type": (
        "error", "invalid", 422,
        "The profile '{found}' is for {expected}, and this is {type}.",
        "Profilen '{found}' gjelder {expected}, og dette er {type}.",
        "Remove the claim, or name a profile of {type}.", "Fjern påstanden, eller nevn en profil av {type}.",
    ),
    "profile-not-met": (
        "error", "structure", 422,
        "The value keeps to none of the profiles {allowed}.{reason}",
        "Verdien følger ingen av profilene {allowed}.{grunn}",
        "Make it keep to one of them.", "Få den til å følge en av dem.",
    ),
    "profile-incomplete": (
        "warning", "incomplete", 200,
        "The profile rests on '{found}', which is not known here; that part was not judged.",
        "Profilen hviler på '{found}', som ikke er kjent her; den delen er ikke vurdert.",
        "Load the package that has it.", "Last pakken som har den.",
    ),
    # ---- constraints
    "constraint-failed": (
        "error", "invariant", 422,
        "{text} ({key})", "{tekst} ({key})",
        "Change {at} so that this holds.", "Endre {at} slik at dette stemmer.",
    ),
    "constraint-warned": (
        "warning", "invariant", 200,
        "{text} ({key})", "{tekst} ({key})",
        "This is advised for {at}.", "Dette anbefales for {at}.",
    ),
    "constraint-not-evaluated": (
        "warning", "incomplete", 200,
        "The constraint {key} could not be judged: {reason}.", "Kravet {key} kunne ikke vurderes: {grunn}.",
        "It says: {text}", "Det sier: {tekst}",
    ),
    # ---- Bundles
    "bundle-full-url": (
        "error", "value", 422,
        "The fullUrl '{found}' does not fit: {reason}.", "fullUrl '{found}' passer ikke: {grunn}.",
        "Write an absolute URL that ends in Type/id of the resource, or urn:uuid: with a UUID in lower case.",
        "Skriv en absolutt URL som slutter på Type/id til ressursen, eller urn:uuid: med en UUID i små bokstaver.",
    ),
    "bundle-full-url-missing": (
        "error", "required", 422,
        "The entry has a resource and no fullUrl.", "Posten har en ressurs og ingen fullUrl.",
        "Give it a fullUrl; in a Bundle of the type {type} it is needed.",
        "Gi den en fullUrl; i en Bundle av typen {type} trengs den.",
    ),
    "bundle-full-url-repeated": (
        "error", "duplicate", 422,
        "The fullUrl '{found}' stands in entry {first} already, in the same version.",
        "fullUrl '{found}' står allerede i post {first}, i samme versjon.",
        "Give each resource once; versions of it differ in meta.versionId.",
        "Gi hver ressurs én gang; versjoner av den skiller seg i meta.versionId.",
    ),
    "bundle-reference-unresolved": (
        "error", "not-found", 422,
        "No entry of the Bundle is what '{found}' points at.", "Ingen post i Bundle er det '{found}' peker på.",
        "Add the entry, or write its fullUrl{nearest}.", "Legg til posten, eller skriv dens fullUrl{likest}.",
    ),
    "bundle-entry-nested": (
        "warning", "structure", 200,
        "A Bundle stands inside a Bundle of the type {type}; references do not reach across.",
        "En Bundle står inne i en Bundle av typen {type}; referanser når ikke på tvers.",
        "Send it on its own.", "Send den for seg.",
    ),
    # ---- limits
    "issues-cut-off": (
        "information", "informational", 200,
        "{shown} of {count} issues are shown.", "{shown} av {count} funn vises.",
        "Correct these first.", "Rett disse først.",
    ),
}  # fmt: skip
