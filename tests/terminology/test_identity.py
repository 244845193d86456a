"""Which numbers count as national identity numbers; all here are synthetic or published examples."""

from __future__ import annotations

import pytest

from fhir_facade.terminology.identity import is_national_identity_number


@pytest.mark.parametrize(
    "text",
    ["15838512086", "55838512150", "15688512120", "55688512033", "15438512184", "02013299997", "30108299939"],
)
def test_a_number_with_a_date_and_both_control_digits_is_one(text: str) -> None:
    assert is_national_identity_number(text)


@pytest.mark.parametrize(
    "text",
    ["15838512087", "15838512036", "30828512052", "1583851208", "158385120860", "15838A12086", "",
     "00000000000", "777777777", "١٥٨٣٨٥١٢٠٨٦"],
)  # fmt: skip
def test_a_number_without_them_is_none(text: str) -> None:
    assert not is_national_identity_number(text)
