"""FHIRPath text into a tree, http://hl7.org/fhirpath/N1/ (grammar in its appendix B).

The tree is closed and small; operators and functions are told apart by name when they are evaluated. Length and depth
of a text are bounded, so that one from outside costs little and never exhausts the stack.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple, NoReturn

LONGEST = 20_000
DEEPEST = 150
PARSED_KEPT = 4096
MOST_DIGITS = 100
LARGEST = 2**31
"""The largest whole number that may stand in a text: with a sign before it, the least that there is."""

UNITS = (
    "year years month months week weeks day days hour hours minute minutes second seconds millisecond milliseconds"
).split(" ")


class FhirPathError(Exception):
    """A text that is no FHIRPath, or that asks for what cannot be given; `position` is from 0."""

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class Literal(NamedTuple):
    """A value written out. `kind` is string, number, boolean, date, dateTime, time or quantity."""

    kind: str
    value: str | Decimal | int | bool
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Name:
    """An element of what stands before it (None: of the focus), or the type that the path begins with."""

    base: Expression | None
    name: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """A function of what stands before it."""

    base: Expression | None
    name: str
    arguments: tuple[Expression, ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class Constant:
    literal: Literal


@dataclass(frozen=True, slots=True)
class Variable:
    """$this, $index, $total, or %name."""

    name: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Empty:
    """{}"""


@dataclass(frozen=True, slots=True)
class Index:
    base: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Expression
    right: Expression
    at: int = 0


@dataclass(frozen=True, slots=True)
class TypeTest:
    """`is` and `as` as operators."""

    operator: str
    operand: Expression
    type: str


Expression = Name | Call | Constant | Variable | Empty | Index | Unary | Binary | TypeTest


class Token(NamedTuple):
    kind: str
    text: str
    at: int


_TOKENS = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<open>/\*)
    |(?P<date>@\d{4}(-\d\d(-\d\d)?)?(T(\d\d(:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?)?)?|@T\d\d(:\d\d(:\d\d(\.\d+)?)?)?)
    |(?P<number>[0-9]+(\.[0-9]+)?)
    |(?P<string>'(\\.|[^'\\])*')
    |(?P<quoted>`(\\.|[^`\\])*`)
    |(?P<variable>\$[a-z]+|%([A-Za-z_][A-Za-z0-9_-]*|`[^`]*`|'(\\.|[^'\\])*'|"[^"]*"))
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<symbol><=|>=|!=|!~|[.()\[\]{},|&+\-*/=~<>])
    """,
    re.VERBOSE | re.DOTALL,
)

LEVELS: dict[str, int] = {
    "implies": 1, "or": 2, "xor": 2, "and": 3, "in": 4, "contains": 4, "=": 5, "~": 5, "!=": 5, "!~": 5,
    "<=": 6, "<": 6, ">": 6, ">=": 6, "|": 7, "is": 8, "as": 8, "+": 9, "-": 9, "&": 9, "*": 10, "/": 10,
    "div": 10, "mod": 10,
}  # fmt: skip
"""How strongly an operator binds; all of them are taken from left to right."""

_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}


@lru_cache(maxsize=PARSED_KEPT)
def parse(text: str) -> Expression:
    """The tree of a text; FhirPathError with the position where it is not understood."""
    if len(text) > LONGEST:
        raise FhirPathError("the expression is too long", LONGEST)
    tree = _Parser(text).whole()
    if _depth(tree) > DEEPEST:
        raise FhirPathError("the expression is too deep", len(text))
    return tree


def _depth(tree: Expression) -> int:
    """How many nodes stand in each other; counted without recursion, for that is what it guards against."""
    deepest, waiting = 0, [(tree, 1)]
    while waiting and deepest <= DEEPEST:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        for name in node.__dataclass_fields__:
            held = getattr(node, name)
            for each in held if isinstance(held, tuple) and not isinstance(held, Literal) else (held,):
                if hasattr(each, "__dataclass_fields__"):
                    waiting.append((each, depth + 1))
    return deepest


def unescaped(text: str) -> str:
    """What a quoted text means."""
    plain = re.sub(
        r"\\(u[0-9a-fA-F]{4}|.)",
        lambda found: chr(int(found[1][1:], 16)) if len(found[1]) == 5 else _ESCAPES.get(found[1], found[1]),
        text,
        flags=re.DOTALL,
    )
    # two escapes may be the halves of one letter; a half that stands alone is none
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _tokens(text: str) -> list[Token]:
    found: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKENS.match(text, place)
        if match is None or match.lastgroup == "open":
            raise FhirPathError(f"'{text[place]}' is not understood", place)
        kind = match.lastgroup or ""
        if kind != "space":
            found.append(Token(kind, match[kind], place))
        place = match.end()
    found.append(Token("end", "", len(text)))
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = _tokens(text)
        self.place = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.place]

    def fail(self, wanted: str) -> NoReturn:
        found = self.token.text or "the end"
        raise FhirPathError(f"{wanted} is expected, not {found}", self.token.at)

    def take(self, text: str) -> bool:
        if self.token.text == text and self.token.kind in ("symbol", "name"):
            self.place += 1
            return True
        return False

    def need(self, text: str) -> None:
        if not self.take(text):
            self.fail(f"'{text}'")

    def whole(self) -> Expression:
        found = self.expression(0)
        if self.token.kind != "end":
            self.fail("the end")
        return found

    def expression(self, least: int) -> Expression:
        self.depth += 1
        if self.depth > DEEPEST:
            raise FhirPathError("the expression is too deep", self.token.at)
        left = self.unary()
        while self.token.kind in ("symbol", "name"):
            operator, at = self.token.text, self.token.at
            level = LEVELS.get(operator, 0)
            if level == 0 or level <= least:
                break
            self.place += 1
            if operator in ("is", "as"):
                left = TypeTest(operator, left, self.type_name())
            else:
                left = Binary(operator, left, self.expression(level), at)
        self.depth -= 1
        return left

    def unary(self) -> Expression:
        signs = []
        while self.token.kind == "symbol" and self.token.text in "+-":
            signs.append(self.token.text)
            self.place += 1
        if signs:
            found = self.steps(self.term())
            for sign in reversed(signs[-DEEPEST - 1 :]):
                found = Unary(sign, found)
            return found
        return self.steps(self.term())

    def steps(self, base: Expression) -> Expression:
        while True:
            if self.take("."):
                base = self.step(base)
            elif self.take("["):
                base = Index(base, self.expression(0))
                self.need("]")
            else:
                return base

    def step(self, base: Expression | None) -> Expression:
        token = self.token
        if token.kind == "variable":
            self.place += 1
            return Variable(token.text, token.at)
        if token.kind == "quoted":
            self.place += 1
            return Name(base, unescaped(token.text[1:-1]), token.at)
        if token.kind != "name":
            self.fail("a name")
        self.place += 1
        if self.take("("):
            arguments: list[Expression] = []
            while not self.take(")"):
                if arguments:
                    self.need(",")
                arguments.append(self.expression(0))
            return Call(base, token.text, tuple(arguments), token.at)
        return Name(base, token.text, token.at)

    def term(self) -> Expression:
        token = self.token
        if self.take("("):
            found = self.expression(0)
            self.need(")")
            return found
        if self.take("{"):
            self.need("}")
            return Empty()
        if token.kind == "number":
            self.place += 1
            return self.number(token.text)
        if token.kind == "string":
            self.place += 1
            return Constant(Literal("string", unescaped(token.text[1:-1])))
        if token.kind == "date":
            self.place += 1
            kind = "time" if token.text.startswith("@T") else "dateTime" if "T" in token.text else "date"
            return Constant(Literal(kind, token.text[1:].removeprefix("T") if kind == "time" else token.text[1:]))
        if token.kind == "variable":
            self.place += 1
            return Variable(token.text, token.at)
        if token.text in ("true", "false") and token.kind == "name":
            self.place += 1
            return Constant(Literal("boolean", token.text == "true"))
        return self.step(None)

    def number(self, text: str) -> Expression:
        if len(text) > MOST_DIGITS:
            raise FhirPathError("the number is too long", self.token.at)
        value = Decimal(text) if "." in text else int(text)
        token = self.token
        if isinstance(value, int) and value > LARGEST and token.kind != "string" and token.text not in UNITS:
            raise FhirPathError("a whole number has 32 bits", token.at)
        if token.kind == "string":
            self.place += 1
            return Constant(Literal("quantity", Decimal(text), unescaped(token.text[1:-1])))
        if token.kind == "name" and token.text in UNITS:
            self.place += 1
            return Constant(Literal("quantity", Decimal(text), token.text))
        return Constant(Literal("number", value))

    def type_name(self) -> str:
        parts = []
        while True:
            if self.token.kind not in ("name", "quoted"):
                self.fail("a type")
            quoted = self.token.kind == "quoted"
            parts.append(unescaped(self.token.text[1:-1]) if quoted else self.token.text)
            self.place += 1
            if not self.take("."):
                return ".".join(parts)
