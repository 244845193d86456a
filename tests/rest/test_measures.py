"""Indicators over HTTP: Measure as a resource, and what $evaluate-measure counts and refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.npr.shipped import Indicators
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services
from fhir_facade.rest.surface import SURFACE, FhirLane
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import SqliteStore
from tests.npr_indicators import EXAMPLES, example, fill, indicators
from tests.rest.test_surface import PERSON, code

Ask = Callable[..., httpx.Response]
YEAR = "periodStart=2024-01-01&periodEnd=2024-12-31"
BASE = "http://facade.test/fhir"
LETTER = "rbf-discharge-letter-1-day"
BOTH = ("rbf-video-phone", "rbf-individual-plan-schizophrenia")


def counts(group: Any) -> dict[str, int]:
    found = {each["code"]["coding"][0]["code"]: each["count"] for each in group["population"]}
    return {name: count for name, count in found.items() if count}


def hand_counted(row: Any) -> dict[str, int]:
    return {str(name): int(count) for name, count in row.items()}


@pytest.fixture
def over(mapping_set: MappingSet, ask_app: Callable[[Any], Ask], tmp_path: Path) -> Callable[..., Ask]:
    """Give an example and a place, get a function that asks a server over its records, drafts being on."""

    def build(name: str, place: Location | None = None, **services: Any) -> Ask:
        columns = mapping_set.search.columns
        held = place or Location(tmp_path / f"{name}.db")
        store = open_store(held, mapping_set.kinds, columns)
        fill(store, name)
        made = Services(mapping_set, store, BASE, PageTokens(b"s"), "1", indicators=Indicators(drafts=True))
        return ask_app(FhirLane(replace(made, **services)))

    return build


@pytest.mark.parametrize("name", BOTH)
def test_a_report_counts_what_was_counted_by_hand(over: Callable[..., Ask], place: Location, name: str) -> None:
    ask = over(name, place)
    told = ask("GET", f"/fhir/Measure/{name}/$evaluate-measure?{YEAR}").json()
    said, (group,) = example(name), told["group"]
    above, _, below = said["score"].partition("/")
    assert (told["type"], told["measure"]) == ("summary", f"http://fhir-facade.no/fhir/Measure/{name}|2024.1")
    assert counts(group) == hand_counted(said["counts"])
    assert group["measureScore"]["value"] == pytest.approx(int(above) / int(below), abs=1e-6)
    units = {each["value"].get("text", "?"): counts(each) for each in group["stratifier"][0]["stratum"]}
    names = {"A1": "Avdeling 1", "A2": "Avdeling 2", "?": "?"}
    assert units == {names[unit]: hand_counted(row) for unit, row in said["unit"].items()}
    unknown = {
        each["code"]["coding"][0]["code"]: each["extension"][0]["valueUnsignedInt"]
        for each in group["population"] if "extension" in each
    }  # fmt: skip
    assert unknown == hand_counted(said["unknown"])


@pytest.mark.parametrize("name", EXAMPLES["examples"])
def test_whole_units_lists_and_patients_agree(over: Callable[..., Ask], name: str) -> None:
    ask = over(name)
    path = f"/fhir/Measure/{name}/$evaluate-measure?{YEAR}"
    whole = counts(ask("GET", path).json()["group"][0])
    told = ask("GET", f"{path}&reportType=subject-list").json()
    for stratifier in told["group"][0]["stratifier"]:
        strata = [counts(each) for each in stratifier["stratum"]]
        assert {each: sum(one.get(each, 0) for one in strata) for each in whole} == whole
    lists = {f"#{each['id']}": [one["item"]["reference"] for one in each["entry"]] for each in told["contained"]}
    for each in told["group"][0]["population"]:
        if each["count"]:
            assert len(set(lists[each["subjectResults"]["reference"]])) == each["count"]
        else:
            assert "subjectResults" not in each
    ids = [each["resource"]["id"] for each in ask("GET", "/fhir/Patient?_count=50").json()["entry"]]
    people = [ask("GET", f"{path}&subject=Patient/{each}").json() for each in ids]
    assert {each["type"] for each in people} == {"individual"}
    own = [counts(each["group"][0]) for each in people]
    assert {each: sum(one.get(each, 0) for one in own) for each in whole} == whole
    read = {each["reference"] for one in people for each in one.get("evaluatedResource", ())}
    assert read == set(lists["#initial-population"])
    assert all(ask("GET", f"/fhir/{each}").status_code == 200 for each in read)


def errors(ask: Ask, resource: Any) -> list[Any]:
    outcome = ask("POST", f"/fhir/{resource['resourceType']}/$validate", json=resource).json()
    return [each for each in outcome["issue"] if each["severity"] in ("error", "warning")]


def test_measures_and_reports_are_valid(over: Callable[..., Ask]) -> None:
    ask = over(LETTER)
    found = [each["resource"] for each in ask("GET", "/fhir/Measure?_count=50").json()["entry"]]
    assert len(found) == len(indicators().by_id)
    reports = [
        ask("GET", f"/fhir/Measure/{LETTER}/$evaluate-measure?{YEAR}{more}").json()
        for more in ("", "&reportType=subject-list", "&subject=993467049.1")
    ]
    assert [errors(ask, each) for each in (*found, *reports)] == [[]] * (len(found) + 3)


def test_a_measure_says_how_sure_it_is(ask: Ask) -> None:
    for each in ask("GET", "/fhir/Measure?_count=50").json()["entry"]:
        measure = each["resource"]
        status = measure["extension"][0]["valueCode"]
        assert status in ("verified", "inferred", "unknown")
        assert (measure["status"], measure["experimental"]) == (
            ("draft", True) if status == "unknown" else ("active", False)
        )
        for population in measure.get("group", [{"population": []}])[0]["population"]:
            assert population["extension"][0]["valueCode"] in ("verified", "inferred", "unknown")
        assert measure["guidance"]
        assert measure["_guidance"]["extension"][0]["extension"][0]["valueCode"] == "nb"


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("status=draft&title=Internet", ["rbf-internet-treatment"]),
        ("url=http://fhir-facade.no/fhir/Measure/rbf-act-fact", ["rbf-act-fact"]),
        ("identifier=rbf-act-fact", ["rbf-act-fact"]),
        ("name=RbfVideo", ["rbf-video-phone"]),
        ("title:contains=phone&version=2024.1", ["rbf-video-phone"]),
        ("title:contains=phone&version=2023", []),
    ],
)
def test_measures_are_searched_by_their_heads(ask: Ask, query: str, ids: list[str]) -> None:
    bundle = ask("GET", f"/fhir/Measure?{query}").json()
    assert [each["resource"]["id"] for each in bundle.get("entry", ())] == ids


def test_every_way_to_ask_gives_the_same(ask: Ask) -> None:
    path = "/fhir/Measure/$evaluate-measure"
    url = "http://fhir-facade.no/fhir/Measure/rbf-video-phone"
    values = {"measure": url, "periodStart": "2024", "periodEnd": "2024-12"}
    parameters = [
        {"name": name, "valueDate" if "period" in name else "valueString": each} for name, each in values.items()
    ]
    answers = [
        ask("GET", path, params=values),
        ask("GET", path, params=values | {"measure": "rbf-video-phone"}),
        ask("GET", path, params=values | {"measure": f"{url}|2024.1", "reportType": "summary"}),
        ask("GET", path, params=values | {"measure": "Measure/rbf-video-phone", "reportType": "population"}),
        ask("GET", f"/fhir/Measure/rbf-video-phone/$evaluate-measure?{YEAR}"),
        ask(
            "POST", "/fhir/Measure/rbf-video-phone/$evaluate-measure", data={"periodStart": "2024", "periodEnd": "2024"}
        ),
        ask("POST", path, json={"resourceType": "Parameters", "parameter": parameters}),
    ]
    assert [each.status_code for each in answers] == [200] * len(answers)
    reports = [each.json() for each in answers]
    for each in reports:
        del each["date"]
    assert all(each == reports[0] for each in reports)
    assert reports[0]["period"] == {"start": "2024-01-01", "end": "2024-12-31"}


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("Measure/$evaluate-measure", 400, "input-missing"),
        (f"Measure/$evaluate-measure?{YEAR}", 400, "input-missing"),
        ("Measure/rbf-video-phone/$evaluate-measure?periodStart=2024", 400, "input-missing"),
        (f"Measure/rbf-video-phone/$evaluate-measure?{YEAR}&reportType=subject", 400, "input-missing"),
        (f"Measure/rbf-video-phone/$evaluate-measure?{YEAR}&reportType=all", 400, "input-invalid"),
        ("Measure/rbf-video-phone/$evaluate-measure?periodStart=2024-13&periodEnd=2024", 400, "input-invalid"),
        ("Measure/rbf-video-phone/$evaluate-measure?periodStart=2025&periodEnd=2024", 400, "inputs-disagree"),
        (f"Measure/rbf-video-phone/$evaluate-measure?{YEAR}&measure=rbf-act-fact", 400, "inputs-disagree"),
        (f"Measure/rbf-video-phone/$evaluate-measure?{YEAR}&practitioner=1", 400, "input-not-served"),
        (f"Measure/rbf-video-phone/$evaluate-measure?{YEAR}&subjekt=1", 400, "input-unknown"),
        (f"Measure/rbf-video-phone/$evaluate-measure?{YEAR}&{YEAR}", 400, "parameter-repeated"),
        (f"Measure/rbf-video-phone/$evaluate-measure?{YEAR}&subject=Patient/nobody", 404, "not-found"),
        (f"Measure/rbf-video-phone/$evaluate-measure?{YEAR}&subject=Encounter/1", 400, "id-invalid"),
        (f"Measure/rbf-video-phone/$evaluate-measure?{YEAR}&subject={PERSON}", 400, "person-number-in-url"),
        (f"Measure/rbf-vido-phone/$evaluate-measure?{YEAR}", 404, "measure-unknown"),
        (f"Measure/$evaluate-measure?{YEAR}&measure=rbf-video-phone|1", 404, "measure-unknown"),
        (f"Measure/rbf-cooperation-somatic/$evaluate-measure?{YEAR}", 422, "measure-is-draft"),
        (f"Measure/rbf-act-fact/$evaluate-measure?{YEAR}", 422, "measure-without-criteria"),
        ("Measure/rbf-video-phone/$evaluate", 404, "operation-unknown"),
        ("Measure/rbf-video", 404, "not-found"),
        ("Measure?subject=x", 400, "search-parameter-unknown"),
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_refused(ask: Ask, path: str, status: int, expected: str) -> None:
    for tongue in ("en", "nb"):
        answer = ask("GET", f"/fhir/{path}", headers={"accept-language": tongue})
        assert (answer.status_code, code(answer)) == (status, expected)
        assert PERSON not in answer.text


def test_too_many_patients_are_refused_and_one_is_not(over: Callable[..., Ask]) -> None:
    ask = over(LETTER, most_measured=3)
    path = f"/fhir/Measure/{LETTER}/$evaluate-measure?{YEAR}"
    assert (ask("GET", path).status_code, code(ask("GET", path))) == (422, "measure-too-costly")
    assert ask("GET", f"{path}&subject=993467049.1").status_code == 200


def test_indicators_that_do_not_fit_the_records_are_told(
    mapping_set: MappingSet, ask_app: Callable[[Any], Ask], database: Path, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("indicators:\n  - {id: site-wrong}\n", "utf-8")
    store = SqliteStore.open(database, mapping_set.kinds, mapping_set.search.columns, read_only=True)
    services = Services(mapping_set, store, BASE, PageTokens(b"s"), "1", indicators=Indicators(own))
    answer = ask_app(FhirLane(services))("GET", "/fhir/Measure")
    assert (answer.status_code, code(answer)) == (422, "indicators-faulty")
    assert "own.yaml:2" in answer.text


def test_measures_are_answered_beside_the_event_loop_and_told_of(ask: Ask) -> None:
    rows = [row for row in SURFACE if row.template.startswith("/Measure")]
    assert {row.reads for row in rows} == {"page"}
    statement = orjson.loads(ask("GET", "/fhir/metadata").content)
    (told,) = [each for each in statement["rest"][0]["resource"] if each["type"] == "Measure"]
    definition = "http://hl7.org/fhir/OperationDefinition/Measure-evaluate-measure"
    assert definition in [each["definition"] for each in told["operation"]]
