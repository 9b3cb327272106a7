"""One event as others send it, over HTTP, in files or from other systems, and as the log keeps it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from zhiyin.base.errors import DataError
from zhiyin.data.record import EventRecord
from zhiyin.online.asks import Context, Id
from zhiyin.online.rows import time_of


class EventIn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):  # no cycles: JSON has none
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
    context: Context | None = None


def record_of(e: EventIn, now_us: int = 0) -> EventRecord:
    """The event for the log, as it is taken at ``now_us`` (0: to be stamped later). Raises ``DataError`` or ``ConfigError`` for
    a time that is none.
    """
    if e.time == 0:
        raise DataError(f"event '{e.event_id}' has the time 0", "Leave it out for now, or give microseconds since 1970.")
    time_us = now_us if e.time is None else time_of(e.time, 0)
    return EventRecord(
        event_id=e.event_id, item=e.item, kind=e.kind, user=e.user, session=e.session, value=e.value, place=e.place,
        placement=e.placement, trace=e.trace, context=e.context, time_us=time_us, received_us=now_us,
    )  # fmt: skip
