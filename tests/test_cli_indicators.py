"""The command that counts indicators: table, chart, JSON, CSV, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fhir_facade.app import build_app
from fhir_facade.cli import app
from fhir_facade.indicator_reports import bar
from fhir_facade.mapping.findings import MappingError
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.npr.shipped import shipped_indicators
from fhir_facade.resources import data_root
from fhir_facade.settings import Settings
from fhir_facade.store.location import Location
from fhir_facade.store.records import SqliteStore
from fhir_facade.yaml_text import parse
from tests.npr_indicators import example, fill
from tests.npr_sample import KINDS

LETTER = "rbf-discharge-letter-1-day"
YEAR = ("--year", "2024")


@pytest.fixture(scope="module")
def db(mapping_set: MappingSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("indicators") / "records.db"
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    fill(store, LETTER)
    store.close()
    return path


def run(db: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["indicators", "--db", str(db), *map(str, arguments)])


def told(db: Path, *arguments: str | Path) -> Any:
    result = run(db, *arguments, "--format", "json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_command_prints_a_table_and_a_chart(db: Path) -> None:
    lines = run(db, *YEAR, "--by", "unit", "--only", LETTER).stdout.splitlines()
    assert lines[0] == "2024-01-01 - 2024-12-31"
    assert lines[2].split() == [
        "indicator", "status", "population", "denominator", "excluded", "numerator", "not", "known", "score",
    ]  # fmt: skip
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines[3:6]]
    assert rows == [
        ["Discharge letter within one day", "inferred", "13", "13", "4", "5", "1", "55.6 %"],
        ["Avdeling 1", "6", "6", "2", "4", "1", "100.0 %"],
        ["Avdeling 2", "7", "7", "2", "1", "20.0 %"],
    ]
    assert [re.split(r"\s{2,}", line.strip()) for line in lines[7:10]] == [
        ["Discharge letter within one day", "55.6 %", bar(5 / 9), "(goal 70 %)"],
        ["Avdeling 1", "100.0 %", bar(1)],
        ["Avdeling 2", "20.0 %", bar(1 / 5)],
    ]
    assert lines[11].startswith(f"{LETTER}: Whether calendar or working days")


def test_it_speaks_norwegian_and_names_what_is_off(db: Path) -> None:
    shown = run(db, *YEAR, "--lang", "nb").stdout
    assert "Epikrise innen én dag" in shown
    assert "utledet" in shown
    assert "rbf-act-fact: av; Indikatoren bygger på" in shown


def test_json_and_csv_say_the_same(db: Path) -> None:
    whole = told(db, *YEAR, "--by", "unit")
    (row,) = [each for each in whole["indicators"] if each["id"] == LETTER]
    assert row["counts"] == {name: int(count) for name, count in example(LETTER)["counts"].items()}
    assert row["unknown"] == {"denominator-exclusion": 1}
    assert row["score"] == 5 / 9
    assert [each["name"] for each in row["groups"]] == ["Avdeling 1", "Avdeling 2"]
    assert "rbf-act-fact" in whole["off"]
    printed = run(db, *YEAR, "--by", "unit", "--format", "csv").stdout
    rows = [each for each in csv.DictReader(io.StringIO(printed)) if each["indicator"] == LETTER]
    assert [(each["name"], each["numerator"], each["unknown"]) for each in rows] == [
        ("", "5", "1"), ("Avdeling 1", "4", "1"), ("Avdeling 2", "1", "0"),
    ]  # fmt: skip
    assert float(rows[0]["score"]) == 5 / 9


def test_a_period_may_be_any_days(db: Path) -> None:
    whole = told(db, "--from", "2024-12-31", "--to", "2025-01-01", "--only", LETTER)
    assert whole["period"] == {"first": "2024-12-31", "last": "2025-01-01"}
    assert whole["indicators"][0]["counts"]["initial-population"] == 2
    assert "its definition is of 2015-01-01 - 2024-12-31" in run(db, "--year", "2025", "--only", LETTER).stdout


def test_drafts_are_counted_when_they_are_asked_for(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draft = "rbf-discharge-letter-1-working-day"
    assert draft not in [each["id"] for each in told(db, *YEAR)["indicators"]]
    for whole in (told(db, *YEAR, "--drafts"), told(db, *YEAR, "--drafts", "--only", draft)):
        assert [each["score"] for each in whole["indicators"] if each["id"] == draft] == [7 / 9]
    monkeypatch.setenv("FHIR_FACADE_DRAFT_INDICATORS", "true")
    assert draft in [each["id"] for each in told(db, *YEAR)["indicators"]]


def test_the_example_of_the_documentation_works(db: Path, tmp_path: Path) -> None:
    text = (data_root("profiles").parent / "docs" / "indicators.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    own = tmp_path / "own.yaml"
    own.write_text(block, "utf-8")
    assert parse(block, "own.yaml")["switch"] == {"rbf-cooperation-somatic": "on", "rbf-team-follow-up": "off"}
    whole = told(db, *YEAR, "--indicators", own, "--by", "debitor")
    by_id = {each["id"]: each for each in whole["indicators"]}
    assert by_id["site-length-of-stay"]["score"] == 62
    assert [each["key"] for each in by_id["site-length-of-stay"]["groups"]] == ["1"]
    assert {"rbf-cooperation-somatic"} <= by_id.keys()
    assert "rbf-team-follow-up" not in by_id
    shown = run(db, *YEAR, "--indicators", own, "--only", "site-length-of-stay").stdout
    assert "62.00 d" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name either a year or days"),
        (("--year", "2024", "--from", "2024-01-01"), "name either a year or days"),
        (("--year", "24"), "a year is expected"),
        (("--from", "2024-01-01"), "--to : a date is expected"),
        (("--from", "2024-02-30", "--to", "2024-03-01"), "--from 2024-02-30: a date is expected"),
        (("--from", "2024-03-01", "--to", "2024-02-01"), "is after --to"),
        (("--year", "2024", "--by", "units"), "--by units: nothing is parted so; known: unit, site, sector"),
        (("--year", "2024", "--only", "rbf-video"), "there is no indicator rbf-video"),
        (("--year", "2024", "--only", "rbf-act-fact"), "documented only"),
        (("--year", "2024", "--only", "rbf-cooperation-somatic"), "--drafts counts it"),
        (("--year", "2024", "--indicators", "none.yaml"), "none.yaml"),
    ],
)
def test_what_cannot_be_counted_ends_with_2(db: Path, arguments: tuple[str, ...], said: str) -> None:
    result = run(db, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_wrong_row_ends_with_2_and_its_line(db: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("indicators:\n  - id: site-a\n    verson: 1\n", "utf-8")
    result = run(db, *YEAR, "--indicators", own)
    assert result.exit_code == 2
    assert "own.yaml:3: an indicator has no 'verson' (did you mean 'version'?)" in result.stderr


def test_a_wrong_row_stops_the_start_of_a_server(db: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("switch: {rbf-none: off}\n", "utf-8")
    with pytest.raises(MappingError, match=r"own\.yaml:1: there is no indicator rbf-none"):
        build_app(Settings(database=Location(db), indicators=own))


def test_a_database_that_is_not_there_is_told_and_not_made(tmp_path: Path) -> None:
    result = run(tmp_path / "none.db", *YEAR)
    assert result.exit_code == 2
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize(
    ("share", "blocks", "plain"), [(0, "", ""), (1, "█" * 40, "#" * 40), (0.5, "█" * 20, "#" * 20), (1e-9, "▏", "#")]
)
def test_a_bar_is_as_long_as_its_share(share: float, blocks: str, plain: str) -> None:
    assert (bar(share), bar(share, blocks=False)) == (blocks, plain)


def test_the_documentation_names_every_scoring_and_key() -> None:
    from fhir_facade.npr.indicators import MAY, MUST, POPULATIONS, SCORINGS

    text = (data_root("profiles").parent / "docs" / "indicators.md").read_text("utf-8")
    for word in (*SCORINGS, *POPULATIONS, *MUST, *MAY):
        assert f"`{word}`" in text, word
    generated = (data_root("profiles").parent / "docs" / "rbf-indicators.md").read_text("utf-8")
    for each in shipped_indicators(KINDS):
        assert f"## {each.id}\n" in generated
