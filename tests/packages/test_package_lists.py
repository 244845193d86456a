"""Code systems and value sets of packages: what bindings make of them, and what is left out and told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_facade.facade import Facade
from fhir_facade.packages.package_lists import PackageLists, catalogue_with
from fhir_facade.packages.registry import Packages, load_packages
from tests.packages.test_registry import package

BASE = "http://test.no/fhir/"
COLOURS = BASE + "CodeSystem/colours"
SHADES = BASE + "CodeSystem/shades"
PROFILE = BASE + "StructureDefinition/coloured"


def code_system(url: str, *codes: str, **more: Any) -> dict[str, Any]:
    concepts = [{"code": code, "display": code.title()} for code in codes]
    return {"resourceType": "CodeSystem", "url": url, "content": "complete", "concept": concepts} | more


def value_set(name: str, *includes: dict[str, Any], **more: Any) -> dict[str, Any]:
    compose: dict[str, Any] = {"include": list(includes), **more.pop("compose", {})}
    return {"resourceType": "ValueSet", "url": f"{BASE}ValueSet/{name}", "compose": compose} | more


def codes(system: str, *listed: str) -> dict[str, Any]:
    return {"system": system, "concept": [{"code": code} for code in listed]}


def profile(name: str) -> dict[str, Any]:
    """A Patient whose marital status is bound to a value set."""
    binding = {"strength": "required", "valueSet": f"{BASE}ValueSet/{name}"}
    return {
        "resourceType": "StructureDefinition", "url": PROFILE, "kind": "resource", "type": "Patient",
        "derivation": "constraint", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
        "fhirVersion": "4.0.1", "differential": {"element": [
            {"id": "Patient", "path": "Patient"},
            {"id": "Patient.maritalStatus", "path": "Patient.maritalStatus", "binding": binding},
        ]},
    }  # fmt: skip


def patient(system: str, code: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient", "meta": {"profile": [PROFILE]}, "active": True,
        "maritalStatus": {"coding": [{"system": system, "code": code}]},
    }  # fmt: skip


WHOLE = {"system": COLOURS}
SETS: list[tuple[dict[str, Any], str, str, bool | None]] = [
    (value_set("a", WHOLE), COLOURS, "red", True),
    (value_set("a", WHOLE), COLOURS, "pink", False),
    (value_set("a", WHOLE), SHADES, "red", False),
    (value_set("a", codes(COLOURS, "red")), COLOURS, "red", True),
    (value_set("a", codes(COLOURS, "red")), COLOURS, "blue", False),
    (value_set("a", codes(COLOURS, "red"), codes(SHADES, "light")), SHADES, "light", True),
    (value_set("a", codes(COLOURS, "red"), codes(SHADES, "dark")), SHADES, "dark", None),  # listed, and not in the part
    (value_set("a", {"valueSet": [f"{BASE}ValueSet/inner"]}), COLOURS, "blue", True),
    (value_set("a", {"valueSet": [f"{BASE}ValueSet/inner"]}), COLOURS, "red", False),
    (value_set("a", {"valueSet": [f"{BASE}ValueSet/inner|2"]}), COLOURS, "blue", None),
    (value_set("a", codes(COLOURS, "red", "blue"), compose={"exclude": [codes(COLOURS, "red")]}), COLOURS, "red", False),
    (value_set("a", codes(COLOURS, "red", "blue"), compose={"exclude": [codes(COLOURS, "red")]}), COLOURS, "blue", True),
    (value_set("a", WHOLE, compose={"exclude": [codes(COLOURS, "red")]}), COLOURS, "blue", None),
    (value_set("a", {"system": COLOURS, "filter": [{"property": "x", "op": "=", "value": "y"}]}), COLOURS, "red", None),
    (value_set("a", {"system": SHADES}), SHADES, "dark", None),  # a part of its codes only
    (value_set("a", {"system": BASE + "CodeSystem/none"}), BASE + "CodeSystem/none", "x", None),
    (value_set("a", {"system": BASE + "CodeSystem/away"}), BASE + "CodeSystem/away", "x", None),
    (value_set("a", {"valueSet": [f"{BASE}ValueSet/a"]}), COLOURS, "red", None),  # itself
    ({"resourceType": "ValueSet", "url": BASE + "ValueSet/a", "expansion": {"contains": [
        {"system": COLOURS, "code": "red"}, {"abstract": True, "contains": [{"system": COLOURS, "code": "blue"}]}]}},
     COLOURS, "blue", True),
    ({"resourceType": "ValueSet", "url": BASE + "ValueSet/a", "expansion": {"total": 9, "contains": [
        {"system": COLOURS, "code": "red"}]}}, COLOURS, "red", None),
    ({"resourceType": "ValueSet", "url": BASE + "ValueSet/a"}, COLOURS, "red", None),
]  # fmt: skip


def held(folder: Path, *more: dict[str, Any]) -> Path:
    return package(
        folder / "p",
        profile("a"),
        code_system(COLOURS, "red", "blue", version="1"),
        code_system(SHADES, "light", content="fragment"),
        code_system(BASE + "CodeSystem/away", content="not-present"),
        value_set("inner", codes(COLOURS, "blue"), version="1"),
        *more,
    )


@pytest.mark.parametrize("listed, system, code, right", SETS, ids=map(str, range(len(SETS))))
def test_a_binding_to_a_package_s_value_set_is_judged(
    tmp_path: Path, listed: dict[str, Any], system: str, code: str, right: bool | None
) -> None:
    facade = Facade(packages=[held(tmp_path, listed)])
    report = facade.validate(patient(system, code))
    told = {issue.code for issue in report.issues} & {"code-not-in-binding", "binding-unknown"}
    assert told == ({"binding-unknown"} if right is None else set() if right else {"code-not-in-binding"})
    for _ in range(4):
        assert facade.validator.is_valid(patient(system, code)) is (right is not False) is report.valid


def lists_of(*paths: Path) -> tuple[Packages, PackageLists]:
    packages = load_packages(paths)
    return packages, PackageLists(packages)


def test_what_is_left_out_is_told_with_its_reason(tmp_path: Path) -> None:
    wrong = value_set("a", {"system": COLOURS, "filter": [{"property": "x", "op": "=", "value": "y"}]})
    _, lists = lists_of(held(tmp_path, wrong))
    assert {(note.url, note.reason) for note in lists.notes} == {
        (BASE + "ValueSet/a", "it chooses codes by a filter"),
        (BASE + "CodeSystem/away", "its codes are not in the package (content is not-present)"),
    }
    assert {note.origin for note in lists.notes} == {"p@1.0.0"}


def test_a_list_that_is_shipped_whole_stands_before_that_of_a_package(tmp_path: Path) -> None:
    ours = "urn:oid:2.16.578.1.12.4.1.1.8406"
    _, lists = lists_of(package(tmp_path / "p", code_system(ours, "77"), code_system("http://helsedir.no/x", "a")))
    assert [each.edition.url for each in lists.code_systems] == ["http://helsedir.no/x"]
    assert "shipped stands before" in lists.notes[0].reason
    found = catalogue_with(lists).code_system(ours)
    assert found is not None and found.find("77") is None


def test_nobody_redefines_a_value_set_of_r4_and_the_newest_of_others_is_meant(tmp_path: Path) -> None:
    gender = value_set("g", codes(COLOURS, "red")) | {"url": "http://hl7.org/fhir/ValueSet/administrative-gender"}
    two = [value_set("v", codes(COLOURS, code), version=version) for version, code in (("1.10", "a"), ("1.9", "b"))]
    _, lists = lists_of(package(tmp_path / "p", gender, *two))
    catalogue = catalogue_with(lists)
    male = catalogue.value_set("http://hl7.org/fhir/ValueSet/administrative-gender")
    assert male is not None and male.includes[0].system == "http://hl7.org/fhir/administrative-gender"
    for asked, code in (("", "a"), ("|1.9", "b"), ("|1.10", "a")):
        found = catalogue.value_set(f"{BASE}ValueSet/v{asked}")
        assert found is not None and found.includes[0].codes == (code,)
    assert catalogue.value_set(f"{BASE}ValueSet/v|3") is None


def test_codes_of_a_hierarchy_keep_their_parents_and_retired_ones_are_known(tmp_path: Path) -> None:
    nested = code_system(COLOURS) | {"concept": [
        {"code": "warm", "concept": [{"code": "red", "designation": [{"language": "nb", "value": "rød"}]}]},
        {"code": "sepia", "property": [{"code": "status", "valueCode": "retired"}]},
    ]}  # fmt: skip
    _, lists = lists_of(package(tmp_path / "p", nested))
    (table,) = lists.code_systems
    assert [each.code for each in table.parents("red")] == ["warm"]
    found = {each.code: (each.status, [one.value for one in each.designations]) for each in table.page(0, 9)}
    assert found == {"warm": ("active", []), "red": ("active", ["rød"]), "sepia": ("retired", [])}


def test_a_package_of_another_version_of_fhir_is_told_and_not_used(tmp_path: Path) -> None:
    folder = package(tmp_path / "p", profile("a"))
    (folder / "package.json").write_bytes(orjson.dumps({"name": "p", "version": "1", "fhirVersions": ["5.0.0"]}))
    packages = load_packages([folder])
    assert [str(fault) for fault in packages.faults] == [
        "p@1/package.json:1: the package is of FHIR 5.0.0, and R4 is judged here: not used"
    ]
    assert packages.find(PROFILE) is None
    one = package(tmp_path / "q", profile("a") | {"fhirVersion": "3.0.2"}, value_set("a", WHOLE))
    packages = load_packages([one])
    assert [str(fault) for fault in packages.faults] == [
        "q@1.0.0/0.json:1: it is of FHIR 3.0.2, and R4 is judged here: not used"
    ]
    assert packages.find(PROFILE) is None and len(packages.loaded[0].resources) == 1


def test_a_guide_is_listed_by_its_canonical(tmp_path: Path) -> None:
    guide = {"resourceType": "ImplementationGuide", "url": BASE + "ImplementationGuide/g", "version": "2"}
    packages = load_packages([package(tmp_path / "p", guide, guide | {"url": "ImplementationGuide/g"})])
    assert packages.loaded[0].guides == [BASE + "ImplementationGuide/g|2"]
    assert [fault.file for fault in packages.faults] == ["p@1.0.0/1.json"]
