"""What the journal knows and NPR-melding lacks: people around the patient, consents, who pays, plans, ends of things.

Rolled with dice of its own when all else about the patient is told, so that the rest does not depend on it.
"""

from __future__ import annotations

from datetime import date, timedelta
from random import Random

from fhir_facade.contracts import Record
from fhir_facade.store.synthetic_persons import Dice, between, pick
from fhir_facade.store.synthetic_referrals import Case
from fhir_facade.store.synthetic_words import FAMILIES, MEN, WOMEN

CONVENTION, SELF_PAYING = "11", "12"
FEMALE = {"1", "3", "5", "7", "DA", "GM", "SI", "BM", "MO"}  # in lists 8422 and 9033
ADULTS = ("EF", "SA", "EF", "DA", "SO", "SI", "BR", "AP", "BF")  # what a contact is to an adult, list 9033
CHILDREN = ("GM", "GF", "TO")
ABOUT = ("Utredning og behandling i poliklinikk", "Deling av opplysninger med skole", "Behandling under innleggelse")
STEPS = ("Ukentlig samtale med kontaktperson", "Oppfølging hos fastlege", "Arbeidstrening to dager i uken")


def add_own(case: Case) -> None:
    """Complete the patient's records, and add those of kinds that no message carries."""
    dice = Random(f"{case.person['pasientGUID']}:own").random
    told = [(kind, record) for kind, record in case.out]
    periods = {record["henvisningsperiodeID"]: record for kind, record in told if kind == "henvisningsperiode"}
    for kind, record in told:
        if kind == "henvisning":
            _referral(dice, record, periods[record["henvisningsperiodeID"]])
        elif kind == "planlagt_kontakt" and "planlagtDatoTid" in record and dice() < 0.8:
            record["planlagtSluttDatoTid"] = f"{record['planlagtDatoTid'][:10]}T10:{pick(dice, (30, 45, 50))}:00"
        elif kind == "parorende":
            _carer(dice, case, record)
    _stays(told)
    _decisions(dice, told)
    _contacts(dice, case)
    _consents(dice, case, [record for kind, record in told if kind == "parorende"])
    _insurance(dice, case)
    for kind, record in told:
        if kind == "individuell_plan" and record["individuellPlan"] == "101":
            _plans(dice, case, record["individuellPlanDato"])


def _days(day: str, more: int) -> str:
    return (date.fromisoformat(day) + timedelta(more)).isoformat()


def _referral(dice: Dice, record: Record, period: Record) -> None:
    """Who sent it and when, and when it was closed: with the period, if care began."""
    if "henvFraHPR" in period:
        record["henviserHpr"] = period["henvFraHPR"]
    if dice() < 0.9:
        record["sendtDato"] = _days(record["mottaksDato"], 0 if record["hastegrad"] == "0" else -between(dice, 0, 4))
    if record.get("ventetidSluttKode") == "1" and "sluttDato" in period and dice() < 0.9:
        record["avsluttetDato"] = period["sluttDato"]


def _stays(told: list[tuple[str, Record]]) -> None:
    """A stay rests on the first referral of its period."""
    first: dict[str, str] = {}
    for kind, record in told:
        if kind == "henvisning":
            first.setdefault(record["henvisningsperiodeID"], record["henvID"])
    for kind, record in told:
        if kind == "opphold":
            record["henvID"] = first[record["henvisningsperiodeID"]]


def _decisions(dice: Dice, told: list[tuple[str, Record]]) -> None:
    """A decision ends with the next one of its stay, or with the stay; for one in five nobody wrote it down."""
    ends = {record["episodeID"]: record.get("utDatoTid", "") for kind, record in told if kind == "opphold"}
    decisions = [record for kind, record in told if kind == "vedtak"]
    for record, later in zip(decisions, [*decisions[1:], {}], strict=False):
        same = later.get("episodeID") == record["episodeID"]
        end = later["datoSpesialistVedtak"] if same else ends[record["episodeID"]]
        if end > record["datoSpesialistVedtak"] and dice() < 0.8:
            record["opphortDatoTid"] = end


def _named(dice: Dice, role: str, family: str) -> Record:
    women = role in FEMALE or (role in ("EF", "SA", "AP", "TO", "9") and dice() < 0.5)
    return {"fornavn": pick(dice, WOMEN if women else MEN), "etternavn": family}


def _reached(dice: Dice, case: Case, nr: int) -> Record:
    number = {"telefon": f"+4700{(case.n * 7 + nr) % 1_000_000:06}"}
    return {**number, "epost": f"n{case.n}.{nr}@example.org"} if dice() < 0.4 else number


def _carer(dice: Dice, case: Case, record: Record) -> None:
    family = case.person["etternavn"] if record["relasjon"] in "1234" else pick(dice, FAMILIES)
    record |= {**_named(dice, record["relasjon"], family), **_reached(dice, case, record["nr"])}
    record["fra"] = case.person["fodselsdato"] if record["relasjon"] in "12" else record["datoTidRegistrert"][:10]
    if record["relasjon"] not in "1234" and dice() < 0.3:
        record["til"] = _days(record["fra"], 365)


def _contacts(dice: Dice, case: Case) -> None:
    """Next of kin, children of the patient, now and then a guardian."""
    born = date.fromisoformat(case.person["fodselsdato"])
    young = case.calendar.year - born.year < 18
    for nr in range(1, between(dice, 0, 2) + 1):
        role = pick(dice, CHILDREN if young else ADULTS)
        record: Record = {**case.key, "nr": nr, "slektskap": role, "narmeste": "1" if nr == 1 else "2"}
        record |= _named(dice, role, pick(dice, FAMILIES))
        if role in ("DA", "SO"):
            record["fodselsdato"] = _days(born.isoformat(), between(dice, 20 * 365, 38 * 365))
        if role not in ("DA", "SO") or record["fodselsdato"] < "2000":
            record |= _reached(dice, case, nr + 3)
        if dice() < 0.1:
            record |= {"verge": pick(dice, ("1", "2")), "fra": case.calendar.days[case.calendar.first]}
        if dice() < 0.05:
            record["til"] = case.calendar.days[case.calendar.last]
        case.add("pasientkontakt", record)


def _consents(dice: Dice, case: Case, carers: list[Record]) -> None:
    """Of each carer who may consent, else now and then of the patient; some refuse or withdraw."""
    asked = [record["nr"] for record in carers if record["samtykkekompetanse"] == "1"]
    for nr, carer in enumerate(asked or ([None] if dice() < 0.1 else []), 1):
        chance = dice()
        day = case.calendar.days[min(max(case.over, case.calendar.first), case.calendar.last)]
        record: Record = {**case.key, "nr": nr, "gitt": "2" if chance < 0.1 else "1", "dato": day}
        if carer is not None:
            record["parorendeNr"] = carer
        if chance > 0.2:
            record["gjelder"] = pick(dice, ABOUT)
        if chance > 0.9:
            record["trukketDato"] = _days(day, 30)
        case.add("samtykke", record)


def _insurance(dice: Dice, case: Case) -> None:
    """National insurance, or the country of those under a convention; who pays alone has none."""
    home = case.home
    if home.payer == SELF_PAYING:
        return
    record: Record = {**case.key, "nr": 1, "debitor": home.payer, "trygdenasjon": home.country or "NO"}
    if home.payer == CONVENTION:
        start = case.calendar.days[case.calendar.first]
        record |= {"betaler": f"Trygdemyndighet i {home.country}", "kortNr": f"80{case.n:018}", "fra": start}
        record["til"] = case.calendar.days[case.calendar.last]
    else:
        record |= {"betaler": "Folketrygden", "betalerOrgNr": case.country.elsewhere[0]}
    if dice() < 0.03:
        record["annullert"] = pick(dice, ("1", "2"))
    case.add("trygd", record)


def _plans(dice: Dice, case: Case, day: str) -> None:
    """The plan in force, and now and then the one before it."""
    written = _days(day, -between(dice, 5, 300))
    common = {**case.key, "tittel": "Individuell plan", "koordinatorHpr": case.ward.team[0].hpr}
    steps: list[Record] = [{"nr": 1, "beskrivelse": pick(dice, STEPS)}, {"nr": 2, "beskrivelse": pick(dice, STEPS)}]
    steps[0]["startDato"] = written
    if dice() < 0.4:
        steps[0]["ferdigDato"] = _days(written, 4)
    if dice() < 0.3:
        before, after = _days(written, -400), _days(written, -1)
        old = {**common, "planID": case.number("IP", 1), "opprettet": before, "fra": before, "avsluttetDato": after}
        case.add("plan", {**old, "tiltak": [{**steps[1], "nr": 1, "startDato": before, "ferdigDato": after}]})
    case.add("plan", {**common, "planID": case.number("IP", 2), "opprettet": written, "fra": written, "tiltak": steps})
