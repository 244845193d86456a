"""The pages on the mappings hold every row and every field, and are the same every time."""

from __future__ import annotations

from fhir_facade.mapping.check import every
from fhir_facade.mapping.ir import Each
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root
from tools.mapping_docs import pages


def test_there_is_a_page_for_every_mapping_and_every_kind(mapping_set: MappingSet) -> None:
    expected = {f"{name}.md" for name in mapping_set.mappings}
    expected |= {f"record-{kind.name}.md" for kind in mapping_set.kinds}
    assert set(pages(mapping_set)) == expected | {"README.md"}


def test_every_row_stands_on_its_page_with_its_line(mapping_set: MappingSet) -> None:
    made = pages(mapping_set)
    for mapping in mapping_set.mappings.values():
        told = made[f"{mapping.name}.md"]
        rows = [rule for rule in every(mapping.rules.rules) if not rule.at.endswith(":1")]
        assert len(rows) > 3
        for rule in rows:
            assert f"`{rule.at}`" in told
            leaf = isinstance(rule, Each) and bool(rule.rules) and not rule.rules[0].path
            assert leaf or not rule.path or f"{rule.path[-1].name}" in told
        assert all(f"| `{name}` | {why} |" in told for name, why in mapping.rules.ignored.items())


def test_every_field_stands_on_its_page_with_its_meaning(mapping_set: MappingSet) -> None:
    made = pages(mapping_set)
    for kind in mapping_set.kinds:
        told = made[f"record-{kind.name}.md"]
        for fields in (kind.fields, *(child.fields for child in kind.children.values())):
            for field in fields.values():
                assert field.meaning
                assert f"| `{field.name}` | {field.type}" in told
                assert f"| {field.meaning} |" in told


def test_every_line_of_a_table_has_as_many_cells_as_its_head(mapping_set: MappingSet) -> None:
    for name, page in pages(mapping_set).items():
        for block in page.split("\n\n"):
            counts = {line.replace("\\|", "").count("|") for line in block.splitlines() if line.startswith("|")}
            assert len(counts) <= 1, f"{name}: {block[:80]}"


def test_the_pages_are_the_same_every_time(mapping_set: MappingSet) -> None:
    assert pages(mapping_set) == pages(load_mapping_set(data_root("mappings")))
