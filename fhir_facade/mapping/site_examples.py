"""Which examples speak for each mapping once a site's changes lie over the shipped mappings.

Shipped examples stay the judges of what a site leaves alone. A mapping that it changes, by a row, a code map or a
system, is judged by the site's own `<record>.<resource>.examples/`, which need not show every row again; where there
are none its examples are skipped, and that is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fhir_facade.mapping.differ import meaning
from fhir_facade.mapping.findings import MappingError
from fhir_facade.mapping.golden_files import examples_folder
from fhir_facade.mapping.goldens import Proof, Rewritten, accept, prove
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet, load_mapping_set


@dataclass(frozen=True, slots=True)
class Judges:
    """The folders whose examples judge a mapping, and whether they must show every row; else why there are none."""

    folders: tuple[tuple[Path, bool], ...]
    skipped: str = ""


def judges(
    mapping_set: MappingSet, folder: Path, site: Path | None = None, profiles: Path | None = None
) -> dict[str, Judges]:
    """Mapping name → its judges, of a set that was loaded from `folder` with the folder `site` laid over it."""
    if site is None:
        return {name: Judges(((folder, True),)) for name in mapping_set.mappings}
    shipped = _shipped(folder, profiles)
    return {name: _judges(mapping, shipped, folder, site) for name, mapping in mapping_set.mappings.items()}


def _judges(
    mapping: CompiledMapping, shipped: Mapping[str, CompiledMapping] | None, folder: Path, site: Path
) -> Judges:
    own = examples_folder(site, mapping)
    theirs = ((site, False),) if own.is_dir() else ()
    if shipped is not None and mapping.name not in shipped:
        return Judges(((site, True),))
    if shipped is not None and _same(mapping, shipped[mapping.name]):
        return Judges(((folder, True), *theirs))
    if theirs:
        return Judges(theirs)
    return Judges((), f"{mapping.name}: {site.name} changes it and has no {own.name}/: skipped")


def _shipped(folder: Path, profiles: Path | None) -> Mapping[str, CompiledMapping] | None:
    """The mappings without the site's changes; None when they do not load without them."""
    try:
        return load_mapping_set(folder, profiles=profiles).mappings
    except MappingError:
        return None


def _same(one: CompiledMapping, other: CompiledMapping) -> bool:
    return meaning(one.rules) == meaning(other.rules) and one.kind == other.kind


def proofs(
    mapping_set: MappingSet, found: Judges, mapping: CompiledMapping, *, thorough: bool = True
) -> Iterator[Proof]:
    """The proof of each folder that judges a mapping."""
    for folder, whole in found.folders:
        yield prove(mapping_set, folder, mapping, thorough=thorough, whole=whole)


def accepted(mapping_set: MappingSet, found: Judges, mapping: CompiledMapping) -> Iterator[Rewritten]:
    """Write the examples of each folder that judges a mapping anew."""
    for folder, _ in found.folders:
        yield from accept(mapping_set, folder, mapping)
