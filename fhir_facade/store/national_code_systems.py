"""What an import knows by name: code systems, columns, words for a status; from profiles/terminology/imports.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from fhir_facade.resources import data_root
from fhir_facade.terminology.concepts import Status, folded
from fhir_facade.terminology.uris import canonical


@dataclass(frozen=True, slots=True)
class Named:
    """A code system: `url` is the one that is written; the flags are explained in the file."""

    url: str
    name: str = ""
    title: str = ""
    dotless: bool = False
    by_year: bool = False


def named_system(text: str) -> Named:
    """The system of a short name or a URI in any known form; one that is not known here is as it says."""
    known = _systems()
    return known.get(text.lower()) or known.get(canonical(text)) or Named(canonical(text))


@cache
def columns() -> Mapping[str, str]:
    """Our name of a column by each name that a table may give it."""
    return {name: column for column, names in _content()["columns"].items() for name in names}


@cache
def statuses() -> Mapping[str, Status]:
    """A status by each word for it, folded."""
    found: dict[str, Status] = {"": "active"}
    for status, words in _content()["statuses"].items():
        found |= dict.fromkeys(map(folded, words), status)
    return found


@cache
def _systems() -> Mapping[str, Named]:
    rows = {
        key: Named(row["uri"], row["name"], row["title"], bool(row.get("dotless")), bool(row.get("by-year")))
        for key, row in _content()["systems"].items()
    }
    return {named.url: named for named in rows.values()} | rows


@cache
def _content() -> Any:
    return yaml.safe_load((data_root("profiles") / "terminology" / "imports.yaml").read_text("utf-8"))
