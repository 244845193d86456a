"""The catalogue: every system in every form, editions by version and by day, value sets, and what is shipped."""

from __future__ import annotations

import re
from collections import Counter
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.definitions import definitions
from fhir_facade.resources import data_root
from fhir_facade.terminology import shipped
from fhir_facade.terminology.catalogue import Catalogue, newness
from fhir_facade.terminology.code_table import CodeTable, code_table
from fhir_facade.terminology.concepts import CodeSystem, Concept, Designation, Edition
from fhir_facade.terminology.uris import variants

CATALOGUE = Catalogue()
LIST = "urn:oid:2.16.578.1.12.4.1.1."
ICD10 = f"{LIST}7110"
WORDS = st.text(alphabet="abcæøåéÆØÅ .-/01", max_size=12)


def edition(version: str, valid_from: str | None = None, valid_to: str | None = None, url: str = ICD10) -> CodeTable:
    known = Edition(url, version, "ICD10", "ICD-10", True, 1, valid_from=valid_from, valid_to=valid_to)
    return code_table(known, [Concept("F05", f"Delirium {version}")])


def versions(found: list[CodeSystem]) -> list[str]:
    return [each.edition.version for each in found]


def test_the_newest_edition_comes_first_and_the_shipped_one_last() -> None:
    found = Catalogue([edition("9"), edition("2025", "2025"), edition("2026", "2026"), edition("10")])
    assert versions(found.editions(ICD10)) == ["2026", "2025", "10", "9", ""]
    assert next(each for each in found.code_systems() if each.edition.url == ICD10).edition.version == "2026"


def test_an_edition_is_chosen_by_its_version_or_by_a_day() -> None:
    found = Catalogue([edition("2025", "2025", "2025"), edition("2026", "2026", "2026")])

    def chosen(version: str | None = None, on: date | None = None) -> str | None:
        one = found.code_system("http://hl7.org/fhir/sid/icd-10-no", version, on)
        return None if one is None else one.edition.version

    assert chosen() == "2026"
    assert chosen("2025") == "2025"
    assert chosen("2025", date(2026, 1, 1)) == "2025"
    assert chosen("2024") is None
    assert chosen(on=date(2025, 12, 31)) == "2025"
    assert chosen(on=date(2026, 1, 1)) == "2026"
    assert chosen(on=date(2027, 1, 1)) == "", "the shipped sample has no period"


def test_where_no_edition_holds_there_is_none() -> None:
    found = Catalogue([edition("2025", "2025", "2025", url="http://example.org/cs")])
    assert found.code_system("http://example.org/cs", on=date(2024, 12, 31)) is None
    assert found.code_system("http://example.org/other") is None
    assert found.editions("http://example.org/other") == []


def test_an_imported_system_answers_to_its_other_names() -> None:
    known = Edition("http://example.org/cs", "1", "X", "X", True, 0, identifiers=("urn:oid:1.2.3",))
    found = Catalogue([code_table(known, [])])
    assert versions(found.editions("urn:oid:1.2.3")) == ["1"]
    answered = found.value_set("http://fhir-facade.no/fhir/ValueSet/all-cs")
    assert answered == found.value_set("urn:oid:1.2.3") == found.value_set("http://example.org/cs")
    assert answered in list(found.value_sets())


@pytest.mark.parametrize("url", shipped.systems())
def test_a_shipped_system_is_found_by_every_form_of_its_uri(url: str) -> None:
    found = CATALOGUE.code_system(url)
    assert found is not None and found.edition.url == url
    for form in variants(url):
        assert CATALOGUE.code_system(form) is found
        answered = CATALOGUE.value_set(form)
        assert answered is not None and answered.includes[0].system == url
    assert found.edition.count == len(found.page(0, 10_000)), url


def test_ids_and_urls_are_told_apart() -> None:
    for urls in (
        [each.edition.url for each in CATALOGUE.code_systems()],
        [each.url for each in CATALOGUE.value_sets()],
    ):
        assert not [url for url, times in Counter(urls).items() if times > 1]
        ids = Counter(map(shipped.resource_id, urls))
        assert not [name for name, times in ids.items() if times > 1]
        assert all(re.fullmatch(r"[A-Za-z0-9.-]{1,64}", name) for name in ids)


def test_every_value_set_of_r4_is_here_and_its_codes_are_found() -> None:
    for url in definitions().value_sets:
        found = CATALOGUE.value_set(url)
        assert found is not None
        told = {(part.system, code) for part in found.includes for code in part.codes or ()}
        assert told == {(system.partition("|")[0], code) for system, code in definitions().codes(url) or ()}
        for system, code in told:
            one = CATALOGUE.code_system(system)
            assert one is not None and one.find(code) is not None, (url, system, code)


def test_a_version_of_a_value_set_is_heeded() -> None:
    url = "http://hl7.org/fhir/ValueSet/administrative-gender"
    assert CATALOGUE.value_set(f"{url}|4.0.1") is CATALOGUE.value_set(url)
    assert CATALOGUE.value_set(f"{url}|3.0.2") is None
    assert CATALOGUE.value_set("http://example.org/none") is None


def test_the_systems_of_r4_are_whole_only_where_that_is_known() -> None:
    def whole(url: str) -> bool:
        found = CATALOGUE.code_system(url)
        assert found is not None
        return found.edition.complete

    assert whole("http://hl7.org/fhir/administrative-gender")
    assert whole("http://terminology.hl7.org/CodeSystem/observation-category")
    for part in ("http://snomed.info/sct", "http://unitsofmeasure.org", "http://hl7.org/fhir/restful-interaction"):
        assert not whole(part)
    assert not whole("http://terminology.hl7.org/CodeSystem/v3-ActCode")


def test_every_constant_and_every_target_of_the_mappings_is_a_code_of_the_catalogue() -> None:
    """Read from the text of the mappings: the terminology knows nothing of their language."""
    folder = data_root("mappings")
    named = dict(re.findall(r'^  ([\w-]+): \{uri: "([^"]+)"', (folder / "systems.yaml").read_text("utf-8"), re.M))
    constants = [
        pair
        for path in sorted(folder.glob("*.yaml"))
        for pair in re.findall(r"const: \[([\w-]+), ([\w-]+)\]", path.read_text("utf-8"))
    ]
    assert len(constants) > 20
    for system, code in constants:
        found = CATALOGUE.code_system(named[system])
        assert found is not None and found.find(code) is not None, (system, code)


# ---- the table in memory


def table(*concepts: Concept, dotless: bool = False, case_sensitive: bool = True) -> CodeTable:
    known = Edition("urn:x", "", "X", "X", True, len(concepts), case_sensitive=case_sensitive)
    return code_table(known, concepts, dotless=dotless)


def test_codes_are_found_with_and_without_full_stop_and_case_only_where_the_system_says_so() -> None:
    concepts = (Concept("F05", "a"), Concept("F05.0", "b"))
    assert table(*concepts).find("F050") is None
    assert table(*concepts, dotless=True).find("F050") == concepts[1]
    assert table(*concepts, dotless=True).find("f050") is None
    assert table(*concepts, dotless=True, case_sensitive=False).find("f05.0") == concepts[1]


def test_a_search_ranks_whole_texts_before_beginnings_before_words() -> None:
    texts = ["Rus og psykiatri", "Barne- og ungdomspsykiatri", "Psykiatri", "Psykiatrisk poliklinikk"]
    found = table(*(Concept(str(place), text) for place, text in enumerate(texts)))
    assert [each.display for each in found.search("psykiatri", 0, 10)[1]] == [
        "Psykiatri", "Psykiatrisk poliklinikk", "Rus og psykiatri",
    ]  # fmt: skip
    assert found.search("PSYK rus", 0, 10)[1] == [Concept("0", texts[0])]
    assert found.search("psykiatri", 1, 1) == (3, [Concept("3", texts[3])])
    assert found.search("", 2, 1) == (4, [Concept("2", texts[2])])
    assert found.search("--", 0, 10) == (0, [])


def test_a_search_knows_designations_and_norwegian_letters() -> None:
    found = table(Concept("1", "Øre", designations=(Designation("en", "Ear"),)), Concept("2", "Ore"))
    assert [each.code for each in found.search("ØRE", 0, 5)[1]] == ["1"]
    assert [each.code for each in found.search("ore", 0, 5)[1]] == ["2"]
    assert [each.code for each in found.search("ear", 0, 5)[1]] == ["1"]


def test_parents_end_where_they_go_round() -> None:
    found = table(Concept("a", "", parent="b"), Concept("b", "", parent="c"), Concept("c", "", parent="a"))
    assert [each.code for each in found.parents("a")] == ["b", "c"]
    assert [each.code for each in table(Concept("a", "", parent="z")).parents("a")] == []
    assert list(found.parents("z")) == []
    icd = CATALOGUE.code_system(ICD10)
    assert icd is not None and [each.code for each in icd.parents("F1020")] == ["F10.2"]


@given(st.lists(st.tuples(WORDS, WORDS), max_size=8), WORDS, st.integers(0, 9), st.integers(0, 9))
def test_a_page_of_a_search_is_a_part_of_the_whole(
    rows: list[tuple[str, str]], text: str, offset: int, limit: int
) -> None:
    found = table(*(Concept(code, display) for code, display in rows))
    total, whole = found.search(text, 0, 100)
    assert total == len(whole) == len({each.code for each in whole})
    assert found.search(text, offset, limit) == (total, whole[offset : offset + limit])
    for code, display in ((each.code, each.display) for each in found.page(0, 100)):
        assert code in [each.code for each in found.search(display, 0, 100)[1]] or not re.search(r"\w", display)


@given(st.lists(st.text(alphabet="0129.a-", max_size=6)))
def test_newness_sorts_any_versions(names: list[str]) -> None:
    made = [Edition("u", name, "X", "X", True, 0) for name in names]
    assert Counter(each.version for each in sorted(made, key=newness)) == Counter(names)
