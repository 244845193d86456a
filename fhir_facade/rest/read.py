"""Read one resource: id → record → the bytes of its FHIR form. https://hl7.org/fhir/R4/http.html#read"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fhir_facade.contracts import Record
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer, Header, pretty
from fhir_facade.rest.conditional import http_date, not_modified
from fhir_facade.rest.query_string import general_parameters
from fhir_facade.rest.services import Request, SearchableStore, Services
from fhir_facade.rest.subset import ALL

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet

FHIR_ID = re.compile(r"[A-Za-z0-9.-]{1,64}").fullmatch


def read(services: Services, request: Request) -> Answer:
    """Answer the resource of this type and id with its version; 304 when the client has it."""
    indented, subset = general_parameters(request) if request.query else (False, ALL)
    mapping, record = look_up(services.mapping_set, services.store, request.type, request.id)
    headers, current = versions(request, mapping, record)
    if current:
        return Answer(304, b"", *headers)
    issues: list[Issue] = []
    body = mapping.serve(record, issues)
    if subset:
        body = subset.of_bytes(body)
    if indented:
        body = pretty(body)
    if issues:
        return Answer(200, body, *headers, (b"x-fhir-issues", str(len(issues)).encode()))
    return Answer(200, body, *headers)


def versions(request: Request, mapping: CompiledMapping, record: Record) -> tuple[tuple[Header, ...], bool]:
    """The headers that say a record's version, and whether the client has that version already."""
    etag = mapping.etag(record).encode()
    modified = http_date(mapping.last_modified(record))
    headers = request.headers
    asked = b"if-none-match" in headers or b"if-modified-since" in headers
    return ((b"etag", etag), (b"last-modified", modified)), asked and not_modified(request, etag, modified)


def look_up(
    mapping_set: MappingSet, store: SearchableStore, resource_type: str, resource_id: str
) -> tuple[CompiledMapping, Record]:
    """The record behind an id; the id's prefix says which mapping it belongs to. Refused when there is none."""
    for mapping in mapping_set.by_type[resource_type]:
        key = mapping.key_of(resource_id)
        if key is not None:
            record = store.get(mapping.kind.name, key)
            if record is not None:
                return mapping, record
    if not FHIR_ID(resource_id):
        raise Refused(Issue("id-invalid", f"{resource_type}.id"))
    raise Refused(Issue("not-found", f"{resource_type}.id", {"type": resource_type}))
