"""Compare two sets of mappings by what they make of the same records, and say which version each mapping needs.

Records are those of the examples of both sets and, if asked for, stored ones. Values are compared by FHIRPath without
indexes, so that an item more in a list is one value added and not every later one changed. Only places and counts are
told; an example is named by its file or by the record's key, never by what stands in it.
"""

from __future__ import annotations

import hashlib
import heapq
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from fhir_facade.contracts import Record, Resource
from fhir_facade.definitions import definitions
from fhir_facade.mapping.findings import Finding
from fhir_facade.mapping.golden_files import examples_folder, read_examples
from fhir_facade.mapping.goldens import as_stored
from fhir_facade.mapping.ir import MappingRules
from fhir_facade.mapping.json_paths import leaves
from fhir_facade.mapping.kinds import Kind, Kinds
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet
from fhir_facade.outcome import Issue
from fhir_facade.yaml_text import SourceError, read

Sort = Literal[
    "added",
    "removed",
    "code changed",
    "precision lost",
    "display changed",
    "value changed",
    "issue appeared",
    "issue disappeared",
    "mapping added",
    "mapping removed",
]
SORTS: tuple[Sort, ...] = get_args(Sort)
Bump = Literal["", "patch", "minor", "major"]
BUMPS: tuple[Bump, ...] = get_args(Bump)
NEEDS: Mapping[Sort, Bump] = {
    "added": "minor", "removed": "major", "code changed": "major", "precision lost": "major",
    "value changed": "major", "display changed": "patch", "issue appeared": "patch", "issue disappeared": "patch",
    "mapping added": "", "mapping removed": "",
}  # fmt: skip
"""Which part of a mapping's version a change must raise; a mapping that is new or gone has no version to raise."""
VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)").fullmatch
SERVERS_OWN = ("meta.versionId", "meta.lastUpdated")  # they change with every set
DECIMALS = 15  # more than a JSON number holds

Leaf = tuple[str, str]  # FHIRPath without indexes, element path


@dataclass(frozen=True, slots=True)
class Sample:
    """One record to compare by, without derived entries, and where it comes from."""

    kind: str
    record: Record
    source: str


@dataclass(frozen=True, slots=True)
class Change:
    """One sort of change at one place of a mapping: in how many records, and the first of them."""

    mapping: str
    sort: Sort
    path: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the changes ask of a mapping's version."""

    mapping: str
    old: str
    new: str
    needs: Bump


@dataclass
class Comparison:
    """All that differs between two sets; `findings` are versions that were not raised enough."""

    samples: int = 0
    changes: list[Change] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The comparison as plain JSON."""
        return {
            "records": self.samples,
            "changes": [asdict(each) for each in self.changes],
            "versions": [asdict(each) for each in self.verdicts],
            "findings": [asdict(each) for each in self.findings],
        }


def compare(old: MappingSet, new: MappingSet, folder: Path, samples: Iterable[Sample]) -> Comparison:
    """Render every sample with the mappings of both sets and say what changed; `folder` is that of the new set."""
    out = Comparison()
    found: dict[tuple[str, Sort, str], list[str]] = {}
    both = [(old.mappings[name], new.mappings[name]) for name in old.mappings if name in new.mappings]
    for sample in samples:
        out.samples += 1
        for one, other in both:
            if one.kind.name == other.kind.name == sample.kind:
                pair = (_rendered(one, old.kinds, sample), _rendered(other, new.kinds, sample))
                for sort, path in set(changes_between(*pair)):
                    found.setdefault((one.name, sort, path), []).append(sample.source)
    for name in old.mappings.keys() ^ new.mappings.keys():
        found[name, "mapping removed" if name in old.mappings else "mapping added", ""] = [""]
    out.changes = sorted(
        (Change(name, sort, path, len(sources), sources[0]) for (name, sort, path), sources in found.items()),
        key=lambda change: (change.mapping, SORTS.index(change.sort), change.path),
    )
    for one, other in sorted(both, key=lambda pair: pair[0].name):
        _judge(one, other, [change.sort for change in out.changes if change.mapping == one.name], folder, out)
    return out


def _rendered(mapping: CompiledMapping, kinds: Kinds, sample: Sample) -> tuple[Resource, list[Issue]]:
    issues: list[Issue] = []
    return mapping.interpret(as_stored(kinds, mapping.kind, sample.record), issues), issues


def changes_between(old: tuple[Resource, list[Issue]], new: tuple[Resource, list[Issue]]) -> Iterator[tuple[Sort, str]]:
    """(sort, FHIRPath or issue) of every change between two renderings of one record."""
    before, after = _by_path(old[0]), _by_path(new[0])
    for leaf in dict.fromkeys([*before, *after]):
        gone, come = Counter(before.get(leaf, ())), Counter(after.get(leaf, ()))
        lost, won = list((gone - come).elements()), list((come - gone).elements())
        for place in range(max(len(lost), len(won))):
            if place >= len(won):
                yield "removed", leaf[0]
            elif place >= len(lost):
                yield "added", leaf[0]
            else:
                yield _sort_of(leaf[1], lost[place], won[place]), leaf[0]
    told, tells = (Counter(map(_named, issues)) for issues in (old[1], new[1]))
    yield from (("issue disappeared", name) for name in told - tells)
    yield from (("issue appeared", name) for name in tells - told)


def _by_path(resource: Resource) -> dict[Leaf, list[Any]]:
    root = str(resource["resourceType"])
    found: dict[Leaf, list[Any]] = {}
    for path, element, value in leaves(resource, root, root):
        if path.removeprefix(f"{root}.") not in SERVERS_OWN:
            found.setdefault((path, element), []).append(value)
    return found


def _named(issue: Issue) -> str:
    """An issue without what it says of one record."""
    return " ".join([issue.code, *(str(issue.facts[name]) for name in ("field", "map") if name in issue.facts)])


def _sort_of(element: str, old: Any, new: Any) -> Sort:
    parent, _, name = element.rpartition(".")
    holder = definitions().type_of(parent) or parent
    if holder == "Coding" and name == "display":
        return "display changed"
    if is_shortened(old, new):
        return "precision lost"
    if holder == "Coding" and name in ("code", "system", "version"):
        return "code changed"
    return "code changed" if definitions().type_of(element) == "code" else "value changed"


def is_shortened(old: Any, new: Any) -> bool:
    """Whether a value says the same with less: a date without its day, a time without seconds, a rounded number."""
    if isinstance(old, str) and isinstance(new, str):
        return _is_date_or_time(old) and _is_date_or_time(new) and len(new) < len(old) and _begins(old, new)
    if isinstance(old, bool) or isinstance(new, bool) or not isinstance(old, int | float):
        return False
    return isinstance(new, int | float) and any(round(old, digits) == new for digits in range(-DECIMALS, DECIMALS))


def _begins(old: str, new: str) -> bool:
    """Whether a time begins as the other does, or is the same instant without its fraction."""
    clock, other = (re.sub(r"(Z|[+-]\d\d:\d\d)$", "", text) if "T" in text else text for text in (old, new))
    return clock.startswith(other)


def _is_date_or_time(text: str) -> bool:
    try:
        datetime.fromisoformat(text + "-01-01"[: 10 - len(text)] if len(text) < len("2000-01-01") else text)
    except ValueError:
        return False
    return True


def _judge(one: CompiledMapping, other: CompiledMapping, sorts: list[Sort], folder: Path, out: Comparison) -> None:
    """Which version a mapping needs; rows that changed without a trace in any record need a patch."""
    needs: Bump = max((NEEDS[sort] for sort in sorts), key=BUMPS.index, default="")
    if not needs and meaning(one.rules) != meaning(other.rules):
        needs = "patch"
    if not needs:
        return
    out.verdicts.append(Verdict(one.name, one.version, other.version, needs))
    if not is_raised(one.version, other.version, needs):
        change = f"version {one.version or '(none)'} became {other.version or '(none)'}"
        said = f"{other.name}: {change}, but what changed needs a {needs} version"
        out.findings.append(Finding(other.rules.file, _version_line(folder / other.rules.file), said))


def _version_line(file: Path) -> int:
    try:
        return read(file).at("version")
    except SourceError:
        return 1


def is_raised(old: str, new: str, needs: Bump) -> bool:
    """Whether a semantic version was raised by at least what is needed (semver.org); no version is never enough."""
    before, after = VERSION(old), VERSION(new)
    if after is None:
        return False
    if before is None:
        return True
    size = {"major": 1, "minor": 2}.get(needs, 3)
    return [int(part) for part in after.groups()[:size]] > [int(part) for part in before.groups()[:size]]


def meaning(rules: MappingRules) -> Any:
    """All that a mapping says, without the lines it stands on, its version and what the set itself adds."""
    own = [rule for rule in rules.rules if not rule.at.endswith(":1") or rule.path_text not in SERVERS_OWN]
    said = {each.name: getattr(rules, each.name) for each in fields(rules) if each.name not in ("version", "file")}
    return _without_lines({**said, "rules": own})


def _without_lines(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        shown = {each.name: getattr(value, each.name) for each in fields(value) if each.name not in ("at", "pair")}
        return type(value).__name__, _without_lines(shown)
    if isinstance(value, Mapping):
        return {name: _without_lines(inner) for name, inner in value.items()}
    return [_without_lines(inner) for inner in value] if isinstance(value, list | tuple) else value


def samples_of_examples(folder: Path, mapping_set: MappingSet) -> Iterator[Sample]:
    """The records of all examples of a folder."""
    for mapping in mapping_set.mappings.values():
        for example in read_examples(examples_folder(folder, mapping), []):
            if isinstance(example.parts.get("epj"), dict):
                yield Sample(mapping.kind.name, example.parts["epj"], example.label)


def samples_of_records(records: Iterable[Record], kind: Kind, number: int, seed: int) -> Iterator[Sample]:
    """Some stored records of a kind, the same for the same seed; all, one after another, when `number` is 0."""

    def place(record: Record) -> bytes:
        return hashlib.sha256(f"{seed} {kind.name} {record['$key']}".encode()).digest()

    for record in heapq.nsmallest(number, records, key=place) if number else records:
        yield Sample(kind.name, own(record), f"{kind.name} {record['$key']}")


def own(record: Record) -> Record:
    """A record without derived entries, in its lists too."""
    return {
        name: [own(item) for item in value] if isinstance(value, list) else value
        for name, value in record.items()
        if not name.startswith("$")
    }
