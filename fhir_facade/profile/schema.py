"""What FHIR demands of one resource type, base and profile together: a tree of nodes that both phases read.

A node is seen through views: places in StructureDefinitions, `Encounter.period` in the base and in a profile, `Period`
in the data type. It demands what they say together, the general first; a child is what they say at its id. So no
snapshot is made, and nothing is worked out before somebody asks. Nodes with the same views are one node.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from fhir_facade.definitions import concrete_name, definitions
from fhir_facade.packages.elements import (
    MISSING,
    STRENGTHS,
    UNBOUNDED,
    Binding,
    Constraint,
    Definition,
    Row,
    Slicing,
    Type,
)

CORE = "http://hl7.org/fhir/StructureDefinition/"
DEEPEST_BASE = 16
"""Most profiles of profiles of profiles; a chain that is longer bites its own tail."""


class FindsDefinitions(Protocol):
    """What a schema asks of packages."""

    def find(self, canonical: str) -> Definition | None:
        """The definition behind a canonical, `url|version` or plain, R4's own by URL or type name."""
        ...


class View(NamedTuple):
    """A place in a definition; `own` when it speaks of the slice itself and not of every item."""

    definition: Definition
    id: str
    own: bool = True

    @property
    def row(self) -> Row | None:
        return self.definition.rows.get(self.id)


@dataclass(frozen=True, slots=True)
class Rule:
    """A fixed value or a pattern, and the element that says it."""

    value: Any
    id: str
    origin: str


class Member(NamedTuple):
    """A JSON key of an object: the element that it belongs to (a choice whole), and the node of its one type."""

    key: str
    element: Node
    node: Node


class Schema:
    """The trees of one set of packages; made as they are asked for, and bounded by what the packages hold."""

    def __init__(self, packages: FindsDefinitions) -> None:
        self.packages = packages
        self._nodes: dict[tuple[Any, ...], Node] = {}
        self._roots: dict[str, Node] = {}

    def node(self, canonical: str) -> Node | None:
        """The root node of a type or profile; None when it is unknown. Unknown canonicals are not remembered."""
        found = self._roots.get(canonical)
        if found is None:
            definition = self.packages.find(canonical)
            if definition is None:
                return None
            views, missing = self.chain(definition)
            found = self._roots[canonical] = self.make(definition.type, views, (definition.type,), missing=missing)
        return found

    def make(
        self, name: str, views: tuple[View, ...], types: tuple[str, ...] = (), label: str = "",
        missing: tuple[str, ...] = (),
    ) -> Node:  # fmt: skip
        """The node of some views; `types` narrows a choice, `label` is the name of a slice."""
        key = (name, tuple((id(view.definition), view.id, view.own) for view in views), types, label)
        if key not in self._nodes:
            self._nodes[key] = Node(self, name, views, types, label, missing)
        return self._nodes[key]

    def chain(self, definition: Definition) -> tuple[tuple[View, ...], tuple[str, ...]]:
        """The roots of a definition and of all that it rests on, the most general first; and what was not found."""
        views = [View(definition, definition.root)]
        seen = definition
        while seen.derivation == "constraint" and len(views) < DEEPEST_BASE:
            base = self.packages.find(seen.base)
            if base is None:
                whole = self.packages.find(definition.type)
                return ((View(whole, whole.root), *views) if whole else tuple(views)), (seen.base,)
            if not seen.whole or base.derivation != "constraint":
                views.insert(0, View(base, base.root))
            seen = base
        return tuple(views), ()


class Node:
    """One element, one slice of it, or one type of a choice; a choice is called value[x].

    What is demanded stands in properties. `missing` names profiles that the packages do not have.
    """

    def __init__(
        self, schema: Schema, name: str, views: tuple[View, ...], types: tuple[str, ...], label: str,
        missing: tuple[str, ...],
    ) -> None:  # fmt: skip
        self.schema = schema
        self.name = name
        self.slice_name = label
        self.views = views
        self.is_root = bool(views) and "." not in views[0].id
        rows = [(view, view.row) for view in views]
        self._rows: list[tuple[View, Row]] = [(view, row) for view, row in rows if row is not None]
        self._narrowed = types
        self._missing = missing
        self.id = views[-1].id if views else name
        self.origin = views[-1].definition.url if views else ""
        self.path = views[0].id if views else name

    @cached_property
    def types(self) -> tuple[Type, ...]:
        """The allowed types; what a view says of types narrows what those before it say."""
        allowed: tuple[Type, ...] = ()
        referred = [row for view in self._referred if (row := view.row) is not None]
        for row in (*referred, *(row for _, row in self._rows)):
            allowed = row.types or allowed
        if self.is_root:
            return (Type(self._narrowed[0]),)
        if self._narrowed:
            allowed = tuple(each for each in allowed if each.code in self._narrowed) or tuple(map(Type, self._narrowed))
        by_code: dict[str, Type] = {}
        for each in allowed:
            known = by_code.get(each.code)
            both = known is not None
            by_code[each.code] = Type(
                each.code,
                (*known.profiles, *each.profiles) if both and known else each.profiles,
                (*known.targets, *each.targets) if both and known else each.targets,
            )
        return tuple(by_code.values())

    @cached_property
    def type(self) -> str:
        """The code of the only type, "" for a choice that is open; BackboneElement or Element for inline parts."""
        return self.types[0].code if len(self.types) == 1 and not self._is_choice else ""

    @property
    def _is_choice(self) -> bool:
        return self.name.endswith("[x]") and not self._narrowed

    @cached_property
    def kind(self) -> str:
        """primitive, complex, resource, choice or xhtml."""
        if self._is_choice:
            return "choice"
        if self.type == "xhtml":
            return "xhtml"
        said = definitions().kind(self.type)
        if said == "primitive-type":
            return "primitive"
        return "resource" if said == "resource" and not self.is_root else "complex"

    @cached_property
    def profiles(self) -> tuple[str, ...]:
        """Profiles of the type, one of which must hold; those of a single one are part of this node already."""
        return self.types[0].profiles if len(self.types) == 1 else ()

    @property
    def targets(self) -> tuple[str, ...]:
        """Canonicals of what a reference may point at, () for anything."""
        return self.types[0].targets if len(self.types) == 1 else ()

    @cached_property
    def _of_type(self) -> tuple[tuple[View, ...], tuple[str, ...]]:
        """The views of the node's type, and the profile of it that could not be found."""
        if self.is_root or not self.type or self.kind in ("choice", "resource"):
            return (), ()
        find = self.schema.packages.find
        if len(self.profiles) == 1:
            definition = find(self.profiles[0])
            if definition is not None and definition.type == self.type:
                return self.schema.chain(definition)
        core = find(self.type)
        missing = self.profiles if len(self.profiles) == 1 else ()
        return ((View(core, core.root),) if core else ()), missing

    @property
    def missing(self) -> tuple[str, ...]:
        """Profiles that this node should keep to and that the packages do not have."""
        return (*self._missing, *self._of_type[1])

    @cached_property
    def type_path(self) -> str:
        """The path that FHIRPath and the R4 table know this node's children under: Period, or Encounter.location."""
        if self.content_reference:
            return self.content_reference
        inline = self.type in ("BackboneElement", "Element", "")
        return self.path if inline or self.is_root or self.kind == "resource" else self.type

    @cached_property
    def content_reference(self) -> str:
        return next((row.content_reference for _, row in self._rows if row.content_reference), "")

    @cached_property
    def min(self) -> int:
        return max((row.min for view, row in self._rows if row.min is not None and view.own), default=0)

    @cached_property
    def max(self) -> int | None:
        """Most items, None for any number."""
        said = [row.max for view, row in self._rows if row.max is not None]
        most = min(said, default=UNBOUNDED)
        return None if most == UNBOUNDED else most

    @cached_property
    def many(self) -> bool:
        """Whether the JSON is an array: R4 says it, not the profile."""
        first = self._rows[0][1] if self._rows else None
        return first is not None and not self.is_root and first.max != 1

    @cached_property
    def fixed(self) -> Rule | None:
        return next(
            (Rule(r.fixed, r.id, v.definition.url) for v, r in reversed(self._typed) if r.fixed is not MISSING), None
        )

    @cached_property
    def pattern(self) -> Rule | None:
        """All patterns of the views as one."""
        whole: Rule | None = None
        for view, row in self._typed:
            if row.pattern is not MISSING:
                value = row.pattern if whole is None else _joined(whole.value, row.pattern)
                whole = Rule(value, row.id, view.definition.url)
        return whole

    @cached_property
    def binding(self) -> Binding | None:
        """The strongest binding; of equally strong ones the most specific."""
        found: Binding | None = None
        for _, row in self._typed:
            own = row.binding
            if own and own.strength in STRENGTHS and (found is None or _rank(own) >= _rank(found)):
                found = replace(own, max_value_set=own.max_value_set or (found.max_value_set if found else ""))
        return found

    @cached_property
    def constraints(self) -> tuple[Constraint, ...]:
        """The constraints of the element and of its type, each key once."""
        by_key: dict[str, Constraint] = {}
        for _, row in self._typed:
            for each in row.constraints:
                by_key.setdefault(each.key, self._in_norwegian(each))
        return tuple(by_key.values())

    @staticmethod
    def _in_norwegian(constraint: Constraint) -> Constraint:
        said = constraint.human_nb or definitions().constraint_text_nb(constraint.key)
        return replace(constraint, human_nb=said or constraint.human)

    @cached_property
    def max_length(self) -> int | None:
        return min((row.max_length for _, row in self._rows if row.max_length is not None), default=None)

    @cached_property
    def min_value(self) -> Any:
        return next((row.min_value for _, row in reversed(self._rows) if row.min_value is not None), None)

    @cached_property
    def max_value(self) -> Any:
        return next((row.max_value for _, row in reversed(self._rows) if row.max_value is not None), None)

    @cached_property
    def is_modifier(self) -> bool:
        return next((row.is_modifier for _, row in reversed(self._rows) if row.is_modifier is not None), False)

    @cached_property
    def _typed(self) -> list[tuple[View, Row]]:
        """The rows of the type's roots, then the node's own: what is said of any Period, then of this one."""
        of_type = [(view, view.row) for view in (*self._referred, *self._of_type[0])]
        return [*((view, row) for view, row in of_type if row is not None), *self._rows]

    @cached_property
    def _below(self) -> tuple[View, ...]:
        """Where children are looked up: the type's views, then the node's own."""
        plain = tuple(View(view.definition, view.id) for view in self.views)
        return (*self._referred, *self._of_type[0], *plain)

    @cached_property
    def _referred(self) -> tuple[View, ...]:
        """Where a content reference leads: an item of a Questionnaire's item is an item of the Questionnaire."""
        return tuple(View(view.definition, row.content_reference) for view, row in self._rows if row.content_reference)

    @cached_property
    def children(self) -> Mapping[str, Node]:
        """Element name → node, in order; a choice stands under value[x], a primitive's own value nowhere."""
        if self.kind in ("choice", "resource"):
            return {}
        names: dict[str, list[View]] = {}
        for view in self._below:
            for child in view.definition.children(view.id):
                names.setdefault(child, []).append(View(view.definition, f"{view.id}.{child}"))
        found: dict[str, Node] = {}
        for name, views in names.items():
            if self.kind in ("primitive", "xhtml") and name == "value":
                continue
            found[name] = self.schema.make(name, tuple(views))
        return found

    @cached_property
    def members(self) -> Mapping[str, Member]:
        """JSON key → member; the choice's Node and the one narrowed to the key's type."""
        found: dict[str, Member] = {}
        for name, child in self.children.items():
            if child.kind != "choice":
                found[name] = Member(name, child, child)
                continue
            for each in child.types:
                key = concrete_name(name, each.code)
                found[key] = Member(key, child, child.as_type(each.code))
        return found

    def as_type(self, code: str) -> Node:
        """A choice narrowed to one of its types, with what its slices say of that type."""
        key = concrete_name(self.name, code)
        sliced = [
            View(view.definition, f"{view.id}:{name}")
            for view in self.views
            for name in view.definition.slices(view.id)
            if name == key or _types_of(view.definition, f"{view.id}:{name}") == {code}
        ]
        return self.schema.make(self.name, (*self.views, *sliced), (code,))

    @cached_property
    def slicing(self) -> Slicing | None:
        """How the items are told apart; extensions by their URL and choices by their type also when nobody says so."""
        said = next(
            (row.slicing for _, row in reversed(self._rows) if row.slicing and row.slicing.discriminators), None
        )
        last = next((row.slicing for _, row in reversed(self._rows) if row.slicing), None)
        if said is not None and last is not None:
            return replace(last, discriminators=said.discriminators)
        if not self.slices and not self.slice_name:
            return last
        way = ("value", "url") if self.name in ("extension", "modifierExtension") else ("type", "$this")
        by = (way,) if way[1] == "url" or self.name.endswith("[x]") else ()
        return Slicing(by, last.rules if last else "open", bool(last and last.ordered), self.id, self.origin)

    @cached_property
    def slices(self) -> tuple[Node, ...]:
        """The slices, each with all that is said of every item too; `min` and `max` are the slice's own."""
        named: dict[str, list[View]] = {}
        for view in self.views:
            for name in view.definition.slices(view.id) if view.own or not self.slice_name else ():
                head, _, last = view.id.rpartition(".")
                plain = f"{head}.{last.partition(':')[0]}"  # a re-slice is named whole, a/b
                named.setdefault(name, []).append(View(view.definition, f"{plain}:{name}"))
        general = tuple(View(view.definition, view.id, own=False) for view in self.views)
        return tuple(
            self.schema.make(self.name, (*general, *own), self._meant(name), name) for name, own in named.items()
        )

    def _meant(self, name: str) -> tuple[str, ...]:
        """The type that a slice of a choice is of by its name: valueQuantity."""
        codes = [each.code for each in self.types] if self._is_choice else []
        return tuple(code for code in codes if concrete_name(self.name, code) == name) or self._narrowed


def _rank(binding: Binding) -> int:
    return STRENGTHS.index(binding.strength)


def _types_of(definition: Definition, id: str) -> set[str]:
    row = definition.rows.get(id)
    return {each.code for each in row.types} if row else set()


def _joined(one: Any, other: Any) -> Any:
    """Two patterns as one; where they differ the second is meant."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one | {key: _joined(one[key], value) if key in one else value for key, value in other.items()}
    return other
