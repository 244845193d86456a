"""Search: parameters → Query → page of records → the bytes of a searchset Bundle.

https://hl7.org/fhir/R4/http.html#search. The links of the Bundle are made in links.py.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from time import perf_counter

import orjson

from fhir_facade.contracts import Found, Page, Query
from fhir_facade.outcome import Issue, Refused, operation_outcome
from fhir_facade.rest.answer import MOST_ISSUES, Answer, pretty
from fhir_facade.rest.explain import check_explain, explanation
from fhir_facade.rest.includes import included
from fhir_facade.rest.links import Start, opened, page_links
from fhir_facade.rest.negotiation import language, lenient
from fhir_facade.rest.parameters import Asked
from fhir_facade.rest.query_string import Pairs, pairs_of, refuse_person_number
from fhir_facade.rest.scope import OneType, Scope
from fhir_facade.rest.services import Request, Services
from fhir_facade.rest.subset import ALL, Subset

FORM = b"application/x-www-form-urlencoded"
MATCH, INCLUDED = b"match", b"include"
LENIENT_APPLIED = (b"preference-applied", b"handling=lenient")


def search_type(services: Services, request: Request) -> Answer:
    """Answer the Bundle of one page of matches of a type."""
    return answer_search(services, request, OneType(request.type, request.type, services.mapping_set.search))


def answer_search(services: Services, request: Request, scope: Scope) -> Answer:
    """Answer the Bundle of one page of what a request asks of a scope."""
    began = perf_counter()
    is_lenient = lenient(request.headers.get(b"prefer", b""))
    asked, hidden, start = _asked(services, request, scope, is_lenient)
    if asked.explain:
        check_explain(services)
    # https://hl7.org/fhir/R4/search.html#count: with _count=0 only the number is asked for
    total = asked.total or asked.count == 0
    clauses = tuple(asked.clauses)
    query = Query("", clauses, asked.sort, max(asked.count, 1), start.position, total, start.backward)
    page = scope.find(services, asked, query)
    if asked.count == 0:
        page = Page((), more=False, total=page.total)
    issues = list(asked.ignored)
    entries = entries_of(services, page.matches, issues, asked.subset)
    entries += entries_of(
        services, included(services, asked.includes, page.matches, issues), issues, asked.subset.of_included, INCLUDED
    )
    if asked.explain:
        took = 1000 * (perf_counter() - began)
        issues += explanation(scope.explain(services, asked, query), page, took)
    links = page_links(services, scope.path, asked, start, page, hidden=hidden)
    body = searchset(request, links, entries, issues, page.total)
    headers = [LENIENT_APPLIED] if is_lenient else []
    return Answer(200, pretty(body) if asked.indented else body, *headers)


def _asked(services: Services, request: Request, scope: Scope, is_lenient: bool) -> tuple[Asked, bool, Start]:
    """Return what URL and body ask, whether its terms stay out of links, and where the page begins."""
    asked = scope.read(services, visible_pairs(request) + pairs_of(_form(request)), lenient=is_lenient)
    return opened(services, scope, asked, hidden=request.body is not None)


def visible_pairs(request: Request) -> Pairs:
    """What the query string asks; Refused when an identity number stands in it."""
    pairs = pairs_of(request.query)
    for name, value in pairs:
        refuse_person_number(f"{name} {value}", request.type)
    return pairs


def _form(request: Request) -> bytes:
    """The form of a POST search; a body of another media type is refused."""
    if not request.body:
        return b""
    if request.headers.get(b"content-type", b"").split(b";")[0].strip().lower() != FORM:
        raise Refused(Issue("media-type-unsupported", "", {"allowed": FORM.decode()}))
    return request.body


def entries_of(
    services: Services, places: Sequence[Found], issues: list[Issue], subset: Subset = ALL, mode: bytes = MATCH
) -> list[bytes]:
    """Each resource as a ready entry; a record that cannot be rendered becomes an issue, not a failed page."""
    heads: dict[str, bytes] = {}
    tail = b',"search":{"mode":"%b"}}' % mode
    is_part = bool(subset)
    entries = []
    for found in places:
        body = found.made
        if body is None or is_part:
            try:
                body = body or _rendered(services, found, issues)
                body = subset.of_bytes(body) if is_part else body
            except Exception as error:
                issues.append(_bad_row(services, found, error))
                continue
        head = heads.get(found.mapping) or heads.setdefault(found.mapping, _head(services, found.mapping))
        entries.append(b'%b%b","resource":%b%b' % (head, found.key.encode(), body, tail))
    return entries


def _head(services: Services, name: str) -> bytes:
    """What an entry begins with, up to the record's key."""
    mapping = services.mapping_set.mappings[name]
    prefix = f"{mapping.id_prefix}-" if mapping.id_prefix else ""
    return f'{{"fullUrl":"{services.base_url}/{mapping.resource_type}/{prefix}'.encode()


def _rendered(services: Services, found: Found, issues: list[Issue]) -> bytes:
    """A match as it goes out; kept for the next time where nothing has to be told of it."""
    told = len(issues)
    body = services.mapping_set.mappings[found.mapping].serve(found.record, issues)
    if found.stamp is not None and len(issues) == told:
        services.rendered.put(found.mapping, found.key, found.stamp, body)
    return body


def _bad_row(services: Services, found: Found, error: BaseException) -> Issue:
    """Tell operator and client of one row by the same reference, which says nothing about whose it is."""
    kind = services.mapping_set.mappings[found.mapping].kind
    row = hashlib.sha256(f"{kind.name}\0{found.key}".encode()).hexdigest()[:12]
    services.bad_row(found.mapping, row, error)
    return Issue("record-not-rendered", "", {"row": row})


def outcome_entry(issues: list[Issue], self_link: str, tongue: str) -> bytes:
    """The last entry, which says what the reader should know; the same issue is said once."""
    said = list({str(issue): issue for issue in issues}.values())[:MOST_ISSUES]
    entry = {
        "fullUrl": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, self_link)}",
        "resource": operation_outcome(said, tongue),
        "search": {"mode": "outcome"},
    }
    return orjson.dumps(entry)


def searchset(
    request: Request, links: dict[str, str], entries: list[bytes], issues: list[Issue], total: int | None = None
) -> bytes:
    """The Bundle of entries; what the reader should know stands in the last one."""
    if issues:
        entries.append(outcome_entry(issues, links["self"], language(request.headers.get(b"accept-language", b""))))
    return _bundle(links, entries, total)


def _bundle(links: dict[str, str], entries: list[bytes], total: int | None) -> bytes:
    """Join the parts; an empty list is left out, as FHIR wants."""
    link = orjson.dumps([{"relation": relation, "url": url} for relation, url in links.items()])
    counted = b"" if total is None else b'"total":%d,' % total
    head = b'{"resourceType":"Bundle","type":"searchset",' + counted + b'"link":' + link
    if not entries:
        return head + b"}"
    whole = entries.copy()  # joined once: a copy of a page costs more than all the rest here
    whole[0] = b'%b,"entry":[%b' % (head, whole[0])
    whole[-1] += b"]}"
    return b",".join(whole)
