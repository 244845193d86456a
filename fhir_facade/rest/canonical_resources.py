"""Resources that are served and do not come from records: they have a canonical, and are found by their heads.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections.abc import Iterator

from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.measure_resources import TYPE as MEASURE
from fhir_facade.rest.measure_resources import measures
from fhir_facade.rest.services import Services
from fhir_facade.rest.terminology_resources import TYPES as TERMINOLOGY_TYPES
from fhir_facade.rest.terminology_resources import Listed
from fhir_facade.rest.terminology_resources import listed as terminology

TYPES = tuple(sorted((*TERMINOLOGY_TYPES, MEASURE)))


def listed(services: Services, resource_type: str) -> Iterator[Listed]:
    """Every resource of a type."""
    return measures(services) if resource_type == MEASURE else terminology(services, resource_type)


def by_id(services: Services, resource_type: str, resource_id: str) -> Listed:
    """The resource of an id; Refused when there is none."""
    for each in listed(services, resource_type):
        if each.id == resource_id:
            return each
    raise Refused(Issue("not-found", f"{resource_type}.id", {"type": resource_type}))
