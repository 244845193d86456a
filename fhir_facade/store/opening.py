"""Open the store that a location names: a SQLite file, or a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fhir_facade.mapping.columns import FieldIndex, SearchColumn
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.store.location import Location, location
from fhir_facade.store.records import SqliteStore, Store


def open_store(
    where: Location | Path | str,
    kinds: Kinds,
    search_columns: Sequence[SearchColumn | FieldIndex] = (),
    *,
    read_only: bool = False,
    replica: Location | None = None,
    pool: int = 8,
    timeout: float = 0,
) -> Store:
    """Open the store, made if there is none; Refused when what is there is no store of these kinds.

    A read-only store must be there already. `replica` and `pool` are of `PostgresStore.open`; a SQLite file has no use
    for them. What takes longer than `timeout` seconds is given up; 0 is no limit.
    """
    place = location(where)
    if not place.is_server:
        return SqliteStore.open(place.text, kinds, search_columns, read_only=read_only, timeout=timeout)
    from fhir_facade.store.postgres import PostgresStore  # the driver takes a while to load

    return PostgresStore.open(
        place, kinds, search_columns, read_only=read_only, replica=replica, pool=pool, timeout=timeout
    )
