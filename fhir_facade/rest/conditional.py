"""Versions over HTTP: instants as HTTP dates, and whether the client has what it asks for (RFC 9110, 13)."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from fhir_facade.rest.services import Request

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TAGS = re.compile(rb'"[^"]*"').findall  # a tag may hold a comma
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def instant_of(moment: datetime) -> str:
    """A moment as the store writes it: ISO 8601, UTC, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def http_date(instant: str) -> bytes:
    """2026-01-01T00:00:00.000Z → Thu, 01 Jan 2026 00:00:00 GMT."""
    if not instant.endswith("Z"):
        instant = datetime.fromisoformat(instant).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{_day(instant[:10])} {instant[11:19]} GMT".encode()


@lru_cache(maxsize=4096)
def _day(text: str) -> str:
    day = date.fromisoformat(text)
    return f"{DAYS[day.weekday()]}, {day.day:02d} {MONTHS[day.month - 1]} {day.year:04d}"


def is_conditional(request: Request) -> bool:
    """Whether the client tells which version it has."""
    return b"if-none-match" in request.headers or b"if-modified-since" in request.headers


def not_modified(request: Request, etag: bytes, modified: bytes = b"") -> bool:
    """Whether 304 is the right answer; If-None-Match goes before If-Modified-Since."""
    tags = request.headers.get(b"if-none-match")
    if tags is not None:
        return has_tag(tags, etag)
    since = request.headers.get(b"if-modified-since")
    if since is None or not modified:
        return False
    known, current = _instant(since), _instant(modified)
    return known is not None and current is not None and current <= known


def has_tag(listed: bytes, etag: bytes) -> bool:
    """Whether an entity tag is in the list of If-None-Match; weak and strong are the same there.

    A bare `meta.versionId` counts as a tag: some clients send it without quotation marks.
    """
    tag = etag.removeprefix(b"W/")
    return tag in _TAGS(listed) or listed.strip() in (b"*", tag.strip(b'"'))


def _instant(text: bytes) -> float | None:
    try:
        return parsedate_to_datetime(text.decode("latin-1")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
