"""Search inside a compartment: what belongs to one patient, stay or professional, one type of it or all.

https://hl7.org/fhir/R4/http.html#vsearch and compartmentdefinition.html: `Patient/7/Encounter?date=ge2024`,
`Patient/7/*`. A resource that is not there has no compartment: 404, not an empty page.
"""

from __future__ import annotations

from fhir_facade.mapping.compartments import Compartment, compartments
from fhir_facade.mapping.findings import nearest
from fhir_facade.mapping.following import Referring
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer
from fhir_facade.rest.read import look_up
from fhir_facade.rest.scope import ManyTypes, OneType, Scope
from fhir_facade.rest.search import answer_search, visible_pairs
from fhir_facade.rest.services import Request, Services
from fhir_facade.store.batches import shown

ALL = "*"


def search_compartment(services: Services, request: Request) -> Answer:
    """Answer the Bundle of one page of matches in the compartment that the path names."""
    compartment = _compartment(services, request)
    visible_pairs(request)  # an identity number is refused whether or not the resource is there
    within = middle(services, compartment, request.id)
    path = f"{compartment.type}/{request.id}/{request.type}"
    scope: Scope
    if request.type == ALL:
        scope = ManyTypes(path, tuple(compartment.types), within)
    else:
        scope = OneType(path, request.type, within)
    return answer_search(services, request, scope)


def _compartment(services: Services, request: Request) -> Compartment:
    """The compartment of a path; Refused when there is none, or when the type has no resources in it."""
    served = compartments(services.mapping_set.search)
    found = served.get(request.compartment)
    if found is None:
        raise Refused(Issue("compartment-unknown", "", {"type": request.compartment, "allowed": list(served)}))
    if request.type not in (*found.types, ALL):
        said, allowed = shown(request.type), [*found.types, ALL]
        facts = {"type": said, "compartment": found.type, "allowed": allowed, "nearest": nearest(said, allowed)}
        raise Refused(Issue("compartment-type-unknown", "", facts))
    return found


def middle(services: Services, compartment: Compartment, resource_id: str) -> Referring:
    """The searches inside the compartment of the resource with an id; Refused when there is no such resource."""
    mapping, record = look_up(services.mapping_set, services.store, compartment.type, resource_id)
    return compartment.within(services.mapping_set.search, mapping.name, record["$key"])
