"""fhir-pyrate at work: it turns searches into tables, sorts by `_id` of its own accord, and goes by the total."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from fhir_pyrate import Pirate

from tests.served import Served


@pytest.fixture
def pirate(served: Served) -> Iterator[Pirate]:
    with Pirate(auth=None, base_url=served.base, num_processes=1, silence_fhirpath_warning=True) as client:
        yield client


@pytest.mark.parametrize("resource_type", ["Patient", "Encounter", "Condition", "EpisodeOfCare", "Organization"])
def test_all_pages_become_the_rows_of_one_table(pirate: Pirate, served: Served, resource_type: str) -> None:
    table = pirate.steal_bundles_to_dataframe(
        resource_type, request_params={"_count": 9, "_sort": "_id"}, fhir_paths=["id", ("version", "meta.versionId")]
    )
    assert sorted(table["id"]) == sorted(served.ids(resource_type))
    assert table["version"].notna().all()


def test_it_sorts_by_itself_when_the_total_says_that_there_are_several_pages(pirate: Pirate, served: Served) -> None:
    with pytest.warns(UserWarning, match="approximately 6 pages"):
        bundles = list(pirate.steal_bundles("Patient", request_params={"_count": 5, "_total": "accurate"}))
    assert len(served.resources["Patient"]) == 30
    assert [len(each.entry) for each in bundles] == [5] * 6
    found = [entry.resource.id for each in bundles for entry in each.entry]
    assert found == sorted(served.ids("Patient"))


def test_it_asks_for_totals(pirate: Pirate, served: Served) -> None:
    women = served.ids("Patient", lambda each: each["gender"] == "female")
    asked = {"gender": "female", "_summary": "count"}
    assert pirate.get_bundle_total("Patient", request_params=asked) == len(women)
    assert pirate.get_bundle_total("Encounter", request_params={"_total": "accurate"}) == len(served.ids("Encounter"))


@pytest.mark.parametrize(
    ("resource_type", "asked"),
    [
        ("Encounter", {"class": "IMP"}),
        ("Encounter", {"_has:Condition:encounter:code": "F200"}),
        ("Patient", {"birthdate": ["ge1950-01-01", "lt1990-01-01"]}),
        ("Patient", {"gender": "male", "_has:Encounter:subject:class": "IMP"}),
    ],
)
def test_a_search_gives_what_the_store_holds(
    pirate: Pirate, served: Served, resource_type: str, asked: dict[str, Any]
) -> None:
    table = pirate.steal_bundles_to_dataframe(
        resource_type, request_params=asked | {"_count": 3, "_sort": "_id"}, fhir_paths=["id"]
    )
    assert sorted(table["id"]) == sorted(expected(served, resource_type, asked)) != []


def expected(served: Served, resource_type: str, asked: dict[str, Any]) -> set[str]:
    stays = served.resources["Encounter"].values()
    holds: dict[str, Any] = {
        "class": lambda each: each["class"]["code"] == "IMP",
        "birthdate": lambda each: "1950" <= each["birthDate"] < "1990",
        "gender": lambda each: each["gender"] == "male",
        "_has:Encounter:subject:class": lambda each: any(
            stay["subject"]["reference"] == f"Patient/{each['id']}" and stay["class"]["code"] == "IMP" for stay in stays
        ),
        "_has:Condition:encounter:code": lambda each: any(
            found.get("encounter", {}).get("reference") == f"Encounter/{each['id']}"
            and "F200" in [coding["code"] for coding in found["code"]["coding"]]
            for found in served.resources["Condition"].values()
        ),
    }
    return served.ids(resource_type, lambda each: all(holds[name](each) for name in asked))


def test_rows_of_one_table_become_the_searches_of_the_next(pirate: Pirate, served: Served) -> None:
    patients = pd.DataFrame({"patient": sorted(served.ids("Patient"))})
    table = pirate.trade_rows_for_dataframe(
        patients,
        resource_type="Encounter",
        df_constraints={"subject": "patient"},
        request_params={"_count": 2, "_sort": "_id"},
        fhir_paths=["id", ("subject", "subject.reference")],
        with_ref=True,
    )
    told = dict(zip(table["id"], table["subject"], strict=True))
    stays = served.resources["Encounter"]
    assert told == {key: each["subject"]["reference"] for key, each in stays.items()}


def test_it_reads_one_resource_and_all_of_a_patient(pirate: Pirate, served: Served) -> None:
    key = min(served.ids("Patient"))
    (read,) = pirate.steal_bundles("Patient", request_params={"_id": key})
    assert [each.resource.id for each in read.entry] == [key]
    bundles = pirate.steal_bundles(f"Patient/{key}/$everything", request_params={"_count": 200})
    found = {(each.resource.resourceType, each.resource.id) for bundle in bundles for each in bundle.entry}
    stays = {each for kind, each in found if kind == "Encounter"}
    assert stays == served.referring("Encounter", "subject", f"Patient/{key}")


def test_a_refused_search_gives_it_nothing_and_no_table_of_something_else(
    pirate: Pirate, caplog: pytest.LogCaptureFixture
) -> None:
    assert list(pirate.steal_bundles("Patient", request_params={"gendr": "male"})) == []
    assert "400" in caplog.text
    assert list(pirate.steal_bundles("Patient", request_params={"_id": "nobody"})) == []
    assert "404" in caplog.text
