"""Findings as JUnit and as a page on data quality: what they hold, what they leave out, and that they stay small."""

from __future__ import annotations

import io
import re
import tracemalloc
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from lxml import etree
from typer.testing import CliRunner, Result

from fhir_facade.cli import app
from fhir_facade.npr.graph import Graph
from fhir_facade.npr.quality import Code, Counts, Missing, Quality
from fhir_facade.npr.rules import RuleSet
from fhir_facade.npr.shipped import shipped_rules
from fhir_facade.npr.verdict import Broken, Verdict
from fhir_facade.npr_checking import Checked, check_message
from fhir_facade.npr_reports import findings
from fhir_facade.npr_reports.findings import Report
from fhir_facade.npr_reports.page import MOST_FINDINGS, MOST_ROWS
from fhir_facade.npr_reports.words import PAGE, WORDS
from fhir_facade.npr_reports.writers import WRITERS
from fhir_facade.outcome import Issue
from fhir_facade.resources import data_root
from tests.npr.conftest import once
from tests.npr_sample import KINDS, TABLE
from tests.npr_stays import MESSAGE, TODAY
from tools.npr_graphs import graph

ALL = frozenset({"error", "warning", "information"})
VOID = {"meta", "link"}

JUNIT = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
 <xs:element name="testsuites"><xs:complexType>
  <xs:sequence><xs:element ref="testsuite" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
  <xs:attribute name="name" type="xs:string"/><xs:attribute name="tests" type="xs:nonNegativeInteger"/>
  <xs:attribute name="failures" type="xs:nonNegativeInteger"/><xs:attribute name="errors" type="xs:nonNegativeInteger"/>
 </xs:complexType></xs:element>
 <xs:element name="testsuite"><xs:complexType>
  <xs:sequence><xs:element ref="testcase" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
  <xs:attribute name="name" type="xs:string" use="required"/>
  <xs:attribute name="tests" type="xs:nonNegativeInteger" use="required"/>
  <xs:attribute name="failures" type="xs:nonNegativeInteger"/><xs:attribute name="errors" type="xs:nonNegativeInteger"/>
  <xs:attribute name="skipped" type="xs:nonNegativeInteger"/>
 </xs:complexType></xs:element>
 <xs:element name="testcase"><xs:complexType>
  <xs:choice minOccurs="0" maxOccurs="unbounded">
   <xs:element name="skipped" type="told"/><xs:element name="error" type="told"/><xs:element name="failure" type="told"/>
   <xs:element name="system-out" type="xs:string"/><xs:element name="system-err" type="xs:string"/>
  </xs:choice>
  <xs:attribute name="name" type="xs:string" use="required"/><xs:attribute name="classname" type="xs:string"/>
 </xs:complexType></xs:element>
 <xs:complexType name="told" mixed="true">
  <xs:attribute name="message" type="xs:string"/><xs:attribute name="type" type="xs:string"/>
 </xs:complexType>
</xs:schema>"""
"""The elements of the JUnit reports that common tools read, as far as we write them."""


@pytest.fixture(scope="module")
def rules() -> RuleSet:
    return shipped_rules(data_root("mappings") / "records")


@pytest.fixture
def bent(tmp_path: Path) -> Path:
    """A message with a stay at midnight, a payer that is in no list, and a referral without a day."""
    path = tmp_path / "message.xml"
    text = MESSAGE.replace("T09:10:00", "T00:00:00").replace('debitor="1"', 'debitor="999"')
    path.write_text(text.replace(' vurdDato="2024-01-15"', ""), "utf-8")
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["npr", "check", *map(str, arguments), "--on", TODAY])


def quality_of(rules: RuleSet) -> Quality:
    return Quality(rules, [each.rules for each in once(data_root("mappings"), None, None).mappings.values()])


def written(report: Report, form: str) -> str:
    out = io.BytesIO()
    WRITERS[form](report, out)
    return out.getvalue().decode()


# ---- JUnit


def junit(text: str) -> ElementTree.Element:
    """The report, which keeps to the schema."""
    schema = etree.XMLSchema(etree.fromstring(JUNIT))
    schema.assertValid(etree.fromstring(text.encode()))
    return ElementTree.fromstring(text.encode())


def test_junit_has_a_suite_for_each_kind_and_a_case_for_each_rule(bent: Path, rules: RuleSet) -> None:
    result = run(bent, "--format", "junit")
    assert result.exit_code == 1
    suites = junit(result.stdout)
    cases = {(suite.get("name"), str(case.get("name")).partition(" ")[0]): case for suite in suites for case in suite}
    assert len(cases) == sum(len(suite) for suite in suites)
    asked = {(record.partition(".")[0], rule.number) for rule in rules for record in rule.records}
    kinds = {suite.get("name") for suite in suites}
    assert kinds == {"enhet", "henvisning", "henvisningsperiode", "melding", "opphold", "pasient", "tilstand"}
    assert cases.keys() == {(kind, number) for kind, number in asked if kind in kinds}
    midnight = cases["opphold", "NPR-102"].find("failure")
    assert midnight is not None
    assert "at line 13: opphold" in (midnight.text or "")
    assert midnight.get("message", "").startswith("1 findings: ")
    assert cases["pasient", "NPR-022"].find("skipped") is not None
    assert len(cases["opphold", "NPR-101"]) == 0


def test_the_numbers_of_junit_are_those_of_its_cases(bent: Path) -> None:
    suites = junit(run(bent, "--format", "junit", "--lang", "nb").stdout)
    for suite in suites:
        became = Counter(part.tag for case in suite for part in case)
        told = {name: int(suite.get(name, "-1")) for name in ("tests", "failures", "errors", "skipped")}
        assert told == {
            "tests": len(suite), "failures": became["failure"], "errors": became["error"], "skipped": became["skipped"],
        }  # fmt: skip
    assert suites.get("tests") == str(sum(len(suite) for suite in suites))


def test_junit_tells_what_the_reader_could_not_take(bent: Path) -> None:
    bent.write_text(MESSAGE.replace('innmateHast="4" ', ""), "utf-8")
    suites = junit(run(bent, "--format", "junit").stdout)
    [error] = suites.findall("testsuite[@name='reader']/testcase[@name='field-missing']/error")
    assert (error.text or "").startswith("line 13: ")


def test_a_case_tells_its_first_findings_and_how_many_it_leaves_out(rules: RuleSet) -> None:
    with closing(Report(rules, "en", ALL, TODAY)) as report:
        many(report, rules, "NPR-102", 70)
        [failure] = junit(written(report, "junit")).iter("failure")
    lines = (failure.text or "").splitlines()
    assert len(lines) == 21
    assert lines[-1] == f"50 {WORDS['en']['left']}"


# ---- the page


class Reader(HTMLParser):
    """Ids, links, what an element would fetch, and whether each element is closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        told = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        self.ids += [str(told["id"])] if "id" in told else []
        for name in ("src", "href", "action", "data", "srcset", "poster", "background", "xlink:href"):
            if name in told:
                (self.links if tag == "a" else self.fetched).append(str(told[name]))
        assert not any(name.startswith("on") for name in told)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert reader.open == []
    return reader


@pytest.mark.parametrize("language", ["en", "nb"])
def test_the_page_is_one_file_with_charts_and_tables(bent: Path, language: str) -> None:
    result = run(bent, "--format", "html", "--lang", language)
    assert result.exit_code == 1
    page = read(result.stdout)
    assert f'<html lang="{language}">' in result.stdout
    assert page.fetched == ["data:,"]
    assert page.tags["script"] == 0
    assert not re.search(r"https?://|@import|url\(", result.stdout)
    assert sorted(page.links) == sorted(f"#{name}" for name in page.ids)
    assert page.tags["caption"] == page.tags["table"] > 5
    assert result.stdout.count('role="img" aria-label="') == page.tags["svg"] - result.stdout.count("aria-hidden")
    assert {PAGE[language]["over_time"], PAGE[language]["frist"], "NPR-102", "2024-02"} <= set(page.words)


def test_the_words_of_the_page_are_the_same_in_both_languages() -> None:
    assert PAGE["en"].keys() == PAGE["nb"].keys()
    assert WORDS["en"].keys() == WORDS["nb"].keys()
    for name, words in PAGE["en"].items():
        assert re.findall(r"{\w+}", words) == re.findall(r"{\w+}", PAGE["nb"][name])


def test_quality_counts_what_the_record_files_ask_for(bent: Path, rules: RuleSet) -> None:
    quality = quality_of(rules)
    for checked in check_message(bent, TABLE, KINDS, rules, TODAY):
        quality.add(checked.graph, [verdict for verdict, _ in checked.verdicts], checked.faults)
    assert (quality.midnight["opphold.innDatoTid"], quality.times["opphold.innDatoTid"]) == (1, 1)
    assert (quality.midnight["opphold.utDatoTid"], quality.times["opphold.utDatoTid"]) == (0, 1)
    assert quality.codes.by[Code("opphold.debitor", "8426", "999", "")] == 1
    assert {(found.rule, found.unit, found.month) for found in quality.findings.by} >= {
        ("NPR-102", "A", "2024-02"), ("NPR-112", "A", "2024-02"), ("NPR-065", "A", "2024-01"),
    }  # fmt: skip
    assert quality.missing == {Missing("henvisning", "vurdDato", "NPR-065"): 1}


def test_quality_tells_codes_that_a_code_map_does_not_translate(rules: RuleSet) -> None:
    quality, held = quality_of(rules), graph("poliklinikk", {"opphold.0.omsorgsniva": "77"})
    quality.add(held, [Verdict("opphold", record) for record in held.records["opphold"]], ())
    told = {(each.field, each.code, bool(each.code_map)) for each in quality.codes.by}
    assert told == {("opphold.omsorgsniva", "77", False), ("opphold.omsorgsniva", "77", True)}


def test_quality_counts_a_mandatory_field_that_is_not_there(rules: RuleSet) -> None:
    quality, held = quality_of(rules), graph("poliklinikk", {"pasient.0.fid": "-"})
    quality.add(held, [Verdict("pasient", record) for record in held.records["pasient"]], ())
    assert quality.missing == {Missing("pasient", "fid", ""): 1}
    issue = Issue("field-missing", "line 4", {"field": "debitor", "kind": "opphold"})
    quality.add(Graph({}), (), [issue])
    assert quality.missing[Missing("opphold", "debitor", "")] == 1


@pytest.mark.parametrize(
    ("change", "began", "waiting"),
    [
        ({}, {41: 1}, {}),
        ({"henvisning.0.ventetidSluttDato": "2024-04-11"}, {-10: 1}, {}),
        ({"henvisning.0.ventetidSluttDato": "-"}, {}, {-90: 1}),
        ({"henvisning.0.fristStartBehandling": "-"}, {}, {}),
    ],
)
def test_quality_counts_the_days_that_are_left(
    rules: RuleSet, change: dict[str, Any], began: dict[int, int], waiting: dict[int, int]
) -> None:
    quality, held = quality_of(rules), graph("poliklinikk", change)
    quality.add(held, [Verdict("henvisning", record) for record in held.records["henvisning"]], ())
    assert [dict(counts.by) for counts in quality.left] == [began, waiting]


def test_what_looks_like_a_person_stands_in_no_report(bent: Path) -> None:
    number = "15838512086"
    bent.write_text(
        MESSAGE.replace('debitor="1"', f'debitor="{number}"').replace('kodeVerdi="F102"', f'kodeVerdi="{number}"')
    )
    for form in WRITERS:
        assert number not in run(bent, "--format", form).stdout, form


def test_markup_in_data_is_text_on_the_page(rules: RuleSet) -> None:
    with closing(Report(rules, "en", ALL, TODAY, quality_of(rules))) as report:
        many(report, rules, "NPR-102", 1, unit="<script>&")
        page = written(report, "html")
        junit(written(report, "junit"))
    assert "<script>&" not in page
    assert "&lt;script&gt;&amp;" in page
    assert read(page).tags["script"] == 0


def many(report: Report, rules: RuleSet, number: str, count: int, unit: str = "", *, apart: bool = True) -> None:
    """Tell of a rule that is broken many times; where they stand apart each has a unit, a month and a code of its own."""
    held = graph("poliklinikk")
    issue = Issue("field-type", "line 1", {"field": "f", "type": "t", "reason": "r"})
    for place in range(count):
        month = place if apart else 1
        began = f"{1950 + month // 12 % 80}-{month % 12 + 1:02}-03T00:00:00"
        record = {**held.records["opphold"][0], "episodeID": f"E{place}", "innDatoTid": began, "debitor": f"x{month}"}
        verdict = Verdict("opphold", record, broken=[Broken(rules[number], ("innDatoTid",))])
        verdict.unit = unit or f"unit {place}"
        report.add(Checked([(verdict, place + 1)], [issue], held))


def test_every_list_of_the_page_has_an_end_and_tells_of_the_rest(rules: RuleSet) -> None:
    sizes = []
    for count in (1_000, 3_000):
        with closing(Report(rules, "en", ALL, TODAY, quality_of(rules))) as report:
            many(report, rules, "NPR-102", count)
            page = written(report, "html")
        sizes.append(len(page))
        left = Counter(map(int, re.findall(r"<p>(\d+) more are left out here", page)))
        assert left[count - MOST_FINDINGS] == 1
        assert left[count - MOST_ROWS] >= 3
        assert page.count("<tr>") < 2_000
    assert sizes[1] < sizes[0] * 1.3


def test_what_is_beyond_the_limit_of_counts_is_counted_together() -> None:
    counts: Counts[int] = Counts(most=3)
    for key in (1, 2, 3, 4, 5, 1):
        counts.add(key)
    assert (dict(counts.by), counts.beyond, counts.total) == ({1: 2, 2: 1, 3: 1}, 2, 6)


def test_memory_does_not_grow_with_the_findings(rules: RuleSet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "HELD", 1 << 14)

    def peak(count: int) -> int:
        with closing(Report(rules, "en", ALL, TODAY, quality_of(rules))) as report:
            tracemalloc.start()
            many(report, rules, "NPR-102", count, unit="A", apart=False)
            for form in ("html", "junit"):
                WRITERS[form](report, Sink())
            size = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert report.summary.broken["NPR-102"] == count
            return size

    peak(20)  # caches are filled
    assert peak(2_100) < peak(700) * 1.2


class Sink(io.BytesIO):
    """Takes bytes and keeps none."""

    write: Callable[..., int] = staticmethod(len)
