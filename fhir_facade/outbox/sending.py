"""One change to the endpoint of the record system, as a FHIR interaction with the name of the change as its key.

PUT and DELETE of https://hl7.org/fhir/R4/http.html, with Idempotency-Key of
https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header. A connection is used once, so that
none is found dead in the middle of a change; redirects are not followed.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import orjson

from fhir_facade.outbox.verdicts import Answer
from fhir_facade.store.outbox_tables import Entry

FHIR_JSON = "application/fhir+json"
MOST_READ = 64 * 1024
_CODE = re.compile(r"[a-z][a-z-]{0,30}").fullmatch


@dataclass(frozen=True)
class Endpoint:
    """Where changes go: a FHIR base URL, headers that each request has, seconds for one whole request."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 10.0

    def send(self, entry: Entry) -> Answer:
        """Tell of one change; whatever happens becomes an answer."""
        began = monotonic()
        try:
            return self._send(entry, began)
        except (OSError, http.client.HTTPException, ValueError) as error:
            is_late = isinstance(error, TimeoutError) or monotonic() - began >= self.timeout
            return Answer(0, "no answer in time" if is_late else _why(error))

    def _send(self, entry: Entry, began: float) -> Answer:
        parts = urlsplit(self.url)
        connection = _connection(parts.scheme, parts.hostname or "", parts.port, self.timeout)
        try:
            connection.connect()
            left = max(self.timeout - (monotonic() - began), 0.001)
            with _ended(connection.sock, left) as ended:  # the socket's own limit is for each of its reads
                body = None if entry.content is None else entry.content.encode()
                method = "DELETE" if entry.act == "delete" else "PUT"
                path = f"{parts.path.rstrip('/')}/{entry.type}/{entry.id}"
                connection.request(method, path, body, {**self.headers, **_headers(entry)})
                response = connection.getresponse()
                said = response.read(MOST_READ)
            if ended.is_late:
                raise TimeoutError
            if response.length and len(said) < MOST_READ:
                raise http.client.IncompleteRead(said, response.length)
            return Answer(response.status, _codes(said), _wait(response.headers.get("Retry-After")))
        finally:
            connection.close()


def _connection(scheme: str, host: str, port: int | None, timeout: float) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port, timeout=timeout)


def _headers(entry: Entry) -> dict[str, str]:
    """What says which change it is; position and act are for receivers that want to know more than PUT tells."""
    return {
        "Idempotency-Key": entry.change,
        "Outbox-Position": str(entry.position),
        "Outbox-Change": entry.act,
        "Accept": FHIR_JSON,
        "Prefer": "return=minimal",
        **({} if entry.content is None else {"Content-Type": FHIR_JSON}),
    }


class _ended:
    """Shuts a socket down when the block takes longer than so many seconds."""

    def __init__(self, open_socket: socket.socket, seconds: float) -> None:
        self.socket = open_socket
        self.timer = threading.Timer(seconds, self._end)
        self.timer.daemon = True
        self.is_late = False

    def _end(self) -> None:
        self.is_late = True
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> _ended:
        self.timer.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self.timer.cancel()


def _why(error: BaseException) -> str:
    """A fault of the connection in words of ours; the system's may quote an address, and the library's an answer."""
    if isinstance(error, socket.gaierror):
        return "the name of the endpoint is not known"
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the certificate of the endpoint is not trusted"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, OSError | http.client.RemoteDisconnected | http.client.IncompleteRead):
        return "the connection was lost"
    return "the answer is no HTTP"


def _codes(said: bytes) -> str:
    """The issue codes of an OperationOutcome; its texts may speak of a person."""
    try:
        answer: Any = orjson.loads(said)
        issues = answer["issue"] if answer["resourceType"] == "OperationOutcome" else []
        codes = [str(issue["code"]) for issue in issues[:5]]
    except (ValueError, TypeError, KeyError):
        return ""
    return ", ".join(dict.fromkeys(code for code in codes if _CODE(code)))


def _wait(text: str | None) -> float | None:
    """The seconds of Retry-After (RFC 9110, 10.2.3), which may be an instant; None where it is neither."""
    if text is None:
        return None
    if re.fullmatch("[0-9]{1,9}", text.strip()):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max((moment - datetime.now(UTC)).total_seconds(), 0.0)
