"""A Bundle into a plan: every entry judged, on its own and beside the others, and where its references lead.

https://hl7.org/fhir/R4/http.html#transaction. What only the store can tell (whether a resource is there, what a search
finds) is not judged here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from fhir_facade.bundles.entries import Entry, entry_of
from fhir_facade.bundles.references import POINTING, Led, Link, Names, references_in
from fhir_facade.bundles.targets import Criteria, criteria_of, is_resource
from fhir_facade.outcome import Issue, Refused
from fhir_facade.profile.bundles import Entry as Named
from fhir_facade.profile.bundles import full_url_faults
from fhir_facade.profile.references import parse, type_of
from fhir_facade.store.batches import shown

MOST_ENTRIES: Mapping[str, int] = {"transaction": 500, "batch": 1000}
PLACEHOLDERS = ("urn:uuid:", "urn:oid:")

Key = tuple[str, str | Criteria]


class Asked(NamedTuple):
    """A conditional reference: a search that must match exactly one resource of the type."""

    link: Link
    type: str
    query: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What a Bundle asks for. `leads` and `asks` have, by the number of an entry, where its links lead.

    `first` is the number of the first entry, which is not 0 where these are a part of a batch.
    """

    type: str
    entries: tuple[Entry, ...]
    leads: Mapping[int, Sequence[Led]]
    asks: Mapping[int, Sequence[Asked]]
    first: int = 0

    @property
    def faults(self) -> tuple[Issue, ...]:
        """Every error of every entry; a transaction that has one is not begun."""
        return tuple(issue for entry in self.entries for issue in entry.issues if issue.is_error)


def plan_of(
    bundle: Any, *, bases: Collection[str] = (), most: Mapping[str, int] = MOST_ENTRIES, first: int = 0
) -> Plan:
    """Judge a Bundle; `bases` are the URLs that this server is known by, without a slash at the end.

    `first` is the number of its first entry, where it is a part of a batch. Refused when it is no batch or transaction,
    or has more entries than `most` says for its type.
    """
    entries_said = _entries(bundle, most)
    bundle_type = str(bundle["type"])
    judged = [entry_of(number, said, bundle_type, bases) for number, said in enumerate(entries_said, first)]
    names = Names(judged)
    leads, asks, between = dict[int, list[Led]](), dict[int, list[Asked]](), dict[int, list[Issue]]()
    for entry in judged:
        found = between.setdefault(entry.number, [])
        found += _misnamed(entry)
        if entry.resource is not None:
            led, asked = _followed(entry, names, judged, bundle_type, found)
            leads[entry.number], asks[entry.number] = led, asked
    if bundle_type == "transaction":
        for number, issue in _repeated(judged):
            between[number].append(issue)
    entries = tuple(replace(entry, issues=(*entry.issues, *between[entry.number])) for entry in judged)
    return Plan(bundle_type, entries, leads, asks, first)


def _entries(bundle: Any, most: Mapping[str, int]) -> Sequence[Any]:
    if type_of(bundle) != "Bundle":
        raise Refused(Issue("element-shape", "Bundle", {"expected": "a Bundle of the type transaction or batch"}))
    said = bundle.get("type")
    bundle_type = said if isinstance(said, str) else ""
    if bundle_type not in MOST_ENTRIES:
        raise Refused(Issue("bundle-type-not-processed", "Bundle.type", {"type": shown(bundle_type)}))
    held = bundle.get("entry")
    if held is not None and not isinstance(held, list):
        raise Refused(Issue("element-shape", "Bundle.entry", {"expected": "a list"}))
    if len(held or ()) > most[bundle_type]:
        facts = {"type": bundle_type, "found": len(held or ()), "limit": most[bundle_type]}
        raise Refused(Issue("bundle-entries-too-many", "Bundle.entry", facts))
    return held or ()


def _misnamed(entry: Entry) -> Iterator[Issue]:
    """What is wrong with the fullUrl of an entry; the URL itself is not repeated, for a person may stand in it."""
    if not entry.full_url or not entry.changes or entry.target is None:
        return
    at = f"{entry.at}.fullUrl"
    stored = entry.resource if entry.stores and entry.resource is not None else {"resourceType": entry.target.type}
    wrong = list(full_url_faults(Named(entry.number, entry.full_url, stored), at))
    for fault in wrong:
        yield Issue(fault.code, at, {**fault.facts, "found": shown(entry.full_url)})
    pointer = parse(entry.full_url)
    if not wrong and pointer.type and entry.target.id and pointer.place != entry.target.place:
        yield Issue("entry-full-url-target", at)


def _followed(
    entry: Entry, names: Names, entries: Sequence[Entry], bundle_type: str, issues: list[Issue]
) -> tuple[list[Led], list[Asked]]:
    """Where the links of an entry lead: to entries, and to searches; what leads nowhere is told."""
    leads, asks = list[Led](), list[Asked]()
    for link in references_in(entry.resource or {}, names.nowhere):
        led = names.led(link, entry.full_url)
        if led is None and link.kind not in POINTING:
            continue
        at = f"{entry.at}.resource{link.at}"
        if led is not None and (bundle_type == "transaction" or led.entry == entry.number):
            leads.append(led)
        elif led is not None:
            if link.text.startswith(PLACEHOLDERS) or entries[led.entry - entries[0].number].method == "POST":
                issues.append(Issue("entry-reference-in-batch", at, {"entry": led.entry}))
        elif link.kind in POINTING and link.text.startswith(PLACEHOLDERS):
            issues.append(Issue("entry-reference-unknown", at))
        elif link.kind == "Reference" and (asked := _asked(link)) is not None:
            if bundle_type != "transaction":
                facts = {"where": "in a batch", "hvor": "i en batch"}
                issues.append(Issue("entry-reference-not-conditional", at, facts))
            elif criteria_of(asked.query) is None:
                issues.append(Issue("entry-reference-criteria", at))
            else:
                asks.append(asked)
    return leads, asks


def _asked(link: Link) -> Asked | None:
    type_name, mark, query = link.text.partition("?")
    return Asked(link, type_name, query) if mark and is_resource(type_name) else None


def _repeated(entries: Sequence[Entry]) -> Iterator[tuple[int, Issue]]:
    """Entries with the fullUrl or the target of one before them: by id, or by the same criteria."""
    urls, targets = dict[str, Entry](), dict[Key, Entry]()
    for entry in entries:
        if not entry.changes:
            continue
        if entry.full_url and entry.method != "DELETE":
            first = urls.setdefault(entry.full_url, entry)
            if first is not entry:
                yield entry.number, Issue("entry-full-url-repeated", f"{entry.at}.fullUrl", {"first": first.number})
        key = _key(entry)
        first = entry if key is None else targets.setdefault(key, entry)
        if first is not entry and not (first.method == entry.method == "POST"):
            yield entry.number, target_repeated(entry, first.number)


def _key(entry: Entry) -> Key | None:
    """What an entry changes, as far as it says so itself; two equal conditional creates make one resource."""
    target = entry.target
    if target is None or (target.interaction == "create" and not entry.if_none_exist):
        return None
    return (target.type, target.id or target.criteria or entry.none_exist)


def target_repeated(entry: Entry, first: int) -> Issue:
    """The issue for an entry that changes what entry number `first` changes too."""
    return Issue("entry-target-repeated", f"{entry.at}.request.url", {"first": first})
