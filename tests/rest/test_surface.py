"""The lane: every path and method is answered, every fault as an OperationOutcome."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest

from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.surface import FhirLane
from fhir_facade.terminology.identity import is_national_identity_number

Ask = Callable[..., httpx.Response]
AskApp = Callable[[Any], Ask]
PERSON = next(
    text for number in range(100_000) if is_national_identity_number(text := f"018190{number:05d}")
)  # 1 January 1990 with month + 80


def code(answer: Any) -> str:
    assert answer.headers["content-type"] == "application/fhir+json"
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    found: str = body["issue"][0]["details"]["coding"][0]["code"]
    return found


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("POST", "/fhir", 405, "method-not-allowed"),
        ("PUT", "/fhir/", 405, "method-not-allowed"),
        ("GET", "/fhir//x", 404, "path-unknown"),
        ("GET", "/fhir/Encounter/1/_history/2", 404, "not-found"),
        ("GET", "/fhir/Encounter/1/_story/2", 404, "path-unknown"),
        ("GET", "/fhir/Encuonter", 404, "type-unknown"),
        ("GET", "/fhir/Encuonter/1", 404, "type-unknown"),
        ("POST", "/fhir/Encuonter/_search", 404, "type-unknown"),
        ("GET", "/fhir/Encounter/_search", 405, "method-not-allowed"),
        ("POST", "/fhir/Encounter", 405, "method-not-allowed"),
        ("POST", "/fhir/Encounter/1", 405, "method-not-allowed"),
        ("DELETE", "/fhir/Encounter/1", 405, "method-not-allowed"),
        ("BREW", "/fhir/metadata", 405, "method-not-allowed"),
    ],
)
def test_what_is_not_served_is_said_to_be_so(ask: Ask, method: str, path: str, status: int, expected: str) -> None:
    answer = ask(method, path)
    assert (answer.status_code, code(answer)) == (status, expected)


def test_an_unknown_type_comes_with_the_nearest_one(ask: Ask) -> None:
    assert "did you mean 'Encounter'?" in ask("GET", "/fhir/Encuonter").json()["issue"][0]["details"]["text"]


def test_a_wrong_method_comes_with_those_allowed(ask: Ask) -> None:
    assert ask("DELETE", "/fhir/Encounter/1").headers["allow"] == "GET, HEAD"
    assert ask("GET", "/fhir/Encounter/_search").headers["allow"] == "POST"


def test_a_slash_at_the_end_changes_nothing(ask: Ask) -> None:
    assert ask("GET", "/fhir/Encounter/?_count=1").status_code == 200


@pytest.mark.parametrize(("tongue", "words"), [("nb-NO", "ingen ressurstype"), ("de", "no resource type")])
def test_faults_speak_the_clients_language(ask: Ask, tongue: str, words: str) -> None:
    assert words in ask("GET", "/fhir/Nothing", headers={"Accept-Language": tongue}).text


@pytest.mark.parametrize(
    "path",
    [
        f"/fhir/Encounter/{PERSON}",
        f"/fhir/Encounter/inst.{PERSON}",
        f"/fhir/{PERSON}",
        f"/fhir/Encounter?subject=Patient/{PERSON}",
        f"/fhir/Encounter?status={PERSON[:6]}%20{PERSON[6:]}",
        f"/fhir/Encounter?identifier=urn:oid:2.16.578.1.12.4.1.4.1%7C{PERSON}",
        f"/fhir/Encounter?{PERSON}=1",
        f"/fhir/Encounter?status=%30{PERSON[1:]}",
        f"/fhir/metadata?_format={PERSON}",
    ],
)
def test_an_identity_number_may_not_stand_in_a_url(ask: Ask, path: str) -> None:
    answer = ask("GET", path)
    assert (answer.status_code, code(answer)) == (400, "person-number-in-url")
    assert PERSON not in answer.text


def test_a_number_that_is_no_identity_number_may_stand_in_a_url(ask: Ask) -> None:
    assert ask("GET", "/fhir/Encounter?_id=12345678901").status_code == 200


@pytest.mark.parametrize(
    ("offered", "echoed"),
    [("abc-1.2_X", True), ("", False), ("a b", False), ("x" * 65, False), (PERSON, False)],
)
def test_a_sane_request_id_is_echoed_and_another_replaced(ask: Ask, offered: str, echoed: bool) -> None:
    said = ask("GET", "/fhir/metadata", headers={"X-Request-Id": offered}).headers["x-request-id"]
    assert said
    assert (said == offered) is echoed


def test_request_ids_of_ours_differ(ask: Ask) -> None:
    assert len({ask("GET", "/fhir/metadata").headers["x-request-id"] for _ in range(5)}) == 5


def failing_lane(lane: FhirLane, log: AccessLog) -> FhirLane:
    """The same lane over a store that fails as a driver would: with the parameters in its message."""

    class BrokenStore:
        def get(self, kind: str, key: str) -> Any:
            raise RuntimeError(f"could not read {PERSON}")

        def find(self, query: Any, search: Any) -> Any:
            raise RuntimeError(f"could not find {PERSON}")

    return FhirLane(replace(lane.services, store=BrokenStore()), log)


def test_a_fault_of_ours_says_only_the_request_id(lane: FhirLane, ask_app: AskApp) -> None:
    stream = io.StringIO()
    ask = ask_app(failing_lane(lane, AccessLog("warning", stream)))
    for path in ("/fhir/Encounter/1.2", "/fhir/Encounter?_id=1"):
        answer = ask("GET", path, headers={"X-Request-Id": "req-7"})
        assert (answer.status_code, code(answer)) == (500, "internal-error")
        assert "req-7" in answer.text
        assert "RuntimeError" not in answer.text
    lines = [orjson.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["failure", "failure"]
    assert lines[0]["request_id"] == "req-7"
    assert lines[0]["at"][-1].endswith(" get")
    assert PERSON not in stream.getvalue()


def test_the_access_log_names_the_route_and_not_what_was_asked(lane: FhirLane, ask_app: AskApp, ids: list[str]) -> None:
    stream = io.StringIO()
    ask = ask_app(FhirLane(lane.services, AccessLog("info", stream)))
    ask("GET", f"/fhir/Encounter/{ids[0]}")
    ask("GET", "/fhir/Encounter?status=finished")
    ask("GET", f"/fhir/{PERSON}")
    lines = [orjson.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["route"] for line in lines] == ["/fhir/{type}/{id}", "/fhir/{type}", "/fhir(none)"]
    assert [line["status"] for line in lines] == [200, 200, 400]
    assert all(line["ms"] >= 0 and line["request_id"] and line["method"] == "GET" for line in lines)
    for secret in (ids[0], "finished", PERSON):
        assert secret not in stream.getvalue()


def test_above_info_no_request_is_logged(lane: FhirLane, ask_app: AskApp) -> None:
    stream = io.StringIO()
    ask_app(FhirLane(lane.services, AccessLog("warning", stream)))("GET", "/fhir/metadata")
    assert stream.getvalue() == ""
    assert not AccessLog("warning", stream).each_request


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("content", "headers", "status", "expected"),
    [
        (b"status=finished", {"Content-Type": "application/json"}, 415, "media-type-unsupported"),
        (b"status=finished", {}, 415, "media-type-unsupported"),
        (b"status=finished", FORM | {"Content-Encoding": "br"}, 415, "coding-unsupported"),
        (b"status=finished", FORM | {"Content-Encoding": "gzip"}, 400, "body-not-unpacked"),
        (b"_id=" + b"a" * 70_000, FORM, 413, "body-too-large"),
        (b"_id=\xff", FORM, 400, "search-value-invalid"),
        (b"_id=%FF", FORM, 400, "search-value-invalid"),
        (b"_id=%00", FORM, 400, "search-value-invalid"),
    ],
)
def test_a_form_that_cannot_be_read_is_refused(
    ask: Ask, content: bytes, headers: Any, status: int, expected: str
) -> None:
    answer = ask("POST", "/fhir/Encounter/_search", content=content, headers=headers)
    assert (answer.status_code, code(answer)) == (status, expected)


def test_a_body_without_a_length_is_stopped_at_the_limit(ask: Ask) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"_id=" + b"a" * 1000

    answer = ask("POST", "/fhir/Encounter/_search", content=endless(), headers=FORM)
    assert (answer.status_code, code(answer)) == (413, "body-too-large")


def test_no_body_is_sent_in_answer_to_head(lane: FhirLane) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    scope = {"type": "http", "method": "HEAD", "path": "/fhir/metadata", "query_string": b"", "headers": []}
    asyncio.run(lane(scope, receive, send))
    assert dict(sent[0]["headers"])[b"content-length"] != b"0"
    assert sent[1]["body"] == b""


def test_a_client_that_leaves_before_its_form_is_whole_gets_nothing(lane: FhirLane) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    messages = iter(({"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}))

    async def receive() -> Any:
        return next(messages)

    path = "/fhir/Encounter/_search"
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    asyncio.run(lane(scope, receive, send))
    assert sent == []
