"""The store in PostgreSQL: the same reading, searching and writing as in SQLite, in the other dialect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.columns import FieldIndex, SearchColumn
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.store.documents import DocumentReader
from fhir_facade.store.location import Location
from fhir_facade.store.postgres_connections import PostgresConnections
from fhir_facade.store.postgres_dialect import POSTGRES
from fhir_facade.store.records import Store
from fhir_facade.store.tables import Schema, build_schema


class PostgresStore(Store):
    """A store in a PostgreSQL database; make one with `open`."""

    remote = True

    def __init__(self, connections: PostgresConnections, schema: Schema, *, read_only: bool) -> None:
        chosen: Any = connections  # those for reading write nothing, not even many rows
        super().__init__(chosen, schema, read_only=read_only)
        self._reader = DocumentReader(schema)

    def get(self, kind: str, key: str) -> Record | None:
        """Return the whole record with its lists, or None."""
        with self._connections.one_read() as connection:
            return self._reader.one(connection, kind, key)

    def get_many(self, kind: str, keys: Sequence[str]) -> dict[str, Record]:
        """Return the whole records that have one of the keys, by key."""
        with self._connections.one_read() as connection:
            return self._reader.many(connection, kind, keys)

    def related(self, kind: str, link: str, keys: Sequence[str]) -> dict[str, list[Record]]:
        """Return the whole records that point with `link` at the keys, by that key."""
        with self._connections.one_read() as connection:
            return self._reader.related(connection, kind, link, keys)

    @classmethod
    def open(
        cls,
        where: Location,
        kinds: Kinds,
        search_columns: Sequence[SearchColumn | FieldIndex] = (),
        *,
        read_only: bool = False,
        replica: Location | None = None,
        pool: int = 8,
        timeout: float = 0,
    ) -> PostgresStore:
        """Open the store, made if the database is empty; Refused when it has other tables or cannot be reached.

        A read-only store must be there already. Reads go to the `replica`, where there is one, with at most `pool`
        connections. A statement that takes longer than `timeout` seconds is cancelled; 0 is no limit.
        """
        connections = PostgresConnections(where, replica=replica, size=pool, timeout=timeout)
        try:
            store = cls(connections, build_schema(kinds, search_columns, POSTGRES), read_only=read_only)
            connections.ensure(store.schema, read_only=read_only)
        except BaseException:
            connections.close()
            raise
        return store
