"""Rendered pieces of JSON and where they are kept: the tables that byte functions look values up in.

Every member begins with a comma, which its object takes off the first: `,"serviceType":{...}`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from fhir_facade.contracts import Record
from fhir_facade.mapping.codecs import Unusable, coded_value, custom_json, primitive
from fhir_facade.mapping.ir import Coded, Copy, Custom, Logical, Refer
from fhir_facade.outcome import Issue

KEPT = 20_000  # values to a table; then it starts again

Produce = Callable[[Any, list[Issue]], tuple[Any, Any]]
"""From a record value the JSON value and, for a code, its extensions; None where there is nothing to write."""


Render = Callable[[Record, list[Issue]], bytes]


class HasIssues(Exception):
    """A value was met that raises an issue: no error; the record is rendered once more, this time telling them."""


def has_issues() -> bytes:
    """Raise HasIssues, where an expression must."""
    raise HasIssues


class Frame(NamedTuple):
    """The constant bytes around a value: `,"period":{"start":` and `}`; `extra` opens the extensions of a code."""

    head: bytes
    tail: bytes = b""
    extra: bytes = b""

    def around(self, head: bytes, tail: bytes = b"") -> Frame:
        """The frame of a value that stands alone inside this one."""
        return Frame(self.head + head, tail + self.tail)

    def cut(self) -> Frame:
        """The frame without its comma."""
        return Frame(self.head[1:], self.tail, self.extra)

    def whole(self, value: Any) -> bytes:
        """A constant in its frame; nothing for None."""
        return b"" if value is None else self.head + orjson.dumps(value) + self.tail


def member_frame(name: str) -> Frame:
    """The frame of a member of an object."""
    return Frame(b',"' + name.encode() + b'":', b"", b',"_' + name.encode() + b'":')


class Fragments(dict[Any, bytes]):
    """Rendered members by value; None gives nothing. What raised an issue is never kept, so it is told every time."""

    def __init__(self, frame: Frame, produce: Produce, *, kept: int = KEPT) -> None:
        super().__init__()
        self.frame, self.produce, self.kept = frame, produce, kept

    def __missing__(self, value: Any) -> bytes:
        issues: list[Issue] = []
        text = self.told(value, issues)
        if issues:
            raise HasIssues
        return text

    def told(self, value: Any, issues: list[Issue]) -> bytes:
        """The member of a value; what is wrong with it is added to `issues`."""
        known = self.get(value)
        if known is not None:
            return known
        before = len(issues)
        text = self._render(value, issues)
        if self.kept and len(issues) == before:
            if len(self) >= self.kept:
                self.clear()
            self[value] = text
        return text

    def _render(self, value: Any, issues: list[Issue]) -> bytes:
        if value is None or (isinstance(value, tuple) and value[0] is None):
            return b""
        plain, extra = self.produce(value, issues)
        text = self.frame.whole(plain)
        if extra is not None and self.frame.extra:
            text += self.frame.extra + orjson.dumps(extra)
        return text


class Items(dict[Any, bytes]):
    """Rendered items of a list by the values that make them; for items made of few values, such as codes and units."""

    def __init__(self, fields: tuple[str, ...], make: Callable[[Any, list[Issue]], bytes]) -> None:
        super().__init__()
        self.fields, self.make = fields, make

    def __missing__(self, values: Any) -> bytes:
        issues: list[Issue] = []
        several = values if len(self.fields) > 1 else (values,)
        text = self.make(dict(zip(self.fields, several, strict=True)).get, issues)
        if issues:
            raise HasIssues
        if len(self) >= KEPT:
            self.clear()
        self[values] = text
        return text


class Tails(dict[Any, bytes]):
    """How an identifier ends, by the organisation that gave it: `,"assigner":{...}}`; there are few of them."""

    def __init__(self, system: str, tail: bytes) -> None:
        super().__init__({None: b"}" + tail})
        self.system, self.tail = system, tail

    def __missing__(self, giver: Any) -> bytes:
        assigner = {"identifier": {"system": self.system, "value": giver}}
        tail = b',"assigner":' + orjson.dumps(assigner) + b"}" + self.tail
        if len(self) < KEPT:
            self[giver] = tail
        return tail


def copied(rule: Copy) -> Produce:
    """How a primitive is made; nothing, and an issue, when it has no FHIR form."""
    codec, datatype, suffix = rule.codec, rule.datatype, rule.suffix

    def produce(value: Any, issues: list[Issue]) -> tuple[Any, Any]:
        try:
            made = primitive(codec, datatype, value)
        except Unusable as reason:
            facts = {"field": rule.fields[0], "reason": str(reason), "at": rule.at}
            issues.append(Issue("value-not-usable", "", facts))
            return None, None
        return (f"{made}{suffix}" if suffix else made), None

    return produce


def coded(rule: Coded) -> Produce:
    """How a coded value is made; values are (code, system, version) where the record says more than the code."""
    paired = bool(rule.system_field or rule.version_field)

    def produce(value: Any, issues: list[Issue]) -> tuple[Any, Any]:
        code, chosen, version = value if paired else (value, None, None)
        return coded_value(rule, code, chosen, version, issues)

    return produce


def custom(rule: Custom) -> Produce:
    """How a Python pair makes a value."""

    def produce(value: Any, issues: list[Issue]) -> tuple[Any, Any]:
        return custom_json(rule, value, issues), None

    return produce


def logical(rule: Logical) -> Produce:
    """How a logical reference is made."""

    def produce(value: Any, issues: list[Issue]) -> tuple[Any, Any]:
        return {"type": rule.to, "identifier": {"system": rule.system.uri, "value": value}}, None

    return produce


def referring(rule: Refer) -> Produce:
    """How a literal reference is made."""

    def produce(value: Any, issues: list[Issue]) -> tuple[Any, Any]:
        return {"reference": f"{rule.to}/{rule.prefix + '-' if rule.prefix else ''}{value}"}, None

    return produce


def filling_in(fields: tuple[str, ...], lists: Mapping[str, tuple[str, ...]], fast: Render, tell: Render) -> Render:
    """What a fast function goes to when a record or an item lacks a field: None is put there, then it tries again."""
    absent = dict.fromkeys(fields)
    absent_in = {child: dict.fromkeys(names) for child, names in lists.items()}
    mark = "$filled"

    def fill_in(record: Record, issues: list[Issue]) -> bytes:
        if mark in record:  # what was missing is no field
            return tell(record, issues)
        whole: Record = absent | record
        whole[mark] = True
        for child, nothing in absent_in.items():
            if items := whole[child]:
                whole[child] = [nothing | item for item in items]
        return fast(whole, issues)

    return fill_in
