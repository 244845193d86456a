"""All mappings of a deployment, checked and compiled: what the rest of the house uses and swaps as one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as option
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from fhir_facade import __version__
from fhir_facade.contracts import Record, Resource, Version
from fhir_facade.definitions import definitions
from fhir_facade.mapping.check import check
from fhir_facade.mapping.check_back import check_emits
from fhir_facade.mapping.check_profile import check_profile
from fhir_facade.mapping.columns import REMAINDER
from fhir_facade.mapping.compare import merge
from fhir_facade.mapping.findings import Finding, MappingError, finding
from fhir_facade.mapping.interpret import interpret
from fhir_facade.mapping.ir import Constant, Copy, Key, MappingRules, Step
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.lineage import Lineage, trace
from fhir_facade.mapping.load import Loader, mapping_files
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.mapping.overrides import placed, retold, seen_at, site_mapping_files, sources
from fhir_facade.mapping.profiles import Profiles, load_profiles
from fhir_facade.mapping.put import Assign, Policy, Putting, Written
from fhir_facade.mapping.read_values import Resolve
from fhir_facade.mapping.to_bytes import Render, compile_to_bytes
from fhir_facade.mapping.to_fhir import Forward, compile_to_fhir
from fhir_facade.mapping.to_record import compile_to_record
from fhir_facade.mapping.vocabulary import Vocabulary, load_vocabulary
from fhir_facade.outcome import Issue
from fhir_facade.yaml_text import Table

if TYPE_CHECKING:
    from fhir_facade.mapping.to_where import SearchPlan


@dataclass(frozen=True, repr=False)
class CompiledMapping:
    """One mapping with its engines. Records are complete (see Kinds.complete); issues are appended, not raised."""

    rules: MappingRules
    kind: Kind
    hash8: str
    id_prefix: str
    kinds: Kinds
    words: Vocabulary

    def __repr__(self) -> str:
        return f"<CompiledMapping {self.rules.name} {self.rules.version}>"

    @property
    def name(self) -> str:
        return self.rules.name

    @property
    def version(self) -> str:
        return self.rules.version

    @property
    def resource_type(self) -> str:
        return self.rules.resource_type

    @cached_property
    def to_fhir(self) -> Forward:
        """`(record, issues) -> dict`, compiled on first use."""
        return compile_to_fhir(self.rules)

    @cached_property
    def to_bytes(self) -> Render:
        """`(record, issues) -> bytes`, compiled on first use."""
        return compile_to_bytes(self.rules, self.kinds.always(self.kind))

    def interpret(self, record: Record, issues: list[Issue]) -> Resource:
        """The resource by the plain interpreter."""
        return interpret(self.rules, record, issues)

    def to_record(
        self, resource: Resource, base: Record | None = None, *, policy: Policy | None = None,
        resolve: Resolve | None = None, otherwise: Policy = "keep", assign: Assign | None = None,
    ) -> Written:  # fmt: skip
        """Put a resource into a record, on top of `base` where there is one; verified by rendering it again.

        `policy` says what becomes of elements that no row takes; without it the mapping's own `remainder:` does, and
        without that `otherwise`. `resolve` finds the key fields behind ids that were too long to be read back, and
        `assign` gives a new record what the store numbers by itself.
        """
        return self.putting.put(resource, base, policy or self.rules.remainder or otherwise, resolve, assign)

    def serve(self, record: Record, issues: list[Issue]) -> bytes:
        """The resource as it goes out: what the record gives, and what was kept beside it."""
        if not record.get(REMAINDER):
            return self.to_bytes(record, issues)
        return orjson.dumps(self.served(record, issues))

    def served(self, record: Record, issues: list[Issue]) -> Resource:
        """The same as a dict. What was kept and has lost its place, because the record has changed, is told."""
        resource: Resource = self.to_fhir(record, issues)
        kept = orjson.loads(record.get(REMAINDER) or b"{}").get(self.name)
        if kept is None:
            return resource
        whole, orphans = merge(resource, kept)
        if orphans:
            issues.append(Issue("remainder-without-place", self.resource_type, {"count": orphans}))
        out: Resource = whole
        return out

    @cached_property
    def putting(self) -> Putting:
        """The way back, prepared on first use."""
        reads = compile_to_record(self.rules, self.kind)
        return Putting(self.rules, self.kind, self.kinds, self.to_fhir, self.words.canonical, reads)

    def explain(
        self, record: Record, issues: list[Issue] | None = None, served: Resource | None = None
    ) -> list[Lineage]:
        """Where each leaf of the record's resource comes from; `served` has what is kept beside the record too."""
        if served is None and record.get(REMAINDER):
            served = self.served(record, [])
        return trace(self.rules, record, issues, served)

    def key_of(self, resource_id: str) -> str | None:
        """The record key inside a resource id, or None when the id has not this mapping's prefix."""
        if not self.id_prefix:
            return resource_id
        head = f"{self.id_prefix}-"
        return resource_id[len(head) :] if resource_id.startswith(head) else None

    def id_of(self, key: str) -> str:
        """The id of the resource that a record with this key gives."""
        return f"{self.id_prefix}-{key}" if self.id_prefix else key

    def version_of(self, record: Record) -> Version:
        """The version of a record and the instant of its last change, ISO 8601 UTC."""
        return record[self.kind.version], str(record.get(self.kind.changed) or "")

    def etag(self, version: Version) -> str:
        """The weak ETag: record version and mapping hash, equal to meta.versionId."""
        return f'W/"{version[0]}-{self.hash8}"'


@dataclass(frozen=True, repr=False)
class MappingSet:
    """Everything in a mappings folder: record kinds, vocabulary, compiled mappings, and how they are searched."""

    kinds: Kinds
    vocabulary: Vocabulary
    mappings: Mapping[str, CompiledMapping]
    hash: str
    warnings: tuple[Finding, ...] = ()

    def __repr__(self) -> str:
        return f"<MappingSet of {len(self.mappings)}, hash {self.hash[:8]}>"

    @cached_property
    def by_type(self) -> Mapping[str, tuple[CompiledMapping, ...]]:
        """Resource type → its mappings; those with an id prefix first, so that a prefix decides before none does."""
        out: dict[str, list[CompiledMapping]] = {}
        for mapping in self.mappings.values():
            out.setdefault(mapping.resource_type, []).append(mapping)
        return {
            name: tuple(sorted(found, key=lambda mapping: (not mapping.id_prefix, mapping.name)))
            for name, found in sorted(out.items())
        }

    @cached_property
    def search(self) -> SearchPlan:
        """How searches over these mappings become SQL."""
        from fhir_facade.mapping.to_where import SearchPlan  # SQLAlchemy takes longer to import than all else here

        sources = {name: [(each.rules, each.kind) for each in found] for name, found in self.by_type.items()}
        return SearchPlan(sources, self.kinds, self.vocabulary)

    def for_kind(self, name: str) -> tuple[CompiledMapping, ...]:
        """The mappings that render records of a kind, the one named after it first."""
        return tuple(mapping for mapping in self.mappings.values() if mapping.kind.name == name)


def load_mapping_set(folder: Path, site: Path | None = None, profiles: Path | None = None) -> MappingSet:
    """Read, check and prepare every mapping in `folder`; MappingError with all findings when any file is faulty.

    `site` is a folder of the same shape whose files change or add to them (overrides.py); `profiles` one of
    StructureDefinitions that mappings may name beside our own.
    """
    findings: list[Finding] = []
    if site is not None and not site.is_dir():
        raise MappingError([Finding(site.name, 1, f"there is no folder {site} of site mappings")])
    kinds = load_kinds(folder / "records", site / "records" if site else None)
    words = load_vocabulary(folder, findings, site)
    if findings:  # rows that name what is faulty there would seem faulty too
        raise MappingError(findings)
    own = site_mapping_files(site) if site else ()
    files = sources(mapping_files(folder), own, site.name if site else "", "mapping", findings)
    prefixes = id_prefixes(folder, [source.table for source in files])
    ground = Ground(kinds, words, prefixes, _digest(folder, site), load_profiles(profiles, site, findings))
    mappings: dict[str, CompiledMapping] = {}
    for source in files:
        if mapping := load_one(source.file, source.table, ground, mappings.values(), findings, source.site):
            mappings[mapping.name] = mapping
    named = kinds_by_name(folder, {source.file: source.table for source in files})
    findings += [found for each in mappings.values() for found in check_emits(each.rules, each.kind, named)]
    if any(found.severity == "error" for found in findings):
        raise MappingError(findings)
    return MappingSet(kinds, words, mappings, ground.digest, tuple(sorted(set(findings))))


@dataclass(frozen=True, slots=True)
class Ground:
    """What one mapping file is read against; `prefixes` has the id prefix of every (record kind, resource type)."""

    kinds: Kinds
    words: Vocabulary
    prefixes: Mapping[tuple[str, str], str]
    digest: str
    profiles: Profiles = option(default_factory=Profiles)


def load_one(
    file: str,
    table: Table,
    ground: Ground,
    others: Iterable[CompiledMapping],
    findings: list[Finding],
    site: str = "",
) -> CompiledMapping | None:
    """The mapping of one file beside the `others`; faults go to `findings`, None when its head is not understood.

    `site` is the site's file that was laid over it.
    """
    faults: list[Finding] = []
    mapping = _load_one(file, table, ground, others, faults, site)
    findings += [placed(found, {file: site}) for found in faults] if site else faults
    return mapping


def _load_one(
    file: str, table: Table, ground: Ground, others: Iterable[CompiledMapping], findings: list[Finding], site: str
) -> CompiledMapping | None:
    loader = Loader(file, ground.kinds, ground.words, ground.prefixes)
    rules = loader.load(table)
    findings += loader.findings
    if rules is None:
        return None
    rules = retold(rules, site) if site else rules
    findings += check(rules, ground.kinds, table, loader.lost)
    findings += check_profile(rules, ground.kinds, table, ground.profiles, loader.lost)
    prefix = next((rule.prefix for rule in rules.rules if isinstance(rule, Key)), "")
    findings += _clash(rules, prefix, others, table)
    hash8 = hashlib.sha256(f"{ground.digest}{rules.name}".encode()).hexdigest()[:8]
    kind = ground.kinds[rules.kind]
    declared_at = seen_at(f"{file}:{table.at('profile')}", site)
    return CompiledMapping(_with_meta(rules, kind, hash8, declared_at), kind, hash8, prefix, ground.kinds, ground.words)


def id_prefixes(folder: Path, tables: Iterable[Table]) -> dict[tuple[str, str], str]:
    """(record kind, resource type) → id prefix, of every mapping file of a folder."""
    prefixes = {target: prefix for table in tables for target, prefix in _targets(table)}
    for path in mapping_files(folder):  # a file that is faulty itself does not make every reference to it faulty
        record, resource, _ = path.name.split(".")
        named = [name for name in definitions().resource_types if name.lower() == resource]
        prefixes |= {(record, name): "" for name in named if (record, name) not in prefixes}
    return prefixes


def kinds_by_name(folder: Path, tables: Mapping[str, Table]) -> dict[str, str]:
    """The record kind of every mapping by its name; of a file that cannot be read, by the name that is custom."""
    unread = [path.name.split(".") for path in mapping_files(folder) if path.name not in tables]
    return {f"{record}-{resource}": record for record, resource, _ in unread} | {
        str(table.get("mapping")): str(table.get("epj")) for table in tables.values()
    }


def _clash(rules: MappingRules, prefix: str, others: Iterable[CompiledMapping], table: Table) -> Iterator[Finding]:
    """Two mappings differ in name, and for one resource type in id prefix: it says which of them an id belongs to."""
    for other in others:
        if other.name == rules.name:
            said = f"a second mapping is called '{rules.name}'"
            yield Finding(rules.file, table.at("mapping"), said)
        elif (other.resource_type, other.id_prefix) == (rules.resource_type, prefix):
            for key in [rule for rule in rules.rules if isinstance(rule, Key)]:
                yield finding(key.at, f"id prefix '{prefix}' of {rules.resource_type} belongs to {other.rules.file}")


def _targets(table: Table) -> list[tuple[tuple[str, str], str]]:
    """(record kind, resource type) → id prefix, read before the rules so that references can be resolved."""
    rows = [row for row in table.get("rules", ()) if isinstance(row, Table) and row.get("fhir") == "id"]
    return [((str(table.get("epj")), str(table.get("fhir"))), str(row.get("prefix", ""))) for row in rows]


def _digest(folder: Path, site: Path | None) -> str:
    """SHA-256 over every mapping file, the R4 table and the engine's version: what a rendering depends on."""
    digest = hashlib.sha256(f"{__version__} {definitions().source.get('sha256')}".encode())
    for layer in (folder, site) if site else (folder,):
        for path in sorted(path for path in layer.rglob("*.yaml") if path.is_file()):
            digest.update(path.relative_to(layer).as_posix().encode() + b"\0" + path.read_bytes())
        digest.update(b"\0" if site else b"")  # what stands in the one layer is not in the other
    return digest.hexdigest()


def _with_meta(rules: MappingRules, kind: Kind, hash8: str, declared_at: str) -> MappingRules:
    """The rules with meta.versionId and meta.lastUpdated, which every resource of a stored record has.

    The mapping's own profile, said at `declared_at`, stands before those that rows declare.
    """
    meta = Step("meta", False)
    version = Copy(
        (meta, Step("versionId", False)),
        (),
        f"{rules.file}:1",
        (kind.version,),
        "integer",
        "integer",
        f"-{hash8}",
    )
    changed = Copy((meta, Step("lastUpdated", False)), (), f"{rules.file}:1", (kind.changed,), "text", "instant")
    declared = Constant((meta, Step("profile", True)), (), declared_at, rules.profile)
    return replace(rules, rules=(*((declared,) if rules.profile else ()), *rules.rules, version, changed))
