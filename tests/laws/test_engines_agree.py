"""Law: interpreter, dict engine and byte engine give the same resource and the same issues for every record."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.contracts import Record
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
from fhir_facade.outcome import Issue

ODD = st.one_of(
    st.none(),
    st.sampled_from(["", " ", "9", "Z", "0", "ukjent", 'Ærlig "ødem" å\n', "\x01", "2024-03-31T02:30:00"]),
    st.text(max_size=12),
)
ODD_NUMBERS = st.one_of(st.none(), st.integers(-5, 99_999))


def disturb(draw: Any, record: Record, kind: Any, kinds: Any) -> Record:
    """A record with some fields removed or filled with something else, and lists cut or doubled."""
    out = dict(record)
    for name, field in kind.fields.items():
        if name in kind.key or field.required == "always":
            continue
        fate = draw(st.integers(0, 5))
        if fate == 0:
            out.pop(name, None)
        elif fate == 1:
            out[name] = draw(ODD_NUMBERS if field.type == "integer" else ODD)
    for name in kind.children:
        items = list(out.get(name) or [])
        fate = draw(st.integers(0, 3))
        if fate == 0:
            items = []
        elif fate == 1 and items:
            items = [*items, dict(items[0])]
        elif fate == 2 and items:
            items = [
                {key: value for key, value in item.items() if draw(st.booleans()) or key in ("nr",)} for item in items
            ]
        out[name] = items
    return out


def all_three(mapping: CompiledMapping, record: Record) -> list[tuple[Any, list[Issue]]]:
    said: list[list[Issue]] = [[], [], []]
    plain = mapping.interpret(record, said[0])
    as_dict = mapping.to_fhir(record, said[1])
    as_bytes = orjson.loads(mapping.to_bytes(record, said[2]))
    return [(plain, said[0]), (as_dict, said[1]), (as_bytes, said[2])]


def sorted_issues(issues: list[Issue]) -> list[str]:
    return sorted(map(str, issues))


def assert_agree(mapping: CompiledMapping, record: Record) -> None:
    plain, as_dict, as_bytes = all_three(mapping, record)
    assert as_dict[0] == plain[0]
    assert as_bytes[0] == plain[0]
    assert sorted_issues(as_dict[1]) == sorted_issues(plain[1])
    assert sorted_issues(as_bytes[1]) == sorted_issues(plain[1])


def test_the_engines_agree_on_every_synthetic_record(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]]
) -> None:
    seen = 0
    for mapping in mapping_set.mappings.values():
        for record in synthetic.get(mapping.kind.name, ()):
            assert_agree(mapping, record)
            seen += 1
    assert seen > 1000


@given(data=st.data())
def test_the_engines_agree_on_disturbed_records(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]], data: st.DataObject
) -> None:
    names = [name for name in mapping_set.mappings if synthetic.get(mapping_set.mappings[name].kind.name)]
    mapping = mapping_set.mappings[data.draw(st.sampled_from(names))]
    records = synthetic[mapping.kind.name]
    base = records[data.draw(st.integers(0, len(records) - 1))]
    record = disturb(data.draw, {k: v for k, v in base.items() if k[0] != "$"}, mapping.kind, mapping_set.kinds)
    whole = mapping_set.kinds.complete(mapping.kind, record)
    assert_agree(mapping, whole)
    assert_agree(mapping, whole)  # a second time, when fragments have been rendered before


@pytest.mark.parametrize("text", ["\xa0", "\u2003 ", "\xa0x", " x", "é", "\u3000"])
def test_the_engines_agree_on_blanks_beyond_ascii(mapping_set: MappingSet, text: str) -> None:
    mapping = mapping_set.mappings["pasient-patient"]
    record = {"institusjonID": "1", "pasientNr": "2", "epost": text, "rad_versjon": 1}
    assert_agree(mapping, mapping_set.kinds.complete(mapping.kind, record))


def test_same_record_same_bytes(mapping_set: MappingSet, synthetic: dict[str, list[Record]]) -> None:
    for mapping in mapping_set.mappings.values():
        for record in synthetic.get(mapping.kind.name, ())[:20]:
            assert mapping.to_bytes(record, []) == mapping.to_bytes(record, [])


def test_an_unknown_code_is_kept_and_reported(mapping_set: MappingSet, synthetic: dict[str, list[Record]]) -> None:
    """Every field that goes through a code map: the record's own code stays in the resource, with an issue."""
    from fhir_facade.mapping.check import every
    from fhir_facade.mapping.ir import Coded, Each

    tried = 0
    for mapping in mapping_set.mappings.values():
        rules = [rule for rule in mapping.rules.rules if not isinstance(rule, Each)]
        for rule in every(rules):
            if isinstance(rule, Coded) and rule.code_map is not None:
                base = synthetic[mapping.kind.name][0]
                record = {**base, rule.field: "ZZ9"}
                issues: list[Issue] = []
                body = mapping.to_bytes(record, issues)
                assert b'"ZZ9"' in body
                assert [issue.code for issue in issues if issue.facts.get("field") == rule.field] == ["code-not-mapped"]
                tried += 1
    assert tried >= 4
