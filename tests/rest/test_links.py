"""The links of a page lead where they say: first, previous, next and last, for a while and for one search only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from fhir_facade.rest.surface import FhirLane

Ask = Callable[..., httpx.Response]
BOTH_STORES = True
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SORTS = ["", "_sort=date&", "_sort=-date&", "_sort=-_id&", "_sort=_lastUpdated,-date&", "_sort=-_lastUpdated,-date&"]


def links(bundle: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in bundle["link"]}


def found(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]


def walk(ask: Ask, bundle: dict[str, Any], relation: str) -> list[dict[str, Any]]:
    pages = [bundle]
    while relation in links(pages[-1]):
        pages.append(ask("GET", links(pages[-1])[relation]).json())
    return pages


def code(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.json()['issue'][0]['details']['coding'][0]['code']}"


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("resource_type", ["Encounter", "EpisodeOfCare", "Observation"])
def test_previous_goes_back_over_the_same_pages(ask: Ask, resource_type: str, sort: str) -> None:
    there = walk(ask, ask("GET", f"/fhir/{resource_type}?{sort}_count=3").json(), "next")
    assert len(there) > 2
    back = walk(ask, there[-1], "previous")
    assert [found(page) for page in back] == [found(page) for page in reversed(there)]
    every = [each for page in there for each in found(page)]
    assert len(every) == len(set(every))
    for page in there:
        assert found(ask("GET", links(page)["first"]).json()) == found(there[0])
        assert found(ask("GET", links(page)["last"]).json()) == every[-3:]
    from_the_end = walk(ask, ask("GET", links(there[0])["last"]).json(), "previous")
    assert [each for page in reversed(from_the_end) for each in found(page)] == every


def test_only_other_pages_have_links(ask: Ask) -> None:
    whole = ask("GET", "/fhir/Encounter?_count=1000").json()
    assert list(links(whole)) == ["self"]
    first = ask("GET", "/fhir/Encounter?_count=2").json()
    assert list(links(first)) == ["self", "first", "next", "last"]
    second = ask("GET", links(first)["next"]).json()
    assert list(links(second)) == ["self", "first", "previous", "next", "last"]
    last = ask("GET", links(first)["last"]).json()
    assert list(links(last)) == ["self", "first", "previous", "last"]
    assert links(first)["first"] == links(first)["self"] == "http://facade.test/fhir/Encounter?_count=2"


def test_the_count_may_change_from_page_to_page(ask: Ask, ids: list[str]) -> None:
    first = ask("GET", "/fhir/Encounter?_count=2").json()
    rest = ask("GET", links(first)["next"].replace("_count=2", "_count=5")).json()
    assert found(rest) == ids[2:7]
    assert found(ask("GET", links(rest)["previous"]).json()) == ids[:2]
    posted = ask(
        "POST", "/fhir/Encounter/_search", content="status=finished,in-progress,planned&_count=2", headers=FORM
    )
    wider = ask("GET", links(posted.json())["next"] + "&_count=5")
    assert len(found(wider.json())) == 5
    assert found(ask("GET", links(wider.json())["self"]).json()) == found(wider.json())
    assert code(ask("GET", links(posted.json())["next"] + "&_sort=date")) == "400 page-token-invalid"


def test_a_token_may_come_in_a_form(ask: Ask, ids: list[str]) -> None:
    for first in (
        ask("GET", "/fhir/Encounter?_count=2").json(),
        ask("POST", "/fhir/Encounter/_search", content="_count=2", headers=FORM).json(),
    ):
        form = urlsplit(links(first)["next"]).query
        second = ask("POST", "/fhir/Encounter/_search", content=form, headers=FORM).json()
        assert found(second) == ids[2:4]
        assert [name for name, _ in parse_qsl(urlsplit(links(second)["next"]).query)] == ["_page"]


def test_count_zero_counts_on_any_page_and_links_to_none(ask: Ask, ids: list[str]) -> None:
    first = ask("GET", "/fhir/Encounter?_count=2").json()
    counted = ask("GET", links(first)["next"].replace("_count=2", "_count=0")).json()
    assert counted["total"] == len(ids)
    assert list(links(counted)) == ["self"]


def at(lane: FhirLane, now: datetime, **changes: Any) -> FhirLane:
    return FhirLane(replace(lane.services, now=lambda: now, **changes))


def test_an_old_link_is_gone_and_a_new_one_is_made_on_every_page(
    lane: FhirLane, ask_app: Callable[[Any], Ask], ids: list[str]
) -> None:
    first = ask_app(at(lane, NOW))("GET", "/fhir/Encounter?_count=2").json()
    half = ask_app(at(lane, NOW + timedelta(minutes=40)))("GET", links(first)["next"])
    later = ask_app(at(lane, NOW + timedelta(minutes=80)))
    gone = later("GET", links(first)["next"])
    assert code(gone) == "410 page-token-expired"
    assert "60 minutes" in gone.text and "first page" in gone.text
    assert found(later("GET", links(half.json())["next"]).json()) == ids[4:6]


def test_the_same_page_has_the_same_bytes_for_a_while(lane: FhirLane, ask_app: Callable[[Any], Ask]) -> None:
    bodies = [
        ask_app(at(lane, NOW + timedelta(minutes=gone)))("GET", "/fhir/Encounter?_count=2").content
        for gone in (0, 4, 6)
    ]
    assert bodies[0] == bodies[1] != bodies[2]


def test_a_link_made_under_other_mappings_is_gone(ask: Ask, lane: FhirLane, ask_app: Callable[[Any], Ask]) -> None:
    following = links(ask("GET", "/fhir/Encounter?_count=2").json())["next"]
    other = replace(lane.services.mapping_set, hash="another")
    assert code(ask_app(at(lane, datetime.now(UTC), mapping_set=other))("GET", following)) == "410 page-token-outdated"


def test_a_page_whose_rows_have_all_gone_still_leads_on(
    mapping_set: Any, lane_over: Callable[[Path], FhirLane], ask_app: Callable[[Any], Ask], tmp_path: Path
) -> None:
    from fhir_facade.store.records import SqliteStore
    from fhir_facade.store.synthetic import load_into

    path = tmp_path / "some.db"
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 20, 1, "2026-01-01T10:00:00.000Z")
    ask = ask_app(lane_over(path))
    kind = mapping_set.kinds["trygd"]
    pages = walk(ask, ask("GET", "/fhir/Coverage?_count=2").json(), "next")
    removed, left = found(pages[0]) + found(pages[1]), found(pages[2])
    with store.transaction() as writer:
        for resource_id in removed:
            assert writer.delete(kind, resource_id)
    empty = ask("GET", links(pages[1])["previous"]).json()
    assert found(empty) == []
    assert "previous" not in links(empty)
    assert found(ask("GET", links(empty)["next"]).json()) == left
    store.close()
