"""JSON Patch, https://www.rfc-editor.org/rfc/rfc6902, with JSON Pointer, https://www.rfc-editor.org/rfc/rfc6901."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhir_facade.json_places import shortened
from fhir_facade.outcome import Issue, Refused
from fhir_facade.patching.budget import Budget
from fhir_facade.patching.left_empty import Emptied
from fhir_facade.profile.matching import same

INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
ESCAPES = re.compile(r"(?:[^~]|~[01])*", re.DOTALL)
Tokens = Sequence[str]


def json_patched(document: Any, patch: Any, budget: Budget) -> Any:
    """The document with the operations carried out in order; Refused, with the place in the patch, when one fails."""
    if not isinstance(patch, list):
        raise Refused(Issue("patch-shape", "", {"expected": "[...]"}))
    budget.check_operations(len(patch))
    work = Work(budget.copied(document), budget)
    for place, operation in enumerate(patch):
        budget.at = f"[{place}]"
        work.carry_out(operation)
    return work.emptied.cleared(work.document)


class Work:
    """A document while it is patched; `at` is the operation's place in the patch."""

    def __init__(self, document: Any, budget: Budget) -> None:
        self.document = document
        self.budget = budget
        self.emptied = Emptied()
        self.operation: Mapping[str, Any] = {}

    def carry_out(self, operation: Any) -> None:
        if not isinstance(operation, dict):
            raise self.fault("patch-shape", expected="{...}")
        self.operation = operation
        name = self._text("op")
        if name not in OPERATIONS:
            raise self.fault("patch-operation-unknown", "op", known=sorted(OPERATIONS))
        OPERATIONS[name](self, self._pointer("path"))

    def fault(self, code: str, member: str = "", **facts: Any) -> Refused:
        """The refusal, at a member of the operation."""
        return Refused(Issue(code, f"{self.budget.at}.{member}" if member else self.budget.at, facts))

    def add(self, path: Tokens) -> None:
        self._put(path, self._value())

    def remove(self, path: Tokens) -> None:
        self._take(path, "path")

    def replace(self, path: Tokens) -> None:
        value = self.budget.copied(self._value(), len(path))
        chain = self._chain(path, "path")
        if not path:
            self.document = value
            return
        holder = chain[-2]
        holder[int(path[-1]) if isinstance(holder, list) else path[-1]] = value

    def move(self, path: Tokens) -> None:
        source = self._pointer("from")
        value = self._chain(source, "from")[-1]  # what is not there is told first: it has no name
        if list(path[: len(source)]) == list(source) and len(path) > len(source):
            raise self.fault("patch-into-itself", "path", place=self._named(source))
        if list(path) != list(source):
            self._take(source, "from")
            self._put(path, value)

    def copy(self, path: Tokens) -> None:
        self._put(path, self._chain(self._pointer("from"), "from")[-1])

    def test(self, path: Tokens) -> None:
        expected = self._value()
        if not same(self._chain(path, "path")[-1], expected):
            raise self.fault("patch-test-failed", "path", place=self._named(path))

    def _text(self, member: str) -> str:
        if member not in self.operation:
            raise self.missing(member)
        held = self.operation[member]
        if not isinstance(held, str):
            raise self.fault("patch-shape", member, expected='"..."')
        return held

    def _value(self) -> Any:
        if "value" not in self.operation:
            raise self.missing("value")
        return self.operation["value"]

    def missing(self, member: str) -> Refused:
        return Refused(Issue("patch-member-missing", self.budget.at, {"member": member}))

    def _pointer(self, member: str) -> Tokens:
        pointer = self._text(member)
        if not ESCAPES.fullmatch(pointer) or (pointer and not pointer.startswith("/")):
            raise self.fault("patch-pointer-form", member)
        return [token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:]]

    def _chain(self, path: Tokens, member: str) -> list[Any]:
        """The values from the document down to what the pointer names."""
        chain = [self.document]
        for depth, token in enumerate(path):
            held = chain[-1]
            if isinstance(held, list):
                if not INDEX.fullmatch(token) or int(token) >= len(held):
                    raise self.fault("patch-index", member, count=len(held), place=self._named(path[:depth]))
                chain.append(held[int(token)])
            elif isinstance(held, dict) and token in held:
                chain.append(held[token])
            else:
                raise self.fault("patch-place-missing", member, place=self._named(path[:depth]))
        return chain

    def _named(self, path: Tokens) -> str:
        """A place that is there, as FHIR says it: Patient.name[0].family."""
        held, said = self.document, ""
        for token in path:
            said += f"[{token}]" if isinstance(held, list) else f".{shortened(token)}"
            held = held[int(token)] if isinstance(held, list) else held[token]
        top = self.document.get("resourceType") if isinstance(self.document, dict) else None
        return f"{top}{said}" if isinstance(top, str) else said.lstrip(".")

    def _put(self, path: Tokens, value: Any) -> None:
        value = self.budget.copied(value, len(path))
        if not path:
            self.document = value
            return
        holder, last = self._chain(path[:-1], "path")[-1], path[-1]
        if isinstance(holder, dict):
            holder[last] = value
        elif not isinstance(holder, list):
            raise self.fault("patch-place-missing", "path", place=self._named(path[:-1]))
        elif last == "-":
            holder.append(value)
        elif INDEX.fullmatch(last) and int(last) <= len(holder):
            holder.insert(int(last), value)
        else:
            raise self.fault("patch-index", "path", count=len(holder), place=self._named(path[:-1]))

    def _take(self, path: Tokens, member: str) -> None:
        chain = self._chain(path, member)
        if not path:
            self.document = None
            return
        holder = chain[-2]
        del holder[int(path[-1]) if isinstance(holder, list) else path[-1]]
        self.emptied.add(*chain[:-1])


OPERATIONS: Mapping[str, Callable[[Work, Tokens], None]] = {
    "add": Work.add,
    "remove": Work.remove,
    "replace": Work.replace,
    "move": Work.move,
    "copy": Work.copy,
    "test": Work.test,
}
