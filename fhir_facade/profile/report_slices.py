"""The items of one element shared out among its slices, counted and judged each by its own.

https://hl7.org/fhir/R4/profiling.html#slicing. An item is judged by the first slice that it is of, which holds what is
said of every item too. Where it cannot be known of which slice an item is, nothing is counted against the resource.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from fhir_facade.profile.extension_counts import EXTENSIONS, too_many
from fhir_facade.profile.findings import listed, shown
from fhir_facade.profile.schema import Node
from fhir_facade.profile.slice_tests import is_url
from fhir_facade.profile.slicing import criteria, explain, matches

if TYPE_CHECKING:
    from fhir_facade.profile.report import Frame, Place, Walker

UNKNOWN = ("what tells it apart is not at hand", "det som skiller det ut, er ikke tilgjengelig")


class Item(NamedTuple):
    """One value of an element, with the node of its type."""

    node: Node
    place: Place


def judge_slices(walker: Walker, element: Node, items: list[Item], at: str, frame: Frame) -> None:
    """Judge the items of an element, each by its slice or by the element."""
    if element.name in EXTENSIONS and len(items) > 1 and not element.slice_name:
        _count_extensions(walker, element, items)
    if not element.slices:
        for item in items:
            walker.value(item.node, item.place, frame)
        return
    shared: dict[str, list[Item]] = {each.slice_name: [] for each in element.slices}
    unknown: set[str] = set()
    order: list[tuple[Item, int]] = []
    for item in items:
        number = _slice_of(walker, element, item, unknown, frame)
        order.append((item, number))
        if number < 0:
            walker.value(item.node, item.place, frame)
            continue
        slice = element.slices[number]
        node = slice if element.kind != "choice" else item.node
        shared[slice.slice_name].append(item)
        if not slice.slices:
            walker.value(node, item.place, frame)
    for slice in element.slices:
        if slice.slices and shared[slice.slice_name]:
            held = [
                Item(slice if element.kind != "choice" else each.node, each.place) for each in shared[slice.slice_name]
            ]
            judge_slices(walker, slice, held, at, frame)
        _count(walker, element, slice, shared[slice.slice_name], items, at, frame, slice.slice_name in unknown)
    _arrange(walker, element, order, frame)


def _count_extensions(walker: Walker, element: Node, items: list[Item]) -> None:
    """Tell which extensions stand more often than their definitions allow, where no slice tells it."""
    for url, count, root in too_many(walker.schema, [item.place.value for item in items]):
        counting = [each.max for each in element.slices if is_url(first := criteria(each)[0]) and first.value == url]
        if any(most is not None and count > most for most in counting):
            continue
        last = [item for item in items if isinstance(item.place.value, dict) and item.place.value.get("url") == url][-1]
        said = f" ({shown(url)})"
        facts = {"name": element.name, "count": str(count), "max": str(root.max), "slice": said, "utsnitt": said}
        walker.findings.add("element-too-many", last.place.at, walker.rule(root, "element-too-many"), facts=facts)


def _slice_of(walker: Walker, element: Node, item: Item, unknown: set[str], frame: Frame) -> int:
    """The number of the slice that an item is of, -1 for none."""
    judge = walker.rules.judge_for(frame)
    for number, slice in enumerate(element.slices):
        answer = matches(slice, item.place.value, judge, item.node.type if element.kind == "choice" else "")
        if answer:
            return number
        if answer is None:
            unknown.add(slice.slice_name)
            facts = {"slice": slice.slice_name, "reason": UNKNOWN[0], "grunn": UNKNOWN[1]}
            walker.findings.add("slice-unknown", item.place.at, walker.rule(slice, "slice-unknown"), facts=facts)
    return -1


def _count(
    walker: Walker,
    element: Node,
    slice: Node,
    held: list[Item],
    items: list[Item],
    at: str,
    frame: Frame,
    unknown: bool,
) -> None:
    name = slice.slice_name
    if slice.max is not None and len(held) > slice.max:
        facts: dict[str, Any] = {"name": element.name, "slice": name, "count": str(len(held)), "max": str(slice.max)}
        code = "slice-too-many" if slice.max else "element-forbidden"
        if code == "element-forbidden":
            facts |= {"slice": f" ({name})", "utsnitt": f" ({name})"}
        walker.findings.add(code, held[-1].place.at, walker.rule(slice, code), facts=facts)
    if len(held) < slice.min and not unknown:
        first = criteria(slice)[0]
        wanted = f"{first.path} = {shown(first.value) if first.binding is None else first.expected}"
        near = _nearest(walker, slice, [each for each in items if each not in held], frame)
        facts = {
            "name": element.name,
            "slice": name,
            "count": str(len(held)),
            "min": str(slice.min),
            "wanted": wanted,
            **near,
        }
        walker.findings.add("slice-missing", at, walker.rule(slice, "slice-missing"), facts=facts)


def _nearest(walker: Walker, slice: Node, others: list[Item], frame: Frame) -> dict[str, str]:
    """What an item lacks to be of a slice: the first criterion that fails, with what was found there."""
    for item in others[:1]:
        failure = explain(slice, item.place.value, walker.rules.judge_for(frame), item.node.type)
        if failure is not None:
            found = listed(map(shown, failure.found)) or "-"
            place = item.place.at.rpartition(".")[2]
            said = f"{place}: {failure.criterion.path} = {found}"
            return {"nearest": f" Nearest: {said}.", "likest": f" Nærmest: {said}."}
    return {"nearest": "", "likest": ""}


def _is_part(element: Node, item: Item) -> bool:
    """Whether an extension can only be a part of the one that it stands in: its URL is not absolute."""
    url = item.place.value.get("url") if isinstance(item.place.value, dict) else None
    return element.name == "extension" and isinstance(url, str) and ":" not in url


def _arrange(walker: Walker, element: Node, order: list[tuple[Item, int]], frame: Frame) -> None:
    """Closed slices hold every item; those that are open at the end, every item before the last one of a slice."""
    slicing = element.slicing
    if slicing is None:
        return
    names = listed(each.slice_name for each in element.slices)
    last = max((place for place, (_, number) in enumerate(order) if number >= 0), default=-1)
    for place, (item, number) in enumerate(order):
        closed = slicing.rules == "closed" or (slicing.rules == "openAtEnd" and place < last)
        if number < 0 and (closed or _is_part(element, item)):
            if any(
                matches(s, item.place.value, walker.rules.judge_for(frame), item.node.type) is None
                for s in element.slices
            ):
                continue
            near = _nearest(walker, element.slices[0], [item], frame)
            facts = {"allowed": names, **near}
            walker.findings.add("slice-closed", item.place.at, walker.rule(element, "slice-closed"), facts=facts)
    highest = -1
    for item, number in order:
        if slicing.ordered and 0 <= number < highest:
            after = element.slices[highest].slice_name
            facts = {"slice": element.slices[number].slice_name, "after": after, "etter": after, "allowed": names}
            walker.findings.add("slice-order", item.place.at, walker.rule(element, "slice-order"), facts=facts)
        highest = max(highest, number)
