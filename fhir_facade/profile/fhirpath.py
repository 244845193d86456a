"""FHIRPath over R4 resources: http://hl7.org/fhirpath/N1/ with what https://hl7.org/fhir/R4/fhirpath.html adds.

The plain evaluator, and the judge of whatever is compiled. It works on JSON as it was parsed and knows types from R4's
definitions. Steps are counted, so that no expression and no resource takes long: `StepsExceeded`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.profile.fhirpath_arithmetic import arithmetic
from fhir_facade.profile.fhirpath_syntax import (
    Binary,
    Call,
    Constant,
    Empty,
    Expression,
    FhirPathError,
    Index,
    Name,
    TypeTest,
    Unary,
    Variable,
    parse,
    unescaped,
)
from fhir_facade.profile.fhirpath_values import (
    Item,
    Quantity,
    boolean,
    children,
    compare,
    equal,
    equivalent,
    integer,
    item_of,
    number,
    quantity_of,
    string,
    text,
    text_of,
)

STEPS = 200_000
Items = list[Item]

URLS: Mapping[str, str] = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}


class StepsExceeded(Exception):
    """The evaluation took more steps than it may."""


def nothing(_: Any) -> None:
    """What an environment answers that knows nothing."""


@dataclass(slots=True)
class Environment:
    """What an expression may ask for. `resource` is the one that holds the focus, `root_resource` the one that holds
    that; `resolve` gives the resource behind a reference or None, `member_of` whether a code is in a value set and
    `conforms_to` whether a value keeps to a profile, None for what cannot be known."""

    resource: Any = None
    root_resource: Any = None
    resolve: Callable[[str], Any] = nothing
    member_of: Callable[[Any, str], bool | None] = lambda value, url: None
    conforms_to: Callable[[Any, str], bool | None] = lambda value, url: None
    narrative: Callable[[Any], bool] = lambda text: True
    now: datetime | None = None
    steps: int = STEPS
    variables: Mapping[str, Items] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an expression stands: $this, $index and $total."""

    this: Items
    index: int = 0
    total: Items = field(default_factory=list)


def evaluate(expression: Expression | str, value: Any, type_path: str, environment: Environment) -> Items:
    """The items that an expression gives for a value, which R4 knows at `type_path` (Period, Encounter.location)."""
    tree = parse(expression) if isinstance(expression, str) else expression
    focus = [value if isinstance(value, Item) else item_of(value, type_path)]
    try:
        return Evaluator(environment, focus).run(tree, focus, Scope(focus))
    except RecursionError:  # a value that is nested deeper than any that is read from JSON
        raise StepsExceeded from None
    except ArithmeticError:  # a number of more digits than any text of JSON gives
        raise FhirPathError("a number is too large") from None


def truth(items: Items) -> bool | None:
    """The Boolean of a list: None when it is empty; one item that is no Boolean counts as true."""
    if not items:
        return None
    if len(items) > 1:
        raise FhirPathError("one item is expected where there are several")
    held = items[0].value
    return held if isinstance(held, bool) else True


def holds(expression: Expression | str, value: Any, type_path: str, environment: Environment) -> bool:
    """Whether a constraint holds. Nothing at all counts as not false: R4 constraints are written so."""
    return truth(evaluate(expression, value, type_path, environment)) is not False


class Evaluator:
    """One evaluation; `root` is what %context means."""

    def __init__(self, environment: Environment, root: Items) -> None:
        self.environment = environment
        self.root = root
        self.left = environment.steps

    def count(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise StepsExceeded

    def run(self, tree: Expression, focus: Items, scope: Scope) -> Items:
        self.count()
        match tree:
            case Name():
                return self._name(tree, focus, scope)
            case Call():
                return self._call(tree, focus, scope)
            case Constant():
                return [self._constant(tree)]
            case Variable():
                return self._variable(tree, scope)
            case Empty():
                return []
            case Index():
                base, index = self.run(tree.base, focus, scope), self.run(tree.index, focus, scope)
                place = self.single(index).value if index else None
                if place is not None and (isinstance(place, bool) or not isinstance(place, int)):
                    raise FhirPathError("an index is a whole number")
                return [base[place]] if place is not None and 0 <= place < len(base) else []
            case Unary():
                return self._unary(tree, focus, scope)
            case Binary():
                return self._binary(tree, focus, scope)
            case TypeTest():
                held = self.run(tree.operand, focus, scope)
                return test_type(tree.operator, held, tree.type)

    def _name(self, tree: Name, focus: Items, scope: Scope) -> Items:
        if tree.base is None:
            if len(focus) == 1 and tree.name[:1].isupper() and is_a(focus[0].type, tree.name):
                return focus
            held = focus
        else:
            held = self.run(tree.base, focus, scope)
        found = [child for item in held for child in children(item, tree.name)]
        self.count(len(found))
        return found

    def _call(self, tree: Call, focus: Items, scope: Scope) -> Items:
        from fhir_facade.profile.fhirpath_functions import FUNCTIONS  # the table needs this module

        function = FUNCTIONS.get(tree.name)
        if function is None:
            raise FhirPathError(f"there is no function {tree.name}()", tree.at)
        if not function.least <= len(tree.arguments) <= function.most:
            raise FhirPathError(f"{tree.name}() does not take {len(tree.arguments)} arguments", tree.at)
        held = focus if tree.base is None else self.run(tree.base, focus, scope)
        found = function.apply(self, held, tree.arguments, scope)
        self.count(len(found) // 10)
        return found

    def _constant(self, tree: Constant) -> Item:
        kind, value, unit = tree.literal
        if kind == "quantity":
            return Item(Quantity(Decimal(str(value)), unit), "System.Quantity")
        if kind == "number":
            return Item(value, "System.Integer" if isinstance(value, int) else "System.Decimal")
        return Item(value, f"System.{kind[0].upper()}{kind[1:]}")

    def _variable(self, tree: Variable, scope: Scope) -> Items:
        environment = self.environment
        if tree.name.startswith("$"):
            if tree.name == "$this":
                return scope.this
            return [integer(scope.index)] if tree.name == "$index" else scope.total
        name = unescaped(tree.name[1:].strip("`'\""))
        if name == "context":
            return self.root
        if name in ("resource", "rootResource"):
            held = environment.resource if name == "resource" else environment.root_resource or environment.resource
            return [item_of(held, "Resource")] if held is not None else self.root
        if name in environment.variables:
            return environment.variables[name]
        for stem, base in (("vs-", "ValueSet"), ("ext-", "StructureDefinition")):
            if name.startswith(stem):
                return [string(f"http://hl7.org/fhir/{base}/{name[len(stem) :]}")]
        if name in URLS:
            return [string(URLS[name])]
        raise FhirPathError(f"there is no %{name}", tree.at)

    def _unary(self, tree: Unary, focus: Items, scope: Scope) -> Items:
        held = self.run(tree.operand, focus, scope)
        if not held:
            return []
        value = number(held[0]) if len(held) == 1 else None
        quantity = quantity_of(held[0]) if value is None and len(held) == 1 else None
        if quantity is not None:
            return [
                Item(
                    Quantity(-quantity.value if tree.operator == "-" else quantity.value, quantity.unit),
                    "System.Quantity",
                )
            ]
        if value is None:
            raise FhirPathError(f"'{tree.operator}' stands before a number")
        return [Item(-value if tree.operator == "-" else value, held[0].type)]

    # operators

    def _binary(self, tree: Binary, focus: Items, scope: Scope) -> Items:
        operator = tree.operator
        if operator in ("and", "or", "xor", "implies"):
            return self._logic(tree, focus, scope)
        left, right = self.run(tree.left, focus, scope), self.run(tree.right, focus, scope)
        self.count(len(left) + len(right))
        if operator == "|":
            return self.distinct([*left, *right])
        if operator in ("=", "!="):
            answer = self.same_lists(left, right)
            return [] if answer is None else [boolean(answer == (operator == "="))]
        if operator in ("~", "!~"):
            return [boolean(self.alike_lists(left, right) == (operator == "~"))]
        if operator in ("in", "contains"):
            one, many = (left, right) if operator == "in" else (right, left)
            if not one:
                return []
            return [boolean(any(equal(self.single(one, tree), each) is True for each in many))]
        if operator == "&":
            parts = [text_of(self.single(each, tree)) or "" if each else "" for each in (left, right)]
            return [text("".join(parts))]
        if not left or not right:
            return []
        first, second = self.single(left, tree), self.single(right, tree)
        if operator in ("<", "<=", ">", ">="):
            return self._ordered(tree, first, second)
        return arithmetic(operator, first, second, tree.at)

    def _logic(self, tree: Binary, focus: Items, scope: Scope) -> Items:
        """Three-valued, http://hl7.org/fhirpath/N1/#boolean-logic; the right side is asked when it matters."""
        one = truth(self.run(tree.left, focus, scope))
        operator = tree.operator
        if (
            (operator == "and" and one is False)
            or (operator == "or" and one)
            or (operator == "implies" and one is False)
        ):
            return [boolean(operator != "and")]
        other = truth(self.run(tree.right, focus, scope))
        answer: bool | None
        if operator == "and":
            answer = False if other is False else True if one and other else None
        elif operator == "or":
            answer = True if other else False if one is False and other is False else None
        elif operator == "xor":
            answer = None if one is None or other is None else one != other
        else:
            answer = True if other else False if one and other is False else None
        return [] if answer is None else [boolean(answer)]

    def _ordered(self, tree: Binary, one: Item, other: Item) -> Items:
        try:
            order = compare(one, other)
        except TypeError as error:
            raise FhirPathError(str(error), tree.at) from None
        if order is None:
            return []
        return [boolean({"<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[tree.operator])]

    def single(self, items: Items, tree: Any = None) -> Item:
        if len(items) != 1:
            raise FhirPathError("one item is expected where there are several", getattr(tree, "at", 0))
        return items[0]

    def same_lists(self, left: Items, right: Items) -> bool | None:
        if not left or not right:
            return None
        if len(left) != len(right):
            return False
        answers = [equal(a, b) for a, b in zip(left, right, strict=True)]
        return False if False in answers else None if None in answers else True

    def alike_lists(self, left: Items, right: Items) -> bool:
        if len(left) != len(right):
            return False
        rest = list(right)
        for item in left:
            self.count(len(rest))
            place = next((i for i, each in enumerate(rest) if equivalent(item, each)), None)
            if place is None:
                return False
            del rest[place]
        return True

    def distinct(self, items: Sequence[Item]) -> Items:
        """Each item once, in order."""
        kept: Items = []
        plain: set[tuple[str, Any]] = set()
        for item in items:
            if isinstance(item.value, str | bool | int) and item.system == "String":
                key = (item.system, item.value)
                if key not in plain:
                    plain.add(key)
                    kept.append(item)
                continue
            self.count(len(kept))
            if not any(equal(item, each) is True for each in kept):
                kept.append(item)
        return kept


def is_a(type_name: str, wanted: str) -> bool:
    """Whether an R4 or System type is another, or made of it."""
    plain = wanted.removeprefix("FHIR.")
    if type_name in (plain, wanted, f"System.{wanted}"):
        return True
    if type_name.startswith("System.") or wanted.startswith("System."):
        return False
    return plain in bases_of(type_name)


@lru_cache(maxsize=1024)
def bases_of(type_name: str) -> tuple[str, ...]:
    """The types that a type of R4 rests on, the nearest first."""
    found: list[str] = []
    content = definitions().structure(type_name)
    while content is not None and content.get("baseDefinition"):
        found.append(str(content["baseDefinition"]).rpartition("/")[2])
        content = definitions().structure(found[-1])
    return tuple(found)


def test_type(operator: str, items: Items, wanted: str) -> Items:
    """`is` and `as`: of one item, or none. `as` of several gives those that are of the type, as R4 constraints need."""
    if operator == "as":
        return [item for item in items if _is_type(item, wanted)]
    if not items:
        return []
    if len(items) > 1:
        raise FhirPathError("'is' asks of one item")
    return [boolean(_is_type(items[0], wanted))]


def _is_type(item: Item, wanted: str) -> bool:
    return is_a(item.type, wanted)
