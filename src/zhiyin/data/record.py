"""One event as it travels: from a request through the log to the live state, and out again in an export."""

from __future__ import annotations

from typing import Any

import msgspec


class EventRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):  # no cycles: JSON has none
    """Somebody did something to an item.

    ``event_id`` makes it count once however often it is sent. At least one of ``user`` (known person) and
    ``session`` (anonymous) says who; both together join the session to the person. ``time_us`` is when it
    happened, ``received_us`` when the server took it (set by the server): late events keep their own time.
    ``trace`` is the answer that led to it, for attribution.
    """

    event_id: str
    item: str
    kind: str = "event"
    user: str | None = None
    session: str | None = None
    time_us: int = 0
    received_us: int = 0
    value: float | None = None
    place: str | None = None
    placement: str | None = None
    trace: str | None = None
    context: dict[str, Any] | None = None
