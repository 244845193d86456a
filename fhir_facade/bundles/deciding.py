"""Which references the id of a resource is made of, by the mappings: those that fill a field of the record's key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fhir_facade.bundles.entries import Entry
from fhir_facade.bundles.order import Decides
from fhir_facade.bundles.references import Link
from fhir_facade.mapping.ir import Path, Refer
from fhir_facade.profile.references import type_of

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet


def decided_by(mapping_set: MappingSet) -> Decides:
    """The test that `naming_of` asks, for these mappings; a type of several mappings has the references of them all."""
    by_type = {
        name: [path for mapping in mappings for path in _paths(mapping)]
        for name, mappings in mapping_set.by_type.items()
    }

    def decides(entry: Entry, link: Link) -> bool:
        resource = entry.resource or {}
        return any(_is_at(resource, link.steps, path) for path in by_type.get(type_of(resource), ()))

    return decides


def _paths(mapping: CompiledMapping) -> list[Path]:
    """Where the references stand that fill the key; those of a list never do, for a key is of the record alone."""
    kind, found = mapping.kind, []
    for rule in mapping.rules.rules:
        if isinstance(rule, Refer):
            fields = kind.links[rule.link].fields if rule.link in kind.links else kind.key
            if set(fields) & set(kind.key):
                found.append(rule.path)
    return found


def _is_at(resource: Any, steps: Sequence[str | int], path: Path) -> bool:
    """Whether the steps to a `Reference.reference` go along a path of a mapping; extensions are told by their url."""
    if [step for step in steps if isinstance(step, str)] != [*(step.name for step in path), "reference"]:
        return False
    value, ahead = resource, iter(path)
    here = None
    for step in steps[:-1]:
        value = value[step]
        if isinstance(step, str):
            here = next(ahead)
        elif here is not None and here.url and value.get("url") != here.url:
            return False
    return True
