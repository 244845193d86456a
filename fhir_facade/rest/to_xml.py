"""FHIR JSON as FHIR XML, by R4's own table of elements: https://hl7.org/fhir/R4/xml.html, json.html.

Every resource goes through here, also Bundles and OperationOutcomes. A number is written as it stands in the JSON, so
that 1.50 keeps its last digit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from html.entities import name2codepoint
from typing import Any, NamedTuple
from xml.parsers import expat

from fhir_facade.definitions import definitions
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.numbers import loads
from fhir_facade.store.batches import shown

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
PLANS_KEPT = 4096

_MARKED = re.compile('[&<>"\t\n\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]')
_MARKS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
_ENTITY = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_OF_XML = frozenset({"amp", "lt", "gt", "quot", "apos"})

PRIMITIVE, COMPLEX, RESOURCE, MARKUP, ATTRIBUTE = range(5)


class Child(NamedTuple):
    """One child of an element: its place in the order of R4, how it is written, and where its own children stand."""

    place: int
    form: int
    below: str


def to_xml(body: bytes, *, indented: bool = False) -> bytes:
    """JSON bytes of a resource as XML in UTF-8; Refused when an element is none of R4."""
    resource = loads(body)
    out = ['<?xml version="1.0" encoding="UTF-8"?>']
    Writer(out, "\n" if indented else "").resource(resource, f' xmlns="{FHIR}"', "\n")
    return "".join(out).encode()


class Writer:
    """Writes elements to `out`; `step` is "\\n" when each element gets a line of its own, else ""."""

    def __init__(self, out: list[str], step: str) -> None:
        self._out = out
        self._step = step

    def resource(self, resource: Mapping[str, Any], declared: str, start: str) -> None:
        """A resource under the name of its type."""
        name = str(resource.get("resourceType"))
        self._element(name, declared, resource, name, start)

    def _element(self, tag: str, attributes: str, value: Mapping[str, Any], path: str, start: str) -> None:
        """An element with its children in the order of R4; its id, and an extension's url, become attributes."""
        plan = plan_of(path)
        inner: list[tuple[int, str]] = []
        seen = set()
        for key in value:
            name = key[1:] if key[0] == "_" else key
            child = plan.get(name)
            if child is None:
                if key == "resourceType" and "." not in path:
                    continue
                raise _not_in_r4(path, name)
            if child.form == ATTRIBUTE:
                if key == name:
                    attributes += f' {name}="{escaped(_text(value[key]))}"'
            elif name not in seen:
                seen.add(name)
                inner.append((child.place, name))
        out = self._out
        if not inner:
            out.append(f"{start}<{tag}{attributes}/>")
            return
        inner.sort()
        out.append(f"{start}<{tag}{attributes}>")
        below = f"{start}  " if self._step else ""
        for _, name in inner:
            self._child(name, plan[name], value.get(name), value.get(f"_{name}"), below)
        out.append(f"{start if self._step else ''}</{tag}>")

    def _child(self, name: str, child: Child, value: Any, twin: Any, start: str) -> None:
        """All items of one child; `twin` is what a primitive has beside its value."""
        if child.form == MARKUP:
            if value is not None:
                self._out.append(start + markup(str(value)))
        elif child.form == PRIMITIVE:
            values = value if isinstance(value, list) else [value]
            twins = twin if isinstance(twin, list) else [twin]
            for at in range(max(len(values), len(twins))):
                self._primitive(name, child, _item(values, at), _item(twins, at), start)
        else:
            for item in value if isinstance(value, list) else [value]:
                if child.form == RESOURCE:
                    self._out.append(f"{start}<{name}>")
                    self.resource(item, "", f"{start}  " if self._step else "")
                    self._out.append(f"{start}</{name}>")
                else:
                    self._element(name, "", item, child.below, start)

    def _primitive(self, name: str, child: Child, value: Any, twin: Any, start: str) -> None:
        said = "" if value is None else f' value="{escaped(_text(value))}"'
        if twin:
            self._element(name, said, twin, child.below, start)
        else:
            self._out.append(f"{start}<{name}{said}/>")


@lru_cache(maxsize=PLANS_KEPT)
def plan_of(path: str) -> Mapping[str, Child]:
    """What the children of the element at a path are called and how each is written; {} when R4 has no such path."""
    table = definitions()
    top = "." not in path
    found = {}
    for place, name in enumerate(table.children(path)):
        below = f"{path}.{name}"
        types = table.element(below)
        kind = types.types[0] if types is not None and types.types else ""
        resource = top and table.kind(path) == "resource"
        if (name == "id" and not resource) or (name == "url" and table.type_of(path) == "Extension"):
            form = ATTRIBUTE
        elif kind == "xhtml":
            form = MARKUP
        elif table.kind(kind) == "primitive-type":
            form = PRIMITIVE
        elif table.kind(kind) == "resource":
            form = RESOURCE
        else:
            form = COMPLEX
        # what stands below a data type is the same wherever it is used; so the plans are shared
        shared = form in (PRIMITIVE, COMPLEX) and kind not in ("", "BackboneElement", "Element")
        found[name] = Child(place, form, kind if shared else below)
    return found


def escaped(text: str) -> str:
    """Text for an attribute; a character that XML cannot hold becomes U+FFFD."""
    return _MARKED.sub(lambda found: _MARKS.get(found[0], "\ufffd"), text) if _MARKED.search(text) else text


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _item(values: list[Any], at: int) -> Any:
    return values[at] if at < len(values) else None


def markup(text: str) -> str:
    """The XHTML of a narrative in its namespace; text that is no XML is shown as text."""
    text = _ENTITY.sub(_character, text.strip())
    head = re.match(r"<div\b[^>]*?(/?)>", text)
    if head is not None and "xmlns=" not in head[0]:
        text = f'<div xmlns="{XHTML}"{text[4:]}'
    if head is None or not _is_xml(text):
        return f'<div xmlns="{XHTML}">{escaped(text)}</div>'
    return text


def _character(found: re.Match[str]) -> str:
    """A character that HTML has a name for and XML has none."""
    name = found[1]
    return chr(name2codepoint[name]) if name in name2codepoint and name not in _OF_XML else found[0]


def _is_xml(text: str) -> bool:
    """Whether it is one element, without a document type, whose names are all declared."""
    parser = expat.ParserCreate(namespace_separator=" ")
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, UnicodeEncodeError):
        return False
    return True


def _not_in_r4(path: str, name: str) -> Refused:
    return Refused(Issue("element-not-in-xml", f"{path}.{shown(name)}"))
