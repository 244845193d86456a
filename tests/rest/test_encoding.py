"""Answers are compressed as Accept-Encoding ranks the codings, and are the same when they are unpacked."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import zstandard

from fhir_facade.rest.answer import Answer
from fhir_facade.rest.encoding import IN_A_THREAD, LEAST, Coding, accepted_coding, compressed, encode

Ask = Callable[..., httpx.Response]
PAGE = "/fhir/Encounter?_count=20"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (b"", ("identity", False)),
        (b"gzip", ("gzip", False)),
        (b"x-gzip", ("gzip", False)),
        (b"zstd", ("zstd", False)),
        (b"GZIP, ZSTD", ("zstd", False)),
        (b"gzip, deflate, br, zstd", ("zstd", False)),
        (b"gzip;q=1.0, zstd;q=0.9", ("gzip", False)),
        (b"gzip;q=0.1", ("gzip", False)),
        (b"zstd;q=0, gzip", ("gzip", False)),
        (b"identity, gzip;q=0.5", ("identity", False)),
        (b"identity;q=0.5, gzip;q=0.5", ("gzip", False)),
        (b"br, deflate", ("identity", False)),
        (b"*", ("zstd", False)),
        (b"*;q=0.3, gzip;q=0.4", ("gzip", False)),
        (b"zstd;q=0, *", ("gzip", False)),
        (b"gzip;q=0, zstd;q=0", ("identity", False)),
        (b"*;q=0", None),
        (b"identity;q=0", None),
        (b"br, identity;q=0", None),
        (b"identity;q=0, gzip", ("gzip", True)),
        (b"identity;q=0, *", ("zstd", True)),
        (b"*;q=0, gzip", ("gzip", True)),
        (b"*;q=0, identity", ("identity", False)),
        (b"gzip;q=nonsense", ("identity", False)),
        (b"gzip;q=7", ("gzip", False)),
        (b" , ;q=1", ("identity", False)),
    ],
)
def test_the_coding_is_chosen_by_weight(header: bytes, expected: tuple[str, bool] | None) -> None:
    assert accepted_coding(header) == (None if expected is None else Coding(*expected))


def unpacked(coding: str, content: bytes) -> bytes:
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompress(content)
    return gzip.decompress(content) if coding == "gzip" else content


async def raw(app: Any, method: str, path: str, accept_encoding: str) -> tuple[int, dict[bytes, bytes], bytes]:
    """What an application sends, before a client unpacks it."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    path, _, query = path.partition("?")
    headers = [(b"accept-encoding", accept_encoding.encode())] if accept_encoding != "none" else []
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": headers}
    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity", "none"])
@pytest.mark.parametrize("more", ["", "&_format=xml", "&_format=ndjson", "&_pretty=true"])
def test_a_page_is_the_same_when_unpacked(lane: Any, coding: str, more: str) -> None:
    _, plain_headers, plain = asyncio.run(raw(lane, "GET", PAGE + more, "none"))
    status, headers, content = asyncio.run(raw(lane, "GET", PAGE + more, coding))
    assert (status, headers.get(b"content-encoding", b"identity").decode()) == (200, coding.replace("none", "identity"))
    assert unpacked(coding, content) == plain
    assert headers[b"content-length"] == b"%d" % len(content)
    assert b"accept-encoding" in headers[b"vary"] == plain_headers[b"vary"]
    if coding in ("gzip", "zstd"):
        assert len(content) < len(plain) / 3


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity;q=0, gzip", "none"])
def test_head_says_what_get_says(lane: Any, coding: str) -> None:
    status, headers, content = asyncio.run(raw(lane, "HEAD", PAGE, coding))
    got = asyncio.run(raw(lane, "GET", PAGE, coding))
    assert (status, content) == (200, b"")
    assert {**headers, b"x-request-id": b""} == {**got[1], b"x-request-id": b""}


def test_a_small_answer_is_not_worth_it_unless_identity_is_refused(lane: Any) -> None:
    small = "/fhir/Encounter?_summary=count"
    _, headers, plain = asyncio.run(raw(lane, "GET", small, "gzip"))
    assert len(plain) < LEAST
    assert b"content-encoding" not in headers
    _, headers, packed = asyncio.run(raw(lane, "GET", small, "gzip, identity;q=0"))
    assert (headers[b"content-encoding"], gzip.decompress(packed)) == (b"gzip", plain)


def test_who_takes_no_coding_of_ours_is_told(lane: Any) -> None:
    status, headers, content = asyncio.run(raw(lane, "GET", PAGE, "br, identity;q=0"))
    assert (status, b"content-encoding" in headers, b"coding-not-acceptable" in content) == (406, False, True)
    status, _, content = asyncio.run(raw(lane, "GET", "/fhir/Nothing", "*;q=0"))
    assert (status, b"type-unknown" in content) == (404, True)


@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity;q=0, gzip"])
def test_a_version_is_weak_and_the_same_in_every_coding(lane: Any, ids: list[str], coding: str) -> None:
    async def twice() -> None:
        url = f"/fhir/Encounter/{ids[0]}"
        _, headers, _ = await raw(lane, "GET", url, coding)
        assert headers[b"etag"].startswith(b'W/"')
        assert headers[b"etag"] == (await raw(lane, "GET", url, "none"))[1][b"etag"]

    asyncio.run(twice())


def test_not_modified_has_no_coding(ask: Ask, ids: list[str]) -> None:
    url = f"/fhir/Encounter/{ids[0]}"
    etag = ask("GET", url).headers["etag"]
    answer = ask("GET", url, headers={"If-None-Match": etag, "Accept-Encoding": "gzip, identity;q=0"})
    assert (answer.status_code, answer.content, "content-encoding" in answer.headers) == (304, b"", False)


@pytest.mark.parametrize("size", [LEAST - 1, LEAST, IN_A_THREAD - 1, IN_A_THREAD, 8 * IN_A_THREAD])
@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_bodies_of_all_sizes(size: int, name: str) -> None:
    body = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    answer = Answer(200, body)
    asyncio.run(encode(answer, Coding(name, False)))
    packed = (b"content-encoding", name.encode()) in answer.headers
    assert packed is (size >= LEAST)
    assert unpacked(name if packed else "", answer.body) == body


def test_gzip_of_others_reads_ours(tmp_path: Path) -> None:
    body = b"x" * 5000
    assert (
        subprocess.run(["gzip", "-dc"], input=compressed(body, "gzip"), capture_output=True, check=True).stdout == body
    )
