"""Rule files: what is wrong with a row is told with file and line, and a deployment adds and switches rules."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from fhir_facade.mapping.findings import MappingError
from fhir_facade.npr.functions import FUNCTIONS
from fhir_facade.npr.graph import Graph
from fhir_facade.npr.record_functions import RECORD_FUNCTIONS
from fhir_facade.npr.rules import MAY, MUST, Consequence, RuleSet, load_rules
from fhir_facade.npr.to_rule import APART, BROKEN, ELSEWHERE, KEPT, UNKNOWN
from fhir_facade.npr.verdict import Judging
from tools.npr_graphs import HOME, codes, graph, kinds, tells

ROW = """\
rules:
  - number: SITE-1
    type: R
    record: {record}
    sector: {sector}
    when: {when}
    require: {require}
    consequence: {consequence}
    severity: {severity}
    status: inferred
    en: A contact is short.
    nb: En kontakt er kort.
    remedy:
      en: Look again.
      nb: Se etter.
"""
RIGHT = {
    "record": "opphold",
    "sector": "all",
    "when": "utDatoTid.exists()",
    "require": "innDatoTid.hoursTo(utDatoTid) < 2",
    "consequence": "none",
    "severity": "warning",
}
LINES = {"number": 2, "record": 4, "sector": 5, "when": 6, "require": 7, "consequence": 8, "severity": 9}


def with_site(folder: Path, text: str) -> RuleSet:
    site = folder / "site.yaml"
    site.write_text(text, "utf-8")
    return load_rules(HOME / "rules.yaml", kinds(), codes(), site)


def answer(ruleset: RuleSet, number: str, held: Graph, record: str = "opphold") -> int:
    stay = held.records[record][0]
    return ruleset[number].judges[record].judge(held, stay, stay)


def test_a_deployment_adds_a_rule(tmp_path: Path) -> None:
    ruleset = with_site(tmp_path, ROW.format(**RIGHT))
    assert answer(ruleset, "SITE-1", graph("poliklinikk")) == KEPT
    assert answer(ruleset, "SITE-1", graph("døgn")) == BROKEN
    assert answer(ruleset, "SITE-1", graph("poliklinikk", {"opphold.0.utDatoTid": "-"})) == APART
    assert ruleset["SITE-1"].judges["opphold"].fields == ("utDatoTid", "innDatoTid")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"require": "innDatoTidd.exists()"}, "opphold has no 'innDatoTidd' (did you mean 'innDatoTid'?)"),
        ({"when": "hoursTo(utDatoTid)"}, "hoursTo() is asked of date or dateTime, not of record"),
        ({"require": "innDatoTid.hoursTil(utDatoTid) < 2"}, "has no 'hoursTil' (did you mean 'hoursTo'?)"),
        ({"require": "innDatoTid <= henvisningsperiode.sluttDato"}, "dateTime and date cannot be compared"),
        ({"require": "enheter.typeEnhet = innDatoTid"}, "code and dateTime cannot be compared"),
        ({"require": "enheter.enhetID.length() = 1"}, "there may be several values here"),
        ({"require": "innDatoTid"}, "true or false is expected, not dateTime"),
        ({"require": "innDatoTid.hoursTo( < 2"}, "a name is expected"),
        ({"require": "'%opphald.exists()'"}, "a rule has no 'opphald' (did you mean 'opphold'?)"),
        ({"require": "episodeID.codeFits()"}, "codeFits() is asked of a field"),
        ({"require": "episodeFag.listOf('sektorer') = 'SOM'"}, "has no 'sektorer' (did you mean 'sektor'?)"),
        ({"record": "opphald"}, "the record files has no 'opphald' (did you mean 'opphold'?)"),
        ({"record": "opphold.takst"}, "opphold has no 'takst' (did you mean 'takster'?)"),
        ({"sector": "PVH"}, "there is no sector 'PVH' (did you mean 'PHV'?)"),
        ({"severity": "errror"}, "'errror' is none of error, warning, information (did you mean 'error'?)"),
        ({"consequence": "drop"}, "'drop' is none of"),
    ],
)
def test_a_wrong_row_does_not_load(tmp_path: Path, change: dict[str, str], told: str) -> None:
    with pytest.raises(MappingError) as caught:
        with_site(tmp_path, ROW.format(**RIGHT | change))
    (found,) = caught.value.findings
    assert told in found.message
    assert found.file == "site.yaml"
    assert found.line in {LINES[key] for key in change}


def test_the_number_of_a_shipped_rule_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"site.yaml:2: 'NPR-999' is no number for a rule here"):
        with_site(tmp_path, ROW.format(**RIGHT).replace("SITE-1", "NPR-999"))


def test_what_is_missing_and_what_is_too_much_is_told_at_once(tmp_path: Path) -> None:
    text = ROW.format(**RIGHT).replace("    status: inferred\n", "    statuss: inferred\n")
    with pytest.raises(MappingError) as caught:
        with_site(tmp_path, text)
    assert [(found.line, found.message) for found in caught.value.findings] == [
        (2, "'status' is missing"),
        (10, "a rule has no 'statuss' (did you mean 'status'?)"),
    ]


def test_a_deployment_switches_rules(tmp_path: Path) -> None:
    ruleset = with_site(tmp_path, "switch:\n  NPR-102: off\n  NPR-105: warning\n")
    assert ruleset["NPR-105"].severity == "warning"
    assert ruleset.switched_off == ("NPR-102",)
    held = graph("poliklinikk", {"opphold.0.innDatoTid": "2024-02-20T00:00:00"})
    assert not any(verdict.broken for verdict in Judging(ruleset, tells()).judge(held))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("switch:\n  NPR-1022: off\n", "site.yaml:2: there is no rule NPR-1022 (did you mean 'NPR-1"),
        ("switch:\n  NPR-102: of\n", "site.yaml:2: 'of' is none of off, error, warning, information"),
        ("rule:\n  - a\n", "site.yaml:1: the file has no 'rule' (did you mean 'rules'?)"),
        ("a: [\n", "site.yaml:2: not YAML"),
    ],
)
def test_a_wrong_file_does_not_load(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(MappingError) as caught:
        with_site(tmp_path, text)
    assert told in str(caught.value)


def test_what_a_source_does_not_tell_cannot_be_known(tmp_path: Path) -> None:
    ruleset = with_site(tmp_path, "tables: {}\n")
    silent = frozenset(name for name in tells() if name != "pasient.fid")
    held = graph("poliklinikk", {"pasient.0.fid": "-", "pasient.0.typeID": "-"})
    (verdict,) = [each for each in Judging(ruleset, silent).judge(held) if each.kind == "pasient"]
    assert verdict.broken == []
    assert {"NPR-022", "NPR-027", "NPR-029"} <= {rule.number for rule in verdict.unknown}


def test_a_missing_value_is_neither_kept_nor_broken(tmp_path: Path) -> None:
    ruleset = with_site(tmp_path, ROW.format(**RIGHT | {"when": "episodeID.exists()"}))
    assert answer(ruleset, "SITE-1", graph("poliklinikk", {"opphold.0.utDatoTid": "-"})) == UNKNOWN


def test_an_unknown_sector_makes_no_error(tmp_path: Path) -> None:
    ruleset = with_site(tmp_path, ROW.format(**RIGHT | {"sector": "PHV"}))
    untold = {"opphold.0.episodeFag": "-", "enhet.1.sektor": "-"}
    assert answer(ruleset, "SITE-1", graph("phv")) == BROKEN
    assert answer(ruleset, "SITE-1", graph("døgn")) == ELSEWHERE
    assert answer(ruleset, "SITE-1", graph("phv", untold)) == UNKNOWN


def test_every_function_is_in_the_document() -> None:
    page = (Path(__file__).parents[2] / "docs" / "npr-rules.md").read_text("utf-8")
    known = {*FUNCTIONS, *RECORD_FUNCTIONS, "codeFits", "codeIn", "listOf"}
    assert [name for name in known if f"`{name}(" not in page] == []
    assert [name for name in (*MUST, *MAY) if f"`{name}`" not in page] == []
    assert [each for each in get_args(Consequence) if f"`{each}`" not in page] == []


def test_the_row_in_the_document_loads(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "npr-rules.md").read_text("utf-8")
    row, own, _ = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert "SITE-1" in {rule.number for rule in with_site(tmp_path, f"rules:\n{row}")}
    assert with_site(tmp_path, own)["NPR-145"].severity == "error"
