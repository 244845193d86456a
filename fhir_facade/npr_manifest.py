"""The manifest of seeded faults: one JSON object a line for each finding that a checker is to make, or not to make."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from fhir_facade.mapping.kinds import Kinds, key_text
from fhir_facade.npr.planting import Changed, Planted, Spot
from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.batches import line

NAME = "manifest.ndjson"
NEEDED = ("fault", "rule", "expected", "kind", "key", "list", "item", "consequence")


class Place(NamedTuple):
    """What a finding is compared by: the rule, and the record or item (from 1) that breaks it."""

    rule: str
    kind: str
    key: str
    list: str | None
    item: int | None


class Told(NamedTuple):
    """A line of the manifest."""

    place: Place
    expected: bool
    consequence: str
    day: str | None


def rows(planted: Planted, kinds: Kinds, file: str) -> Iterator[dict[str, Any]]:
    """The lines of one fault; `file` is where it is found."""
    fault = planted.fault
    changes = [_change(each, kinds) for each in planted.changed]
    if fault.edit is not None:
        edit = fault.edit
        changes.append({"element": edit.element, "attribute": edit.attribute, "after": edit.value or edit.inside})
    head = {"fault": planted.number, "seededFor": fault.rule}
    tail = {"file": file, "day": planted.scene.today, "changes": changes}
    if fault.keeps:
        told = {"rule": fault.rule, "expected": False, "severity": None, **_spot(planted.at, kinds)}
        yield {**head, **told, "consequence": None, **tail}
    for each in planted.expected:
        told = {"rule": each.rule.number, "expected": True, "severity": each.rule.severity}
        where = _spot((each.kind, each.record, each.child, each.place), kinds)
        yield {**head, **told, **where, "consequence": each.consequence, **tail}


def _spot(spot: Spot, kinds: Kinds) -> dict[str, Any]:
    kind, record, child, place = spot
    names = kinds[kind].key
    return {
        "kind": kind,
        "key": key_text([record.get(name) for name in names]),
        "record": {name: record.get(name) for name in names},
        "list": child or None,
        "item": place + 1 if child else None,
    }


def _change(changed: Changed, kinds: Kinds) -> dict[str, Any]:
    names = kinds[changed.kind].key
    return {
        "kind": changed.kind,
        "key": key_text([changed.record.get(name) for name in names]),
        "list": changed.child or None,
        "field": changed.what or None,
        "before": changed.before,
        "after": changed.after,
    }


def read_manifest(path: Path) -> Iterator[Told]:
    """The lines of a manifest; Refused, with the line, where one cannot be read."""
    with path.open("rb") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                row = orjson.loads(text)
                values = {name: row[name] for name in NEEDED}
            except (orjson.JSONDecodeError, KeyError, TypeError) as error:
                reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else "it is no object"
                raise Refused(Issue("line-not-json", f"{path.name}: {line(number)}", {"reason": reason})) from None
            place = Place(values["rule"], values["kind"], values["key"], values["list"], values["item"])
            yield Told(place, bool(values["expected"]), str(values["consequence"]), row.get("day"))
