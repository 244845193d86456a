"""Which values a field may hold, by its type: the one judge for NPR-melding and for record files."""

from __future__ import annotations

import datetime
import re
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

SPACE = " \t\r\n"  # what XML Schema collapses around values that are not text


class Unfit(ValueError):
    """A value that its field cannot hold; the reason never repeats the value, which may be about a person."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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


def fits_plainly(field: Field, value: Any) -> bool:
    """Whether a value is one of the many that need no second look; False says nothing."""
    if value.__class__ is str:
        if field.type == "text":
            return value.isprintable() and not field.digits and 0 < len(value) <= (field.max_length or len(value))
        return field.type == "code" and value.isalnum() and len(value) <= CODE_LENGTH
    return value.__class__ is int and field.type == "integer" and 0 <= value < 10 ** (field.digits or 18)


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
