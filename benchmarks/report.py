"""Print what was measured as ratios, with the aim beside it; keep it for --json."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Report:
    """Lines for people, figures for machines."""

    figures: dict[str, float] = field(default_factory=dict)

    def title(self, text: str) -> None:
        """Begin a part."""
        print(f"\n{text}", flush=True)

    def note(self, text: str) -> None:
        """Say what is no figure."""
        print(f"  {text}", flush=True)

    def row(self, key: str, name: str, value: float, unit: str, detail: str = "", aim: float | None = None) -> None:
        """One figure; `aim` is the least that is wanted."""
        self.figures[key] = value
        wanted = "" if aim is None else f"aim ≥ {aim:g}: {'reached' if value >= aim else 'NOT reached'}"
        shown = f"{value:.2g}" if 0 < value < 0.1 else f"{value:,.2f}" if value < 1000 else f"{value:,.0f}"
        print(f"  {name:<38} {shown:>9} {unit:<18} {detail:<28} {wanted}".rstrip(), flush=True)
