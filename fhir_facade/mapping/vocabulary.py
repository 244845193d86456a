"""Read systems.yaml and codes/*.yaml: every system URI, extension and code map that mappings may name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fhir_facade.definitions import definitions
from fhir_facade.mapping.findings import Finding, nearest
from fhir_facade.mapping.ir import CodeMap, System, Target
from fhir_facade.mapping.load_kinds import unknown_keys
from fhir_facade.mapping.source import SourceError, Table, read
from fhir_facade.terminology.lists import code_lists

VOLVEN = "vol-"
SYSTEM_KEYS = {"uri", "aliases", "meaning"}
EXTENSION_KEYS = {"url", "value", "parts", "on", "meaning"}
MAP_KEYS = {"conceptmap", "version", "meaning", "source", "target", "map", "reverse", "unmapped"}


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


@dataclass(frozen=True)
class Vocabulary:
    """All names that a mapping row may use for systems, tables of systems, extensions and code maps."""

    base: str
    systems: Mapping[str, System]
    tables: Mapping[str, Mapping[str, System]]
    extensions: Mapping[str, Extension]
    code_maps: Mapping[str, CodeMap]

    def system(self, name: str) -> System | None:
        """The system called `name`; "vol-8406" is list 8406 of Volven without being declared."""
        return self.systems.get(name) or volven(name)


def volven(name: str) -> System | None:
    """The Volven list behind "vol-<number>" (OID 2.16.578.1.12.4.1.1.<number>), or None."""
    number = name.removeprefix(VOLVEN)
    if not name.startswith(VOLVEN) or number not in code_lists():
        return None
    listed = code_lists()[number]
    canonical = f"http://helsedir.no/fhir/CodeSystem/no-kodeverk-{number}"
    displays = {
        code.replace(".", ""): row.display for code, row in listed.codes.items()
    }  # NPR sends no period
    displays |= {code: row.display for code, row in listed.codes.items()}
    return System(name, listed.system, (listed.oid, canonical), displays)


def load_vocabulary(folder: Path, findings: list[Finding]) -> Vocabulary:
    """Read systems.yaml and every code map; faults are added to `findings`."""
    try:
        table = read(folder / "systems.yaml")
    except (SourceError, OSError) as error:
        findings.append(
            Finding("systems.yaml", getattr(error, "line", 1), str(getattr(error, "message", error)))
        )
        table = Table()
        table.line, table.lines, table.repeated = 1, {}, []
    base = str(table.get("base", ""))
    systems = {name: _system(name, spec, findings) for name, spec in table.get("systems", {}).items()}
    vocabulary = Vocabulary(base, systems, {}, {}, {})
    tables = {
        name: _table_of_systems(vocabulary, spec, findings)
        for name, spec in table.get("system-tables", {}).items()
    }
    extensions = {
        name: _extension(base, name, spec, findings) for name, spec in table.get("extensions", {}).items()
    }
    vocabulary = Vocabulary(base, systems, tables, extensions, {})
    maps = {}
    for path in sorted((folder / "codes").glob("*.yaml")):
        try:
            code_map = _code_map(path.name, read(path), vocabulary, findings)
        except SourceError as error:
            findings.append(Finding(error.file, error.line, error.message))
            continue
        maps[code_map.name] = code_map
    return Vocabulary(base, systems, tables, extensions, maps)


def _system(name: str, spec: Table, findings: list[Finding]) -> System:
    findings += unknown_keys("systems.yaml", spec, SYSTEM_KEYS, "a system")
    if "uri" not in spec:
        findings.append(Finding("systems.yaml", spec.line, f"system '{name}' has no uri"))
    return System(name, str(spec.get("uri", "")), tuple(map(str, spec.get("aliases", ()))))


def _table_of_systems(vocabulary: Vocabulary, spec: Table, findings: list[Finding]) -> dict[str, System]:
    out = {}
    for code, name in spec.items():
        system = vocabulary.system(str(name))
        if system is None:
            near = nearest(str(name), vocabulary.systems)
            findings.append(Finding("systems.yaml", spec.at(code), f"no system '{name}'{near}"))
        else:
            out[code] = system
    return out


def _extension(base: str, name: str, spec: Table, findings: list[Finding]) -> Extension:
    findings += unknown_keys("systems.yaml", spec, EXTENSION_KEYS, "an extension")
    parts = {part: str(kind) for part, kind in spec.get("parts", {}).items()}
    if bool(parts) == bool(spec.get("value")):
        findings.append(
            Finding("systems.yaml", spec.line, f"extension '{name}' needs either a value or parts")
        )
    return Extension(
        name=name,
        url=str(spec.get("url", f"{base}/StructureDefinition/{name}")),
        value=str(spec.get("value", "")),
        parts=parts,
        on=tuple(map(str, spec.get("on", ()))),
        meaning=str(spec.get("meaning", "")),
        at=f"systems.yaml:{spec.line}",
    )


def _code_map(file: str, table: Table, vocabulary: Vocabulary, findings: list[Finding]) -> CodeMap:
    findings += unknown_keys(file, table, MAP_KEYS, "a code map")
    for needed in ("conceptmap", "source", "target", "map"):
        if needed not in table:
            raise SourceError(file, table.line, f"'{needed}' is missing")
    name, target = str(table["conceptmap"]), table["target"]
    source = vocabulary.system(str(table["source"]))
    if source is None:
        findings.append(Finding(file, table.at("source"), f"no system '{table['source']}'"))
        source = System(str(table["source"]), "")
    known = vocabulary.system(str(target["system"]))
    target_system = known.uri if known else str(target["system"])
    targets = {code: _target(target_system, spec) for code, spec in table["map"].items()}
    if source.displays:
        for code in targets:
            if code not in source.displays:
                near = nearest(code, source.displays)
                findings.append(
                    Finding(file, table["map"].at(code), f"'{code}' is not in {source.name}{near}")
                )
    back = {code: str(own) for code, own in table.get("reverse", {}).items()}
    for code, own in back.items():
        if own not in targets or targets[own].code != code:
            findings.append(Finding(file, table.at("reverse"), f"reverse: '{own}' does not become '{code}'"))
    unmapped = str(table.get("unmapped", "provided"))
    if unmapped not in ("provided", "absent"):
        findings.append(
            Finding(file, table.at("unmapped"), f"'unmapped' is provided or absent, not '{unmapped}'")
        )
    return CodeMap(
        name=name,
        version=str(table.get("version", "")),
        source=source,
        target_system=target_system,
        target_value_set=str(target.get("value-set", "")),
        targets=targets,
        back=back,
        unmapped=cast(Any, unmapped),
        at=f"{file}:{table.at('conceptmap')}",
    )


def _target(system: str, spec: Any) -> Target:
    """`"3": AMB` or `"3": {to: AMB, display: ambulatory, relation: wider}`."""
    if not isinstance(spec, Table):
        spec = {"to": str(spec)}
    code = str(spec["to"])
    display = str(spec.get("display", "")) or definitions().display(system, code) or ""
    return Target(code, system, display, str(spec.get("relation", "equivalent")))
