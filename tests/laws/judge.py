"""The slow judge of searches: does this resource match? Read off the resource's JSON alone, with no rule in sight."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from fhir_facade.contracts import Clause
from fhir_facade.definitions import SearchParameter, definitions
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.shipped import resource_id
from fhir_facade.terminology.uris import canonical

OSLO = ZoneInfo("Europe/Oslo")
BOOLEANS = frozenset({"http://terminology.hl7.org/CodeSystem/special-values"})
ORIGINAL = "http://fhir-facade.no/fhir/StructureDefinition/original-code"
FAR = 2**62
CATALOGUE = Catalogue()


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
            hold = all if clause.modifier in ("not", "not-in") else any  # not: none of the values
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
    if parameter.type == "composite":
        return composed(resource, parameter, modifier, value, world)
    found = [
        (node, where)
        for path in parameter.paths
        for node, where in walk(resource, path.split("."), parameter.filters, ())
    ]
    root = resource["resourceType"]
    if modifier == "missing":
        return any(says(node, parameter.type) for node, _ in found) != (value == "true")
    if parameter.type == "token" and modifier in TOKENS:
        said = any(TOKENS[modifier](node, value, implied(root, where)) for node, where in found)
        return said != (modifier in ("not", "not-in"))
    if modifier == "identifier":
        return any(token(node.get("identifier", {}), value, frozenset()) for node, _ in found)
    match parameter.type:
        case "token":
            return any(token(node, value, implied(root, where)) for node, where in found)
        case "number":
            return any(counted(node, value) for node, _ in found)
        case "quantity":
            return any(measured(node, value) for node, _ in found)
        case "reference":
            return any(refers(node, value, parameter.targets, world) for node, _ in found)
        case "uri":
            return any(located(node, modifier, "".join(parts(value, ""))) for node, _ in found)
        case "date":
            return any(dated(node, value) for node, _ in found)
        case _:
            return any(worded(node, modifier, value) for node, _ in found)


def composed(resource: dict[str, Any], parameter: SearchParameter, modifier: str, value: str, world: World) -> bool:
    """All parts in one object; with :missing whether any object has something for all of them."""
    wanted = [value.replace("true", "false")] * 9 if modifier == "missing" else halves(value)
    good = False
    for path, parts in parameter.composites:
        objects = [resource] if not path else [node for node, _ in walk(resource, path.split("."), (), ())]
        for found in objects:
            root = resource["resourceType"]
            whole = {"resourceType": f"{root}.{path}" if path else root, **found}
            inner = [
                replace(
                    parameter, type=kind, paths=tuple(name.removeprefix(f"{path}.") for name in names), composites=()
                )
                for kind, names in parts
            ]
            pairs = zip(inner, wanted, strict=False)
            good = good or all(
                matches(whole, part, modifier, "false" if modifier else each, world) for part, each in pairs
            )
    return good != (modifier == "missing" and value == "true")


def halves(value: str) -> list[str]:
    """Split at unguarded dollar signs, the guards kept."""
    out = [""]
    for piece in re.findall(r"\\.|.", value):
        if piece == "$":
            out.append("")
        else:
            out[-1] += piece
    return out


def counted(node: float, value: str) -> bool:
    prefix = value[:2] if value[:2].isalpha() else "eq"
    text = value.removeprefix(prefix) if value[:2].isalpha() else value
    number, own = Fraction(text), Fraction(str(node))
    digits, _, power = text.lower().partition("e")
    half = Fraction(10) ** (int(power or 0) - len(digits.partition(".")[2])) / 2
    near = number - half <= own < number + half
    return {
        "eq": near, "ne": not near, "gt": own > number, "sa": own > number, "lt": own < number, "eb": own < number,
        "ge": own >= number, "le": own <= number, "ap": near or abs(own - number) <= abs(number) / 10,
    }[prefix]  # fmt: skip


def measured(node: dict[str, Any], value: str) -> bool:
    if "value" not in node:
        return False
    number, *unit = parts(value, "|")
    system, code = unit or ("", "")
    if system and not same(node.get("system", "-"), system):
        return False
    if code and code not in ([node.get("code")] if system else [node.get("code"), node.get("unit")]):
        return False
    return counted(node["value"], number)


def says(node: Any, kind: str) -> bool:
    """Whether there is anything that a parameter of a type could find."""
    if kind == "token":
        return bool(list(codes_of(node)))
    if kind == "reference":
        return "reference" in node or "identifier" in node
    if kind == "quantity":
        return "value" in node
    return bool(node) or kind == "number"


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
    if element and element.types == ("boolean",):
        return BOOLEANS
    codes = definitions().codes(element.binding.value_set) if element and element.binding else None
    return frozenset(system for system, _ in codes or ()) if element and element.types == ("code",) else frozenset()


def parts(text: str, mark: str) -> list[str]:
    """Split where a mark stands unguarded, the guards taken away."""
    out = [""]
    for piece in re.findall(r"\\[,|$\\]|.", text, re.DOTALL):
        if piece == mark:
            out.append("")
        else:
            out[-1] += piece[1:] if len(piece) == 2 else piece
    return out


def guarded(text: str) -> str:
    return re.sub(r"([,|$\\])", r"\\\1", text)


def same(one: str, other: str) -> bool:
    """Whether two URIs mean one system; what forms there are is told by the terminology, not by a mapping."""
    return one == other or canonical(one) == canonical(other)


def token(node: Any, value: str, systems: frozenset[str]) -> bool:
    *given, code = parts(value, "|")
    for own_system, own_code in codes_of(node):
        plain = isinstance(node, str | bool)
        meant = (
            any(same(given[0], each) for each in (systems if systems and plain else {own_system})) if given else True
        )
        if meant and (not code or own_code == code):
            return True
    return False


def codes_of(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, bool):
        yield "", str(node).lower()
    elif isinstance(node, str):
        yield "", node
    elif "coding" in node:
        for coding in node["coding"]:
            yield coding.get("system", ""), coding["code"]
    elif "code" in node:
        yield node.get("system", ""), node["code"]
    elif "value" in node:  # Identifier and ContactPoint; a ContactPoint's system is no code system
        yield ("" if node.get("system") in ("phone", "email") else node.get("system", "")), node["value"]


def texted(node: Any, value: str, systems: frozenset[str]) -> bool:
    """:text, over CodeableConcept.text, Coding.display and Identifier.type.text."""
    if not isinstance(node, dict):
        return False
    codings = node.get("coding", [node])
    texts = [node.get("text"), node.get("type", {}).get("text"), *(each.get("display") for each in codings)]
    return any(text and folded(text).startswith(folded(parts(value, "")[0])) for text in texts)


def typed(node: Any, value: str, systems: frozenset[str]) -> bool:
    system, code, number = parts(value, "|")
    codings = node.get("type", {}).get("coding", ())
    return node.get("value") == number and any(
        each["code"] == code and same(each.get("system", ""), system) for each in codings
    )


def codings(node: Any, systems: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The codings of a node; a plain code is one of each system that its element is bound to."""
    for system, code in codes_of(node):
        plain = isinstance(node, str | bool)
        yield from ((each, code) for each in (systems if plain else {system}))


def listed(node: Any, value: str, systems: frozenset[str]) -> bool:
    """:in, told by the includes of the value set."""
    value_sets = list(CATALOGUE.value_sets())
    url = "".join(parts(value, ""))
    value_set = CATALOGUE.value_set(url) or next(
        each for each in value_sets if f"ValueSet/{resource_id(each.url)}" == url
    )
    for system, code in codings(node, systems):
        for include in value_set.includes:
            if same(include.system, system):
                known = CATALOGUE.code_system(include.system)
                concept = known.find(code) if known else None
                if include.codes is not None:
                    if code in include.codes or (concept and concept.code in include.codes):
                        return True
                elif concept or (known and not known.edition.complete):
                    return True
    return False


def above(node: Any, value: str, systems: frozenset[str], *, turned: bool = False) -> bool:
    """:above and, turned, :below."""
    system, sought = parts(value, "|")
    code_system = CATALOGUE.code_system(system)
    assert code_system
    for own, code in codings(node, systems):
        if same(own, system) and code_system.find(code):
            low, high = (code, sought) if turned else (sought, code)
            if low == high or high in [each.code for each in code_system.parents(low)]:
                return True
    return False


def below(node: Any, value: str, systems: frozenset[str]) -> bool:
    return above(node, value, systems, turned=True)


TOKENS: dict[str, Any] = {
    "not": token, "text": texted, "of-type": typed, "in": listed, "not-in": listed, "above": above, "below": below,
}  # fmt: skip


def located(node: str, modifier: str, value: str) -> bool:
    if modifier == "":
        return node == value
    low, high = (node, value) if modifier == "below" else (value, node)
    return low == high or low.startswith(f"{high.rstrip('/')}/")


def refers(node: Any, value: str, targets: tuple[str, ...], world: World) -> bool:
    return any(value in (key, f"{kind}/{key}") for kind, key in world.meant(node, targets))


def folded(text: str) -> str:
    parts = []
    for letter in text.casefold():
        plain = unicodedata.normalize("NFKD", letter)
        parts.append(letter if letter in "æøå" else "".join(c for c in plain if not unicodedata.combining(c)))
    return "".join(parts)


def worded(node: Any, modifier: str, value: str) -> bool:
    (value,) = parts(value, "")
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
