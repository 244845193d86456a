"""Faults seeded in good resources: each is told with its rule at its place, and the good ones are clean."""

from __future__ import annotations

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.mapping.ir import declared_profiles
from fhir_facade.mapping.mapping_set import load_mapping_set
from fhir_facade.outcome import operation_outcome
from fhir_facade.packages.elements import Definition
from fhir_facade.packages.registry import load_packages
from fhir_facade.profile.validator import Validator
from fhir_facade.resources import data_root
from fhir_facade.terminology.catalogue import Catalogue
from tests.profile.test_schema import BASE, CORE, Shelf, definition

HERE = Path(__file__).parent
TABLE = yaml.safe_load((HERE / "faults.yaml").read_text(encoding="utf-8"))
MADE = yaml.safe_load((HERE / "made_profiles.yaml").read_text(encoding="utf-8"))
GOOD = TABLE["good"] | MADE["good"]
FAULTS = [*TABLE["faults"], *MADE["faults"]]
NEAR = [*TABLE["near"], *MADE["near"]]
UNFILLED = re.compile(r"\{[a-zæøå_]*\}").search
"""A place of a sentence that no fact was given for."""


@cache
def validator() -> Validator:
    return Validator(load_packages(), Catalogue())


@cache
def made_validator() -> Validator:
    """A validator that knows the definitions of the tests too."""
    made = [
        Definition({"derivation": "constraint", **said, "differential": {"element": said["elements"]}})
        for said in MADE["definitions"]
    ]
    return Validator(Shelf(*made), Catalogue())  # type: ignore[arg-type]


def judge_of(name: str) -> Validator:
    return made_validator() if name in MADE["good"] else validator()


def seeded(good: Any, path: str, value: Any) -> Any:
    """A copy with a value set at a path of keys and numbers, or taken away."""
    made = copy.deepcopy(good)
    at = made
    *way, last = [int(each) if each.isdigit() else each for each in path.split(".")]
    for step in way:
        at = at[step]
    if value == "DELETE":
        del at[last]
    elif isinstance(at, list) and last == len(at):
        at.append(value)
    else:
        at[last] = value
    return made


@pytest.mark.parametrize("name", GOOD)
def test_good_resources_are_clean(name: str) -> None:
    report = judge_of(name).validate(GOOD[name])
    assert [str(issue) for issue in report.issues if issue.is_error] == []
    assert report.valid
    assert judge_of(name).is_valid(GOOD[name])


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault[0]}-{fault[1]}-{fault[3]}")
def test_a_fault_is_told_once_with_its_rule_at_its_place(fault: list[Any]) -> None:
    name, path, value, rule, at, *more = fault
    judge, wrong = judge_of(name), seeded(GOOD[name], path, value)
    report = judge.validate(wrong)
    told = [(issue.rule.key if issue.rule else issue.code, issue.at) for issue in report.issues if issue.is_error]
    assert told.count((rule, at)) == 1, told
    assert len(told) == (more[0] if more else 1), told
    assert not report.valid
    assert not judge.is_valid(wrong)
    for issue in report.issues:
        assert UNFILLED(issue.sentence("nb") + issue.sentence("en")) is None


@pytest.mark.parametrize("near", NEAR, ids=lambda near: f"{near[0]}-{near[1]}-{near[2]}"[:80])
def test_what_is_just_right_is_not_refused(near: list[Any]) -> None:
    name, path, value = near
    right = seeded(GOOD[name], path, value)
    report = judge_of(name).validate(right)
    assert [str(issue) for issue in report.issues if issue.is_error] == []
    assert report.valid
    assert judge_of(name).is_valid(right)


@pytest.mark.parametrize("rows, width, enough", [(FAULTS, 3, 250), (NEAR, 3, 60)], ids=["faults", "near"])
def test_there_are_enough_rows_and_each_stands_once(rows: list[list[Any]], width: int, enough: int) -> None:
    told = [repr(row[:width]) for row in rows]
    assert len(told) == len(set(told))
    assert len(told) >= enough
    assert {row[0] for row in rows} <= set(GOOD)


MARITAL = "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus"
NESTED = {"fullUrl": "http://x.no/fhir/Bundle/1", "resource": {"resourceType": "Bundle", "id": "1", "type": "batch"}}
RULES = [
    ("extension-unknown", "patient", "extension", [{"url": "http://x.no/a", "valueString": "a"}], "information"),
    ("profile-unknown", "patient", "meta", {"profile": ["http://x.no/profile"]}, "warning"),
    ("dom-6", "patient", "text", "DELETE", "information"),
    ("code-outside-binding", "patient", "maritalStatus", {"coding": [{"system": MARITAL, "code": "?"}]}, "warning"),
    ("binding-unknown", "tvang", "code.coding.0.code", "xx", "information"),
    ("bundle-entry-nested", "message", "entry.2", NESTED, "warning"),
    ("slice-unknown", "ordered", "performer.2", {"reference": "Organization/1"}, "warning"),
]


@pytest.mark.parametrize("rule, name, path, value, severity", RULES)
def test_what_is_no_error_is_told_all_the_same(rule: str, name: str, path: str, value: Any, severity: str) -> None:
    report = judge_of(name).validate(seeded(GOOD[name], path, value))
    found = [issue for issue in report.issues if issue.rule and issue.rule.key == rule]
    assert {issue.severity or issue.entry.severity for issue in found} == {severity}
    assert report.valid


def test_a_deployment_says_how_grave_a_rule_is() -> None:
    wrong = seeded(TABLE["good"]["patient"], "contact.0", {"gender": "male"})
    for level, valid, count in (("off", True, 0), ("warning", True, 1), ("error", False, 1)):
        judge = Validator(load_packages(), Catalogue(), overrides={"pat-1": level})
        report = judge.validate(wrong)
        assert report.valid is valid is judge.is_valid(wrong)
        assert len([issue for issue in report.issues if issue.rule and issue.rule.key == "pat-1"]) == count


def test_too_many_issues_are_counted_and_cut_off() -> None:
    wrong = {"resourceType": "Patient", "name": [{"use": "x"} for _ in range(300)]}
    report = validator().validate(wrong)
    assert len(report.issues) == 101
    assert report.issues[-1].code == "issues-cut-off"
    assert report.count == 301  # and the narrative that is advised


def test_no_person_number_is_repeated() -> None:
    wrong = {"resourceType": "Patient", "gender": "13819012345", "birthDate": "138190 12345", "13819012345": 1}
    said = orjson.dumps(operation_outcome(validator().validate(wrong).issues))
    assert b"13819012345" not in said and b"138190 12345" not in said
    assert said.count(b"issue-source") > 1


EXPECTED = {
    ("opphold.encounter.examples/03-ukjent-kode", "code-not-in-binding"),  # a code that no list has
    # an end without a start, which the record kind rules out in words only: no row can ask for two fields
    ("planlagt_kontakt.appointment.examples/07-status-valg", "app-2"),
    ("planlagt_kontakt.appointment.examples/07-status-valg", "app-3"),
}


def test_every_golden_example_keeps_to_the_profiles_that_it_declares() -> None:
    seen, found, declared = 0, set(), set()
    for path in sorted(data_root("mappings").glob("*.examples/*.fhir.json")):
        content = orjson.loads(path.read_bytes())
        for resource in content if isinstance(content, list) else [content]:
            seen += 1
            declared |= {*resource.get("meta", {}).get("profile", ())}
            report = validator().validate(resource)
            name = f"{path.parent.name}/{path.name.removesuffix('.fhir.json')}"
            found |= {(name, i.rule.key if i.rule else i.code) for i in report.issues if i.is_error}
            assert "profile-unknown" not in {i.rule.key if i.rule else i.code for i in report.issues}, name
    assert seen > 210
    assert found == EXPECTED
    mappings = load_mapping_set(data_root("mappings")).mappings.values()
    assert declared == {url for each in mappings for _, url in declared_profiles(each.rules.rules)}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_nothing_that_is_sent_raises_and_both_questions_agree(data: st.DataObject) -> None:
    good = TABLE["good"][data.draw(st.sampled_from(sorted(TABLE["good"])))]
    resource = copy.deepcopy(good)
    for _ in range(data.draw(st.integers(1, 3))):
        at: Any = resource
        for _ in range(data.draw(st.integers(0, 5))):
            if not isinstance(at, dict | list) or not at:
                break
            inner = at[data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))]
            if not isinstance(inner, dict | list):
                break
            at = inner
        keys = ["extension", "id", "_value", *([*at] if isinstance(at, dict) else ())]
        if isinstance(at, dict):
            at[data.draw(st.sampled_from(keys))] = data.draw(JSON)
        elif isinstance(at, list):
            at.append(data.draw(JSON))
    report = validator().validate(resource)
    assert validator().is_valid(resource) == report.valid
    assert report.valid == (not any(issue.is_error for issue in report.issues))


def test_our_profiles_belong_to_the_mappings() -> None:
    """Every extension that a mapping writes has its definition, with the contexts that systems.yaml names."""
    packages = load_packages()
    named = load_mapping_set(data_root("mappings")).vocabulary.extensions
    assert len(named) > 80
    assert [each.url for each in named.values() if packages.find(each.url) is None] == []


def test_a_profile_narrows_how_often_an_element_stands() -> None:
    narrowed = [
        {"path": "Observation.method", "max": "0"},
        {"path": "Observation.performer", "max": "1"},
        {"path": "Observation.category", "min": 2},
    ]
    made = definition(BASE, CORE + "Observation", narrowed)
    judge = Validator(Shelf(made), Catalogue())  # type: ignore[arg-type]
    good: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "a"},
        "category": [{"text": "a"}, {"text": "b"}],
        "performer": [{"display": "a"}],
    }
    assert judge.validate(good, [BASE]).valid
    for change, rule in (
        ({"method": {"text": "m"}}, "element-forbidden"),
        ({"performer": [{"display": "a"}, {"display": "b"}]}, "element-too-many"),
        ({"category": [{"text": "a"}]}, "element-too-few"),
    ):
        report = judge.validate(good | change, [BASE])
        assert [issue.code for issue in report.issues if issue.is_error] == [rule]
        assert not judge.is_valid(good | change, [BASE])
        assert judge.validate(good | change).valid
