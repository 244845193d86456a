"""Values and their FHIR forms: Norwegian time, codes, identifiers; what every engine means by a value.

Compiled engines inline the common case and call these for the rest; the interpreter calls nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from fhir_facade.mapping.ir import Coded, CodeMap, Condition, Custom, Identify, System, Target
from fhir_facade.outcome import Issue

OSLO = ZoneInfo("Europe/Oslo")
ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
ORIGINAL_CODE = "http://fhir-facade.no/fhir/StructureDefinition/original-code"

Coding = tuple[str, str, str | None, str | None]  # system, code, display, version


class Unusable(ValueError):
    """A record value that has no FHIR form; the text says why without repeating the value."""


class Offsets(dict[str, str]):
    """UTC offset of each Norwegian local hour, "2025-03-30T02" → "+01:00", filled as hours are met.

    A clock hour that the spring change skips has no offset: Unusable. In the doubled autumn hour the first pass
    (summer time) is meant; the second pass is written in the record with its own offset.
    """

    limit = 200_000  # hours, some 20 years; then start again

    def __missing__(self, hour: str) -> str:
        local = datetime.fromisoformat(f"{hour}:00:00").replace(tzinfo=OSLO)
        offset = local.utcoffset() or timedelta()
        if (local - offset).replace(tzinfo=None) != _to_utc(local).replace(tzinfo=None) or _skipped(local):
            raise Unusable("this clock hour does not exist in Norway on that day")
        minutes = int(offset.total_seconds()) // 60
        text = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
        if len(self) > self.limit:
            self.clear()
        self[hour] = text
        return text


def _to_utc(local: datetime) -> datetime:
    return local.astimezone(ZoneInfo("UTC"))


def _skipped(local: datetime) -> bool:
    return _to_utc(local).astimezone(OSLO).replace(tzinfo=None) != local.replace(tzinfo=None)


OFFSETS = Offsets()


def oslo_time(value: str) -> str:
    """Record time → FHIR dateTime: Norwegian local time gets its offset, a value with an offset keeps it."""
    if len(value) > 19 and (value[-1] == "Z" or value[-6] in "+-"):
        return value
    if len(value) < 19:
        raise Unusable("a time needs date, hours, minutes and seconds")
    try:
        return value + OFFSETS[value[:13]]
    except Unusable:
        raise
    except ValueError:
        raise Unusable("it is no date and time") from None


def primitive(codec: str, datatype: str, value: Any) -> Any:
    """The FHIR form of a plain field; Unusable when the datatype cannot hold it."""
    if codec == "dateTime":
        return oslo_time(value)
    if codec == "integer":
        lowest = {"positiveInt": 1, "unsignedInt": 0}.get(datatype, -(2**31))
        if not lowest <= value < 2**31:
            raise Unusable(f"{datatype} begins at {lowest}")
        return value
    if isinstance(value, str) and (not value.strip() or _uncontrolled(value)):
        raise Unusable("it is blank or holds control characters")
    return value


def _uncontrolled(value: str) -> bool:
    return not value.isprintable() and any(letter < " " and letter not in "\t\n\r" for letter in value)


def coded_json(shape: str, codings: Iterable[Coding]) -> Any:
    """A code, Coding or CodeableConcept of the codings; a code or Coding takes the first."""
    written = [coding_json(*coding) for coding in codings]
    if shape == "code":
        return written[0]["code"]
    return written[0] if shape == "Coding" else {"coding": written}


def coding_json(system: str, code: str, display: str | None, version: str | None) -> dict[str, str]:
    out = {"system": system} if system else {}
    if version is not None:
        out["version"] = version
    out["code"] = code
    if display:
        out["display"] = display
    return out


def system_of(rule: Coded | Identify, chosen: Any) -> System | None:
    """The system that a rule writes, given the value of its system field."""
    return rule.systems.get(chosen) if rule.system_field else rule.system


def original_coding(rule: Coded, value: str, chosen: Any, version: str | None) -> Coding:
    """The record's own code as a coding; without a system when the record's choice of system is unknown."""
    system = system_of(rule, chosen)
    if system is None:
        return ("", value, None, version)
    return (system.uri, value, (system.displays or {}).get(value), version)


def coded_value(
    rule: Coded, value: str, chosen: Any, version: str | None, issues: list[Issue]
) -> tuple[Any, dict[str, Any] | None]:
    """The element and, for a code, its extensions: (value or None, `_element` or None).

    A code outside the code map keeps its original coding, with an issue; on a code element, where no other system
    may stand, the element says `unsupported` and carries the original in an extension.
    """
    original = original_coding(rule, value, chosen, version)
    target = rule.code_map.targets.get(value) if rule.code_map else None
    if not original[0]:
        issues.append(not_mapped(rule, value))
    if rule.code_map is None:
        return coded_json(rule.shape, [original]), None
    if target is None:
        issues.append(not_mapped(rule, value))
        if rule.shape == "code":
            return None, beside(original, absent=True)
        return (None if rule.code_map.unmapped == "absent" else coded_json(rule.shape, [original])), None
    if rule.shape == "code":
        return target.code, beside(original) if rule.original == "beside" else None
    return coded_json(rule.shape, [standard(target), *([original] if rule.original == "beside" else [])]), None


def standard(target: Target) -> Coding:
    return (target.system, target.code, target.display or None, None)


def beside(original: Coding, *, absent: bool = False) -> dict[str, Any]:
    """The extensions of a code element: why it is absent, and the record's own coding."""
    reason = [{"url": ABSENT_REASON, "valueCode": "unsupported"}] if absent else []
    return {"extension": [*reason, {"url": ORIGINAL_CODE, "valueCoding": coding_json(*original)}]}


def not_mapped(rule: Coded, value: str) -> Issue:
    name = rule.code_map.name if rule.code_map else rule.system_field
    shown = value if sum(map(str.isdigit, value)) < 11 else "..."  # it may be a person's number in the wrong place
    return Issue("code-not-mapped", "", {"code": shown, "field": rule.field, "map": name, "at": rule.at})


def identifier_json(rule: Identify, value: str, chosen: Any, assigner: Any) -> dict[str, Any]:
    """An Identifier; when no system is known for the chosen kind, its kind stands in `type` instead."""
    system = system_of(rule, chosen)
    out: dict[str, Any] = {}
    if system is None and rule.type_system and chosen is not None:
        shown = (rule.type_system.displays or {}).get(chosen)
        out["type"] = {"coding": [coding_json(rule.type_system.uri, chosen, shown, None)]}
    if system is not None:
        out["system"] = system.uri
    out["value"] = value
    if assigner is not None and rule.assigner_system:
        out["assigner"] = {"identifier": {"system": rule.assigner_system.uri, "value": assigner}}
    return out


def custom_json(rule: Custom, value: Any, issues: list[Issue]) -> Any:
    """What a Python pair makes of a value, as plain JSON; None, and an issue, where that is nothing or not JSON."""
    try:
        made = orjson.loads(orjson.dumps(rule.pair.to_fhir(value)))
    except Exception as error:
        reason = f"{rule.name} fails with {type(error).__name__}"
    else:
        if holds_data(made, rule.path[-1].name if rule.path else "") and not isinstance(made, list):
            return made
        reason = f"{rule.name} gives no element for it"
    issues.append(Issue("value-not-usable", "", {"field": rule.field, "reason": reason, "at": rule.at}))
    return None


def holds_data(value: Any, name: str = "") -> bool:
    """Whether anything stands in a value of the member `name`; the url of an extension says nothing by itself."""
    if isinstance(value, dict):
        bare = name in ("extension", "modifierExtension")
        return any(holds_data(inner, key) for key, inner in value.items() if not (bare and key == "url"))
    return any(holds_data(item, name) for item in value) if isinstance(value, list) else value is not None


def holds(condition: Condition, record: Any) -> bool:
    """Whether a condition is true of a record."""
    value = record.get(condition.field)
    return value is not None if not condition.values else value in condition.values


def reverse_codes(code_map: CodeMap, code: str) -> list[str]:
    """The record codes that become `code`."""
    return [own for own, target in code_map.targets.items() if target.code == code]
