"""The Norwegian code lists: what they hold, and every way to name one."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError

import orjson
import pytest

from fhir_facade.resources import data_root
from fhir_facade.terminology.lists import CodeList, _Lists, by_system, code_lists

DIRECTORY = data_root("profiles") / "terminology"
OID = "2.16.578.1.12.4.1.1"
AS_OF = re.compile(r"20[0-9]{2}(-(0[1-9]|1[0-2]))?")


def test_a_list_has_its_codes_in_order() -> None:
    care_level = code_lists()["8406"]
    assert care_level.oid == f"{OID}.8406"
    assert care_level.system == f"urn:oid:{OID}.8406"
    assert care_level.title == "Omsorgsnivå"
    assert (care_level.complete, care_level.confidence) == (True, "verified")
    assert list(care_level.codes) == ["1", "2", "3", "8"]
    assert care_level.codes["1"].display == "Døgnopphold"
    assert care_level.codes["1"].status == ""


@pytest.mark.parametrize(
    "uri",
    [
        f"urn:oid:{OID}.8406",
        f"{OID}.8406",
        "http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406",
        "http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406-omsorgsniva",
        "http://ehelse.no/fhir/CodeSystem/no-kodeverk-8406",
    ],
)
def test_one_list_has_many_names(uri: str) -> None:
    assert by_system(uri) is code_lists()["8406"]


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "8406",
        f"urn:oid:{OID}.99999",
        f"urn:oid:{OID}.8406.1",
        f"urn:oid:{OID}.8406\n",
        "urn:oid:2.16.578.1.12.4.1.2.8406",
        "http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406/x",
        "http://helsedir.no/fhir/CodeSystem/no-kodeverk-../8406",
        "http://snomed.info/sct",
    ],
)
def test_other_systems_are_no_list(uri: str) -> None:
    assert by_system(uri) is None


def test_legal_basis_tells_codes_with_one_display_apart() -> None:
    codes = code_lists()["8440"].codes
    assert codes["70"].display == codes["74"].display
    assert codes["70"].legal_basis != codes["74"].legal_basis


def test_retired_codes_are_kept_with_their_date() -> None:
    code = code_lists()["8440"].codes["2"]
    assert (code.status, code.valid_to) == ("retired", "2010")


def test_samples_say_that_they_are_samples() -> None:
    for number in ("7020", "7110", "7170", "7180", "7210", "7220", "7270", "7275", "8231", "8240", "8492", "9329"):
        assert not code_lists()[number].complete, number


def test_a_list_without_codes_says_that_it_is_not_complete() -> None:
    empty = {number for number, found in code_lists().items() if not found.codes}
    assert empty == {"7240", "7260", "7275", "7309", "8279", "8460", "8480"}
    assert not any(code_lists()[number].complete for number in empty)


def test_lists_named_by_us_say_so() -> None:
    ours = {number for number, found in code_lists().items() if found.title_is_ours}
    assert {"8240", "8740", "8741", "9146", "9300", "9315", "9327", "9513", "8411"} <= ours
    assert not ours & {"8406", "8432", "8440", "8442", "9321", "9173", "4101", "8116"}


def test_a_list_is_read_once_and_only_when_asked_for() -> None:
    lists = _Lists(DIRECTORY)
    assert not any(lists._read.values())
    assert lists["8406"] is lists["8406"]
    assert [number for number, found in lists._read.items() if found is not None] == ["8406"]
    assert "8406" in lists and "8406.json" not in lists
    assert len(lists) == len(list(lists))
    with pytest.raises(KeyError):
        lists["../r4/definitions"]


def test_lists_cannot_be_changed() -> None:
    found: CodeList = code_lists()["8406"]
    with pytest.raises(FrozenInstanceError):
        found.title = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.codes["x"] = found.codes["1"]  # type: ignore[index]


@pytest.mark.parametrize("number", list(code_lists()))
def test_every_file_keeps_the_format(number: str) -> None:
    text = (DIRECTORY / f"{number}.json").read_text(encoding="utf-8")
    content = orjson.loads(text)
    head = ["number", "oid", "name_no", "title_is_ours", "source", "confidence", "complete"]
    assert [key for key in content if key not in ("as_of", "dotless", "note", "codes")] == head
    assert AS_OF.fullmatch(content.get("as_of", "2024-12"))
    assert content["oid"] == f"{OID}.{number}" and content["number"] == number
    assert content["confidence"] in ("verified", "partial")
    rows = content["codes"]
    assert len(code_lists()[number].codes) == len(rows), "a code stands twice"
    assert all(row["code"] and row["display"] for row in rows)
    assert {row["parent"] for row in rows if "parent" in row} <= {row["code"] for row in rows}
    assert {row.get("status", "retired") for row in rows} <= {"retired", "superseded", "unconfirmed"}
    assert sum(line.startswith('    {"code"') for line in text.splitlines()) == len(rows), "one code a line"


def test_readme_names_every_field() -> None:
    readme = (DIRECTORY / "README.md").read_text(encoding="utf-8")
    used = {key for path in DIRECTORY.glob("*.json") for key in orjson.loads(path.read_bytes())}
    used |= {
        key for path in DIRECTORY.glob("*.json") for row in orjson.loads(path.read_bytes())["codes"] for key in row
    }
    assert not [name for name in used - {"codes"} if f"`{name}`" not in readme]


def test_every_list_that_a_record_field_is_bound_to_is_here() -> None:
    text = "".join(path.read_text("utf-8") for path in sorted((data_root("mappings") / "records").glob("*.yaml")))
    bound = set(re.findall(r"\blist: *\"?([0-9]+)", text))
    assert len(bound) > 60
    assert bound <= set(code_lists())
