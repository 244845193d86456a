"""Every rule has a graph that breaks it and nothing else, and one that it is asked of and keeps; stays get verdicts."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.npr.to_rule import BROKEN, KEPT, SPARED
from fhir_facade.npr.verdict import Judging, Verdict
from fhir_facade.yaml_text import read
from tools.npr_graphs import HOME, graph, graphs, rules, tells

EXAMPLES = read(HOME / "examples" / "rules.yaml")["examples"]
STAYS = read(HOME / "examples" / "stays.yaml")["stays"]
NUMBERS = 180


@pytest.fixture(scope="module")
def judging() -> Judging:
    return Judging(rules(), tells())


def broken(verdicts: list[Verdict]) -> list[str]:
    return sorted({each.rule.number for verdict in verdicts for each in verdict.broken})


def answers(number: str, held: Any) -> set[int]:
    """What the rule itself answers of everything that it is about."""
    found = set()
    for record, compiled in rules()[number].judges.items():
        kind, _, child = record.partition(".")
        for each in held.records.get(kind, ()):
            found |= {compiled.judge(held, each, item) for item in (each.get(child, ()) if child else (each,))}
    return found


def test_there_are_all_rules_and_each_has_examples() -> None:
    assert len(rules().rules) == NUMBERS
    assert [rule.number for rule in rules() if rule.number not in EXAMPLES] == []
    assert [number for number in EXAMPLES if number not in {rule.number for rule in rules()}] == []
    assert [number for number, row in EXAMPLES.items() if "breaks" not in row] == []


@pytest.mark.parametrize("name", graphs())
def test_a_graph_to_begin_with_breaks_no_rule(judging: Judging, name: str) -> None:
    verdicts = judging.judge(graph(name))
    assert broken(verdicts) == []
    assert {verdict.outcome for verdict in verdicts} == {"accepted"}


@pytest.mark.parametrize("number", EXAMPLES)
def test_a_rule_is_broken_alone(judging: Judging, number: str) -> None:
    row = EXAMPLES[number]
    held = graph(row.get("graph", "poliklinikk"), row["breaks"], row.get("earlier"))
    assert broken(judging.judge(held)) == [number]
    assert answers(number, held) & {BROKEN, SPARED}


@pytest.mark.parametrize("number", EXAMPLES)
def test_a_rule_is_asked_and_kept(judging: Judging, number: str) -> None:
    row = EXAMPLES[number]
    held = graph(row.get("graph", "poliklinikk"), row.get("keeps", {}), {} if "earlier" in row else None)
    assert broken(judging.judge(held)) == []
    assert KEPT in answers(number, held)


def test_there_are_sixteen_stays() -> None:
    assert len(STAYS) == 16


@pytest.mark.parametrize("row", STAYS, ids=[each["stay"] for each in STAYS])
def test_a_stay_gets_its_verdict(judging: Judging, row: Any) -> None:
    verdicts = judging.judge(graph(row.get("graph", "poliklinikk"), row.get("change", {})))
    kind, place = row.get("kind", "opphold"), int(row.get("place", "0"))
    verdict = [each for each in verdicts if each.kind == kind][place]
    assert broken(verdicts) == row["rules"]
    assert verdict.outcome == row["verdict"]
    if "valid" in row:
        assert (not any(each.errors for each in verdicts)) == (row["valid"] == "true")
    if "isf" in row:
        assert verdict.isf_eligible == (row["isf"] == "true")
