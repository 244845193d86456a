"""Write one FHIR resource back into the store: structure, mapping, record rules, one transaction.

The record and what no row took of the resource are stored together or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.columns import REMAINDER
from fhir_facade.mapping.ir import Constant
from fhir_facade.mapping.kinds import Kind, key_text
from fhir_facade.mapping.put import Policy, Written
from fhir_facade.mapping.structure import structure_faults
from fhir_facade.mapping.take import contains
from fhir_facade.outcome import Issue, Refused

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
    from fhir_facade.store.records import Store
    from fhir_facade.store.writer import Writer


def write_back(
    store: Store, mapping_set: MappingSet, resource: Any, now: str, *,
    policy: Policy | None = None, otherwise: Policy = "keep", dry_run: bool = False,
) -> Written:  # fmt: skip
    """Put a resource into its record, new or stored, and store it; `now` is the instant of the change (UTC).

    `policy` is the request's, `otherwise` the deployment's (see CompiledMapping.to_record). `Written.record` is None
    when the resource was refused; then, and in a dry run, nothing is stored.
    """
    if faults := structure_faults(resource):
        return Written(None, None, (), tuple(faults))
    try:
        mapping = mapping_for(mapping_set, resource)
        with store.transaction() as writer:
            written, base = judged(writer, mapping, resource, policy, otherwise)
            if written.record is None or dry_run:
                return written
            stored = storable(mapping, written, base)
            writer.merge(mapping.kind, [stored], now)
    except Refused as refused:
        return Written(None, None, (), refused.issues)
    return written._replace(record=stored)


def mapping_for(mapping_set: MappingSet, resource: Resource) -> CompiledMapping:
    """The mapping whose resource this is: by the prefix of its id, without one by what it says.

    A mapping always says some codes; of those that say what this resource has, the one that takes most of it.
    """
    named = str(resource["resourceType"])
    mappings = mapping_set.by_type.get(named, ())
    known = resource.get("id")
    if isinstance(known, str):
        fitting = [mapping for mapping in mappings if mapping.key_of(known) is not None][:1]
        why = "its id belongs to none of them"
    else:
        fitting = [mapping for mapping in mappings if speaks_for(mapping, resource)]
        fitting = _best(fitting, resource) if len(fitting) > 1 else fitting
        why = "several of them may be meant" if len(fitting) > 1 else "it lacks what each of them always says"
    if len(fitting) == 1:
        return fitting[0]
    facts = {"type": named, "reason": why, "allowed": [mapping.name for mapping in mappings] or ["none"]}
    raise Refused(Issue("resource-not-mapped", named, facts))


def _best(mappings: Sequence[CompiledMapping], resource: Resource) -> list[CompiledMapping]:
    """Those of the mappings that leave least of a new resource untaken."""
    left = [_untaken(mapping.to_record(resource, policy="warn", assign=lambda *_: 1)) for mapping in mappings]
    return [mapping for mapping, count in zip(mappings, left, strict=True) if count == min(left)]


def _untaken(written: Written) -> tuple[bool, int]:
    return written.record is None, sum(element.status == "refused" for element in written.elements)


def speaks_for(mapping: CompiledMapping, resource: Resource) -> bool:
    """Whether a resource has the codes that a mapping gives every resource, by which its kinds are told apart."""
    for rule in mapping.rules.rules:
        if isinstance(rule, Constant) and isinstance(rule.value, dict) and len(rule.path) == 1 and not rule.when:
            held = resource.get(rule.path[0].name)
            if not any(contains(rule.value, one) for one in (held if isinstance(held, list) else [held])):
                return False
    return True


def judged(
    writer: Writer, mapping: CompiledMapping, resource: Resource, policy: Policy | None, otherwise: Policy
) -> tuple[Written, Record | None]:
    """What the resource makes of the record that is stored under its id, or under the key that it leads to.

    With it comes that record, None where there is none.
    """

    def resolve(kind_name: str, key: str) -> Mapping[str, Any] | None:
        kind = mapping.kinds[kind_name]
        record = writer.get(kind, key)
        return None if record is None else {name: record.get(name) for name in kind.key}

    def assign(field: str, record: Record) -> int:
        return writer.next_number(mapping.kind, field, record)

    key = mapping.key_of(resource["id"]) if "id" in resource else None
    base = writer.get(mapping.kind, key) if key else None
    written = mapping.to_record(resource, base, policy=policy, resolve=resolve, otherwise=otherwise, assign=assign)
    if base is None and written.record is not None:
        key = key_text([written.record.get(name) for name in mapping.kind.key])
        base = writer.get(mapping.kind, key)
        if base is not None:
            written = mapping.to_record(resource, base, policy=policy, resolve=resolve, otherwise=otherwise)
    return written, base


def storable(mapping: CompiledMapping, written: Written, stored: Record | None) -> Record:
    """The record as the store takes it: whole, with keys, and what was kept beside it by mapping.

    `stored` is the record that is there now.
    """
    record = with_every_field(mapping.kind, written.record or {})
    whole = mapping.kinds.complete(mapping.kind, record)
    beside = orjson.loads(stored[REMAINDER]) if stored and stored.get(REMAINDER) else {}
    beside.pop(mapping.name, None)
    if written.remainder:
        beside[mapping.name] = written.remainder
    whole[REMAINDER] = orjson.dumps(beside, option=orjson.OPT_SORT_KEYS).decode() if beside else None
    return whole


def with_every_field(kind: Kind, record: Record) -> Record:
    """The record with None where a field or a field of an item has no value: what is left out is taken away."""
    out = {name: record.get(name) for name in kind.fields}
    for child in kind.own_lists():
        out[child.name] = [{name: item.get(name) for name in child.fields} for item in record.get(child.name) or ()]
    return out
