"""The records and databases that are measured on: synthetic patients, the same every time."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import cache
from itertools import islice
from pathlib import Path

from fhir_facade.contracts import Record
from fhir_facade.mapping.columns import KEY, PARENT, link_column
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into
from fhir_facade.store.tables import build_schema

SEED = 20
CHANGED = "2026-01-01T00:00:00.000Z"


@cache
def mapping_set() -> MappingSet:
    """The mappings that the product ships."""
    return load_mapping_set(data_root("mappings"))


def complete_records(kind: str, count: int) -> list[Record]:
    """So many complete synthetic records of a kind, as a store returns them: every field is there, None when absent."""
    store = make_database(":memory:", count)
    records = list(islice(store.scan(kind), count))
    store.close()
    return records


def without_absent(record: Record) -> Record:
    """The same record with its absent fields left out, as one reads it from a file; so in the lists inside it."""
    return {
        name: [without_absent(item) for item in value] if isinstance(value, list) else value
        for name, value in record.items()
        if value is not None and value != []
    }


def database_of(patients: int, times: int = 1) -> Path:
    """A file with so many patients, each `times` over, made if it is not there; its name says what tables it has."""
    folder = Path(__file__).parent.parent / "build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    schema = build_schema(mapping_set().kinds, mapping_set().search.columns)
    path = folder / f"{patients}x{times}-{SEED}-{schema.fingerprint & 0xFFFFFFFF:08x}.db"
    if not path.exists():
        made = path.with_suffix(".part")
        made.unlink(missing_ok=True)
        if times == 1:
            make_database(made, patients).close()
        else:
            shutil.copy(database_of(patients), made)
            _multiply(made, database_of(patients), times)
        made.rename(path)
    return path


def _multiply(path: Path, once: Path, times: int) -> None:
    """Put every record there so many times, under other keys: all that loading would write, but for the loading."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -400000", "foreign_keys = OFF"):
            connection.execute(f"PRAGMA {setting}")
        connection.execute("ATTACH ? AS once", [str(once)])
        indexes = connection.execute(
            "SELECT name, sql FROM main.sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        )
        indexes = indexes.fetchall()
        for name, _ in indexes:  # made at the end, which takes less than to keep them
            connection.execute(f'DROP INDEX "{name}"')
        tables = [name for (name,) in connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
        connection.execute("BEGIN")
        for table in tables:
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
            keys = [name for name in columns if name in (KEY, PARENT) or name.startswith(link_column(""))]
            if not keys:
                continue
            named = ", ".join(f'"{name}"' for name in columns)
            others = ", ".join(f'? || "{name}"' if name in keys else f'"{name}"' for name in columns)
            copied = f'INSERT INTO "{table}" ({named}) SELECT {others} FROM once."{table}"'  # noqa: S608 our own names
            for copy in range(1, times):
                connection.execute(copied, [f"c{copy}-"] * len(keys))
        connection.execute("COMMIT")
        for _, sql in indexes:
            connection.execute(sql)
        connection.execute("PRAGMA journal_mode = WAL")  # as the product makes it


def keys_of(path: Path, kind: str) -> list[str]:
    """The keys of all records of a kind."""
    table = mapping_set().kinds[kind].table
    with closing(sqlite3.connect(path)) as connection:
        return [key for (key,) in connection.execute(f"SELECT _key FROM {table} ORDER BY _key")]  # noqa: S608 a name


def make_database(path: Path | str, patients: int) -> SqliteStore:
    """A store in a file with so many synthetic patients."""
    mappings = mapping_set()
    store = SqliteStore.open(path, mappings.kinds, mappings.search.columns)
    load_into(store, mappings.kinds, patients, SEED, CHANGED)
    return store
