"""Read systems.yaml and codes/*.yaml: every system URI, extension and code map that mappings may name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from fhir_facade.definitions import concrete_name, definitions
from fhir_facade.mapping.concept_map import strangers
from fhir_facade.mapping.findings import Finding, MappingError, finding, nearest
from fhir_facade.mapping.ir import CodeMap, System, Target
from fhir_facade.mapping.overrides import one_source, placed, retold, sources
from fhir_facade.mapping.shapes import (
    Shape,
    clean,
    empty,
    has_shape,
    missing_keys,
    repeated_keys,
)  # fmt: skip
from fhir_facade.terminology.lists import code_lists
from fhir_facade.terminology.uris import LISTS, LONGEST, canonical, variants
from fhir_facade.yaml_text import SourceError, Table

VOLVEN = "vol-"
MOST_KEPT = 4096  # URIs whose spelling is remembered
SYSTEMS = "systems.yaml"
FILE: Mapping[str, Shape] = {
    "base": "text", "systems": "tables", "system-tables": "tables", "extensions": "tables",
}  # fmt: skip
SYSTEM: Mapping[str, Shape] = {"uri": "text", "aliases": "texts", "meaning": "text"}
EXTENSION: Mapping[str, Shape] = {
    "url": "text", "value": "text", "parts": "lookup", "on": "texts", "meaning": "text",
}  # fmt: skip
MAP: Mapping[str, Shape] = {
    "conceptmap": "text", "version": "text", "meaning": "text", "source": "text", "target": "table", "map": "table",
    "reverse": "lookup", "unmapped": "text",
}  # fmt: skip
MAP_TARGET: Mapping[str, Shape] = {"system": "text", "value-set": "text"}
TO: Mapping[str, Shape] = {"to": "text", "display": "text", "relation": "text"}
RELATIONS = ("equivalent", "equal", "wider", "narrower", "inexact", "relatedto", "subsumes", "specializes")


@dataclass(frozen=True, slots=True)
class Extension:
    """A declared extension: its URL and either the type of its value or the types of its parts."""

    name: str
    url: str
    value: str
    parts: Mapping[str, str]
    on: tuple[str, ...]
    meaning: str
    at: str


class Forms(tuple[str, ...]):
    """URIs of one system. `in` knows every form of them, and those are without end (terminology/uris.py)."""

    __slots__ = ()

    def __contains__(self, uri: object) -> bool:
        wanted = canonical(uri) if isinstance(uri, str) else uri
        return any(canonical(each) == wanted for each in self)


class Spellings(Mapping[str, str]):
    """Every other URI of a system → the URI that we write; those alone are gone through that systems.yaml names.

    What a set of mappings writes stays: a URI of its own that stands for a list, and that of the list itself, unless
    it is named as an alias.
    """

    def __init__(self, systems: Iterable[System]) -> None:
        backwards = list(systems)[::-1]  # of two systems with one URI the first is meant
        self._named = {alias: each.uri for each in backwards for alias in each.aliases if alias != each.uri}
        self._meant = {canonical(form): each.uri for each in backwards for form in (*each.aliases, each.uri)}
        self._written = {each.uri for each in backwards}
        self._kept: dict[str, str] = {}  # every coding of every resource that is put asks

    def __getitem__(self, uri: str) -> str:
        spelled = self._kept.get(uri) or self._spelled(uri)
        if spelled == uri:
            raise KeyError(uri)
        return spelled

    def __contains__(self, uri: object) -> bool:
        return isinstance(uri, str) and (self._kept.get(uri) or self._spelled(uri)) != uri

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)

    def _spelled(self, uri: str) -> str:
        spelled = self._found(uri)
        if len(self._kept) < MOST_KEPT and len(uri) <= LONGEST:
            self._kept[uri] = spelled
        return spelled

    def _found(self, uri: str) -> str:
        named = self._named.get(uri)
        if named is not None or uri in self._written:
            return named or uri
        usual = canonical(uri)
        return uri if usual == uri and uri.startswith(LISTS) else self._meant.get(usual, usual)


@dataclass(frozen=True)
class Vocabulary:
    """All names that a mapping row may use for systems, tables of systems, extensions and code maps."""

    base: str
    systems: Mapping[str, System]
    tables: Mapping[str, Mapping[str, System]]
    extensions: Mapping[str, Extension]
    code_maps: Mapping[str, CodeMap]

    @cached_property
    def canonical(self) -> Mapping[str, str]:
        """Every other URI that is accepted for a system → the URI that we write."""
        return Spellings(self.systems.values())

    @property
    def system_names(self) -> list[str]:
        """Every name that `system` knows, for the nearest one."""
        return [*self.systems, *(VOLVEN + number for number in code_lists())]

    def system(self, name: str) -> System | None:
        """The system called `name`; "vol-8406" is list 8406 of Volven without being declared."""
        return self.systems.get(name) or volven(name)


def volven(name: str) -> System | None:
    """The Volven list behind "vol-<number>" (OID 2.16.578.1.12.4.1.1.<number>), or None."""
    number = name.removeprefix(VOLVEN)
    if not name.startswith(VOLVEN) or number not in code_lists():
        return None
    listed = code_lists()[number]
    displays = {code.replace(".", ""): row.display for code, row in listed.codes.items()}  # NPR sends no period
    displays |= {code: row.display for code, row in listed.codes.items()}
    return System(name, listed.system, Forms(variants(listed.system)), displays)


def load_vocabulary(folder: Path, findings: list[Finding], site: Path | None = None) -> Vocabulary:
    """Read systems.yaml and every code map, and what the folder `site` adds; faults are added to `findings`.

    What cannot be read at all is raised at once: every row that names something of it would seem faulty too.
    """
    if not (folder / SYSTEMS).is_file():
        raise MappingError([Finding(SYSTEMS, 1, f"there is none in {folder}, so it is no folder of mappings")])
    try:
        source = one_source(folder / SYSTEMS, site / SYSTEMS if site else None, site.name if site else "")
    except SourceError as error:
        raise MappingError([Finding(error.file, error.line, error.message)]) from None
    before, seams = len(findings), {SYSTEMS: source.site} if source.site else {}
    vocabulary = _vocabulary(folder, source.table, findings, site)
    findings[before:] = [placed(found, seams) for found in findings[before:]]
    told = {name: retold(each, source.site) for name, each in vocabulary.extensions.items()}
    return replace(vocabulary, extensions=told)


def _vocabulary(folder: Path, whole: Table, findings: list[Finding], site: Path | None) -> Vocabulary:
    findings += repeated_keys(SYSTEMS, whole)
    table = clean(SYSTEMS, whole, FILE, "systems.yaml", findings)
    base = str(table.get("base", ""))
    systems = {name: _system(name, spec, findings) for name, spec in table.get("systems", empty()).items()}
    bare = Vocabulary(base, systems, {}, {}, {})
    tables = {
        name: _table_of_systems(bare, spec, findings) for name, spec in table.get("system-tables", empty()).items()
    }
    extensions = {
        name: _extension(base, name, spec, findings) for name, spec in table.get("extensions", empty()).items()
    }
    return replace(bare, tables=tables, extensions=extensions, code_maps=_code_maps(folder, bare, findings, site))


def _code_maps(folder: Path, vocabulary: Vocabulary, findings: list[Finding], site: Path | None) -> dict[str, CodeMap]:
    maps: dict[str, CodeMap] = {}
    unread: list[Finding] = []
    own, label = ((site / "codes").glob("*.yaml"), f"{site.name}/codes") if site else ((), "")
    for source in sources((folder / "codes").glob("*.yaml"), own, label, "conceptmap", unread):
        faults: list[Finding] = []
        try:
            code_map = _code_map(source.file, source.table, vocabulary, faults)
        except SourceError as error:
            unread.append(placed(Finding(error.file, error.line, error.message), {source.file: source.site}))
            continue
        finally:
            findings += [placed(found, {source.file: source.site}) for found in faults]
        code_map = retold(code_map, source.site) if source.site else code_map
        if code_map.name in maps:
            findings.append(finding(code_map.at, f"a second code map is called '{code_map.name}'"))
        maps[code_map.name] = code_map
    if unread:
        raise MappingError([*findings, *unread])
    return maps


def _system(name: str, whole: Table, findings: list[Finding]) -> System:
    spec = clean(SYSTEMS, whole, SYSTEM, "a system", findings)
    if not spec.get("uri") and has_shape(whole.get("uri", ""), "text"):
        findings.append(Finding(SYSTEMS, whole.line, f"system '{name}' has no uri"))
    uri = str(spec.get("uri", ""))
    return System(name, uri, Forms((uri, *map(str, spec.get("aliases", ())))))


def _table_of_systems(vocabulary: Vocabulary, spec: Table, findings: list[Finding]) -> dict[str, System]:
    out = {}
    for code, name in spec.items():
        system = vocabulary.system(name) if isinstance(name, str) else None
        if system is None:
            near = nearest(str(name), vocabulary.system_names)
            findings.append(Finding(SYSTEMS, spec.at(code), f"no system '{name}'{near}"))
        else:
            out[code] = system
    return out


def _extension(base: str, name: str, whole: Table, findings: list[Finding]) -> Extension:
    spec = clean(SYSTEMS, whole, EXTENSION, "an extension", findings)
    parts = {part: str(kind) for part, kind in spec.get("parts", empty()).items()}
    value, on = str(spec.get("value", "")), tuple(map(str, spec.get("on", ())))
    if bool(whole.get("parts")) == bool(whole.get("value")):
        findings.append(Finding(SYSTEMS, whole.line, f"extension '{name}' needs either a value or parts"))
    for kind in [*([value] if value else []), *parts.values()]:
        if definitions().element(f"Extension.{concrete_name('value[x]', kind or '?')}") is None:
            held = definitions().element("Extension.value[x]")
            near = nearest(kind, held.types if held else ())
            said = f"extension '{name}': R4 extensions hold no '{kind}'{near}"
            findings.append(Finding(SYSTEMS, whole.line, said))
    for place in on:
        if not definitions().is_type(place) and definitions().element(place) is None:
            near = nearest(place, definitions().resource_types)
            findings.append(Finding(SYSTEMS, whole.at("on"), f"extension '{name}': R4 has no '{place}'{near}"))
    return Extension(
        name=name,
        url=str(spec.get("url", f"{base}/StructureDefinition/{name}")),
        value=value,
        parts=parts,
        on=on,
        meaning=str(spec.get("meaning", "")),
        at=f"{SYSTEMS}:{spec.line}",
    )


def _code_map(file: str, whole: Table, vocabulary: Vocabulary, findings: list[Finding]) -> CodeMap:
    findings += repeated_keys(file, whole)
    faults: list[Finding] = []
    table = clean(file, whole, MAP, "a code map", faults)
    faults += missing_keys(file, whole, ("conceptmap", "source", "target", "map"))
    findings += faults
    if not {"conceptmap", "source", "target", "map"} <= set(table):
        worst = min(faults)
        raise SourceError(file, worst.line, worst.message)
    source = vocabulary.system(str(table["source"]))
    if source is None:
        near = nearest(str(table["source"]), vocabulary.system_names)
        findings.append(Finding(file, table.at("source"), f"no system '{table['source']}'{near}"))
        source = System(str(table["source"]), "")
    into = clean(file, table["target"], MAP_TARGET, "a target", findings)
    uri = _target_uri(file, into, vocabulary, findings)
    made = {code: _target(file, uri, table["map"], code, findings) for code in table["map"]}
    targets = {code: target for code, target in made.items() if target}
    for code in made if source.displays else ():
        if code not in (source.displays or {}):
            near = nearest(code, source.displays or ())
            findings.append(Finding(file, table["map"].at(code), f"'{code}' is not in {source.name}{near}"))
    back = {code: str(own) for code, own in table.get("reverse", empty()).items()}
    for code, own in back.items():
        if own not in targets or targets[own].code != code:
            said = f"reverse: '{own}' does not become '{code}'"
            findings.append(Finding(file, table["reverse"].at(code), said))
    unmapped = str(table.get("unmapped", "provided"))
    if unmapped not in ("provided", "absent"):
        said = f"'unmapped' is provided or absent, not '{unmapped}'"
        findings.append(Finding(file, table.at("unmapped"), said))
    code_map = CodeMap(
        name=str(table["conceptmap"]),
        version=str(table.get("version", "")),
        source=source,
        target_system=uri,
        target_value_set=str(into.get("value-set", "")),
        targets=targets,
        back=back,
        unmapped="absent" if unmapped == "absent" else "provided",
        at=f"{file}:{table.at('conceptmap')}",
    )
    for own, said in strangers(code_map) if ":" in uri else ():  # an unknown system is told already
        findings.append(Finding(file, table["map"].at(own), f"'{targets[own].code}' is {said}"))
    return code_map


def _target_uri(file: str, into: Table, vocabulary: Vocabulary, findings: list[Finding]) -> str:
    """The URI of the system that a map leads to: a name of systems.yaml, or the URI itself."""
    name = str(into.get("system", ""))
    system = vocabulary.system(name)
    if system is None and ":" not in name:
        near = nearest(name, vocabulary.system_names)
        findings.append(Finding(file, into.at("system"), f"no system '{name}'{near}"))
    return system.uri if system else name


def _target(file: str, system: str, table: Table, key: str, findings: list[Finding]) -> Target | None:
    """`"3": AMB` or `"3": {to: AMB, display: ambulatory, relation: wider}`."""
    given, line = table[key], table.at(key)
    if isinstance(given, Table):
        given = clean(file, given, TO, "a target code", findings)
    elif isinstance(given, str):
        given = {"to": given}
    else:
        given = {}
    code, relation = str(given.get("to", "")), str(given.get("relation", "equivalent"))
    if not code:
        findings.append(Finding(file, line, f"'{key}' needs a code, or {{to: code}}"))
        return None
    if relation not in RELATIONS:
        findings.append(Finding(file, line, f"no relation '{relation}'{nearest(relation, RELATIONS)}"))
    display = str(given.get("display", "")) or definitions().display(system, code) or ""
    return Target(code, system, display, relation)
