"""How many requests are answered at a time, in all and for each client, and how fast one client may send them.

What would be too much is told to come again: 503 when the server has enough to do, 429 when it is one client's doing.
A process counts its own requests.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from time import monotonic

from fhir_facade.outcome import Issue, Refused

MOST_CLIENTS = 10_000
"""Clients whose rate is remembered; the one that was not seen for longest is forgotten first."""
BURST = 2.0
"""Seconds' worth of requests that a client may send at once."""


class Admission:
    """At most `most` requests at a time, `most_of_client` of one client, `rate` a second of one client; 0 is no limit.

    Used by the event loop only.
    """

    def __init__(
        self, most: int = 0, most_of_client: int = 0, rate: float = 0, clock: Callable[[], float] = monotonic
    ) -> None:
        self._most, self._most_of_client, self._rate, self._clock = most, most_of_client, rate, clock
        self.inside = 0
        self._of_client: Counter[str] = Counter()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # requests that are left, and when

    def enter(self, client: str) -> None:
        """Let a client's request begin, which then has to `leave`; Refused when it may not begin now."""
        if self._most and self.inside >= self._most:
            raise Refused(Issue("server-busy", "", {"limit": self._most}))
        if self._most_of_client and self._of_client[client] >= self._most_of_client:
            raise Refused(Issue("client-busy", "", {"limit": self._most_of_client}))
        if self._rate:
            self._spend(client)
        self.inside += 1
        if self._most_of_client:
            self._of_client[client] += 1

    def leave(self, client: str) -> None:
        """End a client's request that was let in."""
        self.inside -= 1
        if self._most_of_client:
            self._of_client[client] -= 1
            if not self._of_client[client]:
                del self._of_client[client]

    def _spend(self, client: str) -> None:
        """Take one of the requests that a client has left; they grow again with time."""
        now, most = self._clock(), max(self._rate * BURST, 1.0)
        left, since = self._left.pop(client, (most, now))
        left = min(left + (now - since) * self._rate, most)
        if left < 1:
            self._left[client] = (left, now)
            raise Refused(Issue("client-too-fast", "", {"limit": f"{self._rate:g}"}))
        self._left[client] = (left - 1, now)
        if len(self._left) > MOST_CLIENTS:
            self._left.popitem(last=False)
