"""Every YAML block of docs/mapping-language.md loads, and its record becomes the resource that stands beside it."""

from __future__ import annotations

import json
import re
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fhir_facade.facade import Facade
from fhir_facade.mapping.load import KINDS_OF_ROW, ROW
from fhir_facade.outcome import Issue
from fhir_facade.resources import data_root

SHIPPED = data_root("mappings")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "mapping-language.md"
TEXT = PAGE.read_text("utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
NAMES = sorted(set(re.findall(r"^# example: (\w+)$", TEXT, re.MULTILINE)))


def said(name: str, what: str) -> Any:
    """The record or the resource of an example."""
    found = re.search(rf"^```json {what} {name}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no {what}"
    return json.loads(found[1])


@cache
def facade(folder: Path) -> Facade:
    """All examples together with the record kinds, systems and code maps that are shipped."""
    for part in ("records", "codes"):
        shutil.copytree(SHIPPED / part, folder / part)
    shutil.copy(SHIPPED / "systems.yaml", folder)
    for block in BLOCKS:
        keys = dict(re.findall(r"^(\w+): (.+)$", block, re.MULTILINE))
        if "mapping" in keys:
            file = folder / f"{keys['epj']}.{keys['fhir'].lower()}.yaml"
        else:
            file = folder / (f"records/{keys['record']}" if "record" in keys else f"codes/{keys['conceptmap']}")
            file = file.with_suffix(".yaml")
        assert not file.exists(), "an example does not replace what is shipped"
        file.write_text(block, "utf-8")
    return Facade(folder)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Facade:
    return facade(tmp_path_factory.mktemp("mappings"))


def test_every_yaml_block_belongs_to_an_example() -> None:
    assert len(BLOCKS) > 5
    assert [block[:60] for block in BLOCKS if not block.startswith("# example: ")] == []
    assert len(NAMES) > 2


@pytest.mark.parametrize("name", NAMES)
def test_an_example_becomes_the_resource_that_is_shown(shown: Facade, name: str) -> None:
    assert shown.to_fhir(name, said(name, "record")) == said(name, "resource")


def test_the_issues_that_are_told_of_come(shown: Facade) -> None:
    issues: list[Issue] = []
    shown.to_fhir("visit", said("visit", "record"), issues=issues)
    assert {(issue.code, issue.facts["code"]) for issue in issues} == {
        ("code-not-mapped", "17"),
        ("code-not-mapped", "9"),
    }


def rows() -> list[str]:
    """The rows in the table of kinds, as they would stand in a file."""
    table = TEXT.split("| Kind | Row | Element |")[1].split("\n\n")[0]
    return [row.replace("\\|", "|") for row in re.findall(r"^\| [^|]+ \| `((?:[^`|]|\\\|)+)` \|", table, re.MULTILINE)]


def test_every_row_in_the_table_of_kinds_stands_in_an_example_or_in_a_shipped_mapping() -> None:
    files = "\n".join([*BLOCKS, *(path.read_text("utf-8") for path in SHIPPED.glob("*.*.yaml"))])
    assert len(rows()) > 15
    assert [row for row in rows() if row not in files] == []


def test_every_key_and_kind_of_row_is_told_of() -> None:
    told = set(re.findall(r"`([\w$-]+)`", TEXT))
    assert set(ROW) | set(KINDS_OF_ROW) <= told
