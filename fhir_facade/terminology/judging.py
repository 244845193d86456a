"""Whether a code is right, on a day: known to be valid, known to be invalid, or not to be known.

What is asked in this order, and what the answer is; the first answer that is not "go on" is the verdict.

| Question | Answer |
| --- | --- |
| the value set is not at hand | unknown |
| the value set takes nothing from the system, or lists codes and this is none | invalid `code-not-in-value-set` |
| the system is not loaded | unknown, or valid where the value set lists the code |
| the edition asked for is not loaded | unknown |
| no edition holds on the day | unknown |
| the code is not in the edition, and that is not complete, or its sources disagree | unknown |
| the code is not in the edition, and the day is after the newest that the source tells of | unknown |
| the code is not in the edition otherwise | invalid `code-unknown` |
| the day is before the code's first | invalid `code-not-yet-valid` |
| the day is after the code's last | invalid `code-no-longer-valid` |
| the code is out of use, since when is not said; the source is newer than the day, or undated | unknown |
| the code is out of use, and no day is named or none that its own period covers | invalid `code-retired` |
| otherwise | valid |

A display that is not the code's is told of (`display-mismatch`) and changes no verdict: wording differs between
editions, and two codes may share a display. Displays are compared without case, accents and double spaces. Codes are
compared with case where the system tells cases apart, and with the full stop unless the system is written both ways
(ICD-10: F050 is F05.0). Every form of a system's URI means the same. Unknown is `cannot-be-known`, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from fhir_facade.outcome import Issue
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.concepts import CodeSystem, Concept, covers, spaced
from fhir_facade.terminology.value_sets import ValueSet

OUT_OF_USE = ("retired", "superseded")
REASONS: Mapping[str, tuple[str, str]] = {
    "value-set": ("the value set is not loaded", "verdisettet er ikke lastet"),
    "system": ("the code system is not loaded", "kodeverket er ikke lastet"),
    "version": ("that edition is not loaded", "den utgaven er ikke lastet"),
    "edition": ("no edition that holds on the date is loaded", "ingen utgave som gjelder på datoen, er lastet"),
    "incomplete": ("the list here is not complete", "listen her er ikke fullstendig"),
    "partial": ("the sources of the list do not agree", "kildene til listen er ikke enige"),
    "older": ("the list here is older than the date", "listen her er eldre enn datoen"),
    "retired": (
        "it is out of use, and since when is not known", "den er ute av bruk, og fra når er ikke kjent",
    ),
}  # fmt: skip
LONGEST_TOLD = 100
PERSON = re.compile(r"\d(?:[\s-]?\d){10}").search
"""Eleven digits, however they are spaced."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`valid` is None for what cannot be known. `concept` and `code_system` are what was found on the way."""

    valid: bool | None
    issues: tuple[Issue, ...] = ()
    concept: Concept | None = None
    code_system: CodeSystem | None = None


@dataclass(frozen=True, slots=True)
class _Question:
    """What is asked, with the system as it was written."""

    system: str
    code: str
    on: date | None

    def issue(self, code: str, **facts: str) -> Issue:
        return Issue(code, "", {"code": told(self.code), "system": told(self.system), **facts})

    def unknown(self, reason: str, concept: Concept | None = None, code_system: CodeSystem | None = None) -> Verdict:
        english, norwegian = REASONS[reason]
        issue = self.issue("cannot-be-known", reason=english, grunn=norwegian)
        return Verdict(None, (issue,), concept, code_system)


def judge(
    catalogue: Catalogue,
    system: str,
    code: str,
    *,
    display: str | None = None,
    version: str | None = None,
    on: date | None = None,
    value_set: str | None = None,
) -> Verdict:
    """Judge a code of a system, and of a value set where one is named; nothing is ever refused.

    Without `on` the newest edition decides, as it stands. Without `system` the value set's own is meant, if it has one.
    """
    if value_set is None:
        return _judged(catalogue, _Question(system, code, on), display, version)
    members = catalogue.value_set(value_set)
    if members is None:
        return _Question(system, code, on).unknown("value-set")
    asked = _Question(system or _only_system(members, code), code, on)
    verdict = _judged(catalogue, asked, display, version)
    return _in_value_set(catalogue, asked, verdict, members)


def told(text: str) -> str:
    """A code or URI of a client as it may be repeated: short, and without what could be a person's number."""
    if PERSON(text):
        return "…"
    return text if len(text) <= LONGEST_TOLD else f"{text[:LONGEST_TOLD]}…"


def _only_system(members: ValueSet, code: str) -> str:
    """The system that a bare code of a value set is of, "" when there is none or more than one."""
    systems = {each.system for each in members.includes if each.codes is None or code in each.codes}
    return systems.pop() if len(systems) == 1 else ""


def _in_value_set(catalogue: Catalogue, asked: _Question, verdict: Verdict, members: ValueSet) -> Verdict:
    newest = catalogue.code_system(asked.system)
    parts = members.of_system(newest.edition.url if newest else asked.system)
    written = verdict.concept.code if verdict.concept else asked.code
    listed = any(part.codes is not None and written in part.codes for part in parts)
    if not listed and all(part.codes is not None for part in parts):
        issue = asked.issue("code-not-in-value-set", value_set=members.url)
        return Verdict(False, (issue,), verdict.concept, verdict.code_system)
    if listed and newest is None:
        return Verdict(True)
    return verdict


def _judged(catalogue: Catalogue, asked: _Question, display: str | None, version: str | None) -> Verdict:
    """The verdict of the code system alone."""
    if not catalogue.editions(asked.system):
        return asked.unknown("system")
    code_system = catalogue.code_system(asked.system, version, asked.on)
    if code_system is None:
        return asked.unknown("version" if version else "edition")
    edition = code_system.edition
    if asked.on is not None and not covers(edition.valid_from, edition.valid_to, asked.on):
        return asked.unknown("edition", code_system=code_system)
    concept = code_system.find(asked.code)
    if concept is None:
        return _missing(asked, code_system)
    verdict = _on_day(asked, concept, code_system)
    if display and not _is_display(display, concept):
        mismatch = asked.issue("display-mismatch", display=concept.display)
        return Verdict(verdict.valid, (*verdict.issues, mismatch), concept, code_system)
    return verdict


def _missing(asked: _Question, code_system: CodeSystem) -> Verdict:
    edition = code_system.edition
    if not edition.complete:
        return asked.unknown("incomplete", code_system=code_system)
    if edition.confidence != "verified":
        return asked.unknown("partial", code_system=code_system)
    if asked.on is not None and not covers(None, edition.as_of, asked.on):
        return asked.unknown("older", code_system=code_system)
    return Verdict(False, (asked.issue("code-unknown"),), None, code_system)


def _on_day(asked: _Question, concept: Concept, code_system: CodeSystem) -> Verdict:
    """The verdict of a code that the edition has."""

    def invalid(code: str, **facts: str) -> Verdict:
        return Verdict(False, (asked.issue(code, **facts),), concept, code_system)

    on = asked.on
    if on is not None and not covers(concept.valid_from, None, on):
        return invalid("code-not-yet-valid", **{"from": str(concept.valid_from), "date": on.isoformat()})
    if on is not None and not covers(None, concept.valid_to, on):
        return invalid("code-no-longer-valid", to=str(concept.valid_to), date=on.isoformat())
    if concept.status not in OUT_OF_USE or (on is not None and concept.valid_to is not None):
        return Verdict(True, (), concept, code_system)
    as_of = code_system.edition.as_of
    if on is not None and (as_of is None or on.isoformat()[: len(as_of)] < as_of):
        return asked.unknown("retired", concept, code_system)
    return invalid("code-retired")


def _is_display(said: str, concept: Concept) -> bool:
    """Whether a text is the display of a concept or one of its designations; a code stands where none is known."""
    known = [concept.display, *(each.value for each in concept.designations)]
    return concept.display in ("", concept.code) or spaced(said) in map(spaced, known)
