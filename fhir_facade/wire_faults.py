"""Requests that are no HTTP, or too long to be read, answered with OperationOutcomes like every other fault.

They never reach the application: uvicorn's parser refuses them, and answers in plain text by itself.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fhir_facade.outcome import Issue
from fhir_facade.rest.answer import outcome_answer
from fhir_facade.wire_limits import URL_LIMIT

if TYPE_CHECKING:
    from asyncio import BaseTransport, TimerHandle, Transport

LINGER = 2.0
"""Seconds for which what a client still sends is thrown away: closing at once could take the answer from it."""


class FaultsAsOutcomes(HttpToolsProtocol):
    """One connection; what cannot be parsed, is too long or comes too slowly is told and ends it.

    The headers of a request may have `header_bytes`, and have to be whole within `header_seconds` of the first
    of them, or of the connection.
    """

    header_bytes = 65_536
    header_seconds = 10.0
    transport: Transport
    url = b""
    _ended = False
    _in_head = True
    _size = _part = 0  # bytes since the request began, at most; of these what came last
    _waiting: TimerHandle | None = None
    _fault: Issue | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._wait_no_longer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._ended:
            return
        self._part = len(data)
        if self._in_head:
            self._size += self._part
        super().data_received(data)
        if self._in_head and self._size and not self._ended:
            if self._size > self.header_bytes + len(self.url):
                self._fault = Issue("headers-too-large", "", {"limit": self.header_bytes})
                self.send_400_response("")
            elif self._waiting is None:
                self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._in_head, self._size = True, self._part

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > URL_LIMIT:
            self._fault = Issue("url-too-long", "", {"limit": URL_LIMIT})
            raise ValueError("URL too long")  # the parser stops, and its error leads to send_400_response

    def on_headers_complete(self) -> None:
        most = self.header_bytes
        if self._size > most and sum(len(name) + len(value) for name, value in self.headers) > most:
            self._fault = Issue("headers-too-large", "", {"limit": most})
            raise ValueError("headers too large")
        self._wait_no_longer()
        self._in_head, self._size = False, 0
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Tell what is wrong, then listen a little and close."""
        self._wait_no_longer()
        issue = self._fault or Issue("request-malformed")
        answer = outcome_answer([issue], issue.entry.status, "en")
        status = HTTPStatus(answer.status)
        close = [] if (b"connection", b"close") in answer.headers else [(b"connection", b"close")]
        answer.headers += [(b"content-length", b"%d" % len(answer.body)), *close]
        head = b"".join(b"%s: %s\r\n" % header for header in answer.headers)
        self._ended = True
        self.transport.write(b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, status.phrase.encode(), head, answer.body))
        self.loop.call_later(LINGER, self.transport.close)

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.header_seconds, self._give_up)

    def _wait_no_longer(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        """The headers did not come in time; who has sent nothing at all is told nothing."""
        self._waiting = None
        if self._size:
            self._fault = Issue("headers-too-slow", "", {"limit": f"{self.header_seconds:g}"})
            self.send_400_response("")
        else:
            self.transport.close()
