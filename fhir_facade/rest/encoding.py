"""Compressed answers: the coding is chosen by Accept-Encoding and its q-values (RFC 9110, 12.5.3).

zstd goes before gzip where a client ranks them alike. Both work at their fastest level: what is saved is time on the
line, and a better level costs more than it saves.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from functools import lru_cache
from typing import NamedTuple

import zstandard

from fhir_facade.rest.answer import Answer

ZSTD, GZIP, IDENTITY = "zstd", "gzip", "identity"
LEAST = 1024
"""Bytes below which a body is sent as it is."""
IN_A_THREAD = 128 * 1024
"""Bytes from which compressing would hold up other requests."""
LEVEL = 1
_GZIP_FORM = 31  # zlib's sign for a gzip head and the largest window


class Coding(NamedTuple):
    """How a body is sent: as zstd, gzip or identity; `always` when identity is refused, so that size is no matter."""

    name: str
    always: bool


@lru_cache(maxsize=256)
def accepted_coding(accept_encoding: bytes) -> Coding | None:
    """The coding that a header ranks first, None when it takes none of ours, identity included."""
    weights: dict[str, float] = {}
    for part in accept_encoding.decode("latin-1").lower().split(","):
        name, *parameters = (each.strip() for each in part.split(";"))
        if name:
            weights["gzip" if name == "x-gzip" else name] = _weight(parameters)
    others = weights.get("*")
    # identity will do unless it is ruled out, by name or by "*"; unnamed it ranks below what is named
    plain = weights.get(IDENTITY, 0.0005 if others is None else others)
    ranked = [(weights.get(name, others or 0.0), name) for name in (ZSTD, GZIP)]
    best, name = max(ranked, key=lambda each: each[0])  # the first of equals
    if best > 0 and best >= plain:
        return Coding(name, plain == 0)
    return Coding(IDENTITY, False) if plain > 0 else None


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def compressed(body: bytes, coding: str) -> bytes:
    """The body in a coding; the same bytes each time."""
    if coding == ZSTD:
        return zstandard.ZstdCompressor(level=LEVEL).compress(body)
    return zlib.compress(body, LEVEL, _GZIP_FORM) if coding == GZIP else body


async def encoded_pieces(pieces: AsyncIterator[bytes], coding: Coding) -> AsyncIterator[bytes]:
    """What is made bit by bit, in a coding other than identity."""
    packer = (
        zstandard.ZstdCompressor(level=LEVEL).compressobj()
        if coding.name == ZSTD
        else zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP_FORM)
    )
    async for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()


async def encode(answer: Answer, coding: Coding) -> None:
    """Compress the body of an answer where it is worth it; a large one without holding up other requests."""
    body = answer.body
    if coding.name == IDENTITY or not body or (len(body) < LEAST and not coding.always):
        return
    if len(body) < IN_A_THREAD:
        answer.body = compressed(body, coding.name)
    else:
        answer.body = await asyncio.to_thread(compressed, body, coding.name)
    answer.headers.append((b"content-encoding", coding.name.encode()))
