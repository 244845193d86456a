"""The fast phase never accepts what the walker finds an error in, and settles nearly everything that is right."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.contracts import Record
from fhir_facade.definitions import definitions
from fhir_facade.emit import Source
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.packages.registry import load_packages
from fhir_facade.profile import fhirpath, fhirpath_syntax
from fhir_facade.profile.findings import Findings
from fhir_facade.profile.references import type_of
from fhir_facade.profile.report import Walker
from fhir_facade.profile.schema import Schema
from fhir_facade.profile.shapes import FUNCTIONS_KEPT, SIGHTINGS_KEPT, FastPhase
from fhir_facade.profile.to_condition import holds
from fhir_facade.profile.validator import Validator
from fhir_facade.resources import data_root
from fhir_facade.terminology.catalogue import Catalogue

TABLE = yaml.safe_load((Path(__file__).parent / "faults.yaml").read_text(encoding="utf-8"))
SEED = 5
STRANGE = (
    None, True, 0, -1, 1.5, "", " ", "x", "2024-02-30", "2024-05-17", "2024-05-17T08:30:00+02:00", "#a", "Patient/1",
    "http://x.no/a b", "urn:oid:1.2", "\x00", [], {}, [None], [{}], ["a"], {"id": "a"}, {"extension": []},
    {"extension": [{"url": "http://x.no/a", "valueString": "a"}]}, {"reference": "Patient/1"}, {"coding": [{}]},
    {"system": "urn:oid:2.16.578.1.12.4.1.1.8406", "code": "3"}, {"start": "2024-05-17", "end": "2024-05-16"},
)  # fmt: skip


@cache
def eager() -> FastPhase:
    """A phase that makes a function at the first sighting, so that the laws meet generated code everywhere."""
    judge = Validator(load_packages(), Catalogue())
    return FastPhase(judge.schema, judge.bindings, {}, sightings=1)


def walker_accepts(resource: Any, profiles: tuple[str, ...] = ()) -> bool:
    phase = eager()
    findings = Findings({})
    Walker(phase.schema, phase.bindings, findings).resource(
        resource, type_of(resource) or "Resource", profiles=profiles
    )
    return not findings.has_error


@cache
def good_resources() -> tuple[dict[str, Any], ...]:
    found = list(TABLE["good"].values())
    for path in sorted(data_root("mappings").glob("*.examples/*.fhir.json")):
        content = orjson.loads(path.read_bytes())
        found += content if isinstance(content, list) else [content]
    return tuple(found)


def profiles_of(resource_type: str) -> list[str]:
    return [entry.url for entry in eager().schema.packages.all() if entry.type == resource_type]


def disturbed(resource: Any, draw: random.Random) -> Any:
    """A copy with one or two parts changed, taken away, given twice or put elsewhere."""
    made = copy.deepcopy(resource)
    for _ in range(draw.choice((1, 1, 2))):
        at: Any = made
        while True:
            inner = [each for each in (at.values() if isinstance(at, dict) else at) if isinstance(each, dict | list)]
            if not inner or draw.random() < 0.25:
                break
            at = draw.choice([each for each in inner if each] or inner)
            if not at:
                break
        _disturb(at, draw)
    return made


def _disturb(at: Any, draw: random.Random) -> None:
    kind = draw.randrange(6)
    strange = copy.deepcopy(draw.choice(STRANGE))
    if isinstance(at, list):
        if kind < 2 and at:
            at.append(copy.deepcopy(draw.choice(at)))
        elif kind < 4 and at:
            del at[draw.randrange(len(at))]
        else:
            at.insert(draw.randrange(len(at) + 1), strange)
        return
    keys = list(at)
    if kind == 0 or not keys:
        at[draw.choice(("extension", "id", "_value", "valueString", "code", "system", "start", "x", "text"))] = strange
    elif kind == 1:
        at[f"_{draw.choice(keys)}"] = strange
    elif kind < 4:
        del at[draw.choice(keys)]
    elif kind == 4:
        one, other = draw.choice(keys), draw.choice(keys)
        at[one], at[other] = at[other], at[one]
    else:
        at[draw.choice(keys)] = strange


def agree(resource: Any, profiles: tuple[str, ...] = ()) -> tuple[bool, bool]:
    """What both phases say; the fast one may only fail to accept."""
    fast, right = eager().accepts(resource, profiles), walker_accepts(resource, profiles)
    assert right or not fast, orjson.dumps(resource, default=str)
    return fast, right


def test_what_is_right_is_settled_without_the_walker() -> None:
    answers = [(agree(each), each) for each in good_resources()]
    slow = [each for (fast, right), each in answers if right and not fast]
    assert len(answers) > 200
    assert slow == []


def judge_disturbed(resources: Iterator[tuple[Any, tuple[str, ...]]], seed: int) -> tuple[int, int, int]:
    """How many copies were judged, were right, and were accepted at once."""
    draw, judged, right, accepted = random.Random(seed), 0, 0, 0
    for resource, profiles in resources:
        fast, valid = agree(disturbed(resource, draw), profiles)
        judged, right, accepted = judged + 1, right + valid, accepted + fast
    return judged, right, accepted


def test_disturbed_copies_are_judged_alike(mapping_set: MappingSet, synthetic: dict[str, list[Record]]) -> None:
    print(f"seed {SEED}")
    draw = random.Random(SEED)

    def copies() -> Iterator[tuple[Any, tuple[str, ...]]]:
        for mapping in mapping_set.mappings.values():
            for record in synthetic[mapping.rules.kind][:12]:
                resource = mapping.to_fhir(record, [])
                yield resource, ()
                urls = profiles_of(resource["resourceType"])
                yield resource, (draw.choice(urls),) if urls else ()
        for _ in range(4):
            yield from ((each, ()) for each in good_resources())

    judged, right, accepted = judge_disturbed(copies(), SEED)
    print(f"{judged} copies, {right} right, {accepted} settled at once")
    assert judged > 900 and judged - right > 300
    assert accepted > 0.95 * right


@given(st.sampled_from(range(len(TABLE["good"]))), st.integers(0, 2**32))
def test_any_disturbance_is_judged_alike(place: int, seed: int) -> None:
    good = list(TABLE["good"].values())[place]
    agree(disturbed(good, random.Random(seed)))


@pytest.mark.parametrize("fault", TABLE["faults"], ids=lambda fault: f"{fault[0]}-{fault[1]}-{fault[3]}")
def test_no_seeded_fault_is_accepted(fault: list[Any]) -> None:
    from tests.profile.test_report import seeded

    for _ in range(2):
        assert not eager().accepts(seeded(TABLE["good"][fault[0]], fault[1], fault[2]))


# conditions


def objects_of(value: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a resource with the node path that R4 knows it under."""
    if isinstance(value, dict):
        yield path, value
        for key, each in value.items():
            for inner in each if isinstance(each, list) else [each]:
                if isinstance(inner, dict) and not key.startswith("_"):
                    known = definitions().type_of(f"{path}.{key}")
                    inline = known in (None, "BackboneElement", "Element")
                    yield from objects_of(inner, f"{path}.{key}" if inline else str(known))


def test_conditions_say_what_the_evaluator_says() -> None:
    """Each constraint of a type and of its profiles over every object of it, as it is and disturbed within its form."""
    phase, draw, asked, settled = eager(), random.Random(SEED), 0, 0
    for resource in good_resources():
        name = resource["resourceType"]
        for url in [name, *profiles_of(name)]:
            node = phase.schema.node(url)
            assert node is not None
            variants = [resource, *(without(resource, draw) for _ in range(3))]
            for value in variants:
                for constraint in node.constraints:
                    source = Source()
                    text, is_whole = holds(constraint.expression, node, frozenset(value), source)
                    said = eval(text, source.names | {"o": value})  # noqa: S307 -- what we have just written
                    environment = fhirpath.Environment(value, value)
                    right = fhirpath.holds(constraint.expression, value, node.type_path, environment)
                    asked, settled = asked + 1, settled + (is_whole or bool(said))
                    assert not said or right, (constraint.key, text, value)
                    assert not is_whole or bool(said) == right, (constraint.key, text, value)
    assert asked > 5000
    assert settled > 0.9 * asked


EDGES = (
    "name.count() + 2147483647 > 5", "name.count() > 2147483647 + 1", "(name.count() + 1) = 2", "name.count() < 2147483648",
    "birthDate < deceased", "birthDate <= deceased", "deceased > birthDate", "birthDate = @1980-02-29", "birthDate != deceased",
    "gender.matches('^[a-z]+$')", "gender.matches('(a|a)*b')", "gender.matches('[a-z]{1000}[a-z]{1000}')", "id.matches('.\\n')",
    "gender = 'male'", "gender ~ 'MALE'", "multipleBirth = 1", "multipleBirth = 2147483648", "multipleBirth + 1 > 0",
    "extension.all(url = 'a')", "extension('a').exists()", "gender in ('male' | 'other')", "active = (1 = 1.0)",
)  # fmt: skip
EDGED: tuple[dict[str, Any], ...] = (
    {}, {"name": [{"family": "a"}]}, {"birthDate": "1980-02-29", "deceasedDateTime": "1980-02-29T00:30:00+01:00"},
    {"birthDate": "1980", "deceasedDateTime": "1980-02"}, {"birthDate": "1980-02-29", "_birthDate": {"id": "a"}},
    {"birthDate": "1980-02-29", "deceasedDateTime": "1980-02-29"}, {"gender": "male", "active": True},
    {"_gender": {"id": "a"}, "active": False}, {"gender": "x" * 5000, "id": "a\n"}, {"multipleBirthInteger": 2147483647},
    {"extension": [{"url": "a", "valueString": "b"}]},
)  # fmt: skip


@pytest.mark.parametrize("expression", EDGES)
def test_conditions_say_the_same_where_numbers_dates_and_texts_come_to_an_end(expression: str) -> None:
    node = eager().schema.node("Patient")
    assert node is not None
    for parts in EDGED:
        value = {"resourceType": "Patient"} | parts
        source = Source()
        text, is_whole = holds(expression, node, frozenset(value), source)
        said = bool(eval(text, source.names | {"o": value}))  # noqa: S307 -- what we have just written
        try:
            right = fhirpath.holds(expression, value, "Patient", fhirpath.Environment(value, value))
        except fhirpath_syntax.FhirPathError:
            right = True  # what cannot be evaluated is told, and is no error
        assert not said or right, (text, value)
        assert not is_whole or said == right, (text, value)


def without(resource: Any, draw: random.Random) -> Any:
    """A copy that lacks some parts and has others once more: still of the right form."""
    made = copy.deepcopy(resource)
    for at in [made, *(each for _, each in objects_of(made, made["resourceType"]))]:
        for key in list(at):
            if key == "resourceType" or draw.random() > 0.15:
                continue
            if isinstance(at[key], list) and draw.random() < 0.5:
                at[key].append(copy.deepcopy(at[key][0]))
            else:
                del at[key]
    return made


# bounds


def test_invented_keys_and_key_sets_make_no_functions() -> None:
    judge = Validator(load_packages(), Catalogue())
    phase = judge.fast
    for number in range(2000):
        assert not phase.accepts({"resourceType": "Patient", f"key{number}": 1})
        phase.accepts({"resourceType": "Patient", "active": True, "name": [{"family": "a", f"k{number}": 1}]})
    shapes = phase.shapes(judge.schema.node("Patient"))  # type: ignore[arg-type]
    assert FUNCTIONS_KEPT - phase.functions_left <= 2
    assert len(shapes.seen) <= SIGHTINGS_KEPT


def test_every_order_of_keys_costs_no_more_than_is_kept() -> None:
    judge = Validator(load_packages(), Catalogue())
    judge.fast.functions_left = 5
    keys = ["active", "gender", "birthDate", "language", "id", "implicitRules"]
    values = {"active": True, "gender": "male", "birthDate": "2000-01-01", "language": "nb", "id": "a"}
    draw = random.Random(SEED)
    for _ in range(400):
        order = draw.sample(keys[:5], 5)
        assert judge.is_valid({"resourceType": "Patient"} | {key: values[key] for key in order})
    assert judge.fast.functions_left == 0


def test_an_extension_in_an_extension_without_end_is_left_to_the_walker() -> None:
    for levels in (3, 12, 60, 150, 3000):
        held: dict[str, Any] = {"url": "http://x.no/a", "valueString": "a"}
        for _ in range(levels):
            held = {"url": "http://x.no/a", "extension": [held]}
        resource = {"resourceType": "Patient", "extension": [held]}
        for _ in range(4):
            assert not eager().accepts(resource) or (levels < 12 and walker_accepts(resource))
    assert eager().accepts({"resourceType": "Patient", "extension": [{"url": "http://x.no/a", "valueString": "a"}]})


@pytest.mark.parametrize("overrides", [{"extension-unknown": "error"}, {"code-outside-binding": "error"}])
def test_a_warning_that_a_deployment_calls_an_error_is_one(overrides: dict[str, str]) -> None:
    judge = Validator(load_packages(), Catalogue(), overrides=overrides)
    resource = {
        "resourceType": "Patient",
        "extension": [{"url": "http://x.no/a", "valueString": "a"}],
        "maritalStatus": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", "code": "?"}]
        },
    }
    for _ in range(5):
        assert not judge.is_valid(resource)
        assert Validator(load_packages(), Catalogue()).is_valid(resource)


def test_an_advice_that_a_deployment_calls_an_error_is_one() -> None:
    judge = Validator(load_packages(), Catalogue(), overrides={"dom-6": "error"})
    for _ in range(5):
        assert not judge.is_valid({"resourceType": "Patient", "active": True})


def test_a_profile_that_is_not_at_hand_may_be_an_error() -> None:
    resource = {"resourceType": "Patient", "meta": {"profile": ["http://x.no/p"]}, "active": True}
    strict = Validator(load_packages(), Catalogue(), unknown_profile="error")
    for _ in range(5):
        assert not strict.is_valid(resource)
        assert eager().accepts(resource)


def test_a_schema_of_its_own_makes_functions_of_its_own() -> None:
    judge = Validator(load_packages(), Catalogue())
    assert isinstance(judge.fast.schema, Schema)
    assert judge.fast.schema is judge.schema
