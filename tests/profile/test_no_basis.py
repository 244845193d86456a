"""The no-basis profiles that we restate say what the official ones say, but for what is wrong in those.

norwegian-fhir.md 2.6 lists the faults of the official package and how a validator lives with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from fhir_facade.definitions import definitions
from fhir_facade.packages.elements import FHIR_TYPE, extension_value
from fhir_facade.packages.own import RESTATES, own_definitions
from fhir_facade.packages.own_snapshots import snapshot
from fhir_facade.packages.registry import load_packages
from fhir_facade.profile.validator import Validator
from fhir_facade.resources import data_root
from fhir_facade.terminology.catalogue import Catalogue

SHIPPED = data_root("profiles") / "structure-definitions"
OFFICIAL = Path(__file__).resolve().parents[3] / "shared" / "reference" / "no-basis" / "hl7.fhir.no.basis-2.2.2"
NO_BASIS = "http://hl7.no/fhir/StructureDefinition/no-basis-"
PACKAGE = "hl7.fhir.no.basis#2.2.2"
CLAIMED = (
    "Patient", "Practitioner", "PractitionerRole", "Organization", "RelatedPerson", "Procedure", "Appointment",
    "HumanName", "Address", "middlename", "address-official", "urban-district", "municipalitycode",
    "propertyinformation", "person-citizenship", "relatedperson-person-reference", "virtual-service", "group",
    "partof",
)  # fmt: skip
needs_official = pytest.mark.skipif(
    not OFFICIAL.is_dir(), reason="the published package stands in ../shared and not in this repository"
)


@cache
def ours() -> dict[str, dict[str, Any]]:
    """Our definitions by URL, those that restate no-basis."""
    found, faults = own_definitions(SHIPPED)
    assert not faults
    return {each["url"]: each for each in found if extension_value(each, RESTATES) == PACKAGE}


@cache
def theirs() -> dict[str, dict[str, Any]]:
    """The official definitions by URL, without their snapshots."""
    found = [orjson.loads(path.read_bytes()) for path in sorted(OFFICIAL.glob("*.json"))]
    listed = [each for each in found if each.get("resourceType") == "StructureDefinition"]
    return {each["url"]: {key: each[key] for key in each if key != "snapshot"} for each in listed}


def rows(url: str, known: Mapping[str, Mapping[str, Any]], ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The elements of the whole profile by id; those of `ids` are there also when it says nothing of them."""

    def find(canonical: str) -> Mapping[str, Any] | None:
        return known.get(canonical) or definitions().structure(canonical)

    said = known[url]["differential"]["element"]
    more = [{"id": id} for id in sorted(ids)]
    return {row["id"]: row for row in snapshot({**known[url], "differential": {"element": [*said, *more]}}, find)}


def test_all_that_we_claim_is_there() -> None:
    """Under the official canonical, with the official version, and marked."""
    assert set(ours()) == {NO_BASIS + name for name in CLAIMED}
    for content in ours().values():
        assert "replaced by the official package" in content["purpose"]
        assert content["publisher"] == "fhir_facade"


@needs_official
@pytest.mark.parametrize("name", CLAIMED)
def test_head_and_contexts_are_theirs(name: str) -> None:
    """Version, type, base, and where an extension may stand."""
    one, other = ours()[NO_BASIS + name], theirs()[NO_BASIS + name]
    for key in ("version", "type", "baseDefinition", "kind", "derivation", "abstract"):
        # theirs of middlename says primitive-type, which Extension is not
        assert one[key] == other[key] or (name, key) == ("middlename", "kind"), key
    assert one.get("context") == other.get("context")


LIST = "urn:oid:2.16.578.1.12.4.1.1."
SYSTEM = [{"type": "value", "path": "system"}]
MORE_TARGETS = "their own profile of a type whose profile we do not restate; R4's type is allowed as well"
DIFFERENT: dict[tuple[str, str, str], str] = {
    ("municipalitycode", "Extension.value[x]", "binding"): "2.6 no. 2: the list in the place of a register's address",
    ("virtual-service", "Extension.extension:channelType.value[x]", "binding"): "2.6 no. 7: no such value set",
    ("Appointment", "Appointment.appointmentType.coding", "slicing"): "2.6 no. 4: the system tells the slices apart",
    ("Appointment", "Appointment.appointmentType.coding:omsorgsNiva.system", "fixed"): "2.6 no. 4",
    ("Appointment", "Appointment.appointmentType.coding:kontaktType.system", "fixed"): "2.6 no. 4",
    ("Appointment", "Appointment.appointmentType.coding:innbygger.system", "fixed"): "2.6 no. 4",
    ("Patient", "Patient.extension:citizenship.extension:code", "binding"): "an example on an extension, not its value",
    ("propertyinformation", "Extension.extension:municipality", "binding"): "stands on the value too, where it belongs",
    ("relatedperson-person-reference", "Extension.value[x]", "type"): MORE_TARGETS,
    ("PractitionerRole", "PractitionerRole.location", "type"): MORE_TARGETS,
    ("PractitionerRole", "PractitionerRole.healthcareService", "type"): MORE_TARGETS,
    ("PractitionerRole", "PractitionerRole.endpoint", "type"): MORE_TARGETS,
}
"""Where ours say something else than the official ones, and why."""


def facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """What an element says to a validator, in a form that does not depend on who wrote it."""
    types = [
        (_code(each), sorted(each.get("profile", ())), sorted(each.get("targetProfile", ())))
        for each in row.get("type", ())
    ]
    binding, slicing = row.get("binding"), row.get("slicing")
    return {
        "min": row["min"],
        "max": row["max"],
        "type": types,
        "fixed": [row[key] for key in row if key.startswith("fixed")],
        "pattern": [row[key] for key in row if key.startswith("pattern")],
        "binding": binding and (binding["strength"], binding["valueSet"]),
        "slicing": slicing and (slicing["discriminator"], slicing["rules"]),
        "constraint": sorted(each["key"] for each in row.get("constraint", ())),
    }


def _code(kind: Mapping[str, Any]) -> str:
    return str(extension_value(kind, FHIR_TYPE) or kind["code"])


@needs_official
def test_every_element_says_what_theirs_says() -> None:
    """Laid over R4, both have the same elements with the same demands; what differs is known, and why."""
    unlike = set()
    for name in CLAIMED:
        known = (ours(), theirs())
        ids = {row["id"] for each in known for row in each[NO_BASIS + name]["differential"]["element"]}
        one, other = (rows(NO_BASIS + name, each, ids) for each in known)
        for id in ids:
            said, wanted = facts(one[id]), facts(other[id])
            unlike |= {(name, id, key) for key in said if said[key] != wanted[key]}
    assert unlike == set(DIFFERENT)


def test_every_binding_is_of_codes_that_are_at_hand() -> None:
    """The three value sets of no-basis itself, the lists, and R4's."""
    catalogue = Catalogue()
    for content in ours().values():
        for row in content["differential"]["element"]:
            url = row.get("binding", {}).get("valueSet")
            assert url is None or url.startswith("http://hl7.org/") or catalogue.value_set(url) is not None, url
    for name, count in (("marital-status", 10), ("family-relation", 7), ("parental-responsibility", 6)):
        system = catalogue.code_system(f"http://hl7.no/fhir/CodeSystem/no-basis-{name}")
        assert system is not None
        assert (system.edition.complete, system.edition.count) == (True, count)


@needs_official
@pytest.mark.parametrize("name", ["marital-status", "family-relation", "parental-responsibility"])
def test_the_code_systems_are_theirs(name: str) -> None:
    """Codes and displays are those that were published."""
    published = orjson.loads((OFFICIAL / f"no-basis-{name}.codesystem.json").read_bytes())
    system = Catalogue().code_system(published["url"])
    assert system is not None
    assert system.edition.version == published["version"]
    own = {each.code: each.display for each in system.page(0, 100)}
    assert own == {each["code"]: each["display"] for each in published["concept"]}


# ---- verdicts


def load() -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = yaml.safe_load(
        (Path(__file__).parent / "no_basis_resources.yaml").read_text("utf-8")
    )
    return listed


def mutants(value: Any, where: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every way that a value is broken in one place: what was done, and the value then."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in ("resourceType", "meta"):
                continue
            rest = {other: each for other, each in value.items() if other != key}
            yield f"{_name(where, key)} left out", rest
            if key.startswith("value") and key != "value":
                yield f"{_name(where, key)} of another type", rest | {"valueTime": "12:00:00"}
            for told, other in mutants(inner, (*where, key)):
                yield told, value | {key: other}
    elif isinstance(value, list):
        yield f"{_name(where)} twice", [*value, value[-1]]
        for place, inner in enumerate(value):
            for told, other in mutants(inner, (*where, place)):
                yield told, [*value[:place], other, *value[place + 1 :]]
    elif isinstance(value, bool):
        yield f"{_name(where)} a text", "true"
    elif isinstance(value, str):
        for other in ("x", f"{NO_BASIS}group", f"{LIST}8406", "http://hl7.org/fhir/sid/icpc-2"):
            yield f"{_name(where)} is {other}", other
    else:
        yield f"{_name(where)} below 0", -1


def _name(where: tuple[Any, ...], *more: Any) -> str:
    return ".".join(map(str, (*where, *more)))


def verdict(judge: Validator, resource: Any) -> tuple[bool, frozenset[tuple[str, str, str]]]:
    """Whether it is valid, and the errors by place, code and constraint."""
    report = judge.validate(resource)
    told = ((each.at, each.code, str(each.rule.key) if each.rule else "") for each in report.issues if each.is_error)
    return report.valid, frozenset(told)


@cache
def validator(*, official: bool = False) -> Validator:
    """One with our profiles, or one with the official package, which replaces them."""
    packages = load_packages([OFFICIAL] if official else [])
    found = packages.find(f"{NO_BASIS}Patient")
    assert found is not None
    assert (found.origin == "fhir_facade") != official
    return Validator(packages, Catalogue(), limit=1000)


@needs_official
@pytest.mark.parametrize("resource", load(), ids=lambda each: str(each["resourceType"]))
def test_verdicts_are_theirs(resource: dict[str, Any]) -> None:
    """A whole resource passes both; broken in any one place, both say the same of it."""
    one, other = validator(), validator(official=True)
    assert verdict(one, resource) == verdict(other, resource) == (True, frozenset())
    failed = 0
    for told, mutant in mutants(resource):
        ours_say, theirs_say = verdict(one, mutant), verdict(other, mutant)
        assert ours_say == theirs_say, told
        failed += not ours_say[0]
    assert failed >= 10


@pytest.mark.parametrize(
    "system",
    [
        "urn:oid:2.16.578.1.12.4.1.1.3402",
        "https://register.geonorge.no/subregister/sosi-kodelister/kartverket/kommunenummer-alle",
        "https://register.geonorge.no/sosi-kodelister/kommunenummer",
    ],
)
@pytest.mark.parametrize("code, valid", [("0301", True), ("Oslo", False)])
def test_a_municipality_may_name_list_or_register(system: str, code: str, valid: bool) -> None:
    """2.6 no. 2: three systems are accepted, the code itself is checked."""
    coding = {"url": f"{NO_BASIS}municipalitycode", "valueCoding": {"system": system, "code": code}}
    address = {"district": "Oslo", "_district": {"extension": [coding]}}
    patient = {"resourceType": "Patient", "address": [address]}
    assert validator().is_valid(patient, [f"{NO_BASIS}Patient"]) is valid


@pytest.mark.parametrize(
    "codings, valid",
    [
        ([("8406", "3"), ("8432", "1")], True),
        ([("8406", "3"), ("8406", "8")], False),
        ([("8406", "no such code")], False),
        ([("9999", "no such code"), ("9999", "another")], True),
    ],
)
def test_an_appointment_type_belongs_to_the_slice_of_its_list(codings: list[tuple[str, str]], valid: bool) -> None:
    """2.6 no. 4: the system tells; another system is of no slice."""
    listed = [{"system": f"{LIST}{number}", "code": code} for number, code in codings]
    appointment = {
        "resourceType": "Appointment",
        "status": "proposed",
        "appointmentType": {"coding": listed},
        "participant": [{"status": "accepted", "actor": {"reference": "Patient/1"}}],
    }
    assert validator().is_valid(appointment, [f"{NO_BASIS}Appointment"]) is valid
