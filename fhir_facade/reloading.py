"""Take changed mapping files into use while serving: read, check, prove, and only then swap one reference.

A look compares names, sizes and times of the files. A faulty set changes nothing: the running one stays, and what was
wrong with the other is logged and shown at /mappings/status. Requests keep the set that they began with.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from fhir_facade import garbage
from fhir_facade.mapping.columns import FieldIndex, SearchColumn
from fhir_facade.mapping.findings import Finding, MappingError
from fhir_facade.mapping.mapping_set import MappingSet, load_mapping_set
from fhir_facade.mapping.site_examples import judges, proofs
from fhir_facade.rest.access_log import AccessLog
from fhir_facade.rest.surface import FhirLane
from fhir_facade.store.tables import Schema, build_schema

Outcome = Literal["taken into use", "refused", "unchanged", "changed while it was read"]
Snapshot = frozenset[tuple[str, int, int]]
"""Name, size and time of change (ns) of every file of a folder that a set depends on."""

SUFFIXES = (".yaml", ".json", ".py")
RESTART = "load the records into a new database and start again"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try to take a set into use: when (ISO 8601 UTC), what came of it, the set's hash, and what was found."""

    at: str
    outcome: Outcome
    hash: str = ""
    findings: tuple[str, ...] = ()


class Reloader:
    """Looks after the mappings of one lane, with what a site lays over them; `look` may be called from any thread."""

    def __init__(
        self,
        lane: FhirLane,
        schema: Schema,
        folder: Path,
        log: AccessLog,
        site: Path | None = None,
        profiles: Path | None = None,
    ) -> None:
        self._lane, self._schema, self._folder, self._log = lane, schema, folder, log
        self._site, self._profiles = site, profiles
        self._one_at_a_time = Lock()
        self._seen = self._snapshot()
        self._loaded_at = now()
        self.last: Attempt | None = None

    def look(self, *, force: bool = False) -> Attempt | None:
        """Try the files if they have changed since the last look, or in any case; None when there was nothing to do."""
        with self._one_at_a_time:
            found = self._snapshot()
            if found == self._seen and not force:
                return None
            self._seen = found
            attempt = self._attempt(found)
            self.last = attempt
        self._log.mappings(attempt.outcome, attempt.hash, list(attempt.findings))
        return attempt

    def _snapshot(self) -> Snapshot:
        folders = [folder for folder in (self._folder, self._site, self._profiles) if folder is not None]
        return frozenset().union(*map(snapshot, folders))

    def _attempt(self, found: Snapshot) -> Attempt:
        try:
            mapping_set = load_mapping_set(self._folder, self._site, self._profiles)
            findings = [] if mapping_set.hash == self.running.hash else self._faults(mapping_set)
        except MappingError as error:
            return Attempt(now(), "refused", "", tuple(map(str, error.findings)))
        except Exception as error:  # whatever a half-written folder may do, the server goes on
            return Attempt(now(), "refused", "", (f"the mappings cannot be read: {type(error).__name__}",))
        if self._snapshot() != found:
            self._seen = frozenset()  # so that the next look is sure to try again
            return Attempt(now(), "changed while it was read", mapping_set.hash)
        if findings:
            return Attempt(now(), "refused", mapping_set.hash, tuple(findings))
        if mapping_set.hash == self.running.hash:
            return Attempt(now(), "unchanged", mapping_set.hash)
        for mapping in mapping_set.mappings.values():
            mapping.to_bytes  # noqa: B018 -- compiled here, so that no request waits for it
        self._lane.services = self._lane.services_with(mapping_set)
        self._loaded_at = now()
        garbage.renew()
        return Attempt(self._loaded_at, "taken into use", mapping_set.hash)

    @property
    def running(self) -> MappingSet:
        """The set that answers requests now."""
        return self._lane.services.mapping_set

    def _faults(self, mapping_set: MappingSet) -> list[str]:
        """What keeps a sound set from being served here: other tables, or examples that do not hold."""
        faults = [str(each) for each in unfit_for(self._schema, mapping_set)]
        found = judges(mapping_set, self._folder, self._site, self._profiles)
        for name, mapping in mapping_set.mappings.items():
            for proof in proofs(mapping_set, found[name], mapping, thorough=False):
                faults += proof.lines()
        return faults

    def status(self) -> dict[str, Any]:
        """What runs, since when, and what became of the last change of the files."""
        running = self.running
        return {
            "hash": running.hash,
            "loaded": self._loaded_at,
            "mappings": [
                {"name": each.name, "version": each.version, "hash": each.hash8, "type": each.resource_type}
                for each in running.mappings.values()
            ],
            "attempt": asdict(self.last) if self.last else None,
        }

    @asynccontextmanager
    async def watching(self, seconds: float) -> AsyncIterator[None]:
        """Look every so many seconds, and at once on SIGHUP where there is one; 0 never looks."""
        if not seconds:
            yield
            return
        task = asyncio.create_task(self._watch(seconds))
        unhook = _on_hangup(lambda: self.look(force=True))
        try:
            yield
        finally:
            unhook()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _watch(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.look)


def _on_hangup(look: Callable[[], object]) -> Callable[[], None]:
    """Hear SIGHUP while the loop runs; returns what ends that. Only the main thread of a Unix process can."""
    loop, looks = asyncio.get_running_loop(), set[asyncio.Future[object]]()

    def heard() -> None:
        done = loop.run_in_executor(None, look)
        looks.add(done)  # the loop alone would let go of it
        done.add_done_callback(looks.discard)

    def unhook() -> None:
        loop.remove_signal_handler(signal.SIGHUP)

    try:
        loop.add_signal_handler(signal.SIGHUP, heard)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError):
        return lambda: None  # Windows, or a loop in another thread
    return unhook


def unfit_for(schema: Schema, mapping_set: MappingSet) -> list[Finding]:
    """What an open database lacks for a set: tables and fields, and search columns, which are filled when written."""
    have = {(each.kind, each.child, each.name): each for each in columns_of(schema)}
    old = build_schema(schema.kinds, ()).fingerprint
    if build_schema(mapping_set.kinds, ()).fingerprint != old:
        return [Finding("records", 1, f"the record kinds ask for other tables than the open database has: {RESTART}")]
    out = []
    for each in mapping_set.search.columns:
        if isinstance(each, FieldIndex) or not each.stored:
            continue  # without an index a search is slower, and true
        mine = have.get((each.kind, each.child, each.name))
        if mine is None or (mine.type, mine.reads) != (each.type, each.reads):
            field = ".".join(
                part for part in (each.kind, each.child, " | ".join(name for name, _ in each.reads)) if part
            )
            what = "is not prepared" if mine is None else "was prepared otherwise"
            said = f"search by {field} {what} in the open database: {RESTART}"
            out.append(Finding(mapping_set.kinds[each.kind].at.partition(":")[0], 1, said))
    return out


def columns_of(schema: Schema) -> list[SearchColumn]:
    """The search columns that a database has."""
    found: list[SearchColumn] = []
    for shape in schema.shapes.values():
        found += shape.search
        for part in shape.lists:
            found += part.search
    return found


def snapshot(folder: Path) -> Snapshot:
    """Name, size and time of change of the files of a folder; what vanishes meanwhile is left out."""
    found = set()
    for path in folder.rglob("*"):
        with suppress(OSError):
            if path.suffix in SUFFIXES and path.is_file():
                stat = path.stat()
                found.add((path.as_posix(), stat.st_size, stat.st_mtime_ns))
    return frozenset(found)


def now() -> str:
    """This instant, ISO 8601 UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
