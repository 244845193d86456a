"""The assembled server: in this process over ASGI, and as a process of its own over loopback."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from fhir_facade.app import Server, build_app
from fhir_facade.mapping.findings import MappingError
from fhir_facade.mapping.mapping_set import load_mapping_set
from fhir_facade.outcome import Refused
from fhir_facade.rest.openapi import openapi
from fhir_facade.settings import Settings
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into

Ask = Callable[..., httpx.Response]
AskApp = Callable[[Any], Ask]
WAIT = 60


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("app") / "x.db"
    chosen = Settings(database=path, base_url="https://fhir.example.no/fhir/", log_level="error")
    mapping_set = load_mapping_set(chosen.mappings)
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 5, 1, "2026-01-01T10:00:00.000Z")
    store.close()
    return chosen


@pytest.fixture
def server(settings: Settings) -> Server:
    return build_app(settings)


@pytest.fixture
def ask(server: Server, ask_app: AskApp) -> Ask:
    return ask_app(server)


def test_links_begin_with_the_base_url_of_the_settings_and_not_with_the_host_header(ask: Ask) -> None:
    bundle = ask("GET", "/fhir/Patient?_count=1", headers={"Host": "evil.example"}).json()
    urls = [link["url"] for link in bundle["link"]] + [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(urls) == 5  # self, first, next, last and the resource
    assert all(url.startswith("https://fhir.example.no/fhir/Patient") for url in urls)


def test_the_index_is_a_page_for_people_and_json_for_programs(ask: Ask) -> None:
    page = ask("GET", "/", headers={"Accept": "text/html"})
    assert page.headers["content-type"].startswith("text/html")
    assert 'href="https://fhir.example.no/fhir/metadata?_format=json&amp;_pretty=true"' in page.text
    assert re.findall(r"<(?:script|img|link)\b", page.text) == []
    assert ask("GET", "/").json()["metadata"] == "https://fhir.example.no/fhir/metadata"


def test_openapi_json_is_our_own_document(ask: Ask, server: Server) -> None:
    document = ask("GET", "/openapi.json").json()
    assert document == openapi(server.lane.services.mapping_set, "https://fhir.example.no/fhir")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/docs/none.js", 404), ("GET", "/fhirx", 404), ("POST", "/", 405)]
)
def test_faults_outside_fhir_are_outcomes_too(ask: Ask, method: str, path: str, status: int) -> None:
    answer = ask(method, path)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.headers["content-type"].startswith("application/fhir+json")


@pytest.mark.parametrize(
    "path", ["/", "/openapi.json", "/mappings", "/mappings/status", "/docs", "/docs/start.js", "/none"]
)
@pytest.mark.parametrize("coding", ["gzip", "zstd", "identity"])
def test_head_says_what_get_says_beside_fhir_too(ask: Ask, path: str, coding: str) -> None:
    got, head = (ask(method, path, headers={"Accept-Encoding": coding}) for method in ("GET", "HEAD"))
    assert head.content == b""
    assert head.status_code == got.status_code == (404 if path == "/none" else 200)
    differing = {
        key for key in got.headers.keys() | head.headers.keys() if got.headers.get(key) != head.headers.get(key)
    }
    assert differing == {"x-request-id"}
    assert "accept-encoding" in got.headers["vary"]
    assert got.headers.get("content-encoding", "identity") == (coding if len(got.content) >= 1024 else "identity")


def test_nothing_is_sent_as_body_after_head(server: Server) -> None:
    """Asked without a client, which would throw a body away."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    for path in ("/", "/openapi.json", "/docs/start.js", "/fhir/metadata"):
        scope = {"type": "http", "method": "HEAD", "path": path, "query_string": b"", "headers": [], "root_path": ""}
        sent.clear()
        asyncio.run(server(scope, receive, send))
        assert int(dict(sent[0]["headers"])[b"content-length"]) > 0
        assert b"".join(each["body"] for each in sent[1:]) == b"", path


def test_every_answer_has_a_request_id(ask: Ask) -> None:
    for path in ("/", "/none", "/docs", "/fhir/metadata"):
        assert ask("GET", path, headers={"X-Request-Id": "abc-1"}).headers["x-request-id"] == "abc-1"
        one, two = (ask("GET", path, headers={"X-Request-Id": "not sane"}).headers["x-request-id"] for _ in range(2))
        assert "not sane" != one != two


def test_a_fault_beside_fhir_is_an_outcome(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("fault")

    monkeypatch.setattr("fhir_facade.app._index", fail)
    answer = ask("GET", "/", headers={"X-Request-Id": "abc-2"})
    assert (answer.status_code, answer.json()["issue"][0]["severity"]) == (500, "fatal")
    assert "abc-2" in answer.text
    assert "RuntimeError" not in answer.text


def test_two_servers_with_one_secret_take_each_others_page_tokens(settings: Settings, ask_app: AskApp) -> None:
    def following(ask: Ask) -> str:
        links = ask("GET", "/fhir/Patient?_count=1").json()["link"]
        return next(str(link["url"]) for link in links if link["relation"] == "next").replace(
            "https://fhir.example.no", ""
        )

    shared = settings.model_copy(update={"page_secret": Settings(page_secret="s3cret").page_secret})
    one, two, other = (ask_app(build_app(each)) for each in (shared, shared, settings))
    assert two("GET", following(one)).status_code == 200
    assert other("GET", following(one)).status_code == 400


def test_a_server_without_a_database_or_with_faulty_mappings_does_not_start(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        build_app(settings.model_copy(update={"database": tmp_path / "none.db"}))
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "x.yaml").write_text("record: x\n")
    with pytest.raises(MappingError):
        build_app(settings.model_copy(update={"mappings": tmp_path}))


def test_settings_come_from_the_environment_are_frozen_and_keep_the_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FHIR_FACADE_PORT", "9000")
    monkeypatch.setenv("FHIR_FACADE_PAGE_SECRET", "hemmelig")
    chosen = Settings()
    assert chosen.fhir_base == "http://127.0.0.1:9000/fhir"
    assert "hemmelig" not in repr(chosen)
    with pytest.raises(ValidationError):
        chosen.port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("host", "synthetic", "allowed"),
    [
        ("127.0.0.1", False, True),
        ("::1", False, True),
        ("0.0.0.0", False, False),
        ("0.0.0.0", True, True),
        ("", False, False),
    ],
)
def test_only_loopback_is_served_unless_the_data_is_synthetic(host: str, synthetic: bool, allowed: bool) -> None:
    assert Settings(host=host, synthetic_data=synthetic).address_is_allowed is allowed


@pytest.fixture(scope="module")
def demo() -> Iterator[tuple[list[str], int]]:
    """A demo in a process of its own on a free port: the lines it printed and its process id."""
    command = [sys.executable, "-m", "fhir_facade.cli", "demo", "--patients", "5", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if "openapi.json" in line:
                break
        yield lines, process.pid
        os.kill(process.pid, signal.SIGTERM)
        _, said = process.communicate(timeout=WAIT)
        assert process.returncode == 0, said
        assert said == ""


def test_the_demo_prints_five_requests_that_work(demo: tuple[list[str], int]) -> None:
    requests = [shlex.split(line) for line in demo[0] if line.startswith("curl")]
    assert len(requests) == 5
    for words in requests:
        data = words[words.index("-d") + 1] if "-d" in words else None
        url = next(word for word in words if word.startswith("http"))
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if data else {}
        answer = httpx.request("POST" if data else "GET", url, content=data, headers=headers, timeout=WAIT)
        assert answer.status_code == 200, url
        assert answer.headers["content-type"] == "application/fhir+json"
        body = answer.json()
        assert body["resourceType"] != "Bundle" or body["entry"]


def test_over_a_socket_head_and_304_have_no_body_and_the_connection_lives_on(
    demo: tuple[list[str], int],
) -> None:
    base = demo[0][0].split()[3]
    with httpx.Client(timeout=WAIT) as client:
        whole = client.get(f"{base}/metadata")
        assert whole.headers["content-length"] == str(whole.num_bytes_downloaded)
        assert client.head(f"{base}/metadata").headers["content-length"] == whole.headers["content-length"]
        again = client.get(f"{base}/metadata", headers={"If-None-Match": whole.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.post(f"{base}/Encounter/_search", content=b"a" * 70_000).status_code == 413
        assert client.get(f"{base}/Patient?_count=1").status_code == 200
        assert "server" not in whole.headers


def test_settings_take_several_page_secrets_and_the_life_of_links(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FHIR_FACADE_PAGE_SECRET", "new  old")
    monkeypatch.setenv("FHIR_FACADE_PAGE_LIFE", "60")
    given = Settings()
    assert given.page_secrets == (b"new", b"old")
    assert settings.model_copy(update={"page_secret": Settings(page_secret="").page_secret}).page_secrets == ()
    server = build_app(settings.model_copy(update={"page_secret": given.page_secret, "page_life": given.page_life}))
    assert server.lane.services.tokens.life == 60
