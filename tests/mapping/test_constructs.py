"""What the rows of a mapping may say besides path and field: one direction, absence, guards, Python, order, original.

Each construct stands in a small mapping of its own, and the judge and both compiled engines agree on it.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.mapping.findings import MappingError
from fhir_facade.mapping.ir import Each
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet, load_mapping_set
from fhir_facade.outcome import Issue
from fhir_facade.resources import data_root

SHIPPED = data_root("mappings")
ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
KIND = """
record: thing
meaning: a person in a test
key: [office, number]
version: version
changed: changed
fields:
  office: {type: text, max: 20, required: true, meaning: office}
  number: {type: text, max: 20, required: true, meaning: number}
  family: {type: text, max: 50, meaning: family name}
  nick: {type: text, max: 50, meaning: another name}
  kind: {type: code, list: 1101, meaning: yes or no}
  sex: {type: code, list: 3101, meaning: sex}
  married: {type: code, list: 3103, meaning: marital status}
  born: {type: date, meaning: date of birth}
  bornYear: {type: year, meaning: year of birth}
  begin: {type: date, meaning: first day}
  end: {type: date, meaning: last day}
  weight: {type: integer, meaning: weight}
children:
  parts:
    key: [line]
    meaning: things inside
    fields:
      line: {type: integer, required: true, meaning: place}
      sort: {type: code, list: 1101, meaning: yes or no}
      text: {type: text, max: 50, meaning: words}
      code: {type: code, list: 3402, meaning: municipality}
      from: {type: date, meaning: first day}
"""
RECORD = {"office": "1", "number": "2"}
PAIRS = """
class Weight:
    examples = [(80, {"value": 80, "unit": "kg"})]
    def to_fhir(self, value):
        if value < 0:
            return None
        if value == 0:
            raise ZeroDivisionError("secret 80")
        return {"value": value, "unit": "kg"} if value < 500 else {"extension": [{"url": "x"}]}
    def to_record(self, json):
        return json["value"]

class Plain:
    examples = [(1, "1990")]
    def to_fhir(self, value):
        return str(1989 + value)
    def to_record(self, json):
        return int(json) - 1989

class Truth:
    examples = [("yes", True), ("no", False)]
    def to_fhir(self, value):
        return {"yes": True, "no": False}[value]
    def to_record(self, json):
        return "yes" if json else "no"

class Wrong(Weight):
    examples = [(80, {"value": 81})]

weight, plain, truth, wrong = Weight(), Plain(), Truth(), Wrong()
"""


def built(folder: Path, rows: str, *, kind: str = KIND) -> MappingSet:
    """The mapping set of a Patient mapping of `thing` with these rows; fields that they do not name are ignored."""
    (folder / "records").mkdir()
    shutil.copytree(SHIPPED / "codes", folder / "codes")
    shutil.copy(SHIPPED / "systems.yaml", folder)
    (folder / "records" / "thing.yaml").write_text(kind, "utf-8")
    names = re.findall(r"^  (?:    )?(\w+): {type|^  (parts):", kind, re.MULTILINE)
    own = [first for first, _ in names]
    inner = own[own.index("") + 1 :]
    spoken = set(re.findall(r"\w+", rows))
    ignored = [name for name in own[: own.index("")] if name not in {*spoken, "office", "number"}]
    ignored += [f"parts.{name}" for name in inner if name not in {*spoken, "line"}] if "parts" in spoken else ["parts"]
    lines = ["mapping: thing-patient", "version: 1.0.0", "epj: thing", "fhir: Patient", "rules:"]
    lines += ["  - {epj: $key, fhir: id, as: id}", *(f"  {row}" for row in rows.strip().splitlines())]
    lines += ["ignore:"] if ignored else []
    lines += [f"  {name}: no part of this test" for name in ignored]
    (folder / "thing.patient.yaml").write_text("\n".join(lines), "utf-8")
    return load_mapping_set(folder)


def mapped(folder: Path, rows: str) -> CompiledMapping:
    return built(folder, rows).mappings["thing-patient"]


def shown(mapping: CompiledMapping, **fields: Any) -> tuple[dict[str, Any], list[tuple[str, Any]]]:
    """The resource without its id, and the issues as (code, field); all three engines agree, twice."""
    rows = [dict.fromkeys(("line", "sort", "text", "code", "from")) | row for row in fields.pop("parts", [])]
    names = dict.fromkeys(mapping.kind.fields)
    record = mapping.kinds.complete(mapping.kind, names | RECORD | fields | {"parts": rows})
    record |= {"version": None, "changed": None}
    results = []
    for engine in (mapping.interpret, mapping.to_fhir, mapping.to_bytes, mapping.to_bytes):
        issues: list[Issue] = []
        made: Any = engine(record, issues)
        made = orjson.loads(made) if isinstance(made, bytes) else made
        results.append((made, sorted(map(str, issues)), [(issue.code, issue.facts["field"]) for issue in issues]))
    for made, told, _ in results[1:]:
        assert (made, told) == results[0][:2]
    resource, _, issues_told = results[0]
    del resource["resourceType"], resource["id"]
    return resource, sorted(issues_told)


def findings(folder: Path, rows: str) -> list[str]:
    with pytest.raises(MappingError) as told:
        built(folder, rows)
    return [found.message for found in told.value.findings if found.severity == "error"]


def reason(code: str) -> dict[str, Any]:
    return {"extension": [{"url": ABSENT, "valueCode": code}]}


@pytest.fixture
def pairs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "python").mkdir()
    (tmp_path / "mappings").mkdir()
    (tmp_path / "python" / "pairs_of_this_test.py").write_text(PAIRS, "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "python"))
    return "pairs_of_this_test"


# ---- one direction


def test_a_row_from_fhir_writes_nothing_and_is_not_searched(tmp_path: Path) -> None:
    mapping_set = built(
        tmp_path,
        """
- {epj: family, fhir: "name[main].family"}
- {epj: nick, fhir: "name[main].family", only: from-fhir}
- {epj: born, fhir: birthDate, only: from-fhir}
- {epj: end, fhir: deceasedDateTime, only: to-fhir}
""",
    )
    mapping = mapping_set.mappings["thing-patient"]
    told = shown(mapping, family="Li", nick="Lo", born="1990-01-02", end="2020-01-02")
    assert told == ({"name": [{"family": "Li"}], "deceasedDateTime": "2020-01-02"}, [])
    parameters = mapping_set.search.parameters("Patient")
    assert "birthdate" not in parameters and {"family", "death-date"} <= set(parameters)


def test_a_list_whose_rows_are_all_from_fhir_writes_nothing(tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        """
- each: parts
  fhir: contact
  order: line
  rules:
    - {fhir: gender, const: unknown}
    - {epj: text, fhir: name.text, only: from-fhir}
""",
    )
    assert shown(mapping, parts=[{"line": 1, "text": "a"}]) == ({}, [])


# ---- absence


def test_absence_at_the_root_says_why(tmp_path: Path) -> None:
    """On a primitive, on a code with its own code beside, on an object, on a repeating object."""
    mapping = mapped(
        tmp_path,
        """
- {epj: born | bornYear, fhir: birthDate, absent: unknown}
- {epj: sex, fhir: gender, codes: kjonn-gender, original: beside, absent: asked-declined}
- {epj: married, fhir: maritalStatus, system: vol-3103, absent: not-asked}
- {epj: nick, fhir: identifier, system: pasient, absent: masked}
""",
    )
    assert shown(mapping) == (
        {
            "_birthDate": reason("unknown"),
            "_gender": reason("asked-declined"),
            "maritalStatus": reason("not-asked"),
            "identifier": [reason("masked")],
        },
        [("value-absent", name) for name in ("born | bornYear", "married", "nick", "sex")],
    )
    resource, issues = shown(mapping, bornYear="1990", sex="1", married="2", nick="x")
    assert issues == [] and ABSENT not in str(resource)
    assert resource["birthDate"] == "1990" and resource["gender"] == "male"
    assert resource["_gender"]["extension"][0]["valueCoding"]["code"] == "1"


def test_absence_away_from_the_root_only_completes_data(tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        """
- {epj: family, fhir: "name[main].family", absent: unknown}
- {epj: begin, fhir: "name[main].period.start"}
- {epj: end, fhir: "name[main].period.end", absent: temp-unknown}
- each: parts
  fhir: address
  order: line
  rules:
    - {epj: text, fhir: city, absent: masked}
    - {epj: code, fhir: state}
""",
    )
    assert shown(mapping, parts=[{"line": 1}]) == ({}, [])
    assert shown(mapping, begin="2020-01-02", parts=[{"line": 1, "code": "0301"}, {"line": 2, "text": "Oslo"}]) == (
        {
            "name": [{"_family": reason("unknown"), "period": {"start": "2020-01-02", "_end": reason("temp-unknown")}}],
            "address": [{"state": "0301", "_city": reason("masked")}, {"city": "Oslo"}],
        },
        [("value-absent", "end"), ("value-absent", "family"), ("value-absent", "text")],
    )


def test_absence_stands_under_the_guards_of_its_row(tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        """
- {epj: kind, fhir: extension(adressesperre).valueCoding, system: vol-1101}
- {epj: born, fhir: birthDate, absent: masked, when: {kind: ["1"]}}
""",
    )
    assert "_birthDate" not in shown(mapping)[0]
    assert shown(mapping, kind="2")[1] == []
    assert shown(mapping, kind="1")[0]["_birthDate"] == reason("masked")


@pytest.mark.parametrize(
    ("row", "missed"),
    [
        ("{epj: code, fhir: language, system: vol-3402}", True),
        ("{epj: code, fhir: language, system: vol-3402, absent: unknown}", False),
        ("{epj: code, fhir: language, system: vol-3402, absent: unknown, when: {line: }}", True),
        ("{epj: code, fhir: language.coding, as: coding, system: vol-3402}", True),
        (
            (
                "{epj: code, fhir: language.coding, as: coding, system: vol-3402, absent: unknown}\n"
                "    - {epj: sort, fhir: language.text}"
            ),
            True,
        ),
    ],
)
def test_absence_guarantees_a_required_element(tmp_path: Path, pairs: str, row: str, missed: bool) -> None:
    rows = f"""
- each: parts
  fhir: communication
  order: line
  rules:
    - {row}
    - {{epj: text, fhir: preferred, python: "{pairs}:truth"}}
"""
    if missed:
        said = "required element Patient.communication.language may be missing: code"
        assert [re.split(",| can", found)[0] for found in findings(tmp_path / "mappings", rows)] == [said]
    else:
        parts = [{"line": 1, "text": "yes"}]
        made = shown(mapped(tmp_path / "mappings", rows), parts=parts)[0]
        assert made == {"communication": [{"preferred": True, "language": reason("unknown")}]}


# ---- guards


def test_a_hidden_value_is_told(tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        """
- {epj: kind, fhir: extension(adressesperre).valueCoding, system: vol-1101}
- {epj: family, fhir: "name[main].family"}
- when: {kind: ["1"], family: }
  rules:
    - {epj: born | bornYear, fhir: birthDate}
    - {fhir: active, const: true}
""",
    )
    assert shown(mapping, kind="1", family="Li", born="1990-01-02")[1] == []
    assert shown(mapping, kind="2", family="Li")[1] == []
    resource, issues = shown(mapping, kind="2", family="Li", born="1990-01-02", bornYear="1990")
    assert "birthDate" not in resource and "active" not in resource
    assert issues == [("value-hidden", "born"), ("value-hidden", "bornYear")]
    assert shown(mapping, kind="1", bornYear="1990")[1] == [("value-hidden", "bornYear")]


def test_a_value_that_another_row_shows_is_not_hidden(tmp_path: Path) -> None:
    """Rows whose guards exclude each other, and a row without guard."""
    mapping = mapped(
        tmp_path,
        """
- {epj: kind, fhir: extension(adressesperre).valueCoding, system: vol-1101}
- {epj: nick, fhir: "name[nick].text", when: {kind: ["1"]}}
- {epj: nick, fhir: "name[nick].family", when: {kind: ["2"]}}
- {epj: family, fhir: "name[main].family"}
- {epj: family, fhir: "name[main].text", when: {kind: ["1"]}}
""",
    )
    for kind in ("1", "2"):
        assert shown(mapping, kind=kind, nick="x", family="Li")[1] == []
    assert shown(mapping, kind=None, nick="x", family="Li")[1] == [("value-hidden", "nick")]


def test_hidden_values_of_list_items_are_told(tmp_path: Path) -> None:
    """Items of free text, for which the byte engine loops; each item tells for itself, a filtered one not at all."""
    mapping = mapped(
        tmp_path,
        """
- {epj: family, fhir: "name[main].family"}
- each: parts
  fhir: address
  order: line
  only: {code: }
  rules:
    - {epj: sort, fhir: district}
    - {epj: code, fhir: state}
    - {epj: text, fhir: city, when: {sort: ["1"]}}
    - {epj: from, fhir: period.start, when: {^family: }}
""",
    )
    parts = [
        {"line": 1, "sort": "1", "text": "a", "code": "0301"},
        {"line": 2, "sort": "2", "text": "b", "code": "0301", "from": "2020-01-02"},
        {"line": 3, "sort": "2", "text": "b", "from": "2020-01-02"},
    ]
    resource, issues = shown(mapping, family="Li", parts=parts)
    assert [item.get("city") for item in resource["address"]] == ["a", None]
    assert issues == [("value-hidden", "text")]
    assert shown(mapping, parts=parts)[1] == [("value-hidden", "from"), ("value-hidden", "text")]


def test_hidden_codes_of_list_items_are_told(tmp_path: Path) -> None:
    """Items of codes alone, which the byte engine looks up whole."""
    mapping = mapped(
        tmp_path,
        """
- each: parts
  fhir: communication
  order: line
  rules:
    - {epj: sort, fhir: language.coding, as: coding, system: vol-1101, absent: unknown}
    - {epj: code, fhir: language.coding, as: coding, system: vol-3402, when: {sort: ["2"]}}
""",
    )
    parts = [{"line": 1, "sort": "1", "code": "0301"}, {"line": 2, "sort": "1"}]
    assert shown(mapping, parts=parts)[1] == [("value-hidden", "code")]


def test_what_two_lists_hide_is_told_once(tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        """
- each: parts
  fhir: address
  order: line
  rules:
    - {epj: sort, fhir: district}
    - {epj: text, fhir: city, when: {sort: ["1"]}}
- each: parts
  fhir: contact
  rules:
    - {epj: text, fhir: name.text, when: {sort: ["2"]}}
""",
    )
    assert shown(mapping, parts=[{"line": 1, "sort": "1", "text": "a"}])[1] == []
    assert shown(mapping, parts=[{"line": 1, "sort": "2", "text": "a"}])[1] == []
    assert shown(mapping, parts=[{"line": 1, "text": "a"}])[1] == [("value-hidden", "text")]


def test_a_hidden_list_is_told(tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        """
- {epj: family, fhir: "name[main].family"}
- each: parts
  fhir: address
  order: line
  when: {family: }
  rules:
    - {epj: text, fhir: city}
    - {epj: code, fhir: state}
""",
    )
    parts = [{"line": 1, "text": "a"}]
    assert shown(mapping, family="Li", parts=parts)[1] == []
    assert shown(mapping, parts=[]) == ({}, [])
    assert shown(mapping, parts=parts) == ({}, [("value-hidden", "parts")])


def test_what_hides_a_value_is_said_in_both_languages(tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        """
- {epj: kind, fhir: extension(adressesperre).valueCoding, system: vol-1101}
- {epj: born, fhir: birthDate, when: {kind: ["1", "2"]}}
""",
    )
    issues: list[Issue] = []
    mapping.to_fhir({**RECORD, "$key": "1.2", "born": "1990-01-02"}, issues)
    said = "The record's value of born is not shown, because {kind: [1, 2]} does not hold (thing.patient.yaml:8)."
    assert issues[0].sentence().startswith(said)
    assert "{kind: [1, 2]} ikke er oppfylt" in issues[0].sentence("nb")
    assert "1990" not in str(issues[0])


GUARD = "guard field '{}' is carried by no unguarded row, so the guard cannot be judged on the way back"


def test_guards_in_lists_stand_on_what_is_read_back(tmp_path: Path) -> None:
    assert findings(
        tmp_path,
        """
- each: parts
  fhir: address
  order: line
  rules:
    - {epj: text, fhir: city, when: {line: , sort: , ^number: }}
    - {epj: code, fhir: state, when: {^kind: ["1"]}}
    - {epj: from, fhir: period.start, only: to-fhir, when: {sort: ["1"]}}
    - {fhir: country, const: "NO", when: {sort: ["1"]}}
""",
    ) == [GUARD.format("sort"), GUARD.format("kind")]


# ---- lists


def test_a_key_may_be_shown_by_a_row_or_by_order(tmp_path: Path) -> None:
    lists = """
- each: parts
  fhir: address
%s  rules:
    - {epj: text, fhir: city}
- {each: parts, only: {sort: ["1"]}, epj: text, fhir: identifier, system: pasient}
"""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert findings(tmp_path / "one", lists % "") == [
        "key field 'line' of list 'parts' is not shown: say 'order: line', or map it"
    ]
    mapping = mapped(tmp_path / "two", lists % "  order: line\n")
    parts = [{"line": 1, "text": "a", "sort": "2"}, {"line": 2, "text": "b", "sort": "1"}]
    resource, issues = shown(mapping, parts=parts)
    assert [item["city"] for item in resource["address"]] == ["a", "b"] and issues == []
    assert [item["value"] for item in resource["identifier"]] == ["b"]


# ---- originals


def test_an_original_at_a_path_stands_there_alone(tmp_path: Path) -> None:
    mapping = mapped(
        tmp_path,
        """
- {epj: sex, fhir: gender, codes: kjonn-gender, original: maritalStatus}
- {epj: sex, fhir: maritalStatus, system: vol-3101}
""",
    )
    resource, issues = shown(mapping, sex="1")
    assert resource["gender"] == "male" and "_gender" not in resource and issues == []
    assert resource["maritalStatus"]["coding"][0]["code"] == "1"


def test_an_original_under_guards_is_none(tmp_path: Path) -> None:
    said = findings(
        tmp_path,
        """
- {epj: kind, fhir: extension(adressesperre).valueCoding, system: vol-1101}
- {epj: sex, fhir: gender, codes: kjonn-gender, original: maritalStatus}
- {epj: sex, fhir: maritalStatus, system: vol-3101, when: {kind: ["1"]}}
""",
    )
    assert said == ["'original: maritalStatus': no row that always stands beside this one writes sex's own code there"]


# ---- Python


def test_a_python_pair_makes_the_element(tmp_path: Path, pairs: str) -> None:
    mapping_set = built(
        tmp_path / "mappings",
        f"""
- {{epj: weight, fhir: birthDate, as: python, python: "{pairs}:plain", absent: unknown}}
- {{epj: weight, fhir: contact, python: "{pairs}:weight"}}
""",
    )
    mapping = mapping_set.mappings["thing-patient"]
    made = {"value": 80, "unit": "kg"}
    assert shown(mapping, weight=80) == ({"birthDate": "2069", "contact": [made]}, [])
    assert shown(mapping) == ({"_birthDate": reason("unknown")}, [("value-absent", "weight")])
    assert "birthdate" not in mapping_set.search.parameters("Patient")


@pytest.mark.parametrize("weight", [-1, 0, 500], ids=["None", "exception", "nothing but a url"])
def test_what_a_pair_cannot_make_is_told(tmp_path: Path, pairs: str, weight: int) -> None:
    mapping = mapped(tmp_path / "mappings", f'- {{epj: weight, fhir: contact, python: "{pairs}:weight"}}')
    assert shown(mapping, weight=weight) == ({}, [("value-not-usable", "weight")])
    issues: list[Issue] = []
    mapping.to_fhir({**RECORD, "$key": "1.2", "weight": weight}, issues)
    assert "secret" not in str(issues[0])


def test_a_pair_that_breaks_its_example_is_refused(tmp_path: Path, pairs: str) -> None:
    said = findings(tmp_path / "mappings", f'- {{epj: weight, fhir: contact, python: "{pairs}:wrong"}}')
    assert said == [f"'{pairs}:wrong' does not keep its own example 80"]


# ---- all of them together


EVERYTHING = """
- {epj: kind, fhir: extension(adressesperre).valueCoding, system: vol-1101}
- {epj: family, fhir: "name[main].family", absent: masked}
- {epj: nick, fhir: "name[main].text", when: {kind: ["1"]}}
- {epj: nick, fhir: "name[main].given", when: {kind: ["2"]}}
- {fhir: "name[main].use", const: official}
- {epj: sex, fhir: gender, codes: kjonn-gender, original: maritalStatus, absent: asked-declined}
- {epj: sex, fhir: maritalStatus, system: vol-3101, absent: asked-declined}
- {epj: born | bornYear, fhir: birthDate, absent: unknown, when: {family: }}
- {epj: begin, fhir: "contact[next].period.start"}
- {epj: end, fhir: "contact[next].period.end", absent: temp-unknown}
- {epj: weight, fhir: contact, python: "pairs_of_this_test:weight"}
- {epj: married, fhir: identifier, system: pasient, only: from-fhir}
- each: parts
  fhir: communication
  order: line
  when: {kind: }
  rules:
    - {epj: sort, fhir: language.coding, as: coding, system: vol-1101}
    - {epj: code, fhir: language.coding, as: coding, system: vol-3402, absent: masked, when: {sort: ["2"]}}
- each: parts
  fhir: address
  only: {sort: }
  rules:
    - {epj: text, fhir: city, absent: not-asked}
    - {epj: from, fhir: period.start, when: {^family: }}
    - {epj: code, fhir: state, absent: unknown}
    - {fhir: use, const: home}
"""
WORDS = st.sampled_from([None, None, "a", " ", 'Ærlig "b"'])
CODES = st.sampled_from([None, "1", "2", "9"])
DATES = st.sampled_from([None, "2020-01-02"])
FIELDS = {
    **dict.fromkeys(("kind", "sex", "married"), CODES),
    **dict.fromkeys(("family", "nick"), WORDS),
    **dict.fromkeys(("born", "begin", "end"), DATES),
    "bornYear": st.sampled_from([None, "1990"]),
    "weight": st.sampled_from([None, -1, 0, 80, 500]),
    "parts": st.lists(st.fixed_dictionaries({"sort": CODES, "text": WORDS, "code": CODES, "from": DATES}), max_size=3),
}


@given(fields=st.fixed_dictionaries(FIELDS))
def test_the_engines_agree_whatever_the_record(whole: CompiledMapping, fields: dict[str, Any]) -> None:
    shown(whole, **fields)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CompiledMapping]:
    """A mapping with every construct in it."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "mappings").mkdir()
    (folder / "pairs_of_this_test.py").write_text(PAIRS, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield mapped(folder / "mappings", EVERYTHING)


# ---- what is shipped


def test_the_lists_of_records_say_what_their_items_become(mapping_set: MappingSet) -> None:
    emitted = {
        (mapping.name, rule.child): rule.emit
        for mapping in mapping_set.mappings.values()
        for rule in mapping.rules.rules
        if isinstance(rule, Each) and rule.records
    }
    assert emitted == {
        ("opphold-encounter", "tilstander"): "tilstand-condition",
        ("henvisning-servicerequest", "tilstander"): "henvisningstilstand-condition",
    }
