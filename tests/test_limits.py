"""Each limit is broken once over a socket: it is told by its issue and status, and the server lives on."""

from __future__ import annotations

import gzip
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from fhir_facade.limits import LIMITS, Limit
from fhir_facade.outcome import CATALOGUE
from fhir_facade.wire_limits import URL_LIMIT

WAIT = 60
SMALL = {
    "header_bytes": 8192, "header_seconds": 1.5, "body_seconds": 0.4, "resource_bytes": 20_000, "bundle_bytes": 50_000,
    "batch_bytes": 100_000,
    "json_width": 100, "json_values": 2000, "json_string": 5000, "transaction_entries": 3, "batch_entries": 4, "page_life": 1,
}  # fmt: skip
ENTRY = {"request": {"method": "GET", "url": "Patient"}}
Address = tuple[str, int]


@contextmanager
def served(**settings: object) -> Iterator[Address]:
    """A server in a process of its own with other settings."""
    command = [sys.executable, "-m", "fhir_facade.cli", "demo", "--patients", "3", "--port", "0"]
    given = {f"FHIR_FACADE_{name.upper()}": str(value) for name, value in settings.items()}
    environment = os.environ | {"FHIR_FACADE_LOG_LEVEL": "error"} | given
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, process.communicate(timeout=WAIT)
        parts = urlsplit(said.split()[3])
        yield str(parts.hostname), int(parts.port or 0)
        process.terminate()
        process.communicate(timeout=WAIT)


@pytest.fixture(scope="module")
def small() -> Iterator[Address]:
    with served(**SMALL) as address:
        yield address


def sent(address: Address, content: bytes) -> tuple[int, dict[str, str], dict[str, Any]]:
    with socket.create_connection(address, timeout=WAIT) as connection:
        connection.sendall(content)
        return received(connection)


def received(connection: socket.socket) -> tuple[int, dict[str, str], dict[str, Any]]:
    """One whole answer."""
    got = b""
    while b"\r\n\r\n" not in got and (part := connection.recv(65536)):
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    while len(body) < int(headers["content-length"]) and (part := connection.recv(65536)):
        body += part
    return int(first.split()[1]), headers, json.loads(body)


def get(path: str = "/fhir/metadata", *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: x", "Connection: close", *headers, "", ""]).encode()


def post(path: str, body: bytes, *headers: str, media: str = "application/fhir+json", size: int = -1) -> bytes:
    length = len(body) if size < 0 else size
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Connection: close", f"Content-Type: {media}", *headers]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode() + body


def patient(**elements: object) -> bytes:
    return json.dumps({"resourceType": "Patient", **elements}).encode()


def bundle(kind: str, count: int, **elements: object) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": kind, "entry": [ENTRY] * count, **elements}).encode()


def form(terms: str) -> bytes:
    return post("/fhir/Patient/_search", terms.encode(), media="application/x-www-form-urlencoded")


DEEP = b'{"resourceType":"Patient","x":' + b"[" * 101 + b"]" * 101 + b"}"
REQUESTS: dict[tuple[str, str], bytes] = {
    ("url-too-long", "URL"): get("/fhir/Patient?_id=" + "a" * URL_LIMIT),
    ("headers-too-large", ""): get("/fhir/metadata", "X-Long: " + "a" * 9000),
    ("headers-too-slow", ""): b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n",
    ("body-too-slow", ""): post("/fhir/Patient", b"{", size=100),
    ("body-too-large", "resource"): post("/fhir/Patient", patient(language="a" * 21_000)),
    ("body-too-large", "Bundle"): post("/fhir", bundle("transaction", 1, language="a" * 51_000)),
    ("body-too-large", "in parts"): post("/fhir", bundle("batch", 1, language="a" * 101_000)),
    ("coding-unsupported", ""): post("/fhir/Patient", b"x", "Content-Encoding: br"),
    ("body-not-unpacked", ""): post("/fhir/Patient", gzip.compress(patient())[:-9], "Content-Encoding: gzip"),
    ("json-not-json", ""): post("/fhir/Patient", '{"resourceType":"Patient"}'.encode("utf-16")),
    ("json-too-deep", ""): post("/fhir/Patient", DEEP),
    ("json-too-wide", ""): post("/fhir/Patient", patient(name=[{"family": "Nor"}] * 101)),
    ("json-string-too-long", ""): post("/fhir/Patient", patient(name=[{"family": "a" * 5001}])),
    ("json-too-many-values", ""): post("/fhir/Patient", patient(name=[[0] * 50] * 41)),
    ("json-duplicate-key", ""): post("/fhir/Patient", b'{"resourceType":"Patient","id":"1","id":"2"}'),
    ("bundle-entries-too-many", "transaction"): post("/fhir", bundle("transaction", 4)),
    ("bundle-entries-too-many", "batch"): post("/fhir", bundle("batch", 5), "Idempotency-Key: one"),
    ("search-too-complex", "Parameters"): form("&".join(["_id=a"] * 100)),
    ("search-too-complex", "Values"): form("_id=" + ",".join("a" * 1000)),
}


def request_of(limit: Limit) -> bytes | None:
    return next((REQUESTS[key] for key in REQUESTS if key[0] == limit.issue and key[1] in limit.what), None)


ELSEWHERE = {
    "store-too-slow": "tests/rest/test_database_faults.py",
    "page-token-expired": "tests/rest/test_paging.py",
    "writes-queued": "tests/rest/test_changes.py",
    "server-busy": "below", "client-busy": "below", "client-too-fast": "below",
}  # fmt: skip


@pytest.mark.parametrize("limit", LIMITS, ids=lambda limit: limit.what)
def test_a_limit_is_told(small: Address, limit: Limit) -> None:
    request = request_of(limit)
    if request is None:
        assert limit.issue in ELSEWHERE
        return
    status, headers, outcome = sent(small, request)
    assert status == CATALOGUE[limit.issue].status, outcome
    assert headers["content-type"].startswith("application/fhir+json")
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"][0]["details"]["coding"][0]["code"] == limit.issue
    assert sent(small, get())[0] == 200


def test_what_is_packed_is_unpacked_up_to_the_limit_only(small: Address) -> None:
    bomb = gzip.compress(patient(language="a" * 19_000_000))
    assert len(bomb) < 20_000
    status, _, outcome = sent(small, post("/fhir/Patient", bomb, "Content-Encoding: gzip"))
    assert (status, outcome["issue"][0]["details"]["coding"][0]["code"]) == (413, "body-too-large")
    plain, packed = (
        sent(small, post("/fhir/Patient/$validate", body, *headers))
        for body, headers in ((patient(), ()), (gzip.compress(patient()), ("Content-Encoding: gzip",)))
    )
    assert (plain[0], plain[2]) == (packed[0], packed[2]) == (200, packed[2])


def test_two_members_of_gzip_are_one_body(small: Address) -> None:
    first, second = patient()[:10], patient()[10:]
    body = gzip.compress(first) + gzip.compress(second)
    status, _, outcome = sent(small, post("/fhir/Patient/$validate", body, "Content-Encoding: x-gzip"))
    assert (status, outcome["resourceType"]) == (200, "OperationOutcome")


def test_headers_that_come_a_byte_at_a_time_hold_nobody_up(small: Address) -> None:
    with socket.create_connection(small, timeout=WAIT) as slow:
        slow.sendall(b"GET /fhir/meta")
        assert sent(small, get())[0] == 200
        status, _, outcome = received(slow)
        assert (status, outcome["issue"][0]["details"]["coding"][0]["code"]) == (408, "headers-too-slow")
        assert slow.recv(100) == b""


def test_a_connection_that_says_nothing_is_closed(small: Address) -> None:
    with socket.create_connection(small, timeout=WAIT) as silent:
        assert silent.recv(100) == b""


def test_a_connection_is_used_again_and_its_headers_are_timed_anew(small: Address) -> None:
    again = get().replace(b"close", b"keep-alive")
    with socket.create_connection(small, timeout=WAIT) as connection:
        for _ in range(4):
            connection.sendall(again[:20])
            time.sleep(0.6)  # together more than one request's headers may take
            connection.sendall(again[20:])
            assert received(connection)[0] == 200


SLOW = post("/fhir/Patient", b"{", size=100)


@pytest.mark.parametrize(
    ("settings", "code"),
    [({"requests_at_once": 2}, "server-busy"), ({"requests_of_client": 2}, "client-busy")],
)
def test_more_requests_than_may_be_answered_at_a_time_are_told_to_come_again(
    settings: dict[str, int], code: str
) -> None:
    with served(**settings, body_seconds=WAIT) as address:
        waiting = [socket.create_connection(address, timeout=WAIT) for _ in range(2)]
        for connection in waiting:
            connection.sendall(SLOW)
        status, headers, outcome = until(lambda: sent(address, get()), lambda answer: answer[0] != 200)
        assert (status, headers["retry-after"]) == (CATALOGUE[code].status, "1")
        assert outcome["issue"][0]["details"]["coding"][0]["code"] == code
        for connection in waiting:  # who hangs up leaves room
            connection.close()
        assert until(lambda: sent(address, get()), lambda answer: answer[0] == 200)[0] == 200


def until(ask: Callable[[], Any], done: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + WAIT
    while not done(answer := ask()):
        assert time.monotonic() < end, answer
    return answer


def test_a_client_that_is_too_fast_is_told_to_slow_down() -> None:
    with served(requests_per_second=0.3) as address:
        first = [sent(address, get()) for _ in range(2)]
        assert [answer[0] for answer in first] == [200, 429]
        assert first[1][2]["issue"][0]["details"]["coding"][0]["code"] == "client-too-fast"
        assert until(lambda: sent(address, get()), lambda answer: answer[0] == 200)[0] == 200


def test_a_server_that_lives_and_is_ready_says_so(small: Address) -> None:
    assert sent(small, get("/livez"))[2] == {"status": "ok"}
    assert sent(small, get("/readyz"))[2] == {"status": "ok"}
