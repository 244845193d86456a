"""Requests that name themselves by Idempotency-Key: one that is sent again is answered again, and done once.

https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header. Writers take turns, so the second of
two at once waits for the first and then has its answer. Only what was done is kept: a refusal changes nothing.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta

import orjson

from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer
from fhir_facade.rest.conditional import instant_of
from fhir_facade.rest.services import Request, Services
from fhir_facade.store.replies import Reply
from fhir_facade.store.writer import Writer
from fhir_facade.terminology.identity import holds_person_number

HEADER = b"idempotency-key"
REPLAYED = (b"idempotency-replayed", b"true")
HOURS = 24
_NAME = re.compile(rb'"?([!#-~]{1,200})"?').fullmatch


@dataclass(frozen=True, slots=True)
class Named:
    """A request with a name: a hash of what it asks, when it came, and until when answers count as old."""

    name: str
    request: str
    now: str
    since: str

    def answered(self, writer: Writer) -> Answer | None:
        """The answer that was given before; Refused when that was to another request."""
        reply = writer.reply(self.name, self.since)
        if reply is None:
            return None
        if reply.request != self.request:
            raise Refused(Issue("idempotency-key-reused"))
        answer = Answer(reply.status, reply.body.encode())
        own = [(name.encode(), value.encode()) for name, value in orjson.loads(reply.headers)]
        answer.headers = [*own, REPLAYED]
        return answer

    def keep(self, writer: Writer, answer: Answer) -> None:
        """Keep the answer with what was done."""
        headers = [(name.decode(), value.decode()) for name, value in answer.headers]
        reply = Reply(self.request, self.now, answer.status, orjson.dumps(headers).decode(), answer.body.decode())
        writer.keep_reply(self.name, reply)


def named(services: Services, request: Request) -> Named | None:
    """The name that a request has, None for one without; Refused when it cannot be a name."""
    said = request.headers.get(HEADER)
    if said is None:
        return None
    found = _NAME(said.strip())
    if found is None or holds_person_number(found[1].decode()):
        facts = {
            "name": "Idempotency-Key",
            "reason": "it is no text of 1 to 200 visible characters, or it holds a person number",
            "grunn": "den er ingen tekst på 1 til 200 synlige tegn, eller den inneholder et personnummer",
            "example": '"3f1c0e1a-7d5b-4c59-9a6e-0d6a8f4f2b11"',
        }
        raise Refused(Issue("header-invalid", "Idempotency-Key", facts))
    moment = services.now()
    asked = (request.method, request.type, request.id, request.query, request.body or b"")
    digest = hashlib.sha256(repr(asked).encode()).hexdigest()
    return Named(found[1].decode(), digest, instant_of(moment), instant_of(moment - timedelta(hours=HOURS)))
