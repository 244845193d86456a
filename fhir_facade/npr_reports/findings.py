"""Findings of the patient registry's rules as they come: counted, and kept for the report that is written at the end.

Findings wait in a temporary file until the end is known, so that memory does not grow with them. A record is named by
its key and the line it begins on, never by its values.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast, get_args

import orjson

from fhir_facade.mapping.kinds import key_text
from fhir_facade.npr.quality import UNTOLD, Quality
from fhir_facade.npr.rules import Rule, RuleSet, Severity
from fhir_facade.npr.verdict import REFUSED, Broken, Outcome, Verdict, key_of, worst
from fhir_facade.npr_checking import Checked
from fhir_facade.outcome import Issue

Row = dict[str, Any]
COLUMNS = (
    "rule", "severity", "status", "verdict", "consequence", "kind", "key", "list", "item", "line", "sector", "unit",
    "fields", "sentence",
    "remedy",
)  # fmt: skip
HELD = 1 << 20  # bytes of findings that are held in memory
KEPT_FAULTS = 1000


@dataclass
class Summary:
    """What was judged: records by kind and outcome, findings and rules that cannot be known, by rule."""

    rules: RuleSet
    outcomes: dict[str, Counter[Outcome]] = field(default_factory=dict)
    broken: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    not_isf: Counter[str] = field(default_factory=Counter)
    sectors: Counter[str] = field(default_factory=Counter)
    units: Counter[str] = field(default_factory=Counter)
    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Findings by kind of record and rule."""

    unsure: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Records for which a rule cannot be known, by their kind and the rule."""

    fault_codes: Counter[str] = field(default_factory=Counter)
    faults: list[Issue] = field(default_factory=list)
    fault_count: int = 0

    @property
    def records(self) -> int:
        return sum(sum(counts.values()) for counts in self.outcomes.values())

    @property
    def outcome(self) -> Outcome:
        """The verdict of the whole: the worst of its records."""
        return worst(outcome for counts in self.outcomes.values() for outcome in counts)

    @property
    def is_refused(self) -> bool:
        """Whether the registry would refuse the message, or a record in it."""
        return self.outcome in REFUSED

    @property
    def errors(self) -> int:
        """Findings of severity error."""
        severe = {rule.number for rule in self.rules if rule.severity == "error"}
        return sum(count for number, count in self.broken.items() if number in severe)

    def add(self, checked: Checked) -> None:
        """Count some verdicts."""
        for verdict, _ in checked.verdicts:
            self.outcomes.setdefault(verdict.kind, Counter())[verdict.outcome] += 1
            self.broken.update(each.rule.number for each in verdict.broken)
            self.sectors[verdict.sector or UNTOLD] += len(verdict.broken)
            self.units[verdict.unit or UNTOLD] += len(verdict.broken)
            self.unknown.update({rule.number for rule in verdict.unknown})
            self.cases.update((verdict.kind, each.rule.number) for each in verdict.broken)
            self.unsure.update({(verdict.kind, rule.number) for rule in verdict.unknown})
            self.not_isf[verdict.kind] += verdict.isf_eligible is False
        self.fault_count += len(checked.faults)
        self.fault_codes.update(issue.code for issue in checked.faults)
        self.faults += checked.faults[: KEPT_FAULTS - len(self.faults)]

    def rule_rows(self, language: str) -> Iterator[tuple[Rule, int, str]]:
        """Each rule that is broken, how often, and its sentence; errors first, then by number."""
        order = {"error": 0, "warning": 1, "information": 2}
        for rule in sorted(self.rules, key=lambda rule: (order[rule.severity], rule.number)):
            if self.broken[rule.number]:
                yield rule, self.broken[rule.number], rule.nb if language == "nb" else rule.en


class Report:
    """Takes findings as they come, and gives all when the end is known: those of some severities, or (`only_refused`)
    only those because of which a record or the message is refused. All are counted. `quality` counts beside them."""

    def __init__(
        self,
        rules: RuleSet,
        language: str,
        least: frozenset[str] = frozenset(get_args(Severity)),
        today: str = "",
        quality: Quality | None = None,
        *,
        only_refused: bool = False,
    ) -> None:
        self.summary = Summary(rules)
        self.today = today
        self.quality = quality
        self.language = language
        self.least = least
        self.only_refused = only_refused
        self.waiting = cast("BinaryIO", tempfile.SpooledTemporaryFile(HELD))  # noqa: SIM115

    def add(self, checked: Checked) -> None:
        """Take the verdicts of some records."""
        self.summary.add(checked)
        if self.quality is not None:
            self.quality.add(checked.graph, [verdict for verdict, _ in checked.verdicts], checked.faults)
        for verdict, line in checked.verdicts:
            for broken in verdict.broken:
                if broken.rule.severity in self.least and (not self.only_refused or broken.outcome in REFUSED):
                    self.waiting.write(orjson.dumps(self._row(verdict, broken, line)) + b"\n")

    def rows(self) -> Iterator[Row]:
        """The findings in the order in which they came."""
        self.waiting.seek(0)
        for text in self.waiting:
            yield orjson.loads(text)

    def close(self) -> None:
        """Let the findings go."""
        self.waiting.close()

    def _row(self, verdict: Verdict, broken: Broken, line: int) -> Row:
        rule = broken.rule
        _, key = key_of(self.summary.rules.kinds[verdict.kind], verdict.record)
        nb = self.language == "nb"
        values = (
            rule.number, rule.severity, rule.status, verdict.outcome, broken.consequence, verdict.kind, key_text(key),
            broken.child or None, broken.place + 1 if broken.child else None, line or None,
            verdict.sector, verdict.unit, list(broken.fields),
            rule.nb if nb else rule.en, rule.remedy_nb if nb else rule.remedy_en,
        )  # fmt: skip
        return dict(zip(COLUMNS, values, strict=True))
