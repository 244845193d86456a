"""A store made by older record kinds is brought forward whole, or not touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from fhir_facade.mapping.columns import SearchColumn
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.outcome import Refused
from fhir_facade.store.location import Location
from fhir_facade.store.migrating import upgrade
from fhir_facade.store.postgres import PostgresStore
from tests.postgres_server import Server
from tests.store_sample import FILES, merge, sample_kinds

Edited = Callable[..., Kinds]
PERSON = "key: [personNr]\nnpr: {ord: M/Person}\nfields:\n"
STAY = {"personNr": "P", "stayNr": 1}


@pytest.fixture
def edited(tmp_path: Path) -> Edited:
    """The sample kinds with the text of one of them changed."""

    def edit(kind: str, old: str, new: str) -> Kinds:
        sample_kinds(tmp_path)
        assert old in FILES[kind]
        (tmp_path / f"{kind}.yaml").write_text(FILES[kind].replace(old, new), "utf-8")
        return load_kinds(tmp_path)

    return edit


@pytest.fixture
def old(tmp_path: Path) -> Kinds:
    return sample_kinds(tmp_path)


@pytest.fixture
def place(postgres: Server, old: Kinds) -> Location:
    """A store of the sample kinds with a stay that has lists."""
    place = Location(postgres.fresh())
    store = PostgresStore.open(place, old, [folded("word")])
    with store.transaction() as writer:
        merge(writer, store, "ward", wardID="W", name="West")
        merge(writer, store, "person", personNr="P", name="Ås")
        merge(writer, store, "stay", **STAY, wardID="W", word="Über", moves=[{"nr": 1, "toWard": "W", "by": "D"}])
        merge(writer, store, "act", **STAY, actNr=1, word="cut", parts=[{"nr": 1, "what": "knife"}])
    store.close()
    return place


def folded(field: str, kind: str = "stay") -> SearchColumn:
    return SearchColumn(kind, "", f"_folded_{field}", "text", lambda row: (row.get(field) or "").lower())


def refused_open(place: Location, kinds: Kinds, columns: list[SearchColumn]) -> str:
    with pytest.raises(Refused) as refused:
        PostgresStore.open(place, kinds, columns)
    return refused.value.issues[0].code


def dump(place: Location) -> list[object]:
    """Every table with its columns and rows."""
    with psycopg.connect(place.text) as connection:
        names = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2"
        ).fetchall()
        rows = [
            connection.execute(f'SELECT * FROM "{name}" t ORDER BY t::text').fetchall()
            for name in sorted({name for name, _ in names})
        ]
    return [names, rows]


def test_a_new_field_list_reference_and_search_column_come_with_their_values(
    place: Location, old: Kinds, edited: Edited
) -> None:
    new = edited(
        "stay",
        "  wardID: {type: text}\n",
        "  wardID: {type: text}\n  lastWard: {type: text}\n",
    )
    columns = [folded("word"), folded("name", "person")]
    before = PostgresStore.open(place, old, [folded("word")])
    digest, stay = before.digest(), before.get("stay", "P.1")
    before.close()
    assert refused_open(place, new, columns) == "store-older-tables"
    dry = upgrade(place, new, columns, dry_run=True)
    assert refused_open(place, new, columns) == "store-older-tables"
    done = upgrade(place, new, columns)
    assert done.steps == dry.steps
    assert {"column stay.last_ward is added", "column person._folded_name is added"} <= set(done.steps)
    assert "index ix_person___folded_name is made" in done.steps
    assert done.records == 4
    store = PostgresStore.open(place, new, columns)
    assert store.get("stay", "P.1") == {**(stay or {}), "lastWard": None}
    assert store.digest() != digest
    with psycopg.connect(place.text) as connection:
        assert connection.execute("SELECT _folded_name FROM person").fetchall() == [("ås",)]
        assert connection.execute("SELECT _folded_word FROM stay").fetchall() == [("über",)]
    with store.transaction() as writer:
        assert merge(writer, store, "stay", **STAY, word="Über") == "unchanged"
        assert merge(writer, store, "stay", **STAY, lastWard="W") == "updated"
    store.close()
    assert upgrade(place, new, columns) == ((), 0)


def test_a_new_kind_and_a_new_list_are_made_and_lists_are_still_found(place: Location, edited: Edited) -> None:
    new = edited("stay", "children:\n", "children:\n  beds:\n    key: [nr]\n    fields:\n      nr: {type: integer}\n")
    done = upgrade(place, new, [folded("word")])
    assert "table stay__beds is made" in done.steps
    store = PostgresStore.open(place, new, [folded("word")])
    stay = store.get("stay", "P.1")
    assert stay is not None
    assert [len(stay[name]) for name in ("beds", "moves", "notes", "acts")] == [0, 1, 0, 1]
    assert len(stay["acts"][0]["parts"]) == 1
    store.close()


def test_a_reference_that_is_new_is_filled_and_held(place: Location, edited: Edited) -> None:
    new = edited("act", "references:\n", "references:\n  who: {to: person, fields: [personNr]}\n")
    upgrade(place, new, [folded("word")])
    store = PostgresStore.open(place, new, [folded("word")])
    act = store.get("act", "P.1.1")
    assert act is not None
    assert act["$who"] == "P"
    store.close()


@pytest.mark.parametrize(
    ("kind", "was", "becomes", "what"),
    [
        ("ward", "  name: {type: text}\n", "", "ward.name"),
        ("stay", "  word: {type: text}\n", "  word: {type: integer}\n", "stay.word"),
        ("stay", "    key: [nr]\n", "    key: [nr, by]\n", "stay__moves"),
        ("person", PERSON, PERSON.replace("[personNr]", "[name]") + "  more: {type: text}\n", "person"),
    ],
)
def test_what_would_lose_something_is_refused_and_nothing_is_changed(
    place: Location, edited: Edited, kind: str, was: str, becomes: str, what: str
) -> None:
    before = dump(place)
    columns = [] if "word" in was else [folded("word")]
    with pytest.raises(Refused) as refused:
        upgrade(place, edited(kind, was, becomes), columns)
    assert refused.value.issues[0].code == "upgrade-loses"
    assert what in str(refused.value)
    assert dump(place) == before


def test_a_field_without_values_and_what_is_computed_go_without_a_word(place: Location, edited: Edited) -> None:
    done = upgrade(place, edited("person", "  guid: {type: text}\n", ""), [])
    assert "column person.guid is dropped" in done.steps
    assert "column stay._folded_word is dropped" in done.steps


def test_what_is_the_same_needs_no_step_though_the_fingerprint_differs(place: Location, old: Kinds) -> None:
    with psycopg.connect(place.text) as connection:
        connection.execute("CREATE INDEX ix_person__by_guid ON person (guid)")  # as loading does
        connection.execute("CREATE TABLE of_someone_else (n int)")
        connection.execute("UPDATE _store SET value = 1 WHERE name = 'schema'")
    assert upgrade(place, old, [folded("word")]) == ((), 4)


def test_an_empty_database_gets_the_tables_and_tables_of_others_are_left_alone(postgres: Server, old: Kinds) -> None:
    place = Location(postgres.fresh())
    assert len(upgrade(place, old, dry_run=True).steps) == len(upgrade(place, old).steps) > 5
    PostgresStore.open(place, old, read_only=True).close()
    foreign = Location(postgres.fresh())
    with psycopg.connect(foreign.text) as connection:
        connection.execute("CREATE TABLE ward (name text)")
    with pytest.raises(Refused) as refused:
        upgrade(foreign, old)
    assert refused.value.issues[0].code == "upgrade-of-others"
