"""Read values back in compiled code: what one row finds, put into the record's fields.

Rows whose field has other rows too offer what they found; the best offer wins, as in take.py: a code that was there
before one that was chosen, then the order of rows. Where the order of rows alone decides, it is known when the code is
written; only the other fields are `ranked` when a resource is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fhir_facade.emit import Source
from fhir_facade.mapping.ir import Coded, Copy, Each, Identify, Key, Logical, Refer, Rule
from fhir_facade.mapping.kinds import KEY_LENGTH, Kind
from fhir_facade.mapping.read_values import Fields, Resolve, is_choice, key_fields
from fhir_facade.mapping.row_facts import head_of, said_by, shared_fields
from fhir_facade.mapping.take import every, read
from fhir_facade.outcome import Issue

KEPT = 10_000
"""Most values remembered for one row; codes are few, but what a client sends is not."""


class Unusual(Exception):
    """The resource is not of the form that our engines write."""


class Values:
    """Writes the lines that read single values."""

    def __init__(self, source: Source, kind: Kind, rules: tuple[Rule, ...], ranked: set[str]) -> None:
        self.source, self.kind, self.rules = source, kind, rules
        self.ranked = ranked | {name for rule in every(rules) if _may_choose(rule) for name in said_by(rule)}
        self.unordered: set[str] = set()
        self.said: dict[str, list[int]] = {}  # by field, the places of the rows that were written so far
        self.order = {id(rule): place for place, rule in enumerate(every(rules))}
        self.shared = shared_fields(rules)
        self.out, self.best = "out", "best"
        self.fields: Mapping[str, Any] | None = None  # inside a list: the fields of its items
        self.late: list[tuple[Rule, str, str]] = []
        self.children: dict[str, list[Each]] = {}

    def value(self, rule: Rule, var: str, companion: str) -> None:
        """Read one value and put what it says into the record."""
        line, block = self.source.line, self.source.block
        if not var.isidentifier():
            held = self.source.fresh("v")
            line(f"{held} = {var}")
            var = held
        match rule:
            case Copy(codec="dateTime", fields=(_,)):
                with block(f"if {var} is not None:", rule.at):
                    line(f"h = local_hours[{var}[:13] + {var}[19:]] if len({var}) == 25 else ''")
                    line(f"x = h + {var}[13:19] if h and {var}[10] == 'T' else plain('dateTime', {var})")
                    self.put_read(rule.fields[0], rule)
            case Copy(fields=(_,), suffix=""):
                with block(f"if {var} is not None:", rule.at):
                    if rule.codec == "text":
                        line(f"x = {var} if {var}.__class__ is str else UNREAD")
                    else:
                        line(f"x = {f'days[{var}]' if rule.codec == 'date' else f'plain({rule.codec!r}, {var})'}")
                    self.put_read(rule.fields[0], rule)
            case Logical():
                with block(f"if {var} is not None:", rule.at):
                    line(f"x = {var}['identifier']")
                    with block(f"if x['system'] != {rule.system.uri!r} or {var}['type'] != {rule.to!r}:"):
                        line("raise Unusual")
                    self.put_text("x['value']", rule.field, rule)
            case Coded(shape="Coding" | "CodeableConcept", code_map=None, version_field="", system_field="") if (
                rule.system
            ):
                with block(f"if {var} is not None:", rule.at):
                    line(f"x = {var}" if rule.shape == "Coding" else f"x, = {var}['coding']")
                    with block(f"if x['system'] != {rule.system.uri!r}:"):
                        line("raise Unusual")
                    self.put_text("x['code']", rule.field, rule)
            case Identify(system_field="") if rule.system:
                self.identifier(rule, var)
            case Key() | Refer() if all(codec != "integer" for _, codec in rule.parts):
                self.key(rule, var)
            case _:
                self.answer(rule, var, companion)

    def identifier(self, rule: Identify, var: str) -> None:
        """An identifier of one system, and who gave it."""
        line, block = self.source.line, self.source.block
        uri = rule.system.uri if rule.system else ""
        with block(f"if {var} is not None:", rule.at):
            with block(f"if {var}['system'] != {uri!r}:"):
                line("raise Unusual")
            self.put_text(f"{var}['value']", rule.field, rule)
            if rule.assigner_system is None:
                return
            line(f"x = {var}.get('assigner')")
            with block("if x is not None:"):
                line("x = x['identifier']")
                with block(f"if x['system'] != {rule.assigner_system.uri!r}:"):
                    line("raise Unusual")
                self.put_text("x['value']", rule.assigner_field, rule)

    def key(self, rule: Key | Refer, var: str) -> None:
        """The fields of a readable key; other keys, among them hashes, are asked for."""
        line, block = self.source.line, self.source.block
        head = head_of(rule) if isinstance(rule, Refer) else f"{rule.prefix}-" if rule.prefix else ""
        names = [f"k{place}" for place in range(len(rule.parts))]
        with block(f"if {var} is not None:", rule.at):
            line(f"x = {var}['reference']" if isinstance(rule, Refer) else f"x = {var}")
            line(f"k = x[{len(head)}:]")
            with block(f"if not x.startswith({head!r}) or not k.replace('.', '').replace('-', '').isalnum():"):
                line("raise Unusual")
            with block(f"if len(k) > {KEY_LENGTH} or not k.isascii():"):
                line("raise Unusual")
            if len(names) == 1:
                line("k0 = k")
            else:
                with block("if '.' in k:"):
                    line(f"{', '.join(names)} = k.split('.')")
                    with block(f"if not ({' and '.join(names)}):"):
                        line("raise Unusual")
                with block("else:"):
                    kind = rule.kind if isinstance(rule, Refer) else self.kind.name
                    asked = self.source.bind("asked", asking(rule, kind))
                    line(f"{', '.join(names)} = {asked}(k, resolve)")
            for (field, _), name in zip(rule.parts, names, strict=True):
                self.put(field, name, rule)

    def put_text(self, value: str, field: str, rule: Rule) -> None:
        name = self.source.fresh("t")
        self.source.line(f"{name} = {value}")
        with self.source.block(f"if {name}.__class__ is not str:"):
            self.source.line("raise Unusual")
        self.put(field, name, rule)

    def put_read(self, field: str, rule: Rule) -> None:
        with self.source.block("if x is UNREAD:"):
            self.source.line("raise Unusual")
        self.put(field, "x", rule)

    def put(self, field: str, value: str, rule: Rule) -> None:
        """Put a value into the record unless a row that stands before this one has put one there."""
        if self.fields is not None and field not in self.fields:
            return
        order = self.order[id(rule)]
        assign = f"{self.out}[{field!r}] = {value}"
        if field not in self.shared:
            self.source.line(assign)
            return
        if field in self.ranked:
            rank = (0, order)
            with self.source.block(f"if {field!r} not in {self.best} or {rank} < {self.best}[{field!r}]:"):
                self.source.line(f"{self.out}[{field!r}], {self.best}[{field!r}] = {value}, {rank}")
            return
        before = self.said.setdefault(field, [])
        if not before or all(place > order for place in before):
            self.source.line(assign)
        elif all(place < order for place in before):
            with self.source.block(f"if {field!r} not in {self.out}:"):
                self.source.line(assign)
        else:
            self.unordered.add(field)
        before.append(order)

    def answer(self, rule: Rule, var: str, companion: str) -> None:
        """A row that may say several fields: what it reads is remembered where values are few."""
        reader = self.source.bind("reads", Answers(rule, self.kind, self.fields))
        key, few = self.memo(rule, var, companion)
        test = f"{var} is not None" if companion == "None" else f"{var} is not None or {companion} is not None"
        with self.source.block(f"if {test}:", rule.at):
            if few:
                self.source.line(f"x = {reader}.get({key})")
                with self.source.block("if x is None:"):
                    self.source.line(f"x = {reader}.told({key}, {var}, {companion}, resolve)")
            else:
                self.source.line(f"x = {reader}.told(None, {var}, {companion}, resolve)")
            self.put_all(rule)

    def put_all(self, rule: Rule) -> None:
        """Put what a reader told; the fields that other rows say too are ranked."""
        names = said_by(rule)
        self.unordered |= self.shared.intersection(names) - self.ranked
        order = self.order[id(rule)]
        if not any(name in self.shared for name in names):
            self.source.line(f"{self.out}.update(x[0])")
            return
        with self.source.block("for f, w in x[0].items():"):
            self.source.line(f"rank = (x[1], {order})")
            with self.source.block(f"if f not in {self.best} or rank < {self.best}[f]:"):
                self.source.line(f"{self.out}[f], {self.best}[f] = w, rank")

    def memo(self, rule: Rule, var: str, companion: str) -> tuple[str, bool]:
        """The key under which a row's answer is remembered."""
        if isinstance(rule, Refer):
            return f"{var}['reference']", True
        if not isinstance(rule, Coded) or companion != "None":
            return "None", False
        if rule.shape == "Coding":
            return f"({var}['system'], {var}['code'], {var}.get('version'))", True
        if rule.shape == "CodeableConcept":
            return f"tuple([(c['system'], c['code'], c.get('version')) for c in {var}['coding']])", True
        return var, True


def _may_choose(rule: Rule) -> bool:
    return isinstance(rule, Coded) and rule.code_map is not None


def asking(rule: Key | Refer, kind: str) -> Callable[[str, Resolve], list[Any]]:
    """The key fields behind a key that does not show them."""

    def asked(key: str, resolve: Resolve) -> list[Any]:
        found = key_fields(key, rule, kind, resolve)
        if not isinstance(found, dict) or not all(found.values()):
            raise Unusual
        return list(found.values())

    return asked


class Answers(dict[Any, tuple[Fields, int]]):
    """What one row reads, by value: the fields (`only` those of a list's items), and whether they were chosen."""

    def __init__(self, rule: Rule, kind: Kind, only: Mapping[str, Any] | None) -> None:
        super().__init__()
        self.rule, self.kind, self.only = rule, kind, only

    def told(self, key: Any, value: Any, companion: Any, resolve: Resolve) -> tuple[Fields, int]:
        answer = read(self.rule, value, companion, self.kind, resolve)
        if answer is None or isinstance(answer, Issue):
            raise Unusual
        only = self.only
        fields = {name: held for name, held in answer.items() if held is not None and (only is None or name in only)}
        found = fields, int(isinstance(self.rule, Coded) and is_choice(self.rule, answer, value))
        resolved = isinstance(self.rule, Refer) and "." not in key  # it may be a hash, which only a store can read
        if key is not None and not resolved:
            if len(self) >= KEPT:
                self.clear()
            self[key] = found
        return found
