"""What is found wrong with a resource: collected, each cause once, bounded, with the severities of the deployment."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from fhir_facade.outcome import CATALOGUE, Issue, Rule
from fhir_facade.terminology.judging import LONGEST_TOLD, told

LIMIT = 100
MOST_COUNTED = 10_000
LISTED = 12
LONGEST_COMPARED = 64
MOST_COMPARED = 2_000
SEVERITIES = ("fatal", "error", "warning", "information")
STRUCTURAL = frozenset(
    "element-unknown element-missing element-too-few element-forbidden array-expected array-not-expected type-wrong "
    "format-wrong control-character value-empty null-not-allowed primitive-arrays-differ choice-repeated "
    "choice-type-not-allowed resource-type-unknown fixed-differs pattern-differs slice-missing extension-part-unknown "
    "reference-format reference-contained-missing bundle-full-url bundle-full-url-missing".split()
)
"""After one of these a constraint that looks at the same element would tell the same cause again."""

_SPACED_NUMBER = re.compile(r"(?:\d[ \u00a0]?){11}")


class Enough(Exception):
    """Nothing more needs to be known: the first error of a yes/no question, or the bound of a count."""


class Findings:
    """The issues of one resource. `overrides` are severities, or "off", by rule key."""

    def __init__(self, overrides: Mapping[str, str], *, limit: int = LIMIT, first_error: bool = False) -> None:
        self.overrides = overrides
        self.limit = limit
        self.first_error = first_error
        self.has_error = False
        self.count = 0
        self.broken: list[str] = []
        self._seen: set[tuple[str, ...]] = set()
        self._issues: list[Issue] = []

    def add(
        self, code: str, at: str, rule: Rule | None = None, severity: str = "", facts: Mapping[str, Any] | None = None
    ) -> None:
        """Add a finding, unless its rule is off or it is known already; raises Enough at a bound."""
        key = rule.key if rule else code
        if code in STRUCTURAL:
            self.broken.append(at)
        said = self.overrides.get(key) or severity or CATALOGUE[code].severity
        if said == "off":
            return
        is_error = said in ("error", "fatal")
        if self.first_error:
            if is_error:
                self.has_error = True
                raise Enough
            return
        issue = Issue(code, at, facts or {}, rule or Rule(code), "" if said == CATALOGUE[code].severity else said)
        seen = (code, at, key, issue.sentence())
        if seen in self._seen:
            return
        self.has_error = self.has_error or is_error
        if self.count < MOST_COUNTED:
            self.count += 1
            self._seen.add(seen)
            self._issues.append(issue)
        if self.count >= MOST_COUNTED and self.has_error:
            raise Enough

    def nearest(self, name: str, names: Iterable[str]) -> dict[str, str]:
        """As `nearest_facts`, while somebody may read it: comparing names takes longer than judging them."""
        if self.first_error or self.count > 2 * self.limit:
            return {"nearest": "", "likest": ""}
        return nearest_facts(name, names)

    def shown(self) -> tuple[Issue, ...]:
        """The issues to show, errors before the others when there are too many, in the order of the resource."""
        if len(self._issues) <= self.limit:
            return tuple(self._issues)
        ranked = sorted(range(len(self._issues)), key=lambda place: _rank(self._issues[place]))
        kept = [self._issues[place] for place in sorted(ranked[: self.limit])]
        facts = {"shown": len(kept), "count": f"{self.count}{'+' if self.count >= MOST_COUNTED else ''}"}
        return (*kept, Issue("issues-cut-off", "", facts, Rule("issues-cut-off")))


def _rank(issue: Issue) -> int:
    return SEVERITIES.index(issue.severity or issue.entry.severity)


def shown(value: Any) -> str:
    """A JSON value as a sentence may repeat it: short, and without what could be a person's number."""
    if isinstance(value, str):
        text = value[: 2 * LONGEST_TOLD]
    else:
        try:
            text = orjson.dumps(value).decode()[: 2 * LONGEST_TOLD]
        except TypeError:  # no JSON: a lone surrogate, a number too large, a Python object from the library
            text = type(value).__name__
    if _SPACED_NUMBER.search(text):
        return "…"
    return told(text).encode("utf-8", "replace").decode()


def listed(values: Iterable[Any]) -> str:
    """The first values of a list, told to be more where there are more."""
    all_values = list(dict.fromkeys(map(str, values)))
    return ", ".join(all_values[:LISTED]) + (f", … ({len(all_values)})" if len(all_values) > LISTED else "")


def closest(name: str, names: Iterable[str]) -> str:
    """The name that is most like another, "" when none is."""
    if not name or len(name) > LONGEST_COMPARED:
        return ""
    candidates = list(names)[:MOST_COMPARED]
    found = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    if not found:
        folded = {each.casefold(): each for each in candidates}
        found = [folded[name.casefold()]] if name.casefold() in folded else []
    return found[0] if found else ""


def nearest_facts(name: str, names: Iterable[str]) -> dict[str, str]:
    """The facts `nearest` (en) and `likest` (nb) of a sentence: the closest right name, or nothing."""
    found = closest(name, names)
    return {
        "nearest": f" (did you mean '{found}'?)" if found else "",
        "likest": f" (mente du '{found}'?)" if found else "",
    }
