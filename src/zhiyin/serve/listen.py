"""A server on an address: from a bound socket to the last answer."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import ASGIApp

from zhiyin.base.errors import ConfigError
from zhiyin.serve import logs
from zhiyin.serve.app import Server
from zhiyin.serve.guard import GuardedServer, guarded
from zhiyin.serve.settings import Settings

_BACKLOG = 2048
_PATIENCE_S = 10
"""So long, and for what is read no longer, requests that have begun are waited for at the end."""


def listen(server: Server, app: ASGIApp, settings: Settings, told: Callable[[str], None]) -> None:
    """Serve until told to stop: then no connection is accepted any more, what was asked is answered, what is asked from
    then on is refused with 503, and the logs are closed. ``told`` hears the address once it is taken.
    """
    taken = bound(settings)
    told(address(settings, taken))
    with logs.to_stderr():
        prepared(server, app, settings).run(sockets=[taken])


def prepared(server: Server, app: ASGIApp, settings: Settings) -> GuardedServer:
    """uvicorn under these settings, not yet running."""
    config = uvicorn.Config(
        app,
        loop="uvloop" if os.name != "nt" else "asyncio",
        http=guarded(settings),
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=_PATIENCE_S,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
    )
    return GuardedServer(config, server.stop)


def bound(settings: Settings) -> socket.socket:
    """A listening socket; raises ``ConfigError`` where the address cannot be had."""
    try:
        family, _, _, _, where = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(where[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}", "Choose another --port or --host."
        ) from None


def address(settings: Settings, taken: socket.socket) -> str:
    """Where the server answers, with the port that was really taken."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http{'s' if settings.tls_certificate else ''}://{host}:{taken.getsockname()[1]}"
