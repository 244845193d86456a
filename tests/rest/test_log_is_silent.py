"""No person number in any log line, wherever a client puts one; the listener of the whole run is proven to hear."""

from __future__ import annotations

import io
from typing import Any

import pytest

from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.surface import FhirLane

NUMBER = "15838512086"  # synthetic: month + 80


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", f"/fhir/Patient/{NUMBER}", {}),
        ("GET", f"/fhir/Patient?identifier={NUMBER}", {}),
        ("GET", f"/fhir/Patient?identifier=urn:oid:2.16.578.1.12.4.1.4.1%7C{NUMBER}", {}),
        ("GET", f"/fhir/{NUMBER}", {}),
        ("GET", f"/fhir/Patient?{NUMBER}=1", {}),
        ("GET", "/fhir/Patient", {"headers": {"X-Request-Id": NUMBER}}),
        ("GET", "/fhir/Patient", {"headers": {"X-Request-Id": f"a{NUMBER[:6]}.{NUMBER[6:]}"}}),
        ("GET", "/fhir/Patient", {"headers": {"User-Agent": NUMBER, "Accept": f"text/{NUMBER}"}}),
        ("POST", "/fhir/Patient/_search", {"data": {"identifier": NUMBER}}),
        ("POST", "/fhir/Patient/_search", {"data": {"birthdate": NUMBER}}),
        ("POST", f"/fhir/Patient/_search?identifier={NUMBER}", {}),
        ("DELETE", f"/fhir/Patient/{NUMBER}", {}),
    ],
)
def test_a_person_number_reaches_no_log(
    lane: FhirLane, ask_app: Any, method: str, path: str, options: dict[str, Any]
) -> None:
    stream = io.StringIO()
    answer = ask_app(FhirLane(lane.services, AccessLog("debug", stream)))(method, path, **options)
    assert answer.status_code < 500
    assert stream.getvalue().count("\n") == 1
    assert NUMBER not in stream.getvalue().replace(".", "")
    if answer.status_code >= 400:
        assert NUMBER not in answer.text


def test_the_listener_hears(no_person_number_in_any_log_line: Any) -> None:
    listener = no_person_number_in_any_log_line
    before = listener.heard
    AccessLog("info", io.StringIO()).request("GET", NUMBER, 200, 0.1, "1")
    assert listener.heard == before + 1
    assert NUMBER in listener.offending.pop()
