"""JSON Merge Patch: null takes a member out, a list takes the place of a list.

https://www.rfc-editor.org/rfc/rfc7386
"""

from __future__ import annotations

from typing import Any

from fhir_facade.patching.budget import Budget
from fhir_facade.patching.left_empty import Emptied


def merged(document: Any, patch: Any, budget: Budget) -> Any:
    """The document with the patch laid over it; what is left empty by null goes too."""
    emptied = Emptied()
    return emptied.cleared(_merged(budget.copied(document), patch, budget, emptied, 0))


def _merged(target: Any, patch: Any, budget: Budget, emptied: Emptied, depth: int) -> Any:
    if not isinstance(patch, dict):
        return budget.copied(patch, depth)
    budget.copied(None, depth)  # counts the level
    held: dict[str, Any] = target if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is not None:
            held[name] = _merged(held.get(name), value, budget, emptied, depth + 1)
        elif name in held:
            del held[name]
            emptied.add(held)
    return held
