"""JSON that is read piece by piece: a large document in the memory of its largest small part, with line numbers."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import tarfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

from fhir_facade.outcome import Issue, Refused

PIECE = 1 << 16  # bytes that are read at a time
LONGEST = 1 << 18  # letters of a value that is surely taken whole; one of twice as many is not
MARGIN = 16  # letters before the end that may be the beginning of something
DEEPEST = 100
SPACE = " \t\n\r"

STRING_PART = re.compile(r'(?:[^"\\]++|\\.)*+', re.DOTALL)
DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.ReadError)
"""What a compressed file raises when it is cut off or damaged."""

_decoder = json.JSONDecoder()


class JsonStream:
    """Walks through JSON: `members` and `items` open, `value` and `text` take whole, `skip` leaves out.

    Whoever is given a member or an item must take or skip its value before asking for the next. Refused with
    file:line at the first fault of the JSON. A value of `longest` letters is surely taken whole.
    """

    def __init__(self, source: BinaryIO, file: str, longest: int = LONGEST) -> None:
        self.file = file
        self._source, self._longest = source, longest
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._ended = "", 0, False
        self._line, self._counted = 1, 0  # the line at a place of the text
        self._depth = 0

    @property
    def line(self) -> int:
        """The line of what comes next."""
        self.peek()
        return self._line_at(self._at)

    def peek(self) -> str:
        """The next letter that is no white space; "" at the end."""
        while True:
            while self._at < len(self._text):
                if (letter := self._text[self._at]) not in SPACE:
                    return letter
                self._at += 1
            if not self._more():
                return ""

    def members(self) -> Iterator[str]:
        """The names in an object, one after another."""
        for _ in self._inside("{", "}"):
            name = self.value()
            if not isinstance(name, str):
                raise self._fault("a name in quotes was expected")
            self._take(":")
            yield name

    def items(self) -> Iterator[None]:
        """Comes once for each item of an array."""
        return self._inside("[", "]")

    def value(self) -> Any:
        """The next value, whole; Refused when it is too long for that."""
        found = self.ahead()
        if found is None:
            raise Refused(Issue("line-too-long", f"{self.file}:{self.line}", {"most": self._longest}))
        self._at = found[1]
        return found[0]

    def text(self) -> str | None:
        """The next value as it is written; None when it is too long for that."""
        found = self.ahead()
        if found is None:
            return None
        begin, self._at = self._at, found[1]
        return self._text[begin : self._at]

    def ahead(self) -> tuple[Any, int] | None:
        """The next value and where it ends, without taking it; None when it is too long to be taken whole."""
        if not self.peek():
            raise self._truncated()
        while True:
            try:
                value, end = _decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if error.pos < len(self._text) - MARGIN and not error.msg.startswith("Unterminated"):
                    raise self._refused(error) from None
                if len(self._text) - self._at > self._longest:
                    return None
                if not self._more(len(self._text) - self._at):
                    raise self._refused(error) from None
                continue
            except RecursionError:
                raise self._fault("it is nested too deeply") from None
            if end < len(self._text) or not self._more():  # a number may go on in the next piece
                return value, end

    def pass_over(self, end: int) -> None:
        """Take what `ahead` showed."""
        self._at = end

    def skip(self) -> None:
        """Leave out the next value, however long it is."""
        found = self.ahead()
        if found is not None:
            self._at = found[1]
        elif self.peek() == "{":
            for _ in self.members():
                self.skip()
        elif self.peek() == "[":
            for _ in self.items():
                self.skip()
        else:
            self._skip_string()

    def _skip_string(self) -> None:
        self._take('"')
        while True:
            part = STRING_PART.match(self._text, self._at)
            self._at = part.end() if part else self._at
            if self._text[self._at : self._at + 1] == '"':
                self._at += 1
                return
            if not self._more():
                raise self._truncated()

    def _inside(self, opening: str, closing: str) -> Iterator[None]:
        self._take(opening)
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._fault("it is nested too deeply")
        if self.peek() != closing:
            yield
            while self.peek() == ",":
                self._at += 1
                yield
        self._take(closing)
        self._depth -= 1

    def _take(self, expected: str) -> None:
        found = self.peek()
        if not found:
            raise self._truncated()
        if found != expected:
            raise self._fault(f"'{expected}' was expected")
        self._at += 1

    def _more(self, wanted: int = PIECE) -> bool:
        """Read on, and drop what has been taken; False at the end."""
        if self._ended:
            return False
        try:
            data = self._source.read(max(wanted, PIECE))
            text = self._decode.decode(data, final=not data)
        except UnicodeDecodeError as error:
            line = self._line_at(len(self._text)) + error.object.count(b"\n", 0, error.start)
            facts = {"encoding": "utf-8", "reason": f"byte {error.object[error.start]:#04x}"}
            raise Refused(Issue("encoding-wrong", f"{self.file}:{line}", facts)) from None
        except DAMAGE as error:
            raise self._truncated(str(error)) from None
        self._ended = not data
        if self._ended:
            return False
        self._line = self._line_at(self._at)
        self._text, self._at, self._counted = self._text[self._at :] + text, 0, 0
        return True

    def _line_at(self, place: int) -> int:
        if place < self._counted:
            return self._line - self._text.count("\n", place, self._counted)
        self._line += self._text.count("\n", self._counted, place)
        self._counted = place
        return self._line

    def _refused(self, error: json.JSONDecodeError) -> Refused:
        if error.msg.startswith("Unterminated") or error.pos >= len(self._text.rstrip()):
            return self._truncated()
        return self._fault(error.msg, error.pos)

    def _fault(self, reason: str, place: int | None = None) -> Refused:
        line = self._line_at(self._at if place is None else place)
        return Refused(Issue("file-malformed", f"{self.file}:{line}", {"reason": reason}))

    def _truncated(self, reason: str = "JSON is not closed") -> Refused:
        line = self._line_at(len(self._text))
        return Refused(Issue("file-truncated", f"{self.file}:{line}", {"reason": reason}))
