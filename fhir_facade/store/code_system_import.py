"""Import editions of code systems: all files in one transaction, so that any fault leaves what is served as it was.

Rows go in batches into tables of their own, which nobody reads before they are whole, judged and indexed.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import orjson
from sqlalchemy import delete, insert

from fhir_facade.outcome import Issue, Refused
from fhir_facade.store import code_system_judging as judging
from fhir_facade.store.code_system_files import read_codes
from fhir_facade.store.code_system_rows import Head, Passed, Row, is_sound
from fhir_facade.store.code_systems import compact, indexed_words, judge_file, recognised
from fhir_facade.store.connections import SqliteConnections
from fhir_facade.store.dialects import number
from fhir_facade.store.edition_tables import APPLICATION, EDITIONS, LAYOUT, EditionTables, layout, number_of
from fhir_facade.store.national_code_systems import named_system
from fhir_facade.store.tables import text_of
from fhir_facade.terminology.concepts import Edition, spaced

BATCH = 1_000  # rows
KEPT_ISSUES = 200
CACHE = "PRAGMA cache_size=-4096"  # 4 MiB: what does not fit is written early, so that memory stays flat
YEAR = re.compile(r"(?:19|20)\d\d")
Outcome = Literal["imported", "replaced", "unchanged"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of an edition, on top of what the files say; `system` is a known name or a URL."""

    system: str | None = None
    version: str | None = None
    valid_from: str | None = None
    valid_to: str | None = None
    encoding: str | None = None
    replace: bool = False
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Imported:
    """One edition and what became of it. `added` and `dropped` compare its codes with the edition `since`."""

    edition: Edition
    outcome: Outcome
    withdrawn: int = 0
    since: str = ""
    added: int = 0
    dropped: int = 0


@dataclass(slots=True)
class Report:
    """What an import did. With an error among the issues nothing was written, and `done` is empty."""

    done: list[Imported] = field(default_factory=list)
    issues: list[Issue] = field(default_factory=list)
    issue_count: int = 0
    error_count: int = 0

    def tell(self, issue: Issue) -> None:
        """Count an issue, and keep it while there is room; errors push out what is only worth knowing."""
        is_error = issue.entry.severity in ("error", "fatal")
        self.issue_count += 1
        self.error_count += is_error
        if len(self.issues) < KEPT_ISSUES:
            self.issues.append(issue)
        elif is_error:
            light = next((at for at, kept in enumerate(self.issues) if kept.entry.status == 200), None)
            if light is not None:
                self.issues[light] = issue


def import_files(
    database: Path, files: Sequence[Path], asked: Asked, on_bytes: Callable[[int], None] = lambda _: None
) -> Report:
    """Import the files into the database, made if there is none; Refused when that is none of ours or someone writes.

    Tables of codes become one edition together, the one that is asked for; each FHIR CodeSystem is one of its own.
    """
    report = Report()
    is_new = not database.exists()
    connections = SqliteConnections(str(database))
    try:
        with recognised(database):
            _ensure(connections, database)
            with connections.writing() as connection:
                connection.execute(CACHE)
                _Import(connection, asked, report).run(files, on_bytes)
                if report.error_count:
                    report.done.clear()
                else:
                    connection.execute("COMMIT")
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connections.close()
        if is_new and not report.done:
            for end in ("", "-wal", "-shm"):
                Path(f"{database}{end}").unlink(missing_ok=True)
    return report


def remove_edition(database: Path, url: str, version: str) -> bool:
    """Remove one edition; False when it is not there."""
    connections = SqliteConnections(str(database))
    try:
        with recognised(database), connections.writing() as connection:
            judge_file(connection, database)
            edition = number_of(connection, url, version)
            if edition is not None:
                _remove(connection, edition)
                connection.execute("COMMIT")
            return edition is not None
    finally:
        connections.close()


def _ensure(connections: SqliteConnections, database: Path) -> None:
    """Make the table of editions in an empty database; Refused when the file is another one."""
    with connections.snapshot() as connection:
        is_empty = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if not is_empty:
            judge_file(connection, database)
            return
    with connections.writing() as connection:
        connection.execute("ROLLBACK")
        connection.execute("PRAGMA journal_mode=WAL")  # who reads is not held up by a long import
        connection.execute("BEGIN IMMEDIATE")
        for statement in layout():
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={LAYOUT}")
        connection.execute("COMMIT")


_NEW = tuple(name for name in EDITIONS.c.keys())  # noqa: SIM118 -- the columns' names, not the columns
_INSERT = text_of(insert(EDITIONS), *_NEW)
_DELETE = text_of(delete(EDITIONS).where(EDITIONS.c.number == number("edition")), "edition")


def _remove(connection: sqlite3.Connection, edition: int) -> None:
    for statement in EditionTables(edition).removals:
        connection.execute(statement)
    connection.execute(_DELETE, (edition,))


class _Import:
    """One import: hands rows to the edition that they belong to, and judges it when its head comes."""

    def __init__(self, connection: sqlite3.Connection, asked: Asked, report: Report) -> None:
        self.connection, self.asked, self.report = connection, asked, report
        self.system = named_system(asked.system) if asked.system else None
        self.staging: Staging | None = None
        self.seen: set[tuple[str, str]] = set()
        self.is_spoilt = False  # a file could not be read to its end: what stands between rows is not known
        self.others: set[str] = set()  # systems of the files that are not the one that is asked for

    def run(self, files: Sequence[Path], on_bytes: Callable[[int], None]) -> None:
        """Read every file to its end or its fault, so that all findings come at once."""
        last = ""
        for path in files:
            found, before = 0, self.report.error_count
            passed: set[str] = set()
            try:
                for event in read_codes(path, self.asked.encoding, self.report.tell, on_bytes):
                    if isinstance(event, Row):
                        found += 1
                        self.add(event)
                    elif isinstance(event, Head):
                        self.finish(event)
                    else:
                        passed.add(event.what)
                        self.drop(event)
            except Refused as refused:
                for issue in refused.issues:
                    self.report.tell(issue)
                self.is_spoilt = True
                if self.staging:
                    self.staging.drop()
                    self.staging = None
            last = path.name
            if not found and self.report.error_count == before:
                what = ", ".join(sorted(passed)) or "it is empty"
                self.report.tell(Issue("file-without-codes", f"{path.name}:1", {"found": what}))
        if self.staging:
            self.finish(Head(f"{last}:1", None))
        if self.others and not self.report.done and not self.report.error_count:
            self.report.tell(Issue("file-without-codes", f"{last}:1", {"found": ", ".join(sorted(self.others))}))

    def add(self, row: Row) -> None:
        self.staging = self.staging or Staging(self.connection, self.report)
        self.staging.add(row)

    def drop(self, event: Passed) -> None:
        """The rows before belong to nothing, which happens where resourceType stands behind them."""
        if self.staging and self.staging.files[-1] == event.at.rpartition(":")[0]:
            self.staging.drop()
            self.staging = None

    def finish(self, head: Head) -> None:
        """Judge the edition whose rows are here, and put it in place."""
        staging, self.staging = self.staging, None
        if staging is None:
            self.report.tell(Issue("file-without-codes", head.at, {"found": head.url or "CodeSystem"}))
            return
        staging.flush()
        edition = self.edition(head, staging.count)
        if edition is None or (self.system and edition.url != self.system.url):
            self.others.update([edition.url] if edition else ())
            staging.drop()
            return
        if (edition.url, edition.version) in self.seen:
            facts = {"url": edition.url, "version": edition.version}
            self.report.tell(Issue("code-system-repeated", head.at, facts))
        self.seen.add((edition.url, edition.version))
        self.put(staging, edition, head.at)

    def edition(self, head: Head, count: int) -> Edition | None:
        """The edition as it is going to be known; None, and told of, when its system or version is not said."""
        known = named_system(head.url) if head.url else self.system
        version = head.version or self.asked.version
        if self.asked.version and (self.system or not head.url):
            version = self.asked.version
        if known is None or not version:
            what, option = ("system", "--system icd-10") if known is None else ("version", "--version 2026")
            self.report.tell(Issue("code-system-not-named", head.at, {"what": what, "option": option}))
            return None
        year = version if YEAR.fullmatch(version) and known.by_year else None
        others = dict.fromkeys((*filter(None, (head.url,)), *head.identifiers))
        return Edition(
            known.url,
            version,
            name=head.name or known.name,
            title=head.title or known.title or known.url,
            complete=head.complete and not self.asked.incomplete,
            count=count,
            source=head.source or head.at.rpartition(":")[0],
            note=head.note,
            valid_from=self.asked.valid_from or head.valid_from or year,
            valid_to=self.asked.valid_to or head.valid_to or year,
            identifiers=tuple(other for other in others if other != known.url),
            case_sensitive=head.case_sensitive,
        )

    def put(self, staging: Staging, edition: Edition, at: str) -> None:
        """The edition takes its place, unless it is there already or something is wrong."""
        system = named_system(edition.url)
        digest = staging.digest_with(edition)
        stored = number_of(self.connection, edition.url, edition.version)
        if stored is not None and self.connection.execute(_DIGEST, (stored,)).fetchone()[0] == digest:
            staging.drop()
            self.report.done.append(Imported(edition, "unchanged"))
            return
        if stored is not None and not self.asked.replace:
            facts = {"url": edition.url, "version": edition.version}
            self.report.tell(Issue("code-system-differs", at, facts))
        if not self.is_spoilt:
            staging.judge()
        if self.report.error_count:
            staging.drop()
            return
        staging.index()
        since, added, dropped = judging.compared(self.connection, edition, staging.tables)
        if stored is not None:
            _remove(self.connection, stored)
        values = edition_values(edition) | {
            "number": staging.number, "digest": digest, "dotless": system.dotless,
        }  # fmt: skip
        self.connection.execute(_INSERT, [values[name] for name in _NEW])
        outcome: Outcome = "imported" if stored is None else "replaced"
        self.report.done.append(Imported(edition, outcome, staging.withdrawn, since, added, dropped))


_DIGEST = "SELECT digest FROM edition WHERE number = ?"


def edition_values(edition: Edition) -> dict[str, Any]:
    """What the table of editions keeps of an edition."""
    values = {name: getattr(edition, name) for name in Edition.__dataclass_fields__}
    return values | {"identifiers": orjson.dumps(edition.identifiers).decode()}


class Staging:
    """The tables of an edition while it is being read."""

    def __init__(self, connection: sqlite3.Connection, report: Report) -> None:
        self.connection, self.report = connection, report
        self.number: int = connection.execute("SELECT coalesce(max(number), 0) + 1 FROM edition").fetchone()[0]
        self.tables = EditionTables(self.number)
        self.count = self.withdrawn = 0
        self.files: list[str] = []
        self._digest = hashlib.sha256()
        self._rows: list[tuple[Any, ...]] = []
        self._above: list[tuple[str, str]] = []
        self._words: list[tuple[int, str]] = []
        for statement in self.tables.creations:
            connection.execute(statement)
        concepts, above = self.tables.concepts, self.tables.above
        self._insert = text_of(insert(concepts), *concepts.c.keys())
        self._insert_above = text_of(insert(above).prefix_with("OR IGNORE"), *above.c.keys())
        self._insert_words = text_of(insert(self.tables.words), "rowid", "words")

    def add(self, row: Row) -> None:
        """Take one row, if nothing is wrong with it alone."""
        if not self.files or self.files[-1] != row.file:
            self.files.append(row.file)
        if not is_sound(row, self.report.tell):
            self._remember(row)
            return
        if row.status == "retired":
            self.withdrawn += 1
            self.report.tell(Issue("code-withdrawn", row.at, {"code": row.code}))
        self.count += 1
        more = {"properties": row.properties, "designations": row.designations}
        said = {name: value for name, value in more.items() if value}
        text = orjson.dumps(said).decode() if said else None
        first = row.parents[0] if row.parents else None
        at = judging.place_of(len(self.files) - 1, row.line)
        kept = (row.code, row.display, row.status, row.valid_from, row.valid_to, first, text)
        self._digest.update(orjson.dumps((kept, row.parents)))
        self._rows.append((self.count, *kept, compact(row.code), spaced(row.display), at))
        self._above += [(row.code, parent) for parent in row.parents[1:]]
        texts = (row.display, *(value for _, value, _ in row.designations))
        self._words.append((self.count, indexed_words(row.code, texts)))
        if len(self._rows) >= BATCH:
            self.flush()

    def _remember(self, row: Row) -> None:
        """Keep the code of a row that will not be imported, so that what stands below it is not told of as well."""
        code, *parents = (text.encode("utf-8", "replace").decode() for text in (row.code, *row.parents))
        if code:
            self.count += 1
            kept = (code, "", "active", None, None, parents[0] if parents else None, None, "", "")
            self._rows.append((self.count, *kept, judging.place_of(len(self.files) - 1, row.line)))

    def flush(self) -> None:
        """Write what is waiting."""
        self.connection.executemany(self._insert, self._rows)
        self.connection.executemany(self._insert_above, self._above)
        self.connection.executemany(self._insert_words, self._words)
        for waiting in (self._rows, self._above, self._words):
            waiting.clear()

    def digest_with(self, edition: Edition) -> str:
        """What tells this content from any other: every row, and what is known of the whole but where it came from."""
        whole = self._digest.copy()
        whole.update(orjson.dumps(edition_values(replace(edition, source=""))))
        return whole.hexdigest()

    def judge(self) -> None:
        """Tell of what is wrong between rows."""
        for issue in judging.findings(self.connection, self.tables, self.files):
            self.report.tell(issue)

    def index(self) -> None:
        for statement in self.tables.indexes[1:]:
            self.connection.execute(statement)

    def drop(self) -> None:
        for statement in self.tables.removals:
            self.connection.execute(statement)
