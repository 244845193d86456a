"""The tree of an NPR-melding: what each element makes, and where each field of a record stands in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import ChildList, Field, Kind

ORDINAL = "#"  # the place of an element among its sisters
PART = "|"  # which of several parts is present
MODULE = ":module"
BATCH_DEPTH = 2  # Melding 0, Institusjon 1: what stands below an institution is read and stored one by one


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands, seen from the element that makes the record.

    `depth` counts from the top element; `part` names the child element that holds it, when that is not on the
    way down; `what` is an attribute, ORDINAL, PART or MODULE.
    """

    depth: int
    part: str
    what: str


@dataclass(frozen=True, slots=True)
class Slot:
    """A field with every place that binds it in this module."""

    field: Field
    places: tuple[Place, ...]


@dataclass(eq=False, slots=True)
class Owner:
    """What an element makes: a record of a kind, or an item of one of its lists."""

    kind: Kind
    child: ChildList | None
    node: Node
    slots: tuple[Slot, ...] = ()

    @property
    def name(self) -> str:
        return self.child.name if self.child else self.kind.name

    @property
    def key(self) -> tuple[str, ...]:
        return self.child.key if self.child else self.kind.key

    @property
    def derived(self) -> bool:
        """Whether the element mainly makes something else, and this only when an attribute is present."""
        return self.child is None and bool(self.kind.present_when)

    def at(self, place_node: Node) -> dict[str, Slot]:
        """The slots that take their value from one element, by what they take."""
        found = {}
        for slot in self.slots:
            for place in slot.places:
                part = self.node.children.get(place.part) if place.part else None
                if place_node is part or (not place.part and place_node is self.node.ancestor(place.depth)):
                    found[place.what] = slot
        return found


@dataclass(eq=False, slots=True)
class Attribute:
    """An attribute of an element; `field` judges its values."""

    name: str
    field: Field | None = None
    required: bool = False
    in_key: bool = False
    fixed: str = ""


@dataclass(eq=False, slots=True)
class Node:
    """One element at one place in the message."""

    name: str
    parent: Node | None
    depth: int
    maximum: int
    attributes: dict[str, Attribute] = field(default_factory=dict)
    children: dict[str, Node] = field(default_factory=dict)
    owners: list[Owner] = field(default_factory=list)
    choice: tuple[str, ...] = ()
    once: str = ""
    needs: str = ""  # the child without which nothing is made here
    is_part: bool = False
    host: Node = field(init=False)  # the element whose record a fault here refuses

    def __post_init__(self) -> None:
        self.host = self

    @property
    def path(self) -> str:
        return f"{self.parent.path}/{self.name}" if self.parent else self.name

    @property
    def main(self) -> Owner | None:
        """What the element first of all makes."""
        return next((owner for owner in self.owners if not owner.derived), None)

    @property
    def label(self) -> str:
        """What a message calls a thing made here."""
        return self.main.name if self.main else self.name

    @property
    def is_container(self) -> bool:
        """Whether the element only holds records of several kinds."""
        return not self.owners and not self.is_part and not self.needs and bool(self.children)

    def ancestor(self, depth: int) -> Node | None:
        """The element at a depth on the way down to this one, itself included."""
        node: Node | None = self
        while node is not None and node.depth > depth:
            node = node.parent
        return node

    def walk(self) -> Iterator[Node]:
        """This element and all below it, in message order."""
        yield self
        for child in self.children.values():
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Deletion:
    """How a deletion is told: the element, its attributes, and the field that each object type names."""

    element: str
    type: str
    guid: str
    objects: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Unique:
    """Fields that no two records of a kind may share, unless a field has one of the values in `unless`."""

    kind: str
    fields: tuple[str, ...]
    unless: Mapping[str, tuple[str, ...]]

    def judged(self, record: Record) -> tuple[Any, ...] | None:
        """The values that must be alone, or None when this record is not judged."""
        values = tuple(record.get(name) for name in self.fields)
        free = any(record.get(name) in allowed for name, allowed in self.unless.items())
        return None if free or None in values else values


@dataclass(frozen=True)
class Module:
    """One message: its namespace, its tree, and for each kind the fields and lists that it carries."""

    name: str
    namespace: str
    top: Node
    kinds: tuple[Kind, ...]
    supplied: Mapping[str, frozenset[str]]
    nested: Mapping[str, tuple[Kind, ...]]  # kinds whose records stand inside those of another, by its name


@dataclass(frozen=True)
class NprTable:
    """Every module of the message."""

    modules: Mapping[str, Module]
    version: str
    deletion: Deletion
    unique: tuple[Unique, ...]
