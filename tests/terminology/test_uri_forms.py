"""A resource that writes systems in any of their forms gives the same record, and goes out in the one form."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fhir_facade.contracts import Record
from fhir_facade.mapping.compare import bare
from fhir_facade.mapping.ir import System
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.mapping.search_tokens import accepts
from fhir_facade.mapping.search_values import Token
from fhir_facade.mapping.vocabulary import Forms, Spellings
from fhir_facade.terminology.lists import code_lists
from fhir_facade.terminology.uris import canonical, variants

VOLVEN = "urn:oid:2.16.578.1.12.4.1.1."
ADDRESS = "http://helsedir.no/fhir/CodeSystem/no-kodeverk-"
MAPPINGS = ("opphold-encounter", "tilstand-condition", "prosedyre-procedure", "henvisning-servicerequest")
SICK: Record = {
    "institusjonID": "123456785", "pasientNr": "42", "episodeID": "7", "tilstNr": 1, "kodeNr": 1,
    "innDatoTid": "2025-01-02T08:30:00", "kodeVersjon": "2025",
}  # fmt: skip
LETTERS = {"D": ("7110", "F050"), "H": ("7170", "P76"), "F": ("7180", "N02BE01"), "S": ("7020", "WPBA05")}
FORMS = [
    (letter, code, form)
    for letter, (number, code) in LETTERS.items()
    for form in (*variants(VOLVEN + number), f"{ADDRESS}{number}-a-name")
]
ENDLESS = [f"{ADDRESS}8406-omsorgsniva", "http://ehelse.no/fhir/CodeSystem/no-kodeverk-8406-x.2"]


def rewritten(value: Any, place: int) -> Any:
    """A copy in which every system is written in another of its forms."""
    if isinstance(value, list):
        return [rewritten(each, place) for each in value]
    if not isinstance(value, dict):
        return value
    out = {name: rewritten(each, place) for name, each in value.items()}
    system = out.get("system")
    if isinstance(system, str):
        forms = [*variants(system), *([f"{ADDRESS}{system.removeprefix(VOLVEN)}-x"] if VOLVEN in system else [])]
        out["system"] = forms[place % len(forms)]
    return out


def systems_in(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(systems_in, value))
    if not isinstance(value, dict):
        return set()
    own = {value["system"]} if isinstance(value.get("system"), str) else set()
    return own.union(*map(systems_in, value.values()))


@pytest.mark.parametrize("place", range(10))
@pytest.mark.parametrize("name", MAPPINGS)
def test_every_form_of_every_system_gives_the_same_record(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]], name: str, place: int
) -> None:
    mapping = mapping_set.mappings[name]
    other = 0
    for record in synthetic[mapping.kind.name][:20]:
        plain = copy.deepcopy(bare(mapping.to_fhir(record, [])))
        sent = rewritten(plain, place)
        other += sent != plain
        one, two = (mapping.to_record(copy.deepcopy(each), record) for each in (plain, sent))
        assert two.record is not None, two.issues
        assert (two.record, two.remainder, two.issues) == (one.record, one.remainder, one.issues)
        out = mapping.served(mapping.kinds.complete(mapping.kind, two.record), [])
        assert systems_in(out) == systems_in(plain)
    assert other or not place


@pytest.mark.parametrize(("letter", "code", "form"), FORMS)
def test_a_new_record_gets_the_letter_of_the_list(mapping_set: MappingSet, letter: str, code: str, form: str) -> None:
    mapping = mapping_set.mappings["tilstand-condition"]
    record = mapping.kinds.complete(mapping.kind, {**SICK, "Kodeverk": letter, "kodeVerdi": code})
    sent = copy.deepcopy(bare(mapping.to_fhir(record, [])))
    coding = sent["code"]["coding"][0]
    assert coding["system"] == VOLVEN + LETTERS[letter][0]
    coding["system"] = form
    written = mapping.to_record(sent)
    assert written.record is not None, written.issues
    assert (written.record["Kodeverk"], written.record["kodeVerdi"]) == (letter, code)
    assert form == canonical(form) or form not in systems_in(mapping.to_fhir(written.record, []))


@pytest.mark.parametrize("letter", ["F", "H"])
@pytest.mark.parametrize("uri", ["http://hl7.org/fhir/sid/icd-10", "http://helsedir.no/fhir/CodeSystem/other"])
def test_another_system_is_not_taken_for_one_of_ours(mapping_set: MappingSet, letter: str, uri: str) -> None:
    mapping = mapping_set.mappings["tilstand-condition"]
    record = mapping.kinds.complete(mapping.kind, {**SICK, "Kodeverk": letter, "kodeVerdi": LETTERS[letter][1]})
    sent = copy.deepcopy(bare(mapping.to_fhir(record, [])))
    sent["code"]["coding"][0]["system"] = uri
    assert mapping.to_record(sent).record is None


def test_what_is_kept_beside_a_record_goes_out_in_the_one_form(mapping_set: MappingSet) -> None:
    mapping = mapping_set.mappings["tilstand-condition"]
    record = mapping.kinds.complete(mapping.kind, {**SICK, "Kodeverk": "D", "kodeVerdi": "F050"})
    sent = copy.deepcopy(bare(mapping.to_fhir(record, [])))
    sent["bodySite"] = [{"coding": [{"system": "http://snomed.info/sct/51000202101", "code": "69536005"}]}]
    kept = mapping.to_record(sent).remainder
    assert kept is not None
    assert "http://snomed.info/sct/5" not in str(kept)


def test_every_list_is_read_and_searched_by_all_its_forms(mapping_set: MappingSet) -> None:
    spelled = mapping_set.vocabulary.canonical
    for number in code_lists():
        system = mapping_set.vocabulary.system(f"vol-{number}")
        assert system is not None
        for form in (*variants(system.uri), f"{ADDRESS}{number}-a-name"):
            assert spelled.get(form, form) == system.uri
            assert accepts(system, Token(form, None)), form
        assert not accepts(system, Token(f"{VOLVEN}99999", None))


def test_systems_of_a_site_go_before_the_usual_form() -> None:
    """A set that declares another form writes that one; the URI of a list stays, for rows write it without declaring it."""
    own = System("icd", "http://hl7.org/fhir/sid/icd-10-no", Forms(("http://hl7.org/fhir/sid/icd-10-no",)))
    named = System("kommune", "http://hl7.no/fhir/NamingSystem/kommunenummer", Forms((f"{VOLVEN}3402",)))
    old = System("local", "http://site.no/new", Forms(("http://site.no/new", "http://site.no/old")))
    also = System("also", f"{ADDRESS}7110", Forms((f"{ADDRESS}7110",)))
    spelled = Spellings([own, also, named, old, System("again", "http://site.no/else", Forms(("http://site.no/old",)))])
    assert spelled.get(f"{ADDRESS}7110-icd-10") == own.uri
    assert own.uri not in spelled
    assert also.uri not in spelled
    assert f"{VOLVEN}7110" not in spelled
    assert spelled[f"{VOLVEN}3402"] == spelled["2.16.578.1.12.4.1.1.3402"] == named.uri
    assert spelled["http://site.no/old"] == old.uri
    assert set(spelled) == {f"{VOLVEN}3402", "http://site.no/old"}
    assert len(spelled) == 2
    with pytest.raises(KeyError):
        spelled["http://site.no/new"]


@pytest.mark.parametrize("uri", ENDLESS)
def test_forms_without_end_are_among_the_forms(uri: str) -> None:
    assert uri in Forms(variants(f"{VOLVEN}8406"))
    assert uri not in Forms(variants(f"{VOLVEN}8405"))
    assert None not in Forms(variants(f"{VOLVEN}8406"))
