"""Lineage: one entry for every leaf of a resource, and each tells the truth of the record and of the mapping file."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import takewhile
from typing import Any

import pytest

from fhir_facade.contracts import Record
from fhir_facade.facade import Facade
from fhir_facade.mapping.compare import fingerprint, merge
from fhir_facade.mapping.findings import Finding
from fhir_facade.mapping.golden_files import examples_folder, read_examples
from fhir_facade.mapping.goldens import as_stored
from fhir_facade.mapping.ir import Coded, Condition, Copy, Custom, Identify, MappingRules, Step, System
from fhir_facade.mapping.lineage import Lineage, below, trace
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
from fhir_facade.resources import data_root

SHIPPED = data_root("mappings")
Pairs = list[tuple[CompiledMapping, Record]]
Traced = list[tuple[CompiledMapping, Record, list[Lineage]]]


def leaf_paths(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every primitive of a resource with its FHIRPath, read from plain JSON alone."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaf_paths(inner, f"{path}.{name[1:] if name[0] == '_' else name}")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaf_paths(inner, f"{path}[{place}]")
    else:
        yield path, value


def held(record: Record, field: str) -> Any:
    """What a record holds in a field as lineage writes it: `utDatoTid`, `helsepersonell[2].rolle`."""
    match = re.fullmatch(r"(\w+)\[(\d+)\]\.(\$?\w+)", field)
    return record[match[1]][int(match[2])].get(match[3]) if match else record.get(field)


@pytest.fixture(scope="module")
def pairs(mapping_set: MappingSet, synthetic: dict[str, list[Record]]) -> Pairs:
    return [
        (mapping, record)
        for mapping in mapping_set.mappings.values()
        for record in synthetic.get(mapping.kind.name, ())
    ]  # fmt: skip


@pytest.fixture(scope="module")
def traced(pairs: Pairs) -> Traced:
    return [(mapping, record, mapping.explain(record)) for mapping, record in pairs]


def test_every_leaf_of_every_resource_has_one_entry_and_no_entry_is_beside(traced: Traced) -> None:
    assert len({mapping.name for mapping, _, _ in traced}) >= 20
    for mapping, record, entries in traced:
        there = dict(leaf_paths(mapping.to_fhir(record, []), mapping.resource_type))
        assert {entry.path: entry.written for entry in entries} == there
        assert len(entries) == len(there)


def test_every_leaf_of_every_golden_example_has_one_entry(mapping_set: MappingSet) -> None:
    told: Counter[str] = Counter()
    for name, mapping in mapping_set.mappings.items():
        findings: list[Finding] = []
        for example in read_examples(examples_folder(SHIPPED, mapping), findings):
            if example.is_inbound:
                continue
            entries = mapping.explain(as_stored(mapping_set.kinds, mapping.kind, example.parts["epj"]))
            leaves = list(leaf_paths(example.parts["fhir"], mapping.resource_type))
            servers_own = {f"{mapping.resource_type}.meta.{each}" for each in ("versionId", "lastUpdated")}
            found = [(each.path, each.written) for each in entries if each.path not in servers_own]
            assert sorted(found, key=str) == sorted(leaves, key=str), example
            told[name] += len(leaves)
        assert findings == []
    assert set(told) == set(mapping_set.mappings)
    print(f"{sum(told.values())} leaves of golden examples")


def test_the_value_of_every_entry_is_what_the_record_holds_in_its_field(traced: Traced) -> None:
    for _, record, entries in traced:
        for entry in entries:
            first = entry.field.split(" | ")[0]
            assert entry.value == (held(record, first) if first else None), entry


def test_each_status_says_how_the_value_relates_to_the_record(traced: Traced) -> None:
    seen: Counter[str] = Counter()
    for _, _, entries in traced:
        for entry in entries:
            seen[entry.status] += 1
            match entry.status:
                case "mapped":
                    assert shows(entry), entry
                case "kept-original" if entry.path.endswith(".code"):
                    assert entry.written == entry.value, entry
                case "translated":
                    assert entry.value is not None, entry
                case "constant":
                    assert (entry.field, entry.value, entry.code_map) == ("", None, ""), entry
                case _:
                    assert entry.field, entry
    assert seen.keys() == {"mapped", "translated", "kept-original", "derived", "constant"}
    assert min(seen.values()) > 50, seen


def shows(entry: Lineage) -> bool:
    """Whether a leaf shows what the field holds: itself, with an offset, or as part of an id or a reference."""
    if entry.written == entry.value:
        return True
    text = str(entry.written)
    if entry.kind == "reference":
        held_text = "." + str(entry.value) if not entry.field.endswith("$key") else str(entry.value)
        return text.endswith((held_text, f"/{entry.value}", f"-{entry.value}")) or text.rsplit("/", maxsplit=1)[
            -1
        ].startswith("x")
    if entry.kind == "id":
        return text.endswith(str(entry.value))
    return text.startswith(str(entry.value))  # a time with its offset, a version with the hash of the mapping


def row_at(lines: list[str], number: int) -> str:
    """The text of a row: its line and those below it that are no row of their own."""
    rest = (line for line in lines[number:])
    return "\n".join([lines[number - 1], *takewhile(lambda line: not line.lstrip().startswith("- "), rest)])


def test_every_place_is_the_row_that_speaks_of_the_field(traced: Traced, mapping_set: MappingSet) -> None:
    lines = {path.name: path.read_text("utf-8").splitlines() for path in data_root("mappings").glob("*.yaml")}
    for mapping, _, entries in traced:
        for entry in entries:
            file, _, number = entry.at.rpartition(":")
            assert file == mapping.rules.file
            row = row_at(lines[file], int(number))
            if entry.path.startswith(f"{mapping.resource_type}.meta.") and number == "1":
                continue
            for name in entry.field.split(" | ") if entry.field else ():
                assert name.rpartition(".")[2] in row, (entry, row)


def test_code_maps_are_named_with_their_version(traced: Traced, mapping_set: MappingSet) -> None:
    named = {entry.code_map for _, _, entries in traced for entry in entries if entry.status == "translated"}
    maps = {f"{each.name}|{each.version}" for each in mapping_set.vocabulary.code_maps.values()}
    assert named - {""} <= maps
    assert len(named) > 3


def test_a_list_item_is_known_by_its_place_in_the_record_though_others_are_not_shown() -> None:
    units = [{"typeEnhet": "1", "enhetID": "A"}, {"typeEnhet": "7", "enhetID": "B"}]
    entries = Facade().explain("opphold", STAY | {"enheter": units})
    provider = one(entries, "Encounter.serviceProvider.reference")
    assert (provider.field, provider.value, provider.status) == ("enheter[1].enhetID", "B", "mapped")
    url = one(entries, "Encounter.extension[2].url")
    assert (url.field, url.kind, url.status) == ("", "list", "constant")


PATIENT: dict[str, Any] = {"institusjonID": "1", "pasientNr": "P1", "kjonn": "2", "etternavn": "Li"}
STAY: dict[str, Any] = {
    "institusjonID": "983974880", "pasientNr": "P1", "episodeID": "E1", "episodeGUID": "g",
    "omsorgsniva": "8", "innDatoTid": "2024-03-01T10:00:00", "oppholdsdel": "AvdOpp", "innmateHast": "3",
}  # fmt: skip


def one(entries: list[Lineage], path: str) -> Lineage:
    found = [entry for entry in entries if entry.path == path]
    assert len(found) == 1, path
    return found[0]


def test_a_translated_code_and_the_original_beside_it_are_told_apart() -> None:
    entries = Facade().explain("opphold", STAY)
    standard, own = (one(entries, f"Encounter.priority.coding[{place}].code") for place in (0, 1))
    assert (standard.written, standard.value, standard.status) == ("UR", "3", "translated")
    assert (own.written, own.value, own.status) == ("3", "3", "kept-original")
    assert standard.code_map == own.code_map == "innmatehast-actpriority|1.0.0"
    status = one(entries, "Encounter.status")
    assert (status.field, status.status, status.kind) == ("utDatoTid", "derived", "derived")
    start = one(entries, "Encounter.period.start")
    assert (start.written, start.value) == ("2024-03-01T10:00:00+01:00", "2024-03-01T10:00:00")


def test_a_code_that_the_map_lacks_says_why_it_is_absent_and_where_the_original_is() -> None:
    entries = Facade().explain("pasient", {"institusjonID": "1", "pasientNr": "P1", "kjonn": "77"})
    reason = one(entries, "Patient.gender.extension[0].valueCode")
    own = one(entries, "Patient.gender.extension[1].valueCoding.code")
    assert (reason.written, reason.status, reason.field, reason.value) == ("unsupported", "absent", "kjonn", "77")
    assert (own.written, own.status) == ("77", "kept-original")
    assert reason.code_map == own.code_map == "kjonn-gender|1.0.0"


# ---- rows that our own mappings do not have


def rules_of(*rules: Any) -> MappingRules:
    return MappingRules("m", "2", "k", "Patient", "", rules, {}, "k.patient.yaml")


class Halves:
    examples = ((1, {"start": "0"}),)

    def to_fhir(self, value: Any) -> Any:
        return {"start": f"{value}-01-01", "end": f"{value}-12-31"}

    def to_record(self, value: Any) -> Any:
        return value


def entries_of(rules: MappingRules, record: Record) -> dict[str, Lineage]:
    return {entry.path: entry for entry in trace(rules, record)}


def test_what_python_makes_is_mapped_leaf_by_leaf() -> None:
    path = (Step("name", many=True), Step("period", many=False))
    told = entries_of(rules_of(Custom(path, (), "k.patient.yaml:3", "year", Halves(), "own:halves")), {"year": "2020"})
    end = told["Patient.name[0].period.end"]
    assert (end.written, end.field, end.value, end.status) == ("2020-12-31", "year", "2020", "mapped")
    assert end.kind == "python own:halves"


def test_the_reason_for_an_absent_value_has_the_row_and_the_field() -> None:
    rule = Copy((Step("birthDate", many=False),), (), "k.patient.yaml:4", ("born",), "date", "date", absent="unknown")
    told = entries_of(rules_of(rule), {"born": None})
    reason = told["Patient.birthDate.extension[0].valueCode"]
    assert (reason.written, reason.status, reason.field, reason.value) == ("unknown", "absent", "born", None)
    assert reason.at == "k.patient.yaml:4"
    assert set(told) == {"Patient.resourceType", "Patient.birthDate.extension[0].url", reason.path}


def test_the_first_field_that_is_there_is_named() -> None:
    rule = Copy((Step("birthDate", many=False),), (), "k.patient.yaml:4", ("born", "bornYear"), "date", "date")
    told = entries_of(rules_of(rule), {"born": None, "bornYear": "1980"})["Patient.birthDate"]
    assert (told.field, told.value) == ("bornYear", "1980")


def test_a_row_that_only_reads_writes_nothing_and_a_guard_that_fails_neither() -> None:
    path = (Step("birthDate", many=False),)
    reading = Copy(path, (), "k.patient.yaml:4", ("born",), "date", "date", only="from-fhir")
    guarded = Copy(path, (Condition("born", ("x",)),), "k.patient.yaml:5", ("born",), "date", "date")
    assert set(entries_of(rules_of(reading, guarded), {"born": "1980-01-01"})) == {"Patient.resourceType"}


def test_a_system_chosen_by_a_field_is_translated_from_it() -> None:
    system = System("a", "urn:a")
    code = Coded(
        (Step("maritalStatus", many=False),), (), "k.patient.yaml:6", "code", "CodeableConcept", None, "letter",
        {"D": system}, "edition", None, "",
    )  # fmt: skip
    number = Identify(
        (Step("identifier", many=True),), (), "k.patient.yaml:7", "number", None, "sort", {}, System("t", "urn:t"), "", None
    )  # fmt: skip
    told = entries_of(rules_of(code, number), {"code": "1", "letter": "D", "edition": "9", "number": "5", "sort": "Z"})
    parts = {
        path.removeprefix("Patient."): (entry.field, entry.value, entry.status)
        for path, entry in told.items()
        if path != "Patient.resourceType"
    }
    assert parts == {
        "maritalStatus.coding[0].system": ("letter", "D", "translated"),
        "maritalStatus.coding[0].version": ("edition", "9", "mapped"),
        "maritalStatus.coding[0].code": ("code", "1", "mapped"),
        "identifier[0].type.coding[0].system": ("", None, "constant"),
        "identifier[0].type.coding[0].code": ("sort", "Z", "mapped"),
        "identifier[0].value": ("number", "5", "mapped"),
    }


# ---- what is kept beside the record


def test_what_is_merged_in_beside_the_record_has_status_remainder_and_moves_nothing(pairs: Pairs) -> None:
    mapping, record = next((each, one) for each, one in pairs if each.name == "opphold-encounter" and one["enheter"])
    resource = mapping.to_fhir(record, [])
    kind = resource["type"][0]
    patch = {
        "add": {"language": "nb"},
        "in": {
            "period": {"add": {"_start": {"id": "a"}}},
            "type": {"more": [[0, {"text": "first"}, 0]], "of": [[fingerprint(kind), {"add": {"text": "seen"}}]]},
        },
    }
    whole, orphans = merge(resource, patch)
    assert orphans == 0
    plain = {entry.path: entry for entry in mapping.explain(record)}
    told = {entry.path: entry for entry in mapping.explain(record, served=whole)}
    assert {path: entry.written for path, entry in told.items()} == dict(leaf_paths(whole, "Encounter"))
    kept = {path for path, entry in told.items() if entry.status == "remainder"}
    assert kept == {
        "Encounter.language", "Encounter.period.start.id", "Encounter.type[0].text", "Encounter.type[1].text",
    }  # fmt: skip
    assert {replace(told[path], path="") for path in told.keys() - kept} == {
        replace(entry, path="") for entry in plain.values()
    }
    assert told["Encounter.type[1].coding[0].code"].at == plain["Encounter.type[0].coding[0].code"].at


# ---- finding an element


def test_an_element_is_found_with_all_that_is_below_it() -> None:
    entries = Facade().explain("opphold", STAY)
    for asked in ("priority", "Encounter.priority", "Encounter.priority.coding[0]"):
        assert {entry.path.split(".")[1] for entry in below(entries, asked)} == {"priority"}
    assert [entry.path for entry in below(entries, "period.start")] == ["Encounter.period.start"]
    assert {entry.path[: len("Encounter.type[0]")] for entry in below(entries, "type")} == {"Encounter.type[0]"}
    assert below(entries, "Encounter") == entries


def test_an_element_that_is_not_there_comes_with_the_nearest() -> None:
    entries = Facade().explain("opphold", STAY)
    with pytest.raises(ValueError, match=r"did you mean 'Encounter\.period\.start'"):
        below(entries, "Encounter.period.strat")
    with pytest.raises(ValueError, match=r"did you mean 'Encounter\.priority\.coding\[0\]\.code'"):
        below(entries, "priority.coding[0].cod")
    for nowhere in ("zzzzzzzz", "Patient", "period.sta", ""):
        with pytest.raises(ValueError):
            below(entries, nowhere)


def test_entries_stand_in_the_order_of_r4() -> None:
    paths = [entry.path for entry in Facade().explain("pasient", PATIENT)]
    heads = list(dict.fromkeys(path.split(".")[1].split("[")[0] for path in paths))
    assert heads == ["resourceType", "id", "meta", "identifier", "name", "gender"]
    assert paths.index("Patient.gender") + 1 == paths.index("Patient.gender.extension[0].url")
