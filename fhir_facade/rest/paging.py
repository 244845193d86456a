"""Page tokens: where a search goes on, sealed so that a client can neither read nor change it.

A token holds the last row's place in the total order and the search it belongs to (a hash, or for a search
sent by POST the search itself, so that what was kept out of the URL stays out of it). It is deterministic
authenticated encryption after the SIV pattern: the tag is HMAC-SHA256 of the plain text, the key stream
SHAKE-256 of key and tag.
Two processes that share the secret open each other's tokens.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_facade.outcome import Issue, Refused

TAG = 16


@dataclass(frozen=True, slots=True)
class PageToken:
    """What a token says: the search it is bound to, the last position, the search where that is hidden."""

    search: str
    position: tuple[Any, ...] = ()
    hidden: str = ""


class PageTokens:
    """Seals and opens page tokens with one secret."""

    def __init__(self, secret: bytes) -> None:
        self._tag_key = hashlib.sha256(b"fhir-facade page tag\0" + secret).digest()
        self._stream_key = hashlib.sha256(b"fhir-facade page stream\0" + secret).digest()

    def seal(self, token: PageToken) -> str:
        """Return the token as text that may stand in a URL."""
        plain = orjson.dumps([token.search, token.position, token.hidden])
        tag = self._tag(plain)
        return self._spelling(tag + self._crypt(plain, tag))

    def open(self, text: str) -> PageToken:
        """Return what a token says; Refused when it is not one of ours."""
        try:
            sealed = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except ValueError:
            raise Refused(Issue("page-token-invalid", "_page")) from None
        tag, plain = sealed[:TAG], self._crypt(sealed[TAG:], sealed[:TAG])
        if len(sealed) <= TAG or not hmac.compare_digest(tag, self._tag(plain)) or self._spelling(sealed) != text:
            raise Refused(Issue("page-token-invalid", "_page"))
        search, position, hidden = orjson.loads(plain)
        return PageToken(search, tuple(position), hidden)

    @staticmethod
    def _spelling(sealed: bytes) -> str:
        """The one spelling of a token: base64 has spare bits that could otherwise be changed unseen."""
        return urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def _tag(self, plain: bytes) -> bytes:
        return hmac.digest(self._tag_key, plain, "sha256")[:TAG]

    def _crypt(self, text: bytes, tag: bytes) -> bytes:
        stream = hashlib.shake_256(self._stream_key + tag).digest(len(text))
        return (int.from_bytes(text) ^ int.from_bytes(stream)).to_bytes(len(text))
