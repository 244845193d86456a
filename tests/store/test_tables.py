"""The tables are what the record kinds say, with an index for every question that is asked of them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import Integer, Text, select

from fhir_facade.mapping.columns import KEY, PARENT, SearchColumn, column_name, link_column
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.store.dialects import parameter
from fhir_facade.store.tables import Schema, build_schema, text_of
from tests.store_sample import folded, sample_kinds

RECORDS = Path(__file__).parents[2] / "mappings" / "records"


@pytest.fixture(scope="module")
def real() -> Schema:
    return build_schema(load_kinds(RECORDS))


@pytest.fixture
def small(tmp_path: Path) -> Kinds:
    return sample_kinds(tmp_path)


def database(schema: Schema) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    for statement in schema.ddl:
        connection.execute(statement)
    return connection


def test_every_field_and_link_of_every_kind_has_a_column(real: Schema) -> None:
    for kind in real.kinds:
        lists = [(f"{kind.name}/{child.name}", child.fields, child.links) for child in kind.own_lists()]
        for name, fields, links in [(kind.name, kind.fields, kind.links), *lists]:
            columns = real.tables[name].c
            for field in fields.values():
                wanted = Integer if field.type == "integer" else Text
                assert isinstance(columns[column_name(field.name)].type, wanted), (name, field.name)
            assert all(link_column(link) in columns for link in links)


def test_embedded_records_have_no_table_of_their_own(real: Schema) -> None:
    assert "opphold/tilstander" not in real.tables
    assert {part.name for part in real.shapes["opphold"].embedded} == {"tilstander", "prosedyrer"}


def test_sqlite_takes_the_tables_and_finds_all_foreign_keys_in_order(real: Schema) -> None:
    connection = database(real)
    connection.execute("PRAGMA foreign_keys=ON")
    for table in real.metadata.tables.values():
        assert connection.execute("SELECT count(*) FROM pragma_table_info(?)", (table.name,)).fetchone()[0]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_every_reference_is_indexed(real: Schema) -> None:
    for kind in real.kinds:
        owners = [(kind.name, kind.links), *((f"{kind.name}/{c.name}", c.links) for c in kind.own_lists())]
        for name, links in owners:
            firsts = {next(iter(index.columns)).name for index in real.tables[name].indexes}
            assert {link_column(link) for link in links} <= firsts, name


def test_search_columns_are_indexed_together_with_the_key(small: Kinds) -> None:
    moment = SearchColumn("stay", "", "s_when", "integer", lambda row: 1)
    schema = build_schema(small, [folded("word", "stay"), moment, folded("said", "stay", "notes")])
    for name, column, key in (
        ("stay", "s_word", KEY),
        ("stay", "s_when", KEY),
        ("stay/notes", "s_said", PARENT),
    ):
        indexes = [[each.name for each in index.columns] for index in schema.tables[name].indexes]
        assert [column, key] in indexes
    assert isinstance(schema.tables["stay"].c.s_when.type, Integer)


def test_what_is_contained_goes_with_its_owner_and_other_references_hold(small: Kinds) -> None:
    connection = database(build_schema(small))
    rows = connection.execute("SELECT * FROM pragma_foreign_key_list('stay')")
    assert {(row[3], row[2]): row[6] for row in rows} == {
        ("_to_person", "person"): "CASCADE",
        ("_to_ward", "ward"): "NO ACTION",
    }
    lists = connection.execute("SELECT * FROM pragma_foreign_key_list('stay__moves')")
    assert {(row[3], row[2]): row[6] for row in lists} == {
        (PARENT, "stay"): "CASCADE",
        ("_to_ward", "ward"): "NO ACTION",  # and none to doctor: NPR-melding has none
    }


def test_items_are_keyed_by_their_record_and_their_own_key(small: Kinds) -> None:
    table = build_schema(small).tables["stay/notes"]
    assert [column.name for column in table.primary_key.columns] == [PARENT, "topic", "nr"]


def test_a_search_column_of_no_table_is_told_of(small: Kinds) -> None:
    with pytest.raises(ValueError, match="nothing"):
        build_schema(small, [folded("word", "nothing")])


def test_other_tables_have_another_fingerprint(small: Kinds) -> None:
    plain = build_schema(small).fingerprint
    assert plain == build_schema(small).fingerprint
    assert plain != build_schema(small, [folded("word", "stay")]).fingerprint


def test_parameters_in_another_order_are_refused(small: Kinds) -> None:
    table = build_schema(small).tables["ward"]
    statement = select(table).where(table.c.name == parameter("a"), table.c.ward_id == parameter("b"))
    assert text_of(statement, "a", "b").count("?") == 2
    with pytest.raises(ValueError, match="parameters"):
        text_of(statement, "b", "a")
