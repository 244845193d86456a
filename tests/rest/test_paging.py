"""Page tokens open only what they sealed."""

from __future__ import annotations

import string

import pytest

from fhir_facade.outcome import Refused
from fhir_facade.rest.paging import PageToken, PageTokens

TOKENS = PageTokens(b"one secret")


@pytest.mark.parametrize(
    "token",
    [
        PageToken("abc"),
        PageToken("abc", (1735686000000, None, "Åse", 0, "100.x"), "status=finished&_count=2"),
        PageToken("", (), "x" * 5000),
    ],
)
def test_a_token_opens_to_what_was_sealed(token: PageToken) -> None:
    assert TOKENS.open(TOKENS.seal(token)) == token


def test_a_token_shows_nothing_of_what_it_holds() -> None:
    from base64 import urlsafe_b64decode

    text = TOKENS.seal(PageToken("abc", ("Nordmann",), "family=Nordmann"))
    assert b"Nordmann" not in urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_no_changed_character_goes_unnoticed() -> None:
    text = TOKENS.seal(PageToken("abc", ("2025-01-01", 0, "k")))
    for place, character in enumerate(text):
        other = "A" if character != "A" else "B"
        with pytest.raises(Refused):
            TOKENS.open(text[:place] + other + text[place + 1 :])


def test_a_token_has_one_spelling_only() -> None:
    letters = string.ascii_letters + string.digits + "-_"
    for length in range(3):  # base64 has spare bits in the last character for two lengths of three
        text = TOKENS.seal(PageToken("a" * length))
        for letter in set(letters) - {text[-1]}:
            with pytest.raises(Refused):
                TOKENS.open(text[:-1] + letter)


@pytest.mark.parametrize("text", ["", "A", "AAAA", "A" * 22, "æøå", "!!!!", "=", "A" * 2000])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        TOKENS.open(text)
    assert refused.value.issues[0].code == "page-token-invalid"


def test_a_token_of_another_server_is_refused() -> None:
    with pytest.raises(Refused):
        PageTokens(b"another secret").open(TOKENS.seal(PageToken("abc")))
