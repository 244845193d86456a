"""Which values a field may hold, by its type: the one judge for NPR-melding and for record files."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from typing import Any

from fhir_facade.mapping.kinds import Field

CODE_LENGTH = 50  # no Norwegian code list comes near
LARGEST = 2**63 - 1  # what an INTEGER column holds

_DATE = re.compile(r"(19\d\d|2\d\d\d)-\d\d-\d\d", re.ASCII).fullmatch
_DATE_TIME = re.compile(
    r"(19\d\d|2\d\d\d)-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?"
    r"(Z|[+-](?:0\d|1[0-3]):[0-5]\d|[+-]14:00)?",
    re.ASCII,
).fullmatch
_YEAR = re.compile(r"(19|20)\d\d", re.ASCII).fullmatch
_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII).fullmatch
_DIGITS = re.compile(r"-?(\d+)", re.ASCII).fullmatch
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").search

_TIME = re.compile(r"T([01]\d|2[0-3])(:[0-5]\d){2}", re.ASCII).fullmatch
IDENTITY_LENGTH = 11  # a national identity number has so many digits
REMEMBERED = 100_000

SPACE = " \t\r\n"  # what XML Schema collapses around values that are not text


class Unfit(ValueError):
    """A value that its field cannot hold; the reason never repeats the value, which may be about a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Remembered(dict[str, bool]):
    """Texts that were found to be good; of them there are few, and others are judged anew each time."""

    def __init__(self, judge: Callable[[str], bool]) -> None:
        super().__init__()
        self.judge = judge

    def __missing__(self, text: str) -> bool:
        good = self.judge(text)
        if good:
            if len(self) >= REMEMBERED:
                self.clear()
            self[text] = good
        return good


def from_text(field: Field, text: str) -> Any:
    """Return the value that the text of an attribute stands for; Unfit when it stands for none."""
    if field.type == "integer":
        return _whole_number(field, text.strip(SPACE))
    value = text if field.type in ("text", "code") else text.strip(SPACE)
    check_text(field, value)
    return value


def check(field: Field, value: Any) -> None:
    """Raise Unfit unless the JSON value may stand in the field."""
    if field.type == "integer":
        if not isinstance(value, int) or isinstance(value, bool):
            raise Unfit("a whole number is expected")
        _check_size(field, value)
    elif not isinstance(value, str):
        raise Unfit("text in quotes is expected")
    else:
        check_text(field, value)


def plain_test(field: Field, *, key: bool = False) -> Callable[[Any], bool]:
    """The test whether a value of a field is one of the many that need no second look; False says nothing.

    A field of a `key` may hold no national identity number, which is a matter for the second look.
    """
    digits, most = field.digits, field.max_length or LARGEST
    match field.type:
        case "integer":
            limit = min(10 ** (digits or 18), 10 ** (IDENTITY_LENGTH - 1) if key else LARGEST)
            return lambda value: value.__class__ is int and 0 <= value < limit
        case "text" if digits:
            longest = min(digits, IDENTITY_LENGTH - 1) if key else digits
            return lambda value: (
                value.__class__ is str and len(value) <= longest and value.isascii() and value.isdigit()
            )
        case "text":
            longest = min(most, IDENTITY_LENGTH - 1) if key else most
            return lambda value: value.__class__ is str and 0 < len(value) <= longest and value.isprintable()
        case "code":
            return lambda value: value.__class__ is str and len(value) <= CODE_LENGTH and value.isalnum()
        case "date":
            return lambda value: value.__class__ is str and DAYS[value]
        case "dateTime":
            return lambda value: value.__class__ is str and DAYS[value[:10]] and TIMES[value[10:]]
        case "year":
            return lambda value: value.__class__ is str and bool(_YEAR(value))


class PlainTests:
    """The tests of the fields of a record or list item."""

    def __init__(self, fields: Mapping[str, Field], key: tuple[str, ...] = ()) -> None:
        self.needed = tuple(name for name, field in fields.items() if field.required == "always")
        self.tests = {name: plain_test(field, key=name in key) for name, field in fields.items()}

    def doubtful(self, record: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
        """The fields that need a second look, in order: those that lack, and values that `known` does not have too."""
        tests = self.tests
        found = [
            name
            for name, value in record.items()
            if name in tests and not ((known and value == known.get(name)) or tests[name](value))
        ]
        if not all(map(record.get, self.needed)):
            found += [name for name in self.needed if record.get(name) is None and (not known or known.get(name))]
        return sorted(set(found), key=list(tests).index) if found else found


def check_text(field: Field, value: str) -> None:
    """Raise Unfit unless the text has the form that the field's type asks for."""
    match field.type:
        case "date":
            if not _DATE(value) or not _is_date(value):
                raise Unfit("a calendar date YYYY-MM-DD between 1900 and 2999 is expected")
        case "dateTime":
            if not _DATE_TIME(value) or not _is_date(value[:10]):
                raise Unfit("YYYY-MM-DDThh:mm:ss between 1900 and 2999 is expected, with or without a zone")
        case "year":
            if not _YEAR(value):
                raise Unfit("a year 19xx or 20xx is expected")
        case "code":
            _check_code(value)
        case _:
            _check_words(field, value)


def _check_code(value: str) -> None:
    if not value or len(value) > CODE_LENGTH:
        raise Unfit(f"a code has 1 to {CODE_LENGTH} characters")
    if value != value.strip() or _NOT_XML(value):
        raise Unfit("a code has no space around it and no control characters")


def _check_words(field: Field, value: str) -> None:
    if not value:
        raise Unfit("it is empty")
    if field.max_length and len(value) > field.max_length:
        raise Unfit(f"it is longer than {field.max_length} characters")
    if field.digits and not ((found := _DIGITS(value)) and len(found[1]) <= field.digits):
        raise Unfit(f"at most {field.digits} digits are expected")
    if _NOT_XML(value):
        raise Unfit("it has control characters")


def _whole_number(field: Field, text: str) -> int:
    if not _INTEGER(text):
        raise Unfit("a whole number is expected")
    value = int(text)
    _check_size(field, value)
    return value


def _check_size(field: Field, value: int) -> None:
    if abs(value) > LARGEST:
        raise Unfit("the number is too large")
    if field.digits and abs(value) >= 10**field.digits:
        raise Unfit(f"at most {field.digits} digits are expected")


def _is_date(text: str) -> bool:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        return False
    return True


DAYS = Remembered(lambda text: bool(_DATE(text)) and _is_date(text))
TIMES = Remembered(lambda text: bool(_TIME(text)))
