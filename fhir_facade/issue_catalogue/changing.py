"""What can be said of a request to change something: conditions, versions, what stands in the way."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "resource-deleted": (
        "error", "deleted", 410,
        "This {type} has been deleted.", "Denne {type} er slettet.",
        "Its history still has it: [base]/{type}/[id]/_history.",
        "Historikken har den ennå: [base]/{type}/[id]/_history.",
    ),
    "resource-exists-already": (
        "error", "duplicate", 409,
        "The store already has the {type} that this resource describes.",
        "Lageret har allerede den {type} som ressursen beskriver.",
        "Update it with PUT, or create with If-None-Exist.",
        "Oppdater den med PUT, eller opprett med If-None-Exist.",
    ),
    "resource-there-already": (
        "error", "conflict", 412,
        "If-None-Match says that there must be no such {type} yet, and there is one.",
        "If-None-Match sier at det ikke skal finnes en slik {type} ennå, og det gjør det.",
        "Leave the header out to update it.", "Utelat headeren for å oppdatere den.",
    ),
    "version-differs": (
        "error", "conflict", 412,
        "If-Match does not name the version that is stored; stored is {now}.",
        "If-Match nevner ikke versjonen som er lagret; lagret er {now}.",
        "Read the resource again, make the change in it and send its ETag.",
        "Les ressursen på nytt, gjør endringen i den og send dens ETag.",
    ),
    "if-match-needed": (
        "error", "conflict", 428,
        "This server changes nothing without If-Match.", "Denne tjeneren endrer ingenting uten If-Match.",
        "Send the ETag that the resource was read with.", "Send ETag-en som ressursen ble lest med.",
    ),
    "condition-matches-several": (
        "error", "multiple-matches", 412,
        "The condition is met by more than one {type}.", "Mer enn én {type} oppfyller betingelsen.",
        "Search by something that only one of them has, or name the id.",
        "Søk på noe som bare én av dem har, eller bruk id-en.",
    ),
    "condition-matches-none": (
        "error", "not-found", 404,
        "No {type} meets the condition.", "Ingen {type} oppfyller betingelsen.",
        "Check the search parameters.", "Kontroller søkeparameterne.",
    ),
    "condition-empty": (
        "error", "required", 400,
        "The condition restricts nothing.", "Betingelsen begrenser ingenting.",
        "Give search parameters such as identifier=system|value.",
        "Oppgi søkeparametere som identifier=system|verdi.",
    ),
    "condition-not-search": (
        "error", "not-supported", 400,
        "'{name}' does not restrict what is found, so it is no part of a condition.",
        "'{name}' begrenser ikke det som finnes, så det hører ikke hjemme i en betingelse.",
        "Leave it out.", "Utelat det.",
    ),
    "resource-of-other-type": (
        "error", "invalid", 400,
        "This is a {found}, and the path says {type}.", "Dette er en {found}, og stien sier {type}.",
        "Send it to [base]/{found}.", "Send den til [base]/{found}.",
    ),
    "id-missing": (
        "error", "required", 400,
        "The resource has no id, and an update needs one.", "Ressursen har ingen id, og en oppdatering trenger den.",
        "Send it with the id of the path.", "Send den med id-en i stien.",
    ),
    "id-differs": (
        "error", "value", 400,
        "The id is not that of the path.", "Id-en er ikke den som står i stien.",
        "Send the resource with the id of the path.", "Send ressursen med id-en i stien.",
    ),
    "id-not-of-condition": (
        "error", "value", 400,
        "The resource has another id than the one that meets the condition.",
        "Ressursen har en annen id enn den som oppfyller betingelsen.",
        "Leave the id out, or correct the condition.", "Utelat id-en, eller rett betingelsen.",
    ),
    "create-on-update-off": (
        "error", "not-supported", 405,
        "There is no {type} with this id, and an update makes none here.",
        "Det finnes ingen {type} med denne id-en, og en oppdatering lager ingen her.",
        "Create it with POST.", "Opprett den med POST.",
    ),
    "key-changed": (
        "error", "conflict", 422,
        "The identifiers of the resource are those of another record than its id.",
        "Identifikatorene i ressursen hører til en annen post enn id-en.",
        "Send the identifiers that it was read with, or create a new resource.",
        "Send identifikatorene den ble lest med, eller opprett en ny ressurs.",
    ),
    "record-contains": (
        "error", "conflict", 409,
        "Other records would be deleted with it ({contents}).",
        "Andre poster ville blitt slettet med den ({contents}).",
        "Delete those first, or send the header X-Cascade: delete.",
        "Slett dem først, eller send headeren X-Cascade: delete.",
    ),
    "resource-deleted-now": (
        "information", "informational", 200,
        "The resource is deleted; its history stays.", "Ressursen er slettet; historikken består.",
        "", "",
    ),
    "deleted-with": (
        "information", "informational", 200,
        "{count} of the kind {kind} went with it.", "{count} av slaget {kind} ble slettet med den.",
        "", "",
    ),
    "record-not-as-written": (
        "error", "business-rule", 422,
        "The store did not give back what was written; nothing is changed.",
        "Lageret ga ikke tilbake det som ble skrevet; ingenting er endret.",
        "Tell those who run the server.", "Si fra til dem som drifter tjeneren.",
    ),
    "reference-to-nothing": (
        "error", "not-found", 422,
        "The reference leads to no stored {to}.", "Referansen fører ikke til noen lagret {to}.",
        "Store that resource first, or send both in one transaction.",
        "Lagre den ressursen først, eller send begge i én transaksjon.",
    ),
    "body-needed": (
        "error", "required", 400,
        "A resource is expected in the body.", "En ressurs er ventet i kroppen.",
        "Send it as {allowed}.", "Send den som {allowed}.",
    ),
    "header-invalid": (
        "error", "value", 400,
        "The header {name} cannot be read: {reason}.", "Headeren {name} kan ikke leses: {grunn}.",
        "An example: {example}.", "Et eksempel: {example}.",
    ),
    "dry-run-done": (
        "information", "informational", 200,
        "A dry run: nothing is changed. In earnest it would have been {outcome}.",
        "En prøvekjøring: ingenting er endret. På alvor ville den blitt {utfall}.",
        "", "",
    ),
    "version-unknown": (
        "error", "not-found", 404,
        "There is no version '{version}' of this {type}{now}.",
        "Det finnes ingen versjon '{version}' av denne {type}{naa}.",
        "See which there are: [base]/{type}/[id]/_history.", "Se hvilke som finnes: [base]/{type}/[id]/_history.",
    ),
    "writes-queued": (
        "error", "throttled", 503,
        "More changes are waiting than this server takes.", "Flere endringer venter enn denne tjeneren tar imot.",
        "Send the request again after the seconds in Retry-After.",
        "Send forespørselen igjen etter sekundene i Retry-After.",
    ),
    "idempotency-key-reused": (
        "error", "conflict", 422,
        "This Idempotency-Key came with another request before.",
        "Denne Idempotency-Key-en kom med en annen forespørsel tidligere.",
        "Give each request a key of its own.", "Gi hver forespørsel sin egen nøkkel.",
    ),
}  # fmt: skip
