"""Norwegian identifiers: which kind a number may be, whether it fits the rules, how it is written.

Rules: Skatteetaten (birth number, D-number, what changes in 2032), Norsk helsenett (felles hjelpenummer, +65), NAV
(+40), Brønnøysundregistrene (organisation number); docs/identifiers.md tells them. No result holds the number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from types import MappingProxyType
from typing import Final, Literal, get_args

from fhir_facade.terminology.identity import D_NUMBER, is_date, remainders
from fhir_facade.terminology.uris import canonical, identifier_systems

Kind = Literal["FNR", "DNR", "FHN", "HNR", "DUF", "HPR", "ENH", "HER", "RSH"]
"""Birth number, D-number, felles hjelpenummer, a hospital's own H-number, DUF, HPR, organisation number, HER, RESH.

They are codes of list 8268 of Volven.
"""

Series = Literal["real", "local", "tenor", "nhn", "nav", "test"]
"""Who made a number: the register, a hospital, or for tests Skatteetaten, Norsk helsenett, NAV, the patient register.

"real" is a number without a mark of being synthetic.
"""

Reason = Literal[
    "", "not-digits", "length", "first-digit", "date", "control-digits", "other-kind",
    "series-refused", "series-ambiguous", "series-not-shown", "no-control-digits",
]  # fmt: skip
"""Why a number is not valid (the first seven and series-refused), or why that cannot be known."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
PERSON_KINDS: Final[tuple[Kind, ...]] = ("FNR", "DNR", "FHN", "HNR")

ANY: Final[frozenset[Series]] = frozenset(get_args(Series))
PRODUCTION: Final[frozenset[Series]] = frozenset({"real", "local"})
TEST: Final[frozenset[Series]] = frozenset({"tenor", "nhn", "nav", "test"})
"""The series that an environment accepts: no synthetic persons among patients, no real ones among tests."""

SHIFTED: tuple[tuple[int, Series], ...] = ((0, "real"), (40, "nav"), (65, "nhn"), (80, "tenor"))
MONTHS: Mapping[int, tuple[int, Series]] = MappingProxyType(
    {month + shift: (month, series) for shift, series in SHIFTED for month in range(1, 13)}
)

# individual numbers from, to; two digits of the year from, to; century
BIRTH_SERIES = ((0, 499, 0, 99, 1900), (500, 749, 54, 99, 1800), (900, 999, 40, 99, 1900), (500, 999, 0, 39, 2000))
D_SERIES = (
    (500, 599, 58, 99, 1800), (0, 199, 0, 39, 1900), (0, 499, 40, 99, 1900), (600, 999, 40, 99, 1900),
    (200, 999, 0, 39, 2000),
)  # fmt: skip
CENTURIES = (1800, 1900, 2000)

LENGTHS: Mapping[Kind, tuple[int, int]] = MappingProxyType(
    {"DUF": (12, 12), "HPR": (1, 9), "ENH": (9, 9), "HER": (1, 9), "RSH": (1, 9)}
)
PERSON_LENGTH = (11, 11)
NEW_RULE_REMAINDER = 3  # the first control digit may leave up to this in numbers issued from 2032
ORGANISATION_WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2, 1)
TEST_ORGANISATION = "777777777"  # of the patient register; fits the control digit, but no real number starts with 7

# what people write between digits: every sort of space, hyphen and dash, dots, and marks that cannot be seen
SEPARATORS = dict.fromkeys(
    map(ord, " \t\n\r.-\u00a0\u00ad\u2007\u2009\u200b\u2010\u2011\u2012\u2013\u2014\u202f\u2060\u2212\ufeff")
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One thing that a number may be.

    `series` is None for kinds whose numbers do not tell. `ambiguous`: the same digits may be NAV's synthetic birth
    number or a hospital's H-number. `new_rule`: only the rule for numbers issued from 2032 allows it. `born` and
    `sex` are told by the old rule only, and are None where they cannot be known for sure; a number that is issued
    after 2031 may fit the old rule by chance, then they mean nothing. They stand in no repr.
    """

    kind: Kind
    series: Series | None = None
    ambiguous: bool = False
    new_rule: bool = False
    born: date | None = field(default=None, repr=False)
    sex: Literal["female", "male"] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Checked:
    """What is known of a number as one kind: `valid` is None when it cannot be known; `reason` says why not True."""

    valid: bool | None
    reason: Reason = ""
    reading: Reading | None = None


def classify(text: str) -> tuple[Reading, ...]:
    """Return everything that a number, as people write it, may be; nothing when it fits no kind."""
    readings = (_read(kind, normalise(kind, text)) for kind in KINDS)
    return tuple(reading for reading in readings if isinstance(reading, Reading))


def check(kind: Kind, text: str, accept: frozenset[Series] = ANY) -> Checked:
    """Judge a number as the kind that its sender says, in an environment that accepts some series.

    Kinds without public control digits (H-number, DUF, HPR, HER, RESH) are never valid for sure.
    """
    number = normalise(kind, text)
    reading = _read(kind, number)
    if not isinstance(reading, Reading):
        return Checked(
            False, "other-kind" if reading in ("date", "first-digit") and _is_other(kind, number) else reading
        )
    if reading.series is not None and reading.series not in accept:
        return Checked(False, "series-refused", reading)
    if reading.ambiguous:
        return Checked(None, "series-ambiguous", reading)
    if kind not in CONTROLLED:
        return Checked(None, "no-control-digits", reading)
    if kind in PERSON_KINDS and reading.series is None and "real" not in accept:
        return Checked(None, "series-not-shown", reading)
    return Checked(True, "", reading)


def normalise(kind: Kind, text: str) -> str:
    """Return the number without what people put between its digits; a text that is no number, only trimmed.

    Leading zeros are part of a number. An organisation number may come as VAT number (NO ... MVA).
    """
    trimmed = text.strip()
    number = trimmed.translate(SEPARATORS)
    if kind == "ENH":
        number = number.upper().removeprefix("NO").removesuffix("MVA")
    return number if _digits(number) else trimmed


def system_of(kind: Kind) -> str:
    """Return the system URI that is written for a kind; "HNR" for H-numbers, as no-basis-Patient fixes it."""
    return identifier_systems()[kind]


def kind_of(system: str) -> Kind | None:
    """Return the kind of identifier that a system URI in any known form holds, None when it is none of these."""
    return _kinds().get(canonical(system))


@cache
def _kinds() -> Mapping[str, Kind]:
    return {system_of(kind): kind for kind in KINDS}


# ---- reading: what a normalised number is as one kind, or why it is not


def _read(kind: Kind, number: str) -> Reading | Reason:
    if not _digits(number):
        return "not-digits"
    shortest, longest = LENGTHS.get(kind, PERSON_LENGTH)
    if not shortest <= len(number) <= longest:
        return "length"
    reader = READERS.get(kind)
    return reader(number) if reader else Reading(kind)


def _birth_number(number: str) -> Reading | Reason:
    return _dated("FNR", number, int(number[:2]), (BIRTH_SERIES,))


def _d_number(number: str) -> Reading | Reason:
    # before 2021 D-numbers followed the series of birth numbers: a birth date is sure where both say the same
    return _dated("DNR", number, int(number[:2]) - D_NUMBER, (D_SERIES, BIRTH_SERIES))


def _dated(kind: Kind, number: str, day: int, tables: tuple[tuple[tuple[int, ...], ...], ...]) -> Reading | Reason:
    month, series = MONTHS.get(int(number[2:4]), (0, "real"))
    year, individual = int(number[4:6]), int(number[6:9])
    dates = [date(century + year, month, day) for century in CENTURIES if is_date(century + year, month, day)]
    if not dates:
        return "date"
    first, second = remainders(number)
    if second or first > NEW_RULE_REMAINDER:
        return "control-digits"
    ambiguous = kind == "FNR" and series == "nav"
    centuries = {century for table in tables for century in _centuries(table, individual, year)}
    born = [each for each in dates if each.year - year in centuries]
    if first or not born:
        return Reading(kind, series, ambiguous, new_rule=True)
    sex: Literal["female", "male"] = "male" if individual % 2 else "female"
    return Reading(kind, series, ambiguous, born=born[0] if len(born) == 1 else None, sex=sex)


def _centuries(table: tuple[tuple[int, ...], ...], individual: int, year: int) -> list[int]:
    return [
        century
        for low, high, earliest, latest, century in table
        if low <= individual <= high and earliest <= year <= latest
    ]


def _shared_number(number: str) -> Reading | Reason:
    if number[0] not in "89":
        return "first-digit"
    return Reading("FHN") if remainders(number) == (0, 0) else "control-digits"


def _local_number(number: str) -> Reading | Reason:
    """Month + 40, or an older number that begins with 8 or 9; control digits are the hospital's own affair."""
    if number[0] in "89":
        return Reading("HNR", "local")
    month, series = MONTHS.get(int(number[2:4]), (0, "real"))
    day, year = int(number[:2]), int(number[4:6])
    if series != "nav" or not any(is_date(century + year, month, day) for century in CENTURIES):
        return "date"
    return Reading("HNR", "local", ambiguous=isinstance(_birth_number(number), Reading))


def _organisation_number(number: str) -> Reading | Reason:
    if sum(weight * int(digit) for weight, digit in zip(ORGANISATION_WEIGHTS, number, strict=True)) % 11:
        return "control-digits"
    if number == TEST_ORGANISATION:
        return Reading("ENH", "test")
    return Reading("ENH") if number[0] in "89" else "first-digit"


READERS: Mapping[Kind, Callable[[str], Reading | Reason]] = MappingProxyType(
    {
        "FNR": _birth_number,
        "DNR": _d_number,
        "FHN": _shared_number,
        "HNR": _local_number,
        "ENH": _organisation_number,
    }
)
CONTROLLED: Final[frozenset[Kind]] = frozenset({"FNR", "DNR", "FHN", "ENH"})


def _is_other(kind: Kind, number: str) -> bool:
    """Whether a number of 11 digits is a person's number of another kind that control digits prove."""
    others = [other for other in PERSON_KINDS if other != kind and other in CONTROLLED]
    return any(isinstance(_read(other, number), Reading) for other in others)


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()
