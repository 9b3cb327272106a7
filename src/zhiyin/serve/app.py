"""The ASGI application: every operation of the table as one route, and the one path a request takes through it.

table of paths -> room -> access -> rate -> parameters -> body -> handler -> encode. Errors of any kind become problem+json; what nobody
expected is logged with the place in the code, and the answer says only that it happened.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import perf_counter
from typing import Any
from urllib.parse import quote

import msgspec
from starlette import types as asgi
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import StreamingResponse

from zhiyin.base.clock import now_us
from zhiyin.base.errors import ZhiyinError
from zhiyin.serve.access import EVERYBODY, LOCAL, Caller, bearer, check_local
from zhiyin.serve.errors import AccessError, Ready, TooMuchError, problem, told
from zhiyin.serve.hosted import Hosted
from zhiyin.serve.limits import InFlight, Rates, address_of
from zhiyin.serve.logs import Sampled
from zhiyin.serve.meter import Meter
from zhiyin.serve.operation import Answered, Call, Operation, Scope
from zhiyin.serve.paths import Table
from zhiyin.serve.reading import GoneError, Headers, Held, Incoming, Json, check_json, check_names, parameters
from zhiyin.serve.settings import Settings
from zhiyin.serve.spans import spans

log = logging.getLogger("zhiyin.serve")
_encoder = msgspec.json.Encoder()
Endpoint = Callable[[Incoming], Awaitable[Ready | StreamingResponse]]


class Server:
    """Tenants by name, settings, limits, figures: what every request shares."""

    def __init__(self, tenants: Mapping[str, Hosted], settings: Settings) -> None:
        self.tenants = dict(tenants)
        self.settings = settings
        self.loopback = settings.loopback
        self.meter = Meter()
        self.in_flight = InFlight(settings.max_waiting, int(settings.max_bodies_mb * 2**20))
        per_s = settings.rate_per_s
        self.rates = None if per_s is None else Rates(per_s, settings.rate_burst or max(2 * per_s, 10.0))
        self.logged = Sampled(settings.log_share)
        self.spans = spans() if settings.otel else None
        self.stopping = False
        self.before_close: Callable[[], None] = lambda: None

    @property
    def open(self) -> bool:
        """Whether all of it is there for everybody: only ever on loopback, and only until the first key is made."""
        return self.loopback and all(hosted.keys.open for hosted in self.tenants.values())

    def stop(self) -> None:
        """Refuse what is asked from now on."""
        self.stopping = True

    def close(self) -> None:
        self.stop()
        self.before_close()
        for hosted in self.tenants.values():
            hosted.close()


def build_app(server: Server, operations: Sequence[Operation]) -> asgi.ASGIApp:
    """The application. A table and not Starlette's routes, which try one after the other and wrap each request four times:
    that costs as much as all the rest of HTTP."""
    table = Table((op.method, op.path, endpoint(server, op)) for op in operations)

    async def app(scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        if scope["type"] == "http":
            await _answer(table, scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(server, receive, send)

    origins = list(server.settings.cors_origins)
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return CORSMiddleware(app, allow_origins=origins, allow_methods=methods, allow_headers=["*"]) if origins else app


async def _answer(table: Table[Endpoint], scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
    found = table.find(scope["method"], scope.get("raw_path") or quote(scope["path"]).encode())
    ready: Ready | StreamingResponse
    if found is None:
        ready = problem(404, f"there is no {scope['path'][:200]}", hint="GET /openapi.json lists everything.")
    elif found.value is None:
        allowed = ", ".join(found.allowed)
        ready = problem(405, f"{scope['method'][:20]} is not possible here", hint=f"Allowed: {allowed}.", headers={"allow": allowed})
    else:
        ready = await found.value(Incoming(scope, receive, found.names))
    if isinstance(ready, StreamingResponse):
        await ready(scope, receive, send)
        return
    status, body, said = ready
    headers = [(b"content-length", b"%d" % len(body)), *((name.lower().encode(), value.encode("latin-1")) for name, value in said.items())]
    if "content-type" not in said:
        headers.append((b"content-type", b"application/json"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _live(server: Server, receive: asgi.Receive, send: asgi.Send) -> None:
    """From the start of the server to its end, which closes what it serves."""
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await asyncio.to_thread(server.close)
            await send({"type": "lifespan.shutdown.complete"})
            return


def endpoint(server: Server, op: Operation) -> Endpoint:
    """What is called for one operation."""
    json = None if op.body in (None, bytes) else Json(op.body)
    timer = server.meter.timer(op.name)
    room = server.in_flight

    async def run(incoming: Incoming) -> Ready | StreamingResponse:
        if server.spans is None:
            return (await measured(incoming))[0]
        with server.spans(op.name, incoming.names.get("tenant", "")[:80], incoming.headers) as ended:
            ready, status = await measured(incoming)
            ended(status)
            return ready

    async def measured(incoming: Incoming) -> tuple[Ready | StreamingResponse, int]:
        begun = perf_counter()
        held = Held(room)
        room.n += 1
        try:
            ready = await answered(server, op, json, incoming, held)
        except Exception as error:
            ready = failed(op, error)
        finally:
            room.n -= 1
            held.release()
        took_s = perf_counter() - begun
        status, size = (ready.status_code, 0) if isinstance(ready, StreamingResponse) else (ready[0], len(ready[1]))
        timer(status, took_s)
        tenant = incoming.names.get("tenant", "")
        server.logged(op.name, tenant if tenant in server.tenants else "", status, took_s, size)
        return ready, status

    return run


def failed(op: Operation, error: Exception) -> Ready:
    """The problem that an error becomes. What is not one of ours is a defect: it is logged, and not shown."""
    if isinstance(error, ZhiyinError):
        return told(error)
    if isinstance(error, GoneError):
        return problem(400, "the client went away")
    if isinstance(error, RecursionError):
        return problem(422, "this is nested too deeply", hint="Send flatter JSON.")
    log.error("operation %s failed", op.name, exc_info=error)
    return problem(500, f"unexpected {type(error).__name__}", hint="The log of the server says more.")


async def answered(server: Server, op: Operation, json: Json | None, incoming: Incoming, held: Held) -> Ready | StreamingResponse:
    """One operation from the request to the bytes of its answer, or to an answer that sends them piece by piece."""
    if server.stopping:
        raise TooMuchError("the server is stopping", "Come back in a few seconds.", 503, 5)
    server.in_flight.check()
    tenants, caller = admitted(server, op, incoming)
    names = incoming.names
    check_names(names)
    query = parameters(incoming, op.query)
    body: Any = None
    if op.spooled:
        largest = int(server.settings.max_import_mb * 2**20)
        body = await held.spool(incoming, largest, server.settings.read_timeout_s, next(iter(tenants.values())).home)
    elif op.body is not None:
        if json is not None:
            check_json(incoming.headers)
        largest = min(op.largest, int(server.settings.max_body_mb * 2**20))
        raw = await held.read(incoming, largest, server.settings.read_timeout_s)
        body = raw if json is None else json.read(raw)
    given = await op.handler(Call(next(iter(tenants.values())), caller, names, body, query, tenants))
    if not isinstance(given, Answered):
        return op.status, _encoder.encode(given), {}
    if given.stream is not None:
        return StreamingResponse(given.stream, given.status, dict(given.headers), given.media)
    if given.raw is not None:
        return given.status, given.raw, {"content-type": given.media, **given.headers}
    return given.status, b"" if given.value is None else _encoder.encode(given.value), dict(given.headers)


def admitted(server: Server, op: Operation, incoming: Incoming) -> tuple[Mapping[str, Hosted], Caller]:
    """The tenants that a request opens, and who it is; counts it against the rate of its key, or of its address."""
    try:
        tenants, caller = _opened(server, op, incoming.names.get("tenant"), incoming.headers)
    except AccessError:
        if server.rates is not None:
            server.rates.take("address " + address_of(incoming.address))
        raise
    if server.rates is not None and op.scope is not Scope.PUBLIC:
        known = caller is not LOCAL
        server.rates.take(f"key {next(iter(tenants))} {caller.name}" if known else "address " + address_of(incoming.address))
    return tenants, caller


def _opened(server: Server, op: Operation, name: str | None, headers: Headers) -> tuple[Mapping[str, Hosted], Caller]:
    """Without keys, and only on loopback, everybody may do everything. With keys, a tenant that a key does not open and
    one that does not exist look the same: nobody learns who else is served."""
    if op.scope is Scope.PUBLIC and name is None:
        return server.tenants, EVERYBODY
    wanted = server.tenants if name is None else {name: server.tenants[name]} if name in server.tenants else {}
    for hosted in wanted.values():
        hosted.keys.look()
    if server.loopback and (free := {name: hosted for name, hosted in wanted.items() if hosted.keys.open}):
        origin = headers.get(b"origin")
        host = headers.get(b"host", b"").decode("latin-1")
        check_local(host, None if origin is None else origin.decode("latin-1"), server.settings.cors_origins)
        return free, LOCAL
    if not wanted and server.open:
        raise AccessError(f"there is no tenant '{str(name)[:80]}'", f"Known: {', '.join(sorted(server.tenants))}.", 404)
    secret = bearer(headers.get(b"authorization"), headers.get(b"x-api-key"))
    if secret is None:
        raise AccessError("this needs a key", "Send Authorization: Bearer KEY.", 401)
    now = now_us()
    found = {name: (hosted, caller) for name, hosted in wanted.items() if (caller := hosted.keys.caller(secret, now)) is not None}
    if not found:
        raise AccessError("this key is unknown or has ended", "Ask the operator for a new one.", 401)
    may = {name: pair for name, pair in found.items() if pair[1].may(op.scope)}
    if not may:
        one = next(iter(found.values()))[1]
        raise AccessError(f"key '{one.name}' may not do this", f"It needs the scope {op.scope.name.lower()}.", 403)
    return {name: hosted for name, (hosted, _) in may.items()}, next(iter(may.values()))[1]
