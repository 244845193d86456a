"""Loading: what is sound is stored, the rest is told of, and a malformed file changes nothing."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from fhir_facade.outcome import Issue
from fhir_facade.store.loading import KEPT_ISSUES, Summary, load_files
from fhir_facade.store.location import Location
from fhir_facade.store.npr_write import write_npr
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import Store
from tests.npr_sample import IDE, KINDS, ORD, TABLE, at, without

NOW = "2026-01-01T00:00:00.000Z"
LATER = "2026-02-01T00:00:00.000Z"
STAY = "777777777.P1.E1"
PATIENT = "777777777.P1"


@pytest.fixture
def store(place: Location) -> Iterator[Store]:
    opened = open_store(place, KINDS)
    yield opened
    opened.close()


class Loads:
    """Writes texts to files and loads them."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder

    def __call__(self, *texts: str, name: str = "message.xml", now: str = NOW) -> Summary:
        paths = []
        for number, text in enumerate(texts):
            path = self.folder / str(number) / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
            paths.append(path)
        return load_files(self.store, KINDS, TABLE, paths, now=now)


@pytest.fixture
def load(store: Store, tmp_path: Path) -> Loads:
    return Loads(store, tmp_path)


def codes(summary: Summary) -> list[str]:
    return [issue.code for issue in summary.issues]


def test_a_message_is_loaded_and_counted(load: Loads) -> None:
    summary = load(ORD, IDE)
    assert summary.exit_code == 0
    assert summary.counts["opphold"] == {"read": 2, "inserted": 2}
    assert summary.counts["pasient"] == {"read": 4, "inserted": 2, "updated": 2}


def test_loading_again_changes_nothing(load: Loads, store: Store) -> None:
    load(ORD, IDE)
    before = store.digest()
    summary = load(ORD, IDE, now=LATER)
    assert summary.total("unchanged") == summary.total("read")
    assert (summary.exit_code, store.digest()) == (0, before)


def test_a_newer_message_updates_clears_and_removes_what_is_gone_from_a_stay(load: Loads, store: Store) -> None:
    load(ORD)
    condition = '<Kode kodeNr="1" Kodeverk="D" kodeVersjon="2025" kodeVerdi="E119"/>\n    </Tilstand>'
    newer = without(ORD, f'<Tilstand tilstNr="1">\n     {condition}')
    newer = without(without(newer, ' antall="2"'), 'serieID="S1"\n     innDatoTid="2025-02', 'innDatoTid="2025-02')
    summary = load(newer, now=LATER)
    stay = store.get("opphold", STAY)
    assert stay is not None
    assert (stay["takster"][0]["antall"], stay["serieID"], stay["tilstander"]) == (None, None, [])
    assert (stay["rad_versjon"], stay["sist_endret"]) == (2, LATER)
    assert summary.counts["tilstand"] == {"deleted": 1}
    other = store.get("opphold", f"{PATIENT}.E2")
    assert other is not None
    assert other["rad_versjon"] == 1


def test_what_a_message_does_not_carry_is_kept(load: Loads, store: Store) -> None:
    load(ORD, IDE)
    names = '"institusjonID":"777777777","pasientNr":"P1","etternavn":"Blåbær"'
    row = "{" + names + ',"adresser":[{"nr":1,"bruk":"bosted"}]}\n'
    assert load(row, name="pasient.ndjson").exit_code == 0
    load(ORD, now=LATER)
    person = store.get("pasient", PATIENT)
    assert person is not None
    assert (person["etternavn"], person["fid"], person["adresser"][0]["bruk"]) == (
        "Blåbær",
        "15838512086",
        "bosted",
    )


@pytest.mark.parametrize("text", [ORD[:-20], ORD[:2000], "", "hund", without(ORD, "?>\n", "?>\n<!DOCTYPE Melding>")])
def test_a_malformed_message_changes_nothing(load: Loads, store: Store, text: str) -> None:
    load(IDE)
    before = store.digest()
    summary = load(text)
    assert (summary.exit_code, store.digest(), summary.counts) == (1, before, {})
    assert summary.issues[0].entry.severity == "fatal"
    assert "line" in summary.issues[0].at


def test_one_malformed_file_does_not_stop_the_next(load: Loads, store: Store) -> None:
    assert load("hund", ORD).exit_code == 1
    assert store.count("opphold") == 2


def test_a_reference_to_nothing_refuses_its_record_and_what_belongs_to_it(load: Loads, store: Store) -> None:
    summary = load(without(ORD, '<RefEnhet enhetID="U2" typeEnhet="7"/>', '<RefEnhet enhetID="U9" typeEnhet="7"/>'))
    assert [(issue.code, issue.at) for issue in summary.issues] == [
        ("reference-dangling", "message.xml, " + at(ORD, '<Episode episodeID="E1"')),
        ("record-under-refused", "message.xml, " + at(ORD, "<Prosedyre")),
        ("record-under-refused", "message.xml, " + at(ORD, '<Kode kodeNr="1" Kodeverk="D" kodeVersjon="2025" kodeVerdi="E119"/>\n')),
    ]  # fmt: skip
    assert summary.counts["opphold"] == {"read": 2, "inserted": 1, "refused": 1}
    assert store.get("opphold", STAY) is None


def test_a_reference_may_lead_to_what_was_stored_before(load: Loads, store: Store) -> None:
    load(ORD)
    person = '<Pasient pasientNr="P1" kjonn="2" fodselsar="1985"/>'
    assert load(without(without(ORD, person), '<Enhet enhetID="U1" orgNr="777777777"/>')).exit_code == 0


def slett(kind: str, guid: str) -> str:
    body = f'<Slett objekttype="{kind}" slettGUID="{guid}"/>'
    start, end = ORD.index('  <Objektholder pasientNr="P1">'), ORD.index(" </Institusjon>")
    return ORD[:start] + body + "\n" + ORD[end:]


def test_a_deletion_takes_the_record_and_what_it_holds(load: Loads, store: Store) -> None:
    load(ORD)
    summary = load(slett("E", "guid-e1"))
    assert summary.exit_code == 0
    assert (store.get("opphold", STAY), store.count("tilstand"), store.count("opphold")) == (None, 0, 1)


def test_a_deletion_that_others_depend_on_is_told_and_not_done(load: Loads, store: Store) -> None:
    load(ORD)
    summary = load(slett("H", "guid-h1"))
    assert (summary.exit_code, store.count("henvisningsperiode")) == (1, 1)


def test_a_deletion_of_something_unknown_is_told(load: Loads) -> None:
    summary = load(slett("E", "guid-e9"))
    assert codes(summary) == ["delete-unknown"]
    assert ", line " in summary.issues[0].at


def test_a_deletion_reaches_its_own_institution_only(load: Loads, store: Store) -> None:
    load(ORD)
    assert codes(load(slett("E", "guid-e1").replace("777777777", "888888888"))) == ["delete-unknown"]
    assert store.count("opphold") == 2


def test_two_patients_of_an_institution_do_not_share_an_identity_number(load: Loads, store: Store) -> None:
    twice = IDE.replace('pid="P2" fid="010190" typeID="9"', 'pid="P2" fid="15838512086" typeID="1"')
    summary = load(ORD, twice)
    assert codes(summary) == ["identity-repeated"]
    assert "15838512086" not in str(summary.lines())
    other = IDE.replace('pid="P1"', 'pid="P3"')
    assert codes(load(other)) == ["identity-repeated"]


def test_many_share_a_number_that_is_none(load: Loads) -> None:
    nobody = IDE.replace('fid="15838512086" typeID="1"', 'fid="010190" typeID="9"')
    assert load(ORD, nobody).exit_code == 0


def test_a_corrected_message_may_swap_two_identity_numbers(load: Loads) -> None:
    first, second = 'fid="15838512086" typeID="1"', 'fid="55838512150" typeID="2"'
    both = IDE.replace('fid="010190" typeID="9"', second)
    load(ORD, both)
    assert load(both.replace(first, "both").replace(second, first).replace("both", second)).exit_code == 0


def test_the_summary_keeps_a_thousand_issues_and_counts_all() -> None:
    summary = Summary()
    summary.report([Issue("line-not-json", f"line {n}", {"reason": "r"}) for n in range(KEPT_ISSUES + 5)])
    assert (len(summary.issues), summary.issue_count, summary.exit_code) == (KEPT_ISSUES, KEPT_ISSUES + 5, 1)
    assert summary.lines("nb")[-1] == "og 5 avvik til"


def test_progress_is_told_in_bytes(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    path.write_text(ORD, "utf-8")
    heard: list[tuple[int, int]] = []
    load_files(store, KINDS, TABLE, [path], lambda done, size: heard.append((done, size)))
    assert heard[-1] == (path.stat().st_size, path.stat().st_size)
    assert [done for done, _ in heard] == sorted(done for done, _ in heard)


def test_files_that_cannot_be_read_are_told(store: Store, tmp_path: Path, load: Loads) -> None:
    assert codes(load_files(store, KINDS, TABLE, [tmp_path / "none.xml"])) == ["file-unreadable"]
    assert codes(load("{}", name="oppholt.ndjson")) == ["file-kind-unknown"]


def test_what_is_loaded_is_written_again_and_loads_to_the_same(load: Loads, store: Store, tmp_path: Path) -> None:
    load(ORD, IDE)
    texts = []
    for module in ("ord", "ide"):
        out = io.BytesIO()
        assert write_npr(store, out, TABLE, KINDS, module) == []
        texts.append(out.getvalue().decode())
    summary = load(*texts)
    assert (summary.exit_code, summary.total("unchanged")) == (0, summary.total("read"))
