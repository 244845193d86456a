"""Changed mapping files while the server runs: taken into use when they are sound, refused and told when not."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import orjson
import pytest

from fhir_facade.app import Server, build_app
from fhir_facade.mapping.goldens import accept
from fhir_facade.mapping.mapping_set import load_mapping_set
from fhir_facade.reloading import Attempt, Reloader, snapshot
from fhir_facade.rest.access_log import AccessLog
from fhir_facade.settings import Settings
from tests.mapping_sample import FILE, USUAL, change, put, small_set, stored

Ask = Callable[..., httpx.Response]
WAIT = 60
FLIP = ("old if gone else official", "temp if gone else official")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_set(tmp_path / "mappings")


@pytest.fixture
def database(folder: Path, tmp_path: Path) -> Path:
    return stored(folder, tmp_path / "x.db")


@pytest.fixture
def server(folder: Path, database: Path) -> Server:
    """A server over the small set; its examples have no resources yet, so that they are taken away here."""
    shutil.rmtree(folder / "client.patient.examples")
    return build_app(Settings(database=database, mappings=folder, log_level="error"))


@pytest.fixture
def heard() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def reloader(server: Server, folder: Path, heard: io.StringIO) -> Reloader:
    store: Any = server.lane.services.store
    return Reloader(server.lane, store.schema, folder, AccessLog("info", heard))


@pytest.fixture
def ask(server: Server, ask_app: Callable[[Any], Ask]) -> Ask:
    return ask_app(server)


def test_without_a_change_nothing_is_tried(reloader: Reloader) -> None:
    assert reloader.look() is None
    forced = reloader.look(force=True)
    assert forced is not None
    assert forced.outcome == "unchanged"


def looked(reloader: Reloader) -> Attempt:
    attempt = reloader.look()
    assert attempt is not None
    return attempt


def status(ask: Ask) -> Any:
    answer = ask("GET", "/mappings/status")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    return answer.json()


GONE = "  - {epj: gone, fhir: deceasedDateTime}\n"


def test_a_sound_change_is_taken_into_use_everywhere(reloader: Reloader, folder: Path, ask: Ask) -> None:
    assert ask("GET", "/fhir/Patient/1.7").json()["deceasedDateTime"]
    assert "death-date" in ask("GET", "/openapi.json").text
    before = ask("GET", "/fhir/metadata")
    change(folder / FILE, GONE, "")
    attempt = looked(reloader)
    assert (attempt.outcome, attempt.findings) == ("taken into use", ())
    assert "deceasedDateTime" not in ask("GET", "/fhir/Patient/1.7").json()
    assert "death-date" not in ask("GET", "/openapi.json").text
    after = ask("GET", "/fhir/metadata", headers={"If-None-Match": before.headers["etag"]})
    assert (after.status_code, "death-date" in before.text, "death-date" in after.text) == (200, True, False)
    assert ask("GET", "/fhir/Patient?death-date=2025").status_code == 400
    assert reloader.look() is None


def test_a_change_of_a_rendering_changes_the_etag(reloader: Reloader, folder: Path, ask: Ask) -> None:
    before = ask("GET", "/fhir/Patient/1.7")
    change(folder / FILE, *FLIP)
    known = {"If-None-Match": before.headers["etag"]}
    assert ask("GET", "/fhir/Patient/1.7", headers=known).status_code == 304
    looked(reloader)
    after = ask("GET", "/fhir/Patient/1.7", headers=known)
    names = [answer.json()["name"] for answer in (before, after)]
    assert (after.status_code, names) == (200, [[{"use": "old", "family": "Li"}], [{"use": "temp", "family": "Li"}]])
    assert after.headers["etag"] == f'W/"{after.json()["meta"]["versionId"]}"' != before.headers["etag"]


def test_a_faulty_change_is_refused_told_and_mended(
    reloader: Reloader, folder: Path, ask: Ask, heard: io.StringIO
) -> None:
    running = reloader.running
    change(folder / FILE, "epj: family", "epj: famly")
    attempt = looked(reloader)
    assert attempt.outcome == "refused"
    assert attempt.findings[0].startswith(f"{FILE}:13: client has no field 'famly' (did you mean 'family'?)")
    assert reloader.running is running
    assert ask("GET", "/fhir/Patient/1.7").json()["name"][0]["family"] == "Li"
    line = orjson.loads(heard.getvalue().splitlines()[-1])
    assert (line["event"], line["level"], line["outcome"]) == ("mappings", "warning", "refused")
    assert line["findings"] == list(attempt.findings)
    assert reloader.look() is None, "the same fault is told once"
    change(folder / FILE, "epj: famly", "epj: family")
    assert looked(reloader).outcome == "unchanged"


def test_a_folder_that_cannot_be_read_stops_nothing(reloader: Reloader, folder: Path, ask: Ask) -> None:
    shutil.rmtree(folder)
    assert looked(reloader).outcome == "refused"
    assert ask("GET", "/fhir/Patient/1.7").status_code == 200


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        (FILE, "born | bornYear", "bornYear | born", "search by client.bornYear | born is not prepared"),
        (FILE, "{epj: born | bornYear, fhir: birthDate}\n", "{epj: born, fhir: birthDate}\n", "search by client.born is not prepared"),
        ("records/client.yaml", "  note:", "  more: {type: text, meaning: more}\n  note:", "other tables than the open database has"),
    ],
)  # fmt: skip
def test_what_the_open_database_is_not_made_for_is_refused(
    reloader: Reloader, folder: Path, file: str, old: str, new: str, said: str
) -> None:
    change(folder / file, old, new)
    change(
        folder / FILE,
        "ignore:\n",
        "ignore:\n  more: none\n"
        if "more" in new
        else "ignore:\n  bornYear: none\n"
        if "|" not in new
        else "ignore:\n",
    )
    attempt = looked(reloader)
    assert attempt.outcome == "refused"
    assert any(said in finding and "start again" in finding for finding in attempt.findings), attempt.findings


def test_a_set_whose_examples_do_not_hold_is_refused(reloader: Reloader, folder: Path) -> None:
    put(folder, "01-usual.epj.json", USUAL)
    mapping_set = load_mapping_set(folder)
    list(accept(mapping_set, folder, mapping_set.mappings["client-patient"]))
    assert looked(reloader).outcome == "unchanged"
    change(folder / FILE, *FLIP)
    attempt = looked(reloader)
    assert attempt.outcome == "refused"
    assert "Patient.name[0].use: expected 'old', got 'temp'" in "\n".join(attempt.findings)
    list(accept(load_mapping_set(folder), folder, load_mapping_set(folder).mappings["client-patient"]))
    assert looked(reloader).outcome == "taken into use"


def test_shipped_examples_judge_what_a_site_leaves_alone(
    server: Server, folder: Path, heard: io.StringIO, tmp_path: Path
) -> None:
    site, store = tmp_path / "nord", server.lane.services.store
    site.mkdir()
    reloader = Reloader(server.lane, cast(Any, store).schema, folder, AccessLog("info", heard), site)
    put(folder, "01-usual.epj.json", USUAL)
    mapping_set = load_mapping_set(folder)
    list(accept(mapping_set, folder, mapping_set.mappings["client-patient"]))
    change(folder / FILE, *FLIP)
    attempt = looked(reloader)
    assert attempt.outcome == "refused"
    assert "Patient.name[0].use: expected 'old', got 'temp'" in "\n".join(attempt.findings)
    row = "{fhir: 'name[main].use', derive: nickname if gone else official}"
    (site / "clients.yaml").write_text(f"extends: client-patient\nversion: 1.0.0\nreplace:\n  - {row}\n", "utf-8")
    assert looked(reloader).outcome == "taken into use"
    put(site, "01-ours.epj.json", USUAL)
    put(site, "01-ours.fhir.json", {})
    change(site / "clients.yaml", "nickname if", "anonymous if")
    attempt = looked(reloader)
    assert attempt.outcome == "refused"
    assert "client.patient.examples/01-ours: record -> FHIR" in "\n".join(attempt.findings)


def test_files_that_change_while_they_are_read_are_tried_again(
    server: Server, folder: Path, heard: io.StringIO
) -> None:
    class Late(Reloader):
        """Sees another folder at every look, as when someone writes into it."""

        looks = 0

        def _snapshot(self) -> Any:
            self.looks += 1
            return super()._snapshot() | {("written just now", self.looks, 0)}

    store: Any = server.lane.services.store
    running = server.lane.services.mapping_set
    late = Late(server.lane, store.schema, folder, AccessLog("info", heard))
    change(folder / FILE, *FLIP)
    assert looked(late).outcome == "changed while it was read"
    assert server.lane.services.mapping_set is running


def test_a_request_keeps_the_mappings_that_it_began_with(server: Server, reloader: Reloader, folder: Path) -> None:
    change(folder / FILE, *FLIP)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        assert looked(reloader).outcome == "taken into use"  # while the body is still on its way
        return {"type": "http.request", "body": b"identifier=7"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/fhir/Patient/_search", "query_string": b"",
        "headers": [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"12")],
    }  # fmt: skip
    asyncio.run(server(scope, receive, send))
    bundle = orjson.loads(sent[1]["body"])
    assert [entry["resource"]["name"][0]["use"] for entry in bundle["entry"]] == ["old"]


def test_status_tells_what_runs_and_what_became_of_the_last_change(
    server: Server, folder: Path, ask: Ask, database: Path
) -> None:
    told = status(ask)
    mapping = server.lane.services.mapping_set.mappings["client-patient"]
    assert told["hash"] == server.lane.services.mapping_set.hash
    assert told["mappings"] == [
        {"name": "client-patient", "version": "1.0.0", "hash": mapping.hash8, "type": "Patient"}
    ]
    assert (told["loaded"][:2], told["attempt"]) == ("20", None)


def test_watching_looks_by_itself_and_ends(reloader: Reloader, folder: Path) -> None:
    async def watch() -> int:
        async with reloader.watching(0.01):
            change(folder / FILE, *FLIP)
            async with asyncio.timeout(WAIT):
                while reloader.last is None or reloader.last.outcome != "taken into use":
                    await asyncio.sleep(0.01)
        return len(asyncio.all_tasks())

    assert asyncio.run(watch()) == 1


def test_watching_is_off_by_default(reloader: Reloader) -> None:
    async def tasks() -> int:
        async with reloader.watching(Settings().reload_mappings):
            return len(asyncio.all_tasks())

    assert asyncio.run(tasks()) == 1


def test_a_snapshot_knows_new_changed_and_vanished_files(folder: Path) -> None:
    first = snapshot(folder)
    (folder / "notes.txt").write_text("no file of a mapping set")
    assert snapshot(folder) == first
    file = folder / "codes" / "more.yaml"
    file.write_text("a: 1")
    second = snapshot(folder)
    file.write_text("a: 12")
    third = snapshot(folder)
    file.unlink()
    assert len({first, second, third}) == 3
    assert snapshot(folder) == first


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this platform has no SIGHUP")
def test_a_served_process_looks_on_sighup_and_shows_the_fault(folder: Path, database: Path) -> None:
    command = [sys.executable, "-m", "fhir_facade.cli", "serve", "--db", str(database), "--port", "0"]
    command += ["--reload-mappings", "3600"]
    environment = os.environ | {"FHIR_FACADE_MAPPINGS": str(folder), "FHIR_FACADE_LOG_LEVEL": "error"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            base = process.stdout.readline().split()[3].removesuffix("/fhir")
            until_ready(base)
            change(folder / FILE, "epj: family", "epj: famly")
            os.kill(process.pid, signal.SIGHUP)
            end = time.monotonic() + WAIT
            while (told := httpx.get(f"{base}/mappings/status", timeout=WAIT).json())["attempt"] is None:
                assert time.monotonic() < end, "no look after SIGHUP"
                time.sleep(0.05)
            assert told["attempt"]["outcome"] == "refused"
            assert "famly" in told["attempt"]["findings"][0]
            assert httpx.get(f"{base}/fhir/Patient/1.7", timeout=WAIT).status_code == 200
        finally:
            process.terminate()
        assert process.wait(WAIT) == 0


def until_ready(base: str) -> None:
    """Wait for the first answer: the handler of the signal is there then."""
    assert httpx.get(f"{base}/mappings/status", timeout=WAIT).status_code == 200
