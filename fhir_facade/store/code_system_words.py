"""Which concepts of an edition have a word: sets of places that are kept, so that words are put together fast.

The full-text index walks through all concepts of every word to find those that have two. Words that are common are
few and asked for often; so the places of each word of such a question are read once and kept as one number with a
bit for each concept. https://www.sqlite.org/fts5.html#prefix_indexes
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import and_

import orjson

KEPT = 64  # words of one edition; of 360,000 concepts they take 3 MB
HELD = re.compile(rb"[^\0]").finditer


class Places:
    """A set of places, from 0 up; the first place is the highest bit. Sets that are put together end alike."""

    __slots__ = ("_bits", "_size")

    def __init__(self, bits: int, size: int) -> None:
        self._bits, self._size = bits, size

    @classmethod
    def of(cls, places: Iterable[int], last: int) -> Places:
        """The set of some places, none of them behind `last`."""
        size = last // 8 + 1
        held = bytearray(size)
        for place in places:
            held[place >> 3] |= 128 >> (place & 7)
        return cls(int.from_bytes(held, "big"), size)

    def __len__(self) -> int:
        return self._bits.bit_count()

    def __and__(self, other: Places) -> Places:
        return Places(self._bits & other._bits, self._size)

    def __or__(self, other: Places) -> Places:
        return Places(self._bits | other._bits, self._size)

    def __iter__(self) -> Iterator[int]:
        for found in HELD(self._bits.to_bytes(self._size, "big")):
            byte, first = found[0][0], 8 * found.start()
            yield from (first + bit for bit in range(8) if byte >> (7 - bit) & 1)


class Words:
    """The places of words of one edition; `statement` gives those of a MATCH as a JSON list, and the last place."""

    def __init__(self, statement: str) -> None:
        self._statement = statement
        self._kept: dict[str, Places] = {}
        self._lock = threading.Lock()

    def match(self, connection: sqlite3.Connection, words: Iterable[str], code: str) -> Places:
        """Those that have words with every one of these beginnings, or one that begins like all of them together."""
        every = reduce(and_, [self._places(connection, word) for word in words])
        return every | self._read(connection, code)

    def _places(self, connection: sqlite3.Connection, word: str) -> Places:
        found = self._kept.get(word) or self._read(connection, word)
        with self._lock:
            self._kept.pop(word, None)
            self._kept[word] = found  # what was asked for last stands last
            if len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return found

    def _read(self, connection: sqlite3.Connection, word: str) -> Places:
        """Words hold letters and digits only: nothing in them is an operator."""
        places, last = connection.execute(self._statement, (f'"{word}"*',)).fetchone()
        return Places.of(orjson.loads(places), last or 0)
