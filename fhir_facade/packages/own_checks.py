"""What our definitions say of each other, of R4 and of the code lists: that it is there, fits, and is not wider.

It is slower than reading, so it is done where definitions are written and not where they are used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.packages.own import Own, own_files, read_own
from fhir_facade.packages.own_elements import BY_URL, Elements
from fhir_facade.packages.own_reading import Fault
from fhir_facade.terminology.catalogue import Catalogue

DEEPEST = 8
"""Most profiles of profiles."""

Knows = Callable[[str], bool]
"""Whether a canonical is known to somebody else."""


def check_own(folder: Path, elsewhere: Knows = lambda url: False) -> list[Fault]:
    """Every fault of the definitions in a folder; `elsewhere` knows the canonicals of loaded packages."""
    found, faults = read_own(own_files(folder))
    return faults + check_definitions([each for each in found if "differential" in each.content], elsewhere)


def check_definitions(found: Sequence[Own], elsewhere: Knows = lambda url: False) -> list[Fault]:
    """The faults between definitions that are each understood; see the module."""
    checks = _Checks({each.content["url"]: each for each in found}, elsewhere)
    for each in found:
        checks.definition(each)
    return checks.faults


@dataclass(slots=True)
class _Checks:
    own: dict[str, Own]
    elsewhere: Knows
    catalogue: Catalogue = field(default_factory=Catalogue)
    faults: list[Fault] = field(default_factory=list)
    keys: dict[str, tuple[Any, Own]] = field(default_factory=dict)

    def say(self, where: Own, id: str, message: str) -> None:
        self.faults.append(Fault(where.file, where.lines.get(id, where.lines[""]), message))

    def definition(self, each: Own) -> None:
        content = each.content
        self._parent(each)
        for context in content.get("context", ()):
            if context["type"] == "extension" and self._type(context["expression"]) != "Extension":
                self.say(each, "", f"the extension {context['expression']} of the context is unknown")
        places = Elements(content["type"])
        for row in content["differential"]["element"]:
            places.by_id[row["id"]] = row
            if row["id"].endswith("[x]") and len(row.get("type", ())) == 1:
                places.narrowed[row["id"]] = row["type"][0]["code"]
        ancestors = list(self._ancestors(each))
        for id, row in places.by_id.items():
            self._types(each, row)
            self._binding(each, row)
            self._card(each, places, ancestors, row)
            self._slice(each, places, ancestors, id)
            self._context(each, places, row)
            for constraint in row.get("constraint", ()):
                self._constraint(each, id, constraint)

    def _type(self, canonical: str) -> str | None:
        """The type that a profile or extension is of: ours or R4's; "" where only somebody else knows it."""
        url = canonical.partition("|")[0]
        if url in self.own:
            return str(self.own[url].content["type"])
        known = definitions().structure(url)
        return str(known["type"]) if known else "" if self.elsewhere(canonical) else None

    def _parent(self, each: Own) -> None:
        parent, own = each.content["baseDefinition"], each.content["type"]
        known = self._type(parent)
        if known is None:
            self.say(each, "", f"the parent {parent} is unknown")
        elif known not in ("", own):
            self.say(each, "", f"the parent is a profile of {known}, not of {own}")
        if len(list(self._ancestors(each))) == DEEPEST:
            self.say(each, "", "the parents have no end")

    def _ancestors(self, each: Own) -> Iterator[Own]:
        """The parents that are ours, the nearest first."""
        for _ in range(DEEPEST):
            parent = self.own.get(each.content["baseDefinition"])
            if parent is None:
                return
            yield parent
            each = parent

    def _types(self, each: Own, row: dict[str, Any]) -> None:
        for kind in row.get("type", ()):
            for profile in kind.get("profile", ()):
                known = self._type(profile)
                if known is None:
                    self.say(each, row["id"], f"the profile {profile} is unknown")
                elif known not in ("", kind["code"]):
                    self.say(each, row["id"], f"{profile} is a profile of {known}, not of {kind['code']}")
            for target in kind.get("targetProfile", ()):
                if self._type(target) is None:
                    self.say(each, row["id"], f"the target {target} is unknown")

    def _binding(self, each: Own, row: dict[str, Any]) -> None:
        """A binding that is judged, or that names a list, must be of codes that are at hand."""
        binding = row.get("binding")
        if binding is None:
            return
        url = binding["valueSet"]
        judged = binding["strength"] in ("required", "extensible") or url.startswith("urn:")
        known = self.catalogue.value_set(url) is not None or url.partition("|")[0] in definitions().not_expanded
        if judged and not known:
            self.say(each, row["id"], f"the value set or code list {url} is unknown")

    def _card(self, each: Own, places: Elements, ancestors: Sequence[Own], row: dict[str, Any]) -> None:
        """The counts are not wider than those of R4, of the parents, and of the element that a slice is of."""
        if "min" not in row and "max" not in row:
            return
        id = row["id"]
        head, colon, _ = id.rpartition(":")
        sliced = bool(colon) and "." not in id[len(head) :]
        general = {_unsliced(id), head if sliced else id}
        rows = [_rows(other).get(id, {}) for other in ancestors]
        above = [_rows(other).get(wider, {}) for other in (each, *ancestors) for wider in sorted(general - {id})]
        element = places.element(id) if "." in id else None
        most = min(
            [_most(other) for other in (*rows, *above)], default=sys.maxsize
        )  # fmt: skip
        if element is not None and not element.many:
            most = min(most, 1)
        least = max([other.get("min", 0) for other in rows] + [0 if sliced or element is None else element.min])
        if _most(row) > most and "max" in row:
            self.say(each, id, f"card: the most is wider than the {most} above")
        elif row.get("min", 0) > most:
            self.say(each, id, f"card: the least is more than the {most} that is allowed above")
        if row.get("min", least) < least:
            self.say(each, id, f"card: the least is wider than the {least} above")

    def _slice(self, each: Own, places: Elements, ancestors: Sequence[Own], id: str) -> None:
        """A slice needs a rule that tells it apart."""
        head, colon, _ = id.rpartition(":")
        if not colon or "." in id[len(head) :]:
            return
        plain = {head, _unsliced(head)}
        said = any("slicing" in _rows(other).get(of, {}) for other in (each, *ancestors) for of in plain)
        last = ancestors[-1] if ancestors else each
        outside = definitions().structure(last.content["baseDefinition"]) is None
        first = next(other for other in places.by_id if other.startswith(f"{head}:"))
        if not said and not outside and id == first:
            self.say(each, id, f"{head.partition('.')[2]} has slices, but no slices key tells them apart")

    def _context(self, each: Own, places: Elements, row: dict[str, Any]) -> None:
        """An extension of ours may stand where a profile of ours puts it."""
        parent, _, segment = row["id"].rpartition(".")
        if segment.partition(":")[0] not in BY_URL or not row.get("sliceName"):
            return
        for url in (url for kind in row.get("type", ()) for url in kind.get("profile", ())):
            contexts = self.own[url].content.get("context", ()) if url in self.own else ()
            allowed = {context["expression"] for context in contexts if context["type"] == "element"}
            others = any(context["type"] != "element" for context in contexts)
            if contexts and not others and not allowed & _contexts(places, parent):
                where = ", ".join(sorted(allowed))
                self.say(each, row["id"], f"{url} may not stand here; its context is {where}")

    def _constraint(self, each: Own, id: str, constraint: dict[str, Any]) -> None:
        """One key is one rule: it is switched off and told by its key."""
        known, first = self.keys.setdefault(constraint["key"], (constraint, each))
        if known != constraint:
            self.say(each, id, f"the constraint {constraint['key']} says something else in {first.file}")


def _rows(each: Own) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in each.content["differential"]["element"]}


def _most(row: dict[str, Any]) -> int:
    said = row.get("max", "*")
    return sys.maxsize if said == "*" else int(said)


def _unsliced(id: str) -> str:
    return ".".join(segment.partition(":")[0] for segment in id.split("."))


def _contexts(places: Elements, id: str) -> set[str]:
    """The context expressions that name the element at an id."""
    place = places.place(id) or id
    element = definitions().element(place)
    names = {id, _unsliced(id), place, "Element", *(element.types if element else ())}
    names |= {element.path} if element else set()
    if "." not in id:
        names |= {"Resource", "DomainResource"}
    return names
