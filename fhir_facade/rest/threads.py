"""Where the store is asked: at once what is quick by nature, in threads what may take its time or waits.

Changes wait in one row for a thread of their own, since only one at a time may change the store; the row is bounded.

The event loop answers one record of an embedded store itself: that takes less time than to hand it over. So does a
page of a search, but a search may have to look through a table: when it has taken more than a few milliseconds of the
database, it begins again in a thread. Another server's database is waited for in threads always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from fhir_facade.contracts import Unfinished
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer
from fhir_facade.rest.negotiation import JSON
from fhir_facade.rest.services import Interaction, Request, Services

MOST_WAITING = 256
Handler = Callable[[Interaction, Services, Request], Answer]


class Threads:
    """At most `count` threads that read, and one that writes, for which at most `waiting` changes wait.

    `remote` says that the database is another server's, where one record waits too.
    """

    def __init__(self, count: int, *, remote: bool, waiting: int = MOST_WAITING) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="store")
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._remote = remote
        self._most, self._waiting = waiting, 0

    async def run(self, row: Interaction, handler: Handler, services: Services, request: Request) -> Answer:
        """What a row answers, as `handler` makes it; Refused when too many changes are waiting."""
        if row.reads == "write":
            return await self._write(row, handler, services, request)
        if row.reads not in ("page", "long") and not (row.reads == "record" and self._remote):
            return handler(row, services, request)
        if row.reads == "page" and request.format == JSON and not self._remote:
            try:
                with services.store.briefly():
                    return handler(row, services, request)
            except Unfinished:
                pass
        return await asyncio.get_running_loop().run_in_executor(self._pool, handler, row, services, request)

    async def _write(self, row: Interaction, handler: Handler, services: Services, request: Request) -> Answer:
        if self._waiting >= self._most:
            raise Refused(Issue("writes-queued"))
        self._waiting += 1
        running = asyncio.get_running_loop().run_in_executor(self._writer, handler, row, services, request)
        running.add_done_callback(self._done)
        return await asyncio.shield(running)  # who goes away meanwhile does not take the place of the next one

    def _done(self, running: object) -> None:
        self._waiting -= 1

    def close(self) -> None:
        """Wait until what has begun has ended."""
        self._pool.shutdown()
        self._writer.shutdown()
