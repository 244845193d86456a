"""Charts as inline SVG: what they show stands beside them as a table, for whoever cannot see or point at them.

Colours come from the classes of the page, so that they follow light and dark. Nothing is fetched and nothing runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 880, 240
LEFT, BOTTOM, TOP = 56, 34, 10
LABELS = 12  # at most so many labels below a chart
SPARK_WIDTH, SPARK_HEIGHT = 160, 26
Series = Sequence[tuple[str, str, Sequence[int]]]
"""Class of the colour, name, and a number for each column."""


def columns(title: str, labels: Sequence[str], series: Series) -> str:
    """Stacked columns, one for each label."""
    totals = [sum(numbers[place] for _, _, numbers in series) for place in range(len(labels))]
    top = _round_up(max(totals, default=0))
    step = (WIDTH - LEFT) / max(len(labels), 1)
    width = max(min(step * 0.8, 60), 1)
    parts = _axis(top)
    for place, label in enumerate(labels):
        x, y = LEFT + step * place + (step - width) / 2, float(HEIGHT - BOTTOM)
        for css, name, numbers in series:
            tall = (HEIGHT - BOTTOM - TOP) * numbers[place] / top
            if tall:
                y -= tall
                said = escape(f"{label}: {numbers[place]} {name}")
                box = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{tall:.1f}"'
                parts.append(f'<rect class="{css}" {box}><title>{said}</title></rect>')
        if place % -(-len(labels) // LABELS) == 0:
            at = f'x="{LEFT + step * (place + 0.5):.1f}" y="{HEIGHT - 14}"'
            parts.append(f'<text {at} text-anchor="middle">{escape(label)}</text>')
    return _svg(title, WIDTH, HEIGHT, parts, "chart")


def bars(title: str, rows: Sequence[tuple[str, int]], css: str = "mark") -> str:
    """Horizontal bars with their names, the longest as wide as the chart."""
    high, name_width = 24, 300
    top = max((number for _, number in rows), default=0) or 1
    parts = []
    for place, (name, number) in enumerate(rows):
        y = place * high
        wide = (WIDTH - name_width - 70) * number / top
        shown = name if len(name) <= 42 else f"{name[:41]}…"
        parts.append(f'<text x="{name_width - 8}" y="{y + 16}" text-anchor="end">{escape(shown)}</text>')
        parts.append(f'<rect class="{css}" x="{name_width}" y="{y + 4}" width="{max(wide, 1):.1f}" height="16"/>')
        parts.append(f'<text x="{name_width + wide + 6:.1f}" y="{y + 16}">{number}</text>')
    return _svg(title, WIDTH, high * len(rows) + 4, parts, "chart")


def spark(title: str, numbers: Sequence[int]) -> str:
    """A small line of one row over time."""
    top = max(numbers, default=0) or 1
    step = SPARK_WIDTH / max(len(numbers), 1)
    size = f'width="{max(step * 0.8, 0.5):.1f}"'
    parts = []
    for place, number in enumerate(numbers):
        if tall := SPARK_HEIGHT * number / top:
            at = f'x="{step * place:.1f}" y="{SPARK_HEIGHT - tall:.1f}" height="{tall:.1f}"'
            parts.append(f'<rect class="mark" {size} {at}/>')
    return _svg(title, SPARK_WIDTH, SPARK_HEIGHT, parts, "spark")


def _svg(title: str, width: int, height: int, parts: Sequence[str], css: str) -> str:
    head = f'<svg class="{css}" role="img" aria-label="{escape(title)}" viewBox="0 0 {width} {height}">'
    return "".join((head, *parts, "</svg>"))


def _axis(top: int) -> list[str]:
    """Lines across the chart with their numbers."""
    parts = []
    for part in range(5):
        y = HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * part / 4
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{top * part // 4}</text>')
    return parts


def _round_up(number: int) -> int:
    """The next number that four parts of it are whole, with one or two digits before the zeros."""
    unit = 1
    while True:
        for first in (4, 8, 12, 20, 40):
            if first * unit >= number:
                return first * unit
        unit *= 10
