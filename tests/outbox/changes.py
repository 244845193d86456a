"""Changes for an outbox, and a receiver that remembers the keys of what it has done."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field

from fhir_facade.store.outbox import Outbox
from fhir_facade.store.outbox_tables import Entry, Outgoing
from fhir_facade.store.records import Store

MADE = "2026-01-01T10:00:00.000Z"


def change(patient: int, number: int) -> Outgoing:
    """The change of this number of all; each is of a resource of its own."""
    name = str(uuid.UUID(int=number + 1))
    content = f'{{"resourceType":"Basic","id":"{number}"}}'
    return Outgoing(name, f"Patient/{patient}", "Basic", str(number), 1, "create", content, MADE)


def put(store: Store, outbox: Outbox, *changes: Outgoing) -> None:
    """Put changes into an outbox, in a transaction as writers have it."""
    with store.transaction() as writer:
        outbox.put(writer.connection, changes)


def empty(store: Store) -> Outbox:
    """The outbox of a store, with nothing in it and nobody who tells."""
    outbox = Outbox(store)
    outbox.make()
    with store.beside() as connection:
        connection.execute("DELETE FROM _outbox")
        connection.execute("UPDATE _outbox_lease SET holder = ''")
    return outbox


@dataclass
class Receiver:
    """Does what it is told once for each key; `done` has the changes by queue in the order in which they were done."""

    done: dict[str, list[str]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)

    def take(self, entry: Entry) -> None:
        if entry.change not in self.keys:
            self.keys.add(entry.change)
            self.done.setdefault(entry.queue, []).append(entry.change)
