"""The patch formats: the examples of their specifications, faults with their places, and laws."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.outcome import Refused
from fhir_facade.patching.budget import Budget
from fhir_facade.patching.formats import FORMATS, patched
from fhir_facade.profile.matching import same

CASES = Path(__file__).parent / "cases"
JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
FHIRPATH_PATCH = "application/fhir+json"


def rows(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((CASES / f"{name}.json").read_text("utf-8"))
    assert len({row["name"] for row in found}) == len(found) > 15
    return found


def judge(media: str, row: dict[str, Any]) -> None:
    document, patch = deepcopy(row["document"]), deepcopy(row["patch"])
    try:
        result = FORMATS[media].apply(document, patch, Budget())
    except Refused as refused:
        (issue,) = refused.issues
        assert (issue.code, issue.at) == (row.get("code"), row.get("at")), str(issue)
        assert issue.facts.get("place") == row.get("place", issue.facts.get("place"))
        assert issue.sentence("nb") != issue.sentence("en")
    else:
        assert "result" in row, result
        assert same(result, row["result"]), result
    assert (document, patch) == (row["document"], row["patch"])


@pytest.mark.parametrize("row", rows("json_patch"), ids=lambda row: row["name"])
def test_json_patch(row: dict[str, Any]) -> None:
    judge(JSON_PATCH, row)


@pytest.mark.parametrize("row", rows("merge_patch"), ids=lambda row: row["name"])
def test_merge_patch(row: dict[str, Any]) -> None:
    judge(MERGE_PATCH, row)


@pytest.mark.parametrize("row", rows("fhirpath_patch"), ids=lambda row: row["name"])
def test_fhirpath_patch(row: dict[str, Any]) -> None:
    judge(FHIRPATH_PATCH, row)


NAMES = st.text("ab/~0", max_size=2)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text("xy", max_size=2),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)


def differences(one: Any, other: Any, path: str = "") -> list[dict[str, Any]]:
    """Operations that lead from one value to the other: adds come first, so that nothing is empty in between."""
    if isinstance(one, dict) and isinstance(other, dict):
        names = {name: f"{path}/{name.replace('~', '~0').replace('/', '~1')}" for name in one | other}
        found = [{"op": "add", "path": names[name], "value": other[name]} for name in other if name not in one]
        found += [step for name in other if name in one for step in differences(one[name], other[name], names[name])]
        return found + [{"op": "remove", "path": names[name]} for name in one if name not in other]
    if isinstance(one, list) and isinstance(other, list):
        both = min(len(one), len(other))
        found = [step for at in range(both) for step in differences(one[at], other[at], f"{path}/{at}")]
        found += [{"op": "add", "path": f"{path}/-", "value": value} for value in other[both:]]
        return found + [{"op": "remove", "path": f"{path}/{at}"} for at in reversed(range(both, len(one)))]
    return [] if same(one, other) else [{"op": "replace", "path": path, "value": other}]


@given(OBJECTS, OBJECTS)
def test_a_difference_that_is_applied_gives_the_other(one: Any, other: Any) -> None:
    before = deepcopy(one)
    assert same(FORMATS[JSON_PATCH].apply(one, differences(one, other), Budget()), other)
    assert same(one, before)


@given(OBJECTS, OBJECTS)
def test_a_merge_holds_what_it_says_and_changes_nothing_given(one: Any, patch: Any) -> None:
    before = deepcopy((one, patch))
    once = FORMATS[MERGE_PATCH].apply(one, patch, Budget())
    assert all(name not in once for name in patch if patch[name] is None)
    assert all(same(once[name], one[name]) for name in one if name not in patch)
    assert same([one, patch], list(before))


PATIENT = {"resourceType": "Patient", "id": "1", "active": True}


@pytest.mark.parametrize(
    ("media", "patch", "code", "at"),
    [
        (JSON_PATCH, [{"op": "replace", "path": "/id", "value": "2"}], "patch-id-changed", "Patient.id"),
        (JSON_PATCH, [{"op": "remove", "path": "/id"}], "patch-id-changed", "Patient.id"),
        (MERGE_PATCH, {"id": None}, "patch-id-changed", "Patient.id"),
        (MERGE_PATCH, {"resourceType": "Person"}, "patch-type-changed", "Patient"),
        (MERGE_PATCH, [], "patch-type-changed", "Patient"),
        (JSON_PATCH, [{"op": "remove", "path": ""}], "patch-type-changed", "Patient"),
        ("text/plain", [], "patch-media-unknown", "Content-Type"),
        (JSON_PATCH, [{"op": "test", "path": "/id", "value": "1"}] * 1001, "patch-too-many", ""),
        (JSON_PATCH, [{"op": "copy", "from": "", "path": f"/x{at}"} for at in range(60)], "patch-too-large", "[17]"),
        (
            JSON_PATCH,
            [{"op": "add", "path": "/x", "value": {}}] + [{"op": "copy", "from": "/x", "path": "/x/x"}] * 200,
            "patch-too-deep",
            "[100]",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_patch_may_not_do(media: str, patch: Any, code: str, at: str) -> None:
    before = deepcopy(PATIENT)
    with pytest.raises(Refused) as raised:
        patched(PATIENT, patch, media)
    assert [(issue.code, issue.at) for issue in raised.value.issues] == [(code, at)]
    assert before == PATIENT


def test_a_patch_is_applied_by_its_media_type() -> None:
    assert patched(PATIENT, {"active": False}, "Application/Merge-Patch+JSON; charset=utf-8")["active"] is False


def test_the_examples_of_the_document_give_what_they_say() -> None:
    text = (Path(__file__).parents[2] / "docs" / "patching.md").read_text("utf-8")
    blocks = [(kind.strip(), json.loads(body)) for kind, body in re.findall(r"```json([^\n]*)\n(.*?)```", text, re.S)]
    resource = blocks[0][1]
    patches, results = blocks[1::2], blocks[2::2]
    assert [media for media, _ in patches] == list(FORMATS)
    for (media, patch), (_, result) in zip(patches, results, strict=True):
        assert patched(resource, patch, media) == result
        assert f"| `{media}` | {FORMATS[media].name} |" in text


def mutations(value: Any) -> list[Any]:
    """The value with each of its parts taken out, or made another, in turn."""
    found: list[Any] = [None, 1, "", "x[", [], {}]
    if isinstance(value, dict):
        for key in value:
            found.append({name: each for name, each in value.items() if name != key})
            found += [{**value, key: each} for each in mutations(value[key])]
    elif isinstance(value, list):
        found.append(value * 2)
        for at in range(len(value)):
            found.append(value[:at] + value[at + 1 :])
            found += [[*value[:at], each, *value[at + 1 :]] for each in mutations(value[at])]
    return found


@pytest.mark.parametrize(("media", "name"), [(JSON_PATCH, "json_patch"), (FHIRPATH_PATCH, "fhirpath_patch")])
def test_any_broken_patch_is_refused_or_carried_out(media: str, name: str) -> None:
    tried = 0
    for row in rows(name):
        before = deepcopy(row["document"])
        for patch in mutations(row["patch"]):
            tried += 1
            with suppress(Refused):
                FORMATS[media].apply(row["document"], patch, Budget())
            assert row["document"] == before
    assert tried > 1000


@pytest.mark.parametrize(
    ("path", "operations"),
    [
        ("Patient.identifier.where(%resource.identifier.where(value = '1').exists())", 1),
        ("Patient.identifier[5000]", 200),
    ],
    ids=["in a filter", "in all operations"],
)
def test_paths_take_no_more_steps_than_they_may(path: str, operations: int) -> None:
    resource = {"resourceType": "Patient", "id": "1", "identifier": [{"value": str(at)} for at in range(2000)]}
    operation = [{"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": path}]
    patch = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": operation}] * operations}
    with pytest.raises(Refused) as raised:
        patched(resource, patch, FHIRPATH_PATCH)
    assert [issue.code for issue in raised.value.issues] == ["patch-path-steps"]
