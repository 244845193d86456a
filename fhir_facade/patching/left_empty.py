"""What removals leave empty goes too, for FHIR's JSON has no empty object or list.

https://hl7.org/fhir/R4/json.html: what a patch puts in empty stays as it is, for validation to refuse.
"""

from __future__ import annotations

from typing import Any


class Emptied:
    """The objects and lists that something was removed from. They are held, so that no other gets their identity."""

    def __init__(self) -> None:
        self._held: dict[int, Any] = {}

    def add(self, *containers: Any) -> None:
        self._held.update((id(each), each) for each in containers)

    def cleared(self, resource: Any) -> Any:
        """Take out of the resource those of them that are empty, and what is empty then; the resource itself stays."""
        if self._held:
            self._clear(resource, twins=False)
        return resource

    def _clear(self, value: Any, twins: bool) -> bool:
        """Whether nothing is left of a value. In a list of twins (_given) an item that goes leaves null, for the
        other list has its item there still."""
        if not isinstance(value, dict | list):
            return False
        if isinstance(value, dict):
            gone_names = [name for name, each in value.items() if self._clear(each, name.startswith("_"))]
            for name in gone_names:
                del value[name]
                self.add(value)
        else:
            gone = [self._clear(each, twins) for each in value]
            if True in gone:
                value[:] = [None if left else each for each, left in zip(value, gone, strict=True) if twins or not left]
                self.add(value)
        if id(value) not in self._held:
            return False
        return not value or (twins and isinstance(value, list) and all(each is None for each in value))
