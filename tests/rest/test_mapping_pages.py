"""The pages under /mappings: what is given in which form, and every fault as an OperationOutcome."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from fhir_facade.app import build_app
from fhir_facade.mapping.docs_prints import PRINTS
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.mapping.to_docs import mapping_table
from fhir_facade.settings import Settings
from tests.rest.test_surface import PERSON

Ask = Callable[..., httpx.Response]
NAME = "pasient-patient"


@pytest.fixture
def ask(database: Path, ask_app: Callable[[Any], Ask]) -> Ask:
    return ask_app(build_app(Settings(database=database, log_level="error")))


def test_the_index_names_every_mapping_with_links_that_work(ask: Ask, mapping_set: MappingSet) -> None:
    page = ask("GET", "/mappings", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    told = ask("GET", "/mappings", headers={"Accept": "application/json"})
    assert told.headers["content-type"] == "application/json"
    assert {each["mapping"] for each in told.json()} == set(mapping_set.mappings)
    for each in told.json():
        for ending in ("html", "csv", "json"):
            assert f'href="{each["table"]}.{ending}"' in page.text
        assert ask("GET", each["table"]).status_code == 200


@pytest.mark.parametrize(
    ("path", "accept", "form"),
    [
        ("", "", "html"), ("", "*/*", "html"), ("", "text/*", "html"),
        ("", "application/json", "json"), ("", "text/csv", "csv"),
        ("", "text/html;q=0.5, text/csv", "csv"), ("", "text/html;q=0, */*", "csv"),
        (".csv", "text/html", "csv"), (".json", "", "json"), (".html", "application/json", "html"),
    ],
)  # fmt: skip
def test_a_table_is_given_as_asked_for(ask: Ask, mapping_set: MappingSet, path: str, accept: str, form: str) -> None:
    answer = ask("GET", f"/mappings/{NAME}{path}", headers={"Accept": accept})
    media, prints = PRINTS[form]
    assert (answer.status_code, answer.headers["content-type"]) == (200, media)
    assert answer.content == prints([mapping_table(mapping_set.mappings[NAME], mapping_set.kinds)])
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("path", ["/mappings", f"/mappings/{NAME}.csv"])
def test_head_says_what_get_would_without_the_body(ask: Ask, path: str) -> None:
    whole, head = ask("GET", path), ask("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length", "vary"):
        assert head.headers[name] == whole.headers[name]


@pytest.mark.parametrize(
    ("method", "path", "accept", "status", "code"),
    [
        ("GET", "/mappings/pasient-patien", "", 404, "mapping-unknown"),
        ("GET", f"/mappings/{NAME}.xml", "", 404, "mapping-unknown"),
        ("GET", f"/mappings/{NAME}/rows", "", 404, "path-unknown"),
        ("GET", f"/mappings/{NAME}", "application/pdf", 406, "page-not-acceptable"),
        ("GET", "/mappings", "text/csv", 406, "page-not-acceptable"),
        ("POST", f"/mappings/{NAME}", "", 405, "method-not-allowed"),
        ("DELETE", "/mappings", "", 405, "method-not-allowed"),
        ("GET", f"/mappings/{PERSON}", "", 400, "person-number-in-url"),
    ],
)
def test_faults_are_outcomes(ask: Ask, method: str, path: str, accept: str, status: int, code: str) -> None:
    answer = ask(method, path, headers={"Accept": accept, "Accept-Language": "nb"})
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/fhir+json")
    issue = orjson.loads(answer.content)["issue"][0]
    assert issue["details"]["coding"][0]["code"] == code
    assert PERSON not in answer.text
    assert answer.headers["content-language"] == "nb"
    if status == 405:
        assert {each.strip() for each in answer.headers["allow"].split(",")} == {"GET", "HEAD"}
    if path.endswith("patien"):
        assert "did you mean 'pasient-patient'?" in issue["details"]["text"]


def test_the_index_of_the_server_leads_there(ask: Ask) -> None:
    assert ask("GET", "/").json()["mappings"] == "/mappings"
    assert 'href="/mappings"' in ask("GET", "/", headers={"Accept": "text/html"}).text
