"""The compiled rules answer as the plain FHIRPath evaluator does, as far as that knows their words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from fhir_facade.npr.rules import Rule
from fhir_facade.npr.to_rule import APART, BROKEN, KEPT, SPARED, UNKNOWN
from fhir_facade.profile.fhirpath import Environment, evaluate, truth
from fhir_facade.profile.fhirpath_functions import FUNCTIONS
from fhir_facade.profile.fhirpath_syntax import Call, Name, Variable, parse
from fhir_facade.yaml_text import read
from tools.npr_graphs import HOME, graph, kinds, rules

EXAMPLES = read(HOME / "examples" / "rules.yaml")["examples"]


def nodes(tree: Any) -> Iterator[Any]:
    """Every node of an expression."""
    yield tree
    for each in dataclasses.fields(tree):
        held = getattr(tree, each.name)
        for below in held if isinstance(held, tuple) else (held,):
            if dataclasses.is_dataclass(below):
                yield from nodes(below)


def is_plain(rule: Rule, record: str) -> bool:
    """Whether a rule looks at one record only, with FHIRPath's own words; dates of JSON are texts to the evaluator."""
    kind, _, child = record.partition(".")
    lists = [] if child else kinds()[kind].own_lists()
    fields = kinds()[kind].children[child].fields if child else kinds()[kind].fields
    known = {*fields, *(each.name for each in lists), *(name for each in lists for name in each.fields)}
    text = f"({rule.when or 'true'}) and ({rule.require})"
    return not rule.sectors and "@" not in text and all(
        not (isinstance(node, Variable) and node.name != "$this")
        and not (isinstance(node, Call) and node.name not in FUNCTIONS)
        and not (isinstance(node, Name) and node.name not in known)
        for node in nodes(parse(text))
    )  # fmt: skip


def plainly(rule: Rule, item: dict[str, Any]) -> int:
    """What the evaluator makes of a rule."""
    asked, held = (truth(evaluate(text, item, "Basic", Environment())) for text in (rule.when or "true", rule.require))
    if asked is not True:
        return APART
    return UNKNOWN if held is None else KEPT if held else BROKEN


def test_compiled_rules_answer_as_the_evaluator_does() -> None:
    found, judged = set(), 0
    held = [graph(row.get("graph", "poliklinikk"), row["breaks"]) for row in EXAMPLES.values()]
    for rule in rules():
        for record, compiled in rule.judges.items():
            if not is_plain(rule, record):
                continue
            found.add(rule.number)
            kind, _, child = record.partition(".")
            for each in held:
                for whole in each.records.get(kind, ()):
                    for item in whole.get(child, ()) if child else (whole,):
                        answer = compiled.judge(each, whole, item)
                        assert (BROKEN if answer == SPARED else answer) == plainly(rule, item), (rule.number, item)
                        judged += 1
    assert len(found) > 40
    assert judged > 5000
