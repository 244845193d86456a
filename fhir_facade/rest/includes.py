"""_include and _revinclude: what goes beside the matches of a page, each resource once.

https://hl7.org/fhir/R4/search.html#include. `Encounter:subject`, `Encounter:subject:Patient`, `Encounter:*` and `*`;
with :iterate what was included is followed too. One fetch for each record kind a round, never one for each match.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

from fhir_facade.contracts import Found, Query
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.following import Edge, Referring, keys_in, searched_edges
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.services import Services
from fhir_facade.store.batches import shown

if TYPE_CHECKING:
    from fhir_facade.mapping.to_where import SearchPlan

INCLUDE, REVINCLUDE, ITERATE = "_include", "_revinclude", "iterate"
NAMES = (INCLUDE, REVINCLUDE)
ANY = "*"
MOST_INCLUDED = 1000
MOST_ROUNDS = 5
MOST_ASKED = 50


@dataclass(frozen=True, slots=True)
class Include:
    """One _include or _revinclude: which references are followed, "*" and a target "" for any; `said` as it was."""

    name: str
    said: str
    type: str
    parameter: str
    target: str

    @property
    def reverse(self) -> bool:
        return self.name.startswith(REVINCLUDE)

    @property
    def iterates(self) -> bool:
        return self.name.endswith(ITERATE)

    def takes(self, edge: Edge) -> bool:
        """Whether an edge is one of those that are followed."""
        return (
            self.type in (ANY, edge.type)
            and self.parameter in (ANY, edge.parameter)
            and self.target in ("", edge.to)
        )  # fmt: skip


@lru_cache(maxsize=256)
def forward_values(search: SearchPlan, resource_type: str) -> tuple[str, ...]:
    """What _include takes in a search of a type, without the forms that name a target."""
    names = sorted({f"{edge.type}:{edge.parameter}" for edge in searched_edges(search) if edge.type == resource_type})
    return (*names, f"{resource_type}:*", ANY) if names else ()


@lru_cache(maxsize=256)
def reverse_values(search: SearchPlan, resource_type: str) -> tuple[str, ...]:
    """What _revinclude takes in a search of a type, without the forms that name a target."""
    names = sorted({(edge.type, edge.parameter) for edge in searched_edges(search) if edge.to == resource_type})
    whole = sorted({f"{name}:*" for name, _ in names})
    return (*(":".join(each) for each in names), *whole, ANY) if names else ()


def read_include(search: SearchPlan, name: str, value: str) -> Include:
    """Return what one parameter asks; Refused when it names no reference that is followed here."""
    plain, _, modifier = name.partition(":")
    if modifier not in ("", ITERATE):
        facts = {"name": plain, "modifier": shown(modifier), "allowed": [ITERATE]}
        raise Refused(Issue("search-modifier-unknown", plain, facts))
    parts = value.split(":")
    if parts == [ANY]:
        return Include(name, value, ANY, ANY, "")
    source, parameter, target = (*parts, "", "")[:3]
    asked = Include(name, value, source, parameter, target)
    edges = searched_edges(search)
    if len(parts) > 3 or "" in parts or source == ANY or not any(map(asked.takes, edges)):
        raise Refused(_unknown(name, value, edges))
    return asked


def _unknown(name: str, value: str, edges: Iterable[Edge]) -> Issue:
    """What could have been meant: the references of the type that was named, or those of all."""
    source = value.partition(":")[0]
    plain = sorted({f"{edge.type}:{edge.parameter}" for edge in edges})
    allowed = [each for each in plain if each.startswith(f"{source}:")] or plain
    if value.count(":") > 1:
        with_targets = sorted({f"{edge.type}:{edge.parameter}:{edge.to}" for edge in edges})
        stem = value.rpartition(":")[0]
        allowed = [each for each in with_targets if each.startswith(f"{stem}:")] or allowed
    facts = {"name": name, "value": shown(value), "allowed": [*allowed, ANY], "nearest": nearest(value, allowed)}
    return Issue("include-unknown", name, facts)


def faults_of(search: SearchPlan, types: Sequence[str], asked: Sequence[Include]) -> Iterator[Issue]:
    """The includes that can never find anything, for nothing that they begin at is on a page of these types.

    A plain "*" asks for whatever there is, and may find nothing.
    """
    if len(asked) > MOST_ASKED:
        yield Issue("search-too-complex", "", {"what": "_include, _revinclude", "limit": MOST_ASKED})
    edges = searched_edges(search)
    reached, before = set(types), 0
    while len(reached) > before:
        before = len(reached)
        for each in asked:
            reached |= _ends(each, edges, reached if each.iterates else types)
    for each in asked:
        if each.type != ANY and not _ends(each, edges, reached if each.iterates else types):
            begins = sorted({_begin(each, edge) for edge in edges if each.takes(edge)})
            facts = {"name": each.name, "value": each.said, "types": begins, "allowed": sorted(reached)}
            yield Issue("include-out-of-reach", each.name, facts)


def _begin(asked: Include, edge: Edge) -> str:
    return edge.to if asked.reverse else edge.type


def _ends(asked: Include, edges: Iterable[Edge], begins: Collection[str]) -> set[str]:
    """The types that an include leads to from some types."""
    met = (edge for edge in edges if asked.takes(edge) and _begin(asked, edge) in begins)
    return {edge.type if asked.reverse else edge.to for edge in met}


Place = tuple[str, str]
"""Which resource: the mapping that renders it, and the record key."""


@dataclass
class _Walk:
    """What has been found so far; `cut` when there was no room for more."""

    services: Services
    seen: set[Place]
    found: list[Found] = field(default_factory=list)
    cut: bool = False

    def take(self, new: Iterable[Found]) -> list[Found]:
        """Those that are new and for which there is room, kept."""
        taken = []
        for each in new:
            place = (each.mapping, each.key)
            if place in self.seen:
                continue
            if len(self.found) >= MOST_INCLUDED:
                self.cut = True
                break
            self.seen.add(place)
            self.found.append(each)
            taken.append(each)
        return taken


def included(
    services: Services, asked: Sequence[Include], matches: Sequence[Found], issues: list[Issue]
) -> list[Found]:
    """What is included beside the matches of a page, none of it twice; what is left out is told in `issues`."""
    if not asked or not matches:
        return []
    walk = _Walk(services, {(each.mapping, each.key) for each in matches})
    edges = searched_edges(services.mapping_set.search)
    front: Sequence[Found] = matches
    for number in range(MOST_ROUNDS + 1):
        active = [each for each in asked if each.iterates or not number]
        new = [*_forward(walk, edges, active, front), *_reverse(walk, edges, active, front)] if active else []
        if not new or walk.cut:
            break
        if number == MOST_ROUNDS:
            walk.found = walk.found[: -len(new)]
            issues.append(Issue("includes-not-followed", "", {"limit": MOST_ROUNDS}))
        front = new
    if walk.cut:
        issues.append(Issue("includes-left-out", "", {"limit": MOST_INCLUDED}))
    return walk.found


def _forward(walk: _Walk, edges: Sequence[Edge], asked: Sequence[Include], front: Sequence[Found]) -> list[Found]:
    """What the resources of the front refer to."""
    followed: dict[str, list[Edge]] = {}
    for edge in edges:
        if any(each.takes(edge) for each in asked if not each.reverse):
            followed.setdefault(edge.source.mapping, []).append(edge)
    wanted: dict[Place, None] = {}
    for found in front:
        for edge in followed.get(found.mapping, ()):
            wanted |= {(edge.target, key): None for key in keys_in(found.record, edge)}
    places = [place for place in wanted if place not in walk.seen]
    room = MOST_INCLUDED - len(walk.found)
    walk.cut = walk.cut or len(places) > room
    return walk.take(fetched(walk.services, places[:room]))


def fetched(services: Services, places: Sequence[Place]) -> Iterator[Found]:
    """The resources at some places, in that order: one fetch for each record kind. What is not there is left out."""
    mappings = services.mapping_set.mappings
    by_kind: dict[str, dict[str, None]] = {}
    for mapping, key in places:
        by_kind.setdefault(mappings[mapping].kind.name, {})[key] = None
    records = {kind: services.store.get_many(kind, list(keys)) for kind, keys in by_kind.items()}
    for mapping, key in places:
        record = records[mappings[mapping].kind.name].get(key)
        if record is not None:
            yield Found(mapping, key, record)


def _reverse(walk: _Walk, edges: Sequence[Edge], asked: Sequence[Include], front: Sequence[Found]) -> list[Found]:
    """What refers to the resources of the front: one search for each type that may."""
    keys: dict[str, list[str]] = {}
    for found in front:
        keys.setdefault(found.mapping, []).append(found.key)
    by_type: dict[str, list[Edge]] = {}
    for edge in edges:
        if edge.target in keys and any(each.takes(edge) for each in asked if each.reverse):
            by_type.setdefault(edge.type, []).append(edge)
    taken = []
    for resource_type, followed in by_type.items():
        plan = Referring(walk.services.mapping_set.search, followed, keys)
        page = walk.services.store.find(Query(resource_type, count=MOST_INCLUDED + 1), plan)
        taken += walk.take(page.matches)
        walk.cut = walk.cut or page.more
    return taken
