"""Profiles that mappings may name: ours, and StructureDefinitions in JSON; read when the first mapping asks for one.

A profile is its snapshot, or else its differential over that of its base. Of each element only what rows can be held
to is kept: how often it stands, a fixed value or pattern, allowed types of a choice, and how slices are told apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import orjson

from fhir_facade.definitions import definitions
from fhir_facade.mapping.findings import Finding
from fhir_facade.packages.registry import OwnProfiles
from fhir_facade.resources import data_root

CORE = "http://hl7.org/fhir/StructureDefinition/"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a profile says of one element.

    `id` is the ElementDefinition id below the type (identifier:FNR.system), a typed choice by its JSON name; `min` and
    `max` ("" when not said); `value` the fixed value or pattern, None when there is none; `types` the types of a
    choice; `discriminators` (type, path) of the slices here; `url` of the extension that stands here.
    """

    id: str
    min: int
    max: str
    value: Any
    types: tuple[str, ...]
    discriminators: tuple[tuple[str, str], ...]
    url: str

    @property
    def slice(self) -> str:
        """The id of the slice that this element is or stands in, "" outside slices."""
        head, colon, rest = self.id.partition(":")
        return f"{head}:{rest.partition('.')[0]}" if colon else ""


@dataclass(frozen=True, slots=True)
class Profile:
    """One profile; `missing` is a base that could not be found, so that the demands are not complete."""

    url: str
    type: str
    demands: Mapping[str, Demand]
    missing: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


class Profiles:
    """Our own profiles and those in the JSON files of some folders, found by canonical.

    A later folder goes before an earlier one, and every folder before ours. Only the files right in a folder are read:
    what lies below it may be something else, such as the mappings of a site.
    """

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self.folders = tuple(folders)
        self.faults: list[Finding] = []
        self._whole: dict[str, Profile] = {}

    @cached_property
    def contents(self) -> dict[str, dict[str, Any]]:
        """Canonical → StructureDefinition; files that cannot be read become `faults`."""
        own = OwnProfiles(data_root("profiles") / "structure-definitions")
        self.faults += [Finding(fault.file, fault.line, fault.message) for fault in own.faults]
        found = dict(own.contents)
        for folder in self.folders:
            for path in sorted(folder.glob("*.json")):
                try:
                    content = orjson.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
                except (OSError, orjson.JSONDecodeError) as error:
                    self.faults.append(Finding(path.name, 1, f"cannot be read as JSON: {type(error).__name__}"))
                    continue
                if isinstance(content, dict) and content.get("resourceType") == "StructureDefinition":
                    found[str(content.get("url"))] = content
        return found

    def of_type(self, resource_type: str) -> list[str]:
        """The canonicals of the profiles of a resource type."""
        return sorted(url for url, content in self.contents.items() if content.get("type") == resource_type)

    def find(self, canonical: str, below: tuple[str, ...] = ()) -> Profile | None:
        """The profile behind a canonical, its version ignored; None when there is none."""
        url = canonical.partition("|")[0]
        if url in self._whole or url not in self.contents:
            return self._whole.get(url)
        content = self.contents[url]
        demands: dict[str, Demand] = {}
        missing, base = "", str(content.get("baseDefinition", "")).partition("|")[0]
        listed = _elements(content, "snapshot")
        core = base.startswith(CORE) and definitions().is_type(base.removeprefix(CORE))
        if not listed and not core and base not in below:
            whole = self.find(base, (*below, url))
            demands |= whole.demands if whole else {}
            missing = whole.missing if whole else base
        for spec in listed or _elements(content, "differential"):
            demand = _demand(spec)
            if demand.id:
                demands[demand.id] = _joined(demands.get(demand.id), demand)
        self._whole[url] = Profile(url, str(content.get("type", "")), demands, missing)
        return self._whole[url]


def load_profiles(folder: Path | None, site: Path | None, findings: list[Finding]) -> Profiles:
    """Our profiles, those of `folder`, and those of a site; nothing is read yet."""
    if folder is not None and not folder.is_dir():
        findings.append(Finding(folder.name, 1, f"there is no folder {folder} of profiles"))
    return Profiles([*([folder] if folder else []), *([site / "profiles"] if site else [])])


def _elements(content: Mapping[str, Any], part: str) -> list[dict[str, Any]]:
    listed = (content.get(part) or {}).get("element") or []
    return [spec for spec in listed if isinstance(spec, dict) and spec.get("path")]


def _demand(spec: Mapping[str, Any]) -> Demand:
    path = str(spec["path"])
    full = str(spec.get("id") or (f"{path}:{spec['sliceName']}" if spec.get("sliceName") else path))
    value = next((held for key, held in spec.items() if key.startswith(("fixed", "pattern"))), None)
    types = [kind for kind in spec.get("type", ()) if isinstance(kind, dict)]
    slicing = spec.get("slicing") or {}
    own = [url for kind in types if kind.get("code") == "Extension" for url in kind.get("profile", ())]
    return Demand(
        id=".".join(map(_plain, full.split(".")[1:])),
        min=int(spec.get("min", 0)),
        max=str(spec.get("max", "")),
        value=value,
        types=tuple(str(kind.get("code")) for kind in types) if path.endswith("[x]") else (),
        discriminators=tuple((str(way.get("type")), str(way.get("path"))) for way in slicing.get("discriminator", ())),
        url=str(own[0]).partition("|")[0] if own else "",
    )  # fmt: skip


def _plain(segment: str) -> str:
    """A slice of a choice by type (value[x]:valueQuantity) is the choice by its JSON name."""
    name, _, kind = segment.partition(":")
    return kind if name.endswith("[x]") and kind else segment


def _joined(base: Demand | None, own: Demand) -> Demand:
    """What a differential says over its base."""
    if base is None:
        return own
    return replace(
        own,
        min=max(base.min, own.min),
        max=own.max or base.max,
        value=base.value if own.value is None else own.value,
        types=own.types or base.types,
        discriminators=own.discriminators or base.discriminators,
        url=own.url or base.url,
    )
