"""The same answers in JSON, XML and lines: what is asked for is what comes, and says the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_facade.packages.xml import resource_of_xml
from tests.rest.test_surface import PERSON

Ask = Callable[..., httpx.Response]
JSON, XML, LINES = "application/fhir+json", "application/fhir+xml", "application/fhir+ndjson"


@pytest.mark.parametrize(
    ("accept", "query", "status", "media"),
    [
        ("application/fhir+xml", "", 200, XML),
        ("application/xml", "", 200, XML),
        ("text/xml;q=0.9, text/html", "", 200, XML),
        ("application/fhir+xml", "?_format=json", 200, JSON),
        ("application/fhir+xml", "?_format=application/fhir+json", 200, JSON),
        ("application/json", "", 200, JSON),
        ("application/json", "?_format=xml", 200, XML),
        ("application/json", "?%5fformat=xml", 200, XML),
        ("application/json", "?_format=application/fhir%2Bxml&_count=1", 200, XML),
        ("text/html", "?_format=xml", 200, XML),
        ("application/fhir+ndjson", "", 200, LINES),
        ("application/json", "?_format=ndjson", 200, LINES),
        ("text/turtle;q=1, */*;q=0.1", "", 200, JSON),
        ("text/turtle", "", 406, JSON),
        ("text/html", "", 406, JSON),
        ("application/fhir+xml;q=0", "", 406, JSON),
        ("application/fhir+json", "?_format=ttl", 406, JSON),
        ("application/fhir+xml", "?_format=ttl", 406, JSON),
        ("application/fhir+xml; fhirVersion=5.0", "", 406, JSON),
        ("application/fhir+xml", "?statsu=x", 400, XML),
        ("application/json", "?statsu=x&_format=xml", 400, XML),
        ("application/fhir+ndjson", "?statsu=x", 400, JSON),
    ],
)
def test_the_format_is_negotiated(ask: Ask, accept: str, query: str, status: int, media: str) -> None:
    answer = ask("GET", f"/fhir/Encounter{query}", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (status, media)
    assert "accept" in answer.headers["vary"]
    name = "Bundle" if status == 200 else "OperationOutcome"
    if media == XML:
        assert resource_of_xml(answer.content)["resourceType"] == name
    elif media == JSON:
        assert answer.json()["resourceType"] == name
        if status == 406:
            assert "xml" in answer.json()["issue"][0]["details"]["text"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "metadata"),
        ("GET", "metadata?mode=terminology"),
        ("GET", "Encounter?_count=5"),
        ("GET", "Patient?_total=accurate&_count=1"),
        ("GET", "Encounter/ID"),
        ("GET", "Encounter/ID/$lineage"),
        ("GET", "Encounter/ID/$lineage?form=provenance"),
        ("GET", "Encounter/ID/$validate"),
        ("GET", "CodeSystem?_count=3"),
        ("GET", "CodeSystem/administrative-gender"),
        ("GET", "CodeSystem/$lookup?system=http://hl7.org/fhir/administrative-gender&code=male"),
        ("GET", "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/administrative-gender"),
        ("GET", "Encounter/there-is-none"),
        ("GET", "Nothing"),
        ("DELETE", "Encounter/ID"),
        ("POST", "Encounter/_search"),
    ],
)
def test_every_answer_says_the_same_in_xml(ask: Ask, ids: list[str], method: str, path: str) -> None:
    url = "/fhir/" + path.replace("ID", ids[0])
    plain, other = (ask(method, url, headers={"Accept": media}) for media in (JSON, XML))
    assert other.headers["content-type"] == XML
    assert other.status_code == plain.status_code
    resource = plain.json()
    if resource["resourceType"] == "CapabilityStatement":  # not in R4B's model: it has the same elements
        assert resource_of_xml(other.content)["rest"] == resource["rest"]
    assert without_time(resource_of_xml(other.content)) == without_time(resource)
    if resource["resourceType"] != "Bundle":
        model = get_fhir_model_class(resource["resourceType"])
        judged, told = model.model_validate_xml(other.content), model.model_validate_json(plain.content)
        one, two = (orjson.loads(each.model_dump_json()) for each in (judged, told))
        assert without_time(one) == without_time(two)


def without_time(resource: dict[str, Any]) -> dict[str, Any]:
    """An expansion says when it was made and under which name."""
    expansion = {
        key: each for key, each in resource.get("expansion", {}).items() if key not in ("timestamp", "identifier")
    }
    return {**resource, "expansion": expansion}


def test_xml_can_be_indented(ask: Ask, ids: list[str]) -> None:
    plain, indented = (ask("GET", f"/fhir/Encounter/{ids[0]}?_format=xml{more}") for more in ("", "&_pretty=true"))
    assert plain.content.count(b"\n") == 1
    assert indented.content.count(b"\n  <") > 3
    assert resource_of_xml(plain.content) == resource_of_xml(indented.content)


def test_a_read_has_its_version_in_every_format(ask: Ask, ids: list[str]) -> None:
    url = f"/fhir/Encounter/{ids[0]}"
    plain, other = ask("GET", url), ask("GET", url, headers={"Accept": XML})
    assert plain.headers["etag"] == other.headers["etag"]
    again = ask("GET", url, headers={"Accept": XML, "If-None-Match": other.headers["etag"]})
    assert (again.status_code, again.content, again.headers["content-type"]) == (304, b"", XML)


@pytest.mark.parametrize("accept", [XML, LINES, JSON])
def test_head_says_what_get_says(ask: Ask, accept: str) -> None:
    got, head = (ask(method, "/fhir/Encounter?_count=3", headers={"Accept": accept}) for method in ("GET", "HEAD"))
    assert head.content == b""
    differing = {key for key in got.headers if got.headers[key] != head.headers[key]}
    assert differing == {"x-request-id"}


def test_lines_are_the_resources_of_the_page_and_tell_where_to_go_on(ask: Ask) -> None:
    bundle = ask("GET", "/fhir/Encounter?_count=3&_total=accurate").json()
    lines = ask("GET", "/fhir/Encounter?_count=3&_total=accurate", headers={"Accept": LINES})
    assert lines.headers["content-type"] == LINES
    assert [orjson.loads(each) for each in lines.content.splitlines()] == [each["resource"] for each in bundle["entry"]]
    assert lines.headers["x-total-count"] == str(bundle["total"])
    links = {name: link["url"] for name, link in lines.links.items() if name}
    assert links == {each["relation"]: each["url"] for each in bundle["link"]}


def test_lines_go_on_to_the_last_page(ask: Ask) -> None:
    wanted, found = set(), []
    for entry in ask("GET", "/fhir/Encounter?_count=1000").json()["entry"]:
        wanted.add(entry["resource"]["id"])
    url = "/fhir/Encounter?_count=20&_format=ndjson"
    while url:
        page = ask("GET", url)
        found += [orjson.loads(line)["id"] for line in page.content.splitlines()]
        url = page.links["next"]["url"] if "next" in page.links else ""
    assert (len(found), set(found)) == (len(wanted), wanted)


def test_lines_end_with_what_was_ignored(ask: Ask) -> None:
    headers = {"Accept": LINES, "Prefer": "handling=lenient"}
    last = orjson.loads(ask("GET", "/fhir/Encounter?_count=2&statsu=x", headers=headers).content.splitlines()[-1])
    assert (last["resourceType"], last["issue"][0]["code"]) == ("OperationOutcome", "not-supported")


def test_a_search_without_matches_is_no_line(ask: Ask) -> None:
    answer = ask("GET", "/fhir/Encounter?_id=there-is-none", headers={"Accept": LINES})
    assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "0")


@pytest.mark.parametrize(("path", "options"), [("Encounter/ID", {}), ("metadata", {}), ("Encounter/ID/$lineage", {})])
def test_only_searches_are_given_as_lines(ask: Ask, ids: list[str], path: str, options: dict[str, Any]) -> None:
    answer = ask("GET", "/fhir/" + path.replace("ID", ids[0]), headers={"Accept": LINES}, **options)
    assert (answer.status_code, answer.headers["content-type"]) == (406, JSON)
    assert "ndjson." not in answer.json()["issue"][0]["details"]["text"]


def test_a_form_may_name_the_format(ask: Ask) -> None:
    answer = ask("POST", "/fhir/Encounter/_search", data={"_format": "xml", "_count": "1"})
    assert answer.headers["content-type"] == XML
    answer = ask("POST", "/fhir/Encounter/_search", data={"_format": "xml"}, headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, XML)


def test_a_person_number_beside_a_wrong_format_is_told_first(ask: Ask) -> None:
    answer = ask("GET", f"/fhir/Patient?identifier=%3{PERSON}&_format=ttl")
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, "security")


def test_a_fault_of_ours_is_told_in_xml(ask_app: Any, lane: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("fault")

    monkeypatch.setattr(type(lane.services.store), "find", fail)
    answer = ask_app(lane)("GET", "/fhir/Encounter", headers={"Accept": XML})
    assert (answer.status_code, resource_of_xml(answer.content)["issue"][0]["severity"]) == (500, "fatal")


def test_lines_that_were_sent_are_not_answered_in_xml(ask: Ask) -> None:
    lines = b'{"resourceType":"Patient"}\n{"resourceType":"Patient"}\n'
    headers = {"Content-Type": LINES, "Accept": XML}
    answer = ask("POST", "/fhir/$validate", content=lines, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (406, XML)
    answer = ask("POST", "/fhir/$validate", content=lines, headers={"Content-Type": LINES, "Accept": LINES})
    assert (answer.status_code, answer.content.count(b"\n")) == (200, 2)
    answer = ask("POST", "/fhir/$validate", content=lines[:26], headers={"Content-Type": JSON, "Accept": XML})
    assert (answer.status_code, resource_of_xml(answer.content)["resourceType"]) == (200, "OperationOutcome")
