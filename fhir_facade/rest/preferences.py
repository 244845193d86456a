"""What a client would like, in the header Prefer. https://www.rfc-editor.org/rfc/rfc7240"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

from fhir_facade.outcome import Issue, Refused

Return = Literal["minimal", "representation", "OperationOutcome"]
Level = Literal["base", "full", "strict"]
RETURNS: dict[str, Return] = {
    "minimal": "minimal", "representation": "representation", "operationoutcome": "OperationOutcome"
}  # fmt: skip
LEVELS: dict[str, Level] = {"base": "base", "full": "full", "strict": "strict"}
"""How an inbound resource is judged: by R4 alone, by its profiles too, or so that a warning refuses it as well."""


@lru_cache(maxsize=256)
def preferences(prefer: bytes) -> dict[str, str]:
    """The preferences by name, in small letters; of several of one name the first counts, quoted or not."""
    found: dict[str, str] = {}
    for part in prefer.decode("latin-1").replace(";", ",").split(","):
        name, _, value = part.strip().partition("=")
        found.setdefault(name.strip().lower(), value.strip().strip('"').lower())
    return found


def wanted_return(prefer: bytes) -> Return | None:
    """What a change is to be answered with; None when nothing is said of it, Refused when it is nothing we know."""
    return _one_of(prefer, "return", RETURNS)  # type: ignore[return-value]


def wanted_level(prefer: bytes) -> Level:
    """How strictly an inbound resource is to be judged; full when nothing is said."""
    return _one_of(prefer, "validation", LEVELS) or "full"  # type: ignore[return-value]


def _one_of(prefer: bytes, name: str, known: Mapping[str, str]) -> str | None:
    said = preferences(prefer).get(name)
    if said is None:
        return None
    if said not in known:
        listed = ", ".join(known.values())
        facts = {
            "name": "Prefer",
            "reason": f"{name} is none of {listed}",
            "grunn": f"{name} er ingen av {listed}",
            "example": f"{name}={next(iter(known.values()))}",
        }
        raise Refused(Issue("header-invalid", "Prefer", facts))
    return known[said]
