"""What the answer to a change means: it is delivered, to be tried again and when, or dead."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple

from fhir_facade.store.outbox_tables import Act

Outcome = Literal["delivered", "retry", "dead"]

AGAIN = frozenset({401, 403, 407, 408, 409, 421, 423, 425, 429})
"""Refusals that may be no refusals next time: of credentials that are mended, of a key that is being worked on
(409, draft-ietf-httpapi-idempotency-key-header), of locks, of too many requests (RFC 9110, RFC 6585, RFC 8470)."""
GONE = frozenset({404, 410})
LONGEST_WISH = 86_400.0
"""Seconds of Retry-After that are heeded at most."""


class Answer(NamedTuple):
    """What came of one try: the HTTP status, 0 where there was no answer; a reason in words of ours.

    `wait` are the seconds that the receiver wants to be left alone.
    """

    status: int
    reason: str = ""
    wait: float | None = None


@dataclass(frozen=True)
class Pace:
    """How often and how soon a change is tried again: `first` and `longest` are seconds, `attempts` all tries."""

    attempts: int = 500
    first: float = 1.0
    longest: float = 300.0

    def wait(self, attempts: int, answer: Answer, draw: Random) -> float:
        """The seconds until the next try, after so many: doubled each time, and scattered over their upper half.

        Never less than the receiver asks for.
        """
        longest = min(self.longest, self.first * 2.0 ** min(attempts - 1, 60))
        return max(longest * draw.uniform(0.5, 1.0), min(answer.wait or 0.0, LONGEST_WISH))


def outcome(act: Act, attempts: int, answer: Answer, pace: Pace) -> Outcome:
    """What an answer means for a change that has been tried so often."""
    if 200 <= answer.status < 300 or (act == "delete" and answer.status in GONE):
        return "delivered"
    may_succeed = answer.status == 0 or answer.status >= 500 or answer.status in AGAIN
    return "retry" if may_succeed and attempts < pace.attempts else "dead"


def reason(answer: Answer) -> str:
    """What a try came to, as it is kept and shown: never a word of what was sent or answered."""
    return answer.reason if answer.status == 0 else " ".join(filter(None, (f"HTTP {answer.status}", answer.reason)))
