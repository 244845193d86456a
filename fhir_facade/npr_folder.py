"""The rules over a folder of records, one file a kind, as they are: also records that no store would take.

What was told before stands in `earlier/`, whole messages beside the records. A file is read twice: first where the
records of each patient stand, then patient by patient, so that memory holds places and not records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from fhir_facade.contracts import Record
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.kinds import Field, Kind, Kinds
from fhir_facade.npr.graph import Graph, everything, shared_kinds
from fhir_facade.npr.rules import EARLIER, RuleSet
from fhir_facade.npr.verdict import Judging
from fhir_facade.npr_checking import FAULT, Checked, check_message, referred_to, subject
from fhir_facade.npr_manifest import NAME
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.batches import line, shown
from fhir_facade.store.npr_tree import NprTable

NDJSON = ".ndjson"
Read = tuple[Record, int]
"""A record with its line."""


def check_folder(folder: Path, table: NprTable, kinds: Kinds, rules: RuleSet, today: str) -> Iterator[Checked]:
    """Judge the records of a folder, then each message in it; Refused where a file cannot be read as records."""
    known = Kinds({kind.name: kind for kind in rules.kinds if kind.name != FAULT})
    before = folder / EARLIER
    with Folder(folder, known) as now, Folder(before, known) as earlier:
        beside = {kind.name for kind in known if kind.name not in kinds.by_name and kind.name not in now.files}
        names = {name for name in everything(known) if name.partition(".")[0] not in beside}
        tells = frozenset(names | ({EARLIER} if before.is_dir() else set()))
        judging = Judging(rules, tells)
        yield from _records(now, earlier, judging, kinds, today)
    for message in sorted(folder.glob("*.xml")):
        yield from check_message(message, table, kinds, rules, today)


def _records(now: Folder, earlier: Folder, judging: Judging, kinds: Kinds, today: str) -> Iterator[Checked]:
    shared_names = shared_kinds(kinds)
    told_of = referred_to(kinds)
    units, once = now.shared(shared_names & told_of), earlier.shared(shared_names & told_of)
    shared_before = Graph({name: [record for record, _ in rows] for name, rows in once.items()})
    shared, lines = _graph(units, today=today, earlier=shared_before)
    yield _checked(judging, shared, lines)
    for name, rows in now.shared(shared_names - told_of).items():  # envelopes: of no message in particular
        for row in rows:
            yield _checked(judging, *_graph({name: [row]}, today=today))
    for key in now.places:
        told_before, _ = _graph(earlier.of(key), shared=shared_before)
        yield _checked(judging, *_graph(now.of(key), shared=shared, today=today, earlier=told_before))


def _graph(rows: Mapping[str, list[Read]], **given: Any) -> tuple[Graph, dict[int, int]]:
    lines = {id(record): number for each in rows.values() for record, number in each}
    return Graph({name: [record for record, _ in each] for name, each in rows.items()}, **given), lines


def _checked(judging: Judging, graph: Graph, lines: Mapping[int, int]) -> Checked:
    return Checked([(verdict, lines.get(id(verdict.record), 0)) for verdict in judging.judge(graph)], [], graph)


class Folder:
    """The record files of a folder, and where in them the records of each patient stand."""

    def __init__(self, folder: Path, kinds: Kinds) -> None:
        self.kinds = kinds
        self.files: dict[str, BinaryIO] = {}
        self.places: dict[tuple[Any, ...], list[tuple[str, int, int]]] = {}
        self.patient = kinds[subject(kinds, shared_kinds(kinds))].key
        self.folder = folder

    def __enter__(self) -> Folder:
        try:
            self._open()
            self._index()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _open(self) -> None:
        for path in sorted(self.folder.glob(f"*{NDJSON}")) if self.folder.is_dir() else ():
            if path.name == NAME:
                continue
            if path.stem not in self.kinds.by_name:
                names = ", ".join(sorted(self.kinds.by_name))
                near = nearest(path.stem, self.kinds.by_name)
                facts = {"name": shown(path.name), "allowed": names, "nearest": near}
                raise Refused(Issue("file-kind-unknown", "", facts))
            self.files[path.stem] = path.open("rb")

    def _index(self) -> None:
        """Note where the records of each patient stand."""
        everybodys = shared_kinds(self.kinds)
        for name in (kind.name for kind in self.kinds if kind.name in self.files and kind.name not in everybodys):
            for record, offset, number in self._lines(name):
                key = tuple(map(record.get, self.patient))
                self.places.setdefault(key, []).append((name, offset, number))

    def __exit__(self, *_: object) -> None:
        for file in self.files.values():
            file.close()

    def shared(self, names: frozenset[str]) -> dict[str, list[Read]]:
        """All records of some kinds."""
        return {
            kind.name: [(record, number) for record, _, number in self._lines(kind.name)]
            for kind in self.kinds
            if kind.name in names and kind.name in self.files
        }

    def of(self, key: tuple[Any, ...]) -> dict[str, list[Read]]:
        """The records of a patient."""
        rows: dict[str, list[Read]] = {}
        for name, offset, number in self.places.get(key, ()):
            file = self.files[name]
            file.seek(offset)
            rows.setdefault(name, []).append((orjson.loads(file.readline()), number))
        return rows

    def _lines(self, name: str) -> Iterator[tuple[Record, int, int]]:
        """Each record of a file with its offset and line; Refused where a line is no record of the kind."""
        file, kind, offset = self.files[name], self.kinds[name], 0
        file.seek(0)
        for number, text in enumerate(file, 1):
            if text.strip():
                at = f"{name}{NDJSON}: {line(number)}"
                try:
                    record = orjson.loads(text)
                except orjson.JSONDecodeError as error:
                    raise Refused(Issue("line-not-json", at, {"reason": f"column {error.colno}"})) from None
                if found := _unlike(kind, record):
                    raise Refused(Issue(found[0], at, found[1]))
                yield record, offset, number
            offset += len(text)


def _unlike(kind: Kind, record: Any) -> tuple[str, dict[str, Any]] | None:
    """Why a value is no record of a kind (code and facts of an issue): what its fields hold is for rules to judge."""
    if not isinstance(record, dict):
        return "line-not-json", {"reason": "it is no object"}
    lists = {child.name: child for child in kind.own_lists()}
    for name, value in record.items():
        if name not in lists:
            found = _unfit(kind.fields, name, value, kind.name)
        elif isinstance(value, list) and all(isinstance(item, dict) for item in value):
            pairs = ((key, each) for item in value for key, each in item.items())
            found = next(filter(None, (_unfit(lists[name].fields, key, each, name) for key, each in pairs)), None)
        else:
            found = "field-type", {"field": name, "type": "list", "reason": "a list of objects is expected"}
        if found:
            return found
    return None


def _unfit(fields: Mapping[str, Field], name: str, value: Any, of: str) -> tuple[str, dict[str, Any]] | None:
    field = fields.get(name)
    if field is None:
        return "field-unknown", {
            "kind": of,
            "field": shown(name),
            "allowed": f"{', '.join(fields)}{nearest(name, fields)}",
        }
    wanted = int if field.type == "integer" else str
    if value is None or (isinstance(value, wanted) and not isinstance(value, bool)):
        return None
    reason = "a whole number is expected" if wanted is int else "text in quotes is expected"
    return "field-type", {"field": name, "type": field.type, "reason": reason}
