"""What operations answer, over a small catalogue: which coding counts, which edition, what is told of a code."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from fhir_facade.contracts import Resource
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.code_table import CodeTable, code_table
from fhir_facade.terminology.concepts import Concept, Edition
from fhir_facade.terminology.judging import Verdict
from fhir_facade.terminology.operations import best, lookup, parts_of, validate_code, value_set_of

URL = "http://example.org/cs"
OLD, NEW = date(2024, 6, 30), date(2025, 6, 30)


def edition(year: int, *concepts: Concept) -> CodeTable:
    known = Edition(
        URL, str(year), "X", "X", complete=True, count=len(concepts), valid_from=str(year), valid_to=str(year)
    )
    return code_table(known, concepts)


CATALOGUE = Catalogue(
    [
        edition(2024, Concept("a", "A"), Concept("b", "B")),
        edition(2025, Concept("a", "A", valid_to="2025-03"), Concept("c", "C", "retired"), Concept("d", "D")),
    ]
)


def told(resource: Resource) -> dict[str, Any]:
    return {
        each["name"]: next(value for name, value in each.items() if name != "name") for each in resource["parameter"]
    }


def properties(code: str, on: date) -> dict[str, Any]:
    found = CATALOGUE.code_system(URL, on=on)
    assert found is not None
    given = [each["part"] for each in lookup(found, code, on)["parameter"] if each["name"] == "property"]
    return {code["valueCode"]: next(value for name, value in held.items() if name != "name") for code, held in given}


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ((False, None, True), True),
        ((False, None), None),
        ((None, False), None),
        ((False, False), False),
        ((None,), None),
    ],
)
def test_of_several_codings_the_one_that_speaks_best_counts(
    verdicts: tuple[bool | None, ...], expected: bool | None
) -> None:
    assert best([Verdict(each) for each in verdicts]).valid is expected


def test_each_coding_is_judged_in_its_own_edition_and_else_in_the_one_that_is_named() -> None:
    def verdict(coding: dict[str, str], **named: str) -> str:
        said = validate_code(CATALOGUE, [{"system": URL, **coding}], on=OLD, language="en", **named)  # type: ignore[arg-type]
        return str(told(said)["verdict"])

    assert verdict({"code": "b"}) == "valid"
    assert verdict({"code": "b"}, version="2024") == "valid"
    assert verdict({"code": "b"}, version="2030") == "unknown"
    assert verdict({"code": "b", "version": "2024"}, version="2030") == "valid"
    assert verdict({"code": "b", "version": "2030"}, version="2024") == "unknown"


def test_whether_a_code_is_in_use_is_told_for_the_day() -> None:
    assert properties("a", date(2025, 1, 1)) == {"status": "active", "inactive": False, "validTo": "2025-03"}
    assert properties("a", NEW)["inactive"] is True
    assert properties("c", NEW) == {"status": "retired", "inactive": True}


@pytest.mark.parametrize(("on", "version"), [(OLD, "2024"), (NEW, "2025"), (None, "2025")])
def test_a_value_set_takes_its_codes_from_the_edition_of_the_day(on: date | None, version: str) -> None:
    (part,) = parts_of(CATALOGUE, value_set_of(CATALOGUE, URL), on)
    assert part.code_system.edition.version == version
