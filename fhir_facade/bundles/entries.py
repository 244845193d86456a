"""One entry of a batch or transaction: what it asks for, what it brings, and what is wrong with it on its own.

https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.request. Every issue is at a FHIRPath that begins with
`Bundle.entry[i]`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from fhir_facade.bundles.targets import METHODS, READS, Criteria, Target, criteria_of, is_resource, target_of
from fhir_facade.contracts import Resource
from fhir_facade.mapping.findings import nearest
from fhir_facade.outcome import Issue
from fhir_facade.profile.primitives import is_good_instant
from fhir_facade.profile.references import type_of
from fhir_facade.store.batches import shown

PATCH_TYPES = ("application/json-patch+json", "application/merge-patch+json")
LONGEST_CONDITION = 8 * 1024
CONDITIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "ifMatch": ('an ETag, such as W/"3"', ("PUT", "PATCH", "DELETE")),
    "ifNoneMatch": ('an ETag, such as W/"3"', READS),
    "ifModifiedSince": ("an instant, such as 2026-01-01T12:00:00Z", READS),
    "ifNoneExist": ("the criteria of a search, such as identifier=http://example.org|1", ("POST",)),
}
"""What each condition of a request must be, and the methods that it goes with."""

BRINGS = ("POST", "PUT", "PATCH")
STORES = ("create", "update")
_ETAGS = re.compile(r'\*|(?:(?:W/)?"[!#-~]{1,200}"(?:, ?)?){1,20}|[A-Za-z0-9.-]{1,64}').fullmatch


class Patch(NamedTuple):
    """A JSON patch or merge patch, as it would come by HTTP: its media type and its bytes."""

    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry, judged. `target` is None where the request says nothing that could be done.

    `resource` is what create and update store, what an operation is given, or a FHIRPath Patch (Parameters); `patch` is
    one of another kind. Conditions are "" where they are not sent; `if_none_exist` is the bare query.
    """

    number: int
    method: str = ""
    target: Target | None = None
    full_url: str = ""
    resource: Resource | None = None
    patch: Patch | None = None
    if_match: str = ""
    if_none_match: str = ""
    if_modified_since: str = ""
    if_none_exist: str = ""
    issues: tuple[Issue, ...] = ()

    @property
    def at(self) -> str:
        """Where the entry stands, as FHIRPath."""
        return f"Bundle.entry[{self.number}]"

    @property
    def is_faulty(self) -> bool:
        """Whether it cannot be carried out as it is."""
        return any(issue.is_error for issue in self.issues)

    @property
    def stores(self) -> bool:
        """Whether it brings a resource to be stored."""
        return self.target is not None and self.target.interaction in STORES

    @property
    def changes(self) -> bool:
        """Whether it changes what is stored."""
        return self.target is not None and self.target.interaction in (*STORES, "patch", "delete")

    @property
    def none_exist(self) -> Criteria:
        """The criteria of a conditional create, sorted; () for none."""
        return criteria_of(self.if_none_exist) or ()


def entry_of(number: int, said: Any, bundle_type: str, bases: Collection[str]) -> Entry:
    """Judge one entry on its own."""
    at = f"Bundle.entry[{number}]"
    if not isinstance(said, dict):
        return Entry(number, issues=(_shape(at, "an object"),))
    full_url, issues = said.get("fullUrl", ""), list[Issue]()
    if not isinstance(full_url, str):
        issues.append(_shape(f"{at}.fullUrl", "a string"))
        full_url = ""
    request = said.get("request")
    if not isinstance(request, dict):
        missing = Issue("entry-request-missing", at) if request is None else _shape(f"{at}.request", "an object")
        return Entry(number, full_url=full_url, issues=(*issues, missing))
    method, target = _asked(request, at, bases, issues)
    if not method:
        return Entry(number, full_url=full_url, issues=tuple(issues))
    conditions = {name: _condition(name, request.get(name), method, target, at, issues) for name in CONDITIONS}
    resource, patch = said.get("resource"), None
    if resource is not None and not (isinstance(resource, dict) and type_of(resource)):
        issues.append(_shape(f"{at}.resource", "a resource with a resourceType"))
        resource = None
    elif target is not None:
        issues += _brought(method, target, resource, bundle_type, f"{at}.resource")
    if method == "PATCH" and resource is not None and type_of(resource) != "Parameters":
        patch, resource = _patch(resource, f"{at}.resource", issues), None
    return Entry(
        number, method, target, full_url, resource if method in BRINGS else None, patch,
        if_match=conditions["ifMatch"], if_none_match=conditions["ifNoneMatch"],
        if_modified_since=conditions["ifModifiedSince"], if_none_exist=conditions["ifNoneExist"],
        issues=tuple(issues),
    )  # fmt: skip


def _asked(
    request: Mapping[str, Any], at: str, bases: Collection[str], issues: list[Issue]
) -> tuple[str, Target | None]:
    """The method and the target of a request; "" and None where they say nothing."""
    method, url, target = request.get("method"), request.get("url"), None
    if not isinstance(method, str) or method not in METHODS:
        found = shown(method) if isinstance(method, str) else ""
        facts = {"found": found, "allowed": ", ".join(METHODS), "nearest": nearest(found.upper(), METHODS)}
        issues.append(Issue("entry-method-unknown", f"{at}.request.method", facts))
        method = ""
    if not isinstance(url, str | None):
        issues.append(_shape(f"{at}.request.url", "a string"))
    elif method:
        found_target = target_of(method, url or "", f"{at}.request.url", bases)
        if isinstance(found_target, Issue):
            issues.append(found_target)
        else:
            target = found_target
    return method, target


def _condition(name: str, said: Any, method: str, target: Target | None, at: str, issues: list[Issue]) -> str:
    """A condition of the request; "" where it is not sent or is bad, which is told."""
    if said is None:
        return ""
    place, (expected, methods) = f"{at}.request.{name}", CONDITIONS[name]
    if method not in methods or (name == "ifNoneExist" and target is not None and target.interaction != "create"):
        facts = {"name": name, "method": method, "allowed": ", ".join(methods)}
        issues.append(Issue("entry-condition-misplaced", place, facts))
        return ""
    text = said.strip() if isinstance(said, str) and len(said) <= LONGEST_CONDITION else ""
    if name == "ifNoneExist":
        type_name, _, query = text.partition("?")  # some clients send the whole search
        own = type_name in ("", target.type if target else "")
        text = query if own else text
        good = criteria_of(text) is not None and (own or not is_resource(type_name))
    elif name == "ifModifiedSince":
        good = is_good_instant(text)
    else:
        good = _ETAGS(text) is not None
    if not good:
        issues.append(Issue("entry-condition-invalid", place, {"name": name, "expected": expected}))
        return ""
    return text


def _brought(method: str, target: Target, resource: Resource | None, bundle_type: str, at: str) -> Iterator[Issue]:
    """What is wrong with the resource of an entry, beside the request."""
    if resource is None:
        if target.interaction in (*STORES, "patch"):
            yield Issue("entry-resource-missing", at.removesuffix(".resource"), {"method": method})
        return
    if method not in BRINGS:
        yield Issue("entry-resource-ignored", at, {"method": method})
        return
    found = type_of(resource)
    if found == "Bundle":
        yield Issue("bundle-entry-is-bundle", at, {"type": bundle_type})
    elif target.interaction in STORES:
        if found != target.type:
            yield Issue("entry-resource-type", f"{at}.resourceType", {"found": shown(found), "type": target.type})
        elif target.id and resource.get("id") != target.id:
            yield Issue("entry-resource-id", f"{at}.id")


def _patch(resource: Resource, at: str, issues: list[Issue]) -> Patch | None:
    """The patch that a Binary is; None where it is none, which is told."""
    said, data = resource.get("contentType"), resource.get("data")
    media_type = said.partition(";")[0].strip().lower() if isinstance(said, str) else ""
    try:
        content = base64.b64decode(data if isinstance(data, str) else "", validate=True)
    except ValueError:
        content = b""
    if type_of(resource) != "Binary":
        wrong = (at, "it is no Binary", "den er ingen Binary")
    elif media_type not in PATCH_TYPES:
        wrong = (f"{at}.contentType", "its media type is another", "medietypen er en annen")
    elif not content:
        wrong = (f"{at}.data", "it is no base64 of a text", "den er ikke base64 av en tekst")
    else:
        return Patch(media_type, content)
    place, reason, grunn = wrong
    facts = {"reason": reason, "grunn": grunn, "allowed": ", ".join(PATCH_TYPES)}
    issues.append(Issue("entry-patch-invalid", place, facts))
    return None


def _shape(at: str, expected: str) -> Issue:
    return Issue("element-shape", at, {"expected": expected})
