"""What is wrong between the rows of an edition: codes that repeat, parents that are missing, circles.

All of it is asked of the database, so that an edition of any size is judged in the memory of a small one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import islice

from sqlalchemy import Select, func, literal_column, select, union_all

from fhir_facade.outcome import Issue
from fhir_facade.store.code_system_rows import shown
from fhir_facade.store.dialects import parameter
from fhir_facade.store.edition_tables import EDITIONS, EditionTables, at_most, edition_of
from fhir_facade.store.tables import text_of
from fhir_facade.terminology.concepts import Edition, newness

LINES = 1 << 32  # the place of a row is its file's number and its line
MOST = 200  # findings of one sort that are looked up
ROUTE = 50  # codes of a circle that are shown


def place_of(file: int, line: int) -> int:
    """File and line as one number."""
    return file * LINES + line


def findings(connection: sqlite3.Connection, tables: EditionTables, files: Sequence[str]) -> Iterator[Issue]:
    """Yield what is wrong; makes the index of codes if none repeats."""

    def where(place: int) -> str:
        return f"{files[place // LINES]}:{place % LINES}"

    try:
        connection.execute(tables.indexes[0])
    except sqlite3.IntegrityError:
        for code, place, first, is_same in _repeated(connection, tables):
            texts = "the same text" if is_same else "another text"
            yield Issue("code-repeated", where(place), {"code": shown(code), "first": where(first), "texts": texts})
        return  # what stands below a code that comes twice is not known
    unknown = 0
    for code, parent, place in connection.execute(_unknown_parents(tables), (MOST,)):
        unknown += 1
        yield Issue("code-parent-unknown", where(place), {"code": shown(code), "parent": shown(parent)})
    if not unknown:
        for circle, place in _circles(connection, tables):
            facts = {"code": shown(circle[0]), "circle": " → ".join(map(shown, circle))}
            yield Issue("code-above-itself", where(place), facts)


def compared(connection: sqlite3.Connection, edition: Edition, tables: EditionTables) -> tuple[str, int, int]:
    """The version of the newest other edition, how many codes are new since it, and how many are gone."""
    columns = EDITIONS.c.keys()
    query = text_of(select(EDITIONS).where(EDITIONS.c.url == parameter("url")), "url")
    rows = [dict(zip(columns, row, strict=True)) for row in connection.execute(query, (edition.url,))]
    others = [row for row in rows if row["version"] != edition.version]
    if not others:
        return "", 0, 0
    last = max(others, key=lambda row: newness(edition_of(row)))
    before = EditionTables(last["number"])
    added = connection.execute(_only_in(tables, before)).fetchone()[0]
    dropped = connection.execute(_only_in(before, tables)).fetchone()[0]
    return last["version"], added, dropped


def _only_in(tables: EditionTables, other: EditionTables) -> str:
    mine, theirs = tables.concepts, other.concepts
    missing = ~select(theirs.c.code).where(theirs.c.code == mine.c.code).exists()
    return text_of(select(func.count()).select_from(mine).where(missing))


def _repeated(connection: sqlite3.Connection, tables: EditionTables) -> Iterator[tuple[str, int, int, bool]]:
    """Code, place, place of the first, and whether the text is the same, of each row but the first with a code."""
    columns = tables.concepts.c
    codes = select(columns.code).group_by(columns.code).having(func.count() > literal_column("1"))
    query = select(columns.code, columns.at, columns.display).where(columns.code.in_(codes)).order_by(columns.place)
    first: dict[str, tuple[int, str]] = {}
    for code, place, display in connection.execute(text_of(query)):
        if code in first:
            yield code, place, first[code][0], display == first[code][1]
        elif len(first) < MOST:
            first[code] = place, display


def _links(tables: EditionTables) -> Select[tuple[str, str]]:
    """Every pair of a code and a code above it."""
    columns, above = tables.concepts.c, tables.above.c
    first = select(columns.code.label("code"), columns.parent.label("parent")).where(columns.parent.is_not(None))
    return select(union_all(first, select(above.code, above.parent)).subquery())


def _unknown_parents(tables: EditionTables) -> str:
    links, columns = _links(tables).subquery(), tables.concepts.c
    known = tables.concepts.alias()
    is_known = select(known.c.code).where(known.c.code == links.c.parent).exists()
    query = select(links.c.code, links.c.parent, columns.at).join(tables.concepts, columns.code == links.c.code)
    return text_of(at_most(query.where(~is_known).order_by(columns.place)), "most")


def _circles(connection: sqlite3.Connection, tables: EditionTables) -> Iterator[tuple[list[str], int]]:
    """Take away, level by level, every code whose parents are taken away; what remains is in a circle or below one."""
    links = text_of(_links(tables))
    for statement in (
        "CREATE TEMP TABLE link (code TEXT, parent TEXT)",
        f"INSERT INTO link {links}",
        "CREATE INDEX temp.link_parent ON link (parent)",
        "CREATE TEMP TABLE pending AS SELECT code, count(*) AS parents FROM link GROUP BY code",
        "CREATE UNIQUE INDEX temp.pending_code ON pending (code)",
        "CREATE TEMP TABLE taken (code TEXT PRIMARY KEY, level INTEGER) WITHOUT ROWID",
        "CREATE INDEX temp.taken_level ON taken (level)",
        "INSERT INTO taken SELECT DISTINCT parent, 0 FROM link WHERE parent NOT IN (SELECT code FROM pending)",
    ):
        connection.execute(statement)
    try:
        level = 0
        while connection.execute("SELECT 1 FROM taken WHERE level = ? LIMIT 1", (level,)).fetchone():
            connection.execute(_LOOSEN, (level,))
            connection.execute(_TAKE, (level + 1, level))
            level += 1
        yield from _routes(connection, tables)
    finally:
        for name in ("taken", "pending", "link"):
            connection.execute(f"DROP TABLE temp.{name}")


_LOOSEN = """
UPDATE pending SET parents = parents - found.count
FROM (SELECT l.code, count(*) AS count FROM taken t JOIN link l ON l.parent = t.code WHERE t.level = ? GROUP BY l.code)
  AS found
WHERE pending.code = found.code
"""
_TAKE = """
INSERT INTO taken SELECT DISTINCT l.code, ? FROM taken t JOIN link l ON l.parent = t.code
JOIN pending ON pending.code = l.code AND pending.parents = 0 WHERE t.level = ?
"""


def _routes(connection: sqlite3.Connection, tables: EditionTables) -> Iterator[tuple[list[str], int]]:
    """The circles, each once: upwards from what remains until a code comes again."""
    up = (
        "SELECT l.parent FROM link l JOIN pending ON pending.code = l.parent AND pending.parents > 0"
        " WHERE l.code = ? ORDER BY l.rowid LIMIT 1"
    )
    columns = tables.concepts.c
    place = text_of(select(columns.at).where(columns.code == parameter("code")), "code")
    told: set[str] = set()
    remaining = connection.execute("SELECT code FROM pending WHERE parents > 0 ORDER BY rowid")
    for (begin,) in islice(remaining.fetchmany(MOST), MOST):
        route: dict[str, None] = {}
        code = begin
        while code not in route and code not in told:
            route[code] = None
            code = connection.execute(up, (code,)).fetchone()[0]
        walked = list(route)
        told.update(walked)
        if code in route:
            circle = [*walked[walked.index(code) :], code]
            at = connection.execute(place, (code,)).fetchone()[0]
            yield (circle if len(circle) <= ROUTE else [*circle[:ROUTE], "…", code]), at
