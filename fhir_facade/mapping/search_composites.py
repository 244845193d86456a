"""Composite parameters: parts that one object must hold together, `code$value` of one component.

https://hl7.org/fhir/R4/search.html#combining. Rows fill one object when they stand in the same list or under the same
label; where the object is the resource, each part is sought by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from sqlalchemy import ColumnElement, FromClause, and_, false, or_

from fhir_facade.definitions import Composite, SearchParameter
from fhir_facade.mapping.search_hits import Flat, Hit, hits
from fhir_facade.mapping.search_tokens import test
from fhir_facade.mapping.search_values import guarded_split, invalid

Where = ColumnElement[bool]
Within = Callable[[str, Sequence[Hit], FromClause], Where]
"""(type of a part, the rows that fill it, table) → where one of them writes what that part asks for."""


def composite_hits(resource_type: str, parameter: SearchParameter, flat: list[Flat]) -> list[Hit]:
    """One hit for each object whose rows fill every part; `parts` has their own hits."""
    found = []
    for composite in parameter.composites:
        for lines in _objects(composite, flat):
            parts = tuple(
                (kind, tuple(hits(resource_type, _part(parameter, kind, paths), lines)))
                for kind, paths in composite.parts
            )
            if all(each for _, each in parts):
                first = parts[0][1][0]
                found.append(Hit(replace(first.rule, when=()), first.each if composite.path else None, parts=parts))
    return found


def _part(parameter: SearchParameter, kind: str, paths: tuple[str, ...]) -> SearchParameter:
    return replace(parameter, type=kind, paths=paths, composites=())


def _objects(composite: Composite, flat: list[Flat]) -> Iterator[list[Flat]]:
    """The rows of each object at the path of a composite."""
    if not composite.path:
        yield flat
        return
    stem = tuple(composite.path.split("."))
    inside = [line for line in flat if line.names[: len(stem)] == stem]
    groups: dict[tuple[int, str], list[Flat]] = {}
    for line in inside:
        groups.setdefault((id(line.hit.each) if line.hit.each else 0, line.label), []).append(line)
    yield from groups.values()


def split_parts(parameter: str, text: str, count: int) -> list[str]:
    """The parts of a value, their guards still in."""
    parts = list(guarded_split(text, "$"))
    if len(parts) != count or not all(parts):
        raise invalid(parameter, "composite", f"write {count} values with a dollar sign between them")
    return parts


def together(hit: Hit, within: Sequence[Within], table: FromClause) -> Where:
    """Where one list item (or the record) writes all parts of a hit; `within` has a test for each part."""
    return and_(*(each(kind, found, table) for each, (kind, found) in zip(within, hit.parts, strict=True)))


def any_row(found: Sequence[Hit], build: Callable[[Hit, FromClause], Where], table: FromClause) -> Where:
    """Where one of some rows of the same object writes what is sought."""
    return or_(
        false(),
        *(and_(build(hit, table), *(test(table, condition) for condition in hit.rule.when)) for hit in found),
    )
