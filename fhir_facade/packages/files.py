"""FHIR packages as they lie on disk: a .tgz, a folder, or a single file, in JSON or XML.

https://registry.fhir.org: a package is a gzipped tar with `package/package.json` and one file for each resource.
Files come from strangers: sizes and numbers are bounded, links and paths that lead out are not followed, and whatever
cannot be read becomes a fault with its file while the rest is read.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from fhir_facade.packages.own_reading import Fault
from fhir_facade.packages.xml import XmlFault, resource_of_xml

MB = 1_000_000
LARGEST_FILE = 64 * MB
LARGEST_PACKAGE = 1024 * MB
MOST_FILES = 50_000
READ = frozenset({"StructureDefinition", "ValueSet", "CodeSystem", "NamingSystem", "ConceptMap", "SearchParameter"})
"""Types that are kept; the others of a package are pages, examples and the guide itself."""


@dataclass(slots=True)
class Package:
    """What was read from one path: `resources` are (file, content); `name` and `version` those of package.json.

    `guides` are the canonicals of its implementation guides.
    """

    path: Path
    name: str = ""
    version: str = ""
    resources: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    fhir_versions: tuple[str, ...] = ()
    guides: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        """name@version, or the file's name where nothing says it."""
        return f"{self.name}@{self.version}" if self.name else self.path.name


def read_package(path: Path) -> Package:
    """Read a package; nothing is raised, what cannot be read is told in `faults`."""
    package = Package(path)
    try:
        files = _of_archive(path, package) if path.is_file() and _is_archive(path) else _of_folder(path, package)
        for name, content in files:
            _take(package, name, content)
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        package.faults.append(Fault(path.name, 1, f"the package cannot be read to its end: {type(error).__name__}"))
    if package.fhir_versions and not any(map(is_r4, package.fhir_versions)):
        said = ", ".join(package.fhir_versions)
        package.faults.append(
            Fault("package.json", 1, f"the package is of FHIR {said}, and R4 is judged here: not used")
        )
        package.resources.clear()
    package.resources.sort(key=lambda each: each[0])
    return package


def is_r4(version: str) -> bool:
    """Whether a version of FHIR is R4: 4.0.1, or 4.0.0 before its correction."""
    return version == "4.0" or version.startswith("4.0.")


def _is_archive(path: Path) -> bool:
    return path.name.lower().endswith((".tgz", ".tar.gz", ".tar"))


def _of_archive(path: Path, package: Package) -> Iterator[tuple[str, bytes]]:
    read = 0
    with tarfile.open(path, "r:*") as archive:
        for number, member in enumerate(archive):
            if number >= MOST_FILES or read > LARGEST_PACKAGE:
                package.faults.append(Fault(path.name, 1, "the package is too large; the rest of it is not read"))
                return
            if not member.isfile() or not _is_wanted(member.name):
                continue
            if member.size > LARGEST_FILE:
                package.faults.append(Fault(member.name, 1, f"a file of {member.size:,} bytes is too large"))
                continue
            file = archive.extractfile(member)
            if file is not None:
                read += member.size
                yield member.name.removeprefix("package/"), file.read(LARGEST_FILE)


def _of_folder(path: Path, package: Package) -> Iterator[tuple[str, bytes]]:
    if not path.exists():
        package.faults.append(Fault(path.name, 1, "there is no such file or folder"))
        return
    root = path / "package" if (path / "package").is_dir() else path
    files = sorted(each for each in root.rglob("*") if each.is_file()) if root.is_dir() else [path]
    for file in files[:MOST_FILES]:
        name = file.relative_to(root).as_posix() if root.is_dir() else file.name
        if not _is_wanted(name):
            continue
        if file.stat().st_size > LARGEST_FILE:
            package.faults.append(Fault(name, 1, f"a file of {file.stat().st_size:,} bytes is too large"))
            continue
        yield name, file.read_bytes()


def _is_wanted(name: str) -> bool:
    base = name.rpartition("/")[2]
    return base.lower().endswith((".json", ".xml")) and not base.startswith(".") and "/example" not in f"/{name}"


def _take(package: Package, name: str, content: bytes) -> None:
    """Keep one file's resource where it is of a type that is read."""
    try:
        if name.lower().endswith(".xml"):
            found: Any = resource_of_xml(content)
        else:
            found = orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        package.faults.append(Fault(name, error.lineno, f"cannot be read as JSON: {error.msg}"))
        return
    except XmlFault as error:
        package.faults.append(Fault(name, error.line, f"cannot be read as FHIR XML: {error}"))
        return
    if not isinstance(found, dict):
        package.faults.append(Fault(name, 1, "the file holds no resource"))
    elif name == "package.json":
        package.name, package.version = str(found.get("name", "")), str(found.get("version", ""))
        said = found.get("fhirVersions") or found.get("fhir-version-list") or []
        package.fhir_versions = tuple(map(str, said)) if isinstance(said, list) else ()
    elif found.get("resourceType") == "ImplementationGuide":
        _take_guide(package, name, str(found.get("url", "")), str(found.get("version", "")))
    elif found.get("resourceType") in READ:
        version = found.get("fhirVersion", "4.0.1")
        if not isinstance(version, str) or not is_r4(version):
            package.faults.append(Fault(name, 1, f"it is of FHIR {version}, and R4 is judged here: not used"))
        elif isinstance(found.get("url"), str) or found["resourceType"] == "NamingSystem":
            package.resources.append((name, found))
        else:
            package.faults.append(Fault(name, 1, f"a {found['resourceType']} without a url cannot be referred to"))


def _take_guide(package: Package, name: str, url: str, version: str) -> None:
    if "://" in url or url.startswith("urn:"):
        package.guides.append(f"{url}|{version}" if version else url)
    else:
        package.faults.append(
            Fault(name, 1, f"the guide's url '{url[:100]}' is not absolute, so the guide is not listed")
        )
