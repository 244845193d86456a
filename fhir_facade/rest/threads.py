"""Where the store is asked: at once what is quick by nature, in threads what may take its time or waits.

The event loop answers one record of an embedded store itself: that takes less time than to hand it over. A search may
have to look through a table, and another server's database is waited for, so they go to threads: meanwhile the loop
answers others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from fhir_facade.rest.answer import Answer
from fhir_facade.rest.services import Interaction, Request, Services

Handler = Callable[[Interaction, Services, Request], Answer]


class Threads:
    """At most `count` threads; `remote` says that the database is another server's, where one record waits too."""

    def __init__(self, count: int, *, remote: bool) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="store")
        self._reads = ("record", "page") if remote else ("page",)

    async def run(self, row: Interaction, handler: Handler, services: Services, request: Request) -> Answer:
        """What a row answers, as `handler` makes it."""
        if row.reads not in self._reads:
            return handler(row, services, request)
        return await asyncio.get_running_loop().run_in_executor(self._pool, handler, row, services, request)

    def close(self) -> None:
        """Wait until what has begun has ended."""
        self._pool.shutdown()
