"""The command `fhir-facade validate`: what it reads, how it tells, and how it ends."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import orjson
import pytest
from typer.testing import CliRunner, Result

from fhir_facade import Facade
from fhir_facade.cli import app
from fhir_facade.validation_reports import uri_of

NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
GOOD = {"resourceType": "Patient", "id": "p1", "gender": "female", "text": NARRATIVE}
WRONG = f'{{"resourceType": "Patient",\n  "id": "p2",\n  "gender": "x",\n  "text": {json.dumps(NARRATIVE)}}}'
MARKED = "http://nowhere.example/marked"

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good resource, a wrong one, lines of both and of no JSON, the same in gzip."""
    (tmp_path / "good.json").write_bytes(orjson.dumps(GOOD))
    (tmp_path / "wrong.json").write_text(WRONG)
    lines = b"\n".join(
        [orjson.dumps(GOOD), b"", orjson.dumps(orjson.loads(WRONG)), b'{"resourceType": ', orjson.dumps(GOOD)]
    )
    (tmp_path / "many.ndjson").write_bytes(lines)
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "many.ndjson.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "sub" / "package.json").write_text("{}")
    (tmp_path / "sub" / "notes.txt").write_text("no resource")
    return tmp_path


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in the folder."""
    monkeypatch.chdir(folder)

    def ran(*arguments: str, given: bytes | None = None) -> Result:
        return CliRunner().invoke(app, ["validate", *arguments], input=given)

    return ran


# ---- how it ends


def test_a_valid_file_ends_with_0_and_a_summary(run: Run) -> None:
    result = run("good.json")
    assert (result.exit_code, result.stdout) == (
        0,
        "1 file(s), 1 resource(s): 1 valid, 0 invalid; 0 error(s), 0 warning(s), 0 note(s)\n",
    )


def test_a_wrong_file_ends_with_1_and_says_where(run: Run) -> None:
    result = run("wrong.json")
    assert result.exit_code == 1
    first, *_, rule = result.stdout.splitlines()
    assert first.startswith("wrong.json:3:3: error code-not-in-binding Patient.gender: ")
    assert rule.split() == ["1", "code-not-in-binding"]


def test_what_cannot_be_read_ends_with_2_and_the_rest_is_judged(run: Run) -> None:
    result = run("absent.json", "wrong.json")
    assert result.exit_code == 2
    assert "absent.json" in result.stderr
    assert "wrong.json:3:3" in result.stdout


def test_text_that_is_no_json_is_invalid(run: Run, folder: Path) -> None:
    (folder / "broken.json").write_text('{"resourceType": "Patient",\n "id": }')
    result = run("broken.json")
    assert result.exit_code == 1
    assert result.stdout.startswith("broken.json:2:8: fatal json-not-json: ")


def test_a_damaged_archive_cannot_be_read(run: Run, folder: Path) -> None:
    whole = gzip.compress(b'{"resourceType": "Patient"}\n' * 1000)
    (folder / "cut.ndjson.gz").write_bytes(whole[: len(whole) // 2])
    result = run("cut.ndjson.gz")
    assert result.exit_code == 2
    assert "file-damaged" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("good.json", "--rules", "gender"),
        ("good.json", "--rules", "x=loud"),
        ("good.json", "--profile", "http://nowhere.example/p"),
        ("good.json", "--package", "absent.tgz"),
        ("good.json", "--format", "xml"),
        ("empty",),
        (),
    ],
)
def test_a_command_that_cannot_be_carried_out_ends_with_2(run: Run, folder: Path, arguments: tuple[str, ...]) -> None:
    (folder / "empty").mkdir()
    assert run(*arguments).exit_code == 2


# ---- what it reads


@pytest.mark.parametrize("file", ["many.ndjson", "sub/many.ndjson.gz"])
def test_lines_are_judged_each_with_its_number(run: Run, file: str) -> None:
    result = run(file)
    places = [line.partition(" ")[0] for line in result.stdout.splitlines() if line.startswith(file)]
    assert places == [f"{file}:3:37:", f"{file}:4:18:"]
    assert "4 resource(s): 2 valid, 2 invalid" in result.stdout


def test_a_folder_is_its_files_and_those_below(run: Run) -> None:
    result = run(".")
    assert "4 file(s), 10 resource(s): 5 valid, 5 invalid" in result.stdout


def test_standard_input_may_be_one_resource_or_lines(run: Run) -> None:
    assert run("-", given=WRONG.encode()).stdout.startswith("-:3:3: error")
    lines = orjson.dumps(GOOD) + b"\n" + orjson.dumps(orjson.loads(WRONG))
    assert run("-", given=lines).stdout.startswith("-:2:37: error")
    assert run("-", given=gzip.compress(lines)).stdout.startswith("-:2:37: error")
    assert run("-", given=b"").stdout.startswith("-:1:1: fatal json-not-json")


def test_a_bundle_is_judged_by_its_entries(run: Run, folder: Path) -> None:
    bundle = {
        "resourceType": "Bundle", "type": "collection",
        "entry": [{"fullUrl": "http://a.example/Patient/p2", "resource": orjson.loads(WRONG)}],
    }  # fmt: skip
    (folder / "bundle.json").write_text(json.dumps(bundle, indent=1))
    assert run("bundle.json").stdout.startswith(
        "bundle.json:10:5: error code-not-in-binding Bundle.entry[0].resource.gender: "
    )


def test_the_first_finding_comes_before_the_rest_is_sent() -> None:
    command = [sys.executable, "-m", "fhir_facade.cli", "validate", "-"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(orjson.dumps(orjson.loads(WRONG)) + b"\n")
        process.stdin.flush()
        assert process.stdout.readline().startswith(b"-:1:37: error")
        process.stdin.write(orjson.dumps(GOOD) + b"\n")
        process.stdin.close()
        assert b"2 resource(s)" in process.stdout.read()
    assert process.returncode == 1


# ---- options


def test_sentences_are_norwegian_when_asked_for(run: Run) -> None:
    assert "er ikke i verdisettet" in run("wrong.json", "--lang", "nb").stdout


def test_a_rule_is_turned_off_or_down(run: Run) -> None:
    assert run("wrong.json", "--rules", "code-not-in-binding=off").exit_code == 0
    result = run("wrong.json", "--rules", "code-not-in-binding=warning")
    assert result.exit_code == 0
    assert "wrong.json:3:3: warning code-not-in-binding" in result.stdout


def test_findings_are_told_from_a_level_and_all_are_counted(run: Run, folder: Path) -> None:
    (folder / "bare.json").write_text('{"resourceType": "Patient"}')
    assert run("bare.json").stdout.splitlines()[0].endswith("1 valid, 0 invalid; 0 error(s), 0 warning(s), 1 note(s)")
    assert "bare.json:1:1: information dom-6 Patient: " in run("bare.json", "--level", "information").stdout


def test_findings_of_one_resource_are_limited(run: Run, folder: Path) -> None:
    (folder / "wide.json").write_bytes(orjson.dumps(GOOD | {f"wrong{number}": 1 for number in range(20)}))
    lines = run("wide.json", "--limit", "3").stdout.splitlines()
    assert len([line for line in lines if " error " in line]) == 3
    assert any("issues-cut-off" in line for line in lines)


def put_package(folder: Path, name: str, **element: Any) -> str:
    """A package of one profile of Patient, which is demanded by its canonical."""
    profile = {
        "resourceType": "StructureDefinition", "url": MARKED, "name": "Marked", "status": "active", "kind": "resource",
        "abstract": False, "type": "Patient", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "derivation": "constraint",
        "differential": {"element": [{"id": "Patient.active", "path": "Patient.active", "min": 1} | element]},
    }  # fmt: skip
    (folder / name).mkdir()
    (folder / name / "marked.json").write_bytes(orjson.dumps(profile))
    return name


def test_a_profile_from_a_package_is_judged_by(run: Run, folder: Path) -> None:
    result = run("good.json", "--package", put_package(folder, "site"), "--profile", MARKED)
    assert result.exit_code == 1
    assert "good.json:1:1: error element-missing" in result.stdout
    assert f"[{MARKED}#Patient.active]" in result.stdout


# ---- settings, and the command line on top of them


def test_packages_of_the_settings_are_judged_by(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("good.json", "--profile", MARKED).exit_code == 2
    monkeypatch.setenv("FHIR_FACADE_PACKAGES", orjson.dumps([put_package(folder, "site")]).decode())
    result = run("good.json", "--profile", MARKED)
    assert result.exit_code == 1
    assert f"[{MARKED}#Patient.active]" in result.stdout


def test_packages_of_the_command_line_are_instead_of_those_of_the_settings(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    milder = put_package(folder, "milder", min=0)
    monkeypatch.setenv("FHIR_FACADE_PACKAGES", orjson.dumps([put_package(folder, "site")]).decode())
    assert run("good.json", "--package", milder, "--profile", MARKED).exit_code == 0


def test_a_package_of_the_settings_that_is_not_there_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FHIR_FACADE_PACKAGES", '["none.tgz"]')
    result = run("good.json")
    assert result.exit_code == 2
    assert "none.tgz: there is no such package" in result.stderr


def test_rules_of_the_settings_hold_until_the_command_line_says_otherwise(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "bare.json").write_text('{"resourceType": "Patient"}')
    monkeypatch.setenv("FHIR_FACADE_RULES", '{"code-not-in-binding": "off", "dom-6": "error"}')
    assert run("wrong.json").exit_code == 0
    assert "error dom-6" in run("bare.json").stdout
    result = run("wrong.json", "bare.json", "--rules", "code-not-in-binding=warning")
    assert "warning code-not-in-binding" in result.stdout
    assert "error dom-6" in result.stdout
    assert run("bare.json", "--rules", "dom-6=off").exit_code == 0


def test_what_a_profile_is_that_is_not_at_hand_is_a_setting(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "claims.json").write_bytes(orjson.dumps(GOOD | {"meta": {"profile": ["http://nowhere.example/p"]}}))
    assert run("claims.json").exit_code == 0
    assert "warning profile-unknown" in run("claims.json").stdout
    monkeypatch.setenv("FHIR_FACADE_UNKNOWN_PROFILE", "error")
    assert run("claims.json").exit_code == 1
    result = run("claims.json", "--rules", "profile-unknown=warning")
    assert result.exit_code == 0
    assert "warning profile-unknown" in result.stdout
    monkeypatch.setenv("FHIR_FACADE_UNKNOWN_PROFILE", "off")
    assert "profile-unknown" not in run("claims.json").stdout


# ---- forms for machines


def test_json_is_one_object_with_an_outcome_for_each_resource_with_findings(run: Run) -> None:
    result = run("good.json", "many.ndjson", "--format", "json")
    report = orjson.loads(result.stdout)
    assert [(each["file"], each["line"], each["valid"]) for each in report["results"]] == [
        ("many.ndjson", 3, False),
        ("many.ndjson", 4, False),
    ]
    assert all(each["outcome"]["resourceType"] == "OperationOutcome" for each in report["results"])
    assert report["summary"] == {
        "files": 2, "resources": 5, "valid": 3, "invalid": 2, "errors": 2, "warnings": 0, "information": 0,
        "rules": {"code-not-in-binding": 1, "json-not-json": 1},
    }  # fmt: skip
    assert "5 resource(s)" in result.stderr


def test_json_of_valid_files_is_json_too(run: Run) -> None:
    assert orjson.loads(run("good.json", "--format", "json").stdout)["results"] == []


def test_junit_is_xml_with_a_suite_for_each_file_and_a_case_for_each_resource(run: Run, folder: Path) -> None:
    (folder / "odd.json").write_text('{"resourceType": "Patient", "id": "<&\\"\\u0001\\ufffe"}')
    result = run("many.ndjson", "odd.json", "good.json", "--format", "junit")
    suites = ElementTree.fromstring(result.stdout.encode())
    assert suites.tag == "testsuites"
    assert [suite.attrib for suite in suites] == [
        {"name": "many.ndjson", "tests": "4", "failures": "1", "errors": "1", "skipped": "0"},
        {"name": "odd.json", "tests": "1", "failures": "1", "errors": "0", "skipped": "0"},
        {"name": "good.json", "tests": "1", "failures": "0", "errors": "0", "skipped": "0"},
    ]
    for suite in suites:
        assert {case.tag for case in suite} == {"testcase"}
        assert all(case.attrib.keys() == {"classname", "name"} for case in suite)
        for part in (part for case in suite for part in case):
            assert part.tag in {"failure", "error", "system-out"}
            assert part.tag == "system-out" or part.attrib.keys() == {"message", "type"}
    [failure] = suites.findall("testsuite[1]/testcase/failure")
    assert failure.attrib["type"] == "code-not-in-binding"
    assert (failure.text or "").startswith("many.ndjson:3:37: error")


def sarif_faults(log: dict[str, Any]) -> list[str]:
    """What breaks the rules of SARIF 2.1.0 that this report could break (sections 3.13 to 3.30)."""
    faults = []
    if log["version"] != "2.1.0" or log.keys() - {"$schema", "version", "runs"}:
        faults.append("log")
    for run in log["runs"]:
        if run.keys() - {"tool", "results", "columnKind", "properties"} or run["columnKind"] != "unicodeCodePoints":
            faults.append("run")
        driver = run["tool"]["driver"]
        rules = driver["rules"]
        if not driver["name"] or len({rule["id"] for rule in rules}) != len(rules):
            faults.append("driver")
        faults += [rule["id"] for rule in rules if not rule["shortDescription"]["text"]]
        for result in run["results"]:
            region = result["locations"][0]["physicalLocation"]["region"]
            if rules[result["ruleIndex"]]["id"] != result["ruleId"] or not result["message"]["text"]:
                faults.append("rule")
            if result["level"] not in ("none", "note", "warning", "error"):
                faults.append("level")
            if region["startLine"] < 1 or region["startColumn"] < 1:
                faults.append("region")
            if result["locations"][0].get("logicalLocations", [{"fullyQualifiedName": "x"}])[0].keys() - {
                "fullyQualifiedName", "kind",
            }:  # fmt: skip
                faults.append("logical")
    return faults


def test_sarif_keeps_to_its_form(run: Run) -> None:
    log = orjson.loads(run("many.ndjson", "wrong.json", "--format", "sarif").stdout)
    assert sarif_faults(log) == []
    [one] = log["runs"]
    assert [result["ruleId"] for result in one["results"]] == [
        "code-not-in-binding",
        "json-not-json",
        "code-not-in-binding",
    ]
    place = one["results"][2]["locations"][0]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": "wrong.json"}, "region": {"startLine": 3, "startColumn": 3},
    }  # fmt: skip
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "Patient.gender"
    assert sarif_faults(orjson.loads(run("good.json", "--format", "sarif").stdout)) == []


def test_a_file_is_a_uri_in_sarif() -> None:
    assert uri_of("a b/ø.json") == "a%20b/%C3%B8.json"
    assert uri_of("/a b.json") == "file:///a%20b.json"
    assert uri_of("-") == "stdin"


# ---- the library


def test_the_library_judges_a_dict_and_a_text() -> None:
    facade = Facade()
    assert facade.validate(GOOD).valid
    report = facade.validate(orjson.loads(WRONG))
    assert (report.valid, [issue.code for issue in report.issues]) == (False, ["code-not-in-binding"])
    assert [issue.code for issue in facade.validate(WRONG.encode()).issues] == ["code-not-in-binding"]
    assert [issue.code for issue in facade.validate(b"{").issues] == ["json-not-json"]
    twice = facade.validate(orjson.dumps(GOOD)[:-1] + b', "id": "p1"}')
    assert (twice.valid, [issue.code for issue in twice.issues], twice.count) == (False, ["json-duplicate-key"], 1)
    assert not facade.validate({"resourceType": "Patient"}, "http://hl7.org/fhir/StructureDefinition/Observation").valid
