"""A site's folder over the shipped mappings: each verb, each fault with file and line, and what it does to resources."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from pathlib import Path

import pytest

from fhir_facade.facade import Facade
from fhir_facade.mapping.findings import MappingError
from fhir_facade.mapping.mapping_set import load_mapping_set
from fhir_facade.resources import data_root

SHIPPED = data_root("mappings")
HEAD = "extends: opphold-encounter\nversion: 3\n"
STAY = {
    "institusjonID": "123456785",
    "pasientNr": "42",
    "episodeID": "7",
    "episodeGUID": "g-7",
    "henvisningsperiodeID": "1",
    "innDatoTid": "2025-03-01T10:00:00",
    "debitor": "1",
    "episodeFag": "010",
    "omsorgsniva": "3",
    "innmateHast": "4",
    "oppholdsdel": "Kontakt",
    "polIndir": "1",
    "kontaktType": "2",
    "rad_versjon": 1,
}


def site(folder: Path, files: Mapping[str, str]) -> Path:
    """A site folder called `nord` with these files."""
    for name, text in files.items():
        path = folder / "nord" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder / "nord"


def stay(folder: Path, text: str, **fields: object) -> dict[str, object]:
    """The Encounter of STAY with a change of its mapping."""
    facade = Facade(SHIPPED, site(folder, {"stays.yaml": HEAD + text}))
    mapping, record = facade.mapping("opphold"), {**STAY, **fields}
    made = facade.to_fhir("opphold", record)
    whole = facade.mapping_set.kinds.complete(mapping.kind, record)
    assert mapping.interpret(whole, []) == made
    return made


def told(folder: Path, files: Mapping[str, str]) -> list[str]:
    with pytest.raises(MappingError) as error:
        load_mapping_set(SHIPPED, site(folder, files))
    return [str(found) for found in error.value.findings]


def faults(folder: Path, text: str) -> list[str]:
    return told(folder, {"stays.yaml": HEAD + text})


def test_a_row_is_replaced_where_it_stood(tmp_path: Path) -> None:
    plain = Facade(SHIPPED).to_fhir("opphold", STAY)
    made = stay(tmp_path, "replace:\n  - {epj: episodeGUID, fhir: identifier, system: uri}\n")
    assert [given["system"] for given in plain["identifier"]][1].endswith("episode-guid")
    assert made["identifier"] == [plain["identifier"][0], {"system": "urn:ietf:rfc:3986", "value": "g-7"}]
    assert {**made, "identifier": 0, "meta": 0} == {**plain, "identifier": 0, "meta": 0}
    assert list(made) == list(plain)


def test_a_row_is_added_and_a_row_removed(tmp_path: Path) -> None:
    text = "remove:\n  - {fhir: type, epj: polIndir}\nadd:\n  - {fhir: length.unit, const: d}\n"
    text += "  - {epj: alderIDager, fhir: length.value}\nignore:\n  polIndir: not used here\n"
    plain = Facade(SHIPPED).to_fhir("opphold", STAY)
    text = text.replace("  - {epj: alderIDager", "  - {epj: permisjonsdogn")
    made = stay(tmp_path, text, permisjonsdogn=3)
    assert made["length"] == {"value": 3, "unit": "d"}
    assert len(made["type"]) == len(plain["type"]) - 1


def test_a_row_in_a_group_is_replaced_under_the_guards_of_its_group(tmp_path: Path) -> None:
    text = "extends: pasient-patient\nversion: 1\nreplace:\n  - {fhir: meta.security, const: [confidentiality, V]}\n"
    facade = Facade(SHIPPED, site(tmp_path, {"pasient.patient.yaml": text}))
    secret = {"institusjonID": "123456785", "pasientNr": "42", "adressesperre": "1", "rad_versjon": 1}

    def codes(given: str) -> list[str]:
        record = {**secret, "adressesperre": given}
        return [label["code"] for label in facade.to_fhir("pasient", record)["meta"].get("security", [])]

    assert "V" in codes("1")
    assert "R" not in codes("1")
    assert "V" not in codes("2")


def test_a_list_is_replaced_by_its_path(tmp_path: Path) -> None:
    text = "replace:\n  - each: oppfolging\n    fhir: extension(deltaker)\n"
    text += "    rules:\n      - {epj: oppfolgingType, fhir: valueCoding, system: vol-8720}\n"
    assert faults(tmp_path, text) == [
        "nord/stays.yaml:1: list 'deltakere' goes nowhere: map it, or ignore it with a reason"
    ]
    text = "remove:\n  - {fhir: extension(deltaker), each: deltakere}\nignore:\n  deltakere: not shown\n"
    made = stay(tmp_path, text, deltakere=[{"nr": 1, "deltakerType": "1"}])
    assert "deltaker" not in str(made)


def test_an_ignored_field_is_mapped_when_its_ignore_is_removed(tmp_path: Path) -> None:
    row = "add:\n  - {epj: note, fhir: extension(oppholdsdel).valueCode}\n"
    assert "nord/stays.yaml:4: opphold has no field 'note'" in faults(tmp_path, row)[0]
    gone = faults(tmp_path, "remove:\n  - {ignore: prosedyrer}\n")
    assert gone == ["nord/stays.yaml:1: list 'prosedyrer' goes nowhere: map it, or ignore it with a reason"]


def test_version_name_and_hash_say_that_the_site_had_a_hand_in_it(tmp_path: Path) -> None:
    text = "replace:\n  - {epj: episodeGUID, fhir: identifier, system: uri}\n"
    shipped = load_mapping_set(SHIPPED)
    one = load_mapping_set(SHIPPED, site(tmp_path / "a", {"stays.yaml": HEAD + text}))
    other = load_mapping_set(SHIPPED, site(tmp_path / "b", {"stays.yaml": HEAD + text.replace("uri", "pasient-guid")}))
    name = "opphold-encounter"
    assert one.mappings[name].version == f"{shipped.mappings[name].version}+3"
    assert len({each.mappings[name].hash8 for each in (shipped, one, other)}) == 3
    assert list(one.mappings) == list(shipped.mappings)


def test_lines_of_the_site_are_told_in_findings_lineage_and_generated_code(tmp_path: Path) -> None:
    text = "replace:\n  # why\n  - {epj: episodeGUID, fhir: identifier, system: uri}\n"
    facade = Facade(SHIPPED, site(tmp_path, {"stays.yaml": HEAD + text}))
    mapping = facade.mapping("opphold")
    ats = {str(rule.at) for rule in mapping.rules.rules}
    assert "nord/stays.yaml:5" in ats
    assert not any(int(at.rpartition(":")[2]) > 1000 for at in ats)
    assert "nord/stays.yaml:5" in {str(each.at) for each in facade.explain("opphold", STAY)}
    for made in (mapping.to_fhir, mapping.to_bytes):
        code = "".join(linecache.getlines(made.__code__.co_filename))
        assert "# nord/stays.yaml:5\n" in code
        assert "# opphold.encounter.yaml:" in code


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("replace:\n  - {epj: episodeFag, fhir: serviceTypes, system: vol-8451}\n",
         "4: no row writes 'serviceTypes', so none can be replaced (did you mean 'serviceType'?)"),
        ("remove:\n  - serviceTypes\n",
         "4: no row writes 'serviceTypes', so none can be removed (did you mean 'serviceType'?)"),
        ("remove:\n  - episodeOfCare\n",
         "4: 'episodeOfCare' is written by rows of henvisningsperiodeID, serieID: say {fhir: ..., epj: field}"),
        ("replace:\n  - {epj: pasientNr, fhir: episodeOfCare, to: EpisodeOfCare}\n",
         ("4: 'episodeOfCare' is written by rows of henvisningsperiodeID, serieID: "
          "remove {fhir: ..., epj: field} and add")),
        ("remove:\n  - {fhir: serviceType, epj: serieID}\n",
         "4: 'serviceType' is written by rows of episodeFag: say {fhir: ..., epj: field}"),
        ("remove:\n  - {ignore: prosedyrar}\n", "4: 'prosedyrar' is not ignored (did you mean 'prosedyrer'?)"),
        ("remove:\n  - {path: serviceType}\n", "4: a removal has no key 'path'"),
        ("replace:\n  - {epj: episodeFag}\n", "4: a row needs 'fhir'"),
        ("replace:\n  - serviceType\n", "4: a row is a table such as {epj: ..., fhir: ...}"),
        ("ad:\n  - {fhir: length.unit, const: d}\n", "3: a site mapping has no key 'ad' (did you mean 'add'?)"),
        ("add: serviceType\n", "3: 'add' is a list of rows"),
        ("add:\n  - {fhir: lengt.unit, const: d}\n",
         "4: 'lengt': Encounter has no element 'lengt' (did you mean 'length'?)"),
        ("add:\n  - {epj: episodeFag, fhir: serviceType, system: vol-8451}\n",
         "4: 'serviceType' is already written at opphold.encounter.yaml:26"),
        ("remove:\n  - serviceType\n",
         "1: field 'episodeFag' goes nowhere: map it, or ignore it with a reason"),
        ("remove:\n  - class\n", None),
        ("ignore:\n  episodeFag: no\n", "4: 'episodeFag' is mapped, so it must not stand under ignore"),
        ("ignore:\n  episodeFagg: no\n",
         "4: ignored field 'episodeFagg' does not exist in opphold (did you mean 'episodeFag'?)"),
        ("ignore:\n  prosedyrer: ''\n", "4: 'prosedyrer' is ignored without a reason"),
        ("version: 4\n", "3: key 'version' is written twice"),
    ],
)  # fmt: skip
def test_a_fault_of_a_site_is_told_where_it_stands(tmp_path: Path, text: str, said: str | None) -> None:
    found = faults(tmp_path, text)
    if said is None:
        assert [line.partition(": ")[2] for line in found] == ["required element Encounter.class is made by no row"]
    else:
        assert f"nord/stays.yaml:{said}" in found
        assert len(found) == 1, found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("extends: opphold-encountr\nversion: 1\n",
         "1: no mapping 'opphold-encountr' to extend (did you mean 'opphold-encounter'?)"),
        ("extends: opphold-encounter\n", "1: 'version' is missing"),
        ("[1, 2", "2: not YAML"),
    ],
)  # fmt: skip
def test_a_site_file_that_extends_nothing_is_told(tmp_path: Path, text: str, said: str) -> None:
    (found,) = told(tmp_path, {"stays.yaml": text})
    assert found.startswith(f"nord/stays.yaml:{said}")


def test_one_mapping_is_changed_by_one_file(tmp_path: Path) -> None:
    files = {"a.yaml": HEAD + "remove: []\n", "b.yaml": HEAD + "add: []\n"}
    assert told(tmp_path, files) == ["nord/b.yaml:1: 'opphold-encounter' is already changed by nord/a.yaml"]


def test_a_file_of_the_same_name_replaces_and_another_is_a_mapping_of_its_own(tmp_path: Path) -> None:
    shipped = (SHIPPED / "vedtak.servicerequest.yaml").read_text("utf-8")
    own = site(tmp_path, {"vedtak.servicerequest.yaml": shipped.replace("version: 1.0.0", "version: 9")})
    assert load_mapping_set(SHIPPED, own).mappings["vedtak-servicerequest"].version == "9"
    (tmp_path / "b").mkdir()
    found = told(tmp_path / "b", {"mine.servicerequest.yaml": shipped})
    assert any(line.endswith("a second mapping is called 'vedtak-servicerequest'") for line in found)


def test_a_record_file_gets_fields_and_a_table_of_the_vendor(tmp_path: Path) -> None:
    record = "extends: opphold\ntable: dips_opphold\nfields:\n  rom: {type: text, max: 10, meaning: room}\n"
    files = {"records/opphold.yaml": record}
    assert told(tmp_path, files) == [
        "opphold.encounter.yaml:2: field 'rom' goes nowhere: map it, or ignore it with a reason"
    ]
    files["stays.yaml"] = HEAD + "ignore:\n  rom: not shown\n"
    kind = load_mapping_set(SHIPPED, site(tmp_path, files)).kinds["opphold"]
    assert (kind.table, kind.fields["rom"].at) == ("dips_opphold", "nord/records/opphold.yaml:4")
    assert list(kind.fields)[:-1] == list(load_mapping_set(SHIPPED).kinds["opphold"].fields)
    files["records/opphold.yaml"] = record.replace("type: text", "type: txt")
    said = "nord/records/opphold.yaml:4: field 'rom' has unknown type 'txt' (did you mean 'text'?)"
    assert told(tmp_path, files) == [said]


def test_code_maps_and_systems_are_added_to_and_replaced(tmp_path: Path) -> None:
    uri = "http://nord.no/NamingSystem/episode"
    files = {
        "codes/level.yaml": 'extends: omsorgsniva-actcode\nmap:\n  "2": {to: ACUTE, display: inpatient acute}\n',
        "systems.yaml": f'systems:\n  episode: {{uri: "{uri}", meaning: ours}}\n  ward: {{uri: "http://nord.no/ward"}}\n'
        "extensions:\n  ward: {value: string, on: [Encounter]}\n",
        "stays.yaml": HEAD + "profile: none\n"  # ours asks for our own system
        "replace:\n  - {epj: oppholdsdel, fhir: extension(oppholdsdel).valueCode}\n"
        "add:\n  - {epj: episodeID, fhir: extension(ward).valueString}\n",
    }
    facade = Facade(SHIPPED, site(tmp_path, files))
    made = facade.to_fhir("opphold", {**STAY, "omsorgsniva": "2"})
    assert made["class"]["code"] == "ACUTE"
    assert made["identifier"][0]["system"] == uri
    assert {"url": "http://fhir-facade.no/fhir/StructureDefinition/ward", "valueString": "7"} in made["extension"]
    assert facade.mapping_set.vocabulary.extensions["ward"].at == "nord/systems.yaml:5"
    files["codes/level.yaml"] = 'extends: omsorgsniva-actcode\nmap:\n  "88": SS\n'
    assert told(tmp_path, files) == ["nord/codes/level.yaml:3: '88' is not in vol-8406 (did you mean '8'?)"]
    files["codes/level.yaml"] = "extends: omsorgsniva-actcod\n"
    said = "nord/codes/level.yaml:1: no code map 'omsorgsniva-actcod' to extend (did you mean 'omsorgsniva-actcode'?)"
    assert told(tmp_path, files) == [said]
    del files["codes/level.yaml"]
    (tmp_path / "nord/codes/level.yaml").unlink()
    files["systems.yaml"] = "systems:\n  ward: {url: x}\n"
    assert told(tmp_path, files)[0] == "nord/systems.yaml:2: a system has no key 'url' (did you mean 'uri'?)"


def test_a_site_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match="there is no folder"):
        load_mapping_set(SHIPPED, tmp_path / "nord")
