"""The printed OpenAPI document judges the served process, with requests that schemathesis makes up.

OPENAPI_EXAMPLES says how many examples each operation gets; 100 looks at every operation in every way, and takes a
while. SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import random
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.rest.canonical_resources import TYPES
from tests.served import Served, serving

ROOT = Path(__file__).resolve().parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "1"))
WHOLE = 100
"""From so many examples on, the boundaries of all schemas are tried."""
SOME = 25
"""Operations whose boundaries a quick run tries."""
SEED = int(os.environ.get("SEED", secrets.randbelow(2**31)))
MALFORMED = "WARNING:  Invalid HTTP request received."
"""What uvicorn says when a request is no HTTP; some of those that are made up are none."""
WAIT = 6 * 3600


@pytest.fixture(scope="module")
def server(mapping_set: MappingSet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("openapi"), mapping_set, 10, MALFORMED) as served:
        yield served


@pytest.fixture(scope="module")
def ids(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of some ids of each type that the server has."""
    found = {kind: sorted(each)[:5] for kind, each in server.resources.items()}
    for kind in TYPES:
        bundle = httpx.get(f"{server.base}/{kind}?_count=3", trust_env=False).json()
        found[kind] = [each["resource"]["id"] for each in bundle["entry"]]
    path = tmp_path_factory.mktemp("ids") / "ids.json"
    path.write_text(json.dumps(found))
    return path


def run(server: Served, ids: Path, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Let schemathesis judge the server by the document that is printed."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run"),
        *(str(ROOT / "openapi" / "openapi.json"), "--url", server.base, "--checks", "all", "--seed", str(SEED)),
        *("--max-examples", str(EXAMPLES), "--continue-on-failure", "--generation-database", "none", "--no-color"),
        *("--warnings", "off", "--suppress-health-check", "all", *options),
    ]
    hooks = str(CONFIG.with_name("hooks.py"))
    environment = os.environ | {"FHIR_IDS": str(ids), "SCHEMATHESIS_HOOKS": hooks, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=WAIT)
    (folder / "schemathesis.txt").write_text(done.stdout + done.stderr)
    print(f"seed {SEED}, {EXAMPLES} examples", done.stdout[-2_000:])
    return done


def judged(done: subprocess.CompletedProcess[str], operations: int) -> None:
    """Nothing was found, and not because nothing was looked at."""
    assert done.returncode == 0, f"seed {SEED}\n{done.stdout[:20_000]}\n{done.stderr}"
    assert f"Tested: {operations}" in done.stdout
    assert re.search(r"\d+ generated, \d+ passed", done.stdout)


def operations_of_document() -> list[str]:
    paths = json.loads((ROOT / "openapi" / "openapi.json").read_text("utf-8"))["paths"]
    return [each["operationId"] for methods in paths.values() for each in methods.values()]


@pytest.mark.slow
@pytest.mark.timeout(WAIT)
def test_the_server_does_what_its_openapi_document_says(server: Served, ids: Path, tmp_path: Path) -> None:
    done = run(server, ids, tmp_path, "--phases", "examples,fuzzing")
    judged(done, len(operations_of_document()))


@pytest.mark.slow
@pytest.mark.timeout(WAIT)
def test_it_does_so_at_the_boundaries_of_the_schemas(server: Served, ids: Path, tmp_path: Path) -> None:
    """At those of some operations, others each time; at those of all of them in a thorough run."""
    every = operations_of_document()
    some = every if EXAMPLES >= WHOLE else random.Random(SEED).sample(every, SOME)
    named = [part for each in some for part in ("--include-operation-id", each)] if some != every else []
    judged(run(server, ids, tmp_path, "--phases", "coverage", *named), len(some))
