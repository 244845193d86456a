"""Packages as strangers pack them: tarballs, folders and XML, whole and broken."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import orjson
import pytest

from fhir_facade.packages import files
from fhir_facade.packages.files import read_package
from fhir_facade.packages.xml import XmlFault, resource_of_xml

PROFILE = {
    "resourceType": "StructureDefinition",
    "url": "http://test.no/fhir/StructureDefinition/a",
    "version": "1.0.0",
    "name": "A",
    "kind": "resource",
    "type": "Patient",
    "derivation": "constraint",
    "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
    "differential": {"element": [{"id": "Patient.birthDate", "path": "Patient.birthDate", "min": 1}]},
}
MANIFEST = {"name": "no.test", "version": "1.2.3"}


def tarball(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type = tarfile.SYMTYPE
            info.linkname = target
            archive.addfile(info)
    return path


def packed(tmp_path: Path, **more: bytes) -> Path:
    members = {"package/package.json": orjson.dumps(MANIFEST), "package/a.json": orjson.dumps(PROFILE)}
    return tarball(tmp_path / "test.tgz", members | {f"package/{name}": content for name, content in more.items()})


def test_a_tarball_and_the_folder_of_it_give_the_same(tmp_path: Path) -> None:
    archive = packed(tmp_path)
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path / "folder", filter="data")
    one, other = read_package(archive), read_package(tmp_path / "folder")
    assert one.resources == other.resources == [("a.json", PROFILE)]
    assert one.label == other.label == "no.test@1.2.3"
    assert not one.faults and not other.faults


def test_a_single_file_is_a_package(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + orjson.dumps(PROFILE))
    package = read_package(path)
    assert [content for _, content in package.resources] == [PROFILE]
    assert package.label == "a.json"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("b.json", b'{"resourceType": "StructureDefinition",\n "url": }', "b.json:2: cannot be read as JSON"),
        ("b.json", b"[1]", "b.json:1: the file holds no resource"),
        ("b.json", b'{"resourceType": "ValueSet"}', "without a url"),
        (
            "b.xml",
            b'<ValueSet xmlns="http://hl7.org/fhir">\n<url value="a"/>\n<nothing value="1"/></ValueSet>',
            "b.xml:3",
        ),
        ("b.xml", b'<!DOCTYPE a [<!ENTITY e "x">]><ValueSet xmlns="http://hl7.org/fhir"/>', "document type"),
        ("b.xml", b"<ValueSet", "b.xml:1"),
    ],
)
def test_a_broken_file_is_told_and_the_rest_is_read(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    package = read_package(packed(tmp_path, **{name: content}))
    assert [found for found, _ in package.resources] == ["a.json"]
    assert len(package.faults) == 1
    assert said in str(package.faults[0])


def test_what_is_not_there_or_no_archive_is_a_fault(tmp_path: Path) -> None:
    broken = tmp_path / "broken.tgz"
    broken.write_bytes(packed(tmp_path).read_bytes()[:60])
    for path in (tmp_path / "none", broken):
        package = read_package(path)
        assert not package.resources
        assert len(package.faults) == 1


def test_links_and_examples_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_bytes(orjson.dumps(PROFILE | {"url": "http://test.no/secret"}))
    members = {"package/example/e.json": orjson.dumps(PROFILE | {"url": "http://test.no/example"})}
    package = read_package(tarball(tmp_path / "t.tgz", members, {"package/link.json": str(secret)}))
    assert not package.resources


def test_too_large_a_file_and_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = packed(tmp_path, **{"b.json": orjson.dumps(PROFILE | {"url": "http://test.no/b"})})
    monkeypatch.setattr(files, "LARGEST_FILE", 100)
    assert "too large" in str(read_package(path).faults[0])
    monkeypatch.setattr(files, "LARGEST_FILE", 1_000_000)
    monkeypatch.setattr(files, "MOST_FILES", 1)
    assert "the rest of it is not read" in str(read_package(path).faults[0])


def test_xml_becomes_the_json_of_its_types() -> None:
    found = resource_of_xml(
        b"""<StructureDefinition xmlns="http://hl7.org/fhir">
          <text><status value="empty"/><div xmlns="http://www.w3.org/1999/xhtml">a<b>b</b></div></text>
          <url value="http://test.no/a"/><abstract value="false"/>
          <keyword><code value="k"/></keyword>
          <context><type value="element"/><expression value="Patient"/></context>
          <type value="Extension"/>
          <differential>
            <element id="Extension">
              <path value="Extension"/><min value="0"/>
              <alias value="one"/><alias value="two"><extension url="http://test.no/x"><valueInteger value="3"/></extension></alias>
            </element>
          </differential>
        </StructureDefinition>"""
    )
    assert found["text"] == {
        "status": "empty", "div": '<div xmlns="http://www.w3.org/1999/xhtml">a<b>b</b></div>',
    }  # fmt: skip
    assert found["abstract"] is False
    assert found["context"] == [{"type": "element", "expression": "Patient"}]
    assert found["differential"]["element"] == [
        {
            "id": "Extension",
            "path": "Extension",
            "min": 0,
            "alias": ["one", "two"],
            "_alias": [None, {"extension": [{"url": "http://test.no/x", "valueInteger": 3}]}],
        }
    ]


def test_xml_of_another_language_is_refused_with_its_line() -> None:
    with pytest.raises(XmlFault) as caught:
        resource_of_xml(b'<ValueSet xmlns="http://hl7.org/fhir">\n\n<url xmlns="" value="a"/></ValueSet>')
    assert caught.value.line == 3
