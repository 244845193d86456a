"""Bring the tables of a PostgreSQL store to what the record kinds ask for now, in one transaction or not at all.

Alembic compares the tables that are there with ours (https://alembic.sqlalchemy.org/en/latest/api/autogenerate.html).
What would lose something that only the table knows is refused. What is computed, search columns and references, is
computed anew for every record, since what computes it may have changed too; versions stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg
from alembic.autogenerate import produce_migrations
from alembic.migration import MigrationContext
from alembic.operations import Operations, ops
from sqlalchemy import Connection as Engaged
from sqlalchemy import MetaData, Table, bindparam, create_engine, inspect, select, update
from sqlalchemy.pool import StaticPool

from fhir_facade.contracts import Record
from fhir_facade.mapping.columns import REMAINDER, FieldIndex, SearchColumn
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.dialects import number, parameter
from fhir_facade.store.location import Location
from fhir_facade.store.postgres_connections import (
    MAKING,
    PostgresConnection,
    connection_string,
    fingerprint_in,
    known_tables,
    make_tables,
    of_views,
    raise_for,
    try_to_reach,
)
from fhir_facade.store.postgres_dialect import POSTGRES
from fhir_facade.store.reading import Reader
from fhir_facade.store.tables import COUNTERS, FINGERPRINT, LISTS, KindTable, Schema, build_schema
from fhir_facade.store.writing import KindStatements, Statements

COMPUTED = ("_low_", "_high_", "_folded_", "_to_")
"""How the names of columns begin that are computed from others (mapping/search_columns.py, mapping/columns.py)."""
LOOKUP = "__by_"  # indexes that loading builds when it first asks by a field
PAGE = 500

Progress = Callable[[str, int], None]


class Step(NamedTuple):
    """One change of the tables; `loses` names the columns whose values would be lost with it."""

    text: str
    operation: ops.MigrateOperation
    loses: tuple[tuple[str, str], ...] = ()


class Upgraded(NamedTuple):
    """What was done, or would be, in words, and how many records were computed anew."""

    steps: tuple[str, ...]
    records: int


def upgrade(
    where: Location,
    kinds: Kinds,
    search_columns: Sequence[SearchColumn | FieldIndex] = (),
    *,
    dry_run: bool = False,
    on_progress: Progress | None = None,
) -> Upgraded:
    """Make the tables those of the kinds; Refused, with nothing changed, when something would be lost.

    An empty database gets all tables. A dry run changes nothing and tells the steps.
    """
    schema = build_schema(kinds, search_columns, POSTGRES)
    with _transaction(where) as (engaged, connection):
        connection.execute("SELECT pg_advisory_xact_lock($1)", (MAKING,))
        if not known_tables(connection, schema):
            if not dry_run:
                make_tables(connection, schema)
                connection.raw.commit()
            return Upgraded(tuple(f"table {name} is made" for name in schema.metadata.tables), 0)
        if of_views(connection):
            raise Refused(Issue("store-of-views", str(where)))
        if fingerprint_in(connection, schema) is None:
            raise Refused(Issue("upgrade-of-others", str(where)))
        if fingerprint_in(connection, schema) == schema.fingerprint:
            return Upgraded((), 0)
        connection.execute(f"LOCK TABLE {COUNTERS} IN EXCLUSIVE MODE")
        steps, context = _steps(engaged, schema)
        _refuse_losses(engaged, schema, steps)
        if dry_run:
            return Upgraded(tuple(step.text for step in steps), 0)
        for step in steps:
            Operations(context).invoke(step.operation)
        records = sum(_compute(connection, schema, shape, on_progress) for shape in schema.shapes.values())
        counters = schema.counters
        sealed = update(counters).values(value=number("value")).where(counters.c.name == parameter("called"))
        connection.execute(schema.text_of(sealed, "value", "called"), (schema.fingerprint, FINGERPRINT))
        connection.raw.commit()
    return Upgraded(tuple(step.text for step in steps), records)


@contextmanager
def _transaction(where: Location) -> Iterator[tuple[Engaged, PostgresConnection]]:
    """One connection as Alembic takes it and as the store does; rolled back unless it is committed inside."""
    try_to_reach(where)
    try:
        raw = psycopg.connect(connection_string(where, {"lock_timeout": "10000"}))
    except psycopg.Error as error:
        raise_for(error)
    engine = create_engine("postgresql+psycopg://", creator=lambda: raw, poolclass=StaticPool)
    try:
        with engine.connect() as engaged:
            yield engaged, _Beside(raw)
    except psycopg.errors.ForeignKeyViolation:
        raise Refused(Issue("upgrade-loses", str(where), {"what": "references that lead nowhere"})) from None
    finally:
        raw.close()


class _Beside(PostgresConnection):
    """The store's way of running text on a connection that SQLAlchemy uses too."""

    __slots__ = ()

    def execute(self, sql: str, parameters: Sequence[Any] | None = None, /) -> Any:
        try:
            return psycopg.RawCursor(self.raw).execute(sql, parameters)
        except psycopg.Error as error:
            raise_for(error)

    def executemany(self, sql: str, parameters: Any, /) -> None:
        try:
            psycopg.RawCursor(self.raw).executemany(sql, parameters)
        except psycopg.Error as error:
            raise_for(error)


def _steps(engaged: Engaged, schema: Schema) -> tuple[list[Step], MigrationContext]:
    """What differs between the tables that are there and ours, in the order in which it is to be done."""
    ours = {table.name for table in schema.metadata.tables.values()}

    def is_ours(name: str | None, kind: str, parents: Any) -> bool:
        if kind == "table":
            return name in ours
        return not (kind == "index" and name and LOOKUP in name)

    context = MigrationContext.configure(engaged, opts={"compare_type": True, "include_name": is_ours})
    found = produce_migrations(context, schema.metadata).upgrade_ops
    return ([] if found is None else [_step(each) for each in _flat(found.ops)]), context


def _flat(operations: Sequence[Any]) -> Iterator[Any]:
    for each in operations:
        if isinstance(each, ops.OpContainer):
            yield from _flat(each.ops)
        else:
            yield each


def _step(operation: Any) -> Step:
    match operation:
        case ops.CreateTableOp():
            return Step(f"table {operation.table_name} is made", operation)
        case ops.AddColumnOp():
            return Step(f"column {operation.table_name}.{operation.column.name} is added", operation)
        case ops.DropColumnOp():
            at = (operation.table_name, operation.column_name)
            is_computed = operation.column_name.startswith(COMPUTED)
            return Step(f"column {at[0]}.{at[1]} is dropped", operation, () if is_computed else (at,))
        case ops.CreateIndexOp():
            return Step(f"index {operation.index_name} is made", operation)
        case ops.DropIndexOp():
            return Step(f"index {operation.index_name} is dropped", operation)
        case ops.CreateForeignKeyOp():
            return Step(f"reference {operation.source_table} → {operation.referent_table} is made", operation)
        case ops.DropConstraintOp():
            return Step(f"a constraint of {operation.table_name} is dropped", operation)
        case ops.AlterColumnOp():
            at = (operation.table_name, operation.column_name)
            return Step(f"column {at[0]}.{at[1]} changes its type", operation, (at,))
    raise TypeError(f"no step for {type(operation).__name__}")


def _refuse_losses(engaged: Engaged, schema: Schema, steps: Sequence[Step]) -> None:
    """Refused when a column with values would go or change, or when items have another key than before."""
    inspector = inspect(engaged)
    there = set(inspector.get_table_names())
    lost = [
        f"{table}.{column}" for step in steps for table, column in step.loses if _has_values(engaged, table, column)
    ]
    for table in schema.metadata.tables.values():
        if table.name in there:
            old = inspector.get_pk_constraint(table.name)["constrained_columns"]
            if old != [column.name for column in table.primary_key.columns]:
                lost.append(f"{table.name} ({', '.join(old)})")
    if lost:
        raise Refused(Issue("upgrade-loses", "", {"what": lost}))


def _has_values(engaged: Engaged, table: str, column: str) -> bool:
    there = Table(table, MetaData(), autoload_with=engaged)
    found = select(there.c[column]).where(there.c[column].is_not(None)).limit(1)
    return engaged.execute(found).first() is not None


def _compute(connection: PostgresConnection, schema: Schema, shape: KindTable, on_progress: Progress | None) -> int:
    """Compute search columns, references and list bits of a kind's records; returns how many there are."""
    statements = Statements(schema)[shape.kind.name]
    reader = Reader(schema)
    every = sum(part.bit for part in shape.lists) + sum(part.bit for part in shape.embedded)
    _set_bits(connection, schema, shape, every)
    done, after = 0, ""
    while records := reader.page(connection, shape.kind.name, after, PAGE):
        after = records[-1]["$key"]
        _rewrite(connection, schema, statements, records)
        done += len(records)
        if on_progress:
            on_progress(shape.kind.name, done)
    return done


def _rewrite(
    connection: PostgresConnection, schema: Schema, statements: KindStatements, records: Sequence[Record]
) -> None:
    shape = statements.shape
    whole = []
    for record in records:
        complete = schema.kinds.complete(shape.kind, {name: record[name] for name in record if name[0] != "$"})
        if complete["$key"] != record["$key"]:
            raise Refused(Issue("upgrade-loses", "", {"what": f"the keys of {shape.kind.name}"}))
        whole.append(complete | {REMAINDER: record[REMAINDER]})
    connection.executemany(statements.update, [statements.updated(record, 0) for record in whole])
    for part in statements.lists:
        connection.executemany(part.clear, [(record["$key"],) for record in whole])
        rows = [row for record in whole for row in part.rows(record["$key"], record[part.name])]
        connection.executemany(part.insert, rows)


def _set_bits(connection: PostgresConnection, schema: Schema, shape: KindTable, bits: int) -> None:
    """Let every record of a kind be asked for every list: the bits of another version may mean other lists."""
    connection.execute(schema.text_of(update(shape.table).values({LISTS: bindparam("bits")}), "bits"), (bits,))
