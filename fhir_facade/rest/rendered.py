"""Rendered resources, kept by the state of their records: what has not changed is put together, not rendered again.

What is kept is never trusted by itself: the store tells the state of a record each time, in the snapshot in which a
page is read. What is kept is of one set of mappings, and bounded in bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from fhir_facade.contracts import Stamp

OVERHEAD = 500  # bytes that an entry takes beside its resource, roughly


class Rendered:
    """Resources as JSON bytes by mapping and record key; the one that was asked for longest ago goes first.

    `limit` is in bytes, of which `size` are taken; 0 keeps nothing. Threads may share one.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[tuple[str, str], tuple[Stamp, bytes]] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, mapping: str, key: str, stamp: Stamp) -> bytes | None:
        """The resource of a record in this state; None when it is not kept."""
        place = (mapping, key)
        found = self._kept.get(place)
        if found is None or found[0] != stamp:
            return None
        try:  # noqa: SIM105 what is spared here is spared for each resource of a page
            self._kept.move_to_end(place)
        except KeyError:  # another thread needed the room meanwhile
            pass
        return found[1]

    def put(self, mapping: str, key: str, stamp: Stamp, body: bytes) -> None:
        """Keep the resource of a record in this state; others go when there is no room.

        A record that the store does not write itself is not kept: its version need not tell of all that it holds.
        """
        size = len(body) + OVERHEAD
        if size > self.limit or not stamp[2]:
            return
        with self._lock:
            before = self._kept.pop((mapping, key), None)
            if before is not None:
                self.size -= len(before[1]) + OVERHEAD
            self._kept[(mapping, key)] = (stamp, body)
            self.size += size
            while self.size > self.limit:
                _, (_, oldest) = self._kept.popitem(last=False)
                self.size -= len(oldest) + OVERHEAD
