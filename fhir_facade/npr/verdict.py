"""What the registry would do with each record, with the reasons: verdicts over a graph.

| Verdict | When |
| --- | --- |
| message-rejected | a rule whose consequence is that the whole message is refused is broken |
| row-dropped | the record is deleted, or a record that it stands under is |
| accepted-with-loss | a value, or an item of a list, is lost |
| accepted | nothing is lost; findings may still tell of what the registry does not act on |

`isf_eligible` is False where a rule of activity-based funding is broken or the record is lost, None where one cannot be
known, and for kinds of record that no such rule is about. Whether a stay is of a kind that is paid for is the
grouper's to say, not ours.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kind
from fhir_facade.npr.graph import Graph, shared_kinds
from fhir_facade.npr.rules import Consequence, Rule, RuleSet
from fhir_facade.npr.to_rule import BROKEN, ELSEWHERE, SPARED, UNKNOWN, Judge

Outcome = Literal["accepted", "accepted-with-loss", "row-dropped", "message-rejected"]
ORDER: tuple[Outcome, ...] = ("accepted", "accepted-with-loss", "row-dropped", "message-rejected")
REFUSED: frozenset[Outcome] = frozenset({"row-dropped", "message-rejected"})
FAILING = (BROKEN, SPARED)
LOSS = frozenset({"set-minus-one", "set-null", "set-zero"})
Key = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that a record breaks, in an item of one of its lists where `child` names it (`place` from 0).

    `acted_on`: the registry does what the rule says.
    """

    rule: Rule
    fields: tuple[str, ...]
    child: str = ""
    place: int = 0
    acted_on: bool = True

    @property
    def consequence(self) -> Consequence:
        """What the registry does because of it."""
        return self.rule.consequence if self.acted_on else "none"

    @property
    def outcome(self) -> Outcome:
        """What becomes of the record because of it."""
        does = self.consequence
        if does == "reject-message":
            return "message-rejected"
        if does == "drop-linked" or (does == "drop-row" and not self.child):
            return "row-dropped"
        return "accepted-with-loss" if does in LOSS or does == "drop-row" else "accepted"


@dataclass(slots=True)
class Verdict:
    """The verdict of one record. `unknown` are the rules that could not be judged; `with_record` the record above
    that this one is lost with; `sector` and `unit` are told of a record that breaks a rule."""

    kind: str
    record: Record
    outcome: Outcome = "accepted"
    broken: list[Broken] = field(default_factory=list)
    unknown: list[Rule] = field(default_factory=list)
    isf_eligible: bool | None = None
    with_record: Key | None = None
    sector: str | None = None
    unit: str | None = None

    @property
    def errors(self) -> list[Broken]:
        """The findings of severity error: with none the record is valid here, whatever the registry does."""
        return [each for each in self.broken if each.rule.severity == "error"]


class _Asked(NamedTuple):
    """A rule as it is asked of a kind of record: `known` when the source tells of what it needs, `beyond` when it
    looks at other records of the patient."""

    rule: Rule
    child: str
    judge: Judge
    fields: tuple[str, ...]
    known: bool
    beyond: bool


class Judging:
    """Rules made ready to be asked of one graph after the other, from a source that tells of certain names."""

    def __init__(self, rules: RuleSet, tells: frozenset[str]) -> None:
        self.rules = rules
        self.kinds = rules.kinds
        self.isf = frozenset(record.partition(".")[0] for rule in rules if rule.isf for record in rule.records)
        self.asked: dict[str, list[_Asked]] = {}
        shared = shared_kinds(rules.kinds)
        for rule in rules:
            known = tells.issuperset(rule.needs)
            for record, compiled in rule.judges.items():
                kind, _, child = record.partition(".")
                row = _Asked(rule, child, compiled.judge, compiled.fields, known, not compiled.others <= shared)
                self.asked.setdefault(kind, []).append(row)

    def judge(self, graph: Graph) -> list[Verdict]:
        """The verdict of every record of the graph's own, in the order of the record kinds."""
        found: dict[Key, Verdict] = {}
        listed: list[Verdict] = []
        for kind in self.kinds:
            for record in graph.records.get(kind.name, ()):
                verdict = self._alone(graph, kind, record)
                listed.append(verdict)
                found.setdefault(key_of(kind, record), verdict)
        for verdict in listed:
            above = self._lost_above(verdict, found)
            if above is not None and ORDER.index(verdict.outcome) < ORDER.index("row-dropped"):
                verdict.outcome, verdict.with_record = "row-dropped", above
            if verdict.kind in self.isf:
                verdict.isf_eligible = _isf(verdict)
        return listed

    def _alone(self, graph: Graph, kind: Kind, record: Record) -> Verdict:
        """The verdict of a record by itself."""
        verdict = Verdict(kind.name, record)
        for asked in self.asked.get(kind.name, ()):
            child, unknown = asked.child, False
            for place, item in enumerate(record.get(child) or () if child else (record,)):
                answer = asked.judge(graph, record, item)
                if answer in FAILING and asked.known and (graph.whole or not asked.beyond):
                    verdict.broken.append(Broken(asked.rule, asked.fields, child, place, answer == BROKEN))
                elif answer in (*FAILING, UNKNOWN) or (answer != ELSEWHERE and not asked.known):
                    unknown = True
            if unknown:
                verdict.unknown.append(asked.rule)
        verdict.outcome = worst(each.outcome for each in verdict.broken)
        if verdict.broken:
            verdict.sector, verdict.unit = (
                tellers[kind.name](graph, record) if kind.name in tellers else None
                for tellers in (self.rules.sector, self.rules.unit)
            )
        return verdict

    def _lost_above(self, verdict: Verdict, found: Mapping[Key, Verdict]) -> Key | None:
        """The nearest record above that is deleted by itself."""
        kind, record = self.kinds[verdict.kind], verdict.record
        while kind.parent:
            above = self.kinds[kind.parent]
            key = key_of(above, record)
            held = found.get(key)
            if held is not None and any(each.outcome == "row-dropped" for each in held.broken):
                return key
            if held is not None:
                record = held.record
            kind = above
        return None


def key_of(kind: Kind, record: Record) -> Key:
    """The key of a record, or of the record above that it names."""
    return kind.name, tuple(map(record.get, kind.key))


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """The worst of several outcomes."""
    return max(outcomes, key=ORDER.index, default="accepted")


def of_message(verdicts: Iterable[Verdict]) -> Outcome:
    """The verdict of a message: rejected as a whole, or as its worst record."""
    return worst(verdict.outcome for verdict in verdicts)


def lost_with(rules: RuleSet, verdict: Verdict, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """The records that are lost because one is: with a rejected message all, with a row those below it."""
    key = key_of(rules.kinds[verdict.kind], verdict.record)
    for each in verdicts:
        if each is not verdict and (verdict.outcome == "message-rejected" or each.with_record == key):
            yield each


def _isf(verdict: Verdict) -> bool | None:
    if verdict.outcome in ("row-dropped", "message-rejected") or any(each.rule.isf for each in verdict.broken):
        return False
    return None if any(rule.isf for rule in verdict.unknown) else True
