"""Goldens: the examples beside each mapping, and the proof that every engine does what they say, both ways.

`opphold.encounter.examples/` lies beside `opphold.encounter.yaml`. `NN-name.epj.json` becomes `NN-name.fhir.json` with
the issues of `NN-name.issues.json`, and comes back; `NN-name.fhir-in.json`, with `NN-name.base.epj.json` as what was
stored, becomes `NN-name.epj.json`. Files that hold lists are a series of small examples, item by item, with null where
one lacks the part. An issue is {code, at, facts}: `at` where it names an element, and facts without the line of the
mapping file, for lines move.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.compare import bare
from fhir_facade.mapping.coverage import uncovered
from fhir_facade.mapping.field_values import Unfit, check
from fhir_facade.mapping.findings import Finding, nearest
from fhir_facade.mapping.golden_files import Example, examples_folder, read_examples, write_json
from fhir_facade.mapping.ir import Coded, Copy, Each, Rule, fields_of
from fhir_facade.mapping.json_paths import ABSENT, Difference, differences
from fhir_facade.mapping.kinds import Field, Kind, Kinds
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
from fhir_facade.mapping.take import every
from fhir_facade.outcome import Issue
from fhir_facade.terminology.identity import is_national_identity_number

STORED = (1, "2026-01-01T00:00:00.000Z")  # version and instant of change while an example is rendered
SYNTHETIC_MONTHS = range(81, 93)  # a made-up identity number has its month + 80


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An example that does not come out as it says: which one, what was tried, and every place that differs."""

    example: str
    tried: str
    places: tuple[Difference, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.example}: {self.tried}", *(f"  {place}" for place in self.places)])


@dataclass
class Proof:
    """What the examples of one mapping show: how many there are, and all that is wrong."""

    mapping: str
    examples: int = 0
    findings: list[Finding] = field(default_factory=list)
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.findings and not self.mismatches

    def lines(self) -> list[str]:
        """All that is wrong, a line or more each."""
        return [*map(str, sorted(set(self.findings))), *map(str, self.mismatches)]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """A golden file that was written anew, or (`gone`) taken away, and what that changed."""

    file: Path
    places: tuple[Difference, ...]
    gone: bool = False


def prove(
    mapping_set: MappingSet, folder: Path, mapping: CompiledMapping, *, thorough: bool = True, whole: bool = True
) -> Proof:
    """Run every example of a mapping that lies in a folder.

    `thorough` also validates the resources with fhir.resources and, if they are the `whole` of the examples, demands
    that they show every row.
    """
    proof = Proof(mapping.name)
    place = examples_folder(folder, mapping)
    examples = read_examples(place, proof.findings)
    proof.examples = len(examples)
    shown: list[Record] = []
    sent: list[tuple[Resource, Record]] = []
    for example in examples:
        if faults := list(_faults(example, mapping.kind, mapping_set.kinds)):
            proof.findings += faults
        elif example.is_inbound:
            proof.mismatches += _inbound(example, mapping, mapping_set.kinds)
            sent.append((example.parts["fhir-in"], example.parts.get("epj") or {}))
        else:
            shown.append(as_stored(mapping_set.kinds, mapping.kind, example.parts["epj"]))
            proof.mismatches += _outbound(example, mapping, shown[-1], thorough=thorough)
    if thorough and not examples:
        proof.findings.append(Finding(mapping.rules.file, 1, f"{mapping.name} has no examples in {place.name}/"))
    elif thorough and whole:
        proof.findings += uncovered(mapping.rules, mapping.kind, mapping_set.kinds, shown, sent)
    return proof


def accept(mapping_set: MappingSet, folder: Path, mapping: CompiledMapping) -> Iterator[Rewritten]:
    """Write the resource and the issues of every example anew from its record, and yield what that changed."""
    found = read_examples(examples_folder(folder, mapping), [])
    for _, same in groupby(found, key=lambda example: example.name):
        examples = list(same)
        if any(each.is_inbound or list(_faults(each, mapping.kind, mapping_set.kinds)) for each in examples):
            continue
        made = [_made(each, mapping_set, mapping) for each in examples]
        for part in ("fhir", "issues"):
            old, new = [each.parts.get(part) for each in examples], [each[part] for each in made]
            if examples[0].place is None:
                yield from _rewritten(examples[0], part, mapping, old[0], new[0])
            else:
                yield from _rewritten(examples[0], part, mapping, _some(old), _some(new))


def _some(values: list[Any]) -> list[Any] | None:
    """A list that holds something, or None."""
    return values if any(each is not None for each in values) else None


def _made(example: Example, mapping_set: MappingSet, mapping: CompiledMapping) -> dict[str, Any]:
    """What a mapping makes of an example now: the resource, and the issues or None."""
    issues: list[Issue] = []
    record = as_stored(mapping_set.kinds, mapping.kind, example.parts["epj"])
    resource = bare(orjson.loads(mapping.to_bytes(record, issues)))
    return {"fhir": resource, "issues": said(issues) or None}


def _rewritten(example: Example, part: str, mapping: CompiledMapping, old: Any, value: Any) -> Iterator[Rewritten]:
    """Write a file anew where it changes, or take it away where nothing is left to say."""
    at = mapping.resource_type if part == "fhir" else part
    places = tuple(differences(ABSENT if old is None else old, ABSENT if value is None else value, at, at))
    if places and value is None:
        example.file(part).unlink()
    elif places:
        write_json(example.file(part), value)
    if places:
        yield Rewritten(example.file(part), () if old is None else places, gone=value is None)


def as_stored(kinds: Kinds, kind: Kind, record: Record) -> Record:
    """A complete record as a store gives it, with a version: what stands beside the version in `meta` shows too."""
    version, changed = STORED
    return kinds.complete(kind, {kind.version: version, kind.changed: changed, **record})


def said(issues: Iterable[Issue]) -> list[dict[str, Any]]:
    """Issues as a golden file has them, in an order that no engine decides."""
    plain = [{"code": issue.code, **({"at": issue.at} if issue.at else {}), "facts": _facts(issue)} for issue in issues]
    return sorted(plain, key=lambda each: orjson.dumps(each, option=orjson.OPT_SORT_KEYS))


def _facts(issue: Issue) -> dict[str, Any]:
    return {
        name: sorted(map(str, value)) if isinstance(value, list | tuple | set | frozenset) else value
        for name, value in issue.facts.items()
        if name != "at"
    }


def _outbound(example: Example, mapping: CompiledMapping, record: Record, *, thorough: bool) -> Iterator[Mismatch]:
    """Record → resource by the interpreter, the same by the compiled engines, and back to the record."""
    heard: list[Issue] = []
    plain = bare(mapping.interpret(record, heard))
    resource = example.parts.get("fhir", ABSENT)
    yield from _unequal(example, "record -> FHIR", resource, plain, mapping.resource_type, mapping.resource_type)
    yield from _unequal(example, "record -> FHIR, issues", example.parts.get("issues", []), said(heard), "issues")
    compiled: Sequence[tuple[str, Any]] = (("dict", mapping.to_fhir), ("bytes", mapping.to_bytes))
    for name, engine in compiled:
        told: list[Issue] = []
        made = engine(record, told)
        made = bare(orjson.loads(made) if isinstance(made, bytes) else made)
        tried = f"record -> FHIR, compiled to {name} instead of interpreted"
        yield from _unequal(example, tried, plain, made, mapping.resource_type, mapping.resource_type)
        yield from _unequal(example, f"{tried}, issues", said(heard), said(told), "issues")
    if thorough:
        yield from _invalid(example, plain)
    yield from _backwards(example, mapping, plain, heard)


def _unequal(example: Example, tried: str, expected: Any, got: Any, at: str, element: str = "") -> Iterator[Mismatch]:
    if found := tuple(differences(expected, got, at, element)):
        yield Mismatch(example.label, tried, found)


def _invalid(example: Example, resource: Resource) -> Iterator[Mismatch]:
    """What the R4 models of fhir.resources find wrong with a resource."""
    from fhir.resources.R4B import get_fhir_model_class  # a second to import
    from pydantic import ValidationError

    kind = resource["resourceType"]
    try:
        get_fhir_model_class(kind).model_validate(resource)
    except ValidationError as error:
        faults = [(".".join(map(str, (kind, *fault["loc"]))), fault["msg"]) for fault in error.errors()]
        yield Mismatch(example.label, "FHIR is not valid R4", tuple(Difference(at, "R4", said) for at, said in faults))


def _backwards(
    example: Example, mapping: CompiledMapping, resource: Resource, heard: list[Issue]
) -> Iterator[Mismatch]:
    """Resource → record: what does not come back was ignored with a reason, or an issue has told of it."""
    written = mapping.to_record(resource)
    back = "FHIR -> record"
    if written.record is None and _lost(mapping.rules.rules, heard, written.issues):
        return
    if written.record is None:
        yield from _unequal(example, f"{back}, refused", [], said(written.issues), "issues")
        return
    rules, kind = mapping.rules.rules, mapping.kind
    told = {str(issue.facts["field"]) for issue in heard if "field" in issue.facts}
    one_way = {*mapping.rules.ignored, *told, *_shown_only(rules)}
    one_way |= {child.name for child in kind.children.values() if child.records}
    expected, got = _bare(example.parts["epj"]), own_entries(written.record, kind)
    for child in kind.own_lists():
        inner = [rule for each in rules if isinstance(each, Each) and each.child == child.name for rule in each.rules]
        hidden = {*told, *_shown_only(inner)}
        hidden |= {name.partition(".")[2] for name in one_way if name.startswith(f"{child.name}.")}
        for mine, other in zip(expected.get(child.name, ()), got.get(child.name, ()), strict=False):
            _leave_out(mine, other, hidden | _outdone(inner, mine))
    _leave_out(expected, got, one_way | _outdone(rules, expected))
    yield from _unequal(example, back, expected, got, kind.name)


def _lost(rules: Iterable[Rule], heard: Sequence[Issue], missing: Sequence[Issue]) -> bool:
    """Whether all that a refused record lacks is the choice of a system that no table has, as an issue has told."""
    told = {str(issue.facts.get("map")) for issue in heard if issue.code == "code-not-mapped"}
    inner = [rule for rule in every(tuple(rules)) if isinstance(rule, Coded)]
    lost = {rule.system_field for rule in inner if rule.system_field in told}
    return all(issue.code == "element-needed" and issue.facts.get("field") in lost for issue in missing)


def _leave_out(expected: Record, got: Record, names: Collection[str]) -> None:
    """Take away what did not come back and need not; what came back otherwise stays."""
    for name in [name for name in expected if name in names and not got.get(name)]:
        del expected[name]


def _shown_only(rules: Iterable[Rule]) -> set[str]:
    """Fields that only rows `to-fhir` speak of, so that no resource can give them back."""
    told = {name for rule in rules if rule.only == "to-fhir" for name in fields_of(rule)}
    return told - {name for rule in rules if rule.only != "to-fhir" for name in fields_of(rule)}


def _outdone(rules: Iterable[Rule], record: Record) -> set[str]:
    """Fields that are not shown because another of the same row is there: a year of birth beside the date."""
    shown = [[name for name in rule.fields if name in record] for rule in rules if isinstance(rule, Copy)]
    return {name for names in shown for name in names[1:]}


def _inbound(example: Example, mapping: CompiledMapping, kinds: Kinds) -> Iterator[Mismatch]:
    """A resource from outside → the record that is stored, and the issues."""
    base = example.parts.get("base.epj")
    stored = None if base is None else as_stored(kinds, mapping.kind, base)
    written = mapping.to_record(example.parts["fhir-in"], stored)
    got = ABSENT if written.record is None else own_entries(written.record, mapping.kind)
    yield from _unequal(example, "FHIR -> record", example.parts.get("epj", ABSENT), got, mapping.kind.name)
    tried = "FHIR -> record, issues"
    yield from _unequal(example, tried, example.parts.get("issues", []), said(written.issues), "issues")


def own_entries(record: Record, kind: Kind) -> Record:
    """What a record says by itself: without derived and empty entries and those that the store keeps."""
    return {name: value for name, value in _bare(record).items() if name not in (kind.version, kind.changed)}


def _bare(record: Record) -> Record:
    """A copy of a record without derived, absent and empty entries."""
    return {
        name: [_bare(item) for item in value] if isinstance(value, list) else value
        for name, value in record.items()
        if not name.startswith("$") and value is not None and value != []
    }


def _faults(example: Example, kind: Kind, kinds: Kinds) -> Iterator[Finding]:
    """What keeps an example from being tried: no record, fields or values that no record has, a person's number."""
    if "epj" not in example.parts and not example.is_inbound:
        yield Finding(example.file("epj").name, 1, "the record of this example is missing")
    for part in ("epj", "base.epj"):
        if part in example.parts:
            where = f"{example.folder.name}/{example.file(part).name}"
            yield from (Finding(where, 1, text) for text in _record_faults(example.parts[part], kind, kinds))
    for part, value in example.parts.items():
        if any(map(_may_be_a_person, _texts(value))):
            where = f"{example.folder.name}/{example.file(part).name}"
            yield Finding(where, 1, "holds an identity number that is not synthetic (month + 80)")


def _record_faults(record: Any, kind: Kind, kinds: Kinds) -> Iterator[str]:
    if not isinstance(record, dict):
        yield "a record is a JSON object"
        return
    known = {**kind.fields, **kind.children}
    yield from _value_faults(record, kind.fields, known, kind.name)
    for child in kind.children.values():
        for item in record.get(child.name) or ():
            if child.records:
                yield from _record_faults(item, kinds[child.records], kinds)
            else:
                yield from _value_faults(item, child.fields, child.fields, f"{kind.name}.{child.name}")


def _value_faults(record: Any, fields: Mapping[str, Field], known: Iterable[str], name: str) -> Iterator[str]:
    for given, value in record.items():
        if given not in known:
            yield f"{name} has no field '{given}'{nearest(given, known)}"
        elif given in fields and value is not None:
            try:
                check(fields[given], value)
            except Unfit as unfit:
                yield f"{name}.{given}: {unfit.reason}"


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def _may_be_a_person(text: str) -> bool:
    return is_national_identity_number(text) and int(text[2:4]) not in SYNTHETIC_MONTHS
