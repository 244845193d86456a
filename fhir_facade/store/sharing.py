"""Several transactions of one thread that are committed as one: each is a part, which is undone alone when it fails."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fhir_facade.contracts import Separately


class Shared(threading.local):
    """The connection on which a thread's transactions are committed as one, None where each is by itself.

    `is_whole` is False from the moment on when a part could neither be done nor undone.
    """

    connection: Any = None
    is_whole = True

    @contextmanager
    def opened(self, connection: Any) -> Iterator[None]:
        """Let a connection be shared."""
        self.connection, self.is_whole = connection, True
        try:
            yield
        finally:
            self.connection = None

    @contextmanager
    def part(self) -> Iterator[Any]:
        """A part of what is shared, which an exception undoes; Separately when there is nothing left to be part of."""
        connection = self.connection
        if not self.is_whole:
            raise Separately
        self.is_whole = False
        connection.execute("SAVEPOINT part")
        try:
            yield connection
            connection.execute("RELEASE SAVEPOINT part")
        except BaseException:
            connection.execute("ROLLBACK TO SAVEPOINT part")
            connection.execute("RELEASE SAVEPOINT part")
            self.is_whole = True
            raise
        self.is_whole = True
