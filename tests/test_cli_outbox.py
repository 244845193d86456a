"""The commands about the outbox, and the settings that turn it on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fhir_facade.app import build_app
from fhir_facade.cli import app
from fhir_facade.mapping.mapping_set import MappingSet
from fhir_facade.settings import Settings
from fhir_facade.store.opening import open_store
from fhir_facade.store.outbox import Outbox
from tests.outbox.changes import MADE, change, put

NAMES = [change(0, number).change for number in range(3)]


@pytest.fixture
def database(mapping_set: MappingSet, tmp_path: Path) -> str:
    """A database with three changes of one patient, of which the first is dead."""
    path = tmp_path / "told.db"
    store = open_store(path, mapping_set.kinds, mapping_set.search.columns)
    outbox = Outbox(store)
    outbox.make()
    put(store, outbox, *(change(0, number) for number in range(3)))
    with outbox.stepping() as connection:
        entry = outbox.claim(connection, 1, MADE)
        assert entry is not None
        outbox.failed(connection, entry, "dead", MADE, "HTTP 422 business-rule", keeps=True)
    store.close()
    return str(path)


def run(*words: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["outbox", *words])
    return done.exit_code, done.stdout, done.stderr


def test_what_waits_and_what_is_dead_is_listed(database: str) -> None:
    code, listed, said = run("list", "--db", database)
    assert code == 1  # something is dead
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["waiting", NAMES[1]], ["waiting", NAMES[2]], ["dead", NAMES[0]],
    ]  # fmt: skip
    assert "HTTP 422 business-rule" in listed
    assert "waiting: 2" in said and "dead: 1" in said
    assert run("list", "--state", "dead", "--db", database)[1].count("\n") == 1
    assert run("list", "--state", "lost", "--db", database)[0] == 2


def test_a_change_is_shown_without_the_resource_unless_it_is_asked_for(database: str) -> None:
    code, shown, _ = run("show", NAMES[0], "--db", database)
    assert code == 0
    facts = json.loads(shown)
    assert (facts["state"], facts["attempts"], facts["type"], "content" in facts) == ("dead", 1, "Basic", False)
    shown = run("show", NAMES[0], "--content", "--db", database)[1]
    assert json.loads(shown)["content"] == {"resourceType": "Basic", "id": "0"}
    assert run("show", "nothing", "--db", database)[0] == 2


def test_a_dead_change_is_tried_again_or_skipped(database: str) -> None:
    assert run("retry", NAMES[0], "--db", database)[0] == 0
    assert json.loads(run("show", NAMES[0], "--db", database)[1])["state"] == "waiting"
    assert run("list", "--db", database)[0] == 0
    assert run("skip", NAMES[0], "--db", database)[0] == 0
    code, _, said = run("retry", NAMES[0], "--db", database)
    assert (code, "skipped" in said) == (2, True)


def test_where_there_is_no_outbox_it_is_said_so(mapping_set: MappingSet, tmp_path: Path) -> None:
    path = tmp_path / "plain.db"
    open_store(path, mapping_set.kinds, mapping_set.search.columns).close()
    code, _, said = run("list", "--db", str(path))
    assert (code, "there is no outbox" in said) == (2, True)
    code, _, said = run("deliver", "--db", str(path))
    assert (code, "outbox_url" in said) == (2, True)


def test_what_is_told_goes_by_https_or_to_this_machine() -> None:
    assert Settings(outbox_url="https://epj.example.no/fhir").outbox_endpoint.url
    assert Settings(outbox_url="http://127.0.0.1:9/fhir").outbox_endpoint.url
    for given in (
        {"outbox_url": "http://epj.example.no/fhir"}, {"outbox_url": "https://user@epj.example.no"},
        {"outbox_url": "epj"}, {"outbox_headers": {"X\r\nY": "1"}}, {"outbox_headers": {"X": "1\r\nY: 2"}},
        {"outbox_token": "a\nb"}, {"outbox_parallel": 0}, {"outbox_dead": "vanish"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="outbox"):
            Settings(**given)  # type: ignore[arg-type]
    told = Settings(outbox_url="https://epj.example.no", outbox_token="t0ken", outbox_headers={"X": "hidden"})  # type: ignore[arg-type]
    assert told.outbox_endpoint.headers == {"X": "hidden", "Authorization": "Bearer t0ken"}
    assert "t0ken" not in repr(told) + repr(told.outbox_endpoint) and "hidden" not in repr(told)


def test_the_outbox_is_off_until_it_has_an_endpoint(
    database: str, mapping_set: MappingSet, tmp_path: Path, ask_app: Callable[[Any], Any]
) -> None:
    plain = tmp_path / "plain.db"
    open_store(plain, mapping_set.kinds, mapping_set.search.columns).close()
    server = build_app(Settings(database=plain))  # type: ignore[arg-type]
    answer = ask_app(server)("GET", "/outbox/status")
    server.close()
    assert (answer.status_code, answer.json()["resourceType"]) == (404, "OperationOutcome")
    server = build_app(Settings(database=database, outbox_url="http://127.0.0.1:9"))  # type: ignore[arg-type]
    answer = ask_app(server)("GET", "/outbox/status")
    server.close()
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert (answer.json()["changes"]["dead"], answer.json()["dead"][0]["change"]) == (1, NAMES[0])
