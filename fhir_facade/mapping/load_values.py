"""Read the rows that make FHIR values: codes, identifiers, references and constants."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fhir_facade.definitions import definitions
from fhir_facade.mapping.codecs import coded_json
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.ir import (
    Coded,
    CodeMap,
    Condition,
    Custom,
    Identify,
    Logical,
    Refer,
    Rule,
    Shape,
    System,
)  # fmt: skip
from fhir_facade.mapping.paths import Resolved
from fhir_facade.terminology.lists import by_system, code_lists
from fhir_facade.yaml_text import Table

if TYPE_CHECKING:
    from fhir_facade.mapping.load import Loader, Place

DATE = "[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?"
PRIMITIVES: dict[str, str | None] = {
    "boolean": "true|false",
    "integer": "0|-?[1-9][0-9]{0,8}",
    "unsignedInt": "0|[1-9][0-9]{0,8}",
    "positiveInt": "[1-9][0-9]{0,8}",
    "code": r"\S+( \S+)*",
    "uri": r"\S+",
    "url": r"\S+",
    "canonical": r"\S+",
    "date": DATE,
    "dateTime": f"{DATE}|[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9:.]{{8,18}}(Z|[+-][0-9]{{2}}:[0-9]{{2}})",
    "decimal": None,
    "base64Binary": None,
    "xhtml": None,
}
"""What the text of a constant looks like by datatype; None where no constant can be written."""
CODED: dict[str, Shape] = {"code": "code", "coding": "Coding", "concept": "CodeableConcept"}
When = tuple[Condition, ...]


def coded(loader: Loader, row: Table, place: Place, found: Resolved, kind: str, when: When) -> Coded | None:
    """`as: code | coding | concept` with `system`, `system-from` + `systems`, or `codes`."""
    shape = CODED[kind]
    if not _fits(loader, row, found, shape) or not _one_source(loader, row, f"a {kind}", ("codes", "system")):
        return None
    if not _is_text(loader, row, place, f"a {kind}"):
        return None
    code_map: CodeMap | None = _named(loader, row, "codes", loader.words.code_maps)
    table: Mapping[str, System] | None = _named(loader, row, "systems", loader.words.tables)
    system = code_map.source if code_map else _system(loader, row, "system")
    if system is None and table is None:
        return None
    if shape == "code" and code_map is None:
        loader.report(row.line, f"{found.full} is a code: it needs 'codes'")
        return None
    original = str(row.get("original", ""))
    if original and not code_map:
        loader.report(row.at("original"), "without 'codes' the original is all there is: leave 'original' out")
    if system:
        _same_list(loader, row, place, system)
    return Coded(
        path=found.path,
        when=when,
        at=f"{loader.file}:{row.line}",
        field=str(row["epj"]),
        shape=shape,
        system=system,
        system_field=_field(loader, row, place, "system-from"),
        systems=table or {},
        version_field=_field(loader, row, place, "version-from"),
        code_map=code_map,
        original=original,
    )


def _is_text(loader: Loader, row: Table, place: Place, what: str) -> bool:
    """Whether the row's field holds text or a code, as the value of `what` must be."""
    field = place.field(str(row["epj"]), row.at("epj"))
    if field is None or field.type in ("text", "code"):
        return True
    loader.report(row.at("epj"), f"field '{field.name}' is {field.type}, but {what} holds text: make the field text")
    return False


def _same_list(loader: Loader, row: Table, place: Place, system: System) -> None:
    """A field coded by one Volven list is not written as a code of another."""
    field = place.field(str(row["epj"]), row.at("epj"))
    written = by_system(system.uri)
    if field and field.code_list and written and written.number != field.code_list:
        at = row.at("codes" if "codes" in row else "system")
        loader.report(at, f"field '{field.name}' is coded by list {field.code_list}, not by {written.number}")


def identify(loader: Loader, row: Table, place: Place, found: Resolved, when: When) -> Identify | None:
    """`as: identifier` with `system`, or `system-from` + `systems`; `assigner` names the field of the giver."""
    if not _fits(loader, row, found, "Identifier") or not _one_source(loader, row, "an identifier", ("system",)):
        return None
    if not _is_text(loader, row, place, "an identifier"):
        return None
    table: Mapping[str, System] | None = _named(loader, row, "systems", loader.words.tables)
    system = _system(loader, row, "system")
    if system is None and table is None:
        return None
    if ("assigner" in row) != ("assigner-system" in row):
        loader.report(row.line, "'assigner' and 'assigner-system' stand together")
    if "type-system" in row and "systems" not in row:
        loader.report(row.at("type-system"), "'type-system' stands with 'system-from' and 'systems'")
    return Identify(
        path=found.path,
        when=when,
        at=f"{loader.file}:{row.line}",
        field=str(row["epj"]),
        system=system,
        system_field=_field(loader, row, place, "system-from"),
        systems=table or {},
        type_system=_system(loader, row, "type-system"),
        assigner_field=_field(loader, row, place, "assigner"),
        assigner_system=_system(loader, row, "assigner-system"),
    )


def _one_source(loader: Loader, row: Table, what: str, single: tuple[str, ...]) -> bool:
    """Whether a row says exactly once where its system comes from: one of `single`, or system-from with systems."""
    ways = [key for key in (*single, "systems") if key in row]
    if len(ways) == 1 and ("systems" in row) == ("system-from" in row):
        return True
    loader.report(row.line, f"{what} needs one of {', '.join(map(repr, single))}, 'system-from' with 'systems'")
    return False


def _field(loader: Loader, row: Table, place: Place, key: str) -> str:
    """The field that `key` names, "" when the row has no such key."""
    name = str(row.get(key, ""))
    if key in row:
        place.field(name, row.at(key))
    return name


def refer(loader: Loader, row: Table, place: Place, found: Resolved, when: When) -> Refer | None:
    """`as: reference, to: Type`: the field closes a reference of the record kind, or is $key for an item itself."""
    if not _fits(loader, row, found, "Reference"):
        return None
    if "to" not in row:
        loader.report(row.line, "a reference needs 'to', the type of the resource")
        return None
    target, name = str(row["to"]), str(row["epj"])
    if not _may_refer(loader, row, found, "to", target):
        return None
    if name == "$key":
        own = place.item_kind or place.kind
        kind_name, link, parts = own.name, "key", own.parts(own.key)
    else:
        closed = next((link for link in place.links.values() if link.fields[-1] == name), None)
        if closed is None:
            loader.report(row.at("epj"), f"field '{name}' closes no reference of {place.kind.name}")
            return None
        kind_name, link, parts = closed.to, closed.name, place.parts(closed.fields)
    prefix = loader.prefixes.get((kind_name, target))
    if prefix is None:
        loader.report(row.at("to"), f"no mapping makes {target} of {kind_name}, so the reference would not resolve")
        return None
    at = f"{loader.file}:{row.line}"
    return Refer(found.path, when, at, name, link, target, prefix, kind=kind_name, parts=parts)


def logical(loader: Loader, row: Table, place: Place, found: Resolved, when: When) -> Logical | None:
    """`as: logical, system: hpr, type: Practitioner`: an identifier where a literal reference cannot stand."""
    if not _fits(loader, row, found, "Reference"):
        return None
    if not {"system", "type"} <= set(row):
        loader.report(row.line, "a logical reference needs 'system' and 'type'")
        return None
    if not _is_text(loader, row, place, "a logical reference"):
        return None
    system, target = _system(loader, row, "system"), str(row["type"])
    fits = _may_refer(loader, row, found, "type", target)
    if system is None or not fits:
        return None
    return Logical(found.path, when, f"{loader.file}:{row.line}", str(row["epj"]), system, target)


def custom(loader: Loader, row: Table, found: Resolved, when: When) -> Custom | None:
    """`as: python, python: "module:pair"`: a pair of functions of the deployment, with examples of its own."""
    named = str(row.get("python", ""))
    module, _, name = named.partition(":")
    try:
        pair = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        loader.report(row.at("python"), f"no Python pair '{named}' can be imported: {error}")
        return None
    if not all(hasattr(pair, part) for part in ("to_fhir", "to_record", "examples")) or not pair.examples:
        loader.report(row.at("python"), f"'{named}' needs to_fhir, to_record and examples")
        return None
    for value, written in pair.examples:
        if pair.to_fhir(value) != written or pair.to_record(written) != value:
            loader.report(row.at("python"), f"'{named}' does not keep its own example {value!r}")
            return None
    return Custom(found.path, when, f"{loader.file}:{row.line}", str(row["epj"]), pair, named)


def common(loader: Loader, row: Table, place: Place, rule: Rule) -> dict[str, Any]:
    """What every row with a value may say: its one direction, a default for new records, a reason for absence."""
    only = row.get("only", "")
    if only not in ("", "to-fhir", "from-fhir"):
        loader.report(row.at("only"), "'only' of a row is to-fhir or from-fhir")
        only = ""
    default, absent = str(row.get("default", "")), str(row.get("absent", ""))
    reasons = {code for _, code in definitions().codes("http://hl7.org/fhir/ValueSet/data-absent-reason") or ()}
    if absent and absent not in reasons:
        loader.report(row.at("absent"), f"'{absent}' is no data-absent-reason{nearest(absent, reasons)}")
    field = place.field(str(row["epj"]), row.at("epj")) if default and "|" not in row["epj"] else None
    if default and field is None:
        loader.report(row.at("default"), "a default belongs to one field")
    elif field and field.type == "integer" and not re.fullmatch("-?[0-9]{1,9}", default):
        loader.report(row.at("default"), f"'{default}' is no whole number")
    elif field and field.code_list and default not in code_lists()[field.code_list].codes:
        known = code_lists()[field.code_list].codes
        loader.report(row.at("default"), f"'{default}' is not in list {field.code_list}{nearest(default, known)}")
    return {"only": only, "default": default, "absent": absent}


def constant_value(loader: Loader, row: Table, key: str, spec: Any, datatype: str, found: Resolved) -> Any:
    """The JSON of a constant: text for primitives; [system, code] or a code of `in` for coded types."""
    pair = isinstance(spec, list) and len(spec) == 2 and all(isinstance(part, str) for part in spec)
    coded_type = datatype in ("Coding", "CodeableConcept")
    if not isinstance(spec, str) and not (pair and coded_type):
        loader.report(row.at(key), f"'{key}' is a text, or [system, code] where a Coding or CodeableConcept stands")
        return None
    if coded_type:
        return _constant_code(loader, row, key, [row.get("in", ""), spec] if isinstance(spec, str) else spec, datatype)
    if "in" in row:
        loader.report(row.at("in"), f"'in' names the system of a code, but {found.full} is {datatype}")
        return None
    fits = PRIMITIVES.get(datatype, r"\S(.|\n)*" if datatype[:1].islower() else None)
    if fits is None:
        loader.report(row.at(key), f"{found.full} is {datatype or 'an object'}: it cannot be a constant")
        return None
    if not re.fullmatch(fits, spec):
        loader.report(row.at(key), f"'{spec}' is no {datatype}")
        return None
    if datatype == "boolean":
        return spec == "true"
    return int(spec) if datatype in ("integer", "positiveInt", "unsignedInt") else str(spec)


def _constant_code(loader: Loader, row: Table, key: str, pair: list[str], datatype: str) -> Any:
    name, code = map(str, pair)
    system = loader.words.system(name)
    if system is None:
        line = row.at("in" if "in" in row else key)
        loader.report(line, f"no system '{name}'{nearest(name, loader.words.system_names)}")
        return None
    if not code or (system.displays is not None and code not in system.displays):
        loader.report(row.at(key), f"'{code}' is not in {name}{nearest(code, system.displays or ())}")
        return None
    display = (system.displays or {}).get(code) or definitions().display(system.uri, code)
    return coded_json("Coding" if datatype == "Coding" else "CodeableConcept", [(system.uri, code, display, None)])


def _fits(loader: Loader, row: Table, found: Resolved, datatype: str) -> bool:
    if datatype in found.element.types:
        return True
    kind = row.get("as", datatype)
    is_now = " or ".join(found.element.types) or "an object"
    loader.report(row.at("as"), f"as {kind} makes {datatype}, but {found.full} is {is_now}")
    return False


def _may_refer(loader: Loader, row: Table, found: Resolved, key: str, target: str) -> bool:
    allowed, types = found.element.targets, definitions().resource_types
    if target not in types:
        loader.report(row.at(key), f"R4 has no resource type '{target}'{nearest(target, types)}")
        return False
    if allowed and target not in allowed and "Resource" not in allowed:
        loader.report(row.at(key), f"'{found.full}' may not refer to {target} (only {', '.join(allowed)})")
        return False
    return True


def _system(loader: Loader, row: Table, key: str) -> System | None:
    if key not in row:
        return None
    name = str(row[key])
    system = loader.words.system(name)
    if system is None:
        loader.report(row.at(key), f"no system '{name}'{nearest(name, loader.words.system_names)}")
    return system


def _named(loader: Loader, row: Table, key: str, known: Any) -> Any:
    if key not in row:
        return None
    name = str(row[key])
    if name not in known:
        what = {"codes": "code map", "systems": "table of systems"}[key]
        loader.report(row.at(key), f"no {what} '{name}'{nearest(name, known)}")
        return None
    return known[name]
