"""The inputs of an operation, from query string, form or Parameters resource, as plain values of their types.

https://hl7.org/fhir/R4/operations.html#request: what is primitive may stand in the query string; Coding and
CodeableConcept travel in a Parameters resource only. Every name is known and every value read, or it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from fhir_facade.mapping.search_values import date_range
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.query_string import GENERAL, check_format, is_pretty, pairs_of, refuse_person_number
from fhir_facade.rest.services import Request
from fhir_facade.store.batches import shown
from fhir_facade.terminology.operations import near

FORM = b"application/x-www-form-urlencoded"
JSON = (b"application/fhir+json", b"application/json")
ACCEPTED = b", ".join((*JSON, FORM)).decode()
OSLO = ZoneInfo("Europe/Oslo")
TEXT_LIMIT = 4096
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)

TEXTS = ("valueString", "valueCode", "valueUri", "valueCanonical", "valueUrl", "valueOid", "valueId", "valueMarkdown")
HELD_BY: Mapping[str, tuple[str, ...]] = {
    "string": TEXTS,
    "code": TEXTS,
    "uri": TEXTS,
    "boolean": ("valueBoolean",),
    "integer": ("valueInteger", "valueUnsignedInt", "valuePositiveInt"),
    "date": ("valueDate", "valueDateTime", "valueString"),
    "instant": ("valueInstant", "valueDateTime", "valueString"),
    "dateTime": ("valueDateTime", "valueDate", "valueInstant", "valueString"),
    "Coding": ("valueCoding",),
    "CodeableConcept": ("valueCodeableConcept",),
}
"""Input type → the members of a parameter that may hold it; clients do not agree on which kind of text is meant."""

IN_A_BODY = ("Coding", "CodeableConcept")


@dataclass(frozen=True)
class Inputs:
    """What an operation takes: name → (type, example, meaning), and which of them may be repeated.

    `not_served` are inputs that R4 gives it and that are not taken; `of_path` those that the path says already.
    """

    operation: str
    takes: Mapping[str, tuple[str, str, str]]
    repeatable: frozenset[str] = frozenset()
    not_served: frozenset[str] = frozenset()
    of_path: frozenset[str] = frozenset()


@dataclass
class Arguments:
    """Values by input name: str, bool, int, date or (Coding, CodeableConcept) dict; lists of them if repeatable."""

    operation: str
    allowed: list[str]
    values: dict[str, Any] = field(default_factory=dict)
    indented: bool = False

    def text(self, name: str) -> str:
        """A text input, "" when it was not given."""
        return str(self.values.get(name, ""))

    def get(self, name: str) -> Any:
        """A value of its type, None when it was not given."""
        return self.values.get(name)

    def flag(self, name: str) -> bool:
        """A boolean input, false when it was not given."""
        return bool(self.values.get(name, False))

    def missing(self, needed: str) -> Refused:
        """The refusal for want of an input."""
        facts = {"operation": self.operation, "needed": needed, "allowed": self.allowed}
        return Refused(Issue("input-missing", "", facts))

    def disagree(self, names: tuple[str, ...], english: str, norwegian: str = "") -> Refused:
        """The refusal of inputs that say different things."""
        facts = {"operation": self.operation, "names": names, "reason": english, "grunn": norwegian or english}
        return Refused(Issue("inputs-disagree", names[0], facts))


def read_inputs(request: Request, inputs: Inputs) -> Arguments:
    """Return what a request gives an operation; Refused with every fault."""
    found = Arguments(inputs.operation, list(inputs.takes))
    faults: list[Issue] = []
    for name, held in _given(request):
        try:
            _take(found, inputs, name, held)
        except Refused as refused:
            faults += refused.issues
    if faults:
        raise Refused(*faults)
    return found


def _given(request: Request) -> Iterator[tuple[str, Any]]:
    """Names with what they hold: a text of query string or form, or a parameter of the resource."""
    for name, value in pairs_of(request.query):
        refuse_person_number(f"{name} {value}", request.type)
        yield name, value
    if not request.body:
        return
    media = request.headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    if media == FORM:
        yield from pairs_of(request.body)
    elif media in JSON:
        yield from _parameters(request.body)
    else:
        raise Refused(Issue("media-type-unsupported", "", {"allowed": ACCEPTED}))


def _parameters(body: bytes) -> Iterator[tuple[str, Any]]:
    try:
        resource = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        at = f"{error.lineno}:{error.colno}"
        raise _no_parameters(f"JSON ends or breaks at {at}", f"JSON slutter eller brytes ved {at}") from None
    if not isinstance(resource, dict) or resource.get("resourceType") != "Parameters":
        raise _no_parameters("resourceType is not Parameters", "resourceType er ikke Parameters")
    listed = resource.get("parameter", [])
    if not isinstance(listed, list):
        raise _no_parameters("parameter is no list", "parameter er ingen liste")
    for number, each in enumerate(listed):
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise _no_parameters(f"parameter[{number}] has no name", f"parameter[{number}] mangler name")
        yield each["name"], each


def _no_parameters(english: str, norwegian: str) -> Refused:
    return Refused(Issue("body-not-parameters", "Parameters", {"reason": english, "grunn": norwegian}))


def _take(found: Arguments, inputs: Inputs, name: str, held: Any) -> None:
    """Put one input among the arguments; Refused when it is unknown, repeated or of another type."""
    if name in GENERAL and isinstance(held, str):
        _general(found, name, held)
        return
    spec = inputs.takes.get(name)
    if spec is None:
        raise Refused(_unknown(inputs, name))
    kind, example, _ = spec
    if name in found.values and name not in inputs.repeatable:
        raise Refused(Issue("parameter-repeated", name, {"name": name}))
    try:
        value = _value(kind, held)
    except ValueError as error:
        english, norwegian = error.args
        facts = {"name": name, "type": kind, "reason": english, "grunn": norwegian, "example": example}
        raise Refused(Issue("input-invalid", name, facts)) from None
    if name in inputs.repeatable:
        found.values.setdefault(name, []).append(value)
    else:
        found.values[name] = value


def _general(found: Arguments, name: str, value: str) -> None:
    if name == "_format":
        check_format(value)
    else:
        found.indented = is_pretty(value)


def _unknown(inputs: Inputs, name: str) -> Issue:
    if name in inputs.of_path:
        reasons = {
            "reason": "the resource in the path says which it is", "grunn": "ressursen i stien sier hvilken det er",
        }  # fmt: skip
        return Issue("inputs-disagree", name, {"operation": inputs.operation, "names": (name, "id"), **reasons})
    said, allowed = shown(name), [*inputs.takes, *GENERAL]
    facts = {"operation": inputs.operation, "name": said, "allowed": allowed, **near(said, allowed)}
    return Issue("input-not-served" if name in inputs.not_served else "input-unknown", said, facts)


def _value(kind: str, held: Any) -> Any:
    """The value of an input; ValueError says what is wrong, in en and nb, without repeating it."""
    if isinstance(held, str):
        if kind in IN_A_BODY:
            raise ValueError(
                "it can be sent in a Parameters resource only, with POST",
                "den kan bare sendes i en Parameters-ressurs, med POST",
            )
        return READ[kind](held)
    members = [member for member in held if member.startswith("value")]
    if len(members) != 1 or members[0] not in HELD_BY[kind]:
        names = ", ".join(HELD_BY[kind])
        raise ValueError(f"one of {names} is expected", f"en av {names} ventes")
    value = held[members[0]]
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "integer" and isinstance(value, int) and not isinstance(value, bool):
        return READ[kind](str(value))
    if kind in IN_A_BODY:
        return coding(value) if kind == "Coding" else _concept(value)
    if not isinstance(value, str):
        raise ValueError("the JSON is of another type", "verdien i JSON er av en annen type")
    return READ[kind](value)


def coding(value: Any) -> dict[str, str]:
    """A Coding with its texts checked; what else it holds is left out."""
    if not isinstance(value, dict):
        raise ValueError("the JSON is of another type", "verdien i JSON er av en annen type")
    if not isinstance(value.get("code"), str):
        raise ValueError("it has no code", "den mangler code")
    return {name: _text(value[name]) for name in ("system", "version", "code", "display") if name in value}


def _concept(value: Any) -> dict[str, Any]:
    codings = value.get("coding") if isinstance(value, dict) else None
    if not isinstance(codings, list) or not codings:
        raise ValueError("it has no coding", "den mangler coding")
    return {"coding": [coding(each) for each in codings]}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("the JSON is of another type", "verdien i JSON er av en annen type")
    if not value.strip():
        raise ValueError("it is empty", "den er tom")
    if len(value) > TEXT_LIMIT or not value.isprintable():
        raise ValueError(
            f"it has control characters or more than {TEXT_LIMIT}",
            f"den har kontrolltegn eller flere tegn enn {TEXT_LIMIT}",
        )
    return value


def _code(value: str) -> str:
    if value != value.strip() or "  " in value:
        raise ValueError("a code has no spaces around it", "en kode har ikke mellomrom rundt seg")
    return _text(value)


def _boolean(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("it is neither true nor false", "den er verken true eller false")
    return value == "true"


def _integer(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError("it is no whole number from 0 up", "den er ikke et helt tall fra 0")
    return int(value)


def _day(value: str) -> date:
    """A day in Norway: a date, or an instant, which has an offset and falls on one day there."""
    try:
        if DAY.fullmatch(value):
            return date.fromisoformat(value)
        if INSTANT.fullmatch(value):
            return datetime.fromisoformat(value).astimezone(OSLO).date()
    except (ValueError, OverflowError):  # no such day, or one beyond the years that there are
        pass
    raise ValueError(
        "a whole day is needed, or a time with seconds and its offset",
        "en hel dato trengs, eller et tidspunkt med sekunder og tidssone",
    )


def _span(value: str) -> str:
    """A date of any precision, as it was written: what it covers is for its reader to say."""
    if len(value) > len("2024-01-31") or date_range(value) is None:
        raise ValueError("dates are YYYY, YYYY-MM or YYYY-MM-DD", "datoer er ÅÅÅÅ, ÅÅÅÅ-MM eller ÅÅÅÅ-MM-DD")
    return value


def _instant(value: str) -> str:
    """An instant as it was written; a plus sign that a URL turned into a space is a plus again."""
    value = value.replace(" ", "+")
    try:
        if INSTANT.fullmatch(value):
            datetime.fromisoformat(value).astimezone(UTC)
            return value
    except (ValueError, OverflowError):
        pass
    raise ValueError("a time with seconds and its offset is needed", "et tidspunkt med sekunder og tidssone trengs")


READ: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {
        "string": _text,
        "code": _code,
        "uri": _text,
        "boolean": _boolean,
        "integer": _integer,
        "date": _span,
        "instant": _instant,
        "dateTime": _day,
    }
)
