"""The keys that a YAML table may have and the shape of each value; judged before anything is read from the table.

What is read afterwards needs no doubts: a key of the wrong shape is reported once and left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

from fhir_facade.mapping.findings import Finding, nearest
from fhir_facade.yaml_text import Table

Shape = Literal["text", "texts", "table", "tables", "lookup", "guards", "rows", "any"]
WORDS: Mapping[Shape, str] = {
    "text": "a text",
    "texts": "a list of texts",
    "table": "a table",
    "tables": "a table of tables",
    "lookup": "a table of texts",
    "guards": "a table of fields, each with a text or a list of texts",
    "rows": "a list of rows",
    "any": "anything",
}


def clean(file: str, table: Table, shapes: Mapping[str, Shape], what: str, findings: list[Finding]) -> Table:
    """Return the keys of `table` that are known and well shaped; the others become findings."""
    findings += unknown_keys(file, table, shapes, what)
    good = []
    for key, value in table.items():
        if key in shapes and has_shape(value, shapes[key]):
            good.append(key)
        elif key in shapes:
            findings.append(Finding(file, table.at(key), f"'{key}' is {WORDS[shapes[key]]}"))
    return kept(table, good)


def unknown_keys(file: str, table: Table, allowed: Collection[str], what: str) -> list[Finding]:
    """Findings for keys that the format does not have and for keys written twice."""
    found = [
        Finding(file, table.at(key), f"{what} has no key '{key}'{nearest(key, allowed)}")
        for key in table
        if key not in allowed
    ]
    return found + [Finding(file, line, f"key '{key}' is written twice") for key, line in table.repeated]


def missing_keys(file: str, table: Table, needed: Collection[str]) -> list[Finding]:
    """Findings for keys that are not there or are empty."""
    return [
        Finding(file, table.at(key), f"'{key}' is {'empty' if key in table else 'missing'}")
        for key in needed
        if not table.get(key)
    ]


def repeated_keys(file: str, tree: Any) -> list[Finding]:
    """Findings for keys written twice anywhere in a file: YAML keeps the last, so something would be lost."""
    if isinstance(tree, list):
        return [found for item in tree for found in repeated_keys(file, item)]
    if not isinstance(tree, Table):
        return []
    own = [Finding(file, line, f"key '{key}' is written twice") for key, line in tree.repeated]
    return own + [found for item in tree.values() for found in repeated_keys(file, item)]


def has_shape(value: Any, shape: Shape) -> bool:
    match shape:
        case "text":
            return isinstance(value, str)
        case "texts":
            return isinstance(value, list) and all(isinstance(item, str) for item in value)
        case "table":
            return isinstance(value, Table)
        case "tables":
            return isinstance(value, Table) and all(isinstance(item, Table) for item in value.values())
        case "lookup":
            return isinstance(value, Table) and all(isinstance(item, str) for item in value.values())
        case "guards":
            return isinstance(value, Table) and all(
                has_shape(item, "text") or has_shape(item, "texts") for item in value.values()
            )
        case "rows":
            return isinstance(value, list)
        case "any":
            return True


def words_of(tree: Any) -> set[str]:
    """Every word that stands in a tree."""
    if isinstance(tree, str):
        return set(re.findall(r"\w+", tree))
    inner = [*tree, *tree.values()] if isinstance(tree, dict) else tree
    return {word for item in inner for word in words_of(item)}


def kept(table: Table, keys: Collection[str]) -> Table:
    """The same table with only `keys`, lines kept."""
    out = Table({key: value for key, value in table.items() if key in keys})
    out.line, out.lines, out.repeated = table.line, table.lines, []
    return out


def empty(line: int = 1) -> Table:
    """A table without keys, for a file that has none to show."""
    out = Table()
    out.line, out.lines, out.repeated = line, {}, []
    return out
