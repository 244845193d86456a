"""What can be wrong with a search for codes by a value set, by what is above or below, or by the type of a number."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "search-value-set-unknown": (
        "error", "not-found", 400,
        "The parameter '{name}' names a value set that is not known here.",
        "Parameteren '{name}' nevner et verdisett som ikke er kjent her.",
        "Give the URL of a value set, or ValueSet/id, as GET /ValueSet lists them{nearest}.",
        "Oppgi URL-en til et verdisett, eller ValueSet/id, slik GET /ValueSet lister dem{nearest}.",
    ),
    "search-codes-not-listed": (
        "error", "not-supported", 400,
        "The codes that '{name}' asks for cannot be listed: those of {system} are not here.",
        "Kodene som '{name}' spør etter, kan ikke listes: de i {system} finnes ikke her.",
        "Name a value set of code systems that GET /CodeSystem lists, or search for the codes one by one.",
        "Nevn et verdisett av kodeverk som GET /CodeSystem lister, eller søk etter kodene én for én.",
    ),
    "search-codes-too-many": (
        "error", "too-costly", 400,
        "'{name}' asks for more than {limit} codes of {system}.",
        "'{name}' spør etter mer enn {limit} koder i {system}.",
        "Search for all codes of a system as {name}=system|, or name a smaller value set.",
        "Søk etter alle koder i et kodeverk som {name}=system|, eller nevn et mindre verdisett.",
    ),
    "search-code-unknown": (
        "error", "code-invalid", 400,
        "The code system {system} has no such code as '{name}' names, so nothing is known to be above or below it.",
        "Kodeverket {system} har ingen slik kode som '{name}' nevner, så ingenting er kjent over eller under den.",
        "Look the code up with CodeSystem/$lookup.", "Slå opp koden med CodeSystem/$lookup.",
    ),
}  # fmt: skip
