"""Break every row of every mapping in every small way, and see that something notices.

A mutant dies by a load error, by a golden example beside its mapping, or by a law: on the records of those examples
(what is rendered and put back is the record; the engines agree) or on code maps (concept_map.doubts). One that lives
is either a hole in the examples or means the same: those that mean the same are listed, each with its reason, in
tests/laws/equivalent_mutants.yaml.

    python tools/mutate_mappings.py [--only NAME] [--jobs N] [--folder mappings] [--equivalent FILE]

Exit code 0 when every mutant dies or is listed, 1 when one lives, is listed and dies, or an example does not hold.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal

import orjson
import yaml
from mapping_mutants import MappingMutants, Mutant, copied
from vocabulary_mutants import code_map_mutants, systems_mutants

from fhir_facade.contracts import Record
from fhir_facade.mapping.compare import bare
from fhir_facade.mapping.concept_map import doubts
from fhir_facade.mapping.findings import Finding, MappingError
from fhir_facade.mapping.golden_files import Example, examples_folder, read_examples
from fhir_facade.mapping.goldens import as_stored, own_entries, prove, said
from fhir_facade.mapping.ir import Derive, MappingRules
from fhir_facade.mapping.load import mapping_files
from fhir_facade.mapping.mapping_set import CompiledMapping, Ground, MappingSet, id_prefixes, load_mapping_set, load_one
from fhir_facade.mapping.profiles import load_profiles
from fhir_facade.mapping.vocabulary import SYSTEMS, Vocabulary, load_vocabulary
from fhir_facade.outcome import Issue
from fhir_facade.yaml_text import Table, read

ROOT = Path(__file__).resolve().parent.parent
EQUIVALENT = ROOT / "tests" / "laws" / "equivalent_mutants.yaml"
Death = Literal["load", "golden", "law", "", "same"]
"""What killed a mutant; "" for one that lives, "same" for one that makes the same rules and so is none."""


@dataclass
class Tally:
    """What became of the mutants of one file; `unsound` are examples that do not hold without any mutant."""

    file: str
    deaths: Counter[str] = field(default_factory=Counter)
    alive: list[Mutant] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)
    unsound: list[str] = field(default_factory=list)
    examples: int = 0

    @property
    def mutants(self) -> int:
        return sum(self.deaths.values())


@dataclass(frozen=True)
class Told:
    """A mutant without the edit, which cannot travel between processes."""

    file: str
    line: int
    name: str


@dataclass(frozen=True)
class Report:
    """A tally that can travel."""

    file: str
    deaths: Counter[str]
    alive: tuple[Told, ...]
    dead: frozenset[str]
    unsound: tuple[str, ...]
    examples: int


class Court:
    """Everything sound, loaded once, against which mutants are judged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.set: MappingSet = load_mapping_set(folder)
        self.tables: dict[str, Table] = {path.name: read(path) for path in mapping_files(folder)}
        self.profiles = load_profiles(None, None, [])
        self.by_file = {mapping.rules.file: mapping for mapping in self.set.mappings.values()}
        self.meaning = {file: meaning(mapping.rules) for file, mapping in self.by_file.items()}
        self.examples = {
            file: read_examples(examples_folder(folder, mapping), []) for file, mapping in self.by_file.items()
        }
        self.records: dict[str, list[Record]] = {}
        for file, mapping in self.by_file.items():
            wanted = [each.parts["epj"] for each in self.examples[file] if not each.is_inbound and "epj" in each.parts]
            self.records[file] = [as_stored(self.set.kinds, mapping.kind, record) for record in wanted]

        # asked first, for it is quick; an example that the sound mapping differs from here is left to `prove`
        self.quick = {
            file: [each for each in self.examples[file] if not self.differs(mapping, each)]
            for file, mapping in self.by_file.items()
        }

    def unsound(self, file: str) -> list[str]:
        """The examples of a mapping that do not hold as things are: they could kill nothing."""
        proof = prove(self.set, self.folder, self.by_file[file], thorough=False)
        untouched = self.of_mapping(file, copied(self.tables[file]))
        return [*proof.lines(), *([f"{file} itself dies: {untouched}"] if untouched != "same" else [])]

    # judging

    def of_mapping(self, file: str, mutated: Table) -> Death:
        """What becomes of a mapping file that is changed like this."""
        tables = {**self.tables, file: mutated}
        ground = Ground(
            self.set.kinds,
            self.set.vocabulary,
            id_prefixes(self.folder, tables.values()),
            self.set.hash,
            self.profiles,
        )
        findings: list[Finding] = []
        others = [mapping for name, mapping in self.by_file.items() if name != file]
        mapping = load_one(file, mutated, ground, others, findings)
        if mapping is None or any(found.severity == "error" for found in findings):
            return "load"
        return self.verdict(file, mapping)

    def of_vocabulary(self, words: Vocabulary) -> Death:
        """What becomes of all mappings when the words that they name mean something else."""
        ground = Ground(
            self.set.kinds, words, id_prefixes(self.folder, self.tables.values()), self.set.hash, self.profiles
        )
        changed: list[tuple[str, CompiledMapping]] = []
        for file, table in self.tables.items():
            findings: list[Finding] = []
            mapping = load_one(file, table, ground, (), findings)
            if mapping is None or any(found.severity == "error" for found in findings):
                return "load"
            changed.append((file, mapping))
        verdicts = {self.verdict(file, mapping) for file, mapping in changed} - {"same"}
        if any(doubts(code_map) for code_map in words.code_maps.values()):
            verdicts.add("law")
        killers: Sequence[Death] = ("golden", "law", "")
        return next((death for death in killers if death in verdicts), "same")

    def verdict(self, file: str, mapping: CompiledMapping) -> Death:
        """How a mapping that loads dies: the cheap questions first."""
        if meaning(mapping.rules) == self.meaning[file]:
            return "same"
        if not self.examples[file]:
            return ""
        if any(self.differs(mapping, example) for example in self.quick[file]):
            return "golden"
        if not prove(self.set, self.folder, mapping, thorough=False).holds:
            return "golden"
        return "law" if self.breaks_a_law(file, mapping) else ""

    def differs(self, mapping: CompiledMapping, example: Example) -> bool:
        """Whether an example's record gives another resource, or other issues, by the plain interpreter."""
        if example.is_inbound or "epj" not in example.parts:
            return False
        heard: list[Issue] = []
        record = as_stored(self.set.kinds, mapping.kind, example.parts["epj"])
        made = bare(mapping.interpret(record, heard))
        return made != example.parts.get("fhir") or said(heard) != example.parts.get("issues", [])

    def breaks_a_law(self, file: str, mapping: CompiledMapping) -> bool:
        """Whether engines disagree, or put(get(record), record) is not the record where it is without a mutant."""
        for record in self.records[file]:
            resource = mapping.to_fhir(record, [])
            if orjson.loads(mapping.to_bytes(record, [])) != resource:
                return True
            sound = self.by_file[file]
            stored = own_entries(record, mapping.kind)
            if self.kept(sound, record, sound.to_fhir(record, [])) != stored:
                continue
            if self.kept(mapping, record, resource) != stored:
                return True
        return False

    def kept(self, mapping: CompiledMapping, record: Record, resource: dict[str, Any]) -> Any:
        """The record after its own resource was put back into it; None when that is refused."""
        written = mapping.to_record(resource, record)
        return None if written.record is None else own_entries(written.record, mapping.kind)


def meaning(value: Any) -> Any:
    """Rules as plain values without their lines: two files that mean the same give the same."""
    if isinstance(value, MappingRules):
        value = replace(value, ignored={}, version="", profile="")
    if isinstance(value, Derive):
        value = replace(value, choices=grouped(value))
    if is_dataclass(value) and not isinstance(value, type):
        plain = {each.name: meaning(getattr(value, each.name)) for each in fields(value) if each.name != "at"}
        return (type(value).__name__, tuple(plain.items()))
    if isinstance(value, dict):
        return {key: meaning(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return tuple(map(meaning, value))
    return value


def grouped(rule: Derive) -> tuple[Any, ...]:
    """The branches of a derived value; of neighbours that give the same value the order does not matter."""
    out: list[list[Any]] = []
    for test, value in rule.choices:
        if not out or out[-1][1] != value:
            out.append([[], value])
        out[-1][0].append((test.field, test.values))
    return tuple((sorted(set(tests)), value) for tests, value in out)


def try_mapping(court: Court, file: str) -> Tally:
    """Every mutant of a mapping file, judged."""
    tally = Tally(file, examples=len(court.examples[file]), unsound=court.unsound(file))
    table = court.tables[file]
    for mutant in MappingMutants(file, table, court.set).all():
        _note(tally, mutant, court.of_mapping(file, mutant.of(table)))
    return tally


def try_vocabulary(court: Court, file: str) -> Tally:
    """Every mutant of a code map or of systems.yaml, judged by all mappings."""
    tally, whole = Tally(file), read(court.folder / file)
    name = file.removeprefix("codes/")
    made: Iterable[Mutant] = (
        systems_mutants(file, whole) if file == SYSTEMS else code_map_mutants(name, whole, court.set.vocabulary)
    )
    with tempfile.TemporaryDirectory(prefix="mutants-") as place:
        there = Path(place)
        (there / "codes").mkdir()
        for path in (SYSTEMS, *(f"codes/{each.name}" for each in (court.folder / "codes").glob("*.yaml"))):
            (there / path).write_bytes((court.folder / path).read_bytes())
        untouched = court.of_vocabulary(load_vocabulary(there, []))
        tally.unsound += [f"{file} itself dies: {untouched}"] if untouched != "same" else []
        for mutant in made:
            (there / file).write_text(yaml.safe_dump(plain(mutant.of(whole)), allow_unicode=True), "utf-8")
            findings: list[Finding] = []
            try:
                words = load_vocabulary(there, findings)
            except MappingError as error:
                findings += error.findings
                words = court.set.vocabulary
            _note(tally, mutant, "load" if findings else court.of_vocabulary(words))
    return tally


def plain(tree: Any) -> Any:
    """A table as YAML can write it."""
    if isinstance(tree, dict):
        return {str(key): plain(value) for key, value in tree.items()}
    return [plain(item) for item in tree] if isinstance(tree, list) else str(tree)


def _note(tally: Tally, mutant: Mutant, death: Death) -> None:
    if death == "same":
        return
    tally.deaths[death] += 1
    if death:
        tally.dead.add(mutant.name)
    else:
        tally.alive.append(mutant)


def work(folder: Path, file: str) -> Report:
    """One file, in a process of its own."""
    court = _court(folder)
    tally = try_mapping(court, file) if file in court.tables else try_vocabulary(court, file)
    alive = tuple(Told(mutant.file, mutant.line, mutant.name) for mutant in tally.alive)
    return Report(file, tally.deaths, alive, frozenset(tally.dead), tuple(tally.unsound), tally.examples)


_COURTS: dict[Path, Court] = {}


def _court(folder: Path) -> Court:
    if folder not in _COURTS:
        _COURTS[folder] = Court(folder)
    return _COURTS[folder]


def files_of(folder: Path, only: str) -> list[str]:
    """The files to break: mappings, code maps and systems.yaml; those whose name holds `only`. Largest first."""
    paths = [*mapping_files(folder), folder / SYSTEMS, *sorted((folder / "codes").glob("*.yaml"))]
    paths.sort(key=lambda path: -path.stat().st_size)
    names = [str(path.relative_to(folder)) for path in paths]
    return [name for name in names if only in name or only.replace("-", ".") in name]


def run(folder: Path, only: str = "", jobs: int = 2) -> list[Report]:
    """Judge every mutant of the chosen files."""
    files = files_of(folder, only)
    if jobs < 2:
        return [work(folder, file) for file in files]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(work, [folder] * len(files), files))


def equivalent(path: Path = EQUIVALENT) -> dict[str, str]:
    """Name of a mutant → why it means the same as the sound file."""
    entries = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else []
    return {name: str(entry["reason"]) for entry in entries or [] for name in entry["mutants"]}


def faults(reports: Sequence[Report], listed: dict[str, str]) -> Iterator[str]:
    """What is wrong: examples that do not hold, mutants that live, and entries of the list that name no living one."""
    alive = {told.name for report in reports for told in report.alive}
    files = {report.file for report in reports}
    for report in reports:
        yield from (f"does not hold without a mutant: {line}" for line in report.unsound)
        yield from (
            f"lives: {told.file}:{told.line}: {told.name.split(' | ', 1)[1]}"
            for told in report.alive
            if told.name not in listed
        )
    for name in listed:
        if name.split(" | ")[0] in files and name not in alive:
            yield f"listed as equivalent, but it dies or is gone: {name}"


def table_of(reports: Sequence[Report], listed: dict[str, str]) -> Iterator[str]:
    """Counts by file."""
    width = max(len(report.file) for report in reports)
    yield f"{'':{width}}  mutants    load  golden     law  equivalent  alive  examples"
    whole: Counter[str] = Counter()
    for report in sorted(reports, key=lambda each: each.file):
        same = sum(told.name in listed for told in report.alive)
        row = {**report.deaths, "alive": len(report.alive) - same, "same": same, "all": sum(report.deaths.values())}
        whole.update(row)
        yield _row(report.file, row, width, str(report.examples))
    yield _row("together", whole, width, "")


def _row(name: str, row: dict[str, int] | Counter[str], width: int, examples: str) -> str:
    parts = [row.get(key, 0) for key in ("all", "load", "golden", "law", "same", "alive")]
    return (
        f"{name:{width}}  {parts[0]:7} {parts[1]:7} {parts[2]:7} {parts[3]:7} {parts[4]:11} {parts[5]:6} {examples:>9}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line; see the module."""
    parser = argparse.ArgumentParser(description="Break every row of every mapping and see that something notices.")
    parser.add_argument("--only", default="", help="files whose name holds this, such as opphold-encounter")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--equivalent", type=Path, default=EQUIVALENT, help="the list of mutants that mean the same")
    parser.add_argument("--folder", type=Path, default=ROOT / "mappings", help="the mappings folder")
    given = parser.parse_args(arguments)
    reports, listed = run(given.folder, given.only, given.jobs), equivalent(given.equivalent)
    if not reports:
        sys.stderr.write(f"no file is called '{given.only}'\n")
        return 2
    print("\n".join(table_of(reports, listed)))
    wrong = list(faults(reports, listed))
    if wrong:
        print("\n".join(wrong))
    for name, why in listed.items():
        if any(told.name == name for report in reports for told in report.alive):
            print(f"equivalent: {name}: {why}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
