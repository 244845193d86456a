"""The files of examples: where those of a mapping lie, how they are read and written; goldens.py proves them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from fhir_facade.mapping.findings import Finding
from fhir_facade.mapping.mapping_set import CompiledMapping

PARTS = ("base.epj", "epj", "fhir-in", "fhir", "issues")  # a name that ends in another comes first


@dataclass(frozen=True)
class Example:
    """One example: its name and the JSON of its files, by what they hold (see PARTS); `place` is that in a series."""

    folder: Path
    name: str
    parts: Mapping[str, Any]
    place: int | None = None

    @property
    def is_inbound(self) -> bool:
        return "fhir-in" in self.parts

    @property
    def label(self) -> str:
        return f"{self.folder.name}/{self.name}{'' if self.place is None else f'[{self.place}]'}"

    def file(self, part: str) -> Path:
        return self.folder / f"{self.name}.{part}.json"


def examples_folder(folder: Path, mapping: CompiledMapping) -> Path:
    """Where the examples of a mapping lie in a folder: beside its file."""
    return folder / f"{Path(mapping.rules.file).name.removesuffix('.yaml')}.examples"


def read_examples(folder: Path, findings: list[Finding]) -> list[Example]:
    """The examples of one folder by name; files that are none are found fault with."""
    parts: dict[str, dict[str, Any]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        where = f"{folder.name}/{path.name}"
        part = next((each for each in PARTS if path.name.endswith(f".{each}.json")), "")
        if not part:
            findings.append(Finding(where, 1, f"no part of an example: NAME.<{'|'.join(PARTS)}>.json"))
            continue
        try:
            parts.setdefault(path.name.removesuffix(f".{part}.json"), {})[part] = orjson.loads(path.read_bytes())
        except ValueError as error:
            findings.append(Finding(where, getattr(error, "lineno", 1), "this is not JSON"))
    return [example for name, held in sorted(parts.items()) for example in _series(folder, name, held, findings)]


def _series(folder: Path, name: str, parts: Mapping[str, Any], findings: list[Finding]) -> Iterator[Example]:
    """The one example of some files, or each of the series that they hold."""
    # the issues of a single example are a list too: its records and resources tell
    if not any(isinstance(value, list) for part, value in parts.items() if part != "issues"):
        yield Example(folder, name, parts)
        return
    if not all(isinstance(value, list) for value in parts.values()):
        findings.append(Finding(f"{folder.name}/{name}", 1, "some of its files hold a list and some do not"))
        return
    for place in range(max(map(len, parts.values()))):
        held = {part: value[place] for part, value in parts.items() if place < len(value) and value[place] is not None}
        yield Example(folder, name, held, place)


def write_json(file: Path, value: Any) -> None:
    """Write JSON as goldens have it: two spaces, the order of the engine, a newline at the end."""
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
