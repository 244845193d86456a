"""Load files into the store, each in one transaction: what is sound is stored, the rest is told of."""

from __future__ import annotations

import datetime
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from fhir_facade.contracts import Record
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.batches import Batch, Delete, Lacking, ReadRecord, line, pointers
from fhir_facade.store.npr_read import read_message
from fhir_facade.store.npr_tree import NprTable
from fhir_facade.store.record_files import read_records
from fhir_facade.store.records import Store
from fhir_facade.store.writer import Writer

Progress = Callable[[int, int], None]

KEPT_ISSUES = 1000
TOGETHER = 200  # batches that are merged at a time
RECORD_FILE = ".ndjson"
OUTCOMES = ("read", "inserted", "updated", "unchanged", "deleted", "refused")
WORDS = {
    "en": {**dict(zip(OUTCOMES, OUTCOMES, strict=True)), "more": "and {count} more issues"},
    "nb": {
        "read": "lest", "inserted": "nye", "updated": "endret", "unchanged": "uendret", "deleted": "slettet",
        "refused": "avvist", "more": "og {count} avvik til",
    },
}  # fmt: skip


@dataclass(slots=True)
class Summary:
    """What a load did: for each kind how many records met which fate, and what was wrong."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    issues: list[Issue] = field(default_factory=list)
    issue_count: int = 0

    @property
    def exit_code(self) -> int:
        """1 when anything was refused or not understood."""
        return 1 if self.issue_count else 0

    def total(self, outcome: str) -> int:
        """How many records of all kinds met one fate."""
        return sum(counts[outcome] for counts in self.counts.values())

    def add(self, kind: str, outcome: str, count: int = 1) -> None:
        self.counts.setdefault(kind, Counter())[outcome] += count

    def report(self, issues: Sequence[Issue]) -> None:
        """Count the issues, and keep them while there is room."""
        self.issue_count += len(issues)
        self.issues += issues[: KEPT_ISSUES - len(self.issues)]

    def absorb(self, other: Summary, file: str) -> None:
        """Add what another file did; its issues get the file's name."""
        for kind, counts in other.counts.items():
            self.counts.setdefault(kind, Counter()).update(counts)
        named = [Issue(one.code, f"{file}, {one.at}" if one.at else file, one.facts) for one in other.issues]
        self.issues += named[: KEPT_ISSUES - len(self.issues)]
        self.issue_count += other.issue_count

    def lines(self, language: str = "en") -> list[str]:
        """The summary as a table and its issues as sentences."""
        words = WORDS["nb" if language == "nb" else "en"]
        wide = max((len(kind) for kind in self.counts), default=0)
        head = "  ".join(f"{words[one]:>9}" for one in OUTCOMES)
        out = [f"{'':{wide}}  {head}"] if self.counts else []
        for kind, counts in sorted(self.counts.items()):
            out.append(f"{kind:{wide}}  " + "  ".join(f"{counts[one]:>9}" for one in OUTCOMES))
        out += [f"{one.at}: {one.code}: {one.sentence(language)}" for one in self.issues]
        if hidden := self.issue_count - len(self.issues):
            out.append(words["more"].format(count=hidden))
        return out


def load_files(
    store: Store,
    kinds: Kinds,
    table: NprTable,
    paths: Sequence[Path],
    on_progress: Progress | None = None,
    now: str | None = None,
) -> Summary:
    """Load every file in its own transaction; a file that is malformed changes nothing."""
    summary = Summary()
    sizes = [path.stat().st_size if path.is_file() else 0 for path in paths]
    done = 0
    for path, size in zip(paths, sizes, strict=True):
        told = _Told(done, sum(sizes), on_progress)
        loaded = _load_file(store, kinds, table, path, told, now or _now())
        summary.absorb(loaded, path.name)
        done += size
        told.total(done)
    return summary


def _now() -> str:
    moment = datetime.datetime.now(datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


@dataclass(slots=True)
class _Told:
    """Tells how many bytes of all files have been read."""

    before: int
    size: int
    tell: Progress | None

    def total(self, done: int) -> None:
        if self.tell:
            self.tell(done, self.size)


class _Counting(io.RawIOBase):
    """A file that tells how far it has been read."""

    def __init__(self, file: BinaryIO, told: _Told) -> None:
        self.file, self.told, self.done = file, told, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        self.done += len(data)
        self.told.total(self.told.before + self.done)
        return len(data)


def _load_file(store: Store, kinds: Kinds, table: NprTable, path: Path, told: _Told, now: str) -> Summary:
    try:
        with path.open("rb") as file, closing(io.BufferedReader(_Counting(file, told), 1 << 18)) as source:
            batches = _batches(source, path, kinds, table)
            with store.transaction() as writer:
                loader = _Loader(store, writer, kinds, table, now)
                loader.load(batches)
            return loader.summary
    except Refused as refused:
        failed = Summary()
        failed.report(refused.issues)
        return failed
    except OSError as error:
        failed = Summary()
        failed.report([Issue("file-unreadable", "", {"reason": error.strerror or "input/output error"})])
        return failed


def _batches(source: Any, path: Path, kinds: Kinds, table: NprTable) -> Iterator[Batch]:
    if path.suffix != RECORD_FILE:
        return read_message(source, table, kinds)
    if path.stem not in kinds.by_name:
        facts = {
            "name": path.stem,
            "allowed": list(kinds.by_name),
            "nearest": nearest(path.stem, kinds.by_name),
        }
        raise Refused(Issue("file-kind-unknown", "", facts))
    return read_records(source, kinds[path.stem], kinds)


class _Loader:
    """Checks the batches of one file against each other and the store, and merges what stands."""

    def __init__(self, store: Store, writer: Writer, kinds: Kinds, table: NprTable, now: str) -> None:
        self.store, self.writer, self.kinds, self.table, self.now = store, writer, kinds, table, now
        self.order = {kind.name: place for place, kind in enumerate(kinds)}
        self.summary = Summary()
        self.waiting: list[Batch] = []
        self.seen: set[int] = set()  # hashes of the keys in a record file, so that a large one needs little memory
        self.known: set[tuple[str, str]] = set()  # what was stored before, among the records just merged
        self.moving: dict[tuple[str, str], frozenset[str]] = {}
        self.holders: dict[int, int] = {}  # who in the file has values that only one may have, as hashes

    def load(self, batches: Iterator[Batch]) -> None:
        """Merge batches some hundred at a time; a deletion waits for what stands before it."""
        for batch in batches:
            self.waiting.append(batch)
            if len(self.waiting) >= TOGETHER or batch.deletes:
                self.flush()
        self.flush()

    def flush(self) -> None:
        """Store what is waiting."""
        waiting, self.waiting = self.waiting, []
        for batch in waiting:
            self.summary.report(batch.issues)
            for kind, count in batch.read.items():
                self.summary.add(kind, "read", count)
            for kind, count in batch.refused.items():
                self.summary.add(kind, "refused", count)
        found = sorted((one for batch in waiting for one in batch.records), key=lambda one: self.order[one.kind.name])
        kept = self.sound(found)
        for name in dict.fromkeys(one.kind.name for one in found):
            self.merge(self.kinds[name], [one for one in found if one.kind.name == name and one.key in kept[name]])
        self.prune(waiting, kept)
        for batch in waiting:
            for gone in batch.deletes:
                self.delete(gone)

    def sound(self, found: Sequence[ReadRecord]) -> dict[str, set[str]]:
        """The keys of the records that may be stored, by kind; the others are refused with their reason."""
        kept: dict[str, set[str]] = {kind.name: set() for kind in self.kinds}
        fallen: dict[str, set[str]] = {kind.name: set() for kind in self.kinds}
        stored = self.targets(found)
        self.moving = {(one.kind.name, one.key): one.supplied for one in found}
        for one in found:
            name = one.kind.name
            issues = self.repeated(one, kept) or self.dangling(one, kept, fallen, stored)
            issues = issues or self.incomplete(one) or self.shared(one)
            if not issues:
                kept[name].add(one.key)
                continue
            if one.key not in kept[name]:
                fallen[name].add(one.key)
            self.summary.report(issues)
            self.summary.add(name, "refused")
        return kept

    def targets(self, found: Sequence[ReadRecord]) -> dict[str, set[str]]:
        """Which of the records that are pointed at stand in the store."""
        wanted: dict[str, set[str]] = {}
        for one in found:
            for link, key in pointers(one.kind, one.record):
                wanted.setdefault(link.to, set()).add(key)
        return {kind: self.writer.existing(self.kinds[kind], list(keys)) for kind, keys in wanted.items()}

    def repeated(self, one: ReadRecord, kept: Mapping[str, set[str]]) -> list[Issue]:
        """Whether the file has had this record before; in a message the reader sees to most of it."""
        seen = hash((one.kind.name, one.key))
        again = seen in self.seen if one.from_lines else one.key in kept[one.kind.name]
        if one.from_lines:
            self.seen.add(seen)
        return [Issue("record-repeated", line(one.line), {"kind": one.kind.name})] if again else []

    def dangling(
        self,
        one: ReadRecord,
        kept: Mapping[str, set[str]],
        fallen: Mapping[str, set[str]],
        stored: Mapping[str, set[str]],
    ) -> list[Issue]:
        """References to what was refused, or is nowhere; what no message carries need not be there."""
        issues = {}
        for link, key in pointers(one.kind, one.record):
            if key in kept[link.to] or not self.kinds[link.to].elements:
                continue
            if key in fallen[link.to] and link in one.kind.links.values():
                facts = {"kind": one.kind.name, "parent": link.to}
                return [Issue("record-under-refused", line(one.line), facts)]
            if key not in stored[link.to]:
                facts = {"field": link.fields[-1], "to": link.to}
                issues[link.fields[-1], link.to] = Issue("reference-dangling", line(one.line), facts)
        return list(issues.values())

    def incomplete(self, one: ReadRecord) -> list[Issue]:
        """Required fields that neither the record has nor the one stored."""
        if not one.lacking:
            return []
        stored = self.writer.get(one.kind, one.key)
        missing = [lack for lack in one.lacking if not _has(stored, one.kind, lack)]
        return [
            Issue("field-missing", line(one.line), {"field": lack.field, "kind": lack.child or one.kind.name})
            for lack in missing
        ]

    def shared(self, one: ReadRecord) -> list[Issue]:
        """Whether another record has the values that only one may have."""
        for rule in self.table.unique:
            if rule.kind != one.kind.name or not one.supplied.issuperset(rule.fields):
                continue
            values = rule.judged(one.record)
            if values is None:
                continue
            holder = self.holders.setdefault(hash((rule.fields, values)), hash(one.key))
            *scope, (last, value) = zip(rule.fields, values, strict=True)
            stored = self.writer.find_key(one.kind, last, value, dict(scope))
            if stored and self.moving.get((one.kind.name, stored), frozenset()).issuperset(rule.fields):
                stored = None  # itself, or one that the file gives other values
            if stored or holder != hash(one.key):
                facts = {"kind": one.kind.name, "fields": list(rule.fields)}
                return [Issue("identity-repeated", line(one.line), facts)]
        return []

    def merge(self, kind: Kind, records: Sequence[ReadRecord]) -> None:
        """Write records of one kind; those that tell of the same fields go together."""
        groups: dict[frozenset[str], list[Record]] = {}
        for one in records:
            groups.setdefault(one.supplied, []).append(one.record)
        for supplied, group in groups.items():
            outcomes = self.writer.merge(kind, group, self.now, supplied=supplied)
            for record, outcome in zip(group, outcomes, strict=True):
                self.summary.add(kind.name, outcome)
                if outcome != "inserted":
                    self.known.add((kind.name, record["$key"]))

    def prune(self, waiting: Sequence[Batch], kept: Mapping[str, set[str]]) -> None:
        """Delete what stood inside a stored record and is gone, unless some of its sort was refused."""
        parents: dict[tuple[str, str], list[str]] = {}
        for batch in waiting:
            for kind in (one for kinds in batch.nested.values() for one in kinds):
                told = {one.key for one in batch.records if one.kind is kind}
                if batch.refused[kind.name] or not told <= kept[kind.name]:
                    continue
                above = [
                    one.key
                    for one in batch.records
                    if (kind.parent, one.key) in self.known and one.kind.name == kind.parent
                ]
                parents.setdefault((kind.name, kind.parent), []).extend(above)
        self.known.clear()
        for name, parent in sorted(parents, key=lambda pair: self.order[pair[0]], reverse=True):
            kind = self.kinds[name]
            link = next(link.name for link in kind.links.values() if link.to == parent)
            stored = self.writer.related(kind, link, parents[name, parent]) if parents[name, parent] else {}
            for record in (one for records in stored.values() for one in records):
                if record["$key"] not in kept[name]:
                    self.remove(kind, record["$key"], "")

    def delete(self, gone: Delete) -> None:
        """Carry out a deletion that the file asks for."""
        kind = self.kinds[gone.kind]
        key = self.writer.find_key(kind, gone.field, gone.value, gone.scope)
        if key is None:
            self.summary.report([Issue("delete-unknown", line(gone.line), {"kind": kind.name})])
        else:
            self.remove(kind, key, line(gone.line))

    def remove(self, kind: Kind, key: str, at: str) -> None:
        """Delete a record, or tell why it stays."""
        try:
            if self.writer.delete(kind, key, now=self.now):
                self.summary.add(kind.name, "deleted")
        except Refused as refused:
            self.summary.report([Issue(issue.code, at, issue.facts) for issue in refused.issues])


def _has(record: Record | None, kind: Kind, lack: Lacking) -> bool:
    """Whether the stored record has the field, or the list item with that key has it."""
    if record is None or not lack.child:
        return record is not None and record.get(lack.field) is not None
    key = kind.children[lack.child].key
    items = (item for item in record[lack.child] if tuple(item.get(name) for name in key) == lack.key)
    return any(item.get(lack.field) is not None for item in items)
