"""Read the values of search parameters: dates as ranges of time, tokens, references, folded text.

https://hl7.org/fhir/R4/search.html; a date without a clock means that day in Norway.
"""

from __future__ import annotations

import calendar
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from fhir_facade.mapping.codecs import OSLO, Unusable, oslo_time
from fhir_facade.outcome import Issue, Refused

PREFIXES = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?").fullmatch
EXAMPLES: Mapping[str, str] = {
    "date": "ge2024-01-31",
    "token": "urn:oid:2.16.578.1.12.4.1.1.8406|3",
    "reference": "Patient/983974880.P000001",
    "string": "nord",
    "number": "100",
    "quantity": "5.4|http://unitsofmeasure.org|mg",
    "composite": "code$value",
    "boolean": "true",
    "identifier": "http://terminology.hl7.org/CodeSystem/v2-0203|MR|12345",
    "uri": "http://hl7.no/fhir/StructureDefinition/no-basis-Patient",
}
GUARDED = ",|$\\"
"""What a backslash guards (https://hl7.org/fhir/R4/search.html#escaping)."""
KEPT = {"æ", "ø", "å"}  # letters of their own in Norwegian, not accented a and o


class Range(NamedTuple):
    """A span of time in milliseconds since 1970 UTC, the end not included."""

    low: int
    high: int


def invalid(parameter: str, kind: str, reason: str) -> Refused:
    facts = {"name": parameter, "type": kind, "reason": reason, "example": EXAMPLES.get(kind, "")}
    return Refused(Issue("search-value-invalid", parameter, facts))


def guarded_split(text: str, mark: str) -> Iterator[str]:
    """Split at a mark that no backslash guards; the parts keep their backslashes, see `plain`."""
    start, at = 0, 0
    while at < len(text):
        if text[at] == "\\":
            at += 1  # whatever follows is no mark
        elif text[at] == mark:
            yield text[start:at]
            start = at + 1
        at += 1
    yield text[start:]


def plain(text: str) -> str:
    """Text without the backslashes that guard; one before any other letter is itself."""
    if "\\" not in text:
        return text
    out, letters = [], iter(text)
    for letter in letters:
        following = next(letters, "") if letter == "\\" else ""
        out.append(following if following and following in GUARDED else letter + following)
    return "".join(out)


def date_value(parameter: str, text: str) -> tuple[str, Range]:
    """`ge2024-01-31` → ("ge", range); a plus sign that a URL turned into a space is read as a plus."""
    prefix, rest = (text[:2], text[2:]) if text[:2] in PREFIXES else ("eq", text)
    span = date_range(rest.replace(" ", "+"))
    if span is None:
        raise invalid(parameter, "date", "dates are YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm[:ss][Z|+hh:mm]")
    return prefix, span


def date_range(text: str) -> Range | None:
    """The span that a FHIR date or dateTime of any precision covers; None when it is none."""
    match = DATE(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        parts = int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0)
        low = datetime(*parts)  # noqa: DTZ001 a local clock; its zone is found below
    except ValueError:
        return None
    if hour is None:
        return _local(low, _next(low, month, day))
    if zone is None:
        try:
            zone = oslo_time(low.isoformat())[19:]
        except Unusable:
            return None
    start = _instant(low, zone) + (round(float(fraction) * 1000) if fraction else 0)
    return Range(start, start + (1 if fraction else 1000 if second else 60_000))


def _next(low: datetime, month: str | None, day: str | None) -> datetime | None:
    """The first moment behind a year, month or day; None behind the last year there is."""
    if day:
        return low + timedelta(days=1) if (low.year, low.month, low.day) < (9999, 12, 31) else None
    if month:
        return _next(low.replace(day=calendar.monthrange(low.year, low.month)[1]), month, "1")
    return low.replace(year=low.year + 1) if low.year < 9999 else None


def _local(low: datetime, high: datetime | None) -> Range:
    """Norwegian midnights as a range. Midnight exists every day: the clock changes at two and three."""

    def moment(local: datetime) -> int:
        if local.year < 2:
            return int(local.replace(tzinfo=UTC).timestamp() * 1000)
        return int(local.replace(tzinfo=OSLO).timestamp() * 1000)

    return Range(moment(low), moment(high) if high else 253_402_300_800_000)


def _instant(local: datetime, zone: str) -> int:
    if zone == "Z":
        shift = 0
    else:
        sign = -1 if zone[0] == "-" else 1
        shift = sign * (int(zone[1:3]) * 60 + int(zone[4:6]))
    return int(local.replace(tzinfo=UTC).timestamp() * 1000) - shift * 60_000


class Token(NamedTuple):
    """`system|code`: system None when not given, "" for `|code`; code None for `system|`."""

    system: str | None
    code: str | None


def token_value(parameter: str, text: str) -> Token:
    """`system|code` with its guards still in, so that a code may have a bar of its own: `a\\|b`."""
    system, *rest = map(plain, guarded_split(text, "|"))
    if not rest:
        if not system:
            raise invalid(parameter, "token", "it is empty")
        return Token(None, system)
    if len(rest) > 1 or not (system or rest[0]):
        raise invalid(parameter, "token", "write code, system|code, |code or system|; a bar inside a code as \\|")
    return Token(system, rest[0] or None)


class Typed(NamedTuple):
    """`system|code|value`: an identifier of a type."""

    token: Token
    value: str


def typed_value(parameter: str, text: str) -> Typed:
    """The value of :of-type; all three parts are needed."""
    parts = list(map(plain, guarded_split(text, "|")))
    if len(parts) != 3 or not all(parts):
        raise invalid(parameter, "identifier", "write system|code|value, system and code of the identifier's type")
    return Typed(Token(parts[0], parts[1]), parts[2])


def missing_value(parameter: str, values: Sequence[str]) -> bool:
    """`:missing=true` or `false`, and nothing else."""
    if len(values) != 1 or values[0] not in ("true", "false"):
        raise invalid(parameter, "boolean", "write true or false once")
    return values[0] == "true"


def reference_value(parameter: str, text: str) -> tuple[str | None, str]:
    """`Patient/1` → ("Patient", "1"); `1` → (None, "1"); an absolute URL keeps its scheme and matches nothing here."""
    kind, slash, key = text.rpartition("/")
    if not key or (slash and not kind):
        raise invalid(parameter, "reference", "write Type/id or id")
    return (kind or None), key


def folded(text: str) -> str:
    """Text as strings are compared: without case and accents; æ, ø and å stay letters of their own."""
    out = []
    for letter in text.casefold():
        if letter in KEPT or letter < "\x80":
            out.append(letter)
        else:
            plain = unicodedata.normalize("NFKD", letter)
            out.append("".join(part for part in plain if not unicodedata.combining(part)))
    return "".join(out)
