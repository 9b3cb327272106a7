"""Due again: what the requester had before and is about to need again.

A person who will come back for item i does so after a gap whose logarithm is normal with the mean and
spread of i, drawn to those of all items (``shrink`` gaps) and, the oftener he bought it, to his own gaps.
With p = (s r_i + n - 1) / (s + n - 1), the share r_i of i's buyers who ever came back and his n purchases,
and S(e) the share of gaps longer than e days, the chance to buy within the next w days after e quiet ones is
p (S(e) - S(e + w)) / (p S(e) + 1 - p): low just after a purchase, highest when due, low again when given up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from pydantic import Field
from scipy.special import ndtr

from zhiyin.base.arrays import AnyArray, Float32, Float64, Int64
from zhiyin.base.units import US_PER_DAY
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Histories, Requests
from zhiyin.data.run import Run
from zhiyin.data.schema import Order
from zhiyin.models.retrieve.buy_again import repeat_counts
from zhiyin.models.retrieve.dense import DenseRetriever, never_where_zero
from zhiyin.models.retrieve.profile import age_in_events, liked
from zhiyin.models.roles import ModelSpec, State

_LEAST_AGE = 0.02  # half an hour in days: a gap has a logarithm


class DueAgainSpec(ModelSpec):
    """Choose for a reminder of what runs out; see ``buy-again`` for the plain list of habits.

    ``window_days`` is how far "about to" reaches. ``shrink`` is in gaps of all people on an item,
    ``person_shrink`` in gaps of one person, ``repeat_shrink`` in purchases. With ``order = "position"`` a
    day is one event; without order only the number of purchases counts.
    """

    kind: ClassVar[str] = "due-again"

    window_days: Annotated[float, Field(gt=0)] = 14.0
    shrink: Annotated[float, Field(gt=0)] = 20.0
    person_shrink: Annotated[float, Field(gt=0)] = 2.0
    repeat_shrink: Annotated[float, Field(gt=0)] = 2.0

    def fit(self, data: Dataset, run: Run) -> DueAgain:
        item, gap = gaps(data.positive)
        log_gap = np.log(np.maximum(gap, _LEAST_AGE))
        mean = float(log_gap.mean()) if len(gap) else 3.0  # e^3 = 20 days, where nobody ever came back
        spread = float(log_gap.std()) if len(gap) > 1 else 1.0
        n = np.bincount(item, minlength=data.n_items)
        means = (np.bincount(item, weights=log_gap, minlength=data.n_items) + self.shrink * mean) / (n + self.shrink)
        within = np.bincount(item, weights=(log_gap - means[item]) ** 2, minlength=data.n_items)
        spreads = np.sqrt((within + self.shrink * spread**2) / (n + self.shrink))
        buyers, rebuyers = repeat_counts(data.positive)
        rate = (rebuyers.sum() + 1) / (buyers.sum() + 2)
        propensity = (rebuyers + 30 * rate) / (buyers + 30)  # 30 imagined buyers, as in buy-again
        rhythm = np.stack([propensity, means, np.maximum(spreads, 0.1)]).astype(np.float32)
        return DueAgain(self, data.catalog, rhythm, (float(rate), mean, max(spread, 0.1)), data.manifest.order)

    def restore(self, state: State, catalog: Catalog) -> DueAgain:
        rate, mean, spread = state.meta["usual"]
        return DueAgain(self, catalog, state.arrays["rhythm"], (rate, mean, spread), state.meta["order"])


def gaps(data: Dataset) -> tuple[AnyArray, Float64]:
    """Item and days (events, with positions) between purchases of a pair that follow each other, not of one instant."""
    e = data.events
    order = np.lexsort((e.time_us, e.item_ix, e.user_ix))
    user, item, time = e.user_ix[order], e.item_ix[order], e.time_us[order]
    again = (user[1:] == user[:-1]) & (item[1:] == item[:-1]) & (time[1:] > time[:-1])
    unit = US_PER_DAY if data.manifest.order == "time" else 1
    return item[1:][again], (time[1:] - time[:-1])[again] / unit


@dataclass(frozen=True)
class DueAgain(DenseRetriever):
    spec: DueAgainSpec
    catalog: Catalog
    rhythm: Float32  # (3, n_items at fit): who comes back, mean and spread of the log gap
    usual: tuple[float, float, float]  # the same over all items, for those nobody had at fit
    order: Order

    def scores(self, requests: Requests) -> Float32:
        history = liked(requests.history)
        row, item, times, newest, span = _pairs(history, self._ages(history, requests), len(self.catalog))
        known = item < self.rhythm.shape[1]
        propensity, mean, spread = np.where(known, self.rhythm[:, np.where(known, item, 0)], np.array(self.usual)[:, None])
        came_back = times - 1
        own = np.log(np.maximum(span / np.maximum(came_back, 1), _LEAST_AGE))
        mean = (self.spec.person_shrink * mean + came_back * own) / (self.spec.person_shrink + came_back)
        p = (self.spec.repeat_shrink * propensity + came_back) / (self.spec.repeat_shrink + came_back)
        quiet, later = (1 - ndtr((np.log(age) - mean) / spread) for age in (newest, newest + self.spec.window_days))
        chance = p * (quiet - later) / np.maximum(p * quiet + 1 - p, 1e-12)
        shape = (len(requests), len(self.catalog))
        found: Float32 = sp.csr_matrix((np.maximum(chance, 1e-12).astype(np.float32), (row, item)), shape=shape).toarray()
        return never_where_zero(found)

    def _ages(self, history: Histories, requests: Requests) -> Float64:
        """Days (events) before now of each flat event, above 0: (n_flat,)."""
        match self.order:
            case "time":
                age = (np.repeat(requests.now_us, history.lengths) - history.time_us) / US_PER_DAY
                return np.asarray(np.maximum(age, _LEAST_AGE), np.float64)
            case "position":
                return np.asarray(age_in_events(history) + 1.0, np.float64)
            case _:
                return np.ones(len(history.item_ix))

    def state(self) -> State:
        return State({"rhythm": self.rhythm}, {"usual": list(self.usual), "order": self.order})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self, catalog=catalog)


def _pairs(history: Histories, age: Float64, n_items: int) -> tuple[Int64, Int64, Int64, Float64, Float64]:
    """Of each (request, item): row, item, at how many instants, age of the newest, span from oldest to newest."""
    row = np.repeat(np.arange(len(history), dtype=np.int64), history.lengths)
    key = row * n_items + history.item_ix
    order = np.lexsort((age, key))
    key, age = key[order], age[order]
    first = np.ones(len(key), np.bool_)
    first[1:] = key[1:] != key[:-1]
    last = np.append(first[1:], True)[: len(key)]
    distinct = first.copy()
    distinct[1:] |= age[1:] > age[:-1]
    pair = np.cumsum(first) - 1
    times = np.bincount(pair[distinct], minlength=int(first.sum()))
    newest = age[first]
    return key[first] // n_items, key[first] % n_items, times, newest, age[last] - newest
