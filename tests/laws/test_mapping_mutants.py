"""Acceptance: every row of every mapping, mutated in every way, dies by load error, golden or law."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fhir_facade.resources import data_root

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "mutate_mappings.py"


def mutate(*arguments: object) -> tuple[int, str]:
    """Exit code and output of the tool."""
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert not done.stderr, done.stderr
    return done.returncode, done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_mutant_dies_or_is_listed_with_its_reason() -> None:
    code, output = mutate()
    print(output)
    assert code == 0, output


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The mappings without one file's examples."""
    there = tmp_path / "mappings"
    shutil.copytree(data_root("mappings"), there)
    shutil.rmtree(there / "individuell_plan.observation.examples", ignore_errors=True)
    return there


def test_without_examples_mutants_live_and_are_named_with_file_and_line(folder: Path) -> None:
    code, output = mutate("--folder", folder, "--only", "individuell_plan", "--jobs", 1)
    assert code == 1
    row = "const -> status=final | const final -> preliminary"
    line = (folder / "individuell_plan.observation.yaml").read_text("utf-8").split("fhir: status")[0].count("\n") + 1
    assert f"lives: individuell_plan.observation.yaml:{line}: {row}" in output


def test_an_example_that_does_not_hold_kills_nothing_and_is_told(folder: Path) -> None:
    examples = folder / "individuell_plan.observation.examples"
    examples.mkdir()
    (examples / "01-x.epj.json").write_text('{"institusjonID": "123456785"}')
    (examples / "01-x.fhir.json").write_text("{}")
    code, output = mutate("--folder", folder, "--only", "individuell_plan", "--jobs", 1)
    assert code == 1
    assert "does not hold without a mutant" in output


def test_a_listed_mutant_that_dies_is_an_error_and_one_that_lives_is_not(folder: Path, tmp_path: Path) -> None:
    lives = "individuell_plan.observation.yaml | const -> status=final | const final -> preliminary"
    dies = "individuell_plan.observation.yaml | pasientNr -> subject | row doubled"
    listed = tmp_path / "listed.yaml"
    listed.write_text(f"- {{reason: none, mutants: ['{lives}', '{dies}']}}\n")
    chosen = ("--folder", folder, "--only", "individuell_plan", "--jobs", 1, "--equivalent", listed)
    code, output = mutate(*chosen)
    assert code == 1
    assert f"listed as equivalent, but it dies or is gone: {dies}" in output
    assert f"equivalent: {lives}: none" in output
    assert f"lives: {lives}" not in output


def test_an_unknown_name_is_told() -> None:
    command = [sys.executable, str(TOOL), "--only", "no-such-mapping"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 2
    assert "no file is called 'no-such-mapping'" in done.stderr
