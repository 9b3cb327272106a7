"""What the server answers, and what it takes lists of. Written by tools/client.py from the operations of the server; do not edit."""

# fmt: off

from __future__ import annotations

from typing import Any, Literal

import msgspec

from zhiyin.client.given import fresh_id


class EventIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event. ``event_id`` makes a repeated call count once; ``time`` is microseconds or ISO 8601, default now."""

    event_id: str = msgspec.field(default_factory=fresh_id)
    item: str
    user: str | None = None
    session: str | None = None
    kind: str = "event"
    time: int | str | None = None
    value: float | None = None
    place: str | None = None
    placement: str | None = None
    trace: str | None = None
    context: dict[str, str | int | float | bool] | None = None


class ItemIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    columns: dict[str, Any]


class UserIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    columns: dict[str, Any]


class Tag(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``like`` is false for what somebody does not want."""

    tag: str
    like: bool = True


class RelationIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A relation, and what else is known of it."""

    head: str
    relation: str
    tail: str
    columns: dict[str, Any] = {}


class Named(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which relation."""

    head: str
    relation: str
    tail: str


class Shown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A ranked list. ``trace`` names this answer in events and in replay; ``degraded`` says that it is not what the
    model would have said, and ``notes`` why.
    """

    items: list[Shown]
    placement: str
    served_by: str
    model: str
    trace: str
    title: str = ""
    degraded: bool = False
    notes: list[str] = []
    cursor: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Shelves from top to bottom; an item stands once."""

    shelves: list[Reply]
    notes: list[str]


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who asks (``user``, ``session`` or a ``history`` of item ids, oldest first), where (``placement``, ``place``,
    ``context``), when (``time``, microseconds or ISO 8601; default now), for what (``text``, ``items`` the list is
    about) and within which bounds (``filter`` over item columns, ``candidates``, ``exclude``).

    ``personalized = false`` uses nothing about the person. ``diversity`` and ``novelty`` (0..1) trade relevance.
    ``cursor`` "" asks for the first of several pages; the cursor of each answer continues it, without repeats.
    ``target`` is what is wanted; people, groups and topics have regard to who asks, ``n``, ``exclude`` and ``text`` (a name).
    """

    user: str | None = None
    session: str | None = None
    history: list[str] | None = None
    text: str | None = None
    items: list[str] | None = None
    placement: str = "home"
    place: str | None = None
    context: dict[str, str | int | float | bool] | None = None
    time: int | str | None = None
    n: int | None = None
    filter: str | dict[str, Any] | None = None
    candidates: list[str] | None = None
    exclude: list[str] = []
    repeat: Literal["allow", "never"] | None = None
    diversity: float | None = None
    novelty: float | None = None
    personalized: bool = True
    language: Literal["en", "zh"] | None = None
    seed: int = 0
    cursor: str | None = None
    target: Literal["items", "users", "groups", "topics"] = "items"


class Trace(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer as it was given."""

    trace: str
    at_us: int
    ask: Ask
    items: list[Shown]
    served_by: str
    model: str


class Taken(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``new`` events were stored now; ``known`` ones had been stored before and count once."""

    new: int
    known: int


class Hit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``kind`` and ``count`` as in an answer of recommend: "" and 0 for items."""

    item: str
    title: str
    score: float
    why: str
    kind: str = ""
    count: int = 0


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of a facet, and how many of the items found have it."""

    value: str
    count: int


class Results(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One page. ``understood`` is the query as it was read; ``fallback`` says what was given up where nothing had the words
    ("" = nothing), ``note`` says it in a sentence; ``next`` is the offset of the next page, null at the end.
    """

    items: list[Hit]
    total: int
    understood: str
    facets: dict[str, list[Value]]
    fallback: str
    note: str
    personalised: float
    next: int | None
    model: str
    degraded: bool = False


class Completed(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``kind`` is "title", or the column a text is a value of."""

    text: str
    kind: str


class Completions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``degraded`` says that these are not what the search index would have said, and ``note`` why."""

    texts: list[Completed]
    degraded: bool = False
    note: str = ""


class Item(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item as it is: its id and its columns."""

    id: str
    columns: dict[str, Any]


class Items(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page; ``after`` asks for the next one, null at the end."""

    items: list[Item]
    after: str | None


class Written(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which version each row got."""

    versions: dict[str, int]


class Gone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many there were."""

    deleted: int


class User(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    columns: dict[str, Any]


class Users(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page; ``after`` asks for the next one, null at the end."""

    users: list[User]
    after: str | None


class Consent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``personalize``: answers may use what he did; ``store``: what he does may be stored."""

    personalize: bool = True
    store: bool = True


class Evidence(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An item that speaks for a topic, and how much of the topic's weight it carries."""

    item: str
    title: str
    share: float


class Topic(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    column: str
    topic: str
    share: float
    evidence: list[Evidence]


class Portrait(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``events`` were looked at; shares of the topics of one column add up to at most 1."""

    user: str
    events: int
    topics: list[Topic]
    tags: list[Tag]
    hidden: list[str]


class TagsIn(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``tags`` he gives himself; ``hidden`` topics nobody shall see or use."""

    tags: list[Tag] = []
    hidden: list[str] = []


class EventRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
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


class Relation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``head`` has ``relation`` to ``tail``."""

    head: str
    relation: str
    tail: str
    columns: dict[str, Any]


class Kept(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything that is kept about one person."""

    user: str
    columns: dict[str, Any]
    tags: dict[str, Any]
    trained_on: list[dict[str, Any]]
    events: list[EventRecord]
    answers: list[Trace]
    relations: list[Relation] = []


class Erased(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The proof: how much went from where, and where his id is still found (``left``; the bundle until it is retrained)."""

    events: int
    answers: int
    rows: int
    masked_in_bundle: bool
    retrain_due: bool
    left: list[str]


class Relations(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A page; ``after`` asks for the next one, null at the end."""

    relations: list[Relation]
    after: str | None


class Stored(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How many were written; ``version`` is that of the last."""

    stored: int
    version: int


class Refused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A row that was not stored: its line (of a Parquet file: its number), and why."""

    row: int
    why: str


class Imported(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``new`` rows were stored; ``known`` ones were there: events count once, of other rows the newer one stands.
    ``unwanted`` are events of people who want nothing stored. ``reasons`` tells of the first 100 ``refused``.
    """

    rows: int
    new: int
    known: int
    refused: int
    unwanted: int
    reasons: list[Refused]


class CampaignReport(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``clicks`` are events on the advertised item that carry the trace of an answer in which it stood as an advertisement."""

    campaign: str
    impressions: int
    clicks: int


class Live(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    status: str


class ServerReady(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``ready`` is false when some tenant cannot store events; which one, its own operation says."""

    ready: bool


class Ready(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``ready`` is false when events cannot be stored; ``degraded`` when answers come without the model that should answer.

    A server that is degraded and ready stays in its balancer: it stores events, and answers.
    """

    ready: bool
    degraded: bool
    model: str
    items: int
    events: int
    notes: list[str] = []
