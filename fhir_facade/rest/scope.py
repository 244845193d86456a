"""What a search is over, one type or several, and how its parameters are read there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from fhir_facade.contracts import Clause, Explained, Page, Query
from fhir_facade.mapping.findings import nearest
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.across import find_across
from fhir_facade.rest.includes import NAMES as INCLUDES
from fhir_facade.rest.includes import Include, faults_of, read_include
from fhir_facade.rest.parameters import RESULT_PARAMETERS, Asked, parse
from fhir_facade.rest.query_string import Pairs, unknown_parameter
from fhir_facade.rest.services import Services
from fhir_facade.store.batches import shown

if TYPE_CHECKING:
    from fhir_facade.mapping.to_where import Parameter, SearchPlan
    from fhir_facade.rest.services import Searches

TYPE = "_type"
MANY = 4
WITHOUT_CODE = ("_has",)
"""What leads a name and is no search parameter itself."""
TYPE_TAKES = ("string", "Patient,Encounter", "The types to search, separated by commas; all of them when left out.")


class Scope(Protocol):
    """What a search is over; `path` is where it is asked, below the base URL."""

    @property
    def path(self) -> str: ...

    def read(self, services: Services, pairs: Pairs, *, lenient: bool) -> Asked:
        """What the parameters say; Refused with every fault."""
        ...

    def find(self, services: Services, asked: Asked, query: Query) -> Page:
        """One page of what is asked, in the order and from the place that the query says."""
        ...

    def explain(self, services: Services, asked: Asked, query: Query) -> list[Explained]:
        """How the store is asked for it."""
        ...


@dataclass(frozen=True, slots=True)
class OneType:
    """A search of one type, in all that is stored or in a part of it."""

    path: str
    type: str
    searches: Searches

    def read(self, services: Services, pairs: Pairs, *, lenient: bool) -> Asked:
        return parse(services.mapping_set.search, self.type, pairs, base=services.base_url, lenient=lenient)

    def find(self, services: Services, asked: Asked, query: Query) -> Page:
        known = None if asked.includes else services.known  # what is included is told by the records
        return services.store.find(replace(query, resource_type=self.type), self.searches, known)

    def explain(self, services: Services, asked: Asked, query: Query) -> list[Explained]:
        return services.store.explain(replace(query, resource_type=self.type), self.searches)


@dataclass(frozen=True, slots=True)
class ManyTypes:
    """A search of those of some types that `_type` names, by the parameters that all of them have."""

    path: str
    types: tuple[str, ...]
    searches: Searches

    def read(self, services: Services, pairs: Pairs, *, lenient: bool) -> Asked:
        search = services.mapping_set.search
        faults: list[Issue] = []
        types = named_types(self.types, [value for name, value in pairs if name == TYPE], faults)
        if faults:
            raise Refused(*faults)
        common = common_parameters(search, types)
        label = " + ".join(types) if len(types) < MANY else f"{len(types)} types"
        allowed = [*common, *RESULT_PARAMETERS, TYPE]
        kept, ignored = Pairs(), list[Issue]()
        for name, value in pairs:
            if re.split("[:.]", name)[0] in (*allowed, *WITHOUT_CODE):
                kept.append((name, value))
            else:
                told = ignored if lenient else faults
                told.append(unknown_parameter(name, label, allowed, ignored=lenient))
        includes = list(_includes(search, types, kept, faults))
        plain = [pair for pair in kept if not _of_all(pair[0])]
        read: dict[str, Asked] = {}
        for resource_type in types:
            try:
                read[resource_type] = parse(search, resource_type, plain, base=services.base_url, lenient=False)
            except Refused as refused:
                faults += refused.issues
        if faults:
            raise Refused(*{str(issue): issue for issue in faults}.values())
        asked = read[types[0]]
        applied, effective = iter(asked.applied), {name for name, _ in asked.applied}
        return replace(
            asked,
            clauses=[*asked.clauses, Clause(TYPE, types)],
            applied=[
                pair if _of_all(pair[0]) else next(applied) for pair in kept if _of_all(pair[0]) or pair[0] in effective
            ],
            ignored=ignored,
            includes=includes,
            by_type={each: tuple(found.clauses) for each, found in read.items()},
        )

    def find(self, services: Services, asked: Asked, query: Query) -> Page:
        known = None if asked.includes else services.known
        return find_across(services.store, self.searches, asked.by_type, replace(query, clauses=()), known)

    def explain(self, services: Services, asked: Asked, query: Query) -> list[Explained]:
        """Of each type from its beginning, whatever page is asked for."""
        queries = [replace(query, resource_type=each, clauses=own, after=()) for each, own in asked.by_type.items()]
        return [each for query in queries for each in services.store.explain(query, self.searches)]


def named_types(served: Sequence[str], values: Sequence[str], faults: list[Issue]) -> tuple[str, ...]:
    """The types that `_type` names, in the order of those served; all of them without it. Faults are told."""
    if not values:
        return tuple(served)
    if len(values) > 1:
        faults.append(Issue("parameter-repeated", TYPE, {"name": TYPE}))
    named = [each for value in values for each in value.split(",")]
    for each in named:
        if each not in served:
            facts = {"type": shown(each), "allowed": served, "nearest": nearest(shown(each), served)}
            faults.append(Issue("type-not-searched", TYPE, facts))
    return tuple(each for each in served if each in named)


def common_parameters(search: SearchPlan, types: Iterable[str]) -> dict[str, Parameter]:
    """The parameters that all of the types have, with the same meaning."""
    first, *others = (search.parameters(each) for each in types)
    return {
        code: parameter
        for code, parameter in first.items()
        if all(code in other and other[code].type == parameter.type for other in others)
    }


def _is_include(name: str) -> bool:
    return name.partition(":")[0] in INCLUDES


def _of_all(name: str) -> bool:
    """Whether a parameter is read for all types together, not for each of them."""
    return name == TYPE or _is_include(name)


def _includes(search: SearchPlan, types: Sequence[str], pairs: Pairs, faults: list[Issue]) -> Iterable[Include]:
    asked = []
    for name, value in pairs:
        if _is_include(name):
            try:
                asked.append(read_include(search, name, value))
            except Refused as refused:
                faults += refused.issues
    faults += faults_of(search, types, asked)
    return asked
