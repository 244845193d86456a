"""Faults that can be put into sound records, as `profiles/npr/faults.yaml` says: read, judged and compiled.

A row says of which records it can be (`record`, `where`), what is changed there, and which rules are broken then, at
which records. Nothing here asks a rule: what a row says is what the rules are tried against.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from fhir_facade.mapping.findings import Finding, MappingError, nearest
from fhir_facade.mapping.kinds import ChildList, Field, Kind
from fhir_facade.npr import calendar
from fhir_facade.npr.graph import shared_kinds
from fhir_facade.npr.places import RuleFault
from fhir_facade.npr.rules import RuleSet, is_ours
from fhir_facade.npr.to_rule import Judge, Values, compiled, values
from fhir_facade.yaml_text import SourceError, Table, read

Action = Literal["set", "add", "copy", "before", "remove"]
ACTIONS: tuple[Action, ...] = ("add", "copy", "before", "remove", "set")
STEP = ("of", *ACTIONS)
ROW = ("rule", "record", "where", "finds", "spared", "keeps", "in", "xml", "steps", *STEP)
EDIT = ("element", "attribute", "value", "inside")
NONE = "-"
THIS, ADDED = "this", "added"
NUMBER = "{n}"

MOVED = r"(?: (?P<sign>[+-]) (?P<count>\d+) (?P<unit>\w+))?"
VALUE = re.compile(rf"= (?P<path>.+?){MOVED}(?: (?:at (?P<clock>\d\d:\d\d)|as (?P<day>date)))?")
UNITS = {"minutes": "minutes", "hours": "hours", "days": "days"}
YEARS = "years"


@dataclass(frozen=True, slots=True)
class Change:
    """A new value of a field: `text` as it stands, or what `path` gives, moved by a span, set to a time of day or
    written as a `day`."""

    field: Field
    text: str = ""
    path: Values | None = None
    moved: timedelta = timedelta()
    years: int = 0
    clock: str = ""
    day: bool = False

    def value(self, graph: Any, record: Any, item: Any, number: int) -> Any:
        """The value, None for none; LookupError when what it is made of is not there."""
        if self.path is None:
            text = self.text.replace(NUMBER, str(number))
            return None if text == NONE else int(text) if self.field.type == "integer" else text
        found = self.path.read(graph, record, item)
        if not found:
            raise LookupError(self.field.name)
        return found[0] if self.field.type == "integer" else self._moved(str(found[0]))

    def _moved(self, text: str) -> str:
        moment = calendar.moment(text)
        if moment is None or self.field.type not in ("date", "dateTime"):
            return text
        then = moment + self.moved
        if self.years:  # 29 February has no place in most years
            then = then.replace(year=then.year + self.years, day=min(then.day, 28))
        if self.day or self.field.type == "date":
            return then.date().isoformat()
        return f"{then.date().isoformat()}T{self.clock}:00" if self.clock else then.isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Step:
    """One change: of what `of` names, seen from the seeded record; `name` is the kind or list that is added to."""

    action: Action
    of: Values
    name: str
    changes: tuple[Change, ...]
    cleared: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Edit:
    """A change of a message's text, in the first tag of an element: an attribute, or what is put inside."""

    element: str
    attribute: str
    value: str
    inside: str


@dataclass(frozen=True)
class Fault:
    """One row. `finds` are the rules that are broken, each with the places where: "this", "added", or a path.

    `keeps`: no rule is broken, though it is near. `message`: it is put into a message of its own.
    """

    rule: str
    record: str
    where: Judge
    steps: tuple[Step, ...]
    finds: tuple[tuple[str, tuple[str | Values, ...]], ...]
    spared: frozenset[str]
    keeps: bool
    message: bool
    edit: Edit | None
    at: str


@dataclass(frozen=True)
class FaultTable:
    """The rows of the file; `prepare` are done to every patient first. `unseeded` tells of other rules why they have
    none."""

    prepare: tuple[Fault, ...]
    faults: tuple[Fault, ...]
    unseeded: Mapping[str, str]

    def __iter__(self) -> Iterator[Fault]:
        return iter(self.faults)


def load_faults(file: Path, rules: RuleSet) -> FaultTable:
    """The faults of a file, for some rules; MappingError with every finding."""
    loader = _Loader(file.name, rules)
    try:
        whole = read(file)
    except SourceError as error:
        raise MappingError([Finding(file.name, error.line, error.message)]) from None
    loader.keys(whole, ("prepare", "unseeded", "faults"))
    unseeded = whole.get("unseeded", Table())
    prepare = [loader.row(row) for row in whole.get("prepare", ())]
    faults = [loader.row(row) for row in whole.get("faults", ())]
    told = {str(row.get("rule")) for row in whole.get("faults", ())} | set(unseeded)
    for number in sorted(loader.numbers - told):
        loader.fault(1, f"nothing is said of {number}")
    if loader.findings:
        raise MappingError(loader.findings)
    return FaultTable(tuple(filter(None, prepare)), tuple(filter(None, faults)), unseeded)


class _Loader:
    """Reads rows; findings are gathered."""

    def __init__(self, name: str, rules: RuleSet) -> None:
        self.name = name
        self.rules = rules
        self.words = rules.words
        self.numbers = {number for number in (*(rule.number for rule in rules), *rules.switched_off) if is_ours(number)}
        self.shared = shared_kinds(rules.kinds)
        self.message = False
        self.findings: list[Finding] = []

    def fault(self, line: int, message: str) -> None:
        self.findings.append(Finding(self.name, line, message))

    def keys(self, row: Table, known: tuple[str, ...]) -> None:
        for key in row:
            if key not in known:
                self.fault(row.at(key), f"there is no '{key}' here{nearest(key, known)}")

    def row(self, row: Table) -> Fault | None:
        """One row; None, and a finding, where it is wrong."""
        before = len(self.findings)
        self.keys(row, ROW)
        self.message = row.get("in") == "message"
        number, record = str(row.get("rule", "")), str(row.get("record", ""))
        finds = row.get("finds", {number: THIS} if number else {})
        for each in (number, *finds):
            if each and each not in self.numbers:
                self.fault(row.line, f"there is no rule {each}{nearest(each, self.numbers)}")
        if len(self.findings) > before:
            return None
        try:
            return self._made_of(row, number, record, finds)
        except (RuleFault, ValueError) as fault:
            self.fault(row.line, str(fault))
            return None

    def _made_of(self, row: Table, number: str, record: str, finds: Mapping[str, Any]) -> Fault:
        keeps = row.get("keeps") == "true"
        places = {str(rule): tuple(self._place(record, one) for one in _list(at)) for rule, at in finds.items()}
        return Fault(
            rule=number,
            record=record,
            where=compiled(self.words, number or "prepare", record, "", str(row.get("where", "true"))).judge,
            steps=tuple(filter(None, (self._step(record, each) for each in (row, *row.get("steps", ()))))),
            finds=() if keeps else tuple(places.items()),
            spared=frozenset(_list(row.get("spared", []))),
            keeps=keeps,
            message=self.message,
            edit=self._edit(row),
            at=f"{self.name}:{row.line}",
        )

    def _edit(self, row: Table) -> Edit | None:
        said = row.get("xml")
        if said is None:
            return None
        self.keys(said, EDIT)
        return Edit(*(str(said.get(key, "")) for key in EDIT))

    def _place(self, record: str, text: str) -> str | Values:
        return text if text in (THIS, ADDED) else values(self.words, record, text)

    def _step(self, record: str, row: Table) -> Step | None:
        """The step that a row, or one of its steps, is."""
        action = next((each for each in ACTIONS if each in row), None)
        if action is None:
            return None
        if "record" not in row:
            self.keys(row, STEP)
        of = values(self.words, record, str(row["remove"] if action == "remove" else row.get("of", "$this")))
        if not of.kind:
            raise RuleFault("records are expected")
        if action in ("set", "remove") and of.kind in self.shared and not self.message:
            raise RuleFault(f"{of.kind} is everybody's: copy it instead")
        kind = self.words.kinds[of.kind]
        inside = kind.children[of.child] if of.child else None
        seen = f"{of.kind}.{of.child}" if of.child else of.kind
        name = str(row["add"]) if action == "add" else ""
        if action == "add":
            listed = kind.children.get(name)
            inside = listed if listed and not listed.records else None
            if inside is None and name not in self.words.kinds.by_name:
                raise RuleFault(f"there is no record kind or list '{name}'")
            kind = kind if inside else self.words.kinds[name]
        said = row.get("set" if action == "add" else action, {}) if action != "remove" else {}
        return self._made(action, of, name, seen, _Target(kind, inside), said)

    def _made(self, action: Action, of: Values, name: str, seen: str, target: _Target, said: Mapping[str, str]) -> Step:
        changes, cleared = [], []
        for key, text in said.items():
            if key in target.lists and text == NONE:
                cleared.append(str(key))
            elif key in target.fields:
                changes.append(self._change(seen, target.fields[key], str(text)))
            else:
                raise RuleFault(f"{target.name} has no '{key}'{nearest(key, target.fields)}")
        return Step(action, of, name, tuple(changes), tuple(cleared))

    def _change(self, seen: str, field: Field, text: str) -> Change:
        match = VALUE.fullmatch(text)
        if match is None:
            return Change(field, text=text)
        path = values(self.words, seen, match["path"])
        count = int(f"{match['sign']}{match['count']}") if match["count"] else 0
        unit = match["unit"] or "days"
        if unit not in (*UNITS, YEARS):
            raise RuleFault(f"'{unit}' is no span of time{nearest(unit, (*UNITS, YEARS))}")
        moved = timedelta(**{unit: count}) if unit in UNITS else timedelta()
        return Change(field, "", path, moved, count if unit == YEARS else 0, match["clock"] or "", bool(match["day"]))


class _Target:
    """What a step changes: a record of a kind, or an item of one of its lists."""

    def __init__(self, kind: Kind, inside: ChildList | None) -> None:
        self.name = f"{kind.name}.{inside.name}" if inside else kind.name
        self.fields = inside.fields if inside else kind.fields
        self.lists = () if inside else tuple(each.name for each in kind.own_lists())


def _list(value: Any) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
