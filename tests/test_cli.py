"""The command line: what it prints, where faults stand, and its exit codes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from fhir_facade.cli import app
from fhir_facade.resources import data_root

STAY: dict[str, Any] = {
    "institusjonID": "983974880", "pasientNr": "P1", "episodeID": "E1", "episodeGUID": "g",
    "omsorgsniva": "1", "innDatoTid": "2024-03-01T10:00:00", "oppholdsdel": "AvdOpp",
}  # fmt: skip


def run(*arguments: str | Path, stdin: bytes = b"") -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], input=stdin)


def lines(*records: Any) -> bytes:
    return b"".join(orjson.dumps(record) + b"\n" for record in records)


COMMANDS = ("demo", "serve", "load", "synth", "map", "npr write", "check", "openapi", "explain", "mapping table")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    told = run(*command.split(), "--help")
    assert told.exit_code == 0
    assert f"fhir-facade {command}" in told.stdout


def test_the_top_help_names_every_command_and_where_to_begin() -> None:
    told = run("--help")
    assert "Begin with: fhir-facade demo" in told.stdout
    for command in COMMANDS:
        assert command.split()[0] in told.stdout


@pytest.mark.parametrize("arguments", [("serv",), ("map",), ("synth", "--patients", "none", "--out", "x"), ("load",)])
def test_wrong_usage_ends_with_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_map_turns_records_into_fhir_line_by_line(tmp_path: Path) -> None:
    file = tmp_path / "opphold.ndjson"
    file.write_bytes(lines(STAY, STAY | {"episodeID": "E2"}))
    for told in (run("map", "opphold", file), run("map", "opphold", stdin=file.read_bytes())):
        assert told.exit_code == 0
        resources = [orjson.loads(line) for line in told.stdout.splitlines()]
        assert [resource["resourceType"] for resource in resources] == ["Encounter", "Encounter"]
        assert [resource["id"][-2:] for resource in resources] == ["E1", "E2"]


def test_map_tells_of_bad_lines_by_number_and_maps_the_others() -> None:
    bad = b'{"a": \n' + b"[1]\n" + lines(STAY | {"innDatoTit": "x"}) + b"\n" + lines(STAY)
    told = run("map", "opphold", stdin=bad)
    assert told.exit_code == 1
    assert len(told.stdout.splitlines()) == 1
    for number, code in ((1, "line-not-json"), (2, "line-not-json"), (3, "field-unknown")):
        assert any(line.startswith(f"line {number}") and code in line for line in told.stderr.splitlines())
    assert "did you mean 'innDatoTid'?" in told.stderr
    assert "Traceback" not in told.stderr


def test_map_explain_shows_path_value_field_and_mapping_line() -> None:
    told = run("map", "opphold", "--explain", stdin=lines(STAY))
    row = next(line for line in told.stdout.splitlines() if line.startswith("Encounter.period.start"))
    path, value, field, at = row.split()
    assert (path, value, field) == ("Encounter.period.start", "2024-03-01T10:00:00", "innDatoTid")
    assert at.startswith("opphold.encounter.yaml:")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("map", "oppholt"), "did you mean 'opphold'?"),
        (("map", "opphold", "there-is-none.ndjson"), "there-is-none.ndjson"),
        (("check", "there-is-none"), "there is no such folder"),
        (("serve", "--db", "there-is-none.db"), "fhir-facade load"),
        (("serve", "--db", "there-is-none.db", "--host", "0.0.0.0"), "only loopback"),
        (("npr", "write", "--out", "x.xml", "--db", "there-is-none.db"), "fhir-facade load"),
        (("npr", "write", "--out", "x.xml", "--db", "x.db", "--module", "odr"), "ide, ord"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_a_sentence(arguments: tuple[str, ...], words: str) -> None:
    told = run(*arguments)
    assert told.exit_code == 2
    assert words in told.stderr
    assert "Traceback" not in told.stderr


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_FACADE_PORT", "many")
    told = run("serve", "--db", "x.db")
    assert told.exit_code == 2
    assert "setting port" in told.stderr


def test_check_is_content_with_our_mappings() -> None:
    told = run("check")
    assert (told.exit_code, "no findings" in told.stdout) == (0, True)


def broken_mappings(folder: Path) -> Path:
    """Our mappings with a field that does not exist."""
    shutil.copytree(data_root("mappings"), folder)
    file = folder / "opphold.encounter.yaml"
    file.write_text(file.read_text("utf-8").replace("epj: omsorgsniva,", "epj: omsorgsnvia,"), "utf-8")
    return folder


def test_check_prints_findings_with_file_and_line(tmp_path: Path) -> None:
    told = run("check", broken_mappings(tmp_path / "mappings"))
    assert told.exit_code == 1
    assert told.stdout.startswith("opphold.encounter.yaml:")
    assert "omsorgsniva" in told.stdout


def test_serve_does_not_start_with_faulty_mappings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_FACADE_MAPPINGS", str(broken_mappings(tmp_path / "mappings")))
    (tmp_path / "x.db").touch()
    told = run("serve", "--db", tmp_path / "x.db", "--port", "0")
    assert told.exit_code == 2
    assert "opphold.encounter.yaml:" in told.stderr


def test_openapi_prints_the_document_and_writes_its_files(tmp_path: Path) -> None:
    printed = orjson.loads(run("openapi").stdout)
    assert printed["openapi"] == "3.1.0"
    assert run("openapi", "--out", tmp_path / "api").exit_code == 0
    names = sorted(path.name for path in (tmp_path / "api").iterdir())
    operations = ["operation-lineage.json", "operation-npr-check.json"]
    assert names == ["capability-statement.json", "openapi.json", *operations, "requests.http"]
    assert orjson.loads((tmp_path / "api" / "openapi.json").read_bytes()) == printed


def test_synth_gives_the_same_bytes_for_the_same_seed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run("synth", "--patients", "5", "--seed", "3", "--out", tmp_path / name).exit_code == 0
    one, two = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("one", "two"))
    assert one == two
    assert "opphold.ndjson" in one


def test_records_go_through_load_and_npr_write(tmp_path: Path) -> None:
    run("synth", "--patients", "5", "--out", tmp_path / "records")
    files = sorted((tmp_path / "records").iterdir())
    told = run("load", *files, "--db", tmp_path / "x.db")
    assert told.exit_code == 0, told.stderr
    assert "opphold" in told.stdout
    message = tmp_path / "message.xml"
    written = run("npr", "write", "--out", message, "--db", tmp_path / "x.db")
    assert message.read_bytes().startswith(b"<?xml"), written.stderr
    again = run("load", message, "--db", tmp_path / "again.db")
    assert again.exit_code == 0, again.stderr


def test_load_says_the_line_of_what_it_refuses(tmp_path: Path) -> None:
    file = tmp_path / "opphold.ndjson"
    file.write_bytes(lines(STAY | {"innDatoTit": "x"}))
    told = run("load", file, "--db", tmp_path / "x.db")
    assert told.exit_code == 1
    assert "line 1" in told.stderr
