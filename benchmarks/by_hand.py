"""What one would write without the product: opphold → Encounter by hand, dict by dict, with all its branches.

It is given what it needs in a form that is quick to use: code lists as plain dicts, UTC offsets kept by the hour.
It checks nothing: no text without letters, no unknown code, no clock hour that does not exist.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.data import mapping_set

EXT = "http://fhir-facade.no/fhir/StructureDefinition"
EPISODE = "http://fhir-facade.no/fhir/NamingSystem/episode-id"
EPISODE_GUID = "http://fhir-facade.no/fhir/NamingSystem/episode-guid"
NPR_EPISODE = "http://hl7.no/fhir/ig/lmdi/StructureDefinition/npr-episode-identifier"
ORGNR = "urn:oid:2.16.578.1.12.4.1.4.101"
HPR = "urn:oid:2.16.578.1.12.4.1.4.4"
TAKST = "http://fhir-facade.no/fhir/CodeSystem/takst"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ACT_PRIORITY = "http://terminology.hl7.org/CodeSystem/v3-ActPriority"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"

CLASSES = {
    "1": ("IMP", "inpatient encounter"),
    "2": ("SS", "short stay"),
    "3": ("AMB", "ambulatory"),
    "8": ("AMB", "ambulatory"),
}
PRIORITIES = {
    "1": ("EM", "emergency"),
    "2": ("UR", "urgent"),
    "3": ("UR", "urgent"),
    "4": ("R", "routine"),
    "5": ("R", "routine"),
}
ROLES = {"1": ("PPRF", "primary performer"), "2": ("SPRF", "secondary performer")}

SECTORS = {"320": "phv", "310": "bup", "360": "tsb", "365": "tsb", "370": "tsb"}  # by field, list 8451

# Extensions that hold one coded field: field, URL, code list.
CODED = (
    ("komNrHjem", f"{EXT}/kommunenummer", "3402"),
    ("bydel", f"{EXT}/bydelsnummer", "3403"),
    ("debitor", f"{EXT}/debitor", "8426"),
    ("kommTjeneste", f"{EXT}/kommunal-tjeneste", "8481"),
    ("delytelse", f"{EXT}/delytelse-rehabilitering", "8472"),
    ("fbvTjenesteEpisode", f"{EXT}/fbv-tjeneste", "8486"),
    ("inntilstand", f"{EXT}/inntilstand", "8427"),
    ("samtykkekompetanse", f"{EXT}/samtykkekompetanse", "1101"),
)
CODED_LATER = (
    ("epikriseSamtykke", f"{EXT}/epikrise-samtykke", "9064"),
    ("initiativtaker", f"{EXT}/initiativtaker", "8433"),
    ("stedAktivitet", f"{EXT}/sted-for-aktivitet", "8434"),
)
ACTIVITY = {"Kontakt": "polkonAktivitet", "AvdOpp": "avdoppAktivitet"}


class Lists(dict[str, tuple[str, dict[str, str]]]):
    """Volven number → its URI and its displays."""

    def __missing__(self, number: str) -> tuple[str, dict[str, str]]:
        system = mapping_set().vocabulary.system(f"vol-{number}")
        assert system is not None
        self[number] = (system.uri, dict(system.displays or {}))
        return self[number]


LISTS = Lists()


def coding(number: str, code: str) -> dict[str, str]:
    """A Coding of a Volven list."""
    uri, displays = LISTS[number]
    if code in displays:
        return {"system": uri, "code": code, "display": displays[code]}
    return {"system": uri, "code": code}


def concept(system: str, pair: tuple[str, str], number: str, code: str) -> dict[str, Any]:
    """A CodeableConcept with the HL7 code and, beside it, the Norwegian one."""
    return {"coding": [{"system": system, "code": pair[0], "display": pair[1]}, coding(number, code)]}


@lru_cache(maxsize=100_000)
def offset(hour: str) -> str:
    """The UTC offset of a Norwegian clock hour."""
    return datetime.fromisoformat(f"{hour}:00:00").replace(tzinfo=ZoneInfo("Europe/Oslo")).isoformat()[19:]


def time(value: str) -> str:
    """A FHIR dateTime."""
    return value + offset(value[:13]) if len(value) == 19 else value


def organization(number: str) -> dict[str, Any]:
    """A reference to an organisation by its number."""
    return {"type": "Organization", "identifier": {"system": ORGNR, "value": number}}


def period(start: str | None, end: str | None) -> dict[str, str]:
    """A Period with the ends that there are."""
    out = {}
    if start is not None:
        out["start"] = time(start)
    if end is not None:
        out["end"] = time(end)
    return out


def profiles(record: dict[str, Any]) -> list[str]:
    """The profile of all stays, and the narrower ones by level of care and field."""
    get = record.get
    out, level = [f"{EXT}/encounter-opphold"], get("omsorgsniva")
    if level == "1" and get("oppholdsdel") == "AvdOpp":
        out.append(f"{EXT}/encounter-dogn")
    elif level in ("3", "8") and get("kontaktType") is not None and get("stedAktivitet") is not None:
        out.append(f"{EXT}/encounter-poliklinisk")
    if (sector := SECTORS.get(get("episodeFag"))) is not None:
        out.append(f"{EXT}/encounter-{sector}")
    return out


def encounter(record: dict[str, Any]) -> dict[str, Any]:
    """The Encounter of one stay."""
    get = record.get
    out: dict[str, Any] = {
        "resourceType": "Encounter",
        "id": record["$key"],
        "meta": {
            "versionId": f"{record['rad_versjon']}{VERSION}",
            "lastUpdated": record["sist_endret"],
            "profile": profiles(record),
        },
        "extension": extensions(record),
        "identifier": identifiers(record),
        "status": "in-progress" if get("utDatoTid") is None else "finished",
    }
    if leaves := get("permisjoner"):
        out["statusHistory"] = [leave(item) for item in leaves]
    level = get("omsorgsniva")
    if level is not None:
        code, display = CLASSES[level]
        out["class"] = {"system": ACT_CODE, "code": code, "display": display}
    if kinds := types(record):
        out["type"] = kinds
    if (field := get("episodeFag")) is not None:
        out["serviceType"] = {"coding": [coding("8451", field)]}
    if (haste := get("innmateHast")) is not None:
        out["priority"] = concept(ACT_PRIORITY, PRIORITIES[haste], "8428", haste)
    if (patient := get("$pasient")) is not None:
        out["subject"] = {"reference": f"Patient/{patient}"}
    if episodes := episodes_of_care(record):
        out["episodeOfCare"] = episodes
    if (key := get("$henvisning")) is not None:
        out["basedOn"] = [{"reference": f"ServiceRequest/{key}"}]
    if staff := get("helsepersonell"):
        out["participant"] = [participant(item) for item in staff]
    if span := period(get("innDatoTid"), get("utDatoTid")):
        out["period"] = span
    if conditions := get("tilstander"):
        out["diagnosis"] = [diagnosis(item) for item in conditions]
    if moved := hospitalization(record):
        out["hospitalization"] = moved
    if wards := get("postopphold"):
        out["location"] = [location(item) for item in wards]
    for unit in get("enheter") or ():
        if unit.get("typeEnhet") == "7":
            out["serviceProvider"] = {"reference": f"Organization/{unit['$enhet']}"}
            break
    return out


def identifiers(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The episode's number at its institution, and its GUID."""
    out: list[dict[str, Any]] = [
        {
            "system": EPISODE,
            "value": record["episodeID"],
            "assigner": {"identifier": {"system": ORGNR, "value": record["institusjonID"]}},
        }
    ]
    if (guid := record.get("episodeGUID")) is not None:
        out.append({"system": EPISODE_GUID, "value": guid})
    return out


def episodes_of_care(record: dict[str, Any]) -> list[dict[str, str]]:
    """The referral period and the series that the stay belongs to."""
    out = []
    if (key := record.get("$henvisningsperiode")) is not None:
        out.append({"reference": f"EpisodeOfCare/periode-{key}"})
    if (key := record.get("$serie")) is not None:
        out.append({"reference": f"EpisodeOfCare/serie-{key}"})
    return out


def types(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The level of care and the kinds of contact; which activity there is, the part of the stay tells."""
    get = record.get
    out = []
    if (code := get("omsorgsniva")) is not None:
        out.append({"coding": [coding("8406", code)]})
    if (code := get("kontaktType")) is not None:
        out.append({"coding": [coding("8432", code)]})
    activity = ACTIVITY.get(record["oppholdsdel"])
    if activity is not None and (code := get(activity)) is not None:
        out.append({"coding": [coding("8452", code)]})
    if (code := get("polIndir")) is not None:
        out.append({"coding": [coding("8454", code)]})
    return out


def leave(item: dict[str, Any]) -> dict[str, Any]:
    """A leave from the ward as a part of the status history."""
    return {
        "extension": [{"url": f"{EXT}/permisjonstype", "valueCoding": coding("8474", item["permisjonType"])}],
        "status": "onleave",
        "period": period(item.get("startDatoTid"), item.get("stoppDatoTid")),
    }


def participant(item: dict[str, Any]) -> dict[str, Any]:
    """A professional who took part."""
    parts = []
    if (code := item.get("polUtforende")) is not None:
        parts.append({"url": "utforende", "valueCoding": coding("8401", code)})
    if (code := item.get("spesialist")) is not None:
        parts.append({"url": "spesialist", "valueCoding": coding("1103", code)})
    out: dict[str, Any] = {"extension": [{"url": f"{EXT}/helsepersonell", "extension": parts}]} if parts else {}
    if (role := item.get("rolle")) is not None:
        out["type"] = [concept(PARTICIPATION, ROLES[role], "8456", role)]
    if (number := item.get("hpr")) is not None:
        out["individual"] = {"type": "Practitioner", "identifier": {"system": HPR, "value": number}}
    return out


def diagnosis(item: dict[str, Any]) -> dict[str, Any]:
    """A condition of the stay and its rank."""
    out: dict[str, Any] = {"condition": {"reference": f"Condition/{item['$key']}"}}
    if (rank := item.get("tilstNr")) is not None:
        out["rank"] = rank
    return out


def hospitalization(record: dict[str, Any]) -> dict[str, Any]:
    """Where the patient came from and went to."""
    get = record.get
    out: dict[str, Any] = {}
    if (number := get("fraInstitusjonID")) is not None:
        out["origin"] = organization(number)
    if (code := get("fraSted")) is not None:
        out["admitSource"] = {"coding": [coding("8408", code)]}
    if (number := get("tilInstitusjonID")) is not None:
        out["destination"] = organization(number)
    left = []
    if (code := get("tilSted")) is not None:
        left.append(coding("8408", code))
    if (code := get("utTilstand")) is not None:
        left.append(coding("8431", code))
    if left:
        out["dischargeDisposition"] = {"coding": left}
    return out


def location(item: dict[str, Any]) -> dict[str, Any]:
    """Time on one ward."""
    out: dict[str, Any] = {}
    if (key := item.get("$fagenhet")) is not None:
        url = f"{EXT}/fagenhet"
        out["extension"] = [{"url": url, "valueReference": {"reference": f"Organization/{key}"}}]
    if (key := item.get("$tjenesteenhet")) is not None:
        out["location"] = {"reference": f"Location/{key}"}
    if span := period(item.get("innDatoTid"), item.get("utDatoTid")):
        out["period"] = span
    return out


def extensions(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What NPR knows and FHIR has no element for."""
    get = record.get
    parts = [{"url": "stringIdentifier", "valueString": record["episodeID"]}]
    out: list[dict[str, Any]] = [
        {"url": NPR_EPISODE, "extension": parts},
        {"url": f"{EXT}/oppholdsdel", "valueCode": record["oppholdsdel"]},
    ]
    out += [unit(item) for item in get("enheter") or ()]
    for name, url, number in CODED:
        if (code := get(name)) is not None:
            out.append({"url": url, "valueCoding": coding(number, code)})
    if (days := get("alderIDager")) is not None:
        out.append({"url": f"{EXT}/alder-i-dager", "valueInteger": days})
    if (code := get("arenafleksibel")) is not None:
        out.append({"url": f"{EXT}/arenafleksibel", "valueCoding": coding("1101", code)})
    if (code := get("sluttKode")) is not None:
        out.append({"url": f"{EXT}/avslutningsmate-rus", "valueCoding": coding("8466", code)})
    if (day := get("epikriseDato")) is not None:
        out.append({"url": f"{EXT}/epikrise-dato", "valueDate": day})
    for name, url, number in CODED_LATER:
        if (code := get(name)) is not None:
            out.append({"url": url, "valueCoding": coding(number, code)})
    if (days := get("permisjonsdogn")) is not None:
        out.append({"url": f"{EXT}/permisjonsdogn", "valueInteger": days})
    for name, make in LISTED:
        if items := get(name):
            out += [make(item) for item in items]
    return out


def unit(item: dict[str, Any]) -> dict[str, Any]:
    """A unit with a role in the stay."""
    parts = []
    if (code := item.get("typeEnhet")) is not None:
        parts.append({"url": "type", "valueCoding": coding("8476", code)})
    if (key := item.get("$enhet")) is not None:
        parts.append({"url": "enhet", "valueReference": {"reference": f"Organization/{key}"}})
    return {"url": f"{EXT}/organisatorisk-enhet", "extension": parts}


def partner(item: dict[str, Any]) -> dict[str, Any]:
    """A body that took part in a cooperation contact."""
    parts: list[dict[str, Any]] = [{"url": "type", "valueCoding": coding("8742", item["tjenester"])}]
    if (number := item.get("institusjonID")) is not None:
        parts.append({"url": "organisasjon", "valueReference": organization(number)})
    return {"url": f"{EXT}/samarbeidspart", "extension": parts}


def tariff(item: dict[str, Any]) -> dict[str, Any]:
    """A tariff claimed."""
    parts: list[dict[str, Any]] = []
    if (code := item.get("typeForskrift")) is not None:
        parts.append({"url": "forskrift", "valueCoding": coding("8484", code)})
    parts.append({"url": "nummer", "valueCoding": {"system": TAKST, "code": item["takstnummer"]}})
    if (count := item.get("antall")) is not None:
        parts.append({"url": "antall", "valueInteger": count})
    return {"url": f"{EXT}/takst", "extension": parts}


def moment(item: dict[str, Any]) -> dict[str, Any]:
    """A time of note in the stay."""
    parts = [
        {"url": "tid", "valueDateTime": time(item["tidspunkt"])},
        {"url": "type", "valueCoding": coding("8477", item["typeTidspunkt"])},
    ]
    return {"url": f"{EXT}/tidspunkt", "extension": parts}


def attendee(item: dict[str, Any]) -> dict[str, Any]:
    """Another who took part."""
    return {"url": f"{EXT}/deltaker", "valueCoding": coding("8425", item["deltakerType"])}


def follow_up(item: dict[str, Any]) -> dict[str, Any]:
    """Follow-up agreed."""
    return {"url": f"{EXT}/oppfolging", "valueCoding": coding("8720", item["oppfolgingType"])}


def service(item: dict[str, Any]) -> dict[str, Any]:
    """A service given."""
    get = item.get
    parts: list[dict[str, Any]] = [{"url": "nr", "valueInteger": item["tjenesteNr"]}]
    if (number := get("instID")) is not None:
        parts.append({"url": "institusjon", "valueReference": organization(number)})
    if (key := get("$tjenesteenhet")) is not None:
        parts.append({"url": "enhet", "valueReference": {"reference": f"Organization/{key}"}})
    if (start := get("startDatoTid")) is not None:
        parts.append({"url": "start", "valueDateTime": time(start)})
    if (end := get("sluttDatoTid")) is not None:
        parts.append({"url": "slutt", "valueDateTime": time(end)})
    if (code := get("tjenesteFag")) is not None:
        parts.append({"url": "fagomrade", "valueCoding": coding("8451", code)})
    return {"url": f"{EXT}/tjeneste", "extension": parts}


def measure(item: dict[str, Any]) -> dict[str, Any]:
    """A measure within a service."""
    get = item.get
    parts: list[dict[str, Any]] = [
        {"url": "tjeneste", "valueInteger": item["tjenesteNr"]},
        {"url": "nr", "valueInteger": item["tiltakNr"]},
        {"url": "type", "valueCoding": coding("8465", item["typeTiltak"])},
    ]
    if (start := get("startDatoTid")) is not None:
        parts.append({"url": "start", "valueDateTime": time(start)})
    if (end := get("sluttDatoTid")) is not None:
        parts.append({"url": "slutt", "valueDateTime": time(end)})
    return {"url": f"{EXT}/tiltak", "extension": parts}


def helper(item: dict[str, Any]) -> dict[str, Any]:
    """A professional who took part in a measure."""
    parts: list[dict[str, Any]] = [
        {"url": "tjeneste", "valueInteger": item["tjenesteNr"]},
        {"url": "tiltak", "valueInteger": item["tiltakNr"]},
        {"url": "nr", "valueInteger": item["nr"]},
    ]
    for name, url, number in (
        ("polUtforende", "utforende", "8401"),
        ("spesialist", "spesialist", "1103"),
        ("rolle", "rolle", "8456"),
    ):
        if (code := item.get(name)) is not None:
            parts.append({"url": url, "valueCoding": coding(number, code)})
    return {"url": f"{EXT}/tiltak-helsepersonell", "extension": parts}


LISTED = (
    ("samarbeidsparter", partner),
    ("takster", tariff),
    ("tidspunkter", moment),
    ("deltakere", attendee),
    ("oppfolging", follow_up),
    ("tjenester", service),
    ("tiltak", measure),
    ("tiltakHelsepersonell", helper),
)
VERSION = f"-{mapping_set().mappings['opphold-encounter'].hash8}"
