"""Read one resource: id → record → the bytes of its FHIR form. https://hl7.org/fhir/R4/http.html#read"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from fhir_facade.contracts import Record, Stamp, Version
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer, Header, pretty
from fhir_facade.rest.conditional import http_date, is_conditional, not_modified
from fhir_facade.rest.query_string import general_parameters
from fhir_facade.rest.services import Request, SearchableStore, Services
from fhir_facade.rest.subset import ALL, Subset

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet

Headers = tuple[Header, ...]

FHIR_ID = re.compile(r"[A-Za-z0-9.-]{1,64}").fullmatch


def read(services: Services, request: Request) -> Answer:
    """Answer the resource of this type and id with its version; 304 when the client has it.

    What was rendered before is answered again when the record is in the same state.
    """
    indented, subset = general_parameters(request) if request.query else (False, ALL)
    state = _state(services, request) if services.rendered.limit or is_conditional(request) else None
    if state is not None:
        mapping, key, stamp = state
        headers, current = versions(request, mapping, stamp[:2])
        kept = None if current else services.rendered.get(mapping.name, key, stamp)
        if current or kept is not None:
            return Answer(304, b"", *headers) if kept is None else _answer(kept, headers, indented, subset)
    mapping, record = look_up(services.mapping_set, services.store, request.type, request.id)
    version = mapping.version_of(record)
    headers, current = versions(request, mapping, version)
    if current:
        return Answer(304, b"", *headers)
    issues: list[Issue] = []
    body = mapping.serve(record, issues)
    if issues:
        headers = (*headers, (b"x-fhir-issues", str(len(issues)).encode()))
    elif state is not None and version == state[2][:2]:  # as it was a moment ago
        services.rendered.put(mapping.name, state[1], state[2], body)
    return _answer(body, headers, indented, subset)


def _answer(body: bytes, headers: Headers, indented: bool, subset: Subset) -> Answer:
    if subset:
        body = subset.of_bytes(body)
    return Answer(200, pretty(body) if indented else body, *headers)


def versions(request: Request, mapping: CompiledMapping, version: Version) -> tuple[Headers, bool]:
    """The headers that say a record's version, and whether the client has that version already."""
    etag, modified = mapping.etag(version).encode(), http_date(version[1])
    current = is_conditional(request) and not_modified(request, etag, modified)
    return ((b"etag", etag), (b"last-modified", modified)), current


def _state(services: Services, request: Request) -> tuple[CompiledMapping, str, Stamp] | None:
    """The record behind an id, by its key, and the state that it is in; None when there is none."""
    for mapping in services.mapping_set.by_type[request.type]:
        key = mapping.key_of(request.id)
        if key is not None:
            stamp = services.store.stamp(mapping.kind.name, key)
            if stamp is not None:
                return mapping, key, stamp
    return None


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
            if store.last_version(mapping.kind.name, key) is not None:
                raise Refused(Issue("resource-deleted", f"{resource_type}.id", {"type": resource_type}))
    if not FHIR_ID(resource_id):
        raise Refused(Issue("id-invalid", f"{resource_type}.id"))
    raise Refused(Issue("not-found", f"{resource_type}.id", {"type": resource_type}))
