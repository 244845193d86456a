"""What R4 itself says: types, elements, bindings, search parameters and the codes of bound value sets.

Read from `profiles/r4/definitions.json.gz`, which tools/build_definitions.py makes from the official package
hl7.fhir.r4.core 4.0.1; that file describes the layout. Nothing here knows a profile or a Norwegian code list.
"""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, NamedTuple

import orjson

from fhir_facade.resources import data_root
from fhir_facade.structures import norwegian_constraints, structures

PATHS_KEPT = 16384
"""Most resolved paths that are remembered; paths come from users too, so the cache has a bound."""


SYNTAXES = {
    "http://hl7.org/fhir/ValueSet/mimetypes": re.compile(
        r"[\w!#$&^.+*-]+/[\w!#$&^.+*-]+(\s*;\s*[\w.-]+=\S+)*", re.ASCII
    ),
    "http://hl7.org/fhir/ValueSet/all-languages": re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", re.ASCII),
    "http://hl7.org/fhir/ValueSet/ucum-units": re.compile(r"[!-~]+", re.ASCII),
    "http://hl7.org/fhir/ValueSet/currencies": re.compile(r"[A-Z]{3}", re.ASCII),
    "http://hl7.org/fhir/ValueSet/timezones": re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*", re.ASCII),
}
"""The forms of codes that no list holds: BCP 13, BCP 47, UCUM, ISO 4217, the time zone database."""

TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
"""The extension by which R4 says a text in another language."""

DEEPEST = 64
"""Most steps of a path; extensions nest without end, and a path from outside must not exhaust the stack."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A value set (url without version) and how strongly an element is bound to it.

    `strength` is required, extensible, preferred or example.
    """

    strength: str
    value_set: str


@dataclass(frozen=True, slots=True)
class Element:
    """One element as its StructureDefinition defines it.

    `path` is where it is defined: asked for `Encounter.period.start`, it is `Period.start`; asked for
    `Patient.deceasedDateTime`, it is `Patient.deceased[x]` with `types` narrowed to the one. `targets` are
    what a Reference or canonical may point at, ("Resource",) for any. `summary` says that a summary shows it,
    `modifier` that it changes what other elements mean.
    """

    path: str
    min: int
    many: bool
    types: tuple[str, ...]
    targets: tuple[str, ...] = ()
    binding: Binding | None = None
    summary: bool = False
    modifier: bool = False


class Composite(NamedTuple):
    """What a composite parameter looks at in one object: its path ("" is the resource), each part's type and paths."""

    path: str
    parts: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter of one type.

    `expression` holds the branches for that type, `paths` the same as element paths below the type with
    concrete choice names, or () when paths cannot say it. `filters` are (list path, child, value) that an
    item of the list must have: ("telecom", "system", "phone"). `composites` are the objects whose parts a composite
    parameter judges together.
    """

    code: str
    type: str
    expression: str
    targets: tuple[str, ...]
    url: str
    paths: tuple[str, ...] = ()
    filters: tuple[tuple[str, str, str], ...] = ()
    composites: tuple[Composite, ...] = ()


class _Node(NamedTuple):
    """An element, and the definition path that its children stand under (None when it is not of one type)."""

    element: Element
    below: str | None


def concrete_name(choice: str, type_name: str) -> str:
    """Return the JSON name of a choice element for a type: value[x] and dateTime give valueDateTime."""
    return f"{choice.removesuffix('[x]')}{type_name[0].upper()}{type_name[1:]}"


class Definitions:
    """The definition table. Types are unpacked when first asked for; every answer is immutable."""

    def __init__(self, table: dict[str, Any]) -> None:
        self.source: dict[str, str] = table["source"]
        self._types: dict[str, dict[str, Any]] = table["types"]
        self._value_sets: dict[str, list[tuple[str, list[str]]]] = table["value_sets"]
        self._displays: dict[str, dict[str, str]] = table["displays"]
        self.not_expanded: frozenset[str] = frozenset(table["not_expanded"])
        self.value_sets: tuple[str, ...] = tuple(self._value_sets)
        self.resource_types: tuple[str, ...] = tuple(
            name for name, row in self._types.items() if row["kind"] == "resource" and not row["abstract"]
        )
        self._unpacked: dict[str, dict[str, dict[str, _Node]]] = {}
        self._code_sets: dict[str, frozenset[tuple[str, str]]] = {}
        self._parameters: dict[str, tuple[SearchParameter, ...]] = {}
        # the decorators of functools would share the cache among instances and keep them alive
        self._find = lru_cache(maxsize=PATHS_KEPT)(self._resolve)
        self._names = lru_cache(maxsize=PATHS_KEPT)(self._list_children)

    def is_type(self, name: str) -> bool:
        """Tell whether `name` is a resource type or data type of R4, abstract ones included."""
        return name in self._types

    def kind(self, name: str) -> str | None:
        """Return "resource", "complex-type" or "primitive-type", None for what is no type."""
        row = self._types.get(name)
        return None if row is None else str(row["kind"])

    def element(self, path: str) -> Element | None:
        """Return the element at a path that starts with a type and may lead through data types, or None.

        Content references are followed. A choice is found by its concrete name (`valueCoding`) or as
        `value[x]`; only the former leads further down.
        """
        node = self._find(path)
        return None if node is None else node.element

    def children(self, path: str) -> tuple[str, ...]:
        """Return the JSON names of the children in definition order, choices as concrete names; () when none.

        A primitive has `id` and `extension`: in JSON they stand in its companion `_name`.
        """
        return self._names(path)

    def type_of(self, path: str) -> str | None:
        """Return the one type at a path, BackboneElement or Element for inline parts; None when not one."""
        node = self._find(path)
        return node.element.types[0] if node is not None and len(node.element.types) == 1 else None

    def codes(self, value_set_url: str) -> frozenset[tuple[str, str]] | None:
        """Return the (system, code) pairs of a value set; None when the table does not hold them."""
        url = value_set_url.split("|", maxsplit=1)[0]
        if url not in self._value_sets:
            return None
        if url not in self._code_sets:
            by_system = self._value_sets[url]
            self._code_sets[url] = frozenset((system, code) for system, codes in by_system for code in codes)
        return self._code_sets[url]

    def display(self, system: str, code: str) -> str | None:
        """Return the English display of a code of the specification's own code systems, as far as bound."""
        return self._displays.get(system, {}).get(code)

    def structure(self, canonical: str) -> dict[str, Any] | None:
        """Return R4's StructureDefinition of a URL or type name, as far as a validator needs it; see structures.py.

        A constraint whose key means something else on another type carries its Norwegian sentence with it.
        """
        found = structures().find(canonical)
        said = {} if found is None else _said_of_type(str(found["type"]))
        if found is not None and said:
            part = found.get("snapshot") or found["differential"]
            for constraint in (each for element in part["element"] for each in element.get("constraint", ())):
                if constraint["key"] in said:
                    constraint["_human"] = _in_norwegian(said[constraint["key"]])
        return found

    def code_syntax(self, value_set_url: str) -> re.Pattern[str] | None:
        """Return the form of the codes of a value set that nobody can list (languages, units), else None."""
        return SYNTAXES.get(value_set_url.split("|", maxsplit=1)[0])

    def constraint_text_nb(self, key: str) -> str | None:
        """Return the Norwegian sentence of a constraint of R4; None when there is none, or one for each type."""
        said = norwegian_constraints().get(key)
        return said if isinstance(said, str) else None

    def search_parameters(self, type_name: str) -> tuple[SearchParameter, ...]:
        """Return the parameters of a resource type, those of every resource included, by code; else ()."""
        if type_name not in self._parameters and self.kind(type_name) == "resource":
            rows: list[list[Any]] = []
            level: str | None = type_name
            while level is not None:
                rows += self._types[level].get("search", ())
                level = self._types[level].get("base")
            rows.sort(key=lambda row: str(row[0]))
            self._parameters[type_name] = tuple(_search_parameter(row) for row in rows)
        return self._parameters.get(type_name, ())

    def _resolve(self, path: str) -> _Node | None:
        """Find a path by its parent: each step asks the definition that the step before led to."""
        head, _, name = path.rpartition(".")
        if not head:
            return _Node(Element(path, 0, True, (path,)), path) if path in self._types else None
        if path.count(".") > DEEPEST:
            return None
        parent = self._find(head)
        if parent is None or parent.below is None:
            return None
        return self._below(parent.below).get(name)

    def _list_children(self, path: str) -> tuple[str, ...]:
        node = self._find(path)
        if node is None or node.below is None:
            return ()
        return tuple(name for name in self._below(node.below) if not name.endswith("[x]"))

    def _below(self, path: str) -> dict[str, _Node]:
        """Return the children under a definition path; unpacks its type at the first question."""
        type_name = path.partition(".")[0]
        if type_name not in self._unpacked:
            self._unpacked[type_name] = self._unpack(type_name)
        return self._unpacked[type_name].get(path, {})

    def _unpack(self, type_name: str) -> dict[str, dict[str, _Node]]:
        """Return parent path → child name → node; a choice as value[x] and by concrete names."""
        rows = {f"{type_name}.{row[0]}": row for row in self._types[type_name]["elements"] if row[0]}
        parents = {path.rpartition(".")[0] for path in rows}
        flagged = [frozenset(self._types[type_name].get(key, ())) for key in ("summary", "modifiers")]
        primitive = self._types[type_name]["kind"] == "primitive-type"
        found: dict[str, dict[str, _Node]] = {type_name: {}}
        for path, row in rows.items():
            parent, _, name = path.rpartition(".")
            if primitive and name == "value":
                continue  # the value itself is the JSON string or number, not a child
            reference = row[5] if len(row) > 5 else ""
            flags = tuple(row[0] in each for each in flagged)
            element = _element(path, row, rows[reference][3] if reference else row[3], *flags)
            siblings = found.setdefault(parent, {})
            inline = reference or (path if path in parents else "")
            one = element.types[0] if len(element.types) == 1 else None
            siblings[name] = _Node(element, None if name.endswith("[x]") else inline or one)
            for each in element.types if name.endswith("[x]") else ():
                targets = element.targets if each in ("Reference", "canonical") else ()
                narrowed = replace(element, types=(each,), targets=targets)
                siblings[concrete_name(name, each)] = _Node(narrowed, each)
        return found


def _element(path: str, row: list[Any], types: list[str], summary: bool, modifier: bool) -> Element:
    targets = tuple(row[4]) if len(row) > 4 else ()
    binding = Binding(*row[6]) if len(row) > 6 else None
    return Element(path, row[1], bool(row[2]), tuple(types), targets, binding, summary, modifier)


def _search_parameter(row: list[Any]) -> SearchParameter:
    code, kind, expression, targets, url, paths, filters, *more = row
    kept = tuple((item, child, value) for item, child, value in filters)
    composites = [
        Composite(path, tuple((each, tuple(names)) for each, names in parts)) for path, parts in (more or [()])[0]
    ]
    return SearchParameter(code, kind, expression, tuple(targets), url, tuple(paths), kept, tuple(composites))


def _said_of_type(type_name: str) -> dict[str, str]:
    """The Norwegian sentences of the keys that mean something on this type which they do not mean on others."""
    by_key = {key: said for key, said in norwegian_constraints().items() if isinstance(said, dict)}
    return {key: said[type_name] for key, said in by_key.items() if type_name in said}


def _in_norwegian(sentence: str) -> dict[str, Any]:
    parts = [{"url": "lang", "valueCode": "nb"}, {"url": "content", "valueString": sentence}]
    return {"extension": [{"url": TRANSLATION, "extension": parts}]}


@cache
def definitions() -> Definitions:
    """Return the table that goes with the package, read once; OSError when the file is missing."""
    content = (data_root("profiles") / "r4" / "definitions.json.gz").read_bytes()
    return Definitions(orjson.loads(gzip.decompress(content)))
