"""A small set of mappings with examples, in a folder of its own: one kind, one resource, every sort of demand."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import orjson

from fhir_facade.mapping.mapping_set import load_mapping_set
from fhir_facade.resources import data_root
from fhir_facade.store.records import SqliteStore

RECORD = """\
record: client
meaning: a person
key: [office, number]
version: rad_versjon
changed: sist_endret
fields:
  office: {type: text, max: 20, required: true, meaning: office}
  number: {type: text, max: 20, required: true, meaning: number at the office}
  family: {type: text, max: 100, meaning: family name}
  sex: {type: code, list: 3101, meaning: sex}
  secret: {type: code, list: 1101, meaning: whether the address is protected}
  born: {type: date, meaning: date of birth}
  bornYear: {type: year, meaning: year of birth}
  gone: {type: dateTime, meaning: time of death}
  note: {type: text, max: 200, meaning: internal note}
children:
  phones:
    key: [nr]
    meaning: telephones
    fields:
      nr: {type: integer, required: true, meaning: place}
      line: {type: text, max: 20, meaning: telephone number}
"""
MAPPING = """\
mapping: client-patient
version: 1.0.0
epj: client
fhir: Patient
rules:
  - {epj: $key, fhir: id, as: id}
  - when: {secret: ["1"]}
    rules:
      - {fhir: meta.security, const: [confidentiality, R]}
  - {epj: secret, fhir: extension(adressesperre).valueCoding, system: vol-1101}
  - {epj: number, fhir: identifier, system: pasient, assigner: office, assigner-system: orgnr}
  - {fhir: "name[main].use", derive: "old if gone else official"}
  - {epj: family, fhir: "name[main].family"}
  - {epj: sex, fhir: gender, codes: kjonn-gender, original: beside}
  - {epj: born | bornYear, fhir: birthDate}
  - {epj: gone, fhir: deceasedDateTime}
  - each: phones
    fhir: telecom
    order: nr
    rules:
      - {fhir: system, const: phone}
      - {epj: line, fhir: value}
ignore:
  note: for the office only
"""
FILE = "client.patient.yaml"
USUAL: dict[str, Any] = {
    "office": "1", "number": "7", "family": "Li", "sex": "2", "secret": "1", "born": "1980-05-06",
    "gone": "2025-01-02T03:04:05", "phones": [{"nr": 1, "line": "22222222"}, {"nr": 2, "line": "33333333"}],
}  # fmt: skip
PLAIN: dict[str, Any] = {"office": "1", "number": "8", "family": "Ek", "sex": "7", "secret": "2", "bornYear": "1981"}
CODES: list[dict[str, Any]] = [
    {key: USUAL[key] for key in ("office", "secret", "born", "gone")} | {"number": "9", "sex": sex} for sex in "019"
]
SENT = {"unknown": "0", "male": "1", "female": "2", "other": "9"}


def small_set(folder: Path, *, whole: bool = False) -> Path:
    """The folder with a set, and records of examples that lack their resources (see `mapping accept`).

    With `whole` there are two series besides, of the codes for sex out and in, so that all demands are met.
    """
    (folder / "records").mkdir(parents=True)
    (folder / "codes").mkdir()
    (folder / "records" / "client.yaml").write_text(RECORD, "utf-8")
    (folder / FILE).write_text(MAPPING, "utf-8")
    shutil.copy(data_root("mappings") / "systems.yaml", folder)
    shutil.copy(data_root("mappings") / "codes" / "kjonn-gender.yaml", folder / "codes")
    put(folder, "01-usual.epj.json", USUAL)
    put(folder, "02-plain.epj.json", PLAIN)
    if whole:
        put(folder, "03-codes.epj.json", CODES)
        put(folder, "04-sent.fhir-in.json", [{"resourceType": "Patient", "id": "1.9", "gender": each} for each in SENT])
        put(folder, "04-sent.epj.json", [{"office": "1", "number": "9", "sex": each} for each in SENT.values()])
    return folder


def put(folder: Path, name: str, value: Any) -> Path:
    """Write one file of an example."""
    file = folder / "client.patient.examples" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(orjson.dumps(value))
    return file


def change(file: Path, old: str, new: str) -> None:
    """Replace a text that stands once in a file."""
    text = file.read_text("utf-8")
    assert text.count(old) == 1, old
    file.write_text(text.replace(old, new), "utf-8")


def stored(folder: Path, database: Path) -> Path:
    """A database with the two records of the examples, made by the set of a folder."""
    mapping_set = load_mapping_set(folder)
    store = SqliteStore.open(database, mapping_set.kinds, mapping_set.search.columns)
    kind = mapping_set.kinds["client"]
    with store.transaction() as writer:
        records = [mapping_set.kinds.complete(kind, each) for each in (USUAL, PLAIN)]
        writer.merge(kind, records, "2026-01-01T10:00:00.000Z", supplied=None)
    store.close()
    return database
