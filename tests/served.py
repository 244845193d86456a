"""A server in a process of its own over synthetic records, and what it must say of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.store.records import SqliteStore
from fhir_facade.store.synthetic import load_into

Resource = dict[str, Any]
NOW = "2026-01-01T10:00:00.000Z"
WAIT = 60


@dataclass(frozen=True)
class Served:
    """Where the server is, and every resource that its store holds, by type and id, as the plain interpreter says."""

    base: str
    resources: dict[str, dict[str, Resource]]
    process_id: int

    def ids(self, resource_type: str, holds: Callable[[Resource], bool] = lambda _: True) -> set[str]:
        """The ids of the resources of a type for which something holds."""
        return {key for key, each in self.resources[resource_type].items() if holds(each)}

    def referring(self, resource_type: str, element: str, target: str) -> set[str]:
        """The ids of the resources of a type whose element refers to a target such as Patient/1."""
        return self.ids(resource_type, lambda each: each.get(element, {}).get("reference") == target)

    def __repr__(self) -> str:
        return f"<served at {self.base}>"


@contextmanager
def serving(folder: Path, mapping_set: MappingSet, patients: int = 30, expected: str = "") -> Iterator[Served]:
    """Serve the records of synthetic patients on loopback until the block is left; it may log `expected` only."""
    path = folder / "served.db"
    store = SqliteStore.open(path, mapping_set.kinds, mapping_set.search.columns)
    load_into(store, mapping_set.kinds, patients, 1, NOW)
    resources: dict[str, dict[str, Resource]] = {}
    for resource_type, mappings in mapping_set.by_type.items():
        every = (each.interpret(record, []) for each in mappings for record in store.scan(each.kind.name))
        resources[resource_type] = {str(each["id"]): each for each in every if each}
    store.close()
    command = [sys.executable, "-m", "fhir_facade.cli", "serve", "--db", str(path), "--port", "0"]
    environment = os.environ | {"FHIR_FACADE_LOG_LEVEL": "error"}
    with (folder / "stderr").open("w") as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment)
        with process:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.match(r"FHIR R4 at (\S+)", line)
            try:
                assert found, line
                assert httpx.get(f"{found[1]}/metadata", timeout=WAIT, trust_env=False).status_code == 200
                yield Served(found[1], resources, process.pid)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(WAIT)
    told = {line for line in (folder / "stderr").read_text().splitlines() if line != expected}
    assert (process.returncode, told) == (0, set())
