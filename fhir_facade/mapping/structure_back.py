"""The rules of a StructureMap that makes a record of a resource; read by people, run by nobody here.

Constants and derived values become checks: they carry nothing of the record. Guards look at the record being made,
`%record`. Which of two rows for one field wins, and how a list is aligned by its key, is said in words alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, assert_never

from fhir_facade.mapping.codecs import ORIGINAL_CODE
from fhir_facade.mapping.concept_map import map_url
from fhir_facade.mapping.ir import (
    Coded,
    CodeMap,
    Constant,
    Copy,
    Custom,
    Derive,
    Each,
    Identify,
    Key,
    Logical,
    Refer,
    Rule,
    System,
)  # fmt: skip
from fhir_facade.mapping.kinds import Kind
from fhir_facade.mapping.structure_parts import (
    Groups,
    Json,
    Scope,
    Sheet,
    all_of,
    codings,
    element_name,
    is_choice,
    item_fields,
    one_of,
    param,
    quoted,
    rule,
    source,
    target,
    test_of,
    told_path,
    type_at,
    var,
    variable,
)
from fhir_facade.mapping.tree import Leaf, Loop, Node

LENGTHS = {"date": 10, "year": 4}
Written = tuple[list[Json], list[Json], list[Json], str]
"""Sources, targets, rules inside, and what the rule is."""


class Back(Groups):
    """Writes the groups of one mapping that read a resource."""

    way = "from-fhir"

    def element(self, name: str, scope: Scope, into: str, *tests: str, **more: Any) -> Json:
        """The source that is an element of the resource part."""
        typed = {"type": type_at(scope.where, name)} if is_choice(scope.where, name) else {}
        asked = {"condition": all_of(tests)} if any(tests) else {}
        return source(scope.part, element_name(scope.where, name), **typed, variable=into, **asked, **more)

    def inner(self, node: Node, name: str, scope: Scope) -> Json:
        """An object inside; of a repeating element the first that has its constants or its url."""
        into = variable(f"{scope.part} {name} {node.label}")
        tests = [f"url = {quoted(node.url)}"] if node.url else list(self.marks(node))
        first = {"listMode": "first"} if node.label else {}
        title = self.sheet.name(f"{name}-{node.label}" if node.label else name)
        inside = replace(scope, part=into, where=node.where)
        return rule(title, [self.element(name, scope, into, *tests, **first)], rules=self.node(node, inside))

    def marks(self, node: Node) -> Iterator[str]:
        """What an item of a repeating element is known by: its constants."""
        for member, leaf in node.constants():
            if isinstance(leaf.rule, Constant):
                yield holds_constant(element_name(node.where, member.name), leaf.rule.value)

    def loop(self, item: Loop, name: str, scope: Scope) -> Json:
        each = item.rule
        part, made = variable(f"{scope.part} {name} item"), variable(f"{each.child} item")
        url = item.body.url if isinstance(item.body, Node) else ""
        tests = [f"url = {quoted(url)}"] if url else []
        found = self.element(name, scope, part, *tests)
        title, guards = self.sheet.name(told_path(each.path)), self.guards(each, scope)
        if each.records:
            said = f"{each.at}: a list, {each.child}: records of their own, never written through this resource"
            return rule(title, [*guards, found], said=said)
        said = f"{each.at}: a list, {each.child}"
        said += f", aligned by {', '.join(each.key)}" if each.key else ""
        said += f"; {each.order} is the place, from 1" if each.order else ""
        targets = [target(scope.record, each.child, into=made)]
        targets += [
            target(made, test.field, "copy", param(test.values[0])) for test in each.keep if len(test.values) == 1
        ]
        inside = Scope(made, scope.record, part, scope.where, item_fields(self.kind, self.sheet.kinds, each))
        if isinstance(item.body, Leaf):
            one, found = item.body.rule, self.element(name, scope, "value", *tests)
            shown = [
                rule(self.sheet.name(title), sources, fields, rules, f"{one.at}: {note}")
                for sources, fields, rules, note in self.value(one, name, inside, source("value"))
            ]
            return rule(title, [*guards, found], targets, shown, said)
        group = self.sheet.name(f"{each.child}-{told_path(each.path)}")
        inputs = [
            {"name": part, "mode": "source"},
            {"name": scope.record, "mode": "target"},
            {"name": made, "mode": "target"},
        ]
        self.group(group, item.body, replace(inside, where=item.body.where), inputs, said)
        call = {"name": group, "variable": [part, scope.record, made]}
        return rule(title, [*guards, found], targets, said=said, dependent=[call])

    def guards(self, one: Rule, scope: Scope) -> list[Json]:
        """A source that asks for the guards of a rule on the record being made."""
        tests = []
        for test in one.when:
            context, plain = scope.of(test.field)
            tests.append(test_of(test, f"%{context}.{plain}"))
        return [source(scope.part, condition=all_of(tests))] if tests else []

    def leaf(self, one: Rule, name: str, scope: Scope, *, many: bool) -> Iterator[Json]:
        """The rules that read one row's value; of a repeating element the first that speaks of the row."""
        title, guards = told_path(one.path) or name, self.guards(one, scope)
        found = self.element(name, scope, "value", **({"listMode": "first"} if many else {}))
        for sources, targets, rules, note in self.value(one, name, scope, found):
            yield rule(self.sheet.name(title), [*guards, *sources], targets, rules, f"{one.at}: {note}")
        if one.default:
            field = next(iter(getattr(one, "fields", ())), "") or getattr(one, "field", "")
            missing = source(scope.part, condition=f"{element_name(scope.where, name)}.exists().not()")
            made = self.put(field, scope, "copy", param(one.default))
            said = f"{one.at}: what a new record gets where the element is absent"
            yield rule(self.sheet.name(f"{title}-default"), [missing], [made], said=said)

    def put(self, field: str, scope: Scope, transform: str, *parameters: Json) -> Json:
        """The target that is a field of the record, or of the record around a list item."""
        context, plain = scope.of(field)
        return target(context, plain, transform, *parameters)

    def value(self, one: Rule, name: str, scope: Scope, found: Json) -> Iterator[Written]:
        match one:
            case Copy():
                yield from self.copied(one, scope, found)
            case Key():
                head = f"{one.prefix}-" if one.prefix else ""
                note = "the fields of the key, read from the id"
                yield [with_test(found, starts(head))], list(self.key(one, head, scope)), [], note
            case Coded():
                yield from self.coded(one, scope, found)
            case Identify():
                yield self.identified(one, scope, found)
            case Refer():
                head = f"{one.to}/{one.prefix}-" if one.prefix else f"{one.to}/"
                text = source("value", "reference", variable="text", condition=starts(head))
                yield [found, text], list(self.key(one, head, scope)), [], f"the key of a {one.to}"
            case Logical():
                asked = with_test(found, f"identifier.system = {quoted(one.system.uri)}")
                inner = [source("value", "identifier", variable="identifier"), held("identifier", "value")]
                yield [asked, *inner], [self.put(one.field, scope, "copy", var("held"))], [], "logical reference"
            case Constant():
                check = holds_constant(element_name(scope.where, name), one.value)
                yield [source(scope.part, check=check)], [], [], "a constant: checked, not stored"
            case Derive():
                values = [*(value for _, value in one.choices), *([] if one.otherwise is None else [one.otherwise])]
                element = element_name(scope.where, name)
                check = " or ".join(holds_constant(element, value) for value in values)
                yield [source(scope.part, check=check)], [], [], "derived: checked by making it again, not stored"
            case Custom():
                yield [found], [self.put(one.field, scope, "copy", var("value"))], [], f"read by {one.name}"
            case Each():
                raise AssertionError("lists are loops")
            case _:
                assert_never(one)

    def copied(self, one: Copy, scope: Scope, found: Json) -> Iterator[Written]:
        """The first field whose type can hold the value, told by its length."""
        note = "the same value" + (", as Norwegian local time" if "dateTime" in (one.codec, *one.codecs) else "")
        for field, codec in zip(one.fields, one.codecs or (one.codec,) * len(one.fields), strict=True):
            length = f"$this.toString().length() = {LENGTHS[codec]}" if codec in LENGTHS and one.fields[1:] else ""
            made = self.put(field, scope, "copy", var("value"))
            if one.suffix:
                cut = param(f"$this.replaceMatches({quoted(re.escape(one.suffix) + '$')}, '')")
                made = self.put(field, scope, "evaluate", var("value"), cut)
            yield [with_test(found, length)], [made], [], note

    def key(self, one: Key | Refer, head: str, scope: Scope) -> Iterator[Json]:
        """A target for every part of a key: the text between two dots."""
        text = var("value" if isinstance(one, Key) else "text")
        pattern = "^" + re.escape(head) + r"\.".join(["([^.]*)"] * len(one.parts)) + "$"
        for place, (field, _) in enumerate(one.parts, 1):
            expression = f"$this.replaceMatches({quoted(pattern)}, '${place}')"
            yield self.put(field, scope, "evaluate", text, param(expression))

    def coded(self, one: Coded, scope: Scope, found: Json) -> Iterator[Written]:
        systems = [one.system] if one.system else list(one.systems.values())
        own = one_of("system", dict.fromkeys(system.uri for system in systems))
        note = f"{one.shape} in the record's own system"
        if one.shape == "code":
            extension = source("value", "extension", variable="original", condition=f"url = {quoted(ORIGINAL_CODE)}")
            coding = source("original", "value", type="Coding", variable="coding", condition=own)
            yield self.own(one, [found, extension, coding], scope, note)
            if one.code_map is not None:
                bare = with_test(found, f"extension.where(url = {quoted(ORIGINAL_CODE)}).exists().not()")
                yield self.back(one, one.code_map, [bare], "value", scope)
            return
        if one.shape == "Coding":
            yield self.own(one, [{**with_test(found, own), "variable": "coding"}], scope, note)
            if one.code_map is not None:
                asked = with_test(found, f"system = {quoted(one.code_map.target_system)}")
                yield self.back(one, one.code_map, [asked, held("value", "code")], "held", scope)
            return
        coding = source("value", "coding", listMode="first", variable="coding", condition=own)
        yield self.own(one, [with_test(found, f"coding.where({own}).exists()"), coding], scope, note)
        if one.code_map is not None:
            bare = with_test(found, f"coding.where({own}).exists().not()")
            standard = f"system = {quoted(one.code_map.target_system)}"
            coding = source("value", "coding", listMode="first", variable="coding", condition=standard)
            yield self.back(one, one.code_map, [bare, coding, held("coding", "code")], "held", scope)

    def own(self, one: Coded, sources: list[Json], scope: Scope, note: str) -> Written:
        """What the record's own coding says: code, version, and the value that chose its system."""
        title = self.sheet.name("code")
        rules = [rule(title, [held("coding", "code")], [self.put(one.field, scope, "copy", var("held"))])]
        if one.version_field:
            made = [self.put(one.version_field, scope, "copy", var("held"))]
            rules.append(rule(self.sheet.name("version"), [held("coding", "version")], made))
        if one.system_field:
            rules += self.choosing(one.system_field, one.systems, "coding", scope)
        return sources, [], rules, note

    def choosing(self, field: str, systems: Any, context: str, scope: Scope) -> Iterator[Json]:
        """A rule for every value of a choosing field: the value that a system means."""
        for value, system in systems.items():
            asked = source(context, condition=f"system = {quoted(system.uri)}")
            yield rule(self.sheet.name(f"system-{value}"), [asked], [self.put(field, scope, "copy", param(value))])

    def back(self, one: Coded, code_map: CodeMap, sources: list[Json], code: str, scope: Scope) -> Written:
        url = map_url(code_map.name, self.sheet.vocabulary, reverse=True)
        made = self.put(one.field, scope, "translate", var(code), param(url), param("code"))
        return sources, [made], [], f"a bare standard code, back by the code map {code_map.name}"

    def identified(self, one: Identify, scope: Scope, found: Json) -> Written:
        systems: list[System] = [one.system] if one.system else list(one.systems.values())
        asked = one_of("system", dict.fromkeys(system.uri for system in systems))
        if one.type_system is not None:
            asked += f" or type.coding.where(system = {quoted(one.type_system.uri)}).exists()"
        copied = [self.put(one.field, scope, "copy", var("held"))]
        rules = [rule(self.sheet.name("number"), [held("value", "value")], copied)]
        if one.system_field:
            rules += self.choosing(one.system_field, one.systems, "value", scope)
        if one.type_system is not None:
            coding = source("kind", "coding", variable="coding", condition=f"system = {quoted(one.type_system.uri)}")
            sources = [source("value", "type", variable="kind"), coding, held("coding", "code")]
            made = [self.put(one.system_field, scope, "copy", var("held"))]
            rules.append(rule(self.sheet.name("type"), sources, made))
        if one.assigner_system is not None:
            giver = source("assigner", "identifier", variable="giver")
            giver["condition"] = f"system = {quoted(one.assigner_system.uri)}"
            sources = [source("value", "assigner", variable="assigner"), giver, held("giver", "value")]
            made = [self.put(one.assigner_field, scope, "copy", var("held"))]
            rules.append(rule(self.sheet.name("assigner"), sources, made))
        return [with_test(found, asked)], [], rules, "identifier"


def held(context: str, element: str) -> Json:
    return source(context, element, variable="held")


def starts(head: str) -> str:
    return f"$this.startsWith({quoted(head)})" if head else ""


def with_test(found: Json, test: str) -> Json:
    """A source with one condition more."""
    tests = all_of([str(found.get("condition", "")), test])
    return {**found, "condition": tests} if tests else found


def holds_constant(element: str, value: Any) -> str:
    """FHIRPath: an element says what a constant says."""
    if isinstance(value, bool | int):
        return f"{element} = {str(value).lower()}"
    if not isinstance(value, dict):
        return f"{element} = {quoted(str(value))}"
    one = codings(value)[0]
    inside = f"{element}.coding" if "coding" in value else element
    return f"{inside}.where(system = {quoted(one['system'])} and code = {quoted(one['code'])}).exists()"


def back_rules(sheet: Sheet, kind: Kind, node: Node, name: str, inputs: Iterable[Json], said: str) -> None:
    """Write all groups of a mapping, resource → record, into the sheet."""
    scope = Scope("record", "record", "resource", node.where, frozenset(kind.fields))
    Back(sheet, kind).group(name, node, scope, list(inputs), said)
