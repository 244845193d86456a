"""What a reference points at is judged by the profiles that are allowed there; contexts in FHIRPath are judged."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.packages.elements import Definition
from fhir_facade.profile.validator import Validator
from fhir_facade.terminology.catalogue import Catalogue
from tests.profile.test_schema import CORE, Shelf, definition

BASE = "http://test.no/fhir/StructureDefinition/"
NAMED, STAY, LOOP = BASE + "named", BASE + "stay", BASE + "loop"
WARD = BASE + "ward"


def reference(path: str, *targets: str) -> dict[str, Any]:
    return {"path": path, "type": [{"code": "Reference", "targetProfile": list(targets)}]}


def judge() -> Validator:
    named = definition(NAMED, CORE + "Patient", [{"path": "Patient.name", "min": 1}], "Patient")
    stay = definition(STAY, CORE + "Encounter", [reference("Encounter.subject", NAMED)], "Encounter")
    loop = definition(LOOP, CORE + "Encounter", [reference("Encounter.partOf", LOOP)], "Encounter")
    return Validator(Shelf(named, stay, loop), Catalogue())  # type: ignore[arg-type]


def stay(**more: Any) -> dict[str, Any]:
    coding = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"}
    return {"resourceType": "Encounter", "status": "finished", "class": coding} | more


def errors(validator: Validator, resource: dict[str, Any], *profiles: str) -> list[tuple[str, str]]:
    report = validator.validate(resource, profiles)
    for _ in range(4):
        assert validator.is_valid(resource, profiles) is report.valid
    return [(issue.code, issue.at) for issue in report.issues if issue.is_error]


def with_patient(patient: dict[str, Any]) -> dict[str, Any]:
    held = {"resourceType": "Patient", "id": "p"} | patient
    return stay(contained=[held], subject={"reference": "#p"})


WRONG = [("reference-target-profile", "Encounter.subject")]


def test_a_contained_target_is_judged_by_its_profile() -> None:
    validator = judge()
    assert errors(validator, with_patient({"name": [{"family": "a"}]}), STAY) == []
    assert errors(validator, with_patient({"active": True}), STAY) == WRONG
    assert errors(validator, with_patient({"active": True})) == []
    assert errors(validator, stay(subject={"reference": "Patient/elsewhere"}), STAY) == []


def test_a_target_in_the_bundle_is_judged_by_its_profile() -> None:
    def bundle(patient: dict[str, Any]) -> dict[str, Any]:
        held = stay(id="e", meta={"profile": [STAY]}, subject={"reference": "Patient/p"})
        entries = [held, {"resourceType": "Patient", "id": "p"} | patient]
        return {
            "resourceType": "Bundle", "type": "collection", "entry": [
                {"fullUrl": f"http://x.no/{each['resourceType']}/{each['id']}", "resource": each} for each in entries
            ],
        }  # fmt: skip

    validator = judge()
    assert errors(validator, bundle({"name": [{"family": "a"}]})) == []
    assert errors(validator, bundle({"active": True})) == [
        ("reference-target-profile", "Bundle.entry[0].resource.subject")
    ]


def test_one_of_several_profiles_is_enough_and_the_type_itself_allows_all() -> None:
    other = BASE + "other"
    kept = definition(other, CORE + "Patient", [{"path": "Patient.active", "min": 1}], "Patient")
    named = definition(NAMED, CORE + "Patient", [{"path": "Patient.name", "min": 1}], "Patient")
    either = definition(STAY, CORE + "Encounter", [reference("Encounter.subject", NAMED, other)], "Encounter")
    anyone = definition(
        LOOP, CORE + "Encounter", [reference("Encounter.subject", NAMED, CORE + "Patient")], "Encounter"
    )
    absent = definition(WARD, CORE + "Encounter", [reference("Encounter.subject", BASE + "none")], "Encounter")
    validator = Validator(Shelf(kept, named, either, anyone, absent), Catalogue())  # type: ignore[arg-type]
    assert errors(validator, with_patient({"active": True}), STAY) == []
    assert errors(validator, with_patient({"gender": "male"}), STAY) == WRONG
    assert errors(validator, with_patient({"gender": "male"}), LOOP) == []
    assert errors(validator, with_patient({"gender": "male"}), WARD) == []


def test_stays_that_are_part_of_each_other_come_to_an_end() -> None:
    count = 40
    entries = [
        stay(id=str(n), meta={"profile": [LOOP]}, partOf={"reference": f"Encounter/{(n + 1) % count}"})
        for n in range(count)
    ]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [
        {"fullUrl": f"http://x.no/Encounter/{each['id']}", "resource": each} for each in entries
    ]}  # fmt: skip
    assert errors(judge(), bundle) == []


def ward(*contexts: tuple[str, str]) -> Validator:
    content = {
        "url": WARD, "type": "Extension", "kind": "complex-type", "derivation": "constraint",
        "baseDefinition": CORE + "Extension",
        "context": [{"type": kind, "expression": said} for kind, said in contexts],
        "differential": {"element": [
            {"id": "Extension", "path": "Extension"},
            {"id": "Extension.url", "path": "Extension.url", "fixedUri": WARD},
            {"id": "Extension.value[x]", "path": "Extension.value[x]", "type": [{"code": "string"}]},
        ]},
    }  # fmt: skip
    return Validator(Shelf(Definition(content)), Catalogue())  # type: ignore[arg-type]


MARK = {"extension": [{"url": WARD, "valueString": "a"}]}
HOME, WORK = {"use": "home", "value": "1", "system": "phone"}, {"use": "work", "value": "2", "system": "phone"}


@pytest.mark.parametrize("expression, right", [
    ("Patient.telecom.where(use = 'home')", True), ("Patient.telecom.where(use = 'work')", False),
    ("Patient", False), ("Patient.telecom", True), ("Patient.telecom.", True),
])  # fmt: skip
def test_a_context_in_fhirpath_says_where_an_extension_may_stand(expression: str, right: bool) -> None:
    resource = {"resourceType": "Patient", "telecom": [HOME | MARK, WORK]}
    wanted = [] if right else [("extension-context", "Patient.telecom[0].extension[0]")]
    assert errors(ward(("fhirpath", expression)), resource) == wanted


def test_one_of_several_contexts_is_enough() -> None:
    validator = ward(("element", "Encounter"), ("fhirpath", "Patient.birthDate"))
    born = {"resourceType": "Patient", "birthDate": "2000-01-01", "_birthDate": MARK}
    assert errors(validator, born) == []
    assert errors(validator, stay() | MARK) == []
    assert errors(validator, {"resourceType": "Patient"} | MARK) == [("extension-context", "Patient.extension[0]")]


# ---- how often an extension may stand


NOTE = BASE + "note"
NOTED = {"url": NOTE, "valueString": "x"}


def notes(most: str, *more: Definition) -> Validator:
    """A validator that knows an extension which may stand so often on anything."""
    rows = [
        {"path": "Extension", "max": most}, {"path": "Extension.url", "fixedUri": NOTE},
        {"path": "Extension.value[x]", "type": [{"code": "string"}]},
    ]  # fmt: skip
    made = Definition(
        {
            "url": NOTE, "type": "Extension", "kind": "complex-type", "derivation": "constraint",
            "baseDefinition": CORE + "Extension", "context": [{"type": "element", "expression": "*"}],
            "differential": {"element": [{"id": each["path"], **each} for each in rows]},
        }
    )  # fmt: skip
    return Validator(Shelf(made, *more), Catalogue())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "most, count, told", [("1", 1, False), ("1", 2, True), ("2", 2, False), ("2", 3, True), ("*", 3, False)]
)
@pytest.mark.parametrize("where", ["Patient", "Patient.name[0]", "Patient.birthDate", "Patient.name[0].given[1]"])
def test_an_extension_stands_as_often_as_its_definition_says(most: str, count: int, told: bool, where: str) -> None:
    held = {"extension": [NOTED] * count}
    resource: dict[str, Any] = {"resourceType": "Patient"} | {
        "Patient": held,
        "Patient.name[0]": {"name": [{"family": "a"} | held]},
        "Patient.birthDate": {"birthDate": "1980-01-01", "_birthDate": held},
        "Patient.name[0].given[1]": {"name": [{"given": ["A", "B"], "_given": [None, held]}]},
    }[where]
    found = errors(notes(most), resource)
    assert found == ([("element-too-many", f"{where}.extension[{count - 1}]")] if told else [])


def test_an_extension_is_counted_on_each_element_by_itself() -> None:
    one = {"extension": [NOTED]}
    resource = {"resourceType": "Patient", "name": [{"family": "a"} | one, {"family": "b"} | one]} | one
    assert errors(notes("1"), resource) == []
    other = {"url": "http://x.no/other", "valueString": "x"}
    assert errors(notes("1"), {"resourceType": "Patient", "extension": [other, NOTED, other]}) == []
    assert errors(notes("1"), {"resourceType": "Patient", "extension": [NOTED, other, NOTED]}) == [
        ("element-too-many", "Patient.extension[2]")
    ]


def test_what_stands_too_often_is_told_by_the_definition_and_its_url() -> None:
    (issue,) = [
        each
        for each in notes("1").validate({"resourceType": "Patient", "extension": [NOTED] * 2}).issues
        if each.is_error
    ]
    assert issue.rule is not None and (issue.rule.profile, issue.rule.element) == (NOTE, "Extension")
    assert issue.sentence("en").startswith(f"extension stands 2 times ({NOTE}): at most 1 allowed.")
    assert issue.sentence("nb").startswith(f"extension står 2 ganger ({NOTE}): høyst 1 er tillatt.")


@pytest.mark.parametrize(
    "of_slice, count, code",
    [
        ("1", 2, "slice-too-many"),
        ("*", 2, "element-too-many"),
        ("2", 2, "element-too-many"),
        ("2", 3, "slice-too-many"),
    ],
)
def test_a_slice_that_counts_an_extension_tells_it_alone(of_slice: str, count: int, code: str) -> None:
    typed = {"type": [{"code": "Extension", "profile": [NOTE]}]}
    sliced = {"id": "Patient.extension:x", "path": "Patient.extension", "sliceName": "x", "max": of_slice} | typed
    noted = definition(NAMED, CORE + "Patient", [sliced], "Patient")
    found = errors(notes("1", noted), {"resourceType": "Patient", "extension": [NOTED] * count}, NAMED)
    assert found == [(code, f"Patient.extension[{count - 1}]")]


@pytest.mark.parametrize("url", [None, 1, [], {}, "", "note", "Extension", "Patient", "http://x.no/a b"])
def test_a_url_that_is_none_is_not_counted(url: Any) -> None:
    found = errors(notes("1"), {"resourceType": "Patient", "extension": [{"url": url, "valueString": "x"}] * 2})
    assert "element-too-many" not in [code for code, _ in found]
