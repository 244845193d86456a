"""The code systems and value sets that come with the package: national lists, those of R4, and our own.

National lists stand in `profiles/terminology/<number>.json`, our own systems in `own.yaml` beside them; those of R4
come from its definition table (hl7.fhir.r4.core 4.0.1), as far as some element is bound to them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import yaml

from fhir_facade.definitions import definitions
from fhir_facade.resources import data_root
from fhir_facade.terminology.code_table import CodeTable, code_table
from fhir_facade.terminology.concepts import Concept, Edition, Status
from fhir_facade.terminology.lists import Code, CodeList, code_lists
from fhir_facade.terminology.uris import canonical, variants
from fhir_facade.terminology.value_sets import Include, ValueSet

BASE = "http://fhir-facade.no/fhir"
LIST = "urn:oid:2.16.578.1.12.4.1.1."
R4 = "HL7 FHIR R4 (hl7.fhir.r4.core 4.0.1)"
R4_VERSION = "4.0.1"
HL7 = ("http://hl7.org/fhir/", "http://terminology.hl7.org/CodeSystem/")
EARLIER = re.compile(r"/v[23]-")
"""Systems and value sets of HL7 v2 and v3: R4 has a copy, whose version is not that of R4."""

ALL_CODES = f"{BASE}/ValueSet/"
NOT_IN_ID = re.compile(r"[^A-Za-z0-9.-]")
NOT_IN_NAME = re.compile(r"[^A-Za-z0-9]+")
STATUSES: Mapping[str, Status] = {
    "": "active", "active": "active", "retired": "retired", "superseded": "superseded", "unconfirmed": "unconfirmed",
}  # fmt: skip


@cache
def systems() -> tuple[str, ...]:
    """The URL of every code system that is shipped: lists by number, then our own, then those of R4."""
    lists = [_list_url(number) for number in code_lists()]
    return tuple(dict.fromkeys([*lists, *own_systems(), *_r4_codes()]))


@cache
def code_system(url: str) -> CodeTable | None:
    """The shipped code system that is written as this URL, read when it is first asked for."""
    number = _numbers().get(url)
    if number is not None:
        return listed(code_lists()[number])
    if url in own_systems():
        return own_systems()[url]
    return _of_r4(url) if url in _r4_codes() else None


def value_set(url: str) -> ValueSet | None:
    """The value set of R4 that has this URL (without version)."""
    return _r4_value_sets().get(url)


def value_sets() -> Iterator[ValueSet]:
    """The value sets of R4 whose codes its definition table holds."""
    return iter(_r4_value_sets().values())


def is_of_r4(url: str) -> bool:
    """Whether a shipped system is one of R4's: those have value sets of their own."""
    return url in _r4_codes()


def all_codes(edition: Edition) -> ValueSet:
    """The value set of all codes of a code system."""
    url = value_set_url(edition.url)
    others = tuple(each for each in (edition.url, *edition.identifiers) if each != url)
    return ValueSet(
        url=url,
        version=edition.version,
        name=edition.name,
        title=edition.title,
        includes=(Include(edition.url),),
        source=edition.source,
        note=edition.note,
        title_is_ours=edition.title_is_ours,
        identifiers=others,
    )


def value_set_url(system: str) -> str:
    """The URL of the value set of all codes of a system; R4 has other value sets that end like systems of ours."""
    published = _published_value_sets().get(system)
    return published or f"{ALL_CODES}{resource_id(system) if system.startswith(LIST) else f'all-{resource_id(system)}'}"


def resource_id(url: str) -> str:
    """The id of the resource of a code system or value set: vol-8406 for a list, else the end of its URL.

    No two systems that are shipped end alike, nor two value sets (tests/terminology/test_catalogue.py).
    """
    if url.startswith(LIST):
        return f"vol-{url.removeprefix(LIST)}"
    return NOT_IN_ID.sub("-", url.rstrip("/").rpartition("/")[2] or url)[-64:]


# ---- national lists


@cache
def _numbers() -> Mapping[str, str]:
    return {_list_url(number): number for number in code_lists()}


def _list_url(number: str) -> str:
    return canonical(LIST + number)


def listed(found: CodeList) -> CodeTable:
    """A national list as a code system."""
    url = canonical(found.system)
    edition = Edition(
        url=url,
        version="",
        name=f"Vol{found.number}",
        title=found.title,
        complete=found.complete,
        count=len(found.codes),
        confidence=found.confidence,
        source=found.source,
        note=found.note,
        title_is_ours=found.title_is_ours,
        identifiers=_others(url),
        as_of=found.as_of,
    )
    return code_table(edition, map(_concept, found.codes.values()), dotless=found.dotless)


def _others(url: str) -> tuple[str, ...]:
    """The other URIs of a system; a bare OID is no URI."""
    return tuple(each for each in variants(url) if each != url and ":" in each)


def _concept(code: Code) -> Concept:
    said = {"legal_basis": code.legal_basis, "kodeverk_oid": code.kodeverk_oid}
    properties = {name: value for name, value in said.items() if value}
    return Concept(
        code.code, code.display, STATUSES[code.status], code.valid_from, code.valid_to, code.parent, properties
    )


# ---- our own


@cache
def own_systems() -> Mapping[str, CodeTable]:
    """The systems of `own.yaml` by URL."""
    return {row["url"]: _own(row) for row in _own_file()["code-systems"]}


@cache
def _own_file() -> Mapping[str, Any]:
    content: dict[str, Any] = yaml.safe_load((data_root("profiles") / "terminology" / "own.yaml").read_text("utf-8"))
    return content


@cache
def _published_value_sets() -> Mapping[str, str]:
    """System → the value set of all of its codes, where whoever published the system has one."""
    return {row["url"]: row["value-set"] for row in _own_file()["code-systems"] if "value-set" in row}


def _own(row: Mapping[str, Any]) -> CodeTable:
    concepts = [Concept(code, display) for code, display in (row.get("codes") or {}).items()]
    edition = Edition(
        url=row["url"],
        version=row.get("version", ""),
        name=row["name"],
        title=row["title"],
        complete=row["complete"],
        count=len(concepts),
        source=row["source"],
        note=row.get("note", ""),
        title_is_ours=row["url"].startswith(BASE),
    )
    return code_table(edition, concepts, dotless=row.get("dotless", False))


# ---- R4


@cache
def _r4_codes() -> Mapping[str, Mapping[str, str]]:
    """System → the codes that R4's bound value sets and our mappings have of it; "" where no display is known."""
    found: dict[str, dict[str, str]] = {}
    for url in definitions().value_sets:
        for system, code in sorted(definitions().codes(url) or ()):
            display = definitions().display(system, code) or ""
            found.setdefault(canonical(system.partition("|")[0]), {})[code] = display
    for system, codes in _own_file()["more-codes"].items():
        found[system] |= codes
    return {system: codes for system, codes in sorted(found.items()) if system not in own_systems()}


def _of_r4(url: str) -> CodeTable:
    codes = _r4_codes()[url]
    whole = _is_whole(url)
    edition = Edition(
        url=url,
        version=R4_VERSION if whole else "",
        name=_name(url),
        title=url.rpartition("/")[2] or url,
        complete=whole,
        count=len(codes),
        source=R4,
        note="" if whole else "Only the codes that R4 binds an element to.",
    )
    return code_table(edition, (Concept(code, display or code) for code, display in codes.items()))


def _is_whole(system: str) -> bool:
    """Whether R4 binds an element to all codes of a system: then it has a value set of the same name.

    Systems of HL7 v2 and v3 have codes that only group others, which no value set holds.
    """
    name = system.rpartition("/")[2]
    if EARLIER.search(system) or not system.startswith(HL7):
        return False
    return any(
        {code for each, code in definitions().codes(url) or () if each == system} == set(_r4_codes()[system])
        for url in definitions().value_sets
        if url.rpartition("/")[2] == name
    )


@cache
def _r4_value_sets() -> Mapping[str, ValueSet]:
    return {url: _r4_value_set(url) for url in definitions().value_sets}


def _r4_value_set(url: str) -> ValueSet:
    by_system: dict[str, list[str]] = {}
    for system, code in sorted(definitions().codes(url) or ()):
        by_system.setdefault(canonical(system.partition("|")[0]), []).append(code)
    includes = tuple(Include(system, tuple(codes)) for system, codes in by_system.items())
    version = "" if EARLIER.search(url) else R4_VERSION
    return ValueSet(url, version, _name(url), url.rpartition("/")[2], includes, source=R4)


def _name(url: str) -> str:
    """A name that a program can use, as R4 wants one: AdministrativeGender."""
    words = NOT_IN_NAME.split(url.rpartition("/")[2] or url)
    name = "".join(word[:1].upper() + word[1:] for word in words)
    return name if name[:1].isalpha() else f"V{name}"
