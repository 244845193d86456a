"""Add the examples that mappings lack: synthetic records, cut to what a mapping reads, until every demand is met.

Run it after a change of mappings (`python tools/golden_examples.py [--renew] [MAPPING ...]`), then look at what
`git diff` shows and at `fhir-facade mapping test`. Records that are there stay; resources and issues are written as by
`fhir-facade mapping accept`. --renew takes all examples away and makes them anew, those from outside too.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson
from golden_series import Parts, received, sent_series, series

from fhir_facade.contracts import Record, Resource
from fhir_facade.mapping.check import used_fields
from fhir_facade.mapping.compare import bare
from fhir_facade.mapping.coverage import demands
from fhir_facade.mapping.demand import Demand
from fhir_facade.mapping.golden_files import examples_folder, read_examples, write_json
from fhir_facade.mapping.goldens import accept, as_stored
from fhir_facade.mapping.ir import Coded, Each, Rule
from fhir_facade.mapping.kinds import ChildList, Field, Kind, Kinds
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet, load_mapping_set
from fhir_facade.resources import data_root
from fhir_facade.store.synthetic import generate
from fhir_facade.terminology.lists import code_lists

PATIENTS, SEED = 150, 20
LOOKED_AT = 300  # synthetic records of a kind that examples are made of
UNKNOWN = "ZZ9"  # no Norwegian list has it
ITEMS = 2
TRIES = 4000  # records tried for one demand
SAMPLES = {
    "date": ("2025-03-30", "2025-04-02"),
    "dateTime": ("2025-03-30T14:05:00", "2025-10-26T01:30:00"),
    "year": ("1980", "1981"),
    "integer": (1, 2),
}


def _set(*steps: str | int) -> Callable[[Any], None]:
    """An edit of a resource: the last of `steps` becomes the value at the place that the others lead to."""

    def edit(resource: Any) -> None:
        *path, last, value = steps
        for step in path:
            resource = resource[step]
        resource[last] = value

    return edit


EDITS: dict[str, list[tuple[str, bool, tuple[Callable[[Any], None], ...]]]] = {
    "opphold-encounter": [
        ("ny-fra-klient", False, ()),
        ("utskrevet-av-klient", True, (_set("period", "end", "2025-06-01T12:00:00+02:00"),)),
        ("med-tekst-fra-klient", True, (lambda each: each.update(reasonCode=[{"text": "Brystsmerter"}]),)),
    ],
    "henvisning-servicerequest": [
        ("ny-fra-klient", False, ()),
        ("dato-endret-ett-av-to-steder", True, (_set("authoredOn", "2025-05-05"),)),
        ("med-instruks-fra-klient", True, (_set("patientInstruction", "Møt fastende"),)),
    ],
    "pasient-patient": [
        ("ny-fra-klient", False, ()),
        ("nytt-etternavn", True, (_set("name", 0, "family", "Ødegård"),)),
        ("med-kallenavn", True, (lambda each: each["name"].append({"use": "nickname", "text": "Kalle"}),)),
    ],
    "konsultasjonsserie-episodeofcare": [
        ("ny-fra-klient", False, ()),
        ("avsluttet-av-klient", True, (_set("period", "end", "2025-06-01"), _set("status", "finished"))),
    ],
}
"""What a client sends, by mapping: name of the example, whether it is stored, what is changed of the usual one."""


def synthetic(kinds: Kinds) -> dict[str, list[Record]]:
    """Synthetic records by kind, with embedded records in place."""
    by_kind: dict[str, list[Record]] = {}
    for name, record in generate(PATIENTS, SEED):
        by_kind.setdefault(name, []).append(record)
    for kind in kinds:
        for child in kind.children.values():
            if child.records:
                _embed(kinds[child.records], kind, child.name, by_kind)
    return by_kind


def _embed(inner: Kind, outer: Kind, child: str, by_kind: dict[str, list[Record]]) -> None:
    link = next(link for link in inner.links.values() if link.to == outer.name)
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in by_kind.get(inner.name, ()):
        groups.setdefault(tuple(record.get(name) for name in link.fields), []).append(record)
    for record in by_kind.get(outer.name, ()):
        record[child] = groups.get(tuple(record.get(name) for name in outer.key), [])


class Maker:
    """Makes the examples of one mapping."""

    def __init__(self, mapping_set: MappingSet, mapping: CompiledMapping, records: dict[str, list[Record]]) -> None:
        self.kinds, self.mapping, self.kind = mapping_set.kinds, mapping, mapping.kind
        self.used, self.listed = used_fields(mapping.rules, self.kind)
        self.pool = [self.cut(record) for record in records.get(self.kind.name, ())[:LOOKED_AT]]
        self.known = self._known_values()
        if not self.pool:
            self.pool = [{name: self.sample(self.kind.fields[name]) for name in self._kept(self.kind.fields)}]
        self.usual = max(self.pool, key=lambda record: (_size(record), -len(orjson.dumps(record))))
        self.demands = demands(mapping.rules, self.kind, self.kinds)

    def _kept(self, fields: Iterable[str]) -> list[str]:
        needed = {*self.used, *self.kind.key}
        own = (self.kind.version, self.kind.changed)
        return [
            name
            for name in fields
            if name not in own and (name in needed or self.kind.fields[name].required == "always")
        ]

    def fields_in(self, child: ChildList) -> dict[str, Field]:
        """The fields of a list's items that an example keeps."""
        kind = self.kinds[child.records] if child.records else None
        fields, key = (kind.fields, kind.key) if kind else (child.fields, child.key)
        needed = {*self.listed.get(child.name, ()), *key}
        own = (kind.version, kind.changed) if kind else ()
        return {
            name: each
            for name, each in fields.items()
            if name not in own and (name in needed or each.required == "always")
        }

    def cut(self, record: Record) -> Record:
        """A record with what the mapping reads, and few items in its lists."""
        out = {name: record[name] for name in self._kept(self.kind.fields) if record.get(name) is not None}
        for name in self.listed:
            fields = self.fields_in(self.kind.children[name])
            items = [{key: item[key] for key in fields if item.get(key) is not None} for item in record.get(name) or ()]
            if items:
                out[name] = items[:ITEMS]
        return out

    def _known_values(self) -> dict[tuple[str, str], list[Any]]:
        """Values that synthetic records hold, by list ("" the record) and field."""
        known: dict[tuple[str, str], dict[Any, None]] = {}
        for record in self.pool:
            for name, value in record.items():
                for item in value if isinstance(value, list) else [{name: value}]:
                    for key, held in item.items():
                        known.setdefault((name if isinstance(value, list) else "", key), {})[held] = None
        return {place: list(values) for place, values in known.items()}

    def sample(self, field: Field, child: str = "", number: int = 0) -> Any:
        """A value that a field may hold; another for another number."""
        values = self.known.get((child, field.name), ())
        if len(values) > number:
            return values[number]
        if field.type in SAMPLES:
            return SAMPLES[field.type][number]
        if field.type == "code":
            codes = list(code_lists()[field.code_list].codes) if field.code_list in code_lists() else ["A", "B"]
            return codes[min(number, len(codes) - 1)]
        if field.digits:
            return str(1234567 + number)[: field.digits]
        return f"{'Tekst' if number == 0 else 'Annen tekst'}"[: field.max_length or None]

    def field(self, name: str, child: str) -> Field | None:
        """A field of the record or, with `child`, of its list; "^field" is the record around."""
        fields = self.fields_in(self.kind.children[child]) if child else self.kind.fields
        return fields.get(name.removeprefix("^"))

    def item_key(self, child: str) -> tuple[str, ...]:
        listed = self.kind.children[child]
        return self.kinds[listed.records].key if listed.records else listed.key

    def minimal(self) -> Record:
        return {
            name: self.usual.get(name, self.sample(self.kind.fields[name]))
            for name in self.kind.fields
            if name in self.kind.key or self.kind.fields[name].required == "always"
            if name not in (self.kind.version, self.kind.changed)
        }

    def unknown_codes(self) -> Record | None:
        """The usual record with a code that no map knows wherever a code map stands."""
        places = [("", name) for name in _mapped(self.mapping.rules.rules)]
        for each in self.mapping.rules.rules:
            if isinstance(each, Each):
                places += [(each.child, name) for name in _mapped(each.rules)]
        if not places:
            return None
        out = {**self.usual}
        for child, name in places:
            if not child:
                out[name] = UNKNOWN
            else:
                items = out.get(child) or [self.item(child, 0)]
                out[child] = [{**item, name: UNKNOWN} for item in items[:1]]
        return out

    def item(self, child: str, number: int, *, whole: bool = False) -> Record:
        """An item of a list, made up."""
        listed = self.kind.children[child]
        fields = self.fields_in(listed)
        outer = {name for name in fields if name in self.kind.key}
        chosen = {
            name: self.usual[name] if name in outer else self.sample(each, child, number)
            for name, each in fields.items()
            if whole or name in outer or name in listed.key or each.required == "always"
        }
        for name in self.item_key(child):
            if name not in outer and fields[name].type == "integer":
                chosen[name] = number + 1
        return chosen

    def lists(self, record: Record) -> Record:
        """The record with two items in each list."""
        out = {**record}
        for child in self.listed:
            items = list(out.get(child) or [])[:ITEMS]
            out[child] = [*items, *(self.item(child, number, whole=True) for number in range(len(items), ITEMS))]
        return out

    def filled(self) -> Record:
        """A record with a value in every field, and lists whose first item has one in every field."""
        out = self.lists(self.usual)
        for name in self._kept(self.kind.fields):
            out.setdefault(name, self.sample(self.kind.fields[name]))
        for child in self.listed:
            fields = self.fields_in(self.kind.children[child])
            first = out[child][0]
            whole = {name: first.get(name, self.sample(each, child)) for name, each in fields.items()}
            out[child] = [whole, *out[child][1:]]
        order = [*self._kept(self.kind.fields), *self.listed]
        return {name: out[name] for name in order}

    def unmet(self, records: list[Record]) -> list[Demand]:
        whole = [self.kinds.complete(self.kind, record) for record in records]
        return [demand for demand in self.demands if not any(map(demand.met, whole))]

    def meeting(self, demand: Demand, others: list[Demand]) -> Record | None:
        """A record that meets a demand, and of the synthetic ones that which meets the most others."""
        met = [record for record in self.pool if self.meets(demand, record)]
        if met:
            return max(met, key=lambda record: sum(self.meets(other, record) for other in others))
        tried = itertools.islice(self.changed(demand), TRIES)
        return next((record for record in tried if self.meets(demand, record)), None)

    def meets(self, demand: Demand, record: Record) -> bool:
        return demand.met(self.kinds.complete(self.kind, record))

    def changed(self, demand: Demand) -> Iterator[Record]:
        """Records in which the fields of a demand have other values, or none."""
        for base in [self.usual, self.filled(), *self.pool[:40]]:
            items = base.get(demand.child) or [self.item(demand.child, 0)] if demand.child else [None]
            for place, item in enumerate(items):
                for values in itertools.product(*(self._values(demand, name) for name in demand.fields)):
                    out, inner = {**base}, {**(item or {})}
                    for name, value in zip(demand.fields, values, strict=True):
                        target = inner if demand.child and not name.startswith("^") else out
                        target[name.removeprefix("^")] = value
                    if item is not None:
                        out[demand.child] = [*items[:place], _present(inner), *items[place + 1 :]]
                    yield _present(out)

    def _values(self, demand: Demand, name: str) -> list[Any]:
        child = "" if name.startswith("^") else demand.child
        field = self.field(name, child)
        own = [self.sample(field, child, number) for number in (0, 1)] if field else []
        return list(dict.fromkeys([*demand.values, *own, None]))

    def examples(self, there: list[Record]) -> Iterator[tuple[str, list[Record]]]:
        """(name, records) of the examples to add; several records are a series in one file."""
        unknown, records = self.unknown_codes(), list(there)
        first: list[tuple[str, Record | None]] = [
            ("vanlig", self.usual),
            ("minimal", self.minimal()),
            ("ukjent-kode", unknown),
            ("lister", self.lists(self.usual) if self.listed else None),
            ("alle-felt", self.filled()),
        ]
        for word, record in [] if there else first:
            if record is not None and record not in records:
                records.append(record)
                yield word, [record]
        for word, made in series(self, self.unmet(records)):
            records += made
            yield word, made
        while left := self.unmet(records):
            found = next(((demand, found) for demand in left if (found := self.meeting(demand, left))), None)
            if found is None:
                for demand in left:
                    sys.stderr.write(f"{demand.at}: {demand.said}, and none could be made\n")
                return
            records.append(found[1])
            yield found[0].word, [found[1]]


def _size(record: Record) -> int:
    return sum(2 + len(value) if isinstance(value, list) else 1 for value in record.values())


def _present(record: Record) -> Record:
    return {name: value for name, value in record.items() if value is not None}


def _mapped(rules: Iterable[Rule]) -> list[str]:
    """The fields that go through a code map."""
    return [rule.field for rule in rules if isinstance(rule, Coded) and rule.code_map]


def add(mapping_set: MappingSet, folder: Path, mapping: CompiledMapping, records: dict[str, list[Record]]) -> int:
    """Write what is missing of one mapping; returns how many examples were added."""
    place = examples_folder(folder, mapping)
    there = read_examples(place, [])
    number = max((int(each.name[:2]) for each in there if each.name[:2].isdigit()), default=0)
    maker = Maker(mapping_set, mapping, records)
    shown = [each.parts["epj"] for each in there if not each.is_inbound]
    made = 0
    for word, found in maker.examples(shown):
        made += 1
        _write(place, number + made, word, [{"epj": record} for record in found])
    for _ in accept(mapping_set, folder, mapping):
        pass
    sent = [(each.parts["fhir-in"], each.parts.get("epj") or {}) for each in there if each.is_inbound]
    for word, is_stored, edits in () if sent else EDITS.get(mapping.name, ()):
        made += 1
        _write(place, number + made, word, [_edited(mapping_set, maker, edits, is_stored=is_stored)])
    for word, parts in sent_series(mapping_set, maker, sent):
        made += 1
        _write(place, number + made, word, parts)
    return made


def _write(place: Path, number: int, word: str, examples: list[Parts]) -> None:
    """Write the files of an example, or of a series of them."""
    for part in {part: None for each in examples for part in each}:
        values = [each.get(part) for each in examples]
        if any(values):
            name = f"{number:02d}-{word.lower()}.{part}.json"
            write_json(place / name, values if len(values) > 1 else values[0])


def _edited(mapping_set: MappingSet, maker: Maker, edits: Iterable[Callable[[Any], None]], *, is_stored: bool) -> Parts:
    """An example from outside: the usual resource, edited, put into the stored record or into none."""
    whole = as_stored(mapping_set.kinds, maker.kind, maker.usual)
    resource: Resource = bare(orjson.loads(maker.mapping.to_bytes(whole, [])))
    for edit in edits:
        edit(resource)
    parts = received(maker.mapping, resource, whole if is_stored else None)
    return {**parts, "base.epj": maker.usual if is_stored else None}


def main(arguments: list[str]) -> int:
    """Add examples to the mappings named, or to all; returns 0."""
    folder = data_root("mappings")
    mapping_set = load_mapping_set(folder)
    records = synthetic(mapping_set.kinds)
    names = [name for name in arguments if not name.startswith("--")] or list(mapping_set.mappings)
    for name in names:
        mapping = mapping_set.mappings[name]
        if "--renew" in arguments:
            for file in examples_folder(folder, mapping).glob("*.json"):
                file.unlink()
        sys.stdout.write(f"{name}: {add(mapping_set, folder, mapping, records)} example(s) added\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
