"""Hypothesis strategies for records and whole messages, derived from the record kinds; no field is named."""

from __future__ import annotations

import datetime
import heapq
from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Field, Kind, Kinds, Link
from fhir_facade.store.batches import complete
from fhir_facade.store.npr_tree import Module, Node, Owner

LETTERS = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn", "Co"), exclude_characters="\ufffe\uffff")
WORDS = st.one_of(
    st.sampled_from(["Ærfugl", "blåbær & co", '<"sitat">', "linje\nto", " mellomrom ", "a\tb", "Øyvind's"]),
    st.text(LETTERS, min_size=1, max_size=12),
)
DATES = st.dates(datetime.date(1900, 1, 1), datetime.date(2999, 12, 31)).map(datetime.date.isoformat)


@st.composite
def date_times(draw: DrawFn) -> str:
    clock = draw(st.times()).replace(microsecond=0).isoformat()
    fraction = draw(st.sampled_from(["", "", ".5", ".123", ".000001"]))
    return f"{draw(DATES)}T{clock}{fraction}{draw(st.sampled_from(['', '', 'Z', '+01:00', '-14:00', '+05:30']))}"


def values(field: Field) -> SearchStrategy[Any]:
    """What a field may hold."""
    match field.type:
        case "integer":
            largest = 10 ** (field.digits or 9) - 1
            return st.integers(-largest, largest)
        case "date":
            return DATES
        case "dateTime":
            return date_times()
        case "year":
            return st.integers(1900, 2099).map(str)
        case "code":
            return st.from_regex(r"[A-Z0-9]{1,6}", fullmatch=True)
    if field.digits:
        return st.from_regex(rf"-?[0-9]{{1,{field.digits}}}", fullmatch=True)
    return WORDS.map(lambda text: text[: field.max_length or None])


def keys(field: Field) -> SearchStrategy[Any]:
    """What a key field may hold: text often plain, at times such that the key becomes a digest."""
    if field.type != "text":
        return values(field)
    plain = st.from_regex(r"[A-Za-z0-9-]{1,8}", fullmatch=True)
    return st.one_of(plain, plain, plain, values(field))


@st.composite
def filled(draw: DrawFn, fields: Mapping[str, Field], fixed: Mapping[str, Any], bound_only: bool) -> Record:
    """One record or item: what is fixed, everything required, and some of the rest."""
    record: Record = {}
    for name, field in fields.items():
        if name in fixed:
            record[name] = fixed[name]
        elif bound_only and not field.bindings:
            continue
        elif field.required != "no" or draw(st.booleans()):
            record[name] = draw(values(field))
    return record


@st.composite
def records(draw: DrawFn, kinds: Kinds, kind: Kind, bound_only: bool = True) -> Record:
    """A record of a kind by itself, with its own lists; references point nowhere in particular."""
    record = draw(filled(kind.fields, {}, bound_only))
    for child in kind.own_lists():
        if not bound_only or child.element:
            items = draw(st.lists(filled(child.fields, {}, bound_only), max_size=2))
            record[child.name] = list({tuple(item.get(name) for name in child.key): item for item in items}.values())
    return record


Given = dict[tuple[str, str], Any]
"""What the elements around one have said: path of the element and attribute (or "#") → value."""


class Drawing:
    """Draws one message that hangs together: the tree of the module, filled from the top."""

    def __init__(self, draw: DrawFn, kinds: Kinds, module: Module) -> None:
        self.draw, self.kinds, self.module = draw, kinds, module
        self.order = {kind.name: place for place, kind in enumerate(kinds)}
        self.named = {link.to for kind in kinds for link in kind.links.values()}  # what others refer to
        self.queue: list[tuple[int, int, Node, Given, dict[str, Record]]] = []
        self.pushed = 0
        self.found: dict[str, dict[str, Record]] = {kind.name: {} for kind in module.kinds}

    def all(self) -> None:
        """Draw the whole message, kinds that others refer to first."""
        self.push(self.module.top, {}, {})
        while self.queue:
            _, _, node, given, hosts = heapq.heappop(self.queue)
            self.down(node, given, hosts)

    def push(self, node: Node, given: Given, hosts: dict[str, Record]) -> None:
        owners = [owner for below in node.walk() for owner in below.owners if not owner.derived]
        turn = -1 if node.depth < 2 else min((self.order[owner.kind.name] for owner in owners), default=-1)
        heapq.heappush(self.queue, (turn, self.pushed, node, given, hosts))
        self.pushed += 1

    def count(self, node: Node) -> int:
        """How many of an element to draw: few, so that a message stays small."""
        if _must(node) or (node.maximum == 1 and node.main and node.main.kind.name in self.named):
            return 1
        most = min(2, node.maximum or 2)
        return self.draw(st.sampled_from([1, most, most, 0] if node.depth < 4 else [1, 0, most]))

    def down(self, node: Node, given: Given, hosts: dict[str, Record]) -> None:
        """Draw what stands at an element, then below; `given` are the values of the elements around it."""
        choice = self.draw(st.sampled_from(node.choice)) if node.choice else ""
        if node.main is not None:
            record = self.make(node.main, node, given, choice)
            if record is None:
                return
            if node.main.child is None:
                hosts = {**hosts, node.main.kind.name: record}
            else:
                items = hosts[node.main.kind.name].setdefault(node.main.child.name, [])
                if any(all(item.get(name) == record.get(name) for name in node.main.key) for item in items):
                    return
                items.append(record)
            takes = node.main.at(node)
            given = {
                **given,
                **{(node.path, what): record.get(slot.field.name) for what, slot in takes.items()},
            }
        else:
            given = {**given, **self.shared(node)}
        for child in node.children.values():
            if child.name in node.choice:
                if child.name == choice:
                    self.push(child, given, hosts)
                continue
            for position in range(1, self.count(child) + 1):
                self.push(child, {**given, (child.path, "#"): position}, hosts)

    def shared(self, node: Node) -> Given:
        """Attributes of an element that makes nothing itself, unless parts of the record around it."""
        found: Given = {}
        if node.is_part:
            return found
        for attribute in node.attributes.values():
            field = attribute.field
            if field is not None and (attribute.required or self.draw(st.booleans())):
                found[(node.path, attribute.name)] = self.draw(keys(field))
        return found

    def make(self, owner: Owner, node: Node, given: Given, choice: str) -> Record | None:
        """A record or item with the values around it, references that lead somewhere and a key of its own."""
        fixed: dict[str, Any] = {}
        for slot in owner.slots:
            for place in slot.places:
                at = node if place.part else node.ancestor(place.depth)
                assert at is not None
                if place.what == "|":
                    fixed[slot.field.name] = choice
                elif place.what == ":module":
                    fixed[slot.field.name] = self.module.name
                elif place.part and choice and place.part != choice:
                    fixed[slot.field.name] = None
                elif (at.path, place.what) in given and not place.part:
                    fixed[slot.field.name] = given[(at.path, place.what)]
                elif at is not node and not place.part:
                    fixed[slot.field.name] = None
                elif place.what in at.attributes and at.attributes[place.what].fixed:
                    fixed[slot.field.name] = at.attributes[place.what].fixed
        carried = {slot.field.name: slot.field for slot in owner.slots}
        links = owner.child.links if owner.child else owner.kind.links
        around = {name: value for (_, name), value in given.items()} | fixed
        for link in links.values():
            if link.fields[-1] in carried and link.fields[-1] not in fixed:
                fixed |= self.point(link, around)
        for name in owner.key:
            if name in carried and name not in fixed:
                fixed[name] = self.draw(keys(carried[name]))
        record = self.draw(filled(carried, fixed, True))
        if any(record.get(name) is None and carried[name].required != "no" for name in carried):
            return None
        return self.keep(owner, record)

    def point(self, link: Link, around: Mapping[str, Any]) -> dict[str, Any]:
        """Let the last field of a reference name a record that exists, or nothing."""
        if link.to not in self.found or self.kinds[link.to].present_when:
            return {}
        key = self.kinds[link.to].key
        fit = [
            other[key[-1]]
            for other in self.found[link.to].values()
            if all(other[part] == around.get(name) for part, name in zip(key[:-1], link.fields[:-1], strict=True))
        ]
        return {link.fields[-1]: self.draw(st.sampled_from(fit)) if fit else None}

    def keep(self, owner: Owner, record: Record) -> Record | None:
        if owner.child is not None:
            return record
        for child in owner.kind.own_lists():
            if child.name in self.module.supplied[owner.kind.name]:
                record[child.name] = []
        key = complete(self.kinds, owner.kind, record)["$key"]
        if key in self.found[owner.kind.name]:
            return None
        self.found[owner.kind.name][key] = record
        return record


def _must(node: Node) -> bool:
    """Whether an element has to be there once for what is around it to make sense."""
    return node.parent is not None and node.parent.needs == node.name


@st.composite
def messages(draw: DrawFn, kinds: Kinds, module: Module) -> dict[str, list[Record]]:
    """Records of every kind of a message that hang together, by kind; the envelope is one of them."""
    drawing = Drawing(draw, kinds, module)
    drawing.all()
    return {kind: list(found.values()) for kind, found in drawing.found.items()}
