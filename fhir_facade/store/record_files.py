"""Records as NDJSON: one record a line, the kind in the file's name; for fields that no message carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import orjson

from fhir_facade.contracts import Record
from fhir_facade.mapping.field_values import Unfit, check
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.kinds import ChildList, Field, Kind, Kinds
from fhir_facade.outcome import Issue
from fhir_facade.store.batches import Batch, Lacking, ReadRecord, complete, line, shown
from fhir_facade.terminology.identity import is_national_identity_number

LONGEST_LINE = 1 << 24  # bytes


def read_records(source: BinaryIO, kind: Kind, kinds: Kinds) -> Iterator[Batch]:
    """Yield one batch a line: its record, or why it is refused."""
    number = 0
    while text := source.readline(LONGEST_LINE + 1):
        number += 1
        if len(text) > LONGEST_LINE:
            yield _refused(kind, number, f"it is longer than {LONGEST_LINE} bytes")
            while text and not text.endswith(b"\n"):
                text = source.readline(LONGEST_LINE)
        elif text.strip():
            yield _read_line(text, number, kind, kinds)


def write_records(out: BinaryIO, kind: Kind, records: Iterable[Record]) -> None:
    """Write records one a line, without what the store keeps for itself or records of other kinds."""
    own = {child.name: child for child in kind.own_lists()}
    for record in records:
        row: Record = {name: record[name] for name in kind.fields if record.get(name) is not None}
        for name, child in own.items():
            items = record.get(name) or ()
            if items:
                row[name] = [{key: item[key] for key in child.fields if item.get(key) is not None} for item in items]
        out.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def _read_line(text: bytes, number: int, kind: Kind, kinds: Kinds) -> Batch:
    try:
        row = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _refused(kind, number, f"column {error.colno}")
    if not isinstance(row, dict):
        return _refused(kind, number, "it is no object")
    batch = Batch()
    _take(row, number, kind, kinds, batch)
    return batch


def _refused(kind: Kind, number: int, reason: str) -> Batch:
    batch = Batch(issues=[Issue("line-not-json", line(number), {"reason": reason})])
    batch.read[kind.name] = batch.refused[kind.name] = 1
    return batch


def _take(row: Mapping[str, Any], number: int, kind: Kind, kinds: Kinds, batch: Batch) -> None:
    """Judge one record, and after it the records of other kinds that it holds."""
    judge = _Judge(number)
    own = {name: row[name] for name in row if name not in kind.children}
    record = judge.fields(own, kind.name, kind.fields, kind.key)
    for name in sorted(set(kind.key) & set(kind.fields)):
        value = record.get(name)
        if isinstance(value, str) and is_national_identity_number(value.strip()):
            judge.fault("person-number-as-key", field=name)
    for child in kind.own_lists():
        if child.name in row:
            record[child.name] = judge.items(row[child.name], child)
    inside = [(child, item) for child in kind.children.values() if child.records for item in row.get(child.name) or ()]
    batch.read[kind.name] += 1
    batch.issues += judge.issues
    if judge.issues:
        batch.refused[kind.name] += 1
    else:
        supplied = frozenset(record)
        read = ReadRecord(kind, complete(kinds, kind, record), number, supplied, tuple(judge.lacking), True)
        batch.records.append(read)
    for child, item in inside:
        if isinstance(item, dict):
            _take(item, number, kinds[child.records], kinds, batch)
        else:
            batch.issues.append(Issue("line-not-json", line(number), {"reason": f"'{child.name}' holds no objects"}))


class _Judge:
    """Gathers what is wrong with one line."""

    def __init__(self, number: int) -> None:
        self.at = line(number)
        self.issues: list[Issue] = []
        self.lacking: list[Lacking] = []

    def fault(self, code: str, **facts: Any) -> None:
        self.issues.append(Issue(code, self.at, facts))

    def fields(
        self,
        row: Mapping[str, Any],
        kind: str,
        fields: Mapping[str, Field],
        key: tuple[str, ...],
        child: str = "",
    ) -> Record:
        """The values that may stand; what is required and left out may still be in the store."""
        record: Record = {}
        for name, value in row.items():
            field = fields.get(name)
            if field is None:
                facts = {
                    "kind": kind,
                    "field": shown(name),
                    "allowed": f"{', '.join(fields)}{nearest(name, fields)}",
                }
                self.fault("field-unknown", **facts)
                continue
            record[name] = value
            if value is None:
                continue
            try:
                check(field, value)
            except Unfit as unfit:
                self.fault("field-type", field=name, type=field.type, reason=unfit.reason)
        parts = tuple(record.get(name) for name in key)
        for name, field in fields.items():
            if field.required != "always" or record.get(name) is not None:
                continue
            if name in key or name in record:
                self.fault("field-missing", field=name, kind=kind)
            else:
                self.lacking.append(Lacking(name, child, parts))
        return record

    def items(self, rows: Any, child: ChildList) -> list[Record]:
        """The items of a list; no two with the same key."""
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            if rows is not None:
                self.fault("field-type", field=child.name, type="list", reason="a list of objects is expected")
            return []
        items = [self.fields(row, child.name, child.fields, child.key, child.name) for row in rows]
        keys = [orjson.dumps([item.get(name) for name in child.key]) for item in items]
        if len(set(keys)) < len(keys):
            self.fault("record-repeated", kind=child.name)
        return items
