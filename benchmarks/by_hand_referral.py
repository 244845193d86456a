"""What one would write without the product: henvisning → ServiceRequest by hand, in the way of by_hand.py."""

from __future__ import annotations

from typing import Any

from benchmarks.by_hand import EXT, HPR, ORGNR, SECTORS, coding, unit
from benchmarks.data import mapping_set

HELSENORGE = "http://helsenorge.no/fhir/StructureDefinition"
REFERRAL = "http://fhir-facade.no/fhir/NamingSystem/henv-id"
FIRST_REFERRAL = "http://fhir-facade.no/fhir/NamingSystem/forste-henv-id"
CATEGORY = "http://fhir-facade.no/fhir/CodeSystem/request-category"

PRIORITIES = {"0": "stat", "3": "urgent", "N": "routine", "PK": "urgent"}
ENDED = {"2", "3", "4", "5", "7", "9"}  # ventetidSluttKode: the wait ended without care here

# Extensions that hold one date as dateTime, and those that hold one coded field: field, URL, code list.
DATED = (
    ("vurdDato", f"{HELSENORGE}/no-vurdert-dato"),
    ("fristStartBehandling", f"{HELSENORGE}/no-frist-for-helsehjelp"),
)
CODED = (
    ("henvVurd", f"{EXT}/utfall-av-vurdering", "8485"),
    ("henvFormal", f"{EXT}/henvisningsformalitet", "8442"),
    ("frittBehandlingsvalg", f"{EXT}/fritt-behandlingsvalg", "1103"),
    ("secondOpinion", f"{EXT}/second-opinion", "1101"),
    ("debitor", f"{EXT}/debitor", "8426"),
    ("komNrHjem", f"{EXT}/kommunenummer", "3402"),
    ("bydel", f"{EXT}/bydelsnummer", "3403"),
    ("kommunalTjeneste", f"{EXT}/har-kommunal-tjeneste", "1103"),
    ("fbvTjenesteHenvisning", f"{EXT}/fbv-tjeneste", "8486"),
    ("tutor", f"{EXT}/begjarende-instans", "8443"),
    ("pakkeforlop", f"{EXT}/pakkeforlop", "1101"),
    ("rettTilHelsehjelp", f"{EXT}/rett-til-helsehjelp", "8444"),
)


def service_request(record: dict[str, Any]) -> dict[str, Any]:
    """The ServiceRequest of one referral."""
    get = record.get
    profiles = [f"{EXT}/servicerequest-henvisning"]
    if (sector := SECTORS.get(get("fagomrade"))) is not None:
        profiles.append(f"{EXT}/servicerequest-henvisning-{sector}")
    version = f"{record['rad_versjon']}{VERSION}"
    out: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "id": record["$key"],
        "meta": {"versionId": version, "lastUpdated": record["sist_endret"], "profile": profiles},
        "extension": extensions(record),
        "identifier": [
            {
                "system": REFERRAL,
                "value": record["henvID"],
                "assigner": {"identifier": {"system": ORGNR, "value": record["institusjonID"]}},
            }
        ],
    }
    if (first := get("forsteHenvID")) is not None:
        out["requisition"] = {"system": FIRST_REFERRAL, "value": first}
    out["status"] = status(record)
    out["intent"] = "order"
    categories: list[dict[str, Any]] = [{"coding": [{"system": CATEGORY, "code": "henvisning"}]}]
    if (code := get("henvType")) is not None:
        categories.append({"coding": [coding("8455", code)]})
    if (code := get("omsnivahenv")) is not None:
        categories.append({"coding": [coding("8406", code)]})
    out["category"] = categories
    if (haste := get("hastegrad")) is not None:
        out["priority"] = PRIORITIES[haste]
        out["_priority"] = {"extension": [{"url": f"{EXT}/original-code", "valueCoding": coding("8306", haste)}]}
    if (code := get("fagomrade")) is not None:
        out["code"] = {"coding": [coding("8451", code)]}
    if (patient := get("$pasient")) is not None:
        out["subject"] = {"reference": f"Patient/{patient}"}
    if (day := get("tildeltDato")) is not None:
        out["occurrenceDateTime"] = day
    if (day := get("sendtDato")) is not None:
        out["authoredOn"] = day
    if (number := get("henviserHpr")) is not None:
        out["requester"] = practitioner(number)
    units = get("enheter") or ()
    performers = [{"reference": f"Organization/{one['$enhet']}"} for one in units if one.get("typeEnhet") in ("7", "2")]
    if performers:
        out["performer"] = performers
    if reasons := get("henvisningsgrunner"):
        out["reasonCode"] = [reason(item) for item in reasons]
    if conditions := get("tilstander"):
        out["reasonReference"] = [{"reference": f"Condition/henvisning-{item['$key']}"} for item in conditions]
    if (text := get("henvisningstekst")) is not None:
        out["note"] = [{"text": text}]
    return out


def status(record: dict[str, Any]) -> str:
    """Revoked when it was turned away or the wait ended without care, completed when the EPJ has closed it."""
    get = record.get
    if get("avvistKode") is not None or get("rettTilHelsehjelp") == "5" or get("ventetidSluttKode") in ENDED:
        return "revoked"
    return "active" if get("avsluttetDato") is None else "completed"


def practitioner(number: str) -> dict[str, Any]:
    """A reference to a professional by HPR number."""
    return {"type": "Practitioner", "identifier": {"system": HPR, "value": number}}


def reason(item: dict[str, Any]) -> dict[str, Any]:
    """Why a child was referred, and its place among the reasons."""
    get = item.get
    parts: list[dict[str, Any]] = []
    if (place := get("henvisningsgrunnNr")) is not None:
        parts.append({"url": "nr", "valueInteger": place})
    if (code := get("barnetsMiljo")) is not None:
        parts.append({"url": "miljo", "valueCoding": coding("8448", code)})
    out: dict[str, Any] = {}
    if parts:
        out["extension"] = [{"url": f"{EXT}/henvisningsgrunn", "extension": parts}]
    if (code := get("barnet")) is not None:
        out["coding"] = [coding("8467", code)]
    return out


def extensions(record: dict[str, Any]) -> list[dict[str, Any]]:
    """What NPR and Helsenorge know and FHIR has no element for."""
    get = record.get
    out: list[dict[str, Any]] = []
    if (day := get("mottaksDato")) is not None:
        out.append({"url": f"{HELSENORGE}/no-mottatt-dato", "valueDateTime": day})
    if (day := get("avsluttetDato")) is not None:
        out.append({"url": f"{EXT}/avsluttet-dato", "valueDate": day})
    for name, url in DATED:
        if (day := get(name)) is not None:
            out.append({"url": url, "valueDateTime": day})
    for name, url, number in CODED:
        if (code := get(name)) is not None:
            out.append({"url": url, "valueCoding": coding(number, code)})
    if (text := get("avvistKode")) is not None:
        out.append({"url": f"{EXT}/avvist-kode", "valueString": text})
    if told := code_and_day(get("varslingHelfo"), "9180", get("datoFormidlet")):
        out.append({"url": f"{EXT}/varsling-helfo", "extension": told})
    if ended := code_and_day(get("ventetidSluttKode"), "8445", get("ventetidSluttDato")):
        out.append({"url": f"{EXT}/ventetid-slutt", "extension": ended})
    if (code := get("tilstandsgruppe")) is not None:
        out.append({"url": f"{EXT}/tilstandsgruppe", "valueCoding": coding("8478", code)})
    if (number := get("vurdererHpr")) is not None:
        out.append({"url": f"{EXT}/vurderer", "valueReference": practitioner(number)})
    if (key := get("$henvisningsperiode")) is not None:
        out.append(
            {"url": f"{EXT}/henvisningsperiode", "valueReference": {"reference": f"EpisodeOfCare/periode-{key}"}}
        )
    out += [unit(item) for item in get("enheter") or ()]
    out += [postponement(item) for item in get("utsettelser") or ()]
    return out


def code_and_day(code: str | None, number: str, day: str | None) -> list[dict[str, Any]]:
    """The parts of an extension that tells what happened, and when."""
    parts: list[dict[str, Any]] = []
    if code is not None:
        parts.append({"url": "kode", "valueCoding": coding(number, code)})
    if day is not None:
        parts.append({"url": "dato", "valueDate": day})
    return parts


def postponement(item: dict[str, Any]) -> dict[str, Any]:
    """The start of care put off."""
    parts = code_and_day(item.get("utsettKode"), "8446", item.get("utsettDato"))
    if (day := item.get("datoEpisode")) is not None:
        parts.append({"url": "planlagt", "valueDate": day})
    return {"url": f"{EXT}/utsettelse", "extension": parts}


VERSION = f"-{mapping_set().mappings['henvisning-servicerequest'].hash8}"
