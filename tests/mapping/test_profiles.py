"""A mapping that names a profile is held to it; profiles are small StructureDefinitions written here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_facade.facade import Facade
from fhir_facade.mapping.findings import MappingError
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root

SHIPPED = data_root("mappings")
CORE = "http://hl7.org/fhir/StructureDefinition/"
OURS = "http://nord.no/fhir/StructureDefinition/"
STAY = OURS + "nord-stay"
FNR = "urn:oid:2.16.578.1.12.4.1.4.1"


def profile(name: str, kind: str, elements: list[dict[str, Any]], base: str = "", part: str = "differential") -> str:
    return json.dumps({
        "resourceType": "StructureDefinition", "url": OURS + name, "type": kind, "kind": "resource",
        "derivation": "constraint", "baseDefinition": base or CORE + kind,
        part: {"element": [{"id": kind, "path": kind}, *elements]},
    })  # fmt: skip


def element(name: str, **said: Any) -> dict[str, Any]:
    """An ElementDefinition by its id."""
    path = ".".join(segment.partition(":")[0] for segment in name.split("."))
    return {"id": name, "path": path, **said}


def loaded(folder: Path, elements: list[dict[str, Any]], rows: str = "", kind: str = "Encounter") -> MappingSet:
    """The shipped mappings, where opphold (or pasient) is said to be of a profile with these elements."""
    extends = {"Encounter": "opphold-encounter", "Patient": "pasient-patient"}[kind]
    site = folder / "nord"
    (site / "profiles").mkdir(parents=True)
    (site / "profiles" / "p.json").write_text(profile("nord-stay", kind, elements), "utf-8")
    (site / "a.yaml").write_text(f"extends: {extends}\nversion: 1\nprofile: {STAY}\n{rows}", "utf-8")
    return load_mapping_set(SHIPPED, site)


def told(folder: Path, elements: list[dict[str, Any]], rows: str = "", kind: str = "Encounter") -> list[str]:
    with pytest.raises(MappingError) as error:
        loaded(folder, elements, rows, kind)
    return [str(found) for found in error.value.findings]


def slices(path: str, by: str, *more: dict[str, Any]) -> list[dict[str, Any]]:
    how = {"discriminator": [{"type": "value", "path": by}], "rules": "open"}
    return [element(path, slicing=how), *more]


def test_the_canonical_is_written_by_all_engines(tmp_path: Path) -> None:
    made = loaded(tmp_path, [element("Encounter.period", min=1)])
    mapping = made.mappings["opphold-encounter"]
    record = made.kinds.complete(
        mapping.kind, {"institusjonID": "1", "pasientNr": "2", "episodeID": "3", "omsorgsniva": "3", "rad_versjon": 4}
    )
    issues: list[Any] = []
    resource = mapping.to_fhir(record, issues)
    assert resource["meta"]["profile"] == [STAY]
    assert mapping.interpret(record, issues) == resource
    assert json.loads(mapping.to_bytes(record, issues)) == resource


@pytest.mark.parametrize(
    ("elements", "said"),
    [
        ([element("Encounter.period", min=1)], None),
        ([element("Encounter.period.start", min=1)], None),
        ([element("Encounter.period.end", min=1)],
         "required element Encounter.period.end may be missing: utDatoTid can be absent (profile nord-stay)"),
        ([element("Encounter.length", min=1)], "required element Encounter.length is made by no row (profile nord-stay)"),
        ([element("Encounter.language", min=1, fixedCode="nb")],
         "required element Encounter.language is made by no row (profile nord-stay: add {fhir: language, const: nb})"),
        ([element("Encounter.language", fixedCode="nb")], None),
        ([element("Encounter.hospitalization", max="0")], "profile nord-stay prohibits hospitalization"),
        ([element("Encounter.hospitalization.origin", max="0")], "profile nord-stay prohibits hospitalization.origin"),
        ([element("Encounter.photo", max="0")], None),
        ([element("Encounter.type", max="1")], "profile nord-stay allows 1 type, but rows may write more"),
        ([element("Encounter.participant", max="1")], "profile nord-stay allows 1 participant, but rows may write more"),
        ([element("Encounter.status", fixedCode="finished")],
         "status is finished in profile nord-stay: write {fhir: status, const: finished}"),
        ([element("Encounter.statusHistory.status", fixedCode="onleave")], None),
        ([element("Encounter.class.system", fixedUri="http://terminology.hl7.org/CodeSystem/v3-ActCode")],
         ("class.system is http://terminology.hl7.org/CodeSystem/v3-ActCode in profile nord-stay: "
         "write {fhir: class.system, const: http://terminology.hl7.org/CodeSystem/v3-ActCode}")),
        ([element("Encounter.serviceType", patternCodeableConcept={"coding": [{"system": "http://x.no", "code": "a"}]})],
         ("serviceType is a of http://x.no in profile nord-stay: "
         "write {fhir: serviceType, const: [the name of http://x.no, a]}")),
        (slices("Encounter.identifier", "system", element("Encounter.identifier:own", min=1),
                element("Encounter.identifier:own.system", min=1, fixedUri="http://x.no")),
         "profile nord-stay requires identifier:own (system http://x.no), which no row fills"),
        (slices("Encounter.identifier", "system", element("Encounter.identifier:own", min=1),
                element("Encounter.identifier:own.system", fixedUri="http://fhir-facade.no/fhir/NamingSystem/episode-id")),
         None),
        (slices("Encounter.identifier", "system", element("Encounter.identifier:own", min=1),
                element("Encounter.identifier:own.system", fixedUri="http://fhir-facade.no/fhir/NamingSystem/episode-guid")),
         ("identifier:own (system http://fhir-facade.no/fhir/NamingSystem/episode-guid) of profile nord-stay "
         "may be missing: episodeGUID can be absent")),
        (slices("Encounter.identifier", "system", element("Encounter.identifier:own", max="0"),
                element("Encounter.identifier:own.system", fixedUri="http://fhir-facade.no/fhir/NamingSystem/episode-id")),
         "profile nord-stay prohibits identifier:own (system http://fhir-facade.no/fhir/NamingSystem/episode-id)"),
        (slices("Encounter.identifier", "system", element("Encounter.identifier:own"),
                element("Encounter.identifier:own.system", fixedUri="http://fhir-facade.no/fhir/NamingSystem/episode-id"),
                element("Encounter.identifier:own.use", min=1, fixedCode="official")),
         "profile nord-stay requires identifier:own.use: add {fhir: identifier.use, const: official}"),
        (slices("Encounter.type", "$this", element("Encounter.type:own", min=1,
                patternCodeableConcept={"coding": [{"system": "urn:oid:2.16.578.1.12.4.1.1.8406"}]})), None),
        ([element("Encounter.extension:debtor", min=1, sliceName="debtor",
                  type=[{"code": "Extension", "profile": ["http://fhir-facade.no/fhir/StructureDefinition/debitor"]}])],
         None),
        ([element("Encounter.extension:debtor", min=1, sliceName="debtor",
                  type=[{"code": "Extension", "profile": ["http://x.no/debtor"]}])],
         "profile nord-stay requires extension:debtor (url http://x.no/debtor), which no row fills"),
        ([element("Encounter.extension:leave", min=1, sliceName="leave",
                  type=[{"code": "Extension",
                         "profile": ["http://fhir-facade.no/fhir/StructureDefinition/permisjonsdogn"]}])],
         ("extension:leave (url http://fhir-facade.no/fhir/StructureDefinition/permisjonsdogn) of profile nord-stay "
         "may be missing: permisjonsdogn can be absent")),
    ],
)  # fmt: skip
def test_a_mapping_is_held_to_its_profile(tmp_path: Path, elements: list[dict[str, Any]], said: str | None) -> None:
    if said is None:
        assert loaded(tmp_path, elements).warnings == ()
    else:
        found = told(tmp_path, elements)
        assert {line.partition(": ")[2] for line in found} == {said}
        assert all(line.startswith(("opphold.encounter.yaml:", "nord/a.yaml:3: ")) for line in found)


def test_what_a_finding_says_to_add_mends_it(tmp_path: Path) -> None:
    asked = [element("Encounter.language", min=1, fixedCode="nb")]
    assert loaded(tmp_path, asked, "add:\n  - {fhir: language, const: nb}\n").warnings == ()
    other = told(tmp_path / "b", asked, "add:\n  - {fhir: language, const: nn}\n")
    assert other == ["nord/a.yaml:5: language is nb in profile nord-stay: write {fhir: language, const: nb}"]


def test_the_types_of_a_choice_are_narrowed(tmp_path: Path) -> None:
    asked = [element("Patient.deceased[x]", type=[{"code": "boolean"}])]
    (found,) = told(tmp_path, asked, kind="Patient")
    assert found.endswith("profile nord-stay allows deceasedBoolean, not deceasedDateTime")
    asked = [element("Patient.deceased[x]", type=[{"code": "dateTime"}])]
    assert loaded(tmp_path / "b", asked, kind="Patient").warnings == ()


def test_a_slice_that_cannot_be_judged_is_a_warning(tmp_path: Path) -> None:
    how = {"discriminator": [{"type": "profile", "path": "$this"}], "rules": "open"}
    asked = [element("Patient.identifier", slicing=how), element("Patient.identifier:x", min=1)]
    (warned,) = loaded(tmp_path, asked, kind="Patient").warnings
    said = "warning: whether slice identifier:x of profile nord-stay is filled cannot be judged"
    assert str(warned) == f"nord/a.yaml:3: {said}"


def test_a_profile_builds_on_another_and_a_snapshot_on_none(tmp_path: Path) -> None:
    site = tmp_path / "nord"
    (site / "profiles").mkdir(parents=True)
    base = site / "profiles" / "base.json"
    base.write_text(profile("base", "Encounter", [element("Encounter.length", min=1)]), "utf-8")
    own = site / "profiles" / "own.json"
    own.write_text(profile("nord-stay", "Encounter", [], OURS + "base"), "utf-8")
    (site / "a.yaml").write_text(f"extends: opphold-encounter\nversion: 1\nprofile: {STAY}|1.0\n", "utf-8")

    def found() -> list[str]:
        with pytest.raises(MappingError) as error:
            load_mapping_set(SHIPPED, site)
        return [str(each).partition(": ")[2] for each in error.value.findings]

    assert found() == ["required element Encounter.length is made by no row (profile nord-stay)"]
    base.unlink()
    assert found() == [f"profile nord-stay builds on {OURS}base, which is not among the profiles"]
    whole = profile("nord-stay", "Encounter", [element("Encounter.status", min=1)], OURS + "base", "snapshot")
    own.write_text(whole, "utf-8")
    assert load_mapping_set(SHIPPED, site).warnings == ()
    own.write_text(profile("nord-stay", "Patient", []), "utf-8")
    assert found() == ["profile nord-stay is of Patient, not of Encounter"]
    own.write_text(profile("nord-stays", "Encounter", []), "utf-8")
    assert found() == [f"no profile '{STAY}|1.0' (did you mean '{STAY}s'?)"]
    own.write_text("{", "utf-8")
    assert found() == [f"no profile '{STAY}|1.0' (known: none)", "cannot be read as JSON: JSONDecodeError"]


def test_profiles_come_from_a_folder_of_the_settings_too(tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text(profile("nord-stay", "Encounter", []), "utf-8")
    site = tmp_path / "nord"
    site.mkdir()
    (site / "a.yaml").write_text(f"extends: opphold-encounter\nversion: 1\nprofile: {STAY}\n", "utf-8")
    assert Facade(None, site, tmp_path).mapping("opphold").rules.profile == STAY
    with pytest.raises(MappingError, match="no profile"):
        load_mapping_set(SHIPPED, site)
    with pytest.raises(MappingError, match="there is no folder"):
        load_mapping_set(SHIPPED, site, tmp_path / "none")
