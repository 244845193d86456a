"""Arrange rules as the resource they build: objects, members in R4 order, items. Both forward compilers read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from fhir_facade.definitions import definitions
from fhir_facade.mapping.ir import Each, Rule, Step, carries_nothing


@dataclass
class Leaf:
    """A value that one rule gives."""

    rule: Rule


@dataclass
class Loop:
    """Items that a list of the record gives: objects, or values when `body` is a rule."""

    rule: Each
    body: Node | Leaf


@dataclass
class Member:
    """One JSON member of an object: a single value or an array."""

    name: str
    many: bool
    items: list[Leaf | Loop | Node] = field(default_factory=list)


@dataclass
class Node:
    """One JSON object. `where` is its FHIR path, for the order of members; `url` that of an extension."""

    where: str
    url: str = ""
    label: str = ""
    members: dict[str, Member] = field(default_factory=dict)

    def ordered(self) -> list[Member]:
        """Members in the order of the R4 definition."""
        names = {name: place for place, name in enumerate(definitions().children(self.where))}
        return sorted(self.members.values(), key=lambda member: names.get(member.name, len(names)))

    def constants_last(self) -> list[Member]:
        """Members with those last that hold constants only, so that they see whether there is an object to complete."""

        def bare(member: Member) -> bool:
            return all(isinstance(item, Leaf) and carries_nothing(item.rule) for item in member.items)

        return sorted(self.ordered(), key=bare)

    def constants(self) -> Iterator[tuple[Member, Leaf]]:
        """Single-valued members whose rule carries no data, in order."""
        for member in self.ordered():
            for item in member.items:
                if isinstance(item, Leaf) and carries_nothing(item.rule):
                    yield member, item


def build(rules: tuple[Rule, ...], where: str, url: str = "") -> Node:
    """Return the tree of one object's rules; paths are relative to it.

    Away from the root, constants come behind what carries data, as the interpreter writes them.
    """
    top = Node(where, url)
    is_root = "." not in where
    later = [rule for rule in rules if carries_nothing(rule) and not (is_root and len(rule.path) == 1)]
    for rule in [rule for rule in rules if rule not in later] + later:
        node = top
        for step in rule.path[:-1]:
            node = _child(node, step)
        _member(node, rule.path[-1]).items.append(_item(rule, node))
    return top


def _item(rule: Rule, node: Node) -> Leaf | Loop:
    if not isinstance(rule, Each):
        return Leaf(rule)
    last = rule.path[-1]
    if rule.rules and not rule.rules[0].path:
        return Loop(rule, Leaf(rule.rules[0]))
    return Loop(rule, build(rule.rules, f"{node.where}.{last.name.removeprefix('_')}", last.url))


def _member(node: Node, step: Step) -> Member:
    return node.members.setdefault(step.name, Member(step.name, step.many))


def _child(node: Node, step: Step) -> Node:
    member = _member(node, step)
    for item in member.items:
        if isinstance(item, Node) and item.label == step.label:
            return item
    made = Node(f"{node.where}.{step.name.removeprefix('_')}", step.url, step.label)
    member.items.append(made)
    return made
