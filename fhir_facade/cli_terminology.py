"""The commands of `fhir-facade terminology`: code systems imported, listed, removed, and looked into."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fhir_facade.outcome import Issue, Refused
from fhir_facade.terminal import FAILED, FOUND, faults_are_told, progress_bar, say, settings_with, stop

if TYPE_CHECKING:
    from fhir_facade.store.code_system_import import Imported
    from fhir_facade.store.code_systems import ImportedCodeSystem
    from fhir_facade.terminology.concepts import Concept

terminology_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Code systems from files: ICD-10, NKPK, ICPC-2, any CodeSystem."
)

SHOWN_WITHDRAWN = 10


class Encoding(StrEnum):
    """How letters are written in a table of codes."""

    utf8 = "utf-8"
    cp1252 = "cp1252"


Database = Annotated[
    Path | None,
    typer.Option("--db", metavar="FILE", help="The SQLite file of code systems; FHIR_FACADE_TERMINOLOGY if left out."),
]
System = Annotated[str, typer.Argument(metavar="SYSTEM", help="A short name (icd-10, ncmp ...) or a URL.")]
Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="As 2026-01-31.")]
Version = Annotated[str | None, typer.Option("--version", metavar="V", help="The edition; the newest if left out.")]


@terminology_app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="CodeSystem, Bundle, package, CSV, tabs, NDJSON.")
    ],
    system: Annotated[
        str | None,
        typer.Option(
            metavar="SYSTEM",
            help="icd-10, icd-10-bup, icpc-2, ncmp, ncsp, ncrp, nkpk, atc, kommune, bydel, snomed, or a URL.",
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option("--version", metavar="V", help="The edition, such as its year.")
    ] = None,
    valid_from: Day = None,
    valid_to: Day = None,
    encoding: Annotated[Encoding | None, typer.Option(help="Of tables; UTF-8 when left out.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Take the place of the same edition.")] = False,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Codes are missing: an unknown one is then not wrong.")
    ] = False,
    db: Database = None,
) -> None:
    """Import editions of code systems, all files or none: a fault leaves everything as it was.

    CSV needs a header (kode/code, navn/display/tekst, gyldig fra, gyldig til, overordnet, status); without one,
    columns are separated by tabs: code, text, long text, dates. Tables of codes given together are one edition.
    Of a version that is a year, the edition holds for that year, unless dates are given.

    \b
    Examples:
      fhir-facade terminology import icd10.txt --system icd-10 --version 2026 --db codes.db
      fhir-facade terminology import ncmp.csv ncsp.csv ncrp.csv --system nkpk --version 2026 --db codes.db
      fhir-facade terminology import package.tgz --db codes.db
    """
    from fhir_facade.store.code_system_import import Asked, import_files

    database = database_of(db)
    if missing := [str(path) for path in files if not path.is_file()]:
        raise stop(FAILED, "\n".join(f"{path}: there is no such file" for path in missing))
    asked = Asked(
        system,
        version,
        valid_from.date().isoformat() if valid_from else None,
        valid_to.date().isoformat() if valid_to else None,
        encoding.value if encoding else None,
        replace=replace,
        incomplete=incomplete,
    )
    with faults_are_told(), progress_bar() as bar:
        task = bar.add_task("bytes", total=sum(path.stat().st_size for path in files))
        report = import_files(database, files, asked, lambda count: bar.advance(task, count))
    tell(report.issues, report.issue_count)
    if report.error_count:
        raise stop(FOUND, f"{report.error_count} error(s): nothing was imported")
    for done in report.done:
        typer.echo(_said(done))


@terminology_app.command("list")
def list_(db: Database = None) -> None:
    """List the imported editions, the newest of each system first.

    \b
    Example:
      fhir-facade terminology list --db codes.db
    """
    with faults_are_told():
        for one in editions(db):
            edition = one.edition
            period = f"{edition.valid_from or ''}–{edition.valid_to or ''}"
            row = (edition.url, edition.version, f"{edition.count} codes", period, edition.title)
            typer.echo("  ".join(part for part in row if part != "–"))


@terminology_app.command("remove")
def remove(
    system: System,
    version: Annotated[str, typer.Option("--version", metavar="V", help="The edition to remove.")],
    db: Database = None,
) -> None:
    """Remove one edition.

    \b
    Example:
      fhir-facade terminology remove icd-10 --version 2024 --db codes.db
    """
    from fhir_facade.store.code_system_import import remove_edition

    with faults_are_told(FOUND):
        edition = chosen(editions(db), system, version, None).edition
        remove_edition(database_of(db), edition.url, edition.version)
        typer.echo(f"{edition.url} {edition.version}: removed")


@terminology_app.command("lookup")
def lookup(
    system: System,
    code: Annotated[str, typer.Argument(metavar="CODE", help="A code; or text, with --text.")],
    text: Annotated[bool, typer.Option("--text", help="Search in codes and texts instead.")] = False,
    version: Version = None,
    on: Annotated[
        datetime | None,
        typer.Option("--on", formats=["%Y-%m-%d"], metavar="DATE", help="The edition that holds on this day."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many matches of a text are shown.")] = 20,
    db: Database = None,
) -> None:
    """Look up a code, or search for text; ends with 1 when there is none.

    \b
    Examples:
      fhir-facade terminology lookup icd-10 F320 --db codes.db
      fhir-facade terminology lookup icd-10 "depressiv ep" --text --on 2025-06-01 --db codes.db
    """
    with faults_are_told(FOUND):
        found = chosen(editions(db), system, version, on)
        named = f"{found.edition.url} {found.edition.version}"
        if text:
            total, concepts = found.search(code, 0, limit)
            for concept in concepts:
                typer.echo(_line(concept))
            if total > len(concepts):
                say(f"{len(concepts)} of {total if total <= 10_000 else 'more than 10000'} shown")
        else:
            one = found.find(code)
            concepts = [one] if one else []
            if one:
                typer.echo("\n".join(_described(one, found)))
    if not concepts:
        raise stop(FOUND, f"{named}: nothing found")


def database_of(given: Path | None) -> Path:
    """The file of imported code systems that the command or the environment names."""
    database = given or settings_with().terminology
    if database is None:
        raise stop(FAILED, "no database of code systems is named: say --db FILE, or set FHIR_FACADE_TERMINOLOGY")
    return database


def editions(db: Path | None) -> list[ImportedCodeSystem]:
    from fhir_facade.store.code_systems import open_editions

    return open_editions(database_of(db))


def chosen(
    found: list[ImportedCodeSystem], system: str, version: str | None, on: datetime | None
) -> ImportedCodeSystem:
    """The edition that is asked for: the newest, the one of a version, the one that holds on a day."""
    from fhir_facade.store.national_code_systems import named_system
    from fhir_facade.terminology.concepts import covers

    url = named_system(system).url
    for one in found:
        edition = one.edition
        if url != edition.url and url not in edition.identifiers:
            continue
        if version not in (None, edition.version):
            continue
        if on is None or covers(edition.valid_from, edition.valid_to, on.date()):
            return one
    asked = " ".join(filter(None, (url, version, f"on {on:%Y-%m-%d}" if on else "")))
    known = [f"{one.edition.url} {one.edition.version}" for one in found] or ["nothing"]
    raise Refused(Issue("code-system-not-imported", "", {"url": asked, "allowed": known}))


def tell(issues: list[Issue], count: int) -> None:
    """Every finding; of the withdrawn codes the first ones."""
    withdrawn = 0
    for issue in issues:
        withdrawn += issue.code == "code-withdrawn"
        if issue.code != "code-withdrawn" or withdrawn <= SHOWN_WITHDRAWN:
            say(f"{issue.at}: {issue.code}: {issue.sentence()}")
            count -= 1
    if count:
        say(f"and {count} more")


def _said(done: Imported) -> str:
    edition = done.edition
    named = f"{edition.url} {edition.version}"
    if done.outcome == "unchanged":
        return f"{named}: the same content is imported already; nothing was changed"
    period = f", holds {edition.valid_from or ''}–{edition.valid_to or ''}" if edition.valid_from else ""
    gone = f", {done.withdrawn} withdrawn" if done.withdrawn else ""
    since = f"; since {done.since}: {done.added} new, {done.dropped} gone" if done.since else ""
    return f"{named}: {edition.count} codes {done.outcome}{period}{gone}{since}"


def _line(concept: Concept) -> str:
    status = "" if concept.status == "active" else f"  [{concept.status}]"
    return f"{concept.code}\t{concept.display}{status}"


def _described(concept: Concept, system: ImportedCodeSystem) -> list[str]:
    """One concept, with what is above it and everything else the source says."""
    edition = system.edition
    lines = [_line(concept), f"  edition: {edition.url} {edition.version} ({edition.title})"]
    if concept.valid_from or concept.valid_to:
        lines.append(f"  valid: {concept.valid_from or ''}–{concept.valid_to or ''}")
    lines += [f"  below: {above.code} {above.display}" for above in system.parents(concept.code)]
    lines += [
        f"  also: {other.value}{f' ({other.language})' if other.language else ''}" for other in concept.designations
    ]
    lines += [f"  {name}: {value}" for name, value in concept.properties.items()]
    return lines
