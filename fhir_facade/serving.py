"""Run the server on a socket, and say what a newcomer can try."""

from __future__ import annotations

import asyncio
import secrets
import shlex
import signal
import socket
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from typing import Literal

import orjson
import uvicorn
from pydantic import SecretStr

from fhir_facade import __version__, garbage
from fhir_facade.app import Server, build_app
from fhir_facade.contracts import Query
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.capabilities import capability_statement
from fhir_facade.rest.lineage import operation_definition
from fhir_facade.rest.npr_check import judged_types
from fhir_facade.rest.npr_check import operation_definition as npr_check_definition
from fhir_facade.rest.openapi import EXAMPLE_BASE, http_examples, openapi
from fhir_facade.rest.services import plain_rules
from fhir_facade.rest.surface import SURFACE
from fhir_facade.settings import Settings
from fhir_facade.workers import Place, run_workers

Words = Callable[[Server, Settings], str]
BACKLOG = 2048  # connections that wait to be accepted


def serve_until_stopped(settings: Settings, words: Words | None = None) -> None:
    """Serve until a signal; OSError when the address cannot be had, MappingError on faulty mappings.

    WorkersDied when there are several workers and they die again and again.
    """
    with closing(_listen(settings)) as listener:
        if settings.port == 0:
            settings = settings.model_copy(update={"port": listener.getsockname()[1]})
        if settings.workers == 1:
            server = _Uvicorn(_config(build_app(settings), settings))
            _tell(words(server.config.app, settings) if words else _address(settings))  # type: ignore[arg-type]
            server.run(sockets=[listener])
            return
        if not settings.page_secrets:  # or a worker could not follow the links of another
            settings = settings.model_copy(update={"page_secret": SecretStr(secrets.token_hex(32))})
        build_app(settings).close()  # what is wrong is told here, once

        def work(place: Place) -> None:
            _Uvicorn(_config(build_app(settings), settings), place).run(sockets=[listener])

        log = AccessLog(settings.log_level)
        run_workers(settings.workers, work, lambda: _tell(_address(settings)), log.worker)


class _Uvicorn(uvicorn.Server):
    """uvicorn, which ends in order on a signal that comes before it listens for signals, or when its parent is gone."""

    def __init__(self, config: uvicorn.Config, place: Place | None = None) -> None:
        super().__init__(config)
        self.place = place
        for stopping in (signal.SIGINT, signal.SIGTERM):
            signal.signal(stopping, self._stop)  # uvicorn hears them while it runs, then raises them once more

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, and say so."""
        await super().startup(sockets=sockets)
        garbage.settle()
        if self.place is not None:
            asyncio.get_running_loop().add_reader(self.place.parent, self._stop)
            self.place.begun()

    def _stop(self, number: int = 0, frame: object = None) -> None:
        self.should_exit = True


def _config(server: Server, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        server,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        proxy_headers=False,  # else it would put another address in the place of the peer's
        http=_protocol(settings),
        timeout_keep_alive=settings.keep_alive_seconds,
    )


def _address(settings: Settings) -> str:
    return f"FHIR R4 at {settings.fhir_base}  (stop with Ctrl-C)"


def _tell(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def _protocol(settings: Settings) -> type[asyncio.Protocol] | Literal["auto"]:
    """How connections are read: by httptools where it is there, whose faults we tell in our own way."""
    if find_spec("httptools") is None:
        return "auto"
    from fhir_facade.wire_faults import FaultsAsOutcomes

    limits = {"header_bytes": settings.header_bytes, "header_seconds": settings.header_seconds}
    return type("Connection", (FaultsAsOutcomes,), limits)


def _listen(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(BACKLOG)  # before the address is told, so that whoever reads it can connect
    except OSError as error:
        listener.close()
        raise OSError(error.errno, error.strerror, f"{settings.host}:{settings.port}") from None
    return listener


def demo_words(server: Server, settings: Settings) -> str:
    """Five requests that work on what is stored right now, and what to try next."""
    base = settings.fhir_base
    lines = [shlex.join(["curl", "-s", *request]) for request in _requests(server, base)]
    return "\n".join(
        [
            f"FHIR R4 at {base}  (stop with Ctrl-C)",
            "",
            *lines,
            "",
            "Then try:",
            f"  a typing error, and read the answer:  curl -s '{base}/Encounter?statsu=finished'",
            "  where each element comes from:        fhir-facade map KIND --explain < record.ndjson",
            f"  requests in a browser:                {base.removesuffix('/fhir')}/docs",
            f"  every request there is:               {base.removesuffix('/fhir')}/openapi.json",
        ]
    )


def _requests(server: Server, base: str) -> list[list[str]]:
    """Arguments of curl: metadata, a page, one resource, what belongs to it, and a search by POST."""
    services = server.lane.services
    page = services.store.find(Query("Encounter", count=1), services.mapping_set.search)
    found = page.matches[0]
    mapping = services.mapping_set.mappings[found.mapping]
    resource = orjson.loads(mapping.to_bytes(found.record, []))
    return [
        [f"{base}/metadata?_pretty=true"],
        [f"{base}/Patient?_count=3&_pretty=true"],
        [f"{base}/Encounter/{resource['id']}?_pretty=true"],
        [f"{base}/Encounter?subject={resource['subject']['reference']}&_sort=-date&_count=5&_pretty=true"],
        ["-d", f"encounter=Encounter/{resource['id']}&_pretty=true", f"{base}/Condition/_search"],
    ]


def api_files(mapping_set: MappingSet) -> dict[str, bytes]:
    """The published description: OpenAPI, capabilities, operation, example requests; always the same bytes."""
    indent = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    statement = orjson.loads(capability_statement(mapping_set, SURFACE, EXAMPLE_BASE, __version__))
    return {
        "openapi.json": orjson.dumps(openapi(mapping_set, EXAMPLE_BASE, __version__), option=indent),
        "capability-statement.json": orjson.dumps(statement, option=indent),
        "operation-lineage.json": orjson.dumps(operation_definition(mapping_set, __version__), option=indent),
        "operation-npr-check.json": orjson.dumps(
            npr_check_definition(judged_types(mapping_set, plain_rules()), __version__), option=indent
        ),
        "requests.http": http_examples(mapping_set).encode(),
    }
