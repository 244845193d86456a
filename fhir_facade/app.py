"""Put the server together: settings in, one ASGI application out. Nothing else assembles anything."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from html import escape

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from fhir_facade import __version__, garbage
from fhir_facade.api_pages import PATH as PAGES
from fhir_facade.api_pages import page_files, page_headers
from fhir_facade.json_text import JsonLimits
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.npr.shipped import Indicators, shipped_rules
from fhir_facade.outbox.delivering import Delivering, Teller
from fhir_facade.outbox.state import status
from fhir_facade.outcome import Issue, Refused, operation_outcome
from fhir_facade.profile.validator import Validator
from fhir_facade.reloading import Reloader
from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.admission import Admission
from fhir_facade.rest.canonical_resources import TYPES as CANONICAL_TYPES
from fhir_facade.rest.conditional import has_tag
from fhir_facade.rest.forwarded import Proxies
from fhir_facade.rest.mapping_pages import HEADERS as PAGE_HEADERS
from fhir_facade.rest.mapping_pages import PATH as MAPPINGS
from fhir_facade.rest.mapping_pages import Page as MappingPage
from fhir_facade.rest.mapping_pages import index_page, table_page
from fhir_facade.rest.negotiation import language
from fhir_facade.rest.openapi import openapi
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.rendered import Rendered
from fhir_facade.rest.services import Services, Writing
from fhir_facade.rest.surface import PREFIX, FhirLane, served_by
from fhir_facade.rest.threads import Threads
from fhir_facade.settings import Settings
from fhir_facade.store.code_systems import open_editions
from fhir_facade.store.opening import open_store
from fhir_facade.store.outbox import Outbox
from fhir_facade.store.records import Store
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.validation_stream import catalogue_of, make_validator, own_packages
from fhir_facade.whole_answers import WholeAnswers

FHIR_JSON = "application/fhir+json"
READ = ["GET", "HEAD"]
NOT_KEPT = {"Cache-Control": "no-store"}


class Server:
    """The FHIR lane in front, FastAPI behind it; FastAPI also hears when the server starts and stops.

    `close` ends what a server that was never started holds open.
    """

    def __init__(self, lane: FhirLane, rest: ASGIApp, close: Callable[[], None]) -> None:
        self.lane = lane
        self.rest = rest
        self.close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["path"] + "/").startswith(PREFIX + "/"):
            await self.lane(scope, receive, send)
        else:
            await self.rest(scope, receive, send)


def build_app(settings: Settings) -> Server:
    """Return the server; MappingError when the mappings cannot be used."""
    mapping_set = load_mapping_set(settings.mappings, settings.site_mappings, settings.profiles)
    packages = own_packages(settings.packages)
    catalogue = catalogue_of(packages, open_editions(settings.terminology) if settings.terminology else ())
    indicators = _indicators(mapping_set, catalogue, settings)
    store = open_store(
        settings.database,
        mapping_set.kinds,
        mapping_set.search.columns,
        read_only=True,  # what is not there is not made
        replica=settings.database_replica,
        pool=settings.database_pool,
        timeout=settings.database_timeout,
    )

    @cache
    def validator() -> Validator:
        made = make_validator(packages, catalogue, overrides=settings.rules, unknown_profile=settings.unknown_profile)
        garbage.settle_more()
        return made

    tokens = PageTokens(*settings.page_secrets or (secrets.token_bytes(32),), life=settings.page_life)
    services = Services(
        mapping_set,
        store,
        settings.fhir_base,
        tokens,
        __version__,
        catalogue=catalogue,
        packages=packages,
        validator=validator,
        explain=settings.explain,
        rendered=Rendered(settings.rendered_bytes),
        writing=_writing(store, settings),
        npr_rules=cache(lambda: shipped_rules(settings.mappings / "records", settings.npr_rules, catalogue)),
        npr_patients=settings.npr_patients,
        json_limits=JsonLimits(settings.json_width, settings.json_values, settings.json_string),
        indicators=indicators,
        most_measured=settings.measured_patients,
    )
    log = AccessLog(settings.log_level)
    proxies = Proxies.of(settings.trusted_proxies) if settings.trusted_proxies else None
    threads = Threads(settings.database_pool, remote=store.remote, waiting=settings.write_queue)
    admission = Admission(settings.requests_at_once, settings.requests_of_client, settings.requests_per_second)
    lane = FhirLane(services, log, proxies, threads, admission, settings.body_seconds)
    reloader = Reloader(lane, store.schema, settings.mappings, log, settings.site_mappings, settings.profiles)

    def close() -> None:
        lane.close()
        store.close()

    delivering = _outbox(services.writing, settings, log)
    rest = _rest(lane, close, reloader, delivering, settings)
    return Server(lane, WholeAnswers(rest, log, lane.request_id), close)


def _indicators(mapping_set: MappingSet, catalogue: Catalogue, settings: Settings) -> Indicators:
    """The indicators; a deployment's own are looked at now, so that a wrong row stops the start."""
    indicators = Indicators(settings.indicators, catalogue, drafts=settings.draft_indicators)
    if settings.indicators is not None:
        indicators.over(mapping_set.kinds)
    return indicators


def _writing(store: Store, settings: Settings) -> Writing | None:
    """What changes are made with; None where nothing may be changed."""
    if settings.read_only or not store.allow_changes():
        return None
    outbox = Outbox(store) if settings.outbox_url else None
    if outbox is not None:
        outbox.make()
    return Writing(
        store,
        settings.require_profiles,
        settings.remainder,
        settings.create_on_update,
        settings.require_if_match,
        settings.resource_bytes,
        settings.bundle_bytes,
        settings.batch_bytes if settings.batch_bytes > settings.bundle_bytes else 0,
        {"transaction": settings.transaction_entries, "batch": settings.batch_entries},
        outbox,
    )


def _outbox(writing: Writing | None, settings: Settings, log: AccessLog) -> Delivering | None:
    """Who tells another system of changes; None where none is told, or nothing may be changed."""
    if writing is None or writing.outbox is None:
        return None
    terms = settings.outbox_terms
    return Delivering(
        Teller(writing.outbox, terms, told=log.outbox), settings.outbox_endpoint.send, terms, log.outbox_failure
    )


def _rest(
    lane: FhirLane, close: Callable[[], None], reloader: Reloader, delivering: Delivering | None, settings: Settings
) -> FastAPI:
    """What is not FHIR: the index page, the OpenAPI document and what mappings run, nothing loaded from elsewhere."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with reloader.watching(settings.reload_mappings), _telling(delivering):
            yield
        close()

    app = FastAPI(title="fhir_facade", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    described: dict[str, bytes] = {}  # the document of the mappings that run now, by their hash and the base URL

    @app.api_route("/", methods=READ)
    async def root(request: Request) -> Response:
        services = lane.services_for(request.scope)
        index = _index(services.mapping_set, services.base_url)
        if "text/html" in request.headers.get("accept", ""):
            return Response(_page(index), media_type="text/html")
        return Response(orjson.dumps(index), media_type="application/json")

    @app.api_route("/openapi.json", methods=READ)
    async def openapi_document(request: Request) -> Response:
        services = lane.services_for(request.scope)
        key = f"{services.mapping_set.hash} {services.base_url}"
        document = described.get(key)
        if document is None:
            described.clear()
            document = orjson.dumps(openapi(services.mapping_set, services.base_url, __version__, served_by(services)))
            described[key] = document
        return Response(document, media_type="application/json")

    _states(app, lane, reloader)

    @app.api_route(MAPPINGS, methods=READ)
    async def mappings_index(request: Request) -> Response:
        return _whole(index_page(lane.services.mapping_set, request.headers.get("accept", "")))

    @app.api_route(MAPPINGS + "/{name}", methods=READ)
    async def mappings_table(request: Request, name: str) -> Response:
        return _whole(table_page(lane.services.mapping_set, name, request.headers.get("accept", "")))

    @app.api_route(PAGES, methods=READ)
    async def api_page(request: Request) -> Response:
        return _page_file(request, "", lane.services_for(request.scope).base_url)

    @app.api_route(PAGES + "/{name}", methods=READ)
    async def api_page_file(request: Request, name: str) -> Response:
        return _page_file(request, name, lane.services_for(request.scope).base_url)

    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(StarletteHTTPException, _refusal)
    return app


def _states(app: FastAPI, lane: FhirLane, reloader: Reloader) -> None:
    """Whether the server lives and its database answers, and how mappings and outbox are."""

    @app.api_route("/livez", methods=READ)
    async def livez() -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json", headers=NOT_KEPT)

    @app.api_route("/readyz", methods=READ)
    async def readyz() -> Response:
        await asyncio.to_thread(lane.services.store.check)
        return await livez()

    @app.api_route("/mappings/status", methods=READ)
    async def mappings_status() -> Response:
        return Response(orjson.dumps(reloader.status()), media_type="application/json", headers=NOT_KEPT)

    @app.api_route("/outbox/status", methods=READ)
    def outbox_status() -> Response:
        return _outbox_status(lane.services.writing)


@asynccontextmanager
async def _telling(delivering: Delivering | None) -> AsyncIterator[None]:
    """Tell another system of changes meanwhile, where one is told."""
    if delivering is not None:
        delivering.start()
    yield
    if delivering is not None:
        await asyncio.to_thread(delivering.stop)


def _outbox_status(writing: Writing | None) -> Response:
    if writing is None or writing.outbox is None:
        raise Refused(Issue("outbox-off"))
    return Response(orjson.dumps(status(writing.outbox)), media_type="application/json", headers=NOT_KEPT)


def _page_file(request: Request, name: str, base_url: str) -> Response:
    """A file of the page of requests; Refused when there is none of this name."""
    file = page_files().get(name)
    if file is None:
        raise Refused(Issue("path-unknown"))
    headers = {**page_headers(base_url), "ETag": file.etag, "Content-Type": file.media}
    current = has_tag(request.headers.get("if-none-match", "").encode("latin-1"), file.etag.encode())
    return Response(b"" if current else file.content, 304 if current else 200, headers)


def _whole(page: MappingPage) -> Response:
    media, body = page
    return Response(body, headers={**PAGE_HEADERS, "Content-Type": media})


async def _refused(request: Request, error: Exception) -> Response:
    """A refusal of ours, as an OperationOutcome."""
    issues, status = (error.issues, error.status) if isinstance(error, Refused) else ((), 500)
    return _outcome(request, issues, status, {})


def _outcome(request: Request, issues: Iterable[Issue], status: int, headers: Mapping[str, str]) -> Response:
    tongue = language(request.headers.get("accept-language", "").encode("latin-1"))
    body = orjson.dumps(operation_outcome(issues, tongue))
    return Response(body, status, {**headers, "Content-Language": tongue}, media_type=FHIR_JSON)


async def _refusal(request: Request, error: Exception) -> Response:
    """FastAPI's own refusals, as OperationOutcomes too."""
    status = error.status_code if isinstance(error, HTTPException | StarletteHTTPException) else 500
    headers = getattr(error, "headers", None) or {}
    issue = Issue("path-unknown")
    if status == 405:
        allowed = [method.strip() for method in headers.get("Allow", "GET").split(",")]
        issue = Issue("method-not-allowed", "", {"method": request.method, "allowed": allowed})
    return _outcome(request, [issue], status, headers)


def _index(mapping_set: MappingSet, base: str) -> dict[str, object]:
    return {
        "name": "fhir_facade",
        "version": __version__,
        "fhir": base,
        "metadata": f"{base}/metadata",
        "openapi": "/openapi.json",
        "docs": PAGES,
        "mappings": MAPPINGS,
        "types": [f"{base}/{resource_type}" for resource_type in sorted({*mapping_set.by_type, *CANONICAL_TYPES})],
    }


def _page(index: dict[str, object]) -> str:
    """The index for people: plain HTML, no script, nothing loaded."""
    types = index["types"] if isinstance(index["types"], list) else []
    shown = "_format=json&_pretty=true"  # a browser would else be given XML
    links = [f"{index['metadata']}?{shown}", *(index[each] for each in ("docs", "openapi", "mappings"))]
    links += [f"{url}?_count=5&{shown}" for url in types]
    items = "".join(f'<li><a href="{escape(str(url))}">{escape(str(url))}</a></li>' for url in links)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>fhir_facade</title>'
        f"<h1>fhir_facade {escape(str(index['version']))}</h1>"
        f"<p>Norwegian hospital records as HL7 FHIR R4.</p><ul>{items}</ul></html>"
    )
