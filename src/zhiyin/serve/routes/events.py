"""Events: what people did, stored for good before the answer."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from zhiyin.base.errors import DataError
from zhiyin.data.record import EventRecord
from zhiyin.online.rows import time_of
from zhiyin.serve.operation import Call, Operation, Scope

Id = Annotated[str, Meta(min_length=1, max_length=512)]


class EventIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One event. ``event_id`` makes a repeated call count once; ``time`` is microseconds or ISO 8601, default now."""

    event_id: Id
    item: Id
    user: Id | None = None
    session: Id | None = None
    kind: Annotated[str, Meta(min_length=1, max_length=100)] = "event"
    time: int | str | None = None
    value: float | None = None
    place: Id | None = None
    placement: Annotated[str, Meta(max_length=100)] | None = None
    trace: Annotated[str, Meta(max_length=200)] | None = None
    context: dict[str, str | int | float | bool] | None = None


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
    fresh = await call.tenant.take([_record(e) for e in given])
    return Taken(sum(fresh), len(fresh) - sum(fresh))


def _record(e: EventIn) -> EventRecord:
    if e.time == 0:
        raise DataError(f"event '{e.event_id}' has the time 0", "Leave it out for now, or give microseconds since 1970.")
    return EventRecord(
        event_id=e.event_id, item=e.item, kind=e.kind, user=e.user, session=e.session, value=e.value, place=e.place,
        placement=e.placement, trace=e.trace, context=e.context, time_us=0 if e.time is None else time_of(e.time, 0),
    )  # fmt: skip


OPERATIONS = (
    Operation("event", "POST", "/v1/{tenant}/event", Scope.INGEST, event, "Store one event.", Taken, EventIn),
    Operation("events", "POST", "/v1/{tenant}/events", Scope.INGEST, events, "Store up to 10,000 events.", Taken, Batch, largest=16 << 20),
)
