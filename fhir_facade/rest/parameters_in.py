"""The inputs of an operation, from query string, form or Parameters resource, as plain values of their types.

https://hl7.org/fhir/R4/operations.html#request: what is primitive may stand in the query string; Coding and
CodeableConcept travel in a Parameters resource only. Every name is known and every value read, or it is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from fhir_facade.mapping.findings import nearest
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.query_string import GENERAL, check_format, is_pretty, pairs_of, refuse_person_number
from fhir_facade.rest.services import Request
from fhir_facade.store.batches import shown

FORM = b"application/x-www-form-urlencoded"
JSON = (b"application/fhir+json", b"application/json")
ACCEPTED = b", ".join((*JSON, FORM)).decode()
OSLO = ZoneInfo("Europe/Oslo")
TEXT_LIMIT = 4096
DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

TEXTS = ("valueString", "valueCode", "valueUri", "valueCanonical", "valueUrl", "valueOid", "valueId", "valueMarkdown")
HELD_BY: Mapping[str, tuple[str, ...]] = {
    "string": TEXTS,
    "code": TEXTS,
    "uri": TEXTS,
    "boolean": ("valueBoolean",),
    "integer": ("valueInteger", "valueUnsignedInt", "valuePositiveInt"),
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

    def disagree(self, names: tuple[str, ...], reason: str) -> Refused:
        """The refusal of inputs that say different things."""
        return Refused(
            Issue("inputs-disagree", names[0], {"operation": self.operation, "names": names, "reason": reason})
        )


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
        raise _no_parameters(f"JSON ends or breaks at line {error.lineno}, column {error.colno}") from None
    if not isinstance(resource, dict) or resource.get("resourceType") != "Parameters":
        raise _no_parameters("resourceType is not Parameters")
    listed = resource.get("parameter", [])
    if not isinstance(listed, list):
        raise _no_parameters("parameter is no list")
    for number, each in enumerate(listed):
        if not isinstance(each, dict) or not isinstance(each.get("name"), str):
            raise _no_parameters(f"parameter[{number}] has no name")
        yield each["name"], each


def _no_parameters(reason: str) -> Refused:
    return Refused(Issue("body-not-parameters", "Parameters", {"reason": reason}))


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
        facts = {"name": name, "type": kind, "reason": str(error), "example": example}
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
        reason = "the resource in the path says which it is"
        return Issue("inputs-disagree", name, {"operation": inputs.operation, "names": (name, "id"), "reason": reason})
    said, allowed = shown(name), [*inputs.takes, *GENERAL]
    facts = {"operation": inputs.operation, "name": said, "allowed": allowed, "nearest": nearest(said, allowed)}
    return Issue("input-not-served" if name in inputs.not_served else "input-unknown", said, facts)


def _value(kind: str, held: Any) -> Any:
    """The value of an input; ValueError says what is wrong without repeating it."""
    if isinstance(held, str):
        if kind in IN_A_BODY:
            raise ValueError("it can be sent in a Parameters resource only, with POST")
        return READ[kind](held)
    members = [member for member in held if member.startswith("value")]
    if len(members) != 1 or members[0] not in HELD_BY[kind]:
        raise ValueError(f"one of {', '.join(HELD_BY[kind])} is expected")
    value = held[members[0]]
    if kind == "boolean" and isinstance(value, bool):
        return value
    if kind == "integer" and isinstance(value, int) and not isinstance(value, bool):
        return READ[kind](str(value))
    if kind in IN_A_BODY:
        return coding(value) if kind == "Coding" else _concept(value)
    if not isinstance(value, str):
        raise ValueError("the JSON is of another type")
    return READ[kind](value)


def coding(value: Any) -> dict[str, str]:
    """A Coding with its texts checked; what else it holds is left out."""
    if not isinstance(value, dict):
        raise ValueError("the JSON is of another type")
    if not isinstance(value.get("code"), str):
        raise ValueError("it has no code")
    return {name: _text(value[name]) for name in ("system", "version", "code", "display") if name in value}


def _concept(value: Any) -> dict[str, Any]:
    codings = value.get("coding") if isinstance(value, dict) else None
    if not isinstance(codings, list) or not codings:
        raise ValueError("it has no coding")
    return {"coding": [coding(each) for each in codings]}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("the JSON is of another type")
    if not value.strip():
        raise ValueError("it is empty")
    if len(value) > TEXT_LIMIT or not value.isprintable():
        raise ValueError(f"it has control characters or more than {TEXT_LIMIT}")
    return value


def _code(value: str) -> str:
    if value != value.strip() or "  " in value:
        raise ValueError("a code has no spaces around it")
    return _text(value)


def _boolean(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("it is neither true nor false")
    return value == "true"


def _integer(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError("it is no whole number from 0 up")
    return int(value)


def _day(value: str) -> date:
    """A day in Norway: a date, or an instant, which has an offset and falls on one day there."""
    try:
        if DAY.fullmatch(value):
            return date.fromisoformat(value)
        instant = datetime.fromisoformat(value)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError("a whole day is needed, or a time with its offset")
    return instant.astimezone(OSLO).date()


READ: Mapping[str, Callable[[str], Any]] = MappingProxyType(
    {"string": _text, "code": _code, "uri": _text, "boolean": _boolean, "integer": _integer, "dateTime": _day}
)
