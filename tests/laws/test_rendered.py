"""Law: a server that keeps what it has rendered answers what one that keeps nothing answers, byte for byte.

Records are written between the requests: changed, deleted, made again under the same key, at times in the same
instant; the mappings change too. REQUESTS says how many requests, SEED which.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import orjson
import pytest
from hypothesis import settings

from fhir_facade.contracts import Stamp
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.rendered import OVERHEAD, Rendered
from fhir_facade.rest.services import Services
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.synthetic import load_into
from tests.house import BASE, BEGAN, House, sent_by

EXAMPLES = settings.default.max_examples if settings.default else 100
REQUESTS = int(os.environ.get("REQUESTS", "0")) or {20: 300, 2000: 20_000}.get(EXAMPLES, 700)
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(2**32)
PATIENTS = 10
LIMIT = 300_000  # bytes: too few for all that is asked for
HEADERS: list[dict[str, str]] = [{}, {}, {}, {"Accept": "application/fhir+xml"}, {"Accept-Language": "nb"}]
PARTS = ["", "", "", "_summary=true", "_elements=id,meta", "_pretty=true", "_format=xml"]


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> MappingSet:
    """Mappings that make something else of a stay: another class system's display, another hash."""
    folder = tmp_path_factory.mktemp("others") / "mappings"
    shutil.copytree(data_root("mappings"), folder)
    path = folder / "opphold.encounter.yaml"
    text = path.read_text()
    assert text.count("\nversion: ") == 1
    path.write_text(text.replace("\nversion: ", "\nversion: 9."))
    return load_mapping_set(folder)


@dataclass
class Two:
    """One lane that keeps and one that does not, over the same store."""

    home: House
    keeping: FhirLane
    seen: int = 0
    refused: int = 0

    def ask(self, path: str, headers: dict[str, str]) -> dict[str, str]:
        """Ask both for the same; returns the links of the answer, and its ETag as "etag"."""
        (status, answered, body), kept = (sent_by(each, path, headers) for each in (self.home.lane, self.keeping))
        answered.pop("x-request-id")
        kept[1].pop("x-request-id")
        assert kept == (status, answered, body), path
        self.seen += status in (200, 304)
        self.refused += status >= 400
        whole = orjson.loads(body) if body.startswith(b'{"resourceType":"Bundle"') else {}
        found = {link["relation"]: link["url"] for link in whole.get("link", ())}
        return found | ({"etag": answered["etag"]} if "etag" in answered else {})

    def take(self, mapping_set: MappingSet) -> None:
        """Change the mappings of both."""
        self.home.lane.services = self.home.lane.services_with(mapping_set)
        self.keeping.services = self.keeping.services_with(mapping_set)


@pytest.fixture
def two(mapping_set: MappingSet, new_place: Callable[[], Location]) -> Iterator[Two]:
    where = new_place()
    store = open_store(where, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, PATIENTS, 11, BEGAN.isoformat())
    plain = Services(mapping_set, store, BASE, PageTokens(b"a secret"), now=lambda: BEGAN)
    home = House(mapping_set, store, FhirLane(plain), random.Random(SEED), pace=(0, 0, 1))
    yield Two(home, FhirLane(replace(plain, rendered=Rendered(LIMIT))))
    store.close()


def paths(two: Two, draw: random.Random) -> str:
    """A read, a page of a type, with what is included, a page of all types, or all of a patient."""
    home = two.home
    resource_type = draw.choice(["Encounter", "Encounter", "Patient", *sorted(home.mapping_set.by_type)])
    part = draw.choice(PARTS)
    way = draw.choice(["read", "read", "read", "search", "search", "include", "system", "everything"])
    if way in ("read", "everything"):
        resource_type = "Patient" if way == "everything" else resource_type
        mapping = draw.choice(home.mapping_set.by_type[resource_type])
        keys = [record["$key"] for record in home.store.scan(mapping.kind.name)][:40]
        keys += [record["$key"] for kind, record in home.removed if kind == mapping.kind]
        if keys:
            path = f"/fhir/{resource_type}/{mapping.id_prefix + '-' if mapping.id_prefix else ''}{draw.choice(keys)}"
            return f"{path}/$everything?_count=20" if way == "everything" else f"{path}?{part}"
    terms = [part, f"_count={draw.randrange(1, 12)}"]
    if way == "include":
        terms += [draw.choice(["_include=*", "_revinclude=*"])]
    return f"/fhir/{resource_type if way != 'system' else ''}?" + "&".join(filter(None, terms))


def test_what_is_kept_is_what_would_be_rendered(
    two: Two, mapping_set: MappingSet, others: MappingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"SEED={SEED} REQUESTS={REQUESTS}")
    draw, hits = two.home.draw, [0]
    look_up = Rendered.get

    def counted(self: Rendered, mapping: str, key: str, stamp: Stamp) -> bytes | None:
        found = look_up(self, mapping, key, stamp)
        hits[0] += found is not None
        return found

    monkeypatch.setattr(Rendered, "get", counted)
    etags: dict[str, str] = {}
    asked: list[str] = ["/fhir/Encounter"]
    for number in range(REQUESTS):
        path = draw.choice(asked[-20:]) if draw.random() < 0.5 else paths(two, draw)
        headers = dict(draw.choice(HEADERS))
        if draw.random() < 0.2 and path in etags:
            headers["If-None-Match"] = etags[path]
        asked.append(path)
        found = two.ask(path, headers)
        if "etag" in found:
            etags[path] = found.pop("etag")
        asked += [f"{urlsplit(url).path}?{urlsplit(url).query}" for rel, url in found.items() if rel == "next"]
        kept = two.keeping.services.rendered
        assert kept.size == sum(len(body) + OVERHEAD for _, body in kept._kept.values()) <= LIMIT
        if draw.random() < 0.3:
            two.home.write(list(mapping_set.kinds))
        if number % 100 == 99:
            two.take(others if number % 200 == 99 else mapping_set)
            assert len(two.keeping.services.rendered) == 0
    print(f"{two.seen} answered, {two.refused} refused, {hits[0]} times from what was kept")
    assert hits[0] > REQUESTS
    assert two.seen > two.refused


def test_a_record_made_again_in_the_same_instant_is_rendered_again(two: Two, mapping_set: MappingSet) -> None:
    kind, store = mapping_set.kinds["enhet"], two.home.store
    record = mapping_set.kinds.complete(kind, {"enhetID": "ny", "navn": "Poliklinikk"})
    for name in ("Poliklinikk", "Dagkirurgi", "Poliklinikk", "Sengepost"):
        with store.transaction() as writer:
            writer.delete(kind, record["$key"], now=BEGAN.isoformat())
            writer.merge(kind, [{**record, "navn": name}], BEGAN.isoformat())
        (mapping,) = (each for each in mapping_set.for_kind("enhet") if each.resource_type == "Organization")
        place = f"{mapping.id_prefix}-{record['$key']}" if mapping.id_prefix else record["$key"]
        for path in (f"/fhir/Organization/{place}", f"/fhir/Organization?_id={place}"):
            for _ in range(2):
                status, _, body = sent_by(two.keeping, path)
                assert (status, name in body.decode()) == (200, True)
