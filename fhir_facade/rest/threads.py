"""Where the store is asked: at once what is quick by nature, in threads what may take its time or waits.

Changes wait in a row for a thread of their own (change_queue.py).

The event loop answers one record of an embedded store itself: that takes less time than to hand it over. So does a
page of a search, but a search may have to look through a table: when it has taken more than a few milliseconds of the
database, it begins again in a thread. Another server's database is waited for in threads always.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from fhir_facade.contracts import Unfinished
from fhir_facade.rest.answer import Answer
from fhir_facade.rest.change_queue import ChangeQueue
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
        self._changes = ChangeQueue(waiting)
        self._remote = remote

    async def run(self, row: Interaction, handler: Handler, services: Services, request: Request) -> Answer:
        """What a row answers, as `handler` makes it; Refused when too many changes are waiting."""
        if row.changes:
            store = services.writing.store if services.writing is not None and row.reads == "change" else None
            return await self._changes.run(partial(handler, row, services, request), store)
        if row.reads not in ("page", "long") and not (row.reads == "record" and self._remote):
            return handler(row, services, request)
        if row.reads == "page" and request.format == JSON and not self._remote:
            try:
                with services.store.briefly():
                    return handler(row, services, request)
            except Unfinished:
                pass
        return await asyncio.get_running_loop().run_in_executor(self._pool, handler, row, services, request)

    def close(self) -> None:
        """Wait until what has begun has ended."""
        self._pool.shutdown()
        self._changes.close()
