"""_include and _revinclude against what the rendered resources say: every reference of every type, both ways."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_facade.contracts import Query
from fhir_facade.mapping.following import Referring, searched_edges
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.mapping.search_hits import parameters_of
from fhir_facade.rest import includes
from fhir_facade.rest.includes import forward_values, reverse_values
from fhir_facade.rest.surface import FhirLane

BOTH_STORES = True

spec = importlib.util.spec_from_file_location("judge", Path(__file__).parents[1] / "laws" / "judge.py")
assert spec and spec.loader
judge = importlib.util.module_from_spec(spec)
spec.loader.exec_module(judge)

Ask = Callable[..., httpx.Response]
Resources = dict[str, dict[str, Any]]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def ask_bundle(ask: Ask, path: str, **parameters: Any) -> dict[str, Any]:
    answer = ask("GET", f"/fhir/{path}", params=parameters)
    assert answer.status_code == 200, answer.text
    bundle: dict[str, Any] = answer.json()
    return bundle


def named(bundle: dict[str, Any], mode: str) -> list[str]:
    """Type/id of the entries of a mode."""
    entries = [each for each in bundle.get("entry", []) if each["search"]["mode"] == mode]
    for each in entries:
        assert each["fullUrl"].endswith(f"/{each['resource']['resourceType']}/{each['resource']['id']}")
    return [f"{each['resource']['resourceType']}/{each['resource']['id']}" for each in entries]


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((each["url"] for each in bundle["link"] if each["relation"] == relation), None)


@pytest.fixture(scope="module")
def stock(lane: FhirLane, mapping_set: MappingSet) -> Resources:
    """Every resource of the store, rendered by the interpreter, by Type/id."""
    store: Any = lane.services.store
    resources = (
        mapping.interpret(record, [])
        for mapping in mapping_set.mappings.values()
        for record in store.scan(mapping.kind.name)
    )
    return {f"{each['resourceType']}/{each['id']}": each for each in resources}


def references(resource: dict[str, Any], code: str) -> Iterator[str]:
    """The literal references that a search parameter reads in a resource."""
    parameter = parameters_of(resource["resourceType"])[code]
    for path in parameter.paths:
        for node, _ in judge.walk(resource, path.split("."), parameter.filters, ()):
            reference = node.get("reference")
            if reference and (not parameter.targets or reference.split("/")[0] in parameter.targets):
                yield reference


def reference_codes(mapping_set: MappingSet, resource_type: str, code: str) -> list[str]:
    known = mapping_set.search.parameters(resource_type)
    every = [each for each, parameter in known.items() if parameter.type == "reference"]
    return every if code == "*" else [code]


def test_every_reference_of_every_type_is_included_as_the_resources_say(
    ask: Ask, mapping_set: MappingSet, stock: Resources
) -> None:
    walked = 0
    for resource_type in mapping_set.by_type:
        for value in forward_values(mapping_set.search, resource_type):
            bundle = ask_bundle(ask, resource_type, _include=value, _count=40)
            matches, got = named(bundle, "match"), named(bundle, "include")
            codes = reference_codes(mapping_set, resource_type, value.rpartition(":")[2])
            said = {each for match in matches for code in codes for each in references(stock[match], code)}
            assert len(got) == len(set(got)), value
            assert set(got) == said - set(matches), value
            assert said <= stock.keys(), value  # what is referred to is there
            walked += bool(said)
            for target in {each.split("/")[0] for each in said} if value.count(":") == 1 else ():
                only = named(ask_bundle(ask, resource_type, _include=f"{value}:{target}", _count=40), "include")
                assert only == [each for each in got if each.split("/")[0] == target]
    assert walked > 30


def test_every_reference_to_every_type_is_included_as_the_resources_say(
    ask: Ask, mapping_set: MappingSet, stock: Resources
) -> None:
    walked = 0
    for resource_type in mapping_set.by_type:
        for value in reverse_values(mapping_set.search, resource_type):
            bundle = ask_bundle(ask, resource_type, _revinclude=value, _count=3)
            matches, got = named(bundle, "match"), named(bundle, "include")
            source, _, code = value.partition(":")
            said = {
                name
                for name, resource in stock.items()
                if source in ("*", resource["resourceType"])
                for each in reference_codes(mapping_set, resource["resourceType"], code or "*")
                if set(references(resource, each)) & set(matches)
            }
            assert len(got) == len(set(got)), value
            assert set(got) == said - set(matches), value
            walked += bool(said)
    assert walked > 40


def test_what_is_included_is_followed_where_it_iterates(ask: Ask, stock: Resources, ids: list[str]) -> None:
    """From a patient to what refers to it, and on to whatever that refers to."""
    patient = stock[f"Encounter/{ids[0]}"]["subject"]["reference"].split("/")[1]
    asked = {"_id": patient, "_revinclude": "Encounter:subject", "_include:iterate": "Encounter:location"}
    got = set(named(ask_bundle(ask, "Patient", **asked), "include"))
    stays = {name for name, each in stock.items() if name in got and each["resourceType"] == "Encounter"}
    places = {each for name in stays for each in references(stock[name], "location")}
    assert stays and places
    assert got == stays | places
    asked |= {"_include:iterate": ["Encounter:location", "Location:organization"]}  # type: ignore[dict-item]
    further = set(named(ask_bundle(ask, "Patient", **asked), "include"))
    assert further == got | {each for name in places for each in references(stock[name], "organization")}
    plain = {"_id": patient, "_revinclude": "Encounter:subject", "_include:iterate": "*"}
    assert further < set(named(ask_bundle(ask, "Patient", **plain), "include"))


def test_a_match_is_never_included_too(ask: Ask, ids: list[str]) -> None:
    """Conditions refer to stays and stays to conditions: both ways at once, all the way round."""
    bundle = ask_bundle(
        ask, "Encounter", **{"_include:iterate": "Encounter:diagnosis", "_revinclude:iterate": "Condition:encounter"}
    )
    bundle_back = ask_bundle(
        ask, "Condition", **{"_include:iterate": "Condition:encounter", "_revinclude:iterate": "Encounter:diagnosis"}
    )
    for each in (bundle, bundle_back):
        everything = named(each, "match") + named(each, "include")
        assert len(everything) == len(set(everything))
        assert named(each, "include")
    assert {each.split("/")[0] for each in named(bundle, "include")} == {"Condition"}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("count", [1, 3])
def test_pages_with_includes_hold_every_match_once_and_each_its_own(
    ask: Ask, ids: list[str], stock: Resources, count: int, method: str
) -> None:
    asked = f"_include=Encounter:subject&_revinclude=Condition:encounter&_count={count}"
    if method == "GET":
        bundle = ask("GET", f"/fhir/Encounter?{asked}").json()
    else:
        bundle = ask("POST", "/fhir/Encounter/_search", content=asked, headers=FORM).json()
    matches: list[str] = []
    while True:
        page = named(bundle, "match")
        matches += page
        said = {each for match in page for each in references(stock[match], "subject")}
        said |= {
            name
            for name, each in stock.items()
            if each["resourceType"] == "Condition" and set(references(each, "encounter")) & set(page)
        }
        assert set(named(bundle, "include")) == said
        further = link(bundle, "next")
        if further is None:
            break
        assert method == "POST" or "_include=Encounter:subject" in further
        bundle = ask("GET", further).json()
    assert matches == [f"Encounter/{each}" for each in ids]


def test_the_self_link_keeps_what_is_included(ask: Ask) -> None:
    bundle = ask_bundle(ask, "Encounter", **{"_include": "*", "_revinclude:iterate": "Condition:encounter"})
    assert (link(bundle, "self") or "").endswith("Encounter?_include=*&_revinclude:iterate=Condition:encounter")


def test_nothing_is_included_where_nothing_matches(ask: Ask) -> None:
    assert "entry" not in ask_bundle(ask, "Encounter", _id="nobody", _include="*", _revinclude="*")
    assert "entry" not in ask_bundle(ask, "Encounter", _count=0, _include="*", _revinclude="*")


def test_a_star_includes_nothing_where_there_is_no_reference(ask: Ask) -> None:
    assert not named(ask_bundle(ask, "Patient", _include="*"), "include")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("_include=Encounter:sbject", "Encounter:subject"),
        ("_include=Encounter:participant", "Encounter:patient"),  # logical references lead nowhere
        ("_include=Enconter:subject", "Encounter:subject"),
        ("_include=subject", "Encounter:subject"),
        ("_include=Encounter:subject:Group", "Encounter:subject:Patient"),
        ("_include=Encounter:subject:Patient:x", "Encounter:subject"),
        ("_include=Encounter:", "Encounter:subject"),
        ("_include=Encounter:subject,Encounter:location", "Encounter:subject"),
        ("_include=", "Encounter:subject"),
        ("_include=*:subject", "Encounter:subject"),
        ("_include=**", "Encounter:subject"),
        ("_revinclude=Condition:encountr", "Condition:encounter"),
        ("_include:recurse=Encounter:subject", "iterate"),
        ("_revinclude:missing=true", "iterate"),
        ("_include=Condition:encounter", "Encounter"),  # no Condition is a match
        ("_revinclude=Coverage:patient", "Encounter"),
        ("_include:iterate=Coverage:patient", "Encounter"),
        ("_includes=Encounter:subject", "_include"),
    ],
)
def test_what_cannot_be_included_is_refused(ask: Ask, asked: str, said: str) -> None:
    for prefer in ({}, {"Prefer": "handling=lenient"}):
        answer = ask("GET", f"/fhir/Encounter?{asked}", headers=prefer)
        if asked.startswith("_includes") and prefer:
            assert answer.status_code == 200
            continue
        assert answer.status_code == 400, asked
        assert said in answer.text


def test_too_many_includes_are_refused(ask: Ask) -> None:
    asked = "&".join(["_include=Encounter:subject"] * (includes.MOST_ASKED + 1))
    assert ask("GET", f"/fhir/Encounter?{asked}").status_code == 400


def test_what_is_left_out_for_want_of_room_is_said(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(includes, "MOST_INCLUDED", 3)
    for asked in ({"_include": "*"}, {"_revinclude": "*"}, {"_include": "Encounter:subject", "_revinclude": "*"}):
        bundle = ask_bundle(ask, "Encounter", **asked)
        assert len(named(bundle, "include")) == 3
        assert issue(bundle) == "includes-left-out"
    assert named(ask_bundle(ask, "Encounter", _include="Encounter:subject", _count=1), "outcome") == []


def test_references_that_are_not_followed_further_are_said(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ask_bundle(ask, "Encounter", **{"_count": 2, "_include:iterate": "*"})
    assert "OperationOutcome" not in json.dumps(whole)
    monkeypatch.setattr(includes, "MOST_ROUNDS", 1)
    bundle = ask_bundle(ask, "Encounter", **{"_count": 2, "_include:iterate": "*"})
    assert issue(bundle) == "includes-not-followed"
    assert set(named(bundle, "include")) == set(named(ask_bundle(ask, "Encounter", _count=2, _include="*"), "include"))


def issue(bundle: dict[str, Any]) -> str:
    last = bundle["entry"][-1]
    assert last["search"]["mode"] == "outcome"
    code: str = last["resource"]["issue"][0]["details"]["coding"][0]["code"]
    return code


def test_a_bad_row_that_is_included_fails_no_page(ask: Ask, lane: FhirLane, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(record: Any, issues: Any) -> bytes:
        raise ValueError("a value that must not be told")

    before = ask_bundle(ask, "Encounter", _include="*", _count=2)
    patients = [each for each in named(before, "include") if each.startswith("Patient/")]
    mapping = lane.services.mapping_set.mappings["pasient-patient"]
    monkeypatch.setitem(mapping.__dict__, "to_bytes", fails)
    bundle = ask_bundle(ask, "Encounter", _include="*", _count=2)
    assert issue(bundle) == "record-not-rendered"
    assert named(bundle, "match") == named(before, "match")
    assert named(bundle, "include") == [each for each in named(before, "include") if each not in patients]


def test_a_page_is_fetched_in_a_bounded_number_of_questions(
    ask: Ask, lane: FhirLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many questions for one match as for all: one for each record kind and each type, whatever the page holds."""
    store: Any = lane.services.store
    asked: list[str] = []
    for name in ("find", "get_many", "get"):
        real = getattr(store, name)
        monkeypatch.setattr(store, name, lambda *given, name=name, real=real: asked.append(name) or real(*given))
    ask_bundle(ask, "Encounter", _include="*", _revinclude="*", _count=100)
    many = len(asked)
    kinds = len(lane.services.mapping_set.kinds.by_name)
    assert many <= 1 + kinds + len(lane.services.mapping_set.by_type)
    assert "get" not in asked


def test_what_refers_to_given_resources_is_sought_by_an_index(lane: FhirLane, mapping_set: MappingSet) -> None:
    """However many records there are, only those that refer are read: for each list and link that a reference is in."""
    store: Any = lane.services.store
    plan = mapping_set.search
    asked = 0
    for edge in searched_edges(plan):
        searches = Referring(plan, [edge], {edge.target: ["a", "b", "c"]})
        explained = store.explain(Query(edge.type), searches)
        steps = next(each.plan for each in explained if each.mapping == edge.source.mapping)
        assert not [each for each in steps if each.startswith("SCAN")], (edge.type, edge.parameter, steps)
        asked += 1
    assert asked > 30
