"""Read mappings/records/*.yaml into record kinds, reporting every fault with its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from fhir_facade.mapping.findings import Finding, MappingError, nearest
from fhir_facade.mapping.kinds import ChildList, Field, FieldType, Kind, Kinds, Link, Required
from fhir_facade.mapping.source import SourceError, Table, read

TYPES = ("text", "code", "integer", "date", "dateTime", "year")
REQUIRED = {"": "no", "true": "always", "in-message": "in-message"}
KIND_KEYS = {
    "record", "meaning", "key", "parent", "npr", "version", "changed", "references", "fields", "children", "table",
}  # fmt: skip
FIELD_KEYS = {"type", "list", "on", "required", "max", "digits", "npr", "meaning"}
CHILD_KEYS = {"key", "element", "records", "meaning", "references", "fields"}


def load_kinds(folder: Path) -> Kinds:
    """Return every kind in the folder, ordered so that references point to earlier kinds; MappingError if faulty."""
    findings: list[Finding] = []
    kinds: dict[str, Kind] = {}
    for path in sorted(folder.glob("*.yaml")):
        try:
            kind = _kind(path.name, read(path), findings)
        except SourceError as error:
            findings.append(Finding(error.file, error.line, error.message))
            continue
        kinds[kind.name] = kind
    for kind in kinds.values():
        findings += _dangling(kind, kinds)
    if findings:
        raise MappingError(findings)
    return Kinds(_in_order(kinds))


def unknown_keys(file: str, table: Table, allowed: set[str], what: str) -> list[Finding]:
    """Findings for keys that the format does not have and for keys written twice."""
    found = [
        Finding(file, table.at(key), f"{what} has no key '{key}'{nearest(key, allowed)}")
        for key in table
        if key not in allowed
    ]
    return found + [Finding(file, line, f"key '{key}' is written twice") for key, line in table.repeated]


def _kind(file: str, table: Table, findings: list[Finding]) -> Kind:
    findings += unknown_keys(file, table, KIND_KEYS, "a record file")
    for needed in ("record", "key", "fields"):
        if needed not in table:
            raise SourceError(file, table.line, f"'{needed}' is missing")
    name = str(table["record"])
    fields = _fields(file, table["fields"], findings)
    key = tuple(map(str, table["key"]))
    for part in key:
        if part not in fields:
            findings.append(Finding(file, table.at("key"), f"key names no field: '{part}'{nearest(part, fields)}"))
    npr = dict(table.get("npr", {}))
    children = {
        child: _child(file, child, spec, fields, findings) for child, spec in table.get("children", {}).items()
    }
    return Kind(
        name=name,
        key=key,
        fields=fields,
        children=children,
        links=_links(file, table.get("references", Table()), set(fields), findings),
        parent=str(table.get("parent", "")),
        present_when=str(npr.pop("when", "")),
        elements={module: str(path) for module, path in npr.items()},
        version=str(table.get("version", "version")),
        changed=str(table.get("changed", "changed")),
        table=str(table.get("table", name)),
        meaning=str(table.get("meaning", "")),
        at=f"{file}:{table.at('record')}",
    )


def _fields(file: str, table: Table, findings: list[Finding]) -> dict[str, Field]:
    return {name: _field(file, name, spec, table.at(name), findings) for name, spec in table.items()}


def _field(file: str, name: str, spec: Any, line: int, findings: list[Finding]) -> Field:
    if not isinstance(spec, Table):
        findings.append(Finding(file, line, f"field '{name}' needs a table with at least 'type'"))
        spec = Table()
        spec.line, spec.lines, spec.repeated = line, {}, []
    findings += unknown_keys(file, spec, FIELD_KEYS, "a field")
    kind, required = str(spec.get("type", "text")), str(spec.get("required", ""))
    if kind not in TYPES:
        findings.append(Finding(file, line, f"field '{name}' has unknown type '{kind}'{nearest(kind, TYPES)}"))
    if required not in REQUIRED:
        findings.append(Finding(file, line, f"'required' is true, in-message or left out, not '{required}'"))
    if kind == "code" and not spec.get("list"):
        findings.append(Finding(file, line, f"coded field '{name}' names no code list"))
    return Field(
        name=name,
        type=cast(FieldType, kind),
        required=cast(Required, REQUIRED.get(required, "no")),
        code_list=str(spec.get("list", "")),
        judged_on=str(spec.get("on", "")),
        max_length=int(spec.get("max", 0)),
        digits=int(spec.get("digits", 0)),
        bindings=tuple(str(spec.get("npr", "")).split()),
        meaning=str(spec.get("meaning", "")),
        at=f"{file}:{line}",
    )


def _links(file: str, table: Table, known: set[str], findings: list[Finding]) -> dict[str, Link]:
    links = {}
    for name, spec in table.items():
        link = Link(name, str(spec["to"]), tuple(map(str, spec["fields"])), f"{file}:{table.at(name)}")
        links[name] = link
        for part in link.fields:
            if part not in known:
                findings.append(
                    Finding(file, table.at(name), f"reference names no field: '{part}'{nearest(part, known)}")
                )
    return links


def _child(file: str, name: str, spec: Table, above: dict[str, Field], findings: list[Finding]) -> ChildList:
    findings += unknown_keys(file, spec, CHILD_KEYS, "a child list")
    fields = _fields(file, spec.get("fields", Table()), findings)
    for part in spec.get("key", ()):
        if part not in fields:
            findings.append(Finding(file, spec.at("key"), f"key names no field: '{part}'{nearest(part, fields)}"))
    return ChildList(
        name=name,
        key=tuple(map(str, spec.get("key", ()))),
        fields=fields,
        links=_links(file, spec.get("references", Table()), set(fields) | set(above), findings),
        element=str(spec.get("element", "")),
        records=str(spec.get("records", "")),
        meaning=str(spec.get("meaning", "")),
        at=f"{file}:{spec.line}",
    )


def _dangling(kind: Kind, kinds: dict[str, Kind]) -> list[Finding]:
    """References, parents and embedded lists that name a kind which no file describes."""
    found = []
    links = [*kind.links.values(), *(link for child in kind.children.values() for link in child.links.values())]
    named = [(link.to, link.at) for link in links]
    named += [(child.records, child.at) for child in kind.children.values() if child.records]
    named += [(kind.parent, kind.at)] if kind.parent else []
    for name, at in named:
        if name not in kinds:
            file, line = at.rsplit(":", 1)
            found.append(Finding(file, int(line), f"no record kind '{name}'{nearest(name, kinds)}"))
    return found


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
