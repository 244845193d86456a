"""Changes inside one transaction: conditions, validation, the way back into records, deletion.

What is asked for is judged by what is stored at that moment, and writers take turns, so two that ask for the same
never both get it. Order of the steps: who is meant, preconditions, validation, inverse mapping, record rules, storing,
reading back. https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from fhir_facade.contracts import Clause, Record, Resource
from fhir_facade.mapping.columns import REMAINDER
from fhir_facade.mapping.put import Element, Policy
from fhir_facade.outcome import Issue, Refused
from fhir_facade.writes.change import Change, Changed
from fhir_facade.writes.outgoing import Telling
from fhir_facade.writing_back import judged, mapping_for, storable

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
    from fhir_facade.store.outbox import Outbox
    from fhir_facade.store.records import Store
    from fhir_facade.store.writer import Writer

Found = tuple["CompiledMapping", str]
Finding = Callable[["Store", str, Sequence[Clause]], list[Found]]
"""Up to two records whose resources of a type meet the criteria, by mapping and key, as the store shows them."""


@dataclass(frozen=True)
class Rules:
    """What all changes of one request keep to.

    `validate` gives what is to be said of a resource, errors among it when it may not be stored; `find` carries out
    the searches of conditions. `create_on_update` lets an update make what is not there; `must_match` asks every
    update for If-Match. `outbox` is where changes are told from, None where nobody is told.
    """

    mapping_set: MappingSet
    now: str
    validate: Callable[[Resource], Sequence[Issue]]
    find: Finding
    policy: Policy | None = None
    otherwise: Policy = "keep"
    create_on_update: bool = True
    must_match: bool = False
    outbox: Outbox | None = None


@dataclass
class Changing:
    """One transaction's changes; `store` shows what is stored in it so far."""

    writer: Writer
    store: Store
    rules: Rules
    made: set[tuple[str, str]] = field(default_factory=set)
    written: list[tuple[CompiledMapping, Record]] = field(default_factory=list)
    _last: tuple[str, str, Record] | None = None

    @cached_property
    def _telling(self) -> Telling | None:
        outbox = self.rules.outbox
        return None if outbox is None else Telling(outbox, self.rules.mapping_set, self.rules.now)

    def apply(self, change: Change) -> Changed:
        """Carry out one change; Refused, with what was done before it still to be undone, when it cannot be."""
        match change.act:
            case "create":
                return self._create(change)
            case "update":
                return self._update(change)
            case "patch":
                return self._patch(change)
            case "delete":
                return self._delete(change)

    # ---- which record is meant

    def _meant(self, change: Change) -> Found | None:
        """The one record that an id or criteria lead to, and None where there is none; Refused when there are more."""
        if change.criteria is None:
            return self._of_id(change.type, change.id)
        found = self.rules.find(self.store, change.type, change.criteria)
        if len(found) > 1:
            raise Refused(Issue("condition-matches-several", change.type, {"type": change.type}))
        return found[0] if found else None

    def _of_id(self, resource_type: str, resource_id: str) -> Found | None:
        for mapping in self.rules.mapping_set.by_type[resource_type]:
            key = mapping.key_of(resource_id)
            if key is not None and self.writer.existing(mapping.kind, [key]):
                return mapping, key
        return None

    def _stored(self, found: Found) -> Record:
        record = self.writer.get(found[0].kind, found[1])
        if record is None:
            raise ValueError(f"{found[1]} was there a moment ago")
        return record

    def _check_version(self, change: Change, found: Found | None) -> None:
        """412 when the stored version is not the one that the client has seen; 428 when it tells none and must."""
        if change.if_none_match and found is not None:
            raise Refused(Issue("resource-there-already", change.type, {"type": change.type}))
        if change.if_match is None:
            if self.rules.must_match and found is not None and change.act != "create":
                raise Refused(Issue("if-match-needed", change.type))
            return
        if found is None:
            raise Refused(Issue("version-differs", change.type, {"now": "none"}))
        mapping, record = found[0], self._stored(found)
        tag = mapping.etag(mapping.version_of(record))
        if not _names(change.if_match, tag):
            raise Refused(Issue("version-differs", change.type, {"now": tag}))

    # ---- changes

    def _create(self, change: Change) -> Changed:
        resource = {name: value for name, value in (change.resource or {}).items() if name != "id"}
        if change.criteria is not None:
            found = self._meant(change)
            if found is not None:
                version = found[0].version_of(self._stored(found))
                return Changed("found", *found, version)
        return self._put(resource, change.type, None, is_new=True)

    def _update(self, change: Change) -> Changed:
        resource = dict(change.resource or {})
        found = self._meant(change)
        sent = resource.get("id")
        if change.criteria is None:
            if sent is None:
                raise Refused(Issue("id-missing", change.type))
            if sent != change.id:
                raise Refused(Issue("id-differs", f"{change.type}.id"))
        elif found is not None:
            own = found[0].id_of(found[1])
            if sent not in (None, own):
                raise Refused(Issue("id-not-of-condition", f"{change.type}.id"))
            resource["id"] = own
        self._check_version(change, found)
        if found is None and change.criteria is None and not self.rules.create_on_update:
            raise Refused(Issue("create-on-update-off", f"{change.type}.id", {"type": change.type}))
        return self._put(resource, change.type, found, is_new=found is None)

    def _patch(self, change: Change) -> Changed:
        found = self._meant(change)
        if found is None:
            if change.criteria is not None:
                raise Refused(Issue("condition-matches-none", change.type, {"type": change.type}))
            raise self._not_there(change.type, change.id)
        self._check_version(change, found)
        before = orjson.loads(found[0].serve(self._stored(found), []))
        if change.patched is None:
            raise ValueError("a patch says what it makes of the resource")
        return self._put(change.patched(before), change.type, found, is_new=False)

    def _delete(self, change: Change) -> Changed:
        found = self._meant(change)
        if found is None:
            if change.if_match is not None:
                raise Refused(Issue("version-differs", change.type, {"now": "none"}))
            return Changed("absent")
        self._check_version(change, found)
        mapping, key = found
        contents = self.writer.contents(mapping.kind, key)
        gone = {kind: len(keys - {key} if kind == mapping.kind.name else keys) for kind, keys in contents.items()}
        gone = {kind: count for kind, count in gone.items() if count}
        if gone and not change.cascade:
            counted = [f"{kind}: {count}" for kind, count in gone.items()]
            raise Refused(Issue("record-contains", change.type, {"contents": counted}))
        if self._telling is not None:
            self._telling.going(self.writer, mapping, key, contents)
        self.writer.delete(mapping.kind, key, now=self.rules.now)
        last = self.store.last_version(mapping.kind.name, key)
        version = None if last is None else (last.version, last.changed)
        return Changed("deleted", mapping, key, version, gone=gone)

    # ---- into the record

    def identity_of(self, resource: Resource) -> Found:
        """The mapping and the key that a new resource will have; nothing is stored."""
        bare = {name: value for name, value in resource.items() if name != "id"}
        mapping = mapping_for(self.rules.mapping_set, bare)
        written, base = judged(self.writer, mapping, bare, "keep", "keep")
        if written.record is None:
            raise NotTaken(written.elements, *written.issues)
        return mapping, storable(mapping, written, base)["$key"]

    def _put(self, resource: Resource, resource_type: str, found: Found | None, *, is_new: bool) -> Changed:
        said = list(self.rules.validate(resource))
        if any(issue.is_error for issue in said):
            raise Invalid(*said)
        mapping = found[0] if found else mapping_for(self.rules.mapping_set, resource)
        rules = self.rules
        written, base = judged(self.writer, mapping, resource, rules.policy, rules.otherwise)
        if written.record is None:
            raise NotTaken(written.elements, *written.issues, *said)
        stored = storable(mapping, written, base)
        key = stored["$key"]
        if found is not None and key != found[1]:
            raise Refused(Issue("key-changed", f"{resource_type}.id"))
        if is_new and base is not None and (mapping.kind.name, key) not in self.made:
            raise Refused(Issue("resource-exists-already", resource_type, {"type": resource_type}))
        outcome = self.writer.merge(mapping.kind, [stored], rules.now)[0]
        after = self.writer.get(mapping.kind, key)
        if after is None or _differs(mapping, stored, after):
            raise Refused(Issue("record-not-as-written", resource_type))
        self.written.append((mapping, stored))
        if is_new and outcome == "inserted":
            self.made.add((mapping.kind.name, key))
        became = "created" if is_new else ("unchanged" if outcome == "unchanged" else "updated")
        if self._telling is not None and became != "unchanged":
            self._telling.stored(mapping, key, "create" if became == "created" else "update")
        issues = [*written.issues, *said]
        self._last = (mapping.kind.name, key, after)
        return Changed(became, mapping, key, mapping.version_of(after), written.elements, issues)  # type: ignore[arg-type]

    def _not_there(self, resource_type: str, resource_id: str) -> Refused:
        for mapping in self.rules.mapping_set.by_type[resource_type]:
            key = mapping.key_of(resource_id)
            if key is not None and self.store.last_version(mapping.kind.name, key) is not None:
                return Refused(Issue("resource-deleted", f"{resource_type}.id", {"type": resource_type}))
        return Refused(Issue("not-found", f"{resource_type}.id", {"type": resource_type}))

    # ---- at the end

    def dangling(self) -> list[tuple[int, Issue]]:
        """The references that lead to no record, now that all is written, each with its place in `written`."""
        asked: dict[str, set[str]] = {}
        for mapping, record in self.written:
            for link in mapping.kind.links.values():
                if (key := record["$" + link.name]) is not None:
                    asked.setdefault(link.to, set()).add(key)
        kinds = self.rules.mapping_set.kinds
        there = {name: self.writer.existing(kinds[name], keys) for name, keys in asked.items() if kinds[name].elements}
        return [
            (place, Issue("reference-to-nothing", mapping.putting.path_of_link(link), {"to": link.to}))
            for place, (mapping, record) in enumerate(self.written)
            for link in mapping.kind.links.values()
            if (key := record["$" + link.name]) is not None and key not in there.get(link.to, (key,))
        ]

    def rendered(self, changed: Changed, issues: list[Issue]) -> bytes:
        """The resource as a read gives it now; the version with it may have risen since the change."""
        if changed.mapping is None:
            raise ValueError("what is not there has no form")
        kind, key, record = self._last or ("", "", {})
        if (kind, key) != (changed.mapping.kind.name, changed.key) or len(self.written) > 1:
            record = self._stored((changed.mapping, changed.key))  # what came after it may have changed it
        changed.version = changed.mapping.version_of(record)
        return changed.mapping.serve(record, issues)

    def told(self) -> None:
        """Put what was changed into the outbox, now that all is written."""
        if self._telling is not None:
            self._telling.put(self.writer, self.store)

    def settled(self, changed: Changed) -> None:
        """Give a change the version that its record has now that all is written."""
        if changed.mapping is not None and (stamp := self.store.stamp(changed.mapping.kind.name, changed.key)):
            changed.version = stamp[:2]


class Invalid(Refused):
    """A resource that breaks the rules of R4 or of its profiles."""

    @property
    def status(self) -> int:
        return 422


class NotTaken(Refused):
    """A resource that was refused for some of its elements; what became of the others is known too."""

    def __init__(self, elements: Sequence[Element], *issues: Issue) -> None:
        super().__init__(*issues)
        self.elements = elements


def _names(listed: str, tag: str) -> bool:
    """Whether an ETag, or the version id in it, is in the list of If-Match; weak ones count, as FHIR has them."""
    bare = tag.removeprefix("W/")
    names = {each.strip().removeprefix("W/") for each in listed.split(",")}
    return "*" in names or bare in names or bare.strip('"') in names


def _differs(mapping: CompiledMapping, stored: Record, after: Mapping[str, Any]) -> bool:
    """Whether the store gives back something else than it was given."""
    kind = mapping.kind
    own = (kind.version, kind.changed)
    if any(stored.get(name) != after.get(name) for name in kind.fields if name not in own):
        return True
    for child in kind.own_lists():
        sent, got = stored.get(child.name) or [], after.get(child.name) or []
        order = [tuple(item.get(name) for name in child.key) for item in got]
        found = dict(zip(order, got, strict=True))
        if len(sent) != len(got):
            return True
        for item in sent:
            same = found.get(tuple(item.get(name) for name in child.key))
            if same is None or any(item.get(name) != same.get(name) for name in child.fields):
                return True
    return stored.get(REMAINDER) != after.get(REMAINDER)
