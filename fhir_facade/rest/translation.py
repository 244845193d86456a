"""ConceptMap/$translate: what a code becomes, or came from, by the maps that mappings use.

https://hl7.org/fhir/R4/conceptmap-operation-translate.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fhir_facade.contracts import Resource
from fhir_facade.mapping.translating import Match, Translations, succeeds, translate
from fhir_facade.outcome import Issue, Refused, operation_outcome
from fhir_facade.terminology.judging import told
from fhir_facade.terminology.operations import near, system_unknown

if TYPE_CHECKING:
    from fhir_facade.terminology.catalogue import Catalogue


def chosen_map(translations: Translations, url: str, version: str) -> str:
    """The canonical of the map that is asked for, "" where none is; Refused when it is not served."""
    if not url:
        return ""
    known = translations.by_url
    served = known[url].resource.get("version", "") if url in known else ""
    if url not in known or version not in ("", served):
        said = told(f"{url}|{version}" if version else url)
        facts = {"url": said, "allowed": list(known), **near(said, known)}
        raise Refused(Issue("concept-map-unknown", "", facts))
    return url


def translated(
    translations: Translations, catalogue: Catalogue, codings: Sequence[dict[str, str]], *, url: str, reverse: bool,
    targets: Sequence[str], language: str,
) -> Resource:  # fmt: skip
    """The Parameters of a translation; `targets` are the systems that are good enough, none means any.

    Refused when a coding's system is neither that of a map nor served.
    """
    matches: dict[tuple[str, str], Match] = {}
    issues: list[Issue] = []
    for each in codings:
        system = translations.canonical(each["system"])
        found = [
            match
            for target in (targets or [""])
            for match in translate(translations, each["code"], system, target, url=url, reverse=reverse)
        ]
        if not found or not succeeds(found):
            issues.append(_not_translated(translations, catalogue, system, each["code"]))
        for match in found:
            matches.setdefault((match.system, match.code), match)
    done = succeeds(matches.values())
    parameters: list[dict[str, Any]] = [{"name": "result", "valueBoolean": done}]
    if not done:
        parameters.append({"name": "message", "valueString": " ".join(issue.sentence(language) for issue in issues)})
    parameters += [_match(match) for match in matches.values()]
    if not done:
        parameters.append({"name": "issues", "resource": operation_outcome(issues, language)})
    return {"resourceType": "Parameters", "parameter": parameters}


def _not_translated(translations: Translations, catalogue: Catalogue, system: str, code: str) -> Issue:
    mapped = {each.source for each in translations.by_url.values()}
    if system not in mapped and not catalogue.editions(system):
        raise Refused(system_unknown(catalogue, system))
    facts = {"code": told(code), "system": told(system), "allowed": list(translations.by_url)}
    return Issue("code-not-translated", "", facts)


def _match(match: Match) -> dict[str, Any]:
    coding = {"system": match.system, "code": match.code} | ({"display": match.display} if match.display else {})
    return {
        "name": "match",
        "part": [
            {"name": "equivalence", "valueCode": match.equivalence},
            {"name": "concept", "valueCoding": coding},
            {"name": "source", "valueUri": match.map_url},
        ],
    }
