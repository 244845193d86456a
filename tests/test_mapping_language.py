"""Every example of docs/mapping-language.md loads and runs both ways, and the page tells of the whole language."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import textwrap
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from fhir_facade.facade import Facade
from fhir_facade.mapping import ir
from fhir_facade.mapping.golden_files import PARTS
from fhir_facade.mapping.load import CODECS, FILE, KINDS_OF_ROW, ROW
from fhir_facade.mapping.mapping_set import load_mapping_set
from fhir_facade.mapping.overrides import SITE_MAPPING
from fhir_facade.mapping.take import every
from fhir_facade.mapping.vocabulary import EXTENSION, MAP, MAP_TARGET, SYSTEM, TO
from fhir_facade.mapping.vocabulary import FILE as SYSTEMS_FILE
from fhir_facade.outcome import Issue
from fhir_facade.resources import data_root
from tests.mapping_language_examples import (
    SECTIONS,
    Case,
    Section,
    blocks,
    fields,
    framed,
    judge,
    mapping_of,
    put,
    read_twice,
    renders,
    silent,
    told,
)  # fmt: skip

SHIPPED = data_root("mappings")
PAGE = Path(__file__).resolve().parent.parent / "docs" / "mapping-language.md"
TEXT = PAGE.read_text("utf-8")
CONSTRUCT = re.compile(r"# (frame|rows|also|site|kind|systems|codes)\b").match
YAML = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
BLOCKS = [block for block in YAML if not CONSTRUCT(block)]
NAMES = sorted(set(re.findall(r"^# example: (\w+)$", TEXT, re.MULTILINE)))


def said(name: str, what: str) -> Any:
    """The record or the resource of an example."""
    found = re.search(rf"^```json {what} {name}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no {what}"
    return json.loads(found[1])


@cache
def facade(folder: Path) -> Facade:
    """All examples together with the record kinds, systems and code maps that are shipped."""
    for part in ("records", "codes"):
        shutil.copytree(SHIPPED / part, folder / part)
    shutil.copy(SHIPPED / "systems.yaml", folder)
    for block in BLOCKS:
        keys = dict(re.findall(r"^(\w+): (.+)$", block, re.MULTILINE))
        if "mapping" in keys:
            file = folder / f"{keys['epj']}.{keys['fhir'].lower()}.yaml"
        else:
            file = folder / (f"records/{keys['record']}" if "record" in keys else f"codes/{keys['conceptmap']}")
            file = file.with_suffix(".yaml")
        assert not file.exists(), "an example does not replace what is shipped"
        file.write_text(block, "utf-8")
    return Facade(folder)


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Facade:
    return facade(tmp_path_factory.mktemp("mappings"))


def test_every_yaml_block_belongs_to_an_example() -> None:
    assert len(BLOCKS) > 5
    assert [block[:60] for block in BLOCKS if not block.startswith("# example: ")] == []
    assert len(NAMES) > 2


@pytest.mark.parametrize("name", NAMES)
def test_an_example_becomes_the_resource_that_is_shown(shown: Facade, name: str) -> None:
    assert shown.to_fhir(name, said(name, "record")) == said(name, "resource")


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_put_back_by_compiled_reader_and_judge(shown: Facade, name: str) -> None:
    mapping, record, resource = shown.mapping(name), said(name, "record"), said(name, "resource")
    for _, render in renders(mapping):
        assert render(record)[0] == resource
    for reader in (mapping, judge(mapping)):
        written, anew = put(reader, resource, record), put(reader, resource, None)
        assert fields(mapping, written.record) == fields(mapping, record) and written.issues == ()
        assert silent(mapping, resource, written) == []
        assert told(anew.issues) == (["element-needed Encounter.reasonCode"] if name == "visit" else [])
    assert read_twice(mapping, resource) != (name == "visit"), "a coding without system is for the interpreter"


def test_the_change_of_a_site_that_is_shown_loads(tmp_path: Path) -> None:
    shown_file, _, text = re.findall(r"^```text\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[0].partition("\n")
    (tmp_path / shown_file).parent.mkdir()
    (tmp_path / shown_file).write_text(textwrap.dedent(text), "utf-8")
    changed = load_mapping_set(SHIPPED, tmp_path / "nord").mappings["opphold-encounter"]
    assert changed.version.endswith("+1.2.0") and "polIndir" in changed.rules.ignored
    resource = changed.to_fhir({"$key": "1.2.3", "alderIDager": 5, "episodeGUID": "urn:uuid:1"}, [])
    assert resource["length"]["value"] == 5 and resource["identifier"][0]["value"] == "urn:uuid:1"


def test_every_fenced_block_belongs_to_an_example() -> None:
    fences = re.findall(r"^```(\w*) ?(\w*) ?([\w-]*)", TEXT, re.MULTILINE)
    opened = [fence for fence in fences if fence != ("", "", "")]
    assert len(opened) * 2 == len(fences)
    known = {("json", what, name) for what in ("record", "resource") for name in NAMES}
    known |= {("json", "case", case.name) for case in CASES} | {("json", "frame", one.name) for one in blocks()}
    assert [fence for fence in opened if fence not in known and fence != ("yaml", "", "")] == [("text", "", "")]


def test_the_issues_that_are_told_of_come(shown: Facade) -> None:
    issues: list[Issue] = []
    shown.to_fhir("visit", said("visit", "record"), issues=issues)
    assert {(issue.code, issue.facts["code"]) for issue in issues} == {
        ("code-not-mapped", "17"),
        ("code-not-mapped", "9"),
    }


def rows() -> list[str]:
    """The rows in the table of kinds, as they would stand in a file."""
    table = TEXT.split("| Kind | Row | Element |")[1].split("\n\n")[0]
    return [row.replace("\\|", "|") for row in re.findall(r"^\| [^|]+ \| `((?:[^`|]|\\\|)+)` \|", table, re.MULTILINE)]


def test_every_row_in_the_table_of_kinds_stands_in_an_example_or_in_a_shipped_mapping() -> None:
    files = "\n".join([*BLOCKS, *(path.read_text("utf-8") for path in SHIPPED.glob("*.*.yaml"))])
    assert len(rows()) > 15
    assert [row for row in rows() if row not in files] == []


def test_every_key_and_kind_of_row_is_told_of() -> None:
    told = set(re.findall(r"`([\w$-]+)`", TEXT))
    assert set(ROW) | set(KINDS_OF_ROW) <= told


# ---- constructs, one by one

CASES = [case for section in SECTIONS for case in section.cases]
CONSTRUCTS = {*ROW, *KINDS_OF_ROW, *SITE_MAPPING, *SYSTEM, *EXTENSION, *MAP, *MAP_TARGET, *TO, *SYSTEMS_FILE, *FILE}
HEADS = {"mapping", "version", "meaning", "profile", "base", "systems"}
"""Words of heads of files, told of in tables: what they mean is no construct of rows."""


def label(case: Case) -> str:
    return f"{case.name}-{case.way}-{CASES.index(case)}"


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("constructs")


@pytest.mark.parametrize("case", [case for case in CASES if case.way != "put"], ids=label)
def test_a_record_becomes_the_resource_by_every_engine(folder: Path, case: Case) -> None:
    mapping, record = mapping_of(case.name, folder), framed(case, "record")
    for name, render in renders(mapping):
        assert (name, *render(record)) == (name, framed(case, "resource"), case.issues)


@pytest.mark.parametrize("case", [case for case in CASES if case.way != "get"], ids=label)
def test_a_resource_becomes_the_record_by_compiled_reader_and_judge(folder: Path, case: Case) -> None:
    """A case of both directions tells its issues on the way out and is silent on the way back."""
    mapping, resource = mapping_of(case.name, folder), framed(case, "resource")
    for reader in (mapping, judge(mapping)):
        written = put(reader, resource, framed(case, "base"))
        issues = case.issues if case.way == "put" else []
        assert (fields(mapping, written.record), told(written.issues)) == (framed(case, "record"), issues)


@pytest.mark.parametrize("case", [case for case in CASES if case.said.get("record") is not None], ids=label)
def test_put_what_was_shown_and_nothing_changes(folder: Path, case: Case) -> None:
    mapping, record = mapping_of(case.name, folder), framed(case, "record")
    resource, _ = renders(mapping)[0][1](record)
    for reader in (mapping, judge(mapping)):
        assert fields(mapping, put(reader, resource, record).record) == fields(mapping, record)


@pytest.mark.parametrize("case", [case for case in CASES if case.said.get("record") is not None], ids=label)
def test_what_is_sent_comes_back_or_is_told_of(folder: Path, case: Case) -> None:
    mapping, resource = mapping_of(case.name, folder), framed(case, "resource")
    written = put(mapping, resource, framed(case, "base"))
    assert silent(mapping, resource, written) == []


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.heading)
def test_the_laws_of_a_construct_are_those_that_hold(folder: Path, section: Section) -> None:
    assert section.laws.startswith("GetPut, PutGet, "), "a construct says its laws"
    assert {"| Record → FHIR |", "| FHIR → record |"} <= set(re.findall(r"^\| [^|]+ \|", section.text, re.MULTILINE))
    ways = {way for case in section.cases for way in (("get", "put") if case.way == "both" else (case.way,))}
    assert ways == {"get", "put"}, "an example runs in both directions"
    lost = []
    for case in section.cases:
        if case.way != "put":
            mapping = mapping_of(case.name, folder)
            again = put(mapping, framed(case, "resource"), None)
            lost += [case] if fields(mapping, again.record) != fields(mapping, framed(case, "record")) else []
    assert bool(lost) == ("not Create" in section.laws)


def test_every_word_of_the_language_heads_a_section_whose_example_uses_it() -> None:
    used = {word for section in SECTIONS for word in section.words if uses(section, word)}
    assert [word for section in SECTIONS for word in section.words if not uses(section, word)] == []
    assert sorted(CONSTRUCTS - used - HEADS) == []
    assert set(re.findall(r"`([\w-]+)`", TEXT)) >= HEADS


def uses(section: Section, word: str) -> bool:
    """Whether a block of YAML has a word as a key, or as the kind of a row."""
    said = "\n".join(re.sub(r"(^|\s)#.*", "", block) for block in section.blocks)
    return re.search(rf"(?<![\w-]){re.escape(word)}:|\bas: {re.escape(word)}(?![\w-])", said) is not None


def test_the_examples_make_every_node_codec_and_policy(folder: Path) -> None:
    rules, policies, unmapped = [], set(), set()
    for name in sorted({case.name for case in CASES}):
        mapping = mapping_of(name, folder)
        rules += list(every(mapping.rules.rules))
        policies.add(mapping.rules.remainder)
        unmapped |= {rule.code_map.unmapped for rule in rules if isinstance(rule, ir.Coded) and rule.code_map}
    assert {type(rule) for rule in rules} == set(get_args(ir.Rule))
    assert {codec for rule in rules if isinstance(rule, ir.Copy) for codec in rule.codecs} == set(CODECS)
    assert policies >= {"keep", "warn", "reject"} and unmapped == {"provided", "absent"}
    assert {rule.only for rule in rules} == {"", "to-fhir", "from-fhir"}


# ---- the laws, and the table that names them

LAWS = {
    "GetPut": "test_put_what_was_shown_and_nothing_changes",
    "PutGet": "test_what_is_sent_comes_back_or_is_told_of",
    "Create": "test_the_laws_of_a_construct_are_those_that_hold",
    "No silent divergence": "test_what_is_sent_comes_back_or_is_told_of",
    "Unknown code kept": "test_a_code_that_nobody_knows_is_kept",
    "Key alignment": "test_items_out_of_order_meet_the_stored_item_of_their_key",
    "Determinism": "test_the_same_record_gives_the_same_bytes",
    "Compiled = interpreted": "test_a_record_becomes_the_resource_by_every_engine",
}
BOTH_WAYS = TEXT.partition("\n## Both ways\n")[2].partition("\n## ")[0]
STORED = [case for case in CASES if case.said.get("record") is not None]


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_law_of_the_page_is_tried() -> None:
    assert re.findall(r"^\| ([\w =]+) \| [^|]+ \|$", BOTH_WAYS, re.MULTILINE) == ["Law", *LAWS]
    assert [name for name in LAWS.values() if name not in globals()] == []


def test_the_table_of_constructs_has_every_section_and_its_laws() -> None:
    table = re.findall(r"^\| \[[^\]]+\]\(#([^)]+)\) \| [^|]+ \| [^|]+ \| ([^|]+) \|$", BOTH_WAYS, re.MULTILINE)
    assert {law for _, law in table} == {"Create", "not Create"}
    stated = {anchor(section.heading): "not Create" in section.laws for section in SECTIONS}
    assert {place: any(law == "not Create" for at, law in table if at == place) for place, _ in table} == stated


@pytest.mark.parametrize("case", STORED, ids=label)
def test_the_same_record_gives_the_same_bytes(folder: Path, case: Case) -> None:
    mapping = mapping_of(case.name, folder)
    record = mapping.kinds.complete(mapping.kind, framed(case, "record"))
    anew = replace(mapping)  # compiles for itself
    assert len({engine(record, []) for engine in (mapping.to_bytes, mapping.to_bytes, anew.to_bytes)}) == 1


@pytest.mark.parametrize("case", CASES, ids=label)
def test_the_compiled_reader_finds_what_the_interpreter_takes(folder: Path, case: Case) -> None:
    mapping = mapping_of(case.name, folder)
    assert read_twice(mapping, framed(case, "resource")) or case.way != "both"


def unknown_codes() -> list[tuple[Case, str]]:
    """The examples with a code in a field of its own, and the field."""
    fields_of_codes = ("married", "secret", "sex", "urgency", "municipality", "reason")
    return [(case, name) for case in STORED for name in fields_of_codes if name in case.said["record"]]


@pytest.mark.parametrize(
    ("case", "field"), unknown_codes(), ids=lambda one: one if isinstance(one, str) else label(one)
)
def test_a_code_that_nobody_knows_is_kept(folder: Path, case: Case, field: str) -> None:
    mapping, record = mapping_of(case.name, folder), {**framed(case, "record"), field: "x9"}
    resource, issues = renders(mapping)[0][1](record)
    maps = [rule.code_map for rule in mapping.rules.rules if isinstance(rule, ir.Coded) and rule.field == field]
    lost = all(found is not None and found.unmapped == "absent" for found in maps)
    assert ('"x9"' in json.dumps(resource)) != lost
    assert ("code-not-mapped" in issues) == (any(maps) or "code-not-mapped" in case.issues)
    for reader in (mapping, judge(mapping)):
        assert fields(mapping, put(reader, resource, record).record) == fields(mapping, record)


def test_items_out_of_order_meet_the_stored_item_of_their_key(folder: Path) -> None:
    mapping = mapping_of("list", folder)
    numbers = ["22334455", "22334456", "22334457"]
    phones = [{"line": at, "digits": each, "memo": f"of {each}"} for at, each in enumerate(numbers, 1)]
    record = {"office": "123456785", "number": "42", "phones": phones}
    resource, _ = renders(mapping)[0][1](record)
    for order in itertools.permutations(range(3), 2):
        sent = {**resource, "telecom": [resource["telecom"][at] for at in order]}
        for reader in (mapping, judge(mapping)):
            again = fields(mapping, put(reader, sent, record).record) or {}
            assert again["phones"] == [{**phones[at], "line": place} for place, at in enumerate(order, 1)]


SECRET = "http://fhir-facade.no/fhir/StructureDefinition/adressesperre"


def test_a_guard_that_holds_over_an_object_that_is_absent(folder: Path) -> None:
    coding = {"system": "urn:oid:2.16.578.1.12.4.1.1.1101", "code": "2"}
    resource = {"resourceType": "Patient", "id": "123456785.42"}
    resource |= {"extension": [{"url": SECRET, "valueCoding": coding}]}
    assert put(mapping_of("guard", folder), resource, None).record is not None


def test_a_field_that_is_only_shown_stays(folder: Path) -> None:
    mapping = mapping_of("direction", folder)
    record = {"office": "123456785", "number": "42", "family": "Ek", "alias": "Lo", "movedFrom": "Ek"}
    resource, _ = renders(mapping)[0][1](record)
    assert fields(mapping, put(mapping, resource, record).record) == record


def test_every_block_of_an_example_is_run() -> None:
    ran = {case.name for case in CASES}
    assert [block.name for block in blocks() if block.sort in ("rows", "also", "site") and block.name not in ran] == []
    rows = "".join(block.body for block in blocks() if block.sort == "rows")
    assert [block.name for block in blocks() if block.sort == "codes" and f"codes: {block.name}" not in rows] == []
    fences = list(re.findall(r"^```json case (.+)$", TEXT, re.MULTILINE))
    assert fences == [case.name for case in CASES]
    assert len(re.findall(r"^```yaml$", TEXT, re.MULTILINE)) == len(YAML)
    assert all(yaml.safe_load(block) for block in YAML)


@pytest.mark.parametrize("part", PARTS)
def test_every_file_of_an_example_is_told_of(part: str) -> None:
    assert f"| `NN-name.{part}.json` |" in TEXT


@pytest.mark.parametrize("command", ["test", "accept", "diff", "new", "export"])
def test_the_commands_lead_to_their_page(command: str) -> None:
    assert f"[`mapping {command}`](cli.md#fhir-facade-mapping-{command})" in TEXT
    assert f"\n## fhir-facade mapping {command}\n" in PAGE.with_name("cli.md").read_text("utf-8")
