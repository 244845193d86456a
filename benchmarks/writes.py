"""Creating Encounters, each validated and stored: beside bare ASGI and fhirstarter over the same connections.

And a hundred in one transaction beside the same creations by one client, each sent when the one before is answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter

import orjson

from benchmarks.data import database_of
from benchmarks.report import Report
from benchmarks.servers import CLIENT_CORE, LOOPBACK, Server, free_port, pin, running

OURS, SINGLE, TOGETHER = "ours", "ours, one after the other", "ours, 100 in a transaction"
BARE, PEER = "bare ASGI", "fhirstarter"
CONNECTIONS, IN_ONE = 8, 100
OF_BARE, OF_SINGLE, OF_PEER = 0.10, 3.0, 4.0


def run(report: Report, *, quick: bool = False) -> None:
    """Measure and print: stored Encounters a second."""
    each = 100 if quick else 300
    rounds = 3 if quick else 7
    pin(os.getpid(), CLIENT_CORE)
    with tempfile.TemporaryDirectory(prefix="fhir-facade-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        shutil.copy(database_of(300), folder / "bench.db")
        port = free_port()
        arguments = ["fhir_facade.cli", "serve", "--db", str(folder / "bench.db"), "--port", str(port)]
        ours = stack.enter_context(running(arguments, "/fhir", port, FHIR_FACADE_LOG_LEVEL="warning"))
        made = _Encounters(ours)
        answer = asyncio.run(_answer(ours, made.request(made.fresh())))
        (folder / "created.json").write_bytes(answer)
        servers = {OURS: ours, SINGLE: ours, TOGETHER: ours}
        peers = {BARE: "bare-create", **({PEER: "fhirstarter-create"} if find_spec("fhirstarter") else {})}
        for label, which in peers.items():
            port = free_port()
            peer = running(["benchmarks.peers", which, str(port), str(folder)], "/fhir" if label == BARE else "", port)
            servers[label] = stack.enter_context(peer)
        rates: dict[str, list[float]] = {label: [] for label in servers}
        for turn in range(rounds + 1):
            for label in random.sample(list(servers), len(servers)):
                requests, count = made.together(each) if label == TOGETHER else (made.alone(each, servers[label]), each)
                began = perf_counter()
                asyncio.run(_send(servers[label], requests, 1 if label == SINGLE else CONNECTIONS))
                if turn:  # the first round warms up
                    rates[label].append(count / (perf_counter() - began))
    rate = {label: median(values) for label, values in rates.items()}
    report.title(f"Creating Encounters of {made.size / 1000:.0f} kB, validated, {CONNECTIONS} connections, SQLite")
    for label, value in rate.items():
        aim = OF_BARE if label == OURS else None
        report.row(f"create/{label}", label, value / rate[BARE], "of bare ASGI", f"{value:,.0f}/s", aim)
    report.row("create/transaction", TOGETHER, rate[TOGETHER] / rate[SINGLE], "× one after the other", "", OF_SINGLE)
    report.row("create/at once", TOGETHER, rate[TOGETHER] / rate[OURS], f"× over {CONNECTIONS} connections")
    if PEER in rate:
        report.row("create/fhirstarter", OURS, rate[OURS] / rate[PEER], "× fhirstarter", "", OF_PEER)
    else:
        report.note("fhirstarter is not installed here: make bench compares with it")


class _Encounters:
    """New Encounters, each like one that is stored, under a number of its own."""

    def __init__(self, server: Server) -> None:
        request = b"GET /fhir/Encounter?class=AMB&_count=1 HTTP/1.1\r\nHost: x\r\nAccept: application/fhir+json\r\n\r\n"
        found = orjson.loads(asyncio.run(_answer(server, request)))["entry"][0]["resource"]
        self.own = found["id"].rsplit(".", 1)[1]
        kept = {name: value for name, value in found.items() if name not in ("id", "meta", "diagnosis")}
        kept["identifier"] = [one for one in kept["identifier"] if "guid" not in one["system"]]
        self.text = json.dumps(kept)
        self.size, self.number = len(self.text), 0

    def fresh(self) -> bytes:
        self.number += 1
        return self.text.replace(f'"{self.own}"', f'"B{self.number}"').encode()

    def request(self, body: bytes, path: str = "/fhir/Encounter") -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/fhir+json\r\nContent-Length: {len(body)}"
        return head.encode() + b"\r\n\r\n" + body

    def alone(self, count: int, server: Server) -> list[bytes]:
        return [self.request(self.fresh(), f"{server.prefix}/Encounter") for _ in range(count)]

    def together(self, count: int) -> tuple[list[bytes], int]:
        bundles = []
        for _ in range(max(count // IN_ONE, 1)):
            asked = b'{"request":{"method":"POST","url":"Encounter"},"resource":'
            entries = b",".join(asked + self.fresh() + b"}" for _ in range(IN_ONE))
            bundle = b'{"resourceType":"Bundle","type":"transaction","entry":[' + entries + b"]}"
            bundles.append(self.request(bundle, "/fhir"))
        return bundles, len(bundles) * IN_ONE


async def _answer(server: Server, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
    try:
        writer.write(request)
        return await _read(reader)
    finally:
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """The body of one answer, which succeeded."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    body = await reader.readexactly(length)
    if status >= 300:
        raise RuntimeError(f"{status}: {body[:500]!r}")
    return body


async def _send(server: Server, requests: Sequence[bytes], connections: int) -> None:
    """Send the requests over some connections, each as soon as the one before is answered."""
    waiting = iter(requests)

    async def one() -> None:
        reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
        for request in waiting:
            writer.write(request)
            await _read(reader)
        writer.close()

    await asyncio.gather(*(one() for _ in range(min(connections, len(requests)))))
