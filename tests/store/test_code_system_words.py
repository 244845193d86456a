"""Sets of places are sets, the words that are kept are bounded, and what is kept is never of another edition."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.store import code_system_words
from fhir_facade.store.code_system_import import Asked, import_files, remove_edition
from fhir_facade.store.code_system_words import Places, Words
from fhir_facade.store.code_systems import ImportedCodeSystem, open_editions

LAST = 70
SETS = st.sets(st.integers(0, LAST))


@given(SETS, SETS)
def test_places_are_a_set_in_the_order_of_the_source(one: set[int], other: set[int]) -> None:
    first, second = Places.of(one, LAST), Places.of(other, LAST)
    assert list(first) == sorted(one)
    assert len(first) == len(one)
    assert list(first & second) == sorted(one & other)
    assert list(first | second) == sorted(one | other)


class Counting:
    """Stands for a connection: a word is in as many concepts as it has letters."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def execute(self, statement: str, given: tuple[str]) -> Counting:
        self.asked.append(given[0])
        return self

    def fetchone(self) -> tuple[str, int]:
        return str([*range(1, len(self.asked[-1]) - 2)]), LAST


def test_words_are_read_once_and_the_one_asked_for_longest_ago_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_system_words, "KEPT", 2)
    words, connection = Words("SELECT"), Counting()
    asked = [("aaa", "bb"), ("aaa", "bb"), ("aaa", "c"), ("aaa", "bb")]
    found = [list(words.match(connection, pair, "x")) for pair in asked]  # type: ignore[arg-type]
    assert found == [[1, 2], [1, 2], [1], [1, 2]]
    assert [word for word in connection.asked if word != '"x"*'] == ['"aaa"*', '"bb"*', '"c"*', '"bb"*']


def edition(folder: Path, version: str, *texts: str) -> ImportedCodeSystem:
    path = folder / "rows.txt"
    path.write_text("kode\tnavn\n" + "".join(f"c{number}\t{text}\n" for number, text in enumerate(texts)))
    report = import_files(folder / "codes.db", [path], Asked("http://x.test/cs", version, replace=True))
    assert report.error_count == 0, report.issues
    return next(one for one in open_editions(folder / "codes.db") if one.edition.version == version)


def found(system: ImportedCodeSystem, text: str) -> list[str]:
    return [concept.code for concept in system.search(text, 0, 10)[1]]


def test_another_content_is_read_anew(tmp_path: Path) -> None:
    old = edition(tmp_path, "1", "brudd i kne", "vondt i kne")
    assert found(old, "kne brudd") == ["c0"]
    edition(tmp_path, "1", "vondt i kne", "vondt", "vondt", "brudd i kne")
    assert found(old, "kne brudd") == ["c3"]
    assert remove_edition(tmp_path / "codes.db", "http://x.test/cs", "1")
    edition(tmp_path, "1", "vondt i kne", "brudd i kne")
    assert found(old, "kne brudd") == ["c1"]


def test_a_number_that_is_given_again_with_other_content_is_seen(tmp_path: Path) -> None:
    old = edition(tmp_path, "1", "brudd i kne", "vondt i kne")
    number = sqlite3.connect(tmp_path / "codes.db").execute("SELECT number FROM edition").fetchone()
    assert found(old, "kne brudd") == ["c0"]
    remove_edition(tmp_path / "codes.db", "http://x.test/cs", "1")
    edition(tmp_path, "1", "vondt i kne", "brudd i kne")
    assert sqlite3.connect(tmp_path / "codes.db").execute("SELECT number FROM edition").fetchone() == number
    assert found(old, "kne brudd") == ["c1"]


def test_threads_search_for_two_words_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_system_words, "KEPT", 3)
    system = edition(tmp_path, "1", *(f"w{number} v{number}" for number in range(9)))
    wrong: list[str] = []

    def work() -> None:
        for number in [*range(9)] * 20:
            if found(system, f"w{number} v{number}") != [f"c{number}"]:
                wrong.append(f"w{number}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert not wrong
