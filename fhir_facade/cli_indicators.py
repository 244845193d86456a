"""The command `fhir-facade indicators`: indicators of result-based financing, counted over what is stored."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhir_facade.cli_npr import Form, Tongue
from fhir_facade.terminal import FAILED, Database, faults_are_told, mapping_set_of, open_store, settings_with, stop

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fhir_facade.mapping.mapping_set import MappingSet
    from fhir_facade.npr.counting import Period, Tally
    from fhir_facade.npr.indicators import Indicator, IndicatorSet
    from fhir_facade.store.records import Store

YEAR = re.compile(r"(19|2\d)\d\d").fullmatch
DATE = "CCYY-MM-DD"


def indicators(
    db: Database,
    year: Annotated[str | None, typer.Option(metavar="CCYY", help="The year that is counted.")] = None,
    first: Annotated[str | None, typer.Option("--from", metavar=DATE, help="The first day, instead of a year.")] = None,
    last: Annotated[str | None, typer.Option("--to", metavar=DATE, help="The last day; it is part of it.")] = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Part each indicator: by unit, site or sector.")
    ] = None,
    only: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this indicator; may be repeated.")] = None,
    own: Annotated[
        Path | None,
        typer.Option("--indicators", metavar="FILE", help="A file of your own: more indicators, and switches."),
    ] = None,
    drafts: Annotated[
        bool | None, typer.Option("--drafts", help="Count those too whose rule text is not known.")
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="text, or for machines: json, csv.")] = Form.text,
    lang: Annotated[Tongue, typer.Option(help="The language of sentences.")] = Tongue.en,
) -> None:
    """Count the indicators of result-based financing (RBF) over a database, as a table and a chart.

    Days are those in Norway, and both ends are part of the period. What cannot be known, since a code is missing, is
    not in a population and is counted beside it. How sure each definition is stands with it: docs/indicators.md.
    Ends with 0 when it is counted, 2 when it could not be.

    \b
    Examples:
      fhir-facade indicators --year 2024 --db hospital.db
      fhir-facade indicators --from 2024-01-01 --to 2024-04-30 --by unit --format csv --db hospital.db
    """
    period = _period(year, first, last)
    from fhir_facade.npr_measuring import measure

    with faults_are_told():
        settings = settings_with(indicators=own, draft_indicators=drafts)
        mapping_set = mapping_set_of(settings.mappings)
        found = _loaded(mapping_set, settings.indicators, drafts=settings.draft_indicators)
        chosen = _chosen(found, only or [], by or "")
        store = open_store(db, mapping_set, must_exist=True)
        try:
            tallies = measure(store, mapping_set.kinds, chosen, period)
            off = [] if only else [each for each in found if not each.on]
            _write(period, tallies, off, by or "", lang, form, _names(mapping_set, store, tallies, by or ""))
        finally:
            store.close()


def _period(year: str | None, first: str | None, last: str | None) -> Period:
    """The days that are counted; stops when they are not told, or are none."""
    from fhir_facade.npr.counting import Period
    from fhir_facade.npr.functions import is_date

    if (year is None) == (first is None and last is None):
        raise stop(FAILED, "name either a year or days: --year 2024, or --from 2024-01-01 --to 2024-04-30")
    if year is not None:
        if not YEAR(year):
            raise stop(FAILED, f"--year {year}: a year is expected, such as 2024")
        return Period(f"{year}-01-01", f"{year}-12-31")
    for name, said in (("--from", first), ("--to", last)):
        if said is None or not is_date(said):
            raise stop(FAILED, f"{name} {said or ''}: a date is expected, such as 2024-01-01")
    if str(first) > str(last):
        raise stop(FAILED, f"--from {first} is after --to {last}")
    return Period(str(first), str(last))


def _loaded(mapping_set: MappingSet, own: Path | None, *, drafts: bool) -> IndicatorSet:
    """The indicators, with the code systems that are imported."""
    from fhir_facade.npr.shipped import shipped_indicators
    from fhir_facade.store.code_systems import open_editions
    from fhir_facade.terminology.catalogue import Catalogue

    file = settings_with().terminology
    catalogue = Catalogue(open_editions(file)) if file else None
    return shipped_indicators(mapping_set.kinds, own, catalogue, drafts=drafts)


def _chosen(found: IndicatorSet, only: Sequence[str], by: str) -> Sequence[Indicator]:
    """The indicators that are counted; stops when one is not there or off, or none can be parted so."""
    from fhir_facade.mapping.findings import nearest

    for name in only:
        if name not in found.by_id:
            raise stop(FAILED, f"there is no indicator {name}{nearest(name, found.by_id)}")
        if not found.by_id[name].populations:
            raise stop(FAILED, f"{name} is documented only: nothing in the records tells of it")
        if not found.by_id[name].on:
            raise stop(FAILED, f"{name} is off: its rule text is not known; --drafts counts it")
    chosen = [found.by_id[name] for name in dict.fromkeys(only)] or list(found.on)
    known = dict.fromkeys(name for each in chosen for name in each.stratifiers)
    if by and by not in known:
        raise stop(FAILED, f"--by {by}: nothing is parted so; known: {', '.join(known)}{nearest(by, known)}")
    return chosen


def _names(mapping_set: MappingSet, store: Store, tallies: Sequence[Tally], by: str) -> dict[str, dict[str, str]]:
    """What the groups of each indicator are called."""
    from fhir_facade.npr_measuring import labels, naming

    named = {}
    for tally in tallies:
        stratifier = tally.indicator.stratifiers.get(by)
        mapping = naming(mapping_set, stratifier.asked.gives) if stratifier and stratifier.asked.gives else None
        if mapping is not None:
            keys = [key for key in tally.groups.get(by, {}) if key is not None]
            named[tally.indicator.id] = dict(labels(mapping, store, keys))
    return named


def _write(
    period: Period, tallies: Sequence[Tally], off: Sequence[Indicator], by: str, lang: str, form: Form,
    names: dict[str, dict[str, str]],
) -> None:  # fmt: skip
    from fhir_facade.indicator_reports import EIGHTHS, Report, as_csv, as_json, text

    report = Report(period, tallies, off, by, str(lang), names)
    if form is Form.text:
        try:
            EIGHTHS.encode(sys.stdout.encoding or "ascii")
            blocks = True
        except UnicodeEncodeError:
            blocks = False
        typer.echo(text(report, blocks=blocks), nl=False)
    else:
        sys.stdout.buffer.write(as_json(report) if form is Form.json else as_csv(report))
        sys.stdout.flush()
