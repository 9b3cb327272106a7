"""HTTP by hand, one byte at a time if need be: for requests that no client library would send.

with connected(port) as connection:
    connection.sendall(request("/health/live", method="GET"))
    answer = read_answer(connection)
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from collections.abc import Iterator
from typing import Any, NamedTuple

_PIECE = 1 << 16


class Answer(NamedTuple):
    """Headers by lower-case name."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@contextlib.contextmanager
def connected(port: int, *, tls: ssl.SSLContext | None = None, limit_s: float = 10.0) -> Iterator[socket.socket]:
    """A connection to this machine; whatever waits longer than ``limit_s`` raises TimeoutError."""
    with socket.create_connection(("127.0.0.1", port), timeout=limit_s) as plain:
        if tls is None:
            yield plain
            return
        with tls.wrap_socket(plain, server_hostname="localhost") as wrapped:
            yield wrapped


def request(path: str, body: bytes = b"", *lines: str, method: str = "POST", length: int | None = None) -> bytes:
    """One request; ``length`` is what it says of its body (-1: nothing), ``lines`` are further headers."""
    said = [] if length == -1 else [f"content-length: {len(body) if length is None else length}"]
    return "\r\n".join([f"{method} {path} HTTP/1.1", "host: localhost", *said, *lines]).encode("latin-1") + b"\r\n\r\n" + body


def chunks(*parts: bytes) -> bytes:
    """A body in chunks, with its end."""
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def read_answer(connection: socket.socket, rest: bytearray | None = None) -> Answer | None:
    """The next answer (beyond "100 Continue"), None where the connection ends before it is whole. ``rest`` keeps what
    came after it."""
    data = bytearray() if rest is None else rest
    while True:
        while b"\r\n\r\n" not in data:
            if not _more(connection, data):
                return None
        head, _, data[:] = bytes(data).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split()[1])
        if status != 100:
            break
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        whole = _chunked(connection, data)
    else:
        whole = _taken(connection, data, int(headers.get("content-length", "0")))
    return None if whole is None else Answer(status, headers, whole)


def _chunked(connection: socket.socket, data: bytearray) -> bytes | None:
    """A body in chunks, out of ``data`` and what follows it."""
    body = b""
    while True:
        while b"\r\n" not in data:
            if not _more(connection, data):
                return None
        size, _, data[:] = bytes(data).partition(b"\r\n")
        chunk = _taken(connection, data, int(size, 16) + 2)
        if chunk is None:
            return None
        if len(chunk) == 2:
            return body
        body += chunk[:-2]


def _taken(connection: socket.socket, data: bytearray, size: int) -> bytes | None:
    while len(data) < size:
        if not _more(connection, data):
            return None
    taken = bytes(data[:size])
    del data[:size]
    return taken


def is_over(connection: socket.socket) -> bool:
    """Whether the other side ends the connection within the time limit of the socket; what it still sends is dropped."""
    try:
        while connection.recv(_PIECE):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def _more(connection: socket.socket, data: bytearray) -> bool:
    try:
        got = connection.recv(_PIECE)
    except ConnectionError:
        return False
    data += got
    return bool(got)
