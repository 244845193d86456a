"""Several processes that answer at one address: a parent that begins them, watches them and ends them.

Workers are forked, so a listening socket that is open already is theirs too. A worker that dies is begun again; when
too many die in a short time, all are ended, for something is wrong that a new process does not mend. Workers whose
parent dies end by themselves.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

ENDING = frozenset({signal.SIGINT, signal.SIGTERM})
HEARD = (*ENDING, signal.SIGHUP, signal.SIGCHLD)
DEATHS, SECONDS = 5, 60.0
"""So many deaths of each worker, in so many seconds, are too many."""


@dataclass(frozen=True)
class Place:
    """What a worker is given: `begun` is to be called when it answers; `parent` ends (a file) when the parent does."""

    begun: Callable[[], None]
    parent: int


Work = Callable[[Place], None]
"""Answers until SIGTERM or SIGINT, or until the parent is gone."""


class WorkersDied(Exception):
    """Workers died again and again; their own last words say why."""


def can_fork() -> bool:
    """Whether this system has what workers need."""
    return hasattr(os, "fork")


def run_workers(count: int, work: Work, told: Callable[[], None], log: Callable[[str, int], None]) -> None:
    """Run so many workers until SIGTERM or SIGINT; `told` is called once, when all of them answer.

    SIGHUP goes on to all. `log` hears of deaths ("worker_died", exit status) and of new workers ("worker_begun", pid).
    WorkersDied when it makes no sense to begin yet another one.
    """
    _Parent(count, work, told, log).run()


class _Parent:
    def __init__(self, count: int, work: Work, told: Callable[[], None], log: Callable[[str, int], None]) -> None:
        self.count, self.work, self.told, self.log = count, work, told, log
        self.begun_from, self.begun_to = os.pipe()
        self.life_from, self.life_to = os.pipe()  # nothing is ever written: it ends when the parent does
        self.pids: set[int] = set()
        self.deaths: deque[float] = deque(maxlen=DEATHS * count)
        self.heard: deque[int] = deque()
        self.waiting = count  # for so many more to answer

    def run(self) -> None:
        wake_from, wake_to = os.pipe()
        os.set_blocking(wake_to, False)
        before = {each: signal.signal(each, self._hear) for each in HEARD}
        woken = signal.set_wakeup_fd(wake_to, warn_on_full_buffer=False)
        try:
            for _ in range(self.count):
                self._begin()
            while not ENDING.intersection(self.heard):
                ready, _, _ = select.select([wake_from, self.begun_from], [], [])
                if wake_from in ready:
                    os.read(wake_from, 512)
                if self.begun_from in ready:
                    self._count_begun(len(os.read(self.begun_from, 512)))
                while self.heard and self.heard[0] not in ENDING:
                    self._act(self.heard.popleft())
        finally:
            self._end()
            signal.set_wakeup_fd(woken)
            for each, handler in before.items():
                signal.signal(each, handler)
            for file in (wake_from, wake_to, self.begun_from, self.begun_to, self.life_from, self.life_to):
                os.close(file)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.heard.append(number)

    def _act(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._send(signal.SIGHUP)
        elif number == signal.SIGCHLD:
            for status in self._reap(os.WNOHANG):
                self.log("worker_died", status)
                self.deaths.append(time.monotonic())
                if len(self.deaths) == self.deaths.maxlen and self.deaths[-1] - self.deaths[0] < SECONDS:
                    raise WorkersDied
                self._begin()

    def _count_begun(self, more: int) -> None:
        if self.waiting > 0:
            self.waiting -= more
            if self.waiting <= 0:
                self.told()

    def _begin(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)  # else a new worker would hear one as its parent does
        pid = os.fork()
        if pid:
            self.pids.add(pid)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            self.log("worker_begun", pid)
            return
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for each in (*ENDING, signal.SIGCHLD):
                signal.signal(each, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(self.life_to)
            self.work(Place(lambda: os.write(self.begun_to, b"."), self.life_from))  # type: ignore[arg-type]
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(status)  # never back into what the parent was about to do

    def _send(self, number: int) -> None:
        for pid in self.pids:
            os.kill(pid, number)  # a dead one is there until it is reaped

    def _reap(self, how: int) -> list[int]:
        """The exit statuses of workers that have ended."""
        found = []
        for pid in list(self.pids):
            ended, status = os.waitpid(pid, how)
            if ended:
                self.pids.discard(pid)
                found.append(os.waitstatus_to_exitcode(status))
        return found

    def _end(self) -> None:
        """Tell all to end, and wait: what they have begun to answer is answered first."""
        self._send(signal.SIGTERM)
        self._reap(0)
