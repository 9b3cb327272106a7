"""Files in and out: everything of a kind as JSONL, CSV or Parquet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import BinaryIO
from weakref import WeakKeyDictionary

import msgspec

from zhiyin.online.bulk import Imported, Kind, export_rows, import_rows
from zhiyin.online.bulk_formats import MEDIA, Format, rows_read
from zhiyin.online.tenant import Tenant
from zhiyin.serve.errors import TooMuchError
from zhiyin.serve.hosted import Hosted
from zhiyin.serve.operation import Answered, Call, Handler, Operation, Scope

MOST = 4
_running: WeakKeyDictionary[Hosted, int] = WeakKeyDictionary()


class FormatQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: Format = "jsonl"


def _import(kind: Kind) -> Handler:
    async def handler(call: Call) -> Imported:
        file: BinaryIO = call.body
        with file, _room(call.tenant):
            return await asyncio.to_thread(_read_in, call.tenant.tenant, kind, file, call.query.format)

    return handler


@contextmanager
def _room(hosted: Hosted) -> Iterator[None]:
    """Imports take long: a few at a time leave threads for everybody else. Raises ``TooMuchError`` (503)."""
    if _running.get(hosted, 0) >= MOST:
        raise TooMuchError(f"{MOST} imports run already", "Send the next when one is done.", 503, 5)
    _running[hosted] = _running.get(hosted, 0) + 1
    try:
        yield
    finally:
        _running[hosted] -= 1


def _read_in(tenant: Tenant, kind: Kind, file: BinaryIO, form: Format) -> Imported:
    return import_rows(tenant, kind, rows_read(file, form))


def _export(kind: Kind) -> Handler:
    async def handler(call: Call) -> Answered:
        form: Format = call.query.format
        pieces = await asyncio.to_thread(begun, lambda: export_rows(call.tenant.tenant, kind, form))
        name = f'attachment; filename="{kind}.{form}"'
        return Answered(stream=pieces, media=MEDIA[form], headers={"content-disposition": name})

    return handler


def begun(make: Callable[[], Iterator[bytes]]) -> Iterator[bytes]:
    """An iterator whose first piece is there: what cannot begin fails now, while there is still a status to say so."""
    pieces = make()
    first = next(pieces, b"")
    return chain([first], pieces)


def _operation(method: str, verb: str, kind: Kind, handler: Handler, scope: Scope, summary: str) -> Operation:
    path, taken = f"/v1/{{tenant}}/{verb}/{kind}", method == "POST"
    gives = Imported if taken else bytes
    return Operation(
        f"{verb}_{kind}", method, path, scope, handler, summary, gives, bytes if taken else None, FormatQuery, spooled=taken, tags=("bulk",)
    )


_SCOPES: dict[Kind, tuple[Scope, Scope]] = {
    "events": (Scope.INGEST, Scope.ADMIN),
    "items": (Scope.ADMIN, Scope.READ),
    "users": (Scope.ADMIN, Scope.ADMIN),
    "relations": (Scope.ADMIN, Scope.ADMIN),
}
OPERATIONS = tuple(
    operation
    for kind, (into, out) in _SCOPES.items()
    for operation in (
        _operation("POST", "import", kind, _import(kind), into, f"Store a file of {kind}; what does not fit is refused row by row."),
        _operation("GET", "export", kind, _export(kind), out, f"All {kind} as one file."),
    )
)
