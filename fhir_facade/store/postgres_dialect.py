"""The SQL of PostgreSQL; loaded only where there is one, for it takes its time."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Text, bindparam
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from fhir_facade.store.dialects import Among, Dialect

_NUMBERED = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
POSTGRES = Dialect("postgresql", _NUMBERED, list, "EXPLAIN (GENERIC_PLAN)", True, "SELECT to_regclass(quote_ident($1))")


@compiles(Among, "postgresql")
def _in_array(element: Among, compiler: SQLCompiler, **options: Any) -> str:
    keys = bindparam(element.keys.key, type_=postgresql.ARRAY(Text))  # as its own type: a cast is done for every row
    return f"{compiler.process(element.column, **options)} = ANY({compiler.process(keys, **options)})"
