"""Everything that can be found wrong with a folder of mappings, as `fhir-facade check` tells it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fhir_facade.mapping.findings import Finding, MappingError
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.store.npr_table import load_table

MESSAGE = "npr-melding.yaml"


def findings_of(
    folder: Path, site: Path | None = None, profiles: Path | None = None
) -> tuple[list[Finding], MappingSet | None]:
    """Every finding, in file order, and the mappings; None when an error keeps them from being used."""
    found: set[Finding] = set()
    mapping_set = None
    try:
        mapping_set = load_mapping_set(folder, site, profiles)
        found |= set(mapping_set.warnings)
    except MappingError as error:
        found |= set(error.findings)
    if (folder / MESSAGE).is_file():
        try:
            load_table(folder / MESSAGE, load_kinds(folder / "records", site / "records" if site else None))
        except MappingError as error:
            found |= set(error.findings)
            mapping_set = None
    return sorted(found), mapping_set


def summary(found: Sequence[Finding]) -> str:
    """How many errors and warnings there are."""
    warnings = sum(each.severity == "warning" for each in found)
    errors = len(found) - warnings
    told = [f"{errors} finding(s)"] if errors else []
    return ", ".join(told + ([f"{warnings} warning(s)"] if warnings else [])) or "no findings"
