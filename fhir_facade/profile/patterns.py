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

PATTERNS_KEPT = 512
LONGEST_PATTERN = 4000
LONGEST_MATCHED = 100_000
LONGEST_QUICK = 256
MOST_OPEN_ENDS = 2
"""Repetitions without an end of a pattern that is matched by backtracking: a third one costs the cube of the length."""

_PLAIN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
_REPEATED_GROUP = re.compile(r"\)\s*[*+{]")
_OPEN_END = re.compile(r"[*+]|\{\d*,\d*\}")


class Pattern:
    """One pattern, in one engine or both."""

    __slots__ = ("_linear", "_quick", "search", "text")

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
        self._quick = _quick(text)
        self.search = self._quick.search if self._quick else None

    def is_found(self, held: str) -> bool:
        """Whether some part of a text matches; FhirPathError when the text is too long."""
        return self._engine(held).search(held) is not None

    def is_whole(self, held: str) -> bool:
        """Whether all of a text matches."""
        return self._engine(held).fullmatch(held) is not None

    def replaced(self, held: str, put: str) -> str:
        """A text with every match replaced; $1 in `put` is the first group."""
        try:
            return str(self._engine(held).sub(re.sub(r"\$(\d)", r"\\\1", put), held))
        except (re.error, re2.error, IndexError) as error:
            raise FhirPathError(f"the replacement is not understood: {_told(error)}") from None

    def _engine(self, held: str) -> re.Pattern[str]:
        if len(held) > LONGEST_MATCHED:
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
