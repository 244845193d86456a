"""Reads and searches over HTTP beside a bare ASGI application with the same bytes, and beside fhirstarter."""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
import tempfile
from contextlib import AbstractContextManager, ExitStack
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path
from statistics import median

import orjson

from benchmarks.data import SEED, database_of, keys_of
from benchmarks.peers import Answers
from benchmarks.report import Report
from benchmarks.scale import FEW, TIMES_MOST
from benchmarks.servers import CLIENT_CORE, LOOPBACK, ROOT, Server, free_port, pin, running

PATIENTS = 2_000
RESOURCES, PAGES = 1_000, 40
OURS, KEPT, LOGGED = "ours", "ours, from rendered fragments", "ours, a log line for each"
ON_POSTGRES = "ours, on PostgreSQL"
BARE, PEER, PREBUILT = "bare ASGI", "fhirstarter", "fhirstarter, models prebuilt"
ROOM = 2**30  # bytes of rendered fragments that may be kept
AIMS = {
    ("read", OURS): 0.38,
    ("read", KEPT): 0.50,
    ("read", ON_POSTGRES): 0.15,
    ("search", OURS): 0.06,
    ("search", KEPT): 0.30,
    ("search", ON_POSTGRES): 0.04,
}
"""Of the rate of bare ASGI."""
TIMES = {
    ("read", OURS, PEER): 35.0,
    ("search", OURS, PEER): None,
    ("search", KEPT, PEER): 200.0,
    ("search", KEPT, PREBUILT): 70.0,
}
DROPPED = {b"date", b"server", b"connection", b"transfer-encoding"}  # these the server itself adds


def run(report: Report, *, quick: bool = False, full: bool = False) -> None:
    """Measure and print; `full` is over about a million stays, whose database is kept for the next time."""
    with tempfile.TemporaryDirectory(prefix="fhir-facade-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        database = database_of(FEW, TIMES_MOST) if full else database_of(300 if quick else PATIENTS)
        paths = prepare(folder, str(database), keys_of(database, "opphold"))
        _prepare_peer(folder)
        compare(report, "HTTP", _start(stack, folder, str(database), report), paths, folder, quick=quick)


def compare(
    report: Report, title: str, servers: dict[str, Server], paths: dict[str, list[str]], folder: Path, *, quick: bool
) -> None:
    """Reads, then searches: each server beside the bare one."""
    for kind, connections, rounds, seconds in (
        ("read", 16, 3 if quick else 7, 1.0 if quick else 2.0),
        ("search", 4, 3 if quick else 5, 1.0 if quick else 3.0),
    ):
        report.title(
            f"{title} {'read by id' if kind == 'read' else 'search, page of 50'}: "
            f"{_mean_size(folder, paths[kind]) / 1000:.0f} kB, {connections} connections, random of {len(paths[kind])}"
        )
        _compare(report, kind, servers, paths[kind], folder, connections, rounds, seconds)


def prepare(folder: Path, database: str, keys: list[str]) -> dict[str, list[str]]:
    """The paths that will be asked for, of stays with these keys, and what our server answers to each."""
    draw = random.Random(SEED)
    chosen = draw.sample(keys, min(RESOURCES, len(keys)))
    days = [f"ge{draw.randint(2021, 2023)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}" for _ in range(PAGES)]
    paths = {
        "read": [f"/Encounter/{key}" for key in chosen],
        "search": [f"/Encounter?date={day}&_count=50" for day in sorted(set(days))],
    }
    answers: Answers = {}
    with ExitStack() as stack:
        connection = HTTPConnection(LOOPBACK, stack.enter_context(ours(database)).port, timeout=30)
        for path in (path for asked in paths.values() for path in asked):
            answers[f"/fhir{path}"] = _ask(connection, f"/fhir{path}")
        connection.close()
    (folder / "answers.pickle").write_bytes(pickle.dumps(answers))
    return paths


def _ask(connection: HTTPConnection, path: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    connection.request("GET", path, headers={"Accept": "application/fhir+json"})
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (path, answer.status, body[:500])
    headers = [(name.lower().encode(), value.encode()) for name, value in answer.getheaders()]
    return [header for header in headers if header[0] not in DROPPED], body


def _answers(folder: Path) -> Answers:
    answers: Answers = pickle.loads((folder / "answers.pickle").read_bytes())  # noqa: S301 -- our own file
    return answers


def _prepare_peer(folder: Path) -> None:
    """The same Encounters and pages for fhirstarter: JSON by id, ids by the value of `date`."""
    encounters, pages = {}, {}
    for path, (_, body) in _answers(folder).items():
        if "?" not in path:
            encounters[path.rsplit("/", 1)[1]] = body.decode()
            continue
        found = [entry["resource"] for entry in orjson.loads(body)["entry"]]
        assert len(found) == 50
        pages[path.split("date=")[1].split("&")[0]] = [each["id"] for each in found]
        encounters |= {each["id"]: orjson.dumps(each).decode() for each in found}
    (folder / "encounters.json").write_text(json.dumps(encounters))
    (folder / "pages.json").write_text(json.dumps(pages))


def ours(database: str, *, log: str = "warning", kept: int = 0) -> AbstractContextManager[Server]:
    """Our server over a database, with room for so many bytes of rendered fragments."""
    port = free_port()
    arguments = ["fhir_facade.cli", "serve", "--db", database, "--port", str(port)]
    environment = {"FHIR_FACADE_LOG_LEVEL": log, "FHIR_FACADE_RENDERED_BYTES": str(kept)}
    return running(arguments, "/fhir", port, **environment)


def bare(folder: Path) -> AbstractContextManager[Server]:
    """What sends our answers again and does nothing else."""
    port = free_port()
    return running(["benchmarks.peers", "bare", str(port), str(folder)], "/fhir", port)


def _start(stack: ExitStack, folder: Path, database: str, report: Report) -> dict[str, Server]:
    servers = {
        OURS: stack.enter_context(ours(database)),
        KEPT: stack.enter_context(ours(database, kept=ROOM)),
        LOGGED: stack.enter_context(ours(database, log="info")),
        BARE: stack.enter_context(bare(folder)),
    }
    if find_spec("fhirstarter") is None:
        report.note("fhirstarter is not installed here: make bench compares with it")
        return servers
    for name, which in {PEER: "fhirstarter", PREBUILT: "prebuilt"}.items():
        port = free_port()
        arguments = ["benchmarks.peers", which, str(port), str(folder)]
        servers[name] = stack.enter_context(running(arguments, "", port))
    return servers


def _mean_size(folder: Path, paths: list[str]) -> float:
    answers = _answers(folder)
    return sum(len(answers[f"/fhir{path}"][1]) for path in paths) / len(paths)


def _compare(
    report: Report, kind: str, servers: dict[str, Server], paths: list[str], folder: Path,
    connections: int, rounds: int, seconds: float,
) -> None:  # fmt: skip
    """Load every server in turn, in random order, round by round; then say how they compare."""
    rates: dict[str, list[float]] = {name: [] for name in servers}
    costs: dict[str, list[float]] = {name: [] for name in servers}
    for turn in range(rounds + 1):
        order = list(servers)
        random.shuffle(order)
        for name in order:
            rate, cost = load(servers[name], paths, folder, connections, seconds)
            if turn:  # the first round warms up
                rates[name].append(rate)
                costs[name].append(cost)
    rate = {name: median(values) for name, values in rates.items()}
    cost = {name: median(values) for name, values in costs.items()}
    for name in servers:
        report.row(
            f"{kind}/{name}/of bare", name, rate[name] / rate[BARE], "of bare ASGI",
            f"{rate[name]:,.0f}/s, {cost[name] * 1e6:,.0f} µs CPU each", AIMS.get((kind, name)),
        )  # fmt: skip
    if cost[BARE]:
        for name in (each for each in (OURS, KEPT, ON_POSTGRES) if each in servers):
            report.row(f"{kind}/{name}/CPU of bare", f"{name}, by CPU", cost[BARE] / cost[name], "of bare ASGI")
    for (what, name, peer), aim in TIMES.items():
        if what == kind and {name, peer} <= servers.keys():
            report.row(f"{kind}/{name}/times {peer}", name, rate[name] / rate[peer], f"× {peer}", "", aim)


def load(
    server: Server, paths: list[str], folder: Path, connections: int, seconds: float, *, pinned: bool = True
) -> tuple[float, float]:
    """Answers a second, and the server's processor time for each; `pinned` keeps who asks on a core of its own."""
    asked = folder / "paths.txt"
    asked.write_text("\n".join(server.prefix + path for path in paths))
    before = server.cpu_seconds()
    arguments = ["benchmarks.load_generator", str(server.port), str(asked), str(connections), str(seconds)]
    process = subprocess.Popen([sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.PIPE)
    if pinned:
        pin(process.pid, CLIENT_CORE)
    output, _ = process.communicate(timeout=3 * seconds + 60)
    found = json.loads(output)
    assert not found["failed"], f"{found} from {asked.read_text().split()[0]} …"
    answered = max(found["answered"], 1)
    return answered / found["seconds"], (server.cpu_seconds() - before) / answered
