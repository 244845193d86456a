"""Which definition a canonical means: R4's, a package's, ours; newest first, versions honoured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_facade.definitions import definitions
from fhir_facade.packages.registry import load_packages, newness

NO_BASIS = "http://hl7.no/fhir/StructureDefinition/no-basis-Patient"
OFFICIAL = Path(__file__).parents[3] / "shared" / "reference" / "no-basis"


def profile(url: str, version: str = "1.0.0", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "StructureDefinition",
        "url": url,
        "version": version,
        "name": "P",
        "title": f"of {version}",
        "kind": "resource",
        "type": "Patient",
        "derivation": "constraint",
        "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "differential": {"element": [{"id": "Patient", "path": "Patient"}]},
    } | more


def package(folder: Path, *contents: dict[str, Any]) -> Path:
    folder.mkdir()
    (folder / "package.json").write_bytes(orjson.dumps({"name": folder.name, "version": "1.0.0"}))
    for number, content in enumerate(contents):
        (folder / f"{number}.json").write_bytes(orjson.dumps(content))
    return folder


def test_the_newest_version_is_meant_unless_one_is_named(tmp_path: Path) -> None:
    url = "http://test.no/p"
    found = load_packages([package(tmp_path / "a", profile(url, "1.9.0"), profile(url, "1.10.0"))])
    for asked, version in ((url, "1.10.0"), (f"{url}|1.9.0", "1.9.0"), (f"{url}|1.10.0", "1.10.0")):
        definition = found.find(asked)
        assert definition is not None and definition.version == version
    assert found.find(url) is found.find(url) is found.find(f"{url}|1.10.0")
    assert found.find(f"{url}|2.0.0") is None


@pytest.mark.parametrize("older, newer", [("1.9.0", "1.10.0"), ("1.0.0-test", "1.0.0"), ("2.0", "2.0.1"), ("", "0.1")])
def test_versions_sort_as_numbers(older: str, newer: str) -> None:
    assert newness(older) < newness(newer)


def test_a_package_replaces_ours_and_nobody_replaces_r4(tmp_path: Path) -> None:
    ours = load_packages().find(NO_BASIS)
    assert ours is not None and ours.origin == "fhir_facade"
    core = "http://hl7.org/fhir/StructureDefinition/Patient"
    loaded = load_packages([package(tmp_path / "a", profile(NO_BASIS), profile(core))])
    theirs, patient = loaded.find(NO_BASIS), loaded.find(core)
    assert theirs is not None and theirs.origin == "a@1.0.0/0.json"
    assert patient is not None and patient.origin == "hl7.fhir.r4.core"
    r4 = definitions().structure("Patient")
    assert r4 is not None
    assert len(patient.rows) == len(r4["snapshot"]["element"])
    replaced = [entry for entry in loaded.all() if entry.url == NO_BASIS]
    assert [(entry.origin, entry.replaced_by) for entry in replaced] == [("a@1.0.0", ""), ("fhir_facade", "a@1.0.0")]


def test_what_is_not_understood_is_told(tmp_path: Path) -> None:
    content = profile(
        "http://test.no/p",
        baseDefinition="http://test.no/base",
        differential={
            "element": [
                {
                    "id": "Patient.name",
                    "path": "Patient.name",
                    "slicing": {"discriminator": [{"type": "position", "path": "$this"}], "rules": "open"},
                },
                {
                    "id": "Patient.extension:x",
                    "path": "Patient.extension",
                    "sliceName": "x",
                    "type": [{"code": "Extension", "profile": ["http://test.no/x"]}],
                },
            ]
        },
    )
    entry = next(each for each in load_packages([package(tmp_path / "a", content)]).all() if each.origin == "a@1.0.0")
    assert entry.notes == (
        "its base http://test.no/base is not at hand",
        "Patient.extension:x: http://test.no/x is not at hand",
        "Patient.name: a discriminator of the type 'position' is not known",
    )


def test_of_our_own_definitions_nothing_is_missing() -> None:
    found = load_packages()
    assert not found.faults
    assert [(entry.url, entry.notes) for entry in found.all() if entry.notes] == []


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official packages lie beside the repository")
def test_the_official_package_loads_whole() -> None:
    found = load_packages([OFFICIAL / "hl7.fhir.no.basis-2.2.2"])
    kinds = [content["resourceType"] for _, content in found.loaded[0].resources]
    assert not found.loaded[0].faults
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "StructureDefinition": 35, "ValueSet": 7, "CodeSystem": 4, "NamingSystem": 8, "SearchParameter": 1,
        "ConceptMap": 1,
    }  # fmt: skip
