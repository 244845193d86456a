"""The parameters of a search into a Query: every name is known and every value read, or it is refused.

https://hl7.org/fhir/R4/search.html; strict unless the client prefers handling=lenient, and then what was
ignored is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fhir_facade.contracts import Clause, Sort
from fhir_facade.mapping.chained import WIDEST, width
from fhir_facade.mapping.findings import nearest
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.chain_names import ignored, read_name
from fhir_facade.rest.includes import NAMES as INCLUDES
from fhir_facade.rest.includes import Include, faults_of, read_include
from fhir_facade.rest.query_string import (
    Pairs,
    bad_value,
    check_format,
    is_pretty,
    is_true,
)
from fhir_facade.rest.subset import ALL, SUBSET_PARAMETERS, Subset, refuse_text_with_included, with_parameter
from fhir_facade.store.batches import shown

if TYPE_CHECKING:
    from fhir_facade.mapping.to_where import SearchPlan

COUNT_DEFAULT = 50
COUNT_LIMIT = 1000
CLAUSE_LIMIT = 50
VALUE_LIMIT = 500
TOTALS = ("none", "estimate", "accurate")
ESCAPED = ",|$\\"
GUARDED_BAR = re.compile(r"(?:^|[^\\])(?:\\\\)*\\\|").search
"""Finds a bar that a backslash guards, not one behind a backslash that is guarded itself."""
RESULT_PARAMETERS: Mapping[str, tuple[str, str, str]] = {  # name → type, example, meaning
    "_count": (
        "integer",
        "20",
        f"Most matches on a page, 0 to {COUNT_LIMIT}; {COUNT_DEFAULT} when left out.",
    ),
    "_sort": (
        "string",
        "_id",
        "Search parameters to sort by, separated by commas; '-' before one turns it round.",
    ),
    "_total": (
        "code",
        "accurate",
        "accurate or estimate: Bundle.total is the number of all matches, exact in both; none (default): no total.",
    ),
    "_explain": ("boolean", "true", "Say in the Bundle what the search became: SQL without values, plan, rows, time."),
    "_include": ("string", "", "References of the matches whose resources are put beside them; may be repeated."),
    "_revinclude": ("string", "", "References to the matches whose resources are put beside them; may be repeated."),
    "_format": (
        "string",
        "json",
        "The format, instead of the Accept header: json, xml or, for a search, ndjson; or a media type.",
    ),
    "_pretty": ("boolean", "true", "Indent the answer for people."),
    "_page": ("string", "", "Where to go on; taken from a link of a Bundle, never made up, and good for a while."),
    **SUBSET_PARAMETERS,
}


@dataclass
class Asked:
    """What the parameters of one search say; `applied` are the pairs that took effect, in the order given.

    A search of several types has the restrictions of each in `by_type`.
    """

    base: str
    clauses: list[Clause] = field(default_factory=list)
    sort: tuple[Sort, ...] = ()
    count: int = COUNT_DEFAULT
    indented: bool = False
    total: bool = False
    explain: bool = False
    subset: Subset = ALL
    page: str = ""
    applied: Pairs = field(default_factory=list)
    general: Pairs = field(default_factory=list)
    ignored: list[Issue] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    by_type: Mapping[str, tuple[Clause, ...]] = field(default_factory=dict)


def parse(search: SearchPlan, resource_type: str, pairs: Pairs, *, base: str, lenient: bool) -> Asked:
    """Return what is asked; Refused with every fault that can be told without the store.

    `base` is the base URL, which references may begin with.
    """
    asked = Asked(base)
    faults: list[Issue] = []
    seen: set[str] = set()
    for name, value in pairs:
        try:
            if name.partition(":")[0] in INCLUDES:
                asked.includes.append(read_include(search, name, value))
                asked.applied.append((name, value))
            elif name in RESULT_PARAMETERS:
                if name in seen:
                    faults.append(Issue("parameter-repeated", name, {"name": name}))
                seen.add(name)
                _result_parameter(asked, search, resource_type, name, value)
            else:
                _clause(asked, search, resource_type, name, value, lenient)
        except Refused as refused:
            faults += refused.issues
    if asked.subset.is_count:
        asked.count = 0
    try:
        refuse_text_with_included(asked.subset, (name for name, _ in pairs))
    except Refused as refused:
        faults += refused.issues
    faults += _too_much(asked.clauses)
    faults += faults_of(search, (resource_type,), asked.includes)
    if faults:
        raise Refused(*faults)
    return asked


def _result_parameter(asked: Asked, search: SearchPlan, resource_type: str, name: str, value: str) -> None:
    """Take one of the parameters that shape the answer and do not restrict it."""
    if name == "_count":
        asked.count = _count(value)
        asked.applied.append((name, str(asked.count)))
    elif name == "_sort":
        asked.sort = tuple(_sort(search, resource_type, value))
        asked.applied.append((name, value))
    elif name == "_total":
        if value not in TOTALS:
            raise Refused(bad_value("_total", "code", f"none of {', '.join(TOTALS)}", "_total=accurate"))
        asked.total = value != "none"
        asked.applied.append((name, value))
    elif name == "_explain":
        asked.explain = is_true(name, value)
        asked.applied.append((name, value))
    elif name in SUBSET_PARAMETERS:
        asked.subset = with_parameter(asked.subset, resource_type, name, value)
        asked.applied.append((name, value))
    elif name == "_page":
        if not value:
            raise Refused(Issue("page-token-invalid", "_page"))
        asked.page = value
    else:
        if name == "_format":
            check_format(value)
        else:
            asked.indented = is_pretty(value)
        asked.general.append((name, value))


def _count(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise Refused(bad_value("_count", "integer", f"not a number from 0 to {COUNT_LIMIT}", "_count=20"))
    return min(int(value), COUNT_LIMIT)


def _sort(search: SearchPlan, resource_type: str, value: str) -> Iterator[Sort]:
    sortable = search.sortable(resource_type)
    for part in value.split(","):
        name = part.removeprefix("-")
        if name not in sortable:
            facts = {"type": resource_type, "name": shown(name), "allowed": sortable}
            raise Refused(Issue("sort-unknown", "_sort", facts | {"nearest": nearest(shown(name), sortable)}))
        yield Sort(name, descending=part.startswith("-"))


def _clause(asked: Asked, search: SearchPlan, resource_type: str, name: str, value: str, lenient: bool) -> None:
    """Take one restriction, or note that it is unknown."""
    try:
        named = read_name(search, resource_type, name, RESULT_PARAMETERS)
    except Refused as refused:
        if not lenient:
            raise
        asked.ignored += ignored(name, refused.issues)
        return
    parameter, modifier = named.parameter, named.modifier
    code = parameter.code
    values = tuple(values_of(value))
    if not all(values):
        raise Refused(bad_value(code, parameter.type, "a value is empty", f"{code}={parameter.example}"))
    if parameter.type == "token" and GUARDED_BAR(value):
        raise Refused(bad_value(code, "token", "no code here has a '|'", f"{code}={parameter.example}"))
    if parameter.type == "reference":
        values = tuple(each.removeprefix(asked.base + "/") for each in values)
        if modifier in parameter.targets:  # subject:Patient=1 says the same as subject=Patient/1
            values = tuple(each if "/" in each else f"{modifier}/{each}" for each in values)
            modifier = ""
    clause = Clause(code, values, modifier, named.path)
    if width(search, resource_type, clause) > WIDEST:
        raise Refused(Issue("search-too-complex", shown(name), {"what": "branches", "limit": WIDEST}))
    asked.clauses.append(clause)
    asked.applied.append((name, value))


def values_of(text: str) -> Iterator[str]:
    """Split at commas that no backslash guards, and take the guards away (R4 search, escaping)."""
    value = ""
    characters = iter(text)
    for character in characters:
        if character == ",":
            yield value
            value = ""
        elif character == "\\":
            following = next(characters, "")
            value += following if following and following in ESCAPED else character + following
        else:
            value += character
    yield value


def _too_much(clauses: list[Clause]) -> Iterator[Issue]:
    """A search that would make a statement of unbounded size is refused before the store sees it."""
    if sum(1 + len(clause.path) for clause in clauses) > CLAUSE_LIMIT:
        yield Issue("search-too-complex", "", {"what": "parameters", "limit": CLAUSE_LIMIT})
    if sum(len(clause.values) for clause in clauses) > VALUE_LIMIT:
        yield Issue("search-too-complex", "", {"what": "values", "limit": VALUE_LIMIT})
