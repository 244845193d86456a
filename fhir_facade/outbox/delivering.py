"""The one who tells: claims changes, has them sent, and writes down what came of them; one of all who would.

Each step is one transaction: the lease is shown to be held, answers are settled, new changes are claimed. A change is
sent after its claim is committed and settled after its answer, so one whose teller dies between is sent once more,
with the same key. All states are in the database, and any other teller can go on.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from random import Random
from time import monotonic
from typing import Any

from fhir_facade.outbox.verdicts import Answer, Pace, outcome, reason
from fhir_facade.store.dialects import Connection
from fhir_facade.store.outbox import Lease, Outbox
from fhir_facade.store.outbox_tables import Entry

AT_ONCE = 500  # heads of queues that are looked up together
FAILING = 5
TRIMMED_EVERY = 600.0
Told = Callable[..., None]


@dataclass(frozen=True)
class Terms:
    """How changes are told. `parallel` are requests at a time; seconds are those of `lease`, `look` and `keep`.

    `lease`: after so long without a sign of the teller another one takes over. `look`: how often it is looked for
    changes when there are none. `keep`: how long what is settled is kept. `stands`: whether a dead change keeps those
    behind it waiting.
    """

    pace: Pace = field(default_factory=Pace)
    parallel: int = 4
    stands: bool = True
    lease: float = 30.0
    look: float = 1.0
    keep: float = 7 * 86_400.0


def utc() -> datetime:
    return datetime.now(UTC)


def instant(moment: datetime) -> str:
    """As it is stored: texts in the order of their instants."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Teller:
    """One who would tell; `clock` says what time it is, `ticks` how many seconds go by, `draw` scatters waits."""

    def __init__(
        self,
        outbox: Outbox,
        terms: Terms,
        *,
        clock: Callable[[], datetime] = utc,
        ticks: Callable[[], float] = monotonic,
        draw: Random | None = None,
        told: Told = lambda event, **facts: None,
    ) -> None:
        self._outbox, self._terms = outbox, terms
        self._clock, self._ticks, self._told = clock, ticks, told
        self._draw = draw or Random()  # noqa: S311 it scatters waits
        self.name = uuid.uuid4().hex
        self._holds = False
        self._seen: tuple[Lease, float] | None = None
        self._shown = self._trimmed = float("-inf")
        self._ready: deque[int] = deque()
        self._failures = 0
        self._in_doubt = False

    def step(self, answers: Sequence[tuple[Entry, Answer]], busy: int, *, last: bool = False) -> list[Entry]:
        """Write down answers and claim what is to be sent now; `busy` requests have no answer yet.

        A step that fails has changed nothing that is known of: it may be repeated with the same answers. `last` claims
        nothing, and gives the lease back when nothing is busy.
        """
        try:
            with self._outbox.stepping() as connection:
                if not self._is_mine(connection):
                    return []
                claimed = self._work(connection, answers, busy, last=last)
        except BaseException:
            self._in_doubt = True  # whether it was committed is not known
            self._ready.clear()
            raise
        self._in_doubt = self._in_doubt and busy > 0
        for entry, answer in answers:
            self._tell(entry, answer)
        return claimed

    # ---- the lease

    def _is_mine(self, connection: Connection) -> bool:
        """Whether the lease is held, taken where it is free or its holder has shown no sign of life."""
        lease, now = self._outbox.lease(connection), self._ticks()
        if lease.holder == self.name:
            return True
        if self._holds:
            self._holds = False
            self._told("outbox_lease_lost")
        if self._seen is None or self._seen[0] != lease:
            self._seen = (lease, now)
        if lease.holder and now - self._seen[1] < self._terms.lease:
            return False
        self._holds = self._outbox.seize(connection, self.name, lease)
        if self._holds:
            self._shown, self._failures = now, 0
            self._ready.clear()
            self._told("outbox_lease_taken")
        return self._holds

    # ---- one step

    def _work(
        self, connection: Connection, answers: Sequence[tuple[Entry, Answer]], busy: int, *, last: bool
    ) -> list[Entry]:
        free = 0 if last or self._in_doubt else self._free(busy, answers)
        now = instant(self._clock())
        if free and not self._ready and not answers:
            self._ready.extend(self._outbox.heads(connection, now, AT_ONCE))
        has_work = answers or (free and self._ready) or (self._in_doubt and not busy) or (last and not busy)
        if not has_work and self._ticks() - self._shown < self._terms.lease / 3:
            return []
        if not self._outbox.beat(connection, self.name):  # it was another's a moment ago
            return []
        self._shown = self._ticks()
        for entry, answer in answers:
            self._settle(connection, entry, answer, now)
        if self._in_doubt and not busy:
            self._outbox.doubt(connection)
        if self._shown - self._trimmed >= TRIMMED_EVERY:
            self._outbox.trim(connection, instant(self._clock() - timedelta(seconds=self._terms.keep)))
            self._trimmed = self._shown
        claimed = self._claim(connection, free, now)
        if last and not busy:
            self._outbox.release(connection, self.name)
            self._holds = False
        return claimed

    def _free(self, busy: int, answers: Sequence[tuple[Entry, Answer]]) -> int:
        """How many more may be sent; one at a time when the endpoint fails at all that it is asked."""
        for entry, answer in answers:
            is_fault = outcome(entry.act, 1, answer, self._terms.pace) == "retry"
            self._failures = self._failures + 1 if is_fault else 0
        return max((1 if self._failures >= FAILING else self._terms.parallel) - busy, 0)

    def _settle(self, connection: Connection, entry: Entry, answer: Answer, now: str) -> None:
        became = outcome(entry.act, entry.attempts, answer, self._terms.pace)
        if became == "delivered":
            self._outbox.delivered(connection, entry, now)
        elif became == "dead":
            self._outbox.failed(connection, entry, "dead", now, reason(answer), keeps=self._terms.stands)
        else:
            wait = self._terms.pace.wait(entry.attempts, answer, self._draw)
            due = instant(self._clock() + timedelta(seconds=wait))
            self._outbox.failed(connection, entry, "waiting", due, reason(answer), keeps=True)
            return
        following = self._outbox.head(connection, entry.queue)
        if following is not None:
            self._ready.append(following)

    def _claim(self, connection: Connection, free: int, now: str) -> list[Entry]:
        claimed: list[Entry] = []
        looked = False
        while len(claimed) < free:
            if not self._ready:
                if looked:
                    break
                looked = True
                self._ready.extend(self._outbox.heads(connection, now, AT_ONCE))
                continue
            entry = self._outbox.claim(connection, self._ready.popleft(), now)
            if entry is not None:
                claimed.append(entry)
        return claimed

    def _tell(self, entry: Entry, answer: Answer) -> None:
        became = outcome(entry.act, entry.attempts, answer, self._terms.pace)
        event = {"delivered": "outbox_delivered", "retry": "outbox_retry", "dead": "outbox_dead"}[became]
        self._told(event, change=entry.change, type=entry.type, attempts=entry.attempts, answer=reason(answer))


class Delivering:
    """A thread that tells changes until it is stopped, and threads that send them."""

    def __init__(
        self, teller: Teller, send: Callable[[Entry], Answer], terms: Terms, failed: Callable[..., Any]
    ) -> None:
        self._teller, self._send, self._terms, self._failed = teller, send, terms, failed
        self._stopping = threading.Event()
        self._heard: SimpleQueue[tuple[Entry, Answer] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self.run, name="outbox", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Send nothing more, wait for the answers to what is sent, and give the lease back."""
        self.ask_to_stop()
        self._thread.join()

    def ask_to_stop(self) -> None:
        """The same without waiting; a signal may do it."""
        self._stopping.set()
        self._heard.put(None)

    def run(self) -> None:
        """Tell until it is asked to stop."""
        answers: list[tuple[Entry, Answer]] = []
        busy, fails = 0, 0
        with ThreadPoolExecutor(self._terms.parallel, thread_name_prefix="outbox-send") as pool:
            while True:
                is_last = self._stopping.is_set()
                try:
                    claimed = self._teller.step(answers, busy, last=is_last)
                except Exception as error:
                    fails += 1
                    self._failed(error)
                    if is_last and not busy:
                        return  # the next teller takes over when the lease is over
                else:
                    answers, fails = [], 0
                    for entry in claimed:
                        pool.submit(self._sent, entry)
                    busy += len(claimed)
                    if is_last and not busy:
                        return
                for heard in self._listen(self._terms.look * min(2.0**fails, 30.0)):
                    answers.append(heard)
                    busy -= 1

    def _sent(self, entry: Entry) -> None:
        try:
            answer = self._send(entry)
        except BaseException as error:  # a fault of ours must not keep a change from being tried again
            self._failed(error)
            answer = Answer(0, "the change could not be sent")
        self._heard.put((entry, answer))

    def _listen(self, seconds: float) -> list[tuple[Entry, Answer]]:
        """All answers that have come, after one has or so many seconds have gone by."""
        heard = []
        try:
            heard.append(self._heard.get(timeout=seconds))
            while True:
                heard.append(self._heard.get_nowait())
        except Empty:
            return [each for each in heard if each is not None]
