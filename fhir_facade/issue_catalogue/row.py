"""What one row of the catalogue says."""

from __future__ import annotations

Rows = dict[str, tuple[str, str, int, str, str, str, str]]
"""By issue code: severity, FHIR issue type, HTTP status, sentence en, sentence nb, remedy en, remedy nb."""
