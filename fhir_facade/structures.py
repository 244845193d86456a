"""R4's own StructureDefinitions, reduced to what a validator reads: types by snapshot, profiles by differential.

Read from `profiles/r4/structures.jsonl.gz`, which tools/build_structures.py makes from hl7.fhir.r4.core 4.0.1. The file
is unpacked at the first question, a definition when it is asked for. Norwegian sentences of the constraints are ours
(`profiles/r4/constraints-nb.yaml`).
"""

from __future__ import annotations

import gzip
from functools import cache
from typing import Any

import orjson
import yaml

from fhir_facade.resources import data_root

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader, in C where it is there: the first resource that is judged waits for the sentences."""


class Structures:
    """StructureDefinitions by canonical URL, and types by their name too."""

    def __init__(self, lines: list[bytes]) -> None:
        head = orjson.loads(lines[0])
        self.source: dict[str, str] = head["source"]
        self._lines = lines
        self._places: dict[str, int] = {}
        for place, (url, name) in enumerate(head["index"], 1):
            self._places[url] = place
            if name:
                self._places[name] = place

    def find(self, canonical: str) -> dict[str, Any] | None:
        """The StructureDefinition of a URL, with or without `|4.0.1`, or of a type's name; None when R4 has none."""
        url, _, version = canonical.partition("|")
        place = self._places.get(url)
        if place is None or version not in ("", self.source["version"]):
            return None
        found: dict[str, Any] = orjson.loads(self._lines[place])
        return found

    def urls(self) -> list[str]:
        """Every canonical URL, types first."""
        return [name for name in self._places if ":" in name]


@cache
def structures() -> Structures:
    """The table that goes with the package, read once; OSError when the file is missing."""
    content = (data_root("profiles") / "r4" / "structures.jsonl.gz").read_bytes()
    return Structures(gzip.decompress(content).split(b"\n"))


@cache
def norwegian_constraints() -> dict[str, str | dict[str, str]]:
    """Constraint key → its sentence in bokmål; type → sentence where types mean different things by one key."""
    text = (data_root("profiles") / "r4" / "constraints-nb.yaml").read_text(encoding="utf-8")
    content: dict[str, str | dict[str, str]] = yaml.load(text, Loader)  # noqa: S506
    return content
