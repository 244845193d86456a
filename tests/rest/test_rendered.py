"""What is rendered is kept by the state of its record: bounded, asked for by one statement, never another's."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.rest.rendered import OVERHEAD, Rendered
from fhir_facade.rest.surface import FhirLane

STAMP = (1, "2026-01-01T00:00:00.000Z", 1)
BOTH_STORES = True

keys = st.sampled_from("abcdef")
bodies = st.integers(0, 3000).map(bytes)
stamps = st.tuples(st.integers(1, 3), st.just("2026-01-01T00:00:00.000Z"), st.integers(1, 3))


@given(st.integers(0, 9000), st.lists(st.tuples(st.sampled_from(["put", "get"]), keys, stamps, bodies), max_size=60))
def test_it_is_bounded_and_gives_what_was_last_put_in_that_state(limit: int, steps: list[Any]) -> None:
    kept, model = Rendered(limit), dict[str, tuple[Any, bytes]]()  # the model in order of use, the latest last
    for what, key, stamp, body in steps:
        if what == "get":
            wanted = model.get(key)
            assert kept.get("m", key, stamp) == (wanted[1] if wanted and wanted[0] == stamp else None)
            if wanted and wanted[0] == stamp:
                model[key] = model.pop(key)
        else:
            kept.put("m", key, stamp, body)
            if len(body) + OVERHEAD <= limit:
                model.pop(key, None)
                model[key] = (stamp, body)
                while sum(len(each) + OVERHEAD for _, each in model.values()) > limit:
                    del model[next(iter(model))]
        assert kept.size == sum(len(each) + OVERHEAD for _, each in model.values()) <= limit
        assert len(kept) == len(model)


def test_a_record_that_the_store_does_not_write_is_not_kept() -> None:
    kept = Rendered(10_000)
    kept.put("m", "k", (*STAMP[:2], 0), b"{}")
    assert len(kept) == 0


def keeping(lane: FhirLane, **others: Any) -> FhirLane:
    return FhirLane(replace(lane.services, rendered=Rendered(10_000_000), **others))


def test_pages_and_reads_share_what_is_kept(
    lane: FhirLane, ask_app: Callable[[Any], Callable[..., httpx.Response]], ids: list[str]
) -> None:
    keeps = keeping(lane)
    ask, plain = ask_app(keeps), ask_app(lane)
    first = ask("GET", "/fhir/Encounter?_count=3").json()["entry"]
    assert len(keeps.services.rendered) == 3
    for entry in first:
        resource = ask("GET", f"/fhir/Encounter/{entry['resource']['id']}")
        assert resource.json() == entry["resource"]
    assert len(keeps.services.rendered) == 3
    assert (
        ask("GET", "/fhir/Encounter?_count=4").json()["entry"]
        == plain("GET", "/fhir/Encounter?_count=4").json()["entry"]
    )
    assert len(keeps.services.rendered) == 4
    part = ask("GET", f"/fhir/Encounter/{ids[0]}?_elements=id")
    assert part.content == plain("GET", f"/fhir/Encounter/{ids[0]}?_elements=id").content
    assert ask("GET", f"/fhir/Encounter/{ids[0]}").content == plain("GET", f"/fhir/Encounter/{ids[0]}").content


def test_what_one_base_url_has_made_is_right_for_another(
    lane: FhirLane, ask_app: Callable[[Any], Callable[..., httpx.Response]]
) -> None:
    keeps = keeping(lane)
    other = FhirLane(replace(keeps.services, base_url="https://else.test/r4"))
    other.services = replace(other.services, rendered=keeps.services.rendered)
    here = ask_app(keeps)("GET", "/fhir/Encounter?_count=3&_include=*").text
    there = ask_app(other)("GET", "/fhir/Encounter?_count=3&_include=*").text
    assert (
        there.replace("https://else.test/r4", keeps.services.base_url).split('"entry"')[1] == here.split('"entry"')[1]
    )
    assert keeps.services.base_url not in there


def statements(database: Path, ask: Callable[[], object], store: Any) -> list[str]:
    """The statements that a reading connection runs meanwhile."""
    run: list[str] = []
    connection: sqlite3.Connection = store._connections._mine.reader
    connection.set_trace_callback(run.append)
    ask()
    connection.set_trace_callback(None)
    return run


def test_a_kept_read_is_one_statement_and_a_kept_page_reads_no_record(
    lane_over: Callable[[Path], FhirLane], database: Path, ask_app: Callable[[Any], Callable[..., httpx.Response]]
) -> None:
    keeps = keeping(lane_over(database))
    ask, store = ask_app(keeps), keeps.services.store
    page = ask("GET", "/fhir/Encounter?_count=5")
    one = f"/fhir/Encounter/{page.json()['entry'][0]['resource']['id']}"
    assert len(statements(database, lambda: ask("GET", one), store)) == 1
    assert len(statements(database, lambda: ask("GET", "/fhir/Encounter?_count=5"), store)) == 3  # begin, keys, commit
    assert len(statements(database, lambda: ask("GET", "/fhir/Encounter?_count=6"), store)) > 3
