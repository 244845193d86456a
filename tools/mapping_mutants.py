"""Mutants of mapping files: each is one file with one small fault that an author could make.

Exhaustive and without chance: for every row its path, kind, field, systems, code map, constants, references, guards
and prefix, and the row itself. Code maps and systems.yaml: vocabulary_mutants.py. A fault that makes no other rules
than the sound file is none and not counted (mutate_mappings.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.mapping.kinds import Field, Kind
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.mapping.paths import STEP, Resolved, resolve
from fhir_facade.mapping.vocabulary import VOLVEN, Extension
from fhir_facade.terminology.lists import code_lists
from fhir_facade.yaml_text import Rows, Table

Address = tuple[Any, ...]
KINDS = ("code", "coding", "concept", "identifier", "reference", "logical")
NATURAL = {"code": "code", "Coding": "coding", "CodeableConcept": "concept", "Identifier": "identifier"}


@dataclass(frozen=True)
class Mutant:
    """One fault: where it stands, which row it is in, what is changed, and the change itself."""

    file: str
    line: int
    row: str
    change: str
    edit: Callable[[Table], None]

    @property
    def name(self) -> str:
        """What the list of equivalent mutants calls it; no line, for lines move."""
        return f"{self.file} | {self.row} | {self.change}"

    def of(self, whole: Table) -> Table:
        """The mutated copy of the file's table."""
        tree: Table = copied(whole)
        self.edit(tree)
        return tree


def copied(tree: Any) -> Any:
    """A copy of a table with its lines; texts are shared, for they never change."""
    if isinstance(tree, Table):
        table = Table({key: copied(value) for key, value in tree.items()})
        table.line, table.lines, table.repeated = tree.line, dict(tree.lines), list(tree.repeated)
        return table
    if isinstance(tree, list):
        rows = Rows(map(copied, tree))
        rows.line = getattr(tree, "line", 1)
        return rows
    return tree


def at(tree: Any, address: Address) -> Any:
    for key in address:
        tree = tree[key]
    return tree


def setting(address: Address, key: str, value: Any) -> Callable[[Table], None]:
    """Set a key of the table at an address; None takes it away."""

    def edit(tree: Table) -> None:
        table = at(tree, address)
        if value is None:
            del table[key]
        else:
            table[key] = copied(value)

    return edit


def after(one: Any, all_: Iterable[Any]) -> list[Any]:
    """The others, beginning behind `one` and going round."""
    listed = list(all_)
    place = listed.index(one) + 1 if one in listed else 0
    return [other for other in [*listed[place:], *listed[:place]] if other != one]


@dataclass(frozen=True)
class Spot:
    """Where rows stand: the record kind and, in a list, its name; the FHIR path that they begin at."""

    kind: Kind
    child: str
    root: str
    inside: Extension | None
    told: str


class MappingMutants:
    """The mutants of one mapping file."""

    def __init__(self, file: str, table: Table, mapping_set: MappingSet) -> None:
        self.file, self.table, self.set, self.words = file, table, mapping_set, mapping_set.vocabulary

    def all(self) -> Iterator[Mutant]:
        kind = self.set.kinds[str(self.table["epj"])]
        yield from self.rows(self.table["rules"], ("rules",), Spot(kind, "", str(self.table["fhir"]), None, ""))
        for name in self.table.get("ignore", ()):
            edit = setting(("ignore",), name, None)
            yield Mutant(self.file, self.table["ignore"].at(name), f"ignore {name}", "removed", edit)

    def rows(self, rows: Rows, address: Address, spot: Spot) -> Iterator[Mutant]:
        for place, row in enumerate(rows):
            here = (*address, place)
            yield from self.whole(row, address, place, spot)
            if "each" in row:
                yield from self.row(row, here, spot)
                if "rules" in row:
                    yield from self.rows(row["rules"], (*here, "rules"), self.within(row, spot))
            elif "rules" in row:
                yield from self.guards(row, here, "when", spot)
                yield from self.rows(row["rules"], (*here, "rules"), spot)
            else:
                yield from self.row(row, here, spot)

    def within(self, row: Table, spot: Spot) -> Spot:
        found = self.resolved(str(row["fhir"]), spot)
        full, extension = (found.full, found.extension) if found else (spot.root, None)
        return Spot(spot.kind, str(row["each"]), full, extension, f"{row['each']}/{row['fhir']}: ")

    def resolved(self, path: str, spot: Spot) -> Resolved | None:
        return resolve(path, spot.root, spot.inside, self.words, lambda _: None)

    def mutant(self, row: Table, spot: Spot, change: str, edit: Callable[[Table], None]) -> Mutant:
        return Mutant(self.file, row.line, spot.told + told(row), change, edit)

    def whole(self, row: Table, address: Address, place: int, spot: Spot) -> Iterator[Mutant]:
        """The row removed, doubled, and a group without its guards."""

        def removed(tree: Table) -> None:
            del at(tree, address)[place]

        def doubled(tree: Table) -> None:
            at(tree, address).insert(place, copied(row))

        def opened(tree: Table) -> None:
            at(tree, address)[place : place + 1] = copied(row["rules"])

        yield self.mutant(row, spot, "row removed", removed)
        yield self.mutant(row, spot, "row doubled", doubled)
        if "rules" in row and "each" not in row:
            yield self.mutant(row, spot, "guards removed", opened)

    def row(self, row: Table, here: Address, spot: Spot) -> Iterator[Mutant]:
        """Every key of one row, changed and where that makes sense removed."""

        def swapped(key: str, values: Iterable[Any]) -> Iterator[Mutant]:
            for value in values:
                if value != row.get(key):
                    change = f"{key} {shown(row.get(key))} -> {shown(value)}"
                    yield self.mutant(row, spot, change, setting(here, key, value))

        leaf = self.within(row, spot) if "each" in row and "rules" not in row else spot
        found = self.resolved(str(row["fhir"]), spot)
        if found:
            yield from swapped("fhir", self.paths(str(row["fhir"]), found, spot))
            if "epj" in row:
                yield from swapped("as", other_kinds(row, found))
        for key in ("epj", "system-from", "version-from", "assigner", "order"):
            if key in row:
                yield from swapped(key, self.fields(str(row[key]), leaf))
        for key in ("system", "type-system", "assigner-system", "in"):
            if key in row:
                yield from swapped(key, self.systems(str(row[key])))
        if "systems" in row:
            yield from swapped("systems", after(row["systems"], self.words.tables)[:1])
        if "codes" in row:
            yield from swapped("codes", [*after(row["codes"], self.words.code_maps)[:1], None])
            yield from swapped("original", ["beside"] if "original" not in row else [])
        if "const" in row and found:
            yield from swapped("const", self.constants(row["const"], found, str(row.get("in", ""))))
        if "derive" in row and found:
            for change, value in self.derived(str(row["derive"]), found, leaf):
                yield self.mutant(row, spot, f"derive {change}", setting(here, "derive", value))
        for key in ("to", "type"):
            if key in row and found:
                yield from swapped(key, self.types(str(row[key]), found))
        if "each" in row:
            yield from swapped("each", after(row["each"], spot.kind.children)[:1])
        if "prefix" in row or row.get("as") == "id":
            yield from swapped("prefix", [f"{row.get('prefix', '')}x", None] if "prefix" in row else ["x"])
        for key in ("original", "order", "emit", "default", "absent", "key"):
            if key in row:
                yield from swapped(key, [None])
        if "only" in row and not isinstance(row["only"], Table):
            yield from swapped("only", [None, *after(str(row["only"]), ("to-fhir", "from-fhir"))])
        inner = self.within(row, spot) if "each" in row else spot
        for key, scope in (("only", inner), ("when", spot)):
            if isinstance(row.get(key), Table):
                yield from swapped(key, [None])
                yield from self.guards(row, here, key, scope)

    def guards(self, row: Table, here: Address, key: str, spot: Spot) -> Iterator[Mutant]:
        """A guard with another value, another field, one value less, or only asking whether the field is there."""
        for name, values in row[key].items():
            listed = values if isinstance(values, list) else [values] if values else []
            others = self.other_values(name, listed, spot)
            changed: list[Any] = [["x"]] if not listed else [others or ["x"], ""]
            changed += [[*listed, *others]] if listed and others else []
            changed += [listed[:place] + listed[place + 1 :] for place in range(len(listed)) if len(listed) > 1]
            for value in changed:
                change = f"{key} {name} {shown(values)} -> {shown(value)}"
                yield self.mutant(row, spot, change, setting((*here, key), name, value))
            for other in self.fields(name, spot)[:1]:

                def renamed(tree: Table, name: str = name, other: str = other) -> None:
                    table = at(tree, (*here, key))
                    table[other] = table.pop(name)

                yield self.mutant(row, spot, f"{key} {name} -> {other}", renamed)

    def other_values(self, name: str, listed: Sequence[str], spot: Spot) -> list[str]:
        """Another value that a guard could ask for: one that the file asks for elsewhere, else one of the code list."""
        known = self.field(name, spot)
        codes = code_lists()[known.code_list].codes if known and known.code_list else ()
        elsewhere = [value for value in asked_values(self.table["rules"], name) if value not in listed]
        return [*elsewhere, *(code for code in after([*listed, ""][0], codes) if code not in listed)][:1]

    def paths(self, text: str, found: Resolved, spot: Spot) -> Iterator[str]:
        """Siblings of the last step, or of the extension it stands in: one of the same datatype, one of another."""
        steps = text.split(".")
        for place, step in enumerate(steps):
            match = STEP(step)
            if match and match[3]:
                yield from self.extensions(steps, place, match[3], spot)
        last, parent = found.path[-1], found.full.rpartition(".")[0]
        if last.url:
            return
        mine = definitions().element(found.full)
        names = [name for name in definitions().children(parent) if not name.startswith(("extension", "modifier"))]
        same = other = ""
        for name in after(last.name.removeprefix("_"), names):
            element = definitions().element(f"{parent}.{name}")
            if element is None or mine is None:
                continue
            if element.types == mine.types and not same:
                same = name
            elif element.types != mine.types and not other:
                other = name
        head = [".".join(steps[:-1])] if steps[1:] else []
        for name in (same, other):
            if name:
                yield ".".join([*head, name])

    def extensions(self, steps: Sequence[str], place: int, name: str, spot: Spot) -> Iterator[str]:
        """Another extension, or another part of it: first one that holds the same, then one that holds another."""
        before = steps[place - 1] if place else ""
        outer = STEP(before)
        around = self.words.extensions.get(outer[3]) if outer and outer[3] else spot.inside
        if around is not None and name in around.parts:
            known: Mapping[str, Any] = around.parts
        else:
            known = {
                each.name: each.value or each.parts
                for each in self.words.extensions.values()
                if not each.on or spot.root.split(".")[0] in {place.split(".")[0] for place in each.on}
            }
        same = [other for other in after(name, known) if known[other] == known.get(name)][:1]
        different = [other for other in after(name, known) if known[other] != known.get(name)][:1]
        for other in same + different:
            yield ".".join([*steps[:place], steps[place].replace(f"({name})", f"({other})"), *steps[place + 1 :]])

    def field(self, name: str, spot: Spot) -> Field | None:
        return self.known(name, spot).get(name.removeprefix("^"))

    def known(self, name: str, spot: Spot) -> Mapping[str, Field]:
        child = None if name.startswith("^") else spot.kind.children.get(spot.child)
        if child is None:
            return spot.kind.fields
        return self.set.kinds[child.records].fields if child.records else child.fields

    def fields(self, text: str, spot: Spot) -> list[str]:
        """Another field of the same type and code list, one of the same type alone, and one of another type."""
        if text == "$key":
            return list(self.known(text, spot))[:1]
        names = [part.strip() for part in text.split("|")]
        if len(names) > 1:
            return [" | ".join(reversed(names)), *names]
        mine, mark = self.field(text, spot), "^" if text.startswith("^") else ""
        known = self.known(text, spot)
        others = [known[name] for name in after(text.removeprefix("^"), known)]
        if mine is None:
            return []
        alike = [each for each in others if each.type == mine.type and each.code_list == mine.code_list][:1]
        typed = [each for each in others if each.type == mine.type and each.code_list != mine.code_list][:1]
        strange = [each for each in others if each.type != mine.type][:1]
        return [mark + each.name for each in [*alike, *typed, *strange]]

    def systems(self, name: str) -> list[str]:
        if name.startswith(VOLVEN):
            number = name.removeprefix(VOLVEN)
            return [VOLVEN + after(number, code_lists())[0], next(iter(self.words.systems))]
        return [str(other) for other in after(name, self.words.systems)[:1]]

    def types(self, name: str, found: Resolved) -> list[str]:
        """Another type that the element may refer to, and one that it may not."""
        allowed = [other for other in after(name, found.element.targets) if other != "Resource"][:1]
        return [*allowed, "Substance" if name != "Substance" else "Patient"]

    def codes(self, found: Resolved) -> list[str]:
        """The codes that an element is bound to, where R4 lists them."""
        bound = found.element.binding
        listed = definitions().codes(bound.value_set) if bound else None
        return sorted({code for _, code in listed or ()})

    def constants(self, value: Any, found: Resolved, system: str) -> Iterator[Any]:
        """Another code of the binding, a code that is none, another system."""
        if isinstance(value, list):
            known = self.words.system(value[0])
            others = [each for each in self.codes(found) if known and definitions().display(known.uri, each)]
            yield from ([value[0], code] for code in [*after(value[1], others)[:1], f"{value[1]}x"])
            yield from ([other, value[1]] for other in self.systems(value[0]))
            return
        yield from [*after(str(value), self.codes(found))[:1], f"{value}x"]

    def derived(self, text: str, found: Resolved, spot: Spot) -> Iterator[tuple[str, str]]:
        """Constants changed, tests on another field or for another value, branches swapped or removed; each told."""
        parts = text.split(" else ")
        for place, part in enumerate(parts):
            value, _, test = part.partition(" if ")
            other = after(value.strip(), self.codes(found))[0] if self.codes(found) else f"{value}x"
            name, equals, wanted = (piece.strip() for piece in test.partition("="))
            changed = [f"{other} if {test}" if test else other]
            if test:
                tests = [field + (f" = {wanted}" if equals else "") for field in self.fields(name, spot)[:1]]
                tests += [f"{name} = 'x'"] + ([name] if equals else [])
                changed += [f"{value} if {other_test}" for other_test in tests]
            for new in changed:
                yield f"'{part}' -> '{new}'", " else ".join([*parts[:place], new, *parts[place + 1 :]])
            if len(parts) > 1:
                yield f"'{part}' removed", " else ".join([*parts[:place], *parts[place + 1 :]])
        for place in range(len(parts) - 2):
            swapped = [*parts[:place], parts[place + 1], parts[place], *parts[place + 2 :]]
            yield f"'{parts[place]}' behind '{parts[place + 1]}'", " else ".join(swapped)


def told(row: Table) -> str:
    """A row in few words."""
    if "each" not in row and "rules" in row:
        return f"when {shown(row.get('when'))}"
    kind = "" if "epj" in row else "const" if "const" in row else "derive" if "derive" in row else ""
    parts = [f"each {row['each']}" if "each" in row else "", str(row.get("epj", kind))]
    value = f"={shown(row['const'])}" if "const" in row else ""
    return f"{' '.join(part for part in parts if part)} -> {row.get('fhir')}{value}"


def shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {shown(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(shown, value)) + "]"
    return "(none)" if value is None else str(value)


def asked_values(tree: Any, name: str) -> Iterator[str]:
    """The values that guards on a field ask for, anywhere in a file's rows."""
    if isinstance(tree, list):
        for item in tree:
            yield from asked_values(item, name)
    elif isinstance(tree, Table):
        for key in ("when", "only"):
            values = tree[key].get(name) if isinstance(tree.get(key), Table) else None
            yield from values if isinstance(values, list) else [values] if values else []
        yield from asked_values(tree.get("rules", []), name)


def other_kinds(row: Table, found: Resolved) -> list[str]:
    """The other ways to write a value; the datatype's own one is what the row has without saying."""
    datatype = found.element.types[0] if found.element.types else ""
    mine = str(row.get("as", "")) or NATURAL.get(datatype, datatype)
    return [kind for kind in KINDS if kind != mine]
