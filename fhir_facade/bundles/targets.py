"""What `request.method` and `request.url` of an entry ask for: an interaction and what it is about.

https://hl7.org/fhir/R4/http.html#transaction. Interactions have the names of R4's restful-interaction codes; a search
by POST is one too, and is carried out with the reads.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote

from fhir_facade.definitions import definitions
from fhir_facade.mapping.findings import nearest
from fhir_facade.outcome import Issue
from fhir_facade.store.batches import shown
from fhir_facade.terminology.identity import holds_person_number

Criteria = tuple[tuple[str, str], ...]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
READS = ("GET", "HEAD")
LONGEST_URL = 8 * 1024
MOST_PARAMETERS = 100
ABSTRACT = ("Resource", "DomainResource")

TAKES: Mapping[str, str] = {
    "GET": "[type]/[id], [type]?[criteria], [type]/[id]/_history/[version] and operations",
    "HEAD": "[type]/[id], [type]?[criteria] and [type]/[id]/_history/[version]",
    "POST": "[type], [type]/_search?[criteria] and operations",
    "PUT": "[type]/[id] or [type]?[criteria]",
    "PATCH": "[type]/[id] or [type]?[criteria]",
    "DELETE": "[type]/[id] or [type]?[criteria]",
}
CHANGES: Mapping[str, str] = {"PUT": "update", "PATCH": "patch", "DELETE": "delete"}

_ID = re.compile(r"[A-Za-z0-9.-]{1,64}").fullmatch
_OPERATION = re.compile(r"\$[A-Za-z][A-Za-z0-9-]{0,63}").fullmatch
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:").match


class Target(NamedTuple):
    """What an entry is about. `path` and `query` are the URL below the base as it came, `id` and `version` decoded."""

    interaction: str
    path: str
    query: str = ""
    type: str = ""
    id: str = ""
    version: str = ""

    @property
    def place(self) -> str:
        """`Type/id`, "" where the URL names no single resource."""
        return f"{self.type}/{self.id}" if self.id else ""

    @property
    def criteria(self) -> Criteria:
        """The query as sorted names and values; () for none."""
        return criteria_of(self.query) or ()


def criteria_of(query: str) -> Criteria | None:
    """The names and values of a query, sorted, so that two spellings of one search are equal; None: none or bad."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=MOST_PARAMETERS)
    except ValueError:
        return None
    if not pairs or any(not name or not value or not (name + value).isprintable() for name, value in pairs):
        return None
    return tuple(sorted(pairs))


def target_of(method: str, url: str, at: str, bases: Collection[str]) -> Target | Issue:
    """The interaction of a method and a URL, or what is wrong with them at the place `at` (of request.url)."""
    below = _below_base(url, at, bases)
    if isinstance(below, Issue):
        return below
    path, mark, query = below.partition("?")
    segments = path.split("/") if path else []
    named = segments[0] if segments else ""
    if holds_person_number(unquote(below.replace("+", " "))):
        return Issue("person-number-in-url", at, {"type": named if is_resource(named) else "[type]"})
    if mark and method in CHANGES and criteria_of(query) is None:  # a search judges its own parameters
        return _invalid(at, "the part after ? is no name=value", "delen etter ? er ikke navn=verdi")
    is_of_system = not segments or (len(segments) == 1 and (named[0] in "_$" or named == "metadata"))
    if not is_of_system and not is_resource(named):
        facts = {"type": shown(named), "nearest": nearest(shown(named), definitions().resource_types)}
        return Issue("entry-url-type", at, facts)
    target = _target(method, segments, path, query)
    return target or Issue("entry-method-not-here", at, {"method": method, "allowed": TAKES[method]})


def _below_base(url: str, at: str, bases: Collection[str]) -> str | Issue:
    """The URL below the base of this server; a slash before it is no more than a habit."""
    if not url.strip():
        return _invalid(at, "it is empty", "den er tom")
    if len(url) > LONGEST_URL:
        return _invalid(at, f"it is longer than {LONGEST_URL} characters", f"den er lengre enn {LONGEST_URL} tegn")
    if not url.isprintable() or " " in url or "#" in url or "\\" in url:
        return _invalid(at, "it holds a character that no URL has here", "den har et tegn som ingen URL har her")
    base = next((base for base in bases if url.startswith((f"{base}/", f"{base}?"))), None)
    if base is None and (_SCHEME(url.partition("?")[0]) or url.startswith("//")):
        return Issue("entry-url-elsewhere", at)
    below = (url if base is None else url[len(base) :]).removeprefix("/")
    path = below.partition("?")[0]
    if path and not all(part and part not in (".", "..") and "%" not in part for part in path.split("/")):
        return _invalid(at, "a part of its path is empty or coded", "en del av stien er tom eller kodet")
    return below


def _target(method: str, segments: list[str], path: str, query: str) -> Target | None:
    if segments and segments[-1][:1] == "$":
        return _operation(method, segments, path, query)
    if method in READS:
        return _reading(segments, path, query)
    if method == "POST":
        return _posted(segments, path, query)
    match segments:
        case [type_name, id] if not query and _ID(id):
            return Target(CHANGES[method], path, type=type_name, id=id)
        case [type_name] if query and is_resource(type_name):
            return Target(CHANGES[method], path, query, type_name)
    return None


def _reading(segments: list[str], path: str, query: str) -> Target | None:
    match segments:
        case []:
            return Target("search-system", path, query) if query else None
        case ["metadata"]:
            return Target("capabilities", path, query)
        case ["_history"]:
            return Target("history-system", path, query)
        case [type_name] if is_resource(type_name):
            return Target("search-type", path, query, type_name)
        case [type_name, "_history"]:
            return Target("history-type", path, query, type_name)
        case [type_name, id] if _ID(id):
            return Target("read", path, query, type_name, id)
        case [type_name, id, "_history"] if _ID(id):
            return Target("history-instance", path, query, type_name, id)
        case [type_name, id, "_history", version] if _ID(id) and _ID(version):
            return Target("vread", path, query, type_name, id, version)
        case [_, id, type_name] if _ID(id) and (is_resource(type_name) or type_name == "*"):
            return Target("search-compartment", path, query, type_name)
    return None


def _posted(segments: list[str], path: str, query: str) -> Target | None:
    match segments:
        case ["_search"]:
            return Target("search-system", path, query)
        case [type_name, "_search"]:
            return Target("search-type", path, query, type_name)
        case [type_name] if not query and is_resource(type_name):
            return Target("create", path, type=type_name)
    return None


def _operation(method: str, segments: list[str], path: str, query: str) -> Target | None:
    if method not in ("GET", "POST") or not _OPERATION(segments[-1]):
        return None
    match segments[:-1]:
        case []:
            return Target("operation", path, query)
        case [type_name]:
            return Target("operation", path, query, type_name)
        case [type_name, id] if _ID(id):
            return Target("operation", path, query, type_name, id)
    return None


def is_resource(name: str) -> bool:
    """Whether a name is a type of R4 that resources have."""
    return definitions().kind(name) == "resource" and name not in ABSTRACT


def _invalid(at: str, reason: str, grunn: str) -> Issue:
    return Issue("entry-url-invalid", at, {"reason": reason, "grunn": grunn})
