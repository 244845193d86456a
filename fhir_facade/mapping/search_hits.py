"""Which rules fill the path of which R4 SearchParameter: the derivation of everything that can be searched for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fhir_facade.definitions import SearchParameter, definitions
from fhir_facade.mapping.forward import writing
from fhir_facade.mapping.ir import (
    Coded,
    Condition,
    Constant,
    Copy,
    Derive,
    Each,
    Identify,
    Key,
    Logical,
    MappingRules,
    Refer,
    Rule,
    carries_nothing,
)  # fmt: skip
from fhir_facade.terminology.uris import canonical

TYPES = ("token", "reference", "date", "string", "uri", "number", "quantity", "composite")
URIS = ("uri", "url", "canonical", "oid", "uuid")
TEXT = "text"
BOOLEANS = "http://terminology.hl7.org/CodeSystem/special-values"
"""The system that true and false stand for in a token (https://hl7.org/fhir/R4/search.html#token)."""
UNTRUE = ("phonetic",)  # would have to sound alike; nothing here does


@dataclass(frozen=True, slots=True)
class Hit:
    """One rule that fills a parameter's path; `each` is the list it stands in; `part` is start or end of
    a period, or TEXT for what stands beside a code.

    A constant away from the root is written only where `beside`, the data of the same object, is there to complete.
    `implied` are the systems that a plain code element stands for by its required binding; `mates` are the rules that
    fill other members of the same object: the type beside an identifier's value, system, code and unit beside a
    quantity's. `parts` are those of a composite parameter: the type of each, and the hits that it looks at.
    """

    rule: Rule
    each: Each | None
    part: str = ""
    beside: tuple[Rule, ...] = ()
    implied: frozenset[str] = frozenset()
    mates: tuple[tuple[str, Rule], ...] = ()
    parts: tuple[tuple[str, tuple[Hit, ...]], ...] = ()


@dataclass(frozen=True, slots=True)
class Flat:
    """A rule with its whole path spelled out, lists included."""

    names: tuple[str, ...]
    label: str
    hit: Hit


def flat_rules(mapping: MappingRules) -> list[Flat]:
    """Every rule outside extensions, with the element names from the resource down."""
    return list(_flat(writing(mapping.rules), (), None))


def _flat(rules: tuple[Rule, ...], above: tuple[str, ...], each: Each | None) -> Iterator[Flat]:
    for rule in rules:
        if any(step.url or step.name.startswith("_") for step in rule.path):
            continue
        names = above + tuple(step.name for step in rule.path)
        if isinstance(rule, Each):
            yield from _flat(rule.rules, names, rule)
        else:
            label = next((step.label for step in rule.path if step.label), "")
            yield Flat(names, label, Hit(rule, each))


def hits(resource_type: str, parameter: SearchParameter, flat: list[Flat]) -> list[Hit]:
    """The rules that a search for this parameter looks at; empty when nothing fills it."""
    found: list[Hit] = []
    for path in parameter.paths:
        names = tuple(path.split("."))
        for line in flat:
            if not _passes(parameter, line, flat):
                continue
            hit = _match(resource_type, parameter, names, line)
            if hit is not None:
                implied = _implied(resource_type, line.names)
                mates = _mates(line, flat) if line.names[-1] == "value" else ()
                if not any(name == "comparator" for name, _ in mates):  # "less than 5" is no number to compare with
                    found.append(replace(hit, beside=_beside(line, flat), implied=implied, mates=mates))
    return found


TEXTS = (("text",), ("display",), ("coding", "display"), ("type", "text"))
"""Where text stands that :text searches: CodeableConcept.text, Coding.display, Identifier.type.text."""


def text_hits(resource_type: str, parameter: SearchParameter, flat: list[Flat]) -> list[Hit]:
    """The rows that write text beside the codes of a token parameter."""
    if parameter.type != "token":
        return []
    return [
        replace(line.hit, part=TEXT, beside=_beside(line, flat))
        for path in parameter.paths
        for line in flat
        if line.names[: path.count(".") + 1] == tuple(path.split("."))
        and line.names[path.count(".") + 1 :] in TEXTS
        and _passes(parameter, line, flat)
        and _is_worded(resource_type, line)
    ]


def _mates(line: Flat, flat: list[Flat]) -> tuple[tuple[str, Rule], ...]:
    """The rules beside a value: (member, rule); a coding inside a type counts as the type."""
    stem = line.names[:-1]
    return tuple(
        (each.names[len(stem)], each.hit.rule)
        for each in flat
        if each is not line
        and each.names[: len(stem)] == stem
        and each.names[len(stem) + 1 :] in ((), ("coding",))
        and _together(each, line)
    )


def _together(one: Flat, other: Flat) -> bool:
    """Whether two rows fill the same object of a list."""
    return one.label == other.label and one.hit.each is other.hit.each


def _implied(resource_type: str, names: tuple[str, ...]) -> frozenset[str]:
    element = definitions().element(".".join((resource_type, *names)))
    if element is not None and element.types == ("boolean",):
        return frozenset({BOOLEANS})
    if element is None or element.types != ("code",) or element.binding is None:
        return frozenset()
    return frozenset(canonical(system) for system, _ in definitions().codes(element.binding.value_set) or ())


def _is_worded(resource_type: str, line: Flat) -> bool:
    """Whether a row writes a string, from a field or as a constant."""
    rule = line.hit.rule
    if isinstance(rule, Copy):
        return rule.datatype == "string"
    element = definitions().element(".".join((resource_type, *line.names)))
    return isinstance(rule, Constant | Derive) and element is not None and element.types == ("string",)


def _beside(line: Flat, flat: list[Flat]) -> tuple[Rule, ...]:
    if not carries_nothing(line.hit.rule) or len(line.hit.rule.path) + bool(line.hit.each) == 1:
        return ()
    parent = line.names[:-1]
    return tuple(
        other.hit.rule
        for other in flat
        if other.names[: len(parent)] == parent
        and other.label == line.label
        and other.hit.each is line.hit.each
        and not carries_nothing(other.hit.rule)
    )


def _match(resource_type: str, parameter: SearchParameter, names: tuple[str, ...], line: Flat) -> Hit | None:
    rule, rest = line.hit.rule, line.names[len(names) :]
    if line.names[: len(names)] != names:
        return None
    match parameter.type:
        case "date":
            if rest in (("start",), ("end",)) and isinstance(rule, Copy):
                return Hit(rule, line.hit.each, rest[0])
            return line.hit if not rest and isinstance(rule, Copy) else None
        case "string":
            return line.hit if len(rest) <= 1 and _is_worded(resource_type, line) else None
        case "token":
            if isinstance(rule, Copy):
                return line.hit if rule.codec == "text" and rest in ((), ("value",)) else None
            coded = isinstance(rule, Coded | Constant | Derive | Identify | Key)
            return line.hit if coded and rest in ((), ("coding",)) else None
        case "uri":
            written = rule.datatype in URIS if isinstance(rule, Copy) else isinstance(rule, Constant | Derive)
            return line.hit if written and not rest else None
        case "number":
            counted = rule.codec == "integer" if isinstance(rule, Copy) else isinstance(rule, Constant | Derive)
            return line.hit if counted and not rest else None
        case "quantity":
            return line.hit if isinstance(rule, Copy) and rule.codec == "integer" and rest == ("value",) else None
        case "reference":
            may = isinstance(rule, Refer | Logical) and (not parameter.targets or rule.to in parameter.targets)
            return line.hit if may and not rest else None
        case _:
            return None


def _passes(parameter: SearchParameter, line: Flat, flat: list[Flat]) -> bool:
    """Whether the item that a rule belongs to has the fixed value a parameter asks for (telecom where system=phone)."""
    for element, member, value in parameter.filters:
        where = (*element.split("."), member)
        beside = [other for other in flat if other.names == where and other.label == line.label]
        if not any(isinstance(other.hit.rule, Constant) and other.hit.rule.value == value for other in beside):
            return False
    return True


def parameters_of(resource_type: str) -> Mapping[str, SearchParameter]:
    """The R4 parameters of a type that this house can search by, whether or not a rule fills them."""
    return {
        each.code: each
        for each in definitions().search_parameters(resource_type)
        if each.type in TYPES and (each.paths or each.composites) and each.code not in UNTRUE
    }


def conditions(hit: Hit) -> tuple[tuple[Condition, ...], tuple[Condition, ...]]:
    """(guards on the record, guards on the list item) under which a hit is written."""
    outer = hit.each.when if hit.each else hit.rule.when
    inner = (*hit.each.keep, *hit.rule.when) if hit.each else ()
    return outer, inner
