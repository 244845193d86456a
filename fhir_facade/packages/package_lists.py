"""Code systems and value sets of packages, as the catalogue of terminology takes them.

What cannot be worked out here, a filter or a system whose codes are not in the package, is left out and told: its codes
cannot be known, and nothing is judged by half a list. https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fhir_facade.packages.registry import Packages
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.code_table import CodeTable, code_table
from fhir_facade.terminology.concepts import CodeSystem, Concept, Designation, Edition, Status
from fhir_facade.terminology.uris import canonical
from fhir_facade.terminology.value_sets import Include, ValueSet

DEEPEST = 16
"""Most value sets that name value sets, and most levels of a hierarchy of concepts."""

HELD = ("complete", "fragment", "example")
RETIRED = ("retired", "deprecated", "withdrawn", "inactive")


@dataclass(frozen=True, slots=True)
class Note:
    """What was not understood of a resource of a package, and why."""

    origin: str
    url: str
    reason: str


class NotUnderstood(Exception):
    """A list that cannot be worked out here."""


class PackageLists:
    """The lists of some packages; `notes` tells what was left out, and why."""

    def __init__(self, packages: Packages) -> None:
        self.notes: list[Note] = []
        self._value_sets = {
            f"{content['url']}|{content.get('version', '')}": (package.label, content)
            for package, _, content in packages.resources("ValueSet")
        }
        self.code_systems: list[CodeTable] = []
        for package, _, content in packages.resources("CodeSystem"):
            with self._told(package.label, content):
                self.code_systems.append(_code_system(content))
        self.value_sets: list[ValueSet] = []
        for origin, content in self._value_sets.values():
            with self._told(origin, content):
                self.value_sets.append(self._value_set(content))

    @contextmanager
    def _told(self, origin: str, content: Mapping[str, Any]) -> Iterator[None]:
        """What is not understood becomes a note."""
        try:
            yield
        except NotUnderstood as error:
            self.notes.append(Note(origin, str(content["url"]), str(error)))

    def _value_set(self, content: Mapping[str, Any]) -> ValueSet:
        includes = self._includes(content, 0)
        merged: dict[str, list[str] | None] = {}
        for each in includes:
            known = merged.get(each.system, [])
            both = None if each.codes is None or known is None else [*known, *each.codes]
            merged[each.system] = both
        return ValueSet(
            url=str(content["url"]),
            version=str(content.get("version", "")),
            name=str(content.get("name", "")),
            title=str(content.get("title", content.get("name", ""))),
            includes=tuple(
                Include(system, None if codes is None else tuple(dict.fromkeys(codes)))
                for system, codes in merged.items()
            ),
            source="package",
        )

    def _includes(self, content: Mapping[str, Any], depth: int) -> list[Include]:
        if depth > DEEPEST:
            raise NotUnderstood("its value sets name each other in circles")
        compose = content.get("compose")
        if not isinstance(compose, Mapping):
            return _of_expansion(content)
        included = [each for part in _objects(compose.get("include")) for each in self._part(part, depth)]
        excluded = [each for part in _objects(compose.get("exclude")) for each in self._part(part, depth)]
        return [_without(each, excluded) for each in included]

    def _part(self, part: Mapping[str, Any], depth: int) -> Iterator[Include]:
        """One include or exclude."""
        named = part.get("valueSet") or []
        if part.get("filter"):
            raise NotUnderstood("it chooses codes by a filter")
        if named and (part.get("system") or len(named) > 1):
            raise NotUnderstood("it takes what several lists have in common")
        if named:
            yield from self._named(str(named[0]), depth)
            return
        system = part.get("system")
        if not isinstance(system, str):
            raise NotUnderstood("an include names neither a system nor a value set")
        concepts = part.get("concept")
        codes = tuple(str(each.get("code")) for each in _objects(concepts)) if concepts else None
        yield Include(canonical(system), codes)

    def _named(self, url: str, depth: int) -> Iterator[Include]:
        plain, _, version = url.partition("|")
        found = [
            content
            for key, (_, content) in self._value_sets.items()
            if key.partition("|")[0] == plain and version in ("", content.get("version"))
        ]
        if found:
            yield from self._includes(found[-1], depth + 1)
            return
        shipped = Catalogue().value_set(url)
        if shipped is None:
            raise NotUnderstood(f"the value set {url} that it takes in is not at hand")
        yield from shipped.includes


def catalogue_with(lists: PackageLists, imported: Sequence[CodeSystem] = ()) -> Catalogue:
    """The catalogue of what is shipped, what is imported and what packages bring; the imported editions go first."""
    return Catalogue([*imported, *lists.code_systems], lists.value_sets)


def _of_expansion(content: Mapping[str, Any]) -> list[Include]:
    expansion = content.get("expansion")
    if not isinstance(expansion, Mapping):
        raise NotUnderstood("it does not say which codes it has")
    pairs = list(_contained(expansion.get("contains"), 0))
    total = expansion.get("total")
    if isinstance(total, int) and total > len(pairs):
        raise NotUnderstood("its expansion is not whole")
    by_system: dict[str, list[str]] = {}
    for system, code in pairs:
        by_system.setdefault(canonical(system), []).append(code)
    return [Include(system, tuple(codes)) for system, codes in by_system.items()]


def _contained(content: Any, depth: int) -> Iterator[tuple[str, str]]:
    for each in _objects(content) if depth <= DEEPEST else ():
        if isinstance(each.get("code"), str) and not each.get("abstract"):
            yield str(each.get("system", "")), each["code"]
        yield from _contained(each.get("contains"), depth + 1)


def _without(include: Include, excluded: Sequence[Include]) -> Include:
    codes = include.codes
    for each in excluded:
        if each.system != include.system:
            continue
        if each.codes is None:
            codes = ()
        elif codes is None:
            raise NotUnderstood("it takes codes away from a whole system")
        else:
            codes = tuple(code for code in codes if code not in each.codes)
    return Include(include.system, codes)


def _code_system(content: Mapping[str, Any]) -> CodeTable:
    held = str(content.get("content", ""))
    concepts = list(_concepts(content.get("concept"), None, 0))
    if held not in HELD or not concepts:
        raise NotUnderstood(f"its codes are not in the package (content is {held or 'not said'})")
    others = [
        str(each["value"])
        for each in _objects(content.get("identifier"))
        if str(each.get("value", "")).startswith("urn:")
    ]
    ours = Catalogue().code_system(str(content["url"]))
    if ours is not None and ours.edition.complete and ours.edition.confidence == "verified":
        raise NotUnderstood("the list that is shipped stands before it: it says which codes are in use, and when")
    edition = Edition(
        url=canonical(str(content["url"])),
        version=str(content.get("version", "")),
        name=str(content.get("name", "")),
        title=str(content.get("title", content.get("name", ""))),
        complete=held == "complete",
        count=len(concepts),
        source="package",
        identifiers=tuple(dict.fromkeys([str(content["url"]), *others])),
        case_sensitive=content.get("caseSensitive", True) is not False,
    )
    return code_table(edition, concepts)


def _concepts(content: Any, parent: str | None, depth: int) -> Iterator[Concept]:
    for each in _objects(content) if depth <= DEEPEST else ():
        code = each.get("code")
        if not isinstance(code, str):
            continue
        designations = tuple(
            Designation(str(one.get("language", "")), one["value"])
            for one in _objects(each.get("designation"))
            if isinstance(one.get("value"), str)
        )
        yield Concept(code, str(each.get("display", code)), _status(each), parent=parent, designations=designations)
        yield from _concepts(each.get("concept"), code, depth + 1)


def _status(concept: Mapping[str, Any]) -> Status:
    """Retired when a property says so. https://hl7.org/fhir/R4/codesystem.html#status"""
    for each in _objects(concept.get("property")):
        name = each.get("code")
        if (name == "status" and each.get("valueCode") in RETIRED) or (
            name in ("inactive", "retired") and each.get("valueBoolean") is True
        ):
            return "retired"
    return "active"


def _objects(content: Any) -> list[Mapping[str, Any]]:
    return [each for each in content if isinstance(each, Mapping)] if isinstance(content, list) else []
