"""Law: whoever follows the links meets every match that stays as it is exactly once, whatever else comes and goes.

Walks go over HTTP, through random types, restrictions, orders and counts, while records are written between the pages
and, in a part of them, at the same time by another thread. WALKS says how many, SEED which.
"""

from __future__ import annotations

import base64
import os
import random
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cmp_to_key
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import settings

from fhir_facade.contracts import Clause, Query, Sort
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into
from tests.house import BASE, BEGAN, House, driven

EXAMPLES = settings.default.max_examples if settings.default else 100
WALKS = int(os.environ.get("WALKS", "0")) or {20: 12, 2000: 500}.get(EXAMPLES, 40)
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(2**32)
PATIENTS = 40
TAMPERED = 1000
WRITES = 40  # in one walk


@pytest.fixture(scope="module")
def original(mapping_set: MappingSet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("walks") / "store.db"
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, PATIENTS, 11, BEGAN.isoformat())
    store.close()
    return path


@contextmanager
def house(mapping_set: MappingSet, original: Path, folder: Path, draw: random.Random) -> Iterator[House]:
    path = folder / "walk.db"
    shutil.copy(original, path)
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    reading = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns, read_only=True)
    lane = FhirLane(Services(mapping_set, reading, BASE, PageTokens(b"a secret"), now=lambda: BEGAN))
    try:
        yield House(mapping_set, store, lane, draw)
    finally:
        reading.close()
        store.close()
        for file in folder.iterdir():
            file.unlink()


def links(bundle: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in bundle["link"]}


def found(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]


def search_drawn(mapping_set: MappingSet, draw: random.Random) -> Query:
    """A type, perhaps a restriction, an order of up to two parameters and a count."""
    search = mapping_set.search
    resource_type = draw.choice(sorted(mapping_set.by_type))
    codes = sorted(search.parameters(resource_type))
    clauses: tuple[Clause, ...] = ()
    if draw.random() < 0.4:
        clauses = (Clause(draw.choice(codes), (draw.choice(["false", "false", "true"]),), "missing"),)
    sortable = sorted(search.sortable(resource_type))
    chosen = draw.sample(sortable, min(draw.choice([0, 1, 1, 2]), len(sortable)))
    sort = tuple(Sort(code, draw.random() < 0.5) for code in chosen)
    return Query(resource_type, clauses, sort, draw.randrange(1, 12))


def url_of(query: Query) -> str:
    terms = [f"{clause.parameter}:{clause.modifier}={clause.values[0]}" for clause in query.clauses]
    if query.sort:
        terms.append("_sort=" + ",".join(f"{'-' * each.descending}{each.parameter}" for each in query.sort))
    return f"{BASE}/{query.resource_type}?" + "&".join([*terms, f"_count={query.count}"])


def in_order(query: Query) -> Callable[[tuple[Any, ...]], Any]:
    """A key that sorts positions as the total order says: ties go the way of the last sort value."""
    down = [each.descending for each in query.sort]
    down += [down[-1] if down else False] * 2

    def compared(one: tuple[Any, ...], other: tuple[Any, ...]) -> int:
        for left, right, descending in zip(one, other, down, strict=True):
            if left != right:
                return -1 if (left > right) == descending else 1
        return 0

    return cmp_to_key(compared)


def walked(home: House, query: Query, *, backward: bool, threaded: bool) -> list[str]:
    """Follow the links to the end while records are written; each page is the truth of its moment."""
    kinds = [source.kind for source in home.mapping_set.search.sources(query.resource_type)]
    status, bundle = home.get(url_of(query))
    relation = "previous" if backward else "next"
    if backward and "last" in links(bundle):
        status, bundle = home.get(links(bundle)["last"])
    seen: list[str] = []
    key = in_order(query)
    edge: Any = None
    written = 0
    while True:
        assert status == 200, bundle
        page = found(bundle)
        seen += reversed(page) if backward else page
        now = home.truth(query)
        if not threaded:
            assert page == expected_page(now, edge, key, query.count, backward), "the page is not what lies there"
            if page:
                edge = key(now[page[0 if backward else -1]][0])
        if relation not in links(bundle):
            return seen
        writes = min(home.draw.randrange(4), WRITES - written)  # or rows may be added as fast as pages are read
        written += writes
        if threaded:
            thread = threading.Thread(target=lambda n=writes: [home.write(kinds) for _ in range(n)])
            thread.start()
            status, bundle = home.get(links(bundle)[relation])
            thread.join()
        else:
            for _ in range(writes):
                home.write(kinds)
            status, bundle = home.get(links(bundle)[relation])


def expected_page(now: dict[str, tuple[Any, ...]], edge: Any, key: Any, count: int, backward: bool) -> list[str]:
    places = [(each, key(position)) for each, (position, _) in now.items()]
    if backward:
        return [each for each, place in places if edge is None or place < edge][-count:]
    return [each for each, place in places if edge is None or place > edge][:count]


def test_walks_meet_each_match_that_stays_exactly_once(mapping_set: MappingSet, original: Path, tmp_path: Path) -> None:
    print(f"SEED={SEED} WALKS={WALKS}")
    pages = kept = 0
    for number in range(WALKS):
        draw = random.Random(f"{SEED}-{number}")
        query = search_drawn(mapping_set, draw)
        backward, threaded = draw.random() < 0.4, draw.random() < 0.35
        said = f"SEED={SEED} walk {number}: {url_of(query)} backward={backward} threaded={threaded}"
        with house(mapping_set, original, tmp_path, draw) as home:
            before = home.truth(query)
            key = in_order(query)
            assert list(before) == [
                each for each, _ in sorted(before.items(), key=lambda it, key=key: key(it[1][0]))
            ], said
            seen = walked(home, query, backward=backward, threaded=threaded)
            after = home.truth(query)
        stayed = [each for each, what in before.items() if after.get(each) == what and after[each][1] != -1]
        kept += len(stayed)
        pages += len(seen) // query.count
        met = [each for each in seen if each in set(stayed)]
        assert met == (stayed[::-1] if backward else stayed), said
    print(f"{kept} matches stayed, {pages} pages")
    assert kept > WALKS


def test_previous_is_the_page_before_whatever_was_written(
    mapping_set: MappingSet, original: Path, tmp_path: Path
) -> None:
    print(f"SEED={SEED} WALKS={WALKS}")
    turns = 0
    for number in range(max(WALKS // 4, 1)):
        draw = random.Random(f"{SEED}-zigzag-{number}")
        query = replace(search_drawn(mapping_set, draw), count=draw.randrange(1, 5))
        said = f"SEED={SEED} zigzag {number}: {url_of(query)}"
        kinds = [source.kind for source in mapping_set.search.sources(query.resource_type)]
        with house(mapping_set, original, tmp_path, draw) as home:
            key = in_order(query)
            status, bundle = home.get(url_of(query))
            for _ in range(12):
                to = draw.choice([each for each in ("next", "next", "previous") if each in links(bundle)] or [""])
                page, at = found(bundle), home.truth(query)
                if not to or not page:
                    break
                edge = key(at[page[0 if to == "previous" else -1]][0])
                for _ in range(draw.randrange(3)):
                    home.write(kinds)
                status, bundle = home.get(links(bundle)[to])
                assert status == 200, said
                wanted = expected_page(home.truth(query), edge, key, query.count, to == "previous")
                assert found(bundle) == wanted, said
                turns += to == "previous"
    assert turns


def test_a_thousand_tokens_that_were_tampered_with_are_refused(
    mapping_set: MappingSet, original: Path, tmp_path: Path
) -> None:
    print(f"SEED={SEED}")
    draw = random.Random(f"{SEED}-tampered")
    accepted: list[str] = []
    with house(mapping_set, original, tmp_path, draw) as home:
        tokens: dict[str, str] = {}
        while len(tokens) < 40:
            query = search_drawn(mapping_set, draw)
            _, bundle = home.get(url_of(query))
            for relation in ("next", "last"):
                if relation in links(bundle):
                    token = parse_qs(urlsplit(links(bundle)[relation]).query)["_page"][0]
                    tokens.setdefault(url_of(query), token)
        searches = sorted(tokens)
        other = FhirLane(replace(home.lane.services, tokens=PageTokens(b"another secret")))
        for number in range(TAMPERED):
            url = draw.choice(searches)
            way = ("flip", "cut", "add", "swap", "secret", "bytes")[number % 6]
            lane, changed = home.lane, tampered(draw, way, tokens[url], tokens[draw.choice(searches)])
            if way == "swap":
                there = draw.choice([each for each in searches if bound(each) != bound(url)])
                changed = tokens[there]
            if way == "secret":
                lane = other
            status, answer = driven(lane, f"{urlsplit(url).path}?{urlsplit(url).query}&_page={quote(changed)}")
            coding = answer.get("issue", [{}])[0].get("details", {}).get("coding", [{}])[0]
            if (status, coding.get("code")) != (400, "page-token-invalid"):
                accepted.append(f"{way} {status} {url} {changed}")
        for url in searches:  # the tokens themselves are good
            assert home.get(f"{url}&_page={tokens[url]}")[0] == 200
    assert accepted == []


def bound(url: str) -> str:
    """What a token is bound to, which the count is no part of."""
    return re.sub(r"&?_count=\d+", "", url)


def tampered(draw: random.Random, way: str, token: str, other: str) -> str:
    """The token changed in one way; "secret" and "swap" leave it as it is."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    place = draw.randrange(len(token))
    match way:
        case "flip":
            return token[:place] + draw.choice([each for each in letters if each != token[place]]) + token[place + 1 :]
        case "cut":
            return token[:place]
        case "add":
            return token[:place] + draw.choice([draw.choice(letters), "=", other]) + token[place:]
        case "bytes":
            raw = bytearray(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            for _ in range(draw.randrange(1, 4)):
                raw[draw.randrange(len(raw))] ^= draw.randrange(1, 256)
            changed = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
            return changed if changed != token else token[:-1]
        case _:
            return token
