"""A mapping as a table: one row for each rule, and where every field of the record goes.

docs_prints.py prints it as HTML, CSV, JSON and text; the pages of docs/mappings/ are made of the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from fhir_facade.definitions import definitions
from fhir_facade.mapping.forward import carried, path_of
from fhir_facade.mapping.ir import (
    Coded,
    CodeMap,
    Condition,
    Constant,
    Copy,
    Custom,
    Derive,
    Each,
    Identify,
    Key,
    Logical,
    Refer,
    Rule,
    Step,
    System,
    carries_nothing,
    fields_of,
)
from fhir_facade.mapping.kinds import Field, Kind, Kinds
from fhir_facade.mapping.lineage import kind_of, named
from fhir_facade.terminology.lists import code_lists

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping

NO_CHANGE = "no: the record does not say it"


@dataclass(frozen=True, slots=True)
class Row:
    """One rule of a mapping, in words.

    `path` is the path as the mapping file writes it, from the resource type down; `fields` are apart by ` | `; `list`
    is the record's list that the row stands in or goes through. `codes` says the system or the constant, `code_map`
    is name|version. `missing` is what stands for a value that is not there. `direction` is both, to-fhir or
    from-fhir; `invertible` begins with yes or no. `at` is file:line.
    """

    path: str
    datatype: str
    fields: str
    list: str
    kind: str
    codes: str
    code_map: str
    guards: str
    missing: str
    direction: str
    invertible: str
    at: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Covered:
    """Where one field or list of the record goes: its paths, or the reason why it is not mapped."""

    field: str
    type: str
    paths: tuple[str, ...]
    ignored: str
    meaning: str


@dataclass(frozen=True, slots=True)
class MappingTable:
    """A mapping in words: what it is, its rows in file order, and the record's fields in theirs."""

    mapping: str
    version: str
    record: str
    resource: str
    profile: str
    file: str
    rows: tuple[Row, ...]
    coverage: tuple[Covered, ...]


def mapping_table(mapping: CompiledMapping, kinds: Kinds) -> MappingTable:
    """The table of one mapping."""
    rules = mapping.rules
    rows = tuple(_rows(rules.rules, Place(mapping.kind, kinds, rules.resource_type, ())))
    coverage = tuple(_coverage(mapping, kinds))
    return MappingTable(
        rules.name, rules.version, rules.kind, rules.resource_type, rules.profile, rules.file, rows, coverage
    )


# ---- rows


@dataclass(frozen=True, slots=True)
class Place:
    """Where rows stand: the record and its list, the element that their paths begin at, and that path."""

    kind: Kind
    kinds: Kinds
    element: str
    path: tuple[str, ...]
    each: Each | None = None

    @property
    def fields(self) -> Mapping[str, Field]:
        """The fields that plain names mean here."""
        if self.each is None:
            return self.kind.fields
        child = self.kind.children[self.each.child]
        return self.kinds[child.records].fields if child.records else child.fields

    def meaning(self, rule: Rule) -> str:
        """What the first field of a row means, or the list of an `each`."""
        if isinstance(rule, Each):
            child = self.kind.children[rule.child]
            return child.meaning or (self.kinds[child.records].meaning if child.records else "")
        name = next(iter(own_fields(rule)), "")
        found = self.kind.fields.get(name[1:]) if name.startswith("^") else self.fields.get(name)
        return found.meaning if found and not carries_nothing(rule) else ""


def _rows(rules: Iterable[Rule], place: Place) -> Iterator[Row]:
    """A row for each rule; behind a list with rows of its own, those."""
    for rule in rules:
        path = (*place.path, *map(_step, rule.path))
        element = path_of(place.element, rule)
        inner = Place(place.kind, place.kinds, element, path, rule) if isinstance(rule, Each) else None
        leaf = rule.rules[0] if isinstance(rule, Each) and rule.rules and not rule.rules[0].path else None
        if isinstance(rule, Each) and inner is not None and leaf is not None:
            yield _row(leaf, inner, path, element, tests=(*rule.when, *leaf.when), meaning=place.meaning(rule))
            continue
        yield _row(rule, place, path, element, tests=rule.when, meaning=place.meaning(rule))
        if isinstance(rule, Each) and inner is not None:
            yield from _rows(rule.rules, inner)


def _row(
    rule: Rule, place: Place, path: tuple[str, ...], element: str, *, tests: Iterable[Condition], meaning: str
) -> Row:
    listed = rule if isinstance(rule, Each) else place.each
    leaf = place.each is not None and not rule.path and not isinstance(rule, Each)
    said = [_test(test) for test in tests]
    if listed is not None and (leaf or isinstance(rule, Each)):
        said += [f"only items whose {_test(test)}" for test in listed.keep]
        said += ["only the first item"] if listed.first else []
    names = () if isinstance(rule, Each) else own_fields(rule)
    return Row(
        path=".".join(path),
        datatype=_datatype(rule, element),
        fields=" | ".join(name.removeprefix("^") for name in names),
        list=listed.child if listed is not None else "",
        kind=kind_of(rule),
        codes=_codes(rule),
        code_map=named(rule.code_map) if isinstance(rule, Coded) and rule.code_map else "",
        guards=" and ".join(said),
        missing=_missing(rule),
        direction=_direction(rule, place),
        invertible=_invertible(rule, place),
        at=rule.at,
        meaning=meaning,
    )


def own_fields(rule: Rule) -> tuple[str, ...]:
    """The fields that a row reads, the one that it is about first; guards are told apart."""
    if isinstance(rule, Refer | Key):
        return (rule.field,) if isinstance(rule, Refer) else ("$key",)
    if isinstance(rule, Derive):
        return tuple(dict.fromkeys(test.field for test, _ in rule.choices))
    names = {condition.field for condition in rule.when} - set(carried(rule))
    return tuple(dict.fromkeys(name for name in fields_of(rule) if name not in names))


def _step(step: Step) -> str:
    return f"{step.name}({step.label})" if step.url else f"{step.name}[{step.label}]" if step.label else step.name


def _test(test: Condition) -> str:
    return f"{test.field} is {' or '.join(test.values)}" if test.values else f"{test.field} is there"


def _datatype(rule: Rule, element: str) -> str:
    match rule:
        case Copy() if not rule.suffix:
            return rule.datatype
        case Key():
            return "id"
        case Coded():
            return rule.shape
        case Identify():
            return "Identifier"
        case Refer() | Logical():
            return f"Reference({rule.to})"
        case _:
            found = definitions().element(element)
            return " | ".join(found.types) if found else ""


def _codes(rule: Rule) -> str:
    """The system of a row, what its field chooses among, or the constants that it writes."""
    match rule:
        case Coded() | Identify():
            return _chosen(rule.system, rule.system_field, rule.systems)
        case Logical():
            return _system(rule.system)
        case Key() | Refer():
            return f"prefix {rule.prefix}-" if rule.prefix else ""
        case Constant():
            return _constant(rule.value)
        case Derive():
            said = [f"{_constant(value)} if {_test(test)}" for test, value in rule.choices]
            return ", else ".join([*said, *([] if rule.otherwise is None else [_constant(rule.otherwise)])])
        case Copy() | Custom() | Each():
            return ""
        case _:
            assert_never(rule)


def _chosen(system: System | None, field: str, systems: Mapping[str, System]) -> str:
    if system is not None:
        return _system(system)
    return f"by {field}: " + ", ".join(f"{code} {each.name}" for code, each in systems.items())


def _system(system: System) -> str:
    number = system.name.removeprefix("vol-")
    return f"{number} {code_lists()[number].title}" if number != system.name else system.name


def _constant(value: object) -> str:
    if isinstance(value, dict):
        coding = value.get("coding", [value])[0]
        return f"{coding['code']} of {coding['system']}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _missing(rule: Rule) -> str:
    """What is written for a record without the value, and recorded for a resource without the element."""
    said = [f"absent: {rule.absent}"] if rule.absent else []
    return ", ".join([*said, *([f"default: {rule.default}"] if rule.default else [])])


def _direction(rule: Rule, place: Place) -> str:
    if rule.only:
        return rule.only
    records = (isinstance(rule, Each) and rule.records) or (place.each is not None and place.each.records)
    return "to-fhir" if carries_nothing(rule) or records or _is_stored(rule, place) else "both"


def _is_stored(rule: Rule, place: Place) -> bool:
    """Whether a row tells of the version or the last change, which are the store's to say."""
    return isinstance(rule, Copy) and {place.kind.version, place.kind.changed}.issuperset(rule.fields)


def _invertible(rule: Rule, place: Place) -> str:
    """Whether a row can be read back, and how where that is not plain."""
    if rule.only == "to-fhir":
        return "no: written only"
    if carries_nothing(rule):
        return NO_CHANGE
    if _is_stored(rule, place):
        return "no: the store keeps it"
    each = rule if isinstance(rule, Each) else place.each
    if each is not None and each.records:
        return "no: the items are records of their own"
    if each is not None and each.first and not isinstance(rule, Each):
        return "no: only one item of the list stands there"
    match rule:
        case Coded(code_map=CodeMap() as code_map):
            return _of_code_map(rule, code_map)
        case Coded() | Identify() if rule.system_field:
            uris = [system.uri for system in rule.systems.values()]
            one = len(set(uris)) == len(uris)
            return "yes: the system says which" if one else "yes, but two kinds share a system: the first is taken"
        case Copy() if len(rule.fields) > 1:
            same = len(set(rule.codecs)) < len(rule.codecs)
            return "yes, into the first field" if same else "yes: the form of the value says which field"
        case Custom():
            return "yes: by the Python pair"
        case _:
            return "yes"


def _of_code_map(rule: Coded, code_map: CodeMap) -> str:
    if rule.original == "beside":
        return "yes: by the original code beside"
    if rule.original:
        return f"yes: by the original code at {rule.original}"
    if code_map.back:
        return "yes: the code map chooses where to go back"
    return "yes: the code map leads back" if code_map.invertible else "no: codes of the code map share a target"


# ---- coverage


def _coverage(mapping: CompiledMapping, kinds: Kinds) -> Iterator[Covered]:
    """Every field of the record, every list, and the fields of its own lists."""
    kind, ignored = mapping.kind, mapping.rules.ignored
    places = _places(mapping)

    def covered(name: str, field_type: str, meaning: str, why: str = "") -> Covered:
        paths = () if name in ignored else tuple(dict.fromkeys(places.get(name, ())))
        return Covered(name, field_type, paths, ignored.get(name, "" if paths else why), meaning)

    for field in kind.fields.values():
        yield covered(field.name, field.type, field.meaning)
    for child in kind.children.values():
        said = child.meaning or (kinds[child.records].meaning if child.records else "")
        yield covered(child.name, f"list of {child.records}" if child.records else "list", said)
        for field in () if child.records else child.fields.values():
            why = ignored.get(child.name, "") or "only tells the items of the list apart"
            yield covered(f"{child.name}.{field.name}", field.type, field.meaning, why)


def _places(mapping: CompiledMapping) -> dict[str, list[str]]:
    """The paths of each field, in its list `list.field`; guards and tests count as places too."""
    found: dict[str, list[str]] = {}

    def note(rule: Rule, path: str, child: str) -> None:
        names = (*carried(rule), *fields_of(rule)) if not isinstance(rule, Each) else fields_of(rule)
        key = mapping.kind.key if isinstance(rule, Key) else ()
        for name in (*names, *key):
            outer = name.startswith("^") or not child
            found.setdefault(name.removeprefix("^") if outer else f"{child}.{name}", []).append(path)

    for rule in mapping.rules.rules:
        path = ".".join(map(_step, rule.path))
        note(rule, path, "")
        if isinstance(rule, Each):
            found.setdefault(rule.child, []).append(path)
            for test in rule.keep:
                found.setdefault(f"{rule.child}.{test.field}", []).append(path)
            if rule.order:
                found.setdefault(f"{rule.child}.{rule.order}", []).append(path)
            for inner in rule.rules:
                note(inner, ".".join(filter(None, (path, *map(_step, inner.path)))), rule.child)
    return found
