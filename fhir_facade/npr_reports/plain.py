"""Findings as text, JSON and CSV: the summary first, then each finding."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

import orjson

from fhir_facade.npr.verdict import ORDER
from fhir_facade.npr_reports.findings import COLUMNS, Report, Row
from fhir_facade.npr_reports.words import WORDS


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
        yield finding_line(row, report.language)
        yield f"    {row['consequence']}; {words['remedy']}: {row['remedy']}"
    for issue in summary.faults:
        yield f"{issue.at}: {issue.code}: {issue.sentence(report.language)}"
    if summary.fault_count > len(summary.faults):
        yield f"{summary.fault_count - len(summary.faults)} {words['more']}"


def finding_line(row: Row, language: str) -> str:
    """A finding in one line, with the record that it is of."""
    place = f" {row['list']}[{row['item']}]" if row["list"] else ""
    line = f"{WORDS[language]['line']} {row['line']}: " if row["line"] else ""
    fields = f" ({', '.join(row['fields'])})" if row["fields"] else ""
    return f"{line}{row['kind']} {row['key']}{place}: {row['severity']} {row['rule']}: {row['sentence']}{fields}"


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
