"""Where things stand in JSON text: the line and column of a FHIRPath, found only when something is wrong.

The text must be JSON that a parser took; nothing here recurses, and a container is opened only when it is looked into.
https://www.rfc-editor.org/rfc/rfc8259
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import orjson

TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[{}\[\]]', re.DOTALL)
STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
SCALAR = re.compile(rb"[^ \t\n\r,\]}]++")
SPACE = re.compile(rb"[ \t\n\r]*+")
STEP = re.compile(r"\.?(?:(ofType|as|extension)\('?([^')]*)'?\)|`?([A-Za-z_][A-Za-z0-9_]*)`?)|\[(\d{1,9})\]")

LONG = 1024  # bytes; only where longer containers end is kept, shorter ones are quickly read again
LONGEST_PATH = 2000
MOST_MEMBERS = 200_000
"""Members that are remembered of one container; what comes after them has the place of the container."""
MOST_KEPT = 2 * MOST_MEMBERS
MOST_READ = 1_000_000
"""Members that are looked at in one text; then what is not remembered has the place of what it stands in."""

BRACE, BRACKET, QUOTE = b'{["'


class Member(NamedTuple):
    """A member of an object, or an item of an array (`name` ""): offsets in bytes of its key and of its value."""

    name: str
    key: int
    value: int


class Step(NamedTuple):
    """One step of a path: `kind` is "name", "index", "type" (of a choice) or "url" (of an extension)."""

    kind: str
    text: str


class Places:
    """The places in one JSON text. What was looked into is remembered, within a bound.

    `long` is how many bytes a container has at least for its end to be remembered.
    """

    def __init__(self, content: bytes, long: int = LONG) -> None:
        self.content = content
        self._long = long
        self._ends: dict[int, int] | None = None
        self._opened: dict[int, tuple[Member, ...]] = {}
        self._kept = self._read = 0

    def locate(self, expression: str, within: str = "") -> tuple[int, int]:
        """Line and column, from 1, of what a FHIRPath names, or of the nearest thing around it that is there.

        For an element that is its key, for an item of a list the item. `within` is the path of the resource that the
        expression begins in, when the text holds more: "Parameters.parameter[0].resource".
        """
        return self.line_column(self.offset(expression, within))

    def offset(self, expression: str, within: str = "") -> int:
        """As `locate`, in bytes from the beginning."""
        steps = [*steps_of(within)[1:], *steps_of(expression)[1:]]
        place = _after_space(self.content, 0)
        at, twin = place, -1
        for number, step in enumerate(steps):
            if step.kind == "type":  # read with the name before it
                continue
            found = self._step(at, twin, step, steps[number + 1 : number + 2])
            if found is None:
                break
            place, at, twin = found
        return place

    def line_column(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, from 1; columns count characters."""
        begin = self.content.rfind(b"\n", 0, offset) + 1
        line = self.content.count(b"\n", 0, begin) + 1
        return line, len(self.content[begin:offset].decode("utf-8", "replace")) + 1

    def _step(self, at: int, twin: int, step: Step, following: list[Step]) -> tuple[int, int, int] | None:
        """Place, value and twin (the "_name" beside a primitive, -1 when there is none) after a step."""
        if step.kind == "index":
            return self._item(at, twin, int(step.text))
        if step.kind == "url":
            return self._extension(at, twin, step.text)
        return self._named(at, twin, step.text, following)

    def _named(self, at: int, twin: int, name: str, following: list[Step]) -> tuple[int, int, int] | None:
        of_type = following[0].text if following and following[0].kind == "type" else ""
        spelled = name + of_type[:1].upper() + of_type[1:]
        for holder in (self._first(at), self._first(twin)):
            if holder < 0 or self.content[holder] != BRACE:
                continue
            members = {member.name: member for member in self.members(holder)}
            for key in (name, spelled, *(each for each in members if _is_choice(each.removeprefix("_"), name))):
                own, beside = members.get(key), members.get("_" + key)
                either = own or beside
                if either:
                    return either.key, own.value if own else -1, beside.value if beside else -1
        return None

    def _item(self, at: int, twin: int, number: int) -> tuple[int, int, int] | None:
        lists = [each if each >= 0 and self.content[each] == BRACKET else -1 for each in (at, twin)]
        if lists == [-1, -1]:
            return (at, at, twin) if number == 0 and at >= 0 else None
        items = [self.members(each) if each >= 0 else () for each in lists]
        found = [each[number].value if number < len(each) else -1 for each in items]
        return None if found == [-1, -1] else (found[0] if found[0] >= 0 else found[1], found[0], found[1])

    def _extension(self, at: int, twin: int, url: str) -> tuple[int, int, int] | None:
        listed = self._named(at, twin, "extension", [])
        if listed is None or listed[1] < 0 or self.content[listed[1]] != BRACKET:
            return listed
        for item in self.members(listed[1]):
            if self.content[item.value] != BRACE:
                continue
            for member in self.members(item.value):
                if member.name == "url" and self.content.startswith(orjson.dumps(url), member.value):
                    return item.value, item.value, -1
        return listed

    def _first(self, at: int) -> int:
        """The value itself, or the first item of a list that the path does not number."""
        if at < 0 or self.content[at] != BRACKET:
            return at
        items = self.members(at)
        return items[0].value if items else -1

    # ---- containers

    def members(self, at: int) -> tuple[Member, ...]:
        """The members of the object, or the items of the array, that begins at an offset."""
        found = self._opened.get(at)
        if found is None:
            most = max(0, min(MOST_MEMBERS, MOST_READ - self._read))
            found = tuple(islice(self.open(at), most))
            self._read += len(found) + 1
            self._kept += len(found) + 1
            if self._kept > MOST_KEPT:
                self._opened.clear()
                self._kept = len(found) + 1
            self._opened[at] = found
        return found

    def open(self, at: int) -> Iterator[Member]:
        """The same one by one, kept nowhere."""
        content, named = self.content, self.content[at] == BRACE
        at = _after_space(content, at + 1)
        while content[at] not in b"}]":
            key, name = at, ""
            if named:
                end = _end_of(STRING, content, at)
                name = _text(content[at:end])
                at = _after_space(content, _after_space(content, end) + 1)
            yield Member(name, key, at)
            at = _after_space(content, self._end(at))
            if content[at] == b","[0]:
                at = _after_space(content, at + 1)

    def _end(self, at: int) -> int:
        """The offset after the value that begins at one."""
        first = self.content[at]
        if first == QUOTE:
            return _end_of(STRING, self.content, at)
        if first not in (BRACE, BRACKET):
            return _end_of(SCALAR, self.content, at)
        if self._ends is None:
            self._ends = _long_ones(self.content, self._long)
        if at in self._ends:
            return self._ends[at]
        depth = 0
        for token in TOKEN.finditer(self.content, at):
            depth += _depth_of(token.group())
            if depth == 0:
                return token.end()
        raise ValueError("the text is no JSON")

    # ---- keys that stand twice

    def repeated_keys(self, most: int) -> list[tuple[str, str, int]]:
        """Path, name and offset of the keys that stand in their object already, in order; at most so many."""
        root = _after_space(self.content, 0)
        found: list[tuple[str, str, int]] = []
        steps: list[str] = [self._root_name(root)]
        open_ones: list[tuple[Iterator[tuple[int, Member]], set[str] | None]] = [self._opened_at(root)]
        while open_ones and len(found) < most:
            walk, seen = open_ones[-1]
            number, member = next(walk, (-1, None))
            if member is None:
                open_ones.pop()
                steps.pop()
                continue
            if seen is not None:
                step = "." + shortened(member.name.removeprefix("_"))
                if member.name in seen:
                    found.append(("".join((*steps, step)), member.name, member.key))
                seen.add(member.name)
            else:
                step = f"[{number}]"
            if self.content[member.value] in (BRACE, BRACKET):
                open_ones.append(self._opened_at(member.value))
                steps.append(step)
        return found

    def _opened_at(self, at: int) -> tuple[Iterator[tuple[int, Member]], set[str] | None]:
        return enumerate(self.open(at)), set() if self.content[at] == BRACE else None

    def _root_name(self, root: int) -> str:
        """The resource type that the text begins with; "Resource" where it is none."""
        if self.content[root] == BRACE:
            for member in self.open(root):
                if member.name == "resourceType" and self.content[member.value] == QUOTE:
                    name = _text(self.content[member.value : self._end(member.value)])
                    return name if name.isalpha() and name[0].isupper() and len(name) < 64 else "Resource"
        return "Resource"


def locate(content: bytes, expression: str, within: str = "") -> tuple[int, int]:
    """Line and column of a FHIRPath in a JSON text; see Places.locate, which serves many paths faster."""
    return Places(content).locate(expression, within)


def steps_of(expression: str) -> list[Step]:
    """The steps of a path such as Observation.value.ofType(Quantity).code; what is no step ends it."""
    steps: list[Step] = []
    at, text = 0, expression[:LONGEST_PATH]
    while found := STEP.match(text, at):
        function, argument, name, index = found.groups()
        if function:
            steps.append(Step("url" if function == "extension" else "type", argument))
        else:
            steps.append(Step("name", name) if name else Step("index", index))
        at = found.end()
    return steps


def shortened(name: str) -> str:
    """A key as a path may repeat it: a name of FHIR's form, without digits that could be a person's number."""
    plain = name.isascii() and name.isidentifier() and len(name) <= 64 and sum(map(str.isdigit, name)) < 6
    return name if plain else "…"


def _is_choice(key: str, name: str) -> bool:
    """Whether a key is an element of a choice: valueQuantity of value."""
    return key.startswith(name) and key[len(name) : len(name) + 1].isupper()


def _text(quoted: bytes) -> str:
    if b"\\" in quoted:
        return str(orjson.loads(quoted))
    return quoted[1:-1].decode()


def _depth_of(token: bytes) -> int:
    return 1 if token in (b"{", b"[") else -1 if token in (b"}", b"]") else 0


def _after_space(content: bytes, at: int) -> int:
    return _end_of(SPACE, content, at)


def _end_of(pattern: re.Pattern[bytes], content: bytes, at: int) -> int:
    found = pattern.match(content, at)
    if found is None:
        raise ValueError("the text is no JSON")
    return found.end()


def _long_ones(content: bytes, long: int) -> dict[int, int]:
    """Where each long container ends, by where it begins: one pass over the text."""
    ends: dict[int, int] = {}
    begun: list[int] = []
    for token in TOKEN.finditer(content):
        depth = _depth_of(token.group())
        if depth > 0:
            begun.append(token.start())
        elif depth < 0:
            begin = begun.pop()
            if token.end() - begin > long:
                ends[begin] = token.end()
    return ends
