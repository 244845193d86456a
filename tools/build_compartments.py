"""Build profiles/r4/compartments.json, who belongs to whose compartment in R4, from hl7.fhir.r4.core 4.0.1.

    python tools/build_compartments.py PATH            writes the table
    python tools/build_compartments.py PATH --check    exits 1 when the committed table differs

PATH is as for build_definitions.py. JSON: `source`, and `compartments` by the type in their middle: `url`, and `types`,
for each type that has resources in it the search parameters that lead there; "{def}" is the resource in the middle.
"""

from __future__ import annotations

import argparse
import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import orjson
from build_definitions import CARRIER, SOURCE_SHA256, read_package, read_tarball

Json = dict[str, Any]

TARGET = Path(__file__).resolve().parent.parent / "profiles" / "r4" / "compartments.json"
PART = "package/CompartmentDefinition-"
EXAMPLE = "example"


def compartments(tarball: bytes) -> dict[str, Json]:
    """The compartments by the type in their middle; the example of the specification is none."""
    found: dict[str, Json] = {}
    with tarfile.open(fileobj=io.BytesIO(tarball), mode="r:gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.name.startswith(PART) else None
            definition: Json = orjson.loads(file.read()) if file else {"id": EXAMPLE}
            if definition["id"] != EXAMPLE:
                types = {each["code"]: each["param"] for each in definition["resource"] if each.get("param")}
                found[definition["code"]] = {"url": definition["url"], "types": dict(sorted(types.items()))}
    return dict(sorted(found.items()))


def build(path: Path) -> bytes:
    """The table's bytes; the same input gives the same bytes."""
    tarball = read_tarball(path)
    manifest, _ = read_package(tarball)
    source = {
        "package": manifest["name"], "version": manifest["version"], "licence": "CC0-1.0",
        "sha256": SOURCE_SHA256, "carrier": CARRIER,
    }  # fmt: skip
    table = {"source": source, "compartments": compartments(tarball)}
    return _a_type_a_line(orjson.dumps(table))


def _a_type_a_line(text: bytes) -> bytes:
    """The same JSON with a line for each type, so that a change can be read."""
    return (
        text.replace(b'"compartments":{', b'\n"compartments":{\n').replace(b'],"', b'],\n"').replace(b"}},", b"}},\n")
        + b"\n"
    )


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
