"""Read mapping files into rules: names are resolved, paths exist, datatypes fit; every fault is a finding with line.

The language is described in docs/mapping-language.md; what can only be judged over the whole file is in check.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as File
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.mapping.findings import Finding, nearest
from fhir_facade.mapping.ir import (
    Condition, Constant, Copy, Derive, Each, Key, MappingRules, Rule,
)  # fmt: skip
from fhir_facade.mapping.kinds import Field, Kind, Kinds, Link
from fhir_facade.mapping.load_kinds import unknown_keys
from fhir_facade.mapping.load_values import CODED, coded, constant_value, identify, logical, refer
from fhir_facade.mapping.paths import Resolved, resolve
from fhir_facade.mapping.source import Table
from fhir_facade.mapping.vocabulary import Extension, Vocabulary

FILE_KEYS = {"mapping", "version", "epj", "fhir", "profile", "meaning", "rules", "ignore"}
ROW_KEYS = {
    "epj", "fhir", "as", "system", "system-from", "systems", "version-from", "codes", "original", "to", "prefix",
    "type", "type-system", "assigner", "assigner-system", "const", "derive", "in", "each", "key", "only", "when",
    "rules",
}  # fmt: skip
CODECS: Mapping[str, tuple[str, ...]] = {
    "text": ("string", "markdown", "uri", "url", "canonical", "id", "code", "uuid", "oid"),
    "integer": ("integer", "positiveInt", "unsignedInt", "decimal"),
    "date": ("date", "dateTime"),
    "dateTime": ("dateTime", "instant"),
    "year": ("date", "dateTime"),
}
TEST = re.compile(r"(\w+)(?:\s*=\s*'([^']*)')?").fullmatch


class Place:
    """Where rules are read: the record kind or child list on one side, a FHIR path on the other."""

    def __init__(self, loader: Loader, kind: Kind, child: str, root: str, inside: Extension | None) -> None:
        self.loader, self.kind, self.root, self.inside = loader, kind, root, inside
        listed = kind.children.get(child)
        item = loader.kinds[listed.records] if listed and listed.records else None
        self.item_kind = item
        self.fields: Mapping[str, Field] = item.fields if item else listed.fields if listed else kind.fields
        self.links: Mapping[str, Link] = item.links if item else listed.links if listed else kind.links

    def field(self, name: str, line: int) -> Field | None:
        """The field called `name` ("^name" is the enclosing record's); a finding when there is none."""
        known = self.kind.fields if name.startswith("^") else self.fields
        found = known.get(name.removeprefix("^"))
        if found is None:
            near = nearest(name, known)
            self.loader.report(line, f"'{name}': {self.kind.name} has no field '{name}'{near}")
        return found


class Loader:
    """Reads one mapping file; `findings` collects what is wrong with it."""

    def __init__(self, file: str, kinds: Kinds, words: Vocabulary, prefixes: Mapping[tuple[str, str], str]) -> None:
        self.file, self.kinds, self.words, self.prefixes = file, kinds, words, prefixes
        self.findings: list[Finding] = []

    def report(self, line: int, message: str) -> None:
        self.findings.append(Finding(self.file, line, message))

    def load(self, table: Table) -> MappingRules | None:
        """Return the file's rules, or None when not even its head can be understood."""
        self.findings += unknown_keys(self.file, table, FILE_KEYS, "a mapping file")
        for needed in ("mapping", "epj", "fhir", "rules"):
            if needed not in table:
                self.report(table.line, f"'{needed}' is missing")
                return None
        kind_name, resource_type = str(table["epj"]), str(table["fhir"])
        if kind_name not in self.kinds.by_name:
            self.report(table.at("epj"), f"no record kind '{kind_name}'{nearest(kind_name, self.kinds.by_name)}")
            return None
        if resource_type not in definitions().resource_types:
            near = nearest(resource_type, definitions().resource_types)
            self.report(table.at("fhir"), f"R4 has no resource type '{resource_type}'{near}")
            return None
        place = Place(self, self.kinds[kind_name], "", resource_type, None)
        return MappingRules(
            name=str(table["mapping"]),
            version=str(table.get("version", "")),
            kind=kind_name,
            resource_type=resource_type,
            profile=str(table.get("profile", "")),
            rules=self.rules(table["rules"], place, ()),
            ignored={name: str(why) for name, why in table.get("ignore", Table()).items()},
            file=self.file,
        )

    def rules(self, rows: Any, place: Place, when: tuple[Condition, ...]) -> tuple[Rule, ...]:
        out: list[Rule] = []
        for row in rows:
            if not isinstance(row, Table):
                self.report(getattr(row, "line", 1), "a row is a table such as {epj: ..., fhir: ...}")
                continue
            self.findings += unknown_keys(self.file, row, ROW_KEYS, "a row")
            rule: Rule | None
            if "each" in row:
                rule = self.each(row, place, when)
                out += [rule] if rule else []
            elif "when" in row and "rules" in row:
                out += self.rules(row["rules"], place, when + self.guards(row["when"], place))
            else:
                own = self.guards(row["when"], place) if "when" in row else ()
                rule = self.rule(row, place, when + own)
                out += [rule] if rule else []
        return tuple(out)

    def guards(self, spec: Table, place: Place) -> tuple[Condition, ...]:
        """`{field: [values]}`; no value means the field is present."""
        out = []
        for name, values in spec.items():
            place.field(name, spec.at(name))
            listed = values if isinstance(values, list) else [values] if values else []
            out.append(Condition(name, tuple(map(str, listed))))
        return tuple(out)

    def path(self, row: Table, place: Place) -> Resolved | None:
        if "fhir" not in row:
            self.report(row.line, "a row needs 'fhir'")
            return None
        line = row.at("fhir")
        return resolve(str(row["fhir"]), place.root, place.inside, self.words, lambda text: self.report(line, text))

    def each(self, row: Table, place: Place, when: tuple[Condition, ...]) -> Each | None:
        name = str(row["each"])
        child = place.kind.children.get(name)
        if child is None:
            near = nearest(name, place.kind.children)
            self.report(row.at("each"), f"{place.kind.name} has no list '{name}'{near}")
            return None
        found = self.path(row, place) if "fhir" in row else None
        if "fhir" in row and found is None:
            return None
        if found is None:
            self.report(row.line, "'each' needs 'fhir'")
            return None
        inner = Place(self, place.kind, name, found.full, found.extension)
        key = tuple(map(str, row["key"])) if isinstance(row.get("key"), list) else child.key
        only = self.guards(row["only"], inner) if "only" in row else ()
        if "rules" in row:
            rules = self.rules(row["rules"], inner, ())
        else:  # the item itself is the value: one rule with an empty path
            leaf = self.rule(_leaf_row(row), Place(self, place.kind, name, place.root, place.inside), ())
            rules = (replace(leaf, path=()),) if leaf else ()
        return Each(found.path, when, f"{self.file}:{row.line}", name, key, only, rules, not found.element.many)

    def rule(self, row: Table, place: Place, when: tuple[Condition, ...]) -> Rule | None:
        found = self.path(row, place)
        if found is None or ("epj" in row and not self.known(row, place)):
            return None
        datatype, at = found.element.types[0] if found.element.types else "", f"{self.file}:{row.line}"
        kind = str(row.get("as", "")) or _natural(datatype, row)
        if "const" in row:
            value = constant_value(self, row, row["const"], datatype, found)
            return Constant(found.path, when, at, value) if value is not None else None
        if "derive" in row:
            return self.derive(row, place, found, datatype, when)
        if "epj" not in row:
            self.report(row.line, "a row needs 'epj', 'const', 'derive' or 'each'")
            return None
        if kind == "id":
            return Key(found.path, when, at, str(row.get("prefix", "")))
        if kind in CODED and not (kind == "code" and "codes" not in row):
            return coded(self, row, place, found, kind, when)
        if kind == "identifier":
            return identify(self, row, place, found, when)
        if kind == "reference":
            return refer(self, row, place, found, when)
        if kind == "logical":
            return logical(self, row, found, when)
        return self.copy(row, place, found, kind, datatype, when)

    def known(self, row: Table, place: Place) -> bool:
        name = str(row["epj"])
        if name == "$key":
            return True
        return all(place.field(part.strip(), row.at("epj")) for part in name.split("|"))

    def copy(
        self, row: Table, place: Place, found: Resolved, kind: str, datatype: str, when: tuple[Condition, ...]
    ) -> Copy | None:
        names = tuple(part.strip() for part in str(row["epj"]).split("|"))
        for name in names:
            field = place.field(name, row.at("epj"))
            codec = field.type if field and field.type != "code" else "text"
            if datatype not in CODECS[codec] or (kind not in ("", datatype)):
                self.report(
                    row.line,
                    f"field '{name}' is {field.type if field else '?'}{f' as {kind}' if kind else ''}, "
                    f"but {found.full} is {datatype or 'an object'}",
                )
                return None
        first = place.field(names[0], row.at("epj"))
        chosen = first.type if first and first.type != "code" else "text"
        return Copy(found.path, when, f"{self.file}:{row.line}", names, chosen, datatype)

    def derive(
        self, row: Table, place: Place, found: Resolved, datatype: str, when: tuple[Condition, ...]
    ) -> Derive | None:
        """`value if field else value if field = 'x' else value`."""
        choices: list[tuple[Condition, Any]] = []
        otherwise = None
        for part in str(row["derive"]).split(" else "):
            value, _, test = part.strip().partition(" if ")
            constant = constant_value(self, row, value.strip(), datatype, found)
            if not test:
                otherwise = constant
                continue
            match = TEST(test.strip())
            if match is None:
                self.report(row.at("derive"), f"'{test}' is no test; write: field, or field = 'code'")
                return None
            place.field(match[1], row.at("derive"))
            choices.append((Condition(match[1], (match[2],) if match[2] is not None else ()), constant))
        return Derive(found.path, when, f"{self.file}:{row.line}", tuple(choices), otherwise)


def _leaf_row(row: Table) -> Table:
    """The row that an `each` without rules stands for: the same row for one item."""
    leaf = Table({name: value for name, value in row.items() if name not in ("each", "key", "only")})
    leaf.line, leaf.lines, leaf.repeated = row.line, row.lines, []
    return leaf


def _natural(datatype: str, row: Table) -> str:
    """The kind of a row that names none, read off the datatype."""
    if datatype == "code" and "codes" in row:
        return "code"
    kinds = {"Coding": "coding", "CodeableConcept": "concept", "Identifier": "identifier"}
    if datatype == "Reference":
        return "logical" if "system" in row else "reference"
    return kinds.get(datatype, "")


def mapping_files(folder: File) -> list[File]:
    """The mapping files of a deployment: <record>.<resource>.yaml."""
    return [path for path in sorted(folder.glob("*.yaml")) if path.name.count(".") == 2]
