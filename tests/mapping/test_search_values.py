"""What the values of search parameters mean."""

from __future__ import annotations

import pytest

from fhir_facade.mapping.search_values import (
    date_range,
    date_value,
    folded,
    guarded_split,
    plain,
    reference_value,
    token_value,
)
from fhir_facade.outcome import Refused

HOUR = 3_600_000
DAY = 24 * HOUR


def test_a_day_is_a_norwegian_day() -> None:
    low, high = date_range("2024-01-15") or (0, 0)
    assert low == 1_705_273_200_000  # 2024-01-14T23:00:00Z
    assert high - low == DAY


def test_the_days_of_the_clock_changes_are_23_and_25_hours() -> None:
    spring, autumn = date_range("2024-03-31"), date_range("2024-10-27")
    assert spring and autumn
    assert spring.high - spring.low == 23 * HOUR
    assert autumn.high - autumn.low == 25 * HOUR


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("2024-02", 29 * DAY),
        ("2023-02", 28 * DAY),
        ("2024-12-31T23:59:59Z", 1000),
        ("2024-12-31T23:59Z", 60_000),
        ("2024-12-31T23:59:59.123Z", 1),
        ("2024-01-15T08:30:00", 1000),
    ],
)
def test_precision_is_the_length_of_the_range(text: str, length: int) -> None:
    span = date_range(text)
    assert span is not None
    assert span.high - span.low == length


def test_offsets_and_local_time_mean_the_same_moment() -> None:
    assert (
        date_range("2024-07-01T12:00:00+02:00")
        == date_range("2024-07-01T10:00:00Z")
        == date_range("2024-07-01T12:00:00")
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24",
        "2024-13",
        "2024-02-30",
        "2024-1-1",
        "2024-01-01T25:00",
        "2024-03-31T02:30:00",
        "nonsense",
        "2024-01-01T",
        "xx2024",
    ],
)
def test_what_is_no_date_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Refused) as refused:
        date_value("date", text)
    assert refused.value.issues[0].code == "search-value-invalid"
    assert "ge2024-01-31" in refused.value.issues[0].sentence()


def test_a_prefix_is_taken_off() -> None:
    assert date_value("date", "ge2024")[0] == "ge"
    assert date_value("date", "2024")[0] == "eq"
    assert date_value("date", "eq2024-07-01T12:00:00 02:00")[1] == date_range("2024-07-01T12:00:00+02:00")


def test_tokens() -> None:
    assert token_value("p", "a") == (None, "a")
    assert token_value("p", "s|a") == ("s", "a")
    assert token_value("p", "|a") == ("", "a")
    assert token_value("p", "s|") == ("s", None)
    for wrong in ("", "|", "a|b|c"):
        with pytest.raises(Refused):
            token_value("p", wrong)


def test_a_guarded_bar_belongs_to_the_code() -> None:
    assert token_value("p", r"s|a\|b") == ("s", "a|b")
    assert token_value("p", r"a\|b") == (None, "a|b")
    assert token_value("p", r"\||x") == ("|", "x")
    assert token_value("p", r"a\\|b") == ("a\\", "b")
    assert token_value("p", r"a\$b\,c\d") == (None, r"a$b,c\d")


def test_guards_are_taken_away_once() -> None:
    assert plain(r"a\|b\$c\,d\\e\f") == r"a|b$c,d\e\f"
    assert list(guarded_split(r"a\$b$c\\$d", "$")) == [r"a\$b", r"c\\", "d"]


def test_references() -> None:
    assert reference_value("p", "Patient/1") == ("Patient", "1")
    assert reference_value("p", "1") == (None, "1")
    for wrong in ("", "/1", "Patient/"):
        with pytest.raises(Refused):
            reference_value("p", wrong)


def test_case_and_accents_fold_but_norwegian_letters_stay() -> None:
    assert folded("ÉLODIE Müller") == "elodie muller"
    assert folded("ÅSE Ærlig ØDEGÅRD") == "åse ærlig ødegård"
    assert folded("Aase") != folded("Åse")
