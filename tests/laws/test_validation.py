"""Laws of the validator over many resources: what the facade makes is valid, and both phases answer alike.

EDITS is the number of disturbed copies and of fuzzed texts for each kind; make laws asks for many.
"""

from __future__ import annotations

import os
import random
import string
from pathlib import Path
from typing import Any

import orjson

from fhir_facade.contracts import Record
from fhir_facade.json_text import located, read_text
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into
from tests.profile.test_fast_phase import agree, disturbed, good_resources, profiles_of
from tests.profile.test_report import validator

EDITS = int(os.environ.get("EDITS", "300"))
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(2**32)


def test_what_the_facade_makes_is_valid_by_the_profile_it_declares(mapping_set: MappingSet, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    store = SqliteStore.open(tmp_path / "s.db", mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, max(EDITS, 100), SEED, "2026-11-23T00:00:00.000Z")
    judge, judged, settled = validator(), 0, 0
    for mapping in mapping_set.mappings.values():
        for record in store.scan(mapping.rules.kind):
            resource = mapping.to_fhir(record, [])
            judged += 1
            if judge.fast.accepts(resource):
                settled += 1
            else:
                report = judge.validate(resource)
                assert report.valid, [str(issue) for issue in report.issues if issue.is_error]
    store.close()
    print(f"{judged} resources, {settled} settled at once")
    assert settled > 0.9 * judged > 1000


def test_disturbed_copies_of_what_the_facade_makes_are_judged_alike(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]]
) -> None:
    print(f"seed {SEED}")
    draw, right, accepted = random.Random(SEED), 0, 0
    mappings = list(mapping_set.mappings.values())
    for _ in range(EDITS):
        mapping = draw.choice(mappings)
        resource = mapping.to_fhir(draw.choice(synthetic[mapping.rules.kind]), [])
        urls = profiles_of(resource["resourceType"])
        profiles = (draw.choice(urls),) if urls and draw.random() < 0.5 else ()
        fast, valid = agree(disturbed(resource, draw), profiles)
        right, accepted = right + valid, accepted + fast
    print(f"{EDITS} copies, {right} right, {accepted} settled at once")
    assert right and accepted > 0.9 * right


def test_no_text_makes_the_validator_fail() -> None:
    """Texts of good resources with characters changed, put in and taken away: refused with a place, or judged."""
    print(f"seed {SEED}")
    draw, texts, refused = random.Random(SEED), [orjson.dumps(each) for each in good_resources()], 0
    for _ in range(EDITS):
        text = bytearray(draw.choice(texts))
        for _ in range(draw.randint(1, 4)):
            place = draw.randrange(len(text) or 1)
            text[place : place + draw.choice((0, 1, 1, 8))] = draw.choice(PIECES)
        reading = read_text(bytes(text))
        if reading.resource is None:
            refused += 1
            assert all(each.line > 0 and each.column > 0 for each in reading.issues), text
            continue
        report = validator().validate(reading.resource)
        assert validator().is_valid(reading.resource) == report.valid
        assert all(each.line > 0 for each in located(bytes(text), report.issues))
    assert 0 < refused < EDITS


PIECES = [
    *(each.encode() for each in string.printable), b"", b"null", b"true", b"1e400", b"-0", b'"', b"\\u0000", b"\\ud800",
    b"\xff", "\u202e".encode(), b'{"', b'":', b"[[", b"]]", b'"extension":[{"url":"a"}],', b'"id":"a",', b"0" * 40,
]  # fmt: skip


def random_json(draw: random.Random, depth: int = 0) -> Any:
    kind = draw.randrange(9)
    if kind == 0 and depth < 6:
        return [random_json(draw, depth + 1) for _ in range(draw.randrange(4))]
    if kind <= 4 and depth < 6:
        return {draw.choice(NAMES): random_json(draw, depth + 1) for _ in range(draw.randrange(5))}
    return draw.choice((None, True, False, 0, -1, 1.5, 1e308, 10**30, "", "a", "final", "2024-05-17", "#a", "\ud800"))


NAMES = """resourceType id meta extension url valueString valueCode value code coding system status text div name contained
subject reference identifier period start end _start _status type entry resource fullUrl profile component""".split()


def test_no_json_makes_the_validator_fail() -> None:
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    types = [each["resourceType"] for each in good_resources()]
    for _ in range(EDITS):
        resource = random_json(draw)
        if isinstance(resource, dict) and draw.random() < 0.9:
            resource["resourceType"] = draw.choice(types)
        assert validator().is_valid(resource) == validator().validate(resource).valid
