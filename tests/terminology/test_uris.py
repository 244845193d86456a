"""Every form of a system's URI leads to the one that is written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.terminology.lists import by_system, code_lists
from fhir_facade.terminology.uris import LONGEST, canonical, identifier_systems, variants

OIDS = "urn:oid:2.16.578.1.12.4.1.1."
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "reference" / "kodeverk"
NUMBERS = st.integers(1, 99_999).map(str)
SUFFIXES = st.from_regex(r"(-[A-Za-z0-9.-]{1,20})?", fullmatch=True)
KNOWN = [*identifier_systems().values(), "http://snomed.info/sct", *(OIDS + number for number in code_lists())]


@pytest.mark.parametrize(
    ("uri", "written"),
    [
        ("urn:oid:2.16.578.1.12.4.1.1.8406", OIDS + "8406"),
        ("2.16.578.1.12.4.1.1.8406", OIDS + "8406"),
        ("http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406", OIDS + "8406"),
        ("http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406-omsorgsniva", OIDS + "8406"),
        ("http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406-omsorgsniva.2", OIDS + "8406"),
        ("http://ehelse.no/fhir/CodeSystem/no-kodeverk-8406", OIDS + "8406"),
        ("http://ehelse.no/fhir/CodeSystem/no-kodeverk-8406-x", OIDS + "8406"),
        ("http://helsenorge.no/fhir/CodeSystem/no-kodeverk-8406.codesystem", OIDS + "8406"),
        ("urn:oid:2.16.578.1.12.4.1.1.7110", OIDS + "7110"),
        ("http://hl7.org/fhir/sid/icd-10-no", OIDS + "7110"),
        ("http://helsedir.no/fhir/CodeSystem/no-kodeverk-7110-icd-10", OIDS + "7110"),
        ("http://hl7.org/fhir/sid/icpc-2", OIDS + "7170"),
        ("urn:oid:2.16.840.1.113883.6.139", OIDS + "7170"),
        ("2.16.840.1.113883.6.139", OIDS + "7170"),
        ("urn:oid:2.16.578.1.12.4.1.1.7275", OIDS + "7275"),
        ("2.16.578.1.12.4.1.1.7220", OIDS + "7220"),
        ("2.16.578.1.12.4.1.1.7210", OIDS + "7210"),
        ("http://helsedir.no/fhir/CodeSystem/no-kodeverk-7270-ncrp", OIDS + "7270"),
        ("urn:oid:2.16.578.1.12.4.1.1.7020", OIDS + "7020"),
        ("http://helsedir.no/fhir/CodeSystem/no-kodeverk-7280-nlk", OIDS + "7280"),
        ("http://www.whocc.no/atc", OIDS + "7180"),
        ("https://register.geonorge.no/subregister/sosi-kodelister/kartverket/kommunenummer-alle", OIDS + "3402"),
        ("https://register.geonorge.no/sosi-kodelister/kommunenummer", OIDS + "3402"),
        ("http://hl7.no/fhir/NamingSystem/kommunenummer", OIDS + "3402"),
        ("http://data.ssb.no/api/klass/v1/versions/919", OIDS + "3403"),
        ("http://hl7.no/fhir/NamingSystem/bydelsnummer", OIDS + "3403"),
        ("http://snomed.info/sct", "http://snomed.info/sct"),
        ("http://snomed.info/sct/51000202101", "http://snomed.info/sct"),
        ("http://snomed.info/sct/51000202101/version/20240415", "http://snomed.info/sct"),
        ("http://snomed.info/sct/900000000000207008", "http://snomed.info/sct"),
        ("http://id.who.int/icd/release/11/mms", "http://id.who.int/icd/release/11/mms"),
        (
            "http://hl7.no/fhir/CodeSystem/no-basis-marital-status",
            "http://hl7.no/fhir/CodeSystem/no-basis-marital-status",
        ),
        ("http://hl7.no/fhir/NamingSystem/FNR", "urn:oid:2.16.578.1.12.4.1.4.1"),
        ("2.16.578.1.12.4.1.4.1", "urn:oid:2.16.578.1.12.4.1.4.1"),
    ],
)
def test_a_known_form_becomes_the_written_one(uri: str, written: str) -> None:
    assert canonical(uri) == written
    assert canonical(written) == written
    assert written in variants(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "http://loinc.org",
        "http://hl7.org/fhir/sid/icd-10",  # the edition of WHO is another system
        "urn:oid:2.16.578.1.12.4.1.4.1026",
        "urn:oid:2.16.578.1.12.4.1.1.08406",
        "urn:oid:2.16.578.1.12.4.1.1.",
        "urn:oid:2.16.578.1.12.4.1.1.8406.1",
        "urn:oid:2.16.578.1.12.4.1.1.8406\n",
        "urn:uid:2.16.578.1.12.4.1.1.7497",
        "1.2.3",
        "http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406/x",
        "http://helsedir.no/fhir/ValueSet/no-kodeverk-8406",
        "http://snomed.info/sct/51000202101/version/2024",
        "http://snomed.info/xsct",
        "http://terminology.hl7.org/CodeSystem/v3-ActCode",
        "http://helsedir.no/fhir/CodeSystem/no-kodeverk-8406-" + "x" * LONGEST,
    ],
)
def test_an_unknown_uri_stays_as_it_is(uri: str) -> None:
    assert canonical(uri) == uri
    assert variants(uri) == (uri,)


# ---- agreement with the other files that speak of systems


def test_what_the_mappings_write_is_what_is_written(mapping_set: MappingSet) -> None:
    vocabulary = mapping_set.vocabulary
    for system in [*vocabulary.systems.values(), *filter(None, map(vocabulary.system, vocabulary.system_names))]:
        assert canonical(system.uri) == system.uri
        assert {canonical(alias) for alias in system.aliases} <= {system.uri}


def test_every_list_is_found_by_each_of_its_forms() -> None:
    for number, listed in code_lists().items():
        forms = variants(listed.system)
        assert forms[:2] == (listed.system, listed.oid)
        assert len(set(forms)) == len(forms) >= 5
        assert all(by_system(canonical(form)) is code_lists()[number] for form in forms)


@given(st.sampled_from(sorted(code_lists())), st.sampled_from(["helsedir", "ehelse"]), SUFFIXES)
def test_the_lists_and_the_uris_read_an_address_alike(number: str, host: str, suffix: str) -> None:
    uri = f"http://{host}.no/fhir/CodeSystem/no-kodeverk-{number}{suffix}"
    listed = by_system(uri)
    assert listed is not None
    assert canonical(uri) == listed.system


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="the reference files do not lie beside the repository")
def test_every_uri_of_the_reference_is_known() -> None:
    rows = json.loads((REFERENCE / "code-system-uris.json").read_text("utf-8"))["code_system_uris"]
    rows += json.loads((REFERENCE / "identifier-systems.json").read_text("utf-8"))["identifier_systems"]
    seen = 0
    for row in rows:
        texts = [row.get(name) or "" for name in ("in_data", "canonical", "system", "alt_uri", "oid")]
        if "any list" in row.get("code_system", ""):
            texts = [text.replace("NNNN", "8406").split(" (")[0] for text in texts]
        uris = [
            uri
            for text in texts
            for uri in re.findall(r"urn:oid:[\d.]*\d|https?://[^\s,()]+[^\s,();]|\d(?:\.\d+){5,}", text)
        ]
        if row.get("alt_uri") or row.get("code_system"):
            seen += 1
            assert uris
            assert len({canonical(uri) for uri in uris if uri != "urn:ietf:rfc:3986"}) == 1, row
    assert seen > 20


# ---- laws


@given(
    st.one_of(st.text(), st.sampled_from(KNOWN), st.builds("{}{}".format, st.sampled_from(KNOWN), st.text(max_size=5)))
)
def test_the_written_form_of_the_written_form_is_itself(uri: str) -> None:
    assert canonical(canonical(uri)) == canonical(uri)


@given(st.one_of(st.text(), st.sampled_from(KNOWN), NUMBERS.map(OIDS.__add__)))
def test_every_variant_leads_back(uri: str) -> None:
    forms = variants(uri)
    assert forms[0] == canonical(uri)
    assert {canonical(form) for form in forms} == {canonical(uri)}
    assert all(variants(form) == forms for form in forms)
