"""Resources judged one after another, each with what is wrong and the line and column where it stands."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhir_facade.json_places import shortened
from fhir_facade.json_text import MOST_BYTES, Placed, Reading, located, read_text
from fhir_facade.outcome import Issue, operation_outcome
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.judging import told

if TYPE_CHECKING:
    from fhir_facade.contracts import Resource
    from fhir_facade.packages.registry import Packages
    from fhir_facade.profile.validator import Validator
    from fhir_facade.terminology.concepts import CodeSystem

UNKNOWN_PROFILE = "warning"
MOST_ISSUES = 100
ISSUE_LINE = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-line"
ISSUE_COLUMN = "http://hl7.org/fhir/StructureDefinition/operationoutcome-issue-col"
READ = "Resource"


def make_validator(
    packages: Packages, catalogue: Catalogue | None = None, *, overrides: Mapping[str, str] | None = None,
    unknown_profile: str = UNKNOWN_PROFILE, limit: int = MOST_ISSUES,
) -> Validator:  # fmt: skip
    """A validator over these packages; the catalogue is that of `catalogue_of` where packages bring lists."""
    from fhir_facade.profile.validator import Validator

    return Validator(
        packages, catalogue or catalogue_of(packages), overrides=overrides or {}, unknown_profile=unknown_profile,
        limit=limit,
    )  # fmt: skip


def catalogue_of(packages: Packages, imported: Sequence[CodeSystem] = ()) -> Catalogue:
    """What is shipped, what is imported, and the code systems and value sets of packages."""
    from fhir_facade.packages.package_lists import PackageLists, catalogue_with

    return catalogue_with(PackageLists(packages), imported) if packages.loaded else Catalogue(imported)


@cache
def plain_validator() -> Validator:
    """The validator of R4 and our own profiles, without packages or imported code systems; made once."""
    return make_validator(own_packages())


def own_packages(paths: Iterable[Path] = ()) -> Packages:
    """R4, our own profiles, and the packages at these paths; Refused when one cannot be read."""
    from fhir_facade.packages.registry import load_packages

    return load_packages(paths)


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict on one resource; `line` is where its text begins, `count` also counts what `issues` leave out.

    `type` is "" when the text could not be read as a resource.
    """

    issues: tuple[Placed, ...]
    count: int
    valid: bool
    type: str = ""
    file: str = ""
    line: int = 1

    @property
    def readable(self) -> bool:
        """Whether there was a resource to judge."""
        return bool(self.type)


def judge_text(
    validator: Validator, content: bytes, profiles: Collection[str] = (), *, file: str = "", line: int = 1,
    most: int = MOST_BYTES, on: date | None = None,
) -> Judged:  # fmt: skip
    """Judge the one resource of a JSON text that begins on a line of a file."""
    reading = read_text(content, most)
    if reading.resource is None:
        moved = tuple(Placed(issue, at + line - 1, column) for issue, at, column in reading.issues)
        return Judged(moved, len(moved), False, "", file, line)
    return judge_reading(validator, reading, content, profiles, file=file, line=line, on=on)


def judge_reading(
    validator: Validator, reading: Reading, content: bytes, profiles: Collection[str] = (), *, within: str = "",
    resource: Any = None, file: str = "", line: int = 1, on: date | None = None,
) -> Judged:  # fmt: skip
    """Judge what a text holds; `within` and `resource` where the resource is inside of something else there."""
    judged = reading.resource if resource is None else resource
    report = validator.validate(judged, tuple(profiles), on=on)
    issues = named_profiles(report.issues, profiles) if profiles else report.issues
    placed = located(content, issues, within, line) if issues else []
    of_text = [Placed(issue, at + line - 1, column) for issue, at, column in reading.issues]
    valid = report.valid and not any(each.issue.is_error for each in (*of_text, *placed))
    name = judged.get("resourceType") if isinstance(judged, dict) else None
    shown = shortened(name) if isinstance(name, str) and name else READ
    return Judged((*of_text, *placed), report.count + len(of_text), valid, shown, file, line)


def named_profiles(issues: Collection[Issue], profiles: Collection[str]) -> tuple[Issue, ...]:
    """The issues, where a profile that somebody asked to be judged by, and that is not known, is an error."""
    asked = {told(each) for each in profiles}
    return tuple(
        replace(issue, severity="error")
        if issue.code == "profile-unknown" and issue.facts.get("found") in asked
        else issue
        for issue in issues
    )


def outcome_of(issues: Collection[Placed], language: str = "en") -> Resource:
    """The OperationOutcome of placed issues: line and column as the extensions that R4 has for them.

    Without issues it says so, for an OperationOutcome has at least one.
    """
    if not issues:
        return operation_outcome([Issue("resource-valid")], language)
    outcome = operation_outcome([each.issue for each in issues], language)
    for said, (_, line, column) in zip(outcome["issue"], issues, strict=True):
        if line:
            place = [{"url": ISSUE_LINE, "valueInteger": line}, {"url": ISSUE_COLUMN, "valueInteger": column}]
            said["extension"] = [*said.get("extension", ()), *place]
    return outcome
