"""What an outbox looks like from outside: how much waits and since when, what is dead, who is telling."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_facade.store.outbox import Outbox
from fhir_facade.store.outbox_tables import STATES, Entry

SHOWN = 20


def status(outbox: Outbox) -> dict[str, object]:
    """Counts by state, the instant of the oldest change that is not delivered, and the first dead ones; no patient."""
    counted = {each.state: each for each in outbox.counts()}
    open_since = [counted[state].oldest for state in ("waiting", "sending", "dead") if state in counted]
    with outbox.reading() as connection:
        lease = outbox.lease(connection)
    dead = [dead_line(each) for each in outbox.listed("dead", SHOWN)]
    counts = {state: counted[state].changes if state in counted else 0 for state in STATES}
    return {"changes": counts, "oldest": min(open_since, default=None), "told_by": lease.holder or None, "dead": dead}


def dead_line(entry: Entry) -> Mapping[str, object]:
    """What is told of a dead change to all who ask."""
    facts = {"change": entry.change, "type": entry.type, "act": entry.act, "made": entry.made}
    return {**facts, "attempts": entry.attempts, "error": entry.error}
