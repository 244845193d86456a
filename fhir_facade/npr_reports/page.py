"""A page on data quality: one HTML file with charts, that fetches nothing and runs nothing.

Beside each chart stands a table with its numbers. Every list has a limit, and tells how many it leaves out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from html import escape
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, BinaryIO, Literal

from fhir_facade.npr.quality import UNTOLD, Quality
from fhir_facade.npr.quality import Finding as Counted
from fhir_facade.npr.verdict import ORDER
from fhir_facade.npr_reports.findings import Report, Row
from fhir_facade.npr_reports.html_parts import Markup, folded, legend, paragraph, section, table
from fhir_facade.npr_reports.svg import Series, bars, columns, spark
from fhir_facade.npr_reports.words import PAGE

SEVERITIES = ("error", "warning", "information")
MOST_ROWS, MOST_FINDINGS, MOST_BARS, MOST_MONTHS = 100, 500, 15, 48
EDGES = (-90, -30, -7, 0, 8, 31, 91)
"""Days left at which a column of the time limits begins, but for the first."""

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def write_page(report: Report, out: BinaryIO) -> None:
    """The whole page; ValueError when the report counted no quality."""
    if report.quality is None:
        raise ValueError("a page needs what Quality counts")
    for part in _Page(report, report.quality).parts():
        out.write(part.encode("utf-8", "replace"))


@cache
def _style() -> str:
    return Path(__file__).with_name("page.css").read_text("utf-8")


class _Page:
    """Makes the parts of the page, in order."""

    def __init__(self, report: Report, quality: Quality) -> None:
        self.report, self.quality, self.summary = report, quality, report.summary
        self.words = PAGE[report.language]
        self.sentences = {rule.number: rule.nb if report.language == "nb" else rule.en for rule in self.summary.rules}
        self.severities = {rule.number: rule.severity for rule in self.summary.rules}
        months = sorted({found.month for found in quality.findings.by} - {UNTOLD})
        self.digits: Literal[4, 7] = 7 if len(_between(months)) <= MOST_MONTHS else 4
        self.columns = _between([*dict.fromkeys(month[: self.digits] for month in months)])

    def parts(self) -> Iterator[str]:
        """The page, piece by piece."""
        words = self.words
        made: tuple[tuple[str, str, Callable[[], Iterable[str]]], ...] = (
            ("records", words["records"], self.records),
            ("time", words["over_time"], self.over_time),
            ("rules", words["by_rule"], self.by_rule),
            ("units", words["by_unit"], self.by_unit),
            ("both", words["by_both"], self.by_both),
            ("codes", words["codes"], self.codes),
            ("midnight", words["midnight"], self.midnight),
            ("missing", words["missing"], self.missing),
            ("frist", words["frist"], self.frist),
            ("unknown", words["unknown"], self.unknown),
            ("reader", words["reader"], self.reader),
            ("findings", words["list_of"], self.findings),
        )
        title = escape(words["title"])
        yield f'<!DOCTYPE html>\n<html lang="{self.report.language}"><head><meta charset="utf-8">\n'
        yield f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        yield '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        yield f'<link rel="icon" href="data:,"><title>{title}</title>\n<style>\n{_style()}</style></head>\n'
        yield f"<body><header><h1>{title}</h1>\n"
        yield paragraph(words["judged"].format(today=self.report.today))
        yield "<nav><ul>" + "".join(f'<li><a href="#{name}">{escape(said)}</a></li>' for name, said, _ in made)
        yield f"</ul></nav></header>\n<main>\n{self.tiles()}"
        for name, said, make in made:
            yield section(name, said, *make())
        yield "</main></body></html>\n"

    def tiles(self) -> str:
        summary, words = self.summary, self.words
        told: list[tuple[str, object]] = [
            (words["verdict"], summary.outcome), (words["records"], summary.records),
            (words["findings"], summary.broken.total()), (words["errors"], summary.errors),
            (words["faults"], summary.fault_count),
        ]  # fmt: skip
        return (
            "<dl>" + "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(str(v))}</dd></div>" for k, v in told) + "</dl>\n"
        )

    def listed(
        self, caption: str, head: Sequence[str], rows: Sequence[Sequence[Any]], beyond: int = 0
    ) -> Iterator[str]:
        """A table of the first rows, and how many are left out."""
        if not rows:
            yield paragraph(self.words["none"])
            return
        yield table(caption, head, rows[:MOST_ROWS])
        yield self.left_out(len(rows) - MOST_ROWS)
        yield paragraph(self.words["beyond"].format(count=beyond)) if beyond else ""

    def left_out(self, count: int) -> str:
        return paragraph(self.words["left"].format(count=count)) if count > 0 else ""

    # what was judged

    def records(self) -> Iterator[str]:
        words, summary = self.words, self.summary
        rows = [
            (kind, *(counts[outcome] for outcome in ORDER), summary.not_isf[kind])
            for kind, counts in sorted(summary.outcomes.items())
        ]
        yield from self.listed(words["records"], (words["kind"], *ORDER, words["isf"]), rows)

    # findings

    def over_time(self) -> Iterator[str]:
        words = self.words
        counts: Counter[tuple[str, str]] = Counter()
        for found, count in self.quality.findings.by.items():
            counts[found.month[: self.digits], self.severities[found.rule]] += count
        series: Series = [(each, words[each], [counts[month, each] for month in self.columns]) for each in SEVERITIES]
        if not self.columns:
            yield paragraph(words["none"])
        else:
            name = words["month" if self.digits == 7 else "year"]
            yield columns(words["over_time"], self.columns, series)
            yield legend(series)
            rows = [(month, *(counts[month, each] for each in SEVERITIES)) for month in self.columns]
            yield folded(words["table"], table(words["over_time"], (name, *(words[each] for each in SEVERITIES)), rows))
        if undated := sum(counts[UNTOLD, each] for each in SEVERITIES):
            yield paragraph(words["undated"].format(count=undated))

    def by_rule(self) -> Iterator[str]:
        words, most = self.words, self.summary.broken.most_common(MOST_BARS)
        if most:
            yield bars(words["by_rule"], [(f"{number} {self.sentences[number]}", count) for number, count in most])
        lines = self.sparks(lambda found: found.rule)
        rows = [
            (rule.number, words[rule.severity], count, sentence, lines.get(rule.number, ""))
            for rule, count, sentence in self.summary.rule_rows(self.report.language)
        ]
        head = (words["rule"], words["severity"], words["count"], words["sentence"], words["time"])
        yield from self.listed(words["by_rule"], head, rows)

    def by_unit(self) -> Iterator[str]:
        words, lines = self.words, self.sparks(lambda found: found.unit)
        rows = [(unit, count, lines.get(unit, "")) for unit, count in (+self.summary.units).most_common()]
        yield paragraph(words["units"])
        yield from self.listed(words["by_unit"], (words["unit"], words["count"], words["time"]), rows)

    def by_both(self) -> Iterator[str]:
        words = self.words
        totals: Counter[tuple[str, str]] = Counter()
        for found, count in self.quality.findings.by.items():
            totals[found.rule, found.unit] += count
        lines = self.sparks(lambda found: (found.rule, found.unit), dict(totals.most_common(MOST_ROWS)))
        rows = [(*pair, count, lines.get(pair, "")) for pair, count in totals.most_common()]
        head = (words["rule"], words["unit"], words["count"], words["time"])
        yield from self.listed(words["by_both"], head, rows, self.quality.findings.beyond)

    def sparks(self, key: Callable[[Counted], object], only: Iterable[object] | None = None) -> dict[object, Markup]:
        """A small chart for each key."""
        wanted = None if only is None else set(only)
        places = {month: place for place, month in enumerate(self.columns)}
        found: dict[object, list[int]] = {}
        for each, count in self.quality.findings.by.items():
            place = places.get(each.month[: self.digits])
            if place is not None and (wanted is None or key(each) in wanted):
                found.setdefault(key(each), [0] * len(self.columns))[place] += count
        span = f"{self.columns[0]} – {self.columns[-1]}" if self.columns else ""
        return {
            name: Markup(spark(f"{span}: {', '.join(map(str, numbers))}", numbers)) for name, numbers in found.items()
        }

    # what the record files and the mappings know

    def codes(self) -> Iterator[str]:
        words, codes = self.words, self.quality.codes
        most = codes.by.most_common()
        if most:
            yield bars(words["codes"], [(f"{each.field} {each.code}", count) for each, count in most[:MOST_BARS]])
        rows = [
            (each.field, each.code_list, each.code, count,
             words["not_mapped"].format(map=each.code_map) if each.code_map else words["not_in_list"])
            for each, count in most
        ]  # fmt: skip
        head = (words["field"], words["list"], words["code"], words["count"], words["why"])
        yield from self.listed(words["codes"], head, rows, codes.beyond)

    def midnight(self) -> Iterator[str]:
        words = self.words
        yield paragraph(words["midnight_why"])
        found = [(place, count, self.quality.times[place]) for place, count in self.quality.midnight.most_common()]
        if any(count for _, count, _ in found):
            yield bars(words["midnight"], [(place, count) for place, count, _ in found if count][:MOST_BARS])
        rows = [(place, count, of, f"{100 * count / of:.1f} %") for place, count, of in found]
        head = (words["field"], words["midnight"], words["of"], words["share"])
        yield from self.listed(words["midnight"], head, rows)

    def missing(self) -> Iterator[str]:
        words, found, file = self.words, self.quality.missing.most_common(), self.words["record_file"]
        if found:
            named = [(f"{each.kind}.{each.field}", count) for each, count in found[:MOST_BARS]]
            yield bars(words["missing"], named)
        rows = [
            (each.kind, each.field, count, f"{each.rule} {self.sentences.get(each.rule, file)}".strip())
            for each, count in found
        ]
        yield from self.listed(words["missing"], (words["kind"], words["field"], words["count"], words["by"]), rows)

    def frist(self) -> Iterator[str]:
        """Distances in columns: the time limits of those whose care began, and of those who wait."""
        words = self.words
        yield paragraph(words["frist_why"])
        if not any(counts.total for counts in self.quality.left):
            yield paragraph(words["none"])
            return
        labels = [f"< {EDGES[0]}", *(f"{low} – {high - 1}" for low, high in pairwise(EDGES))]
        labels.append(f"≥ {EDGES[-1]}")
        series: list[tuple[str, str, list[int]]] = []
        for css, name, counts in zip(("mark", "other"), ("started", "waiting"), self.quality.left, strict=True):
            numbers = [0] * len(labels)
            for days, count in counts.by.items():
                numbers[sum(days >= edge for edge in EDGES)] += count
            series.append((css, words[name], numbers))
        yield columns(words["days_left"], labels, series)
        yield legend(series)
        rows = [(label, *(numbers[place] for _, _, numbers in series)) for place, label in enumerate(labels)]
        yield folded(words["table"], table(words["frist"], (words["days"], *(name for _, name, _ in series)), rows))

    # what is not known, and the findings themselves

    def unknown(self) -> Iterator[str]:
        words = self.words
        yield paragraph(words["unknown_why"])
        rows = [(number, count, self.sentences[number]) for number, count in sorted(self.summary.unknown.items())]
        yield from self.listed(words["unknown"], (words["rule"], words["count"], words["sentence"]), rows)

    def reader(self) -> Iterator[str]:
        words, language = self.words, self.report.language
        rows = [(issue.at, issue.code, issue.sentence(language)) for issue in self.summary.faults]
        yield from self.listed(words["reader"], (words["place"], words["code"], words["sentence"]), rows[:MOST_ROWS])
        yield self.left_out(self.summary.fault_count - MOST_ROWS)

    def findings(self) -> Iterator[str]:
        """The first findings, the most severe before the others."""
        words = self.words
        kept: dict[str, list[Row]] = {each: [] for each in SEVERITIES}
        count = 0
        for row in self.report.rows():
            count += 1
            if len(kept[row["severity"]]) < MOST_FINDINGS:
                kept[row["severity"]].append(row)
        shown = list(chain.from_iterable(kept.values()))[:MOST_FINDINGS]
        if not shown:
            yield paragraph(words["none"])
            return
        rows = [
            (row["rule"], words[row["severity"]], _place(row), row["line"] or "–", row["sentence"],
             ", ".join(row["fields"]), row["consequence"], row["remedy"])
            for row in shown
        ]  # fmt: skip
        names = ("rule", "severity", "key", "line", "sentence", "field", "consequence", "remedy")
        yield table(words["list_of"], [words[name] for name in names], rows)
        yield self.left_out(count - len(shown))


def _place(row: Row) -> str:
    item = f" {row['list']}[{row['item']}]" if row["list"] else ""
    return f"{row['kind']} {row['key']}{item}"


def _between(found: Sequence[str]) -> list[str]:
    """All months (CCYY-MM) or years from the first to the last."""
    if not found:
        return []
    if len(found[0]) == 4:
        return [f"{year:04}" for year in range(int(found[0]), int(found[-1]) + 1)]
    first, last = (int(each[:4]) * 12 + int(each[5:7]) - 1 for each in (found[0], found[-1]))
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(first, last + 1)]
