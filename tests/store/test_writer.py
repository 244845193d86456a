"""Merging changes what it is told and nothing else, and versions tell of every change."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fhir_facade.contracts import Record
from fhir_facade.outcome import Refused
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.postgres_dialect import POSTGRES
from fhir_facade.store.records import Store
from tests.store_sample import LATER, LATEST, NOW, folded, merge, merge_many, sample_kinds

STAY = {"personNr": "P", "stayNr": 1}


@pytest.fixture
def store(tmp_path: Path, place: Location) -> Iterator[Store]:
    store = open_store(place, sample_kinds(tmp_path), [folded("word", "stay")])
    with store.transaction() as writer:
        merge_many(writer, store, "ward", [{"wardID": "W", "name": "West"}, {"wardID": "E"}])
        for person in ("P", "Q"):
            merge(writer, store, "person", personNr=person, guid="g1")
        moves = [{"nr": 2, "toWard": "E"}, {"nr": 1, "toWard": "W", "by": "nobody"}]
        merge(writer, store, "stay", **STAY, wardID="W", rank=3, word="Über", moves=moves)
        merge(writer, store, "act", **STAY, actNr=1, word="cut", parts=[{"nr": 1, "what": "knife"}])
    yield store
    store.close()


def stay(store: Store) -> Record:
    record = store.get("stay", "P.1")
    assert record is not None
    return record


def change(store: Store, kind: str, now: str = LATER, **fields: object) -> str:
    with store.transaction() as writer:
        return merge(writer, store, kind, now, **fields)


def test_a_new_record_has_version_one_and_its_lists_in_key_order(store: Store) -> None:
    record = stay(store)
    assert (record["version"], record["changed"]) == (1, NOW)
    assert record["$ward"] == "W"
    assert [(move["nr"], move["$ward"], move["$doctor"]) for move in record["moves"]] == [
        (1, "W", "nobody"),
        (2, "E", None),
    ]
    assert record["notes"] == []
    assert record["acts"][0]["parts"] == [{"nr": 1, "what": "knife"}]


def test_the_same_again_changes_nothing(store: Store) -> None:
    before = store.digest()
    moves = [{"nr": 2, "toWard": "E"}, {"nr": 1, "toWard": "W"}]
    assert change(store, "stay", **STAY, rank=3, word="Über", moves=moves) == "unchanged"
    assert change(store, "act", **STAY, actNr=1, parts=[{"nr": 1}]) == "unchanged"
    assert store.digest() == before


def test_what_is_absent_is_kept_and_none_clears(store: Store) -> None:
    assert change(store, "stay", **STAY, rank=None) == "updated"
    record = stay(store)
    assert (record["rank"], record["word"], record["wardID"]) == (None, "Über", "W")
    assert (record["version"], record["changed"], len(record["moves"])) == (2, LATER, 2)


def test_a_list_replaces_and_its_items_keep_what_they_are_not_told(store: Store) -> None:
    moves = [{"nr": 1, "toWard": "E"}, {"nr": 7}]
    assert change(store, "stay", **STAY, moves=moves) == "updated"
    told = [(move["nr"], move["toWard"], move["by"], move["$ward"]) for move in stay(store)["moves"]]
    assert told == [(1, "E", "nobody", "E"), (7, None, None, None)]
    assert change(store, "stay", **STAY, moves=[]) == "updated"
    assert stay(store)["moves"] == []
    assert len(stay(store)["acts"]) == 1


def test_only_what_is_supplied_changes(store: Store) -> None:
    kind = store.schema.kinds["stay"]
    record = store.schema.kinds.complete(kind, {**STAY, "rank": 9, "word": "no", "moves": []})
    with store.transaction() as writer:
        assert writer.merge(kind, [record], LATER, supplied={"rank", "notes"}) == ["updated"]
    assert (stay(store)["rank"], stay(store)["word"], len(stay(store)["moves"])) == (9, "Über", 2)


def test_references_follow_their_fields(store: Store) -> None:
    change(store, "stay", **STAY, wardID="E")
    assert stay(store)["$ward"] == "E"
    change(store, "stay", **STAY, wardID=None)
    assert stay(store)["$ward"] is None


def test_a_changed_record_gives_its_parent_one_version_in_a_transaction(store: Store) -> None:
    with store.transaction() as writer:
        merge(writer, store, "act", LATER, **STAY, actNr=1, word="sew")
        merge(writer, store, "act", LATER, **STAY, actNr=2)
    record = stay(store)
    assert (record["version"], record["changed"]) == (2, LATER)
    assert [act["version"] for act in record["acts"]] == [2, 1]
    with store.transaction() as writer:
        merge(writer, store, "stay", LATEST, **STAY, rank=4)
        merge(writer, store, "act", LATEST, **STAY, actNr=2, word="bind")
    assert stay(store)["version"] == 3


def test_the_same_moment_in_two_transactions_still_gives_two_versions(store: Store) -> None:
    for word in ("a", "b"):
        change(store, "act", NOW, **STAY, actNr=1, word=word)
    assert stay(store)["version"] == 3


def test_a_record_twice_in_a_merge_is_inserted_and_then_updated(store: Store) -> None:
    with store.transaction() as writer:
        outcomes = merge_many(writer, store, "ward", [{"wardID": "N"}, {"wardID": "N", "name": "North"}])
    assert outcomes == ["inserted", "updated"]


def test_items_written_before_their_record_are_found(store: Store) -> None:
    with store.transaction() as writer:
        merge(writer, store, "act", personNr="P", stayNr=5, actNr=1)
        merge(writer, store, "stay", personNr="P", stayNr=5)
    record = store.get("stay", "P.5")
    assert record is not None
    assert len(record["acts"]) == 1


def test_search_columns_follow_the_record(store: Store) -> None:
    column = store.tables["stay"].c.s_word.name
    assert column == "s_word"
    change(store, "stay", **STAY, word="ÅR")
    with store._connections.snapshot() as connection:
        assert connection.execute("SELECT s_word FROM stay").fetchall() == [("år",)]


def test_deleting_takes_what_is_contained_and_tells_the_parent(store: Store) -> None:
    kinds = store.schema.kinds
    with store.transaction() as writer:
        merge(writer, store, "act", **STAY, actNr=2, causeNr=1)
        assert writer.delete(kinds["act"], "P.1.2", now=LATER)
        assert not writer.delete(kinds["act"], "P.1.2")
    assert [act["actNr"] for act in stay(store)["acts"]] == [1]
    assert stay(store)["version"] == 2
    with store.transaction() as writer:
        merge(writer, store, "act", **STAY, actNr=2, causeNr=1)
        assert writer.delete(kinds["person"], "P")
    assert [store.count(kind) for kind in ("person", "stay", "act")] == [1, 0, 0]
    with store._connections.snapshot() as connection:
        assert connection.execute("SELECT count(*) FROM stay__moves").fetchone() == (0,)


@pytest.mark.parametrize(("kind", "key", "by"), [("ward", "W", "stay"), ("ward", "E", "stay"), ("act", "P.1.1", "act")])
def test_what_others_point_at_is_not_deleted(store: Store, kind: str, key: str, by: str) -> None:
    change(store, "act", **STAY, actNr=2, causeNr=1)
    before = store.digest()
    with store.transaction() as writer:
        with pytest.raises(Refused) as refused:
            writer.delete(store.schema.kinds[kind], key)
        assert merge(writer, store, "ward", wardID="W", name="West") == "unchanged"
    assert [(issue.code, issue.facts["by"]) for issue in refused.value.issues] == [("record-in-use", [by])]
    assert store.digest() == before


def test_a_reference_to_nothing_is_refused_at_the_end_and_nothing_stays(store: Store) -> None:
    before = store.digest()
    with pytest.raises(Refused) as refused, store.transaction() as writer:
        merge(writer, store, "stay", personNr="P", stayNr=8, moves=[{"nr": 1, "toWard": "gone"}])
        merge(writer, store, "stay", personNr="nobody", stayNr=1)
    told = {(issue.code, issue.at, issue.facts["field"], issue.facts["to"]) for issue in refused.value.issues}
    assert told == {
        ("reference-dangling", "stay", "personNr", "person"),
        ("reference-dangling", "stay__moves", "toWard", "ward"),
    }
    assert store.digest() == before


def test_an_exception_leaves_nothing_behind(store: Store) -> None:
    before = store.digest()
    with pytest.raises(KeyError), store.transaction() as writer:
        merge(writer, store, "ward", wardID="N")
        raise KeyError
    assert store.digest() == before
    with pytest.raises((sqlite3.IntegrityError, psycopg.IntegrityError)), store.transaction() as writer:
        merge(writer, store, "stay", **STAY, moves=[{"nr": 3}, {"nr": 3}])
    assert store.digest() == before


def test_keys_are_found_by_a_field_within_a_scope(store: Store) -> None:
    person = store.schema.kinds["person"]
    with store.transaction() as writer:
        assert writer.find_key(person, "guid", "g1") == "P"
        assert writer.find_key(person, "guid", "g1", {"personNr": "Q"}) == "Q"
        assert writer.find_key(person, "guid", "g2") is None
        assert writer.existing(person, ["P", "X", "Q"]) == {"P", "Q"}
    statement = "SELECT _key FROM person WHERE guid = 'g1'"
    with store._connections.snapshot() as connection:
        if store.schema.dialect is POSTGRES:
            connection.execute("SET LOCAL enable_seqscan = off")  # there are too few rows to want an index
            plan = connection.execute(f"EXPLAIN {statement}").fetchall()
        else:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
    assert "ix_person__by_guid" in str(plan)


def test_large_merges_tell_of_each_record(store: Store) -> None:
    many = [{"wardID": f"N{number}", "name": "x"} for number in range(2500)]
    with store.transaction() as writer:
        assert merge_many(writer, store, "ward", many) == ["inserted"] * 2500
        many[2400]["name"] = "y"
        outcomes = merge_many(writer, store, "ward", many, LATER)
    assert outcomes.count("unchanged") == 2499
    assert outcomes[2400] == "updated"
