"""The places of a resource where another one may be named, and the entry of the same Bundle that is named there.

R4 says which: `Reference.reference`, elements of type uri, url, oid and uuid, and href and src in narratives; what is
canonical stays, for it names a resource by its own url. https://hl7.org/fhir/R4/http.html#transaction,
https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping
from html import unescape
from typing import Any, NamedTuple

from fhir_facade.bundles.entries import Entry
from fhir_facade.definitions import definitions
from fhir_facade.profile.references import DEEPEST, Pointer, parse, type_of

NAMING = frozenset({"uri", "url", "oid", "uuid"})
POINTING = frozenset({"Reference", "url"})
"""Kinds of links that are told of where they lead nowhere."""

# What is not closed ends with the text, and no part holds "<", so that each character is looked at once.
_TAGS = re.compile(
    r"""<!--.*?(?:-->|\Z)|<!\[CDATA\[.*?(?:\]\]>|\Z)|<(?:a|img)\s(?:[^<>"']|"[^"<]*"|'[^'<]*')*>""", re.DOTALL
)
_ATTRIBUTES = re.compile(r"""(?P<before>\s(?P<name>[\w:.-]+)\s*=\s*)(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)')""")
LINKING = ("href", "src")


class Link(NamedTuple):
    """A text that may name a resource: the FHIR type of its element, the steps to it in the JSON, and what it says.

    `kind` is Reference for `Reference.reference`, xhtml for an href or src in the narrative that the steps lead to.
    """

    kind: str
    steps: tuple[str | int, ...]
    text: str

    @property
    def at(self) -> str:
        """The place below the resource, as the end of a FHIRPath: `.subject.reference`."""
        return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.steps)


class Led(NamedTuple):
    """A link and where it leads: the number of an entry, and the version where it is asked for."""

    link: Link
    entry: int
    version: str = ""


def references_in(resource: Mapping[str, Any], nowhere: Container[str] = ()) -> list[Link]:
    """Every text of a resource that may name another one, those of contained resources too, in document order.

    Texts in `nowhere`, which lead nowhere, are left out where they may be something else, as the system of a code is.
    """
    found: list[Link] = []
    for kind, steps, text in _walk(resource, _ELEMENTS[type_of(resource)], nowhere, DEEPEST):
        _take(text, kind, tuple(reversed(steps)), found)
    return found


def _walk(
    value: Mapping[str, Any], elements: _Elements, nowhere: Container[str], left: int
) -> list[tuple[str, list[str | int], str]]:
    """The kind of each text, the steps to it from the last to the first, and the text."""
    found: list[tuple[str, list[str | int], str]] = []
    for name, held in value.items():
        if isinstance(held, str):
            kind = elements[name].kind
            if kind and held and (held not in nowhere or kind in POINTING):
                found.append((kind, [name], held))
        elif isinstance(held, dict):
            if left:
                for each in _walk(held, elements.of(name, held), nowhere, left - 1):
                    each[1].append(name)
                    found.append(each)
        elif isinstance(held, list):
            kind = elements[name].kind
            for number, one in enumerate(held):
                if isinstance(one, dict):
                    if left > 1:
                        for each in _walk(one, elements.of(name, one), nowhere, left - 2):
                            each[1].extend((number, name))
                            found.append(each)
                elif kind and isinstance(one, str) and one:
                    found.append((kind, [number, name], one))
    return found


class _Element(NamedTuple):
    """What an element holds that may name a resource, "" for nothing, and where R4 knows the elements in it.

    Those are known by the data type, or by the path of a backbone element.
    """

    kind: str
    below: str


class _Elements(dict[str, _Element]):
    """The elements of a place, by name; those that R4 knows are remembered, not those that clients make up."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __missing__(self, name: str) -> _Element:
        place = f"{self.path}.{name}"
        known = definitions().type_of(place)
        if known is None:
            return _Element("", place)
        kind = "Reference" if place == "Reference.reference" else known if known in (*NAMING, "xhtml") else ""
        element = self[name] = _Element(kind, place if known in ("BackboneElement", "Element") else known)
        _ELEMENTS[self.path] = self
        return element

    def of(self, name: str, held: dict[str, Any]) -> _Elements:
        """The elements of what an element holds."""
        return _ELEMENTS[(type_of(held) if "resourceType" in held else "") or self[name].below]


class _Places(dict[str, _Elements]):
    def __missing__(self, path: str) -> _Elements:
        return _Elements(path)


_ELEMENTS = _Places()


def _take(text: str, kind: str, place: tuple[str | int, ...], found: list[Link]) -> None:
    if kind != "xhtml":
        found.append(Link(kind, place, text))
    else:
        for tag in _TAGS.finditer(text):
            if tag[0][1] != "!":
                attributes = _ATTRIBUTES.finditer(tag[0])
                found += [Link("xhtml", place, _said(each)) for each in attributes if each["name"] in LINKING]


def _said(found: re.Match[str]) -> str:
    return unescape(found["double"] if found["double"] is not None else found["single"])


def with_links(narrative: str, becomes: Mapping[str, str]) -> str:
    """The narrative with its hrefs and srcs replaced where `becomes` has them; all else stays as it is."""

    def link(found: re.Match[str]) -> str:
        new = becomes.get(_said(found)) if found["name"] in LINKING else None
        if new is None:
            return found[0]
        return f'{found["before"]}"{new}"' if found["double"] is not None else f"{found['before']}'{new}'"

    return _TAGS.sub(lambda tag: tag[0] if tag[0][1] == "!" else _ATTRIBUTES.sub(link, tag[0]), narrative)


class Names:
    """What the entries that store a resource are called, or may have meant to, for references to find them."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._by_url: dict[str, Entry] = {}
        self.nowhere: set[str] = set()  # texts that lead to no entry: codes have the same few systems everywhere
        for entry in entries:
            is_kept = entry.changes and entry.method != "DELETE"
            if entry.full_url and (is_kept or entry.target is None):  # who is told of a fault needs no other one
                self._by_url.setdefault(entry.full_url, entry)

    def led(self, link: Link, full_url: str) -> Led | None:
        """Where a link in the entry with a fullUrl leads, None when to no entry here.

        A relative reference is one below the base of that fullUrl; without such a base it is one of this server.
        """
        if link.text in self.nowhere:
            return None
        plain = link.text.partition("#")[0]
        if not plain:
            return None
        if (entry := self._by_url.get(plain)) is not None:
            return Led(link, entry.number)
        pointer = parse(plain)
        if pointer.kind == "relative":
            base = parse(full_url).base
        elif pointer.kind == "absolute" and pointer.type:
            base = pointer.base
        else:
            self.nowhere.add(link.text)
            return None
        entry = self._by_url.get(f"{base}{pointer.place}") if base else None
        return None if entry is None or not _is_of(entry, pointer) else Led(link, entry.number, pointer.version)


def _is_of(entry: Entry, pointer: Pointer) -> bool:
    """Whether a reference to a version means the one in the entry: it may be another that is stored already."""
    if not pointer.version:
        return True
    meta = (entry.resource or {}).get("meta")
    said = meta.get("versionId") if isinstance(meta, dict) else None
    return entry.method == "POST" and said in (None, pointer.version)
