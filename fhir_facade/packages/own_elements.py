"""The elements of a profile in our YAML form, as ElementDefinitions of a differential in R4's own order.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from fhir_facade.definitions import Element, concrete_name, definitions
from fhir_facade.packages.elements import STRENGTHS
from fhir_facade.packages.own_reading import Reading, empty, line_of, translated
from fhir_facade.packages.own_values import typed
from fhir_facade.yaml_text import Table

BASE = "http://fhir-facade.no/fhir/StructureDefinition/"
NPR_RULE = f"{BASE}npr-rule"
"""The extension that names the rule of Norsk pasientregister (NPR) that a constraint stands for."""

KEYS = ("card", "types", "profile", "targets", "binding", "fixed", "pattern", "slices", "max-length", "en", "nb")
CONSTRAINT_KEYS = ("on", "severity", "expression", "en", "nb", "npr")
DISCRIMINATORS = ("value", "exists", "pattern", "type", "profile")
RULES = ("open", "closed", "openAtEnd")
BY_URL = ("extension", "modifierExtension")
CONSTRAINT_KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,63}", re.ASCII).fullmatch
FUNCTION = re.compile(r"(resolve|extension|ofType)\(.*\)", re.ASCII).fullmatch


@dataclass(slots=True)
class Elements:
    """The ElementDefinitions of one profile by id, and the line each stands on."""

    type: str
    by_id: dict[str, dict[str, Any]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    narrowed: dict[str, str] = field(default_factory=dict)

    def get(self, id: str, line: int) -> dict[str, Any]:
        """The row of an id (with the type in front), made when it is new, with those of the slices it stands in."""
        if id not in self.by_id:
            segments = id.split(".")
            for count in range(2, len(segments)):
                if ":" in segments[count - 1]:
                    self.get(".".join(segments[:count]), line)
            names = [segment.partition(":") for segment in segments]
            row: dict[str, Any] = {"id": id, "path": ".".join(name for name, _, _ in names)}
            if names[-1][2]:
                row["sliceName"] = names[-1][2]
            self.by_id[id], self.lines[id] = row, line
        return self.by_id[id]

    def place(self, id: str) -> str | None:
        """Where R4 defines an id: an element path for `definitions`; None when there is no such element."""
        path, said = self.type, self.type
        for segment in id.split(".")[1:]:
            name, _, sliced = segment.partition(":")
            said = f"{said}.{segment}"
            if definitions().element(f"{path}.{name}") is None:
                return None
            path = f"{path}.{self._chosen(name, sliced, said, path)}"
        return path

    def _chosen(self, name: str, sliced: str, id: str, path: str) -> str:
        """The name that leads further down: a choice by the type that its slice or its row narrows it to."""
        if not name.endswith("[x]"):
            return name
        if sliced and sliced in definitions().children(path):
            return sliced
        code = self.narrowed.get(id)
        return concrete_name(name, code) if code else name

    def element(self, id: str) -> Element | None:
        place = self.place(id)
        return None if place is None else definitions().element(place)

    def in_order(self) -> list[dict[str, Any]]:
        """The rows as R4 orders elements, slices after what is said of every item; keys in the order of the spec."""
        slices: dict[str, int] = {}
        for id in self.by_id:
            for end in [place for place, letter in enumerate(f"{id}.") if letter == "."]:
                slices.setdefault(id[:end], len(slices) + 1)
        return [_ordered(self.by_id[id]) for id in sorted(self.by_id, key=lambda id: self._rank(id, slices))]

    def _rank(self, id: str, slices: Mapping[str, int]) -> list[tuple[int, int]]:
        rank, said = [], ""
        for segment in id.split("."):
            name, colon, _ = segment.partition(":")
            parent = self.place(said) if said else None
            said = f"{said}.{segment}" if said else segment
            rank.append((_child_order(parent).get(name, 0) if parent else 0, slices[said] if colon else 0))
        return rank


@lru_cache(maxsize=1024)
def _child_order(path: str) -> Mapping[str, int]:
    order: dict[str, int] = {}
    for name in definitions().children(path):
        element = definitions().element(f"{path}.{name}")
        last = element.path.rpartition(".")[2] if element else name
        order.setdefault(last if last.endswith("[x]") else name, len(order))
    return order


ORDER = (
    "id", "extension", "path", "sliceName", "slicing", "short", "_short", "definition", "_definition", "min", "max",
    "type", "fixed", "pattern", "maxLength", "constraint", "isModifier", "isModifierReason", "binding",
)  # fmt: skip


def _ordered(row: Mapping[str, Any]) -> dict[str, Any]:
    def rank(key: str) -> int:
        plain = "fixed" if key.startswith("fixed") else "pattern" if key.startswith("pattern") else key
        return ORDER.index(plain)

    return {key: row[key] for key in sorted(row, key=rank)}


# ---- rows


def read_elements(reading: Reading, found: Elements, rows: Table) -> None:
    """Read the `elements` of a profile into `found`."""
    for name, content in rows.items():
        if name.endswith("[x]") or "[x]:" in name:
            codes = content.get("types") if isinstance(content, Table) else None
            if codes is not None and len(codes) == 1:
                found.narrowed[f"{found.type}.{name}"] = str(codes[0])
    for name, content in rows.items():
        line = rows.at(name)
        id = f"{found.type}.{name}" if name else found.type
        if not _exists(reading, found, id, line):
            continue
        read_element(reading, found, id, reading.table(content, line, name))
    _slice_by_nature(found)


def _exists(reading: Reading, found: Elements, id: str, line: int) -> bool:
    """Whether R4 has the element; told with the nearest that it has."""
    if found.place(id) is not None:
        return True
    parent, _, segment = id.rpartition(".")
    above = found.place(parent)
    if above is None:
        return _exists(reading, found, parent, line)
    near = difflib.get_close_matches(segment.partition(":")[0], _child_order(above), 1)
    hint = f"; is {near[0]} meant?" if near else ""
    reading.say(line, f"there is no element {id.partition('.')[2]} in {found.type}{hint}")
    return False


def read_element(reading: Reading, found: Elements, id: str, table: Table) -> None:
    """Read one row into `found`: counts, types, value, binding, slices and texts."""
    element = found.element(id)
    row = found.get(id, table.line)
    reading.keys(table, KEYS)
    low, high = reading.card(table)
    row |= {} if low is None else {"min": low, "max": high}
    row |= translated("short", reading.text(table, "en"), reading.text(table, "nb"))
    codes = element.types if element else ()
    types = _types(reading, table, codes)
    if types:
        row["type"] = types
    for key in ("fixed", "pattern"):
        row |= _value(reading, table, key, [each["code"] for each in types] or codes)
    row |= read_binding(reading, table)
    if "max-length" in table:
        length = reading.text(table, "max-length")
        row["maxLength"] = int(length) if length.isdecimal() else 0
        if not row["maxLength"]:
            reading.say(table.at("max-length"), "max-length is a whole number above 0")
    if "slices" in table:
        row["slicing"] = _slicing(reading, found, id, reading.table(table["slices"], table.at("slices"), "slices"))


def _types(reading: Reading, table: Table, known: Iterable[str]) -> list[dict[str, Any]]:
    """The `type` of a row that narrows types, names a profile of one, or says what a reference may point at."""
    said, profiles, targets = (reading.texts(table, key) for key in ("types", "profile", "targets"))
    codes = said or list(known)
    for code in said:
        if code not in known:
            reading.say(table.at("types"), f"{code} is no type of this element; it has {', '.join(known)}")
    if profiles and len(codes) != 1:
        reading.say(table.at("profile"), "profile needs an element of one type; say which with types")
    if targets and not {"Reference", "canonical"} & set(codes):
        reading.say(table.at("targets"), f"targets need a Reference or a canonical; this is {', '.join(codes)}")
    if not (said or profiles or targets):
        return []
    rows: list[dict[str, Any]] = []
    for code in codes:
        rows.append({"code": code})
        if profiles:
            rows[-1]["profile"] = profiles
        if targets and code in ("Reference", "canonical"):
            rows[-1]["targetProfile"] = targets
    return rows


def _value(reading: Reading, table: Table, key: str, codes: Iterable[str]) -> dict[str, Any]:
    """A fixed value or a pattern: {uri: ...} becomes fixedUri."""
    if key not in table:
        return {}
    held = reading.table(table[key], table.at(key), key)
    if len(held) != 1:
        reading.say(held.line, f"{key} is a table of one type and its value")
        return {}
    ((code, value),) = held.items()
    if code not in codes:
        reading.say(held.at(code), f"{key} is a {code}, but this element is {', '.join(codes)}")
        return {}
    content = typed(reading, value, code, held.at(code))
    return {} if content is None else {concrete_name(key, code): content}


def read_binding(reading: Reading, table: Table) -> dict[str, Any]:
    """`binding: [strength, value set]` as FHIR says it; {} when there is none."""
    strength, value_set = reading.pair(table, "binding")
    if not strength:
        return {}
    if strength not in STRENGTHS:
        reading.say(table.at("binding"), f"{strength} is no strength; it is one of {', '.join(STRENGTHS)}")
    return {"binding": {"strength": strength, "valueSet": value_set}}


def _slicing(reading: Reading, found: Elements, id: str, table: Table) -> dict[str, Any]:
    reading.keys(table, ("by", "rules", "ordered"), ("by",))
    by = []
    for way in reading.texts(table, "by"):
        kind, _, path = way.partition(":")
        if kind not in DISCRIMINATORS or not path:
            reading.say(table.at("by"), f"{way}: a slice is told by {', '.join(DISCRIMINATORS)}, as in value:system")
        elif not _leads(found, id, path):
            reading.say(table.at("by"), f"{path}: there is no such element below {id.partition('.')[2]}")
        by.append({"type": kind, "path": path})
    ordered = reading.text(table, "ordered", ("true", "false")) == "true"
    rules = reading.text(table, "rules", RULES) or "open"
    return {"discriminator": by} | ({"ordered": True} if ordered else {}) | {"rules": rules}


def _leads(found: Elements, id: str, path: str) -> bool:
    """Whether the path of a discriminator leads to an element; behind a function anything may stand."""
    place = found.place(id)
    for name in [] if path == "$this" else path.split("."):
        if FUNCTION(name) or name.startswith(("resolve(", "extension(", "ofType(")):
            return True
        steps = (f"{place}.{name}", f"{place}.{name}[x]")
        place = next((step for step in steps if definitions().element(step) is not None), None)
        if place is None:
            return False
    return True


def _slice_by_nature(found: Elements) -> None:
    """Say how extensions and choices are told apart where slices stand and nobody said it: by URL and by type."""
    for id in tuple(found.by_id):
        head, colon, _ = id.rpartition(":")
        name = head.rpartition(".")[2]
        if not colon or "." in id[len(head) :] or not (name in BY_URL or name.endswith("[x]")):
            continue
        row = found.get(head, found.lines[id])
        way = {"type": "value", "path": "url"} if name in BY_URL else {"type": "type", "path": "$this"}
        row.setdefault("slicing", {"discriminator": [way], "rules": "open"})


# ---- constraints


def read_constraints(reading: Reading, found: Elements, rows: Table) -> None:
    """Read the `constraints` of a profile or extension onto the elements that they stand on."""
    for key, content in rows.items():
        table = reading.table(content, rows.at(key), key)
        reading.keys(table, CONSTRAINT_KEYS, ("severity", "expression", "en", "nb"))
        if not CONSTRAINT_KEY(key):
            reading.say(rows.at(key), f"{key}: the key of a constraint is small letters, digits and hyphens")
        on = reading.text(table, "on")
        id = f"{found.type}.{on}" if on else found.type
        if not _exists(reading, found, id, table.at("on")):
            continue
        row = found.get(id, rows.at(key))
        rule = reading.text(table, "npr")
        constraint: dict[str, Any] = {"extension": [{"url": NPR_RULE, "valueString": rule}]} if rule else {}
        constraint |= {"key": key, "severity": reading.text(table, "severity", ("error", "warning"))}
        constraint |= translated("human", reading.text(table, "en"), reading.text(table, "nb"))
        constraint["expression"] = reading.text(table, "expression")
        row.setdefault("constraint", []).append(constraint)


def rows_of(reading: Reading, table: Table, key: str) -> Table:
    """The table under a key, an empty one when it is not there."""
    return reading.table(table[key], table.at(key), key) if key in table else empty(line_of(table, 1))
