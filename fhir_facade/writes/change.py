"""What a client asks to be changed, and what became of it; free of HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fhir_facade.contracts import Clause, Resource, Version
from fhir_facade.mapping.put import Element
from fhir_facade.outcome import Issue

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping

Act = Literal["create", "update", "patch", "delete"]
Outcome = Literal["created", "updated", "unchanged", "found", "deleted", "absent"]


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one resource; `id` or `criteria` say which. https://hl7.org/fhir/R4/http.html#create

    `criteria` are the clauses of a conditional change, and for create those of If-None-Exist; None where there is no
    condition. `patched` makes the new resource of the stored one. `if_match` are the ETags of which the stored
    resource must have one, `if_none_match` says that there must be none yet. `cascade` lets a deletion take with it
    what the record contains.
    """

    act: Act
    type: str
    id: str = ""
    resource: Resource | None = None
    patched: Callable[[Resource], Resource] | None = None
    criteria: tuple[Clause, ...] | None = None
    if_match: str | None = None
    if_none_match: bool = False
    cascade: bool = False


@dataclass(slots=True)
class Changed:
    """What became of a change: of which record, its version afterwards, and what is to be said of its elements.

    `mapping` is None where there was nothing to delete. `gone` counts by kind what went with a deleted record.
    """

    outcome: Outcome
    mapping: CompiledMapping | None = None
    key: str = ""
    version: Version | None = None
    elements: Sequence[Element] = ()
    issues: list[Issue] = field(default_factory=list)
    gone: dict[str, int] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The id of the resource."""
        return "" if self.mapping is None else self.mapping.id_of(self.key)

    @property
    def all_stored(self) -> bool:
        """Whether every element that was sent is stored, in the record or beside it."""
        return all(element.status != "refused" for element in self.elements)

    @property
    def added(self) -> list[str]:
        """The paths of elements that the record gives and nobody sent; the id is everyone's to expect."""
        return [each.path for each in self.elements if each.status == "added" and not each.path.endswith(".id")]
