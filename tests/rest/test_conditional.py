"""HTTP dates and conditional reads."""

from __future__ import annotations

import pytest

from fhir_facade.rest.conditional import http_date, not_modified
from fhir_facade.rest.services import Request

BOTH_STORES = True


@pytest.mark.parametrize(
    ("instant", "said"),
    [
        ("2026-01-01T00:00:00.000Z", b"Thu, 01 Jan 2026 00:00:00 GMT"),
        ("2024-02-29T23:59:59.999Z", b"Thu, 29 Feb 2024 23:59:59 GMT"),
        ("2026-07-01T01:30:00.000+02:00", b"Tue, 30 Jun 2026 23:30:00 GMT"),
    ],
)
def test_an_instant_becomes_an_http_date(instant: str, said: bytes) -> None:
    assert http_date(instant) == said


@pytest.mark.parametrize(
    ("headers", "current"),
    [
        ({}, False),
        ({b"if-none-match": b'W/"3-a"'}, True),
        ({b"if-none-match": b'"3-a"'}, True),
        ({b"if-none-match": b'"1", W/"3-a"'}, True),
        ({b"if-none-match": b"*"}, True),
        ({b"if-none-match": b" * "}, True),
        ({b"if-none-match": b'"a,b", W/"3-a","c"'}, True),
        ({b"if-none-match": b'"x, W/"3-a"'}, False),
        ({b"if-none-match": b'"1", *'}, False),
        ({b"if-none-match": b"3-a"}, True),
        ({b"if-none-match": b"3-"}, False),
        ({b"if-none-match": b"2-a, 3-a"}, False),
        ({b"if-none-match": b""}, False),
        ({b"if-none-match": b'W/"2-a"'}, False),
        ({b"if-modified-since": b"Thu, 01 Jan 2026 00:00:00 GMT"}, True),
        ({b"if-modified-since": b"Thu, 01 Jan 2026 00:00:01 GMT"}, True),
        ({b"if-modified-since": b"Wed, 31 Dec 2025 23:59:59 GMT"}, False),
        ({b"if-modified-since": b"yesterday"}, False),
        ({b"if-none-match": b'W/"2-a"', b"if-modified-since": b"Thu, 01 Jan 2026 00:00:01 GMT"}, False),
    ],
)
def test_the_clients_copy_is_current_when_tag_or_date_say_so(headers: dict[bytes, bytes], current: bool) -> None:
    request = Request("GET", b"", headers, "r")
    assert not_modified(request, b'W/"3-a"', b"Thu, 01 Jan 2026 00:00:00 GMT") is current
