"""Names of search parameters, chained ones too: `subject:Patient.name:exact`, `_has:Condition:patient:code`.

https://hl7.org/fhir/R4/search.html#chaining and #has. Each part is known where it stands, or the name is refused at
the part that is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fhir_facade.contracts import Hop
from fhir_facade.mapping.findings import nearest
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.query_string import unknown_parameter
from fhir_facade.store.batches import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from fhir_facade.mapping.to_where import Parameter, SearchPlan

MOST_STEPS = 5
"""Most references that one chain follows, both ways together."""

HAS = "_has"


@dataclass(frozen=True, slots=True)
class Named:
    """What a name says: the parameter of `type`, its modifier, and the path that leads there."""

    path: tuple[Hop, ...]
    type: str
    parameter: Parameter
    modifier: str


def read_name(search: SearchPlan, resource_type: str, name: str, results: Iterable[str]) -> Named:
    """Return what a name asks of a type; Refused at the first part that is wrong.

    `results` are the parameters that shape the answer, told beside those that restrict it.
    """
    path: list[Hop] = []
    here, rest = resource_type, name
    while True:
        if len(path) > MOST_STEPS:
            raise Refused(Issue("search-chain-too-long", shown(name), {"limit": MOST_STEPS}))
        if rest.partition(":")[0] == HAS:
            step, here, rest = _reverse(search, here, rest, name)
        elif "." in rest:
            step, here, rest = _forward(search, here, rest, name)
        else:
            break
        path.append(step)
    code, _, modifier = rest.partition(":")
    known = search.parameters(here)
    if code not in known:
        raise Refused(unknown_parameter(rest if path else name, here, [*known, *([] if path else results)]))
    return Named(tuple(path), here, known[code], modifier)


def ignored(name: str, why: Sequence[Issue]) -> list[Issue]:
    """What is told of a name that was left out because handling is lenient."""
    if [issue.code for issue in why] == ["search-parameter-unknown"]:
        return [replace(why[0], code="search-parameter-ignored")]
    said = Issue("search-chain-ignored", shown(name), {"name": shown(name)})
    return [said, *(replace(issue, severity="warning") for issue in why)]


def _forward(search: SearchPlan, here: str, text: str, name: str) -> tuple[Hop, str, str]:
    """`subject:Patient.rest` → the step, the type it leads to, the rest."""
    part, _, rest = text.partition(".")
    code, _, wanted = part.partition(":")
    known = search.parameters(here)
    followed = [each for each in known if search.graph.leads_to(here, each)]
    if code not in known:
        raise Refused(unknown_parameter(part, here, known))
    types = search.graph.leads_to(here, code)
    facts = {"type": here, "name": code, "wanted": shown(wanted)}
    if not types:
        raise Refused(Issue("search-chain-no-reference", shown(name), facts | {"allowed": followed or ["-"]}))
    if wanted and wanted not in types:
        said = {"allowed": types, "nearest": nearest(wanted, types)}
        raise Refused(Issue("search-chain-type-unknown", shown(name), facts | said))
    if not wanted and len(types) > 1:
        said = {"allowed": [f"{code}:{each}" for each in types]}
        raise Refused(Issue("search-chain-ambiguous", shown(name), facts | said))
    to = wanted or types[0]
    return Hop(code, to), to, rest


def _reverse(search: SearchPlan, here: str, text: str, name: str) -> tuple[Hop, str, str]:
    """`_has:Type:reference:rest` → the step, the type that refers, the rest."""
    parts = text.split(":", 3)
    pointing = search.graph.pointing_at.get(here, {})
    if len(parts) < 4 or not all(parts):
        example = next((f"{HAS}:{other}:{codes[0]}:_id" for other, codes in pointing.items()), "-")
        raise Refused(Issue("search-has-incomplete", shown(name), {"name": shown(text), "example": example}))
    _, other, code, rest = parts
    facts = {"type": here, "wanted": shown(other), "name": shown(code)}
    if other not in pointing:
        said = {"allowed": list(pointing) or ["-"], "nearest": nearest(other, pointing)}
        raise Refused(Issue("search-has-type-unknown", shown(name), facts | said))
    if code not in pointing[other]:
        said = {"allowed": pointing[other], "nearest": nearest(code, pointing[other])}
        raise Refused(Issue("search-has-reference-unknown", shown(name), facts | said))
    return Hop(code, other, reverse=True), other, rest
