"""Counted indicators as MeasureReport resources of R4, https://hl7.org/fhir/R4/measurereport.html.

Counts are of everyone in a population, before exclusions; the score leaves exclusions out. A subject list is a
contained List of what was counted. What is grouped by, such as a department, is a stratifier; its strata add up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_facade.contracts import Resource
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.npr.counting import Group, Period, Tally
from fhir_facade.npr.indicators import POPULATIONS, Stratifier
from fhir_facade.npr_measuring import labels, naming
from fhir_facade.rest.measure_resources import OWN, improvement, population_code
from fhir_facade.rest.services import SearchableStore

UNKNOWN = f"{OWN}cannot-be-known"
ABSENT = "http://terminology.hl7.org/CodeSystem/data-absent-reason"
UCUM = "http://unitsofmeasure.org"
DIGITS = 6
Name = Callable[[Stratifier, Group], dict[str, Any]]


def report(
    tally: Tally, period: Period, kind: str, reference: Callable[[str], str], name: Name, *, date: str, subject: str
) -> Resource:
    """The MeasureReport of a tally. `kind` is its type; `reference` gives that of what was counted, by its key.

    `name` says what a group is; `subject` is the reference of the one patient, or "".
    """
    indicator = tally.indicator
    lists = _lists(tally, reference) if kind == "subject-list" else []
    group: dict[str, Any] = {"population": _populations(tally, {each["id"] for each in lists})}
    _score(group, tally)
    if kind != "individual" and indicator.stratifiers:
        group["stratifier"] = [_stratifier(tally, each, name) for each in indicator.stratifiers.values()]
    out: Resource = {
        "resourceType": "MeasureReport",
        "contained": lists,
        "status": "complete",
        "type": kind,
        "measure": f"{indicator.url}|{indicator.version}",
        "subject": {"reference": subject} if subject else None,
        "date": date,
        "period": {"start": period.first, "end": period.last},
        "improvementNotation": improvement(indicator),
        "group": [group],
    }
    if kind == "individual":
        keys = sorted({key for found in tally.members.values() for key in found})
        out["evaluatedResource"] = [{"reference": reference(key)} for key in keys]
    return {element: value for element, value in out.items() if value}


def _populations(tally: Tally, listed: set[str]) -> list[dict[str, Any]]:
    found = []
    for name in POPULATIONS:
        if name not in tally.indicator.populations:
            continue
        row: dict[str, Any] = {"code": population_code(name), "count": tally.counts[name]}
        if tally.unknown[name]:
            row = {"extension": [{"url": UNKNOWN, "valueUnsignedInt": tally.unknown[name]}]} | row
        if name in listed:
            row["subjectResults"] = {"reference": f"#{name}"}
        found.append(row)
    return found


def _score(held: dict[str, Any], tally: Tally) -> None:
    """Put the score where it belongs, if there is one."""
    score = tally.score
    if score is None:
        return
    held["measureScore"] = {"value": round(score, DIGITS)}
    unit = tally.indicator.measured_in
    if unit:
        held["measureScore"] |= {"unit": unit, "system": UCUM, "code": unit}


def _stratifier(tally: Tally, stratifier: Stratifier, name: Name) -> dict[str, Any]:
    strata = []
    groups = tally.groups.get(stratifier.name, {})
    for group in sorted(groups, key=lambda each: (each is None, each or "")):
        stratum = {"value": name(stratifier, group), "population": _populations(groups[group], set())}
        _score(stratum, groups[group])
        strata.append(stratum)
    out: dict[str, Any] = {"code": [{"text": stratifier.name}]}
    return out | ({"stratum": strata} if strata else {})


def _lists(tally: Tally, reference: Callable[[str], str]) -> list[Resource]:
    """A List for each population that has somebody in it."""
    return [
        {
            "resourceType": "List",
            "id": name,
            "status": "current",
            "mode": "snapshot",
            "entry": [{"item": {"reference": reference(key)}} for key in sorted(tally.members[name])],
        }
        for name in POPULATIONS
        if tally.members.get(name)
    ]


def namer(mapping_set: MappingSet, store: SearchableStore, base_url: str, tally: Tally) -> Name:
    """What says in FHIR what a group is: a resource of ours with its name, a text, or that it is not told."""
    shown: dict[tuple[str, str], dict[str, Any]] = {}
    for stratifier in tally.indicator.stratifiers.values():
        kind = stratifier.asked.gives
        mapping = naming(mapping_set, kind) if kind else None
        if mapping is not None:
            keys = [each for each in tally.groups.get(stratifier.name, {}) if each is not None]
            for key, label in labels(mapping, store, keys).items():
                coding = {"system": f"{base_url}/{mapping.resource_type}", "code": mapping.id_of(key), "display": label}
                shown[kind, key] = {"coding": [coding], "text": label}

    def name(stratifier: Stratifier, group: Group) -> dict[str, Any]:
        if group is None:
            return {"coding": [{"system": ABSENT, "code": "unknown", "display": "Unknown"}]}
        return shown.get((stratifier.asked.gives, group)) or {"text": group}

    return name
