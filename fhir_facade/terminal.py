"""What every command shares: settings, faults told as sentences, progress, files that are whole or absent."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from fhir_facade.mapping.findings import MappingError
from fhir_facade.outcome import Refused
from fhir_facade.store.location import Location

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import MappingSet
    from fhir_facade.settings import Settings
    from fhir_facade.store.records import Store

FOUND, FAILED = 1, 2


def database(text: str) -> Location:
    """The location that an option names; what was given is not repeated, since it may hold a password."""
    try:
        return Location(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


Database = Annotated[
    Location,
    typer.Option(
        "--db",
        metavar="PATH|URL",
        parser=database,
        envvar="FHIR_FACADE_DATABASE",
        help="The SQLite file that holds the records, or postgresql://USER@HOST/DATABASE.",
    ),
]


def say(text: str = "") -> None:
    sys.stderr.write(text + "\n")


def stop(code: int, text: str = "") -> typer.Exit:
    if text:
        say(text)
    return typer.Exit(code)


@contextmanager
def faults_are_told(code: int = FAILED) -> Iterator[None]:
    """A user's fault is a sentence on standard error and an exit code, never a traceback."""
    try:
        yield
    except MappingError as error:
        raise stop(FAILED, "\n".join(map(str, error.findings))) from None
    except Refused as refused:
        raise stop(code, "\n".join(map(str, refused.issues))) from None
    except BrokenPipeError:
        sys.stderr.close()  # nobody listens any more; nothing more is said
        raise typer.Exit(FAILED) from None
    except OSError as error:
        raise stop(FAILED, f"{error.filename or 'fhir-facade'}: {error.strerror or error}") from None


def settings_with(**given: Any) -> Settings:
    """Settings from the environment, with what the command line says on top."""
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from fhir_facade.settings import Settings

    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        lines = [f"setting {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise stop(FAILED, "\n".join(lines)) from None
    except SettingsError as error:  # a list or an object that is no JSON
        raise stop(FAILED, f"setting: {error}") from None


def paths_are_there(packages: Iterable[Path]) -> None:
    """Stops when a package is named, on the command line or in FHIR_FACADE_PACKAGES, that is not there."""
    if absent := [str(path) for path in packages if not path.exists()]:
        raise stop(FAILED, "\n".join(f"{path}: there is no such package" for path in absent))


def mapping_set_of(folder: Path, site: Path | None = None) -> MappingSet:
    """The mappings of a folder, with those of a site (of the environment, when left out) laid over them."""
    from fhir_facade.mapping.mapping_set import load_mapping_set

    settings = settings_with()
    return load_mapping_set(folder, site or settings.site_mappings, settings.profiles)


def open_store(where: Location, mapping_set: MappingSet, *, must_exist: bool = False) -> Store:
    """The store for writing, made if there is none."""
    from fhir_facade.store.opening import open_store

    if must_exist:
        stop_if_missing(where)
    return open_store(where, mapping_set.kinds, mapping_set.search.columns)


def stop_if_missing(where: Location) -> None:
    if where.is_missing:
        raise stop(FAILED, f"{where}: there is no such database; make one with: fhir-facade load FILE --db {where}")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def progress_bar() -> Progress:
    """A progress bar on standard error; silent when that is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is there when it is whole, or not at all; "-" is standard output."""
    if str(path) == "-":
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
