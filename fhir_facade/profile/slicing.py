"""Which slice an item of a list belongs to: discriminators as criteria that a value meets, fails, or may meet.

https://hl7.org/fhir/R4/profiling.html#discriminator. A criterion answers True, False or None: None is for what cannot
be known here, a value set that is not at hand or a reference that leads nowhere. A discriminator through a list
(`coding.system`) is met when any of the values meets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from fhir_facade.definitions import definitions
from fhir_facade.packages.elements import MISSING, Binding, Slicing
from fhir_facade.profile.matching import fits, same
from fhir_facade.profile.schema import Node
from fhir_facade.terminology.uris import canonical

OID = "urn:oid:"
DEEPEST = 4
"""Most levels below a discriminator's path that are searched for fixed values, when the path itself has none."""

_STEP = re.compile(
    r"extension\(\s*['\"]([^'\"]*)['\"]\s*\)|ofType\(\s*([A-Za-z0-9.]+)\s*\)|(resolve\(\))|(\$this)|([A-Za-z0-9_]+)"
)


class Step(NamedTuple):
    """One step of a discriminator's path: child, extension, ofType or resolve, and its argument."""

    kind: str
    name: str = ""


class Judge(Protocol):
    """What a criterion asks of whoever validates."""

    def member(self, value_set: str, value: Any) -> bool | None:
        """Whether a code, Coding or CodeableConcept is in a value set; None when it cannot be known."""
        ...

    def conforms(self, canonical: str, value: Any) -> bool | None:
        """Whether a value keeps to a profile; None when it cannot be known."""
        ...

    def resolve(self, reference: str) -> Mapping[str, Any] | None:
        """The resource behind a reference, None when it is not at hand."""
        ...


@dataclass(frozen=True, slots=True)
class Criterion:
    """One thing that an item of a slice must meet.

    `kind` is fixed, pattern, binding, exists, absent, type, profile or unknown; `value` what is fixed, the pattern, the
    type codes or the profiles; `type` and `path` are the discriminator's own words.
    """

    kind: str
    type: str
    path: str
    steps: tuple[Step, ...]
    value: Any = MISSING
    binding: Binding | None = field(default=None, compare=False)

    @property
    def expected(self) -> str:
        """What is expected, in words that need no translation."""
        return self.binding.value_set if self.binding else self.kind if self.value is MISSING else str(self.value)


class Failure(NamedTuple):
    """The first criterion that an item does not meet, and what was found where it looks."""

    criterion: Criterion
    found: tuple[Any, ...]


def parse_steps(path: str) -> tuple[Step, ...] | None:
    """The steps of a discriminator's path; None when it is not of the grammar."""
    steps: list[Step] = []
    place = 0
    while place < len(path):
        found = _STEP.match(path, place)
        if found is None:
            return None
        url, of_type, resolve, this, name = found.groups()
        if not this:
            steps.append(
                Step("extension", url) if url is not None
                else Step("ofType", of_type) if of_type
                else Step("resolve") if resolve
                else Step("child", name)
            )  # fmt: skip
        place = found.end()
        if place < len(path):
            if path[place] != ".":
                return None
            place += 1
    return tuple(steps)


@lru_cache(maxsize=8192)
def criteria(node: Node) -> tuple[Criterion, ...]:
    """What an item of a slice must meet, by the discriminators of the list that it is a slice of."""
    slicing = _slicing_around(node)
    if slicing is None or not slicing.discriminators:
        return (Criterion("unknown", "", "", ()),)
    return tuple(each for way, path in slicing.discriminators for each in _criteria(node, way, path))


def _slicing_around(node: Node) -> Slicing | None:
    """How the list that a slice is of is sliced; the slice may be sliced anew by something else."""
    rows = [view.row for view in node.views if not view.own]
    said = [row.slicing for row in rows if row is not None and row.slicing and row.slicing.discriminators]
    return said[-1] if said else node.slicing


def matches(node: Node, item: Any, judge: Judge, type_code: str = "") -> bool | None:
    """Whether an item is of a slice; `type_code` is the type of a choice's value. None: it cannot be known."""
    answer: bool | None = True
    for criterion in criteria(node):
        met, _ = check(criterion, item, judge, type_code)
        if met is False:
            return False
        answer = answer if met else None
    return answer


def explain(node: Node, item: Any, judge: Judge, type_code: str = "") -> Failure | None:
    """The first criterion of a slice that an item fails, None when it fails none."""
    for criterion in criteria(node):
        met, found = check(criterion, item, judge, type_code)
        if met is False:
            return Failure(criterion, tuple(found))
    return None


def check(criterion: Criterion, item: Any, judge: Judge, type_code: str = "") -> tuple[bool | None, list[Any]]:
    """Whether an item meets a criterion, and the values that were looked at."""
    if criterion.kind == "unknown":
        return None, []
    found = _values(item, criterion.steps, judge)
    if found is None:
        return None, []
    if criterion.kind in ("exists", "absent"):
        return bool(found) == (criterion.kind == "exists"), found
    if not found:
        return False, found
    answers = [_meets(criterion, value, judge, "" if criterion.steps else type_code) for value in found]
    return (True if True in answers else None if None in answers else False), found


def _meets(criterion: Criterion, value: Any, judge: Judge, type_code: str) -> bool | None:
    if criterion.kind == "fixed":
        return same(value, criterion.value)
    if criterion.kind == "pattern":
        return fits(value, criterion.value)
    if criterion.kind == "type":
        code = type_code or (value.get("resourceType") if isinstance(value, Mapping) else "")
        return code in criterion.value if code else None
    if criterion.kind == "profile":
        answers = [judge.conforms(each, value) for each in criterion.value]
        return True if True in answers else None if None in answers else False
    if criterion.binding is None:
        return None
    return _bound(criterion.binding.value_set, value, judge)


def _bound(value_set: str, value: Any, judge: Judge) -> bool | None:
    """A required binding tells slices apart. Where it names a code system, the system alone does: a code that the
    list lacks is then a wrong code of this slice, and not an item of no slice."""
    if value_set.startswith(OID):
        codings = value.get("coding", [value]) if isinstance(value, Mapping) else []
        listed = codings if isinstance(codings, list) else []
        systems = [each.get("system") for each in listed if isinstance(each, Mapping)]
        return any(isinstance(each, str) and canonical(each) == canonical(value_set) for each in systems)
    return judge.member(value_set, value)


def _criteria(node: Node, way: str, path: str) -> Iterator[Criterion]:
    """The criteria of one discriminator."""
    steps = parse_steps(path)
    plain = Criterion("unknown", way, path, steps or ())
    targets = _targets(node, steps) if steps is not None else []
    if not targets:
        yield plain
        return
    if way in ("value", "pattern"):
        rules = next((found for target in targets if (found := list(_rules(target, steps or ())))), [])
        rules = rules or list(_from_above(node, steps or ()))
        for each in rules or [plain]:
            yield replace(each, type=way, path=path)
    elif way == "exists":
        first = targets[0]
        yield replace(plain, kind="absent" if first.max == 0 else "exists" if first.min > 0 else "unknown")
    elif way == "type":
        codes = tuple(each.code for each in targets[0].types if each.code)
        yield replace(plain, kind="type", value=codes) if codes else plain
    elif way == "profile":
        profiles = tuple(profile for target in targets for each in target.types for profile in each.profiles)
        resolved = tuple(target.origin for target in targets if target.is_root)
        named = profiles or resolved
        yield replace(plain, kind="profile", value=named) if named else plain
    else:
        yield plain


def _targets(node: Node, steps: tuple[Step, ...]) -> list[Node]:
    """The nodes that a path leads to from a slice: the element, then its slices that must be there."""
    nodes = [node]
    for step in steps:
        nodes = [each for node in nodes for each in _step(node, step)]
    return nodes


def _step(node: Node, step: Step) -> list[Node]:
    if step.kind == "ofType":
        return [node.as_type(step.name)] if node.kind == "choice" else [node]
    if step.kind == "resolve":
        return [found for target in node.targets if (found := node.schema.node(target)) is not None]
    if step.kind == "extension":
        held = node.children.get("extension")
        for each in held.slices if held else ():
            url = each.children.get("url")
            if url is not None and url.fixed is not None and url.fixed.value == step.name:
                return [each]
        found = node.schema.node(step.name)
        return [found] if found is not None else []
    nodes = [node.as_type(each.code) for each in node.types] if node.kind == "choice" else [node]
    children = [
        child for each in nodes for name in (step.name, f"{step.name}[x]") if (child := each.children.get(name))
    ]
    return [*children, *(part for child in children for part in child.slices if part.min > 0)]


def _rules(node: Node, steps: tuple[Step, ...], depth: int = 0) -> Iterator[Criterion]:
    """What is fixed at a node; where nothing is, what is fixed below it."""
    if node.fixed is not None:
        yield Criterion("fixed", "", "", steps, node.fixed.value)
    elif node.pattern is not None:
        yield Criterion("pattern", "", "", steps, node.pattern.value)
    elif node.binding is not None and node.binding.strength == "required" and _is_profiled(node):
        yield Criterion("binding", "", "", steps, binding=node.binding)
    elif depth < DEEPEST and _is_profiled(node):
        nodes = [node.as_type(each.code) for each in node.types] if node.kind == "choice" else [node]
        for each in nodes:
            for name, child in each.children.items():
                if _is_profiled(child) and name not in ("extension", "modifierExtension"):
                    below = (*steps, Step("child", name.removesuffix("[x]")))
                    yield from _rules(child, below, depth + 1)


def _from_above(node: Node, steps: tuple[Step, ...]) -> Iterator[Criterion]:
    """What a fixed value or pattern of the slice, or of an element on the way, says of the end of the path."""
    for place in range(len(steps)):
        for each in _targets(node, steps[:place]):
            rule = each.fixed or each.pattern
            said = MISSING if rule is None else _inside(rule.value, steps[place:])
            if said is not MISSING:
                yield Criterion("pattern", "", "", steps, said)
                return


def _inside(value: Any, steps: tuple[Step, ...]) -> Any:
    """The part of a pattern under a path of plain names; of a list its first item speaks."""
    for step in steps:
        held = value[0] if isinstance(value, list) and value else value
        if step.kind != "child" or not isinstance(held, Mapping) or step.name not in held:
            return MISSING
        value = held[step.name]
    return value


def _is_profiled(node: Node) -> bool:
    return any(view.definition.derivation == "constraint" for view in node.views)


def _values(item: Any, steps: tuple[Step, ...], judge: Judge) -> list[Any] | None:
    """The values at a path below an item; None when a reference on the way leads nowhere."""
    values = [item]
    for step in steps:
        if step.kind == "resolve":
            resolved = [_resolved(each, judge) for each in values]
            if None in resolved:
                return None
            values = resolved
        elif step.kind == "extension":
            held = [part for each in values for part in _children(each, "extension")]
            values = [each for each in held if isinstance(each, Mapping) and each.get("url") == step.name]
        elif step.kind == "child":
            values = [part for each in values for part in _children(each, step.name)]
    return values


def _resolved(value: Any, judge: Judge) -> Mapping[str, Any] | None:
    if isinstance(value, Mapping) and "resourceType" in value:
        return value
    reference = value.get("reference") if isinstance(value, Mapping) else value
    return judge.resolve(reference) if isinstance(reference, str) else None


def _children(value: Any, name: str) -> list[Any]:
    """The values under an element name; a choice's under whichever of its JSON names stands there."""
    if not isinstance(value, Mapping):
        return []
    found = value.get(name)
    if found is None:
        for key, each in value.items():
            kind = key[len(name) :]
            if key.startswith(name) and kind[:1].isupper() and _is_type(kind):
                found = each
                break
    return [each for each in found if each is not None] if isinstance(found, list) else [] if found is None else [found]


def _is_type(ending: str) -> bool:
    known = definitions()
    return known.is_type(ending) or known.is_type(ending[:1].lower() + ending[1:])
