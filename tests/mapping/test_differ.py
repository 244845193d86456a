"""What a change of mappings changes: its sort, its place, and the version that it needs."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from fhir_facade.mapping.differ import (
    NEEDS,
    SORTS,
    Comparison,
    changes_between,
    compare,
    is_raised,
    is_shortened,
    samples_of_examples,
    samples_of_records,
)
from fhir_facade.mapping.mapping_set import load_mapping_set
from fhir_facade.outcome import Issue
from tests.mapping_sample import FILE, PLAIN, USUAL, change, small_set

NAME = "client-patient"
Folders = tuple[Path, Path]


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """A small set and a copy of it."""
    old = small_set(tmp_path / "old")
    return old, Path(shutil.copytree(old, tmp_path / "new"))


def compared(folders: Folders) -> Comparison:
    sets = [load_mapping_set(folder) for folder in folders]
    return compare(sets[0], sets[1], folders[1], samples_of_examples(folders[0], sets[0]))


def found(comparison: Comparison) -> set[tuple[str, str, int]]:
    return {(each.sort, each.path, each.count) for each in comparison.changes}


def test_the_same_mappings_differ_in_nothing(folders: Folders) -> None:
    assert compared(folders) == Comparison(samples=2)


def test_moved_lines_and_comments_are_no_change(folders: Folders) -> None:
    change(folders[1] / FILE, "rules:\n  - {epj: $key", "# says nothing\n\nrules:\n  - {epj: $key")
    assert compared(folders) == Comparison(samples=2)


@pytest.mark.parametrize(
    ("old", "new", "changes", "needs"),
    [
        ('  - {epj: family, fhir: "name[main].family"}', '  - {epj: family, fhir: "name[main].family"}\n  - {fhir: "name[main].text", const: Navn}',
         {("added", "Patient.name.text", 2)}, "minor"),
        ('fhir: "name[main].family"', 'fhir: "name[main].text"', {("added", "Patient.name.text", 2), ("removed", "Patient.name.family", 2)}, "major"),
        ("const: [confidentiality, R]", "const: [confidentiality, V]",
         {("code changed", "Patient.meta.security.code", 1), ("display changed", "Patient.meta.security.display", 1)}, "major"),
        ("  - {epj: gone, fhir: deceasedDateTime}\n", "  - {epj: gone, fhir: deceasedDateTime, only: to-fhir}\n", set(), "patch"),
        ("old if gone else official", "temp if gone else official", {("code changed", "Patient.name.use", 1)}, "major"),
        ("original: beside}", "original: beside, only: from-fhir}",
         {("removed", "Patient.gender", 1), ("issue disappeared", "code-not-mapped sex kjonn-gender", 1)}, "major"),
    ],
)  # fmt: skip
def test_each_sort_of_change_is_told_with_its_place_and_count(
    folders: Folders, old: str, new: str, changes: set[tuple[str, str, int]], needs: str
) -> None:
    change(folders[1] / FILE, old, new)
    comparison = compared(folders)
    assert changes <= found(comparison)
    assert [each.needs for each in comparison.verdicts] == [needs]
    assert len(comparison.findings) == 1
    assert str(comparison.findings[0]).startswith(f"{FILE}:2: {NAME}: version 1.0.0 became 1.0.0, but")
    raised = {"major": "2.0.0", "minor": "1.1.0", "patch": "1.0.1"}[needs]
    change(folders[1] / FILE, "version: 1.0.0", f"version: {raised}")
    assert compared(folders).findings == []


def test_a_changed_code_map_is_a_change_of_the_mapping_that_uses_it(folders: Folders) -> None:
    change(folders[1] / "codes" / "kjonn-gender.yaml", '"2": female', '"2": other')
    comparison = compared(folders)
    assert ("code changed", "Patient.gender", 1) in found(comparison)
    assert comparison.verdicts[0].needs == "major"


def test_a_mapping_that_comes_or_goes_is_told_and_has_no_version_to_raise(folders: Folders) -> None:
    change(folders[1] / FILE, f"mapping: {NAME}", "mapping: client-person")
    comparison = compared(folders)
    assert {(each.mapping, each.sort) for each in comparison.changes} == {
        (NAME, "mapping removed"),
        ("client-person", "mapping added"),
    }
    assert (comparison.verdicts, comparison.findings) == ([], [])


def test_an_item_more_in_a_list_is_added_and_the_others_are_not_changed() -> None:
    def names(*families: str) -> tuple[dict[str, Any], list[Issue]]:
        return {"resourceType": "Patient", "name": [{"family": each} for each in families]}, []

    assert list(changes_between(names("A", "B"), names("New", "A", "B"))) == [("added", "Patient.name.family")]
    assert list(changes_between(names("A", "B"), names("B", "A"))) == []


def test_issues_are_compared_without_what_they_say_of_one_record() -> None:
    def told(code: str) -> tuple[dict[str, Any], list[Issue]]:
        return {"resourceType": "Patient"}, [Issue("code-not-mapped", "", {"field": "f", "code": code, "map": "m"})]

    assert list(changes_between(told("1"), told("2"))) == []
    assert list(changes_between(told("1"), ({"resourceType": "Patient"}, []))) == [
        ("issue disappeared", "code-not-mapped f m")
    ]


@pytest.mark.parametrize(
    ("old", "new", "shortened"),
    [
        ("2025-01-02", "2025-01", True),
        ("2025-01-02", "2025", True),
        ("2025-01-02T03:04:05+01:00", "2025-01-02", True),
        ("2025-01-02T03:04:05.123+01:00", "2025-01-02T03:04:05+01:00", True),
        ("2025-01", "2025-01-02", False),
        ("2025-01-02", "2024", False),
        ("Lise", "Lis", False),
        (1.26, 1.3, True),
        (126, 130, True),
        (1.26, 1.2, False),
        (True, 1, False),
    ],
)
def test_precision_is_lost_where_the_same_is_said_with_less(old: Any, new: Any, shortened: bool) -> None:
    assert is_shortened(old, new) is shortened


@pytest.mark.parametrize(
    ("old", "new", "needs", "enough"),
    [
        ("1.9.9", "2.0.0", "major", True),
        ("1.9.9", "1.10.0", "major", False),
        ("1.9.9", "1.10.0", "minor", True),
        ("1.9.9", "1.9.10", "minor", False),
        ("1.9.9", "1.9.10", "patch", True),
        ("1.9.9", "1.9.9", "patch", False),
        ("2.0.0", "1.9.9", "patch", False),
        ("", "1.0.0", "major", True),
        ("1.0.0", "two", "patch", False),
    ],
)
def test_versions_are_raised_by_what_is_needed(old: str, new: str, needs: Any, enough: bool) -> None:
    assert is_raised(old, new, needs) is enough


def test_every_sort_of_change_says_what_it_needs() -> None:
    assert set(SORTS) == set(NEEDS)


def test_a_sample_is_the_same_for_the_same_seed_and_its_source_is_the_key(folders: Folders) -> None:
    mapping_set = load_mapping_set(folders[0])
    kind = mapping_set.kinds["client"]
    records = [mapping_set.kinds.complete(kind, {**USUAL, "number": str(number)}) for number in range(50)]
    one, same, other = (
        [each.source for each in samples_of_records(iter(records), kind, 5, seed)] for seed in (1, 1, 2)
    )
    assert one == same != other
    assert len(set(one)) == 5
    assert set(one) <= {f"client 1.{number}" for number in range(50)}
    whole = list(samples_of_records(records, kind, 0, 1))
    assert [each.record["number"] for each in whole] == [str(number) for number in range(50)]
    assert not any(name.startswith("$") for name in whole[0].record)


def test_no_value_of_a_record_stands_in_what_is_said(folders: Folders) -> None:
    change(folders[1] / FILE, 'fhir: "name[main].family"', 'fhir: "name[main].text"')
    said = str(compared(folders).as_json())
    assert "client.patient.examples/01-usual" in said
    assert not any(repr(record["family"]) in said for record in (USUAL, PLAIN))
