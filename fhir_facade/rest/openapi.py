"""OpenAPI 3.1 and a file of example requests: prints of the surface table and the search parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from fhir_facade.mapping.compartments import compartments
from fhir_facade.rest.canonical_resources import TYPES as CANONICAL_TYPES
from fhir_facade.rest.capabilities import described
from fhir_facade.rest.compartments import ALL
from fhir_facade.rest.everything import CODE as EVERYTHING
from fhir_facade.rest.everything import types_of
from fhir_facade.rest.formats import gives_lines
from fhir_facade.rest.includes import ANY, INCLUDE, REVINCLUDE, forward_values, reverse_values
from fhir_facade.rest.includes import NAMES as INCLUDES
from fhir_facade.rest.measure_resources import TYPE as MEASURE
from fhir_facade.rest.measures import EXAMPLE as EVALUATE_EXAMPLE
from fhir_facade.rest.measures import NAME as EVALUATE
from fhir_facade.rest.openapi_values import VALUES, listed, of_input, of_result, of_search
from fhir_facade.rest.parameters import COUNT_DEFAULT, RESULT_PARAMETERS
from fhir_facade.rest.parameters_in import IN_A_BODY
from fhir_facade.rest.scope import TYPE, TYPE_TAKES, common_parameters
from fhir_facade.rest.services import Interaction
from fhir_facade.rest.surface import SURFACE
from fhir_facade.rest.terminology import OPERATIONS
from fhir_facade.rest.terminology_search import search_parameters

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import MappingSet
    from fhir_facade.mapping.to_where import SearchPlan

MEDIA = "application/fhir+json"
VERSION_ID = "^[0-9]{1,15}-[0-9a-f]{8}$"
AS_XML = "application/fhir+xml"
LINES = "application/fhir+ndjson"
FORM = "application/x-www-form-urlencoded"
JSON_PATCH, MERGE_PATCH = "application/json-patch+json", "application/merge-patch+json"
EXAMPLE_BASE = "http://127.0.0.1:8000/fhir"
FAULTS = {
    "400": "A parameter, a value or an id is wrong.",
    "404": "Nothing is served here.",
    "405": "The method is not served here; Allow says which are.",
    "406": "The format cannot be given.",
    "409": "What is stored stands in the way: it is there already, or is referred to.",
    "410": "The link to a page is too old, or the resource is deleted.",
    "412": "A condition does not hold: another version is stored, or several resources meet the criteria.",
    "413": "The body is larger than is read here.",
    "415": "The body is of a media type that is not read here.",
    "422": "One answer cannot hold all that is asked for, or it is not evaluated here.",
    "428": "This server wants If-Match with every change.",
    "500": "Something failed inside the server.",
    "503": "The store does not answer, or too much is waiting; Retry-After says when to ask again.",
}
BODY_FAULTS = {"413", "415"}
CHANGE_FAULTS = {"409", "412", "428"}
CHANGES = ("create", "update", "patch", "delete")
HISTORIES = ("history-instance", "history-type", "history-system")
SEARCHES = ("search-type", "search-system", "search-compartment")
AS_TEXT = {"schema": {"type": "string"}}
"""What is said of a format that a JSON schema cannot describe."""
SHAPING = {*RESULT_PARAMETERS} - {"_count", "_page"}
JUDGING = ("validate", "npr-check")
VERSIONED = ("read", "vread", "lineage")
"""Interactions whose answer has a version that can be asked about."""


def openapi(
    mapping_set: MappingSet,
    base_url: str = EXAMPLE_BASE,
    version: str = "0.1.0",
    surface: Sequence[Interaction] = SURFACE,
) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of everything under /fhir: a path for each type and interaction."""
    paths: dict[str, dict[str, Any]] = {}
    for row in surface:
        for place in _places(mapping_set, row):
            operation = _operation(mapping_set, row, place)
            paths.setdefault(place.path, {})[row.method.lower()] = operation
            if row.method == "GET":
                head = {**operation, "operationId": operation["operationId"] + "-head"}
                paths[place.path]["head"] = head
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "fhir_facade",
            "version": version,
            "summary": "Norwegian hospital records as HL7 FHIR R4",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": base_url}],
        "tags": [{"name": resource_type} for resource_type in sorted({*mapping_set.by_type, *CANONICAL_TYPES})],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": _schemas(mapping_set), "responses": _fault_responses()},
    }


class Place(NamedTuple):
    """Where a row is served: its path, the type that it is for ("" for several), and the types that it searches."""

    path: str
    type: str
    searched: tuple[str, ...]
    compartment: str = ""


def _places(mapping_set: MappingSet, row: Interaction) -> Iterator[Place]:
    served = tuple(mapping_set.by_type)
    if "{compartment}" in row.template:
        for each in compartments(mapping_set.search).values():
            path = row.template.replace("{compartment}", each.type)
            for name in each.types:
                yield Place(path.replace("{type}", name), name, (name,), each.type)
            yield Place(path.replace("{type}", ALL), "", tuple(each.types), each.type)
    elif "{type}" in row.template:
        for name in sorted({*served, *(CANONICAL_TYPES if row.code == "validate" else ())}):
            yield Place(row.template.replace("{type}", name), name, (name,))
    else:
        first = row.template.split("/")[1]
        if row.code != EVERYTHING or first in compartments(mapping_set.search):
            whole = row.code == EVERYTHING
            typed = first in CANONICAL_TYPES or whole
            found = tuple(types_of(mapping_set.search, first)) if whole else served
            yield Place(row.template, first if typed else "", found)


def _operation(mapping_set: MappingSet, row: Interaction, place: Place) -> dict[str, Any]:
    resource_type = place.type
    parameters = list(_parameters(mapping_set, row, place))
    on_instances = row.operation and "{id}" in row.template
    level = "instance" if on_instances and (resource_type in CANONICAL_TYPES or row.code in JUDGING) else ""
    if row.code == EVERYTHING and not on_instances:
        level = "of-all"
    if _is_conditional(row):
        level = "by-search"
    form = row.takes_body and row.code not in (*CHANGES, "transaction")
    operation: dict[str, Any] = {
        "operationId": "-".join(filter(None, (row.code, *_named(place), level, "post" if form else ""))),
        "summary": row.documentation,
        "tags": [resource_type] if resource_type and not place.compartment else [],
        "parameters": [
            each for each in parameters if row.takes_resource or not row.takes_body or each["in"] != "query"
        ],
        "responses": _successes(row, resource_type)
        | {status: {"$ref": f"#/components/responses/{status}"} for status in _faults(row)},
    }
    if row.code in VERSIONED or row.code == "capabilities":
        operation["responses"]["304"] = {"description": "The client's copy is current."}
    if row.takes_body:
        operation["requestBody"] = _body(row, resource_type, parameters)
    operation["responses"] = dict(sorted(operation["responses"].items()))
    return operation


def _is_conditional(row: Interaction) -> bool:
    """Whether a change says by search parameters which resource is meant."""
    return row.code in CHANGES and row.method != "POST" and "{id}" not in row.template


def _faults(row: Interaction) -> list[str]:
    changing = row.code in (*CHANGES, "transaction")
    unlikely = set() if changing else set(CHANGE_FAULTS)
    unlikely |= set() if row.takes_body else BODY_FAULTS
    has_422 = row.code in ("expand", "npr-check") or row.template.startswith(f"/{MEASURE}") or changing
    unlikely |= set() if has_422 else {"422"}
    unlikely |= set() if changing or "{id}" in row.template or row.code in ("search-type", *HISTORIES) else {"410"}
    return sorted(FAULTS.keys() - unlikely)


def _body(row: Interaction, resource_type: str, parameters: list[dict[str, Any]]) -> dict[str, Any]:
    """What is sent with a request."""
    content: dict[str, Any]
    if row.code == "patch":
        operations = {"type": "array", "items": {"type": "object"}, "description": "JSON Patch (RFC 6902)."}
        merge = {"type": "object", "description": "JSON Merge Patch (RFC 7396)."}
        content = {JSON_PATCH: {"schema": operations}, MERGE_PATCH: {"schema": merge}}
        return {"content": content | {MEDIA: {"schema": {"$ref": "#/components/schemas/Parameters"}}}, "required": True}
    if row.code == "transaction":
        return {"content": {MEDIA: {"schema": {"$ref": "#/components/schemas/Bundle"}}}, "required": True}
    if row.code in CHANGES:
        return {"content": {MEDIA: {"schema": {"$ref": f"#/components/schemas/{resource_type}"}}}, "required": True}
    if row.takes_resource:
        resource = {"type": "object", "description": "A resource, or a Parameters with one; what it is, is judged."}
        lines = {"type": "string", "description": "A resource a line, answered with an OperationOutcome a line."}
        content = {MEDIA: {"schema": resource}} | ({LINES: {"schema": lines}} if row.code == "validate" else {})
        return {"content": content, "required": "{id}" not in row.template}
    properties = {each["name"]: each["schema"] for each in parameters if each["in"] == "query"}
    form: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    content = {FORM: {"schema": form}}
    if row.operation:
        content[MEDIA] = {"schema": {"$ref": "#/components/schemas/Parameters"}}
    return {"content": content}


def _named(place: Place) -> tuple[str, ...]:
    """What an operation is called after: its type, or the compartment and what is sought in it."""
    return (place.compartment, place.type or "all") if place.compartment else (place.type,)


def _successes(row: Interaction, resource_type: str) -> dict[str, Any]:
    """The answers that are no faults, by status."""
    if row.code not in CHANGES:
        return {"200": _success(row, resource_type)}
    names = ("OperationOutcome",) if row.code == "delete" else (resource_type, "OperationOutcome")
    schemas = [{"$ref": f"#/components/schemas/{each}"} for each in names]
    whole = {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}
    etag = {"ETag": {"schema": {"type": "string"}, "description": "The version that it is now."}}
    content = {MEDIA: whole, AS_XML: AS_TEXT}
    changed = {"description": "It is as was asked; by Prefer its form, a report, or nothing.", "content": content}
    if row.code == "delete":
        gone = {"description": "It is deleted, or was not there.", "headers": etag}
        return {"204": gone, "200": changed | {"headers": etag}}
    place = {"Location": {"schema": {"type": "string"}, "description": "Where the version can be read."}}
    made = {"description": "It is made.", "content": content, "headers": etag | place}
    return {"200": changed | {"headers": etag}} | ({} if row.code == "patch" else {"201": made})


def _success(row: Interaction, resource_type: str) -> dict[str, Any]:
    name = {"search-type": "Bundle", "capabilities": "CapabilityStatement"}.get(row.code, resource_type)
    names = row.answers or (name,)
    schemas = [{"$ref": f"#/components/schemas/{each}"} for each in names]
    response: dict[str, Any] = {
        "description": f"A {' or a '.join(names)}.",
        "content": {MEDIA: {"schema": schemas[0] if len(schemas) == 1 else {"oneOf": schemas}}, AS_XML: AS_TEXT},
    }
    if row.code == "search-type" or row.takes_resource:
        response["content"][LINES] = AS_TEXT
    if row.code in VERSIONED:
        response["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "The version."}}
    if row.code in VERSIONED and resource_type not in CANONICAL_TYPES:
        response["headers"] |= {
            "Last-Modified": {"schema": {"type": "string"}, "description": "When the record last changed."},
            "X-Fhir-Issues": {
                "schema": {"type": "integer"},
                "description": "How many values had no FHIR form.",
            },
        }
    return response


def _parameters(mapping_set: MappingSet, row: Interaction, place: Place) -> Iterator[dict[str, Any]]:
    """The parameters of one operation: id, search parameters with examples, and those of the answer."""
    resource_type, search = place.type, mapping_set.search
    if "{vid}" in row.template:
        yield {"name": "vid", "in": "path", "required": True, "schema": {"type": "string", "pattern": VERSION_ID}}
    if "{id}" in row.template:
        form = {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}
        yield {"name": "id", "in": "path", "required": True, "schema": form}
    if row.code == "search-type" and resource_type in CANONICAL_TYPES:
        for code, (kind, example, _) in search_parameters(resource_type).items():
            held = of_search(kind, example)
            yield {"name": code, "in": "query", "description": f"Example: {code}={example}.", "schema": held}
    elif row.code in SEARCHES or _is_conditional(row):
        known = common_parameters(search, place.searched)
        for code in sorted(known):
            parameter = known[code]
            yield {
                "name": code,
                "in": "query",
                "description": described(parameter),
                "schema": of_search(parameter.type, parameter.example, parameter.targets),
            }
    for name, (kind, example, meaning) in _taken(row, place).items():
        if kind in IN_A_BODY:
            continue  # what is not primitive can be told in a Parameters resource only
        shaping = name in SHAPING or row.code in ("capabilities", "lineage", "search-type")
        taken = _of_result(row, place, name, kind, example) if shaping else of_input(name, kind, example)
        if name == TYPE:
            taken = listed(place.searched) | {"examples": [example]}
        yield {"name": name, "in": "query", "description": meaning, "schema": taken}
    for name, (kind, example, meaning) in RESULT_PARAMETERS.items():
        if name in row.takes:
            continue
        if (row.code in SEARCHES and resource_type not in CANONICAL_TYPES) or name in ("_format", "_pretty"):
            schema = _of_result(row, place, name, kind, example)
            if name == "_count":
                schema["default"] = COUNT_DEFAULT
            if name in INCLUDES:
                schema = _includes(search, name, place)
            if name == "_sort":
                keys = _sort_keys(search, place)
                schema = listed(keys, "-?") | {"examples": keys[:3]}
            yield {"name": name, "in": "query", "description": meaning, "schema": schema}


def _of_result(row: Interaction, place: Place, name: str, kind: str, example: str) -> Any:
    """The schema of what shapes an answer: of the types that a search finds, or of the one that is read."""
    searching = row.code in SEARCHES
    types = (place.type,) if place.type else place.searched if searching else row.answers
    return of_result(name, kind, example, types, lines=gives_lines(row), counting=searching)


def _taken(row: Interaction, place: Place) -> Mapping[str, tuple[str, str, str]]:
    """What a row takes where it is; a search of several types in a compartment takes `_type` too."""
    return {TYPE: TYPE_TAKES} if place.compartment and not place.type else row.takes


def _sort_keys(search: SearchPlan, place: Place) -> list[str]:
    """The keys that can be sorted by, whichever types are asked for."""
    every = [search.sortable(each) for each in place.searched]
    return [code for code in every[0] if all(code in other for other in every)]


def _includes(search: SearchPlan, name: str, place: Place) -> dict[str, Any]:
    """The references that can be included in a search; one may end in :Type, the type referred to."""
    values = forward_values if name == INCLUDE else reverse_values
    every = [each for one in place.searched for each in values(search, one)]
    said = list(dict.fromkeys(every)) or [ANY]
    return {"type": "array", "items": {"type": "string", "enum": said}, "examples": [said[:1]]}


def _schemas(mapping_set: MappingSet) -> dict[str, Any]:
    answers = (name for row in SURFACE for name in row.answers)
    fixed = ("Bundle", "CapabilityStatement", "OperationOutcome", "Parameters")
    names = sorted({*mapping_set.by_type, *CANONICAL_TYPES, *fixed, *answers})
    return {name: _schema(name) for name in names} | dict(VALUES)


def _schema(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "externalDocs": {"url": f"http://hl7.org/fhir/R4/{name.lower()}.html"},
        "required": ["resourceType"],
        "properties": {"resourceType": {"const": name}},
    }


def _fault_responses() -> dict[str, Any]:
    content = {MEDIA: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}, AS_XML: AS_TEXT, LINES: AS_TEXT}
    return {status: {"description": text, "content": content} for status, text in FAULTS.items()}


def http_examples(mapping_set: MappingSet, base_url: str = EXAMPLE_BASE) -> str:
    """Return a .http file: one request for each search parameter of each type, as editors run them."""
    lines = [
        f"@base = {base_url}",
        "@patient = an-id-from-a-search",
        "",
        "### What the server does",
        "GET {{base}}/metadata?_pretty=true",
    ]
    lines += ["", "### The stays of one patient", "GET {{base}}/Patient/{{patient}}/Encounter?_sort=-date&_count=5"]
    lines += ["", "### All that belongs to one patient", "GET {{base}}/Patient/{{patient}}/$everything?_count=20"]
    lines += ["", "### Several types at once", "GET {{base}}?_type=Encounter,Condition&_sort=-_lastUpdated&_count=5"]
    for resource_type in sorted(mapping_set.by_type):
        lines += [
            "",
            f"### {resource_type}: the first page",
            f"GET {{{{base}}}}/{resource_type}?_count=5&_pretty=true",
        ]
        for code, parameter in sorted(mapping_set.search.parameters(resource_type).items()):
            lines += ["", f"### {resource_type} by {code}", f"POST {{{{base}}}}/{resource_type}/_search"]
            lines += [f"Content-Type: {FORM}", "", f"{code}={_in_form(parameter.example)}"]
        for name, values in ((INCLUDE, forward_values), (REVINCLUDE, reverse_values)):
            for value in values(mapping_set.search, resource_type):
                lines += ["", f"### {resource_type} with {value}"]
                lines += [f"GET {{{{base}}}}/{resource_type}?_count=5&{name}={value}"]
    for each in OPERATIONS:
        lines += ["", f"### {each.type}: {each.name}", f"GET {{{{base}}}}/{each.type}/${each.name}?{each.example}"]
    lines += ["", "### Measure: evaluate-measure", f"GET {{{{base}}}}/Measure/${EVALUATE}?{EVALUATE_EXAMPLE}"]
    return "\n".join(lines) + "\n"


def _in_form(value: str) -> str:
    return value.replace("%", "%25").replace("&", "%26").replace("+", "%2B")
