"""Our own profiles and extensions: YAML files, read as StructureDefinitions of FHIR with a differential.

profiles/structure-definitions/README.md tells the form. A file holds one definition, or several parted by `---`.
What is read is kept beside the folder as a table with a fingerprint of the files, since YAML is slow to read; a table
that does not go with the files is not looked at.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from fhir_facade import __version__
from fhir_facade.definitions import definitions
from fhir_facade.packages.own_elements import BASE, Elements, read_constraints, read_elements, rows_of
from fhir_facade.packages.own_extensions import read_contexts, read_extension
from fhir_facade.packages.own_reading import Fault, Reading, translated
from fhir_facade.yaml_text import SourceError, Table, parse_all

FORM = "1"
"""Raised when the same YAML is read as something else, so that older tables are not used."""

EXAMPLES = "examples"
"""The folder beside the definitions that holds resources, and no definitions."""

HEAD = ("name", "title", "description", "source", "status", "confidence", "restates", "version", "constraints")
PROFILE_KEYS = ("profile", *HEAD, "type", "parent", "elements")
EXTENSION_KEYS = (
    "extension", *HEAD, "context", "card", "modifier", "value", "targets", "profile", "binding", "parts", "nested",
)  # fmt: skip
NEEDED = ("name", "title", "description", "source", "status")
STATUSES = ("draft", "active", "retired")
CONFIDENCES = ("verified", "inferred")
URL = re.compile(r"https?://[^\s|#]+/StructureDefinition/[A-Za-z0-9.-]{1,64}", re.ASCII).fullmatch
NAME = re.compile(r"[A-Z][A-Za-z0-9_]{0,254}", re.ASCII).fullmatch
PACKAGE = re.compile(r"[a-z][a-z0-9.-]+#[0-9][A-Za-z0-9.-]*", re.ASCII).fullmatch

SOURCE = f"{BASE}definition-source"
CONFIDENCE = f"{BASE}definition-confidence"
RESTATES = f"{BASE}restates"
EXTENSION_BASE = "http://hl7.org/fhir/StructureDefinition/Extension"
PUBLISHER = "fhir_facade"


@dataclass(frozen=True, slots=True)
class Own:
    """One definition: its StructureDefinition, the file it stands in, and the line of each element id ("" the head)."""

    content: dict[str, Any]
    file: str
    lines: dict[str, int] = field(default_factory=dict)


def own_definitions(folder: Path) -> tuple[list[dict[str, Any]], list[Fault]]:
    """The StructureDefinitions of a folder and of those below it, and every fault with its file and line.

    One with a fault is given as far as it was understood. Nothing is said of references from one definition to another;
    own_checks does that.
    """
    files = own_files(folder)
    kept = _kept(Path(f"{folder}.json.gz"), files)
    if kept is not None:
        return kept, []
    found, faults = read_own(files)
    return [each.content for each in found], faults


def _kept(table: Path, files: dict[str, bytes]) -> list[dict[str, Any]] | None:
    """The definitions of a table that goes with the files; None when it does not, or is none."""
    try:
        content = orjson.loads(gzip.decompress(table.read_bytes()))
        return list(content["definitions"]) if content["fingerprint"] == fingerprint(files) else None
    except (OSError, EOFError, zlib.error, orjson.JSONDecodeError, KeyError, TypeError):
        return None


def own_table(folder: Path) -> bytes:
    """The table that is kept beside a folder, the same bytes for the same files."""
    files = own_files(folder)
    found, faults = read_own(files)
    if faults:
        raise ValueError("\n".join(map(str, faults)))
    content = {"fingerprint": fingerprint(files), "definitions": [each.content for each in found]}
    return gzip.compress(orjson.dumps(content), 9, mtime=0)


def own_files(folder: Path) -> dict[str, bytes]:
    """The content of each YAML file below a folder, by its path in the folder."""
    paths = sorted(path for path in folder.rglob("*.yaml") if EXAMPLES not in path.relative_to(folder).parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def fingerprint(files: dict[str, bytes]) -> str:
    """What tells these files from all others."""
    whole = hashlib.sha256(f"{FORM} {__version__}".encode())
    for name, content in files.items():
        whole.update(b"%s\0%d\0%s" % (name.encode(), len(content), content))
    return whole.hexdigest()


def read_own(files: dict[str, bytes]) -> tuple[list[Own], list[Fault]]:
    """Read files by name: the definitions in the order of the files, and the faults."""
    found: list[Own] = []
    faults: list[Fault] = []
    for name, content in files.items():
        reading = Reading(name, faults)
        try:
            tables = parse_all(content.decode(), name)
        except UnicodeDecodeError:
            reading.say(1, "cannot be read as UTF-8 text")
            continue
        except SourceError as error:
            reading.say(error.line, error.message)
            continue
        found += [read_definition(reading, table) for table in tables]
    faults += _repeated(found)
    return found, faults


def _repeated(found: Iterable[Own]) -> list[Fault]:
    first: dict[str, Own] = {}
    faults = []
    for each in found:
        url = each.content["url"]
        if first.setdefault(url, each) is not each:
            faults.append(Fault(each.file, each.lines[""], f"{url} is defined in {first[url].file} too"))
    return faults


def read_definition(reading: Reading, table: Table) -> Own:
    """Read one table as a profile or an extension."""
    reading.table(table, table.line, "a definition")
    extension = "extension" in table
    url = reading.text(table, "extension" if extension else "profile")
    needed = ("context",) if extension else ("profile", "type", "parent")
    reading.keys(table, EXTENSION_KEYS if extension else PROFILE_KEYS, (*NEEDED, *needed))
    if url and not URL(url):
        reading.say(table.at("extension" if extension else "profile"), f"{url} is no URL of a StructureDefinition")
    type_name = "Extension" if extension else reading.text(table, "type")
    if not definitions().is_type(type_name):
        reading.say(table.at("type"), f"{type_name} is no type of R4")
        return Own({"resourceType": "StructureDefinition", "url": url}, reading.file, {"": table.line})
    elements = Elements(type_name)
    content = _head(reading, table, url, type_name)
    if extension:
        content["context"] = read_contexts(reading, table)
        read_extension(reading, elements, table, url, reading.both(table, "title"))
    else:
        read_elements(reading, elements, rows_of(reading, table, "elements"))
    read_constraints(reading, elements, rows_of(reading, table, "constraints"))
    if not elements.by_id:
        elements.get(type_name, table.line)
    content |= {
        "type": type_name,
        "baseDefinition": EXTENSION_BASE if extension else reading.text(table, "parent"),
        "derivation": "constraint",
        "differential": {"element": elements.in_order()},
    }
    return Own(content, reading.file, {"": table.line} | elements.lines)


def _head(reading: Reading, table: Table, url: str, type_name: str) -> dict[str, Any]:
    """All of a StructureDefinition that stands before its context and elements."""
    name = reading.text(table, "name")
    if name and not NAME(name):
        reading.say(table.at("name"), f"{name}: a name is a capital letter, then letters, digits and underscores")
    restated = reading.text(table, "restates")
    if restated and not PACKAGE(restated):
        reading.say(table.at("restates"), f"{restated}: restates names a package as hl7.fhir.no.basis#2.2.2")
    elif restated and "version" not in table:
        reading.say(table.at("restates"), "what restates another definition needs its version")
    said = {
        SOURCE: ("valueString", reading.text(table, "source")),
        CONFIDENCE: ("valueCode", reading.text(table, "confidence", CONFIDENCES)),
        RESTATES: ("valueString", restated),
    }
    content: dict[str, Any] = {"resourceType": "StructureDefinition", "id": url.rpartition("/")[2]}
    content["extension"] = [{"url": about, key: value} for about, (key, value) in said.items() if value]
    content["url"] = url
    content["version"] = reading.text(table, "version") or __version__
    content["name"] = name
    content |= translated("title", *reading.both(table, "title"))
    content |= {"status": reading.text(table, "status", STATUSES), "publisher": PUBLISHER}
    content |= translated("description", *reading.both(table, "description"))
    if restated:
        content["purpose"] = marking(restated)
    kind = "resource" if definitions().kind(type_name) == "resource" else "complex-type"
    return content | {"fhirVersion": "4.0.1", "kind": kind, "abstract": False}


def marking(package: str) -> str:
    """What is said of a definition that restates one of a package (`name#version`)."""
    name, _, version = package.partition("#")
    return (
        f"Written by fhir_facade from the published facts of {name} {version}; "
        "replaced by the official package when that is loaded."
    )
