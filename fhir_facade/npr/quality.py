"""What a hospital asks of its data beside the verdicts: counts that stay small however many records are judged.

Which fields are times, coded or mandatory is told by the record files, which codes a mapping translates by the code
maps, and days and time limits by terms of the rule file. Nothing here is a person's value: codes are counted, texts and
dates are not kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

from fhir_facade.contracts import Record
from fhir_facade.mapping.codecs import holds
from fhir_facade.mapping.ir import Coded, CodeMap, Condition, Each, MappingRules
from fhir_facade.mapping.kinds import Kind
from fhir_facade.npr.calendar import clock
from fhir_facade.npr.graph import Graph
from fhir_facade.npr.rules import RuleSet, Teller
from fhir_facade.npr.verdict import Verdict
from fhir_facade.outcome import Issue
from fhir_facade.terminology.judging import told

UNTOLD = "?"
"""Stands for a sector, unit or month that is not told."""

MIDNIGHT = "00:00"
FIELD_MISSING = "field-missing"
MOST = 20_000  # different keys that are told apart, of each count
Key = TypeVar("Key", bound=Hashable)


class Counts(Generic[Key]):
    """How often each key came; after `most` different ones the others are only counted together, `beyond`."""

    def __init__(self, most: int = MOST) -> None:
        self.by: Counter[Key] = Counter()
        self.most = most
        self.beyond = 0

    def add(self, key: Key, number: int = 1) -> None:
        """Count a key."""
        if key in self.by or len(self.by) < self.most:
            self.by[key] += number
        else:
            self.beyond += number

    @property
    def total(self) -> int:
        return self.by.total() + self.beyond


class Finding(NamedTuple):
    """A rule that was broken, in which unit, in which month (CCYY-MM)."""

    rule: str
    unit: str
    month: str


class Code(NamedTuple):
    """A code that its list has not on the day, or (`code_map`) that a code map does not translate."""

    field: str
    code_list: str
    code: str
    code_map: str


class Missing(NamedTuple):
    """A field without a value that must have one: the record file says so, or (`rule`) a rule."""

    kind: str
    field: str
    rule: str


class _Translated(NamedTuple):
    """A coded field that a code map translates where conditions hold; `child` is the list that it stands in."""

    field: str
    child: str
    code_map: CodeMap
    when: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is looked at in records of a kind."""

    times: tuple[tuple[str, str], ...]  # list ("" for the record itself) and field
    mandatory: tuple[tuple[str, str], ...]  # name as a source tells it, and field
    codes: tuple[tuple[str, str, Teller], ...]  # place, list of Volven, what tells the codes that do not fit
    translated: tuple[_Translated, ...]


class Quality:
    """Counts over verdicts as they come. `midnight` and `times` are by field; `left` are the days that are left of a
    time limit, of those whose care began and of those who wait."""

    def __init__(self, rules: RuleSet, mappings: Iterable[MappingRules] = ()) -> None:
        self.rules = rules
        self.findings: Counts[Finding] = Counts()
        self.codes: Counts[Code] = Counts()
        self.times: Counter[str] = Counter()
        self.midnight: Counter[str] = Counter()
        self.missing: Counter[Missing] = Counter()
        self.left: tuple[Counts[int], ...] = tuple(Counts() for _ in rules.left)
        self._translated: dict[str, list[_Translated]] = {}
        for mapping in mappings:
            self._translated.setdefault(mapping.kind, []).extend(_translations(mapping))
        self._plans: dict[str, _Plan] = {}

    def add(self, graph: Graph, verdicts: Iterable[Verdict], faults: Iterable[Issue]) -> None:
        """Count some verdicts, and what the reader could not take."""
        for verdict in verdicts:
            self._findings(graph, verdict)
            self._record(graph, verdict.kind, verdict.record)
        for issue in faults:
            if issue.code == FIELD_MISSING:
                self.missing[Missing(str(issue.facts["kind"]), str(issue.facts["field"]), "")] += 1

    def _findings(self, graph: Graph, verdict: Verdict) -> None:
        if not verdict.broken:
            return
        teller = self.rules.day.get(verdict.kind)
        day = teller(graph, verdict.record) if teller else None
        for broken in verdict.broken:
            self.findings.add(Finding(broken.rule.number, verdict.unit or UNTOLD, day[:7] if day else UNTOLD))
            named = f"{verdict.kind}.{broken.child}" if broken.child else verdict.kind
            item = verdict.record[broken.child][broken.place] if broken.child else verdict.record
            for name in broken.rule.judges[named].demands:
                if item.get(name) is None:
                    self.missing[Missing(named, name, broken.rule.number)] += 1

    def _record(self, graph: Graph, kind: str, record: Record) -> None:
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = self._plan(self.rules.kinds[kind])
        for child, name in plan.times:
            self._time(f"{kind}.{child}.{name}" if child else f"{kind}.{name}", name, _items(record, child))
        for told_as, name in plan.mandatory:
            if told_as in graph.tells and record.get(name) is None:
                self.missing[Missing(kind, name, "")] += 1
        for place, number, misfits in plan.codes:
            for code in misfits(graph, record):
                self.codes.add(Code(place, number, told(str(code)), ""))
        for each in plan.translated:
            self._translation(kind, record, each)
        for counts, tellers in zip(self.left, self.rules.left, strict=True):
            days = tellers[kind](graph, record) if kind in tellers else None
            if days is not None:
                counts.add(days)

    def _time(self, place: str, name: str, items: Iterable[Record]) -> None:
        for item in items:
            value = item.get(name)
            if value is not None:
                self.times[place] += 1
                self.midnight[place] += clock(value) == MIDNIGHT

    def _translation(self, kind: str, record: Record, each: _Translated) -> None:
        for item in _items(record, each.child):
            code = item.get(each.field)
            if code is None or code in each.code_map.targets:
                continue
            if all(holds(condition, item if condition.field in item else record) for condition in each.when):
                place = f"{kind}.{each.child}.{each.field}" if each.child else f"{kind}.{each.field}"
                number = self._list(kind, each)
                self.codes.add(Code(place, number, told(str(code)), each.code_map.name))

    def _list(self, kind: str, each: _Translated) -> str:
        known = self.rules.kinds[kind]
        fields = known.children[each.child].fields if each.child else known.fields
        return fields[each.field].code_list

    def _plan(self, kind: Kind) -> _Plan:
        times, codes = [], []
        tables = [("", kind.fields), *((child.name, child.fields) for child in kind.own_lists())]
        for child, fields in tables:
            for name, field in fields.items():
                if field.type == "dateTime":
                    times.append((child, name))
                if field.code_list:
                    place = f"{kind.name}.{child}.{name}" if child else f"{kind.name}.{name}"
                    codes.append((place, field.code_list, self.rules.misfits(kind, name, child)))
        mandatory = [(f"{kind.name}.{name}", name) for name, field in kind.fields.items() if field.required != "no"]
        return _Plan(tuple(times), tuple(mandatory), tuple(codes), tuple(self._translated.get(kind.name, ())))


def _items(record: Mapping[str, Any], child: str) -> Iterable[Any]:
    return record.get(child) or () if child else (record,)


def _translations(mapping: MappingRules) -> Iterator[_Translated]:
    """The rows of a mapping that translate a code on its way to FHIR."""
    for rule in mapping.rules:
        inner = rule.rules if isinstance(rule, Each) and not rule.records else (rule,)
        child = rule.child if isinstance(rule, Each) else ""
        kept = (*rule.when, *rule.keep) if isinstance(rule, Each) else ()
        for one in inner:
            if isinstance(one, Coded) and one.code_map is not None and one.only != "from-fhir":
                yield _Translated(one.field, child, one.code_map, (*kept, *one.when))
