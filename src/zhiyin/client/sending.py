"""The two clients: one that waits, one that is awaited."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from itertools import count
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from zhiyin.client.calls import Calls
from zhiyin.client.calls_async import AsyncCalls
from zhiyin.client.given import part
from zhiyin.client.retrying import CallError, Sent, unreachable, value_of, wait_s

__all__ = ["AsyncClient", "CallError", "Client"]

T = TypeVar("T")
ADDRESS = "http://127.0.0.1:8765"


class Client(Calls):
    """Calls a server and waits; many threads may share one. ``close`` it, or use it in a ``with``.

    A call that nobody answers, or that is told when to come back (429, 503), is made again up to ``retries`` times: .1, .2,
    .4 ... seconds later, or as told. ``timeout_s`` bounds one try. Whatever else is refused raises ``CallError``.
    """

    def __init__(self, address: str = ADDRESS, *, tenant: str, key: str | None = None, timeout_s: float = 10.0, retries: int = 5) -> None:
        self.address = address.rstrip("/")
        self.retries = retries
        self._tenant = part(tenant)
        self._http = httpx.Client(base_url=self.address, timeout=timeout_s, headers=_headers(key))

    def _call(self, gives: type[T], method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> T:
        sent = Sent.of(method, path, body, query)
        for attempt in count():
            outcome: httpx.Response | CallError
            try:
                outcome = self._http.send(sent.request(self._http))
            except httpx.TransportError as error:
                outcome = unreachable(self.address, error)
            wait = wait_s(attempt, self.retries, outcome)
            if wait is None:
                break
            time.sleep(wait)
        return value_of(outcome, gives)

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None) -> None:
        self.close()


class AsyncClient(AsyncCalls):
    """The same with methods to await, for one event loop. ``await close()`` it, or use it in an ``async with``."""

    def __init__(self, address: str = ADDRESS, *, tenant: str, key: str | None = None, timeout_s: float = 10.0, retries: int = 5) -> None:
        self.address = address.rstrip("/")
        self.retries = retries
        self._tenant = part(tenant)
        self._http = httpx.AsyncClient(base_url=self.address, timeout=timeout_s, headers=_headers(key))

    async def _call(self, gives: type[T], method: str, path: str, body: Any = None, query: Mapping[str, Any] | None = None) -> T:
        sent = Sent.of(method, path, body, query)
        for attempt in count():
            outcome: httpx.Response | CallError
            try:
                outcome = await self._http.send(sent.request(self._http))
            except httpx.TransportError as error:
                outcome = unreachable(self.address, error)
            wait = wait_s(attempt, self.retries, outcome)
            if wait is None:
                break
            await asyncio.sleep(wait)
        return value_of(outcome, gives)

    async def close(self) -> None:
        """Give the connections back."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, place: TracebackType | None) -> None:
        await self.close()


def _headers(key: str | None) -> dict[str, str]:
    return {} if key is None else {"authorization": f"Bearer {key}"}
