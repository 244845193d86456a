"""Expansions of editions in memory: use on a day, places on a page, ranks over several systems, languages, limits."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.outcome import Refused
from fhir_facade.terminology.code_table import CodeTable, code_table
from fhir_facade.terminology.concepts import Concept, Designation, Edition
from fhir_facade.terminology.expansion import (
    MOST,
    SCANNED,
    Part,
    Wanted,
    display_in,
    expand,
    expanded_value_set,
    in_use,
    rank,
)

DAY = date(2025, 6, 30)
CODES = (
    Concept("A1", "Hånd"),
    Concept("A2", "Håndbak", valid_to="2024"),
    Concept("A3", "Venstre hånd", valid_from="2026-01-01"),
    Concept("A4", "Fot", "retired"),
    Concept("A5", "Hånd og fot"),
)


def table(*concepts: Concept, url: str = "http://example.org/cs") -> CodeTable:
    return code_table(Edition(url, "1", "X", "X", complete=True, count=len(concepts)), concepts)


def codes(wanted: Wanted, *parts: Part) -> list[str]:
    return [concept.code for _, concept in expand(parts or [Part(table(*CODES))], wanted).entries]


def test_only_codes_in_use_leaves_out_those_of_another_time_and_those_that_are_withdrawn() -> None:
    assert codes(Wanted(DAY)) == ["A1", "A2", "A3", "A4", "A5"]
    assert codes(Wanted(DAY, active_only=True)) == ["A1", "A5"]
    assert codes(Wanted(date(2024, 12, 31), active_only=True)) == ["A1", "A2", "A5"]
    assert codes(Wanted(date(2024, 12, 31), dated=True)) == ["A1", "A2", "A4", "A5"]


@given(st.integers(0, 8), st.integers(0, 8), st.booleans(), st.sampled_from(["", "hånd", "fot", "a"]))
def test_a_page_is_a_part_of_the_whole(offset: int, count: int, active: bool, text: str) -> None:
    for part in (Part(table(*CODES)), Part(table(*CODES), tuple(each.code for each in CODES))):
        whole = codes(Wanted(DAY, text=text, active_only=active), part)
        wanted = Wanted(DAY, text=text, active_only=active, offset=offset, count=count)
        page = expand([part], wanted)
        assert [concept.code for _, concept in page.entries] == whole[offset : offset + count]
        assert page.total == len(whole)


def test_ranks_go_over_all_the_parts_of_a_value_set() -> None:
    one = table(Concept("x", "Stor hånd"), Concept("y", "Håndflate"))
    other = table(Concept("z", "Hånd"), url="http://example.org/other")
    assert codes(Wanted(DAY, text="hånd"), Part(one), Part(other)) == ["z", "y", "x"]
    assert codes(Wanted(DAY, text="hånd"), Part(one, ("x", "y", "none"))) == ["y", "x"]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("A1", 0),
        (" a1 ", 0),
        ("hånd", 0),
        ("hå", 1),
        ("HÅND", 0),
        ("hand", None),
        ("å", None),
        ("bein", None),
        ("-", None),
    ],
)
def test_a_code_is_ranked_by_code_and_text(text: str, place: int | None) -> None:
    assert rank(CODES[0], text) == place


def test_a_designation_with_a_use_is_no_display() -> None:
    concept = Concept(
        "1", "Kolera", designations=(Designation("en", "Cholera!", "synonym"), Designation("en", "Cholera"))
    )
    assert display_in(concept, "en-GB") == display_in(concept, "en") == "Cholera"
    assert display_in(concept, "sv") == display_in(concept, "") == "Kolera"


def test_a_last_page_that_one_answer_can_hold_is_given_without_a_count() -> None:
    large = Part(table(*(Concept(f"{number:05}", f"Number {number}") for number in range(MOST + 10))))
    with pytest.raises(Refused):
        expand([large], Wanted(DAY))
    with pytest.raises(Refused):
        expand([large], Wanted(DAY, offset=9))
    assert len(expand([large], Wanted(DAY, offset=10)).entries) == MOST
    assert not expand([large], Wanted(DAY, offset=MOST + 10)).entries
    assert expand([large], Wanted(DAY, offset=99_999, count=3)).total == MOST + 10


def test_a_page_that_is_not_full_after_all_that_is_looked_at_is_refused() -> None:
    rare = [
        Concept(f"{number:05}", "Number", "active" if number == SCANNED + 5 else "retired")
        for number in range(SCANNED + 9)
    ]
    with pytest.raises(Refused):
        expand([Part(table(*rare))], Wanted(DAY, active_only=True, count=1))
    assert not in_use(rare[0], DAY)


@pytest.mark.parametrize("text", ["01819000049", "018190 00049", "x 018190-00049"])
def test_a_filter_that_may_be_a_persons_number_is_not_repeated(text: str) -> None:
    parts, wanted = [Part(table(*CODES))], Wanted(DAY, text=text)
    out = expanded_value_set(
        {"url": "http://x"}, expand(parts, wanted), wanted, parts, timestamp="2025-06-30T00:00:00Z"
    )
    assert {"name": "filter", "valueString": "…"} in out["expansion"]["parameter"]
    assert "00049" not in str(out)
