"""From a source into a tenant: batch by batch, each stored for good before the source is told so."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from zhiyin.base.errors import ConfigError, StoreError
from zhiyin.online.bulk import MOST_TOLD, Imported, Kind, Refused, import_rows
from zhiyin.online.bulk_formats import RowRead, plain
from zhiyin.online.opened import opened
from zhiyin.online.sources.source import Source
from zhiyin.online.stores import Stores

SOURCES = "sources"
_encode = msgspec.json.Encoder().encode


class Sink(Protocol):
    """Takes rows, and keeps how far a source was read."""

    def state(self) -> Mapping[str, Any]: ...

    def take(self, kind: Kind, rows: list[RowRead]) -> Imported:
        """Stored for good when it returns."""
        ...

    def keep(self, state: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


class TenantSink:
    """The stores of a folder, while no server writes its files; how far it came stands in the tables beside the rows."""

    def __init__(self, folder: Path, stores: Stores, name: str) -> None:
        try:
            self._tenant = opened(folder, stores, "own")
        except StoreError as error:
            if stores.database is None and stores.written_by_others(folder):
                raise ConfigError(f"a server writes '{folder}'", "Pull into it: --server http://127.0.0.1:8765.") from None
            raise error from None
        self._name = name

    def state(self) -> Mapping[str, Any]:
        """See ``Sink``."""
        found = self._tenant.shop.tables.get(SOURCES, [self._name])
        return found[self._name].body if self._name in found else {}

    def take(self, kind: Kind, rows: list[RowRead]) -> Imported:
        """See ``Sink.take``."""
        return import_rows(self._tenant, kind, rows)

    def keep(self, state: Mapping[str, Any]) -> None:
        """See ``Sink``."""
        self._tenant.shop.tables.put(SOURCES, {self._name: state})

    def close(self) -> None:
        self._tenant.close()


class ServerSink:
    """A server that runs, over HTTP; how far it came stands in ``memory``, a file beside the source."""

    def __init__(self, server: str, tenant: str, key: str | None, memory: Path) -> None:
        import httpx

        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._http = httpx.Client(base_url=server, headers=headers, timeout=60)
        self._tenant = tenant
        self._memory = memory
        self._error = httpx.HTTPError

    def state(self) -> Mapping[str, Any]:
        """See ``Sink``. Raises ``ConfigError`` where the file is damaged."""
        if not self._memory.is_file():
            return {}
        try:
            return dict(json.loads(self._memory.read_text(encoding="utf-8")))
        except (ValueError, TypeError):
            raise ConfigError(f"'{self._memory}' cannot be read", "Delete it to read the source from the beginning.") from None

    def take(self, kind: Kind, rows: list[RowRead]) -> Imported:
        """See ``Sink.take``. Raises ``StoreError`` where the server does not take them."""
        unread = [Refused(row.place, row.why) for row in rows if row.values is None]
        sent = [row for row in rows if row.values is not None]
        if not sent:
            return Imported(len(rows), 0, 0, len(unread), 0, unread[:MOST_TOLD])
        body = b"\n".join(_encode(_json(row.values)) for row in sent)
        try:
            given = self._http.post(f"/v1/{self._tenant}/import/{kind}", content=body)
        except self._error as error:
            raise StoreError(f"the server does not answer: {error}", "What came before it is stored; nothing is lost.") from None
        if given.status_code != 200:
            said = given.json().get("detail", "") if "json" in given.headers.get("content-type", "") else ""
            raise StoreError(f"the server refuses with {given.status_code}: {said}", "What came before it is stored; nothing is lost.")
        told = msgspec.json.decode(given.content, type=Imported)
        reasons = [*unread, *(Refused(sent[r.row - 1].place, r.why) for r in told.reasons)]
        refused = told.refused + len(unread)
        return msgspec.structs.replace(told, rows=len(rows), refused=refused, reasons=reasons[:MOST_TOLD])

    def keep(self, state: Mapping[str, Any]) -> None:
        """See ``Sink``."""
        fresh = self._memory.with_name(f"{self._memory.name}.new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._memory)

    def close(self) -> None:
        self._http.close()


def pull(source: Source, name: str, sink: Sink, *, follow: bool = False, told: Callable[[Imported], None] = lambda _: None) -> Imported:
    """Read what there is (``follow``: and what comes, until interrupted). ``told`` hears the sum after each batch.

    A break anywhere loses nothing: what was stored and not yet confirmed comes again, and events count once.
    """
    total = Imported(0, 0, 0, 0, 0, [])
    stream = source.opened(name, sink.state())
    try:
        for rows in stream.batches(follow=follow):
            if rows:
                total = _sum(total, sink.take(source.into, rows))
                told(total)
            if state := stream.done():
                sink.keep(state)
    finally:
        stream.close()
    return total


def _sum(one: Imported, other: Imported) -> Imported:
    reasons = [*one.reasons, *other.reasons][:MOST_TOLD]
    return Imported(
        one.rows + other.rows, one.new + other.new, one.known + other.known, one.refused + other.refused, one.unwanted + other.unwanted,
        reasons,
    )  # fmt: skip


def _json(values: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: plain(value) for name, value in (values or {}).items()}
