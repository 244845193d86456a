"""Synthetic persons: identity numbers with month+80, names, addresses, carers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import NamedTuple, TypeVar

from fhir_facade.contracts import Record
from fhir_facade.store.synthetic_calendar import Calendar
from fhir_facade.store.synthetic_words import (
    FAMILIES,
    FOREIGN,
    MEN,
    MIDDLES,
    STREETS,
    TONGUES,
    TOWNS,
    WOMEN,
    Town,
)

Dice = Callable[[], float]
T = TypeVar("T")

STRIDE = 7_368_787  # prime: steps through the free (birthday, number) places without meeting one twice
BUCKET = 5  # individual numbers of one sex tried for one place; 1 in 7 000 finds none with two control digits


def pick(dice: Dice, values: Sequence[T]) -> T:
    """One of the values."""
    return values[int(dice() * len(values))]


def between(dice: Dice, low: int, high: int) -> int:
    """A whole number, both ends included."""
    return low + int(dice() * (high - low + 1))


class Home(NamedTuple):
    """Where the patient lives as referrals and stays repeat it, and who pays."""

    number: str
    district: str | None
    payer: str
    country: str | None


def birthday(place: int, ages: tuple[int, int]) -> tuple[int, int]:
    """A day (ordinal) and a bucket of individual numbers for the place, different for different places."""
    days = ages[1] - ages[0] + 1
    bucket, day = divmod(place * STRIDE % (days * 50), days)
    return ages[0] + day, bucket


def identity_number(born: date, bucket: int, male: bool, *, foreign: bool) -> str:
    """Eleven digits: month+80, day+40 for a D-number, ninth digit odd for a man, two control digits."""
    day = born.day + 40 if foreign else born.day
    century = 500 if born.year > 1999 else 0
    digits = (
        day // 10,
        day % 10,
        (born.month + 80) // 10,
        (born.month + 80) % 10,
        born.year // 10 % 10,
        born.year % 10,
    )
    d1, d2, m1, m2, y1, y2 = digits
    head1 = 3 * d1 + 7 * d2 + 6 * m1 + m2 + 8 * y1 + 9 * y2
    head2 = 5 * d1 + 4 * d2 + 3 * m1 + 2 * m2 + 7 * y1 + 6 * y2
    for step in range(250):
        number = century + (bucket * BUCKET + step) * 2 % 500 + male
        a, b, c = number // 100, number // 10 % 10, number % 10
        first = -(head1 + 4 * a + 5 * b + 2 * c) % 11
        second = -(head2 + 5 * a + 4 * b + 3 * c + 2 * first) % 11
        if first < 10 and second < 10:
            return f"{d1}{d2}{m1}{m2}{y1}{y2}{number:03}{first}{second}"
    raise ValueError(f"no individual number is left on {born}")


def home(dice: Dice, foreign: bool) -> tuple[Home, Town]:
    """Where the patient lives: in Norway, or abroad with or without a convention."""
    town = pick(dice, TOWNS)
    if foreign:
        number, payer, country, abroad = pick(dice, FOREIGN)
        return Home(number, None, payer, country), Town(number, abroad, "")
    return Home(town.number, pick(dice, town.districts) if town.districts else None, "1", None), town


def patient(
    dice: Dice,
    n: int,
    key: Record,
    born: int,
    bucket: int,
    where: tuple[Home, Town],
    doctor: str,
    calendar: Calendar,
) -> Record:
    """The patient record: who, where, and how to reach them."""
    male = dice() < 0.49
    day = date.fromordinal(born)
    foreign = where[0].country is not None or dice() < 0.03
    record: Record = {
        **key,
        "pasientGUID": guid(dice),
        "kjonn": "1" if male else "2",
        "fodselsar": str(day.year),
        "fid": identity_number(day, bucket, male, foreign=foreign),
        "typeID": "2" if foreign else "1",
        "fodselsdato": day.isoformat(),
        "fornavn": pick(dice, MEN if male else WOMEN),
        "etternavn": pick(dice, FAMILIES),
        "telefon": f"+4700{n % 1_000_000:06}",
        "sprak": pick(dice, TONGUES),
        "adressesperre": "1" if dice() < 0.02 else "2",
        "adresser": _addresses(dice, where[0], where[1], calendar),
    }
    chance = dice()
    if chance < 0.2:
        record["mellomnavn"] = pick(dice, MIDDLES)
    if chance > 0.4:
        record["epost"] = f"p{n}@example.org"
    if where[0].country is None:
        record["fastlegeHpr"] = doctor
    if day.year < calendar.year - 21:
        record["sivilstand"] = pick(dice, ("1", "1", "2", "2", "2", "3", "4", "5"))
    return record


def _addresses(dice: Dice, lives: Home, town: Town, calendar: Calendar) -> list[Record]:
    address: Record = {
        "nr": 1,
        "bruk": "bosted",
        "linje": f"{pick(dice, STREETS)} {between(dice, 1, 99)}",
        "poststed": town.name,
    }
    if lives.country is None:
        address |= {"postnr": town.post, "komNr": lives.number}
    if lives.district:
        address["bydel"] = lives.district
    if dice() > 0.06:
        return [address]
    start = between(dice, calendar.first, calendar.last)
    stay = pick(dice, TOWNS)
    temporary = {
        "nr": 2,
        "bruk": "midlertidig",
        "linje": f"c/o {pick(dice, FAMILIES)}, {pick(dice, STREETS)} 7",
        "postnr": stay.post,
        "poststed": stay.name,
        "komNr": stay.number,
        "fra": calendar.days[start],
        "til": calendar.days[start + 90],
    }
    return [address, temporary]


def carers(dice: Dice, key: Record, registered: str) -> list[tuple[str, Record]]:
    """The people who care for a child: mostly mother and father, sometimes foster parents or one alone."""
    pair = pick(dice, (("1", "2"), ("1", "2"), ("1", "2"), ("1",), ("1", "6"), ("7", "8"), ("3", "4"), ("9",)))
    return [
        (
            "parorende",
            {
                **key,
                "nr": nr,
                "relasjon": relation,
                "datoTidRegistrert": registered,
                "samtykkekompetanse": "1" if relation in "1234" else "2",
                "foreldrerett": "1" if relation in "1234" else "2",
            },
        )
        for nr, relation in enumerate(pair, 1)
    ]


def guid(dice: Dice) -> str:
    """A random (version 4) UUID out of two rolls, enough for test data."""
    a, b = f"{int(dice() * 2**52):013x}", f"{int(dice() * 2**52):013x}"
    return f"{a[:8]}-{a[8:12]}-4{b[:3]}-a{b[3:6]}-{b[6:]}{a[7:12]}"
