"""What the terminology operations answer: lookup, validate-code and subsumes, as Parameters over a catalogue.

https://hl7.org/fhir/R4/terminology-service.html. Dates and languages come from the caller; nothing here knows HTTP or
a clock. What is not there is Refused; a judgement never is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from fhir_facade.contracts import Resource
from fhir_facade.outcome import Issue, Refused, operation_outcome
from fhir_facade.terminology.concepts import CodeSystem, Concept
from fhir_facade.terminology.expansion import MOST, Part, display_in, in_use
from fhir_facade.terminology.judging import Verdict, judge, told
from fhir_facade.terminology.resources import KNOWN

if TYPE_CHECKING:
    from fhir_facade.terminology.catalogue import Catalogue
    from fhir_facade.terminology.value_sets import ValueSet

NAMES: Mapping[bool | None, str] = {True: "valid", False: "invalid", None: "unknown"}
STANDARD = ("name", "version", "display", "designation", "lang")
"""Names of `property` in $lookup that mean what is always given."""


def edition_of(
    catalogue: Catalogue, system: str, version: str = "", on: date | None = None, *, dated: bool = True
) -> CodeSystem:
    """The edition of a system by its version, or the one for a day, or the newest; Refused when there is none.

    Where no one asked for the day (`dated` is false), last year's whole edition is better than a sample of today's.
    """
    editions = catalogue.editions(system)
    if not editions:
        raise Refused(system_unknown(catalogue, system))
    if version:
        for each in editions:
            if each.edition.version == version:
                return each
        allowed = [each.edition.version for each in editions]
        facts = {"system": told(system), "version": told(version), "allowed": allowed}
        raise Refused(Issue("code-system-version-unknown", "", facts))
    chosen = catalogue.code_system(system, on=on)
    return chosen if chosen is not None and (dated or chosen.edition.complete) else editions[0]


def system_unknown(catalogue: Catalogue, system: str) -> Issue:
    """The issue for a system that is not here, with the nearest one."""
    known = [uri for each in catalogue.code_systems() for uri in (each.edition.url, *each.edition.identifiers)]
    return Issue("code-system-unknown", "", {"system": told(system), **near(system, known)})


def near(said: str, known: Iterable[str]) -> dict[str, str]:
    """The hint at the closest of the known, in en and nb; both "" where nothing is close."""
    close = get_close_matches(said, list(known), n=1, cutoff=0.6)
    english, norwegian = (f" (did you mean '{close[0]}'?)", f" (mente du '{close[0]}'?)") if close else ("", "")
    return {"nearest": english, "likest": norwegian}


def found(code_system: CodeSystem, code: str) -> Concept:
    """The concept of a code; Refused when the edition has none."""
    concept = code_system.find(code)
    if concept is None:
        known = code_system.edition.complete
        facts = {
            "code": told(code),
            "system": code_system.edition.url,
            "incomplete": "" if known else "; the list is not complete",
            "ufullstendig": "" if known else "; listen er ikke fullstendig",
        }
        raise Refused(Issue("code-not-found", "", facts))
    return concept


def lookup(
    code_system: CodeSystem, code: str, on: date, *, properties: Sequence[str] = (), language: str = ""
) -> Resource:
    """What is known of a code, https://hl7.org/fhir/R4/codesystem-operation-lookup.html; Refused when it is unknown."""
    concept, edition = found(code_system, code), code_system.edition
    _check_properties(code_system, properties)
    given = list(_properties(concept, on))
    if properties:
        given = [each for each in given if each["part"][0]["valueCode"] in properties]
    designations = [_designation(each.language, each.value, each.use) for each in concept.designations]
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "name", "valueString": edition.title or edition.name},
            *([{"name": "version", "valueString": edition.version}] if edition.version else []),
            {"name": "display", "valueString": display_in(concept, language)},
            *designations,
            *given,
        ],
    }


def _check_properties(code_system: CodeSystem, names: Sequence[str]) -> None:
    """Refuse a property that no code of the edition has; of a large edition that is not looked for."""
    if not names or code_system.edition.count > MOST:
        return
    known = {*STANDARD, *KNOWN, "inactive"}
    for each in code_system.page(0, MOST):
        known.update(each.properties)
    for name in names:
        if name not in known:
            facts = {"name": told(name), "allowed": sorted(known), **near(name, known)}
            raise Refused(Issue("property-unknown", "property", facts))


def _designation(language: str, value: str, use: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"name": "language", "valueCode": language}] if language else []
    if use:
        system = "http://terminology.hl7.org/CodeSystem/designation-usage"
        parts.append({"name": "use", "valueCoding": {"system": system, "code": use}})
    return {"name": "designation", "part": [*parts, {"name": "value", "valueString": value}]}


def _properties(concept: Concept, on: date) -> Iterable[dict[str, Any]]:
    yield _property("status", "valueCode", concept.status)
    yield _property("inactive", "valueBoolean", not in_use(concept, on))
    for name, value in (("validFrom", concept.valid_from), ("validTo", concept.valid_to)):
        if value:
            yield _property(name, "valueDateTime", value)
    if concept.parent:
        yield _property("parent", "valueCode", concept.parent)
    for name, value in concept.properties.items():
        yield _property(name, "valueString", value)


def _property(name: str, held: str, value: Any) -> dict[str, Any]:
    return {"name": "property", "part": [{"name": "code", "valueCode": name}, {"name": "value", held: value}]}


def subsumes(code_system: CodeSystem, code_a: str, code_b: str) -> Resource:
    """How two codes of one edition stand to each other; Refused when either is unknown.

    https://hl7.org/fhir/R4/codesystem-operation-subsumes.html
    """
    first, second = found(code_system, code_a).code, found(code_system, code_b).code
    if first == second:
        outcome = "equivalent"
    elif any(above.code == first for above in code_system.parents(second)):
        outcome = "subsumes"
    elif any(above.code == second for above in code_system.parents(first)):
        outcome = "subsumed-by"
    else:
        outcome = "not-subsumed"
    return {"resourceType": "Parameters", "parameter": [{"name": "outcome", "valueCode": outcome}]}


def validate_code(
    catalogue: Catalogue,
    codings: Sequence[Mapping[str, str]],
    *,
    on: date,
    language: str,
    system: str = "",
    version: str = "",
    value_set: str = "",
    display_language: str = "",
) -> Resource:
    """Whether some coding is right in a system or a value set, on a day: three-valued, and never an error.

    `system` is the one that codings without their own are of. https://hl7.org/fhir/R4/codesystem-operation-validate-code.html
    """
    verdicts = [
        judge(
            catalogue,
            each.get("system") or system,
            each["code"],
            display=each.get("display"),
            version=each.get("version") or version or None,
            on=on,
            value_set=value_set or None,
        )
        for each in codings
    ]
    return verdict_parameters(best(verdicts), language, display_language)


def best(verdicts: Sequence[Verdict]) -> Verdict:
    """Of several codings of one concept the one that speaks best for it: valid, then unknown, then invalid."""
    return min(verdicts, key=lambda verdict: (True, None, False).index(verdict.valid))


def verdict_parameters(verdict: Verdict, language: str, display_language: str = "") -> Resource:
    """A verdict as Parameters; `result` is false only for what is known to be wrong (docs/terminology.md)."""
    parameters: list[dict[str, Any]] = [{"name": "result", "valueBoolean": verdict.valid is not False}]
    if verdict.issues:
        message = " ".join(issue.sentence(language) for issue in verdict.issues)
        parameters.append({"name": "message", "valueString": message})
    if verdict.concept is not None:
        parameters.append({"name": "display", "valueString": display_in(verdict.concept, display_language)})
    parameters.append({"name": "verdict", "valueCode": NAMES[verdict.valid]})
    if verdict.issues:
        parameters.append({"name": "issues", "resource": operation_outcome(verdict.issues, language)})
    return {"resourceType": "Parameters", "parameter": parameters}


def value_set_of(catalogue: Catalogue, url: str) -> ValueSet:
    """The value set of a canonical, or all codes of the system of a URI; with `|version` that one, or Refused."""
    found = catalogue.value_set(url)
    if found is None:
        known = [each.url for each in catalogue.value_sets()]
        raise Refused(Issue("value-set-unknown", "", {"url": told(url), **near(url, known)}))
    return found


def parts_of(catalogue: Catalogue, value_set: ValueSet, on: date | None, version: str = "") -> list[Part]:
    """The editions that a value set takes codes from, for a day or the newest; Refused when one is not here.

    The `version` of a value set of all codes is that of the edition, which then goes before the day.
    """
    return [
        Part(edition_of(catalogue, each.system, "" if each.codes else version, on), each.codes)
        for each in value_set.includes
    ]
