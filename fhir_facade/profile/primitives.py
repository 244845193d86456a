"""Formats of R4's primitive types, https://hl7.org/fhir/R4/datatypes.html: right, or why not.

`check` is the judge. `inline` gives the same verdict as a Python expression for generated code: cheap tests first, and
the judge where they do not settle it.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from fhir_facade.emit import Source

LONGEST_STRING = 1024 * 1024
"""Bytes of a string, R4: a string shall not exceed 1 MB."""

ACCEPTED_KEPT = 4096
LONGEST_KEPT = 128

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_DATE = re.compile(r"(\d{4})(-\d\d(-\d\d)?)?", re.ASCII)
_TIME = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
_ZONE = r"(Z|[+-](0\d|1[0-3]):[0-5]\d|[+-]14:00)"
_DATE_TIME = re.compile(rf"(\d{{4}}-\d\d-\d\d)T{_TIME}{_ZONE}", re.ASCII)
_CLOCK = re.compile(_TIME, re.ASCII)
_CODE = re.compile(r"[^\s]+( [^\s]+)*")
_ID = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_OID = re.compile(r"urn:oid:[0-2](\.(0|[1-9]\d*))+", re.ASCII)
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_SPACE = re.compile(r"\s")


def check(type_name: str, value: Any) -> str | None:
    """None when a JSON value is right for a primitive type, else why not, as the key of a reason.

    Keys: json-kind, empty, control-character, whitespace, too-long, pattern, no-such-date, range.
    """
    judge = CHECKS.get(type_name)
    return _string(value) if judge is None else judge(value)


def _string(value: Any) -> str | None:
    if not isinstance(value, str):
        return "json-kind"
    if not value:
        return "empty"
    if _CONTROL.search(value):
        return "control-character"
    if not value.strip():
        return "whitespace"
    if len(value) > LONGEST_STRING // 4 and len(value.encode()) > LONGEST_STRING:
        return "too-long"
    return None


def _text(form: re.Pattern[str]) -> Callable[[Any], str | None]:
    """A judge of strings that a pattern describes whole."""

    def judge(value: Any) -> str | None:
        if not isinstance(value, str):
            return "json-kind"
        if not value:
            return "empty"
        return None if form.fullmatch(value) else "control-character" if _CONTROL.search(value) else "pattern"

    return judge


def _code(value: Any) -> str | None:
    found = _string(value)
    return found or (None if _CODE.fullmatch(value) else "whitespace")


def _uri(value: Any) -> str | None:
    found = _string(value)
    if found:
        return found
    if _SPACE.search(value):
        return "whitespace"
    if value.startswith("urn:oid:"):
        return None if _OID.fullmatch(value) else "pattern"
    if value.startswith("urn:uuid:"):
        return None if _UUID.fullmatch(value.lower()) else "pattern"
    return None


def _boolean(value: Any) -> str | None:
    return None if value is True or value is False else "json-kind"


def _whole(low: int) -> Callable[[Any], str | None]:
    def judge(value: Any) -> str | None:
        if not isinstance(value, int) or isinstance(value, bool):
            return "json-kind"
        return None if low <= value <= 2147483647 else "range"

    return judge


def _decimal(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "json-kind"
    return None if isinstance(value, int) or math.isfinite(value) else "range"


def _date(value: Any) -> str | None:
    if not isinstance(value, str):
        return "json-kind"
    if not value:
        return "empty"
    if not _DATE.fullmatch(value):
        return "pattern"
    try:
        date.fromisoformat(f"{value}-01-01"[:10] if len(value) < 10 else value)
    except ValueError:
        return "no-such-date"
    return None


def _date_time(value: Any) -> str | None:
    if not isinstance(value, str) or "T" not in value:
        return _date(value)
    found = _DATE_TIME.fullmatch(value)
    return _date(found[1]) if found else "pattern"


def _instant(value: Any) -> str | None:
    found = _date_time(value)
    return found or (None if "T" in value else "pattern")


def _base64(value: Any) -> str | None:
    if not isinstance(value, str):
        return "json-kind"
    if not value:
        return "empty"
    if _CONTROL.search(value):
        return "control-character"
    if not value.strip():
        return "whitespace"
    try:
        packed = "".join(value.split()).encode("ascii") if _SPACE.search(value) else value.encode("ascii")
        base64.b64decode(packed, validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return "pattern"
    return None


CHECKS: Mapping[str, Callable[[Any], str | None]] = {
    "boolean": _boolean,
    "integer": _whole(-2147483648),
    "unsignedInt": _whole(0),
    "positiveInt": _whole(1),
    "decimal": _decimal,
    "string": _string,
    "markdown": _string,
    "code": _code,
    "id": _text(_ID),
    "uri": _uri,
    "url": _uri,
    "canonical": _uri,
    "oid": _text(_OID),
    "uuid": _text(_UUID),
    "base64Binary": _base64,
    "date": _date,
    "dateTime": _date_time,
    "instant": _instant,
    "time": _text(_CLOCK),
}
"""Type → its judge. xhtml is judged by narrative.py."""


class Accepted(set[str]):
    """Values that were right before, up to a bound: codes and URIs come again and again."""

    def __init__(self, judge: Callable[[Any], str | None]) -> None:
        super().__init__()
        self._judge = judge

    def take(self, value: Any) -> bool:
        """Whether a value is right; what is right is remembered while there is room."""
        if self._judge(value) is not None:
            return False
        if len(self) < ACCEPTED_KEPT and len(value) <= LONGEST_KEPT:
            self.add(value)
        return True


_REPEATED = {name: Accepted(CHECKS[name]) for name in ("code", "uri", "url", "canonical", "id", "oid", "uuid")}


def is_good_string(value: Any) -> bool:
    return _string(value) is None


def is_good_date(value: Any) -> bool:
    """A whole date by the standard library, any other by the judge."""
    try:
        if len(value) == 10 and value[4::3] == "--":
            date.fromisoformat(value)
            return True
    except (TypeError, ValueError, KeyError):  # what is no text has no such parts, or others
        pass
    return _date(value) is None


def is_good_date_time(value: Any) -> bool:
    """A date and time of the usual form by the standard library, any other by the judge."""
    try:
        if len(value) == 25 and value[4::3] == "--T::+:":
            datetime.fromisoformat(value)
            return bool(value[11:13] != "24" and value[20:] <= "14:00" and value[23] < "6")
        if len(value) == 10 and value[4::3] == "--":
            date.fromisoformat(value)
            return True
    except (TypeError, ValueError, KeyError):  # what is no text has no such parts, or others
        pass
    return _date_time(value) is None


def is_good_instant(value: Any) -> bool:
    """An instant in UTC to the millisecond by the standard library, any other by the judge."""
    try:
        if len(value) == 24 and value[4:20:3] == "--T::." and value[23] == "Z":
            datetime.fromisoformat(value)
            return bool(value[11:13] != "24")
    except (TypeError, ValueError, KeyError):  # what is no text has no such parts, or others
        pass
    return _instant(value) is None


def inline(type_name: str, variable: str, source: Source) -> str:
    """A Python expression over a local variable: true when its value is right for a primitive type."""
    if type_name == "boolean":
        return f"({variable} is True or {variable} is False)"
    if type_name in _REPEATED:
        known = source.bind(f"known_{type_name}", _REPEATED[type_name])
        take = source.bind(f"take_{type_name}", _REPEATED[type_name].take)
        # a list or an object cannot be looked up in a set
        return f"(type({variable}) is str and ({variable} in {known} or {take}({variable})))"
    if type_name in ("string", "markdown"):
        good = source.bind("is_good_string", is_good_string)
        # printable and beyond a blank: neither empty nor white space, and no control characters
        quick = f"{variable} > '!' and len({variable}) < 65536 and {variable}.isprintable()"
        return f"(type({variable}) is str and ({quick} or {good}({variable})))"
    if type_name == "dateTime":
        return f"{source.bind('is_good_date_time', is_good_date_time)}({variable})"
    if type_name == "date":
        return f"{source.bind('is_good_date', is_good_date)}({variable})"
    if type_name == "instant":
        return f"{source.bind('is_good_instant', is_good_instant)}({variable})"
    return f"({source.bind(f'check_{type_name}', CHECKS.get(type_name, _string))}({variable}) is None)"
