"""Compare what was sent with what the stored record gives back: nothing differs in silence.

Two resources are the same up to one equivalence, fixed here for every mapping: `meta.versionId`, `meta.lastUpdated`
and the mapping's own profiles in `meta.profile` are the server's; a `display` is the code's, not the sender's; system
URIs that systems.yaml calls the same are the same; a reference to our own base may be absolute; instants may be written
with any offset; items of a list that different rows or a key put in order may stand in another order.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from fhir_facade.contracts import Resource
from fhir_facade.mapping.take import Claims, Place

Patch = dict[str, Any]
"""What a resource has beyond another, as JSON.

`add` members; `in` patches of members; `more` items of a list as [index, value, how many like it the list had]; `of`
patches of items as [fingerprint of the item, patch]; `if` the fingerprints of what additions stand beside.
"""

SERVERS_OWN = ("versionId", "lastUpdated")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII).fullmatch


def bare(resource: Resource) -> Resource:
    """The resource without what the server itself says in `meta`."""
    meta = resource.get("meta")
    if not isinstance(meta, dict):
        return resource
    out = dict(resource)
    kept = {name: value for name, value in meta.items() if name not in SERVERS_OWN}
    if kept:
        out["meta"] = kept
    else:
        del out["meta"]
    return out


def declaring(sent: Resource, given: Resource, profiles: Container[str]) -> Resource:
    """What was sent, with those of a mapping's profiles that the record declares in the place of those that it has."""
    meta = sent.get("meta", {})
    said = meta.get("profile", []) if isinstance(meta, dict) else None
    if not isinstance(said, list):
        return sent
    own = [profile for profile in given.get("meta", {}).get("profile", ()) if profile in profiles]
    whole = [*own, *(profile for profile in said if not (isinstance(profile, str) and profile in profiles))]
    if whole == said:
        return sent
    kept = {name: value for name, value in meta.items() if name != "profile"} | ({"profile": whole} if whole else {})
    return {name: value for name, value in sent.items() if name != "meta"} | ({"meta": kept} if kept else {})


def normalised(value: Any, systems: Mapping[str, str], base: str = "") -> Any:
    """A copy with canonical system URIs (`systems`: other URI → ours) and relative references to our own `base`."""
    if isinstance(value, list):
        return [normalised(item, systems, base) for item in value]
    if not isinstance(value, dict):
        return value
    out = {name: normalised(inner, systems, base) for name, inner in value.items()}
    system, reference = out.get("system"), out.get("reference")
    if isinstance(system, str) and system in systems:
        out["system"] = systems[system]
    if base and isinstance(reference, str) and reference.startswith(f"{base}/"):
        out["reference"] = reference[len(base) + 1 :]
    return out


@dataclass
class Comparison:
    """What differs: elements kept for the remainder, elements that disagree, elements that the record adds."""

    claims: Claims
    kept: list[tuple[Place, Any]] = field(default_factory=list)
    refused: list[tuple[Place, Any, Any]] = field(default_factory=list)
    added: list[tuple[Place, Any]] = field(default_factory=list)
    spoken: set[Place] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.spoken = {place[:end] for place in self.claims.taken for end in range(len(place) + 1)}

    def object(self, sent: Mapping[str, Any], given: Mapping[str, Any], at: Place) -> Patch:
        """The patch that makes `given` into `sent`."""
        patch: Patch = {}
        for name, value in sent.items():
            place = (*at, name)
            if name in given:
                inner = self.value(value, given[name], place)
                if inner:
                    patch.setdefault("in", {})[name] = inner
            elif self.is_kept(place, value):
                patch.setdefault("add", {})[name] = value
                if name.startswith("_") and name[1:] in given:
                    patch.setdefault("if", {})[name] = fingerprint(given[name[1:]])
        for name, value in given.items():
            if name not in sent and name != "display":
                self.added.append(((*at, name), value))
        return patch

    def is_kept(self, place: Place, value: Any) -> bool:
        """An element that only the sender has: kept, unless a row speaks of it and gave something else."""
        if place not in self.spoken:
            self.kept.append((place, value))
            return True
        self.refused.append((place, value, None))
        return False

    def value(self, sent: Any, given: Any, at: Place) -> Patch:
        if isinstance(sent, dict) and isinstance(given, dict):
            return self.object(sent, given, at)
        if isinstance(sent, list) and isinstance(given, list):
            return self.array(sent, given, at)
        if not (at and at[-1] == "display") and not same_value(sent, given):
            self.refused.append((at, sent, given))
        return {}

    def array(self, sent: list[Any], given: list[Any], at: Place) -> Patch:
        """Items are paired: those that are the same, then those that rows took with what the record made of them."""
        left = dict(enumerate(given))
        waiting: list[int] = []
        for place, item in enumerate(sent):
            same = next((other for other, value in left.items() if same_value(item, value)), None)
            if same is None:
                waiting.append(place)
            else:
                del left[same]
        patches: list[Any] = []
        more: list[int] = []
        for place in waiting:
            here = (*at, place)
            pair = self.nearest(sent[place], left, here) if here in self.spoken else None
            if pair is not None:
                item = left.pop(pair)
                inner = self.value(sent[place], item, here)
                if inner:
                    patches.append([fingerprint(item), inner])
            elif self.is_kept(here, sent[place]):
                more.append(place)
        self.added += [((*at, len(sent) + extra), left[place]) for extra, place in enumerate(left)]
        return self.list_patch(given, sent, patches, more)

    def list_patch(self, given: list[Any], sent: list[Any], patches: list[Any], more: list[int]) -> Patch:
        """The patch of a list; each new item is noted with how many like it the list has by then."""
        patch: Patch = {"of": patches} if patches else {}
        whole, _ = _merge_list(list(given), patch)
        for place in more:
            copies = sum(same_value(sent[place], item) for item in whole)
            patch.setdefault("more", []).append([place, sent[place], copies])
            whole.insert(place, sent[place])
        return patch

    def nearest(self, sent: Any, left: Mapping[int, Any], at: Place) -> int | None:
        """The item that the record made of a sent one: the one with which it shares most."""
        shares = {place: shared(sent, value) for place, value in left.items()}
        best = max(shares, key=lambda place: shares[place], default=None)
        return best if best is not None and (shares[best] > 0 or len(left) == 1) else None


def same_value(one: Any, other: Any) -> bool:
    """Whether what was sent is the same as what is given back, up to the equivalence.

    A display beside a code is the code's: another one is the same, and one that only `one` has is not.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        names = one.keys() | other.keys()
        if "code" in one and ("display" in other or "display" not in one):
            names -= {"display"}
        return all(name in one and name in other and same_value(one[name], other[name]) for name in names)
    if isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            return False
        left = list(other)
        for item in one:
            found = next((place for place, value in enumerate(left) if same_value(item, value)), None)
            if found is None:
                return False
            del left[found]
        return True
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if one == other:
        return True
    return isinstance(one, str) and isinstance(other, str) and same_instant(one, other)


def same_instant(one: str, other: str) -> bool:
    if not INSTANT(one) or not INSTANT(other):
        return False
    try:
        return datetime.fromisoformat(one) == datetime.fromisoformat(other)
    except ValueError:
        return False


def shared(one: Any, other: Any) -> int:
    """How many values two JSON values have in common."""
    if isinstance(one, dict) and isinstance(other, dict):
        return sum(shared(value, other[name]) for name, value in one.items() if name in other)
    if isinstance(one, list) and isinstance(other, list):
        return sum(max((shared(item, value) for value in other), default=0) for item in one)
    return int(type(one) is type(other) and bool(one == other))


def without_display(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: without_display(inner) for name, inner in value.items() if name != "display"}
    return [without_display(item) for item in value] if isinstance(value, list) else value


def fingerprint(value: Any) -> str:
    """A short name of a JSON value, by which a remainder finds again what it stood beside."""
    text = orjson.dumps(without_display(value), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:16]


def leaves(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every primitive of a JSON value with its place."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*at, name))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from leaves(inner, (*at, place))
    else:
        yield at, value


def fhirpath(root: str, place: Place) -> str:
    """The FHIRPath of a place: Encounter.type[0].coding[1].code."""
    text = root
    for step in place:
        text += f"[{step}]" if isinstance(step, int) else f".{step.removeprefix('_')}"
    return text


def merge(value: Any, patch: Patch) -> tuple[Any, int]:
    """The value with what the patch adds, and how many additions found no place because the record has changed."""
    if isinstance(value, list):
        return _merge_list(list(value), patch)
    if not isinstance(value, dict):
        return value, _count(patch)
    out, lost = dict(value), 0
    for name, inner in patch.get("in", {}).items():
        if name in out:
            out[name], orphans = merge(out[name], inner)
            lost += orphans
        else:
            lost += _count(inner)
    for name, added in patch.get("add", {}).items():
        beside = patch.get("if", {}).get(name)
        if beside is not None and fingerprint(out.get(name[1:])) != beside:
            lost += 1
        elif name not in out:
            out[name] = added
        elif isinstance(out[name], dict) and isinstance(added, dict) and name == "meta":
            out[name] = _joined(out[name], added)
        elif not same_value(added, out[name]):
            lost += 1
    return out, lost


def _joined(meta: dict[str, Any], added: dict[str, Any]) -> dict[str, Any]:
    """What a record says in `meta`, with what was kept while it said nothing there; of lists both."""
    out = {**added, **meta}
    for name in meta.keys() & added.keys():
        if isinstance(meta[name], list) and isinstance(added[name], list):
            out[name] = [*meta[name], *(item for item in added[name] if item not in meta[name])]
    return out


def _merge_list(items: list[Any], patch: Patch) -> tuple[list[Any], int]:
    lost, done = 0, set()
    marks = [fingerprint(item) for item in items]
    for mark, inner in patch.get("of", ()):
        place = next((at for at, own in enumerate(marks) if own == mark and at not in done), None)
        if place is None:
            lost += _count(inner)
            continue
        done.add(place)
        items[place], orphans = merge(items[place], inner)
        lost += orphans
    for place, added, copies in patch.get("more", ()):
        if sum(same_value(added, item) for item in items) <= copies:
            items.insert(place, added)
    return items, lost


def _count(patch: Patch) -> int:
    inner = [*patch.get("in", {}).values(), *(one for _, one in patch.get("of", ()))]
    return len(patch.get("add", {})) + len(patch.get("more", ())) + sum(map(_count, inner))
