"""FHIR → record, verified: what a resource says is put into the record, and the record must give it back.

What no row takes is kept in a remainder beside the record (policy keep), refused (reject) or told (warn). What a row
speaks of and the record cannot give back is refused whatever the policy: two truths are never stored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.codecs import OFFSETS, holds
from fhir_facade.mapping.compare import (
    SERVERS_OWN,
    Comparison,
    Patch,
    bare,
    declaring,
    fhirpath,
    normalised,
    same_value,
)  # fmt: skip
from fhir_facade.mapping.field_values import PlainTests, Unfit, check
from fhir_facade.mapping.ir import Coded, Copy, Each, Logical, MappingRules, Refer, Rule, declared_profiles
from fhir_facade.mapping.kinds import ChildList, Field, Kind, Kinds, Link
from fhir_facade.mapping.list_items import is_edited, is_repeated, partner, without_derived
from fhir_facade.mapping.read_values import Fields, Resolve
from fhir_facade.mapping.row_facts import said_by
from fhir_facade.mapping.take import Claims, Place, every, inbound, take
from fhir_facade.outcome import Issue
from fhir_facade.terminology.identity import is_national_identity_number

Assign = Callable[[str, Record], int]
"""The next number for a field of a new record, whose other key fields are known."""

PERSON_LIKE = re.compile(r"\d{6}[ -]?\d{5}").search
Policy = Literal["keep", "reject", "warn"]
Status = Literal["accepted", "kept", "refused", "added", "defaulted"]


@dataclass(frozen=True, slots=True)
class Element:
    """What became of one element: its FHIRPath, the status, and for a refusal the issue's code and facts."""

    path: str
    status: Status
    code: str = ""
    facts: Mapping[str, Any] | None = None


class Written(NamedTuple):
    """A resource put into a record. `record` is None when it was refused; `remainder` belongs beside it."""

    record: Record | None
    remainder: Patch | None
    elements: tuple[Element, ...]
    issues: tuple[Issue, ...]


@dataclass(frozen=True)
class Putting:
    """What putting needs of a mapping: its rows, the kind, the forward engine, and a quick reader of resources."""

    rules: MappingRules
    kind: Kind
    kinds: Kinds
    to_fhir: Callable[[Record, list[Issue]], Resource]
    systems: Mapping[str, str]
    reads: Callable[[Resource, Resolve], Fields | None]
    base_url: str = ""

    def put(
        self, resource: Resource, base: Record | None, policy: Policy, resolve: Resolve | None,
        assign: Assign | None = None,
    ) -> Written:  # fmt: skip
        """Return the record that the resource becomes, on top of `base` where the record is known already.

        `assign` gives a new record what the store numbers by itself.
        """
        find = resolver(self.kind, base, resolve)
        sent = bare(resource)
        quick = self.reads(sent, find)
        if quick is not None:  # the usual case: everything is taken, and comes back as it was sent
            record, defaulted = self.record(quick, base, assign)
            if not defaulted and not self.faults(record, base):
                given = self.given(record)
                added: tuple[Element, ...] = ()
                if "id" not in sent and given.pop("id", None):
                    added = (Element(f"{self.rules.resource_type}.id", "added"),)
                if given == declaring(sent, given, self.profiles):
                    return Written(record, None, added, ())
        sent = declaring(normalised(sent, self.systems, self.base_url), {}, self.profiles)
        found, claims = take(self.rules, self.kind, sent, find)
        record, defaulted = self.record(found, base, assign)
        comparison = Comparison(claims)
        faults = self.faults(record, base)
        given = {} if faults else self.given(record)
        patch = comparison.object(declaring(sent, given, self.profiles), given, ())
        return self.judged(record, patch, comparison, faults, policy, defaulted)

    @cached_property
    def profiles(self) -> frozenset[str]:
        """The profiles that the rows declare: which of them a resource keeps to is the record's to say."""
        return frozenset(canonical for _, canonical in declared_profiles(self.rules.rules))

    def given(self, record: Record) -> Resource:
        """What the record gives back once it is stored, when it has a version as every stored record."""
        stored = {**record, self.kind.version: 1, self.kind.changed: "2000-01-01T00:00:00Z"}
        given = self.to_fhir(self.kinds.completed(self.kind, stored), [])
        meta = given.get("meta")
        if meta is not None and all(name in SERVERS_OWN for name in meta):
            del given["meta"]
            return given
        return bare(given)

    def record(self, found: Fields, base: Record | None, assign: Assign | None) -> tuple[Record, list[Rule]]:
        """The record of what was found, and the rows whose default was used."""
        if base is None:
            return self.new_record(found, assign)
        stored = self.stripped(base)
        key, get = self.kind.key, stored.get
        edited = [name for name in self.kind.fields if found.get(name) != get(name) and name not in key]
        shown = (child for child in self.own_lists if child.name in found)
        lists = [child for child in shown if is_edited(found[child.name], get(child.name))]
        if not lists and all(self.shows(name, get(name)) for name in edited):
            before: Fields = {name: get(name) for name in edited}
        else:
            before = self.fields_of(self.given(stored), base)
        for name in edited:
            if found.get(name) != before.get(name):
                stored[name] = found.get(name)
        for rule in self.guarded:  # what a guard hid is the view's to say as soon as the guard holds
            if holds_all(rule, stored) and not holds_all(rule, base):
                stored |= {name: found.get(name) for name in said_by(rule)}
        for child in lists:
            if found[child.name] != before.get(child.name):
                stored[child.name] = self.list_of(child, found[child.name], before.get(child.name, []), stored)
        return stored, []

    @cached_property
    def own_lists(self) -> list[ChildList]:
        return self.kind.own_lists()

    def stripped(self, base: Record) -> Record:
        """A copy of a stored record without its derived entries; lists without any, and other records, are shared."""
        out = {name: value for name, value in base.items() if name[0] != "$"}
        for child in self.kind.children.values():
            if child.links and not child.records and out.get(child.name):
                out[child.name] = [without_derived(item) for item in out[child.name]]
        return out

    @cached_property
    def guarded(self) -> list[Rule]:
        return [rule for rule in self.rules.rules if rule.when and not isinstance(rule, Each)]

    @cached_property
    def faithful(self) -> Mapping[str, Rule]:
        """The fields that one row alone says, as they stand: the resource shows what the record holds."""
        said = [name for rule in self.rules.rules for name in said_by(rule)]
        return {
            name: rule
            for rule in self.rules.rules
            for name in said_by(rule)[:1]
            if said.count(name) == 1 and not rule.only and is_faithful(rule)
        }

    def shows(self, field: str, value: Any) -> bool:
        """Whether the resource is sure to show what a field holds; False says nothing."""
        if field not in self.faithful or value is None:
            return field in self.faithful
        if self.kind.fields[field].type == "dateTime" and OFFSETS.get(str(value)[:13]) is None:
            return False  # an hour that was not met before, or that the clock skips
        blank = value < "!" if isinstance(value, str) else not 0 < value < 2**31
        return not blank and self.plain[""].tests[field](value)

    def fields_of(self, resource: Resource, base: Record) -> Fields:
        """What a resource of our own says."""
        find = resolver(self.kind, base, None)
        quick = self.reads(resource, find)
        return take(self.rules, self.kind, resource, find)[0] if quick is None else quick

    def new_record(self, found: Fields, assign: Assign | None) -> tuple[Record, list[Rule]]:
        record, defaulted = dict(found), []
        for field, value, rule in self.defaults:
            if record.get(field) is None:
                record[field] = value
                defaulted.append(rule)
        for name in self.kind.key if assign else ():
            others = (each for each in self.kind.key if each != name)
            if self.kind.fields[name].assigned and record.get(name) is None and all(map(record.get, others)):
                record[name] = assign(name, record) if assign else None
        return record, defaulted

    @cached_property
    def defaults(self) -> list[tuple[str, Any, Rule]]:
        """The fields that a new record has anyhow, their values, and the rows that say so."""
        out: list[tuple[str, Any, Rule]] = []
        for rule in inbound(self.rules.rules):
            if rule.default:
                field = said_by(rule)[0]
                integer = self.kind.fields[field].type == "integer"
                out.append((field, int(rule.default) if integer else rule.default, rule))
        return out

    def list_of(self, child: ChildList, found: list[Fields], before: list[Fields], stored: Record) -> list[Record]:
        """The items of a list: each found item on top of the stored item that it is, so that nothing hidden moves."""
        own = list(stored.get(child.name) or [])
        each = next((rule for rule in self.lists() if rule.child == child.name), None)
        order = each.order if each else ""
        key = tuple(name for name in child.key if name != order)
        shown = self.shown(child, own, before, stored)
        out: list[Record] = []
        used: set[int] = set()
        for place, item in enumerate(found):
            at = partner(item, place, shown, used, key, order, same_length=len(found) == len(own))
            if at is None:
                out.append(dict(item))
                continue
            used.add(at)
            changed = {
                name: item.get(name)
                for name in item.keys() | (shown[at] or {}).keys()
                if item.get(name) != (shown[at] or {}).get(name)
            }
            out.append({**own[at], **changed})
        out += [dict(own[at]) for at, form in enumerate(shown) if form is None and at not in used]
        for place, item in enumerate(out if order else (), 1):
            item[order] = place
        return out

    def lists(self) -> Iterable[Each]:
        return (rule for rule in inbound(self.rules.rules) if isinstance(rule, Each))

    def shown(self, child: ChildList, own: list[Record], before: list[Fields], stored: Record) -> list[Fields | None]:
        """What the resource shows of each stored item; None of those that it does not show at all."""
        if len(own) == len(before):
            return list(before)
        forms: list[Fields | None] = []
        for item in own:
            alone = self.fields_of(self.given({**stored, child.name: [item]}), stored)
            found = alone.get(child.name) or [None]
            forms.append(found[0])
        return forms

    def faults(self, record: Record, base: Record | None) -> list[Issue]:
        """What keeps the record from being one: fields that must be there, values that do not fit.

        Only what is new is judged: a fault that the stored record has already is not the sender's.
        """
        known = base or {}
        issues: list[Issue] = []
        if doubtful := self.plain[""].doubtful(record, known):
            issues += self._field_faults(self.kind.fields, doubtful, record, self.kind.key)
        for child in self.own_lists:
            tests, items = self.plain[child.name], record.get(child.name) or []
            if len(items) > 1 and is_repeated(child.key, items):
                at = next((f".{rule.path_text}" for rule in self.lists() if rule.child == child.name), "")
                facts = {"list": child.name, "fields": ", ".join(child.key)}
                issues.append(Issue("list-item-repeated", self.rules.resource_type + at, facts))
            for item in items:
                doubtful = tests.doubtful(item, {})
                if doubtful and item not in map(without_derived, known.get(child.name) or ()):
                    issues += self._field_faults(child.fields, doubtful, item, ())
        return issues

    @cached_property
    def plain(self) -> Mapping[str, PlainTests]:
        """The quick tests of the record's fields under "", and of those of its lists."""
        lists = {child.name: PlainTests(child.fields) for child in self.own_lists}
        return {"": PlainTests(self.kind.fields, self.kind.key), **lists}

    def _field_faults(
        self, fields: Mapping[str, Field], doubtful: list[str], record: Record, key: tuple[str, ...]
    ) -> Iterable[Issue]:
        for name in doubtful:
            field, value = fields[name], record.get(name)
            if value is None:
                if field.required == "always":
                    yield Issue("element-needed", self.path_of(name), {"field": name})
                continue
            try:
                check(field, value)
            except Unfit as unfit:
                facts = {"field": name, "type": field.type, "reason": unfit.reason}
                yield Issue("field-type", self.path_of(name), facts)
            if name in key and is_national_identity_number(str(value).strip()):
                yield Issue("person-number-as-key", self.path_of(name), {"field": name})

    def path_of_link(self, link: Link) -> str:
        """Where in the resource a reference of the record is read from."""
        for rule in inbound(self.rules.rules):
            for each in every((rule,)):
                if isinstance(each, Refer) and each.link == link.name:
                    return ".".join([self.rules.resource_type, rule.path_text])
        return self.path_of(link.fields[-1])

    def path_of(self, field: str) -> str:
        """Where in the resource a field is read from: the first row that carries it."""
        for rule in inbound(self.rules.rules):
            if any(field in said_by(each) for each in every((rule,))):
                return ".".join([self.rules.resource_type, *([rule.path_text] if rule.path else [])])
        return self.rules.resource_type

    def judged(
        self, record: Record, patch: Patch, comparison: Comparison, faults: list[Issue], policy: Policy,
        defaulted: list[Rule],
    ) -> Written:  # fmt: skip
        """The answer: what was accepted, kept, refused and added, under a policy."""
        root, claims = self.rules.resource_type, comparison.claims
        if faults:  # nothing was given back, for the record is not whole; only what rows refused can be told besides
            reasons = [
                Issue(reason.code, fhirpath(root, place), reason.facts) for place, reason in claims.reasons.items()
            ]
            told = [*(fault for fault in faults if not is_told(fault, reasons)), *reasons]
            refused = tuple(Element(issue.at, "refused", issue.code, issue.facts) for issue in told)
            return Written(None, None, refused, tuple(told))
        issues = [refusal(claims, fhirpath(root, place), place, *pair) for place, *pair in comparison.refused]
        elements = [Element(issue.at, "refused", issue.code, issue.facts) for issue in issues]
        code = {"keep": "element-kept", "reject": "element-not-taken", "warn": "element-not-stored"}[policy]
        failed = bool(issues) or (policy == "reject" and bool(comparison.kept))
        for place, _ in comparison.kept:
            path = fhirpath(root, place)
            issues.append(Issue(code, path))
            elements.append(Element(path, "kept" if policy == "keep" else "refused", code))
        elements += [Element(fhirpath(root, place), "added") for place, _ in comparison.added]
        for rule in defaulted:
            path = f"{root}.{rule.path_text}"
            elements.append(Element(path, "defaulted"))
            issues.append(Issue("element-defaulted", path, {"default": rule.default, "at": rule.at}))
        beside = {place for place, *_ in (*comparison.refused, *comparison.kept)}
        elements += [Element(fhirpath(root, place), "accepted") for place in sorted(claims.taken - beside, key=str)]
        kept = patch if patch and policy == "keep" else None
        return Written(None if failed else record, None if failed else kept, tuple(elements), tuple(issues))


def is_told(fault: Issue, reasons: list[Issue]) -> bool:
    """Whether a field lacks only because an element that says it was refused, which is told already."""
    beginnings = (f"{fault.at}.", f"{fault.at}[")
    return fault.code == "element-needed" and any(
        reason.at == fault.at or reason.at.startswith(beginnings) for reason in reasons
    )


def holds_all(rule: Rule, record: Record) -> bool:
    return all(holds(test, record) for test in rule.when)


def is_faithful(rule: Rule) -> bool:
    """Whether a row writes a value as it is, and nothing else."""
    match rule:
        case Copy(fields=(_,), suffix=""):
            return not rule.when
        case Coded(code_map=None, system_field="", version_field="") | Logical():
            return not rule.when
        case _:
            return False


def refusal(claims: Claims, path: str, place: Place, sent: Any, given: Any) -> Issue:
    """Why an element is refused: the row's own reason, or that the record gives something else."""
    for end in range(len(place), 0, -1):
        if place[:end] in claims.reasons:
            reason = claims.reasons[place[:end]]
            return Issue(reason.code, path, reason.facts)
    return Issue("element-refused", path, {"sent": worded(sent), "given": worded(given)})


def worded(value: Any) -> str:
    """A value as a sentence may show it: short, and never eleven digits in a row of one person."""
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else str(value)
    return "..." if PERSON_LIKE(text) else text[:60]


def resolver(kind: Kind, base: Record | None, resolve: Resolve | None) -> Resolve:
    """Find key fields behind a key that does not read back: what the stored record points at, then the store."""

    def find(kind_name: str, key: str) -> Mapping[str, Any] | None:
        if base is not None:
            if kind_name == kind.name and base.get("$key") == key:
                return {name: base.get(name) for name in kind.key}
            for link in kind.links.values():
                if link.to == kind_name and base.get("$" + link.name) == key:
                    return {name: base.get(name) for name in link.fields}
        return resolve(kind_name, key) if resolve else None

    return find


__all__ = ["Element", "Policy", "Putting", "Written", "same_value"]
