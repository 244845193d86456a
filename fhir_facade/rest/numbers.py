"""JSON whose numbers keep their digits: 1.50 is not 1.5 (https://hl7.org/fhir/R4/datatypes.html#decimal).

orjson reads fast and makes a float of a decimal. Where a text may hold a number that a float would change, the
standard library reads it, and such numbers stay the text that they are.
"""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

# a point, an exponent or many digits after a mark; a string that looks so costs time only
_PERHAPS = re.compile(rb"[:\[,]\s*-?[0-9]+(?:[.eE]|(?<=[0-9]{16}))").search
_PLAIN = 15


class Number:
    """A number as the digits that stood in the text."""

    __slots__ = ("digits",)

    def __init__(self, digits: str) -> None:
        self.digits = digits

    def __str__(self) -> str:
        return self.digits


def loads(body: bytes) -> Any:
    """The value of a JSON text; a number that is no small integer is a Number."""
    if _PERHAPS(body) is None:
        return orjson.loads(body)
    return json.loads(body, parse_float=Number, parse_int=_integer)


def dumps(value: Any, option: int = 0) -> bytes:
    """JSON of what `loads` gives; `option` is of orjson."""
    return orjson.dumps(value, default=_digits, option=option)


def _integer(text: str) -> int | Number:
    return int(text) if len(text) <= _PLAIN else Number(text)


def _digits(value: Any) -> orjson.Fragment:
    if isinstance(value, Number):
        return orjson.Fragment(value.digits)
    raise TypeError(type(value).__name__)
