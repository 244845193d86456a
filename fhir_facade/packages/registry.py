"""All StructureDefinitions that are at hand: R4's own, those of loaded packages, and ours.

A canonical is looked for in R4 first, for nobody may redefine it, then in loaded packages, then among ours: a package
replaces what we have written under its canonicals. Of several versions the newest is meant, unless `|version` says
which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.packages.elements import Definition
from fhir_facade.packages.files import Package, read_package
from fhir_facade.packages.own import own_definitions
from fhir_facade.packages.own_reading import Fault
from fhir_facade.resources import data_root

OURS = "fhir_facade"


@dataclass(frozen=True, slots=True)
class Entry:
    """One definition in a list: `origin` is the package, or "fhir_facade" for ours; `replaced_by` the package that
    stands before it; `notes` what was not understood, and why."""

    url: str
    version: str
    type: str
    title: str
    origin: str
    replaced_by: str = ""
    notes: tuple[str, ...] = ()


class OwnProfiles:
    """Our own definitions by canonical, as StructureDefinitions; `faults` is what was wrong in their files."""

    def __init__(self, folder: Path) -> None:
        listed, self.faults = own_definitions(folder)
        self.contents: dict[str, dict[str, Any]] = {}
        for each in listed:
            self.contents.setdefault(str(each["url"]), each)


class Packages:
    """The definitions of some packages and of our own; the same canonical is always the same object."""

    def __init__(self, loaded: Iterable[Package] = (), own: OwnProfiles | None = None) -> None:
        self.loaded = tuple(loaded)
        self.own = own
        self._files: dict[str, list[tuple[tuple[Any, ...], Package, str, dict[str, Any]]]] = {}
        self._found: dict[str, Definition] = {}
        for package in self.loaded:
            for name, content in package.resources:
                if content["resourceType"] == "StructureDefinition":
                    row = (newness(str(content.get("version", ""))), package, name, content)
                    self._files.setdefault(str(content["url"]), []).append(row)
        for rows in self._files.values():
            rows.sort(key=lambda row: row[0], reverse=True)

    @property
    def faults(self) -> list[Fault]:
        """What could not be read, of every package and of ours as far as they were asked for."""
        found = [
            Fault(f"{package.label}/{f.file}", f.line, f.message) for package in self.loaded for f in package.faults
        ]
        return [*found, *(self.own.faults if self.own else ())]

    def find(self, canonical: str) -> Definition | None:
        """The definition of a canonical, plain or with `|version`, or of a type's name; None when it is unknown."""
        known = self._found.get(canonical)
        if known is not None:
            return known
        url, _, version = canonical.partition("|")
        found = self._found.get(url) if not version else None
        found = found or self._of_core(canonical) or self._of_package(url, version) or self._of_own(url, version)
        if found is not None:
            found = self._found.setdefault(f"{found.url}|{found.version}", found)
            self._found[canonical] = found
        return found

    def resources(self, resource_type: str) -> Iterator[tuple[Package, str, dict[str, Any]]]:
        """Every resource of a type in the loaded packages: the package, the file and the content."""
        for package in self.loaded:
            for name, content in package.resources:
                if content["resourceType"] == resource_type:
                    yield package, name, content

    def all(self) -> list[Entry]:
        """Every definition of packages and of ours, by canonical; R4's own are not listed."""
        entries: list[Entry] = []
        for url in sorted(self._files):
            for _, package, name, content in self._files[url]:
                definition = Definition(content, f"{package.label}/{name}")
                entries.append(self._entry(definition, package.label))
        for url, content in self.own.contents.items() if self.own else ():
            before = self._files[url][0][1].label if url in self._files else ""
            entries.append(self._entry(Definition(content, OURS), OURS, before))
        return entries

    def profiles(self) -> dict[str, list[str]]:
        """Resource type → the canonicals of its profiles."""
        found: dict[str, set[str]] = {}
        listed = [rows[0][3] for rows in self._files.values()]
        for content in (*listed, *(self.own.contents.values() if self.own else ())):
            if content.get("kind") == "resource" and content.get("derivation") == "constraint":
                found.setdefault(str(content.get("type")), set()).add(str(content["url"]))
        return {name: sorted(urls) for name, urls in sorted(found.items())}

    def _entry(self, definition: Definition, origin: str, replaced_by: str = "") -> Entry:
        notes = []
        if definition.derivation == "constraint" and self.find(definition.base) is None:
            notes.append(f"its base {definition.base} is not at hand")
        wanted = {
            profile: row.id for row in definition.rows.values() for each in row.types for profile in each.profiles
        }
        notes += [f"{id}: {url} is not at hand" for url, id in wanted.items() if self.find(url) is None]
        notes += [
            f"{row.id}: a discriminator of the type '{way}' is not known"
            for row in definition.rows.values()
            if row.slicing
            for way, _ in row.slicing.discriminators
            if way not in ("value", "exists", "pattern", "type", "profile")
        ]
        return Entry(
            definition.url, definition.version, definition.type, definition.title or definition.name, origin,
            replaced_by, tuple(notes),
        )  # fmt: skip

    def _of_core(self, canonical: str) -> Definition | None:
        content = definitions().structure(canonical)
        return Definition(content, "hl7.fhir.r4.core") if content is not None else None

    def _of_package(self, url: str, version: str) -> Definition | None:
        for _, package, name, content in self._files.get(url, ()):
            if version in ("", str(content.get("version", ""))):
                return Definition(content, f"{package.label}/{name}")
        return None

    def _of_own(self, url: str, version: str) -> Definition | None:
        content = self.own.contents.get(url) if self.own else None
        if content is None or version not in ("", content.get("version", "")):
            return None
        return Definition(content, OURS)


def newness(version: str) -> tuple[Any, ...]:
    """A key by which versions sort: numbers as numbers, and a draft (`-test`) before what it is a draft of."""
    plain, _, draft = version.partition("-")
    numbers = tuple(int(each) if each.isdecimal() and len(each) < 10 else 0 for each in plain.split("."))
    return (numbers, draft == "", draft)


def load_packages(paths: Iterable[Path] = (), own: Path | None = None) -> Packages:
    """Read packages and our own profiles (those shipped when `own` is left out); faults are in the answer."""
    folder = own or data_root("profiles") / "structure-definitions"
    return Packages([read_package(path) for path in paths], OwnProfiles(folder))
