"""XML says what JSON says: judged by readers that we did not write, on every golden resource and on hard cases."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class
from lxml import etree

from fhir_facade.definitions import definitions
from fhir_facade.outcome import Refused
from fhir_facade.packages.xml import resource_of_xml
from fhir_facade.resources import data_root
from fhir_facade.rest.answer import pretty
from fhir_facade.rest.numbers import dumps, loads
from fhir_facade.rest.to_xml import markup, to_xml

F = "{http://hl7.org/fhir}"
XHTML = "http://www.w3.org/1999/xhtml"


def goldens() -> dict[str, list[Path]]:
    """The resources beside mappings, by type."""
    found: dict[str, list[Path]] = {}
    for path in sorted(data_root("mappings").glob("*.examples/*.fhir.json")):
        resource = orjson.loads(path.read_bytes())
        for each in resource if isinstance(resource, list) else [resource]:
            found.setdefault(each["resourceType"], []).append(path)
    return {name: list(dict.fromkeys(paths)) for name, paths in found.items()}


GOLDENS = goldens()


def resources(path: Path) -> list[Any]:
    content = orjson.loads(path.read_bytes())
    return content if isinstance(content, list) else [content]


@pytest.mark.parametrize("resource_type", sorted(GOLDENS))
def test_every_golden_resource_comes_back_as_it_was(resource_type: str) -> None:
    """Our own reader of XML has another table of kinds than the writer: it puts values, twins and lists together."""
    for path in GOLDENS[resource_type]:
        for resource in resources(path):
            written = to_xml(orjson.dumps(resource))
            assert resource_of_xml(written) == resource, path.name
            assert resource_of_xml(to_xml(orjson.dumps(resource), indented=True)) == resource, path.name


@pytest.mark.parametrize("resource_type", sorted(GOLDENS))
def test_fhir_resources_reads_the_same_from_xml_as_from_json(resource_type: str) -> None:
    model = get_fhir_model_class(resource_type)
    for path in GOLDENS[resource_type][:3]:
        resource = resources(path)[0]
        from_xml = model.model_validate_xml(to_xml(orjson.dumps(resource)))
        from_json = model.model_validate_json(orjson.dumps(resource))
        assert orjson.loads(from_xml.model_dump_json()) == orjson.loads(from_json.model_dump_json()), path.name


@pytest.mark.parametrize("resource_type", sorted(GOLDENS))
def test_elements_stand_in_the_order_of_r4(resource_type: str) -> None:
    order = definitions().children(resource_type)
    for path in GOLDENS[resource_type]:
        mixed = dict(reversed(resources(path)[0].items()))
        names = [each.tag.removeprefix(F) for each in etree.fromstring(to_xml(orjson.dumps(mixed)))]
        assert names == sorted(names, key=order.index), path.name


HARD = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"versionId": "1"},
    "text": {"status": "generated", "div": f'<div xmlns="{XHTML}"><p>a &amp; b&#160;<br/></p></div>'},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "A<B>\"&'"}],
    "extension": [
        {"url": "http://e", "extension": [{"url": "a", "valueDecimal": 1.5}, {"url": "b", "valueBoolean": True}]},
        {"id": "x1", "url": "http://f?a=1&b=2", "valueCodeableConcept": {"coding": [{"code": "k"}]}},
    ],
    "modifierExtension": [{"url": "http://m", "valueInteger": 7}],
    "active": False,
    "name": [
        {
            "id": "n1",
            "given": ["A", None, "C"],
            "_given": [None, {"extension": [{"url": "http://x", "valueString": " a\n\tb\r "}]}, {"id": "g3"}],
        }
    ],
    "_birthDate": {"id": "b1", "extension": [{"url": "http://x/y", "valueCode": "unknown"}]},
    "multipleBirthInteger": 2,
    "generalPractitioner": [{"reference": "#o", "display": "ÆØÅ 😀"}],
}
HARD_XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Patient xmlns="http://hl7.org/fhir"><id value="p"/>'
    '<meta><versionId value="1"/></meta>'
    f'<text><status value="generated"/><div xmlns="{XHTML}"><p>a &amp; b&#160;<br/></p></div></text>'
    '<contained><Organization><id value="o"/><name value="A&lt;B&gt;&quot;&amp;\'"/></Organization></contained>'
    '<extension url="http://e"><extension url="a"><valueDecimal value="1.5"/></extension>'
    '<extension url="b"><valueBoolean value="true"/></extension></extension>'
    '<extension id="x1" url="http://f?a=1&amp;b=2"><valueCodeableConcept><coding><code value="k"/></coding>'
    "</valueCodeableConcept></extension>"
    '<modifierExtension url="http://m"><valueInteger value="7"/></modifierExtension><active value="false"/>'
    '<name id="n1"><given value="A"/><given><extension url="http://x"><valueString value=" a&#10;&#9;b&#13; "/>'
    '</extension></given><given value="C" id="g3"/></name>'
    '<birthDate id="b1"><extension url="http://x/y"><valueCode value="unknown"/></extension></birthDate>'
    '<multipleBirthInteger value="2"/>'
    '<generalPractitioner><reference value="#o"/><display value="ÆØÅ 😀"/></generalPractitioner></Patient>'
)


def test_ids_extensions_twins_and_marks() -> None:
    assert to_xml(orjson.dumps(HARD)).decode() == HARD_XML


def test_ids_extensions_twins_and_marks_come_back() -> None:
    back = resource_of_xml(to_xml(orjson.dumps(HARD)))
    back["text"]["div"] = back["text"]["div"].replace("\u00a0", "&#160;")
    assert back == HARD


def test_the_order_of_keys_in_json_is_of_no_account() -> None:
    assert to_xml(orjson.dumps(dict(reversed(HARD.items())))).decode() == HARD_XML


def test_a_bundle_holds_resources_under_their_names() -> None:
    bundle = {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": 1,
        "link": [{"relation": "self", "url": "http://x/Patient?a=1&b=2"}],
        "entry": [{"fullUrl": "http://x/Patient/p", "resource": HARD, "search": {"mode": "match"}}],
    }
    tree = etree.fromstring(to_xml(orjson.dumps(bundle)))
    assert [each.tag.removeprefix(F) for each in tree] == ["type", "total", "link", "entry"]
    patient = tree.find(f"{F}entry/{F}resource/{F}Patient")
    assert patient is not None
    inner = HARD_XML.partition(' xmlns="http://hl7.org/fhir">')[2]
    assert f"<resource><Patient>{inner}</resource>".encode() in to_xml(orjson.dumps(bundle))


def test_content_that_refers_to_itself() -> None:
    inner = {"linkId": "1.1", "text": "inner", "type": "string"}
    form = {
        "resourceType": "Questionnaire",
        "status": "draft",
        "item": [{"linkId": "1", "type": "group", "item": [inner, {**inner, "linkId": "1.2", "item": [inner]}]}],
    }
    assert resource_of_xml(to_xml(orjson.dumps(form))) == form


@pytest.mark.parametrize("digits", ["1.50", "0.00", "-3.1400", "1E3", "1.5e-7", "12345678901234567890", "100"])
def test_a_decimal_keeps_its_digits(digits: str) -> None:
    body = f'{{"resourceType":"Observation","valueQuantity":{{"value":{digits}}}}}'.encode()
    assert f'<value value="{digits}"/>'.encode() in to_xml(body)
    assert dumps(loads(body)) == body


def test_numbers_in_texts_are_texts() -> None:
    body = b'{"a":"x:1.50, 2e5","b":[1,-2],"c":[1.0],"d":true,"e":null,"f":123456789012345}'
    assert dumps(loads(body)) == body
    assert json.loads(dumps(loads(body)), parse_float=Decimal)["c"] == [Decimal("1.0")]


def test_what_xml_cannot_hold_is_marked() -> None:
    written = to_xml(orjson.dumps({"resourceType": "Patient", "name": [{"text": "a\x00b\x1fc\ufffe"}]}))
    assert etree.fromstring(written).find(f".//{F}text").get("value") == "a\ufffdb\ufffdc\ufffd"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'<div xmlns="{XHTML}">a</div>', f'<div xmlns="{XHTML}">a</div>'),
        ("<div>a</div>", f'<div xmlns="{XHTML}">a</div>'),
        ("<div>a&nbsp;&oslash;&amp;&lt;</div>", f'<div xmlns="{XHTML}">a\u00a0ø&amp;&lt;</div>'),
        ("<div/>", f'<div xmlns="{XHTML}"/>'),
        ("a < b", f'<div xmlns="{XHTML}">a &lt; b</div>'),
        ("<div><p>a</div>", f'<div xmlns="{XHTML}">&lt;div&gt;&lt;p&gt;a&lt;/div&gt;</div>'),
        ("<div>a</div><script/>", f'<div xmlns="{XHTML}">&lt;div&gt;a&lt;/div&gt;&lt;script/&gt;</div>'),
        ("<x:div>a</x:div>", f'<div xmlns="{XHTML}">&lt;x:div&gt;a&lt;/x:div&gt;</div>'),
    ],
)
def test_a_narrative_is_xhtml_or_text(text: str, expected: str) -> None:
    made = markup(text)
    assert re.sub(r"&lt;div xmlns=[^>]*?&gt;", "&lt;div&gt;", made) == expected
    assert etree.fromstring(made.encode()).tag == f"{{{XHTML}}}div"


def test_an_element_that_r4_lacks_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        to_xml(b'{"resourceType":"Patient","nmae":[]}')
    assert (refused.value.issues[0].code, refused.value.issues[0].at) == ("element-not-in-xml", "Patient.nmae")


def test_indented_json_keeps_digits() -> None:
    assert pretty(b'{"a":1.50}') == b'{\n  "a": 1.50\n}\n'
