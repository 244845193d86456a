"""Primitive formats and narrative: good and bad values by type; the fast expression agrees with the judge."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.definitions import definitions
from fhir_facade.emit import Source
from fhir_facade.profile.narrative import check_narrative, is_good_narrative
from fhir_facade.profile.primitives import _REPEATED, ACCEPTED_KEPT, CHECKS, LONGEST_KEPT, Accepted, check, inline

UUID = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
GOOD: dict[str, list[Any]] = {
    "boolean": [True, False],
    "integer": [0, -5, 2147483647, -2147483648],
    "unsignedInt": [0, 1, 2147483647],
    "positiveInt": [1, 2147483647],
    "decimal": [0, 1.5, -3, 1e10, -0.0, 5e-324, 1.7976931348623157e308, 10**400, 123456789012345678901],
    "string": [
        "a",
        "!",
        "blå bær",
        "a\nb\tc\r\n",
        "ÆØÅ",
        "\u00a0a",
        " a",
        "😀",
        "\ufeffa",
        "x" * 1048576,
        "ø" * 524288,
        "😀" * 262144,
        "x" * 65536,
    ],
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
    "unsignedInt": [-1, True, 2147483648, 1.0, "1", 10**400],
    "positiveInt": [0, -1, True, 2147483648],
    "decimal": ["1", True, None, float("nan"), float("inf"), float("-inf")],
    "string": ["", " ", "\n", "\u3000", "\u2028", "a\x00", "a\x0b", "a\x7f", "a\x85", 1, None, {}, "\ud800", "a\udc00", "x" * 1048577, "ø" * 524289, "😀" * 262145],
    "markdown": ["", 1],
    "code": ["", " ", " a", "a ", "a  b", "a\tb", "a\nb", "a\n", "a\u00a0b", "a\u2003b", "a\x00", 1, [], {}, ["a"]],
    "id": ["", "a b", "å", "x" * 65, "a_b", "a\n", "a/b", "١", 1, None, []],
    "uri": ["", " ", "a b", "a\n", "a\u00a0", "urn:oid:", "urn:oid:1", "urn:oid:1.2.", "urn:oid:1..2", "urn:oid:1.٣", "urn:uuid:", UUID + "0", UUID[:-1] + "g", "urn:oid:abc", "urn:oid:3.1", "urn:oid:1.02", "urn:uuid:1", 1],
    "url": ["http://a b", ""],
    "canonical": ["a\tb"],
    "oid": ["1.2.3", "urn:oid:", "urn:oid:1.", "urn:oid:1", "urn:oid:3.1", "urn:oid:1.02", "urn:oid:1.2\n", "urn:OID:1.2"],
    "uuid": ["0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", "urn:uuid:x", UUID + "\n", UUID.upper(), UUID.replace("-", "")],
    "base64Binary": ["", " ", "\n", "A", "AA", "AAA", "A===", "=", "====", "AA==AA==", "AA=A", "AA-_", "A!==", "AA\x85EC", "AA\x00EC", "ø", "ＡＡＥＣ", 1],
    "date": ["", "24", "2024-13", "2024-02-30", "2023-02-29", "2024-2-1", "2024-02-29T08:30:00Z", "0000-01-01", "2024-02-29 ", 2024],
    "dateTime": ["2024-02-29T08:30", "2024-02-29T08:30:00", "2024-02-29T24:00:00Z", "2024-02-30T08:30:00Z", "2024-02-29T08:60:00Z", "2024-02-29T08:30:00+25:00", "2024-02-29T08:30:00+14:30", "2024-02-29t08:30:00Z", "2024-02-29T08:30:00z", "2024-02-29 08:30:00Z", "２０２４"],
    "instant": ["2024-02-29", "2024", "2024-02-29T08:30Z", "2024-02-29T08:30:00", "2024-02-30T08:30:00Z", "2024-02-29T08:30:00Z\n", "", 1, None],
    "time": ["8:30:00", "08:30", "24:00:00", "08:30:00Z", "08:60:00", "08:30:61", "08:30:00.", "08:30:00\n", "T08:30:00"],
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


ADVERSARIAL: list[Any] = [
    "", " ", "!", "! ", "!!", '"', "~", "\x7f", "\x80", "\xa0", "\xad", "\u200b", "\u2028", "\u3000", "\ud7ff", "\ud800", "\udfff",
    "\ue000", "\ufeff", "\uffff", "\U000e0001", "\U0010ffff", "a\n", "a\r\nb", "\ta", "a" * 65535, "a" * 65536, "a\n" * 40_000,
    "ø" * 524289, "a" * 1048577, "a" * 127, "a" * 128, "a" * 129, "0" * 25, "2024-05-17T08:30:00+02:00", "2024-05-17T24:00:00+02:00",
    "2024-05-17T08:30:60+02:00", "2024-05-17T08:30:61+02:00", "2024-05-17T08:30:00-14:00", "2024-05-17T08:30:00+14:01",
    "2024-05-17T08:30:00+13:60", "2024-05-17T08:30:00+0a:00", "2024-05-17T08:30:00+ 2:00", "2023-02-29T08:30:00+02:00",
    "0000-05-17T08:30:00+02:00", "２024-05-17T08:30:00+02:00", "2024-05-17T08:30:00+02:0٣", "2024-05-17t08:30:00+02:00",
    "2024-05-17 08:30:00+02:00", "2024-05-17T08:30:00,5+02:0", "2024-05-17T08:30:00.5+02:00", "2024-05-17T08:30:00+02:00\n",
    0, -0, 1, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63, 2**64, 10**400, 0.0, -0.0, 1.0, 5e-324, float("nan"), float("inf"),
    True, False, None, [], [1] * 25, ["a"], {}, {"a": 1}, *({str(number): number for number in range(size)} for size in (10, 24, 25)),
    *([1] * size for size in (10, 24)), "2024-05-17T08:30:00.123Z", "2024-05-17T24:00:00.123Z", "2024-05-17T08:30:60.123Z",
    "2023-02-29T08:30:00.123Z", "2024-05-17T08:30:00.12٣Z", "2024-05-17t08:30:00.123Z", "2024-05-17T08:30:00,123Z",
    "2024-02-29", "2023-02-29", "2024-02-2٩", "2024-W20-5", "0000-01-01", "2024--1-01", ("a",), b"a" * 25,
]  # fmt: skip


@pytest.mark.parametrize("type_name", CHECKS)
def test_both_agree_on_what_is_made_to_part_them(type_name: str) -> None:
    for value in ADVERSARIAL:
        for _ in range(2):
            assert bool(FAST[type_name](value)) == (check(type_name, value) is None), ascii(value)[:60]


def test_what_was_right_is_remembered_up_to_a_bound() -> None:
    """A client may invent codes without end; those that come after are judged each time, and as well."""
    asked: list[str] = []

    def judge(value: str) -> str | None:
        asked.append(value)
        return check("code", value)

    known = Accepted(judge)
    for number in range(ACCEPTED_KEPT + 100):
        assert known.take(f"c{number}")
        assert not known.take(f"c{number} ")
    assert len(known) == ACCEPTED_KEPT == 4096
    assert "c0" in known and f"c{ACCEPTED_KEPT}" not in known
    assert known.take("late") and known.take("late") and asked[-2:] == ["late", "late"]
    assert not any(each.endswith(" ") for each in known)


def test_a_long_value_is_not_remembered() -> None:
    known = Accepted(lambda _: None)
    assert known.take("x" * LONGEST_KEPT) and known.take("x" * (LONGEST_KEPT + 1))
    assert known == {"x" * LONGEST_KEPT}


def test_the_fast_expression_remembers_no_more_than_its_bound() -> None:
    """The same through the code that is generated: each type that is looked up has its own set."""
    for name, known in _REPEATED.items():
        before = set(known)
        try:
            good = {"oid": "urn:oid:1.2.{}", "uuid": "urn:uuid:0c3151bd-1cbf-4d64-b04d-{:012}"}.get(name, "a.{}")
            assert all(FAST[name](good.format(number)) for number in range(ACCEPTED_KEPT + 10))
            assert len(known) == ACCEPTED_KEPT
            assert FAST[name](good.format(ACCEPTED_KEPT + 9)) and not FAST[name](" ")
        finally:
            known.clear()
            known |= before


@given(
    st.sampled_from(sorted(CHECKS)),
    st.sampled_from(sorted(GOOD)),
    st.integers(0, 60),
    st.characters() | st.sampled_from("\n\t \x00\ud800"),
)
def test_a_good_value_with_one_letter_more_or_another(type_name: str, kind: str, place: int, letter: str) -> None:
    for good in GOOD[kind]:
        if isinstance(good, str) and len(good) < 100:
            for value in (good[:place] + letter + good[place:], good[:place] + letter + good[place + 1 :]):
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
    *((f'<div {X}><a href="{link}">a</a></div>', "not-allowed") for link in ("&#106;avascript:x", "java&#9;script:x", "&nbsp;JAVASCRIPT:x", "vbscript:x", "data:text/html,x", "data:image/svg+xml,x", "data:image/png;base64,AA==", " data:,x")),
    *((f'<div {X}><a href="{link}">a</a></div>', "not-xml") for link in ("javascript&colon;x", "&Tab;javascript:x", "&unknown;", "&#0;", "&#1;javascript:x", "&", "<")),
    *((f'<div {X}><a href="{link}">a</a></div>', None) for link in ("http://x.no/?a=javascript:", "#a", "a&amp;b", "&eacute;", "mailto:a@b.no", "")),
    *((f'<div {X}><img src="{link}"/></div>', None) for link in ("data:image/png;base64,AA==", "data:image/jpeg;base64,AA==", "data:image/svg+xml;base64,AA==")),
    *((f'<div {X}><img src="{link}"/></div>', "not-allowed") for link in ("data:,x", "data:text/html,x", "data:application/xhtml+xml,x", "javascript:x")),
    *((f'<div {X}><{tag} {name}="javascript:x">a</{tag}></div>', "not-allowed") for tag, name in (("blockquote", "cite"), ("del", "cite"), ("img", "longdesc"), ("img", "usemap"))),
    *((f'<div {X} style="{style}">a</div>', "not-allowed") for style in ("&#117;rl(x)", "background: URL (x)", "width: expr/**/ession(1)", "background: u\\72l(x)", "behavior: url(x)", "-moz-binding: x", "b: ur/* a */l(x)", "b: expr/**/ession(1) /* a", "background: image-set('x' 1x)", "@import 'x'")),
    *((f'<div {X} style="{style}">a</div>', None) for style in ("", "scroll-behavior: smooth", "width: 1px /* a */; height: 2px", "width: 1px /* a", "color: #123; font-family: 'Arial'", "width: calc(100% - 2em)")),
    (f"<div {X}><!-- b --></div>", "empty"),
    (f"<div {X}>&amp;nbsp;</div>", None),
    (f"<div {X}>&nbsp; &emsp;</div>", "empty"),
    (f"<div {X}>&rlm;&amp</div>", "not-xml"),
    (f"<div {X}><!-- <script> -->a</div>", None),
    (f"<div {X}><![CDATA[<script>]]></div>", None),
    (f"<!-- a --><div {X}>a</div><!-- b -->", None),
    ('<h:div xmlns:h="http://www.w3.org/1999/xhtml">a</h:div>', None),
    (f'<div {X}><p xmlns="http://x.no">a</p></div>', "not-allowed"),
    (f'<div {X} xmlns:x="http://x.no" x:href="a">a</div>', "not-allowed"),
    (f"<div {X}><P>a</P></div>", "not-allowed"),
    (f'<div {X} class="a" class="b">a</div>', "not-xml"),
    (f"<div {X}>a</div><div {X}>a</div>", "not-xml"),
    (f"<div {X}>a</div>b", "not-xml"),
    (f"<div {X}>&#160;&#32;\u00a0</div>", "empty"),
    (f"<div {X}>&nbsp;&copy;</div>", None),
    (f"<div {X}>\x01</div>", "not-xml"),
    (f"<div {X}>\ud800</div>", "not-xml"),
    (f"<div {X}>&#xD800;</div>", "not-xml"),
    (f"<div {X}>\ufffe</div>", "not-xml"),
    (f'<?xml version="1.0" encoding="latin-1"?><div {X}>å</div>', None),
    (f'<?xml version="1.0" encoding="cp037"?><div {X}><script/></div>', "not-allowed"),
    (f"<div {X}>{'<b>' * 99}a{'</b>' * 99}</div>", None),
    (f"<div {X}>{'<b>' * 100}a{'</b>' * 100}</div>", "not-allowed"),
    (f"<div {X}>{'a' * (4 * 1024 * 1024)}</div>", "too-long"),
    ("", "not-xml"),
    ("a", "not-xml"),
    (f"<div {X}>{'<p>' * 200}a{'</p>' * 200}</div>", "not-allowed"),
]  # fmt: skip


@pytest.mark.parametrize("text, wanted", NARRATIVES, ids=[ascii(text[:90]) for text, _ in NARRATIVES])
def test_a_narrative_is(text: str, wanted: str | None) -> None:
    found = check_narrative(text)
    assert (found[0] if found else None) == wanted
    assert is_good_narrative(text) == (wanted is None)


@pytest.mark.parametrize("entity", ["&nbsp;", "&eacute;", "&thetasym;", "&#160;", "x"])
def test_what_is_no_xml_is_told_where_it_stands(entity: str) -> None:
    assert check_narrative(f"<div {X}>{entity}\n{entity}<</div>") == ("not-xml", f"2:{len(entity) + 2}")


@given(st.text(max_size=40))
def test_any_text_as_narrative_ends_in_an_answer(text: str) -> None:
    check_narrative(f"<div {X}>{text}</div>")
    check_narrative(text)
