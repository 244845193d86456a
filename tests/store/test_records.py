"""What is read is what was written, whole, and pages of a search never lose or repeat a record."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import ColumnElement, Table, and_, func

from fhir_facade.contracts import Clause, Query, Record, Sort
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.outcome import Refused
from fhir_facade.store import connections, records
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import SqliteStore, Store
from fhir_facade.store.synthetic import generate, load_into
from tests.store_sample import NOW, folded, merge, merge_many, sample_kinds

RECORDS = Path(__file__).parents[2] / "mappings" / "records"
PATIENTS = 25


@dataclass(frozen=True)
class Source:
    mapping: str
    kind: Kind


@dataclass(frozen=True)
class Plan:
    """Searches the sources for words (any of the values); sorts by rank and word."""

    found_in: tuple[Source, ...]
    lasts = False

    def sources(self, resource_type: str) -> tuple[Source, ...]:
        return self.found_in

    def where(self, source: Source, clauses: Sequence[Clause], tables: Mapping[str, Table]) -> ColumnElement[bool]:
        return and_(True, *(tables[source.kind.name].c.word.in_(clause.values) for clause in clauses))

    def order(self, source: Source, sort: Sequence[Sort], tables: Mapping[str, Table]) -> list[ColumnElement[Any]]:
        empty = {"rank": -1, "word": ""}
        columns = tables[source.kind.name].c
        return [func.coalesce(columns[key.parameter], empty[key.parameter]) for key in sort]


@pytest.fixture(scope="module")
def kinds() -> Kinds:
    with TemporaryDirectory() as folder:
        return sample_kinds(Path(folder))


@pytest.fixture
def store(kinds: Kinds, place: Location) -> Iterator[Store]:
    store = open_store(place, kinds, [folded("word", "stay")])
    yield store
    store.close()


@pytest.fixture
def file_store(kinds: Kinds, tmp_path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(tmp_path / "store.db", kinds, [folded("word", "stay")])
    yield store
    store.close()


@pytest.fixture(scope="module")
def real(new_place: Callable[[], Location]) -> Iterator[Store]:
    kinds = load_kinds(RECORDS)
    store = open_store(new_place(), kinds)
    load_into(store, kinds, PATIENTS, 7, NOW)
    yield store
    store.close()


@pytest.fixture(scope="module")
def used(kinds: Kinds, new_place: Callable[[], Location]) -> Iterator[Store]:
    """A store for many examples, emptied by `emptied` before each."""
    store = open_store(new_place(), kinds)
    yield store
    store.close()


def emptied(store: Store) -> Store:
    with store._connections.writing() as connection:
        connection.execute("DELETE FROM act")
        for shape in reversed(list(store.schema.shapes.values())):
            connection.execute(f"DELETE FROM {shape.table.name}")
        assert store._connections.commit(connection)
    return store


def fill(store: Store, stays: int) -> None:
    with store.transaction() as writer:
        merge(writer, store, "person", personNr="P")
        merge(writer, store, "ward", wardID="W")
        for number in range(stays):
            stay = {"personNr": "P", "stayNr": number}
            merge(writer, store, "stay", **stay, word="a", moves=[{"nr": 1, "toWard": "W"}])
            merge(writer, store, "act", **stay, actNr=1, parts=[{"nr": 1}, {"nr": 2}])


def expected(kinds: Kinds) -> dict[str, dict[str, Record]]:
    """Every generated record, complete, with the records that are embedded in it."""
    made: dict[str, dict[str, Record]] = {kind.name: {} for kind in kinds}
    for name, record in generate(PATIENTS, 7):
        whole = kinds.complete(kinds[name], record)
        made[name][whole["$key"]] = whole
    for kind in kinds:
        for child in kind.children.values():
            if child.records:
                inner = kinds[child.records]
                link = next(link.name for link in inner.links.values() if link.to == kind.name)
                for record in made[inner.name].values():
                    made[kind.name][record["$" + link]][child.name].append(record)
    return made


def same(one: Any, other: Any) -> bool:
    """Whether two records are equal where absent and None are the same."""
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return all(same(one.get(name), other.get(name)) for name in {*one, *other})
    return bool(one == other)


def statements(connection: sqlite3.Connection, ask: Any) -> list[str]:
    """The SELECTs that are run on a connection."""
    heard: list[str] = []
    connection.set_trace_callback(heard.append)
    ask()
    connection.set_trace_callback(None)
    return [text for text in heard if text.startswith("SELECT")]


def test_what_was_generated_is_what_is_read_one_at_a_time_many_at_a_time_and_all(real: Store) -> None:
    made = expected(real.schema.kinds)
    for kind in real.schema.kinds:
        stamp = {kind.version: 1, kind.changed: NOW}
        wanted = {key: stamp | record for key, record in sorted(made[kind.name].items())}
        scanned = list(real.scan(kind.name))
        assert [record["$key"] for record in scanned] == list(wanted), kind.name
        assert real.count(kind.name) == len(wanted)
        many = real.get_many(kind.name, [*wanted, "missing"])
        assert many == {record["$key"]: record for record in scanned}
        for record in scanned:
            assert same(_bare(record), _bare(wanted[record["$key"]])), (kind.name, record["$key"])
            assert real.get(kind.name, record["$key"]) == record


def _bare(record: Record) -> Record:
    """The record without the versions of embedded records, its lists in an order of their own."""
    return {
        name: sorted(map(_plain, value), key=repr) if isinstance(value, list) else value
        for name, value in record.items()
    }


def _plain(item: Record) -> Record:
    stamp = {"rad_versjon", "sist_endret"}
    return {name: item[name] for name in sorted(item.keys() - stamp) if item[name] is not None}


def test_lists_and_embedded_records_stand_in_key_order(real: Store) -> None:
    seen = 0
    for kind in real.schema.kinds:
        for record in real.scan(kind.name):
            for child in kind.children.values():
                names = real.schema.kinds[child.records].key if child.records else child.key
                items = record[child.name]
                keys = [[(item[name] is not None, item[name]) for name in names] for item in items]
                assert keys == sorted(keys)
                seen += len(keys) > 1
    assert seen > 10


def test_nothing_is_returned_for_what_is_not_there(store: Store) -> None:
    assert store.get("stay", "P.1") is None
    assert store.get_many("stay", []) == {}
    assert list(store.scan("stay")) == []
    assert store.count("stay") == 0


def test_a_scan_goes_on_past_a_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "SCAN", 4)
    for stays in (3, 4, 9):
        fill(store, stays)
        found = list(store.scan("stay"))
        assert [record["stayNr"] for record in found] == sorted(range(stays), key=str)
        assert all(len(record["acts"][0]["parts"]) == 2 for record in found)


def test_related_records_are_those_that_point_here(store: Store) -> None:
    fill(store, 3)
    found = store.related("stay", "person", ["P", "Q"])
    assert list(found) == ["P"]
    assert found["P"] == [store.get("stay", f"P.{number}") for number in range(3)]


def test_a_key_without_its_last_part_stands_first(store: Store) -> None:
    fill(store, 1)
    with store.transaction() as writer:
        for number in (2, None):
            merge(writer, store, "act", personNr="P", stayNr=0, actNr=number)
    stay = store.get("stay", "P.0")
    assert stay is not None
    assert [act["actNr"] for act in stay["acts"]] == [None, 1, 2]


def test_a_page_costs_as_many_queries_as_a_record_and_empty_lists_cost_none(file_store: SqliteStore) -> None:
    fill(file_store, 50)
    with file_store.transaction() as writer:
        merge(writer, file_store, "stay", personNr="P", stayNr=99)
    plan = Plan((Source("stay-x", file_store.schema.kinds["stay"]),))
    with file_store._connections.snapshot() as connection:
        pass
    one = statements(connection, lambda: file_store.get("stay", "P.7"))
    page = statements(connection, lambda: file_store.find(Query("X", count=50), plan))
    assert len(one) == 4  # the record, its moves, its acts, and their parts; it has no notes
    assert len(page) == len(one) + 1
    assert len(statements(connection, lambda: file_store.get("stay", "P.99"))) == 1


def test_readers_see_what_is_committed_and_nothing_before(store: Store) -> None:
    fill(store, 1)
    seen: list[int] = []

    def look() -> None:
        thread = threading.Thread(target=lambda: seen.append(store.count("ward")))
        thread.start()
        thread.join()

    with store.transaction() as writer:
        merge(writer, store, "ward", wardID="N")
        look()
        seen.append(store.count("ward"))
    look()
    assert seen == [1, 1, 2]


def test_reading_connections_cannot_write(file_store: SqliteStore) -> None:
    refused = pytest.raises(sqlite3.OperationalError, match="readonly")
    with file_store._connections.snapshot() as connection, refused:
        connection.execute("DELETE FROM ward")


def test_a_second_writer_is_refused_when_the_first_does_not_finish(
    file_store: SqliteStore, kinds: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_SECONDS", 0.05)
    other = SqliteStore.open(file_store._connections.path, kinds, [folded("word", "stay")])
    with file_store.transaction(), pytest.raises(Refused) as refused, other.transaction():
        pass
    other.close()
    assert refused.value.issues[0].code == "store-busy"


def test_many_threads_read_a_store_in_memory(kinds: Kinds) -> None:
    store = SqliteStore.open(":memory:", kinds)
    fill(store, 20)
    wrong: list[object] = []

    def read() -> None:
        for number in range(20):
            record = store.get("stay", f"P.{number}")
            if record is None or len(record["moves"]) != 1:
                wrong.append(record)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert wrong == []


def test_a_store_is_opened_again_and_one_of_other_kinds_is_not(
    file_store: SqliteStore, kinds: Kinds, tmp_path: Path
) -> None:
    fill(file_store, 2)
    path, columns, digest = tmp_path / "store.db", [folded("word", "stay")], file_store.digest()
    again = SqliteStore.open(path, kinds, columns, read_only=True)
    assert again.digest() == digest
    with pytest.raises(ValueError, match="reading only"), again.transaction():
        pass
    again.close()
    (tmp_path / "text.db").write_text("no database at all, only some text that is long enough" * 20)
    for file, code in (("store.db", "store-other-tables"), ("text.db", "file-unreadable")):
        with pytest.raises(Refused) as refused:
            SqliteStore.open(tmp_path / file, kinds)
        assert refused.value.issues[0].code == code
    with pytest.raises(Refused):
        SqliteStore.open(tmp_path / "missing.db", kinds, read_only=True)
    assert not (tmp_path / "missing.db").exists()


def test_the_digest_tells_of_every_change(store: Store) -> None:
    fill(store, 1)
    seen = {store.digest()}
    stay = {"personNr": "P", "stayNr": 0}
    for change in ({"rank": 1}, {"moves": [{"nr": 1, "toWard": None}]}, {"moves": []}, {"word": None}):
        with store.transaction() as writer:
            merge(writer, store, "stay", **stay, **change)
        assert store.digest() not in seen
        seen.add(store.digest())


SORT = st.builds(Sort, st.sampled_from(["rank", "word"]), st.booleans())
SORTS = st.lists(SORT, max_size=2, unique_by=lambda sort: sort.parameter)
WORDS = ("a", "b", "Å", "\U0001f600", "\uffee")
VALUES = st.fixed_dictionaries({"rank": st.none() | st.integers(0, 3), "word": st.sampled_from([None, *WORDS])})
KEYS = st.integers(0, 12)
ROWS = st.dictionaries(st.tuples(st.sampled_from(["stay", "act"]), KEYS), VALUES, max_size=20)
CHANGES = st.lists(st.tuples(st.sampled_from(["stay", "act"]), KEYS, st.none() | VALUES), max_size=4)


@settings(deadline=None)
@given(
    rows=ROWS,
    sort=SORTS,
    count=st.integers(1, 5),
    changes=st.lists(CHANGES, max_size=6),
    words=st.none() | st.lists(st.sampled_from(["a", "b", "Å"]), min_size=1, max_size=3),
)
def test_pages_neither_lose_nor_repeat_while_records_come_and_go(
    kinds: Kinds,
    used: Store,
    rows: dict[tuple[str, int], Record],
    sort: list[Sort],
    count: int,
    changes: list[list[tuple[str, int, Record | None]]],
    words: list[str] | None,
) -> None:
    store = emptied(used)
    fill(store, 0)
    with store.transaction() as writer:  # acts hang on a stay of another person, which is not searched for
        merge(writer, store, "person", personNr="Q")
        merge(writer, store, "stay", personNr="Q", stayNr=0, word="not found")
    gone: set[str] = set()
    put(store, [(kind, number, values) for (kind, number), values in rows.items()], gone)
    clauses = [Clause("word", tuple(words or WORDS))]
    plan = Plan((Source("act-x", kinds["act"]), Source("stay-x", kinds["stay"])))
    always = matching(store, clauses[0].values)
    got: list[tuple[Any, ...]] = []
    after: tuple[Any, ...] = ()
    pending = list(changes)
    while True:
        page = store.find(Query("X", tuple(clauses), tuple(sort), count, after), plan)
        assert len(page.matches) <= count
        for match in page.matches:
            assert match.record == store.get(match.mapping[:-2], match.record["$key"])
        got += [match.position for match in page.matches]
        assert len(got) <= 100, "there are not so many records"
        if not page.more:
            break
        assert len(page.matches) == count
        after = page.matches[-1].position
        if pending:
            put(store, pending.pop(), gone)
            always &= matching(store, clauses[0].values)
    assert [list(place) for place in got] == [list(place) for place in in_order(got, sort)]
    keys = [(place[-2], place[-1]) for place in got]
    assert len(keys) == len(set(keys))
    assert always <= set(keys)


def matching(store: Store, words: Sequence[str]) -> set[tuple[int, str]]:
    """Source number and key of every match, found without search."""
    return {
        (number, record["$key"])
        for number, kind in enumerate(("act", "stay"))
        for record in store.scan(kind)
        if record["word"] in words
    }


def in_order(places: list[tuple[Any, ...]], sort: list[Sort]) -> list[tuple[Any, ...]]:
    """The places in the total order: ties go the way of the last sort value."""
    ordered = sorted(places, key=lambda place: place[-2:], reverse=bool(sort) and sort[-1].descending)
    for index in reversed(range(len(sort))):
        ordered.sort(key=lambda place: place[index], reverse=sort[index].descending)
    return ordered


def put(store: Store, changes: Sequence[tuple[str, int, Record | None]], gone: set[str]) -> None:
    """Insert or delete records; none is changed or comes back, so that each has one place only."""
    with store.transaction() as writer:
        for kind, number, values in changes:
            act = {"personNr": "Q", "stayNr": 0, "actNr": number}
            scope = act if kind == "act" else {"personNr": "P", "stayNr": number}
            key = ".".join(map(str, scope.values()))
            chosen = store.schema.kinds[kind]
            if values is None:
                writer.delete(chosen, key)
                gone.add(key)
            elif key not in gone and not writer.existing(chosen, [key]):
                merge_many(writer, store, kind, [{**scope, **values}])


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_ties_are_paged_by_source_and_key_in_either_direction(
    store: Store, kinds: Kinds, descending: bool, count: int
) -> None:
    fill(store, 3)
    with store.transaction() as writer:
        for number, rank in enumerate((1, 1, 2)):
            merge(writer, store, "stay", personNr="P", stayNr=number, rank=rank)
            merge(writer, store, "act", personNr="P", stayNr=number, actNr=1, rank=rank, word="a")
    plan = Plan((Source("stay-x", kinds["stay"]), Source("act-x", kinds["act"])))
    query = Query("X", (Clause("word", ("a",)),), (Sort("rank", descending),), count)
    got: list[tuple[Any, ...]] = []
    more = True
    while more and len(got) < 20:
        page = store.find(replace(query, after=got[-1] if got else ()), plan)
        got += [match.position for match in page.matches]
        more = page.more
    ones = [(1, 0, "P.0"), (1, 0, "P.1"), (1, 1, "P.0.1"), (1, 1, "P.1.1")]
    twos = [(2, 0, "P.2"), (2, 1, "P.2.1")]
    assert got == ((ones + twos)[::-1] if descending else ones + twos)  # ties go the way of the last sort value


def test_searches_that_differ_in_values_only_are_compiled_once(store: Store) -> None:
    fill(store, 3)
    plan = Plan((Source("stay-x", store.schema.kinds["stay"]),))
    sort = (Sort("rank"),)
    found = [store.find(Query("X", (Clause("word", (word,)),), sort), plan) for word in ("b", "a", "c", "a")]
    assert [len(page.matches) for page in found] == [0, 3, 0, 3]
    assert len(store._planner._shapes) == 1
    assert len(store.find(Query("X", (Clause("word", ("b", "a")),), sort), plan).matches) == 3
    assert len(store._planner._shapes) == 2
