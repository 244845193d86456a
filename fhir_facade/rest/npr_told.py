"""Verdicts of the patient registry's rules as an OperationOutcome or as Parameters, in Norwegian and English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from fhir_facade.contracts import Resource
from fhir_facade.npr.verdict import Broken, Verdict, worst
from fhir_facade.npr_inbound import Inbound
from fhir_facade.outcome import Issue, Rule, operation_outcome
from fhir_facade.rest.services import Services

RULES = "http://fhir-facade.no/fhir/CodeSystem/npr-rule"
LEVELS = ("information", "warning", "error")
MOST_TOLD = 500
"""Findings of one answer; how many there are is told."""

OUTCOMES = {
    "accepted": ("accepted", "mottatt"),
    "accepted-with-loss": ("accepted, but something is lost", "mottatt, men noe går tapt"),
    "row-dropped": ("the record is deleted", "posten slettes"),
    "message-rejected": ("the whole message is refused", "hele meldingen avvises"),
}
CONSEQUENCES = {
    "reject-message": ("the whole message is refused", "hele meldingen avvises"),
    "drop-row": ("the record is deleted", "posten slettes"),
    "drop-linked": ("the record and those that belong to it are deleted", "posten og de som hører til, slettes"),
    "set-minus-one": ("the value is set to -1", "verdien settes til -1"),
    "set-null": ("the value is removed", "verdien fjernes"),
    "set-zero": ("the value is set to 0", "verdien settes til 0"),
    "not-isf": ("it is not paid for by activity", "det gir ikke innsatsstyrt finansiering"),
    "not-counted": ("it is not counted", "det telles ikke"),
    "replaced": ("another value takes its place", "en annen verdi settes inn"),
    "flagged": ("it is marked", "det merkes"),
    "indicator": ("it counts in an indicator", "det teller i en indikator"),
    "no-receipt": ("no receipt is sent", "kvittering sendes ikke"),
    "none": ("nothing", "ingenting"),
}  # fmt: skip


class Told(NamedTuple):
    """A verdict that is answered: the resource that it is of, and where its elements are."""

    verdict: Verdict
    resource: str
    places: Mapping[str, str]
    at: str


def told_of(services: Services, verdict: Verdict, sent: Inbound | None = None) -> Told:
    """A verdict with the resource of its record; places are looked for where something is to be said of them."""
    mappings = services.mapping_set.mappings.values()
    mapping = sent.mapping if sent else next((each for each in mappings if each.kind.name == verdict.kind), None)
    if mapping is None:
        return Told(verdict, verdict.kind, {}, "")
    resource = f"{mapping.resource_type}/{mapping.id_of(verdict.record['$key'])}"
    places: dict[str, str] = {}
    if verdict.broken:
        for entry in mapping.explain(verdict.record, []):
            for name in entry.field.split(" | "):
                places.setdefault(name, entry.path)
    at = sent.at if sent else ""
    head = mapping.resource_type
    return Told(verdict, resource, {name: _moved(path, head, at) for name, path in places.items()}, at or head)


def _moved(path: str, head: str, at: str) -> str:
    return at + path.removeprefix(head) if at else path


def _place(told: Told, broken: Broken) -> str:
    """The FHIRPath of what a finding is about, as far as the resource shows it."""
    item = f"{broken.child}[{broken.place}]." if broken.child else ""
    for name in broken.fields:
        for known in (item + name, name):
            if known in told.places:
                return told.places[known]
    return told.at


def outcome_or_parameters(
    told: list[Told], issues: list[Issue], form: str, level: str, tongue: str, *, of_one: bool
) -> Resource:
    least = LEVELS.index(level or LEVELS[0])
    findings = [
        (each, broken) for each in told for broken in each.verdict.broken if LEVELS.index(broken.rule.severity) >= least
    ]
    unknown = sorted({rule.number for each in told for rule in each.verdict.unknown})
    outcome = worst(each.verdict.outcome for each in told)
    isf = told[0].verdict.isf_eligible if of_one and told else None
    if form == "parameters":
        return _parameters(outcome, isf, findings, unknown, [*issues, *_cut(findings)], tongue)
    listed = list(issues)
    if told:
        listed.append(_verdict(outcome, isf))
    listed += [_issue(each, broken) for each, broken in findings[:MOST_TOLD]]
    listed += _cut(findings)
    if unknown:
        listed.append(Issue("npr-cannot-know", "", {"rules": unknown}))
    return operation_outcome(listed, tongue)


def _cut(findings: Sequence[object]) -> list[Issue]:
    few = len(findings) <= MOST_TOLD
    return [] if few else [Issue("issues-cut-off", "", {"shown": MOST_TOLD, "count": len(findings)})]


def _verdict(outcome: str, isf: bool | None) -> Issue:
    english, norwegian = OUTCOMES[outcome]
    paid = {
        True: ("; it may be paid for by activity (ISF)", "; det kan gi innsatsstyrt finansiering (ISF)"),
        False: ("; it is not paid for by activity (ISF)", "; det gir ikke innsatsstyrt finansiering (ISF)"),
        None: ("", ""),
    }[isf]
    return Issue("npr-verdict", "", {"verdict": english, "utfall": norwegian, "isf": paid[0], "isf_nb": paid[1]})


def _issue(told: Told, broken: Broken) -> Issue:
    rule, does = broken.rule, CONSEQUENCES[broken.consequence]
    facts = {
        "rule": rule.number, "place": told.resource, "sentence": rule.en, "setning": rule.nb, "consequence": does[0],
        "folge": does[1], "remedy": rule.remedy_en, "tiltak": rule.remedy_nb,
    }  # fmt: skip
    issue = Issue("npr-rule-broken", _place(told, broken), facts, severity=rule.severity)
    return replace(issue, rule=Rule(rule.number))


def _parameters(
    outcome: str, isf: bool | None, findings: Sequence[tuple[Told, Broken]], unknown: Sequence[str],
    issues: Sequence[Issue], tongue: str,
) -> Resource:  # fmt: skip
    parameter: list[dict[str, Any]] = [{"name": "verdict", "valueCode": outcome}]
    if isf is not None:
        parameter.append({"name": "isfEligible", "valueBoolean": isf})
    parameter += [{"name": "finding", "part": list(_parts(*each))} for each in findings[:MOST_TOLD]]
    parameter += [{"name": "cannotBeKnown", "valueCode": number} for number in unknown]
    if issues:
        parameter.append({"name": "issues", "resource": operation_outcome(issues, tongue)})
    return {"resourceType": "Parameters", "parameter": parameter}


def _parts(told: Told, broken: Broken) -> Iterator[dict[str, Any]]:
    rule = broken.rule
    yield {"name": "rule", "valueCoding": {"system": RULES, "code": rule.number}}
    yield {"name": "severity", "valueCode": rule.severity}
    yield {"name": "resource", "valueReference": {"reference": told.resource}}
    yield {"name": "path", "valueString": _place(told, broken)}
    for name in broken.fields:
        inside = f"{broken.child}[{broken.place}].{name}"
        yield {"name": "epjField", "valueString": inside if inside in told.places else name}
    yield {"name": "verdict", "valueCode": told.verdict.outcome}
    yield {"name": "consequence", "valueCode": broken.consequence}
    yield {"name": "status", "valueCode": rule.status}
    for tongue, sentence, remedy in (("en", rule.en, rule.remedy_en), ("nb", rule.nb, rule.remedy_nb)):
        yield {"name": "sentence", "part": list(_said(tongue, sentence))}
        yield {"name": "remedy", "part": list(_said(tongue, remedy))}


def _said(tongue: str, text: str) -> Iterator[dict[str, Any]]:
    yield {"name": "language", "valueCode": tongue}
    yield {"name": "text", "valueString": text}
