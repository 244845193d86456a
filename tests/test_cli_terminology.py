"""The commands of `fhir-facade terminology`: what they print, what they write, and their exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fhir_facade.cli import app

TABLE = (
    "Kode;Navn;Overordnet;Status\nF32;Depressiv episode;;\nF32.0;Mild depressiv episode;F32;\nF32.8;Annen;F32;utgått\n"
)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["terminology", *(str(each) for each in arguments)])


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """A database with ICD-10 of 2025 and 2026."""
    table = tmp_path / "icd.csv"
    for year in ("2025", "2026"):
        table.write_text(TABLE.replace("Mild", f"Mild {year}"))
        assert run("import", table, "--system", "icd-10", "--version", year, "--db", tmp_path / "c.db").exit_code == 0
    return tmp_path / "c.db"


@pytest.mark.parametrize("command", ["import", "list", "remove", "lookup"])
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    told = run(command, "--help")
    assert (told.exit_code, f"fhir-facade terminology {command}" in told.stdout) == (0, True)


def test_an_import_says_what_it_did(tmp_path: Path) -> None:
    table = tmp_path / "icd.csv"
    table.write_text(TABLE)
    asked = ("import", table, "--system", "icd-10", "--version", "2026", "--db", tmp_path / "c.db")
    told = run(*asked)
    assert told.exit_code == 0
    assert told.stdout == "urn:oid:2.16.578.1.12.4.1.1.7110 2026: 3 codes imported, holds 2026–2026, 1 withdrawn\n"
    assert "icd.csv:4: code-withdrawn: Code 'F32.8' is withdrawn" in told.stderr
    assert "nothing was changed" in run(*asked).stdout
    table.write_text(TABLE.replace("F32.8", "F32.9"))
    other = run(*asked)
    assert (other.exit_code, "--replace" in other.stderr) == (1, True)
    assert "replaced" in run(*asked, "--replace", "--valid-from", "2026-01-01").stdout


def test_a_fault_ends_with_1_and_every_finding(tmp_path: Path) -> None:
    table = tmp_path / "icd.csv"
    table.write_text("kode;navn\nA;\nB;b\x01\n")
    told = run("import", table, "--system", "icd-10", "--version", "2026", "--db", tmp_path / "c.db")
    assert (told.exit_code, told.stdout) == (1, "")
    assert [line.split(" ")[0] for line in told.stderr.splitlines()] == ["icd.csv:2:", "icd.csv:3:", "2"]
    assert told.stderr.endswith("2 error(s): nothing was imported\n")
    assert not (tmp_path / "c.db").exists()


def test_many_withdrawn_codes_are_not_all_printed(tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    table.write_text("kode;navn;status\n" + "".join(f"A{number};a;utgått\n" for number in range(500)))
    told = run("import", table, "--system", "atc", "--version", "1", "--db", tmp_path / "c.db")
    assert told.exit_code == 0
    assert len(told.stderr.splitlines()) == 11
    assert told.stderr.endswith("and 490 more\n")


def test_what_cannot_be_done_ends_with_2(tmp_path: Path) -> None:
    told = run("import", tmp_path / "none.csv", "--db", tmp_path / "c.db")
    assert (told.exit_code, "there is no such file" in told.stderr) == (2, True)
    assert run("list").exit_code == 2
    assert "FHIR_FACADE_TERMINOLOGY" in run("list").stderr
    assert run("list", "--db", tmp_path / "none.db").exit_code == 2
    (tmp_path / "x.csv").write_text(TABLE)
    (tmp_path / "text.db").write_text("no database " * 500)
    assert (
        run("import", tmp_path / "x.csv", "--system", "atc", "--version", "1", "--db", tmp_path / "text.db").exit_code
        == 2
    )


def test_the_environment_names_the_database(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_FACADE_TERMINOLOGY", str(db))
    told = run("list")
    assert told.stdout.splitlines() == [
        f"urn:oid:2.16.578.1.12.4.1.1.7110  {year}  3 codes  {year}–{year}  ICD-10" for year in (2026, 2025)
    ]


def test_a_code_is_looked_up_in_the_edition_of_the_day(db: Path) -> None:
    told = run("lookup", "icd-10", "F320", "--db", db)
    assert told.exit_code == 0
    assert told.stdout.splitlines() == [
        "F32.0\tMild 2026 depressiv episode",
        "  edition: urn:oid:2.16.578.1.12.4.1.1.7110 2026 (ICD-10)",
        "  below: F32 Depressiv episode",
    ]
    for chosen in (("--on", "2025-12-31"), ("--version", "2025")):
        assert "Mild 2025" in run("lookup", "http://hl7.org/fhir/sid/icd-10-no", "F32.0", *chosen, "--db", db).stdout
    assert run("lookup", "icd-10", "F99", "--db", db).exit_code == 1
    none = run("lookup", "icd-10", "F32.0", "--on", "2019-01-01", "--db", db)
    assert (none.exit_code, "There is no urn:oid:2.16.578.1.12.4.1.1.7110 on 2019-01-01 here" in none.stderr) == (
        1,
        True,
    )


def test_text_is_looked_up(db: Path) -> None:
    told = run("lookup", "icd-10", "EPI", "--text", "--db", db)
    assert told.stdout == "F32\tDepressiv episode\nF32.0\tMild 2026 depressiv episode\n"
    assert "1 of 2 shown" in run("lookup", "icd-10", "epi", "--text", "--limit", "1", "--db", db).stderr
    assert "F32.8\tAnnen  [retired]" in run("lookup", "icd-10", "annen", "--text", "--db", db).stdout
    assert run("lookup", "icd-10", "xyz", "--text", "--db", db).exit_code == 1


def test_an_edition_is_removed(db: Path) -> None:
    told = run("remove", "icd-10", "--version", "2025", "--db", db)
    assert (told.exit_code, told.stdout) == (0, "urn:oid:2.16.578.1.12.4.1.1.7110 2025: removed\n")
    assert run("remove", "icd-10", "--version", "2025", "--db", db).exit_code == 1
    assert len(run("list", "--db", db).stdout.splitlines()) == 1
