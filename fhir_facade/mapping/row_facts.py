"""What can be said of rows without reading anything: which fields they say, and by what their items are known."""

from __future__ import annotations

from fhir_facade.mapping.ir import Coded, Copy, Identify, Key, Refer, Rule
from fhir_facade.mapping.tree import Leaf, Loop, Member, Node


def said_by(rule: Rule) -> list[str]:
    """The fields that a row may say."""
    match rule:
        case Copy():
            return list(rule.fields)
        case Key() | Refer():
            return [name for name, _ in rule.parts]
        case Coded():
            return [name for name in (rule.field, rule.system_field, rule.version_field) if name]
        case Identify():
            return [name for name in (rule.field, rule.system_field, rule.assigner_field) if name]
        case _:
            return [rule.field] if hasattr(rule, "field") else []


def shared_fields(rules: tuple[Rule, ...]) -> set[str]:
    """The fields that more than one of these rows may say."""
    said = [name for rule in rules for name in said_by(rule)]
    return {name for name in said if said.count(name) > 1}


def rules_in(member: Member) -> list[Rule]:
    """Every rule below a member."""
    found: list[Rule] = []
    for item in member.items:
        if isinstance(item, Node):
            found += [rule for inner in item.members.values() for rule in rules_in(inner)]
        else:
            found.append(item.rule)
    return found


def system_of_row(rule: Rule) -> str:
    """The one system by which the items of a row are known, or ""."""
    if isinstance(rule, Coded) and rule.shape != "code" and not rule.system_field and rule.code_map is None:
        return rule.system.uri if rule.system else ""
    if isinstance(rule, Identify) and not rule.system_field:
        return rule.system.uri if rule.system else ""
    return ""


def head_of(rule: Rule) -> str:
    """How the references of a row begin."""
    return f"{rule.to}/{rule.prefix}{'-' if rule.prefix else ''}" if isinstance(rule, Refer) else ""


def heads(items: list[Leaf | Loop | Node]) -> set[str]:
    """How the references of some rows begin, where no beginning is part of another; else nothing."""
    found = {head_of(item.rule) for item in items if isinstance(item, Leaf)} - {""}
    return set() if any(one != other and one.startswith(other) for one in found for other in found) else found


def distinct(items: list[Leaf | Loop | Node]) -> bool:
    """Whether rows that read one list are known by shape and by system."""
    rows = [item.rule for item in items if isinstance(item, Leaf)]
    shapes = {(type(rule), getattr(rule, "shape", "")) for rule in rows}
    return len(shapes) == 1


def is_concept(item: Leaf | Loop | Node) -> bool:
    return isinstance(item, Leaf) and isinstance(item.rule, Coded) and item.rule.shape == "CodeableConcept"
