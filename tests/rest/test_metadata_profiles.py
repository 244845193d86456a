"""/metadata names the profiles of each type, the packages that are loaded and their guides."""

from __future__ import annotations

from pathlib import Path

import orjson

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.packages.registry import load_packages
from fhir_facade.rest.capabilities import capability_statement
from fhir_facade.rest.surface import SURFACE
from tests.packages.test_registry import package, profile

GUIDE = "http://test.no/fhir/ImplementationGuide/g"
PROFILE = "http://test.no/fhir/StructureDefinition/p"


def test_profiles_packages_and_guides_are_named(mapping_set: MappingSet, tmp_path: Path) -> None:
    folder = package(tmp_path / "p", profile(PROFILE), {"resourceType": "ImplementationGuide", "url": GUIDE})
    said = orjson.loads(capability_statement(mapping_set, SURFACE, "http://x.no", "1", load_packages([folder])))
    assert said["implementationGuide"] == [GUIDE]
    assert said["implementation"]["description"] == "fhir_facade; packages: p@1.0.0"
    supported = {each["type"]: each.get("supportedProfile", []) for each in said["rest"][0]["resource"]}
    assert PROFILE in supported["Patient"]
    assert "http://hl7.no/fhir/StructureDefinition/no-basis-Patient" in supported["Patient"]
    assert "http://fhir-facade.no/fhir/StructureDefinition/encounter-tsb" in supported["Encounter"]
    assert not any("Extension" in url or "humanname" in url.lower() for urls in supported.values() for url in urls)
    operations = {each["name"] for each in said["rest"][0]["operation"]}
    assert "validate" in operations


def test_without_packages_ours_are_named(mapping_set: MappingSet) -> None:
    said = orjson.loads(capability_statement(mapping_set, SURFACE, "http://x.no", "1", load_packages()))
    assert "implementationGuide" not in said
    assert said["implementation"]["description"] == "fhir_facade"
    supported = {each["type"]: each.get("supportedProfile", []) for each in said["rest"][0]["resource"]}
    assert supported["Location"] == []
    assert supported["Condition"] == ["http://fhir-facade.no/fhir/StructureDefinition/condition-tilstand"]
