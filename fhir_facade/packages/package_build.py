"""Our profiles as an installable FHIR package: the same bytes for the same files.

https://hl7.org/fhir/R4/packages.html, https://confluence.hl7.org/display/FHIR/NPM+Package+Specification
What restates a definition of somebody else is left out, and the package that it restates is named as a dependency, so
that two packages do not claim one canonical. A package for places without a network can hold it all the same.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson
import yaml

from fhir_facade import __version__
from fhir_facade.definitions import definitions
from fhir_facade.packages.elements import extension_value
from fhir_facade.packages.own import EXAMPLES, RESTATES, own_definitions
from fhir_facade.packages.own_snapshots import snapshot
from fhir_facade.terminology import shipped
from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.resources import code_system_resource, value_set_resource
from fhir_facade.terminology.uris import canonical

NAME = "no.fhir-facade.profiles"
CANONICAL = "http://fhir-facade.no/fhir"
CORE = {"hl7.fhir.r4.core": "4.0.1"}
TITLE = "Norwegian hospital records in FHIR R4: profiles and extensions of fhir_facade"
EXAMPLE = "example"
"""The folder of a package that holds resources which keep to its profiles."""

INDEXED = ("url", "version", "kind", "type", "derivation")
SYSTEMS = ("fixedUri", "system")
Content = dict[str, Any]


def build_package(folder: Path, catalogue: Catalogue | None = None, *, self_contained: bool = False) -> bytes:
    """The `.tgz` of the definitions in a folder; `self_contained` keeps those that restate other packages.

    Raises ValueError when a definition has a fault.
    """
    return tgz(package_files(folder, catalogue or Catalogue(), self_contained=self_contained))


def package_files(folder: Path, catalogue: Catalogue, *, self_contained: bool = False) -> dict[str, bytes]:
    """The files of the package by name, package.json and .index.json first, examples last."""
    found, faults = own_definitions(folder)
    if faults:
        raise ValueError("\n".join(map(str, faults)))
    restated = {each["url"]: str(extension_value(each, RESTATES) or "") for each in found}
    kept = [each for each in found if self_contained or not restated[each["url"]]]
    profiles = whole(found, kept, catalogue)
    resources = [*profiles, *_terminology(profiles, catalogue, self_contained=self_contained)]
    named = _named(resources)
    examples = _named(_examples(folder, {each["url"] for each in kept}))
    dependencies = {} if self_contained else dict(each.split("#") for each in sorted(set(restated.values()) - {""}))
    files = {"package.json": _manifest(CORE | dependencies), ".index.json": _index(named)}
    files |= {name: _json(each) for name, each in sorted(named.items())}
    if examples:
        files[f"{EXAMPLE}/.index.json"] = _index(examples)
    return files | {f"{EXAMPLE}/{name}": _json(each) for name, each in sorted(examples.items())}


def _named(resources: list[Content]) -> dict[str, Content]:
    """The resources by the names of their files."""
    named = {f"{each['resourceType']}-{each['id']}.json": each for each in resources}
    if len(named) != len(resources):
        raise ValueError("two resources have one id")
    return named


def _examples(folder: Path, urls: Collection[str]) -> list[Content]:
    """The resources that are said to keep to the definitions of some URLs; what breaks a rule stays at home."""
    contents = [yaml.safe_load(path.read_text("utf-8")) for path in sorted((folder / EXAMPLES).glob("*.yaml"))]
    return [each for content in contents if content["profile"] in urls for each in content["passing"].values()]


def whole(found: list[Content], kept: list[Content], catalogue: Catalogue) -> list[Content]:
    """The kept definitions with snapshots, and with bindings to value sets that exist where a list stood."""
    own = {each["url"]: _bound(each, catalogue) for each in found}

    def find(url: str) -> Mapping[str, Any] | None:
        plain = url.partition("|")[0]
        return own.get(plain) or definitions().structure(plain)

    profiles = []
    for each in kept:
        content = dict(own[each["url"]])
        differential = content.pop("differential")
        content["snapshot"] = {"element": snapshot(own[each["url"]], find)}
        profiles.append(content | {"differential": differential})
    return profiles


def _bound(content: Content, catalogue: Catalogue) -> Content:
    """Bindings name a value set and no code system, as R4 has it; `urn:oid:` of a list is how Norway writes them."""
    rows = []
    for row in content["differential"]["element"]:
        url = row.get("binding", {}).get("valueSet", "")
        if url.startswith("urn:"):
            known = catalogue.value_set(url)
            row = row | {"binding": row["binding"] | {"valueSet": known.url if known else url}}
        rows.append(row)
    return content | {"differential": {"element": rows}}


def _terminology(profiles: list[Content], catalogue: Catalogue, *, self_contained: bool) -> Iterator[Content]:
    """The value sets and code systems that the profiles name, and all systems of ours; R4 has its own."""
    bound: set[str] = set()
    systems = {url for url in shipped.systems() if url.startswith(CANONICAL)}
    for profile in profiles:
        for row in profile["differential"]["element"]:
            bound.add(row.get("binding", {}).get("valueSet", ""))
            systems |= {canonical(uri) for uri in _systems(row)}
    for url in sorted(bound):
        values = catalogue.value_set(url)
        if values is None or shipped.value_set(url) is not None:
            continue
        systems |= {include.system for include in values.includes}
        if self_contained or url.startswith(CANONICAL):
            yield value_set_resource(values)
    for url in sorted(systems):
        found = shipped.code_system(url)
        ours = url.startswith((CANONICAL, shipped.LIST))
        if found is not None and (ours or (self_contained and not shipped.is_of_r4(url))):
            yield _alone(code_system_resource(found))


def _alone(content: Content) -> Content:
    """A CodeSystem without the name of its value set, which may be in no package."""
    return {key: value for key, value in content.items() if key != "valueSet"}


def _systems(value: Any) -> Iterator[str]:
    """The code systems that fixed values and patterns name."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            if key in SYSTEMS and isinstance(each, str):
                yield each
            else:
                yield from _systems(each)
    elif isinstance(value, list):
        for each in value:
            yield from _systems(each)


def _manifest(dependencies: Mapping[str, str]) -> bytes:
    return _json(
        {
            "name": NAME,
            "version": __version__,
            "title": TITLE,
            "description": TITLE,
            "author": "fhir_facade",
            "license": "Apache-2.0",
            "canonical": CANONICAL,
            "url": CANONICAL,
            "type": "Conformance",
            "fhirVersions": ["4.0.1"],
            "jurisdiction": "urn:iso:std:iso:3166#NO",
            "directories": {"lib": "package", "example": EXAMPLE},
            "dependencies": dependencies,
        }
    )


def _index(named: Mapping[str, Content]) -> bytes:
    rows = [
        {"filename": name, "resourceType": each["resourceType"], "id": each["id"]}
        | {key: each[key] for key in INDEXED if key in each}
        for name, each in sorted(named.items())
    ]
    return _json({"index-version": 2, "files": rows})


def _json(content: Any) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def tgz(files: Mapping[str, bytes]) -> bytes:
    """The files below package/ as a .tgz that says nothing of when and by whom it was made."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(out.getvalue(), 9, mtime=0)
