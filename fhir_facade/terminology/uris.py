"""The URIs that mean one system, and the one of them that we write.

Norwegian data writes a code list as `urn:oid:`, definitions write an address at helsedir.no, and older ones what they
found. Sources stand in `profiles/terminology/uris.yaml`; what we write agrees with `mappings/systems.yaml`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import yaml

from fhir_facade.resources import data_root

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # in C where it is there: this is read at start

OID = "urn:oid:"
LISTS = "urn:oid:2.16.578.1.12.4.1.1."
SNOMED = "http://snomed.info/sct"
LIST = re.compile(
    r"(?:urn:oid:)?2\.16\.578\.1\.12\.4\.1\.1\.([1-9][0-9]*)"
    r"|http://(?:helsedir|ehelse)\.no/fhir/CodeSystem/no-kodeverk-([1-9][0-9]*)(?:-[A-Za-z0-9.-]+)?"
    r"|http://helsenorge\.no/fhir/CodeSystem/no-kodeverk-([1-9][0-9]*)\.codesystem"
).fullmatch
"""A list of Volven: its OID, its published address (ehelse.no in older drafts), and what Helsenorge's build made."""

LIST_FORMS = (
    "http://helsedir.no/fhir/CodeSystem/no-kodeverk-{}",
    "http://ehelse.no/fhir/CodeSystem/no-kodeverk-{}",
    "http://helsenorge.no/fhir/CodeSystem/no-kodeverk-{}.codesystem",
)
SNOMED_EDITION = re.compile(r"http://snomed\.info/sct/[0-9]{6,18}(?:/version/[0-9]{8})?").fullmatch
LONGEST = 256  # characters of a URI that is looked at; a longer one is none of ours, and is not remembered


@dataclass(frozen=True, slots=True)
class _Known:
    """The rows of uris.yaml, turned around."""

    canonical: dict[str, str] = field(default_factory=dict)  # every form → the one that we write
    forms: dict[str, tuple[str, ...]] = field(default_factory=dict)  # the one that we write → all, itself first
    identifiers: dict[str, str] = field(default_factory=dict)  # kind of identifier → its system


@cache
def _known() -> _Known:
    content = yaml.load((data_root("profiles") / "terminology" / "uris.yaml").read_text("utf-8"), Loader)  # noqa: S506
    known = _Known()
    for row in (*content["identifiers"], *content["code-systems"]):
        uri = row["uri"]
        forms = [form for written in (uri, *row["also"]) for form in _with_bare_oid(written)]
        listed = LIST(uri)
        if listed:
            forms += [form.format(listed[1]) for form in LIST_FORMS]
        known.forms[uri] = tuple(dict.fromkeys(forms))
        known.canonical.update(dict.fromkeys(forms, uri))
        if "kind" in row:
            known.identifiers[row["kind"]] = uri
    return known


def _with_bare_oid(uri: str) -> tuple[str, ...]:
    return (uri, uri.removeprefix(OID)) if uri.startswith(OID) else (uri,)


def canonical(uri: str) -> str:
    """Return the URI that we write for the system that a URI in any known form means; an unknown one unchanged."""
    known = _known().canonical.get(uri)
    if known is not None:
        return known
    return _by_shape(uri) if len(uri) <= LONGEST else uri


@lru_cache(maxsize=2048)
def _by_shape(uri: str) -> str:
    listed = LIST(uri)
    if listed:
        return LISTS + listed[listed.lastindex or 0]
    return SNOMED if SNOMED_EDITION(uri) else uri


def variants(uri: str) -> tuple[str, ...]:
    """Return every known form of the system that a URI means, the one that we write first.

    Addresses with a name behind the number, and editions of SNOMED CT, are without end: those that a source gives are
    here, all are understood by `canonical`. Of an unknown URI there is only itself.
    """
    written = canonical(uri)
    known = _known().forms.get(written)
    if known is not None:
        return known
    if not written.startswith(LISTS) or not LIST(written):
        return (written,)
    return (*_with_bare_oid(written), *(form.format(written.removeprefix(LISTS)) for form in LIST_FORMS))


def identifier_systems() -> Mapping[str, str]:
    """Return the system URI that we write for each kind of identifier."""
    return _known().identifiers
