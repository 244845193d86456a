"""Law: what a search finds in the store is what filtering every rendered resource finds.

SEARCHES says how many searches of each kind are tried on each store.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_facade.contracts import Clause, Hop, Query, Sort
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.mapping.search_hits import parameters_of
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import Store
from fhir_facade.store.synthetic import load_into
from fhir_facade.terminology.uris import LISTS, variants


def beside(name: str, path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


judge = beside("judge", Path(__file__).with_name("judge.py"))
sample = beside("search_sample", Path(__file__).parent.parent / "search_sample.py")

NOW = "2026-01-02T03:04:05.678Z"
EXAMPLES = settings.default.max_examples if settings.default else 100
MANY = settings(max_examples=int(os.environ.get("SEARCHES", "0")) or EXAMPLES)
SEED = 3
DEPTH = 3
PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


class Stock(NamedTuple):
    """A store, its mappings, and every resource in it as the interpreter renders it."""

    store: Store
    mapping_set: MappingSet
    resources: dict[str, list[dict[str, Any]]]
    world: Any


@pytest.fixture(scope="module", params=["shipped", "sample"])
def stock(
    request: pytest.FixtureRequest,
    mapping_set: MappingSet,
    new_place: Callable[[], Location],
    tmp_path_factory: pytest.TempPathFactory,
) -> Stock:
    """300 synthetic patients by the shipped mappings, or random records by mappings that fill what those do not."""
    shipped = request.param == "shipped"
    used = mapping_set if shipped else sample.search_set(tmp_path_factory.mktemp("search") / "mappings")
    store = open_store(new_place(), used.kinds, used.search.columns)
    if shipped:
        load_into(store, used.kinds, 300, SEED, NOW)
        add_an_institution(store, used)
        add_a_second_unit(store, used)
    else:
        sample.fill(store, used, SEED, 250)
    print(f"seed {SEED}")
    resources: dict[str, list[dict[str, Any]]] = {}
    for mapping in used.mappings.values():
        for record in store.scan(mapping.kind.name):
            resources.setdefault(mapping.resource_type, []).append(mapping.interpret(record, []))
    return Stock(store, used, resources, judge.World(resources))


SHIPPED = pytest.mark.parametrize("stock", ["shipped"], indirect=True)
"""Of our own mappings only: those of the sample refer to little."""


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


def found(store: Store, mapping_set: MappingSet, query: Query) -> list[str]:
    page = store.find(query, mapping_set.search)
    return [mapping_set.mappings[match.mapping].to_fhir(match.record, [])["id"] for match in page.matches]


def values_in(resources: list[dict[str, Any]], parameter: Any) -> list[Any]:
    """The nodes that a parameter looks at; of a composite, (parts, the nodes of each) of every object."""
    if parameter.type == "composite":
        return [
            (parts, [[node for name in names for node, _ in walk_in(found, name, path)] for _, names in parts])
            for path, parts in parameter.composites
            for resource in resources
            for found in ([resource] if not path else [node for node, _ in judge.walk(resource, [path], (), ())])
        ]
    return [
        node
        for resource in resources
        for path in parameter.paths
        for node, _ in judge.walk(resource, path.split("."), parameter.filters, ())
    ]


def walk_in(found: dict[str, Any], name: str, path: str) -> Any:
    return judge.walk(found, name.removeprefix(f"{path}.").split("."), (), ())


def values_for(kind: str, modifier: str, node: Any) -> Any:
    """Values of a parameter of a type with a modifier, most of them near what a node holds."""
    if kind == "token" and modifier in MODIFIED:
        return MODIFIED[modifier](node)
    return VALUES[{"identifier": "logical", "missing": "missing"}.get(modifier, kind)](node)


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
    many = 1 if modifier == "missing" else draw(st.integers(1, 2))
    values = [draw(values_for(parameter.type, modifier, node)) for _ in range(many)]
    if parameter.type == "reference" and not modifier:  # a type that the parameter cannot refer to is refused
        own = [value for value in values if "/" not in value or value.split("/")[0] in parameter.targets]
        values = own or [value.split("/")[1] for value in values]
    return Clause(parameter.code, tuple(values), modifier)


def dates(node: Any) -> Any:
    texts = [node] if isinstance(node, str) else [text for text in (node or {}).values() if isinstance(text, str)]
    usual = ["2024", "2024-03", "2024-10-27", "2023-03-26T12:00:00Z", "1985-03-15", "2024-10-27T02:30"]
    near = [text[:cut] for text in texts for cut in (4, 7, 10, len(text))]
    return st.tuples(st.sampled_from(PREFIXES), st.sampled_from(near + usual)).map("".join)


def tokens(node: Any) -> Any:
    codes = list(judge.codes_of(node)) if node else []
    forms = [
        form
        for system, bare in codes
        for code in (judge.guarded(bare),)
        for uri in (system, *variants(system))
        for form in (code, f"{uri}|{code}", f"|{code}", f"{uri}|" if uri else code)
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
    sought = [text, text.upper(), text[:2], text[1:4] or "o", "å", "ø", "%", "_", "o"]
    return st.sampled_from([judge.guarded(each) for each in sought])


def logical(node: Any) -> Any:
    return tokens((node or {}).get("identifier"))


def uris(node: Any) -> Any:
    near = [str(node), f"{node}|1.0", str(node)[:-1], str(node).rpartition("/")[0], f"{node}/c", f"{node}/"]
    return st.sampled_from([judge.guarded(each) or "x" for each in [*near, "http://x.no", "/", "http://site.no"]])


def missing(node: Any) -> Any:
    return st.sampled_from(["true", "false"])


def displays(node: Any) -> Any:
    codings = node.get("coding", [node]) if isinstance(node, dict) else []
    texts = [each.get("display") for each in codings] + [node.get("text") if isinstance(node, dict) else None]
    known = [text for text in texts if text]
    near = [text[:cut] for text in known for cut in (1, 4, len(text))] + [text.upper() for text in known]
    return st.sampled_from([judge.guarded(each) for each in [*near, "a", "poli", "100%"]])


def value_sets(node: Any) -> Any:
    codes = list(judge.codes_of(node)) if node else []
    near = [f"ValueSet/vol-{system.rpartition('.')[2]}" for system, _ in codes if system.startswith(LISTS)]
    near += [form for system, _ in codes if judge.CATALOGUE.value_set(system) for form in variants(system)]
    r4 = ("administrative-gender", "encounter-status", "address-use", "observation-status", "request-priority")
    return st.sampled_from([*near, *(f"http://hl7.org/fhir/ValueSet/{name}" for name in r4), "ValueSet/vol-8406"])


def hierarchy(node: Any) -> Any:
    forms = []
    for code_system in map(judge.CATALOGUE.code_system, (f"{LISTS}8420", f"{LISTS}8421")):
        assert code_system
        concepts = code_system.page(0, 500)
        forms += [f"{code_system.edition.url}|{each.code}" for each in concepts]
        forms += [f"{code_system.edition.url}|{each.parent}" for each in concepts if each.parent]
    own = [f"{system}|{code}" for system, code in judge.codes_of(node or {}) if f"{system}|{code}" in forms]
    return st.sampled_from([*own * 5, *forms])


def of_types(node: Any) -> Any:
    types = (node or {}).get("type", {}).get("coding", ())
    value = judge.guarded((node or {}).get("value", "1"))
    near = [f"{form}|{each['code']}|{value}" for each in types for form in variants(each["system"])]
    return st.sampled_from([*near, *(f"{form}0" for form in near), "x|y|z"])


def numbers(node: Any) -> Any:
    own = node if isinstance(node, int) else 100
    near = [f"{own}", f"{own}.0", f"{own}.4", f"{own - 1}.50", f"{own + 1}", f"{own}e0", f"{own}0e-1", f"{own - 1}"]
    forms = [*near * 2, "1e2", "1E2", "10e1", "0", "-5", "0.001", "99999999999999999999", "95", "104.99"]
    return st.tuples(st.sampled_from(PREFIXES), st.sampled_from(forms)).map("".join)


def quantities(node: Any) -> Any:
    node = node or {}
    unit, code, system = (judge.guarded(node.get(name, "x")) for name in ("unit", "code", "system"))
    units = ["", "||", f"||{unit}", f"||{code}", f"|{system}|{code}", f"|{system}|", f"|{system}|{unit}", "|x|g"]
    return st.tuples(numbers(node.get("value")), st.sampled_from([*units, "|2.16.840.1.113883.6.8|g"])).map("".join)


def composites(found: Any) -> Any:
    parts, nodes = found
    drawn = [VALUES[kind](each[0] if each else None) for (kind, _), each in zip(parts, nodes, strict=True)]
    return st.tuples(*drawn).map("$".join)


MODIFIED = {
    "text": displays,
    "in": value_sets,
    "not-in": value_sets,
    "above": hierarchy,
    "below": hierarchy,
    "of-type": of_types,
}
VALUES = {
    "uri": uris,
    "missing": missing,
    "date": dates,
    "token": tokens,
    "reference": references,
    "string": words,
    "logical": logical,
    "number": numbers,
    "quantity": quantities,
    "composite": composites,
}


@MANY
@given(data=st.data())
def test_a_search_finds_what_filtering_finds(stock: Stock, data: st.DataObject) -> None:
    agree(stock, *data.draw(clauses(stock.mapping_set, stock.resources)))


@SHIPPED
@MANY
@given(data=st.data())
def test_a_chained_search_finds_what_filtering_finds(stock: Stock, data: st.DataObject) -> None:
    agree(stock, *data.draw(chains(stock.mapping_set, stock.resources)))


def agree(stock: Stock, resource_type: str, clause: Clause) -> None:
    got = found(stock.store, stock.mapping_set, Query(resource_type, (clause,), count=100_000))
    assert len(got) == len(set(got))
    assert set(got) == stock.world.satisfying(resource_type, clause)


@SHIPPED
def test_every_reference_can_be_chained_both_ways(stock: Stock) -> None:
    """A walk over all reference parameters: a chain and a _has over each find a known match, and lose it."""
    store, mapping_set, resources, world = stock
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


def test_every_parameter_finds_something_and_loses_it(stock: Stock) -> None:
    """A walk over all parameters: a value that occurs is found; the same search narrowed to nothing is empty."""
    store, mapping_set, resources, _ = stock
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
            nothing = NOTHING.get(parameter.type, "no-such-value")
            if "quantity" in code and parameter.type == "composite":
                nothing = "no$1"
            miss = Query(resource_type, (Clause(code, (nothing,), modifier),), count=100_000)
            assert not found(store, mapping_set, miss)
    assert silent == []


NOTHING = {"date": "1066-10-14", "number": "987654321", "quantity": "987654321", "composite": "no$no"}


def occurring(nodes: list[Any], kind: str) -> tuple[str, bool] | None:
    for node in nodes:
        if kind == "composite":
            parts = [occurring(inner, each) for (each, _), inner in zip(*node, strict=True)]
            if all(parts):
                return ("$".join(part[0] for part in parts if part), False)
            continue
        if kind == "number":
            return (str(node), False)
        if kind == "quantity":
            if "value" not in node:
                continue
            return (str(node["value"]), False)
        if kind == "date":
            text = node if isinstance(node, str) else node.get("start") or node.get("end")
            return ("ap" + text, False)
        if kind == "token":
            return (judge.guarded(next(judge.codes_of(node))[1]), False)
        if kind == "uri":
            return (node, False)
        if kind == "string":
            return (judge.guarded(node if isinstance(node, str) else next(judge.strings(node))), False)
        if "reference" in node:
            return (node["reference"], False)
        if "identifier" in node:
            return (node["identifier"]["value"], True)
    return None


@given(data=st.data())
def test_pages_in_any_order_hold_every_match_once(stock: Stock, data: st.DataObject) -> None:
    store, mapping_set, resources, _ = stock
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


@SHIPPED
def test_an_item_that_the_resource_does_not_show_leads_nowhere(stock: Stock) -> None:
    """Each unit is asked which stays it provides, forwards and backwards: the second of two is not shown."""
    store, mapping_set, resources, world = stock
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
