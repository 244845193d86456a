"""Synthetic patients, in whom no fault is put, break no rule of severity error."""

from __future__ import annotations

import random

from fhir_facade.contracts import Record
from fhir_facade.npr.graph import Graph, everything
from fhir_facade.npr.shipped import shipped_rules
from fhir_facade.npr.verdict import Judging
from fhir_facade.resources import data_root
from fhir_facade.store.synthetic import UNTIL, generate
from tests.npr_sample import KINDS

PATIENTS = 300
BESIDE = ("reading_fault", "sbs", "vtk_periode", "vtk_vedtak")


def test_synthetic_patients_break_no_rule_that_is_an_error() -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    rules = shipped_rules(data_root("mappings") / "records")
    tells = frozenset(name for name in everything(rules.kinds) if not name.startswith(BESIDE))
    records: dict[str, list[Record]] = {kind.name: [] for kind in KINDS}
    for kind, record in generate(PATIENTS, seed):
        records[kind].append(record)
    verdicts = Judging(rules, tells).judge(Graph(records, today=UNTIL.isoformat(), tells=tells))
    assert len(verdicts) > PATIENTS * 5
    assert [(each.kind, each.errors) for each in verdicts if each.errors] == []
