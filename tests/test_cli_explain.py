"""The command `fhir-facade explain`: what it prints, and how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fhir_facade.cli import app
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into


@pytest.fixture(scope="module")
def db(mapping_set: MappingSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explain") / "x.db"
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 4, 1, "2026-01-01T10:00:00.000Z")
    store.close()
    return path


@pytest.fixture(scope="module")
def stay(mapping_set: MappingSet, db: Path) -> dict[str, Any]:
    store = SqliteStore.open(db, mapping_set.kinds, mapping_set.search.columns, read_only=True)
    record: dict[str, Any] = next(iter(store.scan("opphold")))
    store.close()
    return record


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["explain", *map(str, arguments)])


def test_every_leaf_is_printed_with_its_value_field_and_line(
    db: Path, stay: dict[str, Any], mapping_set: MappingSet
) -> None:
    told = run(f"Encounter/{stay['$key']}", "--db", db)
    assert told.exit_code == 0, told.stderr
    head, columns, *rows = told.stdout.splitlines()
    assert head == f"Encounter/{stay['$key']}: opphold by opphold-encounter 1.0.0"
    assert columns.split()[:3] == ["element", "value", "field"]
    entries = mapping_set.mappings["opphold-encounter"].explain(stay)
    assert [row.split()[0] for row in rows] == [entry.path for entry in entries]
    assert [row.split()[-1] for row in rows] == [entry.at for entry in entries]
    (start,) = [row.split() for row in rows if row.startswith("Encounter.period.start ")]
    assert start[2:5] == ["innDatoTid", stay["innDatoTid"], "mapped"]
    assert start[1].startswith(stay["innDatoTid"])


def test_one_element_is_explained_with_its_code_map(db: Path, stay: dict[str, Any]) -> None:
    told = run(f"Encounter/{stay['$key']}", "class", "--db", db)
    assert told.exit_code == 0
    rows = told.stdout.splitlines()[2:]
    assert {row.split()[0] for row in rows} == {f"Encounter.class.{name}" for name in ("system", "code", "display")}
    assert all("translated omsorgsniva-actcode|" in row for row in rows)


def test_an_element_that_is_not_there_ends_with_1_and_the_nearest(db: Path, stay: dict[str, Any]) -> None:
    told = run(f"Encounter/{stay['$key']}", "period.strat", "--db", db)
    assert (told.exit_code, told.stdout) == (1, "")
    assert "did you mean 'Encounter.period.start'?" in told.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("Encounter/there-is-none",), 1, "not-found"),
        (("Encuonter/1",), 2, "did you mean 'Encounter'?"),
        (("Encounter",), 2, "is no TYPE/ID"),
    ],
)
def test_a_resource_that_is_not_there_is_said_to_be_so(
    db: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    told = run(*arguments, "--db", db)
    assert (told.exit_code, told.stdout) == (code, "")
    assert words in told.stderr
    assert "Traceback" not in told.stderr


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    told = run("Encounter/1", "--db", tmp_path / "none.db")
    assert told.exit_code == 2
    assert not (tmp_path / "none.db").exists()


def test_it_explains_itself() -> None:
    assert "fhir-facade explain Encounter/" in run("--help").stdout
