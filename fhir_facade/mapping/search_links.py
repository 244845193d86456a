"""How one record leads to another in a search: the columns on both sides of a reference, and tests across them.

A literal reference leads to a record by its key. A logical reference leads to the records whose resource bears the
same identifier (https://hl7.org/fhir/R4/references.html#logical).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BinaryExpression,
    ColumnElement,
    False_,
    FromClause,
    Select,
    and_,
    exists,
    false,
    literal,
    or_,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.operators import in_op

from fhir_facade.mapping.columns import KEY, column_name, link_column
from fhir_facade.mapping.ir import Condition, Identify, Key, Logical, Refer, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fhir_facade.mapping.to_where import SearchPlan, Source

Where = ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Link:
    """Equal values in `near`, of the row that refers, and `far`, of a row that is meant; `when` must hold there."""

    near: str
    far: str
    when: tuple[Condition, ...] = ()


def links(rule: Rule, target: Source) -> list[Link]:
    """How what a rule writes leads to the resources of a source; empty when it never does."""
    if not isinstance(rule, Refer | Logical) or rule.to != target.rules.resource_type:
        return []
    if isinstance(rule, Refer):
        leads = rule.kind == target.kind.name and rule.prefix == id_prefix(target)
        return [Link(KEY if rule.link == "key" else link_column(rule.link), KEY)] if leads else []
    return [
        Link(column_name(rule.field), column_name(own.field), own.when)
        for own in (flat.hit.rule for flat in target.flat if flat.names == ("identifier",) and flat.hit.each is None)
        if isinstance(own, Identify) and own.system is not None and own.system.uri == rule.system.uri
    ]


def id_prefix(source: Source) -> str:
    """What stands before the record key in the ids of a source's resources, without its hyphen."""
    return next((rule.prefix for rule in source.rules.rules if isinstance(rule, Key)), "")


def guard(table: FromClause, condition: Condition) -> Where:
    """A guard as SQL; "^field" never stands in a guard that search meets."""
    column = table.c[column_name(condition.field.removeprefix("^"))]
    return column.in_(condition.values) if condition.values else column.is_not(None)


def is_never(test: Where) -> bool:
    """Whether a test is plainly false, so that nothing need be read to know that no row passes it."""
    return isinstance(getattr(test, "element", test), False_)


def any_of(tests: Iterable[Where]) -> Where:
    """Whether one of the tests holds.

    What is sought in several places by one column is sought in all of them at once: PostgreSQL takes an index for one
    list of values, and for no alternative of two.
    """
    kept: list[Where] = []
    sought: dict[ColumnElement[Any], list[Select[Any]]] = {}
    for test in tests:
        right = getattr(getattr(test, "right", None), "element", None)
        if isinstance(test, BinaryExpression) and test.operator is in_op and isinstance(right, Select):
            sought.setdefault(test.left, []).append(right)
        elif not is_never(test):
            kept.append(test)
    kept += [near.in_(found[0] if len(found) == 1 else union_all(*found)) for near, found in sought.items()]
    return or_(*kept) if kept else false()


def all_of(tests: Iterable[Where]) -> Where:
    """Whether all of the tests hold."""
    every = list(tests)
    return false() if any(map(is_never, every)) else and_(true(), *every)


def related(
    near: ColumnElement[Any], far: ColumnElement[Any], tests: list[Where], *, table: FromClause, other: FromClause,
    seek: bool,
) -> Where:  # fmt: skip
    """Whether `near`, of `table`, is the `far` of a row of `other` that passes the tests.

    With `seek` the rows of `other` are sought first, on their own, and lead to those of `table` by an index: right
    where few pass. Without it each row of `table` in turn is looked up in `other`: right where many do, for a page is
    soon full.
    """
    if any(map(is_never, tests)):
        return false()
    if seek:
        return near.in_(select(far).select_from(other).where(*tests))
    return exists(select(literal(1)).select_from(other).where(far == near, *tests).correlate(table))


class ReferenceGraph:
    """Which resource types refer to which, and by which search parameters: what chains and includes can follow."""

    def __init__(self, plan: SearchPlan) -> None:
        self._plan = plan
        self._leads: dict[tuple[str, str], tuple[str, ...]] = {}

    def leads_to(self, resource_type: str, code: str) -> tuple[str, ...]:
        """The types that rows of a reference parameter refer to and that are served here; () for what is none."""
        if (resource_type, code) not in self._leads:
            parameter = self._plan.parameters(resource_type).get(code)
            is_reference = parameter is not None and parameter.type == "reference"
            self._leads[resource_type, code] = self._targets(resource_type, code) if is_reference else ()
        return self._leads[resource_type, code]

    def _targets(self, resource_type: str, code: str) -> tuple[str, ...]:
        sources = self._plan.sources(resource_type)
        rules = [hit.rule for source in sources for hit in self._plan.hits(source, code)]
        named = sorted({rule.to for rule in rules if isinstance(rule, Refer | Logical)})
        return tuple(to for to in named if any(links(rule, each) for rule in rules for each in self._plan.sources(to)))

    @cached_property
    def pointing_at(self) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
        """Resource type → the types whose resources refer to it → by which reference parameters."""
        out: dict[str, dict[str, tuple[str, ...]]] = {}
        for other in self._plan.types:
            for code in self._plan.parameters(other):
                for resource_type in self.leads_to(other, code):
                    known = out.setdefault(resource_type, {})
                    known[other] = (*known.get(other, ()), code)
        return out
