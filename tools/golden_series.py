"""Series of small examples for golden_examples.py: one value each, many in a file, and standard codes from outside."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import orjson

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.compare import bare
from fhir_facade.mapping.coverage_inbound import Sent, unsent
from fhir_facade.mapping.demand import Demand
from fhir_facade.mapping.goldens import as_stored, own_entries, said
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet

if TYPE_CHECKING:
    from golden_examples import Maker

Parts = dict[str, Any]


def series(maker: Maker, left: Iterable[Demand]) -> Iterator[tuple[str, list[Record]]]:
    """(name, records) that meet the demands with a hint: those on a list in one record, others in one each."""
    hinted = [demand for demand in left if demand.hint]
    hinted.sort(key=lambda demand: demand.word)  # stable: in file order for each name
    for word, same in itertools.groupby(hinted, key=lambda demand: demand.word):
        records: list[Record] = []
        demands = list(same)
        for demand in demands:
            whole = [maker.kinds.complete(maker.kind, record) for record in records]
            made = None if any(map(demand.met, whole)) else small(maker, demand)
            if made is not None:
                records.append(made)
        joint = joined(maker, demands, records)
        if joint or records:
            yield word, [joint] if joint else records


def small(maker: Maker, demand: Demand) -> Record | None:
    """The smallest record that meets a demand as its hint says; None when none does."""
    for base in (maker.minimal(), maker.usual, maker.filled()):
        for record in (hinted(maker, demand, base, full=False), hinted(maker, demand, base, full=True)):
            if maker.meets(demand, record):
                return record
    return None


def hinted(maker: Maker, demand: Demand, base: Record, *, full: bool) -> Record:
    """A record with the values of a hint; `full` has a value besides in every other field that the demand names."""
    out = {**base}
    inner: Record = {}
    if demand.child:
        items = base.get(demand.child) or [maker.item(demand.child, 0)]
        inner = {**items[0]}
    for name in demand.fields:
        child = "" if name.startswith("^") else demand.child
        field = maker.field(name, child)
        target, bare_name = (inner if child else out), name.removeprefix("^")
        if name in demand.hint:
            if demand.hint[name] is not None or field is None or field.required != "always":
                target[bare_name] = demand.hint[name]
        elif field is not None and (full or field.required != "always") and target.get(bare_name) is None:
            target[bare_name] = maker.sample(field, child)
    if demand.child:
        out[demand.child] = [_present(inner)]
    return _present(out)


def joined(maker: Maker, demands: list[Demand], records: list[Record]) -> Record | None:
    """One record with the list items of all, when that shows the same; None when it does not."""
    child = demands[0].child
    if not child or len(records) < 2 or any(demand.child != child for demand in demands):
        return None
    keys = maker.item_key(child)
    items: list[Record] = []
    for number, record in enumerate(records, 1):
        item = {**record[child][0]}
        if any(tuple(item.get(key) for key in keys) == tuple(other.get(key) for key in keys) for other in items):
            item |= {key: number for key in keys if isinstance(item.get(key), int)}
        items.append(item)
    made = {**records[0], child: items}
    met = all(any(maker.meets(demand, record) for record in records) <= maker.meets(demand, made) for demand in demands)
    return made if met else None


def sent_series(
    mapping_set: MappingSet, maker: Maker, there: list[tuple[Resource, Record]]
) -> Iterator[tuple[str, list[Parts]]]:
    """(name, parts of each example) of resources from outside that have a standard code alone."""
    left = list(unsent(maker.mapping.rules, there))
    for name, same in itertools.groupby(left, key=lambda demand: demand.rule.field):
        made = [parts for demand in same if (parts := sent(mapping_set, maker, demand))]
        if made:
            yield f"{name}-fra-standard", made


def sent(mapping_set: MappingSet, maker: Maker, demand: Sent) -> Parts | None:
    """The example of one standard code, made of the resource that the record code gives."""
    record = maker.minimal()
    if demand.each:
        record[demand.each.child] = [{**maker.item(demand.each.child, 0), demand.rule.field: demand.own}]
    else:
        record[demand.rule.field] = demand.own
    whole = as_stored(mapping_set.kinds, maker.kind, record)
    own = (demand.code_map.source.uri, demand.own)
    resource = without(bare(orjson.loads(maker.mapping.to_bytes(whole, []))), own)
    parts = received(maker.mapping, resource, None)
    return parts if demand.met(resource, parts["epj"] or {}) else None


def received(mapping: CompiledMapping, resource: Resource, stored: Record | None) -> Parts:
    """The parts of an example from outside: what was sent, what is stored then, and the issues."""
    written = mapping.to_record(resource, stored)
    record = None if written.record is None else own_entries(written.record, mapping.kind)
    return {"fhir-in": resource, "epj": record, "issues": said(written.issues) or None}


def without(value: Any, coding: tuple[str, str]) -> Any:
    """JSON without a coding, wherever it stands, and without what is empty then."""
    if isinstance(value, list):
        items = [without(item, coding) for item in value]
        return [item for item in items if item not in (None, {}, [])]
    if not isinstance(value, Mapping):
        return value
    if (value.get("system"), value.get("code")) == coding:
        return None
    kept = {name: without(inner, coding) for name, inner in value.items()}
    kept = {name: inner for name, inner in kept.items() if inner not in (None, {}, [])}
    return None if set(kept) == {"url"} and len(value) > 1 else kept


def _present(record: Record) -> Record:
    return {name: value for name, value in record.items() if value is not None}
