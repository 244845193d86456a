"""The slow judge of searches: does this resource match? Read off the resource's JSON alone, with no rule in sight."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from fhir_facade.contracts import Clause
from fhir_facade.definitions import SearchParameter, definitions

OSLO = ZoneInfo("Europe/Oslo")
ORIGINAL = "http://fhir-facade.no/fhir/StructureDefinition/original-code"
FAR = 2**62


class World:
    """All resources by type and id, and by type and identifier: what references may lead to."""

    def __init__(self, resources: dict[str, list[dict[str, Any]]]) -> None:
        self.resources = {kind: {each["id"]: each for each in found} for kind, found in resources.items()}
        self.identified: dict[tuple[str, str, str], set[str]] = {}
        for kind, found in resources.items():
            for each in found:
                for identifier in each.get("identifier", ()):
                    key = kind, identifier.get("system", ""), identifier["value"]
                    self.identified.setdefault(key, set()).add(each["id"])

    def meant(self, node: dict[str, Any], targets: tuple[str, ...]) -> set[tuple[str, str]]:
        """The type and id of what a reference says, or of what bears the identifier that it names."""
        if "reference" in node:
            kind, key = node["reference"].split("/")
            found = {(kind, key)}
        else:
            identifier, kind = node.get("identifier", {}), node.get("type", "")
            ids = self.identified.get((kind, identifier.get("system", ""), identifier.get("value")), set())
            found = {(kind, key) for key in ids}
        return {(kind, key) for kind, key in found if not targets or kind in targets}

    def satisfying(self, kind: str, clause: Clause) -> set[str]:
        """The ids of a type for which a clause holds, chained or not."""
        if not clause.path:
            parameter = parameter_of(kind, clause.parameter)
            hold = all if clause.modifier == "not" else any  # not: none of the values
            return {
                key
                for key, each in self.resources[kind].items()
                if hold(matches(each, parameter, clause.modifier, value, self) for value in clause.values)
            }
        step, rest = clause.path[0], replace(clause, path=clause.path[1:])
        inner = self.satisfying(step.type, rest)
        if step.reverse:
            told = [self.resources[step.type][key] for key in inner]
            parameter = parameter_of(step.type, step.parameter)
            pairs = {pair for each in told for node in nodes(each, parameter) for pair in self.meant(node, ())}
            return {key for other, key in pairs if other == kind and key in self.resources[kind]}
        parameter = parameter_of(kind, step.parameter)
        return {
            key
            for key, each in self.resources[kind].items()
            if any(
                other == step.type and found in inner
                for node in nodes(each, parameter)
                for other, found in self.meant(node, parameter.targets)
            )
        }


def parameter_of(kind: str, code: str) -> SearchParameter:
    return next(each for each in definitions().search_parameters(kind) if each.code == code)


def nodes(resource: dict[str, Any], parameter: SearchParameter) -> list[Any]:
    return [node for path in parameter.paths for node, _ in walk(resource, path.split("."), parameter.filters, ())]


def matches(resource: dict[str, Any], parameter: SearchParameter, modifier: str, value: str, world: World) -> bool:
    found = [
        (node, where)
        for path in parameter.paths
        for node, where in walk(resource, path.split("."), parameter.filters, ())
    ]
    root = resource["resourceType"]
    if modifier == "missing":
        return any(says(node, parameter.type) for node, _ in found) != (value == "true")
    if modifier == "not":
        return not any(token(node, value, implied(root, where)) for node, where in found)
    if modifier == "identifier":
        return any(token(node.get("identifier", {}), value, frozenset()) for node, _ in found)
    match parameter.type:
        case "token":
            return any(token(node, value, implied(root, where)) for node, where in found)
        case "reference":
            return any(refers(node, value, parameter.targets, world) for node, _ in found)
        case "uri":
            return any(node == value for node, _ in found)
        case "date":
            return any(dated(node, value) for node, _ in found)
        case _:
            return any(worded(node, modifier, value) for node, _ in found)


def says(node: Any, kind: str) -> bool:
    """Whether there is anything that a parameter of a type could find."""
    if kind == "token":
        return bool(list(codes_of(node)))
    if kind == "reference":
        return "reference" in node or "identifier" in node
    return bool(node)


def walk(node: Any, path: list[str], filters: Any, where: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    if isinstance(node, list):
        for item in node:
            yield from walk(item, path, filters, where)
        return
    for element, member, wanted in filters:
        if where == tuple(element.split(".")) and node.get(member) != wanted:
            return
    if not path:
        yield node, where
        return
    name = path[0]
    if name in node:
        yield from walk(node[name], path[1:], filters, (*where, name))
    beside = node.get(f"_{name}")
    if len(path) == 1 and isinstance(beside, dict):
        for extension in beside["extension"]:
            if extension["url"] == ORIGINAL:
                yield extension["valueCoding"], (*where, name)


def implied(root: str, where: tuple[str, ...]) -> frozenset[str]:
    element = definitions().element(".".join((root, *where)))
    codes = definitions().codes(element.binding.value_set) if element and element.binding else None
    return frozenset(system for system, _ in codes or ()) if element and element.types == ("code",) else frozenset()


def token(node: Any, value: str, systems: frozenset[str]) -> bool:
    system, bar, code = value.rpartition("|")
    for own_system, own_code in codes_of(node):
        same = system in systems if systems and isinstance(node, str) else own_system == system
        if (not bar or same) and (not code or own_code == code):
            return True
    return False


def codes_of(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, str):
        yield "", node
    elif "coding" in node:
        for coding in node["coding"]:
            yield coding.get("system", ""), coding["code"]
    elif "code" in node:
        yield node.get("system", ""), node["code"]
    elif "value" in node:  # Identifier and ContactPoint; a ContactPoint's system is no code system
        yield ("" if node.get("system") in ("phone", "email") else node.get("system", "")), node["value"]


def refers(node: Any, value: str, targets: tuple[str, ...], world: World) -> bool:
    return any(value in (key, f"{kind}/{key}") for kind, key in world.meant(node, targets))


def folded(text: str) -> str:
    parts = []
    for letter in text.casefold():
        plain = unicodedata.normalize("NFKD", letter)
        parts.append(letter if letter in "æøå" else "".join(c for c in plain if not unicodedata.combining(c)))
    return "".join(parts)


def worded(node: Any, modifier: str, value: str) -> bool:
    texts = [node] if isinstance(node, str) else list(strings(node))
    if modifier == "exact":
        return value in texts
    if modifier == "contains":
        return any(folded(value) in folded(text) for text in texts)
    return any(folded(text).startswith(folded(value)) for text in texts)


def strings(node: dict[str, Any]) -> Iterator[str]:
    for name, inner in node.items():
        if name in ("use", "extension", "period", "system") or name.startswith("_"):
            continue
        yield from (inner if isinstance(inner, list) else [inner])


def dated(node: Any, value: str) -> bool:
    prefix = value[:2] if value[:2].isalpha() else "eq"
    low, high = span(value.removeprefix(prefix) if value[:2].isalpha() else value)
    if isinstance(node, str):
        own_low, own_high = span(node)
    else:
        own_low = span(node["start"])[0] if "start" in node else -FAR
        own_high = span(node["end"])[1] if "end" in node else FAR
    contained = low <= own_low and own_high <= high
    return {
        "eq": contained,
        "ne": not contained,
        "gt": own_high > high,
        "lt": own_low < low,
        "ge": own_high > high or contained,
        "le": own_low < low or contained,
        "sa": own_low >= high,
        "eb": own_high <= low,
        "ap": own_low < high and own_high > low,
    }[prefix]


def span(text: str) -> tuple[int, int]:
    """First millisecond and the one after the last, of a date or dateTime; dates are Norwegian days."""
    zone = re.search(r"T.*(Z|[+-]\d\d:\d\d)$", text)
    if "T" not in text:
        parts = [int(part) for part in text.split("-")]
        start = datetime(parts[0], parts[1] if len(parts) > 1 else 1, parts[2] if len(parts) > 2 else 1)
        if len(parts) == 1:
            end = start.replace(year=start.year + 1)
        elif len(parts) == 2:
            end = (start.replace(day=28) + timedelta(days=4)).replace(day=1)
        else:
            end = start + timedelta(days=1)
        return ms(start.replace(tzinfo=OSLO)), ms(end.replace(tzinfo=OSLO))
    moment = datetime.fromisoformat(text)
    if not zone:
        moment = moment.replace(tzinfo=OSLO)
    clock = re.split("[Z+-]", text.partition("T")[2])[0]
    length = 60_000 if clock.count(":") == 1 else 1 if "." in clock else 1000
    return ms(moment), ms(moment) + length


def ms(moment: datetime) -> int:
    return round(moment.astimezone(UTC).timestamp() * 1000)
