"""$everything: all that belongs to one patient or stay, or to all patients, and what that refers to, each once.

https://hl7.org/fhir/R4/operation-patient-everything.html, operation-encounter-everything.html. The order is total, so
that pages hold each resource once: first the compartment, its middle before the rest, type by type; then what lies
outside and is referred to, by type and key. What is referred to is followed to its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from fhir_facade.contracts import Clause, Explained, Found, Page, Query, Record
from fhir_facade.mapping.care_dates import CareDates
from fhir_facade.mapping.columns import HIGHEST, LOWEST
from fhir_facade.mapping.compartments import Compartment, compartments
from fhir_facade.mapping.following import keys_in, written_edges
from fhir_facade.mapping.search_values import Range, date_range
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.across import find_across
from fhir_facade.rest.answer import Answer, pretty
from fhir_facade.rest.includes import Place, fetched
from fhir_facade.rest.links import Start, opened, page_links
from fhir_facade.rest.parameters import COUNT_LIMIT, Asked
from fhir_facade.rest.parameters_in import Arguments, Inputs, read_inputs
from fhir_facade.rest.query_string import GENERAL, Pairs, pairs_of
from fhir_facade.rest.read import look_up
from fhir_facade.rest.scope import TYPE, named_types
from fhir_facade.rest.search import INCLUDED, entries_of, searchset
from fhir_facade.rest.services import Interaction, Request, Services

if TYPE_CHECKING:
    from fhir_facade.mapping.following import Referring
    from fhir_facade.mapping.mapping_set import CompiledMapping
    from fhir_facade.mapping.to_where import SearchPlan
    from fhir_facade.rest.services import Searches

CODE = "everything"
CANONICAL = "http://hl7.org/fhir/OperationDefinition/"
PATIENT, ENCOUNTER = "Patient", "Encounter"
PAGE = "_page"
READ_AT_ONCE = 500

OF_ALL: Mapping[str, tuple[str, str, str]] = {  # name → type, example, meaning
    "_since": ("instant", "2026-01-01T00:00:00Z", "Only resources that changed at this time or later."),
    TYPE: ("code", "Encounter,Condition", "Only resources of these types; may be repeated."),
    "_count": ("integer", "100", f"Most resources on a page, 1 to {COUNT_LIMIT}; {COUNT_LIMIT} when left out."),
    PAGE: ("string", "", "Where to go on; taken from a link of a Bundle, never made up."),
}
OF_CARE: Mapping[str, tuple[str, str, str]] = {
    "start": ("date", "2024-01-01", "Only care on this day or later; what has no date of care is kept."),
    "end": ("date", "2024-12-31", "Only care on this day or earlier; what has no date of care is kept."),
}
TAKES = {PATIENT: {**OF_CARE, **OF_ALL}, ENCOUNTER: OF_ALL}
MEANS = {
    PATIENT: "All that belongs to a patient, and what it refers to, each resource once; without an id of all patients.",
    ENCOUNTER: "All that belongs to a stay, and what it refers to, each resource once.",
}


def everything(services: Services, request: Request) -> Answer:
    """Answer the Bundle of one page of all that belongs to the resource of this type and id, or to all of the type."""
    inputs = Inputs(f"{request.type}/${CODE}", TAKES[request.type], repeatable=frozenset({TYPE}))
    given = read_inputs(request, inputs)
    compartment = compartments(services.mapping_set.search).get(request.type)
    if compartment is None:
        facts = {"type": request.type, "allowed": list(compartments(services.mapping_set.search))}
        raise Refused(Issue("compartment-unknown", "", facts))
    whole: Everything | EverythingOfAll
    if request.id:
        middle = look_up(services.mapping_set, services.store, request.type, request.id)
        whole = _whole(services, compartment, middle, given, f"{request.type}/{request.id}/${CODE}")
    else:
        whole = _whole_of_all(services, compartment, given, f"{request.type}/${CODE}")
    asked = _asked(services, request, given)
    asked, _, start = opened(services, whole, asked, hidden=False)
    page, outside = whole.page(start, asked.count)
    issues: list[Issue] = []
    entries = entries_of(services, page.matches[: len(page.matches) - outside], issues)
    entries += entries_of(services, page.matches[len(page.matches) - outside :], issues, mode=INCLUDED)
    links = page_links(services, whole.path, asked, start, page, hidden=False)
    body = searchset(request, links, entries, issues)
    return Answer(200, pretty(body) if asked.indented else body)


def _asked(services: Services, request: Request, given: Arguments) -> Asked:
    """What links carry, and what a page token is bound to."""
    count = given.get("_count")
    if count == 0:
        facts = {"name": "_count", "type": "integer", "reason": "it is 0", "grunn": "den er 0", "example": "100"}
        raise Refused(Issue("input-invalid", "_count", facts))
    applied: Pairs = [(name, str(given.get(name))) for name in ("start", "end", "_since") if given.get(name)]
    applied += [(TYPE, ",".join(given.get(TYPE)))] if given.get(TYPE) else []
    asked = Asked(services.base_url, [Clause(name, (value,)) for name, value in applied])
    asked.count = min(count or COUNT_LIMIT, COUNT_LIMIT)
    asked.applied = applied + ([("_count", str(asked.count))] if count else [])
    asked.general = [pair for pair in pairs_of(request.query) if pair[0] in GENERAL]
    asked.page, asked.indented = given.text(PAGE), given.indented
    return asked


def _whole(
    services: Services,
    compartment: Compartment,
    middle: tuple[CompiledMapping, Record],
    given: Arguments,
    path: str,
) -> Everything:
    """What is asked for; Refused when a type is named that is never part of it."""
    search = services.mapping_set.search
    mapping, record = middle
    place = (mapping.name, record["$key"])
    inside = _cared_for(search, compartment.within(search, *place), given)
    types = _types(search, compartment, given)
    people = compartments(search).get(PATIENT)
    persons = {place} if mapping.resource_type == PATIENT else set()
    if people and not persons:
        persons = people.middles(mapping.resource_type, record)
    since = given.text("_since")
    return Everything(services, path, compartment, inside, types, since, Persons(people, frozenset(persons)))


def _whole_of_all(services: Services, compartment: Compartment, given: Arguments, path: str) -> EverythingOfAll:
    """What is asked for of all patients; Refused when a type is named that is never part of it."""
    search = services.mapping_set.search
    types = _types(search, compartment, given)
    return EverythingOfAll(services, path, compartment, _cared_for(search, search, given), types, given.text("_since"))


def _cared_for(search: SearchPlan, others: Referring | SearchPlan, given: Arguments) -> Searches:
    """The searches of others within the days of care that are asked for."""
    if not (given.get("start") or given.get("end")):
        return others
    first, last = date_range(given.text("start")), date_range(given.text("end"))
    return CareDates(search, others, Range(first.low if first else LOWEST, last.high if last else HIGHEST))


def _types(search: SearchPlan, compartment: Compartment, given: Arguments) -> tuple[str, ...]:
    """The types that are asked for; Refused when one of them is never part of it."""
    faults = list[Issue]()
    named = [each for value in given.get(TYPE) or () for each in value.split(",")]
    types = named_types(types_of(search, compartment.type), [",".join(named)] if named else [], faults)
    if faults:
        raise Refused(*faults)
    return types


@lru_cache(maxsize=16)
def types_of(search: SearchPlan, middle: str) -> tuple[str, ...]:
    """The types that may be part of an answer: those of the compartment, then those that references lead to."""
    inside = compartments(search)[middle].types
    reached = set(inside)
    while further := {edge.to for edge in written_edges(search) if edge.type in reached} - reached:
        reached |= further
    return (*inside, *sorted(reached - inside.keys()))


@dataclass(frozen=True, slots=True)
class Persons:
    """Whose resources may be told: nothing of another patient is, whatever refers to it."""

    compartment: Compartment | None
    places: frozenset[Place]

    def may_see(self, resource_type: str, found: Found) -> bool:
        """Whether a resource belongs to nobody, or to one of the persons."""
        if self.compartment is None or not self.places:
            return True
        if resource_type == self.compartment.type:
            return (found.mapping, found.key) in self.places
        middles = self.compartment.middles(resource_type, found.record)
        return not middles or not middles.isdisjoint(self.places)


@dataclass
class Everything:
    """One answer in two sections: the compartment, and what is referred to from it."""

    services: Services
    path: str
    compartment: Compartment
    inside: Searches
    types: Sequence[str]
    since: str
    persons: Persons
    _read: Sequence[Found] | None = field(default=None, init=False)

    def read(self, services: Services, pairs: Pairs, *, lenient: bool) -> Asked:
        """A token that carries a search of its own is none of this operation."""
        raise Refused(Issue("page-token-invalid", PAGE))

    def find(self, services: Services, asked: Asked, query: Query) -> Page:
        """One page, from the place that the query says."""
        return self.page(Start(query.after, query.backward), query.count)[0]

    def explain(self, services: Services, asked: Asked, query: Query) -> list[Explained]:
        """Nothing: the operation has no input that asks for it."""
        return []

    def page(self, start: Start, count: int) -> tuple[Page, int]:
        """One page, and how many resources at its end are of the second section."""
        sections = (self._inside, self._outside)
        rows: list[list[Found]] = [[], []]
        more = False
        for number in (1, 0) if start.backward else (0, 1):
            at = start.position[0] if start.position else number
            if (number > at) if start.backward else (number < at):
                continue
            after = tuple(start.position[1:]) if number == at else ()
            page = sections[number](after, count - sum(map(len, rows)), start.backward)
            rows[number] = [each._replace(position=(number, *each.position)) for each in page.matches]
            more = page.more
            if more:
                break
        return Page([*rows[0], *rows[1]], more), len(rows[1])

    def _inside(self, after: tuple[Any, ...], count: int, backward: bool) -> Page:
        clauses = (Clause("_lastUpdated", (f"ge{self.since}",)),) if self.since else ()
        types = {each: clauses for each in self.compartment.types if each in self.types}
        page = find_across(self.services.store, self.inside, types, Query("", (), (), count, after, False, backward))
        if not (after or backward or page.more or self.since) and len(types) == len(self.compartment.types):
            self._read = page.matches
        return page

    def _outside(self, after: tuple[Any, ...], count: int, backward: bool) -> Page:
        """What is referred to: by type, mapping and key."""
        wanted = [each for each in self._referred() if each.position[0] in self.types and self._changed(each)]
        wanted.sort(key=lambda each: each.position)
        if backward:
            wanted = [each for each in wanted if not after or each.position < after]
            return Page(wanted[max(len(wanted) - count, 0) :], len(wanted) > count)
        wanted = [each for each in wanted if each.position > after]
        return Page(wanted[:count], len(wanted) > count)

    def _changed(self, found: Found) -> bool:
        """Whether a resource has changed since the time that is asked for; unknown counts as changed."""
        changed = self.services.mapping_set.mappings[found.mapping].version_of(found.record)[1]
        return not (self.since and changed) or datetime.fromisoformat(changed) >= datetime.fromisoformat(self.since)

    def _referred(self) -> list[Found]:
        """What the compartment refers to, and what that does in turn; nothing of the compartment itself."""
        mappings = self.services.mapping_set.mappings
        seen: set[Place] = set()
        wanted: dict[Place, None] = {}
        for found in self._compartment():
            seen.add((found.mapping, found.key))
            wanted |= dict.fromkeys(self._targets(found))
        out: list[Found] = []
        while places := [place for place in wanted if place not in seen]:
            seen |= set(places)
            new = []
            for found in fetched(self.services, places):
                resource_type = mappings[found.mapping].resource_type
                if self.persons.may_see(resource_type, found):
                    new.append(found._replace(position=(resource_type, found.mapping, found.key)))
            out += new
            wanted = dict.fromkeys(place for found in new for place in self._targets(found))
        return out

    def _targets(self, found: Found) -> Iterator[Place]:
        for edge in written_edges(self.services.mapping_set.search):
            if edge.source.mapping == found.mapping:
                for key in keys_in(found.record, edge):
                    yield edge.target, key

    def _compartment(self) -> Iterable[Found]:
        """All of the first section, whatever types and changes are asked for; some hundred at a time."""
        if self._read is not None:
            yield from self._read
            return
        types: dict[str, tuple[Clause, ...]] = dict.fromkeys(self.compartment.types, ())
        after: tuple[Any, ...] = ()
        while True:
            page = find_across(self.services.store, self.inside, types, Query("", count=READ_AT_ONCE, after=after))
            yield from page.matches
            if not page.more:
                return
            after = page.matches[-1].position


@dataclass(frozen=True, slots=True)
class EverythingOfAll:
    """All of the types that belong to patients, and of those that these refer to, type by type.

    With so many, what nobody refers to is not looked for: a unit without patients is there too.
    """

    services: Services
    path: str
    compartment: Compartment
    inside: Searches
    types: Sequence[str]
    since: str

    def read(self, services: Services, pairs: Pairs, *, lenient: bool) -> Asked:
        """As Everything."""
        raise Refused(Issue("page-token-invalid", PAGE))

    def find(self, services: Services, asked: Asked, query: Query) -> Page:
        """As Everything."""
        return self.page(Start(query.after, query.backward), query.count)[0]

    def explain(self, services: Services, asked: Asked, query: Query) -> list[Explained]:
        """As Everything."""
        return []

    def page(self, start: Start, count: int) -> tuple[Page, int]:
        """One page, and how many resources at its end are of the second section."""
        clauses = (Clause("_lastUpdated", (f"ge{self.since}",)),) if self.since else ()
        query = Query("", (), (), count, tuple(start.position or ()), False, start.backward)
        page = find_across(self.services.store, self.inside, dict.fromkeys(self.types, clauses), query)
        mappings = self.services.mapping_set.mappings
        outside = (mappings[each.mapping].resource_type not in self.compartment.types for each in page.matches)
        return page, sum(outside)


EVERYTHING = tuple(
    Interaction(
        CODE, method, template, everything, MEANS[resource_type],
        takes_body=method == "POST", operation=f"{CANONICAL}{resource_type}-{CODE}",
        takes=TAKES[resource_type], answers=("Bundle",), reads="page",
    )
    for resource_type, template in (
        (PATIENT, f"/{PATIENT}/{{id}}/${CODE}"), (PATIENT, f"/{PATIENT}/${CODE}"),
        (ENCOUNTER, f"/{ENCOUNTER}/{{id}}/${CODE}"),
    )
    for method in ("GET", "POST")
)  # fmt: skip
"""The rows of the surface."""
