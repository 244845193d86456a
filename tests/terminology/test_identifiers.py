"""What numbers are: vectors from the sources, and what must hold for every number. All are synthetic or published."""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from fhir_facade.terminology.identifiers import (
    ANY,
    CONTROLLED,
    KINDS,
    ORGANISATION_WEIGHTS,
    PRODUCTION,
    TEST,
    Kind,
    Reading,
    Series,
    check,
    classify,
    kind_of,
    normalise,
    system_of,
)
from fhir_facade.terminology.identity import FIRST_WEIGHTS, SECOND_WEIGHTS, is_national_identity_number
from fhir_facade.terminology.uris import variants

VECTORS = list(csv.DictReader((Path(__file__).parent / "identifier_vectors.csv").read_text("utf-8").splitlines()))
VALID = {"yes": True, "no": False, "unknown": None}
SHIFTS: dict[int, Series] = {40: "nav", 65: "nhn", 80: "tenor"}
TEXTS = st.one_of(st.text(), st.text("0123456789 .-NOMVA\u00a0\u2011\u3000", max_size=20))


def told(readings: Sequence[Reading]) -> str:
    """Readings as the vectors write them."""
    words = (
        (one.kind, one.series or "", "ambiguous" * one.ambiguous, "new" * one.new_rule) for one in readings
    )  # fmt: skip
    return "; ".join(" ".join(filter(None, row)) for row in words)


# ---- vectors


@pytest.mark.parametrize("row", VECTORS, ids=[f"{row['kind']}-{row['source']}" for row in VECTORS])
def test_a_vector_of_the_sources(row: dict[str, str]) -> None:
    kind: Kind = row["kind"]  # type: ignore[assignment]
    found = check(kind, row["number"])
    assert (found.valid, found.reason) == (VALID[row["valid"]], row["reason"])
    readings = classify(row["number"])
    assert told(readings) == row["may_be"]
    born = next((one.born for one in readings if one.kind == kind), None)
    assert (born.isoformat() if born else "") == row["born"]


def test_every_kind_that_can_be_judged_stands_among_the_vectors() -> None:
    assert {row["kind"] for row in VECTORS} >= CONTROLLED | {"HNR", "DUF", "HPR"}


# ---- environments


@pytest.mark.parametrize(
    ("kind", "number", "production", "test"),
    [
        ("FNR", "15838512086", (False, "series-refused"), (True, "")),
        ("FNR", "15688512120", (False, "series-refused"), (True, "")),
        ("DNR", "55838512150", (False, "series-refused"), (True, "")),
        ("DNR", "55688512033", (False, "series-refused"), (True, "")),
        ("FNR", "30108299920", (True, ""), (False, "series-refused")),
        ("FNR", "15438512184", (False, "series-refused"), (None, "series-ambiguous")),
        ("HNR", "15438512184", (None, "series-ambiguous"), (False, "series-refused")),
        ("FHN", "80000110071", (True, ""), (None, "series-not-shown")),
        ("ENH", "974705761", (True, ""), (True, "")),
        ("ENH", "777777777", (False, "series-refused"), (True, "")),
        ("DUF", "201400000001", (None, "no-control-digits"), (None, "no-control-digits")),
    ],
)
def test_an_environment_accepts_its_own_series(
    kind: Kind, number: str, production: tuple[bool | None, str], test: tuple[bool | None, str]
) -> None:
    for accept, expected in ((PRODUCTION, production), (TEST, test)):
        found = check(kind, number, accept)
        assert (found.valid, found.reason) == expected


def test_no_series_is_both_real_and_made_for_tests() -> None:
    assert PRODUCTION | TEST == ANY
    assert not PRODUCTION & TEST


# ---- writing


@pytest.mark.parametrize(
    ("kind", "written", "number"),
    [
        ("FNR", "158385 12086", "15838512086"),
        ("FNR", " 158385-12086\n", "15838512086"),
        ("FNR", "15.83.85\u00a012086", "15838512086"),
        ("FNR", "158385\u201312086\u200b", "15838512086"),
        ("FNR", "021382 00000", "02138200000"),
        ("ENH", "974 705 761", "974705761"),
        ("ENH", "NO 974 705 761 MVA", "974705761"),
        ("HPR", "007654321", "007654321"),
        ("FNR", "NO 974 705 761 MVA", "NO 974 705 761 MVA"),
        ("HNR", " A-12 ", "A-12"),
        ("FNR", "١٥٨٣٨٥١٢٠٨٦", "١٥٨٣٨٥١٢٠٨٦"),
        ("FNR", "", ""),
    ],
)
def test_a_number_is_written_without_what_stands_between_its_digits(kind: Kind, written: str, number: str) -> None:
    assert normalise(kind, written) == number


def test_a_number_is_judged_however_it_is_written() -> None:
    assert check("FNR", "158385 12086") == check("FNR", "15838512086")
    assert classify("NO 974 705 761 MVA") == (Reading("ENH"),)
    assert check("FNR", "١٥٨٣٨٥١٢٠٨٦").reason == "not-digits"
    assert classify("") == classify("abc") == ()


@given(st.sampled_from(KINDS), TEXTS)
def test_normalising_twice_is_normalising_once(kind: Kind, text: str) -> None:
    once = normalise(kind, text)
    assert normalise(kind, once) == once
    assert check(kind, once) == check(kind, text)


@given(TEXTS, st.sampled_from([ANY, PRODUCTION, TEST]))
def test_every_text_gets_an_answer(text: str, accept: frozenset[Series]) -> None:
    for kind in KINDS:
        found = check(kind, text, accept)
        assert (found.valid is True) == (found.reason == "")


# ---- systems


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_and_its_system_lead_to_each_other(kind: Kind) -> None:
    assert kind_of(system_of(kind)) == kind
    assert {kind_of(form) for form in variants(system_of(kind))} == {kind}


@pytest.mark.parametrize(
    ("system", "kind"),
    [
        ("2.16.578.1.12.4.1.4.1", "FNR"),
        ("http://hl7.no/fhir/NamingSystem/DUFN", "DUF"),
        ("urn:oid:2.16.578.1.12.4.1.2.101", "ENH"),
        ("http://data.brreg.no/begrep/28155", "ENH"),
        ("urn:oid:2.16.578.1.12.4.1.2.102", "RSH"),
        ("urn:oid:2.16.578.1.12.4.1.2", "HER"),
        ("HNR", "HNR"),
        ("urn:oid:2.16.578.1.12.4.1.4.1026", None),
        ("urn:oid:2.16.578.1.12.4.1.1.8406", None),
        ("", None),
    ],
)
def test_every_form_of_a_system_is_known(system: str, kind: Kind | None) -> None:
    assert kind_of(system) == kind


# ---- laws


def closed(number: str, remainder: int) -> str | None:
    """Nine digits and their control digits; the first one leaves `remainder`. None where a digit would be 10."""
    first = (remainder - sum(w * int(d) for w, d in zip(FIRST_WEIGHTS, number, strict=False))) % 11
    ten = f"{number}{first}"
    second = -sum(w * int(d) for w, d in zip(SECOND_WEIGHTS, ten, strict=False)) % 11
    return f"{ten}{second}" if first < 10 and second < 10 else None


@st.composite
def dated_numbers(draw: DrawFn) -> tuple[str, Kind, Series, date, int]:
    """A synthetic number with its kind, series, date without century, and remainder of the first control digit."""
    born = draw(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
    shift = draw(st.sampled_from(sorted(SHIFTS)))
    kind: Kind = draw(st.sampled_from(["FNR", "DNR"]))
    day = born.day + 40 * (kind == "DNR")
    head = f"{day:02}{born.month + shift:02}{born.year % 100:02}{draw(st.integers(0, 999)):03}"
    remainder = draw(st.integers(0, 3))
    number = closed(head, remainder)
    assume(number is not None)
    assert number is not None
    return number, kind, SHIFTS[shift], born, remainder


@st.composite
def shared_numbers(draw: DrawFn) -> str:
    number = closed(draw(st.sampled_from(["80000", "90000"])) + f"{draw(st.integers(0, 9999)):04}", 0)
    assume(number is not None)
    assert number is not None
    return number


@st.composite
def organisation_numbers(draw: DrawFn) -> str:
    head = f"{draw(st.integers(80_000_000, 99_999_999))}"
    last = -sum(w * int(d) for w, d in zip(ORGANISATION_WEIGHTS, head, strict=False)) % 11
    assume(last < 10)
    return f"{head}{last}"


@st.composite
def valid_numbers(draw: DrawFn) -> tuple[Kind, str]:
    kind: Kind = draw(st.sampled_from(["FNR", "FHN", "ENH"]))
    if kind == "FNR":
        number, kind, _, _, _ = draw(dated_numbers())
        return kind, number
    return kind, draw(shared_numbers() if kind == "FHN" else organisation_numbers())


@given(dated_numbers())
def test_a_synthetic_number_is_what_it_was_made_as(made: tuple[str, Kind, Series, date, int]) -> None:
    number, kind, series, born, remainder = made
    ambiguous = kind == "FNR" and series == "nav"
    found = check(kind, number, TEST)
    assert found.valid is (None if ambiguous else True)
    reading = found.reading
    assert reading is not None
    assert (reading.kind, reading.series, reading.ambiguous) == (kind, series, ambiguous)
    if remainder:
        assert reading.new_rule
        assert reading.born is reading.sex is None
    if reading.born:
        assert (reading.born.day, reading.born.month, reading.born.year % 100) == (
            born.day,
            born.month,
            born.year % 100,
        )
    if reading.sex:
        assert reading.sex == ("male" if int(number[8]) % 2 else "female")
    assert reading.new_rule == (reading.sex is None)
    assert check(kind, number, PRODUCTION).valid is False


@given(valid_numbers())
def test_a_valid_number_is_valid_and_found(made: tuple[Kind, str]) -> None:
    kind, number = made
    assert check(kind, number).valid is not False
    assert kind in {reading.kind for reading in classify(number)}


@given(valid_numbers(), st.data())
def test_every_change_of_one_digit_is_refused(made: tuple[Kind, str], data: st.DataObject) -> None:
    kind, number = made
    place = data.draw(st.integers(0, len(number) - 1))
    for digit in set("0123456789") - {number[place]}:
        changed = number[:place] + digit + number[place + 1 :]
        assert check(kind, changed).valid is False
        assert not CONTROLLED & {reading.kind for reading in classify(changed)}


@given(
    st.integers(1, 99), st.sampled_from(sorted(SHIFTS)), st.integers(1, 12), st.integers(0, 99), st.integers(0, 99_999)
)
def test_the_guard_and_the_kinds_agree(day: int, shift: int, month: int, year: int, tail: int) -> None:
    number = f"{day:02}{month + shift:02}{year:02}{tail:05}"
    dated = {"FNR", "DNR"} & {reading.kind for reading in classify(number)}
    assert bool(dated) == is_national_identity_number(number)


@pytest.mark.parametrize(
    ("head", "born"),
    [
        ("018154500", "1854-01-01"),
        ("018199749", "1899-01-01"),
        ("018153500", None),  # no series has it
        ("018100499", "1900-01-01"),
        ("018199000", "1999-01-01"),
        ("018140900", "1940-01-01"),
        ("018139900", "2039-01-01"),
        ("018100500", "2000-01-01"),
        ("018145600", None),
        ("298200500", "2000-02-29"),
        ("298200000", None),  # 1900 was no leap year; the rule of 2032 alone allows it
        ("418100199", "1900-01-01"),
        ("418100200", None),  # 1900 before 2021, 2000 since
        ("418100500", "2000-01-01"),
        ("418140600", "1940-01-01"),
        ("418158500", "1858-01-01"),
        ("418160650", None),  # 1860 before 2021, 1960 since
    ],
)
def test_the_individual_number_tells_the_century(head: str, born: str | None) -> None:
    numbers = [number for last in "02468" if (number := closed(head[:-1] + last, 0))]
    if head[-1] == "9":
        numbers = [number for last in "97531" if (number := closed(head[:-1] + last, 0))]
    readings = [reading for number in numbers for reading in classify(number)]
    assert readings
    assert {reading.born.isoformat() if reading.born else None for reading in readings} == {born}


def test_no_number_and_no_birth_date_stands_in_a_result(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for kind in KINDS:
        for accept in (ANY, PRODUCTION, TEST):
            shown = repr(check(kind, "158385 12086", accept)) + repr(classify("158385 12086"))
            assert "12086" not in shown
            assert "1985" not in shown
            assert "female" not in shown
    assert caplog.records == []
