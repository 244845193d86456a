"""CodeSystem, ValueSet and ConceptMap over HTTP: found, paged, read, and every list of every record field among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_facade.mapping.kinds import Field
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.terminology_resources import TYPES
from fhir_facade.rest.terminology_search import search_parameters
from fhir_facade.terminology.lists import code_lists

Ask = Callable[..., httpx.Response]
LIST = "urn:oid:2.16.578.1.12.4.1.1."


def found(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    bundle = answer.json()
    get_fhir_model_class("Bundle").model_validate(bundle)
    return [entry["resource"] for entry in bundle.get("entry", [])]


def pages(ask: Ask, path: str) -> Iterator[dict[str, Any]]:
    """Every match of a search, page after page."""
    url: str | None = path
    while url:
        answer = ask("GET", url)
        yield from found(answer)
        links = {link["relation"]: link["url"] for link in answer.json()["link"]}
        url = links.get("next")


def coded_fields(mapping_set: MappingSet) -> dict[str, list[Field]]:
    """The coded fields of every record kind and its child lists, by the number of their code list."""
    by_list: dict[str, list[Field]] = {}
    for kind in mapping_set.kinds:
        for fields in (kind.fields, *(child.fields for child in kind.children.values())):
            for field in fields.values():
                if field.code_list:
                    by_list.setdefault(field.code_list, []).append(field)
    return by_list


def test_every_coded_field_has_a_list_that_is_served_and_expands(ask: Ask, mapping_set: MappingSet) -> None:
    fields = coded_fields(mapping_set)
    assert sum(map(len, fields.values())) > 100
    for number in sorted(fields):
        (system,) = found(ask("GET", f"/fhir/CodeSystem?identifier={LIST}{number}&_summary=true"))
        oid = {each["value"] for each in system["identifier"]}
        assert f"{LIST}{number}" in {system["url"], *oid}, number
        listed = code_lists()[number].codes
        for path in (f"ValueSet/vol-{number}/$expand", f"ValueSet/$expand?url={LIST}{number}"):
            answer = ask("GET", f"/fhir/{path}")
            assert answer.status_code == 200, (number, answer.text)
            expansion = answer.json()["expansion"]
            assert expansion["total"] == len(listed) == len(expansion.get("contains", []))
            assert [each["code"] for each in expansion.get("contains", [])] == list(listed)
        get_fhir_model_class("ValueSet").model_validate(answer.json())


@pytest.mark.parametrize("resource_type", TYPES)
def test_every_resource_is_found_once_and_can_be_read(ask: Ask, resource_type: str) -> None:
    whole = {each["id"]: each for each in pages(ask, f"/fhir/{resource_type}?_count=40")}
    total = ask("GET", f"/fhir/{resource_type}?_summary=count").json()
    assert total["total"] == len(whole) > 15
    assert "entry" not in total
    model = get_fhir_model_class(resource_type)
    for identity, resource in whole.items():
        model.model_validate(resource)
        assert resource["status"] in ("active", "draft", "retired", "unknown")
        assert found(ask("GET", f"/fhir/{resource_type}?_id={identity}")) == [resource]
    for identity in sorted(whole)[:: max(len(whole) // 10, 1)]:
        answer = ask("GET", f"/fhir/{resource_type}/{identity}")
        assert answer.json() == whole[identity]
        again = ask("GET", f"/fhir/{resource_type}/{identity}", headers={"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("resource_type", TYPES)
def test_every_claimed_parameter_narrows_and_its_modifiers_too(ask: Ask, resource_type: str) -> None:
    whole = ask("GET", f"/fhir/{resource_type}?_summary=count").json()["total"]
    for name, (_, example, modifiers) in search_parameters(resource_type).items():
        for each in ("", *modifiers):
            asked = f"{name}:{each}" if each else name
            answer = ask("GET", f"/fhir/{resource_type}", params={asked: example, "_summary": "count"})
            assert answer.status_code == 200, answer.text
            assert 0 <= answer.json()["total"] <= whole
            answer = ask("GET", f"/fhir/{resource_type}", params={asked: "there-is-none", "_summary": "count"})
            assert answer.json()["total"] == 0
        both = ask("GET", f"/fhir/{resource_type}", params={name: f"{example},there-is-none", "_summary": "count"})
        alone = ask("GET", f"/fhir/{resource_type}", params={name: example, "_summary": "count"})
        assert both.json()["total"] == alone.json()["total"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("CodeSystem?title=omsorgsniv%C3%A5", ["vol-8406"]),
        ("CodeSystem?title=OMSORGSNIV%C3%85", ["vol-8406"]),
        ("CodeSystem?title=omsorgsniva", []),  # å is a letter of its own
        ("CodeSystem?title:contains=msorgsniv", ["vol-8302", "vol-8406"]),
        ("CodeSystem?title:exact=Omsorgsniv%C3%A5", ["vol-8406"]),
        ("CodeSystem?url=urn:oid:2.16.578.1.12.4.1.1.8406", ["vol-8406"]),
        ("CodeSystem?url=http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406", ["vol-8406"]),
        ("CodeSystem?identifier=urn:ietf:rfc:3986%7Curn:oid:2.16.578.1.12.4.1.1.8406", ["vol-8406"]),
        ("CodeSystem?identifier=urn:other%7Curn:oid:2.16.578.1.12.4.1.1.8406", []),
        ("CodeSystem?_id=vol-8406,vol-8451", ["vol-8406", "vol-8451"]),
        ("CodeSystem?_id=vol-8406&status=draft", []),
        ("ValueSet?url=http://fhir-facade.no/fhir/ValueSet/vol-8406", ["vol-8406"]),
        ("ValueSet?url=urn:oid:2.16.578.1.12.4.1.1.8406", ["vol-8406"]),
        ("ConceptMap?name=omsorg", ["omsorgsniva-actcode", "omsorgsniva-actcode-reverse"]),
        ("ConceptMap?_id=kodeverk-system", ["kodeverk-system"]),
    ],
)
def test_what_is_asked_for_is_found(ask: Ask, query: str, ids: list[str]) -> None:
    assert [each["id"] for each in found(ask("GET", f"/fhir/{query}"))] == ids


def test_a_head_has_no_codes_and_says_that_it_is_one(ask: Ask) -> None:
    for place in ("CodeSystem/vol-8406", "ValueSet/vol-8406", "ConceptMap/omsorgsniva-actcode"):
        head, whole = (ask("GET", f"/fhir/{place}?_summary={each}").json() for each in ("true", "false"))
        assert head["meta"]["tag"][0]["code"] == "SUBSETTED"
        assert head.keys() < whole.keys() | {"meta"}
        assert not head.keys() & {"concept", "compose", "group"}


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "expected"),
    [
        ("GET", "CodeSystem?titel=x", {}, 400, "search-parameter-unknown"),
        ("GET", "CodeSystem?title:missing=x", {}, 400, "search-modifier-unknown"),
        ("GET", "CodeSystem?title=a,", {}, 400, "search-value-invalid"),
        ("GET", "CodeSystem?_summary=all", {}, 400, "search-value-invalid"),
        ("GET", "CodeSystem?_count=x", {}, 400, "search-value-invalid"),
        ("GET", "CodeSystem?_count=1&_count=2", {}, 400, "parameter-repeated"),
        ("GET", "CodeSystem?_page=x", {}, 400, "page-token-invalid"),
        ("GET", "CodeSystem/vol-8406?name=x", {}, 400, "search-parameter-unknown"),
        ("GET", "CodeSystem/vol-0", {}, 404, "not-found"),
        ("GET", "ConceptMap?identifier=x", {}, 400, "search-parameter-unknown"),
        ("POST", "CodeSystem/_search", {"json": {}}, 415, "media-type-unsupported"),
        ("POST", "CodeSystem", {}, 405, "method-not-allowed"),
        ("PUT", "CodeSystem/vol-8406", {}, 405, "method-not-allowed"),
        ("GET", "CodeSystem?_format=ttl", {}, 406, "format-not-acceptable"),
    ],
)
def test_what_is_not_served_is_refused(
    ask: Ask, method: str, path: str, options: dict[str, Any], status: int, expected: str
) -> None:
    answer = ask(method, f"/fhir/{path}", **options)
    assert answer.status_code == status, answer.text
    assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == expected


def test_the_nearest_parameter_is_told_and_lenient_clients_are_told_what_was_ignored(ask: Ask) -> None:
    assert "did you mean 'title'?" in ask("GET", "/fhir/CodeSystem?titel=x").text
    answer = ask("GET", "/fhir/CodeSystem?titel=x&_id=vol-8406", headers={"Prefer": "handling=lenient"})
    assert [each["resourceType"] for each in found(answer)] == ["CodeSystem", "OperationOutcome"]
    assert "titel" not in answer.json()["link"][0]["url"]


def test_what_a_form_asks_stays_out_of_links(ask: Ask) -> None:
    answer = ask("POST", "/fhir/CodeSystem/_search", data={"title": "t", "_count": "1"})
    links = {link["relation"]: link["url"] for link in answer.json()["link"]}
    assert links["self"].endswith("/CodeSystem")
    assert "title" not in links["next"]
    first, second = found(answer), found(ask("GET", links["next"]))
    assert first[0]["id"] < second[0]["id"]
    assert ask("GET", links["next"] + "&title=x").status_code == 400


def test_a_page_token_belongs_to_its_search(ask: Ask) -> None:
    answer = ask("GET", "/fhir/CodeSystem?title=t&_count=1")
    url = next(link["url"] for link in answer.json()["link"] if link["relation"] == "next")
    assert ask("GET", url.replace("title=t", "title=s")).status_code == 400


def test_terminology_capabilities_name_every_code_system(ask: Ask) -> None:
    answer = ask("GET", "/fhir/metadata?mode=terminology")
    told = answer.json()
    get_fhir_model_class("TerminologyCapabilities").model_validate(told)
    urls = [each["uri"] for each in told["codeSystem"]]
    assert len(urls) == len(set(urls))
    assert {each["url"] for each in pages(ask, "/fhir/CodeSystem?_summary=true&_count=1000")} == set(urls)
    again = ask("GET", "/fhir/metadata?mode=terminology", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304


def contains(ask: Ask, query: str) -> list[str]:
    answer = ask("GET", f"/fhir/ValueSet/{query}")
    assert answer.status_code == 200, answer.text
    return [each["code"] for each in answer.json()["expansion"].get("contains", [])]


def test_an_expansion_is_filtered_ranked_and_paged(ask: Ask) -> None:
    every = contains(ask, "vol-8451/$expand")
    assert contains(ask, "vol-8451/$expand?offset=3&count=4") == every[3:7]
    assert contains(ask, "vol-8451/$expand?count=0") == []
    assert contains(ask, "vol-8451/$expand?filter=010")[0] == "010"
    ranked = ask("GET", "/fhir/ValueSet/vol-8451/$expand?filter=kirurgi").json()["expansion"]["contains"]
    displays = [each["display"].casefold() for each in ranked]
    begins = [each.startswith("kirurgi") for each in displays]
    assert begins == sorted(begins, reverse=True)
    assert (
        contains(ask, "vol-8406/$expand?filter=D%C3%98GN")
        == contains(ask, "vol-8406/$expand?filter=d%C3%B8gn")
        == ["1"]
    )
    assert contains(ask, "vol-8406/$expand?filter=dogn") == []


def test_an_expansion_heeds_dates_and_use(ask: Ask) -> None:
    every, used = (contains(ask, f"vol-8454/$expand{query}") for query in ("", "?activeOnly=true"))
    assert {"13", "17"} <= set(every)
    assert not {"13", "17"} & set(used)
    assert "13" not in contains(ask, "vol-8454/$expand?date=2019-12-31")
    assert "13" in contains(ask, "vol-8454/$expand?date=2020-06-30")
    assert "13" not in contains(ask, "vol-8454/$expand?date=2022-01-01")
    told = ask("GET", "/fhir/ValueSet/vol-8454/$expand?date=2024-06-30&count=3&offset=1&activeOnly=true").json()
    said = {each["name"]: each for each in told["expansion"]["parameter"]}
    assert said["date"]["valueDateTime"] == "2024-06-30"
    assert (said["count"]["valueInteger"], said["offset"]["valueInteger"]) == (3, 1)
    assert said["activeOnly"]["valueBoolean"] is True
    inactive = [
        each["code"]
        for each in ask("GET", "/fhir/ValueSet/vol-8454/$expand").json()["expansion"]["contains"]
        if each.get("inactive")
    ]
    assert inactive == ["13", "17"]


def test_an_expansion_tells_of_a_list_that_is_not_complete(ask: Ask) -> None:
    said = ask("GET", "/fhir/ValueSet/vol-8410/$expand").json()["expansion"]["parameter"]
    assert {"name": "incomplete", "valueUri": f"{LIST}8410"} in said
