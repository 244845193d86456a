"""Methods and URLs into interactions."""

from __future__ import annotations

import pytest

from fhir_facade.bundles.targets import LONGEST_URL, MOST_PARAMETERS, Target, criteria_of, target_of
from fhir_facade.outcome import Issue

BASES = ("http://facade.test/fhir", "https://other.test")


@pytest.mark.parametrize(
    ("method", "url", "expected"),
    [
        ("GET", "Patient/1", Target("read", "Patient/1", type="Patient", id="1")),
        ("HEAD", "Patient/1?_summary=true", Target("read", "Patient/1", "_summary=true", "Patient", "1")),
        ("GET", "https://other.test/Patient/1", Target("read", "Patient/1", type="Patient", id="1")),
        ("GET", "http://facade.test/fhir?_type=Patient", Target("search-system", "", "_type=Patient")),
        ("GET", "Patient?name=a:b", Target("search-type", "Patient", "name=a:b", "Patient")),
        ("GET", "Patient?url=http://x.test/y", Target("search-type", "Patient", "url=http://x.test/y", "Patient")),
        ("POST", "_search?_type=Patient", Target("search-system", "_search", "_type=Patient")),
        ("POST", "Patient/_search", Target("search-type", "Patient/_search", type="Patient")),
        ("GET", "Patient/1/_history/2", Target("vread", "Patient/1/_history/2", "", "Patient", "1", "2")),
        ("GET", "Patient/1/_history", Target("history-instance", "Patient/1/_history", "", "Patient", "1")),
        ("GET", "Patient/_history?_count=1", Target("history-type", "Patient/_history", "_count=1", "Patient")),
        ("GET", "_history", Target("history-system", "_history")),
        ("GET", "metadata", Target("capabilities", "metadata")),
        ("GET", "Patient/1/*", Target("search-compartment", "Patient/1/*", "", "*")),
        ("POST", "$match", Target("operation", "$match")),
        ("GET", "Patient/$everything", Target("operation", "Patient/$everything", type="Patient")),
        ("POST", "Patient", Target("create", "Patient", type="Patient")),
        ("PUT", "Patient?identifier=1", Target("update", "Patient", "identifier=1", "Patient")),
        ("PATCH", "Patient/1", Target("patch", "Patient/1", type="Patient", id="1")),
        ("DELETE", "Patient/1", Target("delete", "Patient/1", type="Patient", id="1")),
    ],
)  # fmt: skip
def test_a_url_is_taken_apart(method: str, url: str, expected: Target) -> None:
    assert target_of(method, url, "at", BASES) == expected


@pytest.mark.parametrize(
    ("method", "url", "code"),
    [
        ("GET", "", "entry-url-invalid"),
        ("GET", "?", "entry-method-not-here"),
        ("DELETE", "?", "entry-url-invalid"),
        ("GET", "Patient?" + "a=" + "b" * LONGEST_URL, "entry-url-invalid"),
        ("DELETE", "Patient?" + "&".join(["a=b"] * (MOST_PARAMETERS + 1)), "entry-url-invalid"),
        ("DELETE", "Patient?a=%00", "entry-url-invalid"),
        ("DELETE", "Patient?a=%ff", "entry-url-invalid"),
        ("GET", "Patient\\1", "entry-url-invalid"),
        ("GET", "Patient?name=\x07", "entry-url-invalid"),
        ("GET", "http://facade.test/fhirx/Patient", "entry-url-elsewhere"),
        ("GET", "javascript:alert(1)", "entry-url-elsewhere"),
        ("GET", "Patient/" + "1" * 65, "entry-method-not-here"),
        ("GET", "Patient/æ", "entry-method-not-here"),
        ("GET", "Patient/æ/_history", "entry-method-not-here"),
        ("GET", "Patient/æ/_history/1", "entry-method-not-here"),
        ("GET", "Patient/1/_history/æ", "entry-method-not-here"),
        ("GET", "Patient/æ/Encounter", "entry-method-not-here"),
        ("GET", "Patient/1/Pasient", "entry-method-not-here"),
        ("GET", "Patient/æ/$everything", "entry-method-not-here"),
        ("PUT", "Patient/æ", "entry-method-not-here"),
        ("GET", "Patient/1/_history/2/3", "entry-method-not-here"),
        ("GET", "Patient/$", "entry-method-not-here"),
        ("HEAD", "Patient/$everything", "entry-method-not-here"),
        ("POST", "metadata", "entry-method-not-here"),
        ("DELETE", "_history", "entry-method-not-here"),
        ("PUT", "Patient/1?identifier=1", "entry-method-not-here"),
        ("GET", "~", "entry-url-type"),
        ("GET", "_history/1", "entry-url-type"),
        ("GET", "metadata/1", "entry-url-type"),
        ("GET", "metadata/$x", "entry-url-type"),
        ("GET", "$x/1", "entry-url-type"),
        ("GET", "_search", "entry-method-not-here"),
        ("POST", "_history", "entry-method-not-here"),
        ("PUT", "_history?a=b", "entry-method-not-here"),
        ("PUT", "metadata", "entry-method-not-here"),
    ],
)
def test_a_url_that_says_nothing_is_told(method: str, url: str, code: str) -> None:
    found = target_of(method, url, "at", BASES)
    assert isinstance(found, Issue)
    assert (found.code, found.at) == (code, "at")
    assert len(found.sentence()) < 400


def test_the_longest_url_is_taken() -> None:
    longest = "Patient?name=" + "a" * (LONGEST_URL - len("Patient?name="))
    assert isinstance(target_of("GET", longest, "at", BASES), Target)
    assert isinstance(target_of("GET", longest + "a", "at", BASES), Issue)


def test_two_spellings_of_one_search_are_equal() -> None:
    assert criteria_of("b=2&a=1%2B") == criteria_of("a=1%2b&b=2") == (("a", "1+"), ("b", "2"))
    assert criteria_of("a=1&a=2") != criteria_of("a=1")
    assert criteria_of("") is criteria_of("a") is criteria_of("=1") is criteria_of("a=") is None
