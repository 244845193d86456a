"""fhirpy at work, waiting and not waiting: what it asks and how it reads answers is its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import MultipleResourcesFound, OperationOutcome, ResourceNotFound

from tests.served import Resource, Served

LENIENT = {"Prefer": "handling=lenient"}
INPATIENT = "http://terminology.hl7.org/CodeSystem/v3-ActCode|IMP"


@pytest.fixture
def client(served: Served) -> Any:
    return SyncFHIRClient(served.base)


def inpatient(each: Resource) -> bool:
    return bool(each["class"].get("code") == "IMP")


def ids(resources: Any) -> list[str]:
    return [each["id"] for each in resources]


def test_it_reads_the_capability_statement(client: Any, served: Served) -> None:
    statement = client.execute("metadata", method="get")
    assert statement["resourceType"] == "CapabilityStatement"
    assert {each["type"] for each in statement["rest"][0]["resource"]} >= served.resources.keys()


def test_it_reads_every_patient_by_id(client: Any, served: Served) -> None:
    for key, expected in served.resources["Patient"].items():
        patient = client.reference("Patient", key).to_resource()
        assert patient.resourceType == "Patient"
        assert (patient.id, patient["gender"]) == (key, expected["gender"])
        assert patient.get_by_path(["name", 0, "family"]) == expected["name"][0]["family"]


@pytest.mark.parametrize("resource_type", ["Patient", "Encounter", "Condition", "EpisodeOfCare", "Location"])
@pytest.mark.parametrize("size", [7, 1000])
def test_it_walks_all_pages_to_the_end(client: Any, served: Served, resource_type: str, size: int) -> None:
    found = ids(client.resources(resource_type).limit(size).fetch_all())
    assert len(found) == len(set(found))
    assert set(found) == served.ids(resource_type)


def test_it_walks_pages_in_an_order(client: Any, served: Served) -> None:
    dates = [each["birthDate"] for each in client.resources("Patient").sort("-birthdate").limit(4)]
    assert dates == sorted((each["birthDate"] for each in served.resources["Patient"].values()), reverse=True)


def test_it_searches_by_token_string_date_reference_and_uri(client: Any, served: Served) -> None:
    patients, encounters = client.resources("Patient"), client.resources("Encounter")
    key, one = next(iter(served.resources["Patient"].items()))
    family = one["name"][0]["family"]
    profile = one["meta"]["profile"][0]
    searches = [
        (patients.search(gender="female"), served.ids("Patient", lambda each: each["gender"] == "female")),
        (patients.search(gender__not="female"), served.ids("Patient", lambda each: each["gender"] != "female")),
        (patients.search(family__exact=family), named(served, family)),
        (patients.search(birthdate__ge="1980-01-01"), born_since(served, "1980-01-01")),
        (patients.search(_profile=profile), served.ids("Patient", lambda each: profile in each["meta"]["profile"])),
        (patients.search(_id=key), {key}),
        (encounters.search(**{"class": "IMP"}), served.ids("Encounter", inpatient)),
        (encounters.search(**{"class": INPATIENT}), served.ids("Encounter", inpatient)),
        (encounters.search(subject=client.reference("Patient", key)), stays(served, key)),
        (encounters.search(subject__Patient__gender="female"), stays_of_women(served)),
    ]
    for search, expected in searches:
        found = set(ids(search.limit(5).fetch_all()))
        assert found == expected != set(), search


def named(served: Served, family: str) -> set[str]:
    return served.ids("Patient", lambda each: any(name.get("family") == family for name in each["name"]))


def born_since(served: Served, day: str) -> set[str]:
    return served.ids("Patient", lambda each: each["birthDate"] >= day)


def stays(served: Served, patient: str) -> set[str]:
    return served.referring("Encounter", "subject", f"Patient/{patient}")


def stays_of_women(served: Served) -> set[str]:
    women = served.ids("Patient", lambda each: each["gender"] == "female")
    return set().union(*(stays(served, each) for each in women))


def test_it_asks_what_refers_to_a_resource(client: Any, served: Served) -> None:
    found = ids(client.resources("Patient").has("Encounter", "subject", **{"class": "IMP"}).limit(3).fetch_all())
    holders = {served.resources["Encounter"][key]["subject"]["reference"] for key in served.ids("Encounter", inpatient)}
    assert holders
    assert sorted(found) == sorted(each.removeprefix("Patient/") for each in holders)


def test_it_includes_what_is_referred_to_and_what_refers(client: Any, served: Served) -> None:
    bundle = client.resources("Encounter").include("Encounter", "subject").limit(10).fetch_raw()
    entries = [(each["search"]["mode"], each["resource"]) for each in bundle["entry"]]
    wanted = {each["subject"]["reference"] for mode, each in entries if mode == "match"}
    assert sum(mode == "match" for mode, _ in entries) == 10
    assert wanted == {f"Patient/{each['id']}" for mode, each in entries if mode == "include"}
    patient = next(iter(wanted)).removeprefix("Patient/")
    back = client.resources("Patient").search(_id=patient).revinclude("Encounter", "subject").fetch_raw()
    told = {each["resource"]["id"] for each in back["entry"] if each["search"]["mode"] == "include"}
    assert told == stays(served, patient) != set()


def test_it_follows_references_to_their_resources(client: Any, served: Served) -> None:
    stay = client.resources("Encounter").first()
    expected = served.resources["Encounter"][stay["id"]]["subject"]["reference"]
    assert stay["subject"].to_resource().to_reference().reference == expected


def test_it_gets_the_only_match_and_tells_of_none_and_several(client: Any, served: Served) -> None:
    key = min(served.ids("Patient"))
    assert client.resources("Patient").search(_id=key).get()["id"] == key
    with pytest.raises(ResourceNotFound):
        client.resources("Patient").search(_id="nobody").get()
    with pytest.raises(MultipleResourcesFound):
        client.resources("Patient").search(gender="male").get()


def test_it_raises_its_own_exceptions_and_can_read_what_was_wrong(client: Any) -> None:
    with pytest.raises(ResourceNotFound, match="not-found"):
        client.reference("Patient", "nobody").to_resource()
    with pytest.raises(OperationOutcome) as fault:
        client.resources("Patient").search(gendr="male").fetch()
    issue = fault.value.resource["issue"][0]
    assert issue["severity"] == "error"
    assert "gender" in issue["details"]["text"]
    with pytest.raises(OperationOutcome) as fault:
        client.resources("Encounter").search(date="yesterday").fetch()
    assert "date" in fault.value.resource["issue"][0]["details"]["text"]


def test_it_creates_updates_patches_and_deletes(client: Any, served: Served) -> None:
    one = served.resources["Consent"][min(served.ids("Consent"))]
    consent = client.resource("Consent", **{name: each for name, each in one.items() if name not in ("id", "meta")})
    consent.save()
    assert consent.id not in served.ids("Consent")
    consent["language"] = "nb"
    consent.save()
    consent.patch(language="nn")
    assert client.reference("Consent", consent.id).to_resource()["language"] == "nn"
    consent.delete()
    with pytest.raises(ResourceNotFound) as gone:
        client.reference("Consent", consent.id).to_resource()
    assert "has been deleted" in str(gone.value)


def test_it_counts_when_what_it_makes_up_may_be_ignored(client: Any, served: Served) -> None:
    """It sends a parameter of another server, `_totalMethod`: refused, or left out if the client so prefers."""
    with pytest.raises(OperationOutcome) as fault:
        client.resources("Encounter").count()
    assert "_totalMethod" in fault.value.resource["issue"][0]["details"]["text"]
    lenient = SyncFHIRClient(served.base, extra_headers=LENIENT)
    assert lenient.resources("Encounter").count() == len(served.resources["Encounter"])
    women = served.ids("Patient", lambda each: each["gender"] == "female")
    assert lenient.resources("Patient").search(gender="female").count() == len(women)


def test_it_asks_for_some_elements_only(client: Any) -> None:
    patient = client.resources("Patient").elements("gender").first()
    assert {"resourceType", "id", "gender"} <= patient.keys()
    assert "birthDate" not in patient


def test_it_refreshes_what_it_has_when_that_is_old_only(client: Any, served: Served) -> None:
    """It sends the version without quotation marks."""
    patient = client.reference("Patient", min(served.ids("Patient"))).to_resource()
    patient["gender"] = "changed here"
    assert patient.refresh()["gender"] == "changed here"  # 304: it keeps what it has
    patient["meta"]["versionId"] = "another"
    assert patient.refresh()["gender"] == served.resources["Patient"][patient.id]["gender"]


def test_it_runs_operations_on_a_resource(client: Any, served: Served) -> None:
    patient = client.reference("Patient", min(served.ids("Patient")))
    bundle = patient.execute("$everything", method="get", params={"_count": 200})
    found = {(each["resource"]["resourceType"], each["resource"]["id"]) for each in bundle["entry"]}
    assert ("Patient", patient.id) in found
    for resource_type in ("Encounter", "Condition", "ServiceRequest"):
        own = {key for kind, key in found if kind == resource_type}
        assert own == served.referring(resource_type, "subject", patient.reference)
    assert patient.to_resource().is_valid()
    lineage = patient.execute("$lineage", method="get")
    assert lineage["resourceType"] == "Parameters"


def test_it_searches_within_a_patient(client: Any, served: Served) -> None:
    subject = next(iter(served.resources["Encounter"].values()))["subject"]["reference"]
    found = ids(each["resource"] for each in client.execute(f"{subject}/Encounter", method="get")["entry"])
    assert set(found) == served.referring("Encounter", "subject", subject)


def test_it_does_the_same_without_waiting(served: Served) -> None:
    async def work() -> None:
        client = AsyncFHIRClient(served.base)
        walks = [client.resources(each).limit(9).fetch_all() for each in served.resources]
        for resource_type, found in zip(served.resources, await asyncio.gather(*walks), strict=True):
            assert sorted(ids(found)) == sorted(served.ids(resource_type))
        stay = await client.resources("Encounter").search(**{"class": "IMP"}).first()
        patient = await stay["subject"].to_resource()
        assert f"Patient/{patient.id}" == served.resources["Encounter"][stay["id"]]["subject"]["reference"]
        seen = [each["id"] async for each in client.resources("Condition").limit(20)]
        assert sorted(seen) == sorted(served.ids("Condition"))
        with pytest.raises(ResourceNotFound):
            await client.reference("Patient", "nobody").to_resource()
        with pytest.raises(OperationOutcome) as fault:
            await client.resources("Patient").search(gendr="male").fetch()
        assert "gender" in fault.value.resource["issue"][0]["details"]["text"]

    asyncio.run(work())
