"""Fixed values and patterns of our YAML form: texts become the JSON of a FHIR type, checked against R4."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.packages.own_reading import Reading, line_of
from fhir_facade.yaml_text import Rows, Table

DEEPEST = 12
"""Most steps into a value; a pattern of ours has four."""

INTEGERS = {"integer", "positiveInt", "unsignedInt"}
DATE = r"\d{4}(-\d\d(-\d\d)?)?"
FORMS = {
    "boolean": "true|false",
    "integer": "0|-?[1-9][0-9]*",
    "positiveInt": "[1-9][0-9]*",
    "unsignedInt": "0|[1-9][0-9]*",
    "decimal": r"-?(0|[1-9][0-9]*)(\.[0-9]+)?",
    "date": DATE,
    "dateTime": DATE + r"|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "instant": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)",
    "time": r"\d\d:\d\d:\d\d(\.\d+)?",
    "code": r"\S+( \S+)*",
    "id": "[A-Za-z0-9.-]{1,64}",
    "uri": r"\S*",
    "url": r"\S*",
    "canonical": r"\S*",
    "oid": r"urn:oid:[0-2](\.(0|[1-9][0-9]*))+",
    "uuid": "urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
}
"""What the text of a primitive looks like; other types hold any text."""

MATCHES: dict[str, Callable[[str], Any]] = {name: re.compile(form, re.ASCII).fullmatch for name, form in FORMS.items()}


def typed(reading: Reading, value: Any, type_name: str, line: int) -> Any:
    """The JSON of a value of a type; faults are told, and None is given for what is of the wrong kind."""
    return _value(reading, value, type_name, type_name, line, DEEPEST)


def _value(reading: Reading, value: Any, type_name: str, path: str, line: int, deep: int) -> Any:
    """`path` is where R4 defines the children: the type, or an inline part of one."""
    line = line_of(value, line)
    if deep == 0:
        reading.say(line, "a value is nested too deeply")
        return None
    if definitions().kind(type_name) == "primitive-type":
        return _primitive(reading, value, type_name, line)
    if not isinstance(value, Table):
        reading.say(line, f"a {type_name} is a table of keys")
        return None
    content = {}
    for key, inner in reading.table(value, line, type_name).items():
        element = definitions().element(f"{path}.{key}")
        if element is None or key.endswith("[x]"):
            reading.say(value.at(key), f"{type_name} has no element {key}")
            continue
        below = f"{path}.{key}" if element.types[0] in ("Element", "BackboneElement") else element.types[0]
        many = isinstance(inner, Rows)
        if element.many != many:
            reading.say(value.at(key), f"{key} is {'a list' if element.many else 'one value, not a list'}")
            continue
        items = [_value(reading, each, element.types[0], below, value.at(key), deep - 1) for each in _items(inner)]
        content[key] = items if many else items[0]
    return content


def _items(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Rows) else [value]


def _primitive(reading: Reading, value: Any, type_name: str, line: int) -> Any:
    if not isinstance(value, str):
        reading.say(line, f"a {type_name} is a text")
        return None
    matches = MATCHES.get(type_name)
    if not value or (matches and not matches(value)):
        reading.say(line, f"{value!s} is no {type_name}")
        return None
    if type_name == "boolean":
        return value == "true"
    if type_name in INTEGERS:
        return int(value)
    return float(value) if type_name == "decimal" else str(value)
