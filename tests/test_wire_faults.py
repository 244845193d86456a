"""What is no HTTP, or too long, over a real socket: told in FHIR, and the server lives on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from fhir_facade.wire_limits import URL_LIMIT

WAIT = 60


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    """A server in a process of its own on a free port."""
    command = [sys.executable, "-m", "fhir_facade.cli", "demo", "--patients", "2", "--port", "0"]
    environment = {**os.environ, "FHIR_FACADE_TRUSTED_PROXIES": '["127.0.0.1"]'}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        parts = urlsplit(process.stdout.readline().split()[3])
        yield str(parts.hostname), int(parts.port or 0)
        process.terminate()
        process.communicate(timeout=WAIT)


def sent(address: tuple[str, int], content: bytes) -> tuple[int, dict[str, str], bytes]:
    """What comes back for these bytes: status, headers, body; the connection is read to its end."""
    with socket.create_connection(address, timeout=WAIT) as connection:
        connection.sendall(content)
        got = b""
        while part := connection.recv(65536):
            got += part
    head, _, body = got.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


def request(url: bytes) -> bytes:
    return b"GET " + url + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def padded(length: int) -> bytes:
    head = b"/fhir/Patient?_id="
    return head + b"a" * (length - len(head))


@pytest.mark.parametrize("length", [URL_LIMIT + 1, 100_000, 3_000_000])
def test_a_url_that_is_too_long_is_told(address: tuple[str, int], length: int) -> None:
    status, headers, body = sent(address, request(padded(length)))
    assert (status, headers["content-type"], headers["connection"]) == (414, "application/fhir+json", "close")
    issue = json.loads(body)["issue"][0]
    assert issue["details"]["coding"][0]["code"] == "url-too-long"
    assert str(URL_LIMIT) in issue["details"]["text"]


def test_the_longest_url_is_read(address: tuple[str, int]) -> None:
    status, _, body = sent(address, request(padded(URL_LIMIT)))
    assert (status, json.loads(body)["resourceType"]) == (200, "Bundle")


@pytest.mark.parametrize(
    "content", [b"no http\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"GET /fhir HTTP/9.9\r\n\r\n"]
)
def test_what_is_no_http_is_told(address: tuple[str, int], content: bytes) -> None:
    status, headers, body = sent(address, content)
    assert (status, headers["content-length"]) == (400, str(len(body)))
    assert json.loads(body)["issue"][0]["details"]["coding"][0]["code"] == "request-malformed"


def test_the_peer_of_the_connection_is_the_proxy_and_not_who_it_speaks_for(address: tuple[str, int]) -> None:
    """uvicorn's own handling of these headers would put the client's address in the place of the peer's."""
    forwarded = b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: epj.example.no\r\n"
    _, _, body = sent(address, request(b"/fhir/metadata").replace(b"\r\n", b"\r\n" + forwarded, 1))
    assert json.loads(body)["implementation"]["url"] == "https://epj.example.no/fhir"


def test_the_server_lives_on(address: tuple[str, int]) -> None:
    sent(address, b"nonsense\r\n\r\n")
    status, _, body = sent(address, request(b"/fhir/metadata"))
    assert (status, json.loads(body)["resourceType"]) == (200, "CapabilityStatement")
