"""What is written is what is read: created, updated, patched or refused, over HTTP, on both stores, with no silent difference.

WRITES says how many resources are sent to each store, SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.rendered import Rendered
from fhir_facade.rest.services import Services, Writing
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import Store
from fhir_facade.store.synthetic import load_into
from tests.house import BASE, driven, sent_by
from tests.laws.edits import bare, canonical, edited, leaf_counts

WRITES = int(os.environ.get("WRITES", "250"))
SEED = int(os.environ.get("SEED", "0")) or secrets.randbelow(2**32)
PATIENTS = 30
JSON = {"Content-Type": "application/fhir+json"}
TOLD = {"element-refused", "element-not-stored", "element-added"}

Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def store(new_place: Callable[[], Location], mapping_set: MappingSet) -> Iterator[Store]:
    opened = open_store(new_place(), mapping_set.kinds, mapping_set.search.columns)
    load_into(opened, mapping_set.kinds, PATIENTS, 5, "2026-01-01T00:00:00.000Z")
    yield opened
    opened.close()


@pytest.fixture
def lane(store: Store, mapping_set: MappingSet) -> FhirLane:
    services = Services(mapping_set, store, BASE, PageTokens(b"secret"), "1", writing=Writing(store))
    return FhirLane(replace(services, rendered=Rendered(2**20)))


class Writer:
    """Sends resources, and judges each answer by what is there before and after."""

    def __init__(self, lane: FhirLane, store: Store, draw: random.Random) -> None:
        self.lane, self.store, self.draw = lane, store, draw
        self.met: Counter[str] = Counter()
        self.pool = [
            entry["resource"]
            for name in lane.services.mapping_set.by_type
            for entry in driven(lane, f"/fhir/{name}?_count=100")[1]["entry"]
        ]
        self.fresh = 0

    def send(self, method: str, path: str, resource: Any = None, **headers: str) -> Answer:
        content = b"" if resource is None else orjson.dumps(resource)
        return sent_by(self.lane, f"/fhir/{path}", {**JSON, **headers}, method, content)

    def step(self) -> None:
        one = self.draw.choice(self.pool)
        kin = [each for each in self.pool if each["resourceType"] == one["resourceType"]]
        sent = bare(one)
        if self.draw.random() < 0.8:
            sent = edited(sent, self.draw, bare(self.draw.choice(kin)))
        prefer = self.draw.choice(["return=representation", "return=minimal", "return=OperationOutcome"])
        self.draw.choices([self.create, self.update, self.patch], [3, 5, 3])[0](sent, one["id"], prefer)

    def renamed(self, resource: dict[str, Any], its_id: str) -> dict[str, Any]:
        """The resource as one of another record: its own number is another wherever it stands."""
        self.fresh += 1
        own = its_id.rsplit(".", 1)[-1]
        text = json.dumps({name: value for name, value in resource.items() if name != "id"})
        renamed: dict[str, Any] = json.loads(text.replace(f'"{own}"', f'"N{self.fresh}"'))
        return renamed

    def create(self, sent: dict[str, Any], its_id: str, prefer: str) -> None:
        sent, kind = self.renamed(sent, its_id), sent["resourceType"]
        status, headers, body = self.judged("POST", kind, sent, prefer)
        if status == 201:
            name = headers["location"].removeprefix(f"{BASE}/{kind}/").split("/")[0]
            assert headers["location"].endswith(headers["etag"].removeprefix('W/"').rstrip('"'))
            self.same({**sent, "id": name}, name, headers, body, prefer)

    def update(self, sent: dict[str, Any], name: str, prefer: str) -> None:
        status, headers, body = self.judged("PUT", f"{sent['resourceType']}/{name}", sent, prefer)
        if status in (200, 201):
            self.same(sent, name, headers, body, prefer)

    def patch(self, sent: dict[str, Any], name: str, prefer: str) -> None:
        """Make what is stored into what is sent, whatever that takes."""
        path = f"{sent['resourceType']}/{name}"
        status, _, got = sent_by(self.lane, f"/fhir/{path}")
        if status != 200:
            return
        now = bare(orjson.loads(got))
        if self.draw.random() < 0.5:
            patch, media = json_patch(now, sent), "application/json-patch+json"
        else:
            patch, media = merge_patch(now, sent), "application/merge-patch+json"
        status, headers, body = self.judged("PATCH", path, patch, prefer, **{"Content-Type": media})
        assert status != 201
        if status == 200:
            self.same(sent, name, headers, body, prefer)

    def judged(self, method: str, path: str, sent: Any, prefer: str, **headers: str) -> Answer:
        """The answer; a refusal has reasons and has changed nothing."""
        before = self.store.digest(history=True) if self.draw.random() < 0.1 else None
        answer = self.send(method, path, sent, Prefer=prefer, **headers)
        status, _, body = answer
        self.met[f"{method} {status}"] += 1
        assert status in (200, 201, 400, 409, 422), (status, body)
        if status >= 400:
            outcome = orjson.loads(body)
            assert outcome["resourceType"] == "OperationOutcome"
            assert any(issue["severity"] == "error" for issue in outcome["issue"])
            assert before in (None, self.store.digest(history=True))
        return answer

    def same(self, sent: dict[str, Any], name: str, headers: dict[str, str], body: bytes, prefer: str) -> None:
        """What is read is what was sent; and what the record added is in the answer."""
        status, read, got = sent_by(self.lane, f"/fhir/{sent['resourceType']}/{name}")
        resource = orjson.loads(got)
        assert (status, read["etag"]) == (200, headers["etag"])
        assert f'W/"{resource["meta"]["versionId"]}"' == read["etag"]
        told = codes_of(body)
        if prefer == "return=representation" and not told:
            assert body == got
        if prefer == "return=minimal" and not told:
            assert body == b""
        if canonical(bare(resource)) != canonical(bare(sent)):
            have, want = leaf_counts(bare(resource)), leaf_counts(bare(sent))
            assert not {leaf for leaf in want if want[leaf] > have[leaf]}, (sent, resource)
            assert "element-added" in told or body == got
            self.met["with additions"] += 1
        else:
            self.met["as sent"] += 1


def json_patch(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """The changes of whole elements from the one to the other (RFC 6902)."""
    put = [{"op": "add", "path": f"/{name}", "value": new[name]} for name in new if old.get(name) != new[name]]
    return [{"op": "remove", "path": f"/{name}"} for name in old if name not in new] + put


def merge_patch(old: Any, new: Any) -> Any:
    """What makes the one into the other (RFC 7396)."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    put = {name: merge_patch(old.get(name), new[name]) for name in new if old.get(name) != new[name]}
    return put | {name: None for name in old if name not in new}


def codes_of(body: bytes) -> set[str]:
    """The issue codes of an OperationOutcome; none of another resource."""
    outcome = orjson.loads(body or b"{}")
    if outcome.get("resourceType") != "OperationOutcome":
        return set()
    return {issue["details"]["coding"][0]["code"] for issue in outcome["issue"]}


def test_what_is_written_is_what_is_read(lane: FhirLane, store: Store) -> None:
    print(f"seed {SEED}")
    writer = Writer(lane, store, random.Random(SEED))
    for _ in range(WRITES):
        writer.step()
    print(dict(writer.met))
    assert writer.met["as sent"] > WRITES // 4
    if WRITES >= 200:
        met = {"POST 201", "PUT 200", "PATCH 200", "PUT 422", "POST 422", "PATCH 422", "with additions"}
        assert met <= writer.met.keys()
