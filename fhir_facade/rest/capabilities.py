"""The CapabilityStatement and the TerminologyCapabilities: mappings and surface table said in FHIR.

https://hl7.org/fhir/R4/http.html#capabilities
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from fhir_facade.mapping.compartments import compartments
from fhir_facade.outcome import Issue, Refused
from fhir_facade.patching.formats import FORMATS
from fhir_facade.rest.answer import Answer, pretty
from fhir_facade.rest.canonical_resources import TYPES as CANONICAL_TYPES
from fhir_facade.rest.conditional import not_modified
from fhir_facade.rest.includes import forward_values, reverse_values
from fhir_facade.rest.negotiation import MEDIA
from fhir_facade.rest.query_string import (
    GENERAL,
    bad_value,
    check_format,
    is_pretty,
    pairs_of,
    refuse_person_number,
    unknown_parameter,
)
from fhir_facade.rest.scope import common_parameters
from fhir_facade.rest.services import Interaction, Request, Services
from fhir_facade.rest.subset import ALL, SUBSET_PARAMETERS, Subset, with_parameter
from fhir_facade.rest.terminology_resources import terminology_capabilities
from fhir_facade.rest.terminology_search import search_parameters

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import MappingSet
    from fhir_facade.mapping.to_where import Parameter
    from fhir_facade.packages.registry import Packages

CANONICAL = "http://fhir-facade.no/fhir/CapabilityStatement/server"
DATE = "2026-11-23"  # when what can be said here last changed; not the hour of a start: bytes stay the same
MODES = ("full", "terminology")
TAKES: Mapping[str, tuple[str, str, str]] = {
    "mode": (
        "code",
        "terminology",
        "full (default): the CapabilityStatement; terminology: the TerminologyCapabilities.",
    ),
    **SUBSET_PARAMETERS,
}
ANSWERS = ("CapabilityStatement", "TerminologyCapabilities")


def capabilities(services: Services, request: Request) -> Answer:
    """Answer the statement made at start, or what can be said of terminology now."""
    mode, indented, subset = _asked(request) if request.query else ("full", False, ALL)
    of_terms = mode == "terminology"
    statement = orjson.dumps(terminology_capabilities(services, DATE)) if of_terms else services.statement
    if subset:
        statement = _part(statement, subset)
    etag = _etag(statement)
    if not_modified(request, etag):
        return Answer(304, b"", (b"etag", etag))
    body = pretty(statement) if indented else statement
    return Answer(200, body, (b"etag", etag))


def _asked(request: Request) -> tuple[str, bool, Subset]:
    """The mode, whether to indent, and which part is wanted; Refused with the first fault."""
    values: dict[str, str] = {}
    for name, value in pairs_of(request.query):
        refuse_person_number(f"{name} {value}", request.type)
        if name not in (*TAKES, *GENERAL):
            raise Refused(unknown_parameter(name, "/metadata", (*TAKES, *GENERAL)))
        if name in values:
            raise Refused(Issue("parameter-repeated", name, {"name": name}))
        values[name] = value
    if values.get("mode", "full") not in MODES:
        raise Refused(bad_value("mode", "code", f"none of {', '.join(MODES)}", "mode=terminology"))
    check_format(values.get("_format", "json"))
    mode, subset = values.get("mode", "full"), ALL
    for name in SUBSET_PARAMETERS.keys() & values.keys():
        subset = with_parameter(subset, ANSWERS[MODES.index(mode)], name, values[name], searching=False)
    return mode, is_pretty(values.get("_pretty", "false")), subset


@lru_cache(maxsize=8)
def _part(statement: bytes, subset: Subset) -> bytes:
    return subset.of_bytes(statement)


@lru_cache(maxsize=4)
def _etag(statement: bytes) -> bytes:
    return b'W/"' + hashlib.sha256(statement).hexdigest()[:16].encode() + b'"'


CHANGES = {"updateCreate": True, "conditionalCreate": True, "conditionalUpdate": True, "conditionalDelete": "single"}
WHOLE = {
    "search-system": ("search-system",), "history-system": ("history-system",), "transaction": ("transaction", "batch")
}  # fmt: skip
"""Interactions with the whole system, by the code of their row."""


def capability_statement(
    mapping_set: MappingSet,
    surface: Sequence[Interaction],
    base_url: str,
    version: str,
    packages: Packages | None = None,
) -> bytes:
    """Return the statement as JSON; the same mappings and packages give the same bytes."""
    profiles = packages.profiles() if packages else {}
    loaded = packages.loaded if packages else ()
    guides = list(dict.fromkeys(guide for package in loaded for guide in package.guides))
    held = f"; packages: {', '.join(package.label for package in loaded)}" if loaded else ""
    statement = {
        "resourceType": "CapabilityStatement",
        "url": CANONICAL,
        "version": version,
        "name": "FhirFacade",
        "title": "FHIR facade over Norwegian hospital records",
        "status": "active",
        "date": DATE,
        "description": "What is mapped can be read and searched; nothing else is claimed.",
        "kind": "instance",
        "software": {"name": "fhir_facade", "version": version},
        "implementation": {"description": f"fhir_facade{held}", "url": base_url},
        "fhirVersion": "4.0.1",
        "format": [each for name in MEDIA for each in (MEDIA[name][0], name)],
        **({"patchFormat": list(FORMATS)} if any(row.code == "patch" for row in surface) else {}),
        **({"implementationGuide": guides} if guides else {}),
        "rest": [_rest(mapping_set, surface, profiles)],
    }
    return orjson.dumps(statement)


def _rest(mapping_set: MappingSet, surface: Sequence[Interaction], profiles: Mapping[str, list[str]]) -> dict[str, Any]:
    by_code: Mapping[str, str] = {
        row.code: row.documentation
        for row in reversed(surface)
        if row.template.startswith("/{type}") and not row.operation
    }
    operations = _operations(surface, "{type}")
    codes = sorted(by_code)
    resources, types = [], sorted(mapping_set.by_type)
    for resource_type in types:
        parameters = mapping_set.search.parameters(resource_type)
        resource: dict[str, Any] = {
            "type": resource_type,
            **({"supportedProfile": profiles[resource_type]} if resource_type in profiles else {}),
            "interaction": [{"code": code, "documentation": by_code[code]} for code in codes],
            "versioning": "versioned",
            "readHistory": "vread" in by_code,
            "conditionalRead": "full-support",
            **(CHANGES if "update" in by_code else {}),
        }
        if parameters:
            included = {
                "searchInclude": forward_values(mapping_set.search, resource_type),
                "searchRevInclude": reverse_values(mapping_set.search, resource_type),
            }
            resource |= {name: values for name, values in included.items() if values}
            resource["searchParam"] = [search_param(parameters[code]) for code in sorted(parameters)]
        resource["operation"] = [*operations, *_operations(surface, resource_type)]
        resources.append(resource)
    resources += [_canonical(resource_type, surface) for resource_type in CANONICAL_TYPES]
    whole = [
        {"name": row.code, "definition": row.operation, "documentation": f"{row.documentation} {row.method} only."}
        for row in surface
        if row.operation and row.template.count("/") == 1
    ]
    return {
        "mode": "server",
        "documentation": "Unknown parameters are refused unless handling is lenient; bad values always.",
        "security": {"description": "No access control yet: bind it to this machine only, or serve synthetic data."},
        "resource": sorted(resources, key=lambda each: str(each["type"])),
        "interaction": [
            {"code": code, "documentation": row.documentation}
            for row in surface
            for code in WHOLE.get(row.code, ())
            if row.method == "GET" or row.code != "search-system"
        ],
        "searchParam": [search_param(each) for each in common_parameters(mapping_set.search, types).values()],
        "compartment": [each.url for each in compartments(mapping_set.search).values()],
        "operation": whole,
    }


def _operations(surface: Sequence[Interaction], first: str) -> list[dict[str, Any]]:
    """The operations of the rows whose path begins so: each once, with what its rows say."""
    found: dict[str, dict[str, Any]] = {}
    for row in surface:
        if row.operation and row.template.split("/")[1] == first:
            said = f"{row.documentation} {row.method} only."
            known = found.setdefault(row.code, {"name": row.code, "definition": row.operation, "documentation": ""})
            known["documentation"] = f"{known['documentation']} {said}".strip()
    return list(found.values())


def _canonical(resource_type: str, surface: Sequence[Interaction]) -> dict[str, Any]:
    """What is served of one of the types that do not come from records."""
    rows = {row.code: row for row in reversed(surface) if row.template.split("/")[1] == resource_type}
    said = [
        {"code": code, "documentation": row.documentation} for code, row in sorted(rows.items()) if not row.operation
    ]
    operations = [
        {"name": code, "definition": row.operation, "documentation": row.documentation}
        for code, row in sorted(rows.items())
        if row.operation
    ]
    operations += [each for each in _operations(surface, "{type}") if each["name"] == "validate"]
    parameters = []
    for name, (kind, example, modifiers) in search_parameters(resource_type).items():
        words = f"Example: {name}={example}."
        if modifiers:
            words += f" Modifiers: {', '.join(':' + each for each in sorted(modifiers))}."
        parameters.append({"name": name, "type": kind, "documentation": words})
    return {
        "type": resource_type,
        "interaction": said,
        "versioning": "no-version",
        "readHistory": False,
        "conditionalRead": "full-support",
        "searchParam": parameters,
        "operation": operations,
    }


def search_param(parameter: Parameter) -> dict[str, Any]:
    """One search parameter as the statement lists it."""
    out: dict[str, Any] = {"name": parameter.code}
    if parameter.url:
        out["definition"] = parameter.url
    out["type"] = parameter.type
    out["documentation"] = described(parameter)
    return out


def described(parameter: Parameter) -> str:
    """The sentence about a parameter: an example and the modifiers it takes."""
    words = f"Example: {parameter.code}={parameter.example}."
    if parameter.modifiers:
        words += f" Modifiers: {', '.join(':' + modifier for modifier in sorted(parameter.modifiers))}."
    return words
