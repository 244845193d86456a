"""Compartments: which resources belong to a patient, a stay, a professional, as R4 defines it and rows say it.

https://hl7.org/fhir/R4/compartmentdefinition.html. Membership goes by literal references: a parameter that no row
fills, or that reads identifiers only, puts nothing into a compartment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import orjson

from fhir_facade.contracts import Record
from fhir_facade.mapping.following import Edge, Referring, keys_in, searched_edges
from fhir_facade.resources import data_root

if TYPE_CHECKING:
    from fhir_facade.mapping.to_where import SearchPlan


@dataclass(frozen=True, slots=True)
class Compartment:
    """One compartment as far as it is served: `types` has the edges that lead to its middle, by resource type."""

    type: str
    url: str
    types: Mapping[str, tuple[Edge, ...]]

    def within(self, plan: SearchPlan, mapping: str, key: str) -> Referring:
        """The searches of a plan inside the compartment of one resource, which is in it itself."""
        edges = [edge for found in self.types.values() for edge in found]
        return Referring(plan, edges, {mapping: [key]}, {mapping: [key]})

    def middles(self, resource_type: str, record: Record) -> set[tuple[str, str]]:
        """The (mapping, record key) in whose compartments a record of a type is; its own is not told."""
        return {
            (edge.target, key) for edge in self.types.get(resource_type, ()) for key in keys_in(record, edge)
        }  # fmt: skip


@lru_cache(maxsize=4)
def compartments(plan: SearchPlan) -> Mapping[str, Compartment]:
    """The compartments with more in them than their own middle, by its type."""
    served = {}
    for name, (url, members) in _defined().items():
        types: dict[str, tuple[Edge, ...]] = {name: ()} if name in plan.types else {}
        for edge in searched_edges(plan):
            if name in types and edge.to == name and edge.parameter in members.get(edge.type, ()):
                types[edge.type] = (*types.get(edge.type, ()), edge)
        if len(types) > 1:
            others = sorted(types.items())
            served[name] = Compartment(name, url, {name: types[name]} | dict(others))
    return served


@cache
def _defined() -> Mapping[str, tuple[str, Mapping[str, Sequence[str]]]]:
    """R4's CompartmentDefinitions: type → url, and type → search parameters (tools/build_compartments.py)."""
    table = orjson.loads((data_root("profiles") / "r4" / "compartments.json").read_bytes())
    return {name: (each["url"], each["types"]) for name, each in table["compartments"].items()}
