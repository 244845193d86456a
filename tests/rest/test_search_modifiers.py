"""Modifiers of tokens and URIs over HTTP: what they find, and what is refused with which advice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

Ask = Callable[..., httpx.Response]


def found(bundle: dict[str, Any]) -> set[str]:
    return {entry["resource"]["id"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"}


def test_in_and_not_in_part_all_resources(ask: Ask, ids: list[str]) -> None:
    inside = found(ask("GET", "/fhir/Encounter?type:in=ValueSet/vol-8406").json())
    outside = found(ask("GET", "/fhir/Encounter?type:not-in=ValueSet/vol-8406").json())
    assert inside
    assert inside | outside == set(ids)
    assert not inside & outside
    by_oid = found(ask("GET", "/fhir/Encounter?type:in=urn:oid:2.16.578.1.12.4.1.1.8406").json())
    assert by_oid == inside


def test_text_looks_at_what_the_code_says(ask: Ask) -> None:
    by_text = found(ask("GET", "/fhir/Encounter?type:text=DØGN").json())
    assert by_text == found(ask("GET", "/fhir/Encounter?type=urn:oid:2.16.578.1.12.4.1.1.8406|1").json())
    assert by_text


def test_a_url_is_above_and_below_by_its_slashes(ask: Ask, ids: list[str]) -> None:
    base = "http://fhir-facade.no/fhir"
    assert found(ask("GET", f"/fhir/Encounter?_profile:below={base}").json()) == set(ids)
    assert not found(ask("GET", f"/fhir/Encounter?_profile:below={base[:-1]}").json())
    profile = f"{base}/StructureDefinition/encounter-opphold"
    assert found(ask("GET", f"/fhir/Encounter?_profile:above={profile}/part").json()) == set(ids)


def test_a_composite_is_held_by_one_component(ask: Ask) -> None:
    entries = ask("GET", "/fhir/Observation?component-code-value-concept:missing=false&_count=50").json()["entry"]
    components = next(each["resource"]["component"] for each in entries)
    pairs = [
        (each["code"]["coding"][0]["code"], each["valueCodeableConcept"]["coding"][0]["code"])
        for each in components
        if "valueCodeableConcept" in each
    ]
    assert found(ask("GET", f"/fhir/Observation?component-code-value-concept={pairs[0][0]}${pairs[0][1]}").json())
    crossed = f"{pairs[0][0]}$no-such-code"
    assert not found(ask("GET", f"/fhir/Observation?component-code-value-concept={crossed}").json())


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("Encounter?type:in=ValueSet/vol-84060", "search-value-set-unknown", "did you mean 'ValueSet/vol-84"),
        ("Encounter?type:not-in=http://x.no/nothing", "search-value-set-unknown", "GET /ValueSet"),
        ("Observation?value-concept:below=x", "search-modifier-unknown", ":missing"),
        ("Observation?combo-value-concept:below=A", "search-value-invalid", "system|code"),
        ("Observation?combo-value-concept:below=http://x.no|A", "search-codes-not-listed", "http://x.no"),
        (
            "Observation?combo-value-concept:above=urn:oid:2.16.578.1.12.4.1.1.8420|none",
            "search-code-unknown", "$lookup",
        ),
        ("Patient?identifier:of-type=a|b", "search-value-invalid", "system|code|value"),
        ("Observation?component-code-value-concept=a", "search-value-invalid", "2 values with a dollar sign"),
        ("Observation?component-code-value-concept=a$b$c", "search-value-invalid", "2 values with a dollar sign"),
        ("Observation?component-code-value-concept:not=a$b", "search-modifier-unknown", "missing"),
        ("Encounter?status:of-type=a|b|c", "search-modifier-unknown", ":of-type"),
        ("Encounter?status:text=a", "search-modifier-unknown", ":text"),
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_refused(ask: Ask, query: str, code: str, words: str) -> None:
    answer = ask("GET", "/fhir/" + quote(query, safe="/?=:&$"))
    issue = answer.json()["issue"][0]
    assert (answer.status_code, issue["details"]["coding"][0]["code"]) == (400, code)
    assert words.lstrip(":") in str(issue)
    norwegian = ask("GET", "/fhir/" + quote(query, safe="/?=:&$"), headers={"Accept-Language": "nb"}).json()
    assert norwegian["issue"][0]["details"]["text"] != issue["details"]["text"]
