"""Referral periods, referrals with their assessment, and planned contacts of one synthetic patient."""

from __future__ import annotations

from dataclasses import dataclass, field

from fhir_facade.contracts import Record
from fhir_facade.store.synthetic_calendar import DAY, Calendar
from fhir_facade.store.synthetic_persons import Dice, Home, between, guid, pick
from fhir_facade.store.synthetic_places import Country, House, Practice, Ward
from fhir_facade.store.synthetic_words import REFERRALS, Condition

SCHEMES = {"SOM": "SD01", "PHV": "VA02", "BUP": "BA01", "TSB": "RA02"}
ELSEWHERE = {"SOM": "41", "PHV": "44", "BUP": "44", "TSB": "42"}
LAST_YEAR_OF_FREE_CHOICE = "2022"  # debitor 90 belongs to an approval scheme that was closed then


@dataclass(slots=True)
class Case:
    """What is known of the patient while the records are written; `out` holds them in their order."""

    dice: Dice
    n: int
    calendar: Calendar
    country: Country
    house: House
    ward: Ward
    condition: Condition
    key: Record
    home: Home
    born: int
    person: Record
    doctor: Practice
    out: list[tuple[str, Record]] = field(default_factory=list)
    period: Record = field(default_factory=dict)
    referral: Record = field(default_factory=dict)
    payer: str = "1"
    scheme: str = ""
    periods: int = 0
    referrals: int = 0
    stays: int = 0
    plans: int = 0
    decisions: int = 0
    over: int = 0

    @property
    def sector(self) -> str:
        return self.ward.department.sector

    def add(self, kind: str, record: Record) -> Record:
        """Give out a record; it may still be completed until the patient is done."""
        self.out.append((kind, record))
        return record

    def number(self, letter: str, place: int) -> str:
        """A local id: short, and the same letter and number for no other patient."""
        return f"{letter}{self.n * 100 + place}"


def units(case: Case, extra: tuple[tuple[str, str], ...] = ()) -> list[Record]:
    """Place of treatment, professional unit and department, and what else the record names."""
    return [
        {"nr": nr, "enhetID": unit, "typeEnhet": role} for nr, (unit, role) in enumerate((*case.ward.units, *extra), 1)
    ]


def open_period(case: Case, received: int, *, emergency: bool = False) -> None:
    """Begin a referral period; one in ten comes from another hospital and has waited there."""
    dice, day = case.dice, case.calendar.days
    case.periods += 1
    record: Record = {
        **case.key,
        "henvisningsperiodeGUID": guid(dice),
        "henvisningsperiodeID": case.number("HP", case.periods),
        "henvFraTjeneste": "28",
        "ansienDato": day[received],
        "nyTilstand": pick(dice, ("1", "1", "2")),
    }
    if case.sector == "SOM" or dice() < 0.5:
        record["henvFraInstitusjonID"] = case.doctor.number
    if not emergency and dice() < 0.1:
        record |= {
            "henvFraTjeneste": ELSEWHERE[case.sector],
            "henvFraInstitusjonID": pick(dice, case.country.elsewhere),
        }
        record["ansienDato"] = day[received - between(dice, 5, 60)]
    elif dice() < 0.08 and case.sector != "SOM":
        record["henvFraTjeneste"] = pick(dice, ("1", "9", "88"))
    else:
        record["henvFraHPR"] = case.doctor.hpr
    if case.home.country:
        record["trygdenasjon"] = case.home.country
    case.payer, case.scheme = case.home.payer, ""
    if not emergency and day[received][:4] == LAST_YEAR_OF_FREE_CHOICE and dice() < 0.05:
        case.payer, case.scheme = "90", SCHEMES[case.sector]
    case.period = case.add("henvisningsperiode", record)


def receive(case: Case, received: int, level: str, basis: str, *, emergency: bool = False) -> Record:
    """A referral as it is received; what comes of it is added by `assess`."""
    dice = case.dice
    case.referrals += 1
    record: Record = {
        **case.key,
        "henvisningsperiodeID": case.period["henvisningsperiodeID"],
        "henvID": case.number("H", case.referrals),
        "mottaksDato": case.calendar.days[received],
        "henvType": "10",
        "frittBehandlingsvalg": pick(dice, ("2", "2", "2", "1", "9")),
        "debitor": case.payer,
        "komNrHjem": case.home.number,
        "omsnivahenv": level,
        "fagomrade": case.condition.field,
        "hastegrad": "0" if emergency else pick(dice, ("N", "N", "3")),
        "vurdererHpr": case.ward.team[0].hpr,
        "henvisningstekst": pick(dice, REFERRALS[case.sector]),
        "enheter": units(case),
    }
    if case.home.district:
        record["bydel"] = case.home.district
    if case.scheme:
        record["fbvTjenesteHenvisning"] = case.scheme
    if case.sector != "SOM":
        record |= {"henvFormal": basis}
    if case.sector == "PHV":
        record["tutor"] = "1" if basis != "1" else "3"
    if case.sector == "BUP":
        record["henvisningsgrunner"] = _reasons(dice)
    chance = dice()
    if chance < 0.3:
        record |= {
            "kommunalTjeneste": pick(dice, ("1", "2", "9")),
            "secondOpinion": "1" if chance < 0.02 else "2",
        }
    case.referral = case.add("henvisning", record)
    if chance > 0.4:
        _suspicions(case, record)
    return record


def _reasons(dice: Dice) -> list[Record]:
    reasons: list[Record] = [{"henvisningsgrunnNr": 1, "barnet": str(between(dice, 1, 16))}]
    if dice() < 0.5:
        reasons.append({"henvisningsgrunnNr": 2, "barnetsMiljo": str(between(dice, 1, 3))})
    return reasons


def _suspicions(case: Case, referral: Record) -> None:
    """What the referrer thinks it is: an ICPC-2 code, now and then an ICD-10 code as well."""
    codes = [("H", case.condition.icpc)]
    if case.dice() < 0.25:
        codes.append(("D", case.condition.icd))
    scope = {
        **case.key,
        "henvisningsperiodeID": referral["henvisningsperiodeID"],
        "henvID": referral["henvID"],
    }
    for place, (letter, code) in enumerate(codes, 1):
        record = {
            **scope,
            "nr": 1,
            "tilstNr": place,
            "kodeNr": 1,
            "Kodeverk": letter,
            "kodeVersjon": referral["mottaksDato"][:4],
            "kodeVerdi": code,
        }
        if case.sector == "BUP" and letter == "D":
            record["akse"] = "1"
        case.add("henvisningstilstand", record)


def assess_emergency(case: Case, received: int, outcome: str = "4") -> None:
    """Ø-hjelp and newborns: help begins the day the referral is made."""
    day = case.calendar.days[received]
    case.referral |= {
        "henvVurd": outcome,
        "rettTilHelsehjelp": "3",
        "vurdDato": day,
        "ventetidSluttDato": day,
        "ventetidSluttKode": "1",
    }


def assess(case: Case, received: int, level: str) -> int | None:
    """Assess an elective referral; return the day of the first contact, or None when there will be none."""
    dice, calendar = case.dice, case.calendar
    assessed = calendar.workday(received + between(dice, 0, 9))
    referral, chance = case.referral, dice()
    referral |= {"vurdDato": calendar.days[min(assessed, calendar.last)]}
    if assessed > calendar.last:
        del referral["vurdDato"]
        return None
    if chance < 0.09:
        _turn_away(case, assessed, chance)
        return None
    if chance < 0.12:
        referral |= {"henvType": "99", "henvVurd": "3", "rettTilHelsehjelp": "6"}
    else:
        referral |= {
            "henvVurd": "6" if case.condition.field == "200" else pick(dice, ("1", "2")),
            "rettTilHelsehjelp": "3",
            "pakkeforlop": "1" if dice() < 0.2 else "2",
        }
    planned = calendar.workday(assessed + (between(dice, 130, 200) if dice() < 0.05 else between(dice, 10, 80)))
    referral["tildeltDato"] = calendar.days[planned]
    if referral["rettTilHelsehjelp"] == "3":
        _set_limit(case, assessed, planned)
    start = _book(case, assessed, planned, level)
    if start > calendar.last:
        return None
    referral |= {"ventetidSluttDato": calendar.days[start], "ventetidSluttKode": "1"}
    return start


def _turn_away(case: Case, assessed: int, chance: float) -> None:
    """No need of help, only advice asked for, or help somewhere else: the period is closed at once."""
    dice, day = case.dice, case.calendar.days[assessed]
    case.referral |= {
        "ventetidSluttDato": day,
        "ventetidSluttKode": "9",
        "henvVurd": "1",
        "rettTilHelsehjelp": "5",
    }
    if chance < 0.03:
        case.referral["avvistKode"] = pick(dice, ("AV1", "AV2", "AV9"))
    elif chance < 0.05:
        case.referral |= {"henvType": "11", "henvVurd": "7", "rettTilHelsehjelp": "6"}
    else:
        code = pick(dice, ("2", "3", "3", "4", "5", "7"))
        limit = case.calendar.days[assessed + 60]
        case.referral |= {"ventetidSluttKode": code, "rettTilHelsehjelp": "3", "fristStartBehandling": limit}
        if code == "3":
            case.period["henvTilTjeneste"] = ELSEWHERE[case.sector]
        elif code == "7":
            case.period |= {"henvTilTjeneste": "10", "henvTilHPR": case.ward.team[-1].hpr}
        if code in "37":
            case.period["henvTilInstitusjonID"] = pick(dice, case.country.elsewhere)
    case.period["sluttDato"] = day
    case.over = assessed


def _set_limit(case: Case, assessed: int, planned: int) -> None:
    """The latest justifiable start; one in twenty is planned too late, and Helfo is told or need not be."""
    dice, calendar = case.dice, case.calendar
    if dice() < 0.95:
        case.referral["fristStartBehandling"] = calendar.days[planned + between(dice, 3, 40)]
        if dice() < 0.05:
            case.referral["varslingHelfo"] = "1"
        return
    limit = planned - between(dice, 1, 5)
    case.referral["fristStartBehandling"] = calendar.days[limit]
    told = limit - 2
    if told <= calendar.last:
        case.referral |= {"varslingHelfo": pick(dice, ("2", "3")), "datoFormidlet": calendar.days[told]}


def _book(case: Case, assessed: int, planned: int, level: str) -> int:
    """Plan the first contact, postpone it for one in ten; return the day it is to be."""
    dice, calendar = case.dice, case.calendar
    if dice() > 0.1 or planned > calendar.last:
        plan(case, assessed, planned, level)
        return planned
    day, start = calendar.days, calendar.workday(planned + between(dice, 3, 30))
    why, closing = pick(
        dice, (("21", "FP10"), ("3", "FP02"), ("5", "FP01"), ("1", "FS01"), ("4", "FS99"), ("22", "FP01"))
    )
    decided = planned if why == "21" else max(assessed, planned - between(dice, 1, 7))
    case.referral["utsettelser"] = [
        {"nr": 1, "utsettKode": why, "utsettDato": day[decided], "datoEpisode": day[planned]}
    ]
    plan(case, assessed, planned, level, closing=closing, closed=decided)
    plan(case, decided, start, level)
    return start


def plan(case: Case, made: int, day: int, level: str, *, closing: str = "", closed: int = 0) -> Record:
    """A planned contact; far ahead only the week is known."""
    dice, calendar = case.dice, case.calendar
    case.plans += 1
    created = made * DAY + 600 + between(dice, 0, 300)
    record: Record = {
        **case.key,
        "henvisningsperiodeID": case.referral["henvisningsperiodeID"],
        "henvID": case.referral["henvID"],
        "planlagtID": case.number("PL", case.plans),
        "opprPlanlEpisodeDatoTid": calendar.at(created),
        "omsorgsniva": level,
        "enheter": units(case),
    }
    if day - made > 125 and not closing:
        record |= {"typeTidPlanlagtEpi": "1", "planlagtUke": calendar.week(day)}
    else:
        record |= {"typeTidPlanlagtEpi": "3", "planlagtDatoTid": calendar.at(day * DAY + 600)}
        _services(case, record, day)
    if made + 3 <= min(day, closed or day, calendar.last):
        record["varsletDato"] = calendar.days[made + 3]
    if closing:
        record |= {"lukkPlanlagtEpisode": closing, "lukketDato": calendar.days[closed]}
    return case.add("planlagt_kontakt", record)


def _services(case: Case, record: Record, day: int) -> None:
    """Procedures that are planned along with the contact."""
    if not case.condition.procedures or case.dice() > 0.25:
        return
    start, end = case.calendar.at(day * DAY + 600), case.calendar.at(day * DAY + 645)
    letter, code = case.condition.procedures[0]
    service: Record = {
        "tjenesteNr": 1,
        "tjenesteenhetID": case.ward.service,
        "startDatoTid": start,
        "sluttDatoTid": end,
        "tjenesteFag": case.condition.field,
    }
    if case.dice() < 0.2:
        service["instID"] = pick(case.dice, case.country.elsewhere)
    person, place = case.ward.team[0], {"tjenesteNr": 1, "tiltakNr": 1}
    record |= {
        "tjenester": [service],
        "tiltak": [{**place, "typeTiltak": "2" if letter == "R" else "1", "startDatoTid": start, "sluttDatoTid": end}],
        "tiltakHelsepersonell": [
            {
                **place,
                "nr": 1,
                "polUtforende": person.profession,
                "spesialist": person.specialist,
                "rolle": "1",
            }
        ],
        "prosedyrekoder": [
            {
                **place,
                "prosNr": 1,
                "tilstNr": 1,
                "kodeNr": 1,
                "Kodeverk": letter,
                "kodeVersjon": case.calendar.years[day],
                "kodeVerdi": code,
            }
        ],
    }


def pass_on(case: Case, day: int, level: str) -> None:
    """Refer onward inside the house: a second referral in the period, with the number of the first."""
    first = case.referral
    second = receive(case, day, level, first.get("henvFormal", "1"))
    second |= {
        "forsteHenvID": first["henvID"],
        "henvVurd": "2",
        "rettTilHelsehjelp": "3",
        "vurdDato": second["mottaksDato"],
        "fristStartBehandling": case.calendar.days[day + 30],
        "ventetidSluttDato": case.calendar.days[day],
        "ventetidSluttKode": "1",
    }
    case.referral = first
