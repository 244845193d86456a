"""What can be said of a resource on its way to a record."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "resource-stored": (
        "information", "informational", 200,
        "The whole resource is in the record.", "Hele ressursen er i posten.",
        "", "",
    ),
    "element-kept": (
        "information", "informational", 200,
        "No mapping row takes this element; it is kept beside the record and comes back on read.",
        "Ingen rad i mappingen tar dette elementet; det er lagret ved siden av posten og kommer tilbake ved lesing.",
        "", "",
    ),
    "element-added": (
        "information", "informational", 200,
        "The record gives this element too; it was not sent.", "Posten gir dette elementet også; det ble ikke sendt.",
        "", "",
    ),
    "remainder-without-place": (
        "warning", "incomplete", 200,
        "{count} elements that were kept beside the record have lost their place, for the record has changed since.",
        "{count} elementer som ble lagret ved siden av posten, har mistet plassen sin, for posten er endret siden.",
        "Write the resource again with the elements where they belong.",
        "Skriv ressursen på nytt med elementene der de hører hjemme.",
    ),
    "element-not-r4": (
        "error", "structure", 422,
        "FHIR R4 has no element '{element}' here{nearest}.", "FHIR R4 har ikke noe element '{element}' her{nearest}.",
        "Correct the name, or leave it out.", "Rett navnet, eller utelat det.",
    ),
    "element-shape": (
        "error", "structure", 422,
        "The JSON is not of the form that FHIR R4 gives this element: {expected} is expected.",
        "JSON-en har ikke formen som FHIR R4 gir dette elementet: {expected} er ventet.",
        "Correct the value.", "Rett verdien.",
    ),
    "resource-not-mapped": (
        "error", "not-supported", 422,
        "No mapping takes this {type}: {reason}.", "Ingen mapping tar denne {type}: {reason}.",
        "Mappings of the type: {allowed}.", "Mappinger av typen: {allowed}.",
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
    "list-item-repeated": (
        "error", "duplicate", 422,
        "Two items of the list {list} have the same {fields}.", "To elementer i listen {list} har samme {fields}.",
        "Send each item once.", "Send hvert element én gang.",
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
}  # fmt: skip
