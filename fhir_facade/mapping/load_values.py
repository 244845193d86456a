"""Read the rows that make FHIR values: codes, identifiers, references and constants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_facade.definitions import definitions
from fhir_facade.mapping.codecs import coded_json
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.ir import Coded, CodeMap, Condition, Identify, Logical, Refer, Shape, System
from fhir_facade.mapping.paths import Resolved
from fhir_facade.mapping.source import Table

if TYPE_CHECKING:
    from fhir_facade.mapping.load import Loader, Place

CODED: dict[str, Shape] = {"code": "code", "coding": "Coding", "concept": "CodeableConcept"}
When = tuple[Condition, ...]


def coded(loader: Loader, row: Table, place: Place, found: Resolved, kind: str, when: When) -> Coded | None:
    """`as: code | coding | concept` with `system`, `system-from` + `systems`, or `codes`."""
    shape = CODED[kind]
    if not _fits(loader, row, found, shape):
        return None
    code_map = _named(loader, row, "codes", loader.words.code_maps)
    table = _named(loader, row, "systems", loader.words.tables)
    system = code_map.source if isinstance(code_map, CodeMap) else _system(loader, row, "system")
    if system is None and table is None:
        if not {"system", "codes", "systems"} & set(row):
            loader.report(row.line, f"a {kind} needs 'system', 'codes' or 'system-from' with 'systems'")
        return None
    chooser, version = str(row.get("system-from", "")), str(row.get("version-from", ""))
    for name in filter(None, (chooser, version)):
        place.field(name, row.line)
    if shape == "code" and code_map is None:
        loader.report(row.line, f"{found.full} is a code: it needs 'codes'")
        return None
    original = str(row.get("original", ""))
    if original not in ("", "beside"):
        loader.report(row.at("original"), f"'original' is beside or left out, not '{original}'")
    return Coded(
        path=found.path,
        when=when,
        at=f"{loader.file}:{row.line}",
        field=str(row["epj"]),
        shape=shape,
        system=system,
        system_field=chooser,
        systems=table or {},
        version_field=version,
        code_map=code_map,
        original="beside" if original == "beside" else "",
    )


def identify(loader: Loader, row: Table, place: Place, found: Resolved, when: When) -> Identify | None:
    """`as: identifier` with `system`, or `system-from` + `systems`; `assigner` names the field of the giver."""
    if not _fits(loader, row, found, "Identifier"):
        return None
    table = _named(loader, row, "systems", loader.words.tables)
    system = _system(loader, row, "system")
    if system is None and table is None:
        loader.report(row.line, "an identifier needs 'system', or 'system-from' with 'systems'")
        return None
    chooser, assigner = str(row.get("system-from", "")), str(row.get("assigner", ""))
    for name in filter(None, (chooser, assigner)):
        place.field(name, row.line)
    return Identify(
        path=found.path,
        when=when,
        at=f"{loader.file}:{row.line}",
        field=str(row["epj"]),
        system=system,
        system_field=chooser,
        systems=table or {},
        type_system=_system(loader, row, "type-system"),
        assigner_field=assigner,
        assigner_system=_system(loader, row, "assigner-system"),
    )


def refer(loader: Loader, row: Table, place: Place, found: Resolved, when: When) -> Refer | None:
    """`as: reference, to: Type`: the field closes a reference of the record kind, or is $key for an item itself."""
    if not _fits(loader, row, found, "Reference"):
        return None
    target, name = str(row.get("to", "")), str(row["epj"])
    if not _may_refer(loader, row, found, target):
        return None
    if name == "$key":
        kind_name, link = (place.item_kind or place.kind).name, "key"
    else:
        closed = next((link for link in place.links.values() if link.fields[-1] == name), None)
        if closed is None:
            loader.report(row.at("epj"), f"field '{name}' closes no reference of {place.kind.name}")
            return None
        kind_name, link = closed.to, closed.name
    prefix = loader.prefixes.get((kind_name, target))
    if prefix is None:
        loader.report(row.line, f"no mapping makes {target} of {kind_name}, so the reference would not resolve")
        return None
    return Refer(found.path, when, f"{loader.file}:{row.line}", name, link, target, prefix)


def logical(loader: Loader, row: Table, found: Resolved, when: When) -> Logical | None:
    """`as: logical, system: hpr, type: Practitioner`: an identifier where a literal reference cannot stand."""
    if not _fits(loader, row, found, "Reference"):
        return None
    system, target = _system(loader, row, "system"), str(row.get("type", ""))
    if system is None or not _may_refer(loader, row, found, target):
        if "system" not in row:
            loader.report(row.line, "a logical reference needs 'system' and 'type'")
        return None
    return Logical(found.path, when, f"{loader.file}:{row.line}", str(row["epj"]), system, target)


def constant_value(loader: Loader, row: Table, spec: Any, datatype: str, found: Resolved) -> Any:
    """The JSON of a constant: text for primitives; [system, code] or a code of `in` for coded types."""
    if datatype in ("Coding", "CodeableConcept"):
        name, code = (str(spec[0]), str(spec[1])) if isinstance(spec, list) else (str(row.get("in", "")), str(spec))
        system = loader.words.system(name)
        if system is None:
            loader.report(row.line, f"no system '{name}'{nearest(name, loader.words.systems)}")
            return None
        display = (system.displays or {}).get(code) or definitions().display(system.uri, code)
        return coded_json("Coding" if datatype == "Coding" else "CodeableConcept", [(system.uri, code, display, None)])
    if datatype == "boolean":
        return str(spec) == "true"
    if datatype in ("integer", "positiveInt", "unsignedInt"):
        return int(spec)
    if not datatype or not datatype[0].islower():
        loader.report(row.line, f"{found.full} is {datatype or 'an object'}: it cannot be a constant")
        return None
    return str(spec)


def _fits(loader: Loader, row: Table, found: Resolved, datatype: str) -> bool:
    if datatype in found.element.types:
        return True
    kind = row.get("as", datatype)
    is_now = " or ".join(found.element.types) or "an object"
    loader.report(row.line, f"as {kind} makes {datatype}, but {found.full} is {is_now}")
    return False


def _may_refer(loader: Loader, row: Table, found: Resolved, target: str) -> bool:
    allowed = found.element.targets
    if target not in definitions().resource_types:
        loader.report(row.line, f"R4 has no resource type '{target}'{nearest(target, definitions().resource_types)}")
        return False
    if allowed and target not in allowed and "Resource" not in allowed:
        loader.report(row.line, f"'{found.full}' may not refer to {target} (only {', '.join(allowed)})")
        return False
    return True


def _system(loader: Loader, row: Table, key: str) -> System | None:
    if key not in row:
        return None
    name = str(row[key])
    system = loader.words.system(name)
    if system is None:
        loader.report(row.at(key), f"no system '{name}'{nearest(name, loader.words.systems)}")
    return system


def _named(loader: Loader, row: Table, key: str, known: Any) -> Any:
    if key not in row:
        return None
    name = str(row[key])
    if name not in known:
        loader.report(row.at(key), f"no {key} '{name}'{nearest(name, known)}")
        return None
    return known[name]
