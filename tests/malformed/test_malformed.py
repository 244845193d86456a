"""Malformed input to every route that writes: told, never a fault of the server, and nothing is changed.

MALFORMED says how many inputs are sent, SEED repeats a run.
"""

from __future__ import annotations

import copy
import os
import random
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services, Writing
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into
from fhir_facade.validation_stream import plain_validator
from tests.house import BASE, driven, sent_by
from tests.laws.edits import edited, into, places

INPUTS = int(os.environ.get("MALFORMED", "600"))
SEED = int(os.environ.get("SEED", "0")) or secrets.randbelow(2**32)
TEXTS: list[str] = yaml.load(Path(__file__).with_name("json_texts.yaml").read_text("utf-8"), yaml.CSafeLoader)
NUMBER = re.compile(r"(?<!\d)\d{11}(?!\d)").search
FHIR, PATCH, MERGE = "application/fhir+json", "application/json-patch+json", "application/merge-patch+json"
NAUGHTY = [
    "", " ", "\t", "\n", "'", '"', "\\", "%00", "%", "{{7*7}}", "${jndi:x}", "' OR 1=1 --", "<script>alert(1)</script>",
    "../../etc/passwd", "\u0000", "\u200b", "\u202e", "\ufeff", "\ufffe", "e\u0301" * 50, "\U0001f600" * 50, "x" * 5000,
    "Ω≈ç√∫", "1;DROP TABLE pasient", "NaN", "null", "undefined", "0000-00-00", "2024-02-30", "9999-99-99T99:99:99Z",
    "urn:uuid:", "urn:uuid:x", "Patient/", "Patient/../x", "http://", "#", "#x", "|", "a|b|c",
]  # fmt: skip
ODD: list[Any] = [None, True, 0, -1, 1e308, 2**63, "", [], {}, [[]], [None], {"a": {}}, {"resourceType": "Patient"}]
HEADERS = {
    "If-Match": ['W/"', "*", '"1"', "\x80", "a" * 9000, 'W/"1-0000"'],
    "If-None-Exist": ["", "?", "x", "identifier", "identifier=", "a=b&c=d", "_count=1", "identifier=a|b|c", "%ff=%fe"],
    "Prefer": ["return=", "return=x", "validation=none", "handling=strict", ";;,,==", "a" * 5000],
    "Idempotency-Key": ["", "å", "x" * 300],
    "Content-Type": ["", "text/plain", "application/xml", "application/fhir+json; charset=latin-1", "a/b/c", MERGE],
    "Content-Encoding": ["gzip", "br", "x"],
    "Accept": ["text/html", "x", "application/fhir+xml"],
}


@pytest.fixture(scope="module")
def store(mapping_set: MappingSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    path = tmp_path_factory.mktemp("malformed") / "store.db"
    opened = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    load_into(opened, mapping_set.kinds, 12, 7, "2026-01-01T00:00:00.000Z")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def lane(store: SqliteStore, mapping_set: MappingSet) -> FhirLane:
    return FhirLane(Services(mapping_set, store, BASE, PageTokens(b"secret"), "1", writing=Writing(store)))


def mangled(resource: Any, draw: random.Random) -> Any:
    """The resource with something put, renamed, nested, retyped or made naughty somewhere."""
    out = copy.deepcopy(resource)
    for _ in range(draw.choice([1, 1, 2, 4])):
        spots = [at for at, _ in places(out)]
        if not spots:
            break
        at = draw.choice(spots)
        holder, step = into(out, at), at[-1]
        match draw.randrange(6):
            case 0:
                holder[step] = draw.choice(NAUGHTY)
            case 1:
                holder[step] = copy.deepcopy(draw.choice(ODD))
            case 2:
                holder[step] = [holder[step]]
            case 3:
                holder[step] = {"extension": [{"url": draw.choice(NAUGHTY), "valueString": holder[step]}]}
            case 4 if isinstance(holder, dict):
                holder[draw.choice([*NAUGHTY, f"_{step}", f"{step}x", "id", "resourceType"])] = holder.pop(step)
            case _:
                for _ in range(draw.choice([3, 70, 120])):
                    holder[step] = {"extension": [holder[step]]} if draw.random() < 0.5 else [holder[step]]
    return out


def damaged(content: bytes, draw: random.Random) -> bytes:
    """The text with bytes turned over, cut, doubled or in another encoding."""
    if not content:
        return b"\xff"
    at = draw.randrange(len(content))
    match draw.randrange(7):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]
        case 2:
            return content[:at] + content[at + 1 :]
        case 3:
            return content + content
        case 4:
            return content.decode("utf-8", "replace").encode(draw.choice(["utf-16", "utf-32", "cp037"]), "replace")
        case 5:
            return (
                content[:at]
                + draw.choice([b"\x00", b"\xff", b"\x1b", b"\xc3", b"\\u", b'"', b"{", b"]"])
                + content[at:]
            )
    return content[:at] + content[: draw.randrange(len(content))] + content[at:]


class Sender:
    """Makes inputs of what is stored, and judges the answers."""

    def __init__(self, lane: FhirLane, store: SqliteStore, draw: random.Random) -> None:
        self.lane, self.store, self.draw = lane, store, draw
        self.met: Counter[str] = Counter()
        self.validator = plain_validator()
        self.pool = [
            entry["resource"]
            for name in lane.services.mapping_set.by_type
            for entry in driven(lane, f"/fhir/{name}?_count=20")[1].get("entry", ())
        ]

    def state(self) -> tuple[Any, ...]:
        """What rises with every change."""
        with self.store._connections.snapshot() as connection:
            tables = ("_store", "_versions", "_replies")
            rows = [connection.execute(f"SELECT count(*), max(rowid) FROM {each}").fetchone() for each in tables]
            return (*rows, connection.execute("SELECT value FROM _store WHERE name = 'transactions'").fetchone())

    def input(self) -> tuple[str, str, dict[str, str], bytes]:
        draw, one = self.draw, copy.deepcopy(self.draw.choice(self.pool))
        kind, name = one["resourceType"], one["id"]
        if draw.random() < 0.1:
            name = draw.choice(["x", "a" * 65, "å", "1.2.3", f"{name}9", "-", "_x"])
        method, path, media, body = draw.choice(
            [
                ("POST", kind, FHIR, one),
                ("PUT", f"{kind}/{name}", FHIR, one),
                ("PUT", f"{kind}?_id={name}", FHIR, one),
                ("PATCH", f"{kind}/{name}", PATCH, self.operations(one)),
                ("PATCH", f"{kind}/{name}", MERGE, edited(one, draw)),
                ("PATCH", f"{kind}/{name}", FHIR, self.parameters(one)),
                ("POST", "", FHIR, self.bundle()),
                ("POST", "", FHIR, self.bundle()),
                ("DELETE", f"{kind}?{draw.choice(NAUGHTY)}=x", FHIR, None),
                ("POST", f"{kind}/$validate", FHIR, one),
            ]
        )
        headers = {"Content-Type": media}
        for header, values in HEADERS.items():
            if draw.random() < 0.04:
                headers[header] = draw.choice(values)
        return method, path, headers, self.content(body)

    def content(self, body: Any) -> bytes:
        draw = self.draw
        if draw.random() < 0.12:
            return (
                draw.choice(TEXTS)
                .encode("latin-1", "replace")
                .decode("unicode_escape", "replace")
                .encode("latin-1", "replace")
            )
        out = mangled(body, draw) if draw.random() < 0.75 else body
        try:
            content = orjson.dumps(out)
        except (TypeError, orjson.JSONEncodeError):
            content = repr(out).encode()
        return damaged(content, draw) if draw.random() < 0.35 else content

    def operations(self, one: Any) -> list[dict[str, Any]]:
        spots = ["/".join(["", *map(str, at)]) for at, _ in places(one)]
        pick = lambda: self.draw.choice([*spots, "/x", "", "/-", "/name/-", "~"])  # noqa: E731
        ops = ["add", "remove", "replace", "move", "copy", "test"]
        return [
            {"op": self.draw.choice(ops), "path": pick(), "from": pick(), "value": self.draw.choice(ODD)}
            for _ in range(self.draw.randrange(1, 4))
        ]

    def parameters(self, one: Any) -> dict[str, Any]:
        names = [f"{one['resourceType']}.{name}" for name in one] + ["x", "(", "Patient.name.where(1)", "%resource"]
        part = [
            {"name": "type", "valueCode": self.draw.choice(["add", "insert", "delete", "replace", "move", "x"])},
            {"name": "path", "valueString": self.draw.choice(names)},
            {"name": "name", "valueString": self.draw.choice(["extension", "id", "x", ""])},
            {"name": "value", "valueString": self.draw.choice(NAUGHTY)},
            {"name": "index", "valueInteger": self.draw.choice([0, -1, 99, 2**40])},
        ]
        kept = [each for each in part if self.draw.random() < 0.8]
        return {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": kept}]}

    def bundle(self) -> dict[str, Any]:
        entries = []
        for _ in range(self.draw.randrange(1, 5)):
            one = self.draw.choice(self.pool)
            kind, name = one["resourceType"], one["id"]
            method, url = self.draw.choice(
                [
                    ("POST", kind),
                    ("PUT", f"{kind}/{name}"),
                    ("GET", f"{kind}/{name}"),
                    ("DELETE", f"{kind}/x"),
                    ("HEAD", kind),
                ]
            )
            entries.append(
                {
                    "fullUrl": f"urn:uuid:{self.draw.random()}",
                    "resource": one,
                    "request": {"method": method, "url": url},
                }
            )
        kind = self.draw.choice(["transaction", "batch"])
        return {"resourceType": "Bundle", "type": kind, "entry": entries}

    def send(self) -> None:
        method, path, headers, content = self.input()
        deep = self.draw.random() < 0.01
        before, digest = self.state(), self.store.digest(history=True) if deep else ""
        try:
            encoded = {name: value.encode("latin-1", "ignore").decode("latin-1") for name, value in headers.items()}
            status, answered, body = sent_by(self.lane, f"/fhir/{path}".rstrip("/"), encoded, method, content)
        except UnicodeDecodeError:
            raise AssertionError((method, path, headers)) from None
        self.met[f"{status}"] += 1
        assert status < 500, (method, path, headers, content[:2000], body)
        if status < 400:
            return
        assert before == self.state(), (method, path, headers, content[:2000])
        if deep:
            assert digest == self.store.digest(history=True)
        if answered.get("content-type") != "application/fhir+json":
            return  # in XML, as was asked
        outcome = orjson.loads(body)
        assert outcome["resourceType"] == "OperationOutcome"
        report = self.validator.validate(outcome)
        assert report.valid, [str(each) for each in report.issues]
        for text in texts(outcome):
            assert "x" * 101 not in text
            assert not NUMBER(text), text


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    for inner in value if isinstance(value, list) else ():
        if isinstance(inner, str):
            yield inner
        else:
            yield from texts(inner)


def test_malformed_input_is_told_and_changes_nothing(lane: FhirLane, store: SqliteStore) -> None:
    print(f"seed {SEED}")
    sender = Sender(lane, store, random.Random(SEED))
    for _ in range(INPUTS):
        sender.send()
    print(dict(sender.met))
    refused = sum(count for status, count in sender.met.items() if status >= "400")
    assert refused > INPUTS // 2


@pytest.mark.parametrize("text", TEXTS)
def test_texts_that_are_no_resource(lane: FhirLane, store: SqliteStore, text: str) -> None:
    content = text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    before = store.digest(history=True)
    for method, path, media in (
        ("POST", "/fhir/Patient", FHIR),
        ("PUT", "/fhir/Patient/1", FHIR),
        ("PATCH", "/fhir/Patient/1", PATCH),
        ("POST", "/fhir", FHIR),
    ):
        status, _, body = sent_by(lane, path, {"Content-Type": media}, method, content)
        if status >= 400:
            assert status < 500
            assert orjson.loads(body)["resourceType"] == "OperationOutcome"
        else:
            assert path == "/fhir"  # a batch or transaction may be empty, or answer each entry
        assert store.digest(history=True) == before
