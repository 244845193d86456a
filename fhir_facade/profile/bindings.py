"""Whether a code is in the value set that an element is bound to: yes, no, not to be known, or out of use.

R4's own value sets are in the definitions, others in the catalogue of code systems. Where a binding names a code
system (`urn:oid:`), all of its codes are meant. A code that is retired, or holds at another time, is judged by the day
that is asked for; without a day it counts as in the set, and is told of.
https://hl7.org/fhir/R4/terminologies.html#strength
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from typing import Any, Literal

from fhir_facade.definitions import definitions
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.concepts import spaced
from fhir_facade.terminology.judging import judge
from fhir_facade.terminology.uris import canonical

Answer = Literal["in", "out", "unknown", "out-of-use"]
ANSWERS_KEPT = 65536
LONGEST_KEPT = 256
"""Longer codes and URIs are judged anew each time, so that the cache cannot be filled with a client's megabytes."""

MOST_LISTED = 500
OUT_OF_USE = frozenset({"code-retired", "code-not-yet-valid", "code-no-longer-valid"})


class Bindings:
    """Answers about codes, remembered up to a bound. It holds no state but that, so threads may share it."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._answer = lru_cache(maxsize=ANSWERS_KEPT)(self._judge)
        self._display = lru_cache(maxsize=ANSWERS_KEPT)(self._displays)
        self._bare = lru_cache(maxsize=512)(_bare_codes)

    def answer(self, value_set: str, system: str | None, code: str, on: date | None = None) -> Answer:
        """Whether a code is in a value set; `system` is None for elements that have none (code, uri, string), and ""
        where one should stand and does not: such a code is of no system, and in no value set."""
        if len(system or "") > LONGEST_KEPT or len(code) > LONGEST_KEPT:
            return self._judge(value_set, system, code, on)
        return self._answer(value_set, system, code, on)

    def membership(self, value_set: str, system: str | None, code: str, on: date | None = None) -> bool | None:
        """As `answer`, in three values: None for what cannot be known, True also for what is only out of use."""
        answer = self.answer(value_set, system, code, on)
        return None if answer == "unknown" else answer != "out"

    def member(self, value_set: str, value: Any, on: date | None = None) -> bool | None:
        """Whether a code, Coding, CodeableConcept or Quantity has a code in a value set; None: it cannot be known."""
        answers = [self.membership(value_set, system, code, on) for system, code in codes_of(value)]
        return True if True in answers else None if None in answers else False

    def allowed(self, value_set: str) -> tuple[str, ...]:
        """The first codes of a value set, for a message; () where they are not known one by one."""
        url = value_set.partition("|")[0]
        known = definitions().codes(url)
        if known is not None:
            return tuple(sorted({code for _, code in known}))
        found = self.catalogue.value_set(value_set)
        codes: list[str] = []
        for part in found.includes if found else ():
            if part.codes is not None:
                codes.extend(part.codes[:MOST_LISTED])
            else:
                system = self.catalogue.code_system(part.system)
                codes.extend(each.code for each in system.page(0, MOST_LISTED)) if system else None
        return tuple(dict.fromkeys(codes))[:MOST_LISTED]

    def display_of(self, system: str, code: str, display: str) -> str | None:
        """The right display, when another was given; None when it is right or not known."""
        if max(len(system), len(code), len(display)) > LONGEST_KEPT:
            return None
        return self._display(system, code, display)

    def _displays(self, system: str, code: str, display: str) -> str | None:
        core = definitions().display(system, code)
        if core:
            return None if spaced(core) == spaced(display) else core
        for issue in judge(self.catalogue, system, code, display=display).issues:
            if issue.code == "display-mismatch":
                return str(issue.facts["display"])
        return None

    def _judge(self, value_set: str, system: str | None, code: str, on: date | None) -> Answer:
        url = value_set.partition("|")[0]
        known = definitions().codes(url)
        if known is not None:
            if system is None:
                return "in" if code in self._bare(url) else "out"
            return "in" if (system, code) in known or (canonical(system), code) in known else "out"
        syntax = definitions().code_syntax(url)
        if syntax is not None:
            return "in" if system != "" and syntax.fullmatch(code) else "out"
        return self._judge_by_catalogue(value_set, system, code, on)

    def _judge_by_catalogue(self, value_set: str, system: str | None, code: str, on: date | None) -> Answer:
        if system == "" and self.catalogue.value_set(value_set) is not None:
            return "out"
        verdict = judge(self.catalogue, system or "", code, on=on, value_set=value_set)
        if verdict.valid is not False:
            return "in" if verdict.valid else "unknown"
        if on is None and all(issue.code in OUT_OF_USE for issue in verdict.issues):
            return "out-of-use"
        return "out"


def _bare_codes(url: str) -> frozenset[str]:
    return frozenset(code for _, code in definitions().codes(url) or ())


def codes_of(value: Any) -> Iterator[tuple[str | None, str]]:
    """The (system, code) pairs of a coded value; None for the system of a bare code, "" for one that is missing.
    Wrong JSON kinds are left out."""
    if isinstance(value, str):
        yield None, value
    elif isinstance(value, dict):
        held = value.get("coding", [value])
        for each in held if isinstance(held, list) else ():
            if isinstance(each, dict) and isinstance(each.get("code"), str):
                system = each.get("system")
                yield system if isinstance(system, str) else "", each["code"]
