"""The operation $lineage: where each element of one resource came from, as Parameters or as a Provenance.

https://hl7.org/fhir/R4/operations.html, https://hl7.org/fhir/R4/provenance.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from fhir_facade.contracts import Record
from fhir_facade.mapping.lineage import Lineage, below
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer, pretty
from fhir_facade.rest.query_string import (
    GENERAL,
    bad_value,
    check_format,
    is_pretty,
    pairs_of,
    refuse_person_number,
    unknown_parameter,
)
from fhir_facade.rest.read import look_up, versions
from fhir_facade.rest.services import Request, Services
from fhir_facade.store.batches import shown

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet

CANONICAL = "http://fhir-facade.no/fhir/OperationDefinition/lineage"
DATE = "2026-11-23"
RECORD_KEY = "http://fhir-facade.no/fhir/NamingSystem/record-key"
MAPPING = "http://fhir-facade.no/fhir/NamingSystem/mapping"

# FHIRPaths inside the target. R4 4.0.1 has no such extension of its own; this is that of the HL7 extensions pack,
# which is published for R4 too: https://hl7.org/fhir/extensions/StructureDefinition-targetPath.html. Its sister
# targetElement holds an element id, and what is rendered from records has none.
TARGET_PATH = "http://hl7.org/fhir/StructureDefinition/targetPath"

FORMS = ("parameters", "provenance")
TAKES: Mapping[str, tuple[str, str, str]] = {  # name → type, example, meaning
    "form": (
        "code",
        "provenance",
        "parameters (default): one 'element' for each leaf; provenance: one Provenance of them all.",
    ),
    "path": ("string", "id", "Only this element and what is below it, as FHIRPath with indexes."),
}
ANSWERS = ("Parameters", "Provenance")


class Asked(NamedTuple):
    """What a request asks for; `path` is "" for the whole resource."""

    form: str = "parameters"
    path: str = ""
    indented: bool = False


def lineage(services: Services, request: Request) -> Answer:
    """Answer the lineage of the resource of this type and id, with the version and the conditions of a read."""
    asked = _asked(request) if request.query else Asked()
    mapping, record = look_up(services.mapping_set, services.store, request.type, request.id)
    headers, current = versions(request, mapping, mapping.version_of(record))
    if current:
        return Answer(304, b"", *headers)
    issues: list[Issue] = []
    entries = mapping.explain(record, issues)
    if asked.path:
        entries = _below(entries, asked.path)
    if asked.form == "provenance":
        answer = provenance(mapping, record, request.id, entries, services.version)
    else:
        answer = parameters(entries)
    body = orjson.dumps(answer)
    if issues:
        headers = (*headers, (b"x-fhir-issues", str(len(issues)).encode()))
    return Answer(200, pretty(body) if asked.indented else body, *headers)


def _asked(request: Request) -> Asked:
    """Read the query string; Refused with the first fault."""
    asked, seen = Asked(), set[str]()
    for name, value in pairs_of(request.query):
        refuse_person_number(f"{name} {value}", request.type)
        if name in seen:
            raise Refused(Issue("parameter-repeated", name, {"name": name}))
        if name == "_format":
            check_format(value)
        elif name == "_pretty":
            asked = asked._replace(indented=is_pretty(value))
        elif name == "form":
            if value not in FORMS:
                raise Refused(bad_value("form", "code", f"none of {', '.join(FORMS)}", "form=provenance"))
            asked = asked._replace(form=value)
        elif name == "path":
            if not value.strip():
                raise Refused(bad_value("path", "string", "it is empty", "path=period.start"))
            asked = asked._replace(path=value)
        else:
            raise Refused(unknown_parameter(name, f"{request.type}/$lineage", (*TAKES, *GENERAL)))
        seen.add(name)
    return asked


def _below(entries: list[Lineage], path: str) -> list[Lineage]:
    try:
        return below(entries, path)
    except ValueError as near:
        raise Refused(Issue("element-unknown-here", "path", {"path": shown(path), "nearest": str(near)})) from None


def parameters(entries: Iterable[Lineage]) -> dict[str, Any]:
    """Parameters with one `element` for each leaf; a part without a value is left out."""
    return {
        "resourceType": "Parameters",
        "parameter": [{"name": "element", "part": list(_parts(entry))} for entry in entries],
    }


def _parts(entry: Lineage) -> Iterator[dict[str, Any]]:
    yield {"name": "path", "valueString": entry.path}
    if entry.field:
        yield {"name": "epjField", "valueString": entry.field}
    if entry.value is not None and entry.value != "":
        yield {"name": "epjValue", **_typed(entry.value)}
    if entry.at:
        yield {"name": "rule", "valueString": entry.at}
    if entry.code_map:
        yield {"name": "codeMap", "valueString": entry.code_map}
    yield {"name": "status", "valueCode": entry.status}


def _typed(value: Any) -> dict[str, Any]:
    """A record's value as value[x]; what is no plain value as JSON."""
    match value:
        case bool():
            return {"valueBoolean": value}
        case int() if -(2**31) <= value < 2**31:
            return {"valueInteger": value}
        case str():
            return {"valueString": value}
        case _:
            return {"valueString": orjson.dumps(value).decode()}


def provenance(
    mapping: CompiledMapping, record: Record, resource_id: str, entries: Iterable[Lineage], version: str
) -> dict[str, Any]:
    """A Provenance of the elements: made of this record, by this mapping, when the record last changed."""
    paths = [{"url": TARGET_PATH, "valueString": entry.path} for entry in entries]
    key = {"system": RECORD_KEY, "value": f"{mapping.kind.name}/{record['$key']}"}
    named = {"system": MAPPING, "value": f"{mapping.name}|{mapping.version}"}
    assembler = {"system": "http://terminology.hl7.org/CodeSystem/provenance-participant-type", "code": "assembler"}
    return {
        "resourceType": "Provenance",
        "target": [{"extension": paths, "reference": f"{mapping.resource_type}/{resource_id}"}],
        "recorded": mapping.version_of(record)[1],
        "agent": [
            {
                "type": {"coding": [assembler | {"display": "Assembler"}]},
                "who": {"type": "Device", "display": f"fhir_facade {version}"},
            }
        ],
        "entity": [
            {"role": "source", "what": {"identifier": key}},
            {"role": "derivation", "what": {"identifier": named}},
        ],
    }


def operation_definition(mapping_set: MappingSet, version: str) -> dict[str, Any]:
    """The OperationDefinition that the canonical names, as it is published beside the OpenAPI document."""
    inputs = [
        {"name": name, "use": "in", "min": 0, "max": "1", "documentation": meaning, "type": kind}
        for name, (kind, _, meaning) in TAKES.items()
    ]
    out = "Parameters with an 'element' for each leaf, or a Provenance."
    return {
        "resourceType": "OperationDefinition",
        "url": CANONICAL,
        "version": version,
        "name": "Lineage",
        "title": "Where the elements of a resource came from",
        "status": "active",
        "kind": "operation",
        "date": DATE,
        "description": "For each leaf: FHIRPath, field and value of the record, file and line of the mapping, status.",
        "affectsState": False,
        "code": "lineage",
        "comment": "Asked for with GET only.",
        "resource": sorted(mapping_set.by_type),
        "system": False,
        "type": False,
        "instance": True,
        "parameter": [
            *inputs,
            {"name": "return", "use": "out", "min": 1, "max": "1", "documentation": out, "type": "Resource"},
        ],
    }
