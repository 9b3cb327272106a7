"""Search over what is recommended: the same items, filters and people, from the same snapshot."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from zhiyin.base.arrays import Float32
from zhiyin.base.errors import ConfigError, ZhiyinError
from zhiyin.data.requests import Requests
from zhiyin.online.asks import Count, Id, Share, Target
from zhiyin.online.snapshot import Snapshot

if TYPE_CHECKING:
    from zhiyin.online.tenant import Tenant

log = logging.getLogger("zhiyin.serve")
_LIKED = 500
_MOST_OFFSET = 10_000


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody typed. ``facets`` names what to count by (all where left out); ``offset`` is the place of the first
    item. With ``user`` or ``session`` the order leans to what he likes, by ``preference`` (0..1), unless ``personalized`` is false.
    ``target`` is what is looked for; people, groups and topics are found by the beginnings of their names.
    """

    text: Annotated[str, Meta(min_length=1, max_length=2_000)]
    n: Count = 10
    offset: Annotated[int, Meta(ge=0, le=_MOST_OFFSET)] = 0
    filter: str | dict[str, Any] | None = None
    facets: Annotated[list[str], Meta(max_length=50)] | None = None
    user: Id | None = None
    session: Id | None = None
    personalized: bool = True
    preference: Share | None = None
    language: Literal["en", "zh"] | None = None
    target: Target = "items"


class Hit(msgspec.Struct, frozen=True):
    """``kind`` and ``count`` as in an answer of recommend: "" and 0 for items."""

    item: str
    title: str
    score: float
    why: str
    kind: str = ""
    count: int = 0


class Value(msgspec.Struct, frozen=True):
    """A value of a facet, and how many of the items found have it."""

    value: str
    count: int


class Results(msgspec.Struct, frozen=True, kw_only=True):
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


class Complete(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(max_length=200)]
    n: Annotated[int, Meta(ge=1, le=50)] = 8


class Completed(msgspec.Struct, frozen=True):
    """``kind`` is "title", or the column a text is a value of."""

    text: str
    kind: str


class Completions(msgspec.Struct, frozen=True):
    """``degraded`` says that these are not what the search index would have said, and ``note`` why."""

    texts: list[Completed]
    degraded: bool = False
    note: str = ""


def search(snapshot: Snapshot, said: Search, taste: Float32 | None = None) -> Results:
    """One page of what was asked for; ``taste`` is how much the asker likes each item (``liked``)."""
    allowed = snapshot.mask(said.filter) if said.filter is not None else None
    if snapshot.finder is None:
        return _without_index(snapshot, said, "the search index is being built")
    try:
        found = snapshot.finder.search(
            said.text, said.n, allowed=allowed, facets=said.facets, preference=taste, preference_share=said.preference, offset=said.offset,
            variants=snapshot.variants, language=said.language or ("zh" if snapshot.language == "zh" else "en"),
        )  # fmt: skip
    except ZhiyinError:
        raise
    except Exception as error:
        log.error("the search index failed", exc_info=error)
        return _without_index(snapshot, said, f"the search index failed ({type(error).__name__})")
    return Results(
        items=[Hit(item.item_id, item.title, item.score, item.reason) for item in found],
        total=found.total, understood=found.understood,
        facets={name: [Value(c.value, c.count) for c in counts] for name, counts in found.facets.items()},
        fallback=found.fallback, note=found.note, personalised=found.personalised, next=found.next_offset, model=snapshot.version,
    )  # fmt: skip


def complete(tenant: Tenant, said: Complete) -> list[Completed]:
    """What somebody may be typing."""
    finder = tenant.snapshot.finder
    return [] if finder is None else [Completed(c.text, c.kind) for c in finder.complete(said.text, said.n)]


def liked(tenant: Tenant, snapshot: Snapshot, said: Search) -> Float32 | None:
    """How much the asker likes each item, by place in his list: (n_items,); None for somebody nobody knows."""
    person = tenant.people.find(said.user, said.session)
    if person < 0 or said.user in tenant.private:
        return None
    now = np.array([tenant.clock()], np.int64)
    if snapshot.recommender.data.manifest.order != "time":
        now = np.array([snapshot.recommender.newest_us], np.int64)
    known = person if person < snapshot.recommender.data.n_users else -1
    request = Requests.of(tenant.people.history(np.array([person]), now), np.array([known]), now)
    slates = snapshot.recommender.model.retrieve(request, _LIKED)
    liked = np.zeros(len(snapshot.catalog), np.float32)
    liked[slates.item_ix] = 1.0 / (1.0 + np.arange(len(slates.item_ix)) / 20.0)
    return liked


def _without_index(snapshot: Snapshot, said: Search, why: str) -> Results:
    """What can be said without the index: by meaning where items have text, else what is popular."""
    allowed = snapshot.mask(said.filter) if said.filter is not None else None
    try:
        vectors = snapshot.recommender.asker.query(said.text)[None, :]
    except ConfigError:
        return plain(snapshot, said, why)
    request = Requests.of(snapshot.recommender.asker.given([], 0), query_vectors=vectors, allowed=allowed)
    wanted = said.offset + said.n
    rows = snapshot.recommender.by_text(request, wanted if snapshot.variants is None else 5 * wanted).item_ix.tolist()
    return _degraded(snapshot, said, rows, "meaning", why)


def plain(snapshot: Snapshot, said: Search, why: str) -> Results:
    """What is popular, first what has the words in its title: in a millisecond, with neither index nor model."""
    allowed = snapshot.mask(said.filter) if said.filter is not None else None
    rows = [ix for ix in snapshot.popular.tolist() if allowed is None or allowed[ix]]
    words = said.text.casefold().split()
    rows.sort(key=lambda ix: not all(word in snapshot.titles[ix].casefold() for word in words))
    return _degraded(snapshot, said, rows, "popular", why)


def _degraded(snapshot: Snapshot, said: Search, rows: list[int], fallback: str, why: str) -> Results:
    rows = snapshot.one_of_each(rows, said.offset + said.n)[said.offset :]
    hits = [Hit(snapshot.ids[ix], snapshot.titles[ix], 1.0 / (1 + place), why) for place, ix in enumerate(rows)]
    return Results(
        items=hits, total=len(hits), understood=said.text, facets={}, fallback=fallback, note=why, personalised=0.0, next=None,
        model=snapshot.version, degraded=True,
    )  # fmt: skip
