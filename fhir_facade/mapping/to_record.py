"""Compile a mapping backwards: FHIR resource in, record fields out; what take.py says, only faster.

The function reads resources of the form that our own engines write. At anything else it gives up (None), and take.py
reads the resource instead: what it finds is verified by rendering it again, so haste here can cost time, never truth.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_facade.contracts import Resource
from fhir_facade.emit import Source
from fhir_facade.mapping.ir import (
    Coded,
    Condition,
    Constant,
    Derive,
    Each,
    MappingRules,
    Rule,
)  # fmt: skip
from fhir_facade.mapping.kinds import Kind
from fhir_facade.mapping.read_values import DAYS, LOCAL_HOURS, UNREAD, Fields, Resolve, plain
from fhir_facade.mapping.record_values import Unusual, Values
from fhir_facade.mapping.row_facts import (
    distinct,
    head_of,
    heads,
    is_concept,
    rules_in,
    said_by,
    shared_fields,
    system_of_row,
)
from fhir_facade.mapping.take import Found, Taking, agreement, combined, every, inbound, is_whole
from fhir_facade.mapping.tree import Leaf, Loop, Member, Node, build

Backward = Callable[[Resource, Resolve], Fields | None]


def compile_to_record(mapping: MappingRules, kind: Kind) -> Backward:
    """Return `f(resource, resolve) -> fields or None`; its source is kept under the mapping's name for tracebacks."""
    rules = inbound(mapping.rules)
    writer = Writer(Source(), kind, rules, set())
    found = _write(mapping, writer)
    while writer.unordered:  # rows were met in another order than they stand: their ranks are needed after all
        writer = Writer(Source(), kind, rules, writer.ranked | writer.unordered)
        found = _write(mapping, writer)
    return found


def _write(mapping: MappingRules, writer: Writer) -> Backward:
    name = f"{mapping.resource_type.lower()}_to_{writer.kind.name}"
    source = writer.source
    with source.block(f"def {name}(resource, resolve):"):
        with source.block("try:"):
            source.line("out, best, lists = {}, {}, {}")
            place = len(source.lines)
            writer.object(build(writer.rules, mapping.resource_type), "resource")
            absent = [held for _, *late in writer.late for held in late if held != "None"]
            for each in absent:  # the object around a guarded row may not be there
                source.lines.insert(place, f"        {each} = None")
            writer.guarded_rows()
            writer.finish()
        with source.block("except (KeyError, TypeError, AttributeError, IndexError, ValueError, Unusual):"):
            source.line("return None")
    source.names |= {"Unusual": Unusual, "UNREAD": UNREAD, "plain": plain, "local_hours": LOCAL_HOURS, "days": DAYS}
    return source.compile(name, f"{mapping.name} to record")


class Writer(Values):
    """Writes the lines that read one object after another."""

    # ── objects ───────────────────────────────────────────────────────────────────────────────────────────────────

    def object(self, node: Node, var: str) -> None:
        """Read the members of the object in `var`."""
        for member in node.members.values():
            items = [
                item
                for item in member.items
                if not (isinstance(item, Leaf) and isinstance(item.rule, Constant | Derive))
            ]
            loops = [item for item in items if isinstance(item, Loop)]
            for loop in loops:
                if not loop.rule.records:
                    self.children.setdefault(loop.rule.child, []).append(loop.rule)
            if not items or all(isinstance(item, Loop) and item.rule.records for item in items):
                continue
            held = self.source.fresh("v")
            self.source.line(f"{held} = {var}.get({member.name!r})")
            if member.many:
                self.array(member, items, held)
            else:
                for item in items:
                    self.single(item, held, f"{var}.get('_{member.name}')")

    def single(self, item: Leaf | Node | Loop, var: str, companion: str) -> None:
        match item:
            case Leaf():
                beside = companion if isinstance(item.rule, Coded) and item.rule.shape == "code" else "None"
                self.row(item.rule, var, beside)
            case Node():
                with self.source.block(f"if {var} is not None:"):
                    self.object(item, var)
            case Loop():
                with self.source.block(f"if {var} is not None:"):
                    self.loop(item, f"({var},)")

    def row(self, rule: Rule, var: str, companion: str) -> None:
        """Read one value now, or after the fields that its guard asks for."""
        if rule.when:
            kept, beside = self.source.fresh("late"), companion
            self.source.line(f"{kept} = {var}")
            if companion != "None":
                beside = self.source.fresh("beside")
                self.source.line(f"{beside} = {companion}")
            self.late.append((rule, kept, beside))
        else:
            self.value(rule, var, companion)

    def guarded_rows(self) -> None:
        for rule, var, companion in self.late:
            with self.source.block(f"if {' and '.join(map(self.test, rule.when))}:"):
                self.value(rule, var, companion)

    def test(self, condition: Condition) -> str:
        value = f"out.get({condition.field!r})"
        return f"{value} in {condition.values!r}" if condition.values else f"{value} is not None"

    # ── lists ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def array(self, member: Member, items: list[Leaf | Loop | Node], var: str) -> None:
        """Share the items of a list: by extension URL, by the system of codes, or all to one row; else as take does."""
        line, block = self.source.line, self.source.block
        if member.name == "extension" and len(items) == len(member.items):
            by = self.source.fresh("by")
            line(f"{by} = {{}}")
            with block(f"for e in {var} or ():"):
                line(f"{by}.setdefault(e['url'], []).append(e)")
            for item in items:
                self.extension(item, by)
        elif all(isinstance(item, Leaf) and system_of_row(item.rule) for item in items) and distinct(items):
            by = self.source.fresh("by")
            line(f"{by} = {{}}")
            with block(f"for e in {var} or ():"):
                if is_concept(items[0]):
                    line("cs = e['coding']")
                    systems = frozenset(system_of_row(item.rule) for item in items if isinstance(item, Leaf))
                    with block("if len(cs) > 1:"):
                        line(
                            f"{self.source.bind('one_speaks', one_speaks)}(cs, {self.source.bind('systems', systems)})"
                        )
                system = "cs[0]['system']" if is_concept(items[0]) else "e['system']"
                with block(f"if {by}.setdefault({system}, e) is not e:"):
                    line("raise Unusual")
            for item in items:
                if isinstance(item, Leaf):
                    self.row(item.rule, f"{by}.get({system_of_row(item.rule)!r})", "None")
        elif len(heads(items)) == len(items) == len(member.items):
            self.references(items, var)
        elif len(items) == 1 and len(member.items) == 1 and isinstance(items[0], Loop):
            with block(f"if {var}:"):
                self.loop(items[0], var)
        elif len(items) == 1 and len(member.items) == 1 and not isinstance(items[0], Loop):
            with block(f"if {var}:"):
                self.only_one(items[0], var)
        else:
            self.as_take_does(member, var)

    def references(self, items: list[Leaf | Loop | Node], var: str) -> None:
        """References told apart by the type and prefix of their id."""
        line, block = self.source.line, self.source.block
        rows = [(item.rule, self.source.fresh("e")) for item in items if isinstance(item, Leaf)]
        line(f"{' = '.join(held for _, held in rows)} = None")
        with block(f"for e in {var} or ():"):
            line("r = e['reference']")
            for place, (rule, held) in enumerate(rows):
                with block(f"{'elif' if place else 'if'} r.startswith({head_of(rule)!r}) and {held} is None:"):
                    line(f"{held} = e")
            with block("else:"):
                line("raise Unusual")
        for rule, held in rows:
            self.row(rule, held, "None")

    def only_one(self, item: Leaf | Node, var: str) -> None:
        one = self.source.fresh("e")
        with self.source.block(f"if len({var}) != 1:"):
            self.source.line("raise Unusual")
        self.source.line(f"{one} = {var}[0]")
        if isinstance(item, Node) and any(True for _ in item.constants()):
            agrees, node = self.source.bind("agreement", agreement), self.source.bind("node", item)
            with self.source.block(f"if {agrees}({node}, {one}) == 'no':"):
                self.source.line("raise Unusual")
        self.single(item, one, "None")

    def extension(self, item: Leaf | Loop | Node, by: str) -> None:
        """The extensions of one URL."""
        if isinstance(item, Leaf):
            raise AssertionError("an extension is an object")
        url = item.rule.path[-1].url if isinstance(item, Loop) else item.url
        var = self.source.fresh("e")
        self.source.line(f"{var} = {by}.get({url!r})")
        with self.source.block(f"if {var}:"):
            if isinstance(item, Loop):
                if not item.rule.records:
                    self.loop(item, var)
            else:
                self.only_one(item, var)

    def loop(self, loop: Loop, var: str) -> None:
        """The items of a list, each a dictionary of its own."""
        rule, line = loop.rule, self.source.line
        if rule.records:
            return
        if rule.when or any(inner.when for inner in every(rule.rules)):
            line("raise Unusual", rule.at)
            return
        items, item = self.source.fresh("items"), self.source.fresh("item")
        line(f"{items} = []", rule.at)
        outer = self.out, self.shared, self.fields, self.best, self.said
        self.out, self.shared, self.best = item, shared_fields(rule.rules), self.source.fresh("best")
        self.said = {}
        self.fields = self.kind.children[rule.child].fields
        with self.source.block(f"for e in {var}:"):
            line(f"{item} = {{}}")
            if self.shared:
                line(f"{self.best} = {{}}")
            if isinstance(loop.body, Node):
                body = self.source.fresh("o")
                line(f"{body} = e")
                self.object(loop.body, body)
            else:
                self.value(loop.body.rule, "e", "None")
            with self.source.block(f"if not {item}:"):
                line("raise Unusual")
            line(f"{items}.append({item})")
        self.out, self.shared, self.fields, self.best, self.said = outer
        line(f"lists[{self.order[id(rule)]}] = {items}")

    def finish(self) -> None:
        """Put the lists into the record: one row's as they are, those of several rows combined."""
        line = self.source.line
        for child, eaches in self.children.items():
            if len(eaches) == 1 and is_whole(eaches[0]):
                each = eaches[0]
                line(f"out[{child!r}] = items = lists.get({self.order[id(each)]}, [])")
                if each.order:
                    with self.source.block("for place, item in enumerate(items, 1):"):
                        line(f"item[{each.order!r}] = place")
                continue
            rows = [f"({self.source.bind('each', each)}, lists.get({self.order[id(each)]}, ()))" for each in eaches]
            line(f"out[{child!r}] = {self.source.bind('combined', combined)}([{', '.join(rows)}])")
        line("return out")

    def as_take_does(self, member: Member, var: str) -> None:
        """A list whose items are told apart by more than a system or a URL is read by the interpreter."""
        order, kind = self.order, self.kind

        def odd(values: Any, resolve: Resolve, out: Fields, best: dict[str, tuple[int, int]], lists: Any) -> None:
            if not isinstance(values, list | None):
                raise Unusual
            taking, found = Taking(kind, order, resolve), Found(out, best)
            taking.array(member, values or [], (), dict(out), found)
            if taking.claims.reasons or any(rule.when for rule in rules_in(member)):
                raise Unusual
            for entries in found.lists.values():
                for each, items in entries:
                    lists[order[id(each)]] = items

        if self.out != "out":
            self.source.line("raise Unusual")
            return
        for rule in rules_in(member):
            self.unordered |= self.shared.intersection(said_by(rule)) - self.ranked
            if isinstance(rule, Each) and not rule.records:
                known = self.children.setdefault(rule.child, [])
                if all(each is not rule for each in known):
                    known.append(rule)
        self.source.line(f"{self.source.bind('odd', odd)}({var}, resolve, out, best, lists)")


def one_speaks(codings: list[Any], systems: frozenset[str]) -> None:
    """Raise Unusual when a coding behind the first is one that rows of the same list may read."""
    if any(coding.get("system") in systems for coding in codings[1:]):
        raise Unusual
