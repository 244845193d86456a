"""What rows write, leaf by leaf: the elements inside a Coding or Identifier too, and which values may stand there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from fhir_facade.mapping.ir import (
    Coded,
    Constant,
    Derive,
    Each,
    Identify,
    Logical,
    Path,
    Refer,
    Rule,
)  # fmt: skip

Trail = tuple[tuple[str, str], ...]
"""(element, item) for each step; the item tells apart what repeats, "" where nothing does."""
Names = tuple[str, ...]
Values = frozenset[Any] | None


@dataclass(frozen=True)
class Leaf:
    """One element without children that a row writes; `values` are all that may stand there, None for any.

    `beside` says that each of them may stand beside the others, in items of their own.
    """

    trail: Trail
    values: Values
    rule: Rule
    inside: bool = False
    beside: bool = False

    @cached_property
    def names(self) -> Names:
        return tuple(name for name, _ in self.trail)


def leaves(rules: Iterable[Rule], above: Trail = (), *, inside: bool = False) -> Iterator[Leaf]:
    """Every leaf of every rule; `inside` of those that stand in a list."""
    for place, rule in enumerate(rules):
        trail = (*above, *_trail(rule.path, f"{rule.at}/{place}"))
        for depth, step in enumerate(rule.path, len(above) + 1):
            if step.url:
                yield Leaf((*trail[:depth], ("url", "")), frozenset({step.url}), rule, inside)
        if isinstance(rule, Each):
            yield from (replace(leaf, rule=rule) for leaf in leaves(rule.rules, trail, inside=True))
            continue
        for names, values in _inner(rule):
            beside = isinstance(rule, Coded) and rule.original == "beside"
            yield Leaf((*trail, *((name, "") for name in names)), values, rule, inside, beside)


def _trail(path: Path, own: str) -> Trail:
    """Rows with one label fill one item; a repeating element at the end of a path is an item of its own."""
    out = []
    for depth, step in enumerate(path, 1):
        item = step.label or (own if depth == len(path) else "")
        out.append((step.name, step.url or item if step.many else ""))
    return tuple(out)


def _inner(rule: Rule) -> Iterator[tuple[Names, Values]]:
    match rule:
        case Constant():
            yield from flat(rule.value).items()
        case Derive():
            held = [value for _, value in rule.choices] + [rule.otherwise]
            joint: dict[Names, frozenset[Any]] = {}
            for value in held:
                for names, values in flat(value).items() if value is not None else ():
                    joint[names] = joint.get(names, frozenset()) | values
            yield from joint.items()
        case Coded():
            yield from _coded(rule)
        case Identify():
            uris = [rule.system, *rule.systems.values()]
            yield ("system",), frozenset(system.uri for system in uris if system)
            yield ("value",), None
            if rule.assigner_system:
                yield ("assigner", "identifier", "system"), frozenset({rule.assigner_system.uri})
                yield ("assigner", "identifier", "value"), None
        case Refer():
            yield ("reference",), None
        case Logical():
            yield ("type",), frozenset({rule.to})
            yield ("identifier", "system"), frozenset({rule.system.uri})
            yield ("identifier", "value"), None
        case _:
            yield (), None


def _coded(rule: Coded) -> Iterator[tuple[Names, Values]]:
    codes: Values = None
    uris = {system.uri for system in [rule.system, *rule.systems.values()] if system}
    if rule.code_map is not None:
        targets = rule.code_map.targets.values()
        translated = {target.system for target in targets}
        kept = rule.original == "beside" or rule.code_map.unmapped == "provided"
        codes = None if kept and rule.shape != "code" else frozenset(target.code for target in targets)
        uris = translated | (uris if kept else set())
    if rule.shape == "code":
        yield (), codes
        return
    head = ("coding",) if rule.shape == "CodeableConcept" else ()
    yield (*head, "system"), frozenset(uris)
    yield (*head, "code"), codes


def flat(value: Any) -> dict[Names, frozenset[Any]]:
    """The leaves of a JSON value: names → the values that stand there, those of a list together."""
    if isinstance(value, dict):
        return {
            (name, *names): values
            for name, inner in value.items()
            if name != "display"
            for names, values in flat(inner).items()
        }
    if isinstance(value, list):
        out: dict[Names, frozenset[Any]] = {}
        for item in value:
            for names, values in flat(item).items():
                out[names] = out.get(names, frozenset()) | values
        return out
    return {(): frozenset({value})}
