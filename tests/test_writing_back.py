"""Writing back: into a real store and out again over HTTP; what was kept comes back, what was refused left no trace."""

from __future__ import annotations

import copy
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from typer.testing import CliRunner

from fhir_facade.cli import app as command_line
from fhir_facade.contracts import Record
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.mapping.structure import structure_faults
from fhir_facade.rest.paging import PageTokens
from fhir_facade.rest.services import Services
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into
from fhir_facade.writing_back import write_back
from tests.laws.edits import bare, canonical, edited, leaf_counts

Ask = Callable[..., httpx.Response]
NOW = "2026-02-01T00:00:00.000Z"
SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(2**32)


@pytest.fixture
def database(tmp_path: Path, mapping_set: MappingSet) -> Path:
    path = tmp_path / "records.db"
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, 25, 3, "2026-01-01T00:00:00.000Z", lambda done: None)
    store.close()
    return path


@pytest.fixture
def store(database: Path, mapping_set: MappingSet) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(database, mapping_set.kinds, mapping_set.search.columns)
    yield opened
    opened.close()


@pytest.fixture
def get(database: Path, mapping_set: MappingSet, ask_app: Callable[[Any], Ask]) -> Ask:
    opened = SqliteStore.open(database, mapping_set.kinds, mapping_set.search.columns, read_only=True)
    return ask_app(FhirLane(Services(mapping_set, opened, "http://facade.test/fhir", PageTokens(b"secret"), "1")))


def first(get: Ask, search: str) -> dict[str, Any]:
    found: dict[str, Any] = get("GET", f"/fhir/{search}").json()["entry"][0]["resource"]
    return found


def test_what_is_written_is_what_is_read(get: Ask, store: SqliteStore, mapping_set: MappingSet) -> None:
    stay = first(get, "Encounter?class=AMB")
    before = get("GET", f"/fhir/Encounter/{stay['id']}")
    sent = copy.deepcopy(stay)
    sent["serviceType"]["coding"][0] |= {"code": "020", "display": "x"}
    sent["language"] = "nb"
    sent["participant"][0]["period"] = {"start": "2025-01-01"}
    written = write_back(store, mapping_set, sent, NOW)
    assert [(issue.code, issue.at) for issue in written.issues] == [
        ("element-kept", "Encounter.participant[0].period"),
        ("element-kept", "Encounter.language"),
    ]
    after = get("GET", f"/fhir/Encounter/{stay['id']}")
    assert canonical(bare(after.json())) == canonical(bare(sent))
    assert after.headers["etag"] != before.headers["etag"]
    assert after.json()["meta"]["lastUpdated"] == NOW
    found = get("GET", f"/fhir/Encounter?_id={stay['id']}").json()["entry"][0]["resource"]
    assert found == after.json()
    lineage = get("GET", f"/fhir/Encounter/{stay['id']}/$lineage?path=Encounter.language").json()
    assert "remainder" in json.dumps(lineage)


def test_a_refused_resource_changes_nothing(get: Ask, store: SqliteStore, mapping_set: MappingSet) -> None:
    digest = store.digest()
    stay = first(get, "Encounter?class=AMB")
    for fault in (
        {"status": "cancelled"},
        {"period": {"end": "2025"}},
        {"staus": "x"},
        {"type": {}},
        {"id": "finnes-ikke"},
    ):
        written = write_back(store, mapping_set, {**stay, **fault}, NOW)
        assert written.record is None
        assert all(issue.at for issue in written.issues)
        assert any(issue.entry.severity == "error" for issue in written.issues)
    assert write_back(store, mapping_set, {**stay, "language": "nb"}, NOW, policy="reject").record is None
    assert write_back(store, mapping_set, {**stay, "language": "nb"}, NOW, dry_run=True).record is not None
    assert store.digest() == digest


def test_a_reference_to_nobody_is_refused(get: Ask, store: SqliteStore, mapping_set: MappingSet) -> None:
    digest = store.digest()
    referral = first(get, "ServiceRequest?category=henvisning")
    name = "http://fhir-facade.no/fhir/StructureDefinition/henvisningsperiode"
    sent = copy.deepcopy(referral)
    del sent["id"]
    for extension in sent["extension"]:
        if extension["url"] == name:
            extension["valueReference"]["reference"] += "9"
    written = write_back(store, mapping_set, sent, NOW)
    assert written.record is None
    assert store.digest() == digest


def test_an_element_that_was_kept_goes_when_it_is_not_sent(
    get: Ask, store: SqliteStore, mapping_set: MappingSet
) -> None:
    patient = first(get, "Patient")
    write_back(store, mapping_set, {**patient, "language": "nb"}, NOW)
    assert first(get, f"Patient?_id={patient['id']}")["language"] == "nb"
    write_back(store, mapping_set, patient, NOW)
    assert "language" not in get("GET", f"/fhir/Patient/{patient['id']}").json()


def test_what_lost_its_place_is_told_on_read(get: Ask, store: SqliteStore, mapping_set: MappingSet) -> None:
    stay = next(
        entry["resource"]
        for entry in get("GET", "/fhir/Encounter?class=AMB").json()["entry"]
        if entry["resource"].get("participant")
    )
    stay["participant"][0]["period"] = {"start": "2025-01-01"}
    assert write_back(store, mapping_set, stay, NOW).record is not None
    kind = mapping_set.kinds["opphold"]
    record = store.get("opphold", stay["id"])
    assert record is not None
    with store.transaction() as writer:  # the EPJ changes underneath
        writer.merge(kind, [mapping_set.kinds.complete(kind, {**record, "helsepersonell": []})], NOW)
    answer = get("GET", f"/fhir/Encounter/{stay['id']}")
    assert "participant" not in answer.json()
    assert answer.headers["x-fhir-issues"] == "1"
    bundle = get("GET", f"/fhir/Encounter?_id={stay['id']}").json()
    assert "remainder-without-place" in json.dumps(bundle["entry"][-1])


def test_a_new_resource_makes_a_new_record(get: Ask, store: SqliteStore, mapping_set: MappingSet) -> None:
    stay = first(get, "Encounter?class=AMB")
    sent = json.loads(json.dumps(stay).replace(stay["id"].rsplit(".", 1)[1], "NY1"))
    sent = {name: value for name, value in sent.items() if name not in ("id", "meta", "diagnosis")}
    sent["identifier"] = [each for each in sent["identifier"] if "guid" not in each["system"]]
    written = write_back(store, mapping_set, sent, NOW)
    assert written.record is not None, [str(issue) for issue in written.issues]
    made = get("GET", f"/fhir/Encounter/{written.record['$key']}").json()
    assert made["id"].endswith(".NY1")
    assert canonical({**bare(made), "id": None}) == canonical({**sent, "id": None})


def test_random_edits_go_in_and_out_of_a_store(get: Ask, store: SqliteStore, mapping_set: MappingSet) -> None:
    """What is stored is what was sent, up to the equivalence, or the answer said what differs."""
    print(f"seed {SEED}")
    draw = random.Random(SEED)
    pool = [
        entry["resource"]
        for name in mapping_set.by_type
        for entry in get("GET", f"/fhir/{name}?_count=30").json().get("entry", ())
        if entry["search"]["mode"] == "match"
    ]
    told = {"stored": 0, "added": 0, "refused": 0}
    for _ in range(300):
        one = draw.choice(pool)
        same_type = [each for each in pool if each["resourceType"] == one["resourceType"]]
        sent = edited(bare(one), draw, bare(draw.choice(same_type)))
        digest = store.digest()
        written = write_back(store, mapping_set, sent, NOW)
        if written.record is None:
            assert any(issue.entry.severity == "error" and issue.at for issue in written.issues)
            assert store.digest() == digest
            told["refused"] += 1
            continue
        prefix = one["id"].split("-")[0] + "-" if "-" in one["id"] else ""
        answer = get("GET", f"/fhir/{sent['resourceType']}/{sent.get('id', prefix + written.record['$key'])}")
        assert answer.status_code == 200
        if any(element.status == "added" for element in written.elements):
            have, want = leaf_counts(bare(answer.json())), leaf_counts(bare(sent))
            assert not {leaf for leaf in want if want[leaf] > have[leaf]}
            told["added"] += 1
        else:
            assert canonical(bare(answer.json())) == canonical(bare(sent))
            told["stored"] += 1
    print(told)
    assert all(told.values())


def run(*arguments: str, text: str = "") -> Any:
    return CliRunner().invoke(command_line, list(arguments), input=text)


def test_put_from_the_command_line(get: Ask, database: Path, tmp_path: Path) -> None:
    patient = first(get, "Patient")
    file = tmp_path / "patient.json"
    file.write_bytes(orjson.dumps({**patient, "language": "nb"}))
    done = run("put", str(file), "--db", str(database))
    assert done.exit_code == 0, done.output
    assert f"Patient/{patient['id']}: stored" in done.output and "kept      Patient.language" in done.output
    assert get("GET", f"/fhir/Patient/{patient['id']}").json()["language"] == "nb"
    refused = run("put", str(file), "--db", str(database), "--policy", "reject", "--format", "json")
    assert refused.exit_code == 1
    outcome = json.loads(refused.stdout)
    assert outcome["issue"][0]["expression"] == ["Patient.language"]
    lines = "\n".join([json.dumps(patient), "{", json.dumps({"resourceType": "Basic", "code": {"text": "x"}})])
    several = run("put", "-", "--db", str(database), text=lines)
    assert several.exit_code == 1
    assert "1 stored, 2 refused" in several.output
    assert run("put", str(file), "--db", str(tmp_path / "none.db")).exit_code == 2
    assert run("put", "-", "--db", str(database), text="").exit_code == 1


@pytest.mark.parametrize(
    ("value", "at", "code"),
    [
        ([], "", "element-shape"),
        ({}, "", "element-not-r4"),
        ({"resourceType": "Pasient"}, "", "element-not-r4"),
        ({"resourceType": "Patient", "nmae": []}, "Patient", "element-not-r4"),
        ({"resourceType": "Patient", "name": {"family": "A"}}, "Patient.name", "element-shape"),
        ({"resourceType": "Patient", "name": []}, "Patient.name", "element-shape"),
        ({"resourceType": "Patient", "name": [{}]}, "Patient.name[0]", "element-shape"),
        ({"resourceType": "Patient", "active": "true"}, "Patient.active", "element-shape"),
        ({"resourceType": "Patient", "birthDate": 1980}, "Patient.birthDate", "element-shape"),
        ({"resourceType": "Patient", "birthDate": None}, "Patient.birthDate", "element-shape"),
        ({"resourceType": "Patient", "_name": {}}, "Patient", "element-not-r4"),
        ({"resourceType": "Patient", "_gender": [None]}, "Patient.gender", "element-shape"),
        ({"resourceType": "Patient", "contained": [{"resourceType": "Basc"}]}, "Patient.contained[0].resourceType", "element-not-r4"),
        ({"resourceType": "Patient", "deceased": True}, "Patient", "element-not-r4"),
        ({"resourceType": "Patient", "multipleBirthInteger": True}, "Patient.multipleBirthInteger", "element-shape"),
    ],
)  # fmt: skip
def test_a_fault_of_structure_is_told_with_its_place(value: Any, at: str, code: str) -> None:
    assert [(issue.code, issue.at) for issue in structure_faults(value)][:1] == [(code, at)]


def test_sound_structure_has_no_faults(mapping_set: MappingSet, synthetic: dict[str, list[Record]]) -> None:
    for mapping in mapping_set.mappings.values():
        for record in synthetic[mapping.kind.name][:20]:
            assert structure_faults(mapping.to_fhir(record, [])) == []
    primitives = {
        "given": ["Kari", None],
        "_given": [None, {"extension": [{"url": "http://x.no", "valueString": "y"}]}],
    }
    assert structure_faults({"resourceType": "Patient", "name": [primitives]}) == []


def test_endless_nesting_is_refused() -> None:
    deep: dict[str, Any] = {"url": "http://x.no"}
    for _ in range(500):
        deep = {"url": "http://x.no", "extension": [deep]}
    assert structure_faults({"resourceType": "Patient", "extension": [deep]})[0].code == "element-shape"
    nest: dict[str, Any] = {"resourceType": "Patient"}
    for _ in range(400):
        nest = {"resourceType": "Patient", "contained": [nest]}
    assert structure_faults(nest)[0].code == "element-shape"
