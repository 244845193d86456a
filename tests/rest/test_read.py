"""Reading one resource over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import orjson
import pytest

BOTH_STORES = True

Ask = Callable[..., httpx.Response]


def test_a_resource_is_read_with_its_version(ask: Ask, ids: list[str]) -> None:
    answer = ask("GET", f"/fhir/Encounter/{ids[0]}", headers={"Accept-Encoding": "identity"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/fhir+json"
    assert answer.json()["resourceType"] == "Encounter"
    assert answer.json()["id"] == ids[0]
    assert answer.headers["etag"].startswith('W/"')
    assert answer.headers["last-modified"].endswith(" GMT")
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_head_says_what_get_would_without_the_body(ask: Ask, ids: list[str]) -> None:
    whole, head = (ask(method, f"/fhir/Encounter/{ids[0]}") for method in ("GET", "HEAD"))
    assert head.status_code == 200
    assert head.content == b""
    for name in ("etag", "last-modified", "content-length", "content-type"):
        assert head.headers[name] == whole.headers[name]


def test_what_the_client_has_is_not_sent_again(ask: Ask, ids: list[str]) -> None:
    first = ask("GET", f"/fhir/Encounter/{ids[0]}")
    for header, value in (
        ("If-None-Match", first.headers["etag"]),
        ("If-Modified-Since", first.headers["last-modified"]),
    ):
        again = ask("GET", f"/fhir/Encounter/{ids[0]}", headers={header: value})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert "content-length" not in again.headers
    other = ask("GET", f"/fhir/Encounter/{ids[0]}", headers={"If-None-Match": 'W/"other"'})
    assert other.status_code == 200


def test_pretty_indents_the_same_resource(ask: Ask, ids: list[str]) -> None:
    plain = ask("GET", f"/fhir/Encounter/{ids[0]}")
    indented = ask("GET", f"/fhir/Encounter/{ids[0]}?_pretty=true&_format=json")
    assert indented.content.count(b"\n") > 3
    assert orjson.loads(indented.content) == orjson.loads(plain.content)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/fhir/Encounter/there-is-none", 404, "not-found"),
        ("/fhir/Encounter/" + "a" * 65, 400, "id-invalid"),
        ("/fhir/Encounter/a_b", 400, "id-invalid"),
        ("/fhir/Encounter/æ", 400, "id-invalid"),
        ("/fhir/Encounter/x?_format=ttl", 406, "format-not-acceptable"),
        ("/fhir/Encounter/x?_pretty=perhaps", 400, "search-value-invalid"),
        ("/fhir/Encounter/x?_summary=count", 400, "search-value-invalid"),
    ],
)
def test_a_read_that_cannot_be_answered_says_why(ask: Ask, path: str, status: int, code: str) -> None:
    answer = ask("GET", path)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == code
