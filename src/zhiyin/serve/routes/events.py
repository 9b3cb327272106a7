"""Events: what people did, stored for good before the answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from zhiyin.online.incoming import EventIn
from zhiyin.serve.operation import Call, Operation, Scope


class Taken(msgspec.Struct, frozen=True):
    """``new`` events were stored now; ``known`` ones had been stored before and count once."""

    new: int
    known: int


Batch = Annotated[list[EventIn], Meta(min_length=1, max_length=10_000)]


async def event(call: Call) -> Taken:
    return await _taken(call, [call.body])


async def events(call: Call) -> Taken:
    return await _taken(call, call.body)


async def _taken(call: Call, given: list[EventIn]) -> Taken:
    fresh = await call.tenant.take(given)
    return Taken(sum(fresh), len(fresh) - sum(fresh))


OPERATIONS = (
    Operation("event", "POST", "/v1/{tenant}/event", Scope.INGEST, event, "Store one event.", Taken, EventIn),
    Operation("events", "POST", "/v1/{tenant}/events", Scope.INGEST, events, "Store up to 10,000 events.", Taken, Batch, largest=16 << 20),
)
