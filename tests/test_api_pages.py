"""The page of requests: whole without any network, and allowed to load nothing but its own files."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest

from fhir_facade.api_pages import page_files
from fhir_facade.app import build_app
from fhir_facade.settings import Settings

Ask = Callable[..., httpx.Response]
PAGE = "http://facade.test/docs"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    path = tmp_path_factory.mktemp("pages") / "x.db"
    from fhir_facade.mapping.mapping_set import load_mapping_set
    from fhir_facade.store.records import SqliteStore

    settings = Settings(database=path, base_url="https://fhir.example.no/fhir", log_level="error")
    mapping_set = load_mapping_set(settings.mappings)
    SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns).close()
    return build_app(settings)


@pytest.fixture
def ask(app: Any, ask_app: Callable[[Any], Ask]) -> Ask:
    return ask_app(app)


class Loaded(HTMLParser):
    """What a page refers to, and which of its attributes and elements hold script or style."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []
        self.inline: list[str] = []
        self._in = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag
        for name, value in attrs:
            if name in ("src", "href"):
                self.places.append(value or "")
            elif name == "style" or name.startswith("on"):
                self.inline.append(name)

    def handle_data(self, data: str) -> None:
        if self._in in ("script", "style") and data.strip():
            self.inline.append(data)


def test_the_page_loads_its_own_files_only_and_each_is_there(ask: Ask) -> None:
    page = ask("GET", "/docs")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    loaded = Loaded()
    loaded.feed(page.text)
    assert loaded.inline == []
    assert len(loaded.places) == 5
    for place in loaded.places:
        url = urljoin(PAGE, place)
        assert url.startswith("http://facade.test/"), place
        answer = ask("GET", url.removeprefix("http://facade.test"))
        assert answer.status_code == 200, place
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_nothing_is_loaded_by_the_styles(ask: Ask) -> None:
    styles = ask("GET", "/docs/swagger-ui.css").text
    assert "@import" not in styles
    places = re.findall(r"url\(\s*[\"']?([^)\s]{0,40})", styles)
    assert places
    assert [each for each in places if not each.startswith("data:")] == []


def test_the_script_is_started_on_our_document_and_asks_no_validator(ask: Ask) -> None:
    start = ask("GET", "/docs/start.js").text
    assert "SwaggerUIBundle(" in start
    assert "validatorUrl: null" in start
    url = re.search(r'url: "([^"]+)"', start)
    assert url is not None
    document = ask("GET", urljoin("/docs", url[1])).json()
    assert document["openapi"].startswith("3.1")
    assert "SwaggerUIBundle" in ask("GET", "/docs/swagger-ui-bundle.js").text


def test_the_policy_allows_no_other_place(ask: Ask) -> None:
    policy = dict(
        part.strip().split(" ", 1) for part in ask("GET", "/docs").headers["content-security-policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data:",
        "connect-src": "'self' https://fhir.example.no",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }


@pytest.mark.parametrize("name", ["", *("/" + each for each in page_files() if each)])
def test_a_file_that_a_browser_has_is_not_sent_again(ask: Ask, name: str) -> None:
    first = ask("GET", "/docs" + name)
    again = ask("GET", "/docs" + name, headers={"If-None-Match": f'"x", {first.headers["etag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert ask("GET", "/docs" + name, headers={"If-None-Match": '"x"'}).status_code == 200


@pytest.mark.parametrize("name", ["none.js", "..%2fmain.py", "../../app.py", "%2e%2e/x", "resources"])
def test_no_other_file_is_given(ask: Ask, name: str) -> None:
    answer = ask("GET", f"/docs/{name}")
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


def test_the_index_leads_to_the_page(ask: Ask) -> None:
    assert ask("GET", "/").json()["docs"] == "/docs"
    assert 'href="/docs"' in ask("GET", "/", headers={"Accept": "text/html"}).text


def test_the_files_are_those_of_the_package_unchanged() -> None:
    import fastapi_swagger

    folder = Path(fastapi_swagger.__file__).parent / "resources"
    for path in folder.glob("swagger-ui*"):
        assert page_files()[path.name].content == path.read_bytes()
