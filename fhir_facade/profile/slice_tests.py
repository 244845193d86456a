"""Which slices generated code can tell apart by itself, and how."""

from __future__ import annotations

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
