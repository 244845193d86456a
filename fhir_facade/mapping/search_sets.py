"""Codes by what is said of them: those of a value set, those above or below one, those whose text begins so.

https://hl7.org/fhir/R4/search.html#token (modifiers :in, :not-in, :above, :below, :text). A value set is expanded and
a hierarchy followed in the catalogue of code systems; what the catalogue does not know is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, FromClause, and_, false, or_

from fhir_facade.mapping.columns import column_name
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.ir import Coded, Constant, Copy, Derive, System
from fhir_facade.mapping.search_hits import Hit
from fhir_facade.mapping.search_tokens import chosen_value, codings_of, shown, stays, values_written
from fhir_facade.mapping.search_values import Token, folded, invalid
from fhir_facade.outcome import Issue, Refused
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.concepts import CodeSystem, Concept
from fhir_facade.terminology.judging import told
from fhir_facade.terminology.shipped import resource_id
from fhir_facade.terminology.uris import canonical
from fhir_facade.terminology.value_sets import Include, ValueSet

Where = ColumnElement[bool]
MOST = 5000
"""Most codes of one system that one value of a search may stand for."""
LOOKED_AT = 500
"""How many codes of a system are looked at for whether it has a hierarchy."""


class Sought(Protocol):
    """A test on codes, as a list of record codes and as an answer for one coding."""

    def of_system(self, system: System) -> Iterable[str] | None:
        """The codes of a system that pass, None for all of them."""

    def passes(self, system: str, code: str, display: str) -> bool:
        """Whether one coding passes."""


@dataclass(frozen=True, slots=True)
class Codes:
    """Codes by canonical URI of their system; None stands for every code of it."""

    by_system: Mapping[str, frozenset[str] | None]

    def of_system(self, system: System) -> Iterable[str] | None:
        return self.by_system.get(canonical(system.uri), frozenset())

    def passes(self, system: str, code: str, display: str) -> bool:
        codes = self.by_system.get(canonical(system), frozenset())
        return codes is None or code in codes


@dataclass(frozen=True, slots=True)
class Worded:
    """Codes whose text begins with a folded text."""

    text: str

    def of_system(self, system: System) -> Iterable[str] | None:
        return [code for code, display in (system.displays or {}).items() if self.passes("", code, display)]

    def passes(self, system: str, code: str, display: str) -> bool:
        return bool(display) and folded(display).startswith(self.text)


def codes_where(hit: Hit, sought: Sought, table: FromClause) -> Where:
    """The records (or list items) in which a hit's rule writes a code that passes."""
    rule = hit.rule
    match rule:
        case Coded():
            return _coded(rule, sought, table)
        case Constant() | Derive():
            return chosen_value(rule, lambda value: _any_passes(value, sought, hit.implied), table)
        case Copy():
            named = (sought.of_system(System("", uri)) for uri in sorted(hit.implied))
            return or_(false(), *(_one_of(shown(rule, table), codes) for codes in named))
        case _:
            return false()


def _coded(rule: Coded, sought: Sought, table: FromClause) -> Where:
    column = table.c[column_name(rule.field)]
    if rule.system_field:
        chosen = table.c[column_name(rule.system_field)]
        parts = [and_(chosen == name, _one_of(column, sought.of_system(each))) for name, each in rule.systems.items()]
        own = or_(false(), *parts)
    else:
        own = _one_of(column, sought.of_system(rule.system)) if rule.system else false()
    if rule.code_map is None:
        return own
    bare = rule.shape == "code"  # a plain code has no text
    mapped = [
        code
        for code, target in rule.code_map.targets.items()
        if sought.passes(target.system, target.code, "" if bare else target.display)
    ]
    return or_(and_(own, stays(rule, column)), column.in_(mapped))


def _one_of(column: ColumnElement[Any], codes: Iterable[str] | None) -> Where:
    if codes is None:
        return column.is_not(None)
    listed = sorted(codes)
    return column.in_(listed) if listed else false()


def _any_passes(value: Any, sought: Sought, implied: frozenset[str]) -> bool:
    return any(
        sought.passes(each, code, display)
        for system, code, display in codings_of(value)
        for each in ([system] if system or not implied else implied)
    )


# --- what a value stands for


def value_set_codes(parameter: str, url: str, catalogue: Catalogue) -> Codes:
    """The codes of a value set named by URL or as ValueSet/id; Refused when they cannot all be known."""
    found = _value_set(url, catalogue)
    if found is None:
        known = [each for value_set in catalogue.value_sets() for each in (value_set.url, _relative(value_set))]
        raise Refused(Issue("search-value-set-unknown", parameter, {"name": parameter, "nearest": nearest(url, known)}))
    by_system: dict[str, frozenset[str] | None] = {}
    for include in found.includes:
        uri = canonical(include.system)
        codes, before = _included(parameter, include, catalogue), by_system.get(uri, frozenset())
        by_system[uri] = None if codes is None or before is None else before | codes
    return Codes(by_system)


def _value_set(url: str, catalogue: Catalogue) -> ValueSet | None:
    if not url.startswith("ValueSet/"):
        return catalogue.value_set(url)
    return next((each for each in catalogue.value_sets() if _relative(each) == url), None)


def _relative(value_set: ValueSet) -> str:
    return f"ValueSet/{resource_id(value_set.url)}"


def _included(parameter: str, include: Include, catalogue: Catalogue) -> frozenset[str] | None:
    """The codes of one include; of a system that is not here whole, None: whatever is said to be of it."""
    code_system = catalogue.code_system(include.system)
    if include.codes is not None:
        return _written(include.codes, code_system)
    if code_system is None:
        raise Refused(Issue("search-codes-not-listed", parameter, {"name": parameter, "system": told(include.system)}))
    if not code_system.edition.complete:
        return None
    return _written(_all(parameter, code_system), code_system)


def _all(parameter: str, code_system: CodeSystem) -> list[str]:
    if code_system.edition.count > MOST:
        raise _too_many(parameter, code_system)
    return [concept.code for concept in code_system.page(0, MOST)]


def _too_many(parameter: str, code_system: CodeSystem) -> Refused:
    facts = {"name": parameter, "system": code_system.edition.url, "limit": MOST}
    return Refused(Issue("search-codes-too-many", parameter, facts))


def _written(codes: Iterable[str], code_system: CodeSystem | None) -> frozenset[str]:
    """Codes in every way that records write them: NPR sends some without their full stop."""
    codes = frozenset(codes)
    dotless = getattr(code_system, "dotless", False)
    return codes | {code.replace(".", "") for code in codes} if dotless else codes


def hierarchy_codes(parameter: str, token: Token, modifier: str, catalogue: Catalogue) -> Codes:
    """A code with all above it or all below it; Refused when its system or the code is not known."""
    if not token.system or token.code is None:
        raise invalid(parameter, "token", f"with :{modifier} write system|code")
    code_system = catalogue.code_system(token.system)
    if code_system is None or not code_system.edition.complete:  # a sample may lack what is below
        facts = {"name": parameter, "system": told(token.system)}
        raise Refused(Issue("search-codes-not-listed", parameter, facts))
    begun = code_system.find(token.code)
    if begun is None:
        facts = {"name": parameter, "system": code_system.edition.url}
        raise Refused(Issue("search-code-unknown", parameter, facts))
    above = code_system.parents(begun.code)
    found = [each.code for each in above] if modifier == "above" else _below(parameter, code_system, begun)
    return Codes({canonical(code_system.edition.url): _written([begun.code, *found], code_system)})


def _below(parameter: str, code_system: CodeSystem, begun: Concept) -> list[str]:
    children = getattr(code_system, "children", None) or _children_in(code_system)
    found, level = dict.fromkeys([begun.code]), [begun.code]
    while level:
        under = [concept.code for code in level for concept in children(code)]
        level = [code for code in dict.fromkeys(under) if code not in found]
        found |= dict.fromkeys(level)
        if len(found) > MOST:
            raise _too_many(parameter, code_system)
    return list(found)


def _children_in(code_system: CodeSystem) -> Any:
    """The children of each code of a system that is held in memory."""
    under: dict[str, list[Concept]] = {}
    for concept in code_system.page(0, code_system.edition.count):
        if concept.parent is not None:
            under.setdefault(concept.parent, []).append(concept)
    return lambda code: under.get(code, ())


# --- what can be asked


def systems_of(hit: Hit) -> Iterator[str]:
    """The systems of the codes that a hit's rule can write."""
    rule = hit.rule
    match rule:
        case Coded():
            yield from (each.uri for each in (rule.system, *rule.systems.values()) if each is not None)
            if rule.code_map is not None:
                yield rule.code_map.target_system
        case Constant() | Derive():
            yield from (system for value in values_written(rule) for system, _, _ in codings_of(value) if system)
    yield from hit.implied


def is_worded(hit: Hit) -> bool:
    """Whether a hit's rule can write a text beside its code."""
    rule = hit.rule
    match rule:
        case Coded():
            named = any(each.displays for each in (rule.system, *rule.systems.values()) if each is not None)
            targets = rule.code_map.targets.values() if rule.code_map and rule.shape != "code" else ()
            return named or any(target.display for target in targets)
        case Constant() | Derive():
            return any(display for value in values_written(rule) for _, _, display in codings_of(value))
        case _:
            return False


def has_hierarchy(uri: str, catalogue: Catalogue) -> bool:
    """Whether the catalogue knows codes of a system to stand above others."""
    code_system = catalogue.code_system(uri)
    whole = code_system is not None and code_system.edition.complete
    return code_system is not None and whole and any(each.parent for each in code_system.page(0, LOOKED_AT))
