"""The table of cases, as far as no store is needed: order, references and faults."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import pytest

from fhir_facade.bundles.answers import refused
from fhir_facade.bundles.order import circular, naming_of, order_of
from fhir_facade.bundles.plan import Plan, plan_of
from fhir_facade.bundles.rewriting import Identity, conditional_references, known_at_first, overlapping, rewritten
from fhir_facade.outcome import Issue, Refused, operation_outcome
from fhir_facade.profile.references import type_of
from tests.bundles.case_files import BASE, Case, cases, synthetic_number

TABLE = cases()
PLAN_KEYS = {"order", "naming", "circles", "rewritten", "issues", "warnings", "refused", "known", "found", "overlap"}
HTTP_KEYS = {"status", "entries", "stored", "gone", "issues", "unchanged"}


def told(issues: Iterable[Issue]) -> list[list[str]]:
    return [[issue.code, issue.at] for issue in issues]


def identities(case: Case, plan: Plan) -> dict[int, Identity]:
    """What every entry is about, when it is known: as its URL says, or as the server would call its resource."""
    known = known_at_first(plan)
    for entry in plan.entries:
        if entry.stores and entry.number not in known and entry.number in case.ids:
            known[entry.number] = Identity(type_of(entry.resource), case.ids[entry.number], "1")
    return known | {number: Identity(*said.split("/")) for number, said in case.plan.get("known", {}).items()}


def at(resource: Any, path: str) -> Any:
    """What is at a path such as diagnosis.0.condition.reference."""
    for step in path.split("."):
        resource = resource[int(step)] if step.isdigit() else resource.get(step)
    return resource


def found(case: Case) -> dict[tuple[str, str], list[Identity]]:
    said = {text.partition("?"): places for text, places in case.plan.get("found", {}).items()}
    return {(each[0], each[2]): [Identity(*place.split("/")) for place in places] for each, places in said.items()}


def test_the_table_is_large_and_its_names_differ() -> None:
    names = [case.name for case in TABLE]
    assert len(names) >= 80
    assert len(set(names)) == len(names)
    for case in TABLE:
        assert case.plan and case.plan.keys() <= PLAN_KEYS, case.name
        assert {"status"} <= case.http.keys() <= HTTP_KEYS, case.name


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_a_bundle_becomes_its_plan(case: Case) -> None:
    sent = copy.deepcopy(case.bundle)
    try:
        plan = plan_of(case.bundle, bases=[BASE], most={"transaction": 12, "batch": 14})
    except Refused as whole:
        assert told(whole.issues) == case.plan["refused"]
        assert case.http == {"status": whole.status, "unchanged": True}
        return
    assert "refused" not in case.plan
    assert told(plan.faults) == case.plan.get("issues", [])
    warned = [issue for entry in plan.entries for issue in entry.issues if not issue.is_error]
    assert told(warned) == case.plan.get("warnings", [])
    naming = naming_of(plan, known_at_first(plan))
    assert [list(circle) for circle in naming.circles] == case.plan.get("circles", [])
    assert [issue.code for issue in circular(naming)] == ["entry-references-circular"] * len(naming.circles)
    if "naming" in case.plan:
        assert list(naming.order) == case.plan["naming"]
    if "order" in case.plan:
        assert list(order_of(plan, naming.order)) == case.plan["order"]
    check_references(case, plan)
    check_statuses(case, plan)
    assert case.bundle == sent, "a plan changes nothing of what was sent"


def check_statuses(case: Case, plan: Plan) -> None:
    """What is faulty on its own answers over HTTP what its issues say."""
    if plan.faults and plan.type == "transaction":
        assert case.http == {"status": Refused(*plan.faults).status, "unchanged": True}
    for entry in plan.entries:
        if entry.is_faulty and plan.type == "batch":
            assert case.http["entries"][entry.number] == refused(entry).status


def check_references(case: Case, plan: Plan) -> None:
    known, issues = identities(case, plan), list[Issue]()
    if not plan.faults:
        for number, expected in case.plan.get("rewritten", {}).items():
            resource, _ = rewritten(plan, plan.entries[number], known, found(case))
            assert {path: at(resource, path) for path in expected} == expected
        for entry in plan.entries:
            if entry.resource is not None:
                issues += rewritten(plan, entry, known, found(case))[1]
        issues += overlapping(plan, known)
    assert told(issues) == case.plan.get("overlap", [])
    asked = {f"{each.type}?{each.query}" for _, each in conditional_references(plan)}
    assert asked == case.plan.get("found", {}).keys()


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_what_is_told_of_a_case_can_be_told(case: Case) -> None:
    try:
        issues = plan_of(case.bundle, bases=[BASE]).faults
    except Refused as whole:
        issues = whole.issues
    for language in ("en", "nb"):
        said = operation_outcome(issues, language)
        for issue in said["issue"]:
            assert "{" not in issue["details"]["text"]
            assert synthetic_number() not in repr(issue)
            assert issue["expression"][0].startswith("Bundle")
