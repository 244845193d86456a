"""Norwegian national identity numbers: told apart from other numbers by date and control digits."""

from __future__ import annotations

import datetime
import re
from operator import mul

FIRST_WEIGHTS = (3, 7, 6, 1, 8, 9, 4, 5, 2, 1)
SECOND_WEIGHTS = (5, 4, 3, 2, 7, 6, 5, 4, 3, 2, 1)
D_NUMBER = 40  # added to the day
MONTH_SHIFTS = (0, 40, 65, 80)  # hospital number; synthetic numbers of Norsk helsenett and of Skatteetaten
LEAP_YEAR = 2000  # the number does not say the century; 29 February is judged on the year's two digits


# Eleven digits on their own; a hash or another long number that happens to hold such a run is no person.
_ELEVEN = re.compile(r"(?<![0-9A-Za-z])([0-9]{6})[ -]?([0-9]{5})(?![0-9A-Za-z])")


def holds_person_number(text: str) -> bool:
    """Whether a valid national identity number (or D-number, or synthetic one) stands in the text."""
    return any(is_national_identity_number(found[1] + found[2]) for found in _ELEVEN.finditer(text))


def is_national_identity_number(text: str) -> bool:
    """Whether the text is a birth number or D-number: 11 digits, a real date and both control digits.

    The first control digit is also accepted by the rule for numbers issued from 2032 (remainder 0 to 3).
    """
    if len(text) != 11 or not (text.isascii() and text.isdigit()):
        return False
    first, second = remainders(text)
    return first <= 3 and second == 0 and _has_date(text)


def remainders(number: str) -> tuple[int, int]:
    """Return what each control digit of 11 digits leaves by modulus 11.

    0 and 0 by the rule of today; from 2032 the first may be up to 3 (Skatteetaten).
    """
    digits = list(map(int, number))
    return sum(map(mul, FIRST_WEIGHTS, digits)) % 11, sum(map(mul, SECOND_WEIGHTS, digits)) % 11


def _has_date(text: str) -> bool:
    day, month, year = int(text[:2]), int(text[2:4]), int(text[4:6])
    days = (day, day - D_NUMBER)
    months = [month - shift for shift in MONTH_SHIFTS]
    return any(is_date(LEAP_YEAR + year, m, d) or is_date(1900 + year, m, d) for m in months for d in days)


def is_date(year: int, month: int, day: int) -> bool:
    """Whether there is such a day."""
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True
