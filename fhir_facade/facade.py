"""The library: records in, FHIR out, in three lines of Python and without a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.field_values import Unfit, check
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.kinds import Field, Kind, Kinds
from fhir_facade.mapping.mapping_set import CompiledMapping, load_mapping_set
from fhir_facade.mapping.put import Policy, Written
from fhir_facade.mapping.structure import structure_faults
from fhir_facade.outcome import Issue, Refused
from fhir_facade.resources import data_root
from fhir_facade.store.batches import shown
from fhir_facade.terminology.identity import is_national_identity_number

if TYPE_CHECKING:
    from fhir_facade.mapping.lineage import Lineage
    from fhir_facade.profile.validator import Report, Validator


class Facade:
    """The mappings of one folder, with a site's changes laid over them, compiled.

    `to_fhir`, `to_bytes` and `to_model` give the same resource as a dict, JSON and a fhir.resources R4B
    model; `explain` says where each element came from. `resource` chooses among the types of one kind.
    Refused when no mapping fits or the record has what its kind does not know. Values without a FHIR form are
    told in `issues`. `packages` are FHIR packages, folders or .tgz, whose profiles `validate` judges by too.
    """

    def __init__(
        self, mappings: Path | None = None, site: Path | None = None, profiles: Path | None = None,
        packages: Iterable[Path] = (),
    ) -> None:  # fmt: skip
        self.mapping_set = load_mapping_set(mappings or data_root("mappings"), site, profiles)
        self._packages = tuple(packages)

    def to_fhir(
        self, kind: str, record: Record, *, resource: str | None = None, issues: list[Issue] | None = None
    ) -> Resource:
        """Return the resource as a dict."""
        mapping = self.mapping(kind, resource)
        resource_json: Resource = mapping.to_fhir(self._complete(mapping, record), _list(issues))
        return resource_json

    def to_bytes(
        self, kind: str, record: Record, *, resource: str | None = None, issues: list[Issue] | None = None
    ) -> bytes:
        """Return the resource as JSON."""
        mapping = self.mapping(kind, resource)
        body: bytes = mapping.to_bytes(self._complete(mapping, record), _list(issues))
        return body

    def to_model(self, kind: str, record: Record, *, resource: str | None = None) -> Any:
        """Return the resource as a fhir.resources R4B model, whose classes fit R4 4.0.1 for these types."""
        from fhir.resources.R4B import (
            get_fhir_model_class,
        )  # a second to import; only who asks for models pays

        parsed = self.to_fhir(kind, record, resource=resource)
        return get_fhir_model_class(parsed["resourceType"]).model_validate(parsed)

    def to_record(
        self, kind: str, resource_json: Resource, base: Record | None = None, *, resource: str | None = None,
        policy: Policy | None = None,
    ) -> Written:  # fmt: skip
        """Put a FHIR resource into a record of a kind, on top of `base` where it is known already.

        `Written.record` is None when it was refused; `elements` says what became of each element, and `remainder`
        what no row took (to be kept beside the record, and merged with mapping.compare.merge when it is read).
        """
        mapping = self.mapping(kind, resource)
        if faults := structure_faults(resource_json):
            return Written(None, None, (), tuple(faults))
        return mapping.to_record(resource_json, self._complete(mapping, base) if base else None, policy=policy)

    def validate(
        self, resource_json: Resource | bytes, profile: str | Iterable[str] | None = None, *, on: date | None = None
    ) -> Report:
        """Judge a resource, a dict or JSON, by R4, by the profiles that it claims and by those named here.

        `Report.valid` is the verdict, `Report.issues` say what is wrong. A text that is no JSON is an issue too, and a
        key that stands twice in one object, which only the text shows. `on` is the day that codes are judged on.
        """
        profiles = (profile,) if isinstance(profile, str) else tuple(profile or ())
        if isinstance(resource_json, bytes):
            return _judge_bytes(self.validator, resource_json, profiles, on)
        return self.validator.validate(resource_json, profiles, on=on)

    @cached_property
    def validator(self) -> Validator:
        """What `validate` judges with: R4, our own profiles and the packages; made when it is first asked for."""
        from fhir_facade.packages.package_lists import PackageLists, catalogue_with
        from fhir_facade.packages.registry import load_packages
        from fhir_facade.profile.validator import Validator

        packages = load_packages(self._packages)
        return Validator(packages, catalogue_with(PackageLists(packages)))

    def explain(self, kind: str, record: Record, *, resource: str | None = None) -> list[Lineage]:
        """Return for each element its path, value, field and mapping line."""
        mapping = self.mapping(kind, resource)
        return mapping.explain(self._complete(mapping, record))

    def mapping(self, kind: str, resource: str | None = None) -> CompiledMapping:
        """The first mapping of a kind, or the one for this resource type; Refused with the nearest name."""
        kinds = sorted({mapping.kind.name for mapping in self.mapping_set.mappings.values()})
        if kind not in kinds:
            raise Refused(_unknown(kind, "", kinds, nearest(kind, kinds)))
        found = self.mapping_set.for_kind(kind)
        fitting = [mapping for mapping in found if resource in (None, mapping.resource_type)]
        if not fitting:
            types = [mapping.resource_type for mapping in found]
            raise Refused(_unknown(kind, f" → {resource}", types, nearest(str(resource), types)))
        return fitting[0]

    def _complete(self, mapping: CompiledMapping, record: Record) -> Record:
        """The record with its derived entries; Refused when it has what the kind does not know."""
        kinds, kind = self.mapping_set.kinds, mapping.kind
        if issues := list(record_faults(kinds, kind, record)):
            raise Refused(*issues)
        return kinds.complete(kind, record)


def _judge_bytes(validator: Validator, content: bytes, profiles: tuple[str, ...], on: date | None) -> Report:
    """The report on a JSON text, what is wrong with the text itself before the rest."""
    from fhir_facade.json_text import read_text
    from fhir_facade.profile.validator import Report

    reading = read_text(content)
    of_text = tuple(placed.issue for placed in reading.issues)
    if reading.resource is None:
        return Report(of_text, len(of_text), False)
    report = validator.validate(reading.resource, profiles, on=on)
    if not of_text:
        return report
    return replace(report, issues=of_text + report.issues, count=report.count + len(of_text), valid=False)


def _list(issues: list[Issue] | None) -> list[Issue]:
    return [] if issues is None else issues


def record_faults(kinds: Kinds, kind: Kind, record: Record) -> Iterator[Issue]:
    """What keeps a record from being mapped: unknown fields, values that do not fit, a key left out."""
    for part in kind.key:
        if record.get(part) is None:
            if kind.fields[part].required == "always":
                yield Issue("field-missing", part, {"field": part, "kind": kind.name})
        elif is_national_identity_number(str(record[part]).strip()):
            yield Issue("person-number-as-key", part, {"field": part})
    known = {kind.version, kind.changed, *kind.children}
    yield from _field_faults(kind.name, kind.fields, known, record)
    for child in kind.children.values():
        items = record.get(child.name) or []
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            yield _unfit(child.name, "list", "a list of objects is expected")
            continue
        for item in items:
            if child.records:
                yield from record_faults(kinds, kinds[child.records], item)
            else:
                yield from _field_faults(f"{kind.name}.{child.name}", child.fields, set(), item)


def _field_faults(name: str, fields: Mapping[str, Field], besides: Set[str], record: Record) -> Iterator[Issue]:
    for given, value in record.items():
        if given in besides or given.startswith("$"):
            continue
        if given not in fields:
            allowed = ", ".join(sorted({*fields, *besides})) + nearest(given, {*fields, *besides})
            yield Issue("field-unknown", shown(given), {"kind": name, "field": shown(given), "allowed": allowed})
        elif value is not None:
            try:
                check(fields[given], value)
            except Unfit as unfit:
                yield _unfit(given, fields[given].type, unfit.reason)


def _unfit(name: str, kind: str, reason: str) -> Issue:
    return Issue("field-type", name, {"field": name, "type": kind, "reason": reason})


def _unknown(kind: str, resource: str, allowed: list[str], near: str) -> Issue:
    return Issue("kind-unknown", "", {"kind": kind, "resource": resource, "allowed": allowed, "nearest": near})
