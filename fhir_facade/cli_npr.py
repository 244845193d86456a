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
    from fhir_facade.npr_reports.findings import Report


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
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="NPR-melding (XML), or a folder of records (KIND.ndjson).")
    ] = None,
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
    against: Annotated[
        Path | None,
        typer.Option(
            "--against", metavar="MANIFEST",
            help="Count findings against those that are known, and print the table; judges on the manifest's day.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Judge a message, a database or a folder of records by the rules of Norsk pasientregister.

    Each finding has the rule, the record with its line, the fields, what the registry does, and the remedy. What
    cannot be known from what is there is named, and is no error.
    A folder has what `fhir-facade synth` writes; its records are judged as they are, also those no store would take.
    Ends with 0 without errors, 1 when a rule of severity error is broken, 2 when nothing could be judged. With
    --against it ends with 0 when everything known was found, and of errors nothing else; else with 1.

    \b
    Examples:
      fhir-facade npr check message.xml
      fhir-facade npr check --db hospital.db --format csv > findings.csv
      fhir-facade npr check --db hospital.db --format html --lang nb > quality.html
      fhir-facade npr check faulty/ --against faulty/manifest.ndjson
    """
    _can_be_judged(file, db)

    today = judging_day(on)
    with faults_are_told(), ExitStack() as stack:
        ruleset = rules_of(rules)
        if against is not None:
            good = _compared(file, db, ruleset, on and today, against, form, stack)
        else:
            checked = _checked(file, db, ruleset, today, stack)
            levels = frozenset(list(Level)[list(Level).index(level) :])
            good = _reported(checked, _report(ruleset, form, lang, levels, today), form, stack)
    if not good:
        raise typer.Exit(FOUND)


def _can_be_judged(file: Path | None, db: Location | None) -> None:
    """Stops unless there is something to judge."""
    if (file is None) == (db is None):
        raise stop(FAILED, "name either a message or a database: FILE or --db")
    if file is not None and not file.exists():
        raise stop(FAILED, f"{file}: there is no such file")
    if file is not None and file.is_dir() and not any(each.suffix in (".ndjson", ".xml") for each in file.iterdir()):
        raise stop(FAILED, f"{file}: there are neither records (KIND.ndjson) nor messages (.xml)")


def _report(rules: RuleSet, form: Form, lang: str, levels: frozenset[str], today: str) -> Report:
    """What takes the findings; for a page it counts the quality of data too."""
    from fhir_facade.npr_reports.findings import Report

    return Report(rules, lang, levels, today, _quality(rules) if form is Form.html else None)


def _reported(found: Iterator[Checked], report: Report, form: Form, stack: ExitStack) -> bool:
    """Print the findings; whether none is an error."""
    from fhir_facade.npr_reports.writers import WRITERS

    stack.callback(report.close)
    bar = stack.enter_context(progress_bar())
    task = bar.add_task("records", total=None)
    for checked in found:
        report.add(checked)
        bar.update(task, advance=len(checked.verdicts))
    bar.stop()
    WRITERS[form](report, sys.stdout.buffer)
    sys.stdout.flush()
    return not report.summary.errors


def _compared(
    file: Path | None, db: Location | None, rules: RuleSet, on: str | None, manifest: Path, form: Form, stack: ExitStack
) -> bool:
    """Print the table of what was found against what is known; whether they agree."""
    from fhir_facade.npr.calendar import day
    from fhir_facade.npr_confusion import WRITERS, against
    from fhir_facade.terminal import now

    if form not in WRITERS:
        raise stop(FAILED, f"--format {form}: with --against it is one of {', '.join(WRITERS)}")
    confusion, of_manifest = against(manifest, rules)
    for checked in _checked(file, db, rules, on or of_manifest or day(now()) or "", stack):
        confusion.add(checked)
    WRITERS[form](confusion, sys.stdout.buffer)
    sys.stdout.flush()
    return confusion.is_whole


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
    from fhir_facade.npr_folder import check_folder
    from fhir_facade.store.npr_table import load_table

    folder = settings_with().mappings
    mapping_set = mapping_set_of(folder)
    if file is not None:
        table = load_table(folder / "npr-melding.yaml", mapping_set.kinds)
        if file.is_dir():
            yield from check_folder(file, table, mapping_set.kinds, rules, today)
        else:
            yield from check_message(file, table, mapping_set.kinds, rules, today)
    elif db is not None:
        store = open_store(db, mapping_set, must_exist=True)
        stack.callback(store.close)
        yield from check_store(store, mapping_set.kinds, rules, today)
