"""Compartments against what R4's definitions and the rendered resources say."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import httpx
import orjson
import pytest

from fhir_facade.mapping.compartments import compartments
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.mapping.search_hits import parameters_of
from fhir_facade.resources import data_root
from tests.rest.test_includes import Resources, references, stock
from tests.rest.test_surface import PERSON
from tests.rest.test_system_search import link, named

BOTH_STORES = True

__all__ = ["stock"]

Ask = Callable[..., httpx.Response]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
R4 = orjson.loads((data_root("profiles") / "r4" / "compartments.json").read_bytes())


def members(stock: Resources, middle: str) -> Iterator[str]:
    """The resources in the compartment of one, by R4's definition and the JSON of each: itself, and what refers to it
    by one of the parameters that are listed for its type.
    """
    types = R4["compartments"][middle.split("/", maxsplit=1)[0]]["types"]
    for name, resource in stock.items():
        codes = types.get(resource["resourceType"], ())
        known = parameters_of(resource["resourceType"])
        if name == middle or any(middle in references(resource, code) for code in codes if code in known):
            yield name


def test_the_table_is_that_of_r4() -> None:
    assert R4["source"]["package"] == "hl7.fhir.r4.core"
    assert R4["source"]["version"] == "4.0.1"
    types = {name: each["types"] for name, each in R4["compartments"].items()}
    assert sorted(types) == ["Device", "Encounter", "Patient", "Practitioner", "RelatedPerson"]
    assert types["Patient"]["Coverage"] == ["policy-holder", "subscriber", "beneficiary", "payor"]
    assert types["Encounter"]["Encounter"] == ["{def}"]
    assert "Organization" not in types["Patient"]


def test_every_compartment_holds_what_the_resources_say(ask: Ask, mapping_set: MappingSet, stock: Resources) -> None:
    """A walk: every compartment of every resource that has one, all of it and type by type."""
    served = compartments(mapping_set.search)
    assert set(served) == {"Patient", "Encounter", "Practitioner"}
    walked = 0
    for compartment in served.values():
        middles = [name for name, each in stock.items() if each["resourceType"] == compartment.type][:8]
        assert middles
        for middle in middles:
            said = set(members(stock, middle))
            assert {name.split("/")[0] for name in said} <= compartment.types.keys()
            found = named(ask("GET", f"/fhir/{middle}/*?_count=1000").json())
            assert len(found) == len(set(found)) and set(found) == said
            for resource_type in compartment.types:
                of_type = named(ask("GET", f"/fhir/{middle}/{resource_type}?_count=1000").json())
                assert of_type == [name for name in found if name.split("/")[0] == resource_type]
                walked += bool(of_type)
    assert walked > 60


@pytest.fixture
def patient(stock: Resources) -> str:
    """The patient with the most in its compartment."""
    patients = [name for name, each in stock.items() if each["resourceType"] == "Patient"]
    return max(patients, key=lambda name: len(list(members(stock, name))))


def test_a_search_goes_on_inside_a_compartment(ask: Ask, patient: str, stock: Resources) -> None:
    stays = [name for name in members(stock, patient) if name.startswith("Encounter/")]
    one = stays[-1].split("/")[1]
    bundle = ask("GET", f"/fhir/{patient}/Encounter?_id={one}&_include=Encounter:location").json()
    assert named(bundle) == [stays[-1]]
    assert set(named(bundle, "include")) == set(references(stock[stays[-1]], "location"))
    assert link(bundle, "self") == f"http://facade.test/fhir/{patient}/Encounter?_id={one}&_include=Encounter:location"
    others = [name for name, each in stock.items() if each["resourceType"] == "Encounter" and name not in stays]
    outside = ask("GET", f"/fhir/{patient}/Encounter?_id={others[0].split('/')[1]}").json()
    assert "entry" not in outside
    several = ask("GET", f"/fhir/{patient}/*?_type=Condition,Procedure&_total=accurate&_count=1000").json()
    said = [name for name in members(stock, patient) if name.split("/")[0] in ("Condition", "Procedure")]
    assert sorted(named(several)) == sorted(said)
    assert several["total"] == len(said)


@pytest.mark.parametrize("path", ["*", "Condition"])
@pytest.mark.parametrize("sort", ["", "&_sort=-_lastUpdated", "&_sort=-_id"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_of_a_compartment_hold_every_match_once(
    ask: Ask, patient: str, stock: Resources, path: str, sort: str, method: str
) -> None:
    if method == "GET":
        bundle = ask("GET", f"/fhir/{patient}/{path}?_count=2{sort}").json()
    else:
        bundle = ask("POST", f"/fhir/{patient}/{path}/_search", content=f"_count=2{sort}", headers=FORM).json()
    pages = [named(bundle)]
    while further := link(bundle, "next"):
        bundle = ask("GET", further).json()
        pages.append(named(bundle))
    found = list(itertools.chain(*pages))
    assert len(found) == len(set(found))
    assert set(found) == {name for name in members(stock, patient) if path in ("*", name.split("/")[0])}


def test_a_token_is_good_in_its_own_compartment_only(ask: Ask, patient: str, stock: Resources) -> None:
    other = next(name for name in stock if name.startswith("Patient/") and name != patient)
    further = link(ask("GET", f"/fhir/{patient}/*?_count=2").json(), "next") or ""
    assert ask("GET", further).status_code == 200
    for moved in (further.replace(patient, other), further.replace("/*", "/Encounter"), further.replace("/*", "")):
        assert ask("GET", moved).status_code == 400


@pytest.mark.parametrize(
    ("path", "status", "code", "said"),
    [
        ("Patient/nobody/Encounter", 404, "not-found", "Patient"),
        ("Patient/nobody/*", 404, "not-found", "Patient"),
        ("Patient/no+body/Encounter", 400, "id-invalid", ""),
        ("Patient/{id}/Encuonter", 404, "compartment-type-unknown", "Encounter"),
        ("Patient/{id}/Organization", 404, "compartment-type-unknown", "Encounter"),
        ("Patient/{id}/_search", 404, "path-unknown", ""),
        ("Patient/{id}/$everythin", 404, "operation-unknown", ""),
        ("Organization/1/Encounter", 404, "compartment-unknown", "Practitioner"),
        ("RelatedPerson/1/*", 404, "compartment-unknown", "Practitioner"),
        ("Patent/1/Encounter", 404, "type-unknown", "Patient"),
        ("Patient/{id}/Encounter/1", 404, "path-unknown", ""),
        ("Patient/{id}/Encounter?birthdate=2000", 400, "search-parameter-unknown", ""),
        ("Patient/{id}/*?class=IMP", 400, "search-parameter-unknown", ""),
        ("Patient/{id}/*?_type=Organization", 400, "type-not-searched", "Encounter"),
        ("Patient/{id}/Encounter?_type=Encounter", 400, "search-parameter-unknown", ""),
        (f"Patient/{PERSON}/Encounter", 400, "person-number-in-url", ""),
        (f"Patient/1/Encounter?subject={PERSON}", 400, "person-number-in-url", ""),
        (f"Patient/{{id}}/Encounter?identifier={PERSON}", 400, "person-number-in-url", ""),
    ],
)
def test_what_is_wrong_is_refused(ask: Ask, patient: str, path: str, status: int, code: str, said: str) -> None:
    answer = ask("GET", "/fhir/" + path.replace("{id}", patient.split("/")[1]))
    issue = answer.json()["issue"][0]
    assert (answer.status_code, issue["details"]["coding"][0]["code"]) == (status, code)
    assert said in answer.text
    assert PERSON not in answer.text


def test_other_methods_are_told_what_is_allowed(ask: Ask) -> None:
    assert ask("POST", "/fhir/Patient/1/Encounter").headers["allow"] == "GET, HEAD"
    assert ask("GET", "/fhir/Patient/1/Encounter/_search").headers["allow"] == "POST"
