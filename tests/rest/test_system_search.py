"""Searching several types at once: what all of them have, one order, every resource once."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.scope import common_parameters
from tests.rest.test_surface import PERSON

BOTH_STORES = True

Ask = Callable[..., httpx.Response]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BASE = "http://facade.test/fhir"


def named(bundle: dict[str, Any], mode: str = "match") -> list[str]:
    entries = [each for each in bundle.get("entry", []) if each["search"]["mode"] == mode]
    return [each["fullUrl"].removeprefix(BASE + "/") for each in entries]


def link(bundle: dict[str, Any], relation: str) -> str | None:
    return next((each["url"] for each in bundle["link"] if each["relation"] == relation), None)


def search(ask: Ask, **parameters: Any) -> dict[str, Any]:
    answer = ask("GET", "/fhir", params=parameters)
    assert answer.status_code == 200, answer.text
    bundle: dict[str, Any] = answer.json()
    return bundle


def of_type(ask: Ask, resource_type: str, **parameters: Any) -> list[str]:
    return named(ask("GET", f"/fhir/{resource_type}", params={"_count": 1000, **parameters}).json())


@pytest.mark.parametrize("path", ["/fhir", "/fhir/"])
def test_all_types_are_searched_without_a_type(ask: Ask, mapping_set: MappingSet, path: str) -> None:
    bundle = ask("GET", path, params={"_count": 1000, "_total": "accurate"}).json()
    every = [name for each in mapping_set.by_type for name in of_type(ask, each)]
    assert named(bundle) == every
    assert bundle["total"] == len(every) < 1000


@pytest.mark.parametrize("sort", ["", "_id", "-_id", "_lastUpdated", "-_lastUpdated,_id", "_id,-_lastUpdated"])
@pytest.mark.parametrize("count", [7, 60])
def test_pages_both_ways_hold_every_match_once(ask: Ask, mapping_set: MappingSet, sort: str, count: int) -> None:
    types = ["Encounter", "Patient", "Condition", "Observation"]
    asked = {"_type": ",".join(types), "_count": count} | ({"_sort": sort} if sort else {})
    whole = named(search(ask, **asked | {"_count": 1000}))
    every = [name for each in sorted(types) for name in of_type(ask, each)]
    assert sorted(whole) == sorted(every)
    bundle = search(ask, **asked)
    assert "total" not in bundle
    pages = [named(bundle)]
    while further := link(bundle, "next"):
        bundle = ask("GET", further).json()
        pages.append(named(bundle))
    assert list(itertools.chain(*pages)) == whole
    assert all(len(each) == count for each in pages[:-1])
    back = [named(bundle)]
    while before := link(bundle, "previous"):
        bundle = ask("GET", before).json()
        back.insert(0, named(bundle))
    assert list(itertools.chain(*back)) == whole
    last = link(search(ask, **asked), "last")
    assert last is None or named(ask("GET", last).json()) == whole[-count:]


def test_a_sort_goes_across_types(ask: Ask) -> None:
    """By last change all over, not type by type: keys of different types stand among each other."""
    names = named(search(ask, _type="Encounter,Condition,Observation", _sort="_id", _count=1000))
    types = [each.split("/")[0] for each in names]
    assert len(list(itertools.groupby(types))) > 3


def test_what_types_have_in_common_restricts_all_of_them(ask: Ask, mapping_set: MappingSet) -> None:
    patient = of_type(ask, "Patient")[0]
    types = ["Condition", "Encounter", "Procedure"]
    bundle = search(ask, _type=",".join(reversed(types)), patient=patient, _count=1000)
    assert named(bundle) == [name for each in types for name in of_type(ask, each, patient=patient)]
    assert 0 < len(named(bundle)) < len(named(search(ask, _type=",".join(types), _count=1000)))
    assert set(common_parameters(mapping_set.search, types)) > {"_id", "patient", "subject", "encounter"} - {
        "encounter"
    }
    posted = ask(
        "POST", "/fhir/_search", content=f"_type=Condition,Encounter,Procedure&patient={patient}&_count=2", headers=FORM
    ).json()
    further = link(posted, "next") or ""
    assert patient.split("/")[1] not in further and "patient" not in further
    pages = named(posted)
    while further:
        posted = ask("GET", further).json()
        pages += named(posted)
        further = link(posted, "next") or ""
    assert pages == named(bundle)


def test_one_type_here_answers_as_its_own_search(ask: Ask, mapping_set: MappingSet) -> None:
    for resource_type in mapping_set.by_type:
        assert named(search(ask, _type=resource_type, _count=1000)) == of_type(ask, resource_type)


def test_includes_stand_beside_matches_of_several_types(ask: Ask) -> None:
    asked = {"_type": "Encounter,Condition", "_include": ["Encounter:location", "Condition:encounter"], "_count": 1000}
    bundle = search(ask, **asked)
    assert {each.split("/")[0] for each in named(bundle, "include")} == {"Location"}  # every stay is a match
    assert "_include=Encounter:location&_include=Condition:encounter" in (link(bundle, "self") or "")


def test_the_self_link_says_what_ran(ask: Ask) -> None:
    bundle = search(ask, _type="Patient,Encounter", _id="1,2", _count=3)
    assert link(bundle, "self") == f"{BASE}?_type=Patient,Encounter&_id=1,2&_count=3"
    answer = ask(
        "GET", "/fhir?_type=Patient,Encounter&birthdate=2000&_count=1", headers={"Prefer": "handling=lenient"}
    ).json()
    assert link(answer, "self") == f"{BASE}?_type=Patient,Encounter&_count=1"
    assert answer["entry"][-1]["search"]["mode"] == "outcome"
    assert "birthdate" in str(answer["entry"][-1]["resource"])


@pytest.mark.parametrize("path", ["", "/Patient/{id}/*"])
def test_a_search_of_several_types_is_explained_for_each(ask: Ask, path: str) -> None:
    patient = of_type(ask, "Patient")[0].split("/")[1]
    asked = {"_type": "Procedure,Encounter", "_explain": "true", "_count": 1, "_sort": "_id"}
    bundle = ask("GET", "/fhir" + path.replace("{id}", patient), params=asked).json()
    for page in (bundle, ask("GET", link(bundle, "next") or "").json()):
        told = str(page["entry"][-1]["resource"])
        assert all(name in told for name in ("opphold-encounter", "prosedyre-procedure", "tvangstiltak-procedure"))


def test_only_the_number_is_given_for_count_0(ask: Ask) -> None:
    bundle = search(ask, _type="Patient,Encounter", _count=0)
    assert "entry" not in bundle
    assert bundle["total"] == len(of_type(ask, "Patient")) + len(of_type(ask, "Encounter"))


def test_a_token_is_good_for_its_own_types_only(ask: Ask) -> None:
    further = link(search(ask, _type="Patient,Encounter", _count=2), "next") or ""
    assert ask("GET", further).status_code == 200
    for other in (further.replace("Patient,", ""), further.replace("fhir?", "fhir/Encounter?").replace("_type", "_id")):
        assert ask("GET", other).status_code == 400


@pytest.mark.parametrize(
    ("asked", "code", "said"),
    [
        ("_type=Patint", "type-not-searched", "Patient"),
        ("_type=", "type-not-searched", "Patient"),
        ("_type=Patient&_type=Encounter", "parameter-repeated", "_type"),
        ("_type=Patient,Encounter&birthdate=2000", "search-parameter-unknown", "_id"),
        ("_type=Patient,Encounter&_sort=birthdate", "sort-unknown", "_id"),
        ("_type=Patient,Encounter&_id=", "search-value-invalid", "_id"),
        ("_type=Patient,Encounter&_include=Coverage:patient", "include-out-of-reach", "Encounter"),
        ("_type=Patient,Encounter&_include=Encounter:sbject", "include-unknown", "subject"),
        ("_type=Patient,Encounter&_lastUpdated:exact=2000", "search-modifier-unknown", "exact"),
        ("patient=1", "search-parameter-unknown", "_id"),
    ],
)
def test_what_is_wrong_is_refused(ask: Ask, asked: str, code: str, said: str) -> None:
    for answer in (ask("GET", f"/fhir?{asked}"), ask("POST", "/fhir/_search", content=asked, headers=FORM)):
        assert answer.status_code == 400
        issues = answer.json()["issue"]
        assert [each["details"]["coding"][0]["code"] for each in issues] == [code] * len(issues)
        assert said in answer.text


def test_a_person_number_is_refused_in_the_url_and_taken_in_the_form(ask: Ask) -> None:
    assert ask("GET", f"/fhir?_type=Patient&identifier={PERSON}").status_code == 400
    body = f"_type=Patient&identifier={PERSON}"
    assert ask("POST", "/fhir/_search", content=body, headers=FORM).status_code == 200


def test_other_methods_are_told_what_is_allowed(ask: Ask) -> None:
    assert ask("DELETE", "/fhir").headers["allow"] == "GET, HEAD"
    assert ask("GET", "/fhir/_search").headers["allow"] == "POST"
