"""The rules of a StructureMap that makes a resource of a record; read by people, run by nobody here.

What R4's transforms cannot say stands in the documentation of the rule: the Norwegian offset of a time, and that a
key too long for an id becomes a hash.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, assert_never

from fhir_facade.mapping.codecs import ABSENT_REASON, ORIGINAL_CODE
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
    Parts,
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
    data_fields,
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


class Forward(Groups):
    """Writes the groups of one mapping that make a resource."""

    way = "to-fhir"

    def inner(self, node: Node, name: str, scope: Scope) -> Json:
        """An object inside: made when one of its rules has something to say."""
        into = variable(f"{scope.part} {name} {node.label}")
        there = " or ".join(f"{each}.exists()" for each in data_fields(node))
        sources = [source(scope.record, **({"condition": there} if there else {}))]
        targets = [self.made(scope, name, into)]
        if node.url:
            targets.append(target(into, "url", "copy", param(node.url)))
        title = self.sheet.name(f"{name}-{node.label}" if node.label else name)
        return rule(title, sources, targets, self.node(node, replace(scope, part=into, where=node.where)))

    def made(self, scope: Scope, name: str, into: str) -> Json:
        """The target that makes an object: by type where the element is a choice, by itself elsewhere."""
        kind = type_at(scope.where, name)
        named = (kind,) if is_choice(scope.where, name) or kind[:1].isupper() else ()
        if not named or kind in ("BackboneElement", "Element"):
            return target(scope.part, element_name(scope.where, name), into=into)
        return target(scope.part, element_name(scope.where, name), "create", param(kind), into=into)

    def loop(self, item: Loop, name: str, scope: Scope) -> Json:
        """A list: one item of the element for each of its items, by a group of its own unless it is a single value."""
        each, keep = item.rule, [test_of(test, test.field) for test in item.rule.keep]
        each_item, into = variable(f"{each.child} item"), variable(f"{scope.part} {name} item")
        inside = replace(scope, record=each_item, around=scope.record, fields=self.fields(each))
        if isinstance(item.body, Node):
            there = " or ".join(f"{one}.exists()" for one in data_fields(item.body))
            keep = [*keep, there]
        first = {"listMode": "first"} if each.first else {}
        condition = {"condition": all_of(keep)} if any(keep) else {}
        found = source(scope.record, each.child, variable=each_item, **first, **condition)
        title = self.sheet.name(told_path(each.path))
        guards = self.guards(each, scope)
        said = f"{each.at}: a list, {each.child}"
        if isinstance(item.body, Leaf):
            return rule(title, [*guards, found], rules=self.leaf(item.body.rule, name, inside, many=False), said=said)
        targets = [self.made(scope, name, into)]
        if item.body.url:
            targets.append(target(into, "url", "copy", param(item.body.url)))
        group = self.sheet.name(f"{each.child}-{told_path(each.path)}")
        inputs = [
            {"name": each_item, "mode": "source"},
            {"name": scope.record, "mode": "source"},
            {"name": into, "mode": "target"},
        ]
        self.group(group, item.body, replace(inside, part=into, where=item.body.where), inputs, said)
        call = {"name": group, "variable": [each_item, scope.record, into]}
        return rule(title, [*guards, found], targets, said=said, dependent=[call])

    def fields(self, each: Each) -> frozenset[str]:
        return item_fields(self.kind, self.sheet.kinds, each)

    def guards(self, one: Rule, scope: Scope) -> list[Json]:
        """A source for each variable that the guards of a rule look at."""
        asked: dict[str, list[str]] = {}
        for test in one.when:
            context, plain = scope.of(test.field)
            asked.setdefault(context, []).append(test_of(test, plain))
        return [source(context, condition=all_of(tests)) for context, tests in asked.items()]

    def leaf(self, one: Rule, name: str, scope: Scope, *, many: bool) -> Iterator[Json]:
        """The rules that write one row's value."""
        title, guards = told_path(one.path) or name, self.guards(one, scope)
        for sources, targets, rules, note in self.value(one, name, scope):
            said = f"{one.at}: {note}"
            yield rule(self.sheet.name(title), [*guards, *sources], targets, rules, said)
        if one.absent:
            yield self.absent(one, name, scope, title)

    def value(self, one: Rule, name: str, scope: Scope) -> Iterator[tuple[list[Json], list[Json], list[Json], str]]:
        """(sources, targets, rules inside, what it is) for each rule that a row becomes."""
        element = element_name(scope.where, name)
        match one:
            case Copy():
                yield from self.copied(one, name, element, scope)
            case Key():
                sources, words = self.key(one.parts, f"{one.prefix}-" if one.prefix else "", scope)
                note = "the whole key as resource id; a key too long for it becomes a hash"
                yield sources, [target(scope.part, element, "append", *words)], [], note
            case Coded():
                yield self.coded(one, element, scope)
            case Identify():
                yield self.identified(one, element, scope)
            case Refer():
                sources, words = self.key(one.parts, f"{one.to}/{one.prefix}-" if one.prefix else f"{one.to}/", scope)
                into = variable(f"{scope.part} {element} reference")
                targets = [
                    target(scope.part, element, "create", param("Reference"), into=into),
                    target(into, "reference", "append", *words),
                ]
                yield sources, targets, [], f"literal reference to {one.to}"
            case Logical():
                into = variable(f"{scope.part} {element} reference")
                targets = [
                    target(scope.part, element, "create", param("Reference"), into=into),
                    target(into, "type", "copy", param(one.to)),
                    target(into, "identifier", "id", param(one.system.uri), var("value")),
                ]
                yield [self.field(one.field, scope)], targets, [], "logical reference"
            case Constant():
                yield [source(scope.record)], list(self.constant(one.value, element, scope)), [], "always the same"
            case Derive():
                yield from self.derived(one, element, scope)
            case Custom():
                made = target(scope.part, element, "create", param(type_at(scope.where, name) or "Element"))
                yield [self.field(one.field, scope)], [made], [], f"made by the Python pair {one.name}"
            case Each():
                raise AssertionError("lists are loops")
            case _:
                assert_never(one)

    def field(self, name: str, scope: Scope, into: str = "value", **more: Any) -> Json:
        context, plain = scope.of(name)
        return source(context, plain, variable=into, **more)

    def copied(
        self, one: Copy, name: str, element: str, scope: Scope
    ) -> Iterator[tuple[list[Json], list[Json], list[Json], str]]:
        note = "the same value" + (", Norwegian time with its offset" if one.codec == "dateTime" else "")
        if one.suffix:
            made = target(scope.part, element, "append", var("value"), param(one.suffix))
        elif is_choice(scope.where, name):
            made = target(scope.part, element, "cast", var("value"), param(one.datatype))
        else:
            made = target(scope.part, element, "copy", var("value"))
        for place, field in enumerate(one.fields):
            before = [f"{scope.of(other)[1]}.exists().not()" for other in one.fields[:place]]
            only_then = [source(scope.of(field)[0], condition=all_of(before))] if before else []
            yield [*only_then, self.field(field, scope)], [made], [], note

    def key(self, parts: Parts, head: str, scope: Scope) -> tuple[list[Json], list[Json]]:
        """The sources of a key's parts, and the words of an `append` that joins them."""
        sources, words = [], [param(head)] if head else []
        for place, (name, _) in enumerate(parts):
            part = f"key{place + 1}"
            sources.append(self.field(name, scope, part))
            words += [*([param(".")] if place else []), var(part)]
        return sources, words

    def coded(self, one: Coded, element: str, scope: Scope) -> tuple[list[Json], list[Json], list[Json], str]:
        found = self.field(one.field, scope)
        if one.code_map is not None:
            return self.translated(one, one.code_map, element, scope)
        if one.system is not None and not one.version_field:
            transform = "cc" if one.shape == "CodeableConcept" else "c"
            made = target(scope.part, element, transform, param(one.system.uri), var("value"))
            return [found], [made], [], f"{one.shape} of {one.system.name}"
        targets, coding = self.empty_coding(one.shape, element, scope)
        targets.append(target(coding, "code", "copy", var("value")))
        rules: list[Json] = []
        if one.system is not None:
            targets.append(target(coding, "system", "copy", param(one.system.uri)))
        else:
            rules += self.chosen(one.system_field, one.systems, coding, scope)
        if one.version_field:
            told = [target(coding, "version", "copy", var("version"))]
            rules.append(rule(self.sheet.name("version"), [self.field(one.version_field, scope, "version")], told))
        return [found], targets, rules, f"{one.shape}, its system chosen by {one.system_field or 'the row'}"

    def empty_coding(self, shape: str, element: str, scope: Scope) -> tuple[list[Json], str]:
        coding = variable(f"{scope.part} {element} coding")
        if shape == "Coding":
            return [target(scope.part, element, "create", param("Coding"), into=coding)], coding
        concept = variable(f"{scope.part} {element} concept")
        return [
            target(scope.part, element, "create", param("CodeableConcept"), into=concept),
            target(concept, "coding", "create", param("Coding"), into=coding),
        ], coding

    def chosen(self, field: str, systems: Any, into: str, scope: Scope) -> Iterator[Json]:
        """A rule for every value of a choosing field: the system that it means."""
        context, plain = scope.of(field)
        for value, system in systems.items():
            when = source(context, condition=one_of(plain, [value]))
            yield rule(self.sheet.name(f"system-{value}"), [when], [target(into, "system", "copy", param(system.uri))])

    def translated(
        self, one: Coded, code_map: CodeMap, element: str, scope: Scope
    ) -> tuple[list[Json], list[Json], list[Json], str]:
        url, note = map_url(code_map.name, self.sheet.vocabulary), f"{one.shape} by the code map {code_map.name}"
        context, plain = scope.of(one.field)
        mapped = one_of(plain, code_map.targets)
        system = one.system or code_map.source
        if one.shape == "code":
            rules = list(self.beside(one, element, system, context, mapped, scope))
            made = target(scope.part, element, "translate", var("value"), param(url), param("code"))
            return [self.field(one.field, scope)], [made], rules, note
        sources = [self.field(one.field, scope)]
        if code_map.unmapped == "absent":
            sources.insert(0, source(context, condition=mapped))
        if one.shape == "Coding" or not one.original:
            made = target(scope.part, element, "translate", var("value"), param(url), param(one.shape))
            return sources, [made], [], note
        concept = variable(f"{scope.part} {element} concept")
        targets = [
            target(scope.part, element, "create", param("CodeableConcept"), into=concept),
            target(concept, "coding", "translate", var("value"), param(url), param("Coding")),
        ]
        own = target(concept, "coding", "c", param(system.uri), var("value"))
        rules = [rule(self.sheet.name("original"), [source(context, condition=mapped)], [own])]
        return sources, targets, rules, f"{note}, the record's own code beside it"

    def beside(
        self, one: Coded, element: str, system: System, context: str, mapped: str, scope: Scope
    ) -> Iterator[Json]:
        """The extensions of a code element: the record's own code, and why there is no value where the map has none."""
        into, reason = variable(f"{scope.part} {element} original"), variable(f"{scope.part} {element} reason")
        unknown = source(context, condition=f"({mapped}).not()")
        targets = self.reason(element, scope, reason, "unsupported")
        yield rule(self.sheet.name(f"{element}-unsupported"), [unknown], targets)
        holder = variable(f"{scope.part} {element}")
        own = [
            target(scope.part, element, into=holder),
            target(holder, "extension", "create", param("Extension"), into=into),
            target(into, "url", "copy", param(ORIGINAL_CODE)),
            target(into, "value", "c", param(system.uri), var("value")),
        ]
        asked = {} if one.original else {"condition": f"({mapped}).not()"}
        yield rule(self.sheet.name(f"{element}-original"), [source(context, **asked)], own)

    def reason(self, element: str, scope: Scope, into: str, code: str) -> list[Json]:
        holder = variable(f"{scope.part} {element}")
        return [
            target(scope.part, element, into=holder),
            target(holder, "extension", "create", param("Extension"), into=into),
            target(into, "url", "copy", param(ABSENT_REASON)),
            target(into, "value", "cast", param(code), param("code")),
        ]

    def absent(self, one: Rule, name: str, scope: Scope, title: str) -> Json:
        """The data-absent-reason that stands where the record lacks the value."""
        missing = [f"{scope.of(field)[1]}.exists().not()" for field in getattr(one, "fields", ()) or [one.field]]  # type: ignore[union-attr]
        targets = self.reason(element_name(scope.where, name), scope, variable(f"{name} reason"), one.absent)
        said = f"{one.at}: why the value is absent"
        return rule(
            self.sheet.name(f"{title}-absent"), [source(scope.record, condition=all_of(missing))], targets, said=said
        )

    def identified(self, one: Identify, element: str, scope: Scope) -> tuple[list[Json], list[Json], list[Json], str]:
        sources, note = [self.field(one.field, scope)], "identifier"
        if one.system is not None and not one.assigner_system:
            return sources, [target(scope.part, element, "id", param(one.system.uri), var("value"))], [], note
        into = variable(f"{scope.part} {element} identifier")
        targets = [
            target(scope.part, element, "create", param("Identifier"), into=into),
            target(into, "value", "copy", var("value")),
        ]
        rules: list[Json] = []
        if one.system is not None:
            targets.append(target(into, "system", "copy", param(one.system.uri)))
        else:
            rules += self.chosen(one.system_field, one.systems, into, scope)
        if one.type_system is not None:
            context, plain = scope.of(one.system_field)
            unknown = source(context, plain, variable="kind", condition=f"({one_of('$this', one.systems)}).not()")
            made = target(into, "type", "cc", param(one.type_system.uri), var("kind"))
            rules.append(rule(self.sheet.name("type"), [unknown], [made]))
        if one.assigner_system is not None:
            giver = variable(f"{into} assigner")
            given = [
                target(into, "assigner", "create", param("Reference"), into=giver),
                target(giver, "identifier", "id", param(one.assigner_system.uri), var("giver")),
            ]
            rules.append(rule(self.sheet.name("assigner"), [self.field(one.assigner_field, scope, "giver")], given))
        return sources, targets, rules, note

    def constant(self, value: Any, element: str, scope: Scope) -> Iterator[Json]:
        """The targets that write a constant."""
        if not isinstance(value, dict):
            yield target(scope.part, element, "copy", param(value))
            return
        for coding in codings(value):
            words = [param(coding[key]) for key in ("system", "code", "display") if key in coding]
            yield target(scope.part, element, "cc" if "coding" in value else "c", *words)

    def derived(
        self, one: Derive, element: str, scope: Scope
    ) -> Iterator[tuple[list[Json], list[Json], list[Json], str]]:
        before: list[str] = []
        last: Sequence[tuple[str, Any]] = [] if one.otherwise is None else [("", one.otherwise)]
        tests = [(test_of(test, scope.of(test.field)[1]), value) for test, value in one.choices]
        for test, value in [*tests, *last]:
            asked = all_of([*(f"({other}).not()" for other in before), test])
            context = scope.of(one.choices[0][0].field)[0] if one.choices else scope.record
            targets = list(self.constant(value, element, scope))
            yield [source(context, condition=asked)], targets, [], f"derived: {asked or quoted(str(value))}"
            before.append(test)


def forward_rules(sheet: Sheet, kind: Kind, node: Node, name: str, inputs: Iterable[Json], said: str) -> None:
    """Write all groups of a mapping, record → resource, into the sheet."""
    scope = Scope("record", "record", "resource", node.where, frozenset(kind.fields))
    Forward(sheet, kind).group(name, node, scope, list(inputs), said)
