"""The database of imported code systems: one SQLite file, with tables of its own for each edition.

An edition is a table of concepts, one of further parents, and a full-text index of the folded words of codes, displays
and designations (https://www.sqlite.org/fts5.html). A whole edition comes and goes with its tables.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, cast

import orjson
from sqlalchemy import (
    select,
)

from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.connections import SqliteConnections
from fhir_facade.store.edition_tables import APPLICATION, EDITIONS, LAYOUT, EditionTables, edition_of, stored
from fhir_facade.store.tables import text_of
from fhir_facade.terminology.concepts import NOTHING, Concept, Designation, Edition, Status, newness, spaced

COUNTED = 10_000
"""So many matches of a search are counted and given at most; a total of one more says that there are more."""
MOST_WORDS = 32
LAST_LETTER = "\U0010ffff"


@dataclass(frozen=True)
class ImportedCodeSystem:
    """One imported edition, as the protocol `CodeSystem` wants it; safe for threads.

    An edition that was imported again meanwhile is read as it is now; Refused when it is gone.
    """

    edition: Edition
    dotless: bool  # a code is found without its full stop as well
    _connections: SqliteConnections = field(repr=False, compare=False)
    _tables: list[EditionTables] = field(repr=False, compare=False)  # the one that is in use now

    def find(self, code: str) -> Concept | None:
        """The concept of a code; without case and full stop where the edition does not tell them apart."""
        if not is_text(code):
            return None
        with self._reading() as (connection, tables):
            row = connection.execute(tables.by_code, (code,)).fetchone()
            if row is None and (self.dotless or not self.edition.case_sensitive):
                wanted = self._alike(code)
                rows = connection.execute(tables.by_compact, (compact(code),))
                row = next((each for each in rows if self._alike(each[0]) == wanted), None)
        return _concept(row) if row else None

    def search(self, text: str, offset: int, limit: int) -> tuple[int, list[Concept]]:
        """How many concepts match, at most COUNTED + 1, and a page of the first COUNTED; text without a letter or digit
        finds nothing, no text finds all."""
        text = spaced(text)
        if not text:
            return self.edition.count, self.page(offset, limit)
        words = words_of(text)
        if not words or len(words) > MOST_WORDS:
            return 0, []
        last = min(offset + limit, COUNTED)
        with self._reading() as (connection, tables):
            if len(words) > 1:
                found = tables.kept_words.match(connection, words, compact(text))
                total, matching = min(len(found), COUNTED + 1), iter(found)
            else:
                match = f'"{words[0]}"*'  # a word holds letters and digits only: nothing in it is an operator
                total = connection.execute(tables.counted, (match, COUNTED + 1)).fetchone()[0]
                matching = (row[0] for row in connection.execute(tables.matches, (match, last)))
            places = _ranked(connection, tables, text, matching, last)[offset:last] if total and limit else []
            rows = [connection.execute(tables.by_place, (place,)).fetchone() for place in places]
        return total, [_concept(row) for row in rows]

    def page(self, offset: int, limit: int) -> list[Concept]:
        """Concepts in the order of the source."""
        with self._reading() as (connection, tables):
            return [_concept(row) for row in connection.execute(tables.page, (offset, offset + limit))]

    def parents(self, code: str) -> Iterator[Concept]:
        """The concepts above one, nearest first, each once."""
        begun = self.find(code)
        level, seen = [begun.code] if begun else [], {begun.code} if begun else set()
        while level:
            found: list[Concept] = []
            with self._reading() as (connection, tables):
                named = (row[0] for each in level for row in connection.execute(tables.parents, (each, each)))
                for parent in [name for name in dict.fromkeys(named) if name and name not in seen]:
                    found.append(_concept(connection.execute(tables.by_code, (parent,)).fetchone()))
            yield from found
            level = [concept.code for concept in found]
            seen.update(level)

    def children(self, code: str) -> list[Concept]:
        """The concepts right below one, in the order of the source."""
        begun = self.find(code)
        with self._reading() as (connection, tables):
            rows = connection.execute(tables.children, (begun.code, begun.code)) if begun else ()
            return [_concept(row) for row in rows]

    def _alike(self, code: str) -> str:
        code = code.replace(".", "") if self.dotless else code
        return code if self.edition.case_sensitive else code.casefold()

    @contextmanager
    def _reading(self) -> Iterator[tuple[sqlite3.Connection, EditionTables]]:
        with self._connections.snapshot() as connection:
            now = stored(connection, self.edition.url, self.edition.version)
            if now is None:
                facts = {"url": self.edition.url, "version": self.edition.version}
                raise Refused(Issue("code-system-gone", self._connections.path, facts))
            tables = self._tables[0]
            if (tables.number, tables.digest) != now:  # a number is given again when its edition is gone
                self._tables[0] = tables = EditionTables(*now)
            yield connection, tables


_EDITIONS = text_of(select(EDITIONS).order_by(EDITIONS.c.number))


def open_editions(path: str | Path) -> list[ImportedCodeSystem]:
    """Every edition in the database, by system and with the newest first; Refused when the file is none of ours."""
    if not Path(path).is_file():
        raise Refused(Issue("file-unreadable", str(path), {"reason": "there is no such file"}))
    connections = SqliteConnections(str(path))
    with recognised(path), connections.snapshot() as connection:
        judge_file(connection, path)
        rows = [dict(zip(EDITIONS.c.keys(), row, strict=True)) for row in connection.execute(_EDITIONS)]
    found = [
        ImportedCodeSystem(
            edition_of(row), bool(row["dotless"]), connections, [EditionTables(row["number"], row["digest"])]
        )
        for row in rows
    ]
    found.sort(key=lambda one: newness(one.edition), reverse=True)
    return sorted(found, key=lambda one: one.edition.url)


@contextmanager
def recognised(path: str | Path) -> Iterator[None]:
    """A file that is no database is told of as one that cannot be read."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in (
            sqlite3.SQLITE_NOTADB,
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_CANTOPEN,
        ):
            raise
        raise Refused(Issue("file-unreadable", str(path), {"reason": str(error)})) from None


def judge_file(connection: sqlite3.Connection, path: str | Path) -> None:
    """Refused unless the file is a database of code systems of this layout."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    layout = connection.execute("PRAGMA user_version").fetchone()[0]
    if (application, layout) != (APPLICATION, LAYOUT):
        raise Refused(Issue("code-systems-other-file", str(path)))


def is_text(code: str) -> bool:
    """Whether a code can be asked for; half of a surrogate pair cannot."""
    return code == code.encode("utf-8", "ignore").decode()


def compact(code: str) -> str:
    """A code as it is searched: folded, letters and digits only."""
    return "".join(letter for letter in spaced(code) if letter.isalnum())


def words_of(text: str) -> list[str]:
    """The different words of text that is `spaced` already."""
    plain = "".join(letter if letter.isalnum() else " " for letter in text)
    return list(dict.fromkeys(plain.split()))


def indexed_words(code: str, texts: Iterable[str]) -> str:
    """What the full-text index keeps of a concept: words of its code, the code in one word, words of its texts."""
    return " ".join(dict.fromkeys([*words_of(spaced(code)), compact(code), *words_of(spaced(" ".join(texts)))]))


def _ranked(
    connection: sqlite3.Connection, tables: EditionTables, text: str, matching: Iterator[int], wanted: int
) -> list[int]:
    """The first places, rank after rank; the last rank is all that matches."""
    code = compact(text)
    values = ((code,), (text,), (code, code + LAST_LETTER), (text, text + LAST_LETTER))
    places: dict[int, None] = {}
    for statement, given in zip(tables.ranks, values, strict=True):
        if len(places) >= wanted:
            return list(places)
        places.update((row[0], None) for row in connection.execute(statement, (*given, wanted)))
    places.update(dict.fromkeys(islice(matching, wanted)))
    return list(places)


def _concept(row: tuple[Any, ...]) -> Concept:
    code, display, status, valid_from, valid_to, parent, more = row
    known = cast(Status, status)
    if more is None:
        return Concept(code, display, known, valid_from, valid_to, parent)
    said = orjson.loads(more)
    designations = tuple(Designation(*each) for each in said.get("designations", ()))
    return Concept(code, display, known, valid_from, valid_to, parent, said.get("properties", NOTHING), designations)
