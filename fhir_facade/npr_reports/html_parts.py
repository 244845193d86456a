"""Tables and sections of a page: everything that is not markup is escaped here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from fhir_facade.npr_reports.svg import Series


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table whose columns of numbers stand to the right; the first column is the head of its row."""
    body = list(rows)
    numeric = [bool(body) and all(isinstance(row[place], int) for row in body) for place in range(len(head))]
    css = [' class="number"' if number else "" for number in numeric]
    parts = ['<div class="wide" tabindex="0"><table>', f"<caption>{escape(caption)}</caption><thead><tr>"]
    parts += [f'<th scope="col"{style}>{escape(name)}</th>' for name, style in zip(head, css, strict=True)]
    parts.append("</tr></thead><tbody>")
    for row in body:
        cells = [f"<td{style}>{cell(value)}</td>" for value, style in zip(row, css, strict=True)]
        cells[0] = f'<th scope="row"{css[0]}>{cell(row[0])}</th>'
        parts += ["<tr>", *cells, "</tr>"]
    parts.append("</tbody></table></div>\n")
    return "".join(parts)


def cell(value: Any) -> str:
    """What stands in a cell."""
    return value if isinstance(value, Markup) else escape(str(value))


def section(name: str, title: str, *parts: str) -> str:
    """A section with its heading."""
    return f'<section aria-labelledby="{name}"><h2 id="{name}">{escape(title)}</h2>\n{"".join(parts)}</section>\n'


def paragraph(text: str) -> str:
    """A paragraph; nothing for no text."""
    return f"<p>{escape(text)}</p>\n" if text else ""


def folded(title: str, inside: str) -> str:
    """What opens when it is asked for."""
    return f"<details><summary>{escape(title)}</summary>{inside}</details>\n"


def legend(series: Series) -> str:
    """What the colours of a chart mean."""
    square = '<svg viewBox="0 0 12 12" aria-hidden="true"><rect class="{css}" width="12" height="12"/></svg>'
    items = "".join(f"<li>{square.format(css=css)}{escape(name)}</li>" for css, name, _ in series)
    return f'<ul class="legend">{items}</ul>\n'
