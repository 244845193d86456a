"""Faults seeded at known places: every rule finds its own, and no other finds anything."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from typer.testing import CliRunner, Result

from fhir_facade.cli import app
from fhir_facade.mapping.findings import MappingError
from fhir_facade.npr.faults import load_faults
from fhir_facade.npr.rules import RuleSet
from fhir_facade.npr.shipped import shipped_faults, shipped_rules
from fhir_facade.npr_confusion import Confusion, against
from fhir_facade.npr_folder import check_folder
from fhir_facade.npr_seeding import Seeded, write_seeded
from fhir_facade.outcome import Refused
from fhir_facade.resources import data_root
from tests.npr_sample import KINDS, TABLE

PATIENTS = int(os.environ.get("FHIR_FACADE_FAULT_PATIENTS", "600"))
EACH = max(PATIENTS // 1000, 1)
RECORDS = data_root("mappings") / "records"
RULES = shipped_rules(RECORDS)
FAULTS = shipped_faults(RULES)


class Case(NamedTuple):
    """A folder of seeded records, and what was put there."""

    folder: Path
    seeded: Seeded

    @property
    def manifest(self) -> Path:
        return self.folder / "manifest.ndjson"


def seed(folder: Path, patients: int, number: int, chosen: frozenset[str], each: int = 1) -> Case:
    return Case(folder, write_seeded(folder, patients, number, TABLE, RULES, FAULTS, chosen, each))


def judged(case: Case, rules: RuleSet = RULES) -> Confusion:
    confusion, day = against(case.manifest, rules)
    assert day is not None
    for checked in check_folder(case.folder, TABLE, KINDS, rules, day):
        confusion.add(checked)
    return confusion


def lines(path: Path) -> list[dict[str, Any]]:
    return [orjson.loads(text) for text in path.read_bytes().splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))


def site_rules(tmp_path: Path, text: str) -> RuleSet:
    file = tmp_path / "own.yaml"
    file.write_text(text, "utf-8")
    return shipped_rules(RECORDS, file)


@pytest.fixture
def midnight(tmp_path: Path) -> Case:
    """Two contacts at midnight, and two a minute after, which is right."""
    case = seed(tmp_path / "records", 40, 7, frozenset({"NPR-102"}), each=2)
    assert case.seeded.planted == {"NPR-102": 4}
    return case


def test_every_rule_finds_its_faults_and_no_other_finds_any(tmp_path: Path) -> None:
    number = random.randrange(1 << 30)
    print("seed", number)
    case = seed(tmp_path / "records", PATIENTS, number, frozenset(row.rule for row in FAULTS), EACH)
    confusion = judged(case)
    assert confusion.missed == []
    assert confusion.unexpected == []
    assert confusion.is_whole
    *rows, whole = confusion.table()
    assert (whole.recall, whole.precision, whole.otherwise) == (1, 1, 0)
    assert whole.found > 200 * EACH
    found = {row.rule for row in rows if row.found}
    assert {row.rule for row in FAULTS} - found <= case.seeded.lacking.keys()
    assert len(case.seeded.lacking) <= 4  # rare places, among so few patients


def test_of_every_rule_a_fault_is_seeded_or_it_is_said_why_not() -> None:
    seeded = {row.rule for row in FAULTS if row.finds}
    assert {rule.number for rule in RULES} - seeded == FAULTS.unseeded.keys()
    assert len(FAULTS.unseeded) == 1


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    chosen = frozenset({"NPR-012", "NPR-021", "NPR-060", "NPR-102"})
    one, two = (seed(tmp_path / name, 30, 5, chosen) for name in ("one", "two"))
    files = sorted(path.relative_to(one.folder) for path in one.folder.rglob("*") if path.is_file())
    assert [str(path) for path in files if path.suffix == ".xml" or path.parent.name == "earlier"] != []
    assert [(one.folder / path).read_bytes() for path in files] == [(two.folder / path).read_bytes() for path in files]


def test_the_manifest_tells_what_was_changed(midnight: Case) -> None:
    rows = lines(midnight.manifest)
    assert sorted(row["expected"] for row in rows) == [False, False, True, True]
    row = next(row for row in rows if row["expected"])
    (change,) = row["changes"]
    record = next(
        each for each in lines(midnight.folder / "opphold.ndjson") if each["episodeID"] == row["record"]["episodeID"]
    )
    assert (row["rule"], row["kind"], row["severity"], row["consequence"]) == ("NPR-102", "opphold", "error", "none")
    assert (change["field"], change["after"]) == ("innDatoTid", record["innDatoTid"])
    assert change["before"] != change["after"]
    assert change["after"].endswith("T00:00:00")


def test_a_rule_that_is_off_misses(midnight: Case, tmp_path: Path) -> None:
    confusion = judged(midnight, site_rules(tmp_path, "switch: {NPR-102: off}\n"))
    assert [place.rule for place in confusion.missed] == ["NPR-102", "NPR-102"]
    assert confusion.table()[-1].recall == 0
    assert not confusion.is_whole


@pytest.mark.parametrize(("severity", "whole"), [("error", False), ("warning", True)])
def test_a_rule_that_is_too_strict_gives_false_alarms(
    midnight: Case, tmp_path: Path, severity: str, whole: bool
) -> None:
    text = f"""\
rules:
  - {{number: SITE-1, type: R, record: pasient, require: kjonn = '1', consequence: none, severity: {severity},
      status: inferred, en: All are men., nb: Alle er menn., remedy: {{en: None., nb: Ingen.}}}}
"""
    confusion = judged(midnight, site_rules(tmp_path, text))
    assert confusion.is_whole is whole
    row = next(row for row in confusion.table() if row.rule == "SITE-1")
    assert (row.found, row.precision, row.recall) == (0, 0, None)
    assert row.unexpected == sum(each["kjonn"] == "2" for each in lines(midnight.folder / "pasient.ndjson"))


def test_a_seeding_that_is_undone_is_missed(midnight: Case) -> None:
    row = next(row for row in lines(midnight.manifest) if row["expected"])
    path = midnight.folder / "opphold.ndjson"
    records = lines(path)
    for record in records:
        if record["episodeID"] == row["record"]["episodeID"]:
            record["innDatoTid"] = row["changes"][0]["before"]
    write(path, records)
    assert [(place.rule, place.key) for place in judged(midnight).missed] == [("NPR-102", row["key"])]


def test_a_fault_that_the_manifest_lacks_is_a_false_alarm(midnight: Case) -> None:
    first, *rest = sorted(lines(midnight.manifest), key=lambda row: not row["expected"])
    write(midnight.manifest, rest)
    confusion = judged(midnight)
    assert [(place.rule, place.key) for place in confusion.unexpected] == [("NPR-102", first["key"])]
    assert not confusion.is_whole


def test_another_consequence_is_told(midnight: Case) -> None:
    rows = lines(midnight.manifest)
    for row in rows:
        row["consequence"] = "drop-row"
    write(midnight.manifest, rows)
    confusion = judged(midnight)
    assert confusion.table()[-1].otherwise == 2
    assert not confusion.is_whole


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("{rule: NPR-999, record: opphold}", "there is no rule NPR-999"),
        ("{rule: NPR-102, record: stay}", "the record files has no 'stay'"),
        ("{rule: NPR-102, record: opphold, sett: {}}", "there is no 'sett' here (did you mean 'set'?)"),
        (
            "{rule: NPR-102, record: opphold, set: {innDato: x}}",
            "opphold has no 'innDato' (did you mean 'innDatoTid'?)",
        ),
        ("{rule: NPR-102, record: opphold, where: innDato = 1}", "opphold has no 'innDato'"),
        ("{rule: NPR-102, record: opphold, set: {innDatoTid: = innDatoTid + 1 dayz}}", "'dayz' is no span of time"),
        ("{rule: NPR-010, record: enhet, set: {navn: x}}", "enhet is everybody's: copy it instead"),
        ("{rule: NPR-102, record: opphold, remove: debitor}", "records are expected"),
        ("{rule: NPR-102, record: opphold, add: x}", "there is no record kind or list 'x'"),
    ],
)
def test_a_row_that_is_wrong_is_told_with_its_line(tmp_path: Path, row: str, told: str) -> None:
    file = tmp_path / "faults.yaml"
    unseeded = ", ".join(f"{rule.number}: x" for rule in RULES)
    file.write_text(f"unseeded: {{{unseeded}}}\nfaults:\n  - {row}\n", "utf-8")
    with pytest.raises(MappingError) as raised:
        load_faults(file, RULES)
    assert [f"{each.file}:{each.line}" for each in raised.value.findings] == ["faults.yaml:3"]
    assert told in str(raised.value.findings[0])


def test_the_row_in_the_document_loads(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "npr-rules.md").read_text("utf-8")
    row = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)[-1]
    unseeded = ", ".join(f"{rule.number}: x" for rule in RULES)
    file = tmp_path / "faults.yaml"
    file.write_text(f"unseeded: {{{unseeded}}}\nfaults:\n{row}", "utf-8")
    (fault,) = load_faults(file, RULES)
    assert fault.rule == "NPR-107"


def test_a_rule_that_nothing_is_said_of_is_told(tmp_path: Path) -> None:
    file = tmp_path / "faults.yaml"
    file.write_text("faults: []\n", "utf-8")
    with pytest.raises(MappingError) as raised:
        load_faults(file, RULES)
    assert len(raised.value.findings) == len(RULES.rules)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("stay.ndjson", "{}", "stay.ndjson"),
        ("pasient.ndjson", "{", "pasient.ndjson: line 1"),
        ("pasient.ndjson", "[]", "pasient.ndjson: line 1"),
        ("pasient.ndjson", '\n{"kjønn": "1"}', "pasient.ndjson: line 2: field-unknown"),
        ("pasient.ndjson", '{"kjonn": 1}', "field-type"),
        ("pasient.ndjson", '{"adresser": {}}', "field-type"),
        ("pasient.ndjson", '{"adresser": [{"nr": "1"}]}', "field-type"),
    ],
)
def test_a_folder_with_what_is_no_record_is_refused(tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text + "\n", "utf-8")
    with pytest.raises(Refused) as raised:
        list(check_folder(tmp_path, TABLE, KINDS, RULES, "2024-06-30"))
    assert told in str(raised.value)


def test_an_empty_folder_is_no_folder_of_records(tmp_path: Path) -> None:
    checked = run("npr", "check", tmp_path)
    assert (checked.exit_code, "there are neither records" in checked.stderr) == (2, True)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_the_commands_seed_and_print_the_table(tmp_path: Path) -> None:
    folder = tmp_path / "records"
    made = run("synth", "--patients", "40", "--out", folder, "--faults", "NPR-102,NPR-257,NPR-021", "--each", "1")
    assert made.exit_code == 0
    assert "40 patients with 3 faults of 2 rules written to" in made.stderr
    assert "no fault of NPR-257: the table" in made.stderr
    checked = run("npr", "check", folder, "--against", folder / "manifest.ndjson")
    assert checked.exit_code == 0
    head, *rows = checked.stdout.splitlines()
    assert head.split() == [
        "rule", "severity", "expected", "found", "missed", "unexpected", "otherwise", "spared", "recall", "precision",
    ]  # fmt: skip
    assert rows[1].split() == ["NPR-102", "error", "1", "1", "0", "0", "0", "1", "100.00", "%", "100.00", "%"]
    as_csv = run("npr", "check", folder, "--against", folder / "manifest.ndjson", "--format", "csv")
    assert [row["rule"] for row in csv.DictReader(io.StringIO(as_csv.stdout))][:2] == ["NPR-021", "NPR-102"]
    (folder / "manifest.ndjson").write_text("", "utf-8")
    alone = run(
        "npr", "check", folder, "--against", folder / "manifest.ndjson", "--on", "2025-06-30", "--format", "json"
    )
    assert alone.exit_code == 1
    told = json.loads(alone.stdout)
    assert (told["whole"], {place["rule"] for place in told["unexpected"]}) == (False, {"NPR-021", "NPR-102"})


@pytest.mark.parametrize(
    ("faults", "code", "told"),
    [
        ("NPR-1O2", 2, "--faults: there is no rule NPR-1O2 (did you mean"),
        ("NPR-001,NPR-210", 1, "NPR-210 (1); more patients"),
    ],
)
def test_what_cannot_be_seeded_is_told(tmp_path: Path, faults: str, code: int, told: str) -> None:
    made = run("synth", "--patients", "3", "--out", tmp_path / "x", "--faults", faults)
    assert (made.exit_code, told in made.stderr) == (code, True)


def test_records_that_are_there_are_not_mixed_with_faulty_ones(tmp_path: Path) -> None:
    (tmp_path / "pasient.ndjson").write_text("", "utf-8")
    made = run("synth", "--patients", "3", "--out", tmp_path, "--faults", "error")
    assert (made.exit_code, "is not empty" in made.stderr) == (2, True)


@pytest.mark.parametrize(("text", "told"), [("{", "line-not-json"), ('{"rule": "NPR-102"}', "'fault' is missing")])
def test_a_manifest_that_cannot_be_read_is_told(midnight: Case, text: str, told: str) -> None:
    midnight.manifest.write_text(text + "\n", "utf-8")
    made = run("npr", "check", midnight.folder, "--against", midnight.manifest)
    assert (made.exit_code, told in made.stderr) == (2, True)
