"""JSON Patch and JSON Merge Patch: https://www.rfc-editor.org/rfc/rfc6902, https://www.rfc-editor.org/rfc/rfc7396."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

from fhir_facade.outcome import Issue, Refused

Pointer = tuple[str, ...]

MEMBERS = {
    "add": ("path", "value"), "remove": ("path",), "replace": ("path", "value"), "move": ("from", "path"),
    "copy": ("from", "path"), "test": ("path", "value"),
}  # fmt: skip
MOST_OPERATIONS = 1000
LARGEST = 4 * 1024 * 1024
"""Values that the copies of one patch may make, objects and lists counted too."""

_INDEX = re.compile(r"0|[1-9][0-9]{0,8}").fullmatch


def json_patched(document: Any, patch: Any) -> Any:
    """The document after every operation in turn; Refused, naming the operation, when one cannot be done."""
    if not isinstance(patch, list):
        raise fault("patch-malformed", "", "it is no list of operations", "den er ingen liste av operasjoner")
    if len(patch) > MOST_OPERATIONS:
        raise Refused(Issue("patch-too-large", "", {"limit": MOST_OPERATIONS}))
    made, room = deepcopy(document), LARGEST
    for number, operation in enumerate(patch):
        at = f"[{number}]"
        if not isinstance(operation, dict):
            raise fault("patch-malformed", at, "it is no object", "den er ikke noe objekt")
        name = operation.get("op")
        if not isinstance(name, str) or name not in MEMBERS:
            allowed = ", ".join(MEMBERS)
            raise fault("patch-malformed", f"{at}.op", f"it is none of {allowed}", f"den er ingen av {allowed}")
        for member in MEMBERS[name]:
            if member not in operation:
                raise fault("patch-malformed", at, f"'{member}' is missing", f"«{member}» mangler")
        path = _pointer(operation["path"], f"{at}.path")
        source = _pointer(operation["from"], f"{at}.from") if "from" in MEMBERS[name] else ()
        if name in ("copy", "add", "replace"):
            moved = _get(made, source, f"{at}.from") if name == "copy" else operation["value"]
            room -= size_of(moved)
            if room < 0:
                raise Refused(Issue("patch-too-large", at, {"limit": LARGEST}))
        made = _done(made, name, path, source, operation, at)
    return made


def merge_patched(document: Any, patch: Any) -> Any:
    """The document with what the patch has: null takes away, an object goes into an object, all else takes the place.

    A list is one value: it takes the place of the whole list that was there.
    """
    if not isinstance(patch, dict):
        return deepcopy(patch)
    made = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        else:
            made[name] = merge_patched(made.get(name), value)
    return made


def _done(made: Any, name: str, path: Pointer, source: Pointer, operation: dict[str, Any], at: str) -> Any:
    match name:
        case "add":
            return _add(made, path, deepcopy(operation["value"]), f"{at}.path")
        case "remove":
            return _remove(made, path, f"{at}.path")
        case "replace":
            _get(made, path, f"{at}.path")
            return _put(made, path, deepcopy(operation["value"]))
        case "copy":
            return _add(made, path, deepcopy(_get(made, source, f"{at}.from")), f"{at}.path")
        case "move":
            if path[: len(source)] == source and path != source:
                raise fault("patch-not-possible", f"{at}.path", "it lies inside 'from'", "den ligger inne i «from»")
            value = _get(made, source, f"{at}.from")
            return _add(_remove(made, source, f"{at}.from"), path, value, f"{at}.path")
    if not same(_get(made, path, f"{at}.path"), operation["value"]):
        raise fault("patch-test-failed", f"{at}.value", "", "")
    return made


def _pointer(text: Any, at: str) -> Pointer:
    """A JSON Pointer (RFC 6901) as its parts."""
    if not isinstance(text, str) or (text and not text.startswith("/")) or re.search(r"~(?![01])", text):
        raise fault(
            "patch-malformed", at, "it is no JSON Pointer such as /name/0/family",
            "den er ingen JSON Pointer som /name/0/family",
        )  # fmt: skip
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:])


def _get(document: Any, path: Pointer, at: str) -> Any:
    for part in path:
        document = _step(document, part, at)
    return document


def _step(holder: Any, part: str, at: str) -> Any:
    if isinstance(holder, dict) and part in holder:
        return holder[part]
    if isinstance(holder, list) and _INDEX(part) and int(part) < len(holder):
        return holder[int(part)]
    raise fault("patch-not-possible", at, "nothing stands there", "ingenting står der")


def _put(document: Any, path: Pointer, value: Any) -> Any:
    if not path:
        return value
    holder = _get(document, path[:-1], "")
    holder[int(path[-1]) if isinstance(holder, list) else path[-1]] = value
    return document


def _add(document: Any, path: Pointer, value: Any, at: str) -> Any:
    if not path:
        return value
    holder = _get(document, path[:-1], at)
    if isinstance(holder, dict):
        holder[path[-1]] = value
        return document
    if isinstance(holder, list):
        place = len(holder) if path[-1] == "-" else int(path[-1]) if _INDEX(path[-1]) else -1
        if 0 <= place <= len(holder):
            holder.insert(place, value)
            return document
    raise fault("patch-not-possible", at, "nothing can be put there", "ingenting kan settes inn der")


def _remove(document: Any, path: Pointer, at: str) -> Any:
    _get(document, path, at)
    if not path:
        return None
    holder = _get(document, path[:-1], at)
    del holder[int(path[-1]) if isinstance(holder, list) else path[-1]]
    return document


def same(one: Any, other: Any) -> bool:
    """Equality as RFC 6902, 4.6 has it: true is not 1, and 1 is 1.0."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return (type(one) is type(other) and one == other) or (_are_numbers(one, other) and one == other)


def _are_numbers(one: Any, other: Any) -> bool:
    return isinstance(one, int | float) and isinstance(other, int | float)


def size_of(value: Any) -> int:
    """How many values stand in a value, itself among them; a text counts by its length."""
    if isinstance(value, dict):
        return 1 + sum(map(size_of, value.values()))
    if isinstance(value, list):
        return 1 + sum(map(size_of, value))
    return 1 + len(value) // 64 if isinstance(value, str) else 1


def fault(code: str, at: str, english: str, norwegian: str) -> Refused:
    """What is wrong with a patch, and where in it."""
    place = at or "patch"
    return Refused(Issue(code, place, {"at": place, "reason": english, "grunn": norwegian}))
