"""What can be said of records on their way into the store, and of the store."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "not-xml": (
        "fatal", "structure", 400,
        "The file is not well-formed XML: {reason}.", "Filen er ikke velformet XML: {reason}.",
        "Nothing was changed; send the file again whole.", "Ingenting er endret; send hele filen på nytt.",
    ),
    "doctype-refused": (
        "fatal", "security", 400,
        "The file has a DOCTYPE.", "Filen har en DOCTYPE.",
        "Remove it; NPR-melding needs none.", "Fjern den; NPR-melding trenger ingen.",
    ),
    "message-unknown": (
        "fatal", "not-supported", 400,
        "The top element '{element}' in namespace '{namespace}' is no message read here.",
        "Toppelementet '{element}' i navnerommet '{namespace}' er ingen melding som leses her.",
        "Messages read: {allowed}.", "Meldinger som leses: {allowed}.",
    ),
    "element-unknown": (
        "error", "structure", 400,
        "Element '{element}' is not expected inside '{parent}'.",
        "Elementet '{element}' er ikke ventet i '{parent}'.",
        "Expected there: {allowed}.", "Ventet der: {allowed}.",
    ),
    "attribute-unknown": (
        "error", "structure", 400,
        "Element '{element}' has no attribute '{attribute}'.",
        "Elementet '{element}' har ingen attributt '{attribute}'.",
        "Attributes it has: {allowed}.", "Attributter det har: {allowed}.",
    ),
    "field-missing": (
        "error", "required", 400,
        "'{field}' is required in {kind}.", "'{field}' er påkrevd i {kind}.",
        "Give it a value.", "Gi den en verdi.",
    ),
    "field-type": (
        "error", "value", 400,
        "The value of '{field}' is not a valid {type}: {reason}.",
        "Verdien av '{field}' er ikke gyldig {type}: {reason}.",
        "Correct the value.", "Rett verdien.",
    ),
    "field-unknown": (
        "error", "structure", 400,
        "A {kind} has no field '{field}'.", "En {kind} har ikke noe felt '{field}'.",
        "Fields it has: {allowed}.", "Felter den har: {allowed}.",
    ),
    "reference-dangling": (
        "error", "not-found", 400,
        "'{field}' points to a {to} that is neither stored nor in the file.",
        "'{field}' peker på en {to} som verken er lagret eller i filen.",
        "Send the {to} first.", "Send {to} først.",
    ),
    "record-repeated": (
        "error", "duplicate", 400,
        "A second {kind} with the same key stands in the file.",
        "En {kind} til med samme nøkkel står i filen.",
        "Send each {kind} once.", "Send hver {kind} én gang.",
    ),
    "record-under-refused": (
        "error", "incomplete", 400,
        "This {kind} belongs to a {parent} that was refused.",
        "Denne {kind} hører til en {parent} som ble avvist.",
        "Correct the {parent} first.", "Rett {parent} først.",
    ),
    "values-disagree": (
        "error", "conflict", 400,
        "'{field}' is given more than once with different values.",
        "'{field}' er gitt flere ganger med ulike verdier.",
        "Give the same value everywhere.", "Gi samme verdi overalt.",
    ),
    "person-number-as-key": (
        "error", "security", 400,
        "'{field}' is a valid national identity number and may not be a local number.",
        "'{field}' er et gyldig fødselsnummer og kan ikke være et lokalt nummer.",
        "Use the institution's own number; identity numbers belong in the ident message.",
        "Bruk institusjonens eget nummer; identitetsnummer hører hjemme i ident-meldingen.",
    ),
    "delete-unknown": (
        "error", "not-found", 400,
        "Slett names a {kind} that is not stored.", "Slett nevner en {kind} som ikke er lagret.",
        "Check the GUID.", "Kontroller GUID-en.",
    ),
    "delete-not-supported": (
        "error", "not-supported", 400,
        "Slett of object type '{type}' is not done here.", "Slett av objekttype '{type}' gjøres ikke her.",
        "Object types deleted: {allowed}.", "Objekttyper som slettes: {allowed}.",
    ),
    "element-choice": (
        "error", "structure", 400,
        "Exactly one of {allowed} stands in '{parent}'.", "Nøyaktig én av {allowed} står i '{parent}'.",
        "Keep the one that applies.", "Behold den som gjelder.",
    ),
    "element-missing": (
        "error", "required", 400,
        "'{parent}' holds no '{element}'.", "'{parent}' har ingen '{element}'.",
        "Add it, or leave '{parent}' out.", "Legg den til, eller utelat '{parent}'.",
    ),
    "element-repeated": (
        "error", "structure", 400,
        "'{parent}' holds more than one '{element}'.", "'{parent}' har mer enn én '{element}'.",
        "Keep one.", "Behold én.",
    ),
    "text-unexpected": (
        "error", "structure", 400,
        "Text stands in element '{element}', where only attributes are read.",
        "Tekst står i elementet '{element}', der bare attributter leses.",
        "Remove the text.", "Fjern teksten.",
    ),
    "identity-repeated": (
        "error", "duplicate", 400,
        "Another {kind} has the same {fields}.", "En annen {kind} har samme {fields}.",
        "Find out which of the two is right.", "Finn ut hvilken av de to som er riktig.",
    ),
    "file-unreadable": (
        "fatal", "not-found", 400,
        "The file cannot be read: {reason}.", "Filen kan ikke leses: {reason}.",
        "Check its name and who may read it.", "Kontroller navnet og hvem som kan lese den.",
    ),
    "file-kind-unknown": (
        "fatal", "not-supported", 400,
        "The file's name says no record kind: '{name}'.", "Filnavnet sier ingen posttype: '{name}'.",
        "Kinds: {allowed}{nearest}.", "Posttyper: {allowed}{nearest}.",
    ),
    "message-not-stored": (
        "error", "not-found", 404,
        "No envelope of an {module} message is stored, so none can be written.",
        "Ingen konvolutt for en {module}-melding er lagret, så ingen kan skrives.",
        "Load a message first.", "Last en melding først.",
    ),
    "record-not-written": (
        "warning", "incomplete", 200,
        "{count} of {kind} have no place in the {module} message: what they stand in is missing or lacks a value.",
        "{count} av {kind} har ingen plass i {module}-meldingen: det de står i mangler eller mangler en verdi.",
        "Complete the records.", "Fullfør postene.",
    ),
    "line-not-json": (
        "error", "structure", 400,
        "The line is not a JSON object: {reason}.", "Linjen er ikke et JSON-objekt: {reason}.",
        "Write one record a line.", "Skriv én post per linje.",
    ),
    "record-in-use": (
        "error", "conflict", 409,
        "This {kind} cannot be deleted: {by} point at it.", "Denne {kind} kan ikke slettes: {by} peker på den.",
        "Change or delete those first.", "Endre eller slett dem først.",
    ),
    "store-busy": (
        "error", "lock-error", 503,
        "Someone else is writing to the store and does not finish.",
        "Noen andre skriver til lageret og blir ikke ferdig.",
        "Try again.", "Prøv igjen.",
    ),
    "store-other-tables": (
        "fatal", "exception", 500,
        "The tables in this file are not those that the record kinds ask for.",
        "Tabellene i denne filen er ikke dem posttypene krever.",
        "Load the records into a new file.", "Last postene inn i en ny fil.",
    ),
}  # fmt: skip
