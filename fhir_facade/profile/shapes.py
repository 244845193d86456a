"""The fast phase: whether a resource is surely right, by functions made for the key sets that are met.

It answers True only for what the walker finds no error in. False means "ask the walker", which is right in every case
and can say why. A function is made when a key set is met for the third time, and only so many are kept: until then, and
beyond, the walker judges that part. So a client's invented keys cost what the walker costs, and no memory.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fhir_facade.definitions import definitions
from fhir_facade.outcome import CATALOGUE
from fhir_facade.packages.elements import Constraint
from fhir_facade.profile import slicing
from fhir_facade.profile.bindings import Bindings, codes_of
from fhir_facade.profile.bundles import Entries, faults
from fhir_facade.profile.findings import Enough, Findings
from fhir_facade.profile.references import contained_of, repeated_contained, type_of
from fhir_facade.profile.report import Frame, Place, Walker, declared
from fhir_facade.profile.report_rules import ABSOLUTE, element_names
from fhir_facade.profile.schema import Member, Node, Schema
from fhir_facade.profile.to_validator import DEEPEST_TURNS, shape_function

SIGHTINGS = 3
"""The time at which a key set is met that a function is made for it."""

FUNCTIONS_KEPT = 8192
SIGHTINGS_KEPT = 64
URLS_KEPT = 512
CHOSEN_KEPT = 1024
MOST_KEYS = 64
PAIRS_KEPT = 2048
LONGEST_PAIR = 64

LEVELS_OF_TURN = 8
"""Between two places where the types of R4 come round to themselves there are fewer levels than this; so the turns
that are allowed stay within the levels that the walker allows."""

Judge = Callable[[Any, "Context"], bool]


class _Nobody:
    """Who is asked by slices that need nobody."""

    def member(self, value_set: str, value: Any) -> bool | None:
        return None

    def conforms(self, canonical: str, value: Any) -> bool | None:
        return None

    def resolve(self, reference: str) -> Mapping[str, Any] | None:
        return None


NOBODY = _Nobody()


class Unsure(Exception):
    """What the fast phase cannot settle where it stands."""


class Context:
    """Where a value stands; `turns` counts the places where types come round to themselves."""

    __slots__ = ("_entries", "frame", "turns")

    def __init__(self, frame: Frame, turns: int = 0) -> None:
        self.frame = frame
        self.turns = turns
        self._entries: Entries | None = None

    def entries(self) -> Entries:
        """The entries of the Bundle that the context is of, looked through once."""
        if self._entries is None:
            self._entries = Entries(self.frame.resource)
        return self._entries

    @property
    def depth(self) -> int:
        """Levels, at least as many as there are."""
        return LEVELS_OF_TURN * (self.turns + 1)


def never(value: Any, context: Context) -> bool:
    """Of a key set with which nothing is right."""
    return False


class Shapes(dict[tuple[str, ...], Judge]):
    """The functions of one node by key set."""

    def __init__(self, phase: FastPhase, node: Node) -> None:
        super().__init__()
        self.phase = phase
        self.node = node
        self.seen: dict[tuple[str, ...], int] = {}
        self.by_walker = phase.by_walker(node) if node.kind != "primitive" else phase.twin_by_walker(node)
        self.known = {name for key in node.members for name in (key, f"_{key}")}
        if definitions().kind(node.type) == "resource":
            self.known.add("resourceType")

    def __missing__(self, keys: tuple[str, ...]) -> Judge:
        if len(keys) > MOST_KEYS or not self.known.issuperset(keys):
            return never
        met = self.seen.get(keys, 0) + 1
        if met < self.phase.sightings or not self.phase.functions_left:
            if len(self.seen) >= SIGHTINGS_KEPT:
                self.seen.clear()
            self.seen[keys] = met
            return self.by_walker
        self.phase.functions_left -= 1
        self.seen.pop(keys, None)
        made = shape_function(self.phase, self.node, keys) or never
        self[keys] = made
        return made


class All(dict[tuple[str, ...], Judge]):
    """Several nodes that all judge a value; () refuses it."""

    def __init__(self, shapes: Sequence[Shapes]) -> None:
        super().__init__()
        self.shapes = shapes

    def __missing__(self, keys: tuple[str, ...]) -> Judge:
        if not self.shapes:
            return never
        return lambda value, context: all(each[keys](value, context) for each in self.shapes)


class Extensions(dict[str, Mapping[tuple[str, ...], Judge]]):
    """What judges an extension at one node, by its URL."""

    def __init__(self, phase: FastPhase, node: Node, parent: Node) -> None:
        super().__init__()
        self.phase = phase
        self.node = node
        self.names = element_names(parent.type_path if parent.type else parent.path) | element_names(parent.path)
        self.is_inside = parent.type == "Extension"

    def __missing__(self, url: str) -> Mapping[tuple[str, ...], Judge]:
        made = self._made(url)
        if len(self) < URLS_KEPT:
            self[url] = made
        return made

    def _made(self, url: str) -> Mapping[tuple[str, ...], Judge]:
        phase, node = self.phase, self.node
        own = phase.shapes(node)
        if not ABSOLUTE(url):
            return own if self.is_inside else All(())
        is_modifier = node.name == "modifierExtension"
        definition = phase.schema.packages.find(url)
        root = phase.schema.node(url)
        if definition is None or definition.type != "Extension" or root is None:
            return All(()) if is_modifier or definition is not None else own
        if root.is_modifier != is_modifier or not self._stands_right(definition.contexts):
            return All(())
        if any(view.definition is definition for view in (*node.views, *node._of_type[0])):
            return own
        if any(view.definition.derivation == "constraint" for view in node.views):
            return All((own, phase.shapes(root)))
        return phase.shapes(root)

    def _stands_right(self, contexts: Sequence[tuple[str, str]]) -> bool:
        """Whether an extension may surely stand here; the walker also knows the whole way to it."""
        return any(
            (kind == "extension" and self.is_inside) or (kind == "element" and (said == "*" or said in self.names))
            for kind, said in contexts
        )


class FastPhase:
    """The functions of one schema; safe to share among threads.

    `severities` are overrides by rule key, as Findings take them; `sightings` the time at which a key set is met that
    a function is made for it.
    """

    def __init__(
        self, schema: Schema, bindings: Bindings, severities: Mapping[str, str], unknown_profile: str = "warning",
        sightings: int = SIGHTINGS,
    ) -> None:  # fmt: skip
        self.schema = schema
        self.bindings = bindings
        self.severities = severities
        self.unknown_profile = unknown_profile
        self.sightings = sightings
        self.functions_left = FUNCTIONS_KEPT
        self._shapes: dict[Node, Shapes] = {}
        self._chosen: dict[tuple[str, ...], tuple[Shapes, ...] | None] = {}
        raised = {key for key, said in severities.items() if said in ("error", "fatal")}
        # a warning that a deployment calls an error is found by the walker alone
        self.is_able = not any(key in CATALOGUE and CATALOGUE[key].severity not in ("error", "fatal") for key in raised)

    @property
    def functions_made(self) -> int:
        """How many functions are kept."""
        return FUNCTIONS_KEPT - self.functions_left

    def accepts(self, resource: Any, profiles: Sequence[str] = ()) -> bool:
        """Whether a resource is surely right, by the profiles that are named and those that it declares."""
        if not self.is_able or type(resource) is not dict:
            return False
        contained = contained_of(resource) if "contained" in resource else {}
        context = Context(Frame(resource, resource, contained))
        try:
            return self.resource(resource, context, profiles)
        except (Unsure, RecursionError):
            return False

    def resource(self, value: dict[str, Any], context: Context, profiles: Sequence[str]) -> bool:
        """A resource at the root, in an entry, or contained."""
        name = type_of(value)
        chosen = self._choose((name, *profiles, *declared(value)))
        if chosen is None or context.turns > DEEPEST_TURNS:
            return False
        if "contained" in value and repeated_contained(value):
            return False
        keys = tuple(value)
        for shapes in chosen:
            if not shapes[keys](value, context):
                return False
        if name != "Bundle":
            return True
        return not any(self.is_error(each.key, CATALOGUE[each.code].severity) for each in faults(context.entries()))

    def _choose(self, key: tuple[str, ...]) -> tuple[Shapes, ...] | None:
        """The nodes that judge a resource of a type and with some profiles; None when the walker is to."""
        if key not in self._chosen:
            found = self._chosen_for(key[0], key[1:])
            if len(self._chosen) >= CHOSEN_KEPT:
                self._chosen.clear()
            self._chosen[key] = found
        return self._chosen[key]

    def _chosen_for(self, name: str, urls: Sequence[str]) -> tuple[Shapes, ...] | None:
        if definitions().kind(name) != "resource" or name in ("Resource", "DomainResource"):
            return None
        found = [self.schema.node(url) for url in urls]
        if any(node is not None and node.types[0].code != name for node in found):
            return None
        if None in found and self.unknown_profile in ("error", "fatal"):
            return None
        base = self.schema.node(name)
        nodes = [node for node in found if node is not None] or ([base] if base else [])
        return tuple(self.shapes(node) for node in self._joined(name, nodes))

    def _joined(self, name: str, nodes: Sequence[Node]) -> list[Node]:
        """Nodes that demand what these do together: one where that can be said in one pass.

        A profile that another rests on is judged with it. Profiles that add to what they share become one node, unless
        two of them bring slices: those may call different slices by one name.
        """
        of = {node: {view.definition for view in node.views} for node in nodes}
        left = [node for node in of if not any(of[node] < of[other] for other in of)]
        shared = set.intersection(*(of[node] for node in left)) if left else set()
        added = [[view for view in node.views if view.definition not in shared] for node in left]
        slicing = [any(":" in id for view in views for id in view.definition.rows) for views in added]
        if len(left) < 2 or sum(slicing) > 1:
            return left
        first = [view for view in left[0].views if view.definition in shared]
        missing = tuple(lost for node in left for lost in node.missing)
        return [self.schema.make(name, (*first, *itertools.chain(*added)), (name,), missing=missing)]

    def shapes(self, node: Node) -> Shapes:
        """The functions of a node."""
        found = self._shapes.get(node)
        if found is None:
            found = self._shapes.setdefault(node, Shapes(self, node))
        return found

    def is_error(self, key: str, severity: str) -> bool:
        """Whether a rule makes a resource invalid in this deployment."""
        return (self.severities.get(key) or severity) in ("error", "fatal")

    # what generated code leaves to the walker, and to the modules that the walker uses

    def _walker(self) -> Walker:
        findings = Findings(self.severities, first_error=True)
        return Walker(self.schema, self.bindings, findings, unknown_profile=self.unknown_profile)

    def _ask(self, judge: Callable[[Walker], None]) -> bool:
        walker = self._walker()
        with contextlib.suppress(Enough):
            judge(walker)
        return not walker.findings.has_error

    def by_walker(self, node: Node) -> Judge:
        """A whole value, judged by the walker."""

        def judge(value: Any, context: Context) -> bool:
            place = Place(value, None, node.path, context.depth)
            return self._ask(lambda walker: walker.value(node, place, context.frame))

        return judge

    def twin_by_walker(self, node: Node) -> Judge:
        """The id and extensions beside a primitive."""

        def judge(value: Any, context: Context) -> bool:
            place = Place(value, None, node.path, context.depth)
            return self._ask(lambda walker: walker._members(node, place, context.frame))

        return judge

    def element_by_walker(self, parent: Node, child: Node, member: Member) -> Judge:
        """All items of an element of an object."""

        def judge(value: Any, context: Context) -> bool:
            place = Place(value, None, parent.path, context.depth)
            return self._ask(lambda walker: walker._element(parent, child, [member], place, context.frame))

        return judge

    def constraint_by_walker(self, node: Node, constraint: Constraint) -> Judge:
        """One constraint of a value."""

        def judge(value: Any, context: Context) -> bool:
            place = Place(value, None, node.path, context.depth)
            return self._ask(lambda w: w.rules._constraint(node, constraint, place, context.frame, broken=False))

        return judge

    def reference_by_walker(self, node: Node) -> Judge:
        """Where a reference points."""

        def judge(value: Any, context: Context) -> bool:
            place = Place(value, None, node.path, context.depth)
            return self._ask(lambda walker: walker.rules.references.judge(node, place, context.frame))

        return judge

    def slice_test(self, node: Node) -> Judge:
        """Whether an item is of a slice."""
        asks = any(
            each.kind in ("binding", "profile") or any(step.kind == "resolve" for step in each.steps)
            for each in slicing.criteria(node)
        )

        def judge(value: Any, context: Context) -> bool:
            judges = self._walker().rules.judge_for(context.frame) if asks else NOBODY
            answer = slicing.matches(node, value, judges)
            if answer is None:
                raise Unsure
            return answer

        return judge

    def binding_test(self, node: Node, value_set: str) -> Callable[[Any], bool]:
        """Whether a coded value has no code that a required binding surely lacks."""
        needs_code = node.type in ("Coding", "CodeableConcept")
        answer = self.bindings.answer
        accepted: set[tuple[Any, Any]] = set()  # pairs that were in before; a client's own are few, for they are in

        def judge(value: Any) -> bool:
            if type(value) is dict:
                for each in value.get("coding") or (value,):
                    if (each.get("system"), each.get("code")) in accepted:
                        return True
            found = False
            for system, code in codes_of(value):
                said = answer(value_set, system, code)
                if said != "out":
                    if said == "in" and len(accepted) < PAIRS_KEPT and len(code) < LONGEST_PAIR:
                        accepted.add((system or None, code))
                    return True
                found = True
            return not found and not needs_code

        return judge

    def extensions(self, node: Node, parent: Node) -> Extensions:
        """What judges the extensions under an element."""
        return Extensions(self, node, parent)

    def inner(self, node: Node) -> Judge:
        """A resource inside a resource."""
        codes = {each.code: each.profiles for each in node.types}

        def judge(value: Any, context: Context) -> bool:
            name = type_of(value)
            if type(value) is not dict or (codes and not {name, "Resource", "DomainResource"} & codes.keys()):
                return False
            frame = context.frame
            profiles = [
                url for code in dict.fromkeys((name, "Resource", "DomainResource")) for url in codes.get(code, ())
            ]
            if node.name == "contained":
                inside = Frame(value, frame.root, frame.contained, frame.entries, frame.full_url)
            else:
                entries = context.entries() if type_of(frame.resource) == "Bundle" else None
                inside = Frame(value, value, contained_of(value), entries, entries.url_of(value) if entries else "")
            return self.resource(value, Context(inside, context.turns + 1), profiles)

        return judge
