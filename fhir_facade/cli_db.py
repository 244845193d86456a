"""The commands about the database itself."""

from __future__ import annotations

from typing import Annotated

import typer

from fhir_facade.terminal import FAILED, Database, faults_are_told, mapping_set_of, progress_bar, settings_with, stop

db_app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="The tables of a PostgreSQL database.")


@db_app.command("upgrade")
def upgrade(
    db: Database,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change, and change nothing.")] = False,
) -> None:
    """Make the tables of a PostgreSQL database those that the record kinds ask for now.

    All in one transaction: tables, columns, indexes and references, then everything that is computed, for every
    record. What would lose values is refused and nothing is changed. Stop the servers first. A SQLite file is not
    changed: load the records into a new one.

    \b
    Example:
      fhir-facade db upgrade --dry-run --db postgresql://fhir@localhost/records
    """
    if not db.is_server:
        raise stop(FAILED, f"{db}: a SQLite file is not upgraded; load the records into a new one")
    from fhir_facade.store.migrating import upgrade as bring_forward

    with faults_are_told(), progress_bar() as bar:
        mapping_set = mapping_set_of(settings_with().mappings)
        task = bar.add_task("records", total=None)
        done = bring_forward(
            db,
            mapping_set.kinds,
            mapping_set.search.columns,
            dry_run=dry_run,
            on_progress=lambda kind, count: bar.update(task, description=kind, completed=count),
        )
    for step in done.steps:
        typer.echo(step)
    if dry_run:
        typer.echo(f"{len(done.steps)} change(s), none made")
    else:
        typer.echo(f"{len(done.steps)} change(s) made, {done.records} record(s) computed anew")


@db_app.command("views")
def views(
    db: Database,
    source: Annotated[str, typer.Option("--from", metavar="SCHEMA", help="The schema of the site's own views.")],
) -> None:
    """Print views that serve the tables of another system where they lie, without a copy.

    SCHEMA has views named as our tables, with columns named as our fields; docs/databases.md has an example. Read
    what is printed, and run it in a schema of its own. The result is served and never written to.

    \b
    Example:
      fhir-facade db views --from epj --db postgresql://fhir@localhost/hospital > views.sql
    """
    if not db.is_server:
        raise stop(FAILED, f"{db}: views are made in PostgreSQL")
    from fhir_facade.store.views import view_statements

    with faults_are_told():
        mapping_set = mapping_set_of(settings_with().mappings)
        for statement in view_statements(db, source, mapping_set.kinds, mapping_set.search.columns):
            typer.echo(statement)
