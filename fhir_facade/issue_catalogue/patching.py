"""What can be said of a patch."""

from __future__ import annotations

from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    "patch-malformed": (
        "error", "structure", 400,
        "The patch cannot be read at {at}: {reason}.", "Patchen kan ikke leses ved {at}: {grunn}.",
        "Correct the patch.", "Rett patchen.",
    ),
    "patch-not-possible": (
        "error", "processing", 422,
        "The patch cannot be carried out at {at}: {reason}.", "Patchen kan ikke utføres ved {at}: {grunn}.",
        "Read the resource, and make the patch for what is there.",
        "Les ressursen, og lag patchen for det som står der.",
    ),
    "patch-test-failed": (
        "error", "conflict", 422,
        "The test at {at} does not hold, so nothing is changed.",
        "Testen ved {at} holder ikke, så ingenting er endret.",
        "Read the resource again, and make the patch anew.", "Les ressursen på nytt, og lag patchen om igjen.",
    ),
    "patch-too-large": (
        "error", "too-costly", 413,
        "The patch asks for more than {limit} operations or values.",
        "Patchen ber om flere enn {limit} operasjoner eller verdier.",
        "Send the whole resource with PUT.", "Send hele ressursen med PUT.",
    ),
    "patch-result": (
        "error", "business-rule", 422,
        "The patch changes {what}, which stays as it is for good.", "Patchen endrer {what}, som alltid er som den er.",
        "Leave it out of the patch.", "Utelat det fra patchen.",
    ),
}  # fmt: skip
