"""The forms that findings may be written in, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import BinaryIO

from fhir_facade.npr_reports.findings import Report
from fhir_facade.npr_reports.junit import write_junit
from fhir_facade.npr_reports.page import write_page
from fhir_facade.npr_reports.plain import write_csv, write_json, write_text

WRITERS: Mapping[str, Callable[[Report, BinaryIO], None]] = {
    "text": write_text,
    "json": write_json,
    "csv": write_csv,
    "html": write_page,
    "junit": write_junit,
}
