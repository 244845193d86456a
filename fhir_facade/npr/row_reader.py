"""Files of rows as rules and indicators stand in them: keys that must and may be there, tables of codes, terms.

Every fault becomes a finding with file and line, and reading goes on, so that all are told at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fhir_facade.mapping.findings import Finding, nearest
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.npr.functions import Codes
from fhir_facade.npr.rule_writer import Words
from fhir_facade.profile.fhirpath_syntax import Expression, FhirPathError, parse
from fhir_facade.yaml_text import SourceError, Table, read

TERM = ("name", "record", "value", "meaning")


class RowReader:
    """Reads files one after the other; `words` are what their expressions may name, `findings` what is wrong."""

    def __init__(self, kinds: Kinds, codes: Codes) -> None:
        self.kinds = kinds
        self.tables: dict[str, dict[str, str]] = {}
        self.terms: dict[tuple[str, str], Expression] = {}
        self.words = Words(kinds, codes, self.tables, self.terms)
        self.findings: list[Finding] = []
        self.name = ""

    def fault(self, line: int, message: str) -> None:
        """Tell what is wrong at a line of the file in hand."""
        self.findings.append(Finding(self.name, line, message))

    def opened(self, path: Path) -> Table | None:
        """The text of a file, which is now in hand; None when it is no YAML, which is told."""
        self.name = path.name
        try:
            return read(path)
        except SourceError as error:
            self.fault(error.line, error.message)
            return None

    def take_words(self, whole: Table) -> None:
        """Take the tables and the terms of a file."""
        for name, rows in whole.get("tables", {}).items():  # a table is bound by what names it: it grows where it is
            self.tables.setdefault(name, {}).update((str(key), str(value)) for key, value in rows.items())
        for row in whole.get("terms", ()):
            self._term(row)

    def keys(self, row: Table, must: Iterable[str], may: Iterable[str], what: str) -> bool:
        """Whether a table has the keys that it must have, and no others."""
        before = len(self.findings)
        known = [*must, *may]
        for key in row:
            if key not in known:
                self.fault(row.at(key), f"{what} has no '{key}'{nearest(key, known)}")
        for key, line in row.repeated:
            self.fault(line, f"'{key}' stands twice")
        for key in must:
            if not row.get(key):
                self.fault(row.line, f"'{key}' is missing")
        return len(self.findings) == before

    def choice(self, row: Table, key: str, allowed: Iterable[str]) -> None:
        """Tell when the value of a key is none of those allowed."""
        said, known = row.get(key), list(allowed)
        if key in row and said not in known:
            self.fault(row.at(key), f"'{said}' is none of {', '.join(known)}{nearest(str(said), known)}")

    def path(self, kind: Kind, term: str) -> str | None:
        """The way to a term: of the kind itself, or of the last that it refers to and that has one."""
        if (kind.name, term) in self.terms:
            return f"%{kind.name}.{term}"
        for link in reversed(list(kind.links.values())):
            if (link.to, term) in self.terms:
                return f"%{kind.name}.{link.name}.{term}"
        return None

    def _term(self, row: Any) -> None:
        if not isinstance(row, Table) or not self.keys(row, TERM, (), "a term"):
            return
        try:
            self.terms[row["record"], row["name"]] = parse(row["value"])
        except FhirPathError as error:
            self.fault(row.at("value"), f"value: {error}")


def texts(value: Any) -> list[str]:
    """The texts of a key that holds one or a list of them."""
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
