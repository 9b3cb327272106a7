"""What is asked of a running recommender and what it answers: the shapes of the API, without HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(min_length=1, max_length=512)]
Count = Annotated[int, Meta(ge=1, le=1000)]
Share = Annotated[float, Meta(ge=0, le=1)]
Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Context = Annotated[dict[str, str | Whole | float | bool], Meta(max_length=100)]
"""What is known of a moment by name; numbers as every store keeps them."""
Target = Literal["items", "users", "groups", "topics"]
"""What is wanted: items, people to follow, groups to join, or topics."""


class Ask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who asks (``user``, ``session`` or a ``history`` of item ids, oldest first), where (``placement``, ``place``,
    ``context``), when (``time``, microseconds or ISO 8601; default now), for what (``text``, ``items`` the list is
    about) and within which bounds (``filter`` over item columns, ``candidates``, ``exclude``).

    ``personalized = false`` uses nothing about the person. ``diversity`` and ``novelty`` (0..1) trade relevance.
    ``cursor`` "" asks for the first of several pages; the cursor of each answer continues it, without repeats.
    ``target`` is what is wanted; people, groups and topics have regard to who asks, ``n``, ``exclude`` and ``text`` (a name).
    """

    user: Id | None = None
    session: Id | None = None
    history: Annotated[list[Id], Meta(max_length=10_000)] | None = None
    text: Annotated[str, Meta(max_length=2_000)] | None = None
    items: Annotated[list[Id], Meta(max_length=1_000)] | None = None
    placement: Annotated[str, Meta(min_length=1, max_length=100)] = "home"
    place: Id | None = None
    context: Context | None = None
    time: int | str | None = None
    n: Count | None = None
    filter: str | dict[str, Any] | None = None
    candidates: Annotated[list[Id], Meta(max_length=10_000)] | None = None
    exclude: Annotated[list[Id], Meta(max_length=10_000)] = []
    repeat: Literal["allow", "never"] | None = None
    diversity: Share | None = None
    novelty: Share | None = None
    personalized: bool = True
    language: Literal["en", "zh"] | None = None
    seed: Annotated[int, Meta(ge=0, lt=2**31)] = 0
    cursor: Annotated[str, Meta(max_length=100_000)] | None = None
    target: Target = "items"


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of an answer; ``reason`` is a code, ``why`` says it in a sentence. Of another target ``item`` is the id of a
    person or group (``kind`` "user", "group") or the value of a topic (``kind`` its column), and ``count`` how many follow a
    person, belong to a group, or how many items a topic has.

    ``ad`` is the label of an advertisement ("Ad", "广告") and ``campaign`` whose it is; both are empty for everything else.
    """

    item: str
    score: float
    title: str = ""
    reason: str = ""
    why: str = ""
    ad: str = ""
    campaign: str = ""
    kind: str = ""
    count: int = 0


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A ranked list. ``trace`` names this answer in events and in replay; ``degraded`` says that it is not what the
    model would have said, and ``notes`` why."""

    items: list[Shown]
    placement: str
    served_by: str
    model: str
    trace: str
    title: str = ""
    degraded: bool = False
    notes: list[str] = []
    cursor: str | None = None
