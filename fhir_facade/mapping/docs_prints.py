"""The table of a mapping in print: HTML for people, CSV for spreadsheets, JSON for programs, text for the terminal."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from html import escape
from typing import Any

import orjson

from fhir_facade.mapping.to_docs import MappingTable, Row

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
HEADS: Mapping[str, str] = {
    "path": "FHIR path", "datatype": "Datatype", "fields": "Record field", "list": "List", "kind": "Kind",
    "codes": "System or constant", "code_map": "Code map", "guards": "Only when", "missing": "When missing",
    "direction": "Direction", "invertible": "Invertible", "at": "File and line", "meaning": "Meaning",
}  # fmt: skip
COLUMNS = tuple(field.name for field in fields(Row))


def as_json(tables: Sequence[MappingTable]) -> bytes:
    """Everything as JSON: an object for one table, a list for several."""
    said: Any = [asdict(table) for table in tables]
    return orjson.dumps(said[0] if len(said) == 1 else said, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def as_csv(tables: Sequence[MappingTable]) -> bytes:
    """One line for each row, then one for each field that is not mapped; UTF-8, RFC 4180.

    A cell that a spreadsheet would take for a formula begins with an apostrophe
    (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["mapping", *COLUMNS])
    for table in tables:
        rows: list[Mapping[str, Any]] = [asdict(row) for row in table.rows]
        for each in table.coverage:
            if not each.paths:
                child, _, name = each.field.rpartition(".")
                unmapped = {"fields": name, "list": child, "kind": "not mapped", "guards": each.ignored}
                rows.append(unmapped | {"meaning": each.meaning})
        for row in rows:
            cells = [table.mapping, *(str(row.get(name, "")) for name in COLUMNS)]
            writer.writerow([_safe(cell) for cell in cells])
    return out.getvalue().encode()


def _safe(cell: str) -> str:
    return f"'{cell}" if cell.startswith(FORMULA) else cell


def as_text(tables: Sequence[MappingTable]) -> bytes:
    """For the terminal: paths, fields, kinds and lines under each other; then what is not mapped."""
    return "\n".join(_text(table) for table in tables).encode()


def _text(table: MappingTable) -> str:
    rows = [("FHIR path", "Record field", "Kind", "System, code map", "Invertible", "Mapping")]
    for row in table.rows:
        field = f"{row.list}.{row.fields}" if row.list and row.fields else row.fields or row.list
        codes = " by ".join(filter(None, (row.codes, row.code_map)))
        rows.append((row.path, field, row.kind, codes, row.invertible, row.at))
    unmapped = [("Not mapped", "Reason"), *((each.field, each.ignored) for each in table.coverage if not each.paths)]
    lines = [_head(table), "", *aligned(rows)]
    return "\n".join([*lines, *(["", *aligned(unmapped)] if len(unmapped) > 1 else [])]) + "\n"


def aligned(rows: Sequence[Sequence[str]], widest: int = 60) -> list[str]:
    """Rows of cells as lines, columns under each other; only a cell wider than `widest` breaks the line-up."""
    widths = [min(max(len(row[column]) for row in rows), widest) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    ]


def _head(table: MappingTable) -> str:
    return f"{table.record} as {table.resource}: {table.mapping} {table.version}, {table.file}"


STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2rem;color:#1a1a1a;background:#fff}"
    "table{border-collapse:collapse;margin:1rem 0}"
    "th,td{border:1px solid #ccc;padding:.25rem .5rem;text-align:left;vertical-align:top}"
    "th{background:#eee;position:sticky;top:0}td:first-child{font-family:ui-monospace,monospace}"
)


def page(title: str, *body: str) -> bytes:
    """An HTML page that loads nothing and runs nothing; `body` is HTML, the title plain text."""
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    said = "\n".join(body)
    return f"{head}<style>{STYLE}</style></head><body>\n<h1>{escape(title)}</h1>\n{said}\n</body></html>\n".encode()


def as_html(tables: Sequence[MappingTable]) -> bytes:
    """One page with everything in it: the rows, and where each field of the record goes."""
    title = _head(tables[0]) if len(tables) == 1 else f"{len(tables)} mappings"
    parts = [part for table in tables for part in _parts(table, with_head=len(tables) > 1)]
    return page(title, *parts)


def _parts(table: MappingTable, *, with_head: bool) -> Iterable[str]:
    if with_head:
        yield f"<h2>{escape(_head(table))}</h2>"
    yield html_table(HEADS.values(), ([escape(str(getattr(row, name))) for name in COLUMNS] for row in table.rows))
    mapped = sum(bool(each.paths) for each in table.coverage)
    yield "<h3>Fields of the record</h3>"
    yield f"<p>{mapped} of {len(table.coverage)} are mapped, the others have a reason.</p>"
    told = ((each.field, each.type, ", ".join(each.paths), each.ignored, each.meaning) for each in table.coverage)
    head = ("Field", "Type", "FHIR path", "Why not mapped", "Meaning")
    yield html_table(head, (map(escape, row) for row in told))


def html_table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table; the head is plain text, the cells are HTML."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>\n{body}\n</tbody></table>"


PRINTS: Mapping[str, tuple[str, Callable[[Sequence[MappingTable]], bytes]]] = {
    "html": ("text/html; charset=utf-8", as_html),
    "csv": ("text/csv; charset=utf-8; header=present", as_csv),
    "json": ("application/json", as_json),
    "text": ("text/plain; charset=utf-8", as_text),
}
"""Name → media type and print; the first is given to a client that takes any."""
