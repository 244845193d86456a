"""What a node demands: base, data type, profiles of both, slices; taken together without a snapshot."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.definitions import definitions
from fhir_facade.packages.elements import UNBOUNDED, Definition, ids_of
from fhir_facade.packages.registry import load_packages
from fhir_facade.profile.schema import Node, Schema
from fhir_facade.profile.slicing import criteria, matches, parse_steps

CORE = "http://hl7.org/fhir/StructureDefinition/"
BASE = "http://test.no/StructureDefinition/base"
CHILD = "http://test.no/StructureDefinition/child"
LIST = "urn:oid:2.16.578.1.12.4.1.1."


def definition(url: str, base: str, elements: list[dict[str, Any]], type: str = "Observation") -> Definition:
    return Definition(
        {
            "url": url,
            "type": type,
            "kind": "resource",
            "derivation": "constraint",
            "baseDefinition": base,
            "differential": {"element": [{"id": each["path"], **each} for each in elements]},
        }
    )


class Shelf:
    """R4 and a few definitions of a test."""

    def __init__(self, *made: Definition) -> None:
        self._packages = load_packages()
        self._made = {each.url: each for each in made}

    def find(self, canonical: str) -> Definition | None:
        return self._made.get(canonical) or self._packages.find(canonical)


class Nobody:
    """A judge that knows nothing."""

    def member(self, value_set: str, value: Any) -> bool | None:
        return None

    def conforms(self, canonical: str, value: Any) -> bool | None:
        return None

    def resolve(self, reference: str) -> dict[str, Any] | None:
        return None


def node(url: str, *made: Definition) -> Node:
    found = Schema(Shelf(*made)).node(url)
    assert found is not None
    return found


def test_every_type_of_r4_has_the_children_and_cardinalities_that_the_table_says() -> None:
    schema = Schema(load_packages())
    seen = 0
    for name in definitions().resource_types:
        root = schema.node(name)
        assert root is not None
        assert set(root.members) == set(definitions().children(name))
        for key, member in root.members.items():
            element = definitions().element(f"{name}.{key}")
            assert element is not None
            assert member.element.min == element.min
            assert member.element.many == element.many
            assert member.node.type in element.types
            seen += 1
    assert seen > 3000


def test_a_differential_narrows_its_base_and_what_it_does_not_name_stays() -> None:
    base = definition(BASE, CORE + "Observation", [{"path": "Observation.subject", "min": 1}])
    child = definition(
        CHILD,
        BASE,
        [{"path": "Observation.method", "max": "0"}, {"path": "Observation.effectivePeriod.start", "min": 1}],
    )
    root = node(CHILD, base, child)
    assert (root.children["subject"].min, root.children["subject"].max) == (1, 1)
    assert root.children["method"].max == 0
    assert root.children["status"].min == 1
    assert root.members["effectivePeriod"].node.children["start"].min == 1
    assert root.members["effectiveTiming"].node.children["event"].min == 0
    assert {each.key for each in root.constraints} >= {"dom-2", "obs-6", "obs-7"}


def test_a_data_type_profile_speaks_in_the_element_that_has_it() -> None:
    name = definition(CHILD, CORE + "HumanName", [{"path": "HumanName.family", "min": 1}], "HumanName")
    patient = definition(
        BASE,
        CORE + "Patient",
        [{"path": "Patient.name", "type": [{"code": "HumanName", "profile": [CHILD]}]}],
        "Patient",
    )
    root = node(BASE, name, patient)
    assert root.children["name"].children["family"].min == 1
    assert root.children["contact"].children["name"].children["family"].min == 0


def test_a_profile_that_is_not_there_is_named_and_the_rest_holds() -> None:
    lost = definition(BASE, "http://test.no/lost", [{"path": "Observation.method", "min": 1}])
    root = node(BASE, lost)
    assert root.missing == ("http://test.no/lost",)
    assert root.children["method"].min == 1 and root.children["status"].min == 1


def test_a_slice_counts_for_itself_and_holds_what_is_said_of_every_item() -> None:
    made = definition(BASE, CORE + "Observation", [
        {"path": "Observation.category", "min": 1, "slicing": {"discriminator": [{"type": "value", "path": "coding.system"}], "rules": "open"}},
        {"path": "Observation.category.coding", "min": 1},
        {"path": "Observation.category", "id": "Observation.category:a", "sliceName": "a", "max": "1"},
        {"path": "Observation.category.coding.system", "id": "Observation.category:a.coding.system", "fixedUri": "http://a"},
        {"path": "Observation.category", "id": "Observation.category:a/b", "sliceName": "a/b", "min": 1},
    ])  # fmt: skip
    held = node(BASE, made).children["category"]
    (slice,) = held.slices
    assert (held.min, held.max, slice.slice_name, slice.min, slice.max) == (1, None, "a", 0, 1)
    assert slice.children["coding"].min == 1
    assert [(each.slice_name, each.min) for each in slice.slices] == [("a/b", 1)]
    assert matches(slice, {"coding": [{"system": "http://b"}, {"system": "http://a"}]}, Nobody()) is True
    assert matches(slice, {"coding": [{"system": "http://b"}]}, Nobody()) is False
    assert matches(slice, {"text": "no coding"}, Nobody()) is False


def test_slices_told_apart_in_every_way() -> None:
    element = {
        "path": "Observation.component",
        "slicing": {"discriminator": [{"type": "x", "path": "y"}], "rules": "open"},
    }
    cases: list[tuple[str, str, dict[str, Any], Any, Any, bool]] = [
        ("pattern", "code", {"path": "code", "patternCodeableConcept": {"coding": [{"code": "a"}]}}, {"code": {"coding": [{"code": "b"}, {"code": "a", "display": "A"}]}}, {"code": {"coding": [{"code": "b"}]}}, True),
        ("value", "code.coding.code", {"path": "code", "patternCodeableConcept": {"coding": [{"code": "a"}]}}, {"code": {"coding": [{"code": "a"}]}}, {"code": {"coding": [{"code": "b"}]}}, True),
        ("exists", "interpretation", {"path": "interpretation", "min": 1}, {"interpretation": [{"text": "x"}]}, {"code": {}}, True),
        ("exists", "interpretation", {"path": "interpretation", "max": "0"}, {"code": {}}, {"interpretation": [{"text": "x"}]}, True),
        ("value", "code", {"path": "code", "binding": {"strength": "required", "valueSet": LIST + "8406"}}, {"code": {"coding": [{"system": "http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406", "code": "77"}]}}, {"code": {"coding": [{"system": LIST + "8432"}]}}, True),
    ]  # fmt: skip
    for way, path, said, good, bad, decided in cases:
        child = {
            **said,
            "path": f"Observation.component.{said['path']}",
            "id": f"Observation.component:s.{said['path']}",
        }
        sliced = {**element, "slicing": {"discriminator": [{"type": way, "path": path}], "rules": "open"}}
        made = definition(
            BASE,
            CORE + "Observation",
            [sliced, {"path": "Observation.component", "id": "Observation.component:s", "sliceName": "s"}, child],
        )
        (slice,) = node(BASE, made).children["component"].slices
        assert criteria(slice)[0].kind != "unknown", way
        assert matches(slice, good, Nobody()) is decided, (way, path)
        assert matches(slice, bad, Nobody()) is False, (way, path)


def test_a_choice_is_sliced_by_type_also_when_only_its_short_name_says_so() -> None:
    made = definition(
        BASE,
        CORE + "Observation",
        [{"path": "Observation.valueQuantity", "min": 1}, {"path": "Observation.valueQuantity.unit", "min": 1}],
    )
    root = node(BASE, made)
    choice = root.children["value[x]"]
    (slice,) = choice.slices
    assert (choice.min, slice.min) == (0, 1)
    assert root.members["valueQuantity"].node.children["unit"].min == 1
    assert matches(slice, {"value": 1}, Nobody(), "Quantity") is True
    assert matches(slice, "text", Nobody(), "string") is False


def test_what_cannot_be_decided_is_neither_yes_nor_no() -> None:
    sliced = {
        "path": "Observation.performer",
        "slicing": {"discriminator": [{"type": "type", "path": "resolve()"}], "rules": "open"},
    }
    part = {
        "path": "Observation.performer",
        "id": "Observation.performer:p",
        "sliceName": "p",
        "type": [{"code": "Reference", "targetProfile": [CORE + "Patient"]}],
    }
    (slice,) = node(BASE, definition(BASE, CORE + "Observation", [sliced, part])).children["performer"].slices
    assert matches(slice, {"reference": "Patient/1"}, Nobody()) is None


def test_the_tree_of_extensions_in_extensions_is_finite() -> None:
    schema = Schema(load_packages())
    at = schema.node("Patient")
    for _ in range(200):
        assert at is not None
        at = at.children["extension"]
    assert len(schema._nodes) < 500


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "x", "y"])), max_size=8))
def test_ids_that_are_not_given_are_made_of_path_and_slice(steps: list[tuple[str, str]]) -> None:
    elements: list[dict[str, Any]] = [{"path": "T"}]
    wanted = ["T"]
    for name, sliced in steps:
        elements.append({"path": f"T.{name}", **({"sliceName": sliced} if sliced else {})})
        elements.append({"path": f"T.{name}.z"})
        head = f"T.{name}:{sliced}" if sliced else f"T.{name}"
        wanted += [head, f"{head}.z"]
    assert list(ids_of(elements)) == wanted


def test_discriminator_paths_are_read_or_refused() -> None:
    assert parse_steps("$this") == ()
    assert [step.kind for step in parse_steps("extension('http://a.b/c').value.ofType(Coding).system") or ()] == [
        "extension", "child", "ofType", "child",
    ]  # fmt: skip
    assert parse_steps("a b") is None and parse_steps("a..b") is None
    assert UNBOUNDED > 10**9
