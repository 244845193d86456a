"""Constraints in FHIRPath as Python conditions over an object whose keys are known.

What only asks whether something is there is settled when the text is written; the rest becomes comparisons and loops
over the JSON. The values are well-formed: constraints are judged after everything below them. What has no such form is
left to the evaluator, and a condition that may miss a truth asks it when it fails. So the text never says more than
the evaluator does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fhir_facade.definitions import concrete_name
from fhir_facade.emit import Source
from fhir_facade.profile.conditions import (
    FALSE,
    NOTHING,
    TRUE,
    UNKNOWN,
    Condition,
    NoForm,
    after_for,
    both,
    either,
    literal,
    logic,
    negated,
    order,
    parts,
    plain,
    swapped,
)
from fhir_facade.profile.fhirpath import is_a
from fhir_facade.profile.fhirpath_syntax import (
    Binary,
    Call,
    Constant,
    Expression,
    FhirPathError,
    Name,
    Variable,
    parse,
)
from fhir_facade.profile.fhirpath_values import SYSTEM
from fhir_facade.profile.patterns import LONGEST_QUICK, pattern
from fhir_facade.profile.schema import Node

MOST_TYPES = 12
"""Types of a choice that are asked for one by one; beyond these the evaluator is quicker."""

LARGEST_ADDED = 1_000_000
"""Whole numbers above it are left to the evaluator: a sum that has more than 32 bits is nothing."""

ORDERS: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "<": ((-1,), (0, 1)), "<=": ((-1, 0), (1,)), ">": ((1,), (-1, 0)), ">=": ((0, 1), (-1,)),
}  # fmt: skip
"""Operator → the orders for which it is true, and those for which it is false."""


class Scope(NamedTuple):
    """A value: the text that gives it, its node, and its keys when it is an object whose keys are known."""

    text: str
    node: Node
    keys: frozenset[str] | None = None


class Items(NamedTuple):
    """The items of a path: clauses of a comprehension that goes through them, and the last of them (None when it is
    only asked whether there are any). No items at all when `none`."""

    clauses: tuple[str, ...]
    last: Scope | None
    none: bool = False


def holds(expression: str, node: Node, keys: frozenset[str], source: Source, variable: str = "o") -> tuple[str, bool]:
    """A condition that a constraint holds of an object with certain keys, and whether it misses no case.

    `False` and not whole: the evaluator must be asked.
    """
    try:
        found = _Writer(source).condition(parse(expression), Scope(variable, node, keys))
    except (NoForm, FhirPathError, RecursionError):
        return "False", False
    return (negated(found.false), True) if found.whole_false else (found.true, False)


class _Writer:
    """Writes the conditions of one function."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def condition(self, tree: Expression, scope: Scope) -> Condition:
        """A condition; what has no form is unknown, so that what stands beside it may still decide."""
        try:
            return self._condition(tree, scope)
        except NoForm:
            return UNKNOWN

    def _condition(self, tree: Expression, scope: Scope) -> Condition:
        match tree:
            case Binary(operator=("and" | "or" | "xor" | "implies") as operator, left=left, right=right):
                return logic(operator, self.condition(left, scope), self.condition(right, scope))
            case Binary(operator=("=" | "!=") as operator, left=left, right=right):
                same = self._same(left, right, scope)
                return same if operator == "=" else swapped(same)
            case Binary(operator=("<" | "<=" | ">" | ">=") as operator, left=left, right=right):
                return self._ordered(operator, left, right, scope)
            case Binary(operator="in", left=left, right=right):
                return self._among(left, right, scope)
            case Call():
                return self._call(tree, scope)
        raise NoForm

    def _call(self, tree: Call, scope: Scope) -> Condition:
        name, arguments = tree.name, tree.arguments
        if name == "not" and tree.base is not None and not arguments:
            return swapped(self.condition(tree.base, scope))
        if name in ("exists", "empty") and len(arguments) <= (name == "exists"):
            base = Call(tree.base, "where", arguments) if arguments else tree.base
            there = self._exists(self.items(base, scope, only_asked=True))
            return there if name == "exists" else swapped(there)
        if name == "hasValue" and not arguments:
            return self._has_value(tree.base, scope)
        if name == "all" and len(arguments) == 1:
            return self._all(self.items(tree.base, scope), arguments[0])
        if name == "matches" and len(arguments) == 1:
            return self._matches(tree.base, literal(arguments[0]), scope)
        if name == "startsWith" and len(arguments) == 1:
            return self._starts(tree.base, literal(arguments[0]), scope)
        raise NoForm

    # items

    def items(self, tree: Expression | None, scope: Scope, only_asked: bool = False) -> Items:
        """The items of a path of names, where() and ofType(), seen from a value."""
        if tree is None or (isinstance(tree, Variable) and tree.name == "$this"):
            return Items((), scope)
        if isinstance(tree, Call) and tree.name == "trace":
            return self.items(tree.base, scope, only_asked)
        if isinstance(tree, Name):
            if tree.base is None and tree.name[:1].isupper() and is_a(scope.node.type, tree.name):
                return Items((), scope)
            held = self.items(tree.base, scope)
            return held if held.none else self._child(held, tree.name, None, only_asked)
        if isinstance(tree, Call) and tree.name == "where" and len(tree.arguments) == 1:
            held = self.items(tree.base, scope)
            return held if held.none else self._where(held, tree.arguments[0])
        if isinstance(tree, Call) and tree.name == "ofType" and isinstance(tree.base, Name):
            wanted = tree.arguments[0] if len(tree.arguments) == 1 else None
            if isinstance(wanted, Name) and wanted.base is None:
                held = self.items(tree.base.base, scope)
                return held if held.none else self._child(held, tree.base.name, wanted.name, only_asked)
        raise NoForm

    def _where(self, held: Items, tree: Expression) -> Items:
        if held.last is None:
            raise NoForm
        met = self.condition(tree, Scope(held.last.text, held.last.node, held.last.keys))
        if not met.whole_true:
            raise NoForm
        return held._replace(clauses=(*held.clauses, f"if {met.true}"), none=met.true == "False")

    def _child(self, held: Items, name: str, only: str | None, only_asked: bool) -> Items:
        above = held.last
        if above is None or above.node.kind != "complex":
            raise NoForm
        child = above.node.children.get(name)
        if child is None:
            choice = above.node.children.get(f"{name}[x]")
            if choice is None:
                raise NoForm
            return self._choice(held, above, choice, only, only_asked)
        if only is not None or child.kind == "choice":
            raise NoForm
        return self._member(held, above, name, child, only_asked)

    def _choice(self, held: Items, above: Scope, choice: Node, only: str | None, only_asked: bool) -> Items:
        types = [each.code for each in choice.types if only is None or is_a(each.code, only)]
        keys = {concrete_name(choice.name, code): code for code in types}
        if above.keys is not None:
            there = [key for key in keys if key in above.keys or f"_{key}" in above.keys]
            if not there:
                return Items((), None, none=True)
            return self._member(held, above, there[0], choice.as_type(keys[there[0]]), only_asked)
        if not only_asked or len(keys) > MOST_TYPES:
            raise NoForm
        asked = [f"{name!r} in {above.text}" for key in keys for name in (key, f"_{key}")]
        return Items((*held.clauses, f"if ({' or '.join(asked)})"), None)

    def _member(self, held: Items, above: Scope, key: str, child: Node, only_asked: bool) -> Items:
        """The items under a JSON key."""
        primitive = child.kind in ("primitive", "xhtml")
        if above.keys is not None:
            if key not in above.keys and f"_{key}" not in above.keys:
                return Items((), None, none=True)
            if only_asked:
                return Items(held.clauses, None)
            if f"_{key}" in above.keys:
                raise NoForm
            text, clauses = f"{above.text}[{key!r}]", held.clauses
        elif primitive:
            if not only_asked:
                raise NoForm
            return Items((*held.clauses, f"if ({key!r} in {above.text} or {f'_{key}'!r} in {above.text})"), None)
        elif child.many:
            text, clauses = f"{above.text}.get({key!r}, ())", held.clauses
        else:
            text, clauses = f"{above.text}[{key!r}]", (*held.clauses, f"if {key!r} in {above.text}")
        if not child.many:
            return Items(clauses, Scope(text, child))
        each = self.source.fresh("x")
        return Items((*clauses, f"for {each} in {text}"), Scope(each, child))

    def _exists(self, held: Items) -> Condition:
        if held.none:
            return FALSE
        if not any(each.startswith("for") for each in held.clauses):
            there = "True"
            for clause in held.clauses:
                there = both(there, clause.removeprefix("if "))
            return Condition(there, negated(there))
        there = f"any(True {' '.join(after_for(held.clauses))})"
        return Condition(there, negated(there))

    def _all(self, held: Items, tree: Expression) -> Condition:
        if held.none:
            return TRUE
        if held.last is None:
            raise NoForm
        met = self.condition(tree, held.last)
        if not met.whole_true:
            raise NoForm
        looped = after_for((*held.clauses, f"if {negated(met.true)}"))
        failing = f"any(True {' '.join(looped)})"
        return Condition(negated(failing), failing)

    def _count(self, held: Items) -> str:
        if held.none:
            return "0"
        if not any(each.startswith("for") for each in held.clauses):
            return f"(1 if {self._exists(held).true} else 0)"
        return f"sum(1 {' '.join(after_for(held.clauses))})"

    # single values

    def _has_value(self, tree: Expression | None, scope: Scope) -> Condition:
        if not isinstance(tree, Name):
            raise NoForm
        held = self.items(tree.base, scope)
        if held.none:
            return FALSE
        above = held.last
        child = above.node.children.get(tree.name) if above and not held.clauses else None
        if above is None or child is None or child.kind != "primitive" or child.many:
            raise NoForm
        if above.keys is not None:
            return TRUE if tree.name in above.keys else FALSE
        there = f"({tree.name!r} in {above.text})"
        return Condition(there, negated(there))

    def _value(self, tree: Expression | None, scope: Scope) -> tuple[str, str, bool]:
        """A primitive as text that gives its value or None, its type, and whether it is there for certain."""
        if isinstance(tree, Call) and tree.name == "toString" and not tree.arguments:
            text, type_name, certain = self._value(tree.base, scope)
            if SYSTEM.get(type_name) in ("Boolean", "Integer", "Decimal"):
                raise NoForm
            return text, "string", certain
        if isinstance(tree, Call) and tree.name in ("substring", "trace"):
            text, type_name, certain = self._value(tree.base, scope)
            if text != "None" and tree.name != "trace":
                raise NoForm
            return text, type_name, certain
        if isinstance(tree, Variable) and tree.name == "$this" and scope.node.kind == "primitive":
            return scope.text, scope.node.type, True
        if not isinstance(tree, Name):
            raise NoForm
        held = self.items(tree.base, scope)
        if held.none:
            return "None", "", False
        above = held.last
        if above is None or above.node.kind != "complex" or any(each.startswith("for") for each in held.clauses):
            raise NoForm
        child = above.node.children.get(tree.name)
        if child is None or child.kind != "primitive" or child.many:
            raise NoForm
        if above.keys is not None:
            if f"_{tree.name}" in above.keys:
                raise NoForm
            there = tree.name in above.keys
            return (f"{above.text}[{tree.name!r}]" if there else "None"), child.type, there
        there_when = " and ".join(each.removeprefix("if ") for each in held.clauses)
        got = f"{above.text}.get({tree.name!r})"
        return (f"({got} if {there_when} else None)" if there_when else got), child.type, False

    def _number(self, tree: Expression, scope: Scope) -> str | None:
        """A whole number that is always there: a count, a sum of such, a literal."""
        match tree:
            case Constant(literal=literal) if literal.kind == "number" and isinstance(literal.value, int):
                return repr(int(literal.value)) if literal.value <= LARGEST_ADDED else None
            case Binary(operator="+", left=left, right=right):
                one, other = self._number(left, scope), self._number(right, scope)
                return f"({one} + {other})" if one and other else None
            case Call(name="count", arguments=()):
                return self._count(self.items(tree.base, scope))
        return None

    # comparisons

    def _same(self, left: Expression, right: Expression, scope: Scope) -> Condition:
        one, other = self._number(left, scope), self._number(right, scope)
        if one is not None and other is not None:
            return Condition(f"({one} == {other})", f"({one} != {other})")
        if isinstance(right, Constant):
            return self._equals(left, right, scope)
        first, second = self.condition(left, scope), self.condition(right, scope)
        if not all((*first[2:], *second[2:])):
            raise NoForm
        return Condition(
            either(both(first.true, second.true), both(first.false, second.false)),
            either(both(first.true, second.false), both(first.false, second.true)),
        )

    def _equals(self, left: Expression, right: Constant, scope: Scope) -> Condition:
        text, type_name, certain = self._value(left, scope)
        if text == "None":
            return NOTHING
        value = plain(right, type_name)
        if certain:
            return Condition(f"({text} == {value})", f"({text} != {value})")
        # a primitive that has only extensions differs from every value, and is not seen here
        return Condition(f"({text} == {value})", f"({text} not in (None, {value}))", True, False)

    def _among(self, left: Expression, right: Expression, scope: Scope) -> Condition:
        text, type_name, certain = self._value(left, scope)
        if text == "None":
            return NOTHING
        values = ", ".join(sorted({plain(each, type_name) for each in parts(right)}))
        if certain:
            return Condition(f"({text} in ({values},))", f"({text} not in ({values},))")
        return Condition(f"({text} in ({values},))", f"({text} not in (None, {values}))", True, False)

    def _ordered(self, operator: str, left: Expression, right: Expression, scope: Scope) -> Condition:
        one, other = self._number(left, scope), self._number(right, scope)
        opposite = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}[operator]
        if one is not None and other is not None:
            return Condition(f"({one} {operator} {other})", f"({one} {opposite} {other})")
        if isinstance(left, Call) and left.name == "length" and other is not None:
            held = f"len({{}}) {operator} {other}"
            return self._of_text(left.base, held, f"len({{}}) {opposite} {other}", scope)
        first, first_type, first_certain = self._value(left, scope)
        if isinstance(right, Constant):
            if SYSTEM.get(first_type) not in ("Integer", "Decimal") or right.literal.kind != "number":
                raise NoForm
            value = plain(right, first_type)
            if not first_certain:
                raise NoForm
            return Condition(f"({first} {operator} {value})", f"({first} {opposite} {value})")
        second, second_type, second_certain = self._value(right, scope)
        if "None" in (first, second):
            return NOTHING
        if not {SYSTEM.get(first_type), SYSTEM.get(second_type)} <= {"Date", "DateTime"}:
            raise NoForm
        asked = f"{self.source.bind('order', order)}({first}, {second})"
        true, false = ORDERS[operator]
        certain = first_certain and second_certain
        return Condition(f"({asked} in {true!r})", f"({asked} in {false!r})", True, certain)

    def _of_text(self, tree: Expression | None, true: str, false: str, scope: Scope) -> Condition:
        """Two tests of a text, {} in them, that hold when it is there."""
        text, type_name, certain = self._value(tree, scope)
        if text == "None":
            return NOTHING
        if SYSTEM.get(type_name, "String") != "String":
            raise NoForm
        if certain:
            return Condition(f"({true.format(text)})", f"({false.format(text)})")
        held = self.source.fresh("s")
        is_there = f"({held} := {text}) is not None"
        return Condition(f"({is_there} and {true.format(held)})", f"({is_there} and {false.format(held)})")

    def _matches(self, tree: Expression | None, text: str, scope: Scope) -> Condition:
        """The evaluator says what becomes of a text that is too long to be matched."""
        asked = pattern(text)
        is_found = f"{self.source.bind('is_found', asked.is_found)}({{0}})"
        if asked.search is not None:
            found = f"{self.source.bind('search', asked.search)}({{0}}) is not None"
            is_found = f"({found} if len({{0}}) <= {LONGEST_QUICK} and {{0}}[-1:] != '\\n' else {is_found})"
        short = f"len({{0}}) <= {asked.longest} and"
        told = self._of_text(tree, f"{short} {is_found}", f"{short} not {is_found}", scope)
        return told if told == NOTHING else told._replace(whole_true=False, whole_false=False)

    def _starts(self, tree: Expression | None, start: str, scope: Scope) -> Condition:
        bound = self.source.bind("start", start)
        return self._of_text(tree, f"{{}}.startswith({bound})", f"not {{}}.startswith({bound})", scope)
