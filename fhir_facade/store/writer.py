"""Write records: what comes is merged into what is stored, and versions tell of each change.

A record has one new version in a transaction, however often it is changed there; what it was before is in the journal.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Literal

from fhir_facade.contracts import Record
from fhir_facade.mapping.columns import REMAINDER
from fhir_facade.mapping.kinds import ChildList, Kind, Link, add_keys
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.dialects import Connection
from fhir_facade.store.reading import Reader
from fhir_facade.store.replies import Reply
from fhir_facade.store.tables import TRANSACTIONS, parent_link
from fhir_facade.store.versions import Kept
from fhir_facade.store.writing import KindStatements, Statements

Outcome = Literal["inserted", "updated", "unchanged"]
CHUNK = 1000  # records compared at a time
FEW = 10  # records that are looked for without asking first whether there are any


class Writer:
    """Writes inside one transaction; `Store.transaction` gives it."""

    def __init__(self, connection: Connection, reader: Reader, statements: Statements) -> None:
        self.connection = self._connection = connection
        self._reader = reader
        self._statements = statements
        self._list_of = statements.list_of
        self._journal = statements.journal
        self._kinds = statements.kinds
        counted = connection.execute(statements.transactions, (TRANSACTIONS,)).fetchone()
        self._number: int = counted[0] + 1
        self._counted = False

    def merge(
        self, kind: Kind, records: Sequence[Record], now: str, *, supplied: Collection[str] | None = None
    ) -> list[Outcome]:
        """Merge complete records into what is stored and say what became of each.

        A field that the record has is set (None clears it), one that it lacks is kept; a list that it has
        replaces the stored one, but fields that an item lacks are kept from the stored item of the same key.
        `supplied` names the fields and lists that an update may change (None: all). A change gives a new
        version to the record, and to its parent.
        """
        shape = self._statements[kind.name]
        outcomes: list[Outcome] = []
        for chunk in _chunks(records):
            outcomes += self._merge(shape, chunk, now, supplied)
        return outcomes

    def existing(self, kind: Kind, keys: Iterable[str]) -> set[str]:
        """Return those of the keys that records of this kind have."""
        rows = self._connection.execute(self._statements[kind.name].by_keys, (self._list_of(list(keys)),))
        return {row[0] for row in rows}

    def get(self, kind: Kind, key: str) -> Record | None:
        """Return the whole record as this transaction sees it, or None."""
        return self._reader.one(self._connection, kind.name, key)

    def related(self, kind: Kind, link: str, keys: Iterable[str]) -> dict[str, list[Record]]:
        """Return the whole records that point with `link` at one of the keys, by that key, as stored now."""
        return self._reader.related(self._connection, kind.name, link, list(keys))

    def find_key(
        self, kind: Kind, field_name: str, value: object, scope: Mapping[str, object] | None = None
    ) -> str | None:
        """Return the first key of a record with this value in the field, and the values of `scope` in others.

        The first question about a field builds an index over it, which stays.
        """
        others = dict(scope or {})
        shape = self._statements[kind.name]
        index, statement = shape.lookup(field_name, tuple(others))
        self._connection.execute(index)
        row = self._connection.execute(statement, (value, *others.values())).fetchone()
        return None if row is None else row[0]

    def reply(self, name: str, since: str) -> Reply | None:
        """The answer that was given to a request of this name, at an instant or after it; older ones are forgotten."""
        return self._statements.replies.find(self._connection, name, since)

    def keep_reply(self, name: str, reply: Reply) -> None:
        """Keep the answer to a request, with all that it changed."""
        self._statements.replies.put(self._connection, name, reply)

    def next_number(self, kind: Kind, field_name: str, record: Record) -> int:
        """One more than the greatest number in a field among records with the same other key fields.

        The number of a record that was deleted is not given again.
        """
        statement, holder = self._statements[kind.name].greatest(field_name)
        numbered = self._kinds.complete(kind, {name: record[name] for name in kind.key if name != field_name})
        row = self._connection.execute(statement, [numbered[name] for name in holder]).fetchone()
        number: int = (row[0] or 0) + 1
        while self._was(kind, {**numbered, field_name: number}):
            number += 1
        return number

    def _was(self, kind: Kind, fields: Record) -> bool:
        """Whether there has been a record with this key."""
        key = self._kinds.complete(kind, {name: fields[name] for name in kind.key})["$key"]
        return bool(self._journal.last(self._connection, kind.name, [key]))

    def delete(self, kind: Kind, key: str, *, now: str = "") -> bool:
        """Delete a record and all it contains; False when there is none, Refused when others point at it."""
        record = self._stored(kind.name, [key]).get(key)
        if record is None:
            return False
        self._count()
        now = now or _now()
        gone = self._contained(kind.name, key)
        link = parent_link(kind)
        self._connection.execute("SAVEPOINT deletion")
        self._bury(gone, now)
        if link is not None:
            self._keep(link.to, [record["$" + link.name]])
        self._connection.execute(self._statements[kind.name].delete, (key,))
        pointing = [kind for name, keys in gone.items() for kind in self._pointing(name, keys)]
        if pointing:
            self._connection.execute("ROLLBACK TO deletion")
        self._connection.execute("RELEASE deletion")
        if pointing:
            raise Refused(Issue("record-in-use", "", {"kind": kind.name, "by": sorted(set(pointing))}))
        if link is not None:
            self._touch(link, [record["$" + link.name]], now)
        return True

    def contents(self, kind: Kind, key: str) -> dict[str, set[str]]:
        """The keys, by kind, of the records that go when this one is deleted, itself among them."""
        return self._contained(kind.name, key)

    def _merge(
        self, shape: KindStatements, chunk: Sequence[Record], now: str, supplied: Collection[str] | None
    ) -> list[Outcome]:
        kind = shape.kind
        is_empty = len(chunk) > FEW and not self._connection.execute(shape.some).fetchone()[0]
        stored = {} if is_empty else self._stored(kind.name, [record["$key"] for record in chunk])
        outcomes: list[Outcome] = []
        inserts: list[Record] = []
        updates: list[tuple[Record, Record]] = []
        for record in chunk:
            old = stored.get(record["$key"])
            new = record if old is None else merged(shape, old, record, supplied)
            if new is None:
                outcomes.append("unchanged")
            elif old is None:
                inserts.append(record)
                outcomes.append("inserted")
            else:
                updates.append((old, new))
                outcomes.append("updated")
        if inserts or updates:
            self._count()
            inserts = self._begun(kind, inserts, now)
            self._keep_before(kind, inserts, updates, now)
            self._insert(shape, inserts)
            self._update(shape, updates)
            self._tell_parents(kind, [*inserts, *chain.from_iterable(updates)], now)
        return outcomes

    def _begun(self, kind: Kind, records: Sequence[Record], now: str) -> list[Record]:
        """New records with their first version: the next one where there was such a record before."""
        keys = [record["$key"] for record in records]
        last = self._journal.last(self._connection, kind.name, keys) if keys else {}
        return [{**record, kind.version: last.get(record["$key"], 0) + 1, kind.changed: now} for record in records]

    def _keep_before(
        self, kind: Kind, inserts: Sequence[Record], updates: Sequence[tuple[Record, Record]], now: str
    ) -> None:
        """Put into the journal what will change, here and in parents, and give what is updated its version."""
        link = parent_link(kind)
        keys: dict[str, set[str | None]] = {kind.name: {old["$key"] for old, _ in updates}}
        if link is not None:
            name = "$" + link.name
            parents = {record[name] for record in chain(inserts, chain.from_iterable(updates))}
            keys[link.to] = keys.get(link.to, set()) | parents
        fresh = {name: self._keep(name, sorted(filter(None, some))) for name, some in keys.items()}[kind.name]
        for old, new in updates:
            new[kind.version] = old[kind.version] + (old["$key"] in fresh)
            new[kind.changed] = now

    def _keep(self, kind: str, keys: Sequence[str | None]) -> set[str]:
        """Put the present state of records into the journal; returns those that had no version in this transaction."""
        stale = self._stale(kind, keys)
        if stale:
            whole = self._reader.many(self._connection, kind, stale)
            shape = self._statements[kind].kind
            kept = [Kept(key, one[shape.version], one[shape.changed], one) for key, one in whole.items()]
            self._journal.put(self._connection, kind, kept)
        return set(stale)

    def _stale(self, kind: str, keys: Sequence[str | None]) -> list[str]:
        """Those of the keys whose records have had no version in this transaction."""
        if not keys:
            return []
        rows = self._connection.execute(self._statements[kind].stale, (self._list_of(keys), self._number))
        return [row[0] for row in rows]

    def _bury(self, gone: Mapping[str, Collection[str]], now: str) -> None:
        """Put what will be deleted into the journal, and that it is deleted; what nobody saw leaves no trace."""
        for kind, keys in gone.items():
            shape = self._statements[kind].kind
            fresh = self._keep(kind, sorted(keys))
            versions = {key: record[shape.version] for key, record in self._stored(kind, sorted(keys)).items()}
            self._journal.put(
                self._connection,
                kind,
                [
                    Kept(key, version + (key in fresh), now, None)
                    for key, version in versions.items()
                    if key in fresh or version > 1
                ],
            )

    def _stored(self, kind: str, keys: Sequence[str]) -> dict[str, Record]:
        return self._reader.many(self._connection, kind, keys, embed=False)

    def _insert(self, shape: KindStatements, records: Sequence[Record]) -> None:
        if not records:
            return
        run = self._connection.executemany
        run(shape.insert, [shape.inserted(record, self._number) for record in records])
        for part in shape.lists:
            name = part.name
            having = [record for record in records if record.get(name)]
            if having:
                run(part.insert, [row for record in having for row in part.rows(record["$key"], record[name])])
        keys = self._list_of([record["$key"] for record in records])
        for embedded in shape.shape.embedded:  # items may have been written before the record that holds them
            inner = self._statements[embedded.kind]
            pointed = [row[0] for row in self._connection.execute(inner.pointed[embedded.link], (keys,))]
            self._mark(shape, embedded.bit, pointed)

    def _update(self, shape: KindStatements, pairs: Sequence[tuple[Record, Record]]) -> None:
        if not pairs:
            return
        run = self._connection.executemany
        run(shape.update, [shape.updated(new, self._number) for _, new in pairs])
        for part in shape.lists:
            rewritten = [
                (new["$key"], rows)
                for old, new in pairs
                if (rows := list(part.rows(new["$key"], new[part.name])))
                != list(part.rows(old["$key"], old[part.name]))
            ]
            run(part.clear, [(key,) for key, _ in rewritten])
            run(part.insert, [row for _, rows in rewritten for row in rows])

    def _tell_parents(self, kind: Kind, records: Sequence[Record], now: str) -> None:
        """Give the parents of changed records a version, and note that the list they stand in has items."""
        link = parent_link(kind)
        if link is None:
            return
        keys = list(dict.fromkeys(record["$" + link.name] for record in records))
        parent = self._statements[link.to]
        for embedded in parent.shape.embedded:
            if embedded.kind == kind.name:
                self._mark(parent, embedded.bit, keys)
        self._touch(link, keys, now)

    def _mark(self, shape: KindStatements, bit: int, keys: Sequence[str | None]) -> None:
        if keys:
            self._connection.execute(shape.mark, (bit, self._list_of(keys), bit))

    def _touch(self, link: Link, keys: Sequence[str | None], now: str) -> None:
        """A new version for each record that has not had one in this transaction; `_keep` comes before."""
        shape = self._statements[link.to]
        kind = shape.kind
        stale = self._stale(kind.name, keys)
        if not stale:
            return
        records = list(self._stored(kind.name, stale).values())
        for record in records:
            record[kind.version] += 1
            record[kind.changed] = now
        self._connection.executemany(shape.update, [shape.updated(record, self._number) for record in records])

    def _count(self) -> None:
        """Take this transaction's number, once."""
        if not self._counted:
            self._connection.execute(self._statements.count, (self._number, TRANSACTIONS))
            self._counted = True

    def _contained(self, kind: str, key: str) -> dict[str, set[str]]:
        """The keys, by kind, of all records that go when this one goes."""
        gone: dict[str, set[str]] = {kind: {key}}
        todo = [(kind, [key])]
        while todo:
            above, keys = todo.pop()
            for reference in self._statements.contained.get(above, ()):
                rows = self._connection.execute(self._statements.source_keys[reference], (self._list_of(keys),))
                seen = gone.setdefault(reference.kind, set())
                fresh = [row[0] for row in rows if row[0] not in seen]
                seen.update(fresh)
                if fresh:
                    todo.append((reference.kind, fresh))
        return gone

    def _pointing(self, kind: str, keys: Collection[str]) -> list[str]:
        """The kinds that have records which point at these, now that these are gone."""
        given = self._list_of(list(keys))
        return [
            reference.kind
            for reference in self._statements.pointing.get(kind, ())
            if self._connection.execute(self._statements.source_keys[reference], (given,)).fetchone()
        ]


def merged(shape: KindStatements, old: Record, new: Record, supplied: Collection[str] | None) -> Record | None:
    """The stored record with what the new one tells, or None when that is nothing new."""
    kind = shape.kind
    whole = dict(old)
    is_changed = False
    for name in shape.fields:
        if name in new and new[name] != old[name] and (supplied is None or name in supplied):
            whole[name] = new[name]
            is_changed = True
    if new.get(REMAINDER, old[REMAINDER]) != old[REMAINDER]:  # a record that is loaded says nothing of it
        whole[REMAINDER] = new[REMAINDER]
        is_changed = True
    for part in shape.lists:
        child = part.part.child
        if child.name in new and (supplied is None or child.name in supplied):
            items = _merged_items(child, old[child.name], new[child.name] or ())
            whole[child.name] = items
            is_changed = is_changed or items != [_plain(child, item) for item in old[child.name]]
    if not is_changed:
        return None
    add_keys(whole, kind.key, kind.links, None)
    for part in shape.lists:
        child = part.part.child
        whole[child.name] = [dict(item) for item in whole[child.name]]
        for item in whole[child.name]:
            add_keys(item, (), child.links, whole)
    return whole


def _merged_items(child: ChildList, old: Iterable[Record], new: Iterable[Record]) -> list[Record]:
    """The new items in key order, each with the stored fields that it lacks."""
    stored = {tuple(map(item.get, child.key)): item for item in old}
    known: Record = {}
    items = [_plain(child, stored.get(tuple(map(item.get, child.key)), known) | item) for item in new]
    return sorted(items, key=lambda item: [item[name] for name in child.key])


def _plain(child: ChildList, item: Record) -> Record:
    """The fields of an item and nothing else."""
    return {name: item.get(name) for name in child.fields}


def _chunks(records: Sequence[Record]) -> Iterator[list[Record]]:
    """Some records at a time, no key twice among them."""
    chunk: list[Record] = []
    keys: set[str] = set()
    for record in records:
        if len(chunk) >= CHUNK or record["$key"] in keys:
            yield chunk
            chunk, keys = [], set()
        chunk.append(record)
        keys.add(record["$key"])
    if chunk:
        yield chunk


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
