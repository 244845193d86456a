"""A mapping as R4 StructureMaps, one for each direction: for readers who want the standard. Nothing here runs them.

One group for the mapping and one for each list with rows; every rule says the file and line that it was made from.
A code map is named by the canonical of its ConceptMap; see concept_map.py.
Source of the form: https://hl7.org/fhir/R4/structuremap.html.
"""

from __future__ import annotations

from typing import Any, Literal

from fhir_facade.mapping.check import every
from fhir_facade.mapping.concept_map import concept_map, reverse_concept_map
from fhir_facade.mapping.ir import Coded, MappingRules
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.structure_back import back_rules
from fhir_facade.mapping.structure_forward import forward_rules
from fhir_facade.mapping.structure_parts import LONGEST, Json, Sheet
from fhir_facade.mapping.tree import build
from fhir_facade.mapping.vocabulary import Vocabulary

Way = Literal["to-fhir", "from-fhir"]
WAYS: tuple[Way, ...] = ("to-fhir", "from-fhir")
R4 = "http://hl7.org/fhir/StructureDefinition"


def structure_map(rules: MappingRules, way: Way, kinds: Kinds, vocabulary: Vocabulary) -> dict[str, Any]:
    """The R4 StructureMap of one mapping in one direction.

    The record stands as a logical model, `<base>/StructureDefinition/epj-<kind>`.
    """
    kind, sheet = kinds[rules.kind], Sheet(vocabulary, kinds)
    url = f"{vocabulary.base}/StructureMap/{rules.name}-{way}"
    name, told = sheet.name(rules.name), f"{rules.file}: {rules.kind} and {rules.resource_type}, {way}"
    record, resource = _ends(rules, kind, vocabulary)
    forward = way == "to-fhir"
    inputs = [
        {"name": "record", "type": record["alias"], "mode": "source" if forward else "target"},
        {"name": "resource", "type": resource["alias"], "mode": "target" if forward else "source"},
    ]
    node = build(rules.rules, rules.resource_type)
    (forward_rules if forward else back_rules)(sheet, kind, node, name, inputs if forward else inputs[::-1], told)
    record["mode"], resource["mode"] = ("source", "target") if forward else ("target", "source")
    return {
        "resourceType": "StructureMap",
        "id": f"{rules.name}-{way}".replace("_", "-")[:LONGEST],
        "url": url.replace("_", "-"),
        **({"version": rules.version} if rules.version else {}),
        "name": "".join(part.capitalize() for part in f"{rules.name}-{way}".replace("_", "-").split("-")),
        "status": "active",
        "description": f"Made from {rules.file}; for readers, the facade itself runs that file.",
        "structure": [record, resource] if forward else [resource, record],
        "group": sheet.groups,
    }


def exported(rules: MappingRules, ways: tuple[Way, ...], kinds: Kinds, vocabulary: Vocabulary) -> list[dict[str, Any]]:
    """The StructureMaps of a mapping, and behind them the ConceptMaps that they name."""
    maps = {
        rule.code_map.name: rule.code_map for rule in every(rules.rules) if isinstance(rule, Coded) and rule.code_map
    }
    out = [structure_map(rules, way, kinds, vocabulary) for way in ways]
    for code_map in maps.values():
        out += [concept_map(code_map, vocabulary)] if "to-fhir" in ways else []
        out += [reverse_concept_map(code_map, vocabulary)] if "from-fhir" in ways else []
    return out


def _ends(rules: MappingRules, kind: Kind, vocabulary: Vocabulary) -> tuple[Json, Json]:
    """The two structures: the record as a logical model of ours, and the resource type of R4."""
    alias = "".join(part.capitalize() for part in kind.name.split("_"))
    model = f"{vocabulary.base}/StructureDefinition/epj-{kind.name.replace('_', '-')}"
    record = {"url": model, "alias": f"{alias}Record", "documentation": kind.meaning or kind.name}
    return record, {"url": f"{R4}/{rules.resource_type}", "alias": rules.resource_type}
