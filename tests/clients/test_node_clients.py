"""Clients from npm at work under Node, where there is a Node."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.served import Served

OURS = Path(__file__).with_name("node")
BUILD = Path(__file__).resolve().parents[2] / "build" / "node-clients"
OFFLINE = re.compile(r"code (ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT)")
OLDEST = 18
WAIT = 240
AT_LEAST = {"fhir-kit-client": 26, "fhirclient": 25}
"""Tests that each file has: a runner that finds none ends well too."""


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes of the same run out of a folder."""
    fcntl = pytest.importorskip("fcntl", reason="the folder of the clients cannot be locked on this system")
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def node() -> Callable[[str, Served], subprocess.CompletedProcess[str]]:
    """A function that runs one of our test files with its client, installed by the lock file."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        pytest.skip("Node and npm are not on this machine; the clients from npm need them")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").split(".")[0]) < OLDEST:
        pytest.skip(f"Node is {version} here; the clients need {OLDEST} or newer")
    names = sorted(path for path in OURS.iterdir() if path.is_file())
    digest = hashlib.sha256(b"".join([version.encode(), (OURS / "package-lock.json").read_bytes()])).hexdigest()
    with alone(BUILD):
        for path in names:
            shutil.copy(path, BUILD)
        stamp = BUILD / "node_modules" / ".installed"
        if not (stamp.exists() and stamp.read_text() == digest):
            done = subprocess.run([npm, "ci"], cwd=BUILD, capture_output=True, text=True, timeout=WAIT)
            if done.returncode and (cause := OFFLINE.search(done.stderr)):
                pytest.skip(f"npm cannot reach its registry from here ({cause[1]}), so the clients are not installed")
            assert done.returncode == 0, done.stderr
            stamp.write_text(digest)

    def run(client: str, served: Served, folder: Path) -> subprocess.CompletedProcess[str]:
        told = folder / "resources.json"
        told.write_text(json.dumps(served.resources), "utf-8")
        environment = os.environ | {"FHIR_BASE": served.base, "FHIR_RESOURCES": str(told)}
        command = [node, "--test", "--test-reporter=tap", f"{client}.test.mjs"]
        return subprocess.run(command, cwd=BUILD, env=environment, capture_output=True, text=True, timeout=WAIT)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("client", sorted(AT_LEAST))
def test_a_client_from_npm_does_its_work(
    node: Callable[..., subprocess.CompletedProcess[str]], served: Served, tmp_path: Path, client: str
) -> None:
    done = node(client, served, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = dict(re.findall(r"^# (pass|fail|skipped|todo) (\d+)$", done.stdout, re.MULTILINE))
    assert int(counts["pass"]) >= AT_LEAST[client], done.stdout
    assert [counts[each] for each in ("fail", "skipped", "todo")] == ["0", "0", "0"]


def test_the_lock_file_names_hashes_and_no_place() -> None:
    packages = json.loads((OURS / "package-lock.json").read_text("utf-8"))["packages"]
    assert {"node_modules/fhir-kit-client", "node_modules/fhirclient"} <= packages.keys()
    locked = {name: each for name, each in packages.items() if name}
    assert [name for name, each in locked.items() if not each.get("integrity", "").startswith("sha")] == []
    assert [name for name, each in locked.items() if "resolved" in each] == []
