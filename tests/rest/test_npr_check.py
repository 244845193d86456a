"""$npr-check over HTTP: what is stored and what is sent, on both stores; nothing is kept, nobody is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.npr_checking import check_store
from fhir_facade.rest.services import plain_rules
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.records import SqliteStore

BOTH_STORES = True
Ask = Callable[..., httpx.Response]
JSON = {"Content-Type": "application/fhir+json"}
DAY = "2026-01-02"


def get(ask: Ask, path: str, **asked: str) -> httpx.Response:
    terms = "&".join(f"{name}={value}" for name, value in {"on": DAY, **asked}.items())
    return ask("GET", f"/fhir/{path}?{terms}")


def post(ask: Ask, path: str, body: Any, **asked: str) -> httpx.Response:
    terms = "&".join(f"{name}={value}" for name, value in {"on": DAY, **asked}.items())
    return ask("POST", f"/fhir/{path}?{terms}", content=orjson.dumps(body), headers=JSON)


def verdict_of(answer: httpx.Response) -> tuple[str, set[str]]:
    """The verdict of Parameters, and the numbers of the rules that are broken."""
    assert answer.status_code == 200, answer.text
    given = answer.json()["parameter"]
    (verdict,) = (each["valueCode"] for each in given if each["name"] == "verdict")
    parts = [part for each in given if each["name"] == "finding" for part in each["part"]]
    return verdict, {part["valueCoding"]["code"] for part in parts if part["name"] == "rule"}


@pytest.fixture
def stay(ask: Ask) -> dict[str, Any]:
    """A stay that has an end."""
    entries = ask("GET", "/fhir/Encounter?_count=100&status=finished").json()["entry"]
    found: dict[str, Any] = next(each["resource"] for each in entries if "end" in each["resource"]["period"])
    return found


@pytest.fixture
def backwards(stay: dict[str, Any]) -> dict[str, Any]:
    """The same stay, which ends before it begins."""
    return stay | {"period": stay["period"] | {"end": "2001-01-01T10:00:00+01:00"}}


def test_each_stored_record_is_judged_as_on_the_command_line(ask: Ask, database: Path, mapping_set: MappingSet) -> None:
    store = SqliteStore.open(database, mapping_set.kinds, mapping_set.search.columns, read_only=True)
    rules = plain_rules()
    verdicts = [each for checked in check_store(store, mapping_set.kinds, rules, DAY) for each, _ in checked.verdicts]
    for mapping in mapping_set.mappings.values():
        own = [each for each in verdicts if each.kind == mapping.kind.name]
        for verdict in own[:2]:
            path = f"{mapping.resource_type}/{mapping.id_of(verdict.record['$key'])}/$npr-check"
            said, broken = verdict_of(get(ask, path, form="parameters"))
            assert {each.rule.number for each in verdict.broken} <= broken
            assert said == verdict.outcome or broken
    whole, broken = verdict_of(get(ask, "$npr-check", form="parameters"))
    assert broken == {each.rule.number for verdict in verdicts for each in verdict.broken}
    assert whole == "accepted"
    store.close()


def test_a_stay_that_is_sent_is_judged_in_place_of_the_stored_one(
    ask: Ask, stay: dict[str, Any], backwards: dict[str, Any], lane: FhirLane
) -> None:
    before = lane.services.store.digest()  # type: ignore[attr-defined]
    assert "NPR-105" not in verdict_of(post(ask, "Encounter/$npr-check", stay, form="parameters"))[1]
    for body in (backwards, {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": backwards}]}):
        assert "NPR-105" in verdict_of(post(ask, "$npr-check", body, form="parameters"))[1]
    unnamed = {name: value for name, value in backwards.items() if name != "id"}
    assert "NPR-105" in verdict_of(post(ask, f"Encounter/{stay['id']}/$npr-check", unnamed, form="parameters"))[1]
    assert ask("POST", f"/fhir/Encounter/{stay['id']}/$npr-check").status_code == 200  # of what is stored
    assert "NPR-105" not in verdict_of(get(ask, f"Encounter/{stay['id']}/$npr-check", form="parameters"))[1]
    assert lane.services.store.digest() == before  # type: ignore[attr-defined]


def test_a_finding_names_the_rule_the_place_and_the_remedy_in_both_languages(
    ask: Ask, backwards: dict[str, Any]
) -> None:
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": backwards}]}
    outcome = post(ask, "$npr-check", bundle, level="error").json()
    issues = [each for each in outcome["issue"] if each["code"] == "business-rule"]
    assert issues
    for issue in issues:
        rule = issue["details"]["coding"][1]["code"]
        other = issue["details"]["_text"]["extension"][0]["extension"][1]["valueString"]
        assert issue["severity"] == "error"
        assert issue["details"]["text"].startswith(f"{rule} in Encounter/{backwards['id']}: {plain_rules()[rule].en}")
        assert plain_rules()[rule].nb in other
        assert plain_rules()[rule].remedy_nb in other
        assert issue["expression"][0].startswith("Bundle.entry[0].resource")
    assert any(issue["expression"][0].endswith((".period.end", ".period.start")) for issue in issues)


def test_references_inside_a_bundle_are_followed(ask: Ask, stay: dict[str, Any]) -> None:
    """A patient who is not stored, and the stay of that patient, by urn:uuid."""
    patient = ask("GET", f"/fhir/{stay['subject']['reference']}").json()
    new = orjson.loads(orjson.dumps(patient).replace(patient["id"].rsplit(".", 1)[1].encode(), b"NEW1"))
    moved = orjson.loads(orjson.dumps(stay).replace(patient["id"].rsplit(".", 1)[1].encode(), b"NEW1"))
    for each in (new, moved):
        del each["id"]
    moved["subject"] = {"reference": "urn:uuid:11111111-1111-4111-8111-111111111111"}
    entries = [
        {"fullUrl": "urn:uuid:22222222-2222-4222-8222-222222222222", "resource": moved},
        {"fullUrl": "urn:uuid:11111111-1111-4111-8111-111111111111", "resource": new},
    ]
    answer = post(ask, "$npr-check", {"resourceType": "Bundle", "type": "batch", "entry": entries}, form="parameters")
    assert answer.status_code == 200
    unknown = {each["valueCode"] for each in answer.json()["parameter"] if each["name"] == "cannotBeKnown"}
    there = {"reference": f"Patient/{'.'.join([*patient['id'].split('.')[:-1], 'NEW1'])}"}
    alone = post(ask, "Encounter/$npr-check", moved | {"subject": there}, form="parameters")
    without = {each["valueCode"] for each in alone.json()["parameter"] if each["name"] == "cannotBeKnown"}
    assert unknown < without


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "Encounter/nobody/$npr-check", None, 404, "not-found"),
        ("GET", "Location/x/$npr-check", None, 404, "not-found"),
        ("GET", "$npr-check?form=x", None, 400, "input-invalid"),
        ("GET", "$npr-check?level=x", None, 400, "input-invalid"),
        ("GET", "$npr-check?on=yesterday", None, 400, "input-invalid"),
        ("GET", "$npr-check?who=x", None, 400, "input-unknown"),
        ("POST", "$npr-check", {"resourceType": "Bundle", "type": "batch"}, 422, "npr-nothing-judged"),
        ("POST", "$npr-check", {"resourceType": "Parameters"}, 400, "body-not-parameters"),
        ("POST", "Encounter/$npr-check", {"resourceType": "Patient"}, 422, "type-not-of-path"),
        ("POST", "Encounter/1/$npr-check", {"resourceType": "Encounter", "id": "2"}, 422, "id-not-of-path"),
        ("POST", "$npr-check", [], 400, "json-not-json"),
        ("POST", "Encounter/$npr-check", None, 400, "body-needed"),
        ("DELETE", "$npr-check", None, 405, "method-not-allowed"),
    ],
)
def test_what_cannot_be_judged_is_told(ask: Ask, method: str, path: str, body: Any, status: int, code: str) -> None:
    content = None if body is None else orjson.dumps(body)
    answer = ask(method, f"/fhir/{path}", content=content, headers=JSON)
    assert (answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]) == (status, code)


def test_more_patients_than_one_answer_is_about_are_told(
    ask: Ask, lane: FhirLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    object.__setattr__(lane.services, "npr_patients", 3)
    answer = get(ask, "$npr-check")
    object.__setattr__(lane.services, "npr_patients", 500)
    assert (answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]) == (422, "npr-too-many")


def test_the_operation_is_published(ask: Ask) -> None:
    statement = ask("GET", "/fhir/metadata").json()
    (encounter,) = (each for each in statement["rest"][0]["resource"] if each["type"] == "Encounter")
    assert "npr-check" in {each["name"] for each in encounter["operation"]}
