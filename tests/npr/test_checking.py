"""The rules over a message as it is read and over a store, and the command that prints what they find."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fhir_facade.cli import app
from fhir_facade.npr.shipped import shipped_rules
from fhir_facade.npr_checking import Checked, check_message, check_store
from fhir_facade.outcome import Refused
from fhir_facade.resources import data_root
from fhir_facade.store.records import SqliteStore
from tests.npr_sample import KINDS, TABLE
from tests.npr_stays import END, HEAD, MESSAGE, MIDNIGHT, PATIENT, STAY, TODAY
from tools.npr_graphs import graph


@pytest.fixture
def message(tmp_path: Path) -> Path:
    path = tmp_path / "message.xml"
    path.write_text(MESSAGE, "utf-8")
    return path


def judged(path: Path) -> list[Checked]:
    rules = shipped_rules(data_root("mappings") / "records")
    return list(check_message(path, TABLE, KINDS, rules, TODAY))


def findings(checked: list[Checked]) -> dict[str, tuple[str, int]]:
    """Rule → the kind and the line that it is broken at."""
    told = {}
    for each in checked:
        for verdict, line in each.verdicts:
            told.update({broken.rule.number: (verdict.kind, line) for broken in verdict.broken})
    return told


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["npr", "check", *map(str, arguments), "--on", TODAY])


def test_a_good_message_breaks_nothing(message: Path) -> None:
    checked = judged(message)
    assert findings(checked) == {}
    kinds = [verdict.kind for each in checked for verdict, _ in each.verdicts]
    assert sorted(set(kinds)) == [
        "enhet",
        "henvisning",
        "henvisningsperiode",
        "melding",
        "opphold",
        "pasient",
        "tilstand",
    ]
    unknown = {rule.number for each in checked for verdict, _ in each.verdicts for rule in verdict.unknown}
    assert {"NPR-011", "NPR-022", "NPR-029", "NPR-040"} <= unknown
    assert "NPR-001" not in unknown


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ('debitor="1"', 'debitor="999"', {"NPR-112": ("opphold", STAY)}),
        ("T09:10:00", "T00:00:00", {"NPR-102": ("opphold", STAY)}),
        ('kodeVerdi="F102"', 'kodeVerdi="F10.2"', {"NPR-164": ("tilstand", STAY + 3)}),
        ('reshID="4001"', "", {"NPR-009": ("opphold", STAY)}),
        ('typeKontaktperson="15"', 'typeKontaktperson="2"', {"NPR-004": ("melding", 2)}),
        (
            'uttakDato="2024-06-30"',
            'uttakDato="2024-02-01"',
            {"NPR-003": ("melding", 2), "NPR-106": ("opphold", STAY)},
        ),
        ('innmateHast="4" ', "", {"NPR-001": ("melding", 2)}),
        ('<Pasient pasientNr="1"', '<Pasient pasientNr="2"', {"NPR-021": ("melding", 2)}),
    ],
)
def test_a_fault_is_found_at_its_line(message: Path, before: str, after: str, told: dict[str, Any]) -> None:
    assert before in MESSAGE
    message.write_text(MESSAGE.replace(before, after), "utf-8")
    assert findings(judged(message)) == told


def test_what_is_no_message_is_refused(message: Path) -> None:
    message.write_text(MESSAGE[:-20], "utf-8")
    with pytest.raises(Refused):
        judged(message)


def test_memory_does_not_grow_with_the_message(tmp_path: Path) -> None:
    peaks = []
    for patients in (50, 800):
        path = tmp_path / f"{patients}.xml"
        path.write_text(HEAD + "".join(PATIENT.format(nr=n) for n in range(patients)) + END, "utf-8")
        rules = shipped_rules(data_root("mappings") / "records")
        sum(len(each.verdicts) for each in check_message(path, TABLE, KINDS, rules, TODAY))  # caches are filled
        tracemalloc.start()
        count = sum(len(each.verdicts) for each in check_message(path, TABLE, KINDS, rules, TODAY))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == patients * 5 + 4
    assert peaks[1] < peaks[0] * 2


def test_a_store_is_judged_as_the_graph_is(tmp_path: Path) -> None:
    """An envelope that is stored is of an earlier message: what came after it is not in the future."""
    change = {"opphold.0.innDatoTid": "2024-02-20T00:00:00", "henvisning.0.fristStartBehandling": "-"}
    change |= {"melding.0.uttakDato": "2024-02-01", "melding.0.tilDatoPeriode": "2024-01-31"}
    held = graph("phv", change)
    store = SqliteStore.open(tmp_path / "records.db", KINDS)
    with store.transaction() as writer:
        for kind in KINDS:
            records = [KINDS.complete(kind, record) for record in held.records.get(kind.name, [])]
            writer.merge(kind, records, "2024-06-30T00:00:00.000Z", supplied=None)
    rules = shipped_rules(data_root("mappings") / "records")
    checked = list(check_store(store, KINDS, rules, TODAY))
    store.close()
    assert set(findings(checked)) == {"NPR-102", "NPR-066"}
    unknown = {rule.number for each in checked for verdict, _ in each.verdicts for rule in verdict.unknown}
    assert "NPR-242" not in unknown  # the source does not tell of the form, but the stay is of another sector
    assert "NPR-125" in unknown


def test_the_command_prints_a_summary_and_each_finding(message: Path) -> None:
    assert run(message).exit_code == 0
    message.write_text(MIDNIGHT, "utf-8")
    result = run(message, "--lang", "nb")
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == "utfall: accepted"
    assert "  opphold: 1 accepted" in lines
    assert "  NPR-102 error             1  Start og slutt på et opphold står ikke klokken 00:00." in lines
    assert lines[-2].startswith(f"på linje {STAY}: opphold 993467049.1.E1: error NPR-102: ")


def test_the_command_writes_json_and_csv(message: Path) -> None:
    message.write_text(MIDNIGHT, "utf-8")
    told = json.loads(run(message, "--format", "json").stdout)
    assert told["verdict"] == "accepted"
    assert told["rules"] == {"NPR-102": 1}
    assert (told["sectors"], told["units"]) == ({"SOM": 1}, {"A": 1})
    assert [(row["rule"], row["line"], row["fields"]) for row in told["findings"]] == [
        ("NPR-102", STAY, ["innDatoTid", "utDatoTid"])
    ]
    rows = list(csv.DictReader(io.StringIO(run(message, "--format", "csv").stdout)))
    assert [(row["rule"], row["key"], row["sector"], row["unit"]) for row in rows] == [
        ("NPR-102", "993467049.1.E1", "SOM", "A")
    ]


def test_a_rule_is_switched_by_a_file(message: Path, tmp_path: Path) -> None:
    message.write_text(MIDNIGHT, "utf-8")
    site = tmp_path / "own.yaml"
    site.write_text("switch: {NPR-102: off}\n", "utf-8")
    assert run(message, "--rules", site).exit_code == 0
    site.write_text("switch: {NPR-1: off}\n", "utf-8")
    result = run(message, "--rules", site)
    assert result.exit_code == 2
    assert "own.yaml:1: there is no rule NPR-1" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name either a message or a database"),
        (["there-is-none.xml"], "there is no such file"),
    ],
)
def test_what_is_missing_is_told(arguments: list[str], told: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert told in result.stderr


def test_a_file_that_is_no_message_is_told(message: Path) -> None:
    message.write_text("<a/>", "utf-8")
    result = run(message)
    assert result.exit_code == 2
    assert "message-unknown" in result.stderr


def test_an_imported_edition_decides_on_the_day_the_stay_ends(
    message: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes, db = tmp_path / "icd.csv", tmp_path / "codes.db"
    codes.write_text("kode;navn\nF32.0;Mild depressiv episode\n", "utf-8")
    arguments = ["terminology", "import", str(codes), "--system", "icd-10", "--version", "2024", "--db", str(db)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    monkeypatch.setenv("FHIR_FACADE_TERMINOLOGY", str(db))
    assert json.loads(run(message, "--format", "json").stdout)["rules"] == {"NPR-165": 1}
    message.write_text(MESSAGE.replace("F102", "F320"), "utf-8")
    assert json.loads(run(message, "--format", "json").stdout)["rules"] == {}


def test_progress_is_shown_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    path = tmp_path / "message.xml"
    path.write_text(HEAD + "".join(PATIENT.format(nr=n) for n in range(40)) + END, "utf-8")
    shown = {}
    for where in ("terminal", "pipe"):
        ours, theirs = pty.openpty() if where == "terminal" else os.pipe()
        arguments = [sys.executable, "-m", "fhir_facade.cli", "npr", "check", str(path), "--on", TODAY]
        terminal = {**os.environ, "TERM": "xterm"}
        done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=theirs, env=terminal, check=True)
        os.write(theirs, b"END")
        shown[where] = os.read(ours, 1 << 16)
        os.close(ours)
        os.close(theirs)
        assert done.stdout.startswith(b"verdict: accepted")
        assert b"\x1b" not in done.stdout
    assert b"records" in shown["terminal"]
    assert shown["pipe"] == b"END"
