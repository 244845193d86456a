"""Histories over HTTP: pages, instants, tokens, and what is no question."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

BOTH_STORES = True
Ask = Callable[..., httpx.Response]
NOW = "2026-01-01T10:00:00.000Z"


def walked(ask: Ask, path: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    url: str | None = path
    while url:
        bundle = ask("GET", url).json()
        assert bundle["type"] == "history"
        entries += bundle.get("entry", [])
        url = next((each["url"] for each in bundle["link"] if each["relation"] == "next"), None)
    return entries


@pytest.mark.parametrize("resource_type", ["EpisodeOfCare", "Patient", "Condition"])
def test_a_history_has_every_resource_once(ask: Ask, resource_type: str) -> None:
    entries = walked(ask, f"/fhir/{resource_type}/_history?_count=7")
    stored = ask("GET", f"/fhir/{resource_type}?_count=1000").json()["entry"]
    assert sorted(each["resource"]["id"] for each in entries) == sorted(each["resource"]["id"] for each in stored)
    assert {each["request"]["method"] for each in entries} == {"POST"}
    assert [each["response"]["lastModified"] for each in entries] == [NOW] * len(entries)


def test_the_history_of_all_is_that_of_every_type(ask: Ask) -> None:
    types = [each["type"] for each in ask("GET", "/fhir/metadata").json()["rest"][0]["resource"]]
    whole = walked(ask, "/fhir/_history?_count=50")
    urls = [each["fullUrl"] for each in whole]
    assert len(urls) == len(set(urls))
    parts = [each["fullUrl"] for name in types for each in history_of(ask, name)]
    assert sorted(urls) == sorted(parts)


def history_of(ask: Ask, name: str) -> list[dict[str, Any]]:
    answer = ask("GET", f"/fhir/{name}/_history?_count=200")
    return walked(ask, f"/fhir/{name}/_history?_count=200") if answer.status_code == 200 else []


def test_since_is_an_instant_and_counts_itself(ask: Ask) -> None:
    def total(since: str) -> int:
        return len(ask("GET", "/fhir/Patient/_history", params={"_since": since}).json().get("entry", []))

    assert total("2026-01-01T11:00:00+01:00") == total("2026-01-01T10:00:00Z") == total("1999-01-01T00:00:00Z") > 0
    assert total("2026-01-01T10:00:00.001Z") == 0


@pytest.mark.parametrize(
    "query",
    ["_since=2026", "_since=2026-01-01", "_since=x", "_count=0", "_count=-1", "_count=x", "_page=", "_page=x", "_at=2026",
     "_count=1&_count=2"],
)  # fmt: skip
def test_what_is_no_question_is_refused(ask: Ask, query: str) -> None:
    for path in ("/fhir/Patient/_history", "/fhir/_history"):
        answer = ask("GET", f"{path}?{query}")
        assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")


def test_a_token_is_of_one_history(ask: Ask) -> None:
    links = ask("GET", "/fhir/Patient/_history?_count=2").json()["link"]
    token = next(each["url"] for each in links if each["relation"] == "next").split("_page=")[1]
    assert ask("GET", f"/fhir/Patient/_history?_page={token}").status_code == 200
    assert ask("GET", f"/fhir/Condition/_history?_page={token}").status_code == 400
    assert ask("GET", f"/fhir/Patient/_history?_since=1999-01-01T00:00:00Z&_page={token}").status_code == 400


def test_a_version_is_read_as_the_resource_is(ask: Ask) -> None:
    one = ask("GET", "/fhir/Patient?_count=1").json()["entry"][0]["resource"]
    version = one["meta"]["versionId"]
    answer = ask("GET", f"/fhir/Patient/{one['id']}/_history/{version}")
    assert answer.json() == one
    assert answer.headers["etag"] == f'W/"{version}"'
    for other in ("9-" + version.split("-")[1], "1-00000000", "1", "x"):
        assert ask("GET", f"/fhir/Patient/{one['id']}/_history/{other}").status_code == 404
    told = ask("GET", f"/fhir/Patient/{one['id']}/_history/1-00000000").json()["issue"][0]["details"]["text"]
    assert version in told
