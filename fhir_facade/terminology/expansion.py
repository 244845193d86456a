"""Value sets into their codes: filtered by text, by day and by use, ranked, and a page at a time.

https://hl7.org/fhir/R4/valueset-operation-expand.html
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from fhir_facade.contracts import Resource
from fhir_facade.outcome import Issue, Refused
from fhir_facade.terminology.concepts import CodeSystem, Concept, covers, spaced
from fhir_facade.terminology.judging import told

MOST = 5000
"""Most codes of one answer."""

COUNTED = 10_000
"""A search in an imported system counts to here; a total beyond it is not known and is not told."""

SCANNED = 20_000
"""Most codes that are looked at one by one for one answer."""

CHUNK = 500
OUT_OF_USE = ("retired", "superseded")

Entry = tuple[CodeSystem, Concept]


@dataclass(frozen=True, slots=True)
class Part:
    """What a value set takes from one edition: the codes, in order, or None for all of them."""

    code_system: CodeSystem
    codes: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for. `on` is the day that use is judged on; only where `dated` are codes left out for it."""

    on: date
    dated: bool = False
    text: str = ""
    offset: int = 0
    count: int | None = None
    active_only: bool = False

    @property
    def screens(self) -> bool:
        """Whether each code has to be looked at."""
        return self.dated or self.active_only


@dataclass(frozen=True, slots=True)
class Expanded:
    """A page of the codes, and how many there are in all; None when that is not known."""

    total: int | None
    entries: Sequence[Entry]


def in_use(concept: Concept, on: date) -> bool:
    """Whether a code may be used on a day, as far as is known."""
    return concept.status not in OUT_OF_USE and covers(concept.valid_from, concept.valid_to, on)


def expand(parts: Sequence[Part], wanted: Wanted) -> Expanded:
    """Return the page of codes that is asked for; Refused when one answer cannot hold all that is asked."""
    count = MOST if wanted.count is None else min(wanted.count, MOST)
    if len(parts) == 1 and parts[0].codes is None and not wanted.screens:
        expanded = _straight(parts[0].code_system, wanted, count)
    else:
        expanded = _screened(parts, wanted, count)
    if wanted.count is None and (expanded.total is None or expanded.total - wanted.offset > MOST):
        raise too_costly()
    return expanded


def too_costly() -> Refused:
    """The refusal of what is too much for one answer."""
    return Refused(Issue("expansion-too-costly", "ValueSet.expansion", {"limit": MOST}))


def _straight(code_system: CodeSystem, wanted: Wanted, count: int) -> Expanded:
    """A page as the code system itself gives it."""
    if wanted.text:
        total, concepts = code_system.search(wanted.text, wanted.offset, count)
    else:
        total, concepts = code_system.edition.count, code_system.page(wanted.offset, count) if count else []
    known = total if total <= COUNTED or not wanted.text else None
    return Expanded(known, [(code_system, concept) for concept in concepts])


def _screened(parts: Sequence[Part], wanted: Wanted, count: int) -> Expanded:
    """A page of what is left when each code has been looked at; of very many, without the total."""
    page: list[Entry] = []
    passed = 0
    for seen, (code_system, concept) in enumerate(_candidates(parts, wanted.text)):
        if seen == SCANNED:
            if len(page) < count:
                raise too_costly()
            return Expanded(None, page)
        if not _kept(concept, wanted):
            continue
        if passed >= wanted.offset and len(page) < count:
            page.append((code_system, concept))
        passed += 1
    return Expanded(passed, page)


def _kept(concept: Concept, wanted: Wanted) -> bool:
    if wanted.active_only:
        return in_use(concept, wanted.on)
    return not wanted.dated or covers(concept.valid_from, concept.valid_to, wanted.on)


def _candidates(parts: Sequence[Part], text: str) -> Iterator[Entry]:
    """The codes of all parts that match the text, best first."""
    if not text:
        for part in parts:
            for concept in _all(part):
                yield part.code_system, concept
        return
    if len(parts) == 1 and parts[0].codes is None:
        code_system = parts[0].code_system
        yield from ((code_system, concept) for concept in _found(code_system, text))
        return
    ranked: list[tuple[int, Entry]] = []
    for part in parts:
        concepts = _all(part) if part.codes is not None else _found(part.code_system, text)
        for concept in concepts:
            place = rank(concept, text)
            if place is not None:
                ranked.append((place, (part.code_system, concept)))
    ranked.sort(key=_first)
    yield from (entry for _, entry in ranked)


def _first(ranked: tuple[int, Entry]) -> int:
    return ranked[0]


def _all(part: Part) -> Iterator[Concept]:
    if part.codes is None:
        yield from _pages(part.code_system.page)
        return
    for code in part.codes:
        concept = part.code_system.find(code)
        if concept is not None:
            yield concept


def _found(code_system: CodeSystem, text: str) -> Iterator[Concept]:
    yield from _pages(lambda offset, limit: code_system.search(text, offset, limit)[1])


def _pages(page: Callable[[int, int], list[Concept]]) -> Iterator[Concept]:
    """All that a function of offset and limit gives, some at a time and not without end."""
    offset, size = 0, CHUNK
    while offset <= SCANNED:
        concepts = page(offset, size)
        yield from concepts
        if len(concepts) < size:
            return
        offset, size = offset + size, 2 * size  # each page of a search begins from its start


def rank(concept: Concept, text: str) -> int | None:
    """How well a concept matches: 0 the whole code or text, 1 its beginning, 2 beginnings of words; None not at all."""
    asked = spaced(text)
    texts = [spaced(each) for each in (concept.code, concept.display, *(said.value for said in concept.designations))]
    if asked in texts:
        return 0
    if any(each.startswith(asked) for each in texts):
        return 1
    words, parts = _words(" ".join(texts)), _words(asked)
    return 2 if parts and all(any(word.startswith(part) for word in words) for part in parts) else None


def _words(text: str) -> list[str]:
    return "".join(letter if letter.isalnum() else " " for letter in text).split()


def expanded_value_set(
    head: Resource, expanded: Expanded, wanted: Wanted, parts: Sequence[Part], *, timestamp: str,
    language: str = "", designations: bool = False,
) -> Resource:  # fmt: skip
    """The ValueSet with its expansion; `head` is the resource without one, `timestamp` an instant."""
    parameters = list(_parameters(wanted, parts, language, designations))
    entries = [_entry(each, wanted.on, language, designations) for each in expanded.entries]
    said = [head["url"], timestamp, *map(str, parameters)]
    expansion: dict[str, Any] = {"identifier": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join(said))}"}
    expansion["timestamp"] = timestamp
    if expanded.total is not None:
        expansion["total"] = expanded.total
    if wanted.offset or wanted.count is not None:
        expansion["offset"] = wanted.offset
    expansion["parameter"] = parameters
    if entries:
        expansion["contains"] = entries
    return {name: value for name, value in head.items() if name != "compose"} | {"expansion": expansion}


def _parameters(wanted: Wanted, parts: Sequence[Part], language: str, designations: bool) -> Iterator[dict[str, Any]]:
    """What the expansion went by: the inputs as they were heeded, and the editions."""
    if wanted.text:
        yield {"name": "filter", "valueString": told(wanted.text)}
    if wanted.offset:
        yield {"name": "offset", "valueInteger": wanted.offset}
    if wanted.count is not None:
        yield {"name": "count", "valueInteger": min(wanted.count, MOST)}
    if wanted.active_only:
        yield {"name": "activeOnly", "valueBoolean": True}
    if wanted.dated:
        yield {"name": "date", "valueDateTime": wanted.on.isoformat()}
    if language:
        yield {"name": "displayLanguage", "valueCode": language}
    if designations:
        yield {"name": "includeDesignations", "valueBoolean": True}
    for edition in dict.fromkeys(part.code_system.edition for part in parts):
        yield {"name": "version", "valueUri": "|".join(filter(None, (edition.url, edition.version)))}
        if not edition.complete:
            yield {"name": "incomplete", "valueUri": edition.url}


def _entry(entry: Entry, on: date, language: str, designations: bool) -> dict[str, Any]:
    edition, concept = entry[0].edition, entry[1]
    out: dict[str, Any] = {"system": edition.url}
    if edition.version:
        out["version"] = edition.version
    if not in_use(concept, on):
        out["inactive"] = True
    out["code"] = concept.code
    if concept.display:
        out["display"] = display_in(concept, language)
    if designations and concept.designations:
        out["designation"] = [
            {name: value for name, value in (("language", each.language), ("value", each.value)) if value}
            for each in concept.designations
        ]
    return out


def display_in(concept: Concept, language: str) -> str:
    """The text of a concept in a language (BCP 47), as near as there is one; else its own."""
    for wanted in filter(None, (language, language.partition("-")[0])):
        for each in concept.designations:
            if each.language == wanted and not each.use:
                return each.value
    return concept.display
