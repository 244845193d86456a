"""Versions over HTTP: one version, and the history of a resource or of a type.

https://hl7.org/fhir/R4/http.html#vread, https://hl7.org/fhir/R4/http.html#history. A version is told by the mappings
of today: its id ends in their hash, so an id with another hash belongs to a form that is no longer given.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer, pretty
from fhir_facade.rest.conditional import instant_of
from fhir_facade.rest.negotiation import language
from fhir_facade.rest.paging import PageToken
from fhir_facade.rest.parameters import COUNT_DEFAULT, COUNT_LIMIT
from fhir_facade.rest.query_string import (
    GENERAL,
    Pairs,
    bad_value,
    check_format,
    general_parameters,
    is_pretty,
    join_pairs,
    pairs_of,
    refuse_person_number,
    unknown_parameter,
)
from fhir_facade.rest.read import FHIR_ID, versions
from fhir_facade.rest.search import outcome_entry
from fhir_facade.rest.services import Interaction, Request, Services
from fhir_facade.rest.subset import SUBSET_PARAMETERS
from fhir_facade.store.batches import shown
from fhir_facade.store.versions import Kept

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping

VERSION = re.compile(r"([0-9]{1,15})-([0-9a-f]{8})").fullmatch
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)").fullmatch
LAST_KEY = "\U0010ffff"
FIRST_VERSION = 1
TAKES = {
    "_since": ("instant", "2026-01-01T00:00:00Z", "Only versions that were made at this instant or after it."),
    "_count": ("integer", "20", f"How many versions a page has: from 1 to {COUNT_LIMIT}."),
    "_page": ("string", "", "Where to go on; taken from a link of a Bundle, never made up, and good for a while."),
}

Place = tuple[str, int, str, int]
"""Where a version stands in the order of a history: instant, source, key, version."""


@dataclass(frozen=True, slots=True)
class Told:
    """A version as one mapping tells it; `source` is the mapping's place among those of the history."""

    mapping: CompiledMapping
    source: int
    kept: Kept

    @property
    def place(self) -> Place:
        return self.kept.changed, self.source, self.kept.key, self.kept.version


@dataclass(slots=True)
class Asked:
    """What the parameters of a history say."""

    since: str = ""
    count: int = COUNT_DEFAULT
    page: str = ""
    indented: bool = False
    applied: Pairs = field(default_factory=list)
    general: Pairs = field(default_factory=list)


def vread(services: Services, request: Request) -> Answer:
    """One version of a resource: 410 when that version is its deletion."""
    indented, subset = general_parameters(request)
    mapping, key = _named(services, request)
    found = VERSION(request.version)
    kept = services.store.version(mapping.kind.name, key, int(found[1])) if found else None
    if kept is None or (found and found[2] != mapping.hash8):
        raise Refused(_unknown_version(services, request, mapping, kept))
    if kept.record is None:
        raise Refused(Issue("resource-deleted", f"{request.type}.id", {"type": request.type}))
    headers, current = versions(request, mapping, (kept.version, kept.changed))
    if current:
        return Answer(304, b"", *headers)
    issues: list[Issue] = []
    body = mapping.serve(kept.record, issues)
    if issues:
        headers = (*headers, (b"x-fhir-issues", str(len(issues)).encode()))
    if subset:
        body = subset.of_bytes(body)
    return Answer(200, pretty(body) if indented else body, *headers)


def history_of_one(services: Services, request: Request) -> Answer:
    """All versions of one resource, the newest first."""
    mapping, key = _named(services, request)

    def find(asked: Asked, after: Place | None, count: int) -> list[Told]:
        before = after[3] if after else 0
        kept = services.store.history(mapping.kind.name, key, count, before=before, since=asked.since)
        return [Told(mapping, 0, each) for each in kept]

    return _history(services, request, f"{request.type}/{request.id}/_history", find)


def history_of_type(services: Services, request: Request) -> Answer:
    """All versions of all resources of a type, the newest first."""
    return _history_of(services, request, f"{request.type}/_history", services.mapping_set.by_type[request.type])


def history_of_all(services: Services, request: Request) -> Answer:
    """All versions of all resources, the newest first."""
    every = [mapping for _, mappings in sorted(services.mapping_set.by_type.items()) for mapping in mappings]
    return _history_of(services, request, "_history", every)


def _history_of(services: Services, request: Request, path: str, mappings: Sequence[CompiledMapping]) -> Answer:
    def find(asked: Asked, after: Place | None, count: int) -> list[Told]:
        found = []
        for source, mapping in enumerate(mappings):
            place = None if after is None else _place_in(after, source)
            kept = services.store.history_of_kind(mapping.kind.name, count, after=place, since=asked.since)
            found += [Told(mapping, source, each) for each in kept]
        found.sort(key=lambda each: (each.kept.key, each.kept.version), reverse=True)
        found.sort(key=lambda each: each.source)
        found.sort(key=lambda each: each.kept.changed, reverse=True)
        return found[:count]

    return _history(services, request, path, find)


def _place_in(after: Place, source: int) -> tuple[str, str, int]:
    """The place in one source behind which lies what comes after a place in all of them."""
    changed, of, key, version = after
    if source == of:
        return changed, key, version
    return (changed, LAST_KEY, 0) if source > of else (changed, "", 0)


# ---- what is asked


def _named(services: Services, request: Request) -> tuple[CompiledMapping, str]:
    """The mapping and the key of an id that is known, now or once; Refused when it never was."""
    if not FHIR_ID(request.id):
        raise Refused(Issue("id-invalid", f"{request.type}.id"))
    for mapping in services.mapping_set.by_type[request.type]:
        key = mapping.key_of(request.id)
        if key is not None and services.store.last_version(mapping.kind.name, key) is not None:
            return mapping, key
    raise Refused(Issue("not-found", f"{request.type}.id", {"type": request.type}))


def _unknown_version(services: Services, request: Request, mapping: CompiledMapping, kept: Kept | None) -> Issue:
    facts = {"version": shown(request.version), "type": request.type, "now": "", "naa": ""}
    if kept is not None:  # told by other mappings than those of today
        name = mapping.etag((kept.version, "")).removeprefix("W/")
        facts |= {"now": f"; it is called {name} now", "naa": f"; den heter {name} nå"}
    return Issue("version-unknown", f"{request.type}.id", facts)


def _asked(request: Request) -> Asked:
    asked = Asked()
    seen = set()
    for name, value in pairs_of(request.query):
        refuse_person_number(f"{name} {value}", request.type)
        if name in seen:
            raise Refused(Issue("parameter-repeated", shown(name), {"name": shown(name)}))
        seen.add(name)
        if name == "_since":
            asked.since = _instant(value)
        elif name == "_count":
            if not (value.isascii() and value.isdigit() and 0 < len(value) < 10 and int(value)):
                raise Refused(bad_value("_count", "integer", f"not a number from 1 to {COUNT_LIMIT}", "_count=20"))
            asked.count = min(int(value), COUNT_LIMIT)
        elif name == "_page":
            if not value:
                raise Refused(Issue("page-token-invalid", "_page"))
            asked.page = value
        elif name in GENERAL:
            if name == "_format":
                check_format(value)
            else:
                asked.indented = is_pretty(value)
        else:
            raise Refused(unknown_parameter(name, "_history", (*TAKES, *GENERAL)))
        if name != "_page":
            (asked.general if name in GENERAL else asked.applied).append((name, value))
    return asked


def _instant(value: str) -> str:
    """An instant as the store writes it, in UTC to the millisecond."""
    try:
        if not INSTANT(value):
            raise ValueError
        moment = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Refused(bad_value("_since", "instant", "no instant", "_since=2026-01-01T00:00:00Z")) from None
    return instant_of(moment)


def _start(services: Services, asked: Asked, path: str) -> Place | None:
    if not asked.page:
        return None
    token = services.tokens.open(asked.page, services.now())
    if token.mappings != services.mapping_set.hash:
        raise Refused(Issue("page-token-outdated", "_page"))
    if token.search != _bound_to(path, asked):
        raise Refused(Issue("page-token-invalid", "_page"))
    changed, source, key, version = token.position
    return changed, source, key, version


def _bound_to(path: str, asked: Asked) -> str:
    return hashlib.sha256(repr((path, asked.since)).encode()).hexdigest()[:16]


# ---- the Bundle


def _history(
    services: Services, request: Request, path: str, find: Callable[[Asked, Place | None, int], list[Told]]
) -> Answer:
    asked = _asked(request)
    found = find(asked, _start(services, asked, path), asked.count + 1)
    page = found[: asked.count]
    links = [{"relation": "self", "url": _link(services, path, asked, asked.page)}]
    if len(found) > len(page):
        token = PageToken(_bound_to(path, asked), page[-1].place, mappings=services.mapping_set.hash)
        sealed = services.tokens.seal(token, services.now())
        links.append({"relation": "next", "url": _link(services, path, asked, sealed)})
    issues: list[Issue] = []
    entries = list(_entries(services, page, issues))
    if issues:
        tongue = language(request.headers.get(b"accept-language", b""))
        entries.append(outcome_entry(issues, links[0]["url"], tongue))
    head = b'{"resourceType":"Bundle","type":"history","link":' + orjson.dumps(links)
    body = head + (b',"entry":[' + b",".join(entries) + b"]}" if entries else b"}")
    return Answer(200, pretty(body) if asked.indented else body)


def _link(services: Services, path: str, asked: Asked, page: str) -> str:
    pairs = [*asked.applied, *([("_page", page)] if page else []), *asked.general]
    text = join_pairs(pairs)
    return f"{services.base_url}/{path}" + (f"?{text}" if text else "")


def _entries(services: Services, page: Sequence[Told], issues: list[Issue]) -> Iterator[bytes]:
    for told in page:
        mapping, kept = told.mapping, told.kept
        own = f"{mapping.resource_type}/{mapping.id_of(kept.key)}"
        method, url, status = "PUT", own, "200"
        if kept.record is None:
            method, status = "DELETE", "204"
        elif kept.version == FIRST_VERSION:
            method, url, status = "POST", mapping.resource_type, "201"
        entry: dict[str, Any] = {"fullUrl": f"{services.base_url}/{own}"}
        if kept.record is not None:
            try:
                entry["resource"] = orjson.Fragment(mapping.serve(kept.record, issues))
            except Exception as error:
                row = hashlib.sha256(f"{mapping.kind.name}\0{kept.key}".encode()).hexdigest()[:12]
                services.bad_row(mapping.name, row, error)
                issues.append(Issue("record-not-rendered", "", {"row": row}))
                continue
        entry["request"] = {"method": method, "url": url}
        etag = mapping.etag((kept.version, kept.changed))
        entry["response"] = {"status": status, "etag": etag}
        if INSTANT(kept.changed):
            entry["response"]["lastModified"] = kept.changed
        yield orjson.dumps(entry)


HISTORY: tuple[Interaction, ...] = (
    Interaction(
        "vread", "GET", "/{type}/{id}/_history/{vid}", vread,
        "Read one version of a resource, as it was; the ids of versions stand in ETag and meta.versionId.",
        takes=SUBSET_PARAMETERS, reads="page",
    ),
    Interaction(
        "history-instance", "GET", "/{type}/{id}/_history", history_of_one,
        "All versions of a resource, the newest first, its deletion among them.",
        takes=TAKES, answers=("Bundle",), reads="page",
    ),
    Interaction(
        "history-type", "GET", "/{type}/_history", history_of_type,
        "All versions of all resources of a type, the newest first.",
        takes=TAKES, answers=("Bundle",), reads="page",
    ),
    Interaction(
        "history-system", "GET", "/_history", history_of_all,
        "All versions of all resources, the newest first.",
        takes=TAKES, answers=("Bundle",), reads="page",
    ),
)  # fmt: skip
