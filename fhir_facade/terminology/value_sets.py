"""Value sets: which codes of which systems, and in what R4 or a list says so."""

from __future__ import annotations

from dataclasses import dataclass

from fhir_facade.terminology.uris import canonical


@dataclass(frozen=True, slots=True)
class Include:
    """What a value set takes from one system: the codes, in order, or None for all of them."""

    system: str
    codes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ValueSet:
    """One value set; its codes are those of the includes, and nothing else.

    `identifiers` are other URLs that it answers to: `urn:oid:` and the OID of the list that it is all of.
    """

    url: str
    version: str
    name: str
    title: str
    includes: tuple[Include, ...]
    source: str = ""
    note: str = ""
    title_is_ours: bool = False
    identifiers: tuple[str, ...] = ()

    def of_system(self, system: str) -> tuple[Include, ...]:
        """The includes of a system, in whatever form its URI is."""
        wanted = canonical(system)
        return tuple(include for include in self.includes if include.system == wanted)
