"""Two workers beside one: the rate of pages that are made anew each time, on all cores that there are."""

from __future__ import annotations

import random
import tempfile
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from statistics import median

from benchmarks import http
from benchmarks.data import SEED, database_of
from benchmarks.report import Report
from benchmarks.servers import Server, free_port, running

AIM, CONNECTIONS, COUNT, PAGES = 1.6, 16, 50, 40


def run(report: Report, *, quick: bool = False) -> None:
    """Measure and print."""
    database = database_of(300 if quick else http.PATIENTS)
    draw = random.Random(SEED)
    days = [f"ge{draw.randint(2021, 2023)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}" for _ in range(PAGES)]
    paths = [f"/Encounter?date={day}&_count={COUNT}" for day in days]
    rates: dict[int, list[float]] = {1: [], 2: []}
    costs: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory(prefix="fhir-facade-bench-") as name, ExitStack() as stack:
        servers = {count: stack.enter_context(_served(database, count)) for count in rates}
        for turn in range(4 if quick else 10):
            for count in random.sample(list(servers), 2):
                seconds = 1.0 if quick else 3.0
                rate, cost = http.load(servers[count], paths, Path(name), CONNECTIONS, seconds, pinned=False)
                if turn:  # the first round warms up
                    rates[count].append(rate)
                    costs[count].append(cost)
    report.title(f"Two workers beside one: pages of {COUNT} made anew, {CONNECTIONS} connections, nothing pinned")
    one, two = median(rates[1]), median(rates[2])
    report.row("workers/rate", "two workers", two / one, "× one", f"{two:,.1f} and {one:,.1f}/s", AIM)
    dear, cheap = median(costs[2]), median(costs[1])
    if cheap:
        detail = f"{dear * 1e3:.2f} and {cheap * 1e3:.2f} ms"
        report.row("workers/cost", "processor time of an answer", dear / cheap, "× of one", detail)
        report.note(f"one worker had {one * cheap:.2f} cores, two had {two * dear:.2f}; the rest was taken by others")


def _served(database: Path, workers: int) -> AbstractContextManager[Server]:
    port = free_port()
    arguments = ["fhir_facade.cli", "serve", "--db", str(database), "--port", str(port), "--workers", str(workers)]
    environment = {"FHIR_FACADE_LOG_LEVEL": "warning", "FHIR_FACADE_RENDERED_BYTES": "0"}
    return running(arguments, "/fhir", port, pinned=False, **environment)
