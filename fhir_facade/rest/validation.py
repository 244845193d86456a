"""The operation $validate: a resource, a Bundle, lines of resources or what is stored, judged without being kept.

https://hl7.org/fhir/R4/resource-operation-validate.html. The operation succeeds, with status 200, also when the
resource does not keep to the rules; only what cannot be read is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_facade.definitions import definitions
from fhir_facade.json_text import Placed, Reading, located, read_text
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import FIXED, Answer, pretty
from fhir_facade.rest.canonical_resources import TYPES as CANONICAL_TYPES
from fhir_facade.rest.canonical_resources import by_id
from fhir_facade.rest.negotiation import language
from fhir_facade.rest.parameters_in import Arguments, Inputs, read_inputs
from fhir_facade.rest.read import FHIR_ID, look_up
from fhir_facade.rest.services import Interaction, Request, Services
from fhir_facade.validation_stream import Judged, judge_reading, judge_text, outcome_of

CANONICAL = "http://hl7.org/fhir/OperationDefinition/Resource-validate"
NAME = "$validate"
JSON_TYPES = (b"application/fhir+json", b"application/json", b"text/json")
NDJSON = b"application/fhir+ndjson"
NDJSON_TYPES = (NDJSON, b"application/ndjson", b"application/x-ndjson")
ACCEPTED = b", ".join((*JSON_TYPES[:2], NDJSON)).decode()
MODES = ("create", "update", "delete", "profile")
MOST_LINES = 5_000
MOST_SHOWN = 5_000
"""Issues of one answer over many lines; beyond it a line shows its first only, and how many there are."""

INPUTS = Inputs(
    NAME,
    {
        "profile": (
            "uri",
            "http://hl7.org/fhir/StructureDefinition/Encounter",
            "A profile to judge by, besides those that the resource claims; url or url|version.",
        ),
        "mode": ("code", "create", "create, update, delete or profile: what the resource is to be good for."),
    },
    repeatable=frozenset({"profile"}),
    not_served=frozenset({"resource"}),
)
NO_BODY = frozenset({"delete", "profile"})


@dataclass(frozen=True, slots=True)
class Text:
    """What a body holds: the text, and the resource in it when it stands inside Parameters."""

    content: bytes
    reading: Reading
    resource: Any
    within: str = ""


def validate(services: Services, request: Request) -> Answer:
    """Answer with the OperationOutcome of a resource; with one a line when lines were sent."""
    if request.id and not FHIR_ID(request.id):
        raise Refused(Issue("id-invalid", f"{request.type}.id"))
    arguments = read_inputs(_without_body(request), INPUTS)
    media = request.headers.get(b"content-type", b"").split(b";")[0].strip().lower()
    tongue = language(request.headers.get(b"accept-language", b""))
    if request.body:
        _check_media(request, media)
        if media in NDJSON_TYPES:
            return _lines(services, request, arguments, tongue)
        text = _text(request, arguments)
        if isinstance(text, Answer):
            return text
        if text is not None:
            return _answer(_of_body(services, request, arguments, text), arguments, tongue)
    return _of_path(services, request, arguments, tongue)


def is_resource_type(name: str) -> bool:
    """Whether a resource of this type can be judged, served or not."""
    return name in definitions().resource_types


# ---- what is asked


def _without_body(request: Request) -> Request:
    bare = Request(request.method, request.query, request.headers, request.request_id)
    bare.type = request.type
    return bare


def _check_media(request: Request, media: bytes) -> None:
    said = request.headers.get(b"content-type", b"").lower().replace(b" ", b"").replace(b'"', b"")
    charset = said.partition(b"charset=")[2].split(b";")[0]
    if (media and media not in (*JSON_TYPES, *NDJSON_TYPES)) or charset not in (b"", b"utf-8", b"utf8"):
        raise Refused(Issue("media-type-unsupported", "", {"allowed": ACCEPTED}))


def _text(request: Request, arguments: Arguments) -> Text | Answer | None:
    """The resource of a body, None when there is none in its Parameters; an answer when it cannot be read."""
    content = request.body or b""
    reading = read_text(content, len(content))
    if reading.resource is None:
        status = max(each.issue.entry.status for each in reading.issues)
        tongue = language(request.headers.get(b"accept-language", b""))
        return Answer(status, orjson.dumps(outcome_of(reading.issues, tongue)), (b"content-language", tongue.encode()))
    if reading.resource.get("resourceType") != "Parameters":
        return Text(content, reading, reading.resource)
    found = _inputs(reading.resource, arguments, itself=request.type == "Parameters")
    if found == "":
        return Text(content, reading, reading.resource)
    if found is None:
        return None
    resource = _at(reading.resource, found)
    if not isinstance(resource, dict):
        raise _no_parameters("parameter 'resource' has no resource", "parameter 'resource' har ingen ressurs")
    return Text(content, reading, resource, f"Parameters.parameter[{found}].resource")


def _at(parameters: Mapping[str, Any], place: str) -> Any:
    return parameters["parameter"][int(place)].get("resource")


def _inputs(parameters: Mapping[str, Any], arguments: Arguments, *, itself: bool) -> str | None:
    """Take the inputs of a Parameters resource; the place of the one called resource, None when there is none.

    "" when the Parameters resource is what is to be judged, as its own path says.
    """
    listed = parameters.get("parameter", [])
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        if itself:
            return ""
        raise _no_parameters("parameter is no list of objects", "parameter er ingen liste av objekter")
    places = [str(place) for place, each in enumerate(listed) if each.get("name") == "resource"]
    if itself and not places:
        return ""
    for each in listed:
        name = each.get("name")
        if name in ("profile", "mode"):
            _take(arguments, name, each)
        elif name != "resource":
            raise _no_parameters(
                "its parameters are resource, profile and mode", "parametrene er resource, profile og mode"
            )
    if len(places) > 1:
        raise Refused(Issue("parameter-repeated", "resource", {"name": "resource"}))
    return places[0] if places else None


def _take(arguments: Arguments, name: str, parameter: Mapping[str, Any]) -> None:
    """Put a parameter of the body among the arguments; what the URL says too must be the same."""
    held = [value for member, value in parameter.items() if member.startswith("value")]
    if len(held) != 1 or not isinstance(held[0], str) or not held[0].strip():
        raise _invalid(name, "one text is expected", "én tekst ventes")
    if name == "profile":
        arguments.values.setdefault("profile", []).append(held[0].strip())
    elif arguments.values.setdefault("mode", held[0]) != held[0]:
        raise arguments.disagree(("mode",), "they differ", "de er ulike")


def _no_parameters(english: str, norwegian: str) -> Refused:
    return Refused(Issue("body-not-parameters", "Parameters", {"reason": english, "grunn": norwegian}))


def _invalid(name: str, english: str, norwegian: str) -> Refused:
    kind, example, _ = INPUTS.takes[name]
    facts = {"name": name, "type": kind, "reason": english, "grunn": norwegian, "example": example}
    return Refused(Issue("input-invalid", name, facts))


def _mode(arguments: Arguments) -> str:
    mode = arguments.text("mode")
    if mode and mode not in MODES:
        listed = ", ".join(MODES)
        raise _invalid("mode", f"it is none of {listed}", f"den er ingen av {listed}")
    return mode


# ---- what is judged


def _of_body(services: Services, request: Request, arguments: Arguments, text: Text) -> Judged:
    mode = _mode(arguments)
    if mode == "profile" and request.id:
        raise arguments.disagree(
            ("mode", "resource"), "with mode profile what is stored is judged", "med mode profile vurderes det lagrede"
        )
    profiles = arguments.get("profile") or ()
    if mode == "delete":
        judged = Judged((), 0, True, request.type)
    else:
        today = services.now().date()
        judged = judge_reading(
            services.validator(), text.reading, text.content, profiles,
            within=text.within, resource=text.resource, on=today,
        )  # fmt: skip
    return _with(judged, _request_issues(request, mode, text.resource), text)


def _request_issues(request: Request, mode: str, resource: Mapping[str, Any]) -> list[Issue]:
    """What is wrong between a resource and the request that it came with."""
    name = resource.get("resourceType")
    if not isinstance(name, str) or not is_resource_type(name):
        return []  # the validator says it
    found = []
    if request.type and name != request.type:
        found.append(Issue("type-not-of-path", f"{name}.resourceType", {"found": name, "type": request.type}))
    if mode == "update" and "id" not in resource:
        found.append(Issue("id-needed-for-update", name))
    elif mode != "create" and request.id and resource.get("id", request.id) != request.id:
        found.append(Issue("id-not-of-path", f"{name}.id"))
    return found


def _with(judged: Judged, issues: list[Issue], text: Text) -> Judged:
    if not issues:
        return judged
    placed = (*located(text.content, issues, text.within), *judged.issues)
    return Judged(placed, judged.count + len(issues), False, judged.type)


def _of_path(services: Services, request: Request, arguments: Arguments, tongue: str) -> Answer:
    """Judge what is served under the id of the path; without one there is nothing to judge."""
    mode = _mode(arguments)
    if not request.id:
        needed = "an id in the path" if mode in NO_BODY else "a resource"
        raise Refused(Issue("input-missing", "", {"operation": NAME, "needed": needed, "allowed": list(INPUTS.takes)}))
    content = _served(services, request)
    if mode == "delete":
        placed = Placed(Issue("resource-exists", request.type, {"type": request.type}))
        return _answer(Judged((placed,), 1, True, request.type), arguments, tongue)
    profiles = arguments.get("profile") or ()
    judged = judge_text(services.validator(), content, profiles, on=services.now().date())
    # lines and columns are those of our own text, which nobody has
    placeless = tuple(Placed(each.issue) for each in judged.issues)
    return _answer(Judged(placeless, judged.count, judged.valid, judged.type), arguments, tongue)


def _served(services: Services, request: Request) -> bytes:
    """What a read of the path answers; Refused when there is no such resource."""
    if request.type in CANONICAL_TYPES:
        return orjson.dumps(by_id(services, request.type, request.id).make())
    mapping, record = look_up(services.mapping_set, services.store, request.type, request.id)
    issues: list[Issue] = []
    return mapping.serve(record, issues)


# ---- answers


def _answer(judged: Judged, arguments: Arguments, tongue: str) -> Answer:
    body = orjson.dumps(outcome_of(judged.issues, tongue))
    return Answer(200, pretty(body) if arguments.indented else body, (b"content-language", tongue.encode()))


def _lines(services: Services, request: Request, arguments: Arguments, tongue: str) -> Answer:
    """One OperationOutcome for each line that is not blank, in their order."""
    content = request.body or b""
    mode, profiles, today = _mode(arguments), arguments.get("profile") or (), services.now().date()
    if request.id or mode in NO_BODY:
        raise arguments.disagree(
            ("mode", "resource"), "lines are to be created or updated, and have no id in the path",
            "linjer skal opprettes eller oppdateres, og har ingen id i stien",
        )  # fmt: skip
    if content.count(b"\n") > MOST_LINES:
        raise Refused(Issue("lines-too-many", "", {"limit": MOST_LINES}))
    shown, out = 0, []
    for number, line in _numbered(content):
        judged = judge_text(services.validator(), line, profiles, line=number, on=today)
        if judged.readable and (request.type or mode):
            reading = read_text(line)
            text = Text(line, reading, reading.resource)
            judged = _with(judged, _request_issues(request, mode, text.resource), text)
        issues = judged.issues
        if shown > MOST_SHOWN and len(issues) > 1:
            cut = Issue("issues-cut-off", "", {"shown": 1, "count": judged.count})
            issues = (_worst(issues), Placed(cut))
        shown += len(issues)
        out.append(orjson.dumps(outcome_of(issues, tongue), option=orjson.OPT_APPEND_NEWLINE))
    answer = Answer(200, b"".join(out), (b"content-language", tongue.encode()))
    answer.headers[: len(FIXED)] = [(b"content-type", NDJSON), *FIXED[1:]]
    return answer


def _worst(issues: tuple[Placed, ...]) -> Placed:
    return next((each for each in issues if each.issue.is_error), issues[0])


def _numbered(content: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            yield number, line


def _row(method: str, template: str, documentation: str) -> Interaction:
    return Interaction(
        "validate", method, template, validate, documentation,
        takes_body=method == "POST", takes_resource=method == "POST",
        operation=CANONICAL, takes=INPUTS.takes, answers=("OperationOutcome",),
    )  # fmt: skip


VALIDATION: tuple[Interaction, ...] = (
    _row("POST", f"/{NAME}", "Judge a resource, a Bundle, or lines of resources; nothing is kept."),
    _row("POST", f"/{{type}}/{NAME}", "Judge a resource of this type, or lines of them; nothing is kept."),
    _row("POST", f"/{{type}}/{{id}}/{NAME}", "Judge what is to take the place of this resource; nothing is kept."),
    _row("GET", f"/{{type}}/{{id}}/{NAME}", "Judge this resource as it is served."),
)
