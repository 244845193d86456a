"""The page of the indicators of result-based financing, from the rows as they stand."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_facade.mapping.kinds import Kinds
from fhir_facade.npr.indicators import Indicator
from fhir_facade.npr.shipped import shipped_indicators


def page(kinds: Kinds) -> str:
    """One section for each indicator: how sure it is, what is open, its populations, what it rests on."""
    found = list(shipped_indicators(kinds))
    lines = [
        "# Indicators of result-based financing (RBF)",
        "",
        "What stands in `profiles/npr/indicators.yaml`; [indicators.md](indicators.md) tells how they are counted.",
        "The rule document of RBF could not be read: each definition says what is verified and what is our reading.",
        "",
        "| Indicator | Title | Status | On |",
        "| --- | --- | --- | --- |",
        *(f"| [`{each.id}`](#{each.id}) | {each.title['en']} | {each.status} | {_yes(each.on)} |" for each in found),
        "",
    ]
    return "\n".join([*lines, *(line for each in found for line in _section(each))])


def _section(each: Indicator) -> Iterator[str]:
    yield from (f"## {each.id}", "", f"{each.title['en']} ({each.title['nb']}), version {each.version}.")
    yield from (each.description["en"], "")
    yield from (f"- Status: {each.status}", f"- Scoring: {each.scoring}")
    if each.populations:
        counted = f"`{each.counts}`, once; of its `{each.record}` records the {each.decides} decides"
        yield f"- Counts: {counted if each.decides else f'`{each.record}`'}"
        yield f"- Placed in a period by: `{each.date}`"
    if each.first or each.last:
        yield f"- Defined for: {each.first or '…'} to {each.last or '…'}"
    if each.goal:
        yield f"- Goal: {each.goal} %"
    if each.stratifiers:
        yield f"- Parted by: {', '.join(f'`{name}`' for name in each.stratifiers)}"
    if each.open:
        yield f"- Open: {each.open['en']}"
    yield f"- Sources: {'; '.join(each.source)}"
    yield ""
    if each.populations:
        yield from ("| Population | Who | Status | Expression |", "| --- | --- | --- | --- |")
        for name, one in each.populations.items():
            expression = one.when.replace("|", "\\|")
            yield f"| {name} | {one.words['en']} | {one.status} | `{expression}` |"
        yield ""


def _yes(on: bool) -> str:
    return "yes" if on else "no"
