"""Write an NPR-melding: the table that reads it, walked the other way, one patient at a time.

The same records always give the same bytes: elements in message order, records by key.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, BinaryIO, Protocol

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.npr_tree import MODULE, ORDINAL, PART, Module, Node, NprTable, Owner

PAGE = 200  # patients whose records are fetched together
INDENT = "  "

_SPECIAL = re.compile('[&<>"\t\n\r]').search
_ENTITIES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)

Pool = Mapping[str, Sequence[Record]]
"""Records by the name of their kind."""


class Records(Protocol):
    """What writing asks of the store."""

    def scan(self, kind: str) -> Iterator[Record]: ...

    def related(self, kind: str, link: str, keys: Sequence[str]) -> Mapping[str, Sequence[Record]]: ...


def write_npr(
    store: Records,
    out: BinaryIO,
    table: NprTable,
    kinds: Kinds,
    module: str = "ord",
    institution: str | None = None,
    header: Record | None = None,
) -> list[Issue]:
    """Write all that is stored as one message; the issues tell what has no place in it.

    The envelope is the one given, else the stored one that changed last; Refused when there is none.
    """
    message = table.modules[module]
    chosen = header if header is not None else _newest_header(store, message)
    if chosen is None:
        raise Refused(Issue("message-not-stored", "", {"module": module}))
    found = [values for values in _institutions(store, message) if institution in (None, *values.values())]
    bodies = ((values, _batches(store, message, kinds, values)) for values in found)
    return write_message(out, message, chosen, bodies)


def write_message(
    out: BinaryIO,
    module: Module,
    header: Record,
    institutions: Iterable[tuple[Mapping[str, Any], Iterable[tuple[Node, Pool]]]],
) -> list[Issue]:
    """Write one message: for each institution its attributes and what stands in it, in order."""
    writer = _Writer(module)
    top = module.top
    body = next(child for child in top.children.values() if not child.owners)
    out.write(b'<?xml version="1.0" encoding="UTF-8"?>\n')
    envelope = top.owners[0]
    attributes = _attributes(top, _taken(envelope, top, header))
    out.write(f'<{top.name} xmlns="{module.namespace}"{attributes}>\n'.encode())
    lists = writer.lists(envelope, header)
    for child in top.children.values():
        if child is not body:
            out.write("".join(writer.element(child, lists)).encode())
    for values, batches in institutions:
        out.write(f"{INDENT}<{body.name}{_attributes(body, values)}>\n".encode())
        out.writelines("".join(writer.batch(node, pool)).encode() for node, pool in batches)
        out.write(f"{INDENT}</{body.name}>\n".encode())
    out.write(f"</{top.name}>\n".encode())
    return writer.unwritten()


class _Writer:
    """Turns pools of records into lines of XML, and counts what found a place."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.below = {node: _owners_below(node) for node in module.top.walk()}
        self.takes = {node: {owner: _ties(owner, node) for owner in owners} for node, owners in self.below.items()}
        for node in self.below:
            if node.is_part and node.parent is not None and node.parent.main is not None:
                self.takes[node][node.parent.main] = _takes(node.parent.main, node)
        self.parts = {
            owner: slot.field.name
            for node in self.below
            for owner in node.owners
            for slot in owner.slots
            if slot.places[0].what == PART
        }
        self.given: Counter[str] = Counter()
        self.written: Counter[str] = Counter()

    def batch(self, node: Node, pool: Pool) -> list[str]:
        """The element of a batch: one record, or a container around the records of one patient."""
        owners = {owner: pool.get(owner.kind.name, ()) for owner in self.below[node] if owner.child is None}
        for owner, records in owners.items():
            self.given[owner.name] += len(records)
        if node.main is not None:
            return self.element(node, owners)
        head = next((records[0] for records in owners.values() if records), None)
        leader = next((owner for owner, records in owners.items() if records), None)
        if head is None or leader is None:
            return []
        body = [text for child in node.children.values() for text in self.element(child, owners)]
        return _tag(node, _taken(leader, node, head), body) if body else []

    def element(self, node: Node, pool: Mapping[Owner, Sequence[Record]]) -> list[str]:
        """Every instance of an element that the pool has records for."""
        if node.main is None:
            return self._groups(node, pool)
        lines: list[str] = []
        owner = node.main
        takes = self.takes[node]
        shares = {below: _index(pool.get(below, ()), takes[below]) for below in self.below[node] if below is not owner}
        ordinal = [name for what, name in takes[owner] if what == ORDINAL]
        order = (*ordinal, *owner.key)
        for record in sorted(pool.get(owner, ()), key=lambda record: _rank(record.get(name) for name in order)):
            values = {what: record.get(name) for what, name in takes[owner]}
            if not _is_whole(node, values):
                continue
            self.written[owner.name] += 1
            mine = {below: _share(index, takes[below], values) for below, index in shares.items()}
            if owner.child is None:
                mine |= self.lists(owner, record)
            body = [text for child in node.children.values() for text in self._child(owner, record, child, mine)]
            lines += _tag(node, values, body)
        return lines

    def lists(self, owner: Owner, record: Record) -> dict[Owner, Sequence[Record]]:
        """The record's own lists, by what makes their items."""
        pool: dict[Owner, Sequence[Record]] = {}
        for below in self.below[owner.node]:
            if below.child is not None and below.kind is owner.kind:
                items = record.get(below.child.name) or ()
                self.given[below.name] += len(items)
                pool[below] = items
        return pool

    def _child(self, owner: Owner, record: Record, node: Node, pool: Mapping[Owner, Sequence[Record]]) -> list[str]:
        if not node.is_part:
            return self.element(node, pool)
        values = {what: record.get(name) for what, name in self.takes[node][owner]}
        part = self.parts.get(owner)
        if (record.get(part) != node.name) if part else not any(value is not None for value in values.values()):
            return []
        return _tag(node, values, [text for child in node.children.values() for text in self.element(child, pool)])

    def _groups(self, node: Node, pool: Mapping[Owner, Sequence[Record]]) -> list[str]:
        """Elements that make nothing themselves: one around all records with the same values there."""
        lines: list[str] = []
        for owner in self.below[node]:
            groups = _index(pool.get(owner, ()), self.takes[node][owner])
            for key in sorted(groups, key=_rank):
                values = dict(zip((what for what, _ in self.takes[node][owner]), key, strict=True))
                inside = {owner: groups[key]}
                body = [text for child in node.children.values() for text in self.element(child, inside)]
                lines += _tag(node, values, body) if body else []
        return lines

    def unwritten(self) -> list[Issue]:
        """What was given and found no place."""
        return [
            Issue("record-not-written", "", {"kind": name, "count": lost, "module": self.module.name})
            for name, given in sorted(self.given.items())
            if (lost := given - self.written[name])
        ]


def _owners_below(node: Node) -> list[Owner]:
    owners = [owner for below in node.walk() for owner in below.owners if not owner.derived]
    return sorted(owners, key=lambda owner: owner is not node.main)


def _takes(owner: Owner, node: Node) -> tuple[tuple[str, str], ...]:
    """What a record has at an element: attribute (or ordinal) and field."""
    return tuple((what, slot.field.name) for what, slot in owner.at(node).items())


def _ties(owner: Owner, node: Node) -> tuple[tuple[str, str], ...]:
    """What ties a record to an element around it: at another record's element what is in that one's key.

    Other fields taken from there are copies, and may be older than what they were copied from.
    """
    takes = _takes(owner, node)
    main = node.main
    if main is None or main is owner:
        return takes
    key = {what for what, name in _takes(main, node) if name in main.key}
    return tuple((what, name) for what, name in takes if what in key)


def _index(records: Sequence[Record], takes: tuple[tuple[str, str], ...]) -> dict[tuple[Any, ...], list[Record]]:
    index: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        index.setdefault(tuple(record.get(name) for _, name in takes), []).append(record)
    return index


def _share(
    index: Mapping[tuple[Any, ...], Sequence[Record]],
    takes: tuple[tuple[str, str], ...],
    values: Mapping[str, Any],
) -> Sequence[Record]:
    return index.get(tuple(values.get(what) for what, _ in takes), ())


def _taken(owner: Owner, node: Node, record: Record) -> dict[str, Any]:
    return {what: record.get(name) for what, name in _takes(owner, node)}


def _is_whole(node: Node, values: Mapping[str, Any]) -> bool:
    return all(values.get(one.name) is not None for one in node.attributes.values() if one.required)


def _rank(parts: Iterable[Any]) -> tuple[tuple[bool, Any], ...]:
    return tuple((part is not None, part) for part in parts)


def _attributes(node: Node, values: Mapping[str, Any]) -> str:
    texts = []
    for attribute in node.attributes.values():
        value = attribute.fixed or values.get(attribute.name)
        if value is not None:
            text = str(value)
            texts.append(f' {attribute.name}="{text.translate(_ENTITIES) if _SPECIAL(text) else text}"')
    return "".join(texts)


def _tag(node: Node, values: Mapping[str, Any], body: list[str]) -> list[str]:
    indent = INDENT * node.depth
    start = f"{indent}<{node.name}{_attributes(node, values)}"
    return [f"{start}>\n", *body, f"{indent}</{node.name}>\n"] if body else [f"{start}/>\n"]


def _newest_header(store: Records, module: Module) -> Record | None:
    owner = module.top.main
    if owner is None:
        return None
    told = next(slot.field.name for slot in owner.slots if slot.places[0].what == MODULE)
    kind = owner.kind
    ours = (record for record in store.scan(kind.name) if record[told] == module.name)
    return max(
        ours,
        key=lambda record: _rank((record[kind.changed], record[kind.version], record["$key"])),
        default=None,
    )


def _heads(module: Module, kinds: Kinds) -> list[tuple[Node, Owner]]:
    """What stands directly in an institution, with the kind that leads there (others refer to it)."""
    order = {kind.name: place for place, kind in enumerate(kinds)}
    body = next(child for child in module.top.children.values() if not child.owners)
    heads = []
    for node in body.children.values():
        owners = [owner for owner in _owners_below(node) if owner.child is None]
        if owners:
            heads.append((node, min(owners, key=lambda owner: order[owner.kind.name])))
    return heads


def _institutions(store: Records, module: Module) -> list[dict[str, Any]]:
    """The attributes of every institution that has something to write."""
    body = next(child for child in module.top.children.values() if not child.owners)
    found = set()
    for _, head in _heads(module, Kinds({kind.name: kind for kind in module.kinds})):
        takes = [(what, slot.field.name) for what, slot in head.at(body).items()]
        for record in store.scan(head.kind.name):
            found.add(tuple((what, record[name]) for what, name in takes))
    return [dict(values) for values in sorted(found)]


def _batches(store: Records, module: Module, kinds: Kinds, values: Mapping[str, Any]) -> Iterator[tuple[Node, Pool]]:
    """What stands in one institution: the records that lead, by key, each with those that refer to it."""
    body = next(child for child in module.top.children.values() if not child.owners)
    for node, head in _heads(module, kinds):
        takes = {slot.field.name: what for what, slot in head.at(body).items()}
        mine = (
            record
            for record in store.scan(head.kind.name)
            if all(record[name] == values[what] for name, what in takes.items())
        )
        links = {
            owner.kind.name: next(link.name for link in owner.kind.links.values() if link.to == head.kind.name)
            for owner in _owners_below(node)
            if owner.kind is not head.kind
        }
        while page := list(islice(mine, PAGE)):
            keys = [record["$key"] for record in page]
            related = {kind: store.related(kind, link, keys) for kind, link in links.items()}
            for record in page:
                pool = {kind: rows.get(record["$key"], ()) for kind, rows in related.items()}
                yield node, {head.kind.name: [record], **pool}
