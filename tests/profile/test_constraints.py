"""Each constraint of R4 parses, is evaluated, and fails alone on the case that is made to break it."""

from __future__ import annotations

import copy
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from fhir_facade.definitions import concrete_name, definitions
from fhir_facade.packages.registry import load_packages
from fhir_facade.profile import fhirpath
from fhir_facade.profile.fhirpath_syntax import parse
from fhir_facade.profile.references import contained_of
from fhir_facade.profile.report_rules import CORRECTED
from fhir_facade.profile.validator import Validator
from fhir_facade.terminology.catalogue import Catalogue

TABLE = yaml.safe_load((Path(__file__).parent / "constraints.yaml").read_text(encoding="utf-8"))
ALL = 239
ADVICE = "dom-6"
"""A narrative is advised everywhere, so that it is told of whatever has none."""

NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a</div>'}
PLAIN: dict[str, Any] = {
    "boolean": False, "code": "a", "string": "A", "markdown": "a", "uri": "http://x.no/a", "url": "http://x.no/a",
    "canonical": "http://x.no/a", "id": "a", "date": "2020-01-01", "dateTime": "2020-01-01",
    "instant": "2020-01-01T00:00:00Z", "integer": 1, "positiveInt": 1, "unsignedInt": 1, "decimal": 1,
    "CodeableConcept": {"text": "a"}, "Coding": {"code": "a"}, "Reference": {"display": "a"}, "Period": {"start": "2020"},
    "Identifier": {"value": "a"}, "Quantity": {"value": 1}, "Money": {"value": 1}, "Narrative": NARRATIVE,
    "TriggerDefinition": {"type": "named-event", "name": "a"},
}  # fmt: skip
"""A value of each type that R4 demands somewhere."""


SOMETHING = {"extension": [{"url": "http://x.no/a", "valueString": "a"}]}


class Case(NamedTuple):
    """A constraint, the path where it is said, a value that keeps it and one that breaks it."""

    key: str
    at: str
    good: Any
    broken: Any
    around: dict[str, Any]
    along: tuple[str, ...]
    below: tuple[tuple[str, str], ...]
    place: str


def cases() -> list[Case]:
    rows = [
        *TABLE["cases"],
        *([key, name, {"name": "Good_1"}, {"name": "no name"}] for key, name in TABLE["named"].items()),
    ]
    made = []
    for key, at, good, broken, *more in rows:
        beside = more[0] if more else {}
        along, below = tuple(beside.get("along", ())), tuple(map(tuple, beside.get("below", ())))
        made.append(Case(key, at, good, broken, beside.get("around", {}), along, below, beside.get("place", "")))
    return made


@cache
def constraints() -> dict[str, dict[str, str]]:
    """Element path → key → expression, of every type of R4."""
    found: dict[str, dict[str, str]] = {}
    for name in definitions()._types:
        structure = definitions().structure(name)
        for row in structure["snapshot"]["element"] if structure else ():
            said = {each["key"]: each["expression"] for each in row.get("constraint", ())}
            found.setdefault(row["id"], {}).update(said)
    return found


@cache
def validator() -> Validator:
    return Validator(load_packages(), Catalogue(), unknown_profile="off")


# instances


def filled(path: str, value: Any) -> Any:
    """A value with whatever else R4 demands below it; a null takes away what stands there."""
    if not isinstance(value, dict):
        return value
    made = {key: _inner(path, key, each) for key, each in value.items() if each is not None}
    for key in definitions().children(path):
        element = definitions().element(f"{path}.{key}")
        assert element is not None
        choice = element.path.rpartition(".")[2].removesuffix("[x]")
        stands = any(each.startswith(choice) if "[x]" in element.path else each == key for each in {**value, **made})
        if element.min and not stands:
            one = filled(f"{path}.{key}", _smallest(f"{path}.{key}"))
            one = SOMETHING if one == {} else one
            made[key] = [one] if element.many else one
    if definitions().kind(path) == "resource" and "text" in definitions().children(path) and "text" not in value:
        made["text"] = NARRATIVE
    return made


def _inner(path: str, key: str, value: Any) -> Any:
    if key in ("contained", "resource") or key.startswith("_"):
        return value
    if isinstance(value, list):
        return [filled(f"{path}.{key}", each) for each in value]
    return filled(f"{path}.{key}", value)


def _smallest(path: str) -> Any:
    element = definitions().element(path)
    assert element is not None
    bound = element.binding if element.binding and element.binding.strength == "required" else None
    codes = sorted(definitions().codes(bound.value_set) or ()) if bound else []
    if element.types[0] == "code" and codes:
        return codes[0][1]
    if bound and definitions().code_syntax(bound.value_set):
        return "text/plain"
    if element.types[0] == "CodeableConcept" and codes:
        return {"coding": [{"system": codes[0][0], "code": codes[0][1]}]}
    return copy.deepcopy(PLAIN.get(element.types[0], {}))


def resource_of(case: Case, value: Any) -> dict[str, Any]:
    """The resource that has the value at the path of the case; a data type stands in an extension."""
    root, *steps = case.at.split(".")
    made = value
    for number in range(len(steps), 0, -1):
        path, outer = ".".join([root, *steps[:number]]), case.around if number == 1 else {}
        if path.endswith("[x]"):
            continue
        element = definitions().element(path)
        assert element is not None
        made = {**outer, steps[number - 1]: [made] if element.many else made}
    if not steps:
        made = {**case.around, **made}
    if definitions().kind(root) == "resource":
        return {"resourceType": root, **filled(root, made)}
    if root == "ElementDefinition":
        return made if isinstance(made, dict) else {}
    held = (
        made if root == "Extension" else {"url": "http://x.no/a", concrete_name("value[x]", root): filled(root, made)}
    )
    return {"resourceType": "Patient", "text": NARRATIVE, "extension": [held]}


def element_of(case: Case, resource: dict[str, Any]) -> tuple[Any, str, str]:
    """The value at the path of the case in a resource, its definition path, and its place."""
    root, *steps = case.at.split(".")
    at, path, place = resource, root, root
    if definitions().kind(root) != "resource" and root != "ElementDefinition":
        at, place = resource["extension"][0], "Patient.extension[0]"
        if root != "Extension":
            at, place = at[concrete_name("value[x]", root)], f"{place}.value"
    for step in steps:
        stem = step.removesuffix("[x]")
        key = step if stem == step else next(each for each in at if each.startswith(stem))
        at, path, place = at[key], f"{path}.{key}", f"{place}.{stem}"
        if isinstance(at, list):
            at, place = at[0], f"{place}[0]"
    return at, path, place


def expressions(case: Case) -> dict[str, str]:
    """The constraints of an element and of its type, by key."""
    return constraints().get(definitions().type_of(case.at) or "", {}) | constraints().get(case.at, {})


def failing(case: Case, value: Any) -> set[str]:
    """The keys of all constraints of the element, and of its type, that do not hold."""
    resource = resource_of(case, value)
    element, path, _ = element_of(case, resource)
    kept = contained_of(resource)
    environment = fhirpath.Environment(resource, resource, lambda said: kept.get(said.removeprefix("#")))
    return {
        key
        for key, expression in expressions(case).items()
        if key not in TABLE["without_case"]
        and not fhirpath.holds(CORRECTED.get(expression, expression), element, path, environment)
    }


def told(resource: dict[str, Any], *, advice: bool) -> set[tuple[str, str]]:
    """What the validator says is wrong, advice apart: (rule key, place)."""
    return {
        (issue.rule.key if issue.rule else issue.code, issue.at)
        for issue in validator().validate(resource).issues
        if issue.is_error
        or (issue.code == "constraint-warned" and (advice or not issue.rule or issue.rule.key != ADVICE))
    }


CASES = cases()
IDS = [f"{case.key}-{case.at}" for case in CASES]
JUDGED = [case for case in CASES if not case.at.startswith("ElementDefinition")]
"""An ElementDefinition stands in StructureDefinitions alone, whose own rules would fail with its."""


def test_every_constraint_has_a_case_or_a_reason() -> None:
    said = {(key, expression) for each in constraints().values() for key, expression in each.items()}
    without_case = TABLE["without_case"]
    assert len(said) == ALL
    wanted = Counter(key for key, _ in said)
    covered = Counter(case.key for case in CASES) + Counter(list(without_case))
    assert covered == wanted
    assert {(case.key, expressions(case)[case.key]) for case in CASES} == {
        each for each in said if each[0] not in without_case
    }
    assert all(reason for reason in without_case.values())


def test_every_expression_parses() -> None:
    expressions_of_all = {expression for each in constraints().values() for expression in each.values()}
    for expression in expressions_of_all:
        parse(CORRECTED.get(expression, expression))
    assert set(CORRECTED) <= expressions_of_all


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_constraint_fails_alone_on_its_case_and_holds_for_the_twin(case: Case) -> None:
    advice = set() if case.key == ADVICE else {ADVICE}
    assert failing(case, case.good) - advice == set()
    assert failing(case, case.broken) - advice == {case.key, *case.along}


@pytest.mark.parametrize("case", JUDGED, ids=[f"{case.key}-{case.at}" for case in JUDGED])
def test_the_validator_tells_it_at_its_place(case: Case) -> None:
    advice = case.key == ADVICE
    good, broken = resource_of(case, case.good), resource_of(case, case.broken)
    place = case.place or element_of(case, broken)[2]
    assert told(good, advice=advice) == set()
    wanted = {(key, place) for key in (case.key, *case.along)} | set(case.below)
    assert told(broken, advice=advice) == wanted
