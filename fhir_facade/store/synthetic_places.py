"""Institutions with their units and professionals, general practices, and the message envelope."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from random import Random

from fhir_facade.contracts import Record
from fhir_facade.store.synthetic_calendar import Calendar
from fhir_facade.store.synthetic_words import (
    DEPARTMENTS,
    FAMILIES,
    MEN,
    SITES,
    TOWNS,
    WOMEN,
    Department,
    Town,
)

FIRST_ORGANISATION = 80_000_001  # eight digits; the register gives out no number in this series
FIRST_RESH = 990_000_001
FIRST_HPR = 900_000_001  # nine digits, where real HPR numbers have at most eight
PRACTICES = 24
WEIGHTS = (3, 2, 7, 6, 5, 4, 3, 2)


@dataclass(frozen=True, slots=True)
class Professional:
    """Who may take part in a contact: HPR number, profession in list 8401, specialist 1 or 2."""

    hpr: str
    profession: str
    specialist: str


@dataclass(frozen=True, slots=True)
class Ward:
    """A department as the patient's records name it."""

    department: Department
    units: tuple[tuple[str, str], ...]
    team: tuple[Professional, ...]
    fields: tuple[str, ...]
    service: str
    ward: str
    clinic: str


@dataclass(frozen=True, slots=True)
class House:
    """One institution; `wards` by department number."""

    number: str
    town: Town
    wards: dict[str, Ward]


@dataclass(frozen=True, slots=True)
class Practice:
    """A general practice: organisation number and the doctor's HPR number."""

    number: str
    hpr: str


@dataclass(frozen=True, slots=True)
class Country:
    """All places of the synthetic country, made once for a seed."""

    houses: tuple[House, ...]
    practices: tuple[Practice, ...]
    elsewhere: tuple[str, ...]
    records: tuple[tuple[str, Record], ...]


def organisation_numbers() -> Iterator[str]:
    """Numbers with a right mod-11 digit, beginning with 80."""
    for body in count(FIRST_ORGANISATION):
        digits = str(body)
        control = -sum(int(digit) * weight for digit, weight in zip(digits, WEIGHTS, strict=True)) % 11
        if control < 10:
            yield digits + str(control)


def build(seed: int, institutions: int, calendar: Calendar) -> Country:
    """Make institutions, units, professionals and envelopes."""
    random = Random(f"{seed}:places")
    numbers, resh = organisation_numbers(), count(FIRST_RESH)
    practices = tuple(Practice(next(numbers), str(FIRST_HPR + i)) for i in range(PRACTICES))
    elsewhere = tuple(islice(numbers, 6))
    records: list[tuple[str, Record]] = []
    houses = []
    for place in range(institutions):
        town = TOWNS[place * 3 % len(TOWNS)]
        own = next(numbers)
        records += [("enhet", unit) for unit in _units(own, town, numbers, resh)]
        houses.append(House(own, town, {ward.department.number: ward for ward in _wards(place)}))
    people = [("behandler", person) for person in _doctors(random, practices)]
    for house in houses:
        people += [("behandler", person) for person in _staff(random, house)]
    envelopes = [("melding", _envelope(module, calendar)) for module in ("ord", "ide")]
    return Country(tuple(houses), practices, elsewhere, (*envelopes, *records, *people))


def _units(own: str, town: Town, numbers: Iterator[str], resh: Iterator[int]) -> Iterator[Record]:
    """Sites, the clinic, four units a department; every institution uses the same unit ids."""
    for number, name, kind, account in SITES:
        yield _unit(own, number, f"{town.name} {name}", kind, account, next(resh), orgNr=next(numbers), nace="86.101")
    yield _unit(own, "C1", f"{town.name} klinikk for psykisk helse og rus", "02", "642", next(resh))
    for department in DEPARTMENTS:
        for letter, noun, kind in (
            ("A", "avdeling", "05"),
            ("F", "fagenhet", "07"),
            ("P", "sengepost", "08"),
            ("K", "poliklinikk", "11"),
        ):
            blank = " " if department.name.endswith("isk") else ""
            name = f"{department.name}{blank}{noun}, {town.name}"
            unit = _unit(own, letter + department.number, name, kind, department.account, next(resh))
            yield {**unit, "offAvdKode": department.official} if letter in "AF" else unit


def _unit(own: str, number: str, name: str, kind: str, account: str, resh: int, **more: str) -> Record:
    return {
        "institusjonID": own,
        "enhetID": number,
        "reshID": str(resh),
        "isfRefusjon": "1",
        "enhetLokal": f"LOK-{number}",
        "navn": name,
        "sektor": account,
        "type": kind,
        **more,
    }


def _wards(place: int) -> Iterator[Ward]:
    hpr = count(FIRST_HPR + 1000 + place * 100)
    for department in DEPARTMENTS:
        number = department.number
        team = tuple(
            Professional(str(next(hpr)), profession, "1" if specialty else "2")
            for _, specialty, profession in (*department.team, *department.team)
        )
        units = ((department.site, "1"), ("F" + number, "2"), ("A" + number, "7"))
        fields = tuple(condition.field for condition in department.conditions)
        yield Ward(department, units, team, fields, "P" + number, "P" + number, "K" + number)


def _doctors(random: Random, practices: tuple[Practice, ...]) -> Iterator[Record]:
    for practice in practices:
        yield {**_name(random), "hpr": practice.hpr, "kategori": "LE", "spesialitet": "1"}


def _staff(random: Random, house: House) -> Iterator[Record]:
    for ward in house.wards.values():
        department = ward.department
        for person, (kind, specialty, _) in zip(ward.team, (*department.team, *department.team), strict=True):
            record = {**_name(random), "hpr": person.hpr, "kategori": kind}
            record |= {"institusjonID": house.number, "enhetID": "F" + department.number}
            yield {**record, "spesialitet": specialty} if specialty else record


def _name(random: Random) -> Record:
    first = random.choice(WOMEN if random.random() < 0.6 else MEN)
    return {"fornavn": first, "etternavn": random.choice(FAMILIES)}


def _envelope(module: str, calendar: Calendar) -> Record:
    people = (
        ("1", "Teknisk Test"),
        ("15", "Leverandør Test"),
        ("2", "Somatikk Test"),
        ("3", "Voksenpsykiatri Test"),
    )
    return {
        "modul": module,
        "versjon": "53.1.3",
        "meldingstype": "B",
        "leverandor": "Syntetisk Norge",
        "navnEPJ": "Syntetisk EPJ",
        "versjonEPJ": "1.0",
        "versjonUt": "1.0",
        "lopenr": "1",
        "lokalident": f"syntetisk-{module}-1",
        "fraDatoPeriode": calendar.days[calendar.first],
        "tilDatoPeriode": calendar.days[calendar.last],
        "uttakDato": calendar.days[calendar.last],
        "kontaktpersoner": [
            {
                "nr": nr,
                "kontPerson": name,
                "meldTelefon": f"+4700000{nr:03}",
                "meldEpost1": f"npr{nr}@example.org",
                "meldEpost2": f"reserve{nr}@example.org",
                "typeKontaktperson": kind,
            }
            for nr, (kind, name) in enumerate(people, 1)
        ],
    }
