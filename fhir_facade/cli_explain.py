"""The command `fhir-facade explain`: where the elements of one stored resource came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from fhir_facade.mapping.findings import nearest
from fhir_facade.terminal import (
    FAILED,
    FOUND,
    Database,
    faults_are_told,
    mapping_set_of,
    say,
    settings_with,
    stop,
    stop_if_missing,
)

if TYPE_CHECKING:
    from fhir_facade.mapping.lineage import Lineage
    from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
    from fhir_facade.store.location import Location

HEAD = ("element", "value", "field", "record value", "status", "mapping")
WIDEST = 40


def explain(
    resource: Annotated[str, typer.Argument(metavar="TYPE/ID", help="The resource, such as Encounter/ID.")],
    db: Database,
    path: Annotated[str, typer.Argument(help="Only this element and what is below it, as FHIRPath.")] = "",
) -> None:
    """Say where each element of a stored resource came from.

    One line for each value: FHIRPath, value, record field, what the record holds, status, code map, line of the
    mapping. Ends with 1 when the resource or the element is not there.

    \b
    Examples:
      fhir-facade explain Encounter/983974880.P1.E1 --db hospital.db
      fhir-facade explain Encounter/983974880.P1.E1 period.start --db hospital.db
    """
    resource_type, _, resource_id = resource.partition("/")
    if not resource_id:
        raise stop(FAILED, f"'{resource}' is no TYPE/ID, such as Encounter/983974880.P1.E1")
    stop_if_missing(db)
    with faults_are_told():
        mapping_set = mapping_set_of(settings_with().mappings)
        known = mapping_set.by_type
        if resource_type not in known:
            near = nearest(resource_type, known)
            raise stop(FAILED, f"'{resource_type}' is not mapped{near}; types: {', '.join(known)}")
        mapping, entries = _found(mapping_set, db, resource_type, resource_id)
    typer.echo("\n".join(_told(mapping, resource, _chosen(entries, path))))


def _found(
    mapping_set: MappingSet, db: Location, resource_type: str, resource_id: str
) -> tuple[CompiledMapping, list[Lineage]]:
    """The lineage of a stored resource; what cannot be written as FHIR is said on standard error."""
    from fhir_facade.outcome import Issue
    from fhir_facade.rest.read import look_up
    from fhir_facade.store.opening import open_store

    store = open_store(db, mapping_set.kinds, mapping_set.search.columns, read_only=True)
    try:
        with faults_are_told(FOUND):
            mapping, record = look_up(mapping_set, store, resource_type, resource_id)
    finally:
        store.close()
    issues: list[Issue] = []
    entries = mapping.explain(record, issues)
    for issue in issues:
        say(str(issue))
    return mapping, entries


def _chosen(entries: list[Lineage], path: str) -> list[Lineage]:
    from fhir_facade.mapping.lineage import below

    try:
        return below(entries, path) if path else entries
    except ValueError as near:
        raise stop(FOUND, f"'{path}' is no element of this resource{near}") from None


def _told(mapping: CompiledMapping, resource: str, entries: list[Lineage]) -> list[str]:
    from fhir_facade.mapping.docs_prints import aligned

    rows = [HEAD]
    for entry in entries:
        status = f"{entry.status} {entry.code_map}".rstrip()
        rows.append((entry.path, _text(entry.written), entry.field, _text(entry.value), status, entry.at))
    head = f"{resource}: {mapping.kind.name} by {mapping.name} {mapping.version}"
    return [head, *aligned(rows, WIDEST)]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
