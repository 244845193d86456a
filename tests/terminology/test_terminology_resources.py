"""CodeSystem and ValueSet resources: right by R4, the same every time, and open about what is ours or uncertain."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from fhir.resources.R4B.codesystem import CodeSystem as CodeSystemModel
from fhir.resources.R4B.valueset import ValueSet as ValueSetModel

from fhir_facade.mapping.structure import structure_faults
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.code_table import code_table
from fhir_facade.terminology.concepts import Concept, Designation, Edition
from fhir_facade.terminology.resources import MOST_CONCEPTS, code_system_resource, value_set_resource

CATALOGUE = Catalogue()
LIST = "urn:oid:2.16.578.1.12.4.1.1."
SYSTEMS = {each.edition.url: each for each in CATALOGUE.code_systems()}
SETS = {each.url: each for each in CATALOGUE.value_sets()}


def told(number: str) -> dict[str, Any]:
    return code_system_resource(SYSTEMS[LIST + number])


@pytest.mark.parametrize("url", SYSTEMS)
def test_every_code_system_is_r4(url: str) -> None:
    made = code_system_resource(SYSTEMS[url])
    assert structure_faults(made) == []
    CodeSystemModel.model_validate(made)
    codes = [each["code"] for each in made.get("concept", ())]
    assert len(codes) == SYSTEMS[url].edition.count
    declared = {each["code"] for each in made.get("property", ())}
    assert {each["code"] for concept in made.get("concept", ()) for each in concept.get("property", ())} == declared
    if "valueSet" in made:
        assert CATALOGUE.value_set(made["valueSet"]) is not None


@pytest.mark.parametrize("url", SETS)
def test_every_value_set_is_r4(url: str) -> None:
    made = value_set_resource(SETS[url])
    assert structure_faults(made) == []
    ValueSetModel.model_validate(made)
    assert made["compose"]["include"] and made["url"] == url


def test_resources_are_the_same_every_time() -> None:
    again = Catalogue()
    for url, known in list(SYSTEMS.items())[::7]:
        other = again.code_system(url)
        assert other is not None
        assert orjson.dumps(code_system_resource(known)) == orjson.dumps(code_system_resource(other))
    for url, value_set in list(SETS.items())[::7]:
        found = again.value_set(url)
        assert found is not None
        assert orjson.dumps(value_set_resource(value_set)) == orjson.dumps(value_set_resource(found))


def test_a_list_says_what_it_is() -> None:
    made = told("8406")
    assert (made["id"], made["url"], made["title"]) == ("vol-8406", f"{LIST}8406", "Omsorgsnivå")
    assert made["identifier"] == [{"system": "urn:ietf:rfc:3986", "value": f"{LIST}8406"}]
    assert (made["status"], made["experimental"], made["content"], made["count"]) == ("active", False, "complete", 4)
    assert made["publisher"] == "Helsedirektoratet" and "Volven, 2024-12" in made["copyright"]
    assert made["concept"][0] == {"code": "1", "display": "Døgnopphold"}
    assert "Confidence: verified." in made["description"] and "ours" not in made["description"]


def test_a_published_address_is_an_identifier() -> None:
    assert {each["value"] for each in told("7110")["identifier"]} == {
        *(
            f"{LIST}7110",
            "http://hl7.org/fhir/sid/icd-10-no",
            "http://helsedir.no/fhir/CodeSystem/no-kodeverk-7110-icd-10",
        )
    }


def test_a_title_of_our_own_is_told_of() -> None:
    assert "The title is ours, not official." in told("9146")["description"]
    found = CATALOGUE.value_set(f"{LIST}9146")
    assert found is not None and "The title is ours, not official." in value_set_resource(found)["description"]


def test_a_sample_is_a_fragment_and_an_empty_list_has_no_content() -> None:
    sample, empty = told("7110"), told("8480")
    assert (sample["content"], "count" in sample) == ("fragment", False)
    assert "Not complete" in sample["description"]
    assert (empty["content"], "concept" in empty) == ("not-present", False)


def test_dates_status_and_statute_are_properties() -> None:
    concepts = {each["code"]: each for each in told("8440")["concept"]}
    assert concepts["2"]["property"] == [
        {"code": "status", "valueCode": "retired"},
        {"code": "validTo", "valueDateTime": "2010"},
    ]
    assert concepts["1"]["property"] == [{"code": "legal_basis", "valueString": "Psykisk helsevernloven § 2-1"}]
    assert [each["code"] for each in told("8440")["property"]] == ["status", "validTo", "legal_basis"]


def test_a_hierarchy_is_told_of_by_parents() -> None:
    made = told("8420")
    assert made["hierarchyMeaning"] == "is-a"
    concepts = {each["code"]: each for each in made["concept"]}
    assert concepts["1.0"]["property"] == [{"code": "parent", "valueCode": "1"}]
    assert "hierarchyMeaning" not in told("8406")


def test_what_is_too_large_for_one_resource_is_told_of_without_its_codes() -> None:
    many = [Concept(str(number), "x") for number in range(MOST_CONCEPTS + 1)]
    edition = Edition("http://example.org/cs", "2026", "Many", "Many", True, len(many))
    made = code_system_resource(code_table(edition, many))
    assert structure_faults(made) == []
    assert (made["content"], made["count"], "concept" in made) == ("not-present", len(many), False)
    assert "$expand" in made["description"]


def test_designations_and_properties_of_an_import_are_kept() -> None:
    concept = Concept("1", "Øre", properties={"chapter": "VIII"}, designations=(Designation("en", "Ear"),))
    made = code_system_resource(code_table(Edition("http://example.org/cs", "1", "X", "X", True, 1), [concept]))
    assert structure_faults(made) == []
    assert made["concept"][0]["designation"] == [{"language": "en", "value": "Ear"}]
    assert made["property"] == [{"code": "chapter", "type": "string"}]


def test_a_value_set_of_r4_names_its_codes() -> None:
    made = value_set_resource(SETS["http://hl7.org/fhir/ValueSet/administrative-gender"])
    include = made["compose"]["include"]
    assert [each["system"] for each in include] == ["http://hl7.org/fhir/administrative-gender"]
    assert [each["code"] for each in include[0]["concept"]] == ["female", "male", "other", "unknown"]
    assert (made["version"], made["language"], made["publisher"]) == ("4.0.1", "en", "HL7 International")


def test_the_value_set_of_a_list_takes_the_whole_list() -> None:
    made = value_set_resource(SETS["http://fhir-facade.no/fhir/ValueSet/vol-8406"])
    assert made["compose"] == {"include": [{"system": f"{LIST}8406"}]}
    assert {"system": "urn:ietf:rfc:3986", "value": f"{LIST}8406"} in made["identifier"]
