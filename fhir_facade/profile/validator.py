"""The validator: a resource, the profiles that it is to keep to, and what is wrong with it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from fhir_facade.outcome import Issue
from fhir_facade.packages.registry import Packages
from fhir_facade.profile.bindings import Bindings
from fhir_facade.profile.findings import LIMIT, Enough, Findings
from fhir_facade.profile.references import type_of
from fhir_facade.profile.report import Walker
from fhir_facade.profile.schema import Schema
from fhir_facade.profile.shapes import FastPhase
from fhir_facade.terminology.catalogue import Catalogue


@dataclass(frozen=True, slots=True)
class Report:
    """What was found: the issues to show, how many there were in all, and whether the resource is valid."""

    issues: tuple[Issue, ...]
    count: int
    valid: bool


class Validator:
    """Validates resources by R4, our profiles and loaded packages; safe to share among threads.

    `overrides` gives a rule key (an issue code, or the key of a constraint) another severity, or "off";
    `unknown_profile` is the severity of a declared profile that is not at hand; `limit` the most issues of a report.
    """

    def __init__(
        self, packages: Packages, catalogue: Catalogue, *, overrides: Mapping[str, str] | None = None,
        unknown_profile: str = "warning", limit: int = LIMIT,
    ) -> None:  # fmt: skip
        self.packages = packages
        self.schema = Schema(packages)
        self.bindings = Bindings(catalogue)
        self.overrides = dict(overrides or {})
        self.unknown_profile = unknown_profile
        self.limit = limit
        self.fast = FastPhase(self.schema, self.bindings, self.overrides, unknown_profile)

    def accepts(self, resource: Any, profiles: Sequence[str] = ()) -> bool:
        """Whether a resource is surely valid, quickly: False says nothing."""
        return self.fast.accepts(resource, profiles)

    def is_valid(self, resource: Any, profiles: Sequence[str] = ()) -> bool:
        """Whether nothing of severity error is wrong: most resources are accepted by the fast phase."""
        if self.fast.accepts(resource, profiles):
            return True
        findings = Findings(self.overrides, first_error=True)
        self._walk(resource, profiles, findings, None)
        return not findings.has_error

    def validate(self, resource: Any, profiles: Sequence[str] = (), *, on: date | None = None) -> Report:
        """Everything that is wrong with a resource, judged by the profiles it declares and those named.

        `on` is the day on which codes are judged; without it a code that is out of use is only told of.
        """
        findings = Findings(self.overrides, limit=self.limit)
        self._walk(resource, profiles, findings, on)
        return Report(findings.shown(), findings.count, not findings.has_error)

    def _walk(self, resource: Any, profiles: Sequence[str], findings: Findings, on: date | None) -> None:
        walker = Walker(self.schema, self.bindings, findings, on=on, unknown_profile=self.unknown_profile)
        with contextlib.suppress(Enough):
            walker.resource(resource, type_of(resource) or "Resource", profiles=profiles)
