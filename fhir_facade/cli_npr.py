"""The command `fhir-facade npr check`: what the patient registry would do with a message, or with what is stored."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhir_facade.store.location import Location
from fhir_facade.terminal import (
    FAILED,
    FOUND,
    database,
    faults_are_told,
    mapping_set_of,
    open_store,
    progress_bar,
    settings_with,
    stop,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fhir_facade.npr.quality import Quality
    from fhir_facade.npr.rules import RuleSet
    from fhir_facade.npr_checking import Checked


class Form(StrEnum):
    """How findings are written."""

    text = "text"
    json = "json"
    csv = "csv"
    html = "html"
    junit = "junit"


class Level(StrEnum):
    """Severities, the least first."""

    information = "information"
    warning = "warning"
    error = "error"


class Tongue(StrEnum):
    """The language of sentences."""

    en = "en"
    nb = "nb"


Rules = Annotated[
    Path | None,
    typer.Option("--rules", metavar="FILE", help="A rule file of your own: more rules, and rules switched."),
]
Language = Annotated[Tongue, typer.Option("--lang", help="The language of sentences.")]
On = Annotated[
    str | None, typer.Option("--on", metavar="DATE", help="The day to judge on, CCYY-MM-DD; today without it.")
]


def npr_check(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="NPR-melding (XML).")] = None,
    db: Annotated[
        Location | None, typer.Option("--db", parser=database, metavar="DB", help="Judge what is stored here.")
    ] = None,
    rules: Rules = None,
    form: Annotated[
        Form, typer.Option("--format", help="text; json, csv, junit; or html, a page with charts.")
    ] = Form.text,
    lang: Language = Tongue.en,
    level: Annotated[
        Level, typer.Option(help="The least severe findings that are told; all are counted.")
    ] = Level.information,
    on: On = None,
) -> None:
    """Judge a message, or a database, by the rules of Norsk pasientregister.

    Each finding has the rule, the record with its line, the fields, what the registry does, and the remedy. What
    cannot be known from what is there is named, and is no error.
    Ends with 0 without errors, 1 when a rule of severity error is broken, 2 when nothing could be judged.

    \b
    Examples:
      fhir-facade npr check message.xml
      fhir-facade npr check --db hospital.db --format csv > findings.csv
      fhir-facade npr check --db hospital.db --format html --lang nb > quality.html
    """
    if (file is None) == (db is None):
        raise stop(FAILED, "name either a message or a database: FILE or --db")
    if file is not None and not file.is_file():
        raise stop(FAILED, f"{file}: there is no such file")
    from fhir_facade.npr_reports.findings import Report
    from fhir_facade.npr_reports.writers import WRITERS

    today = judging_day(on)
    with faults_are_told(), ExitStack() as stack:
        ruleset = rules_of(rules)
        levels = list(Level)
        quality = _quality(ruleset) if form is Form.html else None
        report = Report(ruleset, lang, frozenset(levels[levels.index(level) :]), today, quality)
        stack.callback(report.close)
        bar = stack.enter_context(progress_bar())
        task = bar.add_task("records", total=None)
        for checked in _checked(file, db, ruleset, today, stack):
            report.add(checked)
            bar.update(task, advance=len(checked.verdicts))
        bar.stop()
        WRITERS[form](report, sys.stdout.buffer)
        sys.stdout.flush()
    if report.summary.errors:
        raise typer.Exit(FOUND)


def judging_day(on: str | None) -> str:
    """The day of an option, today without one (CCYY-MM-DD)."""
    from fhir_facade.npr.calendar import day
    from fhir_facade.terminal import now

    today = day(on or now())
    if today is None:
        raise stop(FAILED, f"--on {on}: a date is expected, such as 2024-06-30")
    return today


def rules_of(site: Path | None) -> RuleSet:
    """The rules, with the code systems that are imported."""
    from fhir_facade.npr.shipped import shipped_rules
    from fhir_facade.terminology.catalogue import Catalogue

    settings = settings_with()
    if settings.terminology is None:
        return shipped_rules(settings.mappings / "records", site)
    from fhir_facade.store.code_systems import open_editions

    return shipped_rules(settings.mappings / "records", site, Catalogue(open_editions(settings.terminology)))


def _quality(rules: RuleSet) -> Quality:
    """What counts the quality of data, with the code maps of the mappings."""
    from fhir_facade.npr.quality import Quality

    return Quality(rules, [each.rules for each in mapping_set_of(settings_with().mappings).mappings.values()])


def _checked(file: Path | None, db: Location | None, rules: RuleSet, today: str, stack: ExitStack) -> Iterator[Checked]:
    from fhir_facade.npr_checking import check_message, check_store
    from fhir_facade.store.npr_table import load_table

    folder = settings_with().mappings
    mapping_set = mapping_set_of(folder)
    if file is not None:
        table = load_table(folder / "npr-melding.yaml", mapping_set.kinds)
        yield from check_message(file, table, mapping_set.kinds, rules, today)
    elif db is not None:
        store = open_store(db, mapping_set, must_exist=True)
        stack.callback(store.close)
        yield from check_store(store, mapping_set.kinds, rules, today)
