"""The rules, the indicators and the record kinds that come with the package."""

from __future__ import annotations

from pathlib import Path

from fhir_facade.mapping.kinds import Kinds
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.npr.faults import FaultTable, load_faults
from fhir_facade.npr.functions import Codes
from fhir_facade.npr.indicators import IndicatorSet, load_indicators
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


class Indicators:
    """The indicators of a deployment: made when they are first asked for, and again when the record kinds change."""

    def __init__(self, site: Path | None = None, catalogue: Catalogue | None = None, *, drafts: bool = False) -> None:
        self._site, self._catalogue, self._drafts = site, catalogue, drafts
        self._made: IndicatorSet | None = None

    def over(self, kinds: Kinds) -> IndicatorSet:
        """The indicators over record kinds; MappingError where one is faulty."""
        made = self._made
        if made is None or made.kinds is not kinds:
            made = shipped_indicators(kinds, self._site, self._catalogue, drafts=self._drafts)
            self._made = made
        return made


def shipped_indicators(
    kinds: Kinds, site: Path | None = None, catalogue: Catalogue | None = None, *, drafts: bool = False
) -> IndicatorSet:
    """The indicators over record kinds, with a deployment's own file; MappingError where one is faulty.

    `drafts` turns on those whose rule text is not known.
    """
    home = data_root("profiles") / "npr"
    codes = Codes(catalogue or Catalogue())
    return load_indicators(home / "indicators.yaml", home / "rules.yaml", kinds, codes, site, drafts=drafts)
