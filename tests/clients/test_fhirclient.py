"""fhirclient of SMART at work: it builds models of what it gets, and takes nothing that R4 does not know."""

from __future__ import annotations

from typing import Any

import pytest
from fhirclient.client import FHIRClient
from fhirclient.models.bundle import Bundle
from fhirclient.models.condition import Condition
from fhirclient.models.consent import Consent
from fhirclient.models.encounter import Encounter
from fhirclient.models.patient import Patient
from fhirclient.server import FHIRNotFoundException
from requests import HTTPError

from tests.served import Resource, Served


@pytest.fixture
def server(served: Served) -> Any:
    client = FHIRClient(settings={"app_id": "tests", "api_base": served.base})
    assert client.prepare(), "it is ready when it has read the capability statement"
    assert client.server.auth.auth_type == "none"
    return client.server


def inpatient(each: Resource) -> bool:
    return bool(each["class"].get("code") == "IMP")


@pytest.mark.parametrize("resource_type", ["Patient", "Encounter", "Condition", "Practitioner", "ServiceRequest"])
def test_its_models_take_every_resource_on_all_pages(server: Any, served: Served, resource_type: str) -> None:
    first = Bundle.read_from(f"{resource_type}?_count=20&_total=accurate", server)
    found: list[Any] = []
    pages = [first]
    while following := next((link.url for link in pages[-1].link if link.relation == "next"), None):
        pages.append(Bundle.read_from(following, server))
    for page in pages:
        found += [entry.resource for entry in page.entry]
    assert first.total == len(served.resources[resource_type]) == len(found)
    assert {each.id for each in found} == served.ids(resource_type)
    assert len(pages) == -(-len(found) // 20)
    assert all(each.resource_type == resource_type and each.as_json() for each in found)


def test_it_reads_each_patient_by_id(server: Any, served: Served) -> None:
    for key, expected in served.resources["Patient"].items():
        patient = Patient.read(key, server)
        assert (patient.id, patient.gender) == (key, expected["gender"])
        assert patient.birthDate.as_json() == expected["birthDate"]


def test_it_searches_by_token_date_string_and_reference(server: Any, served: Served) -> None:
    key, one = next(iter(served.resources["Patient"].items()))
    family, subject = one["name"][0]["family"], f"Patient/{key}"
    searches: list[tuple[Any, dict[str, Any], set[str]]] = [
        (Patient, {"gender": "female"}, served.ids("Patient", lambda each: each["gender"] == "female")),
        (Patient, {"birthdate": "ge1980-01-01"}, served.ids("Patient", lambda each: each["birthDate"] >= "1980")),
        (Patient, {"family": {"$exact": family}}, served.ids("Patient", lambda each: family in str(each["name"]))),
        (Encounter, {"class": {"$or": ["IMP", "SS"]}}, served.ids("Encounter", lambda e: e["class"]["code"] != "AMB")),
        (Encounter, {"subject": subject, "status": "finished"}, served.referring("Encounter", "subject", subject)),
        (Encounter, {"subject": {"$type": "Patient", "gender": "male"}}, stays_of(served, "male")),
        (Patient, {"_has:Encounter:subject:class": "IMP"}, patients_of(served)),
        (Condition, {"subject": subject}, served.referring("Condition", "subject", subject)),
    ]
    for model, struct, expected in searches:
        search = model.where(struct=struct | {"_count": "4"})
        found = [each.id for each in search.perform_resources_iter(server)]
        assert (len(found), set(found)) == (len(expected), expected), struct
        assert found, struct


def stays_of(served: Served, gender: str) -> set[str]:
    people = served.ids("Patient", lambda each: each["gender"] == gender)
    return set().union(*(served.referring("Encounter", "subject", f"Patient/{each}") for each in people))


def patients_of(served: Served) -> set[str]:
    stays = (served.resources["Encounter"][key] for key in served.ids("Encounter", inpatient))
    return {str(each["subject"]["reference"]).removeprefix("Patient/") for each in stays}


def test_it_includes_and_resolves_within_the_bundle(server: Any, served: Served) -> None:
    search = Encounter.where(struct={"class": "IMP", "_count": "5"}).include("subject")
    seen: set[str] = set()
    for page in search.perform_iter(server):
        entries = [(each.search.mode, each.resource) for each in page.entry]
        included = {each.id for mode, each in entries if mode == "include"}
        for stay in (each for mode, each in entries if mode == "match"):
            seen.add(stay.id)
            patient = stay.subject.resolved(Patient)
            assert patient.id in included
            assert f"Patient/{patient.id}" == served.resources["Encounter"][stay.id]["subject"]["reference"]
    assert seen == served.ids("Encounter", inpatient)


def test_it_finds_what_refers_to_a_resource(server: Any, served: Served) -> None:
    key = next(iter(patients_of(served)))
    search = Patient.where(struct={"_id": key}).include("subject", Encounter, reverse=True)
    kinds = [(each.resource_type, each.id) for each in search.perform_resources_iter(server)]
    assert ("Patient", key) in kinds
    stays = {found for kind, found in kinds if kind == "Encounter"}
    assert stays == served.referring("Encounter", "subject", f"Patient/{key}")


def test_it_resolves_a_reference_by_a_read(server: Any, served: Served) -> None:
    stay = Encounter.read(min(served.ids("Encounter")), server)
    patient = stay.subject.resolved(Patient)
    assert patient.id == served.resources["Encounter"][stay.id]["subject"]["reference"].removeprefix("Patient/")


def test_it_reads_all_of_a_patient(server: Any, served: Served) -> None:
    key = next(iter(patients_of(served)))
    bundle = Bundle.read_from(f"Patient/{key}/$everything?_count=200", server)
    found = {(each.resource.resource_type, each.resource.id) for each in bundle.entry}
    assert ("Patient", key) in found
    stays = {each for kind, each in found if kind == "Encounter"}
    assert stays == served.referring("Encounter", "subject", f"Patient/{key}")


def test_it_raises_its_own_exceptions_and_can_read_what_was_wrong(server: Any) -> None:
    with pytest.raises(FHIRNotFoundException) as missing:
        Patient.read("nobody", server)
    assert missing.value.response.json()["issue"][0]["code"] == "not-found"
    with pytest.raises(HTTPError) as wrong:
        list(Patient.where(struct={"gendr": "male"}).perform_resources_iter(server))
    assert wrong.value.response.status_code == 400
    outcome = wrong.value.response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert "gender" in outcome["issue"][0]["details"]["text"]


def test_it_creates_updates_and_deletes(server: Any, served: Served) -> None:
    one = served.resources["Consent"][min(served.ids("Consent"))]
    consent = Consent({name: value for name, value in one.items() if name not in ("id", "meta")})
    consent.id = consent.create(server)["id"]
    consent.language = "nb"
    assert consent.update(server)["language"] == "nb"
    assert Consent.read(consent.id, server).language == "nb"
    consent.delete(server)
    with pytest.raises(HTTPError) as gone:
        Consent.read(consent.id, server)
    assert gone.value.response.status_code == 410


def test_it_posts_a_search_with_a_person_number_that_no_url_may_hold(server: Any, served: Served) -> None:
    key, one = next(iter(served.resources["Patient"].items()))
    number = next(each for each in one["identifier"] if len(each["value"]) == 11)
    said = f"{number['system']}|{number['value']}"
    found = server.post_as_form(f"{served.base}/Patient/_search", {"identifier": said}).json()
    assert [each["resource"]["id"] for each in found["entry"]] == [key]
    with pytest.raises(HTTPError) as refused:
        list(Patient.where(struct={"identifier": said}).perform_resources_iter(server))
    assert refused.value.response.status_code == 400
    assert number["value"] not in refused.value.response.text


def test_it_asks_for_a_version_only_if_there_is_a_newer_one(server: Any, served: Served) -> None:
    url = f"{served.base}/Patient/{min(served.ids('Patient'))}"
    tag = server.session.get(url).headers["ETag"]
    assert server._get(url, headers={"If-None-Match": tag}).status_code == 304
    assert server._get(url, headers={"If-None-Match": 'W/"another"'}).status_code == 200
