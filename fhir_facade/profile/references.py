"""What a reference says of where it points: its form, and the resource type that stands in it.

https://hl7.org/fhir/R4/references.html. A reference with only an identifier or a display points at nothing that could
be judged here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from fhir_facade.definitions import definitions

Kind = Literal["contained", "relative", "absolute", "urn", "conditional", "bad"]
REFERENCES_KEPT = 8192
LONGEST_KEPT = 512
DEEPEST = 100
FRAGMENTS = ("canonical", "uri", "url")

_PLACE = re.compile(
    r"(?P<base>https?://[^\s?#]+/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9.-]{1,64})"
    r"(?:/_history/(?P<version>[A-Za-z0-9.-]{1,64}))?(?P<fragment>#\S*)?"
).fullmatch
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}").fullmatch
_CONDITIONAL = re.compile(r"(?P<type>[A-Z][A-Za-z]+)\?\S+").fullmatch
_URN = re.compile(
    r"urn:(?:uuid:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|oid:[0-2](?:\.\d+)+|(?!uuid:|oid:)[a-z].*)"
).fullmatch
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+").fullmatch


class Pointer(NamedTuple):
    """A reference taken apart; `type` is "" where the text does not say it, `base` ends in a slash."""

    kind: Kind
    type: str = ""
    id: str = ""
    base: str = ""
    version: str = ""

    @property
    def place(self) -> str:
        """`Type/id`."""
        return f"{self.type}/{self.id}"


def parse(reference: str) -> Pointer:
    """Take a reference apart; one of no known form is `bad`."""
    return _kept(reference) if len(reference) <= LONGEST_KEPT else _parse(reference)


def _parse(reference: str) -> Pointer:
    if reference.startswith("#"):
        return Pointer("contained", id=reference[1:])
    if reference.startswith("urn:"):
        return Pointer("urn") if _URN(reference) else Pointer("bad")
    found = _PLACE(reference)
    if found is not None and definitions().kind(found["type"]) == "resource":
        kind: Kind = "absolute" if found["base"] else "relative"
        return Pointer(kind, found["type"], found["id"], found["base"] or "", found["version"] or "")
    asked = _CONDITIONAL(reference)
    if asked is not None and definitions().kind(asked["type"]) == "resource":
        return Pointer("conditional", asked["type"])
    return Pointer("absolute") if _ABSOLUTE(reference) else Pointer("bad")


_kept = lru_cache(maxsize=REFERENCES_KEPT)(_parse)


def refers_to(types: frozenset[str]) -> Callable[[Any], bool]:
    """A test that a text is a relative reference to one of some types; it may miss other ways to write one."""

    def judge(said: Any) -> bool:
        if type(said) is not str:
            return False
        name, _, id = said.partition("/")
        return name in types and _ID(id) is not None

    return judge


def contained_of(root: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The contained resources of a resource by id; of two with one id the first."""
    found: dict[str, Mapping[str, Any]] = {}
    held = root.get("contained")
    for each in held if isinstance(held, list) else ():
        if isinstance(each, Mapping) and isinstance(each.get("id"), str):
            found.setdefault(each["id"], each)
    return found


def repeated_contained(root: Mapping[str, Any]) -> list[tuple[int, str]]:
    """The contained resources, by number and id, whose id another has before them."""
    held, seen, found = root.get("contained"), set[str](), []
    for number, each in enumerate(held if isinstance(held, list) else ()):
        id = each.get("id") if isinstance(each, Mapping) else None
        if isinstance(id, str):
            if id in seen:
                found.append((number, id))
            seen.add(id)
    return found


def are_contained_used(root: Mapping[str, Any]) -> bool:
    """Whether every contained resource that has an id is pointed at, or points at what holds it: R4's dom-3.

    The FHIRPath of that rule goes through the whole resource for each contained one; this goes through it once.
    """
    held = root.get("contained")
    listed = [each for each in held if isinstance(each, Mapping)] if isinstance(held, list) else []
    used = set(_fragments(root, type_of(root), 0))
    return all(
        f"#{each['id']}" in used or "#" in _fragments(each, type_of(each), 0)
        for each in listed
        if isinstance(each.get("id"), str)
    )


def _fragments(value: Mapping[str, Any], path: str, depth: int) -> Iterator[str]:
    """The references, canonicals and URIs below a value that begin with #."""
    if depth > DEEPEST:
        return
    for key, held in value.items():
        for each in held if isinstance(held, list) else (held,):
            if isinstance(each, Mapping):
                yield from _fragments(each, _path_below(each, f"{path}.{key}"), depth + 1)
            elif (
                isinstance(each, str)
                and each[:1] == "#"
                and ((key == "reference" and depth > 0) or definitions().type_of(f"{path}.{key}") in FRAGMENTS)
            ):
                yield each


def _path_below(value: Mapping[str, Any], path: str) -> str:
    """Where R4 knows the elements of an object: under its resource type, its data type, or where it stands."""
    if type_of(value):
        return type_of(value)
    known = definitions().type_of(path)
    return path if known in (None, "", "BackboneElement", "Element") else known


def type_of(resource: Any) -> str:
    """The resourceType of a resource, "" when it has none."""
    said = resource.get("resourceType") if isinstance(resource, dict) else None
    return said if isinstance(said, str) else ""


def is_kind_of(type_name: str, allowed: str) -> bool:
    """Whether a resource type is, or rests on, another: everything is a Resource, most a DomainResource."""
    if allowed in (type_name, "Resource", "Any"):
        return True
    return allowed == "DomainResource" and type_name not in ("Bundle", "Parameters", "Binary")
