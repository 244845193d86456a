"""Indicators count what was counted by hand; a row that is wrong does not load; groups sum to the whole."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from fhir_facade.mapping.findings import MappingError
from fhir_facade.npr.counting import Period, Tally, counted
from fhir_facade.npr.indicators import IndicatorSet
from fhir_facade.npr.shipped import shipped_indicators
from fhir_facade.npr_measuring import measure
from fhir_facade.store.location import Location
from fhir_facade.store.opening import open_store
from fhir_facade.store.records import SqliteStore, Store
from fhir_facade.store.synthetic import load_into
from fhir_facade.terminology.catalogue import Catalogue
from tests.npr_indicators import EXAMPLES, NOW, example, fill, graph, indicators, period
from tests.npr_sample import KINDS

YEAR = Period("2024-01-01", "2024-12-31")
RBF = 9
"""The indicators of 2024; one has two readings here."""


def tally(name: str) -> Tally:
    held = Tally(indicators().by_id[name], listing=True)
    for one in counted(held.indicator, graph(name), period()):
        held.add(one)
    return held


def plain(counts: Any) -> dict[str, int]:
    return {str(name): int(count) for name, count in counts.items() if int(count)}


def test_every_indicator_has_an_example_counted_by_hand() -> None:
    assert len(indicators().by_id) == RBF + 1
    assert [each.id for each in indicators() if each.populations and each.id not in EXAMPLES["examples"]] == []
    assert [name for name in EXAMPLES["examples"] if name not in indicators().by_id] == []


@pytest.mark.parametrize("name", EXAMPLES["examples"])
def test_an_indicator_counts_what_was_counted_by_hand(name: str) -> None:
    told, said = tally(name), example(name)
    assert plain(told.counts) == plain(said["counts"])
    assert plain(told.unknown) == plain(said.get("unknown", {}))
    assert told.score == float(Fraction(said["score"]))
    groups = {(unit or "?").rpartition(".")[2]: plain(each.counts) for unit, each in told.groups["unit"].items()}
    assert {unit: counts for unit, counts in groups.items() if counts} == {
        unit: plain(counts) for unit, counts in said["unit"].items()
    }


@pytest.mark.parametrize("name", ["rbf-video-phone", "rbf-individual-plan-schizophrenia"])
def test_a_store_is_counted_as_the_graph_is(place: Location, name: str) -> None:
    store = open_store(place, KINDS)
    fill(store, name)
    (told,) = measure(store, KINDS, [indicators().by_id[name]], period(), listing=True)
    held = tally(name)
    assert (told.counts, told.unknown, told.score) == (held.counts, held.unknown, held.score)
    assert {name: sorted(keys) for name, keys in told.members.items()} == {
        name: sorted(keys) for name, keys in held.members.items()
    }
    store.close()


def test_a_draft_is_off_until_it_is_switched_on(tmp_path: Path) -> None:
    drafts = {each.id for each in indicators() if each.status == "unknown"}
    assert {each.id for each in shipped_indicators(KINDS) if not each.on} == drafts
    assert {each.id for each in indicators() if not each.on} == {
        "rbf-act-fact", "rbf-digital-forms", "rbf-internet-treatment",
    }  # fmt: skip
    own = tmp_path / "own.yaml"
    own.write_text("switch: {rbf-cooperation-somatic: on, rbf-video-phone: off}\n", "utf-8")
    switched = shipped_indicators(KINDS, own).by_id
    assert (switched["rbf-cooperation-somatic"].on, switched["rbf-video-phone"].on) == (True, False)


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = SqliteStore.open(tmp_path_factory.mktemp("indicators") / "records.db", KINDS)
    load_into(store, KINDS, 120, 1, NOW)
    yield store
    store.close()


def test_the_whole_is_the_sum_of_its_groups_its_patients_and_its_lists(synthetic: Store) -> None:
    chosen = [each for each in indicators() if each.on]
    whole = measure(synthetic, KINDS, chosen, YEAR, listing=True)
    people = [measure(synthetic, KINDS, chosen, YEAR, person=person) for person in synthetic.scan("pasient")]
    for place, told in enumerate(whole):
        assert told.counts
        for name, count in told.counts.items():
            assert len(set(told.members[name])) == len(told.members[name]) == count
            assert sum(each[place].counts[name] for each in people) == count
            for groups in told.groups.values():
                assert sum(group.counts[name] for group in groups.values()) == count


def test_periods_that_part_a_year_sum_to_it_where_stays_are_counted(synthetic: Store) -> None:
    chosen = [each for each in indicators() if each.on and not each.decides]
    parts = [Period("2024-01-01", "2024-04-30"), Period("2024-05-01", "2024-12-31")]
    whole = measure(synthetic, KINDS, chosen, YEAR)
    for place, told in enumerate(whole):
        sums = [measure(synthetic, KINDS, chosen, part)[place].counts for part in parts]
        assert sums[0] + sums[1] == +told.counts


OWN = """\
indicators:
  - id: site-length
    version: 1
    status: verified
    title: {en: Length of stay, nb: Liggetid}
    description: {en: Days from start to end., nb: Dager fra start til slutt.}
    record: opphold
    date: utDatoTid
    scoring: continuous-variable
    aggregate: AGGREGATE
    measured-in: d
    populations:
      initial-population: {when: omsorgsniva = '1', status: verified, en: a, nb: b}
      measure-population: {when: "true", status: verified, en: a, nb: b}
      measure-population-exclusion: {when: utTilstand = '2', status: verified, en: a, nb: b}
      measure-observation: {when: innDatoTid.daysTo(utDatoTid), status: verified, en: a, nb: b}
"""


def own(tmp_path: Path, text: str) -> IndicatorSet:
    (tmp_path / "own.yaml").write_text(text, "utf-8")
    return shipped_indicators(KINDS, tmp_path / "own.yaml", Catalogue())


def stays(*days: int | None, dead: int | None = None) -> Any:
    return [
        {
            "institusjonID": "I", "pasientNr": "1", "episodeID": f"E{place}", "omsorgsniva": "1", "utTilstand": "1",
            "innDatoTid": "2024-01-01T10:00:00", "utDatoTid": f"2024-01-{1 + (length or 0):02}T09:00:00",
        } | ({"utTilstand": "2"} if length == dead else {})
        for place, length in enumerate(days)
    ]  # fmt: skip


@pytest.mark.parametrize(("aggregate", "score"), [("mean", 10 / 3), ("median", 2), ("sum", 10), ("min", 1), ("max", 7)])
def test_a_hospital_adds_an_indicator_of_what_is_observed(tmp_path: Path, aggregate: str, score: float) -> None:
    from fhir_facade.npr.graph import Graph

    held = Tally(own(tmp_path, OWN.replace("AGGREGATE", aggregate)).by_id["site-length"])
    for one in counted(held.indicator, Graph({"opphold": stays(1, 2, 7, 20, dead=20)}), YEAR):
        held.add(one)
    assert plain(held.counts) == {
        "initial-population": 4, "measure-population": 4, "measure-population-exclusion": 1, "measure-observation": 3,
    }  # fmt: skip
    assert held.score == pytest.approx(score)


def test_where_there_is_nothing_to_divide_by_there_is_no_score() -> None:
    assert Tally(indicators().by_id["rbf-video-phone"]).score is None


RIGHT = OWN.replace("AGGREGATE", "mean")


@pytest.mark.parametrize(
    ("before", "after", "line", "told"),
    [
        (
            "omsorgsniva = '1'",
            "omsorgsnivo = '1'",
            13,
            "when: opphold has no 'omsorgsnivo' (did you mean 'omsorgsniva'?)",
        ),
        ("omsorgsniva = '1'", "omsorgsniva", 13, "true or false is expected"),
        ("innDatoTid.daysTo(utDatoTid)", "omsorgsniva", 16, "integer is expected, not code"),
        ("date: utDatoTid", "date: omsorgsniva", 8, "date or dateTime is expected"),
        ("date: utDatoTid\n", "\n", 2, "'date' is missing"),
        ("record: opphold", "record: oppholt", 7, "have no 'oppholt' (did you mean 'opphold'?)"),
        ("record: opphold", "record: opphold\n    counts: enhet\n    decides: last", 8, "refers to no 'enhet'"),
        ("record: opphold", "record: opphold\n    counts: pasient", 2, "'decides' goes with 'counts'"),
        ("status: verified\n", "status: verifyed\n", 4, "'verifyed' is none of"),
        ("status: verified\n", "status: inferred\n", 2, "'open' is missing"),
        ("site-length", "rbf-length", 2, "no id for an indicator here"),
        ("site-length", "Site Length", 2, "no id for an indicator here"),
        ("aggregate: mean", "aggregate: mode", 10, "'mode' is none of"),
        ("aggregate: mean\n", "\n", 2, "'aggregate' goes with"),
        ("measure-observation", "numerator", 12, "'measure-observation' is missing"),
        ("title: {en: Length of stay, nb: Liggetid}", "title: Liggetid", 5, "table of en and nb"),
        ("measured-in: d", "source: [nowhere]", 11, "there is no source 'nowhere'"),
        ("indicators:", "indicatorz:", 1, "the file has no 'indicatorz'"),
        ("    version: 1\n", "    version: 1\n    goal: much\n", 4, "no percentage"),
        ("    version: 1\n", "    version: 1\n    from: yesterday\n", 4, "no date"),
        ("indicators:\n", "switch: {rbf-act-fact: on}\nindicators:\n", 1, "has no populations"),
        ("indicators:\n", "switch: {rbf-act: on}\nindicators:\n", 1, "there is no indicator rbf-act"),
        ("status: verified, en: a, nb: b}\n", "status: verified, en: a}\n", 13, "'nb' is missing"),
    ],
)
def test_a_row_that_is_wrong_does_not_load(tmp_path: Path, before: str, after: str, line: int, told: str) -> None:
    assert before in RIGHT
    with pytest.raises(MappingError) as caught:
        own(tmp_path, RIGHT.replace(before, after, 1))
    assert [each for each in caught.value.findings if each.line == line and told in each.message], caught.value


def test_a_file_that_is_no_yaml_is_told(tmp_path: Path) -> None:
    with pytest.raises(MappingError, match=r"own\.yaml"):
        own(tmp_path, "indicators: [")
