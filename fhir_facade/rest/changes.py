"""Create, update, patch and delete over HTTP. https://hl7.org/fhir/R4/http.html#create

What is acknowledged is stored; what is refused has changed nothing. An element that is not stored is always told of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson

from fhir_facade.contracts import Clause, Query, Resource
from fhir_facade.json_text import Placed, located
from fhir_facade.mapping.put import Policy
from fhir_facade.mapping.structure import structure_faults
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import WAIT, Answer, Header, pretty
from fhir_facade.rest.conditional import http_date, instant_of
from fhir_facade.rest.idempotency import named
from fhir_facade.rest.inbound import Unreadable, patch_of, resource_of
from fhir_facade.rest.negotiation import language
from fhir_facade.rest.parameters import RESULT_PARAMETERS, parse
from fhir_facade.rest.preferences import Level, Return, preferences, wanted_level, wanted_return
from fhir_facade.rest.query_string import (
    GENERAL,
    Pairs,
    check_format,
    is_pretty,
    is_true,
    pairs_of,
    refuse_person_number,
    unknown_parameter,
)
from fhir_facade.rest.read import FHIR_ID
from fhir_facade.rest.services import Interaction, Request, Services, Writing
from fhir_facade.store.batches import shown
from fhir_facade.validation_stream import outcome_of
from fhir_facade.writes.change import Act, Change, Changed
from fhir_facade.writes.changing import Changing, Found, Rules

if TYPE_CHECKING:
    from fhir_facade.store.records import Store

BASE = "http://hl7.org/fhir/StructureDefinition/"
DRY_RUN = "_dryrun"
OUTCOMES = {
    "created": ("created", "laget"),
    "updated": ("updated", "oppdatert"),
    "unchanged": ("left as it is", "latt være som den er"),
    "found": ("found, and nothing created", "funnet, og ingenting opprettet"),
    "deleted": ("deleted", "slettet"),
    "absent": ("found missing already", "funnet å mangle allerede"),
}
TAKES = {
    DRY_RUN: ("boolean", "true", "Do everything but the change itself, and tell what it would have been."),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a change is to be carried out and answered."""

    indented: bool
    dry_run: bool
    returned: Return
    tongue: str


class Undone(Exception):
    """Leaves a transaction whose changes are not wanted after all."""


def create(services: Services, request: Request) -> Answer:
    """Make a resource; with If-None-Exist only where none meets the condition."""
    wanted, pairs = asked(request)
    no_more(pairs, request.type)
    given = request.headers.get(b"if-none-exist")
    criteria = None if given is None else criteria_of(services, request.type, pairs_of(given.lstrip(b"?")))
    return _changed(services, request, wanted, "create", criteria)


def update(services: Services, request: Request) -> Answer:
    """Put a resource in the place of the one with its id, or of the one that meets a condition."""
    wanted, pairs = asked(request)
    return _changed(services, request, wanted, "update", _condition(services, request, pairs))


def patch(services: Services, request: Request) -> Answer:
    """Change parts of the resource with an id, or of the one that meets a condition."""
    wanted, pairs = asked(request)
    return _changed(services, request, wanted, "patch", _condition(services, request, pairs))


def delete(services: Services, request: Request) -> Answer:
    """Delete the resource with an id, or the one that meets a condition."""
    wanted, pairs = asked(request)
    return _changed(services, request, wanted, "delete", _condition(services, request, pairs))


# ---- what is asked


def asked(request: Request) -> tuple[Wanted, Pairs]:
    """How the client wants it, and what is left of the query string."""
    indented = dry_run = False
    rest = Pairs()
    for name, value in pairs_of(request.query):
        refuse_person_number(f"{name} {value}", request.type)
        if name == "_format":
            check_format(value)
        elif name == "_pretty":
            indented = is_pretty(value)
        elif name == DRY_RUN:
            dry_run = is_true(name, value)
        else:
            rest.append((name, value))
    prefer = request.headers.get(b"prefer", b"")
    tongue = language(request.headers.get(b"accept-language", b""))
    returned = wanted_return(prefer) or "representation"
    return Wanted(indented, dry_run, "OperationOutcome" if dry_run else returned, tongue), rest


def no_more(pairs: Pairs, resource_type: str) -> None:
    for name, _ in pairs:
        raise Refused(unknown_parameter(name, resource_type, (*GENERAL, DRY_RUN)))


def _condition(services: Services, request: Request, pairs: Pairs) -> tuple[Clause, ...] | None:
    """The criteria of the query string; None where the path has an id."""
    if request.id:
        no_more(pairs, request.type)
        if not FHIR_ID(request.id):
            raise Refused(Issue("id-invalid", f"{request.type}.id"))
        return None
    return criteria_of(services, request.type, pairs)


def criteria_of(services: Services, resource_type: str, pairs: Pairs) -> tuple[Clause, ...]:
    """Search parameters as a condition; Refused when they restrict nothing."""
    for name, _ in pairs:
        if name in RESULT_PARAMETERS or name.partition(":")[0] in ("_include", "_revinclude"):
            raise Refused(Issue("condition-not-search", shown(name), {"name": shown(name)}))
    asked = parse(services.mapping_set.search, resource_type, pairs, base=services.base_url, lenient=False)
    if not asked.clauses:
        raise Refused(Issue("condition-empty", resource_type))
    return tuple(asked.clauses)


# ---- carried out


def rules_of(services: Services, request: Request, writing: Writing) -> Rules:
    """What the changes of a request keep to."""
    prefer = request.headers.get(b"prefer", b"")
    level, moment = wanted_level(prefer), services.now()
    is_told = level == "strict" or wanted_return(prefer) == "OperationOutcome" or DRY_RUN.encode() in request.query
    policy: Policy | None = "reject" if preferences(prefer).get("handling") == "strict" else None
    search = services.mapping_set.search

    def validate(resource: Resource) -> Sequence[Issue]:
        """Codes are judged without a day: a stay of years ago has the codes of its time."""
        profiles, validator = tuple(writing.profiles.get(str(resource["resourceType"]), ())), services.validator()
        if not is_told and validator.accepts(resource, profiles):
            return ()
        if faults := structure_faults(resource):
            return faults
        return [_at_level(each, level) for each in validator.validate(resource, profiles).issues]

    def find(store: Store, resource_type: str, criteria: Sequence[Clause]) -> list[Found]:
        matches = store.find(Query(resource_type, tuple(criteria), count=2), search).matches
        return [(services.mapping_set.mappings[each.mapping], each.key) for each in matches]

    return Rules(
        services.mapping_set, instant_of(moment), validate, find, policy, writing.remainder,
        create_on_update=writing.create_on_update, must_match=writing.must_match,
        outbox=writing.outbox,
    )  # fmt: skip


def _at_level(issue: Issue, level: Level) -> Issue:
    """The issue with the severity that it has at a level: a profile only warns at base, a warning refuses at strict."""
    if level == "strict" and (issue.severity or issue.entry.severity) == "warning":
        return replace(issue, severity="error")
    of_profile = issue.rule is not None and not issue.rule.profile.startswith(BASE)
    if level == "base" and of_profile and issue.is_error:
        return replace(issue, severity="warning")
    return issue


def _changed(
    services: Services, request: Request, wanted: Wanted, act: Act, criteria: tuple[Clause, ...] | None
) -> Answer:
    writing = services.writing
    if writing is None:
        raise ValueError("a server for reading only has no route to here")
    try:
        change, name = _change(services, request, act, criteria), named(services, request)
        answer = None
        try:
            with writing.store.transaction() as writer:
                if name is not None and (known := name.answered(writer)) is not None:
                    return known
                changing = Changing(writer, writing.store.inside(writer), rules_of(services, request, writing))
                changed = changing.apply(change)
                if nowhere := changing.dangling():
                    raise Refused(*(issue for _, issue in nowhere))
                answer = _answer(services, request, wanted, changing, changed)
                if wanted.dry_run:
                    raise Undone
                changing.told()
                if name is not None:
                    name.keep(writer, answer)
        except Undone:
            pass
    except Refused as refused:
        return refusal(request, wanted.tongue, refused)
    if answer is None:
        raise ValueError("a change that is carried out has an answer")
    return answer


def _change(services: Services, request: Request, act: Act, criteria: tuple[Clause, ...] | None) -> Change:
    """What a request asks to be changed."""
    limits = services.json_limits
    return Change(
        act,
        request.type,
        request.id,
        resource=resource_of(request, limits) if act in ("create", "update") else None,
        patched=patch_of(request, limits) if act == "patch" else None,
        criteria=criteria,
        if_match=_text(request, b"if-match"),
        if_none_match=_text(request, b"if-none-match") == "*",
        cascade=_text(request, b"x-cascade") == "delete",
    )


def _text(request: Request, name: bytes) -> str | None:
    value = request.headers.get(name)
    return None if value is None else value.decode("latin-1").strip()


# ---- answers


def _answer(services: Services, request: Request, wanted: Wanted, changing: Changing, changed: Changed) -> Answer:
    issues = list(changed.issues)
    if changed.outcome in ("deleted", "absent"):
        return _answer_of_deletion(wanted, changed)
    body = changing.rendered(changed, issues)
    status = 201 if changed.outcome == "created" and not wanted.dry_run else 200
    returned = wanted.returned
    if not changed.all_stored or (changed.added and returned == "minimal"):
        returned = "OperationOutcome"  # whatever is preferred: what is not as it was sent is told
    headers = [*_headers(services, changed), (b"content-language", wanted.tongue.encode())]
    if wanted.dry_run:
        headers = headers[-1:]
    if returned == "minimal":
        return Answer(status, b"", *headers)
    if returned == "OperationOutcome":
        body = _report(wanted, changed, issues, b"" if request.method == "PATCH" else request.body or b"")
    return Answer(status, pretty(body) if wanted.indented else body, *headers)


def _answer_of_deletion(wanted: Wanted, changed: Changed) -> Answer:
    headers: list[Header] = [(b"content-language", wanted.tongue.encode())]
    if changed.version is not None and changed.mapping is not None and not wanted.dry_run:
        headers.append((b"etag", changed.mapping.etag(changed.version).encode()))
    issues = [Issue("deleted-with", "", {"kind": kind, "count": count}) for kind, count in changed.gone.items()]
    if not issues and wanted.returned != "OperationOutcome":
        return Answer(204, b"", *headers)
    body = _report(wanted, changed, issues, b"")
    return Answer(200, pretty(body) if wanted.indented else body, *headers)


def _headers(services: Services, changed: Changed) -> list[Header]:
    mapping, version = changed.mapping, changed.version
    if mapping is None or version is None:
        return []
    etag = mapping.etag(version)
    tag = etag.removeprefix('W/"').rstrip('"')
    place = f"{services.base_url}/{mapping.resource_type}/{changed.id}/_history/{tag}"
    headers: list[Header] = [(b"etag", etag.encode()), (b"last-modified", http_date(version[1]))]
    return [*headers, (b"location", place.encode())] if changed.outcome == "created" else headers


def _report(wanted: Wanted, changed: Changed, issues: Sequence[Issue], content: bytes) -> bytes:
    """The OperationOutcome of a change: what became of the elements that were sent."""
    told = [*issues, *(Issue("element-added", path) for path in changed.added)]
    if wanted.dry_run:
        english, norwegian = OUTCOMES[changed.outcome]
        told.insert(0, Issue("dry-run-done", "", {"outcome": english, "utfall": norwegian}))
    if not told:
        told.append(Issue("resource-deleted-now" if changed.outcome == "deleted" else "resource-stored"))
    placed = located(content, told) if content else [Placed(each) for each in told]
    return orjson.dumps(outcome_of(placed, wanted.tongue))


def refusal(request: Request, tongue: str, refused: Refused) -> Answer:
    """The OperationOutcome of a refusal, with line and column in what was sent."""
    content = request.body or b""
    placed: Sequence[Placed]
    if isinstance(refused, Unreadable):
        placed = refused.placed
    elif request.method == "PATCH":  # paths are those of what the patch makes, which nobody has sent
        placed = [Placed(each) for each in refused.issues]
    else:
        placed = located(content, list(refused.issues)) if content else [Placed(each) for each in refused.issues]
    wait = [(b"retry-after", WAIT[refused.status])] if refused.status in WAIT else []
    return Answer(
        refused.status, orjson.dumps(outcome_of(placed, tongue)), (b"content-language", tongue.encode()), *wait
    )


def _row(code: str, method: str, template: str, handler: Any, documentation: str) -> Interaction:
    return Interaction(
        code, method, template, handler, documentation,
        takes_body=method != "DELETE", takes_resource=method != "DELETE", takes=TAKES, reads="change",
    )  # fmt: skip


CHANGES: tuple[Interaction, ...] = (
    _row(
        "create", "POST", "/{type}", create,
        "Make a resource. Its id is made of its identifiers. With If-None-Exist only where none meets the condition.",
    ),
    _row(
        "update", "PUT", "/{type}/{id}", update,
        "Put the resource in the place of the stored one. With If-Match only in the place of that version.",
    ),
    _row(
        "update", "PUT", "/{type}", update,
        "Put the resource in the place of the one that meets the search parameters, or make it where there is none.",
    ),
    _row(
        "patch", "PATCH", "/{type}/{id}", patch,
        "Change parts of the resource: by JSON Patch, by JSON Merge Patch, or by FHIRPath Patch in a Parameters.",
    ),
    _row("patch", "PATCH", "/{type}", patch, "Change parts of the one resource that meets the search parameters."),
    _row("delete", "DELETE", "/{type}/{id}", delete, "Delete the resource. Its history stays."),
    _row("delete", "DELETE", "/{type}", delete, "Delete the one resource that meets the search parameters."),
)  # fmt: skip
