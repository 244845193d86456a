"""A record system on a socket of its own that remembers keys, and that fails in every way that it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

Fault = tuple[int, dict[str, str], bytes] | str
"""A status with headers and body, or: "hang up" at once, "lose" the answer after the work, "hold" until let go."""


@dataclass(frozen=True)
class Done:
    """One change as it came."""

    key: str
    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Receiver:
    """`faults` says what is to become of a request; None lets it be done."""

    faults: Callable[[Done], Fault | None] = lambda done: None
    done: list[Done] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    held: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/epj/fhir"

    def of(self, path: str) -> list[Done]:
        """What was done at a path, in order."""
        return [each for each in self.done if each.path == f"/epj/fhir/{path}"]

    def take(self, asked: Done) -> Fault | None:
        """Do what is asked unless it is done already; returns what becomes of the answer."""
        with self.lock:
            self.tried.append(asked.key)
            fault = self.faults(asked)
        if fault == "hold":
            self.held.set()
            self.let_go.wait(30)
        if fault in (None, "lose", "hold"):
            with self.lock:
                if asked.key not in self.keys:
                    self.keys.add(asked.key)
                    self.done.append(asked)
        return fault

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Answer until the block is left; at the same port as the time before."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                headers = dict(self.headers.items())
                key = headers.get("Idempotency-Key", "")
                asked = Done(key, self.command, self.path, headers, orjson.loads(body) if body else None)
                fault = receiver.take(asked)
                if isinstance(fault, str):
                    self.close_connection = True
                    return
                status, extra, said = fault or (200, {}, b"")
                self.send_response(status)
                for name, value in extra.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_DELETE = do_PUT

            def log_message(self, *_: Any) -> None:
                return

        server = Server(("127.0.0.1", self.port), Handler)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            self.let_go.set()
            server.shutdown()
            server.server_close()
            thread.join()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, *_: Any) -> None:
        """A client that has gone is no news."""
