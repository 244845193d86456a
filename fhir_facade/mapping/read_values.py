"""FHIR values back to record values: what every row kind reads, one value at a time.

Each function answers with the fields it found, with None when the value does not speak of the row (another system,
another type), or with an Issue when it does but the record cannot hold it. Systems are canonical here: `normalised`
in compare.py has replaced the other accepted URIs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

from fhir_facade.mapping.codecs import ORIGINAL_CODE, OSLO, oslo_time, reverse_codes
from fhir_facade.mapping.ir import Codec, Coded, CodeMap, Copy, Custom, Identify, Key, Logical, Refer
from fhir_facade.mapping.kinds import key_parts
from fhir_facade.outcome import Issue

Fields = dict[str, Any]
Answer = Fields | Issue | None
Resolve = Callable[[str, str], Mapping[str, Any] | None]
"""(record kind, key text) → the record's key fields, for keys that are too long to be read back from an id."""

DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII).fullmatch
YEAR = re.compile(r"\d{4}", re.ASCII).fullmatch
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII).fullmatch
UNREAD = object()


class LocalHours(dict[str, str]):
    """(UTC or offset hour) → Norwegian local hour: "2025-01-01T08Z" → "2025-01-01T09"; "" where it needs a look."""

    limit = 200_000

    def __missing__(self, hour: str) -> str:
        day_and_hour, offset = hour[:13], hour[13:] or "Z"
        there = datetime.fromisoformat(f"{day_and_hour}:00:00{offset}")
        local = there.astimezone(OSLO)
        text = local.strftime("%Y-%m-%dT%H")
        usual = local.minute == 0 and local.second == 0 and datetime.fromisoformat(oslo_time(f"{text}:00:00")) == there
        if len(self) > self.limit:
            self.clear()
        self[hour] = text if usual else ""
        return self[hour]


LOCAL_HOURS = LocalHours()


class Days(dict[str, Any]):
    """A calendar day → itself, UNREAD when there is no such day; only days are remembered, and there are few."""

    def __missing__(self, value: Any) -> Any:
        read = plain("date", value)
        if read is not UNREAD:
            if len(self) > LocalHours.limit:
                self.clear()
            self[value] = read
        return read


DAYS = Days()


def local_time(value: Any) -> Any:
    """FHIR dateTime or instant → Norwegian local time of a record; UNREAD when it is no full time.

    In the second pass of the doubled autumn hour the time keeps an offset, as records write it.
    """
    if not isinstance(value, str) or not TIME(value):
        return UNREAD
    end = 19 if value[19] != "." else next(at for at in range(20, len(value)) if not value[at].isdigit())
    try:
        datetime.fromisoformat(value[:19])
        hour = LOCAL_HOURS[value[:13] + value[end:]]
        if hour:
            return hour + value[13:end]
        local = datetime.fromisoformat(value[:19] + value[end:]).astimezone(OSLO)
    except (ValueError, OverflowError):
        return UNREAD
    text = local.strftime("%Y-%m-%dT%H:%M:%S") + value[19:end]
    same = datetime.fromisoformat(oslo_time(text[:19])) == local
    minutes = int((local.utcoffset() or local - local).total_seconds()) // 60
    return text if same else f"{text}+{minutes // 60:02d}:{minutes % 60:02d}"


def plain(codec: Codec, value: Any) -> Any:
    """A primitive as the record writes it, or UNREAD."""
    match codec:
        case "text":
            return value if isinstance(value, str) else UNREAD
        case "integer":
            if isinstance(value, float) and value.is_integer():
                return int(value)
            return value if isinstance(value, int) and not isinstance(value, bool) else UNREAD
        case "date":
            return value if isinstance(value, str) and DAY(value) and _exists(value) else UNREAD
        case "year":
            return value if isinstance(value, str) and YEAR(value) else UNREAD
        case "dateTime":
            return local_time(value)


def _exists(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


def read_copy(rule: Copy, value: Any) -> Answer:
    """The first of the row's fields whose type can hold the value."""
    if rule.suffix:
        if not isinstance(value, str) or not value.endswith(rule.suffix):
            return not_storable(rule.fields[0], rule.at)
        value = value.removesuffix(rule.suffix)
    for name, codec in zip(rule.fields, rule.codecs or (rule.codec,) * len(rule.fields), strict=True):
        read = plain(codec, value)
        if read is not UNREAD:
            return {name: read}
    return not_storable(rule.fields[0], rule.at)


def read_key(rule: Key, value: Any, kind: str, resolve: Resolve) -> Answer:
    """The key fields inside a resource id."""
    if not isinstance(value, str):
        return None
    head = f"{rule.prefix}-" if rule.prefix else ""
    if not value.startswith(head):
        return Issue("id-not-ours", "", {"prefix": head, "at": rule.at})
    return key_fields(value[len(head) :], rule, kind, resolve)


def key_fields(text: str, rule: Key | Refer, kind: str, resolve: Resolve) -> Answer:
    parts = key_parts(text, rule.parts)
    if parts is not None:
        return parts
    known = resolve(kind, text)
    if known is None:
        return Issue("key-not-readable", "", {"at": rule.at})
    return dict(zip((name for name, _ in rule.parts), known.values(), strict=True))


def read_refer(rule: Refer, value: Any, resolve: Resolve) -> Answer:
    """The fields of a reference: `Patient/<key>`."""
    reference = value.get("reference") if isinstance(value, dict) else None
    head = f"{rule.to}/{rule.prefix}-" if rule.prefix else f"{rule.to}/"
    if not isinstance(reference, str) or not reference.startswith(head):
        return None
    answer = key_fields(reference[len(head) :], rule, rule.kind, resolve)
    # a row without a prefix cannot tell another mapping's id from a key of its own that does not read
    return None if isinstance(answer, Issue) and not rule.prefix and "-" in reference[len(head) :] else answer


def read_logical(rule: Logical, value: Any) -> Answer:
    """The value of a logical reference of the row's type and system."""
    if not isinstance(value, dict) or value.get("type", rule.to) != rule.to:
        return None
    identifier = value.get("identifier")
    if not isinstance(identifier, dict) or identifier.get("system") != rule.system.uri:
        return None
    held = identifier.get("value")
    return {rule.field: held} if isinstance(held, str) else not_storable(rule.field, rule.at)


def read_custom(rule: Custom, value: Any) -> Answer:
    """What the deployment's own Python makes of a value."""
    try:
        held = rule.pair.to_record(value)
    except Exception:  # code of a deployment: whatever it raises, the value is not taken
        return not_storable(rule.field, rule.at)
    return None if held is None else {rule.field: held}


def read_identifier(rule: Identify, value: Any) -> Answer:
    """The value of an identifier of the row's system, the kind that its system means, and who gave it."""
    if not isinstance(value, dict):
        return None
    system, chosen = value.get("system"), None
    if not rule.system_field:
        if rule.system is None or system != rule.system.uri:
            return None
    elif system is not None:
        chosen = chosen_by(rule.systems, system)
        if chosen is None:
            return None
    elif rule.type_system is not None:
        codings = codings_of(value.get("type"))
        chosen = next((one.get("code") for one in codings if one.get("system") == rule.type_system.uri), None)
    held = value.get("value")
    if not isinstance(held, str):
        return not_storable(rule.field, rule.at)
    found: Fields = {rule.field: held}
    if chosen is not None:
        found[rule.system_field] = chosen
    giver = _inside(value, "assigner", "identifier")
    if rule.assigner_system and giver.get("system") == rule.assigner_system.uri and "value" in giver:
        found[rule.assigner_field] = giver["value"]
    return found


def chosen_by(systems: Mapping[str, Any], uri: Any) -> str | None:
    """The value of the choosing field that means a system."""
    return next((chosen for chosen, system in systems.items() if system.uri == uri), None)


def read_coded(rule: Coded, value: Any, companion: Any) -> Answer:
    """The record's code: its own coding first, then what the code map leads back to."""
    if rule.shape == "code":
        return _read_code(rule, value, companion)
    codings = [value] if rule.shape == "Coding" else codings_of(value)
    codings = [coding for coding in codings if isinstance(coding, dict)]
    for coding in codings:
        if (own := _own(rule, coding)) is not None:
            return own
    if rule.code_map is None:
        return None
    for coding in codings:
        if coding.get("system") == rule.code_map.target_system:
            return back(rule, rule.code_map, coding.get("code"))
    return None


def _own(rule: Coded, coding: Mapping[str, Any]) -> Answer:
    """What a coding of the row's own system says."""
    system, code, chosen = coding.get("system"), coding.get("code"), None
    if rule.system_field:
        chosen = chosen_by(rule.systems, system) if system is not None else None
        if system is not None and chosen is None:
            return None
    elif rule.system is None or system != rule.system.uri:
        return None
    if not isinstance(code, str):
        return not_storable(rule.field, rule.at)
    found: Fields = {rule.field: code}
    if chosen is not None:
        found[rule.system_field] = chosen
    if rule.version_field and isinstance(coding.get("version"), str):
        found[rule.version_field] = coding["version"]
    return found


def _read_code(rule: Coded, value: Any, companion: Any) -> Answer:
    for extension in _inside(companion).get("extension") or ():
        if isinstance(extension, dict) and extension.get("url") == ORIGINAL_CODE:
            coding = extension.get("valueCoding")
            if isinstance(coding, dict) and (own := _own(rule, coding)) is not None:
                return own
    if value is None or rule.code_map is None:
        return None
    return back(rule, rule.code_map, value)


def back(rule: Coded, code_map: CodeMap, code: Any) -> Answer:
    """The record code behind a standard one: the choice that the map makes, or the only one there is."""
    if not isinstance(code, str):
        return not_storable(rule.field, rule.at)
    owns = [code_map.back[code]] if code in code_map.back else reverse_codes(code_map, code)
    if len(owns) == 1:
        return {rule.field: owns[0]}
    allowed = sorted({target.code for target in code_map.targets.values()})
    shown = code if sum(map(str.isdigit, code)) < 11 else "..."
    return Issue("code-not-in-map", "", {"code": shown, "map": code_map.name, "allowed": allowed, "at": rule.at})


def is_choice(rule: Coded, fields: Fields, value: Any) -> bool:
    """Whether a code was found by a choice among several, so that a row with the record's own code knows better."""
    if rule.code_map is None:
        return False
    target = rule.code_map.targets.get(fields.get(rule.field, ""))
    if target is None or len(reverse_codes(rule.code_map, target.code)) < 2:
        return False
    codings = [value] if rule.shape == "Coding" else codings_of(value)
    own = rule.system.uri if rule.system else ""
    return not any(isinstance(coding, dict) and coding.get("system") == own for coding in codings)


def system_is_own(rule: Coded, system: Any) -> bool:
    """Whether a coding's system is one in which the record's own codes stand."""
    if rule.system_field:
        return system is None or chosen_by(rule.systems, system) is not None
    return rule.system is not None and bool(system == rule.system.uri)


def not_storable(field: str, at: str) -> Issue:
    return Issue("value-not-storable", "", {"field": field, "at": at})


def codings_of(concept: Any) -> list[Any]:
    found = concept.get("coding") if isinstance(concept, dict) else None
    return found if isinstance(found, list) else []


def _inside(value: Any, *names: str) -> Mapping[str, Any]:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}
