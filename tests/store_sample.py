"""Small record kinds for tests of the store: a ward, a person, a stay with lists, and what happens in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.columns import SearchColumn
from fhir_facade.mapping.kinds import Kinds
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.store.records import Store
from fhir_facade.store.writer import Outcome, Writer

NOW, LATER, LATEST = (f"2026-01-0{day}T00:00:00.000Z" for day in (1, 2, 3))

FILES = {
    "ward": """
record: ward
key: [wardID]
npr: {ord: M/Ward}
fields:
  wardID: {type: text}
  name: {type: text}
""",
    "doctor": """
record: doctor
key: [doctorID]
fields:
  doctorID: {type: text}
""",
    "person": """
record: person
key: [personNr]
npr: {ord: M/Person}
fields:
  personNr: {type: text}
  guid: {type: text}
  name: {type: text}
""",
    "stay": """
record: stay
key: [personNr, stayNr]
npr: {ord: M/Person/Stay}
references:
  person: {to: person, fields: [personNr]}
  ward: {to: ward, fields: [wardID]}
fields:
  personNr: {type: text}
  stayNr: {type: integer}
  wardID: {type: text}
  rank: {type: integer}
  word: {type: text}
children:
  moves:
    key: [nr]
    references:
      ward: {to: ward, fields: [toWard]}
      doctor: {to: doctor, fields: [by]}
    fields:
      nr: {type: integer}
      toWard: {type: text}
      by: {type: text}
  notes:
    key: [topic, nr]
    fields:
      topic: {type: text}
      nr: {type: integer}
      said: {type: text}
  acts:
    records: act
""",
    "act": """
record: act
key: [personNr, stayNr, actNr]
parent: stay
npr: {ord: M/Person/Stay/Act}
references:
  stay: {to: stay, fields: [personNr, stayNr]}
  cause: {to: act, fields: [personNr, stayNr, causeNr]}
fields:
  personNr: {type: text}
  stayNr: {type: integer}
  actNr: {type: integer}
  causeNr: {type: integer}
  rank: {type: integer}
  word: {type: text}
children:
  parts:
    key: [nr]
    fields:
      nr: {type: integer}
      what: {type: text}
""",
}


def sample_kinds(folder: Path) -> Kinds:
    """The kinds above, written to a folder and read from it."""
    for name, text in FILES.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return load_kinds(folder)


def folded(field: str, kind: str, child: str = "") -> SearchColumn:
    """A search column that holds a text field in small letters."""
    return SearchColumn(kind, child, f"s_{field}", "text", lambda row: (row.get(field) or "").lower())


def merge(writer: Writer, store: Store, kind: str, now: str = NOW, **fields: Any) -> Outcome:
    """Merge one record and tell what became of it."""
    return merge_many(writer, store, kind, [fields], now)[0]


def merge_many(writer: Writer, store: Store, kind: str, records: list[Record], now: str = NOW) -> list[Outcome]:
    """Merge records; lists that they do not have stay as they are."""
    chosen = store.schema.kinds[kind]
    whole = []
    for record in records:
        complete = store.schema.kinds.complete(chosen, record)
        whole.append({name: value for name, value in complete.items() if name in record or name[0] == "$"})
    return writer.merge(chosen, whole, now, supplied=None)
