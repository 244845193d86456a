"""Extensions in our YAML form: a value, or parts that are extensions in turn, as a differential over R4's Extension.

https://hl7.org/fhir/R4/defining-extensions.html
"""

from __future__ import annotations

from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.packages.own_elements import Elements, read_binding
from fhir_facade.packages.own_reading import Reading, translated
from fhir_facade.yaml_text import Rows, Table

PART_KEYS = ("card", "value", "targets", "profile", "binding", "parts", "nested", "en", "nb")
DEEPEST = 4
"""Most extensions inside one another."""


def read_extension(reading: Reading, found: Elements, table: Table, url: str, title: tuple[str, str]) -> None:
    """Read the value or the parts of an extension into `found`; `table` is the whole definition."""
    root = found.get("Extension", table.line)
    root |= translated("short", *title)
    modifier = reading.text(table, "modifier", ("true", "false")) == "true"
    low, high = reading.card(table)
    root |= {"min": low or 0, "max": high or "*"}
    if modifier:
        root |= {"isModifier": True, "isModifierReason": "It changes the meaning of the element that it stands on."}
    _inside(reading, found, "Extension", table, url, DEEPEST)


def read_contexts(reading: Reading, table: Table) -> list[dict[str, str]]:
    """Where an extension may stand: element paths, or {extension: URL}, or {fhirpath: expression}."""
    value = table.get("context", Rows())
    contexts = []
    if not value and "context" in table:
        reading.say(table.at("context"), "context is empty: the extension may stand nowhere")
    for each in value if isinstance(value, Rows) else [value]:
        if isinstance(each, Table) and len(each) == 1 and next(iter(each)) in ("extension", "fhirpath"):
            ((kind, expression),) = each.items()
            contexts.append({"type": kind, "expression": str(expression)})
        elif isinstance(each, str) and definitions().element(each) is not None:
            contexts.append({"type": "element", "expression": str(each)})
        else:
            reading.say(table.at("context"), f"{each}: context is a list of element paths, as Encounter.period")
    return contexts


def _inside(reading: Reading, found: Elements, id: str, table: Table, url: str, deep: int) -> None:
    """The url, and the value or the parts, of the extension at an id."""
    line = table.line
    parts = reading.table(table["parts"], table.at("parts"), "parts") if "parts" in table else None
    if (parts is None) == ("value" not in table):
        reading.say(line, "an extension has a value or parts, and not both")
        return
    nested = reading.text(table, "nested", ("true", "false")) == "true"
    if parts is not None:
        row = found.get(f"{id}.extension", line)
        row["slicing"] = {"discriminator": [{"type": "value", "path": "url"}], "rules": "open"}
        for name, content in parts.items() if deep else ():
            _part(reading, found, f"{id}.extension:{name}", reading.table(content, parts.at(name), name), name, deep)
        if not deep:
            reading.say(line, "parts are nested too deeply")
    elif not nested:
        found.get(f"{id}.extension", line)["max"] = "0"
    found.get(f"{id}.url", line)["fixedUri"] = url
    value = found.get(f"{id}.value[x]", line)
    if parts is not None:
        value["max"] = "0"
    else:
        _value(reading, value, table)


def _part(reading: Reading, found: Elements, id: str, table: Table, name: str, deep: int) -> None:
    reading.keys(table, PART_KEYS)
    row = found.get(id, table.line)
    low, high = reading.card(table)
    row |= {"min": 0, "max": "1"} if low is None else {"min": low, "max": high}
    row |= translated("short", reading.text(table, "en"), reading.text(table, "nb"))
    _inside(reading, found, id, table, name, deep - 1)


def _value(reading: Reading, row: dict[str, Any], table: Table) -> None:
    codes = reading.texts(table, "value")
    targets, profiles = reading.texts(table, "targets"), reading.texts(table, "profile")
    known = definitions().element("Extension.value[x]")
    types: list[dict[str, Any]] = []
    for code in codes:
        if known is not None and code not in known.types:
            reading.say(table.at("value"), f"{code} is no type that an extension may hold")
        types.append({"code": code} | ({"profile": profiles} if profiles else {}))
        if targets and code in ("Reference", "canonical"):
            types[-1]["targetProfile"] = targets
    if targets and not {"Reference", "canonical"} & set(codes):
        reading.say(table.at("targets"), f"targets need a Reference or a canonical; this is {', '.join(codes)}")
    if profiles and len(codes) != 1:
        reading.say(table.at("profile"), "profile needs a value of one type")
    row["type"] = types
    row |= read_binding(reading, table)
