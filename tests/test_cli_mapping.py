"""The commands of `fhir-facade mapping`: what they print, what they write, and their exit codes."""

from __future__ import annotations

import shutil
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from fhir_facade.cli import app
from tests.mapping_sample import FILE, USUAL, change, put, small_set, stored

EXAMPLES = "client.patient.examples"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["mapping", *(str(each) for each in arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small set with accepted examples."""
    made = small_set(tmp_path / "mappings", whole=True)
    assert run("accept", "--mappings", made).exit_code == 0
    return made


# --- test and accept


@pytest.mark.parametrize("command", ["test", "accept", "diff"])
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    told = run(command, "--help")
    assert (told.exit_code, f"fhir-facade mapping {command}" in told.stdout) == (0, True)


def test_accept_says_what_it_writes_and_then_test_is_content(tmp_path: Path) -> None:
    folder = small_set(tmp_path / "mappings", whole=True)
    assert run("test", "--mappings", folder).exit_code == 1
    told = run("accept", "client-patient", "--mappings", folder)
    assert told.exit_code == 0
    assert f"{EXAMPLES}/01-usual.fhir.json: written" in told.stdout
    assert told.stdout.endswith("4 file(s) changed\n")
    proved = run("test", "client-patient", "--mappings", folder)
    assert (proved.exit_code, proved.stdout) == (0, "9 example(s) of 1 mapping(s): all hold\n")
    again = run("accept", "--mappings", folder)
    assert (again.exit_code, again.stdout) == (0, "0 file(s) changed\n")


SITE = "extends: client-patient\nversion: 1.0.0\nreplace:\n  - {fhir: 'name[main].use', derive: temp if gone else official}\n"
SKIPPED = f"client-patient: nord changes it and has no {EXAMPLES}/: skipped\n"


def site(tmp_path: Path, **files: str) -> Path:
    """A site folder called `nord` with these YAML files."""
    there = tmp_path / "nord"
    there.mkdir()
    for name, text in files.items():
        (there / f"{name}.yaml").write_text(text, "utf-8")
    return there


def test_what_a_site_changes_is_skipped_without_examples_of_its_own(folder: Path, tmp_path: Path) -> None:
    nord = site(tmp_path, clients=SITE)
    told = run("test", "--mappings", folder, "--site", nord)
    assert (told.exit_code, told.stdout) == (0, SKIPPED + "0 example(s) of 0 mapping(s): all hold\n")
    told = run("accept", "--mappings", folder, "--site", nord)
    assert (told.exit_code, told.stdout) == (0, SKIPPED + "0 file(s) changed\n")


def test_what_a_site_changes_is_judged_by_its_own_examples(folder: Path, tmp_path: Path) -> None:
    nord = site(tmp_path, clients=SITE)
    put(nord, "01-gone.epj.json", USUAL)
    before = (folder / EXAMPLES / "01-usual.fhir.json").read_bytes()
    assert run("accept", "--mappings", folder, "--site", nord).stdout.endswith("1 file(s) changed\n")
    assert (folder / EXAMPLES / "01-usual.fhir.json").read_bytes() == before
    told = run("test", "--mappings", folder, "--site", nord)
    assert (told.exit_code, told.stdout) == (0, "1 example(s) of 1 mapping(s): all hold\n")
    change(nord / "clients.yaml", "temp if", "old if")
    told = run("test", "--mappings", folder, "--site", nord)
    assert told.exit_code == 1
    assert "Patient.name[0].use: expected 'temp', got 'old'" in told.stdout


def test_what_a_site_leaves_alone_is_judged_by_the_shipped_examples(folder: Path, tmp_path: Path) -> None:
    nord = site(tmp_path, systems="systems:\n  ours: {uri: 'http://nord.example/ours', meaning: ours}\n")
    told = run("test", "--mappings", folder, "--site", nord)
    assert (told.exit_code, told.stdout) == (0, "9 example(s) of 1 mapping(s): all hold\n")
    change(folder / FILE, "old if gone", "temp if gone")
    assert run("test", "--mappings", folder, "--site", nord).exit_code == 1


def test_a_system_that_a_site_changes_changes_the_mappings_that_write_it(folder: Path, tmp_path: Path) -> None:
    nord = site(tmp_path, systems="systems:\n  pasient: {uri: 'http://nord.example/pasient', meaning: ours}\n")
    assert run("test", "--mappings", folder, "--site", nord).stdout.startswith(SKIPPED)


def test_what_does_not_hold_is_told_and_ends_with_1(folder: Path) -> None:
    change(
        folder / FILE,
        "{epj: number, fhir: identifier, system: pasient,",
        "{epj: number, fhir: identifier, system: episode,",
    )
    told = run("test", "--mappings", folder)
    assert told.exit_code == 1
    assert f"{EXAMPLES}/01-usual: record -> FHIR\n  Patient.identifier[0].system: expected" in told.stdout
    assert "1 of 1 mapping(s) do not hold" in told.stderr
    shown = run("accept", "--mappings", folder).stdout
    assert "Patient.identifier[0].system: expected" in shown
    assert run("test", "--mappings", folder).exit_code == 0


def test_what_no_example_shows_ends_with_1_and_names_the_row(folder: Path) -> None:
    for file in (folder / EXAMPLES).glob("02-*"):
        file.unlink()
    told = run("test", "--mappings", folder)
    assert told.exit_code == 1
    assert f"{FILE}:15: no example fills 'bornYear' without born" in told.stdout


@pytest.mark.parametrize("command", ["test", "accept"])
def test_what_cannot_be_done_ends_with_2(command: str, folder: Path) -> None:
    told = run(command, "client-patent", "--mappings", folder)
    assert (told.exit_code, "did you mean 'client-patient'?" in told.stderr) == (2, True)
    assert run(command, "--mappings", folder / "none").exit_code == 2
    change(folder / FILE, "epj: family", "epj: famly")
    faulty = run(command, "--mappings", folder)
    assert (faulty.exit_code, f"{FILE}:13:" in faulty.stderr) == (2, True)


# --- diff


@pytest.fixture
def newer(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "newer"))


def test_diff_of_the_same_mappings_ends_with_0(folder: Path, newer: Path) -> None:
    told = run("diff", folder, newer)
    assert (told.exit_code, told.stdout) == (0, "9 record(s) compared, 0 kind(s) of change\n")


def test_diff_tells_changes_and_asks_for_a_version(folder: Path, newer: Path) -> None:
    change(newer / FILE, 'fhir: "name[main].family"', 'fhir: "name[main].text"')
    told = run("diff", folder, newer)
    assert told.exit_code == 1
    example = f"{EXAMPLES}/01-usual"
    assert f"client-patient: removed Patient.name.family: 2 record(s), such as {example}" in told.stdout
    assert "client-patient: needs a major version (1.0.0 -> 1.0.0)" in told.stdout
    assert (
        f"{FILE}:2: client-patient: version 1.0.0 became 1.0.0, but what changed needs a major version" in told.stdout
    )
    change(newer / FILE, "version: 1.0.0", "version: 2.0.0")
    assert run("diff", folder, newer).exit_code == 0


def test_diff_looks_at_stored_records_too_and_tells_its_seed(folder: Path, newer: Path, tmp_path: Path) -> None:
    database = stored(folder, tmp_path / "x.db")
    shutil.rmtree(folder / EXAMPLES)
    shutil.rmtree(newer / EXAMPLES)
    change(newer / FILE, "old if gone else official", "temp if gone else official")
    whole = run("diff", folder, newer, "--db", database)
    assert "client-patient: code changed Patient.name.use: 1 record(s), such as client 1.7" in whole.stdout
    assert "2 record(s) compared" in whole.stdout
    sampled = run("diff", folder, newer, "--db", database, "--sample", "1", "--seed", "5", "--format", "json")
    said = orjson.loads(sampled.stdout)
    assert (said["seed"], said["records"]) == (5, 1)
    assert "seed" in run("diff", folder, newer, "--db", database, "--sample", "1").stdout


def test_diff_compares_the_examples_of_both_folders(folder: Path, newer: Path) -> None:
    put(newer, "03-more.epj.json", {"office": "1", "number": "9", "family": "Aas"})
    assert "10 record(s) compared" in run("diff", folder, newer).stdout


def test_diff_that_cannot_be_done_ends_with_2(folder: Path, newer: Path, tmp_path: Path) -> None:
    assert run("diff", folder, tmp_path / "none").exit_code == 2
    missing = run("diff", folder, newer, "--db", tmp_path / "none.db")
    assert (missing.exit_code, "no such file" in missing.stderr) == (2, True)
    other = tmp_path / "other.db"
    other.write_bytes(b"no database")
    told = run("diff", folder, newer, "--db", other)
    assert (told.exit_code, "Traceback" in told.stderr) == (2, False)
