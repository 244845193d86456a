"""Requests that are no HTTP, or too long to be read, answered with OperationOutcomes like every other fault.

They never reach the application: uvicorn's parser refuses them, and answers in plain text by itself.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fhir_facade.outcome import Issue
from fhir_facade.rest.answer import outcome_answer

if TYPE_CHECKING:
    from asyncio import Transport

URL_LIMIT = 65_535
"""Most bytes of a URL; the parser holds places in it as 16-bit numbers."""
LINGER = 2.0
"""Seconds for which what a client still sends is thrown away: closing at once could take the answer from it."""


class FaultsAsOutcomes(HttpToolsProtocol):
    """One connection; what cannot be parsed is told and ends it."""

    transport: Transport
    url = b""
    _ended = False

    def data_received(self, data: bytes) -> None:
        if not self._ended:
            super().data_received(data)

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > URL_LIMIT:
            raise ValueError("URL too long")  # the parser stops, and its error leads to send_400_response

    def send_400_response(self, msg: str) -> None:
        """Tell what is wrong, then listen a little and close."""
        too_long = len(self.url) > URL_LIMIT
        issue = Issue("url-too-long", "", {"limit": URL_LIMIT}) if too_long else Issue("request-malformed")
        answer = outcome_answer([issue], issue.entry.status, "en")
        status = HTTPStatus(answer.status)
        answer.headers += [(b"content-length", b"%d" % len(answer.body)), (b"connection", b"close")]
        head = b"".join(b"%s: %s\r\n" % header for header in answer.headers)
        self._ended = True
        self.transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, status.phrase.encode(), head, answer.body))
        self.loop.call_later(LINGER, self.transport.close)
