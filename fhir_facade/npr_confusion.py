"""Findings against a manifest of seeded faults: the confusion table by rule.

A finding is right when the manifest has its rule at its record or item; what the manifest has and nobody found is
missed, what was found and the manifest has not is a false alarm. A fault that is there twice is to be found twice.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from fhir_facade.mapping.kinds import key_text
from fhir_facade.npr.rules import Rule, RuleSet
from fhir_facade.npr.verdict import key_of
from fhir_facade.npr_checking import Checked
from fhir_facade.npr_manifest import Place, Told, read_manifest

COLUMNS = (
    "rule",
    "severity",
    "expected",
    "found",
    "missed",
    "unexpected",
    "otherwise",
    "spared",
    "recall",
    "precision",
)
NAMED = 200
"""Findings that were missed or unexpected and are named."""

ALL = "all"
ERROR = "error"
LEVELS = (ERROR, "warning", "information")


@dataclass
class Row:
    """A line of the table: findings that were expected and found, missed, or not expected; those found with another
    consequence; and places where the rule is nearly broken, which are to be left alone."""

    rule: str
    severity: str
    found: int = 0
    missed: int = 0
    unexpected: int = 0
    otherwise: int = 0
    spared: int = 0

    @property
    def recall(self) -> float | None:
        """Of what was expected, the part that was found; None where nothing was."""
        expected = self.found + self.missed
        return self.found / expected if expected else None

    @property
    def precision(self) -> float | None:
        """Of what was found, the part that was expected; None where nothing was found."""
        told = self.found + self.unexpected
        return self.found / told if told else None

    def add(self, other: Row) -> None:
        """Count what another line counts."""
        self.found += other.found
        self.missed += other.missed
        self.unexpected += other.unexpected
        self.otherwise += other.otherwise
        self.spared += other.spared

    def values(self) -> tuple[Any, ...]:
        """The cells, as the columns are named."""
        return (
            self.rule, self.severity, self.found + self.missed, self.found, self.missed, self.unexpected,
            self.otherwise, self.spared, self.recall, self.precision,
        )  # fmt: skip


@dataclass
class Confusion:
    """Findings as they come, against what is to be found."""

    rules: RuleSet
    waiting: Counter[Place]
    consequences: dict[Place, set[str]]
    near: Counter[str]
    lines: dict[str, Row]
    unexpected: list[Place] = field(default_factory=list)
    by_number: dict[str, Rule] = field(default_factory=dict)

    def add(self, checked: Checked) -> None:
        """Take the verdicts of some records."""
        for verdict, _ in checked.verdicts:
            if not verdict.broken:
                continue
            _, key = key_of(self.rules.kinds[verdict.kind], verdict.record)
            for each in verdict.broken:
                number, child = each.rule.number, each.child
                place = Place(number, verdict.kind, key_text(key), child or None, each.place + 1 if child else None)
                line = self._line(number)
                if self.waiting[place] > 0:
                    self.waiting[place] -= 1
                    line.found += 1
                    line.otherwise += each.consequence not in self.consequences[place]
                else:
                    line.unexpected += 1
                    if len(self.unexpected) < NAMED:
                        self.unexpected.append(place)

    def _line(self, number: str) -> Row:
        if number not in self.lines:
            rule = self.by_number.get(number)
            self.lines[number] = Row(number, rule.severity if rule else ERROR)
        return self.lines[number]

    def table(self) -> list[Row]:
        """A line for each rule that was found or expected, then one for each severity and one for all."""
        for line in self.lines.values():
            line.missed = 0
        for place, count in self.waiting.items():
            self._line(place.rule).missed += count
        for number, count in self.near.items():
            self._line(number).spared = count
        told = [self.lines[number] for number in sorted(self.lines)]
        totals = {name: Row(ALL, name) for name in LEVELS}
        for line in told:
            totals[line.severity].add(line)
        whole = Row(ALL, ALL)
        for line in totals.values():
            whole.add(line)
        return [*told, *totals.values(), whole]

    @property
    def missed(self) -> list[Place]:
        """What was not found."""
        return sorted(self.waiting.elements(), key=str)

    @property
    def is_whole(self) -> bool:
        """Whether all that is to be found was, as it is to be, and no rule of severity error gave a false alarm."""
        *_, whole = table = self.table()
        alarms = sum(line.unexpected for line in table if line.rule != ALL and line.severity == ERROR)
        return not (whole.missed or whole.otherwise or alarms)

    @property
    def unseeded(self) -> list[str]:
        """Rules that the manifest has nothing of."""
        return [rule.number for rule in self.rules if rule.number not in self.lines]


def against(manifest: Path, rules: RuleSet) -> tuple[Confusion, str | None]:
    """A confusion to fill, and the day that the manifest is of; Refused where the manifest cannot be read."""
    waiting: Counter[Place] = Counter()
    near: Counter[str] = Counter()
    consequences: dict[Place, set[str]] = {}
    day = None
    told: Told
    for told in read_manifest(manifest):
        day = day or told.day
        if told.expected:
            waiting[told.place] += 1
            consequences.setdefault(told.place, set()).add(told.consequence)
        else:
            near[told.place.rule] += 1
    by_number = {rule.number: rule for rule in rules}
    return Confusion(rules, waiting, consequences, near, {}, by_number=by_number), day


def write_text(confusion: Confusion, out: BinaryIO) -> None:
    """The table, and what was missed or not expected."""
    for line in _text(confusion):
        out.write(line.encode() + b"\n")


def _text(confusion: Confusion) -> Iterator[str]:
    widths = (8, 11, 8, 7, 7, 10, 9, 7, 8, 9)
    yield "  ".join(
        name.ljust(width) if at < 2 else name.rjust(width) for at, (name, width) in enumerate(_heads(widths))
    )
    for row in confusion.table():
        cells = [_cell(each) for each in row.values()]
        pairs = enumerate(zip(cells, widths, strict=True))
        yield "  ".join(cell.ljust(width) if at < 2 else cell.rjust(width) for at, (cell, width) in pairs)
    if confusion.unseeded:
        yield f"no fault of: {', '.join(confusion.unseeded)}"
    for word, places in (("missed", confusion.missed), ("unexpected", confusion.unexpected)):
        for place in places[:NAMED]:
            item = f" {place.list}[{place.item}]" if place.list else ""
            yield f"{word}: {place.rule} {place.kind} {place.key}{item}"
        if len(places) > NAMED:
            yield f"{len(places) - NAMED} more"


def _heads(widths: tuple[int, ...]) -> Iterator[tuple[str, int]]:
    return zip(COLUMNS, widths, strict=True)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{math.floor(10_000 * value) / 100:.2f} %"  # never 100 % that is not
    return "-" if value is None else str(value)


def write_json(confusion: Confusion, out: BinaryIO) -> None:
    """One object: the table, what was missed and what was not expected."""
    head = {
        "whole": confusion.is_whole,
        "table": [dict(zip(COLUMNS, row.values(), strict=True)) for row in confusion.table()],
        "unseeded": confusion.unseeded,
        "missed": [place._asdict() for place in confusion.missed[:NAMED]],
        "unexpected": [place._asdict() for place in confusion.unexpected],
    }
    out.write(orjson.dumps(head, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_csv(confusion: Confusion, out: BinaryIO) -> None:
    """The table, with a head."""
    text = io.TextIOWrapper(out, "utf-8", newline="")
    try:
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows(row.values() for row in confusion.table())
    finally:
        text.flush()
        text.detach()


WRITERS: Mapping[str, Callable[[Confusion, BinaryIO], None]] = {
    "text": write_text, "json": write_json, "csv": write_csv,
}  # fmt: skip
