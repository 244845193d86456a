"""JSON text as a resource, strictly: what a lenient parser lets pass is told with its line and column.

orjson reads the text; that no key stands twice is proven by counting, and only where the count cannot prove it is the
text read again. https://hl7.org/fhir/R4/json.html, https://www.rfc-editor.org/rfc/rfc8259
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from fhir_facade.json_places import Places, shortened
from fhir_facade.outcome import Issue

DEEPEST = 100
"""Levels of objects and arrays in one another."""
MOST_BYTES = 64 * 1024 * 1024
MOST_REPEATED = 100

SHORT = 4096
MOST_INDENTED = 256 * 1024
_TOO_INDENTED = b"\n" + b"  " * (DEEPEST + 1)

_MARKS = (b",", b"[", b"{")  # one for each value but the first of each object or list
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*+"', re.DOTALL).sub

_BOMS = ((b"\xef\xbb\xbf", "UTF-8"), (b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16"))

AFTER_END = ("something follows its end", "noe følger etter slutten")
# What orjson says, as (en, nb); what is not listed is told in one general sentence.
REASONS = {
    "trailing comma is not allowed": ("a comma stands before the end", "et komma står før slutten"),
    "unexpected end of data": ("it ends too early", "den slutter for tidlig"),
    "unexpected content after document": AFTER_END,
    "unexpected character, expected a string key": (
        "a key in double quotes was expected", "en nøkkel i doble anførselstegn var ventet"
    ),
    "unexpected character, expected ',' or '}'": ("',' or '}' was expected", "',' eller '}' var ventet"),
    "unexpected character, expected ',' or ']'": ("',' or ']' was expected", "',' eller ']' var ventet"),
    "unexpected character, expected ':' after key": ("':' was expected", "':' var ventet"),
    "unexpected character, expected a JSON value": ("a value was expected", "en verdi var ventet"),
    "unexpected control character in string": (
        "a control character or line break stands in a string", "et kontrolltegn eller linjeskift står i en streng"
    ),
    "number is infinity when parsed as double": ("the number is too large", "tallet er for stort"),
    "number with leading zero is not allowed": ("a number begins with 0", "et tall begynner med 0"),
    "no low surrogate in string": ("half of a surrogate pair stands alone", "et halvt surrogatpar står alene"),
    "invalid low surrogate in string": ("half of a surrogate pair stands alone", "et halvt surrogatpar står alene"),
    "invalid high surrogate in string": ("half of a surrogate pair stands alone", "et halvt surrogatpar står alene"),
}  # fmt: skip
GENERAL = ("it cannot be read from here on", "den kan ikke leses herfra")
EMPTY = ("it is empty", "den er tom")
NO_OBJECT = ("it is no object", "den er ikke et objekt")
NOT_UTF8 = ("a byte is no UTF-8", "en byte er ikke UTF-8")
CONSTANT = ("NaN and Infinity are no values of JSON", "NaN og Infinity er ikke verdier i JSON")


class Placed(NamedTuple):
    """An issue with the line and column, from 1, of what it is about; 0 where that is nowhere in the text."""

    issue: Issue
    line: int = 0
    column: int = 0


class JsonLimits(NamedTuple):
    """How large the parts of a text may be: members of an object or items of a list, values in all, and the characters
    of a string or a key.
    """

    width: int = 10_000
    values: int = 1_000_000
    string: int = MOST_BYTES  # base64Binary has no limit in R4


LIMITS = JsonLimits()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text holds: the resource, None when it cannot be had, and what is wrong with the text itself.

    A resource with keys that stand twice is there, with their last values.
    """

    resource: Any
    issues: tuple[Placed, ...] = ()


def read_text(
    content: bytes, most: int = MOST_BYTES, *, kinds: tuple[type, ...] = (dict,), limits: JsonLimits = LIMITS
) -> Reading:
    """Read one JSON object of at most so many bytes, or a value of another of the `kinds`."""
    if len(content) > most:
        return _unread(Issue("json-too-large", "", {"limit": most}))
    if _has_more_values(content, limits.values):
        return _unread(Issue("json-too-many-values", "", {"limit": limits.values}))
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        return _unread(*_not_json(content, error))
    if type(value) not in kinds:
        return _unread(_json_issue(NO_OBJECT), *Places(content).locate(""))
    if is_too_deep(content, value):
        return _unread(Issue("json-too-deep", "", {"limit": DEEPEST}))
    if content.count(b",") >= limits.width and _is_wider(value, limits.width):
        return _unread(Issue("json-too-wide", "", {"limit": limits.width}))
    if (begin := _long_string(content, limits.string)) is not None:
        facts = {"limit": limits.string}
        return _unread(Issue("json-string-too-long", "", facts), *Places(content).line_column(begin))
    if keys_are_single(content, value):
        return Reading(value)
    places = Places(content)
    repeated = (
        Placed(Issue("json-duplicate-key", path, {"name": shortened(name)}), *places.line_column(offset))
        for path, name, offset in places.repeated_keys(MOST_REPEATED)
    )
    return Reading(value, tuple(repeated))


def located(content: bytes, issues: Iterable[Issue], within: str = "", first_line: int = 1) -> list[Placed]:
    """The issues with the places of their FHIRPaths; `first_line` is where the text begins in its file."""
    places = Places(content)
    found = []
    for issue in issues:
        line, column = places.locate(issue.at, within)
        found.append(Placed(issue, line + first_line - 1, column))
    return found


def keys_are_single(content: bytes, value: Any) -> bool:
    """Whether no object of a text has a key twice; `value` is what orjson read from it, of bounded depth.

    Every member has one colon outside of strings, and strings have the colons that they have: what orjson writes again
    holds as many colons as the text, or fewer by those of the members that it lost. Only a colon that is written as an
    escape, backslash u003a, is not seen, and then the text is read again.
    """
    written = orjson.dumps(value)
    if written == content:
        return True
    if written.count(b":") == content.count(b":") and b"\\u003" not in content:
        return True
    return _keys_are_single_exactly(content)


def _keys_are_single_exactly(content: bytes) -> bool:
    class Repeated(Exception):
        pass

    def check(pairs: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            raise Repeated

    try:
        json.loads(content, object_pairs_hook=check, parse_int=bool, parse_float=bool)
    except Repeated:
        return False
    return True


def is_too_deep(content: bytes, value: Any) -> bool:
    """Whether a value has more levels than are read.

    Few brackets prove that it has not; else it is written with two spaces for each level, or, where that could take
    much memory, walked through.
    """
    size = len(content)
    if size < SHORT and content.count(b"{") + content.count(b"[") <= DEEPEST:
        return False
    if size <= MOST_INDENTED:
        try:
            return _TOO_INDENTED in orjson.dumps(value, option=orjson.OPT_INDENT_2)
        except orjson.JSONEncodeError:  # it writes 254 levels
            return True
    level: list[Any] = [value]
    for _ in range(DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if (type(inner) is dict or type(inner) is list) and inner
        ]
        if not level:
            return False
    return True


def _has_more_values(content: bytes, most: int) -> bool:
    """Whether a text holds more values than are read; told before they are made."""
    if len(content) <= most:
        return False
    marks = sum(map(content.count, _MARKS))
    return marks >= most and sum(map(_STRINGS(b"", content).count, _MARKS)) >= most  # without those in strings


def _is_wider(value: Any, most: int) -> bool:
    """Whether an object or a list of a value, of bounded depth, has more than so many members."""
    level: list[Any] = [value]
    while level:
        if any(len(each) > most for each in level):
            return True
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) is dict or type(inner) is list
        ]
    return False


def _long_string(content: bytes, most: int) -> int | None:
    """Where the first string or key begins that has more than so many characters."""
    if len(content) <= most:
        return None
    bare = content.replace(b"\\\\", b"..").replace(b'\\"', b"..") if b"\\" in content else content
    parts, end = bare.split(b'"'), -1  # every other one is a string
    if max(map(len, parts)) <= most:
        return None
    for number, part in enumerate(parts):
        begin, end = end, end + 1 + len(part)
        if number % 2 and len(part) > most and len(orjson.loads(content[begin : end + 1])) > most:
            return begin
    return None


def _unread(issue: Issue, line: int = 1, column: int = 1) -> Reading:
    return Reading(None, (Placed(issue, line, column),))


def _json_issue(reason: tuple[str, str]) -> Issue:
    return Issue("json-not-json", "", {"reason": reason[0], "grunn": reason[1]})


def _not_json(content: bytes, error: orjson.JSONDecodeError) -> tuple[Issue, int, int]:
    """What keeps a text from being JSON, with its place."""
    for mark, name in _BOMS:
        if content.startswith(mark):
            text = (
                f"it begins with a byte order mark of {name}",
                f"den begynner med et byterekkefølgemerke for {name}",
            )
            return _json_issue(text), 1, 1
    try:
        content.decode()
    except UnicodeDecodeError as fault:
        return _json_issue(NOT_UTF8), *Places(content).line_column(fault.start)
    if not content.strip(b" \t\r\n"):
        return _json_issue(EMPTY), 1, 1
    if "depth" in error.msg:
        return Issue("json-too-deep", "", {"limit": DEEPEST}), error.lineno, error.colno
    reason = next((said for begin, said in REASONS.items() if error.msg.startswith(begin)), GENERAL)
    if content[len(error.doc[: error.pos].encode()) :].startswith((b"NaN", b"Infinity", b"-Infinity")):
        reason = CONSTANT
    return _json_issue(reason), error.lineno, error.colno
