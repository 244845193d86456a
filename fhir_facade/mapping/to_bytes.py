"""Compile a mapping to bytes: record in, FHIR JSON out, joined from fragments that are rendered beforehand.

The hot path of reads and searches. It makes no dicts: constants are bytes in the source, coded values are looked up
in tables of rendered fragments, and only free text goes through the JSON quoter. A function is written twice: a fast
one that knows no issues, and one that tells them, which is called when the first meets a value that raises one.
"""

from __future__ import annotations

from operator import itemgetter
from typing import assert_never

import orjson

from fhir_facade.contracts import Record
from fhir_facade.emit import Source
from fhir_facade.mapping.byte_values import Always, Values
from fhir_facade.mapping.forward import RECORD, forward, hiding
from fhir_facade.mapping.fragments import Frame, HasIssues, Items, Render, filling_in, member_frame
from fhir_facade.mapping.ir import Each, MappingRules, Rule
from fhir_facade.mapping.pieces import (
    EMPTY,
    Piece,
    Scope,
    bracketed,
    few_values,
    is_fixed,
    is_simple,
    merged,
    shown,
    sole,
)
from fhir_facade.mapping.tree import Leaf, Loop, Member, Node, build
from fhir_facade.outcome import Issue

__all__ = ["Render", "compile_to_bytes"]


def compile_to_bytes(mapping: MappingRules, always: Always) -> Render:
    """Return `f(record, issues) -> JSON bytes`, equal to the dict engine's resource.

    `always` are the fields that every stored record has, by list, "" being the record itself. What begins with one of
    them is written without asking whether there is anything; a record that lacks one goes the slow way.
    """
    telling: list[Render] = []

    def tell(record: Record, issues: list[Issue]) -> bytes:
        if not telling:
            telling.append(_write(mapping, None, {}))
        return telling[0](record, issues)

    return _write(mapping, tell, always)


def _write(mapping: MappingRules, tell: Render | None, always: Always) -> Render:
    """The fast function, which goes to `tell` when there are issues; or, without it, the one that tells them."""
    name = f"{mapping.kind}_to_{mapping.resource_type.lower()}_bytes"
    source = Source()
    rules = forward(mapping.rules, mapping.resource_type)
    writer = Writer(source, hiding(rules), always, tells=tell is None)
    with source.block(f"def {name}(record, issues):"):
        if tell is None:
            source.line("g = record.get")
            writer.resource(rules, mapping.resource_type)
            return source.compile(name, f"{mapping.name} to bytes, telling issues")
        with source.block("try:"):
            place, check = writer.hold(), writer.hold()
            writer.resource(rules, mapping.resource_type)
            scope = writer.scopes[0]
            writer.fill(check, scope.demand)
            writer.fill(place, f"{scope.target} = {source.bind('fields', scope.getter)}(record)")
        with source.block("except KeyError:"):
            source.line("return fill_in(record, issues)")
        with source.block("except HasIssues:"):
            source.line("return tell_issues(record, issues)")
    source.names |= {"HasIssues": HasIssues, "tell_issues": tell}
    fast = source.compile(name, f"{mapping.name} to bytes")
    source.names["fill_in"] = filling_in(tuple(writer.scopes[0].names), writer.lists, fast, tell)
    return fast


class Writer(Values):
    """Writes the lines of a function. What comes in loops gets lines of its own, all else becomes expressions."""

    def resource(self, rules: tuple[Rule, ...], resource_type: str) -> None:
        self.hidden(RECORD)
        node = build(rules, resource_type)
        pieces: list[Piece] = [(b'{"resourceType":' + orjson.dumps(resource_type), "")]
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
        """An object, or nothing when nothing in it carries data; one with a single value is it, framed wider."""
        opening = b'{"url":' + orjson.dumps(node.url) if node.url else b"{"
        first = self.anchor(node)
        if first is not None:
            return self.anchored(node, first, frame, opening)
        alone = sole(node)
        if alone is not None:
            member, constants = alone
            head = member_frame(member.name).head[0 if node.url else 1 :]
            wide = frame.around(opening + head, constants + b"}")
            return self.array(member.items, wide) if member.many else self.item(member.items[0], wide)
        members = node.ordered()
        if not node.url and not any(member.many for member in members):
            parts = [(item, member_frame(member.name)) for member in members for item in member.items]
            if pair := self.pair(parts, frame.head + opening, b"}" + frame.tail):
                return pair
        var = self.source.fresh("o")
        lists = self.data(node, var)
        late = self.constants(node, lists) if not lists else []
        if not lists and all(isinstance(text, bytes) for text, _ in late):
            tail = b"".join(text for text, _ in late if isinstance(text, bytes))
            return bracketed(var, frame.head + opening, tail + b"}" + frame.tail, cut=not node.url)
        whole = self.source.fresh("o")
        self.source.line(f"{whole} = {EMPTY}")
        with self.source.block(f"if {' or '.join([var, *lists.values()])}:"):
            self.joined(f"{whole} =", [(var, ""), *(late or self.constants(node, lists))])
        return bracketed(whole, frame.head + opening, b"}" + frame.tail, cut=not node.url)

    def anchor(self, node: Node) -> Member | None:
        """The first member that carries data, when it is a value of a field that every record has."""
        if sole(node) is not None:
            return None
        for member in node.ordered():
            if not all(map(is_fixed, member.items)):
                return member if not member.many and self.is_certain(member.items[0]) else None
        return None

    def is_certain(self, item: Leaf | Loop | Node) -> bool:
        """Whether an item is always there: a sure value, or an object that begins with one."""
        match item:
            case Leaf():
                return self.is_sure(item.rule)
            case Node():
                alone = sole(item)
                if alone is None:
                    return self.anchor(item) is not None
                return not is_fixed(alone[0].items[0]) and self.is_certain(alone[0].items[0])
            case Loop():
                return False

    def anchored(self, node: Node, first: Member, frame: Frame, opening: bytes) -> list[Piece]:
        """An object that is always there, its sure member in front."""
        pieces: list[Piece] = [(frame.head + opening, "")]
        cut = member_frame(first.name).cut()
        for member in [first, *(other for other in node.ordered() if other is not first)]:
            inner = cut if member is first and not node.url else member_frame(member.name)
            if member.many:
                pieces += self.array(member.items, inner)
            else:
                pieces += [piece for item in member.items for piece in self.item(item, inner)]
        return [*pieces, (b"}" + frame.tail, "")]

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

    def sure(self, items: list[Leaf | Loop | Node], frame: Frame) -> list[Piece]:
        """A list that is never empty, for its first item is always there."""
        first = self.item(items[0], Frame(b""))
        return [(frame.head + b"[", ""), *first, *self.items(items[1:]), (b"]" + frame.tail, "")]

    def pair(self, parts: list[tuple[Leaf | Loop | Node, Frame]], opening: bytes, closing: bytes) -> list[Piece]:
        """Two values that may each be absent, with what stands around them: told apart before anything is written."""
        tests = [self.may_lack(item) for item, _ in parts]
        if len(parts) != 2 or not all(tests):
            return []
        (one, one_frame), (other, other_frame) = parts

        def written(item: Leaf | Loop | Node, frame: Frame) -> str:
            pieces = self.item(item, frame)
            return " + ".join(f"({text})" if isinstance(text, str) else repr(text) for text, _ in pieces)

        self.present_now |= set(tests)
        first = written(one, Frame(opening + one_frame.head[1:], one_frame.tail))
        second = written(other, Frame(other_frame.head, other_frame.tail + closing))
        alone = written(other, Frame(opening + other_frame.head[1:], other_frame.tail + closing))
        self.present_now -= set(tests)
        both = f"{first} + ({closing!r} if {tests[1]} is None else {second})"
        neither = f"{EMPTY} if {tests[1]} is None else {alone}"
        return [(f"({neither}) if {tests[0]} is None else {both}", self.place_of(one))]

    def may_lack(self, item: Leaf | Loop | Node) -> str:
        """The variable that decides whether an item is there, if one does; it must not be told of in other ways."""
        if self.tells or isinstance(item, Loop):
            return ""
        if isinstance(item, Leaf):
            return self.decides(item.rule)
        alone = sole(item)
        return "" if alone is None or is_fixed(alone[0].items[0]) else self.may_lack(alone[0].items[0])

    def place_of(self, item: Leaf | Loop | Node) -> str:
        while isinstance(item, Node):
            item = next(member for member in item.ordered() if not is_fixed(member.items[0])).items[0]
        return item.rule.at

    def items(self, items: list[Leaf | Loop | Node]) -> list[Piece]:
        return [piece for item in items for piece in self.item(item, Frame(b","))]

    def array(self, items: list[Leaf | Loop | Node], frame: Frame) -> list[Piece]:
        if len(items) == 1 and not isinstance(items[0], Loop) and not is_fixed(items[0]):
            return self.item(items[0], frame.around(b"[", b"]"))
        if self.is_certain(items[0]):
            return self.sure(items, frame)
        if pair := self.pair([(item, Frame(b",")) for item in items], frame.head + b"[", b"]" + frame.tail):
            return pair
        return self.framed(self.items(items), frame)

    def framed(self, pieces: list[Piece], frame: Frame) -> list[Piece]:
        """A list in its brackets, or nothing when it is empty."""
        pieces = merged(pieces)
        if pieces and isinstance(pieces[0][0], bytes):  # a constant: there is always something in the list
            constant = frame.head + b"[" + pieces[0][0][1:]
            return [(constant, pieces[0][1]), *pieces[1:], (b"]" + frame.tail, "")]
        if len(pieces) == 1 and isinstance(pieces[0][0], str) and pieces[0][0].isidentifier():
            var = pieces[0][0]
        else:
            var = self.source.fresh("a")
            self.joined(f"{var} =", pieces)
        return bracketed(var, frame.head + b"[", b"]" + frame.tail, cut=True)

    def loop(self, loop: Loop, frame: Frame) -> list[Piece]:
        rule, children = loop.rule, self.read(loop.rule.child)
        few = () if self.tells or rule.first or rule.keep else self.few_values(loop)
        if few:
            known = self.source.bind(f"known_{rule.child}", self.items_table(loop, few, frame).__getitem__)
            fields = self.source.bind(f"fields_{rule.child}", itemgetter(*few))
            self.reads_items(rule, few)
            tests = " and ".join([children, *map(self.test, rule.when)])
            return [(f"join(map({known}, map({fields}, {children}))) if {tests} else {EMPTY}", rule.at)]
        var, items = self.source.fresh("a"), self.source.fresh("items")
        self.source.line(f"{var} = {EMPTY}")
        tests = " and ".join([f"({items} := {children})", *map(self.test, rule.when)])
        with self.source.block(f"if {tests}:", rule.at):
            self.each(loop, var, items, frame)
        return [(var, "")]

    def few_values(self, loop: Loop) -> tuple[str, ...]:
        """The fields that items with few values are looked up by, those that decide what is hidden among them."""
        told = [name for hidden in self.hiding.get(id(loop.rule), ()) for name in hidden.reads]
        few = [] if any(name.startswith("^") for name in told) else few_values(loop)
        return tuple(dict.fromkeys([*few, *told])) if few else ()

    def each(self, loop: Loop, var: str, items: str, frame: Frame) -> None:
        """The loop itself; `var` becomes the items, joined, or the first of them."""
        rule, source = loop.rule, self.source
        if not rule.first:
            source.line(f"{var} = []")
        place = self.hold()
        self.gets.append(source.fresh("g"))
        self.scopes.append(Scope(source.fresh("item"), self.always.get(rule.child, frozenset())))
        with source.block(""):
            source.lines.pop()
            check = self.hold()
            if self.tells:
                source.line(f"{self.gets[-1]} = item.get")
            with self.guarded(rule.keep):
                self.hidden(id(rule))
                self.joined(f"{var} =" if rule.first else f"{var}.append", self.item(loop.body, frame))
                if rule.first:
                    source.line("break")
        self.gets.pop()
        scope = self.scopes.pop()
        self.fill(check, scope.demand)
        if not rule.first:
            source.line(f"{var} = join({var})")
        if self.tells or not scope.names:
            self.fill(place, f"for item in {items}:")
            return
        fields = source.bind(f"fields_{rule.child}", scope.getter)
        target = scope.target if len(scope.names) > 1 else scope.target.strip("()")
        self.fill(place, f"for {target} in map({fields}, {items}):")
        self.reads_items(rule, tuple(scope.names))

    def reads_items(self, rule: Each, fields: tuple[str, ...]) -> None:
        if len(self.scopes) == 1:
            self.lists[rule.child] = (*self.lists.get(rule.child, ()), *fields)

    def items_table(self, loop: Loop, few: tuple[str, ...], frame: Frame) -> Items:
        """Where the values of items are few, so are the items: they are looked up whole, and rendered by a function."""
        source = Source()
        writer = Writer(source, self.hiding, {}, tells=True)
        name = f"{loop.rule.child}_item"
        with source.block(f"def {name}(g, issues):"):
            writer.hidden(id(loop.rule))
            writer.joined("return", writer.item(loop.body, frame))
        return Items(few, source.compile(name, f"{loop.rule.at} item to bytes"))

    def hold(self) -> int:
        """Keep a line free, to be filled when it is known what it must say; the later ones first."""
        self.source.line("...")
        return len(self.source.lines) - 1

    def fill(self, place: int, text: str) -> None:
        self.source.lines[place] = self.source.lines[place].replace("...", text)
        if not text:
            del self.source.lines[place]

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
                if few and isinstance(text, str) and not is_simple(text):
                    term = f"({text})"
                self.source.line(f"{'+ ' if few and place else ''}{term}{'' if few else ','}", at)
        self.source.line(tail)
