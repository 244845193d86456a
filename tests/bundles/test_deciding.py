"""Which references make an id, by the shipped mappings: circles that are none are cut, and the order is enough."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from fhir_facade.bundles.deciding import decided_by
from fhir_facade.bundles.order import naming_of
from fhir_facade.bundles.plan import plan_of
from fhir_facade.bundles.rewriting import Identity, rewritten
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.store.records import SqliteStore
from fhir_facade.writing_back import mapping_for, write_back
from tests.bundles.case_files import id_of, resource, written_out

NAMES = {"patient": "~u1", "episode": "~u2", "referral": "~u3", "encounter": "~u4", "condition": "~u5"}
NOW = "2026-01-01T00:00:00.000Z"


def transaction(*names: str) -> dict[str, Any]:
    """Creates of resources that refer to each other by urn:uuid wherever they can."""
    places = {f"{resource(f'{name} 1')['resourceType']}/{id_of(name, '1')}": NAMES[name] for name in NAMES}

    def pointed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: pointed(each) for key, each in value.items()}
        if isinstance(value, list):
            return [pointed(each) for each in value]
        return written_out(places.get(value, value)) if isinstance(value, str) else value

    entries = []
    for name in names:
        sent = pointed(resource(f"{name} 1"))
        if name == "encounter":
            sent["diagnosis"] = [{"condition": {"reference": written_out("~u5")}}]
        request = {"method": "POST", "url": sent["resourceType"]}
        entries.append({"fullUrl": written_out(NAMES[name]), "resource": sent, "request": request})
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def test_a_stay_and_its_condition_are_no_circle(mapping_set: MappingSet) -> None:
    plan = plan_of(transaction("condition", "encounter", "referral", "episode", "patient"))
    assert naming_of(plan).circles == ((0, 1),)
    naming = naming_of(plan, decides=decided_by(mapping_set))
    assert (naming.order, naming.circles) == ((4, 3, 1, 0, 2), ())


@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        ("encounter", ".subject.reference", True),
        ("encounter", ".diagnosis[0].condition.reference", False),
        ("condition", ".encounter.reference", True),
        ("referral", ".extension[3].valueReference.reference", True),
    ],
)
def test_a_reference_decides_when_it_fills_the_key(mapping_set: MappingSet, name: str, at: str, expected: bool) -> None:
    plan = plan_of(transaction(name, *(each for each in NAMES if each != name)))
    (link,) = [led.link for led in plan.leads[0] if led.link.at == at]
    decides = decided_by(mapping_set)
    assert decides(plan.entries[0], link) is expected
    if name == "referral":
        changed = copy.deepcopy(plan.entries[0])
        assert changed.resource is not None
        changed.resource["extension"][3]["url"] = "http://example.test/other"
        assert not decides(changed, link)


@pytest.mark.parametrize(
    "names", [tuple(NAMES), tuple(NAMES)[::-1], ("condition", "patient", "encounter", "referral", "episode")]
)
def test_in_that_order_every_id_can_be_made_and_stored(
    mapping_set: MappingSet, names: tuple[str, ...], tmp_path: Path
) -> None:
    """Each resource is written with what is known when its turn comes: the ids come out as the case files say."""
    plan = plan_of(transaction(*names))
    known: dict[int, Identity] = {}
    store = SqliteStore.open(tmp_path / "records.db", mapping_set.kinds, mapping_set.search.columns)
    for number in naming_of(plan, decides=decided_by(mapping_set)).order:
        sent, issues = rewritten(plan, plan.entries[number], known)
        sent.pop("diagnosis", None)  # the Condition is stored later
        assert issues == []
        written = write_back(store, mapping_set, sent, NOW)
        assert written.record is not None, written.issues
        mapping = mapping_for(mapping_set, sent)
        id = "-".join(filter(None, (mapping.id_prefix, written.record["$key"])))
        known[number] = Identity(sent["resourceType"], id)
    store.close()
    assert {number: identity.id for number, identity in known.items()} == {
        number: id_of(name, "1") for number, name in enumerate(names)
    }
