"""Start servers in processes of their own, on loopback, and end them by their process id."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

LOOPBACK = "127.0.0.1"
SERVER_CORE, CLIENT_CORE = 0, 1
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Server:
    """A process that answers on a port; its paths begin with `prefix`."""

    pid: int
    port: int
    prefix: str

    def cpu_seconds(self) -> float:
        """The processor time that it and its workers have used; 0 where the system does not say."""
        try:
            workers = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            return sum(map(_cpu_seconds, (str(self.pid), *workers)))
        except OSError:
            return 0.0


def _cpu_seconds(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / float(os.sysconf("SC_CLK_TCK"))


@contextmanager
def running(
    arguments: list[str], prefix: str, port: int, *, pinned: bool = True, **environment: str
) -> Iterator[Server]:
    """Run `python -m` with the arguments until the block ends, on one core; it must answer within half a minute."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if pinned:
        pin(process.pid, SERVER_CORE)
    try:
        _wait_for(port, process)
        yield Server(process.pid, port, prefix)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def pin(pid: int, core: int) -> None:
    """Keep a process on one core, where the system can and there are two."""
    if hasattr(os, "sched_setaffinity") and {SERVER_CORE, CLIENT_CORE} <= os.sched_getaffinity(0):
        os.sched_setaffinity(pid, {core})


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} does not answer")
