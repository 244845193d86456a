"""The table of what is served under /fhir, and the ASGI callable that goes by it.

Routes, CapabilityStatement, OpenAPI and the access log all read the same rows.
https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import string
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO
from time import perf_counter
from typing import TYPE_CHECKING, Any

from fhir_facade.mapping.translating import translations
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest import large_batches
from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.admission import Admission
from fhir_facade.rest.answer import Answer, outcome_answer
from fhir_facade.rest.bodies import ClientLeft, body_of
from fhir_facade.rest.capabilities import ANSWERS as CAPABILITIES_ANSWERS
from fhir_facade.rest.capabilities import TAKES as CAPABILITIES_TAKES
from fhir_facade.rest.capabilities import capabilities, capability_statement
from fhir_facade.rest.changes import CHANGES
from fhir_facade.rest.changes import TAKES as CHANGE_TAKES
from fhir_facade.rest.compartments import search_compartment
from fhir_facade.rest.encoding import GZIP, IDENTITY, ZSTD, accepted_coding, encode, encoded_pieces
from fhir_facade.rest.everything import EVERYTHING
from fhir_facade.rest.formats import FORMAT_NAMED, choose_format, given_as, of_faults
from fhir_facade.rest.forwarded import Proxies, base_url_of, client_of
from fhir_facade.rest.history import HISTORY
from fhir_facade.rest.lineage import ANSWERS as LINEAGE_ANSWERS
from fhir_facade.rest.lineage import CANONICAL as LINEAGE
from fhir_facade.rest.lineage import TAKES as LINEAGE_TAKES
from fhir_facade.rest.lineage import lineage
from fhir_facade.rest.measures import MEASURES
from fhir_facade.rest.negotiation import JSON, language
from fhir_facade.rest.npr_check import NPR_CHECK
from fhir_facade.rest.read import read
from fhir_facade.rest.rendered import Rendered
from fhir_facade.rest.routing import Router
from fhir_facade.rest.scope import TYPE, TYPE_TAKES
from fhir_facade.rest.search import search_type
from fhir_facade.rest.services import Interaction, Request, Services
from fhir_facade.rest.subset import SUBSET_PARAMETERS as SUBSET_OF_READ
from fhir_facade.rest.system_search import search_system
from fhir_facade.rest.terminology import TERMINOLOGY
from fhir_facade.rest.threads import Threads
from fhir_facade.rest.transactions import process
from fhir_facade.rest.validation import VALIDATION
from fhir_facade.terminology.identity import is_national_identity_number

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import MappingSet

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

PREFIX = "/fhir"
BODY_LIMIT = 64 * 1024
REQUEST_ID_LIMIT = 64
MOST_BASES = 16  # base URLs, of those that proxies tell, whose services are kept
PLAIN = (string.ascii_letters + string.digits + "._-").encode()

SURFACE: tuple[Interaction, ...] = (
    Interaction(
        "capabilities", "GET", "/metadata", capabilities,
        "What this server does, as a CapabilityStatement; with mode=terminology as TerminologyCapabilities.",
        takes=CAPABILITIES_TAKES, answers=CAPABILITIES_ANSWERS,
    ),
    Interaction(
        "search-type", "GET", "/{type}", search_type,
        "Search a type. Repeated parameters are joined by AND, values separated by commas by OR.",
        reads="page",
    ),
    Interaction(
        "search-type", "POST", "/{type}/_search", search_type,
        "Search a type with the parameters in a form, for terms that may not stand in a URL.",
        takes_body=True, reads="page",
    ),
    Interaction(
        "search-system", "GET", "/", search_system,
        "Search several types at once, by the parameters that all of them have.",
        takes={TYPE: TYPE_TAKES}, answers=("Bundle",), reads="page",
    ),
    Interaction(
        "search-system", "POST", "/_search", search_system,
        "Search several types at once with the parameters in a form, for terms that may not stand in a URL.",
        takes_body=True, takes={TYPE: TYPE_TAKES}, answers=("Bundle",), reads="page",
    ),
    Interaction(
        "read", "GET", "/{type}/{id}", read,
        "Read one resource; ETag and Last-Modified say its version, and conditions on them are heeded.",
        takes=SUBSET_OF_READ, reads="record",
    ),
    Interaction(
        "lineage", "GET", "/{type}/{id}/$lineage", lineage,
        "Where each element of one resource came from: record field and value, line of the mapping, status.",
        operation=LINEAGE, takes=LINEAGE_TAKES, answers=LINEAGE_ANSWERS, reads="record",
    ),
    Interaction(
        "search-compartment", "GET", "/{compartment}/{id}/{type}", search_compartment,
        "Search what belongs to one resource: a type of its compartment, or with * all of it.",
        answers=("Bundle",), reads="page",
    ),
    Interaction(
        "search-compartment", "POST", "/{compartment}/{id}/{type}/_search", search_compartment,
        "Search what belongs to one resource with the parameters in a form, for terms that may not stand in a URL.",
        takes_body=True, answers=("Bundle",), reads="page",
    ),
    Interaction(
        "transaction", "POST", "/", lambda services, request: process(services, request, _inside),
        "Carry out a Bundle of requests: a transaction wholly or not at all, a batch entry by entry.",
        takes_body=True, takes_resource=True, takes=CHANGE_TAKES, answers=("Bundle",), reads="write",
    ),
    *CHANGES,
    *HISTORY,
    *EVERYTHING,
    *VALIDATION,
    *NPR_CHECK,
    *TERMINOLOGY,
    *MEASURES,
)  # fmt: skip


def served_by(services: Services) -> tuple[Interaction, ...]:
    """The rows that a server answers: all, or those that change nothing."""
    return SURFACE if services.writing is not None else tuple(row for row in SURFACE if not row.changes)


ROUTER = Router(SURFACE)
_UNROUTED = "(none)"


class FhirLane:
    """ASGI callable for all under /fhir: every request gets an answer, every fault an OperationOutcome.

    All that depends on mappings is behind `services`: one assignment gives the next request others, while those that
    have begun keep what they began with.
    """

    def __init__(
        self,
        services: Services,
        log: AccessLog | None = None,
        proxies: Proxies | None = None,
        threads: Threads | None = None,
        admission: Admission | None = None,
        body_seconds: float = 0,
    ) -> None:
        self._log = log or AccessLog("error")
        self._threads = threads
        self._proxies = proxies
        self._admission = admission or Admission()
        self._body_seconds = body_seconds
        self._by_base: dict[str, tuple[Services, Services]] = {}  # base URL → the services it was made of, those made
        self.services = replace(services, bad_row=self._log.bad_row, failed=self._log.failure)
        self.services = self.services_with(services.mapping_set)
        self._request_ids = map("{}-{:x}".format, itertools.repeat(secrets.token_hex(6)), itertools.count(1))

    def close(self) -> None:
        """Wait for what still asks the store."""
        if self._threads is not None:
            self._threads.close()

    def services_with(self, mapping_set: MappingSet) -> Services:
        """The services with other mappings, and all that is made of them made."""
        now = self.services
        mapping_set.search.use(now.catalogue)
        statement = capability_statement(mapping_set, served_by(now), now.base_url, now.version, now.packages)
        told = translations(mapping_set)
        rendered = Rendered(now.rendered.limit)  # what other mappings made is theirs
        return replace(now, mapping_set=mapping_set, translations=told, statement=statement, rendered=rendered)

    def services_for(self, scope: Scope) -> Services:
        """The services whose base URL is the one that the client knows; Refused when a proxy tells none."""
        now = self.services
        if self._proxies is None:
            return now
        peer = (scope.get("client") or ("",))[0]
        base = base_url_of(_joined(scope["headers"]), peer, self._proxies, now.base_url, PREFIX)
        if base == now.base_url:
            return now
        made_of, made = self._by_base.get(base, (None, now))
        if made_of is not now:  # new, or the mappings have changed since
            if len(self._by_base) >= MOST_BASES:
                del self._by_base[next(iter(self._by_base))]
            statement = capability_statement(now.mapping_set, served_by(now), base, now.version, now.packages)
            made = replace(now, base_url=base, statement=statement)
            self._by_base[base] = (now, made)
        return made

    def request_id(self, scope: Scope) -> str:
        """The id of a request: the client's own where it is one, else the next of ours."""
        return self._request(scope).request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, unless more are being answered than may be at a time."""
        request = self._request(scope)
        admission = self._admission
        client = client_of(request.headers, (scope.get("client") or ("",))[0], self._proxies)
        try:
            admission.enter(client)
        except Refused as refused:
            await self._send(_fault(request, refused.issues, refused.status), request, send)
            return
        try:
            await self._answered(request, scope, receive, send)
        finally:
            admission.leave(client)

    async def _answered(self, request: Request, scope: Scope, receive: Receive, send: Send) -> None:
        began = perf_counter() if self._log.each_request else 0.0
        services = self.services
        route = _UNROUTED
        try:
            if self._proxies is not None:
                services = self.services_for(scope)
            row = ROUTER.row_for(request, scope["path"][len(PREFIX) :], services)
            route = row.template
            if row.takes_body:
                await self._take_body(row, services, request, receive)
            if b"accept" in request.headers or FORMAT_NAMED(request.query) or row.takes_body:
                choose_format(request, row)
            if request.file is not None:
                answer = await large_batches.begun(request.file, services, request, partial(self._part, row, services))
            else:
                answer = await self._run(row, services, request)
        except Refused as refused:
            answer = _fault(request, refused.issues, refused.status)
        except ClientLeft:
            return
        except Exception as error:
            answer = self._failed(route, request, error)
        if answer.pieces is None:
            await self._send(answer, request, send)
        else:
            await self._send_pieces(answer, answer.pieces, request, receive, send)
        if request.file is not None:
            request.file.close()
        if self._log.each_request:
            self._log.request(request.method, PREFIX + route, answer.status, perf_counter() - began, request.request_id)

    async def _take_body(self, row: Interaction, services: Services, request: Request, receive: Receive) -> None:
        """Read the body of a request, or the file that a batch lies in which is not carried out as a whole."""
        larger = large_batches.larger_than(row, services, request)
        body = await body_of(request.headers, receive, _limit(row, services), self._body_seconds, larger)
        if not isinstance(body, bytes):
            request.file = body
        elif larger is not None and large_batches.has_many_entries(services, body):
            request.file = BytesIO(body)
        else:
            request.body = body

    async def _run(self, row: Interaction, services: Services, request: Request) -> Answer:
        if self._threads is None or not row.reads:
            return answered(row, services, request)
        return await self._threads.run(row, answered, services, request)

    async def _part(self, row: Interaction, services: Services, request: Request) -> Answer:
        """What a part of a batch answers; Refused when there is no room for it."""
        try:
            return await self._run(row, services, request)
        except Refused:
            raise
        except Exception as error:
            return self._failed(row.template, request, error)

    def _failed(self, route: str, request: Request, error: Exception) -> Answer:
        self._log.failure(route, request.request_id, error)
        return _fault(request, [Issue("internal-error", "", {"request_id": request.request_id})], 500)

    async def _send_pieces(
        self, answer: Answer, pieces: AsyncIterator[bytes], request: Request, receive: Receive, send: Send
    ) -> None:
        """Send what is made on the way, until its end or until the client is gone."""
        coding = accepted_coding(request.headers.get(b"accept-encoding", b""))
        headers = [*answer.headers, (b"x-request-id", request.request_id.encode())]
        if coding is not None and coding.name != IDENTITY:
            headers.append((b"content-encoding", coding.name.encode()))
            pieces = encoded_pieces(pieces, coding)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        gone = asyncio.ensure_future(receive())
        try:
            async for piece in pieces:
                if gone.done():
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()

    async def _send(self, answer: Answer, request: Request, send: Send) -> None:
        if b"accept-encoding" in request.headers:
            answer = await _encoded(request, answer)
        headers = answer.headers
        headers.append((b"x-request-id", request.request_id.encode()))
        body = answer.body
        if answer.status != 304:
            headers.append((b"content-length", b"%d" % len(body)))
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else body})

    def _request(self, scope: Scope) -> Request:
        raw = scope["headers"]
        headers = dict(raw)
        if len(headers) != len(raw):
            headers = _joined(raw)
        offered = headers.get(b"x-request-id")
        request_id = _sane(offered) if offered is not None else ""
        return Request(scope["method"], scope["query_string"], headers, request_id or next(self._request_ids))


async def _encoded(request: Request, answer: Answer) -> Answer:
    """The answer compressed as the client likes it; a fault is told as it is to who takes no coding of ours."""
    coding = accepted_coding(request.headers[b"accept-encoding"])
    if coding is not None:
        await encode(answer, coding)
    elif answer.status == 200:
        return _fault(request, [Issue("coding-not-acceptable", "", {"allowed": [ZSTD, GZIP, IDENTITY]})], 406)
    return answer


def _inside(services: Services, request: Request, path: str) -> Answer:
    """What a request of a Bundle is answered that only reads."""
    row = ROUTER.row_for(request, path, services)
    if row.changes:
        raise ValueError("an entry that changes something is carried out by the Bundle")
    return row.handler(services, request)


def answered(row: Interaction, services: Services, request: Request) -> Answer:
    """What a row answers, in the format that was asked for."""
    answer = row.handler(services, request)
    if request.format != JSON:
        given_as(answer, request.format)
    return answer


def _fault(request: Request, issues: Sequence[Issue], status: int) -> Answer:
    """The OperationOutcome of issues, in the language and the format that the client would like."""
    answer = outcome_answer(issues, status, language(request.headers.get(b"accept-language", b"")))
    given_as(answer, of_faults(request))
    return answer


def _joined(raw: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Headers that came more than once, their values in one list (RFC 9110, 5.3)."""
    headers: dict[bytes, bytes] = {}
    for name, value in raw:
        headers[name] = headers[name] + b", " + value if name in headers else value
    return headers


def _sane(offered: bytes) -> str:
    """The client's request id if it may stand in a header and in a log, else nothing."""
    if not 0 < len(offered) <= REQUEST_ID_LIMIT or offered.translate(None, PLAIN):
        return ""
    text = offered.decode()
    digits = "".join(letter for letter in text if letter.isdigit())
    windows = (digits[start : start + 11] for start in range(len(digits) - 10))
    return "" if any(map(is_national_identity_number, windows)) else text


def _limit(row: Interaction, services: Services) -> int:
    """The most bytes that the body of a request may have."""
    if row.changes and services.writing is not None:
        return services.writing.most_bytes if row.code != "transaction" else services.writing.most_bundle_bytes
    return services.most_validated if row.takes_resource else BODY_LIMIT
