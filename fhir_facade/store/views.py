"""Views over someone else's tables that look like ours, so that a database is served where it lies.

A site writes views with the names of our fields (the source); from them this makes views with the names and the
computed columns of our tables. Nothing is copied. The statements are printed for a person to read and to run.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, Table, Text, select

from fhir_facade.mapping.codecs import OSLO
from fhir_facade.mapping.columns import FieldIndex, SearchColumn, column_name, link_column
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.kinds import KEY_LENGTH, Field, Kinds, Link
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.location import Location
from fhir_facade.store.postgres_connections import PostgresConnections
from fhir_facade.store.postgres_dialect import POSTGRES
from fhir_facade.store.replies import REPLIES
from fhir_facade.store.tables import COUNTERS, FINGERPRINT, KindTable, ListTable, Schema, build_schema
from fhir_facade.store.versions import VERSIONS

Columns = Mapping[str, str]
"""The columns of a source and their types as information_schema names them."""

OF_PARENT = "parent_"  # how the columns of a list's source begin that hold fields of the record
MOMENTS = {
    "date": "to_char({}, 'YYYY-MM-DD')",
    "timestamp without time zone": "to_char({}, 'YYYY-MM-DD\"T\"HH24:MI:SS')",
    "timestamp with time zone": "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
}
FUNCTIONS = Path(__file__).with_name("views.sql")


def functions() -> str:
    """The functions that the views compute with."""
    text = FUNCTIONS.read_text("utf-8").replace(":key_length", str(KEY_LENGTH))
    rows = [
        f"        ('{begins}'::timestamp, '{ends}'::timestamp, interval '{ahead} seconds')"
        for begins, ends, ahead in _periods()
    ]
    return text.replace(":oslo", ",\n".join(rows))


def _periods() -> Iterator[tuple[str, str, int]]:
    """The spans of time (UTC, to 1970) in which Norwegian clocks were ahead by one number of seconds."""
    begins, hour = "-infinity", timedelta(hours=1)
    moment = datetime(1890, 1, 1, tzinfo=UTC)
    ahead = _ahead(moment)
    while moment.year < 1971:
        moment += hour
        if _ahead(moment) != ahead:
            change = moment - hour
            while _ahead(change) == ahead:
                change += timedelta(seconds=1)
            ends = f"{change:%Y-%m-%d %H:%M:%S}"
            yield begins, ends, ahead
            begins, ahead = ends, _ahead(moment)
    yield begins, "infinity", ahead


def _ahead(moment: datetime) -> int:
    offset = moment.astimezone(OSLO).utcoffset()
    return int(offset.total_seconds()) if offset else 0


def view_statements(
    where: Location, source: str, kinds: Kinds, search_columns: Sequence[SearchColumn | FieldIndex] = ()
) -> Iterator[str]:
    """Yield the statements that make the views over the schema `source` of a database.

    Refused when a source has a column that its kind does not know, or lacks one that is always needed. A kind or a
    list without a source gets an empty view.
    """
    schema = build_schema(kinds, search_columns, POSTGRES)
    there = _sources(where, source)
    known = {table.name for table in schema.metadata.tables.values()} - {COUNTERS, VERSIONS, REPLIES}
    faults = [_fault(f"{source}.{name}", name, sorted(known), "source") for name in sorted(there) if name not in known]
    if not there.keys() & known:
        faults.append(Issue("view-source", source, {"what": "no view has the name of one of our tables", "near": ""}))
    if faults:
        raise Refused(*faults)
    yield functions()
    for shape in schema.shapes.values():
        yield _kind_view(schema, shape, source, there)
        for part in shape.lists:
            yield _list_view(schema, shape, part, source, there)
    yield _empty(schema.replies)
    yield _empty(schema.versions)  # what other systems change has no journal of ours
    seal = f"SELECT '{FINGERPRINT}'::text COLLATE \"C\" AS name, {schema.fingerprint}::bigint AS value"
    yield f"CREATE OR REPLACE VIEW {COUNTERS} AS {seal};\n"


def _sources(where: Location, source: str) -> dict[str, dict[str, str]]:
    """The columns of every table and view of a schema."""
    names = MetaData(schema="information_schema")
    columns = Table(
        "columns",
        names,
        *(Column(name, Text) for name in ("table_schema", "table_name", "column_name", "data_type")),
        Column("ordinal_position", Integer),
    )
    chosen = select(columns.c.table_name, columns.c.column_name, columns.c.data_type)
    statement = chosen.where(columns.c.table_schema == source).order_by(columns.c.table_name)
    text = str(statement.compile(dialect=POSTGRES.compiler))
    found: dict[str, dict[str, str]] = {}
    connections = PostgresConnections(where, size=1)
    try:
        with connections.snapshot() as connection:
            for table, column, data_type in connection.execute(text, (source,)):
                found.setdefault(table, {})[column] = data_type
    finally:
        connections.close()
    return found


def _kind_view(schema: Schema, shape: KindTable, source: str, there: Mapping[str, Columns]) -> str:
    kind, table = shape.kind, shape.table
    columns = there.get(table.name)
    if columns is None:
        return _empty(table)
    _check(f"{source}.{table.name}", columns, kind.fields, [], [*kind.key, kind.version, kind.changed])
    made = _Made(columns, kind.fields, {})
    bits = sum(part.bit for part in shape.lists if part.table.name in there)
    bits += sum(part.bit for part in shape.embedded if schema.shapes[part.kind].table.name in there)
    values = {
        "_key": made.key(kind.key),
        **{column_name(name): made.field(name) for name in kind.fields},
        kind.version: f"{kind.version}::bigint",
        kind.changed: _cast(kind.changed, columns[kind.changed], "text"),
        **{link_column(name): made.link(link) for name, link in kind.links.items()},
        "_lists": f"{bits}::bigint",
        "_written": "0::bigint",
        **{column.name: made.search(column) for column in shape.search},
    }
    return _view(table, values, source)


def _list_view(schema: Schema, shape: KindTable, part: ListTable, source: str, there: Mapping[str, Columns]) -> str:
    child, table = part.child, part.table
    columns = there.get(table.name)
    if columns is None:
        return _empty(table)
    parents = {OF_PARENT + column_name(name): name for name in shape.kind.fields}
    needed = [*child.key, *(OF_PARENT + column_name(name) for name in shape.kind.key)]
    _check(f"{source}.{table.name}", columns, child.fields, list(parents), needed)
    made = _Made(columns, child.fields, shape.kind.fields)
    values = {
        "_parent": made.key(shape.kind.key, of_parent=True),
        **{column_name(name): made.field(name) for name in child.fields},
        **{link_column(name): made.link(link) for name, link in child.links.items()},
        **{column.name: made.search(column) for column in part.search},
    }
    return _view(table, values, source)


class _Made:
    """Expressions over the columns of one source."""

    def __init__(self, columns: Columns, fields: Mapping[str, Field], of_parent: Mapping[str, Field]) -> None:
        self.columns, self.fields, self.parents = columns, fields, of_parent

    def field(self, name: str) -> str:
        """A field as our column holds it; NULL where the source has no such column."""
        column = column_name(name)
        spec = self.fields.get(name)  # none for the instant of change, where a kind does not list it
        kind = "bigint" if spec is not None and spec.type == "integer" else "text"
        return _cast(column, self.columns[column], kind) if column in self.columns else f"NULL::{kind}"

    def key(self, names: Sequence[str], *, of_parent: bool = False) -> str:
        parts = (self._part(name, of_parent=of_parent) for name in names)
        return f"fhir_key(ARRAY[{', '.join(parts)}])"

    def link(self, link: Link) -> str:
        """The key that a reference points at; NULL when its last field is."""
        last = self._part(link.fields[-1])
        return f"CASE WHEN {last} IS NOT NULL THEN {self.key(link.fields)} END"

    def search(self, column: SearchColumn) -> str:
        read = [self.field(name) for name, _ in column.reads]
        first = read[0] if len(read) == 1 else f"coalesce({', '.join(read)})"
        if column.name.startswith("_folded_"):
            suffix = column.suffix.replace("'", "''")
            return f"fhir_folded({first} || '{suffix}')" if suffix else f"fhir_folded({first})"
        if column.name.startswith("_number_"):
            return f"CASE WHEN {first} BETWEEN {column.least} AND {2**31 - 1} THEN {first} END"
        return f"fhir_moment({first}, {int(column.name.startswith('_high_'))})"

    def _part(self, name: str, *, of_parent: bool = False) -> str:
        """A part of a key as text: of the row itself, of its record where the row has no such field."""
        if name in self.fields and not of_parent:
            value = self.field(name)
            return value if value.endswith("::text") or value.startswith("to_char") else f"({value})::text"
        column = OF_PARENT + column_name(name)
        return _cast(column, self.columns[column], "text") if column in self.columns else "NULL::text"


def _cast(column: str, data_type: str, wanted: str) -> str:
    """A column as text or as a whole number; days and clocks in the form that records have."""
    if wanted == "text" and data_type in MOMENTS:
        return MOMENTS[data_type].format(column)
    return f"{column}::{wanted}"


def _view(table: Table, values: Mapping[str, str], source: str) -> str:
    lines = [f"  {_sorted(column, values.get(column.name, 'NULL'))} AS {column.name}" for column in table.columns]
    return f"CREATE OR REPLACE VIEW {table.name} AS SELECT\n" + ",\n".join(lines) + f"\nFROM {source}.{table.name};\n"


def _empty(table: Table) -> str:
    lines = [f"{_sorted(column, 'NULL')} AS {column.name}" for column in table.columns]
    return f"CREATE OR REPLACE VIEW {table.name} AS SELECT {', '.join(lines)} WHERE false;\n"


def _sorted(column: Column[object], value: str) -> str:
    """The value with the type of our column, and its order where it is text."""
    return f"({value})::bigint" if isinstance(column.type, Integer) else f'({value})::text COLLATE "C"'


def _check(
    at: str, columns: Columns, fields: Mapping[str, Field], besides: Sequence[str], needed: Sequence[str]
) -> None:
    """Refused when a source has a column that is no field, or lacks one of those that are needed."""
    allowed = [*map(column_name, fields), *besides]
    required = [column_name(name) for name in needed]
    faults = [
        _fault(at, name, [*allowed, *required], "column") for name in columns if name not in {*allowed, *required}
    ]
    faults += [
        Issue("view-source", at, {"what": f"the column '{name}' is lacking", "near": ""})
        for name in required
        if name not in columns
    ]
    if faults:
        raise Refused(*faults)


def _fault(at: str, name: str, allowed: Sequence[str], what: str) -> Issue:
    return Issue("view-source", at, {"what": f"no {what} is called '{name}'", "near": nearest(name, allowed)})
