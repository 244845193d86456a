"""Imported editions behind the server: looked up, expanded and told of beside what is shipped; several of one system."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from fhir_facade.rest.surface import FhirLane
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.code_table import CodeTable, code_table
from fhir_facade.terminology.concepts import Concept, Designation, Edition

Ask = Callable[..., httpx.Response]
ICD = "urn:oid:2.16.578.1.12.4.1.1.7110"
LARGE = "http://example.org/large"
NOON = datetime(2025, 6, 30, 12, tzinfo=UTC)


def icd(year: int, **displays: str) -> CodeTable:
    concepts = [
        Concept(
            code, text, parent=code[:3] if len(code) > 3 else None, designations=(Designation("en", f"{text} (en)"),)
        )
        for code, text in displays.items()
    ]
    edition = Edition(
        ICD, str(year), "Icd10", "ICD-10", complete=True, count=len(concepts),
        valid_from=f"{year}-01-01", valid_to=f"{year}-12-31",
    )  # fmt: skip
    return code_table(edition, concepts, dotless=True)


@pytest.fixture(scope="module")
def asked(lane: FhirLane) -> FhirLane:
    large = [Concept(f"{number:05d}", f"Number {number}") for number in range(25_000)]
    extra = [
        icd(2024, A00="Kolera", A000="Klassisk kolera"),
        icd(2025, A00="Kolera", A000="Klassisk kolera", A001="Kolera El Tor"),
        code_table(Edition(LARGE, "1", "Large", "Large", complete=True, count=len(large)), large),
    ]
    return FhirLane(replace(lane.services, catalogue=Catalogue(extra), now=lambda: NOON))


@pytest.fixture
def ask(asked: FhirLane, ask_app: Callable[[Any], Ask]) -> Ask:
    return ask_app(asked)


def told(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    return {
        each["name"]: next(value for name, value in each.items() if name != "name")
        for each in answer.json()["parameter"]
    }


def test_the_day_chooses_the_edition(ask: Ask) -> None:
    path = f"/fhir/CodeSystem/$lookup?system={ICD}&code=A00"
    assert told(ask("GET", path))["version"] == "2025"
    assert told(ask("GET", f"{path}&date=2024-06-30"))["version"] == "2024"
    assert told(ask("GET", f"{path}&version=2024"))["version"] == "2024"
    answer = ask("GET", f"{path}&version=2020")
    assert (answer.status_code, "2024" in answer.text) == (404, True)


def test_where_no_day_is_asked_for_an_older_whole_edition_goes_before_a_sample(
    asked: FhirLane, ask_app: Callable[[Any], Ask]
) -> None:
    ask = ask_app(FhirLane(replace(asked.services, now=lambda: NOON.replace(year=2031))))
    path = f"/fhir/CodeSystem/$lookup?system={ICD}&code=A000"
    assert told(ask("GET", path))["version"] == "2025"
    assert ask("GET", f"{path}&date=2031-06-30").status_code == 404


@pytest.mark.parametrize("url", [ICD, "http://fhir-facade.no/fhir/ValueSet/vol-7110"])
def test_a_version_behind_the_url_of_a_value_set_is_the_edition(ask: Ask, url: str) -> None:
    def expanded(more: str) -> list[str]:
        return [each["code"] for each in ask("GET", f"/fhir/ValueSet/$expand?{more}").json()["expansion"]["contains"]]

    def verdict(more: str) -> str:
        return str(told(ask("GET", f"/fhir/ValueSet/$validate-code?system={ICD}&code=A001&{more}"))["verdict"])

    assert expanded(f"url={url}") == expanded(f"url={url}|2025") == ["A00", "A000", "A001"]
    assert expanded(f"url={url}|2024") == expanded(f"url={url}&date=2024-06-30") == ["A00", "A000"]
    assert verdict(f"url={url}|2025") == "valid"
    assert verdict(f"url={url}|2024&date=2024-06-30") == "invalid"
    for path in (f"ValueSet/$expand?url={url}|2020", f"ValueSet/$validate-code?url={url}|2020&system={ICD}&code=A00"):
        assert ask("GET", f"/fhir/{path}").status_code == 404
    assert (
        ask("GET", f"/fhir/ValueSet/$validate-code?url={url}|2024&systemVersion=2025&system={ICD}&code=A00").status_code
        == 400
    )
    assert ask("GET", "/fhir/ValueSet/vol-7110/$expand?date=2024-06-30").json()["expansion"]["total"] == 2


def test_a_code_that_came_later_is_judged_by_the_edition_of_the_day(ask: Ask) -> None:
    path = f"/fhir/CodeSystem/$validate-code?url={ICD}&code=A001"
    assert told(ask("GET", path))["verdict"] == "valid"
    assert told(ask("GET", f"{path}&date=2024-06-30"))["verdict"] == "invalid"


@pytest.mark.parametrize(
    ("one", "other", "outcome"),
    [
        ("A00", "A000", "subsumes"),
        ("A000", "A00", "subsumed-by"),
        ("A000", "A001", "not-subsumed"),
        ("A00.0", "A000", "equivalent"),
    ],
)
def test_subsumption_goes_by_parents(ask: Ask, one: str, other: str, outcome: str) -> None:
    path = f"/fhir/CodeSystem/$subsumes?system={ICD}&codeA={one}&codeB={other}"
    assert told(ask("GET", path))["outcome"] == outcome


def test_the_newest_edition_has_the_plain_id_and_the_others_have_their_version(ask: Ask) -> None:
    bundle = ask("GET", f"/fhir/CodeSystem?url={ICD}").json()
    found = {entry["resource"]["id"]: entry["resource"].get("version") for entry in bundle["entry"]}
    assert found == {"vol-7110": "2025", "vol-7110-2024": "2024", "vol-7110-shipped": None}
    assert ask("GET", "/fhir/CodeSystem/vol-7110-2024").json()["version"] == "2024"
    assert told(ask("GET", "/fhir/CodeSystem/vol-7110-2024/$lookup?code=A00"))["version"] == "2024"


def test_a_display_is_given_in_the_language_that_is_asked_for(ask: Ask) -> None:
    path = f"/fhir/CodeSystem/$lookup?system={ICD}&code=A00"
    assert told(ask("GET", f"{path}&displayLanguage=en-GB"))["display"] == "Kolera (en)"
    assert told(ask("GET", f"{path}&displayLanguage=sv"))["display"] == "Kolera"
    expansion = ask("GET", "/fhir/ValueSet/vol-7110/$expand?displayLanguage=en&includeDesignations=true").json()
    first = expansion["expansion"]["contains"][0]
    assert (first["display"], first["designation"]) == ("Kolera (en)", [{"language": "en", "value": "Kolera (en)"}])


def test_what_one_answer_cannot_hold_is_refused_and_pages_are_given(ask: Ask) -> None:
    path = f"/fhir/ValueSet/$expand?url={LARGE}"
    answer = ask("GET", path)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (422, "too-costly")
    assert ask("GET", f"{path}&activeOnly=true").status_code == 422
    page = ask("GET", f"{path}&count=2&offset=24998").json()["expansion"]
    assert (page["total"], [each["code"] for each in page["contains"]]) == (25_000, ["24998", "24999"])
    page = ask("GET", f"{path}&count=2&activeOnly=true").json()["expansion"]
    assert ("total" in page, len(page["contains"])) == (False, 2)
    page = ask("GET", f"{path}&count=9000").json()["expansion"]
    assert len(page["contains"]) == 5000
    assert {"name": "count", "valueInteger": 5000} in page["parameter"]
    assert "total" not in ask("GET", f"{path}&count=1&filter=number").json()["expansion"]


def test_the_statement_of_terminology_names_the_editions(ask: Ask) -> None:
    systems = ask("GET", "/fhir/metadata?mode=terminology").json()["codeSystem"]
    versions = next(each["version"] for each in systems if each["uri"] == ICD)
    assert versions == [{"code": "2025", "isDefault": True}, {"code": "2024", "isDefault": False}]


def test_an_expansion_is_stamped_by_the_clock_of_the_server(ask: Ask) -> None:
    first, second = (ask("GET", "/fhir/ValueSet/vol-8406/$expand").json()["expansion"] for _ in range(2))
    assert first == second
    assert datetime.fromisoformat(first["timestamp"]) == NOON
