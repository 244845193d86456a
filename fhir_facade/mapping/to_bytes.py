"""Compile a mapping to bytes: record in, FHIR JSON out, joined from fragments that are rendered beforehand.

The hot path of reads and searches. It makes no dicts: constants are bytes in the source, coded values are looked up
in tables of rendered fragments, and only free text goes through the JSON quoter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, assert_never

import orjson

from fhir_facade.contracts import Record
from fhir_facade.emit import Source
from fhir_facade.mapping.codecs import OFFSETS, Unusable, coded_value, identifier_json, primitive
from fhir_facade.mapping.ir import (
    Coded, Condition, Constant, Copy, Derive, Each, Identify, Key, Logical, MappingRules, Refer, Rule, carries_nothing,
)  # fmt: skip
from fhir_facade.mapping.tree import Leaf, Loop, Member, Node, build
from fhir_facade.outcome import Issue

Render = Callable[[Record, list[Issue]], bytes]


def compile_to_bytes(mapping: MappingRules) -> Render:
    """Return `f(record, issues) -> JSON bytes`, equal to the dict engine's resource."""
    name = f"{mapping.kind}_to_{mapping.resource_type.lower()}_bytes"
    writer = Writer(Source())
    source = writer.source
    source.names["dumps"], source.names["join"] = orjson.dumps, b"".join
    with source.block(f"def {name}(record, issues):"):
        source.line("g = record.get")
        head = b'{"resourceType":' + orjson.dumps(mapping.resource_type)
        source.line(f"p = [{head!r}]")
        source.line("add = p.append")
        writer.members(build(mapping.rules, mapping.resource_type), root=True)
        source.line("add(b'}')")
        source.line("return join(p)")
    return source.compile(name, f"{mapping.name} to bytes")


class Frame(NamedTuple):
    """The constant bytes around a value: `,"period":{"start":` and `}`; `extra` opens the extensions of a code."""

    head: bytes
    tail: bytes = b""
    extra: bytes = b""

    def around(self, head: bytes, tail: bytes = b"") -> Frame:
        """The frame of a value that stands alone inside this one."""
        return Frame(self.head + head, tail + self.tail)


def member_frame(name: str) -> Frame:
    """The frame of a member: every member begins with a comma, which its object takes off the first."""
    return Frame(b',"' + name.encode() + b'":', b"", b',"_' + name.encode() + b'":')


class Fragments(dict[Any, bytes]):
    """Rendered members by value: `,"serviceType":{...}`; bounded, and never holding what raised an issue."""

    limit = 20_000

    def __init__(self, frame: Frame, make: Callable[[Any, list[Issue]], tuple[Any, Any]]) -> None:
        super().__init__()
        self.frame, self.produce = frame, make

    def make(self, value: Any, issues: list[Issue]) -> bytes:
        """Render a value met for the first time."""
        before = len(issues)
        plain, extra = self.produce(value, issues)
        text = b"" if plain is None else self.frame.head + orjson.dumps(plain) + self.frame.tail
        if extra is not None and self.frame.extra:
            text += self.frame.extra + orjson.dumps(extra)
        if len(issues) == before:
            if len(self) >= self.limit:
                self.clear()
            self[value] = text
        return text


class Writer:
    """Writes the lines that append one fragment after another. Every member begins with a comma."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.get, self.around = "g", "g"
        self.starts: list[str] = []  # where in the parts the open objects begin

    def members(self, node: Node, *, root: bool) -> None:
        for member in node.ordered() if root else node.constants_last():
            frame = member_frame(member.name)
            if member.many:
                self.array(member, frame, root=root)
                continue
            for item in member.items:
                if root or not (isinstance(item, Leaf) and carries_nothing(item.rule)):
                    self.item(item, frame)

    def item(self, item: Leaf | Loop | Node, frame: Frame) -> None:
        match item:
            case Leaf():
                self.leaf(item.rule, frame)
            case Node():
                self.object(item, frame)
            case Loop():
                self.loop(item, frame)
            case _:
                assert_never(item)

    def object(self, node: Node, frame: Frame) -> None:
        """Write an object. One that holds a single value is that value in a wider frame.

        Else its members follow each other in the one list of parts, each with its comma; when any came, the first
        loses its comma to the opening brace.
        """
        opening = b'{"url":' + orjson.dumps(node.url) if node.url else b"{"
        alone = sole(node)
        if alone is not None:
            member, constants = alone
            head = member_frame(member.name).head[0 if node.url else 1 :]
            if member.many:
                wide = frame.around(opening + head + b"[", b"]" + constants + b"}")
            else:
                wide = frame.around(opening + head, constants + b"}")
            self.item(member.items[0], wide)
            return
        start = self.source.fresh("n")
        self.source.line(f"{start} = len(p)")
        self.starts.append(start)
        self.members(node, root=False)
        self.starts.pop()
        with self.source.block(f"if len(p) > {start}:"):
            for member, item in node.constants():
                if not member.many:
                    self.leaf(item.rule, member_frame(member.name))
            cut = "" if node.url else "[1:]"
            self.source.line(f"p[{start}] = {frame.head + opening!r} + p[{start}]{cut}")
            self.source.line(f"add({b'}' + frame.tail!r})")

    def array(self, member: Member, frame: Frame, *, root: bool) -> None:
        """Write a list; away from the root, constants need something to complete."""
        start = self.source.fresh("n")
        self.source.line(f"{start} = len(p)")
        for item in member.items:
            if not root and isinstance(item, Leaf) and carries_nothing(item.rule):
                with self.source.block(f"if len(p) > {self.starts[-1]}:"):
                    self.item(item, Frame(b","))
            else:
                self.item(item, Frame(b","))
        with self.source.block(f"if len(p) > {start}:"):
            self.source.line(f"p[{start}] = {frame.head + b'['!r} + p[{start}][1:]")
            self.source.line(f"add({b']' + frame.tail!r})")

    def loop(self, loop: Loop, frame: Frame) -> None:
        rule, outer = loop.rule, self.get
        item, get = self.source.fresh("item"), self.source.fresh("g")
        with self.guarded(rule.when), self.source.block(f"for {item} in {outer}({rule.child!r}) or ():", rule.at):
            self.source.line(f"{get} = {item}.get")
            self.get = get
            with self.guarded(rule.only):
                self.item(loop.body, frame)
                if rule.first:
                    self.source.line("break")
            self.get = outer

    def guarded(self, conditions: tuple[Condition, ...]) -> Any:
        tests = [self.test(condition) for condition in conditions]
        return self.source.block(f"if {' and '.join(tests) or 'True'}:")

    def test(self, condition: Condition) -> str:
        value = self.read(condition.field)
        return f"{value} in {condition.values!r}" if condition.values else f"{value} is not None"

    def read(self, field: str) -> str:
        return f"{self.around}({field[1:]!r})" if field.startswith("^") else f"{self.get}({field!r})"

    def leaf(self, rule: Rule, frame: Frame) -> None:
        if rule.when:
            with self.guarded(rule.when):
                self.value(rule, frame)
        else:
            self.value(rule, frame)

    def value(self, rule: Rule, frame: Frame) -> None:
        line = self.source.line
        match rule:
            case Constant():
                line(f"add({frame.head + orjson.dumps(rule.value) + frame.tail!r})", rule.at)
            case Derive():
                self.derive(rule, frame)
            case Key():
                start = frame.head + b'"' + (rule.prefix.encode() + b"-" if rule.prefix else b"")
                end = b'"' + frame.tail
                line(f"add({start!r} + {self.read('$key')}.encode() + {end!r})", rule.at)
            case Refer():
                target = f"{rule.to}/{rule.prefix + '-' if rule.prefix else ''}".encode()
                start, end = frame.head + b'{"reference":"' + target, b'"}' + frame.tail
                with self.source.block(f"if (v := {self.read('$' + rule.link)}) is not None:"):
                    line(f"add({start!r} + v.encode() + {end!r})", rule.at)
            case Copy():
                self.copy(rule, frame)
            case Coded():
                self.fragments(rule, (rule.system_field, rule.version_field), Fragments(frame, coded_maker(rule)))
            case Identify():
                self.identify(rule, frame)
            case Logical():
                self.fragments(rule, ("", ""), Fragments(frame, logical_maker(rule)))
            case Each():
                raise AssertionError("lists are loops, not values")
            case _:
                assert_never(rule)

    def derive(self, rule: Derive, frame: Frame) -> None:
        def rendered(value: Any) -> str:
            return repr(b"" if value is None else frame.head + orjson.dumps(value) + frame.tail)

        chain = "".join(f"{rendered(value)} if {self.test(test)} else " for test, value in rule.choices)
        with self.source.block(f"if (v := {chain}{rendered(rule.otherwise)}):"):
            self.source.line(f"add(v)", rule.at)

    def fragments(self, rule: Coded | Logical, beside: tuple[str, str], table: Fragments) -> None:
        name = self.source.bind("known", table)
        make = self.source.bind("make", table.make)
        with self.source.block(f"if (v := {self.read(rule.field)}) is not None:"):
            if any(beside):
                others = ", ".join(self.read(other) if other else "None" for other in beside)
                self.source.line(f"v = (v, {others})")
            self.source.line(f"if (f := {name}.get(v) or {make}(v, issues)): add(f)", rule.at)

    def identify(self, rule: Identify, frame: Frame) -> None:
        """Identifiers are mostly unique: written in place when their system is fixed, else through the dict form."""
        line, bind = self.source.line, self.source.bind
        with self.source.block(f"if (v := {self.read(rule.field)}) is not None:"):
            if rule.system is not None and not rule.system_field:
                head = frame.head + b'{"system":' + orjson.dumps(rule.system.uri) + b',"value":'
                end = repr(b"}" + frame.tail)
                if rule.assigner_system is not None:
                    tails = bind("assigned_by", Tails(rule.assigner_system.uri, frame.tail))
                    end = f"{tails}[{self.read(rule.assigner_field)}]"
                line(f"add({head!r} + dumps(v) + {end})", rule.at)
                return
            call = bind("identifier_json", identifier_json)
            chosen = self.read(rule.system_field) if rule.system_field else "None"
            giver = self.read(rule.assigner_field) if rule.assigner_field else "None"
            made = f"{call}({bind('rule', rule)}, v, {chosen}, {giver})"
            line(f"add({frame.head!r} + dumps({made}) + {frame.tail!r})", rule.at)

    def copy(self, rule: Copy, frame: Frame) -> None:
        reads = [self.read(name) for name in rule.fields]
        first = reads[0]
        for other in reads[1:]:
            first = f"(w if (w := {first}) is not None else {other})"
        make = self.source.bind("text", copy_maker(rule, frame))
        with self.source.block(f"if (v := {first}) is not None:"):
            self.source.line(f"if (f := {make}(v, issues)): add(f)", rule.at)


def sole(node: Node) -> tuple[Member, bytes] | None:
    """The one member of an object that carries data, with the constants beside it, or None when there are more.

    Not when the value may come in several pieces: a list of items, or a code with extensions.
    """
    carrying, constants = [], b""
    for member in node.ordered():
        fixed = [item for item in member.items if isinstance(item, Leaf) and carries_nothing(item.rule)]
        if len(fixed) == len(member.items):
            if member.many or not all(isinstance(item.rule, Constant) and not item.rule.when for item in fixed):
                return None
            constants += b"".join(
                member_frame(member.name).head + orjson.dumps(item.rule.value)
                for item in fixed
                if isinstance(item.rule, Constant)
            )
        else:
            carrying.append(member)
    if len(carrying) != 1 or len(carrying[0].items) != 1:
        return None
    item = carrying[0].items[0]
    if isinstance(item, Loop) or (isinstance(item, Leaf) and isinstance(item.rule, Coded) and item.rule.shape == "code"):
        return None
    return carrying[0], constants


def copy_maker(rule: Copy, frame: Frame) -> Callable[[Any, list[Issue]], bytes]:
    """The function that renders one primitive with its name; nothing, and an issue, when it has no FHIR form."""
    dumps, head, tail = orjson.dumps, frame.head, frame.tail
    codec, datatype, suffix, offsets = rule.codec, rule.datatype, rule.suffix, OFFSETS

    def slow(value: Any, issues: list[Issue]) -> bytes:
        try:
            made = primitive(codec, datatype, value)
        except Unusable as reason:
            facts = {"field": rule.fields[0], "reason": str(reason), "at": rule.at}
            issues.append(Issue("value-not-usable", "", facts))
            return b""
        return head + dumps(f"{made}{suffix}" if suffix else made) + tail

    def time(value: str, issues: list[Issue]) -> bytes:
        if len(value) == 19 and (offset := offsets.get(value[:13])) is not None:
            return head + dumps(value + offset) + tail
        return slow(value, issues)

    def text(value: Any, issues: list[Issue]) -> bytes:
        if value.isprintable() and value.strip():
            return head + dumps(value) + tail
        return slow(value, issues)

    if codec == "dateTime":
        return time
    return text if codec in ("text", "date", "year") and not suffix else slow


def coded_maker(rule: Coded) -> Callable[[Any, list[Issue]], tuple[Any, Any]]:
    paired = bool(rule.system_field or rule.version_field)

    def make(value: Any, issues: list[Issue]) -> tuple[Any, Any]:
        code, chosen, version = value if paired else (value, None, None)
        return coded_value(rule, code, chosen, version, issues)

    return make


def logical_maker(rule: Logical) -> Callable[[Any, list[Issue]], tuple[Any, Any]]:
    def make(value: Any, issues: list[Issue]) -> tuple[Any, Any]:
        return {"type": rule.to, "identifier": {"system": rule.system.uri, "value": value}}, None

    return make


class Tails(dict[Any, bytes]):
    """How an identifier ends, by the organisation that gave it: `,"assigner":{...}}`; there are few of them."""

    def __init__(self, system: str, tail: bytes) -> None:
        super().__init__({None: b"}" + tail})
        self.system, self.tail = system, tail

    def __missing__(self, giver: Any) -> bytes:
        assigner = {"identifier": {"system": self.system, "value": giver}}
        tail = b',"assigner":' + orjson.dumps(assigner) + b"}" + self.tail
        if len(self) < 10_000:
            self[giver] = tail
        return tail
