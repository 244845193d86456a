"""Chained searches and `_has` over HTTP: what they find, and how each wrong part is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from fhir_facade.rest.chain_names import MOST_STEPS
from fhir_facade.rest.surface import FhirLane
from fhir_facade.terminology.identity import is_national_identity_number

BOTH_STORES = True

PERSON = next(text for number in range(100_000) if is_national_identity_number(text := f"018190{number:05d}"))
Ask = Callable[..., httpx.Response]
LENIENT = {"Prefer": "handling=lenient"}


def all_of(ask: Ask, query: str) -> dict[str, dict[str, Any]]:
    """Every match of a search, by id."""
    bundle = ask("GET", f"/fhir/{query}{'&' if '?' in query else '?'}_count=1000").json()
    assert bundle["resourceType"] == "Bundle", bundle
    assert not [link for link in bundle["link"] if link["relation"] == "next"]
    return {entry["resource"]["id"]: entry["resource"] for entry in bundle.get("entry", [])}


def codes(answer: httpx.Response) -> list[str]:
    return [issue["details"]["coding"][0]["code"] for issue in answer.json()["issue"]]


def test_a_chain_finds_what_refers_to_the_matches(ask: Ask) -> None:
    family = next(iter(all_of(ask, "Patient").values()))["name"][0]["family"]
    patients = set(all_of(ask, f"Patient?family={family}"))
    stays = {
        key: stay
        for key, stay in all_of(ask, "Encounter").items()
        if stay["subject"]["reference"].removeprefix("Patient/") in patients
    }
    assert stays
    for name in ("subject.family", "subject:Patient.family", "patient.family", "patient.family:exact"):
        assert all_of(ask, f"Encounter?{name}={family}") == stays
    conditions = [
        key
        for key, condition in all_of(ask, "Condition").items()
        if condition.get("encounter", {}).get("reference", "").removeprefix("Encounter/") in stays
    ]
    assert list(all_of(ask, f"Condition?encounter.subject.family={family}")) == conditions != []
    assert all_of(ask, "Encounter?subject.family=ingen-heter-dette") == {}


def test_has_finds_what_the_matches_refer_to(ask: Ask) -> None:
    inpatient = all_of(ask, "Encounter?class=IMP").values()
    expected = {stay["subject"]["reference"].removeprefix("Patient/") for stay in inpatient}
    assert expected and expected != set(all_of(ask, "Patient"))
    assert set(all_of(ask, "Patient?_has:Encounter:subject:class=IMP")) == expected
    assert set(all_of(ask, "Patient?_has:Encounter:subject:class:not=IMP")) != expected
    together = all_of(ask, "Encounter?subject._has:Encounter:subject:class=IMP")
    assert {stay["subject"]["reference"].removeprefix("Patient/") for stay in together.values()} == expected


def test_an_identifier_leads_to_the_resource_that_bears_it(ask: Ask) -> None:
    """A general practitioner is known by number only; the practitioner with that number is who is meant."""
    patient = next(each for each in all_of(ask, "Patient").values() if "generalPractitioner" in each)
    number = patient["generalPractitioner"][0]["identifier"]
    doctor = next(iter(all_of(ask, f"Practitioner?identifier={number['system']}|{number['value']}").values()))
    expected = set(all_of(ask, f"Patient?general-practitioner:identifier={number['system']}|{number['value']}"))
    assert patient["id"] in expected
    for query in (
        f"general-practitioner=Practitioner/{doctor['id']}",
        f"general-practitioner:Practitioner={doctor['id']}",
        f"general-practitioner._id={doctor['id']}",
        f"general-practitioner.identifier={number['value']}",
    ):
        assert set(all_of(ask, f"Patient?{query}")) == expected
    found = all_of(ask, f"Practitioner?_has:Patient:general-practitioner:_id={patient['id']}")
    assert set(found) == {doctor["id"]}


def test_a_chained_search_is_paged_and_linked(ask: Ask) -> None:
    bundle = ask("GET", "/fhir/Encounter?subject:Patient.birthdate=ge1900&_count=2").json()
    links = {link["relation"]: link["url"] for link in bundle["link"]}
    assert links["self"] == "http://facade.test/fhir/Encounter?subject:Patient.birthdate=ge1900&_count=2"
    again = ask("GET", links["next"]).json()
    assert not {each["fullUrl"] for each in bundle["entry"]} & {each["fullUrl"] for each in again["entry"]}
    other = links["next"].replace("birthdate=ge1900", "birthdate=ge1901")
    assert codes(ask("GET", other)) == ["page-token-invalid"]


LONG = "Encounter?" + "subject._has:Encounter:subject:" * 3


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("Encounter?subject.nam=x", "search-parameter-unknown", "Patient has no search parameter 'nam'"),
        ("Encounter?subject.nam=x", "search-parameter-unknown", "did you mean 'name'?"),
        ("Encounter?subjct.name=x", "search-parameter-unknown", "did you mean 'subject'?"),
        ("Encounter?subject.=x", "search-parameter-unknown", "Patient has no"),
        ("Encounter?.name=x", "search-parameter-unknown", "Encounter has no"),
        ("Encounter?subject.name:exat=x", "search-modifier-unknown", "exact"),
        ("Encounter?status.name=x", "search-chain-no-reference", "subject"),
        ("Encounter?subject:Group.name=x", "search-chain-type-unknown", "Types it leads to: Patient"),
        ("Encounter?subject:Patent.name=x", "search-chain-type-unknown", "did you mean 'Patient'?"),
        ("Encounter?subject:missing.name=x", "search-chain-type-unknown", "Patient"),
        ("Encounter?subject._count=1", "search-parameter-unknown", "Patient has no"),
        ("Encounter?subject.birthdate=x", "search-value-invalid", "YYYY"),
        ("Encounter?subject.name=", "search-value-invalid", "empty"),
        ("Patient?_has=1", "search-has-incomplete", "_has:Appointment:actor:_id"),
        ("Patient?_has:Encounter=1", "search-has-incomplete", ""),
        ("Patient?_has:Encounter:subject=1", "search-has-incomplete", ""),
        ("Patient?_has:Encounter:subject:=1", "search-has-incomplete", ""),
        ("Patient?_has:Encouter:subject:class=1", "search-has-type-unknown", "did you mean 'Encounter'?"),
        ("Patient?_has:Location:organization:name=1", "search-has-type-unknown", "Types that do"),
        ("Patient?_has:Encounter:subjct:class=1", "search-has-reference-unknown", "did you mean 'subject'?"),
        ("Patient?_has:Encounter:location:class=1", "search-has-reference-unknown", "patient, subject"),
        ("Patient?_has:Encounter:subject:clas=1", "search-parameter-unknown", "Encounter has no"),
        ("Observation?_has:Encounter:subject:class=1", "search-has-type-unknown", "Types that do: -"),
        (f"{LONG}class=IMP", "search-chain-too-long", str(MOST_STEPS)),
    ],
)
def test_a_wrong_part_is_told_with_what_may_stand_there(ask: Ask, query: str, code: str, words: str) -> None:
    answer = ask("GET", f"/fhir/{query}")
    assert (answer.status_code, codes(answer)) == (400, [code])
    assert words in answer.json()["issue"][0]["details"]["text"]


def test_lenient_leaves_out_a_chain_that_leads_nowhere_and_says_why(ask: Ask) -> None:
    for query, said in (
        ("subject.nam=x", ["search-parameter-ignored"]),
        ("subject:Group.name=x", ["search-chain-ignored", "search-chain-type-unknown"]),
        ("_has:Foo:subject:code=x", ["search-chain-ignored", "search-has-type-unknown"]),
    ):
        answer = ask("GET", f"/fhir/Encounter?{query}&class=IMP", headers=LENIENT)
        bundle = answer.json()
        assert answer.status_code == 200
        assert bundle["link"][0]["url"] == "http://facade.test/fhir/Encounter?class=IMP"
        outcome = bundle["entry"][-1]["resource"]
        assert [issue["details"]["coding"][0]["code"] for issue in outcome["issue"]] == said
        assert {issue["severity"] for issue in outcome["issue"]} == {"warning"}
    assert ask("GET", "/fhir/Encounter?subject.birthdate=x", headers=LENIENT).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "Encounter?subject.identifier={}",
        "Encounter?subject:Patient.identifier=urn:oid:2.16.578.1.12.4.1.4.1%7C{}",
        "Patient?_has:Encounter:subject:identifier={}",
        "Patient?_has:Encounter:{}:identifier=1",
        "Encounter?subject:Patient.{}=1",
        "Encounter?subject._has:Encounter:subject:_id=a,{}",
    ],
)
def test_an_identity_number_is_refused_in_every_part_of_a_chain(ask: Ask, query: str) -> None:
    answer = ask("GET", "/fhir/" + query.format(PERSON))
    assert (answer.status_code, codes(answer)) == (400, ["person-number-in-url"])
    assert PERSON not in answer.text


def test_an_identity_number_may_stand_in_the_body_of_a_chained_search(ask: Ask) -> None:
    numbers = {
        identifier["value"]: patient["id"]
        for patient in all_of(ask, "Patient").values()
        for identifier in patient["identifier"]
        if is_national_identity_number(identifier["value"])
    }
    stays = all_of(ask, "Encounter").values()
    number, patient = next(
        (number, patient)
        for number, patient in numbers.items()
        if any(stay["subject"]["reference"] == f"Patient/{patient}" for stay in stays)
    )
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = ask("POST", "/fhir/Encounter/_search", content=f"subject.identifier={number}", headers=form)
    assert {each["resource"]["subject"]["reference"] for each in answer.json()["entry"]} == {f"Patient/{patient}"}
    assert number not in str(answer.json()["link"])


def test_a_reference_that_may_lead_to_several_types_must_be_told_which(
    ask: Ask, lane: FhirLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = lane.services.mapping_set.search.graph
    monkeypatch.setitem(graph._leads, ("Encounter", "subject"), ("Organization", "Patient"))
    answer = ask("GET", "/fhir/Encounter?subject.name=a")
    assert (answer.status_code, codes(answer)) == (400, ["search-chain-ambiguous"])
    assert "subject:Organization, subject:Patient" in answer.json()["issue"][0]["details"]["text"]
    assert ask("GET", "/fhir/Encounter?subject:Patient.name=a").status_code == 200


def test_references_that_no_resource_is_known_by_are_sought_by_their_identifier_only(
    ask: Ask, lane: FhirLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lane.services.mapping_set.search.graph._leads, ("Organization", "partof"), ())
    answer = ask("GET", "/fhir/Organization?partof=Organization/1")
    assert (answer.status_code, codes(answer)) == (400, ["search-reference-logical"])
    assert "partof:identifier=system|value" in answer.text
    assert codes(ask("GET", "/fhir/Organization?partof.name=a")) == ["search-chain-no-reference"]
    some = next(iter(all_of(ask, "Organization?partof:missing=false").values()))
    number = some["partOf"]["identifier"]["value"]
    assert some["id"] in all_of(ask, f"Organization?partof:identifier={number}")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("Patient/1/_history/2", "search-value-invalid"),
        ("http://facade.test/fhir/Patient/1/_history/2", "search-value-invalid"),
        ("Pasient/1", "search-reference-type"),
        ("Encounter/1", "search-reference-type"),
        ("Patient/", "search-value-invalid"),
    ],
)
def test_a_reference_that_none_here_can_be_is_refused(ask: Ask, value: str, code: str) -> None:
    answer = ask("GET", "/fhir/Encounter", params={"subject": value})
    assert (answer.status_code, codes(answer)) == (400, [code])
    assert codes(ask("GET", "/fhir/Condition", params={"encounter.subject": value})) == [code]


def test_a_reference_to_another_server_finds_nothing_and_one_to_this_finds_it(ask: Ask) -> None:
    subject = next(iter(all_of(ask, "Encounter").values()))["subject"]["reference"]
    here = set(all_of(ask, f"Encounter?subject=http://facade.test/fhir/{subject}"))
    assert here == set(all_of(ask, f"Encounter?subject={subject}")) != set()
    assert all_of(ask, f"Encounter?subject=http://elsewhere.test/fhir/{subject}") == {}
    assert all_of(ask, f"Encounter?subject=https://facade.test/fhir/{subject}") == {}
    assert set(all_of(ask, f"Encounter?subject:Patient={subject.removeprefix('Patient/')}")) == here
    known = set(all_of(ask, f"Condition?encounter.subject=http://facade.test/fhir/{subject}"))
    assert known == set(all_of(ask, f"Condition?encounter.subject:Patient={subject.removeprefix('Patient/')}"))


def test_a_chain_that_would_branch_without_bound_is_refused(ask: Ask) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    name = "_has:Observation:patient:subject._has:Observation:patient:subject.identifier"
    for count, status in ((1, 200), (20, 200), (400, 400)):
        answer = ask("POST", "/fhir/Patient/_search", content=f"{name}={','.join(['1'] * count)}", headers=form)
        assert answer.status_code == status, answer.text
    assert codes(answer) == ["search-too-complex"]
