"""What is served beside FHIR, sent like the rest: a request id, compressed, no body after HEAD, faults as outcomes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from fhir_facade.outcome import Issue
from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.answer import Answer, outcome_answer
from fhir_facade.rest.encoding import accepted_coding, encode
from fhir_facade.rest.negotiation import language

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

OURS = frozenset({b"content-length", b"vary", b"x-content-type-options"})
"""Headers that are made anew when an answer is whole."""


class WholeAnswers:
    """ASGI callable around an application whose answers are small enough to be held whole.

    `request_id` gives the id of a request from its headers.
    """

    def __init__(self, app: Application, log: AccessLog, request_id: Callable[[Scope], str]) -> None:
        self._app = app
        self._log = log
        self._request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        identity, headers = self._request_id(scope), dict(scope["headers"])
        sent: list[Message] = []

        async def collect(message: Message) -> None:
            sent.append(message)

        try:
            await self._app(scope, receive, collect)
            answer = _whole(sent)
        except Exception as error:
            self._log.failure("(beside FHIR)", identity, error)
            tongue = language(headers.get(b"accept-language", b""))
            answer = outcome_answer([Issue("internal-error", "", {"request_id": identity})], 500, tongue)
        coding = accepted_coding(headers.get(b"accept-encoding", b""))
        if coding is not None:
            await encode(answer, coding)
        if answer.status != 304:
            answer.headers.append((b"content-length", b"%d" % len(answer.body)))
        answer.headers.append((b"x-request-id", identity.encode()))
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})


def _whole(sent: list[Message]) -> Answer:
    """One answer of the messages; what depends on the request's headers is said of every answer."""
    start, *rest = sent
    answer = Answer(start["status"], b"".join(each.get("body", b"") for each in rest))
    answer.headers = [header for header in start["headers"] if header[0] not in OURS]
    vary = dict(start["headers"]).get(b"vary", b"accept, accept-language")
    answer.headers += [(b"vary", vary + b", accept-encoding"), (b"x-content-type-options", b"nosniff")]
    return answer
