"""Contacts and admissions with conditions and procedures of one synthetic patient."""

from __future__ import annotations

from fhir_facade.contracts import Record
from fhir_facade.store.synthetic_calendar import DAY
from fhir_facade.store.synthetic_persons import between, guid, pick
from fhir_facade.store.synthetic_referrals import Case, units
from fhir_facade.store.synthetic_words import ASIDE, AXES, STARTS_PATHWAY

TARIFFS = ("201b", "203b", "A12a", "B01", "301a")
DIRECT = ("1", "2", "2", "2", "3", "3", "6", "7", "13")
COOPERATION = ("2", "22", "23", "71")  # indirect activities that name who took part
OTHER_INDIRECT = ("1", "3", "5", "12")
PARTNERS = ("120", "121", "125", "128", "140", "110")
REHABILITATION = ("F1.1", "F1.2", "A1.1", "A1.3", "R1.1")


def begin(case: Case, start: str, day: int, part: str, level: str, urgency: str) -> Record:
    """What every stay has; `start` is its first moment as written."""
    case.stays += 1
    record: Record = {
        **case.key,
        "episodeGUID": guid(case.dice),
        "episodeID": case.number("E", case.stays),
        "henvisningsperiodeID": case.period["henvisningsperiodeID"],
        "innDatoTid": start,
        "debitor": case.payer,
        "episodeFag": case.condition.field,
        "komNrHjem": case.home.number,
        "inntilstand": "1",
        "innmateHast": urgency,
        "omsorgsniva": level,
        "oppholdsdel": part,
        "enheter": units(case, ((case.ward.ward, "6"),) if part == "AvdOpp" else ((case.ward.clinic, "5"),)),
    }
    if case.home.district:
        record["bydel"] = case.home.district
    if case.scheme:
        record["fbvTjenesteEpisode"] = case.scheme
    if case.sector in ("PHV", "BUP"):
        record["samtykkekompetanse"] = "1" if case.dice() < 0.9 else "2"
    if day - case.born < 365:
        record["alderIDager"] = day - case.born
    if case.dice() < 0.08:
        record["kommTjeneste"] = pick(case.dice, ("1", "2", "3", "4", "6", "9"))
    if case.ward.department.number == "14":
        record |= {
            "delytelse": pick(case.dice, REHABILITATION),
            "arenafleksibel": "1" if case.dice() < 0.2 else "2",
        }
    return case.add("opphold", record)


def end(case: Case, stay: Record, moment: str, day: int, state: str = "1") -> None:
    """Close a stay: every ended stay says when and in which state."""
    stay |= {"utDatoTid": moment, "utTilstand": state}
    case.over = max(case.over, day)


def arrive(case: Case, stay: Record) -> None:
    """Where the patient came from."""
    chance = case.dice()
    stay["fraSted"] = "1" if chance < 0.8 else pick(case.dice, ("2", "3", "7", "8", "11", "88", "99"))
    if stay["fraSted"] in ("3", "99"):
        stay["fraInstitusjonID"] = pick(case.dice, case.country.elsewhere)


def leave(case: Case, stay: Record) -> None:
    """Where the patient went to."""
    chance = case.dice()
    stay["tilSted"] = "1" if chance < 0.85 else pick(case.dice, ("3", "8", "11", "88", "99"))
    if stay["tilSted"] in ("3", "99"):
        stay["tilInstitusjonID"] = pick(case.dice, case.country.elsewhere)


def contact(
    case: Case,
    moment: int,
    *,
    series: str = "",
    level: str = "3",
    urgency: str = "4",
    first: bool = False,
    second_pass: str = "",
) -> Record:
    """An outpatient or day contact, in person or indirect; the first of a period is always in person.

    `second_pass` is the end, already written, of a contact that begins in the first pass of the doubled hour.
    """
    calendar, dice = case.calendar, case.dice
    day, minutes = moment // DAY, 20 if second_pass else pick(dice, (30, 45, 45, 60, 90))
    stay = begin(case, calendar.at(moment), day, "Kontakt", level, urgency)
    end(case, stay, second_pass or calendar.at(moment + minutes), (moment + minutes) // DAY)
    if series:
        stay["serieID"] = series
    if not first and level == "3" and dice() < 0.1:
        _indirect(case, stay)
        return stay
    kind = pick(dice, DIRECT[:5]) if first or level != "3" else pick(dice, DIRECT)
    if dice() < 0.01:
        kind = "12"
    stay |= {
        "kontaktType": kind,
        "stedAktivitet": {"6": "3", "7": "3"}.get(kind) or pick(dice, ("1", "1", "1", "1", "4", "5")),
    }
    if case.sector != "SOM":
        stay["polkonAktivitet"] = pick(dice, ("1", "1", "1", "2", "3", "4"))
    arrive(case, stay)
    leave(case, stay)
    _company(case, stay)
    give_care(case, stay, moment, moment + minutes)
    return stay


def _indirect(case: Case, stay: Record) -> None:
    activity = pick(case.dice, (*COOPERATION, *OTHER_INDIRECT))
    stay |= {"kontaktType": "5", "polIndir": activity, "stedAktivitet": "1"}
    stay["helsepersonell"] = _team(case, 1)
    if activity in COOPERATION:
        partner = pick(case.dice, PARTNERS)
        stay["samarbeidsparter"] = [{"nr": 1, "tjenester": partner}]
        if partner == "110":
            stay["samarbeidsparter"][0]["institusjonID"] = pick(case.dice, case.country.elsewhere)


def _team(case: Case, size: int) -> list[Record]:
    """The one responsible and those who help."""
    people, first = case.ward.team, int(case.dice() * len(case.ward.team))
    chosen = [people[(first + step) % len(people)] for step in range(size)]
    return [
        {
            "nr": nr,
            "polUtforende": person.profession,
            "spesialist": person.specialist,
            "rolle": "1" if nr == 1 else "2",
            "hpr": person.hpr,
        }
        for nr, person in enumerate(chosen, 1)
    ]


def _company(case: Case, stay: Record) -> None:
    """Professionals, others who took part, who asked for the contact, and what is claimed."""
    chance = case.dice()
    stay["helsepersonell"] = _team(case, 2 if chance < 0.25 else 1)
    if case.sector == "BUP" and chance < 0.7:
        stay["deltakere"] = [{"nr": 1, "deltakerType": "2"}]
    elif chance > 0.9:
        stay["deltakere"] = [{"nr": 1, "deltakerType": pick(case.dice, ("1", "3", "9"))}]
    if 0.4 < chance < 0.6:
        stay["initiativtaker"] = pick(case.dice, ("1", "2", "3"))
    if chance < 0.5:
        tariffs = TARIFFS[: 2 if chance < 0.1 else 1]
        stay["takster"] = [
            {"nr": nr, "typeForskrift": "PO", "takstnummer": tariff, "antall": 1}
            for nr, tariff in enumerate(tariffs, 1)
        ]


def admission(case: Case, moment: int, nights: int, urgency: str, *, died: bool = False) -> tuple[Record, int]:
    """A stay in a department; returns it with the moment that bounds what happens in it (its end, or now)."""
    calendar, dice = case.calendar, case.dice
    day = moment // DAY
    stay = begin(case, calendar.at(moment), day, "AvdOpp", "1", urgency)
    arrive(case, stay)
    until = (day + nights) * DAY + 570 + between(dice, 0, 50) * 7
    ended = until // DAY <= calendar.last
    if ended:
        end(case, stay, calendar.at(until), until // DAY, "2" if died else "1")
        if not died:
            leave(case, stay)
        _discharge_letter(case, stay, until // DAY)
    bound = until if ended else calendar.last * DAY + 1380
    _wards(case, stay, moment, bound, nights)
    if case.sector != "SOM":
        stay["avdoppAktivitet"] = pick(dice, ("1", "1", "4", "6"))
    if nights >= 6 and (case.sector != "SOM" or case.ward.department.number == "14"):
        _leave_of_absence(case, stay, day, bound)
    if ended and nights >= 3 and case.sector == "SOM" and dice() < 0.25:
        _warn_municipality(case, stay, moment, until)
    give_care(case, stay, moment, bound)
    return stay, bound


def _discharge_letter(case: Case, stay: Record, day: int) -> None:
    sent = day + pick(case.dice, (0, 0, 1, 1, 3, 8))
    if sent <= case.calendar.last:
        stay |= {
            "epikriseDato": case.calendar.days[sent],
            "epikriseSamtykke": pick(case.dice, ("1", "2", "2", "2", "4")),
        }


def _wards(case: Case, stay: Record, moment: int, bound: int, nights: int) -> None:
    """One ward, or two with no time between them."""
    ward, ours = {"tjenesteenhetID": case.ward.ward, "fagenhetID": case.ward.units[1][0]}, stay["innDatoTid"]
    last: Record = {"nr": 1, **ward, "innDatoTid": ours}
    stay["postopphold"] = [last]
    move = (moment // DAY + 1) * DAY + 660
    if nights >= 3 and move < bound and case.dice() < 0.3:
        last["utDatoTid"] = case.calendar.at(move)
        last = {
            "nr": 2,
            "tjenesteenhetID": "P11" if case.sector == "SOM" else case.ward.clinic,
            "innDatoTid": case.calendar.at(move),
        }
        stay["postopphold"].append(last)
    if "utDatoTid" in stay:
        last["utDatoTid"] = stay["utDatoTid"]


def _leave_of_absence(case: Case, stay: Record, day: int, bound: int) -> None:
    """Leave over one night or two; some systems only count the days."""
    chance, start = case.dice(), (day + 2) * DAY + 720
    back = start + pick(case.dice, (1, 2)) * DAY + 360
    if chance > 0.5 or start >= bound:
        return
    if chance < 0.1 and back < bound:
        stay["permisjonsdogn"] = 1
        return
    stay["permisjoner"] = [
        {"nr": 1, "startDatoTid": case.calendar.at(start), "permisjonType": "1" if chance < 0.4 else "2"}
    ]
    if back < bound:
        stay["permisjoner"][0]["stoppDatoTid"] = case.calendar.at(back)


def _warn_municipality(case: Case, stay: Record, moment: int, until: int) -> None:
    times = (("1", moment + 300), ("2", until - 1500), ("3", until - 1480))
    stay["tidspunkter"] = [
        {"nr": nr, "tidspunkt": case.calendar.at(when), "typeTidspunkt": kind}
        for nr, (kind, when) in enumerate(times, 1)
    ]


def give_care(case: Case, stay: Record, start: int, bound: int) -> None:
    """Conditions and procedures of a stay, each a record of its own after it."""
    scope = {**case.key, "episodeID": stay["episodeID"]}
    _conditions(case, stay, scope, case.calendar.years[bound // DAY])
    procedures = list(case.condition.procedures)
    if case.sector in STARTS_PATHWAY and case.stays == 1 and case.referral.get("pakkeforlop") == "1":
        procedures.append(("T", STARTS_PATHWAY[case.sector]))
    if procedures and case.dice() < 0.75:
        _procedures(case, stay, scope, procedures, start, bound)


def _conditions(case: Case, stay: Record, scope: Record, year: str) -> None:
    """The main condition first, then another one; BUP says on which axis."""
    dice, child = case.dice, case.sector == "BUP"
    scope = {**scope, "innDatoTid": stay["innDatoTid"]}
    if "utDatoTid" in stay:
        scope["utDatoTid"] = stay["utDatoTid"]
    found: list[tuple[int, tuple[tuple[str, str], ...]]] = [(1, (("D", case.condition.icd),))]
    if case.condition.icd == "F112":
        found[0] = (1, (("D", "F112"), ("F", "N07BC02")))
    if child:
        found += [(axis, (("D", pick(dice, codes)),)) for axis, codes in AXES if dice() < 0.25]
    elif dice() < 0.25 and case.born < 0:
        found.append((1, (("D", pick(dice, ASIDE[case.sector])),)))
    for place, (axis, codes) in enumerate(found, 1):
        for nr, (letter, code) in enumerate(codes, 1):
            record = {
                **scope,
                "tilstNr": place,
                "kodeNr": nr,
                "Kodeverk": letter,
                "kodeVersjon": year,
                "kodeVerdi": code,
            }
            if child:
                record["akse"] = str(axis)
            case.add("tilstand", record)


def _procedures(
    case: Case, stay: Record, scope: Record, procedures: list[tuple[str, str]], start: int, bound: int
) -> None:
    """One service with one measure; the stay's lists and every procedure record repeat its facts."""
    calendar, person = case.calendar, case.ward.team[0]
    kind = "2" if procedures[0][0] == "R" else "1"
    began, done = calendar.at(start + 5), calendar.at(min(start + 65, bound))
    service: Record = {
        "tjenesteenhetID": case.ward.service,
        "startDatoTid": began,
        "sluttDatoTid": done,
        "tjenesteFag": case.condition.field,
    }
    if case.dice() < 0.05:
        service["instID"] = pick(case.dice, case.country.elsewhere)
    place = {"tjenesteNr": 1, "tiltakNr": 1}
    stay["tjenester"] = [{"tjenesteNr": 1, **service}]
    stay["tiltak"] = [{**place, "typeTiltak": kind, "startDatoTid": began, "sluttDatoTid": done}]
    stay["tiltakHelsepersonell"] = [
        {**place, "nr": 1, "polUtforende": person.profession, "spesialist": person.specialist, "rolle": "1"}
    ]
    common = {
        **scope,
        **place,
        **service,
        "typeTiltak": kind,
        "tiltakStart": began,
        "tiltakSlutt": done,
        "tilstNr": 1,
    }
    for nr, (letter, code) in enumerate(procedures, 1):
        case.add(
            "prosedyre",
            {
                **common,
                "prosNr": nr,
                "kodeNr": 1,
                "Kodeverk": letter,
                "kodeVerdi": code,
                "kodeVersjon": calendar.years[start // DAY],
            },
        )
