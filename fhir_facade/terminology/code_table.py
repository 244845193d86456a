"""A code system of some hundred codes, held in memory, as the protocol `CodeSystem` wants it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from fhir_facade.terminology.concepts import Concept, Edition, spaced


@dataclass(frozen=True)
class CodeTable:
    """One edition and its concepts by code, in the order of the source.

    `dotless`: a code is found without its full stop as well, as NPR writes ICD-10.
    """

    edition: Edition
    concepts: Mapping[str, Concept]
    dotless: bool = False

    def find(self, code: str) -> Concept | None:
        """The concept of a code; without case and full stop where the edition does not tell them apart."""
        found = self.concepts.get(code)
        if found is None and (self.dotless or not self.edition.case_sensitive):
            found = self._alike.get(self._plain(code))
        return found

    def search(self, text: str, offset: int, limit: int) -> tuple[int, list[Concept]]:
        """How many concepts match, and a page of them: exact code or display first, then prefixes, then words."""
        asked = spaced(text)
        if not asked:
            return len(self.concepts), self.page(offset, limit)
        ranked: tuple[list[Concept], ...] = ([], [], [])
        for concept, texts, words in self._folded:
            place = _rank(asked, texts, words)
            if place is not None:
                ranked[place].append(concept)
        found = [concept for each in ranked for concept in each]
        return len(found), found[offset : offset + limit]

    def page(self, offset: int, limit: int) -> list[Concept]:
        """Concepts in the order of the source."""
        return list(self.concepts.values())[offset : offset + limit]

    def parents(self, code: str) -> Iterator[Concept]:
        """The concepts above one, nearest first, each once."""
        concept, seen = self.find(code), set[str]()
        while concept is not None and concept.parent is not None and concept.code not in seen:
            seen.add(concept.code)
            concept = self.concepts.get(concept.parent)
            if concept is not None and concept.code not in seen:
                yield concept

    def _plain(self, code: str) -> str:
        code = code.replace(".", "") if self.dotless else code
        return code if self.edition.case_sensitive else code.casefold()

    @cached_property
    def _alike(self) -> Mapping[str, Concept]:
        return {self._plain(code): concept for code, concept in reversed(list(self.concepts.items()))}

    @cached_property
    def _folded(self) -> list[tuple[Concept, list[str], list[str]]]:
        rows = []
        for concept in self.concepts.values():
            texts = [concept.code, concept.display, *(each.value for each in concept.designations)]
            if self.dotless:
                texts.append(concept.code.replace(".", ""))
            plain = [spaced(each) for each in texts]
            rows.append((concept, plain, [word for each in plain for word in _words(each)]))
        return rows


def code_table(edition: Edition, concepts: Iterable[Concept], *, dotless: bool = False) -> CodeTable:
    """The table of some concepts; of two with one code the first stays."""
    by_code: dict[str, Concept] = {}
    for concept in concepts:
        by_code.setdefault(concept.code, concept)
    return CodeTable(edition, by_code, dotless)


def _words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text).split()


def _rank(asked: str, texts: list[str], words: list[str]) -> int | None:
    if asked in texts:
        return 0
    if any(each.startswith(asked) for each in texts):
        return 1
    parts = _words(asked)
    return 2 if parts and all(any(word.startswith(part) for word in words) for part in parts) else None
