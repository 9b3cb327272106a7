"""What only real connections show: heads, bodies and readers that are slow, broken or endless, TLS, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zhiyin.base.errors import ConfigError
from zhiyin.serve import logs
from zhiyin.serve.app import Server, build_app
from zhiyin.serve.guard import GuardedServer
from zhiyin.serve.listen import address, bound, prepared
from zhiyin.serve.operation import Answered, Call, Operation, Scope
from zhiyin.serve.settings import Settings, check_open
from zhiyin.testing.wire import chunks, connected, is_over, read_answer, request

FAST = Settings(port=0, read_timeout_s=1.0, write_timeout_s=1.0, max_connections=20)
GO = threading.Event()


class Keyless:
    """As much of a tenant as access asks for."""

    class keys:  # noqa: N801
        open = True

        @staticmethod
        def look() -> None: ...

    @staticmethod
    def close() -> None:
        CLOSED.append(True)


CLOSED: list[bool] = []


async def echo(call: Call) -> Any:
    return call.body


async def large(call: Call) -> Answered:
    return Answered(raw=b"x" * (32 << 20), media="text/plain")


async def slow(call: Call) -> str:
    await asyncio.to_thread(GO.wait, 10)
    return "done"


async def defect(call: Call) -> Any:
    raise KeyError("user-4711")


Any_ = dict[str, Any] | list[Any]
OPERATIONS = (
    Operation("echo", "POST", "/v1/{tenant}/echo", Scope.RECOMMEND, echo, "What was sent.", Any_, Any_, largest=1 << 20),
    Operation("large", "GET", "/v1/{tenant}/large", Scope.RECOMMEND, large, "Much.", bytes),
    Operation("slow", "GET", "/v1/{tenant}/slow", Scope.RECOMMEND, slow, "Late.", str),
    Operation("defect", "GET", "/v1/{tenant}/defect", Scope.RECOMMEND, defect, "Broken.", str),
)


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[tuple[int, GuardedServer]]:
    server = Server({"shop": Keyless()}, settings)  # type: ignore[dict-item]
    guarded = prepared(server, build_app(server, OPERATIONS), settings)
    taken = bound(settings)
    thread = threading.Thread(target=guarded.run, kwargs={"sockets": [taken]})
    thread.start()
    try:
        while not guarded.started and thread.is_alive():
            time.sleep(0.005)
        yield taken.getsockname()[1], guarded
    finally:
        guarded.should_exit = True
        thread.join(20)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running(FAST) as (port, _):
        yield port


def told(port: int, *pieces: bytes) -> tuple[int, dict[str, Any]]:
    """Status and problem of what is sent piece by piece."""
    with connected(port) as connection:
        for piece in pieces:
            with contextlib.suppress(ConnectionError):
                connection.sendall(piece)
        answer = read_answer(connection)
        assert answer is not None
        return answer.status, answer.json()


def test_requests_one_after_the_other_and_all_at_once_are_answered_in_order(port: int) -> None:
    with connected(port) as connection:
        rest = bytearray()
        for n in range(3):
            connection.sendall(request("/v1/shop/echo", b"[%d]" % n))
            answer = read_answer(connection, rest)
            assert answer is not None and (answer.status, answer.body) == (200, b"[%d]" % n)
        connection.sendall(b"".join(request("/v1/shop/echo", b"[%d]" % n) for n in range(50)))
        bodies = [read_answer(connection, rest) for _ in range(50)]
        assert [answer.body for answer in bodies if answer] == [b"[%d]" % n for n in range(50)]


def test_bodies_in_chunks_are_read_and_bounded(port: int) -> None:
    head = request("/v1/shop/echo", b"", "transfer-encoding: chunked", length=-1)
    assert told(port, head, chunks(b"[1,", b"2]")) == (200, [1, 2])
    piece = b"%x\r\n%s\r\n" % (1 << 18, b" " * (1 << 18))
    status, problem = told(port, head, *[piece] * 5)
    assert (status, problem["detail"]) == (413, "the body has more than 1,048,576 bytes")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 100, 400),
        (b"GET http:/// HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"CONNECT other:443 HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n", 404),
        (request("/v1/shop/echo", b"[]", "transfer-encoding: chunked"), 400),
        (request("/v1/shop/echo", b"", "transfer-encoding: chunked", length=-1) + b"zz\r\n", 400),
        (request("/v1/shop/echo", b"[]", "content-length: 7"), 400),
        (request("/v1/shop/echo", b"{}", "content-type: text/plain"), 415),
        (request("/v1/shop/echo", b"{}", "content-encoding: gzip"), 415),
        (request("/v1/shop/echo", b"[" * 5000 + b"]" * 5000), 400),
        (request("/v1/shop/echo", b'["\\u0000"]'), 400),
        (request("/v1/shop/echo", b'["\xed\xa0\x80"]'), 400),
        (request("/v1/shop/echo", b"", length=10**18), 413),
        (request("/v1/%00/echo", b"[]"), 404),
        (request("/v1/shop/echo?n=1", b"[]"), 400),
        (request("/v1/shop/echo", b"[]", method="TRACE"), 405),
        (request("/v1/shop/echo/", b"[]"), 404),
        (request("/" + "a" * 200_000, b"[]"), 431),
        (request("/v1/shop/echo", b"[]", *(f"x-{n}: {'y' * 90}" for n in range(2000))), 431),
    ],
)
def test_what_cannot_be_read_is_told_and_the_next_caller_is_served(port: int, sent: bytes, status: int) -> None:
    assert told(port, sent)[0] == status
    assert told(port, request("/v1/shop/echo", b"[1]")) == (200, [1])


def test_trailers_without_end_are_cut_off(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(request("/v1/shop/echo", b"", "transfer-encoding: chunked", length=-1) + b"2\r\n[]\r\n0\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(64):
                connection.sendall(b"x-trailer: %s\r\n" % (b"y" * 65536))
        assert is_over(connection)


def test_a_head_that_does_not_come_is_not_waited_for(port: int) -> None:
    with connected(port) as silent, connected(port) as half, connected(port) as drip:
        half.sendall(b"GET /v1/shop/echo HTTP/1.1\r\n")
        with contextlib.suppress(ConnectionError):
            for _ in range(30):
                drip.sendall(b"x")
                time.sleep(0.1)
        for connection in (silent, half, drip):
            answer = read_answer(connection)
            assert answer is None or answer.status in (400, 408)
            assert is_over(connection)


def test_a_body_that_does_not_come_is_told_408(port: int) -> None:
    status, problem = told(port, request("/v1/shop/echo", b"[1", length=100))
    assert (status, problem["detail"]) == (408, "the body did not come in time")
    with connected(port) as connection:
        connection.sendall(request("/v1/shop/echo", b"[1", length=1000))
        with contextlib.suppress(ConnectionError):
            for _ in range(30):
                connection.sendall(b" ")
                time.sleep(0.1)
        answer = read_answer(connection)
        assert answer is None or answer.status == 408


def test_a_body_that_nobody_reads_does_not_hold_the_connection(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(request("/nowhere", b"x", length=10**6))
        answer = read_answer(connection)
        assert answer is not None and answer.status == 404
        assert is_over(connection)


def test_a_reader_that_does_not_read_is_left(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(request("/v1/shop/large", method="GET") * 4)
        time.sleep(3.5)
        seen = 0
        with contextlib.suppress(OSError):
            while got := connection.recv(1 << 20):
                seen += len(got)
        assert 0 < seen < 4 * (32 << 20)


def test_connections_beyond_the_bound_are_refused_and_room_comes_back() -> None:
    with running(FAST) as (port, _):
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(connected(port)) for _ in range(20)]
            held[0].sendall(request("/v1/shop/echo", b"[1]"))
            assert read_answer(held[0]) is not None
            with connected(port) as late:
                answer = read_answer(late)
                assert answer is not None and (answer.status, answer.headers["retry-after"]) == (503, "1")
        time.sleep(0.2)
        assert told(port, request("/v1/shop/echo", b"[1]")) == (200, [1])


def test_requests_and_bodies_beyond_the_bound_are_refused() -> None:
    GO.clear()
    with running(FAST.model_copy(update={"max_waiting": 1})) as (port, _), connected(port) as first:
        first.sendall(request("/v1/shop/slow", method="GET"))
        time.sleep(0.2)
        with connected(port) as second:
            second.sendall(request("/v1/shop/echo", b"[1]"))
            answer = read_answer(second)
            assert answer is not None and (answer.status, answer.headers["retry-after"]) == (503, "1")
        GO.set()
        assert read_answer(first) is not None


def test_at_the_end_what_was_asked_is_answered_and_what_is_asked_is_refused() -> None:
    GO.clear()
    CLOSED.clear()
    with running(FAST) as (port, guarded), connected(port) as busy, connected(port) as idle:
        busy.sendall(request("/v1/shop/slow", method="GET") + request("/v1/shop/echo", b"[1]"))
        time.sleep(0.2)
        guarded.should_exit = True
        assert is_over(idle)
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
        GO.set()
        rest = bytearray()
        first, second = read_answer(busy, rest), read_answer(busy, rest)
        assert first is not None and first.body == b'"done"'
        assert second is not None and (second.status, second.headers["retry-after"]) == (503, "5")
        assert is_over(busy)
    assert CLOSED == [True]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl on this machine (apt-get install openssl)")
    folder = tmp_path_factory.mktemp("tls")
    made, key = folder / "made.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", str(made), "-keyout", str(key)]
    subprocess.run([*command, *name], check=True, capture_output=True)
    return made, key


def test_tls_with_a_certificate_of_ones_own(certificate: tuple[Path, Path]) -> None:
    settings = FAST.model_copy(update={"tls_certificate": str(certificate[0]), "tls_key": str(certificate[1])})
    check_open(settings, [])
    context = ssl.create_default_context(cafile=str(certificate[0]))
    with running(settings) as (port, _):
        with connected(port, tls=context) as connection:
            connection.sendall(request("/v1/shop/echo", b"[1]"))
            answer = read_answer(connection)
            assert answer is not None and answer.body == b"[1]"
            assert connection.version() in ("TLSv1.2", "TLSv1.3")  # type: ignore[attr-defined]
        with connected(port) as plain:
            plain.sendall(request("/v1/shop/echo", b"[1]"))
            assert is_over(plain)
        with pytest.raises(ssl.SSLCertVerificationError), connected(port, tls=ssl.create_default_context()) as stranger:
            stranger.sendall(b"x")


def test_tls_that_cannot_work_is_refused_before_listening(certificate: tuple[Path, Path], tmp_path: Path) -> None:
    made, key = map(str, certificate)
    with pytest.raises(ConfigError, match="both a certificate and its key"):
        check_open(Settings(tls_certificate=made), [])
    with pytest.raises(ConfigError, match="No such file"):
        check_open(Settings(tls_certificate=made, tls_key=str(tmp_path / "none")), [])
    with pytest.raises(ConfigError, match="TLS cannot use"):
        check_open(Settings(tls_certificate=key, tls_key=made), [])


def test_an_address_that_is_taken_is_told_in_words() -> None:
    with bound(Settings(port=0)) as taken:
        port = taken.getsockname()[1]
        assert address(Settings(port=0), taken) == f"http://127.0.0.1:{port}"
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            bound(Settings(port=port))


def test_the_log_says_where_and_never_who(port: int) -> None:
    stream = io.StringIO()
    with logs.to_stderr(stream):
        assert told(port, request("/v1/shop/defect", method="GET"))[1]["detail"] == "unexpected KeyError"
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["operation defect failed", "request"]
    assert lines[0]["error"] == "KeyError" and lines[0]["places"][-1].startswith("test_listen.py:")
    assert lines[1] == lines[1] | {"operation": "defect", "tenant": "shop", "status": 500, "level": "warning"}
    assert "4711" not in stream.getvalue()
