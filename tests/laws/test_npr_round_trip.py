"""The law of NPR-melding: what is written is read again, and writing what was loaded gives the same bytes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.store.batches import complete
from fhir_facade.store.loading import load_files
from fhir_facade.store.npr_read import read_message
from fhir_facade.store.npr_write import write_npr
from fhir_facade.store.records import SqliteStore
from tests.npr_sample import KINDS, TABLE
from tests.strategies import messages

# a message is large and shrinks for minutes; the example that fails is small enough to read
pytestmark = pytest.mark.slow

slow = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)


class Shelf:
    """Complete records in memory, in the order a store gives them."""

    def __init__(self, kinds: Kinds, records: Mapping[str, Sequence[Record]]) -> None:
        self.records = {
            name: sorted((complete(kinds, kinds[name], one) for one in rows), key=lambda one: str(one["$key"]))
            for name, rows in records.items()
        }

    def scan(self, kind: str) -> Iterator[Record]:
        yield from self.records.get(kind, ())

    def related(self, kind: str, link: str, keys: Sequence[str]) -> dict[str, list[Record]]:
        return {key: [one for one in self.scan(kind) if one["$" + link] == key] for key in keys}


def plain(kind: Kind, record: Record) -> Record:
    """The record without what is derived, absent or empty, its lists in key order."""
    out: Record = {}
    for name, value in record.items():
        if name.startswith("$") or value is None or value == []:
            continue
        if name in kind.children:
            key = kind.children[name].key
            rows = [{k: v for k, v in item.items() if v is not None and not k.startswith("$")} for item in value]
            value = sorted(rows, key=lambda item: [(part in item, item.get(part)) for part in key])
        out[name] = value
    return out


def by_key(records: Mapping[str, Sequence[Record]]) -> dict[str, dict[str, Record]]:
    return {
        name: {complete(KINDS, KINDS[name], one)["$key"]: plain(KINDS[name], one) for one in rows}
        for name, rows in records.items()
        if rows and not KINDS[name].present_when
    }


def read_all(data: bytes) -> tuple[dict[str, list[Record]], list[str]]:
    found: dict[str, list[Record]] = {}
    issues = []
    for batch in read_message(io.BytesIO(data), TABLE, KINDS):
        issues += [str(issue) for issue in batch.issues]
        for one in batch.records:
            found.setdefault(one.kind.name, []).append(one.record)
    return found, issues


def write(records: Mapping[str, Sequence[Record]], module: str) -> bytes:
    out = io.BytesIO()
    header = {"rad_versjon": 1, "sist_endret": "", **records["melding"][0]}
    assert write_npr(Shelf(KINDS, records), out, TABLE, KINDS, module, header=header) == []
    return out.getvalue()


@pytest.mark.parametrize("module", ["ord", "ide"])
def test_reading_what_was_written_gives_the_same_records(module: str) -> None:
    @slow
    @given(messages(KINDS, TABLE.modules[module]))
    def law(records: dict[str, list[Record]]) -> None:
        found, issues = read_all(write(records, module))
        assert issues == []
        assert by_key(found) == by_key(records)

    law()


def test_writing_what_was_read_gives_the_same_bytes() -> None:
    @slow
    @given(messages(KINDS, TABLE.modules["ord"]))
    def law(records: dict[str, list[Record]]) -> None:
        first = write(records, "ord")
        found, _ = read_all(first)
        assert write(found, "ord") == first

    law()


def test_writing_what_was_loaded_gives_the_same_bytes(tmp_path: Path) -> None:
    @slow
    @given(messages(KINDS, TABLE.modules["ord"]))
    def law(records: dict[str, list[Record]]) -> None:
        first = write(records, "ord")
        path = tmp_path / "message.xml"
        path.write_bytes(first)
        store = SqliteStore.open(":memory:", KINDS)
        summary = load_files(store, KINDS, TABLE, [path], now="2026-01-01T00:00:00.000Z")
        assert summary.lines()[len(summary.counts) + 1 :] == []
        again = io.BytesIO()
        assert write_npr(store, again, TABLE, KINDS) == []
        assert again.getvalue() == first
        before = store.digest()
        load_files(store, KINDS, TABLE, [path], now="2026-02-01T00:00:00.000Z")
        assert store.digest() == before
        store.close()

    law()


def test_a_series_is_read_once_for_each_patient_from_the_first_stay_that_names_it() -> None:
    @slow
    @given(messages(KINDS, TABLE.modules["ord"]), st.data())
    def law(records: dict[str, list[Record]], data: Any) -> None:
        for stay in records["opphold"]:
            stay["serieID"] = data.draw(st.sampled_from([None, "S1", "S2"]))
        expected: dict[tuple[str, ...], str] = {}
        for stay in sorted(records["opphold"], key=lambda stay: str(stay["episodeID"])):
            if stay["serieID"]:
                name = (stay["institusjonID"], stay["pasientNr"], stay["serieID"])
                expected.setdefault(name, stay["henvisningsperiodeID"])
        found, _ = read_all(write(records, "ord"))
        series = found.get("konsultasjonsserie", [])
        assert len(series) == len(expected)
        assert {
            (s["institusjonID"], s["pasientNr"], s["serieID"]): s["henvisningsperiodeID"] for s in series
        } == expected

    law()
