"""Legal bases, coercive measures, and what psychiatry and addiction care record besides the stay."""

from __future__ import annotations

from fhir_facade.contracts import Record
from fhir_facade.store.synthetic_calendar import DAY
from fhir_facade.store.synthetic_persons import between, carers, pick
from fhir_facade.store.synthetic_referrals import Case

SPECIALIST, ENTITLED, CLERK = "1", "3", "4"
OBSERVATION, COMPULSORY, WITHOUT_BED = "4", "6", "51"
CRITERIA = (("1",), ("3",), ("1", "3"), ("4",), ("1", "4", "5"))
MEASURES = (  # kind of measure in list 8435, shortest and longest minutes
    ("1", 600, 4000),
    ("8", 5, 30),
    ("5", 60, 400),
    ("2", 1440, 9000),
    ("12", 5, 15),
    ("7", 30, 90),
    ("6", 30, 200),
    ("15", 5, 15),
)
ADDICTION_MEASURES = (("19", 5, 15), ("21", 5, 15), ("22", 5, 15), ("20", 1440, 9000), ("23", 5, 10))
HONOS = ("HoNOS1", "HoNOS2", "HoNOS6", "HoNOS7", "HoNOS9", "HoNOS10")
SURROUNDINGS = ("1.0", "1.1", "2.0", "2.1", "4.1", "5.1", "5.3", "6.2", "7.1", "8.2", "5000", "5999")


def decide(
    case: Case,
    stay: Record,
    moment: str,
    basis: str,
    by: str,
    criteria: tuple[str, ...] = (),
    complaint: str = "",
) -> Record:
    """One decision on the legal basis of a stay, with its criteria and the day of a complaint."""
    case.decisions += 1
    record: Record = {
        **case.key,
        "episodeID": stay["episodeID"],
        "spesialistvedtakID": case.number("V", case.decisions),
        "typeFormalitet": basis,
        "datoSpesialistVedtak": moment,
        "fattetAv": by,
    }
    if criteria:
        record["vilkar"] = [{"nr": nr, "vilkarType": kind} for nr, kind in enumerate(criteria, 1)]
    if complaint:
        kind = {OBSERVATION: "6", COMPULSORY: "1"}.get(basis, "9")
        record["klager"] = [{"nr": 1, "typeKlage": kind, "datoKlage": complaint}]
    return case.add("vedtak", record)


def voluntary(case: Case, stay: Record) -> None:
    """PHV and TSB state the basis of every stay, also when nobody compels."""
    basis = "21" if case.sector == "TSB" and case.dice() < 0.05 else "1"
    decide(case, stay, stay["innDatoTid"], basis, pick(case.dice, (ENTITLED, CLERK)))


def without_bed(case: Case, stay: Record) -> None:
    """An outpatient who is under compulsory care."""
    decide(case, stay, stay["innDatoTid"], WITHOUT_BED, SPECIALIST, pick(case.dice, CRITERIA))


def compulsory(case: Case, stay: Record, moment: int, bound: int) -> None:
    """Observation within a day of arrival, compulsory care for long stays, voluntary at discharge."""
    calendar, dice = case.calendar, case.dice
    decided = moment + between(dice, 60, 1200)
    if decided >= bound:
        voluntary(case, stay)
        return
    decision = decide(
        case, stay, calendar.at(decided), OBSERVATION, SPECIALIST, complaint=_complaint(case, decided, bound)
    )
    confirmed = decided + 3 * DAY
    if confirmed < bound:
        complaint = _complaint(case, confirmed, bound)
        decision = decide(
            case,
            stay,
            calendar.at(confirmed),
            COMPULSORY,
            pick(dice, ("1", "1", "2")),
            pick(dice, CRITERIA),
            complaint,
        )
        decided = confirmed
    if dice() < 0.7:
        _measures(case, stay, decision, decided, bound, MEASURES)
    if "utDatoTid" in stay:
        decide(case, stay, stay["utDatoTid"], "1", CLERK)


def detained(case: Case, stay: Record, moment: int, bound: int) -> None:
    """Addiction care by decision of the county board."""
    decision = decide(case, stay, stay["innDatoTid"], pick(case.dice, ("91", "92", "93")), ENTITLED)
    _measures(case, stay, decision, moment, bound, ADDICTION_MEASURES)


def _complaint(case: Case, decided: int, bound: int) -> str:
    """The day of a complaint, for one decision in four."""
    if case.dice() > 0.25:
        return ""
    return case.calendar.days[min(decided // DAY + between(case.dice, 0, 3), bound // DAY)]


def _measures(
    case: Case,
    stay: Record,
    decision: Record,
    decided: int,
    bound: int,
    kinds: tuple[tuple[str, int, int], ...],
) -> None:
    """One to three measures that rest on the decision, one after another, inside the stay."""
    calendar, dice, moment = case.calendar, case.dice, decided
    for nr in range(1, between(dice, 1, 3) + 1):
        kind, least, most = pick(dice, kinds)
        start = moment + between(dice, 60, 900)
        if start + 5 >= bound:
            return
        record = {
            **case.key,
            "episodeID": stay["episodeID"],
            "nr": nr,
            "typeTvang": kind,
            "datoVedtak": calendar.days[start // DAY],
            "spesialistvedtakID": decision["spesialistvedtakID"],
            "tidspunktStart": calendar.at(start),
        }
        moment = start + between(dice, least, most)
        if moment < bound:
            record["tidspunktStopp"] = calendar.at(moment)
        elif "utDatoTid" in stay:
            record["tidspunktStopp"] = stay["utDatoTid"]
        if dice() < 0.15:
            complained = calendar.days[min(start // DAY + 1, bound // DAY)]
            record["klager"] = [{"nr": 1, "typeKlage": "4" if kind == "8" else "3", "datoKlage": complained}]
        case.add("tvangstiltak", record)


def measure(case: Case, stay: Record, moment: int) -> None:
    """A score taken in the stay: HoNOS for adults, CGAS for children."""
    dice = case.dice
    record: Record = {
        **case.key,
        "episodeID": stay["episodeID"],
        "nr": 1,
        "malingKodeverk": "9178",
        "malingDatoTid": case.calendar.at(moment),
    }
    if case.sector == "BUP":
        record |= {
            "typeMaling": "CGAS",
            "typeMalingKodet": "CGAS",
            "resultater": [{"nr": 1, "maleresultatNr": 1, "verdi": str(between(dice, 30, 90)), "enhet": "poeng"}],
        }
    else:
        scores = [between(dice, 0, 4) for _ in range(2)]
        record |= {
            "typeMaling": "HoNOS",
            "typeMalingKodet": pick(dice, HONOS),
            "resultater": [
                {"nr": nr, "maleresultatNr": nr, "verdi": str(score), "enhet": "poeng"}
                for nr, score in enumerate(scores, 1)
            ],
        }
    case.add("maling", record)


def describe_patient(case: Case, received: int) -> None:
    """How the patient lives when the period begins; for a child also carers and child welfare service."""
    dice, period = case.dice, case.period["henvisningsperiodeID"]
    record: Record = {**case.key, "nr": case.periods, "henvisningsperiodeID": period}
    if case.sector == "BUP":
        record |= {
            "omsorgssituasjon": str(between(dice, 1, 9)),
            "psykososialeForhold": pick(dice, SURROUNDINGS),
            "psykososialtFunksjonsniva": str(between(dice, 21, 95)),
        }
    else:
        alone = pick(dice, ("1", "2", "2", "9"))
        record |= {
            "pasientBorAlene": alone,
            "egneBarn": pick(dice, ("1", "2", "2", "9")),
            "samlivStatus": "1" if alone == "1" else pick(dice, ("1", "2", "2", "3")),
        }
    case.add("pasienttilstand", record)
    if case.sector != "BUP":
        return
    if case.periods == 1:
        case.out += carers(dice, case.key, case.calendar.at(received * DAY + 700))
    if dice() < 0.3:
        case.add(
            "barnevern",
            {
                **case.key,
                "henvisningsperiodeID": period,
                "nr": 1,
                "barnevernetsRolle": str(between(dice, 1, 9)),
                "datoRolle": case.calendar.days[received],
            },
        )


def individual_plan(case: Case) -> None:
    """The latest status of the individual plan, and the unit's part in it."""
    if case.dice() > 0.3:
        return
    day = min(max(case.over, case.calendar.first), case.calendar.last)
    record = {
        **case.key,
        "individuellPlan": pick(case.dice, ("101", "102", "102", "103", "104", "105")),
        "individuellPlanDato": case.calendar.days[day],
    }
    if case.dice() < 0.6:
        record["rolleIP"] = pick(case.dice, ("1", "3", "21", "22", "23"))
    case.add("individuell_plan", record)


def finish_addiction_care(case: Case, stay: Record) -> None:
    """How the treatment ended and what was agreed to follow it."""
    stay["sluttKode"] = pick(case.dice, ("1", "1", "1", "2", "3", "4", "5"))
    agreed = pick(case.dice, (("1",), ("3",), ("4",), ("1", "3"), ("99",), ("2",)))
    stay["oppfolging"] = [{"nr": nr, "oppfolgingType": kind} for nr, kind in enumerate(agreed, 1)]
