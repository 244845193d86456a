"""What a file of codes gives, whatever its form: rows, and what is known of the whole; and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

from fhir_facade.outcome import Issue
from fhir_facade.store.national_code_systems import statuses
from fhir_facade.terminology.concepts import Status, folded

Tell = Callable[[Issue], None]
"""Takes a finding; reading goes on."""

LONGEST_SHOWN = 80
FOREVER = "9"  # a year that begins so is no end: 9999-12-31
DATES = (
    re.compile(r"(?P<y>\d{4})(?:-(?P<m>\d\d)(?:-(?P<d>\d\d))?)?(?:[T ].*)?"),
    re.compile(r"(?P<d>\d\d?)\.(?P<m>\d\d?)\.(?P<y>\d{4})(?: .*)?"),
    re.compile(r"(?P<y>\d{4})(?P<m>\d\d)(?P<d>\d\d)"),
)
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ufffd\ud800-\udfff]")


@dataclass(slots=True)
class Row:
    """One code as it stands at a line of a file; designations are (language, value, use)."""

    file: str
    line: int
    code: str
    display: str
    status: Status = "active"
    valid_from: str | None = None
    valid_to: str | None = None
    parents: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=dict)
    designations: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def at(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(slots=True)
class Head:
    """What is known of a whole edition; ends the rows that came before it. None: the file does not say it."""

    at: str
    url: str | None
    version: str | None = None
    name: str = ""
    title: str = ""
    complete: bool = True
    case_sensitive: bool = True
    source: str = ""
    note: str = ""
    valid_from: str | None = None
    valid_to: str | None = None
    identifiers: tuple[str, ...] = ()


@dataclass(slots=True)
class Passed:
    """A resource that is no CodeSystem with codes of its own; any rows before it do not count."""

    at: str
    what: str


Event = Row | Head | Passed


def shown(text: str) -> str:
    """A value of a file as it may be printed: short, and nothing in it moves the cursor."""
    plain = CONTROL.sub("?", text)
    return plain if len(plain) <= LONGEST_SHOWN else plain[:LONGEST_SHOWN] + "…"


def is_sound(row: Row, tell: Tell) -> bool:
    """Tell of everything that is wrong with one row alone."""
    found = list(_faults(row))
    for issue in found:
        tell(issue)
    return not found


def _faults(row: Row) -> Iterator[Issue]:
    if not row.code:
        yield Issue("code-missing", row.at)
        return
    if not row.display:
        yield Issue("code-without-display", row.at, {"code": shown(row.code)})
    texts = [("code", row.code), ("display", row.display), *(("parent", parent) for parent in row.parents)]
    texts += [("designation", value) for _, value, _ in row.designations]
    texts += [(f"property {shown(name)}", value) for name, value in row.properties.items()]
    for name, text in texts:
        # a definition may have several lines; a code or a display may not
        lines = text.translate({9: " ", 10: " ", 13: " "}) if name not in ("code", "display", "parent") else text
        if wrong := CONTROL.search(lines):
            facts = {"field": name, "code": shown(row.code), "letter": f"U+{ord(wrong[0]):04X}"}
            yield Issue("code-letters", row.at, facts)
    if row.code != row.code.strip():
        yield Issue("code-value", row.at, {"field": "code", "value": row.code, "allowed": "no space around it"})
    if row.valid_from and row.valid_to and row.valid_to < row.valid_from[: len(row.valid_to)]:
        facts = {"field": "period", "value": f"{row.valid_from}–{row.valid_to}", "allowed": "an end after its start"}
        yield Issue("code-value", row.at, facts)


def date_of(text: str, name: str, at: str, tell: Tell) -> str | None:
    """A date as FHIR writes it, from 2024, 2024-01-31, 31.01.2024, 20240131; None for none, and for 9999."""
    text = text.strip()
    if not text:
        return None
    for form in DATES:
        if found := form.fullmatch(text):
            parts = [found["y"], *(part.zfill(2) for part in (found["m"], found["d"]) if part)]
            if parts[0].startswith(FOREVER):
                return None
            try:
                date(*(int(part) for part in (*parts, "1", "1")[:3]))
            except ValueError:
                break
            return "-".join(parts)
    tell(Issue("code-value", at, {"field": name, "value": shown(text), "allowed": "2024-01-31 or 31.01.2024"}))
    return None


def status_of(text: str, at: str, tell: Tell) -> Status:
    """The status that a word says."""
    known = statuses().get(folded(text.strip()))
    if known is None:
        allowed = "active/aktiv, retired/utgått, superseded/erstattet, unconfirmed/ubekreftet"
        tell(Issue("code-value", at, {"field": "status", "value": shown(text), "allowed": allowed}))
    return known or "active"
