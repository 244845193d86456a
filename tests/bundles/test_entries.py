"""One entry: what its conditions and its patch are read as."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from fhir_facade.bundles.entries import LONGEST_CONDITION, Entry, Patch, entry_of
from fhir_facade.bundles.plan import plan_of
from fhir_facade.bundles.rewriting import Identity, known_at_first, overlapping
from fhir_facade.outcome import Refused


def asked(method: str, url: str, resource: Any = None, **request: Any) -> Entry:
    said: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        said["resource"] = resource
    return entry_of(0, said, "transaction", ())


def created(criteria: str) -> Entry:
    return asked("POST", "Patient", {"resourceType": "Patient"}, ifNoneExist=criteria)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("identifier=a|1", "identifier=a|1"),
        ("?identifier=a|1", "identifier=a|1"),
        ("Patient?identifier=a|1", "identifier=a|1"),
        (" identifier=a|1 ", "identifier=a|1"),
        ("identifier=http://x.test/?a|1", "identifier=http://x.test/?a|1"),
    ],
)
def test_criteria_of_a_conditional_create_are_the_bare_query(said: str, read: str) -> None:
    entry = created(said)
    assert (entry.if_none_exist, entry.issues) == (read, ())
    assert entry.none_exist == (tuple(read.split("=", 1)),)


@pytest.mark.parametrize("said", ["Encounter?identifier=1", "Patient", "Patient?", "?", "a=" + "b" * LONGEST_CONDITION])
def test_criteria_that_are_none_are_told(said: str) -> None:
    (issue,) = created(said).issues
    assert (issue.code, issue.at) == ("entry-condition-invalid", "Bundle.entry[0].request.ifNoneExist")
    assert len(issue.sentence()) < 300


def test_criteria_as_long_as_they_may_be_are_taken() -> None:
    assert created("a=" + "b" * (LONGEST_CONDITION - 2)).issues == ()


@pytest.mark.parametrize("tag", ['W/"3"', '"3"', "3", "*", 'W/"a", "b"', '"a","b"'])
def test_etags_are_kept_as_they_came(tag: str) -> None:
    entry = asked("PUT", "Patient/1", {"resourceType": "Patient", "id": "1"}, ifMatch=tag)
    assert (entry.if_match, entry.issues) == (tag, ())
    read = asked("GET", "Patient/1", ifNoneMatch=tag, ifModifiedSince="2026-01-01T00:00:00+01:00")
    assert (read.if_none_match, read.if_modified_since, read.issues) == (tag, "2026-01-01T00:00:00+01:00", ())


@pytest.mark.parametrize("tag", ["", 'W/"', '"a" "b', "a b", "W/3", '"å"', '"a"b'])
def test_what_is_no_etag_is_told(tag: str) -> None:
    (issue,) = asked("DELETE", "Patient/1", ifMatch=tag).issues
    assert issue.code == "entry-condition-invalid"


def test_a_patch_is_what_would_come_by_http() -> None:
    document = b'[{"op": "remove", "path": "/language"}]'
    binary = {
        "resourceType": "Binary",
        "contentType": "application/JSON-patch+json; charset=utf-8",
        "data": base64.b64encode(document).decode(),
    }
    entry = asked("PATCH", "Patient/1", binary)
    assert (entry.patch, entry.resource, entry.issues) == (Patch("application/json-patch+json", document), None, ())
    parameters = {"resourceType": "Parameters"}
    assert asked("PATCH", "Patient/1", parameters).resource is parameters
    assert asked("PATCH", "Patient/1", parameters).patch is None


def test_an_operation_is_given_its_resource_and_a_read_none() -> None:
    parameters = {"resourceType": "Parameters"}
    assert asked("POST", "Patient/$match", parameters).resource is parameters
    assert asked("POST", "Patient/$match").issues == ()
    assert asked("GET", "Patient/1", parameters).resource is None
    assert not asked("POST", "Patient/$match", parameters).changes


def test_a_resource_that_is_false_is_told() -> None:
    for nothing in (False, 0, "", [], {}):
        said = {"request": {"method": "POST", "url": "Patient"}, "resource": nothing}
        assert [issue.code for issue in entry_of(0, said, "batch", ()).issues] == ["element-shape"]


def test_too_many_entries_are_counted() -> None:
    entries = [{"request": {"method": "GET", "url": "Patient"}}] * 4
    with pytest.raises(Refused) as told:
        plan_of({"resourceType": "Bundle", "type": "batch", "entry": entries}, most={"batch": 3})
    assert "has 4 entries; at most 3" in told.value.issues[0].sentence()


def test_only_what_changes_a_resource_is_known_by_its_url_and_overlaps() -> None:
    said = [{"request": {"method": method, "url": "Patient/1"}} for method in ("GET", "DELETE", "HEAD")]
    plan = plan_of({"resourceType": "Bundle", "type": "transaction", "entry": said})
    patient = Identity("Patient", "1")
    assert known_at_first(plan) == {1: patient}
    assert overlapping(plan, {0: patient, 1: patient, 2: patient}) == overlapping(plan, {}) == []
