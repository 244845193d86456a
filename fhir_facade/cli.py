"""The command line: every command says what it did, where a fault stands, and ends with 0, 1 or 2.

0: done. 1: done, but something was refused or found. 2: it could not be done at all.
"""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from fhir_facade import __version__, garbage
from fhir_facade.cli_db import db_app
from fhir_facade.cli_explain import explain
from fhir_facade.cli_indicators import indicators
from fhir_facade.cli_mapping import mapping_app
from fhir_facade.cli_npr import npr_check
from fhir_facade.cli_npr_write import npr_write
from fhir_facade.cli_outbox import outbox_app
from fhir_facade.cli_profiles import profiles_app
from fhir_facade.cli_put import put
from fhir_facade.cli_synth import Patients, Seed, synth
from fhir_facade.cli_terminology import terminology_app
from fhir_facade.cli_validate import validate
from fhir_facade.terminal import (
    FAILED,
    FOUND,
    Database,
    faults_are_told,
    mapping_set_of,
    now,
    open_store,
    progress_bar,
    say,
    settings_with,
    stop,
    stop_if_missing,
)
from fhir_facade.workers import WorkersDied, can_fork

if TYPE_CHECKING:
    from fhir_facade.facade import Facade
    from fhir_facade.mapping.mapping_set import MappingSet
    from fhir_facade.store.records import Store

app = typer.Typer(
    name="fhir-facade",
    help="Norwegian hospital records as HL7 FHIR R4.\n\nBegin with: fhir-facade demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
npr = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Messages to the Norwegian Patient Registry.")
app.add_typer(npr, name="npr")
app.add_typer(db_app, name="db")
app.add_typer(mapping_app, name="mapping")
app.add_typer(outbox_app, name="outbox")
app.add_typer(terminology_app, name="terminology")
app.add_typer(profiles_app, name="profiles")
npr.command("check")(npr_check)
npr.command("write")(npr_write)
app.command("explain")(explain)
app.command("put")(put)
app.command("indicators")(indicators)
app.command("validate")(validate)
app.command("synth")(synth)

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")]
Host = Annotated[
    str | None, typer.Option(help="Address to listen on: loopback, unless the data is declared synthetic.")
]

Site = Annotated[
    Path | None, typer.Option("--site", metavar="DIR", help="A folder of a site's changes to the mappings.")
]


def main() -> None:
    """Run the command line."""
    app()


def _version(value: bool) -> None:
    if value:
        typer.echo(f"fhir-facade {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    patients: Patients = 300,
    seed: Seed = 1,
    port: Port = None,
    db: Annotated[Path | None, typer.Option("--db", metavar="PATH", help="Keep the data in this file.")] = None,
) -> None:
    """Make synthetic patients, serve them, and say what to try.

    Everything is made up: no real person is in the data. Stop with Ctrl-C.

    \b
    Example:
      fhir-facade demo --patients 300 --port 8000
    """
    with faults_are_told(), ExitStack() as stack:
        path = db or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="fhir-facade-"))) / "demo.db"
        settings = settings_with(database=path, port=port, synthetic_data=True, log_level="warning")
        mapping_set = mapping_set_of(settings.mappings)
        store = open_store(settings.database, mapping_set)
        _fill(store, mapping_set, patients, seed)
        store.close()
        garbage.begin()
        from fhir_facade.serving import demo_words, serve_until_stopped

        serve_until_stopped(settings, demo_words)


def _fill(store: Store, mapping_set: MappingSet, patients: int, seed: int) -> None:
    from fhir_facade.store.synthetic import load_into

    with progress_bar() as bar:
        task = bar.add_task("synthetic patients", total=patients)
        load_into(
            store,
            mapping_set.kinds,
            patients,
            seed,
            now(),
            lambda done: bar.update(task, completed=max(done, 0)),
        )


@app.command()
def serve(
    db: Database,
    host: Host = None,
    port: Port = None,
    reload_mappings: Annotated[
        float | None,
        typer.Option(min=0, metavar="SECONDS", help="Look so often for changed mapping files and use them."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, max=64, metavar="COUNT", help="Processes that answer at the one address.")
    ] = None,
    package: Annotated[
        list[Path] | None, typer.Option("--package", metavar="PATH", help="A FHIR package to validate by; repeatable.")
    ] = None,
) -> None:
    """Serve a database as FHIR R4 under /fhir.

    Other settings come from the environment: FHIR_FACADE_BASE_URL, FHIR_FACADE_TRUSTED_PROXIES,
    FHIR_FACADE_PAGE_SECRET, FHIR_FACADE_LOG_LEVEL, FHIR_FACADE_MAPPINGS, FHIR_FACADE_SYNTHETIC_DATA.
    There is no access control yet, so only this machine is served unless the data is declared synthetic.

    \b
    Example:
      fhir-facade serve --db hospital.db --port 8000
    """
    settings = settings_with(
        database=db, host=host, port=port, reload_mappings=reload_mappings, workers=workers,
        packages=tuple(package) if package else None,
    )  # fmt: skip
    if settings.workers > 1 and not can_fork():
        raise stop(FAILED, "This system cannot fork processes: leave --workers out, and start several servers instead.")
    if not settings.address_is_allowed:
        raise stop(
            FAILED,
            f"{settings.host}: only loopback addresses are served until there is access control; "
            "FHIR_FACADE_SYNTHETIC_DATA=true declares that no real person is in the data.",
        )
    stop_if_missing(db)
    with faults_are_told():
        garbage.begin()
        from fhir_facade.serving import serve_until_stopped

        try:
            serve_until_stopped(settings)
        except WorkersDied:
            raise stop(FAILED, "Workers died again and again; what they wrote before says why.") from None


@app.command()
def load(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="NPR-melding (XML) or KIND.ndjson.")],
    db: Database,
) -> None:
    """Load NPR messages and record files into a database, made if there is none.

    A malformed file changes nothing; of a sound one what can be stored is, and the rest is told of by line.
    Messages are read first, then record files in the order of their references.

    \b
    Example:
      fhir-facade load message.xml records/*.ndjson --db hospital.db
    """
    if missing := [str(path) for path in files if not path.is_file()]:
        raise stop(FAILED, "\n".join(f"{path}: there is no such file" for path in missing))
    from fhir_facade.store.loading import load_files
    from fhir_facade.store.npr_table import load_table

    with faults_are_told(), progress_bar() as bar:
        folder = settings_with().mappings
        mapping_set = mapping_set_of(folder)
        order = {f"{kind.name}.ndjson": place for place, kind in enumerate(mapping_set.kinds)}
        ordered = sorted(files, key=lambda path: order.get(path.name, -1))
        task = bar.add_task("bytes", total=None)
        summary = load_files(
            open_store(db, mapping_set),
            mapping_set.kinds,
            load_table(folder / "npr-melding.yaml", mapping_set.kinds),
            ordered,
            lambda done, size: bar.update(task, completed=done, total=size),
        )
    lines = summary.lines()
    rows = len(summary.counts) + 1 if summary.counts else 0
    for line in lines[:rows]:
        typer.echo(line)
    if len(lines) > rows:
        say("\n".join(lines[rows:]))
    raise typer.Exit(summary.exit_code)


@app.command("map")
def map_records(
    kind: Annotated[str, typer.Argument(help="The record kind of every line.")],
    file: Annotated[Path | None, typer.Argument(help="NDJSON file of records; standard input when left out.")] = None,
    resource: Annotated[str | None, typer.Option(help="Resource type, where a kind has several.")] = None,
    explain: Annotated[bool, typer.Option(help="Say where each element came from instead.")] = False,
    site: Site = None,
) -> None:
    """Turn records into FHIR: NDJSON in, NDJSON out.

    Lines that are no records are told on standard error with their number; the others are mapped.

    \b
    Examples:
      fhir-facade map opphold records/opphold.ndjson > encounters.ndjson
      head -1 records/opphold.ndjson | fhir-facade map opphold --explain
    """
    from fhir_facade.facade import Facade
    from fhir_facade.mapping_stream import map_lines

    with faults_are_told(FAILED), ExitStack() as stack:
        settings = settings_with(site_mappings=site)
        facade: Facade = Facade(settings.mappings, settings.site_mappings, settings.profiles)
        facade.mapping(kind, resource)
        source: BinaryIO = stack.enter_context(file.open("rb")) if file else sys.stdin.buffer
        refused = 0
        for done in map_lines(facade, kind, resource, source, explain=explain):
            sys.stdout.buffer.write(done.text)
            for issue in done.issues:
                say(str(issue))
            refused += done.refused
        sys.stdout.flush()
    if refused:
        raise stop(FOUND, f"{refused} line(s) refused")


@app.command()
def check(
    folder: Annotated[Path | None, typer.Argument(help="A mappings folder; ours when left out.")] = None,
    site: Site = None,
) -> None:
    """Check mapping files without serving them: every finding with file and line.

    Reads npr-melding.yaml too, where the folder has one. A warning stops no mapping and alone ends with 0.

    \b
    Examples:
      fhir-facade check mappings/
      fhir-facade check --site our-changes/
    """
    from fhir_facade.checking import findings_of, summary

    folder = folder or settings_with().mappings
    if not folder.is_dir():
        raise stop(FAILED, f"{folder}: there is no such folder")
    settings = settings_with(site_mappings=site)
    found, mapping_set = findings_of(folder, settings.site_mappings, settings.profiles)
    for finding in found:
        typer.echo(str(finding))
    if mapping_set is None:
        raise stop(FOUND, summary(found))
    typer.echo(
        f"{len(mapping_set.mappings)} mappings of {len(mapping_set.kinds.by_name)} record kinds: {summary(found)}"
    )


@app.command()
def openapi(
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Write the four files here.")] = None,
) -> None:
    """Print the OpenAPI document, or write it with CapabilityStatement, OperationDefinition and requests.

    \b
    Examples:
      fhir-facade openapi > openapi.json
      fhir-facade openapi --out openapi/
    """
    from fhir_facade.serving import api_files

    with faults_are_told():
        files = api_files(mapping_set_of(settings_with().mappings))
        if out is None:
            typer.echo(files["openapi.json"].decode(), nl=False)
            return
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (out / name).write_bytes(content)
            say(str(out / name))


if __name__ == "__main__":
    main()
