"""The body of a request: read up to a number of bytes and seconds, and unpacked no further than that either."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import nullcontext
from typing import Any

from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.encoding import GZIP

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

PACKED = (b"gzip", b"x-gzip")
IN_A_THREAD = 64 * 1024
"""Bytes from which unpacking would hold up other requests."""
_GZIP_FORM = 31  # zlib's sign for a gzip head and the largest window


class ClientLeft(Exception):
    """The client went away before its request was whole."""


async def body_of(headers: Mapping[bytes, bytes], receive: Receive, limit: int, seconds: float = 0) -> bytes:
    """Read and unpack a body of at most `limit` bytes, packed or not, that comes within some seconds (0: any time).

    Refused with 413, 408, 415 for a coding that is not read, and 400 for what is not in its coding.
    """
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding not in (b"identity", *PACKED):
        raise Refused(Issue("coding-unsupported", "", {"allowed": GZIP}))
    try:
        async with asyncio.timeout(seconds) if seconds else nullcontext():
            content = await _read(headers, receive, limit)
    except TimeoutError:
        raise Refused(Issue("body-too-slow", "", {"limit": f"{seconds:g}"})) from None
    if coding == b"identity" or not content:
        return content
    if len(content) < IN_A_THREAD:
        whole = _unpacked(content, limit)
    else:
        whole = await asyncio.to_thread(_unpacked, content, limit)
    if len(whole) > limit:
        raise Refused(Issue("body-too-large", "", {"limit": limit}))
    return whole


async def _read(headers: Mapping[bytes, bytes], receive: Receive, limit: int) -> bytes:
    declared = headers.get(b"content-length", b"0")
    size = int(declared) if declared.isdigit() else 0
    parts, size = [], size if size > limit else 0
    while size <= limit:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size <= limit and not message.get("more_body", False):
            return b"".join(parts)
    raise Refused(Issue("body-too-large", "", {"limit": limit}))


def _unpacked(content: bytes, limit: int) -> bytes:
    """At most one byte more than the limit, of one or several members (RFC 1952, 2.2)."""
    whole = b""
    while content and len(whole) <= limit:
        member = zlib.decompressobj(_GZIP_FORM)
        try:
            whole += member.decompress(content, limit + 1 - len(whole))
        except zlib.error:
            raise Refused(Issue("body-not-unpacked", "")) from None
        if not member.eof and len(whole) <= limit:
            raise Refused(Issue("body-not-unpacked", ""))
        content = member.unused_data
    return whole
