"""FHIR resources as the records that rules are asked about: each put into its record, references among them followed.

Nothing is stored. What a resource says that no record can hold, or that is refused, is told with its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from fhir_facade.bundles.references import references_in
from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.structure import structure_faults
from fhir_facade.outcome import Issue, Refused
from fhir_facade.writing_back import mapping_for, with_every_field

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet


@dataclass(frozen=True, slots=True)
class Inbound:
    """A resource that was sent, as a record; `at` is its place in what was sent, "" for itself."""

    mapping: CompiledMapping
    record: Record
    at: str


def resources_in(sent: Resource) -> Iterator[tuple[str, str, Resource]]:
    """The place, fullUrl and content of each resource that was sent: those of a Bundle, or the one."""
    if sent.get("resourceType") != "Bundle":
        yield "", "", sent
        return
    entries = sent.get("entry")
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict):
            url = entry.get("fullUrl")
            yield f"Bundle.entry[{number}].resource", url if isinstance(url, str) else "", resource


def records_of(mapping_set: MappingSet, sent: Resource) -> tuple[list[Inbound], list[Issue]]:
    """The records of what was sent, and what could not be taken; a resource of no mapping is left out and told."""
    found, issues = list[Inbound](), list[Issue]()
    waiting = list(resources_in(sent))
    urls = {url for _, url, _ in waiting if url}
    known: dict[str, str] = {}  # fullUrl → the place that its record gives it
    numbers = count(1)
    while waiting:
        ready = [each for each in waiting if not (_pointed(each[2], urls) - known.keys() - {each[1]})] or waiting[:1]
        waiting = [each for each in waiting if each not in ready]
        for at, url, resource in ready:
            taken = _taken(mapping_set, _led(resource, known), at, numbers, issues)
            if taken is not None:
                found.append(taken)
                known[url] = f"{taken.mapping.resource_type}/{taken.mapping.id_of(taken.record['$key'])}"
            else:
                known.setdefault(url, url)
    order = [at for at, _, _ in resources_in(sent)]
    return sorted(found, key=lambda each: order.index(each.at)), issues


def _pointed(resource: Resource, urls: set[str]) -> set[str]:
    return {link.text for link in references_in(resource) if link.text in urls}


def _led(resource: Resource, known: Mapping[str, str]) -> Resource:
    """The resource with its references to others that were sent led to the ids that those have here."""
    links = [link for link in references_in(resource) if link.kind == "Reference" and link.text in known]
    if not links:
        return resource
    led = deepcopy(resource)
    for link in links:
        place: Any = led
        for step in link.steps[:-1]:
            place = place[step]
        place[link.steps[-1]] = known[link.text]
    return led


def _taken(
    mapping_set: MappingSet, resource: Resource, at: str, numbers: Iterator[int], issues: list[Issue]
) -> Inbound | None:
    try:
        if faults := structure_faults(resource):
            raise Refused(*faults)
        mapping = mapping_for(mapping_set, resource)
        written = mapping.to_record(resource, policy="keep", assign=lambda *_: next(numbers))
    except Refused as refused:
        issues += _placed(refused.issues, resource, at)
        return None
    issues += _placed(written.issues, resource, at)
    if written.record is None:
        return None
    record = mapping.kinds.complete(mapping.kind, with_every_field(mapping.kind, written.record))
    return Inbound(mapping, record, at)


def _placed(issues: Sequence[Issue], resource: Resource, at: str) -> Iterator[Issue]:
    """The issues with places in what was sent."""
    kind = str(resource.get("resourceType"))
    for issue in issues:
        yield replace(issue, at=at + issue.at.removeprefix(kind)) if at else issue
