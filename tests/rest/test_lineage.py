"""The operation $lineage over HTTP: what it tells, and that it behaves like a read."""

from __future__ import annotations

import io
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.lineage import CANONICAL, MAPPING, RECORD_KEY, TARGET_PATH, operation_definition, parameters
from fhir_facade.rest.openapi import openapi
from fhir_facade.rest.surface import FhirLane
from tests.mapping.test_lineage import leaf_paths
from tests.rest.test_surface import PERSON

BOTH_STORES = True

Ask = Callable[..., httpx.Response]
AskApp = Callable[[Any], Ask]


def elements(answer: httpx.Response) -> dict[str, dict[str, Any]]:
    """Path → the parts of its element."""
    found = [{part["name"]: part for part in each["part"]} for each in answer.json()["parameter"]]
    return {each["path"]["valueString"]: each for each in found}


def code(answer: httpx.Response) -> str:
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    found: str = body["issue"][0]["details"]["coding"][0]["code"]
    return found


def test_every_leaf_of_every_type_is_told_and_both_forms_are_r4(ask: Ask, mapping_set: MappingSet) -> None:
    for resource_type in mapping_set.by_type:
        for entry in ask("GET", f"/fhir/{resource_type}?_count=5").json()["entry"]:
            answer = ask("GET", f"{entry['fullUrl']}/$lineage")
            assert answer.status_code == 200, answer.text
            leaves = dict(leaf_paths(entry["resource"], resource_type))
            assert elements(answer).keys() == leaves.keys()
            get_fhir_model_class("Parameters").model_validate(answer.json())
            told = ask("GET", f"{entry['fullUrl']}/$lineage?form=provenance").json()
            get_fhir_model_class("Provenance").model_validate(told)
            assert {each["valueString"] for each in told["target"][0]["extension"]} == leaves.keys()


def test_an_element_has_field_value_rule_and_status(ask: Ask, lane: FhirLane, ids: list[str]) -> None:
    record: Any = lane.services.store.get("opphold", ids[0])
    start = elements(ask("GET", f"/fhir/Encounter/{ids[0]}/$lineage"))["Encounter.period.start"]
    assert start["epjField"]["valueString"] == "innDatoTid"
    assert start["epjValue"]["valueString"] == record["innDatoTid"]
    assert re.fullmatch(r"opphold\.encounter\.yaml:\d+", start["rule"]["valueString"])
    assert start["status"]["valueCode"] == "mapped"
    assert "codeMap" not in start


def test_a_translated_code_names_its_map_and_version(ask: Ask, ids: list[str]) -> None:
    told = elements(ask("GET", f"/fhir/Encounter/{ids[0]}/$lineage"))["Encounter.class.code"]
    assert re.fullmatch(r"omsorgsniva-actcode\|\d+\.\d+\.\d+", told["codeMap"]["valueString"])
    assert told["status"]["valueCode"] == "translated"


def test_values_have_their_type() -> None:
    from fhir_facade.mapping.lineage import Lineage

    values = {True: "valueBoolean", 7: "valueInteger", "a": "valueString", 2**40: "valueString"}
    for value, name in values.items():
        told = parameters([Lineage("Patient.x", 1, "f", value, "a.yaml:1", "python", "", "mapped")])
        assert name in told["parameter"][0]["part"][2]
    bare = parameters([Lineage("Patient.x", 1, "", None, "", "", "", "remainder")])
    assert [part["name"] for part in bare["parameter"][0]["part"]] == ["path", "status"]


def test_a_provenance_names_the_record_the_mapping_and_when(ask: Ask, lane: FhirLane, ids: list[str]) -> None:
    told = ask("GET", f"/fhir/Encounter/{ids[0]}/$lineage?form=provenance&path=period").json()
    record: Any = lane.services.store.get("opphold", ids[0])
    assert told["recorded"] == record["sist_endret"]
    assert told["target"][0]["reference"] == f"Encounter/{ids[0]}"
    assert told["target"][0]["extension"][0] == {"url": TARGET_PATH, "valueString": "Encounter.period.start"}
    identifiers = [each["what"]["identifier"] for each in told["entity"]]
    assert identifiers == [
        {"system": RECORD_KEY, "value": f"opphold/{record['$key']}"},
        {"system": MAPPING, "value": "opphold-encounter|1.0.0"},
    ]


def test_an_element_is_asked_for_with_all_below_it(ask: Ask, ids: list[str]) -> None:
    for path in ("class", "Encounter.class"):
        answer = ask("GET", f"/fhir/Encounter/{ids[0]}/$lineage", params={"path": path})
        assert {each.split(".")[1] for each in elements(answer)} == {"class"}


def test_an_element_that_is_not_there_comes_with_the_nearest(ask: Ask, ids: list[str]) -> None:
    answer = ask("GET", f"/fhir/Encounter/{ids[0]}/$lineage?path=period.strat")
    assert (answer.status_code, code(answer)) == (400, "element-unknown-here")
    assert "did you mean 'Encounter.period.start'?" in answer.json()["issue"][0]["details"]["text"]


def test_a_client_that_has_it_is_told_so_and_head_is_the_same_without_the_body(ask: Ask, ids: list[str]) -> None:
    url = f"/fhir/Encounter/{ids[0]}/$lineage"
    whole, read = ask("GET", url), ask("GET", f"/fhir/Encounter/{ids[0]}")
    for name in ("etag", "last-modified"):
        assert whole.headers[name] == read.headers[name]
        header = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}[name]
        again = ask("GET", url, headers={header: whole.headers[name]})
        assert (again.status_code, again.content) == (304, b"")
    head = ask("HEAD", url)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]
    assert head.headers["content-type"] == "application/fhir+json"


@pytest.mark.parametrize(
    ("method", "path", "status", "expected"),
    [
        ("GET", "/fhir/Encounter/there-is-none/$lineage", 404, "not-found"),
        ("GET", "/fhir/Encounter/a_b/$lineage", 400, "id-invalid"),
        ("GET", "/fhir/Encuonter/1/$lineage", 404, "type-unknown"),
        ("GET", "/fhir/Encounter/1/$lineag", 404, "operation-unknown"),
        ("GET", "/fhir/Encounter/$lineage", 404, "operation-unknown"),
        ("POST", "/fhir/Encounter/1/$lineage", 405, "method-not-allowed"),
        ("GET", "/fhir/Encounter/ID/$lineage?form=graph", 400, "search-value-invalid"),
        ("GET", "/fhir/Encounter/ID/$lineage?path=", 400, "search-value-invalid"),
        ("GET", "/fhir/Encounter/ID/$lineage?path=a&path=b", 400, "parameter-repeated"),
        ("GET", "/fhir/Encounter/ID/$lineage?paht=a", 400, "search-parameter-unknown"),
        ("GET", "/fhir/Encounter/ID/$lineage?_format=ndjson", 406, "format-not-acceptable"),
        ("GET", "/fhir/Encounter/ID/$lineage?_pretty=perhaps", 400, "search-value-invalid"),
    ],
)
def test_what_cannot_be_answered_says_why(
    ask: Ask, ids: list[str], method: str, path: str, status: int, expected: str
) -> None:
    answer = ask(method, path.replace("/ID/", f"/{ids[0]}/"))
    assert (answer.status_code, code(answer)) == (status, expected)
    if status == 405:
        assert answer.headers["allow"] == "GET, HEAD"


def test_an_accept_header_without_our_formats_is_refused(ask: Ask, ids: list[str]) -> None:
    answer = ask("GET", f"/fhir/Encounter/{ids[0]}/$lineage", headers={"Accept": "application/fhir+ndjson"})
    assert (answer.status_code, code(answer)) == (406, "format-not-acceptable")


def test_pretty_is_the_same_indented(ask: Ask, ids: list[str]) -> None:
    url = f"/fhir/Encounter/{ids[0]}/$lineage"
    indented = ask("GET", f"{url}?_pretty=true")
    assert indented.content.count(b"\n") > 20
    assert indented.json() == ask("GET", url).json()


def test_a_person_number_is_refused_in_the_path_and_in_no_log_line(lane: FhirLane, ask_app: AskApp) -> None:
    out = io.StringIO()
    ask = ask_app(FhirLane(lane.services, AccessLog("info", out)))
    patient: Any = next(one for one in lane.services.store.scan("pasient") if one.get("fid"))  # type: ignore[attr-defined]
    asked = f"/fhir/Patient/{patient['$key']}/$lineage"
    assert patient["fid"] in ask("GET", asked).text  # the reader of the resource sees it there too
    refused = ask("GET", f"{asked}?path={PERSON}")
    assert (refused.status_code, code(refused)) == (400, "person-number-in-url")
    assert PERSON not in refused.text
    assert "$lineage" in out.getvalue()
    assert not {patient["fid"], PERSON} & set(re.findall(r"\d{11}", out.getvalue()))


def test_the_operation_is_claimed_with_its_definition(ask: Ask, mapping_set: MappingSet) -> None:
    resources = ask("GET", "/fhir/metadata").json()["rest"][0]["resource"]
    of_records = [resource for resource in resources if resource["type"] in mapping_set.by_type]
    assert len(of_records) == len(mapping_set.by_type)
    for resource in of_records:
        (operation,) = [each for each in resource["operation"] if each["name"] == "lineage"]
        assert (operation["name"], operation["definition"]) == ("lineage", CANONICAL)
        assert "GET only" in operation["documentation"]
    definition = operation_definition(mapping_set, "1")
    get_fhir_model_class("OperationDefinition").model_validate(definition)
    assert (definition["url"], definition["code"]) == (CANONICAL, "lineage")
    inputs = {each["name"] for each in definition["parameter"] if each["use"] == "in"}
    described = openapi(mapping_set)["paths"]["/Patient/{id}/$lineage"]
    assert described.keys() == {"get", "head"}
    offered = {each["name"] for each in described["get"]["parameters"] if each["in"] == "query"}
    assert offered == inputs | {"_format", "_pretty"}
    schema = described["get"]["responses"]["200"]["content"]["application/fhir+json"]["schema"]
    assert orjson.dumps(schema).count(b"Parameters") == orjson.dumps(schema).count(b"Provenance") == 1


def test_values_that_had_no_fhir_form_are_counted_as_in_a_read(
    tmp_path: Path, database: Path, lane_over: Callable[[Path], FhirLane], ask_app: AskApp, ids: list[str]
) -> None:
    copy = tmp_path / "unknown.db"
    shutil.copy(database, copy)
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("UPDATE opphold SET omsorgsniva = '99' WHERE _key = ?", (ids[0],))
    ask = ask_app(lane_over(copy))
    read, told = ask("GET", f"/fhir/Encounter/{ids[0]}"), ask("GET", f"/fhir/Encounter/{ids[0]}/$lineage")
    assert int(told.headers["x-fhir-issues"]) == int(read.headers["x-fhir-issues"]) > 0
    kept = elements(told)["Encounter.class.code"]
    assert (kept["status"]["valueCode"], kept["epjValue"]["valueString"]) == ("kept-original", "99")
