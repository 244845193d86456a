"""Hold a mapping to the profile that it names: what must be there is, what is fixed is so, what may not be is not.

Judged by rows alone, so that it holds for every record. Slices are judged where they are told apart by a value or
pattern (system, code, url); one that stands in another slice is not judged.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from fhir_facade.definitions import concrete_name, definitions
from fhir_facade.mapping.findings import Finding, finding, nearest, warning
from fhir_facade.mapping.forward import writing
from fhir_facade.mapping.ir import Each, MappingRules, declared_profiles, fields_of
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.mapping.leaves import Leaf, Names, Trail, flat, leaves
from fhir_facade.mapping.profiles import Demand, Profile, Profiles
from fhir_facade.mapping.required import guaranteed, required, spoken_of
from fhir_facade.yaml_text import Table


def check_profile(
    mapping: MappingRules, kinds: Kinds, table: Table, profiles: Profiles, lost: Collection[str] = ()
) -> Iterator[Finding]:
    """Findings of a mapping against its `profile`, and of the profiles that its rows declare under a guard.

    `lost` are the words of rows that were refused: what they speak of is not missed as well. A row of a profile is not
    held to it here, since its guard may choose records that keep to it.
    """
    rows = declared_profiles(mapping.rules)
    whole = [(f"{mapping.file}:{table.at('profile')}", mapping.profile)] if mapping.profile else []
    faults: list[Finding] = []
    for at, canonical in (*whole, *rows):
        profile = profiles.find(canonical)
        unfit = _unfit(mapping, canonical, profile, profiles)
        if unfit:
            faults.append(finding(at, unfit))
        elif profile is not None and (at, canonical) in whole:
            judge = _Judge(mapping, kinds, profile, at, lost)
            faults += required(mapping, kinds[mapping.kind], kinds, lost, judge.demanded)
            faults += judge.findings()
    if whole or rows:
        yield from profiles.faults
    yield from faults


def _unfit(mapping: MappingRules, canonical: str, profile: Profile | None, profiles: Profiles) -> str:
    """Why a mapping cannot name a profile; "" when it can."""
    if profile is None:
        known = profiles.of_type(mapping.resource_type)
        return f"no profile '{canonical}'{_nearest(canonical, known)}"
    if profile.type != mapping.resource_type:
        return f"profile {profile.name} is of {profile.type}, not of {mapping.resource_type}"
    missing = f"profile {profile.name} builds on {profile.missing}, which is not among the profiles"
    return missing if profile.missing else ""


def _nearest(canonical: str, known: list[str]) -> str:
    """The canonical with the nearest name, for all begin alike; else all of them."""
    names = {url.rpartition("/")[2]: url for url in known}
    near = nearest(canonical.partition("|")[0].rpartition("/")[2], names)
    name = near.partition("'")[2].partition("'")[0]
    return near.replace(name, names[name]) if near else f" (known: {', '.join(known) or 'none'})"


@dataclass(frozen=True)
class _Judge:
    mapping: MappingRules
    kinds: Kinds
    profile: Profile
    at: str
    lost: Collection[str]

    @cached_property
    def leaves(self) -> list[Leaf]:
        return list(leaves(writing(self.mapping.rules)))

    @cached_property
    def demanded(self) -> dict[str, str]:
        """Path → what a finding says behind it, of each element that the profile requires and R4 does not."""
        out = {}
        for demand in self.profile.demands.values():
            path = f"{self.mapping.resource_type}.{demand.id}"
            element = definitions().element(path)
            if demand.min and ":" not in demand.id and (element is None or element.min < 1):
                out[path] = f" (profile {self.profile.name}{self._hint(demand)})"
        return out

    def _hint(self, demand: Demand) -> str:
        return f": add {_row(demand.id, demand.value)}" if demand.value is not None else ""

    def findings(self) -> Iterator[Finding]:
        for demand in self.profile.demands.values():
            if demand.id.count(":") > 1:
                continue
            if not demand.slice:
                yield from self._often(demand)
                yield from self._types(demand)
                if demand.value is not None:
                    yield from self._fixed(demand, self._items(_names(demand.id)), demand.id)
            elif demand.slice == demand.id:
                yield from self._slice(demand)

    def _items(self, names: Names, below: Trail = ()) -> dict[Trail, list[Leaf]]:
        """The leaves of each item at a path, those inside one item alone when `below` names it."""
        out: dict[Trail, list[Leaf]] = {}
        for leaf in self.leaves:
            if leaf.names[: len(names)] == names and leaf.trail[: len(below)] == below:
                out.setdefault(leaf.trail[: len(names)], []).append(leaf)
        return out

    def _often(self, demand: Demand) -> Iterator[Finding]:
        """An element that may not be there is not written; one that may be there once is not written twice."""
        items = self._items(_names(demand.id))
        if not items or not demand.max.isdigit():
            return
        rules = list({id(leaf.rule): leaf.rule for found in items.values() for leaf in found}.values())
        path, most = demand.id, int(demand.max)
        if most == 0:
            for rule in rules:
                yield finding(rule.at, f"profile {self.profile.name} prohibits {path}")
        elif (element := definitions().element(f"{self.mapping.resource_type}.{path}")) and element.many:
            parents = {trail[:-1] for trail in items}
            sure = [trail for trail, found in items.items() if not any(leaf.rule.when for leaf in found)]
            listed = any(isinstance(rule, Each) and not rule.first for rule in rules)
            if any(sum(trail[:-1] == parent for trail in sure) > most for parent in parents) or listed:
                said = f"profile {self.profile.name} allows {most} {path}, but rows may write more"
                yield finding(rules[-1].at, said)

    def _types(self, demand: Demand) -> Iterator[Finding]:
        """Of a choice only the types are written that the profile leaves."""
        if not demand.types or not demand.id.endswith("[x]"):
            return
        allowed = {concrete_name(demand.id.rsplit(".", 1)[-1], kind) for kind in demand.types}
        *above, last = _names(demand.id)
        for leaf in self.leaves:
            names = leaf.names
            here = ".".join([self.mapping.resource_type, *names[: len(above) + 1]])
            if names[: len(above)] != tuple(above) or len(names) <= len(above) or names[len(above)] in allowed:
                continue
            element = definitions().element(here)
            if element and element.path.rsplit(".", 1)[-1] == last:
                wanted = ", ".join(sorted(allowed))
                yield finding(leaf.rule.at, f"profile {self.profile.name} allows {wanted}, not {names[len(above)]}")

    def _fixed(self, demand: Demand, items: Mapping[Trail, list[Leaf]], path: str) -> Iterator[Finding]:
        """What is written where the profile has a fixed value or pattern is that value."""
        deep = len(_names(path))
        for found in items.values():
            for names, values in flat(demand.value).items():
                own = [leaf for leaf in found if leaf.names[deep:] == names]
                if all(_is(leaf, values) for leaf in own) and own:
                    continue
                wanted = f"{path} is {_text(demand.value)} in profile {self.profile.name}"
                yield finding((own or found)[0].rule.at, f"{wanted}: write {_row(path, demand.value)}")
                break

    def _slice(self, demand: Demand) -> Iterator[Finding]:
        """A required slice is filled for every record, and what stands in a slice is as the slice has it."""
        names, told = _names(demand.id), self._told_apart(demand)
        if told is None:
            if demand.min:
                said = f"whether slice {demand.id} of profile {self.profile.name} is filled cannot be judged"
                yield warning(self.at, said)
            return
        fitting = {
            trail: found for trail, found in self._items(names).items() if _matches(found, told, len(names)) is not None
        }
        how = ", ".join(f"{'.'.join(path) or names[-1]} {_text(value)}" for path, value in told.items())
        if demand.max == "0":
            for found in fitting.values():
                yield finding(found[0].rule.at, f"profile {self.profile.name} prohibits {demand.id} ({how})")
            return
        if demand.min and not fitting and (len(names) == 1 or self._items(names[:-1])):
            if spoken_of(names[-1], self.lost):
                return
            yield finding(self.at, f"profile {self.profile.name} requires {demand.id} ({how}), which no row fills")
        elif demand.min and not any(self._sure(found, told, len(names)) for found in fitting.values()):
            rule = next((found[0].rule for found in fitting.values()), None)
            if rule is not None:
                missing = ", ".join(sorted(set(fields_of(rule)))) or "a guard or list"
                said = f"{demand.id} ({how}) of profile {self.profile.name} may be missing: {missing} can be absent"
                yield finding(rule.at, said)
        yield from self._inside(demand, fitting)

    def _inside(self, demand: Demand, fitting: Mapping[Trail, list[Leaf]]) -> Iterator[Finding]:
        """The children of a slice, in each item that is one."""
        for inner in self.profile.demands.values():
            if not inner.id.startswith(f"{demand.id}.") or inner.id.count(":") > 1:
                continue
            names = _names(inner.id)
            for trail, found in fitting.items():
                items = self._items(names, trail)
                if inner.max == "0" and items:
                    rule = next(iter(items.values()))[0].rule
                    yield finding(rule.at, f"profile {self.profile.name} prohibits {inner.id}")
                elif inner.min and not items and len(names) == len(trail) + 1:
                    said = f"profile {self.profile.name} requires {inner.id}{self._hint(inner)}"
                    yield finding(found[0].rule.at, said)
                elif inner.value is not None and not _tells_apart(self._told_apart(demand), names[len(trail) :]):
                    yield from self._fixed(inner, items, ".".join(names))

    def _told_apart(self, demand: Demand) -> dict[Names, Any] | None:
        """Path inside the slice → the value that tells it from others; None when it is not told by values."""
        head = demand.id.rpartition(":")[0]
        slicing = self.profile.demands.get(head)
        ways = slicing.discriminators if slicing else ()
        if not ways and head.rpartition(".")[2].endswith("xtension"):
            ways = (("value", "url"),)
        out: dict[Names, Any] = {}
        for kind, path in ways:
            value = self._value(demand, path) if kind in ("value", "pattern") else None
            if value is None:
                return None
            names = () if path == "$this" else tuple(path.split("."))
            out |= {(*names, *inner): next(iter(held)) for inner, held in flat(value).items() if len(held) == 1}
        return out or None

    def _value(self, demand: Demand, path: str) -> Any:
        """The value at a path of a slice: of the element itself, or out of the pattern of one above it."""
        if path == "url" and demand.url:
            return demand.url
        steps = [] if path == "$this" else path.split(".")
        for depth in range(len(steps), -1, -1):
            held = self.profile.demands.get(".".join([demand.id, *steps[:depth]]))
            if held is not None and held.value is not None:
                wanted = flat(held.value)
                own = {names[len(steps) - depth :]: v for names, v in wanted.items() if _begins(names, steps[depth:])}
                if own:
                    return _unflat(own)
        return None

    def _sure(self, found: list[Leaf], told: Mapping[Names, Any], deep: int) -> bool:
        """Whether every record fills the slice with one item."""
        matched = _matches(found, told, deep)
        own = self.kinds[self.mapping.kind].fields
        return bool(matched) and any(not leaf.inside and guaranteed(leaf.rule, own) for leaf in found)


def _begins(names: Names, steps: list[str]) -> bool:
    return names[: len(steps)] == tuple(steps)


def _unflat(values: Mapping[Names, frozenset[Any]]) -> Any:
    """A JSON value of leaves, lists left out: all that is asked of it is to be flattened again."""
    out: dict[str, Any] = {}
    for names, held in values.items():
        if not names:
            return next(iter(held))
        inner = out
        for name in names[:-1]:
            inner = inner.setdefault(name, {})
        inner[names[-1]] = next(iter(held))
    return out


def _matches(found: list[Leaf], told: Mapping[Names, Any], deep: int) -> bool | None:
    """Whether an item is of the slice: True always, False perhaps, None never."""
    always = True
    for path, value in told.items():
        own = [leaf for leaf in found if leaf.names[deep:] == path]
        if not any(leaf.values is None or value in leaf.values for leaf in own):
            return None
        always = always and any(_is(leaf, frozenset({value})) for leaf in own)
    return always


def _is(leaf: Leaf, values: frozenset[Any]) -> bool:
    """Whether nothing but `values` is written, or, where codes stand side by side, they too."""
    if leaf.values is None:
        return False
    return values <= leaf.values if leaf.beside else leaf.values <= values


def _tells_apart(told: Mapping[Names, Any] | None, path: Names) -> bool:
    return told is not None and any(names[: len(path)] == path for names in told)


def _names(element_id: str) -> Names:
    return tuple(segment.partition(":")[0] for segment in element_id.split("."))


def _text(value: Any) -> str:
    if isinstance(value, dict):
        coding = (value.get("coding") or [value])[0]
        if isinstance(coding, dict) and coding.get("code"):
            return f"{coding['code']} of {coding['system']}" if coding.get("system") else str(coding["code"])
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _row(path: str, value: Any) -> str:
    """The row that writes a constant, as far as one row can."""
    plain = ".".join(_names(path))
    coding = (value.get("coding") or [value])[0] if isinstance(value, dict) else None
    if isinstance(coding, dict) and coding.get("code"):
        return f"{{fhir: {plain}, const: [the name of {coding.get('system', 'its system')}, {coding['code']}]}}"
    return f"{{fhir: {plain}, const: {_text(value)}}}"
