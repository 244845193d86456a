"""Indicators as they stand in `profiles/npr/indicators.yaml`, and a deployment's own file: read, judged and compiled.

Every row is whole in itself: what is counted, what places it in a period, and the populations that it may be in
(https://hl7.org/fhir/R4/measure.html). A row that is wrong does not load: each fault is a finding with file and line.
A row whose rule text is not known is a draft: it is documented, and off until it is switched on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fhir_facade.mapping.findings import MappingError, nearest
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.npr.functions import Codes
from fhir_facade.npr.places import RuleFault
from fhir_facade.npr.row_reader import RowReader, texts
from fhir_facade.npr.to_indicator import DATES, NUMBERS, Asked, named, single, truth
from fhir_facade.yaml_text import Table

INITIAL, DENOMINATOR, NUMERATOR = "initial-population", "denominator", "numerator"
DENOMINATOR_EXCLUSION, NUMERATOR_EXCLUSION = "denominator-exclusion", "numerator-exclusion"
MEASURED, MEASURED_EXCLUSION, OBSERVED = "measure-population", "measure-population-exclusion", "measure-observation"
FRACTION = ((INITIAL, DENOMINATOR, NUMERATOR), (DENOMINATOR_EXCLUSION, NUMERATOR_EXCLUSION))
SCORINGS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "proportion": FRACTION,
    "ratio": FRACTION,
    "cohort": ((INITIAL,), ()),
    "continuous-variable": ((INITIAL, MEASURED, OBSERVED), (MEASURED_EXCLUSION,)),
}
"""Scoring → the populations that it must have, and those that it may have beside them."""

POPULATIONS = (
    INITIAL, DENOMINATOR, DENOMINATOR_EXCLUSION, NUMERATOR, NUMERATOR_EXCLUSION, MEASURED, MEASURED_EXCLUSION, OBSERVED,
)  # fmt: skip
"""All populations, in the order in which they are told."""

STATUSES = ("verified", "inferred", "unknown")
DRAFT = "unknown"
CHOICES: Mapping[str, tuple[str, ...]] = {
    "status": STATUSES,
    "scoring": tuple(SCORINGS),
    "improves": ("increase", "decrease"),
    "decides": ("last", "any"),
    "aggregate": ("mean", "median", "sum", "min", "max"),
}
TONGUES = ("en", "nb")
MUST = ("id", "version", "status", "title", "description", "record", "scoring")
MAY = (
    "open", "url", "source", "counts", "decides", "date", "improves", "goal", "from", "to", "aggregate", "measured-in",
    "populations",
)  # fmt: skip
FILE = ("sources", "tables", "terms", "stratifiers", "indicators", "switch")
SWITCH = ("on", "off")
OURS = "rbf-"
ID = re.compile(r"[a-z][a-z0-9-]{1,40}").fullmatch
DAY = re.compile(r"\d{4}-\d\d-\d\d").fullmatch
BASE = "http://fhir-facade.no/fhir/Measure/"


@dataclass(frozen=True, slots=True)
class Population:
    """One population: the expression that tells who is in it, how sure it is, and the same in words."""

    when: str
    status: str
    words: Mapping[str, str]
    asked: Asked


@dataclass(frozen=True, slots=True)
class Stratifier:
    """What results are grouped by, as it is told of the records of one kind."""

    name: str
    title: Mapping[str, str]
    value: str
    asked: Asked


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator. Records of kind `record` are judged; `counts` is the kind of what is counted: the record itself,
    or what it refers to by the reference `link`, once each. Then `decides` says which of its records counts.

    `open` tells what the sources leave open, `goal` the percentage that is aimed at. `on` is false of what is not
    evaluated; `populations` is empty where nothing can be.
    """

    id: str
    url: str
    version: str
    status: str
    title: Mapping[str, str]
    description: Mapping[str, str]
    open: Mapping[str, str]
    source: tuple[str, ...]
    record: str
    counts: str
    link: tuple[str, ...]
    decides: str
    scoring: str
    improves: str
    goal: str
    first: str
    last: str
    aggregate: str
    measured_in: str
    date: str
    day: Asked | None
    populations: Mapping[str, Population]
    stratifiers: Mapping[str, Stratifier]
    on: bool
    at: str

    @property
    def is_draft(self) -> bool:
        """Whether its rule text is not known."""
        return self.status == DRAFT

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of record that must be at hand to judge it."""
        asked = [each.asked for each in self.populations.values()]
        asked += [each.asked for each in self.stratifiers.values()]
        asked += [self.day] if self.day else []
        return frozenset({self.record}).union(*(each.seen for each in asked))


@dataclass(frozen=True)
class IndicatorSet:
    """All indicators, on or off, in the order of the files."""

    by_id: Mapping[str, Indicator]
    kinds: Kinds = field(repr=False)

    def __iter__(self) -> Iterator[Indicator]:
        return iter(self.by_id.values())

    @property
    def on(self) -> tuple[Indicator, ...]:
        """Those that are evaluated."""
        return tuple(each for each in self if each.on)


def load_indicators(
    file: Path, words: Path, kinds: Kinds, codes: Codes, site: Path | None = None, *, drafts: bool = False
) -> IndicatorSet:
    """The indicators of a file, with a deployment's own; MappingError with every finding.

    `words` is the file of rules, whose tables and terms indicators may name. `drafts` turns those on whose rule text
    is not known, as far as there is something to evaluate.
    """
    loader = _Loader(kinds, codes, drafts=drafts)
    shared = loader.opened(words)
    if shared is not None:
        loader.take_words(shared)
    for path in (file, site) if site else (file,):
        loader.file(path, own=path is site)
    if loader.findings:
        raise MappingError(loader.findings)
    return IndicatorSet(loader.finished(), kinds)


class _Loader(RowReader):
    """Reads indicator files one after the other."""

    def __init__(self, kinds: Kinds, codes: Codes, *, drafts: bool) -> None:
        super().__init__(kinds, codes)
        self.drafts = drafts
        self.sources: dict[str, str] = {}
        self.stratifiers: dict[str, dict[str, Stratifier]] = {}
        self.indicators: dict[str, Indicator] = {}
        self.switches: dict[str, bool] = {}

    def file(self, path: Path, own: bool) -> None:
        """Take what a file says."""
        whole = self.opened(path)
        if whole is None:
            return
        self.keys(whole, (), FILE, "the file")
        self.take_words(whole)
        self.sources |= {str(key): str(value) for key, value in whole.get("sources", {}).items()}
        for row in whole.get("stratifiers", ()):
            self._stratifier(row)
        for row in whole.get("indicators", ()):
            self._indicator(row, own)
        switches = whole.get("switch", Table())
        for name, said in switches.items():
            if name not in self.indicators:
                self.fault(switches.at(name), f"there is no indicator {name}{nearest(name, self.indicators)}")
            elif said not in SWITCH:
                self.fault(switches.at(name), f"'{said}' is none of {', '.join(SWITCH)}")
            elif said == "on" and not self.indicators[name].populations:
                self.fault(switches.at(name), f"{name} has no populations, so it cannot be on")
            self.switches[name] = said == "on"

    def finished(self) -> dict[str, Indicator]:
        """The indicators, switched, with what their results are grouped by."""
        made = {}
        for name, each in self.indicators.items():
            on = self.switches.get(name, bool(each.populations) and (self.drafts or not each.is_draft))
            said = {part: getattr(each, part) for part in Indicator.__slots__}
            made[name] = Indicator(**said | {"on": on, "stratifiers": self.stratifiers.get(each.record, {})})
        return made

    def _stratifier(self, row: Any) -> None:
        must = ("name", "record", "value", "title")
        if not isinstance(row, Table) or not self.keys(row, must, (), "a stratifier"):
            return
        kind = self._kind(row)
        if kind is None or not self._tongues(row, "title"):
            return
        asked = self._compiled(row, "value", lambda: named(self.words, kind, str(row["value"])))
        if asked is not None:
            found = Stratifier(str(row["name"]), _said(row["title"]), str(row["value"]), asked)
            self.stratifiers.setdefault(kind.name, {})[found.name] = found

    def _indicator(self, row: Any, own: bool) -> None:
        if not isinstance(row, Table):
            self.fault(1, "an indicator is a table of keys")
            return
        if not self.keys(row, MUST, MAY, "an indicator") or not self._right(row, own):
            return
        kind = self._kind(row)
        counted = self._counted(row, kind) if kind else None
        if kind is None or counted is None:
            return
        before = len(self.findings)
        day = self._compiled(row, "date", lambda: single(self.words, kind, str(row["date"]), DATES))
        populations = self._populations(row, kind)
        if len(self.findings) == before:
            self.indicators[str(row["id"])] = self._made(row, kind, counted, day, populations)

    def _right(self, row: Table, own: bool) -> bool:
        """Whether the single values of a row are what they may be."""
        before = len(self.findings)
        name = str(row["id"])
        if not ID(name) or (own and name.startswith(OURS)):
            self.fault(row.at("id"), f"'{name}' is no id for an indicator here, such as site-waiting-time")
        if name in self.indicators:
            self.fault(row.at("id"), f"there is an indicator {name} already")
        for key, allowed in CHOICES.items():
            self.choice(row, key, allowed)
        for key in ("title", "description", *(("open",) if "open" in row else ())):
            self._tongues(row, key)
        if "open" not in row and row["status"] != "verified":
            self.fault(row.line, "'open' is missing: what the sources of an indicator that is not verified leave open")
        for each in texts(row.get("source")):
            if each not in self.sources:
                self.fault(row.at("source"), f"there is no source '{each}'{nearest(each, self.sources)}")
        for key in ("from", "to"):
            if key in row and not DAY(str(row[key])):
                self.fault(row.at(key), f"'{row[key]}' is no date; write CCYY-MM-DD")
        if "goal" in row and not re.fullmatch(r"\d{1,3}(\.\d+)?", str(row["goal"])):
            self.fault(row.at("goal"), f"'{row['goal']}' is no percentage")
        if not row.get("populations") and row["status"] != DRAFT:
            self.fault(row.line, "'populations' is missing; only an indicator of status unknown may lack them")
        if row.get("populations") and not row.get("date"):
            self.fault(row.line, "'date' is missing: nothing places what is counted in a period")
        if ("aggregate" in row) != (row.get("scoring") == "continuous-variable"):
            self.fault(row.line, "'aggregate' goes with scoring continuous-variable, and only with it")
        return len(self.findings) == before

    def _tongues(self, row: Table, key: str) -> bool:
        """Whether a key is a table of the two languages."""
        if not isinstance(row[key], Table):
            self.fault(row.at(key), f"'{key}' is a table of en and nb")
            return False
        return self.keys(row[key], TONGUES, (), f"'{key}'")

    def _kind(self, row: Table) -> Kind | None:
        kind = self.kinds.by_name.get(str(row["record"]))
        if kind is None:
            known = list(self.kinds.by_name)
            said = str(row["record"])
            self.fault(row.at("record"), f"the record files have no '{said}'{nearest(said, known)}")
        return kind

    def _counted(self, row: Table, kind: Kind) -> tuple[str, tuple[str, ...]] | None:
        """The kind of what is counted, and the fields of the record that are its key."""
        name = str(row.get("counts", kind.name))
        if ("decides" in row) != (name != kind.name):
            self.fault(row.line, "'decides' goes with 'counts': which record of what is counted decides")
            return None
        if name == kind.name:
            return name, kind.key
        found = next((link for link in kind.links.values() if link.to == name), None)
        if found is None:
            known = {link.to for link in kind.links.values()}
            self.fault(row.at("counts"), f"{kind.name} refers to no '{name}'{nearest(name, known)}")
            return None
        return name, found.fields

    def _compiled(self, row: Table, key: str, make: Callable[[], Asked]) -> Asked | None:
        """What an expression becomes; None when the row has none, or a wrong one, which is told at its key."""
        if not row.get(key):
            return None
        try:
            return make()
        except RuleFault as fault:
            self.fault(row.at(key), f"{key}: {fault}")
            return None

    def _populations(self, row: Table, kind: Kind) -> dict[str, Population]:
        held = row.get("populations") or Table()
        if not isinstance(held, Table):
            self.fault(row.at("populations"), "'populations' is a table")
            return {}
        must, may = SCORINGS[str(row["scoring"])]
        if held:
            held.line = row.at("populations")
            self.keys(held, must, may, f"scoring {row['scoring']}")
        made = {}
        for name in POPULATIONS:
            population = self._population(held, name, kind) if name in (*must, *may) and name in held else None
            if population is not None:
                made[name] = population
        return made

    def _population(self, held: Table, name: str, kind: Kind) -> Population | None:
        row = held[name]
        if not isinstance(row, Table):
            self.fault(held.at(name), f"'{name}' is a table of when, status, en and nb")
            return None
        if not self.keys(row, ("when", "status", *TONGUES), (), f"'{name}'"):
            return None
        self.choice(row, "status", STATUSES)
        text = str(row["when"])
        number = name == OBSERVED
        asked = self._compiled(
            row, "when", lambda: single(self.words, kind, text, NUMBERS) if number else truth(self.words, kind, text)
        )
        return Population(text, str(row["status"]), _said(row), asked) if asked else None

    def _made(
        self, row: Table, kind: Kind, counted: tuple[str, tuple[str, ...]], day: Asked | None,
        populations: Mapping[str, Population],
    ) -> Indicator:  # fmt: skip
        name = str(row["id"])
        return Indicator(
            id=name,
            url=str(row.get("url", BASE + name)),
            version=str(row["version"]),
            status=str(row["status"]),
            title=_said(row["title"]),
            description=_said(row["description"]),
            open=_said(row["open"]) if "open" in row else {},
            source=tuple(self.sources[each] for each in texts(row.get("source"))),
            record=kind.name,
            counts=counted[0],
            link=counted[1],
            decides=str(row.get("decides", "")),
            scoring=str(row["scoring"]),
            improves=str(row.get("improves", "increase")),
            goal=str(row.get("goal", "")),
            first=str(row.get("from", "")),
            last=str(row.get("to", "")),
            aggregate=str(row.get("aggregate", "")),
            measured_in=str(row.get("measured-in", "")),
            date=str(row.get("date", "")),
            day=day,
            populations=populations,
            stratifiers={},
            on=False,
            at=f"{self.name}:{row.line}",
        )


def _said(row: Iterable[str]) -> dict[str, str]:
    """The sentences of a table, by language."""
    return {tongue: str(row[tongue]) for tongue in TONGUES}  # type: ignore[index]
