"""The commands about the outbox: what waits, what is dead, and what is to become of it."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from fhir_facade.store.location import Location
from fhir_facade.store.outbox import Outbox
from fhir_facade.store.outbox_tables import STATES, State
from fhir_facade.terminal import (
    FAILED,
    FOUND,
    Database,
    faults_are_told,
    mapping_set_of,
    now,
    open_store,
    say,
    settings_with,
    stop,
)

outbox_app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Changes that the record system is told of (docs/outbox.md)."
)
Change = Annotated[str, typer.Argument(metavar="CHANGE", help="The name of a change, as the list shows it.")]


@contextmanager
def outbox_of(db: Location) -> Iterator[Outbox]:
    """The outbox of a database; stops when there is none."""
    with faults_are_told():
        store = open_store(db, mapping_set_of(settings_with().mappings), must_exist=True)
        try:
            outbox = Outbox(store)
            if not outbox.is_there():
                raise stop(FAILED, f"{db}: there is no outbox; a server with FHIR_FACADE_OUTBOX_URL makes one")
            yield outbox
        finally:
            store.close()


@outbox_app.command("list")
def listed(
    db: Database,
    state: Annotated[str, typer.Option(help=f"Only changes in this state: {', '.join(STATES)}.")] = "",
    most: Annotated[int, typer.Option(min=1, max=10_000, help="The most lines of each state.")] = 50,
) -> None:
    """List how many changes there are in each state, and those that are not delivered; 1 when any is dead.

    \b
    Example:
      fhir-facade outbox list --state dead --db hospital.db
    """
    if state and state not in STATES:
        raise stop(FAILED, f"state '{state}' is none of {', '.join(STATES)}")
    chosen: list[State] = [each for each in STATES if each == state] if state else ["sending", "waiting", "dead"]
    with outbox_of(db) as outbox:
        counts = outbox.counts()
        for each in counts:
            say(f"{each.state}: {each.changes}, the oldest of {each.oldest}")
        for one in chosen:
            for entry in outbox.listed(one, most):
                facts = (entry.state, entry.change, entry.act, entry.place, f"version {entry.version}")
                typer.echo("  ".join([*facts, entry.made, f"tried {entry.attempts}", entry.error]).rstrip())
    if any(each.state == "dead" for each in counts):
        raise typer.Exit(FOUND)


@outbox_app.command("show")
def show(
    change: Change,
    db: Database,
    content: Annotated[bool, typer.Option("--content", help="With the resource, which is a patient's data.")] = False,
) -> None:
    """Show all that is known of one change, as JSON.

    \b
    Example:
      fhir-facade outbox show 2f1c9e0a-6d0c-4b5e-9a51-6a4c3a1f7b10 --db hospital.db
    """
    with outbox_of(db) as outbox:
        entry = outbox.find(change)
    facts = {**entry._asdict(), "content": json.loads(entry.content) if content and entry.content else None}
    if not content:
        del facts["content"]
    typer.echo(json.dumps(facts, ensure_ascii=False, indent=2))


@outbox_app.command("retry")
def retry(change: Change, db: Database) -> None:
    """Try a dead change again, or a waiting one at once, with all its attempts and under its old key.

    \b
    Example:
      fhir-facade outbox retry 2f1c9e0a-6d0c-4b5e-9a51-6a4c3a1f7b10 --db hospital.db
    """
    with outbox_of(db) as outbox:
        outbox.retry(change, now())
    say(f"{change} is waiting")


@outbox_app.command("skip")
def skip(change: Change, db: Database) -> None:
    """Never tell a change that is dead or waiting; the later ones of its patient go on.

    \b
    Example:
      fhir-facade outbox skip 2f1c9e0a-6d0c-4b5e-9a51-6a4c3a1f7b10 --db hospital.db
    """
    with outbox_of(db) as outbox:
        outbox.skip(change, now())
    say(f"{change} is skipped")


@outbox_app.command("deliver")
def deliver(db: Database) -> None:
    """Tell the record system of changes until stopped, in a process of its own.

    A server with FHIR_FACADE_OUTBOX_URL does the same by itself; of all who would, one does it at a time.

    \b
    Example:
      FHIR_FACADE_OUTBOX_URL=https://epj.example.no/fhir fhir-facade outbox deliver --db hospital.db
    """
    settings = settings_with(database=db)
    if not settings.outbox_url:
        raise stop(FAILED, "setting outbox_url: it says where changes go; FHIR_FACADE_OUTBOX_URL is empty")
    from fhir_facade.outbox.delivering import Delivering, Teller
    from fhir_facade.rest.access_log import AccessLog

    log, terms = AccessLog(settings.log_level), settings.outbox_terms
    with outbox_of(db) as outbox:
        teller = Teller(outbox, terms, told=log.outbox)
        delivering = Delivering(teller, settings.outbox_endpoint.send, terms, log.outbox_failure)
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda *_: delivering.ask_to_stop())
        delivering.run()
