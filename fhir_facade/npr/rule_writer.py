"""Expressions of rules written as Python: every name is resolved, every comparison is of like values.

What comes out is loops and comparisons over dicts. A comparison with a missing value is neither true nor false.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fhir_facade.emit import Source
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.npr.functions import FUNCTIONS, Codes
from fhir_facade.npr.places import (
    Place,
    RuleFault,
    Value,
    alike,
    field_of,
    judged_on,
    loops_of,
    names,
    own_list,
    unknown,
    way,
)
from fhir_facade.npr.record_functions import RECORD_FUNCTIONS
from fhir_facade.npr.values import ask, equal, finder, is_distinct, minus, order, part, plus, starter, whole, within
from fhir_facade.profile.conditions import Condition, logic, negated, swapped
from fhir_facade.profile.fhirpath_syntax import Binary, Call, Constant, Empty, Expression, Name, Unary, Variable

NUMBERS = frozenset({"integer"})
ORDERS = {"<": ("(-1,)", "(0, 1)"), "<=": ("(-1, 0)", "(1,)"), ">": ("(1,)", "(-1, 0)"), ">=": ("(0, 1)", "(-1,)")}
"""Operator → the orders for which it is true, and those for which it is false."""

LITERALS = {"string": "text", "number": "integer", "date": "date", "dateTime": "dateTime", "boolean": "boolean"}
Terms = Mapping[tuple[str, str], Expression]
"""Derived values: (kind, name) → the expression that gives it."""


@dataclass(frozen=True)
class Words:
    """What rules may name: record kinds, code lists, named tables of codes (`tables`), derived values (`terms`)."""

    kinds: Kinds
    codes: Codes
    tables: Mapping[str, Mapping[str, str]]
    terms: Terms


class RuleWriter:
    """Writes the conditions of one rule."""

    def __init__(self, words: Words, root: Place) -> None:
        self.words = words
        self.kinds = words.kinds
        self.root = root
        self.source = Source()
        self.used: list[str] = []
        self.seen: set[str] = set()

    # truth

    def condition(self, tree: Expression, at: Place) -> Condition:
        """Whether an expression holds, seen from a place."""
        match tree:
            case Binary(operator=("and" | "or" | "xor" | "implies") as operator, left=left, right=right):
                return logic(operator, self.condition(left, at), self.condition(right, at))
            case Binary(operator=("=" | "!=") as operator, left=left, right=right):
                same = self._same(left, right, at)
                return same if operator == "=" else swapped(same)
            case Binary(operator=("<" | "<=" | ">" | ">=") as operator, left=left, right=right):
                return self._ordered(operator, self.value(left, at), self.value(right, at))
            case Binary(operator="in", left=left, right=right):
                return self._among(left, right, at)
            case Binary(operator="contains", left=left, right=right):
                return self._among(right, left, at)
            case Call(name="not", base=base, arguments=()) if base is not None:
                return swapped(self.condition(base, at))
            case Call(name=("exists" | "empty") as name, base=base, arguments=arguments) if len(arguments) < 2:
                there = self._exists(base, arguments, at)
                return there if name == "exists" else swapped(there)
            case Call(name="all", base=base, arguments=(asked,)):
                return self._all(self.value(base, at), asked)
        found = self.value(tree, at)
        if found.type != "boolean":
            raise RuleFault(f"true or false is expected, not {found.type}")
        text = self.one(found)
        return Condition(f"({text} is True)", f"({text} is False)")

    def _exists(self, base: Expression | None, arguments: tuple[Expression, ...], at: Place) -> Condition:
        held = self.value(base, at)
        if not arguments:
            return _definite(self.there(held))
        met = self.condition(arguments[0], self.place(held))
        loops = " ".join(loops_of(held))
        return Condition(f"any({met.true} {loops})", f"all({met.false} {loops})")

    def _all(self, held: Value, tree: Expression) -> Condition:
        met = self.condition(tree, self.place(held))
        loops = " ".join(loops_of(held))
        return Condition(f"all({met.true} {loops})", f"any({met.false} {loops})")

    def _same(self, left: Expression, right: Expression, at: Place) -> Condition:
        one, other = self.value(left, at), self.value(right, at)
        alike(one, other)
        if isinstance(right, Constant):
            text = self.one(one)
            return Condition(f"({text} == {other.text})", f"({text} not in (None, {other.text}))")
        asked = f"{self.bind(equal)}({self.one(one)}, {self.one(other)})"
        return Condition(f"({asked} is True)", f"({asked} is False)")

    def _ordered(self, operator: str, one: Value, other: Value) -> Condition:
        alike(one, other)
        asked = f"{self.bind(order)}({self.one(one)}, {self.one(other)})"
        true, false = ORDERS[operator]
        return Condition(f"({asked} in {true})", f"({asked} in {false})")

    def _among(self, left: Expression, right: Expression, at: Place) -> Condition:
        one = self.value(left, at)
        many = [self.value(each, at) for each in _parts(right)]
        for each in many:
            alike(one, each)
        text = self.one(one)
        listed = ", ".join(f"*{self.many(each)}" for each in many)
        if all(not each.clauses and each.place is None and each.field is None for each in many):
            listed = ", ".join(each.text for each in many)
            return Condition(f"({text} in ({listed},))", f"({text} not in (None, {listed}))")
        asked = f"{self.bind(within)}({text}, [{listed}])"
        return Condition(f"({asked} is True)", f"({asked} is False)")

    # values

    def one(self, value: Value) -> str:
        """The text of a single value, None when there is none."""
        if not value.single:
            raise RuleFault("there may be several values here; say first(), all() or exists()")
        return f"next(({value.text} {' '.join(value.clauses)}), None)" if value.clauses else value.text

    def many(self, value: Value) -> str:
        """The text of a list of the values that are there."""
        return f"[{value.text} {' '.join(loops_of(value))}]"

    def there(self, value: Value) -> str:
        """The text that tells whether there is any value."""
        if not value.clauses:
            return f"({value.text} is not None)"
        return f"any(True {' '.join(value.clauses)})"

    def place(self, value: Value) -> Place:
        if value.place is None:
            raise RuleFault(f"records are expected, not {value.type}")
        return value.place

    def bind(self, function: Callable[..., Any]) -> str:
        return self.source.bind(function.__name__, function)

    def value(self, tree: Expression | None, at: Place) -> Value:
        """The value of an expression, seen from a place."""
        match tree:
            case None:
                return _record(at, ())
            case Constant(literal=literal):
                kind = LITERALS.get(literal.kind)
                if kind is None:
                    raise RuleFault(f"a {literal.kind} cannot be written in a rule")
                return Value(kind, repr(literal.value))
            case Variable(name=name):
                return self._variable(name, at)
            case Name(base=base, name=name):
                held = _record(at, ()) if base is None else self.value(base, at)
                return self._name(held, name)
            case Empty():
                return Value("any", "None")
            case Unary(operator="-", operand=Constant() as operand):
                return Value("integer", f"-{self.value(operand, at).text}")
            case Binary(operator=("+" | "-") as operator, left=left, right=right):
                one, other = self.value(left, at), self.value(right, at)
                if {one.type, other.type} != NUMBERS:
                    raise RuleFault(f"'{operator}' stands between numbers")
                function = plus if operator == "+" else minus
                return Value("integer", f"{self.bind(function)}({self.one(one)}, {self.one(other)})")
            case Call():
                return self._call(tree, at)
        return self._truth(tree, at)

    def _truth(self, tree: Expression, at: Place) -> Value:
        """Whether an expression holds, as a value."""
        held = self.condition(tree, at)
        return Value("boolean", f"(True if {held.true} else False if {held.false} else None)")

    def _variable(self, name: str, at: Place) -> Value:
        plain = name[1:]
        if name == "$this":
            return _record(at, ())
        if plain == "item":
            return _record(self.root, ())
        if plain == "today":
            return Value("date", "g.today")
        if plain in ("graph", "earlier"):
            return Value(plain, "g")
        host = Place("r", self.root.kind, None, "r")
        if plain == host.kind.name:
            return _record(host, ())
        found = way(self.kinds, host, plain)
        if found is None and plain in self.kinds.by_name:
            return self._records(plain, f"g.all({plain!r})", (), True)
        if found is None or not found.single:
            raise unknown(
                "a rule", plain, iter((*host.kind.links, *self.kinds.by_name, "today", "graph", "earlier", "item"))
            )
        return self._name(_record(host, ()), plain)

    def _name(self, held: Value, name: str) -> Value:
        if held.type in ("graph", "earlier"):
            if name not in self.kinds.by_name:
                raise unknown("the record files", name, iter(self.kinds.by_name))
            return self._records(name, f"g.{'all' if held.type == 'graph' else 'before'}({name!r})", (), False)
        place = self.place(held)
        found = field_of(place, name)
        if found is not None:
            return self._field(held, place, found)
        term = None if place.child else self.words.terms.get((place.kind.name, name))
        if term is not None:
            value = self.value(term, place)
            if value.type == "record":
                return value._replace(clauses=(*held.clauses, *value.clauses), single=held.single and value.single)
            text = self.one(value)
            return self._stepped(held, Value(value.type, text))
        child = own_list(place, name)
        if child is not None:
            each = self.source.fresh("x")
            loop = f"for {each} in {place.text}.get({name!r}) or ()"
            return _record(Place(each, place.kind, child, place.text), (*held.clauses, loop), False)
        path = way(self.kinds, place, name)
        if path is None:
            raise unknown(place.label, name, names(self.kinds, place))
        values = ", ".join(path.values)
        text = f"g.of({path.kind!r}, {path.fields!r}, ({values},))"
        return self._records(path.kind, text, held.clauses, held.single and path.single)

    def _records(self, kind: str, text: str, clauses: tuple[str, ...], single: bool) -> Value:
        self.seen.add(kind)
        each = self.source.fresh("x")
        place = Place(each, self.kinds[kind], None, each)
        return _record(place, (*clauses, f"for {each} in {text}"), single)

    def _field(self, held: Value, place: Place, found: Any) -> Value:
        if place.text in ("i", "r"):
            self.used.append(found.name)
        text = f"{place.text}.get({found.name!r})"
        return self._stepped(held, Value(found.type, text, (), True, None, found, place))

    def _stepped(self, held: Value, value: Value) -> Value:
        """A value of what is held: of each item, where there are loops, as far as it is there."""
        if not held.clauses:
            return value
        each = self.source.fresh("v")
        loop = f"for {each} in ({value.text},) if {each} is not None"
        return value._replace(text=each, clauses=(*held.clauses, loop), single=held.single)

    # functions

    def _call(self, tree: Call, at: Place) -> Value:
        name, arguments = tree.name, tree.arguments
        own = getattr(self, f"_call_{name}", None)
        if own is not None:
            found: Value = own(tree, at)
            return found
        if name in RECORD_FUNCTIONS:
            place = self.place(self.value(tree.base, at))
            call = self.source.bind(name, RECORD_FUNCTIONS[name].apply)
            about = self.source.bind(f"kind_{place.kind.name}", place.kind)
            return Value("boolean", f"{call}(g, {about}, {place.text})")
        function = FUNCTIONS.get(name)
        if function is None:
            if name in ("exists", "empty", "all", "not"):
                return self._truth(tree, at)
            known = [each[6:] for each in dir(self) if each.startswith("_call_")]
            raise unknown("FHIRPath here", name, iter([*FUNCTIONS, *RECORD_FUNCTIONS, *known, "exists", "all"]))
        asked = [self.value(tree.base, at), *(self.value(each, at) for each in arguments)]
        if len(asked) != len(function.takes):
            raise RuleFault(f"{name}() takes {len(function.takes) - 1} arguments, not {len(arguments)}")
        for value, takes in zip(asked, function.takes, strict=True):
            if value.type not in takes | {"any"}:
                raise RuleFault(f"{name}() is asked of {' or '.join(sorted(takes))}, not of {value.type}")
        return self._mapped(asked[0], function.gives, self.source.bind(name, function.apply), asked[1:])

    def _mapped(self, held: Value, gives: str, call: str, rest: list[Value]) -> Value:
        """A function of each value that is there."""
        others = "".join(f", {self.one(each)}" for each in rest)
        text = f"{self.bind(ask)}({call}, {held.text}{others})"
        return self._stepped(held, Value(gives, text))

    def _call_where(self, tree: Call, at: Place) -> Value:
        held = self.value(tree.base, at)
        met = self.condition(_only(tree), self.place(held))
        return held._replace(clauses=(*loops_of(held), f"if {met.true}"))

    def _call_first(self, tree: Call, at: Place) -> Value:
        return self.value(tree.base, at)._replace(single=True)

    def _call_count(self, tree: Call, at: Place) -> Value:
        return Value("integer", f"sum(1 {' '.join(loops_of(self.value(tree.base, at)))})")

    def _call_isDistinct(self, tree: Call, at: Place) -> Value:
        return Value("boolean", f"{self.bind(is_distinct)}({self.many(self.value(tree.base, at))})")

    def _call_min(self, tree: Call, at: Place) -> Value:
        held = self.value(tree.base, at)
        return Value(held.type, f"{tree.name}({self.many(held)}, default=None)")

    _call_max = _call_min

    def _call_iif(self, tree: Call, at: Place) -> Value:
        if len(tree.arguments) != 3:
            raise RuleFault("iif() takes 3 arguments")
        met = self.condition(tree.arguments[0], at)
        one, other = self.value(tree.arguments[1], at), self.value(tree.arguments[2], at)
        alike(one, other)
        kind = other.type if one.type == "any" else one.type
        return Value(kind, f"({self.one(one)} if {met.true} else {self.one(other)})")

    def _call_matches(self, tree: Call, at: Place) -> Value:
        held, pattern = self.value(tree.base, at), _text(_only(tree))
        try:
            search = re.compile(pattern).search
        except re.error as error:
            raise RuleFault(f"'{pattern}' is no pattern: {error}") from None
        return self._mapped(held, "boolean", self.source.bind("matches", finder(search)), [])

    def _call_startsWith(self, tree: Call, at: Place) -> Value:
        start = _text(_only(tree))
        return self._mapped(self.value(tree.base, at), "boolean", self.source.bind("starts", starter(start)), [])

    def _call_substring(self, tree: Call, at: Place) -> Value:
        held = self.value(tree.base, at)
        return self._mapped(held, "text", self.bind(part), [self.value(each, at) for each in tree.arguments])

    def _call_length(self, tree: Call, at: Place) -> Value:
        return self._mapped(self.value(tree.base, at), "integer", "len", [])

    def _call_toInteger(self, tree: Call, at: Place) -> Value:
        return self._mapped(self.value(tree.base, at), "integer", self.bind(whole), [])

    def _call_listOf(self, tree: Call, at: Place) -> Value:
        name = _text(_only(tree))
        table = self.words.tables.get(name)
        if table is None:
            raise unknown("the rule file", name, iter(self.words.tables))
        return self._mapped(self.value(tree.base, at), "text", f"{self.source.bind(name, table)}.get", [])

    def _call_codeFits(self, tree: Call, at: Place) -> Value:
        """Whether the code of a field is in its list on the day of the record file; no code fits."""
        held = self.value(tree.base, at)
        if held.field is None or not held.field.code_list or held.inside is None:
            raise RuleFault("codeFits() is asked of a field that the record file gives a code list")
        on = judged_on(self.kinds, held.inside, held.field)
        call = self.source.bind("code_valid", self.words.codes.valid)
        text = f"{call}({held.text}, {held.field.code_list!r}, {on})"
        if held.clauses:
            return Value("boolean", text, held.clauses, held.single)
        return Value("boolean", f"({held.text} is None or {text})")

    def _call_codeIn(self, tree: Call, at: Place) -> Value:
        """Whether a code is in a list, named by its number, on a day."""
        if len(tree.arguments) != 2:
            raise RuleFault("codeIn() takes a list and a date")
        call = self.source.bind("code_valid", self.words.codes.valid)
        return self._mapped(
            self.value(tree.base, at), "boolean", call, [self.value(each, at) for each in tree.arguments]
        )


def _definite(text: str) -> Condition:
    return Condition(text, negated(text))


def _record(place: Place, clauses: tuple[str, ...], single: bool = True) -> Value:
    return Value("record", place.text, clauses, single, place)


def _parts(tree: Expression) -> list[Expression]:
    if isinstance(tree, Binary) and tree.operator == "|":
        return [*_parts(tree.left), *_parts(tree.right)]
    return [tree]


def _only(tree: Call) -> Expression:
    if len(tree.arguments) != 1:
        raise RuleFault(f"{tree.name}() takes 1 argument")
    return tree.arguments[0]


def _text(tree: Expression) -> str:
    if isinstance(tree, Constant) and tree.literal.kind == "string":
        return str(tree.literal.value)
    raise RuleFault("a text in quotes is expected")
