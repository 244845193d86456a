"""The journal has every state that a record was in, once, on both stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_facade.contracts import Record
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import Store
from fhir_facade.store.versions import Kept
from tests.store_sample import merge, sample_kinds

KINDS = ("ward", "person", "stay", "act")
STAYS, ACTS = (1, 2), (1, 2)


def instant(number: int) -> str:
    return f"2026-01-01T00:00:00.{number:03}Z"


def change(store: Store, writer: object, step: tuple[str, int, int], now: str) -> None:
    """One of the few things that can be done to two stays and their acts."""
    what, number, value = step
    stay = {"personNr": "P", "stayNr": number % 2 + 1}
    act = {**stay, "actNr": number // 2 + 1}
    if what == "stay":
        merge(writer, store, "stay", now, **stay, rank=value, moves=[{"nr": 1, "by": f"d{value}"}])  # type: ignore[arg-type]
    elif what == "act":
        merge(writer, store, "stay", now, **stay)  # type: ignore[arg-type]
        merge(writer, store, "act", now, **act, rank=value, parts=[{"nr": value}])  # type: ignore[arg-type]
    else:
        kind = store.schema.kinds["stay" if what == "no stay" else "act"]
        of = stay if what == "no stay" else act
        writer.delete(kind, store.schema.kinds.complete(kind, dict(of))["$key"], now=now)  # type: ignore[attr-defined]


STEPS = st.tuples(st.sampled_from(["stay", "act", "act", "no stay", "no act"]), st.integers(0, 3), st.integers(1, 3))


def seen_in(store: Store) -> dict[tuple[str, str], Record]:
    return {(kind, record["$key"]): record for kind in KINDS for record in store.scan(kind)}


def versions_of(store: Store, kind: str, key: str) -> list[Kept]:
    return store.history(kind, key, 1000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(STEPS, min_size=1, max_size=4), max_size=8))
def test_history_is_what_was_seen_after_each_transaction(
    tmp_path_factory: pytest.TempPathFactory,
    new_place: Callable[[], Location],
    transactions: list[list[tuple[str, int, int]]],
) -> None:
    store = open_store(new_place(), sample_kinds(tmp_path_factory.mktemp("kinds")))
    model: dict[tuple[str, str], list[tuple[str, Record | None]]] = {}
    with store.transaction() as writer:
        merge(writer, store, "person", instant(0), personNr="P")
    before = seen_in(store)
    try:
        for number, steps in enumerate(transactions, 1):
            with store.transaction() as writer:
                for step in steps:
                    change(store, writer, step, instant(number))
            after = seen_in(store)
            for of in sorted(before.keys() | after.keys()):
                was, now = before.get(of), after.get(of)
                if was != now:
                    model.setdefault(of, []).append((instant(number), now))
            before = after
        for (kind, key), states in model.items():
            found = versions_of(store, kind, key)
            shown = [(each.changed, each.record) for each in reversed(found)]
            assert [each for each in shown if each[1]] == [each for each in states if each[1]]
            numbers = [each.version for each in found]
            assert numbers == sorted(set(numbers), reverse=True)
            for each in found:
                assert store.version(kind, key, each.version) == each
            assert store.last_version(kind, key) == found[0]
            assert (found[0].record is None) == (states[-1][1] is None)
        for kind in KINDS:
            every = sorted(
                (each for of in model if of[0] == kind for each in versions_of(store, *of)),
                key=lambda each: (each.changed, each.key, each.version),
                reverse=True,
            )
            walked: list[Kept] = []
            while page := store.history_of_kind(kind, 2, after=_place(walked), since=instant(1)):
                walked += page
            assert walked == every
    finally:
        store.close()


def _place(walked: list[Kept]) -> tuple[str, str, int] | None:
    return (walked[-1].changed, walked[-1].key, walked[-1].version) if walked else None


@pytest.fixture
def store(tmp_path: Path, place: Location) -> Store:
    store = open_store(place, sample_kinds(tmp_path))
    with store.transaction() as writer:
        merge(writer, store, "stay", instant(1), personNr="P", stayNr=1, rank=1)
        merge(writer, store, "person", instant(1), personNr="P")
        merge(writer, store, "act", instant(1), personNr="P", stayNr=1, actNr=1)
    return store


def test_what_is_new_has_no_row_in_the_journal(store: Store) -> None:
    with store._connections.snapshot() as connection:
        assert connection.execute("SELECT count(*) FROM _versions").fetchone()[0] == 0
    store.close()


def test_versions_have_no_gap_over_a_deletion(store: Store) -> None:
    kind = store.schema.kinds["stay"]
    for number, rank in enumerate((2, 3), 2):
        with store.transaction() as writer:
            merge(writer, store, "stay", instant(number), personNr="P", stayNr=1, rank=rank)
    with store.transaction() as writer:
        assert writer.delete(kind, "P.1", now=instant(4))
    with store.transaction() as writer:
        merge(writer, store, "stay", instant(5), personNr="P", stayNr=1, rank=9)
    found = [(each.version, each.record and each.record["rank"]) for each in store.history("stay", "P.1", 10)]
    assert found == [(5, 9), (4, None), (3, 3), (2, 2), (1, 1)]
    assert [each.version for each in store.history("act", "P.1.1", 10)] == [2, 1]
    assert [each.version for each in store.history("stay", "P.1", 2, before=4)] == [3, 2]
    assert [each.version for each in store.history("stay", "P.1", 9, since=instant(4))] == [5, 4]
    store.close()


def test_a_change_and_its_undoing_in_one_refused_transaction_leave_nothing(store: Store) -> None:
    before = store.digest(history=True)
    with pytest.raises(RuntimeError), store.transaction() as writer:
        merge(writer, store, "stay", instant(2), personNr="P", stayNr=1, rank=2)
        writer.delete(store.schema.kinds["act"], "P.1.1", now=instant(2))
        raise RuntimeError
    assert store.digest(history=True) == before
    store.close()
