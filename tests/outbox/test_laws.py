"""For any schedule of writers, tellers, faults and deaths: a receiver that remembers keys has each change once, in order.

Requests are things that lie on a wire: they may arrive late, after their teller is gone or has sent them anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.outbox.delivering import Teller, Terms
from fhir_facade.outbox.verdicts import Answer, Pace
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.outbox import Outbox
from fhir_facade.store.outbox_tables import Entry
from fhir_facade.store.records import Store
from tests.outbox.changes import Receiver, change, empty, put

BEGAN = datetime(2026, 1, 1, 10, tzinfo=UTC)
PATIENTS, TELLERS = 3, 2
TERMS = Terms(Pace(attempts=10**6, first=1, longest=8), parallel=3, lease=30)
ACTS = "write undo step step step answer answer lose fail delay arrive kill wait".split()

Schedule = list[tuple[str, int]]
FIRST = st.lists(st.integers(0, PATIENTS - 1), min_size=1, max_size=12)
SCHEDULES = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 40)), max_size=60)


class Undone(Exception):
    """Leaves a transaction."""


@dataclass
class World:
    """A store, two tellers that may be replaced, a wire and a receiver; time goes by when it is let."""

    store: Store
    outbox: Outbox
    terms: Terms = TERMS
    seconds: float = 0.0
    number: int = 0
    written: dict[str, list[str]] = field(default_factory=dict)
    receiver: Receiver = field(default_factory=Receiver)
    tellers: list[Teller] = field(default_factory=list)
    busy: list[list[Entry]] = field(default_factory=list)
    heard: list[list[tuple[Entry, Answer]]] = field(default_factory=list)
    wire: list[Entry] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for _ in range(TELLERS):
            self.tellers.append(self.teller())
            self.busy.append([])
            self.heard.append([])

    def teller(self) -> Teller:
        return Teller(
            self.outbox,
            self.terms,
            clock=lambda: BEGAN + timedelta(seconds=self.seconds),
            ticks=lambda: self.seconds,
            draw=Random(1),
        )

    def act(self, name: str, given: int) -> None:
        which = given % TELLERS
        if name == "write":
            self.write(given % PATIENTS)
        elif name == "undo":
            with pytest.raises(Undone), self.store.transaction() as writer:
                self.outbox.put(writer.connection, [change(given % PATIENTS, 10_000 + self.number)])
                raise Undone
        elif name == "step":
            self.step(which)
        elif name == "kill":
            self.tellers[which], self.busy[which], self.heard[which] = self.teller(), [], []
        elif name == "wait":
            self.seconds += given
        elif name == "arrive" and self.wire:
            self.receiver.take(self.wire.pop(given % len(self.wire)))
        elif name in ("answer", "lose", "fail", "delay") and self.busy[which]:
            entry = self.busy[which].pop(given % len(self.busy[which]))
            if name in ("answer", "lose"):  # it does what it is asked, and what it says comes back or does not
                self.receiver.take(entry)
            if name == "delay":  # the teller has given up, and the request is still on its way
                self.wire.append(entry)
            answer = {"answer": Answer(200), "fail": Answer(503, "", given % 3 or None)}.get(name, Answer(0))
            self.heard[which].append((entry, answer))

    def write(self, patient: int) -> None:
        made = change(patient, self.number)
        self.number += 1
        put(self.store, self.outbox, made)
        self.written.setdefault(made.queue, []).append(made.change)

    def step(self, which: int) -> None:
        claimed = self.tellers[which].step(self.heard[which], len(self.busy[which]))
        self.heard[which] = []
        assert len({entry.queue for entry in (*claimed, *self.busy[which])}) == len(claimed) + len(self.busy[which])
        self.busy[which] += claimed
        assert len(self.busy[which]) <= self.terms.parallel

    def finish(self) -> None:
        """Nothing fails any more; what was late arrives at last."""
        for _ in range(100 * (self.number + 2)):
            for which in range(TELLERS):
                while self.busy[which]:
                    self.act("answer", which)
                self.step(which)
            if not any(self.busy) and not any(self.heard) and self.left() == 0:
                break
            self.seconds += 5
        while self.wire:
            self.receiver.take(self.wire.pop())

    def left(self) -> int:
        return sum(each.changes for each in self.outbox.counts() if each.state in ("waiting", "sending"))


@pytest.fixture(scope="module")
def store(new_place: Callable[[], Location], mapping_set: MappingSet) -> Iterator[Store]:
    opened = open_store(new_place(), mapping_set.kinds, mapping_set.search.columns)
    yield opened
    opened.close()


@given(FIRST, SCHEDULES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@example([0, 0], [("step", 0), ("delay", 0), ("step", 0), ("wait", 9), ("step", 0), ("answer", 0)])
@example([0], [("step", 0), ("lose", 0), ("kill", 0), ("step", 1), ("wait", 40), ("step", 1)])
def test_each_change_is_done_once_and_in_the_order_of_its_patient(
    store: Store, first: list[int], schedule: Schedule
) -> None:
    world = World(store, empty(store))
    for patient in first:
        world.write(patient)
    for name, given_ in schedule:
        world.act(name, given_)
        for queue, done in world.receiver.done.items():
            assert done == world.written[queue][: len(done)]
    world.finish()
    assert world.receiver.done == world.written
    states = {each.state: each.changes for each in world.outbox.counts()}
    assert states == ({"delivered": world.number} if world.number else {})


@given(FIRST, SCHEDULES, st.sets(st.integers(0, 9), min_size=1, max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20, deadline=None)
def test_what_is_refused_for_good_holds_its_patient_up_until_it_is_released(
    store: Store, first: list[int], schedule: Schedule, refused: set[int]
) -> None:
    world = World(store, empty(store))
    for patient in first:
        world.write(patient)
    bad = {change(0, number).change for number in refused}
    for name, given_ in schedule:
        which = given_ % TELLERS
        world.heard[which] += [(each, Answer(422)) for each in world.busy[which] if each.change in bad]
        world.busy[which] = [each for each in world.busy[which] if each.change not in bad]
        world.act(name, given_)
    idle = 0
    while idle < 8:  # longer than any wait, and than the lease
        idle = 0 if any(world.busy) or any(world.heard) else idle + 1
        for which in range(TELLERS):
            for entry in world.busy[which]:
                if entry.change not in bad:
                    world.receiver.take(entry)
                world.heard[which].append((entry, Answer(422 if entry.change in bad else 200)))
            world.busy[which] = []
            world.step(which)
        world.seconds += 5
    for queue, names in world.written.items():
        stops = next((place for place, name in enumerate(names) if name in bad), len(names))
        assert world.receiver.done.get(queue, []) == names[:stops]
    dead = world.outbox.listed("dead", 100)
    assert {entry.change for entry in dead} <= bad and len({entry.queue for entry in dead}) == len(dead)
    while dead:  # someone has mended the receiver
        for entry in dead:
            world.outbox.retry(entry.change, "2026-01-01T10:00:00.000Z")
        world.finish()
        dead = world.outbox.listed("dead", 100)
    assert world.receiver.done == world.written
