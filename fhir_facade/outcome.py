"""Everything that can go wrong, in one list: severity, FHIR issue type, HTTP status, sentence and remedy in nb and en.

Errors are values (`Issue`); `Refused` is how they travel. Every answer that is not a success becomes an
OperationOutcome (https://hl7.org/fhir/R4/operationoutcome.html) made here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fhir_facade.contracts import Facts, Resource
from fhir_facade.issue_catalogue import ROWS

ISSUE_SOURCE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-source"


class Entry(NamedTuple):
    """One row of the catalogue. Sentences hold {names} that the issue's facts fill; never a person's data."""

    severity: str
    type: str
    status: int
    en: str
    nb: str
    remedy_en: str
    remedy_nb: str


CATALOGUE: Mapping[str, Entry] = {code: Entry(*row) for code, row in ROWS.items()}


@dataclass(frozen=True, slots=True)
class Rule:
    """Which rule a resource breaks: its key (an issue code or a constraint's key), and the profile element it is of.

    `profile` is a canonical, `element` an element id of it; both are "" where a rule is of no profile.
    """

    key: str
    profile: str = ""
    element: str = ""

    @property
    def source(self) -> str:
        """`profile#element`, or what of it is known."""
        return f"{self.profile}#{self.element}" if self.element else self.profile


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong: a catalogue code, the place, and what the sentence needs.

    `at` is a FHIRPath, "line 3, column 7", a file:line or the name of a search parameter. `severity` is "" where it is
    the catalogue's.
    """

    code: str
    at: str = ""
    facts: Facts = field(default_factory=dict)
    rule: Rule | None = None
    severity: str = ""

    @property
    def entry(self) -> Entry:
        return CATALOGUE[self.code]

    @property
    def is_error(self) -> bool:
        return (self.severity or self.entry.severity) in ("error", "fatal")

    def sentence(self, language: str = "en") -> str:
        """The sentence with its remedy, in "en" or "nb"."""
        said = self.entry
        text, remedy = (said.nb, said.remedy_nb) if language == "nb" else (said.en, said.remedy_en)
        facts = {name: _words(value) for name, value in self.facts.items()}
        return " ".join(part.format_map(facts) for part in (text, remedy) if part)

    def __str__(self) -> str:
        return f"{self.at}: {self.code}: {self.sentence()}" if self.at else f"{self.code}: {self.sentence()}"


class Refused(Exception):
    """A request or a file that is not carried out; the issues say why."""

    def __init__(self, *issues: Issue) -> None:
        self.issues = issues
        super().__init__("; ".join(str(issue) for issue in issues))

    @property
    def status(self) -> int:
        return max((issue.entry.status for issue in self.issues), default=500)


def operation_outcome(issues: Iterable[Issue], language: str = "en") -> Resource:
    """Return the OperationOutcome of the issues; sentences in the language asked for, the other one beside it."""
    return {"resourceType": "OperationOutcome", "issue": [_issue(issue, language) for issue in issues]}


def _issue(issue: Issue, language: str) -> dict[str, Any]:
    other = "nb" if language == "en" else "en"
    out: dict[str, Any] = {
        "severity": issue.severity or issue.entry.severity,
        "code": issue.entry.type,
        "details": {
            "coding": [{"system": "http://fhir-facade.no/fhir/CodeSystem/issue", "code": issue.code}],
            "text": issue.sentence(language),
            "_text": {
                "extension": [
                    {
                        "url": "http://hl7.org/fhir/StructureDefinition/translation",
                        "extension": [
                            {"url": "lang", "valueCode": other},
                            {"url": "content", "valueString": issue.sentence(other)},
                        ],
                    }
                ]
            },
        },
    }
    if issue.at.strip():  # else FHIR knows no such text
        place = "expression" if _is_path(issue.at) else "location"
        out[place] = [issue.at]
        if place == "location":
            out["diagnostics"] = issue.at
    if issue.rule is not None:
        _add_rule(out, issue.rule)
    return out


def _add_rule(out: dict[str, Any], rule: Rule) -> None:
    """Set the rule beside the issue: its key as a coding, and the element of the profile that it stands in."""
    out["details"]["coding"].append({"system": "http://fhir-facade.no/fhir/CodeSystem/rule", "code": rule.key})
    if rule.source:
        out["extension"] = [{"url": ISSUE_SOURCE, "valueString": rule.source}]
        out["diagnostics"] = f"{rule.key}: {rule.source}"


def _is_path(at: str) -> bool:
    """Whether the place is a FHIRPath (Encounter.period, Bundle.entry[1]) and not a file, a line or a parameter."""
    head = at.split(".", 1)[0].split("[", 1)[0]
    return head[:1].isupper() and head.isalpha()


def _words(value: Any) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, sorted(value, key=str)))
    text = str(value)
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)
