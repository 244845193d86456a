"""The rules and the record kinds that come with the package."""

from __future__ import annotations

from pathlib import Path

from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.npr.faults import FaultTable, load_faults
from fhir_facade.npr.functions import Codes
from fhir_facade.npr.rules import RuleSet, load_rules
from fhir_facade.resources import data_root
from fhir_facade.terminology.catalogue import Catalogue


def shipped_rules(records: Path, site: Path | None = None, catalogue: Catalogue | None = None) -> RuleSet:
    """The rules over the record kinds of a folder, with a deployment's own rule file; MappingError where one is faulty.

    `catalogue` has the code systems that codes are judged by, those shipped when it is left out.
    """
    home = data_root("profiles") / "npr"
    kinds = load_kinds(records, home / "records")
    return load_rules(home / "rules.yaml", kinds, Codes(catalogue or Catalogue()), site)


def shipped_faults(rules: RuleSet) -> FaultTable:
    """The faults that can be put into synthetic records; MappingError where the table is faulty."""
    return load_faults(data_root("profiles") / "npr" / "faults.yaml", rules)
