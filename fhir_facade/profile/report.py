"""The walker: judges a resource by a tree of nodes and tells everything that is wrong, each with its place and rule.

It is the judge of every faster way. Values are JSON as it was parsed; nothing a client sends raises anything but
`Enough`, which Findings use at their bounds. https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from fhir_facade.definitions import definitions
from fhir_facade.outcome import Rule
from fhir_facade.profile.bindings import Bindings
from fhir_facade.profile.bundles import Entries, faults
from fhir_facade.profile.findings import Findings, listed, shown
from fhir_facade.profile.references import contained_of, repeated_contained, type_of
from fhir_facade.profile.report_rules import Rules
from fhir_facade.profile.report_slices import Item, judge_slices
from fhir_facade.profile.schema import Member, Node, Schema

DEEPEST = 100
"""Most levels of a resource that are walked; strict JSON reading refuses more than this before."""

KINDS: Mapping[type, tuple[str, str]] = {
    dict: ("an object", "et objekt"),
    list: ("an array", "en liste"),
    str: ("a text", "en tekst"),
    bool: ("true or false", "true eller false"),
    int: ("a number", "et tall"),
    float: ("a number", "et tall"),
    type(None): ("null", "null"),
}


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a value stands: its resource, the resource that holds that one, and the Bundle around them."""

    resource: Mapping[str, Any]
    root: Mapping[str, Any]
    contained: Mapping[str, Mapping[str, Any]]
    entries: Entries | None = None
    full_url: str = ""


class Place(NamedTuple):
    """A value with its primitive twin, where it stands, and how deep."""

    value: Any
    twin: Any
    at: str
    depth: int


class Walker:
    """One validation. `on` is the day that codes are judged on, None for today's lists as they stand."""

    def __init__(
        self, schema: Schema, bindings: Bindings, findings: Findings, *, on: date | None = None,
        unknown_profile: str = "warning",
    ) -> None:  # fmt: skip
        self.schema = schema
        self.bindings = bindings
        self.findings = findings
        self.on = on
        self.unknown_profile = unknown_profile
        self.rules = Rules(self)
        self._bundles: dict[int, Entries] = {}  # by identity: the resource outlives the walk

    # resources

    def resource(
        self, value: Any, at: str, frame: Frame | None = None, profiles: Sequence[str] = (), depth: int = 0
    ) -> None:
        """Judge a resource by the profiles that are named and those that it declares, else by its type alone."""
        name = type_of(value)
        if not isinstance(value, dict) or definitions().kind(name) != "resource" or self._is_abstract(name):
            self._no_resource(value, at)
            return
        frame = frame or Frame(value, value, contained_of(value))
        for number, id in repeated_contained(value) if "contained" in value else ():
            self.findings.add("id-repeated", f"{at}.contained[{number}].id", facts={"found": shown(id)})
        nodes = [node for url in dict.fromkeys((*profiles, *declared(value))) if (node := self._profile(url, name, at))]
        base = self.schema.node(name)
        for node in nodes or ([base] if base else []):
            for lost in node.missing:
                self.findings.add(
                    "profile-incomplete", at, Rule("profile-incomplete", node.origin), facts={"found": lost}
                )
            self.value(node, Place(value, None, at, depth), frame)
        if name == "Bundle":
            entries = self._entries(value)
            names = entries.names()
            for fault in faults(entries):
                unresolved = fault.code == "bundle-reference-unresolved"
                near = self.findings.nearest(fault.facts["found"], names) if unresolved else {}
                self.findings.add(fault.code, f"{at}.{fault.place}", Rule(fault.key), facts={**fault.facts, **near})

    def _is_abstract(self, name: str) -> bool:
        return name in ("Resource", "DomainResource")

    def _no_resource(self, value: Any, at: str) -> None:
        if not isinstance(value, dict):
            self.wrong_kind(value, at, "Resource", ("an object", "et objekt"))
            return
        found = value.get("resourceType", "")
        near = self.findings.nearest(str(found)[:64], definitions().resource_types)
        self.findings.add("resource-type-unknown", at, facts={"found": shown(found), **near})

    def _profile(self, url: str, name: str, at: str) -> Node | None:
        node = self.schema.node(url)
        if node is None:
            near = {"nearest": "", "likest": ""}
            severity = self.unknown_profile
            self.findings.add("profile-unknown", at, severity=severity, facts={"found": shown(url), **near})
        elif node.types[0].code != name:
            facts = {"found": shown(url), "expected": node.types[0].code, "type": name}
            self.findings.add("profile-wrong-type", at, facts=facts)
            return None
        return node

    def inner(self, node: Node, place: Place, frame: Frame) -> None:
        """A resource inside a resource: contained, or the resource of a Bundle's entry."""
        name = type_of(place.value)
        allowed = [each for each in node.types if each.code in (name, "Resource", "DomainResource")]
        if name and node.types and not allowed:
            facts = {"found": name, "allowed": listed(each.code for each in node.types)}
            self.findings.add(
                "resource-type-not-allowed", place.at, self.rule(node, "resource-type-not-allowed"), facts=facts
            )
            return
        held = place.value if isinstance(place.value, dict) else {}
        if node.name == "contained":
            inside = replace(frame, resource=held)
        else:
            entries = self._entries(frame.resource) if type_of(frame.resource) == "Bundle" else None
            inside = Frame(held, held, contained_of(held), entries, entries.url_of(held) if entries else "")
        profiles = [profile for each in allowed for profile in each.profiles]
        self.resource(place.value, place.at, inside, profiles, place.depth)

    def _entries(self, bundle: Mapping[str, Any]) -> Entries:
        """The entries of a Bundle, looked through once."""
        known = self._bundles.get(id(bundle))
        if known is None:
            known = self._bundles[id(bundle)] = Entries(bundle)
        return known

    # values

    def value(self, node: Node, place: Place, frame: Frame) -> None:
        """One value of one type: its form, what is below it, and then the rules that are said of it."""
        if place.depth > DEEPEST:
            self.findings.add("json-too-deep", place.at, facts={"limit": str(DEEPEST)})
            return
        before = len(self.findings.broken)
        if node.kind == "primitive":
            self._primitive(node, place, frame)
        elif node.kind == "xhtml":
            self.rules.narrative(node, place)
        elif node.kind == "resource":
            self.inner(node, place, frame)
            return
        else:
            self._object(node, place, frame)
        near = [each for each in self.findings.broken[before:] if "." not in each[len(place.at) + 1 :]]
        if place.value is not None or place.twin is not None:
            self.rules.judge(node, place, frame, broken=bool(near))

    def _primitive(self, node: Node, place: Place, frame: Frame) -> None:
        if place.twin is not None:
            if not isinstance(place.twin, dict):
                self.wrong_kind(place.twin, place.at, "Element", ("an object", "et objekt"))
            else:
                self._members(node, place._replace(value=place.twin), frame)
                if not place.twin or (not set(place.twin) - {"id"} and place.value is None):
                    self.empty(node, place.at)
        if place.value is not None:
            self.rules.primitive(node, place)

    def _object(self, node: Node, place: Place, frame: Frame) -> None:
        value = place.value
        if not isinstance(value, dict):
            self.wrong_kind(value, place.at, node.type or node.name, ("an object", "et objekt"))
            return
        if not set(value) - (
            {"id"} if not node.is_root or node.kind != "complex" or node.type == "Extension" else set()
        ):
            self.empty(node, place.at)
            return
        self._members(node, place, frame)

    def empty(self, node: Node, at: str) -> None:
        self.findings.add("value-empty", at, self.rule(node, "value-empty"), facts={"name": node.name})

    def wrong_kind(self, value: Any, at: str, type_name: str, expected: tuple[str, str]) -> None:
        found = KINDS.get(type(value), ("something else", "noe annet"))
        facts = {
            "name": at.rpartition(".")[2], "type": type_name, "expected": expected[0], "ventet": expected[1],
            "found": found[0], "funnet": found[1],
        }  # fmt: skip
        self.findings.add("type-wrong", at, facts=facts)

    def rule(self, node: Node, key: str) -> Rule:
        return Rule(key, node.origin, node.id)

    def _members(self, node: Node, place: Place, frame: Frame) -> None:
        """The keys of an object: each known, of one choice one, and as often as is allowed."""
        value: dict[str, Any] = place.value
        members = node.members
        is_resource = definitions().kind(node.type) == "resource"
        found: dict[str, list[Member]] = {}
        mistyped: set[str] = set()
        for key in value:
            plain = key[1:] if key.startswith("_") else key
            member = members.get(plain)
            if member is None or (key != plain and member.node.kind not in ("primitive", "xhtml")):
                if not (is_resource and key == "resourceType"):
                    mistyped.add(self._unknown(node, key, place.at))
            elif member not in (held := found.setdefault(member.element.name, [])):
                held.append(member)
        for name, held in found.items():
            child = node.children[name]
            if len(held) > 1:
                at = f"{place.at}.{name.removesuffix('[x]')}"
                facts = {"name": name, "found": listed(each.key for each in held)}
                self.findings.add("choice-repeated", at, self.rule(child, "choice-repeated"), facts=facts)
            self._element(node, child, held[:1], place, frame)
        for child in demanded(node):
            if child.name not in found and child.name not in mistyped:
                self._element(node, child, [], place, frame)

    def _unknown(self, node: Node, key: str, at: str) -> str:
        """Tell a key that is not known here; gives the choice that it is of with a type that is not allowed, or ""."""
        place = f"{at}.{shown(key)[:64]}"
        stem = next((name for name in node.children if name.endswith("[x]") and key.startswith(name[:-3])), "")
        if stem and definitions().element(f"{node.type_path}.{key}") is not None:
            facts = {"name": stem, "found": key, "allowed": listed(each.code for each in node.children[stem].types)}
            self.findings.add(
                "choice-type-not-allowed", place, self.rule(node.children[stem], "choice-type-not-allowed"), facts=facts
            )
            return stem
        near = self.findings.nearest(key[:64], node.members)
        hint = near["nearest"] if isinstance(near.get("nearest"), str) else ""
        facts = {"element": shown(key)[:64], "parent": node.type or node.name, "allowed": listed(node.members) + hint}
        self.findings.add("element-unknown", place, self.rule(node, "element-unknown"), facts=facts)
        return ""

    def _element(self, parent: Node, child: Node, held: list[Member], place: Place, frame: Frame) -> None:
        """All items of one element: how many there are, which slices they are of, and each of them."""
        if not held:
            if child.min > 0:
                facts = {"element": child.name, "parent": place.at.rpartition(".")[2]}
                at = f"{place.at}.{child.name.removesuffix('[x]')}"
                self.findings.add("element-missing", at, self.rule(child, "element-missing"), facts=facts)
            else:
                judge_slices(self, child, [], f"{place.at}.{child.name.removesuffix('[x]')}", frame)
            return
        member = held[0]
        at = f"{place.at}.{child.name.removesuffix('[x]')}"
        items = self._items(member, at, place)
        if items is None:
            return
        name = member.key
        if child.max == 0:
            facts = {"name": name, "slice": "", "utsnitt": ""}
            self.findings.add("element-forbidden", at, self.rule(child, "element-forbidden"), facts=facts)
        elif child.max is not None and len(items) > child.max:
            facts = {"name": name, "count": str(len(items)), "max": str(child.max), "slice": "", "utsnitt": ""}
            self.findings.add("element-too-many", at, self.rule(child, "element-too-many"), facts=facts)
        if len(items) < child.min:
            facts = {
                "element": name,
                "parent": place.at.rpartition(".")[2],
                "count": str(len(items)),
                "min": str(child.min),
            }
            self.findings.add("element-too-few", at, self.rule(child, "element-too-few"), facts=facts)
        judge_slices(self, child, items, at, frame)

    def _items(self, member: Member, at: str, place: Place) -> list[Item] | None:
        """The values of an element one by one; None when the JSON is not of its form."""
        node, depth, beside_it = member.node, place.depth + 1, f"_{member.key}"
        held_twins = node.kind in ("primitive", "xhtml")
        values, twins = place.value.get(member.key), place.value.get(beside_it) if held_twins else None
        for key, each in ((member.key, values), (beside_it, twins)):
            if each is None and key in place.value and (held_twins or key == member.key):
                self.findings.add("null-not-allowed", at, self.rule(node, "null-not-allowed"), facts={"name": key})
                return None
        if not member.element.many:
            for each in (values, twins):
                if isinstance(each, list):
                    self.findings.add(
                        "array-not-expected", at, self.rule(node, "array-not-expected"), facts={"name": member.key}
                    )
                    return None
            return [Item(node, Place(values, twins, at, depth))]
        for each in (values, twins):
            if each is not None and not isinstance(each, list):
                found = KINDS.get(type(each), ("something else", "noe annet"))
                facts = {"name": member.key, "found": found[0], "funnet": found[1]}
                self.findings.add("array-expected", at, self.rule(node, "array-expected"), facts=facts)
                return None
        held, beside = values or [], twins or []
        if not held and not beside:
            self.findings.add("value-empty", at, self.rule(node, "value-empty"), facts={"name": member.key})
            return None
        if beside and held and len(held) != len(beside):
            facts = {"name": member.key, "count": str(len(held)), "twins": str(len(beside))}
            self.findings.add("primitive-arrays-differ", at, self.rule(node, "primitive-arrays-differ"), facts=facts)
            return None
        items = []
        for number in range(max(len(held), len(beside))):
            value = held[number] if number < len(held) else None
            twin = beside[number] if number < len(beside) else None
            if value is None and twin is None:
                facts = {"name": f"{member.key}[{number}]"}
                self.findings.add(
                    "null-not-allowed", f"{at}[{number}]", self.rule(node, "null-not-allowed"), facts=facts
                )
                continue
            items.append(Item(node, Place(value, twin, f"{at}[{number}]", depth)))
        return items


@lru_cache(maxsize=16384)
def demanded(node: Node) -> tuple[Node, ...]:
    """The elements that are missed when they are absent: those that must be there, or that a slice must be of."""
    return tuple(
        child for child in node.children.values() if child.min > 0 or any(slice.min > 0 for slice in child.slices)
    )


def declared(resource: Mapping[str, Any]) -> list[str]:
    """The profiles that a resource says it keeps to."""
    meta = resource.get("meta")
    listed_ = meta.get("profile") if isinstance(meta, dict) else None
    return [each for each in listed_ if isinstance(each, str)] if isinstance(listed_, list) else []
