"""Law: what a search finds in the store is what filtering every rendered resource finds."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.contracts import Clause, Query, Sort
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.mapping.search_hits import parameters_of
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into

spec = importlib.util.spec_from_file_location("judge", Path(__file__).with_name("judge.py"))
assert spec and spec.loader
judge = importlib.util.module_from_spec(spec)
spec.loader.exec_module(judge)

NOW = "2026-01-02T03:04:05.678Z"
Stock = tuple[SqliteStore, dict[str, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def stock(mapping_set: MappingSet, tmp_path_factory: pytest.TempPathFactory) -> Stock:
    """A store of 300 patients and every resource in it, rendered by the interpreter."""
    path = tmp_path_factory.mktemp("search") / "store.db"
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 300, 3, NOW)
    resources: dict[str, list[dict[str, Any]]] = {}
    for mapping in mapping_set.mappings.values():
        for record in store.scan(mapping.kind.name):
            resources.setdefault(mapping.resource_type, []).append(mapping.interpret(record, []))
    return store, resources


def found(store: SqliteStore, mapping_set: MappingSet, query: Query) -> list[str]:
    page = store.find(query, mapping_set.search)
    return [mapping_set.mappings[match.mapping].to_fhir(match.record, [])["id"] for match in page.matches]


def values_in(resources: list[dict[str, Any]], parameter: Any) -> list[Any]:
    return [
        node
        for resource in resources
        for path in parameter.paths
        for node, _ in judge.walk(resource, path.split("."), parameter.filters, ())
    ]


@st.composite
def clauses(draw: Any, mapping_set: MappingSet, resources: dict[str, list[dict[str, Any]]]) -> tuple[str, Clause]:
    """A parameter that works, with a value that often occurs."""
    resource_type = draw(st.sampled_from(sorted(resources)))
    known = mapping_set.search.parameters(resource_type)
    parameter = known[draw(st.sampled_from(sorted(known)))]
    nodes = values_in(resources[resource_type], parameters_of(resource_type)[parameter.code])
    modifier = draw(st.sampled_from(["", *parameter.modifiers]))
    node = draw(st.sampled_from(nodes)) if nodes else None
    kind = {"identifier": "logical", "missing": "missing"}.get(modifier, parameter.type)
    value = draw(VALUES[kind](node))
    return resource_type, Clause(parameter.code, (value,), modifier)


def dates(node: Any) -> Any:
    texts = [node] if isinstance(node, str) else [text for text in (node or {}).values() if isinstance(text, str)]
    usual = ["2024", "2024-03", "2024-10-27", "2023-03-26T12:00:00Z", "1985-03-15", "2024-10-27T02:30"]
    near = [text[:cut] for text in texts for cut in (4, 7, 10, len(text))]
    prefixes = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]
    return st.tuples(st.sampled_from(prefixes), st.sampled_from(near + usual)).map("".join)


def tokens(node: Any) -> Any:
    codes = list(judge.codes_of(node)) if node else []
    forms = [
        form
        for system, code in codes
        for form in (code, f"{system}|{code}", f"|{code}", f"{system}|" if system else code)
    ]
    return st.sampled_from(
        [*forms, "finished", "AMB", "1", "http://hl7.org/fhir/encounter-status|finished", "x|1", "|1"]
    )


def references(node: Any) -> Any:
    text = (node or {}).get("reference", "Patient/1")
    return st.sampled_from([text, text.split("/")[1], "Patient/nobody", "Encounter/" + text.split("/")[1]])


def words(node: Any) -> Any:
    texts = [node] if isinstance(node, str) else list(judge.strings(node or {"family": "Ås"}))
    text = texts[0] if texts else "a"
    return st.sampled_from([text, text.upper(), text[:2], text[1:4] or "o", "å", "ø", "%", "_", "o"])


def logical(node: Any) -> Any:
    return tokens((node or {}).get("identifier"))


def uris(node: Any) -> Any:
    return st.sampled_from([node or "http://x.no", "http://x.no", f"{node}|1.0", str(node)[:-1]])


def missing(node: Any) -> Any:
    return st.sampled_from(["true", "false"])


VALUES = {
    "uri": uris,
    "missing": missing,
    "date": dates,
    "token": tokens,
    "reference": references,
    "string": words,
    "logical": logical,
}


@given(data=st.data())
def test_a_search_finds_what_filtering_finds(mapping_set: MappingSet, stock: Stock, data: st.DataObject) -> None:
    store, resources = stock
    resource_type, clause = data.draw(clauses(mapping_set, resources))
    parameter = parameters_of(resource_type)[clause.parameter]
    expected = {
        resource["id"]
        for resource in resources[resource_type]
        if judge.matches(resource, parameter, clause.modifier, clause.values[0])
    }
    got = found(store, mapping_set, Query(resource_type, (clause,), count=100_000))
    assert len(got) == len(set(got))
    assert set(got) == expected


def test_every_parameter_finds_something_and_loses_it(mapping_set: MappingSet, stock: Stock) -> None:
    """A walk over all parameters: a value that occurs is found; the same search narrowed to nothing is empty."""
    store, resources = stock
    silent = []
    for resource_type, all_of_type in resources.items():
        for code, parameter in mapping_set.search.parameters(resource_type).items():
            nodes = values_in(all_of_type, parameters_of(resource_type)[code])
            value = occurring(nodes, parameter.type)
            if value is None:
                silent.append(f"{resource_type}.{code}")
                continue
            modifier = "identifier" if value[1] else ""
            hit = found(
                store,
                mapping_set,
                Query(resource_type, (Clause(code, (value[0],), modifier),), count=100_000),
            )
            assert hit, f"{resource_type}?{code}={value[0]}"
            nothing = "1066-10-14" if parameter.type == "date" else "no-such-value"
            miss = Query(resource_type, (Clause(code, (nothing,), modifier),), count=100_000)
            assert not found(store, mapping_set, miss)
    assert silent == []


def occurring(nodes: list[Any], kind: str) -> tuple[str, bool] | None:
    for node in nodes:
        if kind == "date":
            text = node if isinstance(node, str) else node.get("start") or node.get("end")
            return ("ap" + text, False)
        if kind == "token":
            return (next(judge.codes_of(node))[1], False)
        if kind == "uri":
            return (node, False)
        if kind == "string":
            return (node if isinstance(node, str) else next(judge.strings(node)), False)
        if "reference" in node:
            return (node["reference"], False)
        if "identifier" in node:
            return (node["identifier"]["value"], True)
    return None


@given(data=st.data())
def test_pages_in_any_order_hold_every_match_once(mapping_set: MappingSet, stock: Stock, data: st.DataObject) -> None:
    store, resources = stock
    resource_type = data.draw(st.sampled_from(sorted(resources)))
    order = data.draw(st.lists(st.sampled_from(mapping_set.search.sortable(resource_type)), max_size=2, unique=True))
    sort = tuple(Sort(code, data.draw(st.booleans())) for code in order)
    count = max(len(resources[resource_type]) // data.draw(st.integers(1, 6)), 1)
    seen: list[str] = []
    after: tuple[Any, ...] = ()
    for _ in range(len(resources[resource_type]) + 1):
        page = store.find(Query(resource_type, (), sort, count, after), mapping_set.search)
        seen += [mapping_set.mappings[match.mapping].to_fhir(match.record, [])["id"] for match in page.matches]
        if not page.more:
            break
        after = page.matches[-1].position
    assert sorted(seen) == sorted(resource["id"] for resource in resources[resource_type])
    assert len(seen) == len(set(seen))
