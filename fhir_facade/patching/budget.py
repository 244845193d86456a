"""How much one patch may do: operations, what is copied, and depth."""

from __future__ import annotations

from typing import Any

from fhir_facade.outcome import Issue, Refused

MOST_OPERATIONS = 1000
MOST_CHARACTERS = 16 * 1024 * 1024
DEEPEST = 100
VALUE = 16
"""What each value counts beside its own characters, for it takes time however short it is."""


class Budget:
    """What is left of the characters that may be copied. `at` is the place in the patch that issues name."""

    def __init__(self, operations: int = MOST_OPERATIONS, characters: int = MOST_CHARACTERS) -> None:
        self.operations = operations
        self.characters = characters
        self.at = ""
        self._left = characters

    def check_operations(self, count: int) -> None:
        if count > self.operations:
            raise Refused(Issue("patch-too-many", self.at, {"limit": self.operations}))

    def copied(self, value: Any, depth: int = 0) -> Any:
        """A copy that shares nothing with the value, which comes to stand `depth` levels down; Refused at a limit."""
        if depth > DEEPEST:
            raise Refused(Issue("patch-too-deep", self.at, {"limit": DEEPEST}))
        self._left -= VALUE + (len(value) if isinstance(value, str) else 0)
        if self._left < 0:
            raise Refused(Issue("patch-too-large", self.at, {"limit": self.characters}))
        if isinstance(value, dict):
            self._left -= sum(map(len, value))
            return {name: self.copied(each, depth + 1) for name, each in value.items()}
        if isinstance(value, list):
            return [self.copied(each, depth + 1) for each in value]
        return value
