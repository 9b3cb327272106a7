"""The ASGI application: every operation of the table as one route, and the one path a request takes through it.

access -> length -> body -> decode -> handler -> encode. Errors of any kind become problem+json; what nobody
expected is logged with the trace of the code, and the answer says only that it happened.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from zhiyin.base.clock import now_us
from zhiyin.base.errors import ZhiyinError
from zhiyin.serve.access import EVERYBODY, LOCAL, Caller, bearer
from zhiyin.serve.errors import AccessError, Ready, TooMuchError, problem, told
from zhiyin.serve.hosted import Hosted
from zhiyin.serve.meter import Meter
from zhiyin.serve.operation import Answered, Call, Operation, Scope
from zhiyin.serve.settings import Settings

log = logging.getLogger("zhiyin.serve")
_encoder = msgspec.json.Encoder()
Endpoint = Callable[[Request], Awaitable[Response]]


class Server:
    """Tenants by name, settings, figures: what every request shares."""

    def __init__(self, tenants: Mapping[str, Hosted], settings: Settings) -> None:
        self.tenants = dict(tenants)
        self.settings = settings
        self.meter = Meter()
        self.stopping = False

    def tenant(self, name: str) -> Hosted:
        """Raises a 404 problem for a tenant nobody has."""
        found = self.tenants.get(name)
        if found is None:
            raise AccessError(f"there is no tenant '{name[:80]}'", f"Known: {', '.join(sorted(self.tenants))}.", 404)
        return found

    def close(self) -> None:
        self.stopping = True
        for hosted in self.tenants.values():
            hosted.close()


def build_app(server: Server, operations: Sequence[Operation], others: Sequence[Route] = ()) -> Starlette:
    """The application; operations that are called most stand first, because routes are tried in order."""

    @asynccontextmanager
    async def life(_: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(server.close)

    routes = [Route(op.path, endpoint(server, op), methods=[op.method], name=op.name) for op in operations]
    handlers: dict[Any, Any] = {404: _not_found, 405: _not_allowed}
    return Starlette(routes=[*routes, *others], lifespan=life, exception_handlers=handlers)


async def _not_found(request: Request, _: Exception) -> Response:
    return _response(problem(404, f"there is no {request.url.path[:200]}", hint="GET /openapi.json lists everything."))


async def _not_allowed(request: Request, error: Exception) -> Response:
    allowed = getattr(error, "headers", None) or {}
    return _response(
        problem(405, f"{request.method} is not possible here", hint=f"Allowed: {allowed.get('Allow', '')}.", headers=dict(allowed))
    )


def endpoint(server: Server, op: Operation) -> Endpoint:
    """What a route calls for one operation."""
    decoder: msgspec.json.Decoder[Any] | None = None if op.body in (None, bytes) else msgspec.json.Decoder(op.body)
    timer = server.meter.timer(op.name)

    async def run(request: Request) -> Response:
        begun = asyncio.get_running_loop().time()
        try:
            ready = await answered(server, op, decoder, request)
        except ZhiyinError as error:
            ready = told(error)
        except msgspec.ValidationError as error:
            ready = problem(422, str(error).rstrip("."), code="E300", hint="GET /openapi.json says what is expected.")
        except msgspec.DecodeError as error:
            ready = problem(400, f"the body is not JSON: {error}".rstrip("."), code="E200")
        except ClientDisconnect:
            ready = problem(400, "the client went away")
        except Exception as error:
            log.exception("operation %s failed", op.name)
            ready = problem(500, f"unexpected {type(error).__name__}", hint="The log of the server says more.")
        timer(ready[0], asyncio.get_running_loop().time() - begun)
        return _response(ready)

    return run


async def answered(server: Server, op: Operation, decoder: msgspec.json.Decoder[Any] | None, request: Request) -> Ready:
    """One operation from the request to the bytes of its answer."""
    names = request.path_params
    hosted = server.tenant(names["tenant"]) if "tenant" in names else next(iter(server.tenants.values()))
    caller = _caller(server, hosted, op, request)
    query = None
    if op.query is not None:
        query = msgspec.convert(dict(request.query_params), op.query, strict=False)
    elif request.query_params:
        raise AccessError(f"{op.method} {op.path} takes no parameters in its address", "Put them into the body.", 400)
    body = None
    if op.body is not None:
        raw = await read_body(request, op.largest, server.settings.read_timeout_s)
        body = raw if decoder is None else decoder.decode(raw)
    given = await op.handler(Call(hosted, caller, names, body, query))
    if not isinstance(given, Answered):
        return op.status, _encoder.encode(given), {}
    if given.raw is not None:
        return given.status, given.raw, {"content-type": given.media, **given.headers}
    return given.status, b"" if given.value is None else _encoder.encode(given.value), dict(given.headers)


def _caller(server: Server, hosted: Hosted, op: Operation, request: Request) -> Caller:
    """Who calls, and whether he may. Without any key, and only on loopback, everybody may."""
    if op.scope is Scope.PUBLIC:
        return EVERYBODY
    if not len(hosted.keys):
        return LOCAL
    secret = bearer(request.headers.get("authorization"), request.headers.get("x-api-key"))
    if secret is None:
        raise AccessError("this needs a key", "Send Authorization: Bearer KEY.", 401)
    caller = hosted.keys.caller(secret, now_us())
    if caller is None:
        raise AccessError("this key is unknown or has ended", "Ask the operator for a new one.", 401)
    if not caller.may(op.scope):
        raise AccessError(f"key '{caller.name}' may not do this", f"It needs the scope {op.scope.name.lower()}.", 403)
    return caller


async def read_body(request: Request, largest: int, timeout_s: float) -> bytes:
    """The body, refused as soon as it is too large, and when it does not come in time."""
    said = request.headers.get("content-length")
    if said is not None and (not said.isdigit() or int(said) > largest):
        raise TooMuchError(f"the body has more than {largest:,} bytes", "Send less at a time.", 413)
    parts, size = [], 0
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                size += len(part)
                if size > largest:
                    raise TooMuchError(f"the body has more than {largest:,} bytes", "Send less at a time.", 413)
                parts.append(part)
    except TimeoutError:
        raise TooMuchError(f"the body did not come within {timeout_s:g} seconds", "Send it at once.", 408) from None
    return b"".join(parts)


def _response(ready: Ready) -> Response:
    status, body, headers = ready
    return Response(body, status, headers, media_type=None if "content-type" in headers else "application/json")
