"""Opens a file of codes and reads it in the form that its content shows, in the memory of its largest small part."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.code_system_fhir import read_concepts, read_package, read_resources
from fhir_facade.store.code_system_rows import Event, Tell
from fhir_facade.store.code_system_tables import read_table
from fhir_facade.store.json_stream import DAMAGE, JsonStream

PIECE = 1 << 16
GZIP, TAR, TAR_AT = b"\x1f\x8b", b"ustar", 257


def read_codes(path: Path, encoding: str | None, tell: Tell, on_bytes: Callable[[int], None]) -> Iterator[Event]:
    """Yield rows and heads of any file; faults of rows are told, Refused at what spoils the rest of the file.

    `on_bytes` is called with how many more bytes of the file have been read.
    """
    with _opened(path, on_bytes) as source:
        try:
            begin = source.peek(PIECE)
        except DAMAGE as error:
            raise Refused(Issue("file-truncated", f"{path.name}:1", {"reason": str(error)})) from None
        if begin[TAR_AT : TAR_AT + len(TAR)] == TAR:
            yield from read_package(cast(BinaryIO, source), path.name, tell)
        elif begin.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] not in (b"{", b"["):
            yield from read_table(cast(BinaryIO, source), path.name, encoding, tell)
        elif _is_concept(begin):
            yield from read_concepts(cast(BinaryIO, source), path.name, tell)
        else:
            yield from read_resources(JsonStream(cast(BinaryIO, source), path.name), tell)


def _is_concept(begin: bytes) -> bool:
    """Whether the first line is a whole JSON object that is no resource: then there is one on each line."""
    first = begin.removeprefix(b"\xef\xbb\xbf").lstrip().split(b"\n", 1)[0]
    try:
        concept = orjson.loads(first)
    except orjson.JSONDecodeError:
        return False
    return isinstance(concept, dict) and "resourceType" not in concept


@contextmanager
def _opened(path: Path, on_bytes: Callable[[int], None]) -> Iterator[io.BufferedReader[Any]]:
    with path.open("rb") as file:
        counted = io.BufferedReader(_Counted(file, on_bytes), PIECE)
        if counted.peek(2)[:2] == GZIP:
            yield io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=counted)), PIECE)
        else:
            yield counted


class _Counted(io.RawIOBase):
    """A file that tells how much of it is read."""

    def __init__(self, file: BinaryIO, on_bytes: Callable[[int], None]) -> None:
        self._file, self._on_bytes = file, on_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._on_bytes(len(data))
        return len(data)
