"""Synthetic records with faults at known places: the record files, messages where a rule is about those, a manifest."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import orjson

from fhir_facade.contracts import Record
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.npr.faults import NONE, NUMBER, Edit, Fault, FaultTable
from fhir_facade.npr.graph import shared_kinds
from fhir_facade.npr.planting import Planted, Records, Scene, plant, prepared
from fhir_facade.npr.rules import EARLIER, RuleSet
from fhir_facade.npr_checking import subject
from fhir_facade.npr_manifest import NAME, rows
from fhir_facade.store.npr_tree import NprTable
from fhir_facade.store.npr_write import write_npr
from fhir_facade.store.synthetic import UNTIL, by_patient

MODULE = "ord"
NDJSON = ".ndjson"
ROOM = 3
"""Patients for each fault that is still to come: a fault that is rare needs some to choose from."""


@dataclass
class Seeded:
    """What was planted, by rule, and the rules for which no place was found."""

    planted: Counter[str] = field(default_factory=Counter)
    lacking: Counter[str] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        return self.planted.total()


def write_seeded(
    folder: Path, patients: int, seed: int, table: NprTable, rules: RuleSet, faults: FaultTable, chosen: frozenset[str],
    each: int, on_progress: Callable[[int], None] = lambda done: None,
) -> Seeded:  # fmt: skip
    """Write patients with `each` faults of every row of the chosen rules, at most one fault a patient.

    The folder gets a file for each kind, `earlier/`, the messages, and the manifest. The same seed gives the same.
    """
    numbers = random.Random(f"{seed}:faults")  # noqa: S311
    waiting = _Waiting([row for row in faults if row.rule in chosen], each, patients, numbers)
    with ExitStack() as stack:
        out = _Writer(folder, rules.kinds, table, stack)
        people = by_patient(patients, seed, 2, UNTIL)
        shared = _gathered(next(people))
        out.records(shared)
        header = {out.envelope: shared[out.envelope][:1]}  # the envelope of activity stands first
        for done, records in enumerate(people, 1):
            scene = Scene(_gathered(records), shared, UNTIL.isoformat())
            prepared(scene, faults.prepare, rules.kinds)
            alone = Scene(scene.records, {**shared, **header}, scene.today)
            found = waiting.plant(scene, alone, rules, done)
            if found is not None:
                out.planted(found)
            out.records(found.scene.records if found and not found.fault.message else scene.records)
            on_progress(done)
    return Seeded(waiting.planted, Counter(row.rule for row in waiting.rest()))


def _gathered(records: Iterable[tuple[str, Record]]) -> Records:
    found: Records = {}
    for kind, record in records:
        found.setdefault(kind, []).append(record)
    return found


class _Waiting:
    """Rows that wait for a patient with a place for them: those that waited longest are tried first."""

    def __init__(self, wanted: Sequence[Fault], each: int, patients: int, numbers: random.Random) -> None:
        self.numbers = numbers
        self.planted: Counter[str] = Counter()
        self.open: list[Fault] = []
        self.done = 0
        spread = max(patients - ROOM * len(wanted) * each, 1)
        coming = [(numbers.randint(1, spread), place, row) for place, row in enumerate([*wanted] * each)]
        self.coming = sorted(coming, key=lambda one: one[:2], reverse=True)

    def plant(self, scene: Scene, alone: Scene, rules: RuleSet, patient: int) -> Planted | None:
        """Put one of those that wait into patient number `patient`, or into a message of that patient `alone`; None
        where none has a place."""
        while self.coming and self.coming[-1][0] <= patient:
            self.open.append(self.coming.pop()[2])
        tried: set[str] = set()
        for place, row in enumerate(self.open):
            if row.at in tried:
                continue
            tried.add(row.at)
            found = plant(row, alone if row.message else scene, rules, self.done + 1, self.numbers)
            if found is not None:
                del self.open[place]
                self.done += 1
                self.planted[row.rule] += 1
                return found
        return None

    def rest(self) -> Iterator[Fault]:
        """Those that found no place."""
        yield from self.open
        yield from (row for _, _, row in self.coming)


class _Writer:
    """Writes records, messages and the manifest as they come."""

    def __init__(self, folder: Path, kinds: Kinds, table: NprTable, stack: ExitStack) -> None:
        self.folder, self.kinds, self.table, self.stack = folder, kinds, table, stack
        self.files: dict[Path, BinaryIO] = {}
        self.envelope = table.modules[MODULE].top.owners[0].kind.name
        self.file(NAME)

    def file(self, name: str) -> BinaryIO:
        path = self.folder / name
        if path not in self.files:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.files[path] = self.stack.enter_context(path.open("wb"))
        return self.files[path]

    def records(self, records: Mapping[str, Iterable[Record]], under: str = "") -> None:
        for kind, rows_of in records.items():
            for record in rows_of:
                options = orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE
                self.file(f"{under}{kind}{NDJSON}").write(orjson.dumps(record, option=options))

    def planted(self, planted: Planted) -> None:
        """What came with a fault beside the patient's records, and what the manifest says of it."""
        where = "."
        if planted.fault.message:
            where = f"{planted.fault.rule}-{planted.number}.xml"
            self.file(where).write(self.message(planted))
        else:
            self.records(planted.scene.new)
            self.records(planted.scene.earlier, f"{EARLIER}/")
        for row in rows(planted, self.kinds, where):
            self.file(NAME).write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def message(self, planted: Planted) -> bytes:
        """The patient's records as a message, with its text edited as the fault says."""
        scene, out = planted.scene, BytesIO()
        root = self.kinds[subject(self.kinds, shared_kinds(self.kinds))]
        institution = scene.records[root.name][0][root.key[0]]
        pool = _Pool({**scene.shared, **scene.records}, self.kinds)
        write_npr(pool, out, self.table, self.kinds, MODULE, institution, scene.shared[self.envelope][0])
        edit = planted.fault.edit
        return edited(out.getvalue().decode(), edit, planted.number).encode() if edit else out.getvalue()


class _Pool:
    """Records as npr_write asks for them."""

    def __init__(self, records: Records, kinds: Kinds) -> None:
        self.kinds = kinds
        self.held = {name: [kinds.complete(kinds[name], each) for each in rows_] for name, rows_ in records.items()}

    def scan(self, kind: str) -> Iterator[Record]:
        fields = dict.fromkeys(self.kinds[kind].fields)
        yield from ({**fields, **record} for record in self.held.get(kind, ()))

    def related(self, kind: str, link: str, keys: Sequence[str]) -> Mapping[str, Sequence[Record]]:
        found: dict[str, list[Record]] = {}
        for record in self.scan(kind):
            found.setdefault(str(record[f"${link}"]), []).append(record)
        return {key: found[key] for key in keys if key in found}


def edited(text: str, edit: Edit, number: int) -> str:
    """A message's text with the first tag of an element changed: an attribute set or taken out, or text put inside."""
    match = re.search(rf"<{edit.element}(?=[\s/>])[^>]*>", text)
    if match is None:
        raise LookupError(edit.element)
    tag = match[0]
    if edit.attribute:
        said = re.compile(rf'\s{edit.attribute}="[^"]*"')
        new = "" if edit.value == NONE else f' {edit.attribute}="{edit.value.replace(NUMBER, str(number))}"'
        made = (
            said.sub(new, tag, 1) if said.search(tag) else tag.replace(f"<{edit.element}", f"<{edit.element}{new}", 1)
        )
    else:
        made = tag + edit.inside
    return text[: match.start()] + made + text[match.end() :]
