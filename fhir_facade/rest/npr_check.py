"""The operation $npr-check: what Norsk pasientregister would do with what is stored, or with what is sent.

The answer is 200 whatever the verdict; nothing is kept. What is sent is judged together with what is stored about the
same patients, as if it had been stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import orjson

from fhir_facade.contracts import Resource
from fhir_facade.npr.graph import Graph, everything
from fhir_facade.npr.rules import RuleSet
from fhir_facade.npr.verdict import Judging
from fhir_facade.npr_checking import StoredPatients, below, check_store
from fhir_facade.npr_inbound import Inbound, records_of
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer, pretty
from fhir_facade.rest.inbound import resource_of
from fhir_facade.rest.negotiation import language
from fhir_facade.rest.npr_told import LEVELS, Told, outcome_or_parameters, told_of
from fhir_facade.rest.parameters_in import Arguments, Inputs, read_inputs
from fhir_facade.rest.read import look_up
from fhir_facade.rest.services import Interaction, Request, Services

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import MappingSet

NAME = "$npr-check"
CANONICAL = "http://fhir-facade.no/fhir/OperationDefinition/npr-check"
FORMS = ("outcome", "parameters")
INPUTS = Inputs(
    NAME,
    {
        "form": ("code", "parameters", "outcome (default): an OperationOutcome; parameters: verdict and findings."),
        "level": ("code", "error", "The least severe findings that are told: information (default), warning, error."),
        "on": ("date", "2024-06-30", "The day to judge on; today without it."),
    },
)
ANSWERS = ("OperationOutcome", "Parameters")


def npr_check(services: Services, request: Request) -> Answer:
    """Judge what the path names, or what the body holds."""
    arguments = _arguments(request)
    tongue = language(request.headers.get(b"accept-language", b""))
    rules = services.npr_rules()
    day = arguments.get("on") or services.now().date()
    stored = StoredPatients(services.store, services.mapping_set.kinds, rules, str(day))
    issues: list[Issue] = []
    if request.body or (request.method == "POST" and not request.id):
        told = _sent(services, request, rules, stored, issues)
    elif request.id:
        told = _one(services, request, rules, stored)
    else:
        told = _all(services, request, rules, str(day))
    form, level = arguments.text("form"), arguments.text("level")
    answer = outcome_or_parameters(told, issues, form, level, tongue, of_one=bool(request.id) or len(told) == 1)
    body = orjson.dumps(answer)
    return Answer(200, pretty(body) if arguments.indented else body, (b"content-language", tongue.encode()))


def _arguments(request: Request) -> Arguments:
    bare = Request("GET", request.query, request.headers, request.request_id)
    bare.type = request.type
    arguments = read_inputs(bare, INPUTS)
    for name, allowed in (("form", FORMS), ("level", LEVELS)):
        if arguments.text(name) and arguments.text(name) not in allowed:
            listed = ", ".join(allowed)
            kind, example, _ = INPUTS.takes[name]
            reasons = {"reason": f"it is none of {listed}", "grunn": f"den er ingen av {listed}"}
            raise Refused(Issue("input-invalid", name, {"name": name, "type": kind, "example": example, **reasons}))
    return arguments


def judged_types(mapping_set: MappingSet, rules: RuleSet) -> list[str]:
    """The types of resources whose records some rule is about."""
    about = {record.partition(".")[0] for rule in rules for record in rule.records}
    return sorted({each.resource_type for each in mapping_set.mappings.values() if each.kind.name in about})


# ---- what is judged


def _one(services: Services, request: Request, rules: RuleSet, stored: StoredPatients) -> list[Told]:
    """The verdict of what is stored under an id, and of all that belongs to it."""
    mapping, record = look_up(services.mapping_set, services.store, request.type, request.id)
    if request.type not in judged_types(services.mapping_set, services.npr_rules()):
        raise _not_judged(services, request.type)
    key = stored.about(mapping.kind, record)
    person = services.store.get(stored.root, key) if key else None
    if person is None:  # of nobody in particular: a unit, or one whose patient is gone
        own = {mapping.kind.name: [record]}
        graph = Graph(own, shared=stored.shared, today=stored.today, tells=stored.tells)
    else:
        (graph,) = stored.graphs([person])
    among = below(rules.kinds, graph, mapping.kind.name, record["$key"])
    verdicts = stored.judging.judge(graph)
    found = [each for each in verdicts if (each.kind, each.record["$key"]) in among]
    found.sort(key=lambda each: (each.kind, each.record["$key"]) != (mapping.kind.name, record["$key"]))
    return [told_of(services, each) for each in found]


def _sent(
    services: Services, request: Request, rules: RuleSet, stored: StoredPatients, issues: list[Issue]
) -> list[Told]:
    """The verdicts of what is sent; what could not be taken is put among the issues."""
    sent = _resource(services, request)
    inbound, faults = records_of(services.mapping_set, sent)
    issues += (issue for issue in faults if (issue.severity or issue.entry.severity) != "information")
    if not inbound:
        if any(issue.is_error for issue in faults):
            raise Refused(*faults)
        raise Refused(
            Issue("npr-nothing-judged", "", {"allowed": judged_types(services.mapping_set, services.npr_rules())})
        )
    shared = Graph({name: list(records) for name, records in stored.shared.records.items()}, today=stored.today)
    by_patient: dict[str | None, list[Inbound]] = {}
    for each in inbound:
        by_patient.setdefault(stored.about(each.mapping.kind, each.record), []).append(each)
    for each in by_patient.get(None, ()):
        _put(shared, each)
    found: list[Told] = []
    for key, own in by_patient.items():
        graph, judging = _with_stored(services, rules, stored, shared, key, own)
        places = {(each.mapping.kind.name, each.record["$key"]): each for each in own}
        for verdict in judging.judge(graph):
            one = places.get((verdict.kind, verdict.record["$key"]))
            if one is not None:
                found.append(told_of(services, verdict, one))
    order = {(each.mapping.kind.name, each.record["$key"]): number for number, each in enumerate(inbound)}
    return sorted(found, key=lambda each: order[each.verdict.kind, each.verdict.record["$key"]])


def _with_stored(
    services: Services, rules: RuleSet, stored: StoredPatients, shared: Graph, key: str | None, own: Sequence[Inbound]
) -> tuple[Graph, Judging]:
    """What is sent about a patient, among what is stored about the same one."""
    person = services.store.get(stored.root, key) if key else None
    if person is not None:
        (graph,) = stored.graphs([person])
        graph.shared = shared
        judging = stored.judging
    else:
        kinds = {each.mapping.kind.name for each in own} | shared.records.keys()
        tells = frozenset(name for name in everything(rules.kinds) if name.partition(".")[0] in kinds)
        graph, judging = Graph({}, shared=shared, today=stored.today, tells=tells), Judging(rules, tells)
    for each in own:
        _put(graph, each)
    return graph, judging


def _put(graph: Graph, one: Inbound) -> None:
    """Put a record into a graph that was not asked yet, in the place of the one with its key."""
    held = graph.records.setdefault(one.mapping.kind.name, [])
    held[:] = [each for each in held if each["$key"] != one.record["$key"]] + [one.record]


def _resource(services: Services, request: Request) -> Resource:
    """What is to be judged: the body, or the parameter 'resource' in it."""
    of_any = Request(request.method, request.query, request.headers, request.request_id)
    of_any.body = request.body
    sent = resource_of(of_any, services.json_limits)
    if sent.get("resourceType") == "Parameters":
        listed = sent.get("parameter")
        held = [
            each["resource"]
            for each in (listed if isinstance(listed, list) else ())
            if isinstance(each, dict) and each.get("name") == "resource" and isinstance(each.get("resource"), dict)
        ]
        if len(held) != 1:
            reasons = {"reason": "one parameter 'resource' is expected", "grunn": "én parameter 'resource' ventes"}
            raise Refused(Issue("body-not-parameters", "Parameters", reasons))
        sent = held[0]
    said = sent.get("resourceType", request.type)  # where there is none, the structure is at fault
    if request.type and said not in (request.type, "Bundle"):
        raise Refused(Issue("type-not-of-path", f"{said}.resourceType", {"found": str(said), "type": request.type}))
    if request.id and sent.get("id", request.id) != request.id:
        raise Refused(Issue("id-not-of-path", f"{said}.id"))
    if request.id and said != "Bundle":
        sent = {**sent, "id": request.id}
    return sent


def _all(services: Services, request: Request, rules: RuleSet, today: str) -> list[Told]:
    """The verdicts of all that is stored, or of one type of it; Refused when that would be too much for an answer."""
    if request.type and request.type not in judged_types(services.mapping_set, services.npr_rules()):
        raise _not_judged(services, request.type)
    kinds = services.mapping_set.kinds
    stored = StoredPatients(services.store, kinds, rules, today)
    count = services.store.count(stored.root)
    if count > services.npr_patients:
        raise Refused(Issue("npr-too-many", "", {"found": count, "limit": services.npr_patients}))
    wanted = {each.kind.name for each in services.mapping_set.by_type.get(request.type, ())} or set(kinds.by_name)
    return [
        told_of(services, verdict)
        for checked in check_store(services.store, kinds, rules, today)
        for verdict, _ in checked.verdicts
        if verdict.kind in wanted
    ]


def _not_judged(services: Services, name: str) -> Refused:
    return Refused(
        Issue(
            "npr-not-judged", name, {"type": name, "allowed": judged_types(services.mapping_set, services.npr_rules())}
        )
    )


def operation_definition(types: Sequence[str], version: str) -> Resource:
    """The OperationDefinition that the canonical names."""
    inputs = [
        {"name": name, "use": "in", "min": 0, "max": "1", "documentation": meaning, "type": kind}
        for name, (kind, _, meaning) in INPUTS.takes.items()
    ]
    body = "A resource or a Bundle to judge, by POST; without it what is stored is judged."
    return {
        "resourceType": "OperationDefinition",
        "url": CANONICAL,
        "version": version,
        "name": "NprCheck",
        "title": "What Norsk pasientregister would do with a record",
        "status": "active",
        "kind": "operation",
        "date": "2026-11-24",
        "description": "The rules of Norsk pasientregister over a stay, a period, what is sent, or all that is stored.",
        "affectsState": False,
        "code": NAME[1:],
        "resource": list(types),
        "system": True,
        "type": True,
        "instance": True,
        "parameter": [
            {"name": "resource", "use": "in", "min": 0, "max": "1", "documentation": body, "type": "Resource"},
            *inputs,
            {
                "name": "return", "use": "out", "min": 1, "max": "1", "type": "Resource",
                "documentation": "An OperationOutcome, or Parameters with verdict, findings and what cannot be known.",
            },
        ],
    }  # fmt: skip


def _row(method: str, template: str, documentation: str) -> Interaction:
    return Interaction(
        "npr-check", method, template, npr_check, documentation,
        takes_body=method == "POST", takes_resource=method == "POST",
        operation=CANONICAL, takes=INPUTS.takes, answers=ANSWERS, reads="long",
    )  # fmt: skip


NPR_CHECK: tuple[Interaction, ...] = (
    _row("POST", f"/{{type}}/{{id}}/{NAME}", "What the patient registry would do with what is to take this place."),
    _row(
        "GET", f"/{{type}}/{{id}}/{NAME}", "What the patient registry would do with this record and what belongs to it."
    ),
    _row(
        "POST", f"/{{type}}/{NAME}", "What the patient registry would do with a resource or a Bundle; nothing is kept."
    ),
    _row("GET", f"/{{type}}/{NAME}", "What the patient registry would do with all records of a type."),
    _row("POST", f"/{NAME}", "What the patient registry would do with a resource or a Bundle; nothing is kept."),
    _row("GET", f"/{NAME}", "What the patient registry would do with all that is stored."),
)
