"""What a definition says that cannot be judged as it stands is told, and never fatal.

The small definitions here are ours; each has a fault that the official package of no-basis has, as
norwegian-fhir.md 2.6 counts them. The package itself is read where it lies beside the repository.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fhir_facade.packages.elements import Definition
from fhir_facade.packages.registry import Packages, load_packages
from fhir_facade.profile.bindings import Bindings
from fhir_facade.profile.defects import defects
from fhir_facade.profile.schema import Schema
from fhir_facade.profile.validator import Validator
from fhir_facade.terminology.catalogue import Catalogue
from tests.packages.test_registry import OFFICIAL, package, profile

URL = "http://test.no/fhir/StructureDefinition/p"
OID = "urn:oid:2.16.578.1.12.4.1.1."


def told(folder: Path, kind: str, *elements: dict[str, Any]) -> list[str]:
    """What is told of a profile with some elements; the profile must judge a resource all the same."""
    rows = [{"id": kind, "path": kind}, *({"path": each["id"].replace(":a", ""), **each} for each in elements)]
    content = profile(URL, type=kind, differential={"element": rows})
    content["baseDefinition"] = f"http://hl7.org/fhir/StructureDefinition/{kind}"
    packages = load_packages([package(folder / "p", content)])
    definition = packages.find(URL)
    assert definition is not None
    Validator(packages, Catalogue()).validate({"resourceType": kind}, [URL])
    return list(of(packages, definition))


def of(packages: Packages, definition: Definition) -> list[str]:
    return list(defects(Schema(packages), Bindings(Catalogue()), definition))


def binding(value_set: str, strength: str = "required") -> dict[str, Any]:
    return {"strength": strength, "valueSet": value_set}


SLICED = {"discriminator": [{"type": "value", "path": "$this"}], "rules": "open"}
CASES: list[tuple[str, str, list[dict[str, Any]], list[str]]] = [
    ("1", "Patient", [{"id": "Patient.maritalStatus", "binding": binding(OID + "8406")}],
     [f"Patient.maritalStatus: bound to {OID}8406, a code system in the place of a value set: all its codes are meant"]),
    ("1, not at hand", "Patient", [{"id": "Patient.maritalStatus", "binding": binding(OID + "9999")}],
     [(f"Patient.maritalStatus: bound to {OID}9999, a code system in the place of a value set: "
      "its list is not at hand, so no code is judged")]),
    ("2", "Patient", [{"id": "Patient.address.district", "binding": binding(
        "https://register.geonorge.no/subregister/sosi-kodelister/kartverket/kommunenummer-alle")}],
     [("Patient.address.district: bound to https://register.geonorge.no/subregister/sosi-kodelister/kartverket/"
      "kommunenummer-alle, a code system in the place of a value set: all its codes are meant")]),
    ("3", "Procedure", [{"id": "Procedure.code.coding", "slicing": SLICED}, {"id": "Procedure.code.coding:a"}],
     ["Procedure.code.coding:a: nothing tells the slice apart, so none is missed and none too many"]),
    ("4", "Appointment", [{"id": "Appointment.appointmentType.coding", "slicing": SLICED},
                          {"id": "Appointment.appointmentType.coding:a", "binding": binding(OID + "8406")}],
     [(f"Appointment.appointmentType.coding:a: bound to {OID}8406, a code system in the place of a value set: "
      "all its codes are meant"),
      "Appointment.appointmentType.coding:a: told apart by a binding: the system of a coding decides"]),
    ("5", "AppointmentResponse", [{"id": "AppointmentResponse", "constraint": [
        {"key": "x-1", "severity": "error", "human": "x", "expression": "actor.type.value = 'Patient'"}]}],
     [("AppointmentResponse: constraint x-1 asks for AppointmentResponse.actor.type.value, which is no element of R4: "
      "it never finds it")]),
    ("6", "Patient", [{"id": "Patient.identifier.system", "fixedUri": "urn:uid:2.16.578.1"}],
     [("Patient.identifier.system: fixed to urn:uid:2.16.578.1, where urn:oid: was meant, it seems: "
      "resources must carry it so")]),
    ("7", "Patient", [{"id": "Patient.maritalStatus", "binding": binding("http://test.no/x-vs", "example")}],
     [("Patient.maritalStatus: bound (example) to http://test.no/x-vs, which is not at hand: "
      "the binding is no demand, and is ignored")]),
    ("8", "Patient", [{"id": "Patient.identifier.system", "fixedUri": "HNR"}],
     ["Patient.identifier.system: fixed to 'HNR', which is no absolute URI: resources must carry it so"]),
    ("9", "Organization", [
        {"id": "Organization.type", "slicing": {
            "discriminator": [{"type": "value", "path": "coding.system"}], "rules": "open"}},
        {"id": "Organization.type:a"}, {"id": "Organization.type:a.coding.system", "fixedUri": "http://x.no"}],
     ["Organization.type: told apart by coding.system, which may stand several times: any of them may match"]),
    ("FHIRPath", "Patient", [{"id": "Patient.name", "constraint": [
        {"key": "x-1", "severity": "error", "human": "x", "expression": "given.("},
        {"key": "x-2", "severity": "error", "human": "x", "expression": "family.slice('a', 'b').exists()"},
        {"key": "x-3", "severity": "error", "human": "x"},
        {"key": "x-4", "severity": "error", "human": "x", "expression": "given.exists() or family.exists()"},
        {"key": "x-5", "severity": "error", "human": "x", "expression": "surname.exists()"}]}],
     ["Patient.name: constraint x-1 cannot be read as FHIRPath (",
      "Patient.name: constraint x-2 calls slice(), which is not supported, and is not judged",
      "Patient.name: constraint x-3 has no FHIRPath, and is not judged",
      "Patient.name: constraint x-5 asks for HumanName.surname, which is no element of R4: it never finds it"]),
    ("none", "Observation", [
        {"id": "Observation.status", "binding": binding("http://hl7.org/fhir/ValueSet/observation-status")},
        {"id": "Observation", "constraint": [{"key": "x-1", "severity": "error", "human": "x",
         "expression": "value.exists() and component.code.coding.where(system = 'a').exists()"}]},
        {"id": "Observation.code.coding.system", "fixedUri": "http://loinc.org"}], []),
]  # fmt: skip


@pytest.mark.parametrize("name, kind, elements, expected", CASES, ids=[each[0] for each in CASES])
def test_a_defect_is_told(
    tmp_path: Path, name: str, kind: str, elements: list[dict[str, Any]], expected: list[str]
) -> None:
    found = sorted(told(tmp_path, kind, *elements))
    assert len(found) == len(expected)
    assert all(said.startswith(wanted) for said, wanted in zip(found, sorted(expected), strict=True)), found


@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="the official package does not lie beside the repository")
def test_the_defects_of_the_official_package_are_told_and_it_is_used_whole() -> None:
    packages = load_packages([OFFICIAL / "hl7.fhir.no.basis-2.2.2"])
    assert packages.faults == []
    (loaded,) = packages.loaded
    definitions = [
        content["url"] for _, content in loaded.resources if content["resourceType"] == "StructureDefinition"
    ]
    assert len(definitions) == 35
    found: dict[str, list[str]] = {}
    for url in definitions:
        definition = packages.find(url)
        assert definition is not None and definition.origin.startswith("hl7.fhir.no.basis@2.2.2")
        found[url.rpartition("/")[2]] = of(packages, definition)
    for number, name, word in (
        (1, "no-basis-HealthcareService", "8655, a code system in the place"),
        (2, "no-basis-municipalitycode", "kommunenummer-alle, a code system in the place"),
        (4, "no-basis-Appointment", "told apart by a binding"),
        (5, "no-basis-AppointmentResponse", "inv-1 asks for AppointmentResponse.actor.type.value"),
        (6, "no-basis-AllergyIntolerance", "urn:uid:2.16.578.1.12.4.1.1.7497"),
        (6, "no-basis-sourceofinformation", "urn:uid:2.16.578.1.12.4.1.1.7498"),
        (7, "no-basis-virtual-service", "no-basis-virtual-service-type-vs, which is not at hand"),
        (8, "no-basis-Patient", "fixed to 'HNR'"),
        (9, "no-basis-Organization", "told apart by coding.system, which may stand several times"),
    ):
        assert any(word in said for said in found[name]), (number, found[name])


def test_our_own_definitions_have_none_but_bindings_to_whole_lists() -> None:
    packages = load_packages()
    for entry in packages.all():
        definition = packages.find(entry.url)
        assert definition is not None
        rest = [
            said
            for said in of(packages, definition)
            if "all its codes are meant" not in said and "any of them may match" not in said
        ]
        if not definition.url.startswith("http://hl7.no/"):
            assert [said for said in rest if "is not at hand" not in said] == []
