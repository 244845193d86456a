"""`fhir-facade profiles`: the list, what is told of packages, and our own as a package that can be loaded again."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from fhir_facade.cli import app
from fhir_facade.packages.registry import load_packages
from tests.packages.test_package_lists import COLOURS, WHOLE, code_system, value_set
from tests.packages.test_registry import NO_BASIS, package, profile


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["profiles", *map(str, arguments)])


def test_ours_are_listed() -> None:
    done = run("list")
    assert done.exit_code == 0
    assert "Encounter            http://fhir-facade.no/fhir/StructureDefinition/encounter-opphold" in done.stdout
    assert "note:" not in done.stdout


def test_packages_of_the_settings_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = package(tmp_path / "one", profile(NO_BASIS)), package(tmp_path / "other", profile(NO_BASIS))
    monkeypatch.setenv("FHIR_FACADE_PACKAGES", orjson.dumps([str(one)]).decode())
    assert f"{NO_BASIS}|1.0.0  one@1.0.0" in run("list").stdout
    asked = run("list", "--package", other).stdout
    assert f"{NO_BASIS}|1.0.0  other@1.0.0" in asked
    assert "one@1.0.0" not in asked
    monkeypatch.setenv("FHIR_FACADE_PACKAGES", '["none.tgz"]')
    done = run("list")
    assert done.exit_code == 2
    assert "none.tgz: there is no such package" in done.stderr


def test_a_package_is_listed_with_what_was_not_understood_and_why(tmp_path: Path) -> None:
    bound = {"id": "Patient.maritalStatus", "path": "Patient.maritalStatus"} | {
        "binding": {"strength": "required", "valueSet": "http://test.no/none"}
    }
    chosen = value_set("v", WHOLE | {"filter": [{"property": "a", "op": "=", "value": "b"}]})
    made = profile(NO_BASIS) | {"differential": {"element": [{"id": "Patient", "path": "Patient"}, bound]}}
    folder = package(tmp_path / "p", made, chosen, code_system(COLOURS, "red"))
    done = run("list", "--package", folder)
    assert done.exit_code == 0, done.output
    assert "p 1.0.0: 1 CodeSystem, 1 StructureDefinition, 1 ValueSet" in done.stdout
    assert "not used: http://test.no/fhir/ValueSet/v: it chooses codes by a filter" in done.stdout
    assert "bound (required) to http://test.no/none, which is not at hand: codes are not judged" in done.stdout
    assert f"{NO_BASIS}|1.0.0  p@1.0.0" in done.stdout
    assert "fhir_facade (replaced by p@1.0.0)" in done.stdout
    content = orjson.loads(run("list", "--package", folder, "--format", "json").stdout)
    assert content["packages"][0]["resources"] == {"CodeSystem": 1, "StructureDefinition": 1, "ValueSet": 1}
    (entry,) = [each for each in content["definitions"] if each["origin"] == "p@1.0.0"]
    assert "which is not at hand" in entry["notes"][0]


def test_a_file_that_cannot_be_read_is_told_and_the_rest_is_listed(tmp_path: Path) -> None:
    folder = package(tmp_path / "p", profile("http://test.no/p"))
    (folder / "broken.json").write_text('{"resourceType": ')
    done = run("list", "--package", folder)
    assert done.exit_code == 1
    assert "http://test.no/p" in done.stdout
    assert "p@1.0.0/broken.json:1: cannot be read as JSON" in done.output


def test_a_package_that_is_not_there_stops() -> None:
    done = run("list", "--package", "none.tgz")
    assert done.exit_code == 2
    assert "none.tgz: there is no such package" in done.output


def test_ours_as_a_package_can_be_loaded(tmp_path: Path) -> None:
    file = tmp_path / "ours.tgz"
    done = run("package", "--out", file)
    assert done.exit_code == 0, done.output
    packages = load_packages([file])
    assert packages.faults == []
    found = packages.find("http://fhir-facade.no/fhir/StructureDefinition/encounter-opphold")
    assert found is not None and found.origin.startswith("no.fhir-facade.profiles@")
