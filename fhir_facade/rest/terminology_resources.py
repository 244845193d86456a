"""The terminology resources that are served: what is known of each without making it, and how it is made."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from fhir_facade.contracts import Resource
from fhir_facade.rest.services import Services
from fhir_facade.rest.terminology_inputs import EXPAND
from fhir_facade.terminology.concepts import CodeSystem
from fhir_facade.terminology.expansion import MOST
from fhir_facade.terminology.resources import code_system_resource, resource_id, value_set_resource

TYPES = ("CodeSystem", "ConceptMap", "ValueSet")
NOT_IN_ID = re.compile(r"[^A-Za-z0-9.-]+")
MOST_OF_ID = 40  # characters, so that a version has room behind it


@dataclass(frozen=True, slots=True)
class Listed:
    """The head of one resource; `also` are other URIs that its url is known by, `make` gives the whole."""

    id: str
    url: str
    version: str
    name: str
    title: str
    make: Callable[[], Resource]
    also: tuple[str, ...] = ()
    status: str = "active"


def listed(services: Services, resource_type: str) -> Iterator[Listed]:
    """Every resource of a type."""
    if resource_type == "CodeSystem":
        yield from _code_systems(services)
    elif resource_type == "ValueSet":
        yield from _value_sets(services)
    else:
        yield from _concept_maps(services)


def _code_systems(services: Services) -> Iterator[Listed]:
    for newest in services.catalogue.code_systems():
        for place, each in enumerate(services.catalogue.editions(newest.edition.url)):
            edition = each.edition
            identity = resource_id(edition.url)
            if place:  # the newest has the plain id, so that it leads to what is right today
                identity = f"{identity[:MOST_OF_ID]}-{NOT_IN_ID.sub('-', edition.version or 'shipped')}"[:64]
            yield Listed(
                identity, edition.url, edition.version, edition.name, edition.title,
                partial(_code_system, each, identity), also=edition.identifiers,
            )  # fmt: skip


def _code_system(code_system: CodeSystem, identity: str) -> Resource:
    return code_system_resource(code_system) | {"id": identity}


def _value_sets(services: Services) -> Iterator[Listed]:
    for each in services.catalogue.value_sets():
        yield Listed(
            resource_id(each.url), each.url, each.version, each.name, each.title,
            partial(value_set_resource, each), also=each.identifiers,
        )  # fmt: skip


def _concept_maps(services: Services) -> Iterator[Listed]:
    for each in services.translations.by_url.values():
        identity, url, version, name, title = (
            str(each.resource.get(part, "")) for part in ("id", "url", "version", "name", "title")
        )
        yield Listed(identity, url, version, name, title, partial(dict, each.resource))


def terminology_capabilities(services: Services, day: str) -> Resource:
    """What is said of terminology as a whole, https://hl7.org/fhir/R4/terminologycapabilities.html."""
    catalogue = services.catalogue
    return {
        "resourceType": "TerminologyCapabilities",
        "url": "http://fhir-facade.no/fhir/TerminologyCapabilities/server",
        "version": services.version,
        "name": "FhirFacadeTerminology",
        "title": "Norwegian terminology of the FHIR facade",
        "status": "active",
        "date": day,
        "description": "The code systems that are loaded; of no other anything is known. No network is used.",
        "kind": "instance",
        "software": {"name": "fhir_facade", "version": services.version},
        "implementation": {"description": "fhir_facade", "url": services.base_url},
        "lockedDate": True,
        "codeSystem": [_told(services, each.edition.url) for each in catalogue.code_systems()],
        "expansion": {
            "hierarchical": False,
            "paging": True,
            "incomplete": True,
            "parameter": [{"name": name, "documentation": meaning} for name, (_, _, meaning) in EXPAND.takes.items()],
            "textFilter": f"Whole codes and displays, then beginnings, then words; at most {MOST} codes in an answer.",
        },
        "codeSearch": "all",
        "validateCode": {"translations": False},
        "translation": {"needsMap": False},
    }


def _told(services: Services, url: str) -> dict[str, Any]:
    """One code system with its editions, the newest first."""
    editions = [each.edition for each in services.catalogue.editions(url)]
    versions = [{"code": each.version, "isDefault": place == 0} for place, each in enumerate(editions) if each.version]
    return {"uri": url} | ({"version": versions} if versions else {}) | {"subsumption": True}
