"""Literal references of records against the references of the resources that they render."""

from __future__ import annotations

import re
from typing import Any

import orjson

from fhir_facade.contracts import Record
from fhir_facade.mapping.following import filled, keys_in, searched_edges, written_edges
from fhir_facade.mapping.mapping_set import MappingSet


def test_the_references_of_a_record_are_those_of_its_resource(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]]
) -> None:
    edges = written_edges(mapping_set.search)
    met = 0
    for mapping in mapping_set.mappings.values():
        own = [edge for edge in edges if edge.source.mapping == mapping.name]
        for record in synthetic.get(mapping.kind.name, [])[:60]:
            text = orjson.dumps(mapping.interpret(record, [])).decode()
            said = set(re.findall(r'"reference":"([^"]+)"', text))
            met += len(said)
            got = {named(mapping_set, edge.target, key) for edge in own for key in keys_in(record, edge)}
            assert got == said, mapping.name
    assert met > 1000


def named(mapping_set: MappingSet, mapping: str, key: str) -> str:
    target = mapping_set.mappings[mapping]
    return f"{target.resource_type}/{target.id_prefix}-{key}".replace("/-", "/")


def test_of_a_list_that_gives_one_reference_the_first_item_counts(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]]
) -> None:
    """A stay has one service provider; its units may be several of that kind."""
    edge = next(each for each in searched_edges(mapping_set.search) if each.parameter == "service-provider")
    stay: dict[str, Any] = dict(synthetic["opphold"][0])
    units = [("2", "a"), ("7", "b"), ("7", "c")]
    stay["enheter"] = [{"typeEnhet": kind, "enhetID": unit, "$enhet": unit} for kind, unit in units]
    resource = mapping_set.mappings["opphold-encounter"].interpret(stay, [])
    assert resource["serviceProvider"] == {"reference": "Organization/b"}
    assert list(keys_in(stay, edge)) == ["b"]


def test_keys_are_filled_up_so_that_searches_share_their_statement() -> None:
    assert [len(filled(["a", "b", "c", "d", "e"][:size])) for size in range(6)] == [0, 1, 2, 4, 4, 8]
    assert filled(["a", "b", "c"]) == ["a", "b", "c", "c"]
