"""Straight Python for one node and one set of keys: what can be settled from the keys is settled when it is written.

The function takes an object with just these keys and the context, and answers whether it is surely right. It looks at
values only: which elements are missing, unknown, forbidden or given twice is known from the keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from fhir_facade.definitions import definitions
from fhir_facade.emit import Source
from fhir_facade.packages.elements import FHIRPATH_TYPE, UNBOUNDED, Constraint
from fhir_facade.profile.extension_counts import EXTENSIONS, few_test
from fhir_facade.profile.matching import fits, same
from fhir_facade.profile.narrative import is_good_narrative
from fhir_facade.profile.primitives import inline
from fhir_facade.profile.references import refers_to
from fhir_facade.profile.report import demanded
from fhir_facade.profile.report_rules import CODED, JUDGED_ELSEWHERE
from fhir_facade.profile.schema import Member, Node
from fhir_facade.profile.slice_tests import by_item_text, is_simple, is_url, pattern_test, patterned, plain_test
from fhir_facade.profile.slicing import criteria
from fhir_facade.profile.to_condition import holds

if TYPE_CHECKING:
    from fhir_facade.profile.shapes import FastPhase, Judge

DEEPEST_TURNS = 10
"""Most places on the way to a value where the types of R4 come round to themselves: an extension in an extension."""

FAIL = "return False"


class Never(Exception):
    """With these keys nothing is right."""


def shape_function(phase: FastPhase, node: Node, keys: tuple[str, ...]) -> Judge | None:
    """The function of a node for a set of keys, None when no value with these keys is right."""
    try:
        return _Shape(phase, node, keys).function()
    except Never:
        return None


class _Shape:
    def __init__(self, phase: FastPhase, node: Node, keys: tuple[str, ...]) -> None:
        self.phase = phase
        self.node = node
        self.keys = keys
        self.source = Source()
        self.bind = self.source.bind

    def function(self) -> Judge:
        """Write the function, or raise Never."""
        members = self._members()
        with self.source.block("def judge(o, c):"):
            for member in members:
                self._element(member)
            if self.node.kind != "primitive":  # of a primitive, this is what stands beside its value
                self._rules()
            self.source.line("return True")
        name = f"{self.node.id} {len(self.phase.shapes(self.node))} {id(self.node):x}"
        judge: Callable[..., Any] = self.source.compile("judge", name)
        return judge

    def _members(self) -> list[Member]:
        """The elements that the keys are of; those that need no loops first, for they fail sooner."""
        node, keys = self.node, set(self.keys)
        may_be_alone = node.kind == "primitive" or (node.is_root and node.type != "Extension")
        no_value = set() if may_be_alone else {"id"}
        if not keys - no_value:
            raise Never
        found: dict[str, Member] = {}
        for key in self.keys:
            if key == "resourceType" and definitions().kind(node.type) == "resource":
                continue
            plain = key[1:] if key.startswith("_") else key
            member = node.members[plain]
            if plain != key and member.node.kind not in ("primitive", "xhtml"):
                raise Never
            if found.setdefault(member.element.name, member) != member:
                raise Never
        if any(child.name not in found for child in demanded(node)):
            raise Never
        return sorted(found.values(), key=lambda each: each.node.kind not in ("primitive",))

    def fail_unless(self, condition: str) -> None:
        if condition == "False":
            raise Never
        if condition != "True":
            with self.source.block(f"if not {condition}:"):
                self.source.line(FAIL)

    # elements

    def _element(self, member: Member) -> None:
        child, key = member.element, member.key
        if child.max == 0 or (child.min > 1 and not child.many):
            raise Never
        is_twin = f"_{key}" in self.keys
        if (is_twin and (child.many or self._has_rules(member.node))) or (child.slices and not is_simple(child)):
            judge = self.bind("element", self.phase.element_by_walker(self.node, child, member))
            self.fail_unless(f"{judge}(o, c)")
            return
        if child.kind == "choice" and child.slices:
            self._choice_slices(child, member)
        if is_twin:
            self._twin(member)
            if key not in self.keys:
                return
        held = self.source.fresh("v")
        self.source.line(f"{held} = o[{key!r}]")
        if not child.many:
            if child.slices and child.kind != "choice":
                self._slices(child, f"({held},)", member)
            else:
                self._value(member.node, held)
            return
        self._list(child, held, member)

    def _has_rules(self, node: Node) -> bool:
        """Whether anything is said of a primitive that is asked of its id and extensions too."""
        return any(each.key not in JUDGED_ELSEWHERE for each in node.constraints) or len(node.profiles) > 1

    def _twin(self, member: Member) -> None:
        """The id and the extensions of a primitive."""
        held = self.source.fresh("t")
        self.source.line(f"{held} = o[{f'_{member.key}'!r}]")
        shapes = self.bind("twin", self.phase.shapes(member.node))
        has_value = member.key in self.keys or f"'extension' in {held}"
        needs = "" if has_value is True else f" and {has_value}"
        self.fail_unless(f"(type({held}) is dict{needs} and {shapes}[tuple({held})]({held}, c))")

    def _list(self, child: Node, held: str, member: Member) -> None:
        self.fail_unless(f"(type({held}) is list and {held})")
        if child.min > 1 or child.max is not None:
            most = f" <= {child.max}" if child.max is not None else ""
            least = f"{child.min} <= " if child.min > 1 else ""
            self.fail_unless(f"({least}len({held}){most})")
        if child.name in EXTENSIONS:
            self.fail_unless(few_test(self.phase.schema, held, self.source))
        if child.slices:
            self._slices(child, held, member)
            return
        each = self.source.fresh("x")
        with self.source.block(f"for {each} in {held}:"):
            self._value(member.node, each)

    def _choice_slices(self, child: Node, member: Member) -> None:
        """Slices of a choice are told apart by type: the key says it."""
        code = member.node.type
        number = next((i for i, each in enumerate(child.slices) if code in criteria(each)[0].value), -1)
        for place, each in enumerate(child.slices):
            count = int(place == number)
            if each.min > count or (each.max is not None and each.max < count):
                raise Never
        if number < 0 and child.slicing and child.slicing.rules == "closed":
            raise Never

    def _extension_slices(self, child: Node, held: str, member: Member) -> None:
        """Extensions that are told apart by URL: one look-up for each."""
        source, each, url = self.source, self.source.fresh("x"), self.source.fresh("u")
        counts, found, count = source.fresh("n"), source.fresh("t"), source.fresh("m")
        table = {
            said: (UNBOUNDED if part.max is None else part.max, self.phase.extensions(part, self.node)[said])
            for part in reversed(child.slices)  # the first of two slices counts
            for said in [criteria(part)[0].value]
        }
        others = self.bind("extensions", self.phase.extensions(member.node, self.node))
        source.line(f"{counts} = {{}}")
        with source.block(f"for {each} in {held}:"):
            self.fail_unless(f"type({each}) is dict")
            source.line(f"{url} = {each}.get('url')")
            self.fail_unless(f"type({url}) is str")
            source.line(f"{found} = {self.bind('sliced', table)}.get({url})")
            with self._turn(member.node):
                with source.block(f"if {found} is None:"):
                    is_closed = child.slicing is not None and child.slicing.rules == "closed"
                    part_of = f"':' in {url} and " if child.name == "extension" else ""
                    judged = f"({part_of}{others}[{url}][tuple({each})]({each}, c))"
                    source.line(FAIL if is_closed else f"if not {judged}: {FAIL}")
                with source.block("else:"):
                    source.line(f"{count} = {counts}[{url}] = {counts}.get({url}, 0) + 1")
                    self.fail_unless(f"({count} <= {found}[0] and {found}[1][tuple({each})]({each}, c))")
        for part in child.slices:
            if part.min:
                self.fail_unless(f"{counts}.get({criteria(part)[0].value!r}, 0) >= {part.min}")

    def _slices(self, child: Node, held: str, member: Member) -> None:
        """Each item by the first slice that it is of."""
        if all(len(criteria(part)) == 1 and is_url(criteria(part)[0]) for part in child.slices):
            self._extension_slices(child, held, member)
            return
        source, each = self.source, self.source.fresh("x")
        counted = [i for i, part in enumerate(child.slices) if part.min or part.max is not None]
        counts = {i: source.fresh("n") for i in counted}
        for name in counts.values():
            source.line(f"{name} = 0")
        with source.block(f"for {each} in {held}:"):
            self.fail_unless(f"type({each}) is dict")
            word, number = "if", self._number(child, each)
            for place, part in enumerate(child.slices):
                with source.block(f"{word} {f'{number} == {place}' if number else self._is_of(part, each)}:"):
                    if place in counts:
                        source.line(f"{counts[place]} += 1")
                    self._value(part, each)
                word = "elif"
            with source.block("else:"):
                if child.slicing and child.slicing.rules == "closed":
                    source.line(FAIL)
                else:
                    if child.name == "extension":
                        self.fail_unless(f"(type({each}.get('url')) is str and ':' in {each}['url'])")
                    self._value(member.node, each)
        for place, name in counts.items():
            part = child.slices[place]
            most = f" <= {part.max}" if part.max is not None else ""
            self.fail_unless(f"({part.min} <= {name}{most})")

    def _number(self, child: Node, variable: str) -> str:
        """The place of the first slice that an item is of, in a local variable; "" where that takes other tests."""
        told = by_item_text(child.slices)
        if told is None:
            return ""
        source, (many, key, places) = self.source, told
        number, items, item, text = (source.fresh(letter) for letter in "kpis")
        found, table = source.fresh("n"), source.bind("places", places)
        source.line(f"{number} = {len(child.slices)}")
        with (
            source.block(f"if type({items} := {variable}.get({many!r})) is list:"),
            source.block(f"for {item} in {items}:"),
        ):
            is_text = f"type({item}) is dict and type({text} := {item}.get({key!r})) is str"
            with source.block(f"if {is_text} and ({found} := {table}.get({text}, {number})) < {number}:"):
                source.line(f"{number} = {found}")
        return number

    def _is_of(self, part: Node, variable: str) -> str:
        plain = [
            plain_test(each, part, variable) or patterned(each, part, variable, self.source) for each in criteria(part)
        ]
        if all(plain):
            return " and ".join(each for each in plain if each)
        return f"{self.bind('is_of', self.phase.slice_test(part))}({variable}, c)"

    # values

    def _value(self, node: Node, variable: str) -> None:
        """One value of one type, in a local variable."""
        if node.kind == "primitive":
            self._primitive(node, variable)
        elif node.kind == "xhtml":
            self.fail_unless(f"{self.bind('is_good_narrative', is_good_narrative)}({variable})")
        elif node.kind == "resource":
            self.fail_unless(f"{self.bind('inner', self.phase.inner(node))}({variable}, c)")
        elif node.type == "Extension":
            self._extension(node, variable)
        else:
            shapes = self.bind(f"shapes_{node.name}", self.phase.shapes(node))
            with self._turn(node):
                self.fail_unless(f"(type({variable}) is dict and {shapes}[tuple({variable})]({variable}, c))")

    def _turn(self, node: Node) -> _Turn:
        comes_round = (
            (node.type == "Extension" and self.node.type == "Extension")
            or bool(node.content_reference)
            or (node.type == "Identifier" and self.node.type == "Reference")
        )
        return _Turn(self, comes_round)

    def _extension(self, node: Node, variable: str) -> None:
        table = self.bind("extensions", self.phase.extensions(node, self.node))
        url = self.source.fresh("u")
        self.fail_unless(f"type({variable}) is dict")
        self.source.line(f"{url} = {variable}.get('url')")
        with self._turn(node):
            self.fail_unless(f"(type({url}) is str and {table}[{url}][tuple({variable})]({variable}, c))")

    def _primitive(self, node: Node, variable: str) -> None:
        codes = self._codes(node)
        if codes is not None:
            self.fail_unless(f"(type({variable}) is str and {variable} in {self.bind('codes', codes)})")
        elif node.fixed is not None and type(node.fixed.value) is str:
            self.fail_unless(f"{variable} == {node.fixed.value!r}")
        elif node.type in ("", "Element"):
            raise Never
        else:
            self.fail_unless(inline(node.type, variable, self.source))
        if node.max_length is not None:
            self.fail_unless(f"(type({variable}) is not str or len({variable}) <= {node.max_length})")
        self._bounds(node, variable)
        self._judged(node, variable)

    def _bounds(self, node: Node, variable: str) -> None:
        for bound, sign in ((node.min_value, ">="), (node.max_value, "<=")):
            if bound is None or isinstance(bound, dict):
                continue
            kind = f"type({variable}) is {'not ' if isinstance(bound, str) else ''}str"
            self.fail_unless(f"({kind} or {variable} {sign} {bound!r})")

    def _codes(self, node: Node) -> frozenset[str] | None:
        """The codes of a required binding, where R4 lists them: each of them is well-formed too."""
        binding = node.binding
        if node.type != "code" or binding is None or binding.strength != "required":
            return None
        known = definitions().codes(binding.value_set.partition("|")[0])
        return frozenset(code for _, code in known) if known else None

    # what is said of a whole value

    def _rules(self) -> None:
        """The rules of the node itself, over `o`."""
        if self.node.type == "Reference":
            self._reference()
        self._judged(self.node, "o")

    def _judged(self, node: Node, variable: str) -> None:
        if node.fixed is not None:
            self._fixed(node, variable)
        if node.pattern is not None:
            pattern = node.pattern.value
            test = pattern_test(pattern, variable, self.source) if pattern else ""
            call = f"{self.bind('fits', fits)}({variable}, {self.bind('pattern', pattern)})"
            self.fail_unless(f"({test or call})")
        self._binding(node, variable)
        if len(node.profiles) > 1:
            raise Never
        for constraint in node.constraints:
            if constraint.key not in JUDGED_ELSEWHERE and self._is_error(constraint):
                self._constraint(node, constraint, variable)

    def _is_error(self, constraint: Constraint) -> bool:
        failed = "error" if constraint.severity == "error" else "warning"
        return self.phase.is_error(constraint.key, "information" if constraint.best_practice else failed)

    def _fixed(self, node: Node, variable: str) -> None:
        value = node.fixed.value if node.fixed else None
        if type(value) is str:
            if self._codes(node) is not None or node.kind != "primitive":
                self.fail_unless(f"{variable} == {value!r}")
        else:
            self.fail_unless(f"{self.bind('same', same)}({variable}, {self.bind('fixed', value)})")

    def _binding(self, node: Node, variable: str) -> None:
        binding = node.binding
        if binding is None or binding.strength != "required" or node.type not in CODED:
            return
        if self._codes(node) is None and not binding.value_set.startswith(FHIRPATH_TYPE):
            judge = self.bind("is_bound", self.phase.binding_test(node, binding.value_set))
            self.fail_unless(f"{judge}({variable})")

    def _constraint(self, node: Node, constraint: Constraint, variable: str) -> None:
        text, is_whole = "False", False
        if not constraint.expression:
            return
        if variable == "o" and node is self.node:
            text, is_whole = holds(constraint.expression, node, frozenset(self.keys), self.source)
        if text == "True":
            return
        if not is_whole:
            asked = f"{self.bind('ask', self.phase.constraint_by_walker(node, constraint))}({variable}, c)"
            text = asked if text == "False" else f"({text} or {asked})"
        self.fail_unless(text)

    def _reference(self) -> None:
        """A relative reference to an allowed type is right where no Bundle says what stands behind it."""
        if "reference" not in self.keys and "type" not in self.keys:
            return
        found = map(self.phase.schema.packages.find, self.node.targets)
        named = [each.type if each else "" for each in found]
        types = definitions().resource_types if not named or "Resource" in named else named
        asked = f"{self.bind('refers', self.phase.reference_by_walker(self.node))}(o, c)"
        if "reference" in self.keys:
            quick = f"c.frame.entries is None and {self.bind('refers_to', refers_to(frozenset(types)))}(o['reference'])"
            if "type" in self.keys:
                quick += " and o['reference'].startswith(o['type'] + '/')"
            self.fail_unless(f"(({quick}) or {asked})")
        else:
            self.fail_unless(f"(o['type'] in {self.bind('types', frozenset(types))} or {asked})")


class _Turn:
    """The lines around a place where types come round to themselves: beyond some turns the walker is to judge."""

    def __init__(self, shape: _Shape, comes_round: bool) -> None:
        self.shape = shape
        self.comes_round = comes_round

    def __enter__(self) -> None:
        if self.comes_round:
            self.shape.source.line("c.turns += 1")
            self.shape.fail_unless(f"c.turns <= {DEEPEST_TURNS}")

    def __exit__(self, *_: object) -> None:
        if self.comes_round:
            self.shape.source.line("c.turns -= 1")
