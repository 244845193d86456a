"""Parts of resources: `_summary` and `_elements`, for a read and for the matches of a search.

https://hl7.org/fhir/R4/search.html#summary, #elements. What is left is still valid: an element that R4 demands stays,
and the tag SUBSETTED says that the resource is not whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from fhir_facade.contracts import Resource
from fhir_facade.definitions import definitions
from fhir_facade.mapping.findings import nearest
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.numbers import dumps, loads
from fhir_facade.store.batches import shown

SUBSETTED = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
SUMMARIES = ("true", "text", "data", "count", "false")
SUBSET_PARAMETERS: Mapping[str, tuple[str, str, str]] = {  # name → type, example, meaning
    "_summary": (
        "code",
        "true",
        "true: R4's summary; text: narrative and what R4 demands; data: no narrative; count: how many; false: all.",
    ),
    "_elements": (
        "string",
        "id",
        "Only these elements, separated by commas, and those that R4 demands or that change what others mean.",
    ),
}
ALWAYS = frozenset({"resourceType", "id", "meta"})
WHOLE = ""
"""In place of the path of an element whose content is not looked into."""


@dataclass(frozen=True, slots=True)
class Subset:
    """Which part of a resource is wanted; all of it at first. It is true when something is to be left out."""

    summary: str = ""
    elements: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.elements) or self.summary not in ("", "false")

    @property
    def is_count(self) -> bool:
        """Whether only the number of matches is wanted."""
        return self.summary == "count"

    @property
    def of_included(self) -> Subset:
        """What is wanted of included resources: R4 applies `_elements` to matches only."""
        return Subset(self.summary)

    def of(self, resource: Resource) -> Resource:
        """The wanted part of a resource, tagged; the resource itself when all is wanted."""
        return _tagged(self._cut(resource)) if self and not self.is_count else resource

    def of_bytes(self, body: bytes) -> bytes:
        """The same of JSON bytes."""
        return dumps(self.of(loads(body))) if self else body

    def _cut(self, resource: Resource) -> Resource:
        name = resource["resourceType"]
        if self.summary == "data":
            return {key: value for key, value in resource.items() if key != "text"}
        if self.summary == "true":
            cut = _summarised(resource, name)
        else:
            kept = _kept_of(name, self.elements) if self.elements else _kept_of_text(name)
            cut = {key: value for key, value in resource.items() if key.removeprefix("_") in kept}
        if "contained" in resource and b'"reference":"#' in dumps(cut):
            cut["contained"] = resource["contained"]
        return cut


def with_parameter(subset: Subset, resource_type: str, name: str, value: str, *, searching: bool = True) -> Subset:
    """The subset with `_summary` or `_elements` taken; Refused when its value is wrong or both are given."""
    if subset.summary or subset.elements:
        raise Refused(Issue("parameters-together", name, {"names": list(SUBSET_PARAMETERS)}))
    if name == "_summary":
        allowed = SUMMARIES if searching else [each for each in SUMMARIES if each != "count"]
        if value not in allowed:
            facts = {
                "name": name,
                "type": "code",
                "reason": f"none of {', '.join(allowed)}",
                "example": "_summary=true",
            }
            raise Refused(Issue("search-value-invalid", name, facts))
        return replace(subset, summary=value)
    known = _names(resource_type)
    asked = value.split(",")
    for each in asked:
        if each not in known:
            raise Refused(_unknown(resource_type, shown(each), known))
    return replace(subset, elements=tuple(asked))


def _unknown(resource_type: str, said: str, known: Iterable[str]) -> Issue:
    """The issue for a name that is no element: those that are, a choice once, and which was perhaps meant."""
    paths = (_element(f"{resource_type}.{name}").path for name in definitions().children(resource_type))
    allowed = list(dict.fromkeys(path.rpartition(".")[2].removesuffix("[x]") for path in paths))
    facts = {"type": resource_type, "name": said, "allowed": allowed, "nearest": nearest(said, [*known])}
    return Issue("elements-unknown", "_elements", facts)


def refuse_text_with_included(subset: Subset, names: Iterable[str]) -> None:
    """R4 has no `_summary=text` with included resources; `names` are those of all parameters."""
    given = sorted({"_include", "_revinclude"}.intersection(name.partition(":")[0] for name in names))
    if subset.summary == "text" and given:
        raise Refused(Issue("parameters-together", "_summary", {"names": [*given, "_summary=text"]}))


@lru_cache(maxsize=512)
def _names(resource_type: str) -> Mapping[str, frozenset[str]]:
    """What `_elements` may name → the keys that it means: value and value[x] mean every choice, valueQuantity one.

    The type is no element and always there; clients that build their list from JSON name it too.
    """
    found: dict[str, frozenset[str]] = {"resourceType": frozenset({"resourceType"})}
    for name in definitions().children(resource_type):
        last = _element(f"{resource_type}.{name}").path.rpartition(".")[2]
        for each in (name, last, last.removesuffix("[x]")):
            found[each] = found.get(each, frozenset()) | {name}
    return found


@lru_cache(maxsize=1024)
def _kept_of(resource_type: str, asked: tuple[str, ...]) -> frozenset[str]:
    """The keys that stay for `_elements`."""
    names = _names(resource_type)
    kept = set(ALWAYS).union(*(names[each] for each in asked))
    for name in definitions().children(resource_type):
        element = _element(f"{resource_type}.{name}")
        if element.min or element.modifier:
            kept.add(name)
    return frozenset(kept)


@lru_cache(maxsize=512)
def _kept_of_text(resource_type: str) -> frozenset[str]:
    demanded = {name for name in definitions().children(resource_type) if _element(f"{resource_type}.{name}").min}
    return frozenset(ALWAYS | {"text"} | demanded)


def _element(path: str) -> Any:
    return definitions().element(path)


def _summarised(content: Mapping[str, Any], path: str) -> dict[str, Any]:
    """What a summary shows of an element, in the order in which it stood."""
    plan = _plan(path)
    cut = {}
    for key, value in content.items():
        below = plan.get(key.removeprefix("_"))
        if below == WHOLE or key == "resourceType":
            cut[key] = value
        elif below is not None:
            cut[key] = [_inner(each, below) for each in value] if isinstance(value, list) else _inner(value, below)
    return cut


def _inner(value: Any, below: str) -> Any:
    """What a summary shows of one item; an item of which it would show nothing stays as it is."""
    return (_summarised(value, below) or value) if isinstance(value, dict) else value


@lru_cache(maxsize=2048)
def _plan(path: str) -> Mapping[str, str]:
    """The children of an element that a summary shows → the path of their own children, or WHOLE.

    An extension belongs to what it extends: it is shown with a shown element, but not with the resource as such, where
    only those stay that change its meaning.
    """
    table = definitions()
    resource = "." not in path and table.kind(path) == "resource"
    found = {}
    for name in table.children(path):
        element = _element(f"{path}.{name}")
        with_it = name in ("id", "extension") and not resource
        if not (element.summary or element.min or with_it or name == "modifierExtension"):
            continue
        kind = element.types[0] if element.types else ""
        inline = kind in ("", "BackboneElement", "Element")
        plain = kind in ("Extension", "Meta") or table.kind(kind) in ("primitive-type", "resource")
        found[name] = WHOLE if plain else f"{path}.{name}" if inline else kind
    return found


def _tagged(resource: Resource) -> Resource:
    """The resource with the tag SUBSETTED, meta after id."""
    meta = resource.get("meta", {})
    tags = [*(each for each in meta.get("tag", ()) if each.get("code") != SUBSETTED["code"]), SUBSETTED]
    head: Resource = {key: resource[key] for key in ("resourceType", "id") if key in resource}
    head["meta"] = {**meta, "tag": tags}
    return head | {key: value for key, value in resource.items() if key not in ALWAYS}


ALL = Subset()
"""Nothing is left out."""
