"""The row of changes that wait for the store, which knows one writer at a time; the row is bounded.

Single changes that wait at the same time are committed together: writing to the disk takes as long for many as for
one. Each of them is still carried out, refused and undone by itself, in the order in which they came, and none is
answered before it is stored.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

from fhir_facade.contracts import Separately
from fhir_facade.outcome import Issue, Refused
from fhir_facade.rest.answer import Answer

MOST_TOGETHER = 32
"""Changes in one commit: others who write to the same database wait for so many."""
Told = Answer | BaseException


class Sharing(Protocol):
    """A store whose transactions may be committed together."""

    def together(self) -> AbstractContextManager[None]:
        """Let what this thread changes be committed as one; Separately when it cannot be."""
        ...


class _Job(NamedTuple):
    run: Callable[[], Answer]
    store: Sharing | None
    told: asyncio.Future[Answer]


class ChangeQueue:
    """One thread that changes the store, for which at most `most` changes wait. All but the changes is the loop's."""

    def __init__(self, most: int) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._most, self._inside, self._is_busy = most, 0, False
        self._row: deque[_Job] = deque()

    async def run(self, change: Callable[[], Answer], store: Sharing | None) -> Answer:
        """What a change answers once it is stored; Refused when too many are waiting.

        `store` is where it makes its one transaction, None for what is not to be committed with others. Who goes away
        meanwhile neither undoes the change nor makes room in the row.
        """
        if self._inside >= self._most:
            raise Refused(Issue("writes-queued"))
        self._inside += 1
        loop = asyncio.get_running_loop()
        job = _Job(change, store, loop.create_future())
        self._row.append(job)
        if not self._is_busy:
            self._next(loop)
        return await job.told

    def _next(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand the first of the row to the thread, and those behind it that may be committed with it."""
        self._is_busy = bool(self._row)
        if self._is_busy:
            jobs = self._first()
            self._thread.submit(lambda: loop.call_soon_threadsafe(self._tell, loop, jobs, carried_out(jobs)))

    def _first(self) -> list[_Job]:
        row = self._row
        jobs = [row.popleft()]
        store = jobs[0].store
        while store is not None and row and row[0].store is store and len(jobs) < MOST_TOGETHER:
            jobs.append(row.popleft())
        return jobs

    def _tell(self, loop: asyncio.AbstractEventLoop, jobs: Sequence[_Job], told: Sequence[Told]) -> None:
        self._inside -= len(jobs)
        self._next(loop)
        _tell_each(jobs, told)

    def close(self) -> None:
        """Wait until all that came has been carried out, and tell of it."""
        self._thread.shutdown()
        while self._row:
            jobs = self._first()
            self._inside -= len(jobs)
            _tell_each(jobs, carried_out(jobs))


def _tell_each(jobs: Sequence[_Job], told: Sequence[Told]) -> None:
    for job, what in zip(jobs, told, strict=True):
        if job.told.done():  # whoever asked is gone
            continue
        if isinstance(what, Answer):
            job.told.set_result(what)
        else:
            job.told.set_exception(what)


def carried_out(jobs: Sequence[_Job]) -> list[Told]:
    """What each of some changes answers, or the exception that it ended with."""
    store = jobs[0].store
    if store is None or len(jobs) == 1:
        return [_attempted(job.run) for job in jobs]
    try:
        with store.together():
            told = [_attempted(job.run) for job in jobs]
    except Separately:
        return [_attempted(job.run) for job in jobs]
    except Exception as error:
        return [error for _ in jobs]
    return told


def _attempted(run: Callable[[], Answer]) -> Told:
    try:
        return run()
    except BaseException as error:
        return error
