"""_explain tells what a search became, from the statements that ran, and never a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.surface import FhirLane

BOTH_STORES = True

Ask = Callable[..., httpx.Response]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VALUES = {
    "string": "zqxv",
    "token": "zqxv",
    "reference": "zqxv",
    "uri": "zqxv",
    "date": "1871-03-09",
    "quantity": "7319",
    "number": "7319",
    "composite": "zqxv$zqxv",
}


def told(bundle: dict[str, Any]) -> dict[str, list[str]]:
    """The sentences of the outcome entry by their code."""
    last = bundle["entry"][-1]
    assert last["search"] == {"mode": "outcome"}
    out: dict[str, list[str]] = {}
    for issue in last["resource"]["issue"]:
        assert issue["severity"] == "information"
        out.setdefault(issue["details"]["coding"][0]["code"], []).append(issue["details"]["text"])
    return out


def test_a_search_is_explained_from_its_statements_and_mapping_rows(ask: Ask) -> None:
    bundle = ask("GET", "/fhir/Encounter?date=ge1871-03-09&_sort=-date&_count=2&_explain=true").json()
    said = told(bundle)
    where, order = said["explain-parameter"]
    assert where.startswith("'date' (where) in opphold-encounter: rows opphold.encounter.yaml:")
    assert "opphold._low_inn_dato_tid" in where and "opphold._high_ut_dato_tid" in where
    assert order.startswith("'date:descending' (order)") and "opphold._low_inn_dato_tid" in order
    (statement,) = said["explain-statement"]
    assert statement.startswith("opphold-encounter: 3 rows found in ")
    assert "SELECT " in statement and "FROM opphold WHERE" in statement and "plan: " in statement
    (time,) = said["explain-time"]
    assert time.startswith("2 records were read")
    assert sum(entry["search"]["mode"] == "match" for entry in bundle["entry"]) == 2


def test_each_mapping_of_a_type_is_explained_and_an_index_is_named(ask: Ask) -> None:
    """Both databases write the plan with the index that leads to the records of a patient."""
    said = told(ask("GET", "/fhir/Condition?patient=zqxv&_explain=true").json())
    assert len(said["explain-statement"]) == len(said["explain-parameter"]) == 2
    assert all("__to_pasient" in text if "USING" in text else "Scan" in text for text in said["explain-statement"])
    assert all(" 0 rows found" in text for text in said["explain-statement"])


def test_no_value_is_told_whatever_is_asked_for(ask: Ask, mapping_set: MappingSet) -> None:
    asked = 0
    for resource_type in sorted(mapping_set.by_type):
        for parameter in mapping_set.search.parameters(resource_type).values():
            value = VALUES[parameter.type]
            for modifier in ("", *(each for each in parameter.modifiers if each in ("exact", "contains", "not"))):
                name = f"{parameter.code}:{modifier}" if modifier else parameter.code
                form = f"{name}={value}&_explain=true&_count=1"
                answer = ask("POST", f"/fhir/{resource_type}/_search", content=form, headers=FORM)
                assert answer.status_code == 200, (resource_type, name, answer.text)
                text = str(told(answer.json()))
                assert value not in text and "1871" not in text
                assert f"'{name}' (where)" in text
                asked += 1
    assert asked > 50


def test_nothing_is_explained_unless_it_is_asked_for(ask: Ask) -> None:
    for query in ("_count=1", "_count=1&_explain=false"):
        assert all(
            entry["search"]["mode"] == "match" for entry in ask("GET", f"/fhir/Encounter?{query}").json()["entry"]
        )
    wrong = ask("GET", "/fhir/Encounter?_explain=yes")
    assert wrong.status_code == 400
    assert "neither true nor false" in wrong.text


def test_it_can_be_switched_off(lane: FhirLane, ask_app: Callable[[Any], Ask]) -> None:
    ask = ask_app(FhirLane(replace(lane.services, explain=False)))
    answer = ask("GET", "/fhir/Encounter?_explain=true")
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "explain-off"
    assert ask("GET", "/fhir/Encounter?_count=1&_explain=false").status_code == 200


@pytest.mark.parametrize(("tongue", "words"), [("nb", "rader funnet på"), ("en", "rows found in")])
def test_it_is_told_in_both_languages(ask: Ask, tongue: str, words: str) -> None:
    answer = ask("GET", "/fhir/Encounter?_count=1&_explain=true", headers={"Accept-Language": tongue})
    assert words in told(answer.json())["explain-statement"][0]
