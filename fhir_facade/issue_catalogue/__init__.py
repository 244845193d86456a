"""Every issue that the product can tell of; a code is never reused for another meaning."""

from __future__ import annotations

from fhir_facade.issue_catalogue import http, loading, terminology, terminology_import, writing
from fhir_facade.issue_catalogue.row import Rows

ROWS: Rows = http.ROWS | writing.ROWS | loading.ROWS | terminology.ROWS | terminology_import.ROWS
