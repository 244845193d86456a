"""Search of the whole server: several types at once, by the parameters that all of them have.

https://hl7.org/fhir/R4/search.html#searching and http.html#search. `_type` names the types; without it they are all.
"""

from __future__ import annotations

from fhir_facade.rest.answer import Answer
from fhir_facade.rest.scope import ManyTypes
from fhir_facade.rest.search import answer_search
from fhir_facade.rest.services import Request, Services


def search_system(services: Services, request: Request) -> Answer:
    """Answer the Bundle of one page of matches of all types that are asked for."""
    mapping_set = services.mapping_set
    return answer_search(services, request, ManyTypes("", tuple(mapping_set.by_type), mapping_set.search))
