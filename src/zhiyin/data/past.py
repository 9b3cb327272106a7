"""Everybody's events side by side: the past of one person is one slice, however many people there are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from zhiyin.base.arrays import AnyArray, Float32, Int32, Int64, flat_positions, offsets_of
from zhiyin.data.events import Events
from zhiyin.data.requests import Histories


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """Events grouped by user, oldest first within each. Columns may lie in a mapped file: only what is asked for is read."""

    offsets: Int64  # (n_users + 1,)
    item_ix: Int32  # (n_events,)
    kind_ix: Int32
    time_us: Int64
    place_ix: Int32
    weight: Float32

    @classmethod
    def of(cls, events: Events, rows: Int64, offsets: Int64) -> Self:
        """From events and their row numbers grouped by user (``Dataset.by_user``)."""
        return cls(offsets, *(getattr(events, f.name)[rows] for f in fields(cls)[1:]))

    def history(self, users: AnyArray, now_us: AnyArray | None = None) -> Histories:
        """See ``Dataset.history``."""
        asked = np.asarray(users)
        if len(asked) == 1 and asked[0] >= 0:
            return self._of_one(int(asked[0]), None if now_us is None else int(now_us[0]))
        if len(self.offsets) == 1:  # data without people
            return Histories.empty(len(asked))
        at, ends = flat_positions(self.offsets, np.maximum(asked, 0))
        time = self.time_us[at]
        keep = None if len(asked) and asked.min() >= 0 else np.repeat(asked >= 0, ends[1:] - ends[:-1])
        if now_us is not None and len(time) and time.max() >= np.min(now_us):
            before = time < np.repeat(np.asarray(now_us), ends[1:] - ends[:-1])
            keep = before if keep is None else keep & before
        if keep is not None and not keep.all():
            lists = np.repeat(np.arange(len(asked)), ends[1:] - ends[:-1])[keep]
            at, time, ends = at[keep], time[keep], offsets_of(np.bincount(lists, minlength=len(asked)))
        return Histories(ends, self.item_ix[at], self.kind_ix[at], time, self.place_ix[at], self.weight[at])

    def _of_one(self, user: int, now_us: int | None) -> Histories:
        """The same for one person: slices, which copy nothing."""
        begin, end = int(self.offsets[user]), int(self.offsets[user + 1])
        if now_us is not None and end > begin and self.time_us[end - 1] >= now_us:
            end = begin + int(np.searchsorted(self.time_us[begin:end], now_us))
        at = slice(begin, end)
        ends = np.array([0, end - begin], np.int64)
        return Histories(ends, self.item_ix[at], self.kind_ix[at], self.time_us[at], self.place_ix[at], self.weight[at])
