"""Snapshots of our profiles, for those who read nothing else: R4's elements with every differential laid over them.

Nothing of ours reads a snapshot. R4's own words are not at hand, so an element's definition is a short text of ours.
https://hl7.org/fhir/R4/profiling.html#snapshot, https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.packages.elements import FHIR_TYPE, FHIRPATH_TYPE

CORE = "http://hl7.org/fhir/StructureDefinition/"
DEEPEST = 16
"""Most profiles of profiles, and most levels that are unfolded below an element."""

Row = dict[str, Any]
Find = Callable[[str], Mapping[str, Any] | None]

ORDER = (
    "id", "extension", "path", "representation", "sliceName", "slicing", "short", "_short", "definition",
    "_definition", "comment", "min", "max", "base", "contentReference", "type", "fixed", "pattern", "minValue",
    "maxValue", "maxLength", "constraint", "isModifier", "isModifierReason", "isSummary", "binding",
)  # fmt: skip
SYSTEM = {
    "boolean": "Boolean", "integer": "Integer", "positiveInt": "Integer", "unsignedInt": "Integer",
    "decimal": "Decimal", "date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time",
}  # fmt: skip
"""The FHIRPath type of the value of a primitive; String for all others."""

PREFIXES = ("fixed", "pattern", "minValue", "maxValue")


def snapshot(content: Mapping[str, Any], find: Find, deep: int = DEEPEST) -> list[Row]:
    """The elements of a profile with everything that it rests on; `find` gives other StructureDefinitions by URL."""
    return [_finished(row) for row in _rows(content, find, deep)]


def _rows(content: Mapping[str, Any], find: Find, deep: int) -> list[Row]:
    url = str(content["url"])
    if content["derivation"] != "constraint":
        return [_of_r4(row, content) for row in content["snapshot"]["element"]]
    base = find(str(content["baseDefinition"])) if deep else None
    if base is None:
        raise ValueError(f"{url}: the base {content['baseDefinition']} is not at hand")
    layers = _Layers([dict(row) for row in _rows(base, find, deep - 1)], find, deep)
    for row in content["differential"]["element"]:
        layers.lay(row, url)
    return layers.rows


class _Layers:
    """The elements of a snapshot while differentials are laid over them."""

    def __init__(self, rows: list[Row], find: Find, deep: int) -> None:
        self.rows = rows
        self.find = find
        self.deep = deep

    def lay(self, given: Mapping[str, Any], url: str) -> None:
        """Lay one row of a differential over the element with its id, made when it is not there."""
        row = self.rows[self.place(str(given["id"]))]
        said = {key: value for key, value in given.items() if key not in ("id", "path", "constraint", "base")}
        for group in (("fixed", "pattern"), ("minValue",), ("maxValue",)):
            if any(key.startswith(group) for key in said):  # a fixed value and a pattern take each other's place
                for key in [key for key in row if key.startswith(group)]:
                    del row[key]
        if "short" in said:
            said |= {"definition": said["short"]} | ({"_definition": said["_short"]} if "_short" in said else {})
        if "binding" in said:
            said["binding"] = {**row.get("binding", {}), **said["binding"]}
        row |= said
        own = [{**each, "source": url} for each in given.get("constraint", ())]
        keys = {each["key"] for each in own}
        kept = [each for each in row.get("constraint", ()) if each["key"] not in keys]
        if own:
            row["constraint"] = kept + own

    def place(self, id: str) -> int:
        """The place of an id; slices and inner elements are made when they are asked for."""
        for place, row in enumerate(self.rows):
            if row["id"] == id:
                return place
        head, colon, name = id.rpartition(":")
        if colon and "." not in name:
            self._add_slice(head, id, name)
        else:
            parent = id.rpartition(".")[0]
            self.place(parent)
            if not any(row["id"].startswith(f"{parent}.") for row in self.rows):
                self._unfold(parent)
        for place, row in enumerate(self.rows):
            if row["id"] == id:
                return place
        raise ValueError(f"{id}: there is no such element")

    def _add_slice(self, head: str, id: str, name: str) -> None:
        """A slice begins as what is said of every item, and stands behind the slices before it."""
        first = self.place(head)
        end = first + 1
        while end < len(self.rows) and self.rows[end]["id"].startswith((f"{head}.", f"{head}:")):
            end += 1
        copied = [
            {**row, "id": id + row["id"][len(head) :]}
            for row in self.rows[first:end]
            if row["id"] == head or row["id"].startswith(f"{head}.")
        ]
        copied[0] = {key: value for key, value in copied[0].items() if key != "slicing"}
        copied[0] |= {"sliceName": name, "min": 0}
        self.rows[end:end] = copied

    def _unfold(self, id: str) -> None:
        """Put the elements of a type, or of its one profile, below an element that has none yet."""
        place = self.place(id)
        row = self.rows[place]
        inner = self._inside(row)
        root = inner[0]["id"]
        below = [
            {**each, "id": id + each["id"][len(root) :], "path": row["path"] + each["path"][len(inner[0]["path"]) :]}
            for each in inner[1:]
        ]
        self.rows[place + 1 : place + 1] = below

    def _inside(self, row: Row) -> list[Row]:
        """The elements of an element's type: those of its profile, of R4's type, or of where its content stands."""
        if "contentReference" in row:
            return self._referred(row["contentReference"].rpartition("#")[2])
        types = row.get("type", ())
        if len(types) != 1 or not self.deep:
            raise ValueError(f"{row['id']}: what is below is not of one type")
        for url in (*types[0].get("profile", ()), types[0]["code"]):
            found = self.find(url)
            if found is not None and ("snapshot" in found or found["derivation"] == "constraint"):
                return _rows(found, self.find, self.deep - 1)
        raise ValueError(f"{row['id']}: the type {types[0]['code']} is not at hand")

    def _referred(self, id: str) -> list[Row]:
        return [row for row in self.rows if row["id"] == id or row["id"].startswith(f"{id}.")]


# ---- rows of R4


def _of_r4(given: Mapping[str, Any], content: Mapping[str, Any]) -> Row:
    """An element of R4 with what a snapshot demands and the table leaves out because a validator does not read it."""
    path = str(given["path"])
    row: Row = {"min": 0, **given}
    row["base"] = {"path": _defined(path), "min": row["min"], "max": row["max"]}
    row["definition"] = f"{path} as FHIR R4 defines it."
    own = [{"source": str(content["url"]), **each} for each in given.get("constraint", ())]
    types = [str(each["code"]) for each in given.get("type", ())]
    row["constraint"] = [*own, *_of_types(types, {each["key"] for each in own})]
    primitive = str(content["type"]) if content.get("kind") == "primitive-type" else ""
    row["type"] = [_as_published(path, each, primitive) for each in given.get("type", ())]
    if row.get("isModifier"):
        row["isModifierReason"] = "FHIR R4 says that it changes the meaning of what it stands in."
    return {key: value for key, value in row.items() if value != []}


def _of_types(types: Iterable[str], known: set[str]) -> list[Row]:
    """The constraints that every element has, and every extension."""
    codes = list(types)
    if not codes or any(definitions().kind(code) == "resource" for code in codes):
        return []
    found = []
    for name in ("Element", "Extension") if codes == ["Extension"] else ("Element",):
        content = definitions().structure(name) or {}
        for each in content["snapshot"]["element"][0].get("constraint", ()):
            if each["key"] not in known:
                known.add(each["key"])
                found.append({"source": f"{CORE}{name}", **each})
    return found


def _defined(path: str) -> str:
    """The path of the element in the most general type that has it: Resource.id for Encounter.id."""
    type_name, dot, name = path.partition(".")
    if not dot:
        return path
    if "." in name:
        last = name.rpartition(".")[2]
        return {"id": "Element.id", "extension": "Element.extension"}.get(
            last, "BackboneElement.modifierExtension" if last == "modifierExtension" else path
        )
    found, above = path, definitions().structure(type_name)
    while above is not None and above.get("baseDefinition"):
        above = definitions().structure(str(above["baseDefinition"]))
        if above is not None and definitions().element(f"{above['type']}.{name}") is not None:
            found = f"{above['type']}.{name}"
    return found


def _as_published(path: str, given: Mapping[str, Any], primitive: str) -> Row:
    """The type of an id, of an extension's url and of a primitive's value as R4 publishes it: a FHIRPath type that
    stands for a FHIR type. `primitive` is the primitive type that the element is of, or ""."""
    if primitive and path == f"{primitive}.value":
        return {
            "extension": [{"url": FHIR_TYPE, "valueUrl": primitive}],
            "code": FHIRPATH_TYPE + SYSTEM.get(primitive, "String"),
        }
    if not path.endswith(".id") and path != "Extension.url":
        return dict(given)
    code = "uri" if path == "Extension.url" else "string"
    return {"extension": [{"url": FHIR_TYPE, "valueUrl": code}], "code": f"{FHIRPATH_TYPE}String"}


def _finished(row: Row) -> Row:
    def rank(key: str) -> int:
        name = next((prefix for prefix in PREFIXES if key.startswith(prefix)), key)
        return ORDER.index(name) if name in ORDER else len(ORDER)

    return {key: row[key] for key in sorted(row, key=rank)}
