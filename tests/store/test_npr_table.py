"""The table of NPR-melding is checked against the record kinds when it is made."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fhir_facade.mapping.findings import MappingError
from fhir_facade.mapping.load_kinds import load_kinds
from fhir_facade.store.npr_table import load_table
from tests.npr_sample import MAPPINGS


def findings(folder: Path, file: str, part: str, instead: str) -> list[str]:
    """What is found wrong when one part of one file is another."""
    copy = folder / "mappings"
    shutil.copytree(MAPPINGS / "records", copy / "records")
    shutil.copy(MAPPINGS / "npr-melding.yaml", copy)
    text = (copy / file).read_text("utf-8")
    assert part in text
    (copy / file).write_text(text.replace(part, instead, 1), "utf-8")
    with pytest.raises(MappingError) as error:
        load_table(copy / "npr-melding.yaml", load_kinds(copy / "records"))
    return [str(finding) for finding in error.value.findings]


@pytest.mark.parametrize(
    ("file", "part", "instead", "said"),
    [
        ("records/opphold.yaml", '"Episode@debitor"', '"Episode@debitr"',
         "'debitor' binds to nothing: 'Episode@debitr' (did you mean 'debitor'?)"),
        ("records/opphold.yaml", '"Episode@debitor"', '"Episodr@debitor"',
         "binds to nothing: 'Episodr@debitor' (did you mean 'Episode'?)"),
        ("records/opphold.yaml", '"RefEnhet#"', '"Henvisning#"', "'nr' binds to nothing: 'Henvisning#'"),
        ("records/opphold.yaml", 'npr: "Episode@debitor", ', "", "no field binds 'Episode@debitor'"),
        ("records/opphold.yaml", "Objektholder/Episode}", "Objektholder/Epsode}",
         "is no element of module ord"),
        ("npr-melding.yaml", "[kontPerson, ", "[kontPerson, hund, ", "no field binds 'Kontaktperson@hund'"),
        ("npr-melding.yaml", "Enhet 1..*", "Enhet mange", "'Element 0..*' is expected, not 'Enhet mange'"),
        ("npr-melding.yaml", "Slett 0..*", "Slettt 0..*", "no element 'Slettt' (did you mean 'Slett'?)"),
        ("npr-melding.yaml", "typeID, fid]", "typeID, fidd]", "no field 'fidd' in a record kind 'pasient'"),
        ("npr-melding.yaml", "field: episodeGUID", "field: episodGUID",
         "no field 'episodGUID' in a record kind"),
        ("npr-melding.yaml", "once:", "hund: 1\nonce:", "has no key 'hund'"),
        ("npr-melding.yaml", "message: Melding\n", "", "'message' is missing"),
        ("npr-melding.yaml", "{kind: opphold, field: episodeGUID}", "{kind: oppholdd, field: episodeGUID}",
         "no field 'episodeGUID' in a record kind 'oppholdd'"),
        ("npr-melding.yaml", "{kind: opphold, field: episodeGUID}", "{kind: opphold}", "'field' is missing"),
        ("npr-melding.yaml", "{fields: [institusjonID, typeID, fid], ", "{fields: fid, ", "'fields' is a list of texts"),
        ("npr-melding.yaml", "ide: {Institusjon: [PasientIdent 1..*]}", "ide: {Institusjon: PasientIdent}",
         "'Institusjon' is a list of texts"),
        ("npr-melding.yaml", "[PasientTilstand 0..*, ", "[Pasient 0..*, ", "element 'Pasient' holds itself"),
    ],
)  # fmt: skip
def test_a_fault_is_found_with_file_and_line(tmp_path: Path, file: str, part: str, instead: str, said: str) -> None:
    found = findings(tmp_path, file, part, instead)
    assert any(said in one for one in found), found
    line = (MAPPINGS / file).read_text("utf-8").split(part)[0].count("\n") + 1
    assert all(one.split(":")[1].isdigit() for one in found)
    if file.startswith("records") and "binds to nothing" in said:
        assert any(one.startswith(f"{Path(file).name}:{line}: ") for one in found), found
