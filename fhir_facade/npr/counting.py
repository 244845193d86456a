"""Indicators counted over record graphs: who is in which population, in a period, in total and in each group.

A record is in a population when its expression is true; one that is neither true nor false cannot be known, and is
told of as that. Populations lie inside each other as https://hl7.org/fhir/R4/measure.html has them: a denominator is
part of the initial population, what is excluded is part of it, and a proportion's numerator is part of what is left.
The score of a proportion or ratio is (numerator - its exclusion) / (denominator - its exclusion).
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import key_text
from fhir_facade.npr.calendar import day
from fhir_facade.npr.graph import Graph
from fhir_facade.npr.indicators import (
    DENOMINATOR,
    DENOMINATOR_EXCLUSION,
    INITIAL,
    MEASURED,
    MEASURED_EXCLUSION,
    NUMERATOR,
    NUMERATOR_EXCLUSION,
    OBSERVED,
    Indicator,
)

Group = str | None
"""What a record is grouped by: a text or a key; None where it is not told."""

WITHIN: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "proportion": (
        (DENOMINATOR, INITIAL, ""),
        (DENOMINATOR_EXCLUSION, DENOMINATOR, ""),
        (NUMERATOR, DENOMINATOR, DENOMINATOR_EXCLUSION),
        (NUMERATOR_EXCLUSION, NUMERATOR, ""),
    ),
    "ratio": (
        (DENOMINATOR, INITIAL, ""),
        (DENOMINATOR_EXCLUSION, DENOMINATOR, ""),
        (NUMERATOR, INITIAL, ""),
        (NUMERATOR_EXCLUSION, NUMERATOR, ""),
    ),
    "cohort": (),
    "continuous-variable": ((MEASURED, INITIAL, ""), (MEASURED_EXCLUSION, MEASURED, "")),
}
"""Scoring → each population, the one that it is part of, and the one that it has nothing of."""

AGGREGATES: Mapping[str, Callable[[Sequence[float]], float]] = {
    "mean": statistics.fmean,
    "median": statistics.median,
    "sum": sum,
    "min": min,
    "max": max,
}


@dataclass(frozen=True, slots=True)
class Period:
    """Days in Norway, the first and the last (CCYY-MM-DD); both are part of it."""

    first: str
    last: str


@dataclass(slots=True)
class Counted:
    """One thing that is counted, by the key of its record: the populations that it is in, those of which that cannot
    be known, what it is grouped by, and the value that was observed. `when` is the day that places it."""

    key: str
    when: str
    record: Record
    within: frozenset[str]
    unknown: frozenset[str]
    groups: Mapping[str, Group]
    observed: float | None = None


@dataclass(slots=True)
class Tally:
    """The counts of one indicator, in all or of one group; `members` the keys of each population, where they are
    kept."""

    indicator: Indicator
    listing: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)
    values: list[float] = field(default_factory=list)
    members: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, dict[Group, Tally]] = field(default_factory=dict)

    def add(self, counted: Counted) -> None:
        """Count one, in all and in each of its groups."""
        self._add(counted)
        for name, group in counted.groups.items():
            held = self.groups.setdefault(name, {})
            if group not in held:
                held[group] = Tally(self.indicator)
            held[group]._add(counted)

    def _add(self, counted: Counted) -> None:
        self.counts.update(counted.within)
        self.unknown.update(counted.unknown)
        if counted.observed is not None:
            self.values.append(counted.observed)
        if self.listing:
            for name in counted.within:
                self.members.setdefault(name, []).append(counted.key)

    @property
    def score(self) -> float | None:
        """The share, or the aggregate of what was observed; None where there is nothing to divide by."""
        if self.indicator.scoring == "continuous-variable":
            return AGGREGATES[self.indicator.aggregate](self.values) if self.values else None
        below = self.counts[DENOMINATOR] - self.counts[DENOMINATOR_EXCLUSION]
        if below <= 0:
            return None
        return (self.counts[NUMERATOR] - self.counts[NUMERATOR_EXCLUSION]) / below


def counted(indicator: Indicator, graph: Graph, period: Period) -> Iterator[Counted]:
    """Everything that an indicator counts in a graph of whole patients: what its date places in the period."""
    found = (_judged(indicator, graph, record, period) for record in graph.records.get(indicator.record, ()))
    each = [one for one in found if one is not None]
    if not indicator.decides:
        yield from each
        return
    by_key: dict[str, list[Counted]] = {}
    for one in each:
        by_key.setdefault(one.key, []).append(one)
    for same in by_key.values():
        yield max(same, key=lambda one: _rank(indicator, one))


def _rank(indicator: Indicator, one: Counted) -> tuple[object, ...]:
    """Which record of what is counted once decides: the last that belongs there, or the one that comes furthest."""
    furthest = tuple(name in one.within for name in (NUMERATOR, DENOMINATOR, INITIAL))
    own = str(one.record.get("$key", ""))
    if indicator.decides == "any":
        return (*furthest, one.when, own)
    return (DENOMINATOR in one.within or MEASURED in one.within, INITIAL in one.within, one.when, own)


def _judged(indicator: Indicator, graph: Graph, record: Record, period: Period) -> Counted | None:
    """What is told of one record; None when it is outside the period or the initial population."""
    moment = indicator.day.ask(graph, record) if indicator.day else None
    when = None if moment is None else day(moment)
    if when is None or not period.first <= when <= period.last:
        return None
    key = key_text([record.get(part) for part in indicator.link])
    initial = indicator.populations[INITIAL].asked.ask(graph, record)
    if initial is False:
        return None
    groups = {name: each.asked.ask(graph, record) for name, each in indicator.stratifiers.items()}
    if initial is None:
        return Counted(key, when, record, frozenset(), frozenset({INITIAL}), groups)
    within, unknown = {INITIAL}, set[str]()
    for name, of, apart in WITHIN[indicator.scoring]:
        population = indicator.populations.get(name)
        if population is None or of not in within or apart in within:
            continue
        answer = population.asked.ask(graph, record)
        if answer is None:
            unknown.add(name)
        elif answer:
            within.add(name)
    observed = None
    if MEASURED in within and MEASURED_EXCLUSION not in within:
        observed = indicator.populations[OBSERVED].asked.ask(graph, record)
        (unknown if observed is None else within).add(OBSERVED)
    return Counted(key, when, record, frozenset(within), frozenset(unknown), groups, observed)
