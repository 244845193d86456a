"""How a message looks when it is written."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import etree

from fhir_facade.outcome import Refused
from fhir_facade.store.loading import load_files
from fhir_facade.store.npr_write import write_npr
from fhir_facade.store.records import SqliteStore
from tests.npr_sample import IDE, KINDS, ORD, TABLE


def loaded(folder: Path, *texts: str) -> SqliteStore:
    store = SqliteStore.open(":memory:", KINDS)
    for number, text in enumerate(texts):
        path = folder / f"{number}.xml"
        path.write_text(text, "utf-8")
        assert load_files(store, KINDS, TABLE, [path], now=f"2026-01-0{number + 1}T00:00:00.000Z").exit_code == 0
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = loaded(tmp_path, ORD, IDE)
    yield opened
    opened.close()


def written(store: SqliteStore, module: str = "ord", institution: str | None = None) -> bytes:
    out = io.BytesIO()
    write_npr(store, out, TABLE, KINDS, module, institution)
    return out.getvalue()


def canonical(data: bytes) -> str:
    """The message without the order of attributes and the white space between tags."""
    tree = etree.fromstring(data, etree.XMLParser(remove_blank_text=True))
    for node in tree.iter():
        node.text = node.tail = None
    text: str = etree.tostring(tree, method="c14n").decode()
    return text


@pytest.mark.parametrize(("module", "text"), [("ord", ORD), ("ide", IDE)])
def test_a_message_in_key_order_is_written_as_it_was_read(store: SqliteStore, module: str, text: str) -> None:
    assert canonical(written(store, module)) == canonical(text.encode())


def test_the_same_store_gives_the_same_bytes(store: SqliteStore) -> None:
    assert written(store) == written(store)


def test_the_form_is_utf_8_indented_by_two(store: SqliteStore) -> None:
    lines = written(store).decode("utf-8").splitlines()
    assert lines[0] == '<?xml version="1.0" encoding="UTF-8"?>'
    assert 'leverandor="Blåbær AS"' in lines[1]
    assert lines[4] == '    <Enhet enhetID="U1" orgNr="777777777"/>'


def test_the_envelope_is_the_one_that_changed_last(tmp_path: Path) -> None:
    store = loaded(tmp_path, ORD.replace('lopenr="1"', 'lopenr="9"'), ORD.replace('lopenr="1"', 'lopenr="2"'))
    assert b'lopenr="2"' in written(store)


def test_without_an_envelope_nothing_is_written() -> None:
    with pytest.raises(Refused) as refused:
        written(SqliteStore.open(":memory:", KINDS))
    assert refused.value.issues[0].code == "message-not-stored"


def test_institutions_stand_each_by_itself_and_one_may_be_asked_for(tmp_path: Path) -> None:
    store = loaded(tmp_path, ORD, ORD.replace("777777777", "888888888"))
    both = etree.fromstring(written(store))
    found = [node.get("institusjonID") for node in both.iter("{*}Institusjon")]
    assert found == ["777777777", "888888888"]
    assert b"777777777" not in written(store, institution="888888888").replace(b'orgNr="777777777"', b"")


def test_what_has_no_place_is_told(tmp_path: Path) -> None:
    store = loaded(tmp_path, IDE)
    with store.transaction() as writer:
        header = next(store.scan("melding"))
        writer.merge(
            KINDS["melding"],
            [KINDS.complete(KINDS["melding"], {**header, "modul": "ord"})],
            "2026",
            supplied=None,
        )
    issues = write_npr(store, io.BytesIO(), TABLE, KINDS)
    assert [(issue.code, issue.facts["kind"], issue.facts["count"]) for issue in issues] == [
        ("record-not-written", "pasient", 2)
    ]


def test_letters_that_xml_needs_are_escaped(tmp_path: Path) -> None:
    name = "&amp; &lt;b&gt; &quot;x&quot;&#10;&#9;ø"
    store = loaded(tmp_path, ORD.replace('enhetID="U1" orgNr', f'enhetID="U1" enhetLokal="{name}" orgNr'))
    assert f'enhetLokal="{name}"'.encode() in written(store)
