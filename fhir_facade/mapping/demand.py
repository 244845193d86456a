"""What a demand on the examples of a mapping is, and what rows see of a record: the ground of coverage.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.codecs import holds
from fhir_facade.mapping.ir import Condition, Each, Rule
from fhir_facade.mapping.kinds import Field

Scope = tuple[Record, Record]
"""What a row sees: the record or list item, and the record around it."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Something that at least one example must show; `met` judges a complete record.

    `child` and `fields` say on what it depends, for those who make examples: the list ("" the record itself) and the
    fields; `values` are values that may help, and `word` is a name for such an example. `hint` has values by field
    that should meet it, None for a field that should be absent; small examples of one `word` go into one file.
    """

    at: str
    said: str
    word: str
    child: str
    fields: tuple[str, ...]
    values: tuple[str, ...]
    met: Callable[[Record], bool]
    hint: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where rows stand: the whole record, or a list of it with the items that the list row shows."""

    fields: Mapping[str, Field]
    outer: Mapping[str, Field]
    each: Each | None = None

    @property
    def child(self) -> str:
        return self.each.child if self.each else ""

    def scopes(self, record: Record) -> Iterator[Scope]:
        """What the rows see of a record, once for each item."""
        if self.each is None:
            yield record, record
        elif all(holds(test, record) for test in self.each.when):
            items = [item for item in items_of(record, self.child) if all(holds(test, item) for test in self.each.keep)]
            yield from ((item, record) for item in (items[:1] if self.each.first else items))

    def is_always_there(self, name: str) -> bool:
        known = self.outer if name.startswith("^") else self.fields
        found = known.get(name.removeprefix("^"))
        return found is not None and found.required == "always"

    def is_certain(self, test: Condition) -> bool:
        """Whether no record can fail a test: that a field is there which always is."""
        return not test.values and self.is_always_there(test.field)


def items_of(record: Record, child: str) -> list[Record]:
    """The items of a list of a record."""
    return list(record.get(child) or ())


def value_in(scope: Scope, name: str) -> Any:
    """The value of a field as a row sees it; "^field" is the record around."""
    return scope[1].get(name[1:]) if name.startswith("^") else scope[0].get(name)


def holds_in(scope: Scope, test: Condition) -> bool:
    """Whether a condition of a row is true."""
    if test.field.startswith("^"):
        return holds(replace(test, field=test.field[1:]), scope[1])
    return holds(test, scope[0])


def named(place: Place, name: str) -> str:
    return f"{place.child}.{name}" if place.child else name


def reaches(rule: Rule, scope: Scope) -> bool:
    return all(holds_in(scope, test) for test in rule.when)


def words(tests: Iterable[Condition]) -> str:
    return ", ".join(f"{test.field}: {' or '.join(test.values) or 'present'}" for test in tests)
