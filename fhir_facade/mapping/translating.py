"""Code maps and tables of systems as translations: what a code becomes, both ways, as the mappings themselves do it.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html. Each map is two ConceptMaps, there and back
(concept_map.py); a translation in reverse is one by the other of the two. A test compares every answer with what the
rows of mappings write and read (tests/laws/test_translate.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fhir_facade.contracts import Resource
from fhir_facade.mapping.concept_map import REVERSE, concept_map, reverse_concept_map
from fhir_facade.mapping.ir import Coded, Each, Identify, Rule, System
from fhir_facade.mapping.kinds import Field
from fhir_facade.terminology.uris import canonical

if TYPE_CHECKING:
    from fhir_facade.mapping.mapping_set import MappingSet
    from fhir_facade.mapping.vocabulary import Vocabulary

URIS = "urn:ietf:rfc:3986"
VOLVEN = "urn:oid:2.16.578.1.12.4.1.1."
SYSTEM_OF = "-system"
FAILS = ("unmatched", "disjoint")
"""R4: an answer with none but these is no translation."""


@dataclass(frozen=True, slots=True)
class Match:
    """One translation of a code: how near it is (R4 concept-map-equivalence), the coding, and the map it is from."""

    equivalence: str
    system: str
    code: str
    display: str
    map_url: str


@dataclass(frozen=True)
class Translation:
    """One ConceptMap in working form; `sister` is the url of the map of the other direction."""

    resource: Resource
    source: str
    target: str
    keeps: bool
    sister: str
    elements: Mapping[str, tuple[Match, ...]] = field(repr=False)

    @property
    def url(self) -> str:
        return str(self.resource["url"])

    def match(self, code: str) -> tuple[Match, ...]:
        """The targets of a code; the code itself, unmatched, where the record's own coding stands for it."""
        found = self.elements.get(code)
        if found is None and self.keeps:
            return (Match("unmatched", self.source, code, "", self.url),)
        return found or ()


@dataclass(frozen=True)
class Translations:
    """Every ConceptMap of a set of mappings, by canonical; `aliases` are the URIs that the set knows for systems."""

    by_url: Mapping[str, Translation]
    aliases: Mapping[str, str] = field(default_factory=dict, repr=False)

    def canonical(self, uri: str) -> str:
        """The one spelling of a system's URI."""
        return self.aliases.get(uri) or canonical(uri)

    def between(self, system: str, target: str = "", *, url: str = "", reverse: bool = False) -> Iterator[Translation]:
        """The maps that lead from a system, to `target` where one is named; by `url` alone, where one is named.

        In reverse `system` is one that the map leads to, and what leads from there is its sister.
        """
        chosen: Iterable[Translation] = [self.by_url[url]] if url else self.by_url.values()
        for each in chosen:
            led = self.by_url[each.sister] if reverse else each
            if led.source == system and target in ("", led.target):
                yield led


def translations(mapping_set: MappingSet) -> Translations:
    """Return what the code maps and the tables of systems of a set translate."""
    words = mapping_set.vocabulary
    pairs = [(concept_map(each, words), reverse_concept_map(each, words)) for each in words.code_maps.values()]
    pairs += table_maps(mapping_set)
    made = [each for there, back in pairs for each in (_translation(there, back), _translation(back, there))]
    return Translations({each.url: each for each in made}, words.canonical)


def _translation(resource: Resource, sister: Resource) -> Translation:
    group = resource["group"][0]
    url, target = str(resource["url"]), str(group["target"])
    elements = {
        element["code"]: tuple(
            Match(each["equivalence"], target, each["code"], each.get("display", ""), url) for each in element["target"]
        )
        for element in group["element"]
    }
    keeps = group.get("unmapped", {}).get("mode") == "provided"
    return Translation(resource, str(group["source"]), target, keeps, str(sister["url"]), elements)


def table_maps(mapping_set: MappingSet) -> list[tuple[Resource, Resource]]:
    """Each table of systems whose choosing field has a code list, as a map of its codes to URIs, and the way back."""
    words, found = mapping_set.vocabulary, dict[str, tuple[Resource, Resource]]()
    for field_, systems in _choices(mapping_set):
        name = next((name for name, table in words.tables.items() if table == systems), "")
        if name and field_.code_list:
            found[name] = table_map(name, words, field_.code_list, systems)
    return [found[name] for name in sorted(found)]


def _choices(mapping_set: MappingSet) -> Iterator[tuple[Field, Mapping[str, System]]]:
    """The fields that choose a system for another field, with the systems they choose among."""
    for mapping in mapping_set.mappings.values():
        yield from _chosen_in(mapping.rules.rules, mapping.kind.fields)
        for rule in mapping.rules.rules:
            if isinstance(rule, Each) and not rule.records:
                yield from _chosen_in(rule.rules, mapping.kind.children[rule.child].fields)


def _chosen_in(rules: Iterable[Rule], fields: Mapping[str, Field]) -> Iterator[tuple[Field, Mapping[str, System]]]:
    for rule in rules:
        if isinstance(rule, Coded | Identify) and rule.system_field in fields:
            yield fields[rule.system_field], rule.systems


def table_map(name: str, words: Vocabulary, number: str, systems: Mapping[str, System]) -> tuple[Resource, Resource]:
    """A table of systems as a map of the codes of a list to URIs, and the way back."""
    own = words.system(f"vol-{number}")
    uri, displays = (own.uri, own.displays or {}) if own else (f"{VOLVEN}{number}", {})
    first = {system.uri: code for code, system in reversed(list(systems.items()))}

    def coded(code: str) -> dict[str, str]:
        return {"code": code} | ({"display": displays[code]} if displays.get(code) else {})

    there = [
        {**coded(code), "target": [{"code": system.uri, "equivalence": "equivalent"}]}
        for code, system in systems.items()
    ]
    back = [
        {"code": uri, "target": [{**coded(code), "equivalence": "equivalent"}]} for uri, code in sorted(first.items())
    ]
    return (
        _table_resource(name + SYSTEM_OF, words, "The system that each code means.", uri, URIS, there),
        _table_resource(name + SYSTEM_OF + REVERSE, words, "The code that means each system.", URIS, uri, back),
    )


def _table_resource(
    name: str, words: Vocabulary, said: str, source: str, target: str, elements: list[dict[str, Any]]
) -> Resource:
    return {
        "resourceType": "ConceptMap",
        "id": name,
        "url": f"{words.base}/ConceptMap/{name}",
        "name": "".join(part.capitalize() for part in name.split("-")),
        "status": "active",
        "description": f"{said} Made from systems.yaml.",
        "sourceUri": source,
        "targetUri": target,
        "group": [{"source": source, "target": target, "element": elements}],
    }


def translate(
    known: Translations, code: str, system: str, target: str = "", *, url: str = "", reverse: bool = False
) -> tuple[Match, ...]:
    """What a code of a system is translated to, by the map `url` or by every map that leads to `target`, if named."""
    found: dict[tuple[str, str], Match] = {}
    for each in known.between(known.canonical(system), target and known.canonical(target), url=url, reverse=reverse):
        for match in each.match(known.canonical(code) if each.source == URIS else code):
            found.setdefault((match.system, match.code), match)
    return tuple(found.values())


def succeeds(matches: Iterable[Match]) -> bool:
    """Whether some match is a translation."""
    return any(match.equivalence not in FAILS for match in matches)
