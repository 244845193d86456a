"""The formats of patches, one row each: how it is called, who carries it out. https://hl7.org/fhir/R4/http.html#patch"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_facade.contracts import Resource
from fhir_facade.outcome import Issue, Refused
from fhir_facade.patching.fhirpath_patch import fhirpath_patched
from fhir_facade.patching.json_patch import json_patched, merge_patched


@dataclass(frozen=True, slots=True)
class PatchFormat:
    """A media type, and what makes the new resource of the old one and a patch that was parsed."""

    media: tuple[str, ...]
    name: str
    make: Callable[[Any, Any], Any]
    specification: str


FORMATS: tuple[PatchFormat, ...] = (
    PatchFormat(
        ("application/json-patch+json",), "JSON Patch", json_patched, "https://www.rfc-editor.org/rfc/rfc6902"
    ),
    PatchFormat(
        ("application/merge-patch+json",), "JSON Merge Patch", merge_patched, "https://www.rfc-editor.org/rfc/rfc7396"
    ),
    PatchFormat(
        ("application/fhir+json", "application/json"), "FHIRPath Patch", fhirpath_patched,
        "https://hl7.org/fhir/R4/fhirpatch.html",
    ),
)  # fmt: skip
MEDIA = tuple(media for row in FORMATS for media in row.media)


def format_of(media: str, patch: Any) -> PatchFormat | None:
    """The format of a patch by its media type; plain JSON that is no Parameters resource is a merge patch."""
    found = next((row for row in FORMATS if media in row.media), None)
    if media == "application/json" and not (isinstance(patch, dict) and patch.get("resourceType") == "Parameters"):
        return FORMATS[0] if isinstance(patch, list) else FORMATS[1]
    return found


def patched(resource: Resource, patch: Any, row: PatchFormat) -> Resource:
    """The resource that a patch makes, without empty objects and lists; Refused when it makes none.

    A patch changes neither the type nor the id of a resource.
    """
    made = tidied(row.make(resource, patch))
    if not isinstance(made, dict):
        raise Refused(Issue("patch-result", "patch", {"what": "resourceType"}))
    for name in ("resourceType", "id"):
        if made.get(name) != resource.get(name):
            raise Refused(Issue("patch-result", "patch", {"what": name}))
    return made


def tidied(value: Any) -> Any:
    """A value without the empty objects and lists that are left behind, which FHIR's JSON does not know."""
    if isinstance(value, dict):
        pairs = ((name, tidied(inner)) for name, inner in value.items())
        return {name: inner for name, inner in pairs if inner not in ({}, [])}
    if isinstance(value, list):
        items = [tidied(item) for item in value]
        kept = [item for item in items if item not in ({}, [])]
        return kept if any(item is not None for item in kept) else []
    return value
