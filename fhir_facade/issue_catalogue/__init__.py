"""Every issue that the product can tell of; a code is never reused for another meaning."""

from __future__ import annotations

from fhir_facade.issue_catalogue import (
    bundles,
    changing,
    http,
    including,
    loading,
    measures,
    npr,
    patching,
    search_codes,
    storing,
    terminology,
    terminology_import,
    validation,
    validation_requests,
    writing,
)
from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = {
    code: row
    for rows in (
        changing,
        bundles,
        http,
        including,
        search_codes,
        writing,
        loading,
        measures,
        npr,
        patching,
        storing,
        terminology,
        terminology_import,
        validation,
        validation_requests,
    )
    for code, row in rows.ROWS.items()
}
