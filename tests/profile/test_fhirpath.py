"""FHIRPath: a table of expressions, the constraints of R4, and what no expression may do."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.profile.fhirpath import Environment, StepsExceeded, evaluate, holds
from fhir_facade.profile.fhirpath_functions import FUNCTIONS, functions_of
from fhir_facade.profile.fhirpath_syntax import FhirPathError, parse
from fhir_facade.structures import norwegian_constraints, structures

CASES = yaml.safe_load((Path(__file__).parent / "fhirpath_cases.yaml").read_text(encoding="utf-8"))
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "name": [
        {"use": "official", "family": "Nordmann", "given": ["Ola", "Per"]},
        {"use": "usual", "family": "Hansen", "given": ["Kari"]},
    ],
    "gender": "male",
    "birthDate": "1980-02-29",
    "_birthDate": {"extension": [{"url": "http://x", "valueString": "e"}]},
    "deceasedBoolean": False,
    "contact": [{"name": {"text": "a"}}],
    "managingOrganization": {"reference": "#o1"},
    "generalPractitioner": [{"reference": "Practitioner/1"}],
}
CONTAINED = {"resourceType": "Organization", "id": "o1", "name": "Sykehus"}


def environment() -> Environment:
    return Environment(PATIENT, PATIENT, lambda reference: CONTAINED if reference == "#o1" else None)


@pytest.mark.parametrize("expression, wanted", CASES, ids=[case[0][:60] for case in CASES])
def test_an_expression_gives(expression: str, wanted: Any) -> None:
    if wanted == "error":
        with pytest.raises(FhirPathError) as caught:
            evaluate(expression, PATIENT, "Patient", environment())
        assert 0 <= caught.value.position <= len(expression)
        return
    given_ = [item.value for item in evaluate(expression, PATIENT, "Patient", environment())]
    plain = [float(value) if isinstance(value, Decimal) else value for value in given_]
    assert plain == wanted
    assert [isinstance(value, bool) for value in plain] == [isinstance(value, bool) for value in wanted]


def test_every_function_stands_in_the_table() -> None:
    called: set[str] = set()
    for expression, _ in CASES:
        try:
            called |= set(functions_of(parse(expression)))
        except FhirPathError:
            continue
    refused = {"elementDefinition", "slice", "checkModifiers", "conformsTo", "htmlChecks", "timeOfDay"}
    rare = {"toQuantity", "convertsToQuantity", "exp", "ln", "log", "union", "as"}
    also = {f"convertsTo{kind}" for kind in ("Integer", "Decimal", "String", "Date", "Time")} | {"toDateTime"}
    assert set(FUNCTIONS) - called - refused - rare - also == set()


def constraints() -> dict[str, tuple[dict[str, Any], str]]:
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for url in structures().urls():
        content = structures().find(url) or {}
        for element in (content.get("snapshot") or content.get("differential"))["element"]:
            for each in element.get("constraint", ()):
                found.setdefault(each["key"], (each, element["path"]))
    return found


def test_all_constraints_of_r4_are_understood() -> None:
    known = constraints()
    assert len(known) >= 239
    for key, (constraint, _) in known.items():
        tree = parse(constraint["expression"])
        assert set(functions_of(tree)) <= set(FUNCTIONS), key
    stale = set(norwegian_constraints()) - set(known)
    assert not stale


def test_the_clock_is_given_and_never_taken() -> None:
    now = Environment(PATIENT, now=datetime(2024, 5, 17, 8, 30, tzinfo=UTC))
    assert [item.value for item in evaluate("today()", PATIENT, "Patient", now)] == ["2024-05-17"]
    assert evaluate("now() > @2024-01-01T00:00:00Z", PATIENT, "Patient", now)[0].value is True


@pytest.mark.parametrize(
    "expression", ["(" * 300 + "1" + ")" * 300, "1" + " + 1" * 20_000, "1" + "+1" * 9_000, "a" + ".a" * 9_000, "-" * 500 + "1", "a." * 200 + "a", "not(" * 150 + ")" * 150]
)  # fmt: skip
def test_deep_and_long_expressions_end_in_an_answer_or_a_refusal(expression: str) -> None:
    with contextlib.suppress(FhirPathError):
        evaluate(expression, PATIENT, "Patient", environment())


def test_steps_are_counted() -> None:
    wide = {"resourceType": "Patient", "name": [{"family": f"n{i}"} for i in range(3000)]}
    with pytest.raises(StepsExceeded):
        evaluate("name.where(%resource.name.where(family = 'x').exists())", wide, "Patient", Environment(wide))


def test_nothing_at_all_is_not_false() -> None:
    assert holds("photo.where(url = 'a').url = 'b'", PATIENT, "Patient", environment())
    assert not holds("active.not()", PATIENT, "Patient", environment())


@given(st.text(alphabet="abn.()[]'|=<>!&+-*/%${}@0129 \n,`", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(FhirPathError, StepsExceeded):
        evaluate(text, PATIENT, "Patient", environment())
