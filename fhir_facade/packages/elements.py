"""StructureDefinitions as the compilers read them: rows by element id, whether they came as snapshot or differential.

A differential is enough: whoever reads a definition reads that of its base beside it. A definition whose snapshot only
is there is read by that. https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_facade.definitions import definitions

UNBOUNDED = sys.maxsize
"""The number that `*` is read as."""

STRENGTHS = ("example", "preferred", "extensible", "required")
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
FHIRPATH_TYPE = "http://hl7.org/fhirpath/System."
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
BEST_PRACTICE = "http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice"
MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"

MISSING: Any = object()
"""What a rule is that is not there; None would be a JSON value."""


@dataclass(frozen=True, slots=True)
class Type:
    """A type that an element may have: its code, the profiles of that type, and what a reference may point at."""

    code: str
    profiles: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Constraint:
    """An invariant; `severity` is error or warning, `human` its English and `human_nb` its Norwegian sentence."""

    key: str
    severity: str
    human: str
    expression: str
    origin: str = ""
    human_nb: str = ""
    best_practice: bool = False


@dataclass(frozen=True, slots=True)
class Binding:
    """The value set of a coded element; `max_value_set` is the one that even an extensible binding may not leave."""

    strength: str
    value_set: str
    max_value_set: str = ""
    id: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Slicing:
    """How the items of a list are told apart: (type, path) pairs, and what becomes of items that are of no slice."""

    discriminators: tuple[tuple[str, str], ...]
    rules: str = "open"
    ordered: bool = False
    id: str = ""
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """What one ElementDefinition says. None, MISSING and () are for what it does not say."""

    id: str
    path: str
    min: int | None = None
    max: int | None = None
    types: tuple[Type, ...] = ()
    content_reference: str = ""
    fixed: Any = MISSING
    pattern: Any = MISSING
    binding: Binding | None = None
    constraints: tuple[Constraint, ...] = ()
    slicing: Slicing | None = None
    max_length: int | None = None
    min_value: Any = None
    max_value: Any = None
    is_modifier: bool | None = None
    label: str = ""


class Definition:
    """One StructureDefinition; rows are found by element id, and ids that only stand inside others are known too.

    `contexts` are (type, expression) of an extension; `origin` is the package or file that it came from.
    """

    def __init__(self, content: Mapping[str, Any], origin: str = "") -> None:
        self.url = str(content.get("url", ""))
        self.version = str(content.get("version", ""))
        self.name = str(content.get("name", ""))
        self.title = str(content.get("title", ""))
        self.kind = str(content.get("kind", ""))
        self.type = str(content.get("type", ""))
        self.base = str(content.get("baseDefinition", ""))
        self.derivation = str(content.get("derivation", ""))
        self.abstract = bool(content.get("abstract"))
        self.origin = origin
        self.contexts = tuple(
            (str(each.get("type", "")), str(each.get("expression", ""))) for each in _objects(content.get("context"))
        )
        self.context_invariants = tuple(map(str, content.get("contextInvariant") or ()))
        elements = _objects((content.get("differential") or {}).get("element"))
        self.whole = not elements
        if self.whole:
            elements = _objects((content.get("snapshot") or {}).get("element"))
        core = self.derivation != "constraint"
        self.rows: dict[str, Row] = {}
        self._children: dict[str, dict[str, None]] = {}
        self._slices: dict[str, dict[str, None]] = {}
        for spec, given in zip(elements, ids_of(elements), strict=True):
            id = given if core else _whole_choices(given)
            self.rows[id] = read_row(spec, id, self.url)
            self._register(id)

    def __repr__(self) -> str:
        return f"Definition({self.url!r})"

    @property
    def root(self) -> str:
        return self.type

    def knows(self, id: str) -> bool:
        """Whether anything is said at an id or below it."""
        return id in self.rows or id in self._children or id in self._slices

    def children(self, id: str) -> Sequence[str]:
        """The names of the elements under an id, in order; slices are not counted."""
        return tuple(self._children.get(id, ()))

    def slices(self, id: str) -> Sequence[str]:
        """The names of the slices of an id, in order; those of a slice are its re-slices (`a/b` of `a`)."""
        return tuple(self._slices.get(id, ()))

    def _register(self, id: str) -> None:
        parent = ""
        for segment in id.split("."):
            name, _, sliced = segment.partition(":")
            plain = f"{parent}.{name}" if parent else name
            if parent:
                self._children.setdefault(parent, {})[name] = None
            parent = plain
            said = ""
            for part in sliced.split("/") if sliced else ():
                said = f"{said}/{part}" if said else part
                self._slices.setdefault(parent, {})[said] = None
                parent = f"{plain}:{said}"


def ids_of(elements: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The id of each element; one without is named by its path and by the slices that it stands in."""
    stack: list[tuple[str, str]] = []
    for spec in elements:
        path = str(spec.get("path", ""))
        while stack and not path.startswith(f"{stack[-1][0]}."):
            stack.pop()
        given = str(spec.get("id", ""))
        if not given or given.count(".") != path.count("."):
            above = stack[-1] if stack else ("", "")
            given = above[1] + path[len(above[0]) :]
            if spec.get("sliceName"):
                given = f"{given}:{spec['sliceName']}"
        stack.append((path, given))
        yield given


def _whole_choices(id: str) -> str:
    """An id that names a choice by its JSON name, as a differential may: valueQuantity is value[x]:valueQuantity."""
    segments = id.split(".")
    path = segments[0]
    for place, segment in enumerate(segments[1:], 1):
        name = segment.partition(":")[0]
        path = f"{path}.{name}"
        if not name.endswith("[x]"):
            known = definitions().element(path)
            if known is not None and known.path.endswith("[x]"):
                segments[place] = f"{known.path.rpartition('.')[2]}:{name}"
    return ".".join(segments)


def read_row(spec: Mapping[str, Any], id: str, origin: str) -> Row:
    """Read an ElementDefinition; what is not of the right JSON kind counts as not said."""
    low, high = spec.get("min"), spec.get("max")
    return Row(
        id=id,
        path=str(spec.get("path", "")),
        min=low if isinstance(low, int) else None,
        max=UNBOUNDED if high == "*" else int(high) if isinstance(high, str) and high.isdecimal() else None,
        types=tuple(_type(each) for each in _objects(spec.get("type"))),
        content_reference=str(spec.get("contentReference", "")).rpartition("#")[2],
        fixed=_choice(spec, "fixed"),
        pattern=_choice(spec, "pattern"),
        binding=_binding(spec.get("binding"), id, origin),
        constraints=tuple(_constraint(each, origin) for each in _objects(spec.get("constraint"))),
        slicing=_slicing(spec.get("slicing"), id, origin),
        max_length=spec.get("maxLength"),
        min_value=_choice(spec, "minValue", None),
        max_value=_choice(spec, "maxValue", None),
        is_modifier=spec.get("isModifier"),
        label=str(spec.get("short") or spec.get("label") or ""),
    )


def extension_value(content: Mapping[str, Any], url: str) -> Any:
    """The value of an extension by its URL, None when it is not there."""
    for each in _objects(content.get("extension")):
        if each.get("url") == url:
            return next((each[key] for key in each if key.startswith("value")), None)
    return None


def _objects(content: Any) -> list[Mapping[str, Any]]:
    return [each for each in content if isinstance(each, Mapping)] if isinstance(content, list) else []


def _choice(spec: Mapping[str, Any], name: str, otherwise: Any = MISSING) -> Any:
    return next((spec[key] for key in spec if key.startswith(name) and key[len(name) :][:1].isupper()), otherwise)


def _type(spec: Mapping[str, Any]) -> Type:
    code = str(spec.get("code", ""))
    if code.startswith(FHIRPATH_TYPE):
        plain = code.removeprefix(FHIRPATH_TYPE)
        code = str(extension_value(spec, FHIR_TYPE) or plain[:1].lower() + plain[1:])
    return Type(code, tuple(map(str, spec.get("profile") or ())), tuple(map(str, spec.get("targetProfile") or ())))


def _binding(spec: Any, id: str, origin: str) -> Binding | None:
    if not isinstance(spec, Mapping) or not spec.get("strength"):
        return None
    most = str(extension_value(spec, MAX_VALUE_SET) or "")
    if not spec.get("valueSet") and not most:
        return None
    return Binding(str(spec["strength"]), str(spec.get("valueSet", "")), most, id, origin)


def _constraint(spec: Mapping[str, Any], origin: str) -> Constraint:
    norwegian = ""
    for each in _objects((spec.get("_human") or {}).get("extension")):
        if each.get("url") == TRANSLATION and extension_value(each, "lang") in ("nb", "no", "nb-NO"):
            norwegian = str(extension_value(each, "content") or "")
    return Constraint(
        key=str(spec.get("key", "")),
        severity=str(spec.get("severity", "error")),
        human=str(spec.get("human", "")),
        expression=str(spec.get("expression", "")),
        origin=str(spec.get("source") or origin),
        human_nb=norwegian,
        best_practice=extension_value(spec, BEST_PRACTICE) is True,
    )


def _slicing(spec: Any, id: str, origin: str) -> Slicing | None:
    if not isinstance(spec, Mapping):
        return None
    by = tuple((str(way.get("type", "")), str(way.get("path", ""))) for way in _objects(spec.get("discriminator")))
    return Slicing(by, str(spec.get("rules", "open")), bool(spec.get("ordered")), id, origin)
