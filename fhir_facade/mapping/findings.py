"""What is wrong with the files in mappings/: all findings at once, each with file and line."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One fault: where it stands and what is the matter, with the nearest right name where there is one.

    A warning is told and stops nothing.
    """

    file: str
    line: int
    message: str
    severity: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {'warning: ' if self.severity == 'warning' else ''}{self.message}"


class MappingError(Exception):
    """The mappings cannot be used; `findings` holds every reason, in file order."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(set(findings)))
        super().__init__("\n".join(map(str, self.findings)))


def nearest(name: str, names: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the closest of `names`, or nothing."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


def finding(at: str, message: str) -> Finding:
    """A finding at a rule's "file:line"."""
    file, _, line = at.rpartition(":")
    return Finding(file, int(line), message)


def warning(at: str, message: str) -> Finding:
    """A warning at a rule's "file:line"."""
    return replace(finding(at, message), severity="warning")
