"""The first mapping that is written for an author: sound YAML, every field once, every required element spoken of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fhir_facade.cli import app
from fhir_facade.definitions import definitions
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.mapping.scaffold import UNDECIDED, Unknown, scaffold
from fhir_facade.resources import data_root

SHIPPED = data_root("mappings")
PAIRS = [
    ("opphold", "Encounter"),
    ("pasient", "Patient"),
    ("pasient", "Person"),
    ("tilstand", "Condition"),
    ("tilstand", "Observation"),
    ("henvisning", "ServiceRequest"),
    ("henvisning", "Task"),
    ("enhet", "Organization"),
    ("behandler", "Practitioner"),
    ("prosedyre", "Procedure"),
    ("planlagt_kontakt", "Appointment"),
    ("maling", "Observation"),
    ("vedtak", "Consent"),
    ("melding", "MessageHeader"),
]


@pytest.fixture(scope="module")
def shipped() -> MappingSet:
    return load_mapping_set(SHIPPED)


@pytest.mark.parametrize(("record", "resource"), PAIRS)
def test_a_draft_speaks_of_all_and_leaves_only_required_elements(
    shipped: MappingSet, record: str, resource: str
) -> None:
    draft = scaffold(shipped, SHIPPED, record, resource)
    tree = yaml.load(draft.text, Loader=yaml.BaseLoader)  # noqa: S506 -- texts only, as the loader reads them
    kind = shipped.kinds[record]
    mapped = [row["epj"] for row in tree["rules"] if "epj" in row and row["epj"] != "$key"]
    ignored = list(tree.get("ignore", {}))
    assert len(mapped) == len(set(mapped))
    assert set(mapped) - set(kind.key) | set(ignored) == {*kind.fields, *kind.children} - set(kind.key)
    assert not set(mapped) & set(ignored)
    assert all(name in draft.text for name in kind.key)
    assert set(tree.get("ignore", {}).values()) <= {UNDECIDED}
    for name in definitions().children(resource):
        element = definitions().element(f"{resource}.{name}")
        if element and element.min and not element.path.endswith("[x]"):
            assert re.search(rf"fhir: {name}\b.*# required$|# required: {name}\b", draft.text, re.MULTILINE), name
    for found in draft.findings:
        assert found.message.startswith(f"required element {resource}."), found
        assert found.line <= draft.text.count("\n")


def test_a_draft_without_choices_loads_beside_the_shipped_mappings(shipped: MappingSet, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "mappings"
    shutil.copytree(SHIPPED, folder)
    draft = scaffold(shipped, SHIPPED, "pasient", "Person")
    assert draft.findings == ()
    (folder / draft.file).write_text(draft.text, "utf-8")
    made = load_mapping_set(folder).mappings["pasient-person"]
    issues: list[object] = []
    record = {"institusjonID": "123456785", "pasientNr": "42"}
    resource = made.to_fhir(shipped.kinds.complete(shipped.kinds["pasient"], record), issues)
    assert (resource["id"], resource["identifier"][0]["value"]) == ("123456785.42", "42")


def test_required_codes_are_listed_and_certain_fields_mapped(shipped: MappingSet) -> None:
    text = scaffold(shipped, SHIPPED, "opphold", "Encounter").text
    assert "#   required codes: arrived, cancelled, entered-in-error, finished" in text
    assert "  - {epj: pasientNr, fhir: subject, to: Patient}\n" in text
    assert "  - {epj: komNrHjem, fhir: extension(kommunenummer).valueCoding, system: vol-3402}\n" in text
    assert "innDatoTid: not decided yet" in text


def test_a_second_mapping_of_a_type_gets_an_id_prefix(shipped: MappingSet) -> None:
    draft = scaffold(shipped, SHIPPED, "vedtak", "Encounter")
    assert "  - {epj: $key, fhir: id, as: id, prefix: vedtak}\n" in draft.text
    assert not [found for found in draft.findings if "prefix" in found.message]


def test_unknown_names_are_told_with_the_nearest(shipped: MappingSet) -> None:
    with pytest.raises(Unknown, match=r"no record kind 'oppholdd' \(did you mean 'opphold'\?\)"):
        scaffold(shipped, SHIPPED, "oppholdd", "Encounter")
    with pytest.raises(Unknown, match=r"R4 has no resource type 'Encountr' \(did you mean 'Encounter'\?\)"):
        scaffold(shipped, SHIPPED, "opphold", "Encountr")


def test_the_command_writes_tells_and_overwrites_nothing(tmp_path: Path) -> None:
    file = tmp_path / "tilstand.observation.yaml"
    told = CliRunner().invoke(app, ["mapping", "new", "tilstand", "Observation", "--output", str(file)])
    assert told.exit_code == 1
    assert "tilstand.observation.yaml:8: required element Observation.status is made by no row" in told.stderr
    assert told.stdout == ""
    before = file.read_text("utf-8")
    again = CliRunner().invoke(app, ["mapping", "new", "pasient", "Person", "--output", str(file)])
    assert (again.exit_code, file.read_text("utf-8")) == (2, before)
    assert "not overwritten" in again.stderr
    sound = CliRunner().invoke(app, ["mapping", "new", "pasient", "Person"])
    assert (sound.exit_code, sound.stderr) == (0, "")
    assert sound.stdout.startswith("# First draft of pasient as Person")
    assert CliRunner().invoke(app, ["mapping", "new", "pasientt", "Person"]).exit_code == 2
