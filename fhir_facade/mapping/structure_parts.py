"""What StructureMaps are made of: rules with one source each, targets, parameters, and FHIRPath for guards.

A rule has one source and nests the next, because the engines in use read no other form.
Source of the form: https://hl7.org/fhir/R4/structuremap.html.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.mapping.ir import Condition, Each, Path, Rule, carries_nothing
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.tree import Leaf, Loop, Member, Node
from fhir_facade.mapping.vocabulary import Vocabulary

Json = dict[str, Any]
LONGEST = 64
"""Most letters of an R4 id, which names of rules, groups and variables are."""


@dataclass
class Sheet:
    """One StructureMap being written: its groups so far, and the names that are taken."""

    vocabulary: Vocabulary
    kinds: Kinds
    groups: list[Json] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def name(self, text: str) -> str:
        """A free name of letters, digits and hyphens that reads like `text`."""
        plain = re.sub("[^A-Za-z0-9]+", "-", text).strip("-")[: LONGEST - 4] or "rule"
        name, number = plain, 1
        while name in self.taken:
            number += 1
            name = f"{plain}-{number}"
        self.taken.add(name)
        return name


class Groups(ABC):
    """Writes the groups of one mapping in one direction, "to-fhir" or "from-fhir"; see `group`."""

    way: str

    def __init__(self, sheet: Sheet, kind: Kind) -> None:
        self.sheet, self.kind = sheet, kind

    def group(self, name: str, node: Node, scope: Scope, inputs: list[Json], said: str) -> None:
        """Add a group for an object and its rules, the groups of its lists behind it."""
        group: Json = {"name": name, "typeMode": "none", "documentation": said, "input": inputs, "rule": []}
        self.sheet.groups.append(group)
        group["rule"] = list(self.node(node, scope))

    def node(self, node: Node, scope: Scope) -> Iterator[Json]:
        """The rules of an object, in the order of R4."""
        for member in node.ordered():
            for item in leaves(member, self.way):
                match item:
                    case Leaf():
                        yield from self.leaf(item.rule, member.name, scope, many=member.many)
                    case Node():
                        yield self.inner(item, member.name, scope)
                    case Loop():
                        yield self.loop(item, member.name, scope)

    @abstractmethod
    def leaf(self, one: Rule, name: str, scope: Scope, *, many: bool) -> Iterator[Json]:
        """The rules of one row's value; `many` when its element repeats."""

    @abstractmethod
    def inner(self, node: Node, name: str, scope: Scope) -> Json:
        """The rule of an object inside."""

    @abstractmethod
    def loop(self, item: Loop, name: str, scope: Scope) -> Json:
        """The rule of a list."""


@dataclass(frozen=True)
class Scope:
    """Where rules stand: the variables of record (or list item), record around it and resource part, and the fields."""

    record: str
    around: str
    part: str
    where: str
    fields: frozenset[str]

    def of(self, name: str) -> tuple[str, str]:
        """The variable that holds a field, and the field's plain name; "^name" is of the record around."""
        plain = name.removeprefix("^")
        return (self.around if name.startswith("^") or plain not in self.fields else self.record), plain


def variable(text: str) -> str:
    """A name for a variable: `name[main]` and `extension(kommune)` in letters and digits alone."""
    words = re.findall("[A-Za-z0-9]+", text)
    return "".join([*words[:1], *(word.capitalize() for word in words[1:])])[:LONGEST]


def param(value: Any) -> Json:
    """A parameter that is a value; `var` makes one that is a variable."""
    if isinstance(value, bool):
        return {"valueBoolean": value}
    return {"valueInteger": value} if isinstance(value, int) else {"valueString": str(value)}


def var(name: str) -> Json:
    return {"valueId": name}


def source(context: str, element: str = "", **more: Any) -> Json:
    """A rule's source: the element of a variable, or the variable itself where only a condition is asked for."""
    return {"context": context, **({"element": element} if element else {}), **more}


def target(context: str, element: str, transform: str = "", *parameters: Json, into: str = "") -> Json:
    """A rule's target; `into` is the variable that it makes."""
    made: Json = {"context": context, "contextType": "variable", "element": element}
    if into:
        made["variable"] = into
    if transform:
        made["transform"] = transform
        made["parameter"] = list(parameters)
    return made


def rule(
    name: str,
    sources: list[Json],
    targets: Iterable[Json] = (),
    rules: Iterable[Json] = (),
    said: str = "",
    **more: Any,
) -> Json:
    """One rule; of several sources each nests the next, and the innermost has the targets."""
    targets, rules = list(targets), list(rules)
    inner: Json = {"name": name, "source": [sources[-1]]}
    if targets:
        inner["target"] = targets
    if rules:
        inner["rule"] = rules
    inner |= more
    for number, outer in enumerate(reversed(sources[:-1]), 1):
        inner = {"name": name, "source": [outer], "rule": [{**inner, "name": f"{name}-{'i' * number}"[:LONGEST]}]}
    if said:
        inner["documentation"] = said
    return inner


def quoted(text: str) -> str:
    """A FHIRPath string."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def one_of(what: str, values: Iterable[str]) -> str:
    """FHIRPath: `what` is one of some texts."""
    return " or ".join(f"{what} = {quoted(value)}" for value in values)


def test_of(condition: Condition, name: str) -> str:
    """FHIRPath of a guard on the field `name`."""
    return one_of(name, condition.values) if condition.values else f"{name}.exists()"


def all_of(tests: Iterable[str]) -> str:
    found = [test for test in tests if test]
    return " and ".join(f"({test})" for test in found) if len(found) > 1 else "".join(found)


def element_name(where: str, name: str) -> str:
    """The element behind a JSON name: `value` for valueCoding, `district` for _district."""
    plain = name.removeprefix("_")
    element = definitions().element(f"{where}.{plain}")
    last = element.path.rpartition(".")[2] if element else plain
    return last.removesuffix("[x]") if last.endswith("[x]") else plain


def is_choice(where: str, name: str) -> bool:
    return element_name(where, name) != name.removeprefix("_")


def type_at(where: str, name: str) -> str:
    return definitions().type_of(f"{where}.{name.removeprefix('_')}") or ""


def told_path(path: Path) -> str:
    """A path as the mapping file writes it, near enough for a name."""
    return ".".join(f"{step.name}-{step.label}" if step.label else step.name for step in path)


def works(one: Rule, direction: str) -> bool:
    """Whether a rule works in a direction."""
    return one.only in ("", direction)


def data_fields(node: Node) -> list[str]:
    """The fields and lists that make an object worth writing, those inside it too; "^" fields are not among them."""
    found: dict[str, None] = {}
    for member in node.members.values():
        for item in member.items:
            for name in _data_of(item):
                if not name.startswith("^"):
                    found[name] = None
    return list(found)


def _data_of(item: Leaf | Loop | Node) -> Iterator[str]:
    if isinstance(item, Node):
        yield from data_fields(item)
    elif isinstance(item, Loop):
        yield item.rule.child
    elif not carries_nothing(item.rule):
        yield from own_fields(item.rule)


def own_fields(one: Rule) -> Iterator[str]:
    """The fields whose value a rule writes: those without which it writes nothing."""
    parts = getattr(one, "parts", ())
    if parts:
        yield parts[-1][0]
    elif hasattr(one, "fields"):
        yield from one.fields
    elif hasattr(one, "field"):
        yield one.field


def item_fields(kind: Kind, kinds: Kinds, each: Each) -> frozenset[str]:
    """The fields of a list's items."""
    child = kind.children[each.child]
    return frozenset(kinds[child.records].fields if child.records else child.fields)


def leaves(member: Member, direction: str) -> Iterator[Leaf | Loop | Node]:
    """The items of a member that work in a direction."""
    for item in member.items:
        if isinstance(item, Node) or works(item.rule, direction):
            yield item


def codings(value: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The codings of a constant Coding or CodeableConcept."""
    found = value.get("coding", [value])
    return list(found)
