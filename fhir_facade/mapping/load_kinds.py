"""Read mappings/records/*.yaml into record kinds, reporting every fault with its line."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import cast

from fhir_facade.mapping.findings import Finding, MappingError, finding, nearest
from fhir_facade.mapping.kinds import ChildList, Field, FieldType, Kind, Kinds, Link, Required
from fhir_facade.mapping.overrides import placed, retold, sources
from fhir_facade.mapping.shapes import Shape, clean, empty, missing_keys, repeated_keys
from fhir_facade.terminology.lists import code_lists
from fhir_facade.yaml_text import Table

TYPES = ("text", "code", "integer", "date", "dateTime", "year")
REQUIRED = {"": "no", "true": "always", "in-message": "in-message"}
KIND: Mapping[str, Shape] = {
    "record": "text", "meaning": "text", "key": "texts", "parent": "text", "npr": "lookup", "version": "text",
    "changed": "text", "references": "tables", "fields": "tables", "children": "tables", "table": "text",
}  # fmt: skip
FIELD: Mapping[str, Shape] = dict.fromkeys(
    ("type", "list", "on", "required", "assigned", "max", "digits", "npr", "meaning"), "text"
)
CHILD: Mapping[str, Shape] = {
    "key": "texts", "element": "text", "records": "text", "meaning": "text", "references": "tables",
    "fields": "tables",
}  # fmt: skip
LINK: Mapping[str, Shape] = {"to": "text", "fields": "texts"}
NAME = re.compile(r"[A-Za-z]\w*").fullmatch


def load_kinds(folder: Path, site: Path | None = None) -> Kinds:
    """Return every kind in the folder, ordered so that references point to earlier kinds; MappingError if faulty.

    `site` is a folder of record files that change or add to them.
    """
    findings: list[Finding] = []
    kinds: dict[str, Kind] = {}
    label = f"{site.parent.name}/{site.name}" if site else ""
    own = site.glob("*.yaml") if site else ()
    files = sources(folder.glob("*.yaml"), own, label, "record", findings)
    seams = {source.file: source.site for source in files if source.site}
    for source in files:
        kind = _kind(source.file, source.table, findings)
        if kind is None:
            continue
        kind = retold(kind, source.site) if source.site else kind
        if kind.name in kinds:
            findings.append(finding(kind.at, f"a second record file is called '{kind.name}'"))
        kinds[kind.name] = kind
    if not findings:  # else a name may be missing only because its file is faulty
        for kind in kinds.values():
            findings += _dangling(kind, kinds)
    if findings:
        raise MappingError(placed(found, seams) for found in findings)
    return Kinds(_in_order(kinds))


def _kind(file: str, whole: Table, findings: list[Finding]) -> Kind | None:
    findings += repeated_keys(file, whole)
    table = clean(file, whole, KIND, "a record file", findings)
    findings += missing_keys(file, whole, ("record", "key", "fields"))
    name = str(table.get("record", ""))
    fields = _fields(file, table.get("fields", empty()), findings)
    key = tuple(map(str, table.get("key", ())))
    findings += _not_fields(file, table.at("key"), "key", key, fields)
    for column in ("version", "changed"):
        if column in table and not NAME(str(table[column])):
            said = f"'{column}' is a name of letters, digits and _, not '{table[column]}'"
            findings.append(Finding(file, table.at(column), said))
    npr = dict(table.get("npr", {}))
    children = {child: _child(file, child, spec, fields, findings) for child, spec in table.get("children", {}).items()}
    if not name or not key or not fields:
        return None
    return Kind(
        name=name,
        key=key,
        fields=fields,
        children=children,
        links=_links(file, table.get("references", empty()), fields, findings),
        parent=str(table.get("parent", "")),
        present_when=str(npr.pop("when", "")),
        elements={module: str(path) for module, path in npr.items()},
        version=str(table.get("version", "version")),
        changed=str(table.get("changed", "changed")),
        table=str(table.get("table", name)),
        meaning=str(table.get("meaning", "")),
        at=f"{file}:{table.at('record')}",
    )


def _not_fields(file: str, line: int, what: str, names: Iterable[str], known: Collection[str]) -> list[Finding]:
    """Findings for names that are no fields."""
    return [
        Finding(file, line, f"{what} names no field: '{name}'{nearest(name, known)}")
        for name in names
        if name not in known
    ]


def _fields(file: str, table: Table, findings: list[Finding]) -> dict[str, Field]:
    return {name: _field(file, name, spec, table.at(name), findings) for name, spec in table.items()}


def _field(file: str, name: str, whole: Table, line: int, findings: list[Finding]) -> Field:
    spec = clean(file, whole, FIELD, "a field", findings)
    kind, required = str(spec.get("type", "text")), str(spec.get("required", ""))
    listed, said = str(spec.get("list", "")), findings.append
    if not NAME(name):
        said(Finding(file, line, f"field '{name}': a name begins with a letter and has letters, digits, _"))
    if kind not in TYPES:
        said(Finding(file, spec.at("type"), f"field '{name}' has unknown type '{kind}'{nearest(kind, TYPES)}"))
    if required not in REQUIRED:
        said(Finding(file, spec.at("required"), f"'required' is true, in-message or left out, not '{required}'"))
    if kind == "code" and not listed:
        said(Finding(file, line, f"coded field '{name}' names no code list"))
    if listed and listed not in code_lists():
        said(Finding(file, spec.at("list"), f"no code list '{listed}'{nearest(listed, code_lists())}"))
    return Field(
        name=name,
        type=cast(FieldType, kind),
        required=cast(Required, REQUIRED.get(required, "no")),
        code_list=listed,
        judged_on=str(spec.get("on", "")),
        max_length=_number(file, spec, "max", findings),
        digits=_number(file, spec, "digits", findings),
        bindings=tuple(str(spec.get("npr", "")).split()),
        meaning=str(spec.get("meaning", "")),
        at=f"{file}:{line}",
        assigned=_assigned(file, spec, name, kind, findings),
    )


def _assigned(file: str, spec: Table, name: str, kind: str, findings: list[Finding]) -> bool:
    said = str(spec.get("assigned", ""))
    if said and (said != "true" or kind != "integer"):
        line = spec.at("assigned")
        findings.append(Finding(file, line, f"'assigned' is true or left out, and only an integer can be: '{name}'"))
    return said == "true"


def _number(file: str, spec: Table, key: str, findings: list[Finding]) -> int:
    text = str(spec.get(key, "0"))
    if re.fullmatch("[0-9]{1,6}", text):
        return int(text)
    findings.append(Finding(file, spec.at(key), f"'{key}' is a whole number, not '{text}'"))
    return 0


def _links(file: str, table: Table, known: Collection[str], findings: list[Finding]) -> dict[str, Link]:
    links = {}
    for name, whole in table.items():
        spec, line = clean(file, whole, LINK, "a reference", findings), table.at(name)
        if gone := missing_keys(file, whole, LINK):
            findings += gone
        elif set(spec) == set(LINK):
            links[name] = Link(name, str(spec["to"]), tuple(map(str, spec["fields"])), f"{file}:{line}")
            findings += _not_fields(file, line, "reference", links[name].fields, known)
    return links


def _child(file: str, name: str, whole: Table, above: dict[str, Field], findings: list[Finding]) -> ChildList:
    spec = clean(file, whole, CHILD, "a child list", findings)
    if "records" not in whole:
        findings += missing_keys(file, whole, ("key", "fields"))
    fields = _fields(file, spec.get("fields", empty()), findings)
    key = tuple(map(str, spec.get("key", ())))
    findings += _not_fields(file, spec.at("key"), "key", key, fields)
    return ChildList(
        name=name,
        key=key,
        fields=fields,
        links=_links(file, spec.get("references", empty()), {**above, **fields}, findings),
        element=str(spec.get("element", "")),
        records=str(spec.get("records", "")),
        meaning=str(spec.get("meaning", "")),
        at=f"{file}:{spec.line}",
    )


def _dangling(kind: Kind, kinds: dict[str, Kind]) -> list[Finding]:
    """References, parents, embedded lists and judging dates that name what no file describes."""
    links = [*kind.links.values(), *(link for child in kind.children.values() for link in child.links.values())]
    named = [(link.to, link.at) for link in links]
    named += [(child.records, child.at) for child in kind.children.values() if child.records]
    named += [(kind.parent, kind.at)] if kind.parent else []
    found = [finding(at, f"no record kind '{name}'{nearest(name, kinds)}") for name, at in named if name not in kinds]
    for link in links:
        if link.to in kinds and len(link.fields) != len(kinds[link.to].key):
            key = ", ".join(kinds[link.to].key)
            found.append(finding(link.at, f"reference '{link.name}' needs a field for each of {key}"))
    return found + _judged_on(kind, kinds)


def _judged_on(kind: Kind, kinds: dict[str, Kind]) -> list[Finding]:
    """Findings for judging dates that neither the record, nor its list, nor what it refers to has."""
    around = {name for link in kind.links.values() if link.to in kinds for name in kinds[link.to].fields}
    around |= set(kind.fields)
    lists = [(child.fields, around | set(child.fields)) for child in kind.children.values()]
    return [
        finding(field.at, f"'on' of '{field.name}' names no field: '{field.judged_on}'{near}")
        for fields, known in [(kind.fields, around), *lists]
        for field in fields.values()
        if field.judged_on and field.judged_on not in known
        for near in [nearest(field.judged_on, known)]
    ]


def _in_order(kinds: dict[str, Kind]) -> dict[str, Kind]:
    """Kinds so that every reference of a kind (not of its lists) points backwards; a cycle keeps name order."""
    ordered: dict[str, Kind] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in ordered or name in path:
            return
        kind = kinds[name]
        lists = [link for child in kind.children.values() for link in child.links.values()]
        for link in [*kind.links.values(), *lists]:
            visit(link.to, (*path, name))
        ordered[name] = kind

    for name in sorted(kinds):
        visit(name, ())
    return ordered
