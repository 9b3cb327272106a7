"""What the asker's friends did with the item: people the relations table leads to from him (trust has a direction)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Float32, Int64, flat_positions, offsets_of
from zhiyin.data.catalog import Catalog
from zhiyin.data.dataset import Dataset
from zhiyin.data.requests import Requests
from zhiyin.data.slates import Slates
from zhiyin.models.features.as_of import AsOfCounts
from zhiyin.models.features.dims import together
from zhiyin.models.features.source import FeatureSpec
from zhiyin.models.roles import State

NAMES = ("friends.n", "friends.took", "friends.share")
PERSON = "user:"
"""How the manifest's relations write an end that is a person."""


class SocialSpec(FeatureSpec):
    """Choose where relations join people with people (trust, friendship)."""

    kind: ClassVar[str] = "social"
    family: ClassVar[str] = "social"

    def names_on(self, data: Dataset) -> tuple[str, ...]:
        return NAMES

    def fit(self, data: Dataset) -> Social:
        head, tail = friends_of(data)
        order = np.argsort(head, kind="stable")
        offsets = offsets_of(np.bincount(head, minlength=data.n_users))
        positive = data.positive
        timed = data.manifest.order == "time"
        time = positive.events.time_us if timed else np.zeros(len(positive.events), np.int64)
        keys = together([positive.events.user_ix.astype(np.int64), positive.events.item_ix.astype(np.int64)])
        return Social(self, offsets, tail[order], AsOfCounts.of(keys, time), timed)

    def restore(self, state: State, data: Dataset) -> Social:
        taken = AsOfCounts.from_arrays(state.under("taken").arrays)
        return Social(self, state.arrays["offsets"], state.arrays["friends"], taken, data.manifest.order == "time")


def friends_of(data: Dataset) -> tuple[Int64, Int64]:
    """Pairs of two people in the relations, each once: head, tail. A bare id is a person only where no item has it.

    Nobody is his own friend: what he is asked about would be told by himself.
    """
    if not data.relations.width:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    head, tail = (_people(data, data.relations[name].cast(str)) for name in ("head", "tail"))
    both = (head >= 0) & (tail >= 0) & (head != tail)
    pairs = np.unique(head[both] * data.n_users + tail[both])
    return pairs // max(data.n_users, 1), pairs % max(data.n_users, 1)


def _people(data: Dataset, ends: pl.Series) -> Int64:
    """The person each end is, -1 = none: (n_relations,)."""
    person = data.users.ix_of(ends.str.strip_prefix(PERSON).to_list()).astype(np.int64)
    item = data.catalog.items.ix_of(ends.to_list())
    return np.where(ends.str.starts_with(PERSON).fill_null(False).to_numpy() | (item < 0), person, -1)


@dataclass(frozen=True)
class Social:
    spec: SocialSpec
    offsets: Int64  # (n_users + 1,)
    friends: Int64  # (n_pairs,)
    taken: AsOfCounts
    timed: bool

    @property
    def names(self) -> tuple[str, ...]:
        return NAMES

    def features(self, requests: Requests, slates: Slates) -> Float32:
        rows = slates.items.rows
        user = requests.user_ix[rows].astype(np.int64)
        known = (user >= 0) & (user < len(self.offsets) - 1)
        at, ends = flat_positions(self.offsets, np.where(known, user, 0))
        row = np.repeat(np.arange(len(rows)), np.diff(ends))
        keys = together([self.friends[at], slates.item_ix[row].astype(np.int64)])
        now: AnyArray = requests.now_us[rows][row] if self.timed else np.ones(len(row), np.int64)
        took = np.bincount(row, weights=self.taken.counts(keys, now) > 0, minlength=len(rows))
        n = np.where(known, np.diff(ends), 0).astype(np.float64)
        took = np.where(known, took, 0.0)
        return np.stack([np.log1p(n), np.log1p(took), took / np.maximum(n, 1)], axis=1).astype(np.float32)

    def state(self) -> State:
        return State({"offsets": self.offsets, "friends": self.friends}).holding({"taken": State(self.taken.arrays())})

    def with_catalog(self, catalog: Catalog) -> Self:
        return replace(self)
