"""How functions of FHIRPath take what they are given: one item, texts, an expression for each item."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from fhir_facade.profile.fhirpath import Evaluator, Items, Scope
from fhir_facade.profile.fhirpath_syntax import Expression
from fhir_facade.profile.fhirpath_values import Item, text_of

Arguments = Sequence[Expression]
Apply = Callable[[Evaluator, Items, Arguments, Scope], Items]


class Function(NamedTuple):
    """A function, and how many arguments it takes."""

    least: int
    most: int
    apply: Apply


def each_item(ev: Evaluator, focus: Items, tree: Expression, scope: Scope) -> Iterator[tuple[Item, Items]]:
    """Each item with what an expression gives of it."""
    for place, item in enumerate(focus):
        ev.count()
        yield item, ev.run(tree, [item], Scope([item], place, scope.total))


def of_one(function: Callable[[Item], Items]) -> Apply:
    """A function of one item, [] of none."""

    def apply(ev: Evaluator, focus: Items, _: Arguments, scope: Scope) -> Items:
        return function(ev.single(focus)) if focus else []

    return apply


def argument(ev: Evaluator, tree: Expression, scope: Scope) -> Item | None:
    """The one item of an argument, None when there is none."""
    found = ev.run(tree, scope.this, scope)
    return ev.single(found) if found else None


def text_argument(ev: Evaluator, tree: Expression, scope: Scope) -> str | None:
    found = argument(ev, tree, scope)
    return None if found is None else str(found.value) if isinstance(found.value, str) else None


def of_texts(function: Callable[..., Items], needed: int = 1) -> Apply:
    """A function of one text and of texts; [] when any of them is missing."""
    return of_counted(lambda _, held, *given: function(held, *given), needed)


def of_counted(function: Callable[..., Items], needed: int = 1) -> Apply:
    """The same for a function that counts its steps itself, and so takes the evaluator first."""

    def apply(ev: Evaluator, focus: Items, arguments: Arguments, scope: Scope) -> Items:
        if not focus:
            return []
        held = text_of(ev.single(focus))
        given = [text_argument(ev, each, scope) for each in arguments]
        if held is None or None in given[:needed]:
            return []
        ev.count(len(held) // 100)
        return function(ev, held, *given)

    return apply
