"""A code map as R4 ConceptMaps: what a record's code becomes, and where a standard code goes back to.

R4 has no place inside a ConceptMap for the choice among several record codes that become one (`reverse` of a code
map). So each map gives two: the map itself, which tells every relation, and its reverse, in which each standard code
has the one record code that an inbound resource without its own coding is read as. An inbound coding of the record's
own list always wins over both.

Source of the form: https://hl7.org/fhir/R4/conceptmap.html (R4 names: `equivalence`, not R5's `relationship`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fhir_facade.definitions import definitions
from fhir_facade.mapping.codecs import reverse_codes
from fhir_facade.mapping.ir import CodeMap, Target

if TYPE_CHECKING:
    from fhir_facade.mapping.vocabulary import Vocabulary

OTHER_WAY = {"wider": "narrower", "narrower": "wider", "subsumes": "specializes", "specializes": "subsumes"}
NEEDS_A_COMMENT = ("narrower", "inexact")
"""R4 invariant cmd-1: these relations are told only with a comment."""

MEANS_THE_SAME = ("equal", "equivalent")
REVERSE = "-reverse"


def map_url(name: str, vocabulary: Vocabulary, *, reverse: bool = False) -> str:
    """The canonical of a code map, or of its reverse."""
    return f"{vocabulary.base}/ConceptMap/{name}{REVERSE if reverse else ''}"


def concept_map(code_map: CodeMap, vocabulary: Vocabulary) -> dict[str, Any]:
    """The R4 ConceptMap of a code map, record code → standard code.

    `group.unmapped` is `provided` where the record's own coding stands for a code that the map lacks; a map that
    writes nothing then has none, for R4 has no mode that says so.
    """
    group: dict[str, Any] = {
        "source": code_map.source.uri,
        "target": code_map.target_system,
        "element": [_element(code_map, own, target) for own, target in code_map.targets.items()],
    }
    if code_map.unmapped == "provided":
        group["unmapped"] = {"mode": "provided"}
    # the URI of the list names its codes and so the value set of them all; nobody publishes another name for that
    ends = {"sourceUri": code_map.source.uri}
    ends |= _value_set("target", code_map.target_value_set, code_map.target_system)
    return {**_head(code_map, vocabulary, reverse=False), **ends, "group": [group]}


def reverse_concept_map(code_map: CodeMap, vocabulary: Vocabulary) -> dict[str, Any]:
    """The R4 ConceptMap of the way back: standard code → the one record code that a bare standard code is read as.

    A standard code that several record codes become, with no `reverse` choice, is left out: it is refused.
    """
    group = {
        "source": code_map.target_system,
        "target": code_map.source.uri,
        "element": list(_elements_back(code_map)),
    }
    ends = _value_set("source", code_map.target_value_set, code_map.target_system)
    ends["targetUri"] = code_map.source.uri
    return {**_head(code_map, vocabulary, reverse=True), **ends, "group": [group]}


def choices_back(code_map: CodeMap) -> dict[str, str]:
    """Standard code → the record code that it is read as: the choice that the map makes, or the only one."""
    found: dict[str, str] = {}
    for code in dict.fromkeys(target.code for target in code_map.targets.values()):
        owns = [code_map.back[code]] if code in code_map.back else reverse_codes(code_map, code)
        if len(owns) == 1:
            found[code] = owns[0]
    return found


def doubts(code_map: CodeMap) -> list[str]:
    """What is untrue of a code map by R4 itself, a line each; no code map that ships has any (tests/laws).

    A target stands in the value set that the map names, as far as R4 holds it; a standard code goes back to a record
    code that means the same, not to one that is wider or narrower.
    """
    found = [f"{own} -> {code_map.targets[own].code}: {said}" for own, said in strangers(code_map)]
    for code, own in choices_back(code_map).items():
        relation = code_map.targets[own].relation
        if relation not in MEANS_THE_SAME:
            found.append(f"{code} -> {own}: the record code is {OTHER_WAY.get(relation, relation)}")
    return found


def strangers(code_map: CodeMap) -> list[tuple[str, str]]:
    """(record code, what is wrong) of targets outside the value set that the map names, as far as R4 holds it."""
    listed = definitions().codes(code_map.target_value_set)
    return [
        (own, f"not in {code_map.target_value_set}")
        for own, target in code_map.targets.items()
        if listed is not None and (target.system, target.code) not in listed
    ]


def _head(code_map: CodeMap, vocabulary: Vocabulary, *, reverse: bool) -> dict[str, Any]:
    url = map_url(code_map.name, vocabulary, reverse=reverse)
    name = "".join(part.capitalize() for part in code_map.name.replace("_", "-").split("-"))
    file = code_map.at.rpartition(":")[0]
    said = f"Where a bare code of the target goes back to. Made from {file}." if reverse else f"Made from {file}."
    return {
        "resourceType": "ConceptMap",
        "id": url.rsplit("/", 1)[-1][:64],
        "url": url,
        **({"version": code_map.version} if code_map.version else {}),
        "name": f"{name}Reverse" if reverse else name,
        "status": "active",
        "description": said,
    }


def _value_set(end: str, value_set: str, system: str) -> dict[str, Any]:
    """`source[x]` or `target[x]`: the canonical of a value set, else the URI of the whole system."""
    return {f"{end}Canonical": value_set} if value_set else {f"{end}Uri": system}


def _element(code_map: CodeMap, own: str, target: Target) -> dict[str, Any]:
    made: dict[str, Any] = {"code": target.code}
    if target.display:
        made["display"] = target.display
    return {**_coded(own, _own_display(code_map, own)), "target": [_related(made, target.relation)]}


def _elements_back(code_map: CodeMap) -> Iterator[dict[str, Any]]:
    for code, own in choices_back(code_map).items():
        target = code_map.targets[own]
        display = target.display or definitions().display(code_map.target_system, code) or ""
        made = _coded(own, _own_display(code_map, own))
        yield {**_coded(code, display), "target": [_related(made, OTHER_WAY.get(target.relation, target.relation))]}


def _related(made: dict[str, Any], relation: str) -> dict[str, Any]:
    made["equivalence"] = relation
    if relation in NEEDS_A_COMMENT:
        made["comment"] = "The two codes do not mean quite the same."
    return made


def _own_display(code_map: CodeMap, own: str) -> str:
    return (code_map.source.displays or {}).get(own, "")


def _coded(code: str, display: str) -> dict[str, Any]:
    return {"code": code, "display": display} if display else {"code": code}
