"""Where every leaf of a resource came from: the interpreter's own steps, with an origin put beside each value.

A leaf is a primitive JSON value, wherever it stands: in an object, a list, an extension or a `_name`. Nothing of the
rules is read a second time here: the interpreter builds the resource out of marked leaves, so that what it leaves out
or puts in order is so in the lineage too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, assert_never

from fhir_facade.contracts import Record, Resource
from fhir_facade.definitions import definitions
from fhir_facade.mapping.codecs import ABSENT_REASON, ORIGINAL_CODE
from fhir_facade.mapping.compare import fhirpath
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.forward import Absence
from fhir_facade.mapping.interpret import Sight, holds_in, steps
from fhir_facade.mapping.ir import (
    Coded,
    CodeMap,
    Constant,
    Copy,
    Custom,
    Derive,
    Each,
    Identify,
    Key,
    Logical,
    MappingRules,
    Refer,
    Rule,
)
from fhir_facade.outcome import Issue

Status = Literal[
    "mapped", "translated", "kept-original", "derived", "constant", "absent", "defaulted", "remainder"
]  # fmt: skip
"""What was done to come to a leaf.

mapped: what the field holds, in its FHIR form. translated: by a code map or a table of systems. kept-original: the
record's own code where a code map is. derived: chosen or looked up by what the field holds. constant: always the same.
absent: why there is no value. defaulted: put there when the resource was received. remainder: kept beside the record.
"""

Inner = tuple[str | int, ...]
"""Where a leaf stands inside the value that one rule gives."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where one leaf came from.

    `path` is a FHIRPath with indexes (`Encounter.type[0].coding[0].code`), `written` what stands there. `field` is the
    record's field, in a list `helsepersonell[2].rolle`, several separated by ` | `, "" when there is none; `value` is
    what the record holds in it. `at` is the mapping's file:line, `kind` the kind of its row, `code_map` name|version.
    """

    path: str
    written: Any
    field: str
    value: Any
    at: str
    kind: str
    code_map: str
    status: Status


@dataclass(frozen=True, slots=True)
class Origin:
    """What is told of a leaf before its place in the resource is known."""

    field: str
    value: Any
    at: str
    kind: str
    status: Status
    code_map: str = ""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A primitive of the resource with its origin; it stands in the tree where the primitive would."""

    written: Any
    origin: Origin


KEPT = Origin("", None, "", "", "remainder")


def trace(
    mapping: MappingRules, record: Record, issues: list[Issue] | None = None, served: Resource | None = None
) -> list[Lineage]:
    """Return one entry for every leaf of a complete record's resource, in the order of the R4 definition.

    `served` is the resource as it goes out when elements kept beside the record were merged into it: a leaf that is
    only there has status `remainder`. What could not be written is added to `issues`.
    """
    root = mapping.resource_type
    head = Leaf(root, Origin("", None, f"{mapping.file}:1", "resource type", "constant"))
    tree: dict[str, Any] = {"resourceType": head}
    steps(mapping, record, tree, [] if issues is None else issues, marked)
    whole = _settled(tree)
    if served is not None:
        whole = _beside(whole, served)
    return [_told(root, place, leaf) for place, leaf in _walk(whole, root, ())]


def below(entries: list[Lineage], path: str) -> list[Lineage]:
    """The entries of an element and of what is below it: `type` has `type[0].coding[0].code`.

    The resource type may be left out, and an underscore before a name does not matter. ValueError, with the nearest
    path there is, when no entry stands there.
    """
    root = entries[0].path.split(".", 1)[0]
    wanted = ".".join(step.removeprefix("_") for step in path.strip().split("."))
    wanted = wanted if wanted == root or wanted.startswith(f"{root}.") else f"{root}.{wanted}"
    found = [entry for entry in entries if entry.path == wanted or entry.path.startswith((f"{wanted}.", f"{wanted}["))]
    if not found:
        near = nearest(wanted.removeprefix(f"{root}."), _every_path(entries))
        raise ValueError(near.replace("'", f"'{root}.", 1))
    return found


def _every_path(entries: list[Lineage]) -> dict[str, None]:
    """The path of every element below the resource type, with and without the index that it ends in, in order."""
    paths: dict[str, None] = {}
    for entry in entries:
        names = entry.path.split(".")[1:]
        for end in range(1, len(names) + 1):
            whole = ".".join(names[:end])
            paths |= dict.fromkeys(
                (whole.removesuffix("]").rpartition("[")[0] if whole.endswith("]") else whole, whole)
            )
    return paths


def _told(root: str, place: Inner, leaf: Leaf) -> Lineage:
    told = leaf.origin
    path = fhirpath(root, place)
    return Lineage(path, leaf.written, told.field, told.value, told.at, told.kind, told.code_map, told.status)


# ---- marking


def marked(rule: Rule, sight: Sight, value: Any) -> Any:
    """The value of a rule with its origin beside every leaf; same shape."""
    return _marked(rule, sight, value, (), "")


def _marked(rule: Rule, sight: Sight, value: Any, inner: Inner, inside: str) -> Any:
    if isinstance(value, dict):
        if inner and "url" in value and value["url"] in (ABSENT_REASON, ORIGINAL_CODE):
            inside = value["url"]
        return {name: _marked(rule, sight, each, (*inner, name), inside) for name, each in value.items()}
    if isinstance(value, list):
        return [_marked(rule, sight, each, (*inner, place), inside) for place, each in enumerate(value)]
    return Leaf(value, _origin(rule, sight, inner, inside))


def _origin(rule: Rule, sight: Sight, inner: Inner, inside: str) -> Origin:
    """The origin of the leaf at `inner` of a rule's value; `inside` is the extension of ours that it stands in."""
    field, status, code_map = _said(rule, sight, inner)
    if inside:
        status = "absent" if inside == ABSENT_REASON else "kept-original"
    name, value = _held(sight, field)
    return Origin(name, value, rule.at, kind_of(rule), status, code_map)


Said = tuple[str, Status, str]
"""Field, status and code map of a leaf."""


def _said(rule: Rule, sight: Sight, inner: Inner) -> Said:
    match rule:
        case Absence():
            return str(rule.issue.facts["field"]), "absent", ""
        case Copy():
            present = (name for name in rule.fields if sight.get(name) is not None)
            return next(present, rule.fields[0]), "mapped", ""
        case Key():
            return "$key", "mapped", ""
        case Refer():  # a reference is closed by a field of the item, or of the record around it
            outer = rule.field not in sight.record and rule.field in sight.around
            return f"^{rule.field}" if outer else rule.field, "mapped", ""
        case Custom():
            return rule.field, "mapped", ""
        case Logical():
            return (rule.field, "mapped", "") if inner[-1] == "value" else CONSTANT
        case Coded():
            return _of_coded(rule, sight, inner)
        case Identify():
            return _of_identifier(rule, inner)
        case Derive():
            return _deciding(rule, sight), "derived", ""
        case Constant() | Each():
            return CONSTANT
        case _:
            assert_never(rule)


CONSTANT: Said = ("", "constant", "")


def _deciding(rule: Derive, sight: Sight) -> str:
    """The field whose test held; all that were tried when none did."""
    tests = [test for test, _ in rule.choices]
    held = [test.field for test in tests if holds_in(sight, test)]
    return held[0] if held else " | ".join(dict.fromkeys(test.field for test in tests))


def _of_coded(rule: Coded, sight: Sight, inner: Inner) -> Said:
    """Of a coding, or of the code itself where that is all: code, system, display, version."""
    part = inner[-1] if inner else "code"
    if rule.code_map is not None:
        name = named(rule.code_map)
        first = inner[:2] in ((), ("coding", 0)) or rule.shape == "Coding"
        if first and "extension" not in inner and sight.get(rule.field) in rule.code_map.targets:
            return rule.field, "translated", name
        chosen = {"system": rule.system_field, "version": rule.version_field}.get(str(part), "")
        return chosen or rule.field, "kept-original", name
    match part:
        case "system":
            return (rule.system_field, "translated", "") if rule.system_field else CONSTANT
        case "version":
            return rule.version_field, "mapped", ""
        case "display":
            return rule.field, "derived", ""
        case _:
            return rule.field, "mapped", ""


def _of_identifier(rule: Identify, inner: Inner) -> Said:
    match inner:
        case ("value",):
            return rule.field, "mapped", ""
        case ("system",):
            return (rule.system_field, "translated", "") if rule.system_field else CONSTANT
        case ("assigner", *_, "value"):
            return rule.assigner_field, "mapped", ""
        case ("type", *_, "code"):
            return rule.system_field, "mapped", ""
        case ("type", *_, "display"):
            return rule.system_field, "derived", ""
        case _:
            return CONSTANT


def named(code_map: CodeMap) -> str:
    """A code map as name|version."""
    return f"{code_map.name}|{code_map.version}" if code_map.version else code_map.name


def kind_of(rule: Rule) -> str:
    """The kind of a row in the words of docs/mapping-language.md."""
    match rule:
        case Copy():
            return "plain value"
        case Key():
            return "id"
        case Coded():
            return {"code": "code", "Coding": "coding", "CodeableConcept": "concept"}[rule.shape]
        case Identify():
            return "identifier"
        case Refer():
            return "reference"
        case Logical():
            return "logical reference"
        case Custom():
            return f"python {rule.name}"
        case Constant():
            return "constant"
        case Derive():
            return "absent" if isinstance(rule, Absence) else "derived"
        case Each():
            return "list"
        case _:
            assert_never(rule)


def _held(sight: Sight, field: str) -> tuple[str, Any]:
    """A field as the whole record knows it, and what it holds; of several the names, and the value of the first."""
    if not field:
        return "", None
    names = field.split(" | ")
    here = f"{sight.place}." if sight.place else ""
    shown = [name[1:] if name.startswith("^") else f"{here}{name}" for name in names]
    return " | ".join(shown), sight.get(names[0])


# ---- the tree


def _settled(value: Any) -> Any:
    """The tree with an origin for the urls that make an extension: that of the first row that writes into it."""
    if isinstance(value, list):
        return [_settled(item) for item in value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for name, inner in value.items():
        if isinstance(inner, dict | list | Leaf):
            out[name] = _settled(inner)
            continue
        first = next(leaf for _, leaf in _walk(value, "", ()) if isinstance(leaf, Leaf))
        out[name] = Leaf(inner, replace(first.origin, field="", value=None, status="constant", code_map=""))
    return out


def _beside(tree: Any, served: Any) -> Any:
    """The tree in the shape of what is served, which has all of it and more."""
    if isinstance(served, dict):
        own = tree if isinstance(tree, dict) else {}
        return {name: _beside(own.get(name), value) for name, value in served.items()}
    if isinstance(served, list):
        rest = list(tree) if isinstance(tree, list) else []
        out = []
        for value in served:  # merging keeps the order, so the earliest fit leaves room for all that follow
            out.append(_beside(rest.pop(0) if rest and _extends(value, rest[0]) else None, value))
        return out
    return tree if isinstance(tree, Leaf) else Leaf(served, KEPT)


def _extends(served: Any, tree: Any) -> bool:
    """Whether everything of a tree stands in a value that is served."""
    if isinstance(tree, dict):
        return isinstance(served, dict) and all(name in served and _extends(served[name], tree[name]) for name in tree)
    if isinstance(tree, list):
        rest = list(tree)
        for value in served if isinstance(served, list) else ():
            if rest and _extends(value, rest[0]):
                rest.pop(0)
        return not rest
    return bool(tree.written == served)


def _walk(value: Any, where: str, place: Inner) -> Iterator[tuple[Inner, Any]]:
    """Every leaf with its place; members in the order of the R4 definition, `_name` behind `name`."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, where, (*place, index))
    elif isinstance(value, dict):
        known = {name: at for at, name in enumerate(definitions().children(where))}
        known["resourceType"] = -1

        def order(name: str) -> tuple[int, bool]:
            return known.get(name.removeprefix("_"), len(known)), name.startswith("_")

        for name in sorted(value, key=order):
            yield from _walk(value[name], f"{where}.{name.removeprefix('_')}", (*place, name))
    else:
        yield place, value
