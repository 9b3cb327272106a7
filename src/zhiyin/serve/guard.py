"""What one connection may do to the server: heads of bounded size that come in time, answers that are taken, and no more
connections than there is room for. The body is the application's matter (``reading``).

uvicorn waits for ever for the rest of a head, for a body that nobody reads any more, and for a reader who does not read.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import Server

from zhiyin.serve.errors import Ready, problem
from zhiyin.serve.settings import Settings

MOST_HEAD = 64 << 10
"""Bytes of a request line and its headers, and of whatever else comes between two pieces of a body."""
LINGER_S = 2.0
"""So long what nobody reads is thrown away, because ending a connection at once would take the answer with it."""
_CONTINUE = b"HTTP/1.1 100 "
_TICKS = 10
"""uvicorn ticks ten times a second; connections are looked at once."""


class _WhileOpen:
    """The transport as an answer needs it: writing to a connection that has just ended is no error, nobody is there.

    The head of an answer waits for the first piece of its body, so that both leave in one call of the system.
    """

    __slots__ = ("_head", "_transport", "_wants_head", "is_closing")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.is_closing = transport.is_closing
        self._wants_head, self._head = True, b""

    def write(self, data: bytes) -> None:
        if self._wants_head and not data.startswith(_CONTINUE):
            self._wants_head, self._head = False, data
        elif not self.is_closing():
            self._transport.write(self._head + data if self._head else data)
            self._head = b""

    def end(self) -> None:
        """The answer is complete: what waits goes, and the next write is a head again."""
        if self._head and not self.is_closing():
            self._transport.write(self._head)
        self._wants_head, self._head = True, b""

    def close(self) -> None:
        self.end()
        self._transport.close()


class GuardedProtocol(HttpToolsProtocol):
    """A connection that knows since when its client owes something; ``GuardedServer`` looks at all of them once a second."""

    settings: Settings
    owing_since: float | None = None
    unread_since: float | None = None
    n_head = 0
    deaf = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._answers_to = _WhileOpen(transport)
        self.owing_since = self.loop.time()
        if len(self.connections) > self.settings.max_connections:
            self._write(problem(503, "too many connections", hint="Come back in a second.", headers={"retry-after": "1"}))
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self.deaf or self.transport.is_closing():
            return
        self.n_head += len(data)
        super().data_received(data)
        if self.n_head > MOST_HEAD and not self.deaf:
            self.refuse(problem(431, f"the head of the request has more than {MOST_HEAD:,} bytes", hint="Put it into the body."))

    def on_headers_complete(self) -> None:
        self.n_head, self.owing_since = 0, None
        super().on_headers_complete()
        self.cycle.transport = self._answers_to  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        self.n_head = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.n_head = 0
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self.cycle.more_body = False

    def on_response_complete(self) -> None:
        self._answers_to.end()
        super().on_response_complete()
        # Without a request that waits in line it is the client's turn, until the head of his next one is there.
        if not self.pipeline:
            self.owing_since = self.loop.time()

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """A client that has said all it will say still gets his answer; TLS has no such half-open state."""
        if self.scheme == "https" or self.cycle is None or self.cycle.response_complete or self.cycle.more_body:
            return None
        self.cycle.keep_alive = False
        return True

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self.unread_since = None

    def send_400_response(self, msg: str) -> None:
        """What cannot be read as HTTP is told like every other mistake."""
        self.refuse(problem(400, "this is not HTTP/1.1 as it should be"))

    def refuse(self, ready: Ready) -> None:
        """Answer and hear nothing more; what is being answered already goes out first."""
        self.deaf = True
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                cycle.keep_alive = False
                return
            if self.pipeline or cycle.response_started:
                self.transport.close()
                return
        self._write(ready)
        if cycle is not None and not cycle.response_complete:
            self.transport.close()  # whoever waits for the rest of this body learns that it will not come
        else:
            self.loop.call_later(LINGER_S, self.transport.close)

    def _write(self, ready: Ready) -> None:
        status, body, headers = ready
        lines = [f"{name}: {value}\r\n" for name, value in (*headers.items(), ("content-length", len(body)), ("connection", "close"))]
        self.transport.write(STATUS_LINE[status] + "".join(lines).encode("latin-1") + b"\r\n" + body)

    def look(self, now: float) -> None:
        """End the connection where its client has owed something for too long."""
        settings = self.settings
        if self.unread_since is not None and now - self.unread_since > settings.write_timeout_s:
            self.transport.abort()
            return
        if self.transport.is_closing():
            # Closed, but what was written is not taken: one more look is enough for a client that reads.
            self.unread_since = self.unread_since or now
            return
        if self.owing_since is None or self.deaf:
            return
        owing_s = now - self.owing_since
        if self.cycle is not None and self.cycle.more_body and owing_s > LINGER_S:
            self.transport.close()
        elif owing_s > settings.read_timeout_s:
            self.refuse(problem(408, "the head of the request did not come in time", hint="Send it at once."))


class GuardedServer(Server):
    """uvicorn's server, which also looks at its connections, and calls ``stop`` when it begins to end."""

    def __init__(self, config: Config, stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._stop = stop

    async def on_tick(self, counter: int) -> bool:
        if counter % _TICKS == 0:
            now = asyncio.get_running_loop().time()
            for connection in list(self.server_state.connections):
                if isinstance(connection, GuardedProtocol):
                    connection.look(now)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stop()
        await super().shutdown(sockets)


def guarded(settings: Settings) -> type[GuardedProtocol]:
    """The class of connections under these settings."""
    return type("Guarded", (GuardedProtocol,), {"settings": settings})
