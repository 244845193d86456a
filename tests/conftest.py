"""What tests of several rooms share."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import settings

from fhir_facade.contracts import Record
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root
from fhir_facade.store.location import Location
from fhir_facade.store.synthetic import generate
from fhir_facade.terminology.identity import is_national_identity_number
from tests.postgres_server import Server, running

Ask = Callable[..., httpx.Response]

# HYPOTHESIS_PROFILE: quick in make check, thorough in make laws. Times are never judged: machines are shared.
settings.register_profile("quick", max_examples=20, deadline=None, print_blob=True, derandomize=True)
settings.register_profile("default", max_examples=100, deadline=None, print_blob=True)
settings.register_profile("thorough", max_examples=2000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def ask_app() -> Callable[[Any], Ask]:
    """Give an ASGI application, get a function that sends it one request and returns the answer."""

    def asker(app: Any) -> Ask:
        def ask(method: str, path: str, **options: Any) -> httpx.Response:
            async def once() -> httpx.Response:
                transport = httpx.ASGITransport(app)
                async with httpx.AsyncClient(transport=transport, base_url="http://facade.test") as client:
                    return await client.request(method, path, **options)

            return asyncio.run(once())

        return ask

    return asker


@pytest.fixture(scope="session")
def mapping_set() -> MappingSet:
    """The mappings that the product ships, checked and compiled."""
    return load_mapping_set(data_root("mappings"))


@pytest.fixture(scope="session")
def synthetic(mapping_set: MappingSet) -> dict[str, list[Record]]:
    """Complete synthetic records of 150 patients by kind, with embedded records in place and version 1."""
    by_kind: dict[str, list[Record]] = {}
    for name, record in generate(150, seed=20):
        by_kind.setdefault(name, []).append(record)
    kinds = mapping_set.kinds
    for kind in kinds:
        for record in by_kind.get(kind.name, ()):
            record[kind.version], record[kind.changed] = 1, "2026-01-01T00:00:00.000Z"
    for kind in kinds:
        for child in kind.children.values():
            if child.records:
                embed(kinds[child.records], kind, child.name, by_kind)
    return Drawn({name: [kinds.complete(kinds[name], each) for each in records] for name, records in by_kind.items()})


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server, started when the first test asks for it."""
    with running() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Location]:
    """A function that names a new and empty place for records; what asks for it is tried with both databases."""

    def file() -> Path:
        return tmp_path_factory.mktemp("store") / "store.db"

    make = file if request.param == "sqlite" else request.getfixturevalue("postgres").fresh
    return lambda: Location(make())


@pytest.fixture
def place(new_place: Callable[[], Location]) -> Location:
    """A new and empty place for records, of either database."""
    return new_place()


def shortly(self: object, printer: Any, cycle: bool) -> None:
    """How a set of mappings stands in what Hypothesis prints of a failure; whole it fills megabytes."""
    printer.text(repr(self))


MappingSet._repr_pretty_ = shortly  # type: ignore[attr-defined]


class Drawn(dict[str, list[Record]]):
    """Records by kind; too many to print when a test fails."""

    def __repr__(self) -> str:
        return f"<{sum(map(len, self.values()))} synthetic records>"


def embed(inner: Any, outer: Any, child: str, by_kind: dict[str, list[Record]]) -> None:
    """Put the records of one kind into the lists of the records that they belong to, as a store does."""
    link = next(link for link in inner.links.values() if link.to == outer.name)
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in by_kind.get(inner.name, ()):
        groups.setdefault(tuple(record.get(name) for name in link.fields), []).append(record)
    for record in by_kind.get(outer.name, ()):
        record[child] = groups.get(tuple(record.get(name) for name in outer.key), [])


class Listener(logging.Handler):
    """Hears every log line of the run, ours and the libraries', and keeps those with an identity number in them."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard, self.offending = 0, list[str]()

    def emit(self, record: logging.LogRecord) -> None:
        self.hear(record.getMessage())

    def hear(self, line: str) -> None:
        self.heard += 1
        if any(is_national_identity_number(number) for number in re.findall(r"(?<!\d)\d{11}(?!\d)", line)):
            self.offending.append(line)


@pytest.fixture(scope="session", autouse=True)
def no_person_number_in_any_log_line() -> Iterator[Listener]:
    """The whole run is listened to; at its end no line may have held a national identity number."""
    listener = Listener()
    write = structlog.WriteLogger.msg

    def overheard(self: structlog.WriteLogger, message: str) -> None:
        listener.hear(message)
        write(self, message)

    patch = pytest.MonkeyPatch()
    for name in ("msg", "log", "debug", "info", "warning", "error", "critical", "fatal", "err", "warn", "failure"):
        if getattr(structlog.WriteLogger, name, None) is write:
            patch.setattr(structlog.WriteLogger, name, overheard)
    logging.getLogger().addHandler(listener)
    yield listener
    logging.getLogger().removeHandler(listener)
    patch.undo()
    assert listener.offending == []
