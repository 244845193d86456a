"""What the server writes of its work: method, route, status, time, request id; never a query or person."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any, TextIO

import structlog

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class AccessLog:
    """Writes one JSON line an event; above level info `each_request` is false and nothing is even timed."""

    def __init__(self, level: str = "info", stream: TextIO | None = None) -> None:
        self.each_request = LEVELS[level] <= logging.INFO
        self._log: Any = structlog.wrap_logger(
            structlog.WriteLogger(stream or sys.stderr),
            processors=[
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
            wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        )

    def request(self, method: str, route: str, status: int, seconds: float, request_id: str) -> None:
        """One answered request."""
        self._log.info(
            "request",
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 3),
            request_id=request_id,
        )

    def worker(self, event: str, number: int) -> None:
        """A process that answers has begun (its process id) or died (its exit status, or less the signal)."""
        (self._log.error if event == "worker_died" else self._log.info)(event, number=number)

    def failure(self, route: str, request_id: str, error: BaseException) -> None:
        """A fault of ours: where it arose, without the message, which may quote a record."""
        self._log.error("failure", route=route, request_id=request_id, error=type(error).__name__, at=places(error))

    def mappings(self, outcome: str, digest: str, findings: list[str]) -> None:
        """A try to take changed mappings into use; a warning when the running ones stay because of findings."""
        level = self._log.warning if findings else self._log.info
        level("mappings", outcome=outcome, hash=digest[:8], findings=findings)

    def outbox(self, event: str, **facts: Any) -> None:
        """What became of telling a change: its name and type, never the resource or its patient."""
        level = {"outbox_dead": self._log.error, "outbox_retry": self._log.warning}.get(event, self._log.info)
        level(event, **facts)

    def outbox_failure(self, error: BaseException) -> None:
        """A fault in telling changes: of ours, or of the database."""
        self._log.error("outbox_failure", error=type(error).__name__, at=places(error))

    def bad_row(self, mapping: str, row: str, error: BaseException) -> None:
        """A record that could not be rendered."""
        self._log.error("bad_row", mapping=mapping, row=row, error=type(error).__name__, at=places(error))


def places(error: BaseException) -> list[str]:
    """The frames of a traceback, innermost last, without values."""
    frames = traceback.extract_tb(error.__traceback__)
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]]
