"""The ASGI application: every operation of the table as one route, and the one path a request takes through it.

room -> access -> rate -> parameters -> body -> handler -> encode. Errors of any kind become problem+json; what nobody
expected is logged with the place in the code, and the answer says only that it happened.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from zhiyin.base.clock import now_us
from zhiyin.base.errors import ZhiyinError
from zhiyin.serve.access import EVERYBODY, LOCAL, Caller, bearer, check_local
from zhiyin.serve.errors import AccessError, Ready, TooMuchError, problem, told
from zhiyin.serve.hosted import Hosted
from zhiyin.serve.limits import InFlight, Rates, address_of
from zhiyin.serve.logs import Sampled
from zhiyin.serve.meter import Meter
from zhiyin.serve.operation import Answered, Call, Operation, Scope
from zhiyin.serve.paths import PathRoute
from zhiyin.serve.reading import Headers, Held, Json, check_json, check_names, headers_of, parameters
from zhiyin.serve.settings import Settings
from zhiyin.serve.spans import spans

log = logging.getLogger("zhiyin.serve")
_encoder = msgspec.json.Encoder()
Endpoint = Callable[[Request], Awaitable[Response]]


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


def build_app(server: Server, operations: Sequence[Operation], others: Sequence[Route] = ()) -> Starlette:
    """The application; operations that are called most stand first, because routes are tried in order."""

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(server.close)

    routes = [PathRoute(op.path, endpoint(server, op), methods=[op.method], name=op.name) for op in operations]
    handlers: dict[Any, Any] = {404: _not_found, 405: _not_allowed}
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    origins = list(server.settings.cors_origins)
    cors = [Middleware(CORSMiddleware, allow_origins=origins, allow_methods=methods, allow_headers=["*"])] if origins else []
    app = Starlette(routes=[*routes, *others], lifespan=life, exception_handlers=handlers, middleware=cors)
    app.router.redirect_slashes = False  # a redirect would name whatever host the caller said
    return app


async def _not_found(request: Request, _: Exception) -> Response:
    return _response(problem(404, f"there is no {request.url.path[:200]}", hint="GET /openapi.json lists everything."))


async def _not_allowed(request: Request, error: Exception) -> Response:
    allowed = getattr(error, "headers", None) or {}
    return _response(
        problem(405, f"{request.method[:20]} is not possible here", hint=f"Allowed: {allowed.get('Allow', '')}.", headers=dict(allowed))
    )


def endpoint(server: Server, op: Operation) -> Endpoint:
    """What a route calls for one operation."""
    json = None if op.body in (None, bytes) else Json(op.body)
    timer = server.meter.timer(op.name)
    room = server.in_flight

    async def run(request: Request) -> Response:
        if server.spans is not None:
            with server.spans(op.name, request.path_params.get("tenant", "")[:80], headers_of(request)) as ended:
                response = await measured(request)
                ended(response.status_code)
                return response
        return await measured(request)

    async def measured(request: Request) -> Response:
        begun = perf_counter()
        held = Held(room)
        room.n += 1
        try:
            ready: Ready | Response = await answered(server, op, json, request, held)
        except Exception as error:
            ready = failed(op, error)
        finally:
            room.n -= 1
            held.release()
        took_s = perf_counter() - begun
        status, size = (ready.status_code, 0) if isinstance(ready, Response) else (ready[0], len(ready[1]))
        timer(status, took_s)
        tenant = request.path_params.get("tenant", "")
        server.logged(op.name, tenant if tenant in server.tenants else "", status, took_s, size)
        return ready if isinstance(ready, Response) else _response(ready)

    return run


def failed(op: Operation, error: Exception) -> Ready:
    """The problem that an error becomes. What is not one of ours is a defect: it is logged, and not shown."""
    if isinstance(error, ZhiyinError):
        return told(error)
    if isinstance(error, ClientDisconnect):
        return problem(400, "the client went away")
    if isinstance(error, RecursionError):
        return problem(422, "this is nested too deeply", hint="Send flatter JSON.")
    log.error("operation %s failed", op.name, exc_info=error)
    return problem(500, f"unexpected {type(error).__name__}", hint="The log of the server says more.")


async def answered(server: Server, op: Operation, json: Json | None, request: Request, held: Held) -> Ready | Response:
    """One operation from the request to the bytes of its answer, or to an answer that sends them piece by piece."""
    if server.stopping:
        raise TooMuchError("the server is stopping", "Come back in a few seconds.", 503, 5)
    server.in_flight.check()
    names, headers = request.path_params, headers_of(request)
    tenants, caller = admitted(server, op, request, headers)
    check_names(names)
    query = parameters(request, op.query)
    body: Any = None
    if op.spooled:
        largest = int(server.settings.max_import_mb * 2**20)
        home = next(iter(tenants.values())).home
        body = await held.spool(request, headers, largest, server.settings.read_timeout_s, home)
    elif op.body is not None:
        if json is not None:
            check_json(headers)
        largest = min(op.largest, int(server.settings.max_body_mb * 2**20))
        raw = await held.read(request, headers, largest, server.settings.read_timeout_s)
        body = raw if json is None else json.read(raw)
    given = await op.handler(Call(next(iter(tenants.values())), caller, names, body, query, tenants))
    if not isinstance(given, Answered):
        return op.status, _encoder.encode(given), {}
    if given.stream is not None:
        return StreamingResponse(given.stream, given.status, dict(given.headers), given.media)
    if given.raw is not None:
        return given.status, given.raw, {"content-type": given.media, **given.headers}
    return given.status, b"" if given.value is None else _encoder.encode(given.value), dict(given.headers)


def admitted(server: Server, op: Operation, request: Request, headers: Headers) -> tuple[Mapping[str, Hosted], Caller]:
    """The tenants that a request opens, and who it is; counts it against the rate of its key, or of its address."""
    try:
        tenants, caller = _opened(server, op, request.path_params.get("tenant"), headers)
    except AccessError:
        if server.rates is not None:
            server.rates.take("address " + address_of(request.client))
        raise
    if server.rates is not None and op.scope is not Scope.PUBLIC:
        known = caller is not LOCAL
        server.rates.take(f"key {next(iter(tenants))} {caller.name}" if known else "address " + address_of(request.client))
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


def _response(ready: Ready) -> Response:
    status, body, headers = ready
    return Response(body, status, headers, media_type=None if "content-type" in headers else "application/json")
