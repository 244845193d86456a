"""What is claimed is what is answered: CapabilityStatement, OpenAPI and the lane, compared."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from fhir_facade.mapping.compartments import compartments
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.canonical_resources import TYPES
from fhir_facade.rest.capabilities import capability_statement
from fhir_facade.rest.changes import TAKES as CHANGING
from fhir_facade.rest.openapi import http_examples, openapi
from fhir_facade.rest.parameters import RESULT_PARAMETERS
from fhir_facade.rest.services import Interaction
from fhir_facade.rest.surface import SURFACE
from fhir_facade.rest.terminology_search import RESULT

Ask = Callable[..., httpx.Response]
CHANGED = {"create", "update", "patch", "delete", "transaction"}
READING = tuple(row for row in SURFACE if not row.changes)
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def document(mapping_set: MappingSet) -> dict[str, Any]:
    return openapi(mapping_set, surface=READING)


def claimed(statement: dict[str, Any]) -> dict[str, tuple[set[str], set[str]]]:
    """Type → (interactions and operations, search parameters) of a CapabilityStatement."""
    return {
        resource["type"]: (
            {each["code"] for each in resource["interaction"]} | {each["name"] for each in resource["operation"]},
            {each["name"] for each in resource.get("searchParam", [])},
        )
        for resource in statement["rest"][0]["resource"]
    }


def test_the_statement_is_one_of_r4_and_a_model_takes_it(ask: Ask) -> None:
    from fhir.resources.R4B.capabilitystatement import CapabilityStatement

    answer = ask("GET", "/fhir/metadata")
    statement = answer.json()
    assert (statement["resourceType"], statement["fhirVersion"]) == ("CapabilityStatement", "4.0.1")
    CapabilityStatement.model_validate(statement)


def test_the_statement_is_not_sent_twice(ask: Ask) -> None:
    etag = ask("GET", "/fhir/metadata").headers["etag"]
    assert ask("GET", "/fhir/metadata", headers={"If-None-Match": etag}).status_code == 304
    assert ask("HEAD", "/fhir/metadata").content == b""
    assert ask("GET", "/fhir/metadata?mode=full").headers["etag"] == etag
    assert ask("GET", "/fhir/metadata?mode=normative").status_code == 400


def claimed_by(document: dict[str, Any]) -> dict[str, tuple[set[str], set[str]]]:
    """The same of an OpenAPI document."""
    by_type: dict[str, tuple[set[str], set[str]]] = {}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for resource_type in operation["tags"]:
                codes, parameters = by_type.setdefault(resource_type, (set(), set()))
                codes.add(operation["operationId"].removesuffix("-head").split(f"-{resource_type}")[0])
                if path == f"/{resource_type}":
                    found = {each["name"] for each in operation["parameters"]}
                    parameters |= found - RESULT_PARAMETERS.keys() - RESULT.keys() - CHANGING.keys()
    return by_type


def test_statement_and_openapi_claim_the_same(ask: Ask, document: dict[str, Any]) -> None:
    assert claimed_by(document) == claimed(ask("GET", "/fhir/metadata").json())


def test_a_server_that_can_be_changed_claims_that_too(mapping_set: MappingSet) -> None:
    statement = orjson.loads(capability_statement(mapping_set, SURFACE, "http://x/fhir", "0"))
    here = claimed_by(openapi(mapping_set))
    assert here == claimed(statement)
    assert {"create", "update", "delete", "vread", "history-instance"} <= here["Encounter"][0]
    assert "create" not in here["ValueSet"][0]
    for resource in statement["rest"][0]["resource"]:
        if resource["type"] not in TYPES:
            assert resource["conditionalDelete"] == "single"
            assert all(resource[f"{name}"] for name in ("updateCreate", "conditionalCreate", "conditionalUpdate"))


def test_statement_and_openapi_claim_the_same_includes(ask: Ask, document: dict[str, Any]) -> None:
    for resource in ask("GET", "/fhir/metadata").json()["rest"][0]["resource"]:
        if resource["type"] in TYPES:
            continue
        listed = {each["name"]: each for each in document["paths"][f"/{resource['type']}"]["get"]["parameters"]}
        for name, claim in (("_include", "searchInclude"), ("_revinclude", "searchRevInclude")):
            values = resource.get(claim, ["*"])
            assert listed[name]["schema"]["items"]["enum"] == values
            answer = ask("GET", f"/fhir/{resource['type']}", params={name: values, "_count": 2})
            assert answer.status_code == 200, values


def test_what_is_searched_across_types_is_claimed_once(ask: Ask, document: dict[str, Any]) -> None:
    rest = ask("GET", "/fhir/metadata").json()["rest"][0]
    assert [each["code"] for each in rest["interaction"]] == ["search-system", "history-system"]
    claimed_here = {each["name"] for each in rest["searchParam"]}
    listed = {each["name"] for each in document["paths"]["/"]["get"]["parameters"]} - RESULT_PARAMETERS.keys()
    assert listed == claimed_here | {"_type"}
    for name in claimed_here:
        assert ask("GET", "/fhir", params={name: "2020", "_count": 1}).status_code == 200


def test_every_row_of_the_surface_is_in_openapi_and_no_more(document: dict[str, Any], mapping_set: MappingSet) -> None:
    rows = {
        (path, method)
        for row in READING
        for path in paths_of(row, mapping_set)
        for method in ((row.method.lower(), "head") if row.method == "GET" else (row.method.lower(),))
    }
    assert rows == {(path, method) for path, methods in document["paths"].items() for method in methods}


def paths_of(row: Interaction, mapping_set: MappingSet) -> list[str]:
    """The paths that a row stands for."""
    if "{compartment}" in row.template:
        inside = [(each, name) for each in compartments(mapping_set.search).values() for name in (*each.types, "*")]
        return [row.template.replace("{compartment}", each.type).replace("{type}", name) for each, name in inside]
    names = [*mapping_set.by_type, *(TYPES if row.code == "validate" else ())] if "{type}" in row.template else [""]
    return [row.template.replace("{type}", name) for name in names]


def test_the_compartments_that_are_claimed_are_those_that_answer(ask: Ask, document: dict[str, Any]) -> None:
    """Of every type's first resource: what stands in OpenAPI answers, and what is not claimed is refused."""
    rest = ask("GET", "/fhir/metadata").json()["rest"][0]
    assert [each.rpartition("/")[2] for each in rest["compartment"]] == ["encounter", "patient", "practitioner"]
    for resource in rest["resource"]:
        if resource["type"] in TYPES:
            continue
        first = ask("GET", f"/fhir/{resource['type']}?_count=1").json()["entry"][0]["resource"]["id"]
        claimed_here = resource["type"].lower() in {each.rpartition("/")[2] for each in rest["compartment"]}
        for inner in ("*", *(each["type"] for each in rest["resource"])):
            answer = ask("GET", f"/fhir/{resource['type']}/{first}/{inner}")
            listed = f"/{resource['type']}/{{id}}/{inner}" in document["paths"]
            assert (answer.status_code == 200) == listed
            assert claimed_here or not listed


EXAMPLES = {"date": "ge2000-01-01", "token": "1", "reference": "1", "string": "a", "uri": "http://x.no"}
EXAMPLES |= {"number": "1", "quantity": "1", "composite": "1$1"}

LEVELLED = "urn:oid:2.16.578.1.12.4.1.1.8420|1.0"
MODIFIED = {
    "missing": "false", "urimissing": "false", "in": "ValueSet/vol-8406", "not-in": "ValueSet/vol-8406",
    "above": LEVELLED, "below": LEVELLED, "of-type": "a|b|c",
}  # fmt: skip


def test_every_claimed_parameter_is_answered_and_its_example_too(ask: Ask, mapping_set: MappingSet) -> None:
    for resource_type, (codes, parameters) in claimed(ask("GET", "/fhir/metadata").json()).items():
        if resource_type in TYPES:
            continue  # tests/rest/test_terminology_search.py
        own = {"everything"} if resource_type in ("Patient", "Encounter") else set()
        versions = {"vread", "history-instance", "history-type"}
        assert codes == {"read", "search-type", "lineage", "validate", "npr-check"} | versions | own
        known = mapping_set.search.parameters(resource_type)
        for code in parameters:
            for value in (EXAMPLES[known[code].type], known[code].example):
                answer = ask("GET", f"/fhir/{resource_type}", params={code: value, "_count": 1})
                assert answer.status_code == 200, (resource_type, code, value, answer.text)
        for modifier in {(code, each) for code in parameters for each in known[code].modifiers}:
            name = ":".join(modifier)
            kind = "uri" if known[modifier[0]].type == "uri" else ""
            value = MODIFIED.get(kind + modifier[1], known[modifier[0]].example)
            assert ask("GET", f"/fhir/{resource_type}", params={name: value}).status_code == 200, name


def test_every_sort_key_is_answered_in_both_directions(ask: Ask, mapping_set: MappingSet) -> None:
    for resource_type in mapping_set.by_type:
        for code in mapping_set.search.sortable(resource_type):
            up, down = (
                ask("GET", f"/fhir/{resource_type}", params={"_sort": sign + code, "_count": 1000}).json()
                for sign in ("", "-")
            )
            assert len(up.get("entry", [])) == len(down.get("entry", [])), (resource_type, code)


def test_what_is_not_claimed_is_refused(ask: Ask, mapping_set: MappingSet) -> None:
    every = {code for name in mapping_set.by_type for code in mapping_set.search.parameters(name)}
    for resource_type in mapping_set.by_type:
        for code in sorted(every - mapping_set.search.parameters(resource_type).keys()):
            assert ask("GET", f"/fhir/{resource_type}", params={code: "1"}).status_code == 400


def test_every_first_page_links_to_resources_that_can_be_read(ask: Ask, mapping_set: MappingSet) -> None:
    for resource_type in mapping_set.by_type:
        bundle = ask("GET", f"/fhir/{resource_type}?_count=3").json()
        assert bundle.get("entry"), resource_type
        for entry in bundle["entry"]:
            answer = ask("GET", entry["fullUrl"])
            assert answer.status_code == 200
            assert answer.json() == entry["resource"]


def test_the_example_requests_are_answered(ask: Ask, mapping_set: MappingSet) -> None:
    text = http_examples(mapping_set, "")
    requests = re.findall(r"^(GET|POST) \{\{base\}\}(\S+)\n(?:Content-Type: \S+\n\n(.*)\n)?", text, re.M)
    assert len(requests) > 2 * len(mapping_set.by_type)
    patient = ask("GET", "/fhir/Patient?_count=1").json()["entry"][0]["resource"]["id"]
    for method, path, body in requests:
        answer = ask(method, f"/fhir{path}".replace("{{patient}}", patient), content=body, headers=FORM if body else {})
        assert answer.status_code == 200, (path, body)


def test_each_operation_says_which_faults_it_may_tell(mapping_set: MappingSet) -> None:
    paths = openapi(mapping_set)["paths"]
    always = {"400", "404", "405", "406", "500", "503"}
    for path, methods in paths.items():
        for method, operation in methods.items():
            told = set(operation["responses"])
            assert always <= told, (path, method)
            assert ({"413", "415"} <= told) == ("requestBody" in operation), (path, method)
            assert "410" in told or "{id}" not in path, (path, method)
            assert ("412" in told) == (operation["operationId"].split("-")[0] in CHANGED), (path, method)


def test_openapi_refers_only_to_what_it_has(document: dict[str, Any]) -> None:
    for reference in set(re.findall(rb'"\$ref":"#/([^"]+)"', orjson.dumps(document))):
        place = document
        for part in reference.decode().split("/"):
            place = place[part]
    operations = [each["operationId"] for path in document["paths"].values() for each in path.values()]
    assert len(operations) == len(set(operations))


def ids(answer: httpx.Response) -> set[str]:
    entries = answer.json().get("entry", [])
    return {each["resource"]["id"] for each in entries if each["search"]["mode"] == "match"}


def test_not_and_missing_part_the_resources_in_two(ask: Ask, mapping_set: MappingSet) -> None:
    """What a parameter finds and what its :not finds are all there is; so with :missing=true and false."""
    for resource_type in mapping_set.by_type:
        whole = ids(ask("GET", f"/fhir/{resource_type}", params={"_count": 1000}))
        for code, parameter in mapping_set.search.parameters(resource_type).items():
            pairs = [({f"{code}:missing": "true"}, {f"{code}:missing": "false"})]
            if "not" in parameter.modifiers:
                pairs.append(({code: parameter.example}, {f"{code}:not": parameter.example}))
            for one, other in pairs:
                first, second = (
                    ids(ask("GET", f"/fhir/{resource_type}", params={**each, "_count": 1000})) for each in (one, other)
                )
                assert first | second == whole and not first & second, (resource_type, one)


@pytest.mark.parametrize("value", ["yes", "", "true,false", "1"])
def test_missing_takes_true_or_false(ask: Ask, value: str) -> None:
    answer = ask("GET", "/fhir/Patient", params={"birthdate:missing": value})
    assert answer.status_code == 400
    assert "birthdate" in answer.text


def test_a_profile_is_found_by_its_canonical(ask: Ask) -> None:
    profile = "http://fhir-facade.no/fhir/StructureDefinition/encounter-opphold"
    whole = ids(ask("GET", "/fhir/Encounter", params={"_count": 1000}))
    assert whole and ids(ask("GET", "/fhir/Encounter", params={"_profile": profile, "_count": 1000})) == whole
    narrow = ids(ask("GET", "/fhir/Encounter", params={"_profile": f"{profile[:-7]}poliklinisk", "_count": 1000}))
    assert narrow and narrow < whole
    assert not ids(ask("GET", "/fhir/Encounter", params={"_profile": profile[:-1], "_count": 1000}))
