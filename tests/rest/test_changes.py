"""Create, update, patch and delete over HTTP: conditions, versions, preferences, faults; on both stores."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services, Writing
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import Store
from fhir_facade.store.synthetic import load_into
from tests.rest.test_surface import PERSON

BASE = "http://facade.test/fhir"
NOW = "2026-01-01T10:00:00.000Z"
JSON = {"Content-Type": "application/fhir+json"}
PATCH = {"Content-Type": "application/json-patch+json"}

Send = Callable[..., httpx.Response]


@pytest.fixture(scope="module")
def loaded(new_place: Callable[[], Location], mapping_set: MappingSet) -> Location:
    """A place with ten patients, to be copied and not to be written to."""
    place = new_place()
    opened = open_store(place, mapping_set.kinds, mapping_set.search.columns)
    load_into(opened, mapping_set.kinds, 10, 1, NOW)
    opened.close()
    return place


@pytest.fixture
def store(loaded: Location, mapping_set: MappingSet, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A copy of what is loaded, to be written to."""
    if loaded.is_server:
        copy = Location(request.getfixturevalue("postgres").copied(loaded.text))
    else:
        copy = Location(str(shutil.copy(loaded.text, tmp_path / "copy.db")))
    opened = open_store(copy, mapping_set.kinds, mapping_set.search.columns)
    yield opened
    opened.close()


@pytest.fixture
def settings() -> dict[str, Any]:
    return {}


@pytest.fixture
def send(store: Store, mapping_set: MappingSet, settings: dict[str, Any], ask_app: Callable[[Any], Send]) -> Send:
    writing = Writing(store, **settings)
    lane = FhirLane(Services(mapping_set, store, BASE, PageTokens(b"secret"), "1", writing=writing))
    ask = ask_app(lane)

    def sender(method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        given = {**JSON, **{name.replace("_", "-"): value for name, value in headers.items()}}
        content = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        return ask(method, f"/fhir/{path}", content=content, headers=given)

    return sender


def first(send: Send, search: str) -> dict[str, Any]:
    found: dict[str, Any] = send("GET", search).json()["entry"][0]["resource"]
    return found


def code_of(answer: httpx.Response) -> str:
    code: str = answer.json()["issue"][0]["details"]["coding"][0]["code"]
    return code


@pytest.fixture
def plan(send: Send) -> dict[str, Any]:
    """A care plan, to which nothing refers."""
    return first(send, "CarePlan?_count=1")


def without(resource: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in ("meta", *names)}


def another(plan: dict[str, Any], number: str) -> dict[str, Any]:
    """A new care plan of the same patient."""
    own = plan["id"].rsplit(".", 1)[1]
    made: dict[str, Any] = json.loads(json.dumps(without(plan, "id")).replace(f'"{own}"', f'"{number}"'))
    return made


# ---- create


def test_a_new_resource_has_a_place_a_version_and_its_form(send: Send, plan: dict[str, Any]) -> None:
    sent = {"id": "is-not-heeded", **another(plan, "NY1")}
    answer = send("POST", "CarePlan", sent)
    assert answer.status_code == 201
    made = answer.json()
    assert made["id"].endswith(".NY1")
    assert without(made, "id") == without(sent, "id")
    version = made["meta"]["versionId"]
    assert answer.headers["etag"] == f'W/"{version}"'
    assert answer.headers["location"] == f"{BASE}/CarePlan/{made['id']}/_history/{version}"
    assert send("GET", answer.headers["location"].removeprefix(f"{BASE}/")).json() == made
    assert send("GET", f"CarePlan?_id={made['id']}").json()["entry"][0]["resource"] == made


def test_a_resource_that_is_there_is_not_created_once_more(send: Send, plan: dict[str, Any], store: Store) -> None:
    before = store.digest(history=True)
    answer = send("POST", "CarePlan", plan)
    assert (answer.status_code, code_of(answer)) == (409, "resource-exists-already")
    assert store.digest(history=True) == before


def test_a_conditional_create_finds_makes_and_refuses(send: Send, plan: dict[str, Any], store: Store) -> None:
    patient = plan["subject"]["reference"]
    system = plan["identifier"][0]["system"]
    condition = f"identifier={system}|NY1"
    made = send("POST", "CarePlan", another(plan, "NY1"), If_None_Exist=condition)
    again = send("POST", "CarePlan", another(plan, "NY1"), If_None_Exist=condition)
    assert (made.status_code, again.status_code) == (201, 200)
    assert again.json() == made.json()
    assert "location" not in again.headers
    before = store.digest(history=True)
    several = send("POST", "CarePlan", another(plan, "NY2"), If_None_Exist=f"subject={patient}")
    assert (several.status_code, code_of(several)) == (412, "condition-matches-several")
    empty = send("POST", "CarePlan", another(plan, "NY2"), If_None_Exist="")
    assert (empty.status_code, code_of(empty)) == (400, "condition-empty")
    wrong = send("POST", "CarePlan", another(plan, "NY2"), If_None_Exist="identifer=x")
    assert (wrong.status_code, code_of(wrong)) == (400, "search-parameter-unknown")
    shaped = send("POST", "CarePlan", another(plan, "NY2"), If_None_Exist="_count=1")
    assert (shaped.status_code, code_of(shaped)) == (400, "condition-not-search")
    assert store.digest(history=True) == before


def test_a_number_that_nobody_sent_is_given(send: Send) -> None:
    consent = first(send, "Consent?_count=1")
    numbers = [send("POST", "Consent", without(consent, "id")).json()["id"].rsplit(".", 1)[1] for _ in range(3)]
    start = int(numbers[0])
    assert numbers == [str(start), str(start + 1), str(start + 2)]
    assert send("DELETE", f"Consent/{consent['id'].rsplit('.', 1)[0]}.{numbers[-1]}").status_code == 204
    assert send("POST", "Consent", without(consent, "id")).json()["id"].endswith(f".{start + 3}")


# ---- update


def test_an_update_makes_a_version_and_the_same_again_does_not(send: Send, plan: dict[str, Any]) -> None:
    path, changed = f"CarePlan/{plan['id']}", {**plan, "note": [{"text": "Ærlig"}]}
    answer = send("PUT", path, changed)
    assert (answer.status_code, answer.headers["etag"][:4]) == (200, 'W/"2')
    assert without(answer.json()) == without(changed)
    assert send("PUT", path, changed).headers["etag"] == answer.headers["etag"]
    assert send("GET", path).json() == answer.json()


def test_if_match_lets_one_of_two_win(send: Send, plan: dict[str, Any]) -> None:
    path = f"CarePlan/{plan['id']}"
    tag = send("GET", path).headers["etag"]
    assert send("PUT", path, {**plan, "note": [{"text": "1"}]}, If_Match=tag).status_code == 200
    lost = send("PUT", path, {**plan, "note": [{"text": "2"}]}, If_Match=tag)
    assert (lost.status_code, code_of(lost)) == (412, "version-differs")
    assert send("DELETE", path, If_Match=tag).status_code == 412
    patch = [{"op": "remove", "path": "/note"}]
    assert send("PATCH", path, patch, **{**PATCH, "If-Match": tag}).status_code == 412
    assert send("GET", path).json()["note"] == [{"text": "1"}]
    bare = send("GET", path).json()["meta"]["versionId"]
    assert send("PUT", path, plan, If_Match=f'"{bare}"').status_code == 200


@pytest.mark.parametrize("settings", [{"must_match": True}])
def test_where_if_match_is_needed_nothing_is_changed_without_it(send: Send, plan: dict[str, Any]) -> None:
    path = f"CarePlan/{plan['id']}"
    assert send("PUT", path, plan).status_code == send("DELETE", path).status_code == 428
    assert send("PUT", path, plan, If_Match=send("GET", path).headers["etag"]).status_code == 200
    assert send("POST", "CarePlan", another(plan, "NY1")).status_code == 201


def test_an_update_makes_what_is_not_there(send: Send, plan: dict[str, Any]) -> None:
    fresh = another(plan, "NY1")
    name = plan["id"].rsplit(".", 1)[0] + ".NY1"
    assert send("PUT", f"CarePlan/{name}", {**fresh, "id": name}, If_None_Match="*").status_code == 201
    assert send("PUT", f"CarePlan/{name}", {**fresh, "id": name}, If_None_Match="*").status_code == 412
    assert send("PUT", f"CarePlan/{name}9", {**fresh, "id": f"{name}9"}).status_code == 422  # another number inside


@pytest.mark.parametrize("settings", [{"create_on_update": False}])
def test_an_update_makes_nothing_where_that_is_off(send: Send, plan: dict[str, Any]) -> None:
    name = plan["id"].rsplit(".", 1)[0] + ".NY1"
    answer = send("PUT", f"CarePlan/{name}", {**another(plan, "NY1"), "id": name})
    assert (answer.status_code, code_of(answer)) == (405, "create-on-update-off")
    assert send("GET", f"CarePlan/{name}").status_code == 404


def test_an_update_has_the_id_of_its_path(send: Send, plan: dict[str, Any]) -> None:
    path = f"CarePlan/{plan['id']}"
    assert code_of(send("PUT", path, without(plan, "id"))) == "id-missing"
    assert code_of(send("PUT", path, {**plan, "id": "x"})) == "id-differs"
    assert code_of(send("PUT", path, {"resourceType": "Patient", "id": plan["id"]})) == "resource-of-other-type"


def test_a_conditional_update_finds_makes_and_refuses(send: Send, plan: dict[str, Any]) -> None:
    system = plan["identifier"][0]["system"]
    found = send("PUT", f"CarePlan?identifier={system}|{plan['id'].rsplit('.', 1)[1]}", without(plan, "id"))
    assert (found.status_code, found.json()["id"]) == (200, plan["id"])
    made = send("PUT", f"CarePlan?identifier={system}|NY1", another(plan, "NY1"))
    assert made.status_code == 201
    several = send("PUT", f"CarePlan?subject={plan['subject']['reference']}", without(plan, "id"))
    assert several.status_code == 412
    other = send("PUT", f"CarePlan?identifier={system}|NY1", plan)
    assert (other.status_code, code_of(other)) == (400, "id-not-of-condition")
    assert code_of(send("PUT", "CarePlan", plan)) == "condition-empty"


# ---- patch


def test_a_patch_changes_what_it_names(send: Send, plan: dict[str, Any]) -> None:
    path = f"CarePlan/{plan['id']}"
    send("PUT", path, {**plan, "note": [{"text": "a"}]})
    operations = [{"op": "add", "path": "/note/-", "value": {"text": "b"}}]
    answer = send("PATCH", path, operations, **PATCH)
    assert [each["text"] for each in answer.json()["note"]] == ["a", "b"]
    merge = send("PATCH", path, {"note": None}, **{"Content-Type": "application/merge-patch+json"})
    assert "note" not in merge.json()
    part = [
        {"name": "type", "valueCode": "add"},
        {"name": "path", "valueString": "CarePlan"},
        {"name": "name", "valueString": "note"},
        {"name": "value", "valueAnnotation": {"text": "c"}},
    ]
    parameters = {"resourceType": "Parameters", "parameter": [{"name": "operation", "part": part}]}
    assert send("PATCH", path, parameters).json()["note"] == [{"text": "c"}]
    assert send("GET", path).headers["etag"].startswith('W/"5-')


def test_a_patch_that_cannot_be_done_changes_nothing(send: Send, plan: dict[str, Any], store: Store) -> None:
    path, before = f"CarePlan/{plan['id']}", store.digest(history=True)
    for body, status in (
        ([{"op": "test", "path": "/status", "value": "x"}], 422),
        ([{"op": "replace", "path": "/id", "value": "x"}], 422),
        ([{"op": "replace", "path": "/status", "value": "no-status"}], 422),
        ([{"op": "remove", "path": "/status"}], 422),
        ({"op": "remove"}, 400),
        (b"[", 400),
    ):
        assert send("PATCH", path, body, **PATCH).status_code == status, body
    assert send("PATCH", path, [], **{"Content-Type": "text/plain"}).status_code == 415
    assert send("PATCH", f"{path}9", [], **PATCH).status_code == 404
    assert store.digest(history=True) == before


# ---- delete


def test_what_is_deleted_is_gone_and_its_history_stays(send: Send, plan: dict[str, Any]) -> None:
    path = f"CarePlan/{plan['id']}"
    answer = send("DELETE", path)
    assert (answer.status_code, answer.content, answer.headers["etag"][:4]) == (204, b"", 'W/"2')
    gone = send("GET", path)
    assert (gone.status_code, code_of(gone)) == (410, "resource-deleted")
    assert send("DELETE", path).status_code == 204
    assert send("GET", f"CarePlan?_id={plan['id']}").json().get("entry") is None
    assert send("PATCH", path, [], **PATCH).status_code == 410
    history = send("GET", f"{path}/_history").json()["entry"]
    assert [each["request"]["method"] for each in history] == ["DELETE", "POST"]
    assert history[1]["resource"] == plan
    tags = [each["response"]["etag"][3:-1] for each in history]
    assert [send("GET", f"{path}/_history/{tag}").status_code for tag in tags] == [410, 200]
    assert send("PUT", path, plan).status_code == 201
    assert send("GET", path).headers["etag"].startswith('W/"3')


def test_a_deletion_takes_others_with_it_only_when_asked(send: Send, store: Store) -> None:
    condition = next(
        each["resource"]
        for each in send("GET", "Condition?_count=100").json()["entry"]
        if each["resource"].get("encounter")
    )
    stay = condition["encounter"]["reference"]
    before = store.digest(history=True)
    kept = send("DELETE", stay)
    assert (kept.status_code, code_of(kept)) == (409, "record-contains")
    assert store.digest(history=True) == before
    done = send("DELETE", stay, X_Cascade="delete")
    assert done.status_code == 200
    assert {code_of(done)} == {"deleted-with"}
    assert send("GET", stay).status_code == send("GET", f"Condition/{condition['id']}").status_code == 410


def test_what_is_referred_to_is_not_deleted(send: Send, store: Store) -> None:
    before = store.digest(history=True)
    place = first(send, "Encounter?_count=1")["serviceProvider"]["reference"]
    answer = send("DELETE", place, X_Cascade="delete")
    assert (answer.status_code, code_of(answer)) == (409, "record-in-use")
    assert store.digest(history=True) == before


def test_a_conditional_deletion_takes_one(send: Send, plan: dict[str, Any]) -> None:
    system, number = plan["identifier"][0]["system"], plan["id"].rsplit(".", 1)[1]
    assert send("DELETE", "CarePlan").status_code == 400
    assert send("DELETE", f"CarePlan?identifier={system}|none").status_code == 204
    assert send("DELETE", "Encounter?class=AMB").status_code == 412
    assert send("DELETE", f"CarePlan?identifier={system}|{number}").status_code == 204
    assert send("GET", f"CarePlan/{plan['id']}").status_code == 410


# ---- preferences, dry runs, faults


def test_the_answer_is_what_is_preferred(send: Send, plan: dict[str, Any]) -> None:
    path = f"CarePlan/{plan['id']}"
    minimal = send("PUT", path, plan, Prefer="return=minimal")
    assert (minimal.status_code, minimal.content) == (200, b"")
    assert minimal.headers["etag"]
    report = send("PUT", path, {**plan, "language": "nb"}, Prefer='return="OperationOutcome"')
    assert code_of(report) == "element-kept"
    assert report.json()["issue"][0]["expression"] == ["CarePlan.language"]
    assert send("PUT", path, plan, Prefer="return=representation").json()["id"] == plan["id"]
    unknown = send("PUT", path, plan, Prefer="return=all")
    assert (unknown.status_code, code_of(unknown)) == (400, "header-invalid")


def test_strict_handling_refuses_what_no_row_takes(send: Send, plan: dict[str, Any]) -> None:
    path = f"CarePlan/{plan['id']}"
    answer = send("PUT", path, {**plan, "language": "nb"}, Prefer="handling=strict")
    assert (answer.status_code, code_of(answer)) == (422, "element-not-taken")
    assert answer.json()["issue"][0]["extension"][0]["valueInteger"] == 1  # the line


@pytest.mark.parametrize("settings", [{"remainder": "warn"}])
def test_what_is_not_stored_is_told_whatever_is_preferred(send: Send, plan: dict[str, Any]) -> None:
    path, sent = f"CarePlan/{plan['id']}", {**plan, "language": "nb", "note": [{"text": "x"}]}
    for prefer in ("return=minimal", "return=representation"):
        answer = send("PUT", path, sent, Prefer=prefer)
        assert answer.status_code == 200
        told = {(each["expression"][0], each["details"]["coding"][0]["code"]) for each in answer.json()["issue"]}
        assert told >= {("CarePlan.language", "element-not-stored"), ("CarePlan.note", "element-not-stored")}


def test_a_dry_run_tells_and_changes_nothing(send: Send, plan: dict[str, Any], store: Store) -> None:
    before = store.digest(history=True)
    for method, path, body, words in (
        ("PUT", f"CarePlan/{plan['id']}", {**plan, "note": [{"text": "x"}]}, "updated"),
        ("POST", "CarePlan", another(plan, "NY1"), "created"),
        ("DELETE", f"CarePlan/{plan['id']}", None, "deleted"),
        ("PUT", f"CarePlan/{plan['id']}", plan, "left as it is"),
    ):
        answer = send(method, f"{path}?_dryrun=true", body)
        assert (answer.status_code, code_of(answer)) == (200, "dry-run-done")
        assert words in answer.json()["issue"][0]["details"]["text"]
        assert "etag" not in answer.headers and "location" not in answer.headers
    refused = send("PUT", f"CarePlan/{plan['id']}?_dryrun=true", {**plan, "status": "x"})
    assert refused.status_code == 422
    assert store.digest(history=True) == before


def test_a_profile_refuses_warns_or_more(send: Send, plan: dict[str, Any]) -> None:
    path = f"CarePlan/{plan['id']}"
    claimed = "http://fhir-facade.no/fhir/StructureDefinition/encounter"
    sent = {**plan, "meta": {"profile": ["http://example.org/unknown", claimed]}}
    assert send("PUT", path, sent, Prefer="validation=strict").status_code == 422
    assert send("PUT", path, plan, Prefer="validation=nonsense").status_code == 400


@pytest.mark.parametrize("settings", [{"profiles": {"CarePlan": ["http://hl7.org/fhir/StructureDefinition/Patient"]}}])
def test_configured_profiles_are_kept_to(send: Send, plan: dict[str, Any]) -> None:
    assert send("PUT", f"CarePlan/{plan['id']}", plan).status_code == 422


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        (b"", {}, 400, "body-needed"),
        (b"{", {}, 400, "json-not-json"),
        (b"[]", {}, 400, "json-not-json"),
        (b'{"resourceType": "CarePlan", "status": "active", "status": "draft"}', {}, 422, "json-duplicate-key"),
        (b'{"resourceType": "CarePlan"}', {"Content-Type": "text/plain"}, 415, "media-type-unsupported"),
        (b'{"resourceType": "Basic"}', {}, 400, "resource-of-other-type"),
        (b'{"resourceType": "CarePlan", "staus": "x"}', {}, 422, "element-not-r4"),
        (b'{"resourceType": "CarePlan"}', {}, 422, "element-missing"),
    ],
)
def test_what_cannot_be_read_is_told(
    send: Send, store: Store, body: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    before = store.digest(history=True)
    answer = send("POST", "CarePlan", body, **headers)
    assert (answer.status_code, code_of(answer)) == (status, code), answer.text
    assert store.digest(history=True) == before


def test_a_reference_to_nothing_is_told_where_it_stands(send: Send, plan: dict[str, Any], store: Store) -> None:
    before = store.digest(history=True)
    patient = plan["subject"]["reference"]
    text = json.dumps(another(plan, "NY1")).replace(patient, f"{patient}9")
    answer = send("POST", "CarePlan", json.loads(text))
    assert (answer.status_code, code_of(answer)) == (422, "reference-to-nothing")
    assert answer.json()["issue"][0]["expression"] == ["CarePlan.subject"]
    assert store.digest(history=True) == before


def test_no_person_number_stands_in_a_url(send: Send) -> None:
    for method in ("PUT", "PATCH", "DELETE"):
        answer = send(method, f"Patient?identifier=urn:oid:2.16.578.1.12.4.1.4.1|{PERSON}", {"resourceType": "Patient"})
        assert (answer.status_code, code_of(answer)) == (400, "person-number-in-url")
        assert PERSON not in answer.text


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_a_change_is_not_answered_in_lines(send: Send, store: Store, method: str) -> None:
    patient = first(send, "Patient")
    path = "Patient" if method == "POST" else f"Patient/{patient['id']}"
    before = store.digest()
    answer = send(method, f"{path}?_format=ndjson", patient)
    assert (answer.status_code, code_of(answer)) == (406, "format-not-acceptable")
    assert store.digest() == before
