"""The truth: the very probabilities people choose by, and the oracle that ranks by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Float64, Int32
from zhiyin.base.errors import DataError, UnknownNameError, nearest
from zhiyin.base.units import US_PER_HOUR
from zhiyin.data.catalog import Catalog
from zhiyin.data.requests import Requests
from zhiyin.models.retrieve.dense import DenseRetriever
from zhiyin.testing.town.choice import FIRST, Factors, hour_slot, published
from zhiyin.testing.town.layout import START_US, US_PER_WEEK
from zhiyin.testing.town.people import People
from zhiyin.testing.town.things import Things

Cause = Literal["taste", "time", "place", "habit", "popularity"]


@dataclass(frozen=True)
class Truth:
    """Choice probabilities in the town's own numbers (person 0.., thing 0.. in group order).

    ``averaged`` causes act as on the average person, hour, square, predecessor or thing: what is
    left is the best anyone could do who does not know that cause.
    """

    people: People
    things: Things
    factors: Factors
    noise: float
    usage: Float64  # (n_groups,) share of events, the weights of averages
    averaged: frozenset[str] = frozenset()

    def without(self, causes: Iterable[str]) -> Truth:
        """The same with these causes averaged away; unknown names get the nearest."""
        for cause in causes:
            if cause not in get_args(Cause):
                raise UnknownNameError(f"no cause of choice is named '{cause}'", nearest(cause, get_args(Cause)))
        f, given = self.factors, frozenset(causes)
        hours = f.routine.mean(axis=0, keepdims=True)
        topic_usage = np.bincount(self.things.groups.topic, weights=self.usage)
        usual = (topic_usage @ f.habit[:FIRST].astype(np.float64) / topic_usage.sum()).astype(np.float32)
        factors = Factors(
            np.broadcast_to(f.taste.mean(axis=0), f.taste.shape) if "taste" in given else f.taste,
            np.broadcast_to(hours, f.routine.shape) if "time" in given else f.routine,
            np.broadcast_to(usual, f.habit.shape) if "habit" in given else f.habit,
            np.ones_like(f.appeal) if "popularity" in given else f.appeal,
            np.broadcast_to(f.distance.mean(axis=0), f.distance.shape) if "place" in given else f.distance,
        )
        return replace(self, factors=factors, averaged=self.averaged | given)

    def probabilities(self, user: AnyArray, now_us: AnyArray, last: AnyArray, square: AnyArray) -> Float32:
        """(n, n_items); rows sum to 1. ``last`` thing chosen before, -1 = none; ``square`` -1 = the usual one."""
        since = np.asarray(now_us, np.int64) - START_US
        hour = ((since % US_PER_WEEK) // US_PER_HOUR).astype(np.int32)
        week = np.asarray(since // US_PER_WEEK, np.int64)
        at = np.where(np.asarray(square) < 0, self.people.where(user, hour), square)
        f, things = self.factors, self.things
        topic = np.where(np.asarray(last) < 0, FIRST, things.groups.topic[things.group[last]])
        by_group = f.taste[user] * f.routine[hour_slot(self.people, user, hour)] * f.habit[topic]
        out = by_group[:, things.group].astype(np.float64)
        for w in np.unique(week):
            rows = np.flatnonzero(week == w)
            out[rows] *= f.pull(things, int(w))[at[rows]]
            exists = published(things, int(w))
            out[rows] *= (1 - self.noise) / out[rows].sum(axis=1, keepdims=True)
            out[rows] += self.noise * exists / exists.sum()
        return out.astype(np.float32)


@dataclass(frozen=True)
class Oracle(DenseRetriever):
    """Ranks by the truth: the ceiling of every model on the town's data, not a model to be used."""

    catalog: Catalog
    truth: Truth
    person: Int32  # (n_users,) the town's number of each row of the data set
    thing: Int32  # (n_items,)
    square: Int32  # (n_places,)

    def scores(self, requests: Requests) -> Float32:
        if bool((requests.user_ix < 0).any()):
            raise DataError("the oracle was asked about a person who does not live in the town", "Ask about known users.")
        history = requests.history
        last = np.full(len(requests), -1, np.int64)
        some = history.lengths > 0
        last[some] = self.thing[history.item_ix[history.offsets[1:][some] - 1]]
        square = np.full(len(requests), -1, np.int64)
        if requests.place_ix is not None:
            known = requests.place_ix >= 0
            square[known] = self.square[requests.place_ix[known]]
        return self.truth.probabilities(self.person[requests.user_ix], requests.now_us, last, square)[:, self.thing]
