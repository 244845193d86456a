"""Regular expressions of profiles and clients, matched in time that grows with the text and no faster.

RE2 matches in linear time whatever the pattern is. Where the text is short and no group is repeated, Python's own
engine gives the same answer sooner. Letters, digits and blanks of classes such as \\d are those of ASCII in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import re2

from fhir_facade.profile.fhirpath_syntax import FhirPathError
from fhir_facade.profile.fhirpath_values import TOO_LONG

PATTERNS_KEPT = 512
LONGEST_PATTERN = 4000
LONGEST_MATCHED = 100_000
LONGEST_QUICK = 256
MOST_WORK = 100_000_000
"""Letters of a text times instructions of a pattern: what RE2 may come to when it keeps no table, a second or two."""
WORK_OF_A_STEP = 1000
MOST_OPEN_ENDS = 2
"""Repetitions without an end of a pattern that is matched by backtracking: a third one costs the cube of the length."""

_PLAIN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEATED_GROUP = re.compile(r"\)\s*[*+{]")
_OPEN_END = re.compile(r"[*+]|\{\d*,\d*\}")
_GROUP = re.compile(r"\$(?:(\d)|\{(\w{1,100})\})", re.ASCII)
"""What stands for a group in a replacement: $1 or ${name}. Nothing else is a sign."""


class Pattern:
    """One pattern, in one engine or both."""

    __slots__ = ("_linear", "_quick", "longest", "search", "text")

    longest: int
    """The longest text that is matched, in letters."""

    search: Callable[[str], re.Match[str] | None] | None
    """Python's own search, for texts that are short and end with no line break; None where it could take long."""

    def __init__(self, text: str) -> None:
        """FhirPathError when the pattern is not understood."""
        self.text = text
        options = re2.Options()
        options.dot_nl, options.log_errors = True, False
        try:
            self._linear = re2.compile(text, options)
        except re2.error as error:
            raise FhirPathError(f"the pattern is not understood: {_told(error)}") from None
        self.longest = min(LONGEST_MATCHED, MOST_WORK // max(1, self._linear.programsize))
        self._quick = _quick(text)
        self.search = self._quick.search if self._quick else None

    def is_found(self, held: str) -> bool:
        """Whether some part of a text matches; FhirPathError when the text is too long."""
        return self._engine(held).search(held) is not None

    def is_whole(self, held: str) -> bool:
        """Whether all of a text matches."""
        return self._engine(held).fullmatch(held) is not None

    def steps(self, length: int) -> int:
        """The steps of an evaluation that a search through so many letters counts as."""
        return length * int(self._linear.programsize) // WORK_OF_A_STEP if length > LONGEST_QUICK else 0

    def replaced(self, held: str, put: str, most: int, looked_on: Callable[[int], None]) -> str:
        """A text with every match replaced; $1 in `put` is the first group, ${name} a group by its name.

        `looked_on` is told before each search how many letters are left. FhirPathError when there is no such group, or
        when the text would be longer than `most`.
        """
        parts = _GROUP.split(put)
        said = (number or name for number, name in zip(parts[1::3], parts[2::3], strict=True))
        groups = [int(each) if each.isdigit() else each for each in said]
        engine = self._engine(held)
        for group in groups:
            if group not in engine.groupindex and not (isinstance(group, int) and group <= engine.groups):
                raise FhirPathError(f"the replacement is not understood: there is no group {group}")
        written: list[str] = []
        end = length = 0
        last = (-1, -1)
        looked_on(len(held))
        for found in engine.finditer(held):
            if found.span() == last:  # RE2's wrapper tells nothing at the end of a text twice
                continue
            last = found.span()
            pieces = [held[end : found.start()], parts[0]]
            for group, after in zip(groups, parts[3::3], strict=True):
                pieces += found[group] or "", after
            length += sum(map(len, pieces))
            if length > most:
                raise FhirPathError(TOO_LONG)
            written += pieces
            end = found.end()
            looked_on(len(held) - end)
        if length + len(held) - end > most:
            raise FhirPathError(TOO_LONG)
        return "".join((*written, held[end:]))

    def _engine(self, held: str) -> re.Pattern[str]:
        if len(held) > self.longest:
            raise FhirPathError("the text is too long to be matched")
        # Python's $ also stands before a last line break, RE2's does not
        is_short = self._quick is not None and len(held) <= LONGEST_QUICK and not held.endswith("\n")
        found: re.Pattern[str] = self._quick if is_short else self._linear  # type: ignore[assignment]
        return found


def _told(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    return said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)


def _quick(text: str) -> re.Pattern[str] | None:
    """Python's own form of a pattern that cannot take long on a short text."""
    plain = _PLAIN.sub("x", text)
    if _REPEATED_GROUP.search(plain) or len(_OPEN_END.findall(plain)) > MOST_OPEN_ENDS:
        return None
    try:
        return re.compile(text, re.DOTALL | re.ASCII)
    except (re.error, OverflowError, RecursionError):
        return None


@lru_cache(maxsize=PATTERNS_KEPT)
def _kept(text: str) -> Pattern:
    return Pattern(text)


def pattern(text: str) -> Pattern:
    """The pattern of a text; FhirPathError when it is too long or not understood."""
    if len(text) > LONGEST_PATTERN:
        raise FhirPathError("the pattern is too long")
    return _kept(text)
