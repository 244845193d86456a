"""What holds between the entries of a Bundle: what they are called, and how references between them are resolved.

https://hl7.org/fhir/R4/bundle.html#references. Constraints (bdl-1 to bdl-12) are judged as all constraints are, but for
bdl-7: a fullUrl that stands twice is told of where it stands the second time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fhir_facade.definitions import definitions
from fhir_facade.profile.references import Pointer, parse, type_of

NAMED = frozenset({"document", "message", "collection", "searchset", "history"})
"""Types of Bundle whose entries are known by their fullUrl; in the others it may be left out."""

CLOSED = frozenset({"document", "message", "collection", "transaction"})
"""Types of Bundle outside of which a urn: reference means nothing."""

HOLDS_NO_BUNDLE = frozenset({"document", "message", "transaction", "history"})
MUST_RESOLVE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "document": (
        "Composition",
        (
            "subject", "encounter", "author", "attester.party", "custodian", "event.detail",
            "section.author", "section.focus", "section.entry",
        ),
    ),
    "message": ("MessageHeader", ("focus",)),
}  # fmt: skip
"""What the first entry points at directly must be in the Bundle. https://hl7.org/fhir/R4/documents.html#bundle"""

DEEPEST_SECTION = 16
_UUID = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
_OID = re.compile(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+").fullmatch
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+").fullmatch


class Fault(NamedTuple):
    """Something wrong between entries: issue code, rule key, place below the Bundle, facts for the sentence."""

    code: str
    key: str
    place: str
    facts: Mapping[str, str]


class Entry(NamedTuple):
    """One entry: its number, fullUrl ("" for none) and resource."""

    number: int
    full_url: str
    resource: Mapping[str, Any]


class Entries:
    """The entries of a Bundle, found by what a reference says."""

    def __init__(self, bundle: Mapping[str, Any]) -> None:
        said = bundle.get("type")
        self.type = said if isinstance(said, str) else ""
        self.entries: list[Entry] = []
        self._by_url: dict[str, list[Entry]] = {}
        self._by_place: dict[str, list[Entry]] = {}
        self._urls: dict[int, str] = {}
        self.misnamed: set[int] = set()
        """Entries whose fullUrl is no text, which is told as a wrong type."""
        held = bundle.get("entry")
        for number, entry in enumerate(held if isinstance(held, list) else ()):
            resource = entry.get("resource") if isinstance(entry, Mapping) else None
            if isinstance(resource, Mapping):
                self._register(number, entry.get("fullUrl"), resource)

    def _register(self, number: int, said: Any, resource: Mapping[str, Any]) -> None:
        entry = Entry(number, said if isinstance(said, str) else "", resource)
        self.entries.append(entry)
        if said is not None and not isinstance(said, str):
            self.misnamed.add(number)
        self._urls[id(resource)] = entry.full_url
        if entry.full_url:
            self._by_url.setdefault(entry.full_url, []).append(entry)
        else:
            self._by_place.setdefault(f"{type_of(resource)}/{resource.get('id')}", []).append(entry)

    def resolve(self, reference: str, full_url: str = "") -> Mapping[str, Any] | None:
        """The resource that a reference leads to, seen from the entry with a fullUrl; None when it is not here."""
        plain = reference.partition("#")[0] if not reference.startswith("#") else reference
        pointer = parse(plain)
        if pointer.kind == "urn" or not pointer.type:
            return _of_version(self._by_url.get(plain, []), "")
        if pointer.kind == "conditional":
            return None
        if pointer.kind == "absolute":
            return _of_version(self._by_url.get(f"{pointer.base}{pointer.place}", []), pointer.version)
        return self._relative(pointer, full_url)

    def _relative(self, pointer: Pointer, full_url: str) -> Mapping[str, Any] | None:
        base = parse(full_url).base if full_url else ""
        found = self._by_url.get(f"{base}{pointer.place}") if base else None
        return _of_version(found or self._by_place.get(pointer.place, []), pointer.version)

    def url_of(self, resource: Mapping[str, Any]) -> str:
        """The fullUrl of the entry that holds this very resource, "" for none."""
        return self._urls.get(id(resource), "")

    def names(self) -> list[str]:
        """What the entries are called, for a message."""
        return [entry.full_url or f"{type_of(entry.resource)}/{entry.resource.get('id')}" for entry in self.entries]


def _of_version(entries: list[Entry], version: str) -> Mapping[str, Any] | None:
    for entry in entries:
        if not version or _version(entry.resource) == version:
            return entry.resource
    return None


def _version(resource: Mapping[str, Any]) -> str:
    meta = resource.get("meta")
    said = meta.get("versionId") if isinstance(meta, Mapping) else None
    return said if isinstance(said, str) else ""


def faults(entries: Entries) -> Iterator[Fault]:
    """Everything that is wrong between the entries of a Bundle."""
    seen: dict[str, int] = {}
    for entry in entries.entries:
        place = f"entry[{entry.number}]"
        if entry.full_url:
            yield from full_url_faults(entry, f"{place}.fullUrl")
        elif entry.number in entries.misnamed:
            continue
        elif entries.type in NAMED and type_of(entry.resource) not in ("OperationOutcome", ""):
            yield Fault("bundle-full-url-missing", "bundle-full-url-missing", place, {"type": entries.type})
        first = seen.setdefault(f"{entry.full_url}{_version(entry.resource)}", entry.number)
        if entry.full_url and first != entry.number and entries.type != "history":
            facts = {"found": entry.full_url, "first": str(first)}
            yield Fault("bundle-full-url-repeated", "bdl-7", f"{place}.fullUrl", facts)
        if type_of(entry.resource) == "Bundle" and entries.type in HOLDS_NO_BUNDLE:
            yield Fault("bundle-entry-nested", "bundle-entry-nested", f"{place}.resource", {"type": entries.type})
    yield from _unresolved(entries)


def full_url_faults(entry: Entry, place: str) -> Iterator[Fault]:
    """What is wrong with the fullUrl of one entry, beside its resource."""
    url, reasons = entry.full_url, None
    resource_type, id = type_of(entry.resource), entry.resource.get("id")
    if url.startswith("urn:uuid:"):
        reasons = None if _UUID(url) else ("it is no UUID in lower case", "det er ingen UUID i små bokstaver")
    elif url.startswith("urn:oid:"):
        reasons = None if _OID(url) else ("it is no OID", "det er ingen OID")
    elif not _ABSOLUTE(url):
        reasons = ("it is not absolute", "den er ikke absolutt")
    elif (pointer := parse(url)).type:
        if isinstance(id, str) and pointer.id != id:
            reasons = ("the id of the resource is another", "ressursens id er en annen")
        elif definitions().kind(resource_type) == "resource" and pointer.type != resource_type:
            reasons = (f"the resource is {resource_type}", f"ressursen er {resource_type}")
    if reasons:
        yield Fault(
            "bundle-full-url", "bundle-full-url", place, {"found": url, "reason": reasons[0], "grunn": reasons[1]}
        )


def _unresolved(entries: Entries) -> Iterator[Fault]:
    """References of the first entry that must lead to another entry."""
    head, paths = MUST_RESOLVE.get(entries.type, ("", ()))
    first = entries.entries[0] if entries.entries else None
    if first is None or type_of(first.resource) != head:
        return
    for path in paths:
        for place, reference in _references(first.resource, path.split("."), "", 0):
            pointer = parse(reference)
            is_told = (
                pointer.kind == "relative" and not first.full_url
            )  # what it is relative to is missing, and said so
            if pointer.kind not in ("relative", "absolute") or is_told:
                continue
            if entries.resolve(reference, first.full_url) is None:
                at = f"entry[{first.number}].resource{place}"
                yield Fault("bundle-reference-unresolved", "bundle-reference-unresolved", at, {"found": reference})


def _references(value: Any, steps: list[str], place: str, depth: int) -> Iterator[tuple[str, str]]:
    """The (place, reference) pairs at a path; sections lie inside sections."""
    if not isinstance(value, Mapping) or depth > DEEPEST_SECTION:
        return
    if not steps:
        if isinstance(value.get("reference"), str):
            yield place, value["reference"]
        return
    for name in dict.fromkeys((steps[0], "section")) if steps[0] == "section" or place.endswith("]") else (steps[0],):
        rest = steps if name == "section" and steps[0] != "section" else steps[1:]
        if name == "section" and ".section[" not in place and steps[0] != "section":
            continue
        held = value.get(name)
        for number, each in enumerate(held if isinstance(held, list) else [held]):
            index = f"[{number}]" if isinstance(held, list) else ""
            yield from _references(each, rest, f"{place}.{name}{index}", depth + 1)
