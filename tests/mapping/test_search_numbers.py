"""What the values of number and quantity parameters mean for the whole numbers that records hold."""

from __future__ import annotations

import pytest

from fhir_facade.mapping.search_numbers import LEAST, MOST, number_value, quantity_value
from fhir_facade.outcome import Refused


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("100", (100, 100, False)),  # 99.5 to 100.5
        ("100.00", (100, 100, False)),
        ("1e2", (50, 149, False)),  # one significant digit: half of a hundred on either side
        ("10e1", (95, 104, False)),
        ("5.4", (6, 5, False)),  # 5.35 to 5.45 holds no whole number
        ("ne100", (100, 100, True)),
        ("lt100", (LEAST, 99, False)),
        ("eb100", (LEAST, 99, False)),
        ("le100", (LEAST, 100, False)),
        ("gt100", (101, MOST, False)),
        ("sa99.5", (100, MOST, False)),
        ("ge99.5", (100, MOST, False)),
        ("le-0.5", (LEAST, -1, False)),
        ("ap100", (90, 110, False)),
        ("ap-5", (-5, -5, False)),
        ("ge1e 2", (100, MOST, False)),
        ("9" * 40, (MOST, MOST, False)),
        ("lt" + "0." + "0" * 39 + "1", (LEAST, 0, False)),
    ],
)
def test_a_number_is_a_range_of_whole_numbers(text: str, span: tuple[int, int, bool]) -> None:
    assert number_value("probability", text) == span


@pytest.mark.parametrize("text", ["", "ge", "1,5", "x", "1e", "0x10", "١", "1e999", "NaN", "1" * 41, "--1"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        number_value("probability", text)
    assert refused.value.issues[0].code == "search-value-invalid"


def test_a_quantity_may_name_its_unit() -> None:
    assert quantity_value("q", "ge5")[1:] == (None, None)
    assert quantity_value("q", "5|http://unitsofmeasure.org|mg")[1:] == ("http://unitsofmeasure.org", "mg")
    assert quantity_value("q", r"5||a\|b")[1:] == (None, "a|b")
    for wrong in ("5|mg", "5|a|b|c", "|a|b", "x||mg"):
        with pytest.raises(Refused):
            quantity_value("q", wrong)
