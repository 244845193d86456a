"""All code systems and value sets that are at hand: those shipped, and the imported editions.

Of one system the newest edition comes first and the shipped one last: it is a sample where the whole can be imported.
An edition is chosen by its version, or by a day that its period covers; where none fits, nothing can be known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from fhir_facade.terminology import shipped
from fhir_facade.terminology.concepts import CodeSystem, covers, newness, version_order
from fhir_facade.terminology.uris import canonical
from fhir_facade.terminology.value_sets import ValueSet


class Catalogue:
    """Code systems by any of their URIs, value sets by URL.

    `extra` are editions that were imported or came with packages, `value_sets` those of packages. Nobody redefines
    R4's own value sets.
    """

    def __init__(self, extra: Iterable[CodeSystem] = (), value_sets: Iterable[ValueSet] = ()) -> None:
        self._imported: dict[str, list[CodeSystem]] = {}
        self._aliases: dict[str, str] = {}
        for each in extra:
            url = canonical(each.edition.url)
            self._imported.setdefault(url, []).append(each)
            for alias in each.edition.identifiers:
                self._aliases.setdefault(canonical(alias), url)
        for editions in self._imported.values():
            editions.sort(key=lambda each: newness(each.edition), reverse=True)
        self._value_sets: dict[str, list[ValueSet]] = {}
        for found in value_sets:
            if shipped.value_set(found.url) is None:
                self._value_sets.setdefault(found.url, []).append(found)
        for listed in self._value_sets.values():
            listed.sort(key=lambda found: version_order(found.version), reverse=True)
        self._by_value_set = {shipped.value_set_url(url): url for url in self._urls()}

    def code_systems(self) -> list[CodeSystem]:
        """The newest edition of every system: those shipped in their order, then the others."""
        return [self.editions(url)[0] for url in self._urls()]

    def editions(self, uri: str) -> list[CodeSystem]:
        """Every edition of the system that a URI means, the newest first; [] when there is none."""
        url = self._url(uri)
        found = list(self._imported.get(url, ()))
        own = shipped.code_system(url)
        return [*found, own] if own is not None else found

    def code_system(self, uri: str, version: str | None = None, on: date | None = None) -> CodeSystem | None:
        """The edition of a version, else the newest that holds on a day, else the newest; None when there is none."""
        for each in self.editions(uri):
            if version:
                if each.edition.version == version:
                    return each
            elif on is None or covers(each.edition.valid_from, each.edition.valid_to, on):
                return each
        return None

    def value_set(self, url: str) -> ValueSet | None:
        """The value set of a URL, with or without `|version`; a URI of a code system means all of its codes."""
        plain, _, version = url.partition("|")
        found = shipped.value_set(plain)
        if found is not None:
            return found if version in ("", found.version) else None
        for each in self._value_sets.get(plain, ()):
            if version in ("", each.version):
                return each
        chosen = self.code_system(self._by_value_set.get(plain, plain), version)
        return None if chosen is None else shipped.all_codes(chosen.edition)

    def value_sets(self) -> Iterator[ValueSet]:
        """All codes of each system but those of R4, then R4's own value sets."""
        for each in self.code_systems():
            if not shipped.is_of_r4(each.edition.url):
                yield shipped.all_codes(each.edition)
        yield from (listed[0] for listed in self._value_sets.values())
        yield from shipped.value_sets()

    def _urls(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*shipped.systems(), *self._imported]))

    def _url(self, uri: str) -> str:
        url = canonical(uri)
        return self._aliases.get(url, url)
