"""Which modifiers each parameter takes: those that some row behind it can honour, and no other.

https://hl7.org/fhir/R4/search.html#modifiers
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fhir_facade.mapping.ir import Coded, Constant, Copy, Derive, Identify, Logical
from fhir_facade.mapping.search_hits import BOOLEANS, Hit
from fhir_facade.mapping.search_sets import has_hierarchy, is_worded, systems_of
from fhir_facade.terminology.catalogue import Catalogue

UNTRUE = ("not", "not-in")
"""Modifiers that find what their plain form does not."""


def modifiers_of(kind: str, hits: Sequence[Hit], worded: Sequence[Hit], catalogue: Catalogue) -> tuple[str, ...]:
    """The modifiers of a parameter of a type; `worded` are the rows that write the text beside a code."""
    return (*_modifiers(kind, hits, worded, catalogue), "missing")


def _modifiers(kind: str, hits: Sequence[Hit], worded: Sequence[Hit], catalogue: Catalogue) -> Iterator[str]:
    if kind == "string":
        yield from ("exact", "contains")
    elif kind == "uri":
        yield from ("above", "below")
    elif kind == "reference" and any(isinstance(hit.rule, Logical) for hit in hits):
        yield "identifier"
    elif kind == "token":
        yield "not"
        if worded or any(map(is_worded, hits)):
            yield "text"
        if any(map(_is_typed, hits)):
            yield "of-type"
        systems = {system for hit in hits if _is_coded(hit) for system in systems_of(hit)} - {BOOLEANS}
        if systems:
            yield from ("in", "not-in")
        if any(has_hierarchy(system, catalogue) for system in systems):
            yield from ("above", "below")


def _is_coded(hit: Hit) -> bool:
    return isinstance(hit.rule, Coded | Constant | Derive | Copy)


def _is_typed(hit: Hit) -> bool:
    """Whether a row writes an identifier with its type."""
    if isinstance(hit.rule, Identify):
        return hit.rule.type_system is not None
    return any(name == "type" for name, _ in hit.mates)
