"""Build profiles/r4/structures.jsonl.gz, what a validator reads of R4's definitions, from hl7.fhir.r4.core 4.0.1.

    python tools/build_structures.py PATH            writes the table
    python tools/build_structures.py PATH --check    exits 1 when the committed table differs

PATH is as for build_definitions.py. JSON lines, gzip: the first line holds `source` and `index`, (url, type) of each
line that follows; a type has its snapshot, an extension or profile its differential, and of each element only what
a validator needs. The constraints that every element shares (ele-1, ext-1) stand at the root of each type alone.
"""

from __future__ import annotations

import argparse
import gzip
import io
import sys
from pathlib import Path
from typing import Any

import orjson
from build_definitions import CARRIER, DEFINITION, SOURCE_SHA256, is_base, read_package, read_tarball, type_code

Json = dict[str, Any]

TARGET = Path(__file__).resolve().parent.parent / "profiles" / "r4" / "structures.jsonl.gz"
KEPT = ("url", "version", "name", "type", "kind", "abstract", "baseDefinition", "derivation")
KEPT_OF_EXTENSIONS = ("context", "contextInvariant")
PLAIN = ("id", "path", "sliceName", "slicing", "min", "max", "contentReference", "maxLength", "isModifier")
CHOICES = ("fixed", "pattern", "minValue", "maxValue")
SHARED = ("ele-1", "ext-1")
BEST_PRACTICE = DEFINITION + "elementdefinition-bestpractice"
MAX_VALUE_SET = DEFINITION + "elementdefinition-maxValueSet"


def structure(definition: Json) -> Json:
    """What is kept of one StructureDefinition."""
    kept: Json = {
        key: definition[key] for key in (*KEPT, *KEPT_OF_EXTENSIONS) if definition.get(key) not in (None, [], False)
    }
    part = "snapshot" if is_base(definition) else "differential"
    kept[part] = {"element": [element(each) for each in definition[part]["element"]]}
    return kept


def element(spec: Json) -> Json:
    """What is kept of one ElementDefinition, in FHIR's own JSON."""
    kept: Json = {key: spec[key] for key in PLAIN if spec.get(key) not in (None, False)}
    if isinstance(kept.get("slicing"), dict):
        kept["slicing"].pop("description", None)
    types = [_type(spec, each) for each in spec.get("type", ())]
    if types:
        kept["type"] = types
    bound = spec.get("binding")
    if bound and (bound.get("valueSet") or _extension(bound, MAX_VALUE_SET)):
        kept["binding"] = {key: bound[key] for key in ("strength", "valueSet") if key in bound}
        most = _extension(bound, MAX_VALUE_SET)
        if most:
            kept["binding"]["extension"] = [most]
    held = [_constraint(each) for each in spec.get("constraint", ()) if _speaks(spec, each)]
    if held:
        kept["constraint"] = held
    for key in spec:
        if any(key.startswith(stem) and key[len(stem) :][:1].isupper() for stem in CHOICES):
            kept[key] = spec[key]
    return kept


def _type(spec: Json, entry: Json) -> Json:
    code = type_code(spec, entry) if "base" in spec else entry["code"]
    kept: Json = {"code": code}
    for key in ("profile", "targetProfile"):
        if entry.get(key):
            kept[key] = entry[key]
    return kept


def _speaks(spec: Json, constraint: Json) -> bool:
    """Whether a constraint is said here: what every element has is said by the root of its type."""
    return constraint["key"] not in SHARED or "." not in spec["path"] or "contentReference" in spec


def _constraint(spec: Json) -> Json:
    kept = {key: spec[key] for key in ("key", "severity", "human", "expression") if key in spec}
    advice = _extension(spec, BEST_PRACTICE)
    return kept | ({"extension": [advice]} if advice else {})


def _extension(spec: Json, url: str) -> Json | None:
    return next((each for each in spec.get("extension", ()) if each["url"] == url), None)


def build(path: Path) -> bytes:
    """The table's bytes; the same input gives the same bytes."""
    manifest, resources = read_package(read_tarball(path))
    rows = [each for each in resources["StructureDefinition"] if each["kind"] != "logical"]
    rows.sort(key=lambda each: (not is_base(each), each["url"]))
    index = [[each["url"], each["type"] if is_base(each) else ""] for each in rows]
    source = {
        "package": manifest["name"], "version": manifest["version"], "licence": "CC0-1.0",
        "sha256": SOURCE_SHA256, "carrier": CARRIER,
    }  # fmt: skip
    lines = [orjson.dumps({"source": source, "index": index}), *(orjson.dumps(structure(each)) for each in rows)]
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", 9, packed, mtime=0) as file:
        file.write(b"\n".join(lines))
    return packed.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("path", type=Path)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args()
    made = build(given.path)
    if given.check:
        sys.exit(0 if TARGET.read_bytes() == made else f"{TARGET.name} differs from what the package gives")
    TARGET.write_bytes(made)
    print(f"{TARGET.name}: {len(made):,} bytes")


if __name__ == "__main__":
    main()
