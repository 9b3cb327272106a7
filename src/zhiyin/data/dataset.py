"""The immutable whole: users, catalogue, time-sorted events, and what the manifest says of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from zhiyin.base.arrays import AnyArray, Float32, Int64, offsets_of
from zhiyin.base.errors import ConfigError
from zhiyin.data.catalog import Catalog
from zhiyin.data.events import Events
from zhiyin.data.past import Past
from zhiyin.data.requests import Histories
from zhiyin.data.schema import Manifest
from zhiyin.data.vocab import Vocabulary

if TYPE_CHECKING:
    import scipy.sparse as sp


@dataclass(frozen=True)
class Dataset:
    """Everything a model may learn from. ``before(time)`` is the leak-free past, as a view."""

    manifest: Manifest
    users: Vocabulary
    catalog: Catalog
    events: Events
    kinds: tuple[str, ...] = ("event",)
    places: Vocabulary = field(default_factory=lambda: Vocabulary([]))
    users_table: pl.DataFrame = field(default_factory=pl.DataFrame)  # n_users rows, or none
    relations: pl.DataFrame = field(default_factory=pl.DataFrame)  # head, relation, tail (ids)

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.catalog)

    def take(self, rows: AnyArray | slice) -> Dataset:
        """The same users and catalogue, fewer events."""
        return replace(self, events=self.events.take(rows))

    def before(self, time_us: int) -> Dataset:
        """Events strictly before a time; only for data that has time."""
        if self.manifest.order != "time":
            raise ConfigError(
                f"data set '{self.manifest.name}' has order = \"{self.manifest.order}\": there is no time to cut at",
                "Use a leave-one-out split.",
            )
        return self.take(slice(0, int(np.searchsorted(self.events.time_us, time_us))))

    def with_catalog(self, catalog: Catalog) -> Dataset:
        """The same people and events over a catalogue that has the old rows first."""
        other = replace(self, catalog=catalog)
        for known in ("past", "by_user"):  # what is known of events stays true
            if known in self.__dict__:
                other.__dict__[known] = self.__dict__[known]
        return other

    def with_past(self, past: Past) -> Dataset:
        """The same with everybody's past ready, as it was saved."""
        other = replace(self)
        other.__dict__["past"] = past
        return other

    @cached_property
    def positive(self) -> Dataset:
        """Only the events that are a sign of liking (weight above 0)."""
        keep = self.events.weight > 0
        return self if bool(keep.all()) else self.take(keep)

    @cached_property
    def by_user(self) -> tuple[Int64, Int64]:
        """Row numbers grouped by user, in time order within each, and offsets (n_users + 1,)."""
        rows = np.argsort(self.events.user_ix, kind="stable")
        return rows, offsets_of(np.bincount(self.events.user_ix, minlength=self.n_users))

    @cached_property
    def past(self) -> Past:
        """The events again, side by side for each user: costs their memory once more, and makes a history one slice."""
        return Past.of(self.events, *self.by_user)

    @cached_property
    def item_counts(self) -> Int64:
        """Events per item: (n_items,)."""
        return np.bincount(self.events.item_ix, minlength=self.n_items).astype(np.int64)

    def find_user(self, user: str) -> int:
        """The row number of a user, -1 = unknown."""
        return self.users.find(user)

    def history(self, users: AnyArray, now_us: AnyArray | None = None) -> Histories:
        """Each user's events strictly before the time beside him (all when None), oldest first.

        ``users`` (n,) row numbers, -1 = unknown (empty history); ``now_us`` (n,).
        """
        return self.past.history(users, now_us)

    def matrix(self, weights: Float32 | None = None) -> sp.csr_matrix:
        """User-item matrix (n_users, n_items) float32; repeated events add up."""
        import scipy.sparse as sp  # here, because an answer from a saved model should not wait for it

        e = self.events
        values = np.ones(len(e), np.float32) if weights is None else weights
        return sp.csr_matrix((values, (e.user_ix, e.item_ix)), shape=(self.n_users, self.n_items))
