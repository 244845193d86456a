"""Which row of the surface answers a request, and what is wrong where none does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from fhir_facade.mapping.findings import nearest
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.canonical_resources import TYPES as CANONICAL_TYPES
from fhir_facade.rest.query_string import refuse_person_number
from fhir_facade.rest.services import Interaction, Request, Services
from fhir_facade.rest.validation import NAME as VALIDATE
from fhir_facade.rest.validation import is_resource_type
from fhir_facade.store.batches import shown

Methods = Mapping[str, Interaction]
Shapes = Mapping[tuple[int, str], Methods]
"""Rows by number of path segments and the last one where it is fixed."""

ANY_TYPE = ""
ROOT = "/"
_LONG_NUMBER = re.compile(r"\d{6}[ -]?\d{5}").search  # what is looked at more closely


class Router:
    """Finds the row for a method and a path below the base URL."""

    def __init__(self, surface: Iterable[Interaction]) -> None:
        self._shapes = _shapes(surface)

    def row_for(self, request: Request, path: str, services: Services) -> Interaction:
        """Find the row for a request, and put into the request what its path says.

        Refused with what is wrong: 404 goes before 405, 405 before 406.
        """
        types = services.mapping_set.by_type
        segments = path[1:].split("/")
        if len(segments) > 1 and not segments[-1]:
            segments.pop()
        if _LONG_NUMBER(path):
            known = segments[0] in types or segments[0] in self._shapes
            refuse_person_number(path, segments[0] if known else "")
        size, first, last = len(segments), segments[0], segments[-1]
        judging = last == VALIDATE and size > 1  # of any type of R4; what is stored is of a type that is served
        shapes = self._shapes_of("" if judging else first or ROOT)
        is_operation = size == 2 and last[:1] == "$" and first in types  # else it would be read as an id
        is_named = is_operation or (size > 2 and last[:1] in "$_")
        methods = shapes.get((size, last)) or (None if is_named else shapes.get((size, "")))
        if methods is None or (not first and size > 1):
            raise Refused(self._unrouted(segments, types))
        if first in CANONICAL_TYPES:
            if last[:1] == "$" and (size, last) not in shapes:  # else it would be read as an id
                raise Refused(self._unrouted(segments, types))
            request.type = first
        elif first and (1, "") in shapes:
            if not (judging and size == 2 and is_resource_type(first)):
                _check_type(first, types)
            request.type = first
        if services.writing is None:
            methods = {method: row for method, row in methods.items() if not row.changes}
        row = methods.get(request.method)
        if row is None:
            allowed = list(methods)
            raise Refused(Issue("method-not-allowed", "", {"method": shown(request.method), "allowed": allowed}))
        _take(request, row, segments)
        return row

    def _shapes_of(self, first: str) -> Shapes:
        return self._shapes.get(first) or self._shapes[ANY_TYPE]

    def _unrouted(self, segments: Sequence[str], types: Mapping[str, object]) -> Issue:
        """The issue for a path of no row: an operation that is not there, or nothing at all."""
        first, last = segments[0], segments[-1]
        if not last.startswith("$") or not (first in types or first in CANONICAL_TYPES):
            return Issue("path-unknown")
        shapes = self._shapes_of(first).items()
        rows = [row for (size, _), methods in shapes if size == len(segments) for row in methods.values()]
        allowed = sorted({f"${row.code}" for row in rows if row.operation})
        facts = {"type": first, "name": shown(last), "allowed": allowed, "nearest": nearest(shown(last), allowed)}
        return Issue("operation-unknown", "", facts)


def _take(request: Request, row: Interaction, segments: list[str]) -> None:
    """What the path says besides the type."""
    if "{id}" in row.template:
        request.id = segments[1]
    if "{compartment}" in row.template:
        request.compartment, request.type = segments[0], segments[2]
    if "{vid}" in row.template:
        if segments[2] != "_history":
            raise Refused(Issue("path-unknown"))
        request.version = segments[3]


def _check_type(name: str, types: Mapping[str, object]) -> None:
    if name not in types:
        said, served = shown(name), [*types, *CANONICAL_TYPES]
        facts = {"type": said, "allowed": served, "nearest": nearest(said, served)}
        raise Refused(Issue("type-unknown", "", facts))


def _shapes(surface: Iterable[Interaction]) -> dict[str, Shapes]:
    """Shapes by the first segment where it is fixed, else under ANY_TYPE; HEAD goes wherever GET does."""
    shapes: dict[str, dict[tuple[int, str], dict[str, Interaction]]] = {}
    for row in surface:
        segments = row.template.split("/")[1:]
        first, last = ("" if segment.startswith("{") else segment for segment in (segments[0], segments[-1]))
        if row.template == "/":
            first = ROOT
        methods = shapes.setdefault(first or ANY_TYPE, {}).setdefault((len(segments), last), {})
        methods[row.method] = row
        if row.method == "GET":
            methods["HEAD"] = row
    for first, own in shapes.items():
        if first[:1].isupper() and first not in CANONICAL_TYPES:  # rows of one type beside those of any
            shapes[first] = shapes[ANY_TYPE] | own
    return dict(shapes)
