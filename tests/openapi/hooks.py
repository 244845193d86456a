"""What schemathesis is told besides the OpenAPI document: ids that there are, and why a refusal may be right.

Loaded by its own command line, which reads FHIR_IDS: a JSON file of ids by resource type.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import schemathesis
from schemathesis.core.failures import Failure

IDS: dict[str, list[str]] = json.loads(Path(os.environ["FHIR_IDS"]).read_text("utf-8"))
PATH = "path"
FORM = "application/x-www-form-urlencoded"
ISSUE = re.compile(r"CodeSystem/issue\"(?:/><code value=|,\s*\"code\":\s*)\"([a-z0-9-]+)\"")  # XML, JSON and lines of JSON


@schemathesis.hook
def before_call(ctx: Any, case: Any, kwargs: Any) -> None:
    """Put the id of a resource that there is in the place of a made-up one, in two cases of three.

    Only where the id was to be a sound one: an unsound one is there to be refused.
    """
    made_up = (case.path_parameters or {}).get("id")
    components = case.meta.components if case.meta else {}
    sound = all(each.mode.is_positive for place, each in components.items() if str(place.value) == PATH)
    known = IDS.get(case.operation.path.split("/")[1], [])
    draw = zlib.crc32(repr((made_up, case.query, case.body)).encode())
    if isinstance(made_up, str) and sound and known and draw % 3:
        case.path_parameters["id"] = known[draw % len(known)]


@schemathesis.hook
def filter_case(ctx: Any, case: Any) -> bool:
    """A form knows text only: true is sent as the text "true", which is no wrong text for being made of a boolean."""
    if case.media_type != FORM or not isinstance(case.body, dict):
        return True
    values = (each for held in case.body.values() for each in (held if isinstance(held, list) else [held]))
    return all(isinstance(each, str) for each in values)


def texts_of(case: Any, response: Any) -> Iterator[tuple[str, str]]:
    """Names and values of what was sent, in the URL and in a form."""
    yield from parse_qsl(urlsplit(response.request.url).query, keep_blank_values=True)
    if isinstance(case.body, dict):
        for name, value in case.body.items():
            for each in value if isinstance(value, list) else [value]:
                yield str(name), str(each)


def names_of(case: Any, response: Any) -> set[str]:
    return {name for name, _ in texts_of(case, response)}


def is_unprintable(case: Any, response: Any) -> bool:
    return any(not (name + value).isprintable() for name, value in texts_of(case, response))


def is_operation(case: Any, response: Any) -> bool:
    return "$" in case.operation.path


def is_change(case: Any, response: Any) -> bool:
    return case.method in ("POST", "PUT", "PATCH", "DELETE") and not is_operation(case, response)


def has_page(case: Any, response: Any) -> bool:
    return "_page" in names_of(case, response)


RIGHT: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "parameters-together": (
        lambda case, response: {"_summary", "_elements"} <= names_of(case, response)
        or ("_summary", "text") in texts_of(case, response),
        "OpenAPI cannot say that one parameter shuts another out.",
    ),
    "search-value-invalid": (is_unprintable, "No pattern of JSON Schema holds Unicode's list of what can be printed."),
    "input-invalid": (is_unprintable, "The same."),
    "include-out-of-reach": (
        lambda case, response: bool({"_include", "_revinclude"} & names_of(case, response)),
        "What can be included hangs on the types that another parameter asks for.",
    ),
    "page-token-invalid": (has_page, "A token is sealed: only the server can make one."),
    "element-unknown-here": (is_operation, "Which elements a resource has, only the resource knows."),
    "input-missing": (is_operation, "OpenAPI cannot say that one of several inputs is needed, nor look into Parameters."),
    "condition-empty": (is_change, "OpenAPI cannot say that one of several parameters is needed."),
    "inputs-disagree": (is_operation, "OpenAPI cannot say that one input shuts another out."),
    "measure-is-draft": (is_operation, "Which indicators are evaluated is for the deployment to say."),
    "measure-without-criteria": (is_operation, "The same."),
}
"""Issue codes of a 400 that answers what the schemas allow → when that is right, and what a schema cannot say."""


@schemathesis.check
def a_refusal_has_a_reason_that_no_schema_can_tell(ctx: Any, response: Any, case: Any) -> None:
    """What the document allows is accepted, or refused for one of the reasons above; all else is a finding."""
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code not in (400, 422):
        return
    is_sent = is_change(case, response) or (case.method == "POST" and case.operation.path.endswith("/$npr-check"))
    if case.method != "DELETE" and is_sent and "_search" not in case.operation.path:
        return  # no schema here says what R4, profiles and mappings want of a resource, a patch or a Bundle
    if not response.content:  # HEAD: the same request is sent as GET
        return
    codes = set(ISSUE.findall(response.text))
    unexplained = [code for code in codes or {"no issue"} if code not in RIGHT or not RIGHT[code][0](case, response)]
    if unexplained:
        raise Failure(operation=case.operation.label, title="Allowed by the document, refused", message=str(unexplained))
