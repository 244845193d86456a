"""The record graphs of `profiles/npr/examples/`, read and changed as the examples say."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import Any

from fhir_facade.mapping.kinds import Kinds
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.npr.functions import Codes
from fhir_facade.npr.graph import Graph, everything
from fhir_facade.npr.rules import EARLIER, RuleSet, load_rules
from fhir_facade.resources import data_root
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.yaml_text import read

HOME = data_root("profiles") / "npr"
Records = dict[str, list[dict[str, Any]]]


@cache
def kinds() -> Kinds:
    return load_kinds(data_root("mappings") / "records", HOME / "records")


@cache
def codes() -> Codes:
    return Codes(Catalogue())


@cache
def rules() -> RuleSet:
    return load_rules(HOME / "rules.yaml", kinds(), codes(), HOME / "examples" / "site.yaml")


@cache
def tells() -> frozenset[str]:
    return everything(kinds()) | {EARLIER}


@cache
def graphs() -> Mapping[str, Any]:
    found: Mapping[str, Any] = read(HOME / "examples" / "graphs.yaml")["graphs"]
    return found


@cache
def _base(name: str) -> tuple[Records, str, Mapping[str, str]]:
    said = graphs()[name]
    if "from" in said:
        records, today, every = _base(said["from"])
        return changed(records, said["change"], every), today, every
    every = said["every"]
    made: Records = {kind: [typed(kind, row, every) for row in rows] for kind, rows in said["records"].items()}
    return made, str(said["today"]), every


def graph(name: str, change: Mapping[str, Any] = {}, earlier: Mapping[str, Any] | None = None) -> Graph:
    """A graph with a change; what was told before is the graph changed as `earlier` says."""
    records, today, every = _base(name)
    before = None if earlier is None else Graph(changed(records, earlier, every))
    return Graph(changed(records, change, every), today=today, tells=tells(), earlier=before)


def changed(records: Records, change: Mapping[str, Any], every: Mapping[str, str]) -> Records:
    """A copy of records, changed."""
    made = copy.deepcopy(records)
    for path, value in change.items():
        _change(made, str(path).split("."), value, every)
    return made


def _change(made: Records, steps: list[str], value: Any, every: Mapping[str, str]) -> None:
    kind = steps[0]
    held: Any = made.setdefault(kind, [])
    for step, after in zip(steps[1:], [*steps[2:], ""], strict=True):
        last = not after
        if isinstance(held, list):
            if step.strip("+") == "":
                top = held is made[kind]
                held.append(typed(kind, value, every) if top else _typed(_child(kind, steps[2]), value))
                return
            if last and value == "-":
                del held[int(step)]
                return
            held = held[int(step)]
        elif last and value == "-":
            held.pop(step, None)
        elif last:
            held[step] = _whole(kind, steps, step, value)
        else:
            held = held.setdefault(step, [])


def _whole(kind: str, steps: list[str], name: str, value: Any) -> Any:
    fields = kinds()[kind].fields if len(steps) == 3 else _child(kind, steps[2])
    return int(value) if fields[name].type == "integer" else str(value)


def _child(kind: str, name: str) -> Mapping[str, Any]:
    return kinds()[kind].children[name].fields


def _typed(fields: Mapping[str, Any], row: Mapping[str, Any]) -> dict[str, Any]:
    return {str(k): int(v) if fields[str(k)].type == "integer" else str(v) for k, v in row.items()}


def typed(kind: str, row: Mapping[str, Any], every: Mapping[str, str]) -> dict[str, Any]:
    known = kinds()[kind]
    made = {name: str(value) for name, value in every.items() if name in known.fields}
    for name, value in row.items():
        if isinstance(value, list):
            made[str(name)] = [_typed(_child(kind, name), item) for item in value]  # type: ignore[assignment]
        else:
            made |= _typed(known.fields, {name: value})
    return made
