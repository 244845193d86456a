"""Patches by example, and the laws that they keep."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.outcome import Refused, operation_outcome
from fhir_facade.patching.formats import FORMATS, patched, tidied
from fhir_facade.patching.json_patch import json_patched, merge_patched, same

CASES: list[dict[str, Any]] = yaml.load(Path(__file__).with_name("cases.yaml").read_text("utf-8"), yaml.CSafeLoader)
JSON, MERGE, FHIRPATH = FORMATS


def operation(short: list[Any]) -> dict[str, Any]:
    """An operation of FHIRPath Patch, told in full."""
    does, path, *rest = short
    parts: list[dict[str, Any]] = [{"name": "type", "valueCode": does}, {"name": "path", "valueString": path}]
    if does == "add":
        parts.append({"name": "name", "valueString": rest[0]})
    if does == "insert":
        parts.append({"name": "index", "valueInteger": rest[0]})
    if does == "move":
        parts += [
            {"name": name, "valueInteger": each} for name, each in zip(("source", "destination"), rest[0], strict=True)
        ]
    if len(rest) > 1:
        parts.append({"name": "value", **rest[1]})
    return {"name": "operation", "part": parts}


def of(case: dict[str, Any]) -> tuple[Any, Any]:
    """The format of a case and its patch."""
    if "json" in case:
        return JSON, case["json"]
    if "merge" in case:
        return MERGE, case["merge"]
    if "parameters" in case:
        return FHIRPATH, case["parameters"]
    return FHIRPATH, {"resourceType": "Parameters", "parameter": [operation(each) for each in case["fhirpath"]]}


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_examples(case: dict[str, Any]) -> None:
    row, patch = of(case)
    resource = {"resourceType": "Patient", "id": "p", **case["has"]}
    before, given_patch = deepcopy(resource), deepcopy(patch)
    if "fault" in case:
        with pytest.raises(Refused) as refused:
            patched(resource, patch, row)
        assert [issue.code for issue in refused.value.issues] == [case["fault"]]
        assert operation_outcome(refused.value.issues)["issue"][0]["details"]["text"]
        assert refused.value.issues[0].at
    else:
        made = patched(resource, patch, row)
        assert made == {"resourceType": "Patient", "id": "p", **case["gives"]}
        assert json.dumps(made, sort_keys=True) == json.dumps(
            {"resourceType": "Patient", "id": "p", **case["gives"]}, sort_keys=True
        )
    assert (resource, patch) == (before, given_patch)


def test_there_are_examples_of_every_operation() -> None:
    names = [short[0] for case in CASES for short in case.get("fhirpath", ())]
    assert {"add", "insert", "delete", "replace", "move"} == set(names)
    assert len(CASES) > 70


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "/", "~1", "å"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b/c", "~", ""]), inner),
    max_leaves=8,
)


def difference(one: Any, other: Any, at: str = "") -> list[dict[str, Any]]:
    """A JSON Patch that makes one value of another."""
    if same(one, other):
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        steps = []
        for name in one.keys() | other.keys():
            path = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in other:
                steps.append({"op": "remove", "path": path})
            elif name not in one:
                steps.append({"op": "add", "path": path, "value": other[name]})
            else:
                steps += difference(one[name], other[name], path)
        return steps
    if isinstance(one, list) and isinstance(other, list):
        steps = [
            step for n, pair in enumerate(zip(one, other, strict=False)) for step in difference(*pair, f"{at}/{n}")
        ]
        steps += [{"op": "remove", "path": f"{at}/{len(other)}"} for _ in one[len(other) :]]
        return steps + [{"op": "add", "path": f"{at}/-", "value": each} for each in other[len(one) :]]
    return [{"op": "replace", "path": at, "value": other}]


@given(VALUES, VALUES)
def test_a_difference_makes_one_value_of_another(one: Any, other: Any) -> None:
    before = deepcopy(one)
    assert same(json_patched(one, difference(one, other)), other)
    assert same(one, before)


def without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_null(inner) for name, inner in value.items() if inner is not None}
    return value


def merging(one: Any, other: Any) -> Any:
    """A merge patch that makes one value of another; a null within objects cannot be told."""
    if isinstance(one, dict) and isinstance(other, dict):
        gone = dict.fromkeys(one.keys() - other.keys())
        return gone | {name: merging(one.get(name), inner) for name, inner in other.items()}
    return other


@given(VALUES, VALUES)
def test_a_merge_patch_makes_one_value_of_another(one: Any, other: Any) -> None:
    wanted = without_null(other)
    assert same(merge_patched(one, merging(one, wanted)), wanted)


@given(VALUES)
def test_tidying_twice_is_tidying_once(value: Any) -> None:
    assert tidied(tidied(value)) == tidied(value)


def test_copies_that_double_are_refused_before_they_fill_the_memory() -> None:
    bomb = [{"op": "add", "path": "/name", "value": [{"text": "x" * 1000}]}]
    bomb += [{"op": "copy", "from": "/name", "path": "/name/-"} for _ in range(60)]
    with pytest.raises(Refused) as refused:
        patched({"resourceType": "Patient", "id": "p"}, bomb, JSON)
    assert refused.value.status == 413
