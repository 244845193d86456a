"""Accept, Accept-Language and Prefer are read as their RFCs say."""

from __future__ import annotations

import pytest

from fhir_facade.rest.negotiation import accepts_json, language, lenient


@pytest.mark.parametrize(
    ("accept", "taken"),
    [
        (b"*/*", True),
        (b"", True),
        (b"application/fhir+json", True),
        (b"application/json", True),
        (b"text/json", True),
        (b"APPLICATION/FHIR+JSON; charset=utf-8", True),
        (b"application/*;q=0.1", True),
        (b"text/html, application/xhtml+xml, */*;q=0.8", True),
        (b"application/fhir+json; fhirVersion=4.0", True),
        (b"application/fhir+json; fhirVersion=5.0", False),
        (b"application/fhir+xml", False),
        (b"application/fhir+xml, application/fhir+json;q=0", False),
        (b"*/*;q=0", False),
        (b"application/fhir+json;q=0, application/json;q=0, text/json;q=0, */*", False),
        (b"application/fhir+xml, */*;q=0.1", True),
        (b"application/fhir+json;q=nonsense", False),
    ],
)
def test_accept_decides_by_its_most_specific_range(accept: bytes, taken: bool) -> None:
    assert accepts_json(accept) is taken


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
