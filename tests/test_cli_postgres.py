"""The commands over a PostgreSQL database do what they do over a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from typer.testing import CliRunner, Result

from fhir_facade.app import build_app
from fhir_facade.cli import app
from fhir_facade.settings import Settings
from tests.npr_sample import IDE, ORD
from tests.postgres_server import Server

ENCOUNTERS = "/fhir/Encounter?_count=50&_sort=-date"


def run(*arguments: object, **environment: str) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env=environment)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "ord.xml", tmp_path / "ide.xml"]
    for path, text in zip(paths, (ORD, IDE), strict=True):
        path.write_text(text, "utf-8")
    return paths


def test_load_write_serve_explain_and_put(
    files: list[Path], postgres: Server, tmp_path: Path, ask_app: Callable[[Any], Callable[..., httpx.Response]]
) -> None:
    answers, messages, summaries = [], [], []
    for place in (str(tmp_path / "records.db"), postgres.fresh()):
        told = run("load", *files, "--db", place)
        assert told.exit_code == 0, told.output
        summaries.append(told.stdout)
        out = tmp_path / "out.xml"
        told = run("npr", "write", "--out", out, "--force", FHIR_FACADE_DATABASE=place)
        assert told.stderr == "message-rejected: written all the same\n"
        messages.append(out.read_bytes())
        ask = ask_app(build_app(Settings(database=place, log_level="error")))  # type: ignore[arg-type]
        bundle = ask("GET", ENCOUNTERS).json()
        answers.append([entry["resource"] | {"meta": None} for entry in bundle["entry"]])
        encounter = bundle["entry"][0]["resource"]
        assert run("explain", f"Encounter/{encounter['id']}", "--db", place).exit_code == 0
        resource = tmp_path / "encounter.json"
        resource.write_bytes(orjson.dumps(encounter))
        told = run("put", resource, "--db", place)
        assert told.exit_code == 0, told.output
    assert answers[0] == answers[1]
    assert len(answers[0]) == 2
    assert messages[0] == messages[1]
    assert summaries[0] == summaries[1]


def test_a_database_that_is_not_there_is_a_sentence(files: list[Path]) -> None:
    told = run("load", *files, "--db", "postgresql://someone:hidden@127.0.0.1:1/records")
    assert told.exit_code == 2
    assert told.stderr.startswith("postgresql://127.0.0.1:1/records: store-unreachable: ")
    assert "hidden" not in told.output


def test_a_url_of_another_database_is_refused_without_repeating_it() -> None:
    told = run("serve", "--db", "mysql://someone:hidden@host/x")
    assert told.exit_code == 2
    assert "SQLite file" in told.stderr
    assert "hidden" not in told.output


def test_a_server_without_records_is_not_served(postgres: Server) -> None:
    told = run("serve", "--db", postgres.fresh(), "--port", 0)
    assert told.exit_code == 2
    assert "store-without-tables" in told.stderr


def test_tables_are_brought_forward_and_a_file_is_not(postgres: Server, tmp_path: Path) -> None:
    place = postgres.fresh()
    dry = run("db", "upgrade", "--dry-run", "--db", place)
    assert dry.stdout.endswith("change(s), none made\n")
    done = run("db", "upgrade", "--db", place)
    assert "table pasient is made" in done.stdout
    assert run("db", "upgrade", "--db", place).stdout == "0 change(s) made, 0 record(s) computed anew\n"
    told = run("db", "upgrade", "--db", tmp_path / "x.db")
    assert (told.exit_code, "SQLite" in told.stderr) == (2, True)
