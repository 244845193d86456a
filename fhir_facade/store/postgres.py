"""The store in PostgreSQL: the same reading, searching and writing as in SQLite, in the other dialect."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_facade.mapping.columns import FieldIndex, SearchColumn
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.store.dialects import POSTGRES
from fhir_facade.store.location import Location
from fhir_facade.store.postgres_connections import PostgresConnections
from fhir_facade.store.records import Store
from fhir_facade.store.tables import build_schema


class PostgresStore(Store):
    """A store in a PostgreSQL database; make one with `open`."""

    remote = True

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
