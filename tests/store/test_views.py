"""A schema of another system is served where it lies, and what is found is what a loaded store would find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from fhir_facade.contracts import Clause, Query, Record, Sort
from fhir_facade.mapping.codecs import Unusable, oslo_time
from fhir_facade.mapping.columns import SearchColumn
from fhir_facade.mapping.kinds import key_text
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.mapping.search_values import date_range, folded
from fhir_facade.outcome import Refused
from fhir_facade.store.location import Location
from fhir_facade.store.migrating import upgrade
from fhir_facade.store.postgres import PostgresStore
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import generate
from fhir_facade.store.views import _Made, functions, view_statements
from tests.postgres_server import Server
from tests.store_sample import merge_many

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NOW = "2026-01-02T03:04:05.678Z"
PATIENTS = 40
TABLES = {
    "pasient": ("patients", "institusjonID pasientNr pasientGUID kjonn fodselsdato dodsdato fid typeID fodselsar"),
    "names": ("patient_names", "institusjonID pasientNr etternavn fornavn mellomnavn telefon"),
    "opphold": (
        "visits",
        "institusjonID pasientNr episodeID henvisningsperiodeID innDatoTid utDatoTid debitor omsorgsniva oppholdsdel",
    ),
    "tilstand": (
        "diagnoses",
        "institusjonID pasientNr episodeID tilstNr akse kodeNr Kodeverk kodeVersjon kodeVerdi",
    ),
}
ADDRESS = "nr bruk linje postnr poststed komNr".split()
SAID = {name: fields.split() for name, (_, fields) in TABLES.items()}


def reduced() -> list[tuple[str, Record]]:
    """Synthetic records with what the vendor's tables hold of them."""
    found = []
    for kind, record in generate(PATIENTS, 5):
        if kind in ("pasient", "opphold", "tilstand"):
            said = SAID[kind] + (SAID["names"][2:] if kind == "pasient" else [])
            less = {name: record.get(name) for name in said}
            for name in less.keys() & {"innDatoTid", "utDatoTid"}:  # the vendor's clocks have no offset
                less[name] = less[name] and less[name][:19]
            if kind == "pasient":
                less["adresser"] = [{name: item.get(name) for name in ADDRESS} for item in record.get("adresser") or ()]
            found.append((kind, less))
    return found


@pytest.fixture(scope="module")
def url(postgres: Server) -> str:
    """A database with the vendor's tables, filled, and the site's views."""
    url = postgres.fresh()
    with psycopg.connect(url) as connection:
        connection.execute((EXAMPLES / "vendor-tables.sql").read_text("utf-8"))
        for kind, record in reduced():
            for name in [kind, "names"] if kind == "pasient" else [kind]:
                values = [record[field] for field in SAID[name]] + ([] if name == "names" else [1, NOW])
                insert(connection, TABLES[name][0], values)
            for item in record.get("adresser", ()):
                insert(connection, "addresses", [record["institusjonID"], record["pasientNr"], *item.values()])
        connection.execute((EXAMPLES / "vendor-views.sql").read_text("utf-8"))
    return url


def insert(connection: psycopg.Connection[object], table: str, values: list[object]) -> None:
    places = ", ".join(["%s"] * len(values))
    connection.execute(f"INSERT INTO vendor.{table} VALUES ({places})", values)


@pytest.fixture(scope="module")
def served(url: str, mapping_set: MappingSet) -> Iterator[PostgresStore]:
    """The store of views over the vendor's tables, made as the documentation says."""
    statements = list(view_statements(Location(url), "epj", mapping_set.kinds, mapping_set.search.columns))
    with psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA fhir")
        connection.execute("SET search_path = fhir")
        for statement in statements:
            connection.execute(statement)
        connection.execute((EXAMPLES / "vendor-indexes.sql").read_text("utf-8"))
    store = PostgresStore.open(in_views(url), mapping_set.kinds, mapping_set.search.columns, read_only=True)
    yield store
    store.close()


def in_views(url: str) -> Location:
    return Location(f"{url}&options=-csearch_path%3Dfhir")


@pytest.fixture(scope="module")
def loaded(mapping_set: MappingSet) -> Iterator[SqliteStore]:
    """The same records, loaded; what refers to kinds that the vendor lacks is let be."""
    store = SqliteStore.open(":memory:", mapping_set.kinds, mapping_set.search.columns)
    store._connections._shared.execute("PRAGMA foreign_keys = OFF")
    with store.transaction() as writer:
        for kind in ("pasient", "opphold", "tilstand"):
            merge_many(writer, store, kind, [record for name, record in reduced() if name == kind], NOW)
    yield store
    store.close()


def test_every_record_and_every_computed_column_is_what_loading_would_have_stored(
    served: PostgresStore, loaded: SqliteStore
) -> None:
    for kind in loaded.schema.kinds:
        assert list(served.scan(kind.name)) == list(loaded.scan(kind.name)), kind.name
    assert served.count("tilstand") > PATIENTS
    assert served.digest() == loaded.digest()


@pytest.mark.parametrize(
    ("resource_type", "clauses", "sort"),
    [
        ("Patient", (), (Sort("family"), Sort("birthdate", True))),
        ("Patient", (Clause("family", ("b",)),), ()),
        ("Patient", (Clause("birthdate", ("lt1980",)),), (Sort("birthdate"),)),
        ("Patient", (Clause("address-city", ("oslo",)),), ()),
        ("Encounter", (Clause("date", ("ge2024-07",)),), (Sort("date", True),)),
        ("Encounter", (Clause("patient", ("Patient/800000343.P000036",)),), ()),
        ("Condition", (), ()),
    ],
)
def test_searches_find_the_same_in_the_same_order(
    served: PostgresStore,
    loaded: SqliteStore,
    mapping_set: MappingSet,
    resource_type: str,
    clauses: tuple[Clause, ...],
    sort: tuple[Sort, ...],
) -> None:
    query = Query(resource_type, clauses, sort, 15, total=True)
    seen = 0
    while True:
        one, other = served.find(query, mapping_set.search), loaded.find(query, mapping_set.search)
        assert (one.total, one.more) == (other.total, other.more)
        assert [match.position for match in one.matches] == [match.position for match in other.matches]
        assert [match.record for match in one.matches] == [match.record for match in other.matches]
        seen += len(one.matches)
        if not one.more or seen > 60:
            break
        query = Query(resource_type, clauses, sort, 15, one.matches[-1].position, total=True)
    assert seen


def test_indexes_on_the_vendors_tables_are_used(served: PostgresStore) -> None:
    asked = {
        ("patients", "fhir_key_idx"): "SELECT * FROM pasient WHERE _key = '800000408.P000001'",
        (
            "patient_names",
            "fhir_folded_idx",
        ): "SELECT * FROM pasient WHERE _folded_etternavn >= 'b' AND _folded_etternavn < 'c'",
        ("visits", "text_idx"): "SELECT * FROM opphold WHERE _to_pasient = '800000408.P000001'",
    }
    with served._connections.snapshot() as connection:
        for way in ("seqscan", "mergejoin", "hashjoin"):  # the tables are too small to want an index
            connection.execute(f"SET LOCAL enable_{way} = off")
        for (table, index), statement in asked.items():
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {statement}"))
            assert f"{table}_{index}" in plan, plan


def test_nothing_is_written_through_views(served: PostgresStore, url: str, mapping_set: MappingSet) -> None:
    for act in (
        lambda: PostgresStore.open(in_views(url), mapping_set.kinds, mapping_set.search.columns),
        lambda: upgrade(in_views(url), mapping_set.kinds, mapping_set.search.columns),
    ):
        with pytest.raises(Refused) as refused:
            act()
        assert refused.value.issues[0].code == "store-of-views"


TEXTS = ["Ås", "Ærø", "Ødegård", "Müller", "Éric", "Straße", "O'Neill", "ǅ", "", "日本", "A\u0308", "ÅÄÖ", "Łódź"]
MOMENTS = [
    "2024", "2024-02", "2024-02-29", "2023-02-29", "2024-12", "1999-12-31", "1943-06-01", "1900-01-01", "2024-03-31",
    "2024-03-31T01:59:59", "2024-03-31T02:30:00", "2024-03-31T03:00:00", "2024-10-27T02:30:00", "2024-10-27T03:00:00",
    "2024-10-27T02:30:00+01:00", "2024-07-30T10:45:00", "2024-07-30T10:45:00.123", "2024-01-01T00:00:00Z",
    "2024-07-30T10:45:00.5+02:00", "2024-13-01", "not a date", "1949-08-22", "1940-08-11", "1944-07-01T12:00:00", "1944-10-02T02:30:00", "1963-06-01", "1916-06-01",
]  # fmt: skip


def test_sql_computes_what_python_computes(served: PostgresStore, mapping_set: MappingSet) -> None:
    keys = [["a", "b"], ["a", None], [None, None], ["a.b", "c"], ["æ", "1"], ["x" * 70, "1"], ["a b"], ["", "x", ""]]
    with served._connections.snapshot() as connection:
        for text in TEXTS:
            assert connection.execute("SELECT fhir_folded($1)", (text,)).fetchone() == (folded(text),), text
        for text in MOMENTS:
            try:
                span = date_range(oslo_time(text) if "T" in text else text)
            except Unusable:
                span = None
            got = connection.execute("SELECT fhir_moment($1, 0), fhir_moment($1, 1)", (text,)).fetchone()
            assert got == (tuple(span) if span else (None, None)), text
        for parts in keys:
            assert connection.execute("SELECT fhir_key($1::text[])", (parts,)).fetchone() == (key_text(parts),), parts


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("ALTER VIEW wrong.pasient RENAME COLUMN etternavn TO etternavm", "did you mean 'etternavn'"),
        ("ALTER VIEW wrong.pasient RENAME COLUMN rad_versjon TO versjon", "'rad_versjon' is lacking"),
        ("ALTER VIEW wrong.pasient__adresser RENAME COLUMN parent_pasient_nr TO pasient_nr", "parent_pasient_nr"),
        ("ALTER VIEW wrong.opphold RENAME TO oppholdet", "did you mean 'opphold'"),
        ("DROP SCHEMA wrong CASCADE", "no view has the name"),
    ],
)
def test_a_source_that_does_not_fit_is_told_of(url: str, mapping_set: MappingSet, statement: str, told: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("DROP SCHEMA IF EXISTS wrong CASCADE")
        connection.execute((EXAMPLES / "vendor-views.sql").read_text("utf-8").replace("epj", "wrong"))
        connection.execute(statement)
    with pytest.raises(Refused, match=told):
        list(view_statements(Location(url), "wrong", mapping_set.kinds, mapping_set.search.columns))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        (SearchColumn("k", "", "_folded_t_1", "text", lambda item: None, (("t", "text"),), suffix=" Åsen's"), "Blå"),
        (SearchColumn("k", "", "_folded_t", "text", lambda item: None, (("t", "text"),)), "Blå"),
    ],
)
def test_text_is_folded_with_what_stands_behind_it(postgres: Server, column: SearchColumn, value: str) -> None:
    made = _Made({"t": "text"}, {}, {})
    with postgres.connect() as connection:
        connection.execute(functions())
        row = connection.execute(f"SELECT {made.search(column)} FROM (VALUES ('{value}')) AS source (t)").fetchone()
    assert row == (folded(value + column.suffix),)


@pytest.mark.parametrize(
    ("least", "value", "kept"), [(1, 0, False), (1, 1, True), (0, 2**31 - 1, True), (0, 2**31, False)]
)
def test_a_number_that_fhir_cannot_hold_is_not_found(
    postgres: Server, mapping_set: MappingSet, least: int, value: int, kept: bool
) -> None:
    column = SearchColumn("k", "", "_number_n", "integer", lambda item: None, (("n", "integer"),), least=least)
    whole = next(field for kind in mapping_set.kinds for field in kind.fields.values() if field.type == "integer")
    made = _Made({"n": "bigint"}, {"n": whole}, {})
    with postgres.connect() as connection:
        row = connection.execute(
            f"SELECT {made.search(column)} FROM (VALUES ({value}::bigint)) AS source (n)"
        ).fetchone()
    assert row == (value if kept else None,)
