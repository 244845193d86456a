"""Norwegian time, keys and codes."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.mapping.codecs import Unusable, oslo_time, primitive
from fhir_facade.mapping.kinds import KEY_LENGTH, key_text

OSLO = ZoneInfo("Europe/Oslo")


@pytest.mark.parametrize(
    ("local", "fhir"),
    [
        ("2024-01-15T08:30:00", "2024-01-15T08:30:00+01:00"),
        ("2024-07-15T08:30:00", "2024-07-15T08:30:00+02:00"),
        ("2024-10-27T02:30:00", "2024-10-27T02:30:00+02:00"),  # the first pass of the doubled hour
        ("2024-10-27T02:30:00+01:00", "2024-10-27T02:30:00+01:00"),  # the second, said by the record
        ("2024-10-27T03:00:00", "2024-10-27T03:00:00+01:00"),
        ("2024-03-31T01:59:59", "2024-03-31T01:59:59+01:00"),
        ("2024-03-31T03:00:00", "2024-03-31T03:00:00+02:00"),
        ("2024-01-15T08:30:00.250", "2024-01-15T08:30:00.250+01:00"),
        ("2024-01-15T08:30:00Z", "2024-01-15T08:30:00Z"),
    ],
)
def test_a_local_time_gets_the_offset_of_its_hour(local: str, fhir: str) -> None:
    assert oslo_time(local) == fhir


@pytest.mark.parametrize("text", ["2024-03-31T02:00:00", "2024-03-31T02:59:59", "2024-03-31", "", "x" * 19])
def test_a_time_that_does_not_exist_is_refused_and_never_moved(text: str) -> None:
    with pytest.raises(Unusable):
        oslo_time(text)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2037, 12, 31)))
def test_the_offset_is_what_the_time_zone_database_says(moment: datetime) -> None:
    moment = moment.replace(microsecond=0)
    there = moment.replace(tzinfo=OSLO)
    exists = there.astimezone(ZoneInfo("UTC")).astimezone(OSLO).replace(tzinfo=None) == moment
    if exists:
        assert datetime.fromisoformat(oslo_time(moment.isoformat())) == there
    else:
        with pytest.raises(Unusable):
            oslo_time(moment.isoformat())


def test_a_positive_number_must_be_positive() -> None:
    assert primitive("integer", "positiveInt", 1) == 1
    with pytest.raises(Unusable):
        primitive("integer", "positiveInt", 0)


def test_a_key_is_readable_where_it_may_be() -> None:
    assert key_text(["983974880", "P1", "E1"]) == "983974880.P1.E1"
    assert key_text(["983974880", "P1", None, 2]) == "983974880.P1..2"


@pytest.mark.parametrize("part", ["a.b", "a/b", "æ", "a b", "x" * 60, "a\0b", ""])
def test_a_key_that_does_not_fit_an_id_becomes_a_stable_hash(part: str) -> None:
    key = key_text(["983974880", part, "1"])
    assert len(key) <= KEY_LENGTH
    assert key == key_text(["983974880", part, "1"])
    assert key.startswith("x") == (part != "")
    assert all(letter.isascii() and (letter.isalnum() or letter in "-.") for letter in key)


@given(
    st.lists(st.text(max_size=8), min_size=2, max_size=4),
    st.lists(st.text(max_size=8), min_size=2, max_size=4),
)
def test_different_keys_of_one_kind_never_meet(one: list[str], other: list[str]) -> None:
    if len(one) == len(other) and one != other:
        assert key_text(one) != key_text(other)
