"""What is judged of one value: its format, fixed values and patterns, codes, references, extensions, constraints."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fhir_facade.definitions import definitions
from fhir_facade.outcome import Rule
from fhir_facade.packages.elements import FHIR_TYPE, FHIRPATH_TYPE, Binding, Constraint, Definition
from fhir_facade.profile import fhirpath
from fhir_facade.profile.bindings import codes_of
from fhir_facade.profile.fhirpath_syntax import FhirPathError
from fhir_facade.profile.fhirpath_values import Item
from fhir_facade.profile.findings import listed, shown
from fhir_facade.profile.narrative import check_narrative, is_good_narrative
from fhir_facade.profile.primitives import check
from fhir_facade.profile.references import are_contained_used, parse, type_of
from fhir_facade.profile.report_references import ReferenceRules
from fhir_facade.profile.report_values import from_fixed, from_pattern
from fhir_facade.profile.schema import Node

if TYPE_CHECKING:
    from fhir_facade.profile.report import Frame, Place, Walker

JUDGED_ELSEWHERE = frozenset({"ele-1", "txt-1", "txt-2", "bdl-7", "ref-1"})
"""Constraints that the walk itself tells: value-empty, the narrative rules, the fullUrl that stands twice, and a
reference into what is contained, for which the FHIRPath would go through all of it."""

CORRECTED: Mapping[str, str] = {
    "operator = 'exists' implies (answer is Boolean)": "operator = 'exists' implies (answer is boolean)",
}
"""Expressions of R4 that cannot hold as they are written, and what they mean: FHIR's boolean is not System.Boolean."""

CONTAINED_ONCE = frozenset({"dom-3"})
"""Constraints about contained resources that a contained resource is not asked for: it may have none, says dom-2."""

EXPECTED: Mapping[str, tuple[str, str]] = {
    "boolean": ("true or false", "true eller false"),
    "decimal": ("a number", "et tall"),
    "integer": ("a whole number", "et helt tall"),
    "unsignedInt": ("a whole number", "et helt tall"),
    "positiveInt": ("a whole number", "et helt tall"),
}
REMEDIES: Mapping[str, tuple[str, str]] = {
    "date": ("Write 2024, 2024-05 or 2024-05-17.", "Skriv 2024, 2024-05 eller 2024-05-17."),
    "dateTime": (
        "Write a date, or a time with seconds and offset: 2024-05-17T08:30:00+02:00.",
        "Skriv en dato, eller et tidspunkt med sekunder og forskyvning: 2024-05-17T08:30:00+02:00.",
    ),
    "instant": ("Write 2024-05-17T08:30:00+02:00.", "Skriv 2024-05-17T08:30:00+02:00."),
    "time": ("Write 08:30:00.", "Skriv 08:30:00."),
    "id": ("Use 1 to 64 of A-Z a-z 0-9 - and full stop.", "Bruk 1 til 64 av A-Z a-z 0-9 - og punktum."),
    "code": ("Write it without spaces around it.", "Skriv den uten mellomrom rundt."),
}
REMEDY = ("Correct the value.", "Rett verdien.")
CODED = ("code", "Coding", "CodeableConcept", "Quantity", "string", "uri")
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+").fullmatch
NEAREST_CODES = 12
CONTEXTS = ("element", "extension", "fhirpath")


class FrameJudge:
    """What slices and constraints ask, answered from where they stand."""

    def __init__(self, rules: Rules, frame: Frame) -> None:
        self._rules = rules
        self._frame = frame

    def member(self, value_set: str, value: Any) -> bool | None:
        return self._rules.walker.bindings.member(value_set, value, self._rules.walker.on)

    def conforms(self, canonical: str, value: Any) -> bool | None:
        return self._rules.conforms(canonical, value, self._frame)

    def resolve(self, reference: str) -> Mapping[str, Any] | None:
        frame = self._frame
        pointer = parse(reference)
        if pointer.kind == "contained":
            return frame.root if not pointer.id else frame.contained.get(pointer.id)
        return frame.entries.resolve(reference, frame.full_url) if frame.entries else None


class Rules:
    """The rules of one validation."""

    def __init__(self, walker: Walker) -> None:
        self.walker = walker
        self.findings = walker.findings
        self._judges: dict[int, tuple[Frame, FrameJudge]] = {}
        self._conforming = 0
        self.references = ReferenceRules(self)

    def judge_for(self, frame: Frame) -> FrameJudge:
        known = self._judges.get(id(frame))
        if known is None or known[0] is not frame:
            known = self._judges[id(frame)] = (frame, FrameJudge(self, frame))
        return known[1]

    def conforms(self, canonical: str, value: Any, frame: Frame) -> bool | None:
        """Whether a value keeps to a profile; None when the profile is not at hand, or it asks in circles."""
        from fhir_facade.profile.findings import Enough, Findings
        from fhir_facade.profile.report import Place, Walker

        node = self.walker.schema.node(canonical)
        if node is None or self._conforming > 8:
            return None
        findings = Findings(self.findings.overrides, first_error=True)
        inner = Walker(self.walker.schema, self.walker.bindings, findings, on=self.walker.on)
        inner.rules._conforming = self._conforming + 1
        inner.rules.references.kept = self.references.kept
        with contextlib.suppress(Enough):
            inner.value(node, Place(value, None, node.name, 0), frame)
        return not findings.has_error

    # formats

    def primitive(self, node: Node, place: Place) -> None:
        """The format of a primitive, and its bounds."""
        type_name = node.type
        reason = check(type_name, place.value)
        rule = self.walker.rule
        if reason == "json-kind":
            self.walker.wrong_kind(place.value, place.at, type_name, EXPECTED.get(type_name, ("a text", "en tekst")))
        elif reason == "empty":
            self.walker.empty(node, place.at)
        elif reason == "control-character":
            bad = next((c for c in place.value if c < " " and c not in "\t\r\n"), "\x7f")
            facts = {"found": f"U+{ord(bad):04X}"}
            self.findings.add("control-character", place.at, rule(node, "control-character"), facts=facts)
        elif reason == "too-long":
            facts = {"count": str(len(place.value)), "limit": "1048576"}
            self.findings.add("string-too-long", place.at, rule(node, "string-too-long"), facts=facts)
        elif reason is not None:
            remedy = REMEDIES.get(type_name, REMEDY)
            facts = {"found": shown(place.value), "type": type_name, "remedy": remedy[0], "råd": remedy[1]}
            self.findings.add("format-wrong", place.at, rule(node, "format-wrong"), facts=facts)
        else:
            self._bounds(node, place)

    def _bounds(self, node: Node, place: Place) -> None:
        value = place.value
        if node.max_length is not None and isinstance(value, str) and len(value) > node.max_length:
            facts = {"count": str(len(value)), "limit": str(node.max_length)}
            self.findings.add("string-too-long", place.at, self.walker.rule(node, "string-too-long"), facts=facts)
        for bound, sign in ((node.min_value, "≥"), (node.max_value, "≤")):
            same_kind = isinstance(bound, str) == isinstance(value, str)
            if bound is None or not same_kind or isinstance(bound, dict):
                continue
            if value < bound if sign == "≥" else value > bound:
                facts = {"found": shown(value), "bound": f"{sign} {bound}", "grense": f"{sign} {bound}"}
                self.findings.add(
                    "value-out-of-range", place.at, self.walker.rule(node, "value-out-of-range"), facts=facts
                )

    def narrative(self, node: Node, place: Place) -> None:
        if not isinstance(place.value, str | None):
            self.walker.wrong_kind(place.value, place.at, node.type, ("a text", "en tekst"))
            return
        found = check_narrative(place.value)
        if found is None:
            return
        reason, detail = found
        rule = self.walker.rule
        if reason == "empty":
            self.findings.add("narrative-empty", place.at, rule(node, "txt-2"))
        elif reason == "not-allowed":
            self.findings.add("narrative-not-allowed", place.at, rule(node, "txt-1"), facts={"found": shown(detail)})
        else:
            facts = {"reason": shown(detail) or reason, "grunn": shown(detail) or reason}
            self.findings.add("narrative-not-xml", place.at, rule(node, "narrative-not-xml"), facts=facts)

    # rules of a node

    def judge(self, node: Node, place: Place, frame: Frame, *, broken: bool) -> None:
        """Everything that a node says of a value beyond its form."""
        if node.fixed is not None and place.value is not None:
            self._difference("fixed-differs", node, place)
        if node.pattern is not None and place.value is not None:
            self._difference("pattern-differs", node, place)
        if node.binding is not None and place.value is not None and not broken:
            self._bound(node, node.binding, place)
        if node.type in ("Reference", "canonical") and not broken:
            before = len(self.findings.broken)
            self.references.judge(node, place, frame)
            broken = len(self.findings.broken) > before
        if node.type == "Extension" and isinstance(place.value, dict) and not node.is_root:
            before = len(self.findings.broken)
            self._extension(node, place, frame)
            broken = broken or _is_near(place.at, self.findings.broken[before:])
        if len(node.profiles) > 1:
            self._any_profile(node, place, frame)
        for lost in node.missing if not node.is_root else ():
            self.findings.add(
                "profile-incomplete", place.at, self.walker.rule(node, "profile-incomplete"), facts={"found": lost}
            )
        for constraint in node.constraints:
            is_asked = frame.resource is frame.root or constraint.key not in CONTAINED_ONCE
            if is_asked and constraint.key not in JUDGED_ELSEWHERE:
                self._constraint(node, constraint, place, frame, broken=broken)

    def _difference(self, code: str, node: Node, place: Place) -> None:
        said = node.fixed if code == "fixed-differs" else node.pattern
        if said is None:
            return
        differs = (from_fixed if code == "fixed-differs" else from_pattern)(place.value, said.value)
        if differs is not None:
            at = f"{place.at}{differs.place}"
            facts = {"place": at.rpartition(".")[2], **differs.facts()}
            self.findings.add(code, at, self.walker.rule(node, code), facts=facts)

    def _any_profile(self, node: Node, place: Place, frame: Frame) -> None:
        answers = [self.conforms(profile, place.value, frame) for profile in node.profiles]
        if True not in answers and None not in answers:
            facts = {"allowed": listed(node.profiles), "reason": "", "grunn": ""}
            self.findings.add("profile-not-met", place.at, self.walker.rule(node, "profile-not-met"), facts=facts)

    # codes

    def _bound(self, node: Node, binding: Binding, place: Place) -> None:
        if node.type not in CODED or binding.strength in ("preferred", "example"):
            return
        url = binding.value_set
        pairs = list(codes_of(place.value))
        if pairs and pairs[0][1].startswith(FHIRPATH_TYPE):
            return  # R4's own StructureDefinitions type ids so, and the value set lacks it
        answers = [self.walker.bindings.answer(url, system, code, self.walker.on) for system, code in pairs]
        rule = self.walker.rule
        if not answers:
            if binding.strength == "required" and node.type in ("Coding", "CodeableConcept"):
                facts = {"value_set": url, "allowed": listed(self.walker.bindings.allowed(url))}
                self.findings.add(
                    "code-missing-for-binding", place.at, rule(node, "code-missing-for-binding"), facts=facts
                )
            return
        found = listed(shown(f"{system}#{code}" if system else code) for system, code in pairs)
        if "in" in answers:
            return
        if "out-of-use" in answers:
            self.findings.add("code-out-of-use", place.at, rule(node, "code-out-of-use"), facts={"found": found})
        elif "unknown" in answers:
            facts = {"found": found, "value_set": url}
            self.findings.add("binding-unknown", place.at, rule(node, "binding-unknown"), facts=facts)
        else:
            allowed = self.walker.bindings.allowed(url)
            near = self.findings.nearest(pairs[0][1], allowed)
            code = "code-not-in-binding" if binding.strength == "required" else "code-outside-binding"
            facts = {"found": found, "value_set": url, "allowed": listed(allowed[:NEAREST_CODES]), **near}
            self.findings.add(code, place.at, rule(node, code), facts=facts)

    # extensions

    def _extension(self, node: Node, place: Place, frame: Frame) -> None:
        url = place.value.get("url")
        if not isinstance(url, str) or not url:
            return
        if not ABSOLUTE(url):
            path = _element_path(place.at.rpartition(".")[0], type_of(frame.resource))
            if (definitions().type_of(path) or path) != "Extension":  # else a part: its definition has judged it
                code = "extension-url-relative"
                self.findings.add(code, f"{place.at}.url", self.walker.rule(node, code), facts={"found": shown(url)})
            return
        modifier = node.name == "modifierExtension"
        definition = self.walker.schema.packages.find(url)
        if definition is None or definition.type != "Extension":
            code = "modifier-extension-unknown" if modifier else "extension-unknown"
            facts = {"found": shown(url), "nearest": "", "likest": ""}
            self.findings.add(code, place.at, self.walker.rule(node, code), facts=facts)
            return
        root = self.walker.schema.node(url)
        if root is None:
            return
        if not any(view.definition is definition for view in (*node.views, *node._of_type[0])):
            from fhir_facade.profile.report import Place as At

            self.walker.value(root, At(place.value, None, place.at, place.depth + 1), frame)
        if root.is_modifier != modifier:
            code = "extension-is-modifier" if root.is_modifier else "extension-not-modifier"
            self.findings.add(code, place.at, self.walker.rule(root, code), facts={"found": shown(url)})
        self._context(definition, node, place, frame)

    def _context(self, definition: Definition, node: Node, place: Place, frame: Frame) -> None:
        """Whether an extension stands where its definition allows it."""
        allowed = [expression for kind, expression in definition.contexts if kind in CONTEXTS]
        if definition.url == FHIR_TYPE:
            return  # R4 itself writes it one level higher than its context says
        if len(allowed) < len(definition.contexts) or not allowed:
            return  # a context of an older form is not judged
        path = _element_path(place.at.rpartition(".")[0], type_of(frame.resource))
        inside = definitions().type_of(path) == "Extension"
        names = element_names(path)
        for kind, expression in definition.contexts:
            if (kind == "extension" and inside) or (kind == "element" and (expression == "*" or expression in names)):
                return
            if kind == "fhirpath" and self._is_within(expression, place, frame) is not False:
                return
        facts = {"found": shown(definition.url), "parent": path, "allowed": listed(allowed)}
        self.findings.add("extension-context", place.at, self.walker.rule(node, "extension-context"), facts=facts)

    def _is_within(self, expression: str, place: Place, frame: Frame) -> bool | None:
        """Whether an extension stands on an element that an expression finds in the resource; None: not to be known."""
        environment = fhirpath.Environment(frame.resource, frame.root, self.judge_for(frame).resolve)
        try:
            found = fhirpath.evaluate(expression, frame.resource, type_of(frame.resource), environment)
        except (FhirPathError, fhirpath.StepsExceeded, ValueError, TypeError, RecursionError, ArithmeticError):
            return None
        key = place.at.rpartition(".")[2].partition("[")[0]
        held = (each.value if isinstance(each.value, dict) else each.twin or {} for each in found)
        return any(place.value is extension for each in held for extension in each.get(key) or ())

    # constraints

    def _constraint(self, node: Node, constraint: Constraint, place: Place, frame: Frame, *, broken: bool) -> None:
        rule = _constraint_rule(node, constraint)
        facts = {
            "key": constraint.key, "text": constraint.human.rstrip("."), "tekst": constraint.human_nb.rstrip("."),
            "at": place.at,
        }  # fmt: skip
        judge = self.judge_for(frame)
        environment = fhirpath.Environment(
            frame.resource, frame.root, judge.resolve, lambda value, url: judge.member(url, value),
            lambda value, url: judge.conforms(url, value), is_good_narrative,
        )  # fmt: skip
        item = Item(place.value, node.type, node.type_path, place.twin if isinstance(place.twin, dict) else None)
        try:
            expression = CORRECTED.get(constraint.expression, constraint.expression)
            if constraint.key == "dom-3" and isinstance(place.value, Mapping):
                held = are_contained_used(place.value)
            else:
                held = not expression or fhirpath.holds(expression, item, node.type_path, environment)
        except (FhirPathError, fhirpath.StepsExceeded, ValueError, TypeError, RecursionError, ArithmeticError) as error:
            if not broken:
                reason = shown(str(error) or "too many steps")
                more = {"reason": reason, "grunn": reason}
                self.findings.add("constraint-not-evaluated", place.at, rule, facts=facts | more)
            return
        if held or broken:
            return
        severity = "information" if constraint.best_practice else ""
        code = "constraint-failed" if constraint.severity == "error" else "constraint-warned"
        self.findings.add(code, place.at, rule, severity, facts)


def _is_near(at: str, broken: list[str]) -> bool:
    """Whether one of the places that are broken is a place or stands right below it."""
    return any("." not in each[len(at) + 1 :] for each in broken)


def _constraint_rule(node: Node, constraint: Constraint) -> Rule:
    return Rule(constraint.key, constraint.origin or node.origin, node.id)


def _element_path(at: str, resource_type: str) -> str:
    """The element path of a place, from the resource that it is in: Bundle.entry[0].resource.name is Patient.name."""
    plain = re.sub(r"\[\d+\]", "", at)
    _, inner, rest = plain.rpartition(".resource") if plain.startswith("Bundle") else ("", "", plain)
    _, contained, below = (rest if inner else plain).rpartition(".contained")
    rest = below if contained else rest
    return f"{resource_type}{rest}" if inner or contained else plain


def element_names(path: str) -> set[str]:
    """What an element is called by where it stands, where it is defined, its type, and what that rests on."""
    known = definitions()
    element = known.element(path)
    found = {path, element.path} if element else {path}
    type_name = known.type_of(path) or path
    return {*found, type_name, *fhirpath.bases_of(type_name)}
