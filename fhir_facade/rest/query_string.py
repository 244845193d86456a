"""Query strings into names and values: percent-decoding, and what may never stand in a URL."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import quote, unquote_plus

from fhir_facade.mapping.findings import nearest
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.negotiation import MEDIA, named_format
from fhir_facade.rest.services import Request
from fhir_facade.rest.subset import ALL, SUBSET_PARAMETERS, Subset, with_parameter
from fhir_facade.store.batches import shown
from fhir_facade.terminology.identity import holds_person_number

Pairs = list[tuple[str, str]]

GENERAL = ("_format", "_pretty")
OF_CONTAINED = ("_contained", "_containedType")


def refuse_person_number(text: str, resource_type: str) -> None:
    """Raise Refused when a decoded part of a URL holds an identity number; the number is not repeated."""
    if holds_person_number(text):
        raise Refused(Issue("person-number-in-url", "", {"type": resource_type or "[type]"}))


def pairs_of(text: bytes) -> Pairs:
    """Decode application/x-www-form-urlencoded text; empty parts are skipped, broken UTF-8 is refused."""
    pairs = []
    for part in text.decode("latin-1").split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_decoded(name), _decoded(value)))
    return pairs


def _decoded(text: str) -> str:
    try:
        plain = unquote_plus(text.encode("latin-1").decode("utf-8"), errors="strict")
    except UnicodeDecodeError:
        raise Refused(bad_value("query", "UTF-8", "not UTF-8", "%C3%A5")) from None
    if not plain.isprintable():
        raise Refused(bad_value("query", "text", "holds a control character", "status=finished"))
    return plain


def bad_value(name: str, kind: str, reason: str, example: str) -> Issue:
    """The issue for a value that cannot be read."""
    return Issue("search-value-invalid", name, {"name": name, "type": kind, "reason": reason, "example": example})


def unknown_parameter(name: str, resource_type: str, allowed: Iterable[str], *, ignored: bool = False) -> Issue:
    """The issue for a parameter that is not served: what is, and which was perhaps meant."""
    if name in OF_CONTAINED and not ignored:
        return Issue("contained-not-searched", name, {"name": name})
    allowed, said = sorted(allowed), shown(name)
    facts = {"type": resource_type, "name": said, "allowed": allowed, "nearest": nearest(said, allowed)}
    return Issue("search-parameter-ignored" if ignored else "search-parameter-unknown", said, facts)


def join_pairs(pairs: Pairs) -> str:
    """Pairs back into a query string, in one spelling."""
    return "&".join(f"{quote(name, safe=':-._~')}={quote(value, safe=':/,-._~$*')}" for name, value in pairs)


def check_format(value: str) -> None:
    """Refuse a _format that cannot be given."""
    if named_format(value) is None:
        raise Refused(Issue("format-not-acceptable", "_format", {"format": shown(value), "allowed": list(MEDIA)}))


def is_pretty(value: str) -> bool:
    """Read _pretty."""
    return is_true("_pretty", value)


def is_true(name: str, value: str) -> bool:
    """Read a parameter that is true or false."""
    if value not in ("true", "false"):
        raise Refused(bad_value(name, "boolean", "neither true nor false", f"{name}=true"))
    return value == "true"


def general_parameters(request: Request) -> tuple[bool, Subset]:
    """Check the query string of a read: whether to indent, and which part of the resource is wanted."""
    indented, subset = False, ALL
    seen = set()
    for name, value in pairs_of(request.query):
        refuse_person_number(f"{name} {value}", request.type)
        if name in seen:
            raise Refused(Issue("parameter-repeated", shown(name), {"name": shown(name)}))
        seen.add(name)
        if name == "_format":
            check_format(value)
        elif name == "_pretty":
            indented = is_pretty(value)
        elif name in SUBSET_PARAMETERS:
            subset = with_parameter(subset, request.type, name, value, searching=False)
        else:
            raise Refused(unknown_parameter(name, request.type, (*GENERAL, *SUBSET_PARAMETERS)))
    return indented, subset
