"""Reading tables of our YAML form: texts, lists and counts are asked for by key, and every fault keeps its line."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_facade.packages.elements import TRANSLATION
from fhir_facade.yaml_text import Rows, Table, Text


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a file of definitions; `line` counts from 1."""

    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.message}"


@dataclass(slots=True)
class Reading:
    """One file while it is read: its name, and the faults found so far."""

    file: str
    faults: list[Fault] = field(default_factory=list)

    def say(self, line: int, message: str) -> None:
        self.faults.append(Fault(self.file, line, message))

    def table(self, value: Any, line: int, what: str) -> Table:
        """The value as a table; an empty one, told as a fault, when it is something else."""
        if isinstance(value, Table):
            for key, at in value.repeated:
                self.say(at, f"{key} stands twice")
            return value
        self.say(line, f"{what} is a table of keys")
        return empty(line)

    def keys(self, table: Table, known: Collection[str], needed: Iterable[str] = ()) -> None:
        """Tell keys that nobody reads, with the nearest that is read, and those that are missing."""
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                self.say(table.at(key), f"unknown key {key}" + (f"; is {near[0]} meant?" if near else ""))
        for key in needed:
            if key not in table:
                self.say(table.line, f"{key} is missing")

    def text(self, table: Table, key: str, allowed: Collection[str] = ()) -> str:
        """The text under a key, "" when there is none."""
        value = table.get(key, "")
        if not isinstance(value, str):
            self.say(table.at(key), f"{key} is a text")
            return ""
        if allowed and key in table and value not in allowed:
            self.say(table.at(key), f"{key} is one of {', '.join(allowed)}, not {value}")
        return str(value)

    def texts(self, table: Table, key: str) -> list[str]:
        """A list of texts under a key; one text stands for a list of one."""
        value = table.get(key, ())
        if isinstance(value, str):
            return [str(value)]
        if not all(isinstance(each, str) for each in value):
            self.say(table.at(key), f"{key} is a text or a list of texts")
            return []
        return [str(each) for each in value]

    def both(self, table: Table, key: str) -> tuple[str, str]:
        """A text in English and Norwegian: {en: ..., nb: ...}."""
        if key not in table:
            return "", ""
        words = self.table(table[key], table.at(key), key)
        self.keys(words, ("en", "nb"), ("en", "nb"))
        return self.text(words, "en"), self.text(words, "nb")

    def card(self, table: Table) -> tuple[int | None, str]:
        """The least and the most of `card: 0..*`; (None, "") when it is not there or not understood."""
        if "card" not in table:
            return None, ""
        low, dots, high = self.text(table, "card").partition("..")
        if not dots or not low.isdecimal() or not (high == "*" or high.isdecimal()):
            self.say(table.at("card"), "card is written as 0..1 or 1..*")
            return None, ""
        if high != "*" and int(high) < int(low):
            self.say(table.at("card"), f"card {low}..{high}: the most is less than the least")
        return int(low), high

    def pair(self, table: Table, key: str) -> tuple[str, str]:
        """A list of two texts under a key, ("", "") when it is not there."""
        value = table.get(key, ())
        if not value:
            return "", ""
        if not isinstance(value, Rows) or len(value) != 2 or not all(isinstance(each, str) for each in value):
            self.say(table.at(key), f"{key} is a list of two texts")
            return "", ""
        return str(value[0]), str(value[1])


def empty(line: int) -> Table:
    """A table without keys, in the place of one that is missing."""
    table = Table()
    table.line, table.lines, table.repeated = line, {}, []
    return table


def line_of(value: Any, otherwise: int) -> int:
    """The line of a scalar, a list or a table."""
    return int(value.line) if isinstance(value, Text | Rows | Table) else otherwise


def translated(name: str, en: str, nb: str) -> dict[str, Any]:
    """A text of FHIR in English with its Norwegian as the extension that R4 has for this; {} when there is none."""
    if not en:
        return {}
    content: dict[str, Any] = {name: en}
    if nb and nb != en:
        parts = [{"url": "lang", "valueCode": "nb"}, {"url": "content", "valueString": nb}]
        content[f"_{name}"] = {"extension": [{"url": TRANSLATION, "extension": parts}]}
    return content


def norwegian(content: Mapping[str, Any], name: str) -> str:
    """The Norwegian of a text that `translated` wrote, "" when it has none."""
    for each in (content.get(f"_{name}") or {}).get("extension", ()):
        parts = {part["url"]: part for part in each.get("extension", ()) if each.get("url") == TRANSLATION}
        if parts.get("lang", {}).get("valueCode") == "nb":
            return str(parts["content"]["valueString"])
    return ""
