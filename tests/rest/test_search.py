"""Searching over HTTP: what is asked is done or refused, and the links say what was done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from fhir_facade.rest.parameters import values_of
from fhir_facade.terminology.identity import is_national_identity_number

BOTH_STORES = True

PERSON = next(text for number in range(100_000) if is_national_identity_number(text := f"018190{number:05d}"))
Ask = Callable[..., httpx.Response]
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def links(bundle: dict[str, Any]) -> dict[str, str]:
    return {link["relation"]: link["url"] for link in bundle["link"]}


def found(bundle: dict[str, Any]) -> list[str]:
    return [entry["resource"]["id"] for entry in bundle.get("entry", []) if entry["search"]["mode"] == "match"]


def outcome(bundle: dict[str, Any]) -> dict[str, Any]:
    last = bundle["entry"][-1]
    assert last["search"]["mode"] == "outcome"
    assert last["fullUrl"].startswith("urn:uuid:")
    issue: dict[str, Any] = last["resource"]["issue"][0]
    return issue


def test_a_search_answers_a_searchset_with_absolute_urls(ask: Ask, ids: list[str]) -> None:
    bundle = ask("GET", "/fhir/Encounter").json()
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "searchset")
    assert found(bundle) == ids
    for entry in bundle["entry"]:
        assert entry["fullUrl"] == f"http://facade.test/fhir/Encounter/{entry['resource']['id']}"
    assert links(bundle) == {"self": "http://facade.test/fhir/Encounter"}


def test_a_search_without_matches_has_no_empty_list(ask: Ask) -> None:
    bundle = ask("GET", "/fhir/Encounter?_id=there-is-none").json()
    assert "entry" not in bundle
    assert links(bundle)["self"].endswith("Encounter?_id=there-is-none")


def test_repeated_parameters_are_and_and_commas_or(ask: Ask, ids: list[str]) -> None:
    assert found(ask("GET", f"/fhir/Encounter?_id={ids[0]},{ids[3]}").json()) == [ids[0], ids[3]]
    assert found(ask("GET", f"/fhir/Encounter?_id={ids[0]},{ids[3]}&_id={ids[3]}").json()) == [ids[3]]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        (r"a\,b,c", ["a,b", "c"]),
        (r"a\\,b", ["a\\", "b"]),
        (r"a\|b\$c\x", [r"a|b$c\x"]),
        ("a,", ["a", ""]),
        ("a\\", ["a\\"]),
    ],
)
def test_values_are_split_at_bare_commas(text: str, values: list[str]) -> None:
    assert list(values_of(text)) == values


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_following_next_gives_every_match_once(ask: Ask, ids: list[str], count: int, method: str) -> None:
    if method == "GET":
        bundle = ask("GET", f"/fhir/Encounter?_count={count}").json()
    else:
        bundle = ask("POST", "/fhir/Encounter/_search", content=f"_count={count}", headers=FORM).json()
    pages = [found(bundle)]
    while "next" in links(bundle):
        bundle = ask("GET", links(bundle)["next"]).json()
        pages.append(found(bundle))
    assert [each for page in pages for each in page] == ids
    assert all(len(page) == count for page in pages[:-1])
    assert pages[-1]


def test_the_self_link_of_a_page_gives_the_same_page(ask: Ask) -> None:
    second = ask("GET", links(ask("GET", "/fhir/Encounter?_count=2").json())["next"])
    assert ask("GET", links(second.json())["self"]).content == second.content


def test_a_token_of_another_search_is_refused(ask: Ask) -> None:
    following = links(ask("GET", "/fhir/Encounter?_count=2&status=finished").json())["next"]
    for changed in (
        following.replace("status=finished", "status=planned"),
        following.replace("&status=finished", ""),
        following + "&_sort=_id",
        following[:-1] + ("A" if following[-1] != "A" else "B"),
    ):
        answer = ask("GET", changed)
        assert answer.status_code == 400
        assert answer.json()["issue"][0]["details"]["coding"][0]["code"] == "page-token-invalid"


def test_a_search_by_post_keeps_its_terms_out_of_every_link(ask: Ask) -> None:
    answer = ask("POST", "/fhir/Encounter/_search", content=f"_id={PERSON}&_count=1", headers=FORM)
    assert answer.status_code == 200
    assert PERSON not in answer.text
    bundle = ask("POST", "/fhir/Encounter/_search", content="status=finished&_count=1", headers=FORM).json()
    for url in links(bundle).values():
        assert [name for name, _ in parse_qsl(urlsplit(url).query)] == ["_page"]
    again = ask("GET", links(bundle)["self"]).json()
    assert found(again) == found(bundle)
    beside = ask("GET", links(bundle)["next"] + "&status=planned")
    assert beside.status_code == 400


def test_count_zero_answers_no_entries_but_still_judges_values(ask: Ask) -> None:
    bundle = ask("GET", "/fhir/Encounter?_count=0").json()
    assert "entry" not in bundle
    assert links(bundle) == {"self": "http://facade.test/fhir/Encounter?_count=0"}
    assert ask("GET", "/fhir/Encounter?_count=0&date=yesterday").status_code == 400


def test_a_count_above_the_limit_is_cut_and_the_self_link_says_so(ask: Ask) -> None:
    assert links(ask("GET", "/fhir/Encounter?_count=5000").json())["self"].endswith("_count=1000")


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("statsu=finished", "search-parameter-unknown", "did you mean 'status'?"),
        ("_contained=true", "contained-not-searched", "_contained"),
        ("_include=Encounter:subjekt", "include-unknown", "did you mean 'Encounter:subject'?"),
        ("status:above=finished", "search-modifier-unknown", "':above'"),
        ("status=a|b|c", "search-value-invalid", "\\|"),
        ("status=", "search-value-invalid", "empty"),
        ("status=a,,b", "search-value-invalid", "empty"),
        ("date=yesterday", "search-value-invalid", "date"),
        ("_count=-1", "search-value-invalid", "0 to 1000"),
        ("_count=ten", "search-value-invalid", "0 to 1000"),
        ("_count=1&_count=2", "parameter-repeated", "_count"),
        ("_sort=_id&_sort=date", "parameter-repeated", "_sort"),
        ("_sort=-dato", "sort-unknown", "did you mean 'date'?"),
        ("_page=abc", "page-token-invalid", ""),
        ("_page=", "page-token-invalid", ""),
        ("_pretty=yes", "search-value-invalid", "true"),
        ("&".join(["status=finished"] * 51), "search-too-complex", "50"),
        ("_id=" + ",".join(["a"] * 501), "search-too-complex", "500"),
    ],
)
def test_what_is_wrong_is_refused_and_said(ask: Ask, query: str, code: str, words: str) -> None:
    answer = ask("GET", f"/fhir/Encounter?{query}")
    issue = answer.json()["issue"][0]
    assert (answer.status_code, issue["details"]["coding"][0]["code"]) == (400, code)
    assert words in issue["details"]["text"]


def test_all_faults_are_told_at_once(ask: Ask) -> None:
    issues = ask("GET", "/fhir/Encounter?one=1&two=2&_count=x").json()["issue"]
    assert len(issues) == 3


def test_lenient_ignores_unknown_parameters_says_so_and_leaves_them_out_of_self(ask: Ask) -> None:
    answer = ask("GET", "/fhir/Encounter?statsu=x&status=finished", headers={"Prefer": 'handling="lenient"'})
    bundle = answer.json()
    assert answer.status_code == 200
    assert answer.headers["preference-applied"] == "handling=lenient"
    assert links(bundle)["self"] == "http://facade.test/fhir/Encounter?status=finished"
    issue = outcome(bundle)
    assert issue["severity"] == "warning"
    assert issue["details"]["coding"][0]["code"] == "search-parameter-ignored"
    assert "statsu" in issue["details"]["text"]


def test_lenient_does_not_excuse_a_bad_value(ask: Ask) -> None:
    assert ask("GET", "/fhir/Encounter?date=x", headers={"Prefer": "handling=lenient"}).status_code == 400


def test_pretty_indents_and_is_kept_in_links(ask: Ask) -> None:
    answer = ask("GET", "/fhir/Encounter?_count=1&_pretty=true&_format=json")
    assert answer.content.count(b"\n") > 10
    assert "_pretty=true" in links(answer.json())["next"]


def test_a_reference_is_taken_in_each_of_its_spellings(ask: Ask) -> None:
    patient = ask("GET", "/fhir/Encounter?_count=1").json()["entry"][0]["resource"]["subject"]["reference"]
    key = patient.split("/")[1]
    answers = [
        found(ask("GET", "/fhir/Encounter", params={name: value}).json())
        for name, value in (
            ("subject", patient),
            ("subject", key),
            ("subject", f"http://facade.test/fhir/{patient}"),
            ("subject:Patient", key),
            ("patient", key),
        )
    ]
    assert answers[0]
    assert all(answer == answers[0] for answer in answers)
    assert found(ask("GET", f"/fhir/Encounter?subject:Group={key}").json()) == []


def test_sorted_pages_are_in_order_and_complete(ask: Ask, ids: list[str]) -> None:
    bundle = ask("GET", "/fhir/Encounter?_sort=-date&_count=3").json()
    pages = [bundle]
    while "next" in links(pages[-1]):
        pages.append(ask("GET", links(pages[-1])["next"]).json())
    starts = [entry["resource"]["period"]["start"] for page in pages for entry in page["entry"]]
    assert starts == sorted(starts, reverse=True) or len({start[-6:] for start in starts}) > 1
    assert sorted(each for page in pages for each in found(page)) == sorted(ids)


def counted(ask: Ask, path: str) -> tuple[int | None, int]:
    """What a Bundle says its total is, and how many matches its pages hold together."""
    bundle = ask("GET", path).json()
    total, held = bundle.get("total"), 0
    while True:
        held += sum(each["search"]["mode"] == "match" for each in bundle.get("entry", []))
        following = [each["url"] for each in bundle["link"] if each["relation"] == "next"]
        if not following:
            return total, held
        bundle = ask("GET", following[0]).json()
        assert bundle.get("total") == total


@pytest.mark.parametrize("path", ["Encounter?", "Encounter?class=AMB&", "Condition?", "Observation?code:missing=true&"])
def test_the_total_is_the_number_of_all_matches_on_every_page(ask: Ask, path: str) -> None:
    for word in ("accurate", "estimate"):
        total, held = counted(ask, f"/fhir/{path}_total={word}&_count=7")
        assert total == held
    assert counted(ask, f"/fhir/{path}_count=7")[0] is None
    assert counted(ask, f"/fhir/{path}_total=none&_count=7")[0] is None
    only = ask("GET", f"/fhir/{path}_count=0").json()
    assert only["total"] == held and "entry" not in only


def test_a_total_of_another_kind_is_refused(ask: Ask) -> None:
    answer = ask("GET", "/fhir/Encounter?_total=exact")
    assert answer.status_code == 400
    assert "none, estimate, accurate" in answer.text


def test_a_guarded_bar_is_part_of_the_code(ask: Ask) -> None:
    assert found(ask("GET", r"/fhir/Encounter?status=finished\|x").json()) == []
    assert found(ask("GET", r"/fhir/Encounter?status=a\,b,finished").json())
