"""The base URL that a trusted proxy tells, and that nobody else can tell one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

from fhir_facade.app import build_app
from fhir_facade.cli import app as command_line
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.outcome import Refused
from fhir_facade.rest.forwarded import Proxies, base_url_of
from fhir_facade.rest.surface import MOST_BASES, FhirLane
from fhir_facade.settings import Settings

BASE = "https://inner.example/r4"
PROXIES = Proxies.of(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"])
TRUSTED, OTHER = "10.1.2.3", "198.51.100.9"


def base_of(headers: dict[str, str], peer: str = TRUSTED) -> str:
    raw = {name.lower().encode(): value.encode() for name, value in headers.items()}
    return base_url_of(raw, peer, PROXIES, BASE, "/fhir")


@pytest.mark.parametrize(
    ("address", "trusted"),
    [
        ("10.0.0.1", True),
        ("10.0.0.1:4711", True),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8::1", True),
        ("[2001:db8::1]", True),
        ("[2001:db8::1]:80", True),
        ("::ffff:10.0.0.1", True),
        ("::ffff:11.0.0.1", False),
        ("", False),
        ("unknown", False),
        ("_hidden", False),
        ("10.0.0.1.evil.example", False),
        ("999.0.0.1", False),
    ],
)
def test_addresses_are_trusted_by_network(address: str, trusted: bool) -> None:
    assert PROXIES.trust(address) is trusted


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, BASE),
        ({"Host": "evil.example"}, BASE),
        ({"X-Forwarded-For": "1.2.3.4"}, BASE),
        ({"X-Forwarded-Host": "a.example"}, "https://a.example/r4"),
        ({"X-Forwarded-Proto": "http", "X-Forwarded-Host": "a.example:8080"}, "http://a.example:8080/r4"),
        ({"X-Forwarded-Proto": "http", "Host": "b.example"}, "http://b.example/r4"),
        ({"X-Forwarded-Proto": "HTTPS", "X-Forwarded-Host": "[2001:db8::1]:1"}, "https://[2001:db8::1]:1/r4"),
        ({"X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/epj/"}, "https://a.example/epj/fhir"),
        ({"X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/"}, "https://a.example/fhir"),
        ({"Forwarded": "host=a.example;proto=http"}, "http://a.example/r4"),
        ({"Forwarded": 'For="[2001:db8::9]:47";Host="a.example:8443" ; proto=https'}, "https://a.example:8443/r4"),
        ({"Forwarded": "proto=http", "Host": "b.example"}, "http://b.example/r4"),
        ({"Forwarded": "host=a.example", "X-Forwarded-Host": "evil.example"}, "https://a.example/r4"),
        ({"Forwarded": "host=a.example", "X-Forwarded-Prefix": "/x"}, "https://a.example/x/fhir"),
        # what comes before the trusted proxies may be said by anyone
        ({"Forwarded": "host=evil.example, for=1.2.3.4;host=a.example"}, "https://a.example/r4"),
        ({"Forwarded": "host=evil.example;for=6.6.6.6, for=1.2.3.4;host=a.example, for=10.9.9.9"}, "https://a.example/r4"),
        ({"Forwarded": "for=1.2.3.4;host=a.example;proto=https, for=10.9.9.9;host=mid.example;proto=http"}, "https://a.example/r4"),
        ({"Forwarded": "for=10.8.8.8;host=a.example, for=10.9.9.9;proto=http"}, "http://a.example/r4"),
        ({"X-Forwarded-For": "6.6.6.6, 1.2.3.4", "X-Forwarded-Host": "evil.example, a.example"}, "https://a.example/r4"),
        ({"X-Forwarded-For": "6.6.6.6, 1.2.3.4, 10.9.9.9", "X-Forwarded-Host": "evil.example, a.example, mid.example"}, "https://a.example/r4"),
        ({"X-Forwarded-For": "10.8.8.8, 10.9.9.9", "X-Forwarded-Host": "a.example"}, "https://a.example/r4"),
    ],
)  # fmt: skip
def test_a_trusted_proxy_tells_the_base_url(headers: dict[str, str], expected: str) -> None:
    assert base_of(headers) == expected
    assert base_of(headers, OTHER) == BASE
    assert base_of(headers, "") == BASE


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "a b"},
        {"X-Forwarded-Host": "a.example/x"},
        {"X-Forwarded-Host": 'a"><script>'},
        {"X-Forwarded-Host": "user@a.example"},
        {"X-Forwarded-Proto": "javascript", "X-Forwarded-Host": "a.example"},
        {"X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "//evil.example"},
        {"X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "/a?b"},
        {"X-Forwarded-Host": "a.example", "X-Forwarded-Prefix": "x"},
        {"Forwarded": "host=<x>"},
        {"Forwarded": "host"},
        {"Forwarded": 'host="a'},
        {"Forwarded": '"'},
    ],
)
def test_what_cannot_stand_in_a_url_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(Refused) as refused:
        base_of(headers)
    assert refused.value.issues[0].code == "forwarded-invalid"
    assert base_of(headers, OTHER) == BASE


# ---- over HTTP


def asking(app: Any, peer: str) -> Any:
    """A function that asks an application as a peer of this address."""

    def ask(method: str, path: str, **options: Any) -> httpx.Response:
        async def once() -> httpx.Response:
            transport = httpx.ASGITransport(app, client=(peer, 4711))
            async with httpx.AsyncClient(transport=transport, base_url="http://inner.example") as client:
                return await client.request(method, path, **options)

        return asyncio.run(once())

    return ask


@pytest.fixture
def proxied(lane: FhirLane) -> FhirLane:
    return FhirLane(lane.services, proxies=PROXIES)


OUTER = {"Forwarded": "host=epj.example.no;proto=https", "X-Forwarded-Prefix": "/sykehus"}
OUTER_BASE = "https://epj.example.no/sykehus/fhir"


def test_every_link_begins_with_what_the_proxy_tells(proxied: FhirLane) -> None:
    ask = asking(proxied, TRUSTED)
    bundle = ask("GET", "/fhir/Encounter?_count=2", headers=OUTER).json()
    urls = [link["url"] for link in bundle["link"]] + [entry["fullUrl"] for entry in bundle["entry"]]
    assert all(url.startswith(f"{OUTER_BASE}/Encounter") for url in urls)
    statement = ask("GET", "/fhir/metadata", headers=OUTER).json()
    assert statement["implementation"]["url"] == OUTER_BASE
    terms = ask("GET", "/fhir/metadata?mode=terminology", headers=OUTER).json()
    assert terms["implementation"]["url"] == OUTER_BASE
    page = ask("GET", "/fhir/CodeSystem?_count=1", headers=OUTER).json()
    assert all(link["url"].startswith(f"{OUTER_BASE}/CodeSystem") for link in page["link"])


def test_who_is_not_trusted_changes_nothing(proxied: FhirLane, lane: FhirLane) -> None:
    plain = asking(lane, TRUSTED)("GET", "/fhir/Encounter?_count=2").content
    assert asking(proxied, OTHER)("GET", "/fhir/Encounter?_count=2", headers=OUTER).content == plain
    assert asking(lane, TRUSTED)("GET", "/fhir/Encounter?_count=2", headers=OUTER).content == plain
    assert asking(proxied, TRUSTED)("GET", "/fhir/Encounter?_count=2").content == plain


def test_a_page_goes_on_under_another_name(proxied: FhirLane) -> None:
    ask = asking(proxied, TRUSTED)
    patient = ask("GET", "/fhir/Encounter?_count=1").json()["entry"][0]["resource"]["subject"]["reference"]
    query = f"/fhir/Encounter?_count=1&subject={OUTER_BASE}/{patient}"
    first = ask("GET", query, headers=OUTER).json()
    assert len(first["entry"]) == 1
    first = ask("GET", "/fhir/Encounter?_count=1", headers=OUTER).json()
    following = {link["relation"]: link["url"] for link in first["link"]}["next"]
    inner = following.replace(OUTER_BASE, "/fhir")
    others = {"Forwarded": "host=other.example;proto=http"}
    second, elsewhere = (ask("GET", inner, headers=headers) for headers in (OUTER, others))
    assert second.status_code == elsewhere.status_code == 200
    assert [each["resource"] for each in second.json()["entry"]] == [
        each["resource"] for each in elsewhere.json()["entry"]
    ]
    assert elsewhere.json()["entry"][0]["fullUrl"].startswith("http://other.example/fhir/Encounter/")


def test_a_wrong_header_of_a_proxy_is_told(proxied: FhirLane) -> None:
    answer = asking(proxied, TRUSTED)("GET", "/fhir/metadata", headers={"X-Forwarded-Host": "a b"})
    assert (answer.status_code, answer.json()["issue"][0]["details"]["coding"][0]["code"]) == (400, "forwarded-invalid")


def test_few_base_urls_are_kept_and_none_outlives_its_mappings(proxied: FhirLane, mapping_set: MappingSet) -> None:
    ask = asking(proxied, TRUSTED)
    for number in range(MOST_BASES + 5):
        host = f"h{number}.example"
        url = ask("GET", "/fhir/metadata", headers={"X-Forwarded-Host": host}).json()["implementation"]["url"]
        assert url == f"http://{host}/fhir"
    assert len(proxied._by_base) == MOST_BASES
    proxied.services = proxied.services_with(mapping_set)
    scope = {"client": (TRUSTED, 1), "headers": [(b"x-forwarded-host", host.encode())]}
    assert proxied.services_for(scope).translations is proxied.services.translations


# ---- settings


@pytest.mark.parametrize("url", ["https://fhir.example.no/fhir", "http://127.0.0.1:8000/fhir/", "https://[::1]:8/", ""])
def test_a_base_url_is_taken(url: str) -> None:
    assert Settings(base_url=url).fhir_base == (url or "http://127.0.0.1:8000/fhir").rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "fhir.example.no/fhir", "ftp://fhir.example.no", "https://", "https:///fhir", "/fhir", "https://a b/fhir",
        "https://user:secret@a.example/fhir", "https://a.example/fhir?x=1", "https://a.example/fhir#x",
        "https://a.example:x/fhir", "https://a.example:99999/fhir", 'https://a.example/"', "https://a.example\\fhir",
    ],
)  # fmt: skip
def test_what_is_no_base_url_stops_the_start(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ValidationError):
        Settings(base_url=url)
    monkeypatch.setenv("FHIR_FACADE_BASE_URL", url)
    told = CliRunner().invoke(command_line, ["serve", "--db", str(tmp_path / "x.db")])
    assert told.exit_code == 2
    assert "setting base_url: " in told.output


@pytest.mark.parametrize("value", ["10.0.0.0", '["10.0.0.0/33"]', '["example.no"]', "[1]"])
def test_what_is_no_network_stops_the_start(value: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FHIR_FACADE_TRUSTED_PROXIES", value)
    told = CliRunner().invoke(command_line, ["serve", "--db", str(tmp_path / "x.db")])
    assert told.exit_code == 2
    assert "trusted_proxies" in told.output


def test_the_settings_name_the_proxies_of_the_whole_server(database: Path) -> None:
    settings = Settings(database=database, trusted_proxies=("10.0.0.0/8",), log_level="error")
    ask, other = (asking(build_app(settings), peer) for peer in (TRUSTED, OTHER))
    assert ask("GET", "/", headers=OUTER).json()["fhir"] == OUTER_BASE
    assert ask("GET", "/openapi.json", headers=OUTER).json()["servers"] == [{"url": OUTER_BASE}]
    assert other("GET", "/", headers=OUTER).json()["fhir"] == settings.fhir_base
    assert other("GET", "/openapi.json", headers=OUTER).json()["servers"] == [{"url": settings.fhir_base}]
