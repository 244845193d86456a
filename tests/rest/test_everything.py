"""$everything against what the rendered resources say: the compartment, and all that references lead to from it."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from fhir_facade.contracts import Found
from fhir_facade.mapping.compartments import compartments
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest import everything as module
from fhir_facade.rest.everything import Persons
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.records import SqliteStore
from tests.rest.test_compartments import members
from tests.rest.test_includes import Resources, stock
from tests.rest.test_surface import PERSON
from tests.rest.test_system_search import link, named

__all__ = ["stock"]

Ask = Callable[..., httpx.Response]
BOTH_STORES = True
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
JSON = {"Content-Type": "application/fhir+json"}


def referred(stock: Resources, names: Iterable[str]) -> set[str]:
    """Whatever the JSON of some resources refers to, and what that refers to, to the end."""
    seen = set(names)
    front = seen
    while front:
        texts = [orjson.dumps(stock[name]).decode() for name in front]
        front = {each for text in texts for each in re.findall(r'"reference":"([^"]+)"', text)} - seen
        seen |= front
    return seen


def walk(ask: Ask, path: str, mode: str = "") -> list[list[str]]:
    """The resources of each page from a first one on."""
    pages = []
    further: str | None = path
    while further:
        answer = ask("GET", further)
        assert answer.status_code == 200, answer.text
        bundle = answer.json()
        pages.append([*([] if mode == "include" else named(bundle)), *([] if mode == "match" else included(bundle))])
        further = link(bundle, "next")
    return pages


def included(bundle: dict[str, Any]) -> list[str]:
    return named(bundle, "include")


@pytest.fixture(params=["Patient", "Encounter"])
def middles(request: pytest.FixtureRequest, stock: Resources) -> list[str]:
    return [name for name, each in stock.items() if each["resourceType"] == request.param][:10]


def test_everything_is_the_compartment_and_what_it_refers_to(ask: Ask, middles: list[str], stock: Resources) -> None:
    for middle in middles:
        bundle = ask("GET", f"/fhir/{middle}/$everything").json()
        assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
        compartment = set(members(stock, middle))
        matches, beside = named(bundle), included(bundle)
        assert matches[0] == middle
        assert len(matches) == len(set(matches)) and set(matches) == compartment
        assert len(beside) == len(set(beside)) and set(beside) == referred(stock, compartment) - compartment
        assert [each["resource"] for each in bundle["entry"]] == [stock[name] for name in matches + beside]


@pytest.mark.parametrize("count", ["", "&_count=7"])
def test_everything_of_all_patients_holds_that_of_each(ask: Ask, stock: Resources, count: str) -> None:
    path = f"/fhir/Patient/$everything?_pretty=false{count}"
    matches, beside = ([each for page in walk(ask, path, mode) for each in page] for mode in ("match", "include"))
    assert len({*matches, *beside}) == len(matches) + len(beside)
    types, reached = {name.split("/")[0] for name in matches}, {name.split("/")[0] for name in beside}
    assert {"Patient", "Encounter", "Condition"} <= types and reached == {"Location", "Organization"}
    assert {*matches} == {name for name in stock if name.split("/")[0] in types}
    assert {*beside} == {name for name in stock if name.split("/")[0] in reached}
    for patient in (name for name in stock if name.startswith("Patient/")):
        (whole,) = walk(ask, f"/fhir/{patient}/$everything")
        assert {*whole} <= {*matches, *beside}
        assert [name for name in matches if name in whole] + [name for name in beside if name in whole] == whole


def test_all_patients_are_asked_for_as_one_is(ask: Ask, stock: Resources) -> None:
    (whole,) = walk(ask, "/fhir/Patient/$everything")
    chosen = [name for name in whole if name.split("/")[0] in ("Encounter", "Organization")]
    assert walk(ask, "/fhir/Patient/$everything?_type=Organization,Encounter") == [chosen]
    at = stock[whole[0]]["meta"]["lastUpdated"]
    assert walk(ask, f"/fhir/Patient/$everything?_since={at}") == [whole]
    assert walk(ask, "/fhir/Patient/$everything?_since=2026-01-01T10:00:01Z") == [[]]
    day = next(span for name in whole if name.startswith("Encounter/") and (span := days(stock[name], stock)))[0]
    (kept,) = walk(ask, f"/fhir/Patient/$everything?start={day}&end={day}", "match")
    types = {name.split("/")[0] for name in walk(ask, "/fhir/Patient/$everything", "match")[0]}
    said = {name: days(stock[name], stock) for name in whole if name.split("/")[0] in types}
    assert kept == [name for name, span in said.items() if not span or within(span, day, day)] != list(said)
    posted = ask("POST", "/fhir/Patient/$everything", content=b"_type=Encounter", headers=FORM).json()
    assert named(posted) == [name for name in chosen if name.startswith("Encounter/")]


def test_a_token_of_all_patients_is_good_for_them_only(ask: Ask, stock: Resources) -> None:
    further = link(ask("GET", "/fhir/Patient/$everything?_count=1").json(), "next") or ""
    one = next(name for name in stock if name.startswith("Patient/"))
    for moved in (further.replace("Patient/$", one + "/$"), further + "&_type=Encounter", further.replace("/$", "?")):
        assert ask("GET", moved).status_code == 400


def test_everything_of_a_patient_names_places_and_units(ask: Ask, stock: Resources) -> None:
    types = set()
    for name in stock:
        if name.startswith("Patient/"):
            types |= {each.split("/")[0] for each in included(ask("GET", f"/fhir/{name}/$everything").json())}
    assert types == {"Location", "Organization"}


@pytest.mark.parametrize("count", [1, 3, 8])
def test_pages_hold_each_resource_once(ask: Ask, middles: list[str], count: int) -> None:
    middle = max(middles, key=lambda name: len(ask("GET", f"/fhir/{name}/$everything").json()["entry"]))
    (whole,) = walk(ask, f"/fhir/{middle}/$everything")
    pages = walk(ask, f"/fhir/{middle}/$everything?_count={count}")
    assert list(itertools.chain(*pages)) == whole
    assert all(len(page) == count for page in pages[:-1]) and pages[-1]
    bundle = ask("GET", link(ask("GET", f"/fhir/{middle}/$everything?_count={count}").json(), "last") or "").json()
    back = [[*named(bundle), *included(bundle)]]
    while before := link(bundle, "previous"):
        bundle = ask("GET", before).json()
        back.insert(0, [*named(bundle), *included(bundle)])
    assert list(itertools.chain(*back)) == whole


def test_many_records_are_read_some_at_a_time(ask: Ask, middles: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/fhir/{middles[0]}/$everything?_count=2"
    before = walk(ask, path)
    monkeypatch.setattr(module, "READ_AT_ONCE", 2)
    assert walk(ask, path) == before


@pytest.mark.parametrize("types", ["Encounter", "Patient,Organization", "Organization", "Condition,Location,Encounter"])
def test_types_choose_from_everything(ask: Ask, stock: Resources, types: str) -> None:
    patient = next(name for name in stock if name.startswith("Patient/"))
    (whole,) = walk(ask, f"/fhir/{patient}/$everything")
    chosen = [name for name in whole if name.split("/")[0] in types.split(",")]
    assert chosen
    assert walk(ask, f"/fhir/{patient}/$everything?_type={types}") == [chosen]
    repeated = "&".join(f"_type={each}" for each in types.split(","))
    assert list(itertools.chain(*walk(ask, f"/fhir/{patient}/$everything?{repeated}&_count=1"))) == chosen


def test_since_keeps_what_has_changed(ask: Ask, stock: Resources) -> None:
    """All of the stock was written at one instant: it is there at that instant, and not a second later."""
    patient = next(name for name in stock if name.startswith("Patient/"))
    (whole,) = walk(ask, f"/fhir/{patient}/$everything")
    at = stock[patient]["meta"]["lastUpdated"]
    assert walk(ask, f"/fhir/{patient}/$everything?_since={at}") == [whole]
    later = at.replace("10:00:00.000Z", "10:00:01Z")
    assert later != at and walk(ask, f"/fhir/{patient}/$everything?_since={later}") == [[]]
    assert walk(ask, f"/fhir/{patient}/$everything?_since=2026-01-01T12:00:00%2B02:00") == [whole]
    assert walk(ask, f"/fhir/{patient}/$everything?_since=2026-01-01T12:00:00+02:00") == [whole]


def days(resource: dict[str, Any], stock: Resources) -> tuple[str, str] | None:
    """First and last day of care that a resource says, or of the stay that it refers to; None when nothing says."""
    period = resource.get("period") or resource.get("performedPeriod") or resource.get("occurrencePeriod")
    for one in ("effectiveDateTime", "performedDateTime", "occurrenceDateTime", "recordedDate", "start", "authoredOn"):
        period = period or ({"start": resource[one], "end": resource[one]} if one in resource else None)
    if resource["resourceType"] == "Consent":
        period = resource.get("provision", {}).get("period")
    if resource["resourceType"] in ("Patient", "RelatedPerson", "Coverage") or not period:
        stay = resource.get("encounter", {}).get("reference")
        return days(stock[stay], stock) if stay else None
    return period.get("start", "0000")[:10], period.get("end", "9999")[:10]


def test_care_dates_narrow_the_compartment(ask: Ask, stock: Resources) -> None:
    """By the days in the JSON of each resource, whatever the parameters read."""
    narrowed = 0
    for patient in (name for name in stock if name.startswith("Patient/")):
        (whole,) = walk(ask, f"/fhir/{patient}/$everything", "match")
        said = {name: days(stock[name], stock) for name in whole}
        for first, last in sorted({each for each in said.values() if each})[::6]:
            for low, high in spans(first, last):
                asked = "&".join(f"{name}={day}" for name, day in (("start", low), ("end", high)) if day)
                bundle = ask("GET", f"/fhir/{patient}/$everything?{asked}").json()
                kept = named(bundle)
                meets = [each for each, span in said.items() if not span or within(span, low, high or "9999")]
                assert kept == meets, asked
                assert set(included(bundle)) == referred(stock, kept) - set(kept)
                narrowed += len(kept) < len(whole)
    assert narrowed > 5


def spans(first: str, last: str) -> list[tuple[str, str]]:
    """From and to a day, on a day alone, after a last day."""
    from_first = [(first, ""), ("", first), (first, first)] if first != "0000" else []
    return from_first + ([(last, "")] if last != "9999" else [])


def within(span: tuple[str, str], low: str, high: str) -> bool:
    return span[0] <= high and span[1] >= low


def test_what_has_no_date_goes_with_its_stay(
    lane_over: Callable[[Path], FhirLane],
    ask_app: Callable[[Any], Ask],
    mapping_set: MappingSet,
    database: Path,
    tmp_path: Path,
) -> None:
    """A procedure without a time is in the days of its stay, and not in others."""
    path = tmp_path / "undated.db"
    shutil.copy(database, path)
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    kind = mapping_set.kinds["prosedyre"]
    record = next(each for each in store.scan("prosedyre") if each["$opphold"])
    stay = mapping_set.mappings["opphold-encounter"].interpret(store.get("opphold", record["$opphold"]) or {}, [])
    timed = mapping_set.mappings["prosedyre-procedure"].interpret(record, [])
    assert any(name.startswith("performed") for name in timed)
    bare = record | dict.fromkeys(field for field, each in kind.fields.items() if each.type.startswith("date"))
    with store.transaction() as writer:
        writer.merge(kind, [bare], "2026-01-01T11:00:00.000Z", supplied=None)
    store.close()
    ask = ask_app(lane_over(path))
    name, patient = f"Procedure/{timed['id']}", stay["subject"]["reference"]
    assert not any(each.startswith("performed") for each in ask("GET", f"/fhir/{name}").json())
    first, last = stay["period"]["start"][:10], stay["period"].get("end", "2030-01-01")[:10]
    for asked, there in (
        (f"start={first}&end={last}", True),
        (f"end={first}", True),
        (f"end={int(first[:4]) - 1}", False),
        (f"start={int(last[:4]) + 1}", False),
    ):
        matches = named(ask("GET", f"/fhir/{patient}/$everything?{asked}").json())
        assert (name in matches, f"Encounter/{stay['id']}" in matches) == (there, there), asked


def test_it_is_asked_for_by_post_too(ask: Ask, stock: Resources) -> None:
    patient = next(name for name in stock if name.startswith("Patient/"))
    expected = ask("GET", f"/fhir/{patient}/$everything?_type=Encounter&_type=Patient&_count=2").json()
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "_type", "valueCode": "Encounter"},
            {"name": "_type", "valueCode": "Patient"},
            {"name": "_count", "valueInteger": 2},
        ],
    }
    for body, headers in (
        (orjson.dumps(parameters), JSON),
        (b"_type=Encounter&_type=Patient&_count=2", FORM),
    ):
        answer = ask("POST", f"/fhir/{patient}/$everything", content=body, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["entry"] == expected["entry"]
    dated = {"resourceType": "Parameters", "parameter": [{"name": "start", "valueDate": "2999-01-01"}]}
    answer = ask("POST", f"/fhir/{patient}/$everything", content=orjson.dumps(dated), headers=JSON).json()
    assert not [name for name in named(answer) if name.startswith("Encounter/")]


def test_the_self_link_says_what_ran(ask: Ask, stock: Resources) -> None:
    patient = next(name for name in stock if name.startswith("Patient/"))
    asked = "start=2020&end=2030-12&_since=2020-01-01T00:00:00Z&_type=Encounter,Patient&_count=5&_pretty=false"
    bundle = ask("GET", f"/fhir/{patient}/$everything?{asked}").json()
    assert link(bundle, "self") == f"http://facade.test/fhir/{patient}/$everything?{asked}"


def test_a_token_is_good_for_its_own_question_only(ask: Ask, stock: Resources) -> None:
    one, other = [name for name in stock if name.startswith("Patient/")][:2]
    further = link(ask("GET", f"/fhir/{one}/$everything?_count=1").json(), "next") or ""
    for moved in (
        further.replace(one, other),
        further + "&_type=Encounter",
        further.replace("$everything", "*"),
        further.replace("_page=", "_page=A"),
    ):
        assert ask("GET", moved).status_code == 400
    posted = ask("POST", "/fhir/Patient/_search", content="_count=1", headers=FORM).json()
    token = (link(posted, "next") or "").partition("_page=")[2]
    assert ask("GET", f"/fhir/{one}/$everything?_page={token}").status_code == 400


@pytest.mark.parametrize(
    ("path", "status", "code", "said"),
    [
        ("Patient/nobody/$everything", 404, "not-found", "Patient"),
        ("Encounter/nobody/$everything", 404, "not-found", "Encounter"),
        ("Encounter/$everything", 404, "operation-unknown", "$everything"),
        ("Patient/$everything?_count=0", 400, "input-invalid", "_count"),
        ("Patient/$everything?_type=Practitioner", 400, "type-not-searched", "Organization"),
        (f"Patient/$everything?_type={PERSON}", 400, "person-number-in-url", ""),
        ("Condition/{id}/$everything", 404, "operation-unknown", "$lineage"),
        ("Patient/{id}/$everything?_tpe=Encounter", 400, "input-unknown", "_type"),
        ("Patient/{id}/$everything?_type=Encuonter", 400, "type-not-searched", "Encounter"),
        ("Patient/{id}/$everything?_type=Practitioner", 400, "type-not-searched", "Organization"),
        ("Patient/{id}/$everything?_count=0", 400, "input-invalid", "_count"),
        ("Patient/{id}/$everything?_count=many", 400, "input-invalid", "_count"),
        ("Patient/{id}/$everything?_since=2020", 400, "input-invalid", "_since"),
        ("Patient/{id}/$everything?start=20-01", 400, "input-invalid", "start"),
        ("Patient/{id}/$everything?start=2020-01-01T10:00", 400, "input-invalid", "start"),
        ("Patient/{id}/$everything?end=2020-13", 400, "input-invalid", "end"),
        ("Patient/{id}/$everything?_page=abc", 400, "page-token-invalid", ""),
        ("Patient/{id}/$everything?_include=*", 400, "input-unknown", ""),
        ("Encounter/1/$everything?start=2020", 400, "input-unknown", "_since"),
        (f"Patient/{PERSON}/$everything", 400, "person-number-in-url", ""),
        (f"Patient/{{id}}/$everything?_type={PERSON}", 400, "person-number-in-url", ""),
    ],
)
def test_what_is_wrong_is_refused(ask: Ask, stock: Resources, path: str, status: int, code: str, said: str) -> None:
    patient = next(name for name in stock if name.startswith("Patient/")).split("/")[1]
    answer = ask("GET", "/fhir/" + path.replace("{id}", patient))
    issue = answer.json()["issue"][0]
    assert (answer.status_code, issue["details"]["coding"][0]["code"]) == (status, code)
    assert said in answer.text
    assert PERSON not in answer.text


def test_a_bad_row_fails_no_page(ask: Ask, lane: FhirLane, stock: Resources, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(record: Any, issues: Any) -> bytes:
        raise ValueError("a value that must not be told")

    patient = next(name for name in stock if name.startswith("Patient/"))
    (whole,) = walk(ask, f"/fhir/{patient}/$everything")
    for mapping in ("opphold-encounter", "enhet-organization"):
        monkeypatch.setitem(lane.services.mapping_set.mappings[mapping].__dict__, "to_bytes", fails)
    bundle = ask("GET", f"/fhir/{patient}/$everything").json()
    left = [name for name in whole if not name.startswith(("Encounter/", "Organization/"))]
    assert [*named(bundle), *included(bundle)] == left
    assert bundle["entry"][-1]["search"]["mode"] == "outcome"


def test_nothing_of_another_person_is_told(lane: FhirLane, mapping_set: MappingSet) -> None:
    """Rows of a deployment may refer from one person's stay to another's; that one is left out."""
    store: Any = lane.services.store
    one, other = (each["$key"] for each in itertools.islice(store.scan("pasient"), 2))
    persons = Persons(compartments(mapping_set.search)["Patient"], frozenset({("pasient-patient", one)}))
    stays = {each["$pasient"]: each for each in store.scan("opphold")}
    for key, seen in ((one, True), (other, False)):
        person = Found("pasient-patient", key, store.get("pasient", key))
        assert persons.may_see("Patient", person) is seen
        if key in stays:
            assert persons.may_see("Encounter", Found("opphold-encounter", key, stays[key])) is seen
    first = next(store.scan("enhet"))
    unit = Found("enhet-organization", first["$key"], first)
    assert persons.may_see("Organization", unit)
