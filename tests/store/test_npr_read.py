"""What the reader makes of a message, and of messages with something wrong in them."""

from __future__ import annotations

import io

import pytest

from fhir_facade.outcome import Refused
from fhir_facade.store.npr_read import LONGEST_PIECE, read_message
from tests.npr_sample import IDE, KINDS, ORD, TABLE, at, names, one, read, told, without

STAY = "777777777.P1.E1"
PATIENT = "777777777.P1"


def test_a_message_gives_its_records_in_an_order_where_references_point_back() -> None:
    found = names(read(ORD))
    assert found[:3] == ["enhet 777777777.U1", "enhet 777777777.U2", f"pasient {PATIENT}"]
    assert found[-1].startswith("melding ")
    assert len(found) == 13
    assert found.index(f"konsultasjonsserie {PATIENT}.S1") < found.index(f"opphold {STAY}")
    assert found.index(f"opphold {STAY}") < found.index(f"prosedyre {STAY}.1.1.1.1")


def test_values_come_from_the_element_its_parts_and_those_around_it() -> None:
    batch = read(ORD)
    stay = one(batch, "opphold", STAY)
    assert (stay["institusjonID"], stay["pasientNr"], stay["debitor"]) == ("777777777", "P1", "1")
    assert (stay["oppholdsdel"], stay["kontaktType"], stay["permisjonsdogn"]) == ("Kontakt", "1", None)
    assert [(unit["nr"], unit["enhetID"]) for unit in stay["enheter"]] == [(1, "U1"), (2, "U2")]
    assert stay["takster"][0]["antall"] == 2
    ward = one(batch, "opphold", f"{PATIENT}.E2")
    assert (ward["oppholdsdel"], ward["permisjonsdogn"], ward["innDatoTid"]) == (
        "AvdOpp", 2, "2025-03-03T10:00:00.5+01:00"
    )  # fmt: skip
    assert "fodselsdato" not in one(batch, "pasient", PATIENT)
    assert "adresser" not in one(batch, "pasient", PATIENT)


def test_a_series_is_read_once_though_two_stays_name_it() -> None:
    batch = read(ORD)
    assert [name for name in names(batch) if name.startswith("konsultasjonsserie")] == [
        f"konsultasjonsserie {PATIENT}.S1"
    ]
    assert batch.read["konsultasjonsserie"] == 1


def test_a_series_stands_when_only_its_first_stay_is_refused() -> None:
    batch = read(without(ORD, 'debitor="1" komNrHjem="0301" innmateHast="4" omsorgsniva="3"', 'debitor="1"'))
    assert f"konsultasjonsserie {PATIENT}.S1" in names(batch)
    assert f"opphold {PATIENT}.E2" in names(batch)
    assert f"opphold {STAY}" not in names(batch)


def test_the_ident_message_tells_only_of_identity() -> None:
    person = one(read(IDE), "pasient", PATIENT)
    assert person["fid"] == "15838512086"
    assert "kjonn" not in person


@pytest.mark.parametrize(
    ("part", "instead", "code", "lost"),
    [
        ('kjonn="2"', 'kjonn="2" hund="1"', "attribute-unknown", ["pasient"]),
        ('kjonn="2" ', "", "field-missing", ["pasient"]),
        ('kjonn="2"', 'kjonn=""', "field-missing", ["pasient"]),
        ('fodselsar="1985"', 'fodselsar="1885"', "field-type", ["pasient"]),
        ('mottaksDato="2025-01-02"', 'mottaksDato="2025-02-30"', "field-type", ["henvisning"]),
        ('mottaksDato="2025-01-02"', 'mottaksDato="3025-01-02"', "field-type", ["henvisning"]),
        ('innDatoTid="2025-02-03T10:00:00"', 'innDatoTid="2025-02-03T24:00:00"', "field-type", ["opphold"]),
        ('innDatoTid="2025-02-03T10:00:00"', 'innDatoTid="2025-02-03 10:00"', "field-type", ["opphold"]),
        ('takstnummer="3a" antall="2"', 'takstnummer="3a" antall="12345"', "field-type", ["opphold"]),
        ('takstnummer="3a" antall="2"', 'takstnummer="3a" antall="2.0"', "field-type", ["opphold"]),
        ('<Helseperson polUtforende="1"/>', "<Helseperson/>", "field-missing", ["opphold"]),
        ('<Takst ', "<Hund/><Takst ", "element-unknown", ["opphold"]),
        ('<Takst ', "Hund <Takst ", "text-unexpected", ["opphold"]),
        ('<Takst ', '<Takst xmlns="urn:x" takstnummer="1"/><Takst ', "element-unknown", ["opphold"]),
        ('<AvdOpp permisjonsdogn="2">', '<AvdOpp/><AvdOpp permisjonsdogn="2">', "element-repeated", ["E2"]),
        ('<Pasient pasientNr="P1"', '<Pasient pasientNr="P9"', "values-disagree", ["pasient"]),
        ('prosNr="1"', 'prosNr="en"', "field-type", ["prosedyre"]),
        ('pasientNr="P1">', 'pasientNr="15838512086">', "person-number-as-key", ["pasient"]),
        ('episodeID="E1"', 'episodeID="55838512150"', "person-number-as-key", ["opphold"]),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_line_and_refuses_its_record(
    part: str, instead: str, code: str, lost: list[str]
) -> None:
    batch = read(without(ORD, part, instead))
    assert (code, at(ORD, part)) in told(batch)
    assert "15838512086" not in "".join(map(str, batch.issues))
    before, after = names(read(ORD)), names(batch)
    gone = [name for name in before if name not in after]
    assert gone
    assert all(any(word in name for word in lost) or ".P1" in name for name in gone)
    assert sum(batch.refused.values()) >= len(gone) - 1


def test_a_stay_has_exactly_one_part() -> None:
    both = read(without(ORD, '<RefEnhet enhetID="U2" typeEnhet="7"/>', "<AvdOpp/>"))
    assert told(both)[0] == ("element-choice", at(ORD, "<Episode episodeID"))
    none = read(
        without(
            ORD,
            '<AvdOpp permisjonsdogn="2"><PostOpp tjenesteenhetID="U2" innDatoTid="2025-03-03T10:00:00"/></AvdOpp>',
        )
    )
    assert told(none) == [("element-choice", at(ORD, '<Episode episodeID="E2"'))]
    assert none.refused == {"opphold": 1}


def test_what_belongs_to_a_refused_record_is_refused_once_each() -> None:
    batch = read(without(ORD, 'debitor="1"', 'debitor=" 1"'))
    assert told(batch) == [
        ("field-type", at(ORD, "<Episode episodeID")),
        ("record-under-refused", at(ORD, '<Prosedyre prosNr="1"')),
        (
            "record-under-refused",
            at(ORD, '<Kode kodeNr="1" Kodeverk="D" kodeVersjon="2025" kodeVerdi="E119"/>\n'),
        ),
    ]
    assert batch.refused == {"opphold": 1, "tilstand": 1, "prosedyre": 1}


def test_stays_fall_with_their_patient_and_another_patient_stands() -> None:
    batch = read(without(ORD, 'kjonn="2"', 'kjonn="2" hund="1"'))
    assert not [name for name in names(batch) if PATIENT in name]
    assert "pasient 777777777.P2" in names(batch)
    assert batch.refused["opphold"] == 2


def test_a_condition_without_a_code_is_a_record_refused() -> None:
    code = '<Kode kodeNr="1" Kodeverk="N" kodeVersjon="2025" kodeVerdi="ABC10"/>'
    batch = read(without(ORD, code))
    assert told(batch) == [("element-missing", at(ORD, "<Prosedyre"))]
    assert batch.refused == {"prosedyre": 1}


def test_a_second_patient_with_the_same_number_is_refused_whole() -> None:
    batch = read(ORD.replace('"P2"', '"P1"'))
    assert told(batch)[0] == ("record-repeated", at(ORD, '<Objektholder pasientNr="P2"'))
    assert one(batch, "pasient", PATIENT)["kjonn"] == "2"
    assert batch.refused == {"pasient": 1}


def test_a_second_stay_with_the_same_number_is_refused() -> None:
    batch = read(ORD.replace('"E2"', '"E1"'))
    assert ("record-repeated", at(ORD, '<Episode episodeID="E2"')) in told(batch)
    assert one(batch, "opphold", STAY)["oppholdsdel"] == "Kontakt"


def test_deletions_are_told_with_their_institution() -> None:
    slett = '<Slett objekttype="E" slettGUID="guid-e1"/><Slett objekttype="Q" slettGUID="x"/>'
    text = without(ORD, '  <Objektholder pasientNr="P1">', f'  {slett}<Objektholder pasientNr="P1">')
    batch = read(text)
    assert [(gone.kind, gone.field, gone.value, dict(gone.scope)) for gone in batch.deletes] == [
        ("opphold", "episodeGUID", "guid-e1", {"institusjonID": "777777777"})
    ]
    assert [code for code, _ in told(batch)] == ["delete-not-supported"]


def test_an_envelope_of_another_version_is_refused_and_the_rest_read() -> None:
    batch = read(without(ORD, 'versjon="53.1.3"', 'versjon="57.0.1"'))
    assert told(batch) == [("field-type", "line 2")]
    assert batch.refused == {"melding": 1}
    assert f"opphold {STAY}" in names(batch)


BOMB = '<!DOCTYPE Melding [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "ascii"])
def test_a_doctype_is_refused_in_any_encoding(encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{encoding}"?>{BOMB}<Melding>&b;</Melding>'
    with pytest.raises(Refused) as refused:
        read(text.encode(encoding))
    assert [issue.code for issue in refused.value.issues] == ["doctype-refused"]


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "utf-8-sig"])
def test_norwegian_letters_are_read_in_other_encodings(encoding: str) -> None:
    text = ORD.replace('encoding="UTF-8"', f'encoding="{encoding}"' if "sig" not in encoding else "")
    batch = read(text.encode(encoding))
    assert batch.issues == []
    assert batch.records[-1].record["leverandor"] == "Blåbær AS"


@pytest.mark.parametrize("size", [1, 60, 400, 2000, len(ORD.encode()) - 12])
def test_a_truncated_message_is_no_message(size: int) -> None:
    with pytest.raises(Refused) as refused:
        read(ORD.encode()[:size])
    issue = refused.value.issues[0]
    assert issue.code == "not-xml"
    assert issue.at.startswith("line ") and ", column " in issue.at


@pytest.mark.parametrize(
    "text",
    [b"", b"hund", b"\x00", b'<?xml version="1.0" encoding="hund"?><Melding/>', b"<a>&b;</a>", b"\xff\xfe<"]
)  # fmt: skip
def test_what_is_no_xml_is_refused(text: bytes) -> None:
    with pytest.raises(Refused):
        read(text)


def test_another_message_is_named_unknown() -> None:
    with pytest.raises(Refused) as refused:
        read('<Melding xmlns="http://www.npr.no/xmlstds/57_0_1_ord"/>')
    assert refused.value.issues[0].code == "message-unknown"


def test_a_tag_without_end_is_refused_before_memory_fills() -> None:
    with pytest.raises(Refused) as refused:
        read(ORD.replace('"P1"', '"' + "x" * (3 * LONGEST_PIECE) + '"').encode())
    assert refused.value.issues[0].code == "not-xml"


def test_lines_are_exact_far_into_a_file() -> None:
    text = without(ORD, "  <Enhet ", "\n" * 200_000 + "  <Enhet ").replace('kjonn="1"', 'kjonn="1" hund="1"')
    assert told(read(text)) == [("attribute-unknown", at(text, 'hund="1"'))]


def test_batches_come_while_the_file_is_read() -> None:
    patient = '<Objektholder pasientNr="{}"><Pasient pasientNr="{}" kjonn="1" fodselsar="1990"/></Objektholder>'
    many = "".join(patient.format(n, n) for n in range(20_000))
    source = io.BytesIO(
        without(ORD, '  <Objektholder pasientNr="P1">', many + '<Objektholder pasientNr="P1">').encode()
    )
    batches = read_message(source, TABLE, KINDS)
    next(batches)
    assert source.tell() < 200_000


def test_names_that_may_be_a_person_are_not_repeated() -> None:
    batch = read(without(ORD, 'kjonn="2"', 'kjonn="2" x15838512086="1"'))
    assert "15838512086" not in "".join(map(str, batch.issues))


def test_the_line_of_a_fault_is_exact_behind_a_hundred_thousand_lines() -> None:
    space = "\n" * 100_000
    bent = ORD.replace(' <Institusjon institusjonID="777777777">', f'{space} <Institusjon institusjonID="777777777">')
    bent = bent.replace('kjonn="2" fodselsar="1985"', 'kjonn="2" fodselsar="85"')
    line = bent[: bent.index('fodselsar="85"')].count("\n") + 1
    assert line > 100_000
    places = {place for code, place in told(read(bent)) if code == "field-type"}
    assert places == {f"line {line}"}
