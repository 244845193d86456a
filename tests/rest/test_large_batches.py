"""A batch that is too large to be held in memory is carried out part by part, and answers as if it had been whole."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from fhir_facade.contracts import Resource
from fhir_facade.json_text import read_text
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest import large_batches
from fhir_facade.rest.change_queue import MOST_TOGETHER
from fhir_facade.rest.large_batches import begins_as_batch
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services, Writing
from fhir_facade.rest.surface import FhirLane
from fhir_facade.rest.threads import Threads
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import SqliteStore, Store
from tests.bundles.case_files import BASE, id_of, resource
from tests.malformed.test_malformed import damaged
from tests.served import serving

WHOLE, LARGEST, ENTRIES = 10_000, 400_000, 7
PATIENT = "pasient"
MANGLED = int(os.environ.get("MALFORMED", "600")) // 4
SEED = int(os.environ.get("SEED", "0")) or secrets.randbelow(2**32)


@pytest.fixture
def store(place: Location, mapping_set: MappingSet) -> Iterator[Store]:
    opened = open_store(place, mapping_set.kinds, mapping_set.search.columns)
    yield opened
    opened.close()


def services_of(store: Store, mapping_set: MappingSet, *, in_parts: bool) -> Services:
    writing = Writing(store)
    if in_parts:
        most = {"transaction": 500, "batch": ENTRIES}
        writing = replace(writing, most_bundle_bytes=WHOLE, most_batch_bytes=LARGEST, most_entries=most)
    return Services(mapping_set, store, BASE, PageTokens(b"secret"), "1", writing=writing)


@pytest.fixture
def services(store: Store, mapping_set: MappingSet) -> Services:
    return services_of(store, mapping_set, in_parts=True)


async def pieces_of(body: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    """A body of which nothing says how large it is."""
    for begin in range(0, len(body), size):
        yield body[begin : begin + size]


def sent(services: Services, body: bytes, *, chunked: bool = False, query: str = "", **headers: str) -> httpx.Response:
    async def send() -> httpx.Response:
        lane = FhirLane(services, threads=Threads(1, remote=services.writing.store.remote))  # type: ignore[union-attr]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=lane)) as client:
            named = {"content-type": "application/fhir+json"} | {
                name.replace("_", "-"): value for name, value in headers.items()
            }
            content = pieces_of(body) if chunked else body
            answer = await client.post(f"{BASE}{query}", content=content, headers=named)
        lane.close()
        return answer

    return asyncio.run(send())


def batch(entries: list[Any], **members: Any) -> bytes:
    return json.dumps({"resourceType": "Bundle", "type": "batch", **members, "entry": entries}).encode()


def entry(method: str, url: str, body: Resource | None = None, **request: str) -> dict[str, Any]:
    return {"request": {"method": method, "url": url, **request}} | ({"resource": body} if body else {})


def created(count: int) -> list[Any]:
    return [entry("POST", "Patient", resource(f"patient {number}")) for number in range(1, count + 1)]


def mixed() -> list[Any]:
    """Entries of every kind and every fate, none of which depends on another."""
    entries = created(9)
    entries[3]["resource"]["gender"] = "none"
    entries.insert(5, "no entry")
    entries.insert(6, entry("GET", "Encounter?_count=0"))
    entries.insert(8, entry("GET", "Patient/none"))
    entries.insert(9, entry("POST", "Bundle", {"resourceType": "Bundle"}))
    entries += [
        entry("GET", f"Patient/none{each}", resource("patient 1") | {"id": "x" * (WHOLE // 2)}) for each in (1, 2)
    ]
    entries.append(entry("DELETE", f"Patient/{id_of('patient', '8')[:-1]}x"))
    entries.append({**entry("POST", "Patient", resource("patient 1")), "fullUrl": "urn:uuid:nothing"})
    entries.append(entry("PATCH", "Patient/none", {"resourceType": "Parameters"}))
    return entries


def without_times(bundle: Resource) -> Resource:
    for each in bundle["entry"]:
        each["response"].pop("lastModified", None)
        each.get("resource", {}).get("meta", {}).pop("lastUpdated", None)
    return bundle


FORMS: dict[str, Callable[[bytes], tuple[bytes, dict[str, Any]]]] = {
    "with its length": lambda body: (body, {}),
    "in chunks": lambda body: (body, {"chunked": True}),
    "packed": lambda body: (gzip.compress(body[:100]) + gzip.compress(body[100:]), {"content_encoding": "gzip"}),
    "answered packed": lambda body: (body, {"accept_encoding": "gzip"}),
    "answered as zstd": lambda body: (body, {"accept_encoding": "zstd"}),
    "indented": lambda body: (body, {"query": "?_pretty=true"}),
    "preferring all": lambda body: (body, {"prefer": "return=representation"}),
    "preferring outcomes": lambda body: (body, {"prefer": "return=OperationOutcome", "accept_language": "nb"}),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_in_parts_answers_as_if_it_were_whole(
    services: Services, store: Store, mapping_set: MappingSet, form: str
) -> None:
    body, how = FORMS[form](batch(mixed()))
    beside = SqliteStore.open(":memory:", mapping_set.kinds, mapping_set.search.columns)
    whole = sent(services_of(beside, mapping_set, in_parts=False), body, **how)
    in_parts = sent(services, body, **how)
    assert (in_parts.status_code, "content-length" in in_parts.headers) == (200, False)
    assert in_parts.headers["content-type"] == "application/fhir+json"
    for mine, theirs in zip(without_times(in_parts.json())["entry"], without_times(whole.json())["entry"], strict=True):
        assert mine == theirs
    assert store.count(PATIENT) == beside.count(PATIENT) == 8
    beside.close()


def test_a_batch_of_many_small_entries_is_in_parts_too(services: Services, store: Store) -> None:
    body = batch(created(ENTRIES + 1))
    assert len(body) < WHOLE
    answer = sent(services, body)
    assert [each["response"]["status"] for each in answer.json()["entry"]] == ["201 Created"] * (ENTRIES + 1)
    assert "content-length" in sent(services, batch(created(ENTRIES))).headers


def test_a_dry_run_in_parts_changes_nothing(services: Services, store: Store) -> None:
    before = store.digest()
    answer = sent(services, batch(created(20)), query="?_dryrun=true")
    assert [each["response"]["status"] for each in answer.json()["entry"]] == ["201 Created"] * 20
    assert store.digest() == before


LINES = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": created(60)}, indent=1).encode()
COUNT = LINES.count(b"\n") + 1
TOO_LARGE = [
    ("a transaction", batch(created(60)).replace(b'"batch"', b'"transaction"', 1), {}),
    ("no type before the entries", batch(created(60))[:-1].replace(b'"type": "batch", ', b"", 1) + b',"type":"batch"}', {}),
    ("one that has a name", batch(created(60)), {"idempotency_key": "one"}),
    ("one that wants XML", batch(created(60)), {"accept": "application/fhir+xml"}),
    ("larger than the largest", batch(created(60), id="x" * LARGEST), {}),
    ("larger than the largest, in chunks", batch(created(60), language="x" * LARGEST), {"chunked": True}),
    (
        "larger than the largest, unpacked", gzip.compress(batch(created(60), language="x" * LARGEST)),
        {"content_encoding": "gzip"},
    ),
    ("an entry larger than a Bundle may be", batch([entry("GET", "Patient/" + "x" * 3 * WHOLE)]), {}),
]  # fmt: skip


@pytest.mark.parametrize(("body", "how"), [each[1:] for each in TOO_LARGE], ids=[each[0] for each in TOO_LARGE])
def test_what_cannot_be_in_parts_is_too_large(
    services: Services, store: Store, body: bytes, how: dict[str, Any]
) -> None:
    before = store.digest(history=True)
    answer = sent(services, body, **how)
    assert answer.status_code == 413
    if "accept" not in how:
        assert answer.json()["issue"][0]["code"] == "too-long"
    assert store.digest(history=True) == before


FAULTS = [
    ("cut off", LINES[:-20], 400, LINES[:-20].count(b"\n") + 1),
    (
        "cut off in a string",
        LINES[: LINES.rindex(b"Patient") + 3],
        400,
        LINES[: LINES.rindex(b"Patient")].count(b"\n") + 1,
    ),
    ("no JSON in an entry", LINES[:-60] + LINES[-60:].replace(b":", b"=", 1), 400, None),
    ("NaN", LINES[:-3] + b",NaN]}", 400, COUNT - 1),
    ("text after its end", LINES + b"\n{}", 400, COUNT + 1),
    ("a byte that is no UTF-8", LINES[:-3] + b',"\xe5"]}', 400, None),
    ("a byte order mark", b"\xef\xbb\xbf" + LINES, 400, 1),
    ("a key twice in an entry", LINES[:-3] + b',{"request":{"url":"a","url":"b"}}]}', 422, COUNT - 1),
    ("a key twice in the Bundle", LINES[:-1] + b',"entry":[]}', 422, COUNT),
    ("entries that are no list", LINES.replace(b'"entry": [', b'"entry": {"a":1}, "x": [', 1), 422, None),
    ("nested too deeply", LINES[:-3] + b"," + b"[" * 200 + b"]" * 200 + b"]}", 422, COUNT - 1),
    ("half of a surrogate pair", LINES[:-3] + b',"\\ud800"]}', 400, COUNT - 1),
]


@pytest.mark.parametrize(("body", "status", "line"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS])
def test_a_fault_in_the_text_changes_nothing(
    services: Services, store: Store, body: bytes, status: int, line: int | None
) -> None:
    before = store.digest(history=True)
    answer = sent(services, body)
    outcome = answer.json()
    assert (answer.status_code, outcome["resourceType"]) == (status, "OperationOutcome"), outcome
    if line is not None:
        assert outcome["issue"][0]["extension"][0]["valueInteger"] == line, outcome
    assert store.digest(history=True) == before


def test_a_coding_that_is_not_ours_is_refused_before_anything_is_done(services: Services, store: Store) -> None:
    before = store.digest()
    assert sent(services, batch(created(60)), accept_encoding="br, identity;q=0").status_code == 406
    assert store.digest() == before


def test_a_request_that_is_refused_has_one_refusal(services: Services, store: Store) -> None:
    answer = sent(services, batch(created(60)), query="?_dryrun=perhaps")
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
    assert store.count(PATIENT) == 0


@pytest.mark.parametrize(("in_parts", "together"), [(True, ENTRIES), (False, MOST_TOGETHER)])
def test_what_fails_some_entries_is_told_by_each_of_them(
    store: Store, mapping_set: MappingSet, monkeypatch: pytest.MonkeyPatch, in_parts: bool, together: int
) -> None:
    services = services_of(store, mapping_set, in_parts=in_parts)
    real, count = store._connections.commit, 0

    def commit(connection: Any) -> bool:
        nonlocal count
        count += 1
        if count == 2:
            raise OSError("the disk is gone")
        done: bool = real(connection)
        return done

    monkeypatch.setattr(store._connections, "commit", commit)
    entries = sent(services, batch(created(3 * together))).json()["entry"]
    statuses = [each["response"]["status"][:3] for each in entries]
    assert statuses == ["201"] * together + ["500"] * together + ["201"] * together
    told = [each["response"]["outcome"]["issue"][0] for each in entries[together : 2 * together]]
    assert [each["expression"] for each in told] == [[f"Bundle.entry[{n}]"] for n in range(together, 2 * together)]
    assert {each["code"] for each in told} == {"exception"}
    assert store.count(PATIENT) == 2 * together


def test_a_part_for_which_there_is_no_room_waits(
    services: Services, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = Threads.run, list[str]()

    async def run(self: Threads, *given: Any) -> Any:
        asked.append("asked")
        if len(asked) in (2, 3):
            raise Refused(Issue("writes-queued"))
        if len(asked) == 5:
            raise Refused(Issue("store-too-slow"))
        return await real(self, *given)

    monkeypatch.setattr(Threads, "run", run)
    monkeypatch.setattr(large_batches, "PAUSE", 0)
    entries = sent(services, batch(created(3 * ENTRIES))).json()["entry"]
    statuses = [each["response"]["status"][:3] for each in entries]
    assert statuses == ["201"] * 2 * ENTRIES + ["503"] * ENTRIES
    assert len(asked) == 5


def test_nothing_more_is_done_for_a_client_that_is_gone(services: Services, store: Store) -> None:
    body = batch(created(10 * ENTRIES))
    messages = [{"type": "http.request", "body": body}, {"type": "http.disconnect"}]

    async def story() -> list[Any]:
        said = list[Any]()

        async def receive() -> Any:
            return messages.pop(0)

        async def send(message: Any) -> None:
            said.append(message)
            await asyncio.sleep(0)

        lane = FhirLane(services)
        headers = [(b"content-type", b"application/fhir+json")]
        scope = {"type": "http", "method": "POST", "path": "/fhir", "query_string": b"", "headers": headers}
        await lane(scope, receive, send)
        return said

    assert asyncio.run(story())[0]["status"] == 200
    assert ENTRIES <= store.count(PATIENT) <= 3 * ENTRIES


def test_a_server_holds_a_part_of_a_large_batch_in_memory(
    tmp_path: Any, mapping_set: MappingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FHIR_FACADE_BUNDLE_BYTES", str(2 * 1024 * 1024))
    one = json.dumps(entry("GET", "Patient/none", {"resourceType": "Basic", "language": "x" * 20_000})).encode()
    count, begin = 4000, b'{"resourceType":"Bundle","type":"batch","entry":['

    def body() -> Iterator[bytes]:
        yield begin + one
        for _ in range(count - 1):
            yield b"," + one
        yield b"]}"

    with serving(tmp_path, mapping_set, patients=1) as served:
        headers = {"content-type": "application/fhir+json"}
        with httpx.Client(trust_env=False, timeout=600) as client:
            small = client.post(served.base, content=begin + one + b"]}", headers=headers)
            before = most_memory(served.process_id)
            answer = client.post(served.base, content=body(), headers=headers)
        risen = most_memory(served.process_id) - before
    assert [each["response"]["status"] for each in small.json()["entry"]] == ["404 Not Found"]
    assert [each["response"]["status"] for each in answer.json()["entry"]] == ["404 Not Found"] * count
    assert risen < 30 * 1024, f"{risen} kB more for {count * len(one) // 1024} kB"


def most_memory(process_id: int) -> int:
    """The most memory that a process has had, in kB."""
    said = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in said if line.startswith("VmHWM"))


@pytest.mark.parametrize("refused", [0, 1])
def test_entries_of_a_batch_are_committed_together_where_they_can_be(
    services: Services, store: Store, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    real, commits = store._connections.commit, list[bool]()

    def commit(connection: Any) -> bool:
        done: bool = len(commits) >= refused and real(connection)
        commits.append(done)
        return done

    monkeypatch.setattr(store._connections, "commit", commit)
    entries = created(5)
    entries[2]["resource"]["gender"] = "none"
    statuses = [each["response"]["status"][:3] for each in sent(services, batch(entries)).json()["entry"]]
    assert statuses == ["201", "201", "422", "201", "201"]
    assert commits == ([True] if not refused else [False] + [True] * 4)
    assert store.count(PATIENT) == 4


def test_a_text_is_taken_when_the_strict_reader_takes_it(services: Services, store: Store) -> None:
    """Whatever happened to a text on its way: it is refused as a whole, or it is JSON without a fault."""
    print("seed", SEED)
    draw, before, seen = random.Random(SEED), store.digest(history=True), set[int]()
    whole = batch(created(ENTRIES + 1))
    for _ in range(MANGLED):
        body = damaged(whole, draw)
        strictly = read_text(body)
        answer = sent(services, body, query="?_dryrun=true")
        said = answer.json()
        assert said["resourceType"] == ("Bundle" if answer.status_code == 200 else "OperationOutcome"), body
        assert answer.status_code < 500, (body, said)
        if begins_as_batch(body) and body.count(b'"request"') > ENTRIES:
            assert (answer.status_code == 200) == (strictly.resource is not None and not strictly.issues), (body, said)
            seen.add(answer.status_code)
    assert {200, 400} <= seen
    assert store.digest(history=True) == before
