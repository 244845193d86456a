"""What a name means in a rule: a field, a list, a reference, the parent, the records that refer back, a derived value.

Types come from the record files, so that a rule with a wrong name or a comparison of unlike values does not load.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.kinds import ChildList, Field, Kind, Kinds

TEXTS = frozenset({"text", "code", "year"})


class RuleFault(Exception):
    """A rule that cannot be compiled; the message tells why."""


class Place(NamedTuple):
    """A record, or an item of one of its lists: the Python text that gives it, and that of the record it is in."""

    text: str
    kind: Kind
    child: ChildList | None
    host: str

    @property
    def label(self) -> str:
        return f"{self.kind.name}.{self.child.name}" if self.child else self.kind.name


class Value(NamedTuple):
    """What an expression gives: text of one item, the loops that lead to it, and its type.

    `type` is that of a field, or record, graph, earlier, boolean. `single`: at most one item. `inside` is the place
    that the field stands in.
    """

    type: str
    text: str
    clauses: tuple[str, ...] = ()
    single: bool = True
    place: Place | None = None
    field: Field | None = None
    inside: Place | None = None


class Way(NamedTuple):
    """How to come from a place to records: of which kind, by which of its fields, with which values; at most one?"""

    kind: str
    fields: tuple[str, ...]
    values: tuple[str, ...]
    single: bool


def field_of(place: Place, name: str) -> Field | None:
    """The field that a name means at a place."""
    return (place.child.fields if place.child else place.kind.fields).get(name)


def own_list(place: Place, name: str) -> ChildList | None:
    """The list inside the record that a name means."""
    found = None if place.child else place.kind.children.get(name)
    return found if found and not found.records else None


def way(kinds: Kinds, place: Place, name: str) -> Way | None:
    """The way to other records that a name means: a reference, a list of records, or a kind that refers here."""
    links = place.child.links if place.child else place.kind.links
    link = links.get(name)
    if link is not None:
        return Way(link.to, kinds[link.to].key, tuple(_read(place, part) for part in link.fields), True)
    if place.child is not None:
        return None
    if place.kind.parent == name:
        key = kinds[name].key
        return Way(name, key, tuple(f"{place.text}.get({part!r})" for part in key), True)
    child = place.kind.children.get(name)
    kind = kinds.by_name.get(child.records if child else name)
    if kind is None:
        return None
    values = tuple(f"{place.text}.get({part!r})" for part in place.kind.key)
    if kind.parent == place.kind.name:
        return Way(kind.name, place.kind.key, values, False)
    for each in kind.links.values():
        if each.to == place.kind.name:
            return Way(kind.name, each.fields, values, False)
    return None


def _read(place: Place, name: str) -> str:
    """A field of a reference: of the item, or of the record that it stands in."""
    plain = name.removeprefix("^")
    own = not name.startswith("^") and field_of(place, plain) is not None
    return f"{place.text if own else place.host}.get({plain!r})"


def names(kinds: Kinds, place: Place) -> Iterator[str]:
    """Every name that means something at a place."""
    yield from place.child.fields if place.child else place.kind.fields
    yield from place.child.links if place.child else place.kind.links
    if place.child is None:
        yield from place.kind.children
        yield from (kind.name for kind in kinds if way(kinds, place, kind.name))


def unknown(what: str, name: str, known: Iterator[str]) -> RuleFault:
    """The fault of a name that means nothing, with the nearest that does."""
    return RuleFault(f"{what} has no '{name}'{nearest(name, known)}")


def judged_on(kinds: Kinds, place: Place, field: Field) -> str:
    """The text that gives the date on which the code of a field is judged; None where the record file names none."""
    wanted = field.judged_on
    if not wanted:
        return "None"
    if field_of(place, wanted) is not None:
        return f"{place.text}.get({wanted!r})"
    if wanted in place.kind.fields:
        return f"{place.host}.get({wanted!r})"
    above = Place(place.host, place.kind, None, place.host)
    for link in (place.kind.parent, *place.kind.links):
        found = way(kinds, above, link) if link else None
        if found is not None and wanted in kinds[found.kind].fields:
            values = ", ".join(found.values)
            return f"next((up.get({wanted!r}) for up in g.of({found.kind!r}, {found.fields!r}, ({values},))), None)"
    return "None"


def loops_of(value: Value) -> tuple[str, ...]:
    """The loops that lead to a value, at least one."""
    if value.clauses:
        return value.clauses
    return (f"for _ in (({value.text}),) if _ is not None",)


def alike(one: Value, other: Value) -> None:
    """Refuse a comparison that could never be right."""
    groups = ["text" if each.type in TEXTS else each.type for each in (one, other) if each.type != "any"]
    if "record" in groups or len(set(groups)) > 1:
        raise RuleFault(f"{one.type} and {other.type} cannot be compared")
