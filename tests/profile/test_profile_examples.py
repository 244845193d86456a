"""Every profile of ours ships resources that keep to it, and for each of its rules one that breaks that rule alone.

profiles/structure-definitions/README.md tells the form of the files in `examples/`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fhir_facade.definitions import definitions
from fhir_facade.outcome import Issue
from fhir_facade.packages.elements import extension_value
from fhir_facade.packages.own import own_definitions
from fhir_facade.packages.own_elements import NPR_RULE
from fhir_facade.packages.own_reading import norwegian
from fhir_facade.resources import data_root
from fhir_facade.structures import norwegian_constraints
from tests.profile.test_report import seeded, validator

FOLDER = data_root("profiles") / "structure-definitions"
FILES = sorted((FOLDER / "examples").glob("*.yaml"))

TOO_FEW = frozenset(("element-missing", "element-too-few", "slice-missing"))
TOO_MANY = frozenset(("element-too-many", "element-forbidden", "slice-too-many"))
FRAGMENT = "the list is shipped in part, so nobody can say that it lacks a code"
NOT_ALONE = {
    ("encounter-opphold", "type:omsorgsniva", "slice-too-many"): "npr-level says it too, with the number of NPR's rule",
    ("encounter-poliklinisk", "type:kontakttype", "slice-too-many"): "npr-contact says it too, with NPR's number",
    ("encounter-opphold", "type:kontakttype", "code-not-in-binding"): FRAGMENT,
    ("no-basis-Appointment", "appointmentType.coding:kontaktType", "code-not-in-binding"): FRAGMENT,
    ("no-basis-Appointment", "appointmentType.coding:innbygger", "code-not-in-binding"): FRAGMENT,
}
"""Rules that nothing can break alone, and why."""


@cache
def examples() -> dict[str, dict[str, Any]]:
    """The examples by the canonical of the definition that they belong to."""
    read = [(path, yaml.safe_load(path.read_text("utf-8"))) for path in FILES]
    assert [path.stem for path, _ in read] == [content["profile"].rpartition("/")[2] for path, content in read]
    return {content["profile"]: content for _, content in read}


@cache
def own() -> dict[str, dict[str, Any]]:
    found, faults = own_definitions(FOLDER)
    assert not faults
    return {each["url"]: each for each in found}


def rows(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content["differential"]["element"]
    return found


def ruled() -> list[str]:
    """The profiles, and the extensions that have constraints."""
    return [
        url
        for url, content in own().items()
        if content["type"] != "Extension" or any("constraint" in row for row in rows(content))
    ]


def demands(content: Mapping[str, Any]) -> Iterator[tuple[str, frozenset[str]]]:
    """What a profile adds to its type: the element below the type, and the issues one of which tells that it is broken.

    A value that tells slices apart is not a rule of its own: with another value the item is of no slice.
    """
    telling = {
        f"{row['path']}.{way['path']}".removesuffix(".$this").replace("extension.url", "extension")
        for row in rows(content)
        for way in row.get("slicing", {}).get("discriminator", ())
    }
    for row in rows(content):
        id = row["id"].partition(".")[2]
        slice_name = row.get("sliceName", "")
        tells = row["path"] in telling and not slice_name
        if row.get("min", 0) and not tells:
            yield id, TOO_FEW
        many = slice_name or getattr(definitions().element(row["path"]), "many", False)
        if row.get("max") == "0" or (row.get("max") == "1" and many):
            yield id, TOO_MANY
        if any(key.startswith("fixed") for key in row) and not tells:
            yield id, frozenset(("fixed-differs",))
        if any(key.startswith("pattern") for key in row) and not tells and not slice_name:
            yield id, frozenset(("pattern-differs",))
        if row.get("binding", {}).get("strength") == "required":
            yield id, frozenset(("code-not-in-binding",))
        if row["path"].endswith("[x]") and row.get("type"):
            yield id, frozenset(("choice-type-not-allowed",))
        if any("targetProfile" in kind for kind in row.get("type", ())):
            yield id, frozenset(("reference-target",))


def told(resource: Any) -> list[tuple[str, str, Issue]]:
    """The errors and warnings: rule key, place, issue."""
    found = validator().validate(resource).issues
    return [
        (each.rule.key if each.rule else each.code, each.at, each)
        for each in found
        if (each.severity or each.entry.severity) != "information"
    ]


def broken(url: str, said: Mapping[str, Any]) -> Any:
    """The passing resource of a failing example with its change."""
    made = examples()[url]["passing"][said.get("of", "full")]
    for path, value in said["change"].items():
        made = seeded(made, *_resolved(made, path, value))
    return made


def _resolved(good: Any, path: str, value: Any) -> tuple[str, Any]:
    """The path with numbers where it names an extension, and a copy of the item for AGAIN."""
    at, steps = good, []
    for step in path.split("."):
        if isinstance(at, list) and not step.isdigit():
            step = str(next(n for n, each in enumerate(at) if each["url"].rpartition("/")[2] == step))
        before = at
        steps.append(step)
        if isinstance(at, list):
            at = at[int(step)] if int(step) < len(at) else None
        else:
            at = at.get(step) if isinstance(at, dict) else None
    if value == "AGAIN":
        return ".".join([*steps[:-1], str(len(before))]), at
    return ".".join(steps), value


FAILING = [
    (content["profile"], rule, said)
    for content in (yaml.safe_load(path.read_text("utf-8")) for path in FILES)
    for rule, said in content["failing"].items()
]


def test_every_profile_has_examples_and_every_file_its_profile() -> None:
    assert sorted(examples()) == sorted(ruled())
    assert len(examples()) >= 35
    assert all(content["passing"] for content in examples().values())
    ids = [
        (each["resourceType"], each["id"]) for content in examples().values() for each in content["passing"].values()
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_passes_is_without_errors_and_warnings(path: Path) -> None:
    """But for the warnings that are listed; and it declares the profile, or holds the extension or data type."""
    content = yaml.safe_load(path.read_text("utf-8"))
    for name, resource in content["passing"].items():
        expected = [tuple(each) for each in content.get("warnings", {}).get(name, ())]
        assert [each[:2] for each in told(resource)] == expected, name
        assert all(not issue.is_error for _, _, issue in told(resource))
        if own()[content["profile"]]["type"] == resource["resourceType"]:
            assert resource["meta"]["profile"] == [content["profile"]]


@pytest.mark.parametrize("url, rule, said", FAILING, ids=[f"{row[0].rpartition('/')[2]}-{row[1]}" for row in FAILING])
def test_what_fails_breaks_its_rule_alone(url: str, rule: str, said: dict[str, Any]) -> None:
    """`also` holds rules of R4 that say the same; a rule with `@` names the element of the profile that says it."""
    warned = [tuple(each) for each in examples()[url].get("warnings", {}).get(said.get("of", "full"), ())]
    found = [each for each in told(broken(url, said)) if each[:2] not in warned]
    also = said.get("also", [])
    assert sorted(key for key, _, _ in found) == sorted([rule.partition("@")[0], *also])
    (place, issue) = next((at, issue) for key, at, issue in found if key == rule.partition("@")[0])
    assert place == said["at"]
    assert issue.rule is not None
    assert issue.rule.profile == url
    if "@" in rule:
        assert issue.rule.element.partition(".")[2] == rule.partition("@")[2]
    assert set(also) <= norwegian_constraints().keys()


@pytest.mark.parametrize("url", ruled(), ids=lambda url: url.rpartition("/")[2])
def test_every_rule_of_a_profile_is_broken_by_an_example(url: str) -> None:
    failing = examples()[url]["failing"]
    name = url.rpartition("/")[2]
    keys = {each["key"] for row in rows(own()[url]) for each in row.get("constraint", ())}
    assert {rule for rule in failing if "@" not in rule} == keys
    if own()[url]["type"] == "Extension":
        return
    known = {(rule.partition("@")[2], rule.partition("@")[0]) for rule in failing if "@" in rule}
    missing = {
        (name, id, code)
        for id, codes in demands(own()[url])
        for code in sorted(codes)[-1:]
        if not any((id, each) in known for each in codes)
    }
    assert missing == {each for each in NOT_ALONE if each[0] == name}


def test_every_constraint_of_ours_says_all_that_it_has_to() -> None:
    """A sentence in both languages; a rule of NPR its number."""
    found = [
        (url, each) for url, content in own().items() for row in rows(content) for each in row.get("constraint", ())
    ]
    assert len(found) > 20
    for url, each in found:
        where = f"{url}: {each['key']}"
        assert each["human"].endswith("."), where
        assert norwegian(each, "human").endswith("."), where
        if each["key"].startswith("npr-") and url.startswith("http://fhir-facade.no/"):
            assert str(extension_value(each, NPR_RULE) or "").isdecimal() or each["key"] in WITHOUT_NUMBER, where


WITHOUT_NUMBER = {"npr-activity"}
"""What NPR-melding has a field for, and no numbered rule."""
