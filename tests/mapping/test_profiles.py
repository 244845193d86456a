"""A mapping that names a profile is held to it; profiles are small StructureDefinitions written here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_facade.facade import Facade
from fhir_facade.mapping.columns import REMAINDER
from fhir_facade.mapping.findings import MappingError
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root

SHIPPED = data_root("mappings")
CORE = "http://hl7.org/fhir/StructureDefinition/"
OURS = "http://nord.no/fhir/StructureDefinition/"
STAY = OURS + "nord-stay"
SHIPPED_BASE = "http://fhir-facade.no/fhir/StructureDefinition/"
STAYS = [f"{SHIPPED_BASE}encounter-{name}" for name in ("bup", "dogn", "opphold", "phv", "poliklinisk", "tsb")]


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
    (told_of,) = [each for each in mapping.explain(record) if each.path.startswith("Encounter.meta.profile")]
    assert (told_of.at, told_of.written) == ("nord/a.yaml:3", STAY)
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
    assert found() == [
        f"no profile '{STAY}|1.0' (known: {', '.join(STAYS)})",
        "cannot be read as JSON: JSONDecodeError",
    ]


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


WARD = {"institusjonID": "1", "pasientNr": "2", "episodeID": "3", "omsorgsniva": "1", "oppholdsdel": "AvdOpp"}
CONTACT = WARD | {"omsorgsniva": "3", "oppholdsdel": "Kontakt"}


@pytest.mark.parametrize(
    ("record", "names"),
    [
        (WARD, ["opphold", "dogn"]),
        (WARD | {"oppholdsdel": "Kontakt"}, ["opphold"]),
        (WARD | {"episodeFag": "320"}, ["opphold", "dogn", "phv"]),
        (CONTACT, ["opphold"]),
        (CONTACT | {"kontaktType": "2", "stedAktivitet": "1"}, ["opphold", "poliklinisk"]),
        (CONTACT | {"kontaktType": "2", "stedAktivitet": "1", "episodeFag": "310"}, ["opphold", "poliklinisk", "bup"]),
        (CONTACT | {"episodeFag": "365"}, ["opphold", "tsb"]),
        (CONTACT | {"episodeFag": "010"}, ["opphold"]),
    ],
)
def test_narrower_profiles_are_declared_when_the_record_keeps_to_them(record: dict[str, Any], names: list[str]) -> None:
    stays = load_mapping_set(SHIPPED).mappings["opphold-encounter"]
    whole = stays.kinds.complete(stays.kind, record | {"rad_versjon": 1, "sist_endret": "2026-01-01T00:00:00Z"})
    resource = stays.to_fhir(whole, [])
    assert resource["meta"]["profile"] == [f"{SHIPPED_BASE}encounter-{name}" for name in names]
    assert stays.interpret(whole, []) == resource
    assert json.loads(stays.to_bytes(whole, [])) == resource
    told_of = {each.path: each for each in stays.explain(whole) if each.path.startswith("Encounter.meta.profile")}
    assert [each.written for each in told_of.values()] == resource["meta"]["profile"]
    assert {each.status for each in told_of.values()} == {"constant"}
    lines = (SHIPPED / "opphold.encounter.yaml").read_text("utf-8").splitlines()
    for each in told_of.values():
        name, _, line = each.at.partition(":")
        assert name == "opphold.encounter.yaml"
        assert str(each.written) in lines[int(line) - 1]


def ward(**more: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The mapping of stays, a stored ward stay, and its resource."""
    stays = load_mapping_set(SHIPPED).mappings["opphold-encounter"]
    record = stays.kinds.complete(stays.kind, WARD | {"rad_versjon": 1, "sist_endret": "2026-01-01T00:00:00Z"} | more)
    return stays, record, stays.to_fhir(record, [])


OTHER = "http://nord.no/fhir/StructureDefinition/stay"


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (None, ["opphold", "dogn"]),
        ([], ["opphold", "dogn"]),
        (["opphold", "dogn"], ["opphold", "dogn"]),
        (["dogn"], ["opphold", "dogn"]),
        (
            ["opphold", "poliklinisk"],
            ["opphold", "dogn"],
        ),  # which of our profiles it keeps to is not the sender's to say
        (["opphold", "dogn", OTHER], ["opphold", "dogn", OTHER]),
        ([OTHER], ["opphold", "dogn", OTHER]),
    ],
)
def test_put_takes_our_profiles_for_its_own_and_keeps_those_of_others(sent: list[str] | None, shown: list[str]) -> None:
    def whole(names: list[str]) -> list[str]:
        return [name if name == OTHER else f"{SHIPPED_BASE}encounter-{name}" for name in names]

    for changed in (False, True):  # by the quick reader, and by the one that tells what became of each element
        stays, record, resource = ward()
        resource["meta"] = {} if sent is None else {"profile": whole(sent)}
        if changed:
            resource["status"] = "in-progress"
            resource["language"] = "nb"
        written = stays.to_record(resource, record)
        kept = {element.path for element in written.elements if element.status == "kept"}
        assert {element.status for element in written.elements} <= {"accepted", "kept"}
        assert {path for path in kept if path != "Encounter.language"} == (
            {f"Encounter.meta.profile[{len(shown) - 1}]"} if OTHER in shown else set()
        )
        remainder = {REMAINDER: json.dumps({stays.name: written.remainder})} if written.remainder else {}
        issues: list[Any] = []
        after = stays.served(stays.kinds.complete(stays.kind, {**record, **written.record, **remainder}), issues)
        assert after["meta"]["profile"] == whole(shown)
        assert issues == []


def test_what_was_kept_before_a_mapping_had_a_profile_stays_beside_it() -> None:
    stays, record, _ = ward()
    record[REMAINDER] = json.dumps({stays.name: {"add": {"meta": {"profile": [OTHER], "language": "nb"}}}})
    issues: list[Any] = []
    meta = stays.served(record, issues)["meta"]
    assert meta["profile"] == [f"{SHIPPED_BASE}encounter-opphold", f"{SHIPPED_BASE}encounter-dogn", OTHER]
    assert issues == []


def test_a_site_puts_a_profile_in_the_place_of_ours_and_of_those_that_narrow_it(tmp_path: Path) -> None:
    for said, wanted in ((STAY, [STAY]), ("none", None)):
        site = tmp_path / said[-4:] / "nord"
        (site / "profiles").mkdir(parents=True)
        (site / "profiles" / "p.json").write_text(profile("nord-stay", "Encounter", []), "utf-8")
        (site / "a.yaml").write_text(f"extends: opphold-encounter\nversion: 1\nprofile: {said}\n", "utf-8")
        stays = load_mapping_set(SHIPPED, site).mappings["opphold-encounter"]
        record = stays.kinds.complete(stays.kind, WARD | {"rad_versjon": 1, "sist_endret": "2026-01-01T00:00:00Z"})
        assert stays.to_fhir(record, [])["meta"].get("profile") == wanted
        assert stays.name == "opphold-encounter"


def test_yaml_below_a_folder_of_profiles_is_not_read(tmp_path: Path) -> None:
    """The folder of profiles may be the one that the site's mappings lie below."""
    site = tmp_path / "nord"
    site.mkdir()
    (tmp_path / "p.json").write_text(profile("nord-stay", "Encounter", []), "utf-8")
    (tmp_path / "notes.yaml").write_text("no: definition\n", "utf-8")
    (site / "a.yaml").write_text(f"extends: opphold-encounter\nversion: 1\nprofile: {STAY}\n", "utf-8")
    assert load_mapping_set(SHIPPED, site, tmp_path).mappings["opphold-encounter"].rules.profile == STAY
