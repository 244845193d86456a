"""The bodies of requests that change something: a resource, or a patch, read strictly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fhir_facade.contracts import Resource
from fhir_facade.json_text import LIMITS, JsonLimits, Placed, read_text
from fhir_facade.outcome import Issue, Refused
from fhir_facade.patching.formats import FORMATS, patched
from fhir_facade.rest.services import Request
from fhir_facade.store.batches import shown

JSON_TYPES = ("application/fhir+json", "application/json", "text/json")
ACCEPTED = ", ".join(JSON_TYPES[:2])
PLAIN = "application/json"
PATCH_TYPES = (*FORMATS, PLAIN)
PATCHES = ", ".join(PATCH_TYPES)


def resource_of(request: Request, limits: JsonLimits = LIMITS) -> Resource:
    """The resource in a body; Unreadable when there is none in it."""
    _check_media(request, JSON_TYPES, ACCEPTED)
    resource: Resource = _read(request, (dict,), limits)
    said = resource.get("resourceType")
    if request.type and said != request.type:
        facts = {"found": shown(str(said)), "type": request.type}
        raise Refused(Issue("resource-of-other-type", f"{request.type}.resourceType", facts))
    return resource


def patch_of(request: Request, limits: JsonLimits = LIMITS) -> Callable[[Resource], Resource]:
    """What the patch in a body makes of a resource; Unreadable when it is none."""
    media = _check_media(request, PATCH_TYPES, PATCHES)
    patch = _read(request, (dict, list), limits)
    return partial(patched, patch=patch, media=_named_by_form(patch) if media == PLAIN else media)


def _named_by_form(patch: Any) -> str:
    """The media type of a patch that came as plain JSON, as fhirpy sends it: each format has a form of its own."""
    if isinstance(patch, list):
        return "application/json-patch+json"
    is_parameters = patch.get("resourceType") == "Parameters"
    return "application/fhir+json" if is_parameters else "application/merge-patch+json"


def _check_media(request: Request, known: Sequence[str], allowed: str) -> str:
    """The media type of a body; Refused when it is none of those that are read."""
    if not request.body:
        raise Refused(Issue("body-needed", request.type, {"allowed": allowed}))
    said = request.headers.get(b"content-type", b"").decode("latin-1").lower().replace(" ", "").replace('"', "")
    media, _, rest = said.partition(";")
    charset = rest.partition("charset=")[2].split(";")[0]
    if media not in known or charset not in ("", "utf-8", "utf8"):
        raise Refused(Issue("media-type-unsupported", "", {"allowed": allowed}))
    return media


def _read(request: Request, kinds: tuple[type, ...], limits: JsonLimits) -> Any:
    content = request.body or b""
    reading = read_text(content, len(content), kinds=kinds, limits=limits)
    if reading.resource is None or any(each.issue.is_error for each in reading.issues):
        raise Unreadable(reading.issues)
    return reading.resource


class Unreadable(Refused):
    """A text that holds no resource; the faults have their places in it."""

    def __init__(self, placed: Sequence[Placed]) -> None:
        super().__init__(*(each.issue for each in placed))
        self.placed = placed
