"""One search over several types: one total order, in which each resource stands once.

https://hl7.org/fhir/R4/http.html#search, [base]?_type=... Resources stand in the order of the sort values, then of
their types as listed, then of their own type's order; a place is (sort values, type, source, key).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fhir_facade.contracts import Clause, Found, Known, Page, Query
from fhir_facade.store.keyset import Place, Walk, put_in_order, walk_of

if TYPE_CHECKING:
    from fhir_facade.rest.services import SearchableStore, Searches

LAST = 2**31
"""A source number beyond all that there are."""


def find_across(
    store: SearchableStore,
    searches: Searches,
    types: Mapping[str, Sequence[Clause]],
    query: Query,
    known: Known | None = None,
) -> Page:
    """Return one page of the types, whose own restrictions stand beside them; the query's type is not looked at.

    Where the order is that of types alone, types are asked until the page is full.
    """
    walk, order = walk_of(query), list(types)
    rows: list[tuple[Place, Found]] = []
    more = False
    for resource_type in reversed(order) if walk.tail else order:
        place = _beyond(query, walk, order, resource_type)
        if place is None:
            continue
        room = query.count if query.sort else query.count - len(rows)
        clauses = (*query.clauses, *types[resource_type])
        asked = replace(query, resource_type=resource_type, clauses=clauses, count=room, after=place, total=False)
        page = store.find(asked, searches, known)
        rows += [_row(found, order.index(resource_type), resource_type) for found in page.matches]
        more = more or page.more
        if more and not query.sort:
            break
    by_place = dict(rows)
    places = list(by_place)
    put_in_order(places, walk)
    kept = places[: query.count][:: -1 if query.backward else 1]
    total = _total(store, searches, types, query) if query.total else None
    return Page([by_place[place] for place in kept], more or len(places) > query.count, total)


def _beyond(query: Query, walk: Walk, order: Sequence[str], resource_type: str) -> tuple[object, ...] | None:
    """The query's place as one of a type; None when the whole type lies on the other side."""
    if not query.after:
        return ()
    *values, at, source, key = query.after
    here = order.index(resource_type) - order.index(at)
    if here == 0:
        return (*values, source, key)
    further = (here > 0) != walk.tail
    if not values:
        return () if further else None
    return (*values, -1 if further != walk.tail else LAST, "")  # with or without those of the same sort values


def _row(found: Found, number: int, resource_type: str) -> tuple[Place, Found]:
    *values, source, key = found.position
    place = Place(tuple(values), (number, source), key)
    return place, found._replace(position=(*values, resource_type, source, key))


def _total(store: SearchableStore, searches: Searches, types: Mapping[str, Sequence[Clause]], query: Query) -> int:
    """How many there are of all types together."""
    counted = 0
    for resource_type, own in types.items():
        asked = Query(resource_type, (*query.clauses, *own), count=0, total=True)
        counted += store.find(asked, searches).total or 0
    return counted
