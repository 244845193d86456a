"""Mutants of the files that mappings name words of: code maps and systems.yaml. See mapping_mutants.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mapping_mutants import Mutant, after, setting

from fhir_facade.definitions import definitions
from fhir_facade.mapping.vocabulary import VOLVEN, Vocabulary
from fhir_facade.terminology.lists import code_lists
from fhir_facade.yaml_text import Table

WITH_DATA_TYPES = ("string", "code", "integer", "date", "dateTime", "boolean", "Coding", "Identifier", "Reference")


def code_map_mutants(file: str, table: Table, words: Vocabulary) -> Iterator[Mutant]:
    """Every code map row with another target, another source, or gone; the way back; the systems; what is unmapped."""
    source, into = words.system(str(table["source"])), table["target"]
    listed = definitions().codes(str(into.get("value-set", "")))
    uri = words.code_maps[str(table["conceptmap"])].target_system
    valid = sorted({code for system, code in listed or () if system == uri})
    own = list((source.displays if source else None) or {})

    def mutant(key: str, change: str, edit: Callable[[Table], None]) -> Mutant:
        line = table["map"].at(key) if key in table["map"] else table.at(key)
        return Mutant(f"codes/{file}", line, key, change, edit)

    for key, given in table["map"].items():
        code = str(given["to"] if isinstance(given, Table) else given)
        inner = [str(each["to"] if isinstance(each, Table) else each) for each in table["map"].values()]
        for other in dict.fromkeys([*after(code, valid)[:1], *after(code, dict.fromkeys(inner))[:1], f"{code}x"]):
            address, name = (("map", key), "to") if isinstance(given, Table) else (("map",), key)
            yield mutant(key, f"to {code} -> {other}", setting(address, name, other))
        yield mutant(key, "row removed", setting(("map",), key, None))
        for other in after(key, own)[:1]:
            yield mutant(key, f"source {key} -> {other}", _renamed(key, other))
        for other in after(key, table["map"])[:1]:
            yield mutant(key, f"source {key} <-> {other}", _exchanged(key, other))
    yield from _back_mutants(table, mutant)
    for name in ("source", "target"):
        now = str(table["source"] if name == "source" else into["system"])
        for other in (f"{VOLVEN}{after(now.removeprefix(VOLVEN), code_lists())[0]}", "country"):
            edit = setting((), "source", other) if name == "source" else setting(("target",), "system", other)
            yield mutant(name, f"{name} {now} -> {other}", edit)
    now = str(table.get("unmapped", "provided"))
    for other in after(now, ("provided", "absent")):
        yield mutant("unmapped", f"{now} -> {other}", setting((), "unmapped", other))


def _back_mutants(table: Table, mutant: Callable[..., Mutant]) -> Iterator[Mutant]:
    for code, own in table.get("reverse", {}).items():
        others = [
            key for key, given in table["map"].items() if (given["to"] if isinstance(given, Table) else given) == code
        ]
        for other in after(own, others):
            yield mutant("reverse", f"{code}: {own} -> {other}", setting(("reverse",), code, other))
        yield mutant("reverse", f"{code} removed", setting(("reverse",), code, None))


def _renamed(key: str, other: str) -> Callable[[Table], None]:
    def edit(tree: Table) -> None:
        table = tree["map"]
        table[other] = table.pop(key)

    return edit


def _exchanged(key: str, other: str) -> Callable[[Table], None]:
    def edit(tree: Table) -> None:
        table = tree["map"]
        table[key], table[other] = table[other], table[key]

    return edit


def systems_mutants(file: str, table: Table) -> Iterator[Mutant]:
    """Every system with another URI, every table row with another system, every extension with another URL or type."""

    def mutant(line: int, row: str, change: str, edit: Callable[[Table], None]) -> Mutant:
        return Mutant(file, line, row, change, edit)

    yield mutant(table.at("base"), "base", "changed", setting((), "base", f"{table['base']}/x"))
    for name in table["systems"]:
        line, address = table["systems"].at(name), ("systems", name)
        other = table["systems"][after(name, table["systems"])[0]]["uri"]
        yield mutant(line, f"system {name}", f"uri -> {other}", setting(address, "uri", other))
        yield mutant(line, f"system {name}", "removed", setting(("systems",), name, None))
    for name, rows in table["system-tables"].items():
        for code, system in rows.items():
            line, row, address = rows.at(code), f"table {name} {code}", ("system-tables", name)
            other = rows[after(code, rows)[0]]
            yield mutant(line, row, f"{system} -> {other}", setting(address, code, other))
            yield mutant(line, row, "removed", setting(address, code, None))
    for name, extension in table["extensions"].items():
        line, address = table["extensions"].at(name), ("extensions", name)
        yield mutant(line, f"extension {name}", "url changed", setting(address, "url", f"http://x/{name}"))
        yield mutant(line, f"extension {name}", "removed", setting(("extensions",), name, None))
        if "value" in extension:
            other = after(extension["value"], WITH_DATA_TYPES)[0]
            yield mutant(line, f"extension {name}", f"value -> {other}", setting(address, "value", other))
        for part, kind in extension.get("parts", {}).items():
            parts, row = (*address, "parts"), f"extension {name} part {part}"
            yield mutant(line, row, "removed", setting(parts, part, None))
            yield mutant(line, row, "type changed", setting(parts, part, after(kind, WITH_DATA_TYPES)[0]))
        if extension.get("on"):
            yield mutant(line, f"extension {name}", "on changed", setting(address, "on", ["Substance"]))
