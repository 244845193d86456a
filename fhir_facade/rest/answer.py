"""Answers: a status, the bytes of a body and headers; and how issues become one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import orjson

from fhir_facade.outcome import Issue, operation_outcome
from fhir_facade.rest.numbers import dumps, loads

Header = tuple[bytes, bytes]

MEDIA_TYPE = b"application/fhir+json"
MOST_ISSUES = 50
WAIT = {429: b"1", 503: b"1"}
"""Seconds after which a request that was turned away may be sent again, by status."""

# On every answer of the lane: a browser may keep a copy for itself only and asks again before using it.
FIXED: tuple[Header, ...] = (
    (b"content-type", MEDIA_TYPE),
    (b"cache-control", b"private, no-cache"),
    (b"x-content-type-options", b"nosniff"),
    (b"vary", b"accept, accept-encoding, accept-language, prefer"),
)


class Answer:
    """What goes back over HTTP; Content-Length and X-Request-Id are added by the lane.

    `pieces` are the body where it is made while it is sent, else None.
    """

    __slots__ = ("body", "headers", "pieces", "status")

    def __init__(self, status: int, body: bytes, *headers: Header) -> None:
        self.status = status
        self.body = body
        self.pieces: AsyncIterator[bytes] | None = None
        self.headers: list[Header] = [*FIXED, *headers]


def outcome_answer(issues: Sequence[Issue], status: int, language: str) -> Answer:
    """The answer that is an OperationOutcome; says which methods are allowed where a method was wrong."""
    headers = [(b"content-language", language.encode())]
    for issue in issues:
        if issue.code == "method-not-allowed":
            headers.append((b"allow", ", ".join(issue.facts["allowed"]).encode()))
    if status == 408:  # what may still come of the request is not waited for
        headers.append((b"connection", b"close"))
    if status in WAIT:
        headers.append((b"retry-after", WAIT[status]))
    body = orjson.dumps(operation_outcome(issues[:MOST_ISSUES], language))
    return Answer(status, body, *headers)


def pretty(body: bytes) -> bytes:
    """The same JSON, indented for people; each number keeps its digits."""
    return dumps(loads(body), orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
