"""Law: what a search finds in the store is what filtering every rendered resource finds."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.contracts import Clause, Hop, Query, Sort
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.mapping.search_hits import parameters_of
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import Store
from fhir_facade.store.synthetic import load_into

spec = importlib.util.spec_from_file_location("judge", Path(__file__).with_name("judge.py"))
assert spec and spec.loader
judge = importlib.util.module_from_spec(spec)
spec.loader.exec_module(judge)

NOW = "2026-01-02T03:04:05.678Z"
Stock = tuple[Store, dict[str, list[dict[str, Any]]]]
DEPTH = 3


@pytest.fixture(scope="module")
def stock(mapping_set: MappingSet, new_place: Callable[[], Location]) -> Stock:
    """A store of 300 patients and every resource in it, rendered by the interpreter."""
    store = open_store(new_place(), mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 300, 3, NOW)
    add_an_institution(store, mapping_set)
    add_a_second_unit(store, mapping_set)
    resources: dict[str, list[dict[str, Any]]] = {}
    for mapping in mapping_set.mappings.values():
        for record in store.scan(mapping.kind.name):
            resources.setdefault(mapping.resource_type, []).append(mapping.interpret(record, []))
    return store, resources


def add_an_institution(store: Store, mapping_set: MappingSet) -> None:
    """A unit that is the whole institution, with the number that other units name as what they are part of."""
    kind = mapping_set.kinds["enhet"]
    unit = next(store.scan("enhet"))
    whole = {"institusjonID": unit["institusjonID"], "enhetID": "HELE", "orgNr": unit["institusjonID"], "navn": "Hele"}
    with store.transaction() as writer:
        writer.merge(kind, [mapping_set.kinds.complete(kind, whole)], now=NOW)


def add_a_second_unit(store: Store, mapping_set: MappingSet) -> None:
    """A stay with two units of the kind of which the resource shows the first alone."""
    kind = mapping_set.kinds["opphold"]
    stay = next(stay for stay in store.scan("opphold") if any(unit["typeEnhet"] == "7" for unit in stay["enheter"]))
    shown = next(unit for unit in stay["enheter"] if unit["typeEnhet"] == "7")
    others = (unit for unit in store.scan("enhet") if unit["institusjonID"] == stay["institusjonID"])
    other = next(unit for unit in others if unit["enhetID"] not in ("HELE", shown["enhetID"]))
    second = {**shown, "nr": 1 + max(unit["nr"] for unit in stay["enheter"]), "enhetID": other["enhetID"]}
    whole = {**stay, "enheter": [*stay["enheter"], second]}
    with store.transaction() as writer:
        writer.merge(kind, [mapping_set.kinds.complete(kind, whole)], now=NOW)
    stored = store.get("opphold", stay["$key"])
    assert stored is not None and stored["enheter"][-1]["$enhet"] == other["$key"]


@pytest.fixture(scope="module")
def world(stock: Stock) -> Any:
    return judge.World(stock[1])


def found(store: Store, mapping_set: MappingSet, query: Query) -> list[str]:
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
    return resource_type, draw(last(mapping_set, resources, resource_type))


@st.composite
def chains(draw: Any, mapping_set: MappingSet, resources: dict[str, list[dict[str, Any]]]) -> tuple[str, Clause]:
    """The same behind one to three references, each followed forwards or backwards."""
    graph = mapping_set.search.graph
    resource_type = here = draw(st.sampled_from([each for each in sorted(resources) if steps(graph, each)]))
    path: list[Hop] = []
    for _ in range(draw(st.integers(1, DEPTH))):
        path.append(draw(st.sampled_from(steps(graph, here))))
        here = path[-1].type
        if not steps(graph, here):
            break
    clause = draw(last(mapping_set, resources, here))
    return resource_type, Clause(clause.parameter, clause.values, clause.modifier, tuple(path))


def steps(graph: Any, resource_type: str) -> list[Hop]:
    forward = [Hop(code, to) for code in parameters_of(resource_type) for to in graph.leads_to(resource_type, code)]
    pointing = graph.pointing_at.get(resource_type, {})
    return forward + [Hop(code, other, reverse=True) for other, codes in pointing.items() for code in codes]


@st.composite
def last(draw: Any, mapping_set: MappingSet, resources: dict[str, list[dict[str, Any]]], resource_type: str) -> Clause:
    known = mapping_set.search.parameters(resource_type)
    parameter = known[draw(st.sampled_from(sorted(known)))]
    nodes = values_in(resources[resource_type], parameters_of(resource_type)[parameter.code])
    modifier = draw(st.sampled_from(["", *parameter.modifiers]))
    node = draw(st.sampled_from(nodes)) if nodes else None
    kind = {"identifier": "logical", "missing": "missing"}.get(modifier, parameter.type)
    many = 1 if modifier == "missing" else draw(st.integers(1, 2))
    values = [draw(VALUES[kind](node)) for _ in range(many)]
    if kind == "reference":  # a type that the parameter cannot refer to is refused
        own = [value for value in values if "/" not in value or value.split("/")[0] in parameter.targets]
        values = own or [value.split("/")[1] for value in values]
    return Clause(parameter.code, tuple(values), modifier)


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
    node = node or {}
    own = f"{node.get('type', 'Patient')}/{node.get('identifier', {}).get('value', '1')}"  # HPR is an id too
    text = node.get("reference", own)
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
def test_a_search_finds_what_filtering_finds(
    mapping_set: MappingSet, stock: Stock, world: Any, data: st.DataObject
) -> None:
    resource_type, clause = data.draw(clauses(mapping_set, stock[1]))
    agree(stock[0], mapping_set, world, resource_type, clause)


@given(data=st.data())
def test_a_chained_search_finds_what_filtering_finds(
    mapping_set: MappingSet, stock: Stock, world: Any, data: st.DataObject
) -> None:
    resource_type, clause = data.draw(chains(mapping_set, stock[1]))
    agree(stock[0], mapping_set, world, resource_type, clause)


def agree(store: Store, mapping_set: MappingSet, world: Any, resource_type: str, clause: Clause) -> None:
    got = found(store, mapping_set, Query(resource_type, (clause,), count=100_000))
    assert len(got) == len(set(got))
    assert set(got) == world.satisfying(resource_type, clause)


def test_every_reference_can_be_chained_both_ways(mapping_set: MappingSet, stock: Stock, world: Any) -> None:
    """A walk over all reference parameters: a chain and a _has over each find a known match, and lose it."""
    store, resources = stock
    search, walked, silent = mapping_set.search, 0, []
    for resource_type in resources:
        for code, parameter in search.parameters(resource_type).items():
            if parameter.type != "reference":
                continue
            assert search.graph.leads_to(resource_type, code), f"{resource_type}.{code} leads nowhere"
            for to in search.graph.leads_to(resource_type, code):
                walked += 1
                told = [
                    (each["id"], key)
                    for each in resources[resource_type]
                    for node in judge.nodes(each, judge.parameter_of(resource_type, code))
                    for kind, key in world.meant(node, parameter.targets)
                    if kind == to and key in world.resources[to]
                ]
                if not told:
                    silent.append(f"{resource_type}.{code} -> {to}")
                    continue
                near, far = told[0]
                for start, hop, known, asked in (
                    (resource_type, Hop(code, to), near, far),
                    (to, Hop(code, resource_type, reverse=True), far, near),
                ):
                    hit = Query(start, (Clause("_id", (asked,), path=(hop,)),), count=100_000)
                    got = set(found(store, mapping_set, hit))
                    assert known in got and len(got) < len(resources[start]), (start, hop)
                    assert got == world.satisfying(start, hit.clauses[0]), (start, hop)
                    miss = Query(start, (Clause("_id", ("no-such-id",), path=(hop,)),), count=100_000)
                    assert not found(store, mapping_set, miss)
    assert walked > 40
    assert silent == []


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


def test_an_item_that_the_resource_does_not_show_leads_nowhere(
    mapping_set: MappingSet, stock: Stock, world: Any
) -> None:
    """Each unit is asked which stays it provides, forwards and backwards: the second of two is not shown."""
    store, resources = stock
    for unit in resources["Organization"]:
        for start, hop in (
            ("Encounter", Hop("service-provider", "Organization")),
            ("Organization", Hop("service-provider", "Encounter", reverse=True)),
        ):
            asked = unit["id"] if start == "Encounter" else f"Organization/{unit['id']}"
            code = "_id" if start == "Encounter" else "service-provider"
            clause = Clause(code, (asked,), path=(hop,))
            got = found(store, mapping_set, Query(start, (clause,), count=100_000))
            assert set(got) == world.satisfying(start, clause)
