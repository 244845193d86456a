"""Records that are not as they should be: told of, and never the end of a page."""

from __future__ import annotations

import io
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.surface import FhirLane

Ask = Callable[..., httpx.Response]
AskApp = Callable[[Any], Ask]


@pytest.fixture
def damaged(
    tmp_path: Path, database: Path, lane_over: Callable[[Path], FhirLane], ids: list[str]
) -> tuple[FhirLane, io.StringIO]:
    """A lane whose first stay holds bytes for a code, and whose second an unknown level of care."""
    copy = tmp_path / "damaged.db"
    shutil.copy(database, copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE opphold SET episode_fag = x'00' WHERE _key = ?", (ids[0],))
        connection.execute("UPDATE opphold SET omsorgsniva = '99' WHERE _key = ?", (ids[1],))
    stream = io.StringIO()
    return FhirLane(replace(lane_over(copy).services), AccessLog("warning", stream)), stream


def test_one_bad_row_is_left_out_of_a_page_and_told_of(
    damaged: tuple[FhirLane, io.StringIO], ask_app: AskApp, ids: list[str]
) -> None:
    lane, stream = damaged
    bundle = ask_app(lane)("GET", "/fhir/Encounter?_count=1000").json()
    assert [each["resource"]["id"] for each in bundle["entry"][:-1]] == ids[1:]
    last = bundle["entry"][-1]
    assert last["search"]["mode"] == "outcome"
    codes = [issue["details"]["coding"][0]["code"] for issue in last["resource"]["issue"]]
    assert "record-not-rendered" in codes
    assert "code-not-mapped" in codes
    logged = orjson.loads(stream.getvalue().splitlines()[0])
    assert logged["event"] == "bad_row"
    assert (
        logged["row"] in bundle["entry"][-1]["resource"]["issue"][codes.index("record-not-rendered")]["details"]["text"]
    )
    assert ids[0] not in stream.getvalue()


def test_a_bad_row_read_alone_is_a_fault_of_ours(
    damaged: tuple[FhirLane, io.StringIO], ask_app: AskApp, ids: list[str]
) -> None:
    answer = ask_app(damaged[0])("GET", f"/fhir/Encounter/{ids[0]}")
    assert answer.status_code == 500
    assert answer.json()["issue"][0]["severity"] == "fatal"


def test_values_without_a_fhir_form_are_counted_in_a_header(
    damaged: tuple[FhirLane, io.StringIO], ask_app: AskApp, ids: list[str]
) -> None:
    answer = ask_app(damaged[0])("GET", f"/fhir/Encounter/{ids[1]}")
    assert answer.status_code == 200
    assert answer.headers["x-fhir-issues"] == "1"
    assert "x-fhir-issues" not in ask_app(damaged[0])("GET", f"/fhir/Encounter/{ids[2]}").headers
