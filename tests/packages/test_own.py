"""Our own profiles: the form is read as R4 says it, every fault has its line, and the shipped files have none."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.definitions import definitions
from fhir_facade.packages.elements import Definition
from fhir_facade.packages.own import (
    CONFIDENCE,
    RESTATES,
    SOURCE,
    Own,
    fingerprint,
    own_definitions,
    own_files,
    own_table,
    read_own,
)
from fhir_facade.packages.own_checks import check_definitions, check_own
from fhir_facade.packages.own_elements import NPR_RULE
from fhir_facade.packages.own_reading import norwegian
from fhir_facade.profile.fhirpath_syntax import parse
from fhir_facade.resources import data_root

SHIPPED = data_root("profiles") / "structure-definitions"
FAULTS = yaml.safe_load((Path(__file__).parent / "own_faults.yaml").read_text("utf-8"))

PROFILE = """profile: http://a.no/StructureDefinition/one
name: One
title: {en: One, nb: En}
description: {en: It is one., nb: Det er en.}
source: nowhere
confidence: verified
status: active
type: Encounter
parent: http://hl7.org/fhir/StructureDefinition/Encounter
elements:
  type: {card: 0..4, slices: {by: [value:coding.system], rules: open}}
  type:level: {card: 1..1, binding: [required, "urn:oid:2.16.578.1.12.4.1.1.8406"], en: Level, nb: Nivå}
  type:level.coding: {card: 1..1}
  type:level.coding.system: {card: 1..1, fixed: {uri: "urn:x:1"}}
  period.start: {card: 1..1}
  type:other: {pattern: {CodeableConcept: {coding: [{system: "urn:x:2", code: a}]}}}
  subject: {targets: [http://hl7.org/fhir/StructureDefinition/Patient]}
  class: {}
constraints:
  one-ended: {on: period,
    severity: error, expression: "start <= end", npr: 42, en: It happens., nb: Det skjer.}
"""
EXTENSION = """extension: http://a.no/StructureDefinition/two
name: Two
title: {en: Two, nb: To}
description: {en: It is two., nb: Det er to.}
source: nowhere
confidence: inferred
status: draft
context: [Encounter]
value: Coding
binding: [required, "urn:oid:2.16.578.1.12.4.1.1.8406"]
"""
TEXTS = {"profile": PROFILE, "extension": EXTENSION}


def read(*texts: str) -> tuple[list[Own], list[str]]:
    """The definitions of some texts, and the faults without the name of the file."""
    found, faults = read_own({f"{place}.yaml": text.encode() for place, text in enumerate(texts)})
    return found, [f"{fault.line}: {fault.message}" for fault in faults]


def rows(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in content["differential"]["element"]}


def test_both_texts_are_good() -> None:
    """The table of faults starts from texts that have none, alone and together."""
    found, faults = read(PROFILE, EXTENSION)
    assert faults == []
    assert check_definitions(found) == []


def test_a_profile_is_read_as_a_differential() -> None:
    """Counts, types, slices, values, bindings, constraints and both languages; in R4's order and not in the file's."""
    (own,), _ = read(PROFILE)
    content, by_id = own.content, rows(own.content)
    assert list(by_id) == [
        "Encounter.class", "Encounter.type", "Encounter.type:level", "Encounter.type:level.coding",
        "Encounter.type:level.coding.system", "Encounter.type:other", "Encounter.subject", "Encounter.period",
        "Encounter.period.start",
    ]  # fmt: skip
    assert by_id["Encounter.type"] == {
        "id": "Encounter.type",
        "path": "Encounter.type",
        "slicing": {"discriminator": [{"type": "value", "path": "coding.system"}], "rules": "open"},
        "min": 0,
        "max": "4",
    }
    level = by_id["Encounter.type:level"]
    assert (level["path"], level["sliceName"], level["short"]) == ("Encounter.type", "level", "Level")
    assert norwegian(level, "short") == "Nivå"
    assert level["binding"] == {"strength": "required", "valueSet": "urn:oid:2.16.578.1.12.4.1.1.8406"}
    assert by_id["Encounter.type:level.coding.system"]["fixedUri"] == "urn:x:1"
    coding = {"system": "urn:x:2", "code": "a"}
    assert by_id["Encounter.type:other"]["patternCodeableConcept"] == {"coding": [coding]}
    (target,) = by_id["Encounter.subject"]["type"]
    assert target == {"code": "Reference", "targetProfile": ["http://hl7.org/fhir/StructureDefinition/Patient"]}
    (rule,) = by_id["Encounter.period"]["constraint"]
    assert (rule["key"], rule["expression"], rule["human"]) == ("one-ended", "start <= end", "It happens.")
    assert norwegian(rule, "human") == "Det skjer."
    assert rule["extension"] == [{"url": NPR_RULE, "valueString": "42"}]
    assert norwegian(content, "title") == "En"
    (same,), _ = read(PROFILE.replace("{en: One, nb: En}", "{en: One, nb: One}"))
    assert "_title" not in same.content
    assert {each["url"] for each in content["extension"]} == {SOURCE, CONFIDENCE}
    assert own.lines["Encounter.period.start"] == 15


def test_an_extension_is_read_as_a_differential() -> None:
    """A value, its context, its url; and with parts the same for each."""
    (own,), _ = read(EXTENSION)
    by_id = rows(own.content)
    assert own.content["context"] == [{"type": "element", "expression": "Encounter"}]
    assert by_id["Extension.url"]["fixedUri"] == "http://a.no/StructureDefinition/two"
    assert by_id["Extension.value[x]"]["type"] == [{"code": "Coding"}]
    assert by_id["Extension.extension"]["max"] == "0"
    parts = "parts:\n  a: {card: 1..1, value: [string, url]}\n  b: {card: 0..*, parts: {c: {value: boolean}}}\n"
    (complex_one,), faults = read(EXTENSION.partition("value:")[0] + "modifier: true\n" + parts)
    by_id = rows(complex_one.content)
    assert faults == []
    assert by_id["Extension"]["isModifier"] is True
    assert by_id["Extension.value[x]"]["max"] == "0"
    assert (by_id["Extension.extension:a"]["min"], by_id["Extension.extension:b"]["max"]) == (1, "*")
    assert by_id["Extension.extension:a.value[x]"]["type"] == [{"code": "string"}, {"code": "url"}]
    assert by_id["Extension.extension:b.extension:c.url"]["fixedUri"] == "c"
    assert by_id["Extension.extension:b.extension:c"]["max"] == "1"


def test_values_become_the_json_of_their_type() -> None:
    """Numbers and truth values are no texts; a rule on order is kept; a reference alone has targets."""
    text = PROFILE.replace("type: Encounter", "type: Observation").partition("elements:")[0] + (
        "elements:\n  value[x]:valueBoolean: {fixed: {boolean: true}, types: [boolean]}\n"
        "  value[x]:valueInteger: {fixed: {integer: -3}, types: [integer]}\n"
        "  value[x]:valueQuantity: {pattern: {Quantity: {value: 1.50, unit: mg}}, types: [Quantity]}\n"
        "  component: {slices: {by: [pattern:code, exists:value], rules: closed, ordered: true}}\n"
        "  extension:a.value[x]: {types: [Reference, Coding], targets: [Patient]}\n"
    )
    (own,), faults = read(text)
    by_id = rows(own.content)
    assert faults == []
    assert by_id["Observation.value[x]:valueBoolean"]["fixedBoolean"] is True
    assert by_id["Observation.value[x]:valueInteger"]["fixedInteger"] == -3
    assert by_id["Observation.value[x]:valueQuantity"]["patternQuantity"] == {"value": 1.5, "unit": "mg"}
    slicing = by_id["Observation.component"]["slicing"]
    assert (slicing["rules"], slicing["ordered"], len(slicing["discriminator"])) == ("closed", True, 2)
    kinds = by_id["Observation.extension:a.value[x]"]["type"]
    assert kinds == [{"code": "Reference", "targetProfile": ["Patient"]}, {"code": "Coding"}]


def test_a_value_is_not_read_for_ever() -> None:
    """A value that is nested deeper than any of ours is told."""
    deep = "assigner: {identifier: {" * 8 + "value: a" + "}}" * 8
    line = f"elements:\n  identifier: {{pattern: {{Identifier: {{{deep}}}}}}}\n"
    _, faults = read(PROFILE.partition("elements:")[0] + line)
    assert faults == ["11: a value is nested too deeply"]


def test_a_child_is_not_wider_than_our_parent() -> None:
    """Counts and slices are looked for in parents that are ours too."""
    head = (
        PROFILE.partition("elements:")[0]
        .replace("/one", "/child")
        .replace(
            "parent: http://hl7.org/fhir/StructureDefinition/Encounter", "parent: http://a.no/StructureDefinition/one"
        )
    )
    child = head + "elements:\n  type:level: {card: 0..1}\n  type:new: {card: 0..1}\n  period: {card: 0..1}\n"
    nested = "  type.coding: {slices: {by: [value:system]}}\n  type:level.coding:a: {card: 0..1}\n"
    found, faults = read(PROFILE, child + nested)
    assert faults == []
    assert list(map(str, check_definitions(found))) == ["1.yaml:11: card: the least is wider than the 1 above"]


def test_slices_of_extensions_and_choices_tell_themselves_apart() -> None:
    """Nobody has to say that extensions differ by URL and the types of a choice by type."""
    text = PROFILE.replace("type: Encounter", "type: Observation").partition("elements:")[0] + (
        "elements:\n  value[x]:valueQuantity.unit: {card: 1..1}\n  extension:a: {card: 0..1}\n"
        "  component.value[x]: {types: [Period]}\n  component.value[x].start: {card: 1..1}\n"
    )
    (own,), faults = read(text)
    by_id = rows(own.content)
    assert faults == []
    assert by_id["Observation.value[x]"]["slicing"]["discriminator"] == [{"type": "type", "path": "$this"}]
    assert by_id["Observation.value[x]:valueQuantity"]["sliceName"] == "valueQuantity"
    assert by_id["Observation.extension"]["slicing"]["discriminator"] == [{"type": "value", "path": "url"}]
    assert by_id["Observation.component.value[x].start"]["path"] == "Observation.component.value[x].start"


@pytest.mark.parametrize("case", FAULTS, ids=lambda case: f"{case['edit'][1][:40]}")
def test_faults_are_told_with_their_line(case: dict[str, Any]) -> None:
    """Each edit of a good text is told where it stands, and told alone."""
    old, new = case["edit"]
    text = TEXTS[case["of"]]
    assert old in text
    others = [other for name, other in TEXTS.items() if name != case["of"]]
    found, faults = read(text.replace(old, new, 1), *others)
    if case.get("between"):
        assert faults == []
        faults = [f"{each.line}: {each.message}" for each in check_definitions(found)]
    if not case["says"]:
        assert faults == []
        return
    assert faults
    assert faults[0].startswith(f"{case['line']}: ")
    assert case["says"] in faults[0]
    assert len(faults) == 1


def test_definitions_may_stand_in_one_file_but_not_twice() -> None:
    """`---` parts definitions; of two with one canonical the second is told."""
    found, faults = read(f"{PROFILE}---\n{EXTENSION}")
    assert (len(found), faults) == (2, [])
    _, faults = read(PROFILE, f"\n{PROFILE}")
    assert faults == ["2: http://a.no/StructureDefinition/one is defined in 0.yaml too"]
    assert read("- a\n")[1] == ["1: a table of keys is expected"]
    _, unread = read_own({"a.yaml": b"\xff"})
    assert [str(fault) for fault in unread] == ["a.yaml:1: cannot be read as UTF-8 text"]


def test_one_constraint_key_is_one_rule() -> None:
    """A deployment switches a rule off by its key."""
    other = PROFILE.replace("/one", "/other").replace("start <= end", "start < end")
    found, _ = read(PROFILE, other)
    (fault,) = check_definitions(found)
    assert str(fault) == "1.yaml:20: the constraint one-ended says something else in 0.yaml"


@given(st.randoms(use_true_random=False))
def test_the_order_in_the_file_does_not_matter(random: Any) -> None:
    """Rows of a file may stand as one likes: R4's order is made of them."""
    head, _, rest = PROFILE.partition("elements:\n")
    body, _, tail = rest.partition("constraints:")
    lines = [line for line in body.splitlines() if "type:other" not in line]
    shuffled = random.sample(lines, len(lines))
    (one,), _ = read(f"{head}elements:\n" + "\n".join(lines) + f"\nconstraints:{tail}")
    (two,), _ = read(f"{head}elements:\n" + "\n".join(shuffled) + f"\nconstraints:{tail}")
    assert one.content == two.content


@given(st.text(max_size=200) | st.sampled_from(PROFILE.splitlines()).flatmap(lambda line: st.just(f"{line}\n{line}")))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Whatever stands in a file, the answer is definitions and faults."""
    found, faults = read_own({"a.yaml": text.encode(errors="replace")})
    assert found or faults or not text.strip()


@given(st.integers(0, len(PROFILE)), st.integers(0, 30), st.sampled_from(["", "{", "a", ":", "[x]", "\n", "- ", ".."]))
def test_no_edit_breaks_the_reader(place: int, length: int, text: str) -> None:
    """A profile with any piece replaced is read or told, never an exception."""
    edited = PROFILE[:place] + text + PROFILE[place + length :]
    found, faults = read(edited)
    assert faults or check_definitions(found) is not None


def test_the_table_is_used_only_while_it_fits(tmp_path: Path) -> None:
    """What is kept beside the folder is what reading gives; a changed file is read anew."""
    folder = tmp_path / "definitions"
    (folder / "below").mkdir(parents=True)
    (folder / "one.yaml").write_text(PROFILE, "utf-8")
    (folder / "below" / "two.yaml").write_text(EXTENSION, "utf-8")
    read_anew, _ = own_definitions(folder)
    kept = own_table(folder)
    assert kept == own_table(folder)
    Path(f"{folder}.json.gz").write_bytes(kept)
    assert own_definitions(folder) == (read_anew, [])
    other = orjson.loads(gzip.decompress(kept)) | {"definitions": []}
    Path(f"{folder}.json.gz").write_bytes(gzip.compress(orjson.dumps(other)))
    assert own_definitions(folder) == ([], [])
    for broken in (b"", b"no table", kept[:-9], gzip.compress(b"{}"), gzip.compress(b"[1]")):
        Path(f"{folder}.json.gz").write_bytes(broken)
        assert own_definitions(folder) == (read_anew, [])
    Path(f"{folder}.json.gz").write_bytes(kept)
    (folder / "one.yaml").write_text(PROFILE.replace("name: One", "name: Other"), "utf-8")
    assert [each["name"] for each in own_definitions(folder)[0]] == ["Two", "Other"]
    (folder / "one.yaml").write_text(PROFILE.replace("name: One", "name: other"), "utf-8")
    with pytest.raises(ValueError, match="a name is a capital letter"):
        own_table(folder)


def test_a_fingerprint_tells_files_apart() -> None:
    """Names and contents, and where one ends."""
    prints = [{"a": b"b"}, {"a": b"c"}, {"b": b"b"}, {"a": b"bc"}, {"a": b"", "b": b"b"}, {}]
    assert len(set(map(fingerprint, prints))) == len(prints)


# ---- what is shipped


def shipped() -> list[dict[str, Any]]:
    found, faults = read_own(own_files(SHIPPED))
    assert faults == []
    return [each.content for each in found]


def test_examples_are_no_definitions(tmp_path: Path) -> None:
    """The folder of examples is not read, and a change in it makes no table stale."""
    (tmp_path / "a.yaml").write_text((SHIPPED / "consent-samtykke.yaml").read_text("utf-8"), "utf-8")
    before = own_files(tmp_path)
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "b.yaml").write_text("passing: 1\n", "utf-8")
    assert own_files(tmp_path) == before
    assert own_definitions(tmp_path)[1] == []
    assert not [name for name in own_files(SHIPPED) if "examples" in name]


def test_what_is_shipped_has_no_fault() -> None:
    """Nor between the definitions: parents, lists, counts, contexts."""
    assert list(map(str, check_own(SHIPPED))) == []


def test_the_table_that_is_shipped_is_not_stale() -> None:
    """It goes with the files; `make generate` writes it."""
    table = Path(f"{SHIPPED}.json.gz")
    assert not table.is_file() or table.read_bytes() == own_table(SHIPPED)


def test_every_text_is_there_in_both_languages() -> None:
    """Titles, descriptions, constraints and the words on elements."""
    for content in shipped():
        for name in ("title", "description"):
            assert content[name]
        for row in content["differential"]["element"]:
            for constraint in row.get("constraint", ()):
                assert constraint["human"]
                assert norwegian(constraint, "human")


def test_what_restates_others_says_so_and_nothing_else_has_their_canonical() -> None:
    """Ours stand under our base; those of others name the package that goes before them."""
    for content in shipped():
        ours = content["url"].startswith("http://fhir-facade.no/fhir/StructureDefinition/")
        restated = [each for each in content["extension"] if each["url"] == RESTATES]
        assert ours != bool(restated), content["url"]
        assert ours or "replaced by the official package" in content["purpose"]
        assert content["url"].endswith(f"/{content['id']}")


def test_every_expression_can_be_read() -> None:
    """FHIRPath of constraints and of contexts."""
    for content in shipped():
        expressions = [each["expression"] for each in content.get("context", ()) if each["type"] == "fhirpath"]
        for row in content["differential"]["element"]:
            expressions += [each["expression"] for each in row.get("constraint", ())]
        for expression in expressions:
            parse(expression)


def test_the_schema_reads_every_row() -> None:
    """Definitions of ours are read with the ids that they were written with."""
    for content in orjson.loads(orjson.dumps(shipped())):
        definition = Definition(content, "ours")
        assert list(definition.rows) == [row["id"] for row in content["differential"]["element"]]
        assert definitions().is_type(definition.type)
