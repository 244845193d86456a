"""Which slices generated code can tell apart by itself, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_facade.emit import Source
from fhir_facade.profile.schema import Node
from fhir_facade.profile.slicing import Criterion, criteria


def is_simple(element: Node) -> bool:
    """Whether items are told apart by what is at hand, in any order, and no slice has slices."""
    slicing = element.slicing
    if slicing is None or slicing.ordered or slicing.rules not in ("open", "closed"):
        return False
    if any(part.slices for part in element.slices):
        return False
    known = [each for part in element.slices for each in criteria(part)]
    if element.kind == "choice":
        return all(each.kind == "type" and not each.steps for each in known) and all(
            len(criteria(part)) == 1 for part in element.slices
        )
    return all(part.kind == "complex" for part in element.slices) and all(each.kind != "unknown" for each in known)


def is_url(criterion: Criterion) -> bool:
    is_text = criterion.kind == "fixed" and type(criterion.value) is str
    return is_text and [(each.kind, each.name) for each in criterion.steps] == [("child", "url")]


def plain_test(criterion: Criterion, part: Node, variable: str) -> str:
    """A criterion that asks for one text under one key; "" for any other."""
    if criterion.kind not in ("fixed", "pattern") or type(criterion.value) is not str or len(criterion.steps) != 1:
        return ""
    step = criterion.steps[0]
    child = part.children.get(step.name)
    if step.kind != "child" or child is None or child.many or child.kind != "primitive":
        return ""
    return f"{variable}.get({step.name!r}) == {criterion.value!r}"


def by_item_text(parts: Sequence[Node]) -> tuple[str, str, dict[str, int]] | None:
    """Slices that are told apart by one text in some item of a list, as by the system of a coding.

    The key of the list, the key in its items, and the place of the slice for each text; None for any others.
    """
    keys, places = set(), dict[str, int]()
    for place, part in enumerate(parts):
        told = criteria(part)
        if len(told) != 1 or not is_text_of_item(told[0], part):
            return None
        keys.add((told[0].steps[0].name, told[0].steps[1].name))
        places.setdefault(told[0].value, place)
    return (*keys.pop(), places) if len(keys) == 1 else None


def pattern_test(pattern: Any, variable: str, source: Source) -> str:
    """A pattern as a condition over a local variable of any JSON value; "" when it holds more than texts."""
    if type(pattern) is str:
        return f"{variable} == {source.bind('text', pattern)}"
    if type(pattern) is dict:
        parts = [f"type({variable}) is dict"]
        for key, wanted in pattern.items():
            held = source.fresh("p")
            below = pattern_test(wanted, held, source)
            if not below:
                return ""
            parts += [f"({held} := {variable}.get({key!r})) is not None", below]
        return " and ".join(parts)
    if type(pattern) is list and len(pattern) == 1 and type(pattern[0]) is dict:
        wanted = pattern[0]
        if all(type(each) is str for each in wanted.values()):
            item = source.fresh("i")
            tests = [f"{item}.get({key!r}) == {source.bind('text', each)}" for key, each in wanted.items()]
            met = " and ".join([f"type({item}) is dict", *tests])
            return f"type({variable}) is list and any({met} for {item} in {variable})"
    return ""


def patterned(criterion: Criterion, part: Node, variable: str, source: Source) -> str:
    """A criterion that is a pattern of the item itself, or of one element of it; "" for any other."""
    if is_text_of_item(criterion, part):
        first, second = criterion.steps
        items, item, text = source.fresh("p"), source.fresh("i"), source.bind("text", criterion.value)
        met = f"type({item}) is dict and {item}.get({second.name!r}) == {text}"
        return f"type({items} := {variable}.get({first.name!r})) is list and any({met} for {item} in {items})"
    if criterion.kind != "pattern" or len(criterion.steps) > 1:
        return ""
    if not criterion.steps:
        return pattern_test(criterion.value, variable, source)
    step = criterion.steps[0]
    child = part.children.get(step.name)
    if step.kind != "child" or child is None or child.many:
        return ""
    held = source.fresh("p")
    below = pattern_test(criterion.value, held, source)
    return f"({held} := {variable}.get({step.name!r})) is not None and {below}" if below else ""


def is_text_of_item(criterion: Criterion, part: Node) -> bool:
    """Whether a criterion is a text under one key of any item of a list: the system of a coding."""
    if len(criterion.steps) != 2 or criterion.kind not in ("fixed", "pattern") or type(criterion.value) is not str:
        return False
    first, second = criterion.steps
    held = part.children.get(first.name)
    child = held.children.get(second.name) if held is not None and held.kind == "complex" else None
    if first.kind != "child" or second.kind != "child" or held is None or not held.many:
        return False
    return child is not None and not child.many and child.kind == "primitive"
