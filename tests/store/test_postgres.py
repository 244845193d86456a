"""What is of PostgreSQL alone: connections that are lost, time limits, secrets, and what the columns are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select

from fhir_facade.mapping.kinds import Kinds
from fhir_facade.outcome import Refused
from fhir_facade.settings import Settings
from fhir_facade.store import postgres_connections, postgres_reading
from fhir_facade.store.dialects import among
from fhir_facade.store.location import Location
from fhir_facade.store.postgres import PostgresStore
from fhir_facade.store.postgres_dialect import POSTGRES
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.tables import build_schema
from tests.postgres_server import Server
from tests.store_sample import merge, merge_many, sample_kinds

SECRET = "qp7-hidden-word"


@pytest.fixture
def kinds(tmp_path: Path) -> Kinds:
    return sample_kinds(tmp_path)


@pytest.fixture
def url(postgres: Server) -> str:
    return postgres.fresh()


@pytest.fixture
def store(url: str, kinds: Kinds) -> Iterator[PostgresStore]:
    store = PostgresStore.open(Location(url), kinds, timeout=20)
    with store.transaction() as writer:
        merge_many(writer, store, "ward", [{"wardID": "W", "name": "West"}, {"wardID": "E"}])
    yield store
    store.close()


def name_of(url: str) -> str:
    return url.split("?", maxsplit=1)[0].rpartition("/")[2]


def cut_all(postgres: Server, url: str) -> None:
    """End every connection to a database from the server's side, as a restart does."""
    with postgres.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name_of(url),))


def test_text_is_in_the_order_of_code_points_and_whole_numbers_are_big(store: PostgresStore, url: str) -> None:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT DISTINCT data_type, collation_name FROM information_schema.columns WHERE table_schema = 'public'"
        ).fetchall()
    assert set(rows) == {("text", "C"), ("bigint", None)}
    assert store.schema.dialect is POSTGRES


def test_both_stores_have_the_same_digest_of_the_same_records(store: PostgresStore, kinds: Kinds) -> None:
    with store.transaction() as writer:
        for ward in ("W", "E"):
            writer.delete(kinds["ward"], ward)
    embedded = SqliteStore.open(":memory:", kinds)
    for one in (store, embedded):
        with one.transaction() as writer:
            for name in ("a", "B", "å", "Z", "\U0001f600", "\uffee"):
                merge(writer, one, "ward", wardID=name, name=name * 3)
        with one._connections.snapshot() as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM ward ORDER BY name")]
            after = [row[0] for row in connection.execute("SELECT name FROM ward WHERE name > 'a' ORDER BY name")]
        assert names == ["BBB", "ZZZ", "aaa", "ååå", "\uffee" * 3, "\U0001f600" * 3]
        assert after == names[2:]
    assert store.digest() == embedded.digest()
    embedded.close()


def test_a_connection_that_was_lost_while_it_lay_in_the_pool_is_replaced(
    store: PostgresStore, postgres: Server, url: str
) -> None:
    assert store.count("ward") == 2
    cut_all(postgres, url)
    assert store.count("ward") == 2
    cut_all(postgres, url)
    with store.transaction() as writer:
        merge(writer, store, "ward", wardID="N")
    assert store.count("ward") == 3


def test_a_connection_lost_before_its_one_statement_is_replaced_and_in_a_transaction_it_is_told(
    store: PostgresStore, postgres: Server, url: str
) -> None:
    counted = "SELECT count(*) FROM ward WHERE name IS NOT NULL OR $1 = 1"
    with store._connections.one_read() as connection:
        cut_all(postgres, url)
        assert connection.execute(counted, (1,)).fetchall() == [(2,)]
        cut_all(postgres, url)
        assert connection.execute(counted, (1,)).fetchall() == [(2,)]
    with pytest.raises(Refused) as refused, store._connections.snapshot() as connection:
        cut_all(postgres, url)
        connection.execute(counted, (1,))
    assert [issue.code for issue in refused.value.issues] == ["store-unreachable"]
    assert store.count("ward") == 2


def test_a_connection_lost_in_the_middle_is_told_and_nothing_is_stored(
    store: PostgresStore, postgres: Server, url: str
) -> None:
    with pytest.raises(Refused) as refused, store.transaction() as writer:
        merge(writer, store, "ward", wardID="N")
        cut_all(postgres, url)
        merge(writer, store, "ward", wardID="S")
    assert [issue.code for issue in refused.value.issues] == ["store-unreachable"]
    assert refused.value.status == 503
    assert store.count("ward") == 2


def test_a_statement_that_takes_too_long_is_given_up_and_the_connection_is_used_again(
    url: str, kinds: Kinds, store: PostgresStore
) -> None:
    hasty = PostgresStore.open(Location(url), kinds, pool=1, timeout=0.05)
    with pytest.raises(Refused) as refused, hasty._connections.snapshot() as connection:
        connection.execute("SELECT pg_sleep(20)")
    assert refused.value.issues[0].code == "store-too-slow"
    assert refused.value.status == 503
    with hasty._connections.snapshot() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    hasty.close()


@pytest.mark.parametrize("fails", ["by itself", "by a statement"])
def test_reads_that_are_given_up_and_new_statements_cost_the_others_nothing(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    monkeypatch.setattr(postgres_reading, "STATEMENTS", 5)
    for number in range(30):
        statement, given = f"SELECT {number} FROM ward WHERE name = $1", ("West",)
        with pytest.raises((ValueError, psycopg.Error)), store.snapshot() as connection:
            assert connection.execute(statement, given).fetchone() == (number,)
            if fails == "by a statement":
                connection.execute("SELECT 1/0", ())
            raise ValueError("given up")
        with store.snapshot() as connection:
            assert connection.execute(statement, given).fetchone() == (number,)


def test_a_second_writer_is_refused_when_the_first_does_not_finish(
    store: PostgresStore, url: str, kinds: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "BUSY_SECONDS", 0.05)
    other = PostgresStore.open(Location(url), kinds)
    with store.transaction(), pytest.raises(Refused) as refused, other.transaction():
        pass
    other.close()
    assert refused.value.issues[0].code == "store-busy"


def test_who_asks_when_every_connection_is_taken_is_told(
    url: str, kinds: Kinds, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_connections, "WAIT_SECONDS", 0.05)
    narrow = PostgresStore.open(Location(url), kinds, pool=1)
    told: list[str] = []

    def ask() -> None:
        with pytest.raises(Refused) as refused:
            narrow.count("ward")
        told.append(refused.value.issues[0].code)

    with narrow._connections.snapshot():
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert told == ["store-unreachable"]
    assert narrow.count("ward") == 2
    narrow.close()


def test_reading_connections_cannot_write(store: PostgresStore) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), store._connections.snapshot() as connection:
        connection.execute("DELETE FROM ward")


def test_all_statements_of_a_read_see_the_same_moment(store: PostgresStore) -> None:
    with store._connections.snapshot() as connection:
        before = connection.execute("SELECT count(*) FROM ward").fetchone()
        with store.transaction() as writer:
            merge(writer, store, "ward", wardID="N")
        assert connection.execute("SELECT count(*) FROM ward").fetchone() == before
    assert store.count("ward") == 3


def test_a_store_of_other_kinds_and_one_without_tables_are_refused(
    store: PostgresStore, url: str, kinds: Kinds, postgres: Server, tmp_path: Path
) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE _store SET value = value + 1 WHERE name = 'schema'")
    for place, code in ((url, "store-older-tables"), (postgres.fresh(), "store-without-tables")):
        with pytest.raises(Refused) as refused:
            PostgresStore.open(Location(place), kinds, read_only=True)
        assert refused.value.issues[0].code == code


def test_two_that_open_an_empty_database_at_once_make_one_store(postgres: Server, kinds: Kinds) -> None:
    url = postgres.fresh()
    opened: list[PostgresStore] = []
    threads = [
        threading.Thread(target=lambda: opened.append(PostgresStore.open(Location(url), kinds))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.count("ward") for store in opened] == [0, 0, 0, 0]
    for store in opened:
        store.close()


def test_the_character_that_postgresql_cannot_hold_is_refused(store: PostgresStore) -> None:
    with pytest.raises(Refused) as refused:
        store.get("ward", "W\0")
    assert (refused.value.issues[0].code, refused.value.status) == ("text-with-null", 400)


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql://someone:{SECRET}@127.0.0.1:1/records",
        f"postgresql://someone:{SECRET}%zz@127.0.0.1:1/records",
        f"postgresql://someone:{SECRET}@127.0.0.1:notaport/records",
        f"postgresql://127.0.0.1:1/records?user=someone&password={SECRET}",
        f"postgresql://127.0.0.1:1/records?nonsense={SECRET}",
    ],
)
def test_no_password_is_ever_shown(
    text: str, kinds: Kinds, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    place = Location(text)
    with pytest.raises(Refused) as refused:
        PostgresStore.open(place, kinds)
    assert refused.value.issues[0].code == "store-unreachable"
    settings = Settings(database=text, database_replica=text)  # type: ignore[arg-type]
    shown = [str(refused.value), str(place), repr(place), repr(settings), str(settings.model_dump()), caplog.text]
    assert [each for each in (*shown, *capfd.readouterr()) if SECRET in each] == []
    assert settings.database.text == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("records.db", "records.db"),
        (":memory:", ":memory:"),
        ("postgresql://me:x@db.example.no:5433/epj?sslmode=require", "postgresql://db.example.no:5433/epj"),
        ("postgres://me@/epj?host=/run/pg", "postgresql:///epj"),
    ],
)
def test_a_location_is_shown_by_host_and_database(text: str, shown: str) -> None:
    assert str(Location(text)) == shown


def test_other_urls_are_no_location_and_a_replica_needs_a_server() -> None:
    with pytest.raises(ValueError, match="SQLite file"):
        Location(f"mysql://me:{SECRET}@host/x")
    with pytest.raises(ValueError, match="replica") as refused:
        Settings(database="records.db", database_replica="postgresql://host/x")  # type: ignore[arg-type]
    assert SECRET not in str(refused.value)


def test_what_is_read_comes_from_the_replica_and_what_is_written_goes_to_the_first(
    store: PostgresStore, url: str, postgres: Server, kinds: Kinds
) -> None:
    copy = postgres.fresh()
    second = PostgresStore.open(Location(copy), kinds)
    second.close()
    both = PostgresStore.open(Location(url), kinds, replica=Location(copy))
    assert (store.count("ward"), both.count("ward")) == (2, 0)
    with both.transaction() as writer:
        assert writer.existing(kinds["ward"], ["W"]) == {"W"}  # what a write reads, it reads where it writes
        merge(writer, both, "ward", wardID="N")
    assert (store.count("ward"), both.count("ward")) == (3, 0)
    both.close()


def test_a_list_of_keys_is_an_array_from_the_start(kinds: Kinds) -> None:
    """A cast from another type would be done anew for every row that is looked at."""
    key = build_schema(kinds, (), POSTGRES).tables["ward"].c._key
    assert POSTGRES.text_of(select(key).where(among(key)), "keys").endswith("= ANY($1::TEXT[])")


def test_the_tables_of_postgresql_have_a_fingerprint_of_their_own(kinds: Kinds) -> None:
    assert build_schema(kinds).fingerprint != build_schema(kinds, (), POSTGRES).fingerprint
