"""What is judged of a reference: its form, what it may point at, and what stands there when that is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fhir_facade.definitions import definitions
from fhir_facade.profile.findings import listed, shown
from fhir_facade.profile.references import contained_of, is_kind_of, parse, type_of
from fhir_facade.profile.schema import CORE, Node

if TYPE_CHECKING:
    from fhir_facade.profile.report import Frame, Place
    from fhir_facade.profile.report_rules import Rules


class ReferenceRules:
    """The rules of references of one validation; `kept` are the targets that were judged, by identity and profile."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.walker = rules.walker
        self.findings = rules.findings
        self.kept: dict[tuple[int, str], bool | None] = {}  # the resources outlive the walk

    def judge(self, node: Node, place: Place, frame: Frame) -> None:
        value = place.value
        said = value if isinstance(value, str) else value.get("reference") if isinstance(value, dict) else None
        named = value.get("type") if isinstance(value, dict) else None
        if not isinstance(said, str):
            if isinstance(named, str) and node.type == "Reference":
                self._target(node, named, place)
            return
        if node.type == "canonical":
            return
        pointer = parse(said)
        at = f"{place.at}.reference"
        if pointer.kind == "bad":
            self.findings.add(
                "reference-format", at, self.walker.rule(node, "reference-format"), facts={"found": shown(said)}
            )
            return
        found = self.rules.judge_for(frame).resolve(said)
        if pointer.kind == "contained" and found is None:
            facts = {"found": shown(pointer.id), "allowed": listed(frame.contained) or "-"}
            near = self.findings.nearest(pointer.id, frame.contained)
            self.findings.add("reference-contained-missing", at, self.walker.rule(node, "ref-1"), facts=facts | near)
            return
        actual = type_of(found) or pointer.type or (named if isinstance(named, str) else "")
        if isinstance(named, str) and named.removeprefix(CORE) != actual:
            facts = {"named": shown(named), "found": actual, "funnet": actual}
            code = "reference-type-differs"
            self.findings.add(code, f"{place.at}.type", self.walker.rule(node, code), facts=facts)
        if actual and self._target(node, actual, place) and found is not None:
            self._target_profiles(node, actual, found, place, frame)

    def _target(self, node: Node, actual: str, place: Place) -> bool:
        """Whether a reference may point at a type; what is wrong is told."""
        allowed = [self._target_type(url) for url in node.targets]
        if not allowed or definitions().kind(actual) != "resource":
            return True
        if any(not each or is_kind_of(actual, each) for each in allowed):
            return True
        facts = {"found": actual, "funnet": actual, "allowed": listed(allowed)}
        self.findings.add("reference-target", place.at, self.walker.rule(node, "reference-target"), facts=facts)
        return False

    def _target_profiles(
        self, node: Node, actual: str, found: Mapping[str, Any], place: Place, frame: Frame
    ) -> None:  # fmt: skip
        """What is at hand keeps to one of the profiles that are allowed of its type."""
        wanted = [url for url in node.targets if self._target_type(url) in (actual, "Resource", "DomainResource", "")]
        if not wanted or any(url.partition("|")[0].startswith(CORE) or not self._target_type(url) for url in wanted):
            return
        if not any(self._target_keeps(url, found, frame) is not False for url in wanted):
            facts = {"allowed": listed(wanted)}
            code = "reference-target-profile"
            self.findings.add(code, place.at, self.walker.rule(node, code), facts=facts)

    def _target_keeps(self, url: str, found: Mapping[str, Any], frame: Frame) -> bool | None:
        """Whether a target keeps to a profile, judged once; None while it is being judged: it points at itself."""
        key = (id(found), url)
        if key not in self.kept:
            self.kept[key] = None
            is_contained = any(each is found for each in frame.contained.values())
            inside = replace(frame, resource=found) if is_contained else _entry_frame(frame, found)
            self.kept[key] = self.rules.conforms(url, found, inside)
        return self.kept[key]

    def _target_type(self, canonical: str) -> str:
        """The resource type that a target canonical is of, "" when it is not known."""
        plain = canonical.partition("|")[0]
        if plain.startswith(CORE) and definitions().is_type(plain.removeprefix(CORE)):
            return plain.removeprefix(CORE)
        found = self.walker.schema.packages.find(canonical)
        return found.type if found else ""


def _entry_frame(frame: Frame, found: Mapping[str, Any]) -> Frame:
    url = frame.entries.url_of(found) if frame.entries else ""
    return replace(frame, resource=found, root=found, contained=contained_of(found), full_url=url)
