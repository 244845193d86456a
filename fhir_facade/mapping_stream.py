"""Lines of records into lines of FHIR, one at a time, for any number of lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import orjson

from fhir_facade.facade import Facade
from fhir_facade.mapping.docs_prints import aligned
from fhir_facade.outcome import Issue, Refused


class Mapped(NamedTuple):
    """What became of one line: text for the reader, what is to be said of it, and whether it was refused."""

    text: bytes
    issues: tuple[Issue, ...] = ()
    refused: bool = False


def map_lines(
    facade: Facade, kind: str, resource: str | None, lines: Iterable[bytes], *, explain: bool = False
) -> Iterator[Mapped]:
    """Yield the resource of every line as JSON, or where each element came from; blank lines are skipped."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        at = f"line {number}"
        try:
            yield _mapped(facade, kind, resource, _record(line), at, explain)
        except Refused as refused:
            yield Mapped(b"", tuple(_placed(issue, at) for issue in refused.issues), refused=True)


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise Refused(Issue("line-not-json", "", {"reason": f"{error.msg} (column {error.colno})"})) from None
    if not isinstance(record, dict):
        raise Refused(Issue("line-not-json", "", {"reason": "an object is expected"}))
    return record


def _mapped(facade: Facade, kind: str, resource: str | None, record: dict[str, Any], at: str, explain: bool) -> Mapped:
    if explain:
        return Mapped(_explanation(facade, kind, resource, record, at))
    issues: list[Issue] = []
    body = facade.to_bytes(kind, record, resource=resource, issues=issues)
    return Mapped(body + b"\n", tuple(_placed(issue, at) for issue in issues))


def _placed(issue: Issue, at: str) -> Issue:
    return replace(issue, at=f"{at}, {issue.at}" if issue.at else at)


def _explanation(facade: Facade, kind: str, resource: str | None, record: dict[str, Any], at: str) -> bytes:
    """Columns: FHIR path, the record's value, its field, the mapping's file and line."""
    mapping = facade.mapping(kind, resource)
    rows = [("element", "value", "field", "mapping")]
    for origin in facade.explain(kind, record, resource=resource):
        value = "" if origin.value is None else str(origin.value)
        rows.append((origin.path, value, origin.field, origin.at))
    head = f"{at}: {kind} → {mapping.resource_type} by {mapping.name} {mapping.version}"
    return "\n".join([head, *aligned(rows), "", ""]).encode()
