"""From the bytes of a request to values: bodies of bounded size and time, JSON and parameters as the operation wants them."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

import msgspec
from msgspec import inspect

from zhiyin.base.errors import StoreError
from zhiyin.serve.errors import RequestError, TooMuchError
from zhiyin.serve.limits import InFlight

SLOWEST = 1 << 16
"""Bytes per second that a body must reach beyond its first ``read_timeout_s``: who sends less holds a place for nothing."""

_EARNS = 1 << 10
"""Smaller pieces earn nothing, which keeps bodies of one piece cheap and dribbling useless."""
_PIECE = 1 << 20
MOST_DEEP = 64
"""Levels of JSON that are read; some clients read no more of what is given back."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_TAKEN = (b"application/json", b"text/json", b"application/x-www-form-urlencoded")
Headers = Mapping[bytes, bytes]


class GoneError(ConnectionError):
    """The client went away before its body was there."""


class Incoming:
    """One request as it comes: its head, the names in its path, and its body piece by piece.

    ``headers`` by lower-case name; of several of one name the last.
    """

    __slots__ = ("_receive", "headers", "names", "scope")

    def __init__(self, scope: Mapping[str, Any], receive: Callable[[], Awaitable[Mapping[str, Any]]], names: Mapping[str, str]) -> None:
        self.scope = scope
        self.headers: Headers = dict(scope["headers"])
        self.names = names
        self._receive = receive

    @property
    def method(self) -> str:
        return str(self.scope["method"])

    @property
    def address(self) -> tuple[str, int] | None:
        """Of whoever asks, where it is known."""
        client = self.scope.get("client")
        return None if client is None else (client[0], client[1])

    async def piece(self) -> tuple[bytes, bool]:
        """The next piece of the body, and whether more will come; raises ``GoneError``."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise GoneError
        return message.get("body", b""), message.get("more_body", False)


class Held:
    """The body of one request while it is answered; ``release`` gives its bytes back to the budget of all bodies."""

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._size = 0

    async def read(self, incoming: Incoming, largest: int, timeout_s: float) -> bytes:
        """All of it; refused as soon as it is too large (413), too slow (408), or too much beside the others (503)."""
        _check_said(incoming.headers, largest)
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(timeout_s) as limit:
                more = True
                while more:
                    part, more = await incoming.piece()
                    if self._size + len(part) > largest:
                        raise _too_large(largest)
                    self._in_flight.hold(len(part))
                    self._size += len(part)
                    parts.append(part)
                    if more:
                        _extend(limit, len(part))
        except TimeoutError:
            raise _too_slow() from None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def spool(self, incoming: Incoming, largest: int, timeout_s: float, folder: Path) -> BinaryIO:
        """All of it as a file at its beginning, in ``folder`` but without a name; closing it frees it. Refused like ``read``;
        raises ``StoreError`` where the disk has no room for it."""
        _check_said(incoming.headers, largest)
        with contextlib.ExitStack() as kept:
            try:
                file: BinaryIO = kept.enter_context(tempfile.TemporaryFile(dir=folder))
                async with asyncio.timeout(timeout_s) as limit:
                    await _written(incoming, largest, file, limit)
            except TimeoutError:
                raise _too_slow() from None
            except OSError as error:
                raise StoreError(f"the body finds no room while it is read: {error.strerror or error}", "Free some disk.") from None
            kept.pop_all()
        return file

    def release(self) -> None:
        self._in_flight.release(self._size)


def _extend(limit: asyncio.Timeout, n_bytes: int) -> None:
    """Give a body the time that these bytes of it earn."""
    at = limit.when()
    if at is not None and n_bytes >= _EARNS:
        limit.reschedule(at + n_bytes / SLOWEST)


async def _written(incoming: Incoming, largest: int, file: BinaryIO, limit: asyncio.Timeout) -> None:
    """The body into a file, some pieces at a time, and the file back to its beginning."""
    parts: list[bytes] = []
    size = waiting = 0
    more = True
    while more:
        part, more = await incoming.piece()
        size, waiting = size + len(part), waiting + len(part)
        if size > largest:
            raise _too_large(largest)
        parts.append(part)
        _extend(limit, len(part))
        if waiting >= _PIECE:
            await asyncio.to_thread(file.write, b"".join(parts))
            parts, waiting = [], 0
    await asyncio.to_thread(file.write, b"".join(parts))
    await asyncio.to_thread(file.seek, 0)


def _check_said(headers: Headers, largest: int) -> None:
    said = headers.get(b"content-length")
    if said is not None and (not said.isdigit() or len(said) > 15 or int(said) > largest):
        raise _too_large(largest)


def _too_slow() -> TooMuchError:
    return TooMuchError("the body did not come in time", "Send it at once, or less of it.", 408)


def _too_large(largest: int) -> TooMuchError:
    return TooMuchError(f"the body has more than {largest:,} bytes", "Send less at a time.", 413)


def check_json(headers: Headers) -> None:
    """Refuse what says of itself that it is no JSON, or is packed. Saying nothing is fine, and so is what ``curl -d`` says."""
    said = headers.get(b"content-type", b"application/json")
    if said != b"application/json":
        kind = said.partition(b";")[0].strip().lower()
        if kind not in _TAKEN and not kind.endswith(b"+json"):
            raise RequestError(f"the body is '{kind[:60].decode('latin-1')}', not JSON", "Send Content-Type: application/json.", 415)
    packed = headers.get(b"content-encoding", b"identity").strip().lower()
    if packed not in (b"", b"identity"):
        raise RequestError(f"the body is packed as '{packed[:30].decode('latin-1')}'", "Send it without Content-Encoding.", 415)


class Json:
    """Reads JSON bodies of one type."""

    def __init__(self, type_: Any) -> None:
        self._decode = msgspec.json.Decoder(type_).decode
        self._any_depth = _holds_anything(inspect.type_info(type_), set())

    def read(self, raw: bytes) -> Any:
        """The value of a body; raises ``RequestError``: 400 for what is no JSON, 422 for JSON of another shape."""
        if b"\\u0000" in raw:
            raise RequestError("the body contains the character NUL", "Leave it out; no database keeps it.", 400)
        try:
            value = self._decode(raw)
        except msgspec.ValidationError as error:
            raise RequestError(str(error).rstrip("."), "GET /openapi.json says what is expected.", 422) from None
        except UnicodeDecodeError:
            raise RequestError("the body is not UTF-8", "Send JSON in UTF-8.", 400) from None
        except msgspec.DecodeError as error:
            raise RequestError(f"the body is not JSON: {error}".rstrip("."), "Send one JSON document in UTF-8.", 400) from None
        except RecursionError:
            raise _too_deep() from None
        if self._any_depth and deeper(raw, MOST_DEEP):
            raise _too_deep()
        return value


def _too_deep() -> RequestError:
    return RequestError(f"the body is nested more than {MOST_DEEP} deep", "Send flatter JSON.", 400)


def deeper(raw: bytes, levels: int) -> bool:
    """Whether valid JSON has more levels of lists and objects: without texts, innermost pairs are taken out level by level."""
    if raw.count(b"[") + raw.count(b"{") <= levels:
        return False
    plain = b"".join(raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    left = plain.translate(None, _NO_BRACKETS)
    for _ in range(levels):
        if not left:
            return False
        left = left.replace(b"[]", b"0").replace(b"{}", b"0").replace(b"0", b"")
    return bool(left)


def _holds_anything(type_: inspect.Type, seen: set[type]) -> bool:
    """Whether some part of a type takes any JSON, however deep."""
    if isinstance(type_, inspect.AnyType):
        return True
    if isinstance(type_, inspect.StructType):
        if type_.cls in seen:
            return False
        seen.add(type_.cls)
        return any(_holds_anything(field.type, seen) for field in type_.fields)
    parts = [getattr(type_, name) for name in ("type", "item_type", "key_type", "value_type") if hasattr(type_, name)]
    return any(_holds_anything(part, seen) for part in (*parts, *getattr(type_, "types", ())))


def parameters(incoming: Incoming, wanted: type[msgspec.Struct] | None) -> msgspec.Struct | None:
    """What stands behind the ``?`` of the address, as the operation wants it."""
    if wanted is None:
        if incoming.scope["query_string"]:
            raise RequestError(f"{incoming.method} takes no parameters in its address here", "Put them into the body.", 400)
        return None
    given = dict(parse_qsl(incoming.scope["query_string"].decode("latin-1"), keep_blank_values=True))
    for name, value in given.items():
        _check_text(name[:60], value)
    try:
        return msgspec.convert(given, wanted, strict=False)
    except msgspec.ValidationError as error:
        raise RequestError(f"in the address: {str(error).rstrip('.')}", "GET /openapi.json says what is expected.", 422) from None


def check_names(names: Mapping[str, str]) -> None:
    """Refuse parts of a path that are no text, or longer than any id."""
    for name, value in names.items():
        _check_text(name, value)
        if len(value) > 512:
            raise RequestError(f"the {name} in the address has more than 512 characters", "Shorten it.", 422)


def _check_text(name: str, value: str) -> None:
    if "\0" in value:
        raise RequestError(f"'{name}' in the address contains the character NUL", "Leave it out; no database keeps it.", 400)
    if "\ufffd" in value:
        raise RequestError(f"'{name}' in the address is not UTF-8", "Percent-encode its UTF-8 bytes.", 400)
