"""The format of an answer: chosen from _format or Accept, and made of the JSON that handlers answer.

https://hl7.org/fhir/R4/http.html#mime-type. JSON is the default, XML is given of everything; a search is also given as
lines, a resource each (NDJSON), with the links of its Bundle in the header Link (RFC 8288).
"""

from __future__ import annotations

import re
from typing import Any

from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import MEDIA_TYPE, Answer, Header
from fhir_facade.rest.negotiation import JSON, MEDIA, NDJSON, XML, accepted_format, named_format
from fhir_facade.rest.numbers import dumps, loads
from fhir_facade.rest.query_string import pairs_of, refuse_person_number
from fhir_facade.rest.services import Interaction, Request
from fhir_facade.rest.to_xml import to_xml
from fhir_facade.store.batches import shown

ANY = (JSON, XML)
OF_LISTS = (JSON, XML, NDJSON)
FORMAT_NAMED = re.compile(rb"(?:^|&)(?:_format|[^=&]*%[^=&]*)=").search
"""Whether a query may hold _format; a name with "%" may spell anything."""


def choose_format(request: Request, row: Interaction) -> None:
    """Set the format of a request; Refused with 406 when none that this row has will do. _format goes before Accept."""
    offered = OF_LISTS if gives_lines(row) else ANY
    form = b"" if row.takes_resource else request.body or b""
    named = _named(request.query) or _named(form)
    accept = request.headers.get(b"accept", b"")
    chosen = named_format(named) if named else accepted_format(accept, offered)
    if chosen is None or chosen not in offered:
        for name, value in pairs_of(request.query):  # which is worse, and told by other parts where the format is right
            refuse_person_number(f"{name} {value}", request.type)
        at, said = ("_format", named) if named else ("", accept.decode("latin-1"))
        raise Refused(Issue("format-not-acceptable", at, {"format": shown(said), "allowed": list(offered)}))
    request.format = chosen


def gives_lines(row: Interaction) -> bool:
    """Whether a row answers many resources, which may be given a line each."""
    return row.code == "search-type" or (row.code == "validate" and row.takes_resource)


def of_faults(request: Request) -> str:
    """The format that an OperationOutcome is best given in; JSON where the client takes none of ours."""
    try:
        named = _named(request.query)
    except Refused:
        named = ""
    wanted = named_format(named) if named else accepted_format(request.headers.get(b"accept", b""), ANY)
    return XML if wanted == XML else JSON


def _named(pairs: bytes) -> str:
    """The value of _format in a query or a form, "" when there is none."""
    if FORMAT_NAMED(pairs) is None:
        return ""
    return next((value for name, value in pairs_of(pairs) if name == "_format"), "")


def given_as(answer: Answer, name: str) -> None:
    """Turn an answer in JSON into another format; Refused where it is in lines and XML is wanted."""
    if name == JSON or answer.headers[0][1] != MEDIA_TYPE:
        if name == XML:
            raise Refused(Issue("format-not-acceptable", "", {"format": XML, "allowed": [NDJSON]}))
        return
    if not answer.body:
        pass
    elif name == XML:
        answer.body = to_xml(answer.body, indented=answer.body.startswith(b"{\n"))
    else:
        resource = loads(answer.body)
        answer.headers += _about(resource)
        answer.body = b"".join(dumps(each) + b"\n" for each in _resources(resource))
    answer.headers[0] = (b"content-type", MEDIA[name][0].encode())


def _resources(resource: dict[str, Any]) -> list[Any]:
    """What stands in a Bundle, the outcome last; any other resource by itself."""
    if resource["resourceType"] != "Bundle":
        return [resource]
    return [entry["resource"] for entry in resource.get("entry", ())]


def _about(resource: dict[str, Any]) -> list[Header]:
    """What a Bundle says and lines cannot: where to go on, and how many match."""
    links = ", ".join(f'<{link["url"]}>; rel="{link["relation"]}"' for link in resource.get("link", ()))
    headers = [(b"link", links.encode())] if links else []
    if "total" in resource:
        headers.append((b"x-total-count", str(resource["total"]).encode()))
    return headers
