"""What can go wrong with a database on a server."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "store-unreachable": (
        "error", "transient", 503,
        "The database cannot be reached: {reason}.", "Databasen kan ikke nås: {reason}.",
        "Try again in a moment; if it lasts, tell those who run the server.",
        "Prøv igjen om litt; varer det ved, si fra til dem som drifter tjeneren.",
    ),
    "store-too-slow": (
        "error", "timeout", 503,
        "The database took longer than it may, and the question was given up.",
        "Databasen brukte lengre tid enn den har lov til, og spørsmålet ble avbrutt.",
        "Try again, or ask a narrower question: more parameters, a shorter period, a smaller _count.",
        "Prøv igjen, eller spør snevrere: flere parametere, en kortere periode, en mindre _count.",
    ),
    "store-forbids": (
        "error", "forbidden", 403,
        "The database does not let its user do this.", "Databasen lar ikke brukeren sin gjøre dette.",
        "Ask those who run the server: the user of its database needs more rights (docs/databases.md).",
        "Spør dem som drifter tjeneren: brukeren av databasen trenger flere rettigheter (docs/databases.md).",
    ),
    "store-without-tables": (
        "fatal", "exception", 500,
        "There are no records in this database: it has none of the tables.",
        "Det er ingen poster i denne databasen: den har ingen av tabellene.",
        "Load records first: fhir-facade load FILE --db URL.", "Last inn poster først: fhir-facade load FIL --db URL.",
    ),
    "store-older-tables": (
        "fatal", "exception", 500,
        "The tables in this database are not those that the record kinds ask for.",
        "Tabellene i denne databasen er ikke dem posttypene krever.",
        "See what would change: fhir-facade db upgrade --dry-run --db URL.",
        "Se hva som ville endres: fhir-facade db upgrade --dry-run --db URL.",
    ),
    "upgrade-loses": (
        "fatal", "conflict", 409,
        "The tables cannot be brought forward without losing: {what}.",
        "Tabellene kan ikke føres videre uten å miste: {what}.",
        "Nothing is changed. Load the records into a new database.",
        "Ingenting er endret. Last postene inn i en ny database.",
    ),
    "upgrade-of-others": (
        "fatal", "conflict", 409,
        "There are tables with the names of ours that this program did not make.",
        "Det finnes tabeller med våre navn som dette programmet ikke har laget.",
        "Use an empty database, or another schema (options=-csearch_path=NAME in the URL).",
        "Bruk en tom database, eller et annet skjema (options=-csearch_path=NAVN i URL-en).",
    ),
    "view-source": (
        "fatal", "invalid", 400,
        "The views cannot be made: {what}{near}.", "Visningene kan ikke lages: {what}{near}.",
        "Correct the source schema; see docs/databases.md.", "Rett kildeskjemaet; se docs/databases.md.",
    ),
    "store-of-views": (
        "fatal", "not-supported", 409,
        "This database is served through views, and nothing is written through them.",
        "Denne databasen tilbys gjennom visninger, og ingenting skrives gjennom dem.",
        "Write where the records belong.", "Skriv der postene hører hjemme.",
    ),
    "text-with-null": (
        "error", "value", 400,
        "A text with the character U+0000 is in no record.", "Tegnet U+0000 finnes ikke i noen post.",
        "Leave the character out.", "Utelat tegnet.",
    ),
    "outbox-off": (
        "error", "not-found", 404,
        "There is no outbox here: no other system is told of changes.",
        "Det er ingen utboks her: ingen andre systemer får vite om endringer.",
        "Turn it on with FHIR_FACADE_OUTBOX_URL (docs/outbox.md).",
        "Slå den på med FHIR_FACADE_OUTBOX_URL (docs/outbox.md).",
    ),
    "outbox-unknown": (
        "error", "not-found", 404,
        "There is no change of this name in the outbox.", "Det er ingen endring med dette navnet i utboksen.",
        "List what there is: fhir-facade outbox list. What was delivered long ago is forgotten.",
        "List det som er der: fhir-facade outbox list. Det som ble levert for lenge siden, er glemt.",
    ),
    "outbox-settled": (
        "error", "conflict", 409,
        "The change {change} is {state}, and is left as it is.", "Endringen {change} er {state}, og blir som den er.",
        "Only changes that are waiting or dead can be tried again or skipped.",
        "Bare endringer som er waiting eller dead, kan prøves igjen eller hoppes over.",
    ),
    "outbox-overtaken": (
        "error", "conflict", 409,
        "A later change of the same resource than {change} has been told already.",
        "En senere endring av samme ressurs enn {change} er levert allerede.",
        "Skip it: what it says is older than what the receiver has.",
        "Hopp over den: det den sier, er eldre enn det mottakeren har.",
    ),
}  # fmt: skip
