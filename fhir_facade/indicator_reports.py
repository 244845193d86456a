"""Counted indicators as a table with a bar chart for a terminal, as JSON or as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_facade.npr.counting import Group, Period, Tally
from fhir_facade.npr.indicators import (
    DENOMINATOR,
    DENOMINATOR_EXCLUSION,
    INITIAL,
    MEASURED,
    MEASURED_EXCLUSION,
    NUMERATOR,
    POPULATIONS,
    Indicator,
)

Name = Callable[[Group], str]
WIDTH = 40
"""Columns of a bar of 100 %."""

EIGHTHS = "▏▎▍▌▋▊▉█"
PLAIN = "#"
MOST_NAME = 48
COLUMNS = (INITIAL, DENOMINATOR, DENOMINATOR_EXCLUSION, NUMERATOR)
WORDS: Mapping[str, Mapping[str, str]] = {
    "en": {
        "indicator": "indicator", "status": "status", INITIAL: "population", DENOMINATOR: "denominator",
        DENOMINATOR_EXCLUSION: "excluded", NUMERATOR: "numerator", "score": "score", "unknown": "not known",
        "verified": "verified", "inferred": "inferred", "draft": "draft", "goal": "goal", "off": "off",
        "outside": "its definition is of", "untold": "not told",
    },
    "nb": {
        "indicator": "indikator", "status": "status", INITIAL: "populasjon", DENOMINATOR: "nevner",
        DENOMINATOR_EXCLUSION: "unntatt", NUMERATOR: "teller", "score": "resultat", "unknown": "ikke avgjort",
        "verified": "bekreftet", "inferred": "utledet", "draft": "utkast", "goal": "mål", "off": "av",
        "outside": "definisjonen gjelder", "untold": "ikke oppgitt",
    },
}  # fmt: skip


@dataclass(frozen=True)
class Report:
    """What was counted in a period: tallies, by which stratifier they are parted ("" for none), what is off.

    `names` tells what a group of an indicator is called; None is one that is not told.
    """

    period: Period
    tallies: Sequence[Tally]
    off: Sequence[Indicator]
    by: str
    language: str
    names: Mapping[str, Mapping[str, str]]

    @property
    def words(self) -> Mapping[str, str]:
        """The words of the table."""
        return WORDS[self.language]

    def groups(self, tally: Tally) -> Iterator[tuple[Group, str, Tally]]:
        """The groups of a tally, by name: key, name, counts; the one that is not told last."""
        held = tally.groups.get(self.by, {})
        known = self.names.get(tally.indicator.id, {})
        named = [(key, known.get(key, key) if key is not None else self.words["untold"], held[key]) for key in held]
        yield from sorted(named, key=lambda each: (each[0] is None, each[1], each[0] or ""))


def text(report: Report, *, blocks: bool = True) -> str:
    """A table, a chart of what is a share, and what is to be known of both; `blocks` draws with block letters."""
    words = report.words
    heads = [words["indicator"], words["status"], *(words[each] for each in COLUMNS), words["unknown"], words["score"]]
    rows = [heads, *_rows(report)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(heads))]
    lines = [f"{report.period.first} - {report.period.last}", ""]
    for row in rows:
        cells = (
            cell.ljust(w) if place < 2 else cell.rjust(w)
            for place, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join(cells).rstrip())
    lines += ["", *_chart(report, blocks)]
    notes = list(_notes(report))
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _rows(report: Report) -> Iterator[list[str]]:
    for tally in report.tallies:
        indicator = tally.indicator
        status = report.words["draft" if indicator.is_draft else indicator.status]
        yield [_short(indicator.title[report.language]), status, *_cells(tally)]
        for _, name, group in report.groups(tally):
            yield [_short(f"  {name}"), "", *_cells(group)]


def _cells(tally: Tally) -> list[str]:
    """The counts and the score of a tally, as the columns of the table."""
    observed = {DENOMINATOR: MEASURED, DENOMINATOR_EXCLUSION: MEASURED_EXCLUSION}
    counts = []
    for name in COLUMNS:
        told = name if name in tally.indicator.populations else observed.get(name, "")
        counts.append(str(tally.counts[told]) if told in tally.indicator.populations else "")
    return [*counts, str(sum(tally.unknown.values()) or ""), _score(tally)]


def _score(tally: Tally) -> str:
    score = tally.score
    if score is None:
        return "-"
    if _is_share(tally):
        return f"{score * 100:.1f} %"
    return f"{score:.2f} {tally.indicator.measured_in}".rstrip()


def _is_share(tally: Tally) -> bool:
    return tally.indicator.scoring == "proportion"


def _short(name: str) -> str:
    return name if len(name) <= MOST_NAME else f"{name[: MOST_NAME - 3]}..."


def _chart(report: Report, blocks: bool) -> Iterator[str]:
    """A bar for each share, all on one scale from 0 to 100 %."""
    bars = []
    for tally in filter(_is_share, report.tallies):
        goal = f"  ({report.words['goal']} {tally.indicator.goal} %)" if tally.indicator.goal else ""
        bars.append((_short(tally.indicator.title[report.language]), tally, goal))
        bars += [(_short(f"  {name}"), group, "") for _, name, group in report.groups(tally)]
    wide = max((len(name) for name, _, _ in bars), default=0)
    for name, tally, goal in bars:
        drawn = "" if tally.score is None else bar(tally.score, blocks=blocks)
        yield f"{name.ljust(wide)}  {_score(tally):>7}  {drawn}{goal}".rstrip()


def bar(share: float, *, blocks: bool = True, width: int = WIDTH) -> str:
    """A share from 0 to 1 as a bar, to an eighth of a column; anything above nothing is seen."""
    filled = min(max(share, 0.0), 1.0) * width
    if not blocks:
        return PLAIN * max(round(filled), 1 if share > 0 else 0)
    whole, rest = divmod(max(round(filled * 8), 1 if share > 0 else 0), 8)
    return EIGHTHS[-1] * whole + (EIGHTHS[rest - 1] if rest else "")


def _notes(report: Report) -> Iterator[str]:
    """What is open of each indicator, whether its definition is of another time, and which are off."""
    for tally in report.tallies:
        each = tally.indicator
        if report.language in each.open:
            yield f"{each.id}: {each.open[report.language]}"
        outside = (each.first and report.period.first < each.first) or (each.last and report.period.last > each.last)
        if outside:
            yield f"{each.id}: {report.words['outside']} {each.first or '...'} - {each.last or '...'}"
    for each in report.off:
        yield f"{each.id}: {report.words['off']}; {each.open.get(report.language, '')}".rstrip("; ")


def as_json(report: Report) -> bytes:
    """One object: the period, each indicator with its counts and groups, and what is off."""
    found = [
        {
            "id": tally.indicator.id, "version": tally.indicator.version, "status": tally.indicator.status,
            "title": tally.indicator.title[report.language], "scoring": tally.indicator.scoring, **_told(tally),
            **({"by": report.by, "groups": _groups(report, tally)} if report.by else {}),
        }
        for tally in report.tallies
    ]  # fmt: skip
    period = {"first": report.period.first, "last": report.period.last}
    whole = {"period": period, "indicators": found, "off": [each.id for each in report.off]}
    return orjson.dumps(whole, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _groups(report: Report, tally: Tally) -> list[dict[str, Any]]:
    return [{"key": key, "name": name, **_told(group)} for key, name, group in report.groups(tally)]


def _told(tally: Tally) -> dict[str, Any]:
    names = [name for name in POPULATIONS if name in tally.indicator.populations]
    unknown = {name: tally.unknown[name] for name in names if tally.unknown[name]}
    return {"counts": {name: tally.counts[name] for name in names}, "unknown": unknown, "score": tally.score}


def as_csv(report: Report) -> bytes:
    """A row for each indicator, and one for each of its groups."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    heads = ("indicator", "version", "status", "first", "last", "by", "group", "name", *POPULATIONS, "unknown", "score")
    writer.writerow(heads)
    for tally in report.tallies:
        each = tally.indicator
        head = (each.id, each.version, each.status, report.period.first, report.period.last)
        writer.writerow((*head, "", "", "", *_fields(tally)))
        for key, name, group in report.groups(tally):
            writer.writerow((*head, report.by, key or "", name, *_fields(group)))
    return out.getvalue().encode()


def _fields(tally: Tally) -> list[Any]:
    counts = [tally.counts[name] if name in tally.indicator.populations else "" for name in POPULATIONS]
    return [*counts, sum(tally.unknown.values()), "" if tally.score is None else tally.score]
