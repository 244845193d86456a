"""Accept, Accept-Language and Prefer are read as their RFCs say."""

from __future__ import annotations

import pytest

from fhir_facade.rest.negotiation import accepted_format, language, lenient, named_format


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (b"*/*", "json"),
        (b"", "json"),
        (b",", "json"),
        (b"application/fhir+json", "json"),
        (b"application/json", "json"),
        (b"text/json", "json"),
        (b"APPLICATION/FHIR+JSON; charset=utf-8", "json"),
        (b"application/*;q=0.1", "json"),
        (b"text/*", "json"),
        (b"text/html, application/xhtml+xml, */*;q=0.8", "json"),
        (b"application/fhir+json; fhirVersion=4.0", "json"),
        (b"application/fhir+json; fhirVersion=5.0", None),
        (b"application/fhir+json; fhirVersion=5.0, application/fhir+xml; fhirVersion=4.0;q=0.2", "xml"),
        (b"application/fhir+xml", "xml"),
        (b"application/xml", "xml"),
        (b"text/xml", "xml"),
        (b"application/fhir+xml, application/fhir+json", "json"),
        (b"application/fhir+xml, application/fhir+json;q=0.9", "xml"),
        (b"application/fhir+xml;q=0.8, application/fhir+json;q=0.9", "json"),
        (b"application/fhir+xml, application/fhir+json;q=0", "xml"),
        (b"application/fhir+xml, */*;q=0.1", "xml"),
        (b"application/fhir+json;q=0, application/json;q=0, text/json;q=0, */*", "xml"),
        (b"application/fhir+json;q=0, */*;q=0.5, application/json;q=0.2", "xml"),
        (b"application/fhir+ndjson", "ndjson"),
        (b"application/ndjson;q=0.3, application/json;q=0.2", "ndjson"),
        (b"application/x-ndjson, application/fhir+xml;q=0.999", "ndjson"),
        (b"*/*;q=0", None),
        (b"text/html", None),
        (b"application/pdf, image/*", None),
        (b"application/fhir+json;q=nonsense", None),
        (b"application/fhir+json;q=0.0", None),
        (b"application/fhir+turtle", None),
    ],
)
def test_accept_decides_by_its_most_specific_range(accept: bytes, chosen: str | None) -> None:
    assert accepted_format(accept, ("json", "xml", "ndjson")) == chosen


def test_what_is_not_offered_is_not_chosen() -> None:
    assert accepted_format(b"application/fhir+ndjson", ("json", "xml")) is None
    assert accepted_format(b"application/fhir+ndjson, application/xml;q=0.1", ("json", "xml")) == "xml"


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("json", "json"),
        ("application/fhir+json", "json"),
        ("application/fhir json", "json"),
        ("text/json", "json"),
        ("xml", "xml"),
        ("XML", "xml"),
        ("text/xml", "xml"),
        ("application/fhir xml;fhirVersion=4.0", "xml"),
        ("application/fhir+xml;fhirVersion=5.0", None),
        ("ndjson", "ndjson"),
        ("application/x-ndjson", "ndjson"),
        ("html", None),
        ("ttl", None),
        ("", None),
    ],
)
def test_format_is_named_short_or_as_a_media_type(value: str, name: str | None) -> None:
    assert named_format(value) == name


@pytest.mark.parametrize(
    ("header", "tongue"),
    [
        (b"", "en"),
        (b"nb", "nb"),
        (b"no", "nb"),
        (b"nn-NO", "nb"),
        (b"en-GB,nb;q=0.9", "en"),
        (b"en;q=0.2, nb;q=0.9", "nb"),
        (b"de, nb", "nb"),
        (b"de", "en"),
        (b"nb;q=0, en", "en"),
    ],
)
def test_norwegian_is_spoken_when_ranked_before_english(header: bytes, tongue: str) -> None:
    assert language(header) == tongue


@pytest.mark.parametrize(
    ("prefer", "is_lenient"),
    [
        (b"", False),
        (b"handling=strict", False),
        (b"handling=lenient", True),
        (b'respond-async, handling="lenient"', True),
        (b"respond-async; wait=10, Handling = lenient", True),
        (b"handling=strict, handling=lenient", False),
        (b"handling=lax", False),
    ],
)
def test_the_first_handling_counts(prefer: bytes, is_lenient: bool) -> None:
    assert lenient(prefer) is is_lenient
