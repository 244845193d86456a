"""Judge rows against what R4 binds their elements to, beyond the constants and code maps that check.py judges."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fhir_facade.definitions import Element, definitions
from fhir_facade.mapping.findings import Finding, finding, warning
from fhir_facade.mapping.forward import writing
from fhir_facade.mapping.ir import Coded, Copy, Each, MappingRules, Rule
from fhir_facade.mapping.kinds import Field, Kind, Kinds
from fhir_facade.terminology.lists import by_system, code_lists

Pairs = frozenset[tuple[str, str]]


def check_bindings(mapping: MappingRules, kind: Kind, kinds: Kinds) -> Iterator[Finding]:
    """Text where only codes may stand, codes of a foreign system, and lists where one value may stand."""
    yield from _rules(writing(mapping.rules), mapping.resource_type, kind.fields, kind, kinds)


def _rules(
    rules: tuple[Rule, ...], root: str, known: Mapping[str, Field], kind: Kind, kinds: Kinds
) -> Iterator[Finding]:
    for rule in rules:
        where = ".".join([root, *(step.name for step in rule.path)])
        element = definitions().element(where)
        match rule:
            case Each():
                yield from _one_of_many(rule, where)
                child = kind.children.get(rule.child)
                inner = kinds[child.records].fields if child and child.records else child.fields if child else {}
                yield from _rules(writing(rule.rules), where, inner, kind, kinds)
            case Copy() if element:
                yield from _free_text(rule, where, element, known)
            case Coded() if element:
                yield from _foreign_source(rule, known)
                yield from _outside(rule, where, element)
            case _:
                pass


def _bound(element: Element, strength: str) -> tuple[str, Pairs] | None:
    """Name and codes of the value set that an element is bound to so strongly, as far as the table has them."""
    bound = element.binding
    codes = definitions().codes(bound.value_set) if bound and bound.strength == strength else None
    return (bound.value_set.rsplit("/", 1)[-1], codes) if bound and codes else None


def _free_text(rule: Copy, where: str, element: Element, known: Mapping[str, Field]) -> Iterator[Finding]:
    found = _bound(element, "required")
    if found is None or rule.datatype not in ("code", "string", "uri"):
        return
    plain = {code for _, code in found[1]}
    for name in rule.fields:
        field = known.get(name)
        if field is not None and not field.code_list:
            yield finding(rule.at, f"free text in required binding {found[0]} of {where}: use codes")
        elif field is not None and (listed := _codes_of(field.code_list)) and not listed & plain:
            yield finding(rule.at, f"no code of list {field.code_list} is in required binding {found[0]} of {where}")


def _codes_of(number: str) -> set[str]:
    """The codes of a Volven list."""
    return set(code_lists()[number].codes) if number in code_lists() else set()


def _foreign_source(rule: Coded, known: Mapping[str, Field]) -> Iterator[Finding]:
    """A code map begins at the list that codes its field; other lists are told of when the row is read."""
    field = known.get(rule.field)
    if rule.code_map and field and field.code_list and by_system(rule.code_map.source.uri) is None:
        other = f"code map {rule.code_map.name} is of {rule.code_map.source.name}"
        yield finding(rule.at, f"field '{field.name}' is coded by list {field.code_list}, but {other}")


def _outside(rule: Coded, where: str, element: Element) -> Iterator[Finding]:
    """Codes that the element's binding lacks: a fault where it is required, worth a word where it is extensible."""
    found = _bound(element, "required")
    system = rule.system if rule.code_map is None else None
    if found and system and not any(uri == system.uri for uri, _ in found[1]):
        yield finding(rule.at, f"no code of {system.name} is in required binding {found[0]} of {where}: use 'codes'")
    found = _bound(element, "extensible")
    if found and rule.code_map:
        for own, target in rule.code_map.targets.items():
            if (target.system, target.code) not in found[1]:
                said = f"code map {rule.code_map.name}: {own} -> {target.code} is not in extensible binding {found[0]}"
                yield warning(rule.at, f"{said} of {where}")


def _one_of_many(rule: Each, where: str) -> Iterator[Finding]:
    if rule.first and not rule.keep:
        said = f"{where} holds one, so only the first of '{rule.child}' is written: choose it by 'only'"
        yield warning(rule.at, said)
