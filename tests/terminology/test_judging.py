"""Judgements of codes: examples of every rule, and laws that hold for any list. A longer table: test_cases.py."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_facade.terminology.catalogue import Catalogue
from fhir_facade.terminology.code_table import CodeTable, code_table
from fhir_facade.terminology.concepts import Concept, Designation, Edition, Status, covers
from fhir_facade.terminology.judging import OUT_OF_USE, REASONS, Verdict, judge, told
from fhir_facade.terminology.value_sets import Include, ValueSet

LIST = "urn:oid:2.16.578.1.12.4.1.1."
OURS = "http://fhir-facade.no/fhir/ValueSet/"
SHIPPED = Catalogue()
ALL = [(each, concept) for each in SHIPPED.code_systems() for concept in each.page(0, 10_000)]
DAYS = st.dates(date(1990, 1, 1), date(2035, 12, 31))
URL = "http://example.org/cs"


def made(*concepts: Concept, version: str = "1", **known: object) -> CodeTable:
    facts = {"complete": True, "count": len(concepts)} | known
    return code_table(Edition(URL, version, "X", "X", **facts), concepts)  # type: ignore[arg-type]


def judged(table: CodeTable, code: str, on: date | None = None, **asked: str) -> tuple[bool | None, list[str]]:
    verdict = judge(Catalogue([table]), URL, code, on=on, **asked)  # type: ignore[arg-type]
    return verdict.valid, [issue.code for issue in verdict.issues]


def reason(verdict: Verdict) -> str:
    said = verdict.issues[0].facts["reason"]
    return next(name for name, (english, _) in REASONS.items() if english == said)


def test_a_code_of_a_list_is_valid() -> None:
    verdict = judge(SHIPPED, f"{LIST}8406", "1", on=date(2024, 6, 30))
    assert (verdict.valid, verdict.issues) == (True, ())
    assert verdict.concept is not None and verdict.concept.display == "Døgnopphold"
    assert verdict.code_system is not None and verdict.code_system.edition.title == "Omsorgsnivå"


def test_an_unknown_code_is_wrong_only_where_the_list_is_whole_verified_and_new_enough() -> None:
    assert judged(made(), "x", date(2025, 1, 1)) == (False, ["code-unknown"])
    for table, why in (
        (made(complete=False), "incomplete"),
        (made(confidence="partial"), "partial"),
        (made(as_of="2024-12"), "older"),
        (made(valid_from="2025-02"), "edition"),
        (made(valid_to="2024"), "edition"),
    ):
        verdict = judge(Catalogue([table]), URL, "x", on=date(2025, 1, 1))
        assert verdict.valid is None and [issue.code for issue in verdict.issues] == ["cannot-be-known"]
        assert reason(verdict) == why
    assert judged(made(as_of="2025"), "x", date(2025, 12, 31)) == (False, ["code-unknown"])
    assert judged(made(as_of="2024-12"), "x") == (False, ["code-unknown"]), "without a day the list is as it stands"


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (date(2019, 12, 31), (False, ["code-not-yet-valid"])),
        (date(2020, 1, 1), (True, [])),
        (date(2021, 6, 30), (True, [])),
        (date(2021, 7, 1), (False, ["code-no-longer-valid"])),
        (None, (True, [])),
    ],
)
def test_the_period_of_a_code_decides(on: date | None, expected: tuple[bool | None, list[str]]) -> None:
    assert judged(made(Concept("1", "x", valid_from="2020", valid_to="2021-06")), "1", on) == expected


@pytest.mark.parametrize("status", OUT_OF_USE)
def test_a_code_out_of_use_is_right_only_in_a_past_that_is_known(status: Status) -> None:
    dated, undated = Concept("1", "x", status, valid_to="2010"), Concept("1", "x", status)
    assert judged(made(dated), "1", date(2010, 12, 31)) == (True, [])
    assert judged(made(dated), "1", date(2011, 1, 1)) == (False, ["code-no-longer-valid"])
    assert judged(made(dated), "1") == (False, ["code-retired"])
    assert judged(made(undated), "1") == (False, ["code-retired"])
    assert judged(made(undated, as_of="2024-12"), "1", date(2024, 12, 1)) == (False, ["code-retired"])
    assert judged(made(undated, as_of="2024-12"), "1", date(2024, 11, 30)) == (None, ["cannot-be-known"])
    assert judged(made(undated), "1", date(2024, 11, 30)) == (None, ["cannot-be-known"])


@pytest.mark.parametrize(
    ("display", "issues"),
    [
        ("Døgnopphold", []),
        ("  døgnopphold ", []),
        ("DØGNOPPHOLD", []),
        ("Inpatient", []),
        ("Dognopphold", ["display-mismatch"]),
        ("Poliklinikk", ["display-mismatch"]),
    ],
)
def test_a_display_is_told_of_and_changes_no_verdict(display: str, issues: list[str]) -> None:
    known = made(Concept("1", "Døgnopphold", designations=(Designation("en", "Inpatient"),)))
    assert judged(known, "1", display=display) == (True, issues)


def test_a_display_that_is_not_known_is_not_judged() -> None:
    assert judge(SHIPPED, "http://unitsofmeasure.org", "d", display="day").issues == ()


def test_codes_that_share_a_display_are_told_apart() -> None:
    for code in ("70", "74"):
        assert judge(SHIPPED, f"{LIST}8440", code, display=SHIPPED.code_system(f"{LIST}8440").find(code).display).valid  # type: ignore[union-attr]


def test_a_wrong_display_of_a_wrong_code_says_both() -> None:
    assert judged(made(Concept("1", "x", valid_to="2010")), "1", date(2020, 1, 1), display="y") == (
        False, ["code-no-longer-valid", "display-mismatch"],
    )  # fmt: skip


def test_icd_10_is_one_system_with_and_without_full_stop() -> None:
    for code in ("F05.0", "F050"):
        found = judge(SHIPPED, "http://hl7.org/fhir/sid/icd-10-no", code, on=date(2026, 1, 1))
        assert found.valid is True and found.concept is not None and found.concept.code == "F05.0"
    assert judge(SHIPPED, f"{LIST}7110", "f050").valid is None, "small letters are another code"


def test_what_is_not_loaded_cannot_be_known() -> None:
    assert reason(judge(SHIPPED, "http://example.org/none", "1")) == "system"
    assert reason(judge(SHIPPED, f"{LIST}8406", "1", version="2030")) == "version"
    assert reason(judge(SHIPPED, f"{LIST}8406", "1", value_set="http://example.org/none")) == "value-set"
    assert reason(judge(SHIPPED, f"{LIST}8480", "x", on=date(2024, 1, 1))) == "incomplete"


def test_a_value_set_judges_before_the_system() -> None:
    act, encounter = (
        "http://terminology.hl7.org/CodeSystem/v3-ActCode",
        "http://terminology.hl7.org/ValueSet/v3-ActEncounterCode",
    )
    assert judge(SHIPPED, act, "IMP", value_set=encounter).valid is True
    assert judge(SHIPPED, act, "IMP", value_set=f"{encounter}|9").valid is None
    for system, code in ((act, "EHCPOL"), (act, "NOPE"), (f"{LIST}8406", "1")):
        verdict = judge(SHIPPED, system, code, value_set=encounter)
        assert (verdict.valid, [each.code for each in verdict.issues]) == (False, ["code-not-in-value-set"])
    verdict = judge(SHIPPED, f"{LIST}8406", "77", on=date(2024, 1, 1), value_set=f"{OURS}vol-8406")
    assert (verdict.valid, [each.code for each in verdict.issues]) == (False, ["code-unknown"])


def test_a_bare_code_is_of_the_value_sets_own_system() -> None:
    gender = "http://hl7.org/fhir/ValueSet/administrative-gender"
    assert judge(SHIPPED, "", "male", value_set=gender).valid is True
    assert judge(SHIPPED, "", "1", value_set=gender).valid is False
    assert judge(SHIPPED, "", "1", value_set=f"{OURS}vol-8406").valid is True
    assert judge(SHIPPED, "", "1").valid is None


class Stub(Catalogue):
    """A catalogue with one value set of its own."""

    members: ValueSet

    def value_set(self, url: str) -> ValueSet | None:
        return self.members


def in_stub(table: CodeTable | None, code: str, *includes: Include, system: str = "") -> Verdict:
    catalogue = Stub([table] if table else [])
    catalogue.members = ValueSet("http://example.org/vs", "", "X", "X", includes)
    return judge(catalogue, system, code, value_set="http://example.org/vs")


def test_a_code_that_the_value_set_lists_is_valid_though_its_system_is_not_loaded() -> None:
    listed = Include("http://example.org/none", ("x",))
    assert in_stub(None, "x", listed, system="http://example.org/none") == Verdict(True)
    assert in_stub(None, "y", listed, system="http://example.org/none").valid is False
    assert in_stub(None, "y", Include("http://example.org/none"), system="http://example.org/none").valid is None


def test_a_value_set_lists_a_code_as_the_system_writes_it() -> None:
    table = code_table(Edition(URL, "1", "X", "X", complete=True, count=1), [Concept("F05.0", "x")], dotless=True)
    assert in_stub(table, "F050", Include(URL, ("F05.0",)), system=URL).valid is True
    assert in_stub(table, "F050", Include(URL, ("F05.1",)), system=URL).valid is False


def test_a_bare_code_that_two_systems_may_have_is_of_neither() -> None:
    table = made(Concept("x", "x"))
    both = (Include(URL, ("x",)), Include("http://example.org/none", ("x",)))
    assert in_stub(table, "x", both[0]).valid is True
    assert in_stub(table, "x", *both).valid is False


def test_no_issue_repeats_what_may_be_a_persons_number() -> None:
    for system, code in ((f"{LIST}8406", "13897612345"), ("urn:x:13897612345", "1")):
        verdict = judge(SHIPPED, system, code, on=date(2024, 1, 1))
        assert "13897612345" not in "".join(
            issue.sentence(language) for issue in verdict.issues for language in ("en", "nb")
        )
    assert told("x" * 300) == "x" * 100 + "…"


# ---- laws

STATUSES = st.sampled_from(["active", "retired", "superseded", "unconfirmed"])
DATES = st.none() | st.sampled_from(["2010", "2015-06", "2020-01-01", "2024-12", "2030"])
CODES = st.sampled_from(["1", "2", "3"])
CONCEPTS = st.builds(Concept, CODES, st.just("x"), STATUSES, DATES, DATES)
TABLES = st.builds(
    lambda concepts, version, complete, confidence, dates: made(
        *concepts, version=version, complete=complete, confidence=confidence,
        valid_from=dates[0], valid_to=dates[1], as_of=dates[2],
    ),
    st.lists(CONCEPTS, max_size=4, unique_by=lambda concept: concept.code),
    st.sampled_from(["1", "2"]), st.booleans(), st.sampled_from(["verified", "partial"]), st.tuples(DATES, DATES, DATES),
)  # fmt: skip


@given(st.lists(TABLES, max_size=3, unique_by=lambda each: each.edition.version), st.text(max_size=4) | CODES, st.none() | DAYS,
       st.none() | st.text(max_size=3), st.none() | st.sampled_from(["1", "2"]))  # fmt: skip
def test_a_judgement_never_fails_and_says_why(
    tables: list[CodeTable], code: str, on: date | None, display: str | None, version: str | None
) -> None:
    verdict = judge(Catalogue(tables), URL, code, on=on, display=display, version=version)
    severities = [issue.entry.severity for issue in verdict.issues if issue.code != "display-mismatch"]
    assert all(issue.sentence() and issue.sentence("nb") for issue in verdict.issues)
    if verdict.valid is None:
        assert severities == ["warning"], "what cannot be known is never an error"
        assert verdict.issues[0].code == "cannot-be-known"
    else:
        assert bool(severities) is (verdict.valid is False)
    if not tables:
        assert verdict.valid is None


@given(
    st.lists(TABLES, max_size=2, unique_by=lambda each: each.edition.version),
    TABLES,
    CODES,
    st.none() | DAYS,
    st.sampled_from(["1", "2"]),
)
def test_another_edition_makes_nothing_wrong_that_was_right(
    tables: list[CodeTable], other: CodeTable, code: str, on: date | None, version: str
) -> None:
    if other.edition.version in {each.edition.version for each in tables}:
        return
    before = judge(Catalogue(tables), URL, code, on=on, version=version).valid
    after = judge(Catalogue([*tables, other]), URL, code, on=on, version=version).valid
    assert before is None or after is before


@given(TABLES, CODES, DAYS)
def test_knowing_less_makes_nothing_wrong(table: CodeTable, code: str, on: date) -> None:
    part = {**{name: getattr(table.edition, name) for name in ("version", "valid_from", "valid_to", "as_of")}}
    less = made(*table.concepts.values(), complete=False, **part)
    whole, partly = judged(table, code, on)[0], judged(less, code, on)[0]
    assert partly is whole or (partly is None and code not in table.concepts)


@settings(max_examples=500)
@given(st.sampled_from(ALL), DAYS)
def test_every_shipped_code_is_right_within_its_period(row: tuple[CodeTable, Concept], on: date) -> None:
    known, concept = row
    verdict = judge(SHIPPED, known.edition.url, concept.code, display=concept.display, on=on)
    if not covers(concept.valid_from, concept.valid_to, on):
        assert verdict.valid is False
    elif concept.status not in OUT_OF_USE or concept.valid_to:
        assert (verdict.valid, verdict.issues) == (True, ())


def test_every_shipped_code_is_right_on_its_first_and_its_last_day() -> None:
    for known, concept in ALL:
        first = date.fromisoformat(f"{concept.valid_from}-01-01"[:10]) if concept.valid_from else None
        if first is not None and len(concept.valid_from or "") in (4, 10) and concept.status not in OUT_OF_USE:
            assert judge(SHIPPED, known.edition.url, concept.code, on=first).valid is True, (known.edition.url, concept)
            before = judge(SHIPPED, known.edition.url, concept.code, on=first - timedelta(days=1))
            assert before.valid is False, (known.edition.url, concept)
        if not concept.valid_from and not concept.valid_to and concept.status not in OUT_OF_USE:
            assert judge(SHIPPED, known.edition.url, concept.code).valid is True


@given(st.sampled_from(ALL))
def test_the_value_set_of_a_list_holds_what_the_list_holds(row: tuple[CodeTable, Concept]) -> None:
    known, concept = row
    url = known.edition.url
    alone, within = judge(SHIPPED, url, concept.code), judge(SHIPPED, url, concept.code, value_set=url)
    assert (alone.valid, alone.issues) == (within.valid, within.issues)
