"""The rows of the issue catalogue; a code is never reused for another meaning.

Each row: severity, FHIR issue type, HTTP status, sentence en, sentence nb, remedy en, remedy nb.
"""

from __future__ import annotations

ROWS: dict[str, tuple[str, str, int, str, str, str, str]] = {
    # --- reading and searching
    "not-found": (
        "error", "not-found", 404,
        "There is no {type} with this id.", "Det finnes ingen {type} med denne id-en.",
        "Search for the resource to learn its id.", "Søk etter ressursen for å finne id-en.",
    ),
    "type-unknown": (
        "error", "not-supported", 404,
        "'{type}' is no resource type of this server.", "'{type}' er ingen ressurstype på denne tjeneren.",
        "Types served: {allowed}{nearest}.", "Typer som tilbys: {allowed}{nearest}.",
    ),
    "path-unknown": (
        "error", "not-found", 404,
        "Nothing is served at this path.", "Ingenting ligger på denne stien.",
        "See [base]/metadata for what is served.", "Se [base]/metadata for hva som tilbys.",
    ),
    "method-not-allowed": (
        "error", "not-supported", 405,
        "{method} cannot be used here.", "{method} kan ikke brukes her.",
        "Allowed: {allowed}.", "Tillatt: {allowed}.",
    ),
    "format-not-acceptable": (
        "error", "not-supported", 406,
        "The format '{format}' cannot be given.", "Formatet '{format}' kan ikke gis.",
        "Ask for application/fhir+json.", "Be om application/fhir+json.",
    ),
    "search-parameter-unknown": (
        "error", "not-supported", 400,
        "{type} has no search parameter '{name}' here.", "{type} har ingen søkeparameter '{name}' her.",
        "Parameters served: {allowed}{nearest}.", "Parametere som tilbys: {allowed}{nearest}.",
    ),
    "search-modifier-unknown": (
        "error", "not-supported", 400,
        "The parameter '{name}' does not take the modifier ':{modifier}'.",
        "Parameteren '{name}' tar ikke modifikatoren ':{modifier}'.",
        "Modifiers it takes: {allowed}.", "Modifikatorer den tar: {allowed}.",
    ),
    "search-value-invalid": (
        "error", "value", 400,
        "The value of '{name}' is not a valid {type} value: {reason}.",
        "Verdien for '{name}' er ikke en gyldig {type}-verdi: {reason}.",
        "Example: {example}.", "Eksempel: {example}.",
    ),
    "person-number-in-url": (
        "error", "security", 400,
        "A national identity number may not stand in a URL.", "Et fødselsnummer skal ikke stå i en URL.",
        "Send the search as POST to [base]/{type}/_search.", "Send søket som POST til [base]/{type}/_search.",
    ),
    "page-token-invalid": (
        "error", "value", 400,
        "The page token is not one of ours, or belongs to another search.",
        "Sidenøkkelen er ikke vår, eller hører til et annet søk.",
        "Start the search again from its first page.", "Start søket på nytt fra første side.",
    ),
    "code-not-mapped": (
        "warning", "code-invalid", 200,
        "Code '{code}' of field {field} is not in the code map {map} ({at}); the original coding is kept.",
        "Koden '{code}' i feltet {field} er ikke i kodeoversettelsen {map} ({at}); original koding er beholdt.",
        "Add the code to the map.", "Legg koden til i oversettelsen.",
    ),
    "value-not-usable": (
        "warning", "value", 200,
        "The value of field {field} cannot be written as FHIR: {reason} ({at}).",
        "Verdien i feltet {field} kan ikke skrives som FHIR: {reason} ({at}).",
        "Correct the record.", "Rett posten.",
    ),
    # --- FHIR → record
    "element-kept": (
        "information", "informational", 200,
        "No mapping row takes this element; it is kept beside the record and comes back on read.",
        "Ingen rad i mappingen tar dette elementet; det er lagret ved siden av posten og kommer tilbake ved lesing.",
        "", "",
    ),
    "element-not-taken": (
        "error", "not-supported", 422,
        "No mapping row takes this element, and nothing may be kept beside the record here.",
        "Ingen rad i mappingen tar dette elementet, og ingenting kan lagres ved siden av posten her.",
        "Leave the element out, or write with the policy keep.",
        "Utelat elementet, eller skriv med regelen keep.",
    ),
    "element-not-stored": (
        "warning", "not-supported", 200,
        "No mapping row takes this element; it is not stored.",
        "Ingen rad i mappingen tar dette elementet; det er ikke lagret.",
        "Write with the policy keep to have it kept.", "Skriv med regelen keep for å få det lagret.",
    ),
    "element-refused": (
        "error", "conflict", 422,
        "The record cannot hold this value: '{sent}' was sent, and the record gives '{given}' back.",
        "Posten kan ikke holde denne verdien: '{sent}' ble sendt, og posten gir '{given}' tilbake.",
        "Send values that agree with each other, or leave the element out.",
        "Send verdier som stemmer overens, eller utelat elementet.",
    ),
    "element-needed": (
        "error", "required", 422,
        "The field {field} must have a value, and no element gave it one.",
        "Feltet {field} må ha en verdi, og ingen elementer ga det en.",
        "Send the element named here.", "Send elementet som er nevnt her.",
    ),
    "element-defaulted": (
        "information", "informational", 200,
        "The element was not sent; the record got '{default}' ({at}).",
        "Elementet ble ikke sendt; posten fikk '{default}' ({at}).",
        "", "",
    ),
    "value-not-storable": (
        "error", "value", 422,
        "The field {field} cannot hold this value ({at}).", "Feltet {field} kan ikke holde denne verdien ({at}).",
        "Send the whole value in the form that the mapping writes.",
        "Send hele verdien på den formen som mappingen skriver.",
    ),
    "code-not-in-map": (
        "error", "code-invalid", 422,
        "The code '{code}' leads to no code of the record: the code map {map} has none for it ({at}).",
        "Koden '{code}' fører ikke til noen kode i posten: oversettelsen {map} har ingen for den ({at}).",
        "Codes that can be sent: {allowed}.", "Koder som kan sendes: {allowed}.",
    ),
    "id-not-ours": (
        "error", "value", 422,
        "The id does not begin with '{prefix}', so it is none of this mapping ({at}).",
        "Id-en begynner ikke med '{prefix}', så den hører ikke til denne mappingen ({at}).",
        "Use the id that the resource was read with.", "Bruk id-en som ressursen ble lest med.",
    ),
    "key-not-readable": (
        "error", "not-found", 422,
        "No record is known behind this id ({at}).", "Ingen post er kjent bak denne id-en ({at}).",
        "Refer to a resource that was read from this server.",
        "Vis til en ressurs som er lest fra denne tjeneren.",
    ),
    "value-hidden": (
        "warning", "business-rule", 200,
        "The record's value of {field} is not shown, because {guards} does not hold ({at}).",
        "Postens verdi for {field} vises ikke, fordi {guards} ikke er oppfylt ({at}).",
        "Correct the record, or map the field in a row without this guard.",
        "Rett posten, eller map feltet i en rad uten denne betingelsen.",
    ),
    "value-absent": (
        "information", "incomplete", 200,
        "The record has no value of {field}; the element says '{reason}' instead ({at}).",
        "Posten har ingen verdi for {field}; elementet sier «{reason}» i stedet ({at}).",
        "Nothing needs to be done unless the value is known.",
        "Ingenting må gjøres med mindre verdien er kjent.",
    ),
    "internal-error": (
        "fatal", "exception", 500,
        "Something failed inside the server.", "Noe gikk galt i tjeneren.",
        "Give the request id {request_id} to those who run the server.",
        "Oppgi forespørsels-id {request_id} til dem som drifter tjeneren.",
    ),
    # --- loading records
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
    # --- HTTP and the library
    "id-invalid": (
        "error", "value", 400,
        "This is no FHIR id.", "Dette er ingen FHIR-id.",
        "An id has 1 to 64 of the characters A-Z, a-z, 0-9, '-' and '.'.",
        "En id har 1 til 64 av tegnene A-Z, a-z, 0-9, '-' og '.'.",
    ),
    "search-parameter-ignored": (
        "warning", "not-supported", 200,
        "{type} has no search parameter '{name}' here; it was ignored, as handling=lenient allows.",
        "{type} har ingen søkeparameter '{name}' her; den ble oversett, slik handling=lenient tillater.",
        "Parameters served: {allowed}{nearest}.", "Parametere som tilbys: {allowed}{nearest}.",
    ),
    "sort-unknown": (
        "error", "not-supported", 400,
        "{type} cannot be sorted by '{name}' here.", "{type} kan ikke sorteres etter '{name}' her.",
        "Sort keys: {allowed}{nearest}.", "Sorteringsnøkler: {allowed}{nearest}.",
    ),
    "parameter-repeated": (
        "error", "value", 400,
        "'{name}' is given more than once.", "'{name}' er gitt mer enn én gang.",
        "Give it once.", "Gi den én gang.",
    ),
    "search-too-complex": (
        "error", "too-costly", 400,
        "The search has too many {what}: at most {limit} are taken.",
        "Søket har for mange {what}: høyst {limit} tas imot.",
        "Split the search.", "Del opp søket.",
    ),
    "body-too-large": (
        "error", "too-long", 413,
        "The body is larger than {limit} bytes.", "Innholdet er større enn {limit} byte.",
        "Send less.", "Send mindre.",
    ),
    "media-type-unsupported": (
        "error", "not-supported", 415,
        "A body of this media type is not read here.", "Innhold av denne medietypen leses ikke her.",
        "Send {allowed}.", "Send {allowed}.",
    ),
    "record-not-rendered": (
        "warning", "exception", 200,
        "One matching record could not be written as FHIR and is left out (reference {row}).",
        "En post som svarer til søket, kunne ikke skrives som FHIR og er utelatt (referanse {row}).",
        "Give the reference to those who run the server.", "Oppgi referansen til dem som drifter tjeneren.",
    ),
    "kind-unknown": (
        "error", "not-found", 400,
        "There is no mapping for the record kind '{kind}'{resource}.",
        "Det finnes ingen mapping for postslaget '{kind}'{resource}.",
        "Mapped: {allowed}{nearest}.", "Mappet: {allowed}{nearest}.",
    ),
    "element-unknown-here": (
        "error", "value", 400,
        "'{path}' is no element of this resource.", "'{path}' er ikke noe element i denne ressursen.",
        "Items of a list have an index: type[0].coding[0].code{nearest}.",
        "Punkter i en liste har en indeks: type[0].coding[0].code{nearest}.",
    ),
    "page-not-acceptable": (
        "error", "not-supported", 406,
        "The page cannot be given as '{format}'.", "Siden kan ikke gis som '{format}'.",
        "Ask for one of: {allowed}.", "Be om en av: {allowed}.",
    ),
    "mapping-unknown": (
        "error", "not-found", 404,
        "There is no mapping '{name}'.", "Det finnes ingen mapping '{name}'.",
        "Mappings: {allowed}{nearest}.", "Mappinger: {allowed}{nearest}.",
    ),
    # --- the store
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
