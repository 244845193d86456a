"""In which order entries are carried out, and in which order those that are new get their ids.

R4 carries out DELETE, POST, PUT and PATCH, then GET and HEAD: https://hl7.org/fhir/R4/http.html#trules. Ids here are
made of a record's own key, which may hold the key of another record. So the id of a Condition may have to wait for that
of the Encounter that it refers to, whatever their order in the Bundle.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import NamedTuple

from fhir_facade.bundles.entries import Entry
from fhir_facade.bundles.plan import Plan
from fhir_facade.bundles.references import Link
from fhir_facade.bundles.targets import READS
from fhir_facade.outcome import Issue

Decides = Callable[[Entry, Link], bool]
"""Whether the id of an entry's resource is made of what a link of it leads to."""

RANKS: Mapping[str, int] = {"delete": 0, "create": 1, "operation": 1, "update": 2, "patch": 2}
LAST = 3
"""The rank of everything that only reads: searches by POST too."""


class Naming(NamedTuple):
    """Entries in an order in which their ids can be made, and those that wait for each other, by circle."""

    order: tuple[int, ...]
    circles: tuple[tuple[int, ...], ...]


def rank_of(entry: Entry) -> int:
    """The step of the transaction that an entry belongs to."""
    if entry.target is None or entry.method in READS:
        return LAST
    return RANKS.get(entry.target.interaction, LAST)


def order_of(plan: Plan, named: Sequence[int] = ()) -> tuple[int, ...]:
    """The numbers of the entries that can be carried out, by rank, then as they stand.

    Those that are `named` take the places of each other, so that they come in that order.
    """
    place = dict(zip(named, sorted(named), strict=True))
    sound = [entry for entry in plan.entries if not entry.is_faulty]
    sound.sort(key=lambda entry: (rank_of(entry), place.get(entry.number, entry.number)))
    return tuple(entry.number for entry in sound)


def _always(entry: Entry, link: Link) -> bool:
    return True


def naming_of(plan: Plan, known: Container[int] = (), decides: Decides = _always) -> Naming:
    """In which order the entries whose id is not `known` can get one.

    Without `decides` every link counts. With it only those that an id is made of do, which cuts most circles: an
    Encounter refers to its Conditions and they to it, but only their ids are made of its.
    """
    new = {entry.number: entry for entry in plan.entries if entry.stores and entry.number not in known}
    needs = {
        number: {
            led.entry
            for led in plan.leads.get(number, ())
            if led.entry in new and led.entry != number and decides(entry, led.link)
        }
        for number, entry in new.items()
    }
    order = _sorted(needs)
    left = {number: needs[number].difference(order) for number in needs.keys() - set(order)}
    return Naming(order, _circles(left))


def circular(naming: Naming) -> list[Issue]:
    """What to say of the circles, at the first entry of each."""
    return [
        Issue("entry-references-circular", f"Bundle.entry[{circle[0]}]", {"entries": ", ".join(map(str, circle))})
        for circle in naming.circles
    ]


def _sorted(needs: Mapping[int, Iterable[int]]) -> tuple[int, ...]:
    """Numbers after what they need, else in their own order; those in circles or behind one are left out."""
    waits = {number: len(set(needed)) for number, needed in needs.items()}
    needed_by: dict[int, list[int]] = {number: [] for number in needs}
    for number, needed in needs.items():
        for each in set(needed):
            needed_by[each].append(number)
    ready = [number for number, count in waits.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        number = heapq.heappop(ready)
        order.append(number)
        for each in needed_by[number]:
            waits[each] -= 1
            if not waits[each]:
                heapq.heappush(ready, each)
    return tuple(order)


def _circles(needs: Mapping[int, Iterable[int]]) -> tuple[tuple[int, ...], ...]:
    """The sets of numbers that need each other (strongly connected components of more than one), by Kosaraju."""
    needed_by: dict[int, list[int]] = {number: [] for number in needs}
    for number, needed in needs.items():
        for each in needed:
            needed_by[each].append(number)
    finished = _finished(needs, sorted(needs))
    taken, circles = set[int](), []
    for number in reversed(finished):
        if number not in taken:
            circle = _finished(needed_by, [number], taken)
            if len(circle) > 1:
                circles.append(tuple(sorted(circle)))
    return tuple(sorted(circles))


def _finished(leads: Mapping[int, Iterable[int]], begin: Iterable[int], taken: set[int] | None = None) -> list[int]:
    """Numbers in the order in which a walk in depth is done with them; those in `taken` are not walked again."""
    seen, done = set[int]() if taken is None else taken, []
    for first in begin:
        if first in seen:
            continue
        seen.add(first)
        path = [(first, iter(sorted(leads[first])))]
        while path:
            number, rest = path[-1]
            following = next((each for each in rest if each not in seen), None)
            if following is None:
                done.append(number)
                path.pop()
            else:
                seen.add(following)
                path.append((following, iter(sorted(leads[following]))))
    return done
