"""Law: records that PostgreSQL joins into JSON are those that are read by columns, and one statement reads each."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.store import postgres_reading
from fhir_facade.store.documents import DocumentReader, _array, _name
from fhir_facade.store.location import Location
from fhir_facade.store.postgres import PostgresStore
from fhir_facade.store.postgres_reading import ReadingConnection
from fhir_facade.store.reading import Reader
from fhir_facade.store.synthetic import load_into
from tests.postgres_server import Server
from tests.store_sample import merge_many, sample_kinds

TEXTS = st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NUMBERS = st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-9, 9)


def distinct(items: list[dict[str, Any]], *key: str) -> list[dict[str, Any]]:
    return list({tuple(item[name] for name in key): item for item in items}.values())


MOVES = st.lists(
    st.fixed_dictionaries({"nr": st.integers(-99, 99), "toWard": st.sampled_from([None, "W"])}), max_size=4
)
NOTES = st.lists(
    st.fixed_dictionaries({"topic": st.text("åæø \"'\\", max_size=3), "nr": st.integers(0, 3), "said": TEXTS}),
    max_size=4,
)
PARTS = st.lists(st.fixed_dictionaries({"nr": st.integers(0, 9), "what": TEXTS}), max_size=3)
STAYS = st.fixed_dictionaries(
    {"stayNr": st.integers(1, 3), "rank": NUMBERS, "word": TEXTS, "moves": MOVES, "notes": NOTES}
)
ACTS = st.fixed_dictionaries(
    {
        "stayNr": st.integers(1, 3),
        "actNr": st.none() | st.integers(-5, 5),
        "rank": NUMBERS,
        "word": TEXTS,
        "parts": PARTS,
    }
)


@pytest.fixture(scope="module")
def sample(postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresStore]:
    kinds = sample_kinds(tmp_path_factory.mktemp("kinds"))
    store = PostgresStore.open(Location(postgres.fresh()), kinds)
    with store.transaction() as writer:
        merge_many(writer, store, "ward", [{"wardID": "W", "name": "West"}])
        merge_many(writer, store, "person", [{"personNr": "P"}])
    yield store
    store.close()


def compare(store: PostgresStore, connection: Any) -> int:
    """Read all that there is in both ways; how many records were compared."""
    columns, documents = Reader(store.schema), DocumentReader(store.schema)
    compared = 0
    for name, shape in store.schema.shapes.items():
        all_of_them = columns.page(connection, name, "", 10_000)
        assert documents.page(connection, name, "", 10_000) == all_of_them
        keys = [record["$key"] for record in all_of_them]
        some = [*keys[:40], "no such key"]
        for embed in (True, False):
            by_columns = columns.many(connection, name, some, embed=embed)
            assert documents.many(connection, name, some, embed=embed) == by_columns
        for key in some[-9:]:
            assert documents.one(connection, name, key) == columns.one(connection, name, key)
        for link in shape.kind.links:
            targets = sorted({record["$" + link] for record in all_of_them if record["$" + link]})
            for chosen in (targets, targets[:1]) if targets else ():
                by_columns = columns.related(connection, name, link, chosen)
                assert documents.related(connection, name, link, chosen) == by_columns
        compared += len(keys)
    return compared


ONE_ACT: dict[str, Any] = {"stayNr": 1, "rank": 1, "word": "a", "parts": []}


@example(
    [{"stayNr": 1, "rank": None, "word": "", "moves": [], "notes": []}],
    [ONE_ACT | {"actNr": 1}, ONE_ACT | {"actNr": None}],
)
@given(st.lists(STAYS, max_size=3), st.lists(ACTS, max_size=5))
def test_both_ways_to_read_give_the_same(
    sample: PostgresStore, stays: list[dict[str, Any]], acts: list[dict[str, Any]]
) -> None:
    chosen = {stay["stayNr"]: {**stay, "personNr": "P"} for stay in stays}
    for stay in chosen.values():
        stay["moves"], stay["notes"] = distinct(stay["moves"], "nr"), distinct(stay["notes"], "topic", "nr")
    below = {(act["stayNr"], act["actNr"]): {**act, "personNr": "P"} for act in acts if act["stayNr"] in chosen}
    for act in below.values():
        act["parts"] = distinct(act["parts"], "nr")
    kinds = sample.schema.kinds
    with sample.transaction() as writer:
        for record in list(sample.scan("stay")):
            writer.delete(kinds["stay"], record["$key"])
        merge_many(writer, sample, "stay", list(chosen.values()))
        merge_many(writer, sample, "act", list(below.values()))
    with sample._connections.snapshot() as connection:  # both in one moment
        assert compare(sample, connection) == len(chosen) + len(below) + 2


def test_every_kind_is_read_the_same_in_both_ways(mapping_set: MappingSet, postgres: Server) -> None:
    store = PostgresStore.open(Location(postgres.fresh()), mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 6, 4, "2026-01-01T00:00:00.000Z")
    with store._connections.snapshot() as connection:
        assert compare(store, connection) > 100
    with store.transaction() as writer:  # a connection that writes reads the same
        assert compare(store, writer._connection) > 100
    store.close()


def test_a_record_is_one_statement_and_no_transaction(sample: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with sample.transaction() as writer:
        merge_many(writer, sample, "stay", [{"personNr": "P", "stayNr": 1, "moves": [{"nr": 1}]}])
        merge_many(writer, sample, "act", [{"personNr": "P", "stayNr": 1, "actNr": 1, "parts": [{"nr": 1}]}])
    (key,) = (record["$key"] for record in sample.scan("stay") if record["stayNr"] == 1)
    asked: list[str] = []
    run = ReadingConnection._run

    def heard(self: ReadingConnection, sql: str, parameters: Any) -> Any:
        asked.append(sql)
        assert not self.in_transaction
        return run(self, sql, parameters)

    monkeypatch.setattr(ReadingConnection, "_run", heard)
    record = sample.get("stay", key)
    assert record is not None and record["moves"] and record["acts"][0]["parts"]
    assert len(asked) == 1
    assert sample.get_many("stay", [key]) == {key: record}
    assert sample.related("stay", "person", [record["$person"]])[record["$person"]][0] == record
    assert len(asked) == 3


def test_others_run_while_one_waits_for_the_server(sample: PostgresStore) -> None:
    """A call that waits for its answer does not hold the lock of the interpreter: the other opens the gate."""
    told: list[Any] = []

    def wait() -> None:
        with sample._connections.one_read() as connection:
            told.append(connection.execute("SELECT pg_advisory_lock_shared(77)::text").fetchall())
            connection.execute("SELECT pg_advisory_unlock_shared(77)")

    with sample._connections.one_read() as connection:
        connection.execute("SELECT pg_advisory_lock(77)")
        thread = threading.Thread(target=wait)
        thread.start()
        assert told == []
        connection.execute("SELECT pg_advisory_unlock(77)")
        thread.join(30)
    assert not thread.is_alive() and len(told) == 1


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
@example(["", "NULL", "a,b", "{}", "a\\b", "\\", 'a"b', "å \n"])
@example([])
def test_keys_reach_the_database_as_they_are(sample: PostgresStore, keys: list[str]) -> None:
    with sample._connections.one_read() as connection:
        assert [key for (key,) in connection.execute("SELECT unnest($1::text[])", (_array(keys),))] == keys


def test_a_name_that_the_database_would_cut_off_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than 63"):
        _name("å" * 32)


def test_prepared_statements_are_kept_up_to_a_number(sample: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_reading, "STATEMENTS", 3)
    with sample._connections.one_read() as connection:
        for turn in range(20):
            assert connection.execute(f"SELECT $1::bigint + {turn % 7}", (turn,)).fetchall() == [(turn + turn % 7,)]
            kept = connection.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
            assert kept is not None and kept[0] <= 3
