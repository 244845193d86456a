"""Patterns are matched in bounded time, and both engines say the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.profile.fhirpath import Environment, StepsExceeded, evaluate
from fhir_facade.profile.fhirpath_syntax import FhirPathError
from fhir_facade.profile.fhirpath_values import Item
from fhir_facade.profile.patterns import LONGEST_MATCHED, LONGEST_QUICK, Pattern, pattern

TRAPS = [
    "(a|a)*b", "(a+)+b", "(a*)*b", "(.*a){12}b", "(a|aa)+$b", "^(([a-z])+.)+[A-Z]([a-z])+$", "a*a*a*a*a*b", "(x+x+)+y",
    ".*.*.*.*.*b", "(?:a?){30}a{30}b",
]  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_answered(trap: str) -> None:
    """With backtracking each of these takes longer than anyone waits."""
    assert pattern(trap).is_found("a" * LONGEST_MATCHED) is False
    assert pattern(trap).is_found("a" * 40) is False


PIECES = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", r"\d", r"\s", "^", "$", r"\.", "æ", "[.]", "(a|b)", "(ab)"])
ENDS = st.sampled_from(["", "", "?", "*", "+", "{2}", "{1,3}"])
TEXTS = st.lists(st.tuples(PIECES, ENDS), min_size=1, max_size=5).map(
    lambda parts: "".join(piece + ("" if piece in "^$" else end) for piece, end in parts)
)


@given(TEXTS, st.text("ab1. æ\n٣", max_size=12))
def test_both_engines_say_the_same(text: str, held: str) -> None:
    made = Pattern(text)
    assert made.is_whole(held) == (made._linear.fullmatch(held) is not None)
    assert made.is_found(held) == (made._linear.search(held) is not None)


def test_a_long_text_is_matched_as_a_short_one() -> None:
    filler = "x" * (LONGEST_QUICK + 1)
    assert pattern("^a").is_found("a" + filler)
    assert not pattern("a$").is_found("a" + filler)


@pytest.mark.parametrize("text", ["(", "[a", "(?!a)b", r"(a)\1", "a{9999999}", "(" * 3000, "x" * 5000])
def test_what_is_not_understood_is_told(text: str) -> None:
    with pytest.raises(FhirPathError):
        pattern(text)


def test_a_text_that_is_too_long_is_told() -> None:
    with pytest.raises(FhirPathError, match="too long"):
        pattern("a").is_found("a" * (LONGEST_MATCHED + 1))


@pytest.mark.parametrize("expression, expected", [
    ("'abc'.replaceMatches('(a)(b)', '$2$1')", "bac"), ("'aXbX'.replaceMatches('X', '-')", "a-b-"),
    ("'a.b'.replaceMatches('[.]', '')", "ab"),
])  # fmt: skip
def test_groups_are_put_in_by_number(expression: str, expected: str) -> None:
    assert [each.value for each in evaluate(expression, {}, "Patient", Environment())] == [expected]


def test_a_group_that_is_not_there_is_told() -> None:
    with pytest.raises(FhirPathError, match="replacement"):
        evaluate("'abc'.replaceMatches('a', '$3')", {}, "Patient", Environment())


@given(TEXTS, st.text("ab1. æ٣", max_size=12), st.sampled_from(["", "-", "<$0>", "\\\\", "$", "\\\\1"]))
def test_both_engines_replace_the_same(text: str, held: str, put: str) -> None:
    made = Pattern(text)
    if made._quick is None:
        return
    quick = made.replaced(held, put, 1000, lambda _: None)
    made._quick = None
    assert made.replaced(held, put, 1000, lambda _: None) == quick


def test_what_a_replacement_comes_to_is_bounded_before_it_is_written() -> None:
    """Were it written first, it would take 100 gigabytes."""
    with pytest.raises(FhirPathError, match="too long"):
        pattern("(a+)").replaced("a" * 100_000, "$1" * 500_000, 1_000_000, lambda _: None)
    with pytest.raises(FhirPathError, match="too long"):
        pattern("b").replaced("b" + "a" * 10, "cc", 11, lambda _: None)
    assert pattern("b").replaced("b" + "a" * 10, "cc", 12, lambda _: None) == "cc" + "a" * 10


def test_a_search_that_looks_to_the_end_at_each_letter_comes_to_an_end() -> None:
    expression = "%text.replaceMatches('a[ab]*c|a', 'x').length()"
    long, short = (Environment(variables={"text": [Item("a" * length, "System.String")]}) for length in (99_000, 900))
    with pytest.raises(StepsExceeded):
        evaluate(expression, {}, "Patient", long)
    assert [each.value for each in evaluate(expression, {}, "Patient", short)] == [900]


WIDE = "|".join(f"[ab]{{{times}}}c" for times in range(300, 500, 2))


def test_a_pattern_of_many_instructions_is_matched_on_shorter_texts() -> None:
    """RE2 may need as many steps for each letter as the pattern has instructions."""
    wide = pattern(WIDE)
    assert wide.longest < 10_000
    assert wide.is_found("ab" * 150 + "c") is True
    with pytest.raises(FhirPathError, match="too long"):
        wide.is_found("a" * (wide.longest + 1))
    known = Environment(variables={"text": [Item("ab" * 1000, "System.String")]})
    with pytest.raises(StepsExceeded):
        evaluate("(1 | 2 | 3 | 4 | 5).all(%text.matches('" + WIDE + "').not())", {}, "Patient", known)
