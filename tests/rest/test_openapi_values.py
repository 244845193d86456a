"""The schemas of values say what is read: no wider and no narrower."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_facade.mapping.search_values import date_range, date_value, guarded_split, reference_value, token_value
from fhir_facade.outcome import Refused
from fhir_facade.rest.openapi_values import VALUES, listed, of_input, of_result, of_search, reference_pattern
from fhir_facade.rest.parameters import values_of
from fhir_facade.rest.parameters_in import READ

TARGETS = ("Patient", "Group")
NEVER = re.compile(r"-03-\d\dT02:\d\d(:\d\d(\.\d+)?)?(,|$)")
"""An hour of March that may not have been: no pattern holds the days on which clocks change."""


def reads_dates(text: str) -> bool:
    return all(each and readable(date_value, "date", each) for each in values_of(text))


def reads_tokens(text: str) -> bool:
    return all(each and readable(token_value, "code", each) for each in guarded_split(text, ","))


def readable(read: Callable[..., object], *given: str) -> bool:
    try:
        read(*given)
    except (Refused, ValueError):
        return False
    return True


def allowed(name: str, text: str) -> bool:
    return re.search(VALUES[name]["pattern"].removesuffix("$") + r"\Z", text) is not None


@given(st.from_regex(VALUES["search-date"]["pattern"], fullmatch=True).map(str.rstrip))
def test_every_date_of_the_schema_is_read(text: str) -> None:
    assert reads_dates(text) or NEVER.search(text)


@given(
    st.text("0123456789-T:Z.,geq", max_size=24) | st.dates().map(str) | st.datetimes().map(lambda at: at.isoformat())
)
@example("2024-02-29")
@example("2023-02-29")
@example("1900-02-29")
@example("2000-02-29T23:59Z")
@example("2024-01-01T24:00")
@example("2024-04-31")
@example("0000")
@example("2024,")
@example("ge2024-01-31T10:00:00.123+01:00,le2025")
def test_a_date_is_read_if_the_schema_has_it(text: str) -> None:
    assert allowed("search-date", text) == reads_dates(text) or NEVER.search(text)


@given(st.text("a|\\,1", max_size=8))
@example("\\")
@example("a\\")
@example("|\\")
@example("\\\\|a")
@example("a\\|b")
@example("a,\\")
def test_a_token_is_read_if_the_schema_has_it(text: str) -> None:
    assert allowed("search-token", text) == reads_tokens(text)


def reads_references(text: str) -> bool:
    return all(each and readable(read_reference, each) for each in values_of(text))


def read_reference(text: str) -> None:
    kind, _ = reference_value("subject", text)
    if kind is not None and "://" not in kind and kind not in TARGETS:
        raise ValueError(kind)


@given(st.lists(st.sampled_from(["Patient", "Group", "Patent", "a", "\\", "/", "://", ":", ",", "|", "å"]), max_size=8))
@example(["Patient/", "a"])
@example(["\\", "/", "\\"])
@example(["a", "://", "a", "/", "\\"])
@example(["a", "\\", "://", "/", "a"])
@example(["Patient/", "\\"])
@example(["Patient", "\\", "/", "a"])
def test_a_reference_is_read_if_the_schema_has_it(parts: list[str]) -> None:
    text = "".join(parts)
    assert (re.search(reference_pattern(TARGETS).removesuffix("$") + r"\Z", text) is not None) == reads_references(text)


@given(st.text("a|$\\,", max_size=9))
@example("a$b")
@example("|a$b|")
@example("a\\$b$c,d$e")
def test_two_tokens_are_read_if_the_schema_has_them(text: str) -> None:
    split = [list(guarded_split(each, "$")) for each in guarded_split(text, ",")]
    read = all(len(parts) == 2 and all(map(reads_tokens, parts)) for parts in split)
    assert allowed("search-composite", text) == read or text.endswith("\\")  # which guards nothing there


@given(st.text("a\\,1 ", max_size=8))
@example("\\")
@example("a,,b")
@example("a\\,,b")
def test_a_text_is_read_if_the_schema_has_it(text: str) -> None:
    assert allowed("search-text", text) == all(guarded_split(text, ","))


@pytest.mark.parametrize("kind", ["date", "dateTime", "instant"])
@given(text=st.text("0123456789-T:Z.+", max_size=26) | st.dates().map(str) | st.datetimes().map(lambda at: f"{at}Z"))
@example(text="2024-02-29T10:00:00+01:00")
@example(text="2024-02-29T10:00:00+24:00")
@example(text="2024-02-30")
@example(text="2024-06")
def test_an_input_is_read_if_the_schema_has_it(kind: str, text: str) -> None:
    pattern = of_input("at", kind, "")["pattern"].replace("$", r"\Z")
    has = re.search(pattern, text) is not None
    assert has == readable(READ[kind], text) or text[:4] in ("0001", "9999")  # beyond the years that there are


def test_codes_are_those_that_are_taken() -> None:
    assert of_result("_summary", "code", "true", ("Patient",), lines=False, counting=False)["enum"] == [
        "true", "text", "data", "false",
    ]  # fmt: skip
    assert "ndjson" in of_result("_format", "string", "json", (), lines=True, counting=True)["enum"]
    assert "ndjson" not in of_result("_format", "string", "json", (), lines=False, counting=True)["enum"]
    assert of_search("quantity", "5")["$ref"].endswith("/search-text")


def test_names_stand_between_commas_with_a_sign_or_none() -> None:
    pattern = listed(["value[x]", "status"], "-?")["pattern"]
    assert all(re.search(pattern, text) for text in ("status", "-status,value[x]", "-value[x]"))
    assert not any(re.search(pattern, text) for text in ("", "status,", "--status", "valuex", "statuss"))


def test_years_are_those_that_there_are() -> None:
    assert not allowed("search-date", "0000") and date_range("0000") is None
    assert allowed("search-date", "0001") and date_range("0001") is not None
