"""A server of its own for laws about what is served while records are written."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson

from fhir_facade.contracts import Query, Record
from fhir_facade.mapping.kinds import Kind
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.outcome import Refused
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.records import Store

BASE = "http://facade.test/fhir"
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass
class House:
    """A lane over a store of its own, a clock that each write moves by one of `pace` seconds, and what was written."""

    mapping_set: MappingSet
    store: Store
    lane: FhirLane
    draw: random.Random
    now: datetime = BEGAN
    pace: tuple[int, ...] = (1,)
    touched: set[tuple[str, str]] = field(default_factory=set)
    removed: list[tuple[Kind, Record]] = field(default_factory=list)

    def get(self, url: str) -> tuple[int, dict[str, Any]]:
        return driven(self.lane, url.removeprefix(BASE.removesuffix("/fhir")))

    def truth(self, query: Query) -> dict[str, tuple[Any, ...]]:
        """All matches in order: id → (position, version)."""
        whole = replace(query, count=100_000, after=(), backward=False)
        out: dict[str, tuple[Any, ...]] = {}
        for match in self.store.find(whole, self.mapping_set.search).matches:
            mapping = self.mapping_set.mappings[match.mapping]
            key = match.record["$key"]
            known = (mapping.kind.name, key)
            version = -1 if known in self.touched else match.record[mapping.kind.version]
            out[f"{mapping.id_prefix}-{key}" if mapping.id_prefix else key] = (match.position, version)
        return out

    def write(self, kinds: list[Kind]) -> None:
        """Add, remove or change one record of the kinds, and note which."""
        kind = self.draw.choice(kinds)
        self.now += timedelta(seconds=self.draw.choice(self.pace))
        stamp = self.now.isoformat()
        others = list(self.store.scan(kind.name))
        if not others:
            return
        record, other = self.draw.choice(others), self.draw.choice(others)
        act = self.draw.choice(["add", "add", "remove", "change", "change"])
        if act == "add" and self.removed and self.draw.random() < 0.5:
            kind, record = self.removed.pop(self.draw.randrange(len(self.removed)))
        elif act == "add":
            record = self.another(kind, record)
        elif act == "change":
            plain = [each for each in changeable(kind) if record.get(each) != other.get(each)]
            if not plain:
                return
            name = self.draw.choice(plain)
            record = {**record, name: other.get(name)}
        self.touched.add((kind.name, record["$key"]))
        records = {child.name for child in kind.children.values() if child.records}
        entries = {name: value for name, value in record.items() if name not in records}
        with suppress(Refused), self.store.transaction() as writer:  # others point at it, or it at what is not there
            if act == "remove":
                writer.delete(kind, record["$key"], now=stamp)
            else:
                writer.merge(kind, [self.mapping_set.kinds.complete(kind, entries)], stamp)
        if act == "remove" and self.store.get(kind.name, record["$key"]) is None:
            self.removed.append((kind, record))

    def another(self, kind: Kind, record: Record) -> Record:
        """The record under another key."""
        free = [name for name in kind.key if all(name not in link.fields for link in kind.links.values())]
        if not free:
            return record
        name, number = self.draw.choice(free), self.draw.randrange(10**6)
        fresh: Any = number if kind.fields[name].type == "integer" else f"{number}"
        bare = {each: value for each, value in record.items() if not each.startswith("$")}
        return self.mapping_set.kinds.complete(kind, {**bare, name: fresh})


def changeable(kind: Kind) -> list[str]:
    """Fields that neither name a record nor point at one."""
    fixed = {*kind.key, kind.version, kind.changed, *(name for link in kind.links.values() for name in link.fields)}
    return [name for name in kind.fields if name not in fixed]


def sent_by(
    lane: FhirLane, path: str, headers: dict[str, str] | None = None, method: str = "GET", content: bytes = b""
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of one request, without a socket or an event loop."""
    parts = urlsplit(path)
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": content}

    async def send(message: Any) -> None:
        sent.append(message)

    given = [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": parts.path, "query_string": parts.query.encode()}
    call: Any = lane({**scope, "headers": given}, receive, send)
    with suppress(StopIteration):
        call.send(None)
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, sent[1]["body"]


def driven(lane: FhirLane, path: str) -> tuple[int, dict[str, Any]]:
    """Status and JSON of one GET."""
    status, _, body = sent_by(lane, path)
    return status, orjson.loads(body)
