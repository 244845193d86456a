"""Indicators as Measure resources of R4: what is counted, in which populations, and how sure each of them is.

https://hl7.org/fhir/R4/measure.html. The criteria are FHIRPath over records, not over resources: docs/indicators.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from fhir_facade.contracts import Resource
from fhir_facade.mapping.findings import MappingError
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.npr.indicators import Indicator, IndicatorSet, Population, Stratifier
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.services import Services
from fhir_facade.rest.terminology_resources import Listed

TYPE = "Measure"
DATE = "2026-11-23"
CODES = "http://terminology.hl7.org/CodeSystem/"
OWN = "http://fhir-facade.no/fhir/StructureDefinition/"
CONFIDENCE = f"{OWN}definition-confidence"
TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
# What is counted. R4 4.0.1 itself has no place for it; this one is of the guide for quality measures (CQF Measures).
BASIS = "http://hl7.org/fhir/us/cqfmeasures/StructureDefinition/cqfm-populationBasis"
SUBJECT = "Patient"


def indicators_of(services: Services) -> IndicatorSet:
    """The indicators over the record kinds that are served; Refused where they do not go together."""
    try:
        return services.indicators.over(services.mapping_set.kinds)
    except MappingError as error:
        raise Refused(Issue("indicators-faulty", "", {"place": str(error.findings[0])})) from None


def measures(services: Services) -> Iterator[Listed]:
    """Every Measure by its head, drafts too."""
    for each in indicators_of(services):
        yield Listed(
            each.id, each.url, each.version, _name(each), each.title["en"],
            partial(measure, each, services.mapping_set), also=(each.id,), status=_status(each),
        )  # fmt: skip


def basis(indicator: Indicator, mapping_set: MappingSet) -> str:
    """The resource type of what an indicator counts."""
    found = mapping_set.for_kind(indicator.counts)
    return found[0].resource_type if found else SUBJECT


def measure(indicator: Indicator, mapping_set: MappingSet) -> Resource:
    """The Measure of an indicator."""
    draft = indicator.is_draft
    period = {"start": indicator.first, "end": indicator.last}
    out: Resource = {
        "resourceType": TYPE,
        "id": indicator.id,
        "language": "en",
        "extension": [{"url": CONFIDENCE, "valueCode": indicator.status}],
        "url": indicator.url,
        "identifier": [{"system": "http://fhir-facade.no/fhir/NamingSystem/indicator", "value": indicator.id}],
        "version": indicator.version,
        "name": _name(indicator),
        **_told("title", indicator.title),
        "status": _status(indicator),
        "experimental": draft,
        "subjectCodeableConcept": _concept("http://hl7.org/fhir/resource-types", SUBJECT),
        "date": DATE,
        **_told("description", indicator.description),
        "effectivePeriod": {name: day for name, day in period.items() if day},
        "relatedArtifact": [{"type": "documentation", "citation": each} for each in indicator.source],
        "scoring": _concept(f"{CODES}measure-scoring", indicator.scoring),
        "improvementNotation": _concept(f"{CODES}measure-improvement-notation", indicator.improves),
        **_told("guidance", guidance(indicator)),
    }
    if indicator.populations:
        out["group"] = [_group(indicator, basis(indicator, mapping_set))]
    return {name: value for name, value in out.items() if value not in ("", [], {}, None)}


def guidance(indicator: Indicator) -> dict[str, str]:
    """How sure the definition is, what is open, and what is aimed at, by language."""
    sure = {
        "en": {"verified": "Verified.", "inferred": "Inferred.", "unknown": "The rule text is not known: a draft."},
        "nb": {"verified": "Bekreftet.", "inferred": "Utledet.", "unknown": "Regelteksten er ikke kjent: et utkast."},
    }
    goal = {"en": f"The goal is {indicator.goal} %.", "nb": f"Målet er {indicator.goal} %."}
    return {
        tongue: " ".join(
            filter(None, (words[indicator.status], indicator.open.get(tongue), indicator.goal and goal[tongue]))
        )
        for tongue, words in sure.items()
    }


def _group(indicator: Indicator, counted: str) -> dict[str, Any]:
    out: dict[str, Any] = {
        "extension": [{"url": BASIS, "valueCode": "boolean" if counted == SUBJECT else counted}],
        "population": [_population(name, each) for name, each in indicator.populations.items()],
        "stratifier": [_stratifier(each) for each in indicator.stratifiers.values()],
    }
    return {name: value for name, value in out.items() if value}


def _population(name: str, population: Population) -> dict[str, Any]:
    return {
        "id": name,
        "extension": [{"url": CONFIDENCE, "valueCode": population.status}],
        "code": population_code(name),
        **_told("description", population.words),
        "criteria": {"language": "text/fhirpath", "expression": population.when},
    }


def _stratifier(stratifier: Stratifier) -> dict[str, Any]:
    return {
        "id": stratifier.name,
        "code": {"text": stratifier.name},
        **_told("description", stratifier.title),
        "criteria": {"language": "text/fhirpath", "expression": stratifier.value},
    }


def population_code(name: str) -> dict[str, Any]:
    """A population as a code."""
    return _concept(f"{CODES}measure-population", name)


def improvement(indicator: Indicator) -> dict[str, Any]:
    """Which way is better, as a code."""
    return _concept(f"{CODES}measure-improvement-notation", indicator.improves)


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def _told(element: str, words: Mapping[str, str]) -> dict[str, Any]:
    """A text in English, with its Norwegian beside it."""
    content = {"url": "content", "valueString" if element == "title" else "valueMarkdown": words["nb"]}
    parts = [{"url": "lang", "valueCode": "nb"}, content]
    return {element: words["en"], f"_{element}": {"extension": [{"url": TRANSLATION, "extension": parts}]}}


def _status(indicator: Indicator) -> str:
    return "draft" if indicator.is_draft else "active"


def _name(indicator: Indicator) -> str:
    """A name for programs, http://hl7.org/fhir/R4/measure.html#mea-0."""
    return "".join(part.capitalize() for part in indicator.id.split("-"))
