"""Buy again: what the requester had before, ordered by habit, freshness and what people re-buy.

Score of i = sum over the requester's events on i of weight * 2^(-age / half-life), times the square
root of i's repeat propensity (re-buyers + shrink * r) / (buyers + shrink), r the rate over all items.
A factor for "due again" from each item's or person's purchase cycle was tried on online_retail and
moved nothing (.2355 -> .2355 validation NDCG@10 at best), so there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field

from zhiyin.base.arrays import Float32, Float64
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.schema import Order
from zhiyin.models.retrieve.dense import DenseRetriever, never_where_zero
from zhiyin.models.retrieve.profile import age_in_events, liked
from zhiyin.models.roles import ModelSpec, State


class BuyAgainSpec(ModelSpec):
    """Choose for shops, where a third of demand is repeats; it never offers anything new.

    ``half_life_days`` serves data with time; with ``order = "position"`` an event weighs
    ``history_decay`` of the next newer one. ``shrink`` is in buyers.
    """

    kind: ClassVar[str] = "buy-again"

    half_life_days: Annotated[float, Field(gt=0)] = 180.0
    history_decay: Annotated[float, Field(gt=0, le=1)] = 0.98
    shrink: Annotated[float, Field(ge=0)] = 30.0

    def fit(self, data: Dataset, run: Run) -> BuyAgain:
        buyers, rebuyers = repeat_counts(data.positive)
        # One imagined buyer in two re-buys: the rate is never 0, even where nobody has come back yet.
        rate = (rebuyers.sum() + 1) / (buyers.sum() + 2)
        propensity = (rebuyers + self.shrink * rate) / np.maximum(buyers + self.shrink, 1)
        propensity = np.where(buyers + self.shrink > 0, propensity, rate)
        return BuyAgain(self, data.catalog, propensity.astype(np.float32), float(rate), data.manifest.order)

    def restore(self, state: State, catalog: Catalog) -> BuyAgain:
        return BuyAgain(self, catalog, state.arrays["propensity"], float(state.meta["rate"]), state.meta["order"])


def repeat_counts(data: Dataset) -> tuple[Float64, Float64]:
    """How many people had each item, and how many of them at two different times: 2 x (n_items,)."""
    e = data.events
    order = np.lexsort((e.time_us, e.item_ix, e.user_ix))
    user, item, time = e.user_ix[order], e.item_ix[order], e.time_us[order]
    same = (user[1:] == user[:-1]) & (item[1:] == item[:-1])
    first = np.concatenate([np.ones(min(1, len(item)), np.bool_), ~same])
    pair = np.cumsum(first) - 1
    came_back = np.zeros(int(first.sum()), np.bool_)
    came_back[pair[1:][same & (time[1:] > time[:-1])]] = True
    of_pair = item[first]
    buyers = np.bincount(of_pair, minlength=data.n_items).astype(np.float64)
    return buyers, np.bincount(of_pair[came_back], minlength=data.n_items).astype(np.float64)


@dataclass(frozen=True)
class BuyAgain(DenseRetriever):
    spec: BuyAgainSpec
    catalog: Catalog
    propensity: Float32  # (n_items at fit,)
    rate: float  # propensity of an item nobody had at fit
    order: Order  # of the data learned from: whether ages are days or events

    def scores(self, requests: Requests) -> Float32:
        history = liked(requests.history)
        propensity = np.full(len(self.catalog), self.rate, np.float32)
        propensity[: len(self.propensity)] = self.propensity
        worth = np.maximum(self._freshness(history, requests), 1e-12) * np.sqrt(propensity[history.item_ix])
        shape = (len(requests), len(self.catalog))
        rows = np.repeat(np.arange(len(history)), history.lengths)
        found: Float32 = sp.csr_matrix((worth.astype(np.float32), (rows, history.item_ix)), shape=shape).toarray()
        return never_where_zero(found)

    def _freshness(self, history: Histories, requests: Requests) -> Float64:
        """Weight of each flat event, aged: (n_flat,)."""
        weight = history.weight.astype(np.float64)
        match self.order:
            case "time":
                age_days = (np.repeat(requests.now_us, history.lengths) - history.time_us) / US_PER_DAY
                return np.asarray(weight * np.exp2(-np.maximum(age_days, 0) / self.spec.half_life_days))
            case "position":
                return np.asarray(weight * self.spec.history_decay ** age_in_events(history).astype(np.float64))
            case _:
                return weight

    def state(self) -> State:
        return State({"propensity": self.propensity}, {"rate": self.rate, "order": self.order})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)
