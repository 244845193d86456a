"""What `fhir-facade check` tells: findings and warnings of mappings, of a site's changes and of npr-melding.yaml."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fhir_facade.cli import app
from fhir_facade.resources import data_root

SHIPPED = data_root("mappings")


def check(*arguments: object, env: dict[str, str] | None = None) -> tuple[int, list[str], str]:
    told = CliRunner().invoke(app, ["check", *map(str, arguments)], env=env)
    return told.exit_code, told.stdout.splitlines(), told.stderr.strip()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "mappings"))


def change(file: Path, old: str, new: str) -> int:
    """Change a file; the line where it was changed."""
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), "utf-8")
    return text.split(old)[0].count("\n") + 1


def test_a_warning_is_counted_and_ends_with_0(copy: Path) -> None:
    line = change(copy / "opphold.encounter.yaml", 'only: {typeEnhet: "7"}, ', "")
    code, lines, told = check(copy)
    assert (code, told) == (0, "")
    assert lines[0].startswith(f"opphold.encounter.yaml:{line}: warning: Encounter.serviceProvider holds one")
    assert lines[1].endswith(" record kinds: 1 warning(s)")
    change(copy / "opphold.encounter.yaml", "fhir: serviceType,", "fhir: serviceTyp,")
    code, lines, told = check(copy)
    assert (code, told) == (1, "1 finding(s), 1 warning(s)")
    assert len(lines) == 2


def test_the_message_file_is_checked_beside_the_mappings(copy: Path) -> None:
    line = change(copy / "npr-melding.yaml", "field: episodeGUID", "field: episodGUID")
    code, lines, told = check(copy)
    assert (code, told) == (1, "1 finding(s)")
    assert lines == [f"npr-melding.yaml:{line}: no field 'episodGUID' in a record kind 'opphold'"]
    change(copy / "opphold.encounter.yaml", "fhir: serviceType,", "fhir: serviceTyp,")
    assert len(check(copy)[1]) == 2
    line = change(copy / "records/opphold.yaml", "episodeGUID: {type: text", "episodeGUID: {type: txt")
    assert [found.split(" ")[0] for found in check(copy)[1]] == [f"opphold.yaml:{line}:"]


def test_a_site_is_checked_by_option_and_by_environment(tmp_path: Path) -> None:
    site = tmp_path / "nord"
    site.mkdir()
    (site / "a.yaml").write_text("extends: opphold-encounter\nversion: 1\nremove:\n  - serviceTyp\n", "utf-8")
    said = "nord/a.yaml:4: no row writes 'serviceTyp', so none can be removed (did you mean 'serviceType'?)"
    assert check("--site", site)[:2] == (1, [said])
    assert check(env={"FHIR_FACADE_SITE_MAPPINGS": str(site)})[:2] == (1, [said])
    assert check("--site", tmp_path / "none")[:2] == (
        1,
        [f"none:1: there is no folder {tmp_path}/none of site mappings"],
    )


def test_another_folder_is_told_to_be_none_of_mappings(tmp_path: Path) -> None:
    code, lines, _ = check(tmp_path)
    assert (code, lines) == (1, [f"systems.yaml:1: there is none in {tmp_path}, so it is no folder of mappings"])


def test_a_site_changes_what_map_prints(tmp_path: Path) -> None:
    site, record = tmp_path / "nord", tmp_path / "a.ndjson"
    site.mkdir()
    text = "extends: opphold-encounter\nversion: 1\nadd:\n  - {fhir: language, const: nb}\n"
    (site / "a.yaml").write_text(text, "utf-8")
    record.write_text('{"institusjonID": "1", "pasientNr": "2", "episodeID": "3", "omsorgsniva": "3"}\n', "utf-8")
    told = CliRunner().invoke(app, ["map", "opphold", str(record), "--site", str(site)])
    assert '"language":"nb"' in told.stdout
    assert '"language"' not in CliRunner().invoke(app, ["map", "opphold", str(record)]).stdout
