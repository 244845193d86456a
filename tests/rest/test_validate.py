"""$validate over HTTP: what is judged, what is refused, and that no body of a client is a fault of ours."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import orjson
import pytest

from fhir_facade.json_text import DEEPEST
from fhir_facade.rest.surface import FhirLane
from fhir_facade.rest.validation import MOST_LINES
from fhir_facade.terminology.identity import is_national_identity_number

Ask = Callable[..., httpx.Response]
AskApp = Callable[[Any], Ask]
JSON = {"Content-Type": "application/fhir+json"}
LINES = {"Content-Type": "application/fhir+ndjson"}
NARRATIVE = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'}
PATIENT = {"resourceType": "Patient", "id": "p1", "gender": "female", "text": NARRATIVE}
WRONG = {"resourceType": "Patient", "id": "p1", "gender": "x", "active": True, "text": NARRATIVE}
LINE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-line"
COLUMN = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-col"
FUZZED = (200, pytest.param(2_000, marks=pytest.mark.slow))
PERSON = next(
    text for number in range(100_000) if is_national_identity_number(text := f"018190{number:05d}")
)  # 1 January 1990 with month + 80


def codes(answer: httpx.Response) -> list[str]:
    """The codes of an OperationOutcome's issues."""
    return codes_of(answer.json())


def codes_of(outcome: dict[str, Any]) -> list[str]:
    assert outcome["resourceType"] == "OperationOutcome"
    assert outcome["issue"]
    return [issue["details"]["coding"][0]["code"] for issue in outcome["issue"]]


def place(issue: dict[str, Any]) -> tuple[int, int]:
    """Line and column of an issue."""
    held = {each["url"]: each.get("valueInteger") for each in issue.get("extension", ())}
    return held[LINE], held[COLUMN]


@pytest.fixture
def judge(ask: Ask) -> Callable[..., httpx.Response]:
    """Send a body to an operation; a dict is sent as JSON."""

    def post(path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        return ask("POST", path, content=content, headers=JSON | (headers or {}))

    return post


# ---- one resource


def test_a_valid_resource_is_said_to_be_so(judge: Ask) -> None:
    for path in ("/fhir/$validate", "/fhir/Patient/$validate", "/fhir/Patient/p1/$validate"):
        answer = judge(path, PATIENT)
        assert (answer.status_code, codes(answer)) == (200, ["resource-valid"])
        assert answer.json()["issue"][0]["severity"] == "information"


def test_an_invalid_resource_is_judged_with_success_and_its_faults_have_places(judge: Ask) -> None:
    body = b'{"resourceType": "Patient",\n "active": true,\n  "gender": "x"}'
    answer = judge("/fhir/Patient/$validate", body)
    assert answer.status_code == 200
    [issue] = [each for each in answer.json()["issue"] if each["severity"] == "error"]
    assert issue["details"]["coding"][0]["code"] == "code-not-in-binding"
    assert issue["expression"] == ["Patient.gender"]
    assert place(issue) == (3, 3)


def test_a_resource_of_a_type_that_is_not_served_is_judged_too(judge: Ask) -> None:
    body = {"resourceType": "Basic", "code": {"text": "x"}}
    assert codes(judge("/fhir/Basic/$validate", body))[-1:] != ["type-unknown"]
    assert judge("/fhir/Basic/$validate", body).status_code == 200
    assert judge("/fhir/CodeSystem/$validate", {"resourceType": "CodeSystem"}).status_code == 200
    assert codes(judge("/fhir/Basics/$validate", body)) == ["type-unknown"]


def test_the_language_is_that_of_the_client(judge: Ask) -> None:
    answer = judge("/fhir/$validate", PATIENT, {"Accept-Language": "nb"})
    assert answer.json()["issue"][0]["details"]["text"] == "Ingen feil er funnet."
    assert answer.headers["content-language"] == "nb"


def test_the_answer_is_indented_when_asked_for(judge: Ask) -> None:
    assert b"\n  " in judge("/fhir/$validate?_pretty=true", PATIENT).content


def test_a_repeated_key_is_an_error_with_its_place(judge: Ask) -> None:
    answer = judge("/fhir/Patient/$validate", b'{"resourceType": "Patient",\n "active": true, "active": true}')
    assert answer.status_code == 200
    assert codes(answer) == ["json-duplicate-key", "constraint-warned"]
    issue = answer.json()["issue"][0]
    assert (issue["severity"], issue["expression"], place(issue)) == ("error", ["Patient.active"], (2, 18))


# ---- the request and the resource


def test_the_type_of_the_path_is_that_of_the_body(judge: Ask) -> None:
    answer = judge("/fhir/Encounter/$validate", PATIENT)
    assert (answer.status_code, codes(answer)[0]) == (200, "type-not-of-path")
    assert answer.json()["issue"][0]["severity"] == "error"


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        ("/fhir/Patient/$validate?mode=create", {"resourceType": "Patient"}, []),
        ("/fhir/Patient/$validate?mode=update", {"resourceType": "Patient"}, ["id-needed-for-update"]),
        ("/fhir/Patient/$validate?mode=update", PATIENT, []),
        ("/fhir/Patient/p1/$validate?mode=update", PATIENT, []),
        ("/fhir/Patient/p2/$validate?mode=update", PATIENT, ["id-not-of-path"]),
        ("/fhir/Patient/p2/$validate", PATIENT, ["id-not-of-path"]),
        ("/fhir/Patient/p2/$validate", {"resourceType": "Patient"}, []),
        ("/fhir/Patient/$validate?mode=delete", PATIENT, []),
        ("/fhir/Patient/$validate?mode=delete", WRONG, []),
    ],
)
def test_each_mode_has_its_rules(judge: Ask, path: str, body: dict[str, Any], expected: list[str]) -> None:
    answer = judge(path, body)
    assert answer.status_code == 200
    assert [code for code in codes(answer) if code.startswith("id-")] == expected
    assert not any(each.startswith("code-") for each in codes(answer))


def test_parameters_hold_resource_mode_and_profile(judge: Ask) -> None:
    listed: list[dict[str, Any]] = [
        {"name": "mode", "valueCode": "update"},
        {"name": "profile", "valueUri": "http://nowhere.example/p"},
        {"name": "resource", "resource": {"resourceType": "Patient", "gender": "x"}},
    ]
    answer = judge("/fhir/Patient/$validate", {"resourceType": "Parameters", "parameter": listed})
    assert answer.status_code == 200
    found = dict(zip(codes(answer), answer.json()["issue"], strict=True))
    assert {"id-needed-for-update", "profile-unknown", "code-not-in-binding"} <= found.keys()
    assert found["profile-unknown"]["severity"] == "error", "who names a profile wants it to be judged by"
    content = orjson.dumps({"resourceType": "Parameters", "parameter": listed})
    assert place(found["code-not-in-binding"]) == (1, content.index(b'"gender"') + 1)


def test_a_parameters_resource_can_itself_be_judged(judge: Ask) -> None:
    listed = [{"name": "a", "valueString": "b"}]
    itself = {"resourceType": "Parameters", "parameter": listed}
    assert codes(judge("/fhir/Parameters/$validate", itself)) == ["resource-valid"]
    assert codes(judge("/fhir/$validate", itself)) == ["body-not-parameters"]


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        ("/fhir/$validate", b"", 400, "input-missing"),
        ("/fhir/$validate", {"resourceType": "Parameters"}, 400, "input-missing"),
        ("/fhir/$validate", {"resourceType": "Parameters", "parameter": 1}, 400, "body-not-parameters"),
        ("/fhir/$validate", {"resourceType": "Parameters", "parameter": [1]}, 400, "body-not-parameters"),
        (
            "/fhir/$validate",
            {"resourceType": "Parameters", "parameter": [{"name": "resource"}]}, 400, "body-not-parameters",
        ),
        (
            "/fhir/$validate",
            {"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": []}]}, 400, "input-invalid",
        ),
        ("/fhir/$validate?mode=delete", b"", 400, "input-missing"),
        ("/fhir/$validate?mode=guess", PATIENT, 400, "input-invalid"),
        ("/fhir/$validate?mode=create&mode=update", PATIENT, 400, "parameter-repeated"),
        ("/fhir/$validate?depth=3", PATIENT, 400, "input-unknown"),
        ("/fhir/$validate", b'{"resourceType": ', 400, "json-not-json"),
        ("/fhir/$validate", b"[]", 400, "json-not-json"),
        ("/fhir/$validate", b"\xef\xbb\xbf{}", 400, "json-not-json"),
        ("/fhir/$validate", b'{"a": "\xe5"}', 400, "json-not-json"),
        ("/fhir/$validate", b'{"a":' * (DEEPEST + 1) + b"1" + b"}" * (DEEPEST + 1), 422, "json-too-deep"),
        ("/fhir/$validate", b'{"a":' * 100_000, 422, "json-too-deep"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(judge: Ask, path: str, body: Any, status: int, expected: str) -> None:
    answer = judge(path, body)
    assert (answer.status_code, codes(answer)[0]) == (status, expected)


@pytest.mark.parametrize(
    "media",
    [
        "application/fhir+xml", "text/plain", "application/x-www-form-urlencoded",
        "application/fhir+json; charset=iso-8859-1", 'application/json; charset="utf-16"',
    ],
)  # fmt: skip
def test_only_json_in_utf_8_is_read(judge: Ask, media: str) -> None:
    answer = judge("/fhir/$validate", PATIENT, {"Content-Type": media})
    assert (answer.status_code, codes(answer)) == (415, ["media-type-unsupported"])


@pytest.mark.parametrize("media", ["application/json", "text/json", "application/fhir+json;charset=UTF-8"])
def test_the_names_of_json_are_known(judge: Ask, media: str) -> None:
    assert judge("/fhir/$validate", PATIENT, {"Content-Type": media}).status_code == 200


def test_a_path_with_no_id_in_its_place_is_refused(ask: Ask) -> None:
    for made_up in ("a_b", "a" * 65, "%C3%A6"):
        for method, body in (("POST", b'{"resourceType": "Patient"}'), ("POST", b""), ("GET", b"")):
            answer = ask(method, f"/fhir/Patient/{made_up}/$validate", content=body)
            assert (answer.status_code, codes(answer)) == (400, ["id-invalid"])


def test_a_body_may_be_large_up_to_a_limit_that_is_set(lane: FhirLane, ask_app: AskApp) -> None:
    body = orjson.dumps(PATIENT | {"language": "x" * 200_000})
    lane_of_little = FhirLane(replace(lane.services, most_validated=100_000))
    answer = ask_app(lane_of_little)("POST", "/fhir/$validate", content=body, headers=JSON)
    assert (answer.status_code, codes(answer)) == (413, ["body-too-large"])
    assert ask_app(lane)("POST", "/fhir/$validate", content=body, headers=JSON).status_code == 200


# ---- what is stored


def test_what_is_served_is_judged_by_its_id(ask: Ask, ids: list[str]) -> None:
    for method in ("GET", "POST"):
        answer = ask(method, f"/fhir/Encounter/{ids[0]}/$validate")
        assert answer.status_code == 200
        assert not [each for each in answer.json()["issue"] if each["severity"] in ("error", "fatal")]
    assert ask("HEAD", f"/fhir/Encounter/{ids[0]}/$validate").content == b""


def test_what_is_served_is_judged_by_a_profile_that_is_named(ask: Ask, ids: list[str]) -> None:
    answer = ask("GET", f"/fhir/Encounter/{ids[0]}/$validate?mode=profile&profile=http://nowhere.example/p|1")
    assert codes(answer)[0] == "profile-unknown"


def test_terminology_that_is_served_is_judged_too(ask: Ask) -> None:
    first = ask("GET", "/fhir/CodeSystem?_count=1&_summary=true").json()["entry"][0]["resource"]["id"]
    assert ask("GET", f"/fhir/CodeSystem/{first}/$validate").status_code == 200


def test_delete_asks_whether_it_is_there(ask: Ask, ids: list[str]) -> None:
    assert codes(ask("GET", f"/fhir/Encounter/{ids[0]}/$validate?mode=delete")) == ["resource-exists"]
    gone = ask("POST", "/fhir/Encounter/none/$validate?mode=delete")
    assert (gone.status_code, codes(gone)) == (404, ["not-found"])


def test_other_methods_are_refused(ask: Ask) -> None:
    assert ask("GET", "/fhir/$validate").headers["allow"] == "POST"
    assert ask("PUT", "/fhir/Patient/$validate").status_code == 405


# ---- many


def test_lines_are_answered_by_lines(judge: Ask) -> None:
    body = b"\n".join(
        [orjson.dumps(PATIENT), b"", orjson.dumps(WRONG), b"{", orjson.dumps({"resourceType": "Nothing"})]
    )
    answer = judge("/fhir/$validate", body, LINES | {"Accept": "application/fhir+ndjson"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/fhir+ndjson")
    outcomes = [orjson.loads(line) for line in answer.content.splitlines()]
    assert [codes_of(each)[0] for each in outcomes] == [
        "resource-valid", "code-not-in-binding", "json-not-json", "resource-type-unknown",
    ]  # fmt: skip
    assert [place(each["issue"][0])[0] for each in outcomes[1:]] == [3, 4, 5]


def test_lines_keep_to_the_type_of_the_path(judge: Ask) -> None:
    answer = judge("/fhir/Encounter/$validate", orjson.dumps(PATIENT), LINES)
    assert codes_of(orjson.loads(answer.content))[0] == "type-not-of-path"


def test_too_many_lines_are_refused(judge: Ask) -> None:
    answer = judge("/fhir/$validate", b"{}\n" * (MOST_LINES + 1), LINES)
    assert (answer.status_code, codes(answer)) == (413, ["lines-too-many"])


def test_an_answer_to_many_wrong_lines_is_bounded(judge: Ask) -> None:
    line = orjson.dumps({"resourceType": "Patient"} | {f"wrong{number}": 1 for number in range(90)})
    answer = judge("/fhir/$validate", b"\n".join([line] * 100), LINES)
    counts = [len(orjson.loads(each)["issue"]) for each in answer.content.splitlines()]
    assert len(counts) == 100
    assert counts[0] >= 90
    assert counts[-1] == 2


def test_a_bundle_is_judged_with_its_entries(judge: Ask) -> None:
    entries = [
        {"fullUrl": f"http://a.example/Patient/p{each}", "resource": PATIENT | {"id": f"p{each}"}} for each in "12"
    ]
    entries[1]["resource"] = entries[1]["resource"] | {"gender": "x"}  # type: ignore[operator]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    answer = judge("/fhir/Bundle/$validate", orjson.dumps(bundle, option=orjson.OPT_INDENT_2))
    [issue] = [each for each in answer.json()["issue"] if each["severity"] == "error"]
    assert issue["expression"] == ["Bundle.entry[1].resource.gender"]
    assert place(issue) == (orjson.dumps(bundle, option=orjson.OPT_INDENT_2).split(b'"x"')[0].count(b"\n") + 1, 9)


# ---- hostile bodies

HOSTILE: dict[str, bytes] = {
    "wide": orjson.dumps({"resourceType": "Patient"} | {f"k{number}": number for number in range(100_000)}),
    "wide below": orjson.dumps(
        {"resourceType": "Patient", "name": [{f"k{number}": number} for number in range(100_000)]}
    ),
    "long string": orjson.dumps({"resourceType": "Patient", "id": "a" * 4_000_000}),
    "long narrative": orjson.dumps(
        {"resourceType": "Patient", "text": {"status": "generated", "div": "<div>" * 100_000}}
    ),
    "long list": orjson.dumps({"resourceType": "Patient", "name": [{}] * 200_000}),
    "same key": b'{"resourceType": "Patient"' + b', "id": "a"' * 100_000 + b"}",
    "deep": orjson.dumps({"resourceType": "Patient"})[:-1] + b', "a": ' + b"[" * 90 + b"]" * 90 + b"}",
    "deep items": b'{"resourceType": "Questionnaire", "status": "draft"' + b', "item": [{"linkId": "a"' * 48
    + b"}]" * 48 + b"}",
    "contained": orjson.dumps({"resourceType": "Patient", "contained": [{"resourceType": "Patient"}] * 2_000}),
    "long number": b'{"resourceType": "Patient", "multipleBirthInteger": ' + b"1" * 300 + b"}",
    "long key": b'{"resourceType": "Patient", "' + b"k" * 1_000_000 + b'": 1}',
    "many profiles": orjson.dumps(
        {"resourceType": "Patient", "meta": {"profile": [f"http://a.example/{number}" for number in range(20_000)]}}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bodies_are_judged_or_refused(judge: Ask, name: str) -> None:
    answer = judge("/fhir/$validate", HOSTILE[name])
    assert answer.status_code in (200, 400, 413, 422)
    assert len(answer.json()["issue"]) <= 102
    assert len(answer.content) < 1_000_000


def test_no_number_of_a_person_is_repeated(judge: Ask, ids: list[str]) -> None:
    person = PERSON
    body = {
        "resourceType": "Patient", person: 1, "gender": person, "birthDate": person, "active": person, "id": f"{person}å",
        "name": [{person: person}], "meta": {"profile": [f"http://a.example/{person}"]},
    }  # fmt: skip
    answer = judge("/fhir/$validate", body)
    assert person not in answer.text
    repeated = f'{{"resourceType": "Patient", "{person}": 1, "{person}": 2}}'.encode()
    assert person not in judge("/fhir/$validate", repeated).text
    refused = judge(f"/fhir/$validate?profile=http://a.example/{person}", PATIENT)
    assert (refused.status_code, person in refused.text) == (400, False)


def mutated(draw: random.Random, body: bytes) -> bytes:
    """A body with something changed: bytes, members, values, or pieces of it put elsewhere."""
    if draw.random() < 0.4:
        broken = bytearray(body)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(broken))
            change = draw.choice(["put", "cut", "copy"])
            if change == "put":
                broken[at] = draw.choice(b'{}[]",:\\ \x00\xff019eE-+tfn')
            elif change == "cut":
                del broken[at : at + draw.randint(1, 8)]
            else:
                broken[at:at] = broken[max(0, at - draw.randint(1, 40)) : at]
            if not broken:
                return b""
        return bytes(broken)
    tree = orjson.loads(body)
    for _ in range(draw.randint(1, 3)):
        holder: Any = tree
        while isinstance(holder, dict | list) and holder and draw.random() < 0.8:
            inner = list(holder.values()) if isinstance(holder, dict) else holder
            following = draw.choice(inner)
            if not isinstance(following, dict | list) or not following:
                break
            holder = following
        value = copy.deepcopy(draw.choice(VALUES))
        if isinstance(holder, dict):
            names = [*holder, *NAMES]
            holder[draw.choice(names)] = value
        else:
            holder[draw.randrange(len(holder)) if holder else slice(0, 0)] = value if holder else [value]
    return orjson.dumps(tree)


VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**18, "", " ", "x", "\x7f", "å" * 300, "2020-02-30", "urn:uuid:x", "#", "#a", "http://",
    [], {}, [None], [[]], [{}], {"a": None}, {"reference": "Patient/"}, {"reference": 1}, {"extension": []}, {"url": 1},
    {"coding": [{"system": 1}]}, [{"url": "http://x"}], "Patient", "<div>", {"status": "x", "div": "<!DOCTYPE a>"},
    {"resourceType": "Bundle"}, {"resourceType": None}, {"start": "2020", "end": "2019"}, "1" * 40, ["a", None, 1],
]  # fmt: skip
NAMES = [
    "resourceType", "id", "meta", "text", "contained", "extension", "modifierExtension", "_id", "_status", "status", "",
    "implicitRules", "language", "identifier", "valueString", "valueQuantity", "value", "_", "__proto__", "period", "entry",
]  # fmt: skip


@pytest.mark.parametrize("times", FUZZED)
def test_no_body_is_a_fault_of_ours(lane: FhirLane, ask_app: AskApp, ids: list[str], times: int) -> None:
    """Changed copies of what is served, as one resource and as lines, Bundle and Parameters; never a 500."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    draw, ask = random.Random(seed), ask_app(lane)
    bodies = [ask("GET", f"/fhir/Encounter/{each}").content for each in ids[:8]]
    bodies += [
        orjson.dumps(entry["resource"])
        for name in ("Patient", "Condition", "EpisodeOfCare", "ServiceRequest")
        for entry in ask("GET", f"/fhir/{name}?_count=4").json()["entry"]
    ]
    bodies.append(ask("GET", "/fhir/Encounter?_count=2").content)
    bodies += [
        orjson.dumps(
            {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": orjson.loads(each)}]}
        )
        for each in bodies[:4]
    ]
    faults = []
    for number in range(times):
        body = mutated(draw, draw.choice(bodies))
        path = draw.choice(["/fhir/$validate", "/fhir/Encounter/$validate", f"/fhir/Encounter/{ids[0]}/$validate"])
        path += draw.choice(["", "", "?mode=update", "?mode=create", "?mode=delete", "?profile=http://a.example/b"])
        headers = LINES if draw.random() < 0.1 else JSON
        answer = ask("POST", path, content=body, headers=headers)
        if answer.status_code not in (200, 400, 404, 413, 422):
            faults.append((number, answer.status_code, path, body[:2000]))
    assert faults == [], f"seed {seed}"


# ---- the operation is told of


def test_the_operation_is_in_the_statement(ask: Ask) -> None:
    rest = ask("GET", "/fhir/metadata").json()["rest"][0]
    [whole] = [each for each in rest["operation"] if each["name"] == "validate"]
    assert whole["definition"] == "http://hl7.org/fhir/OperationDefinition/Resource-validate"
    for resource in rest["resource"]:
        assert [each["name"] for each in resource["operation"]].count("validate") == 1


def test_the_log_holds_nothing_of_a_body(lane: FhirLane, ask_app: AskApp, capsys: pytest.CaptureFixture[str]) -> None:
    ask_app(lane)("POST", "/fhir/$validate", content=b'{"resourceType": "Patient", "id": "secret"', headers=JSON)
    written = capsys.readouterr()
    assert not re.search("secret|Patient", written.err + written.out)
