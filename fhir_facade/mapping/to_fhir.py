"""Compile a mapping forward: record in, FHIR resource as a dict out; what the interpreter says, only faster."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, assert_never

from fhir_facade.contracts import Record, Resource
from fhir_facade.emit import Source
from fhir_facade.mapping.codecs import (
    OFFSETS,
    Unusable,
    coded_value,
    custom_json,
    identifier_json,
    primitive,
    standard,
    system_of,
)  # fmt: skip
from fhir_facade.mapping.forward import RECORD, Absence, Hiding, forward, hiding, is_hidden
from fhir_facade.mapping.ir import (
    Coded,
    Condition,
    Constant,
    Copy,
    Custom,
    Derive,
    Each,
    Identify,
    Key,
    Logical,
    MappingRules,
    Refer,
    Rule,
    carries_nothing,
)  # fmt: skip
from fhir_facade.mapping.tree import Leaf, Loop, Member, Node, build
from fhir_facade.outcome import Issue

Forward = Callable[[Record, list[Issue]], Resource]


def compile_to_fhir(mapping: MappingRules) -> Forward:
    """Return `f(record, issues) -> resource`; its source is kept under the mapping's name for tracebacks."""
    name = f"{mapping.kind}_to_{mapping.resource_type.lower()}"
    rules = forward(mapping.rules, mapping.resource_type)
    writer = Writer(Source(), hiding(rules))
    source = writer.source
    with source.block(f"def {name}(record, issues):"):
        source.line("g = record.get")
        source.line(f"out = {{'resourceType': {mapping.resource_type!r}}}")
        writer.hidden(RECORD)
        writer.members(build(rules, mapping.resource_type), "out", root=True)
        source.line("return out")
    return source.compile(name, f"{mapping.name} to dict")


USUAL_INTEGERS = {
    "positiveInt": "0 < v < 2147483648",
    "unsignedInt": "-1 < v < 2147483648",
    "integer": "-2147483649 < v < 2147483648",
}


class Writer:
    """Writes the lines that build one object after another."""

    def __init__(self, source: Source, hiding: Hiding) -> None:
        self.source, self.hiding = source, hiding
        self.get, self.around = "g", "g"

    def members(self, node: Node, target: str, *, root: bool) -> None:
        """Fill `target`; away from the root, constants come last and only if there is something to complete."""
        for member in node.ordered() if root else node.constants_last():
            if member.many:
                self.array(member, target, root=root)
                continue
            for item in member.items:
                if root or not (isinstance(item, Leaf) and carries_nothing(item.rule)):
                    self.single(item, member.name, target)
        if root:
            return
        constants = [(member.name, item) for member, item in node.constants() if not member.many]
        if constants:
            with self.source.block(f"if {target}:"):
                for name, item in constants:
                    self.single(item, name, target)

    def single(self, item: Leaf | Loop | Node, name: str, target: str) -> None:
        def put(value: str) -> str:
            return f"{target}[{name!r}] = {value}"

        self.item(item, put, f"{target}['_{name}'] = ")

    def item(self, item: Leaf | Loop | Node, assign: Callable[[str], str], assign_extra: str) -> None:
        match item:
            case Leaf():
                self.leaf(item.rule, assign, assign_extra)
            case Node():
                self.child(item, assign)
            case Loop():
                self.loop(item, assign)
            case _:
                assert_never(item)

    def child(self, node: Node, assign: Callable[[str], str]) -> None:
        """Write an object where it belongs; one with a single value is written around it."""
        alone = sole(node)
        if alone is None:
            var = self.object(node)
            with self.source.block(f"if {var}:"):
                self.source.line(assign(_with_url(node, var)))
            return
        member, item = alone
        url = f"'url': {node.url!r}, " if node.url else ""
        opening, closing = ("[", "]") if member.many else ("", "")

        def assign_around(value: str) -> str:
            return assign(f"{{{url}{member.name!r}: {opening}{value}{closing}}}")

        self.item(item, assign_around, "")

    def object(self, node: Node) -> str:
        var = self.source.fresh("o")
        self.source.line(f"{var} = {{}}")
        self.members(node, var, root=False)
        return var

    def array(self, member: Member, target: str, *, root: bool) -> None:
        """Write a list; away from the root, constants need something to complete."""
        var = self.source.fresh("a")
        self.source.line(f"{var} = []")

        def append(value: str) -> str:
            return f"{var}.append({value})"

        for item in member.items:
            if isinstance(item, Leaf) and carries_nothing(item.rule) and not root:
                with self.source.block(f"if {target} or {var}:"):
                    self.leaf(item.rule, append, "")
            else:
                self.item(item, append, "")
        with self.source.block(f"if {var}:"):
            self.source.line(f"{target}[{member.name!r}] = {var}")

    def loop(self, loop: Loop, assign: Callable[[str], str]) -> None:
        rule, outer = loop.rule, self.get
        item, get = self.source.fresh("item"), self.source.fresh("g")
        with self.guarded(rule.when), self.source.block(f"for {item} in {outer}({rule.child!r}) or ():", rule.at):
            self.source.line(f"{get} = {item}.get")
            self.get = get
            with self.guarded(rule.keep):
                self.hidden(id(rule))
                self.item(loop.body, assign, "")
                if rule.first:
                    self.source.line("break")
            self.get = outer

    def hidden(self, scope: int) -> None:
        """Tell the values of the record or item that no row shows, because of guards."""
        for hidden in self.hiding.get(scope, ()):
            with self.source.block(f"if {is_hidden(hidden, self.read, self.test)}:"):
                self.source.line(f"issues.append({self.source.bind('hidden', hidden.issue)})")

    def guarded(self, conditions: tuple[Condition, ...]) -> AbstractContextManager[None]:
        """A block under all conditions; none when there are none."""
        return self.source.block(f"if {' and '.join(map(self.test, conditions))}:") if conditions else nullcontext()

    def test(self, condition: Condition) -> str:
        value = self.read(condition.field)
        return f"{value} in {condition.values!r}" if condition.values else f"{value} is not None"

    def read(self, field: str) -> str:
        return f"{self.around}({field[1:]!r})" if field.startswith("^") else f"{self.get}({field!r})"

    def leaf(self, rule: Rule, assign: Callable[[str], str], assign_extra: str) -> None:
        """Write the lines of one value; `assign_extra` is where the extensions of a code go."""
        if rule.when:
            with self.guarded(rule.when):
                self.value(rule, assign, assign_extra)
        else:
            self.value(rule, assign, assign_extra)

    def value(self, rule: Rule, assign: Callable[[str], str], assign_extra: str) -> None:
        line, bind = self.source.line, self.source.bind
        match rule:
            case Constant():
                line(assign(repr(rule.value)), rule.at)
            case Derive():
                chain = "".join(f"{value!r} if {self.test(test)} else " for test, value in rule.choices)
                with self.source.block(f"if (v := {chain}{rule.otherwise!r}) is not None:"):
                    line(assign("v"), rule.at)
                    if isinstance(rule, Absence):
                        line(f"issues.append({bind('absent', rule.issue)})")
            case Key():
                key = self.read("$key")
                line(assign(f"{rule.prefix + '-'!r} + {key}" if rule.prefix else key), rule.at)
            case Refer():
                prefix = f"{rule.to}/{rule.prefix + '-' if rule.prefix else ''}"
                with self.source.block(f"if (v := {self.read('$' + rule.link)}) is not None:"):
                    line(assign(f"{{'reference': {prefix!r} + v}}"), rule.at)
            case Copy():
                self.copy(rule, assign)
            case Coded():
                self.coded(rule, assign, assign_extra)
            case Identify():
                self.identify(rule, assign)
            case Logical():
                made = f"{{'type': {rule.to!r}, 'identifier': {{'system': {rule.system.uri!r}, 'value': v}}}}"
                with self.source.block(f"if (v := {self.read(rule.field)}) is not None:"):
                    line(assign(made), rule.at)
            case Custom():
                made = f"{bind('custom_json', custom_json)}({bind('rule', rule)}, v, issues)"
                with self.source.block(f"if (v := {self.read(rule.field)}) is not None and (v := {made}) is not None:"):
                    line(assign("v"), rule.at)
            case Each():
                raise AssertionError("lists are loops, not values")
            case _:
                assert_never(rule)

    def identify(self, rule: Identify, assign: Callable[[str], str]) -> None:
        """An identifier of a fixed system is written in place, others by a function."""
        giver = self.read(rule.assigner_field) if rule.assigner_field else "None"
        with self.source.block(f"if (v := {self.read(rule.field)}) is not None:"):
            if rule.system is None or rule.system_field:
                call = f"{self.source.bind('identifier_json', identifier_json)}({self.source.bind('rule', rule)}"
                chosen = self.read(rule.system_field) if rule.system_field else "None"
                self.source.line(assign(f"{call}, v, {chosen}, {giver})"), rule.at)
                return
            plain = f"'system': {rule.system.uri!r}, 'value': v"
            if rule.assigner_system is None:
                self.source.line(assign(f"{{{plain}}}"), rule.at)
                return
            given = f"{{'identifier': {{'system': {rule.assigner_system.uri!r}, 'value': x}}}}"
            made = f"{{{plain}, 'assigner': {given}}} if (x := {giver}) is not None else {{{plain}}}"
            self.source.line(assign(made), rule.at)

    def copy(self, rule: Copy, assign: Callable[[str], str]) -> None:
        reads = [self.read(name) for name in rule.fields]
        first = reads[0]
        for other in reads[1:]:
            first = f"(w if (w := {first}) is not None else {other})"
        call = self.source.bind(f"copy_{rule.fields[0].lstrip('$^')}", copier(rule))
        line = self.source.line
        with self.source.block(f"if (v := {first}) is not None:"):
            usual, made = self.usual(rule)
            if usual:  # the common case in place
                with self.source.block(f"if {usual}:"):
                    line(assign(made), rule.at)
            with self.source.block(f"{'elif' if usual else 'if'} (v := {call}(v, issues)) is not None:"):
                line(assign("v"), rule.at)

    def usual(self, rule: Copy) -> tuple[str, str]:
        """The test that a value v has an ordinary FHIR form, and that form; ("", "") when there is none."""
        if rule.codec == "integer" and rule.suffix:
            return "0 <= v < 2147483648", f"f'{{v}}{rule.suffix}'"
        if rule.codec == "integer":
            return USUAL_INTEGERS.get(rule.datatype, ""), "v"
        if rule.suffix:
            return "", ""
        if rule.codec == "dateTime":  # local time in an hour that was met before
            offsets = self.source.bind("offsets", OFFSETS)
            return f"len(v) == 19 and (x := {offsets}.get(v[:13])) is not None", "v + x"
        return "v >= '!' and v.isprintable()", "v"  # a blank begins below "!"

    def coded(self, rule: Coded, assign: Callable[[str], str], assign_extra: str) -> None:
        bind, line = self.source.bind, self.source.line
        with self.source.block(f"if (v := {self.read(rule.field)}) is not None:"):
            if rule.shape != "code" and not rule.system_field and not rule.version_field:
                table = bind("known", known_codings(rule))
                with self.source.block(f"if (x := {table}.get(v)) is not None:"):
                    line(assign(literal(rule)), rule.at)
                with self.source.block("else:"):
                    self.slow(rule, assign, assign_extra)
            else:
                self.slow(rule, assign, assign_extra)

    def slow(self, rule: Coded, assign: Callable[[str], str], assign_extra: str) -> None:
        bind, line = self.source.bind, self.source.line
        chosen = self.read(rule.system_field) if rule.system_field else "None"
        version = self.read(rule.version_field) if rule.version_field else "None"
        call = bind("coded_value", coded_value)
        line(f"v, extra = {call}({bind('rule', rule)}, v, {chosen}, {version}, issues)", rule.at)
        with self.source.block("if v is not None:"):
            line(assign("v"))
        if rule.shape == "code" and assign_extra:
            with self.source.block("if extra is not None:"):
                line(f"{assign_extra}extra")


def sole(node: Node) -> tuple[Member, Leaf | Node] | None:
    """The one member of an object and its one item, which is no list of items and no code with extensions."""
    if len(node.members) != 1:
        return None
    member = next(iter(node.members.values()))
    item = member.items[0]
    if len(member.items) != 1 or isinstance(item, Loop):
        return None
    if isinstance(item, Leaf) and (
        carries_nothing(item.rule) or (isinstance(item.rule, Coded) and item.rule.shape == "code")
    ):
        return None
    return member, item


def _with_url(node: Node, var: str) -> str:
    return f"{{'url': {node.url!r}, **{var}}}" if node.url else var


def known_codings(rule: Coded) -> dict[str, tuple[str | None, ...]]:
    """Code → (standard code, its display, own display) for the codes whose form is known beforehand."""
    system = system_of(rule, None)
    displays = (system.displays if system else None) or {}
    if rule.code_map is None:
        return {code: (display,) for code, display in displays.items() if display}
    return {
        code: (standard(target)[1], standard(target)[2], displays.get(code))
        for code, target in rule.code_map.targets.items()
        if target.display and (rule.original != "beside" or displays.get(code))
    }


def literal(rule: Coded) -> str:
    """The expression of a known code: `v` is the code, `x` its row in `known_codings`."""
    own = rule.system.uri if rule.system else ""
    if rule.code_map is None:
        codings = [f"{{'system': {own!r}, 'code': v, 'display': x[0]}}"]
    else:
        codings = [f"{{'system': {rule.code_map.target_system!r}, 'code': x[0], 'display': x[1]}}"]
        if rule.original == "beside":
            codings.append(f"{{'system': {own!r}, 'code': v, 'display': x[2]}}")
    return codings[0] if rule.shape == "Coding" else f"{{'coding': [{', '.join(codings)}]}}"


def copier(rule: Copy) -> Callable[[Any, list[Issue]], Any]:
    """The function that makes one primitive, or reports why it cannot."""
    codec, datatype, suffix = rule.codec, rule.datatype, rule.suffix

    def copy(value: Any, issues: list[Issue]) -> Any:
        try:
            plain = primitive(codec, datatype, value)
        except Unusable as reason:
            facts = {"field": rule.fields[0], "reason": str(reason), "at": rule.at}
            issues.append(Issue("value-not-usable", "", facts))
            return None
        return f"{plain}{suffix}" if suffix else plain

    return copy
