"""Reading imported editions: codes found, text searched by rank, pages, parents, and files that are none of ours."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fhir_facade.outcome import Refused
from fhir_facade.store import code_systems
from fhir_facade.store.code_system_import import Asked, import_files, remove_edition
from fhir_facade.store.code_systems import ImportedCodeSystem, compact, newness, open_editions, spaced, words_of
from fhir_facade.terminology.concepts import CodeSystem, Edition, folded

ROWS = [
    ("I", "Hjerte- og karsykdommer", ""),
    ("I50", "Hjertesvikt", "I"),
    ("I50.0", "Kongestiv hjertesvikt", "I50"),
    ("I50.1", "Venstresidig hjertesvikt", "I50"),
    ("I50.9", "Uspesifisert hjertesvikt", "I50"),
    ("I42", "Kardiomyopati (sykdom i hjerte)", "I"),
    ("H10", "Øyekatarr", ""),
    ("H10.1", "Akutt atopisk øyekatarr", "H10"),
    ("H11", "Åpent sår; ærlig 50 % «Ménière»", ""),
    ("X I50", "I50 i teksten", ""),
    ("hjerte", "Kode som heter hjerte", ""),
]


def edition_of_rows(folder: Path, rows: list[tuple[str, str, str]], system: str = "icd-10") -> ImportedCodeSystem:
    folder.mkdir(exist_ok=True)
    path = folder / "rows.txt"
    path.write_text("kode\tnavn\toverordnet\n" + "".join("\t".join(row) + "\n" for row in rows))
    report = import_files(folder / "codes.db", [path], Asked(system, "2026"))
    assert report.error_count == 0, report.issues
    return open_editions(folder / "codes.db")[0]


@pytest.fixture(scope="module")
def icd(tmp_path_factory: pytest.TempPathFactory) -> ImportedCodeSystem:
    return edition_of_rows(tmp_path_factory.mktemp("icd"), ROWS)


def codes(found: tuple[int, list[code_systems.Concept]]) -> list[str]:
    assert found[0] == len(found[1])
    return [concept.code for concept in found[1]]


def test_an_imported_edition_is_a_code_system(icd: ImportedCodeSystem) -> None:
    system: CodeSystem = icd
    assert system.edition.count == len(ROWS)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("I50.0", "I50.0"), ("I500", "I50.0"), ("I50", "I50"), ("i50.0", None), ("I5", None), ("", None), (".", None),
        ("I50.00", None), ("' OR 1=1 --", None), ("I50\x00", None), ("I50\ud800", None), ("Øyekatarr", None),
    ],
)  # fmt: skip
def test_a_code_is_found_with_and_without_its_full_stop(icd: ImportedCodeSystem, code: str, found: str | None) -> None:
    concept = icd.find(code)
    assert (concept and concept.code) == found


def test_a_full_stop_counts_where_the_system_is_no_icd(tmp_path: Path) -> None:
    other = edition_of_rows(tmp_path, [("A.1", "En", ""), ("a1", "To", "")], "http://x.test/cs")
    assert [concept and concept.display for concept in map(other.find, ("A.1", "A1", "a1", "a.1"))] == [
        "En",
        None,
        "To",
        None,
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I50", ["I50", "I50.0", "I50.1", "I50.9", "X I50"]),  # exact code, code prefix, display prefix
        ("i50.1", ["I50.1"]),
        ("I501", ["I50.1"]),
        ("hjertesvikt", ["I50", "I50.0", "I50.1", "I50.9"]),  # exact display, words
        (
            "HJERTE",
            ["hjerte", "I", "I50", "I50.0", "I50.1", "I50.9", "I42"],
        ),  # code, displays by letters, words by place
        ("svikt", []),
        ("hjertesvikt venstre", ["I50.1"]),
        ("øye", ["H10", "H10.1"]),
        ("oye", []),
        ("ØYEKATARR", ["H10", "H10.1"]),
        ("apen", []),
        ("åpen", ["H11"]),
        ("meniere", ["H11"]),
        ("Mé\u0301niere", ["H11"]),
        ("50", ["H11"]),
        ("%", []),
        ("*", []),
        ('"', []),
        ("hjertesvikt OR øye", []),
        ("NOT hjertesvikt", []),
        ("words_1: hjerte", []),
        ("hjerte*", ["hjerte", "I", "I50", "I50.0", "I50.1", "I50.9", "I42"]),
        ("  hjertesvikt \t kongestiv ", ["I50.0"]),
        ("\ud800hjertesvikt", ["I50", "I50.0", "I50.1", "I50.9"]),
    ],
)
def test_a_search_ranks_codes_displays_prefixes_words(icd: ImportedCodeSystem, text: str, expected: list[str]) -> None:
    assert codes(icd.search(text, 0, 50)) == expected


def test_pages_of_a_search_are_the_search(icd: ImportedCodeSystem) -> None:
    whole = codes(icd.search("hjerte", 0, 50))
    pages = [icd.search("hjerte", offset, 2) for offset in range(0, 10, 2)]
    assert [concept.code for _, page in pages for concept in page] == whole
    assert {total for total, _ in pages} == {len(whole)}
    assert icd.search("", 2, 3) == (len(ROWS), icd.page(2, 3))
    assert icd.search("hjerte", 0, 0) == (len(whole), [])


def test_what_a_designation_says_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("kode;navn;engelsk\nA;Hjerte;Heart failure\n")
    import_files(tmp_path / "c.db", [path], Asked("snomed", "1"))
    assert codes(open_editions(tmp_path / "c.db")[0].search("fail heart", 0, 9)) == ["A"]


def test_pages_parents_and_children(icd: ImportedCodeSystem) -> None:
    assert [concept.code for concept in icd.page(1, 3)] == ["I50", "I50.0", "I50.1"]
    assert icd.page(10, 5)[0].code == "hjerte"
    assert icd.page(11, 5) == []
    assert [concept.code for concept in icd.parents("I500")] == ["I50", "I"]
    assert list(icd.parents("I")) == list(icd.parents("none")) == icd.children("none") == []
    assert [concept.code for concept in icd.children("I50")] == ["I50.0", "I50.1", "I50.9"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hånd", ["c", "d", "a", "b"]),  # the whole display, a code's beginning would be before this one's
        ("kne brudd", ["brudd", "e"]),  # the words, and a word of both together
        ("knebrudd", ["e"]),
        (" ".join(["hånd", *map("w{}".format, range(32))]), []),
    ],
)
def test_a_whole_display_goes_before_a_beginning_wherever_it_stands(
    tmp_path: Path, text: str, expected: list[str]
) -> None:
    rows = [("a", "Hånd og fot", ""), ("b", "Vond hånd", ""), ("c", "Hånd", ""), ("d", "Hånd", "")]
    system = edition_of_rows(tmp_path, [*rows, ("brudd", "Brudd i kne", ""), ("e", "Knebrudd", "")])
    assert codes(system.search(text, 0, 10)) == expected
    assert [each.code for each in system.search(text, 1, 2)[1]] == expected[1:3]


def test_more_words_than_are_heeded_find_nothing(tmp_path: Path) -> None:
    words = [f"w{number}" for number in range(33)]
    system = edition_of_rows(tmp_path, [("a", " ".join(words), "")])
    assert codes(system.search(" ".join(words[:32]), 0, 10)) == ["a"]
    assert system.search(" ".join(words), 0, 10) == (0, [])


def test_a_concept_above_by_two_ways_is_given_once(tmp_path: Path) -> None:
    concepts = [
        {"code": code, "display": code, "property": [{"code": "parent", "valueCode": each} for each in above]}
        for code, above in {"top": [], "mid": ["top"], "low": ["mid", "top"]}.items()
    ]
    path = tmp_path / "cs.json"
    path.write_bytes(
        orjson.dumps(
            {
                "resourceType": "CodeSystem",
                "url": "http://x.test/cs",
                "version": "1",
                "content": "complete",
                "concept": concepts,
            }
        )
    )
    assert not import_files(tmp_path / "codes.db", [path], Asked()).error_count
    (system,) = open_editions(tmp_path / "codes.db")
    assert [each.code for each in system.parents("low")] == ["mid", "top"]


def test_an_edition_that_is_gone_is_not_mistaken_for_the_one_that_has_its_place(tmp_path: Path) -> None:
    old = edition_of_rows(tmp_path, [("a", "Old", "")], "http://x.test/old")
    assert old.find("a") is not None
    assert remove_edition(tmp_path / "codes.db", "http://x.test/old", "2026")
    edition_of_rows(tmp_path, [("a", "New", "")], "http://x.test/new")
    with pytest.raises(Refused) as refused:
        old.find("a")
    assert [issue.code for issue in refused.value.issues] == ["code-system-gone"]
    edition_of_rows(tmp_path, [("a", "Old again", "")], "http://x.test/old")
    again = old.find("a")
    assert again is not None and again.display == "Old again"


def test_more_matches_than_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_systems, "COUNTED", 5)
    one = edition_of_rows(tmp_path, [(f"A{number:02}", f"Tekst {number}", "") for number in range(12)])
    total, page = one.search("tekst", 3, 10)
    assert (total, len(page)) == (6, 2)
    assert one.search("tekst", 5, 10) == (6, [])
    two = edition_of_rows(tmp_path / "two", [(f"A{number:02}", f"En tekst {number}", "") for number in range(12)])
    total, page = two.search("tekst en", 3, 10)
    assert (total, len(page)) == (6, 2)


@given(st.text(max_size=60) | st.sampled_from([display for _, display, _ in ROWS]))
@example("a " * 5_000)
@example(" ".join(f"w{number}" for number in range(500)))
@example("'\"*()^:-+{}NEAR(a b, 3) AND")
@example("\x00")
@example("M:E")
def test_any_text_may_be_searched_and_finds_what_a_plain_loop_finds(icd: ImportedCodeSystem, text: str) -> None:
    total, page = icd.search(text, 0, 100)
    asked, code = spaced(text), compact(text)
    words = words_of(asked)

    def rank(row: tuple[str, str, str]) -> int:
        its_code, display = compact(row[0]), spaced(row[1])
        every = [*words_of(spaced(row[0])), its_code, *words_of(display)]
        if not words and asked:
            return 9
        order = [its_code == code, display == asked, its_code.startswith(code), display.startswith(asked)]
        together = any(each.startswith(code) for each in every)  # "M:E" as the beginning of one word
        order.append(together or all(any(each.startswith(word) for each in every) for word in words))
        return order.index(True) if True in order else 9

    if not asked:
        assert total == len(ROWS)
        return
    ranks = {row[0]: rank(row) for row in ROWS}
    assert total == len(page) == sum(each < 9 for each in ranks.values()) * (len(words) <= 32)
    assert [ranks[each.code] for each in page] == sorted(ranks[each.code] for each in page)


@given(st.text(max_size=30))
def test_any_code_may_be_looked_up(icd: ImportedCodeSystem, code: str) -> None:
    found = icd.find(code)
    assert found is None or found.code.replace(".", "") == code.replace(".", "")


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1), max_size=5, unique=True
    )
)
def test_every_word_of_every_script_is_found_again(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("any")
    lines = [f"K{number}\t{text}\n" for number, text in enumerate(texts) if "\ufffd" not in text and '"' not in text]
    (path / "x.txt").write_text("kode\tnavn\n" + "".join(lines), encoding="utf-8", newline="")
    report = import_files(path / "c.db", [path / "x.txt"], Asked("icd-10", "1"))
    if report.error_count:
        assert {issue.code for issue in report.issues} <= {"code-without-display", "file-without-codes"}
        return
    one = open_editions(path / "c.db")[0]
    for concept in one.page(0, 9):
        for word in words_of(spaced(concept.display)):
            assert concept in one.search(word[: max(1, len(word) // 2)], 0, 9)[1], (concept, word)
        if words_of(spaced(concept.display)) and folded(concept.display):
            assert concept in one.search(concept.display, 0, 9)[1]


def test_threads_read_at_the_same_time(icd: ImportedCodeSystem) -> None:
    wrong: list[object] = []

    def look() -> None:
        for _ in range(200):
            if icd.find("I500") != icd.find("I50.0") or icd.search("hjerte", 0, 9)[0] != 7:
                wrong.append(1)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_editions_are_given_newest_first() -> None:
    def edition(version: str, valid_from: str | None = None) -> Edition:
        return Edition("u", version, "", "", True, 0, valid_from=valid_from)

    ordered = [
        edition("2"),
        edition("9"),
        edition("10"),
        edition("10.1"),
        edition("1", "2024"),
        edition("0", "2025-01"),
    ]
    assert sorted([*ordered[3:], *ordered[:3]], key=newness) == ordered


def test_a_file_that_is_missing_or_none_of_ours_is_told_of(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there is no such file"):
        open_editions(tmp_path / "none.db")
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "text.db").write_text("no database " * 500)
    with pytest.raises(Refused, match="file-unreadable"):
        open_editions(tmp_path / "text.db")
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE edition (number)")
    connection.close()
    with pytest.raises(Refused, match="code-systems-other-file"):
        open_editions(tmp_path / "other.db")


def test_what_reads_cannot_write(icd: ImportedCodeSystem) -> None:
    with icd._reading() as (connection, tables), pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute(tables.removals[0])
