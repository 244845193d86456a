"""Parts of resources: what R4 counts to a summary, what is asked for by name, and what must stay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_facade.definitions import definitions
from fhir_facade.outcome import Refused
from fhir_facade.rest.subset import ALL, SUBSETTED, Subset, refuse_text_with_included, with_parameter
from tests.rest.test_to_xml import GOLDENS, resources

Ask = Callable[..., httpx.Response]

PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"versionId": "3", "tag": [{"code": "kept"}]},
    "text": {"status": "generated", "div": "<div/>"},
    "contained": [{"resourceType": "Organization", "id": "o"}],
    "extension": [{"url": "http://e", "valueBoolean": True}],
    "modifierExtension": [{"url": "http://m", "valueBoolean": True}],
    "identifier": [{"system": "s", "value": "1", "assigner": {"display": "d"}}],
    "active": True,
    "name": [{"family": "A", "_family": {"extension": [{"url": "u", "valueString": "x"}]}}],
    "_birthDate": {"extension": [{"url": "http://x", "valueCode": "unknown"}]},
    "deceasedBoolean": False,
    "maritalStatus": {"text": "M"},
    "contact": [{"name": {"family": "B"}}],
    "managingOrganization": {"extension": [{"url": "http://x", "valueCode": "unknown"}]},
    "link": [{"other": {"reference": "Patient/q"}, "type": "seealso"}],
}
OBSERVATION = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"text": "x"},
    "valueQuantity": {"value": 1.5, "unit": "g"},
    "note": [{"text": "n"}],
    "component": [{"code": {"text": "y"}, "interpretation": [{"text": "i"}], "valueString": "v"}],
}


def keys(resource: dict[str, Any]) -> list[str]:
    return [key for key in resource if key not in ("resourceType", "id", "meta")]


def test_a_summary_has_the_elements_that_r4_marks() -> None:
    cut = Subset("true").of(PATIENT)
    assert keys(cut) == [
        *("modifierExtension", "identifier", "active", "name", "_birthDate", "deceasedBoolean", "managingOrganization"),
        "link",
    ]
    assert cut["managingOrganization"] == PATIENT["managingOrganization"]
    assert cut["name"] == PATIENT["name"]
    assert cut["meta"] == {"versionId": "3", "tag": [{"code": "kept"}, SUBSETTED]}


def test_a_summary_looks_into_elements() -> None:
    cut = Subset("true").of(OBSERVATION)
    assert keys(cut) == ["status", "code", "valueQuantity", "component"]
    assert cut["component"] == [{"code": {"text": "y"}, "valueString": "v"}]
    held = {"resourceType": "Encounter", "hospitalization": {}, "diagnosis": [{"condition": {}, "use": {"text": "u"}}]}
    assert keys(Subset("true").of(held)) == ["diagnosis"]
    assert Subset("true").of(held)["diagnosis"] == [{"condition": {}}]


@pytest.mark.parametrize(
    ("subset", "resource", "expected"),
    [
        (Subset("text"), PATIENT, ["text"]),
        (Subset("text"), OBSERVATION, ["status", "code"]),
        (Subset("data"), PATIENT, [key for key in keys(PATIENT) if key != "text"]),
        (
            Subset("", ("maritalStatus",)),
            PATIENT,
            ["modifierExtension", "active", "deceasedBoolean", "maritalStatus", "link"],
        ),
        (Subset("", ("birthDate",)), PATIENT, ["modifierExtension", "active", "_birthDate", "deceasedBoolean", "link"]),
        (Subset("", ("id",)), OBSERVATION, ["status", "code"]),
        (Subset("", ("value",)), OBSERVATION, ["status", "code", "valueQuantity"]),
        (Subset("", ("value[x]",)), OBSERVATION, ["status", "code", "valueQuantity"]),
        (Subset("", ("valueQuantity", "note")), OBSERVATION, ["status", "code", "valueQuantity", "note"]),
        (Subset("", ("valueString",)), OBSERVATION, ["status", "code"]),
    ],
)
def test_what_is_kept(subset: Subset, resource: dict[str, Any], expected: list[str]) -> None:
    cut = subset.of(resource)
    assert keys(cut) == expected
    assert cut["meta"]["tag"][-1] == SUBSETTED
    assert all(cut[key] == resource[key] for key in expected)


@pytest.mark.parametrize("subset", [ALL, Subset("false")])
def test_all_is_given_as_it_is(subset: Subset) -> None:
    assert subset.of(PATIENT) is PATIENT
    assert subset.of_bytes(b'{ "a": 1.50 }') == b'{ "a": 1.50 }'


def test_contained_resources_stay_where_something_refers_to_them() -> None:
    referring = {**PATIENT, "managingOrganization": {"reference": "#o"}}
    assert "contained" in Subset("true").of(referring)
    assert "contained" not in Subset("", ("name",)).of(referring)


def test_the_tag_is_set_once_and_digits_stay() -> None:
    body = b'{"resourceType":"Observation","id":"o","status":"final","valueQuantity":{"value":1.50}}'
    once = Subset("true").of_bytes(body)
    assert b'"value":1.50' in once
    assert Subset("true").of_bytes(once) == once


@pytest.mark.parametrize("resource_type", sorted(GOLDENS))
def test_every_part_is_a_resource_by_fhir_resources(resource_type: str) -> None:
    model = get_fhir_model_class(resource_type)
    some = definitions().children(resource_type)[-1]
    for path in GOLDENS[resource_type][:2]:
        for subset in (Subset("true"), Subset("text"), Subset("data"), Subset("", (some,))):
            model.model_validate(subset.of(resources(path)[0]))


@pytest.mark.parametrize(
    ("name", "value", "searching", "code"),
    [
        ("_summary", "", True, "search-value-invalid"),
        ("_summary", "True", True, "search-value-invalid"),
        ("_summary", "count", False, "search-value-invalid"),
        ("_elements", "", True, "elements-unknown"),
        ("_elements", "status,", True, "elements-unknown"),
        ("_elements", "valeu", True, "elements-unknown"),
        ("_elements", "code.coding", True, "elements-unknown"),
        ("_elements", "resourcetype", True, "elements-unknown"),
    ],
)
def test_what_cannot_be_read_is_refused(name: str, value: str, searching: bool, code: str) -> None:
    with pytest.raises(Refused) as refused:
        with_parameter(ALL, "Observation", name, value, searching=searching)
    assert refused.value.issues[0].code == code


def test_the_type_may_be_named_though_it_is_always_there() -> None:
    kept = [
        with_parameter(ALL, "Observation", "_elements", said).of({"resourceType": "Observation", "id": "1", "note": []})
        for said in ("resourceType,id", "id")
    ]
    assert kept[0] == kept[1]
    assert kept[0].keys() == {"resourceType", "id", "meta"}


def test_the_nearest_element_is_told() -> None:
    with pytest.raises(Refused, match="did you mean 'value'"):
        with_parameter(ALL, "Observation", "_elements", "status,valeu")


@pytest.mark.parametrize("name", ["_include", "_revinclude:iterate"])
def test_a_text_has_nothing_included(name: str) -> None:
    with pytest.raises(Refused, match="cannot be given together"):
        refuse_text_with_included(Subset("text"), ["status", name])
    refuse_text_with_included(Subset("true"), ["status", name])


def test_elements_are_for_matches_only() -> None:
    assert Subset("", ("name",)).of_included == ALL
    assert Subset("true").of_included == Subset("true")


# ---- over HTTP


def test_a_read_gives_a_part(ask: Ask, ids: list[str]) -> None:
    url = f"/fhir/Encounter/{ids[0]}"
    whole, part = ask("GET", url), ask("GET", f"{url}?_summary=true")
    assert part.json() == Subset("true").of(whole.json())
    assert part.headers["etag"] == whole.headers["etag"]
    assert keys(ask("GET", f"{url}?_elements=period,length").json()) == ["status", "class", "period"]
    assert ask("GET", f"{url}?_summary=false").content == whole.content


def test_a_search_gives_parts_on_every_page(ask: Ask) -> None:
    url = "/fhir/Encounter?_count=5&_elements=period"
    wanted = {each["resource"]["id"] for each in ask("GET", "/fhir/Encounter?_count=1000").json()["entry"]}
    found = []
    while url:
        bundle = ask("GET", url).json()
        links = {each["relation"]: each["url"] for each in bundle["link"]}
        assert "_elements=period" in links["self"]
        for entry in bundle["entry"]:
            found.append(entry["resource"]["id"])
            assert set(keys(entry["resource"])) <= {"status", "class", "period"}
            assert entry["resource"]["meta"]["tag"] == [SUBSETTED]
        url = links.get("next", "")
    assert set(found) == wanted
    assert len(found) == len(wanted)


def test_a_form_asks_for_parts_on_every_page(ask: Ask) -> None:
    first = ask("POST", "/fhir/Encounter/_search", data={"_count": "3", "_summary": "text"}).json()
    following = {each["relation"]: each["url"] for each in first["link"]}["next"]
    second = ask("GET", following).json()
    for bundle in (first, second):
        assert [keys(each["resource"]) for each in bundle["entry"]] == [["status", "class"]] * 3


def test_a_count_is_only_a_number(ask: Ask) -> None:
    whole = ask("GET", "/fhir/Encounter?_count=1000&status=finished").json()
    bundle = ask("GET", "/fhir/Encounter?status=finished&_summary=count").json()
    assert (bundle["total"], "entry" in bundle) == (len(whole["entry"]), False)
    assert [each["relation"] for each in bundle["link"]] == ["self"]
    assert "_summary=count" in bundle["link"][0]["url"]


def test_parts_are_given_as_xml_too(ask: Ask, ids: list[str]) -> None:
    answer = ask("GET", f"/fhir/Encounter/{ids[0]}?_summary=text&_format=xml")
    assert b"SUBSETTED" in answer.content
    assert b"<period>" not in answer.content


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("Encounter?_summary=true&_elements=status", "parameters-together"),
        ("Encounter?_elements=status&_summary=false", "parameters-together"),
        ("Encounter?_summary=true&_summary=true", "parameter-repeated"),
        ("Encounter/ID?_elements=status&_elements=class", "parameter-repeated"),
        ("Encounter?_elements=statsu", "elements-unknown"),
        ("Encounter/ID?_elements=statsu", "elements-unknown"),
        ("Encounter?_summary=perhaps", "search-value-invalid"),
        ("Encounter?_contained=true", "contained-not-searched"),
        ("Encounter?_containedType=contained", "contained-not-searched"),
        ("CodeSystem?_contained=both", "contained-not-searched"),
        ("CodeSystem?_elements=cocnept", "elements-unknown"),
        ("CodeSystem?_elements=url&_summary=true", "parameters-together"),
        ("CodeSystem/administrative-gender?_summary=count", "search-value-invalid"),
    ],
)
def test_what_is_wrong_is_told(ask: Ask, ids: list[str], path: str, code: str) -> None:
    answer = ask("GET", "/fhir/" + path.replace("ID", ids[0]))
    told = [each["details"]["coding"][0]["code"] for each in answer.json()["issue"]]
    assert (answer.status_code, code in told) == (400, True), told


def test_parts_of_a_terminology_resource(ask: Ask) -> None:
    url = "/fhir/CodeSystem/administrative-gender"
    head, some = ask("GET", f"{url}?_summary=true").json(), ask("GET", f"{url}?_elements=concept").json()
    assert "concept" not in head
    assert {"url", "status", "content"} <= head.keys()
    assert {*keys(some)} == {"status", "content", "concept"}
    page = ask("GET", "/fhir/CodeSystem?_elements=url&_count=3").json()
    assert all({*keys(each["resource"])} <= {"url", "status", "content"} for each in page["entry"])


def test_json_that_is_cut_has_no_empty_element(ask: Ask) -> None:
    for resource_type in sorted(GOLDENS):
        bundle = ask("GET", f"/fhir/{resource_type}?_summary=true&_count=20")
        assert bundle.status_code == 200
        assert b"{}" not in bundle.content.replace(b'"entry":{}', b""), resource_type
        assert b"[]" not in bundle.content, resource_type
        assert orjson.loads(bundle.content)["resourceType"] == "Bundle"


@pytest.mark.parametrize("mode", ["", "&mode=terminology"])
def test_a_part_of_the_statement_has_a_version_of_its_own(ask: Ask, mode: str) -> None:
    whole = ask("GET", f"/fhir/metadata?_pretty=false{mode}")
    part = ask("GET", f"/fhir/metadata?_summary=true{mode}")
    assert part.json() == Subset("true").of(whole.json())
    assert len(part.content) < len(whole.content)
    assert part.headers["etag"].startswith('W/"')
    assert part.headers["etag"] != whole.headers["etag"]
    for etag, status in ((part.headers["etag"], 304), (whole.headers["etag"], 200)):
        again = ask("GET", f"/fhir/metadata?_summary=true{mode}", headers={"If-None-Match": etag})
        assert again.status_code == status


def test_parts_of_the_statement_by_name(ask: Ask) -> None:
    assert "software" in ask("GET", "/fhir/metadata?_elements=software").json()
    assert "rest" not in ask("GET", "/fhir/metadata?_elements=software").json()
    for query in ("_elements=sofware", "_summary=count", "_summary=true&_elements=rest", "_elements=codeSystem"):
        assert ask("GET", f"/fhir/metadata?{query}").status_code == 400, query
    assert ask("GET", "/fhir/metadata?mode=terminology&_elements=codeSystem").status_code == 200
