"""What one would write without the product: konsultasjonsserie → EpisodeOfCare by hand, in the way of by_hand.py."""

from __future__ import annotations

from typing import Any

from benchmarks.by_hand import EXT, HPR, ORGNR, coding
from benchmarks.data import mapping_set

SERIES = "http://fhir-facade.no/fhir/NamingSystem/serie-id"
EPISODE_TYPE = "http://fhir-facade.no/fhir/CodeSystem/episode-type"


def episode_of_care(record: dict[str, Any]) -> dict[str, Any]:
    """The EpisodeOfCare of one consultation series."""
    get = record.get
    start, end = get("serieStart"), get("serieSlutt")
    out: dict[str, Any] = {
        "resourceType": "EpisodeOfCare",
        "id": f"serie-{record['$key']}",
        "meta": {
            "versionId": f"{record['rad_versjon']}{VERSION}",
            "lastUpdated": record["sist_endret"],
            "profile": [f"{EXT}/episodeofcare-konsultasjonsserie"],
        },
    }
    if added := extensions(record):
        out["extension"] = added
    out["identifier"] = [
        {
            "system": SERIES,
            "value": record["serieID"],
            "assigner": {"identifier": {"system": ORGNR, "value": record["institusjonID"]}},
        }
    ]
    out["status"] = "active" if end is None else "finished"
    out["type"] = [{"coding": [{"system": EPISODE_TYPE, "code": "konsultasjonsserie"}]}]
    if (patient := get("$pasient")) is not None:
        out["patient"] = {"reference": f"Patient/{patient}"}
    if (key := get("$enhet")) is not None:
        out["managingOrganization"] = {"reference": f"Organization/{key}"}
    span = {}
    if start is not None:
        span["start"] = start
    if end is not None:
        span["end"] = end
    if span:
        out["period"] = span
    if (number := get("ansvarligHpr")) is not None:
        out["careManager"] = {"type": "Practitioner", "identifier": {"system": HPR, "value": number}}
    return out


def extensions(record: dict[str, Any]) -> list[dict[str, Any]]:
    """The legal basis, and the referral period that the series belongs to."""
    out: list[dict[str, Any]] = []
    if (code := record.get("hjemmel")) is not None:
        out.append({"url": f"{EXT}/hjemmel", "valueCoding": coding("8440", code)})
    if (key := record.get("$henvisningsperiode")) is not None:
        out.append(
            {"url": f"{EXT}/henvisningsperiode", "valueReference": {"reference": f"EpisodeOfCare/periode-{key}"}}
        )
    return out


VERSION = f"-{mapping_set().mappings['konsultasjonsserie-episodeofcare'].hash8}"
