"""What the facade makes of synthetic records keeps to the profiles that it declares."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fhir_facade.mapping.ir import declared_profiles
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into
from tests.profile.test_report import validator

PATIENTS, SEED = 40, 20261123
WITHOUT = {"enhet-location": "neither we nor no-basis have a profile of Location"}


@pytest.fixture(scope="module")
def mapping_set() -> MappingSet:
    return load_mapping_set(data_root("mappings"))


def test_every_mapping_declares_a_profile_or_has_a_reason(mapping_set: MappingSet) -> None:
    silent = {name for name, each in mapping_set.mappings.items() if not each.rules.profile}
    assert silent == set(WITHOUT)
    types = {mapping_set.mappings[name].resource_type for name in silent}
    assert [entry.url for entry in validator().packages.all() if entry.type in types] == []


def test_every_synthetic_resource_keeps_to_the_profiles_that_it_declares(
    tmp_path: Path, mapping_set: MappingSet
) -> None:
    store = SqliteStore.open(tmp_path / "s.db", mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, PATIENTS, SEED, "2026-11-23T00:00:00.000Z", lambda done: None)
    wrong, types, declared = [], set(), Counter[str]()
    for mapping in mapping_set.mappings.values():
        for record in store.scan(mapping.kind.name):
            resource = mapping.to_fhir(record, [])
            profiles = resource["meta"].get("profile", [])
            assert profiles[:1] == ([mapping.rules.profile] if mapping.rules.profile else [])
            declared.update(profiles)
            types.add(resource["resourceType"])
            for issue in validator().validate(resource).issues:
                unknown = issue.rule is not None and issue.rule.key == "profile-unknown"
                wrong += [str(issue)] if issue.is_error or unknown else []
    store.close()
    assert wrong == []
    assert declared.total() > 600
    assert len(types) > 12
    # no profile is declared in vain: the narrower ones too are those of some record
    known = {url for mapping in mapping_set.mappings.values() for _, url in declared_profiles(mapping.rules.rules)}
    assert set(declared) == known
