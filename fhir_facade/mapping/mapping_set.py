"""All mappings of a deployment, checked and compiled: what the rest of the house uses and swaps as one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from fhir_facade import __version__
from fhir_facade.contracts import Record, Resource
from fhir_facade.definitions import definitions
from fhir_facade.mapping.check import check
from fhir_facade.mapping.findings import Finding, MappingError, finding
from fhir_facade.mapping.interpret import Lineage, explain, interpret
from fhir_facade.mapping.ir import Copy, Key, MappingRules, Step
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.load import Loader, mapping_files
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.mapping.source import SourceError, Table, read
from fhir_facade.mapping.to_bytes import Render, compile_to_bytes
from fhir_facade.mapping.to_fhir import Forward, compile_to_fhir
from fhir_facade.mapping.to_where import SearchPlan
from fhir_facade.mapping.vocabulary import Vocabulary, load_vocabulary
from fhir_facade.outcome import Issue


@dataclass(frozen=True)
class CompiledMapping:
    """One mapping with its engines. Records are complete (see Kinds.complete); issues are appended, not raised."""

    rules: MappingRules
    kind: Kind
    hash8: str
    id_prefix: str

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
        return compile_to_bytes(self.rules)

    def interpret(self, record: Record, issues: list[Issue]) -> Resource:
        """The resource by the plain interpreter."""
        return interpret(self.rules, record, issues)

    def explain(self, record: Record) -> list[Lineage]:
        """Where each element of the record's resource comes from."""
        return explain(self.rules, record)

    def key_of(self, resource_id: str) -> str | None:
        """The record key inside a resource id, or None when the id has not this mapping's prefix."""
        if not self.id_prefix:
            return resource_id
        head = f"{self.id_prefix}-"
        return resource_id[len(head) :] if resource_id.startswith(head) else None

    def etag(self, record: Record) -> str:
        """The weak ETag: record version and mapping hash, equal to meta.versionId."""
        return f'W/"{record.get(self.kind.version)}-{self.hash8}"'

    def last_modified(self, record: Record) -> str:
        """The instant of the record's last change, ISO 8601 UTC."""
        return str(record.get(self.kind.changed) or "")


@dataclass(frozen=True)
class MappingSet:
    """Everything in a mappings folder: record kinds, vocabulary, compiled mappings, and how they are searched."""

    kinds: Kinds
    vocabulary: Vocabulary
    mappings: Mapping[str, CompiledMapping]
    hash: str

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
        sources = {name: [(each.rules, each.kind) for each in found] for name, found in self.by_type.items()}
        return SearchPlan(sources, self.kinds, self.vocabulary)

    def for_kind(self, name: str) -> tuple[CompiledMapping, ...]:
        """The mappings that render records of a kind, the one named after it first."""
        return tuple(mapping for mapping in self.mappings.values() if mapping.kind.name == name)


def load_mapping_set(folder: Path) -> MappingSet:
    """Read, check and prepare every mapping in `folder`; MappingError with all findings when any file is faulty."""
    findings: list[Finding] = []
    kinds = load_kinds(folder / "records")
    words = load_vocabulary(folder, findings)
    if findings:  # rows that name what is faulty there would seem faulty too
        raise MappingError(findings)
    tables: dict[Path, Table] = {}
    for path in mapping_files(folder):
        try:
            tables[path] = read(path)
        except SourceError as error:
            findings.append(Finding(error.file, error.line, error.message))
    prefixes = {target: prefix for table in tables.values() for target, prefix in _targets(table)}
    for path in mapping_files(folder):  # a file that is faulty itself does not make every reference to it faulty
        record, resource, _ = path.name.split(".")
        named = [name for name in definitions().resource_types if name.lower() == resource]
        prefixes |= {(record, name): "" for name in named if (record, name) not in prefixes}
    digest = _digest(folder)
    mappings: dict[str, CompiledMapping] = {}
    for path, table in tables.items():
        loader = Loader(path.name, kinds, words, prefixes)
        rules = loader.load(table)
        findings += loader.findings
        if rules is None:
            continue
        findings += check(rules, kinds, table, loader.lost)
        prefix = next((rule.prefix for rule in rules.rules if isinstance(rule, Key)), "")
        findings += _clash(rules, prefix, mappings.values(), table)
        hash8 = hashlib.sha256(f"{digest}{rules.name}".encode()).hexdigest()[:8]
        kind = kinds[rules.kind]
        mappings[rules.name] = CompiledMapping(_with_meta(rules, kind, hash8), kind, hash8, prefix)
    if findings:
        raise MappingError(findings)
    return MappingSet(kinds, words, mappings, digest)


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


def _digest(folder: Path) -> str:
    """SHA-256 over every mapping file, the R4 table and the engine's version: what a rendering depends on."""
    digest = hashlib.sha256(f"{__version__} {definitions().source.get('sha256')}".encode())
    for path in sorted(path for path in folder.rglob("*.yaml") if path.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _with_meta(rules: MappingRules, kind: Kind, hash8: str) -> MappingRules:
    """The rules with meta.versionId and meta.lastUpdated, which every resource of a stored record has."""
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
    return MappingRules(
        name=rules.name, version=rules.version, kind=rules.kind, resource_type=rules.resource_type,
        profile=rules.profile, rules=(*rules.rules, version, changed), ignored=rules.ignored, file=rules.file,
    )  # fmt: skip
