"""Put the server together: settings in, one ASGI application out. Nothing else assembles anything."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from html import escape

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from fhir_facade import __version__
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.outcome import Issue, Refused, operation_outcome
from fhir_facade.reloading import Reloader
from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.mapping_pages import HEADERS as PAGE_HEADERS
from fhir_facade.rest.mapping_pages import PATH as MAPPINGS
from fhir_facade.rest.mapping_pages import Page as MappingPage
from fhir_facade.rest.mapping_pages import index_page, table_page
from fhir_facade.rest.negotiation import language
from fhir_facade.rest.openapi import openapi
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services
from fhir_facade.rest.surface import PREFIX, FhirLane
from fhir_facade.rest.terminology_resources import TYPES as TERMINOLOGY_TYPES
from fhir_facade.settings import Settings
from fhir_facade.store.code_systems import open_editions
from fhir_facade.store.records import SqliteStore
from fhir_facade.validation_stream import catalogue_of, make_validator, own_packages

FHIR_JSON = "application/fhir+json"
NOT_KEPT = {"Cache-Control": "no-store"}


class Server:
    """The FHIR lane in front, FastAPI behind it; FastAPI also hears when the server starts and stops."""

    def __init__(self, lane: FhirLane, rest: ASGIApp) -> None:
        self.lane = lane
        self.rest = rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (scope["path"] + "/").startswith(PREFIX + "/"):
            await self.lane(scope, receive, send)
        else:
            await self.rest(scope, receive, send)


def build_app(settings: Settings) -> Server:
    """Return the server; MappingError when the mappings cannot be used."""
    mapping_set = load_mapping_set(settings.mappings, settings.site_mappings, settings.profiles)
    store = SqliteStore.open(settings.database, mapping_set.kinds, mapping_set.search.columns, read_only=True)
    packages = own_packages(settings.packages)
    catalogue = catalogue_of(packages, open_editions(settings.terminology) if settings.terminology else ())
    validator = cache(
        lambda: make_validator(
            packages,
            catalogue,
            overrides=settings.rules,
            unknown_profile=settings.unknown_profile,
        )
    )
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
    )
    log = AccessLog(settings.log_level)
    lane = FhirLane(services, log)
    reloader = Reloader(lane, store.schema, settings.mappings, log, settings.site_mappings, settings.profiles)
    return Server(lane, _rest(lane, store, settings, reloader))


def _rest(lane: FhirLane, store: SqliteStore, settings: Settings, reloader: Reloader) -> FastAPI:
    """What is not FHIR: the index page, the OpenAPI document and what mappings run, nothing loaded from elsewhere."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with reloader.watching(settings.reload_mappings):
            yield
        store.close()

    app = FastAPI(title="fhir_facade", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    described: dict[str, bytes] = {}  # the document of the mappings that run now, by their hash

    @app.get("/")
    async def root(request: Request) -> Response:
        index = _index(lane.services.mapping_set, settings.fhir_base)
        if "text/html" in request.headers.get("accept", ""):
            return Response(_page(index), media_type="text/html")
        return Response(orjson.dumps(index), media_type="application/json")

    @app.get("/openapi.json")
    async def openapi_document() -> Response:
        mapping_set = lane.services.mapping_set
        document = described.get(mapping_set.hash)
        if document is None:
            described.clear()
            document = orjson.dumps(openapi(mapping_set, settings.fhir_base, __version__))
            described[mapping_set.hash] = document
        return Response(document, media_type="application/json")

    @app.get("/mappings/status")
    async def mappings_status() -> Response:
        return Response(orjson.dumps(reloader.status()), media_type="application/json", headers=NOT_KEPT)

    @app.api_route(MAPPINGS, methods=["GET", "HEAD"])
    async def mappings_index(request: Request) -> Response:
        return _whole(request, index_page(lane.services.mapping_set, request.headers.get("accept", "")))

    @app.api_route(MAPPINGS + "/{name}", methods=["GET", "HEAD"])
    async def mappings_table(request: Request, name: str) -> Response:
        return _whole(request, table_page(lane.services.mapping_set, name, request.headers.get("accept", "")))

    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(StarletteHTTPException, _refusal)
    return app


def _whole(request: Request, page: MappingPage) -> Response:
    """A page, or for HEAD what would be said of it."""
    media, body = page
    headers = {**PAGE_HEADERS, "Content-Type": media, "Content-Length": str(len(body))}
    return Response(b"" if request.method == "HEAD" else body, headers=headers)


async def _refused(request: Request, error: Exception) -> Response:
    """A refusal of ours, as an OperationOutcome."""
    issues, status = (error.issues, error.status) if isinstance(error, Refused) else ((), 500)
    return _outcome(request, issues, status, {})


def _outcome(request: Request, issues: Iterable[Issue], status: int, headers: Mapping[str, str]) -> Response:
    tongue = language(request.headers.get("accept-language", "").encode("latin-1"))
    body = b"" if request.method == "HEAD" else orjson.dumps(operation_outcome(issues, tongue))
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
        "mappings": MAPPINGS,
        "types": [f"{base}/{resource_type}" for resource_type in sorted({*mapping_set.by_type, *TERMINOLOGY_TYPES})],
    }


def _page(index: dict[str, object]) -> str:
    """The index for people: plain HTML, no script, nothing loaded."""
    types = index["types"] if isinstance(index["types"], list) else []
    links = [index["metadata"], index["openapi"], index["mappings"], *(f"{url}?_count=5&_pretty=true" for url in types)]
    items = "".join(f'<li><a href="{escape(str(url))}">{escape(str(url))}</a></li>' for url in links)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>fhir_facade</title>'
        f"<h1>fhir_facade {escape(str(index['version']))}</h1>"
        f"<p>Norwegian hospital records as HL7 FHIR R4.</p><ul>{items}</ul></html>"
    )
