"""A FHIR lane over our mappings and a store of synthetic patients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into

BASE = "http://facade.test/fhir"
NOW = "2026-01-01T10:00:00.000Z"


@pytest.fixture(scope="session")
def mapping_set() -> MappingSet:
    return load_mapping_set(data_root("mappings"))


@pytest.fixture(scope="session")
def database(mapping_set: MappingSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the records of eight synthetic patients; not to be written to."""
    path = tmp_path_factory.mktemp("rest") / "synthetic.db"
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 8, 1, NOW)
    store.close()
    return path


@pytest.fixture(scope="session")
def lane_over(mapping_set: MappingSet) -> Callable[[Path], FhirLane]:
    """Give a database file, get a lane over it."""

    def build(path: Path) -> FhirLane:
        store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns, read_only=True)
        return FhirLane(Services(mapping_set, store, BASE, PageTokens(b"secret"), "1"))

    return build


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of a module that says BOTH_STORES ask a lane over SQLite, and one over PostgreSQL."""
    if getattr(metafunc.module, "BOTH_STORES", False) and "lane" in metafunc.fixturenames:
        metafunc.parametrize("lane", ["sqlite", "postgresql"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def lane(
    lane_over: Callable[[Path], FhirLane], database: Path, mapping_set: MappingSet, request: pytest.FixtureRequest
) -> FhirLane:
    """A lane over the synthetic records, not to be written to; in SQLite where nothing else is said."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return lane_over(database)
    url = request.getfixturevalue("postgres").fresh()
    store = open_store(url, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 8, 1, NOW)
    return FhirLane(Services(mapping_set, store, BASE, PageTokens(b"secret"), "1"))


@pytest.fixture
def ask(lane: FhirLane, ask_app: Callable[[Any], Callable[..., httpx.Response]]) -> Callable[..., httpx.Response]:
    return ask_app(lane)


@pytest.fixture(scope="session")
def ids(lane: FhirLane) -> list[str]:
    """The ids of all encounters in the order of the store."""
    store: Any = lane.services.store
    return [record["$key"] for record in store.scan("opphold")]
