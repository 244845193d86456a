"""The laws of the two directions: create, GetPut, PutGet, no silent divergence, key alignment, determinism."""

from __future__ import annotations

import json
import os
import random
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_facade.contracts import Record
from fhir_facade.mapping.compare import merge
from fhir_facade.mapping.ir import Coded, Copy, Each, Identify, declared_profiles
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
from fhir_facade.mapping.take import take
from fhir_facade.outcome import Issue
from fhir_facade.resources import data_root
from tests.laws.edits import bare, canonical, edited, leaf_counts
from tests.laws.test_engines_agree import assert_agree

EDITS = int(os.environ.get("EDITS", "600"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(2**32)


NAMES = sorted(
    found[1]
    for path in data_root("mappings").glob("*.*.yaml")
    if (found := re.search(r"^mapping: (\S+)", path.read_text("utf-8"), re.M))
)
each_mapping = pytest.mark.parametrize("name", NAMES)
EXAMPLES = settings.default.max_examples if settings.default else 100
a_number_of_examples = settings(max_examples=EXAMPLES if EXAMPLES >= 2000 else max(4, EXAMPLES // 5))
SEEDS = st.integers(0, 2**32 - 1)


def nowhere(kind: str, key: str) -> None:
    """A store that knows no record."""
    return


def plain(value: Any) -> Any:
    """A record without derived entries; what is absent, None or an empty list is the same."""
    if isinstance(value, dict):
        kept = {name: plain(inner) for name, inner in value.items() if not name.startswith("$")}
        return {name: inner for name, inner in kept.items() if inner is not None and inner != []}
    return [plain(item) for item in value] if isinstance(value, list) else value


def shown(mapping: CompiledMapping, record: Record) -> Record:
    """What a resource can say of a record: no ignored fields, no records of other kinds, no second choices."""
    out: Record = plain(record)
    hidden = {mapping.kind.version, mapping.kind.changed}
    hidden |= {name for name in mapping.rules.ignored if "." not in name}
    hidden |= {child.name for child in mapping.kind.children.values() if child.records}
    for rule in mapping.rules.rules:
        if isinstance(rule, Copy) and len(rule.fields) > 1:
            first = next((name for name in rule.fields if out.get(name) is not None), "")
            hidden |= set(rule.fields) - {first}
        if (
            isinstance(rule, Coded | Identify) and out.get(rule.field) is None
        ):  # what chooses a system alone says nothing
            hidden |= {rule.system_field, getattr(rule, "version_field", "")} - {None, ""}
        if isinstance(rule, Each):
            for item in out.get(rule.child, ()):
                for inner_rule in rule.rules:
                    if isinstance(inner_rule, Coded) and item.get(inner_rule.field) is None:
                        item.pop(inner_rule.system_field, None)
                        item.pop(inner_rule.version_field, None)
    for name in mapping.rules.ignored:
        child, _, inner = name.partition(".")
        for item in out.get(child, ()) if inner else ():
            item.pop(inner, None)
    return {name: value for name, value in out.items() if name not in hidden}


def made_of_records(mapping: CompiledMapping) -> set[str]:
    """Elements that show records of other kinds: a new record has none yet, so they wait beside it."""
    return {rule.path[0].name for rule in mapping.rules.rules if isinstance(rule, Each) and rule.records}


def drawn(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]], name: str, seed: int
) -> tuple[CompiledMapping, random.Random, Record]:
    """A mapping, the dice of one example, and a record."""
    mapping, draw = mapping_set.mappings[name], random.Random(seed)
    return mapping, draw, draw.choice(synthetic[mapping.kind.name])


def disturbed(draw: random.Random, mapping_set: MappingSet, mapping: CompiledMapping, base: Record) -> Record:
    """A record of the kind with fields taken away or filled with something else, and lists cut, doubled or thinned."""
    record = {name: value for name, value in base.items() if name[0] != "$"}
    for name, field in mapping.kind.fields.items():
        if name in mapping.kind.key or field.required == "always":
            continue
        fate = draw.randrange(6)
        if fate == 0:
            record.pop(name, None)
        elif fate == 1:
            record[name] = draw.choice([None, -5, 0, 7, 99_999]) if field.type == "integer" else odd_text(draw)
    for child in mapping.kind.children.values():
        items = [dict(item) for item in record.get(child.name) or ()]
        fate = draw.randrange(4)
        if fate == 0:
            items = []
        elif fate == 1 and items:
            items = [*items, dict(items[0])]
        elif fate == 2 and not child.records:
            items = [{name: value for name, value in item.items() if draw.random() < 0.5} for item in items]
        if not child.records:  # places are counted from 1, as the store and the messages count them
            items = [item for item in items if set(plain(item)) - set(child.key)]
            numbers = [name for name in child.key if child.fields[name].type == "integer"]
            items = [item | dict.fromkeys(numbers, place) for place, item in enumerate(items, 1)]
        record[child.name] = items
    return mapping_set.kinds.complete(mapping.kind, record)


def faulty(mapping: CompiledMapping, record: Record) -> bool:
    """Whether a record has values that a store would not take."""
    return any(issue.code == "field-type" for issue in mapping.putting.faults(record, None))


def odd_text(draw: random.Random) -> str | None:
    known = [None, "", " ", "9", "Z", "0", "ukjent", 'Ærlig "ødem" å\n', "\x01", "2024-03-31T02:30:00", "2024-02-29"]
    any_text = "".join(chr(draw.choice([draw.randrange(32, 127), draw.randrange(160, 0xD7FF)])) for _ in range(5))
    return draw.choice([*known, any_text])


def rendered(mapping: CompiledMapping, record: Record) -> tuple[dict[str, Any], list[Issue]]:
    issues: list[Issue] = []
    return bare(mapping.to_fhir(record, issues), ()), issues


def again(mapping_set: MappingSet, mapping: CompiledMapping, record: Record) -> dict[str, Any]:
    return bare(mapping.to_fhir(mapping_set.kinds.complete(mapping.kind, record), []), ())


def test_create_gives_the_record_back(mapping_set: MappingSet, synthetic: dict[str, list[Record]]) -> None:
    """put(get(s), nothing) = s for every synthetic record of every mapping."""
    seen = set()
    for mapping in mapping_set.mappings.values():
        for record in synthetic.get(mapping.kind.name, ()):
            resource, _ = rendered(mapping, record)
            written = mapping.to_record(resource)
            assert written.record is not None, (mapping.name, [str(issue) for issue in written.issues])
            assert set(written.remainder or {}) <= {"add"}
            assert set((written.remainder or {"add": {}})["add"]) <= made_of_records(mapping), mapping.name
            assert shown(mapping, written.record) == shown(mapping, record), mapping.name
            seen.add(mapping.name)
    assert seen == set(mapping_set.mappings)


@each_mapping
@a_number_of_examples
@given(seed=SEEDS)
def test_create_of_any_record_gives_it_back_or_says_why(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]], name: str, seed: int
) -> None:
    mapping, draw, base = drawn(mapping_set, synthetic, name, seed)
    record = disturbed(draw, mapping_set, mapping, base)
    resource, issues = rendered(mapping, record)
    written = mapping.to_record(resource)
    if written.record is None:
        assert any(issue.entry.severity == "error" and issue.at for issue in written.issues)
        return
    merged, orphans = merge(again(mapping_set, mapping, written.record), written.remainder or {})
    assert (canonical(merged), orphans) == (canonical(resource), 0)
    told = {issue.code for issue in issues}
    if (
        not told & {"value-not-usable", "value-hidden"}
        and not faulty(mapping, record)
        and not any(issue.code == "code-not-mapped" and not kept_code(issue, resource) for issue in issues)
    ):
        assert shown(mapping, written.record) == shown(mapping, record)


def kept_code(issue: Issue, resource: dict[str, Any]) -> bool:
    """Whether the record's own code stands in the resource with its system, so that it can be read back."""
    found = re.findall(r"\{[^{}]*\}", json.dumps(resource))
    return any(f'"code": {json.dumps(issue.facts["code"])}' in text and '"system"' in text for text in found)


@each_mapping
@a_number_of_examples
@given(seed=SEEDS)
def test_get_put_changes_nothing(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]], name: str, seed: int
) -> None:
    """put(get(s), s) = s, whatever the record holds that the resource does not show."""
    mapping, draw, base = drawn(mapping_set, synthetic, name, seed)
    record = disturbed(draw, mapping_set, mapping, base)
    written = mapping.to_record(rendered(mapping, record)[0], record)
    assert written.record is not None, [str(issue) for issue in written.issues]
    assert plain(written.record) == plain(record)
    assert written.remainder is None


@each_mapping
@a_number_of_examples
@given(seed=SEEDS)
def test_put_get_gives_the_view_back(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]], name: str, seed: int
) -> None:
    """get(put(v, s)) = v for the view v of one record put on any other record s that a store can hold, of its key."""
    mapping, draw, one = drawn(mapping_set, synthetic, name, seed)
    key = {name: one.get(name) for name in mapping.kind.key}
    links = {name: one.get(name) for link in mapping.kind.links.values() for name in link.fields}
    other = disturbed(draw, mapping_set, mapping, draw.choice(synthetic[mapping.kind.name]))
    mixed = {**plain(other), **links, **key}
    for child in mapping.kind.children.values():
        if child.records:
            mixed[child.name] = one.get(child.name)
    resource, _ = rendered(mapping, one)
    target = mapping_set.kinds.complete(mapping.kind, mixed)
    if any(issue.code == "value-not-usable" for issue in rendered(mapping, target)[1]) or faulty(mapping, target):
        return  # a value that no resource can show is not the view's to change, whatever status it gives
    written = mapping.to_record(resource, target)
    assert written.record is not None, [str(issue) for issue in written.issues]
    merged, orphans = merge(again(mapping_set, mapping, written.record), written.remainder or {})
    assert (canonical(merged), orphans) == (canonical(resource), 0)


@each_mapping
@a_number_of_examples
@given(seed=SEEDS)
def test_the_engines_agree_and_give_the_same_twice(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]], name: str, seed: int
) -> None:
    """Interpreter, dict and bytes forward; interpreter and compiled reader back; the same bytes every time."""
    mapping, draw, base = drawn(mapping_set, synthetic, name, seed)
    record = disturbed(draw, mapping_set, mapping, base)
    assert_agree(mapping, record)
    assert mapping.to_bytes(record, []) == mapping.to_bytes(record, [])
    for resource in (rendered(mapping, record)[0], edited(rendered(mapping, base)[0], draw)):
        quick = mapping.putting.reads(resource, nowhere)
        assert quick in (None, take(mapping.rules, mapping.kind, resource, nowhere)[0])


@each_mapping
@a_number_of_examples
@given(seed=SEEDS)
def test_an_unknown_code_is_told_and_kept(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]], name: str, seed: int
) -> None:
    """A code that a code map lacks: an issue, the original in the resource, and the record gets it back."""
    mapping, draw, base = drawn(mapping_set, synthetic, name, seed)
    rules = [rule for rule in mapping.rules.rules if isinstance(rule, Coded) and rule.code_map and not rule.when]
    if not rules:
        return
    rule, code = draw.choice(rules), f"U{draw.randrange(10**6)}"
    record = mapping_set.kinds.complete(mapping.kind, {**plain(base), rule.field: code})
    resource, issues = rendered(mapping, record)
    assert [issue.facts["code"] for issue in issues if issue.facts.get("field") == rule.field][:1] == [code]
    assert f'"{code}"' in json.dumps(resource)
    written = mapping.to_record(resource, record)
    assert written.record is not None and written.record[rule.field] == code
    new = mapping.to_record(resource)
    assert new.record is not None and new.record[rule.field] == code


def test_no_edit_diverges_in_silence(mapping_set: MappingSet, synthetic: dict[str, list[Record]]) -> None:
    """Any edit of a resource comes back as it was sent, or the answer says what did not."""
    print(f"seed {SEED}, {EDITS} edits")
    draw = random.Random(SEED)
    mappings = [each for each in mapping_set.mappings.values() if synthetic.get(each.kind.name)]
    told = {"same": 0, "kept": 0, "added": 0, "refused": 0}
    for number in range(EDITS):
        mapping = mappings[number % len(mappings)]
        record = draw.choice(synthetic[mapping.kind.name])
        other = rendered(mapping, draw.choice(synthetic[mapping.kind.name]))[0]
        sent = edited(rendered(mapping, record)[0], draw, other)
        base = record if draw.random() < 0.7 else None
        told[outcome(mapping_set, mapping, sent, base)] += 1
    print(told)
    assert all(told.values()), told


def outcome(mapping_set: MappingSet, mapping: CompiledMapping, sent: dict[str, Any], base: Record | None) -> str:
    before = json.dumps([sent, base], sort_keys=True, default=str)
    written = mapping.to_record(sent, base)
    assert json.dumps([sent, base], sort_keys=True, default=str) == before, "nothing that was given is changed"
    if written.record is None:
        errors = [issue for issue in written.issues if issue.entry.severity == "error"]
        assert errors and all(issue.at.startswith(mapping.resource_type) for issue in errors)
        return "refused"
    merged, orphans = merge(again(mapping_set, mapping, written.record), written.remainder or {})
    assert orphans == 0
    added = [element.path for element in written.elements if element.status == "added"]
    own = {profile for _, profile in declared_profiles(mapping.rules.rules)}
    merged, sent = bare(merged, own), bare(sent, own)
    if not added:
        assert canonical(merged) == canonical(sent), mapping.name
        return "kept" if written.remainder else "same"
    have, want = leaf_counts(merged), leaf_counts(sent)
    missing = {leaf for leaf in want if want[leaf] > have[leaf]}
    assert not missing, (mapping.name, missing)
    roots = {re.sub(r"\[\d+\]", "", path).split(".", 1)[1] for path in added}
    extra = {path.replace("._", ".").removeprefix("_") for path, value in have if have[path, value] > want[path, value]}
    silent = {path for path in extra if not any(path == root or path.startswith(f"{root}.") for root in roots)}
    assert not silent, (mapping.name, silent)
    return "added"


def test_lists_are_aligned_and_nothing_hidden_moves(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]]
) -> None:
    """Items inserted, taken away or moved: what the resource does not show stays with its own item."""
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    tried = 0
    for mapping in mapping_set.mappings.values():
        lists = {child.name: child for child in mapping.kind.own_lists()}
        for record in synthetic.get(mapping.kind.name, ())[:40]:
            for name, child in lists.items():
                items = record.get(name) or []
                if len(items) < 2 or not any(part not in child.key for part in child.fields):
                    continue
                gone = draw.randrange(len(items))
                wanted = [dict(item) for place, item in enumerate(items) if place != gone]
                for place, item in enumerate(wanted, 1):
                    for part in child.key:
                        if child.key == (part,) and child.fields[part].type == "integer" and items[0][part] == 1:
                            item[part] = place
                changed = mapping_set.kinds.complete(mapping.kind, {**record, name: wanted})
                written = mapping.to_record(rendered(mapping, changed)[0], record)
                if written.record is None:
                    continue
                assert plain(written.record).get(name, []) == plain({name: wanted}).get(name, []), (mapping.name, name)
                tried += 1
    assert tried > 20


@pytest.mark.parametrize("policy", ["keep", "reject", "warn"])
def test_a_policy_decides_what_becomes_of_what_no_row_takes(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]], policy: Any
) -> None:
    for mapping in mapping_set.mappings.values():
        record = synthetic[mapping.kind.name][0]
        sent = {**rendered(mapping, record)[0], "language": "nb-NO"}
        written = mapping.to_record(sent, record, policy=policy)
        said = [(issue.code, issue.at) for issue in written.issues]
        path = f"{mapping.resource_type}.language"
        if policy == "keep":
            assert written.remainder == {"add": {"language": "nb-NO"}}
            assert said == [("element-kept", path)]
        elif policy == "reject":
            assert written.record is None
            assert said == [("element-not-taken", path)]
        else:
            assert written.record is not None and written.remainder is None
            assert said == [("element-not-stored", path)]


def test_the_compiled_reader_reads_what_the_interpreter_reads(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]]
) -> None:
    """Of what our engines write, always; of anything else, the same or nothing."""
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    gave_up = read = 0
    for mapping in mapping_set.mappings.values():
        reads = mapping.putting.reads
        for record in synthetic.get(mapping.kind.name, ()):
            resource = rendered(mapping, record)[0]
            assert reads(resource, nowhere) == take(mapping.rules, mapping.kind, resource, nowhere)[0], mapping.name
            other = edited(resource, draw)
            quick = reads(other, nowhere)
            if quick is None:
                gave_up += 1
            else:
                assert quick == take(mapping.rules, mapping.kind, other, nowhere)[0], mapping.name
                read += 1
    assert read > gave_up > 0
