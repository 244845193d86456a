"""Resources out of files, folders and standard input: JSON, a resource a line (NDJSON), and both in gzip.

Lines are read one at a time, so that the first is judged at once and the file may be of any size.
"""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import orjson

from fhir_facade.outcome import Issue, Refused

ENDINGS = (".json", ".ndjson", ".jsonl")
LINE_ENDINGS = (".ndjson", ".jsonl")
NOT_RESOURCES = frozenset({"package.json"})
"""Files of a FHIR package that are JSON and no resource; those that begin with a dot are none either."""
LONGEST = 256 * 1024 * 1024  # bytes of one line, or of a file that is one text
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)
STANDARD_INPUT = "-"


class Piece(NamedTuple):
    """The text of one resource, the line that it begins on, and how far its file is read, in bytes of the file."""

    content: bytes
    line: int
    read: int


def files_in(paths: list[Path]) -> list[Path]:
    """The files that are named and those in the folders that are named, in order; Refused when there is none there."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(each for each in path.rglob("*") if each.is_file() and _is_wanted(each.name))
        if not inside:
            raise FileNotFoundError(2, f"no file in it ends in {', '.join(ENDINGS)} or these with .gz", str(path))
        found += inside
    return found


def size_of(path: Path) -> int:
    """Bytes of a file; 0 for standard input and what is not there."""
    return 0 if str(path) == STANDARD_INPUT or not path.is_file() else path.stat().st_size


def pieces(path: Path, standard_input: BinaryIO) -> Iterator[Piece]:
    """The texts of the resources in a file; OSError when it cannot be read, Refused when it is damaged or too long."""
    if str(path) == STANDARD_INPUT:
        yield from _pieces(standard_input, "", STANDARD_INPUT)
        return
    with path.open("rb") as file:
        yield from _pieces(file, path.name.removesuffix(".gz"), str(path))


def _is_wanted(name: str) -> bool:
    return name.removesuffix(".gz").endswith(ENDINGS) and not name.startswith(".") and name not in NOT_RESOURCES


def _pieces(raw: BinaryIO, name: str, shown: str) -> Iterator[Piece]:
    """Lines, where the name says so or the first line is a whole object; else the file as one text."""
    buffered = raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(raw)  # type: ignore[type-var]
    source: BinaryIO = buffered
    if buffered.peek(2)[:2] == b"\x1f\x8b":
        source = gzip.GzipFile(fileobj=buffered)  # type: ignore[assignment]
    tell = raw.tell if raw.seekable() else int
    try:
        first = source.readline(LONGEST + 1)
        if name.endswith(LINE_ENDINGS) or _is_whole(first):
            yield from _lines(source, first, shown, tell)
            return
        content = first + source.read(LONGEST + 1 - len(first))
    except DAMAGE:
        raise Refused(Issue("file-damaged", shown)) from None
    if len(content) > LONGEST:
        raise Refused(Issue("json-too-large", shown, {"limit": LONGEST}))
    yield Piece(content, 1, tell())


def _lines(source: BinaryIO, line: bytes, shown: str, tell: Callable[[], int]) -> Iterator[Piece]:
    number = 1
    while line:
        if len(line) > LONGEST:
            raise Refused(Issue("json-too-large", f"{shown}:{number}", {"limit": LONGEST}))
        if line.strip():
            yield Piece(line.rstrip(b"\r\n"), number, tell())
        line = source.readline(LONGEST + 1)
        number += 1


def _is_whole(line: bytes) -> bool:
    """Whether a first line is an object of its own, so that more of them may follow."""
    text = line.strip()
    if not (text.startswith(b"{") and text.endswith(b"}")):
        return False
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False
