"""Examples beside mappings: what holds, what is told when it does not, and what must be shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_facade.mapping.coverage import demands, uncovered
from fhir_facade.mapping.golden_files import examples_folder, read_examples
from fhir_facade.mapping.goldens import Proof, accept, prove
from fhir_facade.mapping.json_paths import differences, leaves
from fhir_facade.mapping.mapping_set import CompiledMapping, MappingSet, load_mapping_set
from fhir_facade.mapping.put import Written
from fhir_facade.resources import data_root
from fhir_facade.terminology.identity import is_national_identity_number
from tests.mapping_sample import CODES, FILE, PLAIN, USUAL, change, put, small_set

NAME = "client-patient"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small set whose examples hold."""
    made = small_set(tmp_path / "mappings", whole=True)
    accepted(made)
    return made


def accepted(folder: Path) -> list[str]:
    mapping_set = load_mapping_set(folder)
    return [written.file.name for written in accept(mapping_set, folder, mapping_set.mappings[NAME])]


def proof_of(folder: Path, **options: Any) -> Proof:
    mapping_set = load_mapping_set(folder)
    return prove(mapping_set, folder, mapping_set.mappings[NAME], **options)


def test_accepted_examples_hold_and_accepting_again_changes_nothing(folder: Path) -> None:
    proof = proof_of(folder)
    assert (proof.examples, proof.lines()) == (9, [])
    assert accepted(folder) == []


def test_accept_writes_resource_and_issues_and_leaves_the_record(tmp_path: Path) -> None:
    folder = small_set(tmp_path / "mappings")
    record = folder / "client.patient.examples" / "02-plain.epj.json"
    before = record.read_bytes()
    assert sorted(accepted(folder)) == ["01-usual.fhir.json", "02-plain.fhir.json", "02-plain.issues.json"]
    assert record.read_bytes() == before
    resource = (folder / "client.patient.examples" / "01-usual.fhir.json").read_bytes()
    assert resource.endswith(b"\n}\n")
    assert b"lastUpdated" not in resource
    issues = orjson.loads((folder / "client.patient.examples" / "02-plain.issues.json").read_bytes())
    assert [(each["code"], each["facts"]["code"], "at" in each["facts"]) for each in issues] == [
        ("code-not-mapped", "7", False)
    ]
    put(folder, "02-plain.epj.json", PLAIN | {"sex": "1"})
    assert "02-plain.issues.json" in accepted(folder)
    assert not (folder / "client.patient.examples" / "02-plain.issues.json").exists()


def test_what_differs_is_told_with_fhirpath_expected_and_got(folder: Path) -> None:
    file = folder / "client.patient.examples" / "01-usual.fhir.json"
    resource = orjson.loads(file.read_bytes())
    resource["telecom"][1]["value"] = "44444444"
    resource["deceasedDateTime"] = "2025-01-02"
    put(folder, file.name, resource)
    said = "\n".join(proof_of(folder).lines())
    assert "client.patient.examples/01-usual: record -> FHIR\n" in said
    assert "  Patient.telecom[1].value: expected '44444444', got '33333333'" in said
    assert "  Patient.deceased.ofType(dateTime): expected '2025-01-02', got '2025-01-02T03:04:05+01:00'" in said


def test_files_that_hold_lists_are_a_series_of_examples(folder: Path) -> None:
    place = folder / "client.patient.examples"
    resources = orjson.loads((place / "03-codes.fhir.json").read_bytes())
    assert [each["gender"] for each in resources] == ["unknown", "male", "other"]
    put(folder, "03-codes.fhir.json", [*resources[:2], resources[2] | {"gender": "male"}])
    said = proof_of(folder).lines()
    assert said[0].startswith("client.patient.examples/03-codes[2]: record -> FHIR\n  Patient.gender: expected 'male'")
    put(folder, "03-codes.epj.json", [*CODES, CODES[0] | {"sex": "8"}])
    assert accepted(folder) == ["03-codes.fhir.json", "03-codes.issues.json"]
    assert [len(each or ()) for each in orjson.loads((place / "03-codes.issues.json").read_bytes())] == [0, 0, 0, 1]
    assert proof_of(folder).lines() == []
    put(folder, "03-codes.fhir.json", resources[0])
    said = proof_of(folder).lines()
    assert any("03-codes:1: some of its files hold a list and some do not" in line for line in said), said


def test_other_issues_than_the_golden_ones_are_told(folder: Path) -> None:
    (folder / "client.patient.examples" / "02-plain.issues.json").unlink()
    said = "\n".join(proof_of(folder).lines())
    assert "02-plain: record -> FHIR, issues" in said
    assert "code-not-mapped" in said


def test_an_engine_that_says_something_else_than_the_interpreter_is_found(folder: Path) -> None:
    mapping_set = load_mapping_set(folder)
    mapping = mapping_set.mappings[NAME]
    engine = mapping.to_bytes
    mapping.__dict__["to_bytes"] = lambda record, issues: engine(record, issues).replace(b'"Li"', b'"Lie"')
    said = "\n".join(prove(mapping_set, folder, mapping).lines())
    assert "compiled to bytes instead of interpreted\n  Patient.name[0].family: expected 'Li', got 'Lie'" in said


def test_a_value_that_does_not_come_back_is_found_unless_it_was_told_or_ignored(folder: Path) -> None:
    put(folder, "01-usual.epj.json", USUAL | {"note": "ignored with a reason", "bornYear": "1980"})
    assert proof_of(folder).lines() == []
    change(folder / FILE, "original: beside}", "original: beside, only: to-fhir}")
    for file in (folder / "client.patient.examples").glob("04-sent.*"):  # a code from outside is read no more
        file.unlink()
    assert proof_of(folder).lines() == []
    mapping_set = load_mapping_set(folder)
    mapping = mapping_set.mappings[NAME]

    class Forgetful(CompiledMapping):
        """Loses a name and a telephone number on the way back."""

        def to_record(self, *given: Any, **options: Any) -> Written:
            written = mapping.to_record(*given, **options)
            kept = {name: value for name, value in (written.record or {}).items() if name != "family"}
            if "phones" in kept:
                kept["phones"] = [{"nr": item["nr"]} for item in kept["phones"]]
            return written._replace(record=kept)

    lossy = Forgetful(**{name: getattr(mapping, name) for name in mapping.__dataclass_fields__})
    assert "\n".join(map(str, prove(mapping_set, folder, lossy).mismatches)).splitlines() == [
        "client.patient.examples/01-usual: FHIR -> record",
        "  client.family: expected 'Li', got (nothing)",
        "  client.phones[0].line: expected '22222222', got (nothing)",
        "  client.phones[1].line: expected '33333333', got (nothing)",
        "client.patient.examples/02-plain: FHIR -> record",
        "  client.family: expected 'Ek', got (nothing)",
    ]


def test_an_example_from_outside_is_put_into_the_stored_record(folder: Path) -> None:
    resource = orjson.loads((folder / "client.patient.examples" / "01-usual.fhir.json").read_bytes())
    resource["name"][0]["family"] = "Berg"
    put(folder, "05-renamed.fhir-in.json", resource)
    put(folder, "05-renamed.base.epj.json", USUAL | {"note": "kept"})
    put(folder, "05-renamed.epj.json", USUAL | {"note": "kept", "family": "Berg"})
    assert proof_of(folder).lines() == []
    put(folder, "05-renamed.epj.json", USUAL | {"note": "kept"})
    assert "client.family: expected 'Li', got 'Berg'" in "\n".join(proof_of(folder).lines())


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"01-usual": USUAL | {"secret": "2"}, "03-codes": [each | {"secret": "2"} for each in CODES]},
         f"{FILE}:9: no example in which the guard {{secret: 1}} holds"),
        (
            {"02-plain": PLAIN | {"secret": "1"}},
            f"{FILE}:9: no example in which the guard {{secret: 1}} does not hold",
        ),
        ({"02-plain": PLAIN | {"sex": "1"}}, f"{FILE}:14: no example of 'sex' with a code outside code map kjonn-gender"),
        ({"01-usual": USUAL | {"phones": USUAL["phones"][:1]}}, f"{FILE}:17: no example has 2 items in the list 'phones'"),
        ({"02-plain": PLAIN | {"gone": "2025-01-02T03:04:05"}}, f"{FILE}:12: no example takes branch 2 (official) of name.use"),
        ({"02-plain": PLAIN | {"born": "1981-01-01"}}, f"{FILE}:15: no example fills 'bornYear' without born"),
        ({"01-usual": USUAL | {"phones": [{"nr": 1}, {"nr": 2}]}}, f"{FILE}:22: no example fills 'phones.line'"),
        ({"03-codes": [*CODES[:2], CODES[1]]}, f"{FILE}:14: no example of 'sex' with code '9' of code map kjonn-gender"),
        ({"02-plain": PLAIN | {"secret": "3"}}, f"{FILE}:9: no example in which the guard {{secret: 1}} meets '2'"),
        ({"04-sent": [{"office": "1", "number": "9", "sex": "0"}]},
         f"{FILE}:14: no example from outside in which code 'male' alone becomes '1' of 'sex' by code map kjonn-gender"),
    ],
)  # fmt: skip
def test_what_no_example_shows_is_a_finding_at_its_row(
    folder: Path, changes: dict[str, dict[str, Any]], said: str
) -> None:
    for name, record in changes.items():
        put(folder, f"{name}.epj.json", record)
    accepted(folder)
    found = list(map(str, proof_of(folder).findings))
    assert any(each.startswith(said) for each in found), found
    assert {each.split(":")[1] for each in found} == {said.split(":")[1]}  # other rows are still shown
    assert proof_of(folder, thorough=False).findings == []


def test_a_mapping_without_examples_is_a_finding(folder: Path) -> None:
    for file in (folder / "client.patient.examples").iterdir():
        file.unlink()
    assert proof_of(folder).lines() == [f"{FILE}:1: {NAME} has no examples in client.patient.examples/"]


def test_faulty_files_are_findings(folder: Path) -> None:
    put(folder, "06-typo.epj.json", USUAL | {"famly": "Li", "born": "yesterday"})
    numbers = (f"010100{rest:05d}" for rest in range(100_000))  # no such number stands in a file of ours
    number = next(filter(is_national_identity_number, numbers))
    put(folder, "07-real.epj.json", USUAL | {"family": number})
    (folder / "client.patient.examples" / "08-broken.epj.json").write_text("{")
    (folder / "client.patient.examples" / "notes.txt").write_text("")
    said = proof_of(folder).lines()
    assert len(said) == 5
    for words in ("did you mean 'family'", "a calendar date", "not synthetic", "not JSON", "no part of an example"):
        assert any(words in line for line in said), words
    assert number not in "\n".join(said)


def test_a_resource_that_is_not_valid_r4_is_found(folder: Path) -> None:
    mapping_set = load_mapping_set(folder)
    mapping = mapping_set.mappings[NAME]
    plain = mapping.interpret

    class Odd(CompiledMapping):
        def interpret(self, record: Any, issues: Any) -> Any:
            return plain(record, issues) | {"gender": ["female"]}

    odd = Odd(**{name: getattr(mapping, name) for name in mapping.__dataclass_fields__})
    assert "FHIR is not valid R4" in "\n".join(prove(mapping_set, folder, odd).lines())


def test_paths_are_fhirpath() -> None:
    resource = {
        "resourceType": "Patient", "_gender": {"extension": [{"url": "u", "valueCoding": {"code": "1"}}]},
        "name": [{"given": ["A", "B"]}],
    }  # fmt: skip
    assert [(path, value) for path, _, value in leaves(resource, "Patient", "Patient")] == [
        ("Patient.resourceType", "Patient"),
        ("Patient.gender.extension('u').value.ofType(Coding).code", "1"),
        ("Patient.name.given", "A"),
        ("Patient.name.given", "B"),
    ]
    found = differences(resource, {**resource, "name": [{"given": ["A"]}]}, "Patient", "Patient")
    assert [str(each) for each in found] == ["Patient.name[0].given[1]: expected 'B', got (nothing)"]


def test_true_is_not_1() -> None:
    assert len(list(differences({"a": True}, {"a": 1}, "x"))) == 1


@pytest.fixture(scope="module")
def shipped() -> MappingSet:
    return load_mapping_set(data_root("mappings"))


def test_the_examples_of_every_shipped_mapping_hold_and_show_every_row(shipped: MappingSet) -> None:
    proofs = [prove(shipped, data_root("mappings"), mapping) for mapping in shipped.mappings.values()]
    assert [line for proof in proofs for line in proof.lines()] == []
    assert sum(proof.examples for proof in proofs) > 2 * len(shipped.mappings)


def test_every_demand_on_shipped_mappings_stands_at_a_row(shipped: MappingSet) -> None:
    for mapping in shipped.mappings.values():
        for demand in demands(mapping.rules, mapping.kind, shipped.kinds):
            file, _, line = demand.at.rpartition(":")
            assert (data_root("mappings") / file).is_file()
            assert int(line) > 1


@pytest.mark.parametrize(
    ("name", "field", "value", "said"),
    [
        ("planlagt_kontakt-appointment", "lukkPlanlagtEpisode", "KP22",
         ["no example in which only lukkPlanlagtEpisode: KP22 decides status"]),
        ("prosedyre-procedure", "Kodeverk", "X", ["no example of 'kodeVerdi' with the system 'X' in 'Kodeverk'"]),
        ("pasient-patient", "kjonn", "9", ["no example of 'kjonn' with code '9' of code map kjonn-gender"]),
        ("samtykke-consent", "gitt", "2",
         ["no example in which both trukketDato: present and gitt: 2 would decide status",
          "no example in which only gitt: 2 decides status"]),
        ("henvisning-servicerequest", "hastegrad", "PK",
         ["no example of 'hastegrad' with code 'PK' of code map hastegrad-requestpriority"]),
    ],
)  # fmt: skip
def test_examples_without_a_value_leave_its_rows_unshown(
    shipped: MappingSet, name: str, field: str, value: str, said: list[str]
) -> None:
    mapping = shipped.mappings[name]
    examples = read_examples(examples_folder(data_root("mappings"), mapping), [])
    records = [each.parts["epj"] for each in examples if not each.is_inbound]
    left = [shipped.kinds.complete(mapping.kind, record) for record in records if record.get(field) != value]
    found = [each.message for each in uncovered(mapping.rules, mapping.kind, shipped.kinds, left)]
    assert set(said) <= set(found)


def test_numbers_that_are_all_the_same_show_too_little(shipped: MappingSet) -> None:
    mapping = shipped.mappings["prosedyre-procedure"]
    examples = read_examples(examples_folder(data_root("mappings"), mapping), [])
    numbers = ("tjenesteNr", "tiltakNr", "prosNr", "kodeNr", "tilstNr")
    same = [each.parts["epj"] | dict.fromkeys(numbers, 1) for each in examples]
    found = uncovered(
        mapping.rules, mapping.kind, shipped.kinds, [shipped.kinds.complete(mapping.kind, each) for each in same]
    )
    assert [each.message for each in found] == [f"no example in which the numbers {', '.join(numbers)} all differ"]


def test_shipped_examples_from_outside_cover_the_large_mappings(shipped: MappingSet) -> None:
    for name in (
        "opphold-encounter",
        "henvisning-servicerequest",
        "pasient-patient",
        "konsultasjonsserie-episodeofcare",
    ):
        found = read_examples(examples_folder(data_root("mappings"), shipped.mappings[name]), [])
        assert any(each.is_inbound and "base.epj" in each.parts for each in found), name
