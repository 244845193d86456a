"""What the registry does with a record, and with what stands under it."""

from __future__ import annotations

from typing import Any

from fhir_facade.npr.verdict import Judging, Verdict, lost_with, of_message
from tools.npr_graphs import graph, rules, tells


def verdicts(name: str, change: dict[str, Any]) -> list[Verdict]:
    return Judging(rules(), tells()).judge(graph(name, change))


def of(found: list[Verdict], kind: str) -> Verdict:
    return next(each for each in found if each.kind == kind)


def test_a_dropped_stay_takes_what_is_under_it() -> None:
    found = verdicts("tvang", {"opphold.0.debitor": "999"})
    stay = of(found, "opphold")
    assert stay.outcome == "row-dropped"
    lost = {each.kind for each in lost_with(rules(), stay, found)}
    assert lost == {"tilstand", "prosedyre", "vedtak", "tvangstiltak", "vtk_periode", "vtk_vedtak"}
    assert {each.outcome for each in found if each.kind in lost} == {"row-dropped"}
    assert of(found, "henvisning").outcome == "accepted"
    assert of_message(found) == "row-dropped"


def test_a_dropped_referral_takes_its_plans() -> None:
    found = verdicts("poliklinikk", {"henvisning.0.henvID": "x" * 101, "planlagt_kontakt.0.henvID": "x" * 101})
    assert of(found, "henvisning").outcome == "row-dropped"
    assert of(found, "planlagt_kontakt").outcome == "row-dropped"
    assert of(found, "planlagt_kontakt").with_record == (
        "henvisning",
        ("993467049", "1001", "P1", "x" * 101),
    )
    assert of(found, "opphold").outcome == "accepted"


def test_an_item_that_is_dropped_is_a_loss_of_the_stay() -> None:
    found = verdicts("poliklinikk", {"opphold.0.takster.0.takstnummer": ""})
    stay = of(found, "opphold")
    assert stay.outcome == "accepted-with-loss"
    assert [(each.child, each.place) for each in stay.broken] == [("takster", 0)]


def test_a_rejected_message_takes_everything() -> None:
    found = verdicts("poliklinikk", {"opphold.0.enheter.2": "-"})
    stay = of(found, "opphold")
    assert of_message(found) == "message-rejected"
    assert len(list(lost_with(rules(), stay, found))) == len(found) - 1


def test_only_stays_are_eligible_for_funding() -> None:
    found = verdicts("poliklinikk", {})
    assert of(found, "opphold").isf_eligible is True
    assert of(found, "henvisning").isf_eligible is None
    assert of(verdicts("poliklinikk", {"opphold.0.debitor": "999"}), "opphold").isf_eligible is False


def test_the_registry_acts_on_a_part_of_a_rule() -> None:
    early = verdicts("døgn", {"opphold.0.permisjoner.0.startDatoTid": "2024-02-19T15:00:00"})
    missing = verdicts("døgn", {"opphold.0.permisjoner.0.startDatoTid": "-"})
    assert [of(found, "opphold").outcome for found in (early, missing)] == ["accepted", "accepted-with-loss"]
    assert {each.rule.number for found in (early, missing) for each in of(found, "opphold").broken} == {"NPR-150"}
