"""What becomes of one request to a real socket, whatever the other side does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest

from fhir_facade.outbox.sending import Endpoint
from fhir_facade.outbox.verdicts import Answer
from fhir_facade.store.outbox_tables import Entry
from tests.bundles.case_files import synthetic_number
from tests.outbox.changes import change
from tests.outbox.receiver import Fault, Receiver

SHORT = 0.3


def entry(act: str = "update") -> Entry:
    made = change(1, 7)
    content = None if act == "delete" else made.content
    return Entry(5, *made[:5], act, content, made.made, "sending", 1, made.made, "", None)  # type: ignore[arg-type]


@contextmanager
def answering(fault: Fault | None) -> Iterator[tuple[Receiver, Endpoint]]:
    receiver = Receiver(lambda done: fault)
    with receiver.listening():
        yield receiver, Endpoint(receiver.url, {"Authorization": "Bearer secret"}, 5)


def test_a_change_is_put_with_its_key() -> None:
    with answering(None) as (receiver, endpoint):
        assert endpoint.send(entry()) == Answer(200)
        assert endpoint.send(entry("delete")) == Answer(200)
    (done,) = receiver.done  # the second had the same key
    assert (done.method, done.path, done.body) == ("PUT", "/epj/fhir/Basic/7", {"resourceType": "Basic", "id": "7"})
    wanted = {"Authorization": "Bearer secret", "Idempotency-Key": change(1, 7).change, "Outbox-Position": "5"}
    assert wanted | {"Outbox-Change": "update"} | done.headers == done.headers
    assert done.headers["Content-Type"] == "application/fhir+json"
    assert "secret" not in repr(endpoint)


def test_a_deletion_has_no_body() -> None:
    with answering(None) as (receiver, endpoint):
        endpoint.send(entry("delete"))
    (done,) = receiver.done
    assert (done.method, done.path, done.body) == ("DELETE", "/epj/fhir/Basic/7", None)


def test_what_is_kept_of_a_refusal_are_codes_and_no_words() -> None:
    number = synthetic_number()
    issues = [{"code": "business-rule", "diagnostics": number}, {"code": number}, {"code": "value"}]
    said = orjson.dumps({"resourceType": "OperationOutcome", "issue": issues})
    with answering((422, {}, said)) as (_, endpoint):
        assert endpoint.send(entry()) == Answer(422, "business-rule, value")
    for said in (b"", b"no JSON", b"[]", b'{"issue": 1}', b'{"resourceType":"OperationOutcome","issue":[1]}'):
        with answering((422, {}, said)) as (_, endpoint):
            assert endpoint.send(entry()) == Answer(422)


def test_retry_after_is_seconds_or_an_instant() -> None:
    for text, seconds in (("7", 7.0), ("soon", None), ("-1", None), (str(10**12), None)):
        with answering((503, {"Retry-After": text}, b"")) as (_, endpoint):
            assert endpoint.send(entry()) == Answer(503, "", seconds)
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    with answering((503, {"Retry-After": later}, b"")) as (_, endpoint):
        wait = endpoint.send(entry()).wait
    assert wait is not None and 0 < wait <= 600


def test_redirects_are_not_followed() -> None:
    with answering((307, {"Location": "http://elsewhere.test/"}, b"")) as (receiver, endpoint):
        assert endpoint.send(entry()).status == 307
    assert len(receiver.tried) == 1


@pytest.mark.parametrize("fault", ["hang up", "lose"])
def test_an_answer_that_does_not_come(fault: str) -> None:
    with answering(fault) as (_, endpoint):
        assert endpoint.send(entry()) == Answer(0, "the connection was lost")


def test_nobody_listens() -> None:
    with answering(None) as (_, endpoint):
        pass
    assert endpoint.send(entry()) == Answer(0, "the connection was refused")


def test_no_answer_in_time() -> None:
    with answering("hold") as (receiver, endpoint):
        assert Endpoint(endpoint.url, timeout=SHORT).send(entry()) == Answer(0, "no answer in time")
        receiver.let_go.set()


@pytest.mark.parametrize("drop", [b"H", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx"])
def test_an_answer_that_comes_letter_by_letter_is_given_up_in_time(drop: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gone = threading.Event()

        def drip() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.sendall(drop)
                while not gone.wait(SHORT / 10):
                    try:
                        peer.sendall(b"x")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        answer = Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=SHORT).send(entry())
        gone.set()
        thread.join()
    assert answer == Answer(0, "no answer in time")


@pytest.mark.parametrize("said", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 100 + b"\r\n\r\n"])
def test_what_is_no_http(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def speak() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(said)

        thread = threading.Thread(target=speak)
        thread.start()
        answer = Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=5).send(entry())
        thread.join()
    assert (answer.status, bool(answer.reason)) == (0, True)
