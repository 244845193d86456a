"""What came of the entries, as the Bundle that answers: batch-response or transaction-response.

https://hl7.org/fhir/R4/http.html#transaction-response: one entry for each entry that was sent, in its order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from fhir_facade.bundles.entries import Entry
from fhir_facade.bundles.plan import Plan
from fhir_facade.bundles.targets import READS
from fhir_facade.contracts import Resource
from fhir_facade.outcome import Issue, Refused, operation_outcome

Return = Literal["minimal", "representation", "OperationOutcome"]
"""What the client prefers to be told of what it stored: `Prefer: return=`."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one entry. `issues` are at places of its resource (Patient.birthDate) or of the Bundle.

    `location` is relative or absolute, with the version; `etag` is W/"..."; `last_modified` an instant; `full_url` is
    where the resource is, and stands in the answer when that does.
    """

    status: int
    resource: Resource | None = None
    location: str = ""
    etag: str = ""
    last_modified: str = ""
    full_url: str = ""
    issues: tuple[Issue, ...] = ()


def refused(entry: Entry) -> Result:
    """What a faulty entry of a batch answers: its own faults, with the status of the worst."""
    return Result(Refused(*(issue for issue in entry.issues if issue.is_error)).status)


def at_entry(number: int, issues: Iterable[Issue]) -> tuple[Issue, ...]:
    """Issues of a resource or a search as issues of the entry: Patient.name[0] is Bundle.entry[i].resource.name[0]."""
    return tuple(
        Issue(issue.code, _place(number, issue.at), issue.facts, issue.rule, issue.severity) for issue in issues
    )


def _place(number: int, at: str) -> str:
    entry = f"Bundle.entry[{number}]"
    if at.startswith("Bundle.entry["):
        return at
    head, dot, rest = at.partition(".")
    if head.isalpha() and head[:1].isupper():
        return f"{entry}.resource{dot}{rest}"
    return f"{entry}.request.url" if at else entry


def answer_of(plan: Plan, results: Mapping[int, Result], prefer: Return = "minimal", language: str = "en") -> Resource:
    """The Bundle that answers; `results` has one for every entry by its number, in any order (KeyError otherwise).

    What was read comes always, what was stored when the client prefers it. An outcome comes when something is wrong,
    and when the client prefers one.
    """
    answer: Resource = {"resourceType": "Bundle", "type": f"{plan.type}-response"}
    if plan.entries:
        answer["entry"] = [_answered(entry, results[entry.number], prefer, language) for entry in plan.entries]
    return answer


def _answered(entry: Entry, result: Result, prefer: Return, language: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    is_read = entry.method in READS or not entry.changes
    if result.resource is not None and entry.method != "HEAD" and (is_read or prefer == "representation"):
        if result.full_url:
            out["fullUrl"] = result.full_url
        out["resource"] = result.resource
    response: dict[str, Any] = {"status": status_text(result.status)}
    said = {"location": result.location, "etag": result.etag, "lastModified": result.last_modified}
    response.update({name: value for name, value in said.items() if value})
    issues = (*entry.issues, *at_entry(entry.number, result.issues))
    is_wrong = any((issue.severity or issue.entry.severity) != "information" for issue in issues)
    if issues and (is_wrong or result.status >= HTTPStatus.BAD_REQUEST or prefer == "OperationOutcome"):
        response["outcome"] = operation_outcome(issues, language)
    out["response"] = response
    return out


def status_text(status: int) -> str:
    """201 → 201 Created; R4 wants the number first, and the words may be left out."""
    return f"{status} {HTTPStatus(status).phrase}" if status in HTTPStatus._value2member_map_ else str(status)
