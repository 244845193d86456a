"""JSON text read strictly: laws against a slow parser that keeps every member, and examples of each fault."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_facade.json_places import LONG, MOST_MEMBERS, Places, locate
from fhir_facade.json_text import DEEPEST, MOST_INDENTED, JsonLimits, is_too_deep, keys_are_single, located, read_text
from fhir_facade.outcome import Issue


class Members(list[tuple[str, Any]]):
    """An object with all its members, also those of one key."""


def repeated(content: bytes) -> int:
    """How many keys stand in their object already; the slow way."""

    def count(value: Any) -> int:
        if isinstance(value, Members):
            return len(value) - len({key for key, _ in value}) + sum(count(inner) for _, inner in value)
        return sum(map(count, value)) if isinstance(value, list) else 0

    return count(json.loads(content, object_pairs_hook=Members))


# ---- texts that are hard to count in: colons, quotes and escapes in keys and values, white space everywhere

SPACES = st.text(" \t\n\r", max_size=2)
TRICKY = st.sampled_from(
    [":", '":', '" :', "\\", '\\":', '"', "a", "b", "_a", "{", "}", "[", ",", "ø", "\n:", "😀", "u003a"]
)
WORDS = st.lists(TRICKY, max_size=4).map("".join)


@st.composite
def written_string(draw: st.DrawFn, texts: st.SearchStrategy[str] = WORDS) -> str:
    """A string as JSON, some of its letters escaped without need."""
    text = draw(texts)
    plain = json.dumps(text, ensure_ascii=draw(st.booleans()))
    if draw(st.booleans()):
        return '"' + "".join(f"\\u{unit:04x}" for unit in units(text)) + '"'
    return plain


def units(text: str) -> Iterator[int]:
    """The UTF-16 units of a text, which JSON escapes are of."""
    raw = text.encode("utf-16-be")
    return (int.from_bytes(raw[place : place + 2]) for place in range(0, len(raw), 2))


def values(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    keys = written_string(st.sampled_from(["a", "b", ":", '"', "_a"]))
    member = st.tuples(SPACES, keys, SPACES, SPACES, inner, SPACES).map(
        lambda parts: f"{parts[0]}{parts[1]}{parts[2]}:{parts[3]}{parts[4]}{parts[5]}"
    )
    item = st.tuples(SPACES, inner, SPACES).map("".join)
    return st.one_of(
        st.lists(member, max_size=4).map(lambda members: "{" + ",".join(members) + "}"),
        st.lists(item, max_size=3).map(lambda items: "[" + ",".join(items) + "]"),
    )


SCALARS = st.one_of(written_string(), st.sampled_from(["1", "-0.50", "1e5", "true", "null", "123456789012345678901"]))
TEXTS = st.recursive(SCALARS, values, max_leaves=12)
OBJECTS = st.tuples(written_string(st.sampled_from(["a", "b"])), TEXTS, TEXTS).map(
    lambda parts: f'{{{parts[0]}:{parts[1]},"b":{parts[2]}}}'.encode()
)


@given(OBJECTS)
@example(rb'{"a":1,"a":"\u0022:"}')
@example(rb'{"a":1,"a":"\u003a"}')
@example(rb'{"a":1,"a":"\u003A"}')
@example(rb'{"a":":","b":"\u003a","b":1}')
@example(b'{"a" :1,\n"a"\t:2}')
def test_keys_that_stand_twice_are_seen_exactly(content: bytes) -> None:
    expected = repeated(content)
    assert keys_are_single(content, orjson.loads(content)) == (expected == 0)
    reading = read_text(content)
    assert reading.resource == orjson.loads(content)
    assert len(reading.issues) == min(expected, 100)


@given(OBJECTS, st.sampled_from([0, 8, LONG]))
def test_every_member_stands_where_it_is_said_to(content: bytes, long: int) -> None:
    """The value at the offset of each member, parsed alone, is the value in the tree."""
    places = Places(content, long)

    def check(at: int, value: Any) -> None:
        if isinstance(value, Members):
            found = places.members(at)
            assert [each.name for each in found] == [key for key, _ in value]
            for each, (_, inner) in zip(found, value, strict=True):
                assert content[each.key : each.key + 1] == b'"'
                check(each.value, inner)
        elif isinstance(value, list):
            found = places.members(at)
            assert not value or content[places._end(at) - 1 : places._end(at)] == b"]"
            assert len(found) == len(value)
            for each, inner in zip(found, value, strict=True):
                check(each.value, inner)
        else:
            end = places._end(at)
            assert json.loads(content[at:end]) == value

    check(0, json.loads(content, object_pairs_hook=Members))


@given(st.binary(max_size=40) | st.text('{}[]":,\\ 0e-naulstrf\u00e5\ufeff', max_size=30).map(str.encode))
def test_any_bytes_are_a_resource_or_an_issue_with_a_place(content: bytes) -> None:
    reading = read_text(content)
    assert (reading.resource is None) <= bool(reading.issues)
    for issue, line, column in reading.issues:
        assert issue.sentence("nb")
        assert issue.sentence("en")
        assert line >= 1
        assert column >= 1


# ---- what is not JSON

FAULTS = [
    (b"", "it is empty", 1, 1),
    (b" \n", "it is empty", 1, 1),
    (b"[1]", "it is no object", 1, 1),
    (b"\n  [1]", "it is no object", 2, 3),
    (b'"text"', "it is no object", 1, 1),
    (b'{"a": 1,\n "b": 2,\n}', "a comma stands before the end", 2, 8),
    (b'{"a": 1', "it ends too early", 1, 8),
    (b'{"a": 1} x', "something follows its end", 1, 10),
    (b"{'a': 1}", "a key in double quotes was expected", 1, 2),
    (b'{"a": 1 "b": 2}', "',' or '}' was expected", 1, 9),
    (b'{"a": [1 2]}', "',' or ']' was expected", 1, 10),
    (b'{"a" 1}', "':' was expected", 1, 6),
    ('{"å": "å", "b": x}'.encode(), "a value was expected", 1, 17),
    (b'{"a": "\x01"}', "a control character or line break stands in a string", 1, 8),
    (b'{"a": 1e999}', "the number is too large", 1, 7),
    (b'{"a": 007}', "a number begins with 0", 1, 7),
    (b'{"a": "\\ud800"}', "half of a surrogate pair stands alone", 1, 8),
    (b'{"a": NaN}', "NaN and Infinity are no values of JSON", 1, 7),
    (b'{"a": -Infinity}', "NaN and Infinity are no values of JSON", 1, None),
    (b"\xef\xbb\xbf{}", "it begins with a byte order mark of UTF-8", 1, 1),
    ('{"a": 1}'.encode("utf-16"), "it begins with a byte order mark of UTF-16", 1, 1),
    ('{"a":\n "æ"}'.encode("latin-1"), "a byte is no UTF-8", 2, 3),
    (b'{"a": tru}', "it cannot be read from here on", 1, None),
    (b'{"a": 1,\r\n "b": 2,\r\n}', "a comma stands before the end", 2, 8),
    ('{"å😀": 1,\r\n "æ": }'.encode(), "a value was expected", 2, 7),
    (b'{"a": "\\udc00"}', "half of a surrogate pair stands alone", 1, None),
    (b'{"a": "\\ud800\\u0041"}', "half of a surrogate pair stands alone", 1, None),
    (b'{"a": "\xed\xa0\x80"}', "a byte is no UTF-8", 1, 8),
    (b'{"a": "\xc0\xaf"}', "a byte is no UTF-8", 1, 8),
    (b'{"a": Infinity}', "NaN and Infinity are no values of JSON", 1, 7),
    (b'{"a": -1e999}', "the number is too large", 1, 7),
    (b"\xff\xfe{\x00}\x00", "it begins with a byte order mark of UTF-16", 1, 1),
    ("\ufeff".encode() + b" ", "it begins with a byte order mark of UTF-8", 1, 1),
    (b'{"a": +1}', "it cannot be read from here on", 1, None),
    (b'{"a": 1} {"b": 2}', "something follows its end", 1, 10),
    (b"\x00{}", "a value was expected", 1, 1),
    (b'{"a": "\n"}', "a control character or line break stands in a string", 1, None),
]


@pytest.mark.parametrize(("content", "reason", "line", "column"), FAULTS)
def test_what_is_not_json_is_told_with_its_place(content: bytes, reason: str, line: int, column: int | None) -> None:
    reading = read_text(content)
    assert reading.resource is None
    [(issue, at_line, at_column)] = reading.issues
    assert (issue.code, issue.facts["reason"], at_line) == ("json-not-json", reason, line)
    assert column in (None, at_column)


def test_numbers_of_many_digits_do_not_hang() -> None:
    digits = b"9" * 1_000_000
    assert read_text(b'{"a": 1.' + digits + b"}").resource is not None
    assert read_text(b'{"a": 1e' + digits + b"}").resource is None
    assert read_text(b'{"a": "\\u003a", "b": 1.' + digits + b', "b": 1}').issues[0].issue.code == "json-duplicate-key"
    assert read_text(b'{"a": ' + digits + b"}").resource is None


def test_a_text_that_is_too_large_is_not_read() -> None:
    [(issue, _, _)] = read_text(b'{"a": "' + b"x" * 100 + b'"}', most=100).issues
    assert (issue.code, issue.facts["limit"]) == ("json-too-large", 100)


@given(
    st.lists(st.one_of(st.text(max_size=30), st.text('"\\\\å\n :', max_size=30)), max_size=6),
    st.integers(0, 20),
    st.booleans(),
)
def test_strings_and_keys_are_as_long_as_they_may_be(strings: list[str], most: int, escaped: bool) -> None:
    whole = {string: [string, 1] for string in strings}
    content = json.dumps(whole, ensure_ascii=escaped, indent=1).encode()
    reading = read_text(content, limits=JsonLimits(string=most))
    longer = [string for string in whole if len(string) > most]
    assert (reading.resource is None) == bool(longer)
    if longer:
        [(issue, line, column)] = reading.issues
        assert (issue.code, issue.facts["limit"], column) == ("json-string-too-long", most, 2)
        assert line == 2 + 4 * list(whole).index(longer[0])


# ---- depth


def nested(levels: int, padding: int = 0) -> bytes:
    """An object in which that many objects and arrays stand in one another, the outermost counted."""
    inner = "1"
    for level in range(levels - 1, 0, -1):
        inner = f'{{"a":{inner}}}' if level % 2 else f"[{inner}]"
    return f'{{"p":"{"x" * padding}","a":{inner}}}'.encode()


@pytest.mark.parametrize("padding", [0, 5000, MOST_INDENTED])
@pytest.mark.parametrize(
    ("levels", "deep"), [(2, False), (DEEPEST, False), (DEEPEST + 1, True), (300, True), (1000, True), (5000, True)]
)
def test_levels_are_counted_exactly_in_short_and_long_texts(levels: int, deep: bool, padding: int) -> None:
    content = nested(levels, padding)
    if levels < 1000:
        assert is_too_deep(content, orjson.loads(content)) == deep
    reading = read_text(content)
    assert [each.issue.code for each in reading.issues] == ["json-too-deep"] * deep
    assert (reading.resource is None) == deep


# ---- places

TEXT = """{
  "resourceType": "Patient",
  "name": [
    {"family": "Åsen", "given": ["Kari", "Ola"],
     "_given": [null, {"extension": [{"url": "http://a", "valueString": "x"}]}]},
    {"family": "Vik"}
  ],
  "birthDate": "2020-01-01",
  "_birthDate": {"id": "b"},
  "deceasedBoolean": false,
  "extension": [{"url": "http://one"}, {"url": "http://two", "valueQuantity": {"value": 1}}],
  "_gender": {"extension": []},
  "contained": [{"resourceType": "Observation", "valueString": "v", "a\\u0062c": 1}]
}
""".encode()

PLACES = [
    ("Patient", 1, 1),
    ("", 1, 1),
    ("Patient.resourceType", 2, 3),
    ("Patient.name", 3, 3),
    ("Patient.name[0]", 4, 5),
    ("Patient.name[0].family", 4, 6),
    ("Patient.name.family", 4, 6),
    ("Patient.name[1].family", 6, 6),
    ("Patient.name[0].given[1]", 4, 42),
    ("Patient.name[0].given[1].extension", 5, 24),
    ("Patient.name[0].given[1].extension[0].url", 5, 39),
    ("Patient.name[0].given[7]", 4, 24),
    ("Patient.name[9].family", 3, 3),
    ("Patient.birthDate", 8, 3),
    ("Patient.birthDate.id", 9, 18),
    ("Patient.deceased", 10, 3),
    ("Patient.deceased.ofType(boolean)", 10, 3),
    ("Patient.deceasedBoolean", 10, 3),
    ("Patient.extension('http://two').value.value", 11, 80),
    ("Patient.extension[1].value.ofType(Quantity).value", 11, 80),
    ("Patient.extension('http://three')", 11, 3),
    ("Patient.gender", 12, 3),
    ("Patient.gender.extension", 12, 15),
    ("Patient.contained[0].value", 13, 49),
    ("Patient.contained[0].abc", 13, 69),
    ("Patient.absent.more", 1, 1),
    ("Patient.name.where(use = 'usual')", 3, 3),
]


@pytest.mark.parametrize(("expression", "line", "column"), PLACES)
def test_a_path_has_a_line_and_a_column(expression: str, line: int, column: int) -> None:
    assert locate(TEXT, expression) == (line, column)


LINES = '{"resourceType": "Patient",\r\n\t"name": [{"text": "😀 \\ud83d\\ude00 å",\r\n "family": "Ærlig", "given": ["Åse", "Øyvind"]}],\r\n\r\n "gender": "male"}'


@pytest.mark.parametrize(
    ("expression", "line", "column"),
    [
        ("Patient.name", 2, 2),
        ("Patient.name[0].text", 2, 12),
        ("Patient.name[0].family", 3, 2),
        ("Patient.name[0].given[1]", 3, 38),
        ("Patient.gender", 5, 2),
    ],
)
def test_columns_are_letters_and_lines_end_with_a_line_feed(expression: str, line: int, column: int) -> None:
    assert locate(LINES.encode(), expression) == (line, column)
    assert locate(LINES.replace("\r\n", "\n").encode(), expression) == (line, column)


def test_each_offset_at_a_line_end_has_a_line_and_a_column() -> None:
    """A carriage return is the last letter of its line, and the line feed after it too; alone it ends no line."""
    places = Places('{\r\n"å":\r1,\n\r\n}'.encode())
    offsets = (0, 1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 13, 14, 15)
    wanted = [
        (1, 1),
        (1, 2),
        (1, 3),
        (2, 1),
        (2, 2),
        (2, 3),
        (2, 5),
        (2, 6),
        (2, 7),
        (2, 8),
        (3, 1),
        (3, 2),
        (4, 1),
        (4, 2),
    ]
    assert [places.line_column(offset) for offset in offsets] == wanted


@given(st.text("a\r\nå😀", max_size=30), st.integers(0, 30))
def test_a_line_and_a_column_are_what_stands_before(text: str, place: int) -> None:
    before = text[:place]
    found = Places(text.encode()).line_column(len(before.encode()))
    assert found == (before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)


def test_a_resource_inside_another_is_found_by_where_it_stands() -> None:
    text = b'{"resourceType": "Parameters",\n "parameter": [\n{"name": "resource", "resource":\n {"id": "x"}}]}'
    assert locate(text, "Patient.id", "Parameters.parameter[0].resource") == (4, 3)


def test_lines_of_ndjson_are_counted_on() -> None:
    [placed] = located(b'{"id": "x"}', [Issue("value-empty", "Patient.id", {"name": "id"})], first_line=41)
    assert (placed.line, placed.column) == (41, 2)


def test_a_repeated_key_has_path_line_and_column_and_no_number_of_a_person() -> None:
    text = (
        b'{"resourceType": "Patient", "name": [{"family": "A",\n "family": "B"}], "12345678901": 1,\n "12345678901": 2}'
    )
    first, second = read_text(text).issues
    assert (first.issue.at, first.line, first.column) == ("Patient.name[0].family", 2, 2)
    assert (second.issue.at, second.line, second.column) == ("Patient.…", 3, 2)
    assert "12345678901" not in str(second.issue)


def test_many_repeated_keys_are_told_up_to_a_bound() -> None:
    text = b'{"a": [' + b",".join([b'{"x": 1, "x": 2}'] * 1000) + b"]}"
    assert len(read_text(text).issues) == 100


def test_what_is_looked_at_is_bounded_and_the_rest_is_placed_around_it() -> None:
    text = b'{"a": [' + b"1," * (MOST_MEMBERS + 10) + b'{"b": 1}]}'
    places = Places(text)
    assert places.locate(f"A.a[{MOST_MEMBERS - 1}]") == (1, 6 + 2 * MOST_MEMBERS)
    assert places.locate(f"A.a[{MOST_MEMBERS + 10}].b") == (1, 2)


def test_places_in_a_wide_and_a_deep_text_are_found_without_reading_it_again_and_again() -> None:
    wide = b'{"entry": [' + b",".join([b'{"a": {"b": [1, 2, {"c": "]}"}]}}'] * 20_000) + b"]}"
    places = Places(wide)
    found = {places.locate(f"Bundle.entry[{number}].a.b[2].c") for number in range(0, 20_000, 200)}
    assert len(found) == 100
    deep = b'{"a":' * 99 + b'{"z": "' + b"x" * 1_000_000 + b'"}' + b"}" * 99
    assert locate(deep, "A" + ".a" * 99 + ".z") == (1, 5 * 99 + 2)
