"""The functions that rules may call beside FHIRPath's own, each with its meaning: the whole list.

A function gets values that are there; where one is missing, its answer is nothing, and so is that of a function which
cannot know. Dates and times are texts; what a function gives has one of the types of the record files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from fhir_facade.npr import calendar
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.identifiers import Kind, Reading, check, classify
from fhir_facade.terminology.judging import judge

LIST = "urn:oid:2.16.578.1.12.4.1.1."
NUMBER_KINDS: Mapping[str, Kind] = {"1": "FNR", "2": "DNR", "3": "HNR", "10": "DUF", "12": "FHN"}
"""Codes of list 9032 whose numbers have a form that is known."""

LAST_OLD_YEAR = 2031
UNKNOWN_CODE = "code-unknown"
TEXTS = frozenset({"text", "code"})
DAYS = frozenset({"date", "dateTime"})


@dataclass(frozen=True, slots=True)
class Function:
    """One function: the types of what it is asked of and of its arguments, and the type of its answer."""

    takes: tuple[frozenset[str], ...]
    gives: str
    apply: Callable[..., Any]
    meaning: str


def is_date(text: str) -> bool:
    """Whether a text is a real date of the years 1900 to 2999, written CCYY-MM-DD."""
    return len(text) == 10 and "1900" <= text[:4] < "3000" and calendar.moment(text) is not None


def is_time(text: str) -> bool:
    """Whether a text is a real time of the years 1900 to 2099 with hours, minutes and seconds."""
    whole = len(text) >= calendar.PLAIN and text[10] == "T" and "1900" <= text[:4] < "2100"
    return whole and calendar.moment(text) is not None


def organisation_number(text: str) -> bool:
    """Whether a text is nine digits with the control digit of organisation numbers; test numbers count."""
    return len(text) == 9 and check("ENH", text).valid is not False


def person_number(text: str, kind: str) -> bool | None:
    """Whether a number has the form and control digits of its type (list 9032); nothing for types without a form."""
    if kind == "9":
        return len(text) == 6 and text.isdigit()
    known = NUMBER_KINDS.get(kind)
    return None if known is None else check(known, text).valid


def sex_told(text: str) -> str | None:
    """1 for male, 2 for female, as an older birth number or D-number tells; nothing when it does not."""
    found = _old(text)
    return None if found is None or found.sex is None else {"male": "1", "female": "2"}[found.sex]


def birth_told(text: str) -> str | None:
    """The birth date that an older birth number or D-number tells; nothing when it does not."""
    found = _old(text)
    return None if found is None or found.born is None else found.born.isoformat()


def _old(text: str) -> Reading | None:
    found = [each for each in classify(text) if each.kind in ("FNR", "DNR") and each.born is not None]
    return found[0] if len(found) == 1 and not found[0].new_rule else None


def overlaps(start: str, end: str, other_start: str, other_end: str) -> bool | None:
    """Whether two spans of time have a moment in common; spans that only meet have none."""
    held = [calendar.instant(each) for each in (start, end, other_start, other_end)]
    a, b, c, d = held
    if a is None or b is None or c is None or d is None:
        return None
    return a < d and c < b


def is_plain_code(text: str) -> bool:
    """Whether a code is written in its normal form: capital letters, no full stop, no surplus zero in front."""
    return text == text.upper() and "." not in text


class Codes:
    """Whether codes are right on a day, remembered; a catalogue's answer does not change while rules run."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._judged = lru_cache(maxsize=1 << 15)(lambda system, code, on: _judged(catalogue, system, code, on))

    def valid(self, code: str, number: str, on: str | None) -> bool | None:
        """Whether a code is in a list of Volven on a day; without a day only whether the list ever had it."""
        answer: bool | None = self._judged(number, code, calendar.day(on) if on else None)
        return answer


def _judged(catalogue: Catalogue, number: str, code: str, on: str | None) -> bool | None:
    verdict = judge(catalogue, LIST + number, code, on=date.fromisoformat(on) if on else None)
    if on is None and verdict.valid is False:
        return False if any(issue.code == UNKNOWN_CODE for issue in verdict.issues) else None
    return verdict.valid


FUNCTIONS: Mapping[str, Function] = {
    "day": Function((DAYS,), "date", calendar.day, "the local calendar day"),
    "clock": Function((DAYS,), "text", calendar.clock, "hours and minutes on the local clock, HH:MM"),
    "daysTo": Function((DAYS, DAYS), "integer", calendar.days_between, "calendar days to another day"),
    "hoursTo": Function((DAYS, DAYS), "integer", calendar.hours_between, "hours to another time, with decimals"),
    "yearsTo": Function((DAYS, DAYS), "integer", calendar.years_between, "whole years to another day, as ages are"),
    "workingDaysTo": Function(
        (DAYS, DAYS), "integer", calendar.working_days_between,
        "working days after this day, up to and with another; public holidays of Norway do not count",
    ),
    "isDate": Function((TEXTS | DAYS,), "boolean", is_date, "a real date, CCYY-MM-DD, from 1900 on"),
    "isTime": Function((TEXTS | DAYS,), "boolean", is_time, "a real time with seconds, of the years 1900 to 2099"),
    "overlaps": Function(
        (DAYS, DAYS, DAYS, DAYS), "boolean", overlaps, "the span to an end shares time with another, of two ends",
    ),
    "orgNumber": Function((TEXTS,), "boolean", organisation_number, "nine digits with a right control digit"),
    "personNumber": Function(
        (TEXTS, TEXTS), "boolean", person_number, "a number of its type in list 9032, control digits right",
    ),
    "sexTold": Function((TEXTS,), "code", sex_told, "the sex (list 3101) that an older birth number tells"),
    "birthTold": Function((TEXTS,), "date", birth_told, "the birth date that an older birth number tells"),
    "plainCode": Function((TEXTS,), "boolean", is_plain_code, "a code without small letters and full stops"),
}  # fmt: skip
"""Beside them, written by the compiler: codeFits() (a code of a record is in its list on the date that the record file
names; true when there is none), codeIn(list, date), listOf(table) and unique(), blanks(), rejectedCodes()."""
