"""The table of batch and transaction cases, written out in full.

Each file of `cases/` but resources.yaml is a list of cases:

    name    what it shows
    before  resources that are stored before, as `patient 1` (see resources.yaml)
    bundle  type, and entries in the short form below
    plan    what the rooms without a store make of it: order, naming, circles, rewritten, issues, warnings, refused,
            overlap (what is told when every identity is known);
            known and found tell what a store would know: identities by entry, and what searches find
    http    what a server makes of it: status, entries (status of each answer), stored and gone (places that answer 200
            and 404 or 410 afterwards), issues (expressions), unchanged (the store has not changed)

Entries: `{POST: Patient, as: ~u1, is: patient 1, with: {...}, request: {...}}`; the first key is the method, `as` the
fullUrl, `is` the resource, `with` elements laid over it (null takes one away), `request` more of the request, and `raw`
an entry word for word. Tokens are replaced everywhere: ~u1 a urn:uuid, ~p1 the id of patient 1, ~base the server's URL,
~fnr a national identity number.
"""

from __future__ import annotations

import copy
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fhir_facade.bundles.targets import METHODS
from fhir_facade.terminology.identity import is_national_identity_number

CASES = Path(__file__).with_name("cases")
BASE = "http://facade.test/fhir"
LETTERS = {"p": "patient", "c": "episode", "s": "referral", "e": "encounter", "d": "condition"}

_TOKEN = re.compile(r"~([a-z]+)([0-9]?)")


class Case(NamedTuple):
    """One case with its Bundle, what is stored before, and the ids that the server makes, by entry."""

    name: str
    before: list[dict[str, Any]]
    bundle: Any
    plan: dict[str, Any]
    http: dict[str, Any]
    ids: dict[int, str]


@cache
def material() -> dict[str, Any]:
    """The small resources of resources.yaml, by name."""
    found: dict[str, Any] = yaml.safe_load((CASES / "resources.yaml").read_text("utf-8"))
    return found


@cache
def synthetic_number() -> str:
    """A national identity number of nobody: its month is 80 more than a month."""
    return next(
        number for number in (f"1185{each:07d}" for each in range(10**6)) if is_national_identity_number(number)
    )


def id_of(name: str, number: str) -> str:
    """The id that the server makes of a resource of resources.yaml."""
    return str(material()[name]["id"]).replace("~n", number)


def resource(said: str) -> dict[str, Any]:
    """`patient 1` → the resource, without an id."""
    name, _, number = said.partition(" ")
    found: dict[str, Any] = written_out(material()[name]["resource"], number)
    return found


def written_out(value: Any, number: str = "") -> Any:
    """A value of a case file with its tokens replaced, in keys too."""
    if isinstance(value, dict):
        return {written_out(name, number): written_out(each, number) for name, each in value.items()}
    if isinstance(value, list):
        return [written_out(each, number) for each in value]
    return _TOKEN.sub(lambda found: _token(found, number), value) if isinstance(value, str) else value


def _token(found: re.Match[str], number: str) -> str:
    word, digit = found[1], found[2] or number
    if word == "u":
        return f"urn:uuid:00000000-0000-4000-8000-{int(digit):012d}"
    if word == "n":
        return number
    if word in LETTERS:
        return id_of(LETTERS[word], digit)
    return {"base": BASE, "fnr": synthetic_number()}[word]


def laid_over(under: Any, over: Any) -> Any:
    """Objects member by member, all else whole; null takes a member away."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return over
    out = under | {name: laid_over(under.get(name), each) for name, each in over.items()}
    return {name: each for name, each in out.items() if each is not None}


def entry(said: dict[str, Any]) -> dict[str, Any]:
    """One entry in full."""
    if "raw" in said:
        return said["raw"]
    method = next(iter(said))
    assert method in METHODS, said
    out: dict[str, Any] = {"request": {"method": method, "url": said[method], **said.get("request", {})}}
    if "as" in said:
        out["fullUrl"] = said["as"]
    if "is" in said:
        out["resource"] = laid_over(resource(said["is"]), said.get("with", {}))
    elif "with" in said:
        out["resource"] = said["with"]
    return out


def case_of(said: dict[str, Any]) -> Case:
    """One case in full."""
    said = written_out(copy.deepcopy(said))
    assert said.keys() <= {"name", "before", "bundle", "plan", "http"}, said["name"]
    bundle, ids = said["bundle"], {}
    if isinstance(bundle, dict) and "raw" not in bundle:
        listed = bundle.get("entry", [])
        ids = {
            number: id_of(*each["is"].split())
            for number, each in enumerate(listed)
            if isinstance(each, dict) and "is" in each
        }
        bundle = {"resourceType": "Bundle", **bundle, "entry": [entry(each) for each in listed]}
    elif isinstance(bundle, dict):
        bundle = bundle["raw"]
    before = [resource(each) for each in said.get("before", [])]
    return Case(said["name"], before, bundle, said["plan"], said["http"], ids)


def cases() -> list[Case]:
    """Every case of every file."""
    files = [path for path in sorted(CASES.glob("*.yaml")) if path.name != "resources.yaml"]
    return [case_of(said) for path in files for said in yaml.safe_load(path.read_text("utf-8"))]
