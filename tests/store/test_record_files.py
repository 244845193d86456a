"""Records as NDJSON: every line judged, what it lacks looked for in the store, and written as it was read."""

from __future__ import annotations

import io
from pathlib import Path

import orjson
import pytest

from fhir_facade.store.batches import Batch
from fhir_facade.store.loading import Summary, load_files
from fhir_facade.store.record_files import LONGEST_LINE, read_records, write_records
from fhir_facade.store.records import SqliteStore
from tests.npr_sample import KINDS, ORD, TABLE, told

UNIT = {"institusjonID": "777777777", "enhetID": "U1", "navn": "Øre-nese-hals"}


def read(kind: str, *lines: object) -> Batch:
    data = b"".join(line if isinstance(line, bytes) else orjson.dumps(line) + b"\n" for line in lines)
    whole = Batch()
    for batch in read_records(io.BytesIO(data), KINDS[kind], KINDS):
        whole.records += batch.records
        whole.issues += batch.issues
        whole.read += batch.read
        whole.refused += batch.refused
    return whole


def load(store: SqliteStore, folder: Path, kind: str, *rows: object) -> Summary:
    path = folder / f"{kind}.ndjson"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    return load_files(store, KINDS, TABLE, [path], now="2026-01-01T00:00:00.000Z")


def test_a_line_is_a_record() -> None:
    batch = read("enhet", UNIT, b"\n", {**UNIT, "enhetID": "U2"})
    assert [(one.key, one.line) for one in batch.records] == [("777777777.U1", 1), ("777777777.U2", 3)]
    assert batch.issues == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{hund\n", "line-not-json"), (b"[]\n", "line-not-json"), (b"\xff\n", "line-not-json"),
        ({**UNIT, "hund": "1"}, "field-unknown"), ({**UNIT, "$key": "1"}, "field-unknown"),
        ({**UNIT, "navn": 1}, "field-type"), ({**UNIT, "navn": ""}, "field-type"),
        ({**UNIT, "navn": "x" * 201}, "field-type"),
        ({**UNIT, "navn": "\u0001"}, "field-type"), ({**UNIT, "orgNr": "12345678901"}, "field-type"),
        ({"enhetID": "U1"}, "field-missing"), ({**UNIT, "enhetID": None}, "field-missing"),
        ({**UNIT, "enhetID": "15838512086"}, "person-number-as-key"),
        (b'"' + b"x" * LONGEST_LINE + b'"\n', "line-not-json"),
    ],
)  # fmt: skip
def test_a_fault_refuses_its_line_and_the_next_is_read(line: object, code: str) -> None:
    batch = read("enhet", line, UNIT)
    assert told(batch) == [(code, "line 1")]
    assert [one.key for one in batch.records] == ["777777777.U1"]
    assert batch.refused == {"enhet": 1}
    assert "15838512086" not in str(batch.issues[0])


STAY = {"institusjonID": "777777777", "pasientNr": "P1", "episodeID": "E1"}


@pytest.mark.parametrize(
    "items",
    [
        "x",
        [1],
        [{"nr": "1", "hpr": "1"}],
        [{"nr": 1, "hund": 1}],
        [{"nr": 1}, {"nr": 1}],
        [{"hpr": "1"}],
        [{"nr": True}],
    ],
)
def test_a_fault_in_a_list_refuses_its_record(items: object) -> None:
    batch = read("opphold", {**STAY, "helsepersonell": items})
    assert batch.issues
    assert batch.records == []


def test_a_line_may_add_to_a_stored_record_and_its_items(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(ORD, "utf-8")
    store = SqliteStore.open(":memory:", KINDS)
    load_files(store, KINDS, TABLE, [tmp_path / "a.xml"], now="2025-01-01T00:00:00.000Z")
    summary = load(store, tmp_path, "opphold", {**STAY, "helsepersonell": [{"nr": 1, "hpr": "1234"}]})
    assert summary.exit_code == 0
    stay = store.get("opphold", "777777777.P1.E1")
    assert stay is not None
    assert (stay["debitor"], stay["helsepersonell"][0]["polUtforende"], stay["helsepersonell"][0]["hpr"]) == (
        "1",
        "1",
        "1234",
    )


def test_a_line_that_adds_to_nothing_must_be_whole(tmp_path: Path) -> None:
    store = SqliteStore.open(":memory:", KINDS)
    person = {"institusjonID": "777777777", "pasientNr": "P1"}
    assert load(store, tmp_path, "pasient", person).exit_code == 0
    summary = load(store, tmp_path, "opphold", STAY)
    assert {issue.code for issue in summary.issues} == {"field-missing"}
    assert summary.counts["opphold"] == {"read": 1, "refused": 1}


def test_a_record_twice_in_a_file_is_refused(tmp_path: Path) -> None:
    store = SqliteStore.open(":memory:", KINDS)
    summary = load(store, tmp_path, "enhet", UNIT, {**UNIT, "navn": "B"})
    assert [(issue.code, issue.at) for issue in summary.issues] == [("record-repeated", "enhet.ndjson, line 2")]


def test_what_is_written_is_read_as_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(ORD, "utf-8")
    store = SqliteStore.open(":memory:", KINDS)
    load_files(store, KINDS, TABLE, [tmp_path / "a.xml"], now="2025-01-01T00:00:00.000Z")
    again = SqliteStore.open(":memory:", KINDS)
    for kind in KINDS:
        with (tmp_path / f"{kind.name}.ndjson").open("wb") as out:
            write_records(out, kind, store.scan(kind.name))
    files = [tmp_path / f"{kind.name}.ndjson" for kind in KINDS]
    summary = load_files(again, KINDS, TABLE, files, now="2025-01-01T00:00:00.000Z")
    assert summary.exit_code == 0
    for kind in KINDS:
        drop = (kind.version, kind.changed)
        first, second = (
            [{k: v for k, v in one.items() if k not in drop} for one in s.scan(kind.name)] for s in (store, again)
        )
        if not any(child.records for child in kind.children.values()):
            assert first == second
        assert len(first) == len(second)
