"""Mappings as R4 StructureMaps and ConceptMaps: valid, whole, coherent, and true to what the engines do."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class
from typer.testing import CliRunner

from fhir_facade.cli import app
from fhir_facade.definitions import concrete_name, definitions
from fhir_facade.mapping.codecs import coded_value
from fhir_facade.mapping.concept_map import concept_map, doubts, map_url, reverse_concept_map
from fhir_facade.mapping.ir import Coded, CodeMap, Copy, Each, Rule, Target
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
from fhir_facade.mapping.read_values import back
from fhir_facade.mapping.structure_map import WAYS, Way, exported, structure_map

Json = dict[str, Any]
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
R4 = "http://hl7.org/fhir/StructureDefinition/"


def made(mapping_set: MappingSet, mapping: CompiledMapping, way: Way) -> Json:
    return structure_map(mapping.rules, way, mapping_set.kinds, mapping_set.vocabulary)


def both(mapping_set: MappingSet) -> Iterator[tuple[CompiledMapping, Way, Json]]:
    for mapping in mapping_set.mappings.values():
        for way in WAYS:
            yield mapping, way, made(mapping_set, mapping, way)


def rules_of(structure: Json) -> Iterator[Json]:
    waiting = [rule for group in structure["group"] for rule in group["rule"]]
    while waiting:
        rule = waiting.pop()
        yield rule
        waiting += rule.get("rule", [])


# StructureMap


def test_every_mapping_exports_as_valid_r4_in_both_directions(mapping_set: MappingSet) -> None:
    seen = set()
    for mapping in mapping_set.mappings.values():
        for resource in exported(mapping.rules, WAYS, mapping_set.kinds, mapping_set.vocabulary):
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
            assert ID(resource["id"])
            assert resource["url"].startswith(f"{mapping_set.vocabulary.base}/{resource['resourceType']}/")
            seen.add((resource["resourceType"], resource["url"]))
    assert len([url for kind, url in seen if kind == "StructureMap"]) == 2 * len(mapping_set.mappings)
    assert {kind for kind, _ in seen} == {"StructureMap", "ConceptMap"}


def working(rules: tuple[Rule, ...], way: Way) -> Iterator[Rule]:
    """The rules that work in a direction: what only shows other records works one way."""
    for rule in rules:
        if rule.only not in ("", way):
            continue
        yield rule
        if isinstance(rule, Each) and not (rule.records and way == "from-fhir"):
            yield from working(rule.rules, way)


def told(structure: Json) -> set[str]:
    said = [rule["documentation"] for rule in rules_of(structure) if "documentation" in rule]
    return {":".join(text.split(":")[:2]) for text in said}


def test_every_rule_stands_in_the_structure_map_of_the_directions_it_works_in(mapping_set: MappingSet) -> None:
    for mapping, way, structure in both(mapping_set):
        assert {rule.at for rule in working(mapping.rules.rules, way)} == told(structure), (mapping.name, way)


def test_a_rule_of_one_direction_stands_in_that_one_alone(mapping_set: MappingSet) -> None:
    mapping = mapping_set.mappings["pasient-patient"]
    first = next(rule for rule in mapping.rules.rules if isinstance(rule, Copy))
    for only in WAYS:
        rules = tuple(dataclasses.replace(one, only=only) if one is first else one for one in mapping.rules.rules)
        one_way = dataclasses.replace(mapping, rules=dataclasses.replace(mapping.rules, rules=rules))
        for way in WAYS:
            assert (first.at in told(made(mapping_set, one_way, way))) == (way == only)


def test_a_default_and_a_reason_for_absence_have_rules_of_their_own(mapping_set: MappingSet) -> None:
    mapping = mapping_set.mappings["pasient-patient"]
    first = next(rule for rule in mapping.rules.rules if isinstance(rule, Copy))
    given = dataclasses.replace(first, default="Ukjent", absent="unknown")
    rules = tuple(given if one is first else one for one in mapping.rules.rules)
    changed = dataclasses.replace(mapping, rules=dataclasses.replace(mapping.rules, rules=rules))
    forward, backward = (orjson.dumps(made(mapping_set, changed, way)).decode() for way in WAYS)
    assert '"unknown"' in forward
    assert "data-absent-reason" in forward
    assert '"Ukjent"' in backward
    assert f"{first.fields[0]}.exists().not()" in forward


def test_there_is_a_group_for_the_mapping_and_for_each_list_with_rows(mapping_set: MappingSet) -> None:
    for mapping, way, structure in both(mapping_set):
        lists = [
            rule
            for rule in working(mapping.rules.rules, way)
            if isinstance(rule, Each) and rule.rules[0].path and not (rule.records and way == "from-fhir")
        ]
        assert len(structure["group"]) == 1 + len(lists), (mapping.name, way)
        assert structure["group"][0]["name"] == mapping.name.replace("_", "-")
        begun = sorted(group["name"].split("-")[0] for group in structure["group"][1:])
        assert begun == sorted(rule.child for rule in lists), (mapping.name, way)


def test_names_are_ids_and_no_name_of_a_rule_or_group_stands_twice(mapping_set: MappingSet) -> None:
    for mapping, way, structure in both(mapping_set):
        names = [rule["name"] for rule in rules_of(structure)] + [group["name"] for group in structure["group"]]
        assert all(map(ID, names)), (mapping.name, way)
        assert len(names) == len(set(names)), (mapping.name, way)


class Walk:
    """Follows every variable of a StructureMap: each is made before it is used, and names an element that R4 has."""

    def __init__(self, structure: Json) -> None:
        self.groups = {group["name"]: group for group in structure["group"]}
        self.types = {one["alias"]: one["url"].removeprefix(R4) for one in structure["structure"]}
        self.called: set[str] = set()

    def start(self) -> None:
        group = next(iter(self.groups.values()))
        self.group(group, {one["name"]: self.types[one["type"]] for one in group["input"]})
        assert self.called == set(self.groups) - {group["name"]}

    def group(self, group: Json, known: dict[str, str]) -> None:
        for rule in group["rule"]:
            self.rule(rule, known)

    def rule(self, rule: Json, outer: dict[str, str]) -> None:
        known = dict(outer)
        assert len(rule["source"]) == 1  # what the engines in use read
        for one in rule["source"]:
            self.step(one, known, one.get("type", ""))
        for one in rule.get("target", ()):
            assert one["contextType"] == "variable"
            words = one.get("parameter", ())
            created = words[0]["valueString"] if one.get("transform") == "create" else ""
            self.step(one, known, created)
            assert all(word["valueId"] in known for word in words if "valueId" in word), one
        for inner in rule.get("rule", ()):
            self.rule(inner, known)
        for call in rule.get("dependent", ()):
            group = self.groups[call["name"]]
            self.called.add(call["name"])
            names = [one["name"] for one in group["input"]]
            assert len(names) == len(call["variable"])
            self.group(group, dict(zip(names, (known[name] for name in call["variable"]), strict=True)))

    def step(self, one: Json, known: dict[str, str], type_name: str) -> None:
        assert one["context"] in known, one
        where = known[one["context"]]
        element = one.get("element")
        if element and not where.startswith("http"):  # the record side is a logical model, not known to R4
            plain = f"{where}.{element}"
            if definitions().element(plain) is None:
                choice = definitions().element(f"{plain}[x]")
                assert choice is not None, one
                type_name = type_name or choice.types[0]
                assert type_name in choice.types, one
                plain = f"{where}.{concrete_name(element, type_name)}"
            where = plain
        if "variable" in one:
            known[one["variable"]] = where


def test_every_variable_is_made_before_it_is_used_and_every_element_exists(mapping_set: MappingSet) -> None:
    for _, _, structure in both(mapping_set):
        Walk(structure).start()


def test_every_translate_names_a_concept_map_that_is_exported_with_it(mapping_set: MappingSet) -> None:
    named = 0
    for mapping in mapping_set.mappings.values():
        for way in WAYS:
            resources = exported(mapping.rules, (way,), mapping_set.kinds, mapping_set.vocabulary)
            urls = {one["url"] for one in resources if one["resourceType"] == "ConceptMap"}
            asked = {
                target["parameter"][1]["valueString"]
                for rule in rules_of(resources[0])
                for target in rule.get("target", ())
                if target.get("transform") == "translate"
            }
            assert asked == urls, (mapping.name, way)
            named += len(asked)
    assert named > 8


# ConceptMap


def code_maps(mapping_set: MappingSet) -> Iterator[CodeMap]:
    yield from mapping_set.vocabulary.code_maps.values()


def rule_of(code_map: CodeMap) -> Coded:
    return Coded((), (), "x:1", "f", "Coding", code_map.source, "", {}, "", code_map, "")


def translated(resource: Json, system: str, code: str) -> tuple[str, str] | None:
    """What R4's $translate answers by the data of a ConceptMap alone."""
    for group in resource["group"]:
        if group["source"] != system:
            continue
        for element in group["element"]:
            if element["code"] == code:
                return group["target"], element["target"][0]["code"]
        if group.get("unmapped", {}).get("mode") == "provided":
            return system, code
    return None


def test_every_code_of_a_map_stands_in_its_concept_map(mapping_set: MappingSet) -> None:
    for code_map in code_maps(mapping_set):
        resource = concept_map(code_map, mapping_set.vocabulary)
        get_fhir_model_class("ConceptMap").model_validate(resource)
        rows = {row["code"]: row["target"] for group in resource["group"] for row in group["element"]}
        assert set(rows) == set(code_map.targets)
        for own, target in code_map.targets.items():
            assert [(one["code"], one["equivalence"]) for one in rows[own]] == [(target.code, target.relation)]
        assert resource["url"] == map_url(code_map.name, mapping_set.vocabulary)
        assert resource["version"] == code_map.version


def test_translate_by_the_concept_map_is_what_the_engine_does(mapping_set: MappingSet) -> None:
    seen = 0
    for code_map in code_maps(mapping_set):
        resource = concept_map(code_map, mapping_set.vocabulary)
        for code in [*(code_map.source.displays or ()), *code_map.targets, "no-such-code"]:
            value, _ = coded_value(rule_of(code_map), code, None, None, [])
            expected = None if value is None else (value["system"], value["code"])
            assert translated(resource, code_map.source.uri, code) == expected, (code_map.name, code)
            seen += 1
    assert seen > 40


def test_translate_back_by_the_reverse_concept_map_is_what_the_engine_does(mapping_set: MappingSet) -> None:
    seen = 0
    for code_map in code_maps(mapping_set):
        resource = reverse_concept_map(code_map, mapping_set.vocabulary)
        if not resource["group"][0]["element"]:
            continue
        get_fhir_model_class("ConceptMap").model_validate(resource)
        for code in [*{target.code for target in code_map.targets.values()}, "no-such-code"]:
            answer = back(rule_of(code_map), code_map, code)
            expected = (code_map.source.uri, answer["f"]) if isinstance(answer, dict) else None
            assert translated(resource, code_map.target_system, code) == expected, (code_map.name, code)
            seen += 1
    assert seen > 15


def test_a_standard_code_with_two_sources_and_no_choice_goes_nowhere(mapping_set: MappingSet) -> None:
    sound = next(code_map for code_map in code_maps(mapping_set) if code_map.back)
    unsure = dataclasses.replace(sound, back={})
    codes = {row["code"] for row in reverse_concept_map(unsure, mapping_set.vocabulary)["group"][0]["element"]}
    assert codes.isdisjoint(sound.back)
    assert codes | set(sound.back) == {target.code for target in sound.targets.values()}


@pytest.mark.parametrize(("relation", "other"), [("wider", "narrower"), ("narrower", "wider"), ("inexact", "inexact")])
def test_relations_turn_round_and_inexact_ones_have_a_comment(
    mapping_set: MappingSet, relation: str, other: str
) -> None:
    """R4 invariant cmd-1: narrower and inexact need a comment."""
    sound = next(code_maps(mapping_set))
    targets = {"1": Target("a", sound.target_system, "A", relation)}
    code_map = dataclasses.replace(sound, targets=targets, back={})
    for resource, expected in (
        (concept_map(code_map, mapping_set.vocabulary), relation),
        (reverse_concept_map(code_map, mapping_set.vocabulary), other),
    ):
        target = resource["group"][0]["element"][0]["target"][0]
        assert target["equivalence"] == expected
        assert ("comment" in target) == (expected in ("narrower", "inexact"))


def test_no_code_map_says_what_r4_denies(mapping_set: MappingSet) -> None:
    """Law: targets stand in the value set that the map names, and a choice back means the same."""
    for code_map in code_maps(mapping_set):
        assert doubts(code_map) == []
        assert definitions().codes(code_map.target_value_set), code_map.name
        own, target = next(iter(code_map.targets.items()))
        unknown = {**code_map.targets, own: dataclasses.replace(target, code="no-such-code")}
        wider = {**code_map.targets, own: dataclasses.replace(target, relation="wider")}
        back_to = {target.code: own}
        assert doubts(dataclasses.replace(code_map, targets=unknown, back={}))
        assert doubts(dataclasses.replace(code_map, targets=wider, back=back_to))


# the command


def test_the_command_writes_a_file_for_each_map(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["mapping", "export", "opphold-encounter", "--output", str(tmp_path)])
    assert result.exit_code == 0, result.output
    names = {path.name for path in tmp_path.iterdir()}
    assert "StructureMap-opphold-encounter-to-fhir.json" in names
    assert "StructureMap-opphold-encounter-from-fhir.json" in names
    assert "ConceptMap-omsorgsniva-actcode.json" in names
    assert f"{len(names)} file(s) written" in result.output
    one = orjson.loads((tmp_path / "StructureMap-opphold-encounter-to-fhir.json").read_bytes())
    get_fhir_model_class("StructureMap").model_validate(one)


def test_the_command_prints_a_bundle_of_one_direction() -> None:
    result = CliRunner().invoke(app, ["mapping", "export", "--direction", "from-fhir"])
    assert result.exit_code == 0, result.output
    bundle = orjson.loads(result.stdout)
    get_fhir_model_class("Bundle").model_validate(bundle)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(urls) == len(set(urls))
    assert not any(url.endswith("-to-fhir") for url in urls)
    assert any(url.endswith("-reverse") for url in urls)


def test_the_command_says_which_mappings_there_are() -> None:
    result = CliRunner().invoke(app, ["mapping", "export", "opphold-encountr"])
    assert result.exit_code == 2
    assert "did you mean 'opphold-encounter'?" in result.output
