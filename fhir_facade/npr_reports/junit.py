"""Findings as JUnit XML, for what shows test results: a suite for each kind of record, a case for each rule of it.

A broken rule of severity error is a failure, and what is less severe the output of its case; a rule that cannot be
known of any record is skipped. What the reader could not take is an error, by its code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import BinaryIO, NamedTuple

from fhir_facade.npr.rules import Rule
from fhir_facade.npr_reports.findings import Report
from fhir_facade.npr_reports.plain import finding_line
from fhir_facade.npr_reports.words import WORDS
from fhir_facade.xml_text import attribute_of, text_of

SHOWN = 20  # findings of one case that are told one by one
READER = "reader"
Lines = Mapping[tuple[str, str], list[str]]


class _Case(NamedTuple):
    """One case: its name, what became of it ("" when nothing did) and the element that tells it."""

    name: str
    became: str
    told: str


def write_junit(report: Report, out: BinaryIO) -> None:
    """All suites; the reader's comes last, and only where it has something to tell."""
    suites = [(kind, list(_cases(report, kind, lines))) for lines in [_lines(report)] for kind in _kinds(report)]
    if faults := list(_faults(report)):
        suites.append((READER, faults))
    out.write(b'<?xml version="1.0" encoding="UTF-8"?>\n')
    everything = [case for _, cases in suites for case in cases]
    out.write(f'<testsuites name="fhir-facade npr check" {_numbers(everything, skipped=False)}>\n'.encode())
    for kind, cases in suites:
        out.write(f"<testsuite name={attribute_of(kind)} {_numbers(cases)}>\n".encode())
        for case in cases:
            head = f"<testcase classname={attribute_of(f'npr.{kind}')} name={attribute_of(case.name)}"
            out.write((f"{head}>{case.told}</testcase>\n" if case.told else f"{head}/>\n").encode())
        out.write(b"</testsuite>\n")
    out.write(b"</testsuites>\n")


def _kinds(report: Report) -> list[str]:
    return [kind.name for kind in report.summary.rules.kinds if kind.name in report.summary.outcomes]


def _numbers(cases: list[_Case], *, skipped: bool = True) -> str:
    became = [case.became for case in cases]
    said = {"tests": len(cases), "failures": became.count("failure"), "errors": became.count("error")}
    if skipped:
        said["skipped"] = became.count("skipped")
    return " ".join(f'{name}="{number}"' for name, number in said.items())


def _lines(report: Report) -> Lines:
    """The first findings of each case, as lines."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in report.rows():
        lines = found.setdefault((row["kind"], row["rule"]), [])
        if len(lines) < SHOWN:
            lines.append(finding_line(row, report.language))
    return found


def _cases(report: Report, kind: str, lines: Lines) -> Iterator[_Case]:
    summary = report.summary
    for rule in summary.rules:
        if not any(record.partition(".")[0] == kind for record in rule.records):
            continue
        sentence = rule.nb if report.language == "nb" else rule.en
        name, broken = f"{rule.number} {sentence}", summary.cases[kind, rule.number]
        if broken:
            shown = lines.get((kind, rule.number), [])
            yield _broken(report, name, rule, broken, shown)
        elif summary.unsure[kind, rule.number] == summary.outcomes[kind].total():
            message = attribute_of(WORDS[report.language]["unknown"])
            yield _Case(name, "skipped", f"<skipped message={message}/>")
        else:
            yield _Case(name, "", "")


def _broken(report: Report, name: str, rule: Rule, broken: int, shown: list[str]) -> _Case:
    words = WORDS[report.language]
    rest = [f"{broken - len(shown)} {words['left']}"] if shown and broken > len(shown) else []
    text = text_of("\n".join([*shown, *rest]))
    if rule.severity != "error":
        return _Case(name, "", f"<system-out>{text}</system-out>" if shown else "")
    message = attribute_of(
        f"{broken} {words['findings']}: {rule.remedy_nb if report.language == 'nb' else rule.remedy_en}"
    )
    return _Case(name, "failure", f"<failure message={message} type={attribute_of(rule.consequence)}>{text}</failure>")


def _faults(report: Report) -> Iterator[_Case]:
    """What the reader could not take, by its code, with the first places."""
    summary, words = report.summary, WORDS[report.language]
    for code, count in sorted(summary.fault_codes.items()):
        issues = [issue for issue in summary.faults if issue.code == code][:SHOWN]
        lines = [f"{issue.at}: {issue.sentence(report.language)}" for issue in issues]
        rest = [f"{count - len(lines)} {words['left']}"] if count > len(lines) else []
        text = text_of("\n".join([*lines, *rest]))
        yield _Case(code, "error", f'<error message="{count}" type={attribute_of(code)}>{text}</error>')
