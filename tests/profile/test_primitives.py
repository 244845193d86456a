"""Primitive formats and narrative: good and bad values by type; the fast expression agrees with the judge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.definitions import definitions
from fhir_facade.emit import Source
from fhir_facade.profile.narrative import check_narrative, is_good_narrative
from fhir_facade.profile.primitives import CHECKS, check, inline

UUID = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
GOOD: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": [0, -5, 2147483647, -2147483648],
    "unsignedInt": [0, 1, 2147483647],
    "positiveInt": [1, 2147483647],
    "decimal": [0, 1.5, -3, 1e10],
    "string": ["a", "blå bær", "a\nb\tc", "ÆØÅ", "\u00a0a", " a"],
    "markdown": ["# a\n\n- b"],
    "code": ["a", "a b", "urn:x", "ø"],
    "id": ["a", "A-b.9", "x" * 64],
    "uri": ["http://a", "urn:oid:1.2.3", UUID, "HNR", "a:b", "#a", "urn:other:x"],
    "url": ["https://a.no/b?c=d"],
    "canonical": ["http://a|1.0#b"],
    "oid": ["urn:oid:2.16.578.1"],
    "uuid": [UUID],
    "base64Binary": ["AAEC", "AA==", "AA EC\n"],
    "date": ["2024", "2024-02", "2024-02-29", "0001-01-01", "9999-12-31"],
    "dateTime": [
        "2024",
        "2024-02-29",
        "2024-02-29T08:30:00Z",
        "2024-02-29T08:30:00.123+01:00",
        "2024-02-29T23:59:60Z",
        "2024-02-29T00:00:00-14:00",
    ],
    "instant": ["2024-02-29T08:30:00Z", "2024-02-29T08:30:00.1+02:00"],
    "time": ["08:30:00", "23:59:60.5"],
}
BAD: dict[str, list[Any]] = {
    "boolean": ["true", 1, 0, None, []],
    "integer": [1.0, "1", True, 2147483648, -2147483649],
    "unsignedInt": [-1, True],
    "positiveInt": [0, -1],
    "decimal": ["1", True, float("nan"), float("inf")],
    "string": ["", " ", "\n", "a\x00", "a\x0b", 1, None, {}, "\ud800"],
    "markdown": ["", 1],
    "code": ["", " a", "a ", "a  b", "a\tb", "a\nb", 1],
    "id": ["", "a b", "å", "x" * 65, "a_b", "a\n"],
    "uri": ["", "a b", "urn:oid:abc", "urn:oid:3.1", "urn:oid:1.02", "urn:uuid:1", 1],
    "url": ["http://a b", ""],
    "canonical": ["a\tb"],
    "oid": ["1.2.3", "urn:oid:", "urn:oid:1."],
    "uuid": ["0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "urn:uuid:x"],
    "base64Binary": ["", "A", "A!==", "ø", 1],
    "date": ["", "24", "2024-13", "2024-02-30", "2023-02-29", "2024-2-1", "2024-02-29T08:30:00Z", "0000-01-01", "2024-02-29 ", 2024],
    "dateTime": ["2024-02-29T08:30", "2024-02-29T08:30:00", "2024-02-29T24:00:00Z", "2024-02-30T08:30:00Z", "2024-02-29T08:60:00Z", "2024-02-29T08:30:00+25:00", "2024-02-29T08:30:00+14:30", "2024-02-29t08:30:00Z", "2024-02-29T08:30:00z", "2024-02-29 08:30:00Z", "２０２４"],
    "instant": ["2024-02-29", "2024", "2024-02-29T08:30Z"],
    "time": ["8:30:00", "08:30", "24:00:00", "08:30:00Z"],
}  # fmt: skip


def test_every_primitive_type_of_r4_is_here() -> None:
    primitive = {name for name in CHECKS if definitions().kind(name) == "primitive-type"}
    assert primitive == set(CHECKS) == set(GOOD) == set(BAD)


def fast(type_name: str) -> Any:
    source = Source()
    with source.block("def judge(v):"):
        source.line(f"return {inline(type_name, 'v', source)}")
    return source.compile("judge", f"primitive {type_name}")


@pytest.mark.parametrize("type_name", CHECKS)
def test_good_is_right_and_bad_is_wrong_for_both(type_name: str) -> None:
    judge = fast(type_name)
    for value in GOOD[type_name]:
        assert check(type_name, value) is None, value
        assert judge(value) and judge(value), value
    for value in BAD[type_name]:
        assert check(type_name, value) is not None, value
        assert not judge(value), value


FAST = {name: fast(name) for name in CHECKS}
PARTS = st.text(alphabet="0123456789-T:+Z.WM a", max_size=26)


@given(
    st.sampled_from(sorted(CHECKS)),
    PARTS | st.text(max_size=12) | st.integers() | st.floats() | st.none() | st.lists(st.integers()),
)
def test_the_fast_expression_agrees_with_the_judge(type_name: str, value: Any) -> None:
    assert bool(FAST[type_name](value)) == (check(type_name, value) is None)


@given(
    st.sampled_from(["date", "dateTime", "instant"]),
    st.datetimes(),
    st.integers(0, 24),
    st.integers(0, 25),
    st.sampled_from("0123456789-:TZ+"),
)
def test_dates_with_one_letter_changed(type_name: str, moment: Any, place: int, offset: int, letter: str) -> None:
    text = f"{moment:%Y-%m-%dT%H:%M:%S}+{offset:02}:00".rjust(25, "0")
    for value in (text, text[:place] + letter + text[place + 1 :], text[:place]):
        assert bool(FAST[type_name](value)) == (check(type_name, value) is None)


X = 'xmlns="http://www.w3.org/1999/xhtml"'
NARRATIVES: list[tuple[str, str | None]] = [
    (f"<div {X}>a</div>", None),
    (f'<div {X} xml:lang="nb" lang="nb"><p class="x">a <b>b</b></p><table><tr><td colspan="2">c</td></tr></table></div>', None),
    (f'<div {X}><img src="#a" alt="b"/></div>', None),
    (f'<div {X}><a href="http://x.no">a</a>&nbsp;&aelig;&lt;</div>', None),
    (f'<div {X}><span style="color: red">a</span></div>', None),
    (f"<div {X}/>", "empty"),
    (f"<div {X}> <p>\n</p></div>", "empty"),
    (f"<div {X}>&nbsp;</div>", "empty"),
    ("<div>a</div>", "not-allowed"),
    (f"<p {X}>a</p>", "not-allowed"),
    *((f"<div {X}><{tag}>a</{tag}></div>", "not-allowed") for tag in ("script", "object", "form", "input", "iframe", "style", "body", "svg", "link", "base", "video")),
    *((f'<div {X} {name}="a">b</div>', "not-allowed") for name in ("onclick", "onload", "srcdoc", "data-x", "formaction")),
    (f'<div {X}><a href=" java&#10;script:alert(1)">a</a></div>', "not-allowed"),
    (f'<div {X} style="background: url(http://x)">a</div>', "not-allowed"),
    (f"<!DOCTYPE div><div {X}>a</div>", "not-allowed"),
    (f'<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><div {X}>&b;</div>', "not-allowed"),
    (f"<?php x ?><div {X}>a</div>", "not-allowed"),
    (f"<div {X}>a&unknown;</div>", "not-xml"),
    (f"<div {X}>a", "not-xml"),
    (f"<div {X}><p>a</div>", "not-xml"),
    ("", "not-xml"),
    ("a", "not-xml"),
    (f"<div {X}>{'<p>' * 200}a{'</p>' * 200}</div>", "not-allowed"),
]  # fmt: skip


@pytest.mark.parametrize("text, wanted", NARRATIVES, ids=[text[:50] for text, _ in NARRATIVES])
def test_a_narrative_is(text: str, wanted: str | None) -> None:
    found = check_narrative(text)
    assert (found[0] if found else None) == wanted
    assert is_good_narrative(text) == (wanted is None)


@given(st.text(max_size=40))
def test_any_text_as_narrative_ends_in_an_answer(text: str) -> None:
    check_narrative(f"<div {X}>{text}</div>")
    check_narrative(text)
