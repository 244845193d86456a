"""The Bundle that answers: one entry for each that was sent, in its order, and no more than the client prefers."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.bundles.answers import Result, answer_of, at_entry, refused, status_text
from fhir_facade.bundles.plan import plan_of
from fhir_facade.outcome import Issue

PATIENT = {"resourceType": "Patient", "id": "1"}
STORED = Result(
    201, PATIENT, "Patient/1/_history/1", 'W/"1"', "2026-01-01T00:00:00.000Z", "http://facade.test/fhir/Patient/1",
    (Issue("element-kept", "Patient.language"),),
)  # fmt: skip


def batch(*asked: tuple[str, str], resource: Any = None) -> dict[str, Any]:
    entries = [{"request": {"method": method, "url": url}} for method, url in asked]
    for entry in entries:
        if entry["request"]["method"] in ("POST", "PUT"):
            entry["resource"] = resource or {"resourceType": "Patient"}
    return {"resourceType": "Bundle", "type": "batch", "entry": entries}


def test_what_was_stored_is_told_as_the_client_prefers() -> None:
    plan = plan_of(batch(("POST", "Patient")))
    minimal = answer_of(plan, {0: STORED})
    assert minimal == {
        "resourceType": "Bundle",
        "type": "batch-response",
        "entry": [
            {
                "response": {
                    "status": "201 Created",
                    "location": "Patient/1/_history/1",
                    "etag": 'W/"1"',
                    "lastModified": "2026-01-01T00:00:00.000Z",
                }
            }
        ],
    }
    (whole,) = answer_of(plan, {0: STORED}, "representation")["entry"]
    assert whole["resource"] is PATIENT
    assert whole["fullUrl"] == "http://facade.test/fhir/Patient/1"
    assert whole["response"] == minimal["entry"][0]["response"]
    (told,) = answer_of(plan, {0: STORED}, "OperationOutcome", "nb")["entry"]
    assert "resource" not in told
    (issue,) = told["response"]["outcome"]["issue"]
    assert issue["expression"] == ["Bundle.entry[0].resource.language"]
    assert "lagret" in issue["details"]["text"]


def test_what_was_read_comes_always_but_for_head() -> None:
    plan = plan_of(
        batch(("GET", "Patient/1"), ("HEAD", "Patient/1"), ("POST", "Patient/_search"), ("GET", "Patient/2"))
    )
    read = Result(200, PATIENT)
    entries = answer_of(plan, {0: read, 1: read, 2: read, 3: Result(304)})["entry"]
    assert [entry.get("resource") for entry in entries] == [PATIENT, None, PATIENT, None]
    assert [entry["response"]["status"] for entry in entries] == ["200 OK", "200 OK", "200 OK", "304 Not Modified"]


def test_a_faulty_entry_answers_its_own_faults() -> None:
    plan = plan_of(batch(("PUT", "Patient/1"), ("DELETE", "Patient"), ("POST", "Patient")))
    results = {entry.number: refused(entry) if entry.is_faulty else Result(201) for entry in plan.entries}
    entries = answer_of(plan, results)["entry"]
    assert [entry["response"]["status"] for entry in entries] == [
        "400 Bad Request",
        "405 Method Not Allowed",
        "201 Created",
    ]
    places = [entry["response"].get("outcome", {}).get("issue", [{}])[0].get("expression") for entry in entries]
    assert places == [["Bundle.entry[0].resource.id"], ["Bundle.entry[1].request.url"], None]


def test_a_warning_is_told_though_nobody_asked() -> None:
    bundle = batch(("GET", "Patient/1"))
    bundle["entry"][0]["resource"] = PATIENT
    (entry,) = answer_of(plan_of(bundle), {0: Result(200, PATIENT)})["entry"]
    (issue,) = entry["response"]["outcome"]["issue"]
    assert issue["severity"] == "warning"


def test_a_failure_without_issues_has_no_outcome_and_an_unforeseen_status_no_words() -> None:
    (entry,) = answer_of(plan_of(batch(("GET", "Patient/1"))), {0: Result(404)})["entry"]
    assert entry == {"response": {"status": "404 Not Found"}}
    assert status_text(299) == "299"


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("Patient.name[0].given[1]", "Bundle.entry[3].resource.name[0].given[1]"),
        ("Patient", "Bundle.entry[3].resource"),
        ("Bundle.entry[3].request.url", "Bundle.entry[3].request.url"),
        ("birthdate", "Bundle.entry[3].request.url"),
        ("", "Bundle.entry[3]"),
    ],
)
def test_issues_are_told_at_the_place_in_the_bundle(at: str, expected: str) -> None:
    issue = Issue("element-kept", at, {"a": "b"}, severity="warning")
    (placed,) = at_entry(3, [issue])
    assert (placed.at, placed.code, placed.facts, placed.severity) == (expected, issue.code, issue.facts, "warning")
