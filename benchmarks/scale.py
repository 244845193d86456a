"""What size costs: a page at ten thousand stays and at many more, the first page and a far one; memory; the start."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from time import perf_counter, process_time

from benchmarks.data import database_of, keys_of, mapping_set
from benchmarks.report import Report
from benchmarks.servers import LOOPBACK, free_port, running
from benchmarks.timing import interleaved, medians
from fhir_facade.contracts import Query, Sort
from fhir_facade.store.records import SqliteStore

FEW, TIMES_MORE, TIMES_MOST = 6_100, 10, 100
"""Synthetic patients, with some ten thousand stays; and how many times over: a hundred thousand, a million."""
COUNT, FAR, TIMES, ROUNDS = 50, 10_000, 20, 15
FLAT = 1.2
MOST_MEMORY, MOST_WAIT = 150.0, 2.0


def run(report: Report, *, quick: bool = False, full: bool = False) -> None:
    """Measure and print; `full` goes to a million stays, whose database is kept for the next time."""
    few = database_of(FEW // 10 if quick else FEW)
    many = few if quick else database_of(FEW, TIMES_MOST if full else TIMES_MORE)
    _pages(report, few, many)
    _process(report, many)


def _pages(report: Report, few: Path, many: Path) -> None:
    """Processor time of the keys and records of a page, in one process and in turns."""
    arms: dict[str, Callable[[], float]] = {}
    counted = {}
    for name, path in {"few": few, "many": many}.items():
        keys = keys_of(path, "opphold")
        counted[name] = len(keys)
        search = mapping_set().search
        store = SqliteStore.open(path, mapping_set().kinds, search.columns, read_only=True)
        far = min(FAR * COUNT, len(keys) - COUNT - 1)
        for order, sort in {"": (), "by date": (Sort("date", True),)}.items():
            first = Query("Encounter", (), sort, COUNT)
            middle = store.find(Query("Encounter", (), sort, 1, (0, keys[far])), search) if not sort else None
            arms[f"{name}/first page/{order}"] = _arm(store, first)
            if middle is not None:
                arms[f"{name}/far page/{order}"] = _arm(store, Query("Encounter", (), sort, COUNT, (0, keys[far])))
    report.title(f"A page of {COUNT} Encounters: {counted['few']:,} and {counted['many']:,} stays, SQLite")
    found = medians(interleaved(arms, ROUNDS))
    base = found["few/first page/"]
    for name, took in found.items():
        if name.endswith("by date"):
            continue
        report.row(
            f"page/{name}", name.removesuffix("/"), took / base, "of the first page of few", f"{took * 1e3:.2f} ms"
        )
    _flat(report, "first page, many to few", found["many/first page/"] / base)
    _flat(report, "far page to first page, many", found["many/far page/"] / found["many/first page/"])
    _flat(report, "by date, many to few", found["many/first page/by date"] / found["few/first page/by date"])


def _arm(store: SqliteStore, query: Query) -> Callable[[], float]:
    search = mapping_set().search

    def once() -> float:
        began = process_time()
        for _ in range(TIMES):
            store.find(query, search)
        return (process_time() - began) / TIMES

    return once


def _flat(report: Report, name: str, ratio: float) -> None:
    said = "reached" if ratio <= FLAT else "NOT reached"
    report.row(f"flat/{name}", name, ratio, "times", f"aim ≤ {FLAT:g}: {said}")


def _process(report: Report, path: Path) -> None:
    """How long a server takes to its first answer, and the memory of one that keeps no rendered fragments."""
    report.title("One server process, nothing kept")
    keys = keys_of(path, "opphold")[:: max(len(keys_of(path, "opphold")) // 2000, 1)]
    port, began = free_port(), perf_counter()
    arguments = ["fhir_facade.cli", "serve", "--db", str(path), "--port", str(port)]
    with running(arguments, "/fhir", port, FHIR_FACADE_RENDERED_BYTES="0") as server:
        connection = HTTPConnection(LOOPBACK, port, timeout=60)
        _ask(connection, f"/fhir/Encounter/{keys[0]}")
        waited = perf_counter() - began
        for key in keys:
            _ask(connection, f"/fhir/Encounter/{key}")
        for day in range(1, 29):
            for month in range(1, 13):
                _ask(connection, f"/fhir/Encounter?date=ge2022-{month:02d}-{day:02d}&_count={COUNT}")
        memory = _resident(server.pid)
        connection.close()
    report.row("start/seconds", "from the start to the first answer", waited, "s", _within(waited, MOST_WAIT))
    if memory:
        report.row("memory/MB", "resident after reads and pages", memory, "MB", _within(memory, MOST_MEMORY))


def _within(value: float, most: float) -> str:
    return f"aim ≤ {most:g}: {'reached' if value <= most else 'NOT reached'}"


def _ask(connection: HTTPConnection, path: str) -> None:
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (path, body[:300])


def _resident(pid: int) -> float:
    """Megabytes that a process has in memory; 0 where the system does not say."""
    time.sleep(0.1)
    if not sys.platform.startswith("linux"):
        return 0.0
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS"))
