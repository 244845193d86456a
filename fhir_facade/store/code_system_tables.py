"""Tables of codes as text: CSV, and the tab-separated files that Helsedirektoratet distributes.

With a header, columns are known by name (nb or en) and the others become properties. Without one, columns are
separated by tabs: code, text, then in any order long text, valid from, valid to.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

from fhir_facade.outcome import Issue, Refused
from fhir_facade.store.code_system_rows import DATES, Row, Tell, date_of, shown, status_of
from fhir_facade.store.json_stream import DAMAGE
from fhir_facade.store.national_code_systems import columns
from fhir_facade.terminology.concepts import folded

LONGEST_LINE = 1 << 20  # bytes
ENCODINGS = {"utf-8": "utf-8", "utf8": "utf-8", "cp1252": "cp1252", "windows-1252": "cp1252"}
SEPARATORS = "\t;,"


def read_table(source: BinaryIO, file: str, encoding: str | None, tell: Tell) -> Iterator[Row]:
    """Yield the rows of a table; Refused at what makes the rest of the file meaningless."""
    lines = _Lines(source, file, encoding, tell)
    first = next((line for line in lines if line.strip()), None)
    if first is None:
        return
    separator, names = _header(first)
    if names is None and separator != "\t":
        allowed = "kode/code, navn/display/tekst, gyldig fra, gyldig til, overordnet, status"
        raise Refused(Issue("code-header-unknown", f"{file}:{lines.line}", {"allowed": allowed}))
    if names is None:
        lines.push(first)
    # the tab-separated files are made without quotes, and have them in their texts
    if separator == "\t":
        reader = csv.reader(lines, delimiter=separator, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(lines, delimiter=separator, strict=True)
    while True:
        lines.started = 0
        try:
            cells = next(reader, None)
        except csv.Error as error:
            at = f"{file}:{lines.started or lines.line}"
            raise Refused(Issue("file-malformed", at, {"reason": str(error)})) from None
        if cells is None:
            return
        if any(cell.strip() for cell in cells):
            cells = [_unquoted(cell) if separator == "\t" else cell.strip() for cell in cells]
            yield _named(cells, names, file, lines.started, tell) if names else _plain(cells, file, lines, tell)


class _Lines:
    """The lines of a file as text, with their number; a line that is too long is told of and left out."""

    def __init__(self, source: BinaryIO, file: str, encoding: str | None, tell: Tell) -> None:
        self.file, self.line, self.started = file, 0, 0
        self._source, self._tell = source, tell
        self._encoding = ENCODINGS[encoding or "utf-8"]
        self._pushed: str | None = None

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        text, self._pushed = self._pushed, None
        while text is None:
            text = self._next()
        self.started = self.started or self.line
        return text

    def push(self, line: str) -> None:
        """Give this line once more."""
        self._pushed = line

    def _next(self) -> str | None:
        try:
            raw = self._source.readline(LONGEST_LINE + 1)
            self.line += 1
            if not raw:
                self.line -= 1
                raise StopIteration
            if len(raw) > LONGEST_LINE:
                self._tell(Issue("line-too-long", f"{self.file}:{self.line}", {"most": LONGEST_LINE}))
                while raw and not raw.endswith(b"\n"):
                    raw = self._source.readline(LONGEST_LINE)
                return None
        except DAMAGE as error:
            at = f"{self.file}:{self.line + 1}"
            raise Refused(Issue("file-truncated", at, {"reason": str(error)})) from None
        return self._text(raw)

    def _text(self, raw: bytes) -> str:
        facts = {"encoding": self._encoding, "reason": "it is UTF-8"}
        try:
            text = raw.decode(self._encoding)
            if self._encoding == "utf-8" or raw.isascii() or not _is_utf_8(raw):
                return text.removeprefix("\ufeff") if self.line == 1 else text
        except UnicodeDecodeError as error:
            facts["reason"] = f"byte {raw[error.start]:#04x} in column {error.start + 1}"
        raise Refused(Issue("encoding-wrong", f"{self.file}:{self.line}", facts))


def _is_utf_8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _header(line: str) -> tuple[str, list[str] | None]:
    """The separator, and what the columns are called: the known ones by our name; None when nothing is named."""
    for separator in SEPARATORS:
        cells = [_unquoted(cell) for cell in next(csv.reader([line], delimiter=separator), [])]
        named = [columns().get("".join(filter(str.isalnum, folded(cell))), cell) for cell in cells]
        if "code" in named and "display" in named:
            # a second column of the same meaning is a property of its own
            return separator, [each if each not in named[:place] else cells[place] for place, each in enumerate(named)]
    return "\t" if "\t" in line else "", None


def _named(cells: list[str], names: list[str], file: str, line: int, tell: Tell) -> Row:
    at = f"{file}:{line}"
    if len(cells) > len(names) and any(cells[len(names) :]):
        tell(Issue("code-columns", at, {"found": len(cells), "expected": len(names)}))
    said = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
    row = Row(file, line, said.pop("code", ""), said.pop("display", ""))
    if "long" in said:
        _longer(row, said.pop("long"))
    if "english" in said:
        row.designations.append(("en", said.pop("english"), ""))
    row.valid_from = date_of(said.pop("valid_from", ""), "date", at, tell)
    row.valid_to = date_of(said.pop("valid_to", ""), "date", at, tell)
    row.status = status_of(said.pop("status", ""), at, tell)
    row.parents = tuple(filter(None, [said.pop("parent", "")]))
    row.properties = said
    return row


def _plain(cells: list[str], file: str, lines: _Lines, tell: Tell) -> Row:
    row = Row(file, lines.started, cells[0], cells[1] if len(cells) > 1 else "")
    dates = 0
    for cell in filter(None, cells[2:]):
        if any(form.fullmatch(cell) for form in DATES) and dates < 2:
            day = date_of(cell, "date", row.at, tell)
            row.valid_from, row.valid_to = (day, row.valid_to) if dates == 0 else (row.valid_from, day)
            dates += 1
        elif not row.designations:
            _longer(row, cell)
        else:
            tell(
                Issue(
                    "code-value",
                    row.at,
                    {"field": "date", "value": shown(cell), "allowed": "code, text, long text, dates"},
                )
            )
    return row


def _longer(row: Row, text: str) -> None:
    if text != row.display:
        row.designations.append(("nb", text, ""))


def _unquoted(cell: str) -> str:
    cell = cell.strip()
    return cell[1:-1].replace('""', '"') if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell
