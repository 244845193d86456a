"""What the facade makes of synthetic records keeps to the profile of its kind."""

from __future__ import annotations

from pathlib import Path

from fhir_facade.mapping.mapping_set import load_mapping_set
from fhir_facade.resources import data_root
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into
from tests.profile.test_report import NO_BASIS, OURS, PROFILES, validator

PATIENTS, SEED = 40, 20261123


def test_every_synthetic_resource_is_valid(tmp_path: Path) -> None:
    mapping_set = load_mapping_set(data_root("mappings"))
    store = SqliteStore.open(tmp_path / "s.db", mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, PATIENTS, SEED, "2026-11-23T00:00:00.000Z", lambda done: None)
    judged, wrong, types = 0, [], set()
    for mapping in mapping_set.mappings.values():
        rules = mapping.rules
        basis = NO_BASIS.get(f"{rules.kind}.{rules.resource_type.lower()}")
        profile = f"http://hl7.no/fhir/StructureDefinition/no-basis-{basis}" if basis else ""
        profile = profile or (OURS + PROFILES[rules.kind] if rules.kind in PROFILES else "")
        for record in store.scan(rules.kind):
            resource = mapping.to_fhir(record, [])
            report = validator().validate(resource, [profile] if profile else [])
            judged += 1
            types.add(resource["resourceType"])
            wrong += [str(issue) for issue in report.issues if issue.is_error]
    store.close()
    assert judged > 600
    assert len(types) > 12
    assert wrong == []
