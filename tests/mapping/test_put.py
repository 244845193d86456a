"""FHIR → record, by example: what is taken, kept, refused, and why."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fhir_facade.contracts import Record
from fhir_facade.mapping.compare import bare, merge
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
from fhir_facade.mapping.put import Written
from fhir_facade.mapping.read_values import UNREAD, local_time

VOLVEN = "urn:oid:2.16.578.1.12.4.1.1."
STAY: Record = {
    "institusjonID": "123456785", "pasientNr": "42", "episodeID": "7", "henvisningsperiodeID": "3",
    "innDatoTid": "2025-01-02T08:30:00", "utDatoTid": "2025-01-02T09:00:00", "debitor": "1", "komNrHjem": "0301",
    "innmateHast": "4", "omsorgsniva": "3", "oppholdsdel": "Kontakt", "kontaktType": "2",
    "helsepersonell": [
        {"nr": 1, "polUtforende": "1", "rolle": "1", "hpr": "9000001"},
        {"nr": 2, "polUtforende": "7", "rolle": "2"},
    ],
}  # fmt: skip


@pytest.fixture
def stays(mapping_set: MappingSet) -> CompiledMapping:
    return mapping_set.mappings["opphold-encounter"]


def view(stays: CompiledMapping, record: Record) -> dict[str, Any]:
    resource: dict[str, Any] = copy.deepcopy(bare(stays.to_fhir(stays.kinds.complete(stays.kind, record), [])))
    return resource


def put(stays: CompiledMapping, resource: dict[str, Any], base: Record | None = None, **options: Any) -> Written:
    whole = stays.kinds.complete(stays.kind, base) if base else None
    return stays.to_record(resource, whole, **options)


def told(written: Written) -> list[tuple[str, str]]:
    return [(issue.code, issue.at) for issue in written.issues]


def test_a_changed_code_changes_its_field_and_nothing_else(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    concept = next(each for each in sent["type"] if each["coding"][0]["system"] == VOLVEN + "8432")
    concept["coding"][0]["code"] = "3"
    written = put(stays, sent, STAY)
    assert written.record is not None
    assert {name for name in STAY if written.record.get(name) != STAY[name]} == {"kontaktType"}
    assert written.record["kontaktType"] == "3"


def test_only_the_translated_code_changed_is_two_truths_and_refused(stays: CompiledMapping) -> None:
    """The translated and the original coding disagree: neither is believed."""
    sent = view(stays, STAY)
    assert [coding["code"] for coding in sent["priority"]["coding"]] == ["R", "4"]
    sent["priority"]["coding"][0]["code"] = "EM"
    for policy in ("keep", "reject", "warn"):
        written = put(stays, sent, STAY, policy=policy)
        assert written.record is None
        assert told(written) == [("element-refused", "Encounter.priority.coding[0].code")]
        assert dict(written.issues[0].facts) == {"sent": "EM", "given": "R"}


def test_a_standard_code_alone_becomes_the_choice_of_the_map(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    sent["priority"] = {"coding": [{"system": sent["priority"]["coding"][0]["system"], "code": "UR"}]}
    written = put(stays, sent)
    assert written.record is not None and written.record["innmateHast"] == "2"
    assert ("Encounter.priority.coding[1]", "added") in [(each.path, each.status) for each in written.elements]


def test_a_code_that_leads_nowhere_is_refused_with_those_that_do(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    sent["class"]["code"] = "VR"
    sent["type"] = [each for each in sent["type"] if each["coding"][0]["system"] != VOLVEN + "8406"]
    written = put(stays, sent)
    assert written.record is None
    issue = next(issue for issue in written.issues if issue.code == "code-not-in-map")
    assert issue.at == "Encounter.class"
    assert issue.facts["code"] == "VR" and {"AMB", "IMP"} <= set(issue.facts["allowed"])
    assert issue.entry.status == 422


def test_a_missing_element_is_asked_for_by_its_path(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    del sent["period"]["start"]
    written = put(stays, sent)
    assert written.record is None
    assert ("element-needed", "Encounter.period.start") in told(written)


def test_what_no_row_takes_comes_back(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    sent["language"] = "nb"
    sent["text"] = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">Kort</div>'}
    sent["reasonCode"] = [{"text": "Hoste"}]
    sent["identifier"].insert(0, {"system": "http://example.org/annet", "value": "A-1"})
    sent["subject"]["display"] = "En pasient"
    sent["period"]["_start"] = {"extension": [{"url": "http://example.org/omtrent", "valueBoolean": True}]}
    sent["participant"][1]["period"] = {"start": "2025-01-02"}
    written = put(stays, sent, STAY)
    assert written.record is not None
    assert {code for code, _ in told(written)} == {"element-kept"}
    assert ("element-kept", "Encounter.participant[1].period") in told(written)
    again, orphans = merge(view(stays, written.record), written.remainder or {})
    assert (again, orphans) == (sent, 0)


def test_a_remainder_without_its_place_is_counted_and_not_put_elsewhere(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    sent["participant"][1]["period"] = {"start": "2025-01-02"}
    written = put(stays, sent, STAY)
    changed = {**STAY, "helsepersonell": [STAY["helsepersonell"][0]]}
    again, orphans = merge(view(stays, changed), written.remainder or {})
    assert orphans == 1
    assert again == view(stays, changed)


def test_items_keep_their_own_when_one_is_taken_away(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    del sent["participant"][0]
    written = put(stays, sent, STAY)
    assert written.record is not None
    assert written.record["helsepersonell"] == [{"nr": 1, "polUtforende": "7", "rolle": "2"}]


def test_other_accepted_uris_and_our_own_base_are_the_same(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    sent["participant"][0]["individual"]["identifier"]["system"] = "http://hl7.no/fhir/NamingSystem/HPR"
    written = put(stays, sent, STAY)
    assert written.record is not None and written.remainder is None
    assert written.record["helsepersonell"][0]["hpr"] == "9000001"


def test_an_instant_is_the_same_in_any_offset(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    sent["period"]["start"] = "2025-01-02T07:30:00Z"
    written = put(stays, sent)
    assert written.record is not None and written.remainder is None
    assert written.record["innDatoTid"] == "2025-01-02T08:30:00"


@pytest.mark.parametrize(
    ("sent", "local"),
    [
        ("2025-01-02T07:30:00Z", "2025-01-02T08:30:00"),
        ("2025-07-02T07:30:00+02:00", "2025-07-02T07:30:00"),
        ("2025-07-02T07:30:00.250+05:30", "2025-07-02T04:00:00.250"),
        ("2025-10-26T02:30:00+02:00", "2025-10-26T02:30:00"),
        ("2025-10-26T02:30:00+01:00", "2025-10-26T02:30:00+01:00"),
        ("2025-10-26T01:30:00Z", "2025-10-26T02:30:00+01:00"),
        ("2025-10-26T03:30:00+01:00", "2025-10-26T03:30:00"),
    ],
)
def test_times_become_norwegian_and_the_doubled_hour_keeps_its_offset(sent: str, local: str) -> None:
    assert local_time(sent) == local


@pytest.mark.parametrize("sent", ["2025-01-02", "2025-02-30T08:00:00Z", "2025-01-02T25:00:00Z", "i går", 7, None])
def test_what_is_no_full_time_is_not_read(sent: Any) -> None:
    assert local_time(sent) is UNREAD


def test_an_element_that_the_record_adds_is_told(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    del sent["status"]
    written = put(stays, sent, STAY)
    assert written.record is not None
    assert [each.path for each in written.elements if each.status == "added"] == ["Encounter.status"]


def test_a_status_that_the_record_does_not_bear_out_is_refused(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    sent["status"] = "cancelled"
    written = put(stays, sent, STAY)
    assert told(written) == [("element-refused", "Encounter.status")]


def test_another_id_is_not_moved_to(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    sent["id"] = "123456785.42.8"
    written = put(stays, sent, STAY)
    assert written.record is None
    assert ("element-refused", "Encounter.id") in told(written)


def test_no_person_number_stands_in_what_is_told(stays: CompiledMapping) -> None:
    sent = view(stays, STAY)
    sent["status"] = "13897512345"
    sent["class"]["code"] = "138975 12345"
    said = " ".join(map(str, put(stays, sent, STAY).issues))
    assert "12345" not in said


def test_a_long_key_is_found_behind_its_hash(stays: CompiledMapping) -> None:
    long = {**STAY, "episodeID": "å" * 60}
    sent = view(stays, long)
    assert sent["id"].startswith("x")
    key = {name: long[name] for name in ("institusjonID", "pasientNr", "episodeID")}
    written = put(stays, sent, resolve=lambda kind, _: key if kind == "opphold" else None)
    assert written.record is not None and written.record["episodeID"] == "å" * 60
    assert put(stays, sent, long).record is not None


def test_two_items_of_one_key_are_refused_before_a_store_sees_them(stays: CompiledMapping) -> None:
    record = {**STAY, "tjenester": [{"tjenesteNr": 1, "startDatoTid": "2025-01-02T08:30:00"}]}
    sent = view(stays, record)
    extensions = sent["extension"]
    extensions.append(copy.deepcopy(next(each for each in extensions if each["url"].endswith("/tjeneste"))))
    for base in (None, record):
        written = put(stays, sent, base)
        assert written.record is None
        assert told(written) == [("list-item-repeated", "Encounter.extension")]
