"""Findings of the patient registry's rules, written as text, JSON or CSV: the summary first, then each finding.

Findings wait in a temporary file until the end is known, so that memory does not grow with them. A record is named by
its key and the line it begins on, never by its values.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

import orjson

from fhir_facade.mapping.kinds import key_text
from fhir_facade.npr.rules import Rule, RuleSet
from fhir_facade.npr.verdict import ORDER, Broken, Outcome, Verdict, key_of, worst
from fhir_facade.npr_checking import Checked
from fhir_facade.outcome import Issue

Row = dict[str, Any]
COLUMNS = (
    "rule", "severity", "status", "verdict", "consequence", "kind", "key", "list", "item", "line", "sector", "unit",
    "fields", "sentence",
    "remedy",
)  # fmt: skip
UNTOLD = "?"
"""Stands for a sector or unit that is not told."""

HELD = 1 << 20  # bytes of findings that are held in memory
KEPT_FAULTS = 1000
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "verdict": "verdict", "records": "records", "findings": "findings", "unknown": "cannot be known",
        "line": "at line", "fields": "fields", "remedy": "remedy", "isf": "not eligible for ISF", "sector": "by sector",
        "unit": "by unit", "more": "more faults",
    },
    "nb": {
        "verdict": "utfall", "records": "poster", "findings": "funn", "unknown": "kan ikke avgjøres",
        "line": "på linje", "fields": "felt", "remedy": "tiltak", "isf": "ikke ISF-berettiget",
        "sector": "etter sektor", "unit": "etter enhet", "more": "feil til",
    },
}  # fmt: skip


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
            self.not_isf[verdict.kind] += verdict.isf_eligible is False
        self.fault_count += len(checked.faults)
        self.faults += checked.faults[: KEPT_FAULTS - len(self.faults)]

    def rule_rows(self, language: str) -> Iterator[tuple[Rule, int, str]]:
        """Each rule that is broken, how often, and its sentence; errors first, then by number."""
        order = {"error": 0, "warning": 1, "information": 2}
        for rule in sorted(self.rules, key=lambda rule: (order[rule.severity], rule.number)):
            if self.broken[rule.number]:
                yield rule, self.broken[rule.number], rule.nb if language == "nb" else rule.en


class Report:
    """Takes findings as they come, and writes all when the end is known."""

    def __init__(self, rules: RuleSet, language: str, least: frozenset[str]) -> None:
        self.summary = Summary(rules)
        self.language = language
        self.least = least
        self.waiting = cast("BinaryIO", tempfile.SpooledTemporaryFile(HELD))  # noqa: SIM115

    def add(self, checked: Checked) -> None:
        """Take the verdicts of some records."""
        self.summary.add(checked)
        for verdict, line in checked.verdicts:
            for broken in verdict.broken:
                if broken.rule.severity in self.least:
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


def write_text(report: Report, out: BinaryIO) -> None:
    """A table of rules, then each finding on a line."""
    for line in text_lines(report):
        out.write(line.encode() + b"\n")


def text_lines(report: Report) -> Iterator[str]:
    """The lines of the text form."""
    summary, words = report.summary, WORDS[report.language]
    yield f"{words['verdict']}: {summary.outcome}"
    for kind, counts in sorted(summary.outcomes.items()):
        told = ", ".join(f"{counts[outcome]} {outcome}" for outcome in ORDER if counts[outcome])
        isf = f"; {summary.not_isf[kind]} {words['isf']}" if summary.not_isf[kind] else ""
        yield f"  {kind}: {told}{isf}"
    yield f"{words['findings']}: {sum(summary.broken.values())}"
    for rule, count, sentence in summary.rule_rows(report.language):
        yield f"  {rule.number} {rule.severity:<11} {count:>7}  {sentence}"
    for name, found in (("sector", summary.sectors), ("unit", summary.units)):
        if +found:
            yield f"  {words[name]}: {', '.join(f'{each} {count}' for each, count in found.most_common() if count)}"
    if summary.unknown:
        yield f"{words['unknown']}: {', '.join(sorted(summary.unknown))}"
    for row in report.rows():
        place = f" {row['list']}[{row['item']}]" if row["list"] else ""
        line = f"{words['line']} {row['line']}: " if row["line"] else ""
        fields = f" ({', '.join(row['fields'])})" if row["fields"] else ""
        yield f"{line}{row['kind']} {row['key']}{place}: {row['severity']} {row['rule']}: {row['sentence']}{fields}"
        yield f"    {row['consequence']}; {words['remedy']}: {row['remedy']}"
    for issue in summary.faults:
        yield f"{issue.at}: {issue.code}: {issue.sentence(report.language)}"
    if summary.fault_count > len(summary.faults):
        yield f"{summary.fault_count - len(summary.faults)} {words['more']}"


def write_json(report: Report, out: BinaryIO) -> None:
    """One object: the summary, and the list of findings."""
    summary = report.summary
    head = {
        "verdict": summary.outcome,
        "records": {kind: dict(counts) for kind, counts in sorted(summary.outcomes.items())},
        "notIsfEligible": {kind: count for kind, count in sorted(summary.not_isf.items()) if count},
        "rules": {rule.number: count for rule, count, _ in summary.rule_rows(report.language)},
        "sectors": +summary.sectors,
        "units": +summary.units,
        "cannotBeKnown": dict(sorted(summary.unknown.items())),
        "switchedOff": list(summary.rules.switched_off),
        "faults": [
            {"at": issue.at, "code": issue.code, "sentence": issue.sentence(report.language)}
            for issue in summary.faults
        ],
        "faultCount": summary.fault_count,
    }
    out.write(orjson.dumps(head, option=orjson.OPT_INDENT_2)[:-2] + b',\n  "findings": [')
    separator = b"\n    "
    for row in report.rows():
        out.write(separator + orjson.dumps(row))
        separator = b",\n    "
    out.write(b"\n  ]\n}\n")


def write_csv(report: Report, out: BinaryIO) -> None:
    """A row for each finding, with a head."""
    text = io.TextIOWrapper(out, "utf-8", newline="")
    try:
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for row in report.rows():
            writer.writerow([" ".join(row[name]) if name == "fields" else row[name] for name in COLUMNS])
    finally:
        text.flush()
        text.detach()


WRITERS: Mapping[str, Callable[[Report, BinaryIO], None]] = {
    "text": write_text, "json": write_json, "csv": write_csv,
}  # fmt: skip
