"""`npr write`: what the registry would refuse is not written, or marked; what is written passes our own check."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from fhir_facade.cli import app
from tests.npr_sample import IDE
from tests.npr_stays import END, HEAD, MESSAGE, PATIENT, TODAY

WARD = '<RefEnhet enhetID="A" typeEnhet="7"/>'
REFUSED = MESSAGE.replace('debitor="1"', 'debitor="999"')


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["npr", *map(str, arguments), "--on", TODAY])


def loaded(folder: Path, text: str = MESSAGE) -> Path:
    """A database with a message in it."""
    (folder / "in.xml").write_text(text, "utf-8")
    result = CliRunner().invoke(app, ["load", str(folder / "in.xml"), "--db", str(folder / "x.db")])
    assert result.exit_code == 0, result.output
    return folder / "x.db"


def left(folder: Path) -> set[str]:
    """The files that were made beside the database."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(("x.db", "in.xml"))}


@pytest.mark.parametrize(("module", "text"), [("ord", MESSAGE), ("ide", IDE)])
def test_what_is_written_passes_the_check(tmp_path: Path, module: str, text: str) -> None:
    db, out = loaded(tmp_path, text), tmp_path / "out.xml"
    written = run("write", "--out", out, "--db", db, "--module", module)
    assert (written.exit_code, written.output) == (0, "")
    assert left(tmp_path) == {"out.xml"}
    told = json.loads(run("check", out, "--format", "json").stdout)
    assert told["verdict"] == "accepted"
    assert told["faultCount"] == 0


def test_a_finding_that_loses_nothing_refuses_nothing(tmp_path: Path) -> None:
    db = loaded(tmp_path, MESSAGE.replace("T09:10:00", "T00:00:00"))
    assert run("write", "--out", tmp_path / "out.xml", "--db", db).exit_code == 0
    assert json.loads(run("check", tmp_path / "out.xml", "--format", "json").stdout)["rules"] == {"NPR-102": 1}


@pytest.mark.parametrize(
    ("text", "rule", "verdict", "element"),
    [
        (REFUSED, "NPR-112", "row-dropped", "<Episode "),
        (MESSAGE.replace(f"{WARD}</Henvisning>", "</Henvisning>"), "NPR-084", "message-rejected", "<Henvisning "),
    ],
)
def test_what_would_be_refused_is_not_written(tmp_path: Path, text: str, rule: str, verdict: str, element: str) -> None:
    db, out = loaded(tmp_path, text), tmp_path / "out.xml"
    out.write_text("what was there")
    refused = run("write", "--out", out, "--db", db)
    assert refused.exit_code == 1
    assert out.read_text() == "what was there"
    assert left(tmp_path) == {"out.xml"}
    assert rule in refused.stderr
    assert f"{verdict}: nothing is written; --force writes it as it is" in refused.stderr

    forced = run("write", "--out", out, "--db", db, "--force")
    assert forced.exit_code == 1
    assert f"{verdict}: written all the same" in forced.stderr
    assert left(tmp_path) == {"out.xml", "out.xml.findings.json"}
    told = json.loads((tmp_path / "out.xml.findings.json").read_bytes())
    again = json.loads(run("check", out, "--format", "json").stdout)
    assert told == again
    assert told["verdict"] == verdict
    lines = out.read_text("utf-8").splitlines()
    [finding] = [row for row in told["findings"] if row["rule"] == rule]
    assert element in lines[finding["line"] - 1]


def test_only_what_refuses_is_told(tmp_path: Path) -> None:
    db = loaded(tmp_path, REFUSED.replace("T09:10:00", "T00:00:00"))
    told = run("write", "--out", tmp_path / "out.xml", "--db", db, "--lang", "nb").stderr
    assert "NPR-112" in told
    assert "NPR-102" not in told
    assert "på linje" in told


def test_the_findings_that_are_told_have_an_end(tmp_path: Path) -> None:
    many = "".join(PATIENT.format(nr=n) for n in range(70))
    db = loaded(tmp_path, HEAD + many.replace('debitor="1"', 'debitor="999"') + END)
    told = run("write", "--out", tmp_path / "out.xml", "--db", db).stderr.splitlines()
    assert sum("NPR-112" in line for line in told) == 50
    assert told[-2] == "20 more are left out here"


def test_standard_output_gets_the_whole_message_or_nothing(tmp_path: Path) -> None:
    db = loaded(tmp_path, REFUSED)
    refused = run("write", "--out", "-", "--db", db)
    assert (refused.exit_code, refused.stdout) == (1, "")
    forced = run("write", "--out", "-", "--db", db, "--force")
    assert (forced.exit_code, forced.stdout.count('debitor="999"')) == (1, 1)
    assert left(tmp_path) == set()


def test_a_rule_that_is_switched_off_refuses_nothing(tmp_path: Path) -> None:
    db, site = loaded(tmp_path, REFUSED), tmp_path / "in.xml.yaml"
    site.write_text("switch: {NPR-112: off}\n", "utf-8")
    written = run("write", "--out", "-", "--db", db, "--rules", site)
    assert (written.exit_code, written.stdout.count("<Episode ")) == (0, 1)


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    result = run("write", "--out", tmp_path / "none" / "out.xml", "--db", loaded(tmp_path))
    assert result.exit_code == 2
    assert os.strerror(2) in result.stderr
