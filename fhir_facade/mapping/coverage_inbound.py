"""What examples from outside must show: each standard code without the record's own code beside it, read back.

Part of coverage.py. An inbound resource rarely knows Norwegian record codes; what a bare standard code becomes is a
choice of the code map (`reverse`), and each such choice needs an example.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.concept_map import choices_back
from fhir_facade.mapping.ir import Coded, CodeMap, Each, MappingRules
from fhir_facade.mapping.take import inbound


@dataclass(frozen=True)
class Sent:
    """A resource from outside with the standard code `code` alone, which the record must hold as `own`."""

    rule: Coded
    code_map: CodeMap
    each: Each | None
    code: str
    own: str

    @property
    def said(self) -> str:
        where = f"{self.each.child}.{self.rule.field}" if self.each else self.rule.field
        return (
            f"no example from outside in which code '{self.code}' alone becomes '{self.own}' of '{where}' "
            f"by code map {self.code_map.name}"
        )

    def met(self, sent: Resource, record: Record) -> bool:
        """Whether an example shows it: what was sent has the code and nowhere the record's own, and that is stored."""
        items = record.get(self.each.child) or () if self.each else [record]
        if not any(item.get(self.rule.field) == self.own for item in items):
            return False
        if (self.code_map.source.uri, self.own) in codings(sent):
            return False
        if self.rule.shape == "code":
            return self.code in values_of(sent, self.rule.path[-1].name)
        return (self.code_map.target_system, self.code) in codings(sent)


def sent_codes(mapping: MappingRules) -> Iterator[Sent]:
    """Every standard code of a mapping's code maps that leads back to one record code."""
    found: dict[tuple[str, str, str], Sent] = {}
    for rule in inbound(mapping.rules):
        inner = rule.rules if isinstance(rule, Each) and not rule.records else (rule,)
        each = rule if isinstance(rule, Each) else None
        for one in inner:
            if isinstance(one, Coded) and one.code_map is not None:
                for code, own in choices_back(one.code_map).items():
                    demand = Sent(one, one.code_map, each, code, own)
                    found.setdefault((demand.said, code, own), demand)
    yield from found.values()


def unsent(mapping: MappingRules, shown: Sequence[tuple[Resource, Record]]) -> Iterator[Sent]:
    """The demands that no example from outside, as (what was sent, what is stored then), meets."""
    yield from (demand for demand in sent_codes(mapping) if not any(demand.met(*pair) for pair in shown))


def codings(value: Any) -> set[tuple[str, str]]:
    """(system, code) of every coding in a resource."""
    if isinstance(value, list):
        return set().union(*map(codings, value))
    if not isinstance(value, dict):
        return set()
    own = {(str(value["system"]), str(value["code"]))} if "system" in value and "code" in value else set()
    return own.union(*map(codings, value.values()))


def values_of(value: Any, name: str) -> set[Any]:
    """The plain values of every member of this name."""
    if isinstance(value, list):
        return set().union(*(values_of(item, name) for item in value))
    if not isinstance(value, dict):
        return set()
    own = {value[name]} if isinstance(value.get(name), str) else set()
    return own.union(*(values_of(inner, name) for inner in value.values()))
