"""Input that is made to hurt: each is answered, with few issues, few functions and little kept."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from fhir_facade.json_text import read_text
from fhir_facade.packages.registry import load_packages
from fhir_facade.profile.findings import LIMIT
from fhir_facade.profile.shapes import FUNCTIONS_KEPT
from fhir_facade.profile.validator import Validator
from fhir_facade.terminology.catalogue import Catalogue

MB = 1_000_000


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", **more}


def nested(levels: int) -> dict[str, Any]:
    held: dict[str, Any] = {"url": "http://x.no/a", "valueString": "a"}
    for _ in range(levels):
        held = {"url": "http://x.no/a", "extension": [held]}
    return held


def bundle(count: int, reference: str) -> dict[str, Any]:
    held = [
        patient(id=str(n), active=True, link=[{"other": {"reference": reference}, "type": "seealso"}])
        for n in range(count)
    ]
    entries = [{"fullUrl": f"http://x.no/Patient/{n}", "resource": each} for n, each in enumerate(held)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


HOSTILE: list[tuple[str, Callable[[], dict[str, Any]], bool]] = [
    ("100,000 invented keys", lambda: patient(**{f"key{n}": 1 for n in range(100_000)}), False),
    ("invented keys in many objects", lambda: patient(name=[{f"k{n}": "a"} for n in range(10_000)]), False),
    ("many wrong codes", lambda: patient(name=[{"use": f"u{n}"} for n in range(10_000)]), False),
    ("many right items", lambda: patient(name=[{"family": "a"}] * 10_000), True),
    ("many unknown extensions", lambda: patient(
        extension=[{"url": f"http://x.no/{n}", "valueString": "a"} for n in range(3000)]), True),
    ("depth", lambda: patient(extension=[nested(400)]), False),
    ("depth beyond the stack", lambda: patient(extension=[nested(5000)]), False),
    ("a string of 3 MB", lambda: patient(name=[{"family": "a" * 3 * MB}]), False),
    ("a code of 2 MB", lambda: patient(gender="a" * 2 * MB), False),
    ("a date of 2 MB", lambda: patient(birthDate="2000-01-01" * (MB // 5)), False),
    ("a reference of 2 MB", lambda: patient(managingOrganization={"reference": "Organization/" + "a/" * MB}), False),
    ("a narrative that is never closed", lambda: patient(
        text={"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>" + "<p>" * 100_000}), False),
    ("a narrative that grows when it is read", lambda: patient(text={"status": "generated", "div":
        "<!DOCTYPE div [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]><div>&b;</div>"}), False),
    ("base64 of 2 MB with a fault at its end", lambda: patient(
        photo=[{"contentType": "image/png", "data": "AAAA" * (MB // 2) + "!"}]), False),
    ("an ICD-10 code that a pattern could choke on", lambda: {
        "resourceType": "Condition", "subject": {"reference": "Patient/a"},
        "meta": {"profile": ["http://fhir-facade.no/fhir/StructureDefinition/condition-tilstand"]},
        "code": {"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.7110", "code": "A" * 90_000}]}}, False),
    ("many contained that nothing points at", lambda: patient(contained=[
        {"resourceType": "Organization", "id": f"o{n}", "name": "a"} for n in range(500)]), False),
    ("entries that all point at one", lambda: bundle(500, "Patient/0"), True),
    ("many profiles", lambda: patient(meta={"profile": [f"http://x.no/{n}" for n in range(5000)]}, active=True), True),
    ("numbers without end", lambda: patient(multipleBirthInteger=10**4000), False),
]  # fmt: skip


@pytest.mark.parametrize("make, right", [each[1:] for each in HOSTILE], ids=[each[0] for each in HOSTILE])
def test_it_is_answered_and_little_is_kept(make: Callable[[], dict[str, Any]], right: bool) -> None:
    judge, resource = Validator(load_packages(), Catalogue()), make()
    judge.validate(patient(active=True))
    tracemalloc.start()
    try:
        for _ in range(2):
            assert judge.is_valid(resource) is right
            report = judge.validate(resource)
            assert report.valid is right
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(report.issues) <= LIMIT + 1
    assert judge.fast.functions_made < 40 < FUNCTIONS_KEPT
    assert kept < 4 * MB


@pytest.mark.parametrize("text, code", [
    (b"[" * 100_000, "json-too-deep json-not-json"),
    (b'{"resourceType":"Patient","a":' + b"[" * 5000 + b"]" * 5000 + b"}", "json-too-deep json-not-json"),
    (b'{"resourceType":"Patient","active":true,"active":false}', "json-duplicate-key"),
    (b'{"resourceType":"Patient","name":[{"family":"\\ud800"}]}', "json-not-json"),
    (b'{"resourceType":"Patient","multipleBirthInteger":' + b"9" * 200_000 + b"}", "json-not-json type-wrong"),
    (b"\xff\xfe{}", "json-not-json"),
    (b" " * 20 * MB, "json-too-large json-not-json"),
], ids=["lists", "depth", "key twice", "half a surrogate", "a long number", "another encoding", "size"])  # fmt: skip
def test_a_text_is_refused_with_its_reason(text: bytes, code: str) -> None:
    reading = read_text(text)
    found = {each.issue.code for each in reading.issues}
    if reading.resource is not None and not found:
        found = {issue.code for issue in Validator(load_packages(), Catalogue()).validate(reading.resource).issues}
    assert found & set(code.split())
    assert orjson.dumps([str(each.issue) for each in reading.issues])


def test_contained_resources_are_looked_through_once() -> None:
    held = [{"resourceType": "Organization", "id": f"o{n}", "name": "a"} for n in range(400)]
    used = [{"other": {"reference": f"#o{n}"}, "type": "seealso"} for n in range(400)]
    judge = Validator(load_packages(), Catalogue())
    report = judge.validate(patient(contained=held, generalPractitioner=[each["other"] for each in used]))
    assert [issue for issue in report.issues if issue.is_error] == []
    report = judge.validate(patient(contained=held, generalPractitioner=[each["other"] for each in used[1:]]))
    assert [issue.rule.key for issue in report.issues if issue.is_error and issue.rule] == ["dom-3"]
