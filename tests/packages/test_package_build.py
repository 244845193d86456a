"""The package of our profiles: installable, whole, the same bytes each time, with snapshots as R4 demands them."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from fhir.resources.R4B.codesystem import CodeSystem
from fhir.resources.R4B.structuredefinition import StructureDefinition
from fhir.resources.R4B.valueset import ValueSet

from fhir_facade.definitions import definitions
from fhir_facade.packages.elements import Definition
from fhir_facade.packages.own import EXAMPLES
from fhir_facade.packages.own_snapshots import snapshot
from fhir_facade.packages.package_build import build_package, package_files
from fhir_facade.packages.registry import load_packages
from fhir_facade.profile.validator import Validator
from fhir_facade.resources import data_root
from fhir_facade.terminology import shipped
from fhir_facade.terminology.catalogue import Catalogue

SHIPPED = data_root("profiles") / "structure-definitions"
OFFICIAL = Path(__file__).resolve().parents[3] / "shared" / "reference" / "no-basis" / "hl7.fhir.no.basis-2.2.2"
CLASSES = {"StructureDefinition": StructureDefinition, "CodeSystem": CodeSystem, "ValueSet": ValueSet}
CORE = "http://hl7.org/fhir/StructureDefinition/"
HEAD = ("package.json", ".index.json")


@cache
def files(*, self_contained: bool = False) -> Mapping[str, bytes]:
    return package_files(SHIPPED, Catalogue(), self_contained=self_contained)


@cache
def resources(*, self_contained: bool = False) -> list[dict[str, Any]]:
    content = files(self_contained=self_contained)
    return [orjson.loads(each) for name, each in content.items() if name not in HEAD and "/" not in name]


def profiles(*, self_contained: bool = False) -> list[dict[str, Any]]:
    found = resources(self_contained=self_contained)
    return [each for each in found if each["resourceType"] == "StructureDefinition"]


def elements(content: Mapping[str, Any], part: str = "snapshot") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = content[part]["element"]
    return found


def test_the_archive_is_a_package() -> None:
    """package.json with name and R4, .index.json with every file, all below package/, the same bytes each time."""
    built = build_package(SHIPPED)
    assert built == build_package(SHIPPED)
    with tarfile.open(fileobj=io.BytesIO(built)) as archive:
        assert {each.mtime for each in archive} == {0}
        unpacked = {each.name: archive.extractfile(each).read() for each in archive}  # type: ignore[union-attr]
    assert unpacked == {f"package/{name}": content for name, content in files().items()}
    manifest = orjson.loads(files()["package.json"])
    assert re.fullmatch(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)+", manifest["name"])
    assert manifest["fhirVersions"] == ["4.0.1"]
    assert manifest["dependencies"]["hl7.fhir.r4.core"] == "4.0.1"
    index = orjson.loads(files()[".index.json"])["files"]
    assert [each["filename"] for each in index] == sorted(
        name for name in files() if name not in HEAD and "/" not in name
    )
    for row, content in zip(index, resources(), strict=True):
        assert row == {key: content[key] for key in row if key != "filename"} | {"filename": row["filename"]}
        assert row["filename"] == f"{content['resourceType']}-{content['id']}.json"


@pytest.mark.parametrize("self_contained", [False, True])
def test_examples_stand_in_a_folder_of_their_own(self_contained: bool) -> None:
    """Every passing example of what is in the package, and none of what is not; each found in the folder's index."""
    content = files(self_contained=self_contained)
    found = {name: orjson.loads(each) for name, each in content.items() if name.startswith("example/")}
    index = found.pop("example/.index.json")["files"]
    assert [f"example/{each['filename']}" for each in index] == list(found)
    held = {each["url"] for each in profiles(self_contained=self_contained)}
    told = [yaml.safe_load(path.read_text("utf-8")) for path in sorted((SHIPPED / EXAMPLES).glob("*.yaml"))]
    expected = [each for one in told if one["profile"] in held for each in one["passing"].values()]
    assert found == {f"example/{each['resourceType']}-{each['id']}.json": each for each in expected}
    assert {one["profile"] in held for one in told} == ({True} if self_contained else {True, False})
    assert len(found) > 30


def test_examples_of_a_package_are_not_read_as_definitions(tmp_path: Path) -> None:
    """A reader passes them by, and no file of them is a fault."""
    archive = tmp_path / "ours.tgz"
    archive.write_bytes(build_package(SHIPPED))
    (package,) = load_packages([archive]).loaded
    assert package.faults == []
    assert {name for name, _ in package.resources} == {name for name in files() if name not in HEAD and "/" not in name}


def test_nobody_elses_canonical_is_in_it_unless_asked_for() -> None:
    """What restates a package is left out and the package named; a self-contained one holds it and names none."""
    names = orjson.loads(files()["package.json"])["dependencies"]
    assert names["hl7.fhir.no.basis"] == "2.2.2"
    assert all(each["url"].startswith(("http://fhir-facade.no/fhir/", "urn:oid:2.16.578")) for each in resources())
    whole = {each["url"] for each in resources(self_contained=True)}
    assert "http://hl7.no/fhir/StructureDefinition/no-basis-Patient" in whole
    assert "http://hl7.no/fhir/ValueSet/no-basis-marital-status" in whole
    assert "http://hl7.no/fhir/CodeSystem/no-basis-marital-status" in whole
    alone = orjson.loads(files(self_contained=True)["package.json"])["dependencies"]
    assert alone == {"hl7.fhir.r4.core": "4.0.1"}


def test_every_canonical_leads_somewhere() -> None:
    """Bases, profiles, targets and bound value sets stand in the package or in R4; each system of a value set too."""
    found = {each["url"] for each in resources(self_contained=True)}

    def known(url: str) -> bool:
        plain = url.partition("|")[0]
        r4 = definitions().structure(plain) is not None or plain.startswith("http://hl7.org/fhir/ValueSet/")
        return plain in found or r4 or plain.startswith("http://terminology.hl7.org/ValueSet/")

    systems = {each["url"] for each in resources(self_contained=True) if each["resourceType"] == "CodeSystem"}
    for content in profiles(self_contained=True):
        assert known(content["baseDefinition"])
        for row in elements(content, "differential"):
            for kind in row.get("type", ()):
                assert all(map(known, (*kind.get("profile", ()), *kind.get("targetProfile", ()))))
            bound = row.get("binding", {}).get("valueSet", f"{CORE}Patient")
            assert known(bound), row
            assert bound not in systems
            for uri in {row.get("fixedUri"), row.get("patternCoding", {}).get("system")} & set(shipped.systems()):
                assert uri in systems or shipped.is_of_r4(uri)
    for content in resources(self_contained=True):
        for include in content.get("compose", {}).get("include", ()):
            assert include["system"] in found


def test_every_snapshot_is_whole() -> None:
    """Each element says what R4 demands of one, under one id, and differentials keep the order of the snapshot."""
    for content in profiles(self_contained=True):
        rows = elements(content)
        ids = [row["id"] for row in rows]
        assert len(set(ids)) == len(ids)
        assert ids[0] == content["type"]
        for row in rows:
            assert {"path", "definition", "min", "max", "base"} <= row.keys(), row["id"]
            assert row["max"] == "*" or row["min"] <= int(row["max"]), row["id"]
            assert ("type" in row) != ("contentReference" in row) or row["id"] == ids[0]
            assert row["path"] == ".".join(each.partition(":")[0] for each in row["id"].split("."))
            assert (":" in row["id"].rpartition(".")[2]) == ("sliceName" in row)
            assert "isModifierReason" in row or not row.get("isModifier")
            keys = [each["key"] for each in row.get("constraint", ())]
            assert len(set(keys)) == len(keys)
            parent = row["id"].rpartition(".")[0]
            assert not parent or parent in ids[: ids.index(row["id"])]
        said = [row["id"] for row in elements(content, "differential")]
        assert said == sorted(said, key=ids.index)


def made(type_name: str, *said: dict[str, Any], base: dict[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """The snapshot of a profile of a type that says some rows, by id."""
    core = definitions().structure(type_name)
    content = {
        "url": "http://a.no/a",
        "derivation": "constraint",
        "baseDefinition": "b" if base else f"{CORE}{type_name}",
        "differential": {"element": list(said)},
    }
    rows = snapshot(content, lambda url: base if url == "b" else core if url.endswith(type_name) else _core(url))
    return {row["id"]: row for row in rows}


def _core(url: str) -> dict[str, Any] | None:
    return definitions().structure(url)


def test_elements_are_made_as_they_are_asked_for() -> None:
    """Below a type, below a content reference, in a slice; a pattern gives way to a fixed value."""
    deep = made("Questionnaire", {"id": "Questionnaire.item.item.text", "min": 1})
    assert deep["Questionnaire.item.item.text"]["path"] == "Questionnaire.item.item.text"
    assert (deep["Questionnaire.item.item.text"]["min"], deep["Questionnaire.item.text"]["min"]) == (1, 0)
    parent = {
        "url": "b",
        "derivation": "constraint",
        "baseDefinition": f"{CORE}Patient",
        "differential": {"element": [{"id": "Patient.gender", "patternCode": "male"}]},
    }
    child = made("Patient", {"id": "Patient.gender", "fixedCode": "female"}, base=parent)
    assert (child["Patient.gender"]["fixedCode"], "patternCode" in child["Patient.gender"]) == ("female", False)
    sliced = made("Patient", {"id": "Patient.contact:a.gender", "min": 1}, {"id": "Patient.contact:b"})
    ids = [id for id in sliced if id.startswith("Patient.contact")]
    assert ids.index("Patient.contact:a") > ids.index("Patient.contact.period")
    assert ids.index("Patient.contact:b") > ids.index("Patient.contact:a.period")
    assert (sliced["Patient.contact:a"]["min"], sliced["Patient.contact:a.gender"]["min"]) == (0, 1)
    assert "constraint" not in sliced["Patient.contained"]
    assert [each["key"] for each in sliced["Patient.extension"]["constraint"]] == ["ele-1", "ext-1"]
    with pytest.raises(ValueError, match="there is no such element"):
        made("Patient", {"id": "Patient.nothing"})


def test_two_resources_of_one_id_are_refused(tmp_path: Path) -> None:
    """Files are named by type and id, so one would hide the other; a fault in a definition is told too."""
    for name in ("a", "b"):
        text = (SHIPPED / "condition-tilstand.yaml").read_text("utf-8").partition("elements:")[0]
        url = f"http://{name}.no/fhir/StructureDefinition/same"
        (tmp_path / f"{name}.yaml").write_text(re.sub("profile: .*", f"profile: {url}", text), "utf-8")
    with pytest.raises(ValueError, match="two resources have one id"):
        build_package(tmp_path)
    (tmp_path / "b.yaml").write_text("profile: a\n", "utf-8")
    with pytest.raises(ValueError, match=r"b\.yaml:1: "):
        build_package(tmp_path)


def test_a_snapshot_says_what_the_differentials_say() -> None:
    """Read alone, it has what the profile and its parents say; a fixed value of the child goes before the parent's."""
    by_name = {each["name"]: each for each in profiles()}
    rows = {row["id"]: row for row in elements(by_name["EncounterDogn"])}
    assert rows["Encounter.class.code"]["fixedCode"] == "IMP"
    assert rows["Encounter.type:kontakttype"]["max"] == "0"
    assert rows["Encounter.type:omsorgsniva"]["min"] == 1
    assert rows["Encounter.period.start"]["min"] == 1
    assert rows["Encounter.status"]["binding"]["strength"] == "required"
    keys = {each["key"]: each["source"] for each in rows["Encounter"]["constraint"]}
    assert keys["dom-2"] == f"{CORE}Encounter"
    assert keys["npr-ended"].endswith("/encounter-opphold")
    assert keys["npr-level-ward"].endswith("/encounter-dogn")


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_others_can_read_it(name: str) -> None:
    """fhir.resources takes every resource."""
    found = [each for each in resources(self_contained=True) if each["resourceType"] == name]
    assert found
    for content in found:
        CLASSES[name].model_validate(content)


def test_read_back_it_is_the_same_definition() -> None:
    """The rows that the schema reads of the package are those of our files but for the URL of code lists."""
    for content in profiles():
        definition = Definition(content, "package")
        assert list(definition.rows) == [row["id"] for row in elements(content, "differential")]
        assert not definition.whole


R4_CONTEXT = "StructureDefinition/structuredefinition-fhir-type"
"""An extension that R4 itself writes on ElementDefinition.type, though its definition says ElementDefinition.type.code."""


@cache
def validator(loaded: tuple[Path, ...] = (), own: Path | None = None) -> Validator:
    return Validator(load_packages(loaded, own), Catalogue(), limit=1000)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_resource_is_valid_by_r4(name: str) -> None:
    """Also by the constraints of StructureDefinition and ElementDefinition (sdf-, eld-), of CodeSystem and ValueSet."""
    for content in resources():
        if content["resourceType"] == name:
            issues = [each for each in validator().validate(content).issues if each.is_error]
            told = [str(each) for each in issues if each.code != "extension-context" or R4_CONTEXT not in str(each)]
            assert told == [], content["url"]


def test_a_resource_that_breaks_a_constraint_is_not_valid() -> None:
    """The test above can fail: an element without a definition, two elements of one id."""
    content = orjson.loads(orjson.dumps(profiles()[0]))
    rows = elements(content)
    del rows[1]["definition"]
    rows[2]["id"] = rows[3]["id"]
    told = " ".join(map(str, validator().validate(content).issues))
    assert "(sdf-3)" in told
    assert "(sdf-16)" in told


def test_the_package_judges_as_our_files_do(tmp_path: Path) -> None:
    """Loaded in the place of our files, it says the same of every golden resource, broken ones too."""
    archive, empty = tmp_path / "ours.tgz", tmp_path / "empty"
    archive.write_bytes(build_package(SHIPPED, self_contained=True))
    empty.mkdir()
    loaded = validator((archive,), empty)
    wrong = 0
    for path in sorted(data_root("mappings").glob("*.examples/01*.fhir.json")):
        golden = orjson.loads(path.read_bytes())
        named = [each["url"] for each in profiles() if each["type"] == golden["resourceType"]]
        for resource in (golden, {key: golden[key] for key in golden if key not in ("identifier", "period", "code")}):
            for url in named:
                ours, theirs = (_told(each, resource, url) for each in (validator(), loaded))
                assert ours == theirs, (path.name, url)
                wrong += bool(ours)
    assert wrong > 10


def _told(judge: Validator, resource: dict[str, Any], url: str) -> list[tuple[str, str]]:
    return [(each.at, each.code) for each in judge.validate(resource, [url]).issues if each.is_error]


# ---- the same as a published one, where one is at hand


def official() -> Iterator[dict[str, Any]]:
    for path in sorted(OFFICIAL.glob("*.json")):
        content = orjson.loads(path.read_bytes())
        if content.get("resourceType") == "StructureDefinition":
            yield content


UNLIKE = {
    ("no-basis-Address", "Address.extension:official", "max"): "taken from the root of the extension",
    ("no-basis-HumanName", "HumanName.extension:middlename", "max"): "taken from the root of the extension",
    ("no-basis-MedicationStatement", "MedicationStatement.medication[x]:medicationReference", "binding"): "no code",
    ("no-basis-HealthcareService", "HealthcareService.eligibility.code", "binding"): "R4 names no value set",
    ("no-basis-HealthcareService", "HealthcareService.characteristic", "binding"): "R4 names no value set",
}
"""Where the published snapshots of no-basis differ from ours, and why."""


@pytest.mark.skipif(
    not OFFICIAL.is_dir(), reason="the published package stands in ../shared and not in this repository"
)
def test_snapshots_are_those_that_were_published() -> None:
    """The published differentials of no-basis give the published snapshots: ids in order, counts, types, bindings."""
    published = {each["url"]: each for each in official()}
    bare = {url: {key: each[key] for key in each if key != "snapshot"} for url, each in published.items()}

    def find(url: str) -> Mapping[str, Any] | None:
        return bare.get(url) or definitions().structure(url)

    unlike = set()
    for url, content in published.items():
        made = snapshot(bare[url], find)
        assert [row["id"] for row in made] == [row["id"] for row in elements(content)], url
        for ours, theirs in zip(made, elements(content), strict=True):
            for key in ("path", "min", "max", "sliceName", "base", "fixedUri", "contentReference"):
                if ours.get(key) != theirs.get(key):
                    unlike.add((content["id"], ours["id"], key))
            assert [_type(each) for each in ours.get("type", ())] == [_type(each) for each in theirs.get("type", ())]
            if _binding(ours) != _binding(theirs):
                unlike.add((content["id"], ours["id"], "binding"))
    assert unlike == set(UNLIKE)


def _type(given: Mapping[str, Any]) -> tuple[Any, ...]:
    return given["code"], given.get("profile"), given.get("targetProfile")


def _binding(row: Mapping[str, Any]) -> tuple[Any, ...] | None:
    given = row.get("binding")
    return given and (given["strength"], given.get("valueSet"))
