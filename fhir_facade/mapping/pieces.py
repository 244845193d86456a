"""The parts that a byte function is written of: constant bytes, expressions, variables that hold fields."""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import itemgetter
from textwrap import wrap
from typing import Any

from fhir_facade.mapping.fragments import Frame, member_frame
from fhir_facade.mapping.ir import Coded, Constant, Copy, Derive, Logical, Refer, carries_nothing, fields_of
from fhir_facade.mapping.tree import Leaf, Loop, Member, Node

Piece = tuple[bytes | str, str]
"""Bytes that are always the same, or the Python expression of bytes; and the line of the mapping behind it."""

EMPTY = "b''"
_not_word = re.compile(r"\W")
is_simple = re.compile(r"[\w.]+(\[.+\]|\(.+\))?").fullmatch


class Scope:
    """The fields of the record, or of one list item, that a fast function reads, and the variables that hold them."""

    def __init__(self, prefix: str, always: frozenset[str] = frozenset()) -> None:
        self.prefix, self.always = prefix, always
        self.names: dict[str, str] = {}
        self.demanded: list[str] = []

    def read(self, field: str) -> str:
        if field not in self.names:
            name = f"{self.prefix}_{_not_word.sub('_', field.lstrip('$'))}"
            self.names[field] = name if name not in self.names.values() else f"{name}_{len(self.names)}"
        return self.names[field]

    @property
    def target(self) -> str:
        """What the values are assigned to, in lines of ordinary length."""
        return "(" + ",\n            ".join(wrap(", ".join(self.names.values()), 90)).replace(",,", ",") + ")"

    @property
    def demand(self) -> str:
        """The line that leaves for the slow way when what must be there is not; none when nothing must."""
        tests = " or ".join(f"{name} is None" for name in dict.fromkeys(self.demanded))
        return f"if {tests}: raise HasIssues" if tests else ""

    @property
    def getter(self) -> Callable[[Any], Any]:
        return itemgetter(*self.names)


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


def bracketed(var: str, head: bytes, tail: bytes, *, cut: bool) -> list[Piece]:
    """What stands in `var` between head and tail, its first comma cut off; nothing when `var` is empty."""
    inner = f"{var}[1:]" if cut else var
    return [(f"{head!r} if {var} else {EMPTY}", ""), (inner, ""), (f"{tail!r} if {var} else {EMPTY}", "")]


def quoted(frame: Frame, text: str) -> str:
    """The expression of a str that needs no quoting, in its frame."""
    head, tail = (part.decode().replace("{", "{{").replace("}", "}}") for part in (frame.head, frame.tail))
    return f"f{head + '{' + text + '}' + tail!r}.encode()"


def around(frame: Frame, text: str) -> str:
    """The expression of bytes in their frame."""
    if not frame.tail:
        return f"{frame.head!r} + {text}"
    head, tail = (part.replace(b"%", b"%%") for part in (frame.head, frame.tail))
    return f"{head + b'%b' + tail!r} % {text}"


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
