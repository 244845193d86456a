"""A first mapping of a record kind as a resource type: what is certain as rows, the rest as choices to be made.

A guess that the checks refuse is taken back, so that what they still say of the text is about required elements only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fhir_facade.definitions import Element, definitions
from fhir_facade.mapping.findings import Finding, nearest
from fhir_facade.mapping.ir import Coded, Identify, Rule
from fhir_facade.mapping.kinds import PREFIX_LENGTH, Field, Kind
from fhir_facade.mapping.load import CODECS
from fhir_facade.mapping.mapping_set import CompiledMapping, Ground, MappingSet, id_prefixes, load_one
from fhir_facade.yaml_text import parse

UNDECIDED = "not decided yet"
SHOWN = 40
"""Most codes of a binding that are listed."""
PREFERRED = {"Patient": ("subject", "patient")}
"""The element that a reference to a type belongs in, where several may hold it."""


class Unknown(ValueError):
    """No such record kind or resource type; the message says which names are near."""


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a mapping file, its customary name, and what must still be decided."""

    file: str
    text: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Guess:
    """A row for a field that is thought to be certain; `element` is the root element that it fills."""

    field: str
    element: str
    row: str


def scaffold(mapping_set: MappingSet, folder: Path, kind_name: str, resource_type: str, file: str = "") -> Draft:
    """The first mapping of a kind as a type; Unknown when there is no such name.

    `folder` is where the set was loaded from; `file` what findings call the text, the customary name when left out.
    """
    kinds, types = mapping_set.kinds.by_name, definitions().resource_types
    if kind_name not in kinds:
        raise Unknown(f"no record kind '{kind_name}'{nearest(kind_name, kinds)}")
    if resource_type not in types:
        raise Unknown(f"R4 has no resource type '{resource_type}'{nearest(resource_type, types)}")
    writer = _Writer(mapping_set, kinds[kind_name], resource_type)
    file = file or f"{kind_name}.{resource_type.lower()}.yaml"
    prefixes = id_prefixes(folder, []) | {
        (each.kind.name, each.resource_type): each.id_prefix for each in mapping_set.mappings.values()
    }
    ground = Ground(mapping_set.kinds, mapping_set.vocabulary, prefixes, "")
    guesses = writer.guesses()
    while True:
        text, lines = writer.text(guesses)
        findings: list[Finding] = []
        load_one(file, parse(text, file), ground, writer.others, findings)
        refused = {found.line for found in findings if found.severity == "error"} & set(lines)
        if not refused:
            return Draft(file, text, tuple(sorted(set(findings))))
        guesses = [guess for line, guess in lines.items() if line not in refused]


class _Writer:
    def __init__(self, mapping_set: MappingSet, kind: Kind, resource_type: str) -> None:
        self.set, self.kind, self.type = mapping_set, kind, resource_type
        self.name = f"{kind.name}-{resource_type.lower()}"
        self.others: list[CompiledMapping] = [
            each
            for each in mapping_set.mappings.values()
            if (each.kind.name, each.resource_type) != (kind.name, self.type)
        ]

    # ---- guesses

    def guesses(self) -> list[Guess]:
        """At most one for each field and, where it does not repeat, for each element."""
        out: list[Guess] = []
        for guess in [*self._references(), *self._identifiers(), *self._namesakes(), *self._known_elsewhere()]:
            element = definitions().element(f"{self.type}.{guess.element}")
            filled = element is not None and not element.many and any(guess.element == one.element for one in out)
            if not filled and not any(guess.field == one.field for one in out):
                out.append(guess)
        return out

    def _references(self) -> Iterator[Guess]:
        """A field that closes a reference, in the one element that may refer to what a mapping makes of its kind."""
        made: dict[str, list[str]] = {}
        for each in self.set.mappings.values():
            made.setdefault(each.kind.name, []).append(each.resource_type)
        for name in self.kind.fields:
            link = self.kind.link_of(name)
            places = [
                (element, target)
                for target in (made.get(link.to, []) if link else [])
                for element in self._referring(target)
            ]
            liked = [(one, target) for one, target in places if one in PREFERRED.get(target, ())]
            if len(places) == 1 or liked:
                element, target = (liked or places)[0]
                yield Guess(name, element, f"{{epj: {name}, fhir: {element}, to: {target}}}")

    def _referring(self, target: str) -> list[str]:
        return [
            name for name, element in self._elements() if "Reference" in element.types and target in element.targets
        ]

    def _identifiers(self) -> Iterator[Guess]:
        """The last field of the key, in the system that another mapping gives it, or that is called like the kind."""
        name, systems = self.kind.key[-1], self.set.vocabulary.systems
        used = [
            rule.system.name
            for each in self.set.for_kind(self.kind.name)
            for rule in each.rules.rules
            if isinstance(rule, Identify) and rule.field == name and rule.system
        ]
        system = next((each for each in [*used, self.kind.name] if each in systems), "")
        element = definitions().element(f"{self.type}.identifier")
        if system and element and "Identifier" in element.types:
            yield Guess(name, "identifier", f"{{epj: {name}, fhir: identifier, system: {system}}}")

    def _namesakes(self) -> Iterator[Guess]:
        """A field called like an element that holds its type, unless only codes of FHIR may stand there."""
        for name, field in self.kind.fields.items():
            element = definitions().element(f"{self.type}.{name}")
            bound = element.binding.strength if element and element.binding else ""
            if element is None or not element.types or name in ("id", "extension"):
                continue
            if field.type != "code" and element.types[0] in CODECS[field.type] and bound != "required":
                yield Guess(name, name, f"{{epj: {name}, fhir: {name}}}")
            elif field.type == "code" and element.types[0] in ("Coding", "CodeableConcept") and bound != "required":
                yield Guess(name, name, f"{{epj: {name}, fhir: {name}, system: vol-{field.code_list}}}")

    def _known_elsewhere(self) -> Iterator[Guess]:
        """A coded field that every other mapping of such a field puts in one extension, which may stand here too."""
        for name, field in self.kind.fields.items():
            found = {text for each in self.set.mappings.values() for text in _extensions_of(field, each)}
            if field.type == "code" and len(found) == 1:
                extension = self.set.vocabulary.extensions.get(next(iter(found)))
                if extension and (not extension.on or self.type in extension.on):
                    path = f"extension({extension.name}).valueCoding"
                    yield Guess(name, "extension", f"{{epj: {name}, fhir: {path}, system: vol-{field.code_list}}}")

    def _elements(self) -> Iterator[tuple[str, Element]]:
        for name in definitions().children(self.type):
            element = definitions().element(f"{self.type}.{name}")
            if element is not None:
                yield name, element

    # ---- text

    def text(self, guesses: list[Guess]) -> tuple[str, dict[int, Guess]]:
        """The file, and the line of each guess."""
        key = ", ".join(self.kind.key)
        lines = [
            f"# First draft of {self.kind.name} as {self.type}: rows that are certain, and the choices that are left.",
            f"mapping: {self.name}", "version: 0.1.0", f"epj: {self.kind.name}", f"fhir: {self.type}", "rules:",
            f"  # the key: {key}",
            f"  - {{epj: $key, fhir: id, as: id{self._prefix()}}}",
        ]  # fmt: skip
        placed: dict[int, Guess] = {}
        required = self._required()
        for guess in guesses:
            lines.append(f"  - {guess.row}{'  # required' if guess.element in required else ''}")
            placed[len(lines)] = guess
        filled = {guess.element for guess in guesses}
        for name, element in required.items():
            if name not in filled:
                lines += self._choices(name, element)
        mapped = {guess.field for guess in guesses}
        ignored = [name for name in self.kind.fields if name not in mapped and name not in self.kind.key]
        if ignored or self.kind.children:
            lines += ["ignore:", *(f"  {name}: {UNDECIDED}" for name in [*ignored, *self.kind.children])]
        return "\n".join(lines) + "\n", placed

    def _prefix(self) -> str:
        """An id prefix where another mapping of the type has ids without one."""
        taken = {each.id_prefix for each in self.others if each.resource_type == self.type}
        if "" not in taken:
            return ""
        plain = "".join(letter for letter in self.kind.name if letter.isalnum())[: PREFIX_LENGTH - 1]
        free = [plain, *(f"{plain[: PREFIX_LENGTH - 2]}{number}" for number in range(2, 10))]
        return f", prefix: {next((each for each in free if each not in taken), plain)}"

    def _required(self) -> dict[str, Element]:
        """The elements that R4 requires, a choice once, under its first name."""
        out: dict[str, Element] = {}
        for name, element in self._elements():
            if element.min and not any(one.path == element.path for one in out.values()):
                out[name] = element
        return out

    def _choices(self, name: str, element: Element) -> Iterator[str]:
        """Comments that say what may fill a required element; a row where there is no choice."""
        bound = element.binding
        pairs = sorted(definitions().codes(bound.value_set) or ()) if bound else []
        codes = [code for _, code in pairs]
        kinds = [each for each in element.types if each != "Reference"]
        if element.types == ("code",) and bound and bound.strength == "required" and len(codes) == 1:
            yield f"  - {{fhir: {name}, const: {codes[0]}}}  # required"
            return
        yield f"  # required: {self._one_name(name, element)}, {' or '.join(element.types) or 'an object'}"
        if element.targets:
            yield f"  #   refers to {', '.join(element.targets)}"
        if bound and codes:
            more = f" and {len(codes) - SHOWN} more" if len(codes) > SHOWN else ""
            yield f"  #   {bound.strength} codes: {', '.join(codes[:SHOWN])}{more}"
        if element.types == ("code",) and codes:
            yield f"  #   - {{fhir: {name}, const: {codes[0]}}}"
            yield f'  #   - {{fhir: {name}, derive: "{codes[-1]} if field else {codes[0]}"}}'
        for field in self.kind.fields.values():
            if field.required == "always" and field.name not in self.kind.key:
                yield from self._candidate(field, name, kinds, bound.strength if bound else "")

    @staticmethod
    def _one_name(name: str, element: Element) -> str:
        last = element.path.rsplit(".", 1)[-1]
        return f"{name} (one of {last})" if last.endswith("[x]") else name

    @staticmethod
    def _candidate(field: Field, name: str, kinds: list[str], strength: str) -> Iterator[str]:
        """A row of a field that every record has and whose type fits."""
        if field.type == "code" and {"code", "Coding", "CodeableConcept"} & set(kinds):
            source = (
                "codes: a code map" if strength == "required" or kinds == ["code"] else f"system: vol-{field.code_list}"
            )
            yield f"  #   - {{epj: {field.name}, fhir: {name}, {source}}}"
        elif field.type != "code" and any(kind in CODECS[field.type] for kind in kinds) and strength != "required":
            yield f"  #   - {{epj: {field.name}, fhir: {name}}}"


def _extensions_of(field: Field, mapping: CompiledMapping) -> Iterator[str]:
    """The names of the extensions that a mapping puts a field of this name and list in; "" for anything else."""
    own = mapping.kind.fields.get(field.name)
    if own is None or own.code_list != field.code_list:
        return
    for rule in mapping.rules.rules:
        if isinstance(rule, Coded) and rule.field == field.name:
            yield rule.path[0].label if _plain_extension(rule) else ""


def _plain_extension(rule: Rule) -> bool:
    return len(rule.path) == 2 and rule.path[0].name == "extension" and rule.path[1].name == "valueCoding"
