"""The one who tells: leases, waits, what is dead, what is passed by, and what is forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from random import Random

import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.outbox.state import status
from fhir_facade.outbox.verdicts import Answer, Pace, outcome, reason
from fhir_facade.outcome import Refused
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.outbox import Outbox
from fhir_facade.store.outbox_tables import Entry
from fhir_facade.store.records import Store
from tests.outbox.changes import MADE, change, empty, put
from tests.outbox.test_laws import TERMS, World

NEVER = 10**9


@pytest.fixture(scope="module")
def store(new_place: Callable[[], Location], mapping_set: MappingSet) -> Iterator[Store]:
    opened = open_store(new_place(), mapping_set.kinds, mapping_set.search.columns)
    yield opened
    opened.close()


@pytest.fixture
def outbox(store: Store) -> Outbox:
    return empty(store)


@pytest.fixture
def world(store: Store, outbox: Outbox) -> World:
    return World(store, outbox)


def claimed(world: World, which: int = 0) -> list[Entry]:
    before = len(world.busy[which])
    world.step(which)
    return world.busy[which][before:]


def answer(world: World, given: Answer, which: int = 0) -> list[Entry]:
    """The first request that waits is answered so; returns what is sent next."""
    world.heard[which].append((world.busy[which].pop(0), given))
    return claimed(world, which)


def test_a_teller_at_work_keeps_the_lease_and_an_idle_one_too(world: World) -> None:
    world.write(0)
    assert claimed(world, 0)
    for _ in range(100):
        world.seconds += TERMS.lease / 5
        assert not claimed(world, 1)
        claimed(world, 0)
    assert answer(world, Answer(200)) == []
    assert {each.state: each.changes for each in world.outbox.counts()} == {"delivered": 1}


def test_a_lease_that_is_given_back_is_free_at_once(world: World) -> None:
    claimed(world, 0)
    world.tellers[0].step([], 0, last=True)
    world.write(0)
    assert claimed(world, 1)


def test_a_dead_teller_is_followed_when_its_lease_is_over_and_its_change_sent_anew(world: World) -> None:
    world.write(0)
    (first,) = claimed(world, 0)
    assert not claimed(world, 1)
    world.seconds += TERMS.lease - 1
    assert not claimed(world, 1)
    world.seconds += 1
    (again,) = claimed(world, 1)
    assert (again.change, again.attempts) == (first.change, 2)
    assert answer(world, Answer(200)) == []  # the one that was away has no say any more
    assert {each.state for each in world.outbox.counts()} == {"sending"}


def test_a_step_that_fails_may_be_repeated(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(0)
    world.write(0)
    claimed(world)
    world.heard[0].append((world.busy[0].pop(), Answer(200)))
    commit, opened = [], world.outbox.stepping

    def breaking() -> object:
        manager = opened()

        class Lost:
            def __enter__(self) -> object:
                return manager.__enter__()

            def __exit__(self, *raised: object) -> None:
                manager.__exit__(None, None, None)
                commit.append(1)
                raise ConnectionError

        return Lost()

    monkeypatch.setattr(world.outbox, "stepping", breaking)
    with pytest.raises(ConnectionError):
        claimed(world)
    monkeypatch.undo()
    assert commit
    assert {each.state: each.changes for each in world.outbox.counts()} == {"sending": 1, "delivered": 1}
    claimed(world)  # what it claimed without knowing of it waits again
    assert claimed(world)[0].attempts == 2


def test_waits_are_doubled_scattered_and_never_shorter_than_asked_for(world: World) -> None:
    pace = Pace(attempts=50, first=1, longest=60)
    waits = [pace.wait(tried, Answer(503), Random(tried)) for tried in range(1, 51)]
    for tried, wait in enumerate(waits, 1):
        whole = min(60, 2 ** (tried - 1))
        assert whole / 2 <= wait <= whole
    assert pace.wait(1, Answer(429, "", 40), Random(1)) == 40
    assert pace.wait(1, Answer(429, "", NEVER), Random(1)) == 86_400
    world.write(0)
    claimed(world)
    assert answer(world, Answer(503, "", 40)) == []
    world.seconds += 39
    assert claimed(world) == []
    world.seconds += 1
    assert len(claimed(world)) == 1


@pytest.mark.parametrize(
    ("act", "status_", "becomes"),
    [
        ("update", 200, "delivered"), ("create", 201, "delivered"), ("delete", 204, "delivered"),
        ("delete", 404, "delivered"), ("delete", 410, "delivered"), ("update", 404, "dead"), ("update", 410, "dead"),
        ("update", 0, "retry"), ("update", 500, "retry"), ("update", 503, "retry"), ("update", 408, "retry"),
        ("update", 409, "retry"), ("update", 429, "retry"), ("update", 401, "retry"), ("update", 400, "dead"),
        ("update", 412, "dead"), ("update", 422, "dead"), ("update", 302, "dead"),
    ],
)  # fmt: skip
def test_what_an_answer_means(act: str, status_: int, becomes: str) -> None:
    pace = Pace(attempts=3)
    assert outcome(act, 2, Answer(status_), pace) == becomes  # type: ignore[arg-type]
    assert outcome(act, 3, Answer(status_), pace) == becomes.replace("retry", "dead")  # type: ignore[arg-type]


def test_a_change_is_dead_after_its_last_attempt(store: Store, outbox: Outbox) -> None:
    world = World(store, outbox, replace(TERMS, pace=Pace(attempts=3, first=1, longest=1)))
    world.write(0)
    for _ in range(3):
        assert claimed(world)
        assert answer(world, Answer(0, "no answer in time")) == []
        world.seconds += 1
    (dead,) = outbox.listed("dead", 9)
    assert (dead.attempts, dead.error, dead.content) == (3, "no answer in time", None)
    assert outbox.find(dead.change).content  # it may be tried again


def test_other_patients_go_on_and_so_do_those_behind_what_is_skipped(world: World) -> None:
    for patient in (0, 0, 1):
        world.write(patient)
    names = [change(0, number).change for number in range(3)]
    assert [each.change for each in claimed(world)] == [names[0], names[2]]
    assert answer(world, Answer(422)) == []
    assert claimed(world) == []
    world.outbox.skip(names[0], MADE)
    assert [each.change for each in claimed(world)] == [names[1]]
    for name in names:
        if name != names[0]:
            with pytest.raises(Refused, match="outbox-settled"):
                world.outbox.skip(name, MADE)
    with pytest.raises(Refused, match="outbox-unknown"):
        world.outbox.retry("00000000-0000-0000-0000-000000000000", MADE)


def test_a_dead_change_may_be_passed_by_and_never_meets_a_later_one_of_its_patient(
    store: Store, outbox: Outbox
) -> None:
    world = World(store, outbox, replace(TERMS, stands=False))
    world.write(0)
    world.write(0)
    names = [change(0, number).change for number in range(2)]
    claimed(world)
    assert [each.change for each in answer(world, Answer(422))] == [names[1]]
    outbox.retry(names[0], MADE)
    assert claimed(world) == []  # the later one is on its way
    assert [each.change for each in answer(world, Answer(200))] == [names[0]]


def test_what_a_later_change_has_overtaken_is_not_told_any_more(store: Store, outbox: Outbox) -> None:
    world = World(store, outbox, replace(TERMS, stands=False))
    first, second = change(0, 0), change(0, 1)._replace(id="0", version=2)
    put(store, outbox, first, second)
    claimed(world)
    answer(world, Answer(422))
    with pytest.raises(Refused, match="outbox-overtaken"):
        outbox.retry(first.change, MADE)
    outbox.skip(first.change, MADE)


def test_an_endpoint_that_fails_at_everything_is_asked_one_thing_at_a_time(store: Store, outbox: Outbox) -> None:
    world = World(store, outbox)
    put(store, outbox, *(change(number, number) for number in range(30)))
    sent = [len(claimed(world))]
    for _ in range(6):
        world.heard[0] += [(entry, Answer(503)) for entry in world.busy[0]]
        world.busy[0] = []
        sent.append(len(claimed(world)))
    assert sent == [3, 3, 1, 1, 1, 1, 1]
    assert len(answer(world, Answer(200))) == 3


def test_what_is_settled_is_forgotten_after_a_while_and_what_it_said_at_once(world: World) -> None:
    world.write(0)
    world.write(1)
    claimed(world)
    names = [each.change for each in world.busy[0]]
    answer(world, Answer(200))
    answer(world, Answer(422))
    assert world.outbox.find(names[0]).content is None
    world.seconds += TERMS.keep + 1
    world.write(2)
    claimed(world)
    with pytest.raises(Refused, match="outbox-unknown"):
        world.outbox.find(names[0])
    assert world.outbox.find(names[1]).state == "dead"


def test_the_state_says_nothing_of_patients(world: World) -> None:
    world.write(2)
    world.write(1)
    claimed(world)
    answer(world, Answer(422, "business-rule"))
    told = status(world.outbox)
    assert told["changes"] == {"waiting": 0, "sending": 1, "dead": 1, "delivered": 0, "skipped": 0}
    assert told["oldest"] == MADE
    assert told["told_by"] == world.tellers[0].name
    (dead,) = told["dead"]  # type: ignore[misc]
    assert dead["error"] == reason(Answer(422, "business-rule")) == "HTTP 422 business-rule"
    assert "Patient" not in str(told)
