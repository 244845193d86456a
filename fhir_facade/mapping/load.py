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
    Codec,
    Condition,
    Constant,
    Copy,
    Derive,
    Each,
    Key,
    MappingRules,
    Parts,
    Rule,
)  # fmt: skip
from fhir_facade.mapping.kinds import PREFIX_LENGTH, Field, Kind, Kinds, Link, codec_of
from fhir_facade.mapping.load_values import coded, common, constant_value, custom, identify, logical, refer
from fhir_facade.mapping.paths import Resolved, resolve
from fhir_facade.mapping.shapes import (
    WORDS,
    Shape,
    clean,
    empty,
    has_shape,
    kept,
    missing_keys,
    repeated_keys,
    words_of,
)
from fhir_facade.mapping.vocabulary import Extension, Vocabulary
from fhir_facade.yaml_text import Table

FILE: Mapping[str, Shape] = {
    "mapping": "text", "version": "text", "epj": "text", "fhir": "text", "profile": "text", "meaning": "text",
    "remainder": "text", "rules": "rows", "ignore": "lookup",
}  # fmt: skip
TEXTS: tuple[str, ...] = (
    "epj", "fhir", "as", "system", "system-from", "systems", "version-from", "codes", "original", "to", "prefix",
    "type", "type-system", "assigner", "assigner-system", "derive", "in", "each", "default", "absent", "order", "emit",
    "python",
)  # fmt: skip
ROW: Mapping[str, Shape] = {
    **dict.fromkeys(TEXTS, "text"),
    "const": "any", "key": "texts", "only": "any", "when": "guards", "rules": "rows",
}  # fmt: skip
ANY_VALUE = frozenset({"epj", "fhir", "as", "when", "only", "default", "absent"})
TAKES: Mapping[str, frozenset[str]] = {
    "a group": frozenset({"when", "rules"}),
    "a list with rows": frozenset({"each", "fhir", "key", "only", "when", "rules", "order", "emit"}),
    "a constant": frozenset({"fhir", "const", "in", "when"}),
    "a derived value": frozenset({"fhir", "derive", "in", "when"}),
    "a plain value": ANY_VALUE,
    "as id": frozenset({"epj", "fhir", "as", "prefix", "when"}),
    "a code": ANY_VALUE | {"system", "system-from", "systems", "version-from", "codes", "original"},
    "an identifier": ANY_VALUE
    | {"system", "system-from", "systems", "type-system", "assigner", "assigner-system"},
    "a reference": ANY_VALUE | {"to"},
    "a logical reference": ANY_VALUE | {"system", "type"},
    "a value made by Python": ANY_VALUE | {"python"},
}  # fmt: skip
"""Which keys each kind of row reads; another key there would be lost in silence, so it is a fault."""
KINDS_OF_ROW: Mapping[str, str] = {
    "id": "as id", "code": "a code", "coding": "a code", "concept": "a code", "identifier": "an identifier",
    "reference": "a reference", "logical": "a logical reference", "python": "a value made by Python",
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
        self.item_kind, self.listed = item, listed
        self.fields: Mapping[str, Field] = item.fields if item else listed.fields if listed else kind.fields
        self.links: Mapping[str, Link] = item.links if item else listed.links if listed else kind.links

    def parts(self, names: tuple[str, ...]) -> Parts:
        """How the fields of a reference are read back; in a list, those of the record around it too."""
        known = {**self.kind.fields, **self.fields}
        return tuple((name, codec_of(known[name].type) if name in known else "text") for name in names)

    def field(self, name: str, line: int) -> Field | None:
        """The field called `name` ("^name" is the enclosing record's); a finding when there is none."""
        outer, plain = name.startswith("^") or self.listed is None, name.removeprefix("^")
        known = self.kind.fields if outer else self.fields
        if plain not in known:
            here = self.kind.name if outer else f"{self.kind.name}.{self.listed.name if self.listed else ''}"
            self.loader.report(line, f"{here} has no field '{plain}'{nearest(plain, known)}")
        return known.get(plain)


class Loader:
    """Reads one mapping file; `findings` collects what is wrong with it, `lost` the words of rows that are no use."""

    def __init__(self, file: str, kinds: Kinds, words: Vocabulary, prefixes: Mapping[tuple[str, str], str]) -> None:
        self.file, self.kinds, self.words, self.prefixes = file, kinds, words, prefixes
        self.findings: list[Finding] = []
        self.lost: set[str] = set()

    def report(self, line: int, message: str) -> None:
        self.findings.append(Finding(self.file, line, message))

    def load(self, whole: Table) -> MappingRules | None:
        """Return the file's rules, or None when not even its head can be understood."""
        self.findings += repeated_keys(self.file, whole)
        table = clean(self.file, whole, FILE, "a mapping file", self.findings)
        head = ("mapping", "epj", "fhir", "rules")
        self.findings += missing_keys(self.file, whole, head)
        kind_name, resource_type = str(table.get("epj", "")), str(table.get("fhir", ""))
        types = definitions().resource_types
        if kind_name and kind_name not in self.kinds.by_name:
            self.report(table.at("epj"), f"no record kind '{kind_name}'{nearest(kind_name, self.kinds.by_name)}")
        if resource_type and resource_type not in types:
            self.report(table.at("fhir"), f"R4 has no resource type '{resource_type}'{nearest(resource_type, types)}")
        if kind_name not in self.kinds.by_name or resource_type not in types or not table.get("rules"):
            return None
        place = Place(self, self.kinds[kind_name], "", resource_type, None)
        rules = self.rules(table["rules"], place, ())
        return MappingRules(
            name=str(table.get("mapping", "")),
            version=str(table.get("version", "")),
            kind=kind_name,
            resource_type=resource_type,
            profile="" if table.get("profile") == "none" else str(table.get("profile", "")),
            rules=rules,
            ignored={name: str(why) for name, why in table.get("ignore", empty()).items()},
            file=self.file,
            remainder=self.remainder(table),
        )

    def remainder(self, table: Table) -> Any:
        """What becomes of inbound elements that no row takes."""
        named = str(table.get("remainder", ""))
        if named not in ("", "keep", "reject", "warn"):
            self.report(table.at("remainder"), f"'remainder' is keep, reject or warn, not '{named}'")
        return named

    def rules(self, rows: Any, place: Place, when: tuple[Condition, ...]) -> tuple[Rule, ...]:
        """The rules of some rows; what a faulty row speaks of is remembered, lest it be reported as missing too."""
        out: list[Rule] = []
        for row in rows:
            if not isinstance(row, Table):
                self.report(getattr(row, "line", rows.line), "a row is a table such as {epj: ..., fhir: ...}")
                self.lost |= words_of(row)
                continue
            before = len(self.findings)
            sound = clean(self.file, row, ROW, "a row", self.findings)
            found = self.row(sound, place, when) if len(self.findings) == before else ()
            if len(self.findings) > before and ("rules" not in row or not found):
                self.lost |= words_of(row)
            out += found
        return tuple(out)

    def row(self, row: Table, place: Place, when: tuple[Condition, ...]) -> tuple[Rule, ...]:
        """The rules of one row: one, or those of a group."""
        when += self.guards(row["when"], place) if "when" in row else ()
        if "each" in row:
            rule: Rule | None = self.each(row, place, when)
        elif "rules" in row:
            if "when" not in row:
                self.report(row.line, "'rules' in a row stands behind 'when' or 'each'")
            self.takes(row, "a group")
            return self.rules(row["rules"], place, when)
        else:
            rule = self.rule(row, place, when)
        return (rule,) if rule else ()

    def takes(self, row: Table, what: str) -> None:
        """Report the keys of a row that this kind of row does not read."""
        for key in row:
            if key not in TAKES[what]:
                self.report(row.at(key), f"'{key}' means nothing in a row that is {what}")

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
        child = place.kind.children.get(name) if place.listed is None else None
        if child is None:
            near = nearest(name, place.kind.children)
            why = "a list cannot stand in a list" if place.listed else f"{place.kind.name} has no list '{name}'{near}"
            self.report(row.at("each"), why)
            return None
        found = self.path(row, place)
        if found is None:
            return None
        inner = Place(self, place.kind, name, found.full, found.extension)
        key = tuple(map(str, row["key"])) if "key" in row else child.key
        for part in key if "key" in row else ():
            inner.field(part, row.at("key"))
        keep = self.kept_items(row, inner)
        order = str(row.get("order", ""))
        if order and inner.field(order, row.at("order")) and inner.fields[order].type != "integer":
            self.report(row.at("order"), f"'order' names a whole number, but '{order}' is {inner.fields[order].type}")
        if "rules" in row:
            self.takes(row, "a list with rows")
            rules = self.rules(row["rules"], inner, ())
        else:  # the item itself is the value: one rule with an empty path
            leaf = self.rule(_leaf_row(row), Place(self, place.kind, name, place.root, place.inside), ())
            rules = (replace(leaf, path=()),) if leaf else ()
        return Each(
            found.path, when, f"{self.file}:{row.line}", name, key, keep, rules, not found.element.many,
            order=order, records=bool(child.records), emit=str(row.get("emit", "")),
        )  # fmt: skip

    def kept_items(self, row: Table, inner: Place) -> tuple[Condition, ...]:
        """`only` of a list: which of its items are shown."""
        if "only" not in row:
            return ()
        if not has_shape(row["only"], "guards"):
            self.report(row.at("only"), f"'only' of a list is {WORDS['guards']}")
            return ()
        return self.guards(row["only"], inner)

    def rule(self, row: Table, place: Place, when: tuple[Condition, ...]) -> Rule | None:
        found = self.path(row, place)
        if found is None or ("epj" in row and not self.known(row, place)):
            return None
        datatype, at = found.element.types[0] if found.element.types else "", f"{self.file}:{row.line}"
        if "const" in row:
            self.takes(row, "a constant")
            value = constant_value(self, row, "const", row["const"], datatype, found)
            return Constant(found.path, when, at, value) if value is not None else None
        if "derive" in row:
            self.takes(row, "a derived value")
            return self.derive(row, place, found, datatype, when)
        if "epj" not in row:
            self.report(row.line, "a row needs 'epj', 'const', 'derive' or 'each'")
            return None
        kind = "python" if "python" in row else str(row.get("as", "")) or _natural(datatype, row)
        if kind == "code" and "codes" not in row:
            kind = "" if datatype == "code" else kind  # a field that already holds FHIR's own code
        if kind not in ("", datatype, *KINDS_OF_ROW):
            near = nearest(kind, {*KINDS_OF_ROW, datatype})
            self.report(row.at("as"), f"no kind of row is called '{kind}' here{near}")
            return None
        self.takes(row, KINDS_OF_ROW.get(kind, "a plain value"))
        rule = self.valued(row, place, found, kind, when)
        return replace(rule, **common(self, row, place, rule)) if rule else None

    def valued(self, row: Table, place: Place, found: Resolved, kind: str, when: tuple[Condition, ...]) -> Rule | None:
        """The rule that puts a field's value at a path."""
        if row["epj"] == "$key" and kind not in ("id", "reference"):
            self.report(row.at("epj"), "$key is for 'as: id' and 'as: reference'")
            return None
        if kind not in KINDS_OF_ROW:
            return self.copy(row, place, found, when)
        if "|" in row["epj"]:
            self.report(row.at("epj"), "only a plain value may name several fields")
            return None
        match kind:
            case "id":
                return self.key(row, place, found, when)
            case "code" | "coding" | "concept":
                return coded(self, row, place, found, kind, when)
            case "identifier":
                return identify(self, row, place, found, when)
            case "reference":
                return refer(self, row, place, found, when)
            case "logical":
                return logical(self, row, place, found, when)
            case "python":
                return custom(self, row, found, when)
        return None

    def key(self, row: Table, place: Place, found: Resolved, when: tuple[Condition, ...]) -> Key | None:
        prefix = str(row.get("prefix", ""))
        if row["epj"] != "$key" or found.full.count(".") != 1 or not found.full.endswith(".id") or when:
            self.report(row.line, "'as: id' makes the resource id: {epj: $key, fhir: id, as: id}")
            return None
        if not re.fullmatch("[A-Za-z0-9]*", prefix) or len(prefix) >= PREFIX_LENGTH:
            self.report(row.at("prefix"), f"id prefix '{prefix}' is not up to {PREFIX_LENGTH - 1} letters and digits")
        return Key(found.path, when, f"{self.file}:{row.line}", prefix, parts=place.kind.parts(place.kind.key))

    def known(self, row: Table, place: Place) -> bool:
        name = str(row["epj"])
        if name == "$key":
            return True
        return all(place.field(part.strip(), row.at("epj")) for part in name.split("|"))

    def copy(self, row: Table, place: Place, found: Resolved, when: tuple[Condition, ...]) -> Copy | None:
        datatype = found.element.types[0] if found.element.types else ""
        names = tuple(part.strip() for part in str(row["epj"]).split("|"))
        types = [field.type for name in names if (field := place.field(name, row.at("epj")))]
        codecs: list[Codec] = [codec_of(each) for each in types]
        for name, each, codec in zip(names, types, codecs, strict=True):
            if datatype not in CODECS[codec]:
                self.report(row.line, f"field '{name}' is {each}, but {found.full} is {datatype or 'an object'}")
                return None
        return Copy(found.path, when, f"{self.file}:{row.line}", names, codecs[0], datatype, codecs=tuple(codecs))

    def derive(
        self, row: Table, place: Place, found: Resolved, datatype: str, when: tuple[Condition, ...]
    ) -> Derive | None:
        """`value if field else value if field = 'x' else value`."""
        choices: list[tuple[Condition, Any]] = []
        parts, line = str(row["derive"]).split(" else "), row.at("derive")
        for place_in_line, part in enumerate(parts, 1):
            value, _, test = part.strip().partition(" if ")
            constant = constant_value(self, row, "derive", value.strip(), datatype, found)
            match = TEST(test.strip())
            if not test and place_in_line == len(parts):
                return Derive(found.path, when, f"{self.file}:{row.line}", tuple(choices), constant)
            if match is None:
                self.report(line, f"'{test or part}' is no test; write: value if field, or value if field = 'code'")
                return None
            place.field(match[1], line)
            choices.append((Condition(match[1], (match[2],) if match[2] is not None else ()), constant))
        return Derive(found.path, when, f"{self.file}:{row.line}", tuple(choices), None)


def _leaf_row(row: Table) -> Table:
    """The row that an `each` without rules stands for: the same row for one item."""
    return kept(row, set(row) - {"each", "key", "only", "when", "order", "emit"})


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
