"""Judgements of codes: a table of cases, each with the expected verdict and issue. Over REST: tests/rest."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.judging import judge

CASES: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "cases.yaml").read_text("utf-8"))
VERDICTS = {True: "true", False: "false", None: "unknown"}


def name_of(case: dict[str, Any]) -> str:
    return "-".join(str(case[each]).rsplit("/", 1)[-1] for each in case if each not in ("valid", "issue"))


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return Catalogue()


def test_there_are_cases_enough_and_no_two_are_the_same() -> None:
    assert len(CASES) >= 120
    assert len({str(case) for case in CASES}) == len(CASES)
    assert {str(case["valid"]).lower() for case in CASES} == {"true", "false", "unknown"}


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_code_is_judged(catalogue: Catalogue, case: dict[str, Any]) -> None:
    verdict = judge(
        catalogue,
        case["system"],
        case["code"],
        display=case.get("display"),
        version=case.get("version"),
        on=date.fromisoformat(case["date"]) if "date" in case else None,
        value_set=case.get("value-set"),
    )
    issue = verdict.issues[0].code if verdict.issues else ""
    assert (VERDICTS[verdict.valid], issue) == (str(case["valid"]).lower(), case.get("issue", ""))
