"""References to entries of the same Bundle, and conditional ones, replaced by what was stored or found.

https://hl7.org/fhir/R4/http.html#transaction: "the server ... SHALL update any references". Nothing else is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from fhir_facade.bundles.entries import Entry
from fhir_facade.bundles.plan import Asked, Plan, target_repeated
from fhir_facade.bundles.references import Link, with_links
from fhir_facade.contracts import Resource
from fhir_facade.outcome import Issue


class Identity(NamedTuple):
    """A resource of this server; `version` is "" until it is known."""

    type: str
    id: str
    version: str = ""

    @property
    def place(self) -> str:
        """`Type/id`."""
        return f"{self.type}/{self.id}"


Found = Mapping[tuple[str, str], Sequence[Identity]]
"""What conditional references find: by type and query, the matches; two are enough to know that they are many."""


def known_at_first(plan: Plan) -> dict[int, Identity]:
    """What entries are about that say it themselves, by their number."""
    return {
        entry.number: Identity(entry.target.type, entry.target.id)
        for entry in plan.entries
        if entry.changes and entry.target is not None and entry.target.id
    }


def conditional_references(plan: Plan) -> Iterator[tuple[int, Asked]]:
    """Every search that stands in the place of a reference, with the number of its entry; each search once."""
    seen = set[tuple[str, str]]()
    for number, asks in plan.asks.items():
        for asked in asks:
            if (asked.type, asked.query) not in seen:
                seen.add((asked.type, asked.query))
                yield number, asked


def rewritten(
    plan: Plan, entry: Entry, known: Mapping[int, Identity], found: Found | None = None
) -> tuple[Resource, list[Issue]]:
    """The resource of an entry with its references replaced, and what is wrong with them.

    `known` has identities by the number of the entry; a link to an entry that is not known yet stays as it is, and so
    does a search that is not in `found`. The entry's own resource is not touched. ValueError: it has no resource.
    """
    if entry.resource is None:
        raise ValueError(f"{entry.at} has no resource")
    resource, issues = entry.resource, list[Issue]()
    for led in plan.leads[entry.number]:
        identity = known.get(led.entry)
        if identity is not None:
            resource = _replaced(resource, led.link, _text(identity, led.link.text, bool(led.version)))
    for asked in plan.asks[entry.number]:
        matches = (found or {}).get((asked.type, asked.query))
        if matches is None:
            continue
        if len(matches) == 1:
            resource = _replaced(resource, asked.link, matches[0].place)
        else:
            code = "entry-reference-many" if matches else "entry-reference-none"
            facts = {"type": asked.type, "count": len(matches)}
            issues.append(Issue(code, f"{entry.at}.resource{asked.link.at}", facts))
    return resource, issues


def _text(identity: Identity, was: str, of_version: bool) -> str:
    """How an identity is written in the place of a text: with a version, and a fragment, where that had one."""
    version = f"/_history/{identity.version}" if of_version and identity.version else ""
    _, mark, fragment = was.partition("#")
    return f"{identity.place}{version}{mark}{fragment}"


def _replaced(resource: Resource, link: Link, text: str) -> Resource:
    """The resource with another text; what does not hold that text is shared with what it was."""
    made: Any = resource.copy()
    holder = made
    for step in link.steps[:-1]:
        holder[step] = holder[step].copy()
        holder = holder[step]
    last = link.steps[-1]
    holder[last] = with_links(holder[last], {link.text: text}) if link.kind == "xhtml" else text
    out: Resource = made
    return out


def overlapping(plan: Plan, known: Mapping[int, Identity]) -> list[Issue]:
    """Entries of a transaction that turn out to change the same resource, when their conditions have been looked up.

    Conditional creates may share one with each other, for they change nothing that is there.
    """
    seen, issues = dict[str, Entry](), list[Issue]()
    for entry in plan.entries if plan.type == "transaction" else ():
        identity = known.get(entry.number)
        if identity is None or not entry.changes:
            continue
        first = seen.setdefault(identity.place, entry)
        if first is not entry and not (first.if_none_exist and entry.if_none_exist):
            issues.append(target_repeated(entry, first.number))
    return issues
