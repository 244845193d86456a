"""Codes are searched for and translated by any form of their system's URI; answers have the one that we write."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import httpx
import pytest

from fhir_facade.rest.surface import FhirLane
from fhir_facade.terminology.uris import variants

Ask = Callable[..., httpx.Response]
VOLVEN = "urn:oid:2.16.578.1.12.4.1.1."
NAMED = "http://helsedir.no/fhir/CodeSystem/no-kodeverk-{}-a-name"
FIELDS = [
    ("Condition", "code", "7110"),
    ("Condition", "code", "7170"),
    ("Procedure", "code", "7220"),
    ("Encounter", "type", "8432"),
    ("Condition", "category", "8409"),
]
SEARCHED = [
    (kind, name, number, form)
    for kind, name, number in FIELDS
    for form in (*variants(VOLVEN + number), NAMED.format(number))
]
TRANSLATED = [*variants(f"{VOLVEN}8406"), NAMED.format("8406")]


def ids(ask: Ask, kind: str, name: str, token: str) -> list[str]:
    answer = ask("GET", f"/fhir/{kind}?{name}={quote(token, safe='')}&_count=200")
    assert answer.status_code == 200, answer.text
    return [entry["resource"]["id"] for entry in answer.json().get("entry", ())]


@pytest.mark.parametrize(("kind", "name", "number", "form"), SEARCHED)
def test_a_search_by_each_form_finds_what_the_written_one_finds(
    ask: Ask, kind: str, name: str, number: str, form: str
) -> None:
    expected = ids(ask, kind, name, f"{VOLVEN}{number}|")
    assert expected
    assert ids(ask, kind, name, f"{form}|") == expected
    assert not ids(ask, kind, name, f"{VOLVEN}99999|")
    whole = ask("GET", f"/fhir/{kind}/{expected[0]}").text
    assert f'"{VOLVEN}{number}"' in whole
    code = next(each["code"] for each in codings(ask("GET", f"/fhir/{kind}/{expected[0]}").json(), f"{VOLVEN}{number}"))
    assert expected[0] in ids(ask, kind, name, f"{form}|{code}")


def codings(value: object, system: str) -> list[dict[str, str]]:
    """Every coding of a system in a resource."""
    if isinstance(value, list):
        return [each for item in value for each in codings(item, system)]
    if not isinstance(value, dict):
        return []
    own = [value] if value.get("system") == system and "code" in value else []
    return own + [each for item in value.values() for each in codings(item, system)]


@pytest.mark.parametrize("form", TRANSLATED)
def test_a_code_is_translated_by_each_form_both_ways(ask: Ask, form: str) -> None:
    act = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    there = ask("GET", f"/fhir/ConceptMap/$translate?system={form}&code=3&targetsystem={act}").json()
    assert there["parameter"][0]["valueBoolean"] is True
    back = ask("GET", f"/fhir/ConceptMap/$translate?system={act}&code=AMB&targetsystem={form}&reverse=true").json()
    matches = [part for each in back["parameter"] if each["name"] == "match" for part in each["part"]]
    assert {part["valueCoding"]["system"] for part in matches if "valueCoding" in part} == {f"{VOLVEN}8406"}


@pytest.mark.parametrize(
    ("letter", "number"), [("D", "7110"), ("H", "7170"), ("F", "7180"), ("M", "7220"), ("R", "7270"), ("S", "7020")]
)
def test_a_letter_of_the_list_of_systems_is_found_by_each_form(
    ask: Ask, lane: FhirLane, letter: str, number: str
) -> None:
    for identity in ("kodeverk-system", "kodeverk-system-reverse"):
        assert ask("GET", f"/fhir/ConceptMap/{identity}").json()["group"]
        assert ask("GET", f"/fhir/ConceptMap?_id={identity}").json()["total"] == 1
    path = "/fhir/ConceptMap/kodeverk-system/$translate"
    there = ask("GET", f"{path}?system={VOLVEN}8410&code={letter}").text
    assert f'"{VOLVEN}{number}"' in there
    for form in (*variants(VOLVEN + number), NAMED.format(number)):
        back = ask("GET", f"{path}?system=urn:ietf:rfc:3986&code={quote(form, safe='')}&reverse=true").json()
        assert back["parameter"][0]["valueBoolean"] is True, back
        assert f"'code': '{letter}'" in str(back)
