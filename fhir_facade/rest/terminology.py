"""The terminology operations over HTTP: inputs in, a Parameters or an expanded ValueSet out.

https://hl7.org/fhir/R4/terminology-service.html; what each status means stands in docs/terminology.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

import orjson

from fhir_facade.contracts import Resource
from fhir_facade.rest import terminology_inputs as takes
from fhir_facade.rest.answer import Answer, pretty
from fhir_facade.rest.canonical_resources import by_id
from fhir_facade.rest.negotiation import language
from fhir_facade.rest.parameters_in import Arguments, Inputs, read_inputs
from fhir_facade.rest.services import Interaction, Request, Services
from fhir_facade.rest.terminology_resources import TYPES, Listed
from fhir_facade.rest.terminology_search import reading
from fhir_facade.rest.translation import chosen_map, translated
from fhir_facade.terminology.expansion import Wanted, expand, expanded_value_set
from fhir_facade.terminology.operations import (
    edition_of,
    lookup,
    parts_of,
    subsumes,
    validate_code,
    value_set_of,
)
from fhir_facade.terminology.resources import value_set_resource
from fhir_facade.terminology.uris import canonical
from fhir_facade.terminology.value_sets import ValueSet

DEFINITIONS = "http://hl7.org/fhir/OperationDefinition"


@dataclass
class Asked:
    """One call of an operation: what was given, and the resource that it was called on, if any."""

    services: Services
    arguments: Arguments
    language: str
    on: Listed | None = None

    def url(self, *names: str) -> tuple[str, str]:
        """The canonical that is asked about, and its version: the resource's own, or an input "url|version"."""
        given = [name for name in names if name in self.arguments.values]
        if self.on is not None:
            return self.on.url, self.on.version
        values = {self.arguments.text(name) for name in given}
        if len(values) > 1:
            raise self.arguments.disagree(tuple(given), "they differ", "de er ulike")
        url, _, version = values.pop().partition("|") if values else ("", "", "")
        return url, version

    @property
    def day(self) -> date:
        """The day that is asked about: that of the input, or today."""
        given: date | None = self.arguments.get("date")
        return given or self.services.now().date()

    @property
    def dated(self) -> bool:
        """Whether the day was asked for."""
        return "date" in self.arguments.values

    def coding(self, system: str, version: str, code: str = "code", coding: str = "coding") -> dict[str, str]:
        """The one coding that is asked about, of a code or of a Coding; `system` is what is said beside it."""
        given: dict[str, str] | None = self.arguments.get(coding)
        if given is None and code not in self.arguments.values:
            raise self.arguments.missing(f"{code} or {coding}")
        if given is None:
            given = {"code": self.arguments.text(code)}
            if code == "code" and "display" in self.arguments.values:
                given["display"] = self.arguments.text("display")
        elif code in self.arguments.values:
            raise self.arguments.disagree((code, coding), "both name a code", "begge sier en kode")
        whole = {"system": system, "version": version} | given
        return {name: value for name, value in whole.items() if value}

    def codings(self, system: str, version: str) -> list[dict[str, str]]:
        """The codings that are asked about; those of a CodeableConcept, or the one."""
        concept = self.arguments.get("codeableConcept")
        if concept is None:
            return [self.coding(system, version)]
        for other in ("code", "coding"):
            if other in self.arguments.values:
                raise self.arguments.disagree((other, "codeableConcept"), "both name a code", "begge sier en kode")
        found: list[dict[str, str]] = concept["coding"]
        return found


def look_up_code(asked: Asked) -> Resource:
    """CodeSystem/$lookup."""
    system, version = asked.url("system")
    coding = asked.coding(system, one_version(asked, version))
    if "system" not in coding:
        raise asked.arguments.missing("system")
    one_system(asked, "coding", coding, system)
    code_system = edition_of(
        asked.services.catalogue, coding["system"], coding.get("version", ""), asked.day, dated=asked.dated
    )
    wanted = asked.arguments.get("property") or ()
    tongue = asked.arguments.text("displayLanguage")
    return lookup(code_system, coding["code"], asked.day, properties=wanted, language=tongue)


def one_system(asked: Asked, name: str, coding: Mapping[str, str], system: str) -> None:
    """Refuse a coding of another system than the one that the call is about."""
    if system and canonical(coding["system"]) != canonical(system):
        raise asked.arguments.disagree((name, "system"), "they name two code systems", "de sier to kodeverk")


def one_version(asked: Asked, version: str, name: str = "version") -> str:
    """The one version that is asked for: behind the URI, beside it, or nowhere; Refused when there are two."""
    beside = asked.arguments.text(name)
    if version and beside and version != beside:
        raise asked.arguments.disagree((name, "url"), "they name two editions", "de sier to utgaver")
    return version or beside


def subsumption(asked: Asked) -> Resource:
    """CodeSystem/$subsumes."""
    system, version = asked.url("system")
    version = one_version(asked, version)
    first = asked.coding(system, version, "codeA", "codingA")
    second = asked.coding(system, version, "codeB", "codingB")
    if "system" not in first or "system" not in second:
        raise asked.arguments.missing("system")
    one_system(asked, "codingA", first, system or second["system"])
    one_system(asked, "codingB", second, system or first["system"])
    versions = {each["version"] for each in (first, second) if "version" in each}
    if len(versions) > 1:
        raise asked.arguments.disagree(("codingA", "codingB"), "they name two editions", "de sier to utgaver")
    chosen = edition_of(asked.services.catalogue, first["system"], "".join(versions), asked.day, dated=False)
    return subsumes(chosen, first["code"], second["code"])


def validation_in_system(asked: Asked) -> Resource:
    """CodeSystem/$validate-code."""
    url, version = asked.url("url", "system")
    version = one_version(asked, version)
    codings = asked.codings(url, version)
    return validate_code(
        asked.services.catalogue, codings, on=asked.day, language=asked.language, system=url, version=version,
        display_language=asked.arguments.text("displayLanguage"),
    )  # fmt: skip


def validation_in_value_set(asked: Asked) -> Resource:
    """ValueSet/$validate-code."""
    value_set, version = _value_set(asked)
    version = one_version(asked, version, "systemVersion")
    codings = asked.codings(asked.arguments.text("system"), version)
    if not all("system" in each for each in codings):
        raise asked.arguments.missing("system")
    return validate_code(
        asked.services.catalogue, codings, on=asked.day, language=asked.language, version=version,
        value_set=value_set.url, display_language=asked.arguments.text("displayLanguage"),
    )  # fmt: skip


def _value_set(asked: Asked) -> tuple[ValueSet, str]:
    """The value set that is asked about, and the edition of its codes that `url|version` means, if it does."""
    url, version = asked.url("url")
    if not url:
        raise asked.arguments.missing("url")
    if asked.on is not None:
        version = ""  # the resource says what is newest, and a day may choose another edition
    found = value_set_of(asked.services.catalogue, f"{url}|{version}" if version else url)
    return found, version if all(each.codes is None for each in found.includes) else ""


def expansion(asked: Asked) -> Resource:
    """ValueSet/$expand."""
    arguments, services = asked.arguments, asked.services
    value_set, version = _value_set(asked)
    wanted = Wanted(
        on=asked.day,
        dated=asked.dated,
        text=arguments.text("filter"),
        offset=arguments.get("offset") or 0,
        count=arguments.get("count"),
        active_only=arguments.flag("activeOnly"),
    )
    parts = parts_of(services.catalogue, value_set, asked.day if wanted.dated else None, version)
    timestamp = services.now().isoformat(timespec="seconds")
    return expanded_value_set(
        value_set_resource(value_set), expand(parts, wanted), wanted, parts, timestamp=timestamp,
        language=arguments.text("displayLanguage"), designations=arguments.flag("includeDesignations"),
    )  # fmt: skip


def translation(asked: Asked) -> Resource:
    """ConceptMap/$translate."""
    arguments, services = asked.arguments, asked.services
    url, version = asked.url("url")
    url = chosen_map(services.translations, url, version or arguments.text("conceptMapVersion"))
    sources, targets = ends(services, arguments.text("source")), ends(services, arguments.text("target"))
    if arguments.text("targetsystem"):
        targets = [services.translations.canonical(arguments.text("targetsystem"))]
    system = arguments.text("system") or (sources[0] if len(sources) == 1 else "")
    codings = asked.codings(system, "")
    if not all("system" in each for each in codings):
        raise arguments.missing("system")
    if sources and not all(services.translations.canonical(each["system"]) in sources for each in codings):
        raise arguments.disagree(
            ("source", "system"), "the code is of a system that the value set has nothing of",
            "koden er i et kodeverk som verdisettet ikke har noe fra",
        )  # fmt: skip
    return translated(
        services.translations, services.catalogue, codings, url=url, reverse=arguments.flag("reverse"),
        targets=targets, language=asked.language,
    )  # fmt: skip


def ends(services: Services, value_set: str) -> list[str]:
    """The systems of a value set that a translation begins or ends in; none where none is named."""
    if not value_set:
        return []
    return list(dict.fromkeys(each.system for each in value_set_of(services.catalogue, value_set).includes))


@dataclass(frozen=True)
class Operation:
    """One operation of R4: its type and name, its inputs, what answers it, what it does, and an example to try."""

    type: str
    name: str
    inputs: Inputs
    answer: Callable[[Asked], Resource]
    documentation: str
    example: str
    answers: str = "Parameters"

    @property
    def instance_inputs(self) -> Inputs:
        """What it takes on one resource, which says itself what it is."""
        said = {"url", "conceptMapVersion"} | ({"system", "version"} if self.type == "CodeSystem" else set())
        kept = {name: spec for name, spec in self.inputs.takes.items() if name not in said}
        return replace(self.inputs, takes=kept, of_path=frozenset(said))


OPERATIONS = (
    Operation(
        "CodeSystem", "lookup", takes.LOOKUP, look_up_code,
        "What is known of a code: display, status, validity, properties.",
        f"system={takes.LIST}&code=1",
    ),
    Operation(
        "CodeSystem", "validate-code", takes.VALIDATE_IN_SYSTEM, validation_in_system,
        "Whether a code is of a code system, on a date: valid, invalid, or not to be known here.",
        f"url={takes.LIST}&code=1&date=2024-06-30",
    ),
    Operation(
        "CodeSystem", "subsumes", takes.SUBSUMES, subsumption,
        "How two codes of one code system stand to each other.",
        f"system={takes.LIST}&codeA=1&codeB=2",
    ),
    Operation(
        "ConceptMap", "translate", takes.TRANSLATE, translation,
        "What a code becomes, by the maps that the mappings of this server use; both ways.",
        f"system={takes.LIST}&code=3",
    ),
    Operation(
        "ValueSet", "expand", takes.EXPAND, expansion,
        "The codes of a value set: by text, by date, a page at a time.",
        f"url={takes.VALUE_SET}&filter=d&count=5", "ValueSet",
    ),
    Operation(
        "ValueSet", "validate-code", takes.VALIDATE_IN_VALUE_SET, validation_in_value_set,
        "Whether a code is of a value set, on a date: valid, invalid, or not to be known here.",
        f"url={takes.VALUE_SET}&system={takes.LIST}&code=1",
    ),
)  # fmt: skip


def operate(operation: Operation, inputs: Inputs, services: Services, request: Request) -> Answer:
    """One call of an operation, on a type or on the resource that the path names."""
    on = by_id(services, operation.type, request.id) if request.id else None
    arguments = read_inputs(request, inputs)
    tongue = language(request.headers.get(b"accept-language", b""))
    body = orjson.dumps(operation.answer(Asked(services, arguments, tongue, on)))
    return Answer(200, pretty(body) if arguments.indented else body)


def _rows() -> Iterator[Interaction]:
    for name in TYPES:
        yield from reading(name)
    for each in OPERATIONS:
        canonical_url = f"{DEFINITIONS}/{each.type}-{each.name}"
        for place, inputs in (("", each.inputs), ("/{id}", each.instance_inputs)):
            for method in ("GET", "POST"):
                yield Interaction(
                    each.name, method, f"/{each.type}{place}/${each.name}", partial(operate, each, inputs),
                    each.documentation, takes_body=method == "POST", operation=canonical_url, takes=inputs.takes,
                    answers=(each.answers,),
                )  # fmt: skip


TERMINOLOGY: tuple[Interaction, ...] = tuple(_rows())
