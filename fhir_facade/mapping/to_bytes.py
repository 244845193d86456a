"""Compile a mapping to bytes: record in, FHIR JSON out, joined from fragments that are rendered beforehand.

The hot path of reads and searches. It makes no dicts: constants are bytes in the source, coded values are looked up
in tables of rendered fragments, and only free text goes through the JSON quoter. A function is written twice: a fast
one that knows no issues, and one that tells them, which is called when the first meets a value that raises one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, assert_never

import orjson

from fhir_facade.contracts import Record
from fhir_facade.emit import Source
from fhir_facade.mapping.codecs import OFFSETS, identifier_json
from fhir_facade.mapping.fragments import (
    Fragments, Frame, HasIssues, Items, Tails, coded, copied, logical, member_frame, referring,
)  # fmt: skip
from fhir_facade.mapping.ir import (
    Coded, Condition, Constant, Copy, Derive, Each, Identify, Key, Logical, MappingRules, Refer, Rule, carries_nothing,
    fields_of,
)  # fmt: skip
from fhir_facade.mapping.tree import Leaf, Loop, Member, Node, build
from fhir_facade.outcome import Issue

Render = Callable[[Record, list[Issue]], bytes]
Piece = tuple[bytes | str, str]
"""Bytes that are always the same, or the Python expression of bytes; and the line of the mapping behind it."""

EMPTY = "b''"
_is_simple = re.compile(r"[\w.]+(\[.+\]|\(.+\))?").fullmatch


def compile_to_bytes(mapping: MappingRules) -> Render:
    """Return `f(record, issues) -> JSON bytes`, equal to the dict engine's resource."""
    telling: list[Render] = []

    def tell(record: Record, issues: list[Issue]) -> bytes:
        if not telling:
            telling.append(_write(mapping, None))
        return telling[0](record, issues)

    return _write(mapping, tell)


def _write(mapping: MappingRules, tell: Render | None) -> Render:
    """The fast function, which goes to `tell` when there are issues; or, without it, the one that tells them."""
    name = f"{mapping.kind}_to_{mapping.resource_type.lower()}_bytes"
    source = Source()
    source.names |= {"dumps": orjson.dumps, "join": b"".join, "HasIssues": HasIssues, "tell_issues": tell}
    writer = Writer(source, tells=tell is None)
    with source.block(f"def {name}(record, issues):"):
        source.line("g = record.get")
        if tell is None:
            writer.resource(mapping)
        else:
            with source.block("try:"):
                writer.resource(mapping)
            with source.block("except HasIssues:"):
                source.line("return tell_issues(record, issues)")
    return source.compile(name, f"{mapping.name} to bytes{', telling issues' if tell is None else ''}")


class Writer:
    """Writes the lines of a function. What comes in loops gets lines of its own, all else becomes expressions."""

    def __init__(self, source: Source, *, tells: bool) -> None:
        self.source, self.tells = source, tells
        self.get, self.around = "g", "g"

    def resource(self, mapping: MappingRules) -> None:
        node = build(mapping.rules, mapping.resource_type)
        pieces: list[Piece] = [(b'{"resourceType":' + orjson.dumps(mapping.resource_type), "")]
        for member in node.ordered():
            frame = member_frame(member.name)
            if member.many:
                pieces += self.array(member.items, frame)
            else:
                pieces += [piece for item in member.items for piece in self.item(item, frame)]
        self.joined("return", [*pieces, (b"}", "")])

    # ── objects and lists ─────────────────────────────────────────────────────────────────────────────────────────

    def item(self, item: Leaf | Loop | Node, frame: Frame) -> list[Piece]:
        match item:
            case Leaf():
                return self.leaf(item.rule, frame)
            case Node():
                return self.object(item, frame)
            case Loop():
                return self.loop(item, frame)
            case _:
                assert_never(item)

    def object(self, node: Node, frame: Frame) -> list[Piece]:
        """An object, or nothing when nothing in it carries data. One with a single value is that value in a wider frame."""
        opening = b'{"url":' + orjson.dumps(node.url) if node.url else b"{"
        alone = sole(node)
        if alone is not None:
            member, constants = alone
            head = member_frame(member.name).head[0 if node.url else 1 :]
            wide = frame.around(opening + head, constants + b"}")
            return self.array(member.items, wide) if member.many else self.item(member.items[0], wide)
        var = self.source.fresh("o")
        lists = self.data(node, var)
        with self.source.block(f"if {' or '.join([var, *lists.values()])}:"):
            late = self.constants(node, lists)
            if any(isinstance(value, str) for value, _ in late):
                self.joined(f"{var} =", [(var, ""), *late])
                late = []
            tail = b"".join(value for value, _ in late if isinstance(value, bytes)) + b"}" + frame.tail
            cut = "" if node.url else "[1:]"
            self.source.line(f"{var} = {frame.head + opening!r} + {var}{cut} + {tail!r}")
        return [(var, "")]

    def data(self, node: Node, var: str) -> dict[str, str]:
        """Put the members that carry data into `var`; return, by name, lists that constants are to be added to."""
        pieces: list[Piece] = []
        lists: dict[str, str] = {}
        for member in node.ordered():
            frame = member_frame(member.name)
            carrying = [item for item in member.items if not is_fixed(item)]
            if member.many and len(carrying) < len(member.items):
                lists[member.name] = self.source.fresh("a")
                self.joined(f"{lists[member.name]} =", self.items(carrying))
            elif member.many:
                pieces += self.array(carrying, frame)
            else:
                pieces += [piece for item in carrying for piece in self.item(item, frame)]
        self.joined(f"{var} =", pieces)
        return lists

    def constants(self, node: Node, lists: dict[str, str]) -> list[Piece]:
        """What completes an object that carries data: constants, and the lists that they belong to."""
        late: list[Piece] = []
        for member, leaf in node.constants():
            if not member.many:
                late += self.leaf(leaf.rule, member_frame(member.name))
        for member in node.ordered():
            if member.name in lists:
                fixed = [item for item in member.items if is_fixed(item)]
                late += self.framed([(lists[member.name], ""), *self.items(fixed)], member_frame(member.name))
        return late

    def items(self, items: list[Leaf | Loop | Node]) -> list[Piece]:
        return [piece for item in items for piece in self.item(item, Frame(b","))]

    def array(self, items: list[Leaf | Loop | Node], frame: Frame) -> list[Piece]:
        if len(items) == 1 and not isinstance(items[0], Loop) and not is_fixed(items[0]):
            return self.item(items[0], frame.around(b"[", b"]"))
        return self.framed(self.items(items), frame)

    def framed(self, pieces: list[Piece], frame: Frame) -> list[Piece]:
        """A list in its brackets, or nothing when it is empty."""
        if len(pieces) == 1 and isinstance(pieces[0][0], str) and pieces[0][0].isidentifier():
            var = pieces[0][0]
        else:
            var = self.source.fresh("a")
            self.joined(f"{var} =", pieces)
        with self.source.block(f"if {var}:"):
            self.source.line(f"{var} = {frame.head + b'['!r} + {var}[1:] + {b']' + frame.tail!r}")
        return [(var, "")]

    def loop(self, loop: Loop, frame: Frame) -> list[Piece]:
        rule, outer, fresh = loop.rule, self.get, self.source.fresh
        var, items, item, get = fresh("a"), fresh("items"), fresh("item"), fresh("g")
        self.source.line(f"{var} = {EMPTY}")
        tests = [f"({items} := {outer}({rule.child!r}))", *map(self.test, rule.when)]
        with self.source.block(f"if {' and '.join(tests)}:", rule.at):
            if not rule.first:
                self.source.line(f"{var} = []")
            with self.source.block(f"for {item} in {items}:"):
                self.source.line(f"{get} = {item}.get")
                self.get = get
                with self.guarded(rule.only):
                    self.joined(f"{var} =" if rule.first else f"{var}.append", self.body(loop, frame))
                    if rule.first:
                        self.source.line("break")
                self.get = outer
            if not rule.first:
                self.source.line(f"{var} = join({var})")
        return [(var, "")]

    def body(self, loop: Loop, frame: Frame) -> list[Piece]:
        """One item of a list. Where its values are few, so are the items, and they are looked up whole."""
        few = few_values(loop)
        if self.tells or len(few) < 2:
            return self.item(loop.body, frame)
        source = Source()
        writer = Writer(source, tells=True)
        source.names |= {"dumps": orjson.dumps, "join": b"".join}
        name = f"{loop.rule.child}_item"
        with source.block(f"def {name}(g, issues):"):
            writer.around = ""
            writer.joined("return", writer.item(loop.body, frame))
        made = source.compile(name, f"{loop.rule.at} item to bytes")
        known = self.source.bind(f"known_{loop.rule.child}", Items(tuple(few), made))
        return [(f"{known}[{', '.join(map(self.read, few))}]", "")]

    def joined(self, target: str, pieces: list[Piece]) -> None:
        """Write `target` and the concatenation of the pieces: `o1 =`, `return` or `a1.append`."""
        pieces = merged(pieces)
        opening, closing = ("(", ")") if target.endswith(".append") else (" ", "")
        if len(pieces) < 2:
            text, at = pieces[0] if pieces else (b"", "")
            self.source.line(f"{target}{opening}{shown(text)}{closing}", at)
            return
        few = len(pieces) < 4
        head, tail = (f"{opening}(", f"){closing}") if few else (f"{opening}join((", f")){closing}")
        with self.source.block(f"{target}{head}"):
            for place, (text, at) in enumerate(pieces):
                term = shown(text)
                if few and isinstance(text, str) and not _is_simple(text):
                    term = f"({text})"
                self.source.line(f"{'+ ' if few and place else ''}{term}{'' if few else ','}", at)
        self.source.line(tail)

    # ── conditions and values ─────────────────────────────────────────────────────────────────────────────────────

    def guarded(self, conditions: tuple[Condition, ...]) -> AbstractContextManager[None]:
        """A block under all conditions; none when there are none."""
        return self.source.block(f"if {' and '.join(map(self.test, conditions))}:") if conditions else nullcontext()

    def test(self, condition: Condition) -> str:
        value = self.read(condition.field)
        return f"{value} in {condition.values!r}" if condition.values else f"{value} is not None"

    def read(self, field: str) -> str:
        return f"{self.around}({field[1:]!r})" if field.startswith("^") else f"{self.get}({field!r})"

    def look_up(self, table: Fragments, key: str) -> str:
        """The fragment of a value; the telling function says what is wrong with it."""
        name = self.source.bind("known" if table.kept else "odd", table)
        return f"{name}.told({key}, issues)" if self.tells else f"{name}[{key}]"

    def leaf(self, rule: Rule, frame: Frame) -> list[Piece]:
        if not rule.when:
            return self.value(rule, frame)
        pieces = merged(self.value(rule, frame))
        text = " + ".join(f"({value})" if isinstance(value, str) else repr(value) for value, _ in pieces)
        return [(f"({text}) if {' and '.join(map(self.test, rule.when))} else {EMPTY}", rule.at)]

    def value(self, rule: Rule, frame: Frame) -> list[Piece]:
        match rule:
            case Constant():
                return [(frame.whole(rule.value), rule.at)]
            case Derive():
                chain = [f"{frame.whole(value)!r} if {self.test(test)} else " for test, value in rule.choices]
                return [(f"{''.join(chain)}{frame.whole(rule.otherwise)!r}", rule.at)]
            case Key():
                head = frame.head + b'"' + (rule.prefix.encode() + b"-" if rule.prefix else b"")
                return [(head, ""), (f"{self.read('$key')}.encode()", rule.at), (b'"' + frame.tail, "")]
            case Refer():
                target = f"{rule.to}/{rule.prefix + '-' if rule.prefix else ''}".encode()
                wide = frame.around(b'{"reference":"' + target, b'"}')
                if self.get != self.around and rule.link != "key":  # many list items point at the same
                    return [(self.look_up(Fragments(frame, referring(rule)), self.read("$" + rule.link)), rule.at)]
                return [self.present(self.read("$" + rule.link), around(wide, "v.encode()"), rule)]
            case Copy():
                return [self.copy(rule, frame)]
            case Coded():
                keys = [rule.field, rule.system_field, rule.version_field]
                reads = [self.read(name) if name else "None" for name in keys]
                key = ", ".join(reads) if any(keys[1:]) else reads[0]
                key = f"({key})" if any(keys[1:]) else key
                return [(self.look_up(Fragments(frame, coded(rule)), key), rule.at)]
            case Identify():
                return [self.identify(rule, frame)]
            case Logical():
                return [(self.look_up(Fragments(frame, logical(rule)), self.read(rule.field)), rule.at)]
            case Each():
                raise AssertionError("lists are loops, not values")
            case _:
                assert_never(rule)

    def present(self, read: str, text: str, rule: Rule) -> Piece:
        """The expression of a value that may be absent; it is called v in `text`."""
        return f"{EMPTY} if (v := {read}) is None else {text}", rule.at

    def identify(self, rule: Identify, frame: Frame) -> Piece:
        """Identifiers are mostly unique: written in place when their system is fixed, else through the dict form."""
        bind, read = self.source.bind, self.read(rule.field)
        if rule.system is not None and not rule.system_field:
            head = frame.head + b'{"system":' + orjson.dumps(rule.system.uri) + b',"value":'
            end = repr(b"}" + frame.tail)
            if rule.assigner_system is not None:
                tails = bind("assigned_by", Tails(rule.assigner_system.uri, frame.tail))
                end = f"{tails}[{self.read(rule.assigner_field)}]"
            return self.present(read, f"{head!r} + dumps(v) + {end}", rule)
        chosen = self.read(rule.system_field) if rule.system_field else "None"
        giver = self.read(rule.assigner_field) if rule.assigner_field else "None"
        made = f"{bind('identifier_json', identifier_json)}({bind('rule', rule)}, v, {chosen}, {giver})"
        return self.present(read, around(frame, f"dumps({made})"), rule)

    def copy(self, rule: Copy, frame: Frame) -> Piece:
        """Values of which there are few are looked up; text and times are quoted, the odd ones by a function."""
        *others, last = [self.read(name) for name in rule.fields]
        read = last
        for other in reversed(others):
            read = f"(w if (w := {other}) is not None else {read})"
        few = rule.codec not in ("text", "dateTime") or rule.datatype == "code" or bool(rule.suffix)
        if few:
            return self.look_up(Fragments(frame, copied(rule)), read), rule.at
        odd = self.look_up(Fragments(frame, copied(rule), kept=0), "v")
        if rule.codec == "dateTime":
            offset = f"{self.source.bind('offset_of', OFFSETS.get)}(v[:13])"
            usual, made = f"len(v) == 19 and (x := {offset})", "dumps(v + x)"
        else:
            usual, made = "v.isprintable() and v.strip()", "dumps(v)"
        return self.present(read, f"{around(frame, made)} if {usual} else {odd}", rule)


def is_fixed(item: Leaf | Loop | Node) -> bool:
    """Whether an item says nothing of the record."""
    return isinstance(item, Leaf) and carries_nothing(item.rule)


def few_values(loop: Loop) -> list[str]:
    """The fields of a list item when each has few values: codes, small numbers, units, organisations; else none."""
    fields: dict[str, None] = {}
    for rule in [loop.body.rule] if isinstance(loop.body, Leaf) else loop.rule.rules:
        match rule:
            case Constant() | Derive() | Coded() | Logical():
                names = list(fields_of(rule))
            case Refer() if rule.link != "key":
                names = ["$" + rule.link, *(condition.field for condition in rule.when)]
            case Copy() if rule.codec == "integer":
                names = list(fields_of(rule))
            case _:
                return []
        if any(name.startswith("^") for name in names):
            return []
        fields |= dict.fromkeys(names)
    return list(fields)


def merged(pieces: list[Piece]) -> list[Piece]:
    """The pieces with neighbouring constants made one, and without those that are empty."""
    out: list[Piece] = []
    for text, at in pieces:
        if isinstance(text, bytes) and out and isinstance(out[-1][0], bytes):
            out[-1] = (out[-1][0] + text, out[-1][1] or at)
        elif text != b"":
            out.append((text, at))
    return out


def around(frame: Frame, text: str) -> str:
    """The expression of a value in its frame."""
    return f"{frame.head!r} + {text}{f' + {frame.tail!r}' if frame.tail else ''}"


def shown(text: bytes | str) -> str:
    """A piece as Python source."""
    return text if isinstance(text, str) else repr(text)


def sole(node: Node) -> tuple[Member, bytes] | None:
    """The one member of an object that carries data, with the constants beside it, or None when there are more.

    Not when the value may come in two members, as a code with extensions does.
    """
    carrying, constants = [], b""
    for member in node.ordered():
        if not all(map(is_fixed, member.items)):
            carrying.append(member)
            continue
        for item in member.items:
            if member.many or not (isinstance(item, Leaf) and isinstance(item.rule, Constant)) or item.rule.when:
                return None
            constants += member_frame(member.name).whole(item.rule.value)
    if len(carrying) != 1 or (carrying[0].many and any(map(is_fixed, carrying[0].items))):
        return None
    item = carrying[0].items[0]
    if isinstance(item, Leaf) and isinstance(item.rule, Coded) and item.rule.shape == "code" and not carrying[0].many:
        return None
    return carrying[0], constants
