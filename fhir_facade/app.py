"""Put the server together: settings in, one ASGI application out. Nothing else assembles anything."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import HTTPException
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from fhir_facade import __version__
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.outcome import Issue, operation_outcome
from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.negotiation import language
from fhir_facade.rest.openapi import openapi
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services
from fhir_facade.rest.surface import PREFIX, FhirLane
from fhir_facade.settings import Settings
from fhir_facade.store.records import SqliteStore

FHIR_JSON = "application/fhir+json"


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
    mapping_set = load_mapping_set(settings.mappings)
    store = SqliteStore.open(settings.database, mapping_set.kinds, mapping_set.search.columns, read_only=True)
    secret = settings.page_secret.get_secret_value().encode() or secrets.token_bytes(32)
    services = Services(mapping_set, store, settings.fhir_base, PageTokens(secret), __version__)
    lane = FhirLane(services, AccessLog(settings.log_level))
    return Server(lane, _rest(mapping_set, store, settings))


def _rest(mapping_set: MappingSet, store: SqliteStore, settings: Settings) -> FastAPI:
    """What is not FHIR: the index page and the OpenAPI document, with nothing loaded from elsewhere."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(title="fhir_facade", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    document = orjson.dumps(openapi(mapping_set, settings.fhir_base, __version__))
    index = _index(mapping_set, settings.fhir_base)

    @app.get("/")
    async def root(request: Request) -> Response:
        if "text/html" in request.headers.get("accept", ""):
            return Response(_page(index), media_type="text/html")
        return Response(orjson.dumps(index), media_type="application/json")

    @app.get("/openapi.json")
    async def openapi_document() -> Response:
        return Response(document, media_type="application/json")

    app.add_exception_handler(StarletteHTTPException, _refusal)
    return app


async def _refusal(request: Request, error: Exception) -> Response:
    """FastAPI's own refusals, as OperationOutcomes too."""
    status = error.status_code if isinstance(error, HTTPException | StarletteHTTPException) else 500
    headers = getattr(error, "headers", None) or {}
    issue = Issue("path-unknown")
    if status == 405:
        allowed = [method.strip() for method in headers.get("Allow", "GET").split(",")]
        issue = Issue("method-not-allowed", "", {"method": request.method, "allowed": allowed})
    tongue = language(request.headers.get("accept-language", "").encode("latin-1"))
    body = orjson.dumps(operation_outcome([issue], tongue))
    return Response(body, status, headers, media_type=FHIR_JSON)


def _index(mapping_set: MappingSet, base: str) -> dict[str, object]:
    return {
        "name": "fhir_facade",
        "version": __version__,
        "fhir": base,
        "metadata": f"{base}/metadata",
        "openapi": "/openapi.json",
        "types": [f"{base}/{resource_type}" for resource_type in sorted(mapping_set.by_type)],
    }


def _page(index: dict[str, object]) -> str:
    """The index for people: plain HTML, no script, nothing loaded."""
    types = index["types"] if isinstance(index["types"], list) else []
    links = [index["metadata"], index["openapi"], *(f"{url}?_count=5&_pretty=true" for url in types)]
    items = "".join(f'<li><a href="{escape(str(url))}">{escape(str(url))}</a></li>' for url in links)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>fhir_facade</title>'
        f"<h1>fhir_facade {escape(str(index['version']))}</h1>"
        f"<p>Norwegian hospital records as HL7 FHIR R4.</p><ul>{items}</ul></html>"
    )
