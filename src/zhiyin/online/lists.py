"""Lists that are about the shop or an item rather than a person: popular, trending, new, similar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from zhiyin.base.arrays import AnyArray, Float64
from zhiyin.base.errors import UnknownNameError
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.requests import Requests
from zhiyin.online.answers import Found
from zhiyin.online.asks import Count, Id
from zhiyin.online.snapshot import Snapshot
from zhiyin.online.tenant import Tenant
from zhiyin.pipeline.rules import UNSEEN

Kind = Literal["alike", "together", "accessory"]


class Listing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A list of the shop: how long, of which items, without which."""

    n: Count = 10
    filter: str | dict[str, Any] | None = None
    exclude: Annotated[list[Id], Meta(max_length=10_000)] = []
    language: Literal["en", "zh"] | None = None
    days: Annotated[float, Meta(gt=0, le=3650)] | None = None


class Like(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Items like one: ``alike`` in words, ``together`` with it in people's hands, or an ``accessory`` to it
    (taken together, and not alike)."""

    item: Id
    kind: Kind = "alike"
    n: Count = 10
    filter: str | dict[str, Any] | None = None
    exclude: Annotated[list[Id], Meta(max_length=10_000)] = []
    language: Literal["en", "zh"] | None = None


def popular(tenant: Tenant, said: Listing) -> Found:
    """What most people take, the past fading by half in 90 days."""
    snapshot = tenant.snapshot
    return _best(snapshot, said, tenant.counters.popular(len(snapshot.catalog)), "popular")


def trending(tenant: Tenant, said: Listing) -> Found:
    """What is taken more these days than its popularity lets expect."""
    snapshot = tenant.snapshot
    score = tenant.counters.trending(len(snapshot.catalog))
    return _best(snapshot, said, np.where(score > 0, score, -np.inf), "trending")


def new(tenant: Tenant, said: Listing) -> Found:
    """What came last, newest first; items nobody knows the date of never."""
    snapshot = tenant.snapshot
    first = snapshot.recommender.shelves.facts.first_us.astype(np.float64)
    unknown = snapshot.recommender.shelves.facts.first_us == UNSEEN
    if said.days is not None:
        unknown |= first < tenant.clock() - said.days * US_PER_DAY
    return _best(snapshot, said, np.where(unknown, -np.inf, first), "new")


def like(tenant: Tenant, said: Like) -> Found:
    """Items like one item; raises ``UnknownNameError`` for an item nobody knows."""
    snapshot = tenant.snapshot
    ix = snapshot.catalog.items.find(said.item)
    if ix < 0:
        raise UnknownNameError(f"no item has the id '{said.item[:80]}'")
    notes: list[str] = []
    own = [ix] if snapshot.variants is None else snapshot.variants.others([ix])
    gone = [*own, *snapshot.rows_of(said.exclude, "excluded", notes)]
    n_items = len(snapshot.catalog)
    words = _words(snapshot, ix)
    if said.kind == "alike" and words is not None:
        return _listed(snapshot, words, gone, said.filter, said.n, "text", notes, snapshot.titles[ix])
    score = _together(tenant, snapshot, ix, n_items)
    if said.kind == "accessory" and words is not None:
        # What could stand in its place completes nothing.
        score = np.where(words > 0.8, -np.inf, score)
    return _listed(snapshot, score, gone, said.filter, said.n, "bought-together", notes, snapshot.titles[ix])


def _words(snapshot: Snapshot, ix: int) -> Float64 | None:
    """How alike every item is in words: (n_items,), None where this one has none."""
    vectors = snapshot.catalog.vectors.get("text")
    if vectors is None or not vectors.matrix[ix].any():
        return None
    score = (vectors.matrix @ vectors.matrix[ix]).astype(np.float64)
    return np.where(score > 0, score, -np.inf)


def _together(tenant: Tenant, snapshot: Snapshot, ix: int, n_items: int) -> Float64:
    """What the model puts after this item alone, and what people took around it since the bundle."""
    asker = snapshot.recommender.asker
    at = snapshot.recommender.newest_us
    request = Requests.of(asker.given([ix], at), now_us=at)
    slates, _ = snapshot.recommender.by_model(request, min(200, n_items))
    score = np.full(n_items, -np.inf)
    score[slates.item_ix] = 1.0 / (1.0 + np.arange(len(slates.item_ix)))
    for other, count in tenant.people.together(ix).items():
        score[other] = max(score[other], 0.0) + 0.05 * np.log1p(count)
    return score


def _best(snapshot: Snapshot, said: Listing, score: Float64, served: str) -> Found:
    notes: list[str] = []
    gone = snapshot.rows_of(said.exclude, "excluded", notes) if said.exclude else []
    return _listed(snapshot, score, gone, said.filter, said.n, served, notes)


def _listed(
    snapshot: Snapshot, score: Float64, gone: Sequence[int], filter_: Any, n: int, served: str, notes: list[str], about: str = ""
) -> Found:
    """The n best of a score per item, without what is gone, unavailable or filtered out."""
    score = np.array(score, np.float64)
    score[np.asarray(gone, np.int64)] = -np.inf
    if snapshot.catalog.available is not None:
        score[~snapshot.catalog.available] = -np.inf
    if filter_ is not None:
        score[~snapshot.mask(filter_)] = -np.inf
    wanted = n if snapshot.variants is None else len(score)
    order: AnyArray = np.flatnonzero(score > -np.inf)
    if wanted < len(order):  # sorting a million takes longer than an answer may
        floor = np.partition(score[order], len(order) - wanted)[len(order) - wanted]
        order = order[score[order] >= floor]
    order = order[np.argsort(-score[order], kind="stable")][:wanted]
    if snapshot.variants is not None:
        order = order[snapshot.variants.firsts(order)][:n]
    return Found(order.tolist(), score[order].tolist(), served, notes=tuple(notes), about=about)
