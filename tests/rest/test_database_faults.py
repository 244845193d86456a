"""What a client is told when the database is slow or gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.location import Location
from fhir_facade.store.postgres import PostgresStore
from fhir_facade.store.records import SqliteStore
from tests.postgres_server import Server

Ask = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def url(postgres: Server) -> str:
    return postgres.fresh()


@pytest.fixture(scope="module")
def hasty(mapping_set: MappingSet, url: str) -> Iterator[PostgresStore]:
    store = PostgresStore.open(Location(url), mapping_set.kinds, mapping_set.search.columns, timeout=0.3)
    yield store
    store.close()


@pytest.fixture
def ask(mapping_set: MappingSet, hasty: PostgresStore, ask_app: Callable[[Any], Ask]) -> Ask:
    return ask_app(FhirLane(Services(mapping_set, hasty, "http://facade.test/fhir", PageTokens(b"secret"), "1")))


def told(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]


def test_a_statement_that_takes_too_long_is_503_and_the_next_one_is_answered(ask: Ask, url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE pasient IN ACCESS EXCLUSIVE MODE")
        assert told(ask("GET", "/fhir/Patient?_count=1")) == (503, "store-too-slow")
        connection.rollback()
    assert ask("GET", "/fhir/Patient?_count=1").status_code == 200


def test_a_database_that_is_gone_is_503_until_it_is_back(ask: Ask, url: str, postgres: Server) -> None:
    name = url.split("?", maxsplit=1)[0].rpartition("/")[2]
    assert ask("GET", "/fhir/Patient?_count=1").status_code == 200
    with postgres.connect() as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        connection.execute(f"ALTER DATABASE {name} RENAME TO {name}_away")
        assert told(ask("GET", "/fhir/Patient?_count=1")) == (503, "store-unreachable")
        connection.execute(f"ALTER DATABASE {name}_away RENAME TO {name}")
    assert ask("GET", "/fhir/Patient?_count=1").status_code == 200


def test_a_search_of_a_file_that_takes_too_long_is_503_and_the_next_one_is_answered(
    mapping_set: MappingSet, database: Path, ask_app: Callable[[Any], Ask], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore.open(database, mapping_set.kinds, mapping_set.search.columns, read_only=True, timeout=0.05)
    ask = ask_app(FhirLane(Services(mapping_set, store, "http://facade.test/fhir", PageTokens(b"secret"), "1")))
    real: Any = store._reader.many

    def endless(connection: Any, *given: Any) -> Any:
        connection.execute("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")

    monkeypatch.setattr(store._reader, "many", endless)
    answer = ask("GET", "/fhir/Patient?_count=1")
    assert told(answer) == (503, "store-too-slow")
    assert answer.headers["retry-after"] == "1"
    monkeypatch.setattr(store._reader, "many", real)
    assert ask("GET", "/fhir/Patient?_count=1").status_code == 200
    store.close()
