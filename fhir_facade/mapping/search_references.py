"""The values of reference parameters: read, refused where no reference here can say them, and as SQL.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, FromClause, false, or_

from fhir_facade.mapping.chained import Place
from fhir_facade.mapping.columns import KEY, link_column
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.ir import Logical, Refer
from fhir_facade.mapping.search_hits import Hit
from fhir_facade.mapping.search_links import guard, id_prefix, links, related
from fhir_facade.mapping.search_values import invalid, reference_value
from fhir_facade.outcome import Issue, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from fhir_facade.mapping.to_where import Parameter, SearchPlan

Where = ColumnElement[bool]


def reference_build(
    plan: SearchPlan, resource_type: str, parameter: Parameter, text: str, place: Place
) -> Callable[[Hit, FromClause], Where]:
    """What a value of a reference parameter means for each of its hits; Refused when it can mean nothing here."""
    kind, key = reference_value(parameter.code, text)
    if kind is not None and "://" not in kind:
        _check_type(parameter, kind)
    if not plan.graph.leads_to(resource_type, parameter.code):
        raise Refused(Issue("search-reference-logical", parameter.code, {"name": parameter.code}))
    return lambda hit, table: _reference(plan, hit, kind, key, replace(place, table=table))


def _check_type(parameter: Parameter, kind: str) -> None:
    if kind.endswith("/_history"):
        raise invalid(parameter.code, "reference", "no reference here names a version; write Type/id")
    if parameter.targets and kind not in parameter.targets:
        facts = {"name": parameter.code, "allowed": parameter.targets, "nearest": nearest(kind, parameter.targets)}
        raise Refused(Issue("search-reference-type", parameter.code, facts))


def _reference(plan: SearchPlan, hit: Hit, kind: str | None, key: str, place: Place) -> Where:
    """A reference to Type/id: a literal one says it, a logical one names an identifier that the resource has."""
    rule, table = hit.rule, place.table
    if not isinstance(rule, Refer | Logical) or (kind is not None and kind != rule.to):
        return false()
    if isinstance(rule, Refer):
        head = f"{rule.prefix}-" if rule.prefix else ""
        column = KEY if rule.link == "key" else link_column(rule.link)
        return table.c[column] == key.removeprefix(head) if key.startswith(head) else false()
    out: list[Where] = []
    for target in plan.sources(rule.to):
        head = f"{prefix}-" if (prefix := id_prefix(target)) else ""
        for link in links(rule, target) if key.startswith(head) else ():
            other = place.tables[target.kind.name].alias()
            tests = [other.c[KEY] == key.removeprefix(head), *(guard(other, each) for each in link.when)]
            near, far = table.c[link.near], other.c[link.far]
            out.append(related(near, far, tests, table=table, other=other, seek=True))
    return or_(false(), *out)
