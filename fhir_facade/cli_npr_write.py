"""The command `fhir-facade npr write`: a message of what is stored, which the patient registry would not refuse."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from fhir_facade.cli_npr import Language, On, Rules, Tongue, judging_day, rules_of
from fhir_facade.terminal import (
    FAILED,
    FOUND,
    Database,
    faults_are_told,
    mapping_set_of,
    open_store,
    progress_bar,
    say,
    settings_with,
    stop,
    whole_file,
)

if TYPE_CHECKING:
    from fhir_facade.npr_reports.findings import Report

TOLD = 50  # findings that are told on standard error


def npr_write(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The message to write; '-' is standard output.")],
    db: Database,
    module: Annotated[str, typer.Option(help="ord (activity) or ide (identity).")] = "ord",
    force: Annotated[
        bool, typer.Option("--force", help="Write also what would be refused, and mark it in FILE.findings.json.")
    ] = False,
    rules: Rules = None,
    lang: Language = Tongue.en,
    on: On = None,
) -> None:
    """Write what is stored as an NPR-melding (XML), unless the patient registry would refuse it.

    What is written is read again and judged as by npr check, before it gets its name. When the message, or a record
    in it, would be refused, nothing is written: the findings are told, and the command ends with 1. With --force all
    is written as it is, and FILE.findings.json has the findings with their lines; it ends with 1 too.

    \b
    Example:
      fhir-facade npr write --out message.xml --db hospital.db --module ord
    """
    from fhir_facade.npr_checking import check_message
    from fhir_facade.npr_reports.findings import Report
    from fhir_facade.npr_reports.plain import write_json
    from fhir_facade.store.npr_table import load_table
    from fhir_facade.store.npr_write import write_npr

    today = judging_day(on)
    with faults_are_told(FOUND), ExitStack() as stack:
        folder = settings_with().mappings
        mapping_set = mapping_set_of(folder)
        table = load_table(folder / "npr-melding.yaml", mapping_set.kinds)
        if module not in table.modules:
            raise stop(FAILED, f"module '{module}' is none of {', '.join(sorted(table.modules))}")
        ruleset = rules_of(rules)
        store = open_store(db, mapping_set, must_exist=True)
        stack.callback(store.close)
        target = stack.enter_context(_message(out))
        issues = write_npr(store, target, table, mapping_set.kinds, module)
        target.flush()
        report = Report(ruleset, lang, today=today, only_refused=not force)
        stack.callback(report.close)
        with progress_bar() as bar:
            task = bar.add_task("records judged", total=None)
            for checked in check_message(Path(target.name), table, mapping_set.kinds, ruleset, today):
                report.add(checked)
                bar.update(task, advance=len(checked.verdicts))
        for issue in issues:
            say(str(issue))
        refused = report.summary.is_refused
        if refused and not force:
            _tell(report)
            raise stop(FOUND, f"{report.summary.outcome}: nothing is written; --force writes it as it is")
        if refused and str(out) != "-":
            with whole_file(out.with_name(f"{out.name}.findings.json")) as beside:
                write_json(report, beside)
    if refused:
        say(f"{report.summary.outcome}: written all the same")
    if refused or issues:
        raise typer.Exit(FOUND)


@contextmanager
def _message(out: Path) -> Iterator[BinaryIO]:
    """A file with a name of its own until all is well; standard output gets it as a whole."""
    if str(out) != "-":
        with whole_file(out) as file:
            yield file
        return
    with tempfile.NamedTemporaryFile(prefix="npr-melding-", suffix=".xml") as file:
        yield file  # type: ignore[misc]
        file.seek(0)
        shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.flush()


def _tell(report: Report) -> None:
    """The first findings because of which something would be refused, and how many there are beside."""
    from fhir_facade.npr_reports.plain import finding_line
    from fhir_facade.npr_reports.words import WORDS

    told = 0
    for row in report.rows():
        told += 1
        if told <= TOLD:
            say(finding_line(row, report.language))
    for issue in report.summary.faults[:TOLD]:
        say(f"{issue.at}: {issue.code}: {issue.sentence(report.language)}")
    left = max(told - TOLD, 0) + max(report.summary.fault_count - TOLD, 0)
    if left:
        say(f"{left} {WORDS[report.language]['left']}")
