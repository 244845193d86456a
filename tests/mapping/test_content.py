"""What the shipped mappings say: decisions about meaning, each with a record and the element that comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from fhir_facade.contracts import Record
from fhir_facade.mapping.ir import Coded, Each, Rule
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.outcome import Issue
from fhir_facade.terminology.lists import code_lists

SCOPE = {"institusjonID": "800000019", "pasientNr": "P1"}
REFERRAL = {
    **SCOPE, "henvisningsperiodeID": "HP1", "henvID": "H1", "mottaksDato": "2025-01-10", "frittBehandlingsvalg": "2",
    "komNrHjem": "0301",
}  # fmt: skip
PLAN = {
    **SCOPE, "henvisningsperiodeID": "HP1", "henvID": "H1", "planlagtID": "PL1", "omsorgsniva": "3",
    "typeTidPlanlagtEpi": "3", "planlagtDatoTid": "2025-03-03T10:00:00",
}  # fmt: skip
STAY = {
    **SCOPE, "episodeID": "E1", "henvisningsperiodeID": "HP1", "innDatoTid": "2025-03-03T10:00:00", "debitor": "1",
    "komNrHjem": "0301", "innmateHast": "4", "omsorgsniva": "3", "oppholdsdel": "Kontakt",
}  # fmt: skip
MEASURED = {**SCOPE, "episodeID": "E1", "nr": 1, "typeMaling": "CGAS", "malingDatoTid": "2025-03-03T10:30:00"}
END = {"planlagtSluttDatoTid": "2025-03-03T10:45:00"}
LIST = "urn:oid:2.16.578.1.12.4.1.1."


@pytest.fixture
def there_and_back(mapping_set: MappingSet) -> Any:
    """Render a record, check that the resource is R4B and gives the record back, and return the resource."""

    def render(name: str, record: Record) -> dict[str, Any]:
        mapping, issues = mapping_set.mappings[name], list[Issue]()
        stored = {**record, mapping.kind.version: 1, mapping.kind.changed: "2026-01-01T00:00:00.000Z"}
        resource = mapping.to_fhir(mapping_set.kinds.complete(mapping.kind, stored), issues)
        get_fhir_model_class(mapping.resource_type).model_validate(resource)
        assert issues == []
        written = mapping.to_record(resource)
        assert written.record is not None, [str(issue) for issue in written.issues]
        back = {field: value for field, value in written.record.items() if value not in (None, []) and field[0] != "$"}
        assert (back, written.remainder) == (record, None)
        return resource

    return render


def extension(resource: dict[str, Any], name: str) -> Any:
    found = [one for one in resource.get("extension", ()) if one["url"].endswith(f"/{name}")]
    return next(value for key, value in found[0].items() if key.startswith("value")) if found else None


# --- planned contacts: R4 app-2 and app-3


@pytest.mark.parametrize(
    ("more", "status", "timed"),
    [
        ({}, "proposed", False),
        (END, "booked", True),
        ({"episodeID": "E1", "lukketDato": "2025-03-03", "lukkPlanlagtEpisode": "AA10"}, "proposed", False),
        ({**END, "episodeID": "E1", "lukketDato": "2025-03-03", "lukkPlanlagtEpisode": "AA10"}, "booked", True),
        ({"lukketDato": "2025-03-01", "lukkPlanlagtEpisode": "KP01"}, "cancelled", False),
        ({**END, "lukketDato": "2025-03-01", "lukkPlanlagtEpisode": "FS01"}, "cancelled", True),
        ({"lukketDato": "2025-03-01", "lukkPlanlagtEpisode": "AA97"}, "cancelled", False),
        ({"lukketDato": "2025-03-01"}, "cancelled", False),
    ],
)
def test_an_appointment_without_times_is_proposed_or_cancelled(
    there_and_back: Any, more: Record, status: str, timed: bool
) -> None:
    resource = there_and_back("planlagt_kontakt-appointment", {**PLAN, **more})
    assert resource["status"] == status
    assert ("start" in resource, "end" in resource) == (timed, timed)
    assert resource["requestedPeriod"] == [{"start": "2025-03-03T10:00:00+01:00"}]
    assert (extension(resource, "lukkekode") or {}).get("code") == more.get("lukkPlanlagtEpisode")
    assert (extension(resource, "episode") or {}).get("value") == more.get("episodeID")


def test_every_closing_code_but_that_care_began_cancels(mapping_set: MappingSet, there_and_back: Any) -> None:
    field = mapping_set.kinds["planlagt_kontakt"].fields["lukkPlanlagtEpisode"]
    codes = code_lists()[field.code_list].codes
    assert len(codes) == 21
    for code in codes:
        resource = there_and_back("planlagt_kontakt-appointment", {**PLAN, **END, "lukkPlanlagtEpisode": code})
        assert resource["status"] == ("booked" if code == "AA10" else "cancelled")


def test_a_patient_accepted_the_appointment_only_by_coming(there_and_back: Any) -> None:
    told = there_and_back("planlagt_kontakt-appointment", {**PLAN, "varsletDato": "2025-02-01"})
    came = there_and_back("planlagt_kontakt-appointment", {**PLAN, "episodeID": "E1"})
    assert told["participant"][0]["status"] == "needs-action"
    assert came["participant"][0]["status"] == "accepted"


def test_every_synthetic_appointment_keeps_app_2_and_app_3(
    mapping_set: MappingSet, synthetic: dict[str, list[Record]]
) -> None:
    seen = set()
    for record in synthetic["planlagt_kontakt"]:
        resource = mapping_set.mappings["planlagt_kontakt-appointment"].to_fhir(record, [])
        timed = "start" in resource
        assert timed == ("end" in resource)
        assert timed or resource["status"] in ("proposed", "cancelled", "waitlist")
        seen.add((resource["status"], timed))
    assert seen == {("proposed", False), ("cancelled", False), ("booked", True), ("cancelled", True)}


# --- referrals


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, "active"),
        ({"ventetidSluttDato": "2025-02-01", "ventetidSluttKode": "1"}, "active"),
        ({"ventetidSluttDato": "2025-02-01", "ventetidSluttKode": "1", "avsluttetDato": "2025-06-01"}, "completed"),
        *(({"ventetidSluttDato": "2025-02-01", "ventetidSluttKode": code}, "revoked") for code in "234579"),
        ({"rettTilHelsehjelp": "5"}, "revoked"),
        ({"rettTilHelsehjelp": "3"}, "active"),
        ({"avvistKode": "AV1"}, "revoked"),
    ],
)
def test_the_end_of_the_wait_is_not_the_end_of_the_request(there_and_back: Any, more: Record, status: str) -> None:
    assert there_and_back("henvisning-servicerequest", {**REFERRAL, **more})["status"] == status


def test_a_referral_is_authored_when_it_was_sent(there_and_back: Any) -> None:
    received = there_and_back("henvisning-servicerequest", REFERRAL)
    assert extension(received, "no-mottatt-dato") == "2025-01-10"
    assert "authoredOn" not in received
    sent = there_and_back(
        "henvisning-servicerequest", {**REFERRAL, "sendtDato": "2025-01-08", "henviserHpr": "900000001"}
    )
    assert (sent["authoredOn"], extension(sent, "no-mottatt-dato")) == ("2025-01-08", "2025-01-10")
    assert sent["requester"]["identifier"]["value"] == "900000001"


def test_the_reasons_for_referral_of_a_child_are_reason_codes(there_and_back: Any) -> None:
    reasons = [
        {"henvisningsgrunnNr": 1, "barnet": "3", "barnetsMiljo": "1"},
        {"henvisningsgrunnNr": 2, "barnetsMiljo": "2"},
    ]
    resource = there_and_back("henvisning-servicerequest", {**REFERRAL, "henvisningsgrunner": reasons})
    first, second = resource["reasonCode"]
    assert [(one["system"], one["code"]) for one in first["coding"]] == [(f"{LIST}8467", "3")]
    assert "coding" not in second


# --- decisions and measures


def test_a_decision_is_not_called_active_when_nobody_says_so(there_and_back: Any) -> None:
    decision = {
        **SCOPE, "episodeID": "E1", "spesialistvedtakID": "V1", "typeFormalitet": "6", "fattetAv": "1",
        "datoSpesialistVedtak": "2025-03-03T12:00:00",
    }  # fmt: skip
    assert there_and_back("vedtak-servicerequest", decision)["status"] == "unknown"
    ended = there_and_back("vedtak-servicerequest", {**decision, "opphortDatoTid": "2025-03-06T12:00:00"})
    assert (ended["status"], ended["occurrencePeriod"]) == ("completed", {"end": "2025-03-06T12:00:00+01:00"})


def test_a_measure_without_a_start_is_not_said_to_be_under_way(there_and_back: Any) -> None:
    measure = {**SCOPE, "episodeID": "E1", "nr": 1, "typeTvang": "8"}
    begun = {**measure, "tidspunktStart": "2025-03-03T12:00:00"}
    done = {**begun, "tidspunktStopp": "2025-03-03T12:10:00"}
    assert [there_and_back("tvangstiltak-procedure", one)["status"] for one in (measure, begun, done)] == [
        "unknown", "in-progress", "completed",
    ]  # fmt: skip


# --- measurements


@pytest.mark.parametrize("written", ["9178", "2.16.578.1.12.4.1.1.9178"])
def test_the_code_system_of_a_measurement_is_the_one_that_it_names(there_and_back: Any, written: str) -> None:
    record = {**MEASURED, "malingKodeverk": written, "typeMalingKodet": "CGAS"}
    resource = there_and_back("maling-observation", record)
    assert resource["code"]["coding"][0]["system"] == f"{LIST}9178"
    assert extension(resource, "maling-kodeverk") == written


def test_a_measurement_of_an_unknown_code_system_claims_none(mapping_set: MappingSet) -> None:
    mapping, issues = mapping_set.mappings["maling-observation"], list[Issue]()
    record = mapping_set.kinds.complete(
        mapping.kind, {**MEASURED, "malingKodeverk": "1.2.3", "typeMalingKodet": "CGAS"}
    )
    assert mapping.to_fhir(record, issues)["code"]["coding"] == [{"code": "CGAS"}]
    assert [issue.code for issue in issues] == ["code-not-mapped"]


def test_a_result_keeps_its_writing(there_and_back: Any) -> None:
    results = [{"nr": 1, "maleresultatNr": 1, "verdi": "07,50", "enhet": "poeng"}]
    component = there_and_back("maling-observation", {**MEASURED, "resultater": results})["component"][0]
    assert component["valueString"] == "07,50"


# --- stays


def test_the_part_of_a_stay_tells_which_activity_a_coding_is(mapping_set: MappingSet, there_and_back: Any) -> None:
    contact = there_and_back("opphold-encounter", {**STAY, "polkonAktivitet": "2"})
    ward = there_and_back("opphold-encounter", {**STAY, "oppholdsdel": "AvdOpp", "avdoppAktivitet": "2"})
    for resource in (contact, ward):
        assert sum(f"{LIST}8452" == one["coding"][0]["system"] for one in resource["type"]) == 1
    mapping, issues = mapping_set.mappings["opphold-encounter"], list[Issue]()
    mapping.to_fhir(mapping_set.kinds.complete(mapping.kind, {**STAY, "avdoppAktivitet": "2"}), issues)
    assert [(issue.code, issue.facts["field"]) for issue in issues] == [("value-hidden", "avdoppAktivitet")]


def test_a_stay_rests_on_its_referral_where_the_journal_knows_it(there_and_back: Any) -> None:
    assert "basedOn" not in there_and_back("opphold-encounter", STAY)
    linked = there_and_back("opphold-encounter", {**STAY, "henvID": "H1"})
    assert linked["basedOn"] == [{"reference": "ServiceRequest/800000019.P1.HP1.H1"}]


def test_a_period_does_not_begin_with_the_wait_elsewhere(there_and_back: Any) -> None:
    record = {**SCOPE, "henvisningsperiodeID": "HP1", "ansienDato": "2024-11-01", "sluttDato": "2025-06-01"}
    resource = there_and_back("henvisningsperiode-episodeofcare", record)
    assert resource["period"] == {"end": "2025-06-01"}
    assert extension(resource, "ansiennitetsdato") == "2024-11-01"


# --- people


@pytest.mark.parametrize(
    ("own", "use"), [("bosted", "home"), ("midlertidig", "temp"), ("arbeid", "work"), ("tidligere", "old")]
)
def test_the_use_of_an_address_is_a_code_of_ours(there_and_back: Any, own: str, use: str) -> None:
    record = {**SCOPE, "adresser": [{"nr": 1, "bruk": own, "poststed": "Oslo"}]}
    assert there_and_back("pasient-patient", record)["address"] == [{"use": use, "city": "Oslo"}]


def test_the_name_of_a_professional_is_the_official_one(there_and_back: Any) -> None:
    resource = there_and_back("behandler-practitioner", {"hpr": "900000001", "etternavn": "Moe"})
    assert resource["name"] == [{"use": "official", "family": "Moe"}]


def test_next_of_kin_are_told_apart_from_carers_and_have_no_identity_number(there_and_back: Any) -> None:
    person = {"etternavn": "Moe", "telefon": "+4700000001", "fra": "2020-01-01"}
    carer = {
        **SCOPE, **person, "nr": 1, "relasjon": "1", "samtykkekompetanse": "1", "foreldrerett": "1",
        "datoTidRegistrert": "2025-01-10T09:00:00",
    }  # fmt: skip
    kin = {**SCOPE, **person, "nr": 1, "slektskap": "DA", "narmeste": "1", "verge": "2", "fodselsdato": "1990-01-01"}
    first = there_and_back("parorende-relatedperson", carer)
    second = there_and_back("pasientkontakt-relatedperson", kin)
    assert (first["id"], second["id"]) == ("800000019.P1.1", "kontakt-800000019.P1.1")
    assert [one["coding"][0]["code"] for one in second["relationship"]] == ["DA", "N"]
    for resource in (first, second):
        assert "identifier" not in resource
        assert resource["patient"] == {"reference": "Patient/800000019.P1"}
        assert resource["period"] == {"start": "2020-01-01"}


@pytest.mark.parametrize(
    ("more", "status", "provision"),
    [
        ({"gitt": "1"}, "active", {"type": "permit"}),
        ({"gitt": "2"}, "rejected", {"type": "deny"}),
        ({"gitt": "1", "trukketDato": "2025-05-01"}, "inactive", {"type": "permit", "period": {"end": "2025-05-01"}}),
    ],
)
def test_a_consent_says_who_consented_and_whether(
    there_and_back: Any, more: Record, status: str, provision: Record
) -> None:
    resource = there_and_back("samtykke-consent", {**SCOPE, "nr": 1, "parorendeNr": 2, "dato": "2025-03-03", **more})
    assert (resource["status"], resource["provision"]) == (status, provision)
    assert resource["performer"] == [{"reference": "RelatedPerson/800000019.P1.2"}]
    assert resource["policyRule"]["coding"][0]["code"] == "pbrl-4"


def test_the_scheme_of_a_foreign_patient_names_country_and_card(there_and_back: Any) -> None:
    scheme = {
        **SCOPE, "nr": 1, "debitor": "11", "trygdenasjon": "SE", "betaler": "Försäkringskassan", "kortNr": "80752",
        "fra": "2025-01-01", "til": "2025-12-31",
    }  # fmt: skip
    resource = there_and_back("trygd-coverage", scheme)
    assert (resource["status"], resource["type"]["coding"][0]["code"]) == ("active", "11")
    assert resource["payor"] == [{"type": "Organization", "display": "Försäkringskassan"}]
    assert resource["identifier"][0]["value"] == "80752"
    assert extension(resource, "trygdenasjon")["code"] == "SE"
    assert there_and_back("trygd-coverage", {**scheme, "annullert": "1"})["status"] == "cancelled"


# --- individual plans


def test_only_a_plan_that_exists_is_a_care_plan(mapping_set: MappingSet, there_and_back: Any) -> None:
    assert {mapping.resource_type for mapping in mapping_set.for_kind("individuell_plan")} == {"Observation"}
    status = {**SCOPE, "individuellPlan": "103", "individuellPlanDato": "2025-03-03"}
    assert there_and_back("individuell_plan-observation", status)["valueCodeableConcept"]["coding"][0]["code"] == "103"
    steps = [
        {"nr": 1, "beskrivelse": "Samtale", "startDato": "2025-01-01", "ferdigDato": "2025-02-01"},
        {"nr": 2, "beskrivelse": "Trening", "startDato": "2025-01-01"},
        {"nr": 3, "beskrivelse": "Arbeid"},
    ]
    plan = {**SCOPE, "planID": "IP1", "fra": "2025-01-01", "tiltak": steps}
    resource = there_and_back("plan-careplan", plan)
    assert (resource["status"], resource["intent"]) == ("active", "plan")
    assert [one["detail"]["status"] for one in resource["activity"]] == ["completed", "in-progress", "not-started"]
    assert there_and_back("plan-careplan", {**plan, "avsluttetDato": "2025-04-01"})["status"] == "completed"


# --- all of them


def coded(rules: tuple[Rule, ...], at: str = "") -> list[tuple[str, str, Coded]]:
    """(repeating place with its labels, system, row) of every row that writes codes of a system of its own."""
    found = []
    for rule in rules:
        place = at + "".join(f".{step.name}[{step.label or step.url}]" for step in rule.path)
        if isinstance(rule, Each):
            found += coded(rule.rules, f"{place}<{rule.child}>")
        elif isinstance(rule, Coded) and rule.system is not None and rule.path and rule.path[-1].many:
            found.append((place, rule.system.uri, rule))
    return found


def test_no_two_rows_write_the_same_codes_in_one_place_unless_their_guards_tell_them_apart(
    mapping_set: MappingSet,
) -> None:
    shared = 0
    for mapping in mapping_set.mappings.values():
        seen: dict[tuple[str, str], Coded] = {}
        for place, system, rule in coded(mapping.rules.rules):
            other = seen.setdefault((place, system), rule)
            if other is rule or other.field == rule.field:
                continue
            shared += 1
            values = [{test.field: set(test.values) for test in one.when} for one in (other, rule)]
            apart = [name for name in values[0] if name in values[1] and not values[0][name] & values[1][name]]
            assert apart, f"{rule.at} and {other.at}"
    assert shared == 1
