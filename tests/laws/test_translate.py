"""$translate is what the mappings do: for every row with a code map or a table of systems, every code, both ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from fhir_facade.contracts import Resource
from fhir_facade.definitions import definitions
from fhir_facade.mapping.codecs import coded_value
from fhir_facade.mapping.ir import Coded, Each, Identify, Rule
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.mapping.read_values import back, chosen_by
from fhir_facade.mapping.translating import URIS, Match, Translations, succeeds, table_map, translate, translations
from fhir_facade.outcome import Issue
from fhir_facade.resources import data_root

SHIPPED = load_mapping_set(data_root("mappings"))
STRANGE = "no-such-code"


def inside(rules: Iterable[Rule]) -> Iterator[Coded | Identify]:
    for rule in rules:
        if isinstance(rule, Each):
            yield from inside(rule.rules)
        elif isinstance(rule, Coded | Identify):
            yield rule


def rows(mapping_set: MappingSet) -> list[Coded | Identify]:
    return [rule for mapping in mapping_set.mappings.values() for rule in inside(mapping.rules.rules)]


TRANSLATING = [rule for rule in rows(SHIPPED) if isinstance(rule, Coded) and rule.code_map]
CHOOSING = [rule for rule in rows(SHIPPED) if rule.system_field]


@pytest.fixture(scope="module")
def known() -> Translations:
    return translations(SHIPPED)


def written(rule: Coded, code: str) -> tuple[Any, Any] | None:
    """System and code of what a row writes first for a code; None where it writes no code."""
    assert rule.code_map is not None
    value, _ = coded_value(rule, code, None, None, [])
    if value is None:
        return None
    if rule.shape == "code":
        return rule.code_map.target_system, value
    coding = value if rule.shape == "Coding" else value["coding"][0]
    return coding.get("system"), coding["code"]


def one(matches: tuple[Match, ...]) -> tuple[str, str] | None:
    assert len(matches) < 2
    return (matches[0].system, matches[0].code) if matches else None


def named(rule: Coded, known: Translations) -> str:
    assert rule.code_map is not None
    return next(url for url in known.by_url if url.endswith(f"/ConceptMap/{rule.code_map.name}"))


def test_every_code_map_and_every_table_with_a_list_is_served(known: Translations) -> None:
    names = {url.rsplit("/", 1)[-1] for url in known.by_url}
    assert {*SHIPPED.vocabulary.code_maps, "kodeverk-system", "person-id-system"} <= names
    assert all(each.sister in known.by_url for each in known.by_url.values())
    assert TRANSLATING
    assert CHOOSING


@pytest.mark.parametrize("rule", TRANSLATING, ids=lambda rule: rule.at)
def test_a_record_code_becomes_what_the_row_writes(rule: Coded, known: Translations) -> None:
    assert rule.code_map is not None
    url, source = named(rule, known), rule.code_map.source
    for code in [*rule.code_map.targets, *(source.displays or {}), STRANGE]:
        told = translate(known, code, source.uri, url=url)
        assert one(told) == written(rule, code), code
        assert succeeds(told) is (code in rule.code_map.targets)
        if succeeds(told):
            assert one(translate(known, code, source.uri, rule.code_map.target_system)) == one(told)


@pytest.mark.parametrize("rule", TRANSLATING, ids=lambda rule: rule.at)
def test_a_standard_code_goes_back_to_what_the_row_reads(rule: Coded, known: Translations) -> None:
    assert rule.code_map is not None
    url, source, target = named(rule, known), rule.code_map.source.uri, rule.code_map.target_system
    listed = {code for _, code in definitions().codes(rule.code_map.target_value_set) or ()}
    assert {each.code for each in rule.code_map.targets.values()} <= listed
    for code in [*sorted(listed), STRANGE]:
        read = back(rule, rule.code_map, code)
        told = translate(known, code, target, url=url, reverse=True)
        assert one(told) == (None if isinstance(read, Issue) or read is None else (source, read[rule.field])), code
        assert told == translate(known, code, target, url=known.by_url[url].sister)
        assert told == translate(known, code, target, source)


@pytest.mark.parametrize("rule", CHOOSING, ids=lambda rule: rule.at)
def test_a_letter_becomes_the_system_that_the_row_writes_and_goes_back(
    rule: Coded | Identify, known: Translations
) -> None:
    lists = {
        each.source for each in known.by_url.values() if each.target == URIS and set(each.elements) == set(rule.systems)
    }
    if not lists:  # a table whose choosing field has no code list has no codes to translate
        assert not any(each.system_field == rule.system_field for each in CHOOSING if each.systems != rule.systems)
        return
    for source in lists:
        for letter, system in rule.systems.items():
            assert one(translate(known, letter, source, URIS)) == (URIS, system.uri)
            for uri in (system.uri, *system.aliases):
                assert one(translate(known, uri, URIS, source)) == (source, chosen_by(rule.systems, system.uri))


def test_only_the_system_that_is_asked_for_is_translated_to(known: Translations) -> None:
    act, levels = "http://terminology.hl7.org/CodeSystem/v3-ActCode", "urn:oid:2.16.578.1.12.4.1.1.8406"
    assert translate(known, "3", levels, act)
    assert not translate(known, "3", levels, "http://example.org/none")
    assert not translate(known, "AMB", act, "http://example.org/none", reverse=True)
    assert not translate(known, "3", levels, levels)


def test_of_two_letters_of_one_system_the_first_is_gone_back_to() -> None:
    """Rows choose the first too (read_values.chosen_by)."""
    words = SHIPPED.vocabulary
    system = words.system("vol-7110")
    assert system is not None
    there, back = map(_map, table_map("two", words, "8410", {"D": system, "A": system}))
    assert there == {"D": system.uri, "A": system.uri}
    assert back == {system.uri: chosen_by({"D": system, "A": system}, system.uri)} == {system.uri: "D"}


def _map(resource: Resource) -> dict[str, str]:
    return {each["code"]: each["target"][0]["code"] for each in resource["group"][0]["element"]}
