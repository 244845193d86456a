"""Compile values to bytes: the expressions of the values and conditions that a byte function is written of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import assert_never

import orjson

from fhir_facade.emit import Source
from fhir_facade.mapping.codecs import OFFSETS, identifier_json
from fhir_facade.mapping.forward import Absence, Hiding, is_hidden
from fhir_facade.mapping.fragments import (
    Fragments,
    Frame,
    Tails,
    coded,
    copied,
    custom,
    has_issues,
    logical,
    referring,
)
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
    Refer,
    Rule,
)
from fhir_facade.mapping.pieces import EMPTY, Piece, Scope, around, merged, quoted

BACKSLASH = 0x5C
OFFSET_OF = OFFSETS.get
Always = Mapping[str, frozenset[str]]
"""The fields that every stored record has, by list; "" is the record itself."""


class Values:
    """The lower half of the writer in to_bytes.py: what one rule gives, and the tests that it stands under."""

    def __init__(self, source: Source, hiding: Hiding, always: Always, *, tells: bool) -> None:
        self.source, self.hiding, self.always, self.tells = source, hiding, always, tells
        source.names |= {"dumps": orjson.dumps, "join": b"".join, "has_issues": has_issues}
        self.gets = ["g"]  # in the telling function: what reads the record, and inside loops the item
        self.scopes = [Scope("r", always.get("", frozenset()))]  # in the fast one
        self.present_now: set[str] = set()  # variables that were just found not to be None
        self.lists: dict[str, tuple[str, ...]] = {}  # which fields of list items are read

    def hidden(self, scope: int) -> None:
        """Tell the values of the record or item that no row shows, because of guards."""
        for hidden in self.hiding.get(scope, ()):
            told = f"issues.append({self.source.bind('hidden', hidden.issue)})" if self.tells else "raise HasIssues"
            with self.source.block(f"if {is_hidden(hidden, self.read, self.test)}:"):
                self.source.line(told)

    def guarded(self, conditions: tuple[Condition, ...]) -> AbstractContextManager[None]:
        """A block under all conditions; none when there are none."""
        return self.source.block(f"if {' and '.join(map(self.test, conditions))}:") if conditions else nullcontext()

    def test(self, condition: Condition) -> str:
        value = self.read(condition.field)
        return f"{value} in {condition.values!r}" if condition.values else f"{value} is not None"

    def read(self, field: str) -> str:
        """The expression of a field; "^name" is one of the record around a list item."""
        outer = field.startswith("^")
        field = field.removeprefix("^")
        if self.tells:
            return f"{self.gets[-2 if outer else -1]}({field!r})"
        return self.scopes[-2 if outer else -1].read(field)

    def is_sure(self, rule: Rule) -> bool:
        """Whether a row always writes something, or raises HasIssues; its field is demanded then."""
        match rule:
            case Copy(fields=(name, *_)) | Logical(field=name):
                pass
            case Coded(field=name, shape="Coding" | "CodeableConcept", code_map=None, system_field=""):
                pass
            case Identify(field=name, system_field="") if rule.system is not None:
                pass
            case Refer():
                name = "$" + rule.link
            case _:
                return False
        return not rule.when and self.demands(name)

    def decides(self, rule: Rule) -> str:
        """The variable whose being None is all that keeps a row from writing something."""
        match rule:
            case Copy(fields=(name,)) | Logical(field=name) | Coded(field=name, code_map=None, system_field=""):
                sole_field = not isinstance(rule, Coded) or (rule.shape != "code" and not rule.version_field)
            case Refer():
                name, sole_field = "$" + rule.link, True
            case _:
                return ""
        return "" if rule.when or name.startswith("^") or not sole_field else self.read(name)

    def is_present(self, variable: str) -> bool:
        return variable in self.present_now or variable in self.scopes[-1].demanded

    def demands(self, field: str) -> bool:
        """Whether every stored record has a field; one without it is left to the slow way then."""
        if self.tells or field not in self.scopes[-1].always:
            return False
        self.scopes[-1].demanded.append(self.read(field))
        return True

    def look_up(self, table: Fragments, key: str) -> str:
        """The fragment of a value; the telling function says what is wrong with it."""
        name = self.source.bind("known" if table.kept else "odd", table)
        if self.tells:
            return f"{name}.told({key}, issues)"
        if not key.isidentifier() or not table.kept or self.is_present(key):
            return f"{name}[{key}]"
        return f"{EMPTY} if {key} is None else {name}[{key}]"

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
            case Absence():
                told = f"issues.append({self.source.bind('absent', rule.issue)})" if self.tells else "has_issues()"
                there = " or ".join(self.test(test) for test, _ in rule.choices)
                return [(f"{EMPTY} if {there} else {told} or {frame.whole(rule.otherwise)!r}", rule.at)]
            case Derive():
                chain = [f"{frame.whole(value)!r} if {self.test(test)} else " for test, value in rule.choices]
                return [(f"{''.join(chain)}{frame.whole(rule.otherwise)!r}", rule.at)]
            case Key():
                head = frame.head + b'"' + (rule.prefix.encode() + b"-" if rule.prefix else b"")
                return [(head, ""), (f"{self.read('$key')}.encode()", rule.at), (b'"' + frame.tail, "")]
            case Refer():
                target = f"{rule.to}/{rule.prefix + '-' if rule.prefix else ''}".encode()
                wide = frame.around(b'{"reference":"' + target, b'"}')
                if len(self.scopes) > 1 and rule.link != "key":  # many list items point at the same
                    return [(self.look_up(Fragments(frame, referring(rule)), self.read("$" + rule.link)), rule.at)]
                link = self.read("$" + rule.link)
                if not rule.when and self.demands("$" + rule.link):
                    return [(wide.head, ""), (f"{link}.encode()", rule.at), (wide.tail, "")]
                return [self.present(link, lambda v: quoted(wide, v), rule)]
            case Copy():
                return [self.copy(rule, frame)]
            case Coded():
                keys = [rule.field, rule.system_field, rule.version_field]
                reads = [self.read(name) if name else "None" for name in keys]
                key = ", ".join(reads) if any(keys[1:]) else reads[0]
                key = f"({key})" if any(keys[1:]) else key
                return [(self.look_up(Fragments(frame, coded(rule)), key), rule.at)]
            case Identify():
                return self.identify(rule, frame)
            case Logical():
                return [(self.look_up(Fragments(frame, logical(rule)), self.read(rule.field)), rule.at)]
            case Custom():
                return [(self.look_up(Fragments(frame, custom(rule)), self.read(rule.field)), rule.at)]
            case Each():
                raise AssertionError("lists are loops, not values")
            case _:
                assert_never(rule)

    def present(self, read: str, text: Callable[[str], str], rule: Rule) -> Piece:
        """The expression of a value that may be absent."""
        if self.is_present(read):
            return text(read), rule.at
        if read.isidentifier():
            return f"{EMPTY} if {read} is None else {text(read)}", rule.at
        return f"{EMPTY} if (v := {read}) is None else {text('v')}", rule.at

    def identify(self, rule: Identify, frame: Frame) -> list[Piece]:
        """Identifiers are mostly unique: written in place when their system is fixed, else through the dict form."""
        bind, read = self.source.bind, self.read(rule.field)
        if rule.system is not None and not rule.system_field:
            head = frame.head + b'{"system":' + orjson.dumps(rule.system.uri) + b',"value":'
            end = repr(b"}" + frame.tail)
            if rule.assigner_system is not None:
                tails = bind("assigned_by", Tails(rule.assigner_system.uri, frame.tail))
                end = f"{tails}[{self.read(rule.assigner_field)}]"
            if not rule.when and self.demands(rule.field):
                return [(head, ""), (f"dumps({read})", rule.at), (end, "")]
            return [self.present(read, lambda v: f"{head!r} + dumps({v}) + {end}", rule)]
        chosen = self.read(rule.system_field) if rule.system_field else "None"
        giver = self.read(rule.assigner_field) if rule.assigner_field else "None"
        call = f"{bind('identifier_json', identifier_json)}({bind('rule', rule)}"
        return [self.present(read, lambda v: around(frame, f"dumps({call}, {v}, {chosen}, {giver}))"), rule)]

    def copy(self, rule: Copy, frame: Frame) -> Piece:
        """Values of which there are few are looked up; text and times are quoted, the odd ones by a function."""
        if len(rule.fields) == 1 and not rule.when:
            self.demands(rule.fields[0])
        *others, last = [self.read(name) for name in rule.fields]
        read = last
        for other in reversed(others):
            read = f"(w if (w := {other}) is not None else {read})"
        few = rule.codec not in ("text", "dateTime") or rule.datatype == "code" or bool(rule.suffix)
        if few:
            return self.look_up(Fragments(frame, copied(rule)), read), rule.at
        odd = Fragments(frame, copied(rule), kept=0)
        offset_of = self.source.bind("offset_of", OFFSET_OF)

        def text(v: str) -> str:
            if rule.codec == "dateTime":
                usual, made = f"len({v}) == 19 and (x := {offset_of}({v}[:13]))", f"dumps({v} + x)"
            else:
                # a blank begins below "!" or, beyond ASCII, unprintable; the quoter writes controls with a backslash
                begun = f"{v} >= '!' and ({v}.isascii() or {v}[0].isprintable())"
                usual, made = f"{begun} and {BACKSLASH} not in (x := dumps({v}))", "x"
            return f"{around(frame, made)} if {usual} else {self.look_up(odd, v)}"

        return self.present(read, text, rule)
