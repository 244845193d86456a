"""The table of a mapping: every rule, every field, and prints that a browser and a spreadsheet may open."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner

from fhir_facade.cli import app
from fhir_facade.definitions import definitions
from fhir_facade.mapping.check import every, used_fields
from fhir_facade.mapping.docs_prints import COLUMNS, FORMULA, PRINTS, as_csv, as_html, as_json, as_text
from fhir_facade.mapping.ir import Coded, Custom, Each, Step
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
from fhir_facade.mapping.to_docs import MappingTable, Row, mapping_table


@pytest.fixture(scope="module")
def tables(mapping_set: MappingSet) -> dict[str, MappingTable]:
    return {name: mapping_table(mapping, mapping_set.kinds) for name, mapping in mapping_set.mappings.items()}


def row_of(table: MappingTable, path: str, field: str = "") -> Row:
    (found,) = [row for row in table.rows if row.path == path and (not field or row.fields.split(" | ")[0] == field)]
    return found


def test_there_is_one_row_for_every_rule_in_file_order(
    tables: dict[str, MappingTable], mapping_set: MappingSet
) -> None:
    for name, mapping in mapping_set.mappings.items():
        rules = [rule for rule in every(mapping.rules.rules) if rule.path]  # a leaf stands in the row of its list
        assert [row.at for row in tables[name].rows] == [rule.at for rule in rules]


def test_every_row_is_whole(tables: dict[str, MappingTable]) -> None:
    for table in tables.values():
        for row in table.rows:
            assert row.path
            assert row.datatype, row
            assert row.kind, row
            assert row.at.startswith(f"{table.file}:"), row
            assert row.direction in ("both", "to-fhir", "from-fhir"), row
            assert row.invertible.startswith(("yes", "no")), row
            assert row.fields or row.list or row.kind in ("constant", "derived"), row
            for part in row.datatype.split(" | "):
                assert definitions().is_type(part.partition("(")[0]), row


def test_what_reads_back_and_what_does_not(tables: dict[str, MappingTable]) -> None:
    stay, patient = tables["opphold-encounter"], tables["pasient-patient"]
    assert row_of(stay, "period.start").invertible == "yes"
    assert row_of(stay, "status").direction == "to-fhir"
    assert row_of(stay, "diagnosis.rank").invertible == "no: the items are records of their own"
    assert row_of(stay, "priority").invertible == "yes: by the original code beside"
    assert row_of(stay, "priority").code_map == "innmatehast-actpriority|1.0.0"
    assert row_of(stay, "meta.versionId").invertible == "no: the store keeps it"
    assert row_of(patient, "birthDate").fields == "fodselsdato | fodselsar"
    assert row_of(patient, "birthDate").invertible == "yes: the form of the value says which field"
    assert row_of(patient, "identifier", "fid").invertible == "yes: the system says which"
    assert row_of(patient, "meta.security").guards == "adressesperre is 1"


def test_a_row_of_a_list_has_its_path_and_its_list(tables: dict[str, MappingTable]) -> None:
    row = row_of(tables["opphold-encounter"], "participant.extension(helsepersonell).extension(utforende).valueCoding")
    assert (row.list, row.fields, row.datatype) == ("helsepersonell", "polUtforende", "Coding")
    assert row.codes.startswith("8401 ")
    assert row.meaning


def test_rows_that_our_mappings_do_not_have(mapping_set: MappingSet) -> None:
    mapping = mapping_set.mappings["opphold-encounter"]
    rule = next(rule for rule in mapping.rules.rules if isinstance(rule, Coded) and rule.code_map)
    clashing = replace(rule, original="", code_map=replace(rule.code_map, back={}))
    pair: Any = None
    custom = Custom((Step("length", many=False),), (), "opphold.encounter.yaml:9", "innDatoTid", pair, "own:pair")
    rules = (
        replace(rule, original="type"), clashing, replace(rule, only="to-fhir"), custom,
        replace(rule, absent="unknown", default="1"),
    )  # fmt: skip
    table = mapping_table(with_rules(mapping, rules), mapping_set.kinds)
    assert [row.invertible for row in table.rows] == [
        "yes: by the original code at type", "no: codes of the code map share a target", "no: written only",
        "yes: by the Python pair", table.rows[4].invertible,
    ]  # fmt: skip
    assert table.rows[2].direction == "to-fhir"
    assert (table.rows[3].kind, table.rows[3].datatype) == ("python own:pair", "Duration")
    assert table.rows[4].missing == "absent: unknown, default: 1"


def with_rules(mapping: CompiledMapping, rules: Any) -> CompiledMapping:
    return replace(mapping, rules=replace(mapping.rules, rules=rules))


def test_every_field_of_the_record_goes_somewhere_or_has_a_reason(
    tables: dict[str, MappingTable], mapping_set: MappingSet
) -> None:
    for name, mapping in mapping_set.mappings.items():
        told = {each.field: each for each in tables[name].coverage}
        own = [f"{child.name}.{field}" for child in mapping.kind.own_lists() for field in child.fields]
        assert set(told) == {*mapping.kind.fields, *mapping.kind.children, *own}
        for each in told.values():
            assert bool(each.paths) != bool(each.ignored), each
        used, lists = used_fields(mapping.rules, mapping.kind)
        mapped = {field for field, each in told.items() if each.paths}
        assert used & mapping.kind.fields.keys() <= mapped
        assert {f"{child}.{field}" for child, fields in lists.items() for field in fields} & told.keys() <= mapped


class Tags(HTMLParser):
    """The tags and attributes of a page, and whether each is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.seen = list[str](), list[tuple[str, dict[str, str | None]]]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_loads_nothing_and_runs_nothing(tables: dict[str, MappingTable]) -> None:
    for given in (*([table] for table in tables.values()), list(tables.values())):
        tags = Tags()
        tags.feed(as_html(given).decode())
        assert tags.open == []
        assert {tag for tag, _ in tags.seen} <= {
            "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td",
        }  # fmt: skip
        assert not any(name.startswith("on") or name in ("src", "href") for _, attrs in tags.seen for name in attrs)


def evil(text: str, table: MappingTable) -> MappingTable:
    row = replace(table.rows[0], meaning=text, codes=text, guards=text, fields=text)
    cover = replace(table.coverage[0], paths=(), ignored=text, field=text, meaning=text)
    return replace(table, mapping=text, rows=(row,), coverage=(cover,))


def test_words_from_mapping_files_are_no_markup(tables: dict[str, MappingTable]) -> None:
    page = as_html([evil("<script>alert('x')</script>", tables["pasient-patient"])]).decode()
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("start", FORMULA)
def test_no_cell_is_a_formula(start: str, tables: dict[str, MappingTable]) -> None:
    text = f'{start}HYPERLINK("http://x")'
    lines = list(csv.reader(io.StringIO(as_csv([evil(text, tables["pasient-patient"])]).decode(), newline="")))
    cells = [cell for line in lines[1:] for cell in line]
    assert f"'{text}" in cells
    assert not any(cell.startswith(FORMULA) for cell in cells)


def test_csv_has_every_row_and_every_field_that_is_not_mapped(tables: dict[str, MappingTable]) -> None:
    content = as_csv(list(tables.values())).decode("utf-8")
    lines = list(csv.DictReader(io.StringIO(content, newline="")))
    assert list(lines[0]) == ["mapping", *COLUMNS]
    assert len(lines) == sum(len(t.rows) + sum(not each.paths for each in t.coverage) for t in tables.values())
    ignored = next(line for line in lines if line["mapping"] == "opphold-encounter" and line["kind"] == "not mapped")
    assert (ignored["fields"], ignored["path"]) == ("prosedyrer", "")
    assert "Procedure" in ignored["guards"]
    assert content.count("\r\n") == content.count("\n")


def test_json_is_all_there_is(tables: dict[str, MappingTable]) -> None:
    one = orjson.loads(as_json([tables["pasient-patient"]]))
    assert (one["mapping"], one["version"], one["resource"]) == ("pasient-patient", "1.0.0", "Patient")
    assert len(one["rows"]) == len(tables["pasient-patient"].rows)
    assert set(one["rows"][0]) == set(COLUMNS)
    assert len(orjson.loads(as_json(list(tables.values())))) == len(tables)


def test_text_lines_up_and_ends_with_what_is_not_mapped(tables: dict[str, MappingTable]) -> None:
    text = as_text([tables["opphold-encounter"]]).decode()
    lines = text.splitlines()
    assert lines[0].startswith("opphold as Encounter: opphold-encounter")
    start = lines[2].index("Record field")
    assert next(line for line in lines if line.startswith("period.start"))[start:].startswith("innDatoTid")
    assert "prosedyrer" in lines[-1]
    assert any("helsepersonell.rolle" in line for line in lines)


# ---- the command


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["mapping", "table", *map(str, arguments)])


def test_the_command_prints_one_mapping_or_all_in_every_form(tables: dict[str, MappingTable], tmp_path: Any) -> None:
    for form, (_, prints) in PRINTS.items():
        for names in (["pasient-patient"], []):
            wanted = prints([tables[name] for name in names or tables])
            assert run(*names, "--format", form).stdout_bytes == wanted
    file = tmp_path / "table.html"
    assert run("pasient-patient", "--format", "html", "--output", file).exit_code == 0
    assert file.read_bytes() == as_html([tables["pasient-patient"]])


def test_the_command_names_the_nearest_mapping_and_explains_itself() -> None:
    told = run("pasient-patien")
    assert (told.exit_code, "did you mean 'pasient-patient'?" in told.stderr) == (2, True)
    assert "fhir-facade mapping table" in run("--help").stdout
    assert run("--format", "xml").exit_code == 2


def test_lists_that_show_only_some_items_say_so(tables: dict[str, MappingTable], mapping_set: MappingSet) -> None:
    kept = [
        (name, rule) for name, each in mapping_set.mappings.items()
        for rule in each.rules.rules if isinstance(rule, Each) and (rule.keep or rule.first)
    ]  # fmt: skip
    assert kept
    for name, rule in kept:
        (row,) = [row for row in tables[name].rows if row.at == rule.at]
        assert all(test.field in row.guards for test in rule.keep)
        assert ("only the first item" in row.guards) == rule.first
