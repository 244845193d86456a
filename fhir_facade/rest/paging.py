"""Page tokens: where a search goes on, sealed so that a client can neither read nor change it.

A token holds a place in the total order and the search it belongs to: a hash, or for a search sent by POST the
search itself, so that what was kept out of the URL stays out of it. It is AES-SIV (RFC 5297) of that and of the time
when it was made. Two processes that share a secret open each other's tokens, and nothing is stored.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from fhir_facade.outcome import Issue, Refused

LIFE = 3600  # seconds
STEP = 300  # seconds; the time in a token is rounded down to it: the same page has the same bytes for a while
PURPOSE = b"fhir-facade page token 1"


@dataclass(frozen=True, slots=True)
class PageToken:
    """What a token says: the search it is bound to, a place and a direction, the search where that is hidden.

    `mappings` is the hash of the mappings that it was made under. `position` is empty at either end of the order.
    """

    search: str
    position: tuple[Any, ...] = ()
    hidden: str = ""
    backward: bool = False
    mappings: str = ""


class PageTokens:
    """Seals page tokens with the first secret and opens those of any; they are good for `life` seconds at least."""

    def __init__(self, *secrets: bytes, life: int = LIFE) -> None:
        self.life = life
        self._step = min(STEP, life)
        self._ciphers = [AESSIV(_key(secret)) for secret in secrets]

    def seal(self, token: PageToken, now: datetime) -> str:
        """Return the token as text that may stand in a URL."""
        made = int(now.timestamp()) // self._step * self._step
        parts = [made, token.mappings, token.search, token.backward, token.position, token.hidden]
        return _spelling(self._ciphers[0].encrypt(orjson.dumps(parts), [PURPOSE]))

    def open(self, text: str, now: datetime) -> PageToken:
        """Return what a token says; Refused when it is not one of ours, or too old."""
        try:
            sealed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except ValueError:
            raise _invalid() from None
        if _spelling(sealed) != text:
            raise _invalid()
        made, mappings, search, backward, position, hidden = orjson.loads(self._opened(sealed))
        if now.timestamp() >= made + self._step + self.life:
            raise Refused(Issue("page-token-expired", "_page", {"minutes": max(self.life // 60, 1)}))
        return PageToken(search, tuple(position), hidden, backward, mappings)

    def _opened(self, sealed: bytes) -> bytes:
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(sealed, [PURPOSE])
            except InvalidTag:
                continue
        raise _invalid()


def _key(secret: bytes) -> bytes:
    """The key of AES-256-SIV, which is two keys of 256 bits."""
    return HKDF(SHA256(), length=64, salt=None, info=PURPOSE).derive(secret)


def _spelling(sealed: bytes) -> str:
    """The one spelling of a token: base64 has spare bits that could otherwise be changed unseen."""
    return urlsafe_b64encode(sealed).rstrip(b"=").decode()


def _invalid() -> Refused:
    return Refused(Issue("page-token-invalid", "_page"))
