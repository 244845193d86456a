"""The mapping language as data: a closed set of rule nodes, each pairing a record field with a FHIR path.

Adding a node is an architecture decision: every engine matches on all of them and ends in assert_never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as option
from typing import Any, Literal, Protocol

Shape = Literal["code", "Coding", "CodeableConcept"]
Codec = Literal["text", "integer", "date", "dateTime", "year"]
Parts = tuple[tuple[str, Codec], ...]
"""The fields that a key text is made of, in order, and how each is read back."""


Direction = Literal["", "to-fhir", "from-fhir"]


@dataclass(frozen=True, slots=True)
class Step:
    """One element on a path; `label` tells items of a repeating element apart, `url` marks an extension."""

    name: str
    many: bool
    label: str = ""
    url: str = ""


Path = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A test on one field: one of `values`, or (no values) that it is present."""

    field: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class System:
    """A code or identifier system: the URI that we write, those we also read, and displays of its codes."""

    name: str
    uri: str
    aliases: tuple[str, ...] = ()
    displays: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What a record code becomes in a code map."""

    code: str
    system: str
    display: str
    relation: str


@dataclass(frozen=True, slots=True)
class CodeMap:
    """A ConceptMap in working form: record code → target, and the codes that a bare target goes back to."""

    name: str
    version: str
    source: System
    target_system: str
    target_value_set: str
    targets: Mapping[str, Target]
    back: Mapping[str, str]
    unmapped: Literal["provided", "absent"]
    at: str

    @property
    def invertible(self) -> bool:
        return not self.clashes

    @property
    def clashes(self) -> dict[str, list[str]]:
        """Targets that several record codes become, with no choice made of where to go back."""
        sources: dict[str, list[str]] = {}
        for own, target in self.targets.items():
            sources.setdefault(target.code, []).append(own)
        return {code: owns for code, owns in sources.items() if len(owns) > 1 and code not in self.back}


@dataclass(frozen=True, slots=True)
class Common:
    """What every rule has: the path it fills, the guards it stands under, and its place in the file.

    `only` names the one direction in which it works; `default` is the record value of a new record whose resource
    lacks the element; `absent` is the data-absent-reason that stands where the record lacks the value.
    """

    path: Path
    when: tuple[Condition, ...]
    at: str
    only: Direction = option(default="", kw_only=True)
    default: str = option(default="", kw_only=True)
    absent: str = option(default="", kw_only=True)

    @property
    def path_text(self) -> str:
        return ".".join(step.name for step in self.path)


@dataclass(frozen=True, slots=True)
class Copy(Common):
    """A primitive with the same value; the first of `fields` that is present, and `suffix` behind it.

    `codecs` has one codec for each field; `codec` is that of the first, which all of them share in being written.
    """

    fields: tuple[str, ...]
    codec: Codec
    datatype: str
    suffix: str = ""
    codecs: tuple[Codec, ...] = option(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Key(Common):
    """The resource id, made of the record's whole key behind a prefix."""

    prefix: str
    parts: Parts = option(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Coded(Common):
    """A code, Coding or CodeableConcept, of one system or of the system that `system_field` names.

    `original` says where the record's own code stands when a code map changes it: "beside" the translated one, at
    the path of another row of the same field, or "" nowhere, so that the map must lead back by itself.
    """

    field: str
    shape: Shape
    system: System | None
    system_field: str
    systems: Mapping[str, System]
    version_field: str
    code_map: CodeMap | None
    original: str


@dataclass(frozen=True, slots=True)
class Identify(Common):
    """An Identifier; `system_field` chooses among `systems`; `assigner_field` holds the organisation that gave it."""

    field: str
    system: System | None
    system_field: str
    systems: Mapping[str, System]
    type_system: System | None
    assigner_field: str
    assigner_system: System | None


@dataclass(frozen=True, slots=True)
class Refer(Common):
    """A literal reference to another record's resource; `link` is "key" for the record itself."""

    field: str
    link: str
    to: str
    prefix: str
    kind: str = option(default="", kw_only=True)
    parts: Parts = option(default=(), kw_only=True)


@dataclass(frozen=True, slots=True)
class Logical(Common):
    """A logical reference: type and identifier, no resource on this server."""

    field: str
    system: System
    to: str


@dataclass(frozen=True, slots=True)
class Constant(Common):
    """The same JSON value always."""

    value: Any


@dataclass(frozen=True, slots=True)
class Derive(Common):
    """A constant chosen by conditions, tried in order; `otherwise` is None when nothing is written."""

    choices: tuple[tuple[Condition, Any], ...]
    otherwise: Any


class Pair(Protocol):
    """A conversion written in Python: both directions, and examples of (record value, JSON) that prove them."""

    examples: Sequence[tuple[Any, Any]]

    def to_fhir(self, value: Any) -> Any | None: ...

    def to_record(self, value: Any) -> Any | None: ...


@dataclass(frozen=True, slots=True)
class Custom(Common):
    """An element of any shape, made of a field and read back by a pair of Python functions; `name` is module:pair."""

    field: str
    pair: Pair
    name: str


@dataclass(frozen=True, slots=True)
class Each(Common):
    """A list of the record: one item of a repeating element for each, or the first alone where one is allowed.

    `keep` are the conditions that an item must meet to be shown; `order` is the field that holds its place, from 1;
    `records` says that the items are records of their own kind, which this resource shows and never writes; `emit` is
    the mapping by which each of them is a resource of its own.
    """

    child: str
    key: tuple[str, ...]
    keep: tuple[Condition, ...]
    rules: tuple[Rule, ...]
    first: bool
    order: str = option(default="", kw_only=True)
    records: bool = option(default=False, kw_only=True)
    emit: str = option(default="", kw_only=True)


Rule = Copy | Key | Coded | Identify | Refer | Logical | Constant | Derive | Custom | Each


@dataclass(frozen=True, slots=True)
class MappingRules:
    """One mapping file: a record kind, a resource type and the rules between them.

    `remainder` says what becomes of inbound elements that no rule takes; "" leaves it to the deployment.
    """

    name: str
    version: str
    kind: str
    resource_type: str
    profile: str
    rules: tuple[Rule, ...]
    ignored: Mapping[str, str]
    file: str
    remainder: Literal["", "keep", "reject", "warn"] = ""


def carries_nothing(rule: Rule) -> bool:
    """Whether a rule says nothing of the record, so that it alone does not make its parent worth writing.

    What a mapping says in `meta` stands whatever the record holds: a security label waits for no other element.
    """
    return isinstance(rule, Constant | Derive) and not (rule.path and rule.path[0].name == "meta")


def declared_profiles(rules: Iterable[Rule]) -> list[tuple[str, str]]:
    """The profiles that rows write in meta.profile: where the row stands, and the canonical."""
    return [
        (rule.at, str(rule.value))
        for rule in rules
        if isinstance(rule, Constant) and [step.name for step in rule.path] == ["meta", "profile"]
    ]


def fields_of(rule: Rule) -> tuple[str, ...]:
    """The record fields that a rule reads, guards included."""
    guards = tuple(condition.field for condition in rule.when)
    match rule:
        case Copy():
            return rule.fields + guards
        case Coded():
            return (*(name for name in (rule.field, rule.system_field, rule.version_field) if name), *guards)
        case Identify():
            return (*(name for name in (rule.field, rule.system_field, rule.assigner_field) if name), *guards)
        case Refer() | Logical() | Custom():
            return (rule.field, *guards)
        case Derive():
            return (*(condition.field for condition, _ in rule.choices), *guards)
        case Each():
            return guards
        case Key() | Constant():
            return guards
