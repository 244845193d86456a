"""What must be true of any Bundle: its order, its rewritten references, and that no Bundle breaks the rooms."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.bundles.answers import Result, answer_of, refused
from fhir_facade.bundles.order import circular, naming_of, order_of, rank_of
from fhir_facade.bundles.plan import Plan, plan_of
from fhir_facade.bundles.references import references_in, with_links
from fhir_facade.bundles.rewriting import Identity, known_at_first, rewritten
from fhir_facade.outcome import Refused, operation_outcome
from tests.bundles.case_files import BASE, cases

URLS = [f"urn:uuid:00000000-0000-4000-8000-{number:012d}" for number in range(6)]
METHODS = ["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD"]
RANKS = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{0} <a title=" href=\'{0}\'" class="{0}" href = "{1}">{0}</a> <img src="{1}"/></div>'

Pair = tuple[Any, Any]
"""What is sent, and what must come of it."""


def place(number: int) -> str:
    return f"Patient/known-{number}"


@st.composite
def elements(draw: st.DrawFn) -> tuple[str, Pair]:
    """One element of a Patient with a placeholder in it, that is replaced or must not be."""
    number = draw(st.integers(0, len(URLS) - 1))
    url, new = URLS[number], place(number)
    fragment = draw(st.sampled_from(["", "", "#a"]))
    reference = ({"reference": url + fragment, "display": url}, {"reference": new + fragment, "display": url})
    logical = {"identifier": {"system": url + "0", "value": url}}
    held: dict[str, Pair] = {
        "generalPractitioner": ([reference[0], logical], [reference[1], logical]),
        "managingOrganization": reference,
        "link": ([{"type": "seealso", "other": reference[0]}], [{"type": "seealso", "other": reference[1]}]),
        "photo": ([{"url": url, "title": url}], [{"url": new, "title": url}]),
        "text": ({"div": DIV.format(url, url)}, {"div": DIV.format(url, new)}),
        "extension": (
            [{"url": "http://x.test/a", "valueReference": reference[0]}, {"url": "http://x.test/b", "valueUri": url}],
            [{"url": "http://x.test/a", "valueReference": reference[1]}, {"url": "http://x.test/b", "valueUri": new}],
        ),
        "contained": (
            [{"resourceType": "Encounter", "subject": reference[0], "reasonCode": [{"text": url}]}],
            [{"resourceType": "Encounter", "subject": reference[1], "reasonCode": [{"text": url}]}],
        ),
        "name": ([{"text": url, "family": f'<a href="{url}">'}], [{"text": url, "family": f'<a href="{url}">'}]),
        "meta": ({"profile": [url], "tag": [{"code": url}]}, {"profile": [url], "tag": [{"code": url}]}),
        "identifier": ([{"value": url}], [{"value": url}]),
    }
    name = draw(st.sampled_from(sorted(held)))
    return name, held[name]


@st.composite
def transactions(draw: st.DrawFn) -> tuple[dict[str, Any], list[Any]]:
    """A transaction of creates with references among them, and what each resource must become."""
    order = draw(st.permutations(range(len(URLS))))
    entries, expected = [], []
    for number in order:
        drawn = dict(draw(st.lists(elements(), max_size=4)))
        sent = {"resourceType": "Patient", **{name: pair[0] for name, pair in drawn.items()}}
        expected.append({"resourceType": "Patient", **{name: pair[1] for name, pair in drawn.items()}})
        entries.append({"fullUrl": URLS[number], "resource": sent, "request": {"method": "POST", "url": "Patient"}})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}, expected


def known_of(plan: Plan) -> dict[int, Identity]:
    return {entry.number: Identity(*place(URLS.index(entry.full_url)).split("/")) for entry in plan.entries}


@given(transactions())
def test_every_known_placeholder_is_replaced_and_nothing_else(drawn: tuple[dict[str, Any], list[Any]]) -> None:
    bundle, expected = drawn
    sent = copy.deepcopy(bundle)
    plan = plan_of(bundle)
    assert plan.faults == ()
    for entry, wanted in zip(plan.entries, expected, strict=True):
        resource, issues = rewritten(plan, entry, known_of(plan))
        assert (resource, issues) == (wanted, [])
        assert not any(link.text.partition("#")[0] in URLS for link in references_in(resource))
        assert rewritten(plan, entry, {})[0] == entry.resource, "what is not known yet stays"
    assert bundle == sent


@given(transactions())
def test_a_resource_without_placeholders_stays_as_it_is(drawn: tuple[dict[str, Any], list[Any]]) -> None:
    for resource in drawn[1]:
        plan = plan_of(
            {"resourceType": "Bundle", "type": "transaction",
             "entry": [{"resource": resource, "request": {"method": "POST", "url": "Patient"}}]}
        )  # fmt: skip
        assert rewritten(plan, plan.entries[0], {0: Identity("Patient", "x")}, {})[0] == resource


@given(transactions())
def test_ids_are_made_after_those_they_need(drawn: tuple[dict[str, Any], list[Any]]) -> None:
    plan = plan_of(drawn[0])
    needs = {number: {led.entry for led in leads} - {number} for number, leads in plan.leads.items()}
    naming = naming_of(plan)
    for position, number in enumerate(naming.order):
        assert needs[number] <= set(naming.order[:position])
    left = set(needs) - set(naming.order)
    for number in left:
        assert needs[number] & left, "who is left waits for one who is left"
    assert list(naming.circles) == circles_of(needs)
    assert len(circular(naming)) == len(naming.circles)
    assert naming_of(plan, decides=lambda entry, link: False).order == tuple(range(len(URLS)))


def circles_of(needs: Mapping[int, set[int]]) -> list[tuple[int, ...]]:
    """The circles by trying every pair: who reaches whom, and back."""
    reached = {number: set(needed) for number, needed in needs.items()}
    for middle, one in itertools.product(reached, repeat=2):
        if middle in reached[one]:
            reached[one] |= reached[middle]
    rings = {tuple(sorted(o for o in reached if o in reached[n] and n in reached[o])) for n in reached}
    return sorted(ring for ring in rings if len(ring) > 1)


def asked(methods: Sequence[str]) -> dict[str, Any]:
    entries = []
    for number, method in enumerate(methods):
        url = "Patient" if method == "POST" else f"Patient/{number}"
        one: dict[str, Any] = {"request": {"method": method, "url": url}}
        if method in ("POST", "PUT"):
            one["resource"] = {"resourceType": "Patient", "id": str(number)}
        if method == "PATCH":
            one["resource"] = {"resourceType": "Parameters"}
        entries.append(one)
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@given(st.lists(st.sampled_from(METHODS), max_size=20))
def test_the_order_is_by_method_and_stable(methods: list[str]) -> None:
    plan = plan_of(asked(methods))
    expected = sorted(range(len(methods)), key=lambda number: (RANKS[methods[number]], number))
    assert list(order_of(plan)) == list(order_of(plan, naming_of(plan).order)) == expected
    assert [rank_of(entry) for entry in plan.entries] == [RANKS[method] for method in methods]


@given(st.lists(st.sampled_from(METHODS), max_size=8), st.randoms(use_true_random=False))
def test_answers_come_in_the_order_of_the_bundle(methods: list[str], draw: Any) -> None:
    plan = plan_of(asked(methods))
    numbers = list(range(len(methods)))
    draw.shuffle(numbers)
    results = {number: Result(200, etag=f'W/"{number}"') for number in numbers}
    answer = answer_of(plan, results)
    assert answer["type"] == "transaction-response"
    said = [entry["response"]["etag"] for entry in answer.get("entry", [])]
    assert said == [f'W/"{number}"' for number in range(len(methods))]


# ---- any input

TEXTS = st.sampled_from(
    [
        "",
        "Patient",
        "POST",
        "GET",
        "transaction",
        "urn:uuid:",
        "x?y=z",
        "Patient?",
        "#",
        "$x",
        "/",
        "a" * 9000,
        "\x00",
        "Ø",
    ]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXTS | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
WHOLE = [case.bundle for case in cases()]


def check(bundle: Any) -> None:
    """Everything that can be done with a Bundle before a store is asked; whatever it is, faults are issues."""
    sent = orjson.dumps(bundle)
    try:
        plan = plan_of(bundle, bases=[BASE])
    except Refused as whole:
        issues = whole.issues
    else:
        issues = plan.faults
        known = known_at_first(plan)
        order_of(plan, naming_of(plan, known).order)
        for entry in plan.entries:
            if entry.resource is not None:
                rewritten(plan, entry, dict.fromkeys(range(len(plan.entries)), Identity("Patient", "x")))
        told = {entry.number: refused(entry) if entry.is_faulty else Result(200) for entry in plan.entries}
        orjson.dumps(answer_of(plan, told, "OperationOutcome"))
    for issue in operation_outcome(issues, "nb")["issue"]:
        assert len(issue["details"]["text"]) < 1000
        assert issue["expression"][0].startswith("Bundle")
    assert orjson.dumps(bundle) == sent


@given(JSON)
def test_any_json_is_judged(said: Any) -> None:
    check(said)
    check({"resourceType": "Bundle", "type": "batch", "entry": said})
    check({"resourceType": "Bundle", "type": "transaction", "entry": [said]})


@given(st.sampled_from(WHOLE), JSON, st.randoms(use_true_random=False))
def test_a_bundle_with_anything_in_any_place_is_judged(bundle: Any, said: Any, draw: Any) -> None:
    changed = copy.deepcopy(bundle)
    value, spots = changed, list[tuple[Any, Any]]()
    waiting = [value]
    while waiting:
        value = waiting.pop()
        steps = list(value) if isinstance(value, dict) else range(len(value))
        for step in steps:
            spots.append((value, step))
            if isinstance(value[step], dict | list):
                waiting.append(value[step])
    if spots:
        holder, step = draw.choice(spots)
        holder[step] = said
    check(changed)


@given(st.text(alphabet="<>a hrefimgsc=\"'/!-[]CDAT" + "x", max_size=60))
def test_a_narrative_without_known_links_stays(text: str) -> None:
    assert with_links(text, {"urn:uuid:1": "Patient/1"}) == text
