"""Mappings that fill what the shipped ones leave out of search, and random records of them: quantities, numbers, tags.

Every value stands in few forms, so that random searches often find something, and some hold `|`, `,`, `$` and `\\`.
"""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

from fhir_facade.contracts import Record
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.resources import data_root

NOW = "2026-01-02T03:04:05.678Z"
AWKWARD = ("a|b", "x,y", "c$d", "e\\f", "plain", "Ærlig", "aerlig")
FILES = {
    "records/measure.yaml": """\
record: measure
meaning: a measurement
key: [nr]
version: rad_versjon
changed: sist_endret
fields:
  nr: {type: integer, required: true, meaning: number}
  sort: {type: code, list: 8406, required: true, meaning: what was measured}
  local: {type: text, max: 20, meaning: a local code}
  words: {type: text, max: 40, meaning: what was measured in words}
  amount: {type: integer, meaning: the value}
  upper: {type: integer, meaning: an upper value}
  unit: {type: text, max: 20, meaning: unit of the upper value}
  at: {type: dateTime, meaning: when}
  done: {type: date, meaning: when it was done}
  kind: {type: code, list: 3101, meaning: a coded result}
  source: {type: text, max: 80, meaning: where it came from}
children:
  readings:
    key: [nr]
    meaning: readings
    fields:
      nr: {type: integer, required: true, meaning: place}
      what: {type: code, list: 8406, required: true, meaning: what was read}
      value: {type: integer, meaning: the value}
      unit: {type: text, max: 20, meaning: its unit}
      word: {type: code, list: 3101, meaning: a coded reading}
""",
    "measure.observation.yaml": """\
mapping: measure-observation
version: 1.0.0
epj: measure
fhir: Observation
rules:
  - {epj: $key, fhir: id, as: id}
  - {fhir: meta.tag, const: [observation-kind, resultat]}
  - {epj: source, fhir: meta.source}
  - {fhir: meta.profile, const: "http://fhir-facade.no/fhir/StructureDefinition/observation-maling"}
  - {fhir: status, derive: "final if done else preliminary"}
  - {fhir: category, const: [episode-type, serie]}
  - {epj: sort, fhir: "code.coding", as: coding, system: vol-8406}
  - {epj: local, fhir: "code.coding", as: coding, system: maling}
  - {epj: words, fhir: code.text}
  - {epj: at, fhir: effectiveDateTime}
  - {epj: amount, fhir: valueQuantity.value}
  - {fhir: valueQuantity.unit, const: gram}
  - {fhir: valueQuantity.system, const: "http://unitsofmeasure.org"}
  - {fhir: valueQuantity.code, const: g}
  - {epj: kind, fhir: method, codes: kjonn-gender, original: beside}
  - {fhir: "component[upper].code", const: [observation-kind, egne-barn]}
  - {epj: upper, fhir: "component[upper].valueQuantity.value"}
  - {epj: unit, fhir: "component[upper].valueQuantity.unit"}
  - each: readings
    fhir: component
    order: nr
    rules:
      - {epj: what, fhir: code, system: vol-8406}
      - {epj: value, fhir: valueQuantity.value}
      - {epj: unit, fhir: valueQuantity.unit}
      - {epj: word, fhir: valueCodeableConcept, codes: kjonn-gender, original: beside}
""",
    "records/person.yaml": """\
record: person
meaning: a person
key: [nr]
version: rad_versjon
changed: sist_endret
fields:
  nr: {type: integer, required: true, meaning: number}
  family: {type: text, max: 40, meaning: family name}
  typeID: {type: code, list: 9032, meaning: kind of number}
  fid: {type: text, max: 40, meaning: a number}
  card: {type: text, max: 40, meaning: number of a card}
  sex: {type: code, list: 3101, meaning: sex}
  born: {type: date, meaning: date of birth}
  bornYear: {type: year, meaning: year of birth}
  gone: {type: dateTime, meaning: time of death}
  city: {type: text, max: 40, meaning: city}
""",
    "person.patient.yaml": """\
mapping: person-patient
version: 1.0.0
epj: person
fhir: Patient
rules:
  - {epj: $key, fhir: id, as: id}
  - {fhir: active, const: true}
  - when: {sex: ["1"]}
    rules:
      - {fhir: meta.security, const: [confidentiality, R]}
  - {epj: fid, fhir: identifier, system-from: typeID, systems: person-id, type-system: vol-9032}
  - {epj: card, fhir: "identifier[card].value"}
  - {fhir: "identifier[card].type", const: [contact-role, N]}
  - {epj: family, fhir: "name[main].family"}
  - {epj: sex, fhir: gender, codes: kjonn-gender, original: beside}
  - {epj: born | bornYear, fhir: birthDate}
  - {epj: gone, fhir: deceasedDateTime}
  - {epj: city, fhir: "address[home].city"}
  - {fhir: "address[home].country", const: Norge}
""",
    "records/risk.yaml": """\
record: risk
meaning: a risk
key: [nr]
version: rad_versjon
changed: sist_endret
fields:
  nr: {type: integer, required: true, meaning: number}
  name: {type: text, max: 40, required: true, meaning: name of a person}
children:
  chances:
    key: [nr]
    meaning: chances
    fields:
      nr: {type: integer, required: true, meaning: place}
      percent: {type: integer, meaning: how likely}
""",
    "risk.riskassessment.yaml": """\
mapping: risk-riskassessment
version: 1.0.0
epj: risk
fhir: RiskAssessment
rules:
  - {epj: $key, fhir: id, as: id}
  - {fhir: status, const: final}
  - {epj: name, fhir: subject.display}
  - each: chances
    fhir: prediction
    order: nr
    rules:
      - {epj: percent, fhir: probabilityDecimal}
""",
}


def search_set(folder: Path) -> MappingSet:
    """The mappings, written into an empty folder."""
    shutil.copytree(data_root("mappings") / "codes", folder / "codes")
    shutil.copy(data_root("mappings") / "systems.yaml", folder)
    for name, text in FILES.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return load_mapping_set(folder)


def records(seed: int, count: int) -> dict[str, list[Record]]:
    """Random records by kind; the caller prints the seed."""
    rng = random.Random(seed)

    def some(*values: Any) -> Any:
        return rng.choice((*values, None))

    def measure(nr: int) -> Record:
        return {
            "nr": nr,
            "sort": rng.choice(("1", "3", "8", "9999")),
            "local": some(*AWKWARD),
            "words": some("Vekt", "vekt i gram", "Høyde", "élan"),
            "amount": some(-5, 0, 5, 54, 95, 99, 100, 101, 104, 105, 1000),
            "upper": some(1, 2, 10),
            "unit": some("kg", "g", "a|b"),
            "at": some(
                "2024-01-15T08:30:00", "2024-03-31T00:30:00", "2024-10-27T02:30:00", "2024-10-27T02:30:00+01:00"
            ),
            "done": some("2024-01-15"),
            "kind": some("1", "2", "7"),
            "source": some("http://site.no/a", "http://site.no/a/b", "http://site.no/ab", "urn:x"),
            "readings": [
                {
                    "nr": place,
                    "what": rng.choice(("1", "3", "8")),
                    "value": some(1, 2, 10, 99),
                    "unit": some("kg", "g"),
                    "word": some("1", "2", "7"),
                }
                for place in range(1, rng.randrange(4) + 1)
            ],
        }

    def person(nr: int) -> Record:
        return {
            "nr": nr,
            "family": some("Ås", "Aas", "Østby", "von Ås", "O'Brien", "100%", "a_b", "é|a"),
            "typeID": some("1", "2", "3", "99"),
            "fid": some("123", "456", "a|b"),
            "card": some("123", "789"),
            "sex": some("1", "2", "7"),
            "born": some("1980-05-06", "2024-02-29"),
            "bornYear": some("1980", "2024"),
            "gone": some("2024-10-27T02:30:00", "2025-01-02T03:04:05"),
            "city": some("Oslo", "Ålesund", "Bodø"),
        }

    def risk(nr: int) -> Record:
        return {
            "nr": nr,
            "name": rng.choice(("Kari Nordmann", "kåre", "Åse")),
            "chances": [{"nr": place, "percent": some(0, 5, 50, 99, 100)} for place in range(1, rng.randrange(4) + 1)],
        }

    makers = {"measure": measure, "person": person, "risk": risk}
    return {kind: [make(nr) for nr in range(1, count + 1)] for kind, make in makers.items()}


def fill(store: Any, mapping_set: MappingSet, seed: int, count: int) -> None:
    """Put the random records into a store."""
    with store.transaction() as writer:
        for name, made in records(seed, count).items():
            kind = mapping_set.kinds[name]
            bare = [{field: value for field, value in record.items() if value is not None} for record in made]
            writer.merge(kind, [mapping_set.kinds.complete(kind, each) for each in bare], NOW, supplied=None)
