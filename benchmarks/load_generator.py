"""Ask a server on this machine for paths, over and over, for a time: `python -m benchmarks.load_generator`.

A process of its own, so that it has another core than the server. Keep-alive, one request at a time on each connection.
It stops by itself: after the seconds no more is asked, and answers are waited for, but not without end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

LOOPBACK = "127.0.0.1"


class Client(asyncio.Protocol):
    """One connection: sends a request, waits for the whole answer, sends the next."""

    def __init__(self, requests: list[bytes], done: asyncio.Event, seed: int) -> None:
        self.requests, self.done = requests, done
        self.pick = random.Random(seed).choice
        self.answered = self.failed = self.received = 0
        self.closed = asyncio.Event()
        self.missing = -1  # bytes of the answer still to come; -1 while its head is not whole
        self.head = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.missing, self.head = -1, b""
        self.transport.write(self.pick(self.requests))

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        if self.missing < 0:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            self.missing = length_of(self.head[:end]) - (len(self.head) - end - 4)
            self.failed += not self.head.startswith(b"HTTP/1.1 200")
        else:
            self.missing -= len(data)
        if self.missing == 0:
            self.answered += 1
            if self.done.is_set():
                self.transport.close()
            else:
                self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.is_set():
            self.failed += 1
            self.done.set()
        self.closed.set()


def length_of(head: bytes) -> int:
    """The Content-Length of an answer."""
    lower = head.lower()
    at = lower.index(b"content-length:") + len(b"content-length:")
    end = lower.find(b"\r\n", at)
    return int(lower[at : end if end >= 0 else len(lower)])


async def drive(port: int, paths: list[str], connections: int, seconds: float) -> dict[str, float]:
    """Ask for that long; how many answers came in what time, and how many were no success."""
    requests = [
        f"GET {path} HTTP/1.1\r\nHost: {LOOPBACK}:{port}\r\nAccept: application/fhir+json\r\n\r\n".encode()
        for path in paths
    ]
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    clients = [Client(requests, done, seed) for seed in range(connections)]
    began = perf_counter()
    for client in clients:
        await loop.create_connection(lambda client=client: client, LOOPBACK, port)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), seconds)
    done.set()  # what was asked is waited for: a slow server's answers count too
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(*(client.closed.wait() for client in clients)), 2 * seconds + 10)
    took = perf_counter() - began
    answered = sum(client.answered for client in clients)
    for client in clients:
        client.transport.close()
    failed, received = sum(client.failed for client in clients), sum(client.received for client in clients)
    return {"answered": answered, "failed": failed, "seconds": took, "bytes": received}


def main() -> None:
    """Arguments: port, file with one path a line, connections, seconds. Prints what came as JSON."""
    port, paths, connections, seconds = sys.argv[1:]
    with contextlib.suppress(ImportError):
        import uvloop

        uvloop.install()
    work = drive(int(port), Path(paths).read_text().split(), int(connections), float(seconds))
    print(json.dumps(asyncio.run(asyncio.wait_for(work, 3 * float(seconds) + 20))))


if __name__ == "__main__":
    main()
