"""Read and search Measure, and the operation $evaluate-measure.

https://hl7.org/fhir/R4/measure-operation-evaluate-measure.html
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import replace

import orjson

from fhir_facade.contracts import Record
from fhir_facade.npr.counting import Period
from fhir_facade.npr.graph import shared_kinds
from fhir_facade.npr.indicators import Indicator
from fhir_facade.npr_checking import subject
from fhir_facade.npr_measuring import measure
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer, pretty
from fhir_facade.rest.measure_reports import namer, report
from fhir_facade.rest.measure_resources import SUBJECT, TYPE, indicators_of
from fhir_facade.rest.parameters_in import Arguments, Inputs, read_inputs
from fhir_facade.rest.read import look_up
from fhir_facade.rest.services import Interaction, Request, Services
from fhir_facade.rest.terminology_search import reading
from fhir_facade.store.batches import shown
from fhir_facade.terminology.operations import near

CANONICAL = "http://hl7.org/fhir/OperationDefinition/Measure-evaluate-measure"
NAME = "evaluate-measure"
EXAMPLE = "measure=rbf-video-phone&periodStart=2024&periodEnd=2024"
KINDS = {
    "subject": "individual", "individual": "individual", "subject-list": "subject-list",
    "population": "summary", "summary": "summary",
}  # fmt: skip
"""What may be asked for, in the words of the operation or of MeasureReport, and the type of the report."""

INPUTS = Inputs(
    f"Measure/${NAME}",
    {
        "measure": (
            "string", "http://fhir-facade.no/fhir/Measure/rbf-video-phone",
            "The Measure: its canonical with or without |version, or its id.",
        ),
        "periodStart": ("date", "2024-01-01", "The first day; of a year or a month its first."),
        "periodEnd": ("date", "2024-12-31", "The last day, which is part of it; of a year or a month its last."),
        "reportType": (
            "code", "population",
            "subject, subject-list or population; when left out subject if one is named, else population.",
        ),
        "subject": ("string", "Patient/an-id-from-a-search", "The patient that it is about, Patient/id or the id."),
    },
    not_served=frozenset({"practitioner", "lastReceivedOn"}),
)  # fmt: skip
ON_ONE = replace(
    INPUTS,
    takes={name: spec for name, spec in INPUTS.takes.items() if name != "measure"},
    of_path=frozenset({"measure"}),
)


def evaluate(services: Services, request: Request) -> Answer:
    """Answer with the MeasureReport of one indicator, over all patients or one."""
    arguments = read_inputs(request, ON_ONE if request.id else INPUTS)
    period, kind = _period(arguments), _kind(arguments)
    indicator = _chosen(services, arguments, request.id)
    mapping_set, store = services.mapping_set, services.store
    person, about = _subject(services, arguments)
    if kind == "individual" and person is None:
        raise arguments.missing("subject")
    if person is None:
        root = subject(mapping_set.kinds, shared_kinds(mapping_set.kinds))
        if store.count(root) > services.most_measured:
            raise Refused(Issue("measure-too-costly", "", {"limit": services.most_measured}))
    listing = kind != "summary"
    (tally,) = measure(store, mapping_set.kinds, [indicator], period, person=person, listing=listing)
    counted = mapping_set.for_kind(indicator.counts)
    body = orjson.dumps(
        report(
            tally, period, kind,
            lambda key: f"{counted[0].resource_type}/{counted[0].id_of(key)}" if counted else key,
            namer(mapping_set, store, services.base_url, tally),
            date=services.now().isoformat(timespec="seconds"), subject=about,
        )
    )  # fmt: skip
    return Answer(200, pretty(body) if arguments.indented else body)


def _period(arguments: Arguments) -> Period:
    """The days that are asked about; Refused when one is missing or they stand the wrong way round."""
    for name in ("periodStart", "periodEnd"):
        if name not in arguments.values:
            raise arguments.missing(name)
    first, last = _whole(arguments.text("periodStart"))[0], _whole(arguments.text("periodEnd"))[1]
    if first > last:
        raise arguments.disagree(
            ("periodStart", "periodEnd"), "the period ends before it begins", "perioden slutter før den begynner"
        )
    return Period(first, last)


def _whole(text: str) -> tuple[str, str]:
    """The first and the last day of a date of any precision."""
    if len(text) == len("2024"):
        return f"{text}-01-01", f"{text}-12-31"
    if len(text) == len("2024-01"):
        return f"{text}-01", f"{text}-{monthrange(int(text[:4]), int(text[5:]))[1]}"
    return text, text


def _kind(arguments: Arguments) -> str:
    asked = arguments.text("reportType") or ("subject" if "subject" in arguments.values else "population")
    if asked not in KINDS:
        listed = ", ".join(KINDS)
        facts = {"name": "reportType", "type": "code", "reason": f"it is none of {listed}"}
        facts |= {"grunn": f"den er ingen av {listed}", "example": "population"}
        raise Refused(Issue("input-invalid", "reportType", facts))
    return KINDS[asked]


def _chosen(services: Services, arguments: Arguments, named: str) -> Indicator:
    """The indicator that is asked for; Refused when there is none, or when it is not evaluated here."""
    found = indicators_of(services)
    said = named or arguments.text("measure")
    if not said:
        raise arguments.missing("measure")
    url, _, version = said.removeprefix(f"{services.base_url}/").removeprefix(f"{TYPE}/").partition("|")
    indicator = next((each for each in found if url in (each.id, each.url)), None)
    if indicator is None or version not in ("", indicator.version):
        known = [each.id for each in found.on]
        facts = {"name": shown(said), "allowed": known, **near(shown(said), known)}
        raise Refused(Issue("measure-unknown", f"{TYPE}.id" if named else "measure", facts))
    if not indicator.on:
        facts = {"name": indicator.id, "allowed": [each.id for each in found.on]}
        raise Refused(Issue("measure-is-draft" if indicator.populations else "measure-without-criteria", "", facts))
    return indicator


def _subject(services: Services, arguments: Arguments) -> tuple[Record | None, str]:
    """The record of the patient who is named, and the reference; None and "" when nobody is."""
    said = arguments.text("subject")
    if not said:
        return None, ""
    identity = said.removeprefix(f"{services.base_url}/").removeprefix(f"{SUBJECT}/")
    _, record = look_up(services.mapping_set, services.store, SUBJECT, identity)
    return record, f"{SUBJECT}/{identity}"


def _rows() -> Iterator[Interaction]:
    yield from reading(TYPE, "page")
    for place, inputs in (("", INPUTS), ("/{id}", ON_ONE)):
        for method in ("GET", "POST"):
            yield Interaction(
                NAME, method, f"/{TYPE}{place}/${NAME}", evaluate,
                "Count an indicator in a period: over all patients with groups, with lists of them, or of one patient.",
                takes_body=method == "POST", operation=CANONICAL, takes=inputs.takes,
                answers=("MeasureReport",), reads="page",
            )  # fmt: skip


MEASURES: tuple[Interaction, ...] = tuple(_rows())
