"""The ways through care that a synthetic patient may take: series, admission, emergency, birth."""

from __future__ import annotations

from random import Random

from fhir_facade.contracts import Record
from fhir_facade.store.synthetic_calendar import DAY, Calendar
from fhir_facade.store.synthetic_decisions import (
    compulsory,
    describe_patient,
    detained,
    finish_addiction_care,
    individual_plan,
    measure,
    voluntary,
    without_bed,
)
from fhir_facade.store.synthetic_own import add_own
from fhir_facade.store.synthetic_persons import between, birthday, carers, home, patient, pick
from fhir_facade.store.synthetic_places import Country
from fhir_facade.store.synthetic_referrals import (
    Case,
    assess,
    assess_emergency,
    open_period,
    pass_on,
    plan,
    receive,
)
from fhir_facade.store.synthetic_stays import admission, contact
from fhir_facade.store.synthetic_words import BIRTH, CHEMOTHERAPY, PREGNANCY

WAYS = (  # chance up to here, department, way
    (0.03, "13", "birth"),
    (0.18, "10", "somatic"),
    (0.33, "11", "somatic"),
    (0.41, "12", "somatic"),
    (0.46, "13", "somatic"),
    (0.50, "14", "rehabilitation"),
    (0.73, "20", "mental"),
    (0.89, "30", "child"),
    (1.01, "40", "addiction"),
)


def live(country: Country, calendar: Calendar, seed: int, n: int) -> list[tuple[str, Record]]:
    """All records of patient number n, which depend on nothing but the seed and n."""
    case, way = _enter(country, calendar, seed, n)
    case.add("pasient", case.person)
    if way == "birth":
        _birth(case)
    elif case.home.country:
        _emergency(case, between(case.dice, calendar.first + 30, calendar.last))
    else:
        _care(case, way, between(case.dice, calendar.first + 30, calendar.last - 3))
        again = case.over + 40
        if (
            "sluttDato" in case.period
            and again < calendar.last - 60
            and case.dice() < 0.2
            and "dodsdato" not in case.person
        ):
            _care(case, way, between(case.dice, again, calendar.last - 3))
    if way not in ("birth", "somatic"):
        individual_plan(case)
    add_own(case)
    return case.out


def _enter(country: Country, calendar: Calendar, seed: int, n: int) -> tuple[Case, str]:
    """Roll who the patient is and where the care is given."""
    dice = Random(f"{seed}:{n}").random
    chance = dice()
    department, way = next((department, way) for limit, department, way in WAYS if chance < limit)
    house = pick(dice, country.houses)
    where = home(dice, way == "somatic" and dice() < 0.06)
    doctor = pick(dice, country.practices)
    born, bucket = birthday(n + seed * 104_729, _ages(calendar, way))
    key = {"institusjonID": house.number, "pasientNr": f"P{n:06}"}
    ward = house.wards[department]
    return Case(
        dice=dice,
        n=n,
        calendar=calendar,
        country=country,
        house=house,
        ward=ward,
        key=key,
        home=where[0],
        doctor=doctor,
        condition=BIRTH if way == "birth" else pick(dice, ward.department.conditions),
        born=born - calendar.origin,
        person=patient(dice, n, key, born, bucket, where, doctor.hpr, calendar),
    ), way


def _ages(calendar: Calendar, way: str) -> tuple[int, int]:
    """First and last birthday: adults are grown up and children no adults in the whole window."""
    opening = calendar.origin + calendar.first
    if way == "birth":
        return opening + 10, calendar.origin + calendar.last - 1
    if way == "child":
        return opening - 13 * 365, opening - 5 * 365
    return opening - 88 * 365, opening - 19 * 366


def _care(case: Case, way: str, received: int) -> None:
    chance = case.dice()
    if way == "rehabilitation":
        _elective_admission(case, received, between(case.dice, 14, 27))
    elif way == "somatic" and chance < 0.4:
        _emergency(case, received)
    elif chance < {"somatic": 0.52, "mental": 0.12, "child": 0.04, "addiction": 0.25}[way]:
        _elective_admission(
            case, received, between(case.dice, 2, 6) if way == "somatic" else between(case.dice, 10, 50)
        )
    elif way in ("mental", "addiction") and chance < 0.32:
        _acute(case, received, compelled=case.dice() < (0.5 if way == "mental" else 0.35))
    else:
        _series(case, received)


def _describe(case: Case, received: int) -> None:
    if case.sector != "SOM" and case.dice() < 0.75:
        describe_patient(case, received)


def _elective(case: Case, received: int, level: str, basis: str = "1") -> int | None:
    """Refer, assess, plan; the day of the first contact if there is to be one."""
    received = case.calendar.workday(received)
    if case.ward.department.number == "13" and case.person["kjonn"] == "2" and case.dice() < 0.5:
        case.condition = PREGNANCY
    open_period(case, received)
    receive(case, received, level, basis)
    start = assess(case, received, level)
    _describe(case, received)
    return start


def _series(case: Case, received: int) -> None:
    """Outpatient or day contacts: one alone, or some that form a series."""
    dice, calendar = case.dice, case.calendar
    level = "2" if case.sector != "BUP" and dice() < 0.1 else "3"
    compelled = case.sector == "PHV" and dice() < 0.04
    day = _elective(case, received, level, "40" if compelled else "1")
    if day is None:
        return
    wanted, done = pick(dice, (1, 1, 2) if case.sector == "SOM" else (1, 2, 3, 3, 4)), 0
    series = _begin_series(case, day, compelled) if wanted > 1 else {}
    stay: Record = {}
    while done < wanted and day <= calendar.last:
        moment = day * DAY + (600 if done == 0 else 480 + between(dice, 0, 85) * 5)
        stay = contact(case, moment, series=series.get("serieID", ""), level=level, first=done == 0)
        if done == 0:
            _keep_appointment(case, stay)
        _record_basis(case, stay, compelled, moment, first=done == 0)
        done, day = done + 1, calendar.workday(day + between(dice, 7, 30))
    if done < wanted:
        plan(case, min(case.over, calendar.last), day, level)
        return
    if done > 1 and dice() < 0.04:
        pass_on(case, case.over, level)
    _close(case, stay, series)


def _begin_series(case: Case, day: int, compelled: bool) -> Record:
    series: Record = {
        **case.key,
        "serieID": case.number("S", case.periods),
        "serieStart": case.calendar.days[day],
        "henvisningsperiodeID": case.period["henvisningsperiodeID"],
        "ansvarligHpr": case.ward.team[0].hpr,
        "enhetID": case.ward.units[2][0],
    }
    if case.sector in ("PHV", "TSB"):
        series["hjemmel"] = "51" if compelled else "1"
    return case.add("konsultasjonsserie", series)


def _keep_appointment(case: Case, stay: Record) -> None:
    """Close the plan that this stay fulfils."""
    planned = next(record for kind, record in reversed(case.out) if kind == "planlagt_kontakt")
    planned |= {
        "lukkPlanlagtEpisode": "AA10",
        "lukketDato": stay["innDatoTid"][:10],
        "episodeID": stay["episodeID"],
    }


def _record_basis(case: Case, stay: Record, compelled: bool, moment: int, *, first: bool) -> None:
    if case.sector in ("PHV", "TSB"):
        without_bed(case, stay) if compelled else voluntary(case, stay)
    if first and case.sector != "SOM" and case.dice() < 0.3:
        measure(case, stay, moment + 10)


def _close(case: Case, stay: Record, series: Record) -> None:
    """Most periods end some days after the last stay; the others stay open for a contact not yet planned."""
    closing = case.over + between(case.dice, 0, 20)
    if "utDatoTid" not in stay or closing > case.calendar.last or case.dice() < 0.1:
        return
    case.period["sluttDato"] = case.calendar.days[closing]
    if series:
        series["serieSlutt"] = case.calendar.days[case.over]
    if case.sector == "TSB":
        finish_addiction_care(case, stay)
    case.over = closing


def _elective_admission(case: Case, received: int, nights: int) -> None:
    day = _elective(case, received, "1")
    if day is None:
        return
    moment = day * DAY + 600
    stay, bound = admission(case, moment, nights, "4")
    _keep_appointment(case, stay)
    if case.sector != "SOM":
        _record_basis(case, stay, False, moment, first=True)
    elif case.condition == CHEMOTHERAPY and moment + 2 * DAY < bound:
        contact(case, (day + 1) * DAY + 600, level="8")
    _close(case, stay, {})


def _acute(case: Case, received: int, *, compelled: bool) -> None:
    """Emergency admission to psychiatry or addiction care, by force or not."""
    forced = {"PHV": "3", "TSB": "41"}[case.sector] if compelled else "1"
    moment = _emergency_referral(case, received, "1", forced)
    nights = between(case.dice, 5, 40) if compelled else between(case.dice, 1, 14)
    stay, bound = admission(case, moment, nights, "1")
    if not compelled:
        voluntary(case, stay)
    elif case.sector == "PHV":
        compulsory(case, stay, moment, bound)
    else:
        detained(case, stay, moment, bound)
    _close(case, stay, {})


def _emergency_referral(case: Case, received: int, level: str, basis: str = "1") -> int:
    """Referral and assessment of ø-hjelp; returns the moment of arrival, at any time of the day."""
    open_period(case, received, emergency=True)
    receive(case, received, level, basis, emergency=True)
    assess_emergency(case, received)
    _describe(case, received)
    return received * DAY + between(case.dice, 1, 1380 if received == case.calendar.last else 1439)


def _emergency(case: Case, received: int) -> None:
    """Somatic ø-hjelp: a contact or an admission; a few on the nights when the clocks change."""
    chance = case.dice()
    if chance < 0.06:
        _night_of_change(case, autumn=chance < 0.04)
        return
    if chance < 0.35:
        moment = min(_emergency_referral(case, received, "3"), case.calendar.last * DAY + 1300)
        stay = contact(case, moment, urgency="1", first=True)
    else:
        moment = _emergency_referral(case, received, "1")
        nights = between(case.dice, 1, 9)
        died = chance > 0.97 and received + nights <= case.calendar.last
        stay, _ = admission(case, moment, nights, "1", died=died)
        if died:
            day = stay["utDatoTid"][:10]
            case.person["dodsdato"] = case.period["sluttDato"] = day
            return
    _close(case, stay, {})


def _night_of_change(case: Case, *, autumn: bool) -> None:
    """A contact that ends in the second pass of the doubled hour, or spans the hour that does not exist."""
    calendar, dice = case.calendar, case.dice
    day = pick(dice, calendar.autumn if autumn else calendar.spring_inside)
    _emergency_referral(case, day, "3")
    if autumn:
        end = f"{calendar.days[day]}T02:{between(dice, 1, 25):02}:00+01:00"
        stay = contact(case, day * DAY + 120 + between(dice, 20, 38), urgency="1", first=True, second_pass=end)
    else:
        stay = contact(case, day * DAY + 95 + between(dice, 0, 20), urgency="1", first=True)
    _close(case, stay, {})


def _birth(case: Case) -> None:
    """A child born in the hospital; a third come back to a control, some sick."""
    calendar, dice, born = case.calendar, case.dice, case.born
    case.person["fodselsvekt"] = between(dice, 2400, 4700)
    case.out += carers(dice, case.key, calendar.at(born * DAY + 1439))
    open_period(case, born, emergency=True)
    receive(case, born, "1", "1", emergency=True)
    assess_emergency(case, born, "5")
    moment = born * DAY + between(dice, 1, 1380)
    stay, _ = admission(case, moment, between(dice, 1, 4), "4")
    stay |= {"inntilstand": "3", "fraSted": "1"}
    stay.pop("fraInstitusjonID", None)
    again = calendar.workday(born + between(dice, 30, 200))
    if dice() < 0.35 and again <= calendar.last and "utDatoTid" in stay:
        case.condition = case.ward.department.conditions[0]
        stay = contact(case, again * DAY + 540, first=True)
    _close(case, stay, {})
