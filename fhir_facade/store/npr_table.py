"""NPR-melding as one table, built from the record kinds; reading and writing both walk it.

What no record says (the order of elements, Slett, the version) stands in mappings/npr-melding.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fhir_facade.mapping.findings import Finding, MappingError, nearest
from fhir_facade.mapping.kinds import ChildList, Field, Kind, Kinds
from fhir_facade.mapping.shapes import Shape, clean, kept, missing_keys, repeated_keys, unknown_keys
from fhir_facade.store.npr_tree import (
    PART,
    Attribute,
    Deletion,
    Module,
    Node,
    NprTable,
    Owner,
    Place,
    Slot,
    Unique,
)
from fhir_facade.yaml_text import SourceError, Table, read

KEYS: Mapping[str, Shape] = {
    "message": "text", "version": "text", "namespace": "text", "modules": "tables", "fixed": "lookup",
    "once": "lookup", "delete": "table", "unique": "table", "elements": "table",
}  # fmt: skip
DELETE: Mapping[str, Shape] = {"element": "text", "type": "text", "guid": "text", "objects": "tables"}
OBJECT: Mapping[str, Shape] = {"kind": "text", "field": "text"}
UNIQUE: Mapping[str, Shape] = {"fields": "texts", "unless": "guards"}
ELEMENT: Mapping[str, Shape] = {"attributes": "texts", "children": "texts"}
_COUNT = re.compile(r"(\w+) (\d+)\.\.(\d+|\*)").fullmatch
_BINDING = re.compile(r"(\w+)(?:@(\w+)|(#)|(:module)|((?:\|\w+)+))").fullmatch


def load_table(path: Path, kinds: Kinds) -> NprTable:
    """Build the table; MappingError names every binding to nowhere and every attribute that nothing binds."""
    try:
        builder = _Builder(path.name, read(path), kinds)
    except SourceError as error:
        raise MappingError([Finding(error.file, error.line, error.message)]) from None
    table = builder.build()
    if builder.findings:
        raise MappingError(builder.findings)
    return table


def _misshapen(file: str, source: Table) -> Iterator[Finding]:
    """Findings for values of another shape than the one that is read."""
    top = _shaped(file, kept(source, KEYS), KEYS, "the message file")
    if top:
        yield from top
        return
    delete = source["delete"]
    parts = [("an element", ELEMENT, spec, "") for spec in source["elements"].values() if spec != ""]
    parts += [("a deletion", DELETE, delete, "element type guid objects")]
    parts += [("an object", OBJECT, row, "kind field") for row in _values(delete.get("objects"))]
    for listed in source["unique"].values():
        rows = listed if isinstance(listed, list) else [listed]
        parts += [("a rule on what is unique", UNIQUE, row, "fields") for row in rows]
        if not isinstance(listed, list):
            yield Finding(file, source.at("unique"), "'unique' is a table of record kinds, each with a list of rules")
    for module in source["modules"].values():
        yield from _shaped(file, module, dict.fromkeys(module, "texts"), "a module")
    for what, shapes, spec, needed in parts:
        if not isinstance(spec, Table):
            yield Finding(file, getattr(spec, "line", source.line), f"{what} is a table")
        else:
            yield from _shaped(file, spec, shapes, what)
            yield from missing_keys(file, spec, needed.split())
    yield from _endless(file, source)


def _values(table: Any) -> list[Any]:
    return list(table.values()) if isinstance(table, Table) else []


def _shaped(file: str, table: Table, shapes: Mapping[str, Shape], what: str) -> list[Finding]:
    found: list[Finding] = []
    clean(file, table, shapes, what, found)
    return found


def _endless(file: str, source: Table) -> Iterator[Finding]:
    """An element that holds itself, however far down, could never be built."""
    holds: dict[str, set[str]] = {}
    lists = [(name, spec.get("children", ())) for name, spec in source["elements"].items() if isinstance(spec, Table)]
    for name, children in lists + [pair for module in source["modules"].values() for pair in module.items()]:
        holds.setdefault(str(name), set()).update(str(child).split(" ")[0] for child in children)
    for name, inside in holds.items():
        seen, todo = set[str](), list(inside)
        while todo:
            inner = todo.pop()
            if inner not in seen:
                seen.add(inner)
                todo += holds.get(inner, ())
        if name in seen:
            yield Finding(file, source["elements"].at(name), f"element '{name}' holds itself")


class _Builder:
    """Builds one table and gathers what is wrong with its sources."""

    def __init__(self, file: str, source: Table, kinds: Kinds) -> None:
        self.file, self.source, self.kinds = file, source, kinds
        self.findings: list[Finding] = repeated_keys(file, source)
        for needed in KEYS:
            if needed not in source:
                raise SourceError(file, 1, f"'{needed}' is missing")
        self.findings += unknown_keys(file, source, KEYS, "the message file")
        if faults := list(_misshapen(file, source)):  # what is built of it would fall over
            raise MappingError([*self.findings, *faults])
        self.bound: set[tuple[str, str]] = set()  # (kind or list, binding) found in some module

    def build(self) -> NprTable:
        deletion = self._deletion()
        modules = {str(name): self._module(str(name)) for name in self.source["modules"]}
        self._check_bindings()
        self._check_attributes(modules.values(), deletion)
        return NprTable(modules, str(self.source["version"]), deletion, self._unique())

    def _module(self, name: str) -> Module:
        top = self._node(name, str(self.source["message"]), None, 1)
        kinds = tuple(kind for kind in self.kinds if name in kind.elements)
        for kind in kinds:
            self._place_kind(top, name, kind)
        for node in top.walk():
            node.owners.sort(key=lambda owner: owner.derived)
        self._mark_parts(top)
        return Module(
            name=name,
            namespace=str(self.source["namespace"]).replace("{module}", name),
            top=top,
            kinds=kinds,
            supplied={kind.name: _supplied(top, kind) for kind in kinds},
            nested={kind.name: _nested(name, kind, kinds) for kind in kinds},
        )

    def _node(self, module: str, name: str, parent: Node | None, maximum: int) -> Node:
        """One element and, below it, every element that it may hold."""
        elements = self.source["elements"]
        if name not in elements:
            line = self.source.at("elements")
            self.findings.append(Finding(self.file, line, f"no element '{name}'{nearest(name, elements)}"))
        spec = elements.get(name) or {}
        if not isinstance(spec, dict):
            spec = {}
        node = Node(name, parent, parent.depth + 1 if parent else 0, maximum)
        node.once = str(self.source["once"].get(name, ""))
        for attribute in spec.get("attributes", ()):
            fixed = str(self.source["fixed"].get(f"{name}@{attribute}", ""))
            node.attributes[str(attribute)] = Attribute(str(attribute), fixed=fixed)
        for text in self.source["modules"][module].get(name) or spec.get("children", ()):
            counted = _COUNT(text)
            if not counted:
                self.findings.append(Finding(self.file, text.line, f"'Element 0..*' is expected, not '{text}'"))
                continue
            child, low, high = counted.groups()
            node.children[child] = self._node(module, child, node, 0 if high == "*" else int(high))
            if int(low) and not node.needs:
                node.needs = child
        return node

    def _place_kind(self, top: Node, module: str, kind: Kind) -> None:
        """Put a kind and its own lists where their elements are."""
        path = kind.elements[module]
        node = _find(top, path)
        if node is None:
            self._at(kind.at, f"'{path}' is no element of module {module}")
            return
        self._own(node, module, kind, None, kind.fields)
        for child in kind.own_lists():
            if not child.element:
                continue
            below = _find(top, child.element)
            if below is not None and child.element.startswith(path + "/"):
                self._own(below, module, kind, child, child.fields)
            elif not any(child.element.startswith(other + "/") for other in kind.elements.values()):
                self._at(child.at, f"'{child.element}' is no element inside '{path}'")

    def _own(self, node: Node, module: str, kind: Kind, child: ChildList | None, fields: Mapping[str, Field]) -> None:
        owner = Owner(kind, child, node)
        node.owners.append(owner)
        slots = []
        for field in fields.values():
            places = tuple(
                place for binding in field.bindings if (place := self._place(node, owner, field, binding)) is not None
            )
            if places:
                slots.append(Slot(field, places))
        owner.slots = tuple(slots)

    def _place(self, node: Node, owner: Owner, field: Field, binding: str) -> Place | None:
        """Where a binding leads, seen from the element that makes the record; None when elsewhere."""
        found = _BINDING(binding)
        if not found:
            return None
        name, attribute, ordinal, module, parts = found.groups()
        if parts:
            names = (name, *parts[1:].split("|"))
            if not all(part in node.children for part in names):
                return None
            node.choice = names
            place = Place(node.depth, "", PART)
        else:
            target, place = _target(node, name, attribute or ordinal or module)
            if target is None or (attribute and not self._bind(target, owner, field, attribute)):
                return None
        self.bound.add((field.at, binding))
        return place

    def _bind(self, target: Node, owner: Owner, field: Field, name: str) -> bool:
        attribute = target.attributes.get(name)
        if attribute is None:
            return False
        first = attribute.field
        if first is None or owner.node is target:
            attribute.field = field
        if first is not None and _form(first) != _form(field):
            self._at(field.at, f"'{target.name}@{name}' has another type in the field at {first.at}")
        if not owner.derived:
            attribute.required |= field.required != "no"
        attribute.in_key |= owner.child is None and field.name in owner.kind.key
        return True

    def _mark_parts(self, top: Node) -> None:
        """Say of each element which record a fault in it refuses."""
        for node in top.walk():
            above = node.parent
            node.is_part = (
                above is not None
                and not node.owners
                and (node.name in above.choice or any(_uses_part(owner, node.name) for owner in above.owners))
            )
            if node.main is None and not node.is_part and node.depth > 1:
                only = len(node.children) == 1
                node.needs = node.needs if only else ""
            else:
                node.needs = ""
            host = node
            while host.parent is not None and (host.is_part or _makes_only_items(host)):
                host = host.parent
            node.host = host

    def _deletion(self) -> Deletion:
        spec = self.source["delete"]
        objects = {}
        for letter, row in spec["objects"].items():
            kind, field = str(row["kind"]), str(row["field"])
            if kind not in self.kinds.by_name or field not in self.kinds[kind].fields:
                line = spec["objects"].at(letter)
                self.findings.append(Finding(self.file, line, f"no field '{field}' in a record kind '{kind}'"))
            objects[str(letter)] = (kind, field)
        return Deletion(str(spec["element"]), str(spec["type"]), str(spec["guid"]), objects)

    def _unique(self) -> tuple[Unique, ...]:
        rules = []
        for kind, rows in self.source["unique"].items():
            for row in rows:
                fields = tuple(map(str, row["fields"]))
                known = self.kinds[kind].fields if kind in self.kinds.by_name else {}
                for name in (*fields, *row.get("unless", ())):
                    if name not in known:
                        message = f"no field '{name}' in a record kind '{kind}'{nearest(name, known)}"
                        self.findings.append(Finding(self.file, row.line, message))
                unless = {str(name): tuple(map(str, values)) for name, values in row.get("unless", {}).items()}
                rules.append(Unique(str(kind), fields, unless))
        return tuple(rules)

    def _check_bindings(self) -> None:
        """Every binding of every field must have led somewhere in some module."""
        names = [str(name) for name in self.source["elements"]]
        for kind in self.kinds:
            lists = [field for child in kind.own_lists() for field in child.fields.values()]
            for field in [*kind.fields.values(), *lists]:
                for binding in field.bindings:
                    if (field.at, binding) not in self.bound:
                        self._at(
                            field.at,
                            f"'{field.name}' binds to nothing: '{binding}'" + _hint(self.source, binding, names),
                        )

    def _check_attributes(self, modules: Iterable[Module], deletion: Deletion) -> None:
        """Every attribute of the message must be bound by a field, or be told of here."""
        own = {(deletion.element, deletion.type), (deletion.element, deletion.guid)}
        for module in modules:
            for node in module.top.walk():
                for attribute in node.attributes.values():
                    if (node.name, attribute.name) in own:
                        attribute.required = True
                    elif attribute.field is None:
                        line = self.source["elements"].at(node.name)
                        message = f"no field binds '{node.name}@{attribute.name}' at {node.path}"
                        self.findings.append(Finding(self.file, line, message))

    def _at(self, at: str, message: str) -> None:
        file, line = at.rsplit(":", 1)
        self.findings.append(Finding(file, int(line), message))


def _find(top: Node, path: str) -> Node | None:
    first, *rest = path.split("/")
    node: Node | None = top if first == top.name else None
    for name in rest:
        node = node.children.get(name) if node else None
    return node


def _target(node: Node, name: str, what: str) -> tuple[Node | None, Place]:
    """The element that a binding names: on the way down to the record's own, or a part directly below."""
    step: Node | None = node
    while step is not None:
        if step.name == name:
            return step, Place(step.depth, "", what)
        step = step.parent
    part = node.children.get(name)
    return (part if part is not None and part.maximum == 1 else None), Place(node.depth, name, what)


def _form(field: Field) -> tuple[object, ...]:
    return field.type, field.max_length, field.digits


def _uses_part(owner: Owner, name: str) -> bool:
    return any(place.part == name for slot in owner.slots for place in slot.places)


def _makes_only_items(node: Node) -> bool:
    """Whether only items of lists are made at and below an element, so that their record answers for it."""
    owners = [owner for below in node.walk() for owner in below.owners]
    if node.owners:
        return node.main is not None and node.main.child is not None
    return bool(owners) and all(owner.child for owner in owners)


def _supplied(top: Node, kind: Kind) -> frozenset[str]:
    """The fields and lists of a kind that a message of this module tells about."""
    names = set()
    for node in top.walk():
        for owner in node.owners:
            if owner.kind is kind:
                names |= {owner.child.name} if owner.child else {slot.field.name for slot in owner.slots}
    return frozenset(names)


def _nested(module: str, kind: Kind, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    path = kind.elements[module] + "/"
    return tuple(below for below in kinds if below.parent == kind.name and below.elements[module].startswith(path))


def _hint(source: Table, binding: str, names: list[str]) -> str:
    element, _, attribute = binding.partition("@")
    if element in names:
        spec = source["elements"][element]
        return nearest(attribute, spec.get("attributes", ())) if isinstance(spec, dict) else ""
    return nearest(element, names)
