"""Random edits of a FHIR resource, and an equality of its own: what the law of no silent divergence is judged by."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Container, Iterator
from datetime import datetime
from functools import cache
from typing import Any

from fhir_facade.mapping.ir import declared_profiles
from fhir_facade.mapping.mapping_set import load_mapping_set
from fhir_facade.resources import data_root

Path = tuple[str | int, ...]

WORDS = [
    "annet",
    "Å",
    "x" * 40,
    "2024-02-30",
    "urn:oid:2.16.578.1.12.4.1.1.8406",
    "EM",
    "finished",
    "Patient/ukjent",
    "0",
    "99",
]
EXTRA: list[tuple[str, Any]] = [
    ("language", "nb-NO"),
    ("text", {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Sammendrag</div>'}),
    ("contained", [{"resourceType": "Basic", "id": "b", "code": {"text": "x"}}]),
    ("implicitRules", "http://example.org/regler"),
    ("extension", [{"url": "http://example.org/ukjent", "valueString": "verdi"}]),
    ("identifier", [{"system": "http://example.org/annet-system", "value": "abc-1"}]),
    ("meta", {"tag": [{"system": "http://example.org/merke", "code": "x"}], "versionId": "17"}),
]


def places(value: Any, at: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value of a resource, objects and lists too, but the root."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in pairs:
        yield (*at, name), inner
        yield from places(inner, (*at, name))


def edited(resource: dict[str, Any], draw: random.Random, other: dict[str, Any] | None = None) -> dict[str, Any]:
    """The resource with one to three edits; `other` is a resource of the same type to take elements from."""
    out: dict[str, Any] = copy.deepcopy(resource)
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        one_edit(out, draw, other or resource)
    return out


EDITS = ["change"] * 5 + ["graft"] * 5 + ["delete"] * 3 + ["double", "swap", "add", "stranger"]


def one_edit(out: dict[str, Any], draw: random.Random, other: dict[str, Any]) -> None:
    """A value changed, an element of another resource put in, something deleted, doubled, moved or added."""
    spots = [(at, value) for at, value in places(out) if at[0] != "resourceType"]
    leaves = [(at, value) for at, value in spots if not isinstance(value, dict | list)]
    lists = [value for _, value in spots if isinstance(value, list) and value]
    match draw.choice(EDITS):
        case "change" if leaves:
            at, value = draw.choice(leaves)
            into(out, at)[at[-1]] = another(value, draw, [inner for _, inner in leaves if type(inner) is type(value)])
        case "graft":
            name = draw.choice([name for name in other if name != "resourceType"])
            if isinstance(out.get(name), list) and isinstance(other[name], list):
                place = draw.randrange(len(out[name]))
                out[name][place] = copy.deepcopy(draw.choice(other[name]))
            else:
                out[name] = copy.deepcopy(other[name])
        case "delete" if spots:
            at, _ = draw.choice(spots)
            del into(out, at)[at[-1]]
            tidy(out)
        case "double" if lists:
            chosen = draw.choice(lists)
            chosen.insert(draw.randrange(len(chosen) + 1), copy.deepcopy(draw.choice(chosen)))
        case "swap" if lists:
            draw.shuffle(draw.choice(lists))
        case "add":
            at, value = draw.choice([spot for spot in spots if isinstance(spot[1], dict)] or [((), out)])
            extras = [("id", "e1"), ("extension", EXTRA[4][1]), ("display", "Vist"), ("text", "Tekst")]
            name, extra = draw.choice(extras)
            value.setdefault(name, copy.deepcopy(extra))
        case _:
            stranger(out, draw)


def into(value: Any, at: Path) -> Any:
    """The object or list that the last step of a path belongs to."""
    for step in at[:-1]:
        value = value[step]
    return value


def stranger(out: dict[str, Any], draw: random.Random) -> None:
    """Something that no mapping row knows."""
    name, extra = draw.choice(EXTRA)
    if isinstance(extra, list):
        out.setdefault(name, []).extend(copy.deepcopy(extra))
    elif isinstance(extra, dict) and isinstance(out.get(name), dict):
        out[name].update(copy.deepcopy(extra))
    else:
        out[name] = copy.deepcopy(extra)


def another(value: Any, draw: random.Random, others: list[Any]) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + draw.choice([-1, 1, 10])
    if isinstance(value, str):
        return draw.choice([*WORDS, draw.choice(others), value + "x", value[:-1] or "y", value[::-1]])
    return value


def tidy(value: Any) -> None:
    """FHIR knows no empty objects and lists."""
    pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))[::-1]
    for name, inner in pairs:
        if isinstance(inner, dict | list):
            tidy(inner)
            if not inner:
                del value[name]


def canonical(value: Any) -> Any:
    """A form in which resources that the product calls the same are equal; written apart from the product's own."""
    if isinstance(value, dict):
        hidden = {"display"} if "code" in value else set()
        return tuple(sorted((name, canonical(inner)) for name, inner in value.items() if name not in hidden))
    if isinstance(value, list):
        return ("list", *sorted((canonical(item) for item in value), key=repr))
    if isinstance(value, str) and len(value) >= 20 and value[4] == "-" and "T" in value:
        try:
            return ("at", datetime.fromisoformat(value).timestamp())
        except ValueError:
            return value
    return (type(value).__name__, value) if isinstance(value, bool) else value


@cache
def declared(resource_type: str) -> frozenset[str]:
    """The profiles that shipped mappings of a resource type declare."""
    mappings = load_mapping_set(data_root("mappings")).by_type.get(resource_type, ())
    return frozenset(url for mapping in mappings for _, url in declared_profiles(mapping.rules.rules))


def bare(resource: dict[str, Any], own: Container[str] | None = None) -> dict[str, Any]:
    """Without what the server says in meta; `own` are the profiles that are the server's to say."""
    own = declared(resource["resourceType"]) if own is None else own
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in ("versionId", "lastUpdated")}
    if "profile" in meta:
        meta["profile"] = [each for each in meta["profile"] if each not in own]
    meta = {name: value for name, value in meta.items() if value}
    rest = {name: value for name, value in resource.items() if name != "meta"}
    return {**rest, **({"meta": meta} if meta else {})}


def leaf_counts(value: Any) -> Counter[tuple[str, Any]]:
    """How often each primitive stands at each path, indexes left out."""
    found: Counter[tuple[str, Any]] = Counter()
    for at, inner in places(value):
        if not isinstance(inner, dict | list) and at[-1] != "display":
            found[(".".join(step for step in at if isinstance(step, str)), canonical(inner))] += 1
    return found
