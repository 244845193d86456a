"""Read and search canonical resources (CodeSystem, ValueSet, ConceptMap, Measure) by what stands in their heads.

https://hl7.org/fhir/R4/codesystem.html#search; the rules are those of every search here: an unknown parameter is
refused with the nearest one, and links say what was applied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import orjson

from fhir_facade.outcome import Issue, Refused, operation_outcome
from fhir_facade.rest.answer import Answer, pretty
from fhir_facade.rest.canonical_resources import by_id, listed
from fhir_facade.rest.conditional import not_modified
from fhir_facade.rest.negotiation import language, lenient
from fhir_facade.rest.paging import PageToken
from fhir_facade.rest.parameters import COUNT_DEFAULT, COUNT_LIMIT, values_of
from fhir_facade.rest.query_string import (
    Pairs,
    bad_value,
    check_format,
    general_parameters,
    is_pretty,
    join_pairs,
    pairs_of,
    refuse_person_number,
    unknown_parameter,
)
from fhir_facade.rest.services import Interaction, Request, Services
from fhir_facade.rest.subset import ALL, SUBSET_PARAMETERS, Subset, with_parameter
from fhir_facade.rest.terminology_resources import Listed
from fhir_facade.store.batches import shown
from fhir_facade.terminology.concepts import folded
from fhir_facade.terminology.uris import canonical

LENIENT_APPLIED = (b"preference-applied", b"handling=lenient")
URIS = "urn:ietf:rfc:3986"
FORM = b"application/x-www-form-urlencoded"
Test = Callable[[Listed, str], bool]


def _string(text: str, value: str) -> bool:
    return folded(text).startswith(folded(value))


def _exact(text: str, value: str) -> bool:
    return text == value


def _within(text: str, value: str) -> bool:
    return folded(value) in folded(text)


STRINGS: Mapping[str, Callable[[str, str], bool]] = {"": _string, "exact": _exact, "contains": _within}


def _identifier(each: Listed, value: str) -> bool:
    """The URI itself, or urn:ietf:rfc:3986|URI: every identifier of a code system here is a URI."""
    system, bar, uri = value.rpartition("|")
    return (not bar or system in ("", URIS)) and (uri in (each.url, *each.also) or canonical(uri) == each.url)


def _status(each: Listed, value: str) -> bool:
    system, bar, code = value.rpartition("|")
    return code == each.status and (not bar or system in ("", "http://hl7.org/fhir/publication-status"))


TESTS: Mapping[str, tuple[str, Test]] = {  # name → R4 type of parameter, test
    "_id": ("token", lambda each, value: each.id == value),
    "url": ("uri", lambda each, value: value == each.url or canonical(value) == each.url or value in each.also),
    "version": ("token", lambda each, value: each.version == value.removeprefix("|")),
    "name": ("string", lambda each, value: _string(each.name, value)),
    "title": ("string", lambda each, value: _string(each.title, value)),
    "status": ("token", _status),
    "identifier": ("token", _identifier),
}
EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "CodeSystem": {
        "_id": "vol-8406", "url": "urn:oid:2.16.578.1.12.4.1.1.8406", "version": "4.0.1", "name": "Omsorg",
        "title": "Omsorg", "status": "active", "identifier": "urn:oid:2.16.578.1.12.4.1.1.8406",
    },
    "ConceptMap": {
        "_id": "omsorgsniva-actcode", "url": "http://fhir-facade.no/fhir/ConceptMap/omsorgsniva-actcode",
        "version": "1.0.0", "name": "Omsorg", "title": "Omsorg", "status": "active",
    },
    "Measure": {
        "_id": "rbf-video-phone", "url": "http://fhir-facade.no/fhir/Measure/rbf-video-phone", "version": "2024.1",
        "name": "Rbf", "title": "Video", "status": "active", "identifier": "rbf-video-phone",
    },
    "ValueSet": {
        "_id": "vol-8406", "url": "http://fhir-facade.no/fhir/ValueSet/vol-8406", "version": "4.0.1",
        "name": "Omsorg", "title": "Omsorg", "status": "active",
    },
}  # fmt: skip
RESULT: Mapping[str, tuple[str, str, str]] = {
    "_count": ("integer", "20", f"Most matches on a page, 0 to {COUNT_LIMIT}; {COUNT_DEFAULT} when left out."),
    **SUBSET_PARAMETERS,
    "_page": ("string", "", "Where to go on; taken from a 'next' link, never made up, and good for a while."),
    "_format": (
        "string",
        "json",
        "The format, instead of the Accept header; json, xml or, for a search, ndjson; or a media type.",
    ),
    "_pretty": ("boolean", "true", "Indent the answer for people."),
}


READ_TAKES = SUBSET_PARAMETERS


def reading(name: str, reads: Literal["", "page"] = "") -> Iterator[Interaction]:
    """The rows that search and read a type; `reads` says whether they may take longer."""
    yield Interaction(
        "search-type", "GET", f"/{name}", search_resources,
        f"Search {name} by what stands in its head.", takes=RESULT, reads=reads,
    )  # fmt: skip
    yield Interaction(
        "search-type", "POST", f"/{name}/_search", search_resources,
        f"Search {name} with the parameters in a form.", takes_body=True, takes=RESULT, reads=reads,
    )  # fmt: skip
    yield Interaction(
        "read", "GET", f"/{name}/{{id}}", read_resource, f"Read one {name}.", takes=READ_TAKES, reads=reads,
    )  # fmt: skip


def search_parameters(resource_type: str) -> Mapping[str, tuple[str, str, tuple[str, ...]]]:
    """The parameters of a type: name → R4 type, example, modifiers."""
    return {
        name: (TESTS[name][0], example, tuple(filter(None, STRINGS)) if TESTS[name][0] == "string" else ())
        for name, example in EXAMPLES[resource_type].items()
    }


@dataclass
class Asked:
    """What one search asks: (name, modifier, values) that each must hold, and how the answer is given."""

    clauses: list[tuple[str, str, tuple[str, ...]]] = field(default_factory=list)
    count: int = COUNT_DEFAULT
    subset: Subset = ALL
    page: str = ""
    after: str = ""
    indented: bool = False
    applied: Pairs = field(default_factory=list)
    general: Pairs = field(default_factory=list)
    ignored: list[Issue] = field(default_factory=list)


def read_resource(services: Services, request: Request) -> Answer:
    """One whole resource, or the part of it that is wanted; 304 when the client has it."""
    indented, subset = general_parameters(request)
    body = orjson.dumps(subset.of(by_id(services, request.type, request.id).make()))
    etag = b'W/"' + hashlib.sha256(body).hexdigest()[:16].encode() + b'"'
    if not_modified(request, etag):
        return Answer(304, b"", (b"etag", etag))
    return Answer(200, pretty(body) if indented else body, (b"etag", etag))


def search_resources(services: Services, request: Request) -> Answer:
    """The searchset of one page, in the order of ids."""
    is_lenient = lenient(request.headers.get(b"prefer", b""))
    asked, hidden = _asked(services, request, is_lenient)
    matches = [each for each in listed(services, request.type) if _holds(each, asked.clauses)]
    matches.sort(key=lambda each: each.id)
    rest = [each for each in matches if each.id > asked.after]
    size = 0 if asked.subset.is_count else asked.count
    page = rest[:size]
    base = f"{services.base_url}/{request.type}"
    shown_pairs = [] if hidden else asked.applied
    links = [{"relation": "self", "url": _link(base, shown_pairs + _paged(asked.page) + asked.general)}]
    if page and len(rest) > size:
        carried = join_pairs(asked.applied) if hidden else ""
        token = services.tokens.seal(PageToken(_bound(request, asked), (page[-1].id,), carried), services.now())
        links.append({"relation": "next", "url": _link(base, shown_pairs + _paged(token) + asked.general)})
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "searchset", "total": len(matches), "link": links}
    entries = [
        {
            "fullUrl": f"{base}/{each.id}",
            "resource": asked.subset.of(each.make()),
            "search": {"mode": "match"},
        }
        for each in page
    ]
    if asked.ignored:
        tongue = language(request.headers.get(b"accept-language", b""))
        outcome = operation_outcome(asked.ignored, tongue)
        entries.append({"resource": outcome, "search": {"mode": "outcome"}})
    if entries:
        bundle["entry"] = entries
    body = orjson.dumps(bundle)
    headers = [LENIENT_APPLIED] if is_lenient else []
    return Answer(200, pretty(body) if asked.indented else body, *headers)


def _asked(services: Services, request: Request, is_lenient: bool) -> tuple[Asked, bool]:
    """What query string, form and page token ask, and whether its terms stay out of links."""
    visible = pairs_of(request.query)
    for name, value in visible:
        refuse_person_number(f"{name} {value}", request.type)
    asked = _parsed(request.type, visible + pairs_of(_form(request)), is_lenient)
    hidden = request.body is not None
    if not asked.page:
        return asked, hidden
    token = services.tokens.open(asked.page, services.now())
    if token.hidden:
        if asked.applied or asked.ignored:
            raise Refused(Issue("page-token-invalid", "_page"))
        carried = _parsed(request.type, pairs_of(token.hidden.encode()), is_lenient)
        asked, hidden = replace(carried, page=asked.page, indented=asked.indented, general=asked.general), True
    if token.search != _bound(request, asked) or len(token.position) != 1:
        raise Refused(Issue("page-token-invalid", "_page"))
    asked.after = str(token.position[0])
    return asked, hidden


def _bound(request: Request, asked: Asked) -> str:
    """What a page token is bound to: the type and the restrictions."""
    return hashlib.sha256(repr((request.type, sorted(asked.clauses))).encode()).hexdigest()[:16]


def _parsed(resource_type: str, pairs: Pairs, is_lenient: bool) -> Asked:
    """What names and values ask; Refused with every fault."""
    asked, faults, seen = Asked(), list[Issue](), set[str]()
    for name, value in pairs:
        try:
            if name in RESULT:
                if name in seen:
                    raise Refused(Issue("parameter-repeated", name, {"name": name}))
                seen.add(name)
                _result(asked, resource_type, name, value)
            else:
                _clause(asked, resource_type, name, value, is_lenient)
        except Refused as refused:
            faults += refused.issues
    if faults:
        raise Refused(*faults)
    return asked


def _form(request: Request) -> bytes:
    if not request.body:
        return b""
    if request.headers.get(b"content-type", b"").split(b";")[0].strip().lower() != FORM:
        raise Refused(Issue("media-type-unsupported", "", {"allowed": FORM.decode()}))
    return request.body


def _result(asked: Asked, resource_type: str, name: str, value: str) -> None:
    """Take a parameter that shapes the answer."""
    if name == "_count":
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise Refused(bad_value("_count", "integer", f"not a number from 0 to {COUNT_LIMIT}", "_count=20"))
        asked.count = min(int(value), COUNT_LIMIT)
        asked.applied.append((name, str(asked.count)))
    elif name in SUBSET_PARAMETERS:
        asked.subset = with_parameter(asked.subset, resource_type, name, value)
        asked.applied.append((name, value))
    elif name == "_page":
        if not value:
            raise Refused(Issue("page-token-invalid", "_page"))
        asked.page = value
    else:
        if name == "_format":
            check_format(value)
        else:
            asked.indented = is_pretty(value)
        asked.general.append((name, value))


def _clause(asked: Asked, resource_type: str, name: str, value: str, is_lenient: bool) -> None:
    known = search_parameters(resource_type)
    code, _, modifier = name.partition(":")
    if code not in known:
        issue = unknown_parameter(name, resource_type, [*known, *RESULT], ignored=is_lenient)
        if not is_lenient:
            raise Refused(issue)
        asked.ignored.append(issue)
        return
    kind, example, modifiers = known[code]
    if modifier and modifier not in modifiers:
        facts = {"name": code, "modifier": shown(modifier), "allowed": modifiers or "-"}
        raise Refused(Issue("search-modifier-unknown", code, facts))
    values = tuple(values_of(value))
    if not all(values):
        raise Refused(bad_value(code, kind, "a value is empty", f"{code}={example}"))
    asked.clauses.append((code, modifier, values))
    asked.applied.append((name, value))


def _holds(each: Listed, clauses: Sequence[tuple[str, str, tuple[str, ...]]]) -> bool:
    return all(any(_test(each, code, modifier, value) for value in values) for code, modifier, values in clauses)


def _test(each: Listed, code: str, modifier: str, value: str) -> bool:
    if modifier:
        return STRINGS[modifier](each.name if code == "name" else each.title, value)
    return TESTS[code][1](each, value)


def _paged(token: str) -> Pairs:
    return [("_page", token)] if token else []


def _link(base: str, pairs: Pairs) -> str:
    text = join_pairs(pairs)
    return f"{base}?{text}" if text else base
