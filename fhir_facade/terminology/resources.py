"""CodeSystem and ValueSet resources of R4 from what the catalogue knows; nothing in them depends on when they are made.

https://hl7.org/fhir/R4/codesystem.html, https://hl7.org/fhir/R4/valueset.html. Where the title of a national list is
ours, and how sure its codes are, stands in `description` and in nothing that a program may take for official.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_facade.contracts import Resource
from fhir_facade.terminology.concepts import CodeSystem, Concept, Edition
from fhir_facade.terminology.shipped import BASE, LIST, is_of_r4, resource_id, value_set_url
from fhir_facade.terminology.uris import LIST_FORMS
from fhir_facade.terminology.value_sets import Include, ValueSet

__all__ = ["code_system_resource", "resource_id", "value_set_resource"]

MOST_CONCEPTS = 5000
"""A code system with more is told of without its concepts: read them by $expand and $lookup."""

STANDARD = "http://hl7.org/fhir/concept-properties#"
KNOWN = {
    "status": ("code", "active, retired, superseded (an older edition has it) or unconfirmed (one source alone)"),
    "validFrom": ("dateTime", "The first day, as precise as the source"),
    "validTo": ("dateTime", "The last day, as precise as the source"),
    "parent": ("code", "The code above"),
    "legal_basis": ("string", "The statute; it tells codes of one display apart"),
    "kodeverk_oid": ("string", "The code system that a letter stands for"),
}
"""Properties of concepts: their type and meaning. Others are strings that the source gives."""


def code_system_resource(code_system: CodeSystem) -> Resource:
    """The CodeSystem of an edition; without concepts where there are none, or too many for one resource."""
    edition = code_system.edition
    told = edition.count <= MOST_CONCEPTS
    concepts = code_system.page(0, MOST_CONCEPTS) if told else []
    properties = _properties(concepts)
    values = value_set_url(edition.url)
    content = "not-present" if not concepts else "complete" if edition.complete else "fragment"
    out: Resource = {
        "resourceType": "CodeSystem",
        "id": resource_id(edition.url),
        **_head(edition, edition.url),
        "identifier": _identifiers(edition),
        **_descriptive(edition, _description(edition, told=told)),
        "caseSensitive": edition.case_sensitive,
        "valueSet": "" if is_of_r4(edition.url) else values,
        "hierarchyMeaning": "is-a" if any(each.parent for each in concepts) else "",
        "content": content,
        "count": edition.count if edition.complete else None,  # R4 means the whole system
        "property": [_definition(name) for name in properties],
        "concept": [_concept(each) for each in concepts],
    }
    return _without_empty(out)


def value_set_resource(value_set: ValueSet) -> Resource:
    """The ValueSet: what it takes from which systems."""
    identifiers = [{"system": "urn:ietf:rfc:3986", "value": each} for each in _published(value_set.identifiers)]
    out: Resource = {
        "resourceType": "ValueSet",
        "id": resource_id(value_set.url),
        **_head(value_set, value_set.url),
        "identifier": identifiers,
        **_descriptive(value_set, _said(value_set, f"All codes of {value_set.title}." if identifiers else "")),
        "compose": {"include": [_include(each) for each in value_set.includes]},
    }
    return _without_empty(out)


def _head(known: Edition | ValueSet, url: str) -> dict[str, Any]:
    of_r4 = known.source.startswith("HL7")
    return {"language": "en" if of_r4 else "nb", "url": url, "version": known.version}


def _descriptive(known: Edition | ValueSet, description: str) -> dict[str, Any]:
    return {
        "name": known.name,
        "title": known.title,
        "status": "active",
        "experimental": False,
        "publisher": _publisher(known),
        "description": description,
        "copyright": f"Source: {known.source}" if known.source else "",
    }


def _publisher(known: Edition | ValueSet) -> str:
    """Who answers for the codes, not for this resource."""
    system = known.url if isinstance(known, Edition) else known.includes[0].system if known.includes else ""
    if known.source.startswith("HL7 FHIR"):
        return "HL7 International"
    if system.startswith(BASE):
        return "fhir-facade"
    return "Helsedirektoratet" if system.startswith(LIST) else known.source


def _description(edition: Edition, *, told: bool) -> str:
    parts = [f"Confidence: {edition.confidence}."]
    if not edition.complete:
        parts.append("Not complete: a code that is not here may be right.")
    if not told:
        parts.append("The codes are too many for one resource: use $expand and $lookup.")
    if edition.as_of:
        parts.append(f"As of {edition.as_of}.")
    return _said(edition, " ".join(parts))


def _said(known: Edition | ValueSet, first: str) -> str:
    ours = "The title is ours, not official." if known.title_is_ours else ""
    return " ".join(filter(None, (first, ours, known.note))) or f"{known.title}."


def _identifiers(edition: Edition) -> list[dict[str, str]]:
    return [{"system": "urn:ietf:rfc:3986", "value": each} for each in _published((edition.url, *edition.identifiers))]


def _published(uris: tuple[str, ...]) -> Iterator[str]:
    """Those URIs that are written somewhere: OIDs and addresses, without the forms that every list would have."""
    for uri in dict.fromkeys(uris):
        number = next((each.removeprefix(LIST) for each in uris if each.startswith(LIST)), "")
        made = {form.format(number) for form in LIST_FORMS} if number else set()
        if uri.startswith("urn:oid:") or (uri not in made and number):
            yield uri


def _properties(concepts: list[Concept]) -> list[str]:
    """The names of the properties that some concept has, those known first."""
    used: dict[str, None] = {}
    for concept in concepts:
        used.update(dict.fromkeys(name for name, _, _ in _told(concept)))
    return [name for name in KNOWN if name in used] + [name for name in used if name not in KNOWN]


def _definition(name: str) -> dict[str, str]:
    kind, meaning = KNOWN.get(name, ("string", ""))
    uri = f"{STANDARD}{name}" if name in ("status", "parent") else ""
    return {
        key: value for key, value in {"code": name, "uri": uri, "description": meaning, "type": kind}.items() if value
    }


def _told(concept: Concept) -> Iterator[tuple[str, str, str]]:
    """Name, JSON name and value of each property of a concept; a status is told where it is not active."""
    if concept.status != "active":
        yield "status", "valueCode", concept.status
    for name, value in (("validFrom", concept.valid_from), ("validTo", concept.valid_to)):
        if value:
            yield name, "valueDateTime", value
    if concept.parent:
        yield "parent", "valueCode", concept.parent
    for name, value in concept.properties.items():
        yield name, "valueString", value


def _concept(concept: Concept) -> dict[str, Any]:
    designations = [
        _without_empty({"language": each.language, "value": each.value}) for each in concept.designations if each.value
    ]
    properties = [{"code": name, kind: value} for name, kind, value in _told(concept)]
    return _without_empty(
        {"code": concept.code, "display": concept.display, "designation": designations, "property": properties}
    )


def _include(include: Include) -> dict[str, Any]:
    named = [{"code": code} for code in include.codes] if include.codes is not None else []
    return _without_empty({"system": include.system, "concept": named})


def _without_empty(value: dict[str, Any]) -> dict[str, Any]:
    return {name: each for name, each in value.items() if each not in ("", [], None)}
