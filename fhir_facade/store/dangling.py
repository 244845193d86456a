"""References that point at no record: what a refused commit was refused for."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, Table, exists, select

from fhir_facade.mapping.columns import KEY
from fhir_facade.outcome import Issue
from fhir_facade.store.dialects import Connection
from fhir_facade.store.tables import Reference, Schema


def dangling(connection: Connection, schema: Schema) -> list[Issue]:
    """An issue for each field with such a reference; looks through all tables."""
    found = {
        (each.table.name, each.field, each.to)
        for each in schema.references
        if connection.execute(schema.text_of(_pointing_nowhere(each, schema.tables[each.to]))).fetchone()
    }
    return [Issue("reference-dangling", table, {"field": field, "to": to}) for table, field, to in sorted(found)]


def _pointing_nowhere(reference: Reference, target: Table) -> Select[Any]:
    """A row whose reference names a key that no record has."""
    column = reference.table.c[reference.column]
    other = target.alias()  # a record may point at one of its own kind
    known = exists(select(other.c[KEY]).where(other.c[KEY] == column))
    return select(column).where(column.is_not(None), ~known)
