"""The library: three lines from a record to FHIR."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from fhir_facade import Facade
from fhir_facade.contracts import Record
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.outcome import Refused
from fhir_facade.terminology.identity import is_national_identity_number

PERSON = next(text for number in range(100_000) if is_national_identity_number(text := f"018190{number:05d}"))
STAY: dict[str, Any] = {
    "institusjonID": "983974880", "pasientNr": "P1", "episodeID": "E1", "episodeGUID": "g",
    "omsorgsniva": "1", "innDatoTid": "2024-03-01T10:00:00", "utDatoTid": "2024-03-04T12:00:00",
    "oppholdsdel": "AvdOpp",
}  # fmt: skip


@pytest.fixture(scope="module")
def facade() -> Facade:
    return Facade()


def test_the_three_forms_are_one_resource(facade: Facade) -> None:
    resource = facade.to_fhir("opphold", STAY)
    assert resource["resourceType"] == "Encounter"
    assert resource["id"] == "983974880.P1.E1"
    assert orjson.loads(facade.to_bytes("opphold", STAY)) == resource
    assert type(facade.to_model("opphold", STAY)).__name__ == "Encounter"


def test_explain_names_the_field_and_the_line_behind_an_element(facade: Facade) -> None:
    origins = {origin.path: origin for origin in facade.explain("opphold", STAY)}
    start = origins["Encounter.period.start"]
    assert (start.field, start.value) == ("innDatoTid", "2024-03-01T10:00:00")
    file, line = start.at.split(":")
    assert "innDatoTid" in (Path("mappings") / file).read_text("utf-8").splitlines()[int(line) - 1]


def test_a_kind_with_two_resources_takes_the_one_asked_for(facade: Facade) -> None:
    professional = {"hpr": "9144889"}
    roles = facade.to_fhir("behandler", professional, resource="PractitionerRole")
    assert roles["resourceType"] == "PractitionerRole"
    assert facade.to_fhir("behandler", professional)["resourceType"] == "Practitioner"


@pytest.mark.parametrize(
    ("kind", "resource", "words"),
    [("oppholt", None, "did you mean 'opphold'?"), ("opphold", "Encountre", "did you mean 'Encounter'?")],
)
def test_an_unknown_kind_or_resource_is_refused_with_the_nearest(
    facade: Facade, kind: str, resource: str | None, words: str
) -> None:
    with pytest.raises(Refused, match="kind-unknown") as refused:
        facade.to_fhir(kind, STAY, resource=resource)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"innDatoTit": "2024-03-01T10:00:00"}, "field-unknown"),
        ({"innDatoTid": "1 March"}, "field-type"),
        ({"pasientNr": None}, "field-missing"),
        ({"pasientNr": PERSON}, "person-number-as-key"),
        ({"permisjoner": "none"}, "field-type"),
        ({"permisjoner": [{"number": 1}]}, "field-unknown"),
        ({"tilstander": [{}]}, "field-missing"),
    ],
)
def test_nothing_in_a_record_is_lost_in_silence(facade: Facade, change: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused) as refused:
        facade.to_bytes("opphold", STAY | change)
    assert refused.value.issues[0].code == code


def test_importing_the_package_imports_no_engine() -> None:
    told = subprocess.run(
        [
            sys.executable,
            "-c",
            "import fhir_facade, sys; print([m for m in sys.modules if 'sqlalchemy' in m])",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.strip() == "[]"


def test_a_part_of_a_key_that_may_be_absent_is_not_demanded(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]]
) -> None:
    """A condition outside child psychiatry has no axis, though the axis is part of its key."""
    plain = next(record for record in synthetic["tilstand"] if record.get("akse") is None)
    given = {name: value for name, value in plain.items() if not name.startswith("$") and value is not None}
    assert Facade().to_fhir("tilstand", given)["id"] == plain["$key"]
