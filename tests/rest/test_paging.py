"""Page tokens open only what they sealed, and only for a while."""

from __future__ import annotations

import string
import threading
from datetime import UTC, datetime, timedelta

import pytest

from fhir_facade.outcome import Refused
from fhir_facade.rest.paging import PageToken, PageTokens

BOTH_STORES = True

TOKENS = PageTokens(b"one secret")
NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)


@pytest.mark.parametrize(
    "token",
    [
        PageToken("abc"),
        PageToken("abc", (1735686000000, None, "Åse", 0, "100.x"), "status=finished&_count=2"),
        PageToken("", (), "x" * 5000, backward=True, mappings="m"),
    ],
)
def test_a_token_opens_to_what_was_sealed(token: PageToken) -> None:
    assert TOKENS.open(TOKENS.seal(token, NOW), NOW) == token


def test_a_token_shows_nothing_of_what_it_holds() -> None:
    from base64 import urlsafe_b64decode

    text = TOKENS.seal(PageToken("abc", ("Nordmann",), "family=Nordmann"), NOW)
    assert b"Nordmann" not in urlsafe_b64decode(text + "=" * (-len(text) % 4))


def test_no_changed_character_goes_unnoticed() -> None:
    text = TOKENS.seal(PageToken("abc", ("2025-01-01", 0, "k")), NOW)
    for place, character in enumerate(text):
        other = "A" if character != "A" else "B"
        with pytest.raises(Refused):
            TOKENS.open(text[:place] + other + text[place + 1 :], NOW)


def test_a_token_has_one_spelling_only() -> None:
    letters = string.ascii_letters + string.digits + "-_"
    for length in range(3):  # base64 has spare bits in the last character for two lengths of three
        text = TOKENS.seal(PageToken("a" * length), NOW)
        for letter in set(letters) - {text[-1]}:
            with pytest.raises(Refused):
                TOKENS.open(text[:-1] + letter, NOW)


@pytest.mark.parametrize("text", ["", "A", "AAAA", "A" * 22, "æøå", "!!!!", "=", "A" * 2000])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        TOKENS.open(text, NOW)
    assert refused.value.issues[0].code == "page-token-invalid"


def test_a_token_of_another_server_is_refused() -> None:
    with pytest.raises(Refused):
        PageTokens(b"another secret").open(TOKENS.seal(PageToken("abc"), NOW), NOW)


def code_of(tokens: PageTokens, text: str, now: datetime) -> str:
    with pytest.raises(Refused) as refused:
        tokens.open(text, now)
    return f"{refused.value.status} {refused.value.issues[0].code}"


def test_a_token_is_good_for_its_life_and_gone_soon_after() -> None:
    tokens = PageTokens(b"one secret", life=3600)
    text = tokens.seal(PageToken("abc"), NOW)
    for good in (0, 1, 3599, 3600):
        assert tokens.open(text, NOW + timedelta(seconds=good)) == PageToken("abc")
    for late in (3600 + 300, 5000, 10_000_000):
        assert code_of(tokens, text, NOW + timedelta(seconds=late)) == "410 page-token-expired"
    brief = PageTokens(b"one secret", life=2)
    text = brief.seal(PageToken("abc"), NOW)
    assert brief.open(text, NOW + timedelta(seconds=2)) == PageToken("abc")
    assert code_of(brief, text, NOW + timedelta(seconds=4)) == "410 page-token-expired"


def test_what_is_too_old_and_tampered_with_is_told_as_tampered_with() -> None:
    text = TOKENS.seal(PageToken("abc"), NOW)
    other = ("A" if text[0] != "A" else "B") + text[1:]
    assert code_of(TOKENS, other, NOW + timedelta(days=1)) == "400 page-token-invalid"


def test_the_same_place_has_the_same_token_for_a_while() -> None:
    token = PageToken("abc", (1, 0, "k"))
    later = [TOKENS.seal(token, NOW.replace(minute=30, second=0) + timedelta(seconds=gone)) for gone in (0, 299, 300)]
    assert later[0] == later[1] != later[2]


def test_the_first_secret_seals_and_all_open() -> None:
    old, both, new = PageTokens(b"old"), PageTokens(b"new", b"old"), PageTokens(b"new")
    assert both.open(old.seal(PageToken("abc"), NOW), NOW) == PageToken("abc")
    assert new.open(both.seal(PageToken("abc"), NOW), NOW) == PageToken("abc")
    assert code_of(old, both.seal(PageToken("abc"), NOW), NOW) == "400 page-token-invalid"


def test_threads_share_the_ciphers() -> None:
    wrong: list[int] = []

    def turn(thread: int) -> None:
        for number in range(300):
            token = PageToken(str(thread), (number, "x" * number))
            if TOKENS.open(TOKENS.seal(token, NOW), NOW) != token:
                wrong.append(number)

    threads = [threading.Thread(target=turn, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
