"""Importing code systems: every form, every fault with its line, and what is served stays when anything is wrong."""

from __future__ import annotations

import gzip
import io
import json
import sqlite3
import tarfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.outcome import Refused
from fhir_facade.store import json_stream
from fhir_facade.store.code_system_import import KEPT_ISSUES, Asked, Report, import_files, remove_edition
from fhir_facade.store.code_systems import ImportedCodeSystem, open_editions
from fhir_facade.store.json_stream import JsonStream

ICD = "urn:oid:2.16.578.1.12.4.1.1.7110"
Import = Callable[..., Report]
TABLE = "Kode;Navn;Overordnet\nF;Psykiske lidelser;\nF32;Depressiv episode;F\nF32.0;Mild depressiv episode;F32\n"


class Import2026:
    """Writes files into a folder and imports them as ICD-10 of 2026, unless something else is said."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database = folder, folder / "codes.db"

    def __call__(self, content: str | bytes, name: str = "icd.csv", **said: Any) -> Report:
        return self.files({name: content}, **said)

    def files(self, contents: dict[str, str | bytes], **said: Any) -> Report:
        for name, content in contents.items():
            (self.folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        asked = Asked(**{"system": "icd-10", "version": "2026", **said})
        return import_files(self.database, [self.folder / name for name in contents], asked)

    @property
    def served(self) -> list[ImportedCodeSystem]:
        return open_editions(self.database)

    @property
    def codes(self) -> list[tuple[str, str]]:
        (one,) = self.served
        return [(concept.code, concept.display) for concept in one.page(0, 100)]


@pytest.fixture
def imported(tmp_path: Path) -> Import2026:
    return Import2026(tmp_path)


def told(report: Report) -> list[tuple[str, str]]:
    return [(issue.code, issue.at) for issue in report.issues]


def code_system(**members: Any) -> dict[str, Any]:
    concepts = [{"code": "a", "display": "Alfa", "concept": [{"code": "b", "display": "Beta"}]}]
    return {
        "resourceType": "CodeSystem", "url": "http://x.test/cs", "version": "1", "name": "X", "title": "En X",
        "status": "active", "content": "complete", "concept": concepts, **members,
    }  # fmt: skip


# --- the forms


@pytest.mark.parametrize(
    "content",
    [
        "Kode;Navn;Overordnet;Gyldig fra;Gyldig til;Status\nF32.0;Mild;;01.01.2020;31.12.9999;utgått\n",
        "\ufeffkode,TEKST,gyldig_til,gyldig_fra,status\r\n\r\nF32.0,Mild,,2020-01-01,Utgått\r\n",
        'valid from\tstatus\tdisplay\tcode\n20200101\tretired\t"Mild"\tF32.0\n',
        '{"code": "F32.0", "display": "Mild", "status": "retired", "valid_from": "2020-01-01"}\n',
        '{"code":"F32.0","display":"Mild","property":[{"code":"inactive","valueBoolean":true},{"code":"effectiveDate","valueDateTime":"2020-01-01T00:00:00+01:00"}]}',
    ],
)
def test_tables_and_lines_say_the_same(imported: Import2026, content: str) -> None:
    report = imported(content)
    assert report.error_count == 0
    found = imported.served[0].find("F32.0")
    assert found is not None
    assert (found.display, found.status, found.valid_from, found.valid_to) == ("Mild", "retired", "2020-01-01", None)
    assert report.done[0].withdrawn == 1
    assert [code for code, _ in told(report)] == ["code-withdrawn"]


def test_a_file_with_tabs_and_no_header(imported: Import2026) -> None:
    text = 'A00\tKolera\nA01\t"Kort" tekst\tEn lang tekst\t01.01.1999\t2020\nA02\tTo\t2001-01\n'
    assert imported(text, "icd10.txt").error_count == 0
    first, second, third = imported.served[0].page(0, 10)
    assert (first.code, first.display, first.designations) == ("A00", "Kolera", ())
    assert (second.display, second.designations[0].value) == ('"Kort" tekst', "En lang tekst")
    assert (second.valid_from, second.valid_to) == ("1999-01-01", "2020")
    assert (third.valid_from, third.valid_to) == ("2001-01", None)


def test_windows_1252_is_read_when_it_is_named_and_else_refused_with_the_line(imported: Import2026) -> None:
    text = "A\tAlt\nØ\tØyelege\n".encode("cp1252")
    refused = imported(text)
    assert told(refused) == [("encoding-wrong", "icd.csv:2")]
    assert "--encoding" in str(refused.issues[0])
    assert not imported.database.exists()
    assert imported(text, encoding="cp1252").error_count == 0
    assert imported.codes == [("A", "Alt"), ("Ø", "Øyelege")]
    assert told(imported("A\tAlt\nØ\tØye\n", encoding="cp1252", version="2")) == [("encoding-wrong", "icd.csv:2")]
    assert told(imported("A\tAlt\n".encode("utf-16"), version="2")) == [("encoding-wrong", "icd.csv:1")]


def test_other_columns_are_kept_as_properties(imported: Import2026) -> None:
    imported("kode;navn;Kapittel;engelsk;langtekst\nA;Alt;XX;All;Alt mulig\n")
    (found,) = imported.served[0].page(0, 1)
    assert found.properties == {"Kapittel": "XX"}
    assert [(each.language, each.value) for each in found.designations] == [("nb", "Alt mulig"), ("en", "All")]


def test_a_quoted_cell_may_have_lines_and_separators(imported: Import2026) -> None:
    imported('kode;navn;definisjon\nA;"Alt; og ""mer""";"to\nlinjer"\nB;;\n')
    assert not imported.database.exists()
    report = imported('kode;navn;definisjon\nA;"Alt; og ""mer""";"to\nlinjer"\nB;\n')
    assert told(report) == [("code-without-display", "icd.csv:4")]
    assert imported('kode;navn;definisjon\nA;"Alt; og ""mer""";"to\nlinjer"\n').error_count == 0
    assert imported.served[0].page(0, 1)[0].properties == {"definisjon": "to\nlinjer"}


@pytest.mark.parametrize("form", ["plain", "minified", "gzip", "bundle", "package", "late", "bom"])
def test_a_code_system_in_every_wrapping(imported: Import2026, form: str) -> None:
    resource = code_system()
    if form == "late":
        resource = {"concept": resource["concept"], **{name: resource[name] for name in reversed(resource)}}
    text = json.dumps(resource, indent=None if form == "minified" else 2).encode()
    if form == "bundle":
        patient = {"resourceType": "Patient", "concept": [{"code": "p"}]}
        entries = [{"fullUrl": "x", "resource": each} for each in (patient, resource)]
        text = json.dumps({"resourceType": "Bundle", "entry": entries}).encode()
    if form == "package":
        text = package({"package/package.json": b"{}", "package/cs.json": text, "package/example/no.json": b"{bad"})
    if form == "bom":
        text = b"\xef\xbb\xbf" + text
    report = imported(gzip.compress(text) if form == "gzip" else text, "x.json", system=None, version=None)
    assert told(report) == []
    (one,) = imported.served
    assert (one.edition.url, one.edition.version, one.edition.title, one.edition.count) == (
        "http://x.test/cs", "1", "En X", 2,
    )  # fmt: skip
    assert [(each.code, each.parent) for each in one.page(0, 9)] == [("a", None), ("b", "a")]


def package(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_what_a_concept_says_is_kept(imported: Import2026) -> None:
    concept = {
        "code": "a", "display": "Alfa", "definition": "Første",
        "designation": [{"language": "en", "use": {"code": "syn"}, "value": "Alpha"}],
        "property": [
            {"code": "parent", "valueCode": "b"}, {"code": "parent", "valueCode": "c"},
            {"code": "status", "valueCode": "retired"}, {"code": "weight", "valueDecimal": 1.5},
            {"code": "notSelectable", "valueBoolean": True}, {"code": "see", "valueCoding": {"code": "q"}},
            {"code": "see", "valueString": "r"}, {"code": "retirementDate", "valueDateTime": "2021-05"},
        ],
    }  # fmt: skip
    others = [{"code": "b"}, {"code": "c", "display": "C", "property": [{"code": "parent", "valueCode": "b"}]}]
    members = {"identifier": [{"value": "urn:oid:1.2.3"}], "caseSensitive": False, "content": "fragment"}
    resource = code_system(concept=[concept, *others], publisher="P", copyright="C", **members)
    report = imported(json.dumps(resource), "x.json", system=None, version=None)
    assert told(report) == [("code-withdrawn", "x.json:1"), ("code-as-display", "x.json:1")]
    (one,) = imported.served
    edition = one.edition
    assert (edition.complete, edition.case_sensitive, edition.identifiers) == (False, False, ("urn:oid:1.2.3",))
    assert (edition.source, edition.note, edition.name) == ("P", "C", "X")
    found = one.find("A")
    assert found is not None
    assert (found.status, found.valid_to, found.parent) == ("retired", "2021-05", "b")
    assert found.properties == {"definition": "Første", "weight": "1.5", "notSelectable": "true", "see": "q; r"}
    assert [(each.language, each.value, each.use) for each in found.designations] == [("en", "Alpha", "syn")]
    assert [each.code for each in one.parents("a")] == ["b", "c"]
    assert [each.code for each in one.children("b")] == ["a", "c"]
    assert one.find("b").display == "b"  # type: ignore[union-attr]


def test_several_tables_are_one_edition_and_systems_of_a_package_are_chosen(imported: Import2026) -> None:
    report = imported.files({"a.csv": "kode;navn\nA;a\n", "b.csv": "kode;navn\nB;b\n"}, system="nkpk")
    assert (report.done[0].edition.url[-4:], report.done[0].edition.count) == ("7275", 2)
    repeated = imported.files({"a.csv": "kode;navn\nA;a\n", "b.csv": "kode;navn\nB;b\nA;c\n"}, version="3")
    assert told(repeated) == [("code-repeated", "b.csv:3")]
    assert repeated.issues[0].facts["first"] == "a.csv:2"
    both = {"package/a.json": code_system(), "package/b.json": code_system(url="http://x.test/b", version="7")}
    data = package({name: json.dumps(content).encode() for name, content in both.items()})
    chosen = imported(data, "p.tgz", system="http://x.test/b", version=None)
    assert [(one.edition.url, one.edition.version) for one in chosen.done] == [("http://x.test/b", "7")]
    none = imported(data, "p.tgz", system="icd-10", version=None)
    assert told(none) == [("file-without-codes", "p.tgz:1")]
    assert len(imported.served) == 2


def test_a_known_system_is_written_as_its_oid_and_a_year_is_its_period(imported: Import2026) -> None:
    resource = code_system(url="http://hl7.org/fhir/sid/icd-10-no", version="2025")
    edition = imported(json.dumps(resource), "x.json", system=None, version=None).done[0].edition
    assert (edition.url, edition.valid_from, edition.valid_to) == (ICD, "2025", "2025")
    assert edition.identifiers == ("http://hl7.org/fhir/sid/icd-10-no",)
    edition = imported(TABLE, valid_from="2026-02-01").done[0].edition
    assert (edition.valid_from, edition.valid_to, edition.title) == ("2026-02-01", "2026", "ICD-10")


# --- the same again, and other content


def test_the_same_again_changes_nothing_and_other_content_needs_to_be_said(imported: Import2026) -> None:
    assert imported(TABLE).done[0].outcome == "imported"
    before = imported.served[0]
    assert imported(gzip.compress(TABLE.encode()), "again.gz").done[0].outcome == "unchanged"
    assert told(imported(TABLE.replace("Mild", "Lett"))) == [("code-system-differs", "icd.csv:1")]
    assert before.find("F32.0").display == "Mild depressiv episode"  # type: ignore[union-attr]
    assert imported(TABLE.replace("Mild", "Lett"), replace=True).done[0].outcome == "replaced"
    assert before.find("F32.0").display == "Lett depressiv episode"  # type: ignore[union-attr]
    assert len(imported.served) == 1


def test_editions_stand_side_by_side_and_are_compared(imported: Import2026) -> None:
    imported(TABLE, version="2025")
    (done,) = imported(TABLE.replace("F32.0", "F32.1") + "F33;Tilbakevendende;\n", version="2026").done
    assert (done.since, done.added, done.dropped) == ("2025", 2, 1)
    assert [one.edition.version for one in imported.served] == ["2026", "2025"]


def test_an_edition_is_removed_with_its_tables(imported: Import2026) -> None:
    imported(TABLE)
    before = imported.served[0]
    assert remove_edition(imported.database, ICD, "2026")
    assert not remove_edition(imported.database, ICD, "2026")
    with sqlite3.connect(imported.database) as connection:
        names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    connection.close()
    assert names == ["edition"]
    with pytest.raises(Refused, match="code-system-gone"):
        before.find("F32")


# --- faults

LONG = "B;" + "x" * 10_000_000
FAULTS: list[tuple[str, str | bytes, list[tuple[str, int]]]] = [
    ("repeated, same text", "kode;navn\nA;a\nB;b\nA;a\n", [("code-repeated", 4)]),
    ("repeated, other text", "kode;navn\nA;a\nB;b\nA;c\n", [("code-repeated", 4)]),
    ("unknown parent", "kode;navn;overordnet\nA;a;X\nB;b;A\n", [("code-parent-unknown", 2)]),
    ("circle", "kode;navn;overordnet\nA;a;C\nB;b;A\nC;c;B\nD;d;C\nE;e;\n", [("code-above-itself", 2)]),
    ("above itself", "kode;navn;overordnet\nE;e;\nA;a;A\n", [("code-above-itself", 3)]),
    ("two circles", "kode;navn;overordnet\nA;a;A\nB;b;C\nC;c;B\n", [("code-above-itself", 2), ("code-above-itself", 3)]),
    ("no text", "kode;navn;overordnet\nA;;\nB;b;A\n", [("code-without-display", 2)]),
    ("no code", "kode;navn\n;a\nB;b\n", [("code-missing", 2)]),
    ("control character", "kode;navn\nA;a\x07\nB\x00;b\n", [("code-letters", 2), ("code-letters", 3)]),
    ("lost letter", "kode;navn\nA;S\ufffdr\n", [("code-letters", 2)]),
    ("date", "kode;navn;gyldig fra\nA;a;2024-13-01\nB;b;i fjor\n", [("code-value", 2), ("code-value", 3)]),
    ("period", "kode;navn;gyldig fra;gyldig til\nA;a;2024-02;2024-01-01\n", [("code-value", 2)]),
    ("status", "kode;navn;status\nA;a;kanskje\n", [("code-value", 2)]),
    ("columns", "kode;navn\nA;a;b\n", [("code-columns", 2)]),
    ("long line", f"kode;navn\nA;a\n{LONG}\n;c\n", [("line-too-long", 3), ("code-missing", 4)]),
    ("no header", "A;a\nB;b\n", [("code-header-unknown", 1)]),
    ("quote", 'kode;navn\nA;a\nB;"b\nC;c\n', [("file-malformed", 3)]),
    ("empty", b"", [("file-without-codes", 1)]),
    ("empty gzip", gzip.compress(b""), [("file-without-codes", 1)]),
    ("header alone", "kode;navn\n", [("file-without-codes", 1)]),
    ("other resource", '{"resourceType": "Patient"}', [("file-without-codes", 1)]),
    ("not-present", json.dumps({**code_system(content="not-present"), "concept": []}), [("file-without-codes", 1)]),
    ("gzip cut off", gzip.compress(TABLE.encode())[:-12], [("file-truncated", 1)]),
    ("gzip damaged", gzip.compress(TABLE.encode())[:20] + b"xxxxxxx", [("file-truncated", 1)]),
    ("package cut off", package({"package/a.json": orjson.dumps(code_system())})[:-40], [("file-truncated", 1)]),
    ("JSON cut off", json.dumps(code_system(), indent=1)[:-30], [("file-truncated", 16)]),
    ("JSON cut off in text", json.dumps(code_system(), indent=1)[:-20], [("file-truncated", 16)]),
    ("cut off before the parent", gzip.compress(b"kode;navn;overordnet\nA;a;B\nB;b;")[:-9], [("file-truncated", 1)]),
    ("JSON encoding", json.dumps(code_system(title="Ø"), indent=1, ensure_ascii=False).encode("cp1252"), [("encoding-wrong", 6)]),
    ("JSON fault", '{"resourceType": "CodeSystem",\n"url": x}', [("file-malformed", 2)]),
    ("JSON control", '{"resourceType":"CodeSystem","concept":[\n{"code":"a","display":"\\u0007"}]}', [("code-letters", 2)]),
    ("JSON surrogate", '{"resourceType":"CodeSystem","concept":[\n{"code":"\\ud800","display":"b"}]}', [("code-letters", 2)]),
    ("JSON types", '{"resourceType":"CodeSystem","concept":[\n{"code":1,"display":"b"},\n[]]}', [("file-malformed", 2), ("code-missing", 2), ("file-malformed", 3), ("code-missing", 3)]),
    ("JSON array", "[1]", [("file-malformed", 1)]),
    ("NDJSON", '{"code": "a", "display": "b"}\n{bad\n{"display": "c"}\n', [("file-malformed", 2), ("code-missing", 3)]),
    ("NDJSON long", '{"code": "a", "display": "b"}\n{"code": "' + LONG + '"}\n{"display": "c"}\n', [("line-too-long", 2), ("code-missing", 3)]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), [each[1:] for each in FAULTS], ids=[each[0] for each in FAULTS])
def test_a_fault_is_told_with_its_line_and_the_old_edition_is_still_served(
    imported: Import2026, content: str | bytes, expected: list[tuple[str, int]]
) -> None:
    imported(TABLE, version="2025")
    size = imported.database.stat().st_size
    report = imported(content, "bad.x", replace=True, version="2025")
    errors = [(issue.code, int(issue.at.rpartition(":")[2])) for issue in report.issues if issue.entry.status >= 400]
    assert errors == expected
    assert report.done == []
    assert all(str(issue).startswith("bad.x") for issue in report.issues)
    assert [code for code, _ in imported.codes] == ["F", "F32", "F32.0"]
    assert imported.served[0].search("mild", 0, 9)[0] == 1
    assert imported.database.stat().st_size == size


def test_a_line_number_is_right_in_a_truncated_gzip(imported: Import2026) -> None:
    rows = "".join(f"{number:06};tekst {number * 7919 % 10007}\n" for number in range(20_000))
    report = imported(gzip.compress(f"kode;navn\n{rows}".encode())[:40_000], "bad.gz")
    ((code, at),) = told(report)
    assert code == "file-truncated"
    assert 1_000 < int(at.rpartition(":")[2]) < 20_000
    assert not imported.database.exists()


def test_findings_are_bounded_and_counted(imported: Import2026) -> None:
    rows = "".join(f"A{number};a;utgått\n;b;\n" for number in range(500))
    report = imported(f"kode;navn;status\n{rows}")
    assert (report.issue_count, report.error_count, len(report.issues)) == (1000, 500, KEPT_ISSUES)
    assert all(issue.code == "code-missing" for issue in report.issues)


def test_several_editions_of_one_import_stand_or_fall_together(imported: Import2026) -> None:
    bad = code_system(url="http://x.test/bad", concept=[{"code": "a", "display": "a"}, {"code": "a", "display": "b"}])
    report = imported.files({"a.json": json.dumps(code_system()), "b.json": json.dumps(bad)}, system=None, version=None)
    assert told(report) == [("code-repeated", "b.json:1")]
    assert not imported.database.exists()
    twice = imported.files({"a.json": json.dumps(code_system()), "b.json": json.dumps(code_system())}, system=None)
    assert "code-system-repeated" in [code for code, _ in told(twice)]


def test_what_is_not_said_is_asked_for(imported: Import2026) -> None:
    assert "--system" in str(imported(TABLE, system=None).issues[0])
    assert "--version" in str(imported(TABLE, version=None).issues[0])


def test_a_foreign_database_is_left_alone(tmp_path: Path, imported: Import2026) -> None:
    with sqlite3.connect(imported.database) as connection:
        connection.execute("CREATE TABLE mine (x)")
    connection.close()
    before = imported.database.read_bytes()
    with pytest.raises(Refused, match="code-systems-other-file"):
        imported(TABLE)
    assert imported.database.read_bytes() == before
    imported.database.write_bytes(b"no database at all, but long enough to be taken for one" * 100)
    with pytest.raises(Refused, match="file-unreadable"):
        imported(TABLE)


def test_what_is_served_is_served_while_an_import_runs(imported: Import2026, monkeypatch: pytest.MonkeyPatch) -> None:
    imported(TABLE, version="2025")
    (old,) = imported.served
    seen: list[int] = []

    def look(count: int) -> None:
        seen.append(len(open_editions(imported.database)))
        assert old.find("F320") is not None

    path = imported.folder / "new.csv"
    path.write_text(TABLE)
    import_files(imported.database, [path], Asked("icd-10", "2026"), look)
    assert set(seen) == {1}
    assert len(imported.served) == 2


def test_memory_does_not_grow_with_the_file(imported: Import2026) -> None:
    def peak(rows: int, form: str) -> int:
        concepts = [{"code": f"K{number}", "display": f"Kode {number * 7919 % 10007}"} for number in range(rows)]
        resource = code_system(version=str(rows), concept=[{"code": "top", "display": "Alt", "concept": concepts}])
        text = (
            json.dumps(resource)
            if form == "json"
            else "".join(f"{each['code']}\t{each['display']}\n" for each in concepts)
        )
        path = imported.folder / f"{form}{rows}"
        path.write_text(text)
        del concepts, resource, text
        tracemalloc.start()
        report = import_files(imported.database, [path], Asked("icd-10" if form == "tab" else None, str(rows)))
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert report.error_count == 0
        return most

    peak(10, "tab")
    for form in ("tab", "json"):
        small, large = peak(8_000, form), peak(40_000, form)
        assert large < small + 6_000_000, form  # JSON keeps a value of a megabyte while it finds that it is longer


# --- JSON, piece by piece

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


def walk(stream: JsonStream) -> Any:
    if stream.peek() == "{":
        return {name: walk(stream) for name in stream.members()}
    if stream.peek() == "[":
        return [walk(stream) for _ in stream.items()]
    return stream.value()


@given(VALUES, VALUES, st.sampled_from([None, 1]), st.booleans(), st.integers(1, 40))
def test_json_in_pieces_is_json(value: Any, other: Any, indent: int | None, ascii_only: bool, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "PIECE", piece)
        patch.setattr(json_stream, "LONGEST", 5)
        text = json.dumps([other, value, 1], indent=indent, ensure_ascii=ascii_only)
        stream = JsonStream(io.BytesIO(text.encode("utf-8", "replace")), "f")
        items = stream.items()
        next(items)
        stream.skip()
        next(items)
        seen = walk(stream) if all(each < "\ud800" for each in text) or ascii_only else (stream.skip(), value)[1]
        assert seen == value
        next(items)
        assert stream.line == 1 + text[: text.rindex("1")].count("\n")
        assert stream.value() == 1
        assert next(items, "end") == "end"
        assert stream.peek() == ""


CONCEPTS = st.recursive(
    st.builds(dict),
    lambda inner: st.lists(inner, min_size=1, max_size=3).map(lambda below: {"concept": below}),
    max_leaves=12,
)


@given(st.lists(CONCEPTS, min_size=1, max_size=3), st.integers(10, 300), st.sampled_from([None, 2]))
def test_a_hierarchy_that_is_too_large_to_be_taken_whole_is_the_same(
    tmp_path_factory: pytest.TempPathFactory, tree: list[Any], longest: int, indent: int | None
) -> None:
    expected: list[tuple[str, str | None]] = []

    def numbered(concepts: list[Any], parent: str | None) -> list[Any]:
        out = []
        for concept in concepts:
            code = f"c{len(expected)}"
            expected.append((code, parent))
            below = {"concept": numbered(concept["concept"], code)} if "concept" in concept else {}
            out.append({"code": code, "display": code, **below})
        return out

    resource = code_system(concept=numbered(tree, None))
    work = Import2026(tmp_path_factory.mktemp("tree"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "PIECE", 16)
        patch.setattr(json_stream, "LONGEST", longest)
        assert told(work(json.dumps(resource, indent=indent), "t.json", system=None)) == []
    assert [(each.code, each.parent) for each in work.served[0].page(0, 99)] == expected


def test_a_value_that_is_too_long_is_told_and_one_that_nobody_wants_is_passed(imported: Import2026) -> None:
    long = "x" * 3_000_000
    fine = code_system(text={"div": f'"\\{long}'}, concept=[{"code": "a", "display": "Alfa"}])
    assert imported(json.dumps(fine), "x.json", system=None).error_count == 0
    bad = code_system(concept=[{"code": "a", "display": "Alfa"}, {"code": "b", "display": long}])
    assert told(imported(json.dumps(bad, indent=0), "x.json", system=None)) == [("line-too-long", "x.json:16")]
    below = [{"code": f"c{number}", "display": long[:200_000]} for number in range(4)]
    late = {"code": "b", "concept": below, "display": "late"}
    report = imported(json.dumps(code_system(concept=[late])), "x.json", system=None, version="late")
    assert [code for code, _ in told(report)] == ["code-as-display", "file-malformed"]
    deep: dict[str, Any] = {"code": "d", "display": "d"}
    for number in range(200):
        deep = {"code": f"d{number}", "display": "d", "concept": [deep]}
    assert [code for code, _ in told(imported(json.dumps(code_system(concept=[deep])), "x.json", system=None))] == [
        "file-malformed"
    ]
