"""The Norwegian code lists of `profiles/terminology/`, each read when it is first asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import orjson

from fhir_facade.resources import data_root

SYSTEM = re.compile(
    r"(?:urn:oid:)?2\.16\.578\.1\.12\.4\.1\.1\.([0-9]+)"
    r"|http://(?:helsedir|ehelse)\.no/fhir/CodeSystem/no-kodeverk-([0-9]+)(?:-[A-Za-z0-9.-]+)?"
)
"""The ways to write one list: the OID in data, the address in definitions (in older drafts at ehelse.no)."""


@dataclass(frozen=True, slots=True)
class Code:
    """One code of a list.

    `status` is "" (current), retired, superseded or unconfirmed; dates are as precise as the source, often a
    year, None when it says none. `legal_basis` tells apart codes that share a display. `parent` is the code above.
    """

    code: str
    display: str
    status: str = ""
    valid_from: str | None = None
    valid_to: str | None = None
    legal_basis: str | None = None
    kodeverk_oid: str | None = None
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class CodeList:
    """One list with its codes in the order of the file.

    An unknown code is an error only where `complete` is true. `title_is_ours`: not an official name. `as_of` is how
    new the source is (YYYY-MM), None when that is not known. `dotless`: a code may be written without its full stop.
    """

    number: str
    oid: str
    system: str
    title: str
    complete: bool
    confidence: str
    codes: Mapping[str, Code]
    title_is_ours: bool = False
    source: str = ""
    note: str = ""
    as_of: str | None = None
    dotless: bool = False


class _Lists(Mapping[str, CodeList]):
    """The lists of a directory by number; the names are read at once, a list when it is asked for."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._read: dict[str, CodeList | None] = dict.fromkeys(
            sorted((path.stem for path in directory.glob("*.json")), key=lambda stem: (len(stem), stem))
        )

    def __getitem__(self, number: str) -> CodeList:
        found = self._read[number]
        if found is None:
            # only names that the directory listed come here, so a number from outside cannot lead elsewhere
            found = _code_list(orjson.loads((self._directory / f"{number}.json").read_bytes()))
            self._read[number] = found
        return found

    def __contains__(self, number: object) -> bool:
        return number in self._read

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


def _code_list(content: dict[str, Any]) -> CodeList:
    codes = {row["code"]: Code(**row) for row in content["codes"]}
    return CodeList(
        number=content["number"],
        oid=content["oid"],
        system=f"urn:oid:{content['oid']}",
        title=content["name_no"],
        complete=content["complete"],
        confidence=content["confidence"],
        codes=MappingProxyType(codes),
        title_is_ours=content["title_is_ours"],
        source=content["source"],
        note=content.get("note", ""),
        as_of=content.get("as_of"),
        dotless=content.get("dotless", False),
    )


@cache
def code_lists() -> Mapping[str, CodeList]:
    """Return all lists by number ("8406"); a list is read from its file at first use."""
    return _Lists(data_root("profiles") / "terminology")


def by_system(uri: str) -> CodeList | None:
    """Return the list that a `Coding.system` means, None when it is none of ours.

    Accepted: `urn:oid:` and the OID, the bare OID, and the CodeSystem addresses of helsedir.no and ehelse.no.
    """
    match = SYSTEM.fullmatch(uri)
    return code_lists().get(match[1] or match[2]) if match else None
