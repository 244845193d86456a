"""What the values of parameters may look like, as JSON schemas: no wider and no narrower than what is read.

https://hl7.org/fhir/R4/search.html. A rule that a schema cannot tell stands in the words of the parameter, and its
refusal in those of the 400.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.mapping.search_values import PREFIXES
from fhir_facade.rest.capabilities import MODES
from fhir_facade.rest.lineage import FORMS
from fhir_facade.rest.measures import KINDS as REPORTED
from fhir_facade.rest.negotiation import FORMATS, JSON, NDJSON, XML
from fhir_facade.rest.npr_check import FORMS as CHECK_FORMS
from fhir_facade.rest.npr_told import LEVELS
from fhir_facade.rest.parameters import TOTALS
from fhir_facade.rest.subset import SUMMARIES
from fhir_facade.rest.validation import MODES as VALIDATED_FOR

MOST_DIGITS = 999_999_999
"""Larger numbers are not read; those above the limit of a page mean the limit."""

_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_FOURTH = "(?:0[48]|[2468][048]|[13579][26])"
_LEAP = f"(?:[0-9]{{2}}{_FOURTH}|{_FOURTH}00)-02-29"
_LONG, _SHORT = "(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])", "(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
_DAY = f"(?:{_YEAR}-(?:{_LONG}|{_SHORT}|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP})"
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_ZONE = "(?:Z|[+-][0-9]{2}:[0-9]{2})"
_TIME = f"T{_CLOCK}(?::[0-5][0-9](?:\\.[0-9]+)?)?{_ZONE}?"
_INSTANT = f"{_DAY}T{_CLOCK}:[0-5][0-9](?:\\.[0-9]+)?(?:Z|[+-]{_CLOCK})"
_SPAN = f"(?:{_YEAR}(?:-(?:0[1-9]|1[0-2]))?|{_DAY})"
_DATE = f"(?:{'|'.join(PREFIXES)})?(?:{_YEAR}(?:-(?:0[1-9]|1[0-2]))?|{_DAY}(?:{_TIME})?)"

# Values stand between commas that no backslash guards; the last character may be a backslash that guards nothing.
_CONTROL = "\\u0000-\\u001f\\u007f-\\u009f"
_TEXT = f"(?:[^,\\\\{_CONTROL}]|\\\\[^{_CONTROL}])+"
_LETTER, _BAR = f"(?:[^,|\\\\{_CONTROL}]|\\\\[^{_CONTROL}])", "\\|"
_TOKEN = f"(?:{_LETTER}+(?:{_BAR}{_LETTER}*)?|{_BAR}{_LETTER}+)"
_INNER = f"(?:[^,|$\\\\{_CONTROL}]|\\\\[^{_CONTROL}])"
_PART = f"(?:{_INNER}+(?:{_BAR}{_INNER}*)?|{_BAR}{_INNER}+)"

# A slash is never guarded: a backslash before it is the end of what stands there.
_PLAIN = f"(?:[^,/\\\\{_CONTROL}]|\\\\[^/{_CONTROL}])"
_PATH = f"(?:{_PLAIN}|\\\\?/)"
_ABSOLUTE = f"{_PATH}*\\\\?://{_PATH}*\\\\?/"

_PATTERNS = {"instant": f"^{_INSTANT}$", "dateTime": f"^(?:{_INSTANT}|{_DAY})$", "date": f"^{_SPAN}$"}

VALUES: Mapping[str, dict[str, Any]] = {
    "search-date": {
        "type": "string",
        "description": "Dates and times of any precision, each with a prefix or none, separated by commas.",
        "pattern": f"^{_DATE}(?:,{_DATE})*$",
    },
    "search-token": {
        "type": "string",
        "description": "code, system|code, |code or system|, separated by commas.",
        "pattern": f"^(?:{_TOKEN},)*(?:{_TOKEN}\\\\?|(?:{_BAR})?\\\\)$",
    },
    "search-composite": {
        "type": "string",
        "description": "Two tokens with a dollar sign between them, separated by commas.",
        "pattern": f"^(?:{_PART}\\${_PART},)*{_PART}\\${_PART}$",
    },
    "search-text": {
        "type": "string",
        "description": "Values separated by commas, none of them empty.",
        "pattern": f"^(?:{_TEXT},)*(?:{_TEXT}\\\\?|\\\\)$",
    },
}
"""Component schemas of the values of search parameters."""

_SEARCHED = {"date": "search-date", "token": "search-token", "composite": "search-composite"}
_FORMATS = {JSON: (JSON, "application/fhir+json"), XML: (XML, "application/fhir+xml")}
_LINES = (NDJSON, "application/fhir+ndjson")
_CODES: Mapping[str, Sequence[str]] = {"_total": TOTALS, "form": FORMS, "mode": MODES}
_INPUT_CODES: Mapping[str, Sequence[str]] = {
    "form": CHECK_FORMS,
    "level": LEVELS,
    "mode": VALIDATED_FOR,
    "reportType": tuple(REPORTED),
}


def of_search(kind: str, example: str, targets: Sequence[str] = ()) -> dict[str, Any]:
    """The schema of a search parameter of an R4 type; `targets` are those that a reference may be to."""
    if kind == "reference" and targets:
        return {"type": "string", "pattern": reference_pattern(targets), "examples": [example], "x-fhir-type": kind}
    name = _SEARCHED.get(kind, "search-text")
    return {"$ref": f"#/components/schemas/{name}", "examples": [example], "x-fhir-type": kind}


def reference_pattern(targets: Sequence[str]) -> str:
    """What values of references to these types look like: id, Type/id or an absolute URL, separated by commas."""
    lead = f"(?:(?:{'|'.join(targets)})/|{_ABSOLUTE})?"
    return f"^(?:{lead}{_PLAIN}+,)*{lead}(?:{_PLAIN}+\\\\?|\\\\)$"


def of_result(name: str, kind: str, example: str, types: Sequence[str], *, lines: bool, counting: bool) -> Any:
    """The schema of a parameter that shapes an answer of some types.

    `lines` says whether NDJSON may be asked for, `counting` whether there is something to count.
    """
    schema = _of_kind(kind)
    if name == "_format":
        named = [*_FORMATS[JSON], *_FORMATS[XML], *(_LINES if lines else ())]
        assert set(named) <= FORMATS.keys()  # noqa: S101 what is printed is read
        schema = {"type": "string", "enum": named}
    elif name == "_summary":
        schema = {"type": "string", "enum": [each for each in SUMMARIES if counting or each != "count"]}
    elif name in _CODES:
        schema = {"type": "string", "enum": list(_CODES[name])}
    elif name == "_elements" and types:
        schema = listed(set.intersection(*(set(_elements(each)) for each in types)) | {"resourceType"})
    return schema | ({"examples": [_example(kind, example)]} if example else {})


def listed(names: Iterable[str], sign: str = "") -> dict[str, Any]:
    """Names separated by commas, each perhaps with a sign before it."""
    plain = sorted(each.replace("[x]", "\\[x\\]") for each in names)
    one = f"{sign}(?:{'|'.join(plain)})"
    return {"type": "string", "pattern": f"^{one}(?:,{one})*$"}


def of_input(name: str, kind: str, example: str) -> dict[str, Any]:
    """The schema of an input of an operation."""
    if name in _INPUT_CODES:
        return {"type": "string", "enum": list(_INPUT_CODES[name]), "examples": [example], "x-fhir-type": kind}
    schema = _of_kind(kind)
    if name == "_count":
        schema["minimum"] = 1  # an operation that counts nothing has nothing to say
    return schema | {"examples": [_example(kind, example)] if example else [], "x-fhir-type": kind}


def _of_kind(kind: str) -> dict[str, Any]:
    if kind == "boolean":
        return {"type": "boolean"}
    if kind == "integer":
        return {"type": "integer", "minimum": 0, "maximum": MOST_DIGITS}
    return {"type": "string", "pattern": _PATTERNS.get(kind, f"^[^{_CONTROL}]+$")}


def _example(kind: str, example: str) -> Any:
    return {"boolean": lambda: example == "true", "integer": lambda: int(example)}.get(kind, lambda: example)()


def _elements(resource_type: str) -> Iterable[str]:
    """What `_elements` may name of a type."""
    table = definitions()
    for name in table.children(resource_type):
        element = table.element(f"{resource_type}.{name}")
        last = element.path.rpartition(".")[2] if element else name
        yield from (name, last, last.removesuffix("[x]"))
