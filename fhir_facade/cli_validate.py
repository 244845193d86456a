"""The command `fhir-facade validate`: resources in files judged against R4, profiles and packages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from fhir_facade.outcome import Refused
from fhir_facade.terminal import FAILED, FOUND, faults_are_told, paths_are_there, progress_bar, say, settings_with, stop

if TYPE_CHECKING:
    from fhir_facade.packages.registry import Packages
    from fhir_facade.profile.validator import Validator
    from fhir_facade.terminology.catalogue import Catalogue
    from fhir_facade.validation_reports import Summary, Writer
    from fhir_facade.validation_stream import Judged

Done = Callable[[int], object]


class Form(StrEnum):
    """How findings are written."""

    text = "text"
    json = "json"
    junit = "junit"
    sarif = "sarif"


class Level(StrEnum):
    """Severities, the least first."""

    information = "information"
    warning = "warning"
    error = "error"


LEVELS = ("off", *Level)


class Tongue(StrEnum):
    """The language of sentences."""

    en = "en"
    nb = "nb"


def validate(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="JSON, NDJSON, a folder of them, also .gz; '-' is standard input."),
    ],
    profile: Annotated[
        list[str] | None,
        typer.Option("--profile", metavar="URL", help="Judge by this profile too; url or url|version."),
    ] = None,
    package: Annotated[
        list[Path] | None,
        typer.Option(
            "--package",
            metavar="PATH",
            help="A FHIR package (.tgz, folder or file) to judge by; without it those of FHIR_FACADE_PACKAGES.",
        ),
    ] = None,
    form: Annotated[Form, typer.Option("--format", help="text, or for machines: json, junit, sarif.")] = Form.text,
    lang: Annotated[Tongue, typer.Option(help="The language of sentences.")] = Tongue.en,
    rules: Annotated[
        list[str] | None,
        typer.Option("--rules", metavar="KEY=LEVEL", help="A rule is off, information, warning or error."),
    ] = None,
    level: Annotated[
        Level, typer.Option(help="The least severe findings that are told; all are counted.")
    ] = Level.warning,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most findings of one resource.")] = 100,
) -> None:
    """Judge resources: R4, the profiles that they claim, those named here, and Bundles with their entries.

    Ends with 0 when all are valid, 1 when one is not, 2 when a file could not be read.

    \b
    Examples:
      fhir-facade validate encounter.json
      fhir-facade validate --profile http://hl7.no/fhir/StructureDefinition/no-basis-Patient patients.ndjson.gz
      fhir-facade map opphold records/opphold.ndjson | fhir-facade validate - --format sarif > findings.sarif
    """
    from fhir_facade.validation_files import files_in
    from fhir_facade.validation_reports import WRITERS, Summary

    with faults_are_told():
        paths = files_in(files)
        validator = _validator(package, profile or [], _overrides(rules or []), limit)
        out, summary = sys.stdout.buffer, Summary()
        writer = WRITERS[form](out, lang)
        with _progress(paths) as done:
            judge = partial(_judge, validator, tuple(profile or ()), list(Level).index(level))
            unread = judge(paths, writer, summary, done)
        writer.end(summary)
        if form is not Form.text:
            say("\n".join(summary.lines()))
    if unread:
        raise stop(FAILED, f"{unread} file(s) could not be read")
    if summary.valid < summary.resources:
        raise typer.Exit(FOUND)


def _judge(
    validator: Validator, profiles: tuple[str, ...], least: int, paths: list[Path], writer: Writer, summary: Summary,
    done: Done,
) -> int:  # fmt: skip
    """Judge all files; the number of those that could not be read to their end."""
    from fhir_facade.validation_files import pieces, size_of
    from fhir_facade.validation_stream import judge_text

    unread, before = 0, 0
    source: BinaryIO = sys.stdin.buffer
    for path in paths:
        summary.files += 1
        writer.file(str(path))
        try:
            for piece in pieces(path, source):
                judged = judge_text(validator, piece.content, profiles, file=str(path), line=piece.line)
                summary.add(judged)
                writer.resource(_told(judged, least))
                done(before + piece.read)
        except BrokenPipeError:
            raise
        except Refused as refused:
            say("\n".join(map(str, refused.issues)))
            unread += 1
        except OSError as error:
            say(f"{path}: {error.strerror or error}")
            unread += 1
        before += size_of(path)
    return unread


def _told(judged: Judged, least: int) -> Judged:
    """The verdict without findings that are less severe than is asked for."""
    from fhir_facade.validation_reports import severity_of

    hidden = list(Level)[:least]
    told = tuple(
        each
        for each in judged.issues
        if severity_of(each.issue) not in hidden or each.issue.code == "issues-cut-off"  # it is about the others
    )
    return replace(judged, issues=told)


def _validator(packages: list[Path] | None, profiles: list[str], overrides: dict[str, str], limit: int) -> Validator:
    """The validator of the settings, with what the command line says on top: its packages are instead of those of the
    settings, its rules go before theirs. Stops when a package or a profile that is named is not there."""
    from fhir_facade.validation_stream import make_validator, own_packages

    settings = settings_with(packages=tuple(packages) if packages else None)
    paths_are_there(settings.packages)
    loaded = own_packages(settings.packages)
    if missing := [profile for profile in profiles if loaded.find(profile) is None]:
        raise stop(
            FAILED,
            "\n".join(f"{profile}: no such profile is known; name its package: --package" for profile in missing),
        )
    return make_validator(
        loaded, _catalogue(loaded, settings.terminology), overrides={**settings.rules, **overrides},
        unknown_profile=settings.unknown_profile, limit=limit,
    )  # fmt: skip


def _catalogue(packages: Packages, imported: Path | None) -> Catalogue | None:
    """The code systems that are imported; None without them, for the database takes half a second to load."""
    if imported is None:
        return None
    from fhir_facade.store.code_systems import open_editions
    from fhir_facade.validation_stream import catalogue_of

    return catalogue_of(packages, open_editions(imported))


def _overrides(rules: list[str]) -> dict[str, str]:
    """Levels by rule key; stops at what is none."""
    found: dict[str, str] = {}
    for rule in rules:
        key, _, level = rule.partition("=")
        if not key or level not in LEVELS:
            raise stop(FAILED, f"--rules {rule}: KEY=LEVEL is expected, where LEVEL is one of {', '.join(LEVELS)}")
        found[key] = level
    return found


@contextmanager
def _progress(paths: list[Path]) -> Iterator[Done]:
    """Bytes that are read, on standard error; nothing when findings go to the terminal or there is little to read."""
    from fhir_facade.validation_files import size_of

    total = sum(map(size_of, paths))
    if sys.stdout.isatty() or (len(paths) < 2 and total < 1_000_000):
        yield lambda read: None
        return
    with progress_bar() as bar:
        task = bar.add_task("bytes", total=total or None)
        yield lambda read: bar.update(task, completed=read)
