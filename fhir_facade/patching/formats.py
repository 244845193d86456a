"""The patch formats that are taken, and the one way in: `patched`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fhir_facade.contracts import Resource
from fhir_facade.outcome import Issue, Refused
from fhir_facade.patching.budget import MOST_CHARACTERS, MOST_OPERATIONS, Budget
from fhir_facade.patching.fhirpath_patch import fhirpath_patched
from fhir_facade.patching.json_patch import json_patched
from fhir_facade.patching.merge_patch import merged
from fhir_facade.profile.matching import same


class Format(NamedTuple):
    """A patch format: its name for people, and what applies a parsed patch to a parsed document."""

    name: str
    apply: Callable[[Any, Any, Budget], Any]


FORMATS: Mapping[str, Format] = {
    "application/json-patch+json": Format("JSON Patch", json_patched),
    "application/merge-patch+json": Format("JSON Merge Patch", merged),
    "application/fhir+json": Format("FHIRPath Patch", fhirpath_patched),
}
"""By media type; CapabilityStatement.patchFormat lists the keys."""


def patched(
    resource: Resource, patch: Any, media: str, operations: int = MOST_OPERATIONS, characters: int = MOST_CHARACTERS
) -> Resource:
    """The resource with a parsed patch applied; `media` is a media type, with or without parameters.

    Neither argument is changed. Refused names the place in the patch, and in its sentence that in the resource.
    At most `operations` operations are carried out, and at most `characters` characters copied, the resource's too.
    """
    form = FORMATS.get(media.partition(";")[0].strip().lower())
    if form is None:
        raise Refused(Issue("patch-media-unknown", "Content-Type", {"known": sorted(FORMATS)}))
    result = form.apply(resource, patch, Budget(operations, characters))
    if not isinstance(result, dict) or result.get("resourceType") != resource.get("resourceType"):
        raise Refused(Issue("patch-type-changed", f"{resource.get('resourceType')}"))
    if not same([result.get("id")], [resource.get("id")]):
        raise Refused(Issue("patch-id-changed", f"{resource.get('resourceType')}.id"))
    return result
