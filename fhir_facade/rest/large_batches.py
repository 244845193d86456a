"""Batches that are larger than what is held in memory: checked whole, then carried out some entries at a time.

What was sent lies in a file without a name until it is answered, and the answer is sent as it is made. Nothing is
carried out before all of the text has been read, so that a fault in it changes nothing. The entries of a batch do not
depend on each other, so each part is a batch of its own. https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from io import BytesIO
from types import NoneType
from typing import BinaryIO, NamedTuple

import orjson

from fhir_facade.bundles.answers import status_text
from fhir_facade.json_text import AFTER_END, GENERAL, NOT_UTF8, JsonLimits, Placed, read_text
from fhir_facade.outcome import Issue, Refused, operation_outcome
from fhir_facade.rest.answer import Answer, pretty
from fhir_facade.rest.bodies import HEAD, Larger
from fhir_facade.rest.changes import refusal
from fhir_facade.rest.encoding import GZIP, IDENTITY, ZSTD, accepted_coding
from fhir_facade.rest.idempotency import HEADER as IDEMPOTENCY_KEY
from fhir_facade.rest.inbound import Unreadable
from fhir_facade.rest.negotiation import JSON, language
from fhir_facade.rest.numbers import dumps, loads
from fhir_facade.rest.services import Interaction, Request, Services
from fhir_facade.store.json_stream import JsonStream

PART = 96
"""Entries that are carried out at a time: others who change something have their turn after so many."""
PART_BYTES = 1024 * 1024
OK = 200
PAUSE = 0.05  # seconds until a part is offered again for which there was no room
ANY = (dict, list, str, int, float, bool, NoneType)
BEGIN, END = b'{"resourceType":"Bundle","type":"batch","entry":[', b"]}"
ANSWER_BEGIN = b'{"resourceType":"Bundle","type":"batch-response","entry":['
REQUEST = b'"request"'  # stands in every entry that can be carried out
BOM = b"\xef\xbb\xbf"

Run = Callable[[Request], Awaitable[Answer]]


class Text(NamedTuple):
    """A member of the Bundle, or one of its entries, as it is written, from this line on."""

    name: str
    line: int
    text: bytes


def larger_than(row: Interaction, services: Services, request: Request) -> Larger | None:
    """How large a batch may be whose request this is; None when it has to be carried out as a whole.

    Its answer is kept nowhere, so it cannot be given once more for an Idempotency-Key.
    """
    writing = services.writing
    if row.code != "transaction" or writing is None or IDEMPOTENCY_KEY in request.headers:
        return None
    return Larger(writing.most_batch_bytes, begins_as_batch) if writing.most_batch_bytes else None


def begins_as_batch(head: bytes) -> bool:
    """Whether a text begins as a Bundle that is a batch, and says so before its entries."""
    found = dict[str, object]()
    stream = JsonStream(BytesIO(head[:HEAD].decode("utf-8", "replace").encode()), "")
    try:
        for name in stream.members():
            if name == "entry" or len(found) == 2:
                break
            value = stream.value()
            if name in ("resourceType", "type"):
                found[name] = value
    except Refused:  # the head ends somewhere
        pass
    return found == {"resourceType": "Bundle", "type": "batch"}


def has_many_entries(services: Services, body: bytes) -> bool:
    """Whether a body is a batch of more entries than are carried out as a whole."""
    most = services.writing.most_entries["batch"] if services.writing is not None else 0
    return body.count(REQUEST) > most and begins_as_batch(body)


async def begun(source: BinaryIO, services: Services, request: Request, run: Run) -> Answer:
    """What a batch answers, in pieces that are made as they are asked for.

    A text that is no batch or cannot be read is refused, and nothing has been done then. `run` carries out a part. What
    the first part answers is the answer when it is no success: then the request itself is refused.
    """
    if request.format != JSON:
        raise Refused(Issue("body-too-large", "", {"limit": _most_whole(services)}))
    if accepted_coding(request.headers.get(b"accept-encoding", b"")) is None:
        raise Refused(Issue("coding-not-acceptable", "", {"allowed": [ZSTD, GZIP, IDENTITY]}))
    try:
        await asyncio.to_thread(check, source, services)
    except Refused as fault:
        return refusal(request, language(request.headers.get(b"accept-language", b"")), fault)
    source.seek(0)
    parts = _parts(_read(source, services), _most_entries(services))
    part = await asyncio.to_thread(next, parts, None)
    answer = await run(_part_of(request, part or [], 0))
    if answer.status == OK and part is not None:
        answer.pieces = _pieces(answer.body, len(part), parts, request, run)
    return answer


async def _pieces(
    body: bytes, done: int, parts: Iterator[list[bytes]], request: Request, run: Run
) -> AsyncIterator[bytes]:
    yield ANSWER_BEGIN
    yield _entries(body)
    while (part := await asyncio.to_thread(next, parts, None)) is not None:
        answer = await _patiently(_part_of(request, part, done), run)
        done += len(part)
        yield b","
        yield _entries(answer.body) if answer.status == OK else _failed(answer, len(part))
    yield END


async def _patiently(asked: Request, run: Run) -> Answer:
    """What a part answers, as soon as there is room for it."""
    while True:
        try:
            return await run(asked)
        except Refused as refused:
            if refused.issues[0].code != "writes-queued":
                outcome = operation_outcome(refused.issues, language(asked.headers.get(b"accept-language", b"")))
                return Answer(refused.status, orjson.dumps(outcome))
        await asyncio.sleep(PAUSE)


def _entries(body: bytes) -> bytes:
    """The entries of an answer without what is around them; each indented by itself where the answer is."""
    if body.startswith(ANSWER_BEGIN):
        return body[len(ANSWER_BEGIN) : -len(END)]
    return b",\n".join(pretty(dumps(each)) for each in loads(body)["entry"])


def _failed(answer: Answer, count: int) -> bytes:
    """So many entries of which it is not known that they were carried out."""
    outcome = orjson.loads(answer.body)
    entry = orjson.dumps({"response": {"status": status_text(answer.status), "outcome": outcome}})
    return b",".join([entry] * count)


def _part_of(request: Request, part: list[bytes], first: int) -> Request:
    asked = Request(request.method, request.query, request.headers, request.request_id)
    asked.type, asked.format = request.type, request.format
    asked.body = BEGIN + b",".join(part) + END
    asked.first_entry = first
    return asked


def _parts(texts: Iterator[Text], most: int) -> Iterator[list[bytes]]:
    """The entries, as many at a time as are carried out together."""
    part, size = list[bytes](), 0
    for each in texts:
        if each.name:
            continue
        part.append(each.text)
        size += len(each.text)
        if len(part) == most or size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _most_entries(services: Services) -> int:
    return min(PART, services.writing.most_entries["batch"]) if services.writing is not None else PART


def _most_whole(services: Services) -> int:
    return services.writing.most_bundle_bytes if services.writing is not None else 0


def check(source: BinaryIO, services: Services) -> None:
    """Read all of a text strictly; Refused when it is no batch, or an entry is larger than a Bundle may be."""
    source.seek(0)
    if source.read(len(BOM)) == BOM:
        raise Unreadable(read_text(BOM).issues)
    source.seek(0)
    limits, number, said = services.json_limits, -1, dict[str, bytes]()
    for name, line, text in _read(source, services):
        number += not name
        at = f"Bundle.{name}" if name else f"Bundle.entry[{number}]"
        _check_text(text, at, line, limits)
        if name in said:
            raise Unreadable([Placed(Issue("json-duplicate-key", "Bundle", {"name": name}), line)])
        if name:
            said[name] = text
    if said.get("resourceType") != b'"Bundle"' or said.get("type") != b'"batch"':
        raise Refused(Issue("body-too-large", "Bundle", {"limit": _most_whole(services)}))


def _check_text(text: bytes, at: str, line: int, limits: JsonLimits) -> None:
    reading = read_text(text, kinds=ANY, limits=limits)
    if any(each.issue.is_error for each in reading.issues):
        raise Unreadable(
            [Placed(_within(at, each.issue), each.line + line - 1, each.column) for each in reading.issues]
        )


def _within(at: str, issue: Issue) -> Issue:
    """An issue of a text as one of the Bundle that the text stands in."""
    _, dot, rest = issue.at.partition(".")
    return replace(issue, at=f"{at}{dot}{rest}")


def _read(source: BinaryIO, services: Services) -> Iterator[Text]:
    """The members of the Bundle as they come, and the entries without a name; Refused where it is no JSON."""
    most = _most_whole(services)
    stream, number = JsonStream(source, "", most), 0
    try:
        for name in stream.members():
            if name != "entry":
                yield Text(name, stream.line, _text(stream, f"Bundle.{name}", most))
            elif stream.peek() != "[":
                raise Refused(Issue("element-shape", "Bundle.entry", {"expected": "a list"}))
            else:
                yield Text(name, stream.line, b"[]")
                for _ in stream.items():
                    yield Text("", stream.line, _text(stream, f"Bundle.entry[{number}]", most))
                    number += 1
        if stream.peek():
            raise Unreadable([_no_json(*AFTER_END, stream.line)])
    except Refused as fault:
        issue = fault.issues[0]
        if issue.code not in ("file-malformed", "file-truncated", "encoding-wrong"):
            raise
        reason = NOT_UTF8 if issue.code == "encoding-wrong" else GENERAL
        raise Unreadable([_no_json(*reason, int(issue.at.rpartition(":")[2]))]) from None


def _no_json(reason: str, grunn: str, line: int) -> Placed:
    return Placed(Issue("json-not-json", "", {"reason": reason, "grunn": grunn}), line, 1)


def _text(stream: JsonStream, at: str, most: int) -> bytes:
    text = stream.text()
    content = b"" if text is None else text.encode()
    if text is None or len(content) > most:
        raise Refused(Issue("body-too-large", at, {"limit": most}))
    return content
