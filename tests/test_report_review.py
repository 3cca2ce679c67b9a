"""The review server against clients that mean it no good: slow, many, and with odd bytes."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from facekit.clean.overrides import read_overrides
from facekit.errors import ConfigError, FacekitError
from facekit.report.bounded_server import CONNECTIONS, BoundedServer
from facekit.report.review import LONGEST, ReviewHandlers, open_server


def picture(key: int) -> bytes:
    if key != 1:
        raise FacekitError(f"there is no key {key}")
    return b"\xff\xd8"


def save(body: bytes) -> None:
    read_overrides(body)


@contextmanager
def served(handlers: ReviewHandlers | None = None) -> Iterator[int]:
    with open_server(handlers or ReviewHandlers(lambda: "page", picture, save)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served() as port:
        yield port


def send(port: int, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(data)
    return connection


def answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    found = b""
    try:
        while part := connection.recv(1 << 16):
            found += part
    except ConnectionResetError:
        pass
    return found


def status(data: bytes) -> int:
    return int(data.split(b" ", 2)[1])


def post(port: int, length: bytes, body: bytes = b"", host: bytes = b"", path: bytes = b"/overrides") -> bytes:
    host = host or b"127.0.0.1:%d" % port
    head = b"POST %s HTTP/1.1\r\nHost: %s\r\nX-Facekit: review\r\nConnection: close\r\n" % (path, host)
    return head + b"Content-Length: " + length + b"\r\n\r\n" + body


def asked(port: int, data: bytes) -> bytes:
    with send(port, data) as connection:
        return answer(connection)


def body_of(text: bytes, port: int) -> bytes:
    return post(port, b"%d" % len(text), text)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b'{"keep": [1]}', 200),
        (b'{"move": {"1": 99999999999999999999}}', 400),
        (b'{"keep": ["99999999999999999999"]}', 400),
        (b'{"keep": [%s]}' % (b"9" * 5000), 400),
        (b"[" * 200_000, 400),
        (b'{"keep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b"\xff\xfe{}", 400),
        (b'{"keep": [true]}', 400),
        (b'{"keep": ["\xc2\xb2"]}', 400),
    ],
)
def test_only_overrides_are_saved(port: int, text: bytes, code: int, caplog: pytest.LogCaptureFixture) -> None:
    assert status(asked(port, body_of(text, port))) == code
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("label", [2**63, 10**19, -1])
def test_a_label_fits_its_column(label: int) -> None:
    with pytest.raises(ConfigError, match="is not a key or label"):
        read_overrides(f'{{"move": {{"1": {label}}}}}')
    assert read_overrides(f'{{"move": {{"1": {2**63 - 1}}}}}').move == {1: 2**63 - 1}


@pytest.mark.parametrize(
    ("length", "code"),
    [(b"", 411), (b"-5", 411), (b"\xb2", 411), (b"1e3", 411), (b"9" * 5000, 411), (b"%d" % (LONGEST + 1), 413)],
)
def test_lengths_that_are_none(port: int, length: bytes, code: int, caplog: pytest.LogCaptureFixture) -> None:
    assert status(asked(port, post(port, length))) == code
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("path", [b"/picture/\xb2", b"/picture/\xd9\xa1", b"/picture/" + b"9" * 5000, b"/\xff", b"//"])
def test_odd_addresses_are_not_found(port: int, path: bytes, caplog: pytest.LogCaptureFixture) -> None:
    host = b"127.0.0.1:%d" % port
    found = asked(port, b"GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (path, host))
    assert status(found) in (200, 404) if path == b"//" else status(found) == 404
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_no_bytes_make_a_request_fail(port: int, caplog: pytest.LogCaptureFixture, line: bytes, head: bytes) -> None:
    asked(port, b"GET /" + line + b" HTTP/1.1\r\n" + head + b"\r\nConnection: close\r\n\r\n\r\n")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(
    ("host", "path"), [(b"example.org", b"/overrides"), (b"", b"/nowhere")], ids=["another host", "another place"]
)
def test_what_is_refused_is_not_read(port: int, host: bytes, path: bytes) -> None:
    """The answer comes though nothing of the body does; what follows is not taken for a request."""
    with send(port, post(port, b"1000", host=host, path=path).replace(b"Connection: close\r\n", b"")) as connection:
        found = answer(connection)
    assert status(found) in (403, 404)
    assert b"Connection: close" in found


def test_connections_that_send_nothing_hold_few_threads_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedServer, "seconds", 3.0)
    before = threading.active_count()
    with served() as port, ExitStack() as open_:
        waiting = [open_.enter_context(send(port, post(port, b"1000"))) for _ in range(100)]
        for connection in waiting[CONNECTIONS:]:
            # A reset may overtake the answer, as the server does not wait for what was still on its way.
            assert (answer(connection) or b"HTTP/1.1 503 ").startswith(b"HTTP/1.1 503 ")
        assert threading.active_count() - before <= CONNECTIONS + 1
        for connection in waiting[:CONNECTIONS]:
            assert b" 200 " not in answer(connection)  # ends, though the client neither sends nor closes
        assert threading.active_count() - before <= CONNECTIONS + 1
        assert status(answer(open_.enter_context(send(port, body_of(b"{}", port))))) == 200


def test_a_byte_now_and_then_does_not_hold_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedServer, "seconds", 1.0)
    ended = threading.Event()
    with served() as port, send(port, b"GET / HTTP/1.1\r\nX: ") as connection:

        def drip() -> None:
            try:
                while not ended.wait(0.05):
                    connection.sendall(b"x")
            except OSError:
                pass

        sender = threading.Thread(target=drip, daemon=True)
        sender.start()
        assert b" 200 " not in answer(connection)
        ended.set()
        sender.join()


def test_a_page_that_cannot_be_made_is_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    def page() -> str:
        raise ValueError("overrides.json, line 1: no JSON")

    with served(ReviewHandlers(page, picture, save)) as port:
        host = b"127.0.0.1:%d" % port
        found = asked(port, b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
    assert status(found) == 500
    assert b"overrides.json, line 1" in found
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_picture_does_not_wait_for_the_head_before_it_to_be_acknowledged() -> None:
    """Head and body are written apart; with Nagle's algorithm (RFC 896) each body waits 40 ms."""
    delays = []

    def watched(key: int) -> bytes:
        delays.extend(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for connection in server._deadlines)
        return picture(key)

    with open_server(ReviewHandlers(lambda: "page", watched, save)) as server:
        assert isinstance(server, BoundedServer)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        port = server.server_address[1]
        head = b"GET /picture/1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n" % port
        assert status(asked(port, head)) == 200
        server.shutdown()
        thread.join()
    assert delays
    assert all(delays)
