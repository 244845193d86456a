"""FHIRPath: a table of expressions, the constraints of R4, and what no expression may do."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fhir_facade.profile.fhirpath import Environment, StepsExceeded, evaluate, holds
from fhir_facade.profile.fhirpath_functions import FUNCTIONS, functions_of
from fhir_facade.profile.fhirpath_syntax import FhirPathError, parse
from fhir_facade.profile.fhirpath_values import LONGEST_TEXT, Item, text_of
from fhir_facade.structures import norwegian_constraints, structures

CASES = yaml.safe_load((Path(__file__).parent / "fhirpath_cases.yaml").read_text(encoding="utf-8"))
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "active": True,
    "name": [
        {"use": "official", "family": "Nordmann", "given": ["Ola", "Per"]},
        {"use": "usual", "family": "Hansen", "given": ["Kari"]},
    ],
    "gender": "male",
    "birthDate": "1980-02-29",
    "_birthDate": {"extension": [{"url": "http://x", "valueString": "e"}]},
    "deceasedBoolean": False,
    "contact": [{"name": {"text": "a"}}],
    "managingOrganization": {"reference": "#o1"},
    "generalPractitioner": [{"reference": "Practitioner/1"}],
}
CONTAINED = {"resourceType": "Organization", "id": "o1", "name": "Sykehus"}


def environment() -> Environment:
    return Environment(PATIENT, PATIENT, lambda reference: CONTAINED if reference == "#o1" else None)


@pytest.mark.parametrize("expression, wanted", CASES, ids=[case[0][:60] for case in CASES])
def test_an_expression_gives(expression: str, wanted: Any) -> None:
    if wanted == "error":
        with pytest.raises(FhirPathError) as caught:
            evaluate(expression, PATIENT, "Patient", environment())
        assert 0 <= caught.value.position <= len(expression)
        return
    given_ = [item.value for item in evaluate(expression, PATIENT, "Patient", environment())]
    plain = [float(value) if isinstance(value, Decimal) else value for value in given_]
    assert plain == wanted
    assert [isinstance(value, bool) for value in plain] == [isinstance(value, bool) for value in wanted]


def test_every_function_stands_in_the_table() -> None:
    called: set[str] = set()
    for expression, _ in CASES:
        try:
            called |= set(functions_of(parse(expression)))
        except FhirPathError:
            continue
    assert set(FUNCTIONS) - called == {"slice", "checkModifiers", "timeOfDay", "toDateTime"}


def constraints() -> dict[str, tuple[dict[str, Any], str]]:
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for url in structures().urls():
        content = structures().find(url) or {}
        for element in (content.get("snapshot") or content.get("differential"))["element"]:
            for each in element.get("constraint", ()):
                found.setdefault(each["key"], (each, element["path"]))
    return found


def test_all_constraints_of_r4_are_understood() -> None:
    known = constraints()
    assert len(known) >= 239
    for key, (constraint, _) in known.items():
        tree = parse(constraint["expression"])
        assert set(functions_of(tree)) <= set(FUNCTIONS), key
    stale = set(norwegian_constraints()) - set(known)
    assert not stale


def test_the_clock_is_given_and_never_taken() -> None:
    now = Environment(PATIENT, now=datetime(2024, 5, 17, 8, 30, tzinfo=UTC))
    assert [item.value for item in evaluate("today()", PATIENT, "Patient", now)] == ["2024-05-17"]
    assert evaluate("now() > @2024-01-01T00:00:00Z", PATIENT, "Patient", now)[0].value is True


@pytest.mark.parametrize(
    "expression", ["(" * 300 + "1" + ")" * 300, "1" + " + 1" * 20_000, "1" + "+1" * 9_000, "a" + ".a" * 9_000, "-" * 500 + "1", "a." * 200 + "a", "not(" * 150 + ")" * 150]
)  # fmt: skip
def test_deep_and_long_expressions_end_in_an_answer_or_a_refusal(expression: str) -> None:
    with contextlib.suppress(FhirPathError):
        evaluate(expression, PATIENT, "Patient", environment())


def test_steps_are_counted() -> None:
    wide = {"resourceType": "Patient", "name": [{"family": f"n{i}"} for i in range(3000)]}
    with pytest.raises(StepsExceeded):
        evaluate("name.where(%resource.name.where(family = 'x').exists())", wide, "Patient", Environment(wide))


def test_nothing_at_all_is_not_false() -> None:
    assert holds("photo.where(url = 'a').url = 'b'", PATIENT, "Patient", environment())
    assert not holds("active.not()", PATIENT, "Patient", environment())


@pytest.mark.parametrize("expression", ["extension({})", "birthDate.extension({})", "extension('')"])
def test_an_extension_without_a_url_is_not_found_by_one(expression: str) -> None:
    """Neither by a url that is nothing, which is equal to no other nothing."""
    loose: list[dict[str, Any]] = [{"valueString": "a"}, {"url": None, "valueString": "b"}, {"url": "", "id": "c"}]
    value = PATIENT | {"extension": loose, "_birthDate": {"extension": loose}}
    assert len(evaluate("extension | birthDate.extension", value, "Patient", Environment(value))) > 0
    assert evaluate(expression, value, "Patient", Environment(value)) == []


# bounds of what a client or a profile may write

HOSTILE = (
    "(a+)+$", "((a+))+$", "(a|a)*b", "(a|aa)+b", "(a?){40}a{40}", "a*a*a*a*b", "(.*)(.*)(.*)x", "(?:a{1,}){1,}b",
    "(?=(a+)+b)", "(?i)(a|A)*b", "(a*)*b", r"(a)\1*b", "(?:a|b|ab)*c", "(?>a+)+b", "(a{2,3})*b", "(a??)*b", "a*b",
    "(x+x+)+y", "([a-z]+)*[0-9]", "(?:(?:a{0,9}){0,9}){0,9}b", "(a|b|ab)+c", "(?m)^(a+)*b", "(((((a*)*)*)*)*)*b",
)  # fmt: skip


@pytest.mark.parametrize("pattern", HOSTILE)
def test_a_hostile_pattern_is_answered_or_refused(pattern: str) -> None:
    """Were it matched by trying one way after another, the test would not come to an end."""
    text = "a" * 90_000 + "!"
    known = Environment(PATIENT, variables={"text": [Item(text, "System.String")]})
    for function in ("matches('{}')", "matchesFull('{}')", "replaceMatches('{}', 'x')"):
        expression = f"%text.{function.format(pattern.replace(chr(92), chr(92) * 2))}"
        with contextlib.suppress(FhirPathError, StepsExceeded):
            evaluate(expression, PATIENT, "Patient", known)


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|a)*b", "(a*)*b", "(x+x+)+y", "(.*)(.*)(.*)x"])
def test_repetitions_within_repetitions_are_answered(pattern: str) -> None:
    known = Environment(PATIENT, variables={"text": [Item("a" * 90_000 + "!", "System.String")]})
    assert [each.value for each in evaluate(f"%text.matches('{pattern}')", PATIENT, "Patient", known)] == [False]


@pytest.mark.parametrize(
    "pattern, text",
    [
        (r"^\\d+(\\.\\d+)*$", "1." * 40_000 + "1"),
        ("^([^|#])*$", "a" * 90_000),
        (r"^(ab|cd)+\\s*$", "abcd" * 20_000),
        ("[a-z]+@[a-z]+", "a" * 900 + "@b"),
        ("([A-Z]{2}|[0-9]{3})x", "y" * 2000 + "123x"),
    ],
)
def test_a_plain_pattern_is_matched_on_long_texts(pattern: str, text: str) -> None:
    known = Environment(PATIENT, variables={"text": [Item(text, "System.String")]})
    assert [each.value for each in evaluate(f"%text.matches('{pattern}')", PATIENT, "Patient", known)] == [True]


@pytest.mark.parametrize(
    "expression",
    [
        "(1 | 2 | 3).aggregate($total + $total, 'a')" + ".toString()",
        "name.given.repeat($this & 'a')",
        "%many.aggregate($total + $total, 'ab').length()",
        "%many.aggregate($total & $total, 'ab').length()",
        "%many.aggregate($total.replace('a', $total), 'ab').length()",
        "%many.aggregate($total.replace('', $total), 'ab').length()",
        "%many.aggregate($total.replaceMatches('a', $total), 'ab').length()",
        "%many.aggregate(($total.combine($total)).join($total), 'ab').length()",
        "%many.aggregate($total.combine($total), 1).count()",
        "%many.aggregate($total * $total, 3)",
        "%many.aggregate($total * $total, 3.5)",
        "%many.aggregate($total.power(100), 9.5)",
        "%many.aggregate($total + $total, 1 'mg')",
        "%many.aggregate(@2024 + $total.value, 1)",
    ],
)
def test_what_doubles_at_each_turn_comes_to_an_end(expression: str) -> None:
    """Sixty doublings would fill any memory."""
    many = [Item(number, "System.Integer") for number in range(60)]
    known = Environment(PATIENT, variables={"many": many})
    with contextlib.suppress(FhirPathError, StepsExceeded):
        for item in evaluate(expression, PATIENT, "Patient", known):
            assert len(str(item.value)) <= LONGEST_TEXT


# any expression on any JSON

PATHS = (
    "name",
    "given",
    "value",
    "extension",
    "birthDate",
    "active",
    "item",
    "Patient",
    "resourceType",
    "`x`",
    "period",
    "start",
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text("aZ1- .\u00e5", max_size=6)
    | st.sampled_from(["2024", "2024-05-17", "2024-05-17T08:30:00Z", "08:30", "2024-99-99", "1e400"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["name", "given", "value", "valueQuantity", "_birthDate", "birthDate", "active", "url", "id", "code",
                         "extension", "resourceType", "period", "start", "reference", "multipleBirthInteger"]),
        inner | st.sampled_from(["Patient", "Observation", "Nonsense"]), max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
ATOMS = st.one_of(
    st.sampled_from(PATHS),
    st.sampled_from(
        ["$this", "$index", "$total", "%resource", "%context", "%many", "{}", "true", "false", "0", "1", "2147483647",
         "1.5", "0.0", "9" * 60, "0." + "0" * 60 + "1", "''", "'a'", "'1'", "'(a+)+'", "'$1'", "'\\\\'", "@2024", "@2024-02-30",
         "@2024-05-17T08:30:00+14:00", "@T23:59:59.999", "1 day", "4 'mg'", "999999999999 years", "1 month", "'2024-05-17'",
         "HumanName", "System.Integer"]
    ),
)  # fmt: skip
OPERATORS = ("+", "-", "*", "/", "div", "mod", "&", "|", "=", "!=", "~", "!~", "<", "<=", ">", ">=", "and", "or", "xor", "implies", "in", "contains")  # fmt: skip


def grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions made of expressions, by the grammar of FHIRPath's appendix B."""

    def called(parts: tuple[str, str, list[str]]) -> str:
        base, name, given_ = parts
        row = FUNCTIONS[name]
        return f"({base}).{name}({', '.join((given_ * 3)[: max(row.least, min(row.most, len(given_)))])})"

    return st.one_of(
        st.tuples(inner, st.sampled_from(OPERATORS), inner).map(" ".join),
        st.tuples(inner, st.sampled_from(sorted(FUNCTIONS)), st.lists(inner, min_size=1, max_size=3)).map(called),
        st.tuples(inner, inner).map(lambda two: f"({two[0]})[{two[1]}]"),
        st.tuples(inner, st.sampled_from(PATHS)).map(lambda two: f"({two[0]}).{two[1]}"),
        st.tuples(inner, st.sampled_from(["is", "as"]), st.sampled_from(["Integer", "Patient", "FHIR.string"])).map(
            " ".join
        ),
        st.tuples(st.sampled_from("-+"), inner).map("".join),
    )


EXPRESSIONS = st.recursive(ATOMS, grown, max_leaves=8)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(EXPRESSIONS, JSON, st.sampled_from(["Patient", "Observation", "Quantity", "Extension", "Nonsense", ""]))
def test_any_expression_on_any_json_ends_in_items_or_a_refusal(expression: str, value: Any, path: str) -> None:
    """Nothing but FhirPathError and StepsExceeded leaves; what comes can be asked for its text and its order."""
    many = [Item(number, "System.Integer") for number in range(9)]
    known = Environment(
        value, value, lambda _: value, now=datetime(2024, 5, 17, tzinfo=UTC), steps=20_000, variables={"many": many}
    )
    with contextlib.suppress(FhirPathError, StepsExceeded):
        found = evaluate(expression, value, path, known)
        assert all(isinstance(item, Item) for item in found)
        for item in found:
            assert not isinstance(item.value, int) or isinstance(item.value, bool) or abs(item.value) < 2**64
            text_of(item)


@given(st.text(alphabet="abn.()[]'|=<>!&+-*/%${}@0129 \n,`", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(FhirPathError, StepsExceeded):
        evaluate(text, PATIENT, "Patient", environment())
