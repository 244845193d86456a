"""The body of a request: read up to a number of bytes and seconds, and unpacked no further than that either.

One that may be larger than what is held in memory goes on in a file without a name.
"""

from __future__ import annotations

import asyncio
import tempfile
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import nullcontext
from typing import Any, BinaryIO, NamedTuple

from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.encoding import GZIP

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

PACKED = (b"gzip", b"x-gzip")
IN_A_THREAD = 64 * 1024
"""Bytes from which unpacking would hold up other requests."""
HEAD = 64 * 1024
"""Bytes that show what a body is which says that it is large."""
PIECE = 1024 * 1024  # bytes that are written at a time
_GZIP_FORM = 31  # zlib's sign for a gzip head and the largest window


class ClientLeft(Exception):
    """The client went away before its request was whole."""


class Larger(NamedTuple):
    """Up to how many bytes a body may be larger than what is held in memory, if its beginning shows that it may."""

    most: int
    may_be: Callable[[bytes], bool]


async def body_of(
    headers: Mapping[bytes, bytes], receive: Receive, limit: int, seconds: float = 0, larger: Larger | None = None
) -> bytes | BinaryIO:
    """Read and unpack a body of at most `limit` bytes, packed or not, that comes within some seconds (0: any time).

    One that may be `larger` comes as a file, at its beginning, which whoever asked closes; each `limit` bytes of it
    have the seconds. Refused with 413, 408, 415 for a coding that is not read, and 400 for what is not in its coding.
    """
    coding = headers.get(b"content-encoding", b"identity").strip().lower()
    if coding not in (b"identity", *PACKED):
        raise Refused(Issue("coding-unsupported", "", {"allowed": GZIP}))
    is_packed = coding != b"identity"
    try:
        async with asyncio.timeout(seconds) if seconds else nullcontext() as clock:
            content = await _read(headers, receive, limit, None if is_packed else larger, _Patience(clock, seconds))
    except TimeoutError:
        raise Refused(Issue("body-too-slow", "", {"limit": f"{seconds:g}"})) from None
    if not is_packed or not content or not isinstance(content, bytes):
        return content
    if len(content) < IN_A_THREAD:
        whole = _unpacked(content, limit)
    else:
        whole = await asyncio.to_thread(_unpacked, content, limit)
    if len(whole) <= limit:
        return whole
    if larger is None or not larger.may_be(whole):
        raise Refused(Issue("body-too-large", "", {"limit": limit}))
    return await asyncio.to_thread(_unpacked_file, content, larger.most)


class _Patience(NamedTuple):
    clock: asyncio.Timeout | None
    seconds: float

    def renew(self) -> None:
        """Have all of the seconds again."""
        if self.clock is not None:
            self.clock.reschedule(asyncio.get_running_loop().time() + self.seconds)


async def _read(
    headers: Mapping[bytes, bytes], receive: Receive, limit: int, larger: Larger | None, patience: _Patience
) -> bytes | BinaryIO:
    said = headers.get(b"content-length", b"0")
    declared = int(said) if said.isdigit() else 0
    if declared > (larger.most if larger is not None else limit):
        raise Refused(Issue("body-too-large", "", {"limit": limit}))
    most, parts, size, is_whole = min(HEAD, limit) if declared > limit else limit, list[bytes](), 0, False
    while size <= most and not is_whole:
        part, is_whole = await _next(receive)
        parts.append(part)
        size += len(part)
    content = b"".join(parts)
    if size <= most:
        return content
    if larger is None or not larger.may_be(content):
        raise Refused(Issue("body-too-large", "", {"limit": limit}))
    file = tempfile.TemporaryFile(prefix="fhir-facade-")  # noqa: SIM115 whoever asked for the body closes it
    try:
        await _read_on(file, content, is_whole, receive, limit, larger.most, patience)
    except BaseException:
        file.close()
        raise
    return file


async def _read_on(
    file: BinaryIO, begun: bytes, is_whole: bool, receive: Receive, limit: int, most: int, patience: _Patience
) -> None:
    """Write to a file what has come of a body, and the rest of it as it comes."""
    parts, waiting, size, renewed = [begun], len(begun), len(begun), 0
    while True:
        if size > most:
            raise Refused(Issue("body-too-large", "", {"limit": most}))
        if waiting >= PIECE or is_whole:
            await asyncio.to_thread(file.write, b"".join(parts))
            parts, waiting = [], 0
        if is_whole:
            break
        if size - renewed > limit:
            renewed = size
            patience.renew()
        part, is_whole = await _next(receive)
        parts.append(part)
        waiting += len(part)
        size += len(part)
    file.seek(0)


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """What comes next of a body, and whether that is the end of it."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientLeft
    return message.get("body", b""), not message.get("more_body", False)


def _unpacked(content: bytes, limit: int) -> bytes:
    """The bytes of a packed body, or of one that is larger than the limit some more than that."""
    parts, size = list[bytes](), 0
    for part in _unpacking(content, min(PIECE, limit + 1)):
        parts.append(part)
        size += len(part)
        if size > limit:
            break
    return b"".join(parts)


def _unpacked_file(content: bytes, most: int) -> BinaryIO:
    file = tempfile.TemporaryFile(prefix="fhir-facade-")  # noqa: SIM115 whoever asked for the body closes it
    try:
        for part in _unpacking(content, PIECE):
            file.write(part)
            if file.tell() > most:
                raise Refused(Issue("body-too-large", "", {"limit": most}))
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def _unpacking(content: bytes, piece: int) -> Iterator[bytes]:
    """What is packed in one or several members (RFC 1952, 2.2), so many bytes at a time."""
    while content:
        member = zlib.decompressobj(_GZIP_FORM)
        while not member.eof:
            try:
                part = member.decompress(content, piece)
            except zlib.error:
                raise Refused(Issue("body-not-unpacked", "")) from None
            content = member.unconsumed_tail
            if part:
                yield part
            elif not content and not member.eof:
                raise Refused(Issue("body-not-unpacked", ""))
        content = member.unused_data
