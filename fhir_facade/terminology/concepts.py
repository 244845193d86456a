"""What a code system is made of: concepts, and the edition that they belong to.

https://hl7.org/fhir/R4/codesystem.html. Dates are FHIR dates, as precise as the source that gave them (YYYY, YYYY-MM
or YYYY-MM-DD), and both ends are part of the period.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Literal, Protocol

Status = Literal["active", "retired", "superseded", "unconfirmed"]
"""active: in use in the newest source; superseded: an older edition has it; unconfirmed: one source alone has it."""

NOTHING: Mapping[str, str] = MappingProxyType({})
KEPT = {"å": "\ue000", "Å": "\ue000", "æ": "\ue001", "Æ": "\ue001", "ø": "\ue002", "Ø": "\ue002"}
LETTERS = str.maketrans(KEPT)
BACK = str.maketrans({"\ue000": "å", "\ue001": "æ", "\ue002": "ø"})


@dataclass(frozen=True, slots=True)
class Designation:
    """Another text of a concept: its language (BCP 47) and what it is used for (R4 designation-use, or "")."""

    language: str
    value: str
    use: str = ""


@dataclass(frozen=True, slots=True)
class Concept:
    """One code. `properties` hold what else the source says, by name: legal_basis, kodeverk_oid, chapter ..."""

    code: str
    display: str
    status: Status = "active"
    valid_from: str | None = None
    valid_to: str | None = None
    parent: str | None = None
    properties: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    designations: tuple[Designation, ...] = ()


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition of a code system.

    `url` is what stands in Coding.system; `identifiers` are the other URIs of the same system. An unknown code is wrong
    only where `complete` is true.
    """

    url: str
    version: str
    name: str
    title: str
    complete: bool
    count: int
    confidence: str = "verified"
    source: str = ""
    note: str = ""
    title_is_ours: bool = False
    valid_from: str | None = None
    valid_to: str | None = None
    identifiers: tuple[str, ...] = ()
    case_sensitive: bool = True
    as_of: str | None = None


class CodeSystem(Protocol):
    """One edition with its concepts, wherever they are kept."""

    @property
    def edition(self) -> Edition:
        """What is known of the whole."""

    def find(self, code: str) -> Concept | None:
        """The concept of a code, None when there is none."""

    def search(self, text: str, offset: int, limit: int) -> tuple[int, list[Concept]]:
        """How many concepts match, and a page of them: exact code or display first, then prefixes, then words."""

    def page(self, offset: int, limit: int) -> list[Concept]:
        """Concepts in the order of the source."""

    def parents(self, code: str) -> Iterator[Concept]:
        """The concepts above one, nearest first."""


def folded(text: str) -> str:
    """Text as it is searched: without case and accents, but æ, ø and å stay letters of their own."""
    kept = unicodedata.normalize("NFC", text).translate(LETTERS)
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", kept) if not unicodedata.combining(letter))
    return plain.casefold().translate(BACK)


def covers(valid_from: str | None, valid_to: str | None, on: date) -> bool:
    """Whether a day is inside a period whose ends are FHIR dates; an end that is not known is open."""
    day = on.isoformat()
    after_start = valid_from is None or day[: len(valid_from)] >= valid_from
    return after_start and (valid_to is None or day[: len(valid_to)] <= valid_to)


def spaced(text: str) -> str:
    """Folded, with single spaces: how displays are compared. Halves of surrogate pairs are no text and left out."""
    return " ".join(folded(text.encode("utf-8", "ignore").decode()).split())


def version_order(version: str) -> list[tuple[int, int, str]]:
    """Sorts versions, with numbers in them as numbers."""
    parts = "".join(letter if letter.isdecimal() else f" {letter} " for letter in version).split()
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]


def newness(edition: Edition) -> tuple[str, list[tuple[int, int, str]]]:
    """Sorts editions of one system: by the day they begin, then by version."""
    return edition.valid_from or "", version_order(edition.version)
