"""The records of `profiles/npr/examples/indicators.yaml`, as graphs and in a store."""

from __future__ import annotations

from functools import cache
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.npr.counting import Period
from fhir_facade.npr.graph import Graph
from fhir_facade.npr.indicators import IndicatorSet
from fhir_facade.npr.shipped import shipped_indicators
from fhir_facade.store.records import Store
from fhir_facade.yaml_text import read
from tests.npr_sample import KINDS
from tools.npr_graphs import HOME, typed

EXAMPLES = read(HOME / "examples" / "indicators.yaml")
NOW = "2026-01-01T10:00:00.000Z"


@cache
def indicators() -> IndicatorSet:
    return shipped_indicators(KINDS, drafts=True)


def period() -> Period:
    return Period(*map(str, EXAMPLES["period"]))


def example(name: str) -> Any:
    """What stands of an indicator, with the records that it shares with another."""
    row = EXAMPLES["examples"][name]
    return row | {"records": example(row["like"])["records"]} if "like" in row else row


def records(name: str) -> dict[str, list[Record]]:
    """Complete records of an example by kind, with a patient for each number."""
    every = {key: str(value) for key, value in EXAMPLES["every"].items()}
    made: dict[str, list[Record]] = {"enhet": [typed("enhet", row, every) for row in EXAMPLES["enhet"]]}
    numbers = dict.fromkeys(str(row["pasientNr"]) for row in example(name)["records"]["opphold"])
    made["pasient"] = [typed("pasient", {"pasientNr": number}, every) for number in numbers]
    for kind, rows in example(name)["records"].items():
        made[kind] = [typed(kind, _units(row), every) for row in rows]
    return {kind: [KINDS.complete(KINDS[kind], each) for each in rows] for kind, rows in made.items()}


def _units(row: Any) -> Any:
    """A record whose units are written as type=id are the items of its list."""
    pairs = [each.split("=") for each in str(row.get("enheter", "")).split()]
    if not pairs:
        return row
    return row | {
        "enheter": [{"nr": place, "typeEnhet": role, "enhetID": unit} for place, (role, unit) in enumerate(pairs, 1)]
    }


def graph(name: str) -> Graph:
    return Graph(records(name))


def fill(store: Store, name: str) -> None:
    """Put the records of an example into a store; what a store demands and no indicator asks for is made up."""
    held = records(name)
    stays = held["opphold"]
    held["henvisningsperiode"] = [
        {**{part: person[part] for part in ("institusjonID", "pasientNr")}, "henvisningsperiodeID": "P1"}
        for person in held["pasient"]
    ]
    for stay in stays:
        stay |= {"debitor": "1", "komNrHjem": "0301", "innmateHast": "4"}
    with store.transaction() as writer:
        for kind in KINDS:
            rows = [KINDS.complete(kind, record) for record in held.get(kind.name, ())]
            writer.merge(kind, rows, NOW, supplied=None)
