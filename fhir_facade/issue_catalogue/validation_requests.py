"""What can be said of a validation itself: how it was asked for, and that nothing is wrong."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "resource-valid": (
        "information", "informational", 200,
        "No faults were found.", "Ingen feil er funnet.",
        "", "",
    ),
    "resource-exists": (
        "information", "informational", 200,
        "There is such a {type}; this server deletes nothing.",
        "Det finnes en slik {type}; denne tjeneren sletter ikke.",
        "", "",
    ),
    "type-not-of-path": (
        "error", "invalid", 422,
        "This is a {found}, and the path says {type}.", "Dette er en {found}, og stien sier {type}.",
        "Send it to [base]/{found}/$validate, or to [base]/$validate.",
        "Send den til [base]/{found}/$validate, eller til [base]/$validate.",
    ),
    "id-not-of-path": (
        "error", "value", 422,
        "The id is not that of the path.", "Id-en er ikke den som står i stien.",
        "Send the resource with the id of the path.", "Send ressursen med id-en i stien.",
    ),
    "id-needed-for-update": (
        "error", "required", 422,
        "The resource has no id, and an update needs one.", "Ressursen har ingen id, og en oppdatering trenger den.",
        "Add the id, or ask with mode create.", "Legg til id-en, eller spør med mode create.",
    ),
    "file-damaged": (
        "fatal", "incomplete", 400,
        "The compressed file is cut off or damaged.", "Den komprimerte filen er avkortet eller ødelagt.",
        "Fetch it once more.", "Hent den på nytt.",
    ),
    "lines-too-many": (
        "error", "too-costly", 413,
        "The body has more than {limit} lines.", "Innholdet har flere enn {limit} linjer.",
        "Send it in parts, or use: fhir-facade validate.", "Send det i deler, eller bruk: fhir-facade validate.",
    ),
}  # fmt: skip
