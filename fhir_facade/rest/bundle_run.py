"""One Bundle of requests that is being carried out, and what is known of its entries so far.

Ids are made of what a resource says, so entries that others refer to get their ids first; one that refers to what has
none yet is stored when all ids are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from fhir_facade.bundles.answers import Result, answer_of, at_entry
from fhir_facade.bundles.deciding import decided_by
from fhir_facade.bundles.entries import Entry
from fhir_facade.bundles.order import circular, naming_of, order_of
from fhir_facade.bundles.plan import Plan, plan_of
from fhir_facade.bundles.rewriting import Identity, conditional_references, known_at_first, overlapping, rewritten
from fhir_facade.bundles.targets import READS
from fhir_facade.contracts import Clause, Resource
from fhir_facade.json_text import read_text
from fhir_facade.outcome import Issue, Refused
from fhir_facade.patching.formats import patched
from fhir_facade.rest.answer import Answer, pretty
from fhir_facade.rest.changes import Undone, Wanted, criteria_of, rules_of
from fhir_facade.rest.conditional import http_date
from fhir_facade.rest.idempotency import named
from fhir_facade.rest.inbound import resource_of
from fhir_facade.rest.preferences import Return, wanted_return
from fhir_facade.rest.query_string import pairs_of
from fhir_facade.rest.services import Request, Services, Writing
from fhir_facade.store.records import Store
from fhir_facade.store.writer import Writer
from fhir_facade.writes.change import Act, Change, Changed
from fhir_facade.writes.changing import Changing, Rules

Reading = Callable[[Services, Request, str], Answer]
"""Answers a request at a path below the base URL, as if it had come alone."""

FHIRPATH_PATCH = "application/fhir+json"
DONE = {"created": 201, "deleted": 204, "absent": 204}


class EntryRefused(Refused):
    """What refuses one entry of a transaction, and so all of it."""

    def __init__(self, number: int, refused: Refused) -> None:
        super().__init__(*at_entry(number, refused.issues))
        self._status = refused.status

    @property
    def status(self) -> int:
        """That of the one request, if it had come alone."""
        return self._status


class Run:
    """One Bundle that is carried out, and what is known of its entries so far."""

    def __init__(self, services: Services, request: Request, writing: Writing, wanted: Wanted, read: Reading) -> None:
        self.services, self.request, self.writing, self.wanted, self.read = services, request, writing, wanted, read
        self.rules: Rules = rules_of(services, request, writing)
        self.name = named(services, request)
        self.plan: Plan = plan_of(
            resource_of(request, services.json_limits),
            bases=(services.base_url,),
            most=writing.most_entries,
            first=request.first_entry,
        )
        prefer = wanted_return(request.headers.get(b"prefer", b"")) or "minimal"
        self.prefer: Return = "OperationOutcome" if wanted.dry_run else prefer
        self.known: dict[int, Identity] = {}
        self.found: dict[tuple[str, str], Sequence[Identity]] = {}

    def begin(self, writer: Writer) -> None:
        """Have a transaction of the store for what comes."""
        self.store: Store = self.writing.store.inside(writer)
        self.changing = Changing(writer, self.store, self.rules)
        self.changed: dict[int, Changed] = {}
        self.writes: list[int] = []

    def end(self, writer: Writer, answer: Answer) -> None:
        """Keep the answer with what was done; Undone when it was not in earnest."""
        if self.wanted.dry_run:
            raise Undone
        self.changing.told()
        if self.name is not None:
            self.name.keep(writer, answer)

    def answer(self, results: Mapping[int, Result]) -> Answer:
        """The Bundle that answers."""
        body = orjson.dumps(answer_of(self.plan, results, self.prefer, self.wanted.tongue))
        tongue = (b"content-language", self.wanted.tongue.encode())
        return Answer(200, pretty(body) if self.wanted.indented else body, tongue)

    # ---- a whole transaction

    def all_changes(self) -> None:
        """Deletions, then what conditions find, then ids, then creations, updates and patches."""
        plan = self.plan
        for entry in plan.entries:
            if entry.method == "DELETE" and entry.changes:
                self.change(entry, None)
        self.known = known_at_first(plan)
        self._look_up()
        if repeated := overlapping(plan, self.known):
            raise Refused(*repeated)
        naming = naming_of(plan, self.known, decided_by(self.services.mapping_set))
        if naming.circles:
            raise Refused(*circular(naming))
        waiting = [number for number in naming.order if not self._store_if_all_is_known(number)]
        if repeated := overlapping(plan, self.known):
            raise Refused(*repeated)
        for number in (*waiting, *order_of(plan, naming.order)):
            entry = plan.entries[number]
            if number not in self.changed and entry.changes:
                self.change(entry, self.rewritten(entry))
        self.check_references()

    def _store_if_all_is_known(self, number: int) -> bool:
        """Store a new resource whose references all lead somewhere; of another one make the id only."""
        entry = self.plan.entries[number]
        missing = [led for led in self.plan.leads[number] if led.entry not in self.known]
        if missing:
            resource = deepcopy(self.rewritten(entry) or {})
            for led in missing:
                _leave_out(resource, led.link.steps)
            with self._at(entry):
                mapping, key = self.changing.identity_of(resource)
            self.known[number] = Identity(mapping.resource_type, mapping.id_of(key))
        if any(led.entry != number for led in missing):
            return False
        self.known[number] = self._identity(self.change(entry, self.rewritten(entry)))
        return True

    def _look_up(self) -> None:
        """What conditions and conditional references find, as stored when the deletions are done."""
        for entry in self.plan.entries:
            if entry.changes and entry.method != "DELETE" and entry.target is not None:
                with self._at(entry):
                    criteria = self._criteria(entry)
                    found = self._find(entry.target.type, criteria) if criteria else []
                    if len(found) > 1:
                        raise Refused(Issue("condition-matches-several", "url", {"type": entry.target.type}))
                if found:
                    self.known[entry.number] = found[0]
        for number, each in conditional_references(self.plan):
            with self._at(self.plan.entries[number]):
                types = self.services.mapping_set.by_type
                if each.type in types:
                    criteria = criteria_of(self.services, each.type, pairs_of(each.query.encode()))
                    self.found[each.type, each.query] = self._find(each.type, criteria)
                else:
                    self.found[each.type, each.query] = []

    def _find(self, resource_type: str, criteria: Sequence[Clause]) -> list[Identity]:
        matches = self.rules.find(self.store, resource_type, criteria)
        return [Identity(mapping.resource_type, mapping.id_of(key)) for mapping, key in matches]

    def rewritten(self, entry: Entry) -> Resource | None:
        """The resource of an entry with references to what is known."""
        if entry.resource is None:
            return None
        resource, issues = rewritten(self.plan, entry, self.known, self.found)
        if issues:
            raise Refused(*issues)
        return resource

    def check_references(self) -> None:
        """Refused where something that was written refers to no record, now that all is written."""
        faults = [each for place, issue in self.changing.dangling() for each in at_entry(self.writes[place], [issue])]
        if faults:
            raise Refused(*faults)

    # ---- one entry

    def alone(self, entry: Entry) -> None:
        """Carry out an entry of a batch; all that it may refer to in the Bundle is itself."""
        self.known = known_at_first(self.plan)
        if entry.stores and entry.number not in self.known and self.plan.leads[entry.number]:
            self._store_if_all_is_known(entry.number)
        else:
            self.change(entry, self.rewritten(entry))
        self.check_references()

    def change(self, entry: Entry, resource: Resource | None) -> Changed:
        """Carry out an entry that changes something."""
        with self._at(entry):
            done = self.changing.apply(self._change(entry, resource))
        self.changed[entry.number] = done
        self.writes += [entry.number] * (len(self.changing.written) - len(self.writes))
        return done

    def _change(self, entry: Entry, resource: Resource | None) -> Change:
        target = entry.target
        if target is None or target.type not in self.services.mapping_set.by_type:
            facts = {"type": target.type if target else "", "allowed": list(self.services.mapping_set.by_type)}
            raise Refused(Issue("type-unknown", "url", facts | {"nearest": ""}))
        acts: dict[str, Act] = {"create": "create", "update": "update", "patch": "patch", "delete": "delete"}
        return Change(
            acts[target.interaction],
            target.type,
            target.id,
            resource=resource if entry.stores else None,
            patched=self._patched(entry, resource) if target.interaction == "patch" else None,
            criteria=self._criteria(entry),
            if_match=entry.if_match or None,
            cascade=self.request.headers.get(b"x-cascade") == b"delete",
        )

    def _criteria(self, entry: Entry) -> tuple[Clause, ...] | None:
        target = entry.target
        if target is None or target.type not in self.services.mapping_set.by_type:
            return None
        query = entry.if_none_exist if target.interaction == "create" else target.query
        return criteria_of(self.services, target.type, pairs_of(query.encode())) if query else None

    def _patched(self, entry: Entry, parameters: Resource | None) -> Callable[[Resource], Resource]:
        if entry.patch is None:
            return partial(patched, patch=parameters, media=FHIRPATH_PATCH)
        reading = read_text(entry.patch.content, kinds=(dict, list))
        if reading.resource is None or any(each.issue.is_error for each in reading.issues):
            raise Refused(*(each.issue for each in reading.issues))
        return partial(patched, patch=reading.resource, media=entry.patch.media_type)

    def _identity(self, changed: Changed) -> Identity:
        if changed.mapping is None or changed.version is None:
            raise ValueError("what was written has a version")
        tag = changed.mapping.etag(changed.version).removeprefix('W/"').rstrip('"')
        return Identity(changed.mapping.resource_type, changed.id, tag)

    def _at(self, entry: Entry) -> _At:
        return _At(entry.number)

    # ---- answers

    def results(self) -> dict[int, Result]:
        """What came of every entry; what only reads is answered now, with all changes made."""
        inside = replace(self.services, store=self.store, rendered=type(self.services.rendered)(0))
        found = {}
        for entry in self.plan.entries:
            if entry.number in self.changed:
                found[entry.number] = self.result(entry)
            else:
                with self._at(entry):
                    found[entry.number] = self.read_entry(entry, inside)
        return found

    def result(self, entry: Entry) -> Result:
        """What came of a change."""
        changed = self.changed[entry.number]
        issues = list(changed.issues)
        if changed.outcome in ("deleted", "absent"):
            gone = (Issue("deleted-with", "", {"kind": kind, "count": count}) for kind, count in changed.gone.items())
            etag = changed.mapping.etag(changed.version) if changed.mapping and changed.version else ""
            return Result(204, etag="" if self.wanted.dry_run else etag, issues=tuple(gone))
        body = None
        if self.prefer == "representation":
            body = orjson.loads(self.changing.rendered(changed, issues))
        else:
            self.changing.settled(changed)
        mapping, version = changed.mapping, changed.version
        if mapping is None or version is None:
            raise ValueError("what was written has a version")
        etag, place = mapping.etag(version), f"{mapping.resource_type}/{changed.id}"
        status = DONE.get(changed.outcome, 200)
        if self.wanted.dry_run:
            return Result(status, issues=tuple(issues))
        tag = etag.removeprefix('W/"').rstrip('"')
        return Result(
            status,
            resource=body,
            location=f"{self.services.base_url}/{place}/_history/{tag}",
            etag=etag,
            last_modified=version[1],
            full_url=f"{self.services.base_url}/{place}",
            issues=tuple(issues),
        )

    def read_entry(self, entry: Entry, services: Services) -> Result:
        """The answer to an entry that changes nothing."""
        target = entry.target
        if target is None:
            raise ValueError("an entry without a target is faulty")
        headers = {b"accept": b"application/fhir+json"}
        if entry.if_none_match:
            headers[b"if-none-match"] = entry.if_none_match.encode()
        if entry.if_modified_since:
            headers[b"if-modified-since"] = http_date(entry.if_modified_since)
        own = Request("GET" if entry.method in READS else "POST", target.query.encode(), headers, "")
        if own.method == "POST":
            own.query, own.body = b"", target.query.encode()
            headers[b"content-type"] = b"application/x-www-form-urlencoded"
            if entry.resource is not None:
                own.body = orjson.dumps(entry.resource)
                headers[b"content-type"] = b"application/fhir+json"
        answer = self.read(services, own, f"/{target.path}")
        said = {name: value.decode() for name, value in answer.headers}
        content = orjson.loads(answer.body) if answer.body else None
        return Result(answer.status, resource=content, etag=said.get(b"etag", ""))


class _At:
    """What is refused inside is refused of this entry."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Refused) and not isinstance(error, EntryRefused):
            raise EntryRefused(self.number, error) from None


def _leave_out(resource: Resource, steps: Sequence[str | int]) -> None:
    """Take a reference out of a resource, and the object that held nothing else; a text in a list stays."""
    holders: list[Any] = [resource]
    for step in steps[:-1]:
        holders.append(holders[-1][step])
    for holder, step in zip(reversed(holders), reversed(steps), strict=True):
        if not isinstance(holder, dict):
            return
        del holder[step]
        if holder:
            return
