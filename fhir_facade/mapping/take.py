"""Read the rules backwards, in plain Python: FHIR resource in, record fields out; the judge of the compiled reader.

`take` knows nothing of what is stored: it says which fields a resource speaks of, and which of its elements some row
took or refused. What becomes of them is put.py's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

from fhir_facade.contracts import Resource
from fhir_facade.mapping.codecs import holds
from fhir_facade.mapping.ir import (
    Coded,
    Constant,
    Copy,
    Custom,
    Derive,
    Each,
    Identify,
    Key,
    Logical,
    MappingRules,
    Refer,
    Rule,
)  # fmt: skip
from fhir_facade.mapping.kinds import Kind
from fhir_facade.mapping.read_values import (
    Answer,
    Fields,
    Resolve,
    codings_of,
    is_choice,
    read_coded,
    read_copy,
    read_custom,
    read_identifier,
    read_key,
    read_logical,
    read_refer,
    system_is_own,
)
from fhir_facade.mapping.tree import Leaf, Loop, Member, Node, build
from fhir_facade.outcome import Issue

Place = tuple[str | int, ...]
"""Where a value stands in a resource: names and indexes."""


@dataclass
class Found:
    """What one object of a resource says of one record or list item; the best of several rows for a field wins."""

    fields: Fields = field(default_factory=dict)
    ranks: dict[str, tuple[int, int]] = field(default_factory=dict)
    lists: dict[str, list[tuple[Each, list[Fields]]]] = field(default_factory=dict)

    def offer(self, fields: Fields, rank: tuple[int, int]) -> None:
        for name, value in fields.items():
            if value is not None and (name not in self.ranks or rank < self.ranks[name]):
                self.fields[name], self.ranks[name] = value, rank

    def join(self, inner: Found) -> None:
        for name, value in inner.fields.items():
            self.offer({name: value}, inner.ranks[name])
        for child, entries in inner.lists.items():
            self.lists.setdefault(child, []).extend(entries)

    def whole(self) -> Fields:
        return {**self.fields, **{name: combined(entries) for name, entries in self.lists.items()}}


@dataclass
class Claims:
    """The elements that rows took, and why some of them could not be held."""

    taken: set[Place] = field(default_factory=set)
    reasons: dict[Place, Issue] = field(default_factory=dict)

    def add(self, place: Place, answer: Answer) -> None:
        if answer is not None:
            self.taken.add(place)
        if isinstance(answer, Issue):
            self.reasons[place] = answer

    def update(self, other: Claims) -> None:
        self.taken |= other.taken
        self.reasons |= other.reasons


def take(mapping: MappingRules, kind: Kind, resource: Resource, resolve: Resolve) -> tuple[Fields, Claims]:
    """The fields that a resource speaks of, lists of them under the names of the record's lists; and what was taken."""
    rules = inbound(mapping.rules)
    taking = Taking(kind, {id(rule): place for place, rule in enumerate(every(rules))}, resolve)
    found = taking.record(build(rules, mapping.resource_type), resource, (), {})
    return found.whole(), taking.claims


def inbound(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """The rows that work from FHIR to the record."""
    kept = [rule for rule in rules if rule.only != "to-fhir"]
    return tuple(replace(rule, rules=inbound(rule.rules)) if isinstance(rule, Each) else rule for rule in kept)


def every(rules: tuple[Rule, ...]) -> Iterator[Rule]:
    for rule in rules:
        yield rule
        if isinstance(rule, Each):
            yield from every(rule.rules)


def combined(entries: list[tuple[Each, list[Fields]]]) -> list[Fields]:
    """One list from the rows that show it: the row that shows it whole, then what a filtered one knows besides."""
    order = next((each.order for each, _ in entries if each.order), "")
    items: list[Fields] = [dict(item) for each, more in entries if is_whole(each) for item in more]
    for each, more in entries:
        fixed = {test.field: test.values[0] for test in each.keep if len(test.values) == 1}
        for item in () if is_whole(each) else more:
            known = {**fixed, **item}
            if not any(all(other.get(name) == value for name, value in known.items()) for other in items):
                items.append(known)
    for place, item in enumerate(items if order else (), 1):
        item[order] = place
    return items


def is_whole(each: Each) -> bool:
    """Whether a row shows every item of its list."""
    return not each.keep and not each.first


def read(rule: Rule, value: Any, companion: Any, kind: Kind, resolve: Resolve) -> Answer:
    """The fields that one row finds in one value; `companion` is what stands beside a primitive (`_gender`)."""
    if isinstance(rule, Coded):
        return read_coded(rule, value, companion)
    if value is None:
        return None
    match rule:
        case Copy():
            return read_copy(rule, value)
        case Key():
            return read_key(rule, value, kind.name, resolve)
        case Identify():
            return read_identifier(rule, value)
        case Refer():
            return read_refer(rule, value, resolve)
        case Logical():
            return read_logical(rule, value)
        case Custom():
            return read_custom(rule, value)
        case Constant() | Derive() | Each():
            return None
        case _:
            assert_never(rule)


class Taking:
    """One resource being read. `known` are the fields on which guards are judged; None stands for a first look that
    only unguarded rows take part in."""

    def __init__(self, kind: Kind, order: Mapping[int, int], resolve: Resolve) -> None:
        self.kind, self.order, self.resolve = kind, order, resolve
        self.claims = Claims()

    def record(self, node: Node, value: dict[str, Any], at: Place, around: Fields) -> Found:
        """What an object says of a record or list item whose rows these are; `around` is the record around an item."""
        known = {f"^{name}": held for name, held in around.items()}
        if guarded(node):
            claims, self.claims = self.claims, Claims()
            known |= self.object(node, value, at, None).fields
            self.claims = claims
        return self.object(node, value, at, known)

    def object(self, node: Node, value: dict[str, Any], at: Place, known: Fields | None) -> Found:
        found = Found()
        for member in node.members.values():
            held, companion = value.get(member.name), value.get(f"_{member.name}")
            place = (*at, member.name)
            if not member.many:
                for item in member.items:
                    self.single(item, held, companion, place, known, found)
            elif isinstance(held, list):
                self.array(member, held, place, known, found)
            elif held is None:
                self.array(member, [], place, known, found)
        return found

    def single(
        self, item: Leaf | Node | Loop, value: Any, companion: Any, at: Place, known: Fields | None, found: Found
    ) -> None:
        match item:
            case Leaf():
                answer = self.answer(item.rule, value, companion, known)
                self.settle(item.rule, answer, value, companion, at, found)
            case Node():
                found.join(self.object(item, value if isinstance(value, dict) else {}, at, known))
            case Loop():
                self.loop(item, [] if value is None else [(at, value)], known, found)

    def answer(self, rule: Rule, value: Any, companion: Any, known: Fields | None) -> Answer:
        if (value is None and companion is None) or not self.applies(rule, known):
            return None
        return read(rule, value, companion, self.kind, self.resolve)

    def applies(self, rule: Rule, known: Fields | None) -> bool:
        return not rule.when if known is None else all(holds(test, known) for test in rule.when)

    def settle(self, rule: Rule, answer: Answer, value: Any, companion: Any, at: Place, found: Found) -> None:
        """Note what a row took or refused."""
        if value is not None:
            self.claims.add(at, answer)
            for place in spoken_codings(rule, value) if answer is not None else ():
                self.claims.add((*at, "coding", place), answer)
        if companion is not None and isinstance(rule, Coded):
            self.claims.add((*at[:-1], f"_{at[-1]}"), answer)
        if isinstance(answer, dict):
            chosen = isinstance(rule, Coded) and is_choice(rule, answer, value)
            found.offer(answer, (int(chosen), self.order[id(rule)]))

    def array(self, member: Member, values: list[Any], at: Place, known: Fields | None, found: Found) -> None:
        """Share the items among the rows: constants, objects told apart by label, single values, then lists."""
        free: dict[int, Any] = dict(enumerate(values))
        leaves = [item.rule for item in member.items if isinstance(item, Leaf)]
        for rule in leaves:
            same = [here for here, value in free.items() if isinstance(rule, Constant) and contains(rule.value, value)]
            if same and self.applies(rule, known):
                self.claims.add((*at, same[0]), {})
                del free[same[0]]
        nodes = [item for item in member.items if isinstance(item, Node)]
        for node in nodes:
            self.labelled(node, free, at, known, found, lenient=len(member.items) == 1 or bool(node.url))
        for rule in leaves:
            if not isinstance(rule, Constant | Derive):
                self.first_fit(rule, free, at, known, found)
        for item in member.items:
            if isinstance(item, Loop):
                url = item.rule.path[-1].url
                mine = [((*at, place), value) for place, value in free.items() if not url or url_of(value) == url]
                for place in self.loop(item, mine, known, found):
                    free.pop(int(place[-1]), None)

    def first_fit(self, rule: Rule, free: dict[int, Any], at: Place, known: Fields | None, found: Found) -> None:
        """A row takes the first item that speaks of it; if it can hold none of them, it refuses the first."""
        refused: tuple[int, Any, Answer] | None = None
        for place, value in free.items():
            answer = self.answer(rule, value, None, known)
            if isinstance(answer, dict):
                self.settle(rule, answer, value, None, (*at, place), found)
                del free[place]
                return
            if answer is not None and refused is None:
                refused = place, value, answer
        if refused is not None:
            self.settle(rule, refused[2], refused[1], None, (*at, refused[0]), found)

    def labelled(
        self, node: Node, free: dict[int, Any], at: Place, known: Fields | None, found: Found, *, lenient: bool
    ) -> None:
        """The item that a labelled object stands for: its constants are there, and some row finds something in it.

        Where nothing else may stand in the list, an item that lacks the constants will do.
        """
        wanted = {"yes", "maybe"} if lenient else {"yes"}
        for place, value in free.items():
            if not isinstance(value, dict) or (node.url and url_of(value) != node.url):
                continue
            if agreement(node, value) not in wanted:
                continue
            claims, self.claims = self.claims, Claims()
            inner = self.object(node, value, (*at, place), known)
            tried, self.claims = self.claims, claims
            if tried.taken:
                self.claims.update(tried)
                found.join(inner)
                del free[place]
                return
        found.join(self.object(node, {}, at, known))

    def loop(self, loop: Loop, values: list[tuple[Place, Any]], known: Fields | None, found: Found) -> list[Place]:
        """The items of a list; returns the places of those in which its rows found something."""
        rule = loop.rule
        items: list[Fields] = []
        places: list[Place] = []
        for place, value in values if self.applies(rule, known) else ():
            claims, self.claims = self.claims, Claims()
            inner = self.item(loop, value, place, known)
            tried, self.claims = self.claims, claims
            if tried.taken and rule.records:  # shown here and written as records of their own: nothing is claimed
                places.append(place)
            elif tried.taken:
                self.claims.update(tried)
                own = self.kind.children[rule.child].fields
                items.append({name: held for name, held in inner.fields.items() if name in own})
                places.append(place)
        if not rule.records:
            found.lists.setdefault(rule.child, []).append((rule, items))
        return places

    def item(self, loop: Loop, value: Any, at: Place, known: Fields | None) -> Found:
        if isinstance(loop.body, Node):
            return self.record(loop.body, value if isinstance(value, dict) else {}, at, known or {})
        found, leaf = Found(), loop.body.rule
        self.settle(leaf, self.answer(leaf, value, None, known), value, None, at, found)
        return found


def spoken_codings(rule: Rule, value: Any) -> Iterator[int]:
    """Which codings of a concept a row speaks of: the first of its own system, and all that its code map writes."""
    if not isinstance(rule, Coded) or rule.shape != "CodeableConcept":
        return
    own_seen = False
    for place, coding in enumerate(codings_of(value)):
        system = coding.get("system") if isinstance(coding, dict) else None
        own = system_is_own(rule, system)
        if (own and not own_seen) or (rule.code_map is not None and system == rule.code_map.target_system):
            yield place
        own_seen = own_seen or own


def guarded(node: Node) -> bool:
    """Whether a guard stands somewhere in an object; the items of a list judge their own, but for "^fields"."""
    return any(
        guarded(item) if isinstance(item, Node) else bool(item.rule.when) or looks_out(item)
        for member in node.members.values()
        for item in member.items
    )


def looks_out(item: Leaf | Loop) -> bool:
    """Whether rows inside a list are guarded by a field of the record around it."""
    inner = every(item.rule.rules) if isinstance(item, Loop) else ()
    return any(test.field.startswith("^") for rule in inner for test in rule.when)


def url_of(value: Any) -> Any:
    return value.get("url") if isinstance(value, dict) else None


def contains(constant: Any, value: Any) -> bool:
    """Whether a value says what a constant says; it may say more, and displays do not count."""
    if isinstance(constant, dict):
        return isinstance(value, dict) and all(
            name == "display" or contains(inner, value.get(name)) for name, inner in constant.items()
        )
    if isinstance(constant, list):
        return isinstance(value, list) and all(any(contains(one, other) for other in value) for one in constant)
    return type(constant) is type(value) and bool(constant == value)


def agreement(node: Node, value: dict[str, Any]) -> str:
    """Whether an item has an object's constants ("yes"), lacks some ("maybe") or contradicts one ("no")."""
    said = "yes"
    for member, leaf in node.constants():
        if not isinstance(leaf.rule, Constant):
            continue
        held = value.get(member.name)
        if held is None:
            said = "maybe"
        elif not any(contains(leaf.rule.value, one) for one in (held if member.many else [held])):
            return "no"
    return said
