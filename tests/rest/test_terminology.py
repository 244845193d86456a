"""The terminology operations over HTTP: every way to ask, and the table of statuses of docs/terminology.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_facade.rest.terminology import OPERATIONS
from fhir_facade.terminology.identity import is_national_identity_number

Ask = Callable[..., httpx.Response]
LIST = "urn:oid:2.16.578.1.12.4.1.1.8406"
PUBLISHED = "http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406"
VALUE_SET = "http://fhir-facade.no/fhir/ValueSet/vol-8406"
FIELDS = "urn:oid:2.16.578.1.12.4.1.1.8451"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
MAP = "http://fhir-facade.no/fhir/ConceptMap/omsorgsniva-actcode"
JSON = {"Content-Type": "application/fhir+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PERSON = next(
    text for number in range(100_000) if is_national_identity_number(text := f"018190{number:05d}")
)  # 1 January 1990 with month + 80


def parameters(answer: httpx.Response) -> dict[str, Any]:
    """Name → value of a Parameters resource that R4 takes; parts and resources as they are."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    get_fhir_model_class("Parameters").model_validate(body)
    return {each["name"]: next(value for name, value in each.items() if name != "name") for each in body["parameter"]}


def fault(answer: httpx.Response) -> str:
    """The code of the first issue, which speaks both languages."""
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome", body
    get_fhir_model_class("OperationOutcome").model_validate(body)
    details = body["issue"][0]["details"]
    (translation,) = details["_text"]["extension"]
    assert translation["extension"][0]["valueCode"] == "nb"
    assert details["text"] != translation["extension"][1]["valueString"]
    code: str = details["coding"][0]["code"]
    return code


def resource(**given: Any) -> dict[str, Any]:
    listed = [{"name": name.removesuffix("_"), **value} for name, value in given.items()]
    return {"resourceType": "Parameters", "parameter": listed}


CODING = {"valueCoding": {"system": PUBLISHED, "code": "1"}}
ASKED: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "lookup": [
        ("GET", f"/fhir/CodeSystem/$lookup?system={LIST}&code=1", {}),
        ("GET", f"/fhir/CodeSystem/$lookup?system={PUBLISHED}&code=1", {}),
        ("GET", "/fhir/CodeSystem/vol-8406/$lookup?code=1", {}),
        ("POST", "/fhir/CodeSystem/$lookup", {"data": {"system": LIST, "code": "1"}}),
        ("POST", "/fhir/CodeSystem/$lookup", {"json": resource(coding=CODING), "headers": JSON}),
        ("POST", "/fhir/CodeSystem/vol-8406/$lookup", {"json": resource(code={"valueCode": "1"}), "headers": JSON}),
    ],
    "validate": [
        ("GET", f"/fhir/CodeSystem/$validate-code?url={LIST}&code=1&display=D%C3%B8gnopphold", {}),
        ("GET", f"/fhir/CodeSystem/$validate-code?system={LIST}&code=1", {}),
        ("GET", "/fhir/CodeSystem/vol-8406/$validate-code?code=1&date=2024-06-30", {}),
        ("POST", "/fhir/CodeSystem/$validate-code", {"data": {"url": PUBLISHED, "code": "1"}}),
        ("POST", "/fhir/CodeSystem/$validate-code", {"json": resource(coding=CODING), "headers": JSON}),
        ("GET", f"/fhir/ValueSet/$validate-code?url={VALUE_SET}&system={LIST}&code=1", {}),
        ("GET", f"/fhir/ValueSet/$validate-code?url={LIST}&system={PUBLISHED}&code=1", {}),
        ("GET", f"/fhir/ValueSet/vol-8406/$validate-code?system={LIST}&code=1", {}),
        ("POST", "/fhir/ValueSet/vol-8406/$validate-code", {"json": resource(coding=CODING), "headers": JSON}),
        (
            "POST",
            "/fhir/ValueSet/vol-8406/$validate-code",
            {
                "json": resource(
                    codeableConcept={
                        "valueCodeableConcept": {
                            "coding": [{"system": LIST, "code": "x"}, {"system": LIST, "code": "1"}]
                        }
                    }
                ),
                "headers": JSON,
            },
        ),
    ],
    "translate": [
        ("GET", f"/fhir/ConceptMap/$translate?system={LIST}&code=1", {}),
        ("GET", f"/fhir/ConceptMap/$translate?url={MAP}&system={PUBLISHED}&code=1&targetsystem={ACT}", {}),
        ("GET", f"/fhir/ConceptMap/$translate?source={VALUE_SET}&code=1", {}),
        ("GET", f"/fhir/ConceptMap/omsorgsniva-actcode/$translate?system={LIST}&code=1", {}),
        ("POST", "/fhir/ConceptMap/$translate", {"data": {"system": LIST, "code": "1"}}),
        ("POST", "/fhir/ConceptMap/$translate", {"json": resource(coding=CODING), "headers": JSON}),
        ("GET", f"/fhir/ConceptMap/omsorgsniva-actcode-reverse/$translate?system={LIST}&code=1&reverse=true", {}),
    ],
}


def each(name: str) -> Any:
    return pytest.mark.parametrize(("method", "path", "options"), ASKED[name])


@each("lookup")
def test_a_code_is_looked_up(ask: Ask, method: str, path: str, options: dict[str, Any]) -> None:
    told = parameters(ask(method, path, **options))
    assert (told["name"], told["display"]) == ("Omsorgsnivå", "Døgnopphold")


@each("validate")
def test_a_right_code_is_valid(ask: Ask, method: str, path: str, options: dict[str, Any]) -> None:
    told = parameters(ask(method, path, **options))
    assert (told["result"], told["verdict"], told["display"]) == (True, "valid", "Døgnopphold")
    assert "issues" not in told


@each("translate")
def test_a_code_is_translated(ask: Ask, method: str, path: str, options: dict[str, Any]) -> None:
    told = parameters(ask(method, path, **options))
    assert told["result"] is True
    found = {part["name"]: part for part in told["match"]}
    assert found["concept"]["valueCoding"] == {"system": ACT, "code": "IMP", "display": "inpatient encounter"}
    assert found["equivalence"]["valueCode"] == "equivalent"
    assert found["source"]["valueUri"] == MAP


def test_the_choice_among_record_codes_is_made_on_the_way_back(ask: Ask) -> None:
    told = parameters(ask("GET", f"/fhir/ConceptMap/$translate?url={MAP}&system={ACT}&code=AMB&reverse=true"))
    found = {part["name"]: part for part in told["match"]}
    assert found["concept"]["valueCoding"]["system"] == LIST
    assert found["concept"]["valueCoding"]["code"] == "3"


def test_a_code_that_keeps_its_own_coding_is_unmatched(ask: Ask) -> None:
    told = parameters(ask("GET", f"/fhir/ConceptMap/$translate?url={MAP}&system={LIST}&code=99"))
    assert told["result"] is False
    assert "99" in told["message"]
    found = {part["name"]: part for part in told["match"]}
    assert found["equivalence"]["valueCode"] == "unmatched"
    assert found["concept"]["valueCoding"] == {"system": LIST, "code": "99"}


def test_a_letter_of_the_code_system_list_is_a_system(ask: Ask) -> None:
    letters = "urn:oid:2.16.578.1.12.4.1.1.8410"
    told = parameters(ask("GET", f"/fhir/ConceptMap/kodeverk-system/$translate?system={letters}&code=D"))
    concept = next(part["valueCoding"] for part in told["match"] if part["name"] == "concept")
    assert concept == {"system": "urn:ietf:rfc:3986", "code": "urn:oid:2.16.578.1.12.4.1.1.7110"}
    published = "http://helsedir.no/fhir/CodeSystem/no-kodeverk-7110"
    back = f"/fhir/ConceptMap/$translate?system=urn:ietf:rfc:3986&code={published}&targetsystem={letters}"
    concept = next(part["valueCoding"] for part in parameters(ask("GET", back))["match"] if part["name"] == "concept")
    assert (concept["system"], concept["code"]) == (letters, "D")


def test_a_property_can_be_asked_for(ask: Ask) -> None:
    path = f"/fhir/CodeSystem/$lookup?system={FIELDS}&code=350&property=validFrom&property=status"
    body = ask("GET", path).json()
    said = {each["part"][0]["valueCode"]: each["part"][1] for each in body["parameter"] if each["name"] == "property"}
    assert said == {
        "status": {"name": "value", "valueCode": "active"},
        "validFrom": {"name": "value", "valueDateTime": "2004"},
    }


def test_subsumption_of_a_flat_list(ask: Ask) -> None:
    for one, other, outcome in (("1", "1", "equivalent"), ("1", "2", "not-subsumed")):
        told = parameters(ask("GET", f"/fhir/CodeSystem/$subsumes?system={LIST}&codeA={one}&codeB={other}"))
        assert told == {"outcome": outcome}
    codings = resource(codingA=CODING, codingB=CODING)
    assert parameters(ask("POST", "/fhir/CodeSystem/$subsumes", json=codings, headers=JSON)) == {
        "outcome": "equivalent"
    }


NOT_LOADED = "http://loinc.org"


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        (f"CodeSystem/$lookup?system={NOT_LOADED}&code=1", 404, "code-system-unknown"),
        (f"CodeSystem/$lookup?system={LIST}&code=99", 404, "code-not-found"),
        (f"CodeSystem/$lookup?system={LIST}&version=1900&code=1", 404, "code-system-version-unknown"),
        ("CodeSystem/vol-0/$lookup?code=1", 404, "not-found"),
        (f"CodeSystem/$lookup?system={LIST}", 400, "input-missing"),
        ("CodeSystem/$lookup?code=1", 400, "input-missing"),
        (f"CodeSystem/$lookup?system={LIST}&cod=1", 400, "input-unknown"),
        (f"CodeSystem/$lookup?system={LIST}&code=1&code=2", 400, "parameter-repeated"),
        (f"CodeSystem/$lookup?system={LIST}&code=1&property=statsu", 400, "property-unknown"),
        (f"CodeSystem/$lookup?system={LIST}&code=1&date=2024", 400, "input-invalid"),
        (f"CodeSystem/$lookup?system={LIST}&code=1&date=2024-02-30", 400, "input-invalid"),
        (f"CodeSystem/$lookup?coding={LIST}%7C1", 400, "input-invalid"),
        (f"CodeSystem/vol-8406/$lookup?system={LIST}&code=1", 400, "inputs-disagree"),
        (f"CodeSystem/$validate-code?url={LIST}&system={FIELDS}&code=1", 400, "inputs-disagree"),
        (f"CodeSystem/$validate-code?url={LIST}&code=1&abstract=true", 400, "input-not-served"),
        (f"CodeSystem/$subsumes?system={LIST}&codeA=1&codeB=99", 404, "code-not-found"),
        (f"CodeSystem/$subsumes?system={NOT_LOADED}&codeA=1&codeB=2", 404, "code-system-unknown"),
        (f"CodeSystem/$subsumes?system={LIST}&codeA=1", 400, "input-missing"),
        ("ValueSet/$expand?url=http://example.org/none", 404, "value-set-unknown"),
        ("ValueSet/$expand", 400, "input-missing"),
        (f"ValueSet/$expand?url={VALUE_SET}&count=-1", 400, "input-invalid"),
        (f"ValueSet/$expand?url={VALUE_SET}&activeOnly=ja", 400, "input-invalid"),
        (f"ValueSet/$expand?url={VALUE_SET}&filter=", 400, "input-invalid"),
        (f"ValueSet/$expand?url={VALUE_SET}&excludeNested=true", 400, "input-not-served"),
        (f"ValueSet/$validate-code?url=http://example.org/none&system={LIST}&code=1", 404, "value-set-unknown"),
        (f"ValueSet/$validate-code?url={VALUE_SET}&code=1", 400, "input-missing"),
        (f"ConceptMap/$translate?url=http://example.org/none&system={LIST}&code=1", 404, "concept-map-unknown"),
        (f"ConceptMap/$translate?url={MAP}&conceptMapVersion=0.0.1&system={LIST}&code=1", 404, "concept-map-unknown"),
        (f"ConceptMap/$translate?system={NOT_LOADED}&code=1", 404, "code-system-unknown"),
        ("ConceptMap/$translate?code=1", 400, "input-missing"),
        (f"ConceptMap/$translate?system={LIST}&code=1&target=http://example.org/none", 404, "value-set-unknown"),
        (f"ValueSet/$expand?url={VALUE_SET}|9", 404, "value-set-unknown"),
        (f"ValueSet/$validate-code?url={VALUE_SET}|9&system={LIST}&code=1", 404, "value-set-unknown"),
        (f"ConceptMap/$translate?system={LIST}&code=1&target={VALUE_SET}|9", 404, "value-set-unknown"),
        (f"CodeSystem/$lokup?system={LIST}&code=1", 404, "operation-unknown"),
        ("ValueSet/vol-8406/$expnad", 404, "operation-unknown"),
        (f"CodeSystem/$lookup?system={LIST}&code={PERSON}", 400, "person-number-in-url"),
        (f"CodeSystem/{PERSON}", 400, "person-number-in-url"),
    ],
)
def test_the_table_of_statuses(ask: Ask, path: str, status: int, expected: str) -> None:
    answer = ask("GET", f"/fhir/{path}")
    assert (answer.status_code, fault(answer)) == (status, expected), answer.text
    assert PERSON not in answer.text


@pytest.mark.parametrize(
    ("body", "media", "status", "expected"),
    [
        (b"{", "application/fhir+json", 400, "body-not-parameters"),
        (b"[]", "application/json", 400, "body-not-parameters"),
        (b'{"resourceType":"Patient"}', "application/fhir+json", 400, "body-not-parameters"),
        (b'{"resourceType":"Parameters","parameter":[{}]}', "application/fhir+json", 400, "body-not-parameters"),
        (b"<Parameters/>", "application/fhir+xml", 415, "media-type-unsupported"),
        (
            b'{"resourceType":"Parameters","parameter":[{"name":"code","valueBoolean":true}]}',
            "application/fhir+json",
            400,
            "input-invalid",
        ),
        (
            b'{"resourceType":"Parameters","parameter":[{"name":"coding","valueCoding":{"system":"x"}}]}',
            "application/fhir+json",
            400,
            "input-invalid",
        ),
        (b"x" * 70_000, "application/fhir+json", 413, "body-too-large"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(ask: Ask, body: bytes, media: str, status: int, expected: str) -> None:
    answer = ask("POST", "/fhir/CodeSystem/$lookup", content=body, headers={"Content-Type": media})
    assert (answer.status_code, fault(answer)) == (status, expected)


@pytest.mark.parametrize(
    "path", ["CodeSystem/$validate-code?url={0}&code=1", "ValueSet/vol-8406/$validate-code?system={0}&code=1"]
)
def test_what_cannot_be_known_is_told_beside_a_true_result_or_is_not_in_the_set(ask: Ask, path: str) -> None:
    told = parameters(ask("GET", f"/fhir/{path.format(NOT_LOADED)}"))
    if path.startswith("CodeSystem"):
        assert (told["result"], told["verdict"]) == (True, "unknown")
        assert told["issues"]["issue"][0]["details"]["coding"][0]["code"] == "cannot-be-known"
        assert told["issues"]["issue"][0]["severity"] == "warning"
    else:
        assert (told["result"], told["verdict"]) == (False, "invalid")


def test_the_message_is_in_the_language_of_the_client(ask: Ask) -> None:
    path = f"/fhir/CodeSystem/$validate-code?url={LIST}&code=99&date=2024-06-30"
    english, norwegian = (parameters(ask("GET", path, headers={"Accept-Language": each})) for each in ("en", "nb"))
    assert english["result"] is norwegian["result"] is False
    assert english["message"] != norwegian["message"]


def test_an_identity_number_in_a_body_is_not_repeated(ask: Ask) -> None:
    for operation in ("$lookup", "$validate-code"):
        body = resource(coding={"valueCoding": {"system": LIST, "code": PERSON}})
        assert PERSON not in ask("POST", f"/fhir/CodeSystem/{operation}", json=body, headers=JSON).text


def test_two_systems_or_two_editions_in_one_question_are_refused(ask: Ask) -> None:
    def asked(operation: str, **given: Any) -> httpx.Response:
        body = resource(**{name: {"valueCoding": value} for name, value in given.items()})
        return ask("POST", f"/fhir/CodeSystem/{operation}", json=body, headers=JSON)

    one, other = {"system": LIST, "code": "1"}, {"system": FIELDS, "code": "1"}
    answers = [
        ask("POST", "/fhir/CodeSystem/vol-8406/$lookup", json=resource(coding={"valueCoding": other}), headers=JSON),
        asked("$subsumes", codingA=one, codingB=other),
        asked("$subsumes", codingA={**one, "version": "1"}, codingB={**one, "version": "2"}),
        ask("GET", f"/fhir/CodeSystem/$lookup?system={LIST}|1&code=1&version=2"),
    ]
    assert [(answer.status_code, fault(answer)) for answer in answers] == [(400, "inputs-disagree")] * 4
    for given in ({"coding": one}, {"codeableConcept": {"coding": [one]}}):
        kind = "valueCoding" if "coding" in given else "valueCodeableConcept"
        body = resource(
            code={"valueCode": "1"}, url={"valueUri": LIST}, **{name: {kind: value} for name, value in given.items()}
        )
        answer = ask("POST", "/fhir/CodeSystem/$validate-code", json=body, headers=JSON)
        assert (answer.status_code, fault(answer)) == (400, "inputs-disagree")
    assert asked("$subsumes", codingA=one, codingB={**one, "system": PUBLISHED, "code": "2"}).status_code == 200


@pytest.mark.parametrize(
    "day",
    [
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2024", "2024-02-30", "20240630", "2024-W26-7",
        "2024-06-30T10:00", "2024-06-30T10:00:00", "20240630T100000Z", "2024-06-30 10:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_day_is_refused(ask: Ask, day: str) -> None:
    answer = ask("GET", f"/fhir/CodeSystem/$lookup?system={LIST}&code=1&date={quote(day)}")
    assert (answer.status_code, fault(answer)) == (400, "input-invalid")


@pytest.mark.parametrize(
    ("day", "verdict"), [("2024-12-31T22:59:59Z", "2024-12-31"), ("2024-12-31T23:00:00.123456789Z", "2025-01-01")]
)
def test_an_instant_is_the_day_that_it_is_in_norway(ask: Ask, day: str, verdict: str) -> None:
    answer = ask("GET", f"/fhir/ValueSet/vol-8406/$expand?date={day}&count=1")
    assert {"name": "date", "valueDateTime": verdict} in answer.json()["expansion"]["parameter"]


def test_a_norwegian_answer_has_no_english_in_it(ask: Ask) -> None:
    nb = {"Accept-Language": "nb"}
    for path, said in (
        (f"CodeSystem/$lookup?system={LIST}&cod=1", "mente du 'code'?"),
        (f"CodeSystem/$lookup?system={LIST}9&code=1", "mente du"),
        ("ValueSet/$expand?url=http://fhir-facade.no/fhir/ValueSet/vol-8406x", "mente du"),
        (f"ConceptMap/$translate?url={MAP}s&system={LIST}&code=1", "mente du"),
        (f"CodeSystem/$lookup?system={LIST}&code=1&property=statuss", "mente du 'status'?"),
        (f"CodeSystem/$lookup?system={LIST}&code=1&date=x", "en hel dato trengs"),
        (f"ValueSet/$expand?url={LIST}&count=-1", "ikke et helt tall"),
        (f"ValueSet/$expand?url={LIST}&activeOnly=yes", "verken true eller false"),
        (f"CodeSystem/vol-8406/$lookup?system={LIST}&code=1", "ressursen i stien"),
    ):
        (issue,) = ask("GET", f"/fhir/{path}", headers=nb).json()["issue"]
        assert said in issue["details"]["text"], issue
        assert "did you mean" not in issue["details"]["text"]


def test_the_nearest_name_is_told(ask: Ask) -> None:
    for path, near in (
        (f"CodeSystem/$lookup?system={LIST}&cod=1", "code"),
        (f"CodeSystem/$lokup?system={LIST}", "$lookup"),
        (f"CodeSystem/$lookup?system={PUBLISHED}9x&code=1", "no-kodeverk-8406"),
        (f"ConceptMap/$translate?url={MAP}s&system={LIST}&code=1", "omsorgsniva-actcode"),
        ("ValueSet/$expand?url=http://fhir-facade.no/fhir/ValueSet/vol-8406x", "vol-8406"),
    ):
        assert f"{near}" in ask("GET", f"/fhir/{path}").text.partition("did you mean")[2], path


def test_every_operation_has_an_example_that_works(ask: Ask) -> None:
    for each in OPERATIONS:
        answer = ask("GET", f"/fhir/{each.type}/${each.name}?{each.example}")
        assert answer.status_code == 200, answer.text
        get_fhir_model_class(each.answers).model_validate(answer.json())
